//! The end of `--grace`: what is in flight is answered with an error, over each wire. The servers here never answer and
//! never let go of what they were asked, so that nothing but the end itself can answer.

use std::time::Duration;

use mcp_bridge::{
    config::{Limits, Sharing},
    message::Frame,
    peer::Reply,
    protocol::MODERN,
};

use super::{
    legacy_sse, stateless,
    support::*,
    ws::{self, close_code, hear, say},
};

/// Whether a frame is the answer that the end gives to this id.
fn is_cut_off(frame: &Frame, id: &str) -> bool {
    answers(frame, id) && frame.is_error() && frame.bytes().windows(9).any(|bytes| bytes == b"shut down")
}

fn modern(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

async fn update_of(reply: &Reply) {
    reply.update(update(note(1))).await.unwrap();
}

/// By its own clock, or by that of the whole bridge.
async fn fronts() -> [Front; 2] {
    let limits = Limits { grace: Duration::from_millis(50), ..Limits::default() };
    [Front::with(limits, spec(), Sharing::Own).await, Front::in_haste(Sharing::Own).await]
}

#[tokio::test]
async fn calls_of_a_session_over_websocket_are_answered_before_the_close_frame() {
    for mut front in fronts().await {
        let (mut socket, mut server) = ws::session(&mut front).await;
        say(&mut socket, &request("1", "a")).await;
        say(&mut socket, &request(r#""two""#, "a")).await;
        let held = [server.request().await, server.request().await];
        front.scope.stop();
        let got = [hear(&mut socket).await, hear(&mut socket).await];
        for id in ["1", r#""two""#] {
            assert_eq!(got.iter().filter(|frame| is_cut_off(frame, id)).count(), 1, "{got:?}");
        }
        assert_eq!(close_code(&mut socket).await, 1001);
        soon("the end of serving", front.serving).await.unwrap();
        held.into_iter().for_each(|(_, reply)| reply.answer(result("{}")));
    }
}

#[tokio::test]
async fn exchanges_over_websocket_are_answered_before_the_close_frame() {
    for mut front in fronts().await {
        let mut socket = ws::open(&front).await;
        say(&mut socket, &modern("1")).await;
        let mut server = front.server().await;
        let _held = server.request().await;
        front.scope.stop();
        let got = hear(&mut socket).await;
        assert!(is_cut_off(&got, "1"), "{got:?}");
        assert_eq!(close_code(&mut socket).await, 1001);
        soon("the end of serving", front.serving).await.unwrap();
    }
}

#[tokio::test]
async fn a_websocket_client_that_does_not_read_does_not_hold_up_the_end() {
    let mut front = Front::in_haste(Sharing::Own).await;
    let (mut socket, mut server) = ws::session(&mut front).await;
    say(&mut socket, &request("1", "a")).await;
    let (_, reply) = server.request().await;
    let big = format!(r#"{{"x":"{}"}}"#, "x".repeat(100_000));
    let note = || update(Frame::notification("notifications/progress", Some(&big)));
    // Until nothing more is taken.
    while tokio::time::timeout(Duration::from_millis(300), reply.update(note())).await.is_ok() {}
    front.scope.stop();
    soon("the end of the session", reply.gone()).await;
}

#[tokio::test]
async fn calls_over_http_sse_are_answered_before_the_stream_ends() {
    for mut front in fronts().await {
        let (mut stream, target, mut server) = legacy_sse::open(&mut front).await;
        assert_eq!(front.post_to(&target, POST, &request("1", "a")).await.status, 202);
        let _held = server.request().await;
        front.scope.stop();
        let rest = stream.rest().await;
        assert!(rest.len() == 1 && is_cut_off(&rest[0].0, "1"), "{rest:?}");
        soon("the end of serving", front.serving).await.unwrap();
    }
}

#[tokio::test]
async fn calls_of_a_session_over_streamable_http_are_answered() {
    for mut front in fronts().await {
        let (session, mut server) = front.session("2025-03-26").await;
        let (silent, streaming) = (request("1", "a"), request(r#""two""#, "a"));
        let batch = format!("[{},{}]", request("3", "a"), request("4", "a"));
        let calls = [&silent, &streaming, &batch].map(|body| front.call(&session, body));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(server.request().await);
        }
        // What came is there in full, and one of a batch is answered already.
        for (frame, reply) in &held {
            if frame.id_text() == r#""two""# {
                update_of(reply).await;
            }
        }
        let third = held.iter().position(|(frame, _)| frame.id_text() == "3").unwrap();
        held.swap_remove(third).1.answer(result("{}"));
        let [silent, streaming, batch] = calls;
        let (mut streaming, mut batch) = (streaming.await.unwrap(), batch.await.unwrap());
        assert_eq!(streaming.message().await.0.method(), "notifications/progress");
        assert!(!batch.message().await.0.is_error());
        front.scope.stop();
        assert_eq!(silent.await.unwrap().error().await, ("1".into(), -32603));
        for (answer, id) in [(&mut streaming, r#""two""#), (&mut batch, "4")] {
            let rest = answer.rest().await;
            assert!(rest.len() == 1 && is_cut_off(&rest[0].0, id), "{rest:?}");
        }
        soon("the end of serving", front.serving).await.unwrap();
        // The server is let go, whatever it holds.
        server.ended().await;
    }
}

/// Its stream is full at every moment, up to the end.
#[tokio::test]
async fn a_call_whose_server_floods_it_is_answered_behind_what_has_come() {
    let mut front = Front::in_haste(Sharing::Own).await;
    let (session, mut server) = front.session("2025-06-18").await;
    let call = front.call(&session, &request("1", "a"));
    let (_, reply) = server.request().await;
    let flood = front.scope.spawn(async move { while reply.update(update(note(1))).await.is_ok() {} });
    let mut answer = call.await.unwrap();
    answer.message().await;
    front.scope.stop();
    let rest = answer.rest().await;
    assert!(is_cut_off(&rest.last().unwrap().0, "1"), "{:?}", rest.last());
    soon("the end of the flood", flood).await.unwrap();
}

#[tokio::test]
async fn calls_without_sessions_are_answered() {
    let (front, mut server) = stateless::of(Front::in_haste(Sharing::Stateless).await).await;
    let batch = format!("[{},{}]", request("3", "a"), request("4", "a"));
    let calls = [request("1", "a"), request("2", "a"), batch].map(|body| front.call("", &body));
    let mut held = Vec::new();
    for _ in 0..4 {
        let (frame, reply) = server.request().await;
        held.push((frame.method().to_owned(), reply));
    }
    for (_, reply) in &held {
        if reply.id_text() == "2" {
            reply.update(update(Frame::notification("notifications/message", None))).await.unwrap();
        }
    }
    let [silent, streaming, batch] = calls;
    let mut streaming = streaming.await.unwrap();
    assert_eq!(streaming.message().await.0.method(), "notifications/message");
    front.scope.stop();
    assert_eq!(silent.await.unwrap().error().await, ("1".into(), -32603));
    let rest = streaming.rest().await;
    assert!(rest.len() == 1 && is_cut_off(&rest[0].0, "2"), "{rest:?}");
    let rest = batch.await.unwrap().rest().await;
    assert_eq!(rest.len(), 2);
    for id in ["3", "4"] {
        assert!(rest.iter().any(|(frame, _)| is_cut_off(frame, id)), "{rest:?}");
    }
    soon("the end of serving", front.serving).await.unwrap();
}
