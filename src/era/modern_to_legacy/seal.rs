//! `requestState`: the handle by which a caller finds the call that waits for it, sealed so that nobody can forge,
//! read or move it (2026-07-28, Multi Round-Trip Requests, Server Requirements).
//!
//! Owns the text form, and the digests that bind a handle to its caller and its request; `key` makes and keeps the key.
//! Talks to nobody. It knows no clock: whoever opens a handle compares the expiry, and remembers which handles were used.
//!
//! # Format
//! That of [`crate::seal`], for the use `mcp-bridge requestState v1`. The claims, integers in network order: parked id (16),
//! instance id (16), digest of the principal (32), digest of the request (32), round (4), expiry (8).

mod key;

use std::path::Path;

use aws_lc_rs::digest;
use serde_json::Value;

pub use self::key::KeyError;
pub use crate::seal::NoRandomness;
use crate::{json::Object, peer::Principal, seal};

/// What is sealed here is good for.
const USAGE: &[u8] = b"mcp-bridge requestState v1";

/// Bytes of the claims as they are sealed.
const CLAIMS: usize = 16 + 16 + 32 + 32 + 4 + 8;

/// Length of a sealed text. Every one has it; another length is not looked at, so what a caller sends costs nothing.
pub const SEALED: usize = seal::sealed_len(CLAIMS);

/// Largest whole number that a double holds without a gap (2^53).
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// SHA-256.
pub type Digest = [u8; 32];

/// What a handle says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The parked call.
    pub parked: u128,
    /// The process that holds it.
    pub instance: u128,
    /// Whose call it is; see [`principal`].
    pub principal: Digest,
    /// Which request it belongs to; see [`request`].
    pub request: Digest,
    /// How often this call asked back, from 1.
    pub round: u32,
    /// The handle is void from here on, in seconds since 1970.
    pub expiry: u64,
}

/// The text is no handle of ours: another key, another version, tampered with, or garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request state was not given by this bridge, or was changed")]
pub struct NotOurs;

/// Seals and opens handles under one key.
#[derive(Debug)]
pub struct Sealer(seal::Sealer);

impl Sealer {
    /// With a key of this process alone: what it seals is void when it ends.
    pub fn random() -> Result<Sealer, NoRandomness> {
        Ok(Sealer(seal::Sealer::new(&seal::fresh()?)?))
    }

    /// With the key in a file (`--state-key-file`), which is made if it is not there: 64 hex digits, or
    /// 32 bytes as they are.
    pub fn from_file(path: &Path) -> Result<Sealer, KeyError> {
        Ok(Sealer(seal::Sealer::new(&key::at(path)?)?))
    }

    /// The text for the caller, [`SEALED`] bytes long. No two are alike.
    pub fn seal(&self, claims: &Claims) -> Result<String, NoRandomness> {
        self.0.seal(USAGE, claims.to_bytes())
    }

    /// Reads what a caller brought. It says nothing about expiry, caller or request: compare the claims.
    pub fn open(&self, text: &str) -> Result<Claims, NotOurs> {
        if text.len() != SEALED {
            return Err(NotOurs);
        }
        let claims = self.0.open(USAGE, text).map_err(|_| NotOurs)?;
        Claims::from_bytes(&claims).ok_or(NotOurs)
    }
}

impl Claims {
    fn to_bytes(self) -> Vec<u8> {
        let Claims { parked, instance, principal, request, round, expiry } = self;
        let mut bytes = Vec::with_capacity(CLAIMS);
        bytes.extend(parked.to_be_bytes());
        bytes.extend(instance.to_be_bytes());
        bytes.extend(principal);
        bytes.extend(request);
        bytes.extend(round.to_be_bytes());
        bytes.extend(expiry.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Claims> {
        let (parked, rest) = bytes.split_first_chunk()?;
        let (instance, rest) = rest.split_first_chunk()?;
        let (principal, rest) = rest.split_first_chunk()?;
        let (request, rest) = rest.split_first_chunk()?;
        let (round, rest) = rest.split_first_chunk()?;
        let (expiry, rest) = rest.split_first_chunk()?;
        rest.is_empty().then_some(Claims {
            parked: u128::from_be_bytes(*parked),
            instance: u128::from_be_bytes(*instance),
            principal: *principal,
            request: *request,
            round: u32::from_be_bytes(*round),
            expiry: u64::from_be_bytes(*expiry),
        })
    }
}

/// The digest of whom a caller was authenticated as; of nobody where the door is open.
pub fn principal(who: Option<&Principal>) -> Digest {
    match who {
        Some(Principal(name)) => sha256(&[b"principal ", name.as_bytes()]),
        None => sha256(&[b"nobody"]),
    }
}

/// The digest of a request: its method and those params (JSON text) that a retry has to repeat, which are all but
/// `_meta`, `inputResponses` and `requestState`. The order of keys, white space, escapes and the form of a number make
/// no difference: a client may write its request anew.
pub fn request(method: &str, params: Option<&str>) -> Digest {
    let mut kept = params.and_then(Object::parse).unwrap_or_default();
    kept.retain(|key| !matches!(key, "_meta" | "inputResponses" | "requestState"));
    sha256(&[b"request ", method.as_bytes(), b" ", canonical(&kept.to_string()).as_bytes()])
}

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

fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = Digest::default();
    digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}

#[cfg(test)]
mod tests;
