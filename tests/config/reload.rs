//! The file changes while its servers are used.

use std::{fs, os::unix::fs::symlink};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Place, client, demo, mcp_servers, other_demo};
use crate::support::{
    client::{Client, tool},
    program::{BINARY, Bridge},
    user::User,
};

/// Waits until a path leads somewhere, or nowhere.
async fn until(bridge: &Bridge, path: &str, there: bool) {
    let has_come = async || ((bridge.get(path).await.status() != 404) == there).then_some(());
    crate::support::at_last(&format!("{path} to be {there}"), has_come).await;
}

fn with(more: Value) -> String {
    let mut servers = json!({"kept": demo()});
    servers.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    mcp_servers(servers)
}

#[tokio::test]
async fn a_rename_over_the_file_exchanges_what_differs_and_keeps_the_rest() {
    let place = Place::new("mcp.json", &with(json!({"changed": demo(), "gone": demo()})));
    let bridge = place.serve().await;
    let mut kept = client(&bridge, "/servers/kept/mcp").await;
    let changed = client(&bridge, "/servers/changed/mcp").await;
    client(&bridge, "/servers/gone/mcp").await;
    let before = bridge.program.servers().len();
    assert_eq!(before, 3);
    place.save(&with(json!({"changed": other_demo(), "new": demo()})));
    until(&bridge, "/servers/new/mcp", true).await;
    assert_eq!(bridge.get("/servers/gone/mcp").await.status(), 404);
    kept.check("still here").await;
    // The session went with the server that it was with.
    assert_eq!(changed.post(&tool("9", "echo", json!({"text": "x"}))).await.status(), 404);
    client(&bridge, "/servers/changed/mcp").await;
    client(&bridge, "/servers/new/mcp").await;
    let left = || (bridge.program.servers().len() == 3).then_some(());
    crate::support::eventually("the end of two servers", left).await;
    let log = bridge.stop().await;
    for line in ["server \"changed\" changed", "server \"new\" added", "server \"gone\" removed", "is read again"] {
        assert_eq!(log.matches(line).count(), 1, "{line}: {log}");
    }
    assert!(!log.contains("server \"kept\""), "{log}");
}

