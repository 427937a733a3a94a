//! The handshake that a modern server does not have: `initialize`, answered from `server/discover`.
//!
//! Owns the question to the server and the translation of its answer. Talks to the server through the session. It never
//! falls back to another era: who opened the server chose this one.

use std::sync::Arc;

use serde_json::json;
use tokio::time::timeout;

use super::{
    Session,
    client::{Client, is_object},
    lock,
    results::passed_on,
};
use crate::{
    json::{self, Object},
    message::{Frame, code},
    peer::{Caller, Reply},
    protocol::{ErrorHead, LISTS, MODERN, meta, method, supported_versions},
};

/// For a server that does not say who it is; the legacy era demands a name.
const NAMELESS: &str = r#"{"name":"unnamed server","version":"unknown"}"#;

/// What the server said that it offers, as far as the session has to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offers {
    /// Whether it sends log lines.
    pub logging: bool,
    /// Whether it tells of changes of a resource.
    pub subscribe: bool,
    /// The lists whose changes it tells of.
    pub changes: Changes,
}

/// The lists whose changes are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub(super) struct Changes {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
}

impl Changes {
    /// Whether there is one.
    pub fn any(self) -> bool {
        self.tools || self.prompts || self.resources
    }
}

/// Why the server cannot be spoken to.
#[derive(Debug)]
pub(super) enum Refusal {
    /// In its own words.
    Own(Frame),
    /// In ours: code, text and data.
    Ours(i32, String, Option<serde_json::Value>),
}

impl Refusal {
    /// Tells the client.
    pub fn answer(self, reply: Reply) {
        match self {
            Refusal::Own(frame) => reply.answer(frame),
            Refusal::Ours(code, text, data) => reply.fail(code, &text, data),
        }
    }
}

/// Answers `initialize`.
pub(super) async fn initialize(session: Arc<Session>, client: Arc<Client>, caller: Arc<Caller>, reply: Reply) {
    let known = lock(&session.found).take();
    let found = tokio::select! {
        found = known_or_asked(known, &session, &client, &caller) => found,
        () = session.over.cancelled() => return, // The dropped reply answers.
    };
    match found {
        Ok(found) => {
            let (result, offers) = initialized(&found, client.version());
            *lock(&session.offers) = Some(offers);
            let frame = Frame::result(reply.id_text(), &result);
            reply.answer(frame);
        }
        Err(refusal) => refusal.answer(reply),
    }
}

/// What the server has just said of itself, or what it says now.
async fn known_or_asked(
    known: Option<Frame>,
    session: &Session,
    client: &Client,
    caller: &Arc<Caller>,
) -> Result<String, Refusal> {
    match known.as_ref().map(checked) {
        Some(Ok(found)) => Ok(found),
        Some(Err(_)) | None => discover(session, client, caller).await,
    }
}

/// Asks the server what it is; gives its result, which is an object.
pub(super) async fn discover(session: &Session, client: &Client, caller: &Arc<Caller>) -> Result<String, Refusal> {
    let mut again = true;
    // Ends with the second answer at the latest.
    loop {
        let answer = ask(session, client, caller).await?;
        if !answer.is_error() {
            return checked(&answer);
        }
        match ErrorHead::code_of(&answer) {
            Some(code::UNSUPPORTED_VERSION) => {
                let versions = supported_versions(&answer).unwrap_or_default();
                if !(std::mem::take(&mut again) && names_modern(&versions)) {
                    return Err(no_common(&versions));
                }
            }
            Some(code::METHOD_NOT_FOUND) => {
                let text = format!(
                    "the server does not know {}, so it does not speak {MODERN}; leave --server-era at auto, or set it \
                     to legacy",
                    method::DISCOVER
                );
                return Err(Refusal::Ours(code::INTERNAL, text, None));
            }
            _ => return Err(passed_on(answer)),
        }
    }
}

async fn ask(session: &Session, client: &Client, caller: &Arc<Caller>) -> Result<Frame, Refusal> {
    let patience = session.settings.patience;
    let late = || {
        let text = format!(
            "the server did not answer {} within {} s; look into its log",
            method::DISCOVER,
            patience.as_secs()
        );
        Refusal::Ours(code::LIMIT, text, None)
    };
    let params = client.own_params();
    let mut asked = timeout(patience, session.ask(caller, method::DISCOVER, &params)).await.map_err(|_| late())?;
    match timeout(patience, asked.answer()).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Refusal::Ours(code::INTERNAL, "the server is gone".into(), None)),
        Err(_) => {
            session.withdraw(caller, asked.id).await;
            Err(late())
        }
    }
}

