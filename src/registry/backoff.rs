//! When a server that keeps crashing may be started again.
//!
//! Owns the count of crashes in a row. Pure but for its lock: the clock is passed in.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{backoff::delay, wire::child::Exit};

/// A server that lived this long did not crash at its start; the count begins anew.
const HEALTHY: Duration = Duration::from_secs(10);

/// Crashes in a row that are taken as bad luck, without a pause.
const FREE: u32 = 3;

/// The first pause; it doubles with each further crash.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// Counts crashes.
#[derive(Debug, Default)]
pub struct Backoff {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    crashes: u32,
    not_before: Option<Instant>,
    last: String,
}

impl Backoff {
    /// Takes note of how a server ended. Ending when asked clears the count, so that rare crashes do not add up over
    /// days; a healthy life ends a pause, too.
    pub fn ended(&self, exit: &Exit, now: Instant) {
        let mut state = self.state();
        if exit.asked {
            state.crashes = 0;
            return;
        }
        if exit.lived >= HEALTHY {
            *state = State::default();
            return;
        }
        state.crashes = state.crashes.saturating_add(1);
        state.last = exit.how.clone();
        // Not at random: it is the bridge alone that starts them.
        if state.crashes >= FREE {
            state.not_before = Some(now + delay(FIRST, LONGEST, state.crashes - FREE + 1, 1.0));
        }
    }

    /// Whether a start is allowed now; else how long not, and how the last server ended.
    pub fn check(&self, now: Instant) -> Result<(), (Duration, String)> {
        let state = self.state();
        match state.not_before.and_then(|at| at.checked_duration_since(now)).filter(|left| !left.is_zero()) {
            Some(left) => Err((left, state.last.clone())),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(lived: u64, asked: bool) -> Exit {
        Exit { how: "exited with code 1".into(), code: Some(1), signal: None, lived: Duration::from_secs(lived), asked }
    }

    #[test]
    fn crashes_in_a_row_pause_longer_and_longer() {
        let (backoff, start) = (Backoff::default(), Instant::now());
        let pauses: Vec<u64> = (0..12)
            .map(|_| {
                backoff.ended(&exit(0, false), start);
                backoff.check(start).err().map_or(0, |(left, _)| left.as_secs())
            })
            .collect();
        assert_eq!(pauses, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert!(backoff.check(start + LONGEST).is_ok());
    }

    #[test]
    fn a_healthy_life_clears_the_count_and_an_asked_end_does_not_add_to_it() {
        let (backoff, start) = (Backoff::default(), Instant::now());
        for _ in 0..5 {
            backoff.ended(&exit(0, false), start);
        }
        backoff.ended(&exit(0, true), start);
        assert_eq!(backoff.check(start).unwrap_err().1, "exited with code 1");
        backoff.ended(&exit(11, false), start);
        assert!(backoff.check(start).is_ok());
        for _ in 0..5 {
            backoff.ended(&exit(0, false), start);
            backoff.ended(&exit(0, true), start);
        }
        assert!(backoff.check(start).is_ok(), "crashes that are not in a row");
    }
}
