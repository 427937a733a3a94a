//! Which server a caller talks to: the only place that knows about own, shared, stateless and pooled servers.
//!
//! Owns the limits on sessions and starts, the back-off of a server that keeps crashing, what is known of a server's era,
//! and readiness. Talks to the wires that connect, and puts a translation around a server that speaks another era than its
//! caller. It never sees a transport of the client's side.

mod aggregate;
mod backoff;
mod callers;
mod children;
mod eras;
mod gate;
mod modern;
mod one;
mod pooled;
mod readiness;
mod remotes;
mod shared;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderMap;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinHandle},
};

pub use self::aggregate::Member;
use self::{
    aggregate::Aggregate, callers::Callers, children::Children, gate::Gate, one::One, pooled::Pooled,
    readiness::Readiness, remotes::Remotes, shared::Hub,
};
use crate::{
    aggregate::Template,
    audit::Reason,
    auth::resource::TokenClaims,
    config::{Back, Limits, ServerSpec, Sharing, Source},
    era::modern_to_legacy::MAX_CAPABILITIES,
    message::{Frame, code},
    peer::{Caller, Era, Outbox, PEER_CAPACITY, Peer, Reply},
    pump::Role,
    scope::{Scope, Stopped},
    wire::{child::SpawnError, remote::ConnectError},
};

/// How long a refused client is told to wait when all sessions are in use.
const FULL_RETRY: Duration = Duration::from_secs(5);

/// Hands out servers.
#[derive(Debug)]
pub struct Registry {
    server: Server,
    sharing: Sharing,
    limits: Limits,
    scope: Scope,
    sessions: Arc<Semaphore>,
    /// The server of all callers.
    one: One,
    /// `Some` where callers share by whom they are and what they declare.
    pooled: Option<Arc<Pooled>>,
    readiness: Arc<Readiness>,
    /// `Some` of a server that gets variables from its callers: each has a registry of its own.
    callers: Option<Callers>,
    /// `None` where every tool is offered.
    gate: Option<Gate>,
}

/// What the servers of one bridge stand on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The guard's (see [`crate::wire::child::guard`]), where servers are started.
    pub mark: Option<String>,
    /// Bounds how many children are between their start and their first frame.
    pub starting: Arc<Semaphore>,
    /// Stops at the first signal; then nobody gets a server any more.
    pub scope: Scope,
    /// Of the ways to remote servers. Not stopped by the first signal: calls in flight need them.
    pub way: Scope,
    /// Whether one client is all that is served: what it waits for ends with it.
    pub lone: bool,
}

impl Ground {
    /// The ground of a bridge that runs in `scope`.
    pub fn new(mark: Option<String>, limits: &Limits, scope: &Scope) -> Ground {
        let starting = Arc::new(Semaphore::new(limits.max_spawning));
        Ground { mark, starting, scope: scope.clone(), way: scope.sibling(), lone: false }
    }

    /// The same for one server, which can be ended alone.
    pub fn of_one(&self) -> Ground {
        Ground { scope: self.scope.child(), way: self.way.child(), ..self.clone() }
    }
}

/// Makes the peer of a session; for tests.
type Script = dyn Fn(&Arc<Caller>) -> Peer + Send + Sync;

/// What stands behind the registry. Clones are the same server.
#[derive(Clone)]
enum Server {
    Child(Arc<Children>),
    Remote(Arc<Remotes>),
    /// Several servers, each with a registry of its own.
    Aggregate(Arc<Aggregate>),
    /// Tests put a script here.
    Scripted(Arc<Script>),
}

impl Server {
    /// What it is called in log lines.
    fn name(&self) -> Arc<str> {
        match self {
            Server::Child(children) => children.spec.name.as_str().into(),
            Server::Remote(remotes) => remotes.name(),
            Server::Aggregate(_) => "all servers".into(),
            Server::Scripted(_) => "script".into(),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::Child(children) => f.debug_tuple("Child").field(&children.spec.name).finish(),
            Server::Remote(_) => f.write_str("Remote"),
            Server::Aggregate(_) => f.write_str("Aggregate"),
            Server::Scripted(_) => f.write_str("Scripted"),
        }
    }
}

