//! The modern era (2026-07-28) on the same endpoint as sessions: every status and code, streams, cancellation.

use std::time::Duration;

use mcp_bridge::{
    auth::resource::Gate,
    config::{Door, Limits, Secret, Sharing},
    message::Frame,
    peer::{Envelope, Reply},
    protocol::MODERN,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinHandle};

use super::support::*;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"x":1.0}"#;

/// Params with the metadata that a request needs.
fn params(more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!("{{{META}{comma}{more}}}")
}

fn body(id: &str, method: &str, more: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{}}}"#, params(more))
}

/// The header lines of a request, those of every POST left out.
fn lines(method: &str, more: &str) -> String {
    format!("MCP-Protocol-Version: {MODERN}\r\nMcp-Method: {method}\r\n{more}")
}

fn call(front: &Front, id: &str, method: &str) -> JoinHandle<Answer> {
    front.call(&lines(method, ""), &body(id, method, ""))
}

fn note() -> Envelope {
    update(Frame::notification("notifications/message", Some(r#"{"level":"info","data":1}"#)))
}

/// The error of an answer, with its data.
async fn error(answer: &mut Answer) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(&answer.text().await).unwrap()["error"].clone()
}

#[tokio::test]
async fn an_answer_that_comes_first_is_one_message_and_all_bytes_pass_unchanged() {
    let mut front = Front::start().await;
    let request = r#"{"jsonrpc":"2.0", "id":"a\u002fb","method":"x/y","params":{"n":1.00,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"q":1e3}}},"extra":[]}"#;
    let headers = lines("x/y", "Mcp-Session-Id: whatever\r\nLast-Event-ID: 7\r\n");
    let waiting = front.call(&headers, request);
    let mut server = front.server().await;
    let (frame, reply) = server.request().await;
    assert_eq!(&frame.bytes()[..], request.as_bytes());
    reply.answer(result(r#"{ "resultType":"complete", "n":1.00 }"#));
    let mut answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("mcp-session-id"), None);
    assert_eq!(
        answer.text().await,
        r#"{"jsonrpc":"2.0","id":"a\u002fb","result":{ "resultType":"complete", "n":1.00 }}"#
    );
    server.ended().await;
}

#[tokio::test]
async fn sessions_and_exchanges_are_served_side_by_side() {
    let mut front = Front::start().await;
    let (session, mut legacy) = front.session("2025-11-25").await;
    let modern = call(&front, "1", "tools/list");
    let mut exchange = front.server().await;
    let old = front.call(&session, &request("1", "tools/list"));
    let (_, of_exchange) = exchange.request().await;
    let (_, of_session) = legacy.request().await;
    of_session.answer(result(r#"{"era":"legacy"}"#));
    of_exchange.answer(result(r#"{"era":"modern"}"#));
    assert!(old.await.unwrap().text().await.contains("legacy"));
    assert!(modern.await.unwrap().text().await.contains("modern"));
    // `initialize` opens a session whatever the header says.
    for version in [MODERN, "2027-01-01"] {
        let header = format!("MCP-Protocol-Version: {version}\r\n");
        let opening = front.call(&header, &initialize("2025-11-25"));
        front.server().await.initialize("2025-11-25").await;
        let answer = opening.await.unwrap();
        assert!(answer.status == 200 && answer.header("mcp-session-id").is_some(), "{version}");
    }
}

#[tokio::test]
async fn exchanges_are_served_without_sessions_too() {
    let mut front = Front::with(Limits::default(), spec(), Sharing::Stateless).await;
    let waiting = call(&front, "1", "tools/list");
    let (_, reply) = front.server().await.request().await;
    reply.answer(result("{}"));
    assert_eq!(waiting.await.unwrap().status, 200);
    let mut answer = front.post("", &body("1", "tools/list", "")).await;
    assert_eq!((answer.status, answer.error().await), (400, ("1".into(), -32600)));
}

#[tokio::test]
async fn the_status_of_an_error_follows_from_its_code() {
    let mut front = Front::start().await;
    for (code, status) in [
        (-32601, 404),
        (-32700, 400),
        (-32600, 400),
        (-32602, 400),
        (-32020, 400),
        (-32021, 400),
        (-32022, 400),
        (-32603, 200),
        (-32000, 200),
        (5, 200),
    ] {
        let waiting = call(&front, "1", "x");
        let (_, reply) = front.server().await.request().await;
        reply.fail(code, "so it is", None);
        let mut answer = waiting.await.unwrap();
        assert_eq!((answer.status, answer.error().await), (status, ("1".into(), i64::from(code))));
    }
    let waiting = call(&front, "1", "x");
    drop(front.server().await);
    let mut answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.error().await.1), (200, -32603), "a dead server is no unknown method");
    // In a stream there is only one status.
    let waiting = call(&front, "1", "x");
    let (_, reply) = front.server().await.request().await;
    reply.update(note()).await.unwrap();
    reply.fail(-32601, "so it is", None);
    let mut answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.rest().await.len()), (200, 2));
}

#[tokio::test]
async fn headers_and_body_that_disagree_never_reach_a_server() {
    let front = Front::start().await;
    let list = || body("1", "tools/list", "");
    let call = |more: &str| body("1", "tools/call", more);
    let bare =
        |method: &str, params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let version = format!("MCP-Protocol-Version: {MODERN}\r\n");
    let of_call = |name: &str| lines("tools/call", &format!("Mcp-Name: {name}\r\n"));
    for (headers, body, code, text) in [
        (String::new(), list(), -32600, "MCP-Protocol-Version"),
        ("MCP-Protocol-Version: 2025-11-25\r\n".into(), list(), -32020, "MCP-Protocol-Version"),
        (format!("{version}{version}"), list(), -32020, "MCP-Protocol-Version"),
        (lines("tools/list", ""), list().replace(MODERN, "2027-01-01"), -32020, "MCP-Protocol-Version"),
        (String::new(), bare("server/discover", "{}"), -32600, "MCP-Protocol-Version"),
        (lines("tools/list", ""), bare("tools/list", "{}"), -32602, "io.modelcontextprotocol/protocolVersion"),
        (
            lines("tools/list", ""),
            bare("tools/list", r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#),
            -32602,
            "io.modelcontextprotocol/clientCapabilities",
        ),
        (version.clone(), list(), -32020, "Mcp-Method"),
        (lines("tools/call", ""), list(), -32020, "Mcp-Method"),
        (lines("TOOLS/LIST", ""), list(), -32020, "Mcp-Method"),
        (lines("tools/call", ""), call(r#""name":"a""#), -32020, "Mcp-Name"),
        (of_call("b"), call(r#""name":"a""#), -32020, "Mcp-Name"),
        (of_call("A"), call(r#""name":"a""#), -32020, "Mcp-Name"),
        (of_call("=?base64?!!!?="), call(r#""name":"a""#), -32020, "Mcp-Name"),
        (of_call("=?base64?Yg==?="), call(r#""name":"a""#), -32020, "Mcp-Name"),
        (lines("prompts/get", ""), body("1", "prompts/get", r#""name":"a""#), -32020, "Mcp-Name"),
        (lines("resources/read", ""), body("1", "resources/read", r#""uri":"a:b""#), -32020, "Mcp-Name"),
        (lines("initialize", ""), body("1", "initialize", ""), -32601, "initialize"),
    ] {
        let mut answer = front.post(&headers, &body).await;
        let status = if code == -32601 { 404 } else { 400 };
        let error = error(&mut answer).await;
        assert_eq!((answer.status, error["code"].as_i64()), (status, Some(code)), "{headers} {body}");
        assert!(error["message"].as_str().unwrap().contains(text), "{error}");
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn a_revision_that_is_not_spoken_is_refused_with_those_that_are() {
    let front = Front::start().await;
    for version in ["2027-01-01", "1900-01-01", "DRAFT-2027"] {
        let headers = lines("tools/list", "").replace(MODERN, version);
        let mut answer = front.post(&headers, &body("1", "tools/list", "").replace(MODERN, version)).await;
        let error = error(&mut answer).await;
        assert_eq!((answer.status, error["code"].as_i64()), (400, Some(-32022)), "{version}");
        assert_eq!(error["data"], serde_json::json!({"supported": [MODERN], "requested": version}));
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn what_is_no_single_request_is_refused() {
    let front = Front::start().await;
    let batch = format!("[{},{}]", body("1", "x", ""), body("2", "y", ""));
    for (body, code) in [
        (batch.as_str(), -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, -32600),
        ("7", -32600),
        ("{", -32700),
        ("", -32700),
    ] {
        let mut answer = front.post(&lines("x", ""), body).await;
        assert_eq!((answer.status, answer.error().await), (400, ("null".into(), code)), "{body}");
    }
    let json = format!("{}Content-Type: application/json\r\n", lines("x", ""));
    let both = format!("{}Accept: application/json, text/event-stream\r\n", lines("x", ""));
    for (headers, status) in [
        (format!("{json}Accept: application/json\r\n"), 406),
        (format!("{both}Content-Type: text/plain\r\n"), 415),
        (format!("{json}Origin: https://evil.example\r\n"), 403),
    ] {
        assert_eq!(front.post_to("/mcp", &headers, &body("1", "x", "")).await.status, status);
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn notifications_are_taken_whatever_their_headers_say_and_go_nowhere() {
    let front = Front::start().await;
    let bare = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let modern = format!(r#"{{"jsonrpc":"2.0","method":"notifications/x","params":{}}}"#, params(""));
    for (headers, body) in [
        (format!("MCP-Protocol-Version: {MODERN}\r\n"), bare),
        (lines("notifications/cancelled", ""), bare),
        (lines("notifications/x", ""), modern.as_str()),
        (String::new(), modern.as_str()),
    ] {
        let mut answer = front.post(&headers, body).await;
        assert_eq!((answer.status, answer.text().await.as_str()), (202, ""), "{headers}");
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn get_and_delete_are_405_for_modern_clients_alone() {
    let mut front = Front::start().await;
    for method in ["GET", "DELETE"] {
        let head = format!(
            "{method} /mcp HTTP/1.1\r\nHost: localhost\r\nMCP-Protocol-Version: {MODERN}\r\nAccept: text/event-stream\r\n\r\n"
        );
        let answer = front.send(&head).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("post")));
    }
    let (session, _server) = front.session("2025-11-25").await;
    assert_eq!(front.get(&session).await.status, 200);
}

#[tokio::test]
async fn names_are_compared_as_they_are_decoded() {
    let mut front = Front::start().await;
    for (method, field, name, header) in [
        ("prompts/get", "name", "plain", "plain"),
        ("prompts/get", "name", "plain", "=?base64?cGxhaW4=?="),
        ("prompts/get", "name", "Grüße", "=?base64?R3LDvMOfZQ==?="),
        ("resources/read", "uri", "file:///a b", "file:///a b"),
        ("resources/read", "uri", "=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?="),
    ] {
        let headers = lines(method, &format!("mcp-name: {header}\r\n"));
        let waiting = front.call(&headers, &body("1", method, &format!(r#""{field}":"{name}""#)));
        let (_, reply) = front.server().await.request().await;
        reply.answer(result("{}"));
        assert_eq!(waiting.await.unwrap().status, 200, "{header}");
    }
}

#[tokio::test]
async fn what_comes_before_the_answer_makes_a_stream_that_ends_with_the_answer() {
    let mut front = Front::start().await;
    let waiting = call(&front, "1", "x");
    let mut server = front.server().await;
    let (_, reply) = server.request().await;
    reply.update(note()).await.unwrap();
    let mut answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert_eq!(answer.message().await.0.method(), "notifications/message");
    reply.answer(result("{}"));
    let rest = answer.rest().await;
    assert_eq!(rest.len(), 1);
    assert!(answers(&rest[0].0, "1") && rest[0].1.is_empty(), "no event ids");
    server.ended().await;
}

#[tokio::test]
async fn silence_makes_a_stream_with_keep_alives() {
    let mut spec = spec();
    spec.keepalive = Duration::from_millis(20);
    let limits = Limits { answer_patience: Duration::from_millis(20), ..Limits::default() };
    let mut front = Front::with(limits, spec, Sharing::Own).await;
    let waiting = call(&front, "1", "x");
    let (_, reply) = front.server().await.request().await;
    let mut answer = waiting.await.unwrap();
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let first = answer.raw().await;
    assert!(first.starts_with(':'), "{first:?} is a comment");
    reply.answer(result("{}"));
    assert!(answers(&answer.message().await.0, "1"));
}

#[tokio::test]
async fn a_request_of_the_servers_is_refused_and_never_reaches_the_client() {
    let mut front = Front::start().await;
    let waiting = call(&front, "1", "x");
    let mut server = front.server().await;
    let (_, reply) = server.request().await;
    let frame = Frame::parse(request("9", "sampling/createMessage").into()).unwrap();
    let caller = mcp_bridge::peer::Caller::legacy(None);
    let (home, mut heard) = tokio::sync::mpsc::channel(4);
    let asked = Reply::on(home, &frame, &caller).await.unwrap();
    reply.update(Envelope { from: caller, frame, reply: Some(asked) }).await.unwrap();
    let refused = soon("the refusal", heard.recv()).await.unwrap().frame;
    assert!(refused.is_error() && refused.id_text() == "9");
    reply.answer(result("{}"));
    let mut answer = waiting.await.unwrap();
    assert_eq!(answer.header("content-type"), Some("application/json"), "it makes no stream");
    assert!(answer.text().await.contains("result"));
}

/// What the server hears next: the cancellation of its request.
async fn cancelled(server: &mut Server, id: &str) {
    let envelope = server.next().await;
    assert_eq!(envelope.frame.method(), "notifications/cancelled");
    assert!(envelope.frame.body().unwrap().contains(&format!(r#""requestId":{id},"#)));
    assert!(envelope.reply.is_none());
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_its_request() {
    let mut front = Front::start().await;
    let text = post("/mcp", &format!("{POST}{}", lines("x", "")), &body("\"a\"", "x", ""));
    // Before anything came back.
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut server = front.server().await;
    let first = server.next().await;
    drop(stream);
    cancelled(&mut server, "\"a\"").await;
    let late = first.reply.unwrap();
    soon("the end of the call", late.gone()).await;
    late.answer(result("{}"));
    server.ended().await;
    // In the middle of a stream.
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut server = front.server().await;
    let second = server.next().await;
    let reply = second.reply.unwrap();
    reply.update(note()).await.unwrap();
    let answer = soon("a stream", Answer::read(stream)).await.unwrap();
    drop(answer);
    cancelled(&mut server, "\"a\"").await;
    assert_eq!(first.from.era, mcp_bridge::peer::Era::Modern);
    assert_ne!(first.from.id, second.from.id, "each exchange is a caller of its own");
    server.ended().await;
}

#[tokio::test]
async fn a_cancellation_waits_for_a_server_that_is_full_and_holds_up_nobody() {
    let mut front = Front::start().await;
    let text = post("/mcp", &format!("{POST}{}", lines("x", "")), &body("1", "x", ""));
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut server = front.server().await;
    let first = server.next().await;
    let caller = first.from.clone();
    // Fills the way in, which holds 64.
    let way = server.peer.home.upgrade().unwrap();
    let filler = || Envelope::one_way(caller.clone(), Frame::notification("filler", None));
    while way.try_send(filler()).is_ok() {}
    drop((way, stream));
    soon("the end of the call", first.reply.unwrap().gone()).await;
    loop {
        let envelope = server.next().await;
        if envelope.frame.method() != "filler" {
            assert_eq!(envelope.frame.method(), "notifications/cancelled");
            break;
        }
    }
    server.ended().await;
}

#[tokio::test]
async fn a_subscription_is_an_exchange_that_stays_open() {
    let mut front = Front::start().await;
    let listen = r#""notifications":{"toolsListChanged":true}"#;
    let headers = lines("subscriptions/listen", "");
    let waiting = front.call(&headers, &body("\"L\"", "subscriptions/listen", listen));
    let mut server = front.server().await;
    let (_, reply) = server.request().await;
    let of = r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}"#;
    let bring = |method: &str| update(Frame::notification(method, Some(of)));
    reply.update(bring("notifications/subscriptions/acknowledged")).await.unwrap();
    let mut answer = waiting.await.unwrap();
    assert_eq!(answer.message().await.0.method(), "notifications/subscriptions/acknowledged");
    reply.update(bring("notifications/tools/list_changed")).await.unwrap();
    assert_eq!(answer.message().await.0.body(), Some(of));
    // The bridge ends it when it shuts down, and does not wait for that.
    front.scope.stop();
    let rest = answer.rest().await;
    assert_eq!(rest.len(), 1);
    assert!(answers(&rest[0].0, "\"L\""));
    assert_eq!(
        rest[0].0.body(),
        Some(r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}"#)
    );
    cancelled(&mut server, "\"L\"").await;
    soon("the end of the drain", front.serving).await.unwrap();
}

#[tokio::test]
async fn an_exchange_in_flight_is_finished_while_the_bridge_drains_and_a_new_one_is_503() {
    let mut front = Front::start().await;
    let waiting = call(&front, "1", "x");
    let (_, reply) = front.server().await.request().await;
    front.scope.stop();
    let mut late = call(&front, "2", "x").await.unwrap();
    assert_eq!((late.status, late.error().await.0), (503, "2".into()));
    reply.answer(result("{}"));
    assert_eq!(waiting.await.unwrap().status, 200);
    soon("the end of the drain", front.serving).await.unwrap();
}

#[tokio::test]
async fn an_exchange_that_outlasts_the_grace_hears_that_the_bridge_shut_down() {
    let limits = Limits { grace: Duration::from_millis(50), ..Limits::default() };
    let mut front = Front::with(limits, spec(), Sharing::Own).await;
    // One without an answer so far, and one that streams.
    let (silent, streaming) = (call(&front, "1", "x"), call(&front, "2", "x"));
    let mut servers = [front.server().await, front.server().await];
    let (first, second) = (servers[0].request().await, servers[1].request().await);
    for (frame, reply) in [&first, &second] {
        if frame.id_text() == "2" {
            reply.update(note()).await.unwrap();
        }
    }
    let mut streaming = streaming.await.unwrap();
    assert_eq!(streaming.message().await.0.method(), "notifications/message");
    front.scope.stop();
    assert_eq!(silent.await.unwrap().error().await, ("1".into(), -32603));
    let rest = streaming.rest().await;
    assert!(rest.len() == 1 && answers(&rest[0].0, "2") && rest[0].0.is_error());
    soon("the end of the drain", front.serving).await.unwrap();
}

#[tokio::test]
async fn exchanges_in_flight_are_bounded() {
    let limits = Limits { max_exchanges: 2, ..Limits::default() };
    let mut front = Front::with(limits, spec(), Sharing::Own).await;
    let (one, two) = (call(&front, "1", "x"), call(&front, "2", "x"));
    let mut servers = [front.server().await, front.server().await];
    let replies = [servers[0].request().await.1, servers[1].request().await.1];
    let mut third = call(&front, "3", "x").await.unwrap();
    assert_eq!((third.status, third.header("retry-after")), (503, Some("1")));
    assert_eq!(third.error().await.1, -32000);
    replies.into_iter().for_each(|reply| reply.answer(result("{}")));
    assert_eq!((one.await.unwrap().status, two.await.unwrap().status), (200, 200));
    let fourth = call(&front, "4", "x");
    front.server().await.request().await.1.answer(result("{}"));
    assert_eq!(fourth.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_principal_stands_on_its_exchange() {
    let mut spec = spec();
    spec.door = Door::Locked(Gate::of_tokens([Secret::new("one")]).into());
    let mut front = Front::with(Limits::default(), spec, Sharing::Own).await;
    let mut answer = call(&front, "1", "x").await.unwrap();
    assert_eq!((answer.status, answer.header("www-authenticate").is_some()), (401, true));
    answer.text().await;
    let waiting = front.call(&lines("x", "Authorization: Bearer one\r\n"), &body("1", "x", ""));
    let envelope = front.server().await.next().await;
    assert!(envelope.from.principal.is_some());
    envelope.reply.unwrap().answer(result("{}"));
    assert_eq!(waiting.await.unwrap().status, 200);
}

const TOOLS: &str = r#"{"tools":[{"name":"query","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"limit":{"type":"integer","x-mcp-header":"Limit"}}}},{"name":"plain","inputSchema":{"type":"object"}}],"resultType":"complete"}"#;

fn tool(front: &Front, name: &str, arguments: &str, headers: &str) -> JoinHandle<Answer> {
    let headers = lines("tools/call", &format!("Mcp-Name: {name}\r\n{headers}"));
    front.call(&headers, &body("1", "tools/call", &format!(r#""name":"{name}","arguments":{arguments}"#)))
}

/// Answers the next exchange.
async fn serve(front: &mut Front, method: &str, answer: &str) {
    let (frame, reply) = front.server().await.request().await;
    assert_eq!(frame.method(), method);
    reply.answer(result(answer));
}

#[tokio::test]
async fn arguments_that_headers_repeat_are_checked_by_the_list_that_passed() {
    let mut front = Front::start().await;
    let listing = call(&front, "1", "tools/list");
    serve(&mut front, "tools/list", TOOLS).await;
    assert!(listing.await.unwrap().text().await.contains(TOOLS), "it passes unchanged");
    for (arguments, headers) in [
        (r#"{"region":"eu","limit":42}"#, "Mcp-Param-Region: eu\r\nMcp-Param-Limit: 42.0\r\n"),
        (r#"{"region":"Köln"}"#, "mcp-param-region: =?base64?S8O2bG4=?=\r\n"),
        (r#"{"region":null}"#, "Mcp-Param-Other: ignored\r\n"),
        ("{}", ""),
    ] {
        let waiting = tool(&front, "query", arguments, headers);
        serve(&mut front, "tools/call", "{}").await;
        assert_eq!(waiting.await.unwrap().status, 200, "{headers}");
    }
    let waiting = tool(&front, "plain", "{}", "");
    serve(&mut front, "tools/call", "{}").await;
    assert_eq!(waiting.await.unwrap().status, 200);
    // Where they disagree the list is asked for once more, since it may be the book that is wrong.
    let waiting = tool(&front, "query", r#"{"region":"eu"}"#, "Mcp-Param-Region: us\r\n");
    serve(&mut front, "tools/list", TOOLS).await;
    let mut answer = waiting.await.unwrap();
    let wrong = error(&mut answer).await;
    assert_eq!((answer.status, wrong["code"].as_i64()), (400, Some(-32020)));
    assert!(wrong["message"].as_str().unwrap().contains("Mcp-Param-region"), "{wrong}");
    for (arguments, headers, name) in [
        (r#"{"region":"eu"}"#, "", "Mcp-Param-region"),
        ("{}", "Mcp-Param-Region: eu\r\n", "Mcp-Param-region"),
        (r#"{"limit":42}"#, "Mcp-Param-Limit: 43\r\n", "Mcp-Param-limit"),
        (r#"{"limit":42}"#, "Mcp-Param-Limit: =?base64?*?=\r\n", "Mcp-Param-limit"),
    ] {
        let mut answer = tool(&front, "query", arguments, headers).await.unwrap();
        let wrong = error(&mut answer).await;
        assert_eq!((answer.status, wrong["code"].as_i64()), (400, Some(-32020)), "{headers}");
        assert!(wrong["message"].as_str().unwrap().contains(name), "{wrong}");
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn without_a_list_the_bridge_asks_for_all_of_its_pages_once() {
    let mut front = Front::start().await;
    let headers = "Mcp-Param-Region: us\r\n";
    let (one, two) =
        (tool(&front, "query", r#"{"region":"eu"}"#, headers), tool(&front, "query", r#"{"region":"eu"}"#, headers));
    let (frame, reply) = front.server().await.request().await;
    assert_eq!((frame.method(), frame.body()), ("tools/list", Some(&*format!("{{{META}}}"))), "with their metadata");
    reply.answer(result(r#"{"tools":[],"nextCursor":"a\"b"}"#));
    let (frame, reply) = front.server().await.request().await;
    assert!(frame.body().unwrap().ends_with(r#","cursor":"a\"b"}"#));
    reply.answer(result(TOOLS));
    for waiting in [one, two] {
        let mut answer = waiting.await.unwrap();
        assert_eq!((answer.status, answer.error().await.1), (400, -32020));
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn a_list_that_cannot_be_had_holds_up_no_call() {
    let mut front = Front::start().await;
    let waiting = tool(&front, "query", "{}", "Mcp-Param-Region: eu\r\n");
    let (_, reply) = front.server().await.request().await;
    reply.fail(-32601, "no such method", None);
    serve(&mut front, "tools/call", "{}").await;
    assert_eq!(waiting.await.unwrap().status, 200);
    // And is not asked for again at once.
    let waiting = tool(&front, "query", "{}", "Mcp-Param-Region: eu\r\n");
    serve(&mut front, "tools/call", "{}").await;
    assert_eq!(waiting.await.unwrap().status, 200);
}
