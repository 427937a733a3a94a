//! HTTP with SSE as a client (2024-11-05, Transports, HTTP with SSE).
//!
//! Owns the connection: the event stream, and the `endpoint` that it names. Talks to the server through
//! [`crate::wire::remote`], and to the partner through `session`, which comes back when the stream breaks: the stream is
//! the session. It never sends a call again.

use std::{collections::VecDeque, future::ready, sync::Arc, time::Duration};

use futures::FutureExt as _;
use http::{HeaderMap, Method, StatusCode, header};
use tokio::time::timeout;
use tracing::debug;
use url::Url;

use self::pipe::{EventSource, PostSink};
use crate::{
    message::{Frame, Id, Kind},
    scope::Scope,
    wire::{
        event_stream::EventName,
        remote::{
            ConnectError, Desk, Way,
            events::{Events, StreamFault},
            fault::{Fault, FaultKind, one_line, shown, unasked_encoding},
            session::{self, Calls, Halves},
            web::{EVENT_STREAM, Incoming, Outgoing, encoding, media_type},
        },
    },
};

mod pipe;
#[cfg(test)]
mod tests;

/// From the connection to the `endpoint` event. Servers send it at once; those that start on demand take a while.
const ENDPOINT_PATIENCE: Duration = Duration::from_secs(10);

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

impl session::Line for Line {
    type Source = EventSource;
    type Sink = PostSink;

    const OVER: &'static str = "SSE";

    async fn dial(way: &Way) -> Result<Result<Line, ConnectError>, Fault> {
        Ok(Err(match dial(way).await {
            Ok(line) => return Ok(Ok(line)),
            Err(DialError::Fault(fault)) => return Err(fault),
            Err(DialError::Status(status)) if matches!(status.as_u16(), 502..=504) => {
                return Err(Fault::new(FaultKind::Gateway, false, format!("it answered {}", way.in_words(status))));
            }
            Err(DialError::Status(status)) => way.refused(status, None),
            Err(other) => {
                let hint = match &other {
                    DialError::NotEndpoint(_) => way.asked.other_transport().map(|hint| format!("; {hint}")),
                    _ => None,
                };
                let text = format!("{} does not speak MCP over SSE: {other}{}", way.shown(), hint.unwrap_or_default());
                ConnectError::Protocol(text)
            }
        }))
    }

    async fn tell(&mut self, way: &Way, frame: &Frame) -> Result<(), Fault> {
        let incoming = post(way, &self.post, frame).await?;
        let status = incoming.response.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Fault::new(FaultKind::Silent, false, format!("it answered {}", way.in_words(status))))
    }

    async fn answer_to(&mut self, id: &Id) -> Result<Frame, Fault> {
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

    fn open(self, way: &Arc<Way>, calls: &Arc<Calls>, scope: &Scope) -> Halves<Line> {
        let (source, sink) = pipe::open(way, self, calls, scope);
        Halves { source, sink, goodbye: ready(()).boxed() }
    }
}

/// Works the desk until the partner leaves, or until the first connection fails.
pub(crate) async fn run(way: &Arc<Way>, desk: &mut Desk, line: Option<Line>) -> Result<(), ConnectError> {
    session::run(way, desk, line, false).await.map(drop)
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
