//! What a client needs of a server, as one run of calls; each pairing has to serve all of it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use super::place::Place;
use crate::support::{
    client::{Message, On},
    eventually,
    user::{Era, User},
};

/// Who talks with whom.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub client: Era,
    /// The era that the server is spoken to in.
    pub server: Era,
    /// Whether the server can ask the client, and the client subscribe.
    pub session: bool,
    /// Whether the client is on HTTP.
    pub http: bool,
}

impl Pair {
    pub fn at(place: &Place, user: &User) -> Pair {
        let session = user.era == Era::Modern || !place.stateless;
        Pair { client: user.era, server: place.offer.spoken(user.era), session, http: user.client.is_http() }
    }
}

/// The whole run. Ends the user.
pub async fn run(mut user: User, place: &Place) {
    let pair = Pair::at(place, &user);
    eprintln!("{pair:?}");
    lists(&mut user).await;
    calls(&mut user).await;
    progress(&mut user, pair).await;
    errors(&mut user, pair).await;
    if pair.session {
        logs(&mut user).await;
        questions(&mut user, pair).await;
    } else {
        let asked = user.call("ask", json!({"message": "?"})).await;
        let refused = asked.json["result"]["isError"] == true || asked.json["error"]["code"] == -32021;
        assert!(refused, "{}", asked.text);
    }
    if pair.session {
        cancellation(&mut user, place).await;
        match pair.client {
            Era::Legacy => subscriptions(&mut user).await,
            Era::Modern => listens(&mut user).await,
        }
    }
    let rest = user.client.finish().await;
    // Somebody else may have caused them.
    let expected = |message: &Message| {
        // A POST of the legacy era has to be answered, though its client does not wait for that.
        let code = pair.http && message.json["error"]["code"] == -32800;
        code || message.json["params"]["data"] == "a line of error"
            || message.method().ends_with("list_changed")
            || message.method() == "notifications/resources/updated"
    };
    let rest: Vec<_> = rest.iter().filter(|message| !expected(message)).collect();
    assert!(rest.is_empty(), "{pair:?} heard more: {rest:?}");
}

