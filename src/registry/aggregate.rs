//! Several servers as one server.
//!
//! Owns what is known of the servers together: whose a resource is, which names were cut, what each one said that it can
//! do. Talks to each server's own registry, which speaks to it in the era that it knows and in the way that it is shared.
//! The rules stand in [`crate::aggregate`]. It never changes a result but lists and the two handshakes, and what one
//! server cannot do keeps no other from doing it.
//!
//! ```text
//! legacy session ─> session (a session with each server, opened at once) ─┐
//!                                                                          ├─> line (which server is meant) ─> registries
//! modern caller  ─> exchanges (each stands alone) ─────────────────────────┘
//! ```

mod asking;
mod exchanges;
mod line;
mod listen;
mod session;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::mpsc;
use tracing::warn;

use self::session::Seats;
use super::Registry;
use crate::{
    aggregate::{Listing, Names, Offer, Owners, Template},
    config::ServerName,
    peer::{Outbox, PEER_CAPACITY, Peer},
    scope::Scope,
};

/// How long one server may hold up what is asked of all. Servers that are fetched first take longer: they are listed when
/// they are there. The official SDKs' clients give up after 60 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for one that was not there the last time.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// Names that were cut and are remembered. Beyond this they are asked for again.
const MAX_CUT: usize = 4 * 1024;

/// One of the servers.
#[derive(Debug, Clone)]
pub struct Member {
    /// Part of the names of its tools and prompts.
    pub name: ServerName,
    /// Hands it out.
    pub registry: Arc<Registry>,
}

/// A kind of list, and the name that it has there.
type CutName = (&'static str, Box<str>);

/// All of them.
#[derive(Debug)]
pub(super) struct Aggregate {
    members: Vec<Member>,
    names: Names,
    owners: Mutex<Owners>,
    /// The servers' own words for names that were cut.
    cut: Mutex<HashMap<CutName, Box<str>>>,
    /// Why each one was left out last, if it was, and whether it was waited for in vain.
    left_out: Mutex<Vec<Option<(String, bool)>>>,
    /// What each one said last.
    offers: Mutex<Vec<Option<Offer>>>,
    /// The way in for exchanges.
    way: Mutex<Option<Outbox>>,
    scope: Scope,
}

/// The poison of a lock means that a task panicked elsewhere; the tables stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Aggregate {
    /// Nothing is opened yet. `scope` is not to be stopped while calls are in flight.
    pub(super) fn new(members: Vec<Member>, prefix: &Template, scope: &Scope) -> Arc<Aggregate> {
        let servers: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        Arc::new(Aggregate {
            names: Names::new(prefix, &servers),
            left_out: Mutex::new(vec![None; members.len()]),
            offers: Mutex::new(vec![None; members.len()]),
            members,
            owners: Mutex::default(),
            cut: Mutex::default(),
            way: Mutex::default(),
            scope: scope.clone(),
        })
    }

    /// Works the server's end of a legacy session. The session lasts as long as the future, which has a plain type: it
    /// opens registries, of which its own is one as far as the compiler can tell.
    pub(super) fn session(self: &Arc<Self>, peer: Peer) -> BoxFuture<'static, ()> {
        Seats::serve(self.clone(), peer).boxed()
    }

    /// The way in for exchanges.
    pub(super) fn outbox(self: &Arc<Self>) -> Outbox {
        let mut way = lock(&self.way);
        if let Some(way) = &*way {
            return way.clone();
        }
        let (tx, rx) = mpsc::channel(PEER_CAPACITY);
        self.scope.spawn(exchanges::serve(self.clone(), rx));
        way.insert(tx).clone()
    }

    /// Lets go of what exchanges share.
    pub(super) fn close(&self) {
        *lock(&self.way) = None;
    }

    /// Whether any server can be had.
    pub(super) fn ready(&self) -> Result<(), String> {
        let mut why = None;
        for Member { name, registry } in &self.members {
            match registry.ready() {
                Ok(()) => return Ok(()),
                Err(error) => why = why.or(Some(format!("no server can be had; {name}: {error}"))),
            }
        }
        Err(why.unwrap_or_else(|| "there is no server".into()))
    }

    fn name(&self, server: usize) -> &str {
        self.members.get(server).map_or("", |member| member.name.as_str())
    }

    fn all(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.members.len()
    }

    /// The servers that may have something of this kind: those that said so, and those that were not asked yet.
    fn having(&self, group: &str) -> Vec<usize> {
        let offers = lock(&self.offers);
        let may = |server: &usize| {
            offers.get(*server).is_none_or(|offer| offer.as_ref().is_none_or(|offer| offer.has(group)))
        };
        self.all().filter(may).collect()
    }

    /// Takes note of what a server said that it is.
    fn said(&self, server: usize, result: &str) -> Offer {
        let offer = Offer::read(result);
        if let Some(known) = lock(&self.offers).get_mut(server) {
            *known = Some(offer.clone());
        }
        offer
    }

    /// How long a server may hold up what is asked of all.
    fn patience(&self, server: usize) -> Duration {
        let was_late = matches!(lock(&self.left_out).get(server), Some(Some((_, true))));
        if was_late { IMPATIENCE } else { PATIENCE }
    }

    /// Why a server need not be asked: its registry has just found out that it cannot be had.
    fn unready(&self, server: usize) -> Option<String> {
        self.members.get(server)?.registry.ready().err()
    }

    /// A server has no part in something. Told once for each reason: clients ask for lists again and again.
    fn leave_out(&self, server: usize, why: &str, late: bool) {
        let next = Some((why.to_owned(), late));
        let known = lock(&self.left_out).get_mut(server).map(|known| std::mem::replace(known, next.clone()));
        if known != Some(next) {
            warn!(server = self.name(server), "left out of what all servers are together: {why}");
        }
    }

    /// A server has a part in something.
    fn let_in(&self, server: usize) {
        if let Some(known) = lock(&self.left_out).get_mut(server) {
            *known = None;
        }
    }

    fn offer(&self, server: usize) -> Option<Offer> {
        lock(&self.offers).get(server).cloned().flatten()
    }

    /// Takes note of an entry of a list; says whose it is.
    fn claim(&self, listing: Listing, server: usize, seen: &str, own: &str) -> usize {
        match listing {
            Listing::Resources => lock(&self.owners).learn(own, server),
            Listing::Templates => lock(&self.owners).learn_template(own, server),
            Listing::Tools | Listing::Prompts => {
                if Names::is_short(seen) && !seen.ends_with(own) {
                    let mut cut = lock(&self.cut);
                    if cut.len() >= MAX_CUT {
                        cut.clear();
                    }
                    cut.insert((listing.key(), seen.into()), own.into());
                }
                server
            }
        }
    }

    /// A server's own word for a name that was cut.
    fn uncut(&self, listing: Listing, name: &str) -> Option<String> {
        lock(&self.cut).get(&(listing.key(), name.into())).map(|own| own.to_string())
    }
}
