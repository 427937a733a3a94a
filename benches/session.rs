//! Callers: one session each, over one of the ways to reach a server.
//!
//! Owns the connections of a session. Talks to the server through [`crate::client`] or a pipe. It checks every answer:
//! a call that is answered wrongly is an error, not a fast call.

use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Conn, Events, Target, bare};
use crate::process::{Process, Wire};
use crate::ws::Line;
use crate::{Outcome, fail};

mod ask;
mod calls;

/// Opens a session.
pub const HELLO: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
/// Says that it is open.
pub const READY: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Longest wait for one answer; what takes longer is lost.
pub const LOST: Duration = Duration::from_secs(60);

/// One caller.
#[derive(Debug)]
pub enum Session {
    Http {
        addr: SocketAddr,
        id: String,
        conns: Vec<Conn>,
    },
    Sse {
        target: Target,
        events: Box<Events>,
        conns: Vec<Conn>,
    },
    Stdio {
        pipe: Pipe,
    },
    Ws {
        line: Line,
    },
    /// No session: each call is a modern exchange.
    Exchanges {
        addr: SocketAddr,
        conns: Vec<Conn>,
    },
}

/// The streams of a stdio server.
#[derive(Debug)]
pub struct Pipe {
    process: Process,
    stdin: tokio::process::ChildStdin,
    stdout: tokio::process::ChildStdout,
    text: Vec<u8>,
    at: usize,
    scanned: usize,
}

impl Pipe {
    pub fn start(command: Command) -> Outcome<Pipe> {
        let (process, stdin, stdout): (Process, ChildStdin, ChildStdout) = Process::stdio(command)?;
        Ok(Pipe {
            process,
            stdin: tokio::process::ChildStdin::from_std(stdin)?,
            stdout: tokio::process::ChildStdout::from_std(stdout)?,
            text: Vec::new(),
            at: 0,
            scanned: 0,
        })
    }

    pub async fn send(&mut self, line: &[u8]) -> Outcome<()> {
        self.stdin.write_all(line).await?;
        Ok(self.stdin.write_all(b"\n").await?)
    }

    /// A line that is there already.
    fn ready(&mut self) -> Option<&[u8]> {
        let Some(end) = memchr::memchr(b'\n', self.text.get(self.scanned..)?) else {
            self.scanned = self.text.len();
            return None;
        };
        let (from, to) = (self.at, self.scanned + end);
        self.at = to + 1;
        self.scanned = self.at;
        self.text.get(from..to)
    }

    async fn fill(&mut self) -> Outcome<()> {
        self.text.drain(..self.at);
        self.scanned -= self.at;
        self.at = 0;
        self.text.reserve(64 << 10);
        match tokio::time::timeout(LOST, self.stdout.read_buf(&mut self.text)).await?? {
            0 => fail("the stdio server closed its output"),
            _ => Ok(()),
        }
    }

    pub async fn line(&mut self) -> Outcome<&[u8]> {
        while memchr::memchr(b'\n', self.text.get(self.scanned..).unwrap_or_default()).is_none() {
            self.scanned = self.text.len();
            self.fill().await?;
        }
        self.ready().ok_or_else(|| "no line".into())
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Closes the input, as a client that ends, and waits for the process.
    pub fn close(self) -> bool {
        let Pipe { mut process, stdin, .. } = self;
        drop(stdin);
        process.wait(Duration::from_secs(10))
    }

    /// Initialize; gives the moment of the answer.
    pub async fn greet(&mut self) -> Outcome<Instant> {
        self.send(HELLO).await?;
        greeted(self.line().await?)?;
        let at = Instant::now();
        self.send(READY).await?;
        Ok(at)
    }
}

fn greeted(answer: &[u8]) -> Outcome<()> {
    match memchr::memmem::find(answer, b"\"serverInfo\"") {
        Some(_) => Ok(()),
        None => fail(format!("initialize was not answered with a result: {}", shown(answer))),
    }
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(300).collect()
}

/// What a round of calls came to.
#[derive(Debug, Default)]
pub struct Samples {
    /// Nanoseconds of each call.
    pub nanos: Vec<u64>,
}

impl Session {
    /// Opens a session over the network, with as many connections for calls as there may be in flight.
    pub async fn open(wire: Wire, addr: SocketAddr, depth: usize) -> Outcome<Session> {
        match tokio::time::timeout(LOST, Session::open_now(wire, addr, depth)).await {
            Ok(session) => session,
            Err(_) => fail("a session was not opened within a minute"),
        }
    }

