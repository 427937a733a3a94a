//! The modern half of the front: one POST is one exchange, all of them with one demo server. Ids, progress tokens and
//! subscription ids are made its own on the way there and their owner's on the way back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, WriteHalf, split},
    io::{BufReader, DuplexStream, duplex},
    sync::{Mutex as AsyncMutex, mpsc},
};

use mcp_bridge::demo::{ToolSet, serve};

use super::{Exchange, Front, Sse};
use crate::support::client::MODERN;

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The server, and who waits for it.
#[derive(Clone)]
pub struct Server {
    input: Arc<AsyncMutex<WriteHalf<DuplexStream>>>,
    open: Arc<Mutex<BTreeMap<u64, Open>>>,
    last: u64,
}

struct Open {
    id: Value,
    token: Value,
    listens: bool,
    tx: mpsc::Sender<Value>,
}

pub fn is_modern(exchange: &Exchange) -> bool {
    exchange.header("mcp-protocol-version") == Some(MODERN)
}

impl Front {
    pub(super) async fn modern(&mut self, exchange: Exchange) {
        if exchange.method != "POST" {
            return exchange.reply(405, &[("Allow", "POST")], "").await;
        }
        let mut request = exchange.json();
        if request.get("id").is_none() {
            return exchange.reply(202, &[], "").await;
        }
        if let Some(version) = exchange.header("mcp-protocol-version").filter(|version| *version != MODERN) {
            let data = json!({"supported": [MODERN], "requested": version});
            let error = json!({"code": -32022, "message": "this server speaks 2026-07-28 only", "data": data});
            let answer = json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string();
            return exchange.reply(400, &[], &answer).await;
        }
        let mut server = match self.modern.take() {
            Some(server) => server,
            None => self.start_modern(),
        };
        server.last += 1;
        let own = server.last;
        let (tx, rx) = mpsc::channel(64);
        let id = std::mem::replace(&mut request["id"], json!(own));
        let token = request["params"]["_meta"]["progressToken"].clone();
        if !token.is_null() {
            request["params"]["_meta"]["progressToken"] = json!(own);
        }
        let listens = request["method"] == "subscriptions/listen";
        server.open.lock().unwrap().insert(own, Open { id, token, listens, tx });
        self.record.heard.lock().unwrap().push(request.to_string());
        server.tell(&request).await;
        self.tasks.spawn(answer(exchange, rx, server.clone(), own, self.record.clone()));
        self.modern = Some(server);
    }

    fn start_modern(&mut self) -> Server {
        let (ours, theirs) = duplex(64 * 1024);
        let ((read, write), eras) = (split(theirs), self.eras);
        self.tasks.spawn(async move { drop(serve(read, write, ToolSet::WithTestTools, eras).await) });
        let (output, input) = split(ours);
        let open: Arc<Mutex<BTreeMap<u64, Open>>> = Arc::default();
        let server = Server { input: Arc::new(AsyncMutex::new(input)), open: open.clone(), last: 0 };
        let record = self.record.clone();
        self.tasks.spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                record.said.lock().unwrap().push(line.clone());
                hand_out(&open, serde_json::from_str(&line).unwrap()).await;
            }
            open.lock().unwrap().clear(); // Ends every stream.
        });
        server
    }
}

impl Server {
    async fn tell(&self, message: &Value) {
        // A server that has ended hears nothing.
        let _ = self.input.lock().await.write_all(format!("{message}\n").as_bytes()).await;
    }
}

/// To the exchange that a message names, or to the only call.
async fn hand_out(open: &Mutex<BTreeMap<u64, Open>>, mut message: Value) {
    let to = {
        let mut open = open.lock().unwrap();
        let is_answer = message.get("method").is_none();
        let params = &message["params"];
        let named = [&message["id"], &params["progressToken"], &params["_meta"][SUBSCRIPTION]];
        let own = named.into_iter().find_map(Value::as_u64);
        let mut calls = open.iter().filter(|(_, open)| !open.listens).map(|(own, _)| *own);
        let Some(own) = own.or_else(|| calls.next()) else { return };
        let Some(Open { id, token, tx, .. }) = open.get(&own) else { return };
        for at in ["/params/_meta", "/result/_meta"] {
            if let Some(meta) = message.pointer_mut(at).filter(|meta| meta.get(SUBSCRIPTION).is_some()) {
                meta[SUBSCRIPTION] = id.clone();
            }
        }
        if is_answer {
            message["id"] = id.clone();
        }
        if !message["params"]["progressToken"].is_null() {
            message["params"]["progressToken"] = token.clone();
        }
        let tx = tx.clone();
        if is_answer {
            open.remove(&own);
        }
        tx
    };
    drop(to.send(message).await);
}

/// JSON when the answer comes first, else an event stream. A client that hangs up takes its request back.
async fn answer(
    mut exchange: Exchange,
    mut rx: mpsc::Receiver<Value>,
    server: Server,
    own: u64,
    record: Arc<super::Record>,
) {
    let first = tokio::select! {
        first = rx.recv() => first,
        () = exchange.hung_up() => return cancel(&server, own, &record).await,
    };
    let Some(first) = first else { return };
    if first.get("method").is_none() {
        let status = match first["error"]["code"].as_i64() {
            Some(-32601) => 404,
            Some(-32602 | -32022..=-32020) => 400,
            _ => 200,
        };
        return exchange.reply(status, &[], &first.to_string()).await;
    }
    let mut sse: Sse = exchange.sse().await;
    sse.message(&first.to_string()).await;
    loop {
        let next = tokio::select! {
            next = rx.recv() => next,
            () = sse.hung_up() => return cancel(&server, own, &record).await,
        };
        let Some(next) = next else { return };
        sse.message(&next.to_string()).await;
        if next.get("method").is_none() {
            return;
        }
    }
}

async fn cancel(server: &Server, own: u64, record: &super::Record) {
    if server.open.lock().unwrap().remove(&own).is_none() {
        return;
    }
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": own}});
    record.heard.lock().unwrap().push(cancelled.to_string());
    server.tell(&cancelled).await;
}
