//! A stdio server that the bridge starts (connect).
//!
//! Owns the process: its start, its stderr, its end. Talks to the operating system and, through [`crate::pump`], to the
//! partner. It never decides whether a new one is started; [`crate::registry`] does.
//!
//! The life of a child: spawn; frames both ways; the partner drops its peer, which closes the child's stdin; wait;
//! SIGTERM to its process group; wait; SIGKILL. A child that ends by itself is reported to every call that waits, with
//! its exit code and the last lines of its stderr.

mod fault;
pub mod group;
pub mod guard;
#[cfg(unix)]
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::AsyncReadExt,
    process::{ChildStderr, ChildStdin, ChildStdout, Command},
    sync::{
        oneshot::{self, error::TryRecvError},
        watch,
    },
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use self::fault::SpawnError;
use self::{
    fault::AskedBy,
    group::{Group, ended_by},
};
use crate::{
    config::{ChildSpec, PassEnv, StopLadder},
    message::{Frame, FrameError, Kind},
    observe,
    peer::{Envelope, Inbox, Peer},
    pipe::{Ended, FrameSink, FrameSource, LineSink, Lines},
    pump::{Rules, pump},
    scope::Scope,
};

/// Lines of stderr that an error carries.
const TAIL_LINES: usize = 10;

/// Longest line of stderr that is kept or logged, in bytes. Stops a child from filling memory through its log.
const STDERR_LINE: usize = 4 * 1024;

/// After the child's exit, how long its stdout may still hold frames: a descendant can keep the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(250);

/// After stdout closed, how long the exit code is awaited before calls are told without it.
const EXIT_CODE: Duration = Duration::from_millis(500);

/// What a server may say before it is pumped, in messages and in lines that are none; beyond it the pump takes over.
const MAX_EARLY: usize = 256;

/// How often an emptying process group is looked at.
const GROUP_POLL: Duration = Duration::from_millis(20);

/// How a child ended.
#[derive(Debug, Clone)]
pub struct Exit {
    /// `exited with code 3`, `was killed by signal 9`.
    pub how: String,
    /// The code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal, when one ended it.
    pub signal: Option<i32>,
    /// From start to end.
    pub lived: Duration,
    /// Whether the bridge had asked it to end.
    pub asked: bool,
}

/// Checks that the program can be found, without starting it.
pub fn resolve(spec: &ChildSpec) -> Result<std::path::PathBuf, SpawnError> {
    let program = spec.program.clone();
    if let Some(cwd) = &spec.cwd {
        std::fs::read_dir(cwd).map_err(|source| SpawnError::Cwd {
            program: program.clone(),
            cwd: cwd.clone(),
            source,
            asked_by: AskedBy::of(spec),
        })?;
    }
    let path = spec
        .env
        .iter()
        .rev()
        .find(|(name, _)| is_path(name))
        .map(|(_, value)| OsString::from(value.expose()))
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_default();
    // Absolute, since the child enters it before the program is looked for.
    let cwd = spec.cwd.as_ref().map_or_else(std::env::current_dir, std::path::absolute).unwrap_or_default();
    which::which_in(&spec.program, Some(&path), &cwd).map_err(|_| match is_bare(&program) {
        true => {
            let path = path.to_string_lossy().into_owned();
            SpawnError::NotFound { program, path, asked_by: AskedBy::of(spec) }
        }
        false => {
            let missing = std::fs::metadata(cwd.join(&program)).err();
            let source = missing.unwrap_or_else(|| io::ErrorKind::PermissionDenied.into());
            SpawnError::Refused { program, source, asked_by: AskedBy::of(spec) }
        }
    })
}

/// Whether a program is looked up in the `PATH`: its name alone.
fn is_bare(program: &OsStr) -> bool {
    Path::new(program).components().count() == 1
}

fn is_path(name: &str) -> bool {
    if cfg!(windows) { name.eq_ignore_ascii_case("PATH") } else { name == "PATH" }
}

/// Told once, with a child's first frame; dropped untold when there is none.
pub type FirstFrame = Box<dyn FnOnce() + Send + Sync>;

/// A server that was started and is not pumped yet, so that it can be asked what it is.
pub struct Child {
    name: Arc<str>,
    source: ChildSource,
    sink: ChildSink,
    exit: JoinHandle<Exit>,
}

