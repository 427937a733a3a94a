//! The shared two-way message pump: moves frames between a pipe and a [`Peer`].
//!
//! Owns, for one pipe, the table of requests that went out ([`Pending`]) and the set of requests that came in and wait
//! for an answer. Talks to a [`FrameSource`], a [`FrameSink`] and the partner behind the peer. Every pipe wire runs
//! through here, in both roles; it never knows which wire it is.
//!
//! Three loops run side by side in one task: reading, writing, and the clock of `--request-timeout`. All that the far
//! end says goes through one channel in the order in which it was said.

mod writing;

use std::{
    collections::HashSet,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::writing::Writing;
use crate::{
    audit::Reason,
    message::{Frame, FrameError, Id, Kind, code, text},
    peer::{Caller, Envelope, NotTaken, Peer, Reply, Updates},
    pending::{Ids, Pending, Withdrawn},
    pipe::{Ended, FrameSink, FrameSource},
    protocol::{cancellation, method, subscription_ended},
    room::Room,
    scope::Until,
};

/// Frames that one write may carry.
const WRITE_BATCH: usize = 64;

/// Requests in flight to one server, whoever they are of. A few megabytes; beyond it a server is lost anyway.
const MAX_TABLE: usize = 16 * 1024;

/// For the answers that a client's leaving brings about, such as the last words of a server that ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How one pipe is pumped.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Shown in log lines.
    pub name: Arc<str>,
    /// Who speaks at the far end of the pipe.
    pub speaker: Arc<Caller>,
    /// The role of the bridge on this pipe.
    pub role: Role,
    /// Calls in flight each way; one more is answered with an error.
    pub max_in_flight: usize,
    /// Bytes of large messages from the far end that may wait for their readers. With them waiting, the far end is read
    /// no further: a slow reader slows its own server, and memory stays bounded. A shared server is never held up.
    pub max_waiting: usize,
    /// How long a request may stay unanswered by the far end.
    pub request_timeout: Option<Duration>,
    /// Of a client that closed its sending side, how long answers are awaited, and how long it may take to read what is
    /// written at once. Of a server, how long it may take to read what was said to it before the partner left.
    pub linger: Duration,
    /// Of a client: when its scope stops, its requests are refused, and the pump ends when those in flight are answered or
    /// `linger` is over. Its answers and notifications count up to then: what is in flight may wait for them. What is
    /// unanswered then is answered with an error.
    pub until: Option<Until>,
}

/// The role of the bridge on a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We are the server: garbage is answered with a JSON-RPC error.
    Accept,
    /// We are the client of one caller: garbage is logged and counted, never answered, or two programs would answer
    /// each other's errors for ever.
    Connect,
    /// We are the client of several callers at once: ids are restamped, and nobody is waited for.
    ConnectShared {
        /// Whether callers have a session, so that the server's requests can be put to the caller of a lone call.
        sessions: bool,
    },
    /// The same of a modern server: it asks nobody, and a log line is for the only request that wants any.
    ConnectModern {
        /// Whether all callers are one client's, who is waited for.
        own: bool,
    },
}

impl Role {
    /// Whether the bridge chooses the ids.
    fn restamps(self) -> bool {
        matches!(self, Role::ConnectShared { .. } | Role::ConnectModern { .. })
    }

    /// Whether a caller that does not read is cut off rather than waited for.
    fn is_shared(self) -> bool {
        matches!(self, Role::ConnectShared { .. } | Role::ConnectModern { own: false })
    }
}

