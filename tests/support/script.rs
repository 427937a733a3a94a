//! A server whose every byte the test writes: each request is handed to the test, which answers it as it likes, with a
//! message, with an event stream that it feeds, or by hanging up.

use std::{collections::VecDeque, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

use super::soon;

/// A listening socket.
pub struct Script {
    pub addr: SocketAddr,
    rx: mpsc::Receiver<Exchange>,
    kept: VecDeque<Exchange>,
    /// Dropped, the socket closes.
    _listening: JoinSet<()>,
}

/// One request, and the connection to answer it on. Dropped unanswered, it hangs up.
#[derive(Debug)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    stream: TcpStream,
}

/// An event stream under way. Dropped, it breaks off without its proper end.
#[derive(Debug)]
pub struct Sse(TcpStream);

impl Script {
    pub async fn start() -> Script {
        Script::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn on(listener: TcpListener) -> Script {
        let addr = listener.local_addr().unwrap();
        let (tx, rx) = mpsc::channel(64);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut readers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let tx = tx.clone();
                readers.spawn(async move {
                    if let Some(exchange) = read_request(stream).await {
                        drop(tx.send(exchange).await);
                    }
                });
            }
        });
        Script { addr, rx, kept: VecDeque::new(), _listening: listening }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The next request, whatever it is, for a server that waits as long as it takes.
    pub async fn next_or_end(&mut self) -> Option<Exchange> {
        self.rx.recv().await
    }

    /// The next request with this HTTP method; others wait.
    pub async fn expect(&mut self, method: &str) -> Exchange {
        if let Some(at) = self.kept.iter().position(|kept| kept.method == method) {
            return self.kept.remove(at).unwrap();
        }
        loop {
            let exchange = soon(method, self.rx.recv()).await.unwrap();
            if exchange.method == method {
                return exchange;
            }
            self.kept.push_back(exchange);
        }
    }

    /// The next POST, which must hold this message.
    pub async fn post(&mut self, method: &str) -> Exchange {
        let exchange = self.expect("POST").await;
        assert_eq!(exchange.json()["method"], method, "{}", exchange.body);
        exchange
    }

    /// The requests that have come and were not taken.
    pub fn rest(&mut self) -> Vec<Exchange> {
        while let Ok(exchange) = self.rx.try_recv() {
            self.kept.push_back(exchange);
        }
        std::mem::take(&mut self.kept).into()
    }
}

async fn read_request(mut stream: TcpStream) -> Option<Exchange> {
    let mut seen = Vec::new();
    let head = loop {
        if let Some(at) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(&mut stream, &mut seen).await?;
    };
    let text = String::from_utf8(seen[..head].to_vec()).unwrap();
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while seen.len() < head + length {
        read_more(&mut stream, &mut seen).await?;
    }
    let body = String::from_utf8(seen.split_off(head)).unwrap();
    Some(Exchange { method, path, headers, body, stream })
}

async fn read_more(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<()> {
    seen.reserve(16 * 1024);
    (stream.read_buf(seen).await.unwrap_or(0) > 0).then_some(())
}

impl Exchange {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {:?}", self.method, self.body))
    }

    /// Answers with whatever bytes, and hangs up.
    pub async fn raw(mut self, bytes: &[u8]) {
        // The client may have left.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.shutdown().await;
    }

    pub async fn reply(self, status: u16, headers: &[(&str, &str)], body: &str) {
        let mut text = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            text.push_str("Content-Type: application/json\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(format!("{text}\r\n{body}").as_bytes()).await;
    }

    /// Has another server answer it, without the caller's proof of who it is.
    pub async fn forward(mut self, to: SocketAddr) {
        let Ok(mut far) = TcpStream::connect(to).await else { return };
        let upgrades = self.header("upgrade").is_some();
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {to}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            // One connection is one request: the next one is to be judged again.
            if name != "host" && name != "authorization" && (upgrades || name != "connection") {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if !upgrades {
            text.push_str("Connection: close\r\n");
        }
        let request = format!("{text}\r\n{}", self.body);
        if far.write_all(request.as_bytes()).await.is_ok() {
            drop(tokio::io::copy_bidirectional(&mut self.stream, &mut far).await);
        }
    }

    /// Waits until the client has hung up.
    pub async fn hung_up(&mut self) {
        let mut byte = [0];
        while self.stream.read(&mut byte).await.unwrap_or(0) > 0 {}
    }

    /// Answers a call with a result.
    pub async fn result(self, result: Value) {
        let id = &self.json()["id"];
        self.reply(200, &[], &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await;
    }

    /// Answers `initialize`.
    pub async fn initialized(self, session: &str, version: &str) {
        let id = &self.json()["id"];
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, initialize_result(version));
        self.reply(200, &[("Mcp-Session-Id", session)], &body).await;
    }

    /// Begins an event stream.
    pub async fn sse(mut self) -> Sse {
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n";
        self.stream.write_all(head.as_bytes()).await.unwrap();
        Sse(self.stream)
    }
}

impl Sse {
    /// False when the client has hung up.
    pub async fn raw(&mut self, text: &str) -> bool {
        self.0.write_all(text.as_bytes()).await.is_ok()
    }

    pub async fn message(&mut self, data: &str) -> bool {
        self.raw(&format!("event: message\ndata: {data}\n\n")).await
    }

    pub async fn message_with_id(&mut self, id: &str, data: &str) {
        assert!(self.raw(&format!("id: {id}\ndata: {data}\n\n")).await);
    }

    /// Waits until the client has hung up.
    pub async fn hung_up(&mut self) {
        let mut byte = [0];
        while self.0.read(&mut byte).await.unwrap_or(0) > 0 {}
    }

    pub async fn closed(mut self) {
        soon("the client to hang up", self.hung_up()).await;
    }
}

pub fn initialize_result(version: &str) -> Value {
    serde_json::json!({
        "protocolVersion": version,
        "capabilities": {"tools": {"listChanged": true}},
        "serverInfo": {"name": "script", "version": "1"},
    })
}

/// A tool's result.
pub fn text(text: &str) -> Value {
    serde_json::json!({"content": [{"type": "text", "text": text}]})
}
