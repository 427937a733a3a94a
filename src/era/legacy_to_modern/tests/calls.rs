//! Requests, their answers, and what comes between.

use super::*;

#[tokio::test]
async fn a_call_goes_out_stamped_and_comes_home_stripped() {
    let (client, mut server) = session().await;
    let mut answers = client
        .ask(
            "\"c\\u0031\"",
            "tools/call",
            r#"{"name":"get_weather","arguments":{"n": 1.0},"task":{"ttl":1},"_meta":{"progressToken":"p","traceparent":"00"}}"#,
        )
        .await;
    let (params, reply) = server.next("tools/call").await;
    assert_eq!(
        params,
        format!(
            r#"{{"name":"get_weather","arguments":{{"n": 1.0}},"_meta":{{{STAMP},"progressToken":"p","traceparent":"00"}}}}"#
        )
    );
    server.say(&reply, "notifications/progress", r#"{"progressToken":"p","progress":1.50}"#).await;
    server.say(&reply, "notifications/progress", r#"{"progressToken":"q","progress":2}"#).await;
    server.say(&reply, "notifications/message", r#"{"level":"info","data": 1}"#).await;
    reply.answer(Frame::result("9", r#"{"resultType":"complete","content":[],"x": 1.0}"#));
    let seen = next(&mut answers).await;
    assert_eq!((&*seen.method, &*seen.body), ("notifications/progress", r#"{"progressToken":"p","progress":1.50}"#));
    let seen = next(&mut answers).await;
    assert_eq!((&*seen.method, &*seen.body), ("notifications/message", r#"{"level":"info","data": 1}"#));
    let seen = only(&mut answers).await;
    assert_eq!((&*seen.id, &*seen.body), ("\"c\\u0031\"", r#"{"content":[],"x":1.0}"#));
}

#[tokio::test]
async fn calls_reach_the_server_in_the_clients_order_under_ids_of_their_own() {
    let (client, mut server) = session().await;
    let mut kept = Vec::new();
    for n in 0..50 {
        kept.push(client.ask(&n.to_string(), "vendor/x", &format!(r#"{{"n":{n}}}"#)).await);
    }
    let mut ids = std::collections::HashSet::new();
    for n in 0..50 {
        let (params, reply) = server.next("vendor/x").await;
        assert!(params.starts_with(&format!(r#"{{"n":{n},"#)));
        assert!(ids.insert(reply.id_text().to_string()));
    }
}

#[tokio::test]
async fn params_that_cannot_be_stamped_are_refused() {
    let (client, mut server) = session().await;
    for (params, why) in [
        ("[1]", "the params are no object, or have a key twice"),
        (r#"{"a":1,"a":2}"#, "the params are no object, or have a key twice"),
        (r#"{"_meta":[]}"#, "the _meta of the params is no object, or has a key twice"),
    ] {
        assert_eq!(
            body(&mut client.ask("1", "tools/call", params).await).await,
            format!(r#"{{"code":-32602,"message":"{why}"}}"#)
        );
    }
    assert!(server.is_quiet());
}

#[tokio::test]
async fn errors_come_home_as_they_are_but_for_those_of_the_bridge() {
    let (client, mut server) = session().await;
    for (given, want) in [
        (r#"{"code":-32601,"message":"no","data": 1.0}"#, None),
        (r#"{"code":-32602,"message":"no such resource","extra":1}"#, None),
        (r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"sampling":{}}}}"#, None),
        (r#"{"code":5,"message":"m"}"#, None),
        (
            r#"{"code":-32020,"message":"Mcp-Name differs"}"#,
            Some(
                r#"{"code":-32603,"message":"the server refused the headers that the bridge made for this request: Mcp-Name differs"}"#,
            ),
        ),
    ] {
        let mut answers = client.ask("1", "resources/read", r#"{"uri":"a:b"}"#).await;
        let (_, reply) = server.next("resources/read").await;
        reply.answer(frame(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{given}}}"#)));
        let seen = only(&mut answers).await;
        assert!(seen.is_error);
        assert_eq!(seen.body, want.unwrap_or(given));
    }
}

#[tokio::test]
async fn a_result_of_an_unknown_type_is_an_error() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/call", r#"{"name":"a"}"#).await;
    let (_, reply) = server.next("tools/call").await;
    reply.answer(Frame::result("0", r#"{"resultType":"task","taskId":"t"}"#));
    assert_eq!(
        body(&mut answers).await,
        r#"{"code":-32603,"message":"the server answered tools/call with a result of type \"task\", which this client did not ask for"}"#
    );
}

#[tokio::test]
async fn a_server_that_drops_a_call_is_an_error() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/call", r#"{"name":"a"}"#).await;
    drop(server.next("tools/call").await);
    assert_eq!(
        body(&mut answers).await,
        r#"{"code":-32603,"message":"the connection to the server ended before it answered"}"#
    );
}

#[tokio::test]
async fn a_server_that_forgot_the_revision_is_asked_once_what_it_speaks() {
    let (client, mut server) = session().await;
    let unspoken = || Frame::error("0", -32022, "no", Some(serde_json::json!({ "supported": ["2026-07-28"] })));
    let mut answers = client.ask("1", "tools/list", "").await;
    server.next("tools/list").await.1.answer(unspoken());
    server.next("server/discover").await.1.answer(Frame::result("0", r#"{"supportedVersions":["2026-07-28"]}"#));
    let (params, reply) = server.next("tools/list").await;
    assert_eq!(params, format!(r#"{{"_meta":{{{STAMP}}}}}"#));
    reply.answer(Frame::result("0", r#"{"tools":[]}"#));
    assert_eq!(body(&mut answers).await, r#"{"tools":[]}"#);

    let gone = r#"{"code":-32603,"message":"the server does not speak 2026-07-28 any more; start a new session"}"#;
    let mut answers = client.ask("2", "tools/list", "").await;
    server.next("tools/list").await.1.answer(unspoken());
    server.next("server/discover").await.1.answer(Frame::result("0", r#"{"supportedVersions":["2026-07-28"]}"#));
    server.next("tools/list").await.1.answer(unspoken());
    assert_eq!(body(&mut answers).await, gone);

    let mut answers = client.ask("3", "tools/list", "").await;
    server.next("tools/list").await.1.answer(unspoken());
    server.next("server/discover").await.1.answer(Frame::result("0", r#"{"supportedVersions":["2027-01-01"]}"#));
    assert_eq!(body(&mut answers).await, gone);
}

#[tokio::test]
async fn a_cancelled_call_is_taken_back_at_the_server() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("7", "tools/call", r#"{"name":"a"}"#).await;
    let (_, reply) = server.next("tools/call").await;
    client.tell("notifications/cancelled", r#"{"requestId":8}"#).await;
    client.tell("notifications/cancelled", r#"{"requestId":7,"reason":"enough"}"#).await;
    server.cancelled(reply.id_text()).await;
    assert_eq!(body(&mut answers).await, r#"{"code":-32800,"message":"the request was cancelled by its caller"}"#);
    reply.answer(Frame::result("0", "{}"));
    client.tell("notifications/cancelled", r#"{"requestId":7}"#).await;
    assert_eq!(body(&mut client.ask("7", "ping", "").await).await, "{}");
    assert!(server.is_quiet());
}

#[tokio::test]
async fn callers_behind_one_peer_cancel_their_own_calls_only() {
    let (client, mut server) = session().await;
    let (a, b) = (client.caller.clone(), Caller::legacy(client.caller.principal.clone()));
    let mut first = client.ask_as(&a, "1", "tools/call", r#"{"name":"a"}"#).await;
    let mut second = client.ask_as(&b, "1", "tools/call", r#"{"name":"b"}"#).await;
    let (_, first_reply) = server.next("tools/call").await;
    let (_, second_reply) = server.next("tools/call").await;
    client.tell_as(&b, "notifications/cancelled", r#"{"requestId":1}"#).await;
    server.cancelled(second_reply.id_text()).await;
    assert!(only(&mut second).await.is_error);
    first_reply.answer(Frame::result("0", r#"{"content":[]}"#));
    assert_eq!(body(&mut first).await, r#"{"content":[]}"#);
}

#[tokio::test]
async fn an_id_in_use_and_a_call_too_many_are_refused() {
    let settings = Settings { max_in_flight: 2, ..quiet() };
    let (client, mut server) = opened("2025-11-25", OFFERS, settings).await;
    let mut answers = client.ask("1", "tools/list", "").await;
    assert_eq!(
        body(&mut client.ask("1", "tools/list", "").await).await,
        r#"{"code":-32600,"message":"this id is in use by a request that is still in flight"}"#
    );
    let _second = client.ask("2", "tools/list", "").await;
    assert_eq!(
        body(&mut client.ask("3", "tools/list", "").await).await,
        r#"{"code":-32000,"message":"2 requests are in flight; wait for an answer before the next one"}"#
    );
    server.next("tools/list").await.1.answer(Frame::result("0", r#"{"tools":[]}"#));
    body(&mut answers).await;
    let mut answers = client.ask("1", "vendor/x", "").await;
    let _second = server.next("tools/list").await;
    server.next("vendor/x").await.1.answer(Frame::result("0", "{}"));
    assert_eq!(body(&mut answers).await, "{}");
}

#[tokio::test]
async fn a_caller_that_hears_no_answer_takes_its_call_back() {
    let (client, mut server) = session().await;
    let answers = client.ask("1", "tools/list", "").await;
    let (_, reply) = server.next("tools/list").await;
    drop(answers);
    server.cancelled(reply.id_text()).await;
}

#[tokio::test(start_paused = true)]
async fn calls_may_finish_after_the_client_has_said_all() {
    let (client, mut server) = session().await;
    let Client { caller, peer, scope } = client;
    let client = Client { caller, peer, scope };
    let mut first = client.ask("1", "tools/list", "").await;
    let mut second = client.ask("2", "tools/list", "").await;
    let (_, first_reply) = server.next("tools/list").await;
    let (_, second_reply) = server.next("tools/list").await;
    let Peer { tx, rx: _rx, home: _ } = client.peer;
    drop(tx);
    settle().await;
    first_reply.answer(Frame::result("0", r#"{"tools":[]}"#));
    assert_eq!(body(&mut first).await, r#"{"tools":[]}"#);
    let begun = Instant::now();
    server.cancelled(second_reply.id_text()).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(10), "then they are taken back");
    assert!(only(&mut second).await.is_error);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_does_not_keep_a_cancelled_call_or_a_subscription_waiting() {
    let (client, mut server) = session().await;
    let mut call = client.ask("1", "tools/call", r#"{"name":"x"}"#).await;
    let (_, _kept) = server.next("tools/call").await;
    // From now on the server reads nothing, and what leads there is full.
    let mut waiting = Vec::new();
    for n in 2..66 {
        waiting.push(client.ask(&n.to_string(), "tools/list", "").await);
    }
    settle().await;
    client.tell("notifications/cancelled", r#"{"requestId":1}"#).await;
    let mut subscribed = client.ask("99", "resources/subscribe", r#"{"uri":"a:b"}"#).await;
    assert!(body(&mut call).await.contains("-32800"));
    assert_eq!(
        body(&mut subscribed).await,
        r#"{"code":-32000,"message":"the server did not acknowledge subscriptions/listen in time"}"#
    );
}

#[tokio::test]
async fn what_a_message_keeps_is_kept_by_what_is_made_of_it_until_that_is_written_or_read() {
    let (client, mut server) = session().await;
    let (there, back) = (Arc::new(()), Arc::new(()));
    let (stream, mut answers) = mpsc::channel(16);
    let request = frame(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#);
    let request = request.holding(Some(there.clone()));
    let reply = Reply::on(stream, &request, &client.caller).await.unwrap();
    client.peer.tx.send(Envelope { from: client.caller.clone(), frame: request, reply: Some(reply) }).await.unwrap();
    let Envelope { frame, reply, .. } = server.rx.recv().await.unwrap();
    assert_eq!(Arc::strong_count(&there), 2, "the request that the server got has it");
    drop(frame);
    assert_eq!(Arc::strong_count(&there), 1, "a retry has none: the client may have to say more first");
    reply.unwrap().answer(Frame::result("9", r#"{"resultType":"complete","content":[]}"#).holding(Some(back.clone())));
    let answer = answers.recv().await.unwrap();
    assert_eq!(Arc::strong_count(&back), 2);
    drop(answer);
    assert_eq!(Arc::strong_count(&back), 1);
}
