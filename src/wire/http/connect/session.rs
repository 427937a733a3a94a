//! The upstream session, and opening it again when the server has forgotten it.
//!
//! Owns the phases of a session. One task opens it again; all who need it wait for that task, and nobody holds a lock
//! meanwhile. It sends the handshake again, never a call.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tracing::{info, warn};
use url::Url;

use super::{Link, calls::Trip, lock, opening::Opening};
use crate::{
    message::Frame,
    peer::{Caller, Envelope},
    wire::{
        handshake::{Opened, Replay},
        remote::{Trouble, web::SESSION_ID},
    },
};

/// The longest session id that is kept; it goes into every request's head, where servers take 8 KiB in all.
const MAX_SESSION_ID: usize = 4096;

pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const BOTH_FORMS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What each request of one session carries, and where it goes.
#[derive(Debug)]
pub(super) struct Session {
    /// Tells a session from the one before it.
    pub(super) generation: u64,
    /// Where `initialize` was answered, after redirects.
    pub(super) url: Url,
    pub(super) id: Option<HeaderValue>,
    version: Option<HeaderValue>,
    /// Who speaks in this session. The client's answers come back in its name, so that a later session does not get them.
    pub(super) server: Arc<Caller>,
}

/// Where the session stands.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    Open(Arc<Session>),
    /// A task opens it again.
    Opening,
    /// It could not be opened again; who needs it next has it tried once more.
    Lost(Trouble),
}

impl Session {
    /// Before `initialize`: no id and no version.
    pub(super) fn none(url: &Url) -> Session {
        Session { generation: 0, url: url.clone(), id: None, version: None, server: Caller::legacy(None) }
    }

    /// `self` is opened, by an answer from `url`.
    pub(super) fn opened(self, url: Url, id: Option<HeaderValue>, version: Option<&str>) -> Session {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let generation = NEXT.fetch_add(1, Ordering::Relaxed);
        let version = version.and_then(|version| HeaderValue::from_str(version).ok());
        let id = id.map(|mut id| {
            id.set_sensitive(true); // Whoever has it can speak in the client's name.
            id
        });
        Session { generation, url, id, version, server: self.server }
    }

    pub(super) fn headers(&self, method: &Method, last_event: Option<&HeaderValue>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(5);
        if *method == Method::POST {
            headers.insert(header::ACCEPT, BOTH_FORMS);
            headers.insert(header::CONTENT_TYPE, JSON);
        } else if *method == Method::GET {
            headers.insert(header::ACCEPT, crate::wire::remote::web::EVENT_STREAM);
        }
        let optional = [(SESSION_ID, &self.id), (PROTOCOL_VERSION, &self.version)];
        for (name, value) in optional {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        if let Some(last) = last_event {
            headers.insert(LAST_EVENT_ID, last.clone());
        }
        headers
    }
}

/// What is wrong with a session id. 2025-11-25, Transports, Session Management: visible ASCII (0x21 to 0x7E) only.
pub(super) fn fault_of_id(id: &HeaderValue) -> Option<String> {
    let bytes = id.as_bytes();
    if bytes.len() > MAX_SESSION_ID {
        return Some(format!("too long ({} bytes, of at most {MAX_SESSION_ID})", bytes.len()));
    }
    (bytes.is_empty() || !bytes.iter().all(u8::is_ascii_graphic)).then(|| "not visible ASCII".into())
}

impl Link {
    /// The session to use now. Waits while it is opened again, and has that tried when it is lost.
    pub(super) async fn session(self: &Arc<Self>) -> Result<Arc<Session>, Trouble> {
        let mut phase = self.phase.subscribe();
        let mut tried = false;
        // Ends with an open session, or after one attempt to open it again.
        loop {
            let now = phase.borrow_and_update().clone();
            match now {
                Phase::Open(session) => return Ok(session),
                Phase::Lost(trouble) if tried => return Err(trouble),
                Phase::Lost(_) => self.reopen(0),
                Phase::Opening => {
                    tried = true;
                    if phase.changed().await.is_err() {
                        return Err(Trouble::new(self.scope.why().to_string()));
                    }
                }
            }
        }
    }

    /// Has the session opened again, unless that is done or under way: `generation` is the session that is gone.
    pub(super) fn reopen(self: &Arc<Self>, generation: u64) {
        let first = self.phase.send_if_modified(|phase| {
            let stale = match phase {
                Phase::Open(session) => session.generation == generation,
                Phase::Opening => false,
                Phase::Lost(_) => true,
            };
            if stale {
                *phase = Phase::Opening;
            }
            stale
        });
        if first {
            let link = self.clone();
            self.scope.spawn(async move {
                let phase = tokio::select! {
                    opened = link.open_again() => opened.map_or_else(Phase::Lost, Phase::Open),
                    () = link.scope.stopped() => Phase::Lost(Trouble::new(link.scope.why().to_string())),
                };
                link.phase.send_replace(phase);
            });
        }
    }

    async fn open_again(self: &Arc<Self>) -> Result<Arc<Session>, Trouble> {
        let (replay, known) = {
            let memory = lock(&self.memory);
            (memory.replay(), memory.known().cloned())
        };
        let Some(replay) = replay else { return Err(Trouble::new("the server knows no session, and none was open")) };
        info!("{} has forgotten the session; opening it again", self.way.shown());
        let opening = self.way.patiently(|| self.try_initialize(&replay.initialize, None)).await;
        let failed = match opening {
            Ok(Opening::Answered { answer, session: Some(session) }) => {
                let session = Arc::new(session);
                self.restore(&session, &replay).await;
                self.compare(&session.server, known, &answer).await;
                return Ok(session);
            }
            Ok(Opening::Answered { .. }) => format!("{} does not open the session again", self.way.shown()),
            Ok(Opening::Refused { status, .. }) => self.way.refused(status, None).to_string(),
            Ok(Opening::NotMcp(why)) => why,
            Err(fault) => self.way.unreachable(&fault).to_string(),
        };
        warn!("the session cannot be opened again: {failed}");
        Err(Trouble::new(failed))
    }

    /// Brings the new session to where the old one was. What the server refuses now is logged, and the session used.
    async fn restore(self: &Arc<Self>, session: &Arc<Session>, replay: &Replay) {
        let Some(initialized) = &replay.initialized else { return };
        match self.post(session, initialized, &Trip::default()).await {
            Ok(incoming) if incoming.response.status().is_success() => self.listen_in(session.clone()),
            Ok(incoming) => {
                warn!("the new session answered initialized with HTTP {}", incoming.response.status().as_u16())
            }
            Err(fault) => warn!("the new session did not take initialized: {fault}"),
        }
        for request in &replay.state {
            match self.exchange_in(session, request).await {
                Ok(answer) if answer.is_error() => warn!("the new session refuses {}", request.method()),
                Ok(_) => {}
                Err(trouble) => warn!("the new session did not take {}: {}", request.method(), trouble.message),
            }
        }
    }

    /// Tells the client that its lists may be stale when another server, or another version, answered.
    async fn compare(&self, server: &Arc<Caller>, known: Option<Opened>, answer: &Frame) {
        let (Some(known), Some(now)) = (known, Opened::read(answer)) else { return };
        if known != now {
            warn!("{} came back as another server or with other capabilities", self.way.shown());
        }
        let changes = known.changes(&now);
        lock(&self.memory).reopened(now);
        for change in changes {
            let _ = self.tx.send(Envelope::one_way(server.clone(), change)).await;
        }
    }
}
