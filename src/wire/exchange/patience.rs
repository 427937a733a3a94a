//! How long a call is waited for before it is told that something will come.
//!
//! Owns the timers of calls that wait, and keeps them for the calls that come after. Talks to nobody. It never cuts a wait
//! short: a timer that is used again runs for its whole span.
//!
//! A timer that is new is entered with the runtime for each call, which wakes the thread that sleeps until the one that was
//! due next: a system call, and a thread that goes back to sleep. One that runs already is only put off. What that and the
//! connection's wakes cost is in `benches/RESULTS.md` (Eras, 2026-11-23): 2 futex calls a call, of which none is left.

use std::{
    pin::{Pin, pin},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::{Either, select};
use tokio::time::{Instant, Sleep, sleep_until};

/// Timers that are kept. More calls at once than that have timers of their own.
const KEPT: usize = 64;

/// A span that is the same for all who wait.
#[derive(Debug)]
pub struct Patience {
    span: Duration,
    kept: Mutex<Vec<Pin<Box<Sleep>>>>,
}

impl Patience {
    /// Patience for so long.
    pub fn new(span: Duration) -> Patience {
        Patience { span, kept: Mutex::default() }
    }

    /// What is waited for; `None` when it does not come in time.
    pub async fn wait<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let due = Instant::now() + self.span;
        let mut timer = self.lock().pop().unwrap_or_else(|| Box::pin(sleep_until(due)));
        timer.as_mut().reset(due);
        let come = match select(pin!(what), &mut timer).await {
            Either::Left((come, _)) => Some(come),
            Either::Right(_) => None,
        };
        let mut kept = self.lock();
        if kept.len() < KEPT {
            kept.push(timer);
        }
        come
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pin<Box<Sleep>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_whole_time_though_timers_are_used_again() {
        let patience = Patience::new(Duration::from_secs(2));
        for pause in [0, 1, 3] {
            sleep(Duration::from_secs(pause)).await;
            assert_eq!(patience.wait(ready(1)).await, Some(1));
            assert_eq!(patience.wait(sleep(Duration::from_millis(1_900))).await, Some(()));
            let from = Instant::now();
            assert_eq!(patience.wait(pending::<()>()).await, None);
            assert_eq!(from.elapsed().as_millis() / 10, 200);
        }
        assert_eq!(patience.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_side_by_side_do_not_share_a_timer_and_few_timers_are_kept() {
        let patience = Patience::new(Duration::from_secs(2));
        let one = async |n: usize| {
            sleep(Duration::from_millis(n as u64 * 10)).await;
            let from = Instant::now();
            assert_eq!(patience.wait(pending::<()>()).await, None);
            assert_eq!(from.elapsed().as_millis() / 10, 200);
        };
        futures::future::join_all((0..KEPT + 9).map(one)).await;
        assert_eq!(patience.lock().len(), KEPT);
    }
}
