//! From the start of a process to its first answer.
//!
//! Owns the clock. Starts each program many times, in turn with the others.

use std::time::Instant;

use crate::Outcome;
use crate::process::{Process, Side, Wire, connect, demo};
use crate::report::{Aim, Report, median};
use crate::session::{Pipe, Session};

fn millis(from: Instant, to: Instant) -> f64 {
    to.duration_since(from).as_secs_f64() * 1e3
}

pub async fn measure(report: &mut Report) -> Outcome<()> {
    let rounds = if report.quick { 7 } else { 41 };
    let (upstream, addr) = Process::serve(Side::Floor)?;
    let mut direct = Vec::new();
    let mut stdio = [(Wire::Sse, Vec::new()), (Wire::Http, Vec::new())];
    let mut served = [(Side::Bridge, Vec::new()), (Side::Floor, Vec::new())];
    for _ in 0..rounds {
        direct.push(to_answer(demo("both")).await?);
        for (wire, times) in &mut stdio {
            let bridge = to_answer(connect(Side::Bridge, *wire, addr)?).await?;
            times.push((bridge, to_answer(connect(Side::Floor, *wire, addr)?).await?));
        }
        for (side, times) in &mut served {
            let began = Instant::now();
            let (process, addr) = Process::serve(*side)?;
            let listening = Instant::now();
            let session = Session::open(Wire::Http, addr, 1).await?;
            times.push((millis(began, listening), millis(began, Instant::now())));
            session.close().await?;
            process.stop();
        }
    }
    drop(upstream);
    report.row("start to first answer, the demo server alone", "ms", median(direct), f64::NAN, f64::NAN, Aim::None);
    for (wire, times) in stdio {
        let (ours, least) = (median(times.iter().map(|t| t.0)), median(times.iter().map(|t| t.1)));
        let name = if wire == Wire::Sse { "SSE" } else { "HTTP" };
        let what = format!("start to first answer, {name} → stdio, the start of the remote child included");
        report.row(what, "ms", ours, least, median(times.iter().map(|t| t.0 / t.1)), Aim::AtMost(15.0));
    }
    let [(_, ours), (_, least)] = served;
    let of = |times: &[(f64, f64)], first: bool| median(times.iter().map(|t| if first { t.0 } else { t.1 }));
    let (a, b) = (of(&ours, true), of(&least, true));
    report.row("start to listening, serve", "ms", a, b, a / b, Aim::None);
    let (a, b) = (of(&ours, false), of(&least, false));
    report.row("start to first answer, serve over HTTP, child included", "ms", a, b, a / b, Aim::AtMost(15.0));
    Ok(())
}

/// Milliseconds from the start of a stdio server to its answer to `initialize`.
async fn to_answer(command: std::process::Command) -> Outcome<f64> {
    let began = Instant::now();
    let mut pipe = Pipe::start(command)?;
    let answered = pipe.greet().await?;
    pipe.close();
    Ok(millis(began, answered))
}
