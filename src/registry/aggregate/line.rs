//! Which server a message is meant for, and the way there.
//!
//! Owns the requests that wait for their server to be opened. Talks to the servers of one session, or to those that
//! exchanges share. A request that is for one server goes there with its own way home: its answer comes past nobody.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::mpsc::{self, WeakSender, error::TrySendError};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Aggregate, lock, session::Seats};
use crate::{
    aggregate::{Listing, Names, marked, unmarked},
    json::{self, Object},
    message::{Frame, Id, Kind, code, text},
    peer::{Caller, CallerId, Envelope, Era, Reply},
    protocol::{cancellation, method},
    registry::gate,
};

/// The ways to the servers.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) whole: Arc<Aggregate>,
    ways: Ways,
    /// What takes back a request that is not on its way yet.
    starting: Mutex<HashMap<(CallerId, Id), CancellationToken>>,
}

#[derive(Debug)]
enum Ways {
    /// Those of one legacy session.
    Session(Arc<Seats>),
    /// Those that exchanges were last sent by.
    Shared(Mutex<Vec<Option<WeakSender<Envelope>>>>),
}

impl Line {
    /// To the servers of a session.
    pub(super) fn of_session(seats: Arc<Seats>) -> Arc<Line> {
        Arc::new(Line { whole: seats.whole.clone(), ways: Ways::Session(seats), starting: Mutex::default() })
    }

    /// To the servers that exchanges share.
    pub(super) fn shared(whole: Arc<Aggregate>) -> Arc<Line> {
        let ways = Ways::Shared(Mutex::new(vec![None; whole.members.len()]));
        Arc::new(Line { whole, ways, starting: Mutex::default() })
    }

    /// The way to a server, which is opened if it is not. An error says why there is none.
    pub(super) async fn way(&self, server: usize, caller: &Arc<Caller>) -> Result<mpsc::Sender<Envelope>, String> {
        match &self.ways {
            Ways::Session(seats) => seats.way(server).await,
            Ways::Shared(ways) => {
                let Some(member) = self.whole.members.get(server) else { return Err("there is no such server".into()) };
                // Boxed: its registry could be one of this kind, as far as the compiler can tell.
                let way = Box::pin(member.registry.outbox(caller)).await.map_err(|error| error.to_string())?;
                if let Some(known) = lock(ways).get_mut(server) {
                    *known = Some(way.downgrade());
                }
                Ok(way)
            }
        }
    }

    /// Whether a server is there, as far as can be told.
    pub(super) fn is_open(&self, server: usize) -> bool {
        self.open_way(server).is_some_and(|way| !way.is_closed())
    }

    /// The way to a server, if it is open.
    fn open_way(&self, server: usize) -> Option<mpsc::Sender<Envelope>> {
        match &self.ways {
            Ways::Session(seats) => seats.open_way(server),
            Ways::Shared(ways) => lock(ways).get(server).cloned().flatten().and_then(|way| way.upgrade()),
        }
    }

    /// Passes on what no server answers.
    pub(super) fn notification(&self, from: &Arc<Caller>, frame: Frame) {
        if let Some(id) = frame.cancelled()
            && let Some(token) = lock(&self.starting).get(&(from.id, id.clone()))
        {
            return token.cancel();
        }
        if frame.method() == method::PROGRESS {
            match unmarked(&frame) {
                Some((server, frame)) => self.tell(server, from, frame),
                None => debug!("progress on something that no server asked for"),
            }
            return;
        }
        self.whole.all().for_each(|server| self.tell(server, from, frame.clone()));
    }

    /// Tells a server, if it is there. Waits for none: the others are not to wait with it.
    pub(super) fn tell(&self, server: usize, from: &Arc<Caller>, frame: Frame) {
        let sent = self.open_way(server).map(|way| way.try_send(Envelope::one_way(from.clone(), frame)));
        if matches!(sent, Some(Err(TrySendError::Full(_)))) {
            debug!(server = self.whole.name(server), "a server does not read; a notification was dropped");
        }
    }

    /// Passes on a request that is for one server, or that all of them answer in the same way in both eras.
    pub(super) fn request(self: &Arc<Self>, from: Arc<Caller>, frame: Frame, reply: Reply) {
        if let Some(listing) = Listing::of(frame.method()) {
            self.whole.scope.spawn(self.clone().list(listing, from, frame, reply));
            return;
        }
        match frame.method() {
            method::TOOLS_CALL => self.by_name(Listing::Tools, from, frame, reply),
            method::PROMPTS_GET => self.by_name(Listing::Prompts, from, frame, reply),
            method::RESOURCES_READ | "resources/subscribe" | "resources/unsubscribe" => {
                self.by_uri(from, frame, reply);
            }
            "completion/complete" => match reference(&frame).as_deref() {
                Some("ref/prompt") => self.by_name(Listing::Prompts, from, frame, reply),
                Some("ref/resource") => self.by_uri(from, frame, reply),
                _ => reply.fail(code::INVALID_PARAMS, "the ref is neither a ref/prompt nor a ref/resource", None),
            },
            other => {
                let text =
                    format!("{other} is not there where several servers are one; ask one of them at /servers/<name>");
                reply.fail(code::METHOD_NOT_FOUND, &text, None);
            }
        }
    }

