//! Clients of every wire that the bridge accepts on, with one set of calls. What arrives is kept in the order of its
//! arrival, with the stream that it came on.

use std::{collections::VecDeque, net::SocketAddr};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    http::{Conn, Events, Head, POST, Response, STREAM, ask, request},
    program::Program,
    soon,
};

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
    pub event_id: Option<String>,
    pub text: String,
    pub json: Value,
}

enum Item {
    Message(Message),
    End(On),
}

enum Wire {
    Sse { addr: SocketAddr, post: String },
    Http { addr: SocketAddr, path: String, session: Option<String>, headers: Vec<(String, String)> },
    Stdio(Box<Program>),
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
    /// What reads the streams. Dropped, it hangs up.
    tasks: JoinSet<()>,
}

impl Message {
    fn new(on: On, status: u16, event_id: Option<String>, text: String) -> Message {
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Message { on, status, event_id, text, json }
    }

    pub fn method(&self) -> &str {
        self.json["method"].as_str().unwrap_or_default()
    }

    pub fn is_answer(&self) -> bool {
        self.method().is_empty()
    }

    pub fn is_notification(&self) -> bool {
        !self.is_answer() && self.json.get("id").is_none()
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

/// A call of a tool as JSON text; `id` is JSON text too.
pub fn tool(id: &str, name: &str, arguments: Value) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{arguments}}}}}"#
    )
}

/// The same with a token to report progress by.
pub fn tool_with_progress(id: &str, token: &str, name: &str, arguments: Value) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{arguments},"_meta":{{"progressToken":{token}}}}}}}"#
    )
}

pub fn notification(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#)
}

/// An `initialize` with every capability that the demo server asks for.
pub fn initialize(id: &str, version: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{"sampling":{{}},"elicitation":{{}},"roots":{{"listChanged":true}}}},"clientInfo":{{"name":"test","version":"1"}}}}}}"#
    )
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
            tasks: JoinSet::new(),
        }
    }

    /// Opens an event stream of the older transport and waits for its endpoint.
    pub async fn sse(addr: SocketAddr, path: &str) -> Client {
        let mut conn = Conn::open(addr).await;
        conn.send(&request("GET", path, &STREAM, "")).await;
        let head = conn.head().await;
        assert_eq!((head.status, head.is_stream()), (200, true), "{head:?}");
        let mut events = head.body(conn).events();
        let first = soon("the endpoint event", events.next()).await.unwrap();
        assert_eq!(first.name, "endpoint");
        let mut client = Client::new(Wire::Sse { addr, post: first.data.unwrap() });
        client.read(On::Pipe, head, events);
        client
    }

    /// A client of Streamable HTTP that has said nothing yet.
    pub fn http(addr: SocketAddr, path: &str) -> Client {
        Client::new(Wire::Http { addr, path: path.into(), session: None, headers: Vec::new() })
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
                if tx.send(Item::Message(Message::new(On::Pipe, 200, None, line))).await.is_err() {
                    return;
                }
            }
            drop(tx.send(Item::End(On::Pipe)).await);
        });
        client
    }

    /// Sends these headers with each request.
    pub fn with_header(mut self, name: &str, value: &str) -> Client {
        match &mut self.wire {
            Wire::Http { headers, .. } => headers.push((name.into(), value.into())),
            _ => panic!("only for Streamable HTTP"),
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
                if tx.send(Item::Message(Message::new(on.clone(), head.status, event.id, data))).await.is_err() {
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
            Wire::Http { session, .. } => session.as_deref().unwrap(),
            Wire::Stdio(_) => panic!("no session"),
        }
    }

    fn headers(&self, base: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut all: Vec<_> = base.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        if let Wire::Http { session, headers, .. } = &self.wire {
            all.extend(session.iter().map(|session| ("Mcp-Session-Id".to_string(), session.clone())));
            all.extend(headers.iter().cloned());
        }
        all
    }

    /// Where messages are POSTed.
    fn door(&self) -> (SocketAddr, String) {
        match &self.wire {
            Wire::Sse { addr, post } => (*addr, post.clone()),
            Wire::Http { addr, path, .. } => (*addr, path.clone()),
            Wire::Stdio(_) => panic!("nothing is POSTed on stdio"),
        }
    }

    /// POSTs text, whatever it is, and gives the whole response.
    pub async fn post(&self, text: &str) -> Response {
        let (addr, path) = self.door();
        let headers = self.headers(&POST);
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
        let headers = self.headers(&POST);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut conn = Conn::open(addr).await;
        conn.send(&request("POST", &path, &headers, text)).await;
        let on = On::Call(json["id"].to_string());
        if json["method"] == "initialize" {
            let head = conn.head().await;
            if let (Wire::Http { session, .. }, Some(id)) = (&mut self.wire, head.header("mcp-session-id")) {
                *session = Some(id.into());
            }
            self.open += 1;
            self.tasks.spawn(read_response(on, head, conn, self.tx.clone()));
            return;
        }
        self.open += 1;
        let tx = self.tx.clone();
        self.tasks.spawn(async move {
            match conn.try_head().await {
                Some(head) => read_response(on, head, conn, tx).await,
                None => drop(tx.send(Item::End(on)).await),
            }
        });
    }

    /// Opens the stream of what belongs to no call.
    pub async fn listen(&mut self) {
        let (addr, path) = self.door();
        let headers = self.headers(&STREAM);
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
            Wire::Http { .. } => {
                while self.open > usize::from(self.listening) {
                    self.pull().await;
                }
                let response = self.delete().await;
                assert!(matches!(response.status(), 204 | 404), "{response:?}");
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
        let headers = self.headers(&[]);
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
            if tx.send(Item::Message(Message::new(on.clone(), status, event.id, data))).await.is_err() {
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
        if tx.send(Item::Message(Message::new(on.clone(), status, None, text))).await.is_err() {
            return;
        }
    }
    drop(tx.send(Item::End(on)).await);
}
