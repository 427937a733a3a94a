//! The modern face, 2026-07-28: every request stands alone. Owns the check of a request's metadata, the fields that a
//! result gains, and the subscriptions. Talks to [`Server`] and to what that offers. Never keeps anything of a request
//! but an open subscription, and never sends a request.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex};

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::server::{self, Change, Server};
use super::terms::{Alone, Answer, Feature, Manner, Reply, Terms, params};
use super::wire::{Outbox, Params, RpcError, lock};
use super::{content, tools};
use crate::json as text;
use crate::protocol::{Level, MODERN, RequestMeta, may_ask_back, meta, method};

/// Subscriptions open at one time; a client that never ends one would fill the memory.
const MAX_LISTENS: usize = 64;

/// -32021: the request needs a capability that it does not declare (Base Protocol, Error Codes).
const MISSING_CAPABILITY: i64 = -32021;
/// -32022: the request is of a revision that is not spoken here (Base Protocol, Error Codes).
const UNSUPPORTED_VERSION: i64 = -32022;

/// How long a result may be kept (Caching). None of it belongs to one user alone but what tells of the client.
#[derive(Clone, Copy)]
enum Keep {
    /// The result of this method cannot be kept.
    Never,
    /// It may change with the next call.
    Stale,
    /// It may change with the next call, and tells of the client.
    Own,
    /// It never changes while the server runs.
    Minute,
}

/// The methods of the modern era. What is not listed does not exist.
pub(super) fn answer<'a, 'm>(
    server: &'a Server,
    id: &RawValue,
    name: &str,
    raw: Params<'m>,
    meta: Option<RequestMeta<'_>>,
) -> Answer<'a, 'm> {
    if name == method::INITIALIZE {
        return Err(no_handshake(raw));
    }
    let mut terms = read(meta)?;
    let (feature, keep): (Feature, Keep) = match name {
        method::DISCOVER => (discover, Keep::Minute),
        method::TOOLS_LIST => (tools::list, Keep::Stale),
        method::TOOLS_CALL => (tools::call, Keep::Never),
        "resources/list" => (content::list_resources, Keep::Minute),
        "resources/templates/list" => (content::list_templates, Keep::Minute),
        method::RESOURCES_READ => (content::read_resource, Keep::Own),
        "prompts/list" => (content::list_prompts, Keep::Minute),
        method::PROMPTS_GET => (content::get_prompt, Keep::Never),
        "completion/complete" => (content::complete, Keep::Never),
        method::LISTEN => return listen(server, &Arc::new(terms), id, raw),
        _ => return Err(RpcError::new(-32601, format!("this server has no method {name}"))),
    };
    if may_ask_back(name)
        && let Manner::Alone(alone) = &mut terms.manner
    {
        alone.answers = answers(name, raw)?;
    }
    Ok(match feature(server, &Arc::new(terms), raw)? {
        Reply::Now(result) => Reply::Now(complete(result, keep)),
        Reply::Later(work) => Reply::Later(Box::pin(async move { work.await.map(|result| complete(result, keep)) })),
        Reply::Echo(result) => {
            // A load test asks for nothing else, and is not to measure how this is made.
            static META: LazyLock<Option<Box<RawValue>>> = LazyLock::new(|| to_raw_value(&result_meta()).ok());
            Reply::Echo(result.modern(META.as_deref()))
        }
        other @ (Reply::Task(..) | Reply::Open) => other,
    })
}

/// A legacy client cannot do anything with this but show it, so the message itself names the revisions (Versioning and
/// Compatibility, Backward Compatibility with Initialization-Based Versions).
fn no_handshake(raw: Params<'_>) -> RpcError {
    let asked = raw.and_then(|raw| text::Object::parse(raw.get()));
    let asked = asked.as_ref().and_then(|asked| text::string(asked.get("protocolVersion")?)).unwrap_or_default();
    unsupported(&asked)
}

fn unsupported(requested: &str) -> RpcError {
    let message =
        format!("revision {requested:?} is not spoken here; this server speaks {MODERN} only, without initialize");
    let data = json!({"supported": [MODERN], "requested": requested});
    RpcError { data: Some(data), ..RpcError::new(UNSUPPORTED_VERSION, message) }
}

/// Checks what every request has to carry (Base Protocol, `_meta`, Per-request protocol fields).
fn read(meta: Option<RequestMeta<'_>>) -> Result<Terms, RpcError> {
    let lacks =
        |key: &str| RpcError::params(format!("the request's _meta has no valid {key}; send it with each request"));
    let meta = meta.ok_or_else(|| lacks(meta::PROTOCOL_VERSION))?;
    let version = meta.version.and_then(text::string).ok_or_else(|| lacks(meta::PROTOCOL_VERSION))?;
    if version != MODERN {
        return Err(unsupported(&version));
    }
    let capabilities: Option<Value> = meta.capabilities.and_then(|text| serde_json::from_str(text).ok());
    let capabilities = capabilities.filter(Value::is_object).ok_or_else(|| lacks(meta::CLIENT_CAPABILITIES))?;
    let client = meta.client.unwrap_or("null").into();
    let level = |text| text::string(text).and_then(|name| Level::parse(&name)).ok_or_else(|| lacks(meta::LOG_LEVEL));
    let alone = Alone { level: meta.level.map(level).transpose()?, answers: Map::new() };
    Ok(Terms { version: MODERN, client, capabilities, manner: Manner::Alone(alone) })
}

