//! Stdio servers: how they are started, and in which era each one is spoken to.
//!
//! Owns the bound on starts and the one attempt that finds out the era: a server is asked in its caller's own era first,
//! on the process that is kept; the other era is tried on a process of its own, since a server may lock itself to the era
//! of the first request that it sees, and may end at one that it does not know. One that is silent is asked in both eras at
//! the same time (`probe`). Talks to [`child`] and to the translations. It never moves a message.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tracing::{debug, info, warn};

use self::{
    probe::{Asking, Beside, SILENCE, Verdict},
    spares::Spares,
    start::Started,
};
use super::{
    Ground, OpenError,
    eras::Eras,
    modern::{Direct, Modern},
    readiness::Readiness,
};
use crate::{
    config::{ChildSpec, EraSettings, Limits, Processes, Secret, ServerSpec},
    message::{Frame, code, text},
    peer::{Caller, Envelope, Era, Peer},
    pipe::Ended,
    protocol::{discover, method},
    pump::Role,
    scope::Scope,
    wire::child::{self, Asked, Exit},
};

mod direct;
mod follow;
mod probe;
mod spares;
mod start;

/// How long a server may be silent in the modern era where it has refused the legacy one, or has spoken the modern one
/// before: another program may stand there now.
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
    /// Of sessions that are translated. Not stopped by the first signal: their calls in flight have their time.
    way: Scope,
    /// Bounds how many children are between their start and their first frame.
    starting: Arc<Semaphore>,
    /// One place for each session and each server of the pool.
    sessions: Arc<Semaphore>,
    readiness: Arc<Readiness>,
    eras: Arc<Eras>,
    settings: EraSettings,
    modern: Modern,
    /// Held while a second process is asked for a session: one finds out for all.
    asking: Arc<Mutex<()>>,
    /// One for each process, spares included.
    places: Arc<Semaphore>,
    processes: Processes,
    spares: Arc<Spares>,
}

