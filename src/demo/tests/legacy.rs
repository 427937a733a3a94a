//! The session of a legacy client, the wire, and what is listed.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use super::*;

#[tokio::test]
async fn each_revision_is_answered_with_itself_and_others_with_the_newest() {
    let asked = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "1999-01-01"];
    let agreed = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2025-11-25", "2025-11-25"];
    for (asked, agreed) in asked.into_iter().zip(agreed) {
        talk(ToolSet::Plain, async |c: &mut Client| {
            let answer = c.open(asked, json!({})).await;
            assert_eq!(answer["result"]["protocolVersion"], agreed);
            assert_eq!(answer["result"]["capabilities"]["resources"]["subscribe"], true);
        })
        .await;
    }
}

#[tokio::test]
async fn before_initialize_only_ping_is_served() {
    talk(ToolSet::Plain, async |c: &mut Client| {
        assert_eq!(c.request("ping", json!({})).await["result"], json!({}));
        assert_eq!(code(&c.request("tools/list", json!({})).await), -32600);
        assert_eq!(code(&c.request("initialize", json!({"protocolVersion": 7})).await), -32602);
        c.open("2025-06-18", json!({})).await;
        assert_eq!(code(&c.request("initialize", json!({"protocolVersion": "2025-06-18"})).await), -32600);
    })
    .await;
}

