//! The release binary over HTTP: a modern exchange beside a legacy call in a session, with and without translation, and
//! how long a call waits for a server that starts slowly.
//!
//! Owns the servers and the order of rounds. Talks to them through [`Session`]s, as the other parts do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::try_join_all;

use super::META;
use crate::client::{Conn, Target};
use crate::process::{BRIDGE, Process, Wire, cpu};
use crate::report::{Report, median};
use crate::session::{Samples, Session};
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
    /// What legacy calls say beside their arguments, where they are to be as long as modern ones.
    meta: Option<String>,
    server: Process,
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
        Ok(Setup { sessions, meta: None, server })
    }

    async fn round(&mut self, text: &str, span: Duration) -> Outcome<Round> {
        let before = cpu(self.server.pid())?;
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
        let cpu = cpu(self.server.pid())?.saturating_sub(before) as f64 / 1e3 / nanos.len() as f64;
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

pub async fn measure(report: &mut Report) -> Outcome<()> {
    let (rounds, span) = if report.quick { (5, 120) } else { (11, 800) };
    let (span, text) = (Duration::from_millis(span), "x".repeat(TEXT));
    for callers in [1, 16] {
        // With the same keys, a call would be taken for one of the modern era.
        let meta = Some(META.replace("io.modelcontextprotocol/", "com.example.benchmark00/"));
        let long = Setup { meta, ..Setup::new(false, "legacy", callers).await? };
        let mut bases = [
            Setup::new(false, "legacy", callers).await?,
            Setup::with(&["--shared"], false, "legacy", callers).await?,
            long,
        ];
        let mut modern = [
            Setup::new(true, "modern", callers).await?,
            Setup::new(true, "legacy", callers).await?,
            Setup::new(false, "modern", callers).await?,
        ];
        // What is compared: a name, whose calls, beside whose.
        let pairs = [
            ("modern", 0, 0, Some(NO_MORE)),
            ("modern, beside sessions that share a server, too", 0, 1, None),
            ("modern, beside legacy calls that are as long", 0, 2, None),
            ("modern → legacy", 1, 0, None),
            ("legacy → modern", 2, 0, None),
        ];
        let mut got: [Vec<(Round, Round)>; 5] = Default::default();
        for at in 0..=rounds {
            for ((_, other, base, _), got) in pairs.iter().zip(&mut got) {
                let (Some(other), Some(base)) = (modern.get_mut(*other), bases.get_mut(*base)) else {
                    return fail("a pair of callers that are not there");
                };
                let pair = if at % 2 == 0 {
                    let first = other.round(&text, span).await?;
                    (first, base.round(&text, span).await?)
                } else {
                    let first = base.round(&text, span).await?;
                    (other.round(&text, span).await?, first)
                };
                // The first calls are dearer.
                if at > 0 {
                    got.push(pair);
                }
            }
        }
        for ((name, _, _, most), got) in pairs.iter().zip(&got) {
            let mut row = |what: &str, figure: fn(&Round) -> f64, most| {
                let ours = median(got.iter().map(|(ours, _)| figure(ours)));
                let legacy = median(got.iter().map(|(_, legacy)| figure(legacy)));
                let ratio = median(got.iter().map(|(ours, legacy)| figure(ours) / figure(legacy)));
                report.times(format!("{name} over HTTP, callers: {callers}, {what}"), "µs", ours, legacy, ratio, most);
            };
            row("p50", |round| round.p50, *most);
            row("p99", |round| round.p99, None);
            row("CPU of a call", |round| round.cpu, *most);
        }
    }
    Ok(())
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
