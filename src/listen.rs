//! The network front: listening sockets, and what stands between them and the wires.
//!
//! Owns the sockets (TCP, with TLS or without, Unix, or passed on by a service manager), the accept loop, the connections
//! and their limits, the guard on Host and Origin, and the health routes. Talks to the HTTP wires, and through them to the
//! registry. It never looks into a message.
//!
//! Paths are few and fixed, so a router of a framework would only add layers; and the accept loop has to be our own in
//! any case, for the limits that hold before a request is one.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use self::{
    bind::Bound,
    connection::{Came, Connections, Phase},
    stream::Accepted,
};
pub use self::{
    bind::{BindError, Place},
    mount::{Mount, Offered, Table},
    route::Routes,
};
use crate::{
    config::{Limits, NetworkSpec},
    scope::Scope,
};

mod bind;
mod client;
mod connection;
pub mod door;
mod guard;
mod load;
mod mount;
mod rate;
mod ready;
mod route;
mod stream;
#[cfg(unix)]
pub mod systemd;
#[cfg(unix)]
mod unix;
mod wakes;

pub(crate) use route::home;

/// Connections at once that came while the bridge drains. Few: they ask for health, or answer a server's request.
const LATE_CONNECTIONS: usize = 64;

/// Pause after the system could not give a connection, as when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bound sockets. Dropped, they are closed, and their files are removed.
#[derive(Debug)]
pub struct Listening {
    /// Each with its turn, so that a flood on one does not keep the others waiting.
    sockets: Vec<Bound>,
    next: AtomicUsize,
}

impl Listening {
    /// Where they are bound.
    pub fn places(&self) -> Vec<Place> {
        self.sockets.iter().map(|socket| socket.place().clone()).collect()
    }

    async fn accept(&self) -> io::Result<Accepted> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.sockets.len().max(1);
        poll_fn(|cx| {
            let (before, from) = self.sockets.split_at(first);
            let mut polled = from.iter().chain(before).map(|socket| socket.poll_accept(cx));
            polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
        .await
    }
}

/// Binds the sockets, and does nothing with them yet.
pub fn bind(network: &NetworkSpec) -> Result<Listening, BindError> {
    let sockets = network.listen.iter().map(|listen| Bound::new(listen, network)).collect::<Result<_, _>>()?;
    Ok(Listening { sockets, next: AtomicUsize::new(0) })
}

/// Serves until the scope stops, then until what is in flight is done or [`Limits::grace`] is over. Sessions have ended
/// when it returns.
///
/// Connections are accepted to the end: a call in flight may need its client's answer, which may come on a new one, and
/// a probe is to see that the bridge drains.
pub async fn serve(listening: Listening, routes: Arc<Routes>, limits: Arc<Limits>, scope: Scope) {
    let connections = Arc::new(Connections::new(routes.clone(), &limits, scope.clone()));
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let (phase, watched) = watch::channel(Phase::Serving);
    let accepting = async |slots: &Arc<Semaphore>, came| {
        // Ends when it is dropped.
        while let Some((accepted, slot)) = accept(&listening, slots).await {
            scope.spawn(connections.clone().serve(accepted, watched.clone(), came, slot));
        }
    };
    tokio::select! {
        () = accepting(&slots, Came::InTime) => {}
        () = scope.stopped() => {}
    }
    phase.send_replace(Phase::Draining);
    #[cfg(unix)]
    systemd::stopping();
    let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    // Late connections are counted apart: a client that comes again and again must not put off the end.
    let late = Arc::new(Semaphore::new(LATE_CONNECTIONS));
    let drained = tokio::select! {
        () = accepting(&late, Came::Late) => true,
        drained = timeout(limits.grace, slots.acquire_many(all)) => drained.is_ok(),
    };
    if !drained {
        warn!("some calls were still in flight after --grace, and are cut off");
    }
    drop(listening);
    phase.send_replace(Phase::Over);
    routes.end();
}

/// The next connection and its place; `None` when there are no more places, ever. The place comes first: beyond the
/// limit, clients wait in the backlog.
async fn accept(listening: &Listening, slots: &Arc<Semaphore>) -> Option<(Accepted, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    let mut failed = false;
    // Ends with a connection.
    let accepted = loop {
        match listening.accept().await {
            Ok(accepted) => break accepted,
            Err(error) if is_of_one_connection(&error) => debug!("a connection ended before it was accepted"),
            Err(error) => {
                if !failed {
                    warn!("cannot accept connections: {error}; raise the limit of open files (ulimit -n)");
                }
                failed = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    };
    Some((accepted, slot))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
