//! A subscription of the modern era at all servers (2026-07-28, Subscriptions).
//!
//! Owns the one acknowledgement, which grants what any server grants. Talks to the servers through the line, each of which
//! has the caller's filter with the resources that are its own. What they bring names the caller's own id already. It never
//! ends the subscription before the last server has.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{
    StreamExt as _,
    future::join_all,
    stream::{BoxStream, SelectAll, poll_fn, select_all},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tracing::{debug, warn};

use super::{line::Line, lock};
use crate::{
    aggregate::marked,
    json::{self, Object},
    message::{Frame, Kind, code},
    peer::{Caller, Envelope, Reply},
    protocol::{ErrorHead, LISTS, cancellation, meta, method, subscription_ended},
};

/// Messages of one subscription that wait for its caller.
const CAPACITY: usize = 512;

/// How long the servers' acknowledgements are waited for; what a later one grants is told all the same.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

/// What servers bring before the one acknowledgement. Servers that say more lose the rest: whoever has just subscribed has
/// not read anything yet.
const MAX_EARLY: usize = 64;

const URIS: &str = "resourceSubscriptions";

impl Line {
    /// Serves a subscription until it ends.
    pub(super) async fn listen(self: Arc<Self>, from: Arc<Caller>, frame: Frame, reply: Reply) {
        let params = frame.body().and_then(Object::parse).unwrap_or_default();
        let Some(filter) = json::member(&params, "notifications").and_then(Object::parse) else {
            return reply.fail(code::INVALID_PARAMS, "the params have to have notifications, an object", None);
        };
        let asked = self.whole.all().filter_map(|server| {
            let mut params = params.clone();
            params.set("notifications", self.filter_of(server, &filter)?.text());
            let (frame, this, from) = (frame.with_body(&params), &self, &from);
            Some(async move {
                let asked = timeout(ACKNOWLEDGED, this.listen_to(server, from, frame)).await;
                let asked = asked.unwrap_or_else(|_| Err("it is not there in time".into()));
                let told = asked.inspect_err(|why| warn!(server = this.whole.name(server), "not listened to: {why}"));
                told.ok()
            })
        });
        let streams: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        let all = select_all(streams);
        Stream { line: &self, from: &from, open: all.len(), all, acknowledged: HashSet::new(), ended: Vec::new() }
            .run(reply)
            .await;
    }

    async fn listen_to(&self, server: usize, from: &Arc<Caller>, frame: Frame) -> Result<Said, String> {
        let way = self.way(server, from).await?;
        let gone = || "it is gone".to_owned();
        let (tx, mut rx) = mpsc::channel(CAPACITY);
        let reply = Reply::on(tx, &frame, from).await.map_err(|_| gone())?.through(move |frame| marked(server, frame));
        way.send(Envelope { from: from.clone(), frame, reply: Some(reply) }).await.map_err(|_| gone())?;
        Ok(poll_fn(move |cx| rx.poll_recv(cx)).map(move |envelope| (server, envelope)).boxed())
    }

    /// What a server is asked to tell of; `None` for nothing.
    fn filter_of<'f>(&self, server: usize, filter: &Object<'f>) -> Option<Object<'f>> {
        let may_have = |group: &str| self.whole.having(group).contains(&server);
        let mut own = filter.clone();
        own.retain(|key| LISTS.iter().find(|list| list.filter == key).is_none_or(|list| may_have(list.capability)));
        if let Some(uris) = json::member(filter, URIS).and_then(json::array) {
            let owners = lock(&self.whole.owners);
            let is_own =
                |uri: &&str| json::string(uri).is_some_and(|uri| owners.of(&uri).is_none_or(|owner| owner == server));
            let uris: Vec<&str> = uris.into_iter().filter(is_own).filter(|_| may_have("resources")).collect();
            match uris.is_empty() {
                true => drop(own.remove(URIS)),
                false => drop(own.set(URIS, json::join(uris))),
            }
        }
        (!own.is_empty() || filter.is_empty()).then_some(own)
    }
}

/// What a server says, with its number.
type Said = BoxStream<'static, (usize, Envelope)>;

