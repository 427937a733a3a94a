//! One message and what comes back for it.
//!
//! Owns the reading of responses: a JSON body, an event stream, a broken stream that is resumed. It holds the caller's
//! reply only by reference; whoever called it answers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SetOnce},
    time::sleep,
};
use tracing::{debug, warn};

use super::{Link, calls::Trip, lock, session::Session};
use crate::{
    config::Limits,
    message::{Frame, Id, Kind},
    peer::{Caller, Gone, Reply},
    wire::{
        event_stream::{Event, EventName, clamp_retry},
        remote::{
            ConnectError, Trouble, backoff, deliver,
            events::{Events, StreamFault},
            fault::{Fault, FaultKind, status_line, unasked_encoding},
            web::{Incoming, Outgoing, encoding, media_type, read_body},
        },
    },
};

/// Attempts in a row to resume a stream that bring nothing.
const MAX_FRUITLESS: u32 = 6;

/// The wait before the first attempt to resume where the server asks for none, as in the official SDKs.
const RESUME_DELAY: Duration = Duration::from_secs(1);

/// An error body is read up to this; a larger one is no JSON-RPC error.
const MAX_ERROR_BODY: usize = 1024 * 1024;

/// Messages up to this many bytes are not weighed: channels bound their number.
const SMALL: usize = 16 * 1024;

/// The unit in which room for large messages is counted.
const KIB: usize = 1024;

/// Room for large messages of one session, in KiB.
pub(super) fn room_for(limits: &Limits) -> usize {
    (limits.max_waiting() / KIB).clamp(1, Semaphore::MAX_PERMITS)
}

/// What a POST came to.
#[derive(Debug)]
pub(super) enum Posted {
    /// A JSON-RPC response: the answer, or with a status that is no success the server's error.
    Answer(Frame),
    /// An event stream that will hold the answer.
    Stream(Box<Events>),
    /// The server does not know the session any more, and did nothing.
    SessionGone(StatusCode),
    /// A status that is no success, without a JSON-RPC error.
    Refused(StatusCode),
    /// A success that is no answer of an MCP server; to stand after the URL.
    NotMcp(String),
}

/// How far a stream was read.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    pub(super) last: Option<HeaderValue>,
    retry: Option<Duration>,
    fruitless: u32,
}

impl Cursor {
    pub(super) fn note(&mut self, event: &Event) {
        self.fruitless = 0;
        if let Some(id) = &event.id {
            // An id that no header can hold cannot be asked for; an empty one takes the last one back.
            self.last = HeaderValue::from_bytes(id.as_bytes()).ok().filter(|id| !id.is_empty());
        }
        self.retry = event.retry.or(self.retry);
    }

    pub(super) fn note_end(&mut self, events: &Events) {
        self.retry = events.retry().or(self.retry);
    }

    /// The wait before the next attempt: what the server asked for, within bounds, and more when attempts bring nothing.
    pub(super) fn next_wait(&mut self) -> Duration {
        self.fruitless = self.fruitless.saturating_add(1);
        let own = |attempt| backoff::delay(RESUME_DELAY, attempt, backoff::chance());
        match (self.retry.map(clamp_retry), self.fruitless) {
            (Some(asked), 0 | 1) => asked,
            (Some(asked), more) => asked.max(own(more)),
            (None, attempt) => own(attempt),
        }
    }
}

impl Link {
    pub(super) async fn send(
        &self,
        session: &Session,
        method: Method,
        body: Option<Bytes>,
        last_event: Option<&HeaderValue>,
        started: &Arc<SetOnce<()>>,
    ) -> Result<Incoming, Fault> {
        let headers = session.headers(&method, last_event);
        self.way.web.send(Outgoing { method, url: &session.url, headers, body, started: started.clone() }).await
    }

    /// POSTs a message. Repeats it only while no connection comes about.
    pub(super) async fn post(&self, session: &Session, frame: &Frame, trip: &Trip) -> Result<Incoming, Fault> {
        let send = || self.send(session, Method::POST, Some(frame.bytes().clone()), None, &trip.started);
        let incoming = self.way.patiently(send).await;
        let _ = trip.arrived.set(());
        incoming
    }

