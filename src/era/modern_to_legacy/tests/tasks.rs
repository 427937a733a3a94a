//! Tools that run as tasks alone.

use super::*;
use crate::message::code;

const WITH_TASKS: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"old","version":"3"}}"#;

const CREATED: &str = r#"{"task":{"taskId":"t\u0031","status":"working","ttl":1,"pollInterval":2000}}"#;

impl Bridge {
    async fn server_with_tasks(&mut self) -> Server {
        let mut server = self.raw().await;
        server.shake_hands(WITH_TASKS).await;
        server
    }
}

impl Server {
    /// The next request, which has to be this one.
    async fn expect(&mut self, method: &str) -> Asked {
        let asked = self.request().await;
        assert_eq!(asked.frame.method(), method);
        asked
    }

    /// Lists its tools, in two pages: `greet` runs as a task alone.
    async fn lists_tools(&mut self) {
        let page = self.expect("tools/list").await;
        assert_eq!(page.params(), Value::Null);
        page.answer(
            r#"{"tools":[{"name":"other"},{"name":"may","execution":{"taskSupport":"optional"}}],"nextCursor":"2"}"#,
        );
        let page = self.expect("tools/list").await;
        assert_eq!(page.params(), json!({ "cursor": "2" }));
        page.answer(r#"{"tools":[{"name":"greet","execution":{"taskSupport":"required"}}]}"#);
    }

    /// Makes a task of the next call, and gives the request for its result.
    async fn makes_a_task(&mut self) -> Asked {
        let call = self.expect("tools/call").await;
        assert_eq!(call.params()["task"], json!({ "ttl": 3_600_000 }));
        assert_eq!(call.params()["name"], "greet");
        call.answer(CREATED);
        let result = self.expect("tasks/result").await;
        assert_eq!(result.params(), json!({ "taskId": "t1" }));
        result
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_runs_as_a_task_alone_is_called_like_any_other() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server_with_tasks().await;
    server.lists_tools().await;
    let result = server.makes_a_task().await;
    result.answer(r#"{"content":[],"x":1.0,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t1"}}}"#);
    let answer = answers.next().await;
    assert_eq!(answer.id_text(), "41");
    assert_eq!(
        answer.body().unwrap(),
        r#"{"content":[],"x":1.0,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"old","version":"3"}},"resultType":"complete"}"#
    );
    // The list is known now.
    let mut answers = client.call().await;
    server.makes_a_task().await.reply.fail(-32000, "it failed", None);
    server.expect("tasks/get").await.answer(r#"{"taskId":"t1","status":"failed"}"#);
    assert_eq!(answers.error().await, (-32000, "it failed".to_string()));
}

#[tokio::test(start_paused = true)]
async fn other_tools_and_other_servers_know_no_task() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.ask("tools/call", json!({ "name": "may" })).await;
    let mut server = bridge.server_with_tasks().await;
    server.lists_tools().await;
    let call = server.expect("tools/call").await;
    assert_eq!(call.params(), json!({ "name": "may" }));
    call.answer(r#"{"content":[]}"#);
    answers.value().await;

    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let _answers = client.call().await;
    let mut server = bridge.server().await;
    assert_eq!(server.expect("tools/call").await.params(), json!({ "name": "greet" }));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_changed_is_asked_for_again() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server_with_tasks().await;
    server.lists_tools().await;
    server.makes_a_task().await.answer("{}");
    answers.value().await;
    server.say(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
    tokio::task::yield_now().await;
    let mut answers = client.call().await;
    server.expect("tools/list").await.answer(r#"{"tools":[{"name":"greet"}]}"#);
    let call = server.expect("tools/call").await;
    assert_eq!(call.params(), json!({ "name": "greet" }));
    call.answer("{}");
    answers.value().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_task_asks_parks_the_call() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let mut answers = client.call().await;
    let mut server = bridge.server_with_tasks().await;
    server.lists_tools().await;
    let result = server.makes_a_task().await;
    let meta = json!({"io.modelcontextprotocol/related-task": {"taskId": "t1"}});
    let mut elicited = result.ask(&server, 1, "elicitation/create", json!({"message": "a", "_meta": meta})).await;
    let (requests, state) = answers.input_required().await;
    assert_eq!(requests, json!({"s1": {"method": "elicitation/create", "params": {"message": "a"}}}));
    let mut answers = client.retry(&state, json!({"s1": {"action": "accept"}})).await;
    assert_eq!(elicited.value().await, json!({"action": "accept"}));
    // And outside of any stream, as over a pipe.
    let mut sampled = server.ask(2, "sampling/createMessage", json!({"messages": []})).await;
    let (_, state) = answers.input_required().await;
    // The result comes while the call is parked.
    result.answer(r#"{"content":[1]}"#);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut answers = client.retry(&state, json!({"s2": {}})).await;
    assert_eq!(answers.value().await["content"], json!([1]));
    assert!(sampled.next().await.is_error(), "moot");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_cancels_its_task() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server_with_tasks().await;
    server.lists_tools().await;
    let result = server.makes_a_task().await;
    client.cancel().await;
    assert_eq!(answers.error().await.0, i64::from(code::CANCELLED));
    let mut cancelled = Vec::new();
    let cancel = loop {
        let Envelope { frame, reply, .. } = server.peer.rx.recv().await.unwrap();
        match reply {
            Some(reply) => break Asked { frame, reply },
            None => cancelled.push(frame.cancelled().unwrap().to_json().into_owned()),
        }
    };
    assert!(cancelled.contains(&result.frame.id_text().to_string()), "{cancelled:?}");
    assert_eq!((cancel.frame.method(), cancel.params()), ("tasks/cancel", json!({ "taskId": "t1" })));
    cancel.answer("{}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_wait_for_its_task_is_asked_again() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server_with_tasks().await;
    server.lists_tools().await;
    server.makes_a_task().await.reply.fail(-32602, "not done", None);
    server.expect("tasks/get").await.answer(r#"{"taskId":"t1","status":"working"}"#);
    let before = tokio::time::Instant::now();
    let result = server.expect("tasks/result").await;
    assert_eq!(before.elapsed(), std::time::Duration::from_secs(2), "its own interval");
    result.reply.fail(-32000, "it failed", None);
    server.expect("tasks/get").await.answer(r#"{"taskId":"t1","status":"failed"}"#);
    assert_eq!(answers.error().await, (-32000, "it failed".to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_server_dies_is_an_error() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server_with_tasks().await;
    server.lists_tools().await;
    drop(server.makes_a_task().await);
    drop(server);
    assert_eq!(answers.error().await.0, i64::from(code::INTERNAL));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_runs_a_task_at_once_or_refuses_it_has_answered() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let mut answers = client.call().await;
    let mut server = bridge.server_with_tasks().await;
    server.lists_tools().await;
    server.expect("tools/call").await.answer(r#"{"content":[2]}"#);
    assert_eq!(answers.value().await["content"], json!([2]));
    let mut answers = client.call().await;
    server.expect("tools/call").await.reply.fail(-32602, "no", None);
    assert_eq!(answers.error().await.0, -32602);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_as_a_task_keeps_no_room_meanwhile() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, "{}");
    let meta =
        r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let held = Arc::new(());
    let params = format!(r#"{{"name":"greet","_meta":{meta}}}"#);
    let request = Frame::request(&Id::Number(7), "tools/call", Some(&params)).holding(Some(held.clone()));
    let mut answers = client.raw(request).await;
    let mut server = bridge.server_with_tasks().await;
    server.lists_tools().await;
    let call = server.expect("tools/call").await;
    assert_eq!(Arc::strong_count(&held), 2, "until the server has it");
    call.answer(CREATED);
    let result = server.expect("tasks/result").await;
    assert_eq!(Arc::strong_count(&held), 1);
    result.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}
