//! The words of the protocol that the bridge itself has to know: revisions, eras, keys of `_meta`, log levels.
//!
//! Owns the tables here, and in `shapes` the JSON that more than one module reads or writes. Pure. Talks to nobody. It never
//! holds a rule of one transport or one translation; those stand where they are applied.

mod shapes;

pub use self::shapes::{
    ErrorHead, RequestMeta, cancellation, discover, era_of, is_modern, meta_beside, params_of, subscription_ended,
    supported_versions,
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
    /// Legacy (2025-11-25, Tasks): the task that a message belongs to.
    pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
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
    /// Both: the list of tools is another now.
    pub const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
    /// Both: the list of prompts is.
    pub const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
    /// Both: the list of resources is.
    pub const RESOURCES_CHANGED: &str = "notifications/resources/list_changed";
    /// Both: what a resource says is.
    pub const RESOURCE_UPDATED: &str = "notifications/resources/updated";
    /// Both.
    pub const TOOLS_LIST: &str = "tools/list";
    /// Both.
    pub const TOOLS_CALL: &str = "tools/call";
    /// Both.
    pub const PROMPTS_GET: &str = "prompts/get";
    /// Both.
    pub const RESOURCES_READ: &str = "resources/read";
}

/// A kind of list that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    /// The capability of the server whose `listChanged` promises to tell.
    pub capability: &'static str,
    /// What tells.
    pub changed: &'static str,
    /// The member that asks for it in the filter of `subscriptions/listen`.
    pub filter: &'static str,
}

/// The kinds of lists that change.
pub const LISTS: [List; 3] = [
    List { capability: "tools", changed: method::TOOLS_CHANGED, filter: "toolsListChanged" },
    List { capability: "prompts", changed: method::PROMPTS_CHANGED, filter: "promptsListChanged" },
    List { capability: "resources", changed: method::RESOURCES_CHANGED, filter: "resourcesListChanged" },
];

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

    /// Its name.
    pub fn name(self) -> &'static str {
        Revision::ALL.iter().find(|(_, revision)| *revision == self).map_or(NEWEST_LEGACY, |(name, _)| name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_revisions_have_an_order() {
        assert!(Level::parse("debug") < Level::parse("warning"));
        assert_eq!(Level::parse("loud"), None);
        assert_eq!(Level::Alert.name(), "alert");
        assert!(Revision::V2025_03_26 < Revision::V2025_11_25);
        assert_eq!(Revision::parse_legacy(MODERN), None);
        assert_eq!(Revision::parse(MODERN).map(Revision::era), Some(Era::Modern));
        assert!(Revision::ALL.iter().all(|(name, revision)| revision.name() == *name));
    }
}
