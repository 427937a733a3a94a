//! The claims that are read, of a JWT (RFC 9068) or an introspection's answer (RFC 7662). Pure.
//!
//! Owns their shapes. Talks to nobody. It never decides.

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use super::TokenClaims;

/// All that is said of a token.
#[derive(Debug)]
pub(super) struct Said {
    /// What the door decides by.
    pub(super) claims: Claims,
    /// What servers may get.
    pub(super) all: TokenClaims,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    /// Of an introspection only.
    pub(super) active: Option<bool>,
    pub(super) iss: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) client_id: Option<String>,
    /// What OpenID Connect calls the client.
    pub(super) azp: Option<String>,
    pub(super) aud: Option<Many>,
    /// Seconds since 1970.
    pub(super) exp: Option<f64>,
    pub(super) nbf: Option<f64>,
    pub(super) scope: Option<Joined>,
    /// What some authorization servers write instead, as a list.
    pub(super) scp: Option<Joined>,
}

/// One text or a list of texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Many(pub(super) Vec<Box<str>>);

/// The same, as one text with spaces.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Joined(pub(super) String);

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Said, D::Error> {
        // Read twice: what the door decides by is read as strictly as if nothing else were.
        let text = Box::<RawValue>::deserialize(from)?;
        let claims = serde_json::from_str(text.get()).map_err(de::Error::custom)?;
        let all = serde_json::from_str(text.get()).map_err(de::Error::custom)?;
        Ok(Said { claims, all })
    }
}

impl<'de> Deserialize<'de> for Many {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Many, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Many;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, one: &str) -> Result<Many, E> {
                Ok(Many(vec![one.into()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Many, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element::<String>()? {
                    all.push(one.into());
                }
                Ok(Many(all))
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Joined {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Joined, D::Error> {
        let all = Many::deserialize(from)?.0;
        Ok(Joined(all.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audiences_and_scopes_are_read_in_both_of_their_forms() {
        let read = |text| serde_json::from_str::<Claims>(text).unwrap();
        let claims = read(r#"{"aud":"a","scope":"x y","exp":1.5}"#);
        assert_eq!((claims.aud.unwrap().0, claims.scope.unwrap().0), (vec!["a".into()], "x y".into()));
        let claims = read(r#"{"aud":["a","b"],"scp":["x","y"]}"#);
        assert_eq!((claims.aud.unwrap().0.len(), claims.scp.unwrap().0), (2, "x y".into()));
        assert!(serde_json::from_str::<Claims>(r#"{"aud":7}"#).is_err());
    }
}
