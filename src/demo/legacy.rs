//! The legacy face: `initialize`, and all that a session keeps after it. Owns the session's state and the requests to its
//! client. Talks to [`Server`] and to what that offers. Never serves a request that carries its own terms.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::server::{self, Change, Server};
use super::tasks::{self, Tasks};
use super::terms::{Answer, Feature, Manner, Reply, Terms, params};
use super::wire::{Outbox, Params, RpcError, lock};
use super::{content, tools};
use crate::protocol::{Level, NEWEST_LEGACY, method};

/// The revisions spoken, oldest first. The last is offered to a client that asks for one not listed.
const VERSIONS: [&str; 4] = ["2024-11-05", BATCHES, "2025-06-18", NEWEST_LEGACY];
/// The only revision with batches.
const BATCHES: &str = "2025-03-26";
/// The only revision with tasks in its core.
pub(super) const TASKS_SINCE: &str = NEWEST_LEGACY;

/// The methods of the legacy revisions. What is not listed does not exist.
pub(super) fn answer<'a, 'm>(server: &'a Server, name: &str, params: Params<'m>) -> Answer<'a, 'm> {
    let feature: Feature = match name {
        method::INITIALIZE => return server.session.initialize(params),
        "ping" => return Ok(Reply::Now(json!({}))), // also before initialize (basic/utilities/ping)
        method::TOOLS_LIST => tools::list,
        method::TOOLS_CALL => tools::call,
        "resources/list" => content::list_resources,
        "resources/templates/list" => content::list_templates,
        method::RESOURCES_READ => content::read_resource,
        "resources/subscribe" => subscribe,
        "resources/unsubscribe" => unsubscribe,
        "prompts/list" => content::list_prompts,
        method::PROMPTS_GET => content::get_prompt,
        "completion/complete" => content::complete,
        "logging/setLevel" => set_level,
        "tasks/get" => tasks::get,
        "tasks/result" => tasks::result,
        "tasks/cancel" => tasks::cancel,
        _ => return Err(RpcError::new(-32601, format!("this server has no method {name}"))),
    };
    feature(server, &server.session.terms()?, params)
}

struct State {
    terms: Option<Arc<Terms>>,
    level: Level,
    subscribed: BTreeSet<String>,
    /// The client's answer to the last `roots/list` that its `roots/list_changed` led to.
    roots: Value,
}

/// What a legacy client has settled, and what it was asked. There is one in a process at most.
pub(super) struct Session {
    pub(super) tasks: Tasks,
    state: Mutex<State>,
    /// Requests to the client that it has not answered yet.
    asked: Mutex<HashMap<u64, oneshot::Sender<Result<Value, RpcError>>>>,
    last_asked: AtomicU64,
}

impl Default for Session {
    fn default() -> Self {
        let state = State { terms: None, level: Level::Info, subscribed: BTreeSet::new(), roots: Value::Null };
        Self {
            tasks: Tasks::default(),
            state: Mutex::new(state),
            asked: Mutex::default(),
            last_asked: AtomicU64::new(0),
        }
    }
}

impl Session {
    /// What `initialize` settled for the whole session.
    fn terms(&self) -> Result<Arc<Terms>, RpcError> {
        let terms = lock(&self.state).terms.clone();
        terms.ok_or_else(|| RpcError::new(-32600, "the conversation has not begun; send initialize first"))
    }

    pub(super) fn is_open(&self) -> bool {
        lock(&self.state).terms.is_some()
    }

