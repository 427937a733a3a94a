//! Streamable HTTP as a client (2025-03-26 to 2025-11-25, Transports, Streamable HTTP).
//!
//! Owns the upstream session: one POST for each message, the stream of unsolicited messages, the session's id and
//! version, resumption, and the one silent re-initialization when the server has forgotten the session. Talks to the
//! server through [`crate::wire::remote`]. It keeps no table of answers: the task of a POST holds the caller's reply. It
//! never sends a call again that the server may have seen.
//!
//! The loop in [`run`] reads the partner's envelopes in order. A request gets a task of its own. A notification or an
//! answer of the client's is awaited until the server has taken it, so that what was said in order arrives in order.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Method, StatusCode};
use tokio::{
    sync::{
        Semaphore, SetOnce,
        mpsc::{Sender, WeakSender},
        watch,
    },
    task::JoinHandle,
    time::timeout,
};
use tracing::{debug, warn};

use self::{
    exchange::Posted,
    session::{Phase, Session},
};
use crate::{
    config::{Limits, RemoteSpec},
    message::{Frame, Id, Kind, code},
    peer::{CallerId, Envelope, Peer, Reply},
    scope::Scope,
    wire::{
        handshake::{Handshake, Opened},
        remote::{
            ConnectError, Desk, Refusal, Trouble, Way,
            fault::{Fault, FaultKind, status_in_words},
            with_some_id,
        },
    },
};

mod exchange;
mod listen;
mod session;
#[cfg(test)]
mod tests;

/// How long a later message waits for the server to take an earlier notification or answer. Only as long as a server in
/// good health needs: one that holds such a POST open must not hold up the answers that it waits for.
const ORDER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a cancellation waits for the response to its call to begin. The two travel over different connections, and a
/// server forgets a cancellation that overtakes its call. Servers that answer with a stream begin at once.
const CANCEL_PATIENCE: Duration = Duration::from_millis(100);

/// After this, the POST of a notification or an answer is given up.
const ONE_WAY_TIMEOUT: Duration = Duration::from_secs(60);

/// POSTs of notifications and answers at once. More than one only where the server is slow to take them.
const MAX_ONE_WAY: u32 = 64;

/// A server that is connected but does not answer `initialize` within this is taken for dead. Servers that start on
/// demand take tens of seconds; the official SDKs' clients give up after 60 s.
const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(60);

/// For the DELETE that ends the session.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);

/// The wire; see [`crate::wire::remote::open`].
pub fn open(spec: &RemoteSpec, limits: &Limits, peer: Peer, scope: &Scope) -> JoinHandle<Result<(), ConnectError>> {
    let way = Way::new(spec, limits, scope);
    let mut desk = Desk::new(peer);
    scope.spawn(async move {
        // Ends with the wire. Starts over when the server refused one `initialize` with an MCP error.
        loop {
            match run(&way, &mut desk).await? {
                End::Done => return Ok(()),
                End::Refused(refusal) => refusal.settle(&way, None)?,
            }
        }
    })
}

/// How the wire ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The partner left.
    Done,
    /// `initialize` got 400, 404 or 405: perhaps the server speaks the older transport.
    Refused(Refusal),
}

/// Works the desk until the partner leaves, or until `initialize` fails.
pub(crate) async fn run(way: &Arc<Way>, desk: &mut Desk) -> Result<End, ConnectError> {
    let link = Arc::new(Link::new(way, desk));
    let scope = link.scope.clone();
    let end = tokio::select! {
        end = link.serve(desk) => end,
        () = scope.stopped() => Ok(End::Done),
    };
    link.close().await;
    end
}

/// One upstream session and all that is in flight in it.
#[derive(Debug)]
struct Link {
    way: Arc<Way>,
    /// Stops what belongs to this link only.
    scope: Scope,
    tx: Sender<Envelope>,
    home: WeakSender<Envelope>,
    phase: watch::Sender<Phase>,
    memory: Mutex<Handshake>,
    listener: Mutex<Option<Scope>>,
    calls: Mutex<HashMap<(CallerId, Id), Arc<Call>>>,
    places: Arc<Semaphore>,
    one_way: Arc<Semaphore>,
    /// Room for large messages that wait for their reader, in KiB.
    room: Arc<Semaphore>,
}

/// One call in flight.
#[derive(Debug, Default)]
struct Call {
    trip: Trip,
    cancelled: SetOnce<()>,
}