struct Stream<'a> {
    line: &'a Line,
    from: &'a Arc<Caller>,
    /// How many servers were asked.
    open: usize,
    all: SelectAll<Said>,
    /// The servers that took it, or will not.
    acknowledged: HashSet<usize>,
    /// The answers.
    ended: Vec<Frame>,
}

impl Stream<'_> {
    async fn run(mut self, reply: Reply) {
        let gone = tokio::select! {
            () = self.pass(&reply) => false,
            () = reply.gone() => true,
        };
        if gone {
            for server in self.line.whole.all() {
                self.line.tell(server, self.from, cancellation(reply.id_text(), None));
            }
            return;
        }
        let ended = self.ended.iter().any(|answer| !answer.is_error());
        match self.ended.first() {
            Some(refused) if !ended => reply.answer(refused.clone()),
            _ => {
                let answer = Frame::result(reply.id_text(), &subscription_ended(reply.id_text()));
                reply.answer(answer);
            }
        }
    }

    /// Ends when the last server has.
    async fn pass(&mut self, reply: &Reply) {
        let mut granted = Granted::default();
        let mut early = Vec::new();
        let until = Instant::now() + ACKNOWLEDGED;
        while self.acknowledged.len() < self.open {
            let Ok(Some((server, envelope))) = timeout_at(until, self.all.next()).await else { break };
            if let Kind::Response(_) = envelope.frame.kind() {
                self.over(envelope.frame);
                self.acknowledged.insert(server);
            } else if envelope.frame.method() == method::ACKNOWLEDGED {
                granted.add(&envelope.frame);
                self.acknowledged.insert(server);
            } else if early.len() < MAX_EARLY {
                early.push(envelope);
            }
        }
        if self.ended.len() == self.open && granted.is_empty() {
            return; // Nobody took it: the caller hears why.
        }
        let news = Envelope::one_way(self.from.clone(), granted.frame(reply.id_text()));
        // Whether anybody listens, `run` sees.
        let _ = reply.update(news).await;
        for envelope in early {
            let _ = reply.update(envelope).await;
        }
        while let Some((_, envelope)) = self.all.next().await {
            match envelope.frame.kind() {
                Kind::Response(_) => self.over(envelope.frame),
                _ if envelope.frame.method() == method::ACKNOWLEDGED => debug!("a late acknowledgement"),
                _ => {
                    let _ = reply.update(envelope).await;
                }
            }
        }
    }

    fn over(&mut self, answer: Frame) {
        if let Some(ErrorHead { message, .. }) = ErrorHead::of(&answer) {
            debug!("a server tells of nothing: {message}");
        }
        self.ended.push(answer);
    }
}

/// What any server grants.
#[derive(Debug, Default)]
struct Granted {
    any: bool,
    lists: [bool; LISTS.len()],
    uris: Option<Vec<String>>,
}

impl Granted {
    fn is_empty(&self) -> bool {
        !self.any
    }

    fn add(&mut self, acknowledgement: &Frame) {
        self.any = true;
        let params = acknowledgement.body().and_then(Object::parse).unwrap_or_default();
        let Some(filter) = json::member(&params, "notifications").and_then(Object::parse) else { return };
        for (granted, list) in self.lists.iter_mut().zip(LISTS) {
            *granted |= filter.get(list.filter) == Some("true");
        }
        if let Some(uris) = filter.get(URIS).and_then(json::array) {
            let known = self.uris.get_or_insert_default();
            for uri in uris {
                if !known.iter().any(|known| known == uri) {
                    known.push(uri.to_owned());
                }
            }
        }
    }

    fn frame(&self, id: &str) -> Frame {
        let mut filter = Object::new();
        for (_, list) in self.lists.iter().zip(LISTS).filter(|(granted, _)| **granted) {
            filter.set(list.filter, "true");
        }
        if let Some(uris) = &self.uris {
            filter.set(URIS, json::join(uris));
        }
        let params = format!("{{\"notifications\":{filter},\"_meta\":{{\"{}\":{id}}}}}", meta::SUBSCRIPTION_ID);
        Frame::notification(method::ACKNOWLEDGED, Some(&params))
    }
}
