//! Who has which server.
//!
//! Owns the table, and the rules by which an entry is made, kept and let go. It starts and ends nothing itself: what it lets
//! go ends when its caller drops it, after the lock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::super::{
    OpenError, Server,
    children::Children,
    one::{One, Use},
};
use crate::peer::Principal;

/// A principal, or all callers where the door is open.
type Who = Option<Principal>;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Table {
    people: HashMap<Who, Person>,
}

/// What one principal has.
#[derive(Debug)]
pub(super) struct Person {
    /// The server of everybody, but for what modern exchanges share.
    server: Server,
    groups: HashMap<Arc<str>, Group>,
}

#[derive(Debug)]
struct Group {
    one: Arc<One>,
    used: Instant,
}

/// What is to be dropped after the lock.
pub(super) type LetGo = Vec<Arc<One>>;

impl Table {
    /// The server of a principal. There are at most `most` of them.
    pub(super) fn person(
        &mut self,
        who: Option<&Principal>,
        most: usize,
        make: impl FnOnce() -> Person,
    ) -> Result<(Server, LetGo), OpenError> {
        let who = who.cloned();
        let mut let_go = Vec::new();
        if !self.people.contains_key(&who) && self.people.len() >= most {
            self.empty(&mut let_go);
            self.people.retain(|_, person| !person.is_nobody());
            if self.people.len() >= most {
                return Err(OpenError::Crowded { limit: most });
            }
        }
        Ok((self.people.entry(who).or_insert_with(make).server.clone(), let_go))
    }

    /// The server of a principal's sessions that declared this. There are at most `most` of them.
    pub(super) fn one(
        &mut self,
        who: Option<&Principal>,
        declared: Arc<str>,
        most: usize,
        make: impl FnOnce() -> One,
    ) -> Result<(Arc<One>, LetGo), OpenError> {
        let (who, used) = (who.cloned(), Instant::now());
        let known = self.people.get_mut(&who).and_then(|person| person.groups.get_mut(&declared));
        if let Some(known) = known {
            known.used = used;
            return Ok((known.one.clone(), Vec::new()));
        }
        let mut let_go = Vec::new();
        if self.servers() >= most {
            self.empty(&mut let_go);
            while self.servers() >= most {
                if !self.evict(&mut let_go) {
                    return Err(OpenError::Crowded { limit: most });
                }
            }
        }
        let Some(person) = self.people.get_mut(&who) else { return Err(OpenError::Crowded { limit: most }) };
        let one = Arc::new(make());
        person.groups.insert(declared, Group { one: one.clone(), used });
        Ok((one, let_go))
    }

    /// Takes out what nobody has used for so long, and what is nothing any more.
    pub(super) fn sweep(&mut self, idle: Duration, now: Instant) -> LetGo {
        let is_due = |used: Instant| now.saturating_duration_since(used) >= idle;
        let mut let_go = Vec::new();
        self.empty(&mut let_go);
        for person in self.people.values_mut() {
            for group in person.groups.values_mut().filter(|group| group.usage() == Use::Busy) {
                group.used = now;
            }
            let due = person.groups.extract_if(|_, group| group.usage() == Use::Idle && is_due(group.used));
            let_go.extend(due.map(|(_, group)| group.one));
            if let Some(children) = person.children() {
                children.rest(idle);
            }
        }
        self.people.retain(|_, person| !person.is_nobody());
        let_go
    }

    /// Takes out the server that nobody has used for longest. Says whether there was one.
    pub(super) fn evict(&mut self, let_go: &mut LetGo) -> bool {
        let Some((who, declared)) = self.idlest() else { return false };
        let Some(person) = self.people.get_mut(&who) else { return false };
        match declared {
            Some(declared) => {
                let group = person.groups.remove(&declared);
                let_go.extend(group.map(|group| group.one));
                true
            }
            None => person.children().is_some_and(|children| children.rest(Duration::ZERO)),
        }
    }

    /// The server that nobody has used for longest: of sessions that declared this, or of modern exchanges.
    fn idlest(&self) -> Option<(Who, Option<Arc<str>>)> {
        let group = |who: &Who, declared: &Arc<str>, group: &Group| {
            (group.usage() == Use::Idle).then(|| (group.used, who.clone(), Some(declared.clone())))
        };
        let groups = self.people.iter().flat_map(|(who, person)| {
            person.groups.iter().filter_map(move |(declared, one)| group(who, declared, one))
        });
        let direct = self.people.iter().filter_map(|(who, person)| {
            let since = person.children()?.idle_since()?;
            Some((since, who.clone(), None))
        });
        let (_, who, declared) = groups.chain(direct).min_by_key(|(used, ..)| *used)?;
        Some((who, declared))
    }

    pub(super) fn into_people(self) -> impl Iterator<Item = Person> {
        self.people.into_values()
    }

    /// Takes out places for servers that hold none.
    fn empty(&mut self, let_go: &mut LetGo) {
        for person in self.people.values_mut() {
            let empty = person.groups.extract_if(|_, group| group.usage() == Use::Empty);
            let_go.extend(empty.map(|(_, group)| group.one));
        }
    }

    /// Of sessions.
    pub(super) fn servers(&self) -> usize {
        self.people.values().map(|person| person.groups.len()).sum()
    }
}

impl Person {
    pub(super) fn new(server: &Server) -> Person {
        let server = match server {
            Server::Child(children) => Server::Child(children.beside()),
            other => other.clone(),
        };
        Person { server, groups: HashMap::new() }
    }

    /// Ends what runs for it.
    pub(super) async fn close(self) {
        for group in self.groups.values() {
            group.one.close().await;
        }
        if let Some(children) = self.children() {
            children.let_go().await;
        }
    }

    fn children(&self) -> Option<&Arc<Children>> {
        match &self.server {
            Server::Child(children) => Some(children),
            Server::Remote(_) | Server::Aggregate(_) | Server::Scripted(_) => None,
        }
    }

    /// Whether it has nothing, and nobody is about to change that.
    fn is_nobody(&self) -> bool {
        let in_hand = |children: &Arc<Children>| Arc::strong_count(children) > 1 || !children.is_empty();
        self.groups.is_empty() && !self.children().is_some_and(in_hand)
    }
}

impl Group {
    fn usage(&self) -> Use {
        // Whoever holds it is about to open a session.
        if Arc::strong_count(&self.one) > 1 { Use::Busy } else { self.one.usage() }
    }
}
