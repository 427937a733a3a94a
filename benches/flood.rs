//! A burst of notifications in one call: each has to come once, in order, before the answer.
//!
//! Owns the counting. Talks to both sides through [`Session`]s.

use std::time::Instant;

use crate::calls::{ROUTES, Route, Setup};
use crate::process::{Process, Side, Wire, connect};
use crate::report::{Aim, Report, median};
use crate::session::{Session, is_answer};
use crate::{Outcome, fail};

const COUNT: u64 = 10_000;

pub async fn measure(report: &mut Report, only: &str) -> Outcome<()> {
    let rounds = if report.quick { 2 } else { 9 };
    for (name, route) in ROUTES.into_iter().filter(|(name, _)| name.contains(only)) {
        for kind in ["log", "progress"] {
            if let Err(why) = burst(report, name, route, kind, rounds).await {
                report.wrong(format!("flood, {name}, {kind}: {why}"));
            }
        }
    }
    Ok(())
}

async fn burst(report: &mut Report, name: &str, route: Route, kind: &str, rounds: usize) -> Outcome<()> {
    // The floor has no streams of single calls; its figure is that of SSE, the same way round.
    let floor_route = match route {
        Route::Serve(_) => Route::Serve(Wire::Sse),
        Route::Connect(_) => Route::Connect(Wire::Sse),
    };
    let mut floor = Setup::new(Side::Floor, floor_route, 1, 1).await.map_err(|why| format!("floor: {why}"))?;
    let (mut bridge, _server) = match route {
        // No stream of single calls upstream, either: take the bridge's own front.
        Route::Connect(Wire::Http) => {
            let (server, addr) = Process::serve(Side::Bridge)?;
            let session = Session::start(connect(Side::Bridge, Wire::Http, addr)?).await?;
            (vec![session], Some(server))
        }
        route => {
            let setup = Setup::new(Side::Bridge, route, 1, 1).await?;
            let (sessions, server) = setup.into_parts();
            (sessions, server)
        }
    };
    let bridge = bridge.first_mut().ok_or("no session")?;
    let floor = floor.sessions.first_mut().ok_or("no session")?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        times.push((one(bridge, kind).await?, one(floor, kind).await.map_err(|why| format!("floor: {why}"))?));
    }
    let (ours, least) = (median(times.iter().map(|(ours, _)| *ours)), median(times.iter().map(|(_, least)| *least)));
    let ratio = median(times.iter().map(|(ours, least)| ours / least));
    let chained = if matches!(route, Route::Connect(Wire::Http)) { " (two bridges in a row)" } else { "" };
    report.row(format!("{COUNT} {kind} notifications, {name}{chained}"), "ms", ours, least, ratio, Aim::None);
    Ok(())
}

/// One burst; its milliseconds.
async fn one(session: &mut Session, kind: &str) -> Outcome<f64> {
    let began = Instant::now();
    let got = session.flood(COUNT, kind).await?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    let (answer, notes) = got.split_last().ok_or("no message came")?;
    if !is_answer(answer) {
        return fail("the last message was not the answer");
    }
    let field: &[u8] = if kind == "log" { b"\"data\":" } else { b"\"progress\":" };
    let mut expected = 1;
    for note in notes {
        let digits = memchr::memmem::find(note, field).and_then(|at| note.get(at + field.len()..));
        let digits = digits.and_then(|rest| rest.split(|byte| !byte.is_ascii_digit()).next()).unwrap_or_default();
        let number: u64 = std::str::from_utf8(digits)?.parse().map_err(|_| {
            format!("a message that is no notification of the burst: {}", String::from_utf8_lossy(note))
        })?;
        if number != expected {
            return fail(format!("notification {number} came where {expected} was due"));
        }
        expected += 1;
    }
    match expected == COUNT + 1 {
        true => Ok(took),
        false => fail(format!("{} of {COUNT} notifications came before the answer", expected - 1)),
    }
}
