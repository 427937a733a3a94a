//! The client's `initialize`.
//!
//! Owns the attempts at it and what they come to. It may be repeated, unlike a call: a session that nobody uses does no
//! harm.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use tokio::time::timeout;
use tracing::info;

use super::{
    Link, lock,
    reading::{Posted, asked},
    session::{self, Phase, Session},
};
use crate::{
    config::Limits,
    message::{Frame, code},
    peer::{Envelope, Reply},
    wire::{
        handshake::Opened,
        remote::{
            ConnectError, Desk, Refusal,
            fault::{Fault, FaultKind},
            web::SESSION_ID,
            with_some_id,
        },
    },
};

/// A server that is connected but does not answer `initialize` within this is taken for dead. Servers that start on
/// demand take tens of seconds; the official SDKs' clients give up after 60 s.
const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(60);

/// For one attempt at a first message.
pub(super) fn patience(limits: &Limits) -> Duration {
    limits.request_timeout.map_or(INITIALIZE_TIMEOUT, |limit| limit.min(INITIALIZE_TIMEOUT))
}

/// What an attempt at `initialize` came to.
#[derive(Debug)]
pub(super) enum Opening {
    /// `session` is `None` where the answer is an error.
    Answered {
        answer: Frame,
        session: Option<Session>,
    },
    Refused {
        status: StatusCode,
        error: Option<Frame>,
    },
    NotMcp(String),
}

impl Link {
    /// Opens the session. `Some` when the server refuses in a way that may mean the older transport, or the modern era.
    pub(super) async fn initialize(
        self: &Arc<Self>,
        envelope: Envelope,
        desk: &mut Desk,
    ) -> Result<Option<Refusal>, ConnectError> {
        lock(&self.memory).sent(&envelope.frame);
        let (frame, reply) = (envelope.frame.clone(), envelope.reply.as_ref());
        let opening = self.way.patiently(|| self.try_initialize(&frame, reply));
        let opened = self.way.while_wanted(desk, opening).await;
        let failed = match opened {
            Ok(Opening::Answered { answer, session: None }) if self.modern_allowed && answer.is_error() => {
                return Ok(Some(Refusal { envelope, status: StatusCode::OK, error: Some(answer) }));
            }
            Ok(Opening::Answered { answer, session }) => {
                self.way.worked();
                lock(&self.memory).opened(&answer);
                if let Some(session) = session {
                    info!("connected to {} over Streamable HTTP", self.way.shown());
                    self.phase.send_replace(Phase::Open(Arc::new(session)));
                }
                if let Some(reply) = envelope.reply {
                    reply.answer(answer);
                }
                return Ok(None);
            }
            Ok(Opening::Refused { status, error }) => {
                let refusal = Refusal { envelope, status, error };
                let tells = refusal.may_be_older() || (self.modern_allowed && refusal.may_be_modern());
                return if tells { Ok(Some(refusal)) } else { refusal.settle(&self.way, None).map(|()| None) };
            }
            Ok(Opening::NotMcp(why)) => ConnectError::Protocol(why),
            Err(fault) => self.way.unreachable(&fault),
        };
        if let Some(reply) = envelope.reply {
            reply.fail(code::INTERNAL, &failed.to_string(), failed.data());
        }
        // The browser comes back to this process: it stays, and the client may try again.
        if failed.is_open() {
            self.way.failed(failed);
            return Ok(None);
        }
        Err(failed)
    }

    /// One attempt. It may be repeated: a session that nobody knows of does no harm.
    pub(super) async fn try_initialize(
        self: &Arc<Self>,
        frame: &Frame,
        reply: Option<&Reply>,
    ) -> Result<Opening, Fault> {
        let patience = patience(&self.way.limits);
        match timeout(patience, self.ask_to_open(frame, reply)).await {
            Ok(opening) => opening.map_err(|fault| Fault { sent: false, ..fault }),
            Err(_) => {
                let why =
                    format!("it did not answer initialize within {} s; look into the server's log", patience.as_secs());
                Err(Fault::new(FaultKind::Silent, true, why))
            }
        }
    }

    async fn ask_to_open(self: &Arc<Self>, frame: &Frame, reply: Option<&Reply>) -> Result<Opening, Fault> {
        let none = Session::none(self.way.web.url());
        let incoming = self.send(&none, Method::POST, Some(frame.bytes().clone()), None, &Arc::default()).await?;
        let (status, url) = (incoming.response.status(), incoming.url.clone());
        let id = incoming.response.headers().get(SESSION_ID).cloned();
        if let Some(what) = id.as_ref().and_then(session::fault_of_id) {
            let why = format!("sent an Mcp-Session-Id that is {what}; it is not a conforming server");
            return Ok(Opening::NotMcp(format!("{} {why}", self.way.shown())));
        }
        let answer = match self.classify(&none, incoming, asked(frame)).await? {
            Posted::Answer(answer) if status.is_success() => answer,
            Posted::Answer(error) => return Ok(Opening::Refused { status, error: Some(error) }),
            Posted::Stream(mut events) => match self.first_answer(&none.server, &mut events, frame, reply).await? {
                Some(answer) => answer,
                None => {
                    return Err(Fault::new(FaultKind::Broken, true, "the stream ended before the answer; try again"));
                }
            },
            Posted::Refused(status) if matches!(status.as_u16(), 502..=504) => {
                let why = format!("it answered {}", self.way.in_words(status));
                return Err(Fault::new(FaultKind::Gateway, false, why));
            }
            Posted::Refused(status) | Posted::SessionGone(status) => {
                return Ok(Opening::Refused { status, error: None });
            }
            Posted::NotMcp(what) => return Ok(Opening::NotMcp(format!("{} {what}", self.way.shown()))),
        };
        let session = Opened::read(&answer).map(|opened| none.opened(url, id, opened.version.as_deref()));
        Ok(Opening::Answered { answer: with_some_id(answer), session })
    }
}
