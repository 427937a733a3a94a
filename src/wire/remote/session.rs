//! A connection that is the session: what HTTP+SSE and WebSocket share as clients.
//!
//! Owns the life of such a session: connecting, pumping, and coming back when the connection breaks. Then the calls in flight
//! are answered, their fate being unknown, and a new session is opened with the handshake of the old one. Talks to the wire
//! through [`Line`], and to the partner through [`pump`], which correlates. It never sends a call again.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::http::StatusCode;
use futures::future::BoxFuture;
use tokio::{
    sync::{
        SetOnce,
        mpsc::{self, error::SendError},
    },
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use super::{
    ConnectError, Desk, Refusal, Trouble, Way,
    fault::{Fault, FaultKind},
};
use crate::{
    message::{Frame, Id, Kind, code},
    peer::{Envelope, Peer},
    pipe::{FrameSink, FrameSource},
    protocol::method,
    pump::{Role, Rules, pump},
    scope::Scope,
    wire::handshake::{Handshake, Opened},
};

/// For each answer of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection that is open, and not pumped yet. HTTP+SSE and WebSocket have one.
pub(crate) trait Line: Sized + Send + 'static {
    type Source: FrameSource;
    type Sink: FrameSink;

    /// What is spoken over it, for the log.
    const OVER: &'static str;

    /// Connects once. The outer error may pass; the inner one does not.
    fn dial(way: &Way) -> impl Future<Output = Result<Result<Self, ConnectError>, Fault>> + Send;

    /// Says something to the server.
    fn tell(&mut self, way: &Way, frame: &Frame) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Waits for the answer to a request. What comes before it is kept for the pump.
    fn answer_to(&mut self, id: &Id) -> impl Future<Output = Result<Frame, Fault>> + Send;

    /// The two halves for the pump. `scope` is to be stopped when the connection has ended.
    fn open(self, way: &Arc<Way>, calls: &Arc<Calls>, scope: &Scope) -> Halves<Self>;
}

/// A line for the pump.
pub(crate) struct Halves<L: Line> {
    pub(crate) source: L::Source,
    pub(crate) sink: L::Sink,
    /// Closes the connection, after the pump.
    pub(crate) goodbye: BoxFuture<'static, ()>,
}

/// What both halves of a line know.
#[derive(Debug)]
pub(crate) struct Calls {
    memory: Arc<Mutex<Handshake>>,
    /// Calls that the server has not answered.
    open: Mutex<HashSet<Id>>,
    /// Since when nothing more will be sent.
    closed: SetOnce<Instant>,
}

impl Calls {
    pub(crate) fn new(memory: Arc<Mutex<Handshake>>) -> Arc<Calls> {
        Arc::new(Calls { memory, open: Mutex::default(), closed: SetOnce::new() })
    }

    /// Takes note of a message that goes to the server. A subscription has no end to wait for.
    pub(crate) fn sent(&self, frame: &Frame) {
        if let Kind::Request(id) = frame.kind()
            && frame.method() != method::LISTEN
        {
            lock(&self.open).insert(id.clone());
        }
        if let Some(id) = frame.cancelled() {
            lock(&self.open).remove(id);
        }
        lock(&self.memory).sent(frame);
    }

    /// Takes note of one that came from it.
    pub(crate) fn came(&self, frame: &Frame) {
        if let Kind::Response(Some(id)) = frame.kind() {
            lock(&self.open).remove(id);
            let mut memory = lock(&self.memory);
            if memory.awaits(frame) {
                memory.opened(frame);
            }
        }
    }

    /// Nothing more will be sent.
    pub(crate) fn close(&self) {
        let _ = self.closed.set(Instant::now());
    }

    /// Whether calls wait for their answers.
    pub(crate) fn is_any_open(&self) -> bool {
        !lock(&self.open).is_empty()
    }

    /// Whether all is said and answered.
    pub(crate) fn are_done(&self) -> bool {
        self.closed.initialized() && !self.is_any_open()
    }

    /// Resolves when no answer needs to be awaited any more, after the sink was closed.
    pub(crate) async fn given_up(&self, grace: Duration) {
        let since = *self.closed.wait().await;
        if self.is_any_open() {
            sleep_until(since + grace).await;
        }
    }
}

/// Works the desk until the partner leaves, or until the first connection fails. With `asks`, the server's refusal of the
/// first `initialize` is given back for others to judge.
pub(crate) async fn run<L: Line>(
    way: &Arc<Way>,
    desk: &mut Desk,
    line: Option<L>,
    asks: bool,
) -> Result<Option<Refusal>, ConnectError> {
    tokio::select! {
        end = serve(way, desk, line, asks) => end,
        () = way.scope.stopped() => Ok(None),
    }
}

