//! The protocol: lifecycle, who gets called for which method, calls that wait, and requests to the client. Owns all
//! state of the conversation. Talks to `wire` for bytes and to `tools` and `content` for what is offered. Never reads
//! or writes a stream.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use futures::future::{AbortHandle, BoxFuture, abortable};
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::wire::{Home, Line, Message, Outbox, Params, RpcError, lock, parse};
use super::{NAME, ToolSet, complain, content, tools};

/// The revisions spoken, oldest first. The last is offered to a client that asks for one not listed.
const VERSIONS: [&str; 4] = ["2024-11-05", BATCHES, "2025-06-18", "2025-11-25"];
/// The only revision with batches.
const BATCHES: &str = "2025-03-26";
/// Calls that may wait at one time; a client that never answers `ask` would fill the memory.
const MAX_CALLS: usize = 4096;

const INSTRUCTIONS: &str = "A demonstration server. Try the tools echo, add and slow, read demo://counter, and call touch \
                            to change it.";

/// The levels of `notifications/message`, least severe first (server/utilities/logging, "Log Levels").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// What both sides agreed on, and so what a request may rely on.
pub(super) struct Terms {
    pub(super) version: &'static str,
    pub(super) client: Value,
    pub(super) capabilities: Value,
}

/// An answer, or how to come by it.
pub(super) enum Reply<'a, 'm> {
    Now(Value),
    /// A tool result with this JSON string as its text. The bytes go back as they came.
    Echo(&'m RawValue),
    /// Work that waits. Dropping it is how it is cancelled.
    Later(BoxFuture<'a, Result<Value, RpcError>>),
}

pub(super) type Answer<'a, 'm> = Result<Reply<'a, 'm>, RpcError>;

/// Serves one method: `tools/list`, `resources/read` and so on.
type Feature = for<'a, 'm> fn(&'a Server, &Terms, Params<'m>) -> Answer<'a, 'm>;

/// Reads params into `T`. Absent params are an empty object.
pub(super) fn params<'m, T: Deserialize<'m>>(raw: Params<'m>) -> Result<T, RpcError> {
    let text = raw.map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(RpcError::params("params must be an object"));
    }
    serde_json::from_str(text).map_err(|error| RpcError::params(format!("params do not fit: {error}")))
}

/// Calls that wait. They run side by side, and each answers when it is done.
#[derive(Default)]
pub(super) struct Calls<'a> {
    /// Gives the id of a finished call; `None` for a cancelled one and for work that no request began.
    pub(super) running: FuturesUnordered<BoxFuture<'a, Option<Box<str>>>>,
    by_id: HashMap<Box<str>, AbortHandle>,
}

