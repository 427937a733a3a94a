//! Statements 6, 7, 8 and 10: requests of the server's, notifications, cancellation, and what the bridge does not know.

use serde_json::{Value, json};

use crate::support::{
    client::{Client, Kind, On, notification, tool, tool_with_progress},
    program::Bridge,
    route::{Record, Route, over_every_pair},
};

/// Calls a tool that asks back, answers with what tells this client from others, and gives the tool's text.
async fn asked_back(client: &mut Client, name: &str, arguments: Value, method: &str, result: Value) -> String {
    let id = client.fresh_id();
    client.send(&tool(&id, name, arguments)).await;
    let question = client.message(method).await;
    client.reply(&question, result).await;
    client.answer(&id).await.tool_text().to_owned()
}

async fn ask_all(client: &mut Client, me: &str) {
    let said = json!({"role": "assistant", "content": {"type": "text", "text": me}, "model": "none"});
    let sampled = asked_back(client, "sample", json!({"prompt": me}), "sampling/createMessage", said).await;
    assert_eq!(sampled, format!("The model said: {me}"));
    let given = json!({"action": "accept", "content": {"answer": me}});
    let elicited = asked_back(client, "ask", json!({"message": me}), "elicitation/create", given).await;
    assert_eq!(elicited, format!("The user answered: {me}"));
    let roots = json!({"roots": [{"uri": format!("file:///{me}")}]});
    assert_eq!(asked_back(client, "roots", json!({}), "roots/list", roots).await, format!("file:///{me}"));
    assert_eq!(asked_back(client, "ping", json!({}), "ping", json!({})).await, "The client answered.");
}

over_every_pair! {
    async fn field_06_requests_of_the_server_reach_the_right_client_and_back(route: Route) {
        let way = route.start().await;
        let (mut one, mut two) = (way.client().await, way.client().await);
        // At the same time: each server has the same ids for its questions.
        tokio::join!(Box::pin(ask_all(&mut one, "one")), Box::pin(ask_all(&mut two, "two")));
        // An error is an answer, too.
        one.send(&tool("1", "sample", json!({"prompt": "?"}))).await;
        let question = one.message("sampling/createMessage").await;
        one.send(&json!({"jsonrpc": "2.0", "id": question.json["id"], "error": {"code": -1, "message": "no"}}).to_string())
            .await;
        assert_eq!(one.answer("1").await.tool_text(), "the client answered with error -1: no");
        assert!(one.finish().await.is_empty() && two.finish().await.is_empty());
        way.stop().await;
    }
}

/// A shared server does not say whom it asks: the only client with a call in flight is asked, and with several the server
/// is told that nobody can be.
#[tokio::test]
async fn field_06_a_shared_server_asks_the_only_client_that_called_and_nobody_else() {
    for kind in [Kind::Sse, Kind::Http] {
        let bridge = Bridge::demo(&["serve", "--shared"]).await;
        let (mut one, mut two) = (bridge.client(kind).await, bridge.client(kind).await);
        ask_all(&mut one, "one").await;
        ask_all(&mut two, "two").await;
        one.send(&tool_with_progress("1", "1", "slow", json!({"steps": 10_000, "step_ms": 20}))).await;
        one.message("notifications/progress").await;
        let refused = two.call("roots", json!({})).await;
        assert!(refused.tool_text().contains("nobody can be asked: several clients share it"), "{}", refused.text);
        drop(one);
        assert!(two.finish().await.is_empty());
        bridge.stop().await;
    }
}

over_every_pair! {
    /// Each kind of notification, with another client that must hear none of it.
    async fn field_07_every_notification_arrives_once_and_at_nobody_else(route: Route) {
        let way = route.start().await;
        let (mut one, other) = (way.client().await, way.client().await);
        one.request("resources/subscribe", json!({"uri": "demo://counter"})).await;
        one.call("log", json!({"level": "warning", "message": "logged"})).await;
        one.call("toggle", json!({})).await;
        one.call("touch", json!({})).await;
        one.send(&tool_with_progress("1", "\"t\"", "slow", json!({"steps": 3, "step_ms": 1}))).await;
        one.answer("1").await;
        let wanted = [
            ("notifications/message", 1),
            ("notifications/tools/list_changed", 1),
            ("notifications/resources/updated", 1),
            ("notifications/progress", 3),
        ];
        for (method, count) in wanted {
            for _ in 0..count {
                one.message(method).await;
            }
        }
        assert!(one.finish().await.is_empty(), "each once");
        assert!(other.finish().await.is_empty(), "at nobody else");
        way.stop().await;
    }
}

