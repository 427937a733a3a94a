//! One exchange of the modern era: a request on its way to a server, and all that comes back for it.
//!
//! Owns the end of an exchange: its answer, a client that hung up, which is a cancellation, or for a subscription the
//! bridge's shutdown. Talks to the registry for a server. It never knows what was asked, but for a subscription.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc::error::TrySendError},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::super::{
    lone::{self, Lone},
    tools::Learning,
};
use crate::{
    message::{Frame, code},
    peer::{Caller, Envelope, Outbox, Reply},
    protocol::{cancellation, method, subscription_ended},
    registry::{OpenError, Registry},
    scope::{Scope, Stopped},
    wire::exchange::{Chunks, Events, Next, Patience},
};

/// What a server hears that asks back.
const NOBODY_ANSWERS: &str = "a client of revision 2026-07-28 takes no requests; answer its call with input_required";

/// How long a cancellation waits for a server whose inbox is full. It holds the place of its exchange, so they are few.
const WITHDRAWAL: Duration = Duration::from_secs(30);

/// One request and what comes back for it. Dropped before the answer, it takes the request back.
pub struct Exchange {
    lone: Lone,
    /// `Some` until the answer has come.
    withdrawal: Option<Withdrawal>,
    /// Who reads the answer on its way.
    pub learning: Option<Learning>,
    /// What ends it early. Of `subscriptions/listen` the bridge's shutdown; see [`Exchange::until`] for the others.
    ending: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    listens: bool,
    id: Arc<str>,
}

impl Exchange {
    /// Passes a request to the server. An error names the id of the request.
    pub async fn open(
        registry: &Registry,
        scope: &Scope,
        frame: Frame,
        caller: Arc<Caller>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Exchange, (OpenError, Arc<str>)> {
        let id: Arc<str> = frame.id_text().into();
        let (tx, lone) = Lone::new(1, NOBODY_ANSWERS);
        let server = match registry.outbox(&caller).await {
            Ok(server) => server,
            Err(error) => return Err((error, id)),
        };
        let listens = frame.method() == method::LISTEN;
        let mut exchange = Exchange { lone, withdrawal: None, learning: None, ending: None, listens, id: id.clone() };
        if listens {
            let scope = scope.clone();
            exchange.ending = Some(Box::pin(async move { scope.stopped().await }));
        }
        let Ok(reply) = Reply::on(tx, &frame, &caller).await else { return Ok(exchange) };
        let reply = reply.noted(&frame);
        // A server that is gone drops the envelope, and with it the reply, which answers.
        if server.send(Envelope { from: caller.clone(), frame, reply: Some(reply) }).await.is_ok() {
            let way = Way { server, caller, scope: scope.clone(), _place: place };
            exchange.withdrawal = Some(Withdrawal { way: Some(way), id });
        }
        Ok(exchange)
    }

    /// Ends it with an error when `over` is set, unless something else ends it already.
    pub fn until(&mut self, over: CancellationToken) {
        self.ending.get_or_insert_with(|| Box::pin(over.cancelled_owned()));
    }

    /// Ends it early; gives what the client is to hear: of a subscription its end, as the specification has it (2026-07-28,
    /// Subscriptions), of a call an error.
    pub fn cut_off(&mut self) -> Frame {
        self.ending = None;
        self.lone.close();
        let way = self.withdrawal.as_ref().and_then(|withdrawal| withdrawal.way.as_ref());
        let why = way.map_or(Stopped::Bridge, |way| way.scope.why());
        drop(self.withdrawal.take());
        if self.listens {
            return Frame::result(&self.id, &subscription_ended(&self.id));
        }
        Frame::error(&self.id, code::INTERNAL, why.cut_off(), None)
    }

    /// What comes first; `None` when nothing comes in time.
    pub async fn first(&mut self, patience: &Patience) -> Option<Frame> {
        let first = self.lone.first(patience).await;
        self.settle(first.as_ref());
        first
    }

    /// The answer alone; `None` when the server has left.
    pub async fn answer(&mut self) -> Option<Frame> {
        // Ends with the answer.
        loop {
            let frame = self.lone.next().await?;
            if self.lone.is_over() {
                self.settle(Some(&frame));
                return Some(frame);
            }
        }
    }

    /// Whether the answer has come.
    pub fn is_over(&self) -> bool {
        self.lone.is_over()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        match self.lone.poll(cx) {
            Poll::Ready(frame) => {
                self.settle(frame.as_ref());
                Poll::Ready(frame)
            }
            Poll::Pending => match self.ending.as_mut().map(|ending| ending.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(Some(self.cut_off())),
                _ => Poll::Pending,
            },
        }
    }

    /// Takes note of what goes to the client; `None` is the end.
    fn settle(&mut self, frame: Option<&Frame>) {
        if !self.lone.is_over() {
            return;
        }
        if let Some(withdrawal) = self.withdrawal.take() {
            withdrawal.not_needed();
        }
        if let Some((learning, answer)) = self.learning.take().zip(frame) {
            learning.read(answer);
        }
    }
}

impl Events for Exchange {
    fn poll_next(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Next> {
        lone::pour(cx, out, |cx| self.poll(cx))
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("lone", &self.lone).finish_non_exhaustive()
    }
}

/// Dropped, it tells the server that nobody waits for the answer any more: a disconnect is a cancellation (2026-07-28,
/// Streamable HTTP, Cancellation).
#[derive(Debug)]
struct Withdrawal {
    way: Option<Way>,
    id: Arc<str>,
}

/// The way to the server. Kept for as long as the exchange lasts: what closes it ends the exchange.
#[derive(Debug)]
struct Way {
    server: Outbox,
    caller: Arc<Caller>,
    scope: Scope,
    _place: Option<OwnedSemaphorePermit>,
}

impl Withdrawal {
    fn not_needed(mut self) {
        self.way = None;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        let Some(way) = self.way.take() else { return };
        let frame = cancellation(&self.id, Some("the client closed the connection"));
        match way.server.try_send(Envelope::one_way(way.caller.clone(), frame)) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(envelope)) => {
                let scope = way.scope.clone();
                scope.spawn(async move {
                    // A server that ends with the bridge need not know, and must not be kept for it.
                    tokio::select! {
                        sent = timeout(WITHDRAWAL, way.server.send(envelope)) => if sent.is_err() {
                            debug!("a cancellation was given up: the server does not read");
                        },
                        () = way.scope.stopped() => {}
                    }
                });
            }
        }
    }
}