    /// Reads the head of a response to a POST, and its body where it is not a stream. `asked`: the request's id.
    pub(super) async fn classify(
        &self,
        session: &Session,
        incoming: Incoming,
        asked: Option<&Id>,
    ) -> Result<Posted, Fault> {
        let response = incoming.response;
        let (status, media) = (response.status(), media_type(response.headers()));
        let max = self.way.limits.max_message;
        if !status.is_success() {
            let body = read_body(response, max.min(MAX_ERROR_BODY)).await.ok().flatten();
            let error = body.and_then(|body| Frame::parse(body).ok()).filter(Frame::is_error);
            return Ok(match error {
                error if session_is_gone(session, status, error.as_ref()) => Posted::SessionGone(status),
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
        let room =
            self.room(response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(max))).await;
        let Some(body) = read_body(response, max).await? else {
            return Ok(Posted::NotMcp(format!("sent an answer larger than {max} bytes; raise --max-message")));
        };
        if body.is_empty() && asked.is_some() {
            let line = status_line(status);
            return Ok(Posted::NotMcp(format!("answered HTTP {line} without the answer to the request")));
        }
        Ok(match Frame::parse_batch(body).map(Vec::into_iter) {
            Ok(mut frames) => match frames.find(|frame| self.answers(frame, asked)) {
                Some(answer) => Posted::Answer(match room {
                    Some(room) => answer.holding(Some(room)),
                    None => answer,
                }),
                None => Posted::NotMcp("sent a message that is no answer to the request; look into its log".into()),
            },
            Err(error) => {
                Posted::NotMcp(format!("sent something that is no MCP message ({error}); check the path of the URL"))
            }
        })
    }

    /// Waits for room for a large message, which is given back with the permit.
    async fn room(&self, length: usize) -> Option<OwnedSemaphorePermit> {
        if length <= SMALL {
            return None;
        }
        let weight = u32::try_from((length / KIB).min(room_for(&self.way.limits))).unwrap_or(u32::MAX);
        self.room.clone().acquire_many_owned(weight).await.ok()
    }

    /// A message that keeps its room until it has been written or dropped.
    pub(super) async fn weighed(&self, frame: Frame) -> Frame {
        match self.room(frame.bytes().len()).await {
            Some(room) => frame.holding(Some(room)),
            None => frame,
        }
    }

    /// Sends a request and brings its answer, in whatever session is open. The server's error answers are answers.
    pub(super) async fn exchange(
        self: &Arc<Self>,
        frame: &Frame,
        reply: Option<&Reply>,
        trip: &Trip,
    ) -> Result<Frame, Trouble> {
        let mut refused = false;
        // Ends with an answer, or when the session is gone a second time.
        loop {
            let session = self.session().await?;
            match self.attempt(&session, frame, reply, trip).await? {
                Some(answer) => return Ok(answer),
                None if refused => {
                    let what =
                        format!("{} does not know the session, though it was just opened again", self.way.shown());
                    return Err(Trouble { data: Some(json!({ "status": 404 })), ..Trouble::new(what) });
                }
                None => self.reopen(session.generation),
            }
            refused = true;
        }
    }

    /// The same for a request of the bridge's own, in a session that is being opened.
    pub(super) async fn exchange_in(self: &Arc<Self>, session: &Arc<Session>, frame: &Frame) -> Result<Frame, Trouble> {
        let answer = self.attempt(session, frame, None, &Trip::default()).await?;
        answer.ok_or_else(|| Trouble::new("the session is gone again"))
    }

    /// `None`: the session is gone, and the server did nothing.
    async fn attempt(
        self: &Arc<Self>,
        session: &Arc<Session>,
        frame: &Frame,
        reply: Option<&Reply>,
        trip: &Trip,
    ) -> Result<Option<Frame>, Trouble> {
        let failed = |fault: Fault| self.trouble(&fault);
        let incoming = self.post(session, frame, trip).await.map_err(failed)?;
        let success = incoming.response.status().is_success();
        match self.classify(session, incoming, asked(frame)).await.map_err(failed)? {
            Posted::Answer(answer) => {
                if success {
                    self.way.worked();
                }
                Ok(Some(answer))
            }
            Posted::Stream(events) => {
                let answer = self.follow(session, *events, frame, reply).await?;
                self.way.worked();
                Ok(Some(answer))
            }
            Posted::SessionGone(_) => Ok(None),
            Posted::Refused(status) => {
                self.way.failed(self.way.refused(status, None));
                let message = format!("{} answered {}", self.way.shown(), self.way.in_words(status));
                Err(Trouble { data: Some(json!({ "status": status.as_u16() })), ..Trouble::new(message) })
            }
            Posted::NotMcp(what) => {
                let message = format!("{} {what}", self.way.shown());
                self.way.failed(ConnectError::Protocol(message.clone()));
                Err(Trouble::new(message))
            }
        }
    }

    fn trouble(&self, fault: &Fault) -> Trouble {
        let failed = self.way.unreachable(fault);
        let what = failed.to_string();
        self.way.failed(failed);
        if fault.sent { Trouble::fate_unknown(&what) } else { Trouble::new(what) }
    }

    // ---- event streams

    /// Reads a call's stream to the answer, over as many connections as it takes.
    async fn follow(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut events: Events,
        frame: &Frame,
        reply: Option<&Reply>,
    ) -> Result<Frame, Trouble> {
        let Kind::Request(id) = frame.kind() else { return Err(Trouble::new("not a request")) };
        let mut cursor = Cursor::default();
        // Ends with the answer, or when the stream cannot be resumed.
        loop {
            if let Some(answer) = self.read_to_answer(&session.server, &mut events, id, reply, &mut cursor).await? {
                return Ok(answer);
            }
            cursor.note_end(&events);
            events = self.resume(session, &mut cursor).await?;
        }
    }

    /// `None` when the stream ends or breaks before the answer.
    async fn read_to_answer(
        self: &Arc<Self>,
        server: &Arc<Caller>,
        events: &mut Events,
        id: &Id,
        reply: Option<&Reply>,
        cursor: &mut Cursor,
    ) -> Result<Option<Frame>, Trouble> {
        // Ends with the answer or with the stream.
        loop {
            let event = match events.next().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(StreamFault::Broken(fault)) => {
                    debug!("the stream of a call broke: {fault}");
                    return Ok(None);
                }
                Err(StreamFault::TooLarge(error)) => return Err(Trouble::fate_unknown(&error.to_string())),
            };
            cursor.note(&event);
            for frame in frames_of(&event, &self.way.shown()) {
                let frame = self.weighed(frame).await;
                if self.is_answer(&frame, id) {
                    return Ok(Some(frame));
                }
                if self.pass_on(server, frame, reply).await.is_err() {
                    return Err(Trouble::new("the caller hung up"));
                }
            }
        }
    }

    /// The first answer of a stream that is not resumed: that of `initialize`.
    pub(super) async fn first_answer(
        self: &Arc<Self>,
        server: &Arc<Caller>,
        events: &mut Events,
        frame: &Frame,
        reply: Option<&Reply>,
    ) -> Result<Option<Frame>, Fault> {
        let Kind::Request(id) = frame.kind() else { return Ok(None) };
        let read = self.read_to_answer(server, events, id, reply, &mut Cursor::default()).await;
        read.map_err(|trouble| Fault::new(FaultKind::Silent, true, trouble.message))
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
    fn is_answer(&self, frame: &Frame, id: &Id) -> bool {
        let Kind::Response(named) = frame.kind() else { return false };
        let Some(other) = named.as_ref().filter(|other| *other != id) else { return true };
        let foreign = lock(&self.calls).keys().any(|(_, known)| known == other);
        let ours = !foreign && (frame.is_error() || is_alike(other, id));
        if !ours {
            warn!("{} sent the answer to one request in response to another; dropped", self.way.shown());
        }
        ours
    }

    /// Hands on what comes ahead of an answer, or outside of any call. A foreign answer goes no further.
    pub(super) async fn pass_on(
        self: &Arc<Self>,
        server: &Arc<Caller>,
        frame: Frame,
        reply: Option<&Reply>,
    ) -> Result<(), Gone> {
        if matches!(frame.kind(), Kind::Response(_)) {
            debug!("{} sent an answer that nobody waits for; dropped", self.way.shown());
            return Ok(());
        }
        let unanswerable = deliver(frame, reply, &self.tx, &self.home, server).await?;
        if let Some(request) = unanswerable {
            let answer = Frame::error(request.id_text(), crate::message::code::INTERNAL, "the client has left", None);
            self.tell(&answer, Some(server.id)).await;
        }
        Ok(())
    }

    /// Opens a broken stream again where it ended (2025-11-25, Transports, Resumability and Redelivery).
    async fn resume(self: &Arc<Self>, session: &Arc<Session>, cursor: &mut Cursor) -> Result<Events, Trouble> {
        let broke = "the connection to the server ended before its answer";
        // Ends with a stream, or when no attempt can help.
        while let Some(last) = cursor.last.clone() {
            let wait = cursor.next_wait();
            if cursor.fruitless > MAX_FRUITLESS {
                return Err(Trouble::fate_unknown(&format!(
                    "{broke}, and {MAX_FRUITLESS} attempts to resume it failed"
                )));
            }
            sleep(wait).await;
            let incoming = match self.send(session, Method::GET, None, Some(&last), &Arc::default()).await {
                Ok(incoming) => incoming,
                Err(fault) => {
                    debug!("cannot resume the stream of a call: {fault}");
                    continue;
                }
            };
            let (status, media) = (incoming.response.status(), media_type(incoming.response.headers()));
            if status.is_success() && media == "text/event-stream" {
                return Ok(Events::new(incoming.response, self.way.limits.max_message));
            }
            if status.is_server_error() {
                continue;
            }
            if status == StatusCode::NOT_FOUND && session.id.is_some() {
                self.reopen(session.generation);
            }
            return Err(Trouble::fate_unknown(&format!(
                "{broke}, and the server does not resume it (HTTP {})",
                status_line(status)
            )));
        }
        Err(Trouble::fate_unknown(broke))
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

/// 404 to a request with a session id means that the session is gone (2025-11-25, Transports, Session Management). Servers
/// built on the official SDKs' examples answer 400 instead, with an error that says so. Both refuse before they do
/// anything. An unknown method is something else.
fn session_is_gone(session: &Session, status: StatusCode, error: Option<&Frame>) -> bool {
    if session.id.is_none() {
        return false;
    }
    #[derive(serde::Deserialize)]
    struct Said<'a> {
        code: i64,
        #[serde(default, borrow)]
        message: std::borrow::Cow<'a, str>,
    }
    let said = error.and_then(Frame::body).and_then(|body| serde_json::from_str::<Said>(body).ok());
    match (status, said) {
        (StatusCode::NOT_FOUND, Some(Said { code: -32601, .. })) => false,
        (StatusCode::NOT_FOUND, _) => true,
        (StatusCode::BAD_REQUEST, Some(Said { message, .. })) => {
            let message = message.to_ascii_lowercase();
            message.contains("session") || message.contains("not initialized")
        }
        _ => false,
    }
}
