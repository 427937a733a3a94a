//! HTTP/1.1 by hand, so that broken input can be sent and every byte of an answer be seen.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::soon;

/// One connection.
#[derive(Debug)]
pub struct Conn {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

/// The head of a response.
#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    headers: Vec<(String, String)>,
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    pub head: Head,
    pub body: String,
}

/// How much of a body is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Bytes(usize),
    Chunks,
    UntilClosed,
    Nothing,
}

/// A body under way.
#[derive(Debug)]
pub struct Body {
    pub conn: Conn,
    left: Left,
}

/// One block of an event stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub retry: Option<u64>,
    pub data: Option<String>,
    pub comment: bool,
}

/// An event stream under way.
#[derive(Debug)]
pub struct Events {
    pub body: Body,
    text: Vec<u8>,
}

/// A request as bytes; `Host` and `Content-Length` are added unless given.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let given = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !given("host") {
        text.push_str("Host: localhost\r\n");
    }
    if !given("content-length") && !given("transfer-encoding") && (method == "POST" || !body.is_empty()) {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// The headers of a well-formed POST of one message.
pub const POST: [(&str, &str); 2] =
    [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];

/// The headers of a GET of an event stream.
pub const STREAM: [(&str, &str); 1] = [("Accept", "text/event-stream")];

/// Sends one request on a connection of its own and reads the whole answer.
pub async fn ask(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut conn = Conn::open(addr).await;
    conn.send(&request(method, path, headers, body)).await;
    conn.response().await
}

/// The same with bytes that need not be a request.
pub async fn ask_raw(addr: SocketAddr, bytes: &[u8]) -> Response {
    let mut conn = Conn::open(addr).await;
    conn.send(bytes).await;
    conn.response().await
}

impl Conn {
    pub async fn open(addr: SocketAddr) -> Conn {
        let stream = soon("a connection", TcpStream::connect(addr)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Conn { stream, unread: Vec::new() }
    }

    /// A connection that takes in little before it has to be read.
    pub async fn open_narrow(addr: SocketAddr) -> Conn {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Conn { stream: soon("a connection", socket.connect(addr)).await.unwrap(), unread: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        soon("room to send", self.stream.write_all(bytes)).await.unwrap();
    }

    /// Sends what the far end may not want any more.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        soon("room to send", self.stream.write_all(bytes)).await.is_ok()
    }

    /// Ends the sending half.
    pub async fn close_sending(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Hangs up with a reset instead of an orderly end.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    /// Reads more; false at the end. A reset is an end, too.
    async fn more(&mut self) -> bool {
        self.unread.reserve(16 * 1024);
        self.stream.read_buf(&mut self.unread).await.unwrap_or(0) > 0
    }

    /// Waits until the far end has closed; gives what it still said.
    pub async fn closed(mut self) -> Vec<u8> {
        soon("the end of a connection", async { while self.more().await {} }).await;
        self.unread
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=at).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The head of the next response; `None` when the connection ends instead.
    pub async fn try_head(&mut self) -> Option<Head> {
        let status = self.line().await?;
        // A client of HTTP/1.0 is answered in kind.
        let rest = status.strip_prefix("HTTP/1.1 ").or(status.strip_prefix("HTTP/1.0 "));
        let status = rest.and_then(|rest| rest.get(..3)?.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                let status = status.unwrap_or_else(|| panic!("no status line of HTTP/1"));
                return Some(Head { status, headers });
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub async fn head(&mut self) -> Head {
        soon("the head of a response", self.try_head()).await.expect("a response, not the end of the connection")
    }

    pub async fn response(&mut self) -> Response {
        let head = self.head().await;
        let mut left = head.left();
        let mut body = Vec::new();
        soon("the body of a response", async {
            while let Some(piece) = self.piece(&mut left).await {
                body.extend(piece);
            }
        })
        .await;
        Response { head, body: String::from_utf8(body).unwrap() }
    }

    async fn piece(&mut self, left: &mut Left) -> Option<Vec<u8>> {
        match *left {
            Left::Nothing | Left::Bytes(0) => None,
            Left::Bytes(n) => {
                if self.unread.is_empty() && !self.more().await {
                    return None;
                }
                let piece: Vec<u8> = self.unread.drain(..n.min(self.unread.len())).collect();
                *left = Left::Bytes(n - piece.len());
                Some(piece)
            }
            Left::UntilClosed => {
                if self.unread.is_empty() && !self.more().await {
                    return None;
                }
                Some(std::mem::take(&mut self.unread))
            }
            Left::Chunks => {
                let size = usize::from_str_radix(&self.line().await?, 16).unwrap();
                while self.unread.len() < size + 2 {
                    if !self.more().await {
                        return None;
                    }
                }
                let mut piece: Vec<u8> = self.unread.drain(..size + 2).collect();
                piece.truncate(size);
                if size == 0 {
                    *left = Left::Nothing;
                    return None;
                }
                Some(piece)
            }
        }
    }
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn is_stream(&self) -> bool {
        self.header("content-type") == Some("text/event-stream")
    }

    fn left(&self) -> Left {
        match (self.status, self.header("content-length"), self.header("transfer-encoding")) {
            (204 | 304, ..) => Left::Nothing,
            (_, Some(length), _) => Left::Bytes(length.parse().unwrap()),
            (_, None, Some("chunked")) => Left::Chunks,
            _ => Left::UntilClosed,
        }
    }

    pub fn body(&self, conn: Conn) -> Body {
        Body { conn, left: self.left() }
    }
}

impl Response {
    pub fn status(&self) -> u16 {
        self.head.status
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("the body is no JSON: {:?}", self.body))
    }

    /// Status, code, id and message of a JSON-RPC error, all of a refusal that a client sees.
    pub fn refusal(&self) -> (u16, i64, Value, String) {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let json = self.json();
        let message = json["error"]["message"].as_str().unwrap_or_else(|| panic!("no error: {json}")).to_owned();
        (self.status(), json["error"]["code"].as_i64().unwrap(), json["id"].clone(), message)
    }
}

impl Body {
    /// The next piece; `None` at the end, proper or not.
    pub async fn piece(&mut self) -> Option<Vec<u8>> {
        self.conn.piece(&mut self.left).await
    }

    pub fn events(self) -> Events {
        Events { body: self, text: Vec::new() }
    }
}

impl Events {
    /// The next block, comments included; `None` at the end.
    pub async fn next_block(&mut self) -> Option<Event> {
        loop {
            if let Some(at) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..at + 2).collect();
                return Some(Event::parse(std::str::from_utf8(&block).unwrap()));
            }
            self.text.extend(self.body.piece().await?);
        }
    }

    /// The next event that is no comment.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.next_block().await? {
                Event { comment: true, .. } => {}
                event => return Some(event),
            }
        }
    }
}

impl Event {
    fn parse(block: &str) -> Event {
        let mut event = Event { name: "message".into(), ..Event::default() };
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => event.comment = true,
                "event" => event.name = value.into(),
                "id" => event.id = Some(value.into()),
                "retry" => event.retry = value.parse().ok(),
                "data" => event.data = Some(event.data.map_or(value.into(), |data| data + "\n" + value)),
                _ => panic!("unknown field in an event: {line}"),
            }
        }
        event
    }
}
