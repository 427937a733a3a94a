//! Dates of moments. Pure.
//!
//! Owns the way from a clock to the civil calendar. Talks to nobody. It never reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in UTC as RFC 3339 has it, up to whole seconds and without the zone: a fraction and `Z` are to follow.
pub fn seconds(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the civil calendar, in eras of 400 years that begin on 1 March.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        for (since, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_785_196_800, "2026-07-28T00:00:00"),
        ] {
            assert_eq!(seconds(UNIX_EPOCH + Duration::from_secs(since)), text);
        }
    }
}
