//! Asking the caller back: what it can be asked, the legacy server's question as an input request, and the caller's
//! answer as the server expects it (2026-07-28, Multi Round-Trip Requests).

use std::sync::Arc;

use serde_json::json;

use crate::{
    json::{self, Object, quote},
    message::{Frame, code},
    protocol::meta,
};

/// Longest capabilities of a caller, in bytes of JSON text. Servers are kept by them; longer ones are an attack on
/// that table.
pub const MAX_CAPABILITIES: usize = 64 * 1024;

/// Methods by which a server asks.
mod ask {
    pub const SAMPLING: &str = "sampling/createMessage";
    pub const ELICITATION: &str = "elicitation/create";
    pub const ROOTS: &str = "roots/list";
}

/// What a caller can be asked, for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    key: Arc<str>,
    roots: bool,
    sampling: bool,
    sampling_tools: bool,
    form: bool,
    url: bool,
}

/// Why a caller's capabilities cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCapabilities {
    /// They are no object.
    #[error("_meta[\"io.modelcontextprotocol/clientCapabilities\"] must be an object")]
    NoObject,
    /// They are longer than [`MAX_CAPABILITIES`].
    #[error(
        "_meta[\"io.modelcontextprotocol/clientCapabilities\"] is larger than {} KiB; declare less",
        MAX_CAPABILITIES / 1024
    )]
    TooLong,
}

impl Capabilities {
    /// Reads what a modern request declares. JSON text.
    pub fn read(modern: &str) -> Result<Capabilities, BadCapabilities> {
        if modern.len() > MAX_CAPABILITIES {
            return Err(BadCapabilities::TooLong);
        }
        let mut object = Object::parse(modern).ok_or(BadCapabilities::NoObject)?;
        // No revision before 2026-07-28 has extensions, and tasks of the two eras are not the same thing.
        object.remove("extensions");
        object.remove("tasks");
        for key in ["roots", "sampling", "elicitation", "experimental"] {
            // Declared is what is an object; a legacy server's reader may give up on anything else.
            if object.get(key).is_some_and(|value| Object::parse(value).is_none()) {
                object.remove(key);
            }
        }
        if object.get("roots").is_some() {
            // No `listChanged`: the caller's next request comes when it likes, and cannot tell.
            object.set("roots", "{}");
        }
        let part = |key: &str| json::member(&object, key).and_then(Object::parse);
        let (sampling, elicitation) = (part("sampling"), part("elicitation"));
        let has = |part: &Option<Object>, key: &str| {
            part.as_ref().and_then(|part| part.get(key)).is_some_and(|value| !matches!(value, "null" | "false"))
        };
        let url = has(&elicitation, "url");
        // An empty object means forms (2026-07-28, Elicitation, Capabilities).
        let form = has(&elicitation, "form") || (elicitation.is_some() && !url);
        let sampling_tools = has(&sampling, "tools");
        let (roots, sampling) = (object.get("roots").is_some(), sampling.is_some());
        let key = json::canonical(&object.to_string()).into();
        Ok(Capabilities { key, roots, sampling, sampling_tools, form, url })
    }

    /// What `initialize` declares to a legacy server, as JSON text. Equal for callers to whom such a server has to behave
    /// alike, however they wrote their capabilities: servers are kept by it.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Whether a server may ask this caller anything.
    pub fn can_be_asked(&self) -> bool {
        self.roots || self.sampling || self.form || self.url
    }

    /// Whether the caller declared what a question needs.
    pub fn allow(&self, need: Need) -> bool {
        match need {
            Need::Roots => self.roots,
            Need::Sampling => self.sampling,
            Need::SamplingWithTools => self.sampling_tools,
            Need::Form => self.form,
            Need::Url => self.url,
            Need::UnknownMode => false,
        }
    }
}

/// What a caller must have declared to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// `roots`.
    Roots,
    /// `sampling`.
    Sampling,
    /// `sampling.tools`.
    SamplingWithTools,
    /// `elicitation`, empty or with `form`.
    Form,
    /// `elicitation.url`.
    Url,
    /// An elicitation of a mode that no revision has: nobody can be asked that.
    UnknownMode,
}

