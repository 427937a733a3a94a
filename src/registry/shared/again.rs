//! Another process in the place of one that ended, or that nobody used for a while.
//!
//! Owns what the new one hears before anybody else speaks to it: the handshake of the first client, the log level, and the
//! subscriptions of all. After a crash the clients hear that lists and resources may have changed.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::{StreamExt, stream};
use serde::Deserialize;
use tokio::{sync::mpsc, time::timeout};
use tracing::{debug, info, warn};

use super::{Handshake, PATIENCE, Shared, hand_out, last_words};
use crate::{
    backoff::delay,
    message::{Frame, Id},
    peer::{Caller, Envelope, Peer},
    protocol::method,
    registry::OpenError,
};

/// How long the process before is waited for: two that hold the same file would be in each other's way.
const BEFORE: Duration = Duration::from_secs(5);

/// Subscriptions on their way to a new process at once.
const AT_ONCE: usize = 16;

/// Before the second attempt to start another one; doubled each time up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);

/// See [`FIRST`].
const LONGEST: Duration = Duration::from_secs(60);

/// What a server declared that can change.
#[derive(Deserialize, Default)]
struct Declared {
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Deserialize, Default)]
struct Capabilities {
    tools: Option<Changing>,
    prompts: Option<Changing>,
    resources: Option<Changing>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Changing {
    #[serde(default)]
    list_changed: bool,
}

impl Shared {
    /// The way to a process: the one that is there, or another.
    pub(super) async fn way(&self) -> Result<mpsc::Sender<Envelope>, OpenError> {
        if let Some(way) = self.line.up() {
            return Ok(way);
        }
        // Held across the start on purpose: whoever comes second waits for the one process that all share.
        let _one = self.starting.lock().await;
        if let Some(way) = self.line.up() {
            return Ok(way);
        }
        if self.scope.is_stopped() {
            return Err(self.scope.why().into());
        }
        let Some(source) = &self.source else { return Err(OpenError::Handshake("it ended".into())) };
        let (number, before) = self.line.next();
        if let Some(before) = before {
            drop(timeout(BEFORE, before).await);
        }
        let Peer { tx, rx, home: _ } = (source.open)().await?;
        self.line.read_by(self.scope.spawn(hand_out(self.me.clone(), rx, number)));
        let changed = self.repeat(&tx).await.map_err(OpenError::Handshake)?;
        match self.line.set_up(number, tx.clone()) {
            Ok(crashed) => {
                if crashed || changed {
                    self.tell_changes();
                }
                Ok(tx)
            }
            Err(()) => Err(OpenError::Handshake("it ended".into())),
        }
    }

    /// Says again what the process before was told. Says whether the new one introduces itself in another way.
    async fn repeat(&self, to: &mpsc::Sender<Envelope>) -> Result<bool, String> {
        let Handshake::Done { asked, result, announced } = self.handshake.borrow().clone() else { return Ok(false) };
        let voice = Caller::legacy(None);
        let Ok(answer) = timeout(PATIENCE, self.ask_on(to, &voice, asked.clone())).await else {
            return Err(format!("it did not answer within {} s; look into its log", PATIENCE.as_secs()));
        };
        let Some(given) = answer.as_ref().filter(|frame| !frame.is_error()).and_then(Frame::body) else {
            return Err(last_words(answer.as_ref()));
        };
        let changed = *given != *result;
        self.handshake.send_replace(Handshake::Done { asked, result: given.into(), announced });
        if announced {
            drop(to.send(Envelope::one_way(voice.clone(), Frame::notification(method::INITIALIZED, None))).await);
        }
        let level = self.level();
        let subscriptions = self.subscriptions().into_iter().map(|uri| {
            let params = serde_json::json!({ "uri": uri }).to_string();
            Frame::request(&Id::Number(0), "resources/subscribe", Some(&params))
        });
        let level = level.map(|params| Frame::request(&Id::Number(0), "logging/setLevel", Some(&params)));
        let all = stream::iter(level.into_iter().chain(subscriptions)).for_each_concurrent(AT_ONCE, async |request| {
            let method = request.method().to_string();
            if self.ask_on(to, &voice, request).await.is_none_or(|answer| answer.is_error()) {
                debug!(name = %self.name, method, "the new process of a shared server refused what the one before had accepted");
            }
        });
        if timeout(PATIENCE, all).await.is_err() {
            debug!(name = %self.name, "the new process of a shared server does not answer; it is used all the same");
        }
        Ok(changed)
    }