/// What a retry brings (Multi Round-Trip Requests, Server Requirements). The state names the request that it was given
/// for, and is refused with any other. It is not sealed: who forges it gains nothing but an answer to his own question.
fn answers(name: &str, raw: Params<'_>) -> Result<Map<String, Value>, RpcError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Retry {
        input_responses: Option<Map<String, Value>>,
        request_state: Option<String>,
        name: String,
        uri: String,
    }
    // Most are no retry, and need not be read for one.
    let text = raw.map_or("", RawValue::get);
    if !["\\", "inputResponses", "requestState"].iter().any(|sign| text.contains(sign)) {
        return Ok(Map::new());
    }
    let retry: Retry = params(raw)?;
    let state = state(name, if retry.uri.is_empty() { &retry.name } else { &retry.uri });
    match (retry.input_responses, retry.request_state) {
        (None, None) => Ok(Map::new()),
        (given, Some(same)) if same == state => Ok(given.unwrap_or_default()),
        (_, Some(_)) => Err(RpcError::params("requestState was not given for this request; send it back as it came")),
        (_, None) => Err(RpcError::params("inputResponses came without requestState; send both")),
    }
}

fn state(method: &str, of: &str) -> String {
    format!("demo {method} {of}")
}

/// The result of a tool that has to ask first.
pub(super) fn input_required(tool: &str, requests: Value) -> Value {
    let state = state(method::TOOLS_CALL, tool);
    json!({"resultType": "input_required", "inputRequests": requests, "requestState": state})
}

pub(super) fn missing_capability(needed: Value, why: String) -> RpcError {
    let data = json!({"requiredCapabilities": needed});
    RpcError { data: Some(data), ..RpcError::new(MISSING_CAPABILITY, why) }
}

fn result_meta() -> Value {
    json!({meta::SERVER_INFO: server::identity()})
}

/// Adds what results of this era carry.
fn complete(mut result: Value, keep: Keep) -> Value {
    let Some(fields) = result.as_object_mut() else { return result };
    fields.entry("resultType").or_insert_with(|| "complete".into());
    fields.insert("_meta".to_owned(), result_meta());
    let (ttl, scope) = match keep {
        Keep::Never => return result,
        Keep::Stale => (0, "public"),
        Keep::Own => (0, "private"),
        Keep::Minute => (60_000, "public"),
    };
    fields.insert("ttlMs".to_owned(), ttl.into());
    fields.insert("cacheScope".to_owned(), scope.into());
    result
}

fn discover<'a, 'm>(_: &'a Server, _: &Arc<Terms>, _: Params<'m>) -> Answer<'a, 'm> {
    let (capabilities, instructions) = server::offer();
    Ok(Reply::Now(json!({
        "supportedVersions": [MODERN],
        "capabilities": capabilities,
        "instructions": instructions,
    })))
}

/// The open subscriptions.
#[derive(Default)]
pub(super) struct Listens(Mutex<Vec<Listen>>);

struct Listen {
    id: Box<RawValue>,
    tools: bool,
    uris: BTreeSet<String>,
}

/// Opens a subscription and acknowledges it before anything else is said on it (Subscriptions, Acknowledgment). Of what
/// was asked for, prompts and the list of resources are left out: they never change here.
fn listen<'a, 'm>(server: &'a Server, terms: &Arc<Terms>, id: &RawValue, raw: Params<'m>) -> Answer<'a, 'm> {
    #[derive(Deserialize)]
    struct Wanted {
        notifications: Filter,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Filter {
        tools_list_changed: bool,
        resource_subscriptions: Option<BTreeSet<String>>,
    }
    let Wanted { notifications: Filter { tools_list_changed: tools, resource_subscriptions } } = params(raw)?;
    let mut open = lock(&server.listens.0);
    if open.len() >= MAX_LISTENS {
        return Err(RpcError::new(-32603, format!("{MAX_LISTENS} subscriptions are open; cancel one of them")));
    }
    let mut honoured = Map::new();
    if tools {
        honoured.insert("toolsListChanged".to_owned(), true.into());
    }
    let mut uris = BTreeSet::new();
    if let Some(wanted) = resource_subscriptions {
        uris = wanted.into_iter().filter(|uri| content::look_up(server, terms, uri).is_ok()).collect();
        honoured.insert("resourceSubscriptions".to_owned(), json!(uris));
    }
    server.out.notify(method::ACKNOWLEDGED, json!({"notifications": honoured, "_meta": {meta::SUBSCRIPTION_ID: id}}));
    open.push(Listen { id: id.to_owned(), tools, uris });
    Ok(Reply::Open)
}

impl Listens {
    pub(super) fn contains(&self, id: &RawValue) -> bool {
        lock(&self.0).iter().any(|listen| listen.id.get() == id.get())
    }

    /// Ends a subscription at the client's wish. No answer follows.
    pub(super) fn cancel(&self, id: &RawValue) {
        lock(&self.0).retain(|listen| listen.id.get() != id.get());
    }

    /// Ends all at our own wish, each with its answer (Subscriptions, Graceful Closure). Says how many there were.
    pub(super) fn end(&self, out: &Outbox) -> usize {
        let ended = std::mem::take(&mut *lock(&self.0));
        for Listen { id, .. } in &ended {
            let mut result = complete(json!({}), Keep::Never);
            if let Some(of) = result.get_mut("_meta").and_then(Value::as_object_mut) {
                of.insert(meta::SUBSCRIPTION_ID.to_owned(), json!(id));
            }
            out.push(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
        }
        ended.len()
    }

    pub(super) fn tell(&self, out: &Outbox, change: Change<'_>) {
        for listen in &*lock(&self.0) {
            let of = json!({meta::SUBSCRIPTION_ID: listen.id});
            match change {
                Change::Tools if listen.tools => out.notify("notifications/tools/list_changed", json!({"_meta": of})),
                Change::Resource(uri) if listen.uris.contains(uri) => {
                    out.notify("notifications/resources/updated", json!({"uri": uri, "_meta": of}));
                }
                _ => {}
            }
        }
    }
}
