//! The network front: a listening socket, and what stands between it and the wires.
//!
//! Owns binding, the accept loop, the connections and their limits, the guard on Host and Origin, and the health
//! routes. Talks to the HTTP wires, and through them to the registry. It never looks into a message.
//!
//! Paths are few and fixed, so a router of a framework would only add layers; and the accept loop has to be our own in
//! any case, for the limits that hold before a request is one.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use self::connection::{Came, Connections, Phase};
pub use self::{
    mount::{Mount, Offered, Table},
    route::Routes,
};
use crate::{
    config::{Limits, NetworkSpec},
    scope::Scope,
};

mod connection;
mod guard;
mod load;
mod mount;
mod route;

pub(crate) use route::home;

/// Connections that the system holds until they are accepted. A thousand clients may come at once; the system lowers
/// this to its own limit.
const BACKLOG: i32 = 4096;

/// A silent connection is probed after the first time, every second time, so often; then it is dead.
const TCP_KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// How long bytes may stay unacknowledged. Ends connections to clients that vanished, or that read nothing.
#[cfg(any(target_os = "linux", target_os = "android"))]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(120);

/// Connections at once that came while the bridge drains. Few: they ask for health, or answer a server's request.
const LATE_CONNECTIONS: usize = 64;

/// Pause after the system could not give a connection, as when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Where it is bound, with the port that the system picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// Why a socket is not bound. One line, with the flag to change.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("port {port} on {host} is in use by another program; choose another one with --port (0 picks a free one)")]
    Busy {
        /// The address.
        host: IpAddr,
        /// The port.
        port: u16,
    },
    /// Low ports are for administrators.
    #[error("port {port} may not be used without more rights; choose one from 1024 on with --port")]
    Denied {
        /// The port.
        port: u16,
    },
    /// Another machine has the address.
    #[error("{host} is no address of this machine; choose another one with --host")]
    NotLocal {
        /// The address.
        host: IpAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}; choose another address with --host and --port")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Binds the socket, and does nothing with it yet.
pub async fn bind(network: &NetworkSpec, _limits: &Limits) -> Result<Listening, BindError> {
    let (host, port) = (network.host, network.port);
    let address = SocketAddr::new(host, port);
    open(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Busy { host, port },
        io::ErrorKind::PermissionDenied => BindError::Denied { port },
        io::ErrorKind::AddrNotAvailable => BindError::NotLocal { host },
        _ => BindError::Other { address, source },
    })
}

fn open(address: SocketAddr) -> io::Result<Listening> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Else a restart fails for a minute. On Windows the same option would let another program take the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    Ok(Listening { listener, address })
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
        while let Some((stream, slot)) = accept(&listening.listener, slots).await {
            scope.spawn(connections.clone().serve(stream, watched.clone(), came, slot));
        }
    };
    tokio::select! {
        () = accepting(&slots, Came::InTime) => {}
        () = scope.stopped() => {}
    }
    phase.send_replace(Phase::Draining);
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
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    let mut failed = false;
    // Ends with a connection.
    let stream = loop {
        match listener.accept().await {
            Ok((stream, _)) => break stream,
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
    if let Err(error) = tune(&stream) {
        debug!("cannot set socket options: {error}");
    }
    Some((stream, slot))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE.0).with_interval(TCP_KEEPALIVE.1);
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"))]
    let keepalive = keepalive.with_retries(TCP_KEEPALIVE.2);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
    Ok(())
}
