//! Requests that stand alone, as 2026-07-28 has them.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use super::*;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LEVEL: &str = "io.modelcontextprotocol/logLevel";
const SERVER: &str = "io.modelcontextprotocol/serverInfo";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The `_meta` of a client that can do all.
fn all() -> Value {
    json!({VERSION: "2026-07-28", CAPABILITIES: {"elicitation": {}, "sampling": {}, "roots": {}}})
}

/// The same with one more key.
fn with(key: &str, value: Value) -> Value {
    let mut meta = all();
    meta[key] = value;
    meta
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments})
}

impl Client {
    async fn send_with(&mut self, meta: Value, id: Value, method: &str, mut params: Value) {
        params["_meta"] = meta;
        self.send(method, Some(id), params).await;
    }

    /// Sends a request with this `_meta` and takes the next message for its answer.
    async fn with(&mut self, meta: Value, method: &str, params: Value) -> Value {
        self.send_with(meta, json!("q"), method, params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], "q", "{answer}");
        answer
    }

    async fn alone(&mut self, method: &str, params: Value) -> Value {
        self.with(all(), method, params).await
    }
}

/// A conversation with a modern server.
async fn modern(script: impl AsyncFnOnce(&mut Client)) {
    assert_eq!(talk_in(Eras::Modern, ToolSet::WithTestTools, script).await, End::Closed);
}

#[tokio::test]
async fn discover_tells_what_there_is() {
    modern(async |c| {
        let result = c.alone("server/discover", json!({})).await["result"].clone();
        assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
        assert_eq!(result["capabilities"]["resources"]["subscribe"], true);
        assert_eq!(result["capabilities"].get("tasks"), None);
        assert_eq!(result["_meta"][SERVER]["name"], "mcp-bridge-demo");
        assert!(result["instructions"].is_string() && result["ttlMs"].is_u64(), "{result}");
    })
    .await;
}

#[tokio::test]
async fn what_a_request_has_to_carry_is_missed() {
    modern(async |c| {
        for meta in [
            json!({}),
            json!({VERSION: "2026-07-28"}),
            json!({VERSION: 7, CAPABILITIES: {}}),
            json!({CAPABILITIES: {}}),
            json!({VERSION: "2026-07-28", CAPABILITIES: []}),
            with(LEVEL, json!("loud")),
        ] {
            assert_eq!(code(&c.with(meta.clone(), "tools/list", json!({})).await), -32602, "{meta}");
        }
        assert_eq!(code(&c.request("server/discover", json!({})).await), -32602);
        let error = c.with(json!({VERSION: "1900-01-01"}), "tools/list", json!({})).await["error"].clone();
        assert_eq!(error["code"], -32022);
        assert_eq!(error["data"], json!({"supported": ["2026-07-28"], "requested": "1900-01-01"}));
    })
    .await;
}

#[tokio::test]
async fn a_modern_server_refuses_initialize_and_names_its_revision() {
    modern(async |c| {
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t"}});
        let error = c.request("initialize", hello).await["error"].clone();
        assert_eq!(error["code"], -32022);
        assert_eq!(error["data"], json!({"supported": ["2026-07-28"], "requested": "2025-11-25"}));
        assert!(error["message"].as_str().unwrap().contains("2026-07-28"), "{error}");
        assert_eq!(code(&c.request("initialize", json!({})).await), -32022);
        assert_eq!(code(&c.request("tools/list", json!({})).await), -32602);
    })
    .await;
}

#[tokio::test]
async fn methods_of_the_session_do_not_exist() {
    modern(async |c| {
        for method in ["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/get", "x"] {
            assert_eq!(code(&c.alone(method, json!({})).await), -32601, "{method}");
        }
        let tools = names(&c.alone("tools/list", json!({})).await);
        for tool in ["ping", "job"] {
            assert!(!tools.contains(&tool.to_owned()));
            assert_eq!(code(&c.alone("tools/call", call(tool, json!({}))).await), -32602);
        }
    })
    .await;
}

