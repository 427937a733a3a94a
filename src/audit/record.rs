//! What a line of the audit log says. Pure.
//!
//! Owns the events, their fields and the form of a line. Talks to nobody. It never holds what was said in a call: no
//! params, no results, no headers, no URLs, and no texts of errors.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{
    config::ServerName,
    date, json,
    message::{Frame, code, text},
    protocol::{ErrorHead, method},
};

/// Most characters of a name that somebody else chose: a method, a tool, a principal. More would be a way to fill the disk.
const MAX_NAME: usize = 128;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When it was over.
    pub time: SystemTime,
    /// Whose it is.
    pub who: Arc<Who>,
    /// The session that it belongs to.
    pub session: Option<Arc<str>>,
    /// What happened.
    pub event: Event,
}

/// Who called whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// The server that was called by the request's path.
    pub server: Option<ServerName>,
    /// The wire that it was called over.
    pub wire: Option<&'static str>,
    /// Whom the door let in; `None` where it is open, and before it.
    pub principal: Option<Arc<str>>,
    /// The client's; `None` on a Unix socket.
    pub address: Option<IpAddr>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A session ended.
    Session {
        /// From its beginning.
        took: Duration,
        /// Calls that were answered in it.
        calls: u64,
        /// Bytes of all calls and their answers.
        bytes: Bytes,
    },
    /// A request was answered.
    Call {
        /// What was asked.
        what: What,
        /// The server that it went to, where several are one.
        routed: Option<Routed>,
        /// What came of it.
        outcome: Outcome,
        /// From the request to its answer.
        took: Duration,
        /// Of its messages.
        bytes: Bytes,
    },
    /// Something was refused.
    Refusal {
        /// Why.
        reason: Reason,
        /// The HTTP status that said so.
        status: Option<u16>,
        /// The JSON-RPC code that said so.
        code: Option<i32>,
        /// What was asked, if that was read.
        what: Option<What>,
        /// The server that it was for, where several are one.
        routed: Option<Routed>,
    },
    /// Lines were not written.
    Lost {
        /// How many.
        count: u64,
    },
}

/// Bytes of messages, without what a transport wraps them in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// From the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
}

/// What a request asks for, without its params.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct What {
    method: Box<str>,
    /// Of `tools/call`.
    tool: Option<Box<str>>,
}

impl What {
    /// What this request asks for.
    pub fn of(request: &Frame) -> What {
        What { method: cut(request.method()), tool: tool_of(request) }
    }

    /// Its method.
    pub(super) fn method(&self) -> &str {
        &self.method
    }
}

/// Where a request went when several servers are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    server: Box<str>,
    /// The server's own name for the tool.
    tool: Option<Box<str>>,
}

impl Routed {
    /// To this server, which gets this request.
    pub fn new(server: &str, request: &Frame) -> Routed {
        Routed { server: server.into(), tool: tool_of(request) }
    }
}

fn tool_of(request: &Frame) -> Option<Box<str>> {
    if request.method() != method::TOOLS_CALL {
        return None;
    }
    let params = request.object()?;
    json::member(&params, "name").and_then(json::string).map(|name| cut(&name))
}

/// JSON has escapes for the control characters of ASCII but the last; a terminal that shows the file heeds the others, too.
fn cut(name: &str) -> Box<str> {
    let fits = name.char_indices().nth(MAX_NAME).is_none();
    if fits && !name.contains(is_control) {
        return name.into();
    }
    let shown = name.chars().take(MAX_NAME).map(|c| if is_control(c) { char::REPLACEMENT_CHARACTER } else { c });
    shown.chain((!fits).then_some('…')).collect()
}

fn is_control(c: char) -> bool {
    c >= '\u{7f}' && c.is_control()
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A result.
    Ok,
    /// A result that says that the tool failed.
    ToolError,
    /// A result that asks for more (2026-07-28): the call is made again with it.
    InputRequired,
    /// An error, with its JSON-RPC code.
    Error(Option<i32>),
    /// The caller took it back.
    Cancelled,
    /// The server did not answer in `--request-timeout`.
    Timeout,
    /// Nobody was there to hear the answer.
    Gone,
}

