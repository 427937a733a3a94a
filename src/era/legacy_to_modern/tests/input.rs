//! Results that want input: the questions, the answers, the rounds.

use super::*;

const CALL: &str = r#"{"name":"greet","arguments":{"x":1}}"#;

const FORM: &str = r#"{"method":"elicitation/create","params":{"mode":"form","message":"Name?","requestedSchema":{"type":"object","properties":{}}}}"#;

fn asks(requests: &str, state: &str) -> Frame {
    let state = if state.is_empty() { String::new() } else { format!(r#","requestState":{state}"#) };
    Frame::result("0", &format!(r#"{{"resultType":"input_required","inputRequests":{{{requests}}}{state}}}"#))
}

/// The params of a retry of [`CALL`].
fn retry(rest: &str) -> String {
    format!(r#"{{"name":"greet","arguments":{{"x":1}},"_meta":{{{STAMP}}},{rest}}}"#)
}

/// Answers one question, and gives the response that the server gets for it.
async fn asked(version: &str, method: &str, request: &str, answer: Frame) -> String {
    let (client, mut server) = opened(version, OFFERS, quiet()).await;
    let mut answers = client.ask("1", "tools/call", CALL).await;
    server.next("tools/call").await.1.answer(asks(&format!(r#""k":{request}"#), ""));
    let seen = next(&mut answers).await;
    assert_eq!(seen.method, method);
    seen.reply.unwrap().answer(answer);
    let (params, _reply) = server.next("tools/call").await;
    let params = Object::parse(&params).unwrap();
    assert_eq!(params.get("requestState"), None, "the server gave none");
    params.get("inputResponses").unwrap().to_string()
}

#[tokio::test]
async fn input_becomes_requests_on_the_calls_own_stream_and_then_the_retry() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/call", CALL).await;
    let (params, reply) = server.next("tools/call").await;
    assert_eq!(params, format!(r#"{{"name":"greet","arguments":{{"x":1}},"_meta":{{{STAMP}}}}}"#));
    let first_id = reply.id_text().to_string();
    let sampling = r#"{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":9.0}}"#;
    reply.answer(asks(&format!(r#""a b":{sampling},"f":{FORM},"r":{{"method":"roots/list"}}"#), r#""v1.\u0073ealed""#));

    let (sample, form, roots) = (next(&mut answers).await, next(&mut answers).await, next(&mut answers).await);
    assert_eq!((&*sample.method, &*sample.body), ("sampling/createMessage", r#"{"messages":[],"maxTokens":9.0}"#));
    assert_eq!(
        (&*form.method, &*form.body),
        (
            "elicitation/create",
            r#"{"mode":"form","message":"Name?","requestedSchema":{"type":"object","properties":{}}}"#
        )
    );
    assert_eq!((&*roots.method, &*roots.body), ("roots/list", ""));
    assert!(server.is_quiet());
    // In another order than they were asked.
    roots.reply.unwrap().answer(Frame::result("0", r#"{"roots":[{"uri":"file:///a"}]}"#));
    form.reply.unwrap().answer(Frame::result("0", r#"{"action":"accept","content":{"name":"Ada"}}"#));
    let said = r#"{"role":"assistant","content":{"type":"text","text":"4"},"model":"m","stopReason":"endTurn"}"#;
    sample.reply.unwrap().answer(Frame::result("0", said));

    let (params, reply) = server.next("tools/call").await;
    assert_eq!(
        params,
        retry(&format!(
            r#""inputResponses":{{"a b":{said},"f":{{"action":"accept","content":{{"name":"Ada"}}}},"r":{{"roots":[{{"uri":"file:///a"}}]}}}},"requestState":"v1.\u0073ealed""#
        ))
    );
    assert_ne!(reply.id_text(), first_id);
    // A second round has its own answers and its own state only.
    reply.answer(asks(r#""r":{"method":"roots/list"}"#, ""));
    next(&mut answers).await.reply.unwrap().answer(Frame::result("0", r#"{"roots":[]}"#));
    let (params, reply) = server.next("tools/call").await;
    assert_eq!(params, retry(r#""inputResponses":{"r":{"roots":[]}}"#));
    reply.answer(Frame::result("0", r#"{"resultType":"complete","content":[]}"#));
    let seen = only(&mut answers).await;
    assert_eq!((&*seen.id, &*seen.body), ("1", r#"{"content":[]}"#));
}

#[tokio::test]
async fn a_form_has_no_mode_before_2025_11_25() {
    let (client, mut server) = opened("2025-06-18", OFFERS, quiet()).await;
    let mut answers = client.ask("1", "prompts/get", r#"{"name":"p"}"#).await;
    server.next("prompts/get").await.1.answer(asks(&format!(r#""f":{FORM}"#), ""));
    let seen = next(&mut answers).await;
    assert_eq!(seen.body, r#"{"message":"Name?","requestedSchema":{"type":"object","properties":{}}}"#);
}

#[tokio::test]
async fn a_url_is_asked_for_with_an_id_and_its_end_is_told() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/call", CALL).await;
    let link = r#"{"method":"elicitation/create","params":{"mode":"url","message":"Log in","url":"https://a/"}}"#;
    server.next("tools/call").await.1.answer(asks(&format!(r#""u":{link},"v":{link}"#), ""));
    let (first, second) = (next(&mut answers).await, next(&mut answers).await);
    let id = |seen: &Seen| Object::parse(&seen.body).unwrap().get("elicitationId").unwrap().to_string();
    let (opened, declined) = (id(&first), id(&second));
    assert_ne!(opened, declined);
    assert_eq!(
        first.body,
        format!(r#"{{"mode":"url","message":"Log in","url":"https://a/","elicitationId":{opened}}}"#)
    );
    first.reply.unwrap().answer(Frame::result("0", r#"{"action":"accept"}"#));
    second.reply.unwrap().answer(Frame::result("0", r#"{"action":"decline"}"#));
    let (params, reply) = server.next("tools/call").await;
    assert_eq!(params, retry(r#""inputResponses":{"u":{"action":"accept"},"v":{"action":"decline"}}"#));
    reply.answer(Frame::result("0", r#"{"content":[]}"#));
    let seen = next(&mut answers).await;
    assert_eq!(
        (&*seen.method, seen.body),
        ("notifications/elicitation/complete", format!(r#"{{"elicitationId":{opened}}}"#))
    );
    assert_eq!(body(&mut answers).await, r#"{"content":[]}"#);
}

#[tokio::test]
async fn errors_and_answers_of_the_wrong_kind_become_what_the_server_can_take() {
    let error = || Frame::error("0", -1, "no", None);
    for wrong in [error(), Frame::result("0", r#"{"roots":[]}"#), Frame::result("0", "[]")] {
        let got = asked("2025-11-25", "elicitation/create", FORM, wrong).await;
        assert_eq!(got, r#"{"k":{"action":"cancel"}}"#);
    }
    for wrong in [error(), Frame::result("0", r#"{"action":"accept"}"#), Frame::result("0", r#"{"roots":1}"#)] {
        let got = asked("2025-11-25", "roots/list", r#"{"method":"roots/list"}"#, wrong).await;
        assert_eq!(got, r#"{"k":{"roots":[]}}"#);
    }
    let odd = r#"{"action":"decline","more": [1.0]}"#;
    let got = asked("2025-11-25", "elicitation/create", FORM, Frame::result("0", odd)).await;
    assert_eq!(got, format!(r#"{{"k":{odd}}}"#), "what fits keeps its bytes");
}

#[tokio::test]
async fn refused_sampling_ends_the_call() {
    let sampling = r#""s":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}"#;
    for (method, params, answer, want) in [
        (
            "tools/call",
            CALL,
            Frame::error("0", -1, "User rejected", None),
            r#"{"content":[{"type":"text","text":"the server needs sampling for this, and the client gave none: User rejected"}],"isError":true}"#,
        ),
        (
            "prompts/get",
            r#"{"name":"p"}"#,
            Frame::error("0", -1, "User rejected", None),
            r#"{"code":-32603,"message":"the server needs sampling for this, and the client gave none: User rejected"}"#,
        ),
        (
            "resources/read",
            r#"{"uri":"a:b"}"#,
            Frame::result("0", r#"{"action":"accept"}"#),
            r#"{"code":-32603,"message":"the server needs sampling for this, and the client gave none: its answer is no result of sampling"}"#,
        ),
    ] {
        let (client, mut server) = session().await;
        let mut answers = client.ask("1", method, params).await;
        server.next(method).await.1.answer(asks(&format!(r#"{sampling},"f":{FORM}"#), r#""s""#));
        let (sample, form) = (next(&mut answers).await, next(&mut answers).await);
        sample.reply.unwrap().answer(answer);
        let seen = next(&mut answers).await;
        assert_eq!((&*seen.method, seen.body), ("notifications/cancelled", format!(r#"{{"requestId":{}}}"#, form.id)));
        form.reply.unwrap().answer(Frame::result("0", r#"{"action":"accept"}"#));
        assert_eq!(body(&mut answers).await, want);
        assert!(server.is_quiet(), "nothing is left at the server");
    }
}

#[tokio::test]
async fn a_client_is_not_asked_for_what_it_did_not_declare() {
    let (client, mut server) = start(quiet());
    let mut answers = client
        .ask("0", "initialize", r#"{"protocolVersion":"2025-06-18","capabilities":{"elicitation":{"url":{}}}}"#)
        .await;
    server.next("server/discover").await.1.answer(Frame::result("0", r#"{"capabilities":{}}"#));
    body(&mut answers).await;
    let mut answers = client.ask("1", "tools/call", CALL).await;
    let url = r#"{"method":"elicitation/create","params":{"mode":"url","message":"m","url":"https://a/"}}"#;
    server.next("tools/call").await.1.answer(asks(&format!(r#""u":{url},"r":{{"method":"roots/list"}}"#), ""));
    let (params, reply) = server.next("tools/call").await;
    let params = Object::parse(&params).unwrap();
    assert_eq!(params.get("inputResponses"), Some(r#"{"u":{"action":"cancel"},"r":{"roots":[]}}"#));
    reply.answer(asks(r#""s":{"method":"sampling/createMessage","params":{}}"#, ""));
    assert_eq!(
        body(&mut answers).await,
        r#"{"content":[{"type":"text","text":"the server needs sampling for this, and the client gave none: it did not declare sampling"}],"isError":true}"#
    );
}

#[tokio::test]
async fn what_no_legacy_client_can_be_asked_ends_the_call() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "resources/read", r#"{"uri":"a:b"}"#).await;
    server.next("resources/read").await.1.answer(asks(r#""x":{"method":"vendor/ask"}"#, ""));
    assert_eq!(
        body(&mut answers).await,
        r#"{"code":-32603,"message":"the server asked for \"vendor/ask\", which this client cannot be asked"}"#
    );
    let mut answers = client.ask("2", "resources/read", r#"{"uri":"a:b"}"#).await;
    let many: Vec<_> = (0..33).map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#)).collect();
    server.next("resources/read").await.1.answer(asks(&many.join(","), ""));
    assert_eq!(
        body(&mut answers).await,
        r#"{"code":-32603,"message":"the server asked for 33 inputs at once; at most 32 are passed on"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_put_off_is_sent_again_slower_each_time_and_not_for_ever() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/call", CALL).await;
    let mut waits = Vec::new();
    let mut begun = Instant::now();
    server
        .next("tools/call")
        .await
        .1
        .answer(Frame::result("0", r#"{"resultType":"input_required","requestState":"0"}"#));
    for n in 0..10 {
        let (params, reply) = server.next("tools/call").await;
        assert_eq!(params, retry(&format!(r#""requestState":"{n}""#)));
        waits.push(begun.elapsed().as_millis());
        begun = Instant::now();
        let state = format!(r#"{{"resultType":"input_required","requestState":"{}"}}"#, n + 1);
        reply.answer(Frame::result("0", &state));
    }
    assert_eq!(waits, [50, 100, 200, 250, 250, 250, 250, 250, 250, 250]);
    assert_eq!(
        body(&mut answers).await,
        r#"{"code":-32603,"message":"the server asked for input more than 10 times during one tools/call; the call is given up"}"#
    );
}

#[tokio::test]
async fn a_cancelled_call_takes_its_questions_back() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/call", CALL).await;
    server.next("tools/call").await.1.answer(asks(&format!(r#""f":{FORM},"r":{{"method":"roots/list"}}"#), ""));
    let (form, roots) = (next(&mut answers).await, next(&mut answers).await);
    roots.reply.unwrap().answer(Frame::result("0", r#"{"roots":[]}"#));
    client.tell("notifications/cancelled", r#"{"requestId":1}"#).await;
    let seen = next(&mut answers).await;
    assert_eq!((&*seen.method, seen.body), ("notifications/cancelled", format!(r#"{{"requestId":{}}}"#, form.id)));
    assert_eq!(body(&mut answers).await, r#"{"code":-32800,"message":"the request was cancelled by its caller"}"#);
    form.reply.unwrap().answer(Frame::result("0", r#"{"action":"accept"}"#));
    settle().await;
    assert!(server.is_quiet(), "the server has no call of it any more");
}

#[tokio::test]
async fn a_session_that_ends_takes_its_questions_with_it() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/call", CALL).await;
    server.next("tools/call").await.1.answer(asks(&format!(r#""f":{FORM}"#), ""));
    let form = next(&mut answers).await;
    let Client { peer, scope, .. } = client;
    drop((answers, form, peer));
    assert!(scope.wait(Duration::from_secs(5)).await);
    assert!(server.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_user_has_time_and_the_client_hears_that_the_call_goes_on() {
    let (client, mut server) = session().await;
    let params = r#"{"name":"greet","_meta":{"progressToken":5}}"#;
    let mut answers = client.ask("1", "tools/call", params).await;
    let (_, reply) = server.next("tools/call").await;
    server.say(&reply, "notifications/progress", r#"{"progressToken":5,"progress":2}"#).await;
    reply.answer(asks(&format!(r#""f":{FORM}"#), ""));
    next(&mut answers).await;
    let form = next(&mut answers).await;
    let begun = Instant::now();
    let mut last = 2.0;
    for n in 1..40 {
        let seen = next(&mut answers).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(15 * n));
        let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        assert_eq!((&body["progressToken"], &body["message"]), (&5.into(), &"waiting for input".into()));
        let progress = body["progress"].as_f64().unwrap();
        assert!(progress > last && progress < 3.0);
        last = progress;
    }
    let seen = next(&mut answers).await;
    assert_eq!((&*seen.method, seen.body), ("notifications/cancelled", format!(r#"{{"requestId":{}}}"#, form.id)));
    assert_eq!(begun.elapsed(), Duration::from_secs(600));
    let (params, _reply) = server.next("tools/call").await;
    assert!(params.ends_with(r#","inputResponses":{"f":{"action":"cancel"}}}"#), "{params}");
}

#[tokio::test]
async fn a_server_that_forgot_the_revision_gets_the_answers_again() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/call", CALL).await;
    server.next("tools/call").await.1.answer(asks(r#""r":{"method":"roots/list"}"#, r#""s""#));
    next(&mut answers).await.reply.unwrap().answer(Frame::result("0", r#"{"roots":[]}"#));
    let (first, reply) = server.next("tools/call").await;
    reply.fail(-32022, "no", None);
    server.next("server/discover").await.1.answer(Frame::result("0", r#"{"supportedVersions":["2026-07-28"]}"#));
    let (second, reply) = server.next("tools/call").await;
    assert_eq!((&first, &second), (&second, &retry(r#""inputResponses":{"r":{"roots":[]}},"requestState":"s""#)));
    reply.answer(Frame::result("0", r#"{"content":[]}"#));
    assert_eq!(body(&mut answers).await, r#"{"content":[]}"#);
}

#[tokio::test]
async fn neither_a_question_nor_its_answers_keep_room_while_the_next_answer_is_waited_for() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/call", CALL).await;
    let (question, answer) = (Arc::new(()), Arc::new(()));
    let both = asks(r#""a":{"method":"roots/list"},"b":{"method":"roots/list"}"#, "");
    server.next("tools/call").await.1.answer(both.holding(Some(question.clone())));
    let (first, second) = (next(&mut answers).await.reply.unwrap(), next(&mut answers).await.reply.unwrap());
    assert_eq!(Arc::strong_count(&question), 1, "other answers of the server need the room");
    // The one that was asked last: with its room, the first may never get in.
    let roots = |held: &Arc<()>, id: &str| Frame::result(id, r#"{"roots":[]}"#).holding(Some(held.clone()));
    let said = Envelope::one_way(client.caller.clone(), roots(&answer, second.id_text()));
    client.peer.tx.send(said).await.unwrap();
    client.tell("notifications/x", "{}").await;
    settle().await;
    assert_eq!(Arc::strong_count(&answer), 1, "the answer is in, and its room is free");
    first.answer(roots(&answer, "0"));
    drop(second);
}
