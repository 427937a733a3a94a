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

pub use self::key::KeyError;
pub use crate::seal::NoRandomness;
use crate::{
    json::{Object, canonical},
    peer::Principal,
    seal,
};

/// What is sealed here is good for.
const USAGE: &[u8] = b"mcp-bridge requestState v1";

/// Bytes of the claims as they are sealed.
const CLAIMS: usize = 16 + 16 + 32 + 32 + 4 + 8;

/// Length of a sealed text. Every one has it; another length is not looked at, so what a caller sends costs nothing.
pub const SEALED: usize = seal::sealed_len(CLAIMS);

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

fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = Digest::default();
    digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}

#[cfg(test)]
mod tests;
