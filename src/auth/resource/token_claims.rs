//! What else a checked token says of its caller, for servers that get variables from it (`--claim-env`).
//!
//! Owns the claims that are kept, and how many. Talks to nobody. A claim's value is a secret: it is never shown, and nothing
//! is decided by it here.

use std::{collections::HashMap, fmt, sync::Arc};

use http::Request;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use crate::config::Secret;

/// Claims of one token that are kept. Tokens have about twenty.
const MOST: usize = 64;

/// Bytes of one token's names and values that are kept. More than a JWT in a request's head can have.
const MOST_BYTES: usize = 16 * 1024;

/// The claims of a caller's token that are one value: a text, a number, true or false. The default has none, as a token
/// that was given out by hand.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TokenClaims(Option<Arc<Kept>>);

#[derive(Default, PartialEq, Eq)]
struct Kept {
    /// The value, or why it is none.
    claims: HashMap<Box<str>, Result<Secret, &'static str>>,
    /// Whether there were more.
    more: bool,
}

impl fmt::Debug for TokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClaims").finish_non_exhaustive()
    }
}

impl TokenClaims {
    /// Those that the door put into a request.
    pub fn of<B>(request: &Request<B>) -> TokenClaims {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// One claim; `None` where the token has none of this name. The error says why it has no value, and never shows it.
    pub fn get(&self, name: &str) -> Result<Option<&Secret>, &'static str> {
        let Some(kept) = &self.0 else { return Ok(None) };
        match kept.claims.get(name) {
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(why)) => Err(why),
            None if kept.more => Err("the token has more claims than are read; have a shorter one issued"),
            None => Ok(None),
        }
    }
}

impl Kept {
    fn add(&mut self, bytes: &mut usize, name: String, value: &str) {
        let value = match value.as_bytes().first() {
            Some(b'n') => return, // No value is no claim.
            Some(b'"') => serde_json::from_str::<String>(value)
                .map(Secret::new)
                .map_err(|_| "its value is no text; have the token issued with one"),
            Some(b'[' | b'{') => Err("its value is a list or an object; name a claim that is a text"),
            // As it is written: a long number stays what it is.
            _ => Ok(Secret::new(value)),
        };
        *bytes += name.len() + value.as_ref().map_or(0, |value| value.expose().len());
        if self.claims.len() >= MOST || *bytes > MOST_BYTES {
            self.more = true;
            return;
        }
        let twice = "it is in the token twice; have a token issued that has it once";
        self.claims.entry(name.into()).and_modify(|there| *there = Err(twice)).or_insert(value);
    }
}

impl<'de> Deserialize<'de> for TokenClaims {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<TokenClaims, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = TokenClaims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("claims")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<TokenClaims, A::Error> {
                let (mut kept, mut bytes) = (Kept::default(), 0);
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    kept.add(&mut bytes, name, value.get());
                }
                Ok(TokenClaims(Some(Arc::new(kept))))
            }
        }
        from.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> TokenClaims {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_one_value_is_kept_as_it_is_written() {
        let claims = read(r#"{"sub":"a\u006en","id":12345678901234567890123,"on":true,"no":null,"list":["hunter2"]}"#);
        let text = |name| claims.get(name).map(|value| value.map(|value| value.expose().to_owned()));
        assert_eq!(text("sub"), Ok(Some("ann".into())));
        assert_eq!(text("id"), Ok(Some("12345678901234567890123".into())));
        assert_eq!(text("on"), Ok(Some("true".into())));
        assert_eq!((text("no"), text("other")), (Ok(None), Ok(None)));
        assert!(text("list").unwrap_err().contains("list"));
        assert!(!format!("{claims:?}").contains("ann"));
        assert_eq!(TokenClaims::default().get("sub"), Ok(None));
    }

    #[test]
    fn a_claim_that_is_there_twice_has_no_value_and_what_is_kept_is_bounded() {
        assert!(read(r#"{"a":"1","a":"2"}"#).get("a").unwrap_err().contains("twice"));
        let many: Vec<_> = (0..MOST * 2).map(|number| format!(r#""c{number}":{number}"#)).collect();
        let claims = read(&format!("{{{}}}", many.join(",")));
        assert!(claims.get("c0").is_ok_and(|value| value.is_some()));
        assert!(claims.get(&format!("c{MOST}")).unwrap_err().contains("more claims"));
        assert!(claims.get("other").unwrap_err().contains("more claims"));
        let long = read(&format!(r#"{{"a":"1","b":"{}","c":"3"}}"#, "x".repeat(MOST_BYTES)));
        assert!(long.get("a").is_ok() && long.get("b").is_err() && long.get("c").is_err());
    }
}
