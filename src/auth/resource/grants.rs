//! What is remembered of tokens, so that a session's later calls cost a look-up.
//!
//! Owns the table. Talks to nobody. It never holds a token: only its digest.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::digest;

use super::{Denied, Grant};

/// Tokens at once. Callers without a good token fill it only where the authorization server is asked about each; then the
/// oldest goes first, and the good ones are asked about once more.
const CAPACITY: usize = 4_096;

/// For how long a token is refused that the authorization server refused.
const REFUSED: Duration = Duration::from_secs(5);

/// SHA-256 of a token. Looking up by it tells nothing about a token through time.
pub(super) type Digest = [u8; 32];

pub(super) fn digest(token: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    bytes
}

#[derive(Debug, Default)]
pub(super) struct Grants(Mutex<HashMap<Digest, Known>>);

#[derive(Debug)]
struct Known {
    what: Result<Grant, Denied>,
    until: Instant,
}

impl Grants {
    /// What is known of a token and still holds.
    pub(super) fn find(&self, digest: &Digest, now: Instant) -> Option<Result<Grant, Denied>> {
        let table = self.table();
        table.get(digest).filter(|known| known.until > now).map(|known| known.what.clone())
    }

    pub(super) fn keep(&self, digest: Digest, what: &Result<Grant, Denied>, now: Instant) {
        let until = what.as_ref().map_or(now + REFUSED, |grant| grant.until);
        if until <= now {
            return;
        }
        let mut table = self.table();
        if table.len() >= CAPACITY && !table.contains_key(&digest) {
            table.retain(|_, known| known.until > now);
        }
        if table.len() >= CAPACITY
            && !table.contains_key(&digest)
            && let Some(first) = table.iter().min_by_key(|(_, known)| known.until).map(|(digest, _)| *digest)
        {
            table.remove(&first);
        }
        table.insert(digest, Known { what: what.clone(), until });
    }

    /// The poison of a lock means that a task panicked elsewhere; the table is still true.
    fn table(&self) -> MutexGuard<'_, HashMap<Digest, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Principal;

    #[test]
    fn a_grant_holds_until_its_time_and_the_table_is_bounded() {
        let (grants, now) = (Grants::default(), Instant::now());
        let grant =
            |until| Ok(Grant { principal: Principal("p".into()), scopes: "".into(), audience: [].into(), until });
        grants.keep(digest("t"), &grant(now + Duration::from_secs(60)), now);
        assert!(grants.find(&digest("t"), now).unwrap().is_ok());
        assert!(grants.find(&digest("u"), now).is_none());
        assert!(grants.find(&digest("t"), now + Duration::from_secs(60)).is_none());
        for number in 0..CAPACITY * 2 {
            grants.keep(digest(&format!("bad {number}")), &Err(Denied::invalid("no")), now);
        }
        assert_eq!(grants.table().len(), CAPACITY);
        // The good one had the longest to live.
        assert!(grants.find(&digest("t"), now).unwrap().is_ok());
    }
}
