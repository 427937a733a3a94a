//! When a session counts as idle: the clock, and how often to look.
//!
//! Owns nothing. The tables of sessions use it for `--session-timeout`. It never ends a session.

use std::time::Duration;

use tokio::time::{Instant, Interval, interval};

/// Milliseconds since the start, which fit an atomic.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// The time.
    pub fn now(self) -> u64 {
        millis(self.0.elapsed())
    }

    /// The time that was `timeout` ago: what was last seen before is idle.
    pub fn ago(self, timeout: Duration) -> u64 {
        self.now().saturating_sub(millis(timeout))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ticks for one sweep over all sessions: often enough for `timeout`, and cheap.
pub fn ticks(timeout: Duration) -> Interval {
    interval((timeout / 8).clamp(Duration::from_millis(20), Duration::from_secs(30)))
}
