//! The one server that several callers share: started when there is none, and found again while it lives.
//!
//! Owns the running [`Hub`]. Talks to whatever starts servers. It never decides who shares.

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::Mutex;

use super::{
    OpenError, Server,
    remotes::Remotes,
    shared::{Hub, Source},
};
use crate::{
    config::Sharing,
    peer::{Caller, PEER_CAPACITY, Peer},
    pump::Role,
    scope::Scope,
};

/// A shared server, or the place for one.
#[derive(Debug)]
pub(super) struct One {
    server: Server,
    stateless: bool,
    scope: Scope,
    hub: Mutex<Option<Hub>>,
}

/// Who would miss a shared server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// There is a session, or somebody is about to open one.
    Busy,
    /// It runs, and nobody has a session.
    Idle,
    /// Nothing runs, and nobody has a session.
    Empty,
}

impl One {
    /// Nothing is started yet.
    pub(super) fn new(server: Server, sharing: Sharing, scope: &Scope) -> One {
        One { server, stateless: sharing == Sharing::Stateless, scope: scope.clone(), hub: Mutex::default() }
    }

    /// Works with the living hub; starts one when there is none.
    pub(super) async fn with<T>(&self, work: impl FnOnce(&Hub) -> T) -> Result<T, OpenError> {
        // Held across the start on purpose: whoever comes second waits for the one server that all share.
        let mut slot = self.hub.lock().await;
        if slot.as_ref().is_none_or(Hub::is_gone) {
            let (back, source) = match self.source() {
                Ok(source) => ((source.open)().await?, Some(source)),
                Err(remotes) => {
                    let (ours, theirs) = Peer::pair(PEER_CAPACITY);
                    remotes.shared_session(ours, !self.stateless);
                    (theirs, None) // It sees to its own connection.
                }
            };
            let name = self.server.name();
            let hub = match self.stateless {
                true => Hub::stateless(name, back, source, &self.scope).await.map_err(OpenError::Handshake)?,
                false => Hub::sessions(name, back, source, &self.scope),
            };
            *slot = Some(hub);
        }
        if let Some(hub) = &*slot {
            hub.wake().await?;
        }
        slot.as_ref().map(work).ok_or_else(|| self.scope.why().into())
    }

    /// Who uses it now.
    pub(super) fn usage(&self) -> Use {
        let Ok(hub) = self.hub.try_lock() else { return Use::Busy };
        match &*hub {
            Some(hub) if hub.has_members() => Use::Busy,
            Some(hub) if hub.is_up() => Use::Idle,
            Some(_) | None => Use::Empty,
        }
    }

    /// Lets go of the server.
    pub(super) async fn close(&self) {
        *self.hub.lock().await = None;
    }

    /// Where processes that callers share come from; a remote server has none.
    fn source(&self) -> Result<Source, &Arc<Remotes>> {
        match &self.server {
            Server::Scripted(server) => {
                let server = server.clone();
                let open = move || std::future::ready(Ok(server(&Caller::legacy(None)))).boxed();
                Ok(Source { open: Arc::new(open), lasts: Arc::new(|| true), idle: None })
            }
            Server::Child(children) => {
                let role = Role::ConnectShared { sessions: !self.stateless };
                let (starter, verdict) = (children.clone(), children.clone());
                let open = move || {
                    let children = starter.clone();
                    async move {
                        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
                        drop(children.session(ours, role, None).await?);
                        Ok(theirs)
                    }
                    .boxed()
                };
                // Sessions that were translated for a server without any end with it.
                let lasts = move || !verdict.is_modern_only();
                Ok(Source { open: Arc::new(open), lasts: Arc::new(lasts), idle: children.idle() })
            }
            Server::Aggregate(servers) => {
                let (servers, scope) = (servers.clone(), self.scope.clone());
                let open = move || {
                    let (ours, theirs) = Peer::pair(PEER_CAPACITY);
                    scope.spawn(servers.session(ours));
                    std::future::ready(Ok(theirs)).boxed()
                };
                Ok(Source { open: Arc::new(open), lasts: Arc::new(|| true), idle: None })
            }
            Server::Remote(remotes) => Err(remotes),
        }
    }
}
