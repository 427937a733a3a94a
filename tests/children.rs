//! How many processes of a server there are, and what each one gets from its caller: `--max-children`, `--warm`,
//! `--header-env`, `--idle-timeout`.

use std::collections::BTreeSet;

use mcp_bridge::peer::Era;
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    at_last,
    client::{Client, Kind, initialize, tool},
    eventually, processes,
    program::{BINARY, Bridge},
    user::User,
};

fn servers(bridge: &Bridge) -> BTreeSet<i32> {
    bridge.program.servers().into_iter().map(|(pid, _)| pid).collect()
}

async fn spares(bridge: &Bridge, number: usize) -> BTreeSet<i32> {
    eventually("the spare processes", || Some(servers(bridge)).filter(|pids| pids.len() == number)).await
}

async fn pid(client: &mut Client) -> i32 {
    client.call("pid", json!({})).await.tool_text().parse().unwrap()
}

async fn token(user: &mut User) -> String {
    user.call("env", json!({"name": "DEMO_TOKEN"})).await.tool_text().to_owned()
}

async fn check_modern(bridge: &Bridge) {
    let answer = User::modern(Client::modern(bridge.addr, "/mcp")).call("echo", json!({"message": "modern"})).await;
    assert_eq!(answer.tool_text(), "modern");
}

// ---- --max-children

#[tokio::test]
async fn a_process_over_the_limit_is_refused_until_one_has_ended() {
    let bridge = Bridge::demo(&["serve", "--max-children", "1"]).await;
    let one = bridge.client(Kind::Http).await;
    let refused = bridge.post(&initialize("0", "2025-06-18")).await;
    assert!(refused.header("retry-after").is_some());
    let (status, code, _, text) = refused.refusal();
    assert_eq!((status, code), (503, -32000), "{text}");
    assert!(text.contains("--max-children"), "{text}");
    drop(one.finish().await);
    // The next one waits for it to end, if it must.
    bridge.client(Kind::Sse).await.check("a new one").await;
    bridge.stop().await;
}

/// Where only one process may be, the era is found out all the same, for callers of both.
#[tokio::test]
async fn one_process_is_enough_for_any_pair_of_eras() {
    for era in ["legacy", "modern", "both"] {
        let demo = ["--max-children", "1", "--", BINARY, "demo-server", "--era", era];
        let bridge = Bridge::start(&[&["serve"], &demo[..]].concat()).await;
        let mut legacy = bridge.client(Kind::Http).await;
        legacy.check("legacy").await;
        legacy.finish().await;
        eventually("the end of its server", || servers(&bridge).is_empty().then_some(())).await;
        check_modern(&bridge).await;
        bridge.stop().await;
    }
}

// ---- --warm

