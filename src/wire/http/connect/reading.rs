//! What comes back for a POST.
//!
//! Owns the reading of a response: its head, a JSON body, the messages of an event; and the room for large messages. Both
//! eras read so. It never looks at a session, never repeats anything, and answers nobody.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use tracing::warn;

use super::calls::Table;
use crate::{
    message::{Frame, Id, Kind},
    peer::CallerId,
    room::Rooms,
    wire::{
        event_stream::{Event, EventName},
        remote::{
            ConnectError, Trouble, Way,
            events::Events,
            fault::{Fault, status_line, unasked_encoding},
            web::{Incoming, encoding, media_type, read_body},
        },
    },
};

/// An error body is read up to this; a larger one is no JSON-RPC error.
const MAX_ERROR_BODY: usize = 1024 * 1024;

/// What a POST came to.
#[derive(Debug)]
pub(super) enum Posted {
    /// A JSON-RPC response: the answer, or with a status that is no success the server's error.
    Answer(Frame),
    /// An event stream that will hold the answer.
    Stream(Box<Events>),
    /// The server does not know the session any more, and did nothing. Only a session's own reader finds that.
    SessionGone(StatusCode),
    /// A status that is no success, without a JSON-RPC error.
    Refused(StatusCode),
    /// A success that is no answer of an MCP server; to stand after the URL.
    NotMcp(String),
}

/// Reads the responses of one server.
#[derive(Debug)]
pub(super) struct Reader {
    way: Arc<Way>,
    calls: Arc<Table>,
    /// For large messages that wait for their reader: exchanges of many callers go to one server.
    rooms: Rooms<CallerId>,
}

impl Reader {
    pub(super) fn new(way: &Arc<Way>, calls: &Arc<Table>) -> Reader {
        Reader { way: way.clone(), calls: calls.clone(), rooms: Rooms::new(way.limits.max_waiting()) }
    }

    /// Reads the head of a response to a POST, and its body where it is not a stream. `asked`: the request's id; `whose`: who
    /// is to read the answer.
    pub(super) async fn read(&self, incoming: Incoming, asked: Option<&Id>, whose: CallerId) -> Result<Posted, Fault> {
        let response = incoming.response;
        let (status, media) = (response.status(), media_type(response.headers()));
        let max = self.way.limits.max_message;
        if !status.is_success() {
            let body = read_body(response, max.min(MAX_ERROR_BODY)).await.ok().flatten();
            let error = body.and_then(|body| Frame::parse(body).ok()).filter(Frame::is_error);
            return Ok(match error {
                Some(error) => Posted::Answer(error),
                None => Posted::Refused(status),
            });
        }
        if let Some(encoding) = encoding(response.headers()) {
            return Ok(Posted::NotMcp(unasked_encoding(&encoding)));
        }
        if media == "text/event-stream" {
            return Ok(Posted::Stream(Box::new(Events::new(response, max))));
        }
        if media == "text/html" {
            return Ok(Posted::NotMcp("answered with a web page instead of MCP; check the path of the URL".into()));
        }
        // Room is taken before the body is read: many large answers to a slow reader must not all come in at once.
        let length = response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(max));
        let room = self.rooms.take(whose, length).await;
        let Some(body) = read_body(response, max).await? else {
            return Ok(Posted::NotMcp(format!("sent an answer larger than {max} bytes; raise --max-message")));
        };
        if body.is_empty() && asked.is_some() {
            let line = status_line(status);
            return Ok(Posted::NotMcp(format!("answered HTTP {line} without the answer to the request")));
        }
        Ok(match Frame::parse_batch(body).map(Vec::into_iter) {
            Ok(mut frames) => match frames.find(|frame| self.answers(frame, asked)) {
                Some(answer) => Posted::Answer(answer.holding(room)),
                None => Posted::NotMcp("sent a message that is no answer to the request; look into its log".into()),
            },
            Err(error) => {
                Posted::NotMcp(format!("sent something that is no MCP message ({error}); check the path of the URL"))
            }
        })
    }

    /// A message that keeps its room until it has been written or dropped.
    pub(super) async fn weighed(&self, frame: Frame, whose: CallerId) -> Frame {
        let room = self.rooms.take(whose, frame.bytes().len()).await;
        frame.holding(room)
    }

    fn answers(&self, frame: &Frame, asked: Option<&Id>) -> bool {
        match asked {
            Some(id) => self.is_answer(frame, id),
            None => matches!(frame.kind(), Kind::Response(_)),
        }
    }

    /// Whether a response belongs to this call. An error does under any id that is not another call's: servers make one
    /// up where they could not read the request. A result must bear the id, or what a reader of doubles made of it: the
    /// answer to another request must not pass for this one's.
    pub(super) fn is_answer(&self, frame: &Frame, id: &Id) -> bool {
        let Kind::Response(named) = frame.kind() else { return false };
        let Some(other) = named.as_ref().filter(|other| *other != id) else { return true };
        let foreign = self.calls.holds(other);
        let ours = !foreign && (frame.is_error() || is_alike(other, id));
        if !ours {
            warn!("{} sent the answer to one request in response to another; dropped", self.way.shown());
        }
        ours
    }

    /// The server could not be reached, or the connection broke.
    pub(super) fn unreachable(&self, fault: &Fault) -> Trouble {
        let failed = self.way.unreachable(fault);
        let (what, data) = (failed.to_string(), failed.data());
        self.way.failed(failed);
        if fault.sent { Trouble::fate_unknown(&what) } else { Trouble { data, ..Trouble::new(what) } }
    }

    /// The server answered with a status alone.
    pub(super) fn refused(&self, status: StatusCode) -> Trouble {
        self.way.failed(self.way.refused(status, None));
        let message = format!("{} answered {}", self.way.shown(), self.way.in_words(status));
        Trouble { data: Some(json!({ "status": status.as_u16() })), ..Trouble::new(message) }
    }

    /// What came is no message of an MCP server.
    pub(super) fn not_mcp(&self, what: &str) -> Trouble {
        let message = format!("{} {what}", self.way.shown());
        self.way.failed(ConnectError::Protocol(message.clone()));
        Trouble::new(message)
    }
}

/// The id of a request.
pub(super) fn asked(frame: &Frame) -> Option<&Id> {
    match frame.kind() {
        Kind::Request(id) => Some(id),
        _ => None,
    }
}

/// Whether two ids are the same number to a reader of doubles, or to one that takes a string of digits for a number.
fn is_alike(one: &Id, other: &Id) -> bool {
    let number = |id: &Id| match id {
        Id::Text(text) => text.parse::<f64>().ok(),
        id => id.to_json().parse().ok(),
    };
    number(one).is_some_and(|one| number(other) == Some(one))
}

/// The messages of one event. Revision 2025-03-26 allows several in one.
pub(super) fn frames_of(event: &Event, server: &str) -> Vec<Frame> {
    let Some(data) = event.payload().filter(|_| event.name == EventName::MESSAGE) else { return Vec::new() };
    Frame::parse_batch(data.clone()).unwrap_or_else(|error| {
        warn!("{server} sent an event that is no message ({error}); dropped");
        Vec::new()
    })
}
