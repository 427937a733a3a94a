//! Sealed text: bytes under a key of ours, so that nobody else can read, forge or move them.
//!
//! Owns the text form and the making of keys. Talks to nobody, and knows no clock. Where a key comes from, what is sealed and
//! what it may be used for is said by those who seal: `requestState`, and the files of logins.
//!
//! # Format
//! `v1.` and base64url without padding of: a random nonce (12 bytes), the encrypted bytes, the tag (16). AES-256-GCM; the
//! additional data is the use, so that what is sealed for one opens nothing of another. It stays as it is for as long as the
//! text starts with `v1.`: a key that is kept reads what was sealed before a restart.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// What every sealed text starts with: the version of the format.
const PREFIX: &str = "v1.";

/// Bytes of the tag at the end.
const TAG: usize = 16;

/// Bytes of a key.
pub const KEY: usize = 32;

/// The text was sealed under another key, for another use or in another version, was tampered with, or is garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed under another key, or was changed")]
pub struct NotOurs;

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// A key that nobody has.
pub fn fresh() -> Result<[u8; KEY], NoRandomness> {
    let mut key = [0; KEY];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| NoRandomness)?;
    Ok(key)
}

/// Length of what so many bytes are sealed as.
pub const fn sealed_len(bytes: usize) -> usize {
    PREFIX.len() + ((NONCE_LEN + bytes + TAG) * 4).div_ceil(3)
}

/// Seals and opens under one key.
pub struct Sealer {
    key: RandomizedNonceKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl Sealer {
    /// Under this key.
    pub fn new(key: &[u8; KEY]) -> Result<Sealer, NoRandomness> {
        // It refuses a key of another length alone.
        Ok(Sealer { key: RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| NoRandomness)? })
    }

    /// The text, [`sealed_len`] bytes long. No two are alike.
    pub fn seal(&self, usage: &[u8], mut bytes: Vec<u8>) -> Result<String, NoRandomness> {
        let nonce = self.key.seal_in_place_append_tag(Aad::from(usage), &mut bytes).map_err(|_| NoRandomness)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend(bytes);
        let mut text = String::with_capacity(PREFIX.len() + (sealed.len() * 4).div_ceil(3));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(sealed, &mut text);
        Ok(text)
    }

    /// The bytes that were sealed for this use.
    pub fn open(&self, usage: &[u8], text: &str) -> Result<Vec<u8>, NotOurs> {
        let text = text.strip_prefix(PREFIX).ok_or(NotOurs)?;
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotOurs)?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOurs)?;
        self.key.open_in_place(nonce, Aad::from(usage), sealed).map(|open| open.to_vec()).map_err(|_| NotOurs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_use_alone_and_not_when_it_was_changed() {
        let sealer = Sealer::new(&fresh().unwrap()).unwrap();
        let text = sealer.seal(b"one use", b"token".to_vec()).unwrap();
        assert_eq!(text.len(), sealed_len(5));
        assert!(!text.contains("token"));
        assert_eq!(sealer.open(b"one use", &text).unwrap(), b"token");
        assert_eq!(sealer.open(b"another use", &text), Err(NotOurs));
        assert_eq!(Sealer::new(&fresh().unwrap()).unwrap().open(b"one use", &text), Err(NotOurs));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert_eq!(sealer.open(b"one use", &String::from_utf8(changed).unwrap()), Err(NotOurs), "{at}");
        }
        for short in ["", "v1.", "v1.AAAA"] {
            assert_eq!(sealer.open(b"one use", short), Err(NotOurs));
        }
    }
}