#[tokio::test]
async fn a_session_takes_a_spare_and_the_next_one_is_started() {
    let bridge = Bridge::demo(&["serve", "--warm", "2"]).await;
    let before = spares(&bridge, 2).await;
    let mut one = bridge.client(Kind::Http).await;
    assert!(before.contains(&pid(&mut one).await));
    let mut two = bridge.client(Kind::Sse).await;
    assert!(servers(&bridge).contains(&pid(&mut two).await));
    spares(&bridge, 4).await;
    drop((one.finish().await, two.finish().await));
    spares(&bridge, 2).await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_spare_that_dies_is_replaced() {
    let bridge = Bridge::demo(&["serve", "--warm", "2"]).await;
    let before = spares(&bridge, 2).await;
    let killed = *before.first().unwrap();
    processes::signal(killed, Signal::KILL);
    eventually("another spare", || Some(servers(&bridge)).filter(|pids| pids.len() == 2 && !pids.contains(&killed)))
        .await;
    bridge.client(Kind::Http).await.check("alive").await;
    bridge.stop().await;
}

/// They are somebody's of either era: nothing is asked of them before.
#[tokio::test]
async fn spares_serve_callers_of_both_eras_and_count_as_processes() {
    for era in ["legacy", "modern"] {
        let demo = ["--warm", "1", "--max-children", "2", "--", BINARY, "demo-server", "--era", era];
        let bridge = Bridge::start(&[&["serve"], &demo[..]].concat()).await;
        spares(&bridge, 1).await;
        check_modern(&bridge).await;
        let mut legacy = bridge.client(Kind::Http).await;
        legacy.check("legacy").await;
        assert!(bridge.program.servers().len() <= 2);
        bridge.stop().await;
    }
}

// ---- --header-env

const HEADER: &str = "X-Demo-Token";

async fn with_tokens(env: &[(&str, &str)]) -> Bridge {
    let flags = ["serve", "--log-level", "trace", "--header-env", "x-demo-token=DEMO_TOKEN"];
    Bridge::start_with(&[&flags[..], &["--demo", "--env", "MCP_BRIDGE_DEMO_TEST=1"]].concat(), env).await
}

#[tokio::test]
async fn each_caller_has_its_own_server_with_its_own_variable() {
    // What the bridge itself has is nobody's.
    let bridge = with_tokens(&[("DEMO_TOKEN", "of-the-bridge")]).await;
    for era in [Era::Legacy, Era::Modern] {
        let user = async |value: Option<&str>| {
            let header = |client: Client| match value {
                Some(value) => client.with_header(HEADER, value),
                None => client,
            };
            match era {
                Era::Legacy => User::legacy(header(Client::http(bridge.addr, "/mcp"))).await,
                Era::Modern => User::modern(header(Client::modern(bridge.addr, "/mcp"))),
            }
        };
        let (mut one, mut two) = (user(Some("hunter-1")).await, user(Some("hunter-2")).await);
        assert_eq!(token(&mut one).await, "DEMO_TOKEN=hunter-1");
        assert_eq!(token(&mut two).await, "DEMO_TOKEN=hunter-2");
        assert_eq!(token(&mut user(None).await).await, "DEMO_TOKEN is not set");
        assert_eq!(token(&mut one).await, "DEMO_TOKEN=hunter-1", "again");
        assert!(!bridge.program.family().iter().any(|(_, line)| line.contains("hunter")));
    }
    let log = bridge.stop().await;
    assert!(!log.contains("hunter"), "{log}");
}

/// Over the older transport the request for the stream says it, over WebSocket the one for the connection.
#[tokio::test]
async fn every_wire_gives_the_variable() {
    let bridge = with_tokens(&[]).await;
    let header = [("x-demo-token", "hunter-1")];
    let sse = Client::sse_with(bridge.addr, "/sse", &header).await;
    assert_eq!(token(&mut User::legacy(sse).await).await, "DEMO_TOKEN=hunter-1");
    assert_eq!(token(&mut User::in_session(bridge.sse().await)).await, "DEMO_TOKEN is not set");
    for era in [Era::Legacy, Era::Modern] {
        let (with, without) =
            (Client::ws_with(bridge.addr, "/ws", &header).await, Client::ws(bridge.addr, "/ws").await);
        let (mut with, mut without) = match era {
            Era::Legacy => (User::legacy(with).await, User::legacy(without).await),
            Era::Modern => (User::modern(with), User::modern(without)),
        };
        assert_eq!(token(&mut with).await, "DEMO_TOKEN=hunter-1", "{era:?}");
        assert_eq!(token(&mut without).await, "DEMO_TOKEN is not set", "{era:?}");
    }
    let log = bridge.stop().await;
    assert!(!log.contains("hunter"), "{log}");
}

/// One process may be: the one of a caller that is gone makes room, and one that is in use does not. A filter of tools stands
/// before each of them.
#[tokio::test]
async fn the_server_of_a_caller_that_is_gone_makes_room_for_that_of_another() {
    for filter in [&[][..], &["--deny-tool", "pid"]] {
        for era in ["legacy", "modern"] {
            let flags = ["serve", "--max-children", "1", "--header-env", "x-demo-token=DEMO_TOKEN"];
            let demo =
                ["--env", "MCP_BRIDGE_DEMO_TEST=1", "--server-era", era, "--", BINARY, "demo-server", "--era", era];
            let bridge = Bridge::start(&[&flags[..], filter, &demo].concat()).await;
            let modern = |value| User::modern(Client::modern(bridge.addr, "/mcp").with_header(HEADER, value));
            // A caller is gone a moment after its last answer has left.
            let is_taken = async |value: &str| bridge.ask("GET", "/mcp", &[(HEADER, value)], "").await.status() != 503;
            for value in ["hunter-1", "hunter-2", "hunter-1"] {
                at_last("a place", async || is_taken(value).await.then_some(())).await;
                let mut user = modern(value);
                assert_eq!(token(&mut user).await, format!("DEMO_TOKEN={value}"), "{era} {filter:?}");
                let listed = user.ask("tools/list", json!({})).await;
                assert_eq!(listed.text.contains(r#""name":"pid""#), filter.is_empty(), "{era}");
                if !filter.is_empty() {
                    assert_eq!(user.call("pid", json!({})).await.error().0, -32602, "{era}");
                }
            }
            at_last("a place", async || is_taken("hunter-3").await.then_some(())).await;
            let mut stays = User::legacy(Client::http(bridge.addr, "/mcp").with_header(HEADER, "hunter-3")).await;
            assert_eq!(token(&mut stays).await, "DEMO_TOKEN=hunter-3", "{era} {filter:?}");
            let refused = modern("hunter-4").call("echo", json!({"message": "x"})).await;
            assert!(refused.error().1.contains("--max-children"), "{era}: {}", refused.text);
            assert_eq!(token(&mut stays).await, "DEMO_TOKEN=hunter-3", "{era}");
            bridge.stop().await;
        }
    }
}

/// A session's server has what its first request said.
#[tokio::test]
async fn another_value_within_a_session_changes_nothing() {
    let bridge = with_tokens(&[]).await;
    let user = User::legacy(Client::http(bridge.addr, "/mcp").with_header(HEADER, "hunter-1")).await;
    let mut user = User { client: user.client.with_header(HEADER, "hunter-2"), ..user };
    assert_eq!(token(&mut user).await, "DEMO_TOKEN=hunter-1");
    bridge.stop().await;
}

// ---- --idle-timeout

async fn none_is_left(bridge: &Bridge) {
    eventually("the end of an idle server", || servers(bridge).is_empty().then_some(())).await;
}

#[tokio::test]
async fn an_idle_shared_server_ends_and_its_sessions_have_another_when_they_need_it() {
    let bridge = Bridge::demo(&["serve", "--shared", "--idle-timeout", "300ms"]).await;
    let (mut one, mut two) = (bridge.client(Kind::Sse).await, bridge.client(Kind::Http).await);
    let first = pid(&mut one).await;
    none_is_left(&bridge).await;
    let second = pid(&mut two).await;
    assert_ne!(first, second);
    // A call in flight is a use, however long it takes.
    let slow = one.call("slow", json!({"steps": 1, "step_ms": 1200})).await;
    assert!(slow.tool_text().contains('1'), "{}", slow.text);
    none_is_left(&bridge).await;
    // A subscription is one, too: its news come only from a process.
    one.request("resources/subscribe", json!({"uri": "demo://counter"})).await;
    let third = pid(&mut one).await;
    two.call("slow", json!({"steps": 1, "step_ms": 1200})).await;
    assert_eq!(pid(&mut two).await, third);
    bridge.stop().await;
}

/// In a file each server has its own, else that of `[defaults]`, else that of the flag.
#[tokio::test]
async fn a_server_of_a_file_is_idle_for_as_long_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mcp.toml");
    let server = |name: &str, more: &str| {
        format!("[servers.{name}]\ncommand = {BINARY:?}\nargs = [\"demo-server\", \"--era\", \"legacy\"]\n{more}\n")
    };
    let (short, own, never) =
        (server("short", ""), server("own", "idle_timeout = \"1h\""), server("never", "idle_timeout = 0"));
    std::fs::write(&file, format!("[defaults]\nsharing = \"shared\"\nidle_timeout = \"300ms\"\n{short}{own}{never}"))
        .unwrap();
    let bridge = Bridge::start(&["serve", "--idle-timeout", "2h", "--config", file.to_str().unwrap()]).await;
    let mut clients = Vec::new();
    for name in ["short", "own", "never"] {
        let mut client = Client::http(bridge.addr, &format!("/servers/{name}/mcp"));
        client.initialize("2025-06-18").await;
        let pid = pid(&mut client).await;
        clients.push((client, pid));
    }
    let left = eventually("the end of one", || Some(servers(&bridge)).filter(|pids| pids.len() == 2)).await;
    assert!(!left.contains(&clients[0].1), "the short one has ended");
    let mut again = Vec::new();
    for (client, _) in &mut clients {
        again.push(pid(client).await);
    }
    assert_eq!(again[1..], [clients[1].1, clients[2].1]);
    bridge.stop().await;
}

#[tokio::test]
async fn idle_servers_of_callers_without_a_session_end_and_start_again() {
    for (flags, era, modern) in [
        (&["--stateless"][..], "legacy", false),
        (&[], "modern", true),
        // Kept for modern callers by the translation.
        (&[], "legacy", true),
    ] {
        let demo = ["--idle-timeout", "300ms", "--", BINARY, "demo-server", "--era", era];
        let bridge = Bridge::start(&[&["serve"], flags, &demo[..]].concat()).await;
        for _ in 0..2 {
            match modern {
                true => check_modern(&bridge).await,
                false => {
                    let answer = bridge.post(&tool("1", "echo", json!({"message": "x"}))).await;
                    assert_eq!(answer.json()["result"]["content"][0]["text"], "x");
                }
            }
            none_is_left(&bridge).await;
        }
        bridge.stop().await;
    }
}
