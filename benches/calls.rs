//! Calls: latency, throughput and processor time, small ones by many callers and large ones by one.
//!
//! Owns the set-ups and the order of rounds. Talks to both sides through [`Session`]s.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use crate::process::{Process, Side, Wire, connect, cpu};
use crate::report::{Aim, Report, median};
use crate::session::{Samples, Session};
use crate::{Outcome, fail};

/// Text of a small call: a tool's usual argument.
pub const SMALL: usize = 64;

/// The four ways across: a stdio server for network clients, and a network server for a stdio client.
pub const ROUTES: [(&str, Route); 4] = [
    ("stdio → SSE", Route::Serve(Wire::Sse)),
    ("stdio → HTTP", Route::Serve(Wire::Http)),
    ("SSE → stdio", Route::Connect(Wire::Sse)),
    ("HTTP → stdio", Route::Connect(Wire::Http)),
];

#[derive(Debug, Clone, Copy)]
pub enum Route {
    Serve(Wire),
    Connect(Wire),
}

/// One side with its sessions.
pub struct Setup {
    /// Whose processor time counts.
    measured: Vec<u32>,
    pub sessions: Vec<Session>,
    /// Dropped last: the servers that the sessions need.
    servers: Vec<Process>,
}

impl Setup {
    pub async fn new(side: Side, route: Route, callers: usize, depth: usize) -> Outcome<Setup> {
        match route {
            Route::Serve(wire) => {
                let (server, addr) = Process::serve(side)?;
                // One after the other: this is not the test of a thousand at once.
                let mut sessions = Vec::new();
                for _ in 0..callers {
                    sessions.push(Session::open(wire, addr, depth).await?);
                }
                Ok(Setup { measured: vec![server.pid()], sessions, servers: vec![server] })
            }
            Route::Connect(wire) => {
                // The same upstream for both sides, and the cheapest there is.
                let (server, addr) = Process::serve(Side::Floor)?;
                let mut sessions = Vec::new();
                for _ in 0..callers {
                    sessions.push(Session::start(connect(side, wire, addr)?).await?);
                }
                let measured = sessions.iter().filter_map(Session::pid).collect();
                Ok(Setup { measured, sessions, servers: vec![server] })
            }
        }
    }

    /// The bridge with sessions over WebSocket.
    pub async fn web_socket(callers: usize) -> Outcome<Setup> {
        let (server, addr) = Process::serve(Side::Bridge)?;
        let mut sessions = Vec::new();
        for _ in 0..callers {
            sessions.push(Session::web_socket(addr).await?);
        }
        Ok(Setup { measured: vec![server.pid()], sessions, servers: vec![server] })
    }

    /// The sessions, and the server that they need.
    pub fn into_parts(self) -> (Vec<Session>, Option<Process>) {
        (self.sessions, self.servers.into_iter().next())
    }

    fn cpu(&self) -> Outcome<u64> {
        self.measured.iter().map(|pid| cpu(*pid)).sum()
    }

    async fn round(&mut self, depth: usize, text: &str, span: Duration) -> Outcome<Round> {
        let before = self.cpu()?;
        let began = Instant::now();
        let calls = self.sessions.iter_mut().map(|session| session.calls(depth, text, began + span));
        let samples: Vec<Samples> = try_join_all(calls).await?;
        let seconds = began.elapsed().as_secs_f64();
        let mut nanos: Vec<u64> = samples.into_iter().flat_map(|samples| samples.nanos).collect();
        nanos.sort_unstable();
        let at = |share: usize| nanos.get(nanos.len() * share / 100).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6);
        if nanos.is_empty() {
            return fail("a round without a call");
        }
        let count = nanos.len() as f64;
        let cpu = self.cpu()?.saturating_sub(before) as f64 / 1e3 / count;
        Ok(Round { p50: at(50), p99: at(99), rate: count / seconds, cpu })
    }
}

/// What a round came to: milliseconds, milliseconds, calls a second, microseconds a call.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    pub p50: f64,
    pub p99: f64,
    rate: f64,
    pub cpu: f64,
}

pub type Figure = fn(&Round) -> f64;