/// Pumps until both directions are done: the far end closed and the partner has nothing more to say, or will not be
/// heard. Says why the far end closed.
pub async fn pump<R: FrameSource, W: FrameSink>(source: R, sink: W, peer: Peer, rules: Rules) -> Ended {
    let Peer { tx, rx, home } = peer;
    let partner = tx.clone();
    let shared = Shared {
        own: Caller::legacy(None),
        table: Mutex::new(Table {
            pending: Pending::new(if rules.role.restamps() { Ids::Restamp } else { Ids::Keep }),
            asked: HashSet::new(),
            listens: HashSet::new(),
            ended: None,
        }),
        settled: Notify::new(),
        unheard: CancellationToken::new(),
        garbage: AtomicU64::new(0),
        room: Room::new(rules.max_waiting),
        home,
        rules,
    };
    // Pinned where they are made: each move of a future through a variable takes room for it in every idle session.
    let mut read = pin!(Reading { shared: &shared, source, tx }.run());
    let mut write = pin!(Writing { shared: &shared, sink, rx }.run());
    let clock = shared.clock();
    let both = async {
        // A server's end is worth hearing out after we have stopped writing; a client's is not.
        tokio::select! {
            ended = &mut read => {
                shared.unheard.cancel();
                write.await;
                ended
            }
            () = &mut write => match shared.rules.role {
                Role::Accept => Ended { message: "the client's side was closed".into(), data: None },
                _ => read.await,
            },
            never = shared.abandon(partner) => never,
        }
    };
    tokio::select! {
        ended = both => ended,
        ended = clock => ended,
    }
}

/// What the three loops share. The lock is held for table work only, never across an await.
struct Shared {
    rules: Rules,
    /// The bridge's own voice: what it says on its own account is written as it is.
    own: Arc<Caller>,
    table: Mutex<Table>,
    /// Told when the last request that came in was answered.
    settled: Notify,
    /// Set when the far end has closed its sending side, or a server's partner has left. Who does not read then would
    /// else hold up the end for ever.
    unheard: CancellationToken,
    /// Lines of a server's that were no messages.
    garbage: AtomicU64,
    /// What is left of [`Rules::max_waiting`].
    room: Room,
    /// Into what is written to the far end; weak, so that holding it keeps nothing open.
    home: mpsc::WeakSender<Envelope>,
}

struct Table {
    /// Requests written to the far end.
    pending: Pending<Reply>,
    /// Requests read from the far end that wait for the partner's answer.
    asked: HashSet<Id>,
    /// Those of them that are subscriptions: they have no end of their own.
    listens: HashSet<Id>,
    /// Set when the far end closed: nothing will be answered any more.
    ended: Option<Ended>,
}

