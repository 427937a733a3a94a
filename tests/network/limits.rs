//! Bad bodies, slow clients, half-closed and reset connections.

use std::time::Duration;

use mcp_bridge::config::{Limits, Sharing};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::support::*;

fn short() -> Limits {
    Limits {
        max_message: 100_000,
        header_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        ..Limits::default()
    }
}

#[tokio::test]
async fn bodies_that_are_no_message_get_the_error_that_says_why() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
    let deep_id = format!(r#"{{"jsonrpc":"2.0","id":{}{},"method":"a"}}"#, "[".repeat(500_000), "]".repeat(500_000));
    let long_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"a"}}"#, "x".repeat(5_000_000));
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("\u{feff}{}", -32700),
        (r#"{"jsonrpc":"2.0","id":NaN,"method":"a"}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a"} {}"#, -32700),
        (r#"{"jsonrpc":"2.0",/*c*/"id":1,"method":"a"}"#, -32700),
        ("7", -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"Method":"a"}"#, -32600),
        (deep.as_str(), -32600),
        (deep_id.as_str(), -32600),
        (long_id.as_str(), -32600),
    ] {
        let mut answer = front.post(&session, body).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(answer.status, 400, "{shown}");
        assert_eq!(answer.error().await, ("null".into(), code), "{shown}");
    }
    let raw = [post("/mcp", &format!("{POST}{session}"), "??").trim_end_matches('?').as_bytes(), b"\xff\xfe"].concat();
    let mut answer = exchange(front.address, &raw).await;
    assert_eq!((answer.status, answer.error().await.1), (400, -32700));
    let call = front.call(&session, &request("1", "ping"));
    let (_, reply) = server.request().await;
    reply.answer(result("{}"));
    assert_eq!(call.await.unwrap().status, 200, "and the next one is served");
}

#[tokio::test]
async fn a_megabyte_is_carried_both_ways() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let big = format!(r#"{{"text":"{}"}}"#, "x".repeat(1024 * 1024));
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":{big}}}"#);
    let call = front.call(&session, &body);
    let (frame, reply) = server.request().await;
    assert_eq!(frame.bytes().len(), body.len());
    reply.answer(result(&big));
    assert!(call.await.unwrap().text().await.contains(&big));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_with_a_message_also_when_it_is_still_being_sent() {
    let front = Front::with(short(), spec(), Sharing::Own).await;
    let body = "x".repeat(600_000);
    let mut answer = front.post_to("/mcp", POST, &body).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.error().await, ("null".into(), -32600));
    // Without a stated length, and without an end.
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let head = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{POST}Transfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..5 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let mut answer = soon("the refusal", Answer::read(stream)).await.unwrap();
    assert_eq!((answer.status, answer.error().await.1), (413, -32600));
    // One that asks first need not send it.
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{POST}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    );
    assert_eq!(front.send(&head).await.status, 413);
}

