//! A remote server as a wire: which transport it speaks, and what the transports share.
//!
//! Owns the choice between Streamable HTTP and legacy SSE ([`open`]), the retries of a connection, and the words for what
//! goes wrong. Talks to the wires below (`connect` of [`crate::wire::http`], [`crate::wire::legacy_sse`] and
//! [`crate::wire::ws`]). It
//! never reads a message beyond its head, and never repeats one that may have arrived.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::http::StatusCode;
use serde_json::{Value, json};
use tokio::{
    sync::{
        SetOnce,
        mpsc::{Sender, WeakSender},
    },
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{debug, warn};
use url::Url;

use self::{
    fault::{Asked, Fault, FaultKind, opening_status, status_in_words, status_line},
    web::Web,
};
use crate::{
    auth::client::{Denied, Errand},
    backoff,
    config::{Limits, RemoteSpec, RemoteTransport, RetryPolicy},
    message::{Frame, code, text},
    peer::{Caller, Envelope, Gone, Inbox, Peer, Reply},
    scope::Scope,
    wire::{http, legacy_sse, ws},
};

pub(crate) mod events;
pub(crate) mod fault;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod session;
#[cfg(test)]
mod tests;
pub(crate) mod web;

/// Envelopes that are read ahead while `initialize` is under way, to see the partner's end. More wait in the channel.
const READ_AHEAD: usize = 16;

/// Tokens tried for one request: a renewed one, one of a new login, one of a login for more rights.
const MAX_TOKENS: usize = 3;

/// The longest wait between two attempts.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why a remote server cannot be used. The text is one line: what failed, why, and one next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No connection, or no answer over it: name resolution, refusal, timeout, TLS, a gateway without its server.
    #[error("{0}")]
    Unreachable(String),
    /// 401 or 403.
    #[error("{0}")]
    NotAuthorized(String),
    /// There is no token for it yet.
    #[error("{text}")]
    Login {
        /// The one line.
        text: String,
        /// What the user is to open, while that login is open.
        errand: Option<Arc<Errand>>,
    },
    /// It answers, but not as an MCP server does at this URL.
    #[error("{0}")]
    Protocol(String),
}

impl ConnectError {
    /// The `data` of the JSON-RPC error that says it: the page to open, for clients that can show it.
    pub fn data(&self) -> Option<Value> {
        let ConnectError::Login { errand: Some(errand), .. } = self else { return None };
        Some(match &errand.code {
            None => json!({ "url": errand.url.as_str() }),
            Some(code) => json!({ "url": errand.url.as_str(), "code": code }),
        })
    }

    /// Whether the login goes on, so that the next attempt may find a token.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, ConnectError::Login { errand: Some(_), .. })
    }
}

/// Works one end of a [`Peer::pair`] with the server at `spec.url`. Connects with the first request, and ends when the
/// partner has nothing more to say and the calls in flight are answered (within `limits.grace`), or when the server
/// cannot be used. What is unanswered by then is answered with an error.
pub fn open(spec: &RemoteSpec, limits: &Limits, peer: Peer, scope: &Scope) -> JoinHandle<Result<(), ConnectError>> {
    let way = Way::new(spec, limits, scope);
    scope.spawn(async move { legacy(way, peer, false).await.map(drop) })
}

/// Works a session of the legacy era with the server, over the transport that `spec.transport` says, and ends with it.
/// `Ok(Some)`: the server refused the client's `initialize` as one does that speaks the modern era only, and
/// `modern_allowed` was said. Whoever asked finds out then, with [`http::connect::modern::discover`].
pub(crate) async fn legacy(way: Arc<Way>, peer: Peer, modern_allowed: bool) -> Result<Option<NotLegacy>, ConnectError> {
    let mut desk = Desk::new(peer);
    match over(&way, &mut desk, modern_allowed).await? {
        Some(refusal) => Ok(Some(NotLegacy { way, desk, refusal })),
        None => way.verdict(Ok(())).map(|()| None),
    }
}

