//! A call that the server asks back in: parked, answered with the question, and taken up again by the retry.
//!
//! Owns the steps of a round, in both directions. Talks to the table of parked calls, to the server's side of the call and
//! to its caller. It never parks a call whose caller is known to have left, and never gives a retry less than the call was
//! told while it waited.

use tracing::debug;

use super::{
    Translation,
    asked::{Asked, Entries, Retry},
    call::Next,
    front::Front,
    parked::Kept,
    request::{Refusal, Wanted},
    results,
    running::{Running, gates},
};
use crate::{json::Object, message::code};

impl Translation {
    /// Answers with what the server asked, and parks the call.
    pub(super) async fn park(&self, mut front: Front, mut running: Running) {
        // A thousand of them may wait.
        running.asked.shrink_to_fit();
        let entries: Vec<_> = running.asked.iter().map(Asked::entry).collect();
        let (server, round) = (running.opened.server.clone(), running.round);
        let request = front.digest();
        match self.parked.park(front.key(), &front.caller, request, Kept::Call(Box::new(running)), round).await {
            Ok(state) => self.ask_back(front, &input_required(&entries, &state, server.as_deref())),
            Err((refusal, kept)) => {
                if let Kept::Call(running) = kept {
                    running.withdraw("it cannot be parked");
                }
                front.refuse(refusal);
            }
        }
    }

    /// Answers with the URLs that have to be opened before the call is sent again.
    pub(super) async fn park_again(&self, mut front: Front, entries: Entries, round: u32, server: Option<&str>) {
        let request = front.digest();
        match self.parked.park(front.key(), &front.caller, request, Kept::Again(entries.clone()), round).await {
            Ok(state) => self.ask_back(front, &input_required(&entries, &state, server)),
            Err((refusal, _)) => front.refuse(refusal),
        }
    }

    /// Tells the caller what is asked. One that has left cannot come back: its call would hold a server until it expires.
    /// One that leaves later, and has not got this, is heard of by a cancellation of what was answered already.
    fn ask_back(&self, front: Front, question: &str) {
        let key = front.key().clone();
        if !front.ask(question) {
            self.parked.withdraw(&key);
        }
    }

    /// A caller comes back. `None` where all is done.
    pub(super) async fn resume(
        &self,
        mut front: Front,
        wanted: &Wanted,
        params: Object<'_>,
        retry: Retry<'_>,
    ) -> Option<Next> {
        let request = front.digest();
        let found = match self.parked.take(&front.caller, request, &retry.state) {
            Ok(found) => found,
            Err(refusal) => {
                front.refuse(refusal);
                return None;
            }
        };
        let mut running = match found.kept {
            Kept::Call(running) => *running,
            Kept::Again(entries) => return self.again(front, wanted, params, retry, entries, found.round).await,
        };
        front.forget_params(true);
        running.round = found.round;
        running.level = wanted.level;
        if let Err(refusal) = self.tell_missed(&mut front, &mut running).await {
            running.withdraw("the client does not want it any more");
            front.refuse(refusal);
            return None;
        }
        if let Some(answer) = running.answer.clone() {
            self.finish(front, wanted, running, answer).await;
            return None;
        }
        running.gates = gates(wanted);
        running.backend.logs(running.id, wanted.level.is_some());
        running.respond(&retry);
        if !running.asked.is_empty() {
            debug!(missing = running.asked.len(), "a retry does not answer all that was asked");
            self.park(front, running).await;
            return None;
        }
        Some(Next::Heard(front, Box::new(running)))
    }

    /// Sends what was said while the call was parked ahead of all else.
    async fn tell_missed(&self, front: &mut Front, running: &mut Running) -> Result<(), Refusal> {
        let (missed, dropped) = running.missed.take();
        if dropped > 0 {
            debug!(dropped, kept = missed.len(), "more was said of a parked call than is kept; the oldest was dropped");
        }
        for update in missed {
            if let Some(update) = running.shown(&front.frame, update) {
                self.update(front, running, update).await?;
            }
        }
        Ok(())
    }

    /// A caller comes back after it was to open URLs.
    async fn again(
        &self,
        mut front: Front,
        wanted: &Wanted,
        params: Object<'_>,
        retry: Retry<'_>,
        mut entries: Entries,
        round: u32,
    ) -> Option<Next> {
        let action = |key: &str| {
            let response = Object::parse(retry.responses.get(key)?)?;
            Some(response.get("action") == Some("\"accept\""))
        };
        if entries.iter().any(|(key, _)| action(key) == Some(false)) {
            let text = "the server needs a URL to be opened before it serves this, and that was declined";
            front.refuse(Refusal::new(code::INTERNAL, text));
            return None;
        }
        entries.retain(|(key, _)| action(key).is_none());
        if !entries.is_empty() {
            self.park_again(front, entries, round, None).await;
            return None;
        }
        let deadline = self.deadline();
        let begun = self.open(&mut front, wanted, params, deadline).await;
        Some(Next::Sent(front, begun, deadline))
    }
}

fn input_required(entries: &Entries, state: &str, server: Option<&str>) -> String {
    results::input_required(entries.iter().map(|(key, request)| (&**key, &**request)), state, server)
}
