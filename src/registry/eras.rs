//! Which eras a server speaks, as far as is known.
//!
//! Owns the verdict on one server: one command line, or one URL. Pure but for its lock. It never asks a server; who asks
//! tells it what came of that. A verdict holds until it proves wrong (2026-07-28, Versioning: clients may keep it, and ask
//! again when it fails).

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{config::ServerEra, peer::Era};

/// What is known of one server.
#[derive(Debug)]
pub struct Eras {
    pinned: Option<Era>,
    known: Mutex<Known>,
}

/// For each era, whether the server speaks it. Servers that speak both are usual.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    legacy: Option<bool>,
    modern: Option<bool>,
}

impl Eras {
    /// Nothing is known, or all is: the user has said it.
    pub fn new(choice: ServerEra) -> Eras {
        let pinned = match choice {
            ServerEra::Auto => None,
            ServerEra::Legacy => Some(Era::Legacy),
            ServerEra::Modern => Some(Era::Modern),
        };
        Eras { pinned, known: Mutex::default() }
    }

    /// Whether the user has said which era it is.
    pub fn is_pinned(&self) -> bool {
        self.pinned.is_some()
    }

    /// Whether the server speaks this era; `None` when that is to be found out.
    pub fn speaks(&self, era: Era) -> Option<bool> {
        match (self.pinned, era) {
            (Some(pinned), era) => Some(pinned == era),
            (None, Era::Legacy) => self.known().legacy,
            (None, Era::Modern) => self.known().modern,
        }
    }

    /// Takes note of what came of asking.
    pub fn learn(&self, era: Era, speaks: bool) {
        let mut known = self.known();
        match era {
            Era::Legacy => known.legacy = Some(speaks),
            Era::Modern => known.modern = Some(speaks),
        }
    }

    /// It proved wrong: another program may stand there now.
    pub fn forget(&self) {
        *self.known() = Known::default();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_holds_until_it_is_forgotten_and_a_pinned_one_for_good() {
        let eras = Eras::new(ServerEra::Auto);
        assert_eq!(eras.speaks(Era::Modern), None);
        eras.learn(Era::Modern, false);
        eras.learn(Era::Legacy, true);
        assert_eq!((eras.speaks(Era::Legacy), eras.speaks(Era::Modern)), (Some(true), Some(false)));
        eras.forget();
        assert_eq!((eras.speaks(Era::Legacy), eras.speaks(Era::Modern)), (None, None));
        let eras = Eras::new(ServerEra::Modern);
        eras.learn(Era::Legacy, true);
        assert_eq!((eras.speaks(Era::Legacy), eras.speaks(Era::Modern)), (Some(false), Some(true)));
    }
}
