//! What dies, stalls, floods and ignores: the child, the client and the bridge, each in turn. Processes that ignore
//! SIGTERM and processes that left their group end with the bridge, however it goes.

use std::{process::Stdio, time::Duration};

use rustix::process::Signal;
use serde_json::json;
use tokio::{process::Command, task::JoinSet};

use crate::support::{
    client::{Client, Kind, initialize, tool, tool_with_progress},
    eventually,
    http::{Conn, POST, STREAM, request},
    processes,
    program::{BINARY, Bridge, Program},
    soon,
};

/// A bridge in front of a line of shell, in which `$DEMO` is a demo server.
async fn shell(flags: &[&str], line: &str) -> Bridge {
    let demo = format!("DEMO={BINARY}");
    Bridge::start(&[flags, &["--env", &demo, "--shell", line]].concat()).await
}

// ---- the child

#[tokio::test]
async fn a_child_that_is_killed_is_reported_with_its_signal() {
    let bridge = Bridge::demo(&["serve"]).await;
    for kind in [Kind::Sse, Kind::Http] {
        let mut client = bridge.client(kind).await;
        client.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
        let pid = client.call("pid", json!({})).await.tool_text().parse().unwrap();
        processes::signal(pid, Signal::KILL);
        let answer = client.answer("1").await;
        assert_eq!(answer.error(), (-32603, "the server demo-server was killed by signal 9"));
        assert_eq!(answer.json["error"]["data"], json!({"exitCode": null, "signal": 9, "stderr": []}));
    }
    bridge.stop().await;
}

/// Its last words are in the answer: what a missing module or a bad key looks like.
#[tokio::test]
async fn a_child_that_ends_at_once_answers_initialize_with_its_last_words() {
    let line =
        "echo starting >&2; for n in $(seq 20); do echo \"line $n\" >&2; done; echo 'no such module' >&2; exit 4";
    let bridge = shell(&["serve"], line).await;
    let (status, code, id, text) = {
        let response = bridge.post(&initialize("0", "2025-06-18")).await;
        assert_eq!(response.header("mcp-session-id"), None, "there is no session");
        let data = response.json()["error"]["data"].clone();
        assert_eq!((&data["exitCode"], data["stderr"].as_array().unwrap().len()), (&json!(4), 10));
        assert_eq!(data["stderr"][9], "no such module");
        let json = response.json();
        let message = json["error"]["message"].as_str().unwrap().to_owned();
        (response.status(), json["error"]["code"].clone(), json["id"].clone(), message)
    };
    assert_eq!((status, code, id), (200, json!(-32603), json!(0)));
    assert_eq!(text, "the server shell exited with code 4; its last words: no such module");
    bridge.stop().await;
}

#[tokio::test]
async fn a_child_that_closes_its_output_answers_what_is_pending() {
    let bridge = shell(&["serve", "--stop-timeout", "200ms"], "exec >&-; exec sleep 600").await;
    let response = bridge.post(&initialize("0", "2025-06-18")).await;
    assert_eq!(response.json()["error"]["message"], "the server shell closed its output");
    bridge.stop().await;
}

/// It neither reads nor writes: only a limit that the user set ends the wait, and the session can still be ended.
#[tokio::test]
async fn a_child_that_stalls_is_waited_for_as_long_as_the_user_said() {
    let bridge = shell(&["stdio-to-http", "--request-timeout", "500ms"], "exec sleep 600").await;
    let response = bridge.post(&initialize("0", "2025-06-18")).await;
    let expected = "the server did not answer within 0.5 s; raise --request-timeout if the call may take longer";
    assert_eq!(
        (response.json()["error"]["code"].clone(), response.json()["error"]["message"].clone()),
        (json!(-32000), json!(expected))
    );
    eventually("the end of the refused session's server", || bridge.program.servers().is_empty().then_some(())).await;
    bridge.stop().await;
}

