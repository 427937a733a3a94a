//! Calls: one task each, from the POST to the answer.
//!
//! Owns the table of calls in flight, for cancellation alone: answers need no table. It never sends a call again that
//! the server may have seen.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SetOnce},
    time::timeout,
};

use super::{Link, ORDER_PATIENCE, lock};
use crate::{
    message::{Frame, Id, Kind, code},
    peer::{CallerId, Envelope, Reply},
    protocol::cancellation,
    wire::remote::{Trouble, with_some_id},
};

/// How long a cancellation waits for the response to its call to begin. The two travel over different connections, and a
/// server forgets a cancellation that overtakes its call. Servers that answer with a stream begin at once.
const CANCEL_PATIENCE: Duration = Duration::from_millis(100);

/// One call in flight.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) trip: Trip,
    pub(super) cancelled: SetOnce<()>,
}

/// How far a POST has come. All is set once the call is over.
#[derive(Debug, Default)]
pub(super) struct Trip {
    /// Its body was handed to a connection.
    pub(super) started: Arc<SetOnce<()>>,
    /// The head of the response has come: the server has it.
    pub(super) arrived: SetOnce<()>,
}

/// Which call of which caller.
pub(super) type Key = (CallerId, Id);

/// The calls in flight. At most as many as may be.
#[derive(Debug)]
pub(super) struct Table {
    calls: Mutex<HashMap<Key, Arc<Call>>>,
    places: Arc<Semaphore>,
    limit: usize,
}

/// A call that was let in.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) frame: Frame,
    pub(super) reply: Reply,
    pub(super) key: Key,
    pub(super) call: Arc<Call>,
    /// Given back when the call is over.
    pub(super) place: OwnedSemaphorePermit,
}

impl Table {
    pub(super) fn new(limit: usize) -> Arc<Table> {
        Arc::new(Table { calls: Mutex::default(), places: Arc::new(Semaphore::new(limit)), limit })
    }

    /// Lets a request in, or answers why not.
    pub(super) fn enter(&self, envelope: Envelope) -> Option<Entered> {
        let Envelope { from, frame, reply: Some(reply) } = envelope else { return None };
        let Kind::Request(id) = frame.kind().clone() else { return None };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let limit = self.limit;
            let text = format!("{limit} calls are in flight already; wait for an answer, then call again");
            reply.fail(code::LIMIT, &text, None);
            return None;
        };
        let (key, call) = ((from.id, id), Arc::new(Call::default()));
        let mut calls = lock(&self.calls);
        if calls.contains_key(&key) {
            let text = "a request with this id is still in flight; use another id";
            reply.fail(code::INVALID_REQUEST, text, None);
            return None;
        }
        calls.insert(key.clone(), call.clone());
        Some(Entered { frame, reply, key, call, place })
    }

    /// The call that a cancellation means.
    pub(super) fn meant_by(&self, cancellation: &Envelope) -> Option<Arc<Call>> {
        let key = (cancellation.from.id, cancellation.frame.cancelled()?.clone());
        lock(&self.calls).get(&key).cloned()
    }

    /// Whether a call with this id is in flight.
    pub(super) fn holds(&self, id: &Id) -> bool {
        lock(&self.calls).keys().any(|(_, known)| known == id)
    }

    /// The call is over. First this, then the answer: the caller may use the id again from then on.
    pub(super) fn leave(&self, key: &Key, call: &Call) {
        lock(&self.calls).remove(key);
        let _ = (call.trip.started.set(()), call.trip.arrived.set(()));
    }

    /// Waits until no call is in flight.
    pub(super) async fn empty(&self) {
        let _all = self.places.acquire_many(u32::try_from(self.limit).unwrap_or(u32::MAX)).await;
    }
}

impl Link {
    /// Gives a request a task of its own.
    pub(super) fn call(self: &Arc<Self>, envelope: Envelope) {
        let Some(Entered { frame, reply, key, call, place }) = self.calls.enter(envelope) else { return };
        lock(&self.memory).sent(&frame);
        let link = self.clone();
        self.scope.spawn(async move {
            link.carry(frame, reply, &key, &call).await;
            drop(place);
        });
    }

    /// Carries one call from its POST to its answer.
    async fn carry(self: &Arc<Self>, frame: Frame, reply: Reply, key: &Key, call: &Call) {
        let outcome = tokio::select! {
            outcome = self.within_time(&frame, &reply, call) => outcome,
            _ = call.cancelled.wait() => Err(Trouble::cancelled()),
            () = self.scope.stopped() => Err(Trouble::fate_unknown(&self.scope.why().to_string())),
        };
        self.calls.leave(key, call);
        match outcome {
            Ok(answer) => reply.answer(with_some_id(answer)),
            Err(trouble) => trouble.tell(reply),
        }
    }

    async fn within_time(self: &Arc<Self>, frame: &Frame, reply: &Reply, call: &Call) -> Result<Frame, Trouble> {
        let Some(limit) = self.way.limits.request_timeout else {
            return self.exchange(frame, Some(reply), &call.trip).await;
        };
        if let Ok(outcome) = timeout(limit, self.exchange(frame, Some(reply), &call.trip)).await {
            return outcome;
        }
        self.tell(&cancellation(frame.id_text(), Some("timed out")), None).await;
        Err(Trouble::late(limit))
    }

    /// Passes a cancellation on, not before the call that it is for, and ends that call.
    pub(super) async fn cancel(self: &Arc<Self>, envelope: Envelope) {
        let call = self.calls.meant_by(&envelope);
        if let Some(call) = &call {
            let _ = timeout(ORDER_PATIENCE, call.trip.started.wait()).await;
            let _ = timeout(CANCEL_PATIENCE, call.trip.arrived.wait()).await;
        }
        self.tell_in_order(envelope).await;
        if let Some(call) = call {
            let _ = call.cancelled.set(());
        }
    }
}
