//! JSON objects as text: members are read, replaced, added and removed, and what is not touched keeps its bytes.
//!
//! The tool of every rewrite between eras. Pure. A value is never parsed further than it has to be and never printed
//! anew: numbers keep their form, unknown fields stay. It never accepts an object with a key that stands twice: two
//! readers could see two different messages.

mod canonical;
pub(crate) mod check;

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

pub use self::canonical::canonical;

/// Members among which a key is found sooner by looking at each than by its hash.
const FEW: usize = 16;

/// An object whose members are JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Object<'a> {
    /// Without members.
    pub fn new() -> Object<'a> {
        Object::default()
    }

    /// Reads JSON text; `None` when it is no object, or has a key twice.
    pub fn parse(text: &'a str) -> Option<Object<'a>> {
        let (mut object, mut seen) = (Object::new(), HashSet::new());
        let read = check::object(text, check::LEVELS, |key, at| {
            let value = at.value()?;
            object.add(&mut seen, key.into(), value).then_some(())
        });
        match read {
            Some(()) => Some(object),
            None => serde_json::from_str(text).ok(),
        }
    }

    /// The same of members that are known; `None` where a key stands twice.
    pub(crate) fn of_members(members: impl ExactSizeIterator<Item = (&'a str, &'a str)>) -> Option<Object<'a>> {
        let (mut object, mut seen) = (Object { members: Vec::with_capacity(members.len()) }, HashSet::new());
        for (key, value) in members {
            if !object.add(&mut seen, key.into(), value) {
                return None;
            }
        }
        Some(object)
    }

    /// Adds a member that was read; false when its key stands twice. `seen` has the keys once there are many.
    fn add(&mut self, seen: &mut HashSet<Cow<'a, str>>, key: Cow<'a, str>, value: &'a str) -> bool {
        // A peer can send millions of keys: no search through them for each. Most objects have a handful.
        if self.members.len() == FEW {
            seen.extend(self.members.iter().map(|(known, _)| known.clone()));
        }
        let twice = match self.members.len() {
            0..FEW => self.get(&key).is_some(),
            _ => !seen.insert(key.clone()),
        };
        self.members.push((key, Cow::Borrowed(value)));
        !twice
    }

    /// A member's value, as JSON text.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.members.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// Puts JSON text in the place of a member, or at the end.
    pub fn set(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> &mut Object<'a> {
        let (key, value) = (key.into(), value.into());
        match self.members.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.members.push((key, value)),
        }
        self
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Cow<'a, str>> {
        let at = self.members.iter().position(|(known, _)| known == key)?;
        Some(self.members.remove(at).1)
    }

    /// Keeps the members that `keep` wants, by key.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.members.retain(|(key, _)| keep(key));
    }

    /// All members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The object as JSON text, in memory that is taken once: a string that grows is moved as it grows.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.text_len());
        self.write(&mut text);
        text
    }

    /// Bytes of the text, but for escapes in keys.
    pub(crate) fn text_len(&self) -> usize {
        self.members.iter().fold(2, |sum, (key, value)| sum + key.len() + value.len() + 4)
    }

    /// Appends the text.
    pub(crate) fn write(&self, to: &mut String) {
        to.push('{');
        for (index, (key, value)) in self.members.iter().enumerate() {
            to.push_str(if index == 0 { "" } else { "," });
            if is_plain(key) {
                to.extend(["\"", key, "\":", value]);
            } else {
                to.extend([&quote(key), ":", value]);
            }
        }
        to.push('}');
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// A member's value with the lifetime of the text that the object was read from; `None` also where the value is a text of
/// the object's own.
pub fn member<'a>(object: &Object<'a>, key: &str) -> Option<&'a str> {
    object.members.iter().find(|(known, _)| known == key).and_then(|(_, value)| match value {
        Cow::Borrowed(text) => Some(*text),
        Cow::Owned(_) => None,
    })
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<'de>, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut object = Object::new();
                let mut seen = HashSet::new();
                // Ends with the object.
                while let Some(Text(key)) = map.next_key()? {
                    let value: &RawValue = map.next_value()?;
                    if !object.add(&mut seen, key, value.get()) {
                        return Err(A::Error::custom("a key stands twice"));
                    }
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A string that borrows where it has no escapes.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// The elements of an array, as JSON text; `None` when it is none.
pub fn array(text: &str) -> Option<Vec<&str>> {
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

/// Joins elements that are JSON text.
pub fn join<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::from("[");
    for (index, item) in items.into_iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(item.as_ref());
    }
    text.push(']');
    text
}

/// What a JSON string says; `None` when the text is none.
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    // Most are what they say.
    match plain(text) {
        Some(plain) => Some(plain.into()),
        None => serde_json::from_str::<Text>(text).ok().map(|Text(text)| text),
    }
}

/// What a JSON string without escapes says; `None` when the text is none.
pub(crate) fn plain(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"').filter(|text| is_plain(text))
}

/// A string as JSON text.
pub fn quote(text: &str) -> String {
    if is_plain(text) { ["\"", text, "\""].concat() } else { serde_json::Value::from(text).to_string() }
}

/// Whether a string stands in JSON as it is, between quotes.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn what_is_not_touched_keeps_its_bytes() {
        let text = r#"{ "a" : 1.0 , "b":{"x" : [1e3, 2]},"\u0063":"\u00e9" }"#;
        let mut object = Object::parse(text).unwrap();
        assert_eq!(object.get("c"), Some(r#""\u00e9""#));
        object.set("b", "true").set("d", "[]");
        assert_eq!(object.to_string(), r#"{"a":1.0,"b":true,"c":"\u00e9","d":[]}"#);
        assert_eq!(object.remove("a").as_deref(), Some("1.0"));
        assert_eq!(object.remove("a"), None);
        object.set("b", String::from("false"));
        assert_eq!(member(&object, "b"), None, "its text is the object's own");
        assert_eq!(member(&object, "c"), Some(r#""\u00e9""#));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, "[]", "1", "{", ""] {
            assert_eq!(Object::parse(text), None, "{text}");
        }
        let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\":0")).collect();
        assert!(Object::parse(&format!("{{{}}}", many.join(","))).is_some());
        for twice in [0, 15, 16, 17, 39] {
            let text = format!("{{{},\"k{twice}\":0}}", many.join(","));
            assert_eq!(Object::parse(&text), None, "{twice}");
        }
        assert_eq!(Object::parse("{}"), Some(Object::new()));
    }

    #[test]
    fn arrays_and_strings_are_read_and_written() {
        assert_eq!(array(r#"[1, {"a":2} ,"x"]"#), Some(vec!["1", r#"{"a":2}"#, r#""x""#]));
        assert_eq!(array("{}"), None);
        assert_eq!(join(["1", "{}"]), "[1,{}]");
        assert_eq!(string(r#""a\"b""#).as_deref(), Some("a\"b"));
        assert_eq!(string("1"), None);
        assert_eq!(quote("a\"\n"), r#""a\"\n""#);
    }

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
        fn members_are_those_that_serde_json_reads(value in any_value(), pretty in any::<bool>()) {
            let text = if pretty { format!(" {value:#}\r\n") } else { value.to_string() };
            prop_assert_eq!(Object::parse(&text), serde_json::from_str(&text).ok(), "{}", text);
        }

        #[test]
        fn text_that_is_no_json_is_no_object(text in r#"[a1"\\{}\[\],: \n]{0,24}"#) {
            prop_assert_eq!(Object::parse(&text), serde_json::from_str(&text).ok());
        }
    }
}