async fn over(way: &Arc<Way>, desk: &mut Desk, modern_allowed: bool) -> Result<Option<Refusal>, ConnectError> {
    match way.asked.only {
        Some(RemoteTransport::Sse) => legacy_sse::connect::run(way, desk, None).await.map(|()| None),
        Some(RemoteTransport::Ws) => session::run::<ws::connect::Line>(way, desk, None, modern_allowed).await,
        _ => over_http(way, desk, modern_allowed).await,
    }
}

/// POST first (2025-11-25, Transports, Backwards Compatibility). Gives back a refusal that is for others to judge.
async fn over_http(way: &Arc<Way>, desk: &mut Desk, modern_allowed: bool) -> Result<Option<Refusal>, ConnectError> {
    // Ends with the wire that it finds. Starts over when the server refused this `initialize` only, with an MCP error.
    loop {
        let refusal = match http::connect::run(way, desk, modern_allowed).await? {
            http::connect::End::Done => return Ok(None),
            http::connect::End::Refused(refusal) => refusal,
        };
        if modern_allowed && refusal.may_be_modern() {
            return Ok(Some(refusal));
        }
        if settle(way, desk, refusal).await? == Settled::Over {
            return Ok(None);
        }
    }
}

/// What a refusal led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// To the older transport, over which all was said.
    Over,
    /// To an error for the client, which may try another `initialize`.
    Told,
}

/// 400, 404 or 405 leads to a GET that expects an `endpoint` event, where no transport was asked for. Nothing else is
/// evidence of the older transport.
async fn settle(way: &Arc<Way>, desk: &mut Desk, refusal: Refusal) -> Result<Settled, ConnectError> {
    if way.asked.only.is_some() || !refusal.may_be_older() {
        return refusal.settle(way, None).map(|()| Settled::Told);
    }
    debug!("{} refuses a POST with HTTP {}; trying the older SSE transport", way.shown(), refusal.status.as_u16());
    match legacy_sse::connect::dial(way).await {
        Ok(line) => {
            desk.put_back(refusal.envelope);
            legacy_sse::connect::run(way, desk, Some(line)).await.map(|()| Settled::Over)
        }
        Err(other) => refusal.settle(way, Some(&other.to_string())).map(|()| Settled::Told),
    }
}

/// A server that refused the client's `initialize`, perhaps because it speaks the modern era only.
#[derive(Debug)]
pub(crate) struct NotLegacy {
    way: Arc<Way>,
    desk: Desk,
    refusal: Refusal,
}

impl NotLegacy {
    /// The client's side, as long as it is not known what the server is.
    pub(crate) fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    /// It is modern, or of no use: the client's side, from which the refused `initialize` comes first once more.
    pub(crate) fn into_desk(self) -> Desk {
        let NotLegacy { way: _, mut desk, refusal } = self;
        desk.put_back(refusal.envelope);
        desk
    }

    /// It is not modern: works the session on as if nobody had asked. The refusal leads to the older transport, or to the
    /// client.
    pub(crate) async fn go_on(self) -> Result<(), ConnectError> {
        let NotLegacy { way, mut desk, refusal } = self;
        if settle(&way, &mut desk, refusal).await? == Settled::Told {
            over(&way, &mut desk, false).await?;
        }
        way.verdict(Ok(()))
    }
}

/// How the server refused `initialize`.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The refused message, whose reply still waits.
    pub(crate) envelope: Envelope,
    pub(crate) status: StatusCode,
    /// The server's own error, where it sent one.
    pub(crate) error: Option<Frame>,
}

impl Refusal {
    /// Whether a server of the older transport refuses so.
    pub(crate) fn may_be_older(&self) -> bool {
        matches!(self.status.as_u16(), 400 | 404 | 405)
    }

