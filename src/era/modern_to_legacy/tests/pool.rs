//! Which server a call gets, and when servers end.

use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn callers_that_cannot_be_asked_share_a_server() {
    let mut bridge = Bridge::start();
    let (mut a, mut b) = (Client::new(&bridge, "{}"), Client::new(&bridge, r#"{"extensions":{"x/y":{}}}"#));
    let mut first = a.call().await;
    let mut server = bridge.server().await;
    let one = server.request().await;
    let mut second = b.call().await;
    let two = server.request().await;
    assert_ne!(one.frame.id_text(), two.frame.id_text());
    two.answer("{}");
    one.answer("{}");
    assert_eq!(first.next().await.id_text(), "41");
    assert_eq!(second.next().await.id_text(), "41");
    assert!(bridge.no_server());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_can_be_asked_has_a_server_for_itself() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let mut first = client.call().await;
    let mut one = bridge.server().await;
    let call = one.request().await;
    let mut second = client.call().await;
    let mut two = bridge.server().await;
    two.request().await.answer("{}");
    second.value().await;
    call.answer("{}");
    first.value().await;
    // Both are warm now.
    let mut third = client.call().await;
    one.request().await.answer("{}");
    third.value().await;
    assert!(bridge.no_server());
}

#[tokio::test(start_paused = true)]
async fn many_short_calls_at_once_need_few_servers() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let mut first = client.call().await;
    let mut warm = bridge.server().await;
    let call = warm.request().await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(client.call().await);
    }
    // Two start, and never come up: the warm one serves all.
    let starting = [bridge.raw().await, bridge.raw().await];
    call.answer("{}");
    first.value().await;
    for _ in 0..20 {
        warm.request().await.answer("{}");
    }
    for answers in &mut waiting {
        answers.value().await;
    }
    assert!(bridge.no_server());
    drop(starting);
}

#[tokio::test(start_paused = true)]
async fn calls_share_a_server_whose_wire_tells_them_apart() {
    let mut bridge = Bridge::with(Settings { attributed: true, ..Settings::default() });
    let mut client = Client::new(&bridge, ALL);
    let mut first = client.call().await;
    let mut server = bridge.server().await;
    let one = server.request().await;
    let mut second = client.call().await;
    let two = server.request().await;
    let mut asked = two.ask(&server, 1, "elicitation/create", json!({"message": "b"})).await;
    one.answer("{}");
    assert_eq!(first.value().await["resultType"], "complete");
    let (_, state) = second.input_required().await;
    let mut second = client.retry(&state, json!({"s1": {"action": "accept"}})).await;
    asked.value().await;
    two.answer("{}");
    assert_eq!(second.value().await["resultType"], "complete");
    assert!(bridge.no_server());
}