/// The same while somebody answers elsewhere: a server that reads nothing for ever fills its own pipe and nothing else.
#[tokio::test]
async fn a_child_that_does_not_read_holds_up_nobody_else() {
    let line = "if [ -e \"$ONCE\" ]; then exec \"$DEMO\" demo-server; fi; : > \"$ONCE\"; exec sleep 600";
    let dir = tempfile::tempdir().unwrap();
    let once = format!("ONCE={}/once", dir.path().display());
    let bridge = shell(&["stdio-to-sse", "--env", &once], line).await;
    let stalled = Client::sse(bridge.addr, "/sse").await;
    // The order of the two decides which of them gets the stalled server.
    eventually("the first server", || dir.path().join("once").exists().then_some(())).await;
    let mut other = bridge.sse().await;
    let big = tool("1", "echo", json!({"message": "x".repeat(500_000)}));
    let mut greedy = JoinSet::new();
    let (addr, path) = (bridge.addr, format!("/messages?sessionId={}", stalled.session()));
    for _ in 0..8 {
        let (path, big) = (path.clone(), big.clone());
        greedy.spawn(async move {
            Conn::open(addr).await.try_send(&request("POST", &path, &POST, &big)).await;
        });
    }
    for n in 0..20 {
        other.check(&format!("{n}")).await;
    }
    drop((greedy, stalled));
    eventually("the end of the stalled server", || (bridge.program.servers().len() <= 1).then_some(())).await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_child_that_babbles_is_not_answered_and_goes_on() {
    let line = "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; printf '%s\\n' '{\"half' '[]' '7' 'null' '{\"id\":1}'; \
                printf '\\377\\376\\n'; head -c 200000 /dev/urandom >&2; exec \"$DEMO\" demo-server";
    let bridge = shell(&["serve", "--max-message", "1MiB", "--log-level", "error"], line).await;
    for kind in [Kind::Sse, Kind::Http] {
        let mut client = bridge.client(kind).await;
        client.check("after all that").await;
        let rest = client.finish().await;
        assert!(rest.is_empty(), "{rest:?}");
    }
    bridge.stop().await;
}

/// The steps that end a child, with short times: stdin closed, SIGTERM, SIGKILL; each to the whole group.
#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_with_all_that_it_started() {
    let flags = ["serve", "--stop-timeout", "100ms"];
    let (bridge, client) = Bridge::with_tree(&flags).await;
    assert_eq!(client.delete().await.status(), 204);
    // The one that left the group by setsid is the guard's, when the bridge ends.
    eventually("the end of the group", || (bridge.program.servers().len() <= 1).then_some(())).await;
    assert!(bridge.program.stderr.text().lines().count() < 50);
    bridge.stop().await;
}

#[tokio::test]
async fn a_child_that_ends_when_stdin_closes_is_not_killed() {
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("said");
    let line = format!("trap 'echo term >> {0}' TERM; \"$DEMO\" demo-server; echo bye >> {0}", said.display());
    let bridge = shell(&["serve", "--stop-timeout", "30s"], &line).await;
    let client = bridge.http().await;
    assert_eq!(client.delete().await.status(), 204);
    eventually("the last word of the server", || said.exists().then_some(())).await;
    bridge.stop().await;
    assert_eq!(std::fs::read_to_string(&said).unwrap(), "bye\n");
}

/// What an answered-for child leaves behind in its group ends with it.
#[tokio::test]
async fn helpers_of_a_child_that_crashed_are_ended() {
    let bridge = Bridge::demo(&["serve", "--stop-timeout", "100ms"]).await;
    let mut client = bridge.client(Kind::Http).await;
    let helper: i32 = client.call("spawn", json!({"hold_stdout": true})).await.tool_text().parse().unwrap();
    assert!(processes::is_alive(helper));
    client.send(&tool("1", "crash", json!({"code": 1}))).await;
    client.answer("1").await;
    eventually("the end of the helper", || (!processes::is_alive(helper)).then_some(())).await;
    bridge.stop().await;
}

