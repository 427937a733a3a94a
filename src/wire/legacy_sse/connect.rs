//! HTTP with SSE as a client (2024-11-05, Transports, HTTP with SSE).
//!
//! Owns the connection: the event stream, the `endpoint` that it names, and coming back when it breaks. Talks to the server
//! through [`crate::wire::remote`], and to the partner through [`pump`], which correlates. The stream is the session: when
//! it breaks, the calls in flight are answered, their fate being unknown, and a new session is opened with the handshake of
//! the old one. It never sends a call again.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Method, StatusCode, header};
use tokio::{
    sync::mpsc::{self, error::SendError},
    time::timeout,
};
use tracing::{debug, info, warn};
use url::Url;

use self::pipe::{EventSource, PostSink};
use crate::{
    message::{Frame, Kind, code},
    peer::{Envelope, Peer},
    pump::{Role, Rules, pump},
    scope::Scope,
    wire::{
        event_stream::EventName,
        handshake::{Handshake, Opened},
        remote::{
            ConnectError, Desk, Way,
            events::{Events, StreamFault},
            fault::{Fault, FaultKind, one_line, shown, unasked_encoding},
            web::{EVENT_STREAM, Incoming, Outgoing, encoding, media_type},
        },
    },
};

mod pipe;
#[cfg(test)]
mod tests;

/// From the connection to the `endpoint` event. Servers send it at once; those that start on demand take a while.
const ENDPOINT_PATIENCE: Duration = Duration::from_secs(10);

/// For each answer of the handshake that opens a session again.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest endpoint, in bytes. Servers take request heads of 8 KiB: every POST to a longer one would be refused.
const MAX_ENDPOINT: usize = 8 * 1024;

/// Messages that may come ahead of the answers of that handshake; more are dropped.
const MAX_EARLY: usize = 256;

/// An event stream that has named its endpoint.
#[derive(Debug)]
pub(crate) struct Line {
    events: Events,
    /// Where messages are POSTed.
    post: Url,
    /// Where the stream is, after redirects.
    stream: Url,
    /// What came during the handshake and is for the partner.
    early: VecDeque<Frame>,
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("a GET failed: {0}")]
    Fault(#[from] Fault),
    #[error("a GET got HTTP {}", .0.as_u16())]
    Status(StatusCode),
    #[error("{0}")]
    NotSse(String),
    /// No event stream of this transport, but perhaps something of the newer one.
    #[error("{0}")]
    NotEndpoint(String),
}

/// Opens the event stream and waits for its endpoint.
pub(crate) async fn dial(way: &Way) -> Result<Line, DialError> {
    let patience = way.retry.connect_timeout.saturating_add(ENDPOINT_PATIENCE);
    match timeout(patience, try_dial(way)).await {
        Ok(line) => line,
        Err(_) => {
            let why = format!("no endpoint event came within {} s; check the path of the URL", patience.as_secs());
            Err(DialError::NotEndpoint(why))
        }
    }
}

async fn try_dial(way: &Way) -> Result<Line, DialError> {
    let headers = HeaderMap::from_iter([(header::ACCEPT, EVENT_STREAM)]);
    let request = Outgoing { method: Method::GET, url: way.web.url(), headers, body: None, started: Arc::default() };
    let Incoming { url, response } = way.web.send(request).await.map_err(|fault| Fault { sent: false, ..fault })?;
    let status = response.status();
    if !status.is_success() {
        return Err(DialError::Status(status));
    }
    if let Some(encoding) = encoding(response.headers()) {
        return Err(DialError::NotSse(unasked_encoding(&encoding)));
    }
    match media_type(response.headers()).as_str() {
        "text/event-stream" => {}
        "text/html" => {
            return Err(DialError::NotSse("a GET got a web page instead of events; check the path of the URL".into()));
        }
        other => {
            return Err(DialError::NotEndpoint(format!(
                "a GET got {} instead of events; check the path of the URL",
                quoted(other)
            )));
        }
    }
    let mut events = Events::new(response, way.limits.max_message);
    // Ends with the first event that is one.
    let data = loop {
        match events.next().await {
            Ok(Some(event)) if event.name == EventName::ENDPOINT => break event.data.unwrap_or_default(),
            Ok(Some(event)) if event.payload().is_none() || event.name == EventName::PING => {}
            Ok(Some(_)) => {
                return Err(DialError::NotEndpoint(
                    "its event stream does not begin with an endpoint event; check the path of the URL".into(),
                ));
            }
            Ok(None) => {
                return Err(Fault::new(
                    FaultKind::Broken,
                    false,
                    "the event stream ended at once; look into the server's log",
                )
                .into());
            }
            Err(StreamFault::Broken(fault)) => return Err(Fault { sent: false, ..fault }.into()),
            Err(StreamFault::TooLarge(error)) => return Err(DialError::NotSse(error.to_string())),
        }
    };
    let post = endpoint(&url, &data).map_err(DialError::NotSse)?;
    Ok(Line { events, post, stream: url, early: VecDeque::new() })
}

