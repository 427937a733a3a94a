//! An event stream as a body: what its source has, and a keep-alive when it has nothing for a while.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep};

use crate::wire::event_stream::{EventId, EventName, encode};

/// Data from this size on is a chunk of its own, which is not copied.
pub const OWN_CHUNK: usize = 4 * 1024;

/// Bytes after which a source is asked to pause, so that they are written before more is made.
const ENOUGH: usize = 64 * 1024;

/// Encoded events on their way to the socket.
#[derive(Debug, Default)]
pub struct Chunks {
    ready: VecDeque<Bytes>,
    /// Small events, side by side: one write for many.
    tail: BytesMut,
    len: usize,
}

impl Chunks {
    /// Adds one message.
    pub fn message(&mut self, id: Option<&EventId>, data: &Bytes) {
        if data.len() < OWN_CHUNK {
            let before = self.tail.len();
            encode::write_event(&mut self.tail, &EventName::MESSAGE, id, data);
            self.len += self.tail.len() - before;
            return;
        }
        for chunk in encode::event(&EventName::MESSAGE, id, data.clone()) {
            self.raw(chunk);
        }
    }

    /// Adds encoded text.
    pub fn raw(&mut self, chunk: Bytes) {
        self.close_tail();
        self.len += chunk.len();
        self.ready.push_back(chunk);
    }

    /// Whether enough is waiting to be written.
    pub fn is_full(&self) -> bool {
        self.len >= ENOUGH
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.ready.push_back(self.tail.split().freeze());
        }
    }

    /// The next piece to write. Memory goes back once all is taken: most streams are idle most of the time.
    pub fn take(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            self.close_tail();
        }
        let chunk = self.ready.pop_front();
        self.len -= chunk.as_ref().map_or(0, Bytes::len);
        if self.len == 0 {
            self.tail = BytesMut::new();
        }
        chunk
    }
}

/// What a source had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Something was added; ask again.
    More,
    /// Nothing comes after what was added.
    End,
}

/// Where the events of one stream come from. Streamable HTTP with and without a session and legacy SSE each have one.
pub trait Events: Send + 'static {
    /// Adds what is there. Called whenever the client has read enough to be written to, keep-alives included.
    fn poll_next(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Next>;
}

/// How an idle stream is kept open. Proxies close a silent connection, most after 60 s.
#[derive(Debug, Clone, Copy)]
pub struct KeepAlive {
    /// Between two; zero means never.
    pub every: Duration,
    /// `event: ping` instead of a comment.
    pub as_event: bool,
}

/// The body of an event stream.
pub struct EventStream {
    source: Box<dyn Events>,
    chunks: Chunks,
    keep_alive: KeepAlive,
    /// Made when the stream first has to wait.
    timer: Option<Pin<Box<Sleep>>>,
    last: Option<Instant>,
    ended: bool,
}

impl EventStream {
    /// A stream that begins with what is in `chunks`.
    pub fn new(source: impl Events, chunks: Chunks, keep_alive: KeepAlive) -> EventStream {
        EventStream { source: Box::new(source), chunks, keep_alive, timer: None, last: None, ended: false }
    }

    pub(super) fn is_done(&self) -> bool {
        self.ended && self.chunks.is_empty()
    }

    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.chunks.is_empty() && !self.ended {
            match self.source.poll_next(cx, &mut self.chunks) {
                Poll::Ready(next) => self.ended = next == Next::End,
                Poll::Pending => return self.poll_keep_alive(cx).map(Some),
            }
        }
        // A clock read for each chunk costs less than moving a timer.
        self.last = self.timer.is_some().then(Instant::now);
        match self.chunks.take() {
            Some(chunk) => Poll::Ready(Some(chunk)),
            None if self.ended => Poll::Ready(None),
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let every = self.keep_alive.every;
        if every.is_zero() {
            return Poll::Pending;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(every)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            let due = self.last.map_or(now, |last| last + every);
            if due <= now {
                timer.as_mut().reset(now + every);
                self.last = None;
                return Poll::Ready(if self.keep_alive.as_event { encode::ping() } else { encode::keep_alive() });
            }
            timer.as_mut().reset(due);
        }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("ended", &self.ended).finish_non_exhaustive()
    }
}
