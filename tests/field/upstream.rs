//! Statements 17 and 18: a remote server restarts or is late, and a stream drops on either side.

use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{
    client::{Client, Kind, On, initialize, notification, tool, tool_with_progress},
    http::{Conn, POST, request},
    program::Bridge,
    script::{Script, initialize_result, text},
    soon,
};

const V: &str = "2025-06-18";

/// A client of a scripted server of Streamable HTTP, with a session.
async fn connected(script: &mut Script, version: &str) -> Client {
    let mut client = Client::stdio(&["http-to-stdio", "--retry-delay", "10ms", &script.url("/mcp")]);
    client.send(&initialize("0", version)).await;
    script.post("initialize").await.initialized("one", version).await;
    client.answer("0").await;
    client.send(&notification("notifications/initialized")).await;
    script.post("notifications/initialized").await.reply(202, &[], "").await;
    script.expect("GET").await.reply(405, &[], "").await;
    client
}

#[tokio::test]
async fn field_17_a_forgotten_session_is_opened_again_and_the_call_succeeds() {
    let mut script = Script::start().await;
    let mut client = connected(&mut script, V).await;
    for (id, method, params) in [
        ("1", "logging/setLevel", json!({"level": "error"})),
        ("2", "resources/subscribe", json!({"uri": "demo://counter"})),
    ] {
        client.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
        script.post(method).await.result(json!({})).await;
        client.answer(&format!("\"{id}\"")).await;
    }
    // The server has restarted and knows no session.
    client.send(&tool("7", "echo", json!({"message": "x"}))).await;
    let call = script.post("tools/call").await;
    assert_eq!(call.header("mcp-session-id"), Some("one"));
    let first = call.body.clone();
    call.reply(404, &[], "").await;
    let again = script.post("initialize").await;
    assert_eq!(again.header("mcp-session-id"), None);
    assert_eq!(
        again.json()["params"],
        serde_json::from_str::<serde_json::Value>(&initialize("0", V)).unwrap()["params"]
    );
    again.initialized("two", V).await;
    // The new session is brought to where the old one was, and only then is the call sent again.
    script.post("notifications/initialized").await.reply(202, &[], "").await;
    let mut state = Vec::new();
    let call = loop {
        let exchange = script.expect("POST").await;
        assert_eq!(exchange.header("mcp-session-id"), Some("two"));
        if exchange.json()["method"] == "tools/call" {
            break exchange;
        }
        state.push(exchange.json()["method"].clone());
        exchange.result(json!({})).await;
    };
    assert_eq!(state, ["logging/setLevel", "resources/subscribe"]);
    assert_eq!(call.body, first);
    call.result(text("after all")).await;
    assert_eq!(client.answer("7").await.tool_text(), "after all");
    assert!(client.rest().is_empty(), "the client saw nothing of it: {:?}", client.rest());
}

#[tokio::test]
async fn field_17_a_server_that_is_not_up_yet_is_tried_again() {
    for command in ["http-to-stdio", "sse-to-stdio", "connect"] {
        // The place of a server, and nobody there yet.
        let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = place.local_addr().unwrap();
        drop(place);
        let url = format!("http://{addr}/mcp");
        let mut client = Client::stdio(&[command, "--retry-delay", "50ms", "--retries", "50", &url]);
        client.send(&initialize("0", V)).await;
        client.program().stderr.has("attempt 3 of 51").await;
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(addr).unwrap();
        let mut script = Script::on(socket.listen(16).unwrap());
        match command {
            "sse-to-stdio" => {
                let mut sse = script.expect("GET").await.sse().await;
                sse.raw("event: endpoint\ndata: /messages\n\n").await;
                script.post("initialize").await.reply(202, &[], "").await;
                let result = initialize_result(V);
                sse.message(&json!({"jsonrpc": "2.0", "id": 0, "result": result}).to_string()).await;
                client.answer("0").await;
            }
            _ => {
                script.post("initialize").await.initialized("one", V).await;
                client.answer("0").await;
            }
        }
        assert!(client.program().stderr.text().contains("the connection was refused"));
    }
}

