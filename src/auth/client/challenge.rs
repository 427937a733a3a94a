//! What a server says with 401 or 403.
//!
//! Owns the reading of `WWW-Authenticate` (RFC 9110, 11.6.1; RFC 6750, 3; RFC 9728, 5.1). Pure. It never judges a URL that
//! it reads, and reads at most [`MAX_CHALLENGES`] challenges.

use http::{HeaderMap, StatusCode, header};

/// Challenges that are read; a server that sends more is no server.
const MAX_CHALLENGES: usize = 16;

/// The longest parameter that is kept.
const MAX_VALUE: usize = 4096;

/// A `Bearer` challenge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where the server describes itself (RFC 9728).
    pub resource_metadata: Option<String>,
    /// What a token must allow.
    pub scope: Option<String>,
    /// Why the token, if any, is refused.
    pub error: Option<String>,
}

/// What has to be done about a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A token, or a better one.
    Token(Challenge),
    /// A token with more scopes.
    Scope(Challenge),
}

impl Wanted {
    /// The challenge behind it.
    pub fn challenge(&self) -> &Challenge {
        match self {
            Wanted::Token(challenge) | Wanted::Scope(challenge) => challenge,
        }
    }
}

/// Reads a refusal; `None` where a token would not help. A 401 without any challenge may still mean OAuth: the documents at
/// the well-known paths tell. One that asks for another scheme only does not; nor does a 403 of any other kind.
pub fn read(status: StatusCode, headers: &HeaderMap) -> Option<Wanted> {
    let mut schemes = 0;
    let mut bearer: Option<Challenge> = None;
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        let Ok(text) = value.to_str() else { continue };
        for (scheme, params) in challenges(text) {
            schemes += 1;
            if !scheme.eq_ignore_ascii_case("bearer") {
                continue;
            }
            let found = Challenge::of(params);
            // The first that says where the server describes itself counts most.
            let better = bearer.as_ref().is_none_or(|kept| {
                kept.resource_metadata.is_none() && found.resource_metadata.is_some() && found.error == kept.error
            });
            if better {
                bearer = Some(found);
            }
        }
    }
    match (status, bearer) {
        (StatusCode::UNAUTHORIZED, Some(challenge)) => Some(Wanted::Token(challenge)),
        (StatusCode::UNAUTHORIZED, None) if schemes == 0 => Some(Wanted::Token(Challenge::default())),
        (StatusCode::FORBIDDEN, Some(challenge)) if challenge.error.as_deref() == Some("insufficient_scope") => {
            Some(Wanted::Scope(challenge))
        }
        _ => None,
    }
}

impl Challenge {
    fn of(params: Vec<(String, String)>) -> Challenge {
        let mut challenge = Challenge::default();
        for (name, value) in params {
            let slot = match name.to_ascii_lowercase().as_str() {
                "resource_metadata" => &mut challenge.resource_metadata,
                "scope" => &mut challenge.scope,
                "error" => &mut challenge.error,
                _ => continue,
            };
            // A parameter must not stand twice (RFC 9110, 11.2); the first one counts.
            if slot.is_none() && !value.is_empty() && value.len() <= MAX_VALUE {
                *slot = Some(value);
            }
        }
        challenge
    }

    /// The scopes that it names, those alone that can be ones (RFC 6749, 3.3).
    pub fn scopes(&self) -> Vec<String> {
        split_scopes(self.scope.as_deref().unwrap_or_default())
    }
}

