//! What the modern era mirrors from a request's body into its HTTP headers. Pure.
//!
//! Owns the rules of 2026-07-28 (Streamable HTTP, Request Metadata; Tools, `x-mcp-header`) for both roles: which headers
//! a request has, how a value is written and read, what a tool's `inputSchema` asks for, and whether headers and body
//! agree. Talks to nobody. It never puts a byte into a header that could end it: what is not plain goes as base64.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::rules::PROTOCOL_VERSION;
use crate::{
    annotations::{Annotations, Invalid, PARAM, Param},
    json::{self, Object},
    message::Frame,
    protocol::{RequestMeta, method},
};

/// The method of the body.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// What the request is about: a tool, a prompt, a resource, a task.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");

const OPENING: &str = "=?base64?";
const CLOSING: &str = "?=";

/// Integers up to this are the same to every JSON reader (2^53 - 1).
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// Why the body of a request cannot be mirrored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Two readers could see two different values.
    #[error("{0} is no JSON object whose keys are distinct; send each key once")]
    Object(&'static str),
    /// The field is no string.
    #[error("{0} must be a string, since a header repeats it")]
    NotText(&'static str),
    /// Methods have no encoding.
    #[error("the method cannot stand in a header; use visible ASCII")]
    Method,
}

/// How headers and body disagree. The text is the one that the specification's example has, without the values: those may
/// be secret, and errors are logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The body has a value, or the method needs it.
    #[error("Header mismatch: the {0} header is missing")]
    Missing(Title),
    /// Not readable, or there twice.
    #[error("Header mismatch: the {0} header is malformed or stands twice")]
    Malformed(Title),
    /// It says something else than the body.
    #[error("Header mismatch: the {0} header does not match the body")]
    Mismatch(Title),
    /// The body itself cannot be read.
    #[error("Header mismatch: {0}")]
    Body(#[from] Unreadable),
}

/// A header's name as the specification writes it: `Mcp-Param-region`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(HeaderName);

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == PROTOCOL_VERSION {
            return f.write_str("MCP-Protocol-Version");
        }
        let rest = self.0.as_str();
        match (rest.strip_prefix(PARAM), rest) {
            (Some(param), _) => write!(f, "Mcp-Param-{param}"),
            (None, "mcp-method") => f.write_str("Mcp-Method"),
            (None, "mcp-name") => f.write_str("Mcp-Name"),
            (None, other) => f.write_str(other),
        }
    }
}

// ---- values

/// A value as a header can carry it: visible ASCII as it is, with spaces inside; all else as base64 of its UTF-8, and so
/// what could be taken for that. The empty value goes as base64, too: intermediaries drop empty headers.
pub fn encode(value: &str) -> HeaderValue {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim_matches(' ').len() == value.len()
        && !value.is_empty()
        && !(value.starts_with(OPENING) && value.ends_with(CLOSING));
    let text: Cow<str> =
        if plain { value.into() } else { format!("{OPENING}{}{CLOSING}", BASE64.encode(value)).into() };
    // Printable ASCII is always a value.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("=?base64??="))
}

/// What a header says; `None` when it holds bytes that no sender may put there, or base64 that no sender writes so.
pub fn decode(value: &HeaderValue) -> Option<Cow<'_, str>> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    let Some(packed) = text.strip_prefix(OPENING).and_then(|rest| rest.strip_suffix(CLOSING)) else {
        return Some(text.into());
    };
    // The engine refuses trailing bits and missing padding: there is one way to write a value.
    String::from_utf8(BASE64.decode(packed).ok()?).ok().map(Cow::Owned)
}

/// An argument in the form that a header repeats; `None` where it has none: null, an object, an array.
fn written(argument: &str) -> Option<Cow<'_, str>> {
    match argument.as_bytes().first()? {
        b'"' => json::string(argument),
        b't' | b'f' => Some(argument.into()),
        b'-' | b'0'..=b'9' => Some(match argument.parse::<f64>() {
            // 1e3 and 1000.0 are the integer 1000. What a reader of doubles cannot hold stays as it was written.
            Ok(number) if number.fract() == 0.0 && number.abs() <= MAX_SAFE => (number as i64).to_string().into(),
            _ => argument.into(),
        }),
        _ => None,
    }
}

