//! Callers: one session each, over one of the ways to reach a server, and the calls that they make.
//!
//! Owns the connections of a session. Talks to the server through [`crate::client`] or a pipe. It checks every answer:
//! a call that is answered wrongly is an error, not a fast call.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use crate::client::{Conn, Events, Target, bare};
use crate::eras::META;
use crate::process::{Process, Wire};
use crate::ws::Line;
use crate::{Outcome, fail};

mod ask;

/// Opens a session.
pub const HELLO: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
/// Says that it is open.
pub const READY: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Ids of one slot: those of another begin this much higher. All have the same number of digits.
const SLOT: u64 = 100_000_000;
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

    /// Makes calls until the deadline, `depth` at a time. The calls that are in flight then are waited for.
    pub async fn calls(&mut self, depth: usize, text: &str, until: Instant) -> Outcome<Samples> {
        let meta = match self {
            Session::Exchanges { .. } => format!("{META},"),
            _ => String::new(),
        };
        let calls = Calls { text, meta, until, nanos: RefCell::default() };
        match self {
            Session::Exchanges { addr, conns } => {
                let target = Target::exchange(*addr, "tools/call", "echo");
                let conns = conns.iter_mut().take(depth).enumerate();
                try_join_all(conns.map(|(slot, conn)| calls.over_http(conn, &target, slot as u64))).await?;
            }
            Session::Http { addr, id, conns } => {
                let target = Target::post(*addr, "/mcp", Some(id));
                let conns = conns.iter_mut().take(depth).enumerate();
                try_join_all(conns.map(|(slot, conn)| calls.over_http(conn, &target, slot as u64))).await?;
            }
            Session::Sse { target, events, conns } => calls.over_sse(events, conns, target, depth).await?,
            Session::Ws { line } if depth == 1 => calls.over_ws(line).await?,
            Session::Ws { .. } => return fail("over WebSocket, calls are made one at a time"),
            Session::Stdio { pipe } => calls.over_stdio(pipe, depth as u64).await?,
        }
        Ok(Samples { nanos: calls.nanos.into_inner() })
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

/// One round of one caller.
struct Calls<'a> {
    text: &'a str,
    /// What the params begin with.
    meta: String,
    until: Instant,
    nanos: RefCell<Vec<u64>>,
}

impl Calls<'_> {
    fn body(&self, id: u64) -> Vec<u8> {
        let meta = &self.meta;
        let mut body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{{meta}\"name\":\"echo\",\"arguments\":{{\"message\":\"").into_bytes();
        body.extend_from_slice(self.text.as_bytes());
        body.extend_from_slice(b"\"}}}");
        body
    }

    fn done(&self, from: Instant, to: Instant) {
        self.nanos.borrow_mut().push(to.duration_since(from).as_nanos() as u64);
    }

    /// The id, if this is the right answer to an echo.
    fn check(&self, answer: &[u8]) -> Outcome<u64> {
        let id = id_of(answer);
        match id {
            Some(id) if answer.len() > self.text.len() && is_answer(answer) => Ok(id),
            _ => fail(format!("a wrong answer: {}", shown(answer))),
        }
    }

    async fn over_http(&self, conn: &mut Conn, target: &Target, slot: u64) -> Outcome<()> {
        let mut id = (slot + 1) * SLOT;
        while Instant::now() < self.until {
            let request = target.with(&self.body(id));
            let from = Instant::now();
            let head = conn.call(&request).await?;
            self.done(from, Instant::now());
            expect(head.status, 200, &conn.text)?;
            if self.check(&conn.text)? != id {
                return fail(format!("call {id} got the answer of another: {}", shown(&conn.text)));
            }
            id += 1;
        }
        Ok(())
    }

    async fn over_ws(&self, line: &mut Line) -> Outcome<()> {
        let mut id = SLOT;
        while Instant::now() < self.until {
            let body = self.body(id);
            let from = Instant::now();
            line.send(&body).await?;
            let answer = line.hear().await?;
            self.done(from, Instant::now());
            if self.check(answer)? != id {
                return fail(format!("call {id} got the answer of another: {}", shown(answer)));
            }
            id += 1;
        }
        Ok(())
    }

    async fn over_sse(&self, events: &mut Events, conns: &mut [Conn], target: &Target, depth: usize) -> Outcome<()> {
        let slots: Vec<Slot> = (0..depth).map(|_| Slot::default()).collect();
        let posts = conns.iter_mut().zip(&slots).enumerate();
        let posts = try_join_all(posts.map(|(at, (conn, slot))| self.post_all(conn, target, slot, at as u64)));
        let hear = async {
            loop {
                // Ends with the round: `posts` wins the race.
                let data = events.next().await?.ok_or("the stream ended amid calls")?;
                let id = self.check(data)?;
                let slot = usize::try_from(id / SLOT - 1).ok().and_then(|at| slots.get(at));
                let slot = slot.filter(|slot| slot.id.get() == id && slot.answered.get().is_none());
                let slot = slot.ok_or_else(|| format!("an answer to {id}, which nobody waits for"))?;
                slot.answered.set(Some(Instant::now()));
                slot.wake.notify_one();
            }
        };
        tokio::select! {
            done = posts => done.map(|_| ()),
            failed = hear => failed,
        }
    }

    async fn post_all(&self, conn: &mut Conn, target: &Target, slot: &Slot, at: u64) -> Outcome<()> {
        let mut id = (at + 1) * SLOT;
        while Instant::now() < self.until {
            let request = target.with(&self.body(id));
            slot.id.set(id);
            slot.answered.set(None);
            let from = Instant::now();
            let head = conn.call(&request).await?;
            expect(head.status, 202, &conn.text)?;
            let answered = loop {
                match slot.answered.get() {
                    Some(at) => break at,
                    None => tokio::time::timeout(LOST, slot.wake.notified()).await?,
                }
            };
            self.done(from, answered);
            id += 1;
        }
        Ok(())
    }

    async fn over_stdio(&self, pipe: &mut Pipe, depth: u64) -> Outcome<()> {
        let mut sent = vec![Instant::now(); usize::try_from(depth)?];
        let mut waiting = depth;
        let mut out = Vec::new();
        for slot in 0..depth {
            out.extend_from_slice(&self.body((slot + 1) * SLOT));
            out.push(b'\n');
        }
        loop {
            if !out.is_empty() {
                pipe.stdin.write_all(&out).await?;
                out.clear();
            }
            if waiting == 0 {
                return Ok(()); // The round is over, and every call is answered.
            }
            pipe.fill().await?;
            let now = Instant::now();
            while let Some(line) = pipe.ready() {
                let id = self.check(line)?;
                let slot = usize::try_from(id / SLOT - 1).ok().and_then(|at| sent.get_mut(at));
                let from = slot.ok_or_else(|| format!("an answer to {id}, which nobody waits for"))?;
                self.done(*from, now);
                if now < self.until {
                    out.extend_from_slice(&self.body(id + 1));
                    out.push(b'\n');
                    *from = now;
                } else {
                    waiting -= 1;
                }
            }
        }
    }
}

/// A call over SSE that waits for its answer.
#[derive(Debug, Default)]
struct Slot {
    id: Cell<u64>,
    answered: Cell<Option<Instant>>,
    wake: Notify,
}

fn id_of(message: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(message, b"\"id\":")? + 5;
    let digits = message.get(at..)?.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
