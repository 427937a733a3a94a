//! Clients of every wire that the bridge accepts on, with one set of calls. What arrives is kept in the order of its
//! arrival, with the stream that it came on. What an era wants in a message is its sender's to know ([`super::user`]); the
//! headers of the modern era are made here, from the message.

mod texts;

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use futures::{SinkExt as _, StreamExt as _, stream::SplitSink};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite, tungstenite::client::IntoClientRequest as _};

pub use self::texts::{initialize, notification, tool, tool_with_progress};
use super::{
    http::{Conn, Events, Head, POST, Response, STREAM, ask, request},
    program::Program,
    soon,
};

/// The revision of the modern era.
pub const MODERN: &str = "2026-07-28";

/// The network wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sse,
    Http,
}

/// Where a message arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// The one stream of a pipe: stdout, or the event stream of the older transport.
    Pipe,
    /// The GET stream of Streamable HTTP.
    Get,
    /// The response to the POST of the request with this id, as it was written.
    Call(String),
}

/// What arrived.
#[derive(Debug, Clone)]
pub struct Message {
    pub on: On,
    /// Of the response that it came with; 200 on pipes.
    pub status: u16,
    pub text: String,
    pub json: Value,
}

enum Item {
    Message(Message),
    End(On),
}

enum Wire {
    Sse {
        addr: SocketAddr,
        post: String,
        headers: Vec<(String, String)>,
    },
    Http {
        addr: SocketAddr,
        path: String,
        session: Arc<OnceLock<String>>,
        headers: Vec<(String, String)>,
        modern: bool,
    },
    Stdio(Box<Program>),
    Ws(Box<SplitSink<WebSocketStream<TcpStream>, tungstenite::Message>>),
}

/// One client.
pub struct Client {
    wire: Wire,
    tx: mpsc::Sender<Item>,
    rx: mpsc::Receiver<Item>,
    kept: VecDeque<Message>,
    ended: Vec<On>,
    /// Streams that have not ended.
    open: usize,
    listening: bool,
    last_id: u64,
    /// The response to each call of Streamable HTTP.
    responses: HashMap<String, AbortHandle>,
    /// What reads the streams. Dropped, it hangs up.
    tasks: JoinSet<()>,
}

impl Message {
    fn new(on: On, status: u16, text: String) -> Message {
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Message { on, status, text, json }
    }

    pub fn method(&self) -> &str {
        self.json["method"].as_str().unwrap_or_default()
    }

    pub fn is_answer(&self) -> bool {
        self.method().is_empty()
    }

    /// The text of a tool's result.
    pub fn tool_text(&self) -> &str {
        self.json["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no tool result: {}", self.text))
    }

    /// Code and message of an error.
    pub fn error(&self) -> (i64, &str) {
        let error = &self.json["error"];
        let code = error["code"].as_i64().unwrap_or_else(|| panic!("no error: {}", self.text));
        (code, error["message"].as_str().unwrap())
    }
}