impl Need {
    /// The code and text with which the server's question is refused for a caller that did not declare this.
    pub fn refusal(self) -> (i32, &'static str) {
        match self {
            Need::Roots => (code::METHOD_NOT_FOUND, "the client did not declare roots"),
            Need::Sampling => (code::METHOD_NOT_FOUND, "the client did not declare sampling"),
            Need::SamplingWithTools => (code::INVALID_PARAMS, "the client did not declare sampling.tools"),
            Need::Form => (code::INVALID_PARAMS, "the client did not declare elicitation of forms"),
            Need::Url => (code::INVALID_PARAMS, "the client did not declare elicitation.url"),
            Need::UnknownMode => (code::INVALID_PARAMS, "the client knows no such mode of elicitation"),
        }
    }

    /// `data` of the error [`code::MISSING_CAPABILITY`] that tells the caller.
    pub fn missing(self) -> serde_json::Value {
        let required = match self {
            Need::Roots => json!({ "roots": {} }),
            Need::Sampling => json!({ "sampling": {} }),
            Need::SamplingWithTools => json!({ "sampling": { "tools": {} } }),
            Need::Form | Need::UnknownMode => json!({ "elicitation": { "form": {} } }),
            Need::Url => json!({ "elicitation": { "url": {} } }),
        };
        json!({ "requiredCapabilities": required })
    }
}

/// A legacy server's question as a modern caller is to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequest {
    /// The value of an entry of `inputRequests`, as JSON text.
    pub text: String,
    /// What the caller must have declared.
    pub need: Need,
}

/// Reads a legacy server's request; `None` when it is none that a caller can be asked.
pub fn input_request(method: &str, params: Option<&str>) -> Option<InputRequest> {
    if !matches!(method, ask::SAMPLING | ask::ELICITATION | ask::ROOTS) {
        return None;
    }
    let mut object = params.and_then(Object::parse).unwrap_or_default();
    object.remove("task");
    if let Some(mut inner) = object.get("_meta").and_then(Object::parse) {
        inner.remove(meta::PROGRESS_TOKEN);
        inner.remove(meta::RELATED_TASK);
        let kept = (!inner.is_empty()).then(|| inner.to_string());
        object.remove("_meta");
        if let Some(kept) = kept {
            object.set("_meta", kept);
        }
    }
    let mode = object.get("mode").and_then(json::string);
    let need = match (method, mode.as_deref()) {
        (ask::ROOTS, _) => Need::Roots,
        (ask::SAMPLING, _) if object.get("tools").or(object.get("toolChoice")).is_some() => Need::SamplingWithTools,
        (ask::SAMPLING, _) => Need::Sampling,
        (_, Some("url")) => Need::Url,
        (_, Some("form")) => Need::Form,
        (_, None) if object.get("mode").is_none() => Need::Form,
        (_, _) => Need::UnknownMode,
    };
    if need == Need::Url {
        // By which the legacy era reports that the user is done; the modern era has no such report.
        object.remove("elicitationId");
    }
    let mut request = Object::new();
    request.set("method", quote(method));
    if !object.is_empty() {
        request.set("params", object.to_string());
    }
    Some(InputRequest { text: request.to_string(), need })
}

/// Reads one of the URLs that an error asks to open (2025-11-25, Elicitation, URL Elicitation Required Error).
pub fn url(entry: &str) -> Option<InputRequest> {
    let mut params = Object::parse(entry)?;
    params.get("url").and_then(json::string)?;
    params.set("mode", r#""url""#);
    if params.get("message").is_none() {
        params.set("message", r#""The server asks to open this address first.""#);
    }
    input_request(ask::ELICITATION, Some(&params.to_string()))
}

/// A caller's input response as the result that the legacy server waits for, as JSON text; `None` when it is none that
/// could answer anything.
pub fn answer(response: &str) -> Option<String> {
    let mut object = Object::parse(response)?;
    // No revision has it here; a caller that builds all its results alike may add it.
    object.remove("resultType");
    Some(object.to_string())
}

/// What the server hears when its question, `method` under `id` (JSON text), will get no answer: a user who looked away,
/// in the terms of each method (2025-11-25, Elicitation, Response Actions; Sampling, Error Handling).
pub fn unanswered(id: &str, method: &str) -> Frame {
    match method {
        ask::ELICITATION => Frame::result(id, r#"{"action":"cancel"}"#),
        ask::SAMPLING => Frame::error(id, -1, "the user did not answer", None),
        _ => Frame::error(id, code::INTERNAL, "the client did not answer", None),
    }
}
