//! Sockets that a service manager passes on, and what it is told.

use std::{
    net::{TcpListener, UdpSocket},
    os::fd::OwnedFd,
    os::unix::net::UnixListener,
    process::Stdio,
};

use rustix::process::Signal;
use tokio::{net::UnixDatagram, process::Command};

use crate::support::{
    certs::Files,
    http,
    program::{BINARY, Program},
    soon,
};

/// Starts a bridge with two sockets at the places where a service manager leaves them. `pid`: as the shell writes it.
fn pass_on(pid: &str, first: OwnedFd, second: OwnedFd, env: &[(&str, &str)], words: &[&str]) -> Program {
    let mut command = Command::new("sh");
    let line = format!(r#"LISTEN_FDS=2 LISTEN_PID={pid} exec "$@" 3<&0 4<&1 0</dev/null 1>/dev/null"#);
    command.args(["-c", &line, "sh", BINARY, "serve"]).args(words).envs(env.iter().copied());
    command.stdin(Stdio::from(first)).stdout(Stdio::from(second));
    Program::of(command)
}

/// A server that first says what it has inherited.
const TELLING: [&str; 4] = [
    "--env",
    concat!("DEMO=", env!("CARGO_BIN_EXE_mcp-bridge")),
    "--shell",
    "env >&2; ls -l /proc/self/fd >&2; echo all told >&2; exec \"$DEMO\" demo-server",
];

#[tokio::test]
async fn sockets_that_were_passed_on_are_served_and_the_manager_is_told() {
    let files = Files::new();
    let (path, manager) = (files.path("mcp.sock"), files.path("manager.sock"));
    let told = UnixDatagram::bind(&manager).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = tcp.local_addr().unwrap();
    let unix = UnixListener::bind(&path).unwrap();
    let env = [("NOTIFY_SOCKET", manager.to_str().unwrap())];
    let mut program = pass_on("$$", tcp.into(), unix.into(), &env, &TELLING);
    let next = async || {
        let mut text = vec![0; 4096];
        let n = soon("a word to the manager", told.recv(&mut text)).await.unwrap();
        String::from_utf8(text[..n].to_vec()).unwrap()
    };
    let ready = next().await;
    assert_eq!(ready, format!("READY=1\nSTATUS=listening on http://{addr}, listening on unix:{}\n", path.display()));
    let body = crate::support::client::initialize("1", "2025-06-18");
    assert_eq!(http::ask(addr, "POST", "/mcp", &http::POST, &body).await.status(), 200);
    let client = reqwest::Client::builder().unix_socket(path.as_path()).build().unwrap();
    let answer = soon("an answer", client.get("http://localhost/healthz").send()).await.unwrap();
    assert_eq!(answer.status(), 200);
    // Its servers have neither the sockets nor the variables.
    program.stderr.has("all told").await;
    let log = program.stderr.text();
    assert!(log.contains("PATH="), "{log}");
    for secret in ["LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "socket:["] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    program.signal(Signal::TERM);
    assert_eq!(next().await, "STOPPING=1\n");
    assert_eq!(program.code().await, 0);
    assert!(path.exists(), "the manager's socket is not the bridge's to remove");
}

#[tokio::test]
async fn the_manager_is_told_of_a_reload_and_of_its_end() {
    let files = Files::new();
    let manager = files.path("manager.sock");
    let told = UnixDatagram::bind(&manager).unwrap();
    let config = files.put("mcp.json", &format!(r#"{{"mcpServers": {{"a": {{"command": {BINARY:?}}}}}}}"#));
    let env = [("NOTIFY_SOCKET", manager.to_str().unwrap())];
    let mut program = Program::start_with(&["serve", "--port", "0", "--config", &config], &env);
    let next = async || {
        let mut text = vec![0; 4096];
        let n = soon("a word to the manager", told.recv(&mut text)).await.unwrap();
        String::from_utf8(text[..n].to_vec()).unwrap()
    };
    assert!(next().await.starts_with("READY=1\nSTATUS="));
    // SIGHUP, and a change; a file that is wrong leaves the bridge as it is, and the manager is not to wait for ever.
    program.signal(Signal::HUP);
    for change in [Some("{"), None] {
        let reloading = next().await;
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{reloading}"));
        assert!(time.trim_end().parse::<u64>().unwrap() > 0);
        assert_eq!(next().await, "READY=1\n");
        if let Some(text) = change {
            files.put("mcp.json", text);
        }
    }
    program.signal(Signal::TERM);
    assert_eq!(program.code().await, 0);
}

fn any() -> (OwnedFd, OwnedFd) {
    let tcp = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    (tcp(), tcp())
}

#[tokio::test]
async fn sockets_for_another_process_are_left_alone() {
    let (first, second) = any();
    let program = pass_on("1", first, second, &[], &["--port", "0", "--demo"]);
    program.stderr.has("stdio clients").await;
    assert_eq!(program.stderr.text().matches("listening on").count(), 1, "{}", program.stderr.text());
}

#[tokio::test]
async fn a_passed_on_socket_that_everyone_could_call_or_nobody_is_refused() {
    let open = || OwnedFd::from(TcpListener::bind("0.0.0.0:0").unwrap());
    let datagrams = || OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    let unconnected = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        OwnedFd::from(socket)
    };
    for (socket, want, code) in [
        (open(), "add --bearer-token-file FILE to ask for a token, or --allow-unauthenticated", 1),
        (datagrams(), "descriptor 4, passed on by LISTEN_FDS, is no TCP or Unix stream socket", 64),
        (unconnected(), "descriptor 4, passed on by LISTEN_FDS, is a connection; use Accept=no", 64),
    ] {
        let mut program = pass_on("$$", any().0, socket, &[], &["--demo"]);
        assert_eq!(program.code().await, code);
        let line = program.stderr.whole().await;
        assert!(line.contains(want) && line.lines().count() == 1, "{line}");
    }
    let program = pass_on("$$", any().0, open(), &[], &["--demo", "--allow-unauthenticated"]);
    program.stderr.has("listening on http://0.0.0.0:").await;
}