impl Outcome {
    /// What this answer to a request of that method means.
    pub fn of(answer: &Frame, method: &str) -> Outcome {
        if let Some(error) = ErrorHead::of(answer) {
            return match error.code {
                Some(code::CANCELLED) => Outcome::Cancelled,
                // The bridge's own words, whichever wire gave up waiting.
                Some(code::LIMIT) if text::is_late(&error.message) => Outcome::Timeout,
                code => Outcome::Error(code),
            };
        }
        // No other method has either, and what a server lists can be large.
        if !matches!(method, method::TOOLS_CALL | method::PROMPTS_GET | method::RESOURCES_READ) {
            return Outcome::Ok;
        }
        let result = answer.object().unwrap_or_default();
        match (result.get("isError"), result.get("resultType").and_then(json::string).as_deref()) {
            (Some("true"), _) => Outcome::ToolError,
            (_, Some("input_required")) => Outcome::InputRequired,
            _ => Outcome::Ok,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::ToolError => "tool_error",
            Outcome::InputRequired => "input_required",
            Outcome::Error(_) => "error",
            Outcome::Cancelled => "cancelled",
            Outcome::Timeout => "timeout",
            Outcome::Gone => "gone",
        }
    }
}

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The `Host` is not served here.
    Host,
    /// The page may not call.
    Origin,
    /// No token, or a wrong one.
    Token,
    /// The token does not cover this.
    Scope,
    /// The client's certificate names nobody.
    Certificate,
    /// `--rate-limit`.
    Rate,
    /// Too many calls at once.
    Calls,
    /// All sessions, processes or exchanges are in use.
    Busy,
    /// The server, or the authorization server, cannot be had.
    Unavailable,
    /// The tool is not offered.
    Tool,
    /// The session is another principal's.
    Session,
}

/// A line as it is written; absent where nothing is known.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wire: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_out: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

impl Record {
    /// Appends the line, one JSON object and a newline.
    pub fn write(&self, to: &mut Vec<u8>) {
        let who = &*self.who;
        let mut line = Line {
            time: timestamp(self.time),
            server: who.server.as_ref().map(ServerName::as_str),
            wire: who.wire,
            session: self.session.as_deref(),
            principal: who.principal.as_deref().map(cut),
            address: who.address,
            ..Line::default()
        };
        match &self.event {
            Event::Session { took, calls, bytes } => {
                line.event = "session";
                line.took(*took, *bytes);
                line.calls = Some(*calls);
            }
            Event::Call { what, routed, outcome, took, bytes } => {
                line.event = "call";
                line.asked(what, routed.as_ref());
                line.outcome = Some(outcome.name());
                line.code = if let Outcome::Error(code) = outcome { *code } else { None };
                line.took(*took, *bytes);
            }
            Event::Refusal { reason, status, code, what, routed } => {
                line.event = "refusal";
                if let Some(what) = what {
                    line.asked(what, routed.as_ref());
                }
                (line.reason, line.status, line.code) = (Some(*reason), *status, *code);
            }
            Event::Lost { count } => (line.event, line.count) = ("lost", Some(*count)),
        }
        let start = to.len();
        // Texts and numbers into memory: nothing in it can fail. Half a line would make two of one.
        if serde_json::to_writer(&mut *to, &line).is_err() {
            to.truncate(start);
        }
        to.push(b'\n');
    }
}

impl<'a> Line<'a> {
    fn took(&mut self, took: Duration, bytes: Bytes) {
        // To the microsecond: a double holds 285 years of them.
        self.ms = Some(took.as_micros() as f64 / 1e3);
        (self.bytes_in, self.bytes_out) = (Some(bytes.received), Some(bytes.sent));
    }

    fn asked(&mut self, what: &'a What, routed: Option<&'a Routed>) {
        (self.method, self.tool) = (Some(&*what.method), what.tool.as_deref());
        if let Some(routed) = routed {
            self.via = self.server.replace(&routed.server);
            self.tool = routed.tool.as_deref();
        }
    }
}

