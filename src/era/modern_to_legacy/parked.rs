//! Calls that wait for their caller to come back with answers.
//!
//! Owns the table of them, their handles (`requestState`), and their expiry. A parked call is an entry and its channel,
//! not a task: one task hears what the servers say meanwhile, and clears away what has expired. It never lets a handle
//! be used twice, nor by another caller, nor for another request.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, Weak},
    task::{Context, Poll, Waker},
    time::{SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::Instant};
use tracing::debug;

use super::{
    Settings,
    asked::Entries,
    lock,
    pool::Pool,
    request::Refusal,
    running::Running,
    seal::{self, Claims, Digest, NoRandomness, Sealer},
};
use crate::{
    message::{Id, code},
    peer::{Caller, CallerId, Principal},
    scope::Scope,
};

/// Parked calls that were not yet taken over by the task that hears them. Who parks waits for it.
const FRESH: usize = 64;

/// The answer to a retry that comes too late for the server that asked.
const LOST: &str = "requestState names a call that is lost: the bridge was restarted or the server was changed in its config \
                    file since, or another bridge gave it; call again without it";

/// What was parked.
#[derive(Debug)]
pub(super) enum Kept {
    /// A call that the server works on. Boxed: it moves through the table.
    Call(Box<Running>),
    /// A call that the server refused until a URL is opened (-32042); it is sent again. Holds what was asked for.
    Again(Entries),
}

/// Names a parked call, and how often it was parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    id: u64,
    round: u32,
}

/// What was parked and comes back.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kept: Kept,
    /// How often it was parked.
    pub(super) round: u32,
}

/// The table.
#[derive(Debug)]
pub(super) struct Parked {
    settings: Arc<Settings>,
    /// Says why it ends.
    scope: Scope,
    /// Made for the first call that is parked, unless it was given: the first random key of a process takes the library 30
    /// ms, and most callers are never asked back. `None` where the system gives no random bytes.
    sealer: OnceLock<Option<Arc<Sealer>>>,
    instance: u128,
    /// The two clocks at the same moment: handles carry the time of day, which tests cannot stop.
    started: (SystemTime, Instant),
    fresh: mpsc::Sender<Arc<Slot>>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    closed: bool,
    minted: u64,
    entries: HashMap<u64, Entry>,
    due: BTreeSet<(Instant, u64)>,
    /// How many each principal has; none has 0.
    counts: HashMap<Option<Principal>, usize>,
}

#[derive(Debug)]
struct Entry {
    round: u32,
    due: Instant,
    principal: Option<Principal>,
    /// The request that was answered with the question.
    request: (CallerId, Id),
    kept: Held,
}

#[derive(Debug)]
enum Held {
    Call(Arc<Slot>),
    Again(Entries),
}

/// The place of one call: it is taken out by its caller or on expiry, whatever comes first.
#[derive(Debug)]
struct Slot {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    call: Option<Box<Running>>,
    waker: Option<Waker>,
}

impl Slot {
    fn take(&self) -> Option<Box<Running>> {
        let mut inner = lock(&self.inner);
        let call = inner.call.take();
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
        call
    }
}

/// Hears what the server says to a parked call, until the call is taken, or answered.
struct Hearing(Arc<Slot>);

