//! Test support: a server whose every byte the test writes, and a client that drives the wire under test.
//!
//! The server hands each request to the test, which answers it as it likes: with JSON, with an event stream that it feeds,
//! or by hanging up. Nothing here sleeps; what does not come within [`GUARD`] fails the test.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use url::Url;

use super::ConnectError;
use crate::{
    config::{Limits, RemoteSpec, RemoteTransport, RetryPolicy},
    message::{Frame, Kind},
    peer::{Caller, Envelope, PEER_CAPACITY, Peer, Reply},
    scope::Scope,
};

pub(crate) const GUARD: Duration = Duration::from_secs(10);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(GUARD, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A listening socket; each request goes to the test.
pub(crate) struct Fixture {
    pub(crate) url: Url,
    tx: mpsc::Sender<Exchange>,
    rx: mpsc::Receiver<Exchange>,
    kept: Vec<Exchange>,
    scope: Scope,
}

/// One request, and the connection to answer it on. Dropped unanswered, it hangs up.
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
    stream: TcpStream,
    tx: mpsc::Sender<Exchange>,
    scope: Scope,
}

/// An event stream under way. Dropped, it breaks off without its proper end.
pub(crate) struct Sse {
    stream: TcpStream,
    tx: mpsc::Sender<Exchange>,
    scope: Scope,
}

impl Fixture {
    pub(crate) async fn start() -> Fixture {
        Fixture::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn on(listener: TcpListener) -> Fixture {
        let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        let (tx, rx) = mpsc::channel(64);
        let scope = Scope::new();
        let (accept, child) = (tx.clone(), scope.clone());
        scope.spawn(async move {
            let serve = async {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    child.spawn(read_request(stream, accept.clone(), child.clone()));
                }
            };
            tokio::select! {
                () = serve => {}
                () = child.stopped() => {}
            }
        });
        Fixture { url, tx, rx, kept: Vec::new(), scope }
    }

    /// The next request with this method; others wait for their turn.
    pub(crate) async fn expect(&mut self, method: &str) -> Exchange {
        if let Some(at) = self.kept.iter().position(|kept| kept.method == method) {
            return self.kept.remove(at);
        }
        soon(method, async {
            loop {
                let exchange = self.rx.recv().await.unwrap();
                if exchange.method == method {
                    return exchange;
                }
                self.kept.push(exchange);
            }
        })
        .await
    }

    /// The next POST, which must hold this method.
    pub(crate) async fn expect_post(&mut self, method: &str) -> Exchange {
        let exchange = self.expect("POST").await;
        assert_eq!(exchange.frame().method(), method, "{}", exchange.body);
        exchange
    }

    /// Whether nothing else has come.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.kept.is_empty() && self.rx.try_recv().is_err()
    }

    /// Answers `initialize` and what belongs to it, with a session id; there is no GET stream.
    pub(crate) async fn open_session(&mut self, client: &mut Client, version: &str) {
        client.request(&initialize(version)).await;
        let post = self.expect_post("initialize").await;
        assert_eq!(post.header("mcp-session-id"), None);
        post.reply(200, &[("Mcp-Session-Id", "s-1")], &initialize_result("0", version)).await;
        assert_eq!(client.next().await.frame.id_text(), "0");
        client.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        self.expect_post("notifications/initialized").await.reply(202, &[], "").await;
    }

    /// The same, with a GET stream.
    pub(crate) async fn open_listening(&mut self, client: &mut Client, version: &str) -> Sse {
        self.open_session(client, version).await;
        self.expect("GET").await.sse(&[]).await
    }

    pub(crate) async fn open_without_stream(&mut self, client: &mut Client, version: &str) {
        self.open_session(client, version).await;
        self.expect("GET").await.reply(405, &[], "").await;
    }

    /// Opens a legacy stream.
    pub(crate) async fn endpoint(&mut self) -> Sse {
        let mut sse = self.expect("GET").await.sse(&[]).await;
        sse.raw("event: endpoint\ndata: /messages?session_id=1\n\n").await;
        sse
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.scope.stop();
        let _ = &self.tx;
    }
}

async fn read_request(mut stream: TcpStream, tx: mpsc::Sender<Exchange>, scope: Scope) {
    let mut seen = Vec::new();
    let head = loop {
        if let Some(end) = memchr::memmem::find(&seen, b"\r\n\r\n") {
            break end + 4;
        }
        let mut piece = [0; 4096];
        let read = tokio::select! {
            read = stream.read(&mut piece) => read.unwrap_or(0),
            () = scope.stopped() => 0,
        };
        if read == 0 {
            return;
        }
        seen.extend(piece.iter().take(read));
    };
    let body = seen.split_off(head);
    let text = String::from_utf8(seen).unwrap();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, path) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = body;
    while body.len() < length {
        let mut piece = [0; 65536];
        let read = stream.read(&mut piece).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        body.extend(piece.iter().take(read));
    }
    let body = String::from_utf8(body).unwrap();
    let _ = tx.clone().send(Exchange { method, path, headers, body, stream, tx, scope }).await;
}

impl Exchange {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn frame(&self) -> Frame {
        Frame::parse(Bytes::copy_from_slice(self.body.as_bytes())).unwrap()
    }

