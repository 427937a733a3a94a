//! Streamable HTTP as a server (2025-03-26 to 2025-11-25, Transports, Streamable HTTP; 2026-07-28, Streamable HTTP).
//!
//! Owns what a POST, a GET and a DELETE of the one endpoint come to. Both eras are served side by side: sessions of the
//! legacy era, and exchanges of the modern one, which stand alone. Talks to the registry for a server, to the table of
//! sessions, and to whoever dispatched the request: Host, Origin and authorization were checked there. It never
//! routes an answer: each call has a channel of its own, and that channel is the body of the response.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use tracing::debug;

use self::{
    call::{call, call_batch, in_session},
    callers::CallersBooks,
    modern::Exchanges,
    replay::{Missed, Place},
    session::{NotOpened, Session},
    sessions::{SessionEvents, Sessions},
    tools::Books,
};
use crate::{
    audit::{Reason, Visitor, What},
    auth::resource::TokenClaims,
    config::{Limits, Sharing},
    message::{Frame, FrameError, Kind},
    peer::{Caller, Envelope, Principal},
    protocol::Revision,
    registry::Registry,
    room::Room,
    scope::{Scope, Stopped},
    wire::{
        exchange::{self, EventStream, KeepAlive, Patience, Refusal, Response, ToolGate, read_body, take_room},
        http::rules::{self, Said, SessionClaim},
    },
};

mod call;
mod callers;
mod lone;
mod modern;
mod replay;
mod session;
mod sessions;
mod stateless;
mod tools;

/// How long a client waits before it comes back for the rest of a stream.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// What one request brings along.
type Request = http::Request<Incoming>;

/// The session of a POST, and whether its revision is one that is known.
type PostHead = (Option<Arc<Session>>, Result<(), Refusal>);

/// The endpoint.
#[derive(Debug)]
pub struct Accept {
    registry: Arc<Registry>,
    sessions: Arc<Sessions>,
    limits: Arc<Limits>,
    keep_alive: KeepAlive,
    scope: Scope,
    /// With calls, until the client is told that something will come.
    patience: Arc<Patience>,
    exchanges: Exchanges,
    /// For large messages of exchanges.
    room: Room,
    tools: Arc<Books>,
    callers: Arc<CallersBooks>,
}

impl Accept {
    /// An endpoint without sessions yet. Its tasks run in `scope`; when that stops, subscriptions and the streams that
    /// belong to no call end, and calls go on until [`Accept::end`].
    pub fn new(registry: Arc<Registry>, limits: Arc<Limits>, keep_alive: KeepAlive, scope: Scope) -> Accept {
        let sessions = Sessions::start(limits.clone(), keep_alive, call::capacity(registry.sharing()), scope.clone());
        let (exchanges, room) = (Exchanges::new(limits.max_exchanges), Room::new(limits.max_waiting()));
        let (tools, callers, patience) =
            (Arc::default(), Arc::default(), Arc::new(Patience::new(limits.answer_patience)));
        Accept { registry, sessions, limits, keep_alive, scope, patience, exchanges, room, tools, callers }
    }

    /// Answers one request of an authorized caller.
    pub async fn handle(&self, request: Request, principal: Option<Principal>) -> Response {
        // A session has the server that it was opened with, whatever its later requests say.
        let opens = self.registry.reads_headers() && !request.headers().contains_key(rules::SESSION_ID);
        if opens {
            return match self.for_caller(request.headers(), &TokenClaims::of(&request)) {
                Ok(own) => Box::pin(own.serve(request, principal)).await,
                Err(refusal) => refusal.into_response(),
            };
        }
        self.serve(request, principal).await
    }

    async fn serve(&self, request: Request, principal: Option<Principal>) -> Response {
        let stateless = self.registry.sharing() == Sharing::Stateless;
        let said = Said::by(request.headers());
        let modern = said.is_modern();
        let answer = match *request.method() {
            Method::POST if modern => Box::pin(self.post_modern(request, said, principal)).await,
            Method::GET | Method::DELETE if modern => Err(only_post()),
            // Boxed, as is what opens a session below: each connection has room for the largest of these, and most only
            // ever call.
            Method::POST if stateless => Box::pin(self.post_stateless(request, said, principal)).await,
            Method::POST => self.post(request, said, principal).await,
            Method::GET if !stateless => self.get(&request, principal.as_ref()),
            Method::DELETE if !stateless => self.delete(&request, principal.as_ref()),
            _ => Err(not_allowed(stateless)),
        };
        answer.unwrap_or_else(Refusal::into_response)
    }

