//! The load generator's HTTP: requests written by hand on a kept connection, answers read with one buffer.
//!
//! Owns a socket and what came over it. Talks to whatever listens there. It is no general client: it knows the answers
//! that an MCP server gives, and costs a few microseconds a call, so that what is measured is not the measuring.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Outcome, fail};

/// Bytes; a longer head is no answer of ours.
const MAX_HEAD: usize = 16 << 10;
/// Bytes; room for one read. Large ones keep the cost of megabytes low on this side.
const READ: usize = 64 << 10;

/// The start of an answer.
#[derive(Debug, Default, Clone)]
pub struct Head {
    pub status: u16,
    pub session: Option<String>,
    pub is_stream: bool,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    /// Bytes still to come.
    Length(usize),
    /// Bytes still to come of this chunk, its line end included; 0 between chunks.
    Chunks(usize),
    Done,
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    socket: TcpStream,
    raw: Vec<u8>,
    at: usize,
    body: Body,
    /// The last answer's body.
    pub text: Vec<u8>,
}

impl Conn {
    pub async fn open(addr: SocketAddr) -> Outcome<Conn> {
        let socket = TcpStream::connect(addr).await.map_err(|why| format!("cannot connect to {addr}: {why}"))?;
        socket.set_nodelay(true)?;
        Ok(Conn { socket, raw: Vec::new(), at: 0, body: Body::Done, text: Vec::new() })
    }

    /// Sends one request and reads the whole answer; the body is in `text` then.
    pub async fn call(&mut self, request: &[u8]) -> Outcome<Head> {
        let head = self.start(request).await?;
        self.text.clear();
        while self.more().await? {}
        Ok(head)
    }

    /// Sends one request and reads the head of its answer.
    pub async fn start(&mut self, request: &[u8]) -> Outcome<Head> {
        self.socket.write_all(request).await?;
        self.head().await
    }

    async fn head(&mut self) -> Outcome<Head> {
        loop {
            let raw = self.raw.get(self.at..).unwrap_or_default();
            if let Some(end) = memchr::memmem::find(raw, b"\r\n\r\n") {
                let (head, body) = read_head(raw.get(..end).unwrap_or_default())?;
                self.at += end + 4;
                self.body = body;
                return Ok(head);
            }
            if raw.len() > MAX_HEAD {
                return fail("the answer's head has no end");
            }
            self.fill().await?;
        }
    }

    /// Adds some of the body to `text`; false at its end. Cancel-safe: what was read is kept.
    pub async fn more(&mut self) -> Outcome<bool> {
        loop {
            let before = self.text.len();
            if !self.take()? {
                return Ok(false);
            }
            if self.text.len() > before {
                return Ok(true);
            }
            self.fill().await?;
        }
    }

    /// Moves what has come of the body to `text`; false at its end.
    fn take(&mut self) -> Outcome<bool> {
        let had = self.text.len();
        loop {
            let raw = self.raw.get(self.at..).unwrap_or_default();
            match self.body {
                Body::Done | Body::Length(0) => {
                    self.body = Body::Done;
                    return Ok(self.text.len() > had);
                }
                Body::Length(left) => {
                    let part = raw.get(..left.min(raw.len())).unwrap_or_default();
                    self.text.extend_from_slice(part);
                    self.at += part.len();
                    self.body = Body::Length(left - part.len());
                    if part.len() < left {
                        return Ok(true);
                    }
                }
                Body::Chunks(0) => {
                    let Some(end) = memchr::memmem::find(raw, b"\r\n") else { return Ok(true) };
                    let size = std::str::from_utf8(raw.get(..end).unwrap_or_default())?;
                    let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
                    if size == 0 {
                        if raw.len() < end + 4 {
                            return Ok(true);
                        }
                        self.at += end + 4;
                        self.body = Body::Done;
                    } else {
                        self.at += end + 2;
                        self.body = Body::Chunks(size + 2);
                    }
                }
                Body::Chunks(left) => {
                    if raw.is_empty() {
                        return Ok(true);
                    }
                    let data = raw.get(..raw.len().min(left - left.min(2))).unwrap_or_default();
                    self.text.extend_from_slice(data);
                    let rest = left - data.len();
                    let ending = if rest <= 2 { rest.min(raw.len() - data.len()) } else { 0 };
                    self.at += data.len() + ending;
                    self.body = Body::Chunks(rest - ending);
                }
            }
        }
    }

