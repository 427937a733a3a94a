//! One initialized legacy server, whose client is the bridge.
//!
//! Owns the handshake, the ids, and what the server says outside of any call. Talks to the [`Peer`] that [`Open`] made.
//! It never puts a request of the server's to a call that may not be the cause of it: the one call that can be asked, or
//! nobody.
//! Subscriptions hear of list changes and resource updates by [`Backend::watch`]. Whoever holds a [`super::pool::Use`] keeps
//! the server from ending as idle.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tracing::{debug, warn};

use super::{
    OnWrongEra, Open, asked, lock,
    pool::{Key, Pool},
    request::Refusal,
    results::{self, Opened},
    subscriptions::Uris,
    tasks,
};
use crate::{
    json::{self, Object},
    message::{Frame, Id, Kind, code},
    peer::{Caller, Envelope, Inbox, Peer, Reply},
    protocol::{ErrorHead, Level, NEWEST_LEGACY, cancellation, method},
    room::{NoRoom, Room},
    scope::Scope,
};

/// What the server says about one call and its caller has not taken yet. A call is read at once, unless its caller is
/// slow.
pub(super) const CALL_CAPACITY: usize = 64;

/// List changes and updates that one subscription may have waiting.
const WATCH_CAPACITY: usize = 256;

/// How long the server may take to answer a `ping` after the handshake. What it asks until then was caused by no call:
/// servers ask for roots as soon as they are told that the client is initialized.
const SETTLE: Duration = Duration::from_millis(500);

/// How far the start has come.
#[derive(Debug, Clone)]
enum State {
    Starting,
    Ready(Arc<Opened>),
    Failed(Refusal),
}

/// A call that the server works on.
#[derive(Debug)]
struct Listed {
    id: i64,
    call: mpsc::WeakSender<Envelope>,
    /// Its caller can be asked.
    asks: bool,
    /// Its caller wants log lines.
    logs: bool,
}

/// One server.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) key: Key,
    /// The client that the server knows.
    me: Arc<Caller>,
    tx: OnceLock<mpsc::Sender<Envelope>>,
    next: AtomicI64,
    state: watch::Sender<State>,
    running: Mutex<Vec<Listed>>,
    watches: Mutex<Vec<mpsc::Sender<Frame>>>,
    /// The least severe log line that was ever asked for, plus one; 0 when none was.
    level: AtomicU8,
    /// The answer to `roots/list` where nobody can be asked.
    roots: Option<Arc<str>>,
    /// Who is subscribed to what.
    pub(super) uris: Uris,
    /// Which tools run as tasks alone.
    pub(super) tools: tasks::Tools,
    /// How many use it.
    pub(super) users: watch::Sender<usize>,
    /// For answers whose callers are to come back first.
    room: Room,
    over: AtomicBool,
}

impl Backend {
    pub(super) fn new(key: Key, roots: Option<Arc<str>>, max_waiting: usize) -> Backend {
        Backend {
            me: Caller::legacy(key.principal.clone()),
            key,
            tx: OnceLock::new(),
            next: AtomicI64::new(1),
            state: watch::Sender::new(State::Starting),
            running: Mutex::default(),
            watches: Mutex::default(),
            level: AtomicU8::new(0),
            roots,
            uris: Uris::default(),
            tools: tasks::Tools::default(),
            users: watch::Sender::new(0),
            room: Room::new(max_waiting),
            over: AtomicBool::new(false),
        }
    }

    /// Starts it, and shakes hands. Tells everybody who waits for it.
    pub(super) async fn start(self: &Arc<Self>, start: Start<'_>) {
        let outcome = self.shake_hands(start).await;
        self.state.send_replace(match outcome {
            Ok(opened) => State::Ready(Arc::new(opened)),
            Err(refusal) => {
                warn!("no legacy server: {}", refusal.message);
                start.pool.lost(self);
                State::Failed(refusal)
            }
        });
    }

