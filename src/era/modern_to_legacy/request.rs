//! What a modern request wants, and whether it can be served here at all.
//!
//! Owns the rules of admission: the required metadata, the revision, the methods that the modern era does not have, and
//! what the server has to offer for each. It remembers what callers declared, and nothing else. It never looks at what a request is about.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    json::{self, Object},
    message::code,
    peer::Reply,
    protocol::{Level, MODERN, RequestMeta, meta, method},
};

use super::{lock, results::asking::Capabilities};

/// Declarations that are remembered, and the longest of them, in bytes.
const MAX_KNOWN: (usize, usize) = (64, 4 * 1024);

/// An error for the caller.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

impl Refusal {
    pub(super) fn new(code: i32, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), data: None }
    }

    pub(super) fn with(self, data: Value) -> Refusal {
        Refusal { data: Some(data), ..self }
    }

    pub(super) fn unavailable(message: impl Into<String>, retry_after: Option<Duration>) -> Refusal {
        let refusal = Refusal::new(code::INTERNAL, message);
        match retry_after {
            Some(wait) => refusal.with(json!({ "retryAfter": wait.as_secs().max(1) })),
            None => refusal,
        }
    }

    pub(super) fn tell(self, reply: Reply) {
        reply.fail(self.code, &self.message, self.data);
    }
}

/// What callers declared before: a client says the same in each request.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Box<str>, Arc<Capabilities>>>);

impl Known {
    fn read(&self, text: &str) -> Result<Arc<Capabilities>, Refusal> {
        if let Some(known) = lock(&self.0).get(text) {
            return Ok(known.clone());
        }
        let read = Capabilities::read(text);
        let declared = Arc::new(read.map_err(|why| Refusal::new(code::INVALID_PARAMS, why.to_string()))?);
        if text.len() <= MAX_KNOWN.1 {
            let mut known = lock(&self.0);
            if known.len() >= MAX_KNOWN.0 {
                known.clear();
            }
            known.insert(text.into(), declared.clone());
        }
        Ok(declared)
    }
}

/// What the metadata of a request says.
#[derive(Debug)]
pub(super) struct Wanted {
    /// What the caller declared.
    pub(super) declared: Arc<Capabilities>,
    /// `clientInfo`, JSON text.
    pub(super) client: Option<String>,
    /// The least severe log line that the caller wants.
    pub(super) level: Option<Level>,
}

/// Reads a request, given its method and its params; the refusal where it cannot be served whatever the server can do.
pub(super) fn admit(name: &str, params: Option<&Object<'_>>, known: &Known) -> Result<Wanted, Refusal> {
    if name == method::INITIALIZE {
        return Err(gone(name));
    }
    let found = params.and_then(RequestMeta::in_object);
    let version = required(found.and_then(|meta| meta.version), meta::PROTOCOL_VERSION)?;
    let version = json::string(version).ok_or_else(|| {
        let text = format!("_meta[\"{}\"] must be a string", meta::PROTOCOL_VERSION);
        Refusal::new(code::INVALID_PARAMS, text)
    })?;
    if version != MODERN {
        let text = format!("protocol version {version} is not spoken here; use {MODERN}");
        let data = json!({ "supported": [MODERN], "requested": version });
        return Err(Refusal::new(code::UNSUPPORTED_VERSION, text).with(data));
    }
    let capabilities = required(found.and_then(|meta| meta.capabilities), meta::CLIENT_CAPABILITIES)?;
    let declared = known.read(capabilities)?;
    let level = match found.and_then(|meta| meta.level) {
        None => None,
        Some(text) => Some(json::string(text).as_deref().and_then(Level::parse).ok_or_else(|| {
            let text = format!("_meta[\"{}\"] is no log level: {text}", meta::LOG_LEVEL);
            Refusal::new(code::INVALID_PARAMS, text)
        })?),
    };
    if is_gone(name) {
        return Err(gone(name));
    }
    Ok(Wanted { declared, client: found.and_then(|meta| meta.client).map(str::to_string), level })
}

fn required<'a>(value: Option<&'a str>, key: &str) -> Result<&'a str, Refusal> {
    value.ok_or_else(|| {
        let text = format!("the request must carry _meta[\"{key}\"] (revision {MODERN})");
        Refusal::new(code::INVALID_PARAMS, text)
    })
}

/// Methods that the modern era took away. Their meaning is bound to a session.
fn is_gone(name: &str) -> bool {
    matches!(name, "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" | method::INITIALIZE)
        || name.starts_with("tasks/")
}

/// Says what there is in its place.
fn gone(name: &str) -> Refusal {
    let instead = match name {
        method::INITIALIZE => "send the request itself",
        "ping" => "any other request shows that the server is there",
        "logging/setLevel" => "name a logLevel in the _meta of each request",
        "resources/subscribe" | "resources/unsubscribe" => "use subscriptions/listen",
        _ => "call the tool, which is answered when its task is over",
    };
    Refusal::new(code::METHOD_NOT_FOUND, format!("{name} is not part of revision {MODERN}; {instead}"))
}

/// What a server has to offer for a method; `None` where every server may have it.
pub(super) fn needs(name: &str) -> Option<&'static str> {
    match name.split_once('/')?.0 {
        "tools" => Some("tools"),
        "prompts" => Some("prompts"),
        "resources" => Some("resources"),
        "completion" => Some("completions"),
        _ => None,
    }
}
