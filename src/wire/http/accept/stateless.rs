//! POST without sessions (`--stateless`): each stands alone, served by a server that the bridge initialized.
//!
//! Owns what such a POST may ask for. Talks to the registry. It never gives out a session id, nor an event id: there is
//! nothing to come back to.

use std::task::{Context, Poll};

use http::StatusCode;
use tokio::{sync::mpsc, time::timeout};

use super::{Accept, Request, bad, call::CALL_CAPACITY};
use crate::{
    message::{Frame, FrameError, Kind, code},
    peer::{Caller, Envelope, Principal, Reply},
    protocol::Revision,
    wire::{
        exchange::{self, Chunks, EventStream, Events, Next, Refusal, Response, read_body},
        http::rules,
    },
};

/// Most requests of one batch. Each takes the place of an answer in a channel.
const MAX_BATCH: usize = 64;

impl Accept {
    pub(super) async fn post_stateless(
        &self,
        request: Request,
        principal: Option<Principal>,
    ) -> Result<Response, Refusal> {
        rules::check_accept_post(request.headers())?;
        rules::check_content(request.headers())?;
        let revision = rules::claimed_revision(request.headers());
        let raw = read_body(request, &self.limits).await?;
        let frames = match Frame::parse(raw.clone()) {
            Ok(frame) => vec![frame],
            // Without a header the revision is 2025-03-26 (2025-06-18, Transports, Protocol Version Header).
            Err(FrameError::Batch) if !matches!(revision?, None | Some(Revision::V2025_03_26)) => {
                return Err(FrameError::Batch.into());
            }
            Err(FrameError::Batch) => Frame::parse_batch(raw)?,
            Err(error) => return Err(error.into()),
        };
        if let Some(frame) = frames.iter().find(|frame| !matches!(frame.kind(), Kind::Request(_)))
            && matches!(frame.kind(), Kind::Response(_))
        {
            return Err(bad("without sessions (--stateless) there is no request that this could answer"));
        }
        // A notification is about a session, and there is none: `initialized` is what clients send, and is taken.
        let requests: Vec<Frame> =
            frames.into_iter().filter(|frame| matches!(frame.kind(), Kind::Request(_))).collect();
        match requests.len() {
            0 => Ok(exchange::empty(StatusCode::ACCEPTED)),
            1..=MAX_BATCH => self.call_stateless(requests, principal).await,
            _ => Err(bad("the batch has too many requests; send at most 64")),
        }
    }

    async fn call_stateless(&self, requests: Vec<Frame>, principal: Option<Principal>) -> Result<Response, Refusal> {
        let caller = Caller::legacy(principal);
        let answers = requests.len();
        let first_id = requests.first().map(|frame| Box::<str>::from(frame.id_text())).unwrap_or_default();
        let (tx, mut rx) = mpsc::channel(CALL_CAPACITY + answers);
        let server = self.registry.outbox(&caller).await.map_err(|error| Refusal::from(error).id(&first_id))?;
        for frame in requests {
            let Ok(reply) = Reply::on(tx.clone(), &frame, &caller).await else { continue };
            if needs_session(&frame) {
                let text = "this needs a session, and the bridge runs without (--stateless)";
                reply.fail(code::METHOD_NOT_FOUND, text, None);
                continue;
            }
            drop(server.send(Envelope { from: caller.clone(), frame, reply: Some(reply) }).await);
        }
        drop((server, tx));
        let first = match timeout(self.limits.answer_patience, rx.recv()).await {
            Ok(Some(first)) if answers == 1 && matches!(first.frame.kind(), Kind::Response(_)) => {
                return Ok(exchange::json(StatusCode::OK, &first.frame));
            }
            Ok(first) => first,
            Err(_) => None,
        };
        let mut chunks = Chunks::default();
        let mut events = LooseEvents { rx, answers };
        if let Some(first) = first {
            events.write(first, &mut chunks);
        }
        Ok(exchange::events(EventStream::new(events, chunks, self.keep_alive)))
    }
}

/// What goes on after its answer.
fn needs_session(frame: &Frame) -> bool {
    matches!(frame.method(), "resources/subscribe" | "resources/unsubscribe")
}

/// The stream of one POST.
#[derive(Debug)]
struct LooseEvents {
    rx: mpsc::Receiver<Envelope>,
    answers: usize,
}

impl LooseEvents {
    fn write(&mut self, envelope: Envelope, out: &mut Chunks) {
        if let Some(reply) = envelope.reply {
            let text = "this client has no session to answer in: the bridge runs without (--stateless)";
            reply.fail(code::METHOD_NOT_FOUND, text, None);
            return;
        }
        if matches!(envelope.frame.kind(), Kind::Response(_)) {
            self.answers = self.answers.saturating_sub(1);
        }
        out.message(None, envelope.frame.bytes());
    }
}

impl Events for LooseEvents {
    fn poll_next(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Next> {
        while self.answers > 0 && !out.is_full() {
            match self.rx.poll_recv(cx) {
                Poll::Ready(Some(envelope)) => self.write(envelope, out),
                Poll::Ready(None) => self.answers = 0,
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Next::More),
            }
        }
        Poll::Ready(if self.answers == 0 { Next::End } else { Next::More })
    }
}
