//! What the health routes answer: for people and probes a text, for programs JSON.
//!
//! Owns the two forms. Talks to nobody. It never decides who may know.
//!
//! ```text
//! ok                                      {"ready": true, "servers": [{"name": "git", "ready": true}]}
//!
//! git: ok                                 {"ready": true, "servers": [{"name": "git", "ready": true},
//! time: cannot start "time": ...              {"name": "time", "ready": false, "why": "cannot start ..."}]}
//! ```

use http::{HeaderValue, Method, Request, StatusCode, header};
use serde::Serialize;

use crate::wire::exchange::{self, Refusal, Response};

/// Whether one server can be had.
#[derive(Debug, Clone)]
pub struct State {
    /// What it is called.
    pub name: String,
    /// Why it cannot be had.
    pub why_not: Option<String>,
}

/// What readiness comes to.
#[derive(Debug)]
pub enum Ready {
    /// The bridge is shutting down.
    Ending,
    /// Whether anything can be had, for callers who may not know more.
    Whole(bool),
    /// Each server.
    Each(Vec<State>),
}

/// Whether anything can be had. Where there is nothing yet, nothing is wrong.
pub fn any(states: &[State]) -> bool {
    states.is_empty() || states.iter().any(|state| state.why_not.is_none())
}

/// The bridge is alive.
pub fn health<B>(request: &Request<B>) -> Result<Response, Refusal> {
    answer(request, true, "ok\n".into(), "text/plain; charset=utf-8")
}

impl Ready {
    /// The answer to a request. An error status when nothing can be had.
    pub fn answer<B>(&self, request: &Request<B>) -> Result<Response, Refusal> {
        let ready = match self {
            Ready::Ending => false,
            Ready::Whole(ready) => *ready,
            Ready::Each(states) => any(states),
        };
        match wants_json(request) {
            true => answer(request, ready, self.json(ready), "application/json"),
            false => answer(request, ready, self.text(ready), "text/plain; charset=utf-8"),
        }
    }

    fn text(&self, ready: bool) -> String {
        match self {
            Ready::Ending => "shutting down\n".into(),
            Ready::Each(states) if !states.is_empty() => match states.as_slice() {
                [one] => format!("{}\n", one.word()),
                several => several.iter().map(|state| format!("{}: {}\n", state.name, state.word())).collect(),
            },
            _ if ready => "ok\n".into(),
            _ => "not ready\n".into(),
        }
    }

    fn json(&self, ready: bool) -> String {
        let (why, servers) = match self {
            Ready::Ending => (Some("shutting down"), None),
            Ready::Whole(_) => (None, None),
            Ready::Each(states) => {
                let one = |state: &State| Said {
                    name: Some(state.name.clone()),
                    ready: state.why_not.is_none(),
                    why: state.why_not.clone(),
                    servers: None,
                };
                (None, Some(states.iter().map(one).collect()))
            }
        };
        let said = Said { name: None, ready, why: why.map(String::from), servers };
        // Texts and truths: nothing in it can fail.
        serde_json::to_string(&said).unwrap_or_default() + "\n"
    }
}

/// The whole, and each server in it.
#[derive(Serialize)]
struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Vec<Said>>,
}

impl State {
    fn word(&self) -> &str {
        self.why_not.as_deref().unwrap_or("ok")
    }
}

fn wants_json<B>(request: &Request<B>) -> bool {
    let accepts = request.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let asked = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "format=json"));
    asked || accepts.into_iter().any(|value| value.contains("application/json"))
}

fn answer<B>(request: &Request<B>, good: bool, text: String, kind: &'static str) -> Result<Response, Refusal> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes GET");
        return Err(refusal.header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    let mut response = exchange::text(if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}
