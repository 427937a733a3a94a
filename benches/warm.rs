//! Opening a session with a server that takes a second to start, of which a spare is ready (`--warm`).
//!
//! Owns the order of rounds, and waits between them for the spares to be there again. It stands beside a session with a
//! server that runs already and is asked nothing, which is the bridge's own part, and beside a spare that starts at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::process::{BRIDGE, DEMO, Process, Wire, demo_servers};
use crate::report::{Report, median};
use crate::session::Session;
use crate::{Outcome, fail};

/// Milliseconds that it may take longer.
const MORE: f64 = 2.0;

/// Spares of each bridge: so many sessions are opened before new ones are waited for.
const SPARES: usize = 8;

/// A server that takes its time.
const SLOW: [&str; 4] = ["sh", "-c", "sleep 1; exec \"$0\" demo-server", BRIDGE];

/// Spares are started a few at a time, each taking a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// From the start of a demo server to where it reads, with much to spare. Nothing tells when it is there.
const READING: Duration = Duration::from_millis(100);

pub async fn measure(report: &mut Report) -> Outcome<()> {
    let batches = if report.quick { 2 } else { 8 };
    let warm = ["--warm", &SPARES.to_string()];
    let (slow, slow_addr) = Process::with(&warm, &SLOW)?;
    let (fast, fast_addr) = Process::with(&warm, &DEMO)?;
    let (_shared, shared_addr) = Process::with(&["--shared"], &DEMO)?;
    let (_own, own_addr) = Process::with(&[], &DEMO)?;
    let (_cold, cold_addr) = Process::with(&[], &SLOW)?;
    // Held, so that the shared server runs.
    let _first = Session::open(Wire::Http, shared_addr, 1).await?;

    let mut times: [Vec<f64>; 4] = Default::default();
    for batch in 0..=batches {
        ready(&slow, SPARES).await?;
        ready(&fast, SPARES).await?;
        let mut open = Vec::new();
        for _ in 0..SPARES {
            for (addr, times) in [slow_addr, fast_addr, shared_addr, own_addr].into_iter().zip(&mut times) {
                let (took, session) = opened(addr).await?;
                open.push(session);
                // The first ones are dearer.
                if batch > 0 {
                    times.push(took);
                }
            }
        }
        // While the sessions are open, so that their servers are told from the spares.
        ready(&slow, 2 * SPARES).await?;
        ready(&fast, 2 * SPARES).await?;
        for session in open {
            session.close().await?;
        }
    }
    let (cold, session) = opened(cold_addr).await?;
    session.close().await?;

    let [slow, fast, shared, own] = times;
    let longest = slow.iter().copied().fold(0.0, f64::max);
    let apart = |beside: &[f64]| median(slow.iter().zip(beside).map(|(slow, beside)| slow - beside));
    let (by_shared, by_fast, by_own) = (apart(&shared), apart(&fast), apart(&own));
    let (slow, fast, shared, own) = (median(slow), median(fast), median(shared), median(own));
    report.alone("a session with a server that takes a second to start, no spare", "ms", cold, f64::NAN, None);
    let what = "the same with a spare, beside a session with a shared server that runs".to_owned();
    report.more(what, "ms", slow, shared, by_shared, Some(MORE));
    let what = "the same, beside a spare of a server that starts at once".to_owned();
    report.more(what, "ms", slow, fast, by_fast, Some(MORE));
    report.more("the same, beside a server that starts at once, no spare".into(), "ms", slow, own, by_own, None);
    report.alone(format!("the longest of {}", SPARES * batches), "ms", longest, f64::NAN, None);
    Ok(())
}

async fn opened(addr: SocketAddr) -> Outcome<(f64, Session)> {
    let began = Instant::now();
    let session = Session::open(Wire::Http, addr, 1).await?;
    Ok((began.elapsed().as_secs_f64() * 1e3, session))
}

/// Waits until so many servers run.
async fn ready(bridge: &Process, count: usize) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = demo_servers(bridge.pid())?;
        if now == count {
            tokio::time::sleep(READING).await;
            return Ok(());
        }
        if Instant::now() > deadline {
            return fail(format!("{now} servers ran after a minute, not {count}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