async fn serve<L: Line>(
    way: &Arc<Way>,
    desk: &mut Desk,
    mut line: Option<L>,
    asks: bool,
) -> Result<Option<Refusal>, ConnectError> {
    let memory = Arc::new(Mutex::new(Handshake::default()));
    let mut was_open = false;
    let mut wait_for_work = line.is_none();
    // Ends when the partner leaves, with the first connection, or with a refusal.
    loop {
        if wait_for_work {
            let Some(first) = desk.next().await else { return Ok(None) };
            desk.put_back(first);
        }
        let connected = match line.take() {
            Some(line) => Ok(line),
            None => connect::<L>(way, desk, &memory).await,
        };
        match connected {
            Ok(mut line) => {
                if !std::mem::replace(&mut was_open, true) {
                    info!("connected to {} over {}", way.shown(), L::OVER);
                }
                wait_for_work = false;
                if asks && lock(&memory).known().is_none() {
                    match open(way, desk, &mut line, &memory).await {
                        Opening::GoOn => {}
                        Opening::Refused(refusal) => return Ok(Some(refusal)),
                        Opening::Broken => continue,
                    }
                }
                if carry(way, desk, line, &memory).await == Over::PartnerLeft {
                    return Ok(None);
                }
                info!("the connection to {} ended; opening a new session", way.shown());
            }
            Err(failed) => {
                desk.refuse_waiting(&failed);
                // The browser comes back to this process: it stays, and the client may try again.
                if !was_open && !failed.is_open() {
                    return Err(failed);
                }
                warn!("no new session: {failed}; the next message makes another attempt");
                wait_for_work = true;
            }
        }
    }
}

/// What came of the client's own `initialize`.
enum Opening {
    GoOn,
    Refused(Refusal),
    Broken,
}

/// Puts the client's `initialize` to the server before anything else is pumped.
async fn open<L: Line>(way: &Arc<Way>, desk: &mut Desk, line: &mut L, memory: &Mutex<Handshake>) -> Opening {
    let Some(first) = desk.next().await else { return Opening::GoOn };
    if first.frame.method() != method::INITIALIZE {
        desk.put_back(first);
        return Opening::GoOn;
    }
    lock(memory).sent(&first.frame);
    let patience = way.limits.request_timeout.unwrap_or(Duration::MAX);
    let asked = tokio::select! {
        asked = timeout(patience, ask_untimed(way, line, &first.frame)) => asked,
        () = desk.ended() => return Opening::GoOn,
    };
    match asked {
        Ok(Ok(answer)) if answer.is_error() => {
            Opening::Refused(Refusal { envelope: first, status: StatusCode::OK, error: Some(answer) })
        }
        Ok(Ok(answer)) => {
            way.worked();
            lock(memory).opened(&answer);
            first.reply.into_iter().for_each(|reply| reply.answer(answer.clone()));
            Opening::GoOn
        }
        Ok(Err(fault)) => {
            let failed = way.unreachable(&fault);
            way.failed(failed.clone());
            let trouble = Trouble { data: failed.data(), ..Trouble::new(failed.to_string()) };
            first.reply.into_iter().for_each(|reply| trouble.clone().tell(reply));
            Opening::Broken
        }
        Err(_) => {
            first.reply.into_iter().for_each(|reply| Trouble::late(patience).tell(reply));
            Opening::GoOn
        }
    }
}

/// Dials as patiently as configured, and brings a new session to where the old one was.
async fn connect<L: Line>(way: &Arc<Way>, desk: &mut Desk, memory: &Arc<Mutex<Handshake>>) -> Result<L, ConnectError> {
    let tx = desk.tx.clone();
    let dialing = way.patiently(async || {
        let mut line = match L::dial(way).await? {
            Ok(line) => line,
            Err(failed) => return Ok(Err(failed)),
        };
        let changes = restore(way, &mut line, memory).await?;
        for change in changes {
            let _ = tx.send(Envelope::one_way(way.server.clone(), change)).await;
        }
        Ok(Ok(line))
    });
    match way.while_wanted(desk, dialing).await {
        Ok(line) => line,
        Err(fault) => Err(way.unreachable(&fault)),
    }
}