    /// Whether a modern server refuses so: with a JSON-RPC error, whose code is its own choice (2026-07-28, Versioning,
    /// Compatibility Matrix). A gateway in front of one may answer 400 with nothing at all.
    pub(crate) fn may_be_modern(&self) -> bool {
        match self.status.as_u16() {
            401 | 403 | 408 | 425 | 429 | 500.. => false,
            400 => true,
            _ => self.error.is_some(),
        }
    }

    /// Answers. An error of the server's own goes to the client, and the wire stays; else the server is of no use.
    pub(crate) fn settle(self, way: &Way, sse: Option<&str>) -> Result<(), ConnectError> {
        let Refusal { envelope, status, error } = self;
        if let Some(error) = error {
            if let Some(reply) = envelope.reply {
                reply.answer(with_some_id(error));
            }
            if status.is_success() {
                way.worked();
                return Ok(());
            }
            let failed = way.refused(status, sse);
            return match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(failed),
                _ => {
                    way.failed(failed);
                    Ok(())
                }
            };
        }
        let failed = way.refused(status, sse);
        if let Some(reply) = envelope.reply {
            reply.fail(code::INTERNAL, &failed.to_string(), Some(json!({ "status": status.as_u16() })));
        }
        Err(failed)
    }
}

/// What the tasks of one remote wire share.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) web: Web,
    pub(crate) asked: Asked,
    pub(crate) retry: RetryPolicy,
    pub(crate) limits: Limits,
    pub(crate) scope: Scope,
    /// Who speaks at the far end.
    pub(crate) server: Arc<Caller>,
    /// Set when the partner has left: then no attempt is worth a wait.
    pub(crate) hurry: SetOnce<()>,
    /// Set when an exchange of the modern era met no server of that era: what was found out before may be wrong by now.
    pub(crate) doubt: SetOnce<()>,
    life: Mutex<Life>,
}

/// What came of the server so far.
#[derive(Debug)]
enum Life {
    /// Nothing worked. What went wrong last, if anything was tried.
    Vain(Option<ConnectError>),
    /// It answered as an MCP server does, if only with an error.
    Worked,
}

impl Way {
    pub(crate) fn new(spec: &RemoteSpec, limits: &Limits, scope: &Scope) -> Arc<Way> {
        Arc::new(Way {
            web: Web::new(spec),
            asked: Asked::of(spec),
            retry: spec.retry,
            limits: limits.clone(),
            scope: scope.child(),
            server: Caller::legacy(None),
            hurry: SetOnce::new(),
            doubt: SetOnce::new(),
            life: Mutex::new(Life::Vain(None)),
        })
    }

    /// Resolves when an exchange got what no modern server says.
    pub(crate) async fn doubted(&self) {
        self.doubt.wait().await;
    }

    /// The poison of a lock means that a task panicked elsewhere; what came of the server is still true.
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server answered as an MCP server does.
    pub(crate) fn worked(&self) {
        *self.life() = Life::Worked;
    }

    /// The server was of no use once more.
    pub(crate) fn failed(&self, why: ConnectError) {
        if let Life::Vain(last) = &mut *self.life() {
            *last = Some(why);
        }
    }

    /// What the wire comes to. A client that leaves is no success where nothing ever worked: who only looks at the exit
    /// code would take a wrong URL for a good one.
    pub(crate) fn verdict(&self, end: Result<(), ConnectError>) -> Result<(), ConnectError> {
        end?;
        match &mut *self.life() {
            Life::Vain(last) => last.take().map_or(Ok(()), Err),
            Life::Worked => Ok(()),
        }
    }

    /// The URL for messages and logs.
    pub(crate) fn shown(&self) -> String {
        self.web.shown()
    }