impl Client {
    fn new(wire: Wire) -> Client {
        let (tx, rx) = mpsc::channel(256);
        Client {
            wire,
            tx,
            rx,
            kept: VecDeque::new(),
            ended: Vec::new(),
            open: 0,
            listening: false,
            last_id: 0,
            responses: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Opens an event stream of the older transport and waits for its endpoint.
    pub async fn sse(addr: SocketAddr, path: &str) -> Client {
        Client::sse_with(addr, path, &[]).await
    }

    /// The same with headers of its own on the request for the stream.
    pub async fn sse_with(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Client {
        let mut conn = Conn::open(addr).await;
        conn.send(&request("GET", path, &[&STREAM[..], headers].concat(), "")).await;
        let head = conn.head().await;
        assert_eq!((head.status, head.is_stream()), (200, true), "{head:?}");
        let mut events = head.body(conn).events();
        let first = soon("the endpoint event", events.next()).await.unwrap();
        assert_eq!(first.name, "endpoint");
        let mut client = Client::new(Wire::Sse { addr, post: first.data.unwrap(), headers: Vec::new() });
        client.read(On::Pipe, head, events);
        client
    }

    /// Opens a WebSocket connection.
    pub async fn ws(addr: SocketAddr, path: &str) -> Client {
        Client::ws_with(addr, path, &[]).await
    }

    /// The same with headers of its own on the request for the connection.
    pub async fn ws_with(addr: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> Client {
        let stream = TcpStream::connect(addr).await.unwrap();
        let mut request = format!("ws://{addr}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = soon("the upgrade", client_async(request, stream)).await.unwrap();
        let (sink, mut messages) = socket.split();
        let mut client = Client::new(Wire::Ws(Box::new(sink)));
        client.open += 1;
        let tx = client.tx.clone();
        client.tasks.spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                let tungstenite::Message::Text(text) = message else { continue };
                if tx.send(Item::Message(Message::new(On::Pipe, 200, text.as_str().into()))).await.is_err() {
                    return;
                }
            }
            drop(tx.send(Item::End(On::Pipe)).await);
        });
        client
    }

    /// A client of Streamable HTTP that has said nothing yet.
    pub fn http(addr: SocketAddr, path: &str) -> Client {
        Client::new(Wire::Http { addr, path: path.into(), session: Arc::default(), headers: Vec::new(), modern: false })
    }

    /// One of the modern era: each message gets the headers that it has to have.
    pub fn modern(addr: SocketAddr, path: &str) -> Client {
        Client::new(Wire::Http { addr, path: path.into(), session: Arc::default(), headers: Vec::new(), modern: true })
    }

    /// Runs the binary as a client's command: `connect` and the like.
    pub fn stdio(words: &[&str]) -> Client {
        Client::of(Program::start(words))
    }

    pub fn of(mut program: Program) -> Client {
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut client = Client::new(Wire::Stdio(Box::new(program)));
        client.open += 1;
        let tx = client.tx.clone();
        client.tasks.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if tx.send(Item::Message(Message::new(On::Pipe, 200, line))).await.is_err() {
                    return;
                }
            }
            drop(tx.send(Item::End(On::Pipe)).await);
        });
        client
    }

    /// Sends these headers with each request from now on.
    pub fn with_header(mut self, name: &str, value: &str) -> Client {
        match &mut self.wire {
            Wire::Http { headers, .. } | Wire::Sse { headers, .. } => headers.push((name.into(), value.into())),
            Wire::Stdio(_) | Wire::Ws(_) => panic!("nothing is POSTed on a pipe"),
        }
        self
    }

    fn read(&mut self, on: On, head: Head, mut events: Events) {
        self.open += 1;
        let tx = self.tx.clone();
        self.tasks.spawn(async move {
            while let Some(event) = events.next().await {
                let Some(data) = event.data.filter(|data| event.name == "message" && !data.is_empty()) else {
                    continue;
                };
                if tx.send(Item::Message(Message::new(on.clone(), head.status, data))).await.is_err() {
                    return;
                }
            }
            drop(tx.send(Item::End(on)).await);
        });
    }

    /// The process behind a client on stdio.
    pub fn program(&mut self) -> &mut Program {
        match &mut self.wire {
            Wire::Stdio(program) => program,
            _ => panic!("no process"),
        }
    }

    /// The session's id, as a header or in the URL.
    pub fn session(&self) -> &str {
        match &self.wire {
            Wire::Sse { post, .. } => post.split_once('=').unwrap().1,
            Wire::Http { session, .. } => session.get().unwrap(),
            Wire::Stdio(_) | Wire::Ws(_) => panic!("no session"),
        }
    }

    fn headers(&self, base: &[(&str, &str)], text: &str) -> Vec<(String, String)> {
        let mut all: Vec<_> = base.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        if let Wire::Http { session, headers, modern, .. } = &self.wire {
            if *modern {
                all.extend(texts::modern_headers(text));
            }
            all.extend(session.get().map(|session| ("Mcp-Session-Id".to_string(), session.clone())));
            all.extend(headers.iter().cloned());
        }
        if let Wire::Sse { headers, .. } = &self.wire {
            all.extend(headers.iter().cloned());
        }
        all
    }

    /// Where messages are POSTed.
    fn door(&self) -> (SocketAddr, String) {
        match &self.wire {
            Wire::Sse { addr, post, .. } => (*addr, post.clone()),
            Wire::Http { addr, path, .. } => (*addr, path.clone()),
            Wire::Stdio(_) | Wire::Ws(_) => panic!("nothing is POSTed on a pipe"),
        }
    }

    /// Where a message is POSTed, and with which headers.
    pub fn door_and_headers(&self) -> (SocketAddr, String, Vec<(String, String)>) {
        let (addr, path) = self.door();
        (addr, path, self.headers(&POST, ""))
    }

    /// POSTs text, whatever it is, and gives the whole response.
    pub async fn post(&self, text: &str) -> Response {
        let (addr, path) = self.door();
        let headers = self.headers(&POST, text);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        ask(addr, "POST", &path, &headers, text).await
    }

    /// Sends a message. What comes back arrives through [`Client::next`].
    pub async fn send(&mut self, text: &str) {
        match &mut self.wire {
            Wire::Stdio(program) => {
                let stdin = program.stdin.as_mut().unwrap();
                let line = format!("{text}\n");
                return soon("room on stdin", stdin.write_all(line.as_bytes())).await.unwrap();
            }
            Wire::Sse { .. } => {
                let response = self.post(text).await;
                assert_eq!(response.status(), 202, "{}", response.body);
                return;
            }
            Wire::Ws(sink) => {
                let message = tungstenite::Message::text(text);
                return soon("room on the connection", sink.send(message)).await.unwrap();
            }
            Wire::Http { .. } => {}
        }
        let json: Value = serde_json::from_str(text).unwrap();
        if json.get("id").is_none() || json.get("method").is_none() {
            let response = self.post(text).await;
            assert_eq!((response.status(), response.body.as_str()), (202, ""));
            return;
        }
        self.ask_http(text, &json).await;
    }

    async fn ask_http(&mut self, text: &str, json: &Value) {
        let (addr, path) = self.door();
        let headers = self.headers(&POST, text);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut conn = Conn::open(addr).await;
        conn.send(&request("POST", &path, &headers, text)).await;
        let on = On::Call(json["id"].to_string());
        self.open += 1;
        let tx = self.tx.clone();
        let session = match &self.wire {
            Wire::Http { session, .. } if json["method"] == "initialize" => session.clone(),
            _ => Arc::default(),
        };
        let response = self.tasks.spawn(async move {
            match conn.try_head().await {
                Some(head) => {
                    if let Some(id) = head.header("mcp-session-id") {
                        session.get_or_init(|| id.into());
                    }
                    read_response(on, head, conn, tx).await;
                }
                None => drop(tx.send(Item::End(on)).await),
            }
        });
        self.responses.insert(json["id"].to_string(), response);
    }

    /// Closes the connection of a call of Streamable HTTP that has no answer yet.
    pub fn hang_up(&mut self, id: &str) {
        self.responses.remove(id).unwrap().abort();
        self.open -= 1;
    }

    /// Whether each call has a connection of its own.
    pub fn is_http(&self) -> bool {
        matches!(self.wire, Wire::Http { .. })
    }

    /// Opens the stream of what belongs to no call.
    pub async fn listen(&mut self) {
        let (addr, path) = self.door();
        let headers = self.headers(&STREAM, "");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut conn = Conn::open(addr).await;
        conn.send(&request("GET", &path, &headers, "")).await;
        let head = conn.head().await;
        assert_eq!((head.status, head.is_stream()), (200, true), "{head:?}");
        let events = head.body(conn).events();
        self.read(On::Get, head, events);
        self.listening = true;
    }

    /// The handshake. Gives the result of `initialize`.
    pub async fn initialize(&mut self, version: &str) -> Value {
        self.send(&initialize("0", version)).await;
        let answer = self.answer("0").await;
        assert_eq!(answer.json["result"]["protocolVersion"], version, "{}", answer.text);
        self.send(&notification("notifications/initialized")).await;
        answer.json["result"].clone()
    }

    async fn arrive(&mut self) -> Option<Item> {
        self.rx.recv().await.inspect(|item| {
            if let Item::End(on) = item {
                self.listening &= *on != On::Get;
                self.ended.push(on.clone());
                self.open -= 1;
            }
        })
    }

    /// The next message that fits; others are kept. Every message must be JSON.
    pub async fn wait_for(&mut self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        if let Some(at) = self.kept.iter().position(&fits) {
            return self.kept.remove(at).unwrap();
        }
        let found = soon(what, async {
            loop {
                match self.arrive().await.unwrap() {
                    Item::Message(message) if fits(&message) => return Ok(message),
                    Item::Message(message) => self.kept.push_back(message),
                    Item::End(on) if self.open == 0 => return Err(on),
                    Item::End(_) => {}
                }
            }
        })
        .await;
        let message = found.unwrap_or_else(|on| panic!("{on:?} ended without {what}; came: {:?}", self.kept));
        assert!(message.json.is_object(), "no message: {:?}", message.text);
        message
    }

    /// The same without a bound, for a test that has one of its own.
    pub async fn wait_for_ever(&mut self, fits: impl Fn(&Message) -> bool) -> Message {
        loop {
            match self.arrive().await.unwrap() {
                Item::Message(message) if fits(&message) => return message,
                Item::Message(message) => self.kept.push_back(message),
                Item::End(on) => assert!(self.open > 0, "{on:?} ended; came: {:?}", self.kept),
            }
        }
    }

    /// The next message, whatever it is.
    pub async fn next(&mut self) -> Message {
        self.wait_for("a message", |_| true).await
    }

    /// The answer to the request with this id, as JSON text.
    pub async fn answer(&mut self, id: &str) -> Message {
        let wanted: Value = serde_json::from_str(id).unwrap();
        self.wait_for(&format!("the answer to {id}"), |message| message.is_answer() && message.json["id"] == wanted)
            .await
    }

    /// The next request or notification with this method.
    pub async fn message(&mut self, method: &str) -> Message {
        self.wait_for(method, |message| message.method() == method).await
    }

    /// The same where it has come already.
    pub fn kept(&mut self, method: &str) -> Option<Message> {
        let at = self.kept.iter().position(|message| message.method() == method)?;
        self.kept.remove(at)
    }

    /// An id that was not used before, as JSON text.
    pub fn fresh_id(&mut self) -> String {
        self.last_id += 1;
        (1000 + self.last_id).to_string()
    }

    /// Calls a tool and waits for the answer.
    pub async fn call(&mut self, name: &str, arguments: Value) -> Message {
        let id = self.fresh_id();
        self.send(&tool(&id, name, arguments)).await;
        self.answer(&id).await
    }

    /// Sends a request and waits for the answer.
    pub async fn request(&mut self, method: &str, params: Value) -> Message {
        let id = self.fresh_id();
        self.send(
            &json!({"jsonrpc": "2.0", "id": id.parse::<u64>().unwrap(), "method": method, "params": params})
                .to_string(),
        )
        .await;
        self.answer(&id).await
    }

    /// An echo, to see that the way there and back is open.
    pub async fn check(&mut self, text: &str) {
        assert_eq!(self.call("echo", json!({"message": text})).await.tool_text(), text);
    }

    /// Answers a request of the server's.
    pub async fn reply(&mut self, to: &Message, result: Value) {
        self.send(&json!({"jsonrpc": "2.0", "id": to.json["id"], "result": result}).to_string()).await;
    }

    /// Waits until this stream has ended.
    pub async fn end_of(&mut self, on: On) {
        while !self.ended.contains(&on) {
            match soon(&format!("the end of {on:?}"), self.arrive()).await.unwrap() {
                Item::Message(message) => self.kept.push_back(message),
                Item::End(_) => {}
            }
        }
    }

    /// What has arrived and was not taken.
    pub fn rest(&self) -> Vec<&str> {
        self.kept.iter().map(|message| message.text.as_str()).collect()
    }

    /// Ends the conversation in good order, and gives all that was not taken.
    pub async fn finish(mut self) -> Vec<Message> {
        match &mut self.wire {
            Wire::Stdio(program) => drop(program.stdin.take()),
            // What comes before an answer on a pipe was said before it.
            Wire::Sse { .. } if self.open > 0 => drop(self.request("ping", json!({})).await),
            Wire::Sse { .. } => {}
            // The same; a server of the modern era answers with an error.
            Wire::Ws(_) => {
                let id = self.fresh_id();
                self.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).await;
                self.answer(&id).await;
                if let Wire::Ws(sink) = &mut self.wire {
                    sink.close().await.unwrap();
                }
            }
            Wire::Http { .. } => {
                while self.open > usize::from(self.listening) {
                    self.pull().await;
                }
                if matches!(&self.wire, Wire::Http { session, .. } if session.get().is_some()) {
                    let response = self.delete().await;
                    assert!(matches!(response.status(), 204 | 404), "{response:?}");
                }
            }
        }
        while self.open > 0 && !matches!(self.wire, Wire::Sse { .. }) {
            self.pull().await;
        }
        if let Wire::Stdio(program) = &mut self.wire {
            assert_eq!(program.code().await, 0, "the exit code after the end of stdin");
        }
        self.kept.into()
    }

    async fn pull(&mut self) {
        if let Item::Message(message) = soon("the end of a stream", self.arrive()).await.unwrap() {
            assert!(message.json.is_object(), "no message: {:?}", message.text);
            self.kept.push_back(message);
        }
    }

    /// Ends a session of Streamable HTTP.
    pub async fn delete(&self) -> Response {
        let (addr, path) = self.door();
        let headers = self.headers(&[], "");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        ask(addr, "DELETE", &path, &headers, "").await
    }
}

async fn read_response(on: On, head: Head, conn: Conn, tx: mpsc::Sender<Item>) {
    let status = head.status;
    if head.is_stream() {
        let mut events = head.body(conn).events();
        while let Some(event) = events.next().await {
            let Some(data) = event.data.filter(|data| !data.is_empty()) else { continue };
            if tx.send(Item::Message(Message::new(on.clone(), status, data))).await.is_err() {
                return;
            }
        }
    } else {
        let mut body = head.body(conn);
        let mut text = Vec::new();
        while let Some(piece) = body.piece().await {
            text.extend(piece);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        if tx.send(Item::Message(Message::new(on.clone(), status, text))).await.is_err() {
            return;
        }
    }
    drop(tx.send(Item::End(on)).await);
}
