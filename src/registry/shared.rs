//! One server for many callers (`--shared`, `--stateless`).
//!
//! Owns who has joined, who subscribed to what, and the server's answer to `initialize`. Talks to the shared server's
//! peer below and to each member's peer above. It never restamps ids or tokens; the pump of the shared server does.
//!
//! What a member says goes through its own task, so that members wait for the server but never for each other. What
//! the server says outside of any call goes to whom it belongs, and never waits: a member that reads too slowly is cut
//! off.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

mod again;
mod line;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::timeout,
};
use tracing::{debug, warn};

pub use self::line::Source;

use self::line::Line;
use super::OpenError;
use crate::{
    message::{Frame, Kind, code, position},
    peer::{Caller, CallerId, Envelope, Inbox, PEER_CAPACITY, Peer, Reply},
    protocol::{NEWEST_LEGACY, Revision, method},
    scope::Scope,
};

/// How long the bridge's own `initialize` may stay unanswered. Servers that are fetched first take tens of seconds; the
/// official SDKs' clients give up after 60 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Subscriptions of one member, and the longest URI of one, in bytes. The hub remembers them; more would be an attack on
/// its memory.
const MAX_SUBSCRIPTIONS: (usize, usize) = (1024, 8 * 1024);

/// The longest params of `logging/setLevel` that are remembered for the next process.
const MAX_LEVEL: usize = 1024;

/// A running shared server. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    scope: Scope,
    /// The way in for exchanges that stand alone; `Some` for a stateless hub.
    lone: Option<mpsc::Sender<Envelope>>,
}

#[derive(Debug)]
struct Shared {
    /// Shown in log lines.
    name: Arc<str>,
    me: Weak<Shared>,
    scope: Scope,
    line: Line,
    /// Held while a process is started.
    starting: tokio::sync::Mutex<()>,
    /// Where another process comes from; `None`: from nowhere, and sessions end with the server.
    source: Option<Source>,
    /// The params of the last `logging/setLevel`.
    level: Mutex<Option<Box<str>>>,
    members: Mutex<HashMap<CallerId, Member>>,
    handshake: watch::Sender<Handshake>,
    stateless: bool,
    /// The server has nothing more to say, and there is no other. Its peer stays open for as long as this hub holds it, so
    /// that tells nothing.
    gone: AtomicBool,
}

#[derive(Debug)]
struct Member {
    tx: mpsc::Sender<Envelope>,
    caller: Arc<Caller>,
    subscriptions: HashSet<String>,
}

/// How far the one handshake with the server has come.
#[derive(Debug, Clone)]
enum Handshake {
    /// Nobody has asked yet.
    Open,
    /// Somebody's `initialize` is on its way.
    Running,
    /// What the server was asked, its result, as JSON text, and whether `notifications/initialized` was sent.
    Done { asked: Frame, result: Arc<str>, announced: bool },
}

/// The one parameter of the subscription methods that matters here.
#[derive(Deserialize)]
struct Uri {
    uri: String,
}

impl Hub {
    /// A server whose first caller initializes it.
    pub fn sessions(name: Arc<str>, back: Peer, source: Option<Source>, scope: &Scope) -> Hub {
        Hub::start(name, back, source, scope, false)
    }

    /// A server that the bridge initializes, for callers without a session.
    pub async fn stateless(name: Arc<str>, back: Peer, source: Option<Source>, scope: &Scope) -> Result<Hub, String> {
        let mut hub = Hub::start(name, back, source, scope, true);
        let caller = Caller::legacy(None);
        let params = serde_json::json!({
            "protocolVersion": NEWEST_LEGACY,
            "capabilities": {},
            "clientInfo": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
        });
        let request = Frame::request(&crate::message::Id::Number(0), "initialize", Some(&params.to_string()));
        let Ok(answer) = timeout(PATIENCE, hub.shared.ask(&caller, request.clone())).await else {
            return Err(format!("it did not answer within {} s; look into its log", PATIENCE.as_secs()));
        };
        let result = answer.as_ref().filter(|frame| !frame.is_error()).and_then(Frame::body);
        let Some(result) = result else {
            return Err(last_words(answer.as_ref()));
        };
        hub.shared.handshake.send_replace(Handshake::Done { asked: request, result: result.into(), announced: true });
        let initialized = Frame::notification("notifications/initialized", None);
        hub.shared.forward(Envelope::one_way(caller, initialized)).await;

        let (tx, rx) = mpsc::channel(PEER_CAPACITY);
        hub.scope.spawn(serve_lone(hub.shared.clone(), rx));
        hub.lone = Some(tx);
        Ok(hub)
    }

