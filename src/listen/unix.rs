//! A Unix socket in the file system.
//!
//! Owns its file: who may connect, what stands there already, and its removal at the end. Talks to the file system. It
//! never replaces a socket that somebody listens on, nor anything that is no socket.

use std::{
    fs::{self, Metadata, Permissions},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;
use tracing::warn;

use super::bind::BACKLOG;

/// Why a Unix socket is not bound. One line, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum UnixError {
    /// A program is at the other end.
    #[error("another program listens on --unix {0}; stop it, or choose another path")]
    Live(PathBuf),
    /// A file, a directory, a link.
    #[error("--unix {0} is there already and is no socket; remove it, or choose another path")]
    Taken(PathBuf),
    /// Nothing to put it into.
    #[error("--unix {0}: its directory is not there; make it with mkdir -p (in a systemd unit: RuntimeDirectory=)")]
    NoDirectory(PathBuf),
    /// The system has a fixed length for it.
    #[error("--unix {0} is longer than the system takes (about 100 bytes); choose a shorter path")]
    TooLong(PathBuf),
    /// Not our directory, or not our socket.
    #[error("--unix {0}: permission denied; choose a directory that this user may write to")]
    Denied(PathBuf),
    /// Anything else.
    #[error("cannot listen on --unix {path}: {source}; choose another path")]
    Other {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The file of a socket. Dropped, it is gone, unless another socket has taken its place.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl Drop for File {
    fn drop(&mut self) {
        let still_ours = fs::symlink_metadata(&self.path).ok().map(|data| identity(&data)) == self.identity;
        if self.identity.is_some()
            && still_ours
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!("cannot remove {}: {error}; the next start replaces it", self.path.display());
        }
    }
}

fn identity(data: &Metadata) -> (u64, u64) {
    (data.dev(), data.ino())
}

/// Binds the socket at `path`, with `mode` as the mode of its file.
pub(super) fn bind(path: &Path, mode: u32) -> Result<(UnixListener, File), UnixError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied => UnixError::Denied(path.into()),
        io::ErrorKind::NotFound => UnixError::NoDirectory(path.into()),
        io::ErrorKind::AddrInUse => UnixError::Live(path.into()),
        _ => UnixError::Other { path: path.into(), source },
    };
    let address = SockAddr::unix(path).map_err(|_| UnixError::TooLong(path.into()))?;
    check_directory(path)?;
    clear(path, &address)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.bind(&address).map_err(failed)?;
    let identity = fs::symlink_metadata(path).ok().map(|data| identity(&data));
    let file = File { path: path.into(), identity };
    // Nobody can connect before `listen`, so there is no time with another mode.
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    let listening = socket.listen(BACKLOG).and_then(|()| socket.set_nonblocking(true));
    let listener = listening.and_then(|()| UnixListener::from_std(socket.into())).map_err(failed)?;
    Ok((listener, file))
}

fn check_directory(path: &Path) -> Result<(), UnixError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let data = fs::metadata(parent).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => UnixError::Denied(path.into()),
        _ => UnixError::NoDirectory(path.into()),
    })?;
    if !data.is_dir() {
        return Err(UnixError::NoDirectory(path.into()));
    }
    if data.mode() & 0o1002 == 0o002 {
        warn!(
            "every user may put another socket in the place of --unix {0}; choose a directory of this user's own, or \
             chmod +t {1}",
            path.display(),
            parent.display()
        );
    }
    Ok(())
}

/// Removes the socket of a program that is gone. One that is being started, between its `bind` and its `listen`, looks the
/// same: two bridges that start on one path within the same microseconds may both think that they have it.
fn clear(path: &Path, address: &SockAddr) -> Result<(), UnixError> {
    let other = |source: io::Error| UnixError::Other { path: path.into(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(UnixError::Denied(path.into())),
        Err(error) => return Err(other(error)),
    };
    if !found.file_type().is_socket() {
        return Err(UnixError::Taken(path.into()));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(other)?;
    // A backlog that is full would hold up a connection that waits, for ever.
    probe.set_nonblocking(true).map_err(other)?;
    match probe.connect(address).map_err(|error| error.kind()) {
        Err(io::ErrorKind::ConnectionRefused) => {}
        Err(io::ErrorKind::NotFound) => return Ok(()),
        Err(io::ErrorKind::PermissionDenied) => return Err(UnixError::Denied(path.into())),
        _ => return Err(UnixError::Live(path.into())),
    }
    // Still the one that refused.
    if fs::symlink_metadata(path).is_ok_and(|now| identity(&now) == identity(&found)) {
        fs::remove_file(path).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => UnixError::Denied(path.into()),
            _ => other(error),
        })?;
    }
    Ok(())
}
