//! What a running bridge says of its servers.
//!
//! Owns the question to `/readyz` and the table that people read. Talks to one bridge over HTTP, and to stdout. It never
//! shows the token that it sends.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::SetOnce;
use url::Url;

use crate::{
    config::RemoteSpec,
    observe::flat,
    wire::remote::{
        fault::{Fault, FaultKind, one_line, status_line},
        web::{Outgoing, Web},
    },
};

/// For the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most of an answer that is read, in bytes: a thousand servers, each with a line that says why not.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Which bridge is asked, and for whom.
#[derive(Debug, Clone)]
pub struct Question {
    /// The readiness route, and the token to show there.
    pub bridge: RemoteSpec,
    /// The answer as it came, for programs.
    pub json: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All servers can be had.
    Fine,
    /// Some cannot.
    SomeBad,
}

/// No bridge answered there. One line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    ready: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    servers: Option<Vec<Server>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Server {
    name: String,
    ready: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Asks, and prints the answer.
pub async fn run(question: &Question) -> Result<State, Unreachable> {
    let web = Web::new(&question.bridge);
    let shown = web.shown();
    let unreachable = |why: String| Unreachable(format!("cannot ask {shown}: {why}"));
    let answer = tokio::time::timeout(PATIENCE, ask(&web)).await;
    let answer = answer.map_err(|_| {
        unreachable(format!("no answer within {} s; check the URL, or look into the bridge's log", PATIENCE.as_secs()))
    })?;
    let answer = answer.map_err(unreachable)?;
    let text = match question.json {
        true => serde_json::to_string(&answer).unwrap_or_default() + "\n",
        false => table(&answer),
    };
    // A reader that has closed early has seen enough.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    let all = answer.servers.iter().flatten().all(|server| server.ready);
    Ok(if answer.ready && all { State::Fine } else { State::SomeBad })
}

/// An error is what happened and one next step.
async fn ask(web: &Web) -> Result<Answer, String> {
    let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
    let started = Arc::new(SetOnce::new());
    let request = Outgoing { method: Method::GET, url: web.url(), headers, body: None, started };
    let mut response = web.send(request).await.map_err(|fault| in_words(&fault))?.response;
    let mut body = Vec::new();
    // Ends with the body.
    while let Some(chunk) =
        response.chunk().await.map_err(|_| format!("the connection broke; {}", next_step(web.url())))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(format!("its answer does not end; {}", next_step(web.url())));
        }
    }
    serde_json::from_slice(&body).map_err(|_| no_answer(response.status(), &body, web.url()))
}

/// Where the bridge cannot be reached. What a fault says is for servers: it names flags that `status` does not have.
fn in_words(fault: &Fault) -> String {
    match fault.kind {
        FaultKind::Refused => {
            "nobody answers at that address; check that the bridge runs, and the host and port of its URL".into()
        }
        FaultKind::Timeout => {
            "no connection came about in time; check the host and port of the URL, and any proxy (HTTPS_PROXY)".into()
        }
        _ => fault.why.clone(),
    }
}

/// Where what came is not what a bridge says of its servers.
fn no_answer(status: StatusCode, body: &[u8], url: &Url) -> String {
    let refusal = || serde_json::from_slice::<Refusal>(body).ok().map(|refusal| refusal.error.message);
    let line = status_line(status);
    match status.as_u16() {
        // Of the port that speaks TLS, or of the limits on who calls: they say what to do.
        400 if url.scheme() == "http" && body.starts_with(b"this port speaks TLS") => {
            "that port speaks TLS; write https:// in the URL".into()
        }
        403 | 429 if let Some(words) = refusal() => format!("HTTP {line}: {}", one_line(&words)),
        404 => format!("HTTP {line}: no bridge says anything of its servers there; {}", next_step(url)),
        _ => format!("HTTP {line}: what answers there is no mcp-bridge, or an older one; {}", next_step(url)),
    }
}

fn next_step(url: &Url) -> String {
    format!("name a bridge's URL, as in mcp-bridge status {}://127.0.0.1:8000", url.scheme())
}

#[derive(Deserialize)]
struct Refusal {
    error: Words,
}

#[derive(Deserialize)]
struct Words {
    message: String,
}

fn table(answer: &Answer) -> String {
    let word = |ready: bool, why: &Option<String>| match (ready, why) {
        (true, _) => "ok".to_owned(),
        (false, why) => flat(why.as_deref().unwrap_or("not ready")),
    };
    let Some(servers) = &answer.servers else {
        let hint = if answer.why.is_none() { " (add --bearer to see each server)" } else { "" };
        return format!("{}{hint}\n", word(answer.ready, &answer.why));
    };
    let names: Vec<String> = servers.iter().map(|server| flat(&server.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default().max("SERVER".len());
    let mut out = format!("{:<width$}  STATE\n", "SERVER");
    for (name, server) in names.iter().zip(servers) {
        let _ = writeln!(out, "{name:<width$}  {}", word(server.ready, &server.why));
    }
    out
}
