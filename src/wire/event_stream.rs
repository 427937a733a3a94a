//! The event-stream (SSE) codec: bytes to events and back.
//!
//! Owns the `text/event-stream` format as the WHATWG HTML standard states it under "Server-sent events": parsing an
//! event stream, interpreting an event stream. Both SSE wires use it, the legacy one and Streamable HTTP, in both roles.
//! It never waits, reads a clock, logs or parses JSON, and no input makes it panic.
//!
//! ```
//! use bytes::Bytes;
//! use mcp_bridge::wire::event_stream::{Decoder, EventId, EventName, encode};
//!
//! let id = EventId::new("7")?;
//! let mut decoder = Decoder::default();
//! for mut chunk in encode::event(&EventName::MESSAGE, Some(&id), Bytes::from_static(b"{}")) {
//!     while let Some(event) = decoder.decode(&mut chunk)? {
//!         assert_eq!(event.payload().map(|data| &data[..]), Some(&b"{}"[..]));
//!         assert_eq!(event.id, Some(id.clone()));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use memchr::{memchr2, memchr3};

mod decode;
pub mod encode;
#[cfg(test)]
#[allow(clippy::indexing_slicing)] // A test may panic.
mod tests;

pub use decode::{DecodeError, Decoder};

/// Default cap on the data of one event, in bytes. Stops an endless `data:` line from filling the memory.
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// Cap on an event id and on an event name, in bytes. An id is kept for the life of the stream and sent back in the
/// `Last-Event-ID` header, where servers take 8 KiB of headers at most; a longer one is ignored, as if it were not there.
pub const MAX_FIELD_BYTES: usize = 1024;

/// Data shorter than this many bytes is copied, longer data is shared with the chunk that it came in or goes out in.
/// A shared slice keeps its whole chunk alive, up to some 400 KiB of a network buffer for one small event.
const SHARE_FROM: usize = 4 * 1024;

/// The wait that [`clamp_retry`] allows at least. `retry: 0` would make the client reconnect in a tight loop.
pub const MIN_RETRY: Duration = Duration::from_millis(100);

/// The wait that [`clamp_retry`] allows at most. `retry: 1000000000000000000` would make the client never come back; a
/// minute is past any pause that a server asks for between polls, and within the time a person waits for a tool.
pub const MAX_RETRY: Duration = Duration::from_secs(60);

/// The wait before a reconnect that the server asked for, within [`MIN_RETRY`] and [`MAX_RETRY`]. Adds no jitter.
pub fn clamp_retry(asked: Duration) -> Duration {
    asked.clamp(MIN_RETRY, MAX_RETRY)
}

/// One block of an event stream: what stood between two blank lines.
///
/// A block without data is no event for a browser, but its id and its `retry` count, so it comes out too. A block with
/// none of the three comes out as nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's type; [`EventName::MESSAGE`] where the block names none.
    pub name: EventName,
    /// The `data` lines joined by LF. `None` without any such line. The bytes are as they came, also where they are not
    /// UTF-8: whoever parses them refuses them.
    pub data: Option<Bytes>,
    /// The id to send as `Last-Event-ID` from now on. An empty id means: send none from now on.
    pub id: Option<EventId>,
    /// The wait before a reconnect, as the server asked for it; see [`clamp_retry`].
    pub retry: Option<Duration>,
}

impl Event {
    /// The data, if there is anything in it to parse.
    ///
    /// `None` also for the priming event of MCP 2025-11-25 (Transports, Streamable HTTP, Sending Messages to the
    /// Server): it has an id and empty data, and must not be read as JSON.
    pub fn payload(&self) -> Option<&Bytes> {
        self.data.as_ref().filter(|data| !data.is_empty())
    }
}

/// An event's id. Holds no CR, LF or NUL and at most [`MAX_FIELD_BYTES`], so it can always be written in one line.
///
/// It may hold bytes that an HTTP header cannot, such as other control characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventId(Bytes);

impl EventId {
    /// Takes the text of an id.
    ///
    /// # Errors
    /// Where it holds CR, LF or NUL, or is over [`MAX_FIELD_BYTES`].
    pub fn new(id: impl Into<Bytes>) -> Result<Self, FieldError> {
        let id = id.into();
        check("id", &id, memchr3(b'\r', b'\n', 0, &id))?;
        Ok(Self(id))
    }

    /// The id as it came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the empty id, which takes an earlier one back.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({})", self.0.escape_ascii())
    }
}

/// An event's type. Holds no CR or LF and at most [`MAX_FIELD_BYTES`], so it can always be written in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(Cow<'static, str>);

impl EventName {
    /// A JSON-RPC message, and the type of an event that names none.
    pub const MESSAGE: Self = Self(Cow::Borrowed("message"));
    /// Where to post to (MCP 2024-11-05, Transports, HTTP with SSE).
    pub const ENDPOINT: Self = Self(Cow::Borrowed("endpoint"));
    /// A keep-alive for clients that do not see comments. Carries no message.
    pub const PING: Self = Self(Cow::Borrowed("ping"));

    /// Takes the text of a name. An empty one is [`EventName::MESSAGE`], as in the standard.
    ///
    /// # Errors
    /// Where it holds CR or LF, or is over [`MAX_FIELD_BYTES`].
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, FieldError> {
        let name = name.into();
        check("name", name.as_bytes(), memchr2(b'\r', b'\n', name.as_bytes()))?;
        Ok(if name.is_empty() { Self::MESSAGE } else { Self(name) })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An id or a name that one line of an event stream cannot hold. Writing it would end the line and start another field:
/// a peer that chooses its ids could forge whole events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A byte that ends the line, or that makes readers ignore an id.
    #[error(
        "the event {field} has the byte {byte:#04x} at {at}, which cannot stand there; send it without CR, LF and NUL"
    )]
    Forbidden {
        /// `id` or `name`.
        field: &'static str,
        /// The first such byte.
        byte: u8,
        /// Where it stands, from 0.
        at: usize,
    },
    /// Over [`MAX_FIELD_BYTES`].
    #[error("the event {field} is {len} bytes long, and the limit is {MAX_FIELD_BYTES}; send a shorter one")]
    TooLong {
        /// `id` or `name`.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
}

fn check(field: &'static str, text: &[u8], forbidden: Option<usize>) -> Result<(), FieldError> {
    if let Some((at, &byte)) = forbidden.and_then(|at| Some((at, text.get(at)?))) {
        return Err(FieldError::Forbidden { field, byte, at });
    }
    if text.len() > MAX_FIELD_BYTES {
        return Err(FieldError::TooLong { field, len: text.len() });
    }
    Ok(())
}
