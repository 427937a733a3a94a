//! Each behaviour of the legacy SSE client, against a server whose every byte the test writes.

use super::endpoint;
use crate::{
    config::{Limits, RemoteTransport::Sse as Legacy},
    message::Frame,
    wire::remote::{
        ConnectError,
        fixture::{Client, Fixture, Sse, initialize, initialize_result, soon, spec},
    },
};

const V: &str = "2024-11-05";

async fn open() -> (Fixture, Client, Sse) {
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Legacy);
    client.request(&initialize(V)).await;
    let mut sse = fixture.endpoint().await;
    accept(&mut fixture, "initialize").await;
    sse.message(&initialize_result("0", V)).await;
    client.next().await;
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    accept(&mut fixture, "notifications/initialized").await;
    (fixture, client, sse)
}

async fn accept(fixture: &mut Fixture, method: &str) -> Frame {
    let post = fixture.expect_post(method).await;
    assert_eq!(post.path, "/messages?session_id=1");
    let frame = post.frame();
    post.reply(202, &[], "Accepted").await;
    frame
}

#[test]
fn an_endpoint_is_resolved_against_the_stream_and_stays_at_its_origin() {
    let stream = "https://host.example/a/sse?x=1".parse().unwrap();
    for (text, url) in [
        ("/messages?session_id=1", "https://host.example/messages?session_id=1"),
        ("messages", "https://host.example/a/messages"),
        (" ?s=1 ", "https://host.example/a/sse?s=1"),
        ("https://host.example:443/m#x", "https://host.example/m"),
    ] {
        assert_eq!(endpoint(&stream, text.as_bytes()).unwrap().as_str(), url);
    }
    for text in [
        "",
        "https://evil.example/m",
        "//evil.example/m",
        "javascript:alert(1)",
        "http://host.example/m",
        "https://a@host.example/m",
        "https://",
    ] {
        let why = endpoint(&stream, text.as_bytes()).unwrap_err();
        assert!(!why.contains('\n'), "{text}: {why}");
    }
}

#[test]
fn what_is_wrong_with_an_endpoint_is_named() {
    let stream = "https://host.example/sse".parse().unwrap();
    for (text, words) in [
        ("https://me:s3cret@host.example/m".to_owned(), "credentials"),
        (format!("/m?{}", "x".repeat(8 * 1024)), "of at most 8192"),
        ("https://evil.example/m".to_owned(), "another origin"),
    ] {
        let why = endpoint(&stream, text.as_bytes()).unwrap_err();
        assert!(why.contains(words) && !why.contains("s3cret") && why.len() < 200, "{why}");
    }
}

