//! POST without sessions (`--stateless`): each stands alone, served by a server that the bridge initialized.
//!
//! Owns what such a POST may ask for. Talks to the registry. It never gives out a session id.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::StatusCode;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    Accept, Request, bad,
    lone::{Lone, pour},
    modern::refuse_misplaced,
};
use crate::{
    audit::{Visitor, What},
    message::{Frame, FrameError, Kind, code},
    peer::{Caller, Envelope, Principal, Reply},
    protocol::Revision,
    scope::Scope,
    wire::{
        exchange::{self, Chunks, EventStream, Events, Next, Patience, Refusal, Response, ToolGate, read_body},
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
        let (tx, lone) = Lone::new(requests.len(), NOBODY_ANSWERS);
        let over = self.exchanges.over();
        let opened = tokio::select! {
            opened = self.registry.outbox(&caller) => opened,
            () = over.cancelled() => Err(self.scope.why().into()),
        };
        let server = opened.map_err(|error| match requests.first() {
            Some(first) => Refusal::from(error).of(Some(What::of(first))).id(first.id_text()),
            None => Refusal::from(error),
        })?;
        let asked = requests.iter().map(|request| request.id_text().into()).collect();
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
        let over = Box::pin(over.cancelled_owned());
        let mut calls = Calls { lone, asked, over, cut_off: None, scope: self.scope.clone() };
        let mut chunks = Chunks::default();
        match calls.first(&self.patience).await {
            Some(answer) if calls.asked.is_empty() => return Ok(exchange::json(StatusCode::OK, &answer)),
            Some(first) => chunks.message(None, first.bytes()),
            None => {}
        }
        Ok(exchange::events(EventStream::new(calls, chunks, self.keep_alive)))
    }
}

/// The calls of one POST, and their answers.
struct Calls {
    lone: Lone,
    /// The ids of those that are not answered, as the client wrote them.
    asked: Vec<Box<str>>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    /// What is said of them when their time is over.
    cut_off: Option<&'static str>,
    scope: Scope,
}

impl Calls {
    async fn first(&mut self, patience: &Patience) -> Option<Frame> {
        patience.wait(poll_fn(|cx| self.poll(cx))).await.flatten()
    }

    /// The next message for the client. Ready with `None` when there is none any more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        if self.cut_off.is_none() {
            if let Poll::Ready(frame) = self.lone.poll(cx) {
                let answered = frame.as_ref().filter(|frame| matches!(frame.kind(), Kind::Response(_)));
                let at = answered.and_then(|answer| self.asked.iter().position(|id| **id == *answer.id_text()));
                at.map(|at| self.asked.swap_remove(at));
                return Poll::Ready(frame);
            }
            ready!(self.over.as_mut().poll(cx));
            self.cut_off = Some(self.scope.why().cut_off());
            self.lone.close();
        }
        let error = |id: Box<str>| Frame::error(&id, code::INTERNAL, self.cut_off.unwrap_or_default(), None);
        Poll::Ready(self.asked.pop().map(error))
    }
}

impl Events for Calls {
    fn poll_next(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Next> {
        pour(cx, out, |cx| self.poll(cx))
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("lone", &self.lone).finish_non_exhaustive()
    }
}

/// What goes on after its answer.
fn needs_session(frame: &Frame) -> bool {
    matches!(frame.method(), "resources/subscribe" | "resources/unsubscribe")
}