    fn start(name: Arc<str>, back: Peer, source: Option<Source>, scope: &Scope, stateless: bool) -> Hub {
        let Peer { tx, rx, home: _ } = back;
        let shared = Arc::new_cyclic(|me| Shared {
            name,
            me: me.clone(),
            scope: scope.clone(),
            line: Line::to(tx),
            starting: tokio::sync::Mutex::default(),
            source,
            level: Mutex::default(),
            members: Mutex::new(HashMap::new()),
            handshake: watch::Sender::new(Handshake::Open),
            stateless,
            gone: AtomicBool::new(false),
        });
        shared.line.read_by(scope.spawn(hand_out(Arc::downgrade(&shared), rx, 1)));
        again::watch(&shared);
        Hub { shared, scope: scope.clone(), lone: None }
    }

    /// Whether the server has ended.
    pub fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Acquire) || self.shared.line.is_closed()
    }

    /// Whether somebody has a session here.
    pub fn has_members(&self) -> bool {
        !self.shared.members().is_empty()
    }

    /// Whether there is a process now.
    pub fn is_up(&self) -> bool {
        !self.is_gone() && self.shared.line.is_up()
    }

    /// Sees to it that there is a process: another one, if the last has ended.
    pub async fn wake(&self) -> Result<(), OpenError> {
        self.shared.way().await.map(drop)
    }

    /// Lets a session in. It leaves when its partner drops the other end of `peer`.
    pub fn join(&self, caller: Arc<Caller>, peer: Peer, place: OwnedSemaphorePermit) {
        let Peer { tx, rx, home: _ } = peer;
        let member = Member { tx, caller: caller.clone(), subscriptions: HashSet::new() };
        self.shared.members().insert(caller.id, member);
        if self.is_gone() {
            // It came after the others were let go.
            self.shared.members().remove(&caller.id);
        }
        let shared = self.shared.clone();
        self.scope.spawn(async move {
            serve_member(&shared, &caller, rx).await;
            shared.leave(&caller).await;
            drop(place);
        });
    }

    /// The way in for an exchange that stands alone.
    pub fn outbox(&self) -> mpsc::Sender<Envelope> {
        // A hub of sessions has no such way in.
        self.lone.clone().unwrap_or_else(|| mpsc::channel(1).0)
    }
}

impl Shared {
    fn members(&self) -> MutexGuard<'_, HashMap<CallerId, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To the server. Waits while it is slow, or while another is started: that slows down the one who asks.
    async fn forward(&self, mut envelope: Envelope) {
        envelope.reply = envelope.reply.map(|reply| self.line.count(reply));
        if envelope.reply.is_none() && !self.line.is_up() {
            return; // What is not asked is about what has ended; the next process hears what it must.
        }
        match self.way().await {
            // If it has ended, the reply in the envelope, if any, was dropped and has answered.
            Ok(way) => drop(way.send(envelope).await),
            Err(error) => {
                let why = error.to_string();
                envelope.reply.into_iter().for_each(|reply| reply.fail(code::INTERNAL, &why, None));
            }
        }
    }

    /// Asks the server on behalf of `caller`; `None` when it has ended.
    async fn ask(&self, caller: &Arc<Caller>, request: Frame) -> Option<Frame> {
        let (tx, answers) = mpsc::channel(8);
        let reply = Reply::on(tx, &request, caller).await.ok()?;
        self.forward(Envelope { from: caller.clone(), frame: request, reply: Some(reply) }).await;
        answer_of(answers).await
    }

