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
        let text = self.value()?;
        let plain = text.strip_prefix('"')?.strip_suffix('"')?;
        if memchr::memchr(b'\\', plain.as_bytes()).is_none() { Some(plain.into()) } else { string(text) }
    }

    /// Moves past a value, and gives its text.
    fn value(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => self.skip_string()?,
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

    /// From one quote past the other.
    fn skip_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let found = memchr::memchr2(b'"', b'\\', rest)?;
            if rest.get(found) == Some(&b'"') {
                self.at += found + 1;
                return Some(());
            }
            // A backslash, and what it stands before.
            self.at += found + 2;
        }
    }
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
        let long = format!(r#"{{"a":"{}\"}}","b": [1,{{}} ,"]"] }}"#, "x".repeat(100_000));
        assert_eq!(members(&long), Object::parse(&long));
    }
}
