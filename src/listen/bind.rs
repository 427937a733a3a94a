//! The sockets that are listened on.
//!
//! Owns binding, and the words for why a socket is not bound. Talks to the operating system. It never accepts a connection
//! by itself: the accept loop asks.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::net::{TcpListener, TcpStream};
use tracing::debug;

use super::stream::{Accept, Accepted};
#[cfg(unix)]
use super::{systemd, unix};
use crate::{
    config::{Listen, NetworkSpec},
    tls::server::Server,
};

/// Connections that the system holds until they are accepted. A thousand clients may come at once; the system lowers
/// this to its own limit.
pub(super) const BACKLOG: i32 = 4096;

/// A silent connection is probed after the first time, every second time, so often; then it is dead.
const TCP_KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// How long bytes may stay unacknowledged. Ends connections to clients that vanished, or that read nothing.
#[cfg(any(target_os = "linux", target_os = "android"))]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(120);

/// Where a socket is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address, with the port that the system picked, and whether TLS is spoken there.
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Whether it is `https`.
        tls: bool,
    },
    /// A path in the file system; one that starts with `@` is a name that only Linux knows.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp { address, tls: false } => write!(f, "http://{address}"),
            Place::Tcp { address, tls: true } => write!(f, "https://{address}"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
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
    /// A Unix socket.
    #[cfg(unix)]
    #[error(transparent)]
    Unix(#[from] unix::UnixError),
    /// A socket that the service manager passed on.
    #[cfg(unix)]
    #[error(transparent)]
    Inherited(#[from] systemd::InheritError),
}

/// One bound socket.
#[derive(Debug)]
pub(super) struct Bound {
    listener: Listener,
    place: Place,
    /// Removed with it.
    #[cfg(unix)]
    _file: Option<unix::File>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener, IpAddr, Option<Arc<Server>>),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Bound {
    /// Binds it, and does nothing with it yet.
    pub(super) fn new(listen: &Listen, network: &NetworkSpec) -> Result<Bound, BindError> {
        match listen {
            Listen::Tcp(address) => {
                let (host, port) = (address.ip(), address.port());
                let opened = tcp(*address).and_then(|listener| Bound::tcp(listener, network));
                opened.map_err(|source| match source.kind() {
                    io::ErrorKind::AddrInUse => BindError::Busy { host, port },
                    io::ErrorKind::PermissionDenied => BindError::Denied { port },
                    io::ErrorKind::AddrNotAvailable => BindError::NotLocal { host },
                    _ => BindError::Other { address: *address, source },
                })
            }
            #[cfg(unix)]
            Listen::Unix { path, mode } => {
                let (listener, file) = unix::bind(path, *mode)?;
                Ok(Bound { listener: Listener::Unix(listener), place: Place::Unix(path.clone()), _file: Some(file) })
            }
            #[cfg(unix)]
            Listen::Inherited { socket, beyond_loopback } => {
                let taken = systemd::open(socket, *beyond_loopback)?;
                match taken {
                    systemd::Taken::Tcp(listener) => {
                        Bound::tcp(listener, network).map_err(|error| systemd::InheritError::from(error).into())
                    }
                    systemd::Taken::Unix(listener, path) => {
                        Ok(Bound { listener: Listener::Unix(listener), place: Place::Unix(path), _file: None })
                    }
                }
            }
        }
    }

    fn tcp(listener: TcpListener, network: &NetworkSpec) -> io::Result<Bound> {
        let address = listener.local_addr()?;
        let tls = network.tls.clone();
        Ok(Bound {
            place: Place::Tcp { address, tls: tls.is_some() },
            listener: Listener::Tcp(listener, address.ip(), tls),
            #[cfg(unix)]
            _file: None,
        })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match &self.listener {
            Listener::Tcp(listener, bound, tls) => listener.poll_accept(cx).map_ok(|(stream, peer)| {
                if let Err(error) = tune(&stream) {
                    debug!("cannot set socket options: {error}");
                }
                Accepted { socket: Accept::Tcp(stream, peer.ip(), tls.clone()), bound: Some(*bound) }
            }),
            #[cfg(unix)]
            Listener::Unix(listener) => {
                let accepted = listener.poll_accept(cx);
                accepted.map_ok(|(stream, _)| Accepted { socket: Accept::Unix(stream), bound: None })
            }
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
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
    TcpListener::from_std(socket.into())
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
