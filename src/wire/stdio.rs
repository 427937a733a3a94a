//! The bridge's own stdin and stdout (accept): the bridge is a client's command.
//!
//! Owns the two streams. Talks to the client that started the bridge. It never writes anything but frames to stdout.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    message::{Frame, FrameError},
    peer::Peer,
    pipe::{Ended, FrameSource, LineSink, Lines},
    pump::{Rules, pump},
    scope::Scope,
};

/// A stream to read from.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;

/// A stream to write to.
pub type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// Serves one client on these streams until it closes its side and has its answers, or the partner is gone. When the
/// scope stops (see [`Rules::until`]), nothing more is asked, and what is in flight is still answered.
pub async fn serve(read: Input, write: Output, max_line: usize, peer: Peer, rules: Rules, scope: &Scope) -> Ended {
    let source = StdioSource { lines: Lines::new(read, max_line), failed: None, scope: scope.clone() };
    pump(source, LineSink::new(write), peer, rules).await
}

struct StdioSource {
    lines: Lines<Input>,
    failed: Option<io::Error>,
    scope: Scope,
}

impl FrameSource for StdioSource {
    async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        match self.lines.next().await {
            Ok(frame) => frame,
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    async fn end(&mut self) -> Ended {
        let message = match self.failed.take() {
            Some(error) => format!("the client's input cannot be read: {error}"),
            None if self.scope.is_stopped() => "asked to end".to_string(),
            None => "the client closed its input".to_string(),
        };
        Ended { message, data: None }
    }
}

/// This process's stdin. Where it is a pipe or a socket it is read without a thread in between: a hop costs more than
/// the rest of a call. Files and terminals take tokio's blocking form.
pub fn stdin() -> Input {
    #[cfg(unix)]
    if let Some(stream) = unix::input() {
        return stream;
    }
    Box::new(tokio::io::stdin())
}

/// This process's stdout, opened as [`stdin`] is.
pub fn stdout() -> Output {
    #[cfg(unix)]
    if let Some(stream) = unix::output() {
        return stream;
    }
    Box::new(tokio::io::stdout())
}

#[cfg(unix)]
mod unix {
    use super::{Input, Output};
    use std::os::fd::{AsFd, OwnedFd};
    use tokio::net::{UnixStream, unix::pipe};

    pub fn input() -> Option<Input> {
        let fd = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
        if let Some(socket) = socket(&fd) {
            return Some(Box::new(socket));
        }
        pipe::Receiver::from_owned_fd(fd).ok().map(|stream| Box::new(stream) as Input)
    }

    pub fn output() -> Option<Output> {
        let fd = std::io::stdout().as_fd().try_clone_to_owned().ok()?;
        if let Some(socket) = socket(&fd) {
            return Some(Box::new(socket));
        }
        pipe::Sender::from_owned_fd(fd).ok().map(|stream| Box::new(stream) as Output)
    }

    /// Node gives its children Unix sockets where others give pipes.
    fn socket(fd: &OwnedFd) -> Option<UnixStream> {
        let stream = std::os::unix::net::UnixStream::from(fd.try_clone().ok()?);
        // Fails for what is no Unix socket.
        stream.local_addr().ok()?;
        stream.set_nonblocking(true).ok()?;
        UnixStream::from_std(stream).ok()
    }
}