// ---- the client

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_server() {
    let bridge = Bridge::demo(&["serve", "--grace", "10m"]).await;
    for reset in [false, true] {
        let mut conn = Conn::open(bridge.addr).await;
        conn.send(&request("GET", "/sse", &STREAM, "")).await;
        assert_eq!(conn.head().await.status, 200);
        assert_eq!(bridge.program.servers().len(), 1);
        if reset {
            conn.reset()
        } else {
            drop(conn)
        }
        eventually("the end of its server", || bridge.program.servers().is_empty().then_some(())).await;
    }
    // A call in flight makes no difference: nobody is left to hear its answer.
    let mut client = bridge.sse().await;
    client.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
    client.check("in flight").await;
    drop(client);
    eventually("the end of its server", || bridge.program.servers().is_empty().then_some(())).await;
    // On Streamable HTTP a disconnect ends nothing: the session goes on until DELETE.
    let mut client = bridge.http().await;
    client.send(&tool_with_progress("1", "1", "slow", json!({"steps": 100, "step_ms": 10}))).await;
    client.message("notifications/progress").await;
    let mut again = Client::http(bridge.addr, "/mcp").with_header("Mcp-Session-Id", client.session());
    drop(client);
    again.check("the session is still there").await;
    assert_eq!(again.delete().await.status(), 204);
    eventually("the end of its server", || bridge.program.servers().is_empty().then_some(())).await;
    bridge.stop().await;
}

/// Half heads and a byte a second, by the hundred: each connection is closed within half a minute or so, and a good client
/// is served meanwhile.
#[tokio::test]
async fn clients_that_send_a_byte_a_second_are_closed_and_hold_up_nobody() {
    let bridge = Bridge::demo(&["serve"]).await;
    let mut client = bridge.http().await;
    let mut slow = JoinSet::new();
    for n in 0..200 {
        let addr = bridge.addr;
        let session = client.session().to_owned();
        slow.spawn(async move {
            let headers = [&POST[..], &[("Content-Length", "100000"), ("Mcp-Session-Id", session.as_str())]].concat();
            let whole = request("POST", "/mcp", &headers, "");
            let mut conn = Conn::open(addr).await;
            let (mut left, wanted): (&[u8], &str) = match n % 3 {
                0 => (&whole[..30], "half a head"),
                1 => (&whole[..30], "a head, byte by byte"),
                _ => (&whole[..], "a body, byte by byte"),
            };
            if wanted != "a head, byte by byte" {
                conn.send(left).await;
                left = b"";
            }
            let mut second = tokio::time::interval(Duration::from_secs(1));
            for step in 0..60 {
                second.tick().await;
                let byte = match left.split_first() {
                    Some((byte, rest)) if wanted == "a head, byte by byte" => {
                        left = rest;
                        Some(*byte)
                    }
                    _ if wanted == "a body, byte by byte" => Some(b' '),
                    _ => None,
                };
                if let Some(byte) = byte
                    && !conn.try_send(&[byte]).await
                {
                    return (wanted, step);
                }
                let mut seen = [0];
                match conn.stream.try_read(&mut seen) {
                    Ok(0) => return (wanted, step),
                    // The refusal of a body that comes too slowly.
                    Ok(_) => return (wanted, step),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => return (wanted, step),
                }
            }
            (wanted, 60)
        });
    }
    for n in 0..50 {
        client.check(&format!("{n}")).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(70), slow.join_all()).await.expect("the end of slow clients");
    for (wanted, seconds) in ended {
        // 30 s by the limits, some more on a busy machine.
        assert!((15..50).contains(&seconds), "{wanted}: {seconds} s");
    }
    client.check("all the same").await;
    drop(client);
    bridge.stop().await;
}

// ---- the bridge

/// All of [`processes::TREE`] ends: in order, when asked, and with the bridge killed. A session more than one, over both
/// wires.
#[tokio::test]
async fn no_process_survives_the_bridge_however_it_ends() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::KILL, Signal::ABORT] {
        let flags = ["serve", "--grace", "1", "--stop-timeout", "100ms"];
        let (mut bridge, client) = Bridge::with_tree(&flags).await;
        let mut second = bridge.client(Kind::Sse).await;
        second.check("up").await;
        bridge.program.signal(signal);
        let status = bridge.program.exit().await;
        let in_order = matches!(signal, Signal::TERM | Signal::INT | Signal::HUP);
        assert_eq!(status.code(), in_order.then_some(0), "{signal:?}");
        match in_order {
            true => assert_eq!(bridge.program.family(), [], "{signal:?}"),
            false => bridge.program.no_family().await,
        }
        drop((client, second));
    }
}