    async fn fill(&mut self) -> Outcome<()> {
        if self.at == self.raw.len() {
            self.raw.clear();
            self.at = 0;
        } else if self.at > READ {
            self.raw.drain(..self.at);
            self.at = 0;
        }
        self.raw.reserve(READ);
        match self.socket.read_buf(&mut self.raw).await? {
            0 => fail("the connection was closed before the answer was complete"),
            _ => Ok(()),
        }
    }
}

fn read_head(head: &[u8]) -> Outcome<(Head, Body)> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status = lines.next().and_then(|line| line.get(9..12)).ok_or("an answer without a status")?;
    let mut read = Head { status: std::str::from_utf8(status)?.parse()?, ..Head::default() };
    let mut body = Body::Length(0);
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        let value = std::str::from_utf8(value.get(1..).unwrap_or_default())?.trim();
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => body = Body::Length(value.parse()?),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => body = Body::Chunks(0),
            12 if name.eq_ignore_ascii_case(b"content-type") => read.is_stream = value.starts_with("text/event-stream"),
            14 if name.eq_ignore_ascii_case(b"mcp-session-id") => read.session = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok((read, body))
}

/// The events of one stream.
#[derive(Debug)]
pub struct Events {
    conn: Conn,
    at: usize,
    scanned: usize,
}

impl Events {
    pub fn of(mut conn: Conn) -> Events {
        conn.text.clear();
        Events { conn, at: 0, scanned: 0 }
    }

    /// The data of the next event that has any; `None` at the end of the stream. Cancel-safe.
    ///
    /// Messages come on one `data:` line each: JSON text holds no raw line end, and no bridge here adds one.
    pub async fn next(&mut self) -> Outcome<Option<&[u8]>> {
        loop {
            let rest = self.conn.text.get(self.scanned..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', rest) {
                let (from, to) = (self.at, self.scanned + end);
                self.at = to + 1;
                self.scanned = self.at;
                if self.conn.text.get(from..to).is_some_and(|line| line.starts_with(b"data:") && line.len() > 6) {
                    // The borrow checker does not see that the earlier look has ended: look again.
                    return Ok(self.conn.text.get(from + 5..to).map(<[u8]>::trim_ascii));
                }
                continue;
            }
            self.scanned = self.conn.text.len();
            if self.at == self.scanned {
                self.conn.text.clear();
                (self.at, self.scanned) = (0, 0);
            } else if self.at > READ {
                self.conn.text.drain(..self.at);
                self.scanned -= self.at;
                self.at = 0;
            }
            if !self.conn.more().await? {
                return Ok(None);
            }
        }
    }

    /// The connection again, after the stream has ended.
    pub fn into_conn(self) -> Conn {
        self.conn
    }
}

/// A request as bytes, but for its body.
#[derive(Debug, Clone)]
pub struct Target {
    head: String,
}

impl Target {
    pub fn post(addr: SocketAddr, path: &str, session: Option<&str>) -> Target {
        // Both are required of every request but the first (2025-06-18, Streamable HTTP).
        let session = session.map(|id| format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-06-18\r\n"));
        let session = session.unwrap_or_default();
        Target {
            head: format!(
                "POST {path} HTTP/1.1\r\nHost: {addr}\r\nAccept: application/json, text/event-stream\r\n\
                 Content-Type: application/json\r\n{session}"
            ),
        }
    }

    /// The same with a bearer token.
    pub fn bearer(mut self, token: &str) -> Target {
        self.head.push_str("Authorization: Bearer ");
        self.head.push_str(token);
        self.head.push_str("\r\n");
        self
    }

    /// A modern exchange (2026-07-28, Streamable HTTP, Request Headers).
    pub fn exchange(addr: SocketAddr, method: &str, name: &str) -> Target {
        let mut target = Target::post(addr, "/mcp", None);
        let own = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\n");
        target.head.push_str(&own);
        target
    }

    pub fn with(&self, body: &[u8]) -> Vec<u8> {
        let mut request = format!("{}Content-Length: {}\r\n\r\n", self.head, body.len()).into_bytes();
        request.extend_from_slice(body);
        request
    }
}

/// A request without a body.
pub fn bare(method: &str, addr: SocketAddr, path: &str, session: Option<&str>) -> Vec<u8> {
    let session = session.map(|id| format!("Mcp-Session-Id: {id}\r\n")).unwrap_or_default();
    format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nAccept: text/event-stream\r\n{session}\r\n").into_bytes()
}
