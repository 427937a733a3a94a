//! The sessions of one endpoint, from `initialize` to their end.
//!
//! Owns the table of sessions, the task that each has, and the sweep that ends idle ones. Talks to the sessions. It
//! never reads a request.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tracing::debug;
use uuid::Uuid;

use super::{
    call::in_session,
    session::{Reader, Session},
};
use crate::{
    config::Limits,
    peer::{Caller, Peer},
    scope::Scope,
    wire::{
        exchange::{Chunks, Events, KeepAlive, Next},
        http::rules,
        idle::{self, Clock},
    },
};

/// Events of finished streams are kept for this long at least, and twice as long at most.
const REPLAY_AGE: Duration = Duration::from_secs(5 * 60);

/// The table.
#[derive(Debug)]
pub struct Sessions {
    table: Mutex<HashMap<u128, Arc<Session>>>,
    limits: Arc<Limits>,
    pub(super) keep_alive: KeepAlive,
    /// Messages of one call that may wait for its client.
    pub(super) call_capacity: usize,
    scope: Scope,
    clock: Clock,
}

impl Sessions {
    /// An empty table, swept until the scope stops.
    pub fn start(limits: Arc<Limits>, keep_alive: KeepAlive, call_capacity: usize, scope: Scope) -> Arc<Sessions> {
        let clock = Clock::start();
        let sessions = Arc::new(Sessions {
            table: Mutex::default(),
            limits,
            keep_alive,
            call_capacity,
            scope: scope.clone(),
            clock,
        });
        scope.spawn(sessions.clone().sweep());
        sessions
    }

    /// Enters a new session. It ends if what is returned is dropped before [`Opening::keep`].
    pub fn open(self: &Arc<Sessions>, caller: Arc<Caller>, peer: Peer) -> Opening {
        let id = rules::fresh_session();
        // Only to tell the events of sessions apart: the id of the session is the secret.
        let base = Uuid::new_v4().as_fields().0;
        let session = Arc::new(Session::new(id, base, caller, peer, &self.limits));
        session.touch(self.clock.now());
        self.lock().insert(id, session.clone());
        self.scope.spawn(watch(session.clone(), self.clone()));
        Opening { session, sessions: self.clone(), kept: false }
    }

    /// The session with this id, which has traffic now.
    pub fn find(&self, id: u128) -> Option<Arc<Session>> {
        let session = self.lock().get(&id).cloned()?;
        session.touch(self.clock.now());
        Some(session)
    }

    /// Whether there is one with this id.
    pub fn knows(&self, id: u128) -> bool {
        self.lock().contains_key(&id)
    }

    /// Ends a session.
    pub fn remove(&self, session: &Session) {
        self.lock().remove(&session.id);
        session.end();
    }

    /// Ends every session. Calls that are still in flight are answered with an error.
    pub fn end(&self) {
        let all = std::mem::take(&mut *self.lock());
        all.into_values().for_each(|session| session.cut_off(self.scope.why()));
    }

    /// Ends when the scope stops. One timer for all sessions.
    async fn sweep(self: Arc<Sessions>) {
        let timeout = self.limits.session_timeout;
        let mut aged = Instant::now();
        let mut tick = idle::ticks(timeout);
        loop {
            tokio::select! {
                () = self.scope.stopped() => return,
                _ = tick.tick() => {}
            }
            let ageing = aged.elapsed() >= REPLAY_AGE;
            if ageing {
                aged = Instant::now();
            }
            let now = self.clock.now();
            let idle_since = self.clock.ago(timeout);
            for session in self.all() {
                if ageing {
                    session.age();
                }
                // Without keep-alives nothing shows that a client still reads; TCP will tell when it is gone.
                if self.keep_alive.every.is_zero() && session.is_read() {
                    session.touch(now);
                }
                if session.last_seen() < idle_since {
                    in_session(&session).in_scope(|| debug!("ended: no traffic for --session-timeout"));
                    self.remove(&session);
                }
            }
        }
    }

    fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Arc<Session>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of one session: reads what no client reads. Ends with the session.
async fn watch(session: Arc<Session>, sessions: Arc<Sessions>) {
    let mut over = std::pin::pin!(poll_fn(|cx| session.collect(cx)));
    let stopped = tokio::select! {
        () = &mut over => false,
        () = sessions.scope.stopped() => true,
    };
    if stopped {
        session.drain(sessions.scope.why());
        over.await;
    }
    sessions.remove(&session);
}

/// A session whose client does not know it yet.
#[derive(Debug)]
pub struct Opening {
    session: Arc<Session>,
    sessions: Arc<Sessions>,
    kept: bool,
}

impl Opening {
    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The client is told its id.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.kept {
            self.sessions.remove(&self.session);
        }
    }
}

/// A stream of a session as the source of a body. That the client reads it counts as traffic.
#[derive(Debug)]
pub struct SessionEvents {
    reader: Reader,
    clock: Clock,
}

impl SessionEvents {
    /// Reads with `reader`.
    pub fn new(reader: Reader, sessions: &Sessions) -> SessionEvents {
        SessionEvents { reader, clock: sessions.clock }
    }
}

impl Events for SessionEvents {
    fn poll_next(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Next> {
        self.reader.session().touch(self.clock.now());
        self.reader.poll(cx, out)
    }
}