    /// The same on this way, whatever is known of it.
    async fn ask_on(&self, way: &mpsc::Sender<Envelope>, caller: &Arc<Caller>, request: Frame) -> Option<Frame> {
        let (tx, answers) = mpsc::channel(8);
        let reply = Reply::on(tx, &request, caller).await.ok()?;
        way.send(Envelope { from: caller.clone(), frame: request, reply: Some(reply) }).await.ok()?;
        answer_of(answers).await
    }

    /// Whether sessions go on with another process. Where nobody has shaken hands yet there is nothing to go on with.
    fn lasts(&self) -> bool {
        let shaken = matches!(*self.handshake.borrow(), Handshake::Done { .. });
        shaken && self.source.as_ref().is_some_and(|source| (source.lasts)())
    }

    fn level(&self) -> Option<Box<str>> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers `initialize` from the first result; the first caller's own goes to the server.
    async fn initialize(&self, from: &Arc<Caller>, frame: Frame, reply: Reply) {
        let mut watching = self.handshake.subscribe();
        loop {
            let mut first = false;
            self.handshake.send_if_modified(|state| {
                first = matches!(state, Handshake::Open);
                if first {
                    *state = Handshake::Running;
                }
                first
            });
            if first {
                return self.first_initialize(from, frame, reply).await;
            }
            if let Handshake::Done { result, .. } = &*watching.borrow_and_update() {
                return reply.answer(Frame::result("0", &self.negotiated(result, &frame)));
            }
            if watching.changed().await.is_err() {
                return;
            }
        }
    }

    async fn first_initialize(&self, from: &Arc<Caller>, frame: Frame, reply: Reply) {
        let Ok(Some(answer)) = timeout(PATIENCE, self.ask(from, frame.clone())).await else {
            // The dropped reply answers, and whoever comes next may try.
            self.handshake.send_replace(Handshake::Open);
            return;
        };
        let next = match answer.body() {
            Some(result) if !answer.is_error() => {
                Handshake::Done { asked: frame, result: result.into(), announced: false }
            }
            _ => Handshake::Open,
        };
        self.handshake.send_replace(next);
        reply.answer(answer);
    }