/// Why no server can be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `--max-sessions` are open.
    #[error("all {limit} sessions are in use; try again later, or raise --max-sessions")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// `--max-children` run.
    #[error("all {limit} processes of the server are in use; try again later, or raise --max-children")]
    Crowded {
        /// The limit.
        limit: usize,
    },
    /// The server crashed too often; it is left alone for a while.
    #[error("the server keeps crashing (it {last}); next start in {} s", .retry_after.as_secs().max(1))]
    BackingOff {
        /// Until the next start.
        retry_after: Duration,
        /// How it ended last.
        last: String,
    },
    /// The server cannot be started.
    #[error("{}", .0.brief())]
    Start(#[from] SpawnError),
    /// A shared server gave no usable answer to the bridge's own `initialize`.
    #[error("the server cannot be initialized: {0}")]
    Handshake(String),
    /// A remote server cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A caller's header or claim cannot become a variable of its server. Its value is not told.
    #[error("{what} {0} cannot be used: {1}", what = .0.what())]
    Caller(Source, &'static str),
    /// What a client declares decides which server it gets, and this is too much to be kept.
    #[error("the client's capabilities are longer than {} KiB; declare less", MAX_CAPABILITIES / 1024)]
    Capabilities,
    /// The bridge panicked while it started the server.
    #[error("the bridge failed while it started the server; call again, and look into the bridge's log if it stays so")]
    Broken,
    /// The bridge is shutting down, or this server is not offered any more.
    #[error(transparent)]
    Draining(#[from] Stopped),
}

/// What came of a start in a task of its own. Tasks are not aborted: one without an outcome panicked, which says nothing of
/// the server.
fn outcome<T>(joined: Result<Result<T, OpenError>, JoinError>) -> Result<T, OpenError> {
    joined.unwrap_or(Err(OpenError::Broken))
}

impl OpenError {
    /// The `data` of the JSON-RPC error that says it.
    pub fn data(&self) -> Option<serde_json::Value> {
        match self {
            OpenError::Connect(error) => error.data(),
            _ => None,
        }
    }

    /// What it is called in the audit log; `None` where it is the caller's own fault.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            OpenError::Full { .. } | OpenError::Crowded { .. } => Some(Reason::Busy),
            OpenError::Caller(..) | OpenError::Capabilities => None,
            OpenError::BackingOff { .. }
            | OpenError::Broken
            | OpenError::Draining(_)
            | OpenError::Start(_)
            | OpenError::Handshake(_)
            | OpenError::Connect(_) => Some(Reason::Unavailable),
        }
    }

    /// The code of that error.
    pub fn code(&self) -> i32 {
        match self {
            OpenError::Full { .. } | OpenError::Crowded { .. } => code::LIMIT,
            OpenError::Caller(..) | OpenError::Capabilities => code::INVALID_REQUEST,
            OpenError::BackingOff { .. }
            | OpenError::Broken
            | OpenError::Draining(_)
            | OpenError::Start(_)
            | OpenError::Handshake(_)
            | OpenError::Connect(_) => code::INTERNAL,
        }
    }

    /// Answers a request with it, which is noted as a refusal where it is not the caller's own fault.
    pub fn answer(&self, reply: Reply) {
        let (code, text, data) = (self.code(), self.to_string(), self.data());
        match self.reason() {
            Some(reason) => reply.refuse(reason, code, &text, data),
            None => reply.fail(code, &text, data),
        }
    }

    /// When it makes sense to try again: `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            OpenError::Full { .. } | OpenError::Crowded { .. } => Some(FULL_RETRY),
            OpenError::BackingOff { retry_after, .. } => Some(*retry_after),
            OpenError::Draining(_) => Some(Duration::from_secs(1)),
            OpenError::Start(_)
            | OpenError::Handshake(_)
            | OpenError::Connect(_)
            | OpenError::Broken
            | OpenError::Caller(..)
            | OpenError::Capabilities => None,
        }
    }
}

impl Registry {
    /// The registry of one server. Nothing is started or connected yet.
    pub fn of(server: &ServerSpec, limits: &Limits, ground: &Ground) -> Arc<Registry> {
        let readiness = Arc::new(Readiness::default());
        let sessions = Arc::new(Semaphore::new(limits.max_sessions));
        let mut callers = None;
        let back = match &server.back {
            Back::Child(spec) => {
                let (sessions, readiness) = (sessions.clone(), readiness.clone());
                let children = Children::new(spec.clone(), limits, server, sessions.clone(), readiness, ground);
                if !spec.caller_env.is_empty() {
                    callers = Some(Callers::new(children.clone(), limits, sessions, ground, &server.tools));
                }
                Server::Child(children)
            }
            Back::Remote(spec) => {
                Server::Remote(Remotes::new(spec.clone(), limits, server.eras.clone(), readiness.clone(), ground))
            }
        };
        let gate = Gate::new(&server.tools, &ground.way);
        Registry::new(back, server.sharing, limits, &ground.scope, sessions, readiness, (callers, gate))
    }