/// What came of asking a server before it is pumped.
#[derive(Debug)]
pub enum Asked {
    /// It answered. What it notified of before is given along, in order.
    Answer(Frame, Vec<Frame>),
    /// It closed its output, or does not read.
    Ended(Ended),
}

/// Starts the server.
pub fn start(
    spec: &ChildSpec,
    mark: Option<&str>,
    max_line: usize,
    first_frame: Option<FirstFrame>,
    scope: &Scope,
) -> Result<Child, SpawnError> {
    let program = resolve(spec)?;
    let refused = |source| {
        let (program, asked_by) = (spec.program.clone(), AskedBy::of(spec));
        SpawnError::Refused { program, source, asked_by }
    };
    let mut group = Group::spawn(command(spec, &program, mark)).map_err(refused)?;
    let (stdin, stdout, stderr) = group.pipes().map_err(refused)?;

    let name: Arc<str> = spec.name.as_str().into();
    let tail = Arc::new(Tail::default());
    let (closed_tx, closed_rx) = oneshot::channel();
    let (exit_tx, exit_rx) = watch::channel(None);
    let over = CancellationToken::new();
    scope.spawn(read_stderr(stderr, name.clone(), tail.clone(), over.clone()));
    let source = ChildSource {
        lines: Lines::from_server(stdout, max_line),
        name: name.clone(),
        exit: exit_rx,
        drain_until: None,
        tail,
        first_frame,
        early: VecDeque::new(),
    };
    let sink = ChildSink { lines: LineSink::new(stdin), _closed: closed_tx };
    let (ladder, watched) = (spec.stop, name.clone());
    let exit = scope.spawn(async move {
        let exit = supervise(group, closed_rx, ladder, &watched, exit_tx).await;
        over.cancel();
        exit
    });
    Ok(Child { name, source, sink, exit })
}

