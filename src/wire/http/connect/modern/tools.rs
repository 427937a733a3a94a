//! The tools of a modern server, as far as HTTP has a duty towards them.
//!
//! Owns the looking up of a tool's annotations before it is called, and the sifting of lists (2026-07-28, Tools,
//! `x-mcp-header`: a client over Streamable HTTP excludes a tool whose annotations are invalid). Writes into the
//! [`super::book`]. It changes a list only where it has to.

use std::sync::Arc;

use tracing::{debug, warn};

use super::{
    Server,
    book::{self, MAX_BOOK},
    exchange::headers,
};
use crate::{
    annotations::Annotations,
    json::{self, Object},
    message::{Frame, Id},
    peer::Reply,
    protocol::{meta_beside, method},
    wire::{
        http::mirror::{self, Tools},
        remote::Trouble,
    },
};

/// Pages that are read for one look-up. A server that goes on and on must not keep a call waiting for ever.
const MAX_PAGES: usize = 64;

impl Server {
    /// What the headers of a request repeat beside its subject, and by which edition of the book. A tool that the book
    /// does not know is looked up.
    pub(super) async fn annotations(&self, frame: &Frame) -> (Arc<Annotations>, u64) {
        let Some(tool) = called(frame) else { return Default::default() };
        match self.book.find(&tool) {
            (Some(annotations), edition) => (annotations, edition),
            (None, edition) => {
                let found = self.look_up(frame, &tool, edition).await;
                (found.unwrap_or_default(), self.book.find(&tool).1)
            }
        }
    }

    /// The same after the server found the headers wrong that `edition` says; `None` when nothing new can be had.
    pub(super) async fn look_up_again(&self, frame: &Frame, edition: u64) -> Option<Arc<Annotations>> {
        self.look_up(frame, &called(frame)?, edition).await
    }

    /// Lists the tools, unless another call has done so since `edition`. Where that fails the call is sent as it is: what
    /// the server says to that is a better answer than any of the bridge's own.
    async fn look_up(&self, call: &Frame, tool: &str, edition: u64) -> Option<Arc<Annotations>> {
        let _turn = self.book.turn.acquire().await;
        if let (Some(annotations), now) = self.book.find(tool)
            && now != edition
        {
            return Some(annotations);
        }
        match self.list(call, tool).await {
            Ok(tools) => {
                self.book.learn_all(&tools);
                let found = tools.into_iter().find(|(name, _)| name == tool);
                Some(Arc::new(found.map(|(_, annotations)| annotations).unwrap_or_default()))
            }
            Err(trouble) => {
                debug!("cannot list the tools of {}: {}", self.way.shown(), trouble.message);
                None
            }
        }
    }

    /// Lists the tools for a call, in its caller's name. Gives those that have annotations, and `wanted`.
    async fn list(&self, call: &Frame, wanted: &str) -> Result<Vec<(String, Annotations)>, Trouble> {
        let meta = meta_beside(call);
        let (mut tools, mut weight, mut cursor) = (Vec::new(), 0, None::<String>);
        for page in 0..MAX_PAGES {
            let params = match &cursor {
                None => format!("{{\"_meta\":{meta}}}"),
                Some(cursor) => format!("{{\"_meta\":{meta},\"cursor\":{}}}", json::quote(cursor)),
            };
            let id = Id::Text(format!("mcp-bridge/tools/{page}").into());
            let request = Frame::request(&id, method::TOOLS_LIST, Some(&params));
            let answer = self.attempt(&request, &headers(&request, &Annotations::default())?, None).await?;
            let Some(page) = answer.body().filter(|_| !answer.is_error()).and_then(Tools::read) else {
                // A server without a list has no annotations.
                debug!("{} does not list its tools", self.way.shown());
                return Ok(tools);
            };
            self.warn_of(&page);
            let annotated = page.good.into_iter().filter(|(name, kept)| !kept.is_empty() || name == wanted);
            for (name, annotations) in annotated {
                weight += book::weight(&name, &annotations);
                if weight <= MAX_BOOK || name == wanted {
                    tools.push((name, annotations));
                }
            }
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(tools);
            }
        }
        warn!("{} has more than {MAX_PAGES} pages of tools; read no further", self.way.shown());
        Ok(tools)
    }

    /// Learns from a list of tools that passes, and takes out those that may not be used. Any other answer passes.
    pub(super) async fn sift(&self, request: &Frame, answer: Frame, reply: &Reply) -> Frame {
        if request.method() != method::TOOLS_LIST || answer.is_error() {
            return answer;
        }
        let Some(page) = answer.body().and_then(Tools::read) else { return answer };
        self.warn_of(&page);
        if is_first(request) && page.cursor.is_none() {
            self.book.learn_all(&page.good);
        } else {
            self.book.learn(&page.good);
        }
        let Some(edited) = page.edited else { return answer };
        let edited = Frame::result(answer.id_text(), &edited);
        drop(answer); // Its room is free for its successor.
        self.reader.weighed(edited, self.reader_of(Some(reply))).await
    }

    fn warn_of(&self, page: &Tools) {
        for (tool, why) in &page.bad {
            if self.book.is_news(tool) {
                let shown = json::quote(tool);
                warn!("the tool {shown} of {} is left out: {why}; the server has to mend its schema", self.way.shown());
            }
        }
    }
}

/// The tool that a request calls.
fn called(frame: &Frame) -> Option<String> {
    let is_call = frame.method() == method::TOOLS_CALL;
    let subject = is_call.then(|| mirror::subject(frame).ok().flatten()).flatten();
    subject.map(|tool| tool.into_owned())
}

/// Whether a request asks for the first page.
fn is_first(request: &Frame) -> bool {
    let params = request.body().and_then(Object::parse).unwrap_or_default();
    params.get("cursor").is_none_or(|cursor| cursor == "null")
}
