//! How good the bridge is: measured side by side, in one run, with the least that a bridge can do ([`floor`]).
//!
//! ```text
//! cargo bench                      everything, about twenty minutes
//! cargo bench -- calls flood       some parts: start many memory calls sizes ws flood crowd churn shared warm jwt eras
//! cargo bench -- --quick           less of each part, in about a minute and a half
//! cargo bench -- calls --only='HTTP → stdio, 16'     one way across, or one way with so many callers
//! cargo bench -- eras --only=parked  one of: in memory, over HTTP, visits, a slow start, parked
//! cargo bench -- shared --only=SSE   one of: HTTP, SSE, WebSocket
//! cargo bench -- --control         the floor against itself: how far from 1 is noise here
//! ```
//!
//! The bridge is the release binary, driven as a user runs it, in front of `mcp-bridge demo-server`. The floor is this
//! program, started again, in front of the same server. Rounds alternate between the two, so that what else the machine
//! does hits both; what counts are the ratios, each the median over its rounds. Times are never asserted. Lost,
//! misplaced and wrong messages, failed sessions and leaks are: they are listed, and the exit code is 1.
//!
//! Client, bridge and server share the processors, so a ratio of whole calls is nearer to 1 than that of the bridge's
//! own share; the processor time of the bridge, which is measured without its children, shows that one.

mod calls;
mod client;
mod crowd;
mod eras;
mod flood;
mod floor;
mod jwt;
mod many;
mod process;
mod report;
mod session;
mod shared;
mod start;
mod warm;
mod ws;

use std::process::ExitCode;

use report::Report;

/// Why something could not be measured, or was done wrongly.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// An error made of words.
pub fn fail<T>(why: impl Into<String>) -> Outcome<T> {
    Err(why.into().into())
}

/// What there is to measure.
const PARTS: [&str; 13] =
    ["start", "many", "memory", "calls", "sizes", "ws", "flood", "crowd", "churn", "shared", "warm", "jwt", "eras"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--floor-serve", "--", command @ ..] => {
            other_program(Threads::Many, floor::serve::run(command.iter().map(ToString::to_string).collect()))
        }
        ["--floor-http", url] => other_program(Threads::One, floor::connect::http(url)),
        ["--floor-sse", url] => other_program(Threads::One, floor::connect::sse(url)),
        ["--parked"] => other_program(Threads::One, eras::parked::program()),
        words => bench(words),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// How many threads one of this program's others has: as many as the bridge in its place.
enum Threads {
    One,
    Many,
}

fn other_program(threads: Threads, program: impl Future<Output = Outcome<()>>) -> Outcome<bool> {
    raise_descriptor_limit();
    let mut runtime = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(program)?;
    runtime.shutdown_background();
    Ok(true)
}

fn bench(words: &[&str]) -> Outcome<bool> {
    let quick = words.contains(&"--quick");
    // Cargo itself adds `--bench`.
    let flags = ["--quick", "--control", "--bench"];
    let only = words.iter().find_map(|word| word.strip_prefix("--only=")).unwrap_or_default();
    let is_part = |word: &&str| !flags.contains(word) && !word.starts_with("--only=");
    let mut parts: Vec<&str> = words.iter().copied().filter(is_part).collect();
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        return fail(format!(
            "there is no part {unknown:?}; the parts are {}, and the flags --quick, --control and --only=TEXT",
            PARTS.join(", ")
        ));
    }
    if parts.is_empty() {
        parts = PARTS.to_vec();
    }
    raise_descriptor_limit();
    process::CONTROL.store(words.contains(&"--control"), std::sync::atomic::Ordering::Relaxed);
    let mut report = Report::new(quick, words);
    // One thread: the cheapest client there is, and it leaves the other processors to those who are measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for part in parts {
        let began = std::time::Instant::now();
        let done = runtime.block_on(async {
            match part {
                "start" => start::measure(&mut report).await,
                "many" => many::measure(&mut report).await,
                "memory" => crowd::memory_use(&mut report).await,
                "calls" => calls::measure(&mut report, only).await,
                "sizes" => calls::sizes(&mut report, only).await,
                "ws" => ws::measure(&mut report).await,
                "flood" => flood::measure(&mut report, only).await,
                "crowd" => crowd::at_once(&mut report).await,
                "shared" => shared::measure(&mut report, only).await,
                "warm" => warm::measure(&mut report).await,
                "jwt" => jwt::measure(&mut report).await,
                "eras" => eras::measure(&mut report, only).await,
                _ => crowd::churn(&mut report).await,
            }
        });
        if let Err(why) = done {
            report.wrong(format!("{part}: {why}"));
        }
        eprintln!("{part}: {:.0} s", began.elapsed().as_secs_f64());
    }
    print!("{report}");
    Ok(report.is_right())
}

/// A thousand sessions take thousands of descriptors here, too.
fn raise_descriptor_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