    async fn shake_hands(self: &Arc<Self>, start: Start<'_>) -> Result<Opened, Refusal> {
        let Start { open, pool, scope, patience, client, on_wrong_era } = start;
        let peer = open(self.me.clone()).await;
        let Peer { tx, rx, home: _ } = peer.map_err(|why| Refusal::unavailable(why.message, why.retry_after))?;
        self.tx.set(tx).ok(); // Started once.
        scope.spawn(read(Arc::downgrade(self), Arc::downgrade(pool), rx));
        let answer = timeout(patience, self.ask(method::INITIALIZE, Some(&self.introduction(client)))).await;
        let unusable = |why: String| Refusal::new(code::INTERNAL, format!("the server cannot be initialized: {why}"));
        let Ok(answer) = answer else {
            return Err(unusable(format!("it did not answer within {} s; look into its log", patience.as_secs())));
        };
        let Some(answer) = answer else { return Err(unusable("it ended".into())) };
        if let Some(error) = ErrorHead::of(&answer) {
            // A server that refuses this client's capabilities says nothing of its era while another of its kind serves:
            // a client must not be able to make the bridge ask anew, which all others would wait for.
            if is_of_another_era(&error) || !pool.has_ready() {
                on_wrong_era();
            }
            // Not "it answered": the wire's own word for a server that ended comes the same way.
            return Err(unusable(one_line(&error.message)));
        }
        let opened = results::opened(answer.body().unwrap_or_default()).map_err(unusable)?;
        self.send(Envelope::one_way(self.me.clone(), Frame::notification(method::INITIALIZED, None))).await;
        if timeout(SETTLE, self.ask("ping", None)).await.is_err() {
            debug!("the server does not answer ping");
        }
        Ok(opened)
    }

    /// The params of `initialize`: the caller's name where it has one that will do, and what was declared.
    fn introduction(&self, client: Option<&str>) -> String {
        let own = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") }).to_string();
        let mut declared = Object::parse(&self.key.capabilities).unwrap_or_default();
        if self.roots.is_some() {
            declared.set("roots", "{}");
        }
        let mut params = Object::new();
        params.set("protocolVersion", json::quote(NEWEST_LEGACY));
        params.set("capabilities", declared.to_string());
        params.set("clientInfo", client.filter(|text| is_implementation(text)).unwrap_or(&own));
        params.to_string()
    }

    /// Waits until it is started, or cannot be.
    pub(super) async fn opened(&self) -> Result<Arc<Opened>, Refusal> {
        if let State::Ready(opened) = &*self.state.borrow() {
            return Ok(opened.clone()); // As nearly always.
        }
        let mut watching = self.state.subscribe();
        loop {
            match &*watching.borrow_and_update() {
                State::Ready(opened) => return Ok(opened.clone()),
                State::Failed(refusal) => return Err(refusal.clone()),
                State::Starting => {}
            }
            if watching.changed().await.is_err() {
                return Err(Refusal::new(code::INTERNAL, "the server ended before it was started"));
            }
        }
    }

