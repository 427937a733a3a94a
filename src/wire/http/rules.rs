//! What the headers of a request must say. Pure.
//!
//! Owns the rules of Streamable HTTP (2025-11-25, Transports, Streamable HTTP) for `Accept`, `Content-Type`,
//! `MCP-Protocol-Version`, `Mcp-Session-Id` and `Last-Event-ID`. Talks to nobody. It never looks into a body, but in
//! `modern`, where headers and body have to agree.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use uuid::Uuid;

use crate::{peer::Era, protocol::Revision, wire::exchange::Refusal};

mod modern;

pub use modern::{Fault, Said, check_meta, is_misplaced, opens_session, status_of};

/// Names the session; written `MCP-Session-Id` in 2025-11-25, and no different to HTTP.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Names the negotiated revision.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The last event that a client has seen.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The body of a POST is JSON in UTF-8, as it is. A page in a browser can send `text/plain` across origins without
/// asking first, so anything else is refused before it is read.
pub fn check_content(headers: &HeaderMap<HeaderValue>) -> Result<(), Refusal> {
    let unsupported = |text: &'static str| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    let content_type = only(headers, &header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(content_type) {
        return Err(unsupported("the Content-Type must be application/json (charset utf-8)"));
    }
    match only(headers, &header::CONTENT_ENCODING) {
        None if !headers.contains_key(header::CONTENT_ENCODING) => Ok(()),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(()),
        _ => Err(unsupported("a compressed body is not accepted; send it without Content-Encoding")),
    }
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

/// A POST may be answered with one message or with an event stream, so its sender must take both. No `Accept` at all
/// means anything (RFC 9110, section 12.5.1), and so does `*/*`: both harm nobody.
pub fn check_accept_post(headers: &HeaderMap<HeaderValue>) -> Result<(), Refusal> {
    // Word for word what the official SDKs send: each call would pay for reading it.
    if only(headers, &header::ACCEPT).is_some_and(|accept| accept == "application/json, text/event-stream") {
        return Ok(());
    }
    if accepts(headers, "application", "json") && accepts(headers, "text", "event-stream") {
        return Ok(());
    }
    let text = "the Accept header must list both application/json and text/event-stream";
    Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, text))
}

/// A GET is answered with an event stream.
pub fn check_accept_get(headers: &HeaderMap<HeaderValue>) -> Result<(), Refusal> {
    if accepts(headers, "text", "event-stream") {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "the Accept header must list text/event-stream"))
}

fn accepts(headers: &HeaderMap<HeaderValue>, kind: &str, subkind: &str) -> bool {
    let mut lists = headers.get_all(header::ACCEPT).iter().peekable();
    lists.peek().is_none()
        || lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let (range_kind, range_subkind) = parts.next().and_then(|range| range.split_once('/')).unwrap_or_default();
            let refused = parts.any(|parameter| {
                let weight = parameter.strip_prefix("q=").or(parameter.strip_prefix("Q="));
                weight.is_some_and(|weight| weight.bytes().all(|byte| matches!(byte, b'0' | b'.')))
            });
            let matches = |range: &str, name: &str| range == "*" || range.eq_ignore_ascii_case(name);
            !refused && matches(range_kind, kind) && matches(range_subkind, subkind)
        })
}

/// The revision that a request claims to follow. Absent is fine: clients of 2025-03-26 do not send it.
pub fn claimed_revision(headers: &HeaderMap<HeaderValue>) -> Result<Option<Revision>, Refusal> {
    if !headers.contains_key(PROTOCOL_VERSION) {
        return Ok(None);
    }
    let claimed = only(headers, &PROTOCOL_VERSION).and_then(|value| value.to_str().ok());
    match claimed.and_then(Revision::parse_legacy) {
        Some(revision) => Ok(Some(revision)),
        None => {
            let legacy = Revision::ALL.into_iter().filter(|(_, revision)| revision.era() == Era::Legacy);
            let known = legacy.map(|(name, _)| name).collect::<Vec<_>>().join(", ");
            let text = match claimed {
                Some(claimed) => format!("MCP-Protocol-Version {claimed:?} is not supported; supported are {known}"),
                None => format!("MCP-Protocol-Version must be one of {known}"),
            };
            Err(Refusal::new(StatusCode::BAD_REQUEST, text))
        }
    }
}

