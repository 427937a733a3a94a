//! Processes that are started before they are needed (`--warm`).
//!
//! Owns those that wait, and the task that keeps their number. Talks to [`super::start`]. A spare is a process and no more:
//! nothing is said to it before a caller has it, so it can be anybody's, of either era.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    super::OpenError,
    Children,
    start::{STARTING_SPARE, Started},
};
use crate::{backoff::delay, scope::Scope};

/// Before the second attempt to start a spare; doubled each time up to [`LONGEST`]. A program that is not there is looked
/// for again, since somebody may be installing it.
const FIRST: Duration = Duration::from_secs(1);

/// See [`FIRST`].
const LONGEST: Duration = Duration::from_secs(60);

/// The processes that wait for somebody.
#[derive(Default)]
pub(super) struct Spares {
    waiting: Mutex<VecDeque<Started>>,
    /// Told when there is one less.
    fewer: Arc<Notify>,
    over: CancellationToken,
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spares").field("waiting", &self.waiting().len()).finish()
    }
}

impl Spares {
    /// The one that has waited for longest, which is the likeliest to be ready.
    pub(super) fn take(&self) -> Option<Started> {
        let taken = {
            let mut waiting = self.waiting();
            // The dead stay for the keeper, which sees to their end.
            let living = waiting.iter().position(|spare| !spare.child.is_over())?;
            waiting.remove(living)
        };
        self.fewer.notify_one();
        taken
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        !self.waiting().iter().any(|spare| !spare.child.is_over())
    }

    /// Lets all go, and keeps none any more.
    pub(super) fn close(&self) {
        self.over.cancel();
        let waiting = std::mem::take(&mut *self.waiting());
        waiting.into_iter().for_each(|spare| drop(spare.end()));
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Started>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one more there, unless nobody wants any now.
    fn add(&self, spare: Started) {
        let mut waiting = self.waiting();
        if self.over.is_cancelled() {
            drop(waiting);
            drop(spare.end());
            return;
        }
        waiting.push_back(spare);
    }

    /// Lets those go that have ended. Says how many are left.
    fn sort_out(&self) -> usize {
        let (dead, left) = {
            let mut waiting = self.waiting();
            let (dead, living): (VecDeque<_>, _) = waiting.drain(..).partition(|spare| spare.child.is_over());
            *waiting = living;
            (dead, waiting.len())
        };
        dead.into_iter().for_each(|spare| drop(spare.end()));
        left
    }
}

/// Keeps as many as are wanted. Ends with the bridge, or when nobody wants any. Holds its owner for no longer than a start.
pub(super) fn keep(children: &Arc<Children>) {
    if children.processes.warm == 0 {
        return;
    }
    let (weak, scope, over) = (Arc::downgrade(children), children.scope.clone(), children.spares.over.clone());
    let task = keeping(weak.clone(), scope.clone());
    children.scope.spawn(async move {
        tokio::select! {
            () = task => {}
            () = scope.stopped() => {}
            () = over.cancelled() => {}
        }
        if let Some(children) = weak.upgrade() {
            children.spares.close();
        }
    });
}

async fn keeping(children: Weak<Children>, scope: Scope) {
    let mut failures = 0;
    // Ends with the owner.
    while let Some(owner) = children.upgrade() {
        let wanted = owner.processes.warm.saturating_sub(owner.spares.sort_out());
        if wanted == 0 {
            failures = 0;
            let fewer = owner.spares.fewer.clone();
            drop(owner);
            fewer.notified().await;
            continue;
        }
        match start(&owner).await {
            Ok(spare) => {
                let (over, weak) = (spare.child.over(), children.clone());
                owner.spares.add(spare);
                scope.spawn(async move {
                    over.await;
                    if let Some(owner) = weak.upgrade() {
                        owner.spares.fewer.notify_one();
                    }
                });
            }
            Err(error) => {
                failures += 1;
                debug!(name = %owner.spec.name, "cannot start a spare process: {error}");
                let wait = error.retry_after().unwrap_or_else(|| delay(FIRST, LONGEST, failures, 1.0));
                drop(owner);
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Waits for a place, however long: callers go first only where they come first.
async fn start(owner: &Arc<Children>) -> Result<Started, OpenError> {
    let place = owner.places.clone().acquire_owned().await.map_err(|_| owner.scope.why())?;
    owner.start_at(Some(place), STARTING_SPARE).await
}
