//! Which server a caller talks to: the only place that knows about own, shared and pooled servers.
//!
//! Owns the limits on sessions and spawns, the back-off of a server that keeps crashing, and readiness. Talks to the
//! wires below. It never sees a transport of the client's side.

use std::{sync::Arc, time::Duration};

use crate::peer::{Caller, Peer};

/// Hands out servers.
#[derive(Debug)]
pub struct Registry {}

/// Why no server can be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `--max-sessions` are open.
    #[error("all {limit} sessions are in use; try again later, or raise --max-sessions")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// The server crashed too often; it is left alone for a while.
    #[error("the server keeps crashing ({last}); next start in {} s", .retry_after.as_secs())]
    BackingOff {
        /// Until the next start.
        retry_after: Duration,
        /// How it ended last.
        last: String,
    },
    /// The server cannot be started.
    #[error("{0}")]
    Start(String),
    /// The bridge is shutting down.
    #[error("the bridge is shutting down")]
    Draining,
}

impl Registry {
    /// A server for one session. The peer's end of `tx` reaches the server; `rx` gives what the server says outside of
    /// any call. Dropping the peer (and every [`crate::peer::Reply`]) ends the session's server.
    pub async fn open(&self, caller: &Arc<Caller>) -> Result<Peer, OpenError> {
        let _ = caller;
        Err(OpenError::Draining)
    }

    /// Whether a server can be had now, for `/readyz`; the text says why not.
    pub fn ready(&self) -> Result<(), String> {
        Err("not started".into())
    }
}