    pub(crate) async fn json(self, body: &str) {
        self.reply(200, &[("Content-Type", "application/json")], body).await;
    }

    /// Answers a call with a result.
    pub(crate) async fn result(self, result: &str) {
        let id = self.frame().id_text().to_owned();
        self.json(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await;
    }

    /// Answers, and keeps the connection for the next request.
    pub(crate) async fn reply(mut self, status: u16, headers: &[(&str, &str)], body: &str) {
        let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
        if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            text.push_str("Content-Type: application/json\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.scope.clone().spawn(read_request(self.stream, self.tx, self.scope));
    }

    /// Answers with whatever bytes, and hangs up.
    pub(crate) async fn raw(mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.shutdown().await;
    }

    /// Begins an event stream.
    pub(crate) async fn sse(mut self, headers: &[(&str, &str)]) -> Sse {
        let mut text = String::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            text.push_str("Content-Type: text/event-stream\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.stream.write_all(text.as_bytes()).await.unwrap();
        Sse { stream: self.stream, tx: self.tx, scope: self.scope }
    }
}

impl Sse {
    pub(crate) async fn raw(&mut self, text: &str) {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.stream.write_all(chunk.as_bytes()).await.unwrap();
    }

    pub(crate) async fn message(&mut self, data: &str) {
        self.raw(&format!("data: {data}\n\n")).await;
    }

    pub(crate) async fn message_with_id(&mut self, id: &str, data: &str) {
        self.raw(&format!("id: {id}\ndata: {data}\n\n")).await;
    }

    /// The proper end of the response.
    pub(crate) async fn end(mut self) {
        self.stream.write_all(b"0\r\n\r\n").await.unwrap();
        self.scope.clone().spawn(read_request(self.stream, self.tx, self.scope));
    }

    /// Waits until the client has hung up.
    pub(crate) async fn closed(mut self) {
        let mut byte = [0];
        soon("the end of a stream", async { while self.stream.read(&mut byte).await.unwrap_or(0) > 0 {} }).await;
    }
}

/// The partner of the wire under test.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    caller: Arc<Caller>,
    pub(crate) wire: JoinHandle<Result<(), ConnectError>>,
    pub(crate) scope: Scope,
}

pub(crate) fn spec(url: &Url, transport: RemoteTransport) -> RemoteSpec {
    let retry = RetryPolicy { attempts: 3, delay: Duration::from_millis(2), connect_timeout: Duration::from_secs(5) };
    let (headers, tls) = (HeaderMap::new(), Default::default());
    RemoteSpec { url: url.clone(), socket: None, transport, headers, retry, tls, authorizer: None }
}

impl Client {
    pub(crate) fn start(url: &Url, transport: RemoteTransport) -> Client {
        Client::with(&spec(url, transport), &Limits::default())
    }

    pub(crate) fn with(spec: &RemoteSpec, limits: &Limits) -> Client {
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        let scope = Scope::new();
        let wire = super::open(spec, limits, theirs, &scope);
        Client { peer: ours, caller: Caller::legacy(None), wire, scope }
    }

    pub(crate) async fn request(&self, text: &str) {
        let frame = Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let reply = Reply::on(self.peer.home.upgrade().unwrap(), &frame, &self.caller).await.unwrap();
        self.peer.tx.send(Envelope { from: self.caller.clone(), frame, reply: Some(reply) }).await.unwrap();
    }

    pub(crate) async fn call(&self, id: &str) {
        self.request(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x"}}}}"#)).await;
    }

    pub(crate) async fn send(&self, text: &str) {
        let frame = Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        self.peer.tx.send(Envelope::one_way(self.caller.clone(), frame)).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Envelope {
        soon("a message from the wire", self.peer.rx.recv()).await.unwrap()
    }

    /// The next message, as text.
    pub(crate) async fn text(&mut self) -> String {
        String::from_utf8(self.next().await.frame.bytes().to_vec()).unwrap()
    }

    /// The next message, which is an error: its id, code and message.
    pub(crate) async fn error(&mut self) -> (String, i64, String) {
        let frame = self.next().await.frame;
        assert!(frame.is_error(), "{:?}", frame.bytes());
        let error: serde_json::Value = serde_json::from_str(frame.body().unwrap()).unwrap();
        let field = |name: &str| error.get(name).cloned().unwrap_or_default();
        (frame.id_text().into(), field("code").as_i64().unwrap(), field("message").as_str().unwrap().into())
    }

    /// Leaves; gives what the wire came to.
    pub(crate) async fn leave(self) -> Result<(), ConnectError> {
        let Client { peer, wire, .. } = self;
        drop(peer.tx);
        let rest = peer.rx;
        let end = soon("the end of the wire", wire).await.unwrap();
        drop(rest);
        end
    }
}

pub(crate) fn initialize(version: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}}}}}}"#
    )
}

pub(crate) fn initialize_result(id: &str, version: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{version}","capabilities":{{"tools":{{"listChanged":true}}}},"serverInfo":{{"name":"fixture","version":"1"}}}}}}"#
    )
}

/// Whether a frame is a request of the server's.
pub(crate) fn is_request(envelope: &Envelope) -> bool {
    matches!(envelope.frame.kind(), Kind::Request(_)) && envelope.reply.is_some()
}
