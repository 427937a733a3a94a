//! What is rewritten between a modern caller and a legacy server: params, results, errors, the opening.
//!
//! Owns the text of both sides, member by member. Pure: JSON text in, JSON text out; it knows no peer, no clock and no
//! state. What the eras share keeps its bytes, unknown members and number forms included.
//!
//! | part | owns |
//! |---|---|
//! | here | params to the server; results, errors and the handshake to the caller |
//! | [`asking`] | what the caller can be asked, and the questions and answers themselves |
//! | [`tools`] | what a legacy list of tools says that a modern caller must not read |

pub mod asking;
pub mod tools;

use crate::{
    json::{self, Object, quote},
    message::code,
    protocol::{MODERN, Revision, meta, method},
};

/// Members of a request's `_meta` that only a modern server reads.
const MODERN_META: [&str; 4] = [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO, meta::LOG_LEVEL];

/// The method whose params grew.
const COMPLETE: &str = "completion/complete";

/// Members of a request's params that only a modern server reads, and `task`, which the modern era has not: a legacy
/// server would answer with a task, for which the caller has no method.
const MODERN_PARAMS: [&str; 3] = ["inputResponses", "requestState", "task"];

/// Error codes that the modern era keeps for itself (2026-07-28, Base Protocol, Error Codes). A legacy server that gives
/// one of them means something else.
const RESERVED: std::ops::RangeInclusive<i64> = -32099..=-32020;

/// The params of a modern request as a legacy server is to see them, with the progress token that the bridge gives it, if
/// any.
pub fn params(mut params: Object<'_>, token: Option<i64>) -> Object<'_> {
    MODERN_PARAMS.iter().for_each(|key| drop(params.remove(key)));
    let inner = json::member(&params, "_meta").and_then(Object::parse);
    if let Some(mut inner) = inner.or_else(|| token.map(|_| Object::new())) {
        MODERN_META.iter().for_each(|key| drop(inner.remove(key)));
        if let Some(token) = token {
            inner.set(meta::PROGRESS_TOKEN, token.to_string());
        }
        if inner.is_empty() {
            params.remove("_meta");
        } else {
            params.set("_meta", inner.text());
        }
    }
    params
}

/// Takes out what a server of this revision cannot know and may stumble over: it came with 2025-06-18 (Completion). What
/// the revisions added elsewhere stands where unknown members are allowed.
pub fn suit(name: &str, params: &mut Object<'_>, revision: Revision) {
    if name == COMPLETE && revision < Revision::V2025_06_18 {
        params.remove("context");
    }
}

/// Whether a result of this method says how long it may be kept (2026-07-28, Caching).
fn is_cacheable(name: &str) -> bool {
    matches!(
        name,
        method::DISCOVER
            | method::TOOLS_LIST
            | method::RESOURCES_READ
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
    )
}

/// The result of a legacy server, the body of its answer, as a modern caller is to see it. `server` is the server's `serverInfo`.
///
/// Nothing may be kept: a legacy server says neither for how long nor for whom.
pub fn result<'a>(name: &str, mut object: Object<'a>, server: Option<&str>) -> Object<'a> {
    if name == method::TOOLS_LIST {
        tools::clean(&mut object);
    }
    if let Some(mut inner) = json::member(&object, "_meta").and_then(Object::parse)
        && inner.remove(meta::RELATED_TASK).is_some()
    {
        object.set("_meta", inner.to_string());
    }
    object.set("resultType", r#""complete""#);
    if is_cacheable(name) {
        object.set("ttlMs", "0").set("cacheScope", r#""private""#);
    }
    name_server(&mut object, server);
    object
}

/// Puts who the server is into a result's `_meta`.
fn name_server(result: &mut Object<'_>, server: Option<&str>) {
    let Some(server) = server else { return };
    let mut inner = result.get("_meta").and_then(Object::parse).unwrap_or_default();
    inner.set(meta::SERVER_INFO, server);
    let inner = inner.to_string();
    result.set("_meta", inner);
}

/// The answer that asks the caller back (2026-07-28, Multi Round-Trip Requests, InputRequiredResult). `requests` are
/// keys and [`asking::InputRequest::text`]; `state` is a sealed handle.
pub fn input_required<'a>(
    requests: impl IntoIterator<Item = (&'a str, &'a str)>,
    state: &str,
    server: Option<&str>,
) -> String {
    let mut asked = Object::new();
    for (key, request) in requests {
        asked.set(key, request);
    }
    let mut object = Object::new();
    object.set("resultType", r#""input_required""#);
    if !asked.is_empty() {
        object.set("inputRequests", asked.to_string());
    }
    object.set("requestState", quote(state));
    name_server(&mut object, server);
    object.to_string()
}

/// What a legacy handshake says about a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The result of `server/discover` for modern callers, as JSON text.
    pub discover: String,
    /// `serverInfo`, as JSON text: what every result names.
    pub server: Option<String>,
    /// The revision that the session speaks.
    pub revision: Revision,
    /// The server's own capabilities, as JSON text, `tasks` included.
    pub capabilities: String,
}

