//! Calls that wait for their caller to come back, as HTTP clients see them. What makes a `requestState` bad is tested
//! beside the code; here are the status codes, other callers, and a restart of the bridge.

use serde_json::{Value, json};

use super::modern;
use crate::support::{
    actor::{Actor, Run},
    client::Client,
    program::{BINARY, Bridge},
    user::User,
};

const UNKNOWN: &str = "requestState is not one that this bridge gave to this caller for a call; start over without it";

fn words<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [&["serve"], flags, &["--", BINARY, "demo-server", "--era", "legacy"]].concat()
}

/// Has the tool `ask` ask; gives the params of the retry that answers.
async fn asked(user: &mut User) -> Value {
    let mut params = json!({"name": "ask", "arguments": {"message": "?"}});
    let answer = user.once("tools/call", params.clone()).await;
    let result = &answer.json["result"];
    assert_eq!((&result["resultType"], answer.status), (&json!("input_required"), 200), "{}", answer.text);
    let key = result["inputRequests"].as_object().unwrap().keys().next().unwrap();
    params["inputResponses"] = json!({key: {"action": "accept", "content": {"answer": "yes"}}});
    params["requestState"] = result["requestState"].clone();
    params
}

async fn refused(user: &mut User, params: Value, text: &str) {
    let answer = user.once("tools/call", params).await;
    assert_eq!((answer.error(), answer.status), ((-32602, text), 400));
}

#[tokio::test]
async fn each_bad_retry_is_refused_with_400_and_uses_nothing_up() {
    let bridge = Bridge::start(&words(&[])).await;
    let mut user = modern(&bridge);
    let good = asked(&mut user).await;
    let with = |key: &str, value: Value| {
        let mut params = good.clone();
        params[key] = value;
        params
    };
    let state = good["requestState"].as_str().unwrap();
    let tampered = format!("{}{}", &state[..state.len() - 4], if state.ends_with("AAAA") { "BBBB" } else { "AAAA" });
    let changed = "requestState belongs to a request with another method or other params; repeat them as they were";
    refused(&mut user, with("requestState", json!(tampered)), UNKNOWN).await;
    refused(&mut user, with("requestState", json!(7)), "requestState must be a string").await;
    refused(&mut user, with("arguments", json!({"message": "!"})), changed).await;
    let shape = "inputResponses must be an object whose members are objects";
    refused(&mut user, with("inputResponses", json!([])), shape).await;
    let answer = user.once("tools/call", good.clone()).await;
    assert_eq!(answer.tool_text(), "The user answered: yes");
    refused(&mut user, good, "requestState was used already; each serves for one retry").await;
    drop(user);
    bridge.stop().await;
}

#[tokio::test]
async fn a_call_is_resumed_by_its_own_principal_alone() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, "alice-and-her-long-token\nbob-and-his-long-token\n").unwrap();
    let bridge = Bridge::start(&words(&["--bearer-token-file", tokens.to_str().unwrap()])).await;
    let as_user = |token: &str| {
        let client = Client::modern(bridge.addr, "/mcp").with_header("Authorization", &format!("Bearer {token}"));
        User::modern(client)
    };
    let (mut alice, mut bob) = (as_user("alice-and-her-long-token"), as_user("bob-and-his-long-token"));
    let params = asked(&mut alice).await;
    refused(&mut bob, params.clone(), UNKNOWN).await;
    assert_eq!(alice.once("tools/call", params).await.tool_text(), "The user answered: yes");
    drop((alice, bob));
    bridge.stop().await;
}

/// With the same key the next run knows what it cannot have any more; with a key of its own it knows nothing.
#[tokio::test]
async fn after_a_restart_with_the_same_key_file_the_bridge_says_that_the_call_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    let keyed = ["--state-key-file", key.to_str().unwrap()];
    let bridge = Bridge::start(&words(&keyed)).await;
    let mut user = modern(&bridge);
    let params = asked(&mut user).await;
    drop(user);
    bridge.stop().await;
    for (flags, text) in [
        (
            &keyed[..],
            "requestState names a call that is lost: the bridge was restarted or the server was changed in its config file \
             since, or another bridge gave it; call again without it",
        ),
        (&[], UNKNOWN),
    ] {
        let bridge = Bridge::start(&words(flags)).await;
        let mut user = modern(&bridge);
        refused(&mut user, params.clone(), text).await;
        let again = asked(&mut user).await;
        assert_eq!(user.once("tools/call", again).await.tool_text(), "The user answered: yes");
        drop(user);
        bridge.stop().await;
    }
}

