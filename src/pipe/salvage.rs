//! What can be saved of an answer that cannot be passed on: whom it is for, so that its caller does not wait for ever.
//!
//! Owns the reading of an id from either end of a line that is no message: some SDKs write it first, others last. Pure.
//! It takes nothing for an answer that does not say so at its top level, and no request for one.

use crate::message::{Frame, FrameError, Id, MAX_ID, code};

/// Bytes that are kept of each end of a line over the limit: the longest id, and what stands beside it.
const END: usize = MAX_ID + 256;

/// Both ends of a line that is too long to be kept.
#[derive(Debug, Default)]
pub struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Ends {
    /// Takes in the next piece of the line.
    pub fn add(&mut self, piece: &[u8]) {
        let room = END - self.head.len();
        self.head.extend(piece.iter().take(room));
        self.tail.extend(piece.iter().skip(piece.len().saturating_sub(END)));
        let surplus = self.tail.len().saturating_sub(END);
        self.tail.drain(..surplus);
    }

    /// The line is over: the error to pass on in its place, if it was an answer.
    pub fn finish(&mut self, why: &FrameError) -> Option<Frame> {
        let Ends { head, tail } = std::mem::take(self);
        instead(&head, &tail, why)
    }
}

/// The error to pass on in the place of a whole line that is no message, if it was meant as an answer.
pub fn instead_of(line: &[u8], why: &FrameError) -> Option<Frame> {
    // Of a line that is broken off or garbled, the end proves nothing.
    let tail = if matches!(why, FrameError::NotJson(_)) { &[] } else { line };
    instead(line, tail, why)
}

fn instead(head: &[u8], tail: &[u8], why: &FrameError) -> Option<Frame> {
    let id = match leading_id(head)? {
        Some(id) => id,
        None => trailing_id(tail)?,
    };
    let id = std::str::from_utf8(id).ok().filter(|id| Id::parse(id).is_some())?;
    serde_json::from_str::<serde_json::Value>(id).ok()?;
    Some(Frame::error(id, code::INTERNAL, &format!("the answer cannot be passed on: {why}"), None))
}

/// `None` when the line is no answer, `Some(None)` when it is one whose id does not come first.
fn leading_id(head: &[u8]) -> Option<Option<&[u8]>> {
    let mut rest = head.trim_ascii_start().strip_prefix(b"{")?;
    let mut id = None;
    // Ends with the member that makes it an answer, or with one that an answer does not begin with.
    loop {
        let (key, after) = member(rest)?;
        match key {
            b"\"result\"" | b"\"error\"" => return Some(id),
            b"\"id\"" | b"\"jsonrpc\"" => {
                let (value, after) = scalar(after)?;
                id = if key == b"\"id\"" { Some(value) } else { id };
                rest = after.trim_ascii_start().strip_prefix(b",")?;
            }
            _ => return None,
        }
    }
}

fn trailing_id(tail: &[u8]) -> Option<&[u8]> {
    let mut rest = tail.trim_ascii_end().strip_suffix(b"}")?;
    // At most `id` and `jsonrpc`.
    for _ in 0..2 {
        let at = memchr::memrchr(b',', rest)?;
        let (key, after) = member(rest.get(at + 1..)?)?;
        let (value, end) = scalar(after)?;
        match key {
            b"\"id\"" if end.trim_ascii().is_empty() => return Some(value),
            b"\"jsonrpc\"" if end.trim_ascii().is_empty() => rest = rest.get(..at)?,
            _ => return None,
        }
    }
    None
}

/// A key, and what follows its colon.
fn member(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, after) = string(text.trim_ascii_start())?;
    Some((key, after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start()))
}

/// A string or a number, and what follows.
fn scalar(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.first() == Some(&b'"') {
        return string(text);
    }
    let end = text.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
    let (number, after) = text.split_at_checked(end.unwrap_or(text.len()))?;
    (!number.is_empty()).then_some((number, after))
}

/// A string with its quotes, and what follows.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    text.first().filter(|byte| **byte == b'"')?;
    let mut escaped = false;
    let end = text.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    text.split_at_checked(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(line: &str) -> Option<String> {
        let mut ends = Ends::default();
        for piece in line.as_bytes().chunks(1000) {
            ends.add(piece);
        }
        ends.finish(&FrameError::TooLarge(9)).map(|frame| frame.id_text().to_owned())
    }

    #[test]
    fn the_id_of_a_long_answer_is_found_at_either_end() {
        let long = "x".repeat(10_000);
        for (line, want) in [
            (format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"a":"{long}"}}}}"#), Some("7")),
            (format!(r#" {{ "id" : "a\"b" , "jsonrpc":"2.0", "error" : "{long}"}}"#), Some(r#""a\"b""#)),
            (format!(r#"{{"result":{{"a":"{long}"}},"jsonrpc":"2.0","id":7}}"#), Some("7")),
            (format!(r#"{{"jsonrpc":"2.0","result":["{long}"], "id" : "x" }} "#), Some("\"x\"")),
            (format!(r#"{{"result":"{long}","id":-1.5e3,"jsonrpc":"2.0"}}"#), Some("-1.5e3")),
            // A request, a notification, and what is nothing.
            (format!(r#"{{"jsonrpc":"2.0","id":7,"method":"x","params":"{long}"}}"#), None),
            (format!(r#"{{"jsonrpc":"2.0","method":"x","params":{{"a":"{long}","id":7}}}}"#), None),
            (format!(r#"{{"params":"{long}","method":"x","id":7}}"#), None),
            (format!(r#"{{"result":{{"a":"{long}","id":7}}}}"#), None),
            (format!(r#"{{"result":"{long}","id":null}}"#), None),
            (format!(r#"{{"result":"{long}\",\"id\":7}}"#), None),
            (format!(r#"{{"jsonrpc":"2.0","id":--7,"result":"{long}"}}"#), None),
            (long, None),
        ] {
            assert_eq!(id(&line).as_deref(), want, "{}", line.chars().take(60).collect::<String>());
        }
    }

    #[test]
    fn a_broken_answer_is_known_by_its_beginning_alone() {
        let broken = |line: &str| instead_of(line.as_bytes(), &FrameError::NotJson("x".into()));
        let frame = broken(r#"{"jsonrpc":"2.0","id":7,"result":{"half"#).unwrap();
        assert_eq!(frame.id_text(), "7");
        assert!(frame.is_error() && frame.body().unwrap().contains("the answer cannot be passed on"));
        assert!(broken(r#"{"result":{"x":1,"id":7}"#).is_none());
        assert!(instead_of(br#"{"result":[[1]],"id":7}"#, &FrameError::TooDeep).is_some());
    }
}