impl Child {
    /// Waits for the partner's first message. `None` when the partner has left, or when the server says something or
    /// ends first, which is then for the pump to deal with.
    pub async fn first_message(&mut self, rx: &mut Inbox) -> Option<Envelope> {
        // Ends with a message, from either side. Banners, which are none, are kept for the pump, which tells of them.
        while self.source.early.len() < MAX_EARLY {
            tokio::select! {
                biased;
                envelope = rx.recv() => return envelope,
                read = self.source.fresh() => match read {
                    Some(Err(error)) => self.source.early.push_back(Err(error)),
                    read => {
                        self.source.early.extend(read);
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Asks the server something before anything else is pumped. Cancel-safe but for the request itself, which may have
    /// been written.
    pub async fn ask(&mut self, request: &Frame) -> Asked {
        if let Err(error) = self.sink.write(std::slice::from_ref(request)).await {
            debug!(name = %self.name, "cannot write: {error}");
            return Asked::Ended(self.source.end().await);
        }
        let mut ahead = Vec::new();
        // Ends with the answer or with the stream. What is no part of the question is kept for the pump.
        while self.source.early.len() < MAX_EARLY {
            match self.source.fresh().await {
                Some(Ok(frame)) => match (frame.kind(), request.kind()) {
                    (Kind::Response(Some(id)), Kind::Request(asked)) if id == asked => {
                        return Asked::Answer(frame, ahead);
                    }
                    (Kind::Notification, _) if ahead.len() < MAX_EARLY => ahead.push(frame),
                    _ => self.source.early.push_back(Ok(frame)),
                },
                Some(Err(error)) => self.source.early.push_back(Err(error)),
                None => break,
            }
        }
        Asked::Ended(self.source.end().await)
    }

    /// Resolves when the process has ended. Holds nothing of it.
    pub fn over(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut exit = self.source.exit.clone();
        async move { drop(exit.wait_for(Option::is_some).await) }
    }

    /// Whether the process has ended.
    pub fn is_over(&self) -> bool {
        self.source.exit.borrow().is_some()
    }

    /// Pumps until its partner drops the peer or the server ends by itself. The handle gives the server's end, after no
    /// process of its group is left.
    pub fn run(self, peer: Peer, rules: Rules, scope: &Scope) -> JoinHandle<Exit> {
        // The partner may still hold the dead child's peer; that is its affair, and nobody waits for the pump.
        drop(scope.spawn(pump(self.source, self.sink, peer, rules)));
        self.exit
    }

    /// Lets the server go: closes its stdin, and sees to its end.
    pub fn end(self) -> JoinHandle<Exit> {
        self.exit
    }
}

fn command(spec: &ChildSpec, program: &std::path::Path, mark: Option<&str>) -> Command {
    let mut command = Command::new(program);
    command.args(&spec.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os().filter(|(name, _)| !passes(&spec.pass_env, name)) {
        command.env_remove(name);
    }
    // A caller who sends none must not have the bridge's own.
    for (_, name) in spec.caller_env.iter() {
        command.env_remove(name);
    }
    command.envs(spec.env.iter().map(|(name, value)| (name, value.expose())));
    if let Some(mark) = mark.filter(|mark| !mark.is_empty()) {
        command.env(guard::MARK, mark);
    }
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    command
}

/// Whether a variable of the bridge is the child's business. The bridge's own never are: they may hold tokens.
fn passes(rule: &PassEnv, name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    if name == guard::MARK {
        return true; // A bridge above this one still answers for what is started here.
    }
    if name.starts_with("MCP_BRIDGE_") {
        return false;
    }
    // Windows compares names without case, and spells the search path `Path`.
    let comparable = |name: &str| if cfg!(windows) { name.to_ascii_uppercase() } else { name.to_string() };
    match rule {
        // Of the service manager, and meant for the bridge: a server must not say that it is ready in its place.
        PassEnv::All => !name.starts_with("LISTEN_") && !name.starts_with("WATCHDOG_") && name != "NOTIFY_SOCKET",
        PassEnv::Only(list) => list.iter().any(|entry| match entry.strip_suffix('*') {
            Some(prefix) => comparable(&name).starts_with(&comparable(prefix)),
            None => comparable(&name) == comparable(entry),
        }),
    }
}

/// Waits for the end, or brings it about when stdin was closed; then clears what is left of the group.
async fn supervise(
    mut group: Group,
    mut closed: oneshot::Receiver<()>,
    ladder: StopLadder,
    name: &str,
    tell: watch::Sender<Option<Exit>>,
) -> Exit {
    let started = Instant::now();
    let (status, asked) = tokio::select! {
        // Both may be ready: a child that ends at once when its stdin closes has not crashed.
        biased;
        _ = &mut closed => (climb(&mut group, ladder, name).await, true),
        status = group.wait() => (status, closed.try_recv() == Err(TryRecvError::Closed)),
    };
    let exit = Exit::read(status, started.elapsed(), asked);
    if asked {
        // Each closed session ends so.
        debug!(name, "the server {} after its input was closed", exit.how);
    } else {
        warn!(name, "the server {}", exit.how);
    }
    tell.send_replace(Some(exit.clone()));
    clear(&mut group, ladder.after_term).await;
    exit
}

/// Close stdin (done), wait, SIGTERM, wait, SIGKILL.
async fn climb(group: &mut Group, ladder: StopLadder, name: &str) -> io::Result<ExitStatus> {
    if let Ok(status) = tokio::time::timeout(ladder.after_close, group.wait()).await {
        return status;
    }
    info!(name, "the server goes on after its input was closed; asking it to end");
    group.terminate();
    if let Ok(status) = tokio::time::timeout(ladder.after_term, group.wait()).await {
        return status;
    }
    warn!(name, "the server does not end when asked; killing it");
    group.kill();
    group.wait().await
}

/// Ends the descendants that outlived the leader.
async fn clear(group: &mut Group, patience: Duration) {
    group.terminate();
    let deadline = tokio::time::Instant::now() + patience;
    while group.is_alive() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(GROUP_POLL).await;
    }
    if group.is_alive() {
        group.kill();
    }
    group.forget();
}

impl Exit {
    /// The end of a child whose watcher was lost.
    pub fn lost() -> Exit {
        Exit { how: "is gone".into(), code: None, signal: None, lived: Duration::ZERO, asked: false }
    }

    fn read(status: io::Result<ExitStatus>, lived: Duration, asked: bool) -> Exit {
        let (code, signal) = match &status {
            Ok(status) => (status.code(), ended_by(*status)),
            Err(_) => (None, None),
        };
        let how = match (&status, code, signal) {
            (Err(error), _, _) => format!("is gone ({error})"),
            (_, Some(code), _) => format!("exited with code {code}"),
            (_, None, Some(signal)) => format!("was killed by signal {signal}"),
            (_, None, None) => "ended".to_string(),
        };
        Exit { how, code, signal, lived, asked }
    }
}

/// The last lines of stderr.
#[derive(Debug, Default)]
struct Tail {
    lines: Mutex<VecDeque<String>>,
    complete: tokio::sync::Notify,
}

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn last(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Logs stderr line by line until it closes, or until the child and its group are gone and all is read: a descendant
/// that left the group may hold it open for ever. A line that is too long is cut, the rest of it skipped.
async fn read_stderr(mut stderr: ChildStderr, name: Arc<str>, tail: Arc<Tail>, over: CancellationToken) {
    let mut line: Vec<u8> = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        // Ends when the last holder of the pipe closes it; an error is an end, too.
        let read = tokio::select! {
            biased;
            read = stderr.read(&mut chunk) => read.unwrap_or(0),
            () = over.cancelled() => 0,
        };
        for byte in chunk.get(..read).unwrap_or_default() {
            match byte {
                b'\n' => log_line(&mut line, &name, &tail),
                _ if line.len() < STDERR_LINE => line.push(*byte),
                _ => {}
            }
        }
        if read == 0 {
            break;
        }
    }
    log_line(&mut line, &name, &tail);
    tail.complete.notify_one();
}

fn log_line(line: &mut Vec<u8>, name: &str, tail: &Tail) {
    let text = String::from_utf8_lossy(line.trim_ascii_end());
    if !text.is_empty() {
        // Control characters would let a server forge log lines or drive a terminal.
        let text: String = text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        info!(target: observe::SERVER, source = "server", name, "{text}");
        tail.push(text);
    }
    *line = Vec::new();
}

struct ChildSource {
    /// What came before the pump.
    early: VecDeque<Result<Frame, FrameError>>,
    lines: Lines<ChildStdout>,
    name: Arc<str>,
    exit: watch::Receiver<Option<Exit>>,
    /// Set when the child has exited.
    drain_until: Option<tokio::time::Instant>,
    tail: Arc<Tail>,
    first_frame: Option<FirstFrame>,
}

impl ChildSource {
    async fn line(&mut self) -> Option<Result<Frame, FrameError>> {
        // A read error is the end of the stream, as the closed pipe that it stands for.
        self.lines.next().await.ok().flatten()
    }

    /// The next message that was not read yet. Cancel-safe.
    async fn fresh(&mut self) -> Option<Result<Frame, FrameError>> {
        let frame = loop {
            if let Some(deadline) = self.drain_until {
                break tokio::time::timeout_at(deadline, self.line()).await.ok().flatten();
            }
            let mut exit = self.exit.clone();
            tokio::select! {
                frame = self.line() => break frame,
                _ = exit.wait_for(Option::is_some) => {}
            }
            self.drain_until = Some(tokio::time::Instant::now() + DRAIN);
        };
        if frame.as_ref().is_some_and(Result::is_ok)
            && let Some(tell) = self.first_frame.take()
        {
            tell();
        }
        frame
    }
}

impl FrameSource for ChildSource {
    async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        match self.early.pop_front() {
            Some(early) => Some(early),
            None => self.fresh().await,
        }
    }

    async fn end(&mut self) -> Ended {
        let exited = tokio::time::timeout(EXIT_CODE, self.exit.wait_for(Option::is_some)).await;
        let exit = exited.ok().and_then(|exit| exit.ok()?.clone());
        // What the child wrote last is the likeliest reason.
        let _ = tokio::time::timeout(DRAIN, self.tail.complete.notified()).await;
        let stderr = self.tail.last();
        let how = exit.as_ref().map_or("closed its output", |exit| &exit.how);
        let message = match stderr.last() {
            Some(line) if exit.as_ref().is_some_and(|exit| !exit.asked) => {
                format!("the server {} {how}; its last words: {line}", self.name)
            }
            _ => format!("the server {} {how}", self.name),
        };
        let data = serde_json::json!({
            "exitCode": exit.as_ref().and_then(|exit| exit.code),
            "signal": exit.as_ref().and_then(|exit| exit.signal),
            "stderr": stderr,
        });
        Ended { message, data: Some(data) }
    }
}

struct ChildSink {
    /// Tells the supervisor that the child has been asked to end. Dropped before stdin: the child may end at once.
    _closed: oneshot::Sender<()>,
    lines: LineSink<ChildStdin>,
}

impl FrameSink for ChildSink {
    async fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        self.lines.write(frames).await
    }
}