impl<'a> Calls<'a> {
    fn start(&mut self, id: &RawValue, home: Home<'a>, work: BoxFuture<'a, Result<Value, RpcError>>) {
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

struct State {
    terms: Option<Arc<Terms>>,
    level: Level,
    subscribed: BTreeSet<String>,
    counter: u64,
    extra_tool: bool,
    /// The client's answer to the last `roots/list` that its `roots/list_changed` led to.
    roots: Value,
}

/// One conversation.
pub(super) struct Server {
    pub(super) out: Outbox,
    pub(super) tools: ToolSet,
    state: Mutex<State>,
    /// Requests to the client that it has not answered yet.
    asked: Mutex<HashMap<u64, oneshot::Sender<Result<Value, RpcError>>>>,
    last_asked: AtomicU64,
    crash: OnceLock<u8>,
}

impl Server {
    pub(super) fn new(tools: ToolSet) -> Self {
        let state = State {
            terms: None,
            level: Level::Info,
            subscribed: BTreeSet::new(),
            counter: 0,
            extra_tool: false,
            roots: Value::Null,
        };
        Self {
            out: Outbox::default(),
            tools,
            state: Mutex::new(state),
            asked: Mutex::default(),
            last_asked: AtomicU64::new(0),
            crash: OnceLock::new(),
        }
    }

    /// Takes in one line. Never waits: work that must wait goes into `calls`.
    pub(super) fn receive<'a>(&'a self, line: &[u8], calls: &mut Calls<'a>) {
        match parse(line) {
            Some(Line::One(message)) => self.handle(message, Home::Line(&self.out), calls),
            Some(Line::Batch(batch)) if self.batches() => {
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
                let answer = match method.as_ref() {
                    _ if calls.by_id.contains_key(id.get()) => {
                        Err(RpcError::new(-32600, format!("the id {id} is in use by a call that is still running")))
                    }
                    "initialize" if matches!(home, Home::Batch(_)) => {
                        Err(RpcError::new(-32600, "initialize cannot be part of a batch"))
                    }
                    method => self.answer(method, params),
                };
                match answer {
                    Ok(Reply::Now(result)) => home.result(id, &result),
                    Ok(Reply::Echo(text)) => home.result(id, &tools::EchoResult::new(text)),
                    Ok(Reply::Later(work)) => calls.start(id, home, work),
                    Err(error) => home.error(id, &error),
                }
            }
            Message::Notification { method, params } => self.notice(&method, params, calls),
            Message::Response { id, outcome } => {
                // An id that is not ours any more belongs to a call that was cancelled meanwhile.
                let asker = id.get().parse().ok().and_then(|id: u64| lock(&self.asked).remove(&id));
                asker.map(|asker| asker.send(outcome));
            }
        }
    }

    /// The methods of the legacy revisions. What is not listed does not exist.
    fn answer<'a, 'm>(&'a self, method: &str, params: Params<'m>) -> Answer<'a, 'm> {
        let feature: Feature = match method {
            "initialize" => return self.initialize(params),
            "ping" => return Ok(Reply::Now(json!({}))), // also before initialize (basic/utilities/ping)
            "tools/list" => tools::list,
            "tools/call" => tools::call,
            "resources/list" => content::list_resources,
            "resources/templates/list" => content::list_templates,
            "resources/read" => content::read_resource,
            "resources/subscribe" => content::subscribe,
            "resources/unsubscribe" => content::unsubscribe,
            "prompts/list" => content::list_prompts,
            "prompts/get" => content::get_prompt,
            "completion/complete" => content::complete,
            "logging/setLevel" => Self::set_level,
            _ => return Err(RpcError::new(-32601, format!("this server has no method {method}"))),
        };
        feature(self, &*self.terms()?, params)
    }

    /// The terms of a request: what `initialize` settled for the whole conversation. From revision 2026-07-28 on each
    /// request will carry its own in `_meta`; this is the place to read them.
    fn terms(&self) -> Result<Arc<Terms>, RpcError> {
        let terms = lock(&self.state).terms.clone();
        terms.ok_or_else(|| RpcError::new(-32600, "the conversation has not begun; send initialize first"))
    }

    fn batches(&self) -> bool {
        self.terms().is_ok_and(|terms| terms.version == BATCHES)
    }

    /// Settles revision and capabilities (basic/lifecycle, "Initialization"). A revision that we do not speak is
    /// answered with the newest that we do; the client then stays or leaves.
    fn initialize<'a, 'm>(&'a self, raw: Params<'m>) -> Answer<'a, 'm> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Hello {
            protocol_version: String,
            #[serde(default)]
            capabilities: Value,
            #[serde(default)]
            client_info: Value,
        }
        let hello: Hello = params(raw)?;
        let [.., newest] = VERSIONS;
        let version = VERSIONS.into_iter().find(|version| *version == hello.protocol_version).unwrap_or(newest);
        let mut state = lock(&self.state);
        if state.terms.is_some() {
            return Err(RpcError::new(-32600, "the conversation has begun already; open a new one"));
        }
        state.terms = Some(Arc::new(Terms { version, client: hello.client_info, capabilities: hello.capabilities }));
        Ok(Reply::Now(json!({
            "protocolVersion": version,
            "capabilities": {
                "tools": {"listChanged": true},
                "resources": {"subscribe": true},
                "prompts": {},
                "completions": {},
                "logging": {},
            },
            "serverInfo": {"name": NAME, "title": "mcp-bridge demo", "version": env!("CARGO_PKG_VERSION")},
            "instructions": INSTRUCTIONS,
        })))
    }