/// Has the server ask in this call, and its client hear of it; gives the params of the retry.
async fn ask_in(run: &mut Run, user: &mut User, id: &str, mut params: Value) -> Value {
    let elicitation = json!({"message": "?", "requestedSchema": {"type": "object", "properties": {}}});
    run.say(json!({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create", "params": elicitation})).await;
    let answer = user.client.answer(id).await;
    assert_eq!(answer.json["result"]["resultType"], "input_required", "{}", answer.text);
    params["inputResponses"] = json!({"s1": {"action": "decline"}});
    params["requestState"] = answer.json["result"]["requestState"].clone();
    params
}

/// As a reference server does it: it asks for roots while a call runs, and reports progress of that call meanwhile.
#[tokio::test]
async fn progress_of_a_call_that_waits_for_its_client_is_not_lost() {
    let (mut actor, bridge) = Actor::bridged(&["serve", "--server-era", "legacy"]).await;
    let mut user = modern(&bridge);
    let mut params = json!({"name": "x", "_meta": {"progressToken": "first"}});
    let id = user.send("tools/call", params.clone()).await;
    let mut run = actor.next().await;
    run.shake_hands().await;
    let call = run.call().await;
    let report = |step: usize| {
        let params = json!({"progressToken": call["params"]["_meta"]["progressToken"], "progress": step});
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    };
    run.say(report(1)).await;
    params = ask_in(&mut run, &mut user, &id, params).await;
    run.say(report(2)).await;
    run.say(report(3)).await;
    run.say(json!({"jsonrpc": "2.0", "id": 8, "method": "ping"})).await;
    assert_eq!(run.hear().await["id"], 8, "all was heard that came before");
    params["_meta"]["progressToken"] = json!("second");
    let id = user.send("tools/call", params).await;
    assert_eq!(run.hear().await["result"]["action"], "decline");
    run.say(report(4)).await;
    run.answer(&call, json!({"content": []})).await;
    user.client.answer(&id).await;
    for (step, token) in [(1, "first"), (2, "second"), (3, "second"), (4, "second")] {
        let progress = user.client.message("notifications/progress").await;
        assert_eq!(progress.json["params"], json!({"progressToken": token, "progress": step}));
    }
    drop((user, run));
    bridge.stop().await;
}

/// That the limit has passed is told by another call, which meets it.
#[tokio::test]
async fn the_time_that_a_client_takes_to_answer_is_not_the_servers() {
    let mut actor = Actor::start().await;
    let flags = ["serve", "--server-era", "legacy", "--request-timeout", "3s"];
    let bridge = Bridge::start(&actor.command(&flags)).await;
    let mut user = modern(&bridge);
    let params = json!({"name": "x"});
    let id = user.send("tools/call", params.clone()).await;
    let mut run = actor.next().await;
    run.shake_hands().await;
    let call = run.call().await;
    let retry = ask_in(&mut run, &mut user, &id, params).await;
    let late = user.send("tools/call", json!({"name": "late"})).await;
    let mut other = actor.next().await;
    other.shake_hands().await;
    let text = "the server did not answer within 3 s; raise --request-timeout if the call may take longer";
    assert_eq!(user.client.answer(&late).await.error(), (-32000, text));
    let id = user.send("tools/call", retry).await;
    assert_eq!(run.hear().await["result"]["action"], "decline");
    run.answer(&call, json!({"content": []})).await;
    assert_eq!(user.client.answer(&id).await.json["result"]["content"], json!([]));
    drop((user, run, other));
    bridge.stop().await;
}
