//! A front, its servers, and a client that writes and reads raw HTTP/1.1.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use mcp_bridge::{
    config::{Cors, Door, Limits, Listen, NetworkSpec, Output, ServerName, Sharing},
    listen::{self, Mount, Offered, Routes, Table},
    message::{Frame, Kind},
    peer::{Envelope, Peer, Reply},
    registry::Registry,
    scope::Scope,
    wire::{
        Wire,
        event_stream::{Decoder, Event},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

/// Longest that anything in these tests may take. Only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What clients send with every POST.
pub const POST: &str = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";

pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing within {PATIENCE:?}"))
}

pub fn spec() -> NetworkSpec {
    NetworkSpec {
        listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))],
        tls: None,
        outputs: [Wire::Sse, Wire::Http, Wire::Ws].map(Output::usual).into(),
        base_url: None,
        cors: Cors::Off,
        allow_origin: Vec::new(),
        allow_host: Vec::new(),
        health_path: "/healthz".into(),
        door: Door::Open,
        traffic: Default::default(),
        audit: None,
        keepalive: Duration::from_secs(15),
        keepalive_event: false,
        exit_with_stdin: false,
    }
}

/// One server, at the root.
pub fn routes(spec: &NetworkSpec, registry: Arc<Registry>, limits: &Limits, scope: &Scope) -> Arc<Routes> {
    let name = ServerName::near("test");
    let limits = Arc::new(limits.clone());
    let offered = Offered { name, at_root: true, registry, limits, scope: scope.clone() };
    Arc::new(Routes::new(spec, Table::new([Mount::new(offered, spec)]), scope))
}

/// Where the first socket is bound.
pub fn address(listening: &listen::Listening) -> SocketAddr {
    match listening.places().first() {
        Some(listen::Place::Tcp { address, .. }) => *address,
        other => panic!("no TCP: {other:?}"),
    }
}

pub struct Front {
    pub address: SocketAddr,
    pub scope: Scope,
    servers: mpsc::Receiver<Peer>,
    pub serving: JoinHandle<()>,
}

impl Front {
    pub async fn start() -> Front {
        Front::with(Limits::default(), spec(), Sharing::Own).await
    }

    pub async fn with(limits: Limits, spec: NetworkSpec, sharing: Sharing) -> Front {
        let whole = limits.clone();
        Front::of(limits, whole, spec, sharing).await
    }

    /// One whose drain is over at once, while each session by itself would give its calls all the time in the world.
    pub async fn in_haste(sharing: Sharing) -> Front {
        let patient = Limits { grace: Duration::from_secs(3600), ..Limits::default() };
        let whole = Limits { grace: Duration::ZERO, ..Limits::default() };
        Front::of(patient, whole, spec(), sharing).await
    }

    async fn of(limits: Limits, whole: Limits, spec: NetworkSpec, sharing: Sharing) -> Front {
        let scope = Scope::new();
        let (opened, servers) = mpsc::channel(1024);
        let opener = move |_: &_| {
            let (ours, theirs) = Peer::pair(64);
            opened.try_send(theirs).unwrap();
            ours
        };
        let registry = Registry::scripted(opener, sharing, &limits, &scope);
        let listening = listen::bind(&spec).unwrap();
        let address = address(&listening);
        let routes = routes(&spec, registry, &limits, &scope);
        let serving = scope.spawn(listen::serve(listening, routes, Arc::new(whole), scope.clone()));
        Front { address, scope, servers, serving }
    }

    /// The server of the next session.
    pub async fn server(&mut self) -> Server {
        Server { peer: soon("a server", self.servers.recv()).await.unwrap() }
    }

    /// Whether no request has come as far as to a server.
    pub fn no_server_was_opened(&self) -> bool {
        self.servers.is_empty()
    }

    pub async fn send(&self, request: &str) -> Answer {
        soon("an answer", exchange(self.address, request.as_bytes())).await
    }

    pub async fn post_to(&self, target: &str, headers: &str, body: &str) -> Answer {
        self.send(&post(target, headers, body)).await
    }

    /// A POST as clients send it.
    pub async fn post(&self, session: &str, body: &str) -> Answer {
        self.post_to("/mcp", &format!("{POST}{session}"), body).await
    }

    pub async fn get(&self, session: &str) -> Answer {
        self.send(&get("/mcp", &format!("Accept: text/event-stream\r\n{session}"))).await
    }

    /// An initialized session: the header line that names it, and its server.
    pub async fn session(&mut self, revision: &str) -> (String, Server) {
        let request = post("/mcp", POST, &initialize(revision));
        let address = self.address;
        let answer = self.scope.spawn(async move { exchange(address, request.as_bytes()).await });
        let mut server = self.server().await;
        server.initialize(revision).await;
        let answer = soon("the answer to initialize", answer).await.unwrap();
        assert_eq!(answer.status, 200);
        let id = answer.header("mcp-session-id").unwrap().to_owned();
        (format!("Mcp-Session-Id: {id}\r\n"), server)
    }

    /// Sends a POST whose answer is read later.
    pub fn call(&self, session: &str, body: &str) -> JoinHandle<Answer> {
        let request = post("/mcp", &format!("{POST}{session}"), body);
        let address = self.address;
        self.scope.spawn(async move { exchange(address, request.as_bytes()).await })
    }
}

/// The far end of one session.
pub struct Server {
    pub peer: Peer,
}

impl Server {
    pub async fn next(&mut self) -> Envelope {
        soon("a message for the server", self.peer.rx.recv()).await.expect("the session has ended")
    }

