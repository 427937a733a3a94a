//! One legacy session with all servers.
//!
//! Owns a session with each of them, opened when the client initializes, and again when it is wanted after its server was
//! gone. Talks to the servers' registries and to the client. It never ends the client's session because of a server: it
//! tells that the lists have changed.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use futures::future::join_all;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Aggregate, line::Line, lock};
use crate::{
    aggregate::{Offer, initialized, marked},
    json::{self, Object},
    message::{Frame, Kind, code},
    peer::{Caller, Envelope, Inbox, Peer, Reply},
    protocol::{ErrorHead, method},
};

/// How long a server may take to answer `initialize`; see [`super::PATIENCE`] for how long the client waits for it.
const HANDSHAKE: std::time::Duration = std::time::Duration::from_secs(10 * 60);

/// What the bridge's own `initialize` is called at a server.
const OWN_ID: &str = "\"mcp-bridge/initialize\"";

/// The sessions behind one session.
#[derive(Debug)]
pub(super) struct Seats {
    pub(super) whole: Arc<Aggregate>,
    /// To the client.
    tx: mpsc::Sender<Envelope>,
    /// Who speaks to the client.
    voice: Arc<Caller>,
    hello: Mutex<Option<Hello>>,
    /// The client has said `notifications/initialized`.
    announced: AtomicBool,
    level: Mutex<Option<Frame>>,
    seats: Vec<Seat>,
    /// The client is gone.
    over: CancellationToken,
}

/// How the client introduced itself.
#[derive(Debug, Clone)]
struct Hello {
    caller: Arc<Caller>,
    frame: Frame,
}

#[derive(Debug, Default)]
struct Seat {
    /// Held while the server is opened: whoever comes second waits for the one session.
    opening: tokio::sync::Mutex<()>,
    way: Mutex<Option<mpsc::Sender<Envelope>>>,
    /// The server was sent `notifications/initialized`.
    told: AtomicBool,
}

impl Seats {
    /// Serves a session until its client leaves.
    pub(super) async fn serve(whole: Arc<Aggregate>, peer: Peer) {
        let Peer { tx, mut rx, home: _ } = peer;
        let seats = Arc::new(Seats {
            seats: whole.all().map(|_| Seat::default()).collect(),
            whole,
            voice: Caller::legacy(None),
            hello: Mutex::default(),
            announced: AtomicBool::new(false),
            level: Mutex::default(),
            over: CancellationToken::new(),
            tx: tx.clone(),
        });
        let line = Line::of_session(seats.clone());
        tokio::select! {
            () = seats.work(&line, &mut rx) => {}
            () = tx.closed() => {}
        }
        seats.over.cancel();
        seats.seats.iter().for_each(|seat| *lock(&seat.way) = None);
    }

    /// Ends when the client has nothing more to say.
    async fn work(self: &Arc<Self>, line: &Arc<Line>, rx: &mut Inbox) {
        while let Some(Envelope { from, frame, reply }) = rx.recv().await {
            match (frame.method(), reply) {
                (method::INITIALIZE, Some(reply)) => {
                    *lock(&self.hello) = Some(Hello { caller: from, frame });
                    self.whole.scope.spawn(self.clone().initialize(reply));
                }
                (method::INITIALIZED, None) => {
                    self.announced.store(true, Ordering::Release);
                    self.whole.all().for_each(|server| self.announce(server));
                }
                ("ping", Some(reply)) => {
                    let pong = Frame::result(reply.id_text(), "{}");
                    reply.answer(pong);
                }
                ("logging/setLevel", Some(reply)) => {
                    *lock(&self.level) = Some(frame.clone());
                    self.whole.scope.spawn(set_level(line.clone(), from, frame, reply));
                }
                (_, Some(reply)) => line.request(from, frame, reply),
                (_, None) => line.notification(&from, frame),
            }
        }
    }

