//! The way into one server for modern exchanges: straight to a server that speaks the era, through the translation to one
//! that does not.
//!
//! Owns the one running modern server that all exchanges share, and the one translation. Talks to whoever finds and
//! starts servers. It never moves a message but for what a modern server says on its own, which is nothing.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{OpenError, eras::Eras};
use crate::{
    config::{EraSettings, Limits},
    era::modern_to_legacy,
    message::{Frame, code},
    peer::{Envelope, Era, Outbox, Peer},
    scope::Scope,
};

/// A running modern server.
#[derive(Debug, Clone)]
pub struct Direct {
    outbox: Outbox,
    /// Set when the server has nothing more to say: its outbox stays open as long as somebody holds it.
    gone: CancellationToken,
    /// What it answered when it was asked what it is.
    found: Option<Frame>,
}

/// The way in.
#[derive(Debug, Default)]
pub struct Modern {
    slot: tokio::sync::Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    direct: Option<Direct>,
    translation: Option<Outbox>,
    /// When somebody last asked for the way in, or was seen to have one.
    used: Option<Instant>,
}

impl Direct {
    /// A server behind a peer: what it says on its own account goes nowhere. `found` is its answer to
    /// [`crate::protocol::discover`], if it was asked.
    pub fn behind(peer: Peer, found: Option<Frame>, scope: &Scope) -> Direct {
        let Peer { tx: outbox, mut rx, home: _ } = peer;
        let gone = CancellationToken::new();
        let told = gone.clone();
        scope.spawn(async move {
            // Ends with the server.
            while let Some(envelope) = rx.recv().await {
                refuse(envelope);
            }
            told.cancel();
        });
        Direct { outbox, gone, found }
    }

    /// A server that says nothing but answers. `gone` is set when it is to be asked anew.
    pub fn through(outbox: Outbox, gone: CancellationToken) -> Direct {
        Direct { outbox, gone, found: None }
    }

    /// What it said that it is, as news: for the session that it was asked for, not for those that come later.
    pub fn found(&self) -> Option<Frame> {
        self.found.clone()
    }

    /// The way in.
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Set when the server has ended.
    pub fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// Whether the server has ended.
    pub fn is_gone(&self) -> bool {
        self.gone.is_cancelled() || self.outbox.is_closed()
    }
}

/// A modern server sends no requests (2026-07-28, Transports), and what it notifies of belongs to a request.
fn refuse(envelope: Envelope) {
    let method = envelope.frame.method();
    match envelope.reply {
        Some(reply) => {
            warn!(method, "a modern server sent a request, which none may; refused");
            let text = "a server of revision 2026-07-28 asks by an input_required result, not by a request";
            reply.fail(code::METHOD_NOT_FOUND, text, None);
        }
        None => debug!(method, "what a modern server said belongs to no request that is in flight; dropped"),
    }
}

impl Modern {
    /// The way in: opened in the caller's own era first, translated where the server does not speak it. `find` starts a
    /// server and finds out; `translate` starts the translation, once.
    pub async fn outbox<F>(
        &self,
        eras: &Eras,
        find: impl FnOnce() -> F,
        translate: impl FnOnce() -> Outbox,
    ) -> Result<Outbox, OpenError>
    where
        F: Future<Output = Result<Option<Direct>, OpenError>>,
    {
        // Held across the start on purpose: whoever comes second waits for the one server that all share.
        let mut slot = self.slot.lock().await;
        if eras.speaks(Era::Modern) != Some(false)
            && let Some(outbox) = slot.direct(eras, find).await?
        {
            return Ok(outbox);
        }
        Ok(slot.translated(translate))
    }

    /// The way in through the translation, whatever the server speaks.
    pub async fn translated(&self, translate: impl FnOnce() -> Outbox) -> Outbox {
        self.slot.lock().await.translated(translate)
    }

    /// The way in, where nothing has to be started for it.
    pub fn ready(&self, eras: &Eras) -> Option<Outbox> {
        let mut slot = self.slot.try_lock().ok()?;
        slot.used = Some(Instant::now());
        let direct = slot.direct.as_ref().filter(|direct| !direct.is_gone()).map(Direct::outbox);
        match eras.speaks(Era::Modern) {
            Some(false) => slot.translation.clone().filter(|outbox| !outbox.is_closed()),
            _ => direct,
        }
    }

    /// The way to the server itself, asked anew whatever is known; `None` when it does not speak the era.
    pub async fn direct<F>(&self, eras: &Eras, find: impl FnOnce() -> F) -> Result<Option<Outbox>, OpenError>
    where
        F: Future<Output = Result<Option<Direct>, OpenError>>,
    {
        self.slot.lock().await.direct(eras, find).await
    }