#[tokio::test]
async fn every_result_has_a_type_and_says_who_gave_it() {
    modern(async |c| {
        let name = json!({"type": "ref/prompt", "name": "greet"});
        let complete = json!({"ref": name, "argument": {"name": "name", "value": "a"}});
        for (method, params, kept) in [
            ("server/discover", json!({}), true),
            ("tools/list", json!({}), true),
            ("resources/list", json!({}), true),
            ("resources/templates/list", json!({}), true),
            ("prompts/list", json!({}), true),
            ("resources/read", json!({"uri": "demo://counter"}), true),
            ("prompts/get", json!({"name": "greet", "arguments": {"name": "Ada"}}), false),
            ("completion/complete", complete, false),
            ("tools/call", call("echo", json!({"message": "x"})), false),
            ("tools/call", call("add", json!({"a": 1, "b": 2})), false),
            ("tools/call", call("add", json!({"a": 1})), false),
            ("tools/call", call("slow", json!({"steps": 0})), false),
        ] {
            let result = c.alone(method, params).await["result"].clone();
            assert_eq!(result["resultType"], "complete", "{method}: {result}");
            assert_eq!(result["_meta"][SERVER]["name"], "mcp-bridge-demo", "{method}");
            assert_eq!((result["ttlMs"].is_u64(), result["cacheScope"].is_string()), (kept, kept), "{method}");
        }
        let missing = c.alone("resources/read", json!({"uri": "demo://none"})).await;
        assert_eq!((code(&missing), &missing["error"]["data"]["uri"]), (-32602, &json!("demo://none")));
    })
    .await;
}