/// Opened as a file is, it would be waited for without end, and nothing else be done.
#[tokio::test]
async fn a_file_that_becomes_a_pipe_without_a_writer_changes_nothing() {
    let place = Place::new("mcp.json", &with(json!({})));
    let bridge = place.serve().await;
    let mut kept = client(&bridge, "/servers/kept/mcp").await;
    let pipe = std::path::Path::new(place.path()).with_extension("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(&pipe, place.path()).unwrap();
    bridge.program.signal(Signal::HUP);
    bridge.program.stderr.has("the servers stay as they were").await;
    kept.check("still here").await;
    assert_eq!(bridge.get("/healthz").await.status(), 200);
    bridge.stop().await;
}

#[tokio::test]
async fn a_call_in_flight_is_answered_by_the_server_that_leaves() {
    let place = Place::new("mcp.json", &with(json!({"gone": demo()})));
    let bridge = place.serve().await;
    let mut gone = client(&bridge, "/servers/gone/mcp").await;
    let mut sse = Client::sse(bridge.addr, "/servers/gone/sse").await;
    sse.initialize("2025-06-18").await;
    for client in [&mut gone, &mut sse] {
        client.send(&tool("77", "slow", json!({"steps": 1, "step_ms": 2500}))).await;
    }
    sse.check("in flight").await;
    place.save(&with(json!({})));
    until(&bridge, "/servers/gone/mcp", false).await;
    for client in [&mut gone, &mut sse] {
        let answer = client.answer("77").await;
        assert!(answer.json.get("result").is_some(), "{}", answer.text);
    }
    crate::support::eventually("its end", || bridge.program.servers().is_empty().then_some(())).await;
    bridge.stop().await;
}

/// The question is the departing server's, and the client's answer has to find it, on whichever wire it comes.
#[tokio::test]
async fn a_clients_answer_reaches_the_server_that_asked_though_it_is_offered_no_more() {
    for then in [json!({"new": demo()}), json!({"new": demo(), "gone": other_demo()})] {
        let place = Place::new("mcp.json", &with(json!({"gone": demo()})));
        let bridge = place.serve().await;
        let http = client(&bridge, "/servers/gone/mcp").await;
        let mut clients = [
            http,
            Client::sse(bridge.addr, "/servers/gone/sse").await,
            Client::ws(bridge.addr, "/servers/gone/ws").await,
        ];
        let mut asked = Vec::new();
        for client in &mut clients {
            if !client.is_http() {
                client.initialize("2025-06-18").await;
            }
            client.send(&tool("77", "ask", json!({"message": "which?"}))).await;
            asked.push(client.message("elicitation/create").await);
        }
        place.save(&with(then));
        until(&bridge, "/servers/new/mcp", true).await;
        for (client, asked) in clients.iter_mut().zip(&asked) {
            if client.is_http() {
                // To be opened anew: its next session is with what is there now.
                assert_eq!(client.post(&tool("78", "echo", json!({"message": "x"}))).await.status(), 404);
            } else {
                let refused = client.call("echo", json!({"message": "x"})).await;
                assert!(refused.error().1.starts_with("this server was changed or removed"), "{}", refused.text);
            }
            client.reply(asked, json!({"action": "accept", "content": {"answer": "this"}})).await;
            assert_eq!(client.answer("77").await.tool_text(), "The user answered: this");
        }
        let left = || (bridge.program.servers().is_empty()).then_some(());
        crate::support::eventually("the end of the server that left", left).await;
        let log = bridge.stop().await;
        assert!(!log.contains("still in flight"), "{log}");
    }
}

/// A client of 2026-07-28 holds nothing but a handle, and what it names ends with the server that asked.
#[tokio::test]
async fn a_call_that_waits_for_its_client_at_a_server_that_leaves_is_lost_and_says_so() {
    let older =
        |name: &str| json!({"command": BINARY, "args": ["demo-server", "--era", "legacy"], "env": {"NAME": name}});
    let place = Place::new("mcp.json", &with(json!({"changed": older("a")})));
    let bridge = place.serve().await;
    let mut user = User::modern(Client::modern(bridge.addr, "/servers/changed/mcp"));
    let mut params = json!({"name": "ask", "arguments": {"message": "?"}});
    let asked = user.once("tools/call", params.clone()).await;
    let result = &asked.json["result"];
    assert_eq!(result["resultType"], "input_required", "{}", asked.text);
    let key = result["inputRequests"].as_object().unwrap().keys().next().unwrap();
    params["inputResponses"] = json!({key: {"action": "accept", "content": {"answer": "yes"}}});
    params["requestState"] = result["requestState"].clone();
    place.save(&with(json!({"changed": older("b"), "new": demo()})));
    until(&bridge, "/servers/new/mcp", true).await;
    let text = "requestState names a call that is lost: the bridge was restarted or the server was changed in its config \
                file since, or another bridge gave it; call again without it";
    let refused = user.once("tools/call", params).await;
    assert_eq!((refused.error(), refused.status), ((-32602, text), 400));
    let again = user.once("tools/call", json!({"name": "ask", "arguments": {"message": "?"}})).await;
    assert_eq!(again.json["result"]["resultType"], "input_required", "{}", again.text);
    drop(user);
    bridge.stop().await;
}

/// Ten servers may be behind one bridge.
#[tokio::test]
async fn a_line_about_a_shared_server_names_it() {
    let mut shared = demo();
    shared["sharing"] = json!("shared");
    let place = Place::new("mcp.json", &with(json!({"common": shared})));
    let bridge = place.serve().await;
    let mut common = client(&bridge, "/servers/common/mcp").await;
    common.call("crash", json!({"code": 3})).await;
    bridge.program.stderr.has("starting it again").await;
    common.check("back").await;
    drop(common);
    let log = bridge.stop().await;
    let line = log.lines().find(|line| line.contains("starting it again")).unwrap();
    assert!(line.ends_with("the server that clients share has ended; starting it again name=common"), "{line}");
}

/// Kubernetes mounts a ConfigMap so: the file is a link into `..data`, which is exchanged.
#[tokio::test]
async fn a_swapped_link_beside_the_file_is_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let version = |name: &str, text: &str| {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("mcp.json"), text).unwrap();
    };
    version("..1", &with(json!({"one": demo()})));
    symlink("..1", dir.path().join("..data")).unwrap();
    symlink("..data/mcp.json", dir.path().join("mcp.json")).unwrap();
    let file = dir.path().join("mcp.json");
    let bridge = Bridge::start(&["serve", "--config", file.to_str().unwrap()]).await;
    let mut kept = client(&bridge, "/servers/kept/mcp").await;
    for (name, server) in [("..2", "two"), ("..3", "three")] {
        version(name, &with(json!({server: demo()})));
        symlink(name, dir.path().join("..tmp")).unwrap();
        fs::rename(dir.path().join("..tmp"), dir.path().join("..data")).unwrap();
        until(&bridge, &format!("/servers/{server}/mcp"), true).await;
        kept.check(server).await;
    }
    assert_eq!(bridge.get("/servers/one/mcp").await.status(), 404);
    bridge.stop().await;
}

