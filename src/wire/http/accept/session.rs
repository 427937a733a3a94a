//! One session: which calls are in flight, which streams are open, and what a client may ask for again.
//!
//! Owns the tables of one session and the one lock around them. Talks to the server through the sender that the
//! registry gave out, and to bodies and handlers that call it. It never reads a header and never waits.
//!
//! Each message goes out on exactly one stream (2025-11-25, Transports, Multiple Connections). A stream whose client
//! hung up is read on by the session's own task: a disconnect is no cancellation (Sending Messages to the Server), and
//! the client may come back for the rest.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::sync::mpsc;

use self::{
    stream::{Stream, StreamKind},
    tables::Tables,
};
use super::replay::{Missed, Place, ReplayLog};
use crate::{
    config::Limits,
    message::Frame,
    peer::{Caller, Envelope, Peer},
    protocol::Revision,
    room::Room,
    scope::Stopped,
    wire::exchange::Chunks,
};

mod stream;
mod tables;

pub use self::{stream::Reader, tables::NotBegun};

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: u128,
    /// Who speaks in it.
    pub caller: Arc<Caller>,
    /// For large messages to its server.
    pub room: Room,
    /// When the client was last heard of or read something, in milliseconds of the owner's clock.
    seen: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tables: Tables,
    streams: HashMap<u32, Stream>,
    log: ReplayLog,
    /// The stream of what belongs to no call. Its number starts at random, so that an event id of another session does
    /// not fit here.
    standalone: u32,
    /// Of the last stream or call.
    last_number: u32,
    readers: u64,
    phase: Phase,
    /// What is said of calls that are unanswered, once nobody waits for their answers.
    cut_off: Option<&'static str>,
    /// Of the session's own task.
    collector: Option<Waker>,
    dropped: u64,
}

#[derive(Debug)]
enum Phase {
    Open(mpsc::Sender<Envelope>),
    /// The server is let go: calls go on, the standalone stream ends.
    Draining(mpsc::Sender<Envelope>, Stopped),
    Ended,
}

/// Why a stream is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpened {
    /// The session is over.
    Ended,
    /// Another connection reads it.
    Taken,
    /// It cannot be resumed from there.
    Missed(Missed),
}

impl Session {
    /// A session with a server of its own. `base` is a random number.
    pub fn new(id: u128, base: u32, caller: Arc<Caller>, peer: Peer, limits: &Limits) -> Session {
        let Peer { tx, rx, home: _ } = peer;
        let standalone = Stream::new(rx, StreamKind::Standalone(VecDeque::new()));
        Session {
            id,
            caller,
            room: Room::new(limits.max_waiting()),
            seen: AtomicU64::new(0),
            state: Mutex::new(State {
                tables: Tables::new(limits.max_in_flight),
                streams: HashMap::from([(base, standalone)]),
                log: ReplayLog::new(limits.replay_bytes, limits.replay_events),
                standalone: base,
                last_number: base,
                readers: 0,
                phase: Phase::Open(tx),
                cut_off: None,
                collector: None,
                dropped: 0,
            }),
        }
    }

    /// There was traffic at `now`.
    pub fn touch(&self, now: u64) {
        self.seen.store(now, Ordering::Relaxed);
    }

    /// When there was traffic last.
    pub fn last_seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Whether somebody reads one of its streams.
    pub fn is_read(&self) -> bool {
        self.lock().streams.values().any(|stream| stream.reader.is_some())
    }

    /// The negotiated revision, if it is known by now and known here.
    pub fn revision(&self) -> Option<Revision> {
        self.lock().tables.revision()
    }

    /// Whether the server refused `initialize`.
    pub fn is_refused(&self) -> bool {
        self.lock().tables.is_refused()
    }

    /// The way to the server; `None` when the session is over.
    pub fn server(&self) -> Option<mpsc::Sender<Envelope>> {
        self.lock().server()
    }

    /// Enters calls into the table, all or none. Gives the number of their stream and the way to the server.
    pub fn begin(
        &self,
        requests: &[Frame],
        home: &mpsc::Sender<Envelope>,
    ) -> Result<(u32, mpsc::Sender<Envelope>), NotBegun> {
        let mut state = self.lock();
        let server = state.server().ok_or(NotBegun::Ended)?;
        let number = state.last_number.wrapping_add(1);
        state.tables.begin(number, requests, home)?;
        state.last_number = number;
        Ok((number, server))
    }

    /// Books what the server sent to a call that is not a stream yet. `None`: it is not for the client.
    pub fn take(&self, envelope: Envelope) -> Option<Frame> {
        self.lock().tables.take(envelope)
    }

