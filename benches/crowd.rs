//! Many sessions: memory idle and for each session, a thousand opened at once, thousands opened and closed.
//!
//! Owns the counts of failures and of what is left behind. Talks to both sides through [`Session`]s, and to /proc.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;

use crate::Outcome;
use crate::process::{Process, Side, Wire, connect, descendants, descriptors, memory};
use crate::report::{Aim, Report};
use crate::session::Session;

const WIRES: [(&str, Wire); 2] = [("SSE", Wire::Sse), ("HTTP", Wire::Http)];

/// Longest wait for children and descriptors to go: the stop ladder is shorter.
const SETTLE: Duration = Duration::from_secs(15);

/// What stays the same for so long is at rest.
const REST: Duration = Duration::from_secs(1);

/// KiB of growth a session opened and closed above which memory leaks. What an allocator keeps does not grow for ever.
const LEAK: f64 = 0.5;

/// Resident KiB that are mapped, of the process alone.
fn resident(process: &Process) -> Outcome<f64> {
    Ok(memory(process.pid())?.0 as f64)
}

/// Memory of the bridge, idle and for each session.
pub async fn memory_use(report: &mut Report) -> Outcome<()> {
    idle(report).await?;
    of_sessions(report).await
}

/// Memory without a session, behind a network front and as a stdio server.
async fn idle(report: &mut Report) -> Outcome<()> {
    let (bridge, bridge_addr) = Process::serve(Side::Bridge)?;
    let (floor, floor_addr) = Process::serve(Side::Floor)?;
    let mut both = Vec::new();
    for (process, addr) in [(&bridge, bridge_addr), (&floor, floor_addr)] {
        let before = memory(process.pid())?;
        Session::open(Wire::Http, addr, 1).await?.close().await?;
        both.push((before, memory(process.pid())?));
    }
    if let [(ours, used), (least, least_used)] = both.as_slice() {
        let mib = |kib: u64| kib as f64 / 1024.0;
        let aim = Aim::AtMost(8.0);
        report.row("resident before the first session, serve", "MiB", mib(ours.0), mib(least.0), f64::NAN, aim);
        report.row("proportional (PSS), same", "MiB", mib(ours.1), mib(least.1), f64::NAN, Aim::None);
        report.row("resident after one session, serve", "MiB", mib(used.0), mib(least_used.0), f64::NAN, aim);
    }
    let below = descendants(bridge.pid())?;
    let helpers: u64 = below.iter().filter_map(|pid| memory(*pid).ok()).map(|(_, pss)| pss).sum();
    report.row(
        format!("proportional of the {} other processes of an idle serve", below.len()),
        "MiB",
        helpers as f64 / 1024.0,
        f64::NAN,
        f64::NAN,
        Aim::None,
    );
    for (name, wire) in WIRES {
        let mut sizes = Vec::new();
        for side in [Side::Bridge, Side::Floor] {
            let mut pipe = crate::session::Pipe::start(connect(side, wire, floor_addr)?)?;
            pipe.greet().await?;
            sizes.push(memory(pipe.pid())?.0 as f64 / 1024.0);
            pipe.close();
        }
        if let [ours, least] = sizes.as_slice() {
            let what = format!("resident in a session, {name} → stdio");
            report.row(what, "MiB", *ours, *least, f64::NAN, Aim::AtMost(8.0));
        }
    }
    bridge.stop();
    Ok(())
}

/// Memory for each session.
async fn of_sessions(report: &mut Report) -> Outcome<()> {
    let count = if report.quick { 50 } else { 500 };
    for (name, wire) in WIRES {
        let mut sizes = Vec::new();
        for side in [Side::Bridge, Side::Floor] {
            let (process, addr) = Process::serve(side)?;
            // The first sessions pay for what all share.
            let mut sessions = vec![];
            for _ in 0..8 {
                sessions.push(Session::open(wire, addr, 1).await?);
            }
            let before = resident(&process)?;
            for _ in 0..count {
                sessions.push(Session::open(wire, addr, 1).await?);
            }
            sizes.push((resident(&process)? - before) / f64::from(count));
            drop(sessions);
            process.stop();
        }
        if let [ours, least] = sizes.as_slice() {
            let what = format!("resident for each of {count} idle sessions, {name}");
            report.row(what, "KiB", *ours, *least, ours / least, Aim::AtMost(40.0));
        }
    }
    Ok(())
}

