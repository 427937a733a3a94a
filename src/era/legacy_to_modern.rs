//! One legacy session at a modern server.
//!
//! Owns the session that the server does not have: who the client is, its log level, its subscriptions, its calls in
//! flight and the requests that it was asked. Talks to the client's front through a [`Peer`], and to the server through
//! an [`Outbox`]. It never knows a transport, never invents what a server offers, and never waits in its main loop for a
//! call, since the answers to what the client is asked come through the same loop.
//!
//! | legacy | here |
//! |---|---|
//! | `initialize` | answered from `server/discover` (`opening`) |
//! | `ping`, `logging/setLevel` | answered here |
//! | `resources/subscribe`, list changes | one `subscriptions/listen` for all of them (`listen`) |
//! | other requests | sent on with what a modern request has to carry (`client`), one task each (`call`) |
//! | requests of the server | what a result of `input_required` asks for (`legs`) |
//! | results and errors | as the client's revision knows them (`results`) |

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, WeakSender, error::TrySendError},
        oneshot,
    },
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::{
    call::Call,
    client::Client,
    listen::{Change, Command, Listener},
    opening::Offers,
};
use crate::{
    json::{self, Object},
    message::{Frame, Id, Kind, code},
    peer::{Caller, CallerId, Envelope, Inbox, Outbox, PEER_CAPACITY, Peer, Reply},
    protocol::{Level, MODERN, cancellation, method},
    scope::Scope,
};

mod call;
mod client;
mod legs;
mod listen;
mod opening;
mod results;
#[cfg(test)]
mod tests;

/// Messages of one request that wait for its task. The task passes each on to the client, so a client that does not read
/// holds up its own call, and is cut off by a server that others share. That says many things in one go.
const CALL_CAPACITY: usize = 1024;

/// The same of a subscription. Its task waits for nobody, but a server may tell of many changes at once, and one that is
/// shared waits for nobody either.
const LISTEN_CAPACITY: usize = 512;

/// Changes of subscriptions that wait for the one before. A client that asks for more gets an error.
const MAX_COMMANDS: usize = 64;

/// What may be set for one session.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often one call may ask its client for input. Stops a server that asks for ever. 10, as in the official SDKs.
    pub rounds: u32,
    /// Requests that one result may ask for. Each takes a place in the client's buffers. 32.
    pub legs: usize,
    /// How long the client, and its user, may take to answer one. 10 minutes.
    pub leg_patience: Duration,
    /// Calls in flight; one more is answered with an error. 512, as at the fronts.
    pub max_in_flight: usize,
    /// The log level of a client that sets none; with `None` it hears no log. `info`: in its era such a client hears what
    /// the server thinks fit (2025-11-25, Logging, Setting Log Level), and servers on the official SDKs send everything.
    pub log_level: Option<Level>,
    /// How long `server/discover`, and the acknowledgement of a subscription, may take. Servers that are fetched first
    /// take tens of seconds. 60 s.
    pub patience: Duration,
    /// The shortest wait before lost subscriptions are asked for again. Stops a busy loop with a server that ends each one
    /// at once. 1 s.
    pub listen_floor: Duration,
    /// The longest such wait, at random up to this. 30 s.
    pub listen_longest: Duration,
    /// How long calls may go on after the client has left, if somebody still takes the answer, and how long a server may
    /// take to hear that one is taken back. 10 s.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            rounds: 10,
            legs: 32,
            leg_patience: Duration::from_secs(10 * 60),
            max_in_flight: 512,
            log_level: Some(Level::Info),
            patience: Duration::from_secs(60),
            listen_floor: Duration::from_secs(1),
            listen_longest: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}

/// Serves one legacy session until its partner leaves, or the server is gone for good. `peer` is the server's end;
/// `server` is where modern exchanges go.
pub async fn serve(peer: Peer, server: Outbox, settings: Settings, scope: &Scope) {
    serve_until(std::future::pending(), peer, server, None, settings, scope).await;
}

/// The same, and until `gone` resolves: a server that has ended may leave its outbox open, to say why. `found` is what the
/// server has just answered to `server/discover`; then it is not asked that again for the first `initialize`.
pub async fn serve_until(
    gone: impl Future<Output = ()>,
    peer: Peer,
    server: Outbox,
    found: Option<Frame>,
    settings: Settings,
    scope: &Scope,
) {
    let Peer { tx, mut rx, home } = peer;
    let session = Arc::new(Session::new(server, home, found, settings));
    let desk = Desk { client: Arc::default(), level: session.settings.log_level, caller: None, listener: None };
    let work = Router { session: session.clone(), desk, tx, scope: scope.clone() };
    let lost = async {
        tokio::select! {
            () = session.server.closed() => {}
            () = gone => {}
        }
    };
    tokio::select! {
        () = work.run(&mut rx) => {}
        () = lost => debug!("the server of a translated session is gone"),
        () = scope.stopped() => session.over.cancel(),
    }
    drop(rx); // What the client was asked is answered by nobody any more.
    session.close().await;
}

