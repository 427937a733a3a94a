//! What a legacy client said of itself, and what each of its requests has to carry therefore.
//!
//! Owns the translation of `initialize`'s params and of the `_meta` of requests. Pure. It never looks into what belongs to
//! a method, but for the `task` of a tool call.

use crate::{
    json::{self, Object},
    message::Frame,
    protocol::{Level, MODERN, Revision, may_ask_back, meta, method},
};

/// The extension that replaced the tasks of 2025-11-25. The two do not fit on the wire, so neither side sees it.
pub(super) const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// A legacy client, as it said in `initialize`.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// What it speaks: the revision that it asked for, or the newest one that it may know.
    pub revision: Revision,
    /// What it may be asked for.
    pub declared: Declared,
    /// The members that the `_meta` of each request begins with.
    stamp: String,
}

/// What a client may be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// `roots/list`.
    pub roots: bool,
    /// `sampling/createMessage`.
    pub sampling: bool,
    /// `elicitation/create` with a form.
    pub form: bool,
    /// `elicitation/create` with a URL.
    pub url: bool,
}

impl Default for Client {
    /// One that has not introduced itself.
    fn default() -> Client {
        Client { revision: Revision::V2025_11_25, declared: Declared::default(), stamp: stamp("{}", None) }
    }
}

impl Client {
    /// Reads the params of `initialize`.
    pub fn read(params: Option<&str>) -> Result<Client, String> {
        let params = params.and_then(Object::parse).ok_or("the params of initialize are no object")?;
        let asked = params.get("protocolVersion").and_then(json::string);
        let revision = asked.and_then(|name| Revision::parse_legacy(&name)).unwrap_or(Revision::V2025_11_25);
        let (capabilities, declared) = capabilities(params.get("capabilities").unwrap_or("{}"), revision);
        let info = params.get("clientInfo").filter(|info| is_object(info));
        Ok(Client { revision, declared, stamp: stamp(&capabilities, info) })
    }

    /// The name of its revision.
    pub fn version(&self) -> &'static str {
        self.revision.name()
    }

    /// The params of a request of its own, as a modern server wants them: the client's own metadata stays.
    pub fn params<'a>(&self, request: &'a Frame, level: Option<Level>) -> Result<Object<'a>, &'static str> {
        let mut params = match request.body() {
            Some(_) => request.object().ok_or("the params are no object, or have a key twice")?,
            None => Object::new(),
        };
        if may_ask_back(request.method()) {
            // No legacy client has these; a modern server would take them for the answers to what it asked.
            params.retain(|key| !matches!(key, "inputResponses" | "requestState"));
        }
        if request.method() == method::TOOLS_CALL {
            params.remove("task");
        }
        let meta = self.meta(params.get("_meta"), level)?;
        params.set("_meta", meta);
        Ok(params)
    }

    /// The params of a request of the bridge's own.
    pub fn own_params(&self) -> String {
        format!("{{\"_meta\":{{{}}}}}", self.stamp)
    }

    /// The same, for `subscriptions/listen`.
    pub fn listen_params(&self, filter: &str) -> String {
        format!("{{\"notifications\":{filter},\"_meta\":{{{}}}}}", self.stamp)
    }

    fn meta(&self, own: Option<&str>, level: Option<Level>) -> Result<String, &'static str> {
        let mut text = String::with_capacity(self.stamp.len() + 128 + own.map_or(0, str::len));
        text.extend(["{", &self.stamp]);
        if let Some(level) = level {
            text.extend([",\"", meta::LOG_LEVEL, "\":\"", level.name(), "\""]);
        }
        if let Some(own) = own {
            let own = Object::parse(own).ok_or("the _meta of the params is no object, or has a key twice")?;
            for (key, value) in own.iter().filter(|(key, _)| !is_ours(key)) {
                text.extend([",", &json::quote(key), ":", value]);
            }
        }
        text.push('}');
        Ok(text)
    }
}

/// Keys that the bridge alone may set.
fn is_ours(key: &str) -> bool {
    matches!(
        key,
        meta::PROTOCOL_VERSION | meta::CLIENT_CAPABILITIES | meta::CLIENT_INFO | meta::LOG_LEVEL | meta::RELATED_TASK
    )
}

fn stamp(capabilities: &str, info: Option<&str>) -> String {
    let mut text =
        format!("\"{}\":\"{MODERN}\",\"{}\":{capabilities}", meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES);
    if let Some(info) = info {
        text.extend([",\"", meta::CLIENT_INFO, "\":", info]);
    }
    text
}