    /// What is set when the server behind this way in has ended; never, where it is a translation.
    pub async fn gone(&self, server: &Outbox) -> CancellationToken {
        let slot = self.slot.lock().await;
        let direct = slot.direct.as_ref().filter(|direct| direct.outbox.same_channel(server));
        direct.map_or_else(CancellationToken::new, Direct::gone)
    }

    /// Lets go of what runs. Whoever started it is held by it, so nothing else would ever end it.
    pub async fn close(&self) {
        *self.slot.lock().await = Slot::default();
    }

    /// Whether somebody has an exchange in flight, which holds the way in.
    pub fn is_in_use(&self) -> bool {
        let Ok(slot) = self.slot.try_lock() else { return true };
        let ways = [slot.direct.as_ref().map(|direct| &direct.outbox), slot.translation.as_ref()];
        ways.into_iter().flatten().any(|way| way.strong_count() > 1)
    }

    /// Whether nothing runs.
    pub fn is_empty(&self) -> bool {
        let Ok(slot) = self.slot.try_lock() else { return false };
        slot.direct.as_ref().is_none_or(Direct::is_gone)
    }

    /// When the server was used last; `None` while it is in use, or is not there.
    pub fn idle_since(&self) -> Option<Instant> {
        let slot = self.slot.try_lock().ok()?;
        slot.direct.as_ref().filter(|direct| direct.outbox.strong_count() == 1)?;
        slot.used
    }

    /// Takes a server that was found in another way.
    pub async fn adopt(&self, direct: Direct) {
        let mut slot = self.slot.lock().await;
        (slot.direct, slot.used) = (Some(direct), Some(Instant::now()));
    }

    /// Lets the server go if nobody has used it for so long. Whoever has an exchange in flight, or a session, holds the way
    /// in. Says whether it did. (The translation sees to its own servers.)
    pub fn rest(&self, idle: Duration) -> bool {
        let Ok(mut slot) = self.slot.try_lock() else { return false };
        let Some(direct) = &slot.direct else { return false };
        if direct.outbox.strong_count() > 1 {
            // Also where no time at all is left to it: somebody may have come since it was seen to be idle.
            slot.used = Some(Instant::now());
            return false;
        }
        let due = slot.used.is_some_and(|used| used.elapsed() >= idle);
        if due {
            slot.direct = None;
        }
        due
    }
}

impl Slot {
    fn translated(&mut self, translate: impl FnOnce() -> Outbox) -> Outbox {
        self.translation = self.translation.take().filter(|outbox| !outbox.is_closed());
        self.translation.get_or_insert_with(translate).clone()
    }

    async fn direct<F>(&mut self, eras: &Eras, find: impl FnOnce() -> F) -> Result<Option<Outbox>, OpenError>
    where
        F: Future<Output = Result<Option<Direct>, OpenError>>,
    {
        self.used = Some(Instant::now());
        if self.direct.as_ref().is_none_or(Direct::is_gone) {
            self.direct = find().await?;
            eras.learn(Era::Modern, self.direct.is_some());
        }
        Ok(self.direct.as_ref().map(Direct::outbox))
    }
}

/// What the translation for modern callers needs. `attributed`: see [`modern_to_legacy::Settings`]. It keeps the time of
/// calls itself: the wires behind it do not know which calls wait for their caller.
pub fn translation(
    name: Arc<str>,
    settings: &EraSettings,
    limits: &Limits,
    attributed: bool,
) -> modern_to_legacy::Settings {
    modern_to_legacy::Settings {
        name,
        roots: settings.roots.clone(),
        state: settings.state.clone(),
        attributed,
        request_timeout: limits.request_timeout,
        max_waiting: limits.max_waiting(),
        ..modern_to_legacy::Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::PEER_CAPACITY;

    #[tokio::test]
    async fn a_server_that_somebody_holds_the_way_to_is_never_let_go() {
        let (scope, modern) = (Scope::new(), Modern::default());
        let (near, _far) = Peer::pair(PEER_CAPACITY);
        let direct = Direct::behind(near, None, &scope);
        let held = direct.outbox();
        modern.adopt(direct).await;
        assert!(!modern.rest(Duration::ZERO) && modern.idle_since().is_none());
        drop(held);
        assert!(modern.idle_since().is_some() && modern.rest(Duration::ZERO) && modern.is_empty());
    }
}
