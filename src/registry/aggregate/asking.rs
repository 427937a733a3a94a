//! What is asked of several servers: lists, and who has a resource.
//!
//! Owns the questions and the patience with each server. Talks to the servers through the line. It never lets one server's
//! failure or silence spoil what the others say.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use futures::future::join_all;
use tokio::{sync::mpsc, time::timeout};
use tracing::{debug, warn};

use super::{
    line::{Line, missing},
    lock,
};
use crate::{
    aggregate::{Listing, cursors, marked, merged},
    json::{self, Object},
    message::{Frame, Id, Kind, code},
    peer::{Caller, Envelope, Reply, Updates},
    protocol::{ErrorHead, cancellation, meta_beside, method},
};

/// Messages of one question that wait.
const CAPACITY: usize = 64;

/// Pages of a list that is asked for to find a name.
const MAX_PAGES: usize = 32;

impl Line {
    /// Asks one server, however long it takes; gives its answer. What it says ahead of that goes to the caller.
    async fn ask(
        &self,
        server: usize,
        from: &Arc<Caller>,
        frame: &Frame,
        updates: Option<&Updates>,
    ) -> Result<Frame, String> {
        let way = self.way(server, from).await?;
        let (tx, mut rx) = mpsc::channel(CAPACITY);
        let gone = || "it is gone".to_owned();
        let reply = Reply::on(tx, frame, from).await.map_err(|_| gone())?.through(move |frame| marked(server, frame));
        let envelope = Envelope { from: from.clone(), frame: frame.clone(), reply: Some(reply) };
        way.send(envelope).await.map_err(|_| gone())?;
        drop(way);
        // Ends with the answer, which always comes.
        while let Some(envelope) = rx.recv().await {
            match (envelope.frame.kind(), updates) {
                (Kind::Response(_), _) => return Ok(envelope.frame),
                (_, Some(updates)) => drop(updates.send(envelope).await),
                (_, None) => debug!("a server said something about a question of the bridge's own"),
            }
        }
        Err(gone())
    }

    /// The same with patience. An error that the server answers is one here, too.
    pub(super) async fn ask_soon(
        &self,
        server: usize,
        from: &Arc<Caller>,
        frame: &Frame,
        updates: Option<&Updates>,
    ) -> Result<Frame, Failure> {
        let patience = self.whole.patience(server);
        let unready = if self.is_open(server) { None } else { self.whole.unready(server) };
        let asked = async {
            match unready {
                Some(why) => Err(why),
                None => self.ask(server, from, frame, updates).await,
            }
        };
        let failure = match timeout(patience, asked).await {
            Ok(Ok(answer)) => match ErrorHead::of(&answer) {
                Some(ErrorHead { code: Some(code::METHOD_NOT_FOUND), .. }) => return Err(Failure::Nothing),
                Some(ErrorHead { message, .. }) => (message, false),
                None => {
                    self.whole.let_in(server);
                    return Ok(answer);
                }
            },
            Ok(Err(why)) => (why, false),
            Err(_) => {
                self.tell(server, from, cancellation(frame.id_text(), Some("timeout")));
                (format!("it did not answer {} in time", frame.method()), true)
            }
        };
        self.whole.leave_out(server, &failure.0, failure.1);
        Err(Failure::Because(failure.0))
    }

    /// Answers with the lists of all servers.
    pub(super) async fn list(self: Arc<Self>, listing: Listing, from: Arc<Caller>, frame: Frame, reply: Reply) {
        let Some(params) = frame.body().map_or_else(|| Some(Object::new()), Object::parse) else {
            return reply.fail(code::INVALID_PARAMS, "the params have to be an object without double keys", None);
        };
        let Some(from_where) = self.places(listing, params.get("cursor")) else {
            return reply.fail(code::INVALID_PARAMS, "this cursor is none of this list; ask without one", None);
        };
        let updates = reply.updates();
        let (this, params, caller, frame, updates) = (&*self, &params, &from, &frame, &updates);
        let pages = from_where.into_iter().map(|(server, cursor)| async move {
            let asked = match (&cursor, frame.body()) {
                (None, _) => frame.clone(),
                (Some(cursor), _) => frame.with_body(params.clone().set("cursor", json::quote(cursor))),
            };
            (server, this.ask_soon(server, caller, &asked, Some(updates)).await)
        });
        let mut listed = Vec::new();
        let mut failed = None;
        for (server, page) in join_all(pages).await {
            let name = self.whole.name(server);
            match page {
                Ok(page) => listed.push((server, name, page.body().unwrap_or_default().to_owned())),
                Err(Failure::Nothing) => {}
                Err(Failure::Because(why)) => {
                    failed.get_or_insert_with(|| format!("no server answers; {name}: {why}"));
                }
            }
        }
        match failed {
            Some(why) if listed.is_empty() => reply.fail(code::INTERNAL, &why, None),
            _ => {
                let claim = |server, seen: &str, own: &str| self.whole.claim(listing, server, seen, own);
                let result = merged(listing, from.era, &self.whole.names, &listed, claim);
                let answer = Frame::result(reply.id_text(), &result);
                reply.answer(answer);
            }
        }
    }