/// The session that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionClaim {
    /// No header.
    None,
    /// An id of the form that sessions here have.
    Id(u128),
    /// Something else, which no session has.
    Unknown,
}

/// Reads the session header.
pub fn claimed_session(headers: &HeaderMap<HeaderValue>) -> SessionClaim {
    if !headers.contains_key(SESSION_ID) {
        return SessionClaim::None;
    }
    only(headers, &SESSION_ID)
        .and_then(|value| parse_session(value.as_bytes()))
        .map_or(SessionClaim::Unknown, SessionClaim::Id)
}

/// Reads an id of the one form that [`session_text`] writes: no other spelling names a session.
pub fn parse_session(text: &[u8]) -> Option<u128> {
    let plain = text.len() == 32 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()).flatten()
}

/// The id of a new session: 128 random bits. A version 4 UUID has six that are not, at places where the other one of
/// these two, turned by half, has random ones.
pub fn fresh_session() -> u128 {
    Uuid::new_v4().as_u128() ^ Uuid::new_v4().as_u128().rotate_left(64)
}

/// A session's id as it is given out: visible ASCII.
pub fn session_text(id: u128) -> String {
    format!("{id:032x}")
}

/// The value of a header that stands exactly once.
pub fn only<'a>(headers: &'a HeaderMap<HeaderValue>, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn only_plain_json_is_read() {
        for (value, good) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"; x=y", true),
            ("application/json; charset=utf-16", false),
            ("text/plain", false),
            ("application/json-rpc", false),
            ("", false),
        ] {
            let result = check_content(&headers(&[(header::CONTENT_TYPE, value)]));
            assert_eq!(result.is_ok(), good, "{value}");
        }
        assert!(check_content(&HeaderMap::new()).is_err());
        let twice = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_TYPE, "text/plain")];
        assert!(check_content(&headers(&twice)).is_err());
        for (value, good) in [("gzip", false), ("identity", true), ("", false)] {
            let list = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, value)];
            assert_eq!(check_content(&headers(&list)).is_ok(), good, "{value}");
        }
    }

    #[test]
    fn accept_must_cover_both_forms_of_an_answer() {
        for (value, post, get) in [
            ("application/json, text/event-stream", true, true),
            ("text/event-stream,application/json", true, true),
            ("TEXT/Event-Stream;q=0.5, application/*", true, true),
            ("*/*", true, true),
            ("text/html, */*;q=0.8", true, true),
            ("application/json", false, false),
            ("text/event-stream", false, true),
            ("application/json, text/event-stream;q=0", false, false),
            ("application/json, text/event-stream;q=0.000", false, false),
            ("text/html", false, false),
            ("", false, false),
        ] {
            let map = headers(&[(header::ACCEPT, value)]);
            assert_eq!(check_accept_post(&map).is_ok(), post, "{value}");
            assert_eq!(check_accept_get(&map).is_ok(), get, "{value}");
        }
        let two = [(header::ACCEPT, "application/json"), (header::ACCEPT, "text/event-stream")];
        assert!(check_accept_post(&headers(&two)).is_ok());
        assert!(check_accept_post(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_version_is_absent_known_or_refused() {
        assert_eq!(claimed_revision(&HeaderMap::new()).unwrap(), None);
        for name in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            assert_eq!(claimed_revision(&headers(&[(PROTOCOL_VERSION, name)])).unwrap(), Revision::parse(name));
        }
        for name in ["2026-07-28", "1", "", "2025-06-18 "] {
            let refusal = claimed_revision(&headers(&[(PROTOCOL_VERSION, name)])).unwrap_err();
            assert_eq!(refusal.status(), StatusCode::BAD_REQUEST, "{name}");
        }
    }

    #[test]
    fn a_session_id_has_one_spelling() {
        let id = 0x00ab_u128;
        let text = session_text(id);
        assert_eq!(text.len(), 32);
        assert_eq!(parse_session(text.as_bytes()), Some(id));
        for other in ["", "ab", &text.to_uppercase(), &format!("+{}", &text[1..]), &format!("{text}0")] {
            assert_eq!(parse_session(other.as_bytes()), None, "{other}");
        }
        assert_eq!(claimed_session(&HeaderMap::new()), SessionClaim::None);
        assert_eq!(claimed_session(&headers(&[(SESSION_ID, "x")])), SessionClaim::Unknown);
    }
}
