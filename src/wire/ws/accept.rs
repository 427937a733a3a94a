//! WebSocket as a server.
//!
//! Owns the sessions: one connection is one client of either era, from its upgrade to its close frame. Talks to the registry
//! for a server and to the pump, to which a connection is a pipe. It never correlates.

use std::{any::Any, collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{OwnedSemaphorePermit, SetOnce},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, debug_span};

use super::{
    codec::{Side, close},
    handshake,
    socket::{Over, Socket, Stream, Watch, answer_to, frames_of, write},
};
use crate::{
    audit::Visitor,
    auth::resource::TokenClaims,
    config::{Limits, Sharing},
    message::{Frame, FrameError, Kind},
    peer::{Caller, PEER_CAPACITY, Peer, Principal},
    pipe::{Ended, FrameSink, FrameSource},
    pump::{Role, Rules, pump},
    registry::{OpenError, Registry},
    scope::{Scope, Until},
    wire::{
        exchange::{Refusal, Response, ToolGate},
        face,
    },
};

/// How long a client may take to read its last answers when its time is over. Less than what the bridge's end waits for.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// The place of a connection among those that are served at once. It goes with the connection when that is upgraded, so
/// that it counts, and is waited for, to its end.
#[derive(Debug, Clone)]
pub struct Slot {
    _place: Arc<OwnedSemaphorePermit>,
    /// What counts with it: at its server, and among the calls of its caller.
    held: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Slot {
    /// Held until the last clone is dropped.
    pub fn new(place: OwnedSemaphorePermit) -> Slot {
        Slot { _place: Arc::new(place), held: Vec::new() }
    }

    /// Holds this, too, as long as this clone lives.
    pub fn hold(&mut self, held: impl Any + Send + Sync) {
        self.held.push(Arc::new(held));
    }
}

/// The route.
#[derive(Debug)]
pub struct Accept {
    registry: Arc<Registry>,
    limits: Arc<Limits>,
    /// Between pings; zero turns them off.
    ping_every: Duration,
    scope: Scope,
    /// Ends every session.
    over: CancellationToken,
}

impl Accept {
    /// A route without sessions yet. Tasks run in `scope`; when that stops, nothing more is asked, and each
    /// connection is closed when what is in flight on it is answered.
    pub fn new(registry: Arc<Registry>, limits: Arc<Limits>, ping_every: Duration, scope: Scope) -> Accept {
        Accept { registry, limits, ping_every, scope, over: CancellationToken::new() }
    }

    /// Answers a request for a connection.
    pub fn handle(&self, request: http::Request<Incoming>, principal: Option<Principal>) -> Response {
        self.upgrade(request, principal).unwrap_or_else(Refusal::into_response)
    }

    /// Ends every session.
    pub fn end(&self) {
        self.over.cancel();
    }

    fn upgrade(&self, mut request: http::Request<Incoming>, principal: Option<Principal>) -> Result<Response, Refusal> {
        if self.registry.sharing() == Sharing::Stateless {
            let text =
                "a WebSocket connection is a session, and the bridge runs without (--stateless); use Streamable HTTP";
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text));
        }
        let response = handshake::answer(&request)?;
        ToolGate::of(&request).check_all()?;
        if self.scope.is_stopped() {
            return Err(OpenError::from(self.scope.why()).into());
        }
        let slot = request.extensions_mut().remove::<Slot>();
        let session = Session {
            caller: Caller::legacy(principal).session_noted(Visitor::of(&request)),
            registry: self.registry.for_caller(request.headers(), &TokenClaims::of(&request))?,
            limits: self.limits.clone(),
            scope: self.scope.clone(),
            over: self.over.clone(),
            gone: Arc::new(SetOnce::new()),
        };
        let max = self.limits.max_message;
        let watch = (self.ping_every, self.limits.session_timeout);
        let span = debug_span!("session", caller = ?session.caller.id);
        let upgraded = hyper::upgrade::on(&mut request);
        let serving = async move {
            let stream = match upgraded.await {
                Ok(stream) => TokioIo::new(stream),
                Err(error) => return debug!("the connection ended before it was upgraded: {error}"),
            };
            let socket = Socket::new(stream, Side::Server, max);
            session.serve(socket, Watch::new(watch.0, watch.1)).await;
            drop(slot);
        };
        self.scope.spawn(serving.instrument(span));
        Ok(response)
    }
}

/// One client on one connection.
pub(super) struct Session {
    pub(super) caller: Arc<Caller>,
    pub(super) registry: Arc<Registry>,
    pub(super) limits: Arc<Limits>,
    pub(super) scope: Scope,
    /// Set when the time for calls is over.
    pub(super) over: CancellationToken,
    /// Set by the reading half when nothing more can come.
    pub(super) gone: Arc<SetOnce<Over>>,
}

/// What a connection is closed with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) code: u16,
    pub(super) reason: String,
}

impl Farewell {
    fn new(code: u16, reason: impl Into<String>) -> Farewell {
        Farewell { code, reason: reason.into() }
    }

    fn of(over: &Over) -> Farewell {
        let (code, reason) = answer_to(over);
        Farewell { code, reason }
    }
}

