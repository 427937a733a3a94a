//! How durations and sizes are written, in flags and in config files.
//!
//! Owns the parsers, pure functions. Talks to nobody. It never guesses: what can be read in two ways is refused with the
//! spelling to use.

use std::time::Duration;

/// The longest duration. A clock plus more than this could overflow, which panics.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The smallest `--max-message`: an `initialize` has to fit.
const SMALLEST_MESSAGE: u64 = 1024;

/// `500ms`, `30s`, `5m`, `1h`, `7d`, or plain seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text);
    let millis_per_unit: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("write 500ms, 30s, 5m, 1h, 7d, or plain seconds".into()),
    };
    let number: u64 = number.parse().map_err(|_| "write a whole number, as in 500ms, 30s, 5m, 1h or 7d")?;
    number
        .checked_mul(millis_per_unit)
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| "the longest is 366d".into())
}

/// A duration that must not be zero.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|duration| match duration.is_zero() {
        true => Err("it has to be more than 0".into()),
        false => Ok(duration),
    })
}

/// `16MiB`, `1MB`, `64KiB`, or plain bytes; upper or lower case.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = number_and_unit(text);
    let bytes_per_unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "kib" => 1 << 10,
        "mb" => 1_000_000,
        "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return Err("write 16MiB, 1MB, 64KiB, or plain bytes".into()),
    };
    let number: u64 = number.parse().map_err(|_| "write a whole number, as in 16MiB, 1MB or 64KiB")?;
    let bytes = number.checked_mul(bytes_per_unit).ok_or("too large")?;
    if bytes < SMALLEST_MESSAGE {
        return Err("the smallest is 1KiB: an initialize request has to fit".into());
    }
    usize::try_from(bytes).map_err(|_| "too large for this machine".into())
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}
