//! The service manager: sockets that it passes on, and what it is told.
//!
//! Owns the protocol of systemd's `sd_listen_fds(3)` and `sd_notify(3)`, which others speak, too. Talks to the environment
//! and to the socket that it names. It never waits for the manager, and does without one.

use std::{io, net::SocketAddr, os::fd::OwnedFd, path::PathBuf, sync::Arc};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use socket2::Socket;
use tokio::net::{TcpListener, UnixListener};
use tracing::{debug, warn};

/// The first descriptor that is passed on; `SD_LISTEN_FDS_START`.
const FIRST: usize = 3;

/// Why sockets that were passed on are of no use. One line, with what to change in the unit.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// Datagrams, a pipe, a device, nothing at all.
    #[error(
        "descriptor {0}, passed on by LISTEN_FDS, is no TCP or Unix stream socket; use ListenStream= in the .socket unit"
    )]
    Kind(usize),
    /// A connection instead of a socket that gives connections.
    #[error("descriptor {0}, passed on by LISTEN_FDS, is a connection; use Accept=no in the .socket unit")]
    Connection(usize),
    /// Other machines reach it, and everybody could call.
    #[error(
        "the socket passed on by LISTEN_FDS lets other machines call the server at {0}; add --bearer-token-file FILE to \
         ask for a token, or --allow-unauthenticated to let everyone in"
    )]
    Open(SocketAddr),
    /// Anything else.
    #[error("cannot use a socket passed on by LISTEN_FDS: {0}; look at the .socket unit")]
    Other(#[from] io::Error),
}

/// A socket that was passed on.
pub(super) enum Taken {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Takes the sockets that were passed on to this process. To be called once, before there is a thread or a child: the
/// variables go, so that no child takes them for its own, and no child inherits the sockets.
pub fn inherited() -> Result<Vec<Arc<Socket>>, InheritError> {
    let mut passed = ListenFd::from_env();
    (0..passed.len()).map(|index| take(&mut passed, index).map(Arc::new)).collect()
}

fn take(passed: &mut ListenFd, index: usize) -> Result<Socket, InheritError> {
    let number = FIRST + index;
    // Each refuses what is not its own kind, and leaves it.
    let taken = match passed.take_tcp_listener(index) {
        Ok(taken) => taken.map(OwnedFd::from),
        Err(_) => passed.take_unix_listener(index).ok().flatten().map(OwnedFd::from),
    };
    let socket = Socket::from(taken.ok_or(InheritError::Kind(number))?);
    match socket.is_listener()? {
        true => Ok(socket),
        false => Err(InheritError::Connection(number)),
    }
}

/// Makes a socket that was passed on ready to accept.
pub(super) fn open(socket: &Socket, beyond_loopback: bool) -> Result<Taken, InheritError> {
    let address = socket.local_addr()?;
    let own = socket.try_clone()?;
    own.set_nonblocking(true)?;
    let Some(address) = address.as_socket() else {
        let path = match (address.as_pathname(), address.as_abstract_namespace()) {
            (Some(path), _) => path.into(),
            (None, Some(name)) => PathBuf::from(format!("@{}", String::from_utf8_lossy(name))),
            (None, None) => PathBuf::from("@"),
        };
        return Ok(Taken::Unix(UnixListener::from_std(own.into())?, path));
    };
    if !beyond_loopback && !address.ip().to_canonical().is_loopback() {
        return Err(InheritError::Open(address));
    }
    Ok(Taken::Tcp(TcpListener::from_std(own.into())?))
}

/// Says that the sockets are served.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the end has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that the configuration is read again (`Type=notify-reload`); [`reloaded`] has to follow.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!("the system has no clock for the service manager: {error}"),
    }
}

/// Says that the configuration was read, and that the bridge serves on.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// Does nothing where no manager waits for it.
fn tell(states: &[NotifyState<'_>]) {
    match sd_notify::notify(states) {
        Ok(()) => debug!("told the service manager, if there is one: {states:?}"),
        Err(error) => warn!("cannot tell the service manager: {error}; look at NOTIFY_SOCKET"),
    }
}
