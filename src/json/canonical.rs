//! JSON text in one form, for comparing.
//!
//! Owns what two spellings of one value have in common. Pure. It is never what is sent: a number beyond 64 bits loses digits.

use serde_json::Value;

/// Largest whole number that a double holds without a gap (2^53).
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// JSON text in the one form that all spellings of the same value share: keys sorted, no white space, a whole number
/// without a fraction. For comparing alone: a number beyond 64 bits loses digits.
pub fn canonical(text: &str) -> String {
    // What the bridge hands here was read as JSON before; anything else equals itself alone.
    serde_json::from_str(text).map_or_else(
        |_| text.to_string(),
        |value| {
            let mut written = String::with_capacity(text.len());
            write_canonical(&value, &mut written);
            written
        },
    )
}

/// Nested no deeper than what was read, which serde_json keeps below 128.
fn write_canonical(value: &Value, to: &mut String) {
    match value {
        Value::Array(items) => {
            to.push('[');
            for (index, item) in items.iter().enumerate() {
                to.push_str(if index == 0 { "" } else { "," });
                write_canonical(item, to);
            }
            to.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_str());
            to.push('{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                to.push_str(if index == 0 { "" } else { "," });
                to.push_str(&Value::from(key.as_str()).to_string());
                to.push(':');
                write_canonical(value, to);
            }
            to.push('}');
        }
        Value::Number(number) => match whole(number) {
            Some(whole) => to.push_str(&whole.to_string()),
            None => to.push_str(&number.to_string()),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => to.push_str(&value.to_string()),
    }
}

/// The number that 1.0 and 1e0 are, as another reader writes it. Beyond 2^53 a reader of doubles leaves the form alone.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= MAX_WHOLE)?;
    #[allow(clippy::cast_possible_truncation)] // Whole, and smaller than that.
    Some(float as i64)
}