    /// Which servers go on, and where. `None` for a cursor that nobody here gave.
    fn places(&self, listing: Listing, cursor: Option<&str>) -> Option<Vec<(usize, Option<String>)>> {
        let Some(cursor) = cursor else {
            let all = self.whole.having(listing.capability());
            return Some(all.into_iter().map(|server| (server, None)).collect());
        };
        let cursor = json::string(cursor)?;
        let number = |name: String| self.whole.all().find(|server| self.whole.name(*server) == name);
        cursors(&cursor)?.into_iter().map(|(name, own)| Some((number(name)?, Some(own)))).collect()
    }

    /// Has a server list all it has, on account of a call: names that were cut are known then.
    pub(super) async fn learn(&self, listing: Listing, server: usize, from: &Arc<Caller>, call: &Frame) {
        static COUNT: AtomicI64 = AtomicI64::new(1);
        let meta = meta_beside(call);
        let method = if listing == Listing::Tools { method::TOOLS_LIST } else { "prompts/list" };
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let id = Id::Text(format!("mcp-bridge/names/{}", COUNT.fetch_add(1, Ordering::Relaxed)).into());
            let mut params = Object::new();
            if meta != "{}" {
                params.set("_meta", meta.as_str());
            }
            if let Some(cursor) = cursor.take() {
                params.set("cursor", cursor);
            }
            let asked = Frame::request_of(&id, method, &params);
            let Ok(page) = self.ask_soon(server, from, &asked, None).await else { return };
            let Some(page) = page.body().and_then(Object::parse) else { return };
            let listed = json::member(&page, listing.key()).and_then(json::array).unwrap_or_default();
            for entry in listed.into_iter().filter_map(Object::parse) {
                if let Some(own) = entry.get("name").and_then(json::string) {
                    self.whole.claim(listing, server, &self.whole.names.exposed(server, &own), &own);
                }
            }
            cursor = page.get("nextCursor").filter(|cursor| cursor.starts_with('"')).map(str::to_owned);
            if cursor.is_none() {
                return;
            }
        }
    }

    /// Asks one server after the other for a resource that no list named, until one has it.
    pub(super) async fn try_all(
        self: Arc<Self>,
        servers: Vec<usize>,
        uri: String,
        from: Arc<Caller>,
        frame: Frame,
        reply: Reply,
    ) {
        let updates = reply.updates();
        let mut refused: Option<(bool, Frame)> = None;
        for server in servers {
            if reply.is_gone() {
                return;
            }
            let answer = match self.ask(server, &from, &frame, Some(&updates)).await {
                Ok(answer) => answer,
                Err(why) => {
                    warn!(server = self.whole.name(server), "not asked for a resource: {why}");
                    continue;
                }
            };
            match ErrorHead::code_of(&answer) {
                None if !answer.is_error() => {
                    lock(&self.whole.owners).learn(&uri, server);
                    return reply.answer(answer);
                }
                Some(code::CANCELLED) => return reply.answer(answer),
                found => {
                    // Why a server that knows the resource refuses it says more than that another one does not know it.
                    let plain = [code::METHOD_NOT_FOUND, code::RESOURCE_NOT_FOUND, code::INVALID_PARAMS];
                    let says_more = found.is_none_or(|code| !plain.contains(&code));
                    if refused.as_ref().is_none_or(|(already, _)| says_more && !already) {
                        refused = Some((says_more, answer));
                    }
                }
            }
        }
        match refused {
            Some((_, answer)) => reply.answer(answer),
            None => reply.fail(missing(from.era), "no server has this resource", None),
        }
    }
}

/// Why a server has no part in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It does not know the method: it has nothing of the kind.
    Nothing,
    /// Anything else.
    Because(String),
}
