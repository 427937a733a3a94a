//! Servers of the modern era, and the pool of legacy ones for modern callers.
//!
//! Owns how a server is asked in the modern era, the sessions that are translated for one, and the end of one that nobody
//! uses. Talks to [`super::start`] and to the translations. It never moves a message.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures::FutureExt;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tracing::{debug, info, warn};

use super::{
    super::{
        OpenError,
        modern::{self, Direct},
        outcome,
    },
    Children, DISCOVER_PATIENCE, ended,
    probe::{self, Beside, SILENCE, Verdict},
    start::Started,
};
use crate::{
    era::{legacy_to_modern, modern_to_legacy},
    message::Frame,
    peer::{Caller, Era, Outbox, PEER_CAPACITY, Peer},
    protocol::discover,
    pump::{Role, Rules},
    scope::Scope,
};

impl Children {
    /// The way in for modern exchanges. What has to be started for it goes on when the caller leaves: the next one comes
    /// for it.
    pub async fn outbox(self: &Arc<Self>) -> Result<Outbox, OpenError> {
        if let Some(outbox) = self.modern.ready(&self.eras) {
            return Ok(outbox);
        }
        let this = self.clone();
        let starting = self
            .scope
            .spawn(async move { this.modern.outbox(&this.eras, || this.find_modern(), || this.translation()).await });
        outcome(starting.await)
    }

    /// The way to a server that speaks the modern era, started if there is none; `None` where it does not speak that. `room`
    /// is called before a start.
    pub async fn direct(self: &Arc<Self>, room: impl FnOnce()) -> Result<Option<Outbox>, OpenError> {
        if let Some(outbox) = self.modern.ready(&self.eras) {
            return Ok(Some(outbox));
        }
        room();
        let this = self.clone();
        let starting = self.scope.spawn(async move { this.modern.direct(&this.eras, || this.find_modern()).await });
        outcome(starting.await)
    }

    /// The way in for modern exchanges of all callers at a server that speaks the legacy era only.
    pub async fn translated(self: &Arc<Self>) -> Outbox {
        self.modern.translated(|| self.translation()).await
    }

    /// Works the server's end of a legacy session at the modern server that all share. It goes on when that ends and is
    /// started again.
    pub async fn shared_session(self: &Arc<Self>, peer: Peer, place: OwnedSemaphorePermit) -> Result<(), OpenError> {
        let server = self.following().await?;
        let children = self.clone();
        self.scope.spawn(async move {
            legacy_to_modern::serve(peer, server, legacy_to_modern::Settings::default(), &children.way).await;
            drop(place);
        });
        Ok(())
    }

    /// A session at a server that speaks the modern era only, as far as is known.
    pub(super) async fn serve_modern(self: &Arc<Self>, started: Started, peer: Peer, role: Role) {
        let own = role == Role::Connect;
        if self.eras.is_pinned() {
            return self.translate(peer, started.direct(own, None)).await;
        }
        let mut asking = started.asked(discover()).boxed();
        let beside = match timeout(DISCOVER_PATIENCE, &mut asking).await.map(probe::read) {
            Ok(Verdict::Modern(started, found)) => {
                return self.translate(peer, started.direct(own, Some(found))).await;
            }
            Ok(Verdict::NotModern(started) | Verdict::Legacy(started)) => {
                warn!(name = %self.spec.name, "the server does not speak revision 2026-07-28 any more; asking it anew");
                self.eras.forget();
                drop(started.dismiss());
                Beside::after_silence()
            }
            Err(_) => {
                warn!(
                    name = %self.spec.name,
                    "the server has not answered server/discover for {} s; asking a second process in the older era; \
                     --server-era modern, or legacy, spares that",
                    DISCOVER_PATIENCE.as_secs()
                );
                Beside::Asked(asking.map(Some).boxed())
            }
        };
        match self.start().await {
            Ok(started) => self.serve_legacy(started, peer, role, beside).await,
            Err(error) => warn!("{error}"), // The dropped peer ends the session.
        }
    }

    /// A session, or the hub of several, at the process that modern exchanges share, and at each that comes after it.
    pub(super) async fn translate_shared(self: &Arc<Self>, peer: Peer, found: Option<Frame>) {
        match self.following().await {
            Ok(server) => {
                let (never, settings) = (std::future::pending(), legacy_to_modern::Settings::default());
                legacy_to_modern::serve_until(never, peer, server, found, settings, &self.way).await;
            }
            Err(error) => warn!("{error}"), // The dropped peer ends the session.
        }
    }