/// Rounds of both sides in turn, and who begins takes turns, too.
pub async fn rounds(
    bridge: &mut Setup,
    floor: &mut Setup,
    count: usize,
    depth: usize,
    text: &str,
    span: Duration,
) -> Outcome<Vec<(Round, Round)>> {
    // The first calls are dearer: buffers grow, threads wake.
    bridge.round(depth, text, span / 4).await?;
    floor.round(depth, text, span / 4).await?;
    let mut all = Vec::new();
    for at in 0..count {
        all.push(if at % 2 == 0 {
            let first = bridge.round(depth, text, span).await?;
            (first, floor.round(depth, text, span).await?)
        } else {
            let first = floor.round(depth, text, span).await?;
            (bridge.round(depth, text, span).await?, first)
        });
    }
    Ok(all)
}

/// The medians of both sides, and that of the ratios.
pub fn compare(rounds: &[(Round, Round)], figure: Figure) -> (f64, f64, f64) {
    let bridge = median(rounds.iter().map(|(bridge, _)| figure(bridge)));
    let floor = median(rounds.iter().map(|(_, floor)| figure(floor)));
    let ratio = median(rounds.iter().map(|(bridge, floor)| figure(bridge) / figure(floor)));
    (bridge, floor, ratio)
}

pub async fn measure(report: &mut Report, only: &str) -> Outcome<()> {
    let (all, count, span): (&[usize], _, _) = if report.quick {
        (&[1, 16], 3, Duration::from_millis(150))
    } else {
        (&[1, 16, 64], 7, Duration::from_secs(1))
    };
    let text = "x".repeat(SMALL);
    for (name, route) in ROUTES {
        for callers in all.iter().copied().filter(|callers| format!("{name}, {callers} ").contains(only)) {
            if let Err(why) = shape(report, name, route, callers, count, span, &text).await {
                report.wrong(format!("calls, {name}, {callers} callers: {why}"));
            }
        }
    }
    Ok(())
}

async fn shape(
    report: &mut Report,
    name: &str,
    route: Route,
    callers: usize,
    count: usize,
    span: Duration,
    text: &str,
) -> Outcome<()> {
    let mut floor = Setup::new(Side::Floor, route, callers, 16).await.map_err(|why| format!("floor: {why}"))?;
    let mut bridge = Setup::new(Side::Bridge, route, callers, 16).await?;
    for depth in [1, 16] {
        let got = rounds(&mut bridge, &mut floor, count, depth, text, span).await?;
        let figures: [(Figure, Aim); 4] = [
            (|round| round.p50, Aim::RatioAtMost(1.3)),
            (|round| round.p99, Aim::RatioAtMost(1.5)),
            (|round| round.rate, Aim::RatioAtLeast(0.7)),
            (|round| round.cpu, Aim::RatioAtMost(1.5)),
        ];
        let values = figures.map(|(figure, aim)| {
            let (bridge, _, ratio) = compare(&got, figure);
            (bridge, ratio, aim)
        });
        report.calls(name.to_owned(), callers, depth, values);
    }
    Ok(())
}

/// Echoes of 1 MiB and 16 MiB.
pub async fn sizes(report: &mut Report, only: &str) -> Outcome<()> {
    let (count, span) = if report.quick { (1, Duration::from_millis(100)) } else { (5, Duration::from_secs(1)) };
    for (name, route) in ROUTES.into_iter().filter(|(name, _)| name.contains(only)) {
        let mut floor = Setup::new(Side::Floor, route, 1, 1).await.map_err(|why| format!("floor: {why}"))?;
        let mut bridge = Setup::new(Side::Bridge, route, 1, 1).await?;
        for mebibytes in [1, 16] {
            let text = "x".repeat(mebibytes << 20);
            let got = match rounds(&mut bridge, &mut floor, count, 1, &text, span).await {
                Ok(got) => got,
                Err(why) => {
                    report.wrong(format!("sizes, {name}, {mebibytes} MiB: {why}"));
                    break;
                }
            };
            let what = format!("{mebibytes} MiB echo, {name}");
            let (bridge, floor, ratio) = compare(&got, |round| round.p50);
            report.row(format!("{what}, p50"), "ms", bridge, floor, ratio, Aim::RatioAtMost(1.3));
            let (bridge, floor, ratio) = compare(&got, |round| round.cpu / 1e3);
            report.row(format!("{what}, CPU"), "ms", bridge, floor, ratio, Aim::RatioAtMost(1.5));
        }
    }
    Ok(())
}