#[tokio::test]
async fn field_07_a_shared_server_notifies_whom_it_concerns() {
    let bridge = Bridge::demo(&["serve", "--shared"]).await;
    let (mut one, mut two) = (bridge.client(Kind::Sse).await, bridge.client(Kind::Http).await);
    let mut three = bridge.client(Kind::Sse).await;
    one.request("resources/subscribe", json!({"uri": "demo://counter"})).await;
    three.request("resources/subscribe", json!({"uri": "demo://counter"})).await;
    three.request("resources/unsubscribe", json!({"uri": "demo://counter"})).await;
    two.call("touch", json!({})).await;
    two.call("toggle", json!({})).await;
    two.call("log", json!({"level": "error", "message": "of two alone"})).await;
    one.message("notifications/resources/updated").await;
    two.message("notifications/message").await;
    for client in [&mut one, &mut two, &mut three] {
        client.message("notifications/tools/list_changed").await;
    }
    for client in [one, two, three] {
        let rest = client.finish().await;
        assert!(rest.is_empty(), "{rest:?}");
    }
    bridge.stop().await;
}

/// Cancels a call that is at work.
async fn cancel(client: &mut Client, id: &str) {
    client.send(&tool_with_progress(id, "\"work\"", "slow", json!({"steps": 100_000, "step_ms": 10}))).await;
    client.message("notifications/progress").await;
    let params = format!(r#"{{"requestId":{id},"reason":"the user \u00e9"}}"#);
    client.send(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#)).await;
}

/// On Streamable HTTP the stream of the call ends, with an error. On a pipe nothing follows (2025-11-25, Cancellation,
/// Behavior Requirements), which later calls on it show.
async fn ends_cancelled(client: &mut Client, kind: Kind, id: &str) {
    if kind == Kind::Http {
        let ended = client.answer(id).await;
        assert_eq!(ended.error(), (-32800, "the request was cancelled by its caller"));
        client.end_of(On::Call(id.into())).await;
    }
    client.check("still there").await;
    let late = client.rest();
    assert!(late.iter().all(|text| text.contains("notifications/progress")), "{late:?}");
}

/// The id of the call that the server heard, and that of the cancellation.
fn ids_heard(record: &Record) -> (Value, Value) {
    let heard: Vec<Value> = record.heard.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let call = heard.iter().find(|message| message["params"]["name"] == "slow").unwrap();
    let cancel = heard.iter().find(|message| message["method"] == "notifications/cancelled").unwrap();
    assert_eq!(cancel["params"]["reason"], "the user é");
    (call["id"].clone(), cancel["params"]["requestId"].clone())
}

over_every_pair! {
    async fn field_08_a_cancellation_names_the_id_that_the_server_knows(route: Route) {
        let way = route.start_recorded().await;
        let mut client = way.client().await;
        cancel(&mut client, r#""a:b""#).await;
        let kind = if route == Route::ChildToHttp { Kind::Http } else { Kind::Sse };
        ends_cancelled(&mut client, kind, r#""a:b""#).await;
        client.finish().await;
        let (call, cancel) = ids_heard(&way.stop().await);
        assert_eq!((call.clone(), call), (cancel, json!("a:b")));
    }
}

#[tokio::test]
async fn field_08_a_cancellation_on_a_shared_server_names_the_restamped_id() {
    for (route, kind) in [(Route::ChildToSse, Kind::Sse), (Route::ChildToHttp, Kind::Http)] {
        let way = route.start_recorded_with(&["--shared"]).await;
        let (mut one, mut two) = (way.client().await, way.client().await);
        two.send(&tool("5", "ask", json!({"message": "?"}))).await;
        let question = two.message("elicitation/create").await;
        cancel(&mut one, "5").await;
        ends_cancelled(&mut one, kind, "5").await;
        // The other call with this id goes on.
        two.reply(&question, json!({"action": "accept", "content": {"answer": "still here"}})).await;
        assert_eq!(two.answer("5").await.tool_text(), "The user answered: still here");
        drop((one, two));
        let (call, cancel) = ids_heard(&way.stop().await);
        assert_eq!(call, cancel);
        assert_ne!(call, json!(5));
    }
}

over_every_pair! {
    /// `invariant_3` compares the bytes; here is what a client sees.
    async fn field_10_unknown_methods_fields_and_error_data_pass(route: Route) {
        let way = route.start().await;
        let mut client = way.client().await;
        let unknown = client.request("x/unknown", json!({"any": ["thing", null]})).await;
        assert_eq!(unknown.error(), (-32601, "this server has no method x/unknown"));
        let missing = client.request("resources/read", json!({"uri": "demo://none"})).await;
        assert_eq!(missing.error().0, -32002);
        assert_eq!(missing.json["error"]["data"], json!({"uri": "demo://none"}));
        client.send(&notification("notifications/x/unknown")).await;
        client.check("all the same").await;
        client.finish().await;
        way.stop().await;
    }
}