impl Future for Hearing {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = lock(&self.0.inner);
        let Some(call) = &mut inner.call else { return Poll::Ready(()) };
        if call.poll_parked(cx).is_ready() {
            return Poll::Ready(());
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Parked {
    /// Starts the task that looks after parked calls and idle servers. It ends with the last owner of the table.
    pub(super) fn start(settings: Arc<Settings>, pool: &Arc<Pool>, scope: &Scope) -> Arc<Parked> {
        let (fresh, rx) = mpsc::channel(FRESH);
        let parked = Arc::new(Parked {
            settings,
            scope: scope.clone(),
            sealer: OnceLock::new(),
            instance: uuid::Uuid::new_v4().as_u128(),
            started: (SystemTime::now(), Instant::now()),
            fresh,
            table: Mutex::default(),
        });
        scope.spawn(keep(Arc::downgrade(&parked), pool.clone(), rx));
        parked
    }

    /// One key for all servers of a run where none was given: what was parked at a server before its entry in the config file
    /// was changed is known for what it was.
    fn sealer(&self) -> Option<&Arc<Sealer>> {
        static OWN: OnceLock<Option<Arc<Sealer>>> = OnceLock::new();
        let own = || OWN.get_or_init(|| Sealer::random().ok().map(Arc::new)).clone();
        self.sealer.get_or_init(|| self.settings.state.clone().or_else(own)).as_ref()
    }

    /// Whether one more may be parked for this caller.
    fn room(&self, table: &Table, caller: &Caller) -> Result<(), Refusal> {
        let mine = table.counts.get(&caller.principal).copied().unwrap_or_default();
        let most = self.settings.max_parked;
        if table.closed {
            return Err(Refusal::new(code::INTERNAL, self.scope.why().to_string()));
        }
        if mine >= most || table.entries.len() >= self.settings.max_parked_total {
            let text = format!(
                "the server asks back, and {} calls wait for their callers already; answer or let some expire first",
                if mine >= most { mine } else { table.entries.len() }
            );
            return Err(Refusal::new(code::LIMIT, text));
        }
        Ok(())
    }

    /// Parks what is kept until its caller comes back; gives the handle. `key` names the request that is answered with it,
    /// `before` is how often it was parked.
    pub(super) async fn park(
        &self,
        key: &(CallerId, Id),
        caller: &Caller,
        request: Digest,
        kept: Kept,
        before: u32,
    ) -> Result<String, (Refusal, Kept)> {
        let due = Instant::now() + self.settings.parked_expiry;
        let (name, handle) = match self.name(caller, request, due, before) {
            Ok(named) => named,
            Err(refusal) => return Err((refusal, kept)),
        };
        let mut fresh = None;
        {
            let mut table = lock(&self.table);
            if let Err(refusal) = self.room(&table, caller) {
                return Err((refusal, kept));
            }
            let kept = match kept {
                Kept::Again(entries) => Held::Again(entries),
                Kept::Call(call) => {
                    let slot = Arc::new(Slot { inner: Mutex::new(Inner { call: Some(call), waker: None }) });
                    fresh = Some(slot.clone());
                    Held::Call(slot)
                }
            };
            let principal = caller.principal.clone();
            *table.counts.entry(principal.clone()).or_default() += 1;
            table.due.insert((due, name.id));
            table.entries.insert(name.id, Entry { round: name.round, due, principal, request: key.clone(), kept });
        }
        if let Some(slot) = fresh {
            // Fails only when the task has ended, and then so has everything else.
            drop(self.fresh.send(slot).await);
        }
        Ok(handle)
    }

    fn name(&self, caller: &Caller, request: Digest, due: Instant, before: u32) -> Result<(Name, String), Refusal> {
        let id = {
            let mut table = lock(&self.table);
            table.minted += 1;
            table.minted
        };
        let round = before.saturating_add(1);
        let claims = Claims {
            parked: id.into(),
            instance: self.instance,
            principal: seal::principal(caller.principal.as_ref()),
            request,
            round,
            // Rounded down: a handle is never good for longer than the call that it names.
            expiry: self.seconds(due),
        };
        let sealed = self.sealer().ok_or(NoRandomness).and_then(|sealer| sealer.seal(&claims));
        let handle = sealed.map_err(|why| {
            let text = format!("the server asks back, and the call cannot be parked: {why}");
            Refusal::new(code::INTERNAL, text)
        })?;
        Ok((Name { id, round }, handle))
    }

    /// Takes out what a handle names. A handle that is not good leaves everything as it is.
    pub(super) fn take(&self, caller: &Caller, request: Digest, handle: &str) -> Result<Found, Refusal> {
        let bad = |text: &str| Refusal::new(code::INVALID_PARAMS, text);
        // One text for all that is not this caller's: who tries handles of others learns nothing.
        let unknown = "requestState is not one that this bridge gave to this caller for a call; start over without it";
        let claims = self.sealer().and_then(|sealer| sealer.open(handle).ok()).ok_or_else(|| bad(unknown))?;
        if claims.principal != seal::principal(caller.principal.as_ref()) {
            return Err(bad(unknown));
        }
        if claims.expiry <= self.seconds(Instant::now()) {
            return Err(bad("requestState has expired; start over without it"));
        }
        if claims.instance != self.instance {
            return Err(bad(LOST));
        }
        if claims.request != request {
            return Err(bad("requestState belongs to a request with another method or other params; repeat them as \
                            they were"));
        }
        let entry = {
            let mut table = lock(&self.table);
            if table.closed {
                return Err(bad(LOST));
            }
            let id = u64::try_from(claims.parked).ok();
            let entry = id.and_then(|id| table.entries.get(&id));
            let is_it = entry.is_some_and(|entry| entry.round == claims.round);
            id.filter(|_| is_it).and_then(|id| table.remove(id))
        };
        let used = || bad("requestState was used already; each serves for one retry");
        let entry = entry.ok_or_else(used)?;
        let kept = match entry.kept {
            Held::Again(entries) => Kept::Again(entries),
            Held::Call(slot) => Kept::Call(slot.take().ok_or_else(used)?),
        };
        Ok(Found { kept, round: entry.round })
    }

    /// Lets a call go whose caller took back the request that was answered with the question. It has not got the answer
    /// (2026-07-28, Cancellation: over HTTP a response that is closed early), or wants nothing of it.
    pub(super) fn withdraw(&self, request: &(CallerId, Id)) {
        let entry = {
            let mut table = lock(&self.table);
            // Not many, and seldom: an index would have to be kept for each call.
            let id = table.entries.iter().find(|(_, entry)| entry.request == *request).map(|(id, _)| *id);
            id.and_then(|id| table.remove(id))
        };
        if let Some(entry) = entry {
            debug!("the client of a call that waited for it has left");
            entry.call().into_iter().for_each(|call| call.withdraw("the client cancelled it"));
        }
    }

    /// The time of day, as far as the clock of tasks has gone on.
    fn seconds(&self, at: Instant) -> u64 {
        let (day, start) = self.started;
        let day = day.duration_since(UNIX_EPOCH).unwrap_or_default();
        (day + at.saturating_duration_since(start)).as_secs()
    }

    /// Clears away what has expired.
    fn sweep(&self) {
        let mut expired = Vec::new();
        let now = Instant::now();
        {
            let mut table = lock(&self.table);
            while let Some(&(due, id)) = table.due.first() {
                if due > now {
                    break;
                }
                table.due.pop_first();
                expired.extend(table.remove(id));
            }
        }
        for entry in expired {
            debug!("a call that waited for its caller has expired");
            entry.end("its client did not come back in time");
        }
    }

    fn next_due(&self) -> Option<Instant> {
        lock(&self.table).due.first().map(|(due, _)| *due)
    }

    /// Ends everything that is parked.
    pub(super) fn close(&self) {
        let entries = {
            let mut table = lock(&self.table);
            table.closed = true;
            table.due.clear();
            table.counts.clear();
            std::mem::take(&mut table.entries)
        };
        let why = self.scope.why().to_string();
        for entry in entries.into_values() {
            entry.end(&why);
        }
    }
}

impl Table {
    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.due.remove(&(entry.due, id));
        if let Some(count) = self.counts.get_mut(&entry.principal) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&entry.principal);
            }
        }
        Some(entry)
    }
}