/// How far a POST has come. All is set once the call is over.
#[derive(Debug, Default)]
struct Trip {
    /// Its body was handed to a connection.
    started: Arc<SetOnce<()>>,
    /// The head of the response has come: the server has it.
    arrived: SetOnce<()>,
}

/// The poison of a lock means that a task panicked elsewhere; the tables stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    fn new(way: &Arc<Way>, desk: &Desk) -> Link {
        Link {
            scope: way.scope.child(),
            tx: desk.tx.clone(),
            home: desk.home.clone(),
            phase: watch::Sender::new(Phase::Open(Arc::new(Session::none(way.web.url())))),
            memory: Mutex::default(),
            listener: Mutex::default(),
            calls: Mutex::default(),
            places: Arc::new(Semaphore::new(way.limits.max_in_flight)),
            one_way: Arc::new(Semaphore::new(MAX_ONE_WAY as usize)),
            room: Arc::new(Semaphore::new(exchange::room_for(&way.limits))),
            way: way.clone(),
        }
    }

    async fn serve(self: &Arc<Self>, desk: &mut Desk) -> Result<End, ConnectError> {
        // Ends when the partner has nothing more to say, or with an `initialize` that fails.
        while let Some(envelope) = desk.next().await {
            match envelope.frame.kind() {
                Kind::Request(_) if envelope.frame.method() == "initialize" => {
                    if let Some(refusal) = self.initialize(envelope, desk).await? {
                        return Ok(End::Refused(refusal));
                    }
                }
                Kind::Request(_) => self.call(envelope),
                Kind::Notification if envelope.frame.cancelled().is_some() => self.cancel(envelope).await,
                _ => self.tell_in_order(envelope.frame).await,
            }
        }
        Ok(End::Done)
    }

    // ---- initialize

    /// Opens the session. `Some` when the server refuses in a way that may mean the older transport.
    async fn initialize(
        self: &Arc<Self>,
        envelope: Envelope,
        desk: &mut Desk,
    ) -> Result<Option<Refusal>, ConnectError> {
        lock(&self.memory).sent(&envelope.frame);
        let (frame, reply) = (envelope.frame.clone(), envelope.reply.as_ref());
        let opening = self.way.patiently(|| self.try_initialize(&frame, reply));
        let opened = self.way.while_wanted(desk, opening).await;
        let failed = match opened {
            Ok(Opening::Answered { answer, session }) => {
                lock(&self.memory).opened(&answer);
                if let Some(session) = session {
                    self.phase.send_replace(Phase::Open(Arc::new(session)));
                }
                if let Some(reply) = envelope.reply {
                    reply.answer(answer);
                }
                return Ok(None);
            }
            Ok(Opening::Refused { status, error }) => {
                let refusal = Refusal { envelope, status, error };
                let older = matches!(status.as_u16(), 400 | 404 | 405);
                return if older { Ok(Some(refusal)) } else { refusal.settle(&self.way, None).map(|()| None) };
            }
            Ok(Opening::NotMcp(why)) => ConnectError::Protocol(why),
            Err(fault) => self.way.unreachable(&fault),
        };
        if let Some(reply) = envelope.reply {
            reply.fail(code::INTERNAL, &failed.to_string(), None);
        }
        Err(failed)
    }

    /// One attempt. It may be repeated: a session that nobody knows of does no harm.
    async fn try_initialize(self: &Arc<Self>, frame: &Frame, reply: Option<&Reply>) -> Result<Opening, Fault> {
        let patience =
            self.way.limits.request_timeout.map_or(INITIALIZE_TIMEOUT, |limit| limit.min(INITIALIZE_TIMEOUT));
        match timeout(patience, self.ask_to_open(frame, reply)).await {
            Ok(opening) => opening.map_err(|fault| Fault { sent: false, ..fault }),
            Err(_) => {
                let why =
                    format!("it did not answer initialize within {} s; look into the server's log", patience.as_secs());
                Err(Fault::new(FaultKind::Silent, true, why))
            }
        }
    }

    async fn ask_to_open(self: &Arc<Self>, frame: &Frame, reply: Option<&Reply>) -> Result<Opening, Fault> {
        let none = Session::none(self.way.web.url());
        let incoming = self.send(&none, Method::POST, Some(frame.bytes().clone()), None, &Arc::default()).await?;
        let (status, url) = (incoming.response.status(), incoming.url.clone());
        let id = incoming.response.headers().get(crate::wire::remote::web::SESSION_ID).cloned();
        if id.as_ref().is_some_and(|id| !session::valid_id(id)) {
            let why = "sent an Mcp-Session-Id that is not visible ASCII; it is not a conforming server";
            return Ok(Opening::NotMcp(format!("{} {why}", self.way.shown())));
        }
        let answer = match self.classify(&none, incoming, true).await? {
            Posted::Answer(answer) if status.is_success() => answer,
            Posted::Answer(error) => return Ok(Opening::Refused { status, error: Some(error) }),
            Posted::Stream(mut events) => match self.first_answer(&mut events, frame, reply).await? {
                Some(answer) => answer,
                None => {
                    return Err(Fault::new(FaultKind::Broken, true, "the stream ended before the answer; try again"));
                }
            },
            Posted::Refused(status) if matches!(status.as_u16(), 502..=504) => {
                let why = format!("it answered {}", status_in_words(status));
                return Err(Fault::new(FaultKind::Gateway, false, why));
            }
            Posted::Refused(status) | Posted::SessionGone(status) => {
                return Ok(Opening::Refused { status, error: None });
            }
            Posted::NotMcp(what) => return Ok(Opening::NotMcp(format!("{} {what}", self.way.shown()))),
        };
        let session = Opened::read(&answer).map(|opened| Session::new(url, id, opened.version.as_deref()));
        Ok(Opening::Answered { answer: with_some_id(answer), session })
    }

    // ---- calls

    /// Gives a request a task of its own.
    fn call(self: &Arc<Self>, envelope: Envelope) {
        let Envelope { from, frame, reply: Some(reply) } = envelope else { return };
        let Kind::Request(id) = frame.kind().clone() else { return };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let limit = self.way.limits.max_in_flight;
            return reply.fail(
                code::LIMIT,
                &format!("{limit} calls are in flight already; wait for an answer, then call again"),
                None,
            );
        };
        let key = (from.id, id);
        let call = Arc::new(Call::default());
        if lock(&self.calls).contains_key(&key) {
            return reply.fail(
                code::INVALID_REQUEST,
                "a request with this id is still in flight; use another id",
                None,
            );
        }
        lock(&self.calls).insert(key.clone(), call.clone());
        lock(&self.memory).sent(&frame);
        let link = self.clone();
        self.scope.spawn(async move {
            link.carry(frame, reply, key, &call).await;
            drop(place);
        });
    }

    /// Carries one call from its POST to its answer.
    async fn carry(self: &Arc<Self>, frame: Frame, reply: Reply, key: (CallerId, Id), call: &Call) {
        let outcome = tokio::select! {
            outcome = self.within_time(&frame, &reply, call) => outcome,
            _ = call.cancelled.wait() => {
                Err(Trouble { code: code::CANCELLED, ..Trouble::new("the request was cancelled") })
            }
            () = self.scope.stopped() => Err(Trouble::fate_unknown("the bridge is shutting down")),
        };
        // First out of the table, then answered: the caller may use the id again from then on.
        lock(&self.calls).remove(&key);
        let _ = (call.trip.started.set(()), call.trip.arrived.set(()));
        match outcome {
            Ok(answer) => reply.answer(with_some_id(answer)),
            Err(trouble) => trouble.tell(reply),
        }
    }

    async fn within_time(self: &Arc<Self>, frame: &Frame, reply: &Reply, call: &Call) -> Result<Frame, Trouble> {
        let Some(limit) = self.way.limits.request_timeout else {
            return self.exchange(frame, Some(reply), &call.trip).await;
        };
        if let Ok(outcome) = timeout(limit, self.exchange(frame, Some(reply), &call.trip)).await {
            return outcome;
        }
        let params = format!("{{\"requestId\":{},\"reason\":\"timed out\"}}", frame.id_text());
        self.tell(&Frame::notification("notifications/cancelled", Some(&params))).await;
        let message = format!("no answer within {} s (--request-timeout)", limit.as_secs_f32());
        Err(Trouble { code: code::LIMIT, ..Trouble::new(message) })
    }

    /// Passes a cancellation on, not before the call that it is for, and ends that call.
    async fn cancel(self: &Arc<Self>, envelope: Envelope) {
        let key = envelope.frame.cancelled().map(|id| (envelope.from.id, id.clone()));
        let call = key.and_then(|key| lock(&self.calls).get(&key).cloned());
        if let Some(call) = &call {
            let _ = timeout(ORDER_PATIENCE, call.trip.started.wait()).await;
            let _ = timeout(CANCEL_PATIENCE, call.trip.arrived.wait()).await;
        }
        self.tell_in_order(envelope.frame).await;
        if let Some(call) = call {
            let _ = call.cancelled.set(());
        }
    }

    // ---- notifications and answers of the client's

    /// Sends a message that has no answer, and waits a while for the server to take it.
    async fn tell_in_order(self: &Arc<Self>, frame: Frame) {
        let Ok(place) = self.one_way.clone().acquire_owned().await else { return };
        lock(&self.memory).sent(&frame);
        let link = self.clone();
        let told = self.scope.spawn(async move {
            let opens = frame.method() == "notifications/initialized";
            if link.tell(&frame).await && opens {
                link.listen();
            }
            drop(place);
        });
        let _ = timeout(ORDER_PATIENCE, told).await;
    }

    /// Sends a message that has no answer. Says whether the server took it.
    async fn tell(self: &Arc<Self>, frame: &Frame) -> bool {
        let what = if frame.method().is_empty() { "an answer" } else { frame.method() };
        let told = match timeout(ONE_WAY_TIMEOUT, self.one_way(frame)).await {
            Ok(told) => told,
            Err(_) => Err(format!("it took longer than {} s", ONE_WAY_TIMEOUT.as_secs())),
        };
        match told {
            Ok(()) => true,
            Err(why) => {
                warn!("{} did not take {what}: {why}", self.way.shown());
                false
            }
        }
    }

    async fn one_way(self: &Arc<Self>, frame: &Frame) -> Result<(), String> {
        for _ in 0..2 {
            let session = self.session().await.map_err(|trouble| trouble.message)?;
            let incoming = self.post(&session, frame, &Trip::default()).await.map_err(|fault| fault.why)?;
            if incoming.response.status().is_success() {
                return Ok(());
            }
            match self.classify(&session, incoming, false).await.map_err(|fault| fault.why)? {
                Posted::SessionGone(_) => self.reopen(session.generation),
                Posted::Answer(error) => return Err(format!("it answered with an error: {}", summary(&error))),
                Posted::Refused(status) => return Err(format!("it answered {}", status_in_words(status))),
                Posted::Stream(_) | Posted::NotMcp(_) => return Ok(()),
            }
        }
        Err(format!("it answered {}", status_in_words(StatusCode::NOT_FOUND)))
    }

    // ---- the end

    /// Lets what is in flight finish, within the grace period, and ends the session.
    async fn close(&self) {
        let all = u32::try_from(self.way.limits.max_in_flight).unwrap_or(u32::MAX);
        let finished = async {
            let _calls = self.places.acquire_many(all).await;
            let _rest = self.one_way.acquire_many(MAX_ONE_WAY).await;
        };
        tokio::select! {
            _ = timeout(self.way.limits.grace, finished) => {}
            () = self.scope.stopped() => {}
        }
        self.scope.stop();
        let session = match &*self.phase.borrow() {
            Phase::Open(session) if session.id.is_some() => session.clone(),
            _ => return,
        };
        let started = Arc::default();
        let delete = self.send(&session, Method::DELETE, None, None, &started);
        match timeout(DELETE_TIMEOUT, delete).await {
            Ok(Ok(incoming)) => debug!("ended the session: HTTP {}", incoming.response.status().as_u16()),
            Ok(Err(fault)) => debug!("could not end the session: {fault}"),
            Err(_) => debug!("could not end the session within {} s", DELETE_TIMEOUT.as_secs()),
        }
    }
}

/// What an attempt at `initialize` came to.
#[derive(Debug)]
enum Opening {
    /// `session` is `None` where the answer is an error.
    Answered {
        answer: Frame,
        session: Option<Session>,
    },
    Refused {
        status: StatusCode,
        error: Option<Frame>,
    },
    NotMcp(String),
}

/// The code of an error response, for a log. Not its message, which may quote what was sent.
fn summary(error: &Frame) -> String {
    #[derive(serde::Deserialize)]
    struct Code {
        code: i64,
    }
    let code = error.body().and_then(|body| serde_json::from_str::<Code>(body).ok());
    code.map_or_else(|| "without a code".into(), |Code { code }| format!("code {code}"))
}