#[tokio::test]
async fn arguments_that_travel_in_headers_are_marked() {
    let properties = |list: &Value| {
        let place = list["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "place").unwrap();
        place["inputSchema"]["properties"].clone()
    };
    modern(async |c| {
        let properties = properties(&c.alone("tools/list", json!({})).await);
        for (name, kind, header) in
            [("region", "string", "Region"), ("limit", "integer", "Limit"), ("dry_run", "boolean", "Dry-Run")]
        {
            assert_eq!(properties[name], json!({"type": kind, "x-mcp-header": header}));
        }
        let given = json!({"region": "Zürich", "limit": -3, "dry_run": true});
        let answer = c.alone("tools/call", call("place", given)).await;
        assert_eq!(said(&answer), "region Zürich, limit -3, dry_run true");
    })
    .await;
    converse(async |c| {
        assert_eq!(properties(&c.request("tools/list", json!({})).await)["limit"], json!({"type": "integer"}));
    })
    .await;
}

#[tokio::test]
async fn progress_and_log_lines_go_to_those_who_ask_for_them() {
    modern(async |c| {
        let steps = json!({"steps": 2, "step_ms": 1});
        c.send_with(with("progressToken", json!("t")), json!(1), "tools/call", call("slow", steps)).await;
        for step in 1..=2 {
            let params = c.next().await["params"].clone();
            assert_eq!((&params["progressToken"], &params["progress"]), (&json!("t"), &json!(step)));
        }
        assert_eq!(c.next().await["id"], 1);

        let hot = call("log", json!({"level": "warning", "message": "hot"}));
        for meta in [all(), with(LEVEL, json!("error"))] {
            assert!(said(&c.with(meta, "tools/call", hot.clone()).await).starts_with("Not logged"));
        }
        c.send_with(with(LEVEL, json!("warning")), json!(2), "tools/call", hot).await;
        assert_eq!(c.next().await["params"], json!({"level": "warning", "logger": "demo", "data": "hot"}));
        assert_eq!(c.next().await["id"], 2);
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_asks_is_called_again_with_the_answer() {
    let said_by_model = json!({"role": "assistant", "content": {"type": "text", "text": "hello"}, "model": "m"});
    let accepted = json!({"action": "accept", "content": {"answer": "42"}});
    let roots = json!({"roots": [{"uri": "file:///a"}]});
    for (tool, arguments, method, answer, expected) in [
        ("ask", json!({"message": "How many?"}), "elicitation/create", accepted, "The user answered: 42"),
        ("sample", json!({"prompt": "Hi"}), "sampling/createMessage", said_by_model, "The model said: hello"),
        ("roots", json!({}), "roots/list", roots, "file:///a"),
    ] {
        modern(async |c| {
            let mut again = call(tool, arguments);
            let result = c.alone("tools/call", again.clone()).await["result"].clone();
            assert_eq!(result["resultType"], "input_required", "{result}");
            let requests = result["inputRequests"].as_object().unwrap();
            let (key, request) = requests.iter().next().unwrap();
            assert_eq!((requests.len(), &request["method"]), (1, &json!(method)));
            again["requestState"] = result["requestState"].clone();
            assert_eq!(c.alone("tools/call", again.clone()).await["result"], result, "nothing was answered: once more");
            again["inputResponses"] = json!({key: answer, "unknown": {}});
            assert_eq!(said(&c.alone("tools/call", again).await), expected);
        })
        .await;
    }
}

#[tokio::test]
async fn a_state_is_refused_with_any_other_request() {
    modern(async |c| {
        let ask = call("ask", json!({"message": "?"}));
        let state = c.alone("tools/call", ask.clone()).await["result"]["requestState"].clone();
        for (mut params, state) in [
            (call("roots", json!({})), state.clone()),
            (call("echo", json!({"message": "x"})), state),
            (ask.clone(), json!("forged")),
            (ask.clone(), json!(null)),
        ] {
            params["inputResponses"] = json!({"answer": {}});
            params["requestState"] = state;
            assert_eq!(code(&c.alone("tools/call", params.clone()).await), -32602, "{params}");
        }
        let read = json!({"uri": "demo://counter", "requestState": "forged"});
        assert_eq!(code(&c.alone("resources/read", read).await), -32602);
    })
    .await;
}

#[tokio::test]
async fn a_capability_that_is_not_declared_is_named() {
    modern(async |c| {
        for (declared, tool, arguments, needed) in [
            (json!({}), "ask", json!({"message": "?"}), json!({"elicitation": {}})),
            (json!({"elicitation": {"url": {}}}), "ask", json!({"message": "?"}), json!({"elicitation": {"form": {}}})),
            (json!({}), "sample", json!({"prompt": "?"}), json!({"sampling": {}})),
            (json!({"sampling": {}}), "roots", json!({}), json!({"roots": {}})),
        ] {
            let answer = c.with(with(CAPABILITIES, declared), "tools/call", call(tool, arguments)).await;
            assert_eq!((code(&answer), &answer["error"]["data"]["requiredCapabilities"]), (-32021, &needed));
        }
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_call_is_never_answered() {
    modern(async |c| {
        let for_ever = json!({"steps": 1, "step_ms": FOR_EVER});
        c.send_with(all(), json!(7), "tools/call", call("slow", for_ever)).await;
        c.notify("notifications/cancelled", json!({"requestId": 7})).await;
        c.send_with(all(), json!(7), "tools/call", call("pid", json!({}))).await;
        assert_eq!(said(&c.next().await), std::process::id().to_string());
    })
    .await;
}

#[tokio::test]
async fn a_subscription_is_acknowledged_and_brings_what_was_asked_for() {
    modern(async |c| {
        let wanted = json!({
            "toolsListChanged": true,
            "promptsListChanged": true,
            "resourceSubscriptions": ["demo://counter", "demo://none"],
        });
        c.send_with(all(), json!("L"), "subscriptions/listen", json!({"notifications": wanted})).await;
        let counter = json!({"resourceSubscriptions": ["demo://item/1", "demo://counter"]});
        c.send_with(all(), json!(2), "subscriptions/listen", json!({"notifications": counter})).await;
        for (id, honoured) in [
            (json!("L"), json!({"toolsListChanged": true, "resourceSubscriptions": ["demo://counter"]})),
            (json!(2), json!({"resourceSubscriptions": ["demo://counter", "demo://item/1"]})),
        ] {
            let first = c.next().await;
            assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
            assert_eq!(first["params"], json!({"notifications": honoured, "_meta": {SUBSCRIPTION: id}}));
        }
        assert_eq!(code(&c.with(all(), "tools/call", json!({})).await), -32602);

        c.send_with(all(), json!(3), "tools/call", call("touch", json!({}))).await;
        for id in [json!("L"), json!(2)] {
            let updated = c.next().await;
            assert_eq!(updated["method"], "notifications/resources/updated");
            assert_eq!(updated["params"], json!({"uri": "demo://counter", "_meta": {SUBSCRIPTION: id}}));
        }
        assert_eq!(c.next().await["id"], 3);
        c.send_with(all(), json!(4), "tools/call", call("toggle", json!({}))).await;
        let changed = c.next().await;
        assert_eq!(changed["method"], "notifications/tools/list_changed");
        assert_eq!(changed["params"], json!({"_meta": {SUBSCRIPTION: "L"}}));
        assert_eq!(c.next().await["id"], 4);

        c.send_with(all(), json!("L"), "tools/list", json!({})).await;
        assert_eq!(code(&c.next().await), -32600, "the id is in use");
        c.notify("notifications/cancelled", json!({"requestId": "L"})).await;
        assert_eq!(said(&c.alone("tools/call", call("toggle", json!({}))).await), "The tool extra is gone.");

        c.send_with(all(), json!(5), "tools/call", call("unlisten", json!({}))).await;
        let end = c.next().await;
        assert_eq!((&end["id"], &end["result"]["resultType"]), (&json!(2), &json!("complete")));
        assert_eq!(end["result"]["_meta"][SUBSCRIPTION], 2);
        assert_eq!(said(&c.next().await), "Ended 1 subscriptions.");
    })
    .await;
}

#[tokio::test]
async fn too_many_subscriptions_are_refused() {
    modern(async |c| {
        for n in 0..64 {
            c.send_with(all(), json!(n), "subscriptions/listen", json!({"notifications": {}})).await;
            assert_eq!(c.next().await["params"]["_meta"][SUBSCRIPTION], n);
        }
        assert_eq!(code(&c.alone("subscriptions/listen", json!({"notifications": {}})).await), -32603);
        assert_eq!(code(&c.alone("subscriptions/listen", json!({})).await), -32602);
    })
    .await;
}

/// A server of both eras serves a session and requests that stand alone, side by side, with the same tools.
#[tokio::test]
async fn both_eras_live_in_one_process() {
    converse(async |c| {
        assert_eq!(c.alone("server/discover", json!({})).await["result"]["resultType"], "complete");
        assert_eq!(code(&c.alone("ping", json!({})).await), -32601);
        assert_eq!(c.request("ping", json!({})).await["result"], json!({}));
        assert_eq!(code(&c.with(json!({VERSION: "2025-11-25"}), "tools/list", json!({})).await), -32022);

        c.send_with(all(), json!("L"), "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))
            .await;
        assert_eq!(c.next().await["method"], "notifications/subscriptions/acknowledged");
        c.start(1, "toggle", json!({})).await;
        assert_eq!(c.next().await.get("params"), None, "for the session");
        assert_eq!(c.next().await["params"]["_meta"][SUBSCRIPTION], "L");
        assert_eq!(c.next().await["id"], 1);
        assert_eq!(said(&c.alone("tools/call", call("extra", json!({}))).await), "Here I am.");

        // What the session has settled is nothing to a request that stands alone.
        c.request("logging/setLevel", json!({"level": "debug"})).await;
        let hot = call("log", json!({"level": "alert", "message": "hot"}));
        assert!(said(&c.alone("tools/call", hot).await).starts_with("Not logged"));
        let info = c.with(with(CAPABILITIES, json!({})), "resources/read", json!({"uri": "demo://info"})).await;
        assert!(info["result"]["contents"][0]["text"].as_str().unwrap().contains("2026-07-28"), "{info}");
    })
    .await;
    talk(ToolSet::Plain, async |c: &mut Client| {
        assert_eq!(said(&c.alone("tools/call", call("echo", json!({"message": "x"}))).await), "x");
        assert_eq!(code(&c.request("tools/list", json!({})).await), -32600, "no session has begun");
        assert_eq!(c.open("2025-06-18", json!({})).await["result"]["protocolVersion"], "2025-06-18");
    })
    .await;
    talk(ToolSet::Plain, async |c: &mut Client| {
        c.open("2025-03-26", json!({})).await;
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": all()}});
        c.line(&json!([request]).to_string()).await;
        assert_eq!(code(&c.next().await[0]), -32600, "this era has no batches");
    })
    .await;
}
