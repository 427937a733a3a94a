//! POST of the modern era: one exchange, which is one request and all that comes back for it (2026-07-28, Streamable HTTP).
//!
//! Owns the order of the checks, and the bound on exchanges in flight. Talks to the book of tools, and to the exchange. It
//! never gives out or reads a session id, never asks the client for anything, and never changes what passes.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Accept, Request, bad, tools::Checked};
use crate::{
    audit::{Reason, Visitor, What},
    config::Sharing,
    message::{Frame, Kind, code},
    peer::{Caller, Principal},
    protocol::{method, params_of},
    wire::{
        exchange::{self, Chunks, EventStream, Refusal, Response, ToolGate, read_beside, take_room_for},
        http::{
            mirror,
            rules::{self, Fault, Said},
        },
    },
};

mod one;

pub use self::one::Exchange;

/// How long a client waits before it asks again at an endpoint that is full.
const FULL_RETRY: Duration = Duration::from_secs(1);

impl Accept {
    /// Answers a POST whose header names a modern revision.
    pub(super) async fn post_modern(
        &self,
        request: Request,
        said: Said,
        principal: Option<Principal>,
    ) -> Result<Response, Refusal> {
        rules::check_accept_post(request.headers())?;
        rules::check_content(request.headers())?;
        // Before the body is read: what is being read takes memory, too.
        let place = self.exchanges.place()?;
        let (tools, visitor) = (ToolGate::of(&request), Visitor::of(&request));
        let (head, body) = request.into_parts();
        let raw = read_beside(&head, body, &self.limits).await?;
        let room = take_room_for(&self.room, raw.len(), &self.limits).await?;
        let frame = Frame::parse(raw)?.holding(room);
        tools.check(&frame)?;
        match frame.kind() {
            // What headers it needs is not defined, and no client has anything to say: it is taken, and that is all.
            Kind::Notification => return Ok(exchange::empty(StatusCode::ACCEPTED)),
            Kind::Response(_) => return Err(bad("a client sends requests; nothing here waits for a response")),
            Kind::Request(_) if rules::opens_session(&frame) => {
                return self.open_legacy(frame, principal, visitor).await;
            }
            Kind::Request(_) => {}
        }
        if let Err(fault) = self.check_modern(&said, &head.headers, &frame, principal.as_ref()).await {
            return Ok(answered(&fault.answer(&frame)));
        }
        drop(said);
        // The answer gets the map of the head: hyper reads the next head into the map of this answer, and would have to
        // make it larger each time.
        let mut spare = head.headers;
        spare.clear();
        let learning = (frame.method() == method::TOOLS_LIST).then(|| self.tools.learning(&frame, principal.as_ref()));
        let what = visitor.is_some().then(|| What::of(&frame));
        let caller = Caller::modern(principal).noted(visitor);
        let exchange = Exchange::open(&self.registry, &self.scope, frame, caller, Some(place)).await;
        let mut exchange = exchange.map_err(|(error, id)| Refusal::from(error).of(what).id(&id))?;
        exchange.learning = learning;
        let mut chunks = Chunks::default();
        let first = tokio::select! {
            biased;
            first = exchange.first(&self.patience) => first,
            () = self.exchanges.over.cancelled() => Some(exchange.cut_off()),
        };
        match first {
            Some(answer) if exchange.is_over() => {
                return Ok(exchange::json_in(spare, rules::status_of(&answer), &answer));
            }
            Some(first) => chunks.message(None, first.bytes()),
            None => {}
        }
        exchange.until(self.exchanges.over.clone());
        Ok(exchange::events(EventStream::new(exchange, chunks, self.keep_alive)))
    }

    async fn open_legacy(
        &self,
        frame: Frame,
        principal: Option<Principal>,
        visitor: Option<Visitor>,
    ) -> Result<Response, Refusal> {
        match self.registry.sharing() {
            Sharing::Stateless => Box::pin(self.call_stateless(vec![frame], principal, visitor)).await,
            Sharing::Own | Sharing::Shared | Sharing::Pooled => {
                Box::pin(self.initialize(frame, principal, visitor)).await
            }
        }
    }

    async fn check_modern(
        &self,
        said: &Said,
        headers: &HeaderMap,
        frame: &Frame,
        principal: Option<&Principal>,
    ) -> Result<(), Fault> {
        let params = params_of(frame);
        rules::check_meta(said, frame)?;
        let subject = mirror::check(headers, frame, params.as_ref())?;
        drop(params);
        match (frame.method(), subject) {
            // It would make a server that speaks both eras take its legacy face, for all who share it.
            (method::INITIALIZE, _) => {
                let text = "revision 2026-07-28 has no initialize; send the request itself";
                Err(Fault::new(code::METHOD_NOT_FOUND, text))
            }
            // A call without a name is the server's to refuse.
            (method::TOOLS_CALL, Some(name)) => match self.tools.check(&name, headers, frame, principal) {
                Checked::Sure(verdict) => verdict,
                Checked::Unsure(book) => {
                    Box::pin(book.check_anew(&self.registry, &self.scope, &name, headers, frame, principal)).await
                }
            },
            _ => Ok(()),
        }
    }
}

/// The answer to a modern message that came with a legacy header, or with none. `None`: it is none. Nothing is known of the
/// headers of notifications, so one is taken; in a session it is the server's.
pub fn refuse_misplaced(said: &Said, frame: &Frame, in_session: bool) -> Option<Response> {
    match frame.kind() {
        Kind::Request(_) if rules::is_misplaced(frame, in_session) => {
            let fault = rules::check_meta(said, frame).err()?;
            Some(answered(&fault.answer(frame)))
        }
        Kind::Notification if !in_session && rules::is_misplaced(frame, in_session) => {
            Some(exchange::empty(StatusCode::ACCEPTED))
        }
        _ => None,
    }
}

/// An answer that comes alone.
fn answered(answer: &Frame) -> Response {
    exchange::json(rules::status_of(answer), answer)
}

/// The exchanges in flight at one endpoint.
#[derive(Clone, Debug)]
pub struct Exchanges {
    places: Arc<Semaphore>,
    most: usize,
    /// Set when the time for calls to finish is over.
    over: CancellationToken,
}

impl Exchanges {
    /// None yet, and at most so many.
    pub fn new(most: usize) -> Exchanges {
        Exchanges {
            places: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            most,
            over: CancellationToken::new(),
        }
    }

    /// Ends those that are still in flight.
    pub fn end(&self) {
        self.over.cancel();
    }

    /// Set when the time for calls to finish is over.
    pub fn over(&self) -> CancellationToken {
        self.over.clone()
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let text = format!("{} exchanges are in flight here; try again later", self.most);
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
                .because(Reason::Busy)
                .code(code::LIMIT)
                .header(header::RETRY_AFTER, HeaderValue::from(FULL_RETRY.as_secs()))
        })
    }
}