/// The capabilities as a modern client declares them (2026-07-28, schema, ClientCapabilities).
fn capabilities(text: &str, revision: Revision) -> (String, Declared) {
    let mut all = Object::parse(text).unwrap_or_default();
    all.remove("tasks");
    for key in ["roots", "sampling", "elicitation", "experimental", "extensions"] {
        if all.get(key).is_some_and(|value| !is_object(value)) {
            all.remove(key);
        }
    }
    let mut declared =
        Declared { roots: all.get("roots").is_some(), sampling: all.get("sampling").is_some(), ..Declared::default() };
    if declared.roots {
        all.set("roots", "{}"); // Changes of roots have no modern form: they are asked for when they are needed.
    }
    if let Some(modes) = all.get("elicitation").map(|text| Object::parse(text).unwrap_or_default()) {
        // Before 2025-11-25 there were forms only.
        declared.url = revision >= Revision::V2025_11_25 && modes.get("url").is_some();
        declared.form = !declared.url || modes.get("form").is_some();
        if revision < Revision::V2025_11_25 {
            all.set("elicitation", "{}");
        }
    }
    if let Some(kept) = all.get("extensions").and_then(without_tasks) {
        all.set("extensions", kept);
    }
    (all.to_string(), declared)
}

fn without_tasks(extensions: &str) -> Option<String> {
    let mut extensions = Object::parse(extensions)?;
    extensions.remove(TASKS_EXTENSION)?;
    Some(extensions.to_string())
}

pub(super) fn is_object(text: &str) -> bool {
    text.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn request(text: &str) -> Frame {
        Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn client(version: &str, capabilities: &str) -> Client {
        let params = format!(
            r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"clientInfo":{{"name":"old","version":"1"}}}}"#
        );
        Client::read(Some(&params)).unwrap()
    }

    #[test]
    fn capabilities_are_declared_the_modern_way() {
        let all = r#"{"roots":{"listChanged":true},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}},"experimental":{"x":{}},"tasks":{"list":{}},"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/ui":{}}}"#;
        let (text, declared) = capabilities(all, Revision::V2025_11_25);
        assert_eq!(
            text,
            r#"{"roots":{},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}},"experimental":{"x":{}},"extensions":{"com.example/ui":{}}}"#
        );
        assert_eq!(declared, Declared { roots: true, sampling: true, form: true, url: true });
        for (given, revision, want, form, url) in [
            (r#"{"elicitation":{}}"#, Revision::V2025_11_25, r#"{"elicitation":{}}"#, true, false),
            (r#"{"elicitation":{"url":{}}}"#, Revision::V2025_11_25, r#"{"elicitation":{"url":{}}}"#, false, true),
            (r#"{"elicitation":{"url":{}}}"#, Revision::V2025_06_18, r#"{"elicitation":{}}"#, true, false),
            (r#"{"elicitation":null,"roots":true}"#, Revision::V2025_06_18, "{}", false, false),
            ("[]", Revision::V2025_06_18, "{}", false, false),
        ] {
            let (text, declared) = capabilities(given, revision);
            assert_eq!((text.as_str(), declared.form, declared.url), (want, form, url), "{given}");
        }
    }

    #[test]
    fn a_request_is_stamped_and_keeps_its_own_metadata() {
        let client = client("2025-06-18", "{}");
        assert_eq!(client.version(), "2025-06-18");
        let stamp = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"old","version":"1"}"#;
        let bare = request(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        assert_eq!(client.params(&bare, None).unwrap().text(), format!(r#"{{"_meta":{{{stamp}}}}}"#));
        let full = request(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","task":{"ttl":1},"requestState":"s","inputResponses":{},"_meta":{"progressToken":1.0,"traceparent":"00-1","io.modelcontextprotocol/clientInfo":{"name":"forged"},"io.modelcontextprotocol/related-task":{}},"arguments":{"n": 1e3}}}"#,
        );
        assert_eq!(
            client.params(&full, Some(Level::Info)).unwrap().text(),
            format!(
                r#"{{"name":"a","_meta":{{{stamp},"io.modelcontextprotocol/logLevel":"info","progressToken":1.0,"traceparent":"00-1"}},"arguments":{{"n": 1e3}}}}"#
            )
        );
        assert_eq!(client.listen_params("{}"), format!(r#"{{"notifications":{{}},"_meta":{{{stamp}}}}}"#));
        for bad in [r#"[1]"#, r#"{"_meta":1}"#, r#"{"_meta":{"a":1,"a":2}}"#, r#"{"a":1,"a":2}"#] {
            let frame = request(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{bad}}}"#));
            assert!(client.params(&frame, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_revision_that_is_not_legacy_becomes_the_newest_that_is() {
        for asked in ["2026-07-28", "1999-01-01", ""] {
            assert_eq!(client(asked, "{}").version(), "2025-11-25", "{asked}");
        }
        assert_eq!(client("2024-11-05", "{}").revision, Revision::V2024_11_05);
        assert!(Client::read(None).is_err() && Client::read(Some("[]")).is_err());
        assert_eq!(Client::read(Some("{}")).unwrap().own_params(), Client::default().own_params());
    }
}