    /// When the process has ended, the session has, too, and its client opens another.
    pub(super) async fn translate(&self, peer: Peer, direct: Direct) {
        let settings = legacy_to_modern::Settings::default();
        let (gone, server, found) = (direct.gone().cancelled_owned(), direct.outbox(), direct.found());
        drop(direct); // Held, its outbox would keep the server.
        legacy_to_modern::serve_until(gone, peer, server, found, settings, &self.way).await;
    }

    /// Starts a server and asks it in the modern era; where it is silent, a second one in the legacy era, too. `None` when
    /// it does not speak the modern one.
    async fn find_modern(self: &Arc<Self>) -> Result<Option<Direct>, OpenError> {
        let started = self.start().await?;
        if self.eras.is_pinned() {
            return Ok(Some(started.direct(false, None)));
        }
        let told = || {
            info!(
                name = %self.spec.name,
                "the server has not answered server/discover for {} s; asking a second process in the older era; \
                 --server-era legacy, or modern, spares that",
                SILENCE.as_secs()
            );
        };
        let second = self.ask_another(probe::initialize());
        match probe::race(started.asked(discover()), second, told, self.scope.stopped()).await {
            Some(Verdict::Modern(started, found)) => return Ok(Some(started.direct(false, Some(found)))),
            Some(Verdict::NotModern(started)) => drop(started.dismiss()),
            Some(Verdict::Legacy(started)) => {
                self.eras.learn(Era::Legacy, true);
                drop(started.dismiss());
            }
            None if self.scope.is_stopped() => return Err(self.scope.why().into()),
            None => return Err(OpenError::Handshake(probe::silent())),
        }
        debug!(name = %self.spec.name, "the server does not speak revision 2026-07-28");
        Ok(None)
    }

    /// Starts the translation for modern callers. Its sessions are with servers in the legacy era, each in a place of its
    /// own.
    fn translation(self: &Arc<Self>) -> Outbox {
        info!(name = %self.spec.name, "the server speaks revisions up to 2025-11-25 only; translating for modern clients");
        let (children, eras) = (self.clone(), self.eras.clone());
        let open = move |_: Arc<Caller>| {
            let children = children.clone();
            async move { children.open_pooled().await.map_err(unavailable) }.boxed()
        };
        let mut settings = modern::translation(self.spec.name.as_str().into(), &self.settings, &self.limits, false);
        // A quarter of the places is left to sessions, and for servers that are on their way out.
        let most = self.limits.max_sessions.min(self.most());
        settings.max_backends = settings.max_backends.min(most - most / 4);
        settings.idle = self.processes.idle_pooled(settings.idle);
        modern_to_legacy::open(Arc::new(open), settings, Arc::new(move || eras.forget()), &self.scope)
    }

    /// A legacy session for the pool.
    async fn open_pooled(self: &Arc<Self>) -> Result<Peer, OpenError> {
        if self.scope.is_stopped() {
            return Err(self.scope.why().into());
        }
        let full = || OpenError::Full { limit: self.limits.max_sessions };
        let place = self.sessions.clone().try_acquire_owned().map_err(|_| full())?;
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        let rules = Rules { request_timeout: None, ..self.rules(Role::Connect) };
        let exit = self.start().await?.run_by(ours, rules);
        self.scope.spawn(async move {
            ended(exit).await;
            drop(place);
        });
        Ok(theirs)
    }
}

/// Looks for a modern server that nobody uses. Ends with the owner, or with the bridge.
pub(super) async fn watch_idle(children: Weak<Children>, idle: Duration, scope: Scope) {
    let mut tick = tokio::time::interval((idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(30)));
    while let Some(children) = children.upgrade() {
        if children.modern.rest(idle) {
            info!(name = %children.spec.name, "nobody has used the server for --idle-timeout; it is ended until it is needed");
        }
        drop(children);
        tokio::select! {
            _ = tick.tick() => {}
            () = scope.stopped() => return,
        }
    }
}

fn unavailable(error: OpenError) -> modern_to_legacy::Unavailable {
    modern_to_legacy::Unavailable { message: error.to_string(), retry_after: error.retry_after() }
}
