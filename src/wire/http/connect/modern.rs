//! Streamable HTTP as a client of the modern era (2026-07-28, Streamable HTTP): exchanges that stand alone.
//!
//! Owns the receiving end of an [`crate::peer::Outbox`]: one POST a request, whose answer goes straight home; and what the
//! bridge must know of the server's tools to send their headers. Talks to the server through [`crate::wire::remote`]. It
//! opens no session and no stream of its own, resumes nothing, changes no byte of a request, and never sends one again
//! that the server may have carried out.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tracing::{debug, warn};

use self::book::Book;
use super::{
    MAX_ONE_WAY,
    calls::{Call, Entered, Key, Table},
    finish,
    one_way::ONE_WAY_TIMEOUT,
    reading::Reader,
};
use crate::{
    message::{Frame, Kind},
    peer::{Caller, Envelope, Reply},
    protocol::method,
    scope::Scope,
    wire::remote::{ConnectError, Trouble, Way, with_some_id},
};

mod book;
mod contact;
mod exchange;
#[cfg(test)]
mod tests;
mod tools;

pub(crate) use contact::{Contact, discover};

/// Works the receiving end of an outbox. Ends when the outbox is dropped and the calls in flight are answered, within
/// `limits.grace`; what is unanswered by then, and every subscription, is answered with an error.
pub(crate) fn serve(way: Arc<Way>, rx: mpsc::Receiver<Envelope>) -> JoinHandle<Result<(), ConnectError>> {
    let scope = way.scope.clone();
    scope.spawn(async move {
        let server = Arc::new(Server::new(&way));
        tokio::select! {
            () = server.work(rx) => {}
            () = way.scope.stopped() => {}
        }
        server.close().await;
        way.verdict(Ok(()))
    })
}

/// One server, and all that is in flight to it.
#[derive(Debug)]
struct Server {
    way: Arc<Way>,
    /// Who speaks at the far end.
    speaker: Arc<Caller>,
    /// Stops what is in flight.
    scope: Scope,
    /// Stops subscriptions, which have no end of their own.
    listens: Scope,
    calls: Arc<Table>,
    one_way: Arc<Semaphore>,
    reader: Reader,
    book: Book,
}

impl Server {
    fn new(way: &Arc<Way>) -> Server {
        let calls = Table::new(way.limits.max_in_flight);
        let scope = way.scope.child();
        Server {
            speaker: Caller::modern(None),
            listens: scope.child(),
            scope,
            reader: Reader::new(way, &calls),
            calls,
            one_way: Arc::new(Semaphore::new(MAX_ONE_WAY as usize)),
            book: Book::default(),
            way: way.clone(),
        }
    }

    async fn work(self: &Arc<Self>, mut rx: mpsc::Receiver<Envelope>) {
        // Ends when nobody holds the outbox any more.
        while let Some(envelope) = rx.recv().await {
            match envelope.frame.kind() {
                Kind::Request(_) => self.call(envelope),
                Kind::Notification if envelope.frame.method() == method::CANCELLED => self.cancel(&envelope),
                Kind::Notification => self.tell(envelope.frame),
                Kind::Response(_) => debug!("dropped an answer: no server of this era asks"),
            }
        }
    }

    async fn close(&self) {
        // More attempts to connect are not worth a wait.
        let _ = self.way.hurry.set(());
        self.listens.stop();
        finish(&self.calls, &self.one_way, self.way.limits.grace, &self.scope).await;
    }

    /// Gives a request a task of its own.
    fn call(self: &Arc<Self>, envelope: Envelope) {
        let Some(Entered { frame, reply, key, call, place }) = self.calls.enter(envelope) else { return };
        let server = self.clone();
        self.scope.spawn(async move {
            server.carry(frame, reply, &key, &call).await;
            drop(place);
        });
    }

    /// Carries one call from its POST to its answer. To drop the exchange closes the response's stream, which is how the
    /// server learns that a call is not wanted any more (2026-07-28, Streamable HTTP, Cancellation).
    async fn carry(&self, frame: Frame, reply: Reply, key: &Key, call: &Call) {
        let listens = frame.method() == method::LISTEN;
        let outcome = tokio::select! {
            outcome = self.within_time(frame, &reply) => outcome,
            trouble = self.withdrawn(listens, &reply, call) => Err(trouble),
        };
        self.calls.leave(key, call);
        match outcome {
            Ok(answer) => reply.answer(with_some_id(answer)),
            Err(trouble) => trouble.tell(reply),
        }
    }

    /// Resolves when nobody waits for the answer any more, or nobody will bring it.
    async fn withdrawn(&self, listens: bool, reply: &Reply, call: &Call) -> Trouble {
        let ended = async {
            if listens {
                self.listens.stopped().await;
                return Trouble::new(self.scope.why().to_string());
            }
            self.scope.stopped().await;
            Trouble::fate_unknown(&self.scope.why().to_string())
        };
        tokio::select! {
            _ = call.cancelled.wait() => Trouble::cancelled(),
            () = reply.gone() => Trouble::new("the caller hung up"),
            trouble = ended => trouble,
        }
    }

    async fn within_time(&self, frame: Frame, reply: &Reply) -> Result<Frame, Trouble> {
        if frame.method() == method::LISTEN {
            // It is open for as long as it is wanted.
            return self.listen(frame, reply).await;
        }
        let exchange = self.exchange(&frame, reply);
        match self.way.limits.request_timeout {
            Some(limit) => timeout(limit, exchange).await.unwrap_or_else(|_| Err(Trouble::late(limit))),
            None => exchange.await,
        }
    }

    /// Ends the call that a caller takes back.
    fn cancel(&self, cancellation: &Envelope) {
        match self.calls.meant_by(cancellation) {
            Some(call) => drop(call.cancelled.set(())),
            None => debug!("dropped a cancellation of nothing that is in flight"),
        }
    }

    /// Sends a notification. The core protocol has none that a client sends over HTTP (2026-07-28, Streamable HTTP, Sending
    /// Messages), so nobody waits for it.
    fn tell(self: &Arc<Self>, frame: Frame) {
        let Ok(place) = self.one_way.clone().try_acquire_owned() else {
            return warn!(method = frame.method(), "dropped a notification: the server is slow to take them");
        };
        let server = self.clone();
        self.scope.spawn(async move {
            let told = tokio::select! {
                told = timeout(ONE_WAY_TIMEOUT, server.notify(&frame)) => told,
                () = server.scope.stopped() => return,
            };
            match told {
                Ok(Ok(())) => {}
                Ok(Err(why)) => warn!("{} did not take {}: {why}", server.way.shown(), frame.method()),
                Err(_) => warn!("{} did not take {} in time", server.way.shown(), frame.method()),
            }
            drop(place);
        });
    }
}
