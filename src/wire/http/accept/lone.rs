//! One POST that stands alone: the channel that its answers come through, and the choice between one message and an
//! event stream.
//!
//! Owns what the two kinds of such POSTs have in common: those without a session (`--stateless`) and the exchanges of the
//! modern era. Talks to nobody; its owner asks the server. It never passes a request of the server's on: there is nothing
//! that a client could answer in. It never gives out an event id: there is nothing to come back to.

use std::task::{Context, Poll};

use tokio::sync::mpsc;

use super::call::SHARED_CAPACITY;
use crate::{
    message::{Frame, Kind, code},
    peer::Envelope,
    wire::exchange::{Chunks, Next, Patience},
};

/// What comes back for one POST.
#[derive(Debug)]
pub struct Lone {
    rx: mpsc::Receiver<Envelope>,
    /// Still to come.
    answers: usize,
    refusal: &'static str,
}

impl Lone {
    /// Waits for so many answers, which come through the sender. `refusal` is what the server hears when it asks back.
    pub fn new(answers: usize, refusal: &'static str) -> (mpsc::Sender<Envelope>, Lone) {
        let (tx, rx) = mpsc::channel(SHARED_CAPACITY + answers);
        (tx, Lone { rx, answers, refusal })
    }

    /// What comes first; `None` when nothing comes in time. Proxies close silent responses, so what has not come by then
    /// comes as an event stream.
    pub async fn first(&mut self, patience: &Patience) -> Option<Frame> {
        patience.wait(self.next()).await.flatten()
    }

    /// The next message for the client; `None` when the server has left. Cancel-safe.
    pub async fn next(&mut self) -> Option<Frame> {
        // Ends with the first message for the client, or with the server.
        loop {
            let envelope = self.rx.recv().await?;
            if let Some(frame) = self.take(envelope) {
                return Some(frame);
            }
        }
    }

    /// Nothing more is wanted.
    pub fn close(&mut self) {
        self.answers = 0;
        self.rx.close();
    }

    /// Whether every answer has come.
    pub fn is_over(&self) -> bool {
        self.answers == 0
    }

    /// The next message for the client. Ready with `None` when there is none any more.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        while self.answers > 0 {
            match self.rx.poll_recv(cx) {
                Poll::Ready(Some(envelope)) => match self.take(envelope) {
                    Some(frame) => return Poll::Ready(Some(frame)),
                    None => continue,
                },
                Poll::Ready(None) => self.answers = 0,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(None)
    }

    fn take(&mut self, envelope: Envelope) -> Option<Frame> {
        if let Some(reply) = envelope.reply {
            reply.fail(code::METHOD_NOT_FOUND, self.refusal, None);
            return None;
        }
        if matches!(envelope.frame.kind(), Kind::Response(_)) {
            self.answers = self.answers.saturating_sub(1);
        }
        Some(envelope.frame)
    }
}

/// Moves messages into an event stream, until there is none or enough is waiting to be written.
pub fn pour(
    cx: &mut Context<'_>,
    out: &mut Chunks,
    mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Frame>>,
) -> Poll<Next> {
    while !out.is_full() {
        match next(cx) {
            Poll::Ready(Some(frame)) => out.message(None, frame.bytes()),
            Poll::Ready(None) => return Poll::Ready(Next::End),
            Poll::Pending if out.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Next::More)
}
