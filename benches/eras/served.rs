//! The release binary over HTTP: a modern exchange beside a legacy call in a session, with and without translation, and
//! how long a call waits for a server that starts slowly.
//!
//! The demo server's work for a modern call is more than for a legacy one: it has more to read, to check and to write. So
//! both are measured without a bridge, too, and what the bridge adds to each is compared as well.
//!
//! Owns the servers and the order of rounds. Talks to them through [`Session`]s, as the other parts do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::try_join_all;

use super::META;
use crate::client::{Conn, Target};
use crate::process::{BRIDGE, Process, Wire, cpu, demo};
use crate::report::{Report, median};
use crate::session::{Pipe, Samples, Session, is_answer};
use crate::{Outcome, fail};

/// A modern exchange costs no more than a legacy call.
const NO_MORE: f64 = 1.0;

/// The part of a start that a warm call may take.
const WARM: f64 = 0.05;

/// Text of a call, as elsewhere.
const TEXT: usize = 64;

/// Callers of one era in front of a server of one era.
struct Setup {
    sessions: Vec<Session>,
    /// What calls say beside their arguments, where that is not what their kind always says.
    meta: Option<String>,
    /// The bridge, or the server itself, whose processor time is counted.
    pid: u32,
    /// Held: dropped, it ends.
    _bridge: Option<Process>,
}

impl Setup {
    async fn new(modern: bool, server_era: &str, callers: usize) -> Outcome<Setup> {
        Setup::with(&[], modern, server_era, callers).await
    }

    async fn with(flags: &[&str], modern: bool, server_era: &str, callers: usize) -> Outcome<Setup> {
        let (server, addr) = Process::with(flags, &[BRIDGE, "demo-server", "--era", server_era])?;
        let mut sessions = Vec::new();
        for _ in 0..callers {
            sessions.push(if modern {
                Session::exchanges(addr, 1).await?
            } else {
                Session::open(Wire::Http, addr, 1).await?
            });
        }
        Ok(Setup { sessions, meta: None, pid: server.pid(), _bridge: Some(server) })
    }

    /// The server itself, over its stdin and stdout.
    async fn alone(modern: bool) -> Outcome<Setup> {
        let mut pipe = Pipe::start(demo(if modern { "modern" } else { "legacy" }))?;
        if !modern {
            pipe.greet().await?;
        }
        let (pid, meta) = (pipe.pid(), modern.then(|| META.to_owned()));
        Ok(Setup { sessions: vec![Session::Stdio { pipe }], meta, pid, _bridge: None })
    }

    async fn round(&mut self, text: &str, span: Duration) -> Outcome<Round> {
        let before = cpu(self.pid)?;
        let until = Instant::now() + span;
        let samples: Vec<Samples> = try_join_all(self.sessions.iter_mut().map(async |session| match &self.meta {
            Some(meta) => session.calls_with(meta, 1, text, until).await,
            None => session.calls(1, text, until).await,
        }))
        .await?;
        let mut nanos: Vec<u64> = samples.into_iter().flat_map(|samples| samples.nanos).collect();
        nanos.sort_unstable();
        let at = |share: usize| nanos.get(nanos.len() * share / 100).map_or(f64::NAN, |nanos| *nanos as f64 / 1e3);
        if nanos.is_empty() {
            return fail("a round without a call");
        }
        let cpu = cpu(self.pid)?.saturating_sub(before) as f64 / 1e3 / nanos.len() as f64;
        Ok(Round { p50: at(50), p99: at(99), cpu })
    }
}

/// Microseconds: of a call, and of the bridge's processor time for one.
#[derive(Debug, Clone, Copy)]
struct Round {
    p50: f64,
    p99: f64,
    cpu: f64,
}

/// What is compared: a name, whose calls, beside whose, and how much they may be of those at most. All are of [`setups`].
const PAIRS: [(&str, usize, usize, Option<f64>); 5] = [
    ("modern", 3, 0, Some(NO_MORE)),
    ("modern, beside sessions that share a server, too", 3, 1, None),
    ("modern, beside legacy calls that are as long", 3, 2, None),
    ("modern → legacy", 4, 0, None),
    ("legacy → modern", 5, 0, None),
];