    async fn open_now(wire: Wire, addr: SocketAddr, depth: usize) -> Outcome<Session> {
        match wire {
            Wire::Http => {
                let mut first = Conn::open(addr).await?;
                let head = first.call(&Target::post(addr, "/mcp", None).with(HELLO)).await?;
                greeted(&first.text)?;
                let id = head.session.ok_or("initialize was answered without a session id")?;
                let head = first.call(&Target::post(addr, "/mcp", Some(&id)).with(READY)).await?;
                expect(head.status, 202, &first.text)?;
                let mut conns = vec![first];
                conns.extend(try_join_all((1..depth).map(|_| Conn::open(addr))).await?);
                Ok(Session::Http { addr, id, conns })
            }
            Wire::Sse => {
                let mut stream = Conn::open(addr).await?;
                let head = stream.start(&bare("GET", addr, "/sse", None)).await?;
                expect(head.status, 200, b"")?;
                let mut events = Events::of(stream);
                let endpoint = events.next().await?.ok_or("a stream without an endpoint")?;
                let target = Target::post(addr, std::str::from_utf8(endpoint)?, None);
                let mut conns = try_join_all((0..depth).map(|_| Conn::open(addr))).await?;
                let first = conns.first_mut().ok_or("no connection")?;
                let head = first.call(&target.with(HELLO)).await?;
                expect(head.status, 202, &first.text)?;
                greeted(events.next().await?.ok_or("the stream ended before the answer")?)?;
                let head = first.call(&target.with(READY)).await?;
                expect(head.status, 202, &first.text)?;
                Ok(Session::Sse { target, events: Box::new(events), conns })
            }
        }
    }

    /// A session over WebSocket, for one call at a time.
    pub async fn web_socket(addr: SocketAddr) -> Outcome<Session> {
        let mut line = Line::open(addr).await?;
        line.send(HELLO).await?;
        greeted(line.hear().await?)?;
        line.send(READY).await?;
        Ok(Session::Ws { line })
    }

    /// A modern caller.
    pub async fn exchanges(addr: SocketAddr, depth: usize) -> Outcome<Session> {
        let conns = try_join_all((0..depth).map(|_| Conn::open(addr))).await?;
        Ok(Session::Exchanges { addr, conns })
    }

    /// A session over a process's stdin and stdout.
    pub async fn start(command: Command) -> Outcome<Session> {
        let mut pipe = Pipe::start(command)?;
        pipe.greet().await?;
        Ok(Session::Stdio { pipe })
    }

    /// The process that is this session alone.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Session::Stdio { pipe } => Some(pipe.pid()),
            _ => None,
        }
    }

    /// Ends the session in the way of its transport.
    pub async fn close(self) -> Outcome<()> {
        match self {
            Session::Http { addr, id, conns } => {
                let mut conn = conns.into_iter().next().ok_or("no connection")?;
                let head = conn.call(&bare("DELETE", addr, "/mcp", Some(&id))).await?;
                if head.status / 100 != 2 {
                    return fail(format!("DELETE was answered with {}", head.status));
                }
            }
            Session::Sse { .. } | Session::Ws { .. } | Session::Exchanges { .. } => {}
            Session::Stdio { pipe } => {
                if !pipe.close() {
                    return fail("the process did not end after its input was closed");
                }
            }
        }
        Ok(())
    }
}

/// Whether a message answers a request, as the demo server writes it.
pub fn is_answer(message: &[u8]) -> bool {
    let front = message.get(..message.len().min(64)).unwrap_or_default();
    memchr::memmem::find(front, b"\"method\"").is_none() && memchr::memmem::find(message, b"\"result\"").is_some()
}

fn expect(status: u16, want: u16, body: &[u8]) -> Outcome<()> {
    match status == want {
        true => Ok(()),
        false => fail(format!("the status was {status}, not {want}: {}", shown(body))),
    }
}