    /// Whether a request belongs to a session here.
    pub fn knows(&self, headers: &HeaderMap) -> bool {
        match rules::claimed_session(headers) {
            SessionClaim::Id(id) => self.sessions.knows(id),
            SessionClaim::None | SessionClaim::Unknown => false,
        }
    }

    /// Ends every session, and every exchange that is still in flight.
    pub fn end(&self) {
        self.exchanges.end();
        self.sessions.end();
    }

    async fn post(&self, request: Request, said: Said, principal: Option<Principal>) -> Result<Response, Refusal> {
        let (session, revision) = self.check_post(request.headers(), principal.as_ref())?;
        let room = match &session {
            Some(session) => take_room(&session.room, &request, &self.limits).await?,
            None => None,
        };
        let (tools, visitor) = (ToolGate::of(&request), Visitor::of(&request));
        let raw = read_body(request, &self.limits).await?;
        let frame = match Frame::parse(raw.clone()) {
            Ok(frame) => frame.holding(room),
            Err(FrameError::Batch) => {
                revision?;
                return Box::pin(self.post_batch(session, raw, tools, visitor)).await;
            }
            Err(error) => return Err(error.into()),
        };
        drop(raw);
        tools.check(&frame)?;
        if is_initialize(&frame) {
            // Its revision is what the body proposes: whatever the header says, there is nothing negotiated yet.
            return match session {
                None => Box::pin(self.initialize(frame, principal, visitor)).await,
                Some(_) => {
                    Err(bad("the session is initialized; leave out Mcp-Session-Id for another").id(frame.id_text()))
                }
            };
        }
        if let Some(response) = modern::refuse_misplaced(&said, &frame, session.is_some()) {
            return Ok(response);
        }
        revision?;
        let session = session.ok_or_else(no_session)?;
        match frame.kind() {
            // The client opens another session, and reaches what took this server's place.
            Kind::Request(_) if self.is_replaced() => Err(unknown_session()),
            Kind::Request(_) => call(&session, frame, visitor.as_ref(), &self.sessions, &self.patience).await,
            Kind::Notification => {
                self.pass(&session, frame).await?;
                Ok(exchange::empty(StatusCode::ACCEPTED))
            }
            Kind::Response(_) => {
                answer(&session, frame);
                Ok(exchange::empty(StatusCode::ACCEPTED))
            }
        }
    }

    /// What a POST's headers say: the session, and the revision, which does not matter to `initialize`.
    fn check_post(&self, headers: &HeaderMap, principal: Option<&Principal>) -> Result<PostHead, Refusal> {
        rules::check_accept_post(headers)?;
        rules::check_content(headers)?;
        let session = match rules::claimed_session(headers) {
            SessionClaim::None => None,
            claim => Some(self.find(claim, principal)?),
        };
        Ok((session, rules::claimed_revision(headers).map(drop)))
    }

    async fn initialize(
        &self,
        frame: Frame,
        principal: Option<Principal>,
        visitor: Option<Visitor>,
    ) -> Result<Response, Refusal> {
        let caller = Caller::legacy(principal).session_noted(visitor);
        let refused = |error| Refusal::from(error).of(Some(What::of(&frame))).id(frame.id_text());
        let over = self.exchanges.over();
        let opened = tokio::select! {
            opened = self.registry.open_for(&caller, &frame) => opened,
            () = over.cancelled() => Err(self.scope.why().into()),
        };
        let peer = opened.map_err(refused)?;
        // Ends the session if the client hangs up before it knows it.
        let opening = self.sessions.open(caller, peer);
        let session = opening.session().clone();
        let mut response = call(&session, frame, None, &self.sessions, &self.patience).await?;
        if !session.is_refused() {
            session.caller.session_opened();
            opening.keep();
            if let Ok(id) = HeaderValue::try_from(rules::session_text(session.id)) {
                response.headers_mut().insert(rules::SESSION_ID, id);
            }
        }
        Ok(response)
    }

    /// A batch, where the session's revision has them (2025-03-26, Base Protocol, Batching).
    async fn post_batch(
        &self,
        session: Option<Arc<Session>>,
        raw: bytes::Bytes,
        tools: ToolGate,
        visitor: Option<Visitor>,
    ) -> Result<Response, Refusal> {
        let session = session.ok_or_else(no_session)?;
        if session.revision() != Some(Revision::V2025_03_26) {
            return Err(FrameError::Batch.into());
        }
        let frames = Frame::parse_batch(raw)?;
        frames.iter().try_for_each(|frame| tools.check(frame))?;
        if frames.iter().any(is_initialize) {
            return Err(bad("initialize must not be part of a batch"));
        }
        if frames.iter().any(|frame| matches!(frame.kind(), Kind::Request(_))) {
            if self.is_replaced() {
                return Err(unknown_session());
            }
            return call_batch(&session, frames, visitor.as_ref(), &self.sessions).await;
        }
        for frame in frames {
            match frame.kind() {
                Kind::Response(_) => answer(&session, frame),
                _ => self.pass(&session, frame).await?,
            }
        }
        Ok(exchange::empty(StatusCode::ACCEPTED))
    }