    /// Answers `initialize` when all servers have, or have been waited for.
    async fn initialize(self: Arc<Self>, reply: Reply) {
        let this = &self;
        let opened = join_all(self.whole.all().map(|server| async move {
            let late = |_| Err(("it is not there in time; it is offered as soon as it is".to_owned(), true));
            let opened = async {
                match this.whole.unready(server) {
                    Some(why) => Err((why, false)),
                    None => this.way(server).await.map_err(|why| (why, false)),
                }
            };
            (server, timeout(this.whole.patience(server), opened).await.unwrap_or_else(late))
        }));
        let mut offers: Vec<(usize, &str, Offer)> = Vec::new();
        let mut failed = None;
        for (server, way) in opened.await {
            let name = self.whole.name(server);
            match way {
                Ok(_) => {
                    self.whole.let_in(server);
                    offers.extend(self.whole.offer(server).map(|offer| (server, name, offer)));
                }
                Err((why, late)) => {
                    self.whole.leave_out(server, &why, late);
                    failed.get_or_insert_with(|| format!("no server can be used; {name}: {why}"));
                }
            }
        }
        match failed {
            Some(why) if offers.is_empty() => reply.fail(code::INTERNAL, &why, None),
            _ => {
                let hello = lock(&self.hello).clone();
                let params = hello.as_ref().and_then(|hello| Object::parse(hello.frame.body()?));
                let asked = params.as_ref().and_then(|params| params.get("protocolVersion")).and_then(json::string);
                let result = initialized(asked.as_deref(), &self.whole.names, &offers);
                let answer = Frame::result(reply.id_text(), &result);
                reply.answer(answer);
            }
        }
    }

    /// The way to a server, if it is open.
    pub(super) fn open_way(&self, server: usize) -> Option<mpsc::Sender<Envelope>> {
        let way = lock(&self.seats.get(server)?.way).clone();
        way.filter(|way| !way.is_closed())
    }

    /// The way to a server, which is opened if it is not. What is begun goes on when nobody waits any more.
    pub(super) async fn way(self: &Arc<Self>, server: usize) -> Result<mpsc::Sender<Envelope>, String> {
        if let Some(way) = self.open_way(server) {
            return Ok(way);
        }
        let opening = self.whole.scope.spawn(self.clone().open(server));
        opening.await.unwrap_or_else(|_| Err("it could not be opened".into()))
    }

    async fn open(self: Arc<Self>, server: usize) -> Result<mpsc::Sender<Envelope>, String> {
        let (Some(seat), Some(member)) = (self.seats.get(server), self.whole.members.get(server)) else {
            return Err("there is no such server".into());
        };
        let _opening = seat.opening.lock().await;
        if let Some(way) = self.open_way(server) {
            return Ok(way);
        }
        let Some(hello) = lock(&self.hello).clone().filter(|_| !self.over.is_cancelled()) else {
            return Err("the session is not initialized; send initialize first".into());
        };
        // Boxed: its registry could be one of this kind, as far as the compiler can tell.
        let opened = Box::pin(member.registry.open(&hello.caller)).await;
        let Peer { tx, rx, home: _ } = opened.map_err(|error| error.to_string())?;
        self.whole.scope.spawn(self.clone().relay(server, tx.clone().downgrade(), rx));
        let answer = tokio::select! {
            answer = timeout(HANDSHAKE, ask(&tx, &hello.caller, hello.frame.with_id(OWN_ID))) => answer,
            () = self.over.cancelled() => Ok(None),
        };
        let result = match answer {
            Ok(Some(answer)) => match ErrorHead::of(&answer) {
                Some(refused) => return Err(refused.message),
                None => answer.body().unwrap_or_default().to_owned(),
            },
            Ok(None) => return Err("it is gone".into()),
            Err(_) => return Err(format!("it did not answer within {} s", HANDSHAKE.as_secs())),
        };
        let offer = self.whole.said(server, &result);
        seat.told.store(false, Ordering::Release);
        *lock(&seat.way) = Some(tx.clone());
        if self.over.is_cancelled() {
            *lock(&seat.way) = None;
        }
        if self.announced.load(Ordering::Acquire) {
            self.announce(server);
            if let Some(level) = lock(&self.level).clone().filter(|_| offer.has("logging")) {
                let (tx, caller) = (tx.clone(), hello.caller.clone());
                self.whole
                    .scope
                    .spawn(async move { drop(ask(&tx, &caller, level.with_id("\"mcp-bridge/level\"")).await) });
            }
            info!(server = self.whole.name(server), "there now");
            self.changed(&offer);
        }
        Ok(tx)
    }

