//! Calls: one task each, from the POST to the answer.
//!
//! Owns the table of calls in flight, for cancellation alone: answers need no table. It never sends a call again that
//! the server may have seen.

use std::sync::Arc;
use std::time::Duration;

use tokio::{sync::SetOnce, time::timeout};

use super::{Link, ORDER_PATIENCE, lock};
use crate::{
    message::{Frame, Id, Kind, code},
    peer::{CallerId, Envelope, Reply},
    wire::remote::{Trouble, with_some_id},
};

/// How long a cancellation waits for the response to its call to begin. The two travel over different connections, and a
/// server forgets a cancellation that overtakes its call. Servers that answer with a stream begin at once.
const CANCEL_PATIENCE: Duration = Duration::from_millis(100);

/// One call in flight.
#[derive(Debug, Default)]
pub(super) struct Call {
    trip: Trip,
    cancelled: SetOnce<()>,
}

/// How far a POST has come. All is set once the call is over.
#[derive(Debug, Default)]
pub(super) struct Trip {
    /// Its body was handed to a connection.
    pub(super) started: Arc<SetOnce<()>>,
    /// The head of the response has come: the server has it.
    pub(super) arrived: SetOnce<()>,
}

impl Link {
    /// Gives a request a task of its own.
    pub(super) fn call(self: &Arc<Self>, envelope: Envelope) {
        let Envelope { from, frame, reply: Some(reply) } = envelope else { return };
        let Kind::Request(id) = frame.kind().clone() else { return };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let limit = self.way.limits.max_in_flight;
            return reply.fail(
                code::LIMIT,
                &format!("{limit} calls are in flight already; wait for an answer, then call again"),
                None,
            );
        };
        let key = (from.id, id);
        let call = Arc::new(Call::default());
        if lock(&self.calls).contains_key(&key) {
            return reply.fail(
                code::INVALID_REQUEST,
                "a request with this id is still in flight; use another id",
                None,
            );
        }
        lock(&self.calls).insert(key.clone(), call.clone());
        lock(&self.memory).sent(&frame);
        let link = self.clone();
        self.scope.spawn(async move {
            link.carry(frame, reply, key, &call).await;
            drop(place);
        });
    }

    /// Carries one call from its POST to its answer.
    async fn carry(self: &Arc<Self>, frame: Frame, reply: Reply, key: (CallerId, Id), call: &Call) {
        let outcome = tokio::select! {
            outcome = self.within_time(&frame, &reply, call) => outcome,
            _ = call.cancelled.wait() => {
                Err(Trouble { code: code::CANCELLED, ..Trouble::new("the request was cancelled") })
            }
            () = self.scope.stopped() => Err(Trouble::fate_unknown("the bridge is shutting down")),
        };
        // First out of the table, then answered: the caller may use the id again from then on.
        lock(&self.calls).remove(&key);
        let _ = (call.trip.started.set(()), call.trip.arrived.set(()));
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
        let params = format!("{{\"requestId\":{},\"reason\":\"timed out\"}}", frame.id_text());
        self.tell(&Frame::notification("notifications/cancelled", Some(&params)), None).await;
        let message = format!("no answer within {} s (--request-timeout)", limit.as_secs_f32());
        Err(Trouble { code: code::LIMIT, ..Trouble::new(message) })
    }

    /// Passes a cancellation on, not before the call that it is for, and ends that call.
    pub(super) async fn cancel(self: &Arc<Self>, envelope: Envelope) {
        let key = envelope.frame.cancelled().map(|id| (envelope.from.id, id.clone()));
        let call = key.and_then(|key| lock(&self.calls).get(&key).cloned());
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
