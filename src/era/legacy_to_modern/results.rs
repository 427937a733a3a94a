//! What a modern server answers, as a legacy client knows it.
//!
//! Owns the tables of result and error fields by revision. Pure. It never looks deeper than a table entry needs: what is
//! not named here passes as the bytes that came.

use std::borrow::Cow;

use memchr::memmem;

use super::{client::is_object, opening::Refusal};
use crate::{
    json::{self, Object},
    message::{Frame, code},
    protocol::{ErrorHead, MODERN, Revision, may_ask_back, method},
};

/// What an answer comes to.
#[derive(Debug)]
pub(super) enum Answer {
    /// The answer for the client.
    Done(Frame),
    /// An error of the server's, for the client as it is.
    Failed,
    /// What the client cannot be given, and why.
    Unusable(String),
    /// The server does not speak the revision of the request.
    Unspoken,
    /// The server wants input first.
    Input(Input),
}

/// A result of `input_required` (2026-07-28, Multi Round-Trip Requests).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Input {
    /// What the client is to be asked, by the server's key.
    pub requests: Vec<Wanted>,
    /// JSON text that the retry has to carry as it is.
    pub state: Option<String>,
}

/// One thing that the client is to be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub key: String,
    pub method: String,
    pub params: Option<String>,
}

/// Reads the answer to a request of `method`, whose id is `id` to the client; JSON text.
pub(super) fn read(method: &str, revision: Revision, answer: &Frame, id: &str) -> Answer {
    if answer.is_error() {
        return error(answer);
    }
    let Some(mut result) = answer.object() else {
        return Answer::Unusable(format!("the server answered {method} with what is no object"));
    };
    let kind = result.remove("resultType");
    match kind.as_deref().map(json::string) {
        None => {}
        Some(Some(kind)) if kind == "complete" => {}
        Some(Some(kind)) if kind == "input_required" => return input(method, &result),
        Some(Some(kind)) => {
            let text = format!(
                "the server answered {method} with a result of type {}, which this client did not ask for",
                json::quote(&kind)
            );
            return Answer::Unusable(text);
        }
        Some(None) => {
            return Answer::Unusable(format!("the server answered {method} with a resultType that is no string"));
        }
    }
    complete(method, revision, &mut result);
    Answer::Done(Frame::result_of(id, &result).in_place_of(answer))
}

fn error(answer: &Frame) -> Answer {
    let head = ErrorHead::of(answer).unwrap_or_default();
    match head.code {
        Some(code::HEADER_MISMATCH) => Answer::Unusable(refused_headers(&head)),
        Some(code::UNSUPPORTED_VERSION) => Answer::Unspoken,
        _ => Answer::Failed,
    }
}

/// An error of the server's that ends a request of the bridge's own, for the client on whose account it was made.
pub(super) fn passed_on(answer: Frame) -> Refusal {
    let head = ErrorHead::of(&answer).unwrap_or_default();
    match head.code {
        Some(code::HEADER_MISMATCH) => Refusal::Ours(code::INTERNAL, refused_headers(&head), None),
        Some(code::UNSUPPORTED_VERSION) => Refusal::Ours(code::INTERNAL, unspoken(), None),
        _ => Refusal::Own(answer),
    }
}

/// The headers are the bridge's: a legacy client can do nothing about them.
fn refused_headers(head: &ErrorHead) -> String {
    format!("the server refused the headers that the bridge made for this request: {}", head.message)
}

/// For a server that spoke the revision when the session began.
pub(super) fn unspoken() -> String {
    format!("the server does not speak {MODERN} any more; start a new session")
}

// ---- complete results

/// Takes out what no legacy revision has, and puts stand-ins where the client's revision lacks something.
fn complete(method: &str, revision: Revision, result: &mut Object<'_>) {
    match method {
        method::TOOLS_LIST => {
            strip_cache(result);
            let tools = result.get("tools").and_then(|tools| legacy_tools(tools, revision));
            tools.map(|tools| result.set("tools", tools));
        }
        method::TOOLS_CALL => {
            let blocks = result.get("content").and_then(|content| legacy_blocks(content, revision));
            blocks.map(|blocks| result.set("content", blocks));
            structured(result, revision);
        }
        method::PROMPTS_GET => {
            let messages = result.get("messages").and_then(|messages| legacy_messages(messages, revision));
            messages.map(|messages| result.set("messages", messages));
        }
        "prompts/list" | "resources/list" | "resources/templates/list" | method::RESOURCES_READ => strip_cache(result),
        _ => {}
    }
}

/// 2026-07-28, Caching.
fn strip_cache(result: &mut Object<'_>) {
    result.retain(|key| !matches!(key, "ttlMs" | "cacheScope"));
}

