//! Processes under measurement: started as a user would, and read through /proc.
//!
//! Owns each process that it starts and ends it. Talks to the kernel. It never looks at what the process says but for
//! the address that it listens on.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::{Outcome, fail};

/// From SIGTERM to SIGKILL: longer than the bridge's own grace.
const STOP: Duration = Duration::from_secs(15);
/// From the start to the line with the address.
const START: Duration = Duration::from_secs(20);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Bridge,
    Floor,
}

/// Set, the floor stands in for the bridge, too: what the ratios are then is the noise of the machine.
pub static CONTROL: AtomicBool = AtomicBool::new(false);

impl Side {
    /// Who is started for this side.
    fn program(self) -> Side {
        if CONTROL.load(Ordering::Relaxed) { Side::Floor } else { self }
    }
}

/// The transports on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Sse,
    Http,
}

impl Wire {
    pub fn path(self) -> &'static str {
        match self {
            Wire::Sse => "/sse",
            Wire::Http => "/mcp",
        }
    }
}

/// The bridge's program.
pub const BRIDGE: &str = env!("CARGO_BIN_EXE_mcp-bridge");

/// The server that calls are made at.
pub const DEMO: [&str; 2] = [BRIDGE, "demo-server"];

/// Room for the 16 MiB echo with what is around it.
const MAX_MESSAGE: &str = "32MiB";

/// A command line that serves a server on a free port. `flags` are the bridge's; an empty server is in them.
fn serve(program: Side, flags: &[&str], server: &[&str]) -> Outcome<Command> {
    // As on most machines: whoever needs more descriptors has to raise the limit.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 1024 2>/dev/null; exec \"$0\" \"$@\""]);
    match program {
        Side::Bridge => command.args([BRIDGE, "serve", "--port", "0", "--max-message", MAX_MESSAGE]).args(flags),
        Side::Floor => command.arg(std::env::current_exe()?).args(["--floor-serve"]),
    };
    if !server.is_empty() {
        command.arg("--").args(server);
    }
    Ok(command)
}

/// A command line that is a stdio server and reaches `addr`.
pub fn connect(side: Side, wire: Wire, addr: SocketAddr) -> Outcome<Command> {
    let url = format!("http://{addr}{}", wire.path());
    let (command, mode) = match wire {
        Wire::Sse => ("sse-to-stdio", "--floor-sse"),
        Wire::Http => ("http-to-stdio", "--floor-http"),
    };
    Ok(match side.program() {
        Side::Bridge => command_line(BRIDGE, [command, &url, "--max-message", MAX_MESSAGE]),
        Side::Floor => command_line(std::env::current_exe()?, [mode, &url]),
    })
}

/// The server alone; `era` is `legacy`, `modern` or `both`.
pub fn demo(era: &str) -> Command {
    command_line(BRIDGE, ["demo-server", "--era", era])
}

fn command_line<const N: usize>(program: impl AsRef<OsStr>, args: [&str; N]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// A running process. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a network server in front of the demo server; gives its address once it listens.
    pub fn serve(side: Side) -> Outcome<(Process, SocketAddr)> {
        Process::serve_any(side.program(), &[], &DEMO)
    }

    /// The bridge in front of another server.
    pub fn serving(server: &[&str]) -> Outcome<(Process, SocketAddr)> {
        Process::serve_any(Side::Bridge.program(), &[], server)
    }

    /// The bridge with flags of its own, which no other program stands in for.
    pub fn with(flags: &[&str], server: &[&str]) -> Outcome<(Process, SocketAddr)> {
        Process::serve_any(Side::Bridge, flags, server)
    }

    fn serve_any(side: Side, flags: &[&str], server: &[&str]) -> Outcome<(Process, SocketAddr)> {
        let mut command = serve(side, flags, server)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().ok_or("no stderr")?;
        let mut process = Process { child };
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || drain(stderr, &tell));
        match told.recv_timeout(START) {
            Ok(addr) => Ok((process, addr)),
            Err(_) => {
                let how = process.child.try_wait()?;
                fail(format!("{side:?} did not say where it listens ({how:?})"))
            }
        }
    }

    /// Starts a stdio server.
    pub fn stdio(mut command: Command) -> Outcome<(Process, ChildStdin, ChildStdout)> {
        // What goes wrong is counted where its answers are missing; its words would stand amid the table.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let process = Process { child };
        Ok((process, stdin.ok_or("no stdin")?, stdout.ok_or("no stdout")?))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, waits, and then does not ask. Says whether asking was enough.
    pub fn stop(mut self) -> bool {
        #[cfg(unix)]
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        self.wait(STOP)
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads stderr to its end, so that nobody waits for room in the pipe. Tells the first address that is named.
fn drain(stderr: ChildStderr, tell: &mpsc::Sender<SocketAddr>) {
    let show = std::env::var_os("BENCH_SHOW_STDERR").is_some();
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if show {
            eprintln!("{line}");
        }
        if let Some(addr) = address(&line) {
            let _ = tell.send(addr);
        }
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    rest.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next()?.parse().ok()
}

/// Nanoseconds on a processor, by all threads that are there now. Finer than `utime` and `stime`, which count
/// hundredths of a second, and the same sum.
pub fn cpu(pid: u32) -> Outcome<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may have ended meanwhile.
        let Ok(stat) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        sum += stat.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(sum)
}

/// Resident and proportional memory in KiB.
pub fn memory(pid: u32) -> Outcome<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    Ok((field("Rss:").ok_or("no Rss")?, field("Pss:").ok_or("no Pss")?))
}

pub fn descriptors(pid: u32) -> Outcome<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// How many demo servers run below this one: their own processes, not those that are to become one.
pub fn demo_servers(pid: u32) -> Outcome<usize> {
    let is_one = |pid: &&u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(b"demo-server")
    };
    Ok(descendants(pid)?.iter().filter(is_one).count())
}

/// The processes below this one, at any depth.
pub fn descendants(pid: u32) -> Outcome<Vec<u32>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(Path::new("/proc").join(&name).join("stat")) else { continue };
        // The program's name stands in parentheses and may hold anything.
        let after = stat.rsplit_once(')').map(|(_, after)| after).unwrap_or_default();
        if let Some(parent) = after.split_ascii_whitespace().nth(1).and_then(|parent| parent.parse::<u32>().ok()) {
            all.push((pid, parent));
        }
    }
    let mut below = vec![pid];
    let mut at = 0;
    while let Some(parent) = below.get(at).copied() {
        below.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    below.remove(0);
    Ok(below)
}
