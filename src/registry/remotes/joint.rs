//! One session with a remote server, for several callers.
//!
//! Owns the pipe in memory between the pump that callers share and the wire, for which there is one caller: the bridge. So a
//! remote server is shared as a process is: ids of different callers never meet, and a caller that does not read is cut off.
//! It never waits for a caller, and keeps no room of the wire's for one.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc::{Sender, WeakSender};

use crate::{
    config::Limits,
    message::{Frame, FrameError, Id, Kind, code},
    peer::{Caller, Envelope, Inbox, PEER_CAPACITY, Peer, Reply},
    pipe::{Ended, FrameSink, FrameSource},
    pump::{Role, Rules, pump},
    scope::Scope,
};

/// The wire's end of a session that is shared through `peer`. `sessions`: see [`Role::ConnectShared`].
pub(super) fn behind(peer: Peer, name: Arc<str>, sessions: bool, limits: &Limits, scope: &Scope) -> Peer {
    let (ours, wire) = Peer::pair(PEER_CAPACITY);
    let rules = Rules {
        name,
        speaker: Caller::legacy(None),
        role: Role::ConnectShared { sessions },
        max_in_flight: limits.max_in_flight,
        max_waiting: limits.max_waiting(),
        request_timeout: None, // The wire keeps the time, and says so to the server.
        linger: limits.grace,
        until: None,
    };
    let asked = Arc::new(Questions::default());
    let source = Source { rx: ours.rx, asked: asked.clone() };
    let sink = Sink { tx: ours.tx, home: ours.home, voice: Caller::legacy(None), asked };
    scope.spawn(pump(source, sink, peer, rules));
    wire
}

/// Requests of the server's that wait for an answer. The pump answers each, and bounds their number.
#[derive(Debug, Default)]
struct Questions(Mutex<HashMap<Id, Reply>>);

impl Questions {
    /// The poison of a lock means that a task panicked elsewhere; the table stays usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Reply>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the way home for the answer. False where the id is in use, which is the answer then.
    fn keep(&self, id: Id, reply: Reply) -> bool {
        match self.lock().entry(id) {
            Entry::Vacant(free) => {
                free.insert(reply);
                true
            }
            Entry::Occupied(_) => {
                let text = "this id is in use by a request that is still in flight";
                reply.fail(code::INVALID_REQUEST, text, None);
                false
            }
        }
    }

    fn take(&self, id: &Id) -> Option<Reply> {
        self.lock().remove(id)
    }
}

/// What the wire brings.
struct Source {
    rx: Inbox,
    asked: Arc<Questions>,
}

impl FrameSource for Source {
    async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        // Ends with a message, or with the wire.
        loop {
            let Envelope { from: _, frame, reply } = self.rx.recv().await?;
            if let (Kind::Request(id), Some(reply)) = (frame.kind(), reply)
                && !self.asked.keep(id.clone(), reply)
            {
                continue;
            }
            if let Some(id) = frame.cancelled() {
                drop(self.asked.take(id)); // Else it would be kept: nobody answers it any more.
            }
            // The wire reads no further while its room is used up, and all callers would wait for one that does not read.
            return Some(Ok(frame.released()));
        }
    }

    async fn end(&mut self) -> Ended {
        Ended { message: "the connection to the server ended before it answered".into(), data: None }
    }
}

/// What the wire is given. Its answers come back in the order of all that it brings.
struct Sink {
    tx: Sender<Envelope>,
    home: WeakSender<Envelope>,
    voice: Arc<Caller>,
    asked: Arc<Questions>,
}

impl Sink {
    async fn pass(&self, frame: Frame) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the connection is gone");
        let reply = match frame.kind() {
            Kind::Response(id) => {
                let reply = id.as_ref().and_then(|id| self.asked.take(id));
                reply.into_iter().for_each(|reply| reply.answer(frame.clone()));
                return Ok(());
            }
            Kind::Notification => None,
            Kind::Request(_) => {
                let home = self.home.upgrade().ok_or_else(gone)?;
                Some(Reply::on(home, &frame, &self.voice).await.map_err(|_| gone())?)
            }
        };
        self.tx.send(Envelope { from: self.voice.clone(), frame, reply }).await.map_err(|_| gone())
    }
}

impl FrameSink for Sink {
    async fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        for frame in frames {
            self.pass(frame.clone()).await?;
        }
        Ok(())
    }
}