    /// A lone exchange speaks the revision that it asks for, since nothing of a session depends on it.
    fn negotiated(&self, result: &str, request: &Frame) -> String {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version<'a> {
            #[serde(borrow)]
            protocol_version: &'a RawValue,
        }
        let read = |body| serde_json::from_str::<Version>(body).ok().map(|version| version.protocol_version.get());
        match (request.body().and_then(read), read(result)) {
            (Some(asked), Some(given))
                if self.stateless && Revision::parse_legacy(asked.trim_matches('"')).is_some() =>
            {
                let mut negotiated = result.to_string();
                negotiated.replace_range(position(result, given), asked);
                negotiated
            }
            _ => result.to_string(),
        }
    }

    /// Whether this `notifications/initialized` is the one that the server is to see.
    fn announce(&self) -> bool {
        self.handshake.send_if_modified(|state| match state {
            Handshake::Done { announced, .. } => !std::mem::replace(announced, true),
            Handshake::Open | Handshake::Running => false,
        })
    }

    /// Whether a member has as many subscriptions as may be remembered, or wants one that is too long for that.
    fn is_full(&self, caller: &Caller, uri: &str) -> bool {
        let (most, longest) = MAX_SUBSCRIPTIONS;
        let members = self.members();
        let known = members.get(&caller.id).map(|member| &member.subscriptions);
        uri.len() > longest || known.is_some_and(|known| known.len() >= most && !known.contains(uri))
    }

    /// Notes a subscription, or its end. Says whether the server has to know: for the first and the last of a URI.
    fn subscribe(&self, caller: &Caller, uri: &str, on: bool) -> bool {
        let mut members = self.members();
        let others = members.values().any(|m| m.caller.id != caller.id && m.subscriptions.contains(uri));
        if let Some(member) = members.get_mut(&caller.id) {
            if on {
                member.subscriptions.insert(uri.to_string());
            } else {
                member.subscriptions.remove(uri);
            }
        }
        !others
    }

    /// Forgets a member and ends the subscriptions that only it had.
    async fn leave(&self, caller: &Arc<Caller>) {
        let left = self.members().remove(&caller.id).map(|member| member.subscriptions).unwrap_or_default();
        let alone = left.into_iter().filter(|uri| !self.members().values().any(|m| m.subscriptions.contains(uri)));
        for uri in alone.collect::<Vec<_>>() {
            if !self.line.is_up() {
                return; // The next process knows of nothing.
            }
            let params = serde_json::json!({ "uri": uri }).to_string();
            let request = Frame::request(&crate::message::Id::Number(0), "resources/unsubscribe", Some(&params));
            let (tx, answers) = mpsc::channel(1);
            let Ok(reply) = Reply::on(tx, &request, caller).await else { continue };
            // Nobody waits for the answer: one that never comes would keep the session's place.
            drop(answers);
            self.forward(Envelope { from: caller.clone(), frame: request, reply: Some(reply) }).await;
        }
    }

    /// Those who are to hear a notification that belongs to no call.
    fn entitled(&self, frame: &Frame) -> Vec<(CallerId, mpsc::Sender<Envelope>)> {
        let members = self.members();
        let to_all = matches!(
            frame.method(),
            method::TOOLS_CHANGED | method::PROMPTS_CHANGED | method::RESOURCES_CHANGED | method::CANCELLED
        );
        let updated = (frame.method() == method::RESOURCE_UPDATED)
            .then(|| frame.body().and_then(|body| serde_json::from_str::<Uri>(body).ok()))
            .flatten();
        let alone = members.len() == 1;
        members
            .iter()
            .filter(|(_, member)| match &updated {
                Some(Uri { uri }) => subscribed(&member.subscriptions, uri),
                None => to_all || alone,
            })
            .map(|(id, member)| (*id, member.tx.clone()))
            .collect()
    }
}

/// A subscription covers the resource and what lies below it (2025-11-25, Resources, Subscriptions: an update may name
/// a sub-resource).
fn subscribed(subscriptions: &HashSet<String>, uri: &str) -> bool {
    subscriptions.contains(uri)
        || subscriptions
            .iter()
            .any(|s| uri.strip_prefix(s.as_str()).is_some_and(|rest| s.ends_with('/') || rest.starts_with('/')))
}

/// Serves one session until it leaves.
async fn serve_member(shared: &Shared, caller: &Arc<Caller>, mut rx: Inbox) {
    while let Some(Envelope { from, frame, reply }) = rx.recv().await {
        match (frame.method(), reply) {
            ("initialize", Some(reply)) => shared.initialize(&from, frame, reply).await,
            ("notifications/initialized", None) => {
                if shared.announce() {
                    shared.forward(Envelope::one_way(from, frame)).await;
                }
            }
            (method @ ("resources/subscribe" | "resources/unsubscribe"), Some(reply)) => {
                let uri = frame.body().and_then(|body| serde_json::from_str::<Uri>(body).ok());
                let on = method == "resources/subscribe";
                if on && uri.as_ref().is_some_and(|Uri { uri }| shared.is_full(caller, uri)) {
                    let (most, longest) = MAX_SUBSCRIPTIONS;
                    let text =
                        format!("a client may have {most} subscriptions of {longest} bytes each; end others first");
                    reply.fail(code::LIMIT, &text, None);
                    continue;
                }
                // A subscription goes to the server each time: only the server can say that there is no such resource.
                if uri.is_none_or(|Uri { uri }| shared.subscribe(caller, &uri, on) || on) {
                    shared.forward(Envelope { from, frame, reply: Some(reply) }).await;
                } else {
                    reply.answer(Frame::result("0", "{}"));
                }
            }
            ("logging/setLevel", Some(reply)) => {
                let level = frame.body().filter(|params| params.len() <= MAX_LEVEL);
                *shared.level.lock().unwrap_or_else(PoisonError::into_inner) = level.map(Into::into);
                shared.forward(Envelope { from, frame, reply: Some(reply) }).await;
            }
            (_, reply) => shared.forward(Envelope { from, frame, reply }).await,
        }
    }
}

