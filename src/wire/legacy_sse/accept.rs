//! HTTP+SSE as a server (2024-11-05, Transports, HTTP with SSE).
//!
//! Owns the open event streams, each of which is a session: it begins with the GET and ends with its connection, or when
//! nobody reads it any more. Talks to the registry for a server and to the pump, to which a session is a pipe. It never
//! correlates.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use hyper::body::Incoming;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, debug_span};

use crate::{
    audit::{Reason, Visitor},
    auth::resource::TokenClaims,
    config::{Limits, Sharing},
    message::{Frame, FrameError},
    peer::{Caller, Envelope, Peer, Principal},
    pipe::{Ended, FrameSink, FrameSource},
    pump::{Role, Rules, pump},
    registry::Registry,
    room::Room,
    scope::{Scope, Until},
    wire::{
        event_stream::{EventName, encode},
        exchange::{
            self, Chunks, EventStream, Events, KeepAlive, Next, Refusal, Response, ToolGate, read_body, take_room,
        },
        http::rules,
        idle::{self, Clock},
    },
};

/// Messages of one client that wait to be passed on. Beyond this its POSTs are answered later.
const INBOX: usize = 64;

/// Encoded pieces that wait for the client to read. Beyond this its server is slowed down.
const OUTBOX: usize = 64;

/// From the GET to the client's first message. A stream whose server dies meanwhile stays open for that long: the message
/// under way is answered with the reason, where an ended stream would tell nothing.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// The routes.
#[derive(Debug)]
pub struct Accept {
    registry: Arc<Registry>,
    limits: Arc<Limits>,
    keep_alive: KeepAlive,
    scope: Scope,
    /// Of POSTs, as a client sees it, prefix included.
    message_path: String,
    open: Arc<Table>,
    clock: Clock,
    /// Set when the time for calls is over.
    over: CancellationToken,
}

/// The open streams by session id.
#[derive(Debug, Default)]
struct Table(Mutex<HashMap<u128, Inbox>>);

#[derive(Debug, Clone)]
struct Inbox {
    tx: mpsc::Sender<Frame>,
    principal: Option<Principal>,
    /// For large messages to its server.
    room: Room,
    seen: Arc<Seen>,
    /// Ends the session.
    over: CancellationToken,
}

/// When a client last read its stream or sent a message.
#[derive(Debug)]
struct Seen {
    at: AtomicU64,
    clock: Clock,
}

impl Seen {
    fn now(clock: Clock) -> Arc<Seen> {
        Arc::new(Seen { at: AtomicU64::new(clock.now()), clock })
    }

    fn touch(&self) {
        self.at.store(self.clock.now(), Ordering::Relaxed);
    }

    fn is_before(&self, time: u64) -> bool {
        self.at.load(Ordering::Relaxed) < time
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Inbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the sessions of clients that neither read nor send, as of one whose machine sleeps: its server would run on.
    /// Ends when the scope stops. One timer for all sessions.
    async fn sweep(self: Arc<Table>, timeout: Duration, clock: Clock, scope: Scope) {
        let mut tick = idle::ticks(timeout);
        loop {
            tokio::select! {
                () = scope.stopped() => return,
                _ = tick.tick() => {}
            }
            let idle_since = clock.ago(timeout);
            self.lock().retain(|_, session| {
                let idle = session.seen.is_before(idle_since);
                if idle {
                    session.over.cancel();
                }
                !idle
            });
        }
    }
}

impl Accept {
    /// Routes without streams yet. `message_path` goes into the `endpoint` event. Tasks run in `scope`; when that
    /// stops, nothing more is asked, and streams end when what is in flight is answered.
    pub fn new(
        registry: Arc<Registry>,
        limits: Arc<Limits>,
        keep_alive: KeepAlive,
        message_path: String,
        scope: Scope,
    ) -> Accept {
        let (open, clock) = (Arc::<Table>::default(), Clock::start());
        // Without keep-alives nothing shows that a client still reads; TCP will tell when it is gone. Else each shows it
        // anew, so that one may be late.
        if !keep_alive.every.is_zero() {
            let timeout = limits.session_timeout.max(keep_alive.every.saturating_mul(2));
            scope.spawn(open.clone().sweep(timeout, clock, scope.clone()));
        }
        Accept { registry, limits, keep_alive, scope, message_path, open, clock, over: CancellationToken::new() }
    }