impl Session {
    /// Serves the connection to its end, and closes it.
    pub(super) async fn serve<S: Stream>(self, socket: Socket<S>, mut watch: Watch) {
        let watched = async {
            // Ends when the client counts as gone.
            loop {
                if let Some(why) = watch.tick(&socket).await {
                    return why;
                }
            }
        };
        let late = async {
            self.over.cancelled().await;
            sleep(LAST_ANSWERS).await;
        };
        // What is in flight ends with this: nobody can hear the answers without the connection.
        let farewell = tokio::select! {
            biased;
            farewell = self.work(&socket) => farewell,
            why = watched => Farewell::new(close::POLICY, why),
            () = late => Farewell::new(close::GOING_AWAY, self.scope.why().to_string()),
        };
        debug!(code = farewell.code, "closing: {}", farewell.reason);
        socket.finish(farewell.code, &farewell.reason).await;
    }

    async fn work<S: Stream>(&self, socket: &Socket<S>) -> Farewell {
        let mut source = Source {
            socket: socket.clone(),
            ready: VecDeque::new(),
            scope: self.scope.clone(),
            gone: self.gone.clone(),
        };
        let first = tokio::select! {
            first = timeout(self.limits.header_timeout, self.first(&mut source)) => first,
            () = self.scope.stopped() => Ok(None),
        };
        let first = match first {
            Ok(Some(first)) => first,
            Ok(None) => return self.why_closed(),
            Err(_) => {
                return Farewell::new(close::POLICY, "no message came in time after the connection was opened");
            }
        };
        let opened = tokio::select! {
            opened = self.server_for(&first) => opened,
            () = self.over.cancelled() => Err(self.scope.why().into()),
        };
        let peer = match opened {
            Ok(peer) => peer,
            Err(error) => return self.refuse(socket, &first, &error).await,
        };
        self.caller.session_opened();
        source.ready.push_front(Ok(first));
        let rules = Rules {
            name: "ws".into(),
            speaker: self.caller.clone(),
            role: Role::Accept,
            max_in_flight: self.limits.max_in_flight,
            max_waiting: self.limits.max_waiting(),
            request_timeout: None,
            linger: self.limits.grace,
            until: Some(Until { scope: self.scope.clone(), over: self.over.clone() }),
        };
        let pumping = pump(source, Sink { socket: socket.clone() }, peer, rules);
        tokio::select! {
            biased;
            _ = pumping => self.why_closed(),
            over = self.gone.wait() => Farewell::of(over),
        }
    }

    /// The first message. What comes before it and is none is answered as it is later.
    async fn first<S: Stream>(&self, source: &mut Source<S>) -> Option<Frame> {
        // Ends with a message or with the connection.
        loop {
            match source.next().await? {
                Ok(frame) => return Some(frame),
                Err(error) => {
                    let answer = Frame::error("null", error.code(), &error.to_string(), None);
                    write(&source.socket, &[answer]).await.ok()?;
                }
            }
        }
    }

    /// The server's end: a session of the legacy era, or whatever each message of the modern one needs.
    async fn server_for(&self, first: &Frame) -> Result<Peer, OpenError> {
        if face::opens_session(first, false) {
            return self.registry.open_for(&self.caller, first).await;
        }
        let (near, far) = Peer::pair(PEER_CAPACITY);
        let serving = face::serve(far, self.caller.principal.clone(), self.registry.clone());
        self.scope.spawn(async move {
            // The log of whoever failed says more.
            serving.await.unwrap_or_else(|error| debug!("{error}"));
        });
        Ok(near)
    }

    /// Answers the first message, and says by the code whether it is worth another attempt.
    async fn refuse<S: Stream>(&self, socket: &Socket<S>, first: &Frame, error: &OpenError) -> Farewell {
        let close = match error {
            OpenError::Full { .. } | OpenError::Crowded { .. } | OpenError::BackingOff { .. } => close::TRY_LATER,
            OpenError::Caller(..) | OpenError::Capabilities => close::POLICY,
            OpenError::Draining(_) => close::GOING_AWAY,
            OpenError::Start(_) | OpenError::Handshake(_) | OpenError::Connect(_) | OpenError::Broken => close::FAILED,
        };
        if let Some(reason) = error.reason() {
            self.caller.refused(reason, error.code(), first);
        }
        if matches!(first.kind(), Kind::Request(_)) {
            let answer = Frame::error(first.id_text(), error.code(), &error.to_string(), None);
            let _ = socket.feed(answer.bytes()).await;
        }
        Farewell::new(close, error.to_string())
    }

    fn why_closed(&self) -> Farewell {
        match self.gone.get() {
            Some(over) => Farewell::of(over),
            None if self.scope.is_stopped() => Farewell::new(close::GOING_AWAY, self.scope.why().to_string()),
            None => Farewell::new(close::FAILED, "the server ended; the bridge's log says more"),
        }
    }
}

/// What the client says.
struct Source<S> {
    socket: Socket<S>,
    ready: VecDeque<Result<Frame, FrameError>>,
    scope: Scope,
    gone: Arc<SetOnce<Over>>,
}

impl<S: Stream> FrameSource for Source<S> {
    async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        // Ends with a message or with the client.
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            let next: Result<Bytes, Over> = self.socket.next().await;
            match next {
                Ok(text) => self.ready = frames_of(text),
                Err(over) => {
                    let _ = self.gone.set(over);
                    return None;
                }
            }
        }
    }

    async fn end(&mut self) -> Ended {
        let message = if self.scope.is_stopped() { self.scope.why().to_string() } else { "the client hung up".into() };
        Ended { message, data: None }
    }
}

/// What is said to the client.
struct Sink<S> {
    socket: Socket<S>,
}

impl<S: Stream> FrameSink for Sink<S> {
    async fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        write(&self.socket, frames).await
    }
}
