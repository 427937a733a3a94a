//! Modern callers in front, a scripted legacy server behind, all in memory, with a clock that stands still.

mod asking;
mod calls;
mod pool;
mod retries;
mod tasks;
mod waiting;

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use serde_json::{Value, json};

use super::{Settings, Unavailable};
use crate::{
    message::{Frame, Id, Kind},
    peer::{Caller, Envelope, Outbox, PEER_CAPACITY, Peer, Principal, Reply},
    scope::Scope,
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What the scripted server says of itself.
const INIT: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{},"prompts":{}},"serverInfo":{"name":"old","version":"3"},"instructions":"hi"}"#;

/// The three questions that a caller may answer.
const ALL: &str = r#"{"sampling":{},"elicitation":{"form":{},"url":{}},"roots":{}}"#;

fn frame(text: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// The translation, and the servers that it has opened.
struct Bridge {
    outbox: Option<Outbox>,
    servers: mpsc::Receiver<Peer>,
    wrong: Arc<AtomicUsize>,
}

impl Bridge {
    fn start() -> Bridge {
        Bridge::with(Settings::default())
    }

    fn with(settings: Settings) -> Bridge {
        let (tx, servers) = mpsc::channel(16);
        let open = move |_: Arc<Caller>| {
            let (ours, theirs) = Peer::pair(PEER_CAPACITY);
            let sent = tx.try_send(ours).is_ok();
            async move {
                if sent {
                    return Ok(theirs);
                }
                Err(Unavailable { message: "no such program".into(), retry_after: None })
            }
            .boxed()
        };
        let wrong = Arc::new(AtomicUsize::new(0));
        let told = wrong.clone();
        let hook = Arc::new(move || {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let outbox = super::open(Arc::new(open), settings, hook, &Scope::new());
        Bridge { outbox: Some(outbox), servers, wrong }
    }

    fn tx(&self) -> &Outbox {
        self.outbox.as_ref().unwrap()
    }

    /// The next server, after the handshake.
    async fn server(&mut self) -> Server {
        let mut server = self.raw().await;
        server.shake_hands(INIT).await;
        server
    }

    async fn raw(&mut self) -> Server {
        Server { peer: self.servers.recv().await.unwrap(), voice: Caller::legacy(None) }
    }

    /// No other server was opened.
    fn no_server(&mut self) -> bool {
        self.servers.try_recv().is_err()
    }
}

/// A caller: one exchange after another.
struct Client {
    caller: Arc<Caller>,
    capabilities: &'static str,
    level: Option<&'static str>,
    tx: Outbox,
    id: i64,
}

impl Client {
    fn new(bridge: &Bridge, capabilities: &'static str) -> Client {
        Client::of(bridge, capabilities, None)
    }

    fn of(bridge: &Bridge, capabilities: &'static str, who: Option<&str>) -> Client {
        let caller = Caller::modern(who.map(|who| Principal(who.into())));
        Client { caller, capabilities, level: None, tx: bridge.tx().clone(), id: 40 }
    }

    /// Sends a request with the modern metadata.
    async fn ask(&mut self, method: &str, mut params: Value) -> Answers {
        let meta = &mut params["_meta"];
        meta["io.modelcontextprotocol/protocolVersion"] = "2026-07-28".into();
        meta["io.modelcontextprotocol/clientCapabilities"] = serde_json::from_str(self.capabilities).unwrap();
        if let Some(level) = self.level {
            meta["io.modelcontextprotocol/logLevel"] = level.into();
        }
        self.id += 1;
        self.raw(Frame::request(&Id::Number(self.id), method, Some(&params.to_string()))).await
    }

    async fn raw(&mut self, frame: Frame) -> Answers {
        let (stream, rx) = mpsc::channel(8);
        let reply = Reply::on(stream, &frame, &self.caller).await.unwrap();
        self.tx.send(Envelope { from: self.caller.clone(), frame, reply: Some(reply) }).await.unwrap();
        Answers(rx)
    }

    /// Takes back the last request.
    async fn cancel(&self) {
        let params = json!({ "requestId": self.id }).to_string();
        let frame = Frame::notification("notifications/cancelled", Some(&params));
        self.tx.send(Envelope::one_way(self.caller.clone(), frame)).await.unwrap();
    }

    async fn call(&mut self) -> Answers {
        self.ask("tools/call", json!({ "name": "greet" })).await
    }

    /// The same call again, with what was asked for.
    async fn retry(&mut self, state: &str, responses: Value) -> Answers {
        let params = json!({ "name": "greet", "requestState": state, "inputResponses": responses });
        self.ask("tools/call", params).await
    }
}

/// What comes back for one request.
struct Answers(mpsc::Receiver<Envelope>);

impl Answers {
    async fn next(&mut self) -> Frame {
        self.0.recv().await.unwrap().frame
    }

    async fn value(&mut self) -> Value {
        serde_json::from_str(self.next().await.body().unwrap()).unwrap()
    }

    /// The code and message of an error.
    async fn error(&mut self) -> (i64, String) {
        let frame = self.next().await;
        assert!(frame.is_error(), "{frame:?}");
        let error: Value = serde_json::from_str(frame.body().unwrap()).unwrap();
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_string())
    }

    /// What was asked, and the handle.
    async fn input_required(&mut self) -> (Value, String) {
        let value = self.value().await;
        assert_eq!(value["resultType"], "input_required", "{value}");
        (value["inputRequests"].clone(), value["requestState"].as_str().unwrap().to_string())
    }
}

/// The scripted server.
struct Server {
    peer: Peer,
    voice: Arc<Caller>,
}

/// A request that the server has got.
struct Asked {
    frame: Frame,
    reply: Reply,
}

impl Asked {
    fn params(&self) -> Value {
        self.frame.body().map_or(Value::Null, |body| serde_json::from_str(body).unwrap())
    }

    fn answer(self, result: &str) {
        self.reply.answer(Frame::result("0", result));
    }

    /// Says something that belongs to this request.
    async fn tell(&self, from: &Server, text: &str) {
        self.reply.update(Envelope::one_way(from.voice.clone(), frame(text))).await.unwrap();
    }

    /// Reports progress under the token that the request has.
    async fn progress(&self, from: &Server, progress: f64) {
        let token = self.frame.token_text().unwrap();
        let params = format!(r#"{{"progressToken":{token},"progress":{progress}}}"#);
        self.reply
            .update(Envelope::one_way(from.voice.clone(), Frame::notification("notifications/progress", Some(&params))))
            .await
            .unwrap();
    }

    /// Asks back on the stream of this request.
    async fn ask(&self, from: &Server, id: i64, method: &str, params: Value) -> Answers {
        let (stream, rx) = mpsc::channel(2);
        let frame = Frame::request(&Id::Number(id), method, Some(&params.to_string()));
        let reply = Reply::on(stream, &frame, &from.voice).await.unwrap();
        self.reply.update(Envelope { from: from.voice.clone(), frame, reply: Some(reply) }).await.unwrap();
        Answers(rx)
    }
}

impl Server {
    async fn shake_hands(&mut self, init: &str) {
        let asked = self.request().await;
        assert_eq!(asked.frame.method(), "initialize");
        asked.answer(init);
        assert_eq!(self.note().await.method(), "notifications/initialized");
        let ping = self.request().await;
        assert_eq!(ping.frame.method(), "ping");
        ping.answer("{}");
    }

    async fn request(&mut self) -> Asked {
        let Envelope { frame, reply, .. } = self.peer.rx.recv().await.unwrap();
        Asked { reply: reply.unwrap_or_else(|| panic!("{frame:?}")), frame }
    }

    async fn note(&mut self) -> Frame {
        let Envelope { frame, reply, .. } = self.peer.rx.recv().await.unwrap();
        assert!(reply.is_none() && *frame.kind() == Kind::Notification, "{frame:?}");
        frame
    }

    /// Asks outside of any call.
    async fn ask(&self, id: i64, method: &str, params: Value) -> Answers {
        let (stream, rx) = mpsc::channel(2);
        let frame = Frame::request(&Id::Number(id), method, Some(&params.to_string()));
        let reply = Reply::on(stream, &frame, &self.voice).await.unwrap();
        self.peer.tx.send(Envelope { from: self.voice.clone(), frame, reply: Some(reply) }).await.unwrap();
        Answers(rx)
    }

    async fn say(&self, text: &str) {
        self.peer.tx.send(Envelope::one_way(self.voice.clone(), frame(text))).await.unwrap();
    }

    /// Whether the client has left.
    async fn is_left(&mut self) -> bool {
        self.peer.rx.recv().await.is_none()
    }
}
