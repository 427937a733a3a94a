//! Conversation partners. Read this first: everything else moves [`Envelope`]s between [`Peer`]s.
//!
//! Owns the channel pair that joins two wires and the duty to answer a request ([`Reply`]). Talks to nobody. It never
//! looks into a message beyond its id.
//!
//! A wire is a function that starts tasks and works one end of [`Peer::pair`]; the wire at the other end is the
//! partner. Two wires on the two ends of one pair are a bridge: nothing stands between them. Everything that a server
//! sends to one client over a pipe goes through one channel, so its order is the server's own.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use tokio::sync::mpsc::{self, OwnedPermit, WeakSender};

pub use crate::protocol::Era;

use crate::{
    audit::{Account, Call, Reason, Visitor},
    message::{Frame, code},
};

/// Envelopes between two wires. More than the calls that may be in flight ([`crate::config::Limits::max_in_flight`]),
/// since each of those reserves the place of its answer. Memory is taken as the channel fills, 32 envelopes at a time.
pub const PEER_CAPACITY: usize = 1024;

/// Tells callers apart inside one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallerId(u64);

impl CallerId {
    /// An id that no other caller of this process has.
    pub fn fresh() -> CallerId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        CallerId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whom the caller was authenticated as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(pub Arc<str>);

/// Who is speaking: one legacy session, or one stateless exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Distinct for each session or exchange.
    pub id: CallerId,
    /// The generation that the caller speaks.
    pub era: Era,
    /// `None` where the door is open.
    pub principal: Option<Principal>,
    /// Where its calls are noted; `None` where no audit log is kept, and of whoever came by no door.
    pub account: Option<Account>,
}

impl Caller {
    /// A caller of the legacy era: one session.
    pub fn legacy(principal: Option<Principal>) -> Arc<Caller> {
        Arc::new(Caller { id: CallerId::fresh(), era: Era::Legacy, principal, account: None })
    }

    /// A caller of the modern era: one exchange, or all of those that come over one pipe.
    pub fn modern(principal: Option<Principal>) -> Arc<Caller> {
        Arc::new(Caller { id: CallerId::fresh(), era: Era::Modern, principal, account: None })
    }

    /// Notes each of its calls, if they are to be noted: of an exchange that stands alone.
    pub fn noted(self: Arc<Self>, visitor: Option<Visitor>) -> Arc<Caller> {
        self.with(visitor.map(Account::lone))
    }

    /// The same, and the session itself, from now until nothing holds the caller. It is none before
    /// [`Caller::session_opened`].
    pub fn session_noted(self: Arc<Self>, visitor: Option<Visitor>) -> Arc<Caller> {
        let number = self.id.0;
        self.with(visitor.map(|visitor| Account::session(visitor, number)))
    }

    /// The same caller, in a request that came from this visitor.
    pub fn at(self: &Arc<Self>, visitor: Option<&Visitor>) -> Arc<Caller> {
        match (&self.account, visitor) {
            (Some(account), Some(visitor)) => self.clone().with(Some(account.at(visitor))),
            _ => self.clone(),
        }
    }

    fn with(self: Arc<Self>, account: Option<Account>) -> Arc<Caller> {
        match account {
            None => self,
            account => Arc::new(Caller { account, ..Arc::unwrap_or_clone(self) }),
        }
    }

    /// There is a session now.
    pub fn session_opened(&self) {
        self.account.iter().for_each(Account::opened);
    }

    /// Notes a request of this caller's that was refused with an error of this code.
    pub fn refused(&self, reason: Reason, code: i32, request: &Frame) {
        self.account.iter().for_each(|account| account.refused(reason, code, request));
    }
}

/// What crosses the bridge, in either direction.
#[derive(Debug)]
pub struct Envelope {
    /// Who speaks.
    pub from: Arc<Caller>,
    /// What is said.
    pub frame: Frame,
    /// The way home for the answer: `Some` exactly for requests.
    pub reply: Option<Reply>,
}

impl Envelope {
    /// A notification or a response.
    pub fn one_way(from: Arc<Caller>, frame: Frame) -> Envelope {
        Envelope { from, frame, reply: None }
    }
}

/// The duty to answer one request, and the way there. Not `Clone`. Dropped unanswered, it answers with an error.
#[must_use]
#[derive(Debug)]
pub struct Reply(Box<Duty>);

/// Behind a pointer: a channel of envelopes takes room for 32 of them at once, and most carry no reply.
#[derive(Debug)]
struct Duty {
    stream: mpsc::Sender<Envelope>,
    answer: Option<OwnedPermit<Envelope>>,
    id: Box<str>,
    to: Arc<Caller>,
    /// Counted by whoever made it for as long as the request is unanswered.
    mark: Option<Arc<()>>,
    change: Option<Change>,
    /// What is noted of it.
    call: Option<Arc<Call>>,
}

