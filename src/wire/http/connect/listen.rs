//! The stream of what the server says outside of any call.
//!
//! Owns the GET of one session and keeps it open. A server without such a stream is fine, and nothing here is fatal.

use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::{
    Link,
    exchange::Cursor,
    lock,
    reading::{Posted, frames_of},
    session::{Phase, Session},
};
use crate::{
    peer::{Caller, Gone},
    scope::Scope,
    wire::remote::{
        events::{Events, StreamFault},
        fault::status_line,
        web::media_type,
    },
};

/// What a GET came to.
enum Got {
    Stream(Box<Events>),
    /// Try again later.
    Later,
    /// There is none, or the session is over.
    Never,
}

impl Link {
    /// Listens in the session that is open now.
    pub(super) fn listen(self: &Arc<Self>) {
        let session = match &*self.phase.borrow() {
            Phase::Open(session) => session.clone(),
            _ => return, // Whoever opens it again listens then.
        };
        self.listen_in(session);
    }

    /// Listens in this session, and no longer in the one before it.
    pub(super) fn listen_in(self: &Arc<Self>, session: Arc<Session>) {
        let scope = self.scope.child();
        if let Some(before) = lock(&self.listener).replace(scope.clone()) {
            before.stop();
        }
        let link = self.clone();
        self.scope.spawn(async move {
            tokio::select! {
                () = link.keep_listening(&session) => {}
                () = Scope::stopped(&scope) => {}
                () = link.tx.closed() => {}
            }
        });
    }

    async fn keep_listening(self: &Arc<Self>, session: &Arc<Session>) {
        let mut cursor = Cursor::default();
        let mut before = false;
        // Ends when the server has no such stream, or the partner left.
        loop {
            match self.get(session, &cursor, before).await {
                Got::Never => return,
                Got::Later => {}
                Got::Stream(mut events) => {
                    before = true;
                    if self.read_unsolicited(&session.server, &mut events, &mut cursor).await.is_err() {
                        return;
                    }
                    cursor.note_end(&events);
                }
            }
            sleep(cursor.next_wait()).await;
        }
    }

    /// `before`: whether the server had the stream earlier in this session.
    async fn get(self: &Arc<Self>, session: &Arc<Session>, cursor: &Cursor, before: bool) -> Got {
        let started = Arc::default();
        let mut send = || self.send(session, Method::GET, None, cursor.last.as_ref(), &started);
        let incoming = match self.way.authorized(&mut send).await {
            Ok(incoming) => incoming,
            Err(fault) => {
                debug!("cannot listen to {}: {fault}", self.way.shown());
                return if fault.may_pass() || fault.sent { Got::Later } else { Got::Never };
            }
        };
        let status = incoming.response.status();
        if status.is_success() && media_type(incoming.response.headers()) == "text/event-stream" {
            return Got::Stream(Box::new(Events::new(incoming.response, self.way.limits.max_message)));
        }
        if before && matches!(self.classify(session, incoming, None).await, Ok(Posted::SessionGone(_))) {
            self.reopen(session.generation);
            return Got::Never;
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                warn!(
                    "{} does not let us listen (HTTP {}); only answers will come",
                    self.way.shown(),
                    status_line(status)
                );
                Got::Never
            }
            // A second stream beside one that the server takes for alive (409), a limit, or a server in trouble.
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Got::Later,
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => Got::Later,
            _ => {
                debug!("{} has no stream to listen to (HTTP {})", self.way.shown(), status_line(status));
                Got::Never
            }
        }
    }

    async fn read_unsolicited(
        self: &Arc<Self>,
        server: &Arc<Caller>,
        events: &mut Events,
        cursor: &mut Cursor,
    ) -> Result<(), Gone> {
        // Ends with the stream, or when the partner left.
        loop {
            match events.next().await {
                Ok(Some(event)) => {
                    cursor.note(&event);
                    for frame in frames_of(&event, &self.way.shown()) {
                        let frame = self.reader.weighed(frame, self.way.server.id).await;
                        self.pass_on(server, frame, None).await?;
                    }
                }
                Ok(None) => return Ok(()),
                Err(StreamFault::TooLarge(error)) => warn!("{}: {error}", self.way.shown()),
                Err(StreamFault::Broken(fault)) => {
                    debug!("the stream from {} broke: {fault}", self.way.shown());
                    return Ok(());
                }
            }
        }
    }
}