    /// Tells a server once that the client is ready.
    fn announce(&self, server: usize) {
        let Some(seat) = self.seats.get(server) else { return };
        let caller = lock(&self.hello).as_ref().map(|hello| hello.caller.clone());
        if let (Some(way), Some(caller)) = (self.open_way(server), caller)
            && !seat.told.swap(true, Ordering::AcqRel)
        {
            drop(way.try_send(Envelope::one_way(caller, Frame::notification(method::INITIALIZED, None))));
        }
    }

    /// Passes on what a server says outside of any call. Ends with the server's session; the client's goes on.
    async fn relay(self: Arc<Self>, server: usize, way: mpsc::WeakSender<Envelope>, mut rx: Inbox) {
        while let Some(Envelope { from, frame, reply }) = rx.recv().await {
            let envelope = Envelope { from, frame: marked(server, frame), reply };
            if self.tx.send(envelope).await.is_err() {
                break;
            }
        }
        let Some(seat) = self.seats.get(server) else { return };
        let was_open = {
            let mut open = lock(&seat.way);
            let same = match (&*open, way.upgrade()) {
                (Some(open), Some(way)) => open.same_channel(&way),
                _ => false,
            };
            same.then(|| *open = None).is_some()
        };
        if was_open && !self.over.is_cancelled() {
            warn!(server = self.whole.name(server), "gone; it is opened again when it is wanted");
            self.whole.offer(server).iter().for_each(|offer| self.changed(offer));
        }
    }

    /// Tells the client that what a server lists may be there, or not be there, now.
    fn changed(&self, offer: &Offer) {
        for change in offer.changes().filter(|_| self.announced.load(Ordering::Acquire)) {
            let news = Envelope::one_way(self.voice.clone(), Frame::notification(change, None));
            if self.tx.try_send(news).is_err() {
                debug!("the client does not read; it is not told of a change");
            }
        }
    }
}

/// Asks a server on the client's account; `None` when it is gone.
async fn ask(way: &mpsc::Sender<Envelope>, caller: &Arc<Caller>, frame: Frame) -> Option<Frame> {
    let (tx, mut rx) = mpsc::channel(8);
    let reply = Reply::on(tx, &frame, caller).await.ok()?;
    way.send(Envelope { from: caller.clone(), frame, reply: Some(reply) }).await.ok()?;
    // Ends with the answer, which always comes.
    loop {
        let envelope = rx.recv().await?;
        if matches!(envelope.frame.kind(), Kind::Response(_)) {
            return Some(envelope.frame);
        }
    }
}

/// Sets the log level of all servers that have one.
async fn set_level(line: Arc<Line>, from: Arc<Caller>, frame: Frame, reply: Reply) {
    let servers = line.whole.having("logging");
    let (line, caller, asked) = (&line, &from, &frame);
    let answers = servers.into_iter().map(|server| line.ask_soon(server, caller, asked, None));
    let answers = join_all(answers).await;
    match answers.iter().find_map(|answer| answer.as_ref().ok()) {
        Some(answer) => reply.answer(answer.clone()),
        None => reply.fail(code::METHOD_NOT_FOUND, "no server here has a log level", None),
    }
}