/// What the tasks of one session share.
#[derive(Debug)]
struct Session {
    server: Outbox,
    settings: Settings,
    /// Into what the client says: where its answers arrive.
    home: WeakSender<Envelope>,
    /// Who speaks to the client.
    voice: Arc<Caller>,
    /// What the server answered to `server/discover` before this session; taken by the first who needs it.
    found: Mutex<Option<Frame>>,
    /// Ids for the server and ids for the client. One row of numbers for both: none is used twice.
    ids: AtomicI64,
    /// What the server said that it offers; `None` before it was asked.
    offers: Mutex<Option<Offers>>,
    /// What takes a call back, by whose it is and what its caller calls it.
    calls: Mutex<HashMap<(CallerId, Id), CancellationToken>>,
    /// Who waits for the client's answer.
    legs: Mutex<HashMap<i64, oneshot::Sender<Frame>>>,
    places: Arc<Semaphore>,
    /// Set when the session ends and nothing is to go on.
    over: CancellationToken,
}

/// A request that the server has, and what comes back.
#[derive(Debug)]
struct Asked {
    id: i64,
    rx: mpsc::Receiver<Envelope>,
}

impl Asked {
    /// The answer, whatever comes ahead of it; `None` when there is none.
    async fn answer(&mut self) -> Option<Frame> {
        loop {
            let Envelope { frame, .. } = self.rx.recv().await?;
            if matches!(frame.kind(), Kind::Response(_)) {
                return Some(frame);
            }
        }
    }
}

/// The poison of a lock means that a task panicked elsewhere; the tables stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    fn new(server: Outbox, home: WeakSender<Envelope>, found: Option<Frame>, settings: Settings) -> Session {
        Session {
            server,
            home,
            voice: Caller::legacy(None),
            found: Mutex::new(found),
            ids: AtomicI64::new(1),
            offers: Mutex::default(),
            calls: Mutex::default(),
            legs: Mutex::default(),
            places: Arc::new(Semaphore::new(settings.max_in_flight)),
            over: CancellationToken::new(),
            settings,
        }
    }

    /// An id that this session has not used.
    fn mint(&self) -> i64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks the server. Waits while it is slow to take requests; one that is gone gives an error for an answer.
    async fn ask(&self, caller: &Arc<Caller>, method: &str, params: &str) -> Asked {
        let id = self.mint();
        self.send(caller, id, Frame::request(&Id::Number(id), method, Some(params))).await
    }

    /// The same with a request that is made already, whose id this session minted.
    async fn send(&self, caller: &Arc<Caller>, id: i64, frame: Frame) -> Asked {
        let (tx, rx) = mpsc::channel(CALL_CAPACITY);
        self.send_for(tx, caller, frame).await;
        Asked { id, rx }
    }

    /// The same; what comes back goes into `tx`.
    async fn send_for(&self, tx: mpsc::Sender<Envelope>, caller: &Arc<Caller>, frame: Frame) {
        let Ok(reply) = Reply::on(tx, &frame, caller).await else { return };
        let envelope = Envelope { from: caller.clone(), frame, reply: Some(reply) };
        if self.server.send(envelope).await.is_err() {
            debug!("the server is gone"); // The reply in the envelope was dropped and has answered.
        }
    }

    /// Takes a request back. Gives up where the server takes nothing: who waits for this has an answer to give.
    async fn withdraw(&self, caller: &Arc<Caller>, id: i64) {
        let frame = cancellation(&id.to_string(), None);
        let sent = self.server.send(Envelope::one_way(caller.clone(), frame));
        if timeout(self.settings.grace, sent).await.is_err() {
            debug!(id, "the server takes nothing, not even that a request is taken back");
        }
    }

    /// Lets calls finish for a while, if somebody takes their answers.
    async fn close(&self) {
        lock(&self.legs).clear();
        let all = u32::try_from(self.settings.max_in_flight).unwrap_or(u32::MAX);
        let finished = timeout(self.settings.grace, self.places.acquire_many(all));
        tokio::select! {
            _ = finished => {}
            () = self.over.cancelled() => {}
        }
        self.over.cancel();
    }

    fn offers<T>(&self, read: impl FnOnce(&Offers) -> T) -> Option<T> {
        lock(&self.offers).as_ref().map(read)
    }
}