    pub(super) fn has_batches(&self) -> bool {
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
            client_info: Option<Box<RawValue>>,
        }
        let hello: Hello = params(raw)?;
        let [.., newest] = VERSIONS;
        let version = VERSIONS.into_iter().find(|version| *version == hello.protocol_version).unwrap_or(newest);
        let mut state = lock(&self.state);
        if state.terms.is_some() {
            return Err(RpcError::new(-32600, "the conversation has begun already; open a new one"));
        }
        let client = hello.client_info.as_deref().map_or("null", RawValue::get).into();
        let theirs = hello.capabilities;
        let terms = Terms { version, client, capabilities: theirs, manner: Manner::Session };
        let (mut ours, instructions) = server::offer();
        if let Some(ours) = ours.as_object_mut().filter(|_| terms.has_tasks()) {
            ours.insert("tasks".to_owned(), tasks::capability());
        }
        state.terms = Some(Arc::new(terms));
        Ok(Reply::Now(json!({
            "protocolVersion": version,
            "capabilities": ours,
            "serverInfo": server::identity(),
            "instructions": instructions,
        })))
    }

    /// Sends a request to the client and waits for its answer. Dropped while it waits, it tells the client so.
    ///
    /// The ids are 1, 2, 3 and so on. A client counts the same way; the two directions are separate.
    pub(super) async fn ask(&self, out: &Outbox, name: &str, params: Value) -> Result<Value, RpcError> {
        struct Asking<'a>(&'a Session, &'a Outbox, u64);
        impl Drop for Asking<'_> {
            fn drop(&mut self) {
                if lock(&self.0.asked).remove(&self.2).is_some() {
                    self.1.notify(method::CANCELLED, json!({"requestId": self.2}));
                }
            }
        }
        let id = self.last_asked.fetch_add(1, Ordering::Relaxed) + 1;
        let (asker, answer) = oneshot::channel();
        lock(&self.asked).insert(id, asker);
        let _asking = Asking(self, out, id);
        out.push(&json!({"jsonrpc": "2.0", "id": id, "method": name, "params": params}));
        answer.await.unwrap_or_else(|_| Err(RpcError::new(-32603, "the client cannot be asked any more")))
    }

    /// Takes the client's answer. An id that is not ours any more belongs to a call that was cancelled meanwhile.
    pub(super) fn answered(&self, id: &RawValue, outcome: Result<Value, RpcError>) {
        let asker = id.get().parse().ok().and_then(|id: u64| lock(&self.asked).remove(&id));
        asker.map(|asker| asker.send(outcome));
    }

    /// Asks for the roots anew.
    pub(super) async fn take_roots(&self, out: &Outbox) {
        if let Ok(roots) = self.ask(out, "roots/list", json!({})).await {
            lock(&self.state).roots = roots;
            self.tell(out, Change::Resource(content::INFO));
        }
    }

    pub(super) fn roots(&self) -> Value {
        lock(&self.state).roots.clone()
    }

    pub(super) fn level(&self) -> Level {
        lock(&self.state).level
    }

    /// Tells the client of a change: of a resource if it subscribed to that, of the tools in any case.
    pub(super) fn tell(&self, out: &Outbox, change: Change<'_>) {
        match change {
            Change::Tools if self.is_open() => {
                out.push(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
            }
            Change::Resource(uri) if lock(&self.state).subscribed.contains(uri) => {
                out.notify("notifications/resources/updated", json!({"uri": uri}));
            }
            _ => {}
        }
    }
}

#[derive(Deserialize)]
struct Uri {
    uri: String,
}

fn subscribe<'a, 'm>(server: &'a Server, terms: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    let Uri { uri } = params(raw)?;
    content::look_up(server, terms, &uri)?;
    lock(&server.session.state).subscribed.insert(uri);
    Ok(Reply::Now(json!({})))
}

fn unsubscribe<'a, 'm>(server: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    lock(&server.session.state).subscribed.remove(&params::<Uri>(raw)?.uri);
    Ok(Reply::Now(json!({})))
}

fn set_level<'a, 'm>(server: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    #[derive(Deserialize)]
    struct Wanted {
        level: String,
    }
    let Wanted { level } = params(raw)?;
    let level = Level::parse(&level)
        .ok_or_else(|| RpcError::params(format!("there is no log level {level:?}; use debug, info and so on")))?;
    lock(&server.session.state).level = level;
    Ok(Reply::Now(json!({})))
}
