//! Modern callers at a legacy server.
//!
//! Owns the pool of initialized servers, one call at a time on its way through them, and the calls that wait for their
//! caller to come back. Talks to callers through the envelopes of one [`Outbox`], and to servers through the peers that
//! [`Open`] makes. It never knows a transport, and never repeats a call that a server may have seen.
//!
//! ```text
//!  Outbox ──> admission ──> call (a task each) ──> pool ──> backend (legacy peer; this is its client)
//!              `request`      `call`                │         `backend`: initialize, ids, what belongs to no call
//!                               │ asked back        └─ keyed by principal and declared capabilities
//!                               v
//!                             `rounds` and `parked`: a table entry, found again by the sealed `requestState`
//! ```
//!
//! A legacy server asks back with requests of its own, and over a pipe nothing says which call they belong to. So a
//! caller that can be asked gets a server for itself while a call runs that may ask back; callers that cannot be asked
//! share one.

mod asked;
mod backend;
mod call;
mod front;
mod missed;
mod parked;
mod pool;
mod request;
mod results;
mod rounds;
mod running;
pub mod seal;
mod subscriptions;
mod tasks;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

pub use self::results::asking::MAX_CAPABILITIES;

use self::{
    front::Front,
    parked::Parked,
    pool::Pool,
    request::{Known, Refusal},
    seal::Sealer,
};
use crate::{
    message::{Id, Kind, code},
    peer::{Caller, CallerId, Envelope, Outbox, PEER_CAPACITY, Peer},
    room::Rooms,
    scope::Scope,
};

/// Opens a legacy session: a raw peer, without handshake (the translation sends `initialize` itself).
pub type Open = Arc<dyn Fn(Arc<Caller>) -> BoxFuture<'static, Result<Peer, Unavailable>> + Send + Sync>;

/// Told when a server refuses `initialize` with an error: perhaps it is of the modern era.
pub type OnWrongEra = Arc<dyn Fn() + Send + Sync>;

/// Why there is no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unavailable {
    /// What failed, and why.
    pub message: String,
    /// When it makes sense to try again.
    pub retry_after: Option<Duration>,
}

/// How servers are kept, and calls parked.
#[derive(Clone)]
pub struct Settings {
    /// The server's, shown in log lines.
    pub name: Arc<str>,
    /// What `roots/list` is answered with where nobody can be asked (`--root`): `file:` URIs.
    pub roots: Vec<String>,
    /// Seals `requestState` (`--state-key-file`); `None`: a key for this run.
    pub state: Option<Arc<Sealer>>,
    /// Whether the wire says which call a request of the server's belongs to, as Streamable HTTP does. Then calls that
    /// may be asked back share a server.
    pub attributed: bool,
    /// Servers at once; one more is refused. Each may be a process. Calls that may be asked back leave a quarter of them
    /// to others, and one principal, where callers have any, half.
    pub max_backends: usize,
    /// How long a server without a call, a parked call or a subscription is kept warm.
    pub idle: Duration,
    /// How long a server may take to answer `initialize`. Servers that are fetched first take tens of seconds.
    pub patience: Duration,
    /// How long a call may stay unanswered (`--request-timeout`), each retry counted anew. The time that a parked call waits
    /// for its caller does not count, so the wires behind must not count it either.
    pub request_timeout: Option<Duration>,
    /// Bytes of large messages that may wait for one caller, and of answers at one server whose callers are to come back.
    pub max_waiting: usize,
    /// Calls in flight, parked ones not counted; one more is refused.
    pub max_calls: usize,
    /// Parked calls of one principal; one more is refused. They hold memory, and most hold a server.
    pub max_parked: usize,
    /// Parked calls of all principals.
    pub max_parked_total: usize,
    /// How long a parked call waits for its caller to come back.
    pub parked_expiry: Duration,
    /// How long further requests of the server's are awaited after the first, so that they cross together.
    pub collect: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            name: "server".into(),
            roots: Vec::new(),
            state: None,
            attributed: false,
            max_backends: 256,
            idle: Duration::from_secs(300),
            patience: Duration::from_secs(60),
            request_timeout: None,
            max_waiting: 32 * 1024 * 1024,
            max_calls: 16 * 1024,
            max_parked: 256,
            max_parked_total: 4096,
            parked_expiry: Duration::from_secs(600),
            collect: Duration::from_millis(25),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("roots", &self.roots)
            .field("attributed", &self.attributed)
            .finish_non_exhaustive()
    }
}

