//! Why a caller is not let in, and the challenge that tells it what to do (RFC 6750, section 3; RFC 9728, section 5.1).
//!
//! Owns the wording and the form of `WWW-Authenticate`. Talks to nobody. It never repeats what the caller sent.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};

use crate::{audit::Reason, wire::exchange::Refusal};

/// A refusal before any route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What kind it is; the status follows from it.
    pub why: Why,
    text: String,
}

/// The kinds of refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No credential: 401 without an error code, as RFC 6750 asks.
    Missing,
    /// Not a good one: 401.
    Invalid,
    /// A good one that does not allow this: 403, with all scopes that this takes.
    Scope(String),
    /// Nobody can tell now: 503.
    Unavailable,
}

/// When it makes sense to try again after [`Why::Unavailable`].
const RETRY: Duration = Duration::from_secs(10);

impl Denied {
    pub(super) fn missing() -> Denied {
        Denied { why: Why::Missing, text: "a bearer token is needed (Authorization header)".into() }
    }

    pub(super) fn invalid(text: impl Into<String>) -> Denied {
        Denied { why: Why::Invalid, text: text.into() }
    }

    /// `scopes`: all that are needed for this at once.
    pub fn scope<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Denied {
        let scopes = scopes.into_iter().collect::<Vec<_>>().join(" ");
        Denied {
            text: format!("the token does not cover this; it takes the scopes {scopes:?}"),
            why: Why::Scope(scopes),
        }
    }

    pub(super) fn unavailable(text: impl Into<String>) -> Denied {
        Denied { why: Why::Unavailable, text: text.into() }
    }

    /// In words for the caller.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The answer. `metadata` is where the resource's metadata is, `scopes` what every call needs.
    pub fn into_refusal(self, metadata: Option<&str>, scopes: &[Box<str>]) -> Refusal {
        let status = match self.why {
            Why::Missing | Why::Invalid => StatusCode::UNAUTHORIZED,
            Why::Scope(_) => StatusCode::FORBIDDEN,
            Why::Unavailable => {
                return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, self.text)
                    .header(header::RETRY_AFTER, HeaderValue::from(RETRY.as_secs()))
                    .because(Reason::Unavailable);
            }
        };
        let mut parts = Vec::new();
        match &self.why {
            Why::Missing => {}
            Why::Scope(_) => parts.push(("error", "insufficient_scope".to_owned())),
            Why::Invalid | Why::Unavailable => parts.push(("error", "invalid_token".to_owned())),
        }
        let scope = match &self.why {
            Why::Scope(scopes) => scopes.clone(),
            _ => scopes.join(" "),
        };
        parts.extend((!scope.is_empty()).then_some(("scope", scope)));
        parts.extend(metadata.map(|url| ("resource_metadata", url.to_owned())));
        let reason = if matches!(self.why, Why::Scope(_)) { Reason::Scope } else { Reason::Token };
        Refusal::new(status, self.text).header(header::WWW_AUTHENTICATE, challenge(&parts)).because(reason)
    }
}

/// `Bearer name="value", ...`. The values are our own or come from the configuration, where quotes are refused.
fn challenge(parts: &[(&str, String)]) -> HeaderValue {
    let list = parts.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect::<Vec<_>>().join(", ");
    let plain = HeaderValue::from_static("Bearer");
    match list.is_empty() {
        true => plain,
        false => HeaderValue::from_str(&format!("Bearer {list}")).unwrap_or(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(denied: Denied, metadata: Option<&str>, scopes: &[&str]) -> (u16, String) {
        let scopes: Vec<Box<str>> = scopes.iter().map(|&scope| scope.into()).collect();
        let response = denied.into_refusal(metadata, &scopes).into_response();
        let value = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), value.unwrap_or_default())
    }

    #[test]
    fn a_challenge_tells_what_is_wrong_what_is_needed_and_where_to_read_on() {
        assert_eq!(header(Denied::missing(), None, &[]), (401, "Bearer".into()));
        let metadata = Some("https://b.example/.well-known/oauth-protected-resource/mcp");
        assert_eq!(
            header(Denied::missing(), metadata, &["mcp:call"]),
            (
                401,
                "Bearer scope=\"mcp:call\", \
                 resource_metadata=\"https://b.example/.well-known/oauth-protected-resource/mcp\""
                    .into()
            )
        );
        assert_eq!(header(Denied::invalid("x"), None, &[]), (401, "Bearer error=\"invalid_token\"".into()));
        assert_eq!(
            header(Denied::scope(["a", "b"]), None, &["a"]),
            (403, "Bearer error=\"insufficient_scope\", scope=\"a b\"".into())
        );
        assert_eq!(header(Denied::unavailable("x"), metadata, &[]), (503, String::new()));
    }
}
