//! One legacy session at a modern server.

use crate::{
    peer::{Outbox, Peer},
    scope::Scope,
};

/// Bounds.
#[derive(Debug, Clone, Default)]
pub struct Settings {}

/// Serves one legacy session until its partner leaves.
pub async fn serve(_peer: Peer, _server: Outbox, _settings: Settings, _scope: &Scope) {}
