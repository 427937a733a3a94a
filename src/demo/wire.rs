//! Lines, messages, and the way out. Owns the framing of the stdio transport (one JSON-RPC message per line) and the
//! outgoing buffer. Talks to the two byte streams given to `serve`. Never looks into params or results.

use std::borrow::Cow;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;

/// Bytes; a client that never ends its line would fill the memory.
pub(super) const MAX_LINE: usize = 64 << 20;
/// Bytes asked for in one read: what a Linux pipe holds.
const READ_CHUNK: usize = 64 << 10;
/// Bytes waiting to be written above which no more is read and no more notifications are made.
const HIGH_WATER: usize = 256 << 10;
/// Bytes; a buffer that a big message made larger than this is given back.
const KEEP: usize = 1 << 20;

/// Locks, also after a panic elsewhere: every guarded value here is whole after each statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cuts the input into lines.
#[derive(Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to here there is no further line end, so that a long line is searched once and not once per read.
    searched: usize,
}

impl Lines {
    /// Reads once. Cancel safe: what was read is in the buffer. 0 means the client closed its side.
    pub(super) async fn fill(&mut self, read: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
        self.buffer.reserve(READ_CHUNK);
        read.read_buf(&mut self.buffer).await
    }

    pub(super) fn next_line(&mut self) -> Option<&[u8]> {
        // Only LF ends a line: JSON text may hold U+2028 as it is.
        let Some(at) = memchr::memchr(b'\n', self.buffer.get(self.searched..)?) else {
            self.searched = self.buffer.len();
            return None;
        };
        let (from, end) = (self.start, self.searched + at);
        self.start = end + 1;
        self.searched = self.start;
        self.buffer.get(from..end)
    }

    pub(super) fn over_long(&self) -> bool {
        self.buffer.len() - self.start > MAX_LINE
    }
}

/// Params as the bytes that came. Most are small; those of `echo` may be megabytes and are never turned into a tree.
pub(super) type Params<'m> = Option<&'m RawValue>;

/// One JSON-RPC message.
pub(super) enum Message<'m> {
    Request { id: &'m RawValue, method: Cow<'m, str>, params: Params<'m> },
    Notification { method: Cow<'m, str>, params: Params<'m> },
    Response { id: &'m RawValue, outcome: Result<Value, RpcError> },
}

/// One line: a message, or in revision 2025-03-26 also a batch of them (basic, "Batching").
pub(super) enum Line<'m> {
    One(Message<'m>),
    Batch(Vec<Message<'m>>),
}

#[derive(Deserialize)]
struct Fields<'m> {
    #[serde(borrow)]
    jsonrpc: Cow<'m, str>,
    #[serde(borrow)]
    id: Option<&'m RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'m, str>>,
    #[serde(borrow)]
    params: Params<'m>,
    #[serde(borrow)]
    result: Option<&'m RawValue>,
    error: Option<RpcError>,
}

/// Reads one line. `None` when it is not JSON-RPC.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let text = std::str::from_utf8(line).ok()?.trim_ascii();
    if !text.starts_with('[') {
        return parse_one(text).map(Line::One);
    }
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let batch: Option<Vec<_>> = items.into_iter().map(|item| parse_one(item.get())).collect();
    batch.filter(|batch| !batch.is_empty()).map(Line::Batch)
}

fn parse_one(text: &str) -> Option<Message<'_>> {
    if !text.starts_with('{') {
        return None; // serde would take an array for a struct
    }
    let fields: Fields = serde_json::from_str(text).ok().filter(|f: &Fields| f.jsonrpc == "2.0")?;
    // An id is a string or a number, never null (basic, "Requests").
    let id = fields.id.filter(|id| id.get().starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()));
    match (id, fields.method) {
        (Some(id), Some(method)) => Some(Message::Request { id, method, params: fields.params }),
        (None, Some(method)) if fields.id.is_none() => Some(Message::Notification { method, params: fields.params }),
        (Some(id), None) => {
            let result = fields.result.map_or(Ok(Value::Null), |result| serde_json::from_str(result.get()));
            let outcome = fields.error.map_or_else(|| result.map_err(|e| RpcError::params(e.to_string())), Err);
            Some(Message::Response { id, outcome })
        }
        _ => None,
    }
}

/// The `error` member of a response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Value>,
}

impl RpcError {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// -32602: the params do not fit the method.
    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }
}

/// Bytes on their way to the client. One write carries all that gathered while the last one ran.
#[derive(Default)]
pub(super) struct Outbox {
    pending: Mutex<Vec<u8>>,
    filled: Notify,
    drained: Notify,
}