/// What is done to each frame on its way home: the answer, and what runs ahead of it.
#[derive(Clone)]
struct Change(Arc<dyn Fn(Frame) -> Frame + Send + Sync>);

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Change")
    }
}

/// The caller hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller hung up")]
pub struct Gone;

/// Why a frame was not taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The caller reads too slowly; its buffer is full.
    #[error("the caller's buffer is full")]
    Full,
    /// The caller hung up.
    #[error("the caller hung up")]
    Gone,
}

impl Reply {
    /// A way home over `stream`. Reserves the answer's place now, so that answering never waits: a slow caller delays
    /// nobody else. Waits while the stream is full, which slows down the caller that wants to ask.
    pub async fn on(stream: mpsc::Sender<Envelope>, request: &Frame, to: &Arc<Caller>) -> Result<Reply, Gone> {
        let answer = stream.clone().reserve_owned().await.map_err(|_| Gone)?;
        Ok(Reply(Box::new(Duty {
            stream,
            answer: Some(answer),
            id: request.id_text().into(),
            to: to.clone(),
            mark: None,
            change: None,
            call: None,
        })))
    }

    /// Notes the call, if its caller's calls are noted. For the wire that has it from the client, and nobody else: who
    /// asks a server on the caller's account asks a thing of his own.
    pub fn noted(mut self, request: &Frame) -> Reply {
        self.0.call = self.0.to.account.as_ref().map(|account| account.begin(request));
        self
    }

    /// Notes that it is for this server of several, which gets this request.
    pub fn routed(&self, server: &str, request: &Frame) {
        self.0.call.iter().for_each(|call| call.routed(server, request));
    }

    /// Answers with an error, which is noted as a refusal.
    pub fn refuse(self, reason: Reason, code: i32, message: &str, data: Option<serde_json::Value>) {
        self.0.call.iter().for_each(|call| call.refused(reason, code));
        self.fail(code, message, data);
    }

    /// Keeps a mark until the request is answered, so that its owner can count what is in flight.
    pub fn marked(mut self, mark: &Arc<()>) -> Reply {
        self.0.mark = Some(mark.clone());
        self
    }

    /// The same way home, on which every frame is changed first: the answer, an error included, and what runs ahead of it.
    /// For what stands between a wire and a server and has to touch what comes back; it costs no task, and keeps the
    /// order. Of several changes the one that was added last is made first: it is nearest to the server.
    pub fn through(mut self, change: impl Fn(Frame) -> Frame + Send + Sync + 'static) -> Reply {
        let outer = self.0.change.take();
        self.0.change = Some(Change(match outer {
            None => Arc::new(change),
            Some(Change(outer)) => Arc::new(move |frame| outer(change(frame))),
        }));
        self
    }

    /// The request's id as the caller wrote it.
    pub fn id_text(&self) -> &str {
        &self.0.id
    }

    /// Who gets the answer.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.0.to
    }

    /// Sends what belongs to the request ahead of its answer; see [`Updates::send`].
    pub async fn update(&self, envelope: Envelope) -> Result<(), Gone> {
        let envelope = changed(envelope, self.0.change.as_ref(), self.0.call.as_deref());
        self.0.stream.send(envelope).await.map_err(|_| Gone)
    }

    /// The way for updates alone, for a sender that must not hold the table's lock while it waits.
    pub fn updates(&self) -> Updates {
        let Duty { stream, to, change, call, .. } = &*self.0;
        Updates { stream: stream.clone(), to: to.clone(), change: change.clone(), call: call.clone() }
    }

    /// Answers, under the caller's own id. Cannot wait and cannot fail; a caller that hung up hears nothing.
    pub fn answer(mut self, frame: Frame) {
        self.send(frame);
    }

    /// Answers with an error.
    pub fn fail(mut self, code: i32, message: &str, data: Option<serde_json::Value>) {
        let frame = Frame::error(&self.0.id, code, message, data);
        self.send(frame);
    }

    /// Whether the caller has hung up.
    pub fn is_gone(&self) -> bool {
        self.0.stream.is_closed()
    }

    /// Resolves when the caller has hung up.
    pub async fn gone(&self) {
        self.0.stream.closed().await;
    }

    fn send(&mut self, frame: Frame) {
        if let Some(place) = self.0.answer.take() {
            let frame = match &self.0.change {
                Some(Change(change)) => change(frame),
                None => frame,
            };
            let frame = frame.with_id(&self.0.id);
            if let Some(call) = &self.0.call {
                call.ended(&frame, !self.0.stream.is_closed());
            }
            place.send(Envelope::one_way(self.0.to.clone(), frame));
        }
    }
}

