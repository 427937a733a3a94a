//! Which tools of a server its callers get (`tools.allow`, `tools.deny`; `--allow-tool`, `--deny-tool`).
//!
//! Owns the reading of `tools/call` and `tools/list`, and the rewriting of the lists. Stands between what accepts and what
//! connects, so that it holds for every wire, both eras and every sharing; a server without a filter has none. It never
//! passes on what it has not read in the one way that any other reader reads it, and never touches a tool that stays.
//!
//! A message that two readers could read in two ways is refused: a key that stands twice, or that differs from a known one
//! only in case (some servers compare keys without it).

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::mpsc::{self, WeakSender};
use tracing::{debug, warn};

use crate::{
    audit::Reason,
    config::tools::ToolFilter,
    json::{self, Object},
    message::{Frame, Kind, code},
    peer::{Envelope, Inbox, Outbox, PEER_CAPACITY, Peer},
    protocol::method,
    scope::Scope,
};

/// Characters of an unknown tool's name that its caller is shown.
const SHOWN: usize = 100;

/// The filter of one server.
#[derive(Debug)]
pub(super) struct Gate {
    tools: Arc<ToolFilter>,
    scope: Scope,
    /// The way in for exchanges: the server's own, and the one through here. Weak: who counts how many hold a server's way
    /// in, to see whether anybody uses it, is not to count this.
    way: Mutex<Option<(WeakSender<Envelope>, WeakSender<Envelope>)>>,
}

impl Gate {
    /// `None` where every tool is offered: then nothing stands in the way.
    pub(super) fn new(tools: &ToolFilter, scope: &Scope) -> Option<Gate> {
        let closed = || Gate { tools: Arc::new(tools.clone()), scope: scope.clone(), way: Mutex::default() };
        (!tools.is_open()).then(closed)
    }

    /// The server's end of a session, through here.
    pub(super) fn behind(&self, peer: Peer) -> Peer {
        let Peer { tx, rx, home: _ } = peer;
        let (to, passed) = mpsc::channel(PEER_CAPACITY);
        // Answers of the client's come home past the gate: they are no requests.
        let home = to.downgrade();
        self.scope.spawn(pass(self.tools.clone(), rx, to));
        Peer { tx, rx: passed.into(), home }
    }

    /// The way in for exchanges, through here.
    pub(super) fn outbox(&self, server: Outbox) -> Outbox {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        let known = way.as_ref().and_then(|(known, through)| Some((known.upgrade()?, through.upgrade()?)));
        if let Some((known, through)) = known
            && known.same_channel(&server)
            && !through.is_closed()
        {
            return through;
        }
        let (through, rx) = mpsc::channel(PEER_CAPACITY);
        *way = Some((server.downgrade(), through.downgrade()));
        self.scope.spawn(pass(self.tools.clone(), rx.into(), server));
        through
    }

