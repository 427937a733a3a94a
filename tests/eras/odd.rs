//! Servers that are not as they should be: of no era, ending at what they do not know, asking when nobody can answer,
//! answering what nobody asked for. The exact answer to each.

use serde_json::{Value, json};

use super::{knocking, modern};
use crate::support::{
    actor::{Actor, Run},
    client::{Client, initialize},
    program::Bridge,
    script::{Script, initialize_result},
    user::{LEGACY, User},
};

/// A legacy session that is open at this run, which is of the modern era.
async fn session(bridge: &Bridge, run: &mut Run) -> User {
    let mut client = knocking(bridge).await;
    run.discovered().await;
    let answer = client.answer("0").await;
    assert_eq!(answer.json["result"]["protocolVersion"], LEGACY, "{}", answer.text);
    User::in_session(client)
}

const UNKNOWN: &str = "no such method";

#[tokio::test]
async fn a_server_of_neither_era_is_quoted_to_a_legacy_client_and_named_to_a_modern_one() {
    let (mut actor, bridge) = Actor::bridged(&["serve"]).await;
    let mut client = knocking(&bridge).await;
    let mut first = actor.next().await;
    let asked = first.expect("initialize").await;
    first.fail(&asked, -32601, UNKNOWN).await;
    let mut second = actor.next().await;
    let asked = second.expect("server/discover").await;
    second.fail(&asked, -32601, UNKNOWN).await;
    assert_eq!(client.answer("0").await.error(), (-32601, UNKNOWN));
    second.ended().await;

    let mut user = modern(&bridge);
    for _ in 0..2 {
        let id = user.send("tools/list", json!({})).await;
        let mut run = actor.next().await;
        let mut asked = run.hear().await;
        if asked["method"] == "server/discover" {
            run.fail(&asked, -32601, UNKNOWN).await;
            run = actor.next().await;
            asked = run.hear().await;
        }
        assert_eq!(asked["method"], "initialize");
        run.fail(&asked, -32601, UNKNOWN).await;
        let answer = user.client.answer(&id).await;
        let text = "the server cannot be initialized: no such method";
        assert_eq!((answer.error(), answer.status), ((-32603, text), 200));
    }
    drop((client, user));
    bridge.stop().await;
}

/// A legacy server that ends at `server/discover`, a modern one that ends at `initialize`: neither counts as a crash, and
/// the client waits for the second start alone.
#[tokio::test]
async fn a_server_that_ends_at_the_first_request_that_it_does_not_know_is_asked_in_the_other_era() {
    let (mut actor, bridge) = Actor::bridged(&["serve"]).await;
    let mut user = modern(&bridge);
    let id = user.send("tools/call", json!({"name": "x"})).await;
    actor.next().await.expect("server/discover").await;
    let mut run = actor.next().await;
    run.shake_hands().await;
    let call = run.call().await;
    run.answer(&call, json!({"content": []})).await;
    assert_eq!(user.client.answer(&id).await.json["result"]["resultType"], "complete");
    assert_eq!(bridge.get("/readyz").await.status(), 200);
    drop((user, run));
    bridge.stop().await;

    let bridge = Bridge::start(&actor.command(&["serve"])).await;
    let mut client = knocking(&bridge).await;
    actor.next().await.expect("initialize").await;
    let mut run = actor.next().await;
    run.discovered().await; // Which era it is, and what it offers.
    assert_eq!(client.answer("0").await.json["result"]["serverInfo"]["name"], "unnamed server");
    assert_eq!(bridge.get("/readyz").await.status(), 200);
    drop((client, run));
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_that_ends_at_both_is_told_of_to_both() {
    let (mut actor, bridge) = Actor::bridged(&["serve"]).await;
    let mut client = knocking(&bridge).await;
    actor.next().await.expect("initialize").await;
    actor.next().await.expect("server/discover").await;
    let answer = client.answer("0").await;
    assert_eq!(answer.error(), (-32603, "the server bash exited with code 0"), "{}", answer.text);
    assert_eq!(answer.json["error"]["data"]["exitCode"], 0);
    let mut user = modern(&bridge);
    let id = user.send("tools/list", json!({})).await;
    actor.next().await.expect("initialize").await;
    let answer = user.client.answer(&id).await;
    let text = "the server cannot be initialized: the server bash exited with code 0";
    assert_eq!(answer.error(), (-32603, text));
    drop((client, user));
    bridge.stop().await;
}

/// To a client in a session 404 means that this has ended, and 400 that it never was (2025-11-25, Transports, Session
/// Management).
#[tokio::test]
async fn no_status_of_a_modern_url_looks_like_the_end_of_a_session() {
    let mut script = Script::start().await;
    let url = script.url("/mcp");
    let bridge = Bridge::start(&["serve", "--retries", "0", "--server-era", "modern", &url]).await;
    let mut client = knocking(&bridge).await;
    let found = json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"prompts": {}}});
    script.post("server/discover").await.result(found).await;
    assert_eq!(client.answer("0").await.json["result"]["capabilities"], json!({"prompts": {}}));
    let mut old = User::in_session(client);
    for status in [404, 400] {
        let id = old.send("prompts/get", json!({"name": "x"})).await;
        script.post("prompts/get").await.reply(status, &[], "").await;
        let answer = old.client.answer(&id).await;
        assert_eq!((answer.error().0, answer.status), (-32603, 200), "{}", answer.text);
        assert_eq!(answer.json["error"]["data"], json!({"status": status}));
    }
    for (status, code) in [(404, -32601), (400, -32602), (400, -32021)] {
        let id = old.send("prompts/get", json!({"name": "x"})).await;
        let asked = script.post("prompts/get").await;
        let error = json!({"jsonrpc": "2.0", "id": asked.json()["id"], "error": {"code": code, "message": "so it is"}});
        asked.reply(status, &[], &error.to_string()).await;
        let answer = old.client.answer(&id).await;
        assert_eq!((answer.error(), answer.status), ((code, "so it is"), 200));
    }
    let id = old.send("prompts/get", json!({"name": "x"})).await;
    script.post("prompts/get").await.result(json!({"resultType": "complete", "messages": []})).await;
    assert_eq!(old.client.answer(&id).await.json["result"], json!({"messages": []}), "the session goes on");
    drop(old);
    bridge.stop().await;
}