/// The way to a caller for what belongs to its request and is no answer: progress, a log line, a request of the
/// server's (whose envelope carries the way home for the caller's answer).
#[derive(Debug, Clone)]
pub struct Updates {
    stream: mpsc::Sender<Envelope>,
    to: Arc<Caller>,
    change: Option<Change>,
    call: Option<Arc<Call>>,
}

fn changed(mut envelope: Envelope, change: Option<&Change>, call: Option<&Call>) -> Envelope {
    if let Some(Change(change)) = change {
        envelope.frame = change(envelope.frame);
    }
    if let Some(call) = call {
        call.sent(envelope.frame.bytes().len());
    }
    envelope
}

impl Updates {
    /// Waits while the caller is slow: for a server of the caller's own, which is slowed down in turn.
    pub async fn send(&self, envelope: Envelope) -> Result<(), Gone> {
        self.stream.send(changed(envelope, self.change.as_ref(), self.call.as_deref())).await.map_err(|_| Gone)
    }

    /// The same without waiting: for a server that others share. `Full` means that this caller is to be cut off.
    pub fn try_send(&self, envelope: Envelope) -> Result<(), NotTaken> {
        self.stream.try_send(changed(envelope, self.change.as_ref(), self.call.as_deref())).map_err(|error| match error
        {
            mpsc::error::TrySendError::Full(_) => NotTaken::Full,
            mpsc::error::TrySendError::Closed(_) => NotTaken::Gone,
        })
    }

    /// Whose request it is.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.to
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.0.answer.is_some() {
            let text = "the connection to the server ended before it answered";
            let frame = Frame::error(&self.0.id, code::INTERNAL, text, None);
            self.send(frame);
        }
    }
}

/// A conversation partner on any wire: put envelopes in, take envelopes out.
#[derive(Debug)]
pub struct Peer {
    /// To the partner. Closes when the partner is gone; dropping it tells the partner that nothing more comes.
    pub tx: mpsc::Sender<Envelope>,
    /// From the partner. Ends when the partner has nothing more to say.
    pub rx: Inbox,
    /// Into this end's own `rx`: what [`Reply::on`] needs to have the partner's answer arrive there, in order.
    /// Weak, so that holding it keeps nothing open.
    pub home: WeakSender<Envelope>,
}

impl Peer {
    /// Two ends in memory: what goes into one comes out of the other. Every bridge and every unit test starts here.
    pub fn pair(capacity: usize) -> (Peer, Peer) {
        let (left_tx, right_rx) = mpsc::channel(capacity);
        let (right_tx, left_rx) = mpsc::channel(capacity);
        let (left_home, right_home) = (right_tx.downgrade(), left_tx.downgrade());
        (
            Peer { tx: left_tx, rx: left_rx.into(), home: left_home },
            Peer { tx: right_tx, rx: right_rx.into(), home: right_home },
        )
    }
}

/// The way into a server for exchanges that stand alone: each request brings its own way home. A caller takes a request
/// back with a `notifications/cancelled` of its own, which names the id that it gave; what is withdrawn so gets an error,
/// [`code::CANCELLED`], for an answer. Nothing ever comes out of it but what answers a request or runs ahead of an answer.
pub type Outbox = mpsc::Sender<Envelope>;

/// What comes from the partner, in order. What was taken can be put back: whoever decides by the first message where a
/// peer leads passes all of it on, and nothing stands in between afterwards.
#[derive(Debug)]
pub struct Inbox {
    rx: mpsc::Receiver<Envelope>,
    ahead: VecDeque<Envelope>,
}

impl From<mpsc::Receiver<Envelope>> for Inbox {
    fn from(rx: mpsc::Receiver<Envelope>) -> Inbox {
        Inbox { rx, ahead: VecDeque::new() }
    }
}