/// What came of a client's `initialize`.
enum Opening {
    /// The server speaks the legacy era, or is to be taken as it is.
    Legacy(Started),
    /// It refused, or ended; the client still waits. A second process may have been asked meanwhile.
    Refused(Started, Envelope, Refusal, Beside<Started>),
    /// It is silent, and the second process has answered in the modern era; the client still waits.
    Modern(Started, Envelope, Box<Started>, Frame),
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
        server: &ServerSpec,
        sessions: Arc<Semaphore>,
        readiness: Arc<Readiness>,
        ground: &Ground,
    ) -> Arc<Children> {
        let missing = child::resolve(&spec).inspect_err(|error| warn!(name = %spec.name, "{error}"));
        readiness.set_missing(missing.err().map(|error| error.brief()));
        let (settings, processes) = (server.eras.clone(), server.processes.clone());
        let children = Arc::new(Children {
            spec,
            mark: ground.mark.clone(),
            limits: limits.clone(),
            scope: ground.scope.clone(),
            way: ground.way.clone(),
            starting: ground.starting.clone(),
            sessions,
            readiness,
            eras: Arc::new(Eras::new(settings.server)),
            settings,
            modern: Modern::default(),
            asking: Arc::default(),
            places: Arc::new(Semaphore::new(processes.most.unwrap_or(limits.max_sessions))),
            processes,
            spares: Arc::default(),
        });
        spares::keep(&children);
        if let Some(idle) = children.idle() {
            children.scope.spawn(direct::watch_idle(Arc::downgrade(&children), idle, ground.scope.clone()));
        }
        children
    }

    /// The same server with variables of one caller's. It has its own back-off, so that one whose token makes it crash does
    /// not keep others from theirs, and shares every limit. It has no spares.
    pub fn with(
        &self,
        variables: impl IntoIterator<Item = (String, Secret)>,
        readiness: Arc<Readiness>,
    ) -> Arc<Children> {
        let mut spec = self.spec.clone();
        spec.env.extend(variables);
        let processes = Processes { warm: 0, ..self.processes.clone() };
        Arc::new(Children { spec, readiness, processes, spares: Arc::default(), ..self.copy() })
    }

    /// The same server with processes of its own for modern exchanges. All else is shared.
    pub fn beside(&self) -> Arc<Children> {
        Arc::new(self.copy())
    }

    fn copy(&self) -> Children {
        Children {
            spec: self.spec.clone(),
            mark: self.mark.clone(),
            limits: self.limits.clone(),
            scope: self.scope.clone(),
            way: self.way.clone(),
            starting: self.starting.clone(),
            sessions: self.sessions.clone(),
            readiness: self.readiness.clone(),
            eras: self.eras.clone(),
            settings: self.settings.clone(),
            modern: Modern::default(),
            asking: self.asking.clone(),
            places: self.places.clone(),
            processes: self.processes.clone(),
            spares: self.spares.clone(),
        }
    }

    /// How long a process that callers share may be idle.
    pub fn idle(&self) -> Option<Duration> {
        self.processes.idle_shared()
    }

    /// The same of a process that some callers share; `usual` by default.
    pub fn idle_pooled(&self, usual: Duration) -> Duration {
        self.processes.idle_pooled(usual)
    }

    /// Whether no other process can be started now.
    pub fn is_full(&self) -> bool {
        self.places.available_permits() == 0 && self.spares.is_empty()
    }

    /// Whether nothing runs that modern exchanges share.
    pub fn is_empty(&self) -> bool {
        self.modern.is_empty()
    }

    /// When a modern exchange last used the server that they share, if one runs that nobody uses.
    pub fn idle_since(&self) -> Option<Instant> {
        self.modern.idle_since()
    }

    /// Lets that server go if nobody has used it for so long. Says whether it did.
    pub fn rest(&self, idle: Duration) -> bool {
        self.modern.rest(idle)
    }

    /// Lets that server go.
    pub async fn let_go(&self) {
        self.modern.close().await;
    }

    /// Whether a modern exchange is in flight.
    pub fn is_in_use(&self) -> bool {
        self.modern.is_in_use()
    }

    /// Processes at once.
    pub fn most(&self) -> usize {
        self.processes.most.unwrap_or(self.limits.max_sessions)
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

    /// Whether the server is known to have no handshake.
    pub fn is_modern_only(&self) -> bool {
        self.eras.speaks(Era::Legacy) == Some(false)
    }

    /// Whether the server speaks the modern era, as far as is known.
    pub fn speaks_modern(&self) -> Option<bool> {
        self.eras.speaks(Era::Modern)
    }

    /// Lets go of what modern exchanges share, and of what waits for somebody.
    pub async fn close(&self) {
        self.spares.close();
        self.modern.close().await;
    }

    // ---- legacy sessions

    async fn serve(self: &Arc<Self>, started: Started, peer: Peer, role: Role) {
        if self.eras.speaks(Era::Legacy) == Some(false) {
            return self.serve_modern(started, peer, role).await;
        }
        let beside = if self.is_legacy() { Beside::Never } else { Beside::after_silence() };
        self.serve_legacy(started, peer, role, beside).await;
    }

    async fn serve_legacy(self: &Arc<Self>, mut started: Started, mut peer: Peer, role: Role, beside: Beside<Started>) {
        if self.eras.is_pinned() {
            return ended(started.run(peer, role)).await;
        }
        let first = started.child.first_message(&mut peer.rx).await;
        let opening = match first {
            Some(first) if first.frame.method() == method::INITIALIZE => {
                self.open(started, first, &mut peer, beside).await
            }
            first => {
                first.into_iter().for_each(|first| peer.rx.put_back(first));
                Opening::Legacy(started)
            }
        };
        let own = role == Role::Connect;
        let (refusing, initialize, direct) = match opening {
            Opening::Legacy(started) => return ended(started.run(peer, role)).await,
            Opening::Left(started) => return ended(started.end()).await,
            Opening::Modern(mut silent, initialize, second, found) => {
                let direct = second.instead_of(&mut silent).direct(own, Some(found));
                (silent, initialize, direct)
            }
            Opening::Refused(mut started, initialize, refusal, beside) => {
                match self.in_the_other_era(&mut started, &refusal, beside, own).await {
                    Some(direct) => (started, initialize, direct),
                    None => return refused(started, initialize, refusal, peer, role).await,
                }
            }
        };
        self.eras.learn(Era::Modern, true);
        self.eras.learn(Era::Legacy, false);
        info!(name = %self.spec.name, "the server speaks revision 2026-07-28 only; translating");
        drop(refusing.dismiss());
        peer.rx.put_back(initialize);
        if own {
            return self.translate(peer, direct).await;
        }
        let found = direct.found();
        self.modern.adopt(direct).await;
        self.translate_shared(peer, found).await;
    }

    /// Puts a client's `initialize` to the server.
    async fn open(
        self: &Arc<Self>,
        mut started: Started,
        initialize: Envelope,
        peer: &mut Peer,
        mut beside: Beside<Started>,
    ) -> Opening {
        let patience = self.limits.request_timeout.unwrap_or(Duration::MAX);
        let asked = tokio::select! {
            asked = timeout(patience, started.child.ask(&initialize.frame)) => asked,
            () = peer.rx.ended(READ_AHEAD) => return Opening::Left(started),
            (second, found) = self.modern_beside(&mut beside) => {
                return Opening::Modern(started, initialize, Box::new(second), found);
            }
        };
        match asked {
            Ok(Asked::Answer(answer, ahead)) => {
                tell(ahead, &initialize, peer, &started.speaker()).await;
                if answer.is_error() {
                    return Opening::Refused(started, initialize, Refusal::Answer(answer), beside);
                }
                self.eras.learn(Era::Legacy, true);
                initialize.reply.into_iter().for_each(|reply| reply.answer(answer.clone()));
                Opening::Legacy(started)
            }
            Ok(Asked::Ended(end)) => Opening::Refused(started, initialize, Refusal::Ended(end), beside),
            Err(_) => {
                let text = text::late(patience);
                initialize.reply.into_iter().for_each(|reply| reply.fail(code::LIMIT, &text, None));
                Opening::Legacy(started) // Silence tells nothing of its era.
            }
        }
    }

    /// Resolves when a second process has answered in the modern era, while the first is silent. Cancel-safe.
    async fn modern_beside(self: &Arc<Self>, beside: &mut Beside<Started>) -> (Started, Frame) {
        match beside.verdict(|| self.clone().ask_beside().boxed()).await {
            Verdict::Modern(second, found) => (second, found),
            Verdict::NotModern(second) | Verdict::Legacy(second) => {
                debug!(name = %self.spec.name, "the server does not speak revision 2026-07-28; waiting for it");
                self.eras.learn(Era::Modern, false);
                drop(second.dismiss());
                std::future::pending().await
            }
        }
    }

    /// Asks a second process in the modern era, unless another session has found out meanwhile.
    async fn ask_beside(self: Arc<Self>) -> Option<(Started, Asked)> {
        let _one = self.asking.lock().await;
        if self.is_legacy() {
            return None;
        }
        info!(
            name = %self.spec.name,
            "the server has not answered initialize for {} s; asking a second process whether it speaks revision \
             2026-07-28 only; --server-era modern, or legacy, spares that",
            SILENCE.as_secs()
        );
        self.ask_another(discover()).await
    }

    /// Whether an answer of the server has settled that a client of the legacy era is best served in its own.
    fn is_legacy(&self) -> bool {
        self.eras.speaks(Era::Legacy) == Some(true) || self.eras.speaks(Era::Modern) == Some(false)
    }

    /// Starts a server and asks it; `None` where it cannot be started now.
    async fn ask_another(self: &Arc<Self>, request: Frame) -> Option<(Started, Asked)> {
        let started =
            self.start_beside().await.inspect_err(|error| debug!("cannot ask a second process: {error}")).ok()?;
        Some(started.asked(request).await)
    }

    /// A server that refused `initialize` may be one that has none. One that is known to be legacy is asked only where its
    /// words are those of the modern era, since another program may stand there now; else it refuses this one client.
    async fn in_the_other_era(
        self: &Arc<Self>,
        first: &mut Started,
        refusal: &Refusal,
        beside: Beside<Started>,
        own: bool,
    ) -> Option<Direct> {
        let known = (self.eras.speaks(Era::Legacy), self.eras.speaks(Era::Modern)) == (Some(true), Some(false));
        if known && !refusal.is_modern() {
            return None;
        }
        let children = self.clone();
        let ask = || -> Asking<Started> { async move { children.ask_another(discover()).await }.boxed() };
        match beside.now(ask, DISCOVER_PATIENCE).await? {
            Verdict::Modern(second, found) => Some(second.instead_of(first).direct(own, Some(found))),
            Verdict::NotModern(second) | Verdict::Legacy(second) => {
                self.eras.learn(Era::Modern, false);
                drop(second.dismiss());
                None
            }
        }
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

async fn ended(exit: JoinHandle<Exit>) {
    drop(exit.await);
}