/// As the reference server does it: roots are asked for as soon as the client is initialized, for no call.
#[tokio::test]
async fn what_a_legacy_server_asks_outside_of_any_call_the_bridge_answers() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    for flags in [vec!["serve"], vec!["serve", "--root", root]] {
        let (mut actor, bridge) = Actor::bridged(&flags).await;
        let mut user = modern(&bridge);
        let id = user.send("tools/call", json!({"name": "x"})).await;
        actor.next().await.expect("server/discover").await; // It is of the legacy era.
        let mut run = actor.next().await;
        let asked = run.expect("initialize").await;
        let declared = &asked["params"]["capabilities"];
        assert_eq!(*declared, json!({"sampling": {}, "elicitation": {}, "roots": {}}));
        run.answer(&asked, initialize_result("2025-11-25")).await;
        run.expect("notifications/initialized").await;
        run.say(json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"})).await;
        run.say(json!({"jsonrpc": "2.0", "id": 2, "method": "sampling/createMessage", "params": {}})).await;
        let (mut answers, mut ping) = (Vec::new(), None);
        while answers.len() < 2 || ping.is_none() {
            match run.hear().await {
                asked if asked["method"] == "ping" => ping = Some(asked),
                answer => answers.push(answer),
            }
        }
        if flags.len() > 1 {
            assert_eq!(answers[0]["result"], json!({"roots": [{"uri": format!("file://{root}")}]}));
        } else {
            let text = "nobody can be asked outside of a call; start the bridge with --root to have it answer";
            assert_eq!(answers[0]["error"], json!({"code": -32601, "message": text}));
        }
        let text = "nobody can be asked: sampling/createMessage came outside of a call whose client can answer it; ask during one";
        assert_eq!(answers[1]["error"], json!({"code": -32601, "message": text}));
        // The call goes on, and its client hears nothing of all that.
        run.answer(&ping.unwrap(), json!({})).await;
        let call = run.call().await;
        run.answer(&call, json!({"content": []})).await;
        assert_eq!(user.client.answer(&id).await.json["result"]["content"], json!([]));
        assert!(user.client.finish().await.is_empty());
        bridge.stop().await;
    }
}