impl Inbox {
    /// The next envelope; `None` when the partner has nothing more to say. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Envelope> {
        match self.ahead.pop_front() {
            Some(envelope) => Some(envelope),
            None => self.rx.recv().await,
        }
    }

    /// Adds what is there, up to `most`, and waits for one; gives how many, 0 at the end. Cancel-safe.
    pub async fn recv_many(&mut self, into: &mut Vec<Envelope>, most: usize) -> usize {
        if self.ahead.is_empty() {
            return self.rx.recv_many(into, most).await;
        }
        let before = into.len();
        into.extend(self.ahead.drain(..most.min(self.ahead.len())));
        into.len() - before
    }

    /// The next envelope, if it is there now.
    pub fn try_recv(&mut self) -> Option<Envelope> {
        self.ahead.pop_front().or_else(|| self.rx.try_recv().ok())
    }

    /// The next envelope, or the promise to wake the task.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Envelope>> {
        match self.ahead.pop_front() {
            Some(envelope) => Poll::Ready(Some(envelope)),
            None => self.rx.poll_recv(cx),
        }
    }

    /// Nothing more is wanted but the answers that are owed: what was sent can be received, and replies see that their
    /// caller is gone.
    pub fn close(&mut self) {
        self.rx.close();
    }

    /// What comes next is this.
    pub fn put_back(&mut self, envelope: Envelope) {
        self.ahead.push_front(envelope);
    }

    /// What comes next, if it was put back.
    pub fn put_back_first(&self) -> Option<&Frame> {
        self.ahead.front().map(|envelope| &envelope.frame)
    }

    /// Resolves when the partner has left, as far as reading `most` envelopes ahead can tell. Cancel-safe.
    pub async fn ended(&mut self, most: usize) {
        while self.ahead.len() < most {
            match self.rx.recv().await {
                Some(envelope) => self.ahead.push_back(envelope),
                None => return,
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn an_envelope_is_three_pointers() {
        // A channel takes room for 32 of them at once, and a parked call keeps one channel.
        assert!(size_of::<Envelope>() <= 3 * size_of::<usize>());
    }

    fn request(text: &'static str) -> Frame {
        Frame::parse(Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[tokio::test]
    async fn a_dropped_reply_answers_with_an_error_under_the_callers_id() {
        let (tx, mut rx) = mpsc::channel(4);
        let caller = Caller::legacy(None);
        let reply = Reply::on(tx, &request(r#"{"jsonrpc":"2.0","id":"a:b","method":"x"}"#), &caller).await.unwrap();
        drop(reply);
        let got = rx.recv().await.unwrap();
        assert!(got.frame.is_error());
        assert_eq!(got.frame.id_text(), "\"a:b\"");
        assert!(rx.recv().await.is_none(), "exactly one answer");
    }

    #[tokio::test]
    async fn an_answer_has_its_place_when_updates_fill_the_stream() {
        let (tx, mut rx) = mpsc::channel(3);
        let caller = Caller::legacy(None);
        let reply = Reply::on(tx, &request(r#"{"jsonrpc":"2.0","id":1.0,"method":"x"}"#), &caller).await.unwrap();
        let note = || Envelope::one_way(caller.clone(), Frame::notification("notifications/progress", None));
        assert_eq!(reply.updates().try_send(note()), Ok(()));
        assert_eq!(reply.updates().try_send(note()), Ok(()));
        assert_eq!(reply.updates().try_send(note()), Err(NotTaken::Full));
        reply.answer(Frame::result("1", "{}"));
        rx.recv().await.unwrap();
        rx.recv().await.unwrap();
        assert_eq!(rx.recv().await.unwrap().frame.id_text(), "1.0");
    }

    #[tokio::test]
    async fn what_comes_home_is_changed_by_whoever_stands_nearest_to_the_server_first() {
        let (tx, mut rx) = mpsc::channel(4);
        let caller = Caller::legacy(None);
        let reply = Reply::on(tx, &request(r#"{"jsonrpc":"2.0","id":1.0,"method":"x"}"#), &caller).await.unwrap();
        let add = |what: &'static str| {
            move |frame: Frame| {
                let said = format!("{}{what}", frame.body().unwrap_or_default());
                match frame.kind() {
                    crate::message::Kind::Notification => Frame::notification("x", Some(&said)),
                    _ => Frame::result("7", &said),
                }
            }
        };
        let reply = reply.through(add("2")).through(add("1"));
        let note = Envelope::one_way(caller.clone(), Frame::notification("x", Some("3")));
        reply.updates().try_send(note).unwrap();
        reply.answer(Frame::result("7", "4"));
        let (note, answer) = (rx.recv().await.unwrap().frame, rx.recv().await.unwrap().frame);
        assert_eq!((note.body(), answer.body(), answer.id_text()), (Some("312"), Some("412"), "1.0"));
    }

    #[tokio::test]
    async fn an_end_closes_by_drop() {
        let (left, mut right) = Peer::pair(4);
        assert!(left.home.upgrade().is_some());
        let Peer { tx, rx, home: _ } = left;
        drop(tx);
        assert!(right.rx.recv().await.is_none());
        drop(rx);
        assert!(right.tx.is_closed());
    }
}