#[tokio::test]
async fn half_a_head_is_cut_off_and_others_are_served_meanwhile() {
    let mut front = Front::with(short(), spec(), Sharing::Own).await;
    let mut slow = Vec::new();
    for n in 0..500 {
        let mut stream = TcpStream::connect(front.address).await.unwrap();
        // Nothing at all, a few bytes of something, half a head.
        let start = ["", "PO", "GET /mcp HTTP/1.1\r\nHost: local"][n % 3];
        stream.write_all(start.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let (_session, _server) = front.session("2025-06-18").await;
    for mut stream in slow {
        let mut rest = Vec::new();
        // Closed or reset; not left open.
        drop(soon("the end of a slow connection", stream.read_to_end(&mut rest)).await);
    }
}

#[tokio::test]
async fn a_connection_kept_open_for_nothing_is_closed() {
    let front = Front::with(short(), spec(), Sharing::Own).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(get("/healthz", "").as_bytes()).await.unwrap();
    let mut rest = String::new();
    soon("the end of the connection", stream.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
}

#[tokio::test]
async fn a_body_that_stalls_or_trickles_is_408() {
    let front = Front::with(short(), spec(), Sharing::Own).await;
    let head = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{POST}Content-Length: 90000\r\n\r\n");
    for trickle in [false, true] {
        let stream = TcpStream::connect(front.address).await.unwrap();
        let (read, mut write) = stream.into_split();
        write.write_all(head.as_bytes()).await.unwrap();
        let writing = front.scope.spawn(async move {
            while trickle && write.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            write
        });
        let mut read = read;
        let mut text = String::new();
        let mut piece = [0; 4096];
        while !text.contains("}}") {
            let n = soon("the refusal", read.read(&mut piece)).await.unwrap();
            assert_ne!(n, 0, "{text}");
            text += std::str::from_utf8(&piece[..n]).unwrap();
        }
        assert!(text.starts_with("HTTP/1.1 408") && text.contains("-32600"), "{text}");
        drop(read);
        drop(writing.await);
    }
}

#[tokio::test]
async fn a_half_closed_connection_gets_no_answer_and_its_call_is_no_less_a_call() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let text = post("/mcp", &format!("{POST}{session}"), &request("1", "tools/call"));
    stream.write_all(text.as_bytes()).await.unwrap();
    let (_, reply) = server.request().await;
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    soon("the end of the connection", stream.read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "");
    reply.answer(result("{}"));
    let call = front.call(&session, &request("1", "ping"));
    let (_, reply) = server.request().await;
    reply.answer(result("{}"));
    assert_eq!(call.await.unwrap().status, 200, "the id is free again");
}

#[tokio::test]
async fn connections_that_are_reset_at_any_byte_leave_nothing_behind() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let text = post("/mcp", &format!("{POST}{session}"), &request("\"x\"", "tools/call"));
    for end in (1..=text.len()).step_by(3) {
        let mut stream = TcpStream::connect(front.address).await.unwrap();
        stream.write_all(&text.as_bytes()[..end]).await.unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
    }
    // Whatever got through is answered; then the session works as before.
    let call = front.call(&session, &request("\"end\"", "ping"));
    loop {
        let (frame, reply) = server.request().await;
        let last = frame.id_text() == "\"end\"";
        reply.answer(result("{}"));
        if last {
            break;
        }
    }
    assert_eq!(call.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_reads_nothing_slows_its_own_server_and_fills_no_memory() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let call = front.call(&session, &request("1", "tools/call"));
    let (_, reply) = server.request().await;
    reply.update(update(note(0))).await.unwrap();
    let stalled = call.await.unwrap();
    let big = format!(r#"{{"x":"{}"}}"#, "x".repeat(100_000));
    let mut taken = 0;
    let frame = mcp_bridge::message::Frame::notification("notifications/progress", Some(&big));
    // The only way to see that something waits is to wait for it.
    while let Ok(result) = tokio::time::timeout(Duration::from_millis(500), reply.update(update(frame.clone()))).await {
        result.unwrap();
        taken += 1;
        assert!(taken < 1_000, "100 MB were taken for a client that reads nothing");
    }
    let (_session, other) = front.session("2025-06-18").await;
    other.say(note(1)).await;
    drop(stalled);
    soon("an update after the client hung up", reply.update(update(frame))).await.unwrap();
    assert!(server.peer.rx.try_recv().is_none(), "and nothing was cancelled");
}

#[tokio::test]
async fn calls_beyond_the_limit_are_429_and_those_before_are_answered() {
    let limits = Limits { max_in_flight: 2, ..Limits::default() };
    let mut front = Front::with(limits, spec(), Sharing::Own).await;
    let (session, mut server) = front.session("2025-06-18").await;
    let mut calls = Vec::new();
    let mut replies = Vec::new();
    for id in ["1", "2"] {
        calls.push(front.call(&session, &request(id, "a")));
        replies.push(server.request().await.1);
    }
    let mut answer = front.post(&session, &request("3", "a")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.error().await, ("3".into(), -32000));
    for (call, reply) in calls.into_iter().zip(replies) {
        reply.answer(result("{}"));
        assert_eq!(call.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn sessions_beyond_the_limit_are_503_with_retry_after() {
    let limits = Limits { max_sessions: 0, ..Limits::default() };
    let front = Front::with(limits, spec(), Sharing::Own).await;
    let mut answer = front.post("", &initialize("2025-06-18")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(answer.error().await, ("0".into(), -32000));
    let mut answer = front.send(&get("/sse", "")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().await.contains("--max-sessions"));
}

#[tokio::test]
async fn a_defect_costs_one_request_and_tells_nothing() {
    let scope = mcp_bridge::scope::Scope::new();
    let limits = Limits::default();
    let registry = mcp_bridge::registry::Registry::scripted(|_| panic!("secret"), Sharing::Own, &limits, &scope);
    let listening = mcp_bridge::listen::bind(&spec()).unwrap();
    let address = address(&listening);
    let routes = routes(&spec(), registry, &limits, &scope);
    scope.spawn(mcp_bridge::listen::serve(listening, routes, limits.into(), scope.clone()));
    for _ in 0..3 {
        let mut answer = exchange(address, post("/mcp", POST, &initialize("2025-06-18")).as_bytes()).await;
        assert_eq!(answer.status, 500);
        let text = answer.text().await;
        assert!(text.contains("-32603") && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn http_2_is_served_with_the_same_guard() {
    let mut front = Front::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}/mcp", front.address);
    let send = |url: &str, body: String| {
        let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        let request = client.post(url).body(body);
        headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    let call = front.scope.spawn(send(&url, initialize("2025-06-18")));
    let mut server = front.server().await;
    server.initialize("2025-06-18").await;
    let answer = soon("the answer", call).await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    assert!(answer.headers().contains_key("mcp-session-id"));

    let evil =
        reqwest::Client::builder().http2_prior_knowledge().resolve("evil.example", front.address).build().unwrap();
    let answer = evil.get(format!("http://evil.example:{}/sse", front.address.port())).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 403);
}
