//! Statements 12 to 15: what happens when the server dies, and what is left when the bridge ends.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    client::{Client, Kind, On, initialize, tool},
    eventually,
    program::{BINARY, Bridge},
    soon,
};

/// The statement says a second; a busy machine may take some more, a timeout of the bridge's would take much more.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn field_12_a_dead_child_answers_what_is_pending_and_ends_its_session() {
    let bridge = Bridge::demo(&["serve"]).await;
    for kind in [Kind::Sse, Kind::Http] {
        let mut client = bridge.client(kind).await;
        client.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
        client.send(&tool("2", "ask", json!({"message": "?"}))).await;
        client.message("elicitation/create").await;
        let died = Instant::now();
        client.send(&tool("3", "crash", json!({"code": 3, "message": "out of luck"}))).await;
        for id in ["1", "2", "3"] {
            let answer = client.answer(id).await;
            let expected = "the server demo-server exited with code 3; its last words: out of luck";
            assert_eq!(answer.error(), (-32603, expected));
            let data = &answer.json["error"]["data"];
            assert_eq!(*data, json!({"exitCode": 3, "signal": null, "stderr": ["out of luck"]}));
        }
        assert!(died.elapsed() < SOON, "the answers took {:?}", died.elapsed());
        client.end_of(if kind == Kind::Sse { On::Pipe } else { On::Get }).await;
        let (status, _, _, text) = client.post(&tool("4", "echo", json!({"message": "x"}))).await.refusal();
        assert_eq!(status, 404, "{text}");
        // The next session has a new child.
        bridge.client(kind).await.check("a new one").await;
    }
    bridge.stop().await;
}

/// The sessions go on with the next process, which hears what the one before was told; the clients hear that lists and
/// resources may have changed.
#[tokio::test]
async fn field_12_a_shared_child_that_died_is_replaced_and_its_sessions_go_on() {
    let bridge = Bridge::demo(&["serve", "--shared"]).await;
    let (mut one, mut two) = (bridge.client(Kind::Sse).await, bridge.client(Kind::Http).await);
    one.request("resources/subscribe", json!({"uri": "demo://counter"})).await;
    two.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
    // The server has it when it has answered what came after it.
    two.check("there").await;
    one.send(&tool("1", "crash", json!({"code": 7}))).await;
    for client in [&mut one, &mut two] {
        assert_eq!(client.answer("1").await.json["error"]["data"]["exitCode"], 7);
    }
    for client in [&mut one, &mut two] {
        client.message("notifications/tools/list_changed").await;
    }
    one.message("notifications/resources/updated").await;
    two.call("touch", json!({})).await;
    one.message("notifications/resources/updated").await;
    bridge.client(Kind::Http).await.check("the same new one").await;
    assert_eq!(bridge.program.servers().len(), 1);
    bridge.stop().await;
}

/// One that others share is started again, and they go on: see `eras::news`.
#[tokio::test]
async fn field_12_a_dead_modern_child_ends_the_session_that_was_translated_for_it() {
    let demo = ["--env", "MCP_BRIDGE_DEMO_TEST=1", "--", BINARY, "demo-server", "--era", "modern"];
    let bridge = Bridge::start(&[&["stdio-to-http"], &demo[..]].concat()).await;
    let mut client = bridge.client(Kind::Http).await;
    client.send(&tool("1", "crash", json!({"code": 5}))).await;
    assert_eq!(client.answer("1").await.json["error"]["data"]["exitCode"], 5);
    client.end_of(On::Get).await;
    // The stream may end a moment before the session is forgotten.
    let call = tool("2", "echo", json!({"message": "x"}));
    soon("the session to be unknown", async { while client.post(&call).await.status() != 404 {} }).await;
    bridge.client(Kind::Http).await.check("a new one").await;
    bridge.stop().await;
}

