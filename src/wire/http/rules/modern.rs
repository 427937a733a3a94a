//! What makes a POST one of the modern era, and what such a request must say. Pure.
//!
//! Owns which era a POST belongs to, what its revision and its `_meta` must be, and the HTTP status of a JSON-RPC error
//! (2026-07-28, Streamable HTTP, Request Metadata; Base Protocol, `_meta`). The other headers are [`super::super::mirror`]'s.
//!
//! | header | body | |
//! |---|---|---|
//! | any | `initialize` without modern metadata | legacy: it opens a session, whatever the header names |
//! | legacy, or none | no modern metadata | legacy |
//! | legacy | modern metadata | 400, -32020 |
//! | none | modern metadata | 400, -32600: a request without the header counts as 2025-03-26 |
//! | modern | another revision in its metadata | 400, -32020 |
//! | modern, not spoken here | the same revision, or none | 400, -32022 |
//! | modern | no metadata, or not all of it | 400, -32602 |

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use super::{PROTOCOL_VERSION, only};
use crate::{
    json::{self, Object},
    message::{Frame, code},
    protocol::{ErrorHead, MODERN, NEWEST_LEGACY, RequestMeta, meta, method},
    wire::http::mirror::Wrong,
};

/// Longest value of a client's that an error repeats, in characters.
const SHOWN: usize = 64;

/// The answer to a modern request without the version header. Such a request may be taken for one of 2025-03-26 (2026-07-28,
/// Streamable HTTP, Protocol Version Header), and the code is that of this era: a proxy of that time passes on the probe of a
/// modern client so, and after -32020 some clients (rmcp 3) do not fall back to a session, which would work.
const NO_VERSION: &str = "the MCP-Protocol-Version header is missing: a request of revision 2026-07-28 needs it, and any \
    other needs a session, which initialize opens";

/// The answer to a request whose metadata is not read, although it may be there.
const NOT_DISTINCT: &str = "params and params._meta must be objects in which no key stands twice; send each key once";

/// What is wrong with a request: the JSON-RPC error to answer it with.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The code, which decides the HTTP status, too.
    pub code: i32,
    /// One line.
    pub message: Cow<'static, str>,
    /// What a program can use of it.
    pub data: Option<serde_json::Value>,
}

impl Fault {
    /// One without data.
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault { code, message: message.into(), data: None }
    }

    fn header(text: &'static str) -> Fault {
        Fault::new(code::HEADER_MISMATCH, text)
    }

    /// The answer to a request.
    pub fn answer(self, request: &Frame) -> Frame {
        Frame::error(request.id_text(), self.code, &self.message, self.data)
    }
}

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Fault {
        Fault::new(code::HEADER_MISMATCH, wrong.to_string())
    }
}

/// What the version header of a POST says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// There is none.
    Nothing,
    /// More than one, or bytes that are no text.
    Nonsense,
    /// A revision, known or not.
    Version(Box<str>),
}

impl Said {
    /// Reads the header.
    pub fn by(headers: &HeaderMap<HeaderValue>) -> Said {
        match only(headers, &PROTOCOL_VERSION).map(HeaderValue::to_str) {
            Some(Ok(version)) => Said::Version(version.into()),
            None if !headers.contains_key(PROTOCOL_VERSION) => Said::Nothing,
            _ => Said::Nonsense,
        }
    }

    /// Whether it is a revision of the modern era: the one that is spoken here, or one that is newer than all that had
    /// a handshake. Anything else is for the legacy rules to refuse.
    pub fn is_modern(&self) -> bool {
        let is_date = |version: &str| {
            version.len() == MODERN.len()
                && version.bytes().zip(MODERN.bytes()).all(|(said, known)| match known {
                    b'-' => said == b'-',
                    _ => said.is_ascii_digit(),
                })
        };
        matches!(self, Said::Version(version) if is_date(version) && **version > *NEWEST_LEGACY)
    }
}

/// Whether this opens a session: `initialize`, unless it carries modern metadata (2026-07-28, Versioning, Backward
/// Compatibility).
pub fn opens_session(frame: &Frame) -> bool {
    frame.method() == method::INITIALIZE && RequestMeta::of(frame).is_none_or(|meta| meta.version.is_none())
}

/// Whether a request that came with a legacy header, or with none, is a modern one. `initialize` never is. Without
/// metadata only `server/discover` is, which no session knows.
pub fn is_misplaced(frame: &Frame, in_session: bool) -> bool {
    let named = RequestMeta::of(frame).is_some_and(|meta| meta.version.is_some());
    match frame.method() {
        method::INITIALIZE => false,
        method::DISCOVER => named || !in_session,
        _ => named,
    }
}