    /// Whether the server is not offered any more, while the bridge goes on.
    fn is_replaced(&self) -> bool {
        self.scope.is_stopped() && self.scope.why() == Stopped::Server
    }

    async fn pass(&self, session: &Session, frame: Frame) -> Result<(), Refusal> {
        let server = session.server().ok_or_else(unknown_session)?;
        server.send(Envelope::one_way(session.caller.clone(), frame)).await.map_err(|_| unknown_session())
    }

    fn get(&self, request: &Request, principal: Option<&Principal>) -> Result<Response, Refusal> {
        let headers = request.headers();
        rules::check_accept_get(headers)?;
        let session = self.find(rules::claimed_session(headers), principal)?;
        rules::claimed_revision(headers)?;
        let opened = match rules::only(headers, &rules::LAST_EVENT_ID) {
            None if headers.contains_key(rules::LAST_EVENT_ID) => Err(NotOpened::Missed(Missed::Unknown)),
            None if self.is_replaced() => Err(NotOpened::Ended),
            None => session.stream_standalone(),
            Some(seen) => match seen.to_str().ok().and_then(Place::parse) {
                Some(seen) => session.resume(seen),
                None => Err(NotOpened::Missed(Missed::Unknown)),
            },
        };
        let (reader, chunks) = opened.map_err(not_opened)?;
        let events = SessionEvents::new(reader, &self.sessions);
        Ok(exchange::events(EventStream::new(events, chunks, self.keep_alive)))
    }

    fn delete(&self, request: &Request, principal: Option<&Principal>) -> Result<Response, Refusal> {
        let session = self.find(rules::claimed_session(request.headers()), principal)?;
        rules::claimed_revision(request.headers())?;
        self.sessions.remove(&session);
        Ok(exchange::empty(StatusCode::NO_CONTENT))
    }

    /// The session that a request names. One of another principal is as unknown as one that never was.
    fn find(&self, claim: SessionClaim, principal: Option<&Principal>) -> Result<Arc<Session>, Refusal> {
        let id = match claim {
            SessionClaim::None => return Err(no_session()),
            SessionClaim::Unknown => return Err(unknown_session()),
            SessionClaim::Id(id) => id,
        };
        let session = self.sessions.find(id).ok_or_else(unknown_session)?;
        match session.caller.principal.as_ref() == principal {
            true => Ok(session),
            false => Err(unknown_session().because(Reason::Session)),
        }
    }
}

/// Passes the client's answer to a request of the server's.
fn answer(session: &Session, frame: Frame) {
    if !session.answer(frame) {
        in_session(session).in_scope(|| debug!("dropped an answer that nobody waits for"));
    }
}

fn is_initialize(frame: &Frame) -> bool {
    matches!(frame.kind(), Kind::Request(_)) && frame.method() == "initialize"
}

fn bad(text: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

fn no_session() -> Refusal {
    bad("the Mcp-Session-Id header is missing; send initialize first, and then the id that its answer carries")
}

/// 404 makes a client initialize again (2025-11-25, Transports, Session Management), so it means nothing else here.
fn unknown_session() -> Refusal {
    let text = "no such session, or it has ended; send initialize again, without the Mcp-Session-Id header";
    Refusal::new(StatusCode::NOT_FOUND, text)
}

fn not_opened(reason: NotOpened) -> Refusal {
    match reason {
        NotOpened::Ended => unknown_session(),
        NotOpened::Taken => Refusal::new(
            StatusCode::CONFLICT,
            "the session has an open stream; close it, or resume it with Last-Event-ID",
        ),
        NotOpened::Missed(Missed::Unknown) => bad("Last-Event-ID names no event of a stream of this session"),
        NotOpened::Missed(Missed::Forgotten) => bad("events after Last-Event-ID are not kept any more; ask again"),
    }
}

fn only_post() -> Refusal {
    let text = "revision 2026-07-28 has only POST here; open a stream with subscriptions/listen";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text).header(header::ALLOW, HeaderValue::from_static("POST"))
}

fn not_allowed(stateless: bool) -> Refusal {
    let (text, allow) = match stateless {
        true => ("without sessions (--stateless) there is only POST here", "POST"),
        false => ("this path takes POST, GET and DELETE", "POST, GET, DELETE"),
    };
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text).header(header::ALLOW, HeaderValue::from_static(allow))
}
