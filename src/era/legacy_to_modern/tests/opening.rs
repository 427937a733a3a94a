//! `initialize`, and what a session answers by itself.

use super::*;

async fn refusal(discovered: Frame) -> (Client, Server, String) {
    let (client, mut server) = start(quiet());
    let mut answers = client.ask("0", "initialize", &init_params("2025-06-18")).await;
    server.next("server/discover").await.1.answer(discovered);
    let body = body(&mut answers).await;
    (client, server, body)
}

#[tokio::test]
async fn initialize_is_answered_from_server_discover() {
    for (asked, given) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("soon", "2025-11-25"),
    ] {
        let (client, mut server) = start(quiet());
        let mut answers = client.ask("\"i\"", "initialize", &init_params(asked)).await;
        let (params, reply) = server.next("server/discover").await;
        let elicitation = if given < "2025-11-25" { "{}" } else { r#"{"form":{},"url":{}}"# };
        assert_eq!(params, format!(r#"{{"_meta":{{{STAMP}}}}}"#).replace(r#"{"form":{},"url":{}}"#, elicitation));
        reply.answer(Frame::result(
            "0",
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"extensions":{}},"instructions":"read me","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"new","version":"9"}},"ttlMs":0,"cacheScope":"private"}"#,
        ));
        let seen = only(&mut answers).await;
        assert_eq!(seen.id, "\"i\"");
        assert_eq!(
            seen.body,
            format!(
                r#"{{"protocolVersion":"{given}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"new","version":"9"}},"instructions":"read me"}}"#
            )
        );
    }
}

#[tokio::test]
async fn what_the_server_has_just_said_of_itself_is_not_asked_again() {
    let (theirs, ours) = Peer::pair(64);
    let (outbox, rx) = mpsc::channel(64);
    let scope = Scope::new();
    let inside = scope.clone();
    let found = r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"instructions":"read me"}"#;
    let found = Some(Frame::result("\"probe\"", found));
    scope.spawn(async move { serve_until(std::future::pending(), ours, outbox, found, quiet(), &inside).await });
    let principal = Some(crate::peer::Principal("ada".into()));
    let client = Client { caller: Caller::legacy(principal), peer: theirs, scope };
    let mut server = Server { rx, voice: Caller::modern(None) };
    let mut answers = client.ask("0", "initialize", &init_params("2025-06-18")).await;
    assert_eq!(
        body(&mut answers).await,
        r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"unnamed server","version":"unknown"},"instructions":"read me"}"#
    );
    assert!(server.is_quiet());
    // By the next time it is old.
    let mut answers = client.ask("1", "initialize", &init_params("2025-06-18")).await;
    server.next("server/discover").await.1.answer(Frame::result("0", r#"{"capabilities":{}}"#));
    assert!(!only(&mut answers).await.is_error);
}

#[tokio::test]
async fn initialize_without_an_object_is_refused() {
    let (client, mut server) = start(quiet());
    let mut answers = client.ask("0", "initialize", "[]").await;
    assert_eq!(body(&mut answers).await, r#"{"code":-32602,"message":"the params of initialize are no object"}"#);
    assert!(server.is_quiet());
}

#[tokio::test]
async fn a_server_that_names_a_common_revision_is_asked_again() {
    let (client, mut server) = start(quiet());
    let mut answers = client.ask("0", "initialize", &init_params("2025-06-18")).await;
    let refused = |supported: &str| {
        let data = serde_json::json!({ "supported": [supported], "requested": "2026-07-28" });
        Frame::error("0", -32022, "no", Some(data))
    };
    server.next("server/discover").await.1.answer(refused("2026-07-28"));
    server.next("server/discover").await.1.answer(refused("2026-07-28"));
    assert_eq!(
        body(&mut answers).await,
        r#"{"code":-32602,"data":{"requested":"2026-07-28","supported":["2026-07-28"]},"message":"Unsupported protocol version: the server does not speak 2026-07-28, but [\"2026-07-28\"]"}"#,
        "once"
    );
    let mut answers = client.ask("1", "initialize", &init_params("2025-06-18")).await;
    server.next("server/discover").await.1.answer(refused("2026-07-28"));
    server.next("server/discover").await.1.answer(Frame::result("0", r#"{"capabilities":{}}"#));
    assert!(body(&mut answers).await.starts_with(r#"{"protocolVersion":"2025-06-18","capabilities":{}"#));
}

#[tokio::test]
async fn a_server_without_a_common_revision_is_an_error_that_names_both() {
    let want = r#"{"code":-32602,"data":{"requested":"2026-07-28","supported":["2027-01-01"]},"message":"Unsupported protocol version: the server does not speak 2026-07-28, but [\"2027-01-01\"]"}"#;
    let data = serde_json::json!({ "supported": ["2027-01-01"], "requested": "2026-07-28" });
    assert_eq!(refusal(Frame::error("0", -32022, "no", Some(data))).await.2, want);
    let found = r#"{"resultType":"complete","supportedVersions":["2027-01-01"],"capabilities":{}}"#;
    assert_eq!(refusal(Frame::result("0", found)).await.2, want);
}

#[tokio::test]
async fn other_answers_to_discover_are_errors_that_say_what_happened() {
    for (answer, want) in [
        (
            Frame::error("0", -32601, "Method not found", None),
            r#"{"code":-32603,"message":"the server does not know server/discover, so it does not speak 2026-07-28; leave --server-era at auto, or set it to legacy"}"#,
        ),
        (
            Frame::error("0", -32603, "cannot reach it", Some(serde_json::json!({ "a": 1 }))),
            r#"{"code":-32603,"data":{"a":1},"message":"cannot reach it"}"#,
        ),
        (
            Frame::error("0", -32020, "bad header", None),
            r#"{"code":-32603,"message":"the server refused the headers that the bridge made for this request: bad header"}"#,
        ),
        (
            Frame::result("0", "[]"),
            r#"{"code":-32603,"message":"the server answered server/discover with what is no object"}"#,
        ),
    ] {
        let body = refusal(answer).await.2;
        assert_eq!(body, want);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_discover_is_waited_for_a_while() {
    let (client, mut server) = start(quiet());
    let begun = Instant::now();
    let mut answers = client.ask("0", "initialize", &init_params("2025-06-18")).await;
    let (_, kept) = server.next("server/discover").await;
    assert_eq!(
        body(&mut answers).await,
        r#"{"code":-32000,"message":"the server did not answer server/discover within 60 s; look into its log"}"#
    );
    assert_eq!(begun.elapsed(), Duration::from_secs(60));
    server.cancelled(kept.id_text()).await;
}

#[tokio::test]
async fn ping_and_the_log_level_are_answered_here() {
    let (client, mut server) = session().await;
    assert_eq!(body(&mut client.ask("1", "ping", "").await).await, "{}");
    assert_eq!(body(&mut client.ask("2", "logging/setLevel", r#"{"level":"warning"}"#).await).await, "{}");
    for bad in [r#"{"level":"loud"}"#, r#"{"level":3}"#, "{}", ""] {
        assert_eq!(
            body(&mut client.ask("3", "logging/setLevel", bad).await).await,
            r#"{"code":-32602,"message":"the level is none of debug, info, notice, warning, error, critical, alert, emergency"}"#
        );
    }
    assert!(server.is_quiet());
    let _answers = client.ask("4", "tools/list", "").await;
    let (params, _reply) = server.next("tools/list").await;
    assert_eq!(params, format!(r#"{{"_meta":{{{STAMP},"io.modelcontextprotocol/logLevel":"warning"}}}}"#));
}

#[tokio::test]
async fn what_the_server_does_not_offer_is_refused_here() {
    let (client, mut server) = opened("2025-11-25", r#"{"resources":{"listChanged":true}}"#, quiet()).await;
    assert_eq!(
        body(&mut client.ask("1", "logging/setLevel", r#"{"level":"info"}"#).await).await,
        r#"{"code":-32601,"message":"the server has no logging capability, so there is no level to set"}"#
    );
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        assert_eq!(
            body(&mut client.ask("2", method, r#"{"uri":"a:b"}"#).await).await,
            format!(r#"{{"code":-32601,"message":"{method}: the server offers no subscriptions to resources"}}"#)
        );
    }
    assert!(server.is_quiet());
}

#[tokio::test]
async fn a_level_may_be_set_for_clients_that_set_none() {
    let settings = Settings { log_level: Some(Level::Error), ..quiet() };
    let (client, mut server) = opened("2025-11-25", OFFERS, settings).await;
    let _answers = client.ask("1", "tools/list", "").await;
    let (params, _reply) = server.next("tools/list").await;
    assert_eq!(params, format!(r#"{{"_meta":{{{STAMP},"io.modelcontextprotocol/logLevel":"error"}}}}"#));
}

#[tokio::test]
async fn what_has_no_modern_form_is_answered_at_once_or_ends_here() {
    let (client, mut server) = session().await;
    for method in ["tasks/get", "tasks/list", "tasks/result", "tasks/cancel"] {
        assert_eq!(
            body(&mut client.ask("1", method, r#"{"taskId":"t"}"#).await).await,
            format!(
                r#"{{"code":-32601,"message":"{method} cannot be served: tasks of revision 2025-11-25 have no form in 2026-07-28, which the server speaks; call the tool without a task"}}"#
            )
        );
    }
    for (method, instead) in
        [("subscriptions/listen", "use resources/subscribe"), ("server/discover", "initialize has said it")]
    {
        assert_eq!(
            body(&mut client.ask("1", method, "{}").await).await,
            format!(
                r#"{{"code":-32601,"message":"{method} is of revision 2026-07-28, and this is a session of an older one; {instead}"}}"#
            )
        );
    }
    for method in ["notifications/roots/list_changed", "notifications/progress", "notifications/tasks/status"] {
        client.tell(method, r#"{"progressToken":1,"progress":1}"#).await;
    }
    let answer = Envelope::one_way(client.caller.clone(), Frame::result("77", "{}"));
    client.peer.tx.send(answer).await.unwrap();
    assert_eq!(body(&mut client.ask("2", "ping", "").await).await, "{}");
    assert!(server.is_quiet());
}

#[tokio::test]
async fn the_session_ends_with_its_server() {
    let (mut client, server) = session().await;
    drop(server);
    assert!(client.peer.rx.recv().await.is_none());
    assert!(client.scope.wait(Duration::from_secs(20)).await);
}

#[tokio::test]
async fn the_session_ends_when_its_scope_stops() {
    let (mut client, mut server) = session().await;
    let mut answers = client.ask("1", "tools/list", "").await;
    let (_, reply) = server.next("tools/list").await;
    client.scope.stop();
    assert!(client.peer.rx.recv().await.is_none());
    server.cancelled(reply.id_text()).await;
    let text = "the session ended before the server answered; whether the call was carried out is not known";
    assert_eq!(body(&mut answers).await, format!(r#"{{"code":-32603,"message":"{text}"}}"#));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_ended_ends_the_session_though_its_outbox_stays_open() {
    let (theirs, ours) = Peer::pair(64);
    let (outbox, rx) = mpsc::channel(64);
    let (scope, gone) = (Scope::new(), CancellationToken::new());
    let (inside, ended) = (scope.clone(), gone.clone().cancelled_owned());
    let session = scope.spawn(async move { serve_until(ended, ours, outbox, None, quiet(), &inside).await });
    let mut client = Client { caller: Caller::legacy(None), peer: theirs, scope };
    let mut answers = client.ask("0", "ping", "").await;
    assert!(!only(&mut answers).await.is_error);
    gone.cancel();
    assert!(client.peer.rx.recv().await.is_none(), "the client's front sees the end");
    session.await.unwrap();
    drop(rx);
}