impl Outbox {
    /// Adds one line. Never waits: who may add many calls [`Outbox::room`] first.
    pub(super) fn push(&self, message: &impl Serialize) {
        self.push_with(|pending| write_json(pending, message));
    }

    pub(super) fn push_text(&self, line: &[u8]) {
        self.push_with(|pending| pending.extend_from_slice(line));
    }

    fn push_with(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut pending = lock(&self.pending);
        write(&mut pending);
        pending.push(b'\n');
        drop(pending);
        self.filled.notify_one();
    }

    pub(super) fn notify(&self, method: &str, params: Value) {
        self.push(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    pub(super) fn has_room(&self) -> bool {
        lock(&self.pending).len() < HIGH_WATER
    }

    fn is_empty(&self) -> bool {
        lock(&self.pending).is_empty()
    }

    /// Waits until the client has taken enough of what was sent.
    pub(super) async fn room(&self) {
        loop {
            let drained = self.drained.notified(); // before the check, or a wake-up could be missed
            if self.has_room() {
                return;
            }
            drained.await;
        }
    }

    /// Waits until something is pending, and swaps it for the empty `buffer`.
    async fn take(&self, buffer: &mut Vec<u8>) {
        while self.is_empty() {
            self.filled.notified().await;
        }
        std::mem::swap(&mut *lock(&self.pending), buffer);
        self.drained.notify_waiters();
    }
}

/// The bytes being written.
#[derive(Default)]
pub(super) struct Sending {
    buffer: Vec<u8>,
    written: usize,
    unflushed: bool,
}

impl Sending {
    /// Waits for output and writes some of it. Cancel safe: all progress is kept in `self`.
    pub(super) async fn step(&mut self, out: &Outbox, write: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if self.written == self.buffer.len() {
            if self.unflushed {
                write.flush().await?;
                self.unflushed = false;
            }
            self.written = 0;
            self.buffer.clear();
            if self.buffer.capacity() > KEEP {
                self.buffer = Vec::new();
            }
            out.take(&mut self.buffer).await;
        }
        let rest = self.buffer.get(self.written..).unwrap_or_default();
        match write.write(rest).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => self.written += n,
        }
        self.unflushed = true;
        Ok(())
    }

    /// Writes all that is left.
    pub(super) async fn finish(&mut self, out: &Outbox, write: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while self.written < self.buffer.len() || !out.is_empty() {
            self.step(out, write).await?;
        }
        write.flush().await
    }
}

/// Where the answer to a request goes.
#[derive(Clone)]
pub(super) enum Home<'a> {
    Line(&'a Outbox),
    Batch(Arc<Batch<'a>>),
}

/// Gathers the answers to a batch. The last one to let go of it sends them, as one array on one line.
pub(super) struct Batch<'a> {
    out: &'a Outbox,
    answers: Mutex<Vec<u8>>,
}

#[derive(Serialize)]
struct Answer<'m, T> {
    jsonrpc: &'static str,
    id: &'m RawValue,
    result: T,
}

impl<'a> Home<'a> {
    pub(super) fn batch(out: &'a Outbox) -> Self {
        Self::Batch(Arc::new(Batch { out, answers: Mutex::default() }))
    }

    /// The id goes back as the bytes that came: `1.0` and `"\u0031"` are the client's business.
    pub(super) fn result(&self, id: &RawValue, result: &impl Serialize) {
        self.send(&Answer { jsonrpc: "2.0", id, result });
    }

    pub(super) fn error(&self, id: &RawValue, error: &RpcError) {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }

    fn send(&self, answer: &impl Serialize) {
        match self {
            Self::Line(out) => out.push(answer),
            Self::Batch(batch) => {
                let mut answers = lock(&batch.answers);
                let before = if answers.is_empty() { b'[' } else { b',' };
                answers.push(before);
                write_json(&mut answers, answer);
            }
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut answers = std::mem::take(&mut *lock(&self.answers));
        if !answers.is_empty() {
            answers.push(b']');
            self.out.push_text(&answers);
        }
    }
}

/// Appends `value`. Writing to memory fails only for a value that is no JSON, and none is made here.
fn write_json(buffer: &mut Vec<u8>, value: &impl Serialize) {
    let before = buffer.len();
    if let Err(error) = serde_json::to_writer(&mut *buffer, value) {
        buffer.truncate(before);
        super::complain(format_args!("cannot write a message: {error}; please report this"));
    }
}
