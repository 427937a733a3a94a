//! Health and the end: what `/healthz` and `/readyz` say, and how a bridge ends on a signal or on the end of stdin.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    client::{Client, Kind, On, tool},
    eventually,
    http::{Conn, request},
    program::{BINARY, Bridge},
    soon,
};

#[tokio::test]
async fn health_is_ok_and_takes_no_post() {
    let bridge = Bridge::start(&["serve", "--demo", "--health-path", "/live"]).await;
    for path in ["/live", "/readyz"] {
        let response = bridge.get(path).await;
        assert_eq!((response.status(), response.body.as_str()), (200, "ok\n"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(bridge.ask("HEAD", path, &[("Connection", "close")], "").await.status(), 200);
        let post = bridge.ask("POST", path, &[], "").await;
        assert_eq!((post.status(), post.header("allow")), (405, Some("GET, HEAD")));
    }
    assert_eq!(bridge.get("/healthz").await.status(), 404);
    assert_eq!(bridge.program.servers(), [], "nobody's health check starts a server");
    bridge.stop().await;
}

/// A program that can be found but not started: alive, and not ready.
#[tokio::test]
async fn readiness_is_red_while_the_server_cannot_be_started() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("server");
    std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let bridge = Bridge::start(&["serve", "--", program.to_str().unwrap()]).await;
    let body = crate::support::client::initialize("0", "2025-06-18");
    let (status, code, id, text) = bridge.post(&body).await.refusal();
    assert_eq!((status, code, id), (502, -32603, json!(0)));
    let expected = "cannot start \"server\": No such file or directory (os error 2); the bridge's log says more";
    assert_eq!(text, expected);
    let red = bridge.get("/readyz").await;
    assert_eq!((red.status(), red.body), (503, format!("{text}\n")));
    assert_eq!(bridge.get("/healthz").await.status(), 200);
    let log = bridge.stop().await;
    assert!(log.contains("No such file or directory"), "{log}");
}

/// Calls in flight on either wire are answered, nothing new is taken, and the exit code says that all went well.
#[tokio::test]
async fn sigterm_lets_calls_in_flight_finish() {
    let bridge = Bridge::demo(&["serve"]).await;
    let mut clients = [bridge.client(Kind::Sse).await, bridge.client(Kind::Http).await];
    for client in &mut clients {
        client.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 2000}))).await;
        // The server has the call when it has answered what came after it.
        client.check("in flight").await;
    }
    bridge.program.signal(Signal::TERM);
    draining(&bridge).await;
    for client in &mut clients {
        assert_eq!(client.answer("1").await.tool_text(), "Did 1 steps.");
    }
    let [mut sse, mut http] = clients;
    sse.end_of(On::Pipe).await;
    http.end_of(On::Get).await;
    bridge.stop_again().await;
}

/// Waits until a bridge that was asked to end drains. Ends at the latest with its calls.
async fn draining(bridge: &Bridge) {
    bridge.program.stderr.has("asked to end").await;
    // A new probe sees the drain, which begins just after that line. One that was accepted at that moment and had not yet
    // said anything is closed like any idle connection.
    let probe = request("GET", "/readyz", &[], "");
    loop {
        let mut conn = Conn::open(bridge.addr).await;
        if conn.try_send(&probe).await
            && soon("an answer", conn.try_head()).await.is_some_and(|head| head.status == 503)
        {
            break;
        }
    }
}

/// A call that waits for its client is not cut off from it by the drain, where all that a client says comes on one stream.
#[tokio::test]
async fn a_clients_answer_reaches_its_server_while_the_bridge_drains() {
    let bridge = Bridge::demo(&["serve"]).await;
    let mut clients = [
        bridge.sse().await,
        Client::ws(bridge.addr, "/ws").await,
        Client::stdio(&["connect", "--", BINARY, "demo-server"]),
    ];
    let mut asked = Vec::new();
    for client in &mut clients {
        if !asked.is_empty() {
            client.initialize("2025-06-18").await;
        }
        client.send(&tool("77", "ask", json!({"message": "which?"}))).await;
        asked.push(client.message("elicitation/create").await);
    }
    bridge.program.signal(Signal::TERM);
    draining(&bridge).await;
    clients[2].program().signal(Signal::TERM);
    for (client, asked) in clients.iter_mut().zip(&asked) {
        // What is new is refused from when the drain has begun.
        let refused = loop {
            let answer = client.call("echo", json!({"message": "x"})).await;
            if answer.json.get("error").is_some() {
                break answer;
            }
        };
        assert_eq!(refused.error(), (-32603, "the bridge is shutting down"));
        client.reply(asked, json!({"action": "accept", "content": {"answer": "this"}})).await;
        assert_eq!(client.answer("77").await.tool_text(), "The user answered: this");
        client.end_of(On::Pipe).await;
    }
    assert_eq!(clients[2].program().code().await, 0);
    bridge.stop_again().await;
}

