//! One JSON-RPC message: the bytes as they came, plus the few fields that routing needs.
//!
//! Owns [`Frame`], [`Id`] and how ids are rewritten. Pure: no I/O, no clock, no logging. It never
//! re-serialises what it forwards: a rewritten id or progress token is spliced into a copy of the original bytes,
//! and everything else stays as it was, unknown fields and number formats included.

mod build;
pub mod code;
mod mark;
mod outline;
mod read;
pub mod text;

use std::{
    any::Any,
    borrow::Cow,
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use bytestring::ByteString;

use self::mark::{Mark, MarkKind};
pub use self::outline::Outline;

use crate::json::Object;

/// Deepest nesting that is forwarded. Many JSON readers recurse; a deeper message is an attack on them.
pub const MAX_DEPTH: usize = 128;

/// Longest id or progress token, in bytes of JSON text. Ids are kept in tables; a longer one is an attack on those.
pub const MAX_ID: usize = 1024;

/// Integers beyond this lose digits in JSON readers that use doubles (2^53 - 1).
const MAX_SAFE: u64 = 9_007_199_254_740_991;

/// A request id or progress token in a form that compares equal however the peer wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// An integer.
    Number(i64),
    /// A string, without quotes and escapes.
    Text(Box<str>),
    /// A number that is no 64-bit integer, as it was written.
    Other(Box<str>),
}

impl Id {
    /// Reads JSON text; `None` when it is neither a string nor a number, or too long.
    pub fn parse(json: &str) -> Option<Id> {
        if json.len() > MAX_ID {
            return None;
        }
        match json.as_bytes().first()? {
            b'"' => serde_json::from_str::<Box<str>>(json).ok().map(Id::Text),
            b'-' | b'0'..=b'9' => Some(json.parse().map_or_else(|_| Id::Other(json.into()), Id::Number)),
            _ => None,
        }
    }

    /// The JSON text of this id.
    pub fn to_json(&self) -> Cow<'_, str> {
        match self {
            Id::Number(n) => n.to_string().into(),
            Id::Text(text) => serde_json::Value::from(&**text).to_string().into(),
            Id::Other(text) => (&**text).into(),
        }
    }

    /// Whether every JSON reader gives this id back as it is written here: a safe integer or a string without escapes.
    fn survives(&self, written: &str) -> bool {
        match self {
            Id::Number(n) => n.unsigned_abs() <= MAX_SAFE && *written != *"-0",
            Id::Text(_) => !written.contains('\\'),
            Id::Other(_) => false,
        }
    }
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Wants exactly one answer.
    Request(Id),
    /// Answers a request; `None` when the id is null because the request could not be read.
    Response(Option<Id>),
    /// Wants no answer.
    Notification,
}

/// One message. Cheap to clone, and small: all is shared. Channels take room for 32 of what they carry at once.
#[derive(Debug, Clone)]
pub struct Frame {
    head: Arc<Head>,
}

/// Something that is given up when the last copy of a frame is dropped, such as a place in a buffer's budget.
#[derive(Clone)]
struct Hold(#[allow(dead_code)] Arc<dyn Any + Send + Sync>); // Held for its drop alone.

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}

#[derive(Debug, Clone)]
struct Head {
    /// Known to be UTF-8, so that no look at a part of it checks that part again.
    text: ByteString,
    hold: Option<Hold>,
    kind: Kind,
    method: Method,
    id_at: Range<usize>,
    /// `params`, `result` or `error`; empty when absent.
    body_at: Range<usize>,
    is_error: bool,
    mark: Option<Mark>,
    /// Of the body; `None` where it is no object, or was not read member by member.
    members: Option<Box<[Member]>>,
    own_meta: OwnMeta,
}

/// A member of the body: where its key and its value stand in the text.
#[derive(Debug, Clone)]
struct Member {
    key: Range<usize>,
    value: Range<usize>,
}

/// A method's name: where it stands in the text, or what it says where it is written with escapes.
#[derive(Debug, Clone)]
enum Method {
    At(Range<usize>),
    Escaped(Box<str>),
}

/// Where the values that a modern request has to carry stand in its params, once somebody has asked. Several do, and each
/// look is a pass over the params.
type OwnMeta = OnceLock<Option<Box<[Range<usize>; 4]>>>;

