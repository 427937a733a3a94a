//! Which legacy server a call gets.
//!
//! Owns the servers that are up, who uses them, and for how long an idle one is kept. Talks to [`Backend`]. It never
//! gives one server to two callers that may be asked back at the same time, unless the wire can tell whom a question is
//! for.

use std::{
    collections::HashMap,
    fmt,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    OnWrongEra, Open, Settings,
    backend::{Backend, Start, roots_result},
    lock,
    request::Refusal,
    subscriptions::Seats,
};
use crate::{message::code, peer::Principal, scope::Scope};

/// Servers of one kind that start at once for calls that need one alone. More would only be slower.
const MAX_STARTING: usize = 2;

/// How long a server may take to answer a `ping` after a call was taken back. One that does not is not given to the next
/// caller that can be asked.
const COOL: Duration = Duration::from_secs(5);

/// What tells servers apart: two callers that differ in either must not share one (2026-07-28, Caching: private results;
/// a legacy server decides by the capabilities of its handshake what it shows).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) principal: Option<Principal>,
    /// As the server is told them, in canonical form.
    pub(super) capabilities: Arc<str>,
}

/// How a call uses its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Beside others.
    Any,
    /// Alone among the calls whose callers can be asked.
    Lease,
}

/// The servers.
pub(super) struct Pool {
    open: Open,
    on_wrong_era: OnWrongEra,
    settings: Arc<Settings>,
    scope: Scope,
    roots: Option<Arc<str>>,
    state: Mutex<State>,
    /// How many subscriptions there are.
    pub(super) seats: Seats,
    /// Told when a server may have become free for a lease, or has come to nothing.
    freed: Notify,
    /// Told when there is a server after there was none: from then on somebody has to look after idle ones.
    first: Notify,
    closed: CancellationToken,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    count: usize,
    groups: HashMap<Key, Vec<Place>>,
}

#[derive(Debug)]
struct Place {
    backend: Arc<Backend>,
    leased: bool,
    users: usize,
    idle_since: Instant,
}

/// What came of asking for a server alone.
enum Claim {
    Got(Use),
    /// All are taken. This one starts; one of the others may be free before.
    Wait(Arc<Backend>),
}

/// The right to use a server, until it is dropped.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) backend: Arc<Backend>,
    leased: bool,
    pool: Arc<Pool>,
}

impl Drop for Use {
    fn drop(&mut self) {
        self.pool.release(&self.backend, self.leased);
    }
}

impl Use {
    /// Gives the server back after a call that was taken back. A server that still works on it could ask for it; over a
    /// pipe that would look like a question of the next call. So it has to answer a `ping` first.
    pub(super) fn cool(self) {
        if !self.leased {
            return;
        }
        let pool = self.pool.clone();
        pool.scope.clone().spawn(async move {
            if !matches!(timeout(COOL, self.backend.ask("ping", None)).await, Ok(Some(_))) {
                debug!("a legacy server does not answer after a call was taken back; it is let go");
                pool.lost(&self.backend);
            }
        });
    }

    /// Whether no other caller that can be asked has the server.
    pub(super) fn is_lease(&self) -> bool {
        self.leased
    }

    /// Resolves when somebody else uses the server, too, for what needs no lease.
    pub(super) async fn crowded(&self) {
        // The server outlives its users, so there is no end to be told of.
        drop(self.backend.users.subscribe().wait_for(|users| *users > 1).await);
    }

    /// Lets the server go, for everybody who comes from now on.
    pub(super) fn discard(self) {
        self.pool.lost(&self.backend);
    }
}

impl Pool {
    pub(super) fn new(open: Open, on_wrong_era: OnWrongEra, settings: Arc<Settings>, scope: &Scope) -> Arc<Pool> {
        Arc::new(Pool {
            open,
            on_wrong_era,
            roots: roots_result(&settings.roots),
            settings,
            scope: scope.clone(),
            state: Mutex::default(),
            seats: Seats::default(),
            freed: Notify::new(),
            first: Notify::new(),
            closed: CancellationToken::new(),
        })
    }

