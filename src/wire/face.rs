//! One client on a pipe, of either era (2026-07-28, Versioning: a server that speaks both serves each client in the era of
//! what it says).
//!
//! Owns the choice: `initialize` opens a legacy session, and what bears modern metadata is an exchange of its own. Owns the
//! end of those exchanges, too: what a client that is gone still waits for is cancelled. Talks to the registry. It never
//! changes a message; a legacy session is handed on whole, and nothing stands in its way.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{Sender, WeakSender},
    time::timeout,
};
use tracing::debug;

use crate::{
    message::{Frame, Kind},
    peer::{Caller, Envelope, Era, Outbox, Peer, Principal},
    protocol::{cancellation, era_of, method},
    registry::{OpenError, Registry},
    wire::remote::ConnectError,
};

/// Envelopes that are read ahead while a server is not reached yet, to see the client's end. More wait in the channel.
const READ_AHEAD: usize = 16;

/// Exchanges that are noted before those that were answered are looked for.
const LOOK: usize = 32;

/// How long servers may take to hear what a client that is gone does not want any more.
const WITHDRAWAL: Duration = Duration::from_secs(1);

/// Serves the server's end of a client's pipe until the client is gone. `principal`: whom the client was authenticated as.
pub async fn serve(mut peer: Peer, principal: Option<Principal>, registry: Arc<Registry>) -> Result<(), ConnectError> {
    let caller = Caller::modern(principal.clone());
    let (mut modern, mut open) = (false, Open::default());
    // Ends with the client, or with the first message of a legacy session.
    while let Some(envelope) = peer.rx.recv().await {
        if opens_session(&envelope.frame, modern) {
            let session = Caller { principal, ..(*envelope.from).clone() };
            peer.rx.put_back(envelope);
            let ended = match registry.attach(&Arc::new(session), peer).await {
                Ok(session) => session.await.unwrap_or(Ok(())),
                Err(OpenError::Connect(error)) => Err(error),
                Err(error) => Err(ConnectError::Unreachable(error.to_string())),
            };
            open.withdraw(&caller).await;
            return ended;
        }
        let exchange = exchange(envelope, &peer.tx, &caller, &registry, &mut open);
        tokio::pin!(exchange);
        modern |= tokio::select! {
            reached = &mut exchange => reached,
            () = peer.rx.ended(READ_AHEAD) => {
                registry.left();
                exchange.await
            }
        };
    }
    // The pump ended with its answers given, or waited for in vain.
    open.withdraw(&caller).await;
    registry.verdict()
}

/// Whether a message begins a legacy session: `initialize` does, and anything else without modern metadata from a client
/// that has not spoken the modern era.
pub fn opens_session(frame: &Frame, modern: bool) -> bool {
    era_of(frame) == Era::Legacy && (frame.method() == method::INITIALIZE || !modern)
}

/// Passes on one message of a modern client, to whom `client` leads. Says whether there is a server.
async fn exchange(
    mut envelope: Envelope,
    client: &Sender<Envelope>,
    caller: &Arc<Caller>,
    registry: &Registry,
    open: &mut Open,
) -> bool {
    if matches!(envelope.frame.kind(), Kind::Response(_)) {
        debug!("a modern client answered something; nobody had asked");
        return false;
    }
    envelope.from = caller.clone();
    // Each time: what stands there may be another server now, in another era.
    match registry.outbox(caller).await {
        Ok(server) => {
            open.note(&mut envelope, &server);
            tokio::select! {
                // A server that is gone drops the envelope, and the reply in it answers.
                sent = server.send(envelope) => drop(sent),
                // One that does not read may take nothing for ever, and nobody waits for it any more.
                () = client.closed() => {}
            }
            true
        }
        Err(error) => {
            envelope.reply.take().into_iter().for_each(|reply| error.answer(reply));
            false
        }
    }
}

/// The exchanges of one client that may not be answered yet.
///
/// Their server is kept when the client leaves, or is that of others, too. It would go on with them, and with subscriptions
/// for good, and until it answers it holds the way back to a client that is not there.
#[derive(Debug, Default)]
struct Open {
    all: Vec<Exchange>,
    /// How many there may be before the next look.
    most: usize,
}

#[derive(Debug)]
struct Exchange {
    /// As the client wrote it.
    id: Box<str>,
    /// Shared with the reply for as long as there is no answer.
    waits: Arc<()>,
    /// Not held: who holds it uses the server.
    server: WeakSender<Envelope>,
}

impl Exchange {
    fn is_open(&self) -> bool {
        Arc::strong_count(&self.waits) > 1
    }
}

impl Open {
    fn note(&mut self, envelope: &mut Envelope, server: &Outbox) {
        let Some(reply) = envelope.reply.take() else { return };
        if self.all.len() >= self.most {
            self.all.retain(Exchange::is_open);
            self.most = LOOK.max(self.all.len() * 2);
        }
        let waits = Arc::default();
        let id = reply.id_text().into();
        envelope.reply = Some(reply.marked(&waits));
        self.all.push(Exchange { id, waits, server: server.downgrade() });
    }

    /// Tells servers what nobody waits for any more.
    async fn withdraw(self, caller: &Arc<Caller>) {
        let telling = async {
            for Exchange { id, server, .. } in self.all.iter().filter(|exchange| exchange.is_open()) {
                let frame = cancellation(id, Some("the client has left"));
                if let Some(server) = server.upgrade() {
                    drop(server.send(Envelope::one_way(caller.clone(), frame)).await);
                }
            }
        };
        if timeout(WITHDRAWAL, telling).await.is_err() {
            debug!("a server does not read; it is not told that its client has left");
        }
    }
}