/// A bridge in front of a bridge, of which the outer one is killed.
#[tokio::test]
async fn no_process_survives_a_chain_of_bridges() {
    let (inner, client) = Bridge::with_tree(&["serve"]).await;
    let line = format!("'{BINARY}' connect {}", inner.url("/mcp"));
    let mut outer = Bridge::start(&["serve", "--shell", &line]).await;
    outer.client(Kind::Sse).await.check("through both").await;
    outer.program.signal(Signal::KILL);
    outer.program.exit().await;
    outer.program.no_family().await;
    drop(client);
    inner.stop().await;
}

/// The guard kills who carries its mark, and nobody else; with the bridge killed it is the one that is left to do so.
#[tokio::test]
async fn the_guard_kills_who_carries_its_mark_and_ends() {
    let mark = uuid::Uuid::new_v4().simple().to_string();
    let child = |marks: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; exec setsid sleep 600"]).env("MCP_BRIDGE_GUARD", marks);
        command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap()
    };
    let mut carriers = [child(&mark), child(&format!("outer,{mark}")), child(&format!("{mark},inner"))];
    let mut others = [child("another"), child(&format!("{mark}x")), child("")];
    let mut guard = Program::start(&["guard", &mark]);
    // It is there, and waits.
    let pids: Vec<i32> = carriers.iter().map(|child| i32::try_from(child.id().unwrap()).unwrap()).collect();
    for pid in &pids {
        eventually("the exec of a carrier", || {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with("sleep").then_some(())
        })
        .await;
    }
    assert!(processes::is_alive(guard.pid));
    drop(guard.stdin.take());
    assert_eq!(guard.code().await, 0);
    for carrier in &mut carriers {
        assert!(!soon("the end of a carrier", carrier.wait()).await.unwrap().success());
    }
    for other in &mut others {
        assert!(other.try_wait().unwrap().is_none(), "not the guard's");
    }
}

/// A guard that somebody ends is replaced, and the new one knows what the one before knew.
#[tokio::test]
async fn a_guard_that_is_killed_is_started_again_and_leaves_nobody_behind() {
    let (bridge, client) = Bridge::with_tree(&["serve"]).await;
    let guard = || bridge.program.family().into_iter().find(|(_, line)| line.contains(" guard ")).map(|(pid, _)| pid);
    let first = guard().unwrap();
    processes::signal(first, Signal::KILL);
    bridge.program.stderr.has("somebody ended the guard").await;
    let second = eventually("another guard", guard).await;
    assert_ne!(first, second);
    assert!(bridge.program.servers().len() >= processes::TREE_SIZE, "no server was ended for it");
    bridge.program.signal(Signal::KILL);
    bridge.program.no_family().await;
    drop(client);
}

/// A subscription has no end of its own, so nobody waits for it: not for --grace, and not for good.
#[tokio::test]
async fn a_client_command_with_a_subscription_ends_when_its_client_is_gone() {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"notifications": {"toolsListChanged": true}, "_meta": meta});
    let listen = json!({"jsonrpc": "2.0", "id": "L", "method": "subscriptions/listen", "params": params}).to_string();
    for era in ["legacy", "modern"] {
        let server = ["stdio-to-http", "--", BINARY, "demo-server", "--era", era];
        let bridge = Bridge::start(&server).await;
        for signal in [None, Some(Signal::TERM)] {
            let mut client = Client::stdio(&["connect", "--grace", "600", &bridge.url("/mcp")]);
            client.send(&listen).await;
            client.message("notifications/subscriptions/acknowledged").await;
            match signal {
                None => drop(client.program().stdin.take()),
                Some(signal) => client.program().signal(signal),
            }
            assert_eq!(client.program().code().await, 0, "{era} {signal:?}");
        }
        bridge.stop().await;
    }
}

/// A client's command has no child, and ends when its own client is gone, whatever the server does.
#[tokio::test]
async fn a_client_command_ends_when_its_client_is_gone() {
    let bridge = Bridge::demo(&["serve"]).await;
    for path in ["/sse", "/mcp"] {
        let mut client = Client::stdio(&["connect", "--grace", "1", &bridge.url(path)]);
        client.initialize("2025-06-18").await;
        client.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
        client.check("in flight").await;
        drop(client.program().stdin.take());
        // What is not answered within --grace is answered with an error, and then all is over.
        assert_eq!(client.answer("1").await.error().0, -32603);
        assert_eq!(client.program().code().await, 0);
    }
    bridge.stop().await;
}
