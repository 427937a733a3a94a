//! Runs of the binary: a bridge that listens, or any other command, with stderr collected for the failure message.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
};

use mcp_bridge::wire::Wire;
use rustix::process::Signal;
use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::watch,
};

use super::{
    background,
    client::{Client, Kind},
    http::{self, Response},
    processes::{self, MARK, kill_marked, marked},
    soon,
};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_mcp-bridge");

/// The flags for a demo server that also has the tools that only tests want.
pub const TEST_TOOLS: [&str; 3] = ["--demo", "--env", "MCP_BRIDGE_DEMO_TEST=1"];

/// What a stream of a program has said so far.
#[derive(Debug, Clone)]
pub struct Log(watch::Receiver<String>);

impl Log {
    fn follow(mut read: impl tokio::io::AsyncRead + Unpin + Send + 'static) -> Log {
        let (tx, rx) = watch::channel(String::new());
        background(async move {
            let mut piece = vec![0; 4096];
            while let Ok(n @ 1..) = read.read(&mut piece).await {
                tx.send_modify(|text| text.push_str(&String::from_utf8_lossy(&piece[..n])));
            }
        });
        Log(rx)
    }

    pub fn text(&self) -> String {
        self.0.borrow().clone()
    }

    /// Waits until it contains this.
    pub async fn has(&self, needle: &str) {
        let mut rx = self.0.clone();
        let found = soon(&format!("{needle:?} in the log"), rx.wait_for(|text| text.contains(needle))).await.is_ok();
        assert!(found, "the log ended without {needle:?}");
    }

    /// All of it, once the stream has closed.
    pub async fn whole(&self) -> String {
        let mut rx = self.0.clone();
        soon("the end of the log", async { while rx.changed().await.is_ok() {} }).await;
        self.text()
    }
}

/// One run of the binary. Dropped, it is killed with all its descendants.
#[derive(Debug)]
pub struct Program {
    child: Child,
    pub pid: i32,
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<ChildStdout>,
    pub stderr: Log,
    mark: String,
}

impl Program {
    /// Runs `mcp-bridge` with these words, cut off from what the environment could change about it.
    pub fn start(words: &[&str]) -> Program {
        Program::start_with(words, &[])
    }

    pub fn start_with(words: &[&str], env: &[(&str, &str)]) -> Program {
        let mut command = Command::new(BINARY);
        command.args(words).envs(env.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Program::of(command)
    }

    /// Runs a command that comes to be `mcp-bridge`. Its stdin and stdout are as they are said to be.
    pub fn of(mut command: Command) -> Program {
        let mark = uuid::Uuid::new_v4().to_string();
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MCP_BRIDGE_")) {
            let given = command.as_std().get_envs().any(|(given, _)| given == name);
            if !given {
                command.env_remove(name);
            }
        }
        command.env("NO_COLOR", "1").env(MARK, &mark).stderr(Stdio::piped());
        let mut child = command.process_group(0).kill_on_drop(true).spawn().unwrap();
        let stderr = Log::follow(child.stderr.take().unwrap());
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Program { child, pid, stdin, stdout, stderr, mark }
    }

    pub fn signal(&self, signal: Signal) {
        processes::signal(self.pid, signal);
    }

    pub async fn exit(&mut self) -> ExitStatus {
        soon("the program to exit", self.child.wait()).await.unwrap()
    }

    /// The exit code.
    pub async fn code(&mut self) -> i32 {
        let status = self.exit().await;
        status.code().unwrap_or_else(|| panic!("{status}"))
    }

    /// This process and its descendants that are alive.
    pub fn family(&self) -> Vec<(i32, String)> {
        marked(&self.mark)
    }

    /// Descendants that are servers or what they started: neither the bridge nor its guard.
    pub fn servers(&self) -> Vec<(i32, String)> {
        let own = |(pid, line): &(i32, String)| *pid == self.pid || line.contains(" guard ");
        self.family().into_iter().filter(|process| !own(process)).collect()
    }