async fn lists(user: &mut User) {
    let tools = user.ask("tools/list", json!({})).await;
    let tools = tools.json["result"]["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "echo"));
    if user.era == Era::Modern {
        assert!(tools.iter().all(|tool| tool.get("execution").is_none()), "tasks are hidden");
    } else {
        let annotated = |tool: &Value| tool.to_string().contains("x-mcp-header");
        assert!(!tools.iter().any(annotated) || tools.iter().any(|tool| tool["name"] == "place"));
    }
    let (mut cursor, mut found) = (json!({}), 0);
    loop {
        let page = user.ask("resources/list", cursor).await;
        found += page.json["result"]["resources"].as_array().unwrap().len();
        match &page.json["result"]["nextCursor"] {
            Value::Null => break,
            next => cursor = json!({"cursor": next}),
        }
    }
    assert_eq!(found, 27);
    let item = user.ask("resources/read", json!({"uri": "demo://item/7"})).await;
    assert_eq!(item.json["result"]["contents"][0]["text"], "This is item 7.");
    let templates = user.ask("resources/templates/list", json!({})).await;
    assert_eq!(templates.json["result"]["resourceTemplates"][0]["uriTemplate"], "demo://item/{n}");
    let prompts = user.ask("prompts/list", json!({})).await;
    assert_eq!(prompts.json["result"]["prompts"][0]["name"], "greet");
    let prompt = user.ask("prompts/get", json!({"name": "greet", "arguments": {"name": "Ada"}})).await;
    let said = prompt.json["result"]["messages"][0]["content"]["text"].as_str().unwrap();
    assert_eq!(said, "Please greet Ada in one friendly sentence.");
    let argument = json!({"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "name", "value": "a"}});
    let names = user.ask("completion/complete", argument).await;
    assert_eq!(names.json["result"]["completion"]["values"], json!(["Ada", "Alan"]));
}

async fn calls(user: &mut User) {
    let sum = user.call("add", json!({"a": 2, "b": 3})).await;
    assert_eq!(sum.json["result"]["structuredContent"], json!({"sum": 5}));
    let failed = user.call("add", json!({"a": 2})).await;
    assert_eq!(failed.json["result"]["isError"], true, "{}", failed.text);
    let big = "grüße ".repeat((1 << 20) / 8);
    assert_eq!(user.call("echo", json!({"message": big})).await.tool_text(), big);
}

/// Under the client's own token, in order, on the stream of the call.
async fn progress(user: &mut User, pair: Pair) {
    for token in [json!("a token"), json!(7)] {
        let params =
            json!({"name": "slow", "arguments": {"steps": 3, "step_ms": 1}, "_meta": {"progressToken": token}});
        let answer = user.ask("tools/call", params).await;
        assert_eq!(answer.tool_text(), "Did 3 steps.");
        for step in 1..=3 {
            let progress = user.client.message("notifications/progress").await;
            assert_eq!(progress.json["params"]["progress"], step);
            assert_eq!(progress.json["params"]["progressToken"], token);
            let on = if pair.http { On::Call(answer.json["id"].to_string()) } else { On::Pipe };
            assert!(progress.on == on || progress.on == On::Pipe, "{progress:?}");
        }
    }
}

async fn errors(user: &mut User, pair: Pair) {
    let status = |modern| if pair.http && pair.client == Era::Modern { modern } else { 200 };
    let missing = user.ask("resources/read", json!({"uri": "demo://none"})).await;
    let code = if (pair.client, pair.server) == (Era::Legacy, Era::Legacy) { -32002 } else { -32602 };
    assert_eq!(missing.error(), (code, "there is no such resource"));
    assert_eq!(missing.json["error"]["data"], json!({"uri": "demo://none"}));
    let unknown = user.call("nonsense", json!({})).await;
    assert_eq!(unknown.error(), (-32602, r#"there is no tool "nonsense"; see tools/list"#));
    assert_eq!(unknown.status, status(400));
    let nonsense = user.ask("demo/nonsense", json!({})).await;
    assert_eq!(nonsense.error(), (-32601, "this server has no method demo/nonsense"));
    assert_eq!(nonsense.status, status(404));
}

/// Lines of the level that was asked for, and none below it.
async fn logs(user: &mut User) {
    match user.era {
        Era::Modern => user.level = Some("warning"),
        Era::Legacy => {
            let set = user.ask("logging/setLevel", json!({"level": "warning"})).await;
            assert_eq!(set.json["result"], json!({}), "{}", set.text);
        }
    }
    // Of a line that a server on a pipe says while others want lines too, nobody can tell whose it is; it is left out.
    let line = loop {
        for level in ["info", "error"] {
            user.call("log", json!({"level": level, "message": format!("a line of {level}")})).await;
        }
        // On the stream of its call it comes before the answer; on one of its own it may come after it.
        let line = match user.era {
            Era::Modern => user.client.kept("notifications/message"),
            Era::Legacy => {
                let line = user.client.message("notifications/message");
                tokio::time::timeout(Duration::from_millis(300), line).await.ok()
            }
        };
        if let Some(line) = line {
            break line;
        }
    };
    let params = &line.json["params"];
    assert_eq!((&params["level"], &params["data"]), (&json!("error"), &json!("a line of error")));
    user.level = None;
}

async fn questions(user: &mut User, pair: Pair) {
    for (tool, arguments, text) in [
        ("ask", json!({"message": "?"}), "The user answered: forty-two"),
        ("sample", json!({"prompt": "2+2"}), "The model said: four"),
        ("roots", json!({}), "file:///home"),
    ] {
        let answer = user.call(tool, arguments).await;
        assert_eq!(answer.tool_text(), text, "{pair:?}");
    }
    let asked = std::mem::take(&mut user.asked);
    assert_eq!(asked, ["elicitation/create", "sampling/createMessage", "roots/list"]);
}

/// The server is told, under the id that it knows.
async fn cancellation(user: &mut User, place: &Place) {
    static NEXT: AtomicU64 = AtomicU64::new(600_000);
    let millis = NEXT.fetch_add(1, Ordering::Relaxed);
    let slow = json!({"name": "slow", "arguments": {"steps": 1, "step_ms": millis}});
    let id = user.send("tools/call", slow).await;
    let told = || {
        let heard = place.heard();
        let at = heard.iter().position(|line| line.contains(&millis.to_string()))?;
        let call: Value = serde_json::from_str(&heard[at]).unwrap();
        Some((call["id"].clone(), heard[at..].to_vec()))
    };
    let (known, _) = eventually("the call at the server", told).await;
    user.cancel(&id).await;
    eventually("the cancellation at the server", || {
        let cancelled = |line: &String| {
            let message: Value = serde_json::from_str(line).unwrap_or_default();
            message["method"] == "notifications/cancelled" && message["params"]["requestId"] == known
        };
        told()?.1.iter().any(cancelled).then_some(())
    })
    .await;
}

async fn subscriptions(user: &mut User) {
    let counter = json!({"uri": "demo://counter"});
    let done = user.ask("resources/subscribe", counter.clone()).await;
    assert_eq!(done.json["result"], json!({}), "{}", done.text);
    user.call("touch", json!({})).await;
    let updated = user.client.message("notifications/resources/updated").await;
    assert_eq!(updated.json["params"]["uri"], "demo://counter");
    let meta = &updated.json["params"]["_meta"];
    assert!(meta.get("io.modelcontextprotocol/subscriptionId").is_none(), "{}", updated.text);
    let done = user.ask("resources/unsubscribe", counter).await;
    assert_eq!(done.json["result"], json!({}), "{}", done.text);
    user.call("toggle", json!({})).await;
    user.client.message("notifications/tools/list_changed").await;
}

async fn listens(user: &mut User) {
    // Nothing that it may be asked: then its calls and its subscriptions are with one server.
    let capabilities = std::mem::replace(&mut user.capabilities, json!({}));
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": ["demo://counter"]});
    let (id, granted) = user.listen(wanted.clone()).await;
    assert_eq!(granted, wanted);
    user.call("touch", json!({})).await;
    let updated = user.heard(&id).await;
    assert_eq!(updated.method(), "notifications/resources/updated");
    assert_eq!(updated.json["params"]["uri"], "demo://counter");
    user.call("toggle", json!({})).await;
    user.client
        .wait_for("a change of the tools", |message| message.method() == "notifications/tools/list_changed")
        .await;
    user.cancel(&id).await;
    user.capabilities = capabilities;
}
