//! One conversation per test, in memory. Server and client are joined in one task, so nothing is spawned and no test
//! sleeps: each waits for the line that it expects. A test that would hang fails after [`PATIENCE`].

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split};

use super::{End, ToolSet, serve_with};

const PATIENCE: Duration = Duration::from_secs(60);
/// An hour: a call that takes this long can only end by being cancelled.
const FOR_EVER: u64 = 3_600_000;

struct Client {
    to: WriteHalf<DuplexStream>,
    from: BufReader<ReadHalf<DuplexStream>>,
}

impl Client {
    async fn line(&mut self, line: &str) {
        self.to.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn send(&mut self, method: &str, id: Option<Value>, params: Value) {
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if let Some(id) = id {
            message["id"] = id;
        }
        self.line(&message.to_string()).await;
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.send(method, None, params).await;
    }

    async fn reply(&mut self, to: &Value, result: Value) {
        self.line(&json!({"jsonrpc": "2.0", "id": to["id"], "result": result}).to_string()).await;
    }

    async fn raw(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).await.unwrap();
        line
    }

    async fn next(&mut self) -> Value {
        let line = self.raw().await;
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line:?}"))
    }

    /// Sends a request and takes the next message for its answer.
    async fn request(&mut self, method: &str, params: Value) -> Value {
        self.send(method, Some(json!("q")), params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], "q", "{answer}");
        answer
    }

    async fn start(&mut self, id: u64, tool: &str, arguments: Value) {
        self.send("tools/call", Some(json!(id)), json!({"name": tool, "arguments": arguments})).await;
    }

    /// Starts a call that reports progress under the token `token`.
    async fn start_with_progress(&mut self, id: u64, token: Value, tool: &str, arguments: Value) {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": token}});
        self.send("tools/call", Some(json!(id)), params).await;
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    async fn open(&mut self, version: &str, capabilities: Value) -> Value {
        let client = json!({"name": "test", "version": "1"});
        let hello = json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
        let answer = self.request("initialize", hello).await;
        self.notify("notifications/initialized", json!({})).await;
        answer
    }
}

