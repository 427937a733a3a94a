//! A server at a URL: in which era each caller speaks to it.
//!
//! Owns what is known of the server's era and the one way in for modern exchanges. Talks to [`remote`] and to the
//! translations. A caller is served in its own era first; what the server answers to `initialize`, or to
//! `server/discover`, decides. It never moves a message.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures::FutureExt;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    Ground, OpenError,
    eras::Eras,
    modern::{self, Direct, Modern},
    outcome,
    readiness::Readiness,
};
use crate::{
    config::{EraSettings, Limits, RemoteSpec, RemoteTransport},
    era::{legacy_to_modern, modern_to_legacy},
    peer::{Caller, Era, Outbox, PEER_CAPACITY, Peer},
    scope::Scope,
    wire::{
        http::connect::modern::{self as exchanges, Contact},
        remote::{self, ConnectError, Desk, Way},
        ws::connect as ws,
    },
};

mod joint;

/// One remote server.
#[derive(Debug)]
pub struct Remotes {
    spec: RemoteSpec,
    limits: Limits,
    scope: Scope,
    eras: Arc<Eras>,
    settings: EraSettings,
    /// For exchanges, as it is now; each legacy session has one of its own.
    way: Mutex<Arc<Way>>,
    modern: Modern,
    /// Whether a legacy server took messages by POST: Streamable HTTP.
    takes_posts: AtomicBool,
    readiness: Arc<Readiness>,
    /// Whether one client is all that is served.
    lone: bool,
    /// Nobody is there to wait any more.
    hurried: AtomicBool,
}

impl Remotes {
    /// Nothing is connected yet.
    pub fn new(
        spec: RemoteSpec,
        limits: &Limits,
        settings: EraSettings,
        readiness: Arc<Readiness>,
        ground: &Ground,
    ) -> Arc<Remotes> {
        let scope = &ground.way; // Not stopped while calls are in flight.
        Arc::new(Remotes {
            way: Mutex::new(Way::new(&spec, limits, scope)),
            takes_posts: AtomicBool::new(spec.transport == RemoteTransport::Http),
            spec,
            limits: limits.clone(),
            scope: scope.clone(),
            eras: Arc::new(Eras::new(settings.server)),
            settings,
            modern: Modern::default(),
            readiness,
            lone: ground.lone,
            hurried: AtomicBool::new(false),
        })
    }

    /// Works the server's end of a legacy session, whatever era the server speaks.
    pub fn session(self: &Arc<Self>, peer: Peer) -> JoinHandle<Result<(), ConnectError>> {
        let remotes = self.clone();
        self.scope.spawn(async move {
            let end = remotes.serve(peer).await;
            remotes.readiness.set(end.as_ref().err().map(ToString::to_string));
            end
        })
    }

    /// Works the server's end of a hub of several sessions, or, without `sessions`, of callers that have none.
    pub fn shared_session(self: &Arc<Self>, peer: Peer, sessions: bool) {
        drop(self.session(joint::behind(peer, self.name(), sessions, &self.limits, &self.scope)));
    }

    /// Its name in log lines.
    pub fn name(&self) -> Arc<str> {
        self.way().name()
    }

    /// A client has left. Where it was the only one, no attempt to reach the server is worth a wait any more, nor is a
    /// login.
    pub fn left(&self) {
        if self.lone {
            self.hurry();
        }
    }

    fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
        let _ = self.way().hurry.set(());
    }

    /// Lets go of what modern exchanges share.
    pub async fn close(&self) {
        // A login that is open would hold it for as long as its user takes.
        self.hurry();
        self.modern.close().await;
    }

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

    /// What came of the exchanges: a client that leaves is no success where nothing ever worked.
    pub fn verdict(&self) -> Result<(), ConnectError> {
        self.way().verdict(Ok(()))
    }

    async fn serve(self: &Arc<Self>, mut peer: Peer) -> Result<(), ConnectError> {
        let way = Way::new(&self.spec, &self.limits, &self.scope);
        // Ends with the session; starts over where a login is open, of which the client was told.
        loop {
            if self.eras.speaks(Era::Legacy) == Some(false) {
                let Some(first) = peer.rx.recv().await else { return way.verdict(Ok(())) };
                peer.rx.put_back(first);
                let mut desk = Desk::new(peer);
                match self.direct_for(&mut desk).await {
                    Ok(Some(server)) => return self.translate(desk.into_peer(), server).await,
                    Ok(None) => peer = desk.into_peer(),
                    Err(error) => {
                        peer = told(&way, desk, error)?;
                        continue;
                    }
                }
            }
            let ask = self.eras.speaks(Era::Modern) != Some(false);
            let Some(mut refused) = remote::legacy(way.clone(), peer, ask).await? else { return Ok(()) };
            match self.direct_for(refused.desk()).await {
                Ok(None) => return refused.go_on().await,
                Ok(Some(server)) => {
                    info!("{} speaks revision 2026-07-28 only; translating", way.shown());
                    self.eras.learn(Era::Legacy, false);
                    return self.translate(refused.into_desk().into_peer(), server).await;
                }
                Err(error) => peer = told(&way, refused.into_desk(), error)?,
            }
        }
    }

    async fn translate(&self, peer: Peer, server: Outbox) -> Result<(), ConnectError> {
        legacy_to_modern::serve(peer, server, legacy_to_modern::Settings::default(), &self.scope).await;
        self.verdict()
    }

    /// The same as [`Remotes::direct`], for a client that may leave.
    async fn direct_for(self: &Arc<Self>, desk: &mut Desk) -> Result<Option<Outbox>, ConnectError> {
        let found = self.direct();
        tokio::pin!(found);
        tokio::select! {
            found = &mut found => return found,
            () = desk.ended() => self.left(),
        }
        found.await
    }

    /// The way to the server in the modern era; `None` when it does not speak that.
    async fn direct(self: &Arc<Self>) -> Result<Option<Outbox>, ConnectError> {
        match self.modern.direct(&self.eras, || self.find_modern()).await {
            Ok(outbox) => Ok(outbox),
            Err(OpenError::Connect(error)) => Err(error),
            Err(error) => Err(ConnectError::Unreachable(error.to_string())),
        }
    }

    /// Asks the server in the modern era.
    async fn find_modern(self: &Arc<Self>) -> Result<Option<Direct>, OpenError> {
        if self.spec.transport == RemoteTransport::Sse {
            return Ok(None); // That transport ended with the legacy era.
        }
        let way = Way::new(&self.spec, &self.limits, &self.scope);
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = way.clone();
        if self.hurried.load(Ordering::SeqCst) {
            let _ = way.hurry.set(());
        }
        if self.spec.transport == RemoteTransport::Ws {
            let found = ws::modern(&way, !self.eras.is_pinned()).await?;
            return Ok(found.map(|peer| Direct::behind(peer, None, &self.scope)));
        }
        if !self.eras.is_pinned() {
            match exchanges::discover(&way).await {
                Contact::Modern => self.readiness.set(None),
                Contact::Legacy { why, takes_posts } => {
                    self.takes_posts.store(takes_posts, Ordering::Relaxed);
                    debug!("{} {why}: it does not speak revision 2026-07-28", way.shown());
                    return Ok(None);
                }
                Contact::Failed(error) => {
                    self.readiness.set(Some(error.to_string()));
                    return Err(OpenError::Connect(error));
                }
            }
        }
        let (outbox, rx) = mpsc::channel(PEER_CAPACITY);
        let (served, gone) = (exchanges::serve(way.clone(), rx), CancellationToken::new());
        let (eras, told) = (self.eras.clone(), gone.clone());
        self.scope.spawn(async move {
            tokio::select! {
                _ = served => {}
                () = way.doubted() => {
                    debug!("{} may have become another server; asking it anew", way.shown());
                    if !eras.is_pinned() {
                        eras.forget();
                    }
                }
            }
            told.cancel();
        });
        Ok(Some(Direct::through(outbox, gone)))
    }

    fn way(&self) -> Arc<Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts the translation for modern callers: its sessions are in the legacy era.
    fn translation(self: &Arc<Self>) -> Outbox {
        info!("{} speaks revisions up to 2025-11-25 only; translating for modern clients", self.way().shown());
        let (spec, limits, scope, eras) =
            (self.spec.clone(), self.limits.clone(), self.scope.clone(), self.eras.clone());
        let limits = Limits { request_timeout: None, ..limits };
        let open = move |_: Arc<Caller>| {
            let (ours, theirs) = Peer::pair(PEER_CAPACITY);
            drop(remote::open(&spec, &limits, ours, &scope));
            async move { Ok(theirs) }.boxed()
        };
        // Streamable HTTP says which call a request of the server's belongs to; the older transport does not.
        let settings =
            modern::translation(self.name(), &self.settings, &self.limits, self.takes_posts.load(Ordering::Relaxed));
        modern_to_legacy::open(Arc::new(open), settings, Arc::new(move || eras.forget()), &self.scope)
    }
}

/// Answers what the client has asked so far. Gives its side back where a login is open: the browser comes back to this
/// process, and the client may try again.
fn told(way: &Way, mut desk: Desk, error: ConnectError) -> Result<Peer, ConnectError> {
    desk.refuse_waiting(&error);
    if !error.is_open() {
        return Err(error);
    }
    way.failed(error);
    Ok(desk.into_peer())
}
