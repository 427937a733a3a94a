//! The subscriptions of one legacy session: one `subscriptions/listen` at the server that covers all of them.
//!
//! Owns the set of what the client wants to hear of, the stream that brings it, and what waits for a client that does not
//! read. Talks to the server through the session and to the client through what belongs to no call. It never tells the
//! server's answer before the server gave it: a subscription is one when the server has acknowledged it.
//!
//! A change of the set opens a stream for the whole new set, waits for its acknowledgement, and ends the stream before it
//! only then, so that no change is missed. Until then the stream before speaks, from then on the new one alone: all that
//! they bring comes through one channel, in the server's order, and names its stream. What was not asked for goes nowhere
//! (2026-07-28, Subscriptions: a server must not send it). A stream that the server lost is opened again after a pause; then the client is
//! told that everything has changed, since the modern era has no resumption (2026-07-28, Subscriptions).

use std::{collections::HashSet, convert::Infallible, future::pending, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, warn};

use self::outgoing::Outgoing;
use super::{
    LISTEN_CAPACITY, Session,
    client::Client,
    opening::{Changes, Refusal},
    results::passed_on,
};
use crate::{
    backoff,
    json::{self, Object},
    message::{Frame, Id, Kind, code},
    peer::{Caller, Envelope, Reply},
    protocol::{ErrorHead, LISTS, method},
};

mod outgoing;

/// Subscriptions of one session, and the longest URI of one, in bytes. More would be an attack on memory, and on the size
/// of each `subscriptions/listen`.
const MAX_SUBSCRIPTIONS: (usize, usize) = (1024, 8 * 1024);

/// Changes that are kept for a stream that brings them ahead of its acknowledgement. None may; one that does is no reason
/// to remember more than a few.
const MAX_EARLY: usize = 64;

/// A stream that lived this long was no failure; pauses begin anew.
const HEALTHY: Duration = Duration::from_secs(60);

/// What the session's main loop wants.
#[derive(Debug)]
pub(super) enum Command {
    /// The client is ready to hear of changes of lists.
    Begin,
    /// `resources/subscribe`, or the end of it.
    Change(Change),
}

/// A change of the set of subscriptions.
#[derive(Debug)]
pub(super) struct Change {
    pub uri: String,
    pub on: bool,
    pub reply: Reply,
}

/// What the client wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Set {
    changes: Changes,
    uris: Vec<String>,
}

impl Set {
    fn is_empty(&self) -> bool {
        !self.changes.any() && self.uris.is_empty()
    }

    fn is_full(&self, uri: &String, most: usize) -> bool {
        self.uris.len() >= most && !self.uris.contains(uri)
    }

    /// The filter of `subscriptions/listen`.
    fn filter(&self) -> String {
        let mut filter = Object::new();
        let Changes { tools, prompts, resources } = self.changes;
        for (list, wanted) in LISTS.into_iter().zip([tools, prompts, resources]) {
            if wanted {
                filter.set(list.filter, "true");
            }
        }
        if !self.uris.is_empty() {
            filter.set("resourceSubscriptions", json::join(self.uris.iter().map(|uri| json::quote(uri))));
        }
        filter.to_string()
    }

    /// Whether this is told by who asks for the set. A subscription covers the resource and what lies below it (2026-07-28,
    /// schema, ResourceUpdatedNotification: the URI may be that of a sub-resource).
    fn covers(&self, change: &outgoing::Change) -> bool {
        let Changes { tools, prompts, resources } = self.changes;
        let mut lists = LISTS.into_iter().zip([tools, prompts, resources]);
        match (&*change.method, &change.uri) {
            (method::RESOURCE_UPDATED, Some(uri)) => self.uris.iter().any(|known| {
                let below = uri.strip_prefix(known.as_str());
                below.is_some_and(|rest| rest.is_empty() || known.ends_with('/') || rest.starts_with('/'))
            }),
            (method, _) => lists.any(|(list, wanted)| wanted && list.changed == method),
        }
    }

