//! The streams of one session: who reads each, and what becomes of one that nobody reads.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::warn;

use super::{Phase, Session, State, tables::Call};
use crate::{
    message::{Frame, Kind, code},
    peer::{Envelope, Inbox},
    protocol::Revision,
    wire::{
        event_stream::encode,
        exchange::{Chunks, Next},
        http::accept::{RETRY, replay::Place},
    },
};

/// What the server says outside of any call while no stream is open for it, in messages. A client that never opens one
/// must not hold up its server for ever, so the oldest notifications go first, which is told in the log.
const MAX_WAITING: usize = 256;

/// The same in bytes. What waits takes its room from the budget of its server, which must not run out.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    rx: Inbox,
    kind: StreamKind,
    /// Of the next event.
    pub(super) next: u32,
    /// Who reads it: the number of a body, or nobody.
    pub(super) reader: Option<u64>,
    waker: Option<Waker>,
}

/// What a stream carries.
#[derive(Debug)]
pub(super) enum StreamKind {
    /// What belongs to no call, and what of that waits for a client.
    Standalone(VecDeque<Envelope>),
    /// One call or one batch, with so many answers to come.
    Calls(usize),
    /// A call whose client hung up before it got any event id: nobody can come back for it.
    Mute(usize),
}

impl State {
    /// Makes a new body the reader of a stream, in place of any other.
    pub(super) fn attach(&mut self, session: &Arc<Session>, number: u32) -> Reader {
        self.readers += 1;
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.reader = Some(self.readers);
            stream.wake();
        }
        Reader { session: session.clone(), stream: number, number: self.readers, ended: false }
    }

    /// Gives the client an id to come back with before there is any message, where its revision knows that.
    pub(super) fn prime(&mut self, number: u32, chunks: &mut Chunks) {
        if self.tables.revision() < Some(Revision::V2025_11_25) {
            return;
        }
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let place = stream.place(number);
        self.log.push(place, &Bytes::new());
        if let Some(id) = place.id() {
            chunks.raw(encode::priming(&id, Some(RETRY)));
        }
    }

    /// Writes one envelope as an event of a stream. True when it was the last.
    pub(super) fn write(&mut self, number: u32, envelope: Envelope, chunks: &mut Chunks) -> bool {
        let Some(frame) = self.tables.take(envelope) else { return false };
        let Some(stream) = self.streams.get_mut(&number) else { return true };
        let place = stream.place(number);
        self.log.push(place, frame.bytes());
        chunks.message(place.id().as_ref(), frame.bytes());
        let ended = stream.kind.book(&frame);
        if ended {
            self.streams.remove(&number);
            if self.tables.is_refused() {
                self.wake_collector();
            }
        }
        ended
    }

    /// Takes what came on a stream that nobody reads.
    pub(super) fn keep(&mut self, number: u32, envelope: Envelope) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let ended = match &mut stream.kind {
            StreamKind::Standalone(_) => {
                self.keep_standalone(envelope);
                false
            }
            StreamKind::Calls(_) => {
                let Some(frame) = self.tables.take(envelope) else { return };
                let place = stream.place(number);
                self.log.push(place, frame.bytes());
                stream.kind.book(&frame)
            }
            StreamKind::Mute(_) => {
                if let Some(reply) = envelope.reply {
                    reply.fail(code::INTERNAL, "the client of the call that this belongs to hung up", None);
                    return;
                }
                let Some(frame) = self.tables.take(envelope) else { return };
                stream.kind.book(&frame)
            }
        };
        if ended {
            self.streams.remove(&number);
        }
    }

    /// What belongs to no call while no stream is open for it: requests and log messages go to the oldest open call,
    /// as clients that open no such stream still answer there; the rest waits.
    fn keep_standalone(&mut self, envelope: Envelope) {
        let urgent = envelope.reply.is_some() || envelope.frame.method() == "notifications/message";
        let left = if urgent { self.give_to_oldest_call(envelope) } else { Some(envelope) };
        let Some(envelope) = left else { return };
        let standalone = self.standalone;
        let Some(StreamKind::Standalone(waiting)) = self.streams.get_mut(&standalone).map(|stream| &mut stream.kind)
        else {
            return;
        };
        let bytes: usize = waiting.iter().map(|waiting| waiting.frame.bytes().len()).sum();
        if waiting.len() < MAX_WAITING && bytes + envelope.frame.bytes().len() <= MAX_WAITING_BYTES {
            waiting.push_back(envelope);
            return;
        }
        if let Some(reply) = envelope.reply {
            reply.fail(code::LIMIT, "the client reads no stream, and too much is waiting for it", None);
            return;
        }
        if envelope.frame.bytes().len() <= MAX_WAITING_BYTES / MAX_WAITING
            && let Some(oldest) = waiting.iter().position(|waiting| waiting.reply.is_none())
        {
            waiting.remove(oldest);
            waiting.push_back(envelope);
        }
        self.dropped += 1;
        if self.dropped == 1 {
            warn!(kept = MAX_WAITING, "the client reads no stream: its oldest notifications are dropped from now on");
        }
    }

    fn give_to_oldest_call(&self, envelope: Envelope) -> Option<Envelope> {
        let read = |call: &&Call| {
            // A call that is no stream yet has a client that waits for its answer.
            self.streams.get(&call.number).is_none_or(|stream| stream.reader.is_some())
        };
        let oldest =
            self.tables.calls.values().filter(read).min_by_key(|call| call.number.wrapping_sub(self.standalone));
        let Some(home) = oldest.and_then(|call| call.home.upgrade()) else { return Some(envelope) };
        home.try_send(envelope).err().map(mpsc::error::TrySendError::into_inner)
    }
}

