//! What it takes to open a session again: the memory of how the client opened it.
//!
//! Owns the `initialize` frame and its result, whether `notifications/initialized` followed, the log level and the
//! subscriptions. Both remote wires use it when a server has forgotten them. Pure: no I/O, no clock, no logging. It
//! keeps nothing of any call, so it cannot repeat one.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    message::{Frame, Id, Kind},
    protocol::LISTS,
};

/// Subscriptions that are remembered; the oldest goes first. Bounds what one client can make the bridge keep.
pub const MAX_SUBSCRIPTIONS: usize = 1024;

/// The memory of one session.
#[derive(Debug, Default)]
pub struct Handshake {
    initialize: Option<Frame>,
    opened: Option<Opened>,
    initialized: Option<Frame>,
    level: Option<Frame>,
    subscriptions: VecDeque<(String, Frame)>,
}

/// What the bridge needs of a result of `initialize`.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The negotiated revision.
    pub version: Option<String>,
    server: Value,
    capabilities: Value,
}

/// The messages that open the session again, in this order. Requests carry ids of the bridge's own.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The request.
    pub initialize: Frame,
    /// Sent once `initialize` was answered; `None` when the client had not come so far.
    pub initialized: Option<Frame>,
    /// `logging/setLevel` and `resources/subscribe`, sent after that.
    pub state: Vec<Frame>,
}

#[derive(Deserialize)]
struct InitializeResult {
    #[serde(default, rename = "protocolVersion")]
    version: Option<String>,
    #[serde(default, rename = "serverInfo")]
    server: Value,
    #[serde(default)]
    capabilities: Value,
}

#[derive(Deserialize)]
struct Subscription {
    uri: String,
}

impl Opened {
    /// Reads the answer to `initialize`; `None` when it is an error or no such result.
    pub fn read(answer: &Frame) -> Option<Opened> {
        if answer.is_error() {
            return None;
        }
        let InitializeResult { version, server, capabilities } = serde_json::from_str(answer.body()?).ok()?;
        Some(Opened { version, server, capabilities })
    }

    /// The list changes to tell a client that knows `self` when the server is now `new`: one for each list that `self`
    /// declared it would report on. Empty when server and capabilities are the same.
    pub fn changes(&self, new: &Opened) -> Vec<Frame> {
        if self == new {
            return Vec::new();
        }
        let declared = |list: &str| {
            let capability = self.capabilities.get(list).and_then(|list| list.get("listChanged"));
            capability.and_then(Value::as_bool).unwrap_or_default()
        };
        let declared = LISTS.into_iter().filter(|list| declared(list.capability));
        declared.map(|list| Frame::notification(list.changed, None)).collect()
    }
}

impl Handshake {
    /// Takes note of a message that goes to the server.
    pub fn sent(&mut self, frame: &Frame) {
        match (frame.kind(), frame.method()) {
            (Kind::Request(_), "initialize") => {
                *self = Handshake { initialize: Some(frame.clone()), ..Self::default() }
            }
            (Kind::Notification, "notifications/initialized") => self.initialized = Some(frame.clone()),
            (Kind::Request(_), "logging/setLevel") => self.level = Some(frame.clone()),
            (Kind::Request(_), "resources/subscribe") => self.subscribe(frame),
            (Kind::Request(_), "resources/unsubscribe") => {
                let uri = subject(frame);
                self.subscriptions.retain(|(known, _)| Some(known) != uri.as_ref());
            }
            _ => {}
        }
    }

    /// Takes note of the answer to the client's `initialize`.
    pub fn opened(&mut self, answer: &Frame) {
        self.opened = Opened::read(answer);
    }

    /// Whether this message answers the `initialize` that was sent last, and is the first to do so.
    pub fn awaits(&self, frame: &Frame) -> bool {
        let asked = self.initialize.as_ref().filter(|_| self.opened.is_none()).map(Frame::kind);
        matches!((asked, frame.kind()), (Some(Kind::Request(asked)), Kind::Response(Some(id))) if asked == id)
    }

