//! Limits on each caller, and which address a caller has.

use std::time::Duration;

use mcp_bridge::{
    auth::resource::Gate,
    config::{
        Door, Limits, NetworkSpec, Secret, Sharing,
        traffic::{Proxy, Rate, Traffic},
    },
};

use super::support::*;
use crate::support::{http, program::Bridge};

const HOUR: Duration = Duration::from_secs(3_600);

fn limited(count: u32, proxies: Vec<Proxy>) -> NetworkSpec {
    let rate = Some(Rate { count, period: HOUR });
    NetworkSpec { traffic: Traffic { rate, proxies, max_concurrent: None }, ..spec() }
}

async fn status(front: &Front, headers: &str) -> u16 {
    front.send(&get("/nowhere", headers)).await.status
}

#[tokio::test]
async fn beyond_the_rate_there_is_429_with_the_time_to_come_back_and_health_is_free() {
    let front = Front::with(Limits::default(), limited(2, Vec::new()), Sharing::Own).await;
    assert_eq!((status(&front, "").await, status(&front, "").await), (404, 404));
    let mut answer = front.post("", &initialize("2025-06-18")).await;
    assert_eq!(answer.status, 429);
    assert!(matches!(answer.header("retry-after"), Some("1799" | "1800")), "{}", answer.head);
    let text = answer.text().await;
    assert!(text.contains("-32000") && text.contains("2/h") && text.contains("--rate-limit"), "{text}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(front.send(&get(path, "")).await.status, 200, "{path}");
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn forwarded_headers_count_only_from_a_trusted_proxy() {
    let front = Front::with(Limits::default(), limited(1, Vec::new()), Sharing::Own).await;
    assert_eq!(status(&front, "X-Forwarded-For: 192.0.2.1\r\n").await, 404);
    for header in ["X-Forwarded-For: 192.0.2.2", "Forwarded: for=192.0.2.3", "X-Real-IP: 192.0.2.4"] {
        assert_eq!(status(&front, &format!("{header}\r\n")).await, 429, "{header}");
    }
    let proxy = Proxy::net([127, 0, 0, 0].into(), Some(8)).unwrap();
    let front = Front::with(Limits::default(), limited(1, vec![proxy]), Sharing::Own).await;
    assert_eq!(status(&front, "X-Forwarded-For: 192.0.2.1\r\n").await, 404);
    assert_eq!(status(&front, "X-Forwarded-For: 192.0.2.2\r\n").await, 404);
    assert_eq!(status(&front, "X-Forwarded-For: 203.0.113.1, 192.0.2.2\r\n").await, 429);
    assert_eq!(status(&front, "X-Forwarded-For: 203.0.113.2\r\nX-Forwarded-For: 192.0.2.2\r\n").await, 429);
    let foreign = "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n";
    assert_eq!(status(&front, foreign).await, 404, "other forwarding headers change nothing");
}

#[tokio::test]
async fn guesses_are_paid_for_by_the_address_and_calls_by_the_principal() {
    let door = Door::Locked(Gate::of_tokens([Secret::new("one"), Secret::new("two")]).into());
    let front = Front::with(Limits::default(), NetworkSpec { door, ..limited(2, Vec::new()) }, Sharing::Own).await;
    let token = |token: &str| format!("Authorization: Bearer {token}\r\n");
    for (name, want) in [("one", 400), ("one", 400), ("one", 429), ("two", 400), ("x", 401), ("y", 401), ("z", 429)] {
        assert_eq!(
            front.send(&get("/mcp", &format!("{}Accept: text/event-stream\r\n", token(name)))).await.status,
            want,
            "{name}"
        );
    }
    assert_eq!(
        front.send(&get("/mcp", &token("two"))).await.status,
        429,
        "who guesses at this address shuts it for a while"
    );
}

#[tokio::test]
async fn calls_of_one_caller_at_once_are_counted_until_they_are_answered() {
    let traffic = Traffic { max_concurrent: Some(1), ..Traffic::default() };
    let mut front = Front::with(Limits::default(), NetworkSpec { traffic, ..spec() }, Sharing::Own).await;
    let (session, mut server) = front.session("2025-06-18").await;
    let mut first = front.call(&session, &request("1", "tools/call"));
    let (_, reply) = server.request().await;
    let second = front.post(&session, &request("2", "ping")).await;
    assert_eq!((second.status, second.header("retry-after")), (429, Some("1")));
    assert_eq!(front.get(&session).await.status, 200, "an open stream is no call");
    reply.answer(result("{}"));
    let mut answer = soon("the answer", &mut first).await.unwrap();
    assert_eq!(answer.status, 200);
    answer.text().await;
    let again = front.call(&session, &request("3", "ping"));
    server.request().await.1.answer(result("{}"));
    assert_eq!(soon("the answer", again).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_websocket_connection_counts_as_one_call_until_it_ends() {
    let traffic = Traffic { max_concurrent: Some(1), ..Traffic::default() };
    let front = Front::with(Limits::default(), NetworkSpec { traffic, ..spec() }, Sharing::Own).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let connection = front.send(&get("/ws", upgrade)).await;
    assert_eq!(connection.status, 101);
    assert_eq!(front.send(&get("/ws", upgrade)).await.status, 429);
    assert_eq!(front.post("", &request("1", "ping")).await.status, 429);
    drop(connection);
    // It is over when the bridge has noticed.
    soon("the end of the connection", async { while front.post("", &request("1", "ping")).await.status == 429 {} })
        .await;
}

#[tokio::test]
async fn the_flags_limit_guesses_by_the_address_that_a_trusted_proxy_states() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "s3cret\n").unwrap();
    let words = ["stdio-to-http", "--rate-limit", "2/h", "--trusted-proxy", "127.0.0.1", "--bearer-token-file"];
    let bridge = Bridge::demo(&[&words[..], &[file.to_str().unwrap()]].concat()).await;
    let ask = async |from: &str, token: &str| {
        let token = format!("Bearer {token}");
        let headers = [&http::POST[..], &[("Authorization", &*token), ("X-Forwarded-For", from)]].concat();
        bridge.ask("POST", "/mcp", &headers, &initialize("2025-06-18")).await
    };
    for want in [401, 401, 429] {
        assert_eq!(ask("192.0.2.1, 192.0.2.66", "guess").await.status(), want);
    }
    assert_eq!(ask("192.0.2.7, 192.0.2.66", "s3cret").await.status(), 429, "the address that the proxy saw");
    assert_eq!(ask("192.0.2.66, 192.0.2.1", "s3cret").await.status(), 200);
    assert_eq!(ask("192.0.2.66, 192.0.2.1", "s3cret").await.status(), 200);
    let (status, code, ..) = ask("192.0.2.2", "s3cret").await.refusal();
    assert_eq!((status, code), (429, -32000), "a principal pays wherever it calls from");
    assert_eq!(bridge.get("/healthz").await.status(), 200);
    bridge.stop().await;
}
