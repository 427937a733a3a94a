//! Fifty configured servers: how long until the bridge listens and answers, and that none of them is started by then.
//!
//! Owns the configuration files. Talks to the bridge through /proc and one session.

use std::io::Write as _;
use std::time::Instant;

use serde_json::json;

use crate::client::{Conn, Target, bare};
use crate::process::{BRIDGE, Process, Side, demo_servers};
use crate::report::{Aim, Report, median};
use crate::session::HELLO;
use crate::{Outcome, fail};

/// Milliseconds from the start until the bridge answers.
const SOON: f64 = 50.0;

const MANY: usize = 50;

pub async fn measure(report: &mut Report) -> Outcome<()> {
    let rounds = if report.quick { 9 } else { 41 };
    let (many, one) = (configuration(MANY)?, configuration(1)?);
    let mut times: [Vec<(f64, f64)>; 3] = Default::default();
    for round in 0..rounds {
        let [of_many, of_one, of_floor] = &mut times;
        of_many.push(start(Some((&many, MANY)), round == 0).await?);
        of_one.push(start(Some((&one, 1)), round == 0).await?);
        of_floor.push(start(None, false).await?);
    }
    let [listening, answering] = [|t: &(f64, f64)| t.0, |t: &(f64, f64)| t.1]
        .map(|which| times.each_ref().map(|times| median(times.iter().map(which))));
    for (what, [many, one, floor], aim) in
        [("listening", listening, Aim::None), ("the first answer to a probe", answering, Aim::AtMost(SOON))]
    {
        let ratio = many / floor;
        report.row(format!("start to {what}, {MANY} configured servers"), "ms", many, floor, ratio, aim);
        report.row(format!("start to {what}, 1 configured server"), "ms", one, floor, one / floor, Aim::None);
    }
    Ok(())
}

/// A file with so many servers.
fn configuration(count: usize) -> Outcome<tempfile::NamedTempFile> {
    let server = json!({ "command": BRIDGE, "args": ["demo-server"] });
    let servers: serde_json::Map<_, _> = (0..count).map(|at| (format!("server-{at}"), server.clone())).collect();
    let mut file = tempfile::Builder::new().suffix(".json").tempfile()?;
    file.write_all(json!({ "mcpServers": servers }).to_string().as_bytes())?;
    Ok(file)
}

/// Starts the bridge with so many servers, or the floor. Milliseconds until it listens, and until it has answered.
async fn start(configured: Option<(&tempfile::NamedTempFile, usize)>, use_one: bool) -> Outcome<(f64, f64)> {
    let began = Instant::now();
    let (process, addr) = match configured {
        Some((file, _)) => {
            let path = file.path().to_str().ok_or("a path that is no text")?;
            Process::with(&["--config", path], &[])?
        }
        None => Process::serve(Side::Floor)?,
    };
    let millis = || began.elapsed().as_secs_f64() * 1e3;
    let listening = millis();
    let mut conn = Conn::open(addr).await?;
    let head = conn.call(&bare("GET", addr, "/healthz", None)).await?;
    let answered = millis();
    if let Some((_, count)) = configured {
        if head.status != 200 {
            return fail(format!("/healthz was answered with {}", head.status));
        }
        let started = demo_servers(process.pid())?;
        if started > 0 {
            return fail(format!("{started} of {count} servers were started before anybody asked"));
        }
        if use_one {
            let target = Target::post(addr, &format!("/servers/server-{}/mcp", count - 1), None);
            let head = conn.call(&target.with(HELLO)).await?;
            let started = demo_servers(process.pid())?;
            if head.status != 200 || started != 1 {
                return fail(format!("asked for one of {count}: status {}, {started} servers started", head.status));
            }
        }
    }
    process.stop();
    Ok((listening, answered))
}