#[tokio::test]
async fn a_url_of_the_newer_transport_leads_to_the_command_for_it() {
    for head in [&[("Content-Type", "application/json")][..], &[]] {
        let mut fixture = Fixture::start().await;
        let mut client = Client::start(&fixture.url, Legacy);
        client.request(&initialize(V)).await;
        let get = fixture.expect("GET").await;
        match head {
            [] => get.sse(&[]).await.message(r#"{"jsonrpc":"2.0","method":"notifications/a"}"#).await,
            head => get.reply(200, head, "{}").await,
        }
        let (_, _, message) = client.error().await;
        assert!(message.contains("use connect or http-to-stdio"), "{message}");
    }
}

#[tokio::test]
async fn calls_go_to_the_endpoint_and_answers_come_from_the_stream() {
    let (mut fixture, mut client, mut sse) = open().await;
    client.call("1").await;
    client.call("\"a:b\"").await;
    accept(&mut fixture, "tools/call").await;
    accept(&mut fixture, "tools/call").await;
    sse.message(r#"{"jsonrpc":"2.0","id":"a:b","result":{}}"#).await;
    assert_eq!(client.next().await.frame.id_text(), "\"a:b\"");
    sse.raw("event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\r\n\r\n").await;
    assert_eq!(client.next().await.frame.id_text(), "1");
    sse.message(r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#).await;
    client.next().await.reply.unwrap().answer(Frame::result("0", "{}"));
    let post = fixture.expect("POST").await;
    assert_eq!(post.body, r#"{"jsonrpc":"2.0","id":9,"result":{}}"#);
    post.reply(202, &[], "").await;
    assert_eq!(client.leave().await, Ok(()));
    sse.closed().await;
}

#[tokio::test]
async fn a_request_that_the_endpoint_refuses_is_answered() {
    let (mut fixture, mut client, _sse) = open().await;
    client.call("1").await;
    fixture.expect("POST").await.reply(404, &[], "Session not found").await;
    let (id, _, message) = client.error().await;
    assert_eq!(id, "1");
    assert!(message.contains("HTTP 404") && !message.contains("session_id"), "{message}");
}

#[tokio::test]
async fn an_endpoint_at_another_origin_is_refused_and_nothing_is_posted() {
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Legacy);
    client.request(&initialize(V)).await;
    let mut sse = fixture.expect("GET").await.sse(&[]).await;
    sse.raw("event: endpoint\ndata: http://evil.example/messages\n\n").await;
    let (_, _, message) = client.error().await;
    assert!(message.contains("another origin"), "{message}");
    assert!(matches!(soon("the wire", client.wire).await.unwrap(), Err(ConnectError::Protocol(_))));
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn a_second_endpoint_event_changes_nothing() {
    let (mut fixture, client, mut sse) = open().await;
    sse.raw("event: endpoint\ndata: http://evil.example/messages\n\n").await;
    sse.raw("event: endpoint\ndata: /elsewhere\n\n").await;
    client.call("1").await;
    accept(&mut fixture, "tools/call").await;
}

#[tokio::test]
async fn a_dropped_stream_answers_its_calls_and_a_new_session_takes_its_place() {
    let (mut fixture, mut client, sse) = open().await;
    client.request(r#"{"jsonrpc":"2.0","id":5,"method":"resources/subscribe","params":{"uri":"a://b"}}"#).await;
    accept(&mut fixture, "resources/subscribe").await;
    drop(sse);
    let (id, _, message) = client.error().await;
    assert_eq!(id, "5");
    assert!(message.contains("unknown"), "{message}");
    client.call("6").await;

    let mut sse = fixture.endpoint().await;
    let again = accept(&mut fixture, "initialize").await;
    sse.message(r#"{"jsonrpc":"2.0","method":"notifications/early"}"#).await;
    sse.message(&initialize_result(again.id_text(), V)).await;
    accept(&mut fixture, "notifications/initialized").await;
    let subscribe = accept(&mut fixture, "resources/subscribe").await;
    sse.message(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, subscribe.id_text())).await;
    assert_eq!(accept(&mut fixture, "tools/call").await.id_text(), "6");
    sse.message(r#"{"jsonrpc":"2.0","id":6,"result":{}}"#).await;
    assert_eq!(client.next().await.frame.method(), "notifications/early");
    assert_eq!(client.next().await.frame.id_text(), "6");
}

#[tokio::test]
async fn calls_in_flight_are_answered_when_the_client_leaves() {
    let (mut fixture, mut client, mut sse) = open().await;
    client.call("1").await;
    accept(&mut fixture, "tools/call").await;
    let (closed, _) = tokio::sync::mpsc::channel(1);
    drop(std::mem::replace(&mut client.peer.tx, closed));
    sse.message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(client.next().await.frame.id_text(), "1");
    assert_eq!(soon("the wire", client.wire).await.unwrap(), Ok(()));
    sse.closed().await;
}

#[tokio::test]
async fn a_slow_post_of_a_call_does_not_hold_up_the_answers_that_the_call_waits_for() {
    let (mut fixture, mut client, mut sse) = open().await;
    client.call("1").await;
    let held = fixture.expect_post("tools/call").await;
    sse.message(r#"{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{}}"#).await;
    client.next().await.reply.unwrap().answer(Frame::result("0", "{}"));
    fixture.expect("POST").await.reply(202, &[], "").await;
    sse.message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    held.reply(200, &[], "").await;
    assert_eq!(client.next().await.frame.id_text(), "1");
}

#[tokio::test]
async fn an_event_over_the_limit_ends_the_stream_and_says_so() {
    let mut fixture = Fixture::start().await;
    let mut client = Client::with(&spec(&fixture.url, Legacy), &Limits { max_message: 1000, ..Limits::default() });
    client.request(&initialize(V)).await;
    let mut sse = fixture.endpoint().await;
    accept(&mut fixture, "initialize").await;
    sse.message(&"x".repeat(1001)).await;
    assert!(client.error().await.2.contains("--max-message"));
}

#[tokio::test]
async fn calls_do_not_queue_up_behind_one_another() {
    let (mut fixture, client, _sse) = open().await;
    client.call("1").await;
    let held = fixture.expect_post("tools/call").await;
    client.call("2").await;
    assert_eq!(accept(&mut fixture, "tools/call").await.id_text(), "2");
    drop(held);
}