    /// Fails unless all of the family is gone.
    pub async fn no_family(&self) {
        super::eventually("the end of every descendant", || self.family().is_empty().then_some(())).await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- stderr of process {}:\n{}---", self.pid, self.stderr.text());
        }
        kill_marked(&self.mark);
    }
}

/// A bridge that listens.
#[derive(Debug)]
pub struct Bridge {
    pub program: Program,
    pub addr: SocketAddr,
    pub stdout: Log,
}

impl Bridge {
    /// Starts it on a port that the system picks, and waits for the line that tells which.
    pub async fn start(words: &[&str]) -> Bridge {
        Bridge::start_with(words, &[]).await
    }

    /// Starts it with [`TEST_TOOLS`].
    pub async fn demo(words: &[&str]) -> Bridge {
        Bridge::start(&[words, &TEST_TOOLS].concat()).await
    }

    /// Starts it with a server that is a whole tree of processes, and waits until all of them are there.
    pub async fn with_tree(words: &[&str]) -> (Bridge, Client) {
        let demo = format!("DEMO={BINARY}");
        let bridge = Bridge::start(&[words, &["--env", &demo, "--shell", processes::TREE]].concat()).await;
        let mut client = bridge.http().await;
        client.check("up").await;
        let all = || (bridge.program.servers().len() >= processes::TREE_SIZE).then_some(());
        super::eventually("all processes of the tree", all).await;
        (bridge, client)
    }

    pub async fn start_with(words: &[&str], env: &[(&str, &str)]) -> Bridge {
        let (command, rest) = words.split_first().unwrap();
        let mut all = vec![*command, "--port", "0"];
        all.extend(rest);
        let mut program = Program::start_with(&all, env);
        let stdout = Log::follow(program.stdout.take().unwrap());
        let mut stderr = program.stderr.0.clone();
        let marker = "listening on http://";
        // The whole line, not its beginning.
        let whole = |text: &String| text.split_once(marker).is_some_and(|(_, rest)| rest.contains('\n'));
        let text = soon("the line that says where the bridge listens", stderr.wait_for(whole)).await;
        let text = text.unwrap_or_else(|_| panic!("the bridge ended: {}", program.stderr.text())).clone();
        let addr = text.split_once(marker).and_then(|(_, rest)| rest.lines().next()).unwrap();
        Bridge { program, addr: addr.parse().unwrap(), stdout }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Where clients of this wire connect.
    pub fn url_of(&self, wire: Wire) -> String {
        let listed = wire.listed();
        format!("{}://{}{}", listed.schemes[0], self.addr, listed.paths[0].usual)
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        http::ask(self.addr, method, path, headers, body).await
    }

    /// POSTs a message without a session.
    pub async fn post(&self, body: &str) -> Response {
        self.ask("POST", "/mcp", &http::POST, body).await
    }

    pub async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[], "").await
    }

    /// A client of the older transport, initialized.
    pub async fn sse(&self) -> Client {
        let mut client = Client::sse(self.addr, "/sse").await;
        client.initialize("2025-06-18").await;
        client
    }

    /// A client of Streamable HTTP, initialized, without a stream for what belongs to no call.
    pub async fn http(&self) -> Client {
        let mut client = Client::http(self.addr, "/mcp");
        client.initialize("2025-06-18").await;
        client
    }

    /// A client of either network wire that hears all.
    pub async fn client(&self, kind: Kind) -> Client {
        match kind {
            Kind::Sse => self.sse().await,
            Kind::Http => {
                let mut client = self.http().await;
                client.listen().await;
                client
            }
        }
    }

    /// Asks it to end, and checks that it does well: exit code 0, no descendant, nothing on stdout.
    pub async fn stop(self) -> String {
        self.program.signal(Signal::TERM);
        self.stop_again().await
    }

    /// The same where it was asked before.
    pub async fn stop_again(mut self) -> String {
        assert_eq!(self.program.code().await, 0, "the exit code after SIGTERM");
        assert_eq!(self.program.family(), []);
        assert_eq!(self.stdout.whole().await, "", "stdout of a bridge that listens");
        self.program.stderr.whole().await
    }
}