    /// What of it an acknowledgement grants.
    fn granted(&self, acknowledgement: &Frame) -> Set {
        let params = acknowledgement.body().and_then(Object::parse).unwrap_or_default();
        let filter = params.get("notifications").and_then(Object::parse).unwrap_or_default();
        let [tools, prompts, resources] = LISTS.map(|list| filter.get(list.filter) == Some("true"));
        let uris = filter.get("resourceSubscriptions").and_then(json::array).unwrap_or_default();
        // A server may list millions.
        let uris: HashSet<_> = uris.into_iter().filter_map(json::string).collect();
        Set {
            changes: Changes {
                tools: self.changes.tools && tools,
                prompts: self.changes.prompts && prompts,
                resources: self.changes.resources && resources,
            },
            uris: self.uris.iter().filter(|uri| uris.contains(uri.as_str())).cloned().collect(),
        }
    }
}

/// The stream of changes.
#[derive(Debug)]
enum Stream {
    /// Nothing is wanted, or nothing is to be had.
    None,
    /// The request that it answers.
    Open { id: i64, since: Instant },
    /// It was lost, and is opened again then.
    Lost(Instant),
}

/// What comes of the streams.
#[derive(Debug)]
enum Event {
    /// Something of one of them, or its answer.
    Came(Frame),
    /// The pause is over.
    Again,
}

impl Stream {
    fn id(&self) -> Option<i64> {
        match self {
            Stream::Open { id, .. } => Some(*id),
            Stream::None | Stream::Lost(_) => None,
        }
    }

    /// Cancel-safe.
    async fn next(&self, inbox: &mut mpsc::Receiver<Envelope>) -> Event {
        let again = async {
            match self {
                Stream::Lost(until) => sleep_until(*until).await,
                Stream::None | Stream::Open { .. } => pending().await,
            }
        };
        tokio::select! {
            Some(Envelope { frame, .. }) = inbox.recv() => Event::Came(frame),
            () = again => Event::Again,
        }
    }
}

/// The stream that a notification names; one that does not say is not told apart.
fn named(frame: &Frame) -> Option<i64> {
    match frame.subscription() {
        Some(Id::Number(id)) => Some(*id),
        _ => None,
    }
}

/// Whether this answers the request.
fn answers(frame: &Frame, id: Option<i64>) -> bool {
    matches!((frame.kind(), id), (Kind::Response(Some(Id::Number(answered))), Some(id)) if *answered == id)
}

fn is_answer(frame: &Frame) -> bool {
    matches!(frame.kind(), Kind::Response(_))
}

/// The task that keeps the subscriptions.
#[derive(Debug)]
pub(super) struct Listener {
    session: Arc<Session>,
    client: Arc<Client>,
    caller: Arc<Caller>,
    tx: mpsc::Sender<Envelope>,
    commands: mpsc::Receiver<Command>,
    /// What all streams bring, in the server's order; `inlet` leads there.
    inbox: mpsc::Receiver<Envelope>,
    inlet: mpsc::Sender<Envelope>,
    wanted: Set,
    stream: Stream,
    /// The stream that is not acknowledged yet.
    opening: Option<i64>,
    outgoing: Outgoing,
    /// More is wanted than the stream was opened for.
    stale: bool,
    /// Streams in a row that did not last.
    failures: u32,
    /// Something may have changed unheard.
    missed: bool,
}

impl Listener {
    pub fn new(
        session: Arc<Session>,
        client: Arc<Client>,
        caller: Arc<Caller>,
        tx: mpsc::Sender<Envelope>,
        commands: mpsc::Receiver<Command>,
    ) -> Listener {
        let outgoing = Outgoing::new(session.voice.clone());
        let (inlet, inbox) = mpsc::channel(LISTEN_CAPACITY);
        Listener {
            session,
            client,
            caller,
            tx,
            commands,
            inbox,
            inlet,
            wanted: Set::default(),
            stream: Stream::None,
            opening: None,
            outgoing,
            stale: false,
            failures: 0,
            missed: false,
        }
    }

