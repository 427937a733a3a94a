//! Whether a server can be had, for `/readyz`.
//!
//! Owns the count of crashes and the last failure of a start. Pure but for its lock. It never starts anything.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{OpenError, backoff::Backoff};

/// How long a start that came to nothing makes the bridge unready. Not for ever: where traffic goes only to what is
/// ready, nobody would try again.
const UNREADY: Duration = Duration::from_secs(10);

/// tokio's clock, which tests can stop.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Whether a server can be had.
#[derive(Debug, Default)]
pub struct Readiness {
    /// Crashes.
    pub backoff: Backoff,
    /// Why the last start came to nothing, and when.
    failed: Mutex<Option<(String, Instant)>>,
    /// Why nothing can be started, as far as can be told without an attempt. Stays until that is no longer so.
    missing: Mutex<Option<String>>,
}

impl Readiness {
    /// Takes note of a start: why it failed, or that it did not.
    pub fn set(&self, failure: Option<String>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failure.map(|why| (why, now()));
    }

    /// Takes note of whether there is anything to start.
    pub fn set_missing(&self, why: Option<String>) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Whether nothing was there to start, when last looked for.
    pub fn is_missing(&self) -> bool {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why no server can be had now.
    pub fn check(&self) -> Result<(), String> {
        if let Some(why) = self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(why);
        }
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((why, at)) = failed
            && now().saturating_duration_since(at) < UNREADY
        {
            return Err(why);
        }
        self.backoff.check(now()).map_err(|(retry_after, last)| OpenError::BackingOff { retry_after, last }.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_start_that_came_to_nothing_is_told_for_a_while() {
        let readiness = Readiness::default();
        assert_eq!(readiness.check(), Ok(()));
        readiness.set(Some("no such program".into()));
        assert_eq!(readiness.check(), Err("no such program".into()));
        tokio::time::advance(UNREADY).await;
        assert_eq!(readiness.check(), Ok(()), "somebody has to try again");
        readiness.set(Some("no such program".into()));
        readiness.set(None);
        assert_eq!(readiness.check(), Ok(()));
    }
}
