//! HTTP+SSE of 2024-11-05.

use mcp_bridge::{
    config::{Limits, Sharing},
    message::Frame,
};
use url::Url;

use super::support::*;

/// An open event stream, and where its client POSTs.
pub(super) async fn open(front: &mut Front) -> (Answer, String, Server) {
    let mut stream = front.send(&get("/sse", "Accept: text/event-stream\r\n")).await;
    assert_eq!(stream.status, 200);
    let event = stream.event().await.unwrap();
    assert_eq!(event.name.as_str(), "endpoint");
    let target = String::from_utf8(event.payload().unwrap().to_vec()).unwrap();
    (stream, target, front.server().await)
}

#[tokio::test]
async fn the_endpoint_comes_first_and_messages_cross_both_ways() {
    let mut front = Front::start().await;
    let (mut stream, target, mut server) = open(&mut front).await;
    assert!(target.starts_with("/messages?sessionId="), "{target}");
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));

    let mut posted = front.post_to(&target, POST, &initialize("2024-11-05")).await;
    assert_eq!((posted.status, posted.text().await.as_str()), (202, "Accepted"));
    server.initialize("2024-11-05").await;
    assert!(answers(&stream.message().await.0, "0"));

    let other = target.replace("sessionId", "session_id");
    assert_eq!(front.post_to(&other, POST, &request("1", "tools/call")).await.status, 202);
    let (_, reply) = server.request().await;
    reply.update(update(note(1))).await.unwrap();
    server.say(Frame::notification("notifications/x", None)).await;
    server.ask(Frame::parse(request("5", "roots/list").into()).unwrap()).await;
    reply.answer(result("{}"));
    let methods: Vec<String> = [stream.message().await, stream.message().await, stream.message().await]
        .iter()
        .map(|(frame, id)| {
            assert_eq!(id, "", "no event ids: there is no resumption");
            frame.method().to_owned()
        })
        .collect();
    assert_eq!(methods, ["notifications/progress", "notifications/x", "roots/list"]);
    assert!(answers(&stream.message().await.0, "1"));
    front.post_to(&target, POST, r#"{"jsonrpc":"2.0","id":5,"result":{}}"#).await;
    assert!(answers(&server.next().await.frame, "5"));
}

#[tokio::test]
async fn an_id_still_in_flight_is_refused_on_the_stream() {
    let mut front = Front::start().await;
    let (mut stream, target, mut server) = open(&mut front).await;
    front.post_to(&target, POST, &request("1", "a")).await;
    let (_, reply) = server.request().await;
    front.post_to(&target, POST, &request("1", "b")).await;
    let (refused, _) = stream.message().await;
    assert!(refused.is_error() && refused.id_text() == "1", "{refused:?}");
    reply.answer(result("{}"));
    assert!(!stream.message().await.0.is_error());
}

#[tokio::test]
async fn bad_posts_are_400_and_unknown_sessions_404() {
    let mut front = Front::start().await;
    let (_stream, target, _server) = open(&mut front).await;
    let unknown = format!("/messages?sessionId={}", "0".repeat(32));
    for (target, body, status, code) in [
        (target.as_str(), "{", 400, -32700),
        (&target, "[]", 400, -32600),
        (&target, r#"[{"jsonrpc":"2.0","method":"a"}]"#, 400, -32600),
        (&target, "", 400, -32700),
        ("/messages", "{}", 400, -32600),
        ("/messages?session=1", "{}", 400, -32600),
        (&unknown, "{}", 404, -32600),
        ("/messages?sessionId=x", "{}", 404, -32600),
        ("/messages?sessionId=", "{}", 404, -32600),
    ] {
        let mut answer = front.post_to(target, POST, body).await;
        assert_eq!(answer.status, status, "{target} {body}");
        assert_eq!(answer.error().await, ("null".into(), code), "{target} {body}");
    }
}

#[tokio::test]
async fn the_session_ends_with_its_connection() {
    let mut front = Front::start().await;
    let (stream, target, mut server) = open(&mut front).await;
    drop(stream);
    server.ended().await;
    assert_eq!(front.post_to(&target, POST, &request("1", "ping")).await.status, 404);
}

#[tokio::test]
async fn the_stream_ends_when_the_server_does_and_its_calls_are_answered_first() {
    let mut front = Front::start().await;
    let (mut stream, target, mut server) = open(&mut front).await;
    front.post_to(&target, POST, &request("1", "a")).await;
    drop(server.next().await);
    drop(server);
    assert!(stream.message().await.0.is_error());
    assert!(stream.event().await.is_none());
}

#[tokio::test]
async fn the_endpoint_is_found_under_any_prefix() {
    for base in ["https://host.example/tools/x/", "https://host.example/tools/x"] {
        let mut spec = spec();
        spec.base_url = Some(Url::parse(base).unwrap());
        let mut front = Front::with(Limits::default(), spec, Sharing::Own).await;
        let (_stream, target, mut server) = open(&mut front).await;
        assert!(target.starts_with("/tools/x/messages?sessionId="), "{target}");
        // A proxy may take the prefix off, or leave it.
        assert_eq!(front.post_to(&target, POST, &request("1", "a")).await.status, 202);
        assert_eq!(front.post_to(target.strip_prefix("/tools/x").unwrap(), POST, &request("2", "a")).await.status, 202);
        server.next().await;
        server.next().await;
    }
}

#[tokio::test]
async fn a_call_in_flight_is_answered_while_the_bridge_drains() {
    let mut front = Front::start().await;
    let (mut stream, target, mut server) = open(&mut front).await;
    front.post_to(&target, POST, &request("1", "a")).await;
    let (_, reply) = server.request().await;
    front.scope.stop();
    reply.answer(result("{}"));
    assert!(answers(&stream.message().await.0, "1"));
    // As a server does whose input closes.
    server.ended().await;
    drop(server);
    assert!(stream.event().await.is_none());
    soon("the end of serving", front.serving).await.unwrap();
}

#[tokio::test]
async fn one_client_that_reads_nothing_delays_no_other() {
    let mut front = Front::start().await;
    let (_stalled, stalled_target, mut stalled_server) = open(&mut front).await;
    let (mut stream, target, mut server) = open(&mut front).await;
    front.post_to(&stalled_target, POST, &request("1", "a")).await;
    let (_, stalled_reply) = stalled_server.request().await;
    let big = format!(r#""{}""#, "x".repeat(100_000));
    let flood = front.scope.spawn(async move {
        loop {
            let frame = Frame::notification("notifications/progress", Some(&format!(r#"{{"x":{big}}}"#)));
            if stalled_reply.update(update(frame)).await.is_err() {
                return;
            }
        }
    });
    for id in 0..50 {
        front.post_to(&target, POST, &request(&id.to_string(), "a")).await;
        let (_, reply) = server.request().await;
        reply.answer(result("{}"));
        assert!(answers(&stream.message().await.0, &id.to_string()));
    }
    flood.abort();
}