impl Method {
    fn name<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            // The range comes from that text.
            Method::At(at) => text.get(at.clone()).unwrap_or_default(),
            Method::Escaped(name) => name,
        }
    }
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not UTF-8, which RFC 8259 and MCP demand.
    #[error("the message is not UTF-8 (first bad byte at {0})")]
    NotUtf8(usize),
    /// Not JSON.
    #[error("the message is not JSON: {0}")]
    NotJson(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the message is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// JSON, but no JSON-RPC 2.0 message.
    #[error("not a JSON-RPC 2.0 message: {0}")]
    NotRpc(String),
    /// An array where the negotiated revision allows one message only.
    #[error("a batch is only part of revision 2025-03-26; send each message on its own")]
    Batch,
    /// Larger than the limit.
    #[error("the message is larger than {0} bytes (--max-message)")]
    TooLarge(usize),
}

impl FrameError {
    /// The JSON-RPC error code that tells the sender.
    pub fn code(&self) -> i32 {
        match self {
            FrameError::NotUtf8(_) | FrameError::NotJson(_) => code::PARSE_ERROR,
            _ => code::INVALID_REQUEST,
        }
    }
}

impl Frame {
    /// The same frame, which keeps `held`, if anything, until its last copy is dropped.
    pub fn holding<T: Any + Send + Sync>(mut self, held: Option<T>) -> Frame {
        if let Some(held) = held {
            Arc::make_mut(&mut self.head).hold = Some(Hold(Arc::new(held)));
        }
        self
    }

    /// The same frame, made of `other`: it keeps what that keeps.
    pub fn in_place_of(mut self, other: &Frame) -> Frame {
        if other.head.hold.is_some() {
            Arc::make_mut(&mut self.head).hold.clone_from(&other.head.hold);
        }
        self
    }

    /// Whether it keeps something until its last copy is dropped.
    pub fn is_holding(&self) -> bool {
        self.head.hold.is_some()
    }

    /// The same frame, which keeps nothing any more.
    pub fn released(mut self) -> Frame {
        if self.is_holding() {
            Arc::make_mut(&mut self.head).hold = None;
        }
        self
    }

    /// The bytes to send: what came, or a copy with rewritten ids.
    pub fn bytes(&self) -> &Bytes {
        self.head.text.as_bytes()
    }