    /// Tries until it works, fails for good, or the attempts are used up. Logs each failed attempt.
    pub(crate) async fn patiently<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut failed = 0;
        // Ends with a success, with a fault that does not pass, with the last attempt, or when the partner leaves.
        loop {
            let fault = match self.authorized(&mut attempt).await {
                Err(fault) if fault.may_pass() && failed < self.retry.attempts => fault,
                done => return done,
            };
            failed += 1;
            let wait = backoff::delay(self.retry.delay, LONGEST_WAIT, failed, backoff::chance());
            warn!(
                "cannot reach {}: {}; attempt {} of {} in {:.1} s (at random up to {:.1} s, which doubles each time)",
                self.shown(),
                fault.why,
                failed + 1,
                self.retry.attempts.saturating_add(1),
                wait.as_secs_f64(),
                backoff::delay(self.retry.delay, LONGEST_WAIT, failed, 1.0).as_secs_f64()
            );
            tokio::select! {
                () = sleep(wait) => {}
                _ = self.hurry.wait() => return Err(fault),
            }
        }
    }

    /// Tries until the server does not ask for a token, or none is to be had. What it refuses so it did not do.
    pub(crate) async fn authorized<T, F>(&self, attempt: &mut impl FnMut() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        for _ in 0..MAX_TOKENS {
            let (demand, authorizer) = match (attempt().await, self.web.authorizer()) {
                (Err(Fault { demand: Some(demand), .. }), Some(authorizer)) => (demand, authorizer),
                (done, _) => return done,
            };
            let satisfied = tokio::select! {
                satisfied = authorizer.satisfy(&demand) => satisfied,
                _ = self.hurry.wait() => Err(Denied::Failed("the client left before the login was done".into())),
            };
            match satisfied {
                // Where no login is offered, the server's own words are the last.
                Ok(()) | Err(Denied::NotOffered) => {}
                Err(denied) => return Err(Fault::denied(denied)),
            }
        }
        attempt().await
    }

    /// Opens something as long as the partner is there. When it leaves, no more attempts are made, and the one under way
    /// has the grace period.
    pub(crate) async fn while_wanted<T>(
        &self,
        desk: &mut Desk,
        opening: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        tokio::pin!(opening);
        tokio::select! {
            opened = &mut opening => return opened,
            () = desk.ended() => {}
        }
        let _ = self.hurry.set(());
        let left = Fault::new(FaultKind::Silent, true, "it did not answer before the client left");
        timeout(self.limits.grace, opening).await.unwrap_or(Err(left))
    }

    /// "cannot reach URL: why".
    pub(crate) fn unreachable(&self, fault: &Fault) -> ConnectError {
        let mut text = format!("cannot reach {}: {}", self.shown(), fault.why);
        if fault.kind == FaultKind::Broken && self.asked.plain && !matches!(*self.life(), Life::Worked) {
            let scheme = if self.asked.only == Some(RemoteTransport::Ws) { "wss" } else { "https" };
            text.push_str(&format!("; if that port speaks TLS, try {scheme}://"));
        }
        match fault.kind {
            FaultKind::Login | FaultKind::Unauthorized => ConnectError::Login {
                text: format!("{} wants a login: {}", self.shown(), fault.why),
                errand: fault.errand.clone(),
            },
            FaultKind::Redirect => ConnectError::Protocol(text),
            _ => ConnectError::Unreachable(text),
        }
    }

    /// "URL answered HTTP 404 (next step)". `sse`: what came of the attempt with the older transport.
    pub(crate) fn refused(&self, status: StatusCode, sse: Option<&str>) -> ConnectError {
        let words = opening_status(status, self.asked);
        let text = match sse {
            None => format!("{} answered {words}", self.shown()),
            Some(sse) => format!(
                "{} speaks neither MCP transport: a POST got HTTP {}, and as for the older SSE transport, {sse}; {}",
                self.shown(),
                status_line(status),
                self.asked.nothing_there()
            ),
        };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ConnectError::NotAuthorized(text),
            _ => ConnectError::Protocol(text),
        }
    }

    /// What a status of this server's means, and one next step.
    pub(crate) fn in_words(&self, status: StatusCode) -> String {
        status_in_words(status, self.asked)
    }

    /// The wire's name in log lines.
    pub(crate) fn name(&self) -> Arc<str> {
        host(self.web.url()).into()
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or("server").to_owned()
}