/// What only the main loop knows.
#[derive(Debug)]
struct Desk {
    client: Arc<Client>,
    level: Option<Level>,
    /// Who speaks to the server for the client that spoke last. Behind a shared front there may be several.
    caller: Option<(CallerId, Arc<Caller>)>,
    listener: Option<mpsc::Sender<Command>>,
}

struct Router {
    session: Arc<Session>,
    desk: Desk,
    /// Held to the end: dropped, it tells the client's front that the session is over.
    tx: mpsc::Sender<Envelope>,
    scope: Scope,
}

impl Router {
    /// Ends when the client has nothing more to say.
    async fn run(mut self, rx: &mut Inbox) {
        while let Some(Envelope { from, frame, reply }) = rx.recv().await {
            match (frame.kind(), reply) {
                (Kind::Request(_), Some(reply)) => {
                    tokio::select! {
                        biased;
                        () = self.request(&from, frame, reply) => {}
                        () = rx.ended(PEER_CAPACITY) => return, // The server takes nothing, and nobody waits for that.
                    }
                }
                (Kind::Request(_), None) => {}
                (Kind::Response(Some(Id::Number(id))), _) => {
                    if let Some(leg) = lock(&self.session.legs).remove(id) {
                        // It may wait there for an answer that is behind it, and must not take that one's room. How many can
                        // wait is bounded. Dropped where the call does not wait any more.
                        drop(leg.send(frame.released()));
                    }
                }
                (Kind::Response(_), _) => debug!("dropped an answer to a question that nobody asked"),
                (Kind::Notification, _) => self.notification(&from, &frame),
            }
        }
    }

    async fn request(&mut self, from: &Arc<Caller>, frame: Frame, reply: Reply) {
        match frame.method() {
            method::INITIALIZE => self.initialize(from, &frame, reply),
            "ping" => reply.answer(Frame::result(frame.id_text(), "{}")),
            "logging/setLevel" => self.set_level(&frame, reply),
            "resources/subscribe" => self.subscribe(from, &frame, reply, true),
            "resources/unsubscribe" => self.subscribe(from, &frame, reply, false),
            name if name.starts_with("tasks/") => {
                let text = format!(
                    "{name} cannot be served: tasks of revision 2025-11-25 have no form in {MODERN}, which the server \
                     speaks; call the tool without a task"
                );
                reply.fail(code::METHOD_NOT_FOUND, &text, None);
            }
            name @ (method::LISTEN | method::DISCOVER) => {
                let instead = if name == method::LISTEN { "use resources/subscribe" } else { "initialize has said it" };
                let text = format!("{name} is of revision {MODERN}, and this is a session of an older one; {instead}");
                reply.fail(code::METHOD_NOT_FOUND, &text, None);
            }
            _ => self.call(from, &frame, reply).await,
        }
    }

    fn notification(&mut self, from: &Arc<Caller>, frame: &Frame) {
        match frame.method() {
            method::INITIALIZED => {
                let changes = self.session.offers(|offers| offers.changes.any()).unwrap_or_default();
                if changes {
                    drop(self.listener(from).try_send(Command::Begin));
                }
            }
            method::CANCELLED => {
                let key = frame.cancelled().map(|id| (from.id, id.clone()));
                if let Some(token) = key.and_then(|key| lock(&self.session.calls).get(&key).cloned()) {
                    token.cancel();
                }
            }
            // A modern server asks for roots when it needs them, and has no use for the others (2026-07-28, schema,
            // ClientNotification).
            name => debug!(method = name, "a notification that has no form in {MODERN} ends here"),
        }
    }

    // ---- what is answered here

    fn initialize(&mut self, from: &Arc<Caller>, frame: &Frame, reply: Reply) {
        let client = match Client::read(frame.body()) {
            Ok(client) => Arc::new(client),
            Err(why) => return reply.fail(code::INVALID_PARAMS, &why, None),
        };
        self.desk.client = client.clone();
        let (session, caller) = (self.session.clone(), self.caller(from));
        self.scope.spawn(opening::initialize(session, client, caller, reply));
    }