    /// Each URI that some member subscribed to.
    fn subscriptions(&self) -> HashSet<String> {
        self.members().values().flat_map(|member| member.subscriptions.iter().cloned()).collect()
    }

    /// Tells each member that what it knows of the server may be old. In tasks of their own, since there may be more than a
    /// client has room for at once.
    fn tell_changes(&self) {
        let Handshake::Done { result, .. } = self.handshake.borrow().clone() else { return };
        let declared: Declared = serde_json::from_str(&result).unwrap_or_default();
        let Capabilities { tools, prompts, resources } = declared.capabilities;
        let lists = [
            (tools, method::TOOLS_CHANGED),
            (prompts, method::PROMPTS_CHANGED),
            (resources, method::RESOURCES_CHANGED),
        ];
        let lists = lists.into_iter().filter(|(what, _)| what.as_ref().is_some_and(|what| what.list_changed));
        let lists: Vec<Frame> = lists.map(|(_, method)| Frame::notification(method, None)).collect();
        let voice = Caller::legacy(None);
        for member in self.members().values() {
            let (tx, voice, mut news) = (member.tx.clone(), voice.clone(), lists.clone());
            news.extend(member.subscriptions.iter().map(|uri| {
                let params = serde_json::json!({ "uri": uri }).to_string();
                Frame::notification(method::RESOURCE_UPDATED, Some(&params))
            }));
            self.scope.spawn(async move {
                for frame in news {
                    if tx.send(Envelope::one_way(voice.clone(), frame)).await.is_err() {
                        return; // It has left.
                    }
                }
            });
        }
    }

    /// Starts another process after one has ended, so that those who wait for news get them.
    pub(super) fn revive(&self) {
        warn!(name = %self.name, "the server that clients share has ended; starting it again");
        self.scope.spawn(reviving(self.me.clone()));
    }

    /// Ends a process that nobody has used for long. A subscription is a use: its news come only from a process.
    fn rest(&self, idle: Duration) {
        let subscribed = self.members().values().any(|member| !member.subscriptions.is_empty());
        if !subscribed && (self.stateless || self.lasts()) && self.line.rest(idle) {
            info!(name = %self.name, "nobody has used the shared server for --idle-timeout; it is ended until it is needed");
        }
    }
}

/// Ends with a process, with the last session, or with the bridge.
async fn reviving(shared: Weak<Shared>) {
    let mut failures = 0;
    loop {
        let Some(shared) = shared.upgrade() else { return };
        if shared.members().is_empty() || shared.scope.is_stopped() {
            return;
        }
        let Err(error) = shared.way().await else { return };
        failures += 1;
        debug!(name = %shared.name, "cannot start the shared server again: {error}");
        let wait = error.retry_after().unwrap_or_else(|| delay(FIRST, LONGEST, failures, 1.0));
        let scope = shared.scope.clone();
        drop(shared);
        drop(timeout(wait, scope.stopped()).await);
    }
}

/// Looks for a process that nobody uses. Ends with the hub, or with the bridge.
pub(super) async fn watch_idle(shared: Weak<Shared>, idle: Duration) {
    let mut tick = tokio::time::interval((idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(30)));
    while let Some(shared) = shared.upgrade() {
        shared.rest(idle);
        let scope = shared.scope.clone();
        drop(shared);
        tokio::select! {
            _ = tick.tick() => {}
            () = scope.stopped() => return,
        }
    }
}

/// For [`super::Hub`]: keeps an eye on how long nobody uses the process.
pub(super) fn watch(shared: &Arc<Shared>) {
    if let Some(idle) = shared.source.as_ref().and_then(|source| source.idle) {
        shared.scope.spawn(watch_idle(Arc::downgrade(shared), idle));
    }
}
