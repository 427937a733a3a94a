//! Calls: what comes back, in which form, on which stream.

use mcp_bridge::{config::Limits, config::Sharing, message::Frame, peer::Reply};

use super::support::*;

#[tokio::test]
async fn an_answer_that_comes_first_is_one_json_message_of_the_bytes_that_came() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    for id in ["7", "\"a:b\"", "-3", "9007199254740991", "\"\""] {
        let answer = front.call(&session, &request(id, "tools/list"));
        let (frame, reply) = server.request().await;
        assert_eq!(frame.id_text(), id);
        assert_eq!(&frame.bytes()[..], request(id, "tools/list").as_bytes());
        let result =
            Frame::parse(format!(r#"{{"id":{id},"result":{{"n": 1.50}},"x":[],"jsonrpc":"2.0"}}"#).into()).unwrap();
        let want = result.bytes().clone();
        reply.answer(result);
        let mut answer = answer.await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("mcp-session-id"), None);
        assert_eq!(answer.text().await.as_bytes(), want);
    }
}

#[tokio::test]
async fn errors_of_the_server_pass_unchanged_with_status_200() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-11-25").await;
    let answer = front.call(&session, &request("1", "no/such"));
    let (_, reply) = server.request().await;
    reply.fail(-32601, "no such method", Some(serde_json::json!({"x": 1})));
    let mut answer = answer.await.unwrap();
    assert_eq!(answer.status, 200);
    let text = answer.text().await;
    assert!(text.contains(r#""data":{"x":1}"#), "{text}");
}

#[tokio::test]
async fn notifications_and_answers_are_accepted_with_202_and_nothing() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let mut answer = front.post(&session, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!((answer.status, answer.text().await.as_str()), (202, ""));
    assert_eq!(server.next().await.frame.method(), "notifications/initialized");
    let mut answer = front.post(&session, r#"{"jsonrpc":"2.0","id":99,"result":{}}"#).await;
    assert_eq!((answer.status, answer.text().await.as_str()), (202, ""), "an answer that nobody waits for");
}

#[tokio::test]
async fn what_comes_before_the_answer_makes_an_event_stream_of_that_call_alone() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let first = front.call(&session, &request("1", "tools/call"));
    let (_, first_reply) = server.request().await;
    let second = front.call(&session, &request("2", "tools/call"));
    let (_, second_reply) = server.request().await;
    first_reply.update(update(note(1))).await.unwrap();
    second_reply.update(update(note(2))).await.unwrap();
    first_reply.update(update(note(3))).await.unwrap();
    second_reply.answer(result("{}"));
    first_reply.answer(result("{}"));
    let mut first = first.await.unwrap();
    assert_eq!(first.status, 200);
    assert_eq!(first.header("content-type"), Some("text/event-stream"));
    assert_eq!(first.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(first.header("x-accel-buffering"), Some("no"));
    let bodies = |all: Vec<(Frame, String)>| -> Vec<String> {
        all.into_iter().map(|(frame, _)| frame.body().unwrap().to_owned()).collect()
    };
    assert_eq!(
        bodies(first.rest().await),
        [r#"{"progressToken":1,"progress":1}"#, r#"{"progressToken":1,"progress":3}"#, "{}"]
    );
    assert_eq!(bodies(second.await.unwrap().rest().await), [r#"{"progressToken":1,"progress":2}"#, "{}"]);
}

#[tokio::test]
async fn a_server_that_takes_its_time_gets_an_event_stream_with_keep_alives() {
    let limits = Limits { answer_patience: std::time::Duration::from_millis(10), ..Limits::default() };
    for (as_event, sign) in [(false, ": keep-alive\n\n"), (true, "event: ping\n")] {
        let mut spec = spec();
        spec.keepalive = std::time::Duration::from_millis(20);
        spec.keepalive_event = as_event;
        let mut front = Front::with(limits.clone(), spec, Sharing::Own).await;
        let (session, mut server) = front.session("2025-06-18").await;
        let answer = front.call(&session, &request("1", "tools/call"));
        let (_, reply) = server.request().await;
        let mut answer = answer.await.unwrap();
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        let mut seen = String::new();
        while seen.matches(sign).count() < 3 {
            use tokio::io::AsyncReadExt as _;
            let mut some = [0; 1024];
            let n = soon("keep-alives", answer.stream.read(&mut some)).await.unwrap();
            seen += std::str::from_utf8(&some[..n]).unwrap();
        }
        reply.answer(result("{}"));
    }
}

#[tokio::test]
async fn requests_of_the_server_reach_the_client_of_the_call_and_its_answer_reaches_the_server() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let answer = front.call(&session, &request("1", "tools/call"));
    let (_, reply) = server.request().await;
    let ask = Frame::parse(request("\"s1\"", "sampling/createMessage").into()).unwrap();
    let caller = mcp_bridge::peer::Caller::legacy(None);
    let home = Reply::on(server.peer.home.upgrade().unwrap(), &ask, &caller).await.unwrap();
    let envelope = mcp_bridge::peer::Envelope { from: caller, frame: ask, reply: Some(home) };
    reply.update(envelope).await.unwrap();
    let mut answer = answer.await.unwrap();
    let (asked, _) = answer.message().await;
    assert_eq!((asked.method(), asked.id_text()), ("sampling/createMessage", "\"s1\""));
    let posted = front.post(&session, r#"{"jsonrpc":"2.0","id":"s1","result":{"role":"assistant"}}"#).await;
    assert_eq!(posted.status, 202);
    let got = server.next().await.frame;
    assert!(answers(&got, "\"s1\""), "{got:?}");
    assert_eq!(got.body(), Some(r#"{"role":"assistant"}"#));
    reply.answer(result("{}"));
    assert!(answers(&answer.message().await.0, "1"));
    assert!(answer.event().await.is_none(), "the stream ends after the answer");
}

#[tokio::test]
async fn an_id_still_in_flight_is_refused_and_the_first_call_is_answered() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let first = front.call(&session, &request("5", "tools/call"));
    let (_, reply) = server.request().await;
    let mut second = front.post(&session, &request("5", "tools/list")).await;
    assert_eq!(second.status, 400);
    assert_eq!(second.error().await, ("5".into(), -32600));
    reply.answer(result("{}"));
    assert_eq!(first.await.unwrap().status, 200);
    let again = front.call(&session, &request("5", "tools/list"));
    let (_, reply) = server.request().await;
    reply.answer(result("{}"));
    assert_eq!(again.await.unwrap().status, 200, "the id is free again");
}

#[tokio::test]
async fn a_cancellation_passes_to_the_server() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let call = front.call(&session, &request("5", "tools/call"));
    let (_, reply) = server.request().await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#;
    assert_eq!(front.post(&session, cancel).await.status, 202);
    let got = server.next().await.frame;
    assert_eq!(got.cancelled(), Some(&mcp_bridge::message::Id::Number(5)));
    reply.fail(-32800, "cancelled", None);
    assert_eq!(call.await.unwrap().error().await, ("5".into(), -32800));
}

#[tokio::test]
async fn what_belongs_to_no_call_goes_to_the_open_stream_and_nowhere_else() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    server.say(Frame::notification("notifications/tools/list_changed", None)).await;
    let mut stream = front.get(&session).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.message().await.0.method(), "notifications/tools/list_changed", "what waited comes first");
    let call = front.call(&session, &request("1", "tools/call"));
    let (_, reply) = server.request().await;
    server.say(Frame::notification("notifications/message", None)).await;
    assert_eq!(stream.message().await.0.method(), "notifications/message");
    server.ask(Frame::parse(request("9", "roots/list").into()).unwrap()).await;
    assert_eq!(stream.message().await.0.method(), "roots/list");
    front.post(&session, r#"{"jsonrpc":"2.0","id":9,"result":{"roots":[]}}"#).await;
    assert!(answers(&server.next().await.frame, "9"));
    reply.answer(result("{}"));
    assert_eq!(call.await.unwrap().header("content-type"), Some("application/json"), "nothing went there");
}

#[tokio::test]
async fn without_an_open_stream_requests_go_to_the_oldest_call() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let first = front.call(&session, &request("1", "tools/call"));
    let (_, first_reply) = server.request().await;
    let second = front.call(&session, &request("2", "tools/call"));
    let (_, second_reply) = server.request().await;
    server.ask(Frame::parse(request("9", "roots/list").into()).unwrap()).await;
    let mut first = first.await.unwrap();
    assert_eq!(first.message().await.0.method(), "roots/list");
    second_reply.answer(result("{}"));
    assert_eq!(second.await.unwrap().header("content-type"), Some("application/json"));
    first_reply.answer(result("{}"));
    assert_eq!(first.rest().await.len(), 1);
}

/// A call that waits for its client is not cut off from it by the drain, though the answer comes on a new connection.
#[tokio::test]
async fn a_call_in_flight_gets_its_clients_answer_while_the_bridge_drains() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let call = front.call(&session, &request("1", "tools/call"));
    let (_, reply) = server.request().await;
    server.ask(Frame::parse(request("9", "roots/list").into()).unwrap()).await;
    let mut call = call.await.unwrap();
    assert_eq!(call.message().await.0.method(), "roots/list");
    front.scope.stop();
    let answer = front.post(&session, r#"{"jsonrpc":"2.0","id":9,"result":{"roots":[]}}"#).await;
    assert_eq!(answer.status, 202);
    assert!(answers(&server.next().await.frame, "9"));
    reply.answer(result("{}"));
    assert_eq!(call.rest().await.len(), 1);
    soon("the end of serving", front.serving).await.unwrap();
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_nothing() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let call = front.call(&session, &request("1", "tools/call"));
    let (_, reply) = server.request().await;
    call.abort();
    assert!(call.await.is_err());
    // The call lives on: its updates are taken, and its requests are refused rather than left.
    for n in 0..500 {
        soon("an update", reply.update(update(note(n)))).await.unwrap();
    }
    reply.answer(result("{}"));
    let next = front.call(&session, &request("2", "tools/list"));
    let (frame, reply) = server.request().await;
    assert_eq!(frame.method(), "tools/list", "and no cancellation came");
    reply.answer(result("{}"));
    assert_eq!(next.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_batch_is_answered_as_a_stream_where_the_revision_has_it() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-03-26").await;
    let batch = format!(
        r#"[{},{{"jsonrpc":"2.0","method":"notifications/x"}},{}]"#,
        request("1", "tools/list"),
        request("\"b\"", "prompts/list")
    );
    let answer = front.call(&session, &batch);
    let (_, one) = server.request().await;
    assert_eq!(server.next().await.frame.method(), "notifications/x");
    let (_, two) = server.request().await;
    two.answer(result("{}"));
    one.answer(result("{}"));
    let mut answer = answer.await.unwrap();
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let ids: Vec<String> = answer.rest().await.iter().map(|(frame, _)| frame.id_text().to_owned()).collect();
    assert_eq!(ids, ["\"b\"", "1"]);

    let mut notes =
        front.post(&session, r#"[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":4,"result":{}}]"#).await;
    assert_eq!((notes.status, notes.text().await.as_str()), (202, ""));
    assert_eq!(server.next().await.frame.method(), "a");

    let twice = format!("[{},{}]", request("1", "a"), request("1", "b"));
    for (body, id) in [
        (format!("[{}]", initialize("2025-03-26")), "null"),
        (twice, "1"),
        ("[]".into(), "null"),
        ("[1]".into(), "null"),
    ] {
        let mut answer = front.post(&session, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.error().await, (id.into(), -32600), "{body}");
    }
}

#[tokio::test]
async fn a_batch_is_refused_by_other_revisions() {
    let mut front = Front::start().await;
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let (session, _server) = front.session(revision).await;
        let mut answer = front.post(&session, &format!("[{}]", request("1", "ping"))).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.error().await, ("null".into(), -32600));
    }
    let mut answer = front.post("", &format!("[{}]", initialize("2025-03-26"))).await;
    assert_eq!((answer.status, answer.error().await.1), (400, -32600));
}