impl Stream {
    pub(super) fn new(rx: impl Into<Inbox>, kind: StreamKind) -> Stream {
        Stream { rx: rx.into(), kind, next: 1, reader: None, waker: None }
    }

    /// Has the body that reads it look again.
    pub(super) fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    /// The place of a new event.
    fn place(&mut self, stream: u32) -> Place {
        let number = self.next;
        self.next += 1;
        Place { stream, number }
    }
}

impl StreamKind {
    /// Counts a frame that went out. True when it was the last answer.
    fn book(&mut self, frame: &Frame) -> bool {
        match (self, frame.kind()) {
            (StreamKind::Calls(answers) | StreamKind::Mute(answers), Kind::Response(_)) => {
                *answers = answers.saturating_sub(1);
                *answers == 0
            }
            _ => false,
        }
    }
}

/// One body's hold on a stream. Dropped before the stream's end, it leaves the stream to the session's task.
#[derive(Debug)]
pub struct Reader {
    pub(super) session: Arc<Session>,
    pub(super) stream: u32,
    pub(super) number: u64,
    pub(super) ended: bool,
}

impl Reader {
    /// The session that it reads.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Moves what is there into `out`.
    pub fn poll(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Next> {
        if self.ended {
            return Poll::Ready(Next::End);
        }
        let next = self.session.lock().poll_read(self.stream, self.number, cx, out);
        self.ended = next == Poll::Ready(Next::End);
        next
    }
}

impl State {
    /// Reads the streams that have no client. Ready when the session is over.
    pub(super) fn poll_unread(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_open() || self.tables.is_refused() || !self.streams.contains_key(&self.standalone) {
            return Poll::Ready(());
        }
        self.collector = Some(cx.waker().clone());
        let unread = self.streams.iter().filter(|(_, stream)| stream.reader.is_none());
        let numbers: Vec<u32> = unread.map(|(number, _)| *number).collect();
        for number in numbers {
            while let Some(Poll::Ready(envelope)) = self.streams.get_mut(&number).map(|stream| stream.rx.poll_recv(cx))
            {
                match envelope {
                    Some(envelope) => self.keep(number, envelope),
                    None if number == self.standalone => return Poll::Ready(()),
                    None => self.close(number),
                }
            }
        }
        Poll::Pending
    }

    /// The server has nothing more to say on a stream.
    fn close(&mut self, number: u32) {
        self.streams.remove(&number);
        self.tables.forget(number);
        self.wake_collector();
    }

    /// Ends a stream with an error for each of its calls.
    fn fail(&mut self, number: u32, why: &str, out: &mut Chunks) {
        for id in self.tables.give_up_calls(number) {
            let Some(stream) = self.streams.get_mut(&number) else { return };
            let error = Frame::error(&id.to_json(), code::INTERNAL, why, None);
            out.message(stream.place(number).id().as_ref(), error.bytes());
        }
        self.streams.remove(&number);
    }

    fn poll_read(&mut self, number: u32, reader: u64, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Next> {
        let standalone = number == self.standalone;
        while !out.is_full() {
            let Some(stream) = self.streams.get_mut(&number) else { return Poll::Ready(Next::End) };
            if stream.reader != Some(reader) {
                return Poll::Ready(Next::End);
            }
            if self.cut_off.is_some() {
                // What is there is all that comes.
                stream.rx.close();
            }
            let waited = match &mut stream.kind {
                StreamKind::Standalone(waiting) => waiting.pop_front(),
                StreamKind::Calls(_) | StreamKind::Mute(_) => None,
            };
            let polled = waited.map_or_else(|| stream.rx.poll_recv(cx), |envelope| Poll::Ready(Some(envelope)));
            match polled {
                Poll::Ready(Some(envelope)) => {
                    if self.write(number, envelope, out) {
                        return Poll::Ready(Next::End);
                    }
                }
                Poll::Ready(None) => {
                    self.close(number);
                    return Poll::Ready(Next::End);
                }
                Poll::Pending => {
                    if let Some(why) = self.cut_off {
                        self.fail(number, why, out);
                        return Poll::Ready(Next::End);
                    }
                    if let Phase::Draining(_, why) = &self.phase
                        && standalone
                    {
                        stream.reader = None;
                        out.raw(format!(": {why}\n\n").into());
                        return Poll::Ready(Next::End);
                    }
                    if out.is_empty() {
                        stream.waker = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                    return Poll::Ready(Next::More);
                }
            }
        }
        Poll::Ready(Next::More)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.session.lock();
        if let Some(stream) = state.streams.get_mut(&self.stream)
            && stream.reader == Some(self.number)
        {
            stream.reader = None;
            stream.waker = None;
            if !state.is_open() {
                state.streams.remove(&self.stream);
            }
            state.wake_collector();
        }
    }
}
