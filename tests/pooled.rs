//! `--pooled`: a server for the sessions of one principal that declare the same capabilities, and for nobody else.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    client::{Client, Kind, initialize, notification, tool},
    eventually,
    program::{BINARY, Bridge},
    user::User,
};

const ALICE: &str = "alice-and-her-long-token";
const BOB: &str = "bob-and-his-long-token";

/// A bridge with a door, and the file of its tokens.
async fn behind_a_door(flags: &[&str], demo: &[&str]) -> (TempDir, Bridge) {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, format!("alice: {ALICE}\nbob: {BOB}\n")).unwrap();
    let door = ["serve", "--pooled", "--bearer-token-file", tokens.to_str().unwrap()];
    let command = [&["--env", "MCP_BRIDGE_DEMO_TEST=1", "--", BINARY, "demo-server"], demo].concat();
    (dir, Bridge::start(&[&door[..], flags, &command].concat()).await)
}

fn as_user(client: Client, token: &str) -> Client {
    client.with_header("Authorization", &format!("Bearer {token}"))
}

/// A session of `token`'s that declares this.
async fn session(bridge: &Bridge, token: &str, capabilities: &str) -> Client {
    open(as_user(Client::http(bridge.addr, "/mcp"), token), capabilities).await
}

async fn open(mut client: Client, capabilities: &str) -> Client {
    client.send(&declaring(capabilities)).await;
    let answer = client.answer("0").await;
    assert!(answer.json["result"].is_object(), "{}", answer.text);
    client.send(&notification("notifications/initialized")).await;
    client
}

/// An `initialize` with these capabilities, as they are spelled.
fn declaring(capabilities: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-06-18","capabilities":{capabilities},"clientInfo":{{"name":"test","version":"1"}}}}}}"#
    )
}

async fn pid(client: &mut Client) -> String {
    client.call("pid", json!({})).await.tool_text().to_owned()
}

async fn modern_pid(bridge: &Bridge, token: &str) -> String {
    let mut user = User::modern(as_user(Client::modern(bridge.addr, "/mcp"), token));
    user.call("pid", json!({})).await.tool_text().to_owned()
}

async fn none_is_left(bridge: &Bridge) {
    eventually("the end of an idle server", || bridge.program.servers().is_empty().then_some(())).await;
}

