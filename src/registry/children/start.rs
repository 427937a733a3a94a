//! One process of a stdio server: its start, its place among those that may be, and what is learnt from its end.
//!
//! Talks to [`child`] and to the back-off. It never asks a server anything on its own account.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tracing::{debug, warn};

use super::{
    super::{OpenError, modern::Direct, readiness::now},
    Children,
};
use crate::{
    message::Frame,
    peer::{Caller, PEER_CAPACITY, Peer},
    pump::{Role, Rules},
    wire::child::{self, Asked, Child, Exit},
};

/// How long a child that says nothing counts as starting. A server need not say anything before it is asked, and a client
/// need not ask: it must not keep others from starting.
const STARTING: Duration = Duration::from_secs(10);

/// The same of a spare, which nobody asks anything yet.
pub(super) const STARTING_SPARE: Duration = Duration::from_secs(1);

/// How long a place for a process is waited for: one that was just let go takes a moment to end.
const PLACE: Duration = Duration::from_secs(1);

/// A server that was started.
pub(super) struct Started {
    pub(super) child: Child,
    spoke: Arc<AtomicBool>,
    owner: Arc<Children>,
    /// `None` of one that is only asked what it is.
    place: Option<OwnedSemaphorePermit>,
}

impl Children {
    /// A process for somebody who needs one now: a spare, if there is one.
    pub(super) async fn start(self: &Arc<Self>) -> Result<Started, OpenError> {
        if let Some(spare) = self.spares.take() {
            return Ok(spare);
        }
        self.check()?;
        let place = timeout(PLACE, self.places.clone().acquire_owned()).await;
        match place {
            Ok(Ok(place)) => self.start_at(Some(place), STARTING).await,
            // What was free may have gone to a spare meanwhile.
            Ok(Err(_)) | Err(_) => self.spares.take().ok_or(OpenError::Crowded { limit: self.most() }),
        }
    }

    /// A process that is asked what the server is, beside another. It takes no place, or a server that may have one process
    /// could never be asked.
    pub(super) async fn start_beside(self: &Arc<Self>) -> Result<Started, OpenError> {
        self.start_at(None, STARTING).await
    }

    /// A process in a place, if it has one; `silence`: see [`STARTING`].
    pub(super) async fn start_at(
        self: &Arc<Self>,
        place: Option<OwnedSemaphorePermit>,
        silence: Duration,
    ) -> Result<Started, OpenError> {
        self.check()?;
        let starting = self.starting.clone().acquire_owned().await.map_err(|_| self.scope.why())?;
        let spoke = Arc::new(AtomicBool::new(false));
        let (told, first) = oneshot::channel();
        self.scope.spawn(hold_place(starting, first, silence));
        let first_frame = {
            let (spoke, readiness) = (spoke.clone(), self.readiness.clone());
            Box::new(move || {
                spoke.store(true, Ordering::Release);
                readiness.set(None);
                drop(told);
            })
        };
        let (mark, max_line) = (self.mark.as_deref(), self.limits.max_message);
        let child = child::start(&self.spec, mark, max_line, Some(first_frame), &self.scope).inspect_err(|error| {
            warn!("{error}");
            self.readiness.set(Some(error.brief()));
        })?;
        Ok(Started { child, spoke, owner: self.clone(), place })
    }

    /// Whether a server that keeps crashing may be started again.
    fn check(&self) -> Result<(), OpenError> {
        let crashing = self.readiness.backoff.check(now());
        crashing.map_err(|(retry_after, last)| OpenError::BackingOff { retry_after, last })
    }

    pub(super) fn rules(&self, role: Role) -> Rules {
        Rules {
            name: self.spec.name.as_str().into(),
            speaker: Caller::legacy(None),
            role,
            max_in_flight: self.limits.max_in_flight,
            max_waiting: self.limits.max_waiting(),
            request_timeout: self.limits.request_timeout,
            linger: self.spec.stop.after_close,
            until: None,
        }
    }
}

impl Started {
    /// Pumps; the handle gives its end.
    pub(super) fn run(self, peer: Peer, role: Role) -> JoinHandle<Exit> {
        let rules = self.owner.rules(role);
        self.run_by(peer, rules)
    }

    /// The same by rules of its own.
    pub(super) fn run_by(self, peer: Peer, rules: Rules) -> JoinHandle<Exit> {
        let Started { child, spoke, owner, place } = self;
        let exit = child.run(peer, rules, &owner.scope);
        owner.clone().scope.spawn(watch(owner, spoke, exit, place))
    }

    /// Lets it go after it was asked what it is: that it ended at that is no failure to start. The next one may have its
    /// place at once.
    pub(super) fn dismiss(mut self) -> JoinHandle<Exit> {
        self.spoke.store(true, Ordering::Release);
        self.place = None;
        self.end()
    }

    /// Lets it go.
    pub(super) fn end(self) -> JoinHandle<Exit> {
        let Started { child, spoke, owner, place } = self;
        let exit = child.end();
        owner.clone().scope.spawn(watch(owner, spoke, exit, place))
    }

    /// Takes over from another that is let go.
    pub(super) fn instead_of(mut self, other: &mut Started) -> Started {
        self.place = self.place.or_else(|| other.place.take());
        self
    }

    /// Asks it one thing.
    pub(super) async fn asked(mut self, request: Frame) -> (Started, Asked) {
        let asked = self.child.ask(&request).await;
        (self, asked)
    }

    /// Serves modern exchanges: of all callers, or of one session that has it for its own. `found` is what it has just said
    /// of itself.
    pub(super) fn direct(self, own: bool, found: Option<Frame>) -> Direct {
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        let scope = self.owner.scope.clone();
        drop(self.run(ours, Role::ConnectModern { own }));
        Direct::behind(theirs, found, &scope)
    }

    pub(super) fn speaker(&self) -> Arc<Caller> {
        Caller::legacy(None)
    }
}

/// Sees a server to its end, and learns from it.
async fn watch(
    owner: Arc<Children>,
    spoke: Arc<AtomicBool>,
    exit: JoinHandle<Exit>,
    place: Option<OwnedSemaphorePermit>,
) -> Exit {
    let exit = exit.await.unwrap_or_else(|_| Exit::lost());
    owner.readiness.backoff.ended(&exit, now());
    if !exit.asked && !spoke.load(Ordering::Acquire) {
        let text = format!("the server {} {} before its first message", owner.spec.name, exit.how);
        owner.readiness.set(Some(text));
    }
    drop(place);
    exit
}

/// Holds the place of a start until the child's first frame or its end, or until it has been silent for long enough.
async fn hold_place(place: OwnedSemaphorePermit, first: oneshot::Receiver<()>, silence: Duration) {
    if timeout(silence, first).await.is_err() {
        debug!("a server has said nothing yet; the next one may start");
    }
    drop(place);
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_does_not_keep_others_from_starting() {
        let places = Arc::new(Semaphore::new(1));
        let (_told, first) = oneshot::channel();
        let start = tokio::time::Instant::now();
        hold_place(places.clone().try_acquire_owned().unwrap(), first, STARTING).await;
        assert_eq!(start.elapsed(), STARTING);
        assert_eq!(places.available_permits(), 1);
    }
}
