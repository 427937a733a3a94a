//! What a door costs a call: none, a static token, a JWT that was seen before, and one that never was (RS256).
//!
//! Owns the callers and the order of rounds. Talks to three bridges, and to an authorization server of its own. The calls are
//! those of one session each; a new token for each of them is what no client does, and shows the check alone.

mod issuer;

use std::net::SocketAddr;
use std::time::Instant;

use self::issuer::{AUDIENCE, Issuer};
use crate::client::{Conn, Target};
use crate::process::{DEMO, Process, cpu};
use crate::report::{Report, median};
use crate::session::{HELLO, READY, is_answer};
use crate::{Outcome, fail};

/// Microseconds that a token's check may add to a call.
const CHECK: f64 = 60.0;

/// A static token, as long as most.
const STATIC: &str = "0123456789abcdef0123456789abcdef0123456789a";

pub async fn measure(report: &mut Report) -> Outcome<()> {
    let (rounds, calls) = if report.quick { (7, 150) } else { (21, 400) };
    let issuer = Issuer::start()?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), STATIC)?;
    let path = file.path().to_str().ok_or("a path that is no text")?;
    let keys = issuer.keys_url();
    let oauth = ["--oauth-issuer", &*issuer.url, "--oauth-jwks-url", &*keys, "--oauth-audience", AUDIENCE];
    let known = issuer.token(0)?;

    let mut doors = [
        Door::open(&[], None).await?,
        Door::open(&["--bearer-token-file", path], Some(STATIC)).await?,
        Door::open(&oauth, Some(&known)).await?,
        Door::open(&oauth, Some(&known)).await?,
    ];
    let mut got: [Vec<Round>; 4] = Default::default();
    let mut alone = Vec::new();
    for round in 0..=rounds {
        // Signed before the clock runs.
        let fresh: Vec<String> =
            (0..calls).map(|call| issuer.token(1 + round * calls + call)).collect::<Outcome<_>>()?;
        // Between calls, as the bridge does it: what is done over and over in a row takes half of the time.
        for token in &fresh {
            let [open, ..] = &mut doors;
            open.round(&[None]).await?;
            let began = Instant::now();
            issuer.check(token)?;
            alone.push(began.elapsed().as_nanos() as f64 / 1e3);
        }
        let fresh = fresh.iter().map(|token| Some(token.as_str())).collect();
        let tokens = [vec![None; calls], vec![Some(STATIC); calls], vec![Some(&*known); calls], fresh];
        let mut order = [0, 1, 2, 3];
        order.rotate_left(round % 4);
        for at in order {
            let (Some(door), Some(tokens), Some(got)) = (doors.get_mut(at), tokens.get(at), got.get_mut(at)) else {
                continue;
            };
            let done = door.round(tokens).await?;
            // The first calls are dearer.
            if round > 0 {
                got.push(done);
            }
        }
    }
    let [open, fixed, known, fresh] = &got;
    let mut row = |what: &str, ours: &[Round], beside: &[Round], most| {
        for (name, figure, most) in
            [("p50", (|round| round.p50) as fn(&Round) -> f64, most), ("CPU of a call", |round| round.cpu, None)]
        {
            let more = median(ours.iter().zip(beside).map(|(ours, beside)| figure(ours) - figure(beside)));
            let [ours, beside] = [ours, beside].map(|rounds| median(rounds.iter().map(figure)));
            report.more(format!("{what}, {name}"), "µs", ours, beside, more, most);
        }
    };
    row("a call with a static token, beside one without a door", fixed, open, None);
    row("a call with a JWT that was seen before, beside a static token", known, fixed, None);
    row("a call with a JWT that was seen before, beside one without a door", known, open, None);
    row("a call with a JWT that was never seen (RS256), beside one without a door", fresh, open, Some(CHECK));
    row("the same, beside a JWT that was seen before", fresh, known, None);
    report.alone(
        "the check of the signature alone, in this program, between calls, p50",
        "µs",
        median(alone),
        f64::NAN,
        None,
    );
    Ok(())
}

/// Microseconds: of a call, and of the bridge's processor time for one.
struct Round {
    p50: f64,
    cpu: f64,
}

/// A bridge with a session.
struct Door {
    bridge: Process,
    addr: SocketAddr,
    conn: Conn,
    session: String,
    next: u64,
}

impl Door {
    async fn open(flags: &[&str], token: Option<&str>) -> Outcome<Door> {
        let (bridge, addr) = Process::with(flags, &DEMO)?;
        let mut conn = Conn::open(addr).await?;
        if token.is_some() && conn.call(&Target::post(addr, "/mcp", None).with(HELLO)).await?.status != 401 {
            return fail("the door was open to a caller without a token");
        }
        let head = conn.call(&target(addr, None, token).with(HELLO)).await?;
        let session = head.session.ok_or_else(|| format!("initialize was answered with {}", head.status))?;
        conn.call(&target(addr, Some(&session), token).with(READY)).await?;
        Ok(Door { bridge, addr, conn, session, next: 100_000 })
    }

    async fn round(&mut self, tokens: &[Option<&str>]) -> Outcome<Round> {
        let mut nanos = Vec::new();
        let before = cpu(self.bridge.pid())?;
        for token in tokens {
            self.next += 1;
            let id = self.next;
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"{}"}}}}}}"#,
                "x".repeat(64)
            );
            let request = target(self.addr, Some(&self.session), *token).with(body.as_bytes());
            let from = Instant::now();
            let head = self.conn.call(&request).await?;
            nanos.push(from.elapsed().as_nanos() as f64 / 1e3);
            let own = format!("\"id\":{id},");
            if head.status != 200
                || !is_answer(&self.conn.text)
                || memchr::memmem::find(&self.conn.text, own.as_bytes()).is_none()
            {
                let text = String::from_utf8_lossy(&self.conn.text);
                return fail(format!("call {id} was answered with {}: {text}", head.status));
            }
        }
        let cpu = cpu(self.bridge.pid())?.saturating_sub(before) as f64 / 1e3 / tokens.len() as f64;
        Ok(Round { p50: median(nanos), cpu })
    }
}

fn target(addr: SocketAddr, session: Option<&str>, token: Option<&str>) -> Target {
    let target = Target::post(addr, "/mcp", session);
    match token {
        Some(token) => target.bearer(token),
        None => target,
    }
}
