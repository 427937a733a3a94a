//! Who is subscribed to which resource of one server.
//!
//! Owns the count for each URI: a legacy server knows its client alone, and that is the bridge. Talks to the server with
//! `resources/subscribe` for the first and `resources/unsubscribe` for the last. A subscriber that is dropped half way
//! counts until it leaves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::timeout;
use tracing::debug;

use super::super::{backend::Backend, lock};
use crate::json::{Object, quote};

/// The URIs of one server.
#[derive(Debug, Default)]
pub(in super::super) struct Uris(Mutex<HashMap<Box<str>, Slot>>);

#[derive(Debug, Default)]
struct Slot {
    users: usize,
    /// What the server was told last. Held while it is told: whoever comes second for a URI waits for the one answer, and
    /// a subscription never overtakes the end of the one before.
    told: Arc<tokio::sync::Mutex<Told>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    /// To subscribe, and it did not say that it has.
    Asked,
    Subscribed,
}

/// What came of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// None: the server is gone, or busy for good.
    Silent,
}

impl Uris {
    /// Counts one more subscriber. [`Uris::ask`] and [`Uris::leave`] have to follow.
    pub(super) fn join(&self, uri: &str) {
        lock(&self.0).entry(uri.into()).or_default().users += 1;
    }

    /// Has the server subscribe, if it has not.
    pub(super) async fn ask(&self, backend: &Backend, uri: &str, patience: Duration) -> Answer {
        let told = lock(&self.0).get(uri).map(|slot| slot.told.clone());
        let Some(told) = told else { return Answer::No };
        let mut told = told.lock().await;
        if *told == Told::Subscribed {
            return Answer::Yes;
        }
        *told = Told::Asked;
        match timeout(patience, backend.ask("resources/subscribe", Some(&params(uri)))).await {
            Ok(Some(answer)) if !answer.is_error() => {
                *told = Told::Subscribed;
                Answer::Yes
            }
            Ok(Some(answer)) => {
                *told = Told::Nothing;
                debug!(uri, "the server refuses a subscription: {}", answer.body().unwrap_or_default());
                Answer::No
            }
            Ok(None) | Err(_) => Answer::Silent,
        }
    }

    /// Counts one less; after the last the server is told.
    pub(super) async fn leave(&self, backend: &Backend, uri: &str, patience: Duration) {
        let told = {
            let mut slots = lock(&self.0);
            let Some(slot) = slots.get_mut(uri) else { return };
            slot.users = slot.users.saturating_sub(1);
            slot.told.clone()
        };
        let mut told = told.lock().await;
        if !self.is_unused(uri) {
            return;
        }
        if *told != Told::Nothing {
            // An answer that does not come changes nothing: what the server says of this URI is wanted by nobody.
            drop(timeout(patience, backend.ask("resources/unsubscribe", Some(&params(uri)))).await);
            *told = Told::Nothing;
        }
        let mut slots = lock(&self.0);
        if slots.get(uri).is_some_and(|slot| slot.users == 0) {
            slots.remove(uri);
        }
    }

    fn is_unused(&self, uri: &str) -> bool {
        lock(&self.0).get(uri).is_some_and(|slot| slot.users == 0)
    }
}

fn params(uri: &str) -> String {
    let mut params = Object::new();
    params.set("uri", quote(uri));
    params.to_string()
}