    /// Answers a request for the event stream.
    pub async fn handle_stream(&self, request: &http::Request<Incoming>, principal: Option<Principal>) -> Response {
        if *request.method() != Method::GET {
            return not_allowed("the event stream takes GET", "GET");
        }
        let claims = TokenClaims::of(request);
        self.open(request.headers(), &claims, principal, Visitor::of(request))
            .await
            .unwrap_or_else(Refusal::into_response)
    }

    /// Answers a POST of a message.
    pub async fn handle_message(&self, request: http::Request<Incoming>, principal: Option<Principal>) -> Response {
        if *request.method() != Method::POST {
            return not_allowed("messages take POST", "POST");
        }
        self.post(request, principal).await.unwrap_or_else(Refusal::into_response)
    }

    /// Whether a message belongs to a session here.
    pub fn knows(&self, uri: &Uri) -> bool {
        named_by(uri).is_some_and(|id| self.open.lock().contains_key(&id))
    }

    /// Ends every session. Calls that are still in flight are answered with an error.
    pub fn end(&self) {
        self.over.cancel();
        self.open.lock().clear();
    }

    async fn open(
        &self,
        headers: &HeaderMap,
        claims: &TokenClaims,
        principal: Option<Principal>,
        visitor: Option<Visitor>,
    ) -> Result<Response, Refusal> {
        if self.registry.sharing() == Sharing::Stateless {
            let text = "the event stream is a session, and the bridge runs without (--stateless); use Streamable HTTP";
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text));
        }
        let caller = Caller::legacy(principal.clone()).session_noted(visitor);
        let registry = self.registry.for_caller(headers, claims)?;
        let peer = registry.open(&caller).await?;
        caller.session_opened();
        let id = rules::fresh_session();
        let (inbox, from_client) = mpsc::channel(INBOX);
        let (to_client, outbox) = mpsc::channel(OUTBOX);
        let (seen, over) = (Seen::now(self.clock), CancellationToken::new());
        let room = Room::new(self.limits.max_waiting());
        let inbox = Inbox { tx: inbox, principal, room, seen: seen.clone(), over: over.clone() };
        self.open.lock().insert(id, inbox);
        let leave = Leave { id, open: self.open.clone() };
        self.carry(&caller, peer, (from_client, to_client), over);

        let mut chunks = Chunks::default();
        let endpoint = format!("{}?sessionId={}", self.message_path, rules::session_text(id));
        encode::event(&EventName::ENDPOINT, None, endpoint.into()).for_each(|chunk| chunks.raw(chunk));
        let events = Outbox { rx: outbox, seen, _leave: leave };
        Ok(exchange::events(EventStream::new(events, chunks, self.keep_alive)))
    }

    /// Moves messages between a session's client and its server. Ends with the stream.
    fn carry(
        &self,
        caller: &Arc<Caller>,
        peer: Peer,
        (from_client, to_client): (mpsc::Receiver<Frame>, mpsc::Sender<Bytes>),
        over: CancellationToken,
    ) {
        let rules = Rules {
            name: "sse".into(),
            speaker: caller.clone(),
            role: Role::Accept,
            max_in_flight: self.limits.max_in_flight,
            max_waiting: self.limits.max_waiting(),
            request_timeout: None,
            linger: self.limits.grace,
            until: Some(Until { scope: self.scope.clone(), over: self.over.clone() }),
        };
        let source = Source {
            from_client,
            scope: self.scope.clone(),
            keep: peer.home.upgrade(),
            keep_until: Instant::now() + FIRST_MESSAGE,
            heard: false,
        };
        let span = debug_span!("session", caller = ?caller.id);
        let stream = to_client.clone();
        // Boxed: the task would have room for it twice, once as what it was given and once as what it waits for.
        let pumping = Box::pin(pump(source, Sink { to_client }, peer, rules));
        let session = async move {
            // The stream is the session: without it nobody can hear the answers that the pump would wait for.
            tokio::select! {
                _ = pumping => {}
                () = stream.closed() => debug!("the client hung up"),
                () = over.cancelled() => debug!("ended: nothing read and nothing sent for --session-timeout"),
            }
        };
        self.scope.spawn(session.instrument(span));
    }

    async fn post(&self, request: http::Request<Incoming>, principal: Option<Principal>) -> Result<Response, Refusal> {
        rules::check_content(request.headers())?;
        let inbox = match session_in(request.uri().query().unwrap_or_default()) {
            None => return Err(Refusal::new(StatusCode::BAD_REQUEST, NO_SESSION)),
            Some(_) => named_by(request.uri()).and_then(|id| self.open.lock().get(&id).cloned()),
        };
        let inbox = inbox.ok_or_else(unknown_session)?;
        if inbox.principal != principal {
            return Err(unknown_session().because(Reason::Session));
        }
        inbox.seen.touch();
        let room = take_room(&inbox.room, &request, &self.limits).await?;
        let tools = ToolGate::of(&request);
        let raw = read_body(request, &self.limits).await?;
        let frame = Frame::parse(raw).map_err(|error| match error {
            FrameError::Batch => FrameError::NotRpc("a batch is not part of this transport".into()),
            other => other,
        })?;
        tools.check(&frame)?;
        inbox.tx.send(frame.holding(room)).await.map_err(|_| unknown_session())?;
        Ok(exchange::text(StatusCode::ACCEPTED, "Accepted"))
    }
}