#[tokio::test]
async fn sighup_reads_again_what_the_file_names() {
    let servers = json!({"a": {"command": "x", "envFile": ".env"}, "kept": demo()});
    let place = Place::new("mcp.json", &mcp_servers(servers));
    let bridge = place.serve().await;
    assert_eq!(bridge.get("/servers/a/mcp").await.status(), 404);
    super::write(&place.dir.path().join(".env"), "A=1\n");
    bridge.program.signal(Signal::HUP);
    until(&bridge, "/servers/a/mcp", true).await;
    bridge.program.signal(Signal::HUP);
    bridge.program.stderr.has("no server differs").await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_change_of_a_file_of_variables_is_a_change_of_its_server_alone() {
    let mut server = demo();
    server["envFile"] = json!("env/.env");
    let place = Place::new("mcp.json", &with(json!({"a": server})));
    let file = place.dir.path().join("env/.env");
    fs::create_dir(file.parent().unwrap()).unwrap();
    let bridge = place.serve().await;
    let mut kept = client(&bridge, "/servers/kept/mcp").await;
    assert_eq!(bridge.get("/servers/a/mcp").await.status(), 404, "its file is not there yet");
    super::write(&file, "A=1\n");
    until(&bridge, "/servers/a/mcp", true).await;
    let first = client(&bridge, "/servers/a/mcp").await;
    super::write(&file, "A=2\n");
    let has_ended =
        async || (first.post(&tool("9", "echo", json!({"message": "x"}))).await.status() == 404).then_some(());
    crate::support::at_last("the end of its session", has_ended).await;
    kept.check("still here").await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_said_once() {
    let place = Place::new("mcp.json", &with(json!({})));
    let bridge = place.serve().await;
    let mut kept = client(&bridge, "/servers/kept/mcp").await;
    place.save("{\"mcpServers\": {");
    bridge.program.stderr.has("the servers stay as they were").await;
    place.save("{\"mcpServers\": { ");
    place.save("{\"mcpServers\": {");
    kept.check("still here").await;
    // What is right again is a change, and comes after all that was said.
    place.save(&with(json!({"new": demo()})));
    until(&bridge, "/servers/new/mcp", true).await;
    kept.check("still here").await;
    fs::remove_file(&place.file).unwrap();
    bridge.program.stderr.has("No such file").await;
    kept.check("and here").await;
    let log = bridge.stop().await;
    assert_eq!(log.matches("the servers stay as they were").count(), 2, "{log}");
}

/// One that is bad now is offered no more: what a restart would do.
#[tokio::test]
async fn a_server_that_becomes_bad_is_left_out() {
    let place = Place::new("mcp.json", &with(json!({"a": demo()})));
    let bridge = place.serve().await;
    client(&bridge, "/servers/a/mcp").await;
    place.save(&with(json!({"a": {"comand": "x"}})));
    until(&bridge, "/servers/a/mcp", false).await;
    let text = bridge.get("/readyz").await.body;
    assert!(text.contains("a: line 1: ") && text.contains("did you mean \"command\"?"), "{text}");
    bridge.stop().await;
}
