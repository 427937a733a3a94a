//! The words of the protocol that the bridge itself has to know: revisions, eras, keys of `_meta`, log levels.
//!
//! Pure tables and readers. Talks to nobody. It never holds a rule of one transport or one translation; those stand where
//! they are applied.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::{
    json::{self, Object},
    message::{Frame, Id, Kind},
};

/// The newest legacy revision: what the bridge offers when it initializes a server itself.
pub const NEWEST_LEGACY: &str = "2025-11-25";

/// The modern revision: the one that the bridge speaks.
pub const MODERN: &str = "2026-07-28";

/// Keys of `_meta` that the modern era gives a meaning (2026-07-28, Base Protocol, `_meta`).
pub mod meta {
    /// Of a request: its revision. Required.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Of a request: what the client can do. Required.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Of a request: who the client is.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Of a request: the least severe log line that it wants. Absent: none at all.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Of a result: who the server is.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// Of what a subscription brings, and of its result: the id of the `subscriptions/listen` request.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// Of a request, in every era: what its progress is to carry.
    pub const PROGRESS_TOKEN: &str = "progressToken";
}

/// Methods that more than one module has to know.
pub mod method {
    /// Legacy: opens a session.
    pub const INITIALIZE: &str = "initialize";
    /// Legacy: the client has taken the answer to `initialize`.
    pub const INITIALIZED: &str = "notifications/initialized";
    /// Modern: what the server is and can do.
    pub const DISCOVER: &str = "server/discover";
    /// Modern: a request that stays open, and brings changes.
    pub const LISTEN: &str = "subscriptions/listen";
    /// Modern: the first message of a subscription.
    pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
    /// Both: a request is not wanted any more.
    pub const CANCELLED: &str = "notifications/cancelled";
    /// Both: how far a request has come.
    pub const PROGRESS: &str = "notifications/progress";
    /// Both: a log line.
    pub const MESSAGE: &str = "notifications/message";
    /// Both.
    pub const TOOLS_LIST: &str = "tools/list";
    /// Both.
    pub const TOOLS_CALL: &str = "tools/call";
    /// Both.
    pub const PROMPTS_GET: &str = "prompts/get";
    /// Both.
    pub const RESOURCES_READ: &str = "resources/read";
}

/// Requests that a modern server may answer with `input_required` (2026-07-28, Multi Round-Trip Requests, Supported
/// Requests), and whose legacy form may make a server ask back.
pub fn may_ask_back(name: &str) -> bool {
    matches!(name, method::TOOLS_CALL | method::PROMPTS_GET | method::RESOURCES_READ)
}

/// Which generation of the protocol somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: an `initialize` handshake, then a session.
    Legacy,
    /// 2026-07-28: stateless requests.
    Modern,
}

/// A revision, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// 2024-11-05, which has no Streamable HTTP; a server may negotiate it all the same.
    V2024_11_05,
    /// 2025-03-26: batches.
    V2025_03_26,
    /// 2025-06-18: the version header.
    V2025_06_18,
    /// 2025-11-25: priming events and `retry`.
    V2025_11_25,
    /// 2026-07-28: no handshake, no session.
    V2026_07_28,
}

impl Revision {
    /// Every revision with its name, oldest first.
    pub const ALL: [(&'static str, Revision); 5] = [
        ("2024-11-05", Revision::V2024_11_05),
        ("2025-03-26", Revision::V2025_03_26),
        ("2025-06-18", Revision::V2025_06_18),
        (NEWEST_LEGACY, Revision::V2025_11_25),
        (MODERN, Revision::V2026_07_28),
    ];

    /// Reads the name of a revision.
    pub fn parse(name: &str) -> Option<Revision> {
        Revision::ALL.iter().find(|(known, _)| *known == name).map(|(_, revision)| *revision)
    }

    /// Reads the name of a revision with a handshake.
    pub fn parse_legacy(name: &str) -> Option<Revision> {
        Revision::parse(name).filter(|revision| revision.era() == Era::Legacy)
    }

    /// The generation that it belongs to.
    pub fn era(self) -> Era {
        if self >= Revision::V2026_07_28 { Era::Modern } else { Era::Legacy }
    }
}

/// How severe a log line is (RFC 5424, as both eras name it), least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The names say it.
pub enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    const ALL: [(&'static str, Level); 8] = [
        ("debug", Level::Debug),
        ("info", Level::Info),
        ("notice", Level::Notice),
        ("warning", Level::Warning),
        ("error", Level::Error),
        ("critical", Level::Critical),
        ("alert", Level::Alert),
        ("emergency", Level::Emergency),
    ];

    /// Reads a level's name.
    pub fn parse(name: &str) -> Option<Level> {
        Level::ALL.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }

    /// The level's name.
    pub fn name(self) -> &'static str {
        Level::ALL.iter().find(|(_, level)| *level == self).map_or("debug", |(name, _)| name)
    }
}

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
        if matches!(frame.kind(), Kind::Response(_)) {
            return None;
        }
        let found = frame.own_meta(|params| {
            let RequestMeta { version, capabilities, client, level } = RequestMeta::in_params(params)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Frame {
        Frame::parse(bytes::Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_message_tells_its_era_by_its_metadata() {
        let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        assert_eq!(era_of(&frame(modern)), Era::Modern);
        // It is refused in that era, and must not change the pipe of a client that speaks it.
        assert_eq!(era_of(&frame(&modern.replace("tools/list", "initialize"))), Era::Modern);
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
    fn levels_and_revisions_have_an_order() {
        assert!(Level::parse("debug") < Level::parse("warning"));
        assert_eq!(Level::parse("loud"), None);
        assert_eq!(Level::Alert.name(), "alert");
        assert!(Revision::V2025_03_26 < Revision::V2025_11_25);
        assert_eq!(Revision::parse_legacy(MODERN), None);
        assert_eq!(Revision::parse(MODERN).map(Revision::era), Some(Era::Modern));
    }
}