    /// The registry of several servers as one. How each of them is shared is its own registry's matter.
    pub fn aggregate(members: Vec<Member>, prefix: &Template, limits: &Limits, ground: &Ground) -> Arc<Registry> {
        let sessions = Arc::new(Semaphore::new(limits.max_sessions));
        let server = Server::Aggregate(Aggregate::new(members, prefix, &ground.way));
        Registry::new(server, Sharing::Own, limits, &ground.scope, sessions, Arc::default(), (None, None))
    }

    /// A registry for tests: `server` makes the peer of each session.
    pub fn scripted(
        server: impl Fn(&Arc<Caller>) -> Peer + Send + Sync + 'static,
        sharing: Sharing,
        limits: &Limits,
        scope: &Scope,
    ) -> Arc<Registry> {
        let sessions = Arc::new(Semaphore::new(limits.max_sessions));
        Registry::new(
            Server::Scripted(Arc::new(server)),
            sharing,
            limits,
            scope,
            sessions,
            Arc::default(),
            (None, None),
        )
    }

    fn new(
        server: Server,
        sharing: Sharing,
        limits: &Limits,
        scope: &Scope,
        sessions: Arc<Semaphore>,
        readiness: Arc<Readiness>,
        (callers, gate): (Option<Callers>, Option<Gate>),
    ) -> Arc<Registry> {
        Arc::new(Registry {
            one: One::new(server.clone(), sharing, scope),
            pooled: (sharing == Sharing::Pooled).then(|| Pooled::new(server.clone(), limits, scope)),
            server,
            sharing,
            limits: limits.clone(),
            scope: scope.clone(),
            sessions,
            readiness,
            callers,
            gate,
        })
    }

    /// The registry for a caller who sent these headers, and whose token says this: this one, unless the server gets
    /// variables from its callers (`--header-env`, `--claim-env`). To be asked before [`Registry::open`] and
    /// [`Registry::outbox`] by every wire that has headers.
    pub fn for_caller(self: &Arc<Self>, headers: &HeaderMap, claims: &TokenClaims) -> Result<Arc<Registry>, OpenError> {
        match &self.callers {
            None => Ok(self.clone()),
            Some(callers) => callers.registry_for(headers, claims),
        }
    }

    /// Whether servers get variables from their callers.
    pub fn reads_headers(&self) -> bool {
        self.callers.is_some()
    }

    /// How sessions share servers.
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// A server for one session. What goes into the peer's `tx` reaches the server; `rx` gives what the server says
    /// outside of any call, and ends when the server is gone. Dropping the peer (and every [`Reply`])
    /// ends the session.
    pub async fn open(&self, caller: &Arc<Caller>) -> Result<Peer, OpenError> {
        self.open_with(caller, None).await
    }

    /// The same where the session's first message is known: if it cannot have a server, it is told here. The message is
    /// still to be sent.
    pub async fn open_for(&self, caller: &Arc<Caller>, first: &Frame) -> Result<Peer, OpenError> {
        self.open_with(caller, Some(first)).await
    }

    async fn open_with(&self, caller: &Arc<Caller>, first: Option<&Frame>) -> Result<Peer, OpenError> {
        if let (Sharing::Own, Server::Scripted(server)) = (self.sharing, &self.server) {
            let _place = self.place()?;
            return Ok(server(caller));
        }
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        drop(self.enter(caller, ours, first).await?);
        Ok(theirs)
    }

    /// Works the server's end of a session. Where the server is the session's own, the handle gives what came of it.
    pub async fn attach(
        &self,
        caller: &Arc<Caller>,
        peer: Peer,
    ) -> Result<JoinHandle<Result<(), ConnectError>>, OpenError> {
        let first = peer.rx.put_back_first().cloned();
        self.enter(caller, peer, first.as_ref()).await
    }

