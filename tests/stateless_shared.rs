//! Who gets which server: `--shared`, `--stateless`, and the limits on sessions.

use serde_json::{Value, json};

use crate::support::{
    client::{Client, Kind, initialize, notification, tool},
    eventually,
    http::{POST, STREAM},
    program::Bridge,
    route::Route,
};

#[tokio::test]
async fn a_session_has_its_own_server_and_with_shared_all_have_one() {
    for (flags, servers) in [(vec!["serve"], 4), (vec!["serve", "--shared"], 1)] {
        let bridge = Bridge::demo(&flags).await;
        let mut pids = std::collections::BTreeSet::new();
        let mut clients = Vec::new();
        for kind in [Kind::Sse, Kind::Http, Kind::Sse, Kind::Http] {
            let mut client = bridge.client(kind).await;
            pids.insert(client.call("pid", json!({})).await.tool_text().to_owned());
            clients.push(client);
        }
        assert_eq!((pids.len(), bridge.program.servers().len()), (servers, servers));
        drop(clients);
        bridge.stop().await;
    }
}

/// The shared server sees one handshake, and outlives the sessions.
#[tokio::test]
async fn a_shared_server_sees_one_handshake() {
    let way = Route::ChildToHttp.start_recorded_with(&["--shared"]).await;
    for _ in 0..3 {
        let mut client = way.client().await;
        client.check("x").await;
        client.finish().await;
    }
    let heard = way.stop().await.heard;
    let count = |method: &str| heard.iter().filter(|line| line.contains(&format!("\"{method}\""))).count();
    assert_eq!((count("initialize"), count("notifications/initialized"), count("tools/call")), (1, 1, 3));
}

/// The last subscriber of a resource ends the server's subscription, however it leaves.
#[tokio::test]
async fn a_shared_subscription_ends_with_its_last_subscriber() {
    let way = Route::ChildToSse.start_recorded_with(&["--shared"]).await;
    let (mut one, mut two, mut three) = (way.client().await, way.client().await, way.client().await);
    let uri = json!({"uri": "demo://counter"});
    one.request("resources/subscribe", uri.clone()).await;
    two.request("resources/subscribe", uri.clone()).await;
    one.request("resources/unsubscribe", uri.clone()).await;
    three.call("touch", json!({})).await;
    two.message("notifications/resources/updated").await;
    drop(two);
    // A request of the bridge's own follows when it has noticed.
    let mut rounds = 0;
    loop {
        three.call("touch", json!({})).await;
        rounds += 1;
        if rounds > 20 {
            break;
        }
    }
    assert!(one.finish().await.is_empty());
    assert!(three.finish().await.is_empty());
    let heard = way.stop().await.heard;
    assert_eq!(heard.iter().filter(|line| line.contains("resources/unsubscribe")).count(), 1);
}

fn call(id: u64, name: &str, arguments: Value) -> String {
    tool(&id.to_string(), name, arguments)
}

#[tokio::test]
async fn a_stateless_bridge_serves_each_post_alone() {
    let bridge = Bridge::demo(&["stdio-to-http", "--stateless"]).await;
    // No handshake, no session.
    let answer = bridge.post(&call(1, "echo", json!({"message": "first of all"}))).await;
    assert_eq!((answer.status(), answer.json()["result"]["content"][0]["text"].as_str()), (200, Some("first of all")));
    assert_eq!(answer.header("mcp-session-id"), None);
    // A handshake is answered all the same, with the revision that is asked for.
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let answer = bridge.post(&initialize("\"i\"", version)).await;
        assert_eq!(answer.json()["result"]["protocolVersion"], version);
        assert_eq!((answer.json()["id"].clone(), answer.header("mcp-session-id")), (json!("i"), None));
        let told = bridge.post(&notification("notifications/initialized")).await;
        assert_eq!((told.status(), told.body.as_str()), (202, ""));
    }
    // A session id that some other server gave out is no matter.
    let headers = [&POST[..], &[("Mcp-Session-Id", "none-of-ours")]].concat();
    assert_eq!(bridge.ask("POST", "/mcp", &headers, &call(2, "echo", json!({"message": "x"}))).await.status(), 200);
    // Equal ids at the same time are kept apart.
    let all = (0..30).map(|n| {
        let bridge = &bridge;
        async move { (n, bridge.post(&call(7, "echo", json!({"message": format!("{n}")}))).await) }
    });
    for (n, answer) in futures::future::join_all(all.map(Box::pin)).await {
        let json = answer.json();
        assert_eq!((&json["id"], &json["result"]["content"][0]["text"]), (&json!(7), &json!(n.to_string())));
    }
    assert_eq!(bridge.program.servers().len(), 1);
    bridge.stop().await;
}