/// Serves exchanges that stand alone. Ends with the hub.
async fn serve_lone(shared: Arc<Shared>, mut rx: mpsc::Receiver<Envelope>) {
    while let Some(Envelope { from, frame, reply }) = rx.recv().await {
        match (frame.method(), reply) {
            ("initialize", Some(reply)) => shared.initialize(&from, frame, reply).await,
            ("notifications/initialized" | "notifications/roots/list_changed", None) => {}
            (method @ ("resources/subscribe" | "resources/unsubscribe" | "logging/setLevel"), Some(reply)) => {
                let text = format!("{method} needs a session, and this bridge runs with --stateless: start it without");
                reply.fail(code::METHOD_NOT_FOUND, &text, None);
            }
            (_, reply) => shared.forward(Envelope { from, frame, reply }).await,
        }
    }
}

/// Hands out what a process says outside of any call. Ends when it is gone; then another one is started, or every session
/// ends with it. Keeps nothing alive: a server that nobody can reach any more is to see its stdin close.
async fn hand_out(shared: Weak<Shared>, mut rx: Inbox, number: u64) {
    while let Some(envelope) = rx.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        match envelope.reply {
            Some(reply) => ask_back(&shared, envelope.from, envelope.frame, reply),
            None => notify(&shared, &envelope.from, &envelope.frame),
        }
    }
    let Some(shared) = shared.upgrade() else { return };
    if !shared.lasts() {
        shared.gone.store(true, Ordering::Release);
        shared.members().clear();
    } else if shared.line.ended(number) {
        shared.revive();
    }
}

/// The answer among what comes with it.
async fn answer_of(mut answers: mpsc::Receiver<Envelope>) -> Option<Frame> {
    loop {
        let envelope = answers.recv().await?;
        if matches!(envelope.frame.kind(), Kind::Response(_)) {
            return Some(envelope.frame);
        }
    }
}

/// What a server said that refused `initialize`.
fn last_words(answer: Option<&Frame>) -> String {
    answer.and_then(Frame::body).unwrap_or("it gave no answer").to_string()
}

/// A request of the server's that no call accounts for.
fn ask_back(shared: &Shared, from: Arc<Caller>, frame: Frame, reply: Reply) {
    if frame.method() == "ping" {
        return reply.answer(Frame::result("0", "{}"));
    }
    let only = {
        let members = shared.members();
        let mut all = members.values().map(|member| member.tx.clone());
        all.next().filter(|_| members.len() == 1)
    };
    let Some(only) = only else {
        let why =
            if shared.stateless { "its clients have no session (--stateless)" } else { "several clients share it" };
        let text = format!("nobody can be asked: {why}, and the call that this belongs to cannot be told");
        return reply.fail(code::METHOD_NOT_FOUND, &text, None);
    };
    if only.try_send(Envelope { from, frame, reply: Some(reply) }).is_err() {
        debug!(name = %shared.name, "the only client of the shared server does not read"); // The dropped reply has answered.
    }
}

fn notify(shared: &Shared, from: &Arc<Caller>, frame: &Frame) {
    let entitled = shared.entitled(frame);
    if entitled.is_empty() {
        debug!(name = %shared.name, method = frame.method(), "a notification of the shared server belongs to nobody");
    }
    for (id, tx) in entitled {
        if let Err(mpsc::error::TrySendError::Full(_)) = tx.try_send(Envelope::one_way(from.clone(), frame.clone())) {
            warn!(name = %shared.name, "cut off a client that reads too slowly for a shared server");
            shared.members().remove(&id);
        }
    }
}