/// Checks the revision of a request and what its `_meta` must hold.
pub fn check_meta(said: &Said, frame: &Frame) -> Result<(), Fault> {
    let meta = RequestMeta::of(frame);
    let in_body = meta.and_then(|meta| meta.version).map(|version| json::string(version).ok_or(version)).transpose();
    let said = match said {
        Said::Nothing => return Err(Fault::new(code::INVALID_REQUEST, NO_VERSION)),
        Said::Nonsense => {
            return Err(Fault::header(
                "Header mismatch: the MCP-Protocol-Version header is malformed or stands twice; send it once",
            ));
        }
        Said::Version(said) => &**said,
    };
    match in_body {
        Err(version) => return Err(lacks(meta::PROTOCOL_VERSION, &format!("a string, not {}", shown(version)))),
        Ok(Some(version)) if version != said => {
            let (said, version) = (shown(said), shown(&version));
            let text = format!(
                "Header mismatch: the MCP-Protocol-Version header says {said}, and the body's _meta says {version}; \
                 send the same revision in both"
            );
            return Err(Fault::new(code::HEADER_MISMATCH, text));
        }
        Ok(_) if said != MODERN => return Err(unsupported(said)),
        Ok(None) => {
            return Err(match is_distinct(frame) {
                true => lacks(meta::PROTOCOL_VERSION, "the revision of the request"),
                false => Fault::new(code::INVALID_PARAMS, NOT_DISTINCT),
            });
        }
        Ok(Some(_)) => {}
    }
    match meta.and_then(|meta| meta.capabilities) {
        Some(capabilities) if capabilities.starts_with('{') => Ok(()),
        _ => Err(lacks(meta::CLIENT_CAPABILITIES, "an object")),
    }
}

/// Whether params and `_meta`, as far as they are there, are objects without a key that stands twice. Two readers could
/// see two different requests in others, so nothing in them counts.
fn is_distinct(frame: &Frame) -> bool {
    let Some(params) = frame.body() else { return true };
    let Some(params) = Object::parse(params) else { return false };
    params.get("_meta").is_none_or(|meta| Object::parse(meta).is_some())
}

fn lacks(key: &str, what: &str) -> Fault {
    Fault::new(code::INVALID_PARAMS, format!("params._meta must hold {key:?}: {what} (revision {MODERN})"))
}

fn unsupported(version: &str) -> Fault {
    Fault {
        code: code::UNSUPPORTED_VERSION,
        message: format!("revision {} is not supported here; send {MODERN}, or initialize a session", shown(version))
            .into(),
        data: Some(json!({ "supported": [MODERN], "requested": version })),
    }
}

/// A client's text as an error may repeat it.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    format!("{cut:?}")
}

