//! Each behaviour of the Streamable HTTP client, against a server whose every byte the test writes.

use std::time::Duration;

use crate::{
    config::{Limits, RemoteTransport::Http},
    message::{Frame, code},
    wire::remote::{
        ConnectError,
        fixture::{Client, Fixture, Sse, initialize, initialize_result, is_request, soon, spec},
    },
};

const V: &str = "2025-06-18";

async fn pair() -> (Fixture, Client) {
    let fixture = Fixture::start().await;
    let client = Client::start(&fixture.url, Http);
    (fixture, client)
}

async fn open() -> (Fixture, Client) {
    let (mut fixture, mut client) = pair().await;
    fixture.open_without_stream(&mut client, V).await;
    (fixture, client)
}

async fn open_listening() -> (Fixture, Client, Sse) {
    let (mut fixture, mut client) = pair().await;
    let sse = fixture.open_listening(&mut client, V).await;
    (fixture, client, sse)
}

#[tokio::test]
async fn a_call_is_a_post_of_its_own_with_the_headers_of_its_session() {
    let (mut fixture, mut client) = open().await;
    let text =
        r#"{"id" : 1.0, "jsonrpc":"2.0","method":"tools/call","params":{"big":123456789012345678901234567890.10}}"#;
    client.request(text).await;
    let post = fixture.expect("POST").await;
    assert_eq!(post.body, text, "the bytes are untouched");
    assert_eq!(post.header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(post.header("content-type"), Some("application/json"));
    assert_eq!(post.header("mcp-session-id"), Some("s-1"));
    assert_eq!(post.header("mcp-protocol-version"), Some(V));
    assert_eq!(post.header("content-length"), Some(text.len().to_string().as_str()));
    post.reply(
        200,
        &[("Content-Type", "Application/JSON; charset=utf-8")],
        r#"{"jsonrpc":"2.0","id":1,"result":{"a":1.50}}"#,
    )
    .await;
    assert_eq!(client.text().await, r#"{"jsonrpc":"2.0","id":1.0,"result":{"a":1.50}}"#);
}

#[tokio::test]
async fn calls_run_side_by_side_and_each_gets_its_own_answer() {
    let (mut fixture, mut client) = open().await;
    for id in ["1", "2", "\"a:b\""] {
        client.call(id).await;
    }
    let mut posts = vec![fixture.expect("POST").await, fixture.expect("POST").await, fixture.expect("POST").await];
    posts.reverse();
    for post in posts {
        let id = post.frame().id_text().to_owned();
        post.result(&serde_json::json!({ "of": id }).to_string()).await;
        let answer = client.next().await.frame;
        assert_eq!(answer.id_text(), id);
        assert_eq!(answer.body(), Some(serde_json::json!({ "of": id }).to_string().as_str()));
    }
}

#[tokio::test]
async fn progress_and_server_requests_of_a_call_come_ahead_of_its_answer() {
    let (mut fixture, mut client) = open().await;
    client.call("7").await;
    let mut sse = fixture.expect("POST").await.sse(&[("content-type", "Text/Event-Stream; charset=utf-8")]).await;
    sse.raw(": hello\n\n").await;
    sse.message(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#)
        .await;
    sse.message(r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}"#).await;
    assert_eq!(client.next().await.frame.method(), "notifications/progress");
    let asked = client.next().await;
    assert!(is_request(&asked));
    asked.reply.unwrap().answer(Frame::result("0", r#"{"role":"x"}"#));
    let post = fixture.expect("POST").await;
    assert_eq!(post.body, r#"{"jsonrpc":"2.0","id":"q","result":{"role":"x"}}"#);
    post.reply(202, &[], "").await;
    sse.message(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#).await;
    assert_eq!(client.next().await.frame.id_text(), "7");
}

#[tokio::test]
async fn the_get_stream_brings_what_belongs_to_no_call() {
    let (mut fixture, mut client, mut sse) = open_listening().await;
    sse.message(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
    sse.message(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).await;
    assert_eq!(client.next().await.frame.method(), "notifications/tools/list_changed");
    client.next().await.reply.unwrap().answer(Frame::result("0", "{}"));
    let post = fixture.expect("POST").await;
    assert_eq!(post.body, r#"{"jsonrpc":"2.0","id":5,"result":{}}"#);
    post.reply(202, &[], "").await;
}

#[tokio::test]
async fn the_get_stream_resumes_where_it_ended_after_the_wait_that_the_server_asked_for() {
    let (mut fixture, mut client, mut sse) = open_listening().await;
    sse.raw("id: e-1\nretry: 120\ndata:\n\n").await;
    sse.message_with_id("e-2", r#"{"jsonrpc":"2.0","method":"notifications/a"}"#).await;
    assert_eq!(client.next().await.frame.method(), "notifications/a");
    let before = std::time::Instant::now();
    sse.end().await;
    let get = fixture.expect("GET").await;
    assert!(before.elapsed() >= Duration::from_millis(115));
    assert_eq!(get.header("last-event-id"), Some("e-2"));
    assert_eq!(get.header("mcp-session-id"), Some("s-1"));
    let mut sse = get.sse(&[]).await;
    sse.message(r#"{"jsonrpc":"2.0","method":"notifications/b"}"#).await;
    assert_eq!(client.next().await.frame.method(), "notifications/b");
}

#[tokio::test]
async fn a_call_whose_stream_breaks_is_resumed_from_its_last_event() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    let mut sse = fixture.expect("POST").await.sse(&[]).await;
    sse.raw("id: p-0\nretry: 1\ndata: \n\n").await;
    sse.message_with_id(
        "p-1",
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
    )
    .await;
    assert_eq!(client.next().await.frame.method(), "notifications/progress");
    drop(sse);
    // The server is away for one attempt.
    let get = fixture.expect("GET").await;
    assert_eq!(get.header("last-event-id"), Some("p-1"));
    drop(get);
    let mut sse = fixture.expect("GET").await.sse(&[]).await;
    sse.message_with_id("p-2", r#"{"jsonrpc":"2.0","id":1,"result":{"late":true}}"#).await;
    assert_eq!(client.text().await, r#"{"jsonrpc":"2.0","id":1,"result":{"late":true}}"#);
}

#[tokio::test]
async fn a_call_whose_stream_breaks_without_an_event_id_is_never_repeated() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    drop(fixture.expect("POST").await.sse(&[]).await);
    let (id, code, message) = client.error().await;
    assert_eq!((id.as_str(), code), ("1", i64::from(code::INTERNAL)));
    assert!(message.contains("unknown"), "{message}");
    client.call("2").await;
    drop(fixture.expect("POST").await);
    assert!(client.error().await.2.contains("unknown"));
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn a_forgotten_session_is_opened_again_once_for_all_and_the_refused_calls_are_sent_again() {
    let (mut fixture, mut client, sse) = open_listening().await;
    client.request(r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info"}}"#).await;
    fixture.expect("POST").await.result("{}").await;
    client.request(r#"{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"a://b"}}"#).await;
    fixture.expect("POST").await.result("{}").await;
    client.next().await;
    client.next().await;

    client.call("3").await;
    client.call("4").await;
    let (first, second) = (fixture.expect("POST").await, fixture.expect("POST").await);
    first.reply(404, &[], r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#).await;
    let again = fixture.expect_post("initialize").await;
    second.reply(404, &[], "").await;
    assert_eq!(again.header("mcp-session-id"), None);
    let id = again.frame().id_text().to_owned();
    again.reply(200, &[("mcp-session-id", "s-2")], &initialize_result(&id, V)).await;
    let initialized = fixture.expect_post("notifications/initialized").await;
    assert_eq!(initialized.header("mcp-session-id"), Some("s-2"));
    initialized.reply(202, &[], "").await;
    let get = fixture.expect("GET").await;
    assert_eq!((get.header("mcp-session-id"), get.header("last-event-id")), (Some("s-2"), None));
    fixture.expect_post("logging/setLevel").await.result("{}").await;
    fixture.expect_post("resources/subscribe").await.result("{}").await;
    for _ in 0..2 {
        let call = fixture.expect_post("tools/call").await;
        assert_eq!(call.header("mcp-session-id"), Some("s-2"));
        call.result("{}").await;
    }
    let mut ids = [client.next().await.frame.id_text().to_owned(), client.next().await.frame.id_text().to_owned()];
    ids.sort();
    assert_eq!(ids, ["3", "4"], "the client sees nothing but its answers");
    sse.closed().await;
}

#[tokio::test]
async fn a_session_that_is_refused_again_is_an_error() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    fixture.expect("POST").await.reply(400, &[], r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#).await;
    let again = fixture.expect_post("initialize").await;
    let id = again.frame().id_text().to_owned();
    again.reply(200, &[("mcp-session-id", "s-2")], &initialize_result(&id, V)).await;
    fixture.expect_post("notifications/initialized").await.reply(202, &[], "").await;
    fixture.expect_post("tools/call").await.reply(404, &[], "").await;
    let (id, _, message) = client.error().await;
    assert_eq!(id, "1");
    assert!(message.contains("session"), "{message}");
}

#[tokio::test]
async fn another_server_behind_the_same_url_makes_the_lists_change() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    fixture.expect("POST").await.reply(404, &[], "").await;
    let again = fixture.expect_post("initialize").await;
    let id = again.frame().id_text().to_owned();
    let result = initialize_result(&id, V).replace("fixture", "other");
    again.reply(200, &[], &result).await;
    fixture.expect_post("notifications/initialized").await.reply(202, &[], "").await;
    assert_eq!(client.next().await.frame.method(), "notifications/tools/list_changed");
    fixture.expect_post("tools/call").await.result("{}").await;
    assert_eq!(client.next().await.frame.id_text(), "1");
}

#[tokio::test]
async fn a_cancellation_follows_its_call_and_ends_its_stream() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
    let sse = fixture.expect_post("tools/call").await.sse(&[]).await;
    let cancelled = fixture.expect_post("notifications/cancelled").await;
    assert_eq!(cancelled.frame().cancelled().map(|id| id.to_json().into_owned()), Some("1".into()));
    cancelled.reply(202, &[], "").await;
    let (id, code, _) = client.error().await;
    assert_eq!((id.as_str(), code), ("1", i64::from(code::CANCELLED)));
    sse.closed().await;
}

#[tokio::test]
async fn a_call_over_its_time_is_cancelled_upstream_and_answered() {
    let mut fixture = Fixture::start().await;
    let limits = Limits { request_timeout: Some(Duration::from_millis(150)), ..Limits::default() };
    let mut client = Client::with(&spec(&fixture.url, Http), &limits);
    fixture.open_without_stream(&mut client, V).await;
    client.call("1").await;
    let call = fixture.expect_post("tools/call").await;
    let cancelled = fixture.expect_post("notifications/cancelled").await;
    assert!(cancelled.body.contains("\"requestId\":1"));
    cancelled.reply(202, &[], "").await;
    let (_, code, message) = client.error().await;
    assert_eq!(code, i64::from(code::LIMIT));
    assert!(message.contains("--request-timeout"));
    drop(call);
}

#[tokio::test]
async fn an_error_of_the_servers_passes_whatever_its_http_status_and_id() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    let error = r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32602,"message":"m","data":{"d":1}}}"#;
    fixture.expect("POST").await.reply(400, &[], error).await;
    assert_eq!(client.text().await, r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m","data":{"d":1}}}"#);
    client.call("2").await;
    let error = r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"m"}}"#;
    fixture.expect("POST").await.reply(500, &[], error).await;
    assert_eq!(client.text().await, r#"{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":"m"}}"#);
    client.call("3").await;
    fixture.expect("POST").await.reply(500, &[], "oops").await;
    let (id, _, message) = client.error().await;
    assert_eq!(id, "3");
    assert!(message.contains("HTTP 500"), "{message}");
}

#[tokio::test]
async fn the_session_is_deleted_when_the_client_leaves() {
    let (mut fixture, client, sse) = open_listening().await;
    let leaving = client.scope.clone().spawn(client.leave());
    let delete = fixture.expect("DELETE").await;
    assert_eq!(delete.header("mcp-session-id"), Some("s-1"));
    delete.reply(200, &[], "").await;
    assert_eq!(soon("the wire", leaving).await.unwrap(), Ok(()));
    sse.closed().await;
}

#[tokio::test]
async fn calls_in_flight_are_answered_before_the_session_is_deleted() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    let call = fixture.expect_post("tools/call").await;
    let (closed, _) = tokio::sync::mpsc::channel(1);
    drop(std::mem::replace(&mut client.peer.tx, closed));
    call.result("{}").await;
    assert_eq!(client.next().await.frame.id_text(), "1");
    fixture.expect("DELETE").await.reply(405, &[], "").await;
    assert_eq!(soon("the wire", client.wire).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_web_page_is_not_taken_for_an_answer() {
    let (mut fixture, mut client) = pair().await;
    client.request(&initialize(V)).await;
    fixture.expect("POST").await.reply(200, &[("Content-Type", "text/html; charset=utf-8")], "<html>").await;
    let (_, _, message) = client.error().await;
    assert!(message.contains("web page"), "{message}");
    assert!(matches!(soon("the wire", client.wire).await.unwrap(), Err(ConnectError::Protocol(_))));
}

#[tokio::test]
async fn a_session_id_that_no_header_should_hold_is_refused() {
    let (mut fixture, mut client) = pair().await;
    client.request(&initialize(V)).await;
    fixture.expect("POST").await.reply(200, &[("Mcp-Session-Id", "a b")], &initialize_result("0", V)).await;
    let (_, _, message) = client.error().await;
    assert!(message.contains("visible ASCII"), "{message}");
}

#[tokio::test]
async fn a_session_id_that_is_too_long_is_called_so() {
    let (mut fixture, mut client) = pair().await;
    client.request(&initialize(V)).await;
    let id = "x".repeat(4097);
    fixture.expect("POST").await.reply(200, &[("Mcp-Session-Id", &id)], &initialize_result("0", V)).await;
    let (_, _, message) = client.error().await;
    assert!(message.contains("too long (4097 bytes") && !message.contains("xxx"), "{message}");
}

#[tokio::test]
async fn a_compressed_body_is_called_so() {
    let (mut fixture, mut client) = pair().await;
    client.request(&initialize(V)).await;
    fixture.expect("POST").await.reply(200, &[("Content-Encoding", "gzip")], "\u{1f}\u{8b}").await;
    let (_, _, message) = client.error().await;
    assert!(message.contains("Content-Encoding gzip"), "{message}");
}

#[tokio::test]
async fn a_broken_first_response_without_tls_leads_to_https() {
    let (mut fixture, mut client) = pair().await;
    client.request(&initialize(V)).await;
    for _ in 0..4 {
        fixture.expect("POST").await.raw(b"\x15\x03\x03\x00\x02\x02\x46").await;
    }
    let (_, _, message) = client.error().await;
    assert!(message.contains("try https://"), "{message}");
}

#[tokio::test]
async fn one_bad_event_does_not_end_the_stream() {
    let (mut fixture, mut client, mut sse) = open_listening().await;
    sse.raw("data: {nonsense\n\nevent: other\ndata: {}\n\n").await;
    sse.message(r#"{"jsonrpc":"2.0","method":"notifications/a"}"#).await;
    assert_eq!(client.next().await.frame.method(), "notifications/a");
    client.call("1").await;
    let mut stream = fixture.expect("POST").await.sse(&[]).await;
    stream.raw("data: [1]\n\n").await;
    stream.message(r#"[{"jsonrpc":"2.0","method":"notifications/b"},{"jsonrpc":"2.0","id":1,"result":{}}]"#).await;
    assert_eq!(client.next().await.frame.method(), "notifications/b");
    assert_eq!(client.next().await.frame.id_text(), "1");
}

#[tokio::test]
async fn an_id_in_flight_is_not_taken_twice() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    let first = fixture.expect_post("tools/call").await;
    client.call("1").await;
    let (id, code, _) = client.error().await;
    assert_eq!((id.as_str(), code), ("1", i64::from(code::INVALID_REQUEST)));
    first.result("{}").await;
    assert!(!client.next().await.frame.is_error());
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_and_says_so() {
    let mut fixture = Fixture::start().await;
    let limits = Limits { max_message: 1000, ..Limits::default() };
    let mut client = Client::with(&spec(&fixture.url, Http), &limits);
    fixture.open_without_stream(&mut client, V).await;
    client.call("1").await;
    fixture.expect("POST").await.result(&format!("\"{}\"", "x".repeat(1000))).await;
    assert!(client.error().await.2.contains("--max-message"));
    client.call("2").await;
    let mut sse = fixture.expect("POST").await.sse(&[]).await;
    sse.message(&"x".repeat(1001)).await;
    assert!(client.error().await.2.contains("--max-message"));
}

#[tokio::test]
async fn notifications_keep_their_order() {
    let (mut fixture, client) = open().await;
    for n in 0..20 {
        client.send(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/{n}"}}"#)).await;
    }
    for n in 0..20 {
        fixture.expect_post(&format!("notifications/{n}")).await.reply(202, &[], "").await;
    }
}

#[tokio::test]
async fn half_an_answer_is_no_answer() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    let half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"jsonrpc\"";
    fixture.expect("POST").await.raw(half).await;
    assert!(client.error().await.2.contains("unknown"));
    client.call("2").await;
    fixture.expect("POST").await.raw(b"SMTP ready\r\n").await;
    assert!(client.error().await.2.contains("unknown"));
}

#[tokio::test]
async fn an_answer_to_a_session_that_is_over_goes_nowhere() {
    let (mut fixture, mut client, mut sse) = open_listening().await;
    sse.message(r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#).await;
    let asked = client.next().await;
    client.call("1").await;
    fixture.expect("POST").await.reply(404, &[], "").await;
    let again = fixture.expect_post("initialize").await;
    let id = again.frame().id_text().to_owned();
    again.reply(200, &[("mcp-session-id", "s-2")], &initialize_result(&id, V)).await;
    fixture.expect_post("notifications/initialized").await.reply(202, &[], "").await;
    asked.reply.unwrap().answer(Frame::result("0", "{}"));
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/after"}"#).await;
    let mut posts =
        [fixture.expect("POST").await, fixture.expect("POST").await].map(|post| post.frame().method().to_owned());
    posts.sort();
    assert_eq!(posts, ["notifications/after", "tools/call"]);
}

#[tokio::test]
async fn a_session_that_is_lost_while_idle_is_opened_again_at_once() {
    for (status, body) in [
        (404, ""),
        (400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"No valid session ID provided"}}"#),
    ] {
        let (mut fixture, mut client, mut sse) = open_listening().await;
        sse.raw("retry: 1\n\n").await;
        sse.end().await;
        fixture.expect("GET").await.reply(status, &[], body).await;
        let again = fixture.expect_post("initialize").await;
        let id = again.frame().id_text().to_owned();
        again.reply(200, &[("mcp-session-id", "s-2")], &initialize_result(&id, V)).await;
        fixture.expect_post("notifications/initialized").await.reply(202, &[], "").await;
        let mut sse = fixture.expect("GET").await.sse(&[]).await;
        sse.message(r#"{"jsonrpc":"2.0","method":"notifications/a"}"#).await;
        assert_eq!(client.next().await.frame.method(), "notifications/a");
    }
}

#[tokio::test]
async fn the_answer_to_another_call_is_not_delivered_whatever_form_it_comes_in() {
    let (mut fixture, mut client) = open().await;
    client.call("1").await;
    let first = fixture.expect_post("tools/call").await;
    for (id, body) in [
        ("2", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        ("3", r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m"}}"#),
        ("4", r#"{"jsonrpc":"2.0","id":99,"result":{}}"#),
    ] {
        client.call(id).await;
        fixture.expect_post("tools/call").await.json(body).await;
        let (answered, code, message) = client.error().await;
        assert_eq!((answered.as_str(), code), (id, i64::from(code::INTERNAL)));
        assert!(message.contains("no answer to the request"), "{message}");
    }
    client.call("5").await;
    let mut sse = fixture.expect_post("tools/call").await.sse(&[]).await;
    sse.message(r#"{"jsonrpc":"2.0","id":99,"result":{"of":99}}"#).await;
    sse.message(r#"{"jsonrpc":"2.0","id":5,"result":{"of":5}}"#).await;
    assert_eq!(client.text().await, r#"{"jsonrpc":"2.0","id":5,"result":{"of":5}}"#);
    first.result("{}").await;
    assert_eq!(client.next().await.frame.id_text(), "1");
}

#[tokio::test]
async fn an_id_that_a_server_garbled_is_still_the_calls_own() {
    let (mut fixture, mut client) = open().await;
    for (id, garbled) in [("9007199254740993", "9007199254740992"), ("\"7\"", "7"), ("8.0", "8"), ("6", "null")] {
        client.call(id).await;
        let body = format!(r#"{{"jsonrpc":"2.0","id":{garbled},"result":{{}}}}"#);
        let body = if garbled == "null" {
            body.replace("result\":{}", "error\":{\"code\":-1,\"message\":\"m\"}")
        } else {
            body
        };
        fixture.expect_post("tools/call").await.json(&body).await;
        assert_eq!(client.next().await.frame.id_text(), id);
    }
}
