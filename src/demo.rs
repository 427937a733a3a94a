//! The demo server: a small MCP server on one pair of byte streams, `mcp-bridge demo-server`.
//!
//! It lets somebody with nothing but this binary see the bridge at work, and gives tests and benches a fast counterpart
//! that keeps to the rules. It offers every server feature of both eras, each in its smallest form.
//!
//! ```text
//!  read ──> wire::Lines ──> Server::receive ──┬── answered at once ──────────────> Outbox ──> wire::Sending ──> write
//!                             │ (server.rs)   └── Calls: work that waits ─────────────^
//!              legacy.rs <────┴────> modern.rs      a face for each era: what is asked of a request, and kept of it
//!              (tasks.rs) └── terms.rs ──┘          what a tool may rely on, whichever face it serves
//!                             └── tools.rs, content.rs: what is offered, in both eras
//! ```
//!
//! All of it is one future. Nothing is spawned: waiting calls live in a set that [`serve`] polls, so ending `serve` ends
//! them. This module owns that loop and the process entry [`run`]. It shares with the bridge how stdin and stdout are
//! opened and the words of the protocol, and no more, on purpose: a counterpart with the same code would have the same
//! bugs.

mod content;
mod legacy;
mod modern;
mod server;
mod tasks;
mod terms;
#[cfg(test)]
mod tests;
mod tools;
mod wire;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::wire::stdio;
use server::{Calls, Server};
use wire::{Lines, Sending};

/// The name in `serverInfo`.
const NAME: &str = "mcp-bridge-demo";

/// Set to `1`, this environment variable makes [`run`] offer the tools that only tests want.
const TEST_SWITCH: &str = "MCP_BRIDGE_DEMO_TEST";

/// Which tools are listed and can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolSet {
    /// What a user should see.
    Plain,
    /// Also `crash`, `garbage`, `env`, `unlisten` and `spawn`, which misbehave on request.
    WithTestTools,
}

/// Which eras are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eras {
    /// 2024-11-05 to 2025-11-25. `server/discover` is an unknown method.
    Legacy,
    /// 2026-07-28. `initialize` is refused with the name of that revision.
    Modern,
    /// Each request as it comes: with the metadata of 2026-07-28 it stands alone, all else belongs to the session.
    Both,
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client closed its side. Work that was still waiting is dropped: nobody is left to hear the answer.
    Closed,
    /// The tool `crash` asked for this exit code.
    Crash(u8),
}

/// Why a conversation broke off.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The operating system's error on reading.
    #[error("demo-server cannot read its input: {0}; start it again")]
    Read(#[source] io::Error),
    /// The operating system's error on writing. A client that went away is no error.
    #[error("demo-server cannot write its output: {0}; start it again")]
    Write(#[source] io::Error),
    /// No runtime, mostly for want of descriptors.
    #[error("demo-server cannot start its event loop: {0}; check the limits with `ulimit -a`")]
    Start(#[source] io::Error),
    /// The limit is 64 MiB.
    #[error("demo-server got a line of more than {} bytes without an end; send smaller messages", wire::MAX_LINE)]
    LineTooLong,
}

/// Serves one client in both eras.
pub async fn serve_with<R, W>(read: R, write: W, tools: ToolSet) -> Result<End, DemoError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    serve(read, write, tools, Eras::Both).await
}

/// Serves one client until it closes `read`, or until the tool `crash` is called.
pub async fn serve<R, W>(mut read: R, mut write: W, tools: ToolSet, eras: Eras) -> Result<End, DemoError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let server = Server::new(tools, eras);
    let mut calls = Calls::default();
    let mut lines = Lines::default();
    let mut sending = Sending::default();
    // Ends when the client closes its side, when `crash` is called, or when a stream breaks.
    let end = loop {
        // Lines wait while the client does not read: its answers would pile up here.
        while server.crashed().is_none() && server.out.has_room() {
            let Some(line) = lines.next_line() else { break };
            server.receive(line, &mut calls);
        }
        if let Some(code) = server.crashed() {
            break End::Crash(code);
        }
        tokio::select! {
            got = lines.fill(&mut read), if server.out.has_room() => match got.map_err(DemoError::Read)? {
                0 => break End::Closed,
                _ if lines.over_long() => return Err(DemoError::LineTooLong),
                _ => {}
            },
            Some(done) = calls.running.next(), if !calls.running.is_empty() => calls.forget(done),
            wrote = sending.step(&server.out, &mut write) => match wrote {
                Err(gone) if gone.kind() == io::ErrorKind::BrokenPipe => return Ok(End::Closed),
                wrote => wrote.map_err(DemoError::Write)?,
            },
        }
    };
    match sending.finish(&server.out, &mut write).await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(DemoError::Write(error)),
        _ => Ok(end),
    }
}

/// Runs the demo server on this process's stdin and stdout. Exits with 0 when stdin closes, 1 when a stream breaks.
pub fn run(eras: Eras) -> ExitCode {
    match run_on_stdio(eras) {
        Ok(End::Closed) => ExitCode::SUCCESS,
        Ok(End::Crash(code)) => ExitCode::from(code),
        Err(error) => {
            complain(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

fn run_on_stdio(eras: Eras) -> Result<End, DemoError> {
    let tools = match std::env::var_os(TEST_SWITCH) {
        Some(value) if value == "1" => ToolSet::WithTestTools,
        _ => ToolSet::Plain,
    };
    // One thread: the work is tiny, and start-up time and memory count, since every session may start one of these.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DemoError::Start)?;
    let end = runtime.block_on(async { serve(stdio::stdin(), stdio::stdout(), tools, eras).await });
    // In the blocking form a thread may sit in read(2) for ever: do not wait for it.
    runtime.shutdown_background();
    end
}

/// One line on stderr; stdout carries messages only. Unlike `eprintln!` it does not panic when stderr is closed.
fn complain(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "demo-server: {what}");
}
