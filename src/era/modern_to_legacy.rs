//! Modern callers at a legacy server.

pub mod results;
pub mod seal;

use crate::{
    peer::{Caller, Outbox, Peer},
    scope::Scope,
};
use futures::future::BoxFuture;
use std::{sync::Arc, time::Duration};

/// Opens a legacy session.
pub type Open = Arc<dyn Fn(Arc<Caller>) -> BoxFuture<'static, Result<Peer, Unavailable>> + Send + Sync>;

/// No server.
#[derive(Debug)]
pub struct Unavailable {
    /// Why.
    pub message: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// Bounds.
#[derive(Debug, Clone, Default)]
pub struct Settings {}

/// Starts it.
pub fn open(_open: Open, _settings: Settings, _wrong: Arc<dyn Fn() + Send + Sync>, _scope: &Scope) -> Outbox {
    tokio::sync::mpsc::channel(1).0
}