#[tokio::test]
async fn a_stateless_bridge_refuses_what_needs_a_session_and_says_so() {
    let bridge = Bridge::demo(&["serve", "--stateless"]).await;
    for (method, path) in [("GET", "/mcp"), ("DELETE", "/mcp")] {
        let response = bridge.ask(method, path, &STREAM, "").await;
        let (status, _, _, text) = response.refusal();
        assert_eq!((status, response.header("allow")), (405, Some("POST")));
        assert_eq!(text, "without sessions (--stateless) there is only POST here");
    }
    // The older transport is a session, and so is not offered.
    let (status, _, _, text) = bridge.ask("GET", "/sse", &STREAM, "").await.refusal();
    assert_eq!(
        (status, text.as_str()),
        (404, "there is nothing at this path; the bridge serves /mcp (Streamable HTTP)")
    );
    for method in ["resources/subscribe", "resources/unsubscribe", "logging/setLevel"] {
        let request =
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"uri": "demo://counter", "level": "info"}});
        let error = bridge.post(&request.to_string()).await.json()["error"].clone();
        assert_eq!(error["code"], -32601, "{method}: {error}");
        assert!(error["message"].as_str().unwrap().contains("--stateless"), "{error}");
    }
    // An answer, where nothing was asked.
    let (status, _, _, text) = bridge.post(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await.refusal();
    assert_eq!((status, text.contains("--stateless")), (400, true));
    // What asks the user: the server is told that this client cannot be asked, and says so in its result.
    let asked = bridge.post(&call(1, "ask", json!({"message": "?"}))).await.json();
    assert_eq!(asked["result"]["isError"], true, "{asked}");
    // Progress needs no session: it comes on the stream of its call.
    let work = crate::support::client::tool_with_progress("5", "5", "slow", json!({"steps": 3, "step_ms": 1}));
    let mut client = Client::http(bridge.addr, "/mcp");
    client.send(&work).await;
    assert_eq!(client.answer("5").await.tool_text(), "Did 3 steps.");
    for n in 1..=3 {
        assert_eq!(client.message("notifications/progress").await.json["params"]["progress"], n);
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_stateless_server_that_crashed_is_replaced() {
    let bridge = Bridge::demo(&["serve", "--stateless"]).await;
    let crashed = bridge.post(&call(1, "crash", json!({"code": 3}))).await.json();
    assert_eq!(crashed["error"]["data"]["exitCode"], 3, "{crashed}");
    let next = bridge.post(&call(1, "echo", json!({"message": "a new one"}))).await.json();
    assert_eq!(next["result"]["content"][0]["text"], "a new one", "{next}");
    bridge.stop().await;
}

#[tokio::test]
async fn a_session_over_the_limit_gets_503_with_retry_after_until_one_ends() {
    for flags in [vec!["serve"], vec!["serve", "--shared"]] {
        let bridge = Bridge::demo(&[&flags[..], &["--max-sessions", "2"]].concat()).await;
        let (http, sse) = (bridge.http().await, bridge.sse().await);
        for response in
            [bridge.post(&initialize("\"third\"", "2025-06-18")).await, bridge.ask("GET", "/sse", &STREAM, "").await]
        {
            let (status, code, id, text) = response.refusal();
            assert_eq!((status, code, response.header("retry-after")), (503, -32000, Some("5")));
            assert!(id == json!("third") || id == json!(null), "{id}");
            assert_eq!(text, "all 2 sessions are in use; try again later, or raise --max-sessions");
        }
        // Full is not unhealthy.
        assert_eq!(bridge.get("/readyz").await.status(), 200);
        assert_eq!(http.delete().await.status(), 204);
        let mut third = retried(&bridge).await;
        third.check("there is a place again").await;
        drop(sse);
        let mut fourth = retried(&bridge).await;
        fourth.check("and again").await;
        drop((http, third, fourth));
        bridge.stop().await;
    }
}

/// A session as soon as there is a place: it is free when no process of the session before is left.
async fn retried(bridge: &Bridge) -> Client {
    crate::support::at_last("a place", async || {
        let mut client = Client::http(bridge.addr, "/mcp");
        client.send(&initialize("0", "2025-06-18")).await;
        if client.answer("0").await.status != 200 {
            return None;
        }
        client.send(&notification("notifications/initialized")).await;
        Some(client)
    })
    .await
}

#[tokio::test]
async fn an_idle_session_ends_and_frees_its_server() {
    // Longer than a response is silent before it becomes a stream.
    let bridge = Bridge::demo(&["serve", "--session-timeout", "2500ms", "--keepalive", "50ms"]).await;
    // A stream that is read is traffic.
    let mut read = bridge.client(Kind::Http).await;
    let idle = bridge.http().await;
    let servers = || (bridge.program.servers().len() <= 1).then_some(());
    eventually("the end of the idle session's server", servers).await;
    let (status, _, _, text) = idle.post(&tool("1", "echo", json!({"message": "x"}))).await.refusal();
    let expected = "no such session, or it has ended; send initialize again, without the Mcp-Session-Id header";
    assert_eq!((status, text.as_str()), (404, expected));
    read.check("this one is not idle").await;
    // One with a call in flight is not either, though it has no other stream.
    let mut caller = bridge.http().await;
    assert_eq!(caller.call("slow", json!({"steps": 1, "step_ms": 4000})).await.tool_text(), "Did 1 steps.");
    drop((read, idle, caller));
    bridge.stop().await;
}