    /// Lets go of the server.
    pub(super) fn close(&self) {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Passes on what may pass. Ends with either side.
async fn pass(tools: Arc<ToolFilter>, mut from: Inbox, to: mpsc::Sender<Envelope>) {
    loop {
        let envelope = tokio::select! {
            envelope = from.recv() => envelope,
            () = to.closed() => None,
        };
        let Some(envelope) = envelope.map(|envelope| admit(&tools, envelope)) else { return };
        if let Some(envelope) = envelope
            && to.send(envelope).await.is_err()
        {
            return;
        }
    }
}

/// The envelope as the server gets it; `None` when it does not.
fn admit(tools: &Arc<ToolFilter>, envelope: Envelope) -> Option<Envelope> {
    let Envelope { from, frame, reply } = envelope;
    match (judge(tools, &frame), reply) {
        (Ok(()), Some(reply)) if frame.method() == method::TOOLS_LIST => {
            let tools = tools.clone();
            let reply = reply.through(move |answer| filtered(&tools, answer));
            Some(Envelope { from, frame, reply: Some(reply) })
        }
        (Ok(()), reply) => Some(Envelope { from, frame, reply }),
        (Err((code, text)), Some(reply)) => {
            reply.refuse(Reason::Tool, code, &text, None);
            None
        }
        (Err((_, text)), None) => {
            debug!("dropped a notification: {text}");
            None
        }
    }
}

/// Whether the server may see this; else code and text of the error.
fn judge(tools: &ToolFilter, frame: &Frame) -> Result<(), (i32, String)> {
    if matches!(frame.kind(), Kind::Response(_)) {
        return Ok(());
    }
    let whole = std::str::from_utf8(frame.bytes()).ok().and_then(Object::parse);
    if whole.is_none_or(|whole| ["jsonrpc", "id", "method", "params"].iter().any(|key| has_double(&whole, key))) {
        let text =
            "the message has a key that can be read as another one; spell \"method\" and \"params\" so, and once";
        return Err((code::INVALID_REQUEST, text.into()));
    }
    if frame.method() != method::TOOLS_CALL {
        return Ok(());
    }
    let Some(params) = frame.body().and_then(Object::parse).filter(|params| !has_double(params, "name")) else {
        return Err((code::INVALID_PARAMS, "tools/call needs params that name one tool, once".into()));
    };
    match params.get("name").and_then(json::string) {
        Some(name) if tools.allows(&name) => Ok(()),
        // As for a tool that is not there (2025-11-25 and 2026-07-28, Tools, Error Handling): it is not, for this caller.
        Some(name) => Err((code::INVALID_PARAMS, unknown(&name))),
        None => Err((code::INVALID_PARAMS, "tools/call needs the name of a tool, a string".into())),
    }
}

/// What a caller hears of a tool that is not there.
pub(super) fn unknown(name: &str) -> String {
    format!("Unknown tool: {}", name.chars().take(SHOWN).collect::<String>())
}

/// Whether another key reads as this one where case makes no difference, by the rules of Unicode: U+017F is an s.
fn has_double(object: &Object<'_>, key: &str) -> bool {
    let folded = |other: &str| other.to_uppercase().to_lowercase();
    object.iter().any(|(other, _)| other != key && folded(other) == key)
}

/// The answer to `tools/list` without what is not offered.
fn filtered(tools: &ToolFilter, answer: Frame) -> Frame {
    if !matches!(answer.kind(), Kind::Response(_)) || answer.is_error() {
        return answer;
    }
    let without = answer.body().and_then(|result| allowed(tools, result));
    match without {
        Some(None) => answer,
        Some(Some(result)) => Frame::result(answer.id_text(), &result),
        None => {
            warn!("a list of tools cannot be read, so that it cannot be filtered; refused");
            let text = "the server's list of tools cannot be read, and only some of its tools are offered";
            Frame::error(answer.id_text(), code::INTERNAL, text, None)
        }
    }
}

/// The result with the tools that are offered; `Some(None)` where all are, `None` where it cannot be read.
fn allowed(tools: &ToolFilter, result: &str) -> Option<Option<String>> {
    let mut result = Object::parse(result)?;
    let Some(listed) = json::member(&result, "tools") else { return Some(None) };
    let all = json::array(listed)?;
    let is_allowed = |tool: &&str| name_of(tool).is_some_and(|name| tools.allows(&name));
    let kept: Vec<&str> = all.iter().copied().filter(is_allowed).collect();
    if kept.len() == all.len() {
        return Some(None);
    }
    result.set("tools", json::join(kept));
    Some(Some(result.text()))
}

/// A tool of a list that has no name, or more than one, is none that can be called.
fn name_of(tool: &str) -> Option<Cow<'_, str>> {
    json::member(&Object::parse(tool)?, "name").and_then(json::string)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::tools::Glob;

    fn tools() -> ToolFilter {
        ToolFilter { allow: Some(vec![Glob::new("read_*")]), deny: vec![Glob::new("*_secret")] }
    }

    fn frame(text: &str) -> Frame {
        Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_call_passes_only_where_every_reader_sees_an_allowed_name() {
        let call = |params: &str| {
            judge(&tools(), &frame(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)))
        };
        assert_eq!(call(r#"{"name":"read_file"}"#), Ok(()));
        assert_eq!(call(r#"{"name":"re\u0061d_file","task":{"ttl":1},"arguments":{"name":"x","Name":"y"}}"#), Ok(()));
        for (params, why) in [
            (r#"{"name":"write_file"}"#, "Unknown tool: write_file"),
            (r#"{"name":"read_secret","task":{"ttl":1}}"#, "Unknown tool: read_secret"),
            (r#"{"name":"read_file","name":"write_file"}"#, "once"),
            (r#"{"name":"write_file","n\u0061me":"read_file"}"#, "once"),
            (r#"{"name":"read_file","Name":"write_file"}"#, "once"),
            (r#"{"name":7}"#, "a string"),
            ("{}", "a string"),
            (r#"["read_file"]"#, "once"),
        ] {
            let (code, text) = call(params).unwrap_err();
            assert!(code == code::INVALID_PARAMS && text.contains(why), "{params}: {text}");
        }
    }

    #[test]
    fn a_message_with_a_second_method_or_second_params_in_other_letters_is_refused() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"write_file"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_x"},"PARAMS":{"name":"write_file"}}"#,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"read_x\"},\"param\u{17f}\":{\"name\":\"w\"}}",
            r#"{"jsonrpc":"2.0","method":"x","x":1,"x":2}"#,
        ] {
            assert_eq!(judge(&tools(), &frame(text)).unwrap_err().0, code::INVALID_REQUEST, "{text}");
        }
        assert_eq!(judge(&tools(), &frame(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)), Ok(()));
    }

    #[test]
    fn what_stays_in_a_list_keeps_its_bytes() {
        let kept = r#"{ "name":"read_a", "inputSchema":{"x": 1.0}, "é":"\u00e9"}"#;
        let result = format!(
            r#"{{"tools":[{{"name":"write"}}, {kept} ,{{"name":"read_secret"}},{{}},7],"nextCursor":"c","x":1e3}}"#
        );
        let answer = filtered(&tools(), Frame::result("5", &result));
        assert_eq!(answer.body(), Some(&*format!(r#"{{"tools":[{kept}],"nextCursor":"c","x":1e3}}"#)));
        assert_eq!(answer.id_text(), "5");
        let whole = Frame::result("5", &format!(r#"{{ "tools":[{kept}] }}"#));
        assert_eq!(filtered(&tools(), whole.clone()).bytes(), whole.bytes());
        for twice in [r#"{"tools":[],"tools":[{"name":"write"}]}"#, r#"{"tools":{}}"#, "7"] {
            assert!(filtered(&tools(), Frame::result("5", twice)).is_error(), "{twice}");
        }
    }
}