#[tokio::test(start_paused = true)]
async fn principals_and_capabilities_never_share() {
    let mut bridge = Bridge::start();
    let mut servers = Vec::new();
    for (capabilities, who) in [("{}", None), ("{}", Some("alice")), ("{}", Some("bob")), (ALL, Some("bob"))] {
        let mut client = Client::of(&bridge, capabilities, who);
        let mut answers = client.ask("tools/list", json!({})).await;
        let mut server = bridge.server().await;
        server.request().await.answer(r#"{"tools":[]}"#);
        answers.value().await;
        servers.push(server);
    }
    assert_eq!(servers.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_idle_server_ends_and_the_next_call_starts_another() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    server.request().await.answer("{}");
    answers.value().await;
    let start = tokio::time::Instant::now();
    assert!(server.is_left().await);
    assert!((300..=330).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let mut answers = client.call().await;
    bridge.server().await.request().await.answer("{}");
    answers.value().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_fails_its_calls_and_is_replaced() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    drop((asked, server));
    assert_eq!(answers.error().await, (-32603, "the connection to the server ended before it answered".into()));
    let mut answers = client.call().await;
    bridge.server().await.request().await.answer("{}");
    answers.value().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_initialize_may_be_of_the_other_era() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    bridge.raw().await.request().await.reply.fail(-32022, "no", None);
    assert_eq!(answers.error().await, (-32603, "the server cannot be initialized: no".into()));
    assert_eq!(bridge.wrong.load(Ordering::Relaxed), 1);
    let mut answers = client.call().await;
    bridge.raw().await.request().await.answer(r#"{"protocolVersion":"1999-01-01"}"#);
    let text = "the server cannot be initialized: it answered initialize with revision \"1999-01-01\", which is not \
                spoken here";
    assert_eq!(answers.error().await, (-32603, text.into()));
    let mut answers = client.call().await;
    let silent = bridge.raw().await;
    let text = "the server cannot be initialized: it did not answer within 60 s; look into its log";
    assert_eq!(answers.error().await, (-32603, text.into()));
    drop(silent);
    let mut answers = client.call().await;
    drop(bridge.raw().await);
    let text = "the server cannot be initialized: the connection to the server ended before it answered";
    assert_eq!(answers.error().await, (-32603, text.into()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_client_says_nothing_of_the_era_while_a_server_serves() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    server.request().await.answer("{}");
    answers.value().await;
    let mut odd = Client::new(&bridge, r#"{"experimental":{"a":5}}"#);
    let mut answers = odd.call().await;
    bridge.raw().await.request().await.reply.fail(-32602, "invalid params", None);
    assert_eq!(answers.error().await.0, -32603);
    assert_eq!(bridge.wrong.load(Ordering::Relaxed), 0);
    let mut answers = odd.call().await;
    bridge.raw().await.request().await.reply.fail(-32601, "no such method", None);
    assert_eq!(answers.error().await.0, -32603);
    assert_eq!(bridge.wrong.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_proper_name_is_introduced_as_the_bridge() {
    for (info, name) in [
        (r#"{"name":"c","version":"1"}"#, "c"),
        (r#"{"name":5,"version":"1"}"#, "mcp-bridge"),
        (r#"{"name":"c"}"#, "mcp-bridge"),
        (r#"{"name":"c","version":"1","title":{}}"#, "mcp-bridge"),
        ("5", "mcp-bridge"),
    ] {
        let mut bridge = Bridge::start();
        let mut client = Client::new(&bridge, "{}");
        let info: Value = serde_json::from_str(info).unwrap();
        let params = json!({ "name": "greet", "_meta": { "io.modelcontextprotocol/clientInfo": info } });
        let _answers = client.ask("tools/call", params).await;
        let initialize = bridge.raw().await.request().await;
        assert_eq!(initialize.params()["clientInfo"]["name"], name, "{info}");
    }
}

#[tokio::test(start_paused = true)]
async fn parked_calls_leave_servers_to_short_calls_and_to_other_principals() {
    let mut bridge = Bridge::with(Settings { max_backends: 8, ..Settings::default() });
    let mut callers: Vec<_> = ["a", "a", "a", "a", "b", "b"].map(|who| Client::of(&bridge, ALL, Some(who))).into();
    let mut kept = Vec::new();
    for caller in &mut callers {
        let mut answers = caller.call().await;
        let mut server = bridge.server().await;
        let asked = server.request().await;
        let elicited = asked.ask(&server, 1, "elicitation/create", json!({"message": "a"})).await;
        answers.input_required().await;
        kept.push((server, asked, elicited));
    }
    let next = "answer what was asked, or wait for other calls to end, then call again";
    let text = format!("6 of 8 servers are in use, and the others are kept for short calls; {next}");
    assert_eq!(callers[5].call().await.error().await, (-32000, text));
    let text = format!("4 of 8 servers are in use by this client, and it may have no more; {next}");
    assert_eq!(Client::of(&bridge, "{}", Some("a")).call().await.error().await, (-32000, text));
    let mut answers = Client::of(&bridge, "{}", Some("c")).call().await;
    bridge.server().await.request().await.answer("{}");
    answers.value().await;
}

#[tokio::test(start_paused = true)]
async fn servers_are_bounded_and_an_idle_one_makes_room() {
    let mut bridge = Bridge::with(Settings { max_backends: 1, ..Settings::default() });
    let (mut a, mut b) = (Client::of(&bridge, "{}", Some("a")), Client::of(&bridge, "{}", Some("b")));
    let mut answers = a.call().await;
    let mut first = bridge.server().await;
    let asked = first.request().await;
    let text = "all 1 servers are in use; try again later";
    assert_eq!(b.call().await.error().await, (-32000, text.into()));
    asked.answer("{}");
    answers.value().await;
    let mut answers = b.call().await;
    bridge.server().await.request().await.answer("{}");
    answers.value().await;
    assert!(first.is_left().await);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_outbox_is_the_end_of_the_servers() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    bridge.outbox = None;
    drop(client);
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete", "what is in flight is finished");
    assert!(server.is_left().await);

    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let mut elicited = asked.ask(&server, 1, "elicitation/create", json!({"message": "a"})).await;
    answers.input_required().await;
    bridge.outbox = None;
    drop(client);
    assert_eq!(elicited.value().await, json!({"action": "cancel"}));
    assert_eq!(server.note().await.method(), "notifications/cancelled");
    asked.reply.fail(-32800, "cancelled", None);
    while let Some(Envelope { reply, .. }) = server.peer.rx.recv().await {
        drop(reply); // The ping that would make it fit for the next call.
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
}