    /// A server for a call: a warm one, or a new one. Who shares waits while it starts; who needs one alone takes whichever
    /// is free first, one that has just become free or a new one. So many short calls at once need few servers, and none
    /// of them waits for a start when it need not.
    pub(super) async fn get(self: &Arc<Self>, key: Key, need: Need, client: Option<&str>) -> Result<Use, Refusal> {
        // Where the wire tells whom a question is for, calls may share.
        if need != Need::Lease || self.settings.attributed {
            let using = self.share(key, client)?;
            using.backend.opened().await?;
            return Ok(using);
        }
        // Ends with a server, or with a start that came to nothing.
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            let starting = match self.lease(&key, client)? {
                Claim::Got(using) => return Ok(using),
                Claim::Wait(starting) => starting,
            };
            tokio::select! {
                opened = starting.opened() => drop(opened?),
                () = freed => {}
            }
        }
    }

    /// A server that is free, or one that starts.
    fn lease(self: &Arc<Self>, key: &Key, client: Option<&str>) -> Result<Claim, Refusal> {
        let mut state = lock(&self.state);
        let places = state.groups.get_mut(key).map(Vec::as_mut_slice).unwrap_or_default();
        let alive = |place: &&mut Place| !place.backend.is_over();
        // The first of them each time: cursors belong to one server.
        if let Some(place) = places.iter_mut().filter(alive).find(|place| place.backend.is_ready() && !place.leased) {
            place.count(1);
            place.leased = true;
            return Ok(Claim::Got(Use { backend: place.backend.clone(), leased: true, pool: self.clone() }));
        }
        let starting: Vec<_> =
            places.iter().filter(|place| !place.backend.is_ready() && !place.backend.is_over()).collect();
        if let Some(place) = starting.first().filter(|_| starting.len() >= MAX_STARTING) {
            return Ok(Claim::Wait(place.backend.clone()));
        }
        drop(state);
        Ok(Claim::Wait(self.add(key.clone(), Need::Lease, client)?))
    }

    /// A server that others may use at the same time.
    fn share(self: &Arc<Self>, key: Key, client: Option<&str>) -> Result<Use, Refusal> {
        let taken = lock(&self.state).take(&key);
        let backend = match taken {
            Some(backend) => backend,
            None => self.add(key, Need::Any, client)?,
        };
        Ok(Use { backend, leased: false, pool: self.clone() })
    }

    /// Starts one more server. Who shares it uses it from the start; who needs one alone has to claim it.
    fn add(self: &Arc<Self>, key: Key, need: Need, client: Option<&str>) -> Result<Arc<Backend>, Refusal> {
        // What is let go here is dropped after the lock.
        let mut let_go = Vec::new();
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Refusal::new(code::INTERNAL, self.scope.why().to_string()));
        }
        if let Some(refusal) = state.refusal(&key, need, self.settings.max_backends) {
            return Err(refusal);
        }
        if state.count >= self.settings.max_backends {
            match state.evict() {
                Some(idle) => let_go.push(idle),
                None => {
                    let text = format!("all {} servers are in use; try again later", self.settings.max_backends);
                    return Err(Refusal::new(code::LIMIT, text));
                }
            }
        }
        let backend = Arc::new(Backend::new(key.clone(), self.roots.clone(), self.settings.max_waiting));
        let mut place = Place { backend: backend.clone(), leased: false, users: 0, idle_since: Instant::now() };
        place.count(usize::from(need == Need::Any));
        state.groups.entry(key).or_default().push(place);
        state.count += 1;
        if state.count == 1 {
            self.first.notify_one();
        }
        drop(state);
        self.start(backend.clone(), client);
        Ok(backend)
    }

    /// In a task of its own: a caller that leaves meanwhile does not undo it, and the next one finds it warm.
    fn start(self: &Arc<Self>, backend: Arc<Backend>, client: Option<&str>) {
        let (pool, client) = (self.clone(), client.map(str::to_string));
        self.scope.spawn(async move {
            let start = Start {
                open: &pool.open,
                pool: &pool,
                scope: &pool.scope,
                patience: pool.settings.patience,
                client: client.as_deref(),
                on_wrong_era: &pool.on_wrong_era,
            };
            backend.start(start).await;
            pool.freed.notify_waiters();
        });
    }

    /// The server is not of this era any more, by its own account.
    pub(super) fn outdated(&self, backend: &Arc<Backend>) {
        self.lost(backend);
        (self.on_wrong_era)();
    }

    fn release(&self, backend: &Arc<Backend>, leased: bool) {
        let mut state = lock(&self.state);
        let Some(place) = state.place(backend) else { return };
        place.users = place.users.saturating_sub(1);
        place.count(0);
        place.leased &= !leased;
        place.idle_since = Instant::now();
        drop(state);
        if leased {
            self.freed.notify_waiters();
        }
    }

    /// Runs a task that outlives its caller.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.scope.spawn(task);
    }

    /// Resolves when the bridge shuts down, or wants no server any more. Cancel-safe.
    pub(super) async fn stopped(&self) {
        tokio::select! {
            () = self.scope.stopped() => {}
            () = self.closed.cancelled() => {}
        }
    }

    /// Whether the bridge shuts down.
    pub(super) fn is_stopped(&self) -> bool {
        self.scope.is_stopped() || self.closed.is_cancelled()
    }

    /// Whether a server that shook hands is up.
    pub(super) fn has_ready(&self) -> bool {
        let state = lock(&self.state);
        state.groups.values().flatten().any(|place| place.backend.is_ready() && !place.backend.is_over())
    }

    /// How long a server may take to answer the bridge itself.
    pub(super) fn patience(&self) -> Duration {
        self.settings.patience
    }

    /// The server is not given to anybody any more: it has ended, or is not to be trusted.
    pub(super) fn lost(&self, backend: &Arc<Backend>) {
        let place = lock(&self.state).remove(&backend.key, |place| Arc::ptr_eq(&place.backend, backend));
        drop(place);
    }

    /// Ends servers that were idle for long enough.
    pub(super) fn sweep(&self) {
        let mut let_go = Vec::new();
        let now = Instant::now();
        let idle = self.settings.idle;
        let is_due = |place: &Place| place.users == 0 && now.saturating_duration_since(place.idle_since) >= idle;
        let mut state = lock(&self.state);
        let keys: Vec<Key> =
            state.groups.iter().filter(|(_, places)| places.iter().any(is_due)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            while let Some(place) = state.remove(&key, is_due) {
                let_go.push(place);
            }
        }
        drop(state);
        if !let_go.is_empty() {
            debug!(count = let_go.len(), "ended idle servers");
        }
    }

    /// Resolves when there is a server.
    pub(super) async fn inhabited(&self) {
        while lock(&self.state).count == 0 {
            self.first.notified().await;
        }
    }

    /// How often idle servers are looked for.
    pub(super) fn period(&self) -> Duration {
        (self.settings.idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(30))
    }

    /// Lets everything go that nobody uses, and gives out nothing any more.
    pub(super) fn close(&self) {
        self.closed.cancel();
        let mut state = lock(&self.state);
        state.closed = true;
        state.count = 0;
        let groups = std::mem::take(&mut state.groups);
        drop(state);
        drop(groups);
    }
}