    fn by_name(self: &Arc<Self>, listing: Listing, from: Arc<Caller>, frame: Frame, reply: Reply) {
        let Some(name) = subject(&frame, "name") else {
            return reply.fail(code::INVALID_PARAMS, "the params have to have a name, once, and a string", None);
        };
        let Some((server, own)) = self.whole.names.owner(&name) else {
            return reply.fail(code::INVALID_PARAMS, &unknown(listing, &name), None);
        };
        if !Names::is_short(&name) {
            return self.deliver(server, from, renamed(&frame, own), reply);
        }
        if let Some(own) = self.whole.uncut(listing, &name) {
            return self.deliver(server, from, renamed(&frame, &own), reply);
        }
        let (this, own) = (self.clone(), own.to_owned());
        self.whole.scope.spawn(async move {
            this.learn(listing, server, &from, &frame).await;
            let own = this.whole.uncut(listing, &name).unwrap_or(own);
            this.deliver(server, from, renamed(&frame, &own), reply);
        });
    }

    fn by_uri(self: &Arc<Self>, from: Arc<Caller>, frame: Frame, reply: Reply) {
        let Some(uri) = subject(&frame, "uri") else {
            return reply.fail(code::INVALID_PARAMS, "the params have to have a uri, once, and a string", None);
        };
        let owner = super::lock(&self.whole.owners).of(&uri);
        if let Some(server) = owner {
            return self.deliver(server, from, frame, reply);
        }
        let likely = super::lock(&self.whole.owners).likely(&uri);
        let others = self.whole.having("resources").into_iter().filter(|server| Some(*server) != likely);
        let servers: Vec<usize> = likely.into_iter().chain(others).collect();
        match *servers {
            [] => reply.fail(missing(from.era), "there is no such resource: no server has any", None),
            [only] => self.deliver(only, from, frame, reply),
            _ => drop(self.whole.scope.spawn(self.clone().try_all(servers, uri, from, frame, reply))),
        }
    }

    /// Sends a request to its server: at once where that is open, so that the order of requests stays.
    pub(super) fn deliver(self: &Arc<Self>, server: usize, from: Arc<Caller>, frame: Frame, reply: Reply) {
        reply.routed(self.whole.name(server), &frame);
        let reply = reply.through(move |frame| marked(server, frame));
        let envelope = Envelope { from, frame, reply: Some(reply) };
        let envelope = match (&self.ways, self.open_way(server)) {
            (Ways::Session(_), Some(way)) => match way.try_send(envelope) {
                Ok(()) => return,
                Err(TrySendError::Full(envelope)) => {
                    let text = format!("the server {} does not read; try again later", self.whole.name(server));
                    return envelope.reply.into_iter().for_each(|reply| reply.fail(code::LIMIT, &text, None));
                }
                Err(TrySendError::Closed(envelope)) => envelope,
            },
            _ => envelope,
        };
        self.whole.scope.spawn(self.clone().start(server, envelope));
    }

    /// Opens the server for a request, unless that is taken back.
    async fn start(self: Arc<Self>, server: usize, envelope: Envelope) {
        let Envelope { from, frame, reply: Some(reply) } = envelope else { return };
        let Kind::Request(id) = frame.kind() else { return };
        let (key, token) = ((from.id, id.clone()), CancellationToken::new());
        lock(&self.starting).insert(key.clone(), token.clone());
        let way = tokio::select! {
            way = self.way(server, &from) => Some(way),
            () = token.cancelled() => None,
        };
        let sent = match way {
            None => {
                reply.fail(code::CANCELLED, text::CANCELLED, None);
                None
            }
            Some(Err(why)) => {
                let text = format!("the server {} cannot be used: {why}", self.whole.name(server));
                reply.fail(code::INTERNAL, &text, None);
                None
            }
            Some(Ok(way)) => {
                let withdrawal = Envelope::one_way(from.clone(), cancellation(frame.id_text(), None));
                // A server that is gone drops the envelope, and the reply in it answers.
                drop(way.send(Envelope { from, frame, reply: Some(reply) }).await);
                Some((way, withdrawal))
            }
        };
        lock(&self.starting).remove(&key);
        if let Some((way, withdrawal)) = sent.filter(|_| token.is_cancelled()) {
            drop(way.send(withdrawal).await);
        }
    }
}

/// The type of what is to be completed.
fn reference(frame: &Frame) -> Option<String> {
    let params = Object::parse(frame.body()?)?;
    let reference = Object::parse(json::member(&params, "ref")?)?;
    json::string(reference.get("type")?).map(|text| text.into_owned())
}

/// A member of the params, or of the `ref` in them.
fn subject(frame: &Frame, key: &str) -> Option<String> {
    let params = Object::parse(frame.body()?)?;
    let object = match json::member(&params, "ref") {
        Some(reference) if frame.method() == "completion/complete" => Object::parse(reference)?,
        _ => params,
    };
    json::string(object.get(key)?).map(|text| text.into_owned())
}

/// The request with the server's own word for what it names.
fn renamed(frame: &Frame, own: &str) -> Frame {
    let mut params = frame.body().and_then(Object::parse).unwrap_or_default();
    match json::member(&params, "ref").and_then(Object::parse) {
        Some(mut reference) if frame.method() == "completion/complete" => {
            reference.set("name", json::quote(own));
            params.set("ref", reference.text());
        }
        _ => drop(params.set("name", json::quote(own))),
    }
    frame.with_body(&params)
}

fn unknown(listing: Listing, name: &str) -> String {
    match listing {
        Listing::Tools => gate::unknown(name),
        _ => gate::unknown(name).replacen("tool", "prompt", 1),
    }
}

/// The code for a resource that is not there (2025-11-25 and 2026-07-28, Resources, Error Handling).
pub(super) fn missing(era: Era) -> i32 {
    match era {
        Era::Legacy => code::RESOURCE_NOT_FOUND,
        Era::Modern => code::INVALID_PARAMS,
    }
}