/// With `--root`, also for a client that has no roots: the server is told that there are some.
#[tokio::test]
async fn roots_of_the_bridge_are_declared_for_clients_that_have_none() {
    let (mut actor, bridge) = Actor::bridged(&["serve", "--root", "file:///srv"]).await;
    let mut user = modern(&bridge);
    user.capabilities = json!({});
    let id = user.send("tools/call", json!({"name": "x"})).await;
    actor.next().await.expect("server/discover").await;
    let mut run = actor.next().await;
    let asked = run.shake_hands().await;
    assert_eq!(asked["params"]["capabilities"], json!({"roots": {}}));
    let call = run.call().await;
    run.say(json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"})).await;
    assert_eq!(run.hear().await["result"], json!({"roots": [{"uri": "file:///srv"}]}));
    run.answer(&call, json!({"content": []})).await;
    user.client.answer(&id).await;
    drop((user, run));
    bridge.stop().await;
}

#[tokio::test]
async fn a_modern_server_that_sends_a_request_is_told_that_none_may() {
    let (mut actor, bridge) = Actor::bridged(&["serve", "--server-era", "modern", "--shared"]).await;
    let mut user = modern(&bridge);
    let id = user.send("tools/call", json!({"name": "x"})).await;
    let mut run = actor.next().await;
    let call = run.call().await;
    for method in ["roots/list", "elicitation/create", "ping"] {
        run.say(json!({"jsonrpc": "2.0", "id": 1, "method": method})).await;
        let text = "a server of revision 2026-07-28 asks by an input_required result, not by a request";
        assert_eq!(run.hear().await["error"], json!({"code": -32601, "message": text}), "{method}");
    }
    run.answer(&call, json!({"resultType": "complete", "content": []})).await;
    let answer = user.client.answer(&id).await;
    assert_eq!(answer.json["result"], json!({"resultType": "complete", "content": []}));
    drop((user, run));
    bridge.stop().await;
}

/// What the modern era may say some day passes to clients of that era; a legacy one cannot be told.
#[tokio::test]
async fn a_result_of_an_unknown_type() {
    let (mut actor, bridge) = Actor::bridged(&["serve", "--server-era", "modern", "--shared"]).await;
    let mut user = modern(&bridge);
    let id = user.send("tools/call", json!({"name": "x"})).await;
    let mut run = actor.next().await;
    let call = run.call().await;
    let odd = json!({"resultType": "dance", "steps": 3});
    run.answer(&call, odd.clone()).await;
    assert_eq!(user.client.answer(&id).await.json["result"], odd);
    let mut old = session(&bridge, &mut run).await;
    for (result, text) in [
        (odd, r#"the server answered tools/call with a result of type "dance", which this client did not ask for"#),
        (json!({"resultType": 7}), "the server answered tools/call with a resultType that is no string"),
        (json!([]), "the server answered tools/call with what is no object"),
        (
            json!({"resultType": "input_required"}),
            "the server asked for input during tools/call, but named neither an input nor a state to come back with",
        ),
    ] {
        let id = old.send("tools/call", json!({"name": "x"})).await;
        let call = run.call().await;
        run.answer(&call, result).await;
        assert_eq!(old.client.answer(&id).await.error(), (-32603, text));
    }
    drop((user, old, run));
    bridge.stop().await;
}

/// A legacy server cannot mean what the word means now.
#[tokio::test]
async fn a_legacy_server_that_speaks_of_result_types_is_not_believed() {
    let (mut actor, bridge) = Actor::bridged(&["serve", "--server-era", "legacy"]).await;
    let mut user = modern(&bridge);
    user.capabilities = json!({});
    let id = user.send("tools/call", json!({"name": "x"})).await;
    let mut run = actor.next().await;
    run.shake_hands().await;
    let call = run.call().await;
    run.answer(&call, json!({"resultType": "input_required", "content": []})).await;
    let answer = user.client.answer(&id).await;
    assert_eq!((&answer.json["result"]["resultType"], answer.status), (&json!("complete"), 200));
    let id = user.send("tools/call", json!({"name": "x"})).await;
    let call = run.call().await;
    run.answer(&call, Value::Null).await;
    let answer = user.client.answer(&id).await;
    let text = "the server's answer to tools/call cannot be passed on: its result is no object";
    assert_eq!(answer.error(), (-32603, text));
    drop((user, run));
    bridge.stop().await;
}

/// In both eras a client is told what its tool lacks: by a result that says so, or by the error that has the words for it.
#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_what_it_lacks() {
    for (era, code) in [("legacy", None), ("modern", Some(-32021))] {
        let bridge =
            Bridge::start(&["serve", "--", crate::support::program::BINARY, "demo-server", "--era", era]).await;
        let mut user = modern(&bridge);
        user.capabilities = json!({});
        let mut bare = Client::http(bridge.addr, "/mcp");
        bare.send(&initialize("0", LEGACY).replace(r#""sampling":{},"#, "")).await;
        bare.answer("0").await;
        let mut bare = User::in_session(bare);
        for (user, status) in [(&mut user, 400), (&mut bare, 200)] {
            let answer = user.call("sample", json!({"prompt": "?"})).await;
            match code {
                None => assert_eq!(answer.json["result"]["isError"], true, "{}", answer.text),
                Some(code) => {
                    assert_eq!((answer.error().0, answer.status), (code, status), "{}", answer.text);
                    assert_eq!(answer.json["error"]["data"], json!({"requiredCapabilities": {"sampling": {}}}));
                }
            }
        }
        drop((user, bare));
        bridge.stop().await;
    }
}
