//! The way to the one process that many share: up, or down until the next one is there.
//!
//! Owns which process it is, whether a call is in flight, and when it was last used. It starts none and says nothing to any;
//! [`super::again`] does.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use crate::{
    peer::{Envelope, Peer, Reply},
    registry::OpenError,
};

/// Where the next process comes from.
#[derive(Clone)]
pub struct Source {
    /// Starts one.
    pub open: Arc<dyn Fn() -> BoxFuture<'static, Result<Peer, OpenError>> + Send + Sync>,
    /// Whether sessions go on with the next process when one has ended. Else they end with it, and with them the hub.
    pub lasts: Arc<dyn Fn() -> bool + Send + Sync>,
    /// A process that nobody uses for this long is ended until it is needed.
    pub idle: Option<Duration>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("idle", &self.idle).finish_non_exhaustive()
    }
}

/// The way. Processes are told apart by a number that grows.
#[derive(Debug)]
pub(super) struct Line {
    state: Mutex<State>,
    /// Every call in flight holds a clone.
    calls: Arc<()>,
}

#[derive(Debug)]
struct State {
    up: Option<mpsc::Sender<Envelope>>,
    /// The process that was started last.
    process: u64,
    /// The last one that has ended.
    ended: u64,
    /// Whether the last one ended by itself.
    crashed: bool,
    used: Instant,
    /// Reads what the last one says; ends with it.
    reading: Option<JoinHandle<()>>,
}

impl Line {
    /// To the first process, which is number 1.
    pub(super) fn to(first: mpsc::Sender<Envelope>) -> Line {
        let (up, used) = (Some(first), Instant::now());
        Line {
            state: Mutex::new(State { up, process: 1, ended: 0, crashed: false, used, reading: None }),
            calls: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request as in flight until it is answered. To be called before [`Line::up`].
    pub(super) fn count(&self, reply: Reply) -> Reply {
        reply.marked(&self.calls)
    }

    /// The way to the process, if there is one. It counts as used.
    pub(super) fn up(&self) -> Option<mpsc::Sender<Envelope>> {
        let mut state = self.state();
        state.used = Instant::now();
        state.up.clone()
    }

    pub(super) fn is_up(&self) -> bool {
        self.state().up.is_some()
    }

    /// Whether the process takes nothing any more.
    pub(super) fn is_closed(&self) -> bool {
        self.state().up.as_ref().is_some_and(mpsc::Sender::is_closed)
    }

    /// The number of a process that is being started, and what has to end before.
    pub(super) fn next(&self) -> (u64, Option<JoinHandle<()>>) {
        let mut state = self.state();
        state.process += 1;
        (state.process, state.reading.take())
    }

    /// The process is there, and has heard what it must. Says whether the one before it crashed; `Err`: it has ended already.
    pub(super) fn set_up(&self, number: u64, way: mpsc::Sender<Envelope>) -> Result<bool, ()> {
        let mut state = self.state();
        if state.ended >= number {
            return Err(());
        }
        state.up = Some(way);
        state.used = Instant::now();
        Ok(std::mem::take(&mut state.crashed))
    }

    pub(super) fn read_by(&self, reading: JoinHandle<()>) {
        self.state().reading = Some(reading);
    }

    /// The process has ended. Says whether it was the one in use.
    pub(super) fn ended(&self, number: u64) -> bool {
        let mut state = self.state();
        state.ended = state.ended.max(number);
        let was_up = state.process == number && state.up.take().is_some();
        state.crashed |= was_up;
        was_up
    }

    /// Lets the process go if nobody has used it for so long. Says whether it did.
    pub(super) fn rest(&self, idle: Duration) -> bool {
        let mut state = self.state();
        if Arc::strong_count(&self.calls) > 1 {
            state.used = Instant::now();
        }
        state.used.elapsed() >= idle && state.up.take().is_some()
    }
}