    fn set_level<'a, 'm>(&'a self, _: &Terms, raw: Params<'m>) -> Answer<'a, 'm> {
        #[derive(Deserialize)]
        struct Wanted {
            level: Level,
        }
        lock(&self.state).level = params::<Wanted>(raw)?.level;
        Ok(Reply::Now(json!({})))
    }

    /// Notifications that mean nothing to us are ignored, as the protocol wants: there is nowhere to answer.
    fn notice<'a>(&'a self, method: &str, raw: Params<'_>, calls: &mut Calls<'a>) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Cancelled<'m> {
            #[serde(borrow)]
            request_id: &'m RawValue,
        }
        match method {
            "notifications/cancelled" => {
                let _ = params::<Cancelled>(raw).map(|cancelled| calls.cancel(cancelled.request_id));
            }
            "notifications/roots/list_changed" => calls.running.push(Box::pin(async {
                if let Ok(roots) = self.ask("roots/list", json!({})).await {
                    lock(&self.state).roots = roots;
                    self.updated(content::INFO);
                }
                None
            })),
            _ => {}
        }
    }

    /// Sends a request to the client and waits for its answer. Dropped while it waits, it tells the client so.
    ///
    /// The ids are 1, 2, 3 and so on. A client counts the same way; the two directions are separate.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        struct Asking<'a>(&'a Server, u64);
        impl Drop for Asking<'_> {
            fn drop(&mut self) {
                if lock(&self.0.asked).remove(&self.1).is_some() {
                    self.0.out.notify("notifications/cancelled", json!({"requestId": self.1}));
                }
            }
        }
        let id = self.last_asked.fetch_add(1, Ordering::Relaxed) + 1;
        let (asker, answer) = oneshot::channel();
        lock(&self.asked).insert(id, asker);
        let _asking = Asking(self, id);
        self.out.push(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        answer.await.unwrap_or_else(|_| Err(RpcError::new(-32603, "the client cannot be asked any more")))
    }

    /// Sends `notifications/message` unless the client set a higher level. Says whether it did.
    pub(super) fn log(&self, level: Level, data: Value) -> bool {
        let wanted = level >= lock(&self.state).level;
        if wanted {
            self.out.notify("notifications/message", json!({"level": level, "logger": "demo", "data": data}));
        }
        wanted
    }

    /// Tells the client that a resource changed, if it subscribed to that.
    fn updated(&self, uri: &str) {
        if lock(&self.state).subscribed.contains(uri) {
            self.out.notify("notifications/resources/updated", json!({"uri": uri}));
        }
    }

    pub(super) fn set_subscribed(&self, uri: &str, on: bool) {
        let subscribed = &mut lock(&self.state).subscribed;
        if on {
            subscribed.insert(uri.to_owned())
        } else {
            subscribed.remove(uri)
        };
    }

    pub(super) fn counter(&self) -> u64 {
        lock(&self.state).counter
    }

    pub(super) fn count(&self) -> u64 {
        let counter = {
            let mut state = lock(&self.state);
            state.counter += 1;
            state.counter
        };
        self.updated(content::COUNTER);
        counter
    }

    pub(super) fn roots(&self) -> Value {
        lock(&self.state).roots.clone()
    }

    pub(super) fn has_extra_tool(&self) -> bool {
        lock(&self.state).extra_tool
    }

    /// Adds or removes the tool `extra`, and tells the client. Says whether it is there now.
    pub(super) fn toggle_extra_tool(&self) -> bool {
        let there = {
            let mut state = lock(&self.state);
            state.extra_tool = !state.extra_tool;
            state.extra_tool
        };
        self.out.push(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
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
