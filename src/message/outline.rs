//! What can be known of bytes that are no message: which request they were meant to answer.
//!
//! A server's answer that is too large, too deep or broken cannot be passed on, but the caller that waits for it can be
//! told. This reads the keys and the `id` at the top level, wherever they stand (TypeScript servers write `id` last),
//! and keeps nothing else. It takes the bytes in pieces, so that a message over the limit need not be held.

use super::{Id, MAX_ID};

/// Longest key that is of interest, and one more: a longer one is no key of JSON-RPC.
const MAX_KEY: usize = "method".len() + 1;

/// A pass over the bytes of one would-be message.
#[derive(Debug, Default)]
pub struct Outline {
    depth: usize,
    in_string: bool,
    escaped: bool,
    key: Vec<u8>,
    at: At,
    id: Vec<u8>,
    is_call: bool,
}

/// What stands at the top level.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Key,
    Id,
    Other,
}

impl Outline {
    /// The next piece.
    pub fn read(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.byte(*byte));
    }

    /// The request that this was to answer; `None` when it has no id, or is a request itself.
    pub fn answers(&self) -> Option<Id> {
        let id = std::str::from_utf8(&self.id).ok()?;
        if self.is_call { None } else { Id::parse(id.trim()) }
    }

    fn byte(&mut self, byte: u8) {
        if self.in_string {
            let ends = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            self.in_string = !ends;
            if self.depth == 1 {
                self.keep(byte, !ends);
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                if self.depth == 1 {
                    self.keep(byte, false);
                }
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b':' if self.depth == 1 => self.value_begins(),
            b',' if self.depth == 1 => self.at = At::Key,
            _ if self.depth == 1 => self.keep(byte, false),
            _ => {}
        }
    }

    /// Keeps a byte of the id, or one inside the quotes of a key.
    fn keep(&mut self, byte: u8, in_key: bool) {
        match self.at {
            At::Key if in_key && self.key.len() < MAX_KEY => self.key.push(byte),
            At::Id if self.id.len() <= MAX_ID => self.id.push(byte),
            At::Key | At::Id | At::Other => {}
        }
    }

    fn value_begins(&mut self) {
        self.is_call |= self.key == b"method";
        self.at = if self.key == b"id" && self.id.is_empty() { At::Id } else { At::Other };
        self.key.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(text: &[u8]) -> Option<Id> {
        let mut whole = Outline::default();
        whole.read(text);
        for size in [1, 2, 3, 7] {
            let mut pieces = Outline::default();
            text.chunks(size).for_each(|piece| pieces.read(piece));
            assert_eq!(pieces.answers(), whole.answers());
        }
        whole.answers()
    }

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"result":{"id":8}}"#,
            r#"{"result":{"id":8,"x":"\",\"id\":9"},"jsonrpc":"2.0","id": 7 }"#,
            r#"{"result":[[{"id":1}]],"id":7,"error":{}}"#,
            r#"{"id":7,"id":8,"result":"#,
        ] {
            assert_eq!(answers(text.as_bytes()), Some(Id::Number(7)), "{text}");
        }
        assert_eq!(answers(b"{\"id\":\"a\\\"b\",\"result\":\"\xff\"}"), Some(Id::Text("a\"b".into())));
        let deep = format!(r#"{{"result":{}1{},"id":"x"}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(answers(deep.as_bytes()), Some(Id::Text("x".into())));
    }

    #[test]
    fn what_answers_nothing_has_no_id() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","result":{"id":7}}"#,
            r#"{"id":null,"error":{}}"#,
            r#"{"id":{"id":7},"result":1}"#,
            r#""id":7"#,
            "starting on port 7",
            "",
        ] {
            assert_eq!(answers(text.as_bytes()), None, "{text}");
        }
        let long = format!(r#"{{"id":"{}","result":1}}"#, "x".repeat(5_000_000));
        let mut outline = Outline::default();
        outline.read(long.as_bytes());
        assert_eq!(outline.answers(), None);
        assert!(outline.id.len() <= MAX_ID + 1);
    }
}
