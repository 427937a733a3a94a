//! Stdio servers: how they are started, and in which era each one is spoken to.
//!
//! Owns the bound on starts and the one attempt that finds out the era: a server is asked in its caller's own era first,
//! on the process that is kept; the other era is tried on a process of its own, since a server may lock itself to the era
//! of the first request that it sees, and may end at one that it does not know. Talks to [`child`] and to the
//! translations. It never moves a message.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Ground, OpenError,
    eras::Eras,
    modern::{self, Direct, Modern},
    readiness::{Readiness, now},
};
use crate::{
    config::{ChildSpec, EraSettings, Limits},
    era::{legacy_to_modern, modern_to_legacy},
    message::{Frame, code, text},
    peer::{Caller, Envelope, Era, Outbox, PEER_CAPACITY, Peer},
    pipe::Ended,
    protocol::{discover, method},
    pump::{Role, Rules},
    scope::Scope,
    wire::child::{self, Asked, Child, Exit},
};

/// How long a child that says nothing counts as starting. A server need not say anything before it is asked, and a client
/// need not ask: it must not keep others from starting.
const STARTING: Duration = Duration::from_secs(10);

/// How long a server may be silent when it is asked whether it speaks the modern era; then it is taken for one that does
/// not. Servers that are fetched first take tens of seconds.
const DISCOVER_PATIENCE: Duration = Duration::from_secs(30);

/// Envelopes that are read ahead while a server is asked what it is, to see the partner's end.
const READ_AHEAD: usize = 16;

/// Starts stdio servers, as often as they are worth it.
#[derive(Debug)]
pub struct Children {
    /// What is started.
    pub spec: ChildSpec,
    mark: Option<String>,
    limits: Limits,
    scope: Scope,
    /// Bounds how many children are between their start and their first frame.
    starting: Arc<Semaphore>,
    /// One place for each session and each server of the pool.
    sessions: Arc<Semaphore>,
    readiness: Arc<Readiness>,
    eras: Arc<Eras>,
    settings: EraSettings,
    modern: Modern,
}

/// A server that was started.
struct Started {
    child: Child,
    spoke: Arc<AtomicBool>,
    owner: Arc<Children>,
}

/// What came of a client's `initialize`.
enum Opening {
    /// The server speaks the legacy era, or is to be taken as it is.
    Legacy(Started),
    /// It refused, or ended; the client still waits.
    Refused(Started, Envelope, Refusal),
    /// The client left meanwhile.
    Left(Started),
}

/// How a server refused `initialize`.
enum Refusal {
    Answer(Frame),
    Ended(Ended),
}

impl Refusal {
    /// Whether a server without a handshake would refuse so.
    fn is_modern(&self) -> bool {
        #[derive(serde::Deserialize)]
        struct Head {
            code: i64,
        }
        let Refusal::Answer(answer) = self else { return false };
        let head = answer.body().and_then(|body| serde_json::from_str::<Head>(body).ok());
        let words = [code::UNSUPPORTED_VERSION, code::METHOD_NOT_FOUND].map(i64::from);
        head.is_some_and(|head| words.contains(&head.code))
    }
}

impl Children {
    /// Nothing is started yet; but a program that is not there is noted.
    pub fn new(
        spec: ChildSpec,
        limits: &Limits,
        settings: EraSettings,
        sessions: Arc<Semaphore>,
        readiness: Arc<Readiness>,
        ground: &Ground,
    ) -> Arc<Children> {
        let missing = child::resolve(&spec).inspect_err(|error| warn!(name = %spec.name, "{error}"));
        readiness.set_missing(missing.err().map(|error| error.brief()));
        Arc::new(Children {
            spec,
            mark: ground.mark.clone(),
            limits: limits.clone(),
            scope: ground.scope.clone(),
            starting: ground.starting.clone(),
            sessions,
            readiness,
            eras: Arc::new(Eras::new(settings.server)),
            settings,
            modern: Modern::default(),
        })
    }

    /// Looks for a program that was not there. One that was is not looked for: this comes with each probe.
    pub fn look_again(&self) {
        if self.readiness.is_missing() {
            self.readiness.set_missing(child::resolve(&self.spec).err().map(|error| error.brief()));
        }
    }

