//! Servers that sessions share by whom they belong to and what they declare (`--pooled`): strangers never share a process.
//!
//! Owns the table of them: for each principal what modern exchanges share, and for each set of capabilities that it declared
//! in a handshake the one server of those sessions. Talks to [`One`] and to [`Children`]. It never moves a message, but for
//! those of a session that has not shaken hands yet.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle, time::Instant};
use tracing::debug;

use self::table::{Person, Table};
use super::{
    OpenError, Server,
    children::Children,
    one::{One, Use},
};
use crate::{
    config::{Limits, Sharing},
    era::modern_to_legacy::MAX_CAPABILITIES,
    json::{self, Object},
    message::{Frame, code},
    peer::{Caller, Outbox, Peer, Principal, Reply},
    protocol::method,
    scope::Scope,
    wire::remote::ConnectError,
};

mod table;

/// How long a server is kept that nobody has a session with, unless `--idle-timeout` says it. As long as those that are
/// kept for modern callers of an older server.
const KEPT: Duration = Duration::from_secs(300);

/// What came of a session.
type End = Result<(), ConnectError>;

/// The servers.
#[derive(Debug)]
pub(super) struct Pooled {
    server: Server,
    /// Servers of sessions at once. Processes have a bound of their own, which counts those of modern exchanges, too.
    most: usize,
    /// Principals at once. One whose server has just been let go counts until that has ended.
    people: usize,
    idle: Duration,
    scope: Scope,
    table: Mutex<Table>,
}

impl Pooled {
    /// Nothing is started yet.
    pub(super) fn new(server: Server, limits: &Limits, scope: &Scope) -> Arc<Pooled> {
        let (most, idle) = match &server {
            Server::Child(children) => (children.most(), children.idle_pooled(KEPT)),
            Server::Remote(_) | Server::Aggregate(_) | Server::Scripted(_) => (limits.max_sessions, KEPT),
        };
        let people = most.max(limits.max_sessions);
        let pooled = Arc::new(Pooled { server, most, people, idle, scope: scope.clone(), table: Mutex::default() });
        scope.spawn(sweep(Arc::downgrade(&pooled), scope.clone()));
        pooled
    }

    /// Works the server's end of a session. Which server that is, its `initialize` says: where that is not known yet it is
    /// waited for, and what is wrong then is its answer.
    pub(super) async fn session(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        peer: Peer,
        place: OwnedSemaphorePermit,
        first: Option<&Frame>,
    ) -> Result<JoinHandle<End>, OpenError> {
        match first.filter(|first| first.method() == method::INITIALIZE) {
            Some(first) => {
                self.seat(caller, declared(first)?).await?.take(caller, peer, place).await?;
                Ok(self.scope.spawn(async { Ok(()) }))
            }
            None => Ok(self.scope.spawn(shake_hands(self.clone(), caller.clone(), peer, place))),
        }
    }

    /// The way in for the modern exchanges of a principal.
    pub(super) async fn outbox(
        &self,
        root: &Arc<Children>,
        principal: Option<&Principal>,
    ) -> Result<Outbox, OpenError> {
        // The translation keeps its servers apart itself.
        if root.speaks_modern() != Some(false) {
            let (children, room) = (self.children_of(principal)?, || self.make_room());
            if let Some(children) = children
                && let Some(outbox) = children.direct(room).await?
            {
                return Ok(outbox);
            }
        }
        Ok(root.translated().await)
    }

    /// Lets all go.
    pub(super) async fn close(&self) {
        let all = std::mem::take(&mut *self.table());
        for person in all.into_people() {
            person.close().await;
        }
    }

    /// How many servers of sessions there are.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.table().servers()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place at a server that runs.
    async fn seat(&self, caller: &Caller, declared: Arc<str>) -> Result<Seat, OpenError> {
        let principal = caller.principal.as_ref();
        // A modern server is told with each request who asks: one is enough for all that its caller declares.
        if let Server::Child(root) = &self.server
            && root.is_modern_only()
            && let Some(children) = self.children_of(principal)?
            && children.direct(|| self.make_room()).await?.is_some()
        {
            return Ok(Seat::Modern(children));
        }
        let one = self.one_of(principal, declared)?;
        if one.usage() == Use::Empty {
            self.make_room();
        }
        one.with(|_| ()).await?;
        Ok(Seat::Legacy(one))
    }