    fn set_level(&mut self, frame: &Frame, reply: Reply) {
        if self.session.offers(|offers| offers.logging) == Some(false) {
            let text = "the server has no logging capability, so there is no level to set";
            return reply.fail(code::METHOD_NOT_FOUND, text, None);
        }
        let level = frame.body().and_then(Object::parse).and_then(|params| {
            let name = json::string(params.get("level")?)?.into_owned();
            Level::parse(&name)
        });
        let Some(level) = level else {
            let text = "the level is none of debug, info, notice, warning, error, critical, alert, emergency";
            return reply.fail(code::INVALID_PARAMS, text, None);
        };
        self.desk.level = Some(level);
        reply.answer(Frame::result(frame.id_text(), "{}"));
    }

    fn subscribe(&mut self, from: &Arc<Caller>, frame: &Frame, reply: Reply, on: bool) {
        if self.session.offers(|offers| offers.subscribe) == Some(false) {
            let text = format!("{}: the server offers no subscriptions to resources", frame.method());
            return reply.fail(code::METHOD_NOT_FOUND, &text, None);
        }
        let uri = frame.body().and_then(Object::parse);
        let uri = uri.as_ref().and_then(|params| params.get("uri")).and_then(json::string);
        let Some(uri) = uri else {
            let text = format!("{}: the params have no uri", frame.method());
            return reply.fail(code::INVALID_PARAMS, &text, None);
        };
        let command = Command::Change(Change { uri: uri.into_owned(), on, reply });
        let listener = self.listener(from);
        // The last place is that of `Command::Begin`, which nobody repeats.
        let sent = if listener.capacity() > 1 { listener.try_send(command) } else { Err(TrySendError::Full(command)) };
        if let Err(TrySendError::Full(Command::Change(Change { reply, .. }))) = sent {
            let text = format!("{MAX_COMMANDS} changes of subscriptions wait; wait for an answer before the next one");
            reply.fail(code::LIMIT, &text, None);
        }
    }

    // ---- what goes to the server

    async fn call(&mut self, from: &Arc<Caller>, frame: &Frame, reply: Reply) {
        let params = match self.desk.client.params(frame, self.desk.level) {
            Ok(params) => params,
            Err(why) => return reply.fail(code::INVALID_PARAMS, why, None),
        };
        let Ok(place) = self.session.places.clone().try_acquire_owned() else {
            let most = self.session.settings.max_in_flight;
            let text = format!("{most} requests are in flight; wait for an answer before the next one");
            return reply.fail(code::LIMIT, &text, None);
        };
        let Kind::Request(id) = frame.kind() else { return };
        let key = (from.id, id.clone());
        let token = self.session.over.child_token();
        match lock(&self.session.calls).entry(key.clone()) {
            Entry::Vacant(entry) => drop(entry.insert(token.clone())),
            Entry::Occupied(_) => {
                let text = "this id is in use by a request that is still in flight";
                return reply.fail(code::INVALID_REQUEST, text, None);
            }
        }
        let id = self.session.mint();
        let request = Frame::request_of(&Id::Number(id), frame.method(), &params);
        let call = Call {
            session: self.session.clone(),
            client: self.desk.client.clone(),
            caller: self.caller(from),
            method: frame.method().into(),
            token: frame.token_text().map(Box::from),
            request: request.clone(),
            progress: AtomicU64::default(),
            reply,
            cancelled: token,
            key,
            _place: place,
        };
        // Here and not in the task: what the client said in order arrives in order. Until it is written it has the room that
        // the client's message had, and no longer: the client may have to say more before the call is answered.
        let asked = self.session.send(&call.caller, id, request.in_place_of(frame)).await;
        self.scope.spawn(call.run(asked));
    }

    /// Who speaks to the server for this client.
    fn caller(&mut self, from: &Arc<Caller>) -> Arc<Caller> {
        match &self.desk.caller {
            Some((id, caller)) if *id == from.id => caller.clone(),
            _ => {
                let caller = Caller::modern(from.principal.clone());
                self.desk.caller = Some((from.id, caller.clone()));
                caller
            }
        }
    }

    fn listener(&mut self, from: &Arc<Caller>) -> mpsc::Sender<Command> {
        if let Some(listener) = &self.desk.listener {
            return listener.clone();
        }
        let (tx, rx) = mpsc::channel(MAX_COMMANDS + 1);
        let caller = Caller::modern(from.principal.clone());
        let listener = Listener::new(self.session.clone(), self.desk.client.clone(), caller, self.tx.clone(), rx);
        self.scope.spawn(listener.run());
        self.desk.listener = Some(tx.clone());
        tx
    }
}
