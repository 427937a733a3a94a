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
/// oldest go first, and the good ones are asked about once more.
const CAPACITY: usize = 4_096;

/// How many go at once when there are too many. Looking for one of them in a full table takes 20 us, and would for each
/// token: with callers by the thousand, a third of what it takes to check one.
const GOING: usize = CAPACITY / 8;

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
            make_room(&mut table, now);
        }
        table.insert(digest, Known { what: what.clone(), until });
    }

    /// The poison of a lock means that a task panicked elsewhere; the table is still true.
    fn table(&self) -> MutexGuard<'_, HashMap<Digest, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets those go that hold no more; if there are too many then, those that would go next.
fn make_room(table: &mut HashMap<Digest, Known>, now: Instant) {
    table.retain(|_, known| known.until > now);
    if table.len() < CAPACITY {
        return;
    }
    let mut ends: Vec<Instant> = table.values().map(|known| known.until).collect();
    let (_, &mut last, _) = ends.select_nth_unstable(GOING - 1);
    let mut going = GOING; // More may end in the same moment.
    table.retain(|_, known| {
        let goes = going > 0 && known.until <= last;
        going -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Principal;

    #[test]
    fn a_grant_holds_until_its_time_and_the_table_is_bounded() {
        let (grants, now) = (Grants::default(), Instant::now());
        let grant = |until| {
            let (principal, claims) = (Principal("p".into()), super::super::TokenClaims::default());
            Ok(Grant { principal, scopes: "".into(), audience: [].into(), claims, until })
        };
        grants.keep(digest("t"), &grant(now + Duration::from_secs(60)), now);
        assert!(grants.find(&digest("t"), now).unwrap().is_ok());
        assert!(grants.find(&digest("u"), now).is_none());
        assert!(grants.find(&digest("t"), now + Duration::from_secs(60)).is_none());
        for number in 0..CAPACITY * 2 {
            grants.keep(digest(&format!("bad {number}")), &Err(Denied::invalid("no")), now);
            assert!(grants.table().len() <= CAPACITY);
        }
        assert!(grants.table().len() >= CAPACITY - GOING);
        // The good one had the longest to live.
        assert!(grants.find(&digest("t"), now).unwrap().is_ok());
        // What holds no more goes before anything that does.
        let later = now + REFUSED;
        for number in 0..CAPACITY - 1 {
            grants.keep(digest(&format!("good {number}")), &grant(now + Duration::from_secs(30)), later);
        }
        assert!((0..CAPACITY - 1).all(|number| grants.find(&digest(&format!("good {number}")), later).is_some()));
        assert!(grants.find(&digest("t"), later).is_some());
    }
}