/// What an answer was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Call,
    Subscription,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Withdraws requests that wait too long. Never ends.
    async fn clock(&self) -> Ended {
        let Some(timeout) = self.rules.request_timeout else {
            return std::future::pending().await;
        };
        let mut tick = tokio::time::interval((timeout / 8).clamp(Duration::from_millis(10), Duration::from_secs(1)));
        loop {
            tick.tick().await;
            let late = self.table().pending.expired(now());
            for Withdrawn { wire_id, home } in late {
                debug!(name = %self.rules.name, "a request met --request-timeout");
                home.fail(code::LIMIT, &text::late(timeout), None);
                self.say(cancellation(&wire_id, Some("timeout"))).await;
            }
        }
    }

    /// Gives up what a server does not read once the partner has left. Never ends; `partner` is dropped with it.
    async fn abandon(&self, partner: mpsc::Sender<Envelope>) -> Ended {
        if self.rules.role != Role::Accept {
            partner.closed().await;
            tokio::time::sleep(self.rules.linger).await;
            self.unheard.cancel();
        }
        std::future::pending().await
    }

    /// Resolves when a client has left, with its answers or after they were waited for.
    async fn client_left(&self) {
        if self.rules.role != Role::Accept {
            std::future::pending::<()>().await;
        }
        self.unheard.cancelled().await;
    }

    /// Resolves when a write that still goes on is to be given up. A client that has nothing more to say may read on.
    async fn given_up(&self) {
        self.unheard.cancelled().await;
        if self.rules.role == Role::Accept {
            tokio::time::sleep(self.rules.linger).await;
        }
    }

    /// Says something to the far end on the bridge's own account. False when the partner is gone.
    async fn say(&self, frame: Frame) -> bool {
        let Some(home) = self.home.upgrade() else { return false };
        home.send(Envelope::one_way(self.own.clone(), frame)).await.is_ok()
    }

    /// The same without waiting: from the loop that reads, to wait for a server that waits to be read would be for ever.
    fn say_now(&self, frame: Frame) {
        let said = self.home.upgrade().map(|home| home.try_send(Envelope::one_way(self.own.clone(), frame)));
        if !matches!(said, Some(Ok(()))) {
            debug!(name = %self.rules.name, "the server does not read; it is not told of a cancellation");
        }
    }

    /// Resolves when a client is let go: its scope has stopped, and it has its answers, or waited for them.
    async fn let_go(&self) {
        let Some(until) = &self.rules.until else { return std::future::pending().await };
        until.scope.stopped().await;
        self.last_answers().await;
    }

    /// A client that has closed, or that is told to end, waits for no more news (2026-07-28, Subscriptions, Graceful
    /// Closure). Over a pipe the end of a subscription is told in two ways: by its result, as that has it, and by a
    /// notification (2026-07-28, Cancellation). Clients know one of them or both.
    async fn end_subscriptions(&self) {
        let listens = {
            let mut table = self.table();
            let listens: Vec<_> = table.listens.drain().collect();
            table.asked.retain(|id| !listens.contains(id));
            listens
        };
        for id in listens {
            let id = id.to_json();
            self.say(Frame::result(&id, &subscription_ended(&id))).await;
            self.say(cancellation(&id, None)).await;
        }
    }

    /// Ends subscriptions, and waits for the answers that a client still wants.
    async fn last_answers(&self) {
        let settled = async {
            self.end_subscriptions().await;
            self.all_settled().await;
        };
        let over = async {
            match &self.rules.until {
                Some(until) => until.over.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = settled => {}
            () = tokio::time::sleep(self.rules.linger) => {}
            () = over => {}
        }
    }

    async fn all_settled(&self) {
        while !self.table().asked.is_empty() {
            self.settled.notified().await;
        }
    }

    /// Resolves when the writing loop of a client that has left need not wait for answers any more. Nobody waits for those
    /// of one that is let go: its time is over.
    async fn last_words(&self) {
        if self.refusal().is_none() {
            let _ = tokio::time::timeout(LAST_WORDS, self.all_settled()).await;
        }
    }

    /// The answers that a client still wants when nobody waits for them any more: an error each. What comes for them later
    /// is dropped.
    fn cut_off_all(&self) -> Vec<Frame> {
        let asked = std::mem::take(&mut self.table().asked);
        if !asked.is_empty() {
            warn!(name = %self.rules.name, calls = asked.len(), "the client is let go, and its calls were still unanswered");
        }
        let text = self.rules.until.as_ref().map_or(text::LEFT, Until::cut_off);
        asked.iter().map(|id| Frame::error(&id.to_json(), code::INTERNAL, text, None)).collect()
    }

    /// Why a client may ask nothing more, if that is so.
    fn refusal(&self) -> Option<String> {
        let until = self.rules.until.as_ref().filter(|until| until.scope.is_stopped())?;
        Some(until.scope.why().to_string())
    }

    /// The far end does not wait for this answer any more. Says what it was the answer to, if it did.
    fn settle(&self, id: &Id) -> Option<Settled> {
        let mut table = self.table();
        let waited = table.asked.remove(id);
        let listened = table.listens.remove(id);
        if table.asked.is_empty() {
            self.settled.notify_one();
        }
        waited.then_some(if listened { Settled::Subscription } else { Settled::Call })
    }
}

/// tokio's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

struct Reading<'a, R> {
    shared: &'a Shared,
    source: R,
    tx: mpsc::Sender<Envelope>,
}

