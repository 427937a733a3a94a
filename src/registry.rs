//! Which server a caller talks to: the only place that knows about own, shared and stateless servers.
//!
//! Owns the limits on sessions and starts, the back-off of a server that keeps crashing, and readiness. Talks to the
//! wires that connect. It never sees a transport of the client's side.

mod backoff;
mod shared;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinHandle,
};

use tracing::{debug, warn};

use self::{backoff::Backoff, shared::Hub};
use crate::{
    config::{ChildSpec, Limits, Sharing},
    peer::{Caller, Era, Outbox, PEER_CAPACITY, Peer},
    pump::{Role, Rules},
    scope::Scope,
    wire::child::{self, Exit, SpawnError},
};

/// How long a refused client is told to wait when all sessions are in use.
const FULL_RETRY: Duration = Duration::from_secs(5);

/// How long a child that says nothing counts as starting. A server need not say anything before it is asked, and a client
/// need not ask: it must not keep others from starting.
const STARTING: Duration = Duration::from_secs(10);

/// How long a start that came to nothing makes the bridge unready. Not for ever: where traffic goes only to what is
/// ready, nobody would try again.
const UNREADY: Duration = Duration::from_secs(10);

/// Hands out servers.
#[derive(Debug)]
pub struct Registry {
    server: Server,
    sharing: Sharing,
    limits: Limits,
    scope: Scope,
    sessions: Arc<Semaphore>,
    hub: tokio::sync::Mutex<Option<Hub>>,
    readiness: Arc<Readiness>,
}

/// Makes the peer of a session; for tests.
type Script = dyn Fn(&Arc<Caller>) -> Peer + Send + Sync;

/// What stands behind the registry.
enum Server {
    Child(Arc<Children>),
    /// Tests put a script here.
    Scripted(Arc<Script>),
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::Child(children) => f.debug_tuple("Child").field(&children.spec.name).finish(),
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
    /// The bridge is shutting down.
    #[error("the bridge is shutting down")]
    Draining,
}

impl OpenError {
    /// When it makes sense to try again: `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            OpenError::Full { .. } => Some(FULL_RETRY),
            OpenError::BackingOff { retry_after, .. } => Some(*retry_after),
            OpenError::Draining => Some(Duration::from_secs(1)),
            OpenError::Start(_) | OpenError::Handshake(_) => None,
        }
    }
}

impl Registry {
    /// A registry whose servers are children. `mark` is the guard's (see [`child::guard`]).
    pub fn children(
        spec: ChildSpec,
        sharing: Sharing,
        limits: &Limits,
        mark: Option<String>,
        scope: &Scope,
    ) -> Arc<Registry> {
        let readiness = Arc::new(Readiness::default());
        let children = Children {
            spec,
            mark,
            limits: limits.clone(),
            scope: scope.clone(),
            starting: Arc::new(Semaphore::new(limits.max_spawning)),
            readiness: readiness.clone(),
        };
        Registry::new(Server::Child(Arc::new(children)), sharing, limits, scope, readiness)
    }

    /// A registry for tests: `server` makes the peer of each session.
    pub fn scripted(
        server: impl Fn(&Arc<Caller>) -> Peer + Send + Sync + 'static,
        sharing: Sharing,
        limits: &Limits,
        scope: &Scope,
    ) -> Arc<Registry> {
        let readiness = Arc::new(Readiness::default());
        Registry::new(Server::Scripted(Arc::new(server)), sharing, limits, scope, readiness)
    }

    fn new(
        server: Server,
        sharing: Sharing,
        limits: &Limits,
        scope: &Scope,
        readiness: Arc<Readiness>,
    ) -> Arc<Registry> {
        Arc::new(Registry {
            server,
            sharing,
            limits: limits.clone(),
            scope: scope.clone(),
            sessions: Arc::new(Semaphore::new(limits.max_sessions)),
            hub: tokio::sync::Mutex::new(None),
            readiness,
        })
    }

    /// How sessions share servers.
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// A server for one session. What goes into the peer's `tx` reaches the server; `rx` gives what the server says
    /// outside of any call, and ends when the server is gone. Dropping the peer (and every [`crate::peer::Reply`])
    /// ends the session.
    pub async fn open(&self, caller: &Arc<Caller>) -> Result<Peer, OpenError> {
        if self.scope.is_stopped() {
            return Err(OpenError::Draining);
        }
        let full = || OpenError::Full { limit: self.limits.max_sessions };
        let place = self.sessions.clone().try_acquire_owned().map_err(|_| full())?;
        match self.sharing {
            Sharing::Own => match &self.server {
                Server::Scripted(server) => Ok(server(caller)),
                Server::Child(children) => {
                    let (ours, theirs) = Peer::pair(PEER_CAPACITY);
                    let exit = children.start(ours, Role::Connect).await?;
                    // The place is free again when no process of the session is left.
                    self.scope.spawn(async move {
                        exit.await.ok();
                        drop(place);
                    });
                    Ok(theirs)
                }
            },
            Sharing::Shared | Sharing::Stateless => {
                let (ours, theirs) = Peer::pair(PEER_CAPACITY);
                self.with_hub(|hub| hub.join(caller.clone(), ours, place)).await?;
                Ok(theirs)
            }
        }
    }