/// RFC 3339, in UTC, with milliseconds.
fn timestamp(at: SystemTime) -> String {
    let millis = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_millis());
    format!("{}.{millis:03}Z", date::seconds(at))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes as Raw;

    use super::*;

    fn frame(text: &str) -> Frame {
        Frame::parse(Raw::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn call(params: &str) -> Frame {
        frame(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#))
    }

    fn line(who: Who, session: Option<&str>, event: Event) -> String {
        let time = UNIX_EPOCH + Duration::from_millis(1_785_196_800_042);
        let mut text = Vec::new();
        Record { time, who: Arc::new(who), session: session.map(Into::into), event }.write(&mut text);
        String::from_utf8(text).unwrap()
    }

    fn who() -> Who {
        Who {
            server: Some(ServerName::near("files")),
            wire: Some("http"),
            principal: Some("ci".into()),
            address: Some("192.0.2.7".parse().unwrap()),
        }
    }

    const BYTES: Bytes = Bytes { received: 182, sent: 2048 };

    #[test]
    fn each_event_has_its_fields_in_one_order() {
        let what = What::of(&call(r#"{"name":"read","arguments":{"path":"hunter2"}}"#));
        let took = Duration::from_nanos(12_345_999);
        let (outcome, routed) = (Outcome::Ok, None);
        let called = Event::Call { what: what.clone(), routed, outcome, took, bytes: BYTES };
        assert_eq!(
            line(who(), Some("9f3c21ab-17"), called),
            "{\"time\":\"2026-07-28T00:00:00.042Z\",\"event\":\"call\",\"server\":\"files\",\"wire\":\"http\",\
             \"session\":\"9f3c21ab-17\",\"principal\":\"ci\",\"address\":\"192.0.2.7\",\"method\":\"tools/call\",\
             \"tool\":\"read\",\"outcome\":\"ok\",\"ms\":12.345,\"bytes_in\":182,\"bytes_out\":2048}\n"
        );
        let took = Duration::from_secs(3600 * 24 * 365);
        assert_eq!(
            line(who(), Some("9f3c21ab-17"), Event::Session { took, calls: 3, bytes: BYTES }),
            "{\"time\":\"2026-07-28T00:00:00.042Z\",\"event\":\"session\",\"server\":\"files\",\"wire\":\"http\",\
             \"session\":\"9f3c21ab-17\",\"principal\":\"ci\",\"address\":\"192.0.2.7\",\"ms\":31536000000.0,\
             \"calls\":3,\"bytes_in\":182,\"bytes_out\":2048}\n"
        );
        let routed = Some(Routed::new("notes", &call(r#"{"name":"own"}"#)));
        let (reason, status, code) = (Reason::Tool, None, Some(-32602));
        let refused = Event::Refusal { reason, status, code, what: Some(what), routed };
        assert_eq!(
            line(who(), None, refused),
            "{\"time\":\"2026-07-28T00:00:00.042Z\",\"event\":\"refusal\",\"server\":\"notes\",\"via\":\"files\",\
             \"wire\":\"http\",\"principal\":\"ci\",\"address\":\"192.0.2.7\",\"method\":\"tools/call\",\
             \"tool\":\"own\",\"reason\":\"tool\",\"code\":-32602}\n"
        );
        let (reason, status) = (Reason::Token, Some(401));
        assert_eq!(
            line(Who::default(), None, Event::Refusal { reason, status, code: None, what: None, routed: None }),
            "{\"time\":\"2026-07-28T00:00:00.042Z\",\"event\":\"refusal\",\"reason\":\"token\",\"status\":401}\n"
        );
        assert_eq!(
            line(Who::default(), None, Event::Lost { count: 7 }),
            "{\"time\":\"2026-07-28T00:00:00.042Z\",\"event\":\"lost\",\"count\":7}\n"
        );
    }

    #[test]
    fn names_that_others_chose_are_cut_and_cannot_make_a_second_line() {
        let long = "é".repeat(500);
        let method = frame(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a\n{long}"}}"#));
        let event = |what| Event::Refusal { reason: Reason::Calls, status: None, code: None, what, routed: None };
        let text =
            line(Who { principal: Some(long.as_str().into()), ..Who::default() }, None, event(Some(What::of(&method))));
        assert!(text.len() < 800 && text.matches('\n').count() == 1 && text.contains("a\\né"), "{text}");
        let text = line(Who::default(), None, event(Some(What::of(&call(r#"{"name":"\"}\u0000\n\u009bx\u007f"}"#)))));
        assert!(text.contains("\"tool\":\"\\\"}\\u0000\\n\u{fffd}x\u{fffd}\""), "{text}");
    }

    #[test]
    fn a_tool_is_named_only_where_every_reader_reads_the_same_name() {
        for (params, tool) in [
            (r#"{"name":"read"}"#, Some("read")),
            (r#"{"n\u0061me":"re\u0061d"}"#, Some("read")),
            (r#"{"name":"read","name":"write"}"#, None),
            (r#"{"name":7}"#, None),
            ("[]", None),
        ] {
            assert_eq!(tool_of(&call(params)).as_deref(), tool, "{params}");
        }
        let prompt = r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"x"}}"#;
        assert_eq!(tool_of(&frame(prompt)), None);
    }

    #[test]
    fn an_answer_tells_the_outcome() {
        let of = |answer: Frame| Outcome::of(&answer, method::TOOLS_CALL);
        assert_eq!(of(Frame::result("1", r#"{"content":[]}"#)), Outcome::Ok);
        assert_eq!(of(Frame::result("1", r#"{"isError":false}"#)), Outcome::Ok);
        assert_eq!(of(Frame::result("1", r#"{"content":[{"isError":true}]}"#)), Outcome::Ok);
        assert_eq!(of(Frame::result("1", r#"{"content":[], "isError" : true}"#)), Outcome::ToolError);
        assert_eq!(of(Frame::result("1", r#"{"resultType":"input_required"}"#)), Outcome::InputRequired);
        assert_eq!(of(Frame::error("1", code::CANCELLED, text::CANCELLED, None)), Outcome::Cancelled);
        let late = text::late(Duration::from_millis(1500));
        assert_eq!(of(Frame::error("1", code::LIMIT, &late, None)), Outcome::Timeout);
        assert_eq!(of(Frame::error("1", code::LIMIT, "full", None)), Outcome::Error(Some(code::LIMIT)));
        assert_eq!(Outcome::of(&Frame::result("1", r#"{"isError":true}"#), "tools/list"), Outcome::Ok);
    }
}