/// The handshake of the old session in the new one. Gives the list changes to tell the client. Nothing to do the first
/// time: then the client's own handshake is on its way.
async fn restore<L: Line>(way: &Arc<Way>, line: &mut L, memory: &Mutex<Handshake>) -> Result<Vec<Frame>, Fault> {
    let (replay, known) = {
        let memory = lock(memory);
        (memory.replay(), memory.known().cloned())
    };
    let Some(replay) = replay else { return Ok(Vec::new()) };
    let answer = ask(way, line, &replay.initialize).await?;
    let Some(now) = Opened::read(&answer) else {
        return Err(Fault::new(
            FaultKind::Silent,
            false,
            "it does not open the session again; look into the server's log",
        ));
    };
    if let Some(initialized) = &replay.initialized {
        line.tell(way, initialized).await?;
        for request in &replay.state {
            match ask(way, line, request).await {
                Ok(answer) if answer.is_error() => warn!("the new session refuses {}", request.method()),
                Ok(_) => {}
                Err(fault) => warn!("the new session did not take {}: {fault}", request.method()),
            }
        }
    }
    let changes = known.as_ref().map(|known| known.changes(&now)).unwrap_or_default();
    if known.is_some_and(|known| known != now) {
        warn!("{} came back as another server or with other capabilities", way.shown());
    }
    lock(memory).reopened(now);
    Ok(changes)
}

/// Puts a request of the bridge's own to a server that is not pumped yet.
pub(crate) async fn ask<L: Line>(way: &Way, line: &mut L, frame: &Frame) -> Result<Frame, Fault> {
    match timeout(HANDSHAKE_TIMEOUT, ask_untimed(way, line, frame)).await {
        Ok(answer) => answer,
        Err(_) => {
            let why = format!("it did not answer {} within {} s", frame.method(), HANDSHAKE_TIMEOUT.as_secs());
            Err(Fault::new(FaultKind::Silent, false, why))
        }
    }
}

async fn ask_untimed<L: Line>(way: &Way, line: &mut L, frame: &Frame) -> Result<Frame, Fault> {
    let Kind::Request(id) = frame.kind() else { return Err(Fault::new(FaultKind::Silent, false, "not a request")) };
    line.tell(way, frame).await?;
    line.answer_to(id).await
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    PartnerLeft,
    ConnectionEnded,
}

/// Pumps one connection until it ends. What the server sends goes straight to the partner. What the partner sends is handed
/// on one by one, so that what was not sent when the connection ends is kept for the next.
async fn carry<L: Line>(way: &Arc<Way>, desk: &mut Desk, line: L, memory: &Arc<Mutex<Handshake>>) -> Over {
    let scope = way.scope.child();
    let (inner, rx) = mpsc::channel(1);
    // The way home for the client's answers is the desk: they must not overtake what the client said before them.
    let peer = Peer { tx: desk.tx.clone(), rx: rx.into(), home: desk.home.clone() };
    let pumping = async {
        pumped(way, line, memory, peer, Role::Connect, &scope).await;
        scope.stop();
    };
    let ((), over) = tokio::join!(pumping, relay(desk, inner, &scope));
    over
}

/// Pumps one connection to its end, and closes it.
pub(crate) async fn pumped<L: Line>(
    way: &Arc<Way>,
    line: L,
    memory: &Arc<Mutex<Handshake>>,
    peer: Peer,
    role: Role,
    scope: &Scope,
) {
    let rules = Rules {
        name: way.name(),
        speaker: way.server.clone(),
        role,
        max_in_flight: way.limits.max_in_flight,
        max_waiting: way.limits.max_waiting(),
        request_timeout: way.limits.request_timeout,
        linger: way.limits.grace,
        until: None,
    };
    let Halves { source, sink, goodbye } = line.open(way, &Calls::new(memory.clone()), scope);
    pump(source, sink, peer, rules).await;
    goodbye.await;
}

async fn relay(desk: &mut Desk, inner: mpsc::Sender<Envelope>, connection: &Scope) -> Over {
    // Ends when the partner leaves or the connection ends. Then the pump is told so by the end of `inner`.
    loop {
        let next = tokio::select! {
            next = desk.next() => next,
            () = connection.stopped() => return Over::ConnectionEnded,
        };
        let Some(envelope) = next else { return Over::PartnerLeft };
        if let Err(SendError(unsent)) = inner.send(envelope).await {
            desk.put_back(unsent);
            return Over::ConnectionEnded;
        }
    }
}

/// The answer of the bridge's own to a request that the server did not take.
pub(crate) fn refused(frame: &Frame, message: &str, data: Option<serde_json::Value>) -> Frame {
    Frame::error(frame.id_text(), code::INTERNAL, message, data)
}

/// The poison of a lock means that a task panicked elsewhere; the memory stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
