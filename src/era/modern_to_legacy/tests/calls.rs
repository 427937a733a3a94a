//! Calls: admission, discovery, progress, log lines, cancellation, errors.

use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn discover_is_made_of_the_handshake() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, r#"{"elicitation":{},"roots":{"listChanged":true},"extensions":{"x/y":{}}}"#);
    let mut answers = client
        .ask("server/discover", json!({"_meta": {"io.modelcontextprotocol/clientInfo": {"name":"c","version":"1"}}}))
        .await;
    let mut server = bridge.raw().await;
    let asked = server.request().await;
    assert_eq!(
        asked.params(),
        json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"elicitation": {}, "roots": {}},
            "clientInfo": {"name": "c", "version": "1"},
        })
    );
    asked.answer(INIT);
    assert_eq!(server.note().await.method(), "notifications/initialized");
    server.request().await.answer("{}");
    assert_eq!(
        answers.value().await,
        json!({
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}, "logging": {}, "prompts": {}},
            "instructions": "hi",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "old", "version": "3"}},
        })
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_modern_era_does_not_have_is_refused_without_a_server() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let tasks = "call the tool, which is answered when its task is over";
    for (method, instead) in [
        ("ping", "any other request shows that the server is there"),
        ("initialize", "send the request itself"),
        ("logging/setLevel", "name a logLevel in the _meta of each request"),
        ("resources/subscribe", "use subscriptions/listen"),
        ("resources/unsubscribe", "use subscriptions/listen"),
        ("tasks/get", tasks),
        ("tasks/list", tasks),
        ("tasks/result", tasks),
        ("tasks/cancel", tasks),
    ] {
        let want = (-32601, format!("{method} is not part of revision 2026-07-28; {instead}"));
        assert_eq!(client.ask(method, json!({})).await.error().await, want);
    }
    let bare = Frame::request(&Id::Number(1), "initialize", Some(r#"{"protocolVersion":"2025-11-25"}"#));
    assert_eq!(client.raw(bare).await.error().await.0, -32601);
    assert!(bridge.no_server());
}

#[tokio::test(start_paused = true)]
async fn required_metadata_is_required() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    let must = |key: &str| {
        let text = format!("the request must carry _meta[\"io.modelcontextprotocol/{key}\"] (revision 2026-07-28)");
        (-32602, text)
    };
    for (meta, want) in [
        (String::new(), must("protocolVersion")),
        (capabilities.into(), must("protocolVersion")),
        (version.into(), must("clientCapabilities")),
        (
            format!(r#"{version},"io.modelcontextprotocol/clientCapabilities":[]"#),
            (-32602, "_meta[\"io.modelcontextprotocol/clientCapabilities\"] must be an object".into()),
        ),
        (
            format!(r#"{capabilities},"io.modelcontextprotocol/protocolVersion":7"#),
            (-32602, "_meta[\"io.modelcontextprotocol/protocolVersion\"] must be a string".into()),
        ),
        (
            format!(r#"{version},{capabilities},"io.modelcontextprotocol/logLevel":"loud""#),
            (-32602, "_meta[\"io.modelcontextprotocol/logLevel\"] is no log level: \"loud\"".into()),
        ),
    ] {
        let params = format!(r#"{{"_meta":{{{meta}}}}}"#);
        let request = Frame::request(&Id::Number(1), "tools/list", Some(&params));
        assert_eq!(client.raw(request).await.error().await, want);
    }
    let params = format!(r#"{{"_meta":{{{capabilities},"io.modelcontextprotocol/protocolVersion":"2027-01-01"}}}}"#);
    let answer = client.raw(Frame::request(&Id::Number(1), "tools/list", Some(&params))).await.value().await;
    assert_eq!(
        answer,
        json!({
            "code": -32022,
            "message": "protocol version 2027-01-01 is not spoken here; use 2026-07-28",
            "data": {"supported": ["2026-07-28"], "requested": "2027-01-01"},
        })
    );
    assert!(bridge.no_server());
}

#[tokio::test(start_paused = true)]
async fn a_call_crosses_under_ids_of_the_bridge_and_comes_back_under_the_callers() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let params = json!({"name": "greet", "arguments": {"x": 1}, "_meta": {"progressToken": "p", "vendor/x": 1}});
    let mut answers = client.ask("tools/call", params).await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let token = asked.params()["_meta"]["progressToken"].clone();
    assert_ne!(token, json!("p"));
    assert_eq!(
        asked.params(),
        json!({"name": "greet", "arguments": {"x": 1}, "_meta": {"progressToken": token, "vendor/x": 1}})
    );
    for progress in [0.5, 1.5, 1.5, 0.75, 2.5] {
        asked.progress(&server, progress).await;
    }
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":1}}"#;
    asked.tell(&server, log).await;
    asked.answer(r#"{"content":[],"isError":false}"#);
    for progress in [0.5, 1.5, 2.5] {
        assert_eq!(answers.value().await, json!({"progressToken": "p", "progress": progress}));
    }
    let answer = answers.next().await;
    assert_eq!(answer.id_text(), "41");
    assert_eq!(
        answer.body().unwrap(),
        r#"{"content":[],"isError":false,"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"old","version":"3"}}}"#,
        "and no log line, for none was asked for"
    );
}

#[tokio::test(start_paused = true)]
async fn log_lines_go_to_the_only_call_that_wants_them_from_its_level_on() {
    let mut bridge = Bridge::start();
    let (mut loud, mut quiet) = (Client::new(&bridge, "{}"), Client::new(&bridge, "{}"));
    loud.level = Some("info");
    let mut answers = loud.call().await;
    let mut server = bridge.server().await;
    let level = server.request().await;
    assert_eq!((level.frame.method(), level.params()), ("logging/setLevel", json!({"level": "info"})));
    level.answer("{}");
    let first = server.request().await;
    let mut others = quiet.call().await;
    let second = server.request().await;
    for level in ["debug", "warning"] {
        let params = format!(r#"{{"level":"{level}","data":1}}"#);
        server.say(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{params}}}"#)).await;
    }
    assert_eq!(answers.value().await, json!({"level": "warning", "data": 1}));
    first.answer("{}");
    second.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
    assert_eq!(others.value().await["resultType"], "complete");
    // The level that was set is good for less.
    loud.level = Some("error");
    let mut answers = loud.call().await;
    server.request().await.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_reaches_the_server_under_the_id_that_it_knows() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    client.cancel().await;
    let note = server.note().await;
    assert_eq!(note.method(), "notifications/cancelled");
    let params: Value = serde_json::from_str(note.body().unwrap()).unwrap();
    assert_eq!(params["requestId"].to_string(), asked.frame.id_text());
    assert_eq!(answers.error().await, (-32800, "the request was cancelled by its caller".into()));
    // A caller that hangs up has cancelled.
    let hung_up = client.call().await;
    let asked = server.request().await;
    drop(hung_up);
    let params: Value = serde_json::from_str(server.note().await.body().unwrap()).unwrap();
    assert_eq!(params["requestId"].to_string(), asked.frame.id_text());
    // What is unknown is ignored.
    client.cancel().await;
    let mut answers = client.call().await;
    server.request().await.answer("{}");
    answers.value().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_back_before_its_server_was_up_is_never_sent() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.raw().await;
    client.cancel().await;
    assert_eq!(answers.error().await.0, -32800);
    server.shake_hands(INIT).await;
    let mut answers = client.ask("prompts/list", json!({})).await;
    let asked = server.request().await;
    assert_eq!(asked.frame.method(), "prompts/list", "and the server is warm");
    asked.answer(r#"{"prompts":[]}"#);
    assert_eq!(answers.value().await["ttlMs"], 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_offer_is_refused() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.ask("completion/complete", json!({})).await;
    let mut server = bridge.server().await;
    let want = (-32601, "completion/complete cannot be served: the server does not offer completions".into());
    assert_eq!(answers.error().await, want);
    let mut answers = client.ask("vendor/thing", json!({"a": 1})).await;
    let asked = server.request().await;
    assert_eq!((asked.frame.method(), asked.params()), ("vendor/thing", json!({"a": 1})));
    asked.reply.fail(-32601, "no such method", None);
    assert_eq!(answers.error().await, (-32601, "no such method".into()));
}

#[tokio::test(start_paused = true)]
async fn errors_get_the_codes_of_the_modern_era() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.ask("resources/read", json!({"uri": "x:y"})).await;
    let mut server = bridge.server().await;
    server.request().await.reply.fail(-32002, "not found", Some(json!({"uri": "x:y"})));
    let want = json!({"code": -32602, "message": "not found", "data": {"uri": "x:y"}});
    assert_eq!(answers.value().await, want);
    let mut answers = client.call().await;
    server.request().await.answer("[]");
    let want = "the server's answer to tools/call cannot be passed on: its result is no object";
    assert_eq!(answers.error().await, (-32603, want.into()));
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_a_shared_server_that_does_not_read_is_cut_off() {
    let mut bridge = Bridge::start();
    let (mut slow, mut quick) = (Client::new(&bridge, "{}"), Client::new(&bridge, "{}"));
    let mut stalled = slow.ask("tools/call", json!({"name": "x", "_meta": {"progressToken": 1}})).await;
    let mut server = bridge.server().await;
    let first = server.request().await;
    for progress in 1..=8 {
        first.progress(&server, f64::from(progress)).await;
    }
    let mut answers = quick.call().await;
    let note = server.note().await;
    assert_eq!(note.method(), "notifications/cancelled");
    server.request().await.answer("{}");
    answers.value().await;
    for _ in 1..=7 {
        stalled.next().await;
    }
    assert_eq!(stalled.error().await, (-32000, "cut off: this client reads too slowly for a shared server".into()));
}

#[tokio::test(start_paused = true)]
async fn what_a_message_keeps_is_kept_by_what_is_made_of_it_and_by_nothing_else() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":"p"}"#;
    let params = format!(r#"{{"name":"greet","_meta":{meta}}}"#);
    let (there, back) = (Arc::new(()), Arc::new(()));
    let request = Frame::request(&Id::Number(7), "tools/call", Some(&params)).holding(Some(there.clone()));
    let mut answers = client.raw(request).await;
    let mut server = bridge.server().await;
    let Asked { frame, reply } = server.request().await;
    assert_eq!(Arc::strong_count(&there), 2, "the request that the server got has it");
    let token = frame.token_text().unwrap().to_owned();
    drop(frame);
    assert_eq!(Arc::strong_count(&there), 1, "a call that cannot be parked needs its params no more");

    let update =
        Frame::notification("notifications/progress", Some(&format!(r#"{{"progressToken":{token},"progress":1}}"#)));
    reply.update(Envelope::one_way(server.voice.clone(), update)).await.unwrap();
    assert_eq!(answers.next().await.token_text(), Some("\"p\""));
    reply.answer(Frame::result("0", r#"{"content":[]}"#).holding(Some(back.clone())));
    let answer = answers.next().await;
    assert_eq!((answer.id_text(), Arc::strong_count(&back)), ("7", 2));
    drop(answer);
    assert_eq!(Arc::strong_count(&back), 1);
}

/// It slows down its own server, and is waited for, until somebody else has a use for that.
#[tokio::test(start_paused = true)]
async fn a_caller_with_a_lease_that_does_not_read_is_cut_off_when_another_needs_the_server() {
    let mut bridge = Bridge::start();
    let (mut slow, mut quick) = (Client::new(&bridge, ALL), Client::new(&bridge, ALL));
    let mut stalled = slow.ask("tools/call", json!({"name": "x", "_meta": {"progressToken": 1}})).await;
    let mut server = bridge.server().await;
    let first = server.request().await;
    for progress in 1..=20 {
        first.progress(&server, f64::from(progress)).await;
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let mut listed = quick.ask("tools/list", json!({})).await;
    let mut cancelled = false;
    let asked = loop {
        let Envelope { frame, reply, .. } = server.peer.rx.recv().await.unwrap();
        match reply {
            Some(reply) => break reply,
            None => cancelled |= frame.method() == "notifications/cancelled",
        }
    };
    asked.answer(Frame::result("0", r#"{"tools":[]}"#));
    listed.value().await;
    for _ in 1..=7 {
        assert_eq!(stalled.next().await.method(), "notifications/progress");
    }
    assert_eq!(stalled.error().await, (-32000, "cut off: this client reads too slowly for a shared server".into()));
    assert!(cancelled || server.note().await.method() == "notifications/cancelled");
}

/// The wire reads no further while its room is used up.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_caller_takes_no_room_of_the_servers_wire() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let text = "x".repeat(20_000);
    let mut calling = client.ask("tools/call", json!({"name": "greet", "_meta": {"progressToken": 1}})).await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let room = Arc::new(());
    let token = asked.frame.token_text().unwrap();
    let large = frame(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1,"message":"{text}"}}}}"#
    ));
    let large = Envelope::one_way(server.voice.clone(), large.holding(Some(room.clone())));
    asked.reply.update(large).await.unwrap();
    let _question = asked.ask(&server, 8, "elicitation/create", json!({"message": "m"})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&room), 1, "progress that nobody has read");
    calling.next().await;
    let (_, state) = calling.input_required().await;
    asked.reply.answer(Frame::result("0", &format!(r#"{{"x":"{text}"}}"#)).holding(Some(room.clone())));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&room), 1, "an answer to a call that is parked");
    let mut again = client.retry(&state, json!({})).await;
    let mut plain = client.call().await;
    let next = server.request().await;
    next.reply.answer(Frame::result("0", &format!(r#"{{"y":"{text}"}}"#)).holding(Some(room.clone())));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&room), 1, "an answer that nobody has read");
    assert_eq!(plain.value().await["y"], text);
    assert_eq!(again.value().await["x"], text);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_be_parked_keeps_no_room_and_can_be_parked_all_the_same() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (first, again) = (Arc::new(()), Arc::new(()));
    let params = |rest: &str| {
        let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}},"progressToken":"p"}"#;
        format!(r#"{{"name":"greet","_meta":{meta}{rest}}}"#)
    };
    let request = Frame::request(&Id::Number(7), "tools/call", Some(&params(""))).holding(Some(first.clone()));
    let mut answers = client.raw(request).await;
    let mut server = bridge.server().await;
    let Asked { frame, reply } = server.request().await;
    drop(frame);
    let asked = Asked { frame: Frame::notification("x", None), reply };
    assert_eq!(Arc::strong_count(&first), 1, "the server has it");
    let mut elicited = asked.ask(&server, 8, "elicitation/create", json!({"message": "m"})).await;
    let (_, state) = answers.input_required().await;

    let rest = format!(r#","requestState":"{state}","inputResponses":{{"s1":{{"action":"accept"}}}}"#);
    let retry = Frame::request(&Id::Number(8), "tools/call", Some(&params(&rest))).holding(Some(again.clone()));
    let mut answers = client.raw(retry).await;
    assert_eq!(elicited.value().await, json!({"action": "accept"}));
    let mut elicited = asked.ask(&server, 9, "elicitation/create", json!({"message": "n"})).await;
    let (_, state) = answers.input_required().await;
    assert_eq!(Arc::strong_count(&again), 1, "a retry keeps none, either");
    let rest = format!(r#","requestState":"{state}","inputResponses":{{"s2":{{"action":"decline"}}}}"#);
    let retry = Frame::request(&Id::Number(9), "tools/call", Some(&params(&rest))).holding(Some(again.clone()));
    let mut answers = client.raw(retry).await;
    assert_eq!(elicited.value().await, json!({"action": "decline"}));
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&again), 1, "while the server goes on, no room is held");
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}
