//! Remote servers that owe nothing to the bridge's own fronts: the demo server in this process, behind a small front of
//! either network wire, in the eras that the test wants. Each notes what it was told and what it said.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use mcp_bridge::demo::{Eras, ToolSet, serve};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    client::Kind,
    script::{Exchange, Script, Sse},
};

mod modern;

/// A remote server. Dropped, it is gone.
pub struct Remote {
    pub addr: SocketAddr,
    pub record: Arc<Record>,
    /// What it speaks from the next start of a server on.
    eras: Arc<Mutex<Eras>>,
    _serving: JoinSet<()>,
}

/// Every message that a server was told, and every one that it said, in order.
#[derive(Debug, Default)]
pub struct Record {
    pub heard: Mutex<Vec<String>>,
    pub said: Mutex<Vec<String>>,
}

impl Remote {
    /// One that speaks both eras.
    pub async fn start(kind: Kind) -> Remote {
        Remote::of(kind, Eras::Both).await
    }

    pub async fn of(kind: Kind, eras: Eras) -> Remote {
        let mut script = Script::start().await;
        let (addr, record) = (script.addr, Arc::new(Record::default()));
        let mut serving = JoinSet::new();
        let notes = record.clone();
        let eras = Arc::new(Mutex::new(eras));
        let spoken = eras.clone();
        serving.spawn(async move {
            let sessions = HashMap::new();
            let mut front = Front { record: notes, eras: Eras::Both, sessions, modern: None, tasks: JoinSet::new() };
            loop {
                // Not `Script::next`: a server waits for ever.
                let Some(exchange) = script.next_or_end().await else { return };
                front.speak(*spoken.lock().unwrap());
                match kind {
                    Kind::Sse => front.sse(exchange).await,
                    Kind::Http => front.http(exchange).await,
                }
            }
        });
        Remote { addr, record, eras, _serving: serving }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Has it restart as a server of other eras. What it knew of its clients is gone.
    pub fn become_of(&self, eras: Eras) {
        *self.eras.lock().unwrap() = eras;
    }
}

struct Front {
    record: Arc<Record>,
    eras: Eras,
    sessions: HashMap<String, Session>,
    /// The server of all modern exchanges.
    modern: Option<modern::Server>,
    tasks: JoinSet<()>,
}

struct Session {
    input: WriteHalf<DuplexStream>,
    calls: Arc<Mutex<Calls>>,
}

/// Who waits for what, over HTTP.
#[derive(Default)]
struct Calls {
    open: HashMap<String, Open>,
    get: Option<mpsc::Sender<String>>,
    /// What was said while nobody listened.
    waiting: Vec<String>,
}

struct Open {
    token: Value,
    tx: mpsc::Sender<String>,
}

impl Front {
    fn speak(&mut self, eras: Eras) {
        if self.eras != eras {
            self.eras = eras;
            self.sessions.clear();
            self.modern = None;
            self.tasks.abort_all();
        }
    }

    /// Starts a demo server; gives what it says.
    fn demo(&mut self, id: &str) -> BufReader<ReadHalf<DuplexStream>> {
        let (ours, theirs) = duplex(64 * 1024);
        let ((read, write), eras) = (split(theirs), self.eras);
        self.tasks.spawn(async move { drop(serve(read, write, ToolSet::WithTestTools, eras).await) });
        let (output, input) = split(ours);
        self.sessions.insert(id.into(), Session { input, calls: Arc::default() });
        BufReader::new(output)
    }

    /// Passes a message to its session's server. False when there is no such session any more.
    async fn tell(&mut self, id: &str, body: &str) -> bool {
        let Some(session) = self.sessions.get_mut(id) else { return false };
        self.record.heard.lock().unwrap().push(body.into());
        session.input.write_all(format!("{body}\n").as_bytes()).await.is_ok()
    }

