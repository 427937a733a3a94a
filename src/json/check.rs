//! JSON text that plainly is JSON: one pass over a message, which says so and finds its members.
//!
//! Owns the grammar (RFC 8259), as far as a reader has to know it that keeps no values. Pure. Every message of every wire
//! comes through here, most of them once, so it takes no memory and looks at long strings in blocks. It says yes or "I do
//! not know", never no: what is wrong, or only unusual, is for `serde_json` to judge, which also knows how to say what is
//! wrong. So an error here could make a message slow, or let one pass that is no JSON; the tests hold it to `serde_json`
//! against that.

/// The most levels that are told apart.
pub(crate) const LEVELS: u32 = 128;

/// Bytes of a string that are looked at eight by eight before blocks are: most end before.
const SHORT: usize = 40;

/// Reads an object that is all of the text. `each` gets a member's key and the place before its value, which it has to move
/// past. `None` where it does not, or where the text is no object, is deeper than `levels`, or has a key with escapes.
/// There are up to [`LEVELS`].
pub(crate) fn object<'a>(
    text: &'a str,
    levels: u32,
    each: impl FnMut(&'a str, &mut Position<'a>) -> Option<()>,
) -> Option<()> {
    let mut at = Position { text, at: 0, levels };
    at.object(each)?;
    at.peek().is_none().then_some(())
}

/// A place in the text.
pub(crate) struct Position<'a> {
    text: &'a str,
    at: usize,
    /// How many more there may be.
    levels: u32,
}

