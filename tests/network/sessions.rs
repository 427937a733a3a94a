//! Sessions: how they begin, who may speak in them, how they end.

use std::{collections::HashSet, time::Duration};

use mcp_bridge::{
    auth::resource::Gate,
    config::{Door, Limits, Secret, Sharing},
    message::Frame,
};

use super::support::*;

#[tokio::test]
async fn ids_are_random_visible_and_never_the_same() {
    let mut front = Front::start().await;
    let mut seen = HashSet::new();
    let mut servers = Vec::new();
    for _ in 0..50 {
        let (session, server) = front.session("2025-06-18").await;
        let id = session.trim_end().rsplit(' ').next().unwrap().to_owned();
        assert!(id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
        assert!(seen.insert(id));
        servers.push(server);
    }
    let prefixes: HashSet<_> = seen.iter().map(|id| &id[..8]).collect();
    assert_eq!(prefixes.len(), seen.len(), "no common beginnings");
}

#[tokio::test]
async fn a_missing_session_is_400_and_an_unknown_one_404() {
    let mut front = Front::start().await;
    let (_session, _server) = front.session("2025-06-18").await;
    let unknown = format!("Mcp-Session-Id: {}\r\n", "0".repeat(32));
    let odd = "Mcp-Session-Id: x/../y\r\n";
    let accept = "Accept: text/event-stream\r\n";
    for (header, status) in [("", 400), (unknown.as_str(), 404), (odd, 404)] {
        let mut answer = front.post(header, &request("1", "ping")).await;
        assert_eq!(answer.status, status, "POST {header}");
        answer.error().await;
        let mut answer = front.get(header).await;
        assert_eq!(answer.status, status, "GET {header}");
        answer.error().await;
        let mut answer = front.send(&format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n{accept}{header}\r\n")).await;
        assert_eq!(answer.status, status, "DELETE {header}");
        answer.error().await;
    }
}

#[tokio::test]
async fn delete_ends_a_session_and_its_server() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let mut stream = front.get(&session).await;
    let deleted = front.send(&format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n{session}\r\n")).await;
    assert_eq!(deleted.status, 204);
    server.ended().await;
    assert!(stream.event().await.is_none());
    let mut answer = front.post(&session, &request("1", "ping")).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.error().await.1, -32600);
    assert_eq!(front.send(&format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n{session}\r\n")).await.status, 404);
}

#[tokio::test]
async fn a_session_whose_server_dies_answers_its_calls_and_is_404_from_then_on() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let call = front.call(&session, &request("1", "tools/call"));
    let waiting = server.next().await;
    drop(waiting);
    assert_eq!(call.await.unwrap().error().await, ("1".into(), -32603));
    let mut stream = front.get(&session).await;
    drop(server);
    assert!(stream.event().await.is_none());
    assert_eq!(front.post(&session, &request("2", "ping")).await.status, 404);
    let (_session, _server) = front.session("2025-06-18").await;
}

#[tokio::test]
async fn an_initialize_that_fails_leaves_no_session() {
    let mut front = Front::start().await;
    let call = front.call("", &initialize("2025-06-18"));
    let mut server = front.server().await;
    let (_, reply) = server.request().await;
    reply.fail(-32602, "no", None);
    let mut answer = call.await.unwrap();
    assert_eq!((answer.status, answer.header("mcp-session-id")), (200, None));
    assert_eq!(answer.error().await, ("0".into(), -32602));
    server.ended().await;
}

#[tokio::test]
async fn an_initialize_whose_client_hangs_up_leaves_no_session() {
    let mut front = Front::start().await;
    let call = front.call("", &initialize("2025-06-18"));
    let mut server = front.server().await;
    let (_, reply) = server.request().await;
    call.abort();
    assert!(call.await.is_err());
    server.ended().await;
    reply.answer(result("{}"));
}

#[tokio::test]
async fn initialize_within_a_session_is_refused() {
    let mut front = Front::start().await;
    let (session, _server) = front.session("2025-06-18").await;
    let mut answer = front.post(&session, &initialize("2025-06-18")).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.error().await, ("0".into(), -32600));
}

#[tokio::test]
async fn a_version_that_is_not_supported_is_400_and_none_is_fine() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let call = front.call(&format!("{session}MCP-Protocol-Version: {version}\r\n"), &request("1", "ping"));
        let (_, reply) = server.request().await;
        reply.answer(result("{}"));
        assert_eq!(call.await.unwrap().status, 200, "{version}");
    }
    for version in ["1999-01-01", "1.0"] {
        let header = format!("{session}MCP-Protocol-Version: {version}\r\n");
        let mut answer = front.post(&header, &request("1", "ping")).await;
        assert_eq!(answer.status, 400, "{version}");
        assert_eq!(answer.error().await, ("null".into(), -32600));
        assert_eq!(front.get(&header).await.status, 400, "{version}");
    }
}