#[tokio::test]
async fn a_legacy_server_takes_a_modern_client_for_one_that_has_not_begun() {
    talk_in(Eras::Legacy, ToolSet::Plain, async |c: &mut Client| {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"_meta": meta});
        assert_eq!(code(&c.request("server/discover", params.clone()).await), -32601);
        assert_eq!(code(&c.request("tools/list", params.clone()).await), -32600);
        c.open("2025-11-25", json!({})).await;
        assert_eq!(code(&c.request("server/discover", params.clone()).await), -32601);
        assert_eq!(c.request("tools/list", params).await["result"].get("resultType"), None);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_method_and_an_unknown_tool_are_protocol_errors() {
    converse(async |c| {
        assert_eq!(code(&c.request("vendor/thing", json!({})).await), -32601);
        assert_eq!(code(&c.call("nothing", json!({})).await), -32602);
        assert_eq!(code(&c.request("tools/call", json!([])).await), -32602);
        c.notify("notifications/vendor", json!({})).await;
        assert_eq!(said(&c.call("echo", json!({"message": "still here"})).await), "still here");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_message_is_ignored() {
    converse(async |c| {
        let lines = ["nonsense", "", "[]", "[1]", "7", "{}", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#];
        for line in lines {
            c.line(line).await;
        }
        c.to.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}\n").await.unwrap();
        c.line(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#).await;
        c.line(r#"{"jsonrpc":"2.0","id":99,"result":{}}"#).await;
        assert_eq!(c.request("ping", json!({})).await["result"], json!({}));
    })
    .await;
}

#[tokio::test]
async fn ids_come_back_as_they_were_written() {
    converse(async |c| {
        for id in ["0", "-7", "9007199254740991", "1.0", "\"a:b\"", "\"\\u0041\"", "\"\""] {
            c.line(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).await;
            assert_eq!(c.raw().await, format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_larger_than_every_buffer_comes_back_whole() {
    converse(async |c| {
        let message = "0123456789abcdef".repeat(1 << 16); // 1 MiB through a pipe of 16 KiB
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "echo", "arguments": {"message": message}}});
        let line = format!("{line}\n{line}\n");
        let (to, from) = (&mut c.to, &mut c.from);
        let answers = async {
            for _ in 0..2 {
                let mut answer = String::new();
                from.read_line(&mut answer).await.unwrap();
                assert!(said(&serde_json::from_str(&answer).unwrap()) == message);
            }
        };
        futures::join!(async { to.write_all(line.as_bytes()).await.unwrap() }, answers);
    })
    .await;
}

#[tokio::test]
async fn a_slow_call_delays_no_other_and_each_answers_when_done() {
    converse(async |c| {
        c.start(1, "ask", json!({"message": "first"})).await;
        let first = c.next().await;
        c.start(2, "ask", json!({"message": "second"})).await;
        let second = c.next().await;
        assert_eq!(said(&c.call("echo", json!({"message": "third"})).await), "third");
        c.reply(&second, json!({"action": "accept", "content": {"answer": "two"}})).await;
        assert_eq!(c.next().await["id"], 2);
        c.reply(&first, json!({"action": "accept", "content": {"answer": "one"}})).await;
        assert_eq!(c.next().await["id"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_call_is_never_answered_and_its_id_is_free_again() {
    converse(async |c| {
        c.start(1, "slow", json!({"steps": 1, "step_ms": FOR_EVER})).await;
        c.start(1, "echo", json!({"message": "twice"})).await;
        let refused = c.next().await;
        assert_eq!((&refused["id"], code(&refused)), (&json!(1), -32600));
        c.notify("notifications/cancelled", json!({"requestId": 1, "reason": "test"})).await;
        c.notify("notifications/cancelled", json!({"requestId": "unknown"})).await;
        c.notify("notifications/cancelled", json!({})).await;
        c.start(1, "slow", json!({"steps": 1, "step_ms": 1})).await;
        assert_eq!(said(&c.next().await), "Did 1 steps.");
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_ask_withdraws_its_question() {
    converse(async |c| {
        c.start(1, "ask", json!({"message": "?"})).await;
        let question = c.next().await;
        c.notify("notifications/cancelled", json!({"requestId": 1})).await;
        let withdrawn = c.next().await;
        assert_eq!(withdrawn["method"], "notifications/cancelled");
        assert_eq!(withdrawn["params"]["requestId"], question["id"]);
        c.reply(&question, json!({"action": "cancel"})).await; // crossed on the way: ignored
        assert_eq!(c.request("ping", json!({})).await["result"], json!({}));
    })
    .await;
}

#[tokio::test]
async fn the_end_of_input_ends_calls_that_wait() {
    converse(async |c| c.start(1, "slow", json!({"steps": 1, "step_ms": FOR_EVER})).await).await;
}

#[tokio::test]
async fn lists_come_in_pages_and_a_made_up_cursor_is_refused() {
    converse(async |c| {
        let (mut uris, mut params, mut pages) = (Vec::new(), json!({}), 0);
        loop {
            let page = c.request("resources/list", params).await["result"].clone();
            uris.extend(page["resources"].as_array().unwrap().iter().map(|r| r["uri"].as_str().unwrap().to_owned()));
            pages += 1;
            let Some(cursor) = page.get("nextCursor") else { break };
            params = json!({"cursor": cursor});
        }
        assert_eq!((pages, uris.len(), uris[26].as_str()), (3, 27, "demo://item/25"));
        for cursor in ["", "10", "after-0", "after-7", "after-30", "after-18446744073709551615", "after-+10 "] {
            assert_eq!(code(&c.request("resources/list", json!({"cursor": cursor})).await), -32602, "{cursor}");
        }
        for method in ["tools/list", "prompts/list", "resources/templates/list"] {
            assert_eq!(code(&c.request(method, json!({"cursor": "after-10"})).await), -32602);
        }
    })
    .await;
}

#[tokio::test]
async fn resources_are_read_by_uri_and_by_template() {
    converse(async |c| {
        let templates = c.request("resources/templates/list", json!({})).await;
        assert_eq!(templates["result"]["resourceTemplates"][0]["uriTemplate"], "demo://item/{n}");
        let item = c.request("resources/read", json!({"uri": "demo://item/700"})).await;
        assert_eq!(item["result"]["contents"][0]["text"], "This is item 700.");
        for method in ["resources/read", "resources/subscribe"] {
            let missing = c.request(method, json!({"uri": "demo://item/x"})).await;
            assert_eq!((code(&missing), &missing["error"]["data"]["uri"]), (-32002, &json!("demo://item/x")));
        }
    })
    .await;
}

#[tokio::test]
async fn the_prompt_is_filled_and_its_argument_completed() {
    converse(async |c| {
        assert_eq!(c.request("prompts/list", json!({})).await["result"]["prompts"][0]["name"], "greet");
        let greet = c.request("prompts/get", json!({"name": "greet", "arguments": {"name": "Ada"}})).await;
        let text = greet["result"]["messages"][0]["content"]["text"].as_str().unwrap();
        assert!(text.contains("Ada"));
        assert_eq!(code(&c.request("prompts/get", json!({"name": "greet"})).await), -32602);
        assert_eq!(code(&c.request("prompts/get", json!({"name": "insult"})).await), -32602);

        let name = json!({"type": "ref/prompt", "name": "greet"});
        let n = json!({"type": "ref/resource", "uri": "demo://item/{n}"});
        let complete = |of, name, value| json!({"ref": of, "argument": {"name": name, "value": value}});
        let names = c.request("completion/complete", complete(&name, "name", "a")).await;
        assert_eq!(names["result"]["completion"], json!({"values": ["Ada", "Alan"], "total": 2, "hasMore": false}));
        let items = c.request("completion/complete", complete(&n, "n", "2")).await;
        assert_eq!(items["result"]["completion"]["values"][1], "20");
        assert_eq!(code(&c.request("completion/complete", complete(&n, "m", "2")).await), -32602);
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_answered_with_one_array_where_that_was_agreed() {
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","arguments":{"steps":1,"step_ms":1}}},
        {"jsonrpc":"2.0","method":"notifications/vendor"},{"jsonrpc":"2.0","id":2,"method":"ping"},
        {"jsonrpc":"2.0","id":3,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}]"#;
    let batch = batch.replace('\n', "");
    talk(ToolSet::Plain, async |c: &mut Client| {
        c.open("2025-03-26", json!({})).await;
        c.line(&batch).await;
        let answers = c.next().await;
        let ids: Vec<_> = answers.as_array().unwrap().iter().map(|answer| answer["id"].clone()).collect();
        assert_eq!(ids, [2, 3, 1]);
        assert_eq!(code(&answers[1]), -32600);
        c.line(r#"[{"jsonrpc":"2.0","method":"notifications/vendor"}]"#).await;
        c.line(r#"[{"jsonrpc":"2.0","id":9,"method":"ping"}]"#).await;
        assert_eq!(c.next().await[0]["id"], 9);
    })
    .await;
    converse(async |c| {
        c.line(&batch).await; // ignored: 2025-11-25 has no batches
        assert_eq!(c.request("ping", json!({})).await["result"], json!({}));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_hangs_up_is_no_error() {
    let (client, server) = duplex(1024);
    let (read, write) = split(server);
    let (from, mut to) = split(client);
    to.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").await.unwrap();
    drop((from, to));
    assert_eq!(serve_with(read, write, ToolSet::Plain).await.unwrap(), End::Closed);
}

#[tokio::test]
async fn the_server_can_be_moved_to_another_thread() {
    fn movable<T: Send + 'static>(it: T) -> T {
        it
    }
    let (read, write) = split(duplex(64).0);
    assert_eq!(movable(serve(read, write, ToolSet::Plain, Eras::Both)).await.unwrap(), End::Closed);
}
