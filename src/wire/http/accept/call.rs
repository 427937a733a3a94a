//! One call: from the client's request to the first thing that comes back.
//!
//! Owns the channel that a call's answer comes through, and the choice between one message and an event stream. Talks
//! to the session. It never looks at what an answer says.

use std::{slice, sync::Arc};

use http::StatusCode;
use tokio::sync::mpsc;
use tracing::{Span, debug_span};

use super::{
    session::{NotBegun, Session},
    sessions::{SessionEvents, Sessions},
    unknown_session,
};
use crate::{
    audit::{Reason, Visitor, What},
    config::Sharing,
    message::{Frame, Kind, code},
    peer::{Caller, Envelope, Reply},
    wire::exchange::{self, EventStream, Patience, Refusal, Response},
};

/// Messages of one call that wait for its client to read. Beyond this its server is slowed down.
const CALL_CAPACITY: usize = 64;

/// The same where others share the server, which waits for nobody and cuts off who does not read. What it says in one
/// go, such as the progress of a hundred steps, has to fit.
pub const SHARED_CAPACITY: usize = 1024;

/// How many of one call may wait.
pub fn capacity(sharing: Sharing) -> usize {
    match sharing {
        Sharing::Own => CALL_CAPACITY,
        Sharing::Shared | Sharing::Pooled | Sharing::Stateless => SHARED_CAPACITY,
    }
}

/// Where log lines of a session belong. The id itself is a secret: with it, anyone could speak in the session.
pub fn in_session(session: &Session) -> Span {
    debug_span!("session", caller = ?session.caller.id)
}

/// A call that has not become a stream yet. Dropped, its client hung up, and the session reads on: a disconnect is no
/// cancellation.
struct Waiting<'a> {
    session: &'a Arc<Session>,
    number: u32,
    answers: usize,
    rx: Option<mpsc::Receiver<Envelope>>,
}

/// Asks the server and gives the response: one message if the answer comes first, and soon; else an event stream.
pub async fn call(
    session: &Arc<Session>,
    frame: Frame,
    visitor: Option<&Visitor>,
    sessions: &Sessions,
    patience: &Patience,
) -> Result<Response, Refusal> {
    let (tx, rx) = mpsc::channel(sessions.call_capacity);
    let (number, server) = session.begin(slice::from_ref(&frame), &tx).map_err(not_begun(Some(&frame)))?;
    let mut waiting = Waiting { session, number, answers: 1, rx: Some(rx) };
    ask(&session.caller.at(visitor), &server, tx, frame).await;
    // A call in flight must not keep the server of a session that has ended.
    drop(server);
    let Some(rx) = &mut waiting.rx else { return Err(lost()) };
    let first = match patience.wait(rx.recv()).await {
        Some(Some(first)) => Some(first),
        Some(None) => return Err(lost()),
        None => None,
    };
    match first {
        Some(first) if matches!(first.frame.kind(), Kind::Response(_)) => {
            waiting.rx = None;
            let answer = session.take(first).ok_or_else(lost)?;
            Ok(exchange::json(StatusCode::OK, &answer))
        }
        first => Ok(waiting.into_stream(first, sessions)),
    }
}

/// Asks the server all requests of a batch, and passes what else is in it. The answers come as an event stream.
pub async fn call_batch(
    session: &Arc<Session>,
    frames: Vec<Frame>,
    visitor: Option<&Visitor>,
    sessions: &Sessions,
) -> Result<Response, Refusal> {
    let requests: Vec<Frame> =
        frames.iter().filter(|frame| matches!(frame.kind(), Kind::Request(_))).cloned().collect();
    let answers = requests.len();
    let (tx, rx) = mpsc::channel(sessions.call_capacity + answers);
    let (number, server) = session.begin(&requests, &tx).map_err(not_begun(None))?;
    let waiting = Waiting { session, number, answers, rx: Some(rx) };
    let caller = session.caller.at(visitor);
    for frame in frames {
        match frame.kind() {
            Kind::Request(_) => ask(&caller, &server, tx.clone(), frame).await,
            Kind::Notification => drop(server.send(Envelope::one_way(session.caller.clone(), frame)).await),
            Kind::Response(_) => super::answer(session, frame),
        }
    }
    drop((server, tx));
    Ok(waiting.into_stream(None, sessions))
}

/// A server that is gone drops the envelope, and with it the reply, which answers.
async fn ask(caller: &Arc<Caller>, server: &mpsc::Sender<Envelope>, tx: mpsc::Sender<Envelope>, frame: Frame) {
    if let Ok(reply) = Reply::on(tx, &frame, caller).await {
        let reply = reply.noted(&frame);
        drop(server.send(Envelope { from: caller.clone(), frame, reply: Some(reply) }).await);
    }
}

impl Waiting<'_> {
    fn into_stream(mut self, first: Option<Envelope>, sessions: &Sessions) -> Response {
        let Some(rx) = self.rx.take() else { return lost().into_response() };
        let (reader, chunks) = self.session.stream_calls(self.number, rx, self.answers, first);
        exchange::events(EventStream::new(SessionEvents::new(reader, sessions), chunks, sessions.keep_alive))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(rx) = self.rx.take() {
            self.session.mute(self.number, rx, self.answers);
        }
    }
}

fn not_begun(request: Option<&Frame>) -> impl FnOnce(NotBegun) -> Refusal {
    move |reason| match (reason, request) {
        (NotBegun::Ended, _) => unknown_session(),
        (NotBegun::InFlight(id), _) => {
            Refusal::new(StatusCode::BAD_REQUEST, "this id is in use by a request that is still in flight").id(&id)
        }
        (NotBegun::Full(limit), request) => {
            let text = format!("{limit} requests are in flight; wait for an answer before the next one");
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, text).code(code::LIMIT).because(Reason::Calls);
            match request {
                Some(frame) => refusal.of(Some(What::of(frame))).id(frame.id_text()),
                None => refusal,
            }
        }
    }
}

/// Cannot happen: a reply always answers.
fn lost() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer was lost").code(code::INTERNAL)
}