const NO_SESSION: &str = "the session is missing; POST to the URL that the endpoint event gave";

fn unknown_session() -> Refusal {
    let text = "no such session: its event stream has closed, or never was; open another one";
    Refusal::new(StatusCode::NOT_FOUND, text)
}

fn not_allowed(text: &'static str, allow: &'static str) -> Response {
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text);
    refusal.header(header::ALLOW, HeaderValue::from_static(allow)).into_response()
}

/// The session that a query names, in the spelling of either official SDK.
fn session_in(query: &str) -> Option<&str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| matches!(*name, "sessionId" | "session_id")).map(|(_, value)| value).next()
}

fn named_by(uri: &Uri) -> Option<u128> {
    rules::parse_session(session_in(uri.query()?)?.as_bytes())
}

/// What a client POSTs, as the reading half of a pipe.
struct Source {
    from_client: mpsc::Receiver<Frame>,
    scope: Scope,
    /// Keeps the stream open until the client's first message waits for its own answer.
    keep: Option<mpsc::Sender<Envelope>>,
    keep_until: Instant,
    heard: bool,
}

impl FrameSource for Source {
    async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        // Asked again after the first message: its answer has its place, and keeps the stream open by itself.
        if self.heard {
            self.keep = None;
        }
        // Ends with a message or with the client. Goes round once, when the first message is late.
        loop {
            tokio::select! {
                frame = self.from_client.recv() => {
                    self.heard = true;
                    return frame.map(Ok);
                }
                () = tokio::time::sleep_until(self.keep_until), if self.keep.is_some() => self.keep = None,
            }
        }
    }

    async fn end(&mut self) -> Ended {
        let message = if self.scope.is_stopped() { self.scope.why().to_string() } else { "the client hung up".into() };
        Ended { message, data: None }
    }
}

/// The event stream, as the writing half of a pipe.
struct Sink {
    to_client: mpsc::Sender<Bytes>,
}

impl FrameSink for Sink {
    async fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        let mut small = BytesMut::new();
        for frame in frames {
            let data = frame.bytes();
            if data.len() < exchange::OWN_CHUNK {
                encode::write_event(&mut small, &EventName::MESSAGE, None, data);
                continue;
            }
            self.send(small.split().freeze()).await?;
            for chunk in encode::event(&EventName::MESSAGE, None, data.clone()) {
                self.send(chunk).await?;
            }
        }
        self.send(small.freeze()).await
    }
}

impl Sink {
    async fn send(&self, chunk: Bytes) -> io::Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.to_client.send(chunk).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The body of the event stream. Dropped with its connection, it takes the session out of the table, which closes the
/// pipe.
struct Outbox {
    rx: mpsc::Receiver<Bytes>,
    seen: Arc<Seen>,
    _leave: Leave,
}

struct Leave {
    id: u128,
    open: Arc<Table>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.open.lock().remove(&self.id);
    }
}

