//! What waits for a client that does not read: one notification for each thing that changed, however often it did.
//!
//! Owns the order and the bound. Talks to the client's front. It never waits but where it is asked to.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::mpsc;
use tracing::debug;

use super::super::opening::Changes;
use crate::{
    json::{self, Object},
    message::Frame,
    peer::{Caller, Envelope, Gone},
    protocol::{LISTS, meta, method},
};

/// Changes that wait. A server may name resources below those that were subscribed to, as many as it likes.
const MOST: usize = 2048;

/// Notifications on their way to the client.
#[derive(Debug)]
pub(super) struct Outgoing {
    voice: Arc<Caller>,
    waiting: VecDeque<Change>,
}

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub method: Box<str>,
    /// Of a resource: its URI.
    pub uri: Option<String>,
    /// As the client gets it.
    params: Option<String>,
}

impl Change {
    /// Reads a notification of a subscription.
    pub fn read(frame: &Frame) -> Change {
        let params = frame.body().and_then(Object::parse).map(without_subscription);
        let uri = params.as_ref().and_then(|params| params.get("uri")).and_then(json::string).map(String::from);
        let params = params.filter(|params| !params.is_empty()).map(|params| params.to_string());
        Change { method: frame.method().into(), uri, params }
    }
}

impl Outgoing {
    pub fn new(voice: Arc<Caller>) -> Outgoing {
        Outgoing { voice, waiting: VecDeque::new() }
    }

    /// Takes what came early, in its order.
    pub fn take(&mut self, early: Vec<Change>) {
        early.into_iter().for_each(|change| self.push(change));
    }

    /// Everything has changed, as far as anybody knows.
    pub fn take_all(&mut self, changes: Changes, uris: &[String]) {
        for (list, told) in LISTS.into_iter().zip([changes.tools, changes.prompts, changes.resources]) {
            if told {
                self.push(Change { method: list.changed.into(), uri: None, params: None });
            }
        }
        for uri in uris {
            let params = format!("{{\"uri\":{}}}", json::quote(uri));
            let method = method::RESOURCE_UPDATED.into();
            self.push(Change { method, uri: Some(uri.clone()), params: Some(params) });
        }
    }

    /// What waits already is not put there twice: the client will look once, and see the newest.
    pub fn push(&mut self, change: Change) {
        if self.waiting.iter().any(|waiting| waiting.method == change.method && waiting.uri == change.uri) {
            return;
        }
        if self.waiting.len() >= MOST {
            debug!("{MOST} changes wait for a client that does not read; one more is dropped");
            return;
        }
        self.waiting.push_back(change);
    }

    /// Waits until the client takes one more; for ever if there is none. Cancel-safe.
    pub async fn send_next(&mut self, tx: &mpsc::Sender<Envelope>) -> Result<(), Gone> {
        if self.waiting.is_empty() {
            tx.closed().await;
            return Err(Gone);
        }
        let place = tx.reserve().await.map_err(|_| Gone)?;
        if let Some(change) = self.waiting.pop_front() {
            let frame = Frame::notification(&change.method, change.params.as_deref());
            place.send(Envelope::one_way(self.voice.clone(), frame));
        }
        Ok(())
    }
}

/// Which stream brought it is nothing that a legacy client knows.
fn without_subscription(mut params: Object<'_>) -> Object<'_> {
    let Some(text) = json::member(&params, "_meta") else { return params };
    let Some(mut meta) = Object::parse(text) else { return params };
    meta.remove(meta::SUBSCRIPTION_ID);
    if meta.is_empty() {
        params.remove("_meta");
    } else {
        params.set("_meta", meta.to_string());
    }
    params
}