    /// Whether it is past its start.
    pub(super) fn is_ready(&self) -> bool {
        matches!(&*self.state.borrow(), State::Ready(_))
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) || self.tx.get().is_some_and(mpsc::Sender::is_closed)
    }

    pub(super) fn me(&self) -> &Arc<Caller> {
        &self.me
    }

    pub(super) fn fresh_id(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// To the server. Waits while it is slow. What is dropped here answers itself.
    pub(super) async fn send(&self, envelope: Envelope) {
        if let Some(tx) = self.tx.get() {
            drop(tx.send(envelope).await);
        }
    }

    /// The same without waiting. False when the server does not read or has ended.
    pub(super) fn say(&self, frame: Frame) -> bool {
        let envelope = Envelope::one_way(self.me.clone(), frame);
        self.tx.get().is_some_and(|tx| tx.try_send(envelope).is_ok())
    }

    /// Tells the server that a call is not wanted any more. False when it does not listen.
    pub(super) fn cancel(&self, id: i64, reason: &str) -> bool {
        self.say(cancellation(&id.to_string(), Some(reason)))
    }

    /// Asks the server on the bridge's own account; `None` when it is gone.
    pub(super) async fn ask(&self, method: &str, params: Option<&str>) -> Option<Frame> {
        let (tx, mut answers) = mpsc::channel(CALL_CAPACITY);
        let request = Frame::request(&Id::Number(self.fresh_id()), method, params);
        let reply = Reply::on(tx, &request, &self.me).await.ok()?;
        self.send(Envelope { from: self.me.clone(), frame: request, reply: Some(reply) }).await;
        loop {
            let envelope = answers.recv().await?;
            if matches!(envelope.frame.kind(), Kind::Response(_)) {
                return Some(envelope.frame);
            }
            self.unsolicited(envelope);
        }
    }

    /// Has the server log what a call wants to see, if it does not yet. It is never told to log less: what a call did
    /// not ask for is left out on its way.
    pub(super) async fn log_from(&self, level: Level) {
        let wanted = level as u8 + 1;
        let now = self.level.load(Ordering::Acquire);
        if now != 0 && now <= wanted {
            return;
        }
        let params = format!(r#"{{"level":"{}"}}"#, level.name());
        if self.ask("logging/setLevel", Some(&params)).await.is_some_and(|answer| !answer.is_error()) {
            self.level.store(wanted, Ordering::Release);
        }
    }

    // ---- what belongs to no call

    /// The list changes and resource updates that come from now on. Ends with the server, or when it is not read.
    pub(super) fn watch(&self) -> mpsc::Receiver<Frame> {
        let (tx, rx) = mpsc::channel(WATCH_CAPACITY);
        let mut watches = lock(&self.watches);
        watches.retain(|watch| !watch.is_closed());
        // Looked at under the lock: who comes after the end must not wait for it.
        if !self.is_over() {
            watches.push(tx);
        }
        rx
    }

    /// Puts a call on the list of those that may be meant by what the server says outside of any call.
    pub(super) fn run(&self, id: i64, call: &mpsc::Sender<Envelope>, asks: bool, logs: bool) {
        if !asks && !logs {
            return;
        }
        lock(&self.running).push(Listed { id, call: call.downgrade(), asks, logs });
    }

    /// Takes a call off the list.
    pub(super) fn ran(&self, id: i64) {
        lock(&self.running).retain(|running| running.id != id);
    }

    /// Says whether a call wants log lines from now on: a retry decides anew.
    pub(super) fn logs(&self, id: i64, logs: bool) {
        if let Some(running) = lock(&self.running).iter_mut().find(|running| running.id == id) {
            running.logs = logs;
        }
    }

    /// The one call of which this is true.
    fn only(&self, which: impl Fn(&Listed) -> bool) -> Option<mpsc::Sender<Envelope>> {
        let running = lock(&self.running);
        let mut all = running.iter().filter(|running| which(running));
        let only = all.next()?;
        if all.next().is_some() { None } else { only.call.upgrade() }
    }

    /// Deals with what names no call. Never waits.
    pub(super) fn unsolicited(&self, envelope: Envelope) {
        let Envelope { from, frame, reply } = envelope;
        match (frame.method(), reply) {
            ("ping", Some(reply)) => reply.answer(Frame::result("0", "{}")),
            (_, Some(reply)) => match self.only(|running| running.asks) {
                // Not taken: the reply answers as it is dropped.
                Some(call) => drop(call.try_send(Envelope { from, frame, reply: Some(reply) })),
                None => self.nobody(&frame, reply),
            },
            (method::MESSAGE, None) => {
                if let Some(call) = self.only(|running| running.logs) {
                    drop(call.try_send(Envelope::one_way(from, frame)));
                }
            }
            // The server takes a request of its own back.
            (method::CANCELLED, None) => {
                if let Some(call) = self.only(|running| running.asks) {
                    drop(call.try_send(Envelope::one_way(from, frame)));
                }
            }
            (name, None) if name.ends_with("/list_changed") || name == method::RESOURCE_UPDATED => {
                if name == method::TOOLS_CHANGED {
                    self.tools.forget();
                }
                // Who does not read is let go, and sees the end: never waited for, never left with a gap.
                lock(&self.watches).retain(|watch| watch.try_send(frame.clone()).is_ok());
            }
            (name, None) => debug!(method = name, "a notification of a legacy server belongs to nobody"),
        }
    }

    /// An answer as it waits for its caller: not in the wire's room, which whoever uses the server next has need of.
    pub(super) fn kept(&self, answer: Frame) -> Frame {
        match self.room.try_take(answer.bytes().len()) {
            Ok(room) => answer.holding(room),
            Err(NoRoom) => {
                let text = "the answer came before the client was back, and too much waits there already; call again";
                Frame::error("0", code::LIMIT, text, None)
            }
        }
    }

    /// Whether `roots/list` has an answer where nobody can be asked.
    pub(super) fn knows_roots(&self) -> bool {
        self.roots.is_some()
    }

    /// Answers a request of the server's that cannot be put to anybody.
    pub(super) fn nobody(&self, frame: &Frame, reply: Reply) {
        match (frame.method(), &self.roots) {
            ("ping", _) => reply.answer(Frame::result("0", "{}")),
            (asked::ROOTS, Some(roots)) => reply.answer(Frame::result("0", roots)),
            (asked::ROOTS, None) => {
                let text = "nobody can be asked outside of a call; start the bridge with --root to have it answer";
                reply.fail(code::METHOD_NOT_FOUND, text, None);
            }
            (name, _) => {
                let text = format!(
                    "nobody can be asked: {name} came outside of a call whose client can answer it; ask during one"
                );
                reply.fail(code::METHOD_NOT_FOUND, &text, None);
            }
        }
    }
}

/// The words of an error that somebody else gave, fit for a message of one line.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// Whether a server will take this for the name of its client: one that does not refuses everybody who waits for it.
fn is_implementation(text: &str) -> bool {
    Object::parse(text).is_some_and(|client| {
        let is_text = |key: &str| client.get(key).map(|value| value.starts_with('"'));
        is_text("name") == Some(true) && is_text("version") == Some(true) && is_text("title") != Some(false)
    })
}

/// Whether a server refuses `initialize` itself, and not who sent it.
fn is_of_another_era(error: &ErrorHead) -> bool {
    matches!(error.code, Some(code::METHOD_NOT_FOUND | code::UNSUPPORTED_VERSION))
}

/// What a start needs.
#[derive(Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) open: &'a Open,
    pub(super) pool: &'a Arc<Pool>,
    pub(super) scope: &'a Scope,
    pub(super) patience: Duration,
    pub(super) client: Option<&'a str>,
    pub(super) on_wrong_era: &'a OnWrongEra,
}

