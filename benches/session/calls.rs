//! The calls of one caller: one after the other, or several at a time, until the round is over.
//!
//! Talks to the server through the connections of a [`Session`]. It checks every answer.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use futures::future::try_join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use super::{LOST, Pipe, Samples, Session, expect, is_answer, shown};
use crate::client::{Conn, Events, Target};
use crate::eras::META;
use crate::ws::Line;
use crate::{Outcome, fail};

/// Ids of one slot: those of another begin this much higher. All have the same number of digits.
const SLOT: u64 = 100_000_000;

impl Session {
    /// Makes calls until the deadline, `depth` at a time. The calls that are in flight then are waited for.
    pub async fn calls(&mut self, depth: usize, text: &str, until: Instant) -> Outcome<Samples> {
        let meta = match self {
            Session::Exchanges { .. } => META,
            _ => "",
        };
        self.calls_with(meta, depth, text, until).await
    }

    /// The same, with this member of the params before the others.
    pub async fn calls_with(&mut self, meta: &str, depth: usize, text: &str, until: Instant) -> Outcome<Samples> {
        let comma = if meta.is_empty() { "" } else { "," };
        let calls = Calls { text, meta: format!("{meta}{comma}"), until, nanos: RefCell::default() };
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