    /// The bytes on one line. JSON has raw line ends only between tokens, where a space means the same.
    pub fn line(&self) -> Cow<'_, [u8]> {
        let bytes = self.bytes();
        if memchr::memchr2(b'\n', b'\r', bytes).is_none() {
            return Cow::Borrowed(bytes);
        }
        let mut line = bytes.to_vec();
        line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        line.into()
    }

    /// What kind of message this is.
    pub fn kind(&self) -> &Kind {
        &self.head.kind
    }

    /// The method of a request or notification; empty for a response.
    pub fn method(&self) -> &str {
        self.head.method.name(&self.head.text)
    }

    /// The id as the sender wrote it; `null` when there is none.
    pub fn id_text(&self) -> &str {
        match self.slice(&self.head.id_at) {
            "" => "null",
            text => text,
        }
    }

    /// JSON text of `params`, `result` or `error`; `None` when absent.
    pub fn body(&self) -> Option<&str> {
        Some(self.slice(&self.head.body_at)).filter(|text| !text.is_empty())
    }

    /// The body's members; `None` when it is absent, no object, or has a key twice.
    pub fn object(&self) -> Option<Object<'_>> {
        match &self.head.members {
            Some(members) => Object::of_members(members.iter().map(|at| (self.slice(&at.key), self.slice(&at.value)))),
            None => Object::parse(self.body()?),
        }
    }

    /// Values in the body: what `find` finds the first time. Always the same four, so `find` has to be always the same, too.
    pub(crate) fn own_meta<'a>(
        &'a self,
        find: impl FnOnce(&'a str) -> Option<[Option<&'a str>; 4]>,
    ) -> Option<[Option<&'a str>; 4]> {
        let body = self.body()?;
        let at = |value: Option<&str>| value.map_or(0..0, |value| position(body, value));
        let found = self.head.own_meta.get_or_init(|| find(body).map(|values| Box::new(values.map(at))));
        let value = |at: Range<usize>| body.get(at).filter(|value| !value.is_empty());
        found.as_ref().map(|found| (**found).clone().map(value))
    }

    /// Whether this is an error response.
    pub fn is_error(&self) -> bool {
        self.head.is_error
    }

    /// Of a request, the token that its progress is to carry; of a progress notification, the token that it carries.
    pub fn progress_token(&self) -> Option<&Id> {
        self.mark(MarkKind::Token).map(|mark| &mark.id)
    }

    /// The progress token as the sender wrote it.
    pub fn token_text(&self) -> Option<&str> {
        self.mark(MarkKind::Token).map(|mark| self.slice(&mark.at))
    }

    /// Of `notifications/cancelled`, the request that it means.
    pub fn cancelled(&self) -> Option<&Id> {
        self.mark(MarkKind::Cancelled).map(|mark| &mark.id)
    }

    /// Of what a subscription brings, and of its result, the id of the request that opened it (2026-07-28,
    /// Subscriptions).
    pub fn subscription(&self) -> Option<&Id> {
        self.mark(MarkKind::Subscription).map(|mark| &mark.id)
    }

    /// Whether the id and the token come back from any JSON reader as they are written here.
    pub fn ids_survive(&self) -> bool {
        let id = match &self.head.kind {
            Kind::Request(id) => id.survives(self.id_text()),
            _ => true,
        };
        id && self.head.mark.as_ref().is_none_or(|mark| mark.id.survives(self.slice(&mark.at)))
    }

    /// A copy with another id, as JSON text. The same bytes when it is the same text.
    pub fn with_id(&self, id: &str) -> Frame {
        self.with(Some(id), None)
    }

    /// A copy with another id and another token, cancelled id or subscription id, all as JSON text. What is absent stays absent.
    pub fn with(&self, id: Option<&str>, mark: Option<&str>) -> Frame {
        let id = id.filter(|id| !self.head.id_at.is_empty() && self.id_text() != *id);
        let mark = mark.zip(self.head.mark.as_ref()).filter(|(new, mark)| self.slice(&mark.at) != *new);
        if id.is_none() && mark.is_none() {
            return self.clone();
        }
        // Of two, one may be nothing in the place of nothing.
        let mut edits = [
            id.map_or((0..0, ""), |id| (self.head.id_at.clone(), id)),
            mark.map_or((0..0, ""), |(new, mark)| (mark.at.clone(), new)),
        ];
        edits.sort_unstable_by_key(|(at, _)| at.start);
        // Exactly: bytes with room behind them take memory for their count at once, else only when they are shared.
        let (gone, come) = edits.iter().fold((0, 0), |(gone, come), (at, new)| (gone + at.len(), come + new.len()));
        let mut text = String::with_capacity(self.head.text.len() - gone + come);
        let mut done = 0;
        for (at, new) in &edits {
            text.extend([self.slice(&(done..at.start)), new]);
            done = at.end;
        }
        text.push_str(self.slice(&(done..self.head.text.len())));

        let moved = |at: &Range<usize>| moved(at, &edits);
        let kind = match (&self.head.kind, id) {
            (Kind::Request(old), Some(id)) => Kind::Request(Id::parse(id).unwrap_or_else(|| old.clone())),
            (Kind::Response(_), Some(id)) => Kind::Response(Id::parse(id)),
            (kind, _) => kind.clone(),
        };
        let new_mark = self.head.mark.as_ref().map(|old| Mark {
            what: old.what,
            id: mark.and_then(|(text, _)| Id::parse(text)).unwrap_or_else(|| old.id.clone()),
            at: moved(&old.at),
        });
        let head = Head {
            hold: self.head.hold.clone(),
            kind,
            method: match &self.head.method {
                Method::At(at) => Method::At(moved(at)),
                escaped @ Method::Escaped(_) => escaped.clone(),
            },
            id_at: moved(&self.head.id_at),
            body_at: moved(&self.head.body_at),
            is_error: self.head.is_error,
            members: None,
            mark: new_mark,
            own_meta: OwnMeta::new(),
            text: text.into(),
        };
        Frame { head: Arc::new(head) }
    }

    fn mark(&self, what: MarkKind) -> Option<&Mark> {
        self.head.mark.as_ref().filter(|mark| mark.what == what)
    }

    fn slice(&self, at: &Range<usize>) -> &str {
        // The range comes from that text.
        self.head.text.get(at.clone()).unwrap_or_default()
    }
}

/// Where a range lies after `edits`, which are sorted and do not overlap.
fn moved(at: &Range<usize>, edits: &[(Range<usize>, &str)]) -> Range<usize> {
    let shift = |position: usize| {
        edits
            .iter()
            .filter(|(edit, _)| edit.end <= position && !edit.is_empty())
            .fold(position, |position, (edit, new)| position + new.len() - edit.len())
    };
    if at.is_empty() { at.clone() } else { shift(at.start)..shift(at.end) }
}

/// Where `part`, a slice of `text`, stands in it.
pub(crate) fn position(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests;
