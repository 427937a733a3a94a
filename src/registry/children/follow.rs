//! The way of a translated session to the modern server that all share, over the end of a process.
//!
//! Owns which process the session speaks to. Talks to [`Children`], which starts another one when it is needed. It never
//! sends a message twice: what was in flight when a process ended is answered with an error, and whoever listened opens
//! its stream anew (2026-07-28, Subscriptions: there is no resumption, and a subscription is for the client to send
//! again).

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{super::OpenError, Children};
use crate::peer::{Envelope, Outbox, PEER_CAPACITY};

/// A process, while it runs.
struct Way {
    /// Held for as long as the session lasts: it is a use of the process.
    server: Outbox,
    gone: CancellationToken,
}

impl Way {
    async fn find(children: &Arc<Children>) -> Result<Way, OpenError> {
        let server = children.outbox().await?;
        let gone = children.modern.gone(&server).await;
        Ok(Way { server, gone })
    }
}

impl Children {
    /// The way for one session to the process that there is, and to each that comes after it.
    pub(super) async fn following(self: &Arc<Self>) -> Result<Outbox, OpenError> {
        let first = Way::find(self).await?;
        let (tx, rx) = mpsc::channel(PEER_CAPACITY);
        self.scope.spawn(follow(self.clone(), first, rx));
        Ok(tx)
    }
}

/// Passes on what a session says. Ends with the session.
async fn follow(children: Arc<Children>, first: Way, mut rx: mpsc::Receiver<Envelope>) {
    let mut way = Some(first);
    loop {
        let envelope = tokio::select! {
            envelope = rx.recv() => envelope,
            () = ended(way.as_ref()) => {
                way = None;
                continue;
            }
        };
        let Some(mut envelope) = envelope else { return };
        if way.is_none() && envelope.reply.is_none() {
            continue; // It is about what has ended.
        }
        if way.is_none() {
            match Way::find(&children).await {
                Ok(next) => way = Some(next),
                Err(error) => {
                    debug!("no server for a session that was translated: {error}");
                    envelope.reply.take().into_iter().for_each(|reply| error.answer(reply));
                }
            }
        }
        if let Some(Way { server, .. }) = &way {
            // If it has ended, the reply in the envelope, if any, was dropped and has answered.
            drop(server.send(envelope).await);
        }
    }
}

/// Resolves when the process has ended. Cancel-safe.
async fn ended(way: Option<&Way>) {
    match way {
        Some(Way { server, gone }) => tokio::select! {
            () = gone.cancelled() => {}
            () = server.closed() => {}
        },
        None => std::future::pending().await,
    }
}
