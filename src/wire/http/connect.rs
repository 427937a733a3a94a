//! Streamable HTTP as a client (2025-03-26 to 2025-11-25, Transports, Streamable HTTP). The modern era has its own wire,
//! in the module `modern`, and shares the table of calls and the reading of responses.
//!
//! Owns the upstream session: one POST for each message, the stream of unsolicited messages, the session's id and
//! version, resumption, and the one silent re-initialization when the server has forgotten the session. Talks to the
//! server through [`crate::wire::remote`]. It keeps no table of answers: the task of a POST holds the caller's reply. It
//! never sends a call again that the server may have seen.
//!
//! The loop in `run` reads the partner's envelopes in order. A request gets a task of its own. A notification or an
//! answer of the client's is awaited until the server has taken it, so that what was said in order arrives in order.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use tokio::{
    sync::{
        Semaphore,
        mpsc::{Sender, WeakSender},
        watch,
    },
    time::timeout,
};
use tracing::debug;

use self::{
    calls::Table,
    reading::Reader,
    session::{Phase, Session},
};
use crate::{
    message::Kind,
    peer::Envelope,
    scope::Scope,
    wire::{
        handshake::Handshake,
        remote::{ConnectError, Desk, Refusal, Way},
    },
};

mod calls;
mod exchange;
mod listen;
pub(crate) mod modern;
mod one_way;
mod opening;
mod reading;
mod session;
#[cfg(test)]
mod tests;

/// How long a later message waits for the server to take an earlier notification or answer. Only as long as a server in
/// good health needs: one that holds such a POST open must not hold up the answers that it waits for.
const ORDER_PATIENCE: Duration = Duration::from_secs(5);

/// POSTs of notifications and answers at once. More than one only where the server is slow to take them.
const MAX_ONE_WAY: u32 = 64;

/// For the DELETE that ends the session.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);

/// How the wire ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The partner left.
    Done,
    /// `initialize` was refused in a way that may mean another transport or another era.
    Refused(Refusal),
}

/// Works the desk until the partner leaves, or until `initialize` fails. `modern_allowed`: whether the caller wants to know
/// of a refusal that a modern server may have given.
pub(crate) async fn run(way: &Arc<Way>, desk: &mut Desk, modern_allowed: bool) -> Result<End, ConnectError> {
    let link = Arc::new(Link::new(way, desk, modern_allowed));
    let scope = link.scope.clone();
    let end = tokio::select! {
        end = link.serve(desk) => end,
        () = scope.stopped() => Ok(End::Done),
    };
    // What comes after a refusal has all the patience that was asked for.
    if !matches!(end, Ok(End::Refused(_))) {
        let _ = way.hurry.set(());
    }
    link.close().await;
    end
}

/// One upstream session and all that is in flight in it.
#[derive(Debug)]
struct Link {
    way: Arc<Way>,
    modern_allowed: bool,
    /// Stops what belongs to this link only.
    scope: Scope,
    tx: Sender<Envelope>,
    home: WeakSender<Envelope>,
    phase: watch::Sender<Phase>,
    memory: Mutex<Handshake>,
    listener: Mutex<Option<Scope>>,
    calls: Arc<Table>,
    one_way: Arc<Semaphore>,
    reader: Reader,
}

/// The poison of a lock means that a task panicked elsewhere; the tables stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    fn new(way: &Arc<Way>, desk: &Desk, modern_allowed: bool) -> Link {
        let calls = Table::new(way.limits.max_in_flight);
        Link {
            scope: way.scope.child(),
            tx: desk.tx.clone(),
            home: desk.home.clone(),
            phase: watch::Sender::new(Phase::Open(Arc::new(Session::none(way.web.url())))),
            memory: Mutex::default(),
            listener: Mutex::default(),
            reader: Reader::new(way, &calls),
            calls,
            one_way: Arc::new(Semaphore::new(MAX_ONE_WAY as usize)),
            modern_allowed,
            way: way.clone(),
        }
    }

    async fn serve(self: &Arc<Self>, desk: &mut Desk) -> Result<End, ConnectError> {
        // Ends when the partner has nothing more to say, or with an `initialize` that fails.
        while let Some(envelope) = desk.next().await {
            match envelope.frame.kind() {
                Kind::Request(_) if envelope.frame.method() == "initialize" => {
                    if let Some(refusal) = self.initialize(envelope, desk).await? {
                        return Ok(End::Refused(refusal));
                    }
                }
                Kind::Request(_) => self.call(envelope),
                Kind::Notification if envelope.frame.cancelled().is_some() => self.cancel(envelope).await,
                _ => self.tell_in_order(envelope).await,
            }
        }
        Ok(End::Done)
    }

    // ---- the end

    /// Lets what is in flight finish, within the grace period, and ends the session.
    async fn close(&self) {
        finish(&self.calls, &self.one_way, self.way.limits.grace, &self.scope).await;
        let session = match &*self.phase.borrow() {
            Phase::Open(session) if session.id.is_some() => session.clone(),
            _ => return,
        };
        let started = Arc::default();
        let delete = self.send(&session, Method::DELETE, None, None, &started);
        match timeout(DELETE_TIMEOUT, delete).await {
            Ok(Ok(incoming)) => debug!("ended the session: HTTP {}", incoming.response.status().as_u16()),
            Ok(Err(fault)) => debug!("could not end the session: {fault}"),
            Err(_) => debug!("could not end the session within {} s", DELETE_TIMEOUT.as_secs()),
        }
    }
}

/// Lets what is in flight end, within the grace period, and stops the rest.
async fn finish(calls: &Table, one_way: &Semaphore, grace: Duration, scope: &Scope) {
    let finished = async {
        calls.empty().await;
        let _rest = one_way.acquire_many(MAX_ONE_WAY).await;
    };
    tokio::select! {
        _ = timeout(grace, finished) => {}
        () = scope.stopped() => {}
    }
    scope.stop();
}
