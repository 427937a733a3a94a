//! The tools that only tests want: they misbehave on request. Owns what they do, and the process that `spawn` leaves
//! behind. Never offered to users.

use std::io::Write as _;

use serde::Deserialize;
use serde_json::Value;

use super::super::server::Server;
use super::super::terms::Reply;
use super::text;

/// Seconds that the process of `spawn` lives if nobody ends it: long for a test, short for a leak.
#[cfg(unix)]
const SPAWN_SECONDS: &str = "600";

#[derive(Deserialize)]
pub(super) struct CrashArgs {
    #[serde(default = "one")]
    code: u8,
    #[serde(default)]
    message: String,
}

fn one() -> u8 {
    1
}

/// Ends the server without an answer to this call or to any that waits.
pub(super) fn crash<'a, 'm>(server: &'a Server, args: CrashArgs) -> Reply<'a, 'm> {
    let _ = writeln!(std::io::stderr(), "{}", args.message);
    server.crash(args.code);
    Reply::Later(Box::pin(std::future::pending()))
}

pub(super) fn garbage<'a, 'm>(server: &'a Server) -> Reply<'a, 'm> {
    server.out.push_text(b"this line is not JSON");
    Reply::Now(text("Wrote a line that is not JSON."))
}

#[derive(Deserialize)]
pub(super) struct EnvArgs {
    name: String,
}

/// Ends the subscriptions of modern clients, as a server does that goes down in good order.
pub(super) fn unlisten<'a, 'm>(server: &'a Server) -> Reply<'a, 'm> {
    Reply::Now(text(format!("Ended {} subscriptions.", server.listens.end(&server.out))))
}

/// The prefix keeps this from being a way to read secrets.
pub(super) fn env(EnvArgs { name }: &EnvArgs) -> Result<Value, String> {
    match name.starts_with("DEMO_") {
        true => Ok(std::env::var(name)
            .map_or_else(|_| text(format!("{name} is not set")), |value| text(format!("{name}={value}")))),
        false => Err(format!("{name} cannot be read; only names that begin with DEMO_ can")),
    }
}

#[derive(Deserialize)]
pub(super) struct SpawnArgs {
    #[serde(default)]
    #[cfg_attr(not(unix), allow(dead_code, reason = "there is no such process there"))]
    hold_stdout: bool,
}

/// Answers when the process ignores SIGTERM, not earlier: a test may send one at once.
#[cfg(unix)]
pub(super) fn spawn(args: &SpawnArgs) -> Result<Value, String> {
    use std::io::Read as _;
    use std::process::{Command, Stdio};
    let script = "trap '' TERM; echo ready >&2; exec sleep \"$0\" 2>/dev/null";
    let mut child = Command::new("sh")
        .args(["-c", script, SPAWN_SECONDS])
        .stdin(Stdio::null())
        .stdout(if args.hold_stdout { Stdio::inherit() } else { Stdio::null() })
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("sh cannot be started: {error}"))?;
    let ready = child.stderr.as_mut().map_or(Ok(()), |stderr| stderr.read_exact(&mut [0]));
    ready.map_err(|error| format!("sh ended early: {error}"))?;
    Ok(text(child.id().to_string()))
}

#[cfg(not(unix))]
pub(super) fn spawn(_: &SpawnArgs) -> Result<Value, String> {
    Err("spawn works on Unix only".to_owned())
}