#[tokio::test]
async fn a_session_of_another_token_is_unknown() {
    let mut spec = spec();
    spec.door = Door::Locked(Gate::of_tokens([Secret::new("one"), Secret::new("two")]).into());
    let mut front = Front::with(Limits::default(), spec, Sharing::Own).await;
    let one = "Authorization: Bearer one\r\n";
    let call = front.call(one, &initialize("2025-06-18"));
    let mut server = front.server().await;
    server.initialize("2025-06-18").await;
    let id = call.await.unwrap().header("mcp-session-id").unwrap().to_owned();
    let session = format!("Mcp-Session-Id: {id}\r\n");
    let two = format!("Authorization: Bearer two\r\n{session}");
    assert_eq!(front.post(&two, &request("1", "ping")).await.status, 404);
    assert_eq!(front.get(&two).await.status, 404);
    assert_eq!(front.post(&format!("{one}{session}"), r#"{"jsonrpc":"2.0","method":"x"}"#).await.status, 202);
    assert_eq!(front.post(&session, &request("1", "ping")).await.status, 401);
}

#[tokio::test]
async fn a_second_stream_is_409_and_the_first_lives_on() {
    let mut front = Front::start().await;
    let (session, server) = front.session("2025-06-18").await;
    let mut first = front.get(&session).await;
    let mut second = front.get(&session).await;
    assert_eq!(second.status, 409);
    second.error().await;
    server.say(Frame::notification("notifications/x", None)).await;
    assert_eq!(first.message().await.0.method(), "notifications/x");
}

#[tokio::test]
async fn equal_ids_of_many_clients_never_cross() {
    let mut front = Front::start().await;
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(front.session("2025-06-18").await);
    }
    let calls: Vec<_> = all
        .iter()
        .map(|(session, _)| (0..20).map(|id| front.call(session, &request(&id.to_string(), "x"))).collect::<Vec<_>>())
        .collect();
    let mut replies = Vec::new();
    for (client, (_, server)) in all.iter_mut().enumerate() {
        for _ in 0..20 {
            let (frame, reply) = server.request().await;
            replies.push((client, frame, reply));
        }
    }
    // In an order that has nothing to do with that of the questions.
    replies.sort_by_key(|(client, frame, _)| (frame.id_text().len() * 7 + client * 13) % 17);
    for (client, frame, reply) in replies {
        reply.answer(result(&format!(r#"{{"client":{client},"id":{}}}"#, frame.id_text())));
    }
    for (client, calls) in calls.into_iter().enumerate() {
        for (id, call) in calls.into_iter().enumerate() {
            let text = call.await.unwrap().text().await;
            assert!(text.contains(&format!(r#"{{"client":{client},"id":{id}}}"#)), "{text}");
        }
    }
}

#[tokio::test]
async fn an_idle_session_ends_and_one_with_a_reader_lives() {
    let limits = Limits { session_timeout: Duration::from_millis(400), ..Limits::default() };
    let mut spec = spec();
    spec.keepalive = Duration::from_millis(50);
    let mut front = Front::with(limits, spec, Sharing::Own).await;
    let (read, read_server) = front.session("2025-06-18").await;
    let mut stream = front.get(&read).await;
    let (idle, mut idle_server) = front.session("2025-06-18").await;
    // With a call in flight whose client is gone.
    let call = front.call(&idle, &request("1", "tools/call"));
    let (_, _reply) = idle_server.request().await;
    call.abort();
    idle_server.ended().await;
    assert_eq!(front.post(&idle, &request("2", "ping")).await.status, 404);
    read_server.say(Frame::notification("notifications/x", None)).await;
    assert_eq!(stream.message().await.0.method(), "notifications/x");
}

#[tokio::test]
async fn what_no_client_reads_is_bounded_and_requests_are_refused_then() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    for n in 0..1_000 {
        soon("a notification", server.say(note(n))).await;
    }
    // Comes after them, so its refusal says that all were taken.
    server.ask(Frame::parse(request("1", "roots/list").into()).unwrap()).await;
    let refused = server.next().await.frame;
    assert!(answers(&refused, "1") && refused.is_error(), "{refused:?}");
    let mut stream = front.get(&session).await;
    let (first, _) = stream.message().await;
    assert_eq!(first.body(), Some(r#"{"progressToken":1,"progress":744}"#), "the oldest went");
    for n in 745..1_000 {
        let want = format!(r#"{{"progressToken":1,"progress":{n}}}"#);
        assert_eq!(stream.message().await.0.body(), Some(want.as_str()));
    }
}

#[tokio::test]
async fn an_initialize_that_becomes_a_stream_carries_the_id_and_fails_as_well() {
    let mut front = Front::start().await;
    for fails in [false, true] {
        let call = front.call("", &initialize("2025-11-25"));
        let mut server = front.server().await;
        let (_, reply) = server.request().await;
        reply.update(update(Frame::notification("notifications/message", None))).await.unwrap();
        let mut answer = call.await.unwrap();
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        let session = format!("Mcp-Session-Id: {}\r\n", answer.header("mcp-session-id").unwrap());
        assert_eq!(answer.event().await.map(|event| event.payload().is_some()), Some(true), "no priming event yet");
        if fails {
            reply.fail(-32602, "no", None);
            assert!(answer.message().await.0.is_error());
            server.ended().await;
            assert_eq!(front.post(&session, &request("1", "ping")).await.status, 404);
        } else {
            reply.answer(result(r#"{"protocolVersion":"2025-11-25"}"#));
            assert!(!answer.message().await.0.is_error());
            assert_eq!(front.post(&session, r#"{"jsonrpc":"2.0","method":"x"}"#).await.status, 202);
        }
    }
}