/// The answer to `roots/list` for the roots that were configured.
pub(super) fn roots_result(roots: &[String]) -> Option<Arc<str>> {
    let roots: Vec<_> = roots.iter().map(|uri| json!({ "uri": uri })).collect();
    (!roots.is_empty()).then(|| json!({ "roots": roots }).to_string().into())
}

/// Hears what the server says outside of any call. Ends with the server; keeps nothing alive.
async fn read(backend: std::sync::Weak<Backend>, pool: std::sync::Weak<Pool>, mut rx: Inbox) {
    while let Some(envelope) = rx.recv().await {
        let Some(backend) = backend.upgrade() else { return };
        backend.unsolicited(envelope);
    }
    let Some(backend) = backend.upgrade() else { return };
    backend.over.store(true, Ordering::Release);
    lock(&backend.watches).clear();
    if let Some(pool) = pool.upgrade() {
        pool.lost(&backend);
    }
}

/// The log level of a `notifications/message`.
pub(super) fn level_of(frame: &Frame) -> Option<Level> {
    let params = Object::parse(frame.body()?)?;
    Level::parse(&json::string(params.get("level")?)?)
}

/// How far a `notifications/progress` says that the call has come.
pub(super) fn progress_of(frame: &Frame) -> Option<f64> {
    let params = Object::parse(frame.body()?)?;
    params.get("progress")?.parse().ok()
}