    /// The next request, and the way home for its answer.
    pub async fn request(&mut self) -> (Frame, Reply) {
        let envelope = self.next().await;
        (envelope.frame, envelope.reply.expect("a request"))
    }

    pub async fn initialize(&mut self, revision: &str) {
        let (frame, reply) = self.request().await;
        assert_eq!(frame.method(), "initialize");
        reply.answer(result(&format!(r#"{{"protocolVersion":"{revision}","capabilities":{{}}}}"#)));
    }

    /// Says something that belongs to no call.
    pub async fn say(&self, frame: Frame) {
        let envelope = Envelope::one_way(mcp_bridge::peer::Caller::legacy(None), frame);
        self.peer.tx.send(envelope).await.unwrap();
    }

    /// A request of the server's own that belongs to no call. The answer comes as the next message.
    pub async fn ask(&self, frame: Frame) {
        let caller = mcp_bridge::peer::Caller::legacy(None);
        let reply = Reply::on(self.peer.home.upgrade().unwrap(), &frame, &caller).await.unwrap();
        self.peer.tx.send(Envelope { from: caller, frame, reply: Some(reply) }).await.unwrap();
    }

    /// Waits until the session has let go of its server.
    pub async fn ended(&mut self) {
        while let Some(envelope) = soon("the end of the session", self.peer.rx.recv()).await {
            drop(envelope);
        }
    }
}

pub fn result(result: &str) -> Frame {
    Frame::result("0", result)
}

pub fn note(number: usize) -> Frame {
    Frame::notification("notifications/progress", Some(&format!(r#"{{"progressToken":1,"progress":{number}}}"#)))
}

pub fn update(frame: Frame) -> Envelope {
    Envelope::one_way(mcp_bridge::peer::Caller::legacy(None), frame)
}

pub fn initialize(revision: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{revision}"}}}}"#)
}

pub fn request(id: &str, method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#)
}

pub fn post(target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

pub fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

pub async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    Answer::read(stream).await.expect("an answer")
}

/// An answer whose head has been read.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub stream: TcpStream,
    buffer: BytesMut,
    chunked: bool,
    length: usize,
    decoder: Decoder,
    piece: Bytes,
}

impl Answer {
    /// Reads the head; `None` when the connection closes before.
    pub async fn read(mut stream: TcpStream) -> Option<Answer> {
        let mut buffer = BytesMut::new();
        let end = loop {
            if let Some(end) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(buffer.split_to(end).to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            stream,
            buffer,
            chunked: false,
            length: 0,
            decoder: Decoder::default(),
            piece: Bytes::new(),
        };
        answer.chunked = answer.header("transfer-encoding") == Some("chunked");
        answer.length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        Some(answer)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The next piece of the body; `None` at its end.
    async fn piece(&mut self) -> Option<Bytes> {
        let size = if self.chunked {
            let line = self.line().await?;
            usize::from_str_radix(&line, 16).unwrap()
        } else {
            std::mem::take(&mut self.length)
        };
        while self.buffer.len() < size {
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "cut off");
        }
        let piece = self.buffer.split_to(size).freeze();
        if self.chunked {
            assert_eq!(self.line().await.unwrap(), "");
        }
        (size > 0).then_some(piece)
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") {
                let line = self.buffer.split_to(end + 2);
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// The next piece of a stream as it came, comments included.
    pub async fn raw(&mut self) -> String {
        let piece = soon("a piece of the body", self.piece()).await.expect("more of the body");
        String::from_utf8(piece.to_vec()).unwrap()
    }

    /// The whole rest of the body.
    pub async fn text(&mut self) -> String {
        let mut all = Vec::new();
        while let Some(piece) = soon("the body", self.piece()).await {
            all.extend_from_slice(&piece);
        }
        String::from_utf8(all).unwrap()
    }

    /// The JSON-RPC error that the body is: its id and its code.
    pub async fn error(&mut self) -> (String, i64) {
        assert_eq!(self.header("content-type"), Some("application/json"));
        let text = self.text().await;
        let frame = Frame::parse(text.clone().into()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(frame.is_error(), "{text}");
        assert!(!text.contains("panicked"), "{text}");
        let body: serde_json::Value = serde_json::from_str(frame.body().unwrap()).unwrap();
        (frame.id_text().to_owned(), body["code"].as_i64().unwrap())
    }

    /// The next event; `None` at the end of the stream.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.decoder.decode(&mut self.piece).unwrap() {
                return Some(event);
            }
            self.piece = soon("an event", self.piece()).await?;
        }
    }

    /// The next message of an event stream, and the id of its event.
    pub async fn message(&mut self) -> (Frame, String) {
        loop {
            let event = self.event().await.expect("a message before the end of the stream");
            if let Some(data) = event.payload() {
                let id = event.id.as_ref().map(|id| String::from_utf8(id.as_bytes().to_vec()).unwrap());
                return (Frame::parse(data.clone()).unwrap(), id.unwrap_or_default());
            }
        }
    }

    /// All messages up to the end of the stream.
    pub async fn rest(&mut self) -> Vec<(Frame, String)> {
        let mut all = Vec::new();
        while let Some(event) = self.event().await {
            if let Some(data) = event.payload() {
                let id = event.id.as_ref().map(|id| String::from_utf8(id.as_bytes().to_vec()).unwrap());
                all.push((Frame::parse(data.clone()).unwrap(), id.unwrap_or_default()));
            }
        }
        all
    }
}

/// Whether a frame is an answer to this id.
pub fn answers(frame: &Frame, id: &str) -> bool {
    matches!(frame.kind(), Kind::Response(_)) && frame.id_text() == id
}
