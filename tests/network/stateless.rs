//! POST without sessions (`--stateless`).

use mcp_bridge::{
    config::{Limits, Sharing},
    message::Frame,
};

use super::support::*;

/// A front, with the one server behind it, which the bridge has initialized.
async fn start() -> (Front, Server) {
    of(Front::with(Limits::default(), spec(), Sharing::Stateless).await).await
}

pub(super) async fn of(mut front: Front) -> (Front, Server) {
    let call = front.call("", &initialize("2025-06-18"));
    let mut server = front.server().await;
    server.initialize("2025-06-18").await;
    assert_eq!(server.next().await.frame.method(), "notifications/initialized");
    let mut answer = call.await.unwrap();
    assert_eq!((answer.status, answer.header("mcp-session-id")), (200, None));
    assert!(answer.text().await.contains(r#""protocolVersion":"2025-06-18""#));
    (front, server)
}

#[tokio::test]
async fn each_post_stands_alone() {
    let (front, mut server) = start().await;
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(front.call("", &request("1", "tools/list")));
    }
    for _ in 0..5 {
        let (_, reply) = server.request().await;
        reply.answer(result("{}"));
    }
    for call in calls {
        let mut answer = call.await.unwrap();
        assert_eq!((answer.status, answer.header("mcp-session-id")), (200, None));
        assert!(answer.text().await.contains(r#""id":1"#));
    }
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(front.post("", note).await.status, 202);
    assert_eq!(front.post("Mcp-Session-Id: whatever\r\n", note).await.status, 202, "ignored");
}

#[tokio::test]
async fn get_and_delete_are_405_and_so_is_legacy_sse() {
    let (front, _server) = start().await;
    for method in ["GET", "DELETE"] {
        let mut answer = front
            .send(&format!("{method} /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"))
            .await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("post")));
        assert!(answer.text().await.contains("--stateless"));
    }
    let mut answer = front.send(&get("/sse", "")).await;
    assert_eq!(answer.status, 405);
    assert!(answer.text().await.contains("--stateless"));
}

#[tokio::test]
async fn what_needs_a_session_is_refused_with_an_error_that_says_so() {
    let (front, _server) = start().await;
    let mut answer = front.post("", &request("3", "resources/subscribe")).await;
    assert_eq!(answer.status, 200);
    let text = answer.text().await;
    assert!(text.contains("-32601") && text.contains("--stateless") && text.contains(r#""id":3"#), "{text}");
    let mut answer = front.post("", r#"{"jsonrpc":"2.0","id":3,"result":{}}"#).await;
    assert_eq!((answer.status, answer.error().await.1), (400, -32600));
}

#[tokio::test]
async fn updates_come_as_a_stream_without_event_ids() {
    let (front, mut server) = start().await;
    let call = front.call("", &request("1", "tools/call"));
    let (_, reply) = server.request().await;
    reply.update(update(Frame::notification("notifications/message", None))).await.unwrap();
    reply.answer(result("{}"));
    let all = call.await.unwrap().rest().await;
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|(_, id)| id.is_empty()));
}

#[tokio::test]
async fn batches_are_for_2025_03_26_or_no_version_at_all() {
    let (front, mut server) = start().await;
    let batch = format!("[{},{}]", request("1", "a"), request("2", "b"));
    for header in ["", "MCP-Protocol-Version: 2025-03-26\r\n"] {
        let call = front.call(header, &batch);
        for _ in 0..2 {
            let (_, reply) = server.request().await;
            reply.answer(result("{}"));
        }
        assert_eq!(call.await.unwrap().rest().await.len(), 2);
    }
    let mut answer = front.post("MCP-Protocol-Version: 2025-06-18\r\n", &batch).await;
    assert_eq!((answer.status, answer.error().await.1), (400, -32600));
}
