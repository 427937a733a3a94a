//! One client on a pipe, of either era (2026-07-28, Versioning: a server that speaks both serves each client in the era of
//! what it says).
//!
//! Owns the choice: `initialize` opens a legacy session, and what bears modern metadata is an exchange of its own. Talks
//! to the registry. It never changes a message; a legacy session is handed on whole, and nothing stands in its way.

use std::sync::Arc;

use tracing::debug;

use crate::{
    message::{Frame, Kind},
    peer::{Caller, Envelope, Era, Peer, Principal},
    protocol::{era_of, method},
    registry::{OpenError, Registry},
    wire::remote::ConnectError,
};

/// Envelopes that are read ahead while a server is not reached yet, to see the client's end. More wait in the channel.
const READ_AHEAD: usize = 16;

/// Serves the server's end of a client's pipe until the client is gone. `principal`: whom the client was authenticated as.
pub async fn serve(mut peer: Peer, principal: Option<Principal>, registry: Arc<Registry>) -> Result<(), ConnectError> {
    let caller = Caller::modern(principal.clone());
    let mut modern = false;
    // Ends with the client, or with the first message of a legacy session.
    while let Some(envelope) = peer.rx.recv().await {
        if opens_session(&envelope.frame, modern) {
            let caller = Caller { principal, ..(*envelope.from).clone() };
            peer.rx.put_back(envelope);
            return match registry.attach(&Arc::new(caller), peer).await {
                Ok(session) => session.await.unwrap_or(Ok(())),
                Err(OpenError::Connect(error)) => Err(error),
                Err(error) => Err(ConnectError::Unreachable(error.to_string())),
            };
        }
        let exchange = exchange(envelope, &caller, &registry);
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
    registry.verdict()
}

/// Whether a message begins a legacy session: `initialize` does, and anything else without modern metadata from a client
/// that has not spoken the modern era.
pub fn opens_session(frame: &Frame, modern: bool) -> bool {
    era_of(frame) == Era::Legacy && (frame.method() == method::INITIALIZE || !modern)
}

/// Passes on one message of a modern client. Says whether there is a server.
async fn exchange(mut envelope: Envelope, caller: &Arc<Caller>, registry: &Registry) -> bool {
    if matches!(envelope.frame.kind(), Kind::Response(_)) {
        debug!("a modern client answered something; nobody had asked");
        return false;
    }
    envelope.from = caller.clone();
    // Each time: what stands there may be another server now, in another era.
    match registry.outbox(caller).await {
        Ok(server) => {
            // A server that is gone drops the envelope, and the reply in it answers.
            drop(server.send(envelope).await);
            true
        }
        Err(error) => {
            envelope.reply.take().into_iter().for_each(|reply| error.answer(reply));
            false
        }
    }
}