/// Three crashes in a row are taken as bad luck; then the server is left alone for a while, and the bridge says so
/// instead of looking healthy.
#[tokio::test]
async fn field_12_health_turns_red_while_the_server_keeps_crashing() {
    let bridge = Bridge::demo(&["serve"]).await;
    assert_eq!(bridge.get("/readyz").await.status(), 200);
    let mut red = None;
    // How long the pause is depends on how often it crashed: the first that is long enough to be seen will do.
    for _ in 0..8 {
        let mut client = Client::http(bridge.addr, "/mcp");
        client.send(&initialize("0", "2025-06-18")).await;
        let answer = client.answer("0").await;
        if answer.status == 503 {
            let why = answer.error().1;
            assert!(why.starts_with("the server keeps crashing (it exited with code 9); next start in "), "{why}");
            red = Some(bridge.get("/readyz").await);
            break;
        }
        client.send(&tool("1", "crash", json!({"code": 9}))).await;
        client.answer("1").await;
        // The crash is counted when the process has been reaped.
        eventually("the end of the server", || bridge.program.servers().is_empty().then_some(())).await;
    }
    let red = red.expect("a refusal after so many crashes");
    assert_eq!(red.status(), 503, "{}", red.body);
    assert!(red.body.starts_with("the server keeps crashing (it exited with code 9)"), "{}", red.body);
    assert_eq!(bridge.get("/healthz").await.status(), 200, "the bridge itself lives");
    let sse = bridge.ask("GET", "/sse", &crate::support::http::STREAM, "").await;
    assert_eq!(sse.status(), 503);
    let pause: u64 = sse.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&pause), "{pause}");
    let is_green = async || (bridge.get("/readyz").await.status() == 200).then_some(());
    crate::support::at_last("green health after the pause", is_green).await;
    bridge.http().await.check("it recovers").await;
    bridge.stop().await;
}

#[tokio::test]
async fn field_13_a_crashing_child_never_ends_other_clients() {
    let bridge = Bridge::demo(&["serve"]).await;
    let mut others = [bridge.client(Kind::Sse).await, bridge.client(Kind::Http).await];
    for other in &mut others {
        other.send(&tool("\"long\"", "ask", json!({"message": "?"}))).await;
    }
    for kind in [Kind::Sse, Kind::Http] {
        let mut victim = bridge.client(kind).await;
        victim.send(&tool("1", "crash", json!({"code": 1}))).await;
        victim.answer("1").await;
    }
    for other in &mut others {
        other.check("unharmed").await;
        let question = other.message("elicitation/create").await;
        other.reply(&question, json!({"action": "accept", "content": {"answer": "yes"}})).await;
        assert_eq!(other.answer("\"long\"").await.tool_text(), "The user answered: yes");
    }
    drop(others);
    bridge.stop().await;
}

/// The server is a tree of five processes that ignore SIGTERM, one of which has left the process group by `setsid`.
#[tokio::test]
async fn field_14_after_sigterm_sigint_or_the_end_of_stdin_no_descendant_is_alive() {
    for end in ["SIGTERM", "SIGINT", "stdin"] {
        let flags = ["stdio-to-http", "--exit-with-stdin", "--grace", "1", "--stop-timeout", "200ms"];
        let (mut bridge, client) = Bridge::with_tree(&flags).await;
        match end {
            "SIGTERM" => bridge.program.signal(Signal::TERM),
            "SIGINT" => bridge.program.signal(Signal::INT),
            _ => drop(bridge.program.stdin.take()),
        }
        assert_eq!(bridge.program.code().await, 0, "{end}");
        assert_eq!(bridge.program.family(), [], "{end}");
        drop(client);
    }
}

#[tokio::test]
async fn field_15_after_sigkill_of_the_bridge_no_descendant_is_alive() {
    let (mut bridge, client) = Bridge::with_tree(&["stdio-to-http"]).await;
    bridge.program.signal(Signal::KILL);
    bridge.program.exit().await;
    bridge.program.no_family().await;
    drop(client);
}