async fn setups(callers: usize) -> Outcome<[Setup; 6]> {
    // With the same keys, a call would be taken for one of the modern era.
    let meta = Some(META.replace("io.modelcontextprotocol/", "com.example.benchmark00/"));
    Ok([
        Setup::new(false, "legacy", callers).await?,
        Setup::with(&["--shared"], false, "legacy", callers).await?,
        Setup { meta, ..Setup::new(false, "legacy", callers).await? },
        Setup::new(true, "modern", callers).await?,
        Setup::new(true, "legacy", callers).await?,
        Setup::new(false, "modern", callers).await?,
    ])
}

pub async fn measure(report: &mut Report) -> Outcome<()> {
    // Which processor a process wakes on decides half of what a lone call takes, and stays as it began: so they are
    // started anew several times.
    let (starts, rounds, span) = if report.quick { (5, 2, 60) } else { (9, 4, 250) };
    let (span, text) = (Duration::from_millis(span), "x".repeat(TEXT));
    for callers in [1, 16] {
        let mut got: [Vec<(Round, Round)>; 5] = Default::default();
        let mut alone = Vec::new();
        for _ in 0..starts {
            let mut setups = setups(callers).await?;
            let mut servers = [Setup::alone(true).await?, Setup::alone(false).await?];
            for at in 0..=rounds {
                let base_first = at % 2 == 1;
                let of_servers = pair(&mut servers, (0, 1), base_first, &text, span).await?;
                // The first calls are dearer.
                if at > 0 {
                    alone.push(of_servers);
                }
                for ((_, ours, base, _), got) in PAIRS.iter().zip(&mut got) {
                    let pair = pair(&mut setups, (*ours, *base), base_first, &text, span).await?;
                    if at > 0 {
                        got.push(pair);
                    }
                }
            }
        }
        let called = |name: &str, what: &str| format!("{name} over HTTP, callers: {callers}, {what}");
        for ((name, _, _, most), got) in PAIRS.iter().zip(&got) {
            row(report, called(name, "p50"), got.iter().map(|pair| of(pair, |round| round.p50)), *most);
            row(report, called(name, "p99"), got.iter().map(|pair| of(pair, |round| round.p99)), None);
            row(report, called(name, "CPU of a call"), got.iter().map(|pair| of(pair, |round| round.cpu)), *most);
        }
        if let ([modern, ..], 1) = (&got, callers) {
            let p50 = |pair| of(pair, |round| round.p50);
            row(report, "the server alone, modern, p50".into(), alone.iter().map(p50), None);
            let added = modern.iter().map(p50).zip(alone.iter().map(p50));
            let added = added.map(|((ours, base), (server, of_base))| (ours - server, base - of_base));
            row(report, called("what the bridge adds, modern", "p50"), added, Some(NO_MORE));
        }
    }
    Ok(())
}

/// A round of each of two, one after the other.
async fn pair(
    setups: &mut [Setup],
    (ours, base): (usize, usize),
    base_first: bool,
    text: &str,
    span: Duration,
) -> Outcome<(Round, Round)> {
    let mut round = async |which: usize| match setups.get_mut(which) {
        Some(setup) => setup.round(text, span).await,
        None => fail("callers that are not there"),
    };
    if base_first {
        let base = round(base).await?;
        return Ok((round(ours).await?, base));
    }
    Ok((round(ours).await?, round(base).await?))
}

fn of((ours, base): &(Round, Round), figure: fn(&Round) -> f64) -> (f64, f64) {
    (figure(ours), figure(base))
}

/// The medians of both, and of what one is of the other.
fn row(report: &mut Report, what: String, pairs: impl Iterator<Item = (f64, f64)> + Clone, most: Option<f64>) {
    let ours = median(pairs.clone().map(|(ours, _)| ours));
    let base = median(pairs.clone().map(|(_, base)| base));
    let ratio = median(pairs.map(|(ours, base)| ours / base));
    report.times(what, "µs", ours, base, ratio, most);
}