/// Scopes, each once, in order.
pub fn split_scopes(text: &str) -> Vec<String> {
    let fits = |c: u8| c == 0x21 || (0x23..=0x5b).contains(&c) || (0x5d..=0x7e).contains(&c);
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split(' ').filter(|scope| !scope.is_empty() && scope.bytes().all(fits)) {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

/// All of `left`, then what `right` adds.
pub fn union(left: &[String], right: &[String]) -> Vec<String> {
    let mut all = left.to_vec();
    all.extend(right.iter().filter(|scope| !left.contains(scope)).cloned());
    all
}

type Params = Vec<(String, String)>;

/// Parts a header's value into challenges. What cannot be read ends the reading: a guess might join two challenges.
fn challenges(text: &str) -> Vec<(String, Params)> {
    let mut found: Vec<(String, Params)> = Vec::new();
    let mut rest = text;
    // Ends with the text, or with what cannot be read.
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() || found.len() > MAX_CHALLENGES {
            return found;
        }
        let spaced = after.trim_start_matches([' ', '\t']);
        let equals = spaced.strip_prefix('=').filter(|more| !more.starts_with('='));
        match (equals, found.last_mut()) {
            // `name = value` belongs to the challenge before it.
            (Some(value), Some((_, params))) => {
                let Some((value, after)) = value_of(value.trim_start_matches([' ', '\t'])) else { return found };
                params.push((word.to_owned(), value));
                rest = after;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push((word.to_owned(), Vec::new()));
                rest = skip_token68(after);
            }
        }
    }
}

/// A scheme may be followed by one opaque word in place of parameters.
fn skip_token68(after: &str) -> &str {
    let start = after.trim_start_matches([' ', '\t']);
    let end = start.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/".contains(c))).unwrap_or(start.len());
    let padded = start.get(end..).unwrap_or_default();
    let rest = padded.trim_start_matches('=').trim_start_matches([' ', '\t']);
    let is_word = end > 0 && (rest.is_empty() || rest.starts_with(',')) && start.len() != after.len();
    // `name=value` is a parameter; `name==` and a lone word are not.
    if is_word { rest } else { after }
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))).unwrap_or(text.len());
    text.split_at(end)
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Not only tokens: some servers leave the quotes out around a URL.
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Some((value.to_owned(), rest));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, quoted.get(at + 1..).unwrap_or_default())),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn challenge(metadata: Option<&str>, scope: Option<&str>, error: Option<&str>) -> Challenge {
        Challenge {
            resource_metadata: metadata.map(Into::into),
            scope: scope.map(Into::into),
            error: error.map(Into::into),
        }
    }

    #[test]
    fn challenges_are_told_apart() {
        let url = "https://h/.well-known/oauth-protected-resource";
        for (values, wanted) in [
            (vec![r#"Bearer resource_metadata="URL", scope="a b""#], challenge(Some(url), Some("a b"), None)),
            (vec!["bearer"], Challenge::default()),
            (vec![r#"Basic realm="scope=x, Bearer", bearer scope=z"#], challenge(None, Some("z"), None)),
            (vec![r#"Negotiate abc==, Bearer scope="x""#], challenge(None, Some("x"), None)),
            (vec!["Negotiate", r#"Bearer error="invalid_token""#], challenge(None, None, Some("invalid_token"))),
            (vec![r#"Bearer realm="a \"b\", c", SCOPE = "y""#], challenge(None, Some("y"), None)),
            (vec![r#"Bearer scope="one", scope="two""#], challenge(None, Some("one"), None)),
            (vec![r#"Bearer realm="x""#, r#"Bearer resource_metadata="URL""#], challenge(Some(url), None, None)),
            (vec!["Bearer resource_metadata=URL"], challenge(Some(url), None, None)),
            (vec![r#"Bearer scope="unclosed"#], Challenge::default()),
            (vec![r#"Bearer error_description="scope=no", error="e""#], challenge(None, None, Some("e"))),
        ] {
            let values: Vec<String> = values.iter().map(|value| value.replace("URL", url)).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            assert_eq!(read(StatusCode::UNAUTHORIZED, &headers(&values)), Some(Wanted::Token(wanted)), "{values:?}");
        }
    }

    #[test]
    fn only_what_a_token_helps_against_is_wanted() {
        let unauthorized = StatusCode::UNAUTHORIZED;
        assert_eq!(read(unauthorized, &headers(&[])), Some(Wanted::Token(Challenge::default())));
        assert_eq!(read(unauthorized, &headers(&[r#"Basic realm="x""#])), None);
        assert_eq!(read(StatusCode::FORBIDDEN, &headers(&[])), None);
        assert_eq!(read(StatusCode::FORBIDDEN, &headers(&["Bearer"])), None);
        assert_eq!(read(StatusCode::OK, &headers(&["Bearer"])), None);
        let more = read(StatusCode::FORBIDDEN, &headers(&[r#"Bearer error="insufficient_scope", scope="w""#]));
        assert_eq!(more, Some(Wanted::Scope(challenge(None, Some("w"), Some("insufficient_scope")))));
    }

    #[test]
    fn scopes_are_words_and_each_stands_once() {
        assert_eq!(split_scopes("a b  a c\"d \u{e9} e"), ["a", "b", "e"]);
        assert_eq!(union(&["a".into(), "b".into()], &["b".into(), "c".into()]), ["a", "b", "c"]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_read_panics_or_hangs(text in "[ -~]{0,200}") {
            let _ = challenges(&text);
        }
    }
}
