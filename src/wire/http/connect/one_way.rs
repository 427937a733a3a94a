//! Messages that have no answer: notifications, and the client's answers to the server's requests.
//!
//! Owns their order: one is taken by the server before the next is sent. What a server refuses is logged, and not sent
//! again.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{Link, ORDER_PATIENCE, calls::Trip, lock, reading::Posted};
use crate::{
    message::{Frame, Kind},
    peer::{CallerId, Envelope},
};

/// After this, the POST of a notification or an answer is given up.
pub(super) const ONE_WAY_TIMEOUT: Duration = Duration::from_secs(60);

impl Link {
    /// Sends a message that has no answer, and waits a while for the server to take it.
    pub(super) async fn tell_in_order(self: &Arc<Self>, envelope: Envelope) {
        let Envelope { from, frame, .. } = envelope;
        let Ok(place) = self.one_way.clone().acquire_owned().await else { return };
        lock(&self.memory).sent(&frame);
        let link = self.clone();
        let told = self.scope.spawn(async move {
            let opens = frame.method() == "notifications/initialized";
            // An answer is for the session that asked, which is who it is said to come from.
            let asker = matches!(frame.kind(), Kind::Response(_)).then_some(from.id);
            if link.tell(&frame, asker).await && opens {
                link.listen();
            }
            drop(place);
        });
        let _ = timeout(ORDER_PATIENCE, told).await;
    }

    /// Sends a message that has no answer; an answer only to the session of `asker`. Says whether the server took it.
    pub(super) async fn tell(self: &Arc<Self>, frame: &Frame, asker: Option<CallerId>) -> bool {
        let what = if frame.method().is_empty() { "an answer" } else { frame.method() };
        let told = match timeout(ONE_WAY_TIMEOUT, self.one_way(frame, asker)).await {
            Ok(told) => told,
            Err(_) => Err(format!("it took longer than {} s", ONE_WAY_TIMEOUT.as_secs())),
        };
        match told {
            Ok(()) => true,
            Err(why) => {
                warn!("{} did not take {what}: {why}", self.way.shown());
                false
            }
        }
    }

    async fn one_way(self: &Arc<Self>, frame: &Frame, asker: Option<CallerId>) -> Result<(), String> {
        for _ in 0..2 {
            let session = self.session().await.map_err(|trouble| trouble.message)?;
            if asker.is_some_and(|asker| asker != session.server.id) {
                // Its id may be that of another request in the session that is open now.
                debug!("dropped an answer to a session that is over");
                return Ok(());
            }
            let incoming = self.post(&session, frame, &Trip::default()).await.map_err(|fault| fault.why)?;
            if incoming.response.status().is_success() {
                return Ok(());
            }
            match self.classify(&session, incoming, None).await.map_err(|fault| fault.why)? {
                Posted::SessionGone(_) => self.reopen(session.generation),
                Posted::Answer(error) => return Err(format!("it answered with an error: {}", summary(&error))),
                Posted::Refused(status) => return Err(format!("it answered {}", self.way.in_words(status))),
                Posted::Stream(_) | Posted::NotMcp(_) => return Ok(()),
            }
        }
        Err(format!("it answered {}", self.way.in_words(StatusCode::NOT_FOUND)))
    }
}

/// The code of an error response, for a log. Not its message, which may quote what was sent.
fn summary(error: &Frame) -> String {
    #[derive(serde::Deserialize)]
    struct Code {
        code: i64,
    }
    let code = error.body().and_then(|body| serde_json::from_str::<Code>(body).ok());
    code.map_or_else(|| "without a code".into(), |Code { code }| format!("code {code}"))
}
