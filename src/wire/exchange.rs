//! One HTTP exchange as a server sees it: how a request's body is read, and what an answer is made of.
//!
//! Owns the body type of every answer, the event stream with its keep-alives, the form of a refusal and the limits on
//! reading a body. Talks to whoever produces the events. It never looks at a session or a route.

use std::{
    borrow::Cow,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::{Frame as BodyFrame, SizeHint};

use crate::{
    audit::{Reason, Refused, What},
    message::{Frame, FrameError, code},
    registry::OpenError,
};

mod events;
mod patience;
mod read;
mod room;
mod tool_gate;

pub use events::{Chunks, EventStream, Events, KeepAlive, Next, OWN_CHUNK};
pub use patience::Patience;
pub use read::{read_beside, read_body};
pub use room::{take_room, take_room_for};
pub use tool_gate::ToolGate;

/// An answer.
pub type Response = http::Response<Body>;

/// The body of an answer.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// One piece, passed on as it is.
    Whole(Bytes),
    /// An event stream.
    Events(Box<EventStream>),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        if let Body::Events(events) = &mut *self {
            return events.poll_chunk(cx).map(|chunk| chunk.map(|chunk| Ok(BodyFrame::data(chunk))));
        }
        match std::mem::take(&mut *self) {
            Body::Whole(bytes) => Poll::Ready(Some(Ok(BodyFrame::data(bytes)))),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Whole(bytes) => bytes.is_empty(),
            Body::Events(events) => events.is_done(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Events(_) => SizeHint::default(),
        }
    }
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// A short text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::Whole(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// One message.
pub fn json(status: StatusCode, frame: &Frame) -> Response {
    json_in(HeaderMap::new(), status, frame)
}

/// The same, with headers in a map that is there already.
pub fn json_in(headers: HeaderMap, status: StatusCode, frame: &Frame) -> Response {
    let mut response = Response::new(Body::Whole(frame.bytes().clone()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An event stream. The headers keep proxies from buffering and rewriting it: nginx buffers without the last one.
pub fn events(stream: EventStream) -> Response {
    let mut response = Response::new(Body::Events(Box::new(stream)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Why a request is not served. Told as an HTTP status and a JSON-RPC error with the same text.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: i32,
    message: Cow<'static, str>,
    id: Option<Box<str>>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    data: Option<Box<serde_json::Value>>,
    /// What the audit log has of it; `None`: nothing, as of a message that is wrong.
    noted: Option<Box<Refused>>,
}

impl Refusal {
    /// A refusal of a message that is not one that can be served.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Refusal {
        let (code, message) = (code::INVALID_REQUEST, message.into());
        Refusal { status, code, message, id: None, header: None, data: None, noted: None }
    }

    /// One that the audit log has a line for.
    pub fn because(mut self, reason: Reason) -> Refusal {
        self.noted = Some(Box::new(Refused { reason, what: None }));
        self
    }

    /// What was asked, for that line.
    pub fn of(mut self, what: Option<What>) -> Refusal {
        if let Some(noted) = &mut self.noted {
            noted.what = what;
        }
        self
    }

    /// With another error code.
    pub fn code(mut self, code: i32) -> Refusal {
        self.code = code;
        self
    }

    /// In answer to a request whose id is known, as JSON text.
    pub fn id(mut self, id: &str) -> Refusal {
        self.id = Some(id.into());
        self
    }

    /// With a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Refusal {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// With data for programs.
    pub fn data(mut self, data: Option<serde_json::Value>) -> Refusal {
        self.data = data.map(Box::new);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer to send.
    pub fn into_response(self) -> Response {
        let id = self.id.as_deref().unwrap_or("null");
        let mut response = json(self.status, &Frame::error(id, self.code, &self.message, self.data.map(|data| *data)));
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        // The front knows who called.
        if let Some(noted) = self.noted {
            response.extensions_mut().insert(*noted);
        }
        response
    }
}

impl From<FrameError> for Refusal {
    fn from(error: FrameError) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, error.to_string()).code(error.code())
    }
}

/// Never 404, which a client takes for the end of its session, and no other 4xx, which it takes for a server of another
/// revision (2025-11-25, Transports, Backwards Compatibility).
impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Refusal {
        let status = match &error {
            // The client's own fault, and there is no other server to try.
            OpenError::Caller(..) | OpenError::Capabilities => StatusCode::BAD_REQUEST,
            OpenError::Full { .. }
            | OpenError::Crowded { .. }
            | OpenError::BackingOff { .. }
            | OpenError::Draining(_) => StatusCode::SERVICE_UNAVAILABLE,
            OpenError::Start(_) | OpenError::Handshake(_) | OpenError::Connect(_) => StatusCode::BAD_GATEWAY,
            OpenError::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut refusal = Refusal::new(status, error.to_string()).code(error.code()).data(error.data());
        if let Some(reason) = error.reason() {
            refusal = refusal.because(reason);
        }
        match error.retry_after() {
            Some(after) => refusal.header(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1))),
            None => refusal,
        }
    }
}
