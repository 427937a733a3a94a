//! How long to wait before the next attempt.
//!
//! Owns the arithmetic of exponential back-off with full jitter. Pure but for [`chance`]. It never waits.

use std::time::Duration;

/// The wait before attempt `attempt` (1 is the first repetition): `base`, doubled each time, at most `longest`, times a
/// `share` between 0 and 1. With [`chance`] for it that is full jitter: clients that lost the same server must not come
/// back in step.
pub fn delay(base: Duration, longest: Duration, attempt: u32, share: f64) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    base.saturating_mul(factor).min(longest).mul_f64(share.clamp(0.0, 1.0))
}

/// A number from 0 up to 1, at random.
pub fn chance() -> f64 {
    let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
    f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        const LONGEST: Duration = Duration::from_secs(30);
        let base = Duration::from_secs(2);
        let full: Vec<_> = (1..=6).map(|n| delay(base, LONGEST, n, 1.0).as_secs()).collect();
        assert_eq!(full, [2, 4, 8, 16, 30, 30]);
        assert_eq!(delay(base, LONGEST, 1_000, 1.0), LONGEST);
        assert_eq!(delay(Duration::MAX, LONGEST, 40, 1.0), LONGEST);
        assert_eq!(delay(base, LONGEST, 3, 0.25), Duration::from_secs(2));
        assert_eq!(delay(base, LONGEST, 3, 0.0), Duration::ZERO);
    }

    #[test]
    fn chance_stays_within_its_range() {
        assert!((0..100).map(|_| chance()).all(|share| (0.0..=1.0).contains(&share)));
    }
}
