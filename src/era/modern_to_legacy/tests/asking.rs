//! Questions of the server's: `input_required`, the gate, and what belongs to no call.

use super::*;

const SAMPLING: &str = "sampling/createMessage";
const ELICITATION: &str = "elicitation/create";

#[tokio::test(start_paused = true)]
async fn questions_cross_together_and_their_answers_come_back_each_to_its_own() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let params = json!({"name": "greet", "_meta": {"progressToken": "a"}});
    let mut answers = client.ask("tools/call", params).await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let mut sampled = asked.ask(&server, 7, SAMPLING, json!({"messages": [], "maxTokens": 9, "task": {}})).await;
    let mut elicited = asked
        .ask(&server, 8, ELICITATION, json!({"mode": "url", "elicitationId": "e", "url": "https://x", "message": "m"}))
        .await;
    let mut roots = asked.ask(&server, 9, "roots/list", json!({"_meta": {"progressToken": 3}})).await;
    let value = answers.value().await;
    let state = value["requestState"].as_str().unwrap().to_string();
    assert_eq!(
        value,
        json!({
            "resultType": "input_required",
            "inputRequests": {
                "s1": {"method": SAMPLING, "params": {"messages": [], "maxTokens": 9}},
                "s2": {"method": ELICITATION, "params": {"mode": "url", "url": "https://x", "message": "m"}},
                "s3": {"method": "roots/list"},
            },
            "requestState": state,
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "old", "version": "3"}},
        })
    );
    let responses = json!({
        "s1": {"role": "assistant", "content": {"type": "text", "text": "4"}, "model": "m"},
        "s2": {"action": "accept"},
        "s3": {"roots": []},
        "other": {"x": 1},
    });
    let params =
        json!({"name": "greet", "requestState": state, "inputResponses": responses, "_meta": {"progressToken": "b"}});
    let mut answers = client.ask("tools/call", params).await;
    assert_eq!(
        sampled.next().await.body().unwrap(),
        r#"{"content":{"text":"4","type":"text"},"model":"m","role":"assistant"}"#
    );
    assert_eq!(elicited.value().await, json!({"action": "accept"}));
    assert_eq!(roots.value().await, json!({"roots": []}));
    asked.progress(&server, 1.5).await;
    asked.answer(r#"{"content":[]}"#);
    assert_eq!(answers.value().await, json!({"progressToken": "b", "progress": 1.5}), "under the retry's token");
    let answer = answers.next().await;
    assert_eq!(answer.id_text(), "42");
    assert!(answer.body().unwrap().starts_with(r#"{"content":[],"resultType":"complete""#));
}

#[tokio::test(start_paused = true)]
async fn a_later_question_goes_into_the_next_round() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let mut first = asked.ask(&server, 1, ELICITATION, json!({"message": "a"})).await;
    let (requests, state) = answers.input_required().await;
    assert_eq!(requests.as_object().unwrap().len(), 1);
    // While it is parked.
    let mut second = asked.ask(&server, 2, ELICITATION, json!({"message": "b"})).await;
    tokio::task::yield_now().await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut answers = client.retry(&state, json!({"s1": {"action": "accept"}})).await;
    assert_eq!(first.value().await, json!({"action": "accept"}));
    let (requests, state) = answers.input_required().await;
    assert_eq!(requests, json!({"s2": {"method": ELICITATION, "params": {"message": "b"}}}));
    let mut answers = client.retry(&state, json!({"s2": {"action": "decline"}})).await;
    assert_eq!(second.value().await, json!({"action": "decline"}));
    let mut third = asked.ask(&server, 3, ELICITATION, json!({"message": "c"})).await;
    let (requests, state) = answers.input_required().await;
    assert_eq!(requests, json!({"s3": {"method": ELICITATION, "params": {"message": "c"}}}));
    let mut answers = client.retry(&state, json!({"s3": {"action": "cancel"}})).await;
    assert_eq!(third.value().await, json!({"action": "cancel"}));
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_asked_only_what_it_declared() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, r#"{"sampling":{},"elicitation":{}}"#);
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    for (method, params, want) in [
        (
            ELICITATION,
            json!({"mode": "url", "url": "https://x"}),
            (-32602, "the client did not declare elicitation.url"),
        ),
        (SAMPLING, json!({"messages": [], "tools": []}), (-32602, "the client did not declare sampling.tools")),
        ("roots/list", json!({}), (-32601, "the client did not declare roots")),
        (
            "x/y",
            json!({}),
            (-32601, "nobody can be asked: x/y came outside of a call whose client can answer it; ask during one"),
        ),
    ] {
        let mut refused = asked.ask(&server, 1, method, params).await;
        assert_eq!(refused.error().await, (want.0, want.1.to_string()));
    }
    assert_eq!(asked.ask(&server, 2, "ping", json!({})).await.value().await, json!({}));
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_for_want_of_a_capability_says_which() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let mut refused = asked.ask(&server, 1, SAMPLING, json!({"messages": []})).await;
    assert_eq!(refused.error().await, (-32601, "the client did not declare sampling".into()));
    asked.reply.fail(-32603, "no model", None);
    let frame = answers.next().await;
    let error: Value = serde_json::from_str(frame.body().unwrap()).unwrap();
    let text = "the server asked for what it needs, and the client did not declare sampling";
    let data = json!({"requiredCapabilities": {"sampling": {}}});
    assert_eq!(error, json!({"code": -32021, "message": text, "data": data}));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_outside_of_any_call_is_answered_by_the_bridge() {
    let settings = Settings { roots: vec!["file:///work".into()], ..Settings::default() };
    let mut bridge = Bridge::with(settings);
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.raw().await;
    let asked = server.request().await;
    assert_eq!(asked.params()["capabilities"], json!({"roots": {}}), "declared, for it can be answered");
    asked.answer(INIT);
    server.note().await;
    let mut roots = server.ask(1, "roots/list", json!({})).await;
    assert_eq!(roots.value().await, json!({"roots": [{"uri": "file:///work"}]}));
    server.request().await.answer("{}");
    assert_eq!(server.ask(2, "ping", json!({})).await.value().await, json!({}));
    let mut refused = server.ask(3, SAMPLING, json!({})).await;
    let text =
        "nobody can be asked: sampling/createMessage came outside of a call whose client can answer it; ask during one";
    assert_eq!(refused.error().await, (-32601, text.into()));
    let call = server.request().await;
    assert_eq!(call.ask(&server, 4, "roots/list", json!({})).await.value().await["roots"][0]["uri"], "file:///work");
    call.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_names_no_call_is_for_the_only_one_that_can_be_asked() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let mut beside = client.ask("tools/list", json!({})).await;
    let list = server.request().await;
    assert_eq!(list.frame.method(), "tools/list", "beside the call, at the same server");
    let mut elicited = server.ask(5, ELICITATION, json!({"message": "m"})).await;
    let (_, state) = answers.input_required().await;
    list.answer(r#"{"tools":[]}"#);
    beside.value().await;
    let mut answers = client.retry(&state, json!({"s1": {"action": "accept"}})).await;
    assert_eq!(elicited.value().await, json!({"action": "accept"}));
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_the_server_takes_back_is_not_asked() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let _gone = asked.ask(&server, 5, ELICITATION, json!({"message": "m"})).await;
    server.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_url_that_is_required_is_asked_for_and_the_call_sent_again() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let data = json!({"elicitations": [{"mode": "url", "elicitationId": "e", "url": "https://x", "message": "open"}]});
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    server.request().await.reply.fail(-32042, "open this", Some(data.clone()));
    let (requests, state) = answers.input_required().await;
    let params = json!({"mode": "url", "url": "https://x", "message": "open"});
    assert_eq!(requests, json!({"u1": {"method": ELICITATION, "params": params}}));
    let (_, state) = client.retry(&state, json!({})).await.input_required().await;
    let mut answers = client.retry(&state, json!({"u1": {"action": "accept"}})).await;
    let again = server.request().await;
    assert_eq!(again.params()["name"], "greet");
    assert!(again.params().get("requestState").is_none());
    again.reply.fail(-32042, "open this", Some(data.clone()));
    let (_, state) = answers.input_required().await;
    let mut answers = client.retry(&state, json!({"u1": {"action": "decline"}})).await;
    let text = "the server needs a URL to be opened before it serves this, and that was declined";
    assert_eq!(answers.error().await, (-32603, text.into()));

    // A list cannot ask, whatever its caller declared.
    let mut answers = client.ask("tools/list", json!({})).await;
    server.request().await.reply.fail(-32042, "open this", Some(data.clone()));
    let (code, text) = answers.error().await;
    assert!(
        code == -32603 && text.starts_with("the server needs a URL to be opened before it serves tools/list"),
        "{text}"
    );

    let mut other = Client::new(&bridge, r#"{"elicitation":{}}"#);
    let mut answers = other.call().await;
    let mut server = bridge.server().await;
    server.request().await.reply.fail(-32042, "open this", Some(data));
    let error = answers.value().await;
    assert_eq!(error["code"], -32021);
    assert_eq!(error["data"], json!({"requiredCapabilities": {"elicitation": {"url": {}}}}));
}
