//! What wakes a connection's task.
//!
//! Owns the waker that hyper sees. Talks to nobody. It never loses a wake-up: one that comes while the connection is at
//! work has it go on at once, any other wakes its task.
//!
//! hyper wakes whoever writes into a request's body when a piece is taken out, and on HTTP/1 that is the task that takes
//! it. The runtime puts a task that wakes itself at the end of a queue, and another thread is woken to fetch it from there:
//! for each call, and for nothing. Polled again at once, and with the timers of [`Patience`], a call makes no futex call in
//! place of 2, and takes 45 us at one caller's p50 in place of 51 (`benches/RESULTS.md`, Eras, 2026-11-23).
//!
//! Polling again is bounded, so that no connection keeps its thread: after [`IN_A_ROW`] its task is woken as any other. The
//! runtime's own budget for a task runs on meanwhile.
//!
//! [`Patience`]: crate::wire::exchange::Patience

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// How often a future is polled in a row. One that goes on waking itself lets others have their turn.
const IN_A_ROW: usize = 2;

const ASLEEP: u8 = 0;
const AT_WORK: u8 = 1;
/// Woken while it was at work.
const WOKEN: u8 = 2;

/// The waker of one future.
#[derive(Debug)]
pub struct Wakes {
    state: AtomicU8,
    task: Mutex<Waker>,
}

impl Wakes {
    /// For a future that was not polled yet.
    pub fn new() -> Arc<Wakes> {
        Arc::new(Wakes { state: AtomicU8::new(ASLEEP), task: Mutex::new(Waker::noop().clone()) })
    }

    /// Polls the future: always the same one.
    pub fn poll<F: Future>(self: &Arc<Self>, cx: &mut Context<'_>, mut future: Pin<&mut F>) -> Poll<F::Output> {
        self.task().clone_from(cx.waker());
        let waker = Waker::from(self.clone());
        for _ in 0..IN_A_ROW {
            self.state.swap(AT_WORK, Ordering::AcqRel);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            let slept = self.state.compare_exchange(AT_WORK, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
            if slept.is_ok() {
                return Poll::Pending;
            }
        }
        self.state.swap(ASLEEP, Ordering::AcqRel);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn task(&self) -> MutexGuard<'_, Waker> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = |state| (state != ASLEEP).then_some(WOKEN);
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, woken).is_err() {
            // Not under the lock: whoever is woken may be polled, or dropped, right here.
            let task = self.task().clone();
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, pin::pin, sync::atomic::AtomicUsize};

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls one future once which wakes itself at its first so many polls; gives how often it was polled, how often its
    /// task was woken by then, and how often after a wake-up from elsewhere.
    fn polled(itself: usize) -> (usize, usize, usize) {
        let (wakes, counted) = (Wakes::new(), Arc::new(Counted::default()));
        let task = Waker::from(counted.clone());
        let (mut polls, mut kept) = (0, None);
        let mut future = pin!(poll_fn(|cx| {
            polls += 1;
            if polls <= itself {
                cx.waker().wake_by_ref();
            }
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        assert!(wakes.poll(&mut Context::from_waker(&task), future.as_mut()).is_pending());
        let by_then = counted.0.load(Ordering::Relaxed);
        kept.unwrap().wake();
        (polls, by_then, counted.0.load(Ordering::Relaxed) - by_then)
    }

    #[test]
    fn a_future_that_wakes_itself_goes_on_without_its_task_being_woken() {
        assert_eq!(polled(0), (1, 0, 1));
        assert_eq!(polled(1), (2, 0, 1));
    }

    #[test]
    fn one_that_does_not_stop_waking_itself_lets_others_have_their_turn() {
        assert_eq!(polled(usize::MAX), (IN_A_ROW, 1, 1));
    }
}