/// Reads the result of `initialize`. `Err` says in words why the session cannot be used.
pub fn opened(initialize: &str) -> Result<Opened, String> {
    let object = Object::parse(initialize).ok_or("its answer to initialize is no object")?;
    let version = object.get("protocolVersion").and_then(json::string).unwrap_or_default();
    let revision = Revision::parse_legacy(&version)
        .ok_or_else(|| format!("it answered initialize with revision {}, which is not spoken here", quote(&version)))?;
    let server = object.get("serverInfo").filter(|info| Object::parse(info).is_some());
    let offered = object.get("capabilities").and_then(Object::parse).unwrap_or_default();
    let mut kept = offered.clone();
    kept.remove("tasks");

    let mut discover = Object::new();
    discover.set("resultType", r#""complete""#);
    discover.set("supportedVersions", json::join([quote(MODERN)]));
    discover.set("capabilities", kept.to_string());
    // What else it says is the server's own; no legacy revision has those that this result is made of.
    let own = |key: &str| matches!(key, "protocolVersion" | "capabilities" | "serverInfo" | "supportedVersions");
    for (key, value) in object.iter().filter(|(key, _)| !own(key)) {
        discover.set(key, value);
    }
    discover.set("resultType", r#""complete""#).set("ttlMs", "0").set("cacheScope", r#""private""#);
    name_server(&mut discover, server);
    Ok(Opened {
        discover: discover.to_string(),
        server: server.map(str::to_string),
        revision,
        capabilities: offered.to_string(),
    })
}

impl Opened {
    /// Whether the server offers a capability, given by its path: `["tools", "listChanged"]`. What is there and neither
    /// `false` nor `null` counts.
    pub fn offers(&self, path: &[&str]) -> bool {
        let mut at = self.capabilities.as_str();
        for key in path {
            let Some(next) = Object::parse(at).and_then(|object| json::member(&object, key)) else { return false };
            at = next;
        }
        !matches!(at, "false" | "null")
    }
}

/// What becomes of a legacy server's error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The error object for the caller, as JSON text.
    Error(String),
    /// The server wants these URLs opened first, and the request again (2025-11-25, Elicitation, URL Elicitation Required
    /// Error). Never empty, never more than [`MAX_URLS`]. A caller that cannot be asked gets [`code::MISSING_CAPABILITY`].
    OpenFirst(Vec<asking::InputRequest>),
}

/// Most URLs that one error may ask to open. More is an attack on the user.
pub const MAX_URLS: usize = 16;

/// Translates a legacy server's error object. JSON text.
pub fn error(error: &str) -> Failed {
    let Some(object) = Object::parse(error) else {
        return Failed::Error(internal("the server's error is no object", None));
    };
    // A code that is no number, or no whole one, equals none of those below.
    let number = object.get("code").and_then(|code| code.parse::<i64>().ok());
    match number {
        Some(known) if known == i64::from(code::RESOURCE_NOT_FOUND) => {
            Failed::Error(with_code(object, code::INVALID_PARAMS))
        }
        Some(known) if known == i64::from(code::URL_ELICITATION) => {
            let requests = urls(&object);
            if requests.is_empty() { Failed::Error(foreign(object, known)) } else { Failed::OpenFirst(requests) }
        }
        Some(known) if RESERVED.contains(&known) => Failed::Error(foreign(object, known)),
        Some(_) => Failed::Error(error.to_string()),
        None => Failed::Error(internal("the server's error has no code", Some(error))),
    }
}

fn with_code(mut error: Object<'_>, code: i32) -> String {
    error.set("code", code.to_string());
    error.to_string()
}

/// An error whose code means something else to a modern caller. What the server said stays in it.
fn foreign(mut error: Object<'_>, number: i64) -> String {
    let data = error.remove("data");
    let mut told = match data.as_deref().map(|data| (data, Object::parse(data))) {
        Some((_, Some(object))) => object,
        Some((other, None)) => {
            let mut told = Object::new();
            told.set("originalData", other);
            told
        }
        None => Object::new(),
    };
    told.set("originalCode", number.to_string());
    let told = told.to_string();
    error.set("data", told);
    with_code(error, code::INTERNAL)
}

fn internal(message: &str, original: Option<&str>) -> String {
    let mut error = Object::new();
    error.set("code", code::INTERNAL.to_string()).set("message", quote(message));
    if let Some(original) = original {
        let mut data = Object::new();
        data.set("originalError", original);
        error.set("data", data.to_string());
    }
    error.to_string()
}

/// The URLs of `data.elicitations`; none when one cannot be read, for then the user cannot do what is asked.
fn urls(error: &Object<'_>) -> Vec<asking::InputRequest> {
    let read = || {
        let data = Object::parse(error.get("data")?)?;
        let all = json::array(json::member(&data, "elicitations")?)?;
        if all.len() > MAX_URLS {
            return None;
        }
        all.into_iter().map(asking::url).collect::<Option<Vec<_>>>()
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests;
