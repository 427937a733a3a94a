//! A WebSocket connection after its handshake: messages in, messages out, and its end.
//!
//! Owns the stream, what waits to be written to it, and the pings. Talks to the stream. It never reads a message, and
//! never decides what a close code means for a session.
//!
//! One task works a socket: its reading and its writing half, and whoever watches it, are polled side by side in it. So a
//! lock is held for the time of one poll only, and whichever half is woken, all are looked at.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Interval, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::io::poll_read_buf;

use super::codec::{self, Decoder, Item, Kind, Side, Violation, close};
use crate::{
    message::{Frame, FrameError},
    wire::idle::Clock,
};

/// A message up to this size is copied next to its neighbours to make one write of several.
const COALESCE: usize = 8 * 1024;

/// Bytes that may wait to be written before the next message is taken.
const MOST_WAITING: usize = 64 * 1024;

/// Pieces that one write takes.
const SLICES: usize = 16;

/// For the close frame to be written.
const GOODBYE: Duration = Duration::from_secs(1);

/// For the other end to close in turn. Meanwhile what it still sends is thrown away: a connection that is closed over
/// unread bytes is reset, and the close frame is lost with it.
const LINGER: Duration = Duration::from_secs(2);

/// What a socket runs on.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Why nothing more comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// The other end said so, with this code.
    Closed(Option<u16>),
    /// The other end broke the rules.
    Violation(Violation),
    /// The connection ended without a close frame.
    Lost(String),
}

/// One connection. Clones are the same one.
#[derive(Debug)]
pub struct Socket<S>(Arc<Mutex<State<S>>>);

impl<S> Clone for Socket<S> {
    fn clone(&self) -> Self {
        Socket(self.0.clone())
    }
}

#[derive(Debug)]
struct State<S> {
    stream: S,
    side: Side,
    decoder: Decoder,
    out: Out,
    clock: Clock,
    /// Since when bytes are awaited that do not come.
    reading: Option<u64>,
    /// Since when bytes wait that the other end does not take.
    writing: Option<u64>,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Out {
    pieces: VecDeque<Bytes>,
    /// What comes after them.
    tail: BytesMut,
    waiting: usize,
    /// The answer to the last ping of those that came while much waited. Those before it need none (RFC 6455, 5.5.3), so
    /// that a flood of pings fills nothing.
    pong: Option<Bytes>,
    /// Written, but not flushed.
    unflushed: bool,
    /// The close frame was put in: nothing may follow it.
    closed: bool,
}

impl<S: Stream> Socket<S> {
    /// A connection whose handshake is done. `max` bytes are the most of one message that comes.
    pub fn new(stream: S, side: Side, max: usize) -> Socket<S> {
        Socket(Arc::new(Mutex::new(State {
            stream,
            side,
            decoder: Decoder::new(side, max),
            out: Out::default(),
            clock: Clock::start(),
            reading: None,
            writing: None,
        })))
    }

    /// The poison of a lock means that a task panicked elsewhere; this one goes on to its end.
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message. Answers pings on the way. Cancel-safe.
    pub async fn next(&self) -> Result<Bytes, Over> {
        poll_fn(|cx| self.lock().poll_next(cx)).await
    }

    /// Writes a message, as soon as those before it leave room, and does not flush it.
    pub async fn feed(&self, message: &Bytes) -> io::Result<()> {
        poll_fn(|cx| {
            let mut state = self.lock();
            while state.out.waiting > MOST_WAITING {
                ready!(state.poll_write(cx))?;
            }
            Poll::Ready(state.put(Kind::Text, message))
        })
        .await
    }

    /// Writes all that waits.
    pub async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| self.lock().poll_flush(cx)).await
    }

    /// Ends the connection in good order, as far as the other end lets it: within a few seconds.
    pub async fn finish(&self, code: u16, reason: &str) {
        let _ = self.lock().put(Kind::Close, &codec::close_payload(code, reason));
        let closed = async {
            self.flush().await?;
            poll_fn(|cx| Pin::new(&mut self.lock().stream).poll_shutdown(cx)).await
        };
        if matches!(timeout(GOODBYE, closed).await, Ok(Ok(()))) {
            let _ = timeout(LINGER, poll_fn(|cx| self.lock().poll_discard(cx))).await;
        }
    }

    /// Asks the other end whether it lives. Left out while much waits for it already.
    async fn ping(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.out.waiting <= MOST_WAITING && !state.out.closed {
                let _ = state.put(Kind::Ping, &Bytes::new());
            }
            let _ = state.poll_flush(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Why the other end counts as gone, if it does: it has not done its part for `limit`.
    fn overdue(&self, limit: Duration) -> Option<&'static str> {
        let state = self.lock();
        let long_ago = state.clock.ago(limit);
        let is_overdue = |since: Option<u64>| since.is_some_and(|since| since < long_ago);
        match (state.reading, state.writing) {
            (_, writing) if is_overdue(writing) => Some("nothing was read of what was sent"),
            // Whoever takes long to read large messages comes to the ping behind them late.
            (reading, None) if is_overdue(reading) => Some("nothing was said, not even to a ping"),
            _ => None,
        }
    }
}