    async fn sse(&mut self, exchange: Exchange) {
        if exchange.method == "GET" {
            let id = (self.sessions.len() + 1).to_string();
            let mut lines = self.demo(&id).lines();
            let mut sse = exchange.sse().await;
            sse.raw(&format!("event: endpoint\ndata: /messages?session_id={id}\n\n")).await;
            let record = self.record.clone();
            self.tasks.spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    record.said.lock().unwrap().push(line.clone());
                    if !sse.message(&line).await {
                        return;
                    }
                }
            });
            return;
        }
        let id = exchange.path.split_once('=').map(|(_, id)| id.to_owned()).unwrap_or_default();
        let status = if self.tell(&id, &exchange.body).await { 202 } else { 404 };
        exchange.reply(status, &[], "").await;
    }

    async fn http(&mut self, exchange: Exchange) {
        if self.eras != Eras::Legacy && (self.eras == Eras::Modern || modern::is_modern(&exchange)) {
            return self.modern(exchange).await;
        }
        let id = exchange.header("mcp-session-id").unwrap_or_default().to_owned();
        if exchange.method == "DELETE" {
            self.sessions.remove(&id);
            return exchange.reply(200, &[], "").await;
        }
        if exchange.method == "GET" {
            return self.listen(&id, exchange).await;
        }
        let json = exchange.json();
        if json.get("method").is_none() || json.get("id").is_none() {
            let status = if self.tell(&id, &exchange.body).await { 202 } else { 404 };
            return exchange.reply(status, &[], "").await;
        }
        let id = if json["method"] == "initialize" { self.begin() } else { id };
        let Some(session) = self.sessions.get(&id) else { return exchange.reply(404, &[], "").await };
        let (tx, rx) = mpsc::channel(64);
        let open = Open { token: json["params"]["_meta"]["progressToken"].clone(), tx };
        session.calls.lock().unwrap().open.insert(json["id"].to_string(), open);
        if !self.tell(&id, &exchange.body).await {
            self.sessions.remove(&id);
            return exchange.reply(404, &[], "").await;
        }
        self.tasks.spawn(answer(exchange, rx, id));
    }

    fn begin(&mut self) -> String {
        let id = format!("session-{}", self.sessions.len() + 1);
        let mut lines = self.demo(&id).lines();
        let (record, calls) = (self.record.clone(), self.sessions[&id].calls.clone());
        self.tasks.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                record.said.lock().unwrap().push(line.clone());
                hand_out(&calls, line).await;
            }
            // The end of the server ends every stream of its session.
            let mut calls = calls.lock().unwrap();
            calls.open.clear();
            calls.get = None;
        });
        id
    }

    async fn listen(&mut self, id: &str, exchange: Exchange) {
        let Some(session) = self.sessions.get(id) else { return exchange.reply(404, &[], "").await };
        let (tx, mut rx) = mpsc::channel(64);
        let waiting = {
            let mut calls = session.calls.lock().unwrap();
            calls.get = Some(tx);
            std::mem::take(&mut calls.waiting)
        };
        self.tasks.spawn(async move {
            let mut sse = exchange.sse().await;
            for line in waiting {
                sse.message(&line).await;
            }
            while let Some(line) = rx.recv().await {
                sse.message(&line).await;
            }
        });
    }
}

/// An answer goes to its call, progress to the call with its token. Of the rest, a log line or a question is the only
/// call's, where there is one; all else goes to the GET stream.
async fn hand_out(calls: &Mutex<Calls>, line: String) {
    let json: Value = serde_json::from_str(&line).unwrap_or_default();
    let tx = {
        let mut calls = calls.lock().unwrap();
        let token = &json["params"]["progressToken"];
        let of_a_call = json.get("id").is_some() || json["method"] == "notifications/message";
        let only = calls.open.values().next().filter(|_| calls.open.len() == 1 && of_a_call);
        if json.get("method").is_none() {
            calls.open.remove(&json["id"].to_string()).map(|open| open.tx)
        } else if !token.is_null() {
            calls.open.values().find(|open| open.token == *token).map(|open| open.tx.clone())
        } else if let Some(only) = only {
            Some(only.tx.clone())
        } else if calls.get.is_none() {
            calls.waiting.push(line.clone());
            None
        } else {
            calls.get.clone()
        }
    };
    if let Some(tx) = tx {
        drop(tx.send(line).await);
    }
}

/// JSON when the answer comes first, else an event stream.
async fn answer(exchange: Exchange, mut rx: mpsc::Receiver<String>, session: String) {
    let Some(first) = rx.recv().await else { return };
    let is_answer = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|json| json.get("method").is_none());
    if is_answer(&first) {
        return exchange.reply(200, &[("Mcp-Session-Id", &session)], &first).await;
    }
    let mut sse: Sse = exchange.sse().await;
    sse.message(&first).await;
    while let Some(line) = rx.recv().await {
        sse.message(&line).await;
    }
}