    async fn enter(
        &self,
        caller: &Arc<Caller>,
        peer: Peer,
        first: Option<&Frame>,
    ) -> Result<JoinHandle<Result<(), ConnectError>>, OpenError> {
        let place = self.place()?;
        let peer = match &self.gate {
            Some(gate) => gate.behind(peer),
            None => peer,
        };
        if let Some(pooled) = &self.pooled {
            return pooled.session(caller, peer, place, first).await;
        }
        match (self.sharing, &self.server) {
            (Sharing::Own, Server::Scripted(_)) => return Err(self.scope.why().into()),
            (Sharing::Own, Server::Child(children)) => {
                let session = children.session(peer, Role::Connect, Some(place)).await?;
                return Ok(self.scope.spawn(async move {
                    drop(session.await);
                    Ok(())
                }));
            }
            (_, Server::Aggregate(servers)) => {
                let session = servers.session(peer);
                return Ok(self.scope.spawn(async move {
                    session.await;
                    drop(place);
                    Ok(())
                }));
            }
            (Sharing::Own, Server::Remote(remotes)) => {
                let session = remotes.session(peer);
                return Ok(self.scope.spawn(async move {
                    let end = session.await; // Logged and told by the wire; noted by `remotes`.
                    drop(place);
                    end.unwrap_or(Ok(()))
                }));
            }
            (_, Server::Child(children)) if children.is_modern_only() => children.shared_session(peer, place).await?,
            _ => self.one.with(|hub| hub.join(caller.clone(), peer, place)).await?,
        }
        Ok(self.scope.spawn(async { Ok(()) }))
    }

    /// A place for a session.
    fn place(&self) -> Result<OwnedSemaphorePermit, OpenError> {
        if self.scope.is_stopped() {
            return Err(self.scope.why().into());
        }
        let full = || OpenError::Full { limit: self.limits.max_sessions };
        self.sessions.clone().try_acquire_owned().map_err(|_| full())
    }

    /// The way in for an exchange that stands alone: a modern one, or with `--stateless` a legacy one, whose server the
    /// bridge itself initialized.
    pub async fn outbox(&self, caller: &Arc<Caller>) -> Result<Outbox, OpenError> {
        if self.scope.is_stopped() {
            return Err(self.scope.why().into());
        }
        let server = match (caller.era, &self.server) {
            (Era::Modern, Server::Scripted(server)) => server(caller).tx,
            (Era::Modern, Server::Child(children)) => match &self.pooled {
                Some(pooled) => pooled.outbox(children, caller.principal.as_ref()).await?,
                None => children.outbox().await?,
            },
            (Era::Modern, Server::Remote(remotes)) => remotes.outbox().await?,
            (Era::Modern, Server::Aggregate(servers)) => servers.outbox(),
            (Era::Legacy, _) => self.one.with(Hub::outbox).await?,
        };
        Ok(match &self.gate {
            Some(gate) => gate.outbox(server),
            None => server,
        })
    }

    /// Lets go of the servers that callers share. To be called when no call is in flight any more.
    pub async fn close(&self) {
        if let Some(callers) = &self.callers {
            callers.close().await;
        }
        if let Some(pooled) = &self.pooled {
            pooled.close().await;
        }
        self.one.close().await;
        if let Some(gate) = &self.gate {
            gate.close();
        }
        match &self.server {
            Server::Remote(remotes) => remotes.close().await,
            Server::Child(children) => children.close().await,
            Server::Aggregate(servers) => servers.close(),
            Server::Scripted(_) => {}
        }
    }

    /// A client has left while it waited for a server.
    pub fn left(&self) {
        if let Server::Remote(remotes) = &self.server {
            remotes.left();
        }
    }

    /// What came of the server so far: a client that leaves is no success where nothing ever worked.
    pub fn verdict(&self) -> Result<(), ConnectError> {
        match &self.server {
            Server::Remote(remotes) => remotes.verdict(),
            Server::Child(_) | Server::Aggregate(_) | Server::Scripted(_) => Ok(()),
        }
    }

    /// Whether a server can be had now, for `/readyz`; the text says why not.
    pub fn ready(&self) -> Result<(), String> {
        if self.scope.is_stopped() {
            return Err(self.scope.why().to_string());
        }
        match &self.server {
            Server::Child(children) => children.look_again(),
            Server::Aggregate(servers) => return servers.ready(),
            Server::Remote(_) | Server::Scripted(_) => {}
        }
        self.readiness.check()
    }
}