    /// The way in for an exchange that stands alone (`--stateless`): a server that the bridge initialized itself.
    pub async fn outbox(&self, caller: &Arc<Caller>) -> Result<Outbox, OpenError> {
        if self.scope.is_stopped() {
            return Err(OpenError::Draining);
        }
        if let (Era::Modern, Server::Scripted(server)) = (caller.era, &self.server) {
            return Ok(server(caller).tx);
        }
        self.with_hub(Hub::outbox).await
    }

    /// Whether a server can be had now, for `/readyz`; the text says why not.
    pub fn ready(&self) -> Result<(), String> {
        if self.scope.is_stopped() {
            return Err(OpenError::Draining.to_string());
        }
        self.readiness.check()
    }

    /// Works with the living hub; starts one when there is none.
    async fn with_hub<T>(&self, work: impl FnOnce(&Hub) -> T) -> Result<T, OpenError> {
        // Held across the start on purpose: whoever comes second waits for the one server that all share.
        let mut slot = self.hub.lock().await;
        if slot.as_ref().is_none_or(Hub::is_gone) {
            let back = match &self.server {
                Server::Scripted(server) => server(&Caller::legacy(None)),
                Server::Child(children) => {
                    let (ours, theirs) = Peer::pair(PEER_CAPACITY);
                    let sessions = self.sharing == Sharing::Shared;
                    children.start(ours, Role::ConnectShared { sessions }).await?;
                    theirs
                }
            };
            let hub = match self.sharing {
                Sharing::Stateless => Hub::stateless(back, &self.scope).await.map_err(OpenError::Handshake)?,
                Sharing::Own | Sharing::Shared => Hub::sessions(back, &self.scope),
            };
            *slot = Some(hub);
        }
        slot.as_ref().map(work).ok_or(OpenError::Draining)
    }
}

/// Starts stdio servers, as often as they are worth it.
struct Children {
    spec: ChildSpec,
    mark: Option<String>,
    limits: Limits,
    scope: Scope,
    /// Bounds how many children are between their start and their first frame.
    starting: Arc<Semaphore>,
    readiness: Arc<Readiness>,
}

impl Children {
    async fn start(self: &Arc<Self>, peer: Peer, role: Role) -> Result<JoinHandle<Exit>, OpenError> {
        self.readiness
            .backoff
            .check(now())
            .map_err(|(retry_after, last)| OpenError::BackingOff { retry_after, last })?;
        let starting = self.starting.clone().acquire_owned().await.map_err(|_| OpenError::Draining)?;
        let rules = Rules {
            name: self.spec.name.as_str().into(),
            speaker: Caller::legacy(None),
            role,
            max_in_flight: self.limits.max_in_flight,
            max_waiting: self.limits.max_waiting(),
            request_timeout: self.limits.request_timeout,
            linger: self.spec.stop.after_close,
        };
        let max_line = self.limits.max_message;
        let spoke = Arc::new(AtomicBool::new(false));
        let (told, first) = oneshot::channel();
        self.scope.spawn(hold_place(starting, first));
        let first_frame = {
            let (spoke, readiness) = (spoke.clone(), self.readiness.clone());
            Box::new(move || {
                spoke.store(true, Ordering::Release);
                readiness.set(None);
                drop(told);
            })
        };
        let mark = self.mark.as_deref();
        let opened = child::open(&self.spec, mark, max_line, peer, rules, Some(first_frame), &self.scope);
        let ended = opened.inspect_err(|error| {
            warn!("{error}");
            self.readiness.set(Some(error.brief()));
        })?;
        let (readiness, name) = (self.readiness.clone(), self.spec.name.clone());
        Ok(self.scope.spawn(async move {
            let exit = ended.await.unwrap_or_else(|_| Exit::lost());
            readiness.backoff.ended(&exit, now());
            if !exit.asked && !spoke.load(Ordering::Acquire) {
                readiness.set(Some(format!("the server {name} {} before its first message", exit.how)));
            }
            exit
        }))
    }
}

/// Holds the place of a start until the child's first frame or its end, or until it has been silent for long enough.
async fn hold_place(place: OwnedSemaphorePermit, first: oneshot::Receiver<()>) {
    if tokio::time::timeout(STARTING, first).await.is_err() {
        debug!("a server has said nothing yet; the next one may start");
    }
    drop(place);
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Whether a server can be had.
#[derive(Debug, Default)]
struct Readiness {
    backoff: Backoff,
    /// Why the last start came to nothing, and when.
    failed: Mutex<Option<(String, Instant)>>,
}

impl Readiness {
    /// Takes note of a start: why it failed, or that it did not.
    fn set(&self, failure: Option<String>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failure.map(|why| (why, now()));
    }

    fn check(&self) -> Result<(), String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((why, at)) = failed
            && now().saturating_duration_since(at) < UNREADY
        {
            return Err(why);
        }
        self.backoff.check(now()).map_err(|(retry_after, last)| OpenError::BackingOff { retry_after, last }.to_string())
    }
}