/// Tools without the output schemas that the client cannot use: before 2025-06-18 there are none, and up to 2025-11-25 they
/// describe objects only. `None` when all can stay.
fn legacy_tools(tools: &str, revision: Revision) -> Option<String> {
    memmem::find(tools.as_bytes(), b"\"outputSchema\"")?;
    let tools = json::array(tools)?.into_iter().map(|text| {
        let Some(mut tool) = Object::parse(text) else { return Cow::Borrowed(text) };
        let keeps = match tool.get("outputSchema") {
            None => true,
            Some(schema) => revision >= Revision::V2025_06_18 && describes_an_object(schema),
        };
        if keeps {
            return Cow::Borrowed(text);
        }
        tool.remove("outputSchema");
        Cow::Owned(tool.to_string())
    });
    Some(json::join(tools))
}

fn describes_an_object(schema: &str) -> bool {
    Object::parse(schema).is_some_and(|schema| schema.get("type").and_then(json::string).as_deref() == Some("object"))
}

/// Structured content is new in 2025-06-18, and an object up to 2025-11-25. What it says is not lost: a server also puts it
/// into a text (2026-07-28, Tools, Structured Content); where it did not, the bridge does.
fn structured(result: &mut Object<'_>, revision: Revision) {
    let Some(value) = result.get("structuredContent") else { return };
    if revision >= Revision::V2025_06_18 && is_object(value) {
        return;
    }
    let text = format!("[{}]", text_block(value, None));
    result.remove("structuredContent");
    if result.get("content").and_then(json::array).is_none_or(|content| content.is_empty()) {
        result.set("content", text);
    }
}

/// Content blocks with a text for each that the revision lacks; `None` when all can stay.
fn legacy_blocks(content: &str, revision: Revision) -> Option<String> {
    if !may_lack(content, revision) {
        return None;
    }
    let blocks = json::array(content)?;
    Some(json::join(blocks.into_iter().map(|block| stand_in(block, revision).map_or(Cow::Borrowed(block), Cow::Owned))))
}

fn legacy_messages(messages: &str, revision: Revision) -> Option<String> {
    if !may_lack(messages, revision) {
        return None;
    }
    let messages = json::array(messages)?.into_iter().map(|text| {
        let Some(mut message) = Object::parse(text) else { return Cow::Borrowed(text) };
        match message.get("content").and_then(|content| stand_in(content, revision)) {
            Some(content) => Cow::Owned(message.set("content", content).to_string()),
            None => Cow::Borrowed(text),
        }
    });
    Some(json::join(messages))
}

/// Whether a search says that there may be something that the revision lacks: it costs a hundredth of a parse.
fn may_lack(text: &str, revision: Revision) -> bool {
    let has = |what: &str| memmem::find(text.as_bytes(), what.as_bytes()).is_some();
    (revision < Revision::V2025_06_18 && has("\"resource_link\""))
        || (revision < Revision::V2025_03_26 && has("\"audio\""))
}

/// A text in the place of a block that the revision lacks: links are new in 2025-06-18, sound is in 2025-03-26.
fn stand_in(block: &str, revision: Revision) -> Option<String> {
    let block = Object::parse(block)?;
    let word = |key: &str| block.get(key).and_then(json::string).unwrap_or_default();
    let text = match &*word("type") {
        "resource_link" if revision < Revision::V2025_06_18 => format!("resource {}: {}", word("name"), word("uri")),
        "audio" if revision < Revision::V2025_03_26 => {
            format!("[{} left out: this client's revision 2024-11-05 has no audio]", word("mimeType"))
        }
        _ => return None,
    };
    Some(text_block(&text, block.get("annotations")))
}

fn text_block(text: &str, annotations: Option<&str>) -> String {
    let mut block = Object::new();
    block.set("type", "\"text\"").set("text", json::quote(text));
    if let Some(annotations) = annotations {
        block.set("annotations", annotations);
    }
    block.to_string()
}

// ---- results that want input

fn input(method: &str, result: &Object<'_>) -> Answer {
    if !may_ask_back(method) {
        let text = format!("the server asked for input in the middle of {method}, which {MODERN} does not allow");
        return Answer::Unusable(text);
    }
    match read_input(result) {
        Ok(input) => Answer::Input(input),
        Err(why) => Answer::Unusable(format!("the server asked for input during {method}, but {why}")),
    }
}

fn read_input(result: &Object<'_>) -> Result<Input, &'static str> {
    let state = result.get("requestState");
    if state.is_some_and(|state| !state.starts_with('"')) {
        return Err("its requestState is no string");
    }
    let mut input = Input { state: state.map(str::to_string), ..Input::default() };
    if let Some(requests) = result.get("inputRequests") {
        let requests = Object::parse(requests).ok_or("its inputRequests are no object, or have a key twice")?;
        for (key, request) in requests.iter() {
            input.requests.push(wanted(key, request).ok_or("one of its inputRequests is no request")?);
        }
    }
    if input.requests.is_empty() && input.state.is_none() {
        return Err("named neither an input nor a state to come back with");
    }
    Ok(input)
}

fn wanted(key: &str, request: &str) -> Option<Wanted> {
    let request = Object::parse(request)?;
    let method = json::string(request.get("method")?)?.into_owned();
    let params = request.get("params");
    if params.is_some_and(|params| !is_object(params)) {
        return None;
    }
    Some(Wanted { key: key.to_string(), method, params: params.map(str::to_string) })
}

#[cfg(test)]
mod tests;
