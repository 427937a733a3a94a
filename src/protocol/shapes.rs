//! JSON shapes that more than one module reads or writes.

use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem::Finder;

use super::{Era, MODERN, meta, method};
use crate::{
    json::{self, Object},
    message::{Frame, Id, Kind},
};

/// What the `_meta` of a modern request says. All values are JSON text as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestMeta<'a> {
    /// `io.modelcontextprotocol/protocolVersion`, if it is there.
    pub version: Option<&'a str>,
    /// `io.modelcontextprotocol/clientCapabilities`, if it is there.
    pub capabilities: Option<&'a str>,
    /// `io.modelcontextprotocol/clientInfo`, if it is there.
    pub client: Option<&'a str>,
    /// `io.modelcontextprotocol/logLevel`, if it is there.
    pub level: Option<&'a str>,
}

impl<'a> RequestMeta<'a> {
    /// Reads a request or notification; `None` when it carries nothing that belongs to the modern era alone. What was
    /// found is remembered in the frame.
    pub fn of(frame: &'a Frame) -> Option<RequestMeta<'a>> {
        RequestMeta::found(frame, RequestMeta::in_params)
    }

    fn found(frame: &'a Frame, find: impl FnOnce(&'a str) -> Option<RequestMeta<'a>>) -> Option<RequestMeta<'a>> {
        if matches!(frame.kind(), Kind::Response(_)) {
            return None;
        }
        let found = frame.own_meta(|params| {
            let RequestMeta { version, capabilities, client, level } = find(params)?;
            Some([version, capabilities, client, level])
        });
        found.map(|[version, capabilities, client, level]| RequestMeta { version, capabilities, client, level })
    }

    /// The same of params as JSON text.
    pub fn in_params(params: &'a str) -> Option<RequestMeta<'a>> {
        // Most messages of the legacy era have none: a search costs a hundredth of a parse. Without the slash: some
        // writers of JSON, PHP's among them, put a backslash before it.
        static PREFIX: LazyLock<Finder> = LazyLock::new(|| Finder::new("io.modelcontextprotocol"));
        PREFIX.find(params.as_bytes())?;
        RequestMeta::in_object(&Object::parse(params)?)
    }

    /// The same of params that were read already.
    pub fn in_object(params: &Object<'a>) -> Option<RequestMeta<'a>> {
        let meta = Object::parse(json::member(params, "_meta")?)?;
        let found = RequestMeta {
            version: json::member(&meta, meta::PROTOCOL_VERSION),
            capabilities: json::member(&meta, meta::CLIENT_CAPABILITIES),
            client: json::member(&meta, meta::CLIENT_INFO),
            level: json::member(&meta, meta::LOG_LEVEL),
        };
        let any = found.version.or(found.capabilities).or(found.client).or(found.level);
        any.map(|_| found)
    }
}

/// The params of a request, for a reader that needs more of them than the metadata, which is remembered in the frame from
/// this one pass. `None` when there are none that can be read.
pub fn params_of(request: &Frame) -> Option<Object<'_>> {
    let params = request.object()?;
    RequestMeta::found(request, |_| RequestMeta::in_object(&params));
    Some(params)
}

/// The bridge's own question: what are you?
pub fn discover() -> Frame {
    let params = serde_json::json!({
        "_meta": {
            meta::PROTOCOL_VERSION: MODERN,
            meta::CLIENT_INFO: { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
            meta::CLIENT_CAPABILITIES: {},
        }
    });
    let id = Id::Text("mcp-bridge/discover".into());
    Frame::request(&id, method::DISCOVER, Some(&params.to_string()))
}

/// The era of a client's message, as far as it tells: what names a revision in its `_meta` is modern (2026-07-28,
/// Versioning: a request with modern metadata is stateless whatever came before), and so is `server/discover`.
pub fn era_of(frame: &Frame) -> Era {
    match RequestMeta::of(frame) {
        Some(RequestMeta { version: Some(_), .. }) => Era::Modern,
        _ if frame.method() == method::DISCOVER => Era::Modern,
        _ => Era::Legacy,
    }
}

/// The `_meta` of a call, for a request that the bridge makes beside it and on its account: without what makes a server
/// report on the call. JSON text.
pub fn meta_beside(call: &Frame) -> String {
    let params = call.body().and_then(Object::parse).unwrap_or_default();
    let mut own = json::member(&params, "_meta").and_then(Object::parse).unwrap_or_default();
    own.retain(|key| key != meta::PROGRESS_TOKEN && key != meta::LOG_LEVEL);
    own.to_string()
}

/// Takes the request `id` (JSON text) back.
pub fn cancellation(id: &str, reason: Option<&str>) -> Frame {
    let reason = reason.map_or(String::new(), |reason| format!(",\"reason\":{}", json::quote(reason)));
    Frame::notification(method::CANCELLED, Some(&format!("{{\"requestId\":{id}{reason}}}")))
}

/// The result with which the subscription `id` (JSON text) ends in good order (2026-07-28, Subscriptions, Graceful Closure).
pub fn subscription_ended(id: &str) -> String {
    format!("{{\"resultType\":\"complete\",\"_meta\":{{\"{}\":{id}}}}}", meta::SUBSCRIPTION_ID)
}

/// The parts of an error that the bridge looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorHead {
    /// `None` when it is none of those that the protocol has room for.
    pub code: Option<i32>,
    /// Empty when there is none.
    pub message: String,
}

impl ErrorHead {
    /// Reads an answer; `None` when it is no error.
    pub fn of(answer: &Frame) -> Option<ErrorHead> {
        if !answer.is_error() {
            return None;
        }
        let error = answer.body().and_then(Object::parse).unwrap_or_default();
        let message = error.get("message").and_then(json::string).map(Cow::into_owned);
        let code = error.get("code").and_then(|code| code.parse().ok());
        Some(ErrorHead { code, message: message.unwrap_or_default() })
    }

    /// The code of an answer that is an error.
    pub fn code_of(answer: &Frame) -> Option<i32> {
        ErrorHead::of(answer)?.code
    }
}

/// The revisions that an answer to [`discover`], or an error about the revision, names; `None` when it names none.
pub fn supported_versions(answer: &Frame) -> Option<Vec<String>> {
    let body = Object::parse(answer.body()?)?;
    let named = if answer.is_error() {
        json::member(&Object::parse(json::member(&body, "data")?)?, "supported")?
    } else {
        json::member(&body, "supportedVersions")?
    };
    let named = json::array(named).unwrap_or_default();
    Some(named.into_iter().filter_map(json::string).map(Cow::into_owned).collect())
}

/// Whether this answer to [`discover`] comes from a server that speaks the modern revision (2026-07-28, Versioning).
pub fn is_modern(answer: &Frame) -> bool {
    let named = supported_versions(answer).unwrap_or_default();
    !answer.is_error() && named.iter().any(|version| version == MODERN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::code;

    fn frame(text: &str) -> Frame {
        Frame::parse(bytes::Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_message_tells_its_era_by_its_metadata() {
        let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        assert_eq!(era_of(&frame(modern)), Era::Modern);
        for (text, era) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#, Era::Legacy),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, Era::Legacy),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"io.modelcontextprotocol/"}}"#, Era::Legacy),
            (r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#, Era::Modern),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol\/protocolVersion":"1"}}}"#,
                Era::Modern,
            ),
        ] {
            assert_eq!(era_of(&frame(text)), era, "{text}");
        }
        // It is refused in that era, and must not change the pipe of a client that speaks it.
        assert_eq!(era_of(&frame(&modern.replace("tools/list", "initialize"))), Era::Modern);
        let modern = frame(modern);
        let meta = RequestMeta::of(&modern).unwrap();
        assert_eq!((meta.version, meta.capabilities), (Some("\"2026-07-28\""), Some("{}")));
    }

    #[test]
    fn what_a_frame_remembers_of_its_metadata_moves_with_it() {
        let text = r#"{"id":1,"method":"x","jsonrpc":"2.0","params":{"_meta":{"progressToken":"a","io.modelcontextprotocol/logLevel":"info","io.modelcontextprotocol/clientInfo":{}}}}"#;
        let first = frame(text);
        let level = |frame: &Frame| RequestMeta::of(frame).and_then(|meta| meta.level.map(str::to_string));
        let client = |frame: &Frame| RequestMeta::of(frame).and_then(|meta| meta.client.map(str::to_string));
        for frame in [&first, &first.with_id("\"a longer id\""), &first.with(Some("2"), Some("\"a longer token\""))] {
            for _ in 0..2 {
                assert_eq!(level(frame).as_deref(), Some("\"info\""), "{frame:?}");
                assert_eq!(client(frame).as_deref(), Some("{}"), "{frame:?}");
                assert_eq!(RequestMeta::of(frame).unwrap().version, None);
            }
        }
        let other = frame(r#"{"id":1,"method":"x","jsonrpc":"2.0","params":{"_meta":{"progressToken":"a"}}}"#);
        assert!(RequestMeta::of(&other).is_none() && RequestMeta::of(&other).is_none());
    }

    #[test]
    fn an_error_is_read_as_far_as_it_can_be() {
        let head =
            |error: &str| ErrorHead::of(&frame(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#))).unwrap();
        let whole = ErrorHead { code: Some(-32601), message: "a\"b".into() };
        assert_eq!(head(r#"{"code":-32601,"message":"a\"b"}"#), whole);
        assert_eq!(head(r#"{"code":99999999999}"#), ErrorHead::default());
        assert_eq!(head("7"), ErrorHead::default());
        assert_eq!(ErrorHead::of(&Frame::result("1", r#"{"code":-32601}"#)), None);
    }

    #[test]
    fn revisions_are_read_from_results_and_errors() {
        let result = |text: &str| supported_versions(&Frame::result("1", text));
        assert_eq!(result(r#"{"supportedVersions":["2026-07-28",7]}"#), Some(vec![MODERN.to_string()]));
        assert_eq!(result(r#"{"supportedVersions":7}"#), Some(Vec::new()));
        assert_eq!(result(r#"{"data":{"supported":["x"]}}"#), None);
        let data = serde_json::json!({ "supported": ["x"] });
        assert_eq!(supported_versions(&Frame::error("1", 1, "", Some(data))), Some(vec!["x".to_string()]));
        assert_eq!(supported_versions(&Frame::error("1", 1, "", None)), None);
    }

    #[test]
    fn what_is_asked_beside_a_call_bears_its_metadata_without_its_reports() {
        let call = frame(
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":1,"a": 1.0,"io.modelcontextprotocol/logLevel":"info"}}}"#,
        );
        assert_eq!(meta_beside(&call), r#"{"a":1.0}"#);
        assert_eq!(meta_beside(&Frame::notification("x", None)), "{}");
    }

    #[test]
    fn only_a_result_that_names_the_revision_is_modern() {
        let id = "\"mcp-bridge/discover\"";
        for (answer, modern) in [
            (Frame::result(id, r#"{"resultType":"complete","supportedVersions":["2026-07-28"]}"#), true),
            (Frame::result(id, r#"{"supportedVersions":["2025-11-25"]}"#), false),
            (Frame::result(id, "{}"), false),
            (Frame::error(id, code::METHOD_NOT_FOUND, "no", None), false),
            (Frame::error(id, code::INVALID_PARAMS, "Invalid request parameters", None), false),
        ] {
            assert_eq!(is_modern(&answer), modern, "{answer:?}");
        }
    }
}