/// The HTTP status of an answer that comes alone: that which the specification gives to some codes, else 200. 404 only for
/// a method that the server does not know (2026-07-28, Streamable HTTP, Protocol Version Header).
pub fn status_of(answer: &Frame) -> StatusCode {
    match ErrorHead::code_of(answer) {
        Some(code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(
            code::PARSE_ERROR
            | code::INVALID_REQUEST
            | code::INVALID_PARAMS
            | code::HEADER_MISMATCH
            | code::MISSING_CAPABILITY
            | code::UNSUPPORTED_VERSION,
        ) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(version: &str) -> Said {
        if version.is_empty() { Said::Nothing } else { Said::Version(version.into()) }
    }

    fn frame(method: &str, params: &str) -> Frame {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        Frame::parse(text.into()).unwrap()
    }

    fn with_meta(method: &str, version: &str, rest: &str) -> Frame {
        frame(method, &format!(r#"{{"_meta":{{"io.modelcontextprotocol/protocolVersion":{version}{rest}}}}}"#))
    }

    const CAPABILITIES: &str = r#","io.modelcontextprotocol/clientCapabilities":{}"#;

    #[test]
    fn a_header_is_modern_when_it_names_a_day_after_the_last_handshake() {
        for (version, modern) in [
            ("2026-07-28", true),
            ("2027-01-01", true),
            ("9999-99-99", true),
            ("2025-11-25", false),
            ("2025-03-26", false),
            ("1999-01-01", false),
            ("", false),
            ("1.0", false),
            ("2026-07-28 ", false),
            ("DRAFT-2027", false),
            ("latest-one", false),
        ] {
            assert_eq!(said(version).is_modern(), modern, "{version}");
        }
        let twice = [MODERN, MODERN].into_iter().fold(HeaderMap::new(), |mut headers, version| {
            headers.append(PROTOCOL_VERSION, HeaderValue::from_static(version));
            headers
        });
        assert_eq!(Said::by(&twice), Said::Nonsense);
        assert_eq!(Said::by(&HeaderMap::new()), Said::Nothing);
    }

    #[test]
    fn header_and_body_decide_together_what_is_wrong() {
        let body = |version: &str| with_meta("tools/list", &format!("\"{version}\""), CAPABILITIES);
        let bare = || frame("tools/list", "{}");
        for (header, frame, code) in [
            (MODERN, body(MODERN), 0),
            ("", body(MODERN), code::INVALID_REQUEST),
            ("2025-11-25", body(MODERN), code::HEADER_MISMATCH),
            (MODERN, body("2025-11-25"), code::HEADER_MISMATCH),
            (MODERN, body("2027-01-01"), code::HEADER_MISMATCH),
            ("2027-01-01", body(MODERN), code::HEADER_MISMATCH),
            ("2027-01-01", body("2027-01-01"), code::UNSUPPORTED_VERSION),
            ("1900-01-01", body("1900-01-01"), code::UNSUPPORTED_VERSION),
            ("2027-01-01", bare(), code::UNSUPPORTED_VERSION),
            (MODERN, bare(), code::INVALID_PARAMS),
            (MODERN, with_meta("x", "\"2026-07-28\"", ""), code::INVALID_PARAMS),
            (MODERN, with_meta("x", "7", CAPABILITIES), code::INVALID_PARAMS),
            (
                MODERN,
                with_meta("x", "\"2026-07-28\"", r#","io.modelcontextprotocol/clientCapabilities":[]"#),
                code::INVALID_PARAMS,
            ),
        ] {
            let found = check_meta(&said(header), &frame).map_or_else(|fault| fault.code, |()| 0);
            assert_eq!(found, code, "{header} {frame:?}");
        }
        let fault = check_meta(&said("2027-01-01"), &body("2027-01-01")).unwrap_err();
        assert_eq!(fault.data, Some(json!({"supported": ["2026-07-28"], "requested": "2027-01-01"})));
    }

    #[test]
    fn a_key_that_stands_twice_is_named_for_what_it_is() {
        let modern = |rest: &str| {
            frame("x", &format!(r#"{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"{rest}}}}}"#))
        };
        for frame in [
            frame("x", r#"{"name":"a","name":"b","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#),
            modern(r#","io.example/a":1,"io.example/a":2"#),
            frame("x", r#"{"_meta":5}"#),
            frame("x", "[]"),
        ] {
            let fault = check_meta(&said(MODERN), &frame).unwrap_err();
            assert_eq!((fault.code, &*fault.message), (code::INVALID_PARAMS, NOT_DISTINCT), "{frame:?}");
        }
        let fault = check_meta(&said(MODERN), &frame("x", "{}")).unwrap_err();
        assert!(fault.message.contains("the revision of the request"), "{}", fault.message);
    }

    #[test]
    fn initialize_is_legacy_unless_it_says_otherwise() {
        let modern = with_meta("initialize", "\"2026-07-28\"", CAPABILITIES);
        assert!(opens_session(&frame("initialize", "{}")) && !opens_session(&modern));
        assert!(!is_misplaced(&frame("initialize", "{}"), false) && !is_misplaced(&modern, false));
        assert!(is_misplaced(&frame("server/discover", "{}"), false));
        assert!(!is_misplaced(&frame("server/discover", "{}"), true));
        assert!(is_misplaced(&with_meta("ping", "\"2026-07-28\"", ""), true));
        assert!(!is_misplaced(&frame("ping", "{}"), false));
    }

    #[test]
    fn a_status_follows_from_the_code() {
        for (code, status) in [
            (-32601, 404),
            (-32700, 400),
            (-32600, 400),
            (-32602, 400),
            (-32020, 400),
            (-32021, 400),
            (-32022, 400),
            (-32603, 200),
            (-32000, 200),
            (-32800, 200),
            (7, 200),
        ] {
            assert_eq!(status_of(&Frame::error("1", code, "x", None)).as_u16(), status, "{code}");
        }
        assert_eq!(status_of(&Frame::result("1", r#"{"code":-32601}"#)), StatusCode::OK);
    }
}