impl<'a> Position<'a> {
    /// Moves past an object and gives its text; see [`object`].
    pub(crate) fn object(&mut self, mut each: impl FnMut(&'a str, &mut Position<'a>) -> Option<()>) -> Option<&'a str> {
        self.levels = self.levels.checked_sub(1)?;
        self.peek()?;
        let start = self.at;
        self.expect(b'{')?;
        let mut more = !self.take(b'}');
        while more {
            let key = self.key()?;
            self.expect(b':')?;
            each(key, self)?;
            more = self.goes_on(b'}')?;
        }
        self.levels += 1;
        self.text.get(start..self.at)
    }

    /// Whether an object comes next.
    pub(crate) fn is_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    /// Moves past a value, whatever is in it, and gives its text.
    pub(crate) fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        self.text.get(start..self.at)
    }

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

    /// Moves past this byte, if it comes next, and says whether it did.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// After a value: whether a comma comes, or the end.
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        let found = self.peek()?;
        self.at += 1;
        if found == b',' { Some(true) } else { (found == end).then_some(false) }
    }

    /// A key without escapes.
    fn key(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain(self.text.as_bytes().get(start..)?);
        let key = self.text.get(start..self.at)?;
        (self.byte()? == b'"').then(|| self.at += 1)?;
        Some(key)
    }

    fn skip(&mut self) -> Option<()> {
        // One bit a level, the lowest for the innermost: set where that is an object.
        let (mut objects, mut depth) = (0_u128, 0);
        loop {
            let first = self.peek()?;
            self.at += 1;
            match first {
                b'"' => self.string()?,
                b'{' | b'[' if depth == self.levels => return None,
                b'{' | b'[' => {
                    let is_object = first == b'{';
                    if !self.take(if is_object { b'}' } else { b']' }) {
                        (objects, depth) = (objects << 1 | u128::from(is_object), depth + 1);
                        if is_object {
                            self.member()?;
                        }
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.number(first)?,
                b't' => self.word("rue")?,
                b'f' => self.word("alse")?,
                b'n' => self.word("ull")?,
                _ => return None,
            }
            // A value has ended, and maybe what it is in.
            loop {
                if depth == 0 {
                    return Some(());
                }
                let is_object = objects & 1 == 1;
                if self.goes_on(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.member()?;
                    }
                    break;
                }
                (objects, depth) = (objects >> 1, depth - 1);
            }
        }
    }

    /// Moves past a key, with whatever escapes, and its colon.
    fn member(&mut self) -> Option<()> {
        self.expect(b'"')?;
        self.string()?;
        self.expect(b':')
    }

    /// From inside a string past its end.
    fn string(&mut self) -> Option<()> {
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let found = plain(rest);
            self.at += found + 1;
            match rest.get(found)? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// Moves past what stands after a backslash.
    fn escape(&mut self) -> Option<()> {
        let letter = self.byte()?;
        self.at += 1;
        match letter {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    /// From behind the first byte of a number past its end.
    fn number(&mut self, first: u8) -> Option<()> {
        let leading = if first == b'-' { self.next()? } else { first };
        match leading {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.next().filter(u8::is_ascii_digit)?;
            self.digits();
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.next().filter(u8::is_ascii_digit)?;
            self.digits();
        }
        Some(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.byte()?;
        self.at += 1;
        Some(byte)
    }

    fn digits(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn word(&mut self, rest: &str) -> Option<()> {
        let found = self.text.as_bytes().get(self.at..)?.starts_with(rest.as_bytes());
        self.at += rest.len();
        found.then_some(())
    }
}

/// How many bytes from here stand in a string as they are.
fn plain(text: &[u8]) -> usize {
    let (short, long) = text.split_at(text.len().min(SHORT));
    if let Some(found) = special_in(short) {
        return found;
    }
    // Without an end in sight, so that the compiler looks at all of a block at once.
    let is_plain = |block: &&[u8; 64]| block.iter().fold(0, |any, byte| any | u8::from(is_special(*byte))) == 0;
    let at = short.len() + 64 * long.as_chunks().0.iter().take_while(is_plain).count();
    let rest = text.get(at..).unwrap_or_default();
    at + special_in(rest).unwrap_or(rest.len())
}

/// Where the first byte stands that is none of a string's plain ones.
fn special_in(text: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = EACH << 7;
    let (words, rest) = text.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let zero = |word: u64| word.wrapping_sub(EACH) & !word;
        let control = word.wrapping_sub(EACH * u64::from(b' ')) & !word;
        // Set in the first byte that is special; above it, others may be set that are none.
        let hits = zero(word ^ (EACH * u64::from(b'"'))) | zero(word ^ (EACH * u64::from(b'\\'))) | control;
        if hits & HIGHEST != 0 {
            return Some(8 * index + (hits & HIGHEST).trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| is_special(*byte)).map(|found| 8 * words.len() + found)
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn read(text: &str) -> Option<Vec<(String, String)>> {
        let mut all = Vec::new();
        object(text, 128, |key, at| {
            // By either way past it.
            let mut again = Position { ..*at };
            let value = at.value()?;
            if again.is_object() && again.object(|_, at| at.value().map(drop)).is_some() {
                assert_eq!(again.at, at.at, "{text:?}");
            }
            all.push((key.to_owned(), value.to_owned()));
            Some(())
        })?;
        Some(all)
    }

    /// What the judge says: `None` where it is no JSON, or no object.
    fn judged(text: &str) -> Option<Vec<(String, String)>> {
        struct All(Vec<(String, String)>);
        impl<'de> serde::Deserialize<'de> for All {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<All, D::Error> {
                struct Members;
                impl<'de> serde::de::Visitor<'de> for Members {
                    type Value = All;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<All, A::Error> {
                        let mut all = Vec::new();
                        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                            all.push((key, value.get().to_owned()));
                        }
                        Ok(All(all))
                    }
                }
                deserializer.deserialize_map(Members)
            }
        }
        serde_json::from_str(text).ok().map(|All(all)| all)
    }

    /// Whether a text has what is left to the judge although it is JSON: escapes in keys of the first level.
    fn agrees(text: &str) {
        match (read(text), judged(text)) {
            (Some(all), judged) => assert_eq!(Some(all), judged, "{text:?}"),
            (None, Some(judged)) => assert!(judged.is_empty() || text.contains('\\'), "{text:?}"),
            (None, None) => {}
        }
    }

    #[test]
    fn what_is_json_and_what_is_none() {
        for value in [
            "0",
            "-0",
            "1",
            "10",
            "-1.50",
            "1e400",
            "1E+2",
            "0.0e-0",
            "true",
            "false",
            "null",
            r#""""#,
            "[]",
            "{}",
            "[ ]",
            "{ }",
            "[1,2]",
            r#"[{"a":[]},{}]"#,
            r#"{"a":{"b":[1,{"c":null}]}}"#,
            r#""\u00e9\ud800\"\\\/\b\f\n\r\t""#,
            "\"\u{7f}\u{2028}é\"",
            r#"{"\"}":"]"}"#,
        ] {
            let text = format!(" {{\"x\" : {value}\r\n,\"y\":{value}}} \t");
            let value = value.to_owned();
            assert_eq!(read(&text), Some(vec![("x".into(), value.clone()), ("y".into(), value)]), "{text}");
            agrees(&text);
        }
        for value in [
            "",
            "00",
            "01",
            "-",
            "+1",
            ".5",
            "1.",
            "1.e2",
            "1e",
            "1e+",
            "-a",
            "tru",
            "nulll",
            "NaN",
            "Infinity",
            "'a'",
            "[,]",
            "[1,]",
            "[1 2]",
            "[1",
            "{",
            "{1:2}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1]"#,
            "[1}",
            r#"""#,
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u12"#,
            "\"\n\"",
            "\"\u{0}\"",
            "\"\u{1f}\"",
            "/**/1",
            "\u{a0}1",
            "1 1",
        ] {
            for text in [format!("{{\"x\":{value}}}"), format!("{{\"x\":[{value}]}}"), value.to_owned()] {
                assert!(read(&text).is_none() || text == "{\"x\":[]}", "{text:?}");
                agrees(&text);
            }
        }
        for text in ["{}}", "{} {}", "{,}", r#"{"a":1,}"#, r#"{"a":1"#, r#"{"a" 1}"#, "[]", "7"] {
            assert_eq!(read(text), None, "{text}");
            agrees(text);
        }
        assert_eq!(read(r#"{"\u0061":1}"#), None, "left to the judge");
    }

    #[test]
    fn strings_end_where_they_end_however_long_they_are() {
        for length in 0..300 {
            for special in ["", "\\\"", "\\u0000", "\u{1}", "\u{1f}", "\u{7f}", "é", "\u{1F600}"] {
                let text = format!(r#"{{"a":"{}{special}{}","b":2}}"#, "x".repeat(length), "y".repeat(length % 70));
                assert_eq!(read(&text).is_some(), judged(&text).is_some(), "{length} {special:?}");
                agrees(&text);
            }
        }
    }

    #[test]
    fn depth_has_an_end() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let mixed = |depth: usize| format!("{{\"a\":{}1{}}}", r#"[{"b":"#.repeat(depth), "}]".repeat(depth));
        assert!(read(&nested(127)).is_some() && read(&mixed(63)).is_some());
        assert!(read(&nested(128)).is_none() && read(&mixed(64)).is_none());
        assert!(read(&nested(1_000_000)).is_none());
        let inner = |depth: usize| {
            let text = nested(depth).replace("{\"a\":", "{\"b\":{\"a\":") + "}";
            object(&text, 128, |_, at| at.object(|_, at| at.value().map(drop)).map(drop))
        };
        assert!(inner(126).is_some() && inner(127).is_none());
        // Each level remembers what it is.
        let wrong = mixed(60).replace("}]}]", "}]]}");
        assert!(read(&wrong).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_passes_is_what_the_judge_reads(text in r#"\{"[ab]":[ -9a-u"\\{}\[\],:.+eE]{0,40}\}?"#) {
            agrees(&text);
        }

        #[test]
        fn what_is_changed_in_one_place_is_judged_alike(at in any::<prop::sample::Index>(), byte in 0_u8..128) {
            let text = r#"{"jsonrpc":"2.0","id":-1.5e+3,"params":{"a":[true,false,null,{"b\n":"\u00e9 xxxxxxxxxxxxxxxxxxxxxxxx"}],"c":[]}}"#;
            let mut bytes = text.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                agrees(text);
                prop_assert_eq!(read(text).is_some() || text.contains("\\"), judged(text).is_some() || text.contains("\\"));
            }
        }
    }
}