/// Starts the translation. What goes into the outbox is modern requests, and `notifications/cancelled` of the same
/// callers. Dropping every sender ends it: servers without a call end at once, the others with their calls.
pub fn open(open: Open, settings: Settings, on_wrong_era: OnWrongEra, scope: &Scope) -> Outbox {
    let (outbox, rx) = mpsc::channel(PEER_CAPACITY);
    let settings = Arc::new(settings);
    let pool = Pool::new(open, on_wrong_era, settings.clone(), scope);
    let parked = Parked::start(settings.clone(), &pool, scope);
    let rooms = Rooms::new(settings.max_waiting);
    let (calls, known) = (Mutex::default(), Known::default());
    let translation = Translation { pool, parked, settings, scope: scope.clone(), rooms, calls, known };
    scope.spawn(Arc::new(translation).dispatch(rx));
    outbox
}

/// What all calls share.
struct Translation {
    pool: Arc<Pool>,
    parked: Arc<Parked>,
    settings: Arc<Settings>,
    scope: Scope,
    /// For what waits to be read by its caller. It gives up the room that it had on its way here: the wire reads no further
    /// while that is used up, and whoever shares the server would wait.
    rooms: Rooms<CallerId>,
    /// Calls in flight, for cancellation alone: answers need no table.
    calls: Mutex<HashMap<(CallerId, Id), oneshot::Sender<()>>>,
    known: Known,
}

/// A poisoned lock means that a task panicked elsewhere; the tables stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Translation {
    /// Gives each request a task. Ends when nobody can ask any more.
    async fn dispatch(self: Arc<Self>, mut rx: mpsc::Receiver<Envelope>) {
        while let Some(envelope) = rx.recv().await {
            match envelope.frame.kind() {
                Kind::Request(id) => {
                    let key = (envelope.from.id, id.clone());
                    self.begin(key, envelope);
                }
                Kind::Notification => {
                    if let Some(id) = envelope.frame.cancelled() {
                        let key = (envelope.from.id, id.clone());
                        let call = lock(&self.calls).remove(&key);
                        match call {
                            // Dropped unsent where the call is over already.
                            Some(call) => drop(call.send(())),
                            None => self.parked.withdraw(&key),
                        }
                    }
                    // The modern era has no other that a legacy server could use: `initialized` and progress belong to
                    // a session.
                }
                Kind::Response(_) => {}
            }
        }
        self.pool.close();
        self.parked.close();
    }

    fn begin(self: &Arc<Self>, key: (CallerId, Id), envelope: Envelope) {
        let Envelope { from, frame, reply: Some(reply) } = envelope else { return };
        let (withdraw, withdrawn) = oneshot::channel();
        let refusal = {
            let mut calls = lock(&self.calls);
            if calls.len() >= self.settings.max_calls {
                let text = format!("{} calls are in flight; wait for an answer before the next one", calls.len());
                Some(Refusal::new(code::LIMIT, text))
            } else if calls.contains_key(&key) {
                let text = "a request with this id is still in flight; use another id";
                Some(Refusal::new(code::INVALID_REQUEST, text))
            } else {
                calls.insert(key.clone(), withdraw);
                None
            }
        };
        if let Some(refusal) = refusal {
            return refusal.tell(reply);
        }
        let translation = self.clone();
        self.scope.spawn(async move {
            translation.serve(Front::new(from, frame, reply, withdrawn, translation.clone(), key)).await;
        });
    }

    /// The call is over, or has its answer: its id is free. False when it was cancelled before.
    fn ended(&self, key: &(CallerId, Id)) -> bool {
        lock(&self.calls).remove(key).is_some()
    }
}