impl<S: Stream> State<S> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Over>> {
        // Ends with a message or with the connection. Each round reads, which tokio's budget bounds.
        loop {
            match self.decoder.decode() {
                Ok(Some(Item::Message(message))) => return Poll::Ready(Ok(message)),
                Ok(Some(Item::Ping(payload))) => self.answer_ping(payload),
                Ok(Some(Item::Pong)) => {}
                Ok(Some(Item::Close(code))) => return Poll::Ready(Err(Over::Closed(code))),
                Err(violation) => return Poll::Ready(Err(Over::Violation(violation))),
                Ok(None) => {
                    let lost = |error: io::Error| Over::Lost(error.to_string());
                    if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                        return Poll::Ready(Err(lost(error)));
                    }
                    match poll_read_buf(Pin::new(&mut self.stream), cx, self.decoder.room()) {
                        Poll::Ready(Ok(0)) => {
                            return Poll::Ready(Err(Over::Lost("it ended without a close frame".into())));
                        }
                        Poll::Ready(Ok(_)) => self.reading = None,
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(error))),
                        Poll::Pending => {
                            self.reading.get_or_insert(self.clock.now());
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }

    /// Puts in the answer to a ping, or keeps it for when there is room.
    fn answer_ping(&mut self, payload: Bytes) {
        let has_room = self.out.waiting <= MOST_WAITING;
        // Once this end has closed, no answer is owed.
        if !has_room || self.put(Kind::Pong, &payload).is_err() {
            self.out.pong = Some(payload);
        }
    }

    /// Puts a frame behind what waits.
    fn put(&mut self, kind: Kind, payload: &Bytes) -> io::Result<()> {
        if self.out.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.out.closed = kind == Kind::Close;
        let before = self.out.tail.len();
        match self.side {
            Side::Server => {
                codec::put_head(&mut self.out.tail, kind, payload.len(), None);
                if payload.len() <= COALESCE {
                    self.out.tail.extend_from_slice(payload);
                } else {
                    self.out.waiting += self.out.tail.len() - before + payload.len();
                    let head = self.out.tail.split().freeze();
                    self.out.pieces.extend([head, payload.clone()]);
                    return Ok(());
                }
            }
            Side::Client => {
                // Unforeseeable for whoever chose the payload (RFC 6455, 5.3).
                let mut key = [0; 4];
                aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("no random numbers to be had"))?;
                codec::put_head(&mut self.out.tail, kind, payload.len(), Some(key));
                let start = self.out.tail.len();
                self.out.tail.extend_from_slice(payload);
                codec::mask(self.out.tail.get_mut(start..).unwrap_or_default(), key);
            }
        }
        self.out.waiting += self.out.tail.len() - before;
        Ok(())
    }

    /// Writes once. Ready as well when nothing is left.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.pieces.is_empty() {
            if self.out.tail.is_empty()
                && let Some(payload) = self.out.pong.take()
                && !self.out.closed
            {
                self.put(Kind::Pong, &payload)?;
            }
            if self.out.tail.is_empty() {
                return Poll::Ready(Ok(()));
            }
            // Frozen whole: an idle session keeps no buffer.
            self.out.pieces.push_back(std::mem::take(&mut self.out.tail).freeze());
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        for (slice, piece) in slices.iter_mut().zip(&self.out.pieces) {
            *slice = IoSlice::new(piece);
        }
        let count = self.out.pieces.len().min(SLICES);
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices.get(..count).unwrap_or_default());
        let Poll::Ready(written) = written else {
            self.writing.get_or_insert(self.clock.now());
            return Poll::Pending;
        };
        self.writing = None;
        let mut left = written?;
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.out.unflushed = true;
        self.out.waiting = self.out.waiting.saturating_sub(left);
        while let Some(piece) = self.out.pieces.front_mut() {
            if piece.len() > left {
                piece.advance(left);
                break;
            }
            left -= piece.len();
            self.out.pieces.pop_front();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.out.waiting > 0 || self.out.pong.is_some() && !self.out.closed {
            ready!(self.poll_write(cx))?;
        }
        if self.out.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.out.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Throws away what comes, to the end.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        loop {
            let mut read = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

/// The messages that a text frame holds: one, or a batch of a legacy client. Blank ones are none.
pub fn frames_of(text: Bytes) -> VecDeque<Result<Frame, FrameError>> {
    let text = text.slice_ref(text.trim_ascii());
    match text.first() {
        None => VecDeque::new(),
        Some(b'[') => match Frame::parse_batch(text) {
            Ok(frames) => frames.into_iter().map(Ok).collect(),
            Err(error) => VecDeque::from([Err(error)]),
        },
        Some(_) => VecDeque::from([Frame::parse(text)]),
    }
}

/// Writes frames, and flushes.
pub async fn write<S: Stream>(socket: &Socket<S>, frames: &[Frame]) -> io::Result<()> {
    for frame in frames {
        socket.feed(frame.bytes()).await?;
    }
    socket.flush().await
}

/// Looks after a connection: pings, and tells when the other end is gone.
#[derive(Debug)]
pub struct Watch {
    tick: Interval,
    limit: Duration,
    pings: bool,
}

impl Watch {
    /// Pings so often; who has not answered by the second ping after it is gone. Without pings (`every` is zero), whoever
    /// says nothing for `silence` is.
    pub fn new(every: Duration, silence: Duration) -> Watch {
        let pings = !every.is_zero();
        let (every, limit) =
            if pings { (every, every * 2) } else { ((silence / 4).max(Duration::from_millis(1)), silence) };
        let mut tick = interval_at(tokio::time::Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch { tick, limit, pings }
    }

    /// Waits for the next tick, and gives why the other end counts as gone, if it does. Cancel-safe.
    pub async fn tick<S: Stream>(&mut self, socket: &Socket<S>) -> Option<&'static str> {
        self.tick.tick().await;
        let overdue = socket.overdue(self.limit);
        if overdue.is_none() && self.pings {
            socket.ping().await;
        }
        overdue
    }
}

/// The close code that answers the end of the other side, and its reason.
pub fn answer_to(over: &Over) -> (u16, String) {
    match over {
        Over::Closed(code) => (code.unwrap_or(close::NORMAL), String::new()),
        Over::Violation(violation) => (violation.code, violation.why.clone()),
        Over::Lost(why) => (close::PROTOCOL, why.clone()),
    }
}