#[tokio::test]
async fn field_17_a_call_of_unknown_fate_is_never_repeated() {
    let mut script = Script::start().await;
    let mut client = connected(&mut script, V).await;
    for (id, breaks_off) in [
        ("1", &b""[..]),
        ("2", b"HTTP/1.1 200 OK\r\nContent-Length: 9"),
        ("3", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"json"),
    ] {
        client.send(&tool(id, "pay", json!({}))).await;
        script.post("tools/call").await.raw(breaks_off).await;
        let answer = client.answer(id).await;
        assert_eq!(answer.error().0, -32603);
        assert!(answer.error().1.contains("whether the call was carried out is unknown"), "{}", answer.text);
        assert_eq!(answer.json["error"]["data"], json!({"fate": "unknown"}));
    }
    // A stream that breaks off without an id to resume from is no better.
    client.send(&tool("4", "pay", json!({}))).await;
    drop(script.post("tools/call").await.sse().await);
    assert_eq!(client.answer("4").await.json["error"]["data"], json!({"fate": "unknown"}));
    // The next thing that the server hears is the next call.
    client.send(&tool("5", "next", json!({}))).await;
    let next = script.post("tools/call").await;
    assert_eq!(next.json()["id"], 5);
    next.result(text("fine")).await;
    client.answer("5").await;
    assert!(script.rest().is_empty());
}

#[tokio::test]
async fn field_17_a_restarted_server_of_the_older_transport_gets_a_new_session() {
    let mut script = Script::start().await;
    let mut client = Client::stdio(&["sse-to-stdio", "--retry-delay", "10ms", &script.url("/sse")]);
    client.send(&initialize("0", V)).await;
    let mut sse = script.expect("GET").await.sse().await;
    sse.raw("event: endpoint\ndata: /messages?session_id=1\n\n").await;
    script.post("initialize").await.reply(202, &[], "").await;
    sse.message(&json!({"jsonrpc": "2.0", "id": 0, "result": initialize_result(V)}).to_string()).await;
    client.answer("0").await;
    client.send(&notification("notifications/initialized")).await;
    script.post("notifications/initialized").await.reply(202, &[], "").await;
    client.send(&tool("1", "pay", json!({}))).await;
    script.post("tools/call").await.reply(202, &[], "").await;
    drop(sse);
    assert_eq!(client.answer("1").await.json["error"]["data"], json!({"fate": "unknown"}));
    // The handshake of the old session is repeated in the new one; the call is not.
    let mut sse = script.expect("GET").await.sse().await;
    sse.raw("event: endpoint\ndata: /messages?session_id=2\n\n").await;
    let again = script.post("initialize").await;
    assert_eq!(again.path, "/messages?session_id=2");
    let id = again.json()["id"].clone();
    again.reply(202, &[], "").await;
    sse.message(&json!({"jsonrpc": "2.0", "id": id, "result": initialize_result(V)}).to_string()).await;
    script.post("notifications/initialized").await.reply(202, &[], "").await;
    client.send(&tool("2", "next", json!({}))).await;
    let next = script.post("tools/call").await;
    assert_eq!((next.json()["id"].clone(), next.path.as_str()), (json!(2), "/messages?session_id=2"));
    next.reply(202, &[], "").await;
    sse.message(&json!({"jsonrpc": "2.0", "id": 2, "result": text("fine")}).to_string()).await;
    assert_eq!(client.answer("2").await.tool_text(), "fine");
    assert!(client.rest().is_empty(), "{:?}", client.rest());
}

#[tokio::test]
async fn field_18_as_a_client_a_dropped_stream_is_resumed_without_loss_or_double() {
    let mut script = Script::start().await;
    let mut client = connected(&mut script, "2025-11-25").await;
    client.send(&tool_with_progress("1", "1", "slow", json!({}))).await;
    let progress = |n: u64| {
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": n}})
            .to_string()
    };
    let mut sse = script.post("tools/call").await.sse().await;
    // A priming event, and the wait that the server asks for.
    sse.raw("id: e-0\nretry: 10\ndata: \n\n").await;
    for n in 1..=3 {
        sse.message_with_id(&format!("e-{n}"), &progress(n)).await;
    }
    // Half an event does not count.
    sse.raw("id: e-4\ndata: {\"half").await;
    drop(sse);
    for n in [4, 6] {
        let get = script.expect("GET").await;
        let seen = if n == 4 { "e-3" } else { "e-5" };
        assert_eq!((get.header("last-event-id"), get.header("mcp-session-id")), (Some(seen), Some("one")));
        let mut sse = get.sse().await;
        sse.message_with_id(&format!("e-{n}"), &progress(n)).await;
        sse.message_with_id(&format!("e-{}", n + 1), &progress(n + 1)).await;
        if n == 6 {
            sse.message(&json!({"jsonrpc": "2.0", "id": 1, "result": text("done")}).to_string()).await;
            sse.closed().await;
        }
    }
    assert_eq!(client.answer("1").await.tool_text(), "done");
    for n in 1..=7 {
        assert_eq!(client.message("notifications/progress").await.json["params"]["progress"], n);
    }
    assert!(client.rest().is_empty(), "{:?}", client.rest());
}