    /// What the client was told about the server.
    pub fn known(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// Puts what the server says now in the place of what it said before.
    pub fn reopened(&mut self, now: Opened) {
        self.opened = Some(now);
    }

    /// The messages that open the session again. `None` when it was never open.
    pub fn replay(&self) -> Option<Replay> {
        let initialize = self.initialize.as_ref().filter(|_| self.opened.is_some())?;
        let state = self.level.iter().chain(self.subscriptions.iter().map(|(_, frame)| frame));
        Some(Replay {
            initialize: own(initialize, 0),
            initialized: self.initialized.clone(),
            state: state.enumerate().map(|(index, frame)| own(frame, index + 1)).collect(),
        })
    }

    fn subscribe(&mut self, frame: &Frame) {
        let Some(uri) = subject(frame) else { return };
        self.subscriptions.retain(|(known, _)| *known != uri);
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            self.subscriptions.pop_front();
        }
        self.subscriptions.push_back((uri, frame.clone()));
    }
}

/// The same request under an id of the bridge's own, which no client's id can equal by accident.
fn own(frame: &Frame, index: usize) -> Frame {
    frame.with_id(&Id::Text(format!("mcp-bridge/reopen/{index}").into()).to_json())
}

fn subject(frame: &Frame) -> Option<String> {
    serde_json::from_str::<Subscription>(frame.body()?).ok().map(|subscription| subscription.uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(text: &str) -> Frame {
        Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn opened(capabilities: &str, server: &str) -> Opened {
        let result =
            format!(r#"{{"protocolVersion":"2025-06-18","capabilities":{capabilities},"serverInfo":{server}}}"#);
        Opened::read(&Frame::result("1", &result)).unwrap()
    }

    fn open_session() -> Handshake {
        let mut memory = Handshake::default();
        memory.sent(&frame(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"x":1.0}}"#));
        let answer = Frame::result("0", r#"{"protocolVersion":"2025-06-18","capabilities":{}}"#);
        assert!(memory.awaits(&answer));
        memory.opened(&answer);
        assert!(!memory.awaits(&answer), "only the first answer counts");
        memory.sent(&frame(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#));
        memory
    }

    #[test]
    fn a_session_that_was_never_open_cannot_be_opened_again() {
        let mut memory = Handshake::default();
        assert!(memory.replay().is_none());
        memory.sent(&frame(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#));
        memory.opened(&Frame::error("0", -32602, "no", None));
        assert!(memory.replay().is_none());
    }

    #[test]
    fn the_replay_has_the_clients_params_under_ids_of_our_own() {
        let replay = open_session().replay().unwrap();
        assert_eq!(replay.initialize.body(), Some(r#"{"x":1.0}"#));
        assert_eq!(replay.initialize.id_text(), r#""mcp-bridge/reopen/0""#);
        assert!(replay.initialized.is_some());
        assert!(replay.state.is_empty());
    }

    #[test]
    fn the_last_level_and_the_living_subscriptions_are_replayed_and_no_call() {
        let mut memory = open_session();
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"error"}}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"a://1"}}"#,
            r#"{"jsonrpc":"2.0","id":4,"method":"resources/subscribe","params":{"uri":"a://2"}}"#,
            r#"{"jsonrpc":"2.0","id":5,"method":"resources/unsubscribe","params":{"uri":"a://1"}}"#,
            r#"{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"pay"}}"#,
        ] {
            memory.sent(&frame(text));
        }
        let replay = memory.replay().unwrap();
        let bodies: Vec<_> = replay.state.iter().filter_map(Frame::body).collect();
        assert_eq!(bodies, [r#"{"level":"error"}"#, r#"{"uri":"a://2"}"#]);
    }

    #[test]
    fn subscriptions_are_bounded() {
        let mut memory = open_session();
        for n in 0..MAX_SUBSCRIPTIONS + 5 {
            let text =
                format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"resources/subscribe","params":{{"uri":"a://{n}"}}}}"#);
            memory.sent(&frame(&text));
        }
        assert_eq!(memory.replay().unwrap().state.len(), MAX_SUBSCRIPTIONS);
    }

    #[test]
    fn a_changed_server_makes_the_declared_lists_change() {
        let old = opened(
            r#"{"tools":{"listChanged":true},"prompts":{},"resources":{"listChanged":true}}"#,
            r#"{"name":"a"}"#,
        );
        let same = opened(
            r#"{"prompts":{},"resources":{"listChanged":true},"tools":{"listChanged":true}}"#,
            r#"{"name":"a"}"#,
        );
        assert!(old.changes(&same).is_empty());
        let new = opened("{}", r#"{"name":"a"}"#);
        let methods: Vec<_> = old.changes(&new).iter().map(|frame| frame.method().to_owned()).collect();
        assert_eq!(methods, ["notifications/tools/list_changed", "notifications/resources/list_changed"]);
    }
}