    /// Works the server's end of a legacy session, or of a hub of several, with a server of its own, whatever era that
    /// speaks. Resolves once a server has been started; `place` is given back when no process of the session is left.
    pub async fn session(
        self: &Arc<Self>,
        peer: Peer,
        role: Role,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<JoinHandle<()>, OpenError> {
        let started = self.start().await?;
        let children = self.clone();
        Ok(self.scope.spawn(async move {
            children.serve(started, peer, role).await;
            drop(place);
        }))
    }

    /// Works the server's end of a legacy session at the modern server that all share.
    pub async fn shared_session(self: &Arc<Self>, peer: Peer, place: OwnedSemaphorePermit) -> Result<(), OpenError> {
        let server = self.outbox().await?;
        let gone = self.modern.gone(&server).await;
        let children = self.clone();
        self.scope.spawn(async move {
            children.translate(peer, server, gone).await;
            drop(place);
        });
        Ok(())
    }

    /// Whether the server is known to have no handshake.
    pub fn is_modern_only(&self) -> bool {
        self.eras.speaks(Era::Legacy) == Some(false)
    }

    /// Lets go of what modern exchanges share.
    pub async fn close(&self) {
        self.modern.close().await;
    }

    /// The way in for modern exchanges. What has to be started for it goes on when the caller leaves: the next one comes
    /// for it.
    pub async fn outbox(self: &Arc<Self>) -> Result<Outbox, OpenError> {
        if let Some(outbox) = self.modern.ready(&self.eras) {
            return Ok(outbox);
        }
        let this = self.clone();
        let starting = self.scope.spawn(async move {
            this.modern.outbox(&this.eras, || this.find_modern(false), || this.translation()).await
        });
        starting.await.unwrap_or(Err(OpenError::Draining))
    }

    // ---- legacy sessions

    async fn serve(self: &Arc<Self>, started: Started, peer: Peer, role: Role) {
        if self.eras.speaks(Era::Legacy) == Some(false) {
            return self.serve_modern(started, peer, role).await;
        }
        self.serve_legacy(started, peer, role).await;
    }

    async fn serve_legacy(self: &Arc<Self>, mut started: Started, mut peer: Peer, role: Role) {
        if self.eras.is_pinned() {
            return ended(started.run(peer, role)).await;
        }
        let first = started.child.first_message(&mut peer.rx).await;
        let opening = match first {
            Some(first) if first.frame.method() == method::INITIALIZE => self.open(started, first, &mut peer).await,
            first => {
                first.into_iter().for_each(|first| peer.rx.put_back(first));
                Opening::Legacy(started)
            }
        };
        match opening {
            Opening::Legacy(started) => ended(started.run(peer, role)).await,
            Opening::Left(started) => ended(started.end()).await,
            Opening::Refused(started, initialize, refusal) => {
                let Some(direct) = self.in_the_other_era(&refusal, role == Role::Connect).await else {
                    return refused(started, initialize, refusal, peer, role).await;
                };
                info!(name = %self.spec.name, "the server speaks revision 2026-07-28 only; translating");
                drop(started.dismiss());
                peer.rx.put_back(initialize);
                if role != Role::Connect {
                    self.modern.adopt(direct.clone()).await;
                }
                self.translate(peer, direct.outbox(), direct.gone()).await;
            }
        }
    }

    /// Puts a client's `initialize` to the server.
    async fn open(self: &Arc<Self>, mut started: Started, initialize: Envelope, peer: &mut Peer) -> Opening {
        let patience = self.limits.request_timeout.unwrap_or(Duration::MAX);
        let asked = tokio::select! {
            asked = timeout(patience, started.child.ask(&initialize.frame)) => asked,
            () = peer.rx.ended(READ_AHEAD) => return Opening::Left(started),
        };
        match asked {
            Ok(Asked::Answer(answer, ahead)) => {
                tell(ahead, &initialize, peer, &started.speaker()).await;
                if answer.is_error() {
                    return Opening::Refused(started, initialize, Refusal::Answer(answer));
                }
                self.eras.learn(Era::Legacy, true);
                initialize.reply.into_iter().for_each(|reply| reply.answer(answer.clone()));
                Opening::Legacy(started)
            }
            Ok(Asked::Ended(end)) => Opening::Refused(started, initialize, Refusal::Ended(end)),
            Err(_) => {
                let text = text::late(patience);
                initialize.reply.into_iter().for_each(|reply| reply.fail(code::LIMIT, &text, None));
                Opening::Legacy(started) // Silence tells nothing of its era.
            }
        }
    }

    /// A server that refused `initialize` may be one that has none. One that is known to be legacy is asked only where its
    /// words are those of the modern era, since another program may stand there now; else it refuses this one client.
    async fn in_the_other_era(self: &Arc<Self>, refusal: &Refusal, own: bool) -> Option<Direct> {
        let known = (self.eras.speaks(Era::Legacy), self.eras.speaks(Era::Modern)) == (Some(true), Some(false));
        if known && !refusal.is_modern() {
            return None;
        }
        let found = self.find_modern(own).await.ok()?;
        self.eras.learn(Era::Modern, found.is_some());
        if found.is_some() {
            self.eras.learn(Era::Legacy, false);
        }
        found
    }

    // ---- modern servers

    /// A session at a server that speaks the modern era only, as far as is known.
    async fn serve_modern(self: &Arc<Self>, mut started: Started, peer: Peer, role: Role) {
        if self.eras.is_pinned() || started.is_modern().await {
            let direct = started.direct(role == Role::Connect);
            return self.translate(peer, direct.outbox(), direct.gone()).await;
        }
        warn!(name = %self.spec.name, "the server does not speak revision 2026-07-28 any more; asking it anew");
        self.eras.forget();
        drop(started.dismiss());
        match self.start().await {
            Ok(started) => self.serve_legacy(started, peer, role).await,
            Err(error) => warn!("{error}"), // The dropped peer ends the session.
        }
    }

    /// `gone` is set when the process has ended: then the session has, too, and its client opens another.
    async fn translate(&self, peer: Peer, server: Outbox, gone: CancellationToken) {
        let settings = legacy_to_modern::Settings::default();
        legacy_to_modern::serve_until(gone.cancelled_owned(), peer, server, settings, &self.scope).await;
    }

    /// Starts a server and asks it in the modern era. `None` when it does not speak that.
    async fn find_modern(self: &Arc<Self>, own: bool) -> Result<Option<Direct>, OpenError> {
        let mut started = self.start().await?;
        if self.eras.is_pinned() || started.is_modern().await {
            return Ok(Some(started.direct(own)));
        }
        debug!(name = %self.spec.name, "the server does not speak revision 2026-07-28");
        drop(started.dismiss());
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
        let mut settings = modern::translation(&self.settings, false);
        // A quarter of the places is left to sessions, and for servers that are on their way out.
        let most = self.limits.max_sessions;
        settings.max_backends = settings.max_backends.min(most - most / 4);
        modern_to_legacy::open(Arc::new(open), settings, Arc::new(move || eras.forget()), &self.scope)
    }

    /// A legacy session for the pool.
    async fn open_pooled(self: &Arc<Self>) -> Result<Peer, OpenError> {
        if self.scope.is_stopped() {
            return Err(OpenError::Draining);
        }
        let full = || OpenError::Full { limit: self.limits.max_sessions };
        let place = self.sessions.clone().try_acquire_owned().map_err(|_| full())?;
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        let exit = self.start().await?.run(ours, Role::Connect);
        self.scope.spawn(async move {
            ended(exit).await;
            drop(place);
        });
        Ok(theirs)
    }

    // ---- starts

    async fn start(self: &Arc<Self>) -> Result<Started, OpenError> {
        self.readiness
            .backoff
            .check(now())
            .map_err(|(retry_after, last)| OpenError::BackingOff { retry_after, last })?;
        let starting = self.starting.clone().acquire_owned().await.map_err(|_| OpenError::Draining)?;
        let spoke = Arc::new(AtomicBool::new(false));
        let (told, first) = oneshot::channel();
        self.scope.spawn(hold_place(starting, first));
        let first_frame = {
            let (spoke, readiness) = (spoke.clone(), self.readiness.clone());
            Box::new(move || {
                spoke.store(true, Ordering::Release);
                readiness.set(None);
                drop(told);
            })
        };
        let (mark, max_line) = (self.mark.as_deref(), self.limits.max_message);
        let child = child::start(&self.spec, mark, max_line, Some(first_frame), &self.scope).inspect_err(|error| {
            warn!("{error}");
            self.readiness.set(Some(error.brief()));
        })?;
        Ok(Started { child, spoke, owner: self.clone() })
    }

    fn rules(&self, role: Role) -> Rules {
        Rules {
            name: self.spec.name.as_str().into(),
            speaker: Caller::legacy(None),
            role,
            max_in_flight: self.limits.max_in_flight,
            max_waiting: self.limits.max_waiting(),
            request_timeout: self.limits.request_timeout,
            linger: self.spec.stop.after_close,
        }
    }
}

impl Started {
    /// Pumps; the handle gives its end.
    fn run(self, peer: Peer, role: Role) -> JoinHandle<Exit> {
        let Started { child, spoke, owner } = self;
        let exit = child.run(peer, owner.rules(role), &owner.scope);
        owner.clone().scope.spawn(watch(owner, spoke, exit))
    }

