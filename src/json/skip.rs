//! The members of an object in text that is known to be JSON.
//!
//! Owns the way over values without a look into them: strings end at a quote, arrays and objects where as many brackets
//! were closed as opened. Pure. It never checks what was checked when the message was read, and gives up (`None`) rather
//! than guess where text is none after all.

use std::{borrow::Cow, collections::HashSet};

use super::{Object, string};

/// See [`Object::of_checked`].
pub(super) fn members(text: &str) -> Option<Object<'_>> {
    let mut at = Position { text, at: 0 };
    let (mut object, mut seen) = (Object::new(), HashSet::new());
    at.take(b'{')?;
    let mut ends = at.take(b'}').is_some();
    while !ends {
        let key = at.key()?;
        at.take(b':')?;
        let value = at.value()?;
        if !object.add(&mut seen, key, value) {
            return None;
        }
        ends = at.take(b',').or_else(|| at.take(b'}'))? == b'}';
    }
    at.peek().is_none().then_some(object)
}

/// A place in the text.
struct Position<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Position<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// What comes after white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.byte()
    }

    /// Moves past this byte, if it comes next.
    fn take(&mut self, byte: u8) -> Option<u8> {
        let found = self.peek().filter(|found| *found == byte)?;
        self.at += 1;
        Some(found)
    }

    /// Moves past a key, and gives what it says. In text that was checked, what has no backslash says what it is.
    fn key(&mut self) -> Option<Cow<'a, str>> {
        self.peek().filter(|first| *first == b'"')?;
        let start = self.at;
        if self.skip_string()? {
            return string(self.text.get(start..self.at)?);
        }
        Some(self.text.get(start + 1..self.at - 1)?.into())
    }

    /// Moves past a value, and gives its text.
    fn value(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => drop(self.skip_string()?),
            b'{' | b'[' => self.skip_nested()?,
            // A number or a word.
            _ => {
                while !matches!(self.byte()?, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r') {
                    self.at += 1;
                }
            }
        }
        self.text.get(start..self.at)
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let byte = self.byte()?;
            if byte == b'"' {
                self.skip_string()?;
                continue;
            }
            self.at += 1;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => continue,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// From one quote past the other. Says whether there is a backslash between them.
    fn skip_string(&mut self) -> Option<bool> {
        self.at += 1;
        let mut escapes = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let found = quote_or_backslash(rest)?;
            if rest.get(found) == Some(&b'"') {
                self.at += found + 1;
                return Some(escapes);
            }
            // A backslash, and what it stands before.
            self.at += found + 2;
            escapes = true;
        }
    }
}

/// Where the first of the two stands. Most strings are short keys and words: to look at eight bytes at a time here takes
/// less than to begin a search, which is for long ones.
fn quote_or_backslash(text: &[u8]) -> Option<usize> {
    const SHORT: usize = 5;
    let words = text.as_chunks::<8>().0.iter().take(SHORT);
    let searched = words.len() * 8;
    for (index, word) in words.enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = with_byte(word, b'"') | with_byte(word, b'\\');
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    memchr::memchr2(b'"', b'\\', text.get(searched..)?).map(|found| searched + found)
}

/// Has the highest bit of each byte that is `byte` set; above the first of those, other bits may be set, too.
fn with_byte(word: u64, byte: u8) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let zero_where = word ^ (EACH * u64::from(byte));
    zero_where.wrapping_sub(EACH) & !zero_where & (EACH << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            r#"[a"\\{}\[\],:\n\t ä\u{1F600}]{0,12}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(r#"[a-c"\\{ä]{0,3}"#, inner, 0..5).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_are_those_that_a_parser_sees(value in any_value(), pretty in any::<bool>()) {
            let text = if pretty { format!(" {value:#}\r\n") } else { value.to_string() };
            prop_assert_eq!(members(&text), Object::parse(&text), "{}", text);
        }

        #[test]
        fn text_that_is_no_json_does_no_harm(text in r#"[a1"\\{}\[\],: \n]{0,24}"#) {
            if let Some(parsed) = Object::parse(&text) {
                prop_assert_eq!(members(&text), Some(parsed));
            } else {
                drop(members(&text));
            }
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, "[]", "1", "{", "", "{}}", "{\"a\":[}", "null"] {
            assert_eq!(members(text), None, "{text}");
        }
        assert_eq!(members(" { } "), Some(Object::new()));
        for length in 0..60 {
            let text =
                format!(r#"{{"a":"{}","b":"{}\"{}"}}"#, "x".repeat(length), "y".repeat(length), "é".repeat(length));
            assert_eq!(members(&text), Object::parse(&text), "{text}");
        }
        let long = format!(r#"{{"a":"{}\"}}","b": [1,{{}} ,"]"] }}"#, "x".repeat(100_000));
        assert_eq!(members(&long), Object::parse(&long));
    }
}