impl Events for Outbox {
    fn poll_next(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Next> {
        self.seen.touch();
        self.rx.poll_recv(cx).map(|chunk| match chunk {
            Some(chunk) => {
                out.raw(chunk);
                Next::More
            }
            None => Next::End,
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::{
        message::Id,
        peer::{PEER_CAPACITY, Peer},
    };

    /// A server that is gone before the client says anything: its pump answers what comes all the same.
    fn dead(scope: &Scope) -> Peer {
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        let Peer { tx, mut rx, .. } = ours;
        scope.spawn(async move {
            drop(tx);
            while let Some(envelope) = rx.recv().await {
                if let Some(reply) = envelope.reply {
                    reply.fail(crate::message::code::INTERNAL, "the server false exited with code 1", None);
                }
            }
        });
        theirs
    }

    fn accept() -> Accept {
        let (scope, servers) = (Scope::new(), Scope::new());
        let limits = Limits::default();
        let registry = Registry::scripted(move |_| dead(&servers), Sharing::Own, &limits, &scope);
        let keep_alive = KeepAlive { every: Duration::ZERO, as_event: false };
        Accept::new(registry, Arc::new(limits), keep_alive, "/messages".into(), scope)
    }

    #[tokio::test]
    async fn a_server_that_died_at_its_start_is_named_before_the_stream_ends() {
        let accept = accept();
        let stream = accept.open(&HeaderMap::new(), &TokenClaims::default(), None, None).await.unwrap();
        // The server's end has reached the stream before the client's first message.
        tokio::task::yield_now().await;
        let inbox = accept.open.lock().values().next().unwrap().tx.clone();
        inbox.send(Frame::request(&Id::Number(0), "initialize", None)).await.unwrap();
        let text = String::from_utf8(stream.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(text.contains("the server false exited with code 1"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_to_a_dead_server_ends_when_its_client_says_nothing() {
        let stream = accept().open(&HeaderMap::new(), &TokenClaims::default(), None, None).await.unwrap();
        let text = String::from_utf8(stream.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(text.starts_with("event: endpoint"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_reads_ends_after_the_session_timeout_and_one_that_is_read_stays() {
        let (opened, mut servers) = mpsc::channel(2);
        let opener = move |_: &_| {
            let (ours, theirs) = Peer::pair(PEER_CAPACITY);
            opened.try_send(ours).unwrap();
            theirs
        };
        let (scope, limits) = (Scope::new(), Limits::default());
        let registry = Registry::scripted(opener, Sharing::Own, &limits, &scope);
        let keep_alive = KeepAlive { every: Duration::from_secs(15), as_event: false };
        let timeout = limits.session_timeout;
        let accept = Accept::new(registry, Arc::new(limits), keep_alive, "/messages".into(), scope.clone());

        let read = accept.open(&HeaderMap::new(), &TokenClaims::default(), None, None).await.unwrap();
        let read_id = *accept.open.lock().keys().next().unwrap();
        let _read_server = servers.recv().await.unwrap();
        let reading = scope.spawn(read.into_body().collect());
        let begun = Instant::now();
        let _unread = accept.open(&HeaderMap::new(), &TokenClaims::default(), None, None).await.unwrap();
        let mut unread_server = servers.recv().await.unwrap();
        assert!(unread_server.rx.recv().await.is_none(), "its server is let go");
        assert!(begun.elapsed() >= timeout && begun.elapsed() < timeout * 2, "{:?}", begun.elapsed());
        assert_eq!(accept.open.lock().keys().copied().collect::<Vec<_>>(), [read_id]);
        assert!(!reading.is_finished());
    }

    #[test]
    fn both_spellings_of_the_session_are_read() {
        for (query, id) in [
            ("sessionId=ab", Some("ab")),
            ("session_id=ab", Some("ab")),
            ("x=1&session_id=ab&y", Some("ab")),
            ("session=ab", None),
            ("", None),
        ] {
            assert_eq!(session_in(query), id, "{query}");
        }
    }
}
