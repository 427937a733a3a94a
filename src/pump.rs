//! The shared two-way message pump: moves frames between a pipe and a [`Peer`].

use std::{sync::Arc, time::Duration};

use crate::{
    peer::{Caller, Peer},
    pipe::{FrameSink, FrameSource},
    scope::Scope,
};

/// How one pipe is pumped.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Shown in log lines.
    pub name: Arc<str>,
    /// Who speaks at the far end of the pipe.
    pub speaker: Arc<Caller>,
    /// The role of the bridge on this pipe.
    pub role: Role,
    /// Calls in flight each way; one more is answered with an error.
    pub max_in_flight: usize,
    /// How long a request may stay unanswered by the far end.
    pub request_timeout: Option<Duration>,
    /// How long answers are awaited after the far end closed its sending side.
    pub linger: Duration,
}

/// The role of the bridge on a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We are the server: garbage is answered with a JSON-RPC error.
    Accept,
    /// We are the client: garbage is logged and counted, never answered, or two programs would answer each other's
    /// errors for ever.
    Connect,
}

/// Pumps until both directions are done.
pub async fn pump<R: FrameSource, W: FrameSink>(source: R, sink: W, peer: Peer, rules: Rules, scope: &Scope) {
    let _ = (source, sink, peer, rules, scope);
}
