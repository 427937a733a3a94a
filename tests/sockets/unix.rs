//! Unix sockets: who may connect, what is there already, what is left.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

use crate::support::{
    certs::Files,
    client::initialize,
    program::{Bridge, Program},
    soon,
};

async fn start(path: &str, more: &[&str]) -> Program {
    let program = Program::start(&[&["serve", "--unix", path, "--demo"], more].concat());
    program.stderr.has(&format!("listening on unix:{path}\n")).await;
    program
}

async fn say(path: &str, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

async fn status(path: &str, headers: &str) -> String {
    let answer = say(path, &format!("GET /healthz HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")).await;
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn mode(path: &str) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_unix_socket_is_this_users_own_and_goes_with_the_bridge() {
    let files = Files::new();
    let path = files.path("mcp.sock").to_str().unwrap().to_owned();
    let mut program = start(&path, &[]).await;
    assert_eq!(mode(&path), 0o600);
    assert!(!program.stderr.text().contains("http://1"), "TCP as well: {}", program.stderr.text());
    for (headers, want) in [
        ("Host: localhost\r\n", "200"),
        ("", "200"),
        ("Host: evil.example\r\n", "403"),
        ("Host: localhost\r\nOrigin: https://evil.example\r\n", "403"),
    ] {
        assert_eq!(status(&path, headers).await, want, "{headers}");
    }
    let client = reqwest::Client::builder().unix_socket(Path::new(&path)).build().unwrap();
    let post = client.post("http://localhost/mcp").header("Accept", "application/json, text/event-stream");
    let post = post.header("Content-Type", "application/json").body(initialize("1", "2025-06-18"));
    let answer = soon("the answer", post.send()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let http2 = reqwest::Client::builder().unix_socket(Path::new(&path)).http2_prior_knowledge().build().unwrap();
    let answer = soon("the answer", http2.get("http://localhost/healthz").send()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    program.signal(Signal::TERM);
    assert_eq!(program.code().await, 0);
    assert!(!Path::new(&path).exists());
}

#[tokio::test]
async fn the_socket_of_a_dead_bridge_is_replaced_and_that_of_a_live_one_is_not() {
    let files = Files::new();
    let path = files.path("mcp.sock").to_str().unwrap().to_owned();
    let mut first = start(&path, &["--unix-mode", "660"]).await;
    assert_eq!(mode(&path), 0o660);
    let mut second = Program::start(&["serve", "--unix", &path, "--demo"]);
    assert_eq!(second.code().await, 1);
    let expected = format!("mcp-bridge: another program listens on --unix {path}; stop it, or choose another path\n");
    assert_eq!(second.stderr.whole().await, expected);
    assert_eq!(status(&path, "").await, "200", "the first one is still served");
    first.signal(Signal::KILL);
    first.exit().await;
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket(), "left behind");
    let _third = start(&path, &[]).await;
    assert_eq!(status(&path, "").await, "200");
}

#[tokio::test]
async fn what_is_no_socket_or_no_place_for_one_is_refused_in_one_line() {
    let files = Files::new();
    let (taken, long) = (files.put("file", "precious"), files.path(&"x".repeat(120)));
    let lost = files.path("no/such/mcp.sock");
    for (path, want) in [
        (taken.as_str(), "is there already and is no socket; remove it, or choose another path"),
        (lost.to_str().unwrap(), "its directory is not there; make it with mkdir -p"),
        (long.to_str().unwrap(), "is longer than the system takes (about 100 bytes); choose a shorter path"),
    ] {
        let mut program = Program::start(&["serve", "--unix", path, "--demo"]);
        assert_eq!(program.code().await, 1);
        let line = program.stderr.whole().await;
        assert!(line.contains(path) && line.contains(want) && line.lines().count() == 1, "{line}");
    }
    assert_eq!(fs::read_to_string(taken).unwrap(), "precious");
}

#[tokio::test]
async fn a_socket_that_took_the_place_is_left_alone() {
    let files = Files::new();
    let path = files.path("mcp.sock").to_str().unwrap().to_owned();
    let mut program = start(&path, &[]).await;
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    program.signal(Signal::TERM);
    assert_eq!(program.code().await, 0);
    assert!(Path::new(&path).exists());
}

#[tokio::test]
async fn tcp_and_a_unix_socket_are_served_at_once() {
    let files = Files::new();
    let path = files.path("mcp.sock").to_str().unwrap().to_owned();
    let bridge = Bridge::start(&["serve", "--unix", &path, "--demo"]).await;
    bridge.program.stderr.has(&format!("listening on unix:{path}\n")).await;
    assert_eq!(bridge.get("/healthz").await.status(), 200);
    assert_eq!(status(&path, "").await, "200");
    assert_eq!(bridge.ask("GET", "/healthz", &[("Host", "evil.example")], "").await.status(), 403);
    bridge.stop().await;
}
