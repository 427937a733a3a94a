//! The server's side of a call: what it says about it, what it asks, and how it is left.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::sync::mpsc;

use super::{
    asked::{Asked, MAX_ASKED, Retry},
    backend::{Backend, level_of, progress_of},
    missed::Missed,
    pool::Use,
    request::Wanted,
    results::{
        Opened,
        asking::{self, Need as Gate},
    },
};
use crate::{
    message::{Frame, Id, Kind, code},
    peer::{Envelope, Reply},
    protocol::{Level, method},
};

/// What a caller can be asked. A parked call keeps no more of what its caller declared.
pub(super) type Gates = Box<[Gate]>;

pub(super) fn gates(wanted: &Wanted) -> Gates {
    let all = [Gate::Roots, Gate::Sampling, Gate::SamplingWithTools, Gate::Form, Gate::Url];
    all.into_iter().filter(|gate| wanted.declared.allow(*gate)).collect()
}

/// The server's side of a call.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) backend: Arc<Backend>,
    pub(super) opened: Arc<Opened>,
    /// Given back with the answer.
    pub(super) using: Option<Use>,
    /// Its id and its progress token at the server.
    pub(super) id: i64,
    pub(super) answers: mpsc::Receiver<Envelope>,
    /// What the server asked and was not yet told.
    pub(super) asked: Vec<Asked>,
    /// What was asked so far, for keys that are never used twice.
    pub(super) named: u32,
    /// How often the call was parked.
    pub(super) round: u32,
    /// What its caller can be asked.
    pub(super) gates: Gates,
    /// What the server asked that its caller did not declare. A call that fails after that fails for it.
    pub(super) refused: Option<Gate>,
    /// How far it has come, by its own account.
    pub(super) progress: f64,
    /// The least severe log line that its caller wants.
    pub(super) level: Option<Level>,
    /// What was said about it while it was parked.
    pub(super) missed: Missed,
    /// The answer, where it came while the call was parked.
    pub(super) answer: Option<Frame>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.backend.ran(self.id);
        self.asked.drain(..).for_each(Asked::moot);
    }
}

/// What an envelope means for its call.
pub(super) enum Heard {
    Answer(Frame),
    /// Progress or a log line, for the stream of its call.
    Update(Frame),
    Nothing,
}

impl Running {
    /// The server does not have to go on. Tells it, and gives it back.
    pub(super) fn withdraw(mut self, why: &str) {
        self.asked.drain(..).for_each(Asked::moot);
        self.leave(why);
    }

    /// The caller did not come back.
    pub(super) fn expire(mut self, why: &str) {
        self.asked.drain(..).for_each(Asked::expire);
        self.leave(why);
    }

    fn leave(&mut self, why: &str) {
        self.backend.ran(self.id);
        let Some(using) = self.using.take() else { return };
        if self.answer.is_some() {
            return;
        }
        if self.backend.cancel(self.id, why) {
            using.cool();
        } else {
            using.discard();
        }
    }

    /// Takes in what the server says about the call.
    pub(super) fn hear(&mut self, envelope: Envelope) -> Heard {
        let Envelope { from, frame, reply } = envelope;
        match (frame.kind(), frame.method(), reply) {
            (Kind::Response(_), ..) => return Heard::Answer(frame),
            (.., Some(reply)) => self.asks(frame, reply),
            (_, method::PROGRESS, None) => {
                // What does not go forward is dropped (2026-07-28, Progress: the value must increase).
                if let Some(progress) = progress_of(&frame)
                    && progress > self.progress
                {
                    self.progress = progress;
                    return Heard::Update(frame);
                }
            }
            (_, method::MESSAGE, None) => {
                if self.level.is_some_and(|least| level_of(&frame) >= Some(least)) {
                    return Heard::Update(frame);
                }
            }
            (_, method::CANCELLED, None) => {
                let id = frame.cancelled();
                self.asked.retain(|asked| Id::parse(asked.id_text()).as_ref() != id);
            }
            (_, _, None) => self.backend.unsolicited(Envelope::one_way(from, frame)),
        }
        Heard::Nothing
    }

    /// The server asks something.
    fn asks(&mut self, frame: Frame, reply: Reply) {
        let Some(request) = asking::input_request(frame.method(), frame.body()) else {
            return self.backend.nobody(&frame, reply);
        };
        if !self.gates.contains(&request.need) {
            // What the caller cannot be asked the bridge may know.
            if request.need == Gate::Roots && self.backend.knows_roots() {
                return self.backend.nobody(&frame, reply);
            }
            self.refused = Some(request.need);
            let (code, text) = request.need.refusal();
            return reply.fail(code, text, None);
        }
        if self.asked.len() >= MAX_ASKED {
            let text = format!("{MAX_ASKED} requests of this call are open; wait for an answer before the next one");
            return reply.fail(code::LIMIT, &text, None);
        }
        self.named += 1;
        self.asked.push(Asked::new(format!("s{}", self.named), frame.method(), request, reply));
    }

    /// Hears the server while the call is parked. Ready when there is nothing more to hear.
    pub(super) fn poll_parked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.answer.is_none() {
            let answer = match ready!(self.answers.poll_recv(cx)) {
                Some(envelope) => match self.hear(envelope) {
                    Heard::Answer(frame) => frame,
                    Heard::Update(frame) => {
                        self.missed.keep(&frame);
                        continue;
                    }
                    Heard::Nothing => continue,
                },
                None => lost(),
            };
            // The server is free, though the caller has not heard yet.
            self.settle();
            self.answer = Some(self.backend.kept(answer));
        }
        Poll::Ready(())
    }

    /// The server is done with the call.
    pub(super) fn settle(&mut self) {
        self.backend.ran(self.id);
        self.asked.drain(..).for_each(Asked::moot);
        self.using = None;
    }

    /// What goes ahead of the answer to this request of its caller's, as that is to see it: under its own token. Progress
    /// that it did not ask for does not go.
    pub(super) fn shown(&self, request: &Frame, update: Frame) -> Option<Frame> {
        match update.method() {
            method::PROGRESS => request.token_text().map(|token| update.with(None, Some(token))),
            // The caller may want less of the log than it did when this was said.
            _ => Some(update).filter(|update| self.level.is_some_and(|least| level_of(update) >= Some(least))),
        }
    }

    /// Gives the server what the caller said. What is missing stays open.
    pub(super) fn respond(&mut self, retry: &Retry<'_>) {
        let all = std::mem::take(&mut self.asked);
        for asked in all {
            match retry.responses.get(&asked.key) {
                Some(response) => asked.answer(response),
                None => self.asked.push(asked),
            }
        }
    }
}

pub(super) fn lost() -> Frame {
    Frame::error("0", code::INTERNAL, "the connection to the server ended before it answered", None)
}