impl Place {
    /// So many more use it.
    fn count(&mut self, more: usize) {
        self.users += more;
        self.backend.users.send_replace(self.users);
    }

    /// Whether it cannot make room for another.
    fn is_busy(&self) -> bool {
        self.users > 0 || !(self.backend.is_ready() || self.backend.is_over())
    }
}

impl State {
    /// Why no server is started for this key, although there may be room. A parked call keeps its server for as long as
    /// its caller thinks: without a bound, one caller with many of them would lock out everybody.
    fn refusal(&self, key: &Key, need: Need, most: usize) -> Option<Refusal> {
        let busy = |counts: &dyn Fn(&Key) -> bool| {
            let counted = self.groups.iter().filter(|(key, _)| counts(key));
            counted.flat_map(|(_, places)| places).filter(|place| place.is_busy()).count()
        };
        let next = "answer what was asked, or wait for other calls to end, then call again";
        let (all, mine) = (most - most / 4, most.div_ceil(2));
        if need == Need::Lease && busy(&|_| true) >= all {
            let text = format!("{all} of {most} servers are in use, and the others are kept for short calls; {next}");
            return Some(Refusal::new(code::LIMIT, text));
        }
        if key.principal.is_some() && busy(&|other| other.principal == key.principal) >= mine {
            let text = format!("{mine} of {most} servers are in use by this client, and it may have no more; {next}");
            return Some(Refusal::new(code::LIMIT, text));
        }
        None
    }

    /// A server that is there and can be used so.
    fn take(&mut self, key: &Key) -> Option<Arc<Backend>> {
        let places = self.groups.get_mut(key)?;
        let can = |place: &&mut Place| !place.backend.is_over();
        // A warm one before one that still starts. The first of them each time: cursors belong to one server.
        let mut found = places.iter_mut().filter(|place| place.backend.is_ready()).find(can);
        if found.is_none() {
            found = places.iter_mut().find(can);
        }
        let place = found?;
        place.count(1);
        Some(place.backend.clone())
    }

    fn place(&mut self, backend: &Arc<Backend>) -> Option<&mut Place> {
        self.groups.get_mut(&backend.key)?.iter_mut().find(|place| Arc::ptr_eq(&place.backend, backend))
    }

    fn remove(&mut self, key: &Key, which: impl FnMut(&Place) -> bool) -> Option<Place> {
        let places = self.groups.get_mut(key)?;
        let at = places.iter().position(which)?;
        let place = places.remove(at);
        if places.is_empty() {
            self.groups.remove(key);
        }
        self.count = self.count.saturating_sub(1);
        Some(place)
    }

    /// Takes out the server that nobody has used for the longest time.
    fn evict(&mut self) -> Option<Place> {
        let all = self.groups.iter().flat_map(|(key, places)| places.iter().map(move |place| (key, place)));
        let (key, place) = all.filter(|(_, place)| !place.is_busy()).min_by_key(|(_, place)| place.idle_since)?;
        let (key, backend) = (key.clone(), place.backend.clone());
        self.remove(&key, |place| Arc::ptr_eq(&place.backend, &backend))
    }
}
