//! WebSocket as a client.
//!
//! Owns the connection, from the upgrade to the close frame. Talks to the server through [`crate::wire::remote`]'s HTTP
//! client, so that certificates, headers, proxies and redirects are those of every remote wire; and to the partner through
//! [`session`], which comes back when the connection breaks. It never sends a call again.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::FutureExt as _;
use http::{Method, StatusCode};
use reqwest::Upgraded;
use tokio::time::timeout;
use tracing::debug;

use super::{
    codec::{Side, close},
    handshake,
    socket::{Over, Socket, Watch, answer_to, frames_of, write},
};
use crate::{
    message::{Frame, FrameError, Id, Kind},
    peer::{PEER_CAPACITY, Peer},
    pipe::{Ended, FrameSink, FrameSource},
    protocol,
    pump::Role,
    scope::Scope,
    wire::{
        handshake::Handshake,
        remote::{
            ConnectError, Trouble, Way,
            fault::{Fault, FaultKind},
            session::{self, Calls, Halves},
            web::Outgoing,
        },
    },
};

/// From the connection to the server's answer to the upgrade.
const UPGRADE_PATIENCE: Duration = Duration::from_secs(10);

/// Between pings. A server that answers none by the second one after it is gone; and a proxy keeps the connection.
const PING: Duration = Duration::from_secs(20);

/// How long a server may be silent when it is asked whether it speaks the modern era; then it is taken for one that does
/// not.
const DISCOVER_PATIENCE: Duration = Duration::from_secs(30);

/// Messages that may come ahead of the answers of a handshake; more are dropped.
const MAX_EARLY: usize = 256;

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Line {
    socket: Socket<Upgraded>,
    /// What came during the handshake and is for the partner.
    early: VecDeque<Result<Frame, FrameError>>,
}

impl session::Line for Line {
    type Source = Source;
    type Sink = Sink;

    const OVER: &'static str = "WebSocket";

    async fn dial(way: &Way) -> Result<Result<Line, ConnectError>, Fault> {
        let patience = way.retry.connect_timeout.saturating_add(UPGRADE_PATIENCE);
        match timeout(patience, dial(way)).await {
            Ok(Err(fault)) => Err(Fault { sent: false, why: in_ws_words(&fault.why), ..fault }),
            Ok(line) => line,
            Err(_) => {
                let why = format!("it did not answer within {} s; check the path of the URL", patience.as_secs());
                Err(Fault::new(FaultKind::Timeout, false, why))
            }
        }
    }

    async fn tell(&mut self, _way: &Way, frame: &Frame) -> Result<(), Fault> {
        let written = write(&self.socket, std::slice::from_ref(frame)).await;
        written.map_err(|error| broken(&format!("the connection broke ({error})")))
    }

    async fn answer_to(&mut self, id: &Id) -> Result<Frame, Fault> {
        // Ends with the answer or with the connection.
        loop {
            let text = self.socket.next().await.map_err(|over| broken(&in_words(&over)))?;
            for frame in frames_of(text) {
                match frame {
                    Ok(frame) if matches!(frame.kind(), Kind::Response(Some(answered)) if answered == id) => {
                        return Ok(frame);
                    }
                    frame if self.early.len() < MAX_EARLY => self.early.push_back(frame),
                    _ => debug!("too much came during the handshake; dropped a message"),
                }
            }
        }
    }

    fn open(self, way: &Arc<Way>, calls: &Arc<Calls>, scope: &Scope) -> Halves<Line> {
        let over = Arc::new(Mutex::new(None));
        let source = Source {
            way: way.clone(),
            socket: self.socket.clone(),
            ready: self.early,
            calls: calls.clone(),
            watch: Watch::new(PING, PING),
            scope: scope.clone(),
            over: over.clone(),
        };
        let sink = Sink { socket: self.socket.clone(), calls: calls.clone() };
        let socket = self.socket;
        let goodbye = async move {
            let over = over.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            let (code, reason) = over.as_ref().map_or((close::NORMAL, String::new()), answer_to);
            socket.finish(code, &reason).await;
        };
        Halves { source, sink, goodbye: goodbye.boxed() }
    }
}

