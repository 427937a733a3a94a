//! One conversation: which face a message is for, calls that wait, and what both faces serve alike. Owns the state that
//! is the server's and not a client's. Talks to `wire` for bytes, to `legacy` and `modern` for the rules of an era.
//! Never reads or writes a stream.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::{AbortHandle, BoxFuture, abortable};
use futures::stream::FuturesUnordered;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::legacy::{self, Session};
use super::modern::{self, Listens};
use super::terms::{Answer, Reply, Work, params};
use super::wire::{Home, Line, Message, Outbox, Params, RpcError, parse};
use super::{Eras, NAME, ToolSet, complain, content};
use crate::protocol::{RequestMeta, method};

/// Calls that may wait at one time; a client that never answers `ask` would fill the memory.
const MAX_CALLS: usize = 4096;

const INSTRUCTIONS: &str = "A demonstration server. Try the tools echo, add and slow, read demo://counter, and call touch \
                            to change it.";

/// Who this server says it is.
pub(super) fn identity() -> Value {
    json!({"name": NAME, "title": "mcp-bridge demo", "version": env!("CARGO_PKG_VERSION")})
}

/// What both faces offer, with `instructions`.
pub(super) fn offer() -> (Value, &'static str) {
    let capabilities = json!({
        "tools": {"listChanged": true},
        "resources": {"subscribe": true},
        "prompts": {},
        "completions": {},
        "logging": {},
    });
    (capabilities, INSTRUCTIONS)
}

/// Calls that wait. They run side by side, and each answers when it is done.
#[derive(Default)]
pub(super) struct Calls<'a> {
    /// Gives the id of a finished call; `None` for a cancelled one and for work that no request waits for.
    pub(super) running: FuturesUnordered<BoxFuture<'a, Option<Box<str>>>>,
    by_id: HashMap<Box<str>, AbortHandle>,
}

impl<'a> Calls<'a> {
    fn start(&mut self, id: &RawValue, home: Home<'a>, work: Work<'a>) {
        if self.by_id.len() >= MAX_CALLS {
            return home
                .error(id, &RpcError::new(-32000, format!("{MAX_CALLS} calls are waiting; wait for some of them")));
        }
        let (work, handle) = abortable(work);
        self.by_id.insert(id.get().into(), handle);
        let id = id.to_owned();
        self.running.push(Box::pin(async move {
            match work.await.ok()? {
                Ok(result) => home.result(&id, &result),
                Err(error) => home.error(&id, &error),
            }
            Some(id.get().into())
        }));
    }

    /// Stops a call. No answer follows (basic/utilities/cancellation, "Behavior Requirements"). An unknown id is
    /// ignored: the answer may have crossed the cancellation on the way.
    fn cancel(&mut self, id: &RawValue) {
        if let Some(call) = self.by_id.remove(id.get()) {
            call.abort();
        }
    }

    pub(super) fn forget(&mut self, done: Option<Box<str>>) {
        done.map(|id| self.by_id.remove(&id));
    }
}

/// What clients can be told of.
#[derive(Clone, Copy)]
pub(super) enum Change<'c> {
    Tools,
    Resource(&'c str),
}

/// One conversation. A client may speak both eras in it, and both see the same tools and resources.
pub(super) struct Server {
    pub(super) out: Outbox,
    pub(super) tools: ToolSet,
    pub(super) session: Session,
    pub(super) listens: Listens,
    eras: Eras,
    counter: AtomicU64,
    extra_tool: AtomicBool,
    crash: OnceLock<u8>,
}

impl Server {
    pub(super) fn new(tools: ToolSet, eras: Eras) -> Self {
        Self {
            out: Outbox::default(),
            tools,
            session: Session::default(),
            listens: Listens::default(),
            eras,
            counter: AtomicU64::new(0),
            extra_tool: AtomicBool::new(false),
            crash: OnceLock::new(),
        }
    }