    /// Lets it go after it was asked what it is: that it ended at that is no failure to start.
    fn dismiss(self) -> JoinHandle<Exit> {
        self.spoke.store(true, Ordering::Release);
        self.end()
    }

    /// Lets it go.
    fn end(self) -> JoinHandle<Exit> {
        let Started { child, spoke, owner } = self;
        let exit = child.end();
        owner.clone().scope.spawn(watch(owner, spoke, exit))
    }

    async fn is_modern(&mut self) -> bool {
        match timeout(DISCOVER_PATIENCE, self.child.ask(&discover())).await {
            Ok(Asked::Answer(answer, _)) => modern::is_modern(&answer),
            Ok(Asked::Ended(_)) | Err(_) => false,
        }
    }

    /// Serves modern exchanges: of all callers, or of one session that has it for its own.
    fn direct(self, own: bool) -> Direct {
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        let scope = self.owner.scope.clone();
        drop(self.run(ours, Role::ConnectModern { own }));
        Direct::behind(theirs, &scope)
    }

    fn speaker(&self) -> Arc<Caller> {
        Caller::legacy(None)
    }
}

/// The server speaks neither era, or refuses this one client: what it said is the answer.
async fn refused(started: Started, initialize: Envelope, refusal: Refusal, peer: Peer, role: Role) {
    if let Some(reply) = initialize.reply {
        match refusal {
            Refusal::Answer(answer) => reply.answer(answer),
            Refusal::Ended(end) => reply.fail(code::INTERNAL, &end.message, end.data),
        }
    }
    ended(started.run(peer, role)).await;
}

/// Passes on what a server said ahead of its answer to `initialize`: log lines are that call's, the rest is nobody's.
async fn tell(ahead: Vec<Frame>, initialize: &Envelope, peer: &Peer, server: &Arc<Caller>) {
    for frame in ahead {
        let along = initialize.reply.as_ref().filter(|_| frame.method() == method::MESSAGE);
        let envelope = Envelope::one_way(server.clone(), frame);
        // Who is gone hears nothing.
        match along {
            Some(reply) => drop(reply.update(envelope).await),
            None => drop(peer.tx.send(envelope).await),
        }
    }
}

/// Sees a server to its end, and learns from it.
async fn watch(owner: Arc<Children>, spoke: Arc<AtomicBool>, exit: JoinHandle<Exit>) -> Exit {
    let exit = exit.await.unwrap_or_else(|_| Exit::lost());
    owner.readiness.backoff.ended(&exit, now());
    if !exit.asked && !spoke.load(Ordering::Acquire) {
        let text = format!("the server {} {} before its first message", owner.spec.name, exit.how);
        owner.readiness.set(Some(text));
    }
    exit
}

async fn ended(exit: JoinHandle<Exit>) {
    drop(exit.await);
}

fn unavailable(error: OpenError) -> modern_to_legacy::Unavailable {
    modern_to_legacy::Unavailable { message: error.to_string(), retry_after: error.retry_after() }
}

/// Holds the place of a start until the child's first frame or its end, or until it has been silent for long enough.
async fn hold_place(place: OwnedSemaphorePermit, first: oneshot::Receiver<()>) {
    if timeout(STARTING, first).await.is_err() {
        debug!("a server has said nothing yet; the next one may start");
    }
    drop(place);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_does_not_keep_others_from_starting() {
        let places = Arc::new(Semaphore::new(1));
        let (_told, first) = oneshot::channel();
        let start = tokio::time::Instant::now();
        hold_place(places.clone().try_acquire_owned().unwrap(), first).await;
        assert_eq!(start.elapsed(), STARTING);
        assert_eq!(places.available_permits(), 1);
    }
}
