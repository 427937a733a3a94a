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

use http::{HeaderMap, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use tokio::sync::SetOnce;

use crate::{
    config::RemoteSpec,
    observe::flat,
    wire::remote::web::{Outgoing, Web},
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
    let unreachable = |why: String| {
        Unreachable(format!("cannot ask {shown}: {why}; name a bridge's URL, as in http://127.0.0.1:8000"))
    };
    let body = tokio::time::timeout(PATIENCE, ask(&web)).await;
    let body = body.map_err(|_| unreachable(format!("no answer within {} s", PATIENCE.as_secs())))?;
    let body = body.map_err(unreachable)?;
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| unreachable("what answers there is no mcp-bridge, or an older one".into()))?;
    let text = match question.json {
        true => serde_json::to_string(&answer).unwrap_or_default() + "\n",
        false => table(&answer),
    };
    // A reader that has closed early has seen enough.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    let all = answer.servers.iter().flatten().all(|server| server.ready);
    Ok(if answer.ready && all { State::Fine } else { State::SomeBad })
}

async fn ask(web: &Web) -> Result<Vec<u8>, String> {
    let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
    let started = Arc::new(SetOnce::new());
    let request = Outgoing { method: Method::GET, url: web.url(), headers, body: None, started };
    let mut response = web.send(request).await.map_err(|fault| fault.why)?.response;
    let mut body = Vec::new();
    // Ends with the body.
    while let Some(chunk) = response.chunk().await.map_err(|_| "the connection broke".to_owned())? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err("its answer does not end".into());
        }
    }
    Ok(body)
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