fn quoted(media: &str) -> String {
    if media.is_empty() { "no content type".into() } else { format!("'{}'", one_line(media)) }
}

/// Where messages go: what the event says, resolved against the URL of the stream. Another origin is refused: a server
/// must not make its clients send their messages, and the answers to its own requests, elsewhere.
fn endpoint(stream: &Url, data: &[u8]) -> Result<Url, String> {
    let text = std::str::from_utf8(data).unwrap_or_default().trim();
    let wrong = |why: &str| {
        Err(format!("its endpoint event {why}; the server or its public URL (--base-url) is misconfigured"))
    };
    if text.is_empty() {
        return wrong("names nothing");
    }
    if text.len() > MAX_ENDPOINT {
        return wrong(&format!("holds a URL of {} bytes, of at most {MAX_ENDPOINT}", text.len()));
    }
    let Ok(mut url) = stream.join(text) else { return wrong("holds no URL") };
    url.set_fragment(None);
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("holds no http or https URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("holds a URL with credentials");
    }
    if url.origin() != stream.origin() {
        return wrong(&format!("names another origin, {}", shown(&url)));
    }
    Ok(url)
}

/// Works the desk until the partner leaves, or until the first connection fails.
pub(crate) async fn run(way: &Arc<Way>, desk: &mut Desk, line: Option<Line>) -> Result<(), ConnectError> {
    tokio::select! {
        end = serve(way, desk, line) => end,
        () = way.scope.stopped() => Ok(()),
    }
}

async fn serve(way: &Arc<Way>, desk: &mut Desk, mut line: Option<Line>) -> Result<(), ConnectError> {
    let memory = Arc::new(Mutex::new(Handshake::default()));
    let mut was_open = false;
    let mut wait_for_work = line.is_none();
    // Ends when the partner leaves, or with the first connection.
    loop {
        if wait_for_work {
            let Some(first) = desk.next().await else { return Ok(()) };
            desk.put_back(first);
        }
        let connected = match line.take() {
            Some(line) => Ok(line),
            None => connect(way, desk, &memory).await,
        };
        match connected {
            Ok(line) => {
                if !std::mem::replace(&mut was_open, true) {
                    info!("connected to {} over SSE", way.shown());
                }
                wait_for_work = false;
                if carry(way, desk, line, &memory).await == Over::PartnerLeft {
                    return Ok(());
                }
                info!("the event stream from {} ended; opening a new session", way.shown());
            }
            Err(failed) => {
                desk.refuse_waiting(&failed);
                if !was_open {
                    return Err(failed);
                }
                warn!("no new session: {failed}; the next message makes another attempt");
                wait_for_work = true;
            }
        }
    }
}

/// Dials as patiently as configured, and brings a new session to where the old one was.
async fn connect(way: &Arc<Way>, desk: &mut Desk, memory: &Arc<Mutex<Handshake>>) -> Result<Line, ConnectError> {
    let tx = desk.tx.clone();
    let dialing = way.patiently(async || {
        let mut line = match dial(way).await {
            Ok(line) => line,
            Err(DialError::Fault(fault)) => return Err(fault),
            Err(DialError::Status(status)) if matches!(status.as_u16(), 502..=504) => {
                return Err(Fault::new(FaultKind::Gateway, false, format!("it answered {}", way.in_words(status))));
            }
            Err(other) => return Ok(Err(other)),
        };
        let changes = restore(way, &mut line, memory).await?;
        for change in changes {
            let _ = tx.send(Envelope::one_way(way.server.clone(), change)).await;
        }
        Ok(Ok(line))
    });
    let dialed = way.while_wanted(desk, dialing).await;
    match dialed {
        Ok(Ok(line)) => Ok(line),
        Ok(Err(DialError::Status(status))) => Err(way.refused(status, None)),
        Ok(Err(other)) => {
            let hint = match &other {
                DialError::NotEndpoint(_) => way.asked.other_transport().map(|hint| format!("; {hint}")),
                _ => None,
            };
            let text = format!("{} does not speak MCP over SSE: {other}{}", way.shown(), hint.unwrap_or_default());
            Err(ConnectError::Protocol(text))
        }
        Err(fault) => Err(way.unreachable(&fault)),
    }
}

/// The handshake of the old session in the new one. Gives the list changes to tell the client. Nothing to do the first
/// time: then the client's own handshake is on its way.
async fn restore(way: &Arc<Way>, line: &mut Line, memory: &Mutex<Handshake>) -> Result<Vec<Frame>, Fault> {
    let (replay, known) = {
        let memory = lock(memory);
        (memory.replay(), memory.known().cloned())
    };
    let Some(replay) = replay else { return Ok(Vec::new()) };
    let answer = ask(way, line, &replay.initialize).await?;
    let Some(now) = Opened::read(&answer) else {
        return Err(Fault::new(
            FaultKind::Silent,
            false,
            "it does not open the session again; look into the server's log",
        ));
    };
    if let Some(initialized) = &replay.initialized {
        tell(way, line, initialized).await?;
        for request in &replay.state {
            match ask(way, line, request).await {
                Ok(answer) if answer.is_error() => warn!("the new session refuses {}", request.method()),
                Ok(_) => {}
                Err(fault) => warn!("the new session did not take {}: {fault}", request.method()),
            }
        }
    }
    let changes = known.as_ref().map(|known| known.changes(&now)).unwrap_or_default();
    if known.is_some_and(|known| known != now) {
        warn!("{} came back as another server or with other capabilities", way.shown());
    }
    lock(memory).reopened(now);
    Ok(changes)
}