    /// Takes in one line. Never waits: work that must wait goes into `calls`.
    pub(super) fn receive<'a>(&'a self, line: &[u8], calls: &mut Calls<'a>) {
        match parse(line) {
            Some(Line::One(message)) => self.handle(message, Home::Line(&self.out), calls),
            Some(Line::Batch(batch)) if self.session.has_batches() => {
                let home = Home::batch(&self.out);
                batch.into_iter().for_each(|message| self.handle(message, home.clone(), calls));
            }
            // As the official SDKs do: an error without an id helps nobody, and two peers that do it answer for ever.
            _ if line.trim_ascii().is_empty() => {}
            _ => complain(format_args!(
                "ignored a line of {} bytes that is no message; send one JSON-RPC object per line",
                line.len()
            )),
        }
    }

    fn handle<'a>(&'a self, message: Message<'_>, home: Home<'a>, calls: &mut Calls<'a>) {
        match message {
            Message::Request { id, method, params } => {
                let answer = match calls.by_id.contains_key(id.get()) || self.listens.contains(id) {
                    true => {
                        Err(RpcError::new(-32600, format!("the id {id} is in use by a call that is still running")))
                    }
                    false => self.answer(id, &method, params, matches!(home, Home::Batch(_))),
                };
                match answer {
                    Ok(Reply::Now(result)) => home.result(id, &result),
                    Ok(Reply::Echo(result)) => home.result(id, &result),
                    Ok(Reply::Later(work)) => calls.start(id, home, work),
                    Ok(Reply::Task(work, keep)) => match self.session.tasks.start(work, keep) {
                        Ok((created, work)) => {
                            calls.running.push(Box::pin(async {
                                work.await;
                                None
                            }));
                            home.result(id, &created);
                        }
                        Err(error) => home.error(id, &error),
                    },
                    Ok(Reply::Open) => {}
                    Err(error) => home.error(id, &error),
                }
            }
            Message::Notification { method, params } => self.notice(&method, params, calls),
            Message::Response { id, outcome } => self.session.answered(id, outcome),
        }
    }

    /// A request with the metadata of the modern era is served by that whatever came before; all else belongs to the
    /// session (2026-07-28, Versioning and Compatibility, Backward Compatibility with Initialization-Based Versions).
    fn answer<'a, 'm>(&'a self, id: &RawValue, name: &str, params: Params<'m>, in_batch: bool) -> Answer<'a, 'm> {
        let meta = || params.and_then(|params| RequestMeta::in_params(params.get()));
        let (modern, meta) = match self.eras {
            Eras::Legacy => (false, None),
            Eras::Modern => (true, meta()),
            Eras::Both if name == method::INITIALIZE => (false, None),
            Eras::Both => {
                let meta = meta();
                (meta.is_some() || name == method::DISCOVER, meta)
            }
        };
        match (modern, name) {
            (false, method::INITIALIZE) | (true, _) if in_batch => {
                Err(RpcError::new(-32600, format!("{name} cannot be part of a batch; send it on a line of its own")))
            }
            (true, _) => modern::answer(self, id, name, params, meta),
            (false, _) => legacy::answer(self, name, params),
        }
    }

    /// Notifications that mean nothing to us are ignored, as the protocol wants: there is nowhere to answer.
    fn notice<'a>(&'a self, name: &str, raw: Params<'_>, calls: &mut Calls<'a>) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Cancelled<'m> {
            #[serde(borrow)]
            request_id: &'m RawValue,
        }
        match name {
            method::CANCELLED => {
                if let Ok(Cancelled { request_id }) = params(raw) {
                    calls.cancel(request_id);
                    self.listens.cancel(request_id);
                }
            }
            "notifications/roots/list_changed" if self.session.is_open() => calls.running.push(Box::pin(async {
                self.session.take_roots(&self.out).await;
                None
            })),
            _ => {}
        }
    }

    /// Tells every client that asked to be told.
    fn changed(&self, change: Change<'_>) {
        self.session.tell(&self.out, change);
        self.listens.tell(&self.out, change);
    }

    pub(super) fn counter(&self) -> u64 {
        self.counter.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self) -> u64 {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        self.changed(Change::Resource(content::COUNTER));
        counter
    }

    pub(super) fn has_extra_tool(&self) -> bool {
        self.extra_tool.load(Ordering::Relaxed)
    }

    /// Adds or removes the tool `extra`, and tells the clients. Says whether it is there now.
    pub(super) fn toggle_extra_tool(&self) -> bool {
        let there = !self.extra_tool.fetch_xor(true, Ordering::Relaxed);
        self.changed(Change::Tools);
        there
    }

    /// Makes `serve` end, and the process exit with `code`.
    pub(super) fn crash(&self, code: u8) {
        self.crash.get_or_init(|| code);
    }

    pub(super) fn crashed(&self) -> Option<u8> {
        self.crash.get().copied()
    }
}
