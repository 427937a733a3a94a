//! Each tool, as a legacy client sees it.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use super::*;

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
        assert!(failure(&c.call("log", json!({"level": "loud", "message": "hot"})).await).contains("loud"));
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

#[tokio::test]
async fn the_test_tools_are_hidden_from_users() {
    let plain = "echo add slow big flood log ask sample roots touch toggle pid place ping job";
    talk(ToolSet::Plain, async |c: &mut Client| {
        c.open("2025-11-25", json!({})).await;
        assert_eq!(names(&c.request("tools/list", json!({})).await).join(" "), plain);
        for tool in ["crash", "garbage", "env", "unlisten", "spawn"] {
            assert_eq!(code(&c.call(tool, json!({"name": "DEMO_X"})).await), -32602);
        }
    })
    .await;
    converse(async |c| {
        let all = names(&c.request("tools/list", json!({})).await).join(" ");
        assert_eq!(all, format!("{plain} crash garbage env unlisten spawn"));
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