async fn tell(way: &Way, line: &Line, frame: &Frame) -> Result<(), Fault> {
    let incoming = post(way, &line.post, frame).await?;
    let status = incoming.response.status();
    if status.is_success() {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Silent, false, format!("it answered {}", way.in_words(status))))
}

async fn ask(way: &Way, line: &mut Line, frame: &Frame) -> Result<Frame, Fault> {
    tell(way, line, frame).await?;
    let Kind::Request(id) = frame.kind() else { return Err(Fault::new(FaultKind::Silent, false, "not a request")) };
    match timeout(HANDSHAKE_TIMEOUT, line.answer_to(id)).await {
        Ok(answer) => answer,
        Err(_) => {
            let why = format!("it did not answer {} within {} s", frame.method(), HANDSHAKE_TIMEOUT.as_secs());
            Err(Fault::new(FaultKind::Silent, false, why))
        }
    }
}

impl Line {
    async fn answer_to(&mut self, id: &crate::message::Id) -> Result<Frame, Fault> {
        // Ends with the answer or with the stream.
        loop {
            let event = match self.events.next().await {
                Ok(Some(event)) => event,
                Ok(None) => {
                    return Err(Fault::new(FaultKind::Broken, false, "the event stream ended during the handshake"));
                }
                Err(StreamFault::Broken(fault)) => return Err(Fault { sent: false, ..fault }),
                Err(StreamFault::TooLarge(error)) => {
                    return Err(Fault::new(FaultKind::Silent, false, error.to_string()));
                }
            };
            for frame in pipe::frames_of(&event).unwrap_or_default() {
                match frame.kind() {
                    Kind::Response(Some(answered)) if answered == id => return Ok(frame),
                    _ if self.early.len() < MAX_EARLY => self.early.push_back(frame),
                    _ => debug!("too much came during the handshake; dropped a message"),
                }
            }
        }
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    PartnerLeft,
    StreamEnded,
}

/// Pumps one connection until it ends. What the server sends goes straight to the partner. What the partner sends is handed
/// on one by one, so that what was not sent when the connection ends is kept for the next.
async fn carry(way: &Arc<Way>, desk: &mut Desk, line: Line, memory: &Arc<Mutex<Handshake>>) -> Over {
    let scope = way.scope.child();
    let (inner, rx) = mpsc::channel(1);
    // The way home for the client's answers is the desk: they must not overtake what the client said before them.
    let peer = Peer { tx: desk.tx.clone(), rx: rx.into(), home: desk.home.clone() };
    let rules = Rules {
        name: way.name(),
        speaker: way.server.clone(),
        role: Role::Connect,
        max_in_flight: way.limits.max_in_flight,
        max_waiting: way.limits.max_waiting(),
        request_timeout: way.limits.request_timeout,
        linger: way.limits.grace,
    };
    let (source, sink) = pipe::open(way, line, memory, &scope);
    let pumping = async {
        pump::<EventSource, PostSink>(source, sink, peer, rules).await;
        scope.stop();
    };
    let ((), over) = tokio::join!(pumping, relay(desk, inner, &scope));
    over
}

async fn relay(desk: &mut Desk, inner: mpsc::Sender<Envelope>, connection: &Scope) -> Over {
    // Ends when the partner leaves or the connection ends. Then the pump is told so by the end of `inner`.
    loop {
        let next = tokio::select! {
            next = desk.next() => next,
            () = connection.stopped() => return Over::StreamEnded,
        };
        let Some(envelope) = next else { return Over::PartnerLeft };
        if let Err(SendError(unsent)) = inner.send(envelope).await {
            desk.put_back(unsent);
            return Over::StreamEnded;
        }
    }
}

/// POSTs a message. Repeats it only while no connection comes about.
async fn post(way: &Way, url: &Url, frame: &Frame) -> Result<Incoming, Fault> {
    way.patiently(|| {
        let headers = HeaderMap::from_iter([
            (header::ACCEPT, header::HeaderValue::from_static("application/json, text/event-stream")),
            (header::CONTENT_TYPE, header::HeaderValue::from_static("application/json")),
        ]);
        let body = Some(frame.bytes().clone());
        way.web.send(Outgoing { method: Method::POST, url, headers, body, started: Arc::default() })
    })
    .await
}

/// The answer of the bridge's own to a request that the server did not take.
fn refused(frame: &Frame, message: &str, data: Option<serde_json::Value>) -> Frame {
    Frame::error(frame.id_text(), code::INTERNAL, message, data)
}

/// The poison of a lock means that a task panicked elsewhere; the memory stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