    /// Ends with the session.
    pub async fn run(mut self) {
        let session = self.session.clone();
        tokio::select! {
            () = self.work() => {}
            () = session.over.cancelled() => {}
        }
        let Listener { session, caller, stream, opening, tx, .. } = self;
        drop(tx); // A server that takes nothing must not keep the session open.
        for id in stream.id().into_iter().chain(opening) {
            session.withdraw(&caller, id).await;
        }
    }

    /// Ends when the session's main loop has, or the client's front.
    async fn work(&mut self) {
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                event = self.stream.next(&mut self.inbox) => self.event(event).await,
                sent = self.outgoing.send_next(&self.tx) => if sent.is_err() { return },
            }
        }
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Came(frame) if answers(&frame, self.stream.id()) => self.lost(&frame),
            Event::Came(frame) => self.heard(&frame),
            Event::Again => {
                if let Err(refusal) = self.open(self.wanted.clone()).await {
                    debug!("cannot listen to the server's changes: {refusal:?}");
                }
            }
        }
    }

    /// Takes what the stream that stands brings, if it was asked for. What comes of one that was ended is late.
    fn heard(&mut self, frame: &Frame) {
        if is_answer(frame) || matches!(frame.method(), method::ACKNOWLEDGED | method::CANCELLED) {
            return;
        }
        let speaks = self.stream.id().is_some_and(|id| named(frame).is_none_or(|named| named == id));
        let change = outgoing::Change::read(frame);
        if speaks && self.wanted.covers(&change) {
            self.outgoing.push(change);
        } else {
            debug!(method = frame.method(), uri = ?change.uri, "dropped what no subscription asks for");
        }
    }

    // ---- what the client wants

    async fn command(&mut self, first: Command) {
        let mut batch = Vec::from_iter(self.admit(first));
        while let Ok(next) = self.commands.try_recv() {
            batch.extend(self.admit(next));
        }
        // One stream for all that wait. If the server refuses it, one for each, to find out which one it refuses.
        match self.change(&batch).await {
            Ok(granted) => batch.into_iter().for_each(|change| self.settle(change, &granted)),
            Err(refusal) if batch.len() < 2 => self.refused(batch.pop(), refusal).await,
            // Silence is not about one of them, and each would be waited for as long.
            Err(Refusal::Ours(code::LIMIT, ..)) => {
                for change in batch {
                    self.refused(Some(change), late()).await;
                }
            }
            Err(refusal) => {
                debug!("the server refused several subscriptions at once: {refusal:?}");
                for change in batch {
                    match self.change(std::slice::from_ref(&change)).await {
                        Ok(granted) => self.settle(change, &granted),
                        Err(refusal) => self.refused(Some(change), refusal).await,
                    }
                }
            }
        }
        if self.wanted.is_empty() {
            self.replace(Stream::None).await;
        }
    }

    /// Gives the change, unless it is answered here.
    fn admit(&mut self, command: Command) -> Option<Change> {
        let (most, longest) = MAX_SUBSCRIPTIONS;
        match command {
            Command::Begin => {
                // The bridge's own wish, which stands whatever the server says now.
                let changes = self.session.offers(|offers| offers.changes).unwrap_or_default();
                self.stale |= self.wanted.changes != changes;
                self.wanted.changes = changes;
                None
            }
            Command::Change(change) if change.on && change.uri.len() > longest => {
                let text = format!("a URI of {} bytes is too long to subscribe to; {longest} may be", change.uri.len());
                change.reply.fail(code::LIMIT, &text, None);
                None
            }
            Command::Change(change) if change.on && self.wanted.is_full(&change.uri, most) => {
                let text = format!("a client may have {most} subscriptions; end others first");
                change.reply.fail(code::LIMIT, &text, None);
                None
            }
            Command::Change(change) => Some(change),
        }
    }

    /// Makes the changes together; gives what the server grants, or why it grants nothing.
    async fn change(&mut self, batch: &[Change]) -> Result<Set, Refusal> {
        let mut next = self.wanted.clone();
        for Change { uri, on, .. } in batch {
            match on {
                true if !next.uris.contains(uri) => next.uris.push(uri.clone()),
                true => {}
                false => next.uris.retain(|known| known != uri),
            }
        }
        let stands = next == self.wanted && !self.stale && matches!(self.stream, Stream::Open { .. });
        if stands { Ok(next) } else { self.open(next).await }
    }

    /// Answers a change that the server took.
    fn settle(&mut self, change: Change, granted: &Set) {
        let Change { uri, on, reply } = change;
        if !on || granted.uris.contains(&uri) {
            let frame = Frame::result(reply.id_text(), "{}");
            return reply.answer(frame);
        }
        self.wanted.uris.retain(|known| *known != uri);
        let text = format!("the server does not tell of changes of {}", json::quote(&uri));
        reply.fail(code::INVALID_PARAMS, &text, None);
    }

    /// Answers a change that the server refused. Nothing can refuse the end of a subscription: the stream that covers it
    /// ends, and one without it is opened later.
    async fn refused(&mut self, change: Option<Change>, refusal: Refusal) {
        match change {
            Some(change) if change.on => refusal.answer(change.reply),
            Some(change) => {
                self.wanted.uris.retain(|known| *known != change.uri);
                self.settle(change, &Set::default());
                if matches!(self.stream, Stream::Open { .. }) {
                    self.replace(Stream::None).await;
                    self.missed = true;
                    self.pause();
                }
            }
            None => debug!("the server tells of no changes for now: {refusal:?}"),
        }
    }

    // ---- the stream

    /// Makes `next` what is wanted: opens its stream, then ends the one before. Gives what the server grants of it. On an
    /// error what was wanted before stands.
    async fn open(&mut self, next: Set) -> Result<Set, Refusal> {
        if next.is_empty() {
            self.wanted = next.clone();
            self.replace(Stream::None).await;
            return Ok(next);
        }
        let params = self.client.listen_params(&next.filter());
        let id = self.session.mint();
        let frame = Frame::request(&Id::Number(id), method::LISTEN, Some(&params));
        self.opening = Some(id);
        let opened = timeout(self.session.settings.patience, self.acknowledged(id, frame, &next)).await;
        self.opening = None;
        let (granted, early) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(answer)) => {
                if answer.is_none() {
                    self.session.withdraw(&self.caller, id).await;
                }
                return Err(self.unopened(answer));
            }
            Err(_) => {
                self.session.withdraw(&self.caller, id).await;
                self.pause();
                return Err(late());
            }
        };
        self.wanted = next;
        self.stale = false;
        self.replace(Stream::Open { id, since: Instant::now() }).await;
        self.outgoing.take(early);
        if std::mem::take(&mut self.missed) {
            self.outgoing.take_all(granted.changes, &granted.uris);
        }
        Ok(granted)
    }

    /// Asks, and waits for the acknowledgement; or gives the answer in its place, or nothing when the client is gone. What
    /// is granted comes with what the new stream alone has brought already.
    async fn acknowledged(
        &mut self,
        id: i64,
        frame: Frame,
        next: &Set,
    ) -> Result<(Set, Vec<outgoing::Change>), Option<Frame>> {
        let (session, caller, inlet) = (self.session.clone(), self.caller.clone(), self.inlet.clone());
        // Beside the rest: a channel that is full of the stream before has to be read meanwhile.
        let asking = async {
            session.send_for(inlet, &caller, frame).await;
            pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            never = asking => match never {},
            acknowledged = self.acknowledgement(id, next) => acknowledged,
        }
    }

    /// Passes on meanwhile what the stream before brings.
    async fn acknowledgement(&mut self, id: i64, next: &Set) -> Result<(Set, Vec<outgoing::Change>), Option<Frame>> {
        let mut early = Vec::new();
        loop {
            let event = tokio::select! {
                event = self.stream.next(&mut self.inbox) => event,
                sent = self.outgoing.send_next(&self.tx) => match sent {
                    Ok(()) => continue,
                    Err(_) => return Err(None),
                },
            };
            match event {
                Event::Again => self.stream = Stream::None, // This is the attempt.
                Event::Came(frame) if answers(&frame, Some(id)) => return Err(Some(frame)),
                Event::Came(frame) if answers(&frame, self.stream.id()) => {
                    self.stream = Stream::None;
                    self.missed = true;
                }
                Event::Came(frame) if named(&frame).is_none_or(|named| named == id) => {
                    if frame.method() == method::ACKNOWLEDGED {
                        return Ok((next.granted(&frame), early));
                    }
                    self.came_early(&frame, next, &mut early);
                }
                Event::Came(frame) => self.heard(&frame),
            }
        }
    }

    /// The acknowledgement has to come first; a change is none the less one, unless the stream before tells of it.
    fn came_early(&mut self, frame: &Frame, next: &Set, early: &mut Vec<outgoing::Change>) {
        if is_answer(frame) {
            return;
        }
        let change = outgoing::Change::read(frame);
        let told = self.stream.id().is_some() && self.wanted.covers(&change);
        if named(frame).is_none() && told {
            self.outgoing.push(change); // Nobody can tell which stream it is of.
        } else if next.covers(&change) && !told && early.len() < MAX_EARLY {
            early.push(change);
        }
    }

    /// Ends the stream before.
    async fn replace(&mut self, next: Stream) {
        let before = std::mem::replace(&mut self.stream, next);
        if let Some(id) = before.id() {
            self.session.withdraw(&self.caller, id).await;
        }
    }

    /// An answer in the place of an acknowledgement.
    fn unopened(&mut self, answer: Option<Frame>) -> Refusal {
        match answer {
            Some(frame) if frame.is_error() => {
                let never = ErrorHead::code_of(&frame) == Some(code::METHOD_NOT_FOUND);
                if never && !matches!(self.stream, Stream::Open { .. }) {
                    // A server that offers changes and has no way to ask for them.
                    let lost = self.wanted.uris.len();
                    if lost > 0 {
                        warn!(lost, "the server knows {} no more; its subscriptions have ended", method::LISTEN);
                    }
                    self.wanted = Set::default();
                    self.stream = Stream::None;
                } else {
                    self.pause();
                }
                passed_on(frame)
            }
            _ => {
                self.pause();
                Refusal::Ours(code::INTERNAL, format!("the server ended {} at once", method::LISTEN), None)
            }
        }
    }

    /// The stream has ended by itself.
    fn lost(&mut self, answer: &Frame) {
        debug!(answer = ?answer.body(), "lost the stream of the server's changes");
        if let Stream::Open { since, .. } = &self.stream
            && since.elapsed() >= HEALTHY
        {
            self.failures = 0;
        }
        self.missed = true;
        self.stream = Stream::None;
        self.pause();
    }

    /// Comes back later, if there is no stream and something is wanted.
    fn pause(&mut self) {
        if matches!(self.stream, Stream::Open { .. }) || self.wanted.is_empty() {
            return;
        }
        let settings = &self.session.settings;
        self.failures = self.failures.saturating_add(1);
        let (floor, longest) = (settings.listen_floor, settings.listen_longest);
        let wait = backoff::delay(floor, longest, self.failures, backoff::chance());
        self.stream = Stream::Lost(Instant::now() + wait.max(floor));
    }
}

fn late() -> Refusal {
    let text = format!("the server did not acknowledge {} in time", method::LISTEN);
    Refusal::Ours(code::LIMIT, text, None)
}