    /// Where the processes of a principal come from, where there are any.
    fn children_of(&self, principal: Option<&Principal>) -> Result<Option<Arc<Children>>, OpenError> {
        let (person, let_go) = self.table().person(principal, self.people, || Person::new(&self.server))?;
        drop(let_go);
        Ok(match person {
            Server::Child(children) => Some(children),
            Server::Remote(_) | Server::Aggregate(_) | Server::Scripted(_) => None,
        })
    }

    fn one_of(&self, principal: Option<&Principal>, declared: Arc<str>) -> Result<Arc<One>, OpenError> {
        let mut table = self.table();
        let (server, others) = table.person(principal, self.people, || Person::new(&self.server))?;
        let one = || One::new(server, Sharing::Pooled, &self.scope);
        let found = table.one(principal, declared, self.most, one);
        drop(table);
        drop(others);
        found.map(|(one, let_go)| {
            drop(let_go);
            one
        })
    }

    /// Lets the server go that nobody has used for longest, where no other can be started.
    fn make_room(&self) {
        let mut let_go = Vec::new();
        let full = matches!(&self.server, Server::Child(children) if children.is_full());
        if full && self.table().evict(&mut let_go) {
            debug!("let a server go that nobody uses, since there is no place for another");
        }
    }
}

/// Where a session goes.
enum Seat {
    /// To the one modern server of its principal.
    Modern(Arc<Children>),
    /// To the server of those who declare the same.
    Legacy(Arc<One>),
}

impl Seat {
    async fn take(self, caller: &Arc<Caller>, peer: Peer, place: OwnedSemaphorePermit) -> Result<(), OpenError> {
        match self {
            Seat::Modern(children) => children.shared_session(peer, place).await,
            Seat::Legacy(one) => one.with(|hub| hub.join(caller.clone(), peer, place)).await,
        }
    }
}

/// Serves a session until its handshake says which server it gets. Ends with the session, or hands it over.
async fn shake_hands(pooled: Arc<Pooled>, caller: Arc<Caller>, mut peer: Peer, place: OwnedSemaphorePermit) -> End {
    while let Some(mut envelope) = peer.rx.recv().await {
        let Some(reply) = envelope.reply.take() else { continue };
        if envelope.frame.method() != method::INITIALIZE {
            refuse(reply, envelope.frame.method());
            continue;
        }
        let seat = match declared(&envelope.frame) {
            Ok(declared) => pooled.seat(&caller, declared).await,
            Err(error) => Err(error),
        };
        match seat {
            Ok(seat) => {
                envelope.reply = Some(reply);
                peer.rx.put_back(envelope);
                // If the server is gone again, the dropped peer answers, and ends the session.
                return seat.take(&caller, peer, place).await.or_else(|error| {
                    debug!("{error}");
                    Ok(())
                });
            }
            Err(error) => error.answer(reply),
        }
    }
    Ok(())
}

/// Answers what came before `initialize` (2025-11-25, Lifecycle, Initialization: pings may).
fn refuse(reply: Reply, method: &str) {
    if method == "ping" {
        return reply.answer(Frame::result("0", "{}"));
    }
    let text = format!("{method} came before initialize, which decides which server a session gets; send that first");
    reply.fail(code::INVALID_REQUEST, &text, None);
}

/// What the client declares that it can do, in one form for all spellings.
fn declared(initialize: &Frame) -> Result<Arc<str>, OpenError> {
    let params = initialize.body().and_then(Object::parse).unwrap_or_default();
    let text = json::member(&params, "capabilities").unwrap_or_default();
    match text.len() {
        0..=MAX_CAPABILITIES => Ok(json::canonical(text).into()),
        _ => Err(OpenError::Capabilities),
    }
}

/// Lets servers go that nobody uses. Ends with the registry, or with the bridge.
async fn sweep(pooled: Weak<Pooled>, scope: Scope) {
    let Some(idle) = pooled.upgrade().map(|pooled| pooled.idle) else { return };
    let mut tick = tokio::time::interval((idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(30)));
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = scope.stopped() => return,
        }
        let Some(pooled) = pooled.upgrade() else { return };
        let let_go = pooled.table().sweep(idle, Instant::now());
        if !let_go.is_empty() {
            debug!(count = let_go.len(), "ended servers that nobody used");
        }
    }
}
