//! The seven invariants of the crate's documentation ("What holds"), each over every pair of wires that the bridge joins:
//! a stdio server to either network wire, a remote server of either to stdio, and both in a row.

use std::collections::BTreeMap;

use mcp_bridge::wire::Wire;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    client::{Client, Kind, MODERN, On, initialize, notification, tool, tool_with_progress},
    http::{Conn, STREAM, request},
    program::{BINARY, Bridge},
    route::{Route, over_every_pair},
    user::User,
};

over_every_pair! {
    /// Answered calls, refused calls and calls in flight when the server dies: each id gets one answer, and no second.
    async fn invariant_1_every_request_gets_exactly_one_answer(route: Route) {
        let way = route.start().await;
        let mut client = way.client().await;
        let mut ids = Vec::new();
        for n in 0..10 {
            client.send(&tool(&format!("\"echo-{n}\""), "echo", json!({"message": "x"}))).await;
            client.send(&tool(&format!("\"none-{n}\""), "no-such-tool", json!({}))).await;
            // Answered by the death of the server alone.
            let (id, steps) = (format!("\"slow-{n}\""), json!({"steps": 1_000_000, "step_ms": 300}));
            client.send(&tool_with_progress(&id, &id, "slow", steps)).await;
            ids.extend(["echo", "none", "slow"].map(|name| format!("{name}-{n}")));
        }
        for n in 0..10 {
            client.answer(&format!("\"echo-{n}\"")).await;
            client.answer(&format!("\"none-{n}\"")).await;
            // It is in flight. One that came after the end of its session would be refused instead.
            let token = json!(format!("slow-{n}"));
            client.wait_for("progress", |message| message.json["params"]["progressToken"] == token).await;
        }
        client.send(&tool("\"crash\"", "crash", json!({"code": 3}))).await;
        ids.push("crash".into());
        for id in ids.iter().filter(|id| id.starts_with("slow") || *id == "crash") {
            let answer = client.answer(&format!("\"{id}\"")).await;
            assert_eq!(answer.error().0, -32603, "{}", answer.text);
        }
        if route == Route::ChildToSse {
            client.end_of(On::Pipe).await;
        }
        let second: Vec<_> = client.finish().await.into_iter().filter(|message| message.is_answer()).collect();
        assert!(second.is_empty(), "second answers: {second:?}");
        way.stop().await;
    }

    /// What a client says one after the other reaches the server in that order, and what the server says on one stream
    /// reaches the client in that order. Requests are not waited for on Streamable HTTP, where each is an exchange of
    /// its own: there, notifications keep their order, and no request overtakes what was said before it.
    async fn invariant_2_order_is_kept_both_ways(route: Route) {
        let way = route.start_recorded().await;
        let mut client = way.client().await;
        for n in 0..60 {
            if n % 3 == 0 {
                let id = format!("\"r-{n}\"");
                client.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping","params":{{"n":{n}}}}}"#)).await;
                if route.kind() == Kind::Http {
                    client.answer(&id).await;
                }
            } else {
                client.send(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/n","params":{{"n":{n}}}}}"#)).await;
            }
        }
        client.send(&tool_with_progress("5", "5", "flood", json!({"count": 500, "kind": "progress"}))).await;
        client.answer("5").await;
        let rest = client.finish().await;
        let progress: Vec<_> = rest.iter().filter_map(|message| message.json["params"]["progress"].as_u64()).collect();
        assert_eq!(progress, (1..=500).collect::<Vec<_>>());
        let heard = way.stop().await.heard;
        let numbers = heard.iter().filter_map(|line| json_of(line)["params"]["n"].as_u64());
        assert_eq!(numbers.collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
    }

    /// Unknown fields and methods, number formats, escapes and spaces cross as the bytes that came.
    async fn invariant_3_what_is_said_crosses_as_the_bytes_that_came(route: Route) {
        let way = route.start_recorded().await;
        let mut client = way.client().await;
        let odd = r#""n":1.50e+02, "big":123456789012345678901234567890, "text":"\u00e9 \/ é 😀", "deep":[[ ],{ }]"#;
        let said = [
            format!(r#"{{"jsonrpc" : "2.0","id":"a:b","method":"tools/call","params":{{"name":"echo", "arguments":{{"message":"\u2028 "}},"x":{{{odd}}}}},"extra":{{{odd}}}}}"#),
            format!(r#"{{"method":"x/unknown","id":-7,"params":{{{odd}}},"jsonrpc":"2.0"}}"#),
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/x/unknown","params":{{{odd}}}}}"#),
            r#"{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"demo://none"}}"#.to_string(),
        ];
        let mut answers = Vec::new();
        for text in &said {
            client.send(text).await;
            if let Some(id) = json_of(text).get("id") {
                answers.push(client.answer(&id.to_string()).await.text);
            }
        }
        client.finish().await;
        let record = way.stop().await;
        for text in &said {
            assert!(record.heard.contains(text), "the server did not hear {text}");
        }
        for text in &answers {
            assert!(record.said.contains(text), "the server did not say {text}");
        }
        let errors: Vec<_> = answers.iter().map(|text| json_of(text)["error"].clone()).collect();
        assert_eq!((&errors[1]["code"], &errors[2]["data"]), (&json!(-32601), &json!({"uri": "demo://none"})));
    }

    /// Neither the log at its loudest nor a server that babbles puts anything else on stdout. (A bridge that listens has
    /// an empty stdout, which [`Bridge::stop`] checks.)
    async fn invariant_4_stdout_carries_nothing_but_frames(route: Route) {
        let way = route.start_with(&["--log-level", "trace"]).await;
        let mut client = way.client().await;
        client.call("garbage", json!({})).await;
        client.call("log", json!({"level": "error", "message": "x"})).await;
        client.send(&notification("notifications/unknown")).await;
        client.check("still there").await;
        // Every line was read as a message on its way in.
        for message in client.finish().await {
            assert_eq!(message.json["jsonrpc"], "2.0", "{}", message.text);
        }
        way.stop().await;
    }

    /// A call that waits for its user delays no other call, and a client that does not read at all delays no other
    /// client.
    async fn invariant_5_a_stalled_caller_delays_nobody(route: Route) {
        let way = route.start().await;
        let mut client = way.client().await;
        client.send(&tool("\"asked\"", "ask", json!({"message": "?"}))).await;
        let question = client.message("elicitation/create").await;
        client.send(&tool("\"slow\"", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
        let stalled = match (route.kind(), way.bridge()) {
            (Kind::Sse, Some(bridge)) => Some(stall_sse(bridge).await),
            (Kind::Http, Some(bridge)) => Some(stall_http(bridge).await),
            _ => None,
        };
        for n in 0..20 {
            client.check(&format!("echo {n}")).await;
        }
        client.reply(&question, json!({"action": "accept", "content": {"answer": "late"}})).await;
        assert_eq!(client.answer("\"asked\"").await.tool_text(), "The user answered: late");
        drop((stalled, client));
        way.stop().await;
    }

    /// Processes that ignore SIGTERM, and a bridge that is killed: nobody is left. What a remote server does on its own
    /// machine is its own affair; there the bridge itself has to end.
    async fn invariant_6_no_descendant_is_left(route: Route) {
        for signal in [Signal::TERM, Signal::KILL] {
            let way = route.start_with(if route.has_child() { &["--grace", "1"] } else { &[] }).await;
            let mut client = way.client().await;
            if route.has_child() {
                client.call("spawn", json!({})).await;
                client.call("spawn", json!({"hold_stdout": true})).await;
            }
            if route.ends_in_stdio() {
                let program = client.program();
                program.signal(signal);
                program.exit().await;
                program.no_family().await;
            }
            if let Some(program) = way.program() {
                assert!(!program.servers().is_empty() || route.ends_in_stdio());
                program.signal(signal);
                program.no_family().await;
            }
        }
    }

    /// A client that reads late gets all of it, in order, and its answer last: its own server waits for it.
    async fn invariant_7_nothing_is_lost_for_a_slow_reader(route: Route) {
        let way = route.start().await;
        let mut client = way.client().await;
        client.send(&tool_with_progress("1", "\"t\"", "flood", json!({"count": 3000, "kind": "progress"}))).await;
        // More than the client's own buffers take: what it does not take in waits in the bridge, and then in the server.
        client.send(&tool("2", "big", json!({"bytes": 3_000_000}))).await;
        let mut next = 1;
        loop {
            let message = client.wait_for("progress or the answer", |message| {
                message.json["id"] == 1 || message.method() == "notifications/progress"
            }).await;
            if message.is_answer() {
                break;
            }
            assert_eq!(message.json["params"]["progress"], next);
            next += 1;
        }
        assert_eq!(next, 3001, "the answer came after all of its notifications");
        assert_eq!(client.answer("2").await.tool_text().len(), 3_000_000);
        client.finish().await;
        way.stop().await;
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A client of the older transport that asks for much and reads nothing.
async fn stall_sse(bridge: &Bridge) -> Conn {
    let mut conn = Conn::open_narrow(bridge.addr).await;
    conn.send(&request("GET", "/sse", &STREAM, "")).await;
    let head = conn.head().await;
    let mut events = head.body(conn).events();
    let post = events.next().await.unwrap().data.unwrap();
    for text in greedy() {
        let response = bridge.ask("POST", &post, &crate::support::http::POST, &text).await;
        assert_eq!(response.status(), 202, "{}", response.body);
    }
    events.body.conn
}

/// The same of Streamable HTTP: the responses to its calls are not read.
async fn stall_http(bridge: &Bridge) -> Conn {
    let client = bridge.http().await;
    let session = client.session().to_owned();
    let headers = [crate::support::http::POST.as_slice(), &[("Mcp-Session-Id", session.as_str())]].concat();
    let mut conn = Conn::open_narrow(bridge.addr).await;
    for text in greedy().iter().filter(|text| text.contains("\"id\"")).skip(1) {
        conn.send(&request("POST", "/mcp", &headers, text)).await;
    }
    conn
}

fn greedy() -> Vec<String> {
    let mut all = vec![initialize("0", "2025-06-18"), notification("notifications/initialized")];
    all.extend((1..=8).map(|id| tool(&id.to_string(), "big", json!({"bytes": 4_000_000}))));
    all
}

/// A bridge with one server for all its clients: a process, or a server at a URL over each wire; and who serves there.
async fn shared(over: Option<Wire>) -> (Bridge, Option<Bridge>) {
    let Some(wire) = over else { return (Bridge::demo(&["serve", "--shared"]).await, None) };
    let far = Bridge::demo(&["serve", "--server-era", "legacy"]).await;
    (Bridge::start(&["serve", "--shared", "--server-era", "legacy", &far.url_of(wire)]).await, Some(far))
}

const SHARED: [Option<Wire>; 4] = [None, Some(Wire::Sse), Some(Wire::Http), Some(Wire::Ws)];

/// A client that asks for much and reads nothing delays nobody who shares the server with it, in small answers or large ones.
#[tokio::test]
async fn invariant_5_a_stalled_caller_of_a_shared_server_delays_nobody() {
    for over in SHARED {
        let (bridge, far) = shared(over).await;
        let stalled = stall_sse(&bridge).await;
        let mut other = bridge.http().await;
        for n in 0..20 {
            other.check(&format!("echo {n}")).await;
        }
        assert_eq!(other.call("big", json!({"bytes": 100_000})).await.tool_text().len(), 100_000);
        drop((stalled, other));
        bridge.stop().await;
        if let Some(far) = far {
            far.stop().await;
        }
    }
}

/// A call that the server may ask back in has an older server for itself, until somebody else has a use for that.
#[tokio::test]
async fn invariant_5_a_stalled_caller_of_2026_07_28_delays_nobody_at_an_older_server() {
    let older = [BINARY, "demo-server", "--era", "legacy"];
    let bridge = Bridge::start(&[&["serve", "--env", "MCP_BRIDGE_DEMO_TEST=1", "--"][..], &older].concat()).await;
    let mut other = User::modern(Client::modern(bridge.addr, "/mcp"));
    let flood =
        json!({"name": "flood", "arguments": {"count": 60_000, "kind": "progress"}, "_meta": {"progressToken": 9}});
    let headers = [("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/call"), ("Mcp-Name", "flood")];
    let mut stalled = Conn::open_narrow(bridge.addr).await;
    let body = other.text("9", "tools/call", flood);
    stalled.send(&request("POST", "/mcp", &[&crate::support::http::POST[..], &headers].concat(), &body)).await;
    let cut_off = async || {
        let listed = other.once("tools/list", json!({})).await;
        assert!(listed.text.contains("\"flood\""), "{}", listed.text);
        bridge.program.stderr.text().contains("cut off a caller that reads too slowly").then_some(())
    };
    crate::support::at_last("the end of the call that nobody reads", cut_off).await;
    drop((stalled, other));
    bridge.stop().await;
}

/// A shared server waits for nobody: a client that does not read is cut off with an error that says so, and the others
/// go on.
#[tokio::test]
async fn invariant_7_a_slow_reader_of_a_shared_server_is_cut_off_and_told() {
    for over in SHARED {
        let (bridge, far) = shared(over).await;
        slow_reader_is_cut_off(&bridge).await;
        bridge.stop().await;
        if let Some(far) = far {
            far.stop().await;
        }
    }
}

async fn slow_reader_is_cut_off(bridge: &Bridge) {
    let mut other = bridge.sse().await;
    let mut conn = Conn::open_narrow(bridge.addr).await;
    conn.send(&request("GET", "/sse", &STREAM, "")).await;
    let head = conn.head().await;
    let mut events = head.body(conn).events();
    let post = events.next().await.unwrap().data.unwrap();
    let flood = tool_with_progress("9", "9", "flood", json!({"count": 60_000, "kind": "progress"}));
    for text in [initialize("0", "2025-06-18"), notification("notifications/initialized"), flood] {
        let response = bridge.ask("POST", &post, &crate::support::http::POST, &text).await;
        assert_eq!(response.status(), 202, "{}", response.body);
    }
    bridge.program.stderr.has("cut off a caller that reads too slowly").await;
    other.check("the others go on").await;
    // Now it reads: what was sent before the cut, in order, and then the error.
    let mut last = 0;
    let error = loop {
        let event = crate::support::soon("the rest of the stream", events.next()).await.unwrap();
        let message = json_of(&event.data.unwrap());
        match message["params"]["progress"].as_u64() {
            Some(n) => assert_eq!(std::mem::replace(&mut last, n) + 1, n),
            None if message["id"] == 9 => break message,
            None => {}
        }
    };
    assert_eq!(error["error"]["code"], -32000);
    assert_eq!(error["error"]["message"], "cut off: this client reads too slowly for a shared server");
}

/// The same ids from many clients of one server, whose answers come back in another order.
#[tokio::test]
async fn equal_ids_of_many_clients_are_kept_apart_on_a_shared_server() {
    for over in SHARED {
        let (bridge, far) = shared(over).await;
        equal_ids_are_kept_apart(&bridge).await;
        bridge.stop().await;
        if let Some(far) = far {
            far.stop().await;
        }
    }
}

async fn equal_ids_are_kept_apart(bridge: &Bridge) {
    let mut clients: Vec<Client> = Vec::new();
    for n in 0..6 {
        clients.push(bridge.client(if n % 2 == 0 { Kind::Sse } else { Kind::Http }).await);
    }
    for (n, client) in clients.iter_mut().enumerate() {
        for id in 0..10_u64 {
            // The later it is asked, the earlier it is answered, as far as the clock of a busy machine allows.
            let args = json!({"steps": 1, "step_ms": 200 - 3 * (n as u64 * 10 + id)});
            client.send(&tool_with_progress(&id.to_string(), &id.to_string(), "slow", args)).await;
        }
    }
    for client in &mut clients {
        let mut seen = BTreeMap::<u64, usize>::new();
        for id in 0..10_u64 {
            assert_eq!(client.answer(&id.to_string()).await.tool_text(), "Did 1 steps.");
        }
        for _ in 0..10 {
            let progress = client.message("notifications/progress").await;
            *seen.entry(progress.json["params"]["progressToken"].as_u64().unwrap()).or_default() += 1;
        }
        assert_eq!(seen, (0..10).map(|id| (id, 1)).collect());
        assert!(client.rest().is_empty(), "{:?}", client.rest());
    }
}