/// A result from a server that speaks the modern revision.
fn checked(answer: &Frame) -> Result<String, Refusal> {
    let found = answer.body().filter(|body| Object::parse(body).is_some());
    let Some(found) = found else {
        let text = format!("the server answered {} with what is no object", method::DISCOVER);
        return Err(Refusal::Ours(code::INTERNAL, text, None));
    };
    // A server that names no revision speaks the one that it was asked in.
    match supported_versions(answer) {
        Some(versions) if !names_modern(&versions) => Err(no_common(&versions)),
        _ => Ok(found.to_string()),
    }
}

fn names_modern(versions: &[String]) -> bool {
    versions.iter().any(|version| version == MODERN)
}

fn no_common(versions: &[String]) -> Refusal {
    let supported = json!(versions);
    let text = format!("Unsupported protocol version: the server does not speak {MODERN}, but {supported}");
    Refusal::Ours(code::INVALID_PARAMS, text, Some(json!({ "supported": supported, "requested": MODERN })))
}

/// The result of `initialize`, and what the server offers.
fn initialized(found: &str, version: &str) -> (String, Offers) {
    let found = Object::parse(found).unwrap_or_default();
    let mut capabilities = found.get("capabilities").and_then(Object::parse).unwrap_or_default();
    capabilities.retain(|key| !matches!(key, "extensions" | "tasks"));
    let flag = |group: &str, name: &str| {
        capabilities.get(group).and_then(Object::parse).is_some_and(|group| group.get(name) == Some("true"))
    };
    let [tools, prompts, resources] = LISTS.map(|list| flag(list.capability, "listChanged"));
    let offers = Offers {
        logging: capabilities.get("logging").is_some(),
        subscribe: flag("resources", "subscribe"),
        changes: Changes { tools, prompts, resources },
    };
    let mut result = Object::new();
    result.set("protocolVersion", json::quote(version));
    result.set("capabilities", capabilities.to_string());
    result.set("serverInfo", server_info(&found));
    if let Some(instructions) = found.get("instructions").filter(|text| text.starts_with('"')) {
        result.set("instructions", instructions);
    }
    (result.to_string(), offers)
}

/// Who the server is; the legacy era demands a name and a version, the modern era recommends them.
fn server_info(found: &Object<'_>) -> String {
    let meta = found.get("_meta").and_then(Object::parse).unwrap_or_default();
    let Some(mut info) = meta.get(meta::SERVER_INFO).filter(|info| is_object(info)).and_then(Object::parse) else {
        return NAMELESS.into();
    };
    for (key, stand_in) in [("name", "\"unnamed server\""), ("version", "\"unknown\"")] {
        if !info.get(key).is_some_and(|value| value.starts_with('"')) {
            info.set(key, stand_in);
        }
    }
    info.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discovery_becomes_the_result_of_initialize() {
        let found = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true,"listChanged":false},"completions":{},"logging":{},"experimental":{"x":{}},"extensions":{"io.modelcontextprotocol/tasks":{}},"tasks":{}},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"2","title":"S"}},"instructions":"a\nb","ttlMs":1,"cacheScope":"public"}"#;
        let (result, offers) = initialized(found, "2025-03-26");
        assert_eq!(
            result,
            r#"{"protocolVersion":"2025-03-26","capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true,"listChanged":false},"completions":{},"logging":{},"experimental":{"x":{}}},"serverInfo":{"name":"s","version":"2","title":"S"},"instructions":"a\nb"}"#
        );
        let changes = Changes { tools: true, ..Changes::default() };
        assert_eq!(offers, Offers { logging: true, subscribe: true, changes });
    }

    #[test]
    fn a_server_that_does_not_say_who_it_is_gets_a_stand_in() {
        for (found, info) in [
            ("{}", NAMELESS),
            (r#"{"_meta":{"io.modelcontextprotocol/serverInfo":1}}"#, NAMELESS),
            (r#"{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#, r#"{"name":"s","version":"unknown"}"#),
        ] {
            let want = format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{{}},"serverInfo":{info}}}"#);
            assert_eq!(initialized(found, "2025-11-25").0, want, "{found}");
        }
    }
}