#[tokio::test]
async fn sessions_share_by_principal_and_capabilities() {
    let (_dir, bridge) = behind_a_door(&[], &[]).await;
    let mut one = session(&bridge, ALICE, r#"{"roots":{"listChanged":true},"sampling":{}}"#).await;
    let mut spelled_otherwise = session(&bridge, ALICE, r#"{ "sampling": {}, "roots": {"listChanged": true} }"#).await;
    let mut less = session(&bridge, ALICE, r#"{"sampling":{}}"#).await;
    let mut stranger = session(&bridge, BOB, r#"{"roots":{"listChanged":true},"sampling":{}}"#).await;
    let first = pid(&mut one).await;
    assert_eq!(pid(&mut spelled_otherwise).await, first);
    let others = [pid(&mut less).await, pid(&mut stranger).await];
    let all: BTreeSet<_> = others.into_iter().chain([first]).collect();
    assert_eq!((all.len(), bridge.program.servers().len()), (3, 3));
    bridge.stop().await;
}

/// Where the door is open, all callers are one principal. Over SSE and WebSocket the handshake comes after the connection.
#[tokio::test]
async fn without_a_door_sessions_of_all_wires_share_by_capabilities() {
    let bridge = Bridge::demo(&["serve", "--pooled"]).await;
    let mut pids = BTreeSet::new();
    let mut clients = vec![bridge.client(Kind::Sse).await, bridge.client(Kind::Http).await];
    let mut ws = Client::ws(bridge.addr, "/ws").await;
    ws.initialize("2025-06-18").await;
    clients.push(ws);
    for client in &mut clients {
        pids.insert(pid(client).await);
    }
    assert_eq!(pids.len(), 1);
    let mut other = open(Client::sse(bridge.addr, "/sse").await, "{}").await;
    assert!(pids.insert(pid(&mut other).await));
    bridge.stop().await;
}

#[tokio::test]
async fn before_the_handshake_a_session_has_no_server() {
    let bridge = Bridge::demo(&["serve", "--pooled"]).await;
    let mut client = Client::sse(bridge.addr, "/sse").await;
    client.send(&tool("1", "pid", json!({}))).await;
    let refused = client.answer("1").await;
    let (code, text) = refused.error();
    assert!(code == -32600 && text.contains("tools/call came before initialize"), "{text}");
    client.send(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).await;
    assert_eq!(client.answer("2").await.json["result"], json!({}));
    assert!(bridge.program.servers().is_empty());
    let huge = declaring(&format!(r#"{{"experimental":{{"x":{{"y":"{}"}}}}}}"#, "y".repeat(70_000)));
    client.send(&huge).await;
    assert!(client.answer("0").await.error().1.contains("longer than 64 KiB"));
    let answer = bridge.post(&huge).await;
    assert_eq!(answer.refusal().0, 400, "{}", answer.body);
    client.initialize("2025-06-18").await;
    client.check("after all").await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_that_nobody_uses_ends_with_and_without_a_session() {
    let (_dir, bridge) = behind_a_door(&["--idle-timeout", "300ms"], &[]).await;
    let mut one = session(&bridge, ALICE, "{}").await;
    let first = pid(&mut one).await;
    none_is_left(&bridge).await;
    assert_ne!(pid(&mut one).await, first, "its session has another when it needs it");
    one.finish().await;
    none_is_left(&bridge).await;
    session(&bridge, ALICE, "{}").await.check("again").await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_over_the_limit_is_refused_while_all_are_in_use() {
    let (_dir, bridge) = behind_a_door(&["--max-children", "2"], &[]).await;
    let alice = session(&bridge, ALICE, "{}").await;
    let mut bob = session(&bridge, BOB, "{}").await;
    let token = format!("Bearer {ALICE}");
    let headers = [("Authorization", token.as_str()), ("Accept", "application/json, text/event-stream")];
    let headers = [&headers[..], &[("Content-Type", "application/json")]].concat();
    let post = async || bridge.ask("POST", "/mcp", &headers, &declaring(r#"{"roots":{}}"#)).await;
    let refused = post().await;
    assert!(refused.header("retry-after").is_some(), "{}", refused.body);
    let (status, code, _, text) = refused.refusal();
    assert!((status, code) == (503, -32000) && text.contains("--max-children"), "{text}");
    // Those who have a server share it.
    let mut more = session(&bridge, BOB, "{}").await;
    assert_eq!(pid(&mut more).await, pid(&mut bob).await);
    // One that nobody uses makes room, however long it might have been kept.
    alice.finish().await;
    let mut tries = 0;
    while post().await.status() != 200 {
        tries += 1;
        assert!(tries < 100, "there is no room");
    }
    assert_eq!(bridge.program.servers().len(), 2);
    bridge.stop().await;
}

/// Where the handshake comes after the connection, the same is its answer.
#[tokio::test]
async fn a_handshake_over_the_limit_is_answered_with_the_reason() {
    let bridge = Bridge::demo(&["serve", "--pooled", "--max-children", "1"]).await;
    let one = bridge.client(Kind::Http).await;
    let mut two = Client::sse(bridge.addr, "/sse").await;
    two.send(&declaring("{}")).await;
    let refused = two.answer("0").await;
    let (code, text) = refused.error();
    assert!(code == -32000 && text.contains("--max-children"), "{text}");
    // The session is there still.
    two.send(&initialize("1", "2025-06-18")).await;
    assert!(two.answer("1").await.json["result"].is_object());
    drop(one);
    bridge.stop().await;
}

#[tokio::test]
async fn a_pooled_server_that_dies_is_replaced_for_its_sessions_alone() {
    let (_dir, bridge) = behind_a_door(&[], &[]).await;
    let (mut one, mut two) = (session(&bridge, ALICE, "{}").await, session(&bridge, ALICE, "{}").await);
    let mut bob = session(&bridge, BOB, "{}").await;
    for client in [&mut one, &mut two, &mut bob] {
        client.listen().await;
    }
    let (hers, his) = (pid(&mut one).await, pid(&mut bob).await);
    one.request("resources/subscribe", json!({"uri": "demo://counter"})).await;
    one.send(&tool("\"last\"", "crash", json!({"code": 7}))).await;
    assert_eq!(one.answer("\"last\"").await.json["error"]["data"]["exitCode"], 7);
    for client in [&mut one, &mut two] {
        client.message("notifications/tools/list_changed").await;
    }
    one.message("notifications/resources/updated").await;
    let next = pid(&mut two).await;
    assert!(next != hers && next == pid(&mut one).await);
    two.call("touch", json!({})).await;
    one.message("notifications/resources/updated").await;
    assert_eq!(pid(&mut bob).await, his);
    let heard = bob.finish().await;
    assert!(heard.is_empty(), "{heard:?}");
    bridge.stop().await;
}

/// A server without a handshake is told with each request what its caller can do.
#[tokio::test]
async fn a_modern_server_is_shared_by_all_that_one_principal_has() {
    for flags in [&[][..], &["--server-era", "modern"]] {
        let (_dir, bridge) = behind_a_door(flags, &["--era", "modern"]).await;
        let mut one = session(&bridge, ALICE, "{}").await;
        let mut two = session(&bridge, ALICE, r#"{"roots":{}}"#).await;
        let hers = pid(&mut one).await;
        assert_eq!(pid(&mut two).await, hers);
        assert_eq!(modern_pid(&bridge, ALICE).await, hers);
        let his = modern_pid(&bridge, BOB).await;
        assert_ne!(his, hers);
        assert_eq!(pid(&mut session(&bridge, BOB, "{}").await).await, his);
        assert_eq!(bridge.program.servers().len(), 2);
        bridge.stop().await;
    }
}

#[tokio::test]
async fn modern_callers_of_either_kind_of_server_are_kept_apart() {
    for era in ["legacy", "modern", "both"] {
        let (_dir, bridge) = behind_a_door(&["--idle-timeout", "300ms"], &["--era", era]).await;
        let (hers, his) = (modern_pid(&bridge, ALICE).await, modern_pid(&bridge, BOB).await);
        assert_ne!(hers, his, "{era}");
        none_is_left(&bridge).await;
        bridge.stop().await;
    }
}

/// The server of a principal that has gone makes room for that of another.
#[tokio::test]
async fn one_process_is_enough_for_strangers_who_come_one_after_the_other() {
    for era in ["legacy", "modern"] {
        let (_dir, bridge) = behind_a_door(&["--max-children", "1", "--server-era", era], &["--era", era]).await;
        let (one, two) = (modern_pid(&bridge, ALICE).await, modern_pid(&bridge, BOB).await);
        assert_ne!(one, two, "{era}");
        bridge.stop().await;
    }
}

#[tokio::test]
async fn a_server_of_a_file_can_be_pooled() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mcp.json");
    let demo = json!({"command": BINARY, "args": ["demo-server"], "sharing": "pooled"});
    let servers: Value = json!({"mcpServers": {"default": demo}});
    std::fs::write(&file, servers.to_string()).unwrap();
    let bridge = Bridge::start(&["serve", "--config", file.to_str().unwrap()]).await;
    let (mut one, mut two) = (bridge.client(Kind::Http).await, bridge.client(Kind::Sse).await);
    let mut other = open(Client::http(bridge.addr, "/mcp"), "{}").await;
    let first = pid(&mut one).await;
    assert!(first == pid(&mut two).await && first != pid(&mut other).await);
    bridge.stop().await;
}