/// A thousand sessions, all asked for in the same moment.
pub async fn at_once(report: &mut Report) -> Outcome<()> {
    let count = if report.quick { 100 } else { 1_000 };
    for (name, wire) in WIRES {
        let mut times = Vec::new();
        for side in [Side::Bridge, Side::Floor] {
            let (process, addr) = Process::serve(side)?;
            let began = Instant::now();
            let opened = join_all((0..count).map(|_| Session::open(wire, addr, 1))).await;
            times.push(began.elapsed().as_secs_f64());
            let failed: Vec<_> = opened.iter().filter_map(|session| session.as_ref().err()).collect();
            if let (Some(first), Side::Bridge) = (failed.first(), side) {
                let failed = failed.len();
                report.wrong(format!("crowd, {name}: {failed} of {count} sessions failed, the first: {first}"));
            } else if let Some(first) = failed.first() {
                eprintln!("floor: {} of {count} sessions failed, the first: {first}", failed.len());
            }
            drop(opened);
            let clean = process.stop();
            if side == Side::Bridge && !clean {
                report.wrong(format!("crowd, {name}: the bridge did not end after SIGTERM"));
            }
        }
        if let [ours, least] = times.as_slice() {
            report.row(format!("{count} sessions opened at once, {name}"), "s", *ours, *least, ours / least, Aim::None);
        }
    }
    Ok(())
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holdings {
    processes: usize,
    descriptors: usize,
}

fn holdings(process: &Process) -> Outcome<Holdings> {
    Ok(Holdings { processes: descendants(process.pid())?.len(), descriptors: descriptors(process.pid())? })
}

/// Waits until what is held no longer changes.
async fn at_rest(process: &Process) -> Outcome<Holdings> {
    let mut last = holdings(process)?;
    loop {
        tokio::time::sleep(REST).await;
        let now = holdings(process)?;
        if std::mem::replace(&mut last, now) == now {
            return Ok(now);
        }
    }
}

/// Waits until nothing is held beyond `base`; gives what is held then.
async fn settle(process: &Process, base: Holdings) -> Outcome<Holdings> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let now = holdings(process)?;
        let settled = now.processes <= base.processes && now.descriptors <= base.descriptors;
        if settled || Instant::now() > deadline {
            return Ok(now);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Opens and closes sessions, half of them over each transport, 16 at a time. Gives the failures.
async fn open_and_close(addr: SocketAddr, count: usize) -> Vec<String> {
    let one = |at: usize| async move {
        let wire = if at.is_multiple_of(2) { Wire::Sse } else { Wire::Http };
        let session = Session::open(wire, addr, 1).await.map_err(|why| format!("{wire:?}: {why}"))?;
        session.close().await.map_err(|why| format!("{wire:?}, closing: {why}"))
    };
    let all = futures::stream::iter(0..count).map(one).buffer_unordered(16);
    all.filter_map(|done| async { done.err() }).collect().await
}

/// Thousands of sessions opened and closed: processes, descriptors and memory come back.
pub async fn churn(report: &mut Report) -> Outcome<()> {
    let count = if report.quick { 300 } else { 5_000 };
    let mut rates = Vec::new();
    for side in [Side::Bridge, Side::Floor] {
        let (process, addr) = Process::serve(side)?;
        let first = open_and_close(addr, 16).await;
        let base = at_rest(&process).await?;
        let warm = count / 5;
        let mut failures = open_and_close(addr, warm).await;
        failures.extend(first);
        settle(&process, base).await?;
        let before = resident(&process)?;
        let began = Instant::now();
        failures.extend(open_and_close(addr, count - warm).await);
        rates.push((count - warm) as f64 / began.elapsed().as_secs_f64());
        let after = settle(&process, base).await?;
        let growth = (resident(&process)? - before) / (count - warm) as f64;
        if side == Side::Bridge {
            if let Some(first) = failures.first() {
                let failed = failures.len();
                report.wrong(format!("churn: {failed} of {count} sessions failed, the first: {first}"));
            }
            if after.processes > base.processes || after.descriptors > base.descriptors {
                report.wrong(format!("churn: {base:?} before {count} sessions, {after:?} after them"));
            }
            // In a quick run, what the allocator takes once would count for much.
            if growth > LEAK && !report.quick {
                report.wrong(format!("churn: memory grew by {growth:.2} KiB for each session opened and closed"));
            }
            let what = format!("memory kept for each of {} sessions opened and closed", count - warm);
            report.row(what, "KiB", growth, f64::NAN, f64::NAN, Aim::AtMost(LEAK));
        }
        process.stop();
    }
    if let [ours, least] = rates.as_slice() {
        let what = format!("sessions opened and closed, {count} in all");
        report.row(what, "/s", *ours, *least, ours / least, Aim::RatioAtLeast(0.7));
    }
    Ok(())
}
