//! Several servers as one, and servers with only some of their tools: the real binary, over every wire that is served.

use std::{collections::HashSet, io::Write as _};

use serde_json::{Value, json};

use crate::support::{
    client::{Client, initialize},
    program::{BINARY, Bridge, Program},
    soon,
    user::User,
};

fn file(text: &str, ending: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Two demo servers, of which one may not be asked everything, and one that is not there.
fn servers() -> tempfile::NamedTempFile {
    let demo = |tools: Value| json!({"command": BINARY, "args": ["demo-server"], "tools": tools});
    let all = json!({"one": demo(json!({})), "absent": {"command": "/no/such/program"}, "two.b": demo(json!({"deny": ["add", "t*"]}))});
    file(&json!({"mcpServers": all}).to_string(), ".json")
}

async fn aggregate() -> (Bridge, tempfile::NamedTempFile) {
    let file = servers();
    (Bridge::start(&["serve", "--aggregate", "--config", file.path().to_str().unwrap()]).await, file)
}

async fn tools(user: &mut User) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut cursor = None;
    loop {
        let params = cursor.map_or(json!({}), |cursor: Value| json!({"cursor": cursor}));
        let page = user.ask("tools/list", params).await.json["result"].clone();
        names.extend(page["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
        match &page["nextCursor"] {
            Value::Null => return names,
            next => cursor = Some(next.clone()),
        }
    }
}

/// A user of each wire and each era.
async fn users(bridge: &Bridge) -> Vec<(&'static str, User)> {
    vec![
        ("http", User::legacy(Client::http(bridge.addr, "/mcp")).await),
        ("sse", User::legacy(Client::sse(bridge.addr, "/sse").await).await),
        ("ws", User::legacy(Client::ws(bridge.addr, "/ws").await).await),
        ("modern", User::modern(Client::modern(bridge.addr, "/mcp"))),
        ("modern ws", User::modern(Client::ws(bridge.addr, "/ws").await)),
    ]
}

#[tokio::test]
async fn all_servers_are_one_over_every_wire_and_in_both_eras() {
    let (bridge, _file) = aggregate().await;
    for (wire, mut user) in users(&bridge).await {
        let names = tools(&mut user).await;
        for (name, there) in [
            ("one_echo", true),
            ("two-b_echo", true),
            ("one_touch", true),
            ("two-b_touch", false),
            ("two-b_add", false),
        ] {
            assert_eq!(names.contains(name), there, "{wire}: {name} in {names:?}");
        }
        assert!(names.iter().all(|name| name.starts_with("one_") || name.starts_with("two-b_")), "{wire}: {names:?}");
        assert_eq!(user.call("one_echo", json!({"message": wire})).await.tool_text(), wire);
        assert_eq!(user.call("two-b_echo", json!({"message": wire})).await.tool_text(), wire);
        let pids = [user.call("one_pid", json!({})).await, user.call("two-b_pid", json!({})).await];
        assert_ne!(pids[0].tool_text(), pids[1].tool_text(), "{wire}");
        for refused in ["two-b_touch", "echo", "absent_echo"] {
            let answer = user.call(refused, json!({})).await;
            let code = if refused == "absent_echo" { -32603 } else { -32602 };
            assert_eq!(answer.error().0, code, "{wire}: {}", answer.text);
        }
        // A question of the server's comes to the caller, and its answer to the server.
        let asked = user.call("two-b_ask", json!({"message": "who?"})).await;
        assert!(asked.json["result"]["isError"] != true && !user.asked.is_empty(), "{wire}: {}", asked.text);
        let read = user.ask("resources/read", json!({"uri": "demo://item/7"})).await;
        assert_eq!(read.json["result"]["contents"][0]["text"], "This is item 7.", "{wire}: {}", read.text);
        let prompt = user.ask("prompts/get", json!({"name": "one_greet", "arguments": {"name": "Ada"}})).await;
        assert!(prompt.text.contains("Please greet Ada"), "{wire}: {}", prompt.text);
        let of = json!({"type": "ref/prompt", "name": "two-b_greet"});
        let completed =
            user.ask("completion/complete", json!({"ref": of, "argument": {"name": "name", "value": "Ad"}})).await;
        assert_eq!(completed.json["result"]["completion"]["values"], json!(["Ada"]), "{wire}: {}", completed.text);
    }
    let ready = bridge.get("/readyz").await;
    assert_eq!(ready.status(), 200);
    assert!(ready.body.contains("default: ok\nabsent: cannot start"), "{}", ready.body);
    // Each is there alone, too, with the tools that it offers.
    let mut alone = User::modern(Client::modern(bridge.addr, "/servers/two.b/mcp"));
    let names = tools(&mut alone).await;
    assert!(names.contains("echo") && !names.contains("touch"), "{names:?}");
    let log = bridge.stop().await;
    assert!(log.contains("absent") && log.contains("/no/such/program"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_that_is_killed_leaves_the_others_and_is_there_again_when_it_is_wanted() {
    let (bridge, _file) = aggregate().await;
    for (wire, mut user) in users(&bridge).await {
        let before = user.call("one_pid", json!({})).await.tool_text().to_owned();
        let pid = rustix::process::Pid::from_raw(before.parse().unwrap()).unwrap();
        let other = user.call("two-b_pid", json!({})).await.tool_text().to_owned();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        soon("the server to be there again", async {
            loop {
                let answer = user.call("one_pid", json!({})).await;
                if answer.json["result"].is_object() && answer.tool_text() != before {
                    return;
                }
            }
        })
        .await;
        assert_eq!(user.call("two-b_pid", json!({})).await.tool_text(), other, "{wire}: the other one was left alone");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn prefixes_are_chosen_and_a_server_named_default_is_in_the_way() {
    let demo = format!("command = {BINARY:?}\nargs = [\"demo-server\"]\n");
    let own = file(&format!("[aggregate]\nprefix = \"x-{{name}}.\"\n[servers.one]\n{demo}"), ".toml");
    let bridge = Bridge::start(&["serve", "--config", own.path().to_str().unwrap()]).await;
    let mut user = User::legacy(Client::http(bridge.addr, "/mcp")).await;
    assert_eq!(user.call("x-one.echo", json!({"message": "a"})).await.tool_text(), "a");
    bridge.stop().await;

    let default = file(&format!("[servers.default]\n{demo}"), ".toml");
    let path = default.path().to_str().unwrap();
    let wrong = file("aggregate = 7\n[servers.one]\ncommand = \"x\"\n", ".toml");
    for (words, part) in [
        (vec!["serve", "--aggregate", "--config", path], "the server \"default\" is at the root"),
        (vec!["serve", "--aggregate", "--demo"], "--aggregate needs --config"),
        (vec!["serve", "--aggregate-prefix", "{name}.", "--config", path], "--aggregate-prefix needs --aggregate"),
        (vec!["serve", "--aggregate", "--aggregate-prefix", "x", "--config", path], "makes no prefix"),
        (vec!["serve", "--allow-tool", "x", "--config", path], "tools.allow"),
        (vec!["serve", "--config", wrong.path().to_str().unwrap()], "\"aggregate\" has to be"),
    ] {
        let mut program = Program::start(&words);
        let code = program.code().await;
        let said = program.stderr.whole().await;
        assert!(code == 64 && said.contains(part), "{words:?}: {code} {said}");
    }
}

#[tokio::test]
async fn only_tools_that_are_allowed_are_listed_and_called_over_every_wire_and_in_both_eras() {
    let only = ["--allow-tool", "echo,a*", "--deny-tool", "ask"];
    let bridge = Bridge::demo(&[&["serve"], &only[..]].concat()).await;
    let mut all = users(&bridge).await;
    for era in ["--server-era=legacy", "--server-era=modern"] {
        let words = [&["connect", era], &only[..], &["--demo"]].concat();
        all.push((era, User::legacy(Client::stdio(&words)).await));
        all.push((era, User::modern(Client::stdio(&words))));
    }
    let shared = Bridge::demo(&[&["serve", "--shared"], &only[..]].concat()).await;
    all.extend(users(&shared).await);
    for (wire, mut user) in all {
        assert_eq!(tools(&mut user).await, ["echo", "add"].map(str::to_owned).into(), "{wire}");
        assert_eq!(user.call("echo", json!({"message": wire})).await.tool_text(), wire);
        for tool in ["ask", "touch"] {
            let refused = user.ask("tools/call", json!({"name": tool, "arguments": {}, "task": {}})).await;
            assert_eq!(refused.error(), (-32602, &*format!("Unknown tool: {tool}")), "{wire}");
        }
        let read = user.ask("resources/read", json!({"uri": "demo://counter"})).await;
        assert!(read.text.contains("\"0\""), "nothing was touched: {}", read.text);
    }
    bridge.stop().await;
    shared.stop().await;

    let stateless = Bridge::demo(&[&["serve", "--stateless"], &only[..]].concat()).await;
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"touch"}}"#;
    assert_eq!(stateless.post(&initialize("1", "2025-06-18")).await.status(), 200);
    assert!(stateless.post(call).await.body.contains("Unknown tool: touch"));
    assert!(stateless.post(&call.replace("touch", "echo")).await.body.contains("message"));
    stateless.stop().await;
}