/// The events of one connection of a call's stream, until it has given so many.
async fn read(conn: Conn, head: crate::support::http::Head, at_most: usize) -> Vec<(Option<String>, String)> {
    let mut events = head.body(conn).events();
    let mut all = Vec::new();
    while all.len() < at_most {
        let Some(event) = soon("an event", events.next()).await else { break };
        all.push((event.id, event.data.unwrap_or_default()));
    }
    events.body.conn.reset();
    all
}

#[tokio::test]
async fn field_18_as_a_server_a_dropped_stream_is_resumed_without_loss_or_double() {
    let bridge = Bridge::start(&["stdio-to-http", "--demo"]).await;
    let mut client = Client::http(bridge.addr, "/mcp");
    client.initialize("2025-11-25").await;
    let session = [("Mcp-Session-Id", client.session().to_owned())];
    let session: Vec<_> = session.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let work = tool_with_progress("1", "1", "slow", json!({"steps": 60, "step_ms": 10}));
    let mut conn = Conn::open(bridge.addr).await;
    conn.send(&request("POST", "/mcp", &[&POST[..], &session].concat(), &work)).await;
    let head = conn.head().await;
    assert!(head.is_stream());
    let mut all = read(conn, head, 6).await;
    assert_eq!(all.first().map(|(id, data)| (id.is_some(), data.as_str())), Some((true, "")), "a priming event");
    // Dropped again and again, and each time at another place.
    let mut take = 1;
    while !all.last().unwrap().1.contains("\"result\"") {
        let last = all.last().unwrap().0.clone().unwrap();
        let headers = [&[("Accept", "text/event-stream"), ("Last-Event-ID", &last)][..], &session].concat();
        let mut conn = Conn::open(bridge.addr).await;
        conn.send(&request("GET", "/mcp", &headers, "")).await;
        let head = conn.head().await;
        assert_eq!((head.status, head.is_stream()), (200, true));
        all.extend(read(conn, head, take).await);
        take += 3;
    }
    let messages: Vec<serde_json::Value> =
        all.iter().filter(|(_, data)| !data.is_empty()).map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
    let steps: Vec<_> = messages.iter().filter_map(|message| message["params"]["progress"].as_u64()).collect();
    assert_eq!(steps, (1..=60).collect::<Vec<_>>());
    assert_eq!(messages.len(), 61, "and one answer");
    let mut ids: Vec<_> = all.iter().map(|(id, _)| id.clone().unwrap()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all.len(), "no id twice");
    bridge.stop().await;
}

/// What belongs to no call is not lost either while nobody listens.
#[tokio::test]
async fn field_18_the_stream_of_what_belongs_to_no_call_is_resumed() {
    let bridge = Bridge::start(&["stdio-to-http", "--demo"]).await;
    let mut client = bridge.http().await;
    let session = client.session().to_owned();
    let base = [("Accept", "text/event-stream"), ("Mcp-Session-Id", session.as_str())];
    client.call("toggle", json!({})).await;
    let mut conn = Conn::open(bridge.addr).await;
    conn.send(&request("GET", "/mcp", &base, "")).await;
    let head = conn.head().await;
    let first = read(conn, head, 1).await;
    assert!(first[0].1.contains("list_changed"));
    for _ in 0..3 {
        client.call("toggle", json!({})).await;
    }
    let mut conn = Conn::open(bridge.addr).await;
    let last = first[0].0.clone().unwrap();
    conn.send(&request("GET", "/mcp", &[&base[..], &[("Last-Event-ID", &last)]].concat(), "")).await;
    let head = conn.head().await;
    let rest = read(conn, head, 3).await;
    assert!(rest.len() == 3 && rest.iter().all(|(_, data)| data.contains("list_changed")), "{rest:?}");
    // An event of another session is none of this one.
    let other = bridge.http().await;
    let headers = [base[0], ("Mcp-Session-Id", other.session()), ("Last-Event-ID", last.as_str())];
    let refused = bridge.ask("GET", "/mcp", &headers, "").await;
    let (status, _, _, why) = refused.refusal();
    assert_eq!((status, why.as_str()), (400, "Last-Event-ID names no event of a stream of this session"));
    bridge.stop().await;
}

/// A stream of the older transport cannot be resumed: the session ends with it, and its child too.
#[tokio::test]
async fn field_18_on_the_older_transport_the_session_ends_with_its_stream() {
    let bridge = Bridge::start(&["stdio-to-sse", "--demo"]).await;
    let client = bridge.client(Kind::Sse).await;
    assert_eq!(bridge.program.servers().len(), 1);
    drop(client);
    crate::support::eventually("the end of its server", || bridge.program.servers().is_empty().then_some(())).await;
    let mut kept = bridge.client(Kind::Sse).await;
    kept.check("others go on").await;
    kept.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 1}))).await;
    assert_eq!(kept.answer("1").await.on, On::Pipe);
    bridge.stop().await;
}