/// Calls that a client makes before it leaves, as one does that was started for one question.
const VISIT: usize = 10;

/// A client that comes for [`VISIT`] calls: a session costs its opening and its end, too, and often a process.
pub async fn visits(report: &mut Report) -> Outcome<()> {
    let count = if report.quick { 60 } else { 200 };
    let (modern, at_modern) = Process::serving(&[BRIDGE, "demo-server", "--era", "modern"])?;
    let kinds: [(&str, &[&str]); 2] = [("with a server of its own", &[]), ("that shares its server", &["--shared"])];
    for (what, flags) in kinds {
        let (server, addr) = Process::with(flags, &[BRIDGE, "demo-server", "--era", "legacy"])?;
        let mut got = Vec::new();
        for at in 0..=count {
            let pair = (exchanges(at_modern).await?, session(addr).await?);
            // The first calls are dearer.
            if at > 0 {
                got.push(pair);
            }
        }
        let name = format!("{VISIT} modern exchanges on a new connection, beside a session {what}, p50 of all");
        row(report, name, got.into_iter(), Some(NO_MORE));
        server.stop();
    }
    modern.stop();
    Ok(())
}

/// Microseconds.
async fn exchanges(addr: SocketAddr) -> Outcome<f64> {
    let began = Instant::now();
    let mut conn = Conn::open(addr).await?;
    for _ in 0..VISIT {
        exchange(&mut conn, addr, "{}").await?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6)
}

async fn session(addr: SocketAddr) -> Outcome<f64> {
    let began = Instant::now();
    let mut session = Session::open(Wire::Http, addr, 1).await?;
    for _ in 0..VISIT {
        let body =
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}"#;
        match session.ask(body.as_bytes()).await?.last() {
            Some(answer) if is_answer(answer) => {}
            _ => return fail("a call was not answered"),
        }
    }
    session.close().await?;
    Ok(began.elapsed().as_secs_f64() * 1e6)
}

/// Calls of modern callers at a legacy server that takes a second to start.
pub async fn warm(report: &mut Report) -> Outcome<()> {
    let count = if report.quick { 200 } else { 2_000 };
    let line = "sleep 1; exec \"$0\" demo-server --era legacy";
    // The two kinds have servers of their own: one that is shared, and one that is lent for the call.
    for (who, capabilities) in [("a caller", "{}"), ("a caller that can be asked", r#"{"elicitation":{}}"#)] {
        let (server, addr) = Process::serving(&["sh", "-c", line, BRIDGE])?;
        let mut conn = Conn::open(addr).await?;
        let first = exchange(&mut conn, addr, capabilities).await?;
        let mut later = Vec::new();
        for _ in 0..count {
            later.push(exchange(&mut conn, addr, capabilities).await?);
        }
        let worst = later.iter().copied().fold(0.0, f64::max);
        report.alone(format!("modern → legacy, a slow start: first call of {who}"), "ms", first, f64::NAN, None);
        let what = format!("modern → legacy, p50 of {count} warm calls of {who}");
        let p50 = median(later);
        report.times(what, "ms", p50, first, p50 / first, Some(WARM));
        let what = format!("modern → legacy, longest of {count} warm calls of {who}");
        report.times(what, "ms", worst, first, worst / first, Some(WARM));
        server.stop();
    }
    Ok(())
}

/// One call; milliseconds.
async fn exchange(conn: &mut Conn, addr: SocketAddr, capabilities: &str) -> Outcome<f64> {
    let meta = META.replace("clientCapabilities\":{}", &format!("clientCapabilities\":{capabilities}"));
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"hi"}},{meta}}}}}"#
    );
    let request = Target::exchange(addr, "tools/call", "echo").with(body.as_bytes());
    let began = Instant::now();
    let head = conn.call(&request).await?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    match head.status == 200 && memchr::memmem::find(&conn.text, b"\"result\"").is_some() {
        true => Ok(took),
        false => fail(format!("status {}: {}", head.status, String::from_utf8_lossy(&conn.text))),
    }
}