    /// Turns a call into an event stream. `first` is what it begins with, `answers` how many are to come, that in
    /// `first` included.
    pub fn stream_calls(
        self: &Arc<Session>,
        number: u32,
        rx: mpsc::Receiver<Envelope>,
        answers: usize,
        first: Option<Envelope>,
    ) -> (Reader, Chunks) {
        let mut state = self.lock();
        state.streams.insert(number, Stream::new(rx, StreamKind::Calls(answers)));
        let mut chunks = Chunks::default();
        let mut reader = state.attach(self, number);
        state.prime(number, &mut chunks);
        reader.ended = first.is_some_and(|envelope| state.write(number, envelope, &mut chunks));
        (reader, chunks)
    }

    /// The client of a call hung up before there was any event.
    pub fn mute(&self, number: u32, rx: mpsc::Receiver<Envelope>, answers: usize) {
        let mut state = self.lock();
        if state.is_open() {
            state.streams.insert(number, Stream::new(rx, StreamKind::Mute(answers)));
            state.wake_collector();
        }
    }

    /// Opens the stream of what belongs to no call.
    pub fn stream_standalone(self: &Arc<Session>) -> Result<(Reader, Chunks), NotOpened> {
        let mut state = self.lock();
        let number = state.standalone;
        match state.streams.get(&number) {
            None => return Err(NotOpened::Ended),
            Some(stream) if stream.reader.is_some() => return Err(NotOpened::Taken),
            Some(_) => {}
        }
        let reader = state.attach(self, number);
        let mut chunks = Chunks::default();
        state.prime(number, &mut chunks);
        Ok((reader, chunks))
    }

    /// Goes on with a stream after an event that the client has seen. A connection that still reads it is ended: the
    /// client knows better which of its connections are dead.
    pub fn resume(self: &Arc<Session>, seen: Place) -> Result<(Reader, Chunks), NotOpened> {
        let mut state = self.lock();
        if !state.is_open() {
            return Err(NotOpened::Ended);
        }
        let next = state.streams.get(&seen.stream).map(|stream| stream.next);
        let missed = state.log.after(seen, next).map_err(NotOpened::Missed)?;
        let mut chunks = Chunks::default();
        for (place, data) in &missed {
            chunks.message(place.id().as_ref(), data);
        }
        if next.is_none() {
            let reader = Reader { session: self.clone(), stream: seen.stream, number: 0, ended: true };
            return Ok((reader, chunks));
        }
        Ok((state.attach(self, seen.stream), chunks))
    }

    /// Passes the client's answer to the server. False when nobody waits for it.
    pub fn answer(&self, frame: Frame) -> bool {
        let reply = self.lock().tables.answered(&frame);
        reply.map(|reply| reply.answer(frame)).is_some()
    }

    /// Ends the standalone stream; calls go on.
    pub fn drain(&self, why: Stopped) {
        let mut state = self.lock();
        state.phase = match std::mem::replace(&mut state.phase, Phase::Ended) {
            Phase::Open(server) | Phase::Draining(server, _) => Phase::Draining(server, why),
            Phase::Ended => Phase::Ended,
        };
        let standalone = state.standalone;
        state.streams.get_mut(&standalone).into_iter().for_each(Stream::wake);
    }

    /// Ends the session: the server is let go, and nothing can be resumed. Calls whose clients still wait get the
    /// answer that the end of the server gives them.
    pub fn end(&self) {
        let mut state = self.lock();
        state.phase = Phase::Ended;
        let standalone = state.standalone;
        let (kept, gone): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut state.streams)
            .into_iter()
            .partition(|(number, stream): &(u32, Stream)| *number != standalone && stream.reader.is_some());
        state.streams = kept;
        let asked = state.tables.give_up();
        state.wake_collector();
        drop(state);
        // Outside of the lock: what is dropped here answers, and wakes those who wait for that.
        asked.for_each(drop);
        gone.into_values().for_each(|mut stream| stream.wake());
    }

    /// Ends the session, as [`Session::end`] does, and does not wait for the server: calls whose clients still wait are
    /// answered with an error that says why.
    pub fn cut_off(&self, why: Stopped) {
        let mut state = self.lock();
        state.cut_off = Some(why.cut_off());
        let State { tables, streams, .. } = &mut *state;
        // Those that are streams answer for themselves, after what waits in them.
        tables.fail_where(|number| !streams.contains_key(&number), why.cut_off());
        streams.values_mut().for_each(Stream::wake);
        drop(state);
        self.end();
    }

    /// Forgets events that no client came back for; see [`ReplayLog::age`].
    pub fn age(&self) {
        let mut state = self.lock();
        let State { log, streams, .. } = &mut *state;
        log.age(|stream| streams.contains_key(&stream));
    }

    /// Reads the streams that have no client. Ready when the session is over.
    pub fn collect(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.lock().poll_unread(cx)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Ended)
    }

    fn server(&self) -> Option<mpsc::Sender<Envelope>> {
        match &self.phase {
            Phase::Open(server) | Phase::Draining(server, _) => Some(server.clone()),
            Phase::Ended => None,
        }
    }

    fn wake_collector(&mut self) {
        self.collector.take().into_iter().for_each(Waker::wake);
    }
}