impl<R: FrameSource> Reading<'_, R> {
    /// Ends when the far end closes, the partner is gone, or a client is let go.
    async fn run(mut self) -> Ended {
        let shared = self.shared;
        let mut let_go = pin!(shared.let_go());
        let mut waited = false;
        loop {
            // To pass on what was read may take for ever, too: a server need not read.
            let alive = tokio::select! {
                alive = self.step() => alive,
                () = &mut let_go => {
                    waited = true;
                    false
                }
            };
            if !alive {
                break;
            }
        }
        let ended = self.source.end().await;
        self.answer_all(&ended);
        if shared.rules.role == Role::Accept && !waited {
            // One that is let go before it closes has no more time than others have.
            tokio::select! {
                () = shared.last_answers() => {}
                () = let_go => {}
            }
        }
        ended
    }

    /// Reads one message and moves it on. False at the end.
    async fn step(&mut self) -> bool {
        match self.source.next().await {
            Some(Ok(frame)) => self.take(self.weighed(frame).await).await,
            Some(Err(error)) => self.garbage(error).await,
            None => false,
        }
    }

    /// Answers what the far end will not answer any more.
    fn answer_all(&self, ended: &Ended) {
        let unanswered: Vec<Reply> = {
            let mut table = self.shared.table();
            table.ended = Some(ended.clone());
            table.pending.drain().collect()
        };
        for reply in unanswered {
            reply.fail(code::INTERNAL, &ended.message, ended.data.clone());
        }
    }

    async fn garbage(&self, error: FrameError) -> bool {
        match self.shared.rules.role {
            Role::Accept => self.shared.say(Frame::error("null", error.code(), &error.to_string(), None)).await,
            _ => {
                // Told at the 1st, 2nd, 4th, 8th, ...: a server that babbles must not fill the log.
                let count = self.shared.garbage.fetch_add(1, Ordering::Relaxed) + 1;
                if count.is_power_of_two() {
                    warn!(name = %self.shared.rules.name, count, "the server printed what is no message: {error}");
                }
                true
            }
        }
    }

    /// Waits for room for a large frame, which is given back when the frame has been written or dropped.
    async fn weighed(&self, frame: Frame) -> Frame {
        if self.shared.rules.role.is_shared() {
            return frame;
        }
        let room = self.shared.room.take(frame.bytes().len()).await;
        frame.holding(room)
    }

    /// The same without waiting, for what a shared server says to one of its callers: `None` when those who do not read
    /// have used up all room.
    fn weighed_at_once(&self, envelope: Envelope) -> Option<Envelope> {
        let Envelope { from, frame, reply } = envelope;
        let room = self.shared.room.try_take(frame.bytes().len()).ok()?;
        Some(Envelope { from, frame: frame.holding(room), reply })
    }

    /// Moves one frame on. False when the partner is gone.
    async fn take(&self, frame: Frame) -> bool {
        match frame.kind() {
            Kind::Request(id) => {
                let id = id.clone();
                self.request(frame, id).await
            }
            Kind::Response(_) => {
                let answered = self.shared.table().pending.answer(frame);
                match answered {
                    Some((reply, frame)) => reply.answer(frame),
                    None => debug!(name = %self.shared.rules.name, "dropped an answer that nobody waits for"),
                }
                true
            }
            Kind::Notification => self.notification(frame).await,
        }
    }

    async fn request(&self, frame: Frame, id: Id) -> bool {
        let refusal = {
            let mut table = self.shared.table();
            if let Some(why) = self.shared.refusal() {
                Some((code::INTERNAL, why))
            } else if table.asked.contains(&id) {
                Some((code::INVALID_REQUEST, "this id is in use by a request that is still in flight".to_string()))
            } else if table.asked.len() >= self.shared.rules.max_in_flight {
                let limit = self.shared.rules.max_in_flight;
                Some((code::LIMIT, format!("{limit} requests are in flight; wait for an answer before the next one")))
            } else {
                if frame.method() == method::LISTEN {
                    table.listens.insert(id.clone());
                }
                table.asked.insert(id);
                None
            }
        };
        if let Some((code, text)) = refusal {
            if code == code::LIMIT {
                self.shared.rules.speaker.refused(Reason::Calls, code, &frame);
            }
            return self.shared.say(Frame::error(frame.id_text(), code, &text, None)).await;
        }
        let Some(home) = self.shared.home.upgrade() else { return false };
        let Ok(reply) = Reply::on(home, &frame, &self.shared.rules.speaker).await else { return false };
        let reply = reply.noted(&frame);
        let envelope = Envelope { from: self.shared.rules.speaker.clone(), frame, reply: Some(reply) };
        self.unsolicited(envelope).await
    }

    async fn notification(&self, frame: Frame) -> bool {
        if let Some(id) = frame.cancelled() {
            // An answer that comes all the same is dropped when it is to be written.
            self.shared.settle(id);
        }
        let ended = self.shared.table().pending.ended_by_server(&frame);
        if let Some((reply, id)) = ended {
            reply.answer(Frame::result(&id, &subscription_ended(&id)));
            return true;
        }
        let speaker = self.shared.rules.speaker.clone();
        let call = self.shared.table().pending.update(&frame).map(|(reply, frame)| (reply.updates(), frame));
        match call {
            Some((updates, frame)) => self.update(updates, Envelope::one_way(speaker, frame)).await,
            None => self.unsolicited(Envelope::one_way(speaker, frame)).await,
        }
    }

    /// What names no call: to the call that accounts for it, if that can be told, else to the partner, who knows where
    /// it goes.
    async fn unsolicited(&self, envelope: Envelope) -> bool {
        let only = self.cause(&envelope);
        match only {
            Some(updates) => self.update(updates, envelope).await,
            None => self.tx.send(envelope).await.is_ok(),
        }
    }

    /// The call that made the server say this: only log lines and requests have one, and only a call that is alone in
    /// flight, or on a shared server a caller that is, can be held to account.
    fn cause(&self, envelope: &Envelope) -> Option<Updates> {
        let is_request = envelope.reply.is_some();
        if !is_request && envelope.frame.method() != "notifications/message" {
            return None;
        }
        let table = self.shared.table();
        match self.shared.rules.role {
            Role::Accept => None,
            Role::Connect => table.pending.only_call(),
            Role::ConnectShared { sessions } if is_request && !sessions => None,
            Role::ConnectShared { .. } => table.pending.only_caller(),
            Role::ConnectModern { .. } if is_request => None,
            Role::ConnectModern { .. } => table.pending.only_listener(),
        }
        .map(Reply::updates)
    }

    async fn update(&self, updates: Updates, envelope: Envelope) -> bool {
        if self.shared.rules.role.is_shared() {
            let sent = self.weighed_at_once(envelope).map_or(Err(NotTaken::Full), |light| updates.try_send(light));
            if sent == Err(NotTaken::Full) {
                self.cut_off(&updates);
            }
        } else if updates.send(envelope).await.is_err() {
            // The call's stream is gone, its caller may live on: the pipe goes on.
            debug!(name = %self.shared.rules.name, "a call's stream is gone");
        }
        true
    }

    /// A caller of a shared server reads too slowly: its calls end, so that the others go on.
    fn cut_off(&self, updates: &Updates) {
        let slow = updates.caller().id;
        let cut = self.shared.table().pending.forget(|reply| reply.caller().id == slow);
        warn!(name = %self.shared.rules.name, calls = cut.len(), "cut off a caller that reads too slowly");
        for Withdrawn { wire_id, home } in cut {
            home.fail(code::LIMIT, text::CUT_OFF, None);
            self.shared.say_now(cancellation(&wire_id, Some("cut off")));
        }
    }
}

fn refuse(reply: Reply, ended: &Ended) {
    reply.fail(code::INTERNAL, &ended.message, ended.data.clone());
}

#[cfg(test)]
mod tests;