/// Whether a header's text says what an argument says. Numbers are compared as numbers (Server Validation).
fn agrees(said: &str, argument: &str) -> bool {
    let number = |text: &str| {
        let first = text.as_bytes().first()?;
        (matches!(first, b'-' | b'0'..=b'9') && serde_json::from_str::<f64>(text).is_ok())
            .then(|| written(text).map(Cow::into_owned))?
    };
    match argument.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => number(said).is_some() && number(said) == number(argument),
        _ => written(argument).is_some_and(|argument| argument == said),
    }
}

// ---- the headers of every request

/// The field of the params that `Mcp-Name` repeats, and whether the core protocol requires it. Tasks are an extension.
fn subject_field(name: &str) -> Option<(&'static str, bool)> {
    match name {
        method::TOOLS_CALL | method::PROMPTS_GET => Some(("name", true)),
        method::RESOURCES_READ => Some(("uri", true)),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some(("taskId", false)),
        _ => None,
    }
}

/// What a request is about: what its `Mcp-Name` says. `None` where the method has no such field or the body lacks it.
pub fn subject(frame: &Frame) -> Result<Option<Cow<'_, str>>, Unreadable> {
    match (subject_field(frame.method()), frame.body()) {
        (Some((field, _)), Some(_)) => subject_in(field, frame.object().as_ref()),
        _ => Ok(None),
    }
}

/// The same of params that were read already; `None` when they could not be.
fn subject_in<'a>(field: &'static str, params: Option<&Object<'a>>) -> Result<Option<Cow<'a, str>>, Unreadable> {
    let params = params.ok_or(Unreadable::Object("params"))?;
    let Some(value) = json::member(params, field) else { return Ok(None) };
    json::string(value).map(Some).ok_or(Unreadable::NotText(field))
}

/// The headers of a request: version, method, subject, and what the tool's schema asks for.
pub fn headers(frame: &Frame, annotations: &Annotations) -> Result<HeaderMap, Unreadable> {
    let mut headers = HeaderMap::with_capacity(8);
    let version = RequestMeta::of(frame).and_then(|meta| meta.version).and_then(json::string);
    if let Some(version) = version.and_then(|version| plain(&version)) {
        headers.insert(PROTOCOL_VERSION, version);
    }
    headers.insert(METHOD, plain(frame.method()).ok_or(Unreadable::Method)?);
    if let Some(subject) = subject(frame)? {
        headers.insert(NAME, encode(&subject));
    }
    for (name, value) in annotations.headers(frame)? {
        headers.insert(name, value);
    }
    Ok(headers)
}

/// A value of a header that has no encoding.
fn plain(text: &str) -> Option<HeaderValue> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    HeaderValue::from_str(text).ok().filter(|_| fits)
}

/// Checks version, method and subject of a request that came. `params` are its own as they were read, `None` when they
/// could not be. Gives the subject.
pub fn check<'a>(
    headers: &HeaderMap,
    frame: &'a Frame,
    params: Option<&Object<'a>>,
) -> Result<Option<Cow<'a, str>>, Wrong> {
    let version = RequestMeta::of(frame).and_then(|meta| meta.version).and_then(json::string);
    let said = the(headers, &PROTOCOL_VERSION)?.ok_or(Wrong::Missing(Title(PROTOCOL_VERSION)))?;
    // A body without a version is another fault, which has an answer of its own.
    if version.is_some_and(|version| said.as_bytes() != version.as_bytes()) {
        return Err(Wrong::Mismatch(Title(PROTOCOL_VERSION)));
    }
    let said = the(headers, &METHOD)?.ok_or(Wrong::Missing(Title(METHOD)))?;
    if said.as_bytes() != frame.method().as_bytes() {
        return Err(Wrong::Mismatch(Title(METHOD)));
    }
    let Some((field, required)) = subject_field(frame.method()) else { return Ok(None) };
    let said = the(headers, &NAME)?;
    let subject = if frame.body().is_some() { subject_in(field, params)? } else { None };
    match said {
        None if required && subject.is_some() => Err(Wrong::Missing(Title(NAME))),
        None => Ok(subject),
        Some(said) => {
            let said = decode(said).ok_or(Wrong::Malformed(Title(NAME)))?;
            if subject.as_ref().is_some_and(|subject| *subject == said) {
                Ok(subject)
            } else {
                Err(Wrong::Mismatch(Title(NAME)))
            }
        }
    }
}

