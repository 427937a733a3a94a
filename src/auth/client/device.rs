//! A login on another device (RFC 8628): the user opens a page anywhere and types a short code.
//!
//! Owns the two requests of it, which the library does not have, and the pace of asking. Talks to the authorization server
//! through `post`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use url::Url;

use super::{
    Denied,
    flow::Login,
    post::{error_of, form},
    reach::for_browser,
    record::{Client, Token},
};

/// How often is asked whether the user is done, where the server names no interval; and how much slower it gets when it
/// says slow_down (RFC 8628, 3.2 and 3.5).
const PACE: Duration = Duration::from_secs(5);

/// The slowest pace that is taken from a server.
const SLOWEST: Duration = Duration::from_secs(60);

pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What the user is to do.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    /// The page to open.
    pub(super) url: Url,
    /// What to type there. Shown to the user by purpose.
    pub(super) code: String,
    device_code: crate::config::Secret,
    pace: Duration,
    ends: Instant,
}

#[derive(Deserialize)]
struct Begun {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

/// Begins it.
pub(super) async fn begin(
    login: &Login<'_>,
    client: &Client,
    scopes: &[String],
    resource: &str,
) -> Result<Errand, Denied> {
    let endpoint = login.metadata.additional_fields.get("device_authorization_endpoint").and_then(Value::as_str);
    let Some(endpoint) = endpoint else {
        return Err(Denied::failed("its authorization server has no login by device; leave out --device"));
    };
    let scope = scopes.join(" ");
    let mut params = vec![("client_id", client.id.as_str()), ("resource", resource)];
    params.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
    let (status, answer) = form(&login.web, endpoint, &params, Some((&login.metadata, client))).await?;
    let begun: Begun = match serde_json::from_value(answer.clone()) {
        Ok(begun) if status.is_success() => begun,
        _ => {
            return Err(Denied::failed(format!(
                "its authorization server begins no login by device: {}",
                error_of(&answer)
            )));
        }
    };
    let page = begun.verification_uri_complete.unwrap_or(begun.verification_uri);
    Ok(Errand {
        url: for_browser(&page, login.web.reach()).map_err(Denied::failed)?,
        code: begun.user_code.chars().filter(|c| c.is_ascii_graphic()).take(64).collect(),
        device_code: crate::config::Secret::new(begun.device_code),
        pace: begun.interval.map_or(PACE, Duration::from_secs).clamp(Duration::from_secs(1), SLOWEST),
        ends: Instant::now() + Duration::from_secs(begun.expires_in.min(24 * 3_600)),
    })
}

/// Waits until the user is done. The caller bounds the time.
pub(super) async fn finish(
    login: &Login<'_>,
    client: &Client,
    errand: Errand,
    asked: &[String],
    resource: &str,
) -> Result<Token, Denied> {
    let mut pace = errand.pace;
    // Ends with the token, with a refusal, or when the code is too old.
    while Instant::now() < errand.ends {
        sleep(pace).await;
        let params = [
            ("grant_type", GRANT),
            ("device_code", errand.device_code.expose()),
            ("client_id", client.id.as_str()),
            ("resource", resource),
        ];
        let (status, answer) =
            form(&login.web, &login.metadata.token_endpoint, &params, Some((&login.metadata, client))).await?;
        if status.is_success() {
            return Token::read(answer, asked)
                .map_err(|why| Denied::failed(format!("of its authorization server, {why}")));
        }
        match answer.get("error").and_then(Value::as_str) {
            Some("authorization_pending") => {}
            Some("slow_down") => pace = (pace + PACE).min(SLOWEST),
            _ => return Err(Denied::failed(format!("the login failed: {}", error_of(&answer)))),
        }
    }
    Err(Denied::failed("the code was not used in time; try again"))
}