#[tokio::test]
async fn calls_longer_than_the_grace_period_are_answered_with_an_error() {
    let bridge = Bridge::demo(&["serve", "--grace", "1"]).await;
    let mut client = bridge.client(Kind::Sse).await;
    client.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
    client.check("in flight").await;
    let asked = Instant::now();
    bridge.program.signal(Signal::TERM);
    client.end_of(On::Pipe).await;
    bridge.stop_again().await;
    // The grace period is a second; a busy machine may take more, the default of 10 s would show.
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::INT), (Signal::INT, Signal::TERM)] {
        let (mut bridge, mut client) = Bridge::with_tree(&["stdio-to-http", "--grace", "10m"]).await;
        client.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
        client.check("in flight").await;
        bridge.program.signal(first);
        bridge.program.stderr.has("a second signal ends at once").await;
        bridge.program.signal(second);
        assert_eq!(bridge.program.code().await, 1);
        let log = bridge.program.stderr.whole().await;
        assert!(log.contains("ended at once by a second signal; calls in flight were dropped"), "{log}");
        bridge.program.no_family().await;
    }
}

#[tokio::test]
async fn the_end_of_stdin_ends_it_only_when_asked() {
    let mut deaf = Bridge::start(&["serve", "--demo"]).await;
    let mut told = Bridge::start(&["serve", "--demo", "--exit-with-stdin"]).await;
    drop((deaf.program.stdin.take(), told.program.stdin.take()));
    assert_eq!(told.program.code().await, 0);
    assert!(told.program.stderr.whole().await.contains("stdin closed; ending (--exit-with-stdin)"));
    deaf.http().await.check("still there").await;
    deaf.stop().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let bridge = Bridge::start(&["serve", "--demo", "--grace", "10m"]).await;
    let idle = Conn::open(bridge.addr).await;
    let mut kept = Conn::open(bridge.addr).await;
    kept.send(&crate::support::http::request("GET", "/healthz", &[], "")).await;
    assert_eq!(kept.response().await.status(), 200);
    let stream = bridge.client(Kind::Http).await;
    bridge.stop().await;
    drop((idle, stream));
    assert_eq!(kept.closed().await, b"");
}

/// With nothing in flight the grace period is not waited for, whoever has which server.
#[tokio::test]
async fn a_bridge_with_nothing_in_flight_ends_promptly() {
    for flags in [&["serve"][..], &["serve", "--shared"], &["serve", "--stateless"]] {
        let bridge = Bridge::demo(&[flags, &["--grace", "10m"]].concat()).await;
        let mut clients = Vec::new();
        if flags.contains(&"--stateless") {
            assert_eq!(bridge.post(&tool("1", "echo", json!({"message": "x"}))).await.status(), 200);
        } else {
            clients = vec![bridge.client(Kind::Sse).await, bridge.client(Kind::Http).await, bridge.http().await];
        }
        bridge.stop().await;
        drop(clients);
    }
}

/// A client's command on stdio: answers in flight are written after stdin has closed, then it exits with 0.
#[tokio::test]
async fn a_client_command_ends_after_its_answers() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    for path in ["/sse", "/mcp"] {
        let mut client = Client::stdio(&["connect", &bridge.url(path)]);
        client.initialize("2025-06-18").await;
        client.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 500}))).await;
        client.send(&tool("2", "echo", json!({"message": "x"}))).await;
        let rest = client.finish().await;
        assert_eq!(rest.len(), 2, "{rest:?}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_client_command_ends_on_a_signal() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    for signal in [Signal::TERM, Signal::INT] {
        for path in ["/sse", "/mcp"] {
            let mut client = Client::stdio(&["connect", &bridge.url(path)]);
            client.initialize("2025-06-18").await;
            client.check("up").await;
            client.program().signal(signal);
            assert_eq!(client.program().code().await, 0);
        }
    }
    bridge.stop().await;
}

/// `nohup mcp-bridge serve ... &` goes on when its terminal closes: a signal that was ignored at the start stays so.
#[tokio::test]
async fn a_hangup_that_was_ignored_at_the_start_stays_ignored() {
    let line = "trap '' HUP; exec \"$0\" serve --port 0 --demo";
    let mut bridge = tokio::process::Command::new("sh")
        .args(["-c", line, env!("CARGO_BIN_EXE_mcp-bridge")])
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", bridge.id().unwrap());
    let signals = |of: &str| {
        let text = std::fs::read_to_string(&status).unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix(of)).unwrap().trim();
        u64::from_str_radix(mask, 16).unwrap()
    };
    let bit = |signal: Signal| 1 << (signal.as_raw() - 1);
    eventually("a watch for SIGTERM", || (signals("SigCgt:") & bit(Signal::TERM) != 0).then_some(())).await;
    assert_eq!(signals("SigCgt:") & bit(Signal::HUP), 0);
    assert_ne!(signals("SigIgn:") & bit(Signal::HUP), 0);
    bridge.kill().await.unwrap();
}