/// An answer of the bridge's own in the place of the server's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl Trouble {
    pub(crate) fn new(message: impl Into<String>) -> Trouble {
        Trouble { code: code::INTERNAL, message: message.into(), data: None }
    }

    /// For a call that its caller took back.
    pub(crate) fn cancelled() -> Trouble {
        Trouble { code: code::CANCELLED, ..Trouble::new(text::CANCELLED) }
    }

    /// For a call that met `--request-timeout`.
    pub(crate) fn late(limit: Duration) -> Trouble {
        Trouble { code: code::LIMIT, ..Trouble::new(text::late(limit)) }
    }

    /// For a call that the server may have carried out: it is not repeated, and the caller must know.
    pub(crate) fn fate_unknown(what: &str) -> Trouble {
        let message = format!(
            "{what}; whether the call was carried out is unknown, so it is not repeated: check, then call again"
        );
        Trouble { code: code::INTERNAL, message, data: Some(json!({ "fate": "unknown" })) }
    }

    pub(crate) fn tell(self, reply: Reply) {
        reply.fail(self.code, &self.message, self.data);
    }
}

/// An error response without an id gets one, so that the caller's can be put there.
pub(crate) fn with_some_id(frame: Frame) -> Frame {
    match frame.body() {
        Some(error) if frame.is_error() && frame.id_text() == "null" => {
            let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{error}}}");
            Frame::parse(text.into()).unwrap_or(frame)
        }
        _ => frame,
    }
}

/// The wire's end of the pair, with a look ahead.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) tx: Sender<Envelope>,
    pub(crate) home: WeakSender<Envelope>,
    rx: Inbox,
}

impl Desk {
    pub(crate) fn new(peer: Peer) -> Desk {
        Desk { tx: peer.tx, home: peer.home, rx: peer.rx }
    }

    /// The wire's end of the pair again.
    pub(crate) fn into_peer(self) -> Peer {
        Peer { tx: self.tx, rx: self.rx, home: self.home }
    }

    /// The next envelope; `None` when the partner has nothing more to say. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Envelope> {
        self.rx.recv().await
    }

    /// Answers all requests that have come so far.
    pub(crate) fn refuse_waiting(&mut self, failed: &ConnectError) {
        // Ends when nothing more has come.
        while let Some(envelope) = self.rx.try_recv() {
            if let Some(reply) = envelope.reply {
                reply.fail(code::INTERNAL, &failed.to_string(), failed.data());
            }
        }
    }

    /// What comes next is this.
    pub(crate) fn put_back(&mut self, envelope: Envelope) {
        self.rx.put_back(envelope);
    }

    /// Resolves when the partner has left, as far as reading ahead can tell. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        self.rx.ended(READ_AHEAD).await;
    }
}

/// Hands a frame of the server's to the partner: along with a call (`reply`), or on its own. A request gets the way home
/// for its answer, which then arrives at this wire's own desk; `Ok(Some)` gives it back where nobody is there to answer.
pub(crate) async fn deliver(
    frame: Frame,
    along: Option<&Reply>,
    tx: &Sender<Envelope>,
    home: &WeakSender<Envelope>,
    server: &Arc<Caller>,
) -> Result<Option<Frame>, Gone> {
    let reply = match (frame.kind(), home.upgrade()) {
        (crate::message::Kind::Request(_), None) => return Ok(Some(frame)),
        (crate::message::Kind::Request(_), Some(home)) => Some(Reply::on(home, &frame, server).await?),
        _ => None,
    };
    let envelope = Envelope { from: server.clone(), frame, reply };
    match along {
        Some(call) => call.update(envelope).await?,
        None => tx.send(envelope).await.map_err(|_| Gone)?,
    }
    Ok(None)
}
