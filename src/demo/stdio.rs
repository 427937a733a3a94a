//! Opens this process's stdin and stdout for [`super::run`]. Never touches stderr.

use tokio::io::{AsyncRead, AsyncWrite};

pub(super) type Input = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// Pipes are read and written without a thread in between; files, terminals and sockets through tokio's blocking form.
/// Must be called inside a runtime.
pub(super) fn open() -> (Input, Output) {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        use tokio::net::unix::pipe::{Receiver, Sender};
        let read = std::io::stdin().as_fd().try_clone_to_owned().and_then(Receiver::from_owned_fd);
        let write = std::io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd);
        (
            read.map_or_else(|_| Box::new(tokio::io::stdin()) as Input, |pipe| Box::new(pipe)),
            write.map_or_else(|_| Box::new(tokio::io::stdout()) as Output, |pipe| Box::new(pipe)),
        )
    }
    #[cfg(not(unix))]
    (Box::new(tokio::io::stdin()), Box::new(tokio::io::stdout()))
}