async fn dial(way: &Way) -> Result<Result<Line, ConnectError>, Fault> {
    let Some((headers, asked)) = handshake::ask() else {
        return Err(Fault::new(FaultKind::Setup, false, "this machine has no random numbers; check the system"));
    };
    let request = Outgoing { method: Method::GET, url: way.web.url(), headers, body: None, started: Arc::default() };
    let response = way.web.send(request).await?.response;
    let status = response.status();
    if matches!(status.as_u16(), 502..=504) {
        return Err(Fault::new(FaultKind::Gateway, false, format!("it answered {}", way.in_words(status))));
    }
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Err(way.refused(status, None)));
    }
    if let Err(why) = asked.check(response.headers()) {
        let text = format!("{} does not speak WebSocket: its answer {why}; check the URL", way.shown());
        return Ok(Err(ConnectError::Protocol(text)));
    }
    let stream = response.upgrade().await.map_err(|error| Fault::read(&error, false))?;
    let socket = Socket::new(stream, Side::Client, way.limits.max_message);
    Ok(Ok(Line { socket, early: VecDeque::new() }))
}

/// Next steps for http:// URLs, for ws:// ones.
fn in_ws_words(why: &str) -> String {
    why.replace("https://", "wss://").replace("http://", "ws://")
}

fn broken(why: &str) -> Fault {
    Fault::new(FaultKind::Broken, false, format!("{why}; look into the server's log"))
}

fn in_words(over: &Over) -> String {
    match over {
        Over::Closed(None) => "it closed the connection".into(),
        Over::Closed(Some(code)) => format!("it closed the connection with code {code}"),
        Over::Violation(violation) => violation.why.clone(),
        Over::Lost(why) => format!("the connection broke: {why}"),
    }
}

/// What the server says.
pub(crate) struct Source {
    way: Arc<Way>,
    socket: Socket<Upgraded>,
    ready: VecDeque<Result<Frame, FrameError>>,
    calls: Arc<Calls>,
    watch: Watch,
    scope: Scope,
    /// How the connection ended, when the server ended it.
    over: Arc<Mutex<Option<Over>>>,
}

impl FrameSource for Source {
    async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        // Ends with a message or with the connection.
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Some(next.inspect(|frame| {
                    self.way.worked();
                    self.calls.came(frame);
                }));
            }
            if self.calls.are_done() {
                return None;
            }
            let over = tokio::select! {
                biased;
                next = self.socket.next() => match next {
                    Ok(text) => {
                        self.ready = frames_of(text);
                        continue;
                    }
                    Err(over) => over,
                },
                overdue = self.watch.tick(&self.socket) => match overdue {
                    Some(why) => Over::Lost(why.into()),
                    None => continue,
                },
                () = self.calls.given_up(self.way.limits.grace) => return None,
            };
            *self.over.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(over);
            return None;
        }
    }

    async fn end(&mut self) -> Ended {
        self.scope.stop();
        let over = self.over.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let why = over.as_ref().map_or_else(|| "all was said".into(), in_words);
        let what = format!("the connection to {} ended ({why})", self.way.shown());
        if self.calls.is_any_open() {
            self.way.failed(ConnectError::Unreachable(format!("{what}; look into the server's log")));
        }
        let Trouble { message, data, .. } = Trouble::fate_unknown(&what);
        Ended { message, data }
    }
}

/// What is said to the server.
pub(crate) struct Sink {
    socket: Socket<Upgraded>,
    calls: Arc<Calls>,
}

impl FrameSink for Sink {
    async fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        frames.iter().for_each(|frame| self.calls.sent(frame));
        write(&self.socket, frames).await
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.calls.close();
    }
}

/// Connects to a server of the modern era: all exchanges go over one connection. `None`: it does not speak that era.
/// Without `asks` it is taken for one that does.
pub(crate) async fn modern(way: &Arc<Way>, asks: bool) -> Result<Option<Peer>, ConnectError> {
    let dialed = way.patiently(|| <Line as session::Line>::dial(way)).await;
    let failed = |why: ConnectError| {
        way.failed(why.clone());
        why
    };
    let mut line = dialed.map_err(|fault| failed(way.unreachable(&fault)))?.map_err(failed)?;
    if asks {
        let question = protocol::discover();
        let asked = session::ask(way, &mut line, &question);
        match timeout(DISCOVER_PATIENCE, asked).await {
            Ok(Ok(answer)) if protocol::is_modern(&answer) => {}
            Ok(Ok(_)) => return Ok(None),
            // A server that waits for initialize may close, or say nothing.
            Ok(Err(why)) => {
                debug!("{} did not answer server/discover: {why}", way.shown());
                return Ok(None);
            }
            Err(_) => return Ok(None),
        }
    }
    way.worked();
    let (ours, theirs) = Peer::pair(PEER_CAPACITY);
    let way = way.clone();
    way.scope.clone().spawn(async move {
        let scope = way.scope.child();
        let memory = Arc::new(Mutex::new(Handshake::default()));
        session::pumped(&way, line, &memory, ours, Role::ConnectModern { own: false }, &scope).await;
    });
    Ok(Some(theirs))
}
