//! What correlates in one session: calls in flight, requests of the server, the handshake. Never waits.

use std::{borrow::Cow, collections::HashMap};

use serde::Deserialize;
use tokio::sync::mpsc;
use tracing::debug;

use crate::{
    message::{Frame, Id, Kind, code},
    peer::{Caller, Envelope, Reply},
    protocol::Revision,
};

/// The tables.
#[derive(Debug)]
pub(super) struct Tables {
    /// Requests of the client that wait for an answer.
    pub(super) calls: HashMap<Id, Call>,
    /// Requests of the server that wait for the client's answer.
    asked: HashMap<Id, Reply>,
    /// Most of each.
    max: usize,
    handshake: Handshake,
}

/// A request of the client's.
#[derive(Debug)]
pub(super) struct Call {
    /// Of its stream; grows with time.
    pub(super) number: u32,
    /// Into its stream.
    pub(super) home: mpsc::WeakSender<Envelope>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Handshake {
    /// For the answer to this request.
    Waiting(Option<Id>),
    /// `None` for a revision that is not known here, which then has no feature that only some have.
    Done(Option<Revision>),
    Failed,
}

/// Why a call is not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotBegun {
    /// The session is over.
    Ended,
    /// The id, as JSON text, is that of a request in flight.
    InFlight(Box<str>),
    /// So many calls are in flight.
    Full(usize),
}

impl Tables {
    pub(super) fn new(max: usize) -> Tables {
        Tables { calls: HashMap::new(), asked: HashMap::new(), max, handshake: Handshake::Waiting(None) }
    }

    /// The negotiated revision, if it is known by now and known here.
    pub(super) fn revision(&self) -> Option<Revision> {
        match self.handshake {
            Handshake::Done(revision) => revision,
            Handshake::Waiting(_) | Handshake::Failed => None,
        }
    }

    /// Whether the server refused `initialize`.
    pub(super) fn is_refused(&self) -> bool {
        self.handshake == Handshake::Failed
    }

    /// Enters calls of one stream, all or none.
    pub(super) fn begin(
        &mut self,
        number: u32,
        requests: &[Frame],
        home: &mpsc::Sender<Envelope>,
    ) -> Result<(), NotBegun> {
        if self.calls.len() + requests.len() > self.max {
            return Err(NotBegun::Full(self.max));
        }
        for (index, request) in requests.iter().enumerate() {
            let Kind::Request(id) = request.kind() else { continue };
            let twice = requests.iter().take(index).any(|earlier| earlier.kind() == request.kind());
            if twice || self.calls.contains_key(id) {
                return Err(NotBegun::InFlight(request.id_text().into()));
            }
        }
        for request in requests {
            if let Kind::Request(id) = request.kind() {
                if request.method() == "initialize" {
                    self.handshake = Handshake::Waiting(Some(id.clone()));
                }
                self.calls.insert(id.clone(), Call { number, home: home.downgrade() });
            }
        }
        Ok(())
    }

    /// Forgets the calls of a stream that ended without all answers.
    pub(super) fn forget(&mut self, number: u32) {
        self.calls.retain(|_, call| call.number != number);
    }

    /// Answers calls of these numbers with an error. For calls that are no streams yet, whose channels are empty.
    pub(super) fn fail_where(&self, is_one: impl Fn(u32) -> bool, text: &str) {
        for (id, call) in self.calls.iter().filter(|(_, call)| is_one(call.number)) {
            if let Some(home) = call.home.upgrade() {
                let error = Frame::error(&id.to_json(), code::INTERNAL, text, None);
                // A full channel has a client that finds all of it when it reads on, and the end behind it.
                let _ = home.try_send(Envelope::one_way(Caller::legacy(None), error));
            }
        }
    }

    /// Gives up the calls of a stream; gives their ids.
    pub(super) fn give_up_calls(&mut self, number: u32) -> Vec<Id> {
        let given_up = self.calls.extract_if(|_, call| call.number == number);
        given_up.map(|(id, _)| id).collect()
    }

    /// The way to the server for the client's answer to one of its requests.
    pub(super) fn answered(&mut self, response: &Frame) -> Option<Reply> {
        match response.kind() {
            Kind::Response(Some(id)) => self.asked.remove(id),
            _ => None,
        }
    }

    /// Gives up the requests of the server.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Reply> + use<> {
        std::mem::take(&mut self.asked).into_values()
    }

    /// Books what the server sent. `None`: it is not for the client.
    pub(super) fn take(&mut self, envelope: Envelope) -> Option<Frame> {
        let Envelope { frame, reply, .. } = envelope;
        match (frame.kind(), reply) {
            (Kind::Request(id), Some(reply)) => {
                if self.asked.len() >= self.max || self.asked.contains_key(id) {
                    let text = "too many requests wait for this client's answer, or one with the same id does";
                    reply.fail(code::LIMIT, text, None);
                    return None;
                }
                self.asked.insert(id.clone(), reply);
            }
            (Kind::Request(_), None) => return None,
            (Kind::Response(Some(id)), _) => {
                self.calls.remove(id);
                if matches!(&self.handshake, Handshake::Waiting(Some(initialize)) if initialize == id) {
                    self.handshake = Handshake::read(&frame);
                }
            }
            (Kind::Response(None), _) => {}
            (Kind::Notification, _) => {
                // The server takes a request back: whatever the client says to it, nobody waits for that.
                if frame.cancelled().is_some_and(|id| self.asked.remove(id).is_some()) {
                    debug!("the server took a request back");
                }
            }
        }
        Some(frame)
    }
}

impl Handshake {
    /// What the answer to `initialize` says.
    fn read(answer: &Frame) -> Handshake {
        #[derive(Deserialize)]
        struct Initialized<'a> {
            #[serde(borrow, rename = "protocolVersion")]
            revision: Cow<'a, str>,
        }
        if answer.is_error() {
            return Handshake::Failed;
        }
        let result = answer.body().and_then(|body| serde_json::from_str::<Initialized>(body).ok());
        Handshake::Done(result.and_then(|result| Revision::parse_legacy(&result.revision)))
    }
}