/// The one value of a header.
fn the<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Wrong> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        _ => Err(Wrong::Malformed(Title(name.clone()))),
    }
}

// ---- the arguments of a call

impl Annotations {
    /// The headers for a `tools/call`: one for each argument that is there and not null.
    pub fn headers(&self, call: &Frame) -> Result<Vec<(HeaderName, HeaderValue)>, Unreadable> {
        let mut headers = Vec::new();
        self.each(call, |header, argument| {
            headers.extend(argument.and_then(written).map(|value| (header.clone(), encode(&value))));
            Ok(())
        })?;
        Ok(headers)
    }

    /// Checks the headers of a `tools/call` that came against its arguments.
    pub fn check(&self, headers: &HeaderMap, call: &Frame) -> Result<(), Wrong> {
        self.each(call, |header, argument| {
            let title = || Title(header.clone());
            match (the(headers, header)?, argument) {
                (None, None) => Ok(()),
                (None, Some(_)) => Err(Wrong::Missing(title())),
                (Some(_), None) => Err(Wrong::Mismatch(title())),
                (Some(said), Some(argument)) => {
                    let said = decode(said).ok_or_else(|| Wrong::Malformed(title()))?;
                    if agrees(&said, argument) { Ok(()) } else { Err(Wrong::Mismatch(title())) }
                }
            }
        })
    }

    /// Gives each header with its argument, as JSON text; `None` for one that is absent or null.
    fn each<'a, E: From<Unreadable>>(
        &self,
        call: &'a Frame,
        mut with: impl FnMut(&HeaderName, Option<&'a str>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.is_empty() {
            return Ok(());
        }
        let params = Object::parse(call.body().unwrap_or("{}")).ok_or(Unreadable::Object("params"))?;
        let arguments = match json::member(&params, "arguments") {
            Some(text) if text != "null" => Object::parse(text).ok_or(Unreadable::Object("arguments"))?,
            _ => Object::new(),
        };
        for Param { header, path } in self.params() {
            with(header, at(&arguments, path)?.filter(|argument| *argument != "null"))?;
        }
        Ok(())
    }
}

/// The value at a path; `None` where the path leads nowhere.
fn at<'a>(arguments: &Object<'a>, path: &[Box<str>]) -> Result<Option<&'a str>, Unreadable> {
    let Some((first, rest)) = path.split_first() else { return Ok(None) };
    let mut here = json::member(arguments, first);
    for key in rest {
        let Some(text) = here.filter(|text| text.starts_with('{')) else { return Ok(None) };
        here = json::member(&Object::parse(text).ok_or(Unreadable::Object("arguments"))?, key);
    }
    Ok(here)
}

// ---- lists of tools

/// What one result of `tools/list` says about headers.
#[derive(Debug, Clone, PartialEq)]
pub struct Tools {
    /// Each tool that may be used, with its annotations.
    pub good: Vec<(String, Annotations)>,
    /// Each tool that may not, and why.
    pub bad: Vec<(String, Invalid)>,
    /// The result without the bad tools; `None` when there is none.
    pub edited: Option<String>,
    /// Where the next page begins.
    pub cursor: Option<String>,
}

impl Tools {
    /// Reads a result, as JSON text; `None` when it is no list of tools.
    pub fn read(result: &str) -> Option<Tools> {
        let mut page = Object::parse(result)?;
        let items = json::array(json::member(&page, "tools")?)?;
        let (mut good, mut bad, mut kept) = (Vec::new(), Vec::new(), Vec::with_capacity(items.len()));
        for item in items {
            let tool = Object::parse(item);
            let member = |key| tool.as_ref().and_then(|tool| json::member(tool, key));
            let name = member("name").and_then(json::string).unwrap_or_default().into_owned();
            match Annotations::of(member("inputSchema").unwrap_or_default()) {
                Ok(annotations) => {
                    kept.push(item);
                    good.push((name, annotations));
                }
                Err(why) => bad.push((name, why)),
            }
        }
        let cursor = json::member(&page, "nextCursor").and_then(json::string).map(Cow::into_owned);
        let edited = (!bad.is_empty()).then(|| page.set("tools", json::join(kept)).to_string());
        Some(Tools { good, bad, edited, cursor })
    }
}

#[cfg(test)]
mod tests;