fn said(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

fn failure(answer: &Value) -> &str {
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    said(answer)
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

/// Runs `script` against a server, closes the connection, and returns how the server ended.
async fn talk(tools: ToolSet, script: impl AsyncFnOnce(&mut Client)) -> End {
    let (ours, theirs) = duplex(16 << 10);
    let (read, write) = split(theirs);
    let (from, to) = split(ours);
    let mut client = Client { to, from: BufReader::new(from) };
    let client = async {
        script(&mut client).await;
        client.to.shutdown().await.unwrap();
        let mut rest = String::new();
        client.from.read_line(&mut rest).await.unwrap();
        assert_eq!(rest, "", "the server said more than the test expected");
    };
    // The server's half is dropped when it ends: a script that waits for more sees the end of the stream.
    let server = async { serve_with(read, write, tools).await };
    let both = async { futures::join!(server, client) };
    tokio::time::timeout(PATIENCE, both).await.expect("the conversation hangs").0.unwrap()
}

/// A conversation with a client that can do all.
async fn converse(script: impl AsyncFnOnce(&mut Client)) {
    let all = json!({"elicitation": {}, "sampling": {}, "roots": {"listChanged": true}});
    let end = talk(ToolSet::WithTestTools, async |c: &mut Client| {
        c.open("2025-11-25", all).await;
        script(c).await;
    });
    assert_eq!(end.await, End::Closed);
}

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
        assert_eq!(code(&c.request("server/discover", json!({})).await), -32601);
        assert_eq!(code(&c.request("initialize", json!({"protocolVersion": 7})).await), -32602);
        c.open("2025-06-18", json!({})).await;
        assert_eq!(code(&c.request("initialize", json!({"protocolVersion": "2025-06-18"})).await), -32600);
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
async fn echo_returns_the_bytes_of_the_message() {
    converse(async |c| {
        let message = r#""\u0041\/ü\ud83d\ude00\n  ""#;
        let params = format!(r#"{{"name":"echo","arguments":{{"message":{message}}}}}"#);
        c.line(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)).await;
        assert!(c.raw().await.contains(&format!(r#""text":{message}"#)));
        assert!(failure(&c.call("echo", json!({"message": 7})).await).contains("string"));
        assert!(failure(&c.call("echo", json!({})).await).contains("message"));
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
async fn add_gives_a_structured_result() {
    converse(async |c| {
        let answer = c.call("add", json!({"a": 2, "b": 3})).await;
        assert_eq!((said(&answer), &answer["result"]["structuredContent"]), ("5", &json!({"sum": 5})));
        assert_eq!(said(&c.call("add", json!({"a": 0.5, "b": 1})).await), "1.5");
        assert_eq!(
            c.call("add", json!({"a": i64::MAX, "b": 1})).await["result"]["structuredContent"]["sum"],
            2f64.powi(63)
        );
        assert!(failure(&c.call("add", json!({"a": 1.7e308, "b": 1.7e308})).await).contains("too large"));
        assert!(failure(&c.call("add", json!({"a": "two", "b": 3})).await).contains("the arguments"));
    })
    .await;
}

#[tokio::test]
async fn slow_reports_progress_only_to_a_caller_with_a_token() {
    converse(async |c| {
        c.start_with_progress(1, json!("t/1"), "slow", json!({"steps": 3, "step_ms": 1})).await;
        for step in 1..=3 {
            let params = c.next().await["params"].clone();
            assert_eq!((&params["progressToken"], &params["progress"]), (&json!("t/1"), &json!(step)));
            assert_eq!(params["total"], 3);
        }
        assert_eq!(said(&c.next().await), "Did 3 steps.");
        assert_eq!(said(&c.call("slow", json!({"steps": 2, "step_ms": 1})).await), "Did 2 steps.");
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
async fn big_gives_the_size_asked_for_up_to_a_limit() {
    converse(async |c| {
        for bytes in [0, 1, 300_000] {
            assert_eq!(said(&c.call("big", json!({"bytes": bytes})).await).len(), bytes);
        }
        assert!(failure(&c.call("big", json!({"bytes": (64 << 20) + 1})).await).contains("limit"));
    })
    .await;
}

#[tokio::test]
async fn a_flood_arrives_whole_in_order_and_before_its_answer() {
    converse(async |c| {
        for (token, kind) in [(json!(1), "log"), (json!(2), "progress")] {
            c.start_with_progress(1, token, "flood", json!({"count": 10_000, "kind": kind})).await;
            for n in 1..=10_000 {
                let params = c.next().await["params"].clone();
                assert_eq!(if kind == "log" { &params["data"] } else { &params["progress"] }, n);
            }
            assert_eq!(said(&c.next().await), "Sent 10000 notifications.");
        }
        assert_eq!(said(&c.call("flood", json!({"count": 5, "kind": "progress"})).await), "Sent 0 notifications.");
    })
    .await;
}

#[tokio::test]
async fn messages_below_the_level_are_not_sent() {
    converse(async |c| {
        c.start(1, "log", json!({"level": "warning", "message": "hot"})).await;
        let params = c.next().await["params"].clone();
        assert_eq!(params, json!({"level": "warning", "logger": "demo", "data": "hot"}));
        assert_eq!(said(&c.next().await), "Logged.");
        assert_eq!(c.request("logging/setLevel", json!({"level": "error"})).await["result"], json!({}));
        assert!(said(&c.call("log", json!({"level": "warning", "message": "hot"})).await).starts_with("Not logged"));
        assert_eq!(said(&c.call("flood", json!({"count": 5})).await), "Sent 0 notifications.");
        assert_eq!(code(&c.request("logging/setLevel", json!({"level": "loud"})).await), -32602);
    })
    .await;
}

#[tokio::test]
async fn ask_returns_what_the_user_said() {
    converse(async |c| {
        let accepted = json!({"action": "accept", "content": {"answer": "42"}});
        let cases = [(accepted, "42"), (json!({"action": "decline"}), "decline"), (json!({}), "no action")];
        for (given, expected) in cases {
            c.start(5, "ask", json!({"message": "How many?"})).await;
            let question = c.next().await;
            assert_eq!(question["method"], "elicitation/create");
            assert_eq!(question["params"]["message"], "How many?");
            assert_eq!(question["params"]["requestedSchema"]["type"], "object");
            c.reply(&question, given).await;
            assert!(said(&c.next().await).contains(expected));
        }
    })
    .await;
}

#[tokio::test]
async fn sample_takes_one_block_or_a_list() {
    converse(async |c| {
        let block = json!({"type": "text", "text": "hello"});
        for content in [block.clone(), json!([block])] {
            c.start(5, "sample", json!({"prompt": "Say hello"})).await;
            let request = c.next().await;
            assert_eq!(request["method"], "sampling/createMessage");
            assert_eq!(request["params"]["messages"][0]["content"]["text"], "Say hello");
            c.reply(&request, json!({"role": "assistant", "content": content, "model": "m"})).await;
            assert_eq!(said(&c.next().await), "The model said: hello");
        }
        c.start(6, "sample", json!({"prompt": "Say hello"})).await;
        let id = c.next().await["id"].clone();
        let error = json!({"code": -1, "message": "User rejected"});
        c.line(&json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()).await;
        assert!(failure(&c.next().await).contains("error -1: User rejected"));
    })
    .await;
}

#[tokio::test]
async fn roots_are_asked_for_by_the_tool_and_when_they_change() {
    converse(async |c| {
        let roots = json!({"roots": [{"uri": "file:///a"}, {"uri": "file:///b", "name": "b"}]});
        c.start(5, "roots", json!({})).await;
        let request = c.next().await;
        assert_eq!(request["method"], "roots/list");
        c.reply(&request, roots.clone()).await;
        assert_eq!(said(&c.next().await), "file:///a\nfile:///b");

        c.request("resources/subscribe", json!({"uri": "demo://info"})).await;
        c.notify("notifications/roots/list_changed", json!({})).await;
        let again = c.next().await;
        assert_eq!(again["method"], "roots/list");
        c.reply(&again, roots.clone()).await;
        assert_eq!(c.next().await["params"]["uri"], "demo://info");
        let info = c.request("resources/read", json!({"uri": "demo://info"})).await;
        let info: Value = serde_json::from_str(info["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!((&info["roots"], &info["client"]["name"]), (&roots, &json!("test")));
    })
    .await;
}

#[tokio::test]
async fn the_server_pings_when_told_to() {
    converse(async |c| {
        c.start(5, "ping", json!({})).await;
        let ping = c.next().await;
        assert_eq!(ping["method"], "ping");
        c.reply(&ping, json!({})).await;
        assert_eq!(c.next().await["id"], 5);
    })
    .await;
}

#[tokio::test]
async fn a_client_is_not_asked_for_what_it_did_not_declare() {
    talk(ToolSet::Plain, async |c: &mut Client| {
        c.open("2025-11-25", json!({"elicitation": {"url": {}}})).await;
        assert!(failure(&c.call("ask", json!({"message": "?"})).await).contains("no form mode"));
        assert!(failure(&c.call("sample", json!({"prompt": "?"})).await).contains("capability sampling"));
        assert!(failure(&c.call("roots", json!({})).await).contains("capability roots"));
    })
    .await;
    talk(ToolSet::Plain, async |c: &mut Client| {
        c.open("2025-06-18", json!({})).await;
        assert!(failure(&c.call("ask", json!({"message": "?"})).await).contains("capability elicitation"));
    })
    .await;
}

#[tokio::test]
async fn touch_tells_subscribers_only() {
    converse(async |c| {
        let counter = json!({"uri": "demo://counter"});
        assert_eq!(said(&c.call("touch", json!({})).await), "demo://counter is now 1.");
        assert_eq!(c.request("resources/subscribe", counter.clone()).await["result"], json!({}));
        c.start(1, "touch", json!({})).await;
        let updated = c.next().await;
        assert_eq!((&updated["method"], &updated["params"]), (&json!("notifications/resources/updated"), &counter));
        assert_eq!(c.next().await["id"], 1);
        assert_eq!(c.request("resources/read", counter.clone()).await["result"]["contents"][0]["text"], "2");
        assert_eq!(c.request("resources/unsubscribe", counter).await["result"], json!({}));
        assert_eq!(said(&c.call("touch", json!({})).await), "demo://counter is now 3.");
    })
    .await;
}

#[tokio::test]
async fn toggle_changes_the_list_of_tools() {
    converse(async |c| {
        assert_eq!(code(&c.call("extra", json!({})).await), -32602);
        for there in [true, false] {
            c.start(1, "toggle", json!({})).await;
            assert_eq!(c.next().await["method"], "notifications/tools/list_changed");
            assert_eq!(c.next().await["id"], 1);
            assert_eq!(names(&c.request("tools/list", json!({})).await).contains(&"extra".to_owned()), there);
        }
    })
    .await;
}

fn names(list: &Value) -> Vec<String> {
    let tools = list["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_test_tools_are_hidden_from_users() {
    let plain = "echo add slow big flood log ask sample roots ping touch toggle pid";
    talk(ToolSet::Plain, async |c: &mut Client| {
        c.open("2025-11-25", json!({})).await;
        assert_eq!(names(&c.request("tools/list", json!({})).await).join(" "), plain);
        for tool in ["crash", "garbage", "env", "spawn"] {
            assert_eq!(code(&c.call(tool, json!({"name": "DEMO_X"})).await), -32602);
        }
    })
    .await;
    converse(async |c| {
        let all = names(&c.request("tools/list", json!({})).await).join(" ");
        assert_eq!(all, format!("{plain} crash garbage env spawn"));
    })
    .await;
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
async fn crash_ends_the_server_after_what_it_had_answered() {
    let end = talk(ToolSet::WithTestTools, async |c: &mut Client| {
        c.open("2025-11-25", json!({})).await;
        c.start(1, "slow", json!({"steps": 1, "step_ms": FOR_EVER})).await;
        c.start(2, "echo", json!({"message": "last words"})).await;
        c.start(3, "crash", json!({"code": 7, "message": "as asked"})).await;
        assert_eq!(said(&c.next().await), "last words");
        assert_eq!(c.raw().await, "");
    });
    assert_eq!(end.await, End::Crash(7));
}

#[tokio::test]
async fn garbage_comes_before_its_answer() {
    converse(async |c| {
        c.start(1, "garbage", json!({})).await;
        assert_eq!(c.raw().await, "this line is not JSON\n");
        assert_eq!(c.next().await["id"], 1);
    })
    .await;
}

#[tokio::test]
async fn env_shows_names_with_the_prefix_only() {
    converse(async |c| {
        assert_eq!(said(&c.call("env", json!({"name": "DEMO_NOT_SET"})).await), "DEMO_NOT_SET is not set");
        assert!(failure(&c.call("env", json!({"name": "PATH"})).await).contains("DEMO_"));
        assert_eq!(said(&c.call("pid", json!({})).await), std::process::id().to_string());
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_spawned_process_outlives_sigterm() {
    use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
    converse(async |c| {
        let pid = said(&c.call("spawn", json!({})).await).parse().ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        let (_, ended) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(ended.terminating_signal(), Some(Signal::KILL.as_raw()));
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
    assert_eq!(movable(super::serve(read, write)).await.unwrap(), End::Closed);
}