impl Entry {
    fn end(self, why: &str) {
        self.call().into_iter().for_each(|call| call.expire(why));
    }

    fn call(self) -> Option<Box<Running>> {
        match self.kept {
            Held::Call(slot) => slot.take(),
            Held::Again(_) => None,
        }
    }
}

/// The one task. Ends with the last owner of the table.
async fn keep(parked: Weak<Parked>, pool: Arc<Pool>, mut fresh: mpsc::Receiver<Arc<Slot>>) {
    let mut hearing = FuturesUnordered::new();
    let mut look = Instant::now();
    loop {
        if look <= Instant::now() {
            pool.sweep();
            look = Instant::now() + pool.period();
        }
        // The table is not kept alive across the wait.
        let due = match parked.upgrade() {
            Some(parked) => {
                parked.sweep();
                parked.next_due()
            }
            None => return,
        };
        tokio::select! {
            slot = fresh.recv() => match slot {
                Some(slot) => hearing.push(Hearing(slot)),
                None => return,
            },
            Some(()) = hearing.next(), if !hearing.is_empty() => {}
            () = wait(due, look, &pool) => {}
        }
    }
}

/// Until the next thing expires.
async fn wait(due: Option<Instant>, look: Instant, pool: &Pool) {
    let parked = async {
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    };
    let idle = async {
        pool.inhabited().await;
        tokio::time::sleep_until(look).await;
    };
    tokio::select! {
        () = parked => {}
        () = idle => {}
    }
}
