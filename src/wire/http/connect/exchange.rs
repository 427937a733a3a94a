//! One message and what comes back for it.
//!
//! Owns an exchange within a session: an event stream read to its answer, a broken stream that is resumed, a session that
//! is gone. It holds the caller's reply only by reference; whoever called it answers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;
use tokio::{sync::SetOnce, time::sleep};
use tracing::debug;

use super::{
    Link,
    calls::Trip,
    reading::{Posted, asked, frames_of},
    session::Session,
};
use crate::{
    backoff,
    message::{Frame, Id, Kind, code},
    peer::{Caller, Gone, Reply},
    protocol::ErrorHead,
    wire::{
        event_stream::{Event, clamp_retry},
        remote::{
            LONGEST_WAIT, Trouble, deliver,
            events::{Events, StreamFault},
            fault::{Fault, FaultKind, status_line},
            web::{Incoming, Outgoing, media_type},
        },
    },
};

/// Attempts in a row to resume a stream that bring nothing.
const MAX_FRUITLESS: u32 = 6;

/// The wait before the first attempt to resume where the server asks for none, as in the official SDKs.
const RESUME_DELAY: Duration = Duration::from_secs(1);

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
        let own = |attempt| backoff::delay(RESUME_DELAY, LONGEST_WAIT, attempt, backoff::chance());
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

    /// Reads a response to a POST of this session. `asked`: the request's id.
    pub(super) async fn classify(
        &self,
        session: &Session,
        incoming: Incoming,
        asked: Option<&Id>,
    ) -> Result<Posted, Fault> {
        let status = incoming.response.status();
        let posted = self.reader.read(incoming, asked, self.way.server.id).await?;
        let gone = match &posted {
            Posted::Answer(error) if !status.is_success() => session_is_gone(session, status, Some(error)),
            Posted::Refused(_) => session_is_gone(session, status, None),
            _ => false,
        };
        Ok(if gone { Posted::SessionGone(status) } else { posted })
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
        let failed = |fault: Fault| self.reader.unreachable(&fault);
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
            Posted::Refused(status) => Err(self.reader.refused(status)),
            Posted::NotMcp(what) => Err(self.reader.not_mcp(&what)),
        }
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
                let frame = self.reader.weighed(frame, self.way.server.id).await;
                if self.reader.is_answer(&frame, id) {
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
            let answer = Frame::error(request.id_text(), code::INTERNAL, "the client has left", None);
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

/// 404 to a request with a session id means that the session is gone (2025-11-25, Transports, Session Management). Servers
/// built on the official SDKs' examples answer 400 instead, with an error that says so. Both refuse before they do
/// anything. An unknown method is something else.
fn session_is_gone(session: &Session, status: StatusCode, error: Option<&Frame>) -> bool {
    if session.id.is_none() {
        return false;
    }
    let said = error.and_then(ErrorHead::of);
    match (status, said) {
        (StatusCode::NOT_FOUND, Some(ErrorHead { code: Some(code::METHOD_NOT_FOUND), .. })) => false,
        (StatusCode::NOT_FOUND, _) => true,
        (StatusCode::BAD_REQUEST, Some(ErrorHead { message, .. })) => {
            let message = message.to_ascii_lowercase();
            message.contains("session") || message.contains("not initialized")
        }
        _ => false,
    }
}
