//! POST without sessions (`--stateless`): each stands alone, served by a server that the bridge initialized.
//!
//! Owns what such a POST may ask for. Talks to the registry. It never gives out a session id.

use http::StatusCode;

use super::{Accept, Request, bad, lone::Lone, modern::refuse_misplaced};
use crate::{
    audit::{Visitor, What},
    message::{Frame, FrameError, Kind, code},
    peer::{Caller, Envelope, Principal, Reply},
    protocol::Revision,
    wire::{
        exchange::{self, Chunks, EventStream, Refusal, Response, ToolGate, read_body},
        http::rules::{self, Said},
    },
};

/// Most requests of one batch. Each takes the place of an answer in a channel.
const MAX_BATCH: usize = 64;

/// What a server hears that asks back.
const NOBODY_ANSWERS: &str = "this client has no session to answer in: the bridge runs without (--stateless)";

impl Accept {
    pub(super) async fn post_stateless(
        &self,
        request: Request,
        said: Said,
        principal: Option<Principal>,
    ) -> Result<Response, Refusal> {
        rules::check_accept_post(request.headers())?;
        rules::check_content(request.headers())?;
        let revision = rules::claimed_revision(request.headers());
        let (tools, visitor) = (ToolGate::of(&request), Visitor::of(&request));
        let raw = read_body(request, &self.limits).await?;
        let frames = match Frame::parse(raw.clone()) {
            Ok(frame) => match refuse_misplaced(&said, &frame, false) {
                Some(response) => return Ok(response),
                None => vec![frame],
            },
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
        requests.iter().try_for_each(|request| tools.check(request))?;
        match requests.len() {
            0 => Ok(exchange::empty(StatusCode::ACCEPTED)),
            1..=MAX_BATCH => self.call_stateless(requests, principal, visitor).await,
            _ => Err(bad("the batch has too many requests; send at most 64")),
        }
    }

    pub(super) async fn call_stateless(
        &self,
        requests: Vec<Frame>,
        principal: Option<Principal>,
        visitor: Option<Visitor>,
    ) -> Result<Response, Refusal> {
        let caller = Caller::legacy(principal).noted(visitor);
        let (tx, mut lone) = Lone::new(requests.len(), NOBODY_ANSWERS);
        let server = self.registry.outbox(&caller).await.map_err(|error| match requests.first() {
            Some(first) => Refusal::from(error).of(Some(What::of(first))).id(first.id_text()),
            None => Refusal::from(error),
        })?;
        for frame in requests {
            let Ok(reply) = Reply::on(tx.clone(), &frame, &caller).await else { continue };
            let reply = reply.noted(&frame);
            if needs_session(&frame) {
                let text = "this needs a session, and the bridge runs without (--stateless)";
                reply.fail(code::METHOD_NOT_FOUND, text, None);
                continue;
            }
            drop(server.send(Envelope { from: caller.clone(), frame, reply: Some(reply) }).await);
        }
        drop((server, tx));
        let mut chunks = Chunks::default();
        match lone.first(&self.patience).await {
            Some(answer) if lone.is_over() => return Ok(exchange::json(StatusCode::OK, &answer)),
            Some(first) => chunks.message(None, first.bytes()),
            None => {}
        }
        Ok(exchange::events(EventStream::new(lone, chunks, self.keep_alive)))
    }
}

/// What goes on after its answer.
fn needs_session(frame: &Frame) -> bool {
    matches!(frame.method(), "resources/subscribe" | "resources/unsubscribe")
}
