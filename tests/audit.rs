//! The audit log of the real binary: a line for each session, call and refusal, and nothing of what was said in them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    actor::Actor,
    client::{Client, initialize, tool},
    eventually, http,
    issuer::Issuer,
    program::{BINARY, Bridge, Program},
    user::User,
};

/// Stands in params, results, headers and tokens, and must stand in no audit log.
const SECRET: &str = "hunter2";

struct Log {
    dir: TempDir,
}

impl Log {
    fn new() -> Log {
        Log { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("audit.jsonl")
    }

    /// These words, and the flag.
    fn flags<'a>(words: &[&'a str], path: &'a str) -> Vec<&'a str> {
        [words, &["--audit-log", path]].concat()
    }

    async fn demo(&self, words: &[&str]) -> Bridge {
        Bridge::demo(&Log::flags(words, self.path().to_str().unwrap())).await
    }

    /// All whole lines, checked for what each has and none may have.
    fn lines(&self) -> Vec<Value> {
        lines_of(&fs::read_to_string(self.path()).unwrap())
    }

    /// The first line that has these members, once it is there.
    async fn line(&self, members: Value) -> Value {
        let fits = |line: &Value| members.as_object().unwrap().iter().all(|(key, value)| line[key] == *value);
        eventually(&format!("an audit line with {members}"), || self.lines().into_iter().find(fits)).await
    }
}

fn lines_of(text: &str) -> Vec<Value> {
    assert!(!text.contains(SECRET), "{text}");
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A line without what differs each time, which has to be there.
fn plain(mut line: Value) -> Value {
    let members = line.as_object_mut().unwrap();
    let time = members.remove("time").unwrap();
    let time = time.as_str().unwrap();
    assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    if let Some(ms) = members.remove("ms") {
        assert!(ms.as_f64().unwrap() > 0.0, "{ms}");
    }
    if let Some(session) = members.remove("session") {
        let (run, number) = session.as_str().unwrap().split_once('-').unwrap();
        assert!(run.len() == 8 && number.parse::<u64>().unwrap() > 0, "{session}");
    }
    line
}

#[tokio::test]
async fn each_call_and_each_session_has_a_line_over_every_wire() {
    let log = Log::new();
    let bridge = log.demo(&["serve"]).await;
    let mut bytes = Vec::new();
    for (wire, mut client) in [
        ("http", Client::http(bridge.addr, "/mcp")),
        ("sse", Client::sse(bridge.addr, "/sse").await),
        ("ws", Client::ws(bridge.addr, "/ws").await),
    ] {
        client.initialize("2025-06-18").await;
        let call = tool("7", "echo", json!({"message": SECRET}));
        client.send(&call).await;
        let answer = client.answer("7").await;
        assert_eq!(answer.tool_text(), SECRET);
        bytes.push((wire, call.len(), answer.text.len()));
        if wire == "http" {
            assert_eq!(client.delete().await.status(), 204);
        }
        drop(client);
        log.line(json!({"event": "session", "wire": wire})).await;
    }
    bridge.stop().await;
    let lines = log.lines();
    for (wire, received, sent) in bytes {
        let of_wire: Vec<_> = lines.iter().filter(|line| line["wire"] == wire).cloned().collect();
        assert_eq!(of_wire.len(), 3, "{of_wire:#?}");
        assert!(of_wire.iter().all(|line| line["session"] == of_wire[0]["session"]), "{of_wire:#?}");
        let (total_in, total_out) = ["bytes_in", "bytes_out"]
            .map(|key| of_wire[..2].iter().map(|line| line[key].as_u64().unwrap()).sum::<u64>())
            .into();
        let base = json!({"server": "demo-server", "wire": wire, "address": "127.0.0.1"});
        let with = |more: Value| {
            let mut line = base.clone();
            line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            line
        };
        assert_eq!(of_wire[0]["method"], "initialize");
        assert_eq!(
            plain(of_wire[1].clone()),
            with(json!({
                "event": "call", "method": "tools/call", "tool": "echo", "outcome": "ok", "bytes_in": received, "bytes_out": sent
            }))
        );
        assert_eq!(
            plain(of_wire[2].clone()),
            with(json!({"event": "session", "calls": 2, "bytes_in": total_in, "bytes_out": total_out}))
        );
    }
    assert_eq!(lines.len(), 9, "{lines:#?}");
    let mode = fs::metadata(log.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_modern_exchange_has_a_line_and_no_session() {
    let log = Log::new();
    let bridge = log.demo(&["serve"]).await;
    let mut user = User::modern(Client::modern(bridge.addr, "/mcp").with_header("X-Secret", SECRET));
    assert_eq!(user.call("echo", json!({"message": SECRET})).await.tool_text(), SECRET);
    user.ask("tools/call", json!({"name": "ask", "arguments": {"message": SECRET}})).await;
    let mut piped = User::modern(Client::ws(bridge.addr, "/ws").await);
    assert_eq!(piped.call("echo", json!({"message": SECRET})).await.tool_text(), SECRET);
    drop(piped);
    // A connection counts as a session in either era.
    log.line(json!({"event": "session", "wire": "ws", "calls": 1})).await;
    bridge.stop().await;
    let http: Vec<_> = log.lines().into_iter().filter(|line| line["wire"] == "http").collect();
    let outcomes: Vec<_> = http.iter().map(|line| format!("{} {}", line["tool"], line["outcome"])).collect();
    assert_eq!(outcomes, [r#""echo" "ok""#, r#""ask" "input_required""#, r#""ask" "ok""#], "{http:#?}");
    assert!(http.iter().all(|line| line["event"] == "call" && line.get("session").is_none()), "{http:#?}");
}

#[tokio::test]
async fn what_came_of_a_call_is_told_apart() {
    let log = Log::new();
    let bridge = log.demo(&["serve", "--deny-tool", "touch"]).await;
    let mut client = Client::ws(bridge.addr, "/ws").await;
    client.initialize("2025-06-18").await;
    client.call("add", json!({"a": SECRET})).await;
    client.request("no/such", json!({"x": SECRET})).await;
    client.call("touch", json!({"x": SECRET})).await;
    client.send(&tool("5", "slow", json!({"steps": 1000}))).await;
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5, "reason": SECRET}});
    client.send(&cancel.to_string()).await;
    client.request("ping", json!({})).await;
    log.line(json!({"tool": "slow", "outcome": "cancelled"})).await;
    let mut modern = User::modern(Client::modern(bridge.addr, "/mcp"));
    let slow = json!({"name": "slow", "arguments": {"steps": 1000, "step_ms": 10}, "_meta": {"progressToken": "p"}});
    let id = modern.send("tools/call", slow).await;
    modern.client.message("notifications/progress").await;
    modern.client.hang_up(&id);
    log.line(json!({"tool": "slow", "outcome": "gone", "wire": "http"})).await;
    bridge.stop().await;
    let lines = log.lines();
    let told = |line: &Value| {
        ["event", "method", "tool", "outcome", "reason", "code"]
            .map(|key| line[key].as_str().map_or_else(|| line[key].to_string(), str::to_owned))
            .join(" ")
    };
    let told: Vec<String> = lines.iter().map(told).collect();
    for line in [
        "call tools/call add tool_error null null",
        "call no/such null error null -32601",
        "refusal tools/call touch null tool -32602",
        "call tools/call slow cancelled null null",
        "call ping null ok null null",
    ] {
        assert_eq!(told.iter().filter(|told| *told == line).count(), 1, "{line}: {told:#?}");
    }
}

#[tokio::test]
async fn a_server_that_is_late_or_gone_is_told_apart_from_one_that_errs() {
    let log = Log::new();
    let (path, mut actor) = (log.path(), Actor::start().await);
    let words = ["stdio-to-ws", "--port", "0", "--request-timeout", "500ms", "--server-era", "legacy", "--audit-log"];
    let words = [&words[..], &[path.to_str().unwrap()]].concat();
    let words = actor.command(&words);
    let bridge =
        Bridge::start(&words.iter().filter(|word| !matches!(**word, "--port" | "0")).copied().collect::<Vec<_>>())
            .await;
    let mut client = Client::ws(bridge.addr, "/ws").await;
    client.send(&initialize("0", "2025-06-18")).await;
    let mut run = actor.next().await;
    let asked = run.expect("initialize").await;
    run.answer(&asked, json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}})).await;
    client.answer("0").await;
    client.send(&tool("1", "late", json!({}))).await;
    client.answer("1").await;
    log.line(json!({"tool": "late", "outcome": "timeout"})).await;
    client.send(&tool("2", "last", json!({}))).await;
    while run.hear().await["params"]["name"] != "last" {}
    drop(run);
    client.answer("2").await;
    let line = log.line(json!({"tool": "last"})).await;
    assert_eq!((&line["outcome"], &line["code"]), (&json!("error"), &json!(-32603)), "{line}");
    drop(client);
    bridge.stop().await;
}

#[tokio::test]
async fn each_refusal_has_a_line_with_its_reason_and_whom_it_met() {
    let log = Log::new();
    let tokens = log.dir.path().join("tokens");
    fs::write(&tokens, format!("ci: {SECRET}-1\nother: {SECRET}-2\n")).unwrap();
    let bridge = log
        .demo(&[
            "serve",
            "--bearer-token-file",
            tokens.to_str().unwrap(),
            "--trusted-proxy",
            "127.0.0.1",
            "--max-sessions",
            "1",
            "--allow-host",
            "localhost",
        ])
        .await;
    let ask = async |headers: &[(&str, &str)]| {
        let headers = [&http::POST, headers].concat();
        bridge.ask("POST", &format!("/mcp?key={SECRET}"), &headers, &initialize("0", "2025-06-18")).await
    };
    let (good, bad) = (format!("Bearer {SECRET}-1"), format!("Bearer {SECRET}-guess"));
    let good = ("Authorization", good.as_str());
    assert_eq!(ask(&[("Authorization", &bad), ("X-Forwarded-For", "192.0.2.66, 192.0.2.7")]).await.status(), 401);
    assert_eq!(ask(&[good, ("Host", "hunter2.example")]).await.status(), 403);
    assert_eq!(ask(&[good, ("Origin", "https://hunter2.example")]).await.status(), 403);
    let opened = ask(&[good]).await;
    assert_eq!(opened.status(), 200);
    assert_eq!(ask(&[good]).await.status(), 503);
    let session = ("Mcp-Session-Id", opened.header("mcp-session-id").unwrap());
    let other = format!("Bearer {SECRET}-2");
    let stolen = [&http::POST[..], &[("Authorization", &*other), session]].concat();
    assert_eq!(bridge.ask("POST", "/mcp", &stolen, &tool("1", "echo", json!({}))).await.status(), 404);
    let roamed = [&http::POST[..], &[good, session, ("X-Forwarded-For", "192.0.2.9")]].concat();
    assert_eq!(bridge.ask("POST", "/mcp", &roamed, &tool("1", "echo", json!({"message": "x"}))).await.status(), 200);
    // Nothing to be noted: wrong paths, wrong messages, and checks of health.
    assert_eq!(bridge.get("/healthz").await.status(), 200);
    assert_eq!(bridge.ask("POST", "/mcp", &[&http::POST[..], &[good]].concat(), "{").await.status(), 400);
    bridge.stop().await;
    let text = fs::read_to_string(log.path()).unwrap();
    assert!(!text.contains(session.1), "the id of a session is a secret: {text}");
    let lines: Vec<_> = log.lines().into_iter().map(plain).collect();
    let base = |more: Value| {
        let mut line = json!({"event": "refusal", "server": "demo-server", "wire": "http", "address": "127.0.0.1"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    assert_eq!(lines[0], base(json!({"reason": "token", "status": 401, "address": "192.0.2.7"})));
    assert_eq!(lines[1], base(json!({"reason": "host", "status": 403})));
    assert_eq!(lines[2], base(json!({"reason": "origin", "status": 403})));
    assert_eq!((&lines[3]["method"], &lines[3]["principal"]), (&json!("initialize"), &json!("ci")));
    assert_eq!(lines[4], base(json!({"reason": "busy", "status": 503, "principal": "ci", "method": "initialize"})));
    assert_eq!(lines[5], base(json!({"reason": "session", "status": 404, "principal": "other"})));
    let called = ["event", "tool", "address", "principal"].map(|key| lines[6][key].as_str().unwrap());
    assert_eq!(called, ["call", "echo", "192.0.2.9", "ci"], "a call has the address that it came from");
    assert_eq!((lines.len(), &lines[7]["event"]), (8, &json!("session")), "{lines:#?}");
}

#[tokio::test]
async fn a_tool_beyond_the_tokens_scopes_and_a_rate_beyond_the_limit_are_refusals() {
    let (log, issuer) = (Log::new(), Issuer::start().await);
    let bridge = log
        .demo(&["serve", "--oauth-issuer", &issuer.url, "--oauth-tool-scope", "slow=mcp:slow", "--rate-limit", "3/h"])
        .await;
    let token = format!("Bearer {}", issuer.token("http://localhost/mcp", "mcp:call"));
    let mut client = Client::http(bridge.addr, "/mcp").with_header("Authorization", &token);
    client.initialize("2025-06-18").await;
    assert_eq!(client.post(&tool("1", "slow", json!({"x": SECRET}))).await.status(), 403);
    assert_eq!(client.post(&tool("2", "echo", json!({}))).await.status(), 429);
    bridge.stop().await;
    let lines = log.lines();
    let refusals: Vec<_> = lines.into_iter().filter(|line| line["event"] == "refusal").map(plain).collect();
    let base = json!({"event": "refusal", "server": "demo-server", "wire": "http", "address": "127.0.0.1"});
    let mut scope = base.clone();
    let subject = refusals[0]["principal"].clone();
    assert!(subject.is_string(), "{refusals:?}");
    let more = json!({"principal": subject, "reason": "scope", "status": 403, "method": "tools/call", "tool": "slow"});
    scope.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut rate = base;
    let more = json!({"principal": subject, "reason": "rate", "status": 429});
    rate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(refusals, [scope, rate]);
}

#[tokio::test]
async fn a_session_that_gets_no_server_of_the_pool_is_a_refusal_over_every_wire() {
    let log = Log::new();
    let bridge = log.demo(&["serve", "--pooled", "--max-children", "1"]).await;
    let mut first = Client::http(bridge.addr, "/mcp");
    first.initialize("2025-06-18").await;
    let mut other: Value = serde_json::from_str(&initialize("0", "2025-06-18")).unwrap();
    other["params"]["capabilities"] = json!({});
    let other = other.to_string();
    for (wire, mut client) in [
        ("http", Client::http(bridge.addr, "/mcp")),
        ("sse", Client::sse(bridge.addr, "/sse").await),
        ("ws", Client::ws(bridge.addr, "/ws").await),
    ] {
        client.send(&other).await;
        let answer = client.answer("0").await;
        assert!(answer.text.contains("processes of the server are in use"), "{}", answer.text);
        let line = log.line(json!({"event": "refusal", "wire": wire})).await;
        assert_eq!((&line["reason"], &line["method"]), (&json!("busy"), &json!("initialize")), "{line}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn of_several_servers_as_one_the_line_names_the_one_that_was_called() {
    let log = Log::new();
    let demo = json!({"command": BINARY, "args": ["demo-server"], "tools": {"deny": ["touch"]}});
    let file = log.dir.path().join("mcp.json");
    fs::write(&file, json!({"mcpServers": {"one": demo, "two": demo}}).to_string()).unwrap();
    let path = log.path();
    let words = Log::flags(&["serve", "--aggregate", "--config", file.to_str().unwrap()], path.to_str().unwrap());
    let bridge = Bridge::start(&words).await;
    let users = [
        User::legacy(Client::http(bridge.addr, "/mcp")).await,
        User::modern(Client::modern(bridge.addr, "/mcp")),
        User::legacy(Client::http(bridge.addr, "/servers/two/mcp")).await,
    ];
    for (mut user, prefix) in users.into_iter().zip(["two_", "two_", ""]) {
        assert_eq!(user.call(&format!("{prefix}echo"), json!({"message": "x"})).await.tool_text(), "x");
        user.call(&format!("{prefix}touch"), json!({})).await;
        user.ask("tools/list", json!({})).await;
    }
    bridge.stop().await;
    let lines = log.lines();
    let told = |line: &Value| {
        ["event", "server", "via", "method", "tool"].map(|key| line[key].to_string().replace('"', "")).join(" ")
    };
    let told: Vec<_> = lines.iter().filter(|line| line["event"] != "session").map(told).collect();
    let modern = [
        "call two default tools/call echo",
        "refusal two default tools/call touch",
        "call default null tools/list null",
    ];
    let legacy = [&["call default null initialize null"], &modern[..]].concat();
    let alone = [
        "call two null initialize null",
        "call two null tools/call echo",
        "refusal two null tools/call touch",
        "call two null tools/list null",
    ];
    let mut expected = [&legacy[..], &modern, &alone].concat();
    let mut told: Vec<&str> = told.iter().map(String::as_str).collect();
    expected.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, expected);
    let sessions: Vec<_> = lines.iter().filter(|line| line["event"] == "session").map(|line| &line["server"]).collect();
    assert_eq!(sessions.len(), 2, "{lines:#?}");
}

#[tokio::test]
async fn a_file_that_is_moved_away_is_opened_anew_on_sighup_and_no_line_is_lost() {
    let log = Log::new();
    let bridge = log.demo(&["serve"]).await;
    let mut client = bridge.http().await;
    let moved = log.dir.path().join("audit.jsonl.1");
    let ids: Vec<_> = (0..40).map(|n: u32| n.to_string()).collect();
    for (at, id) in ids.iter().enumerate() {
        client.send(&tool(id, "echo", json!({"message": "x"}))).await;
        client.answer(id).await;
        if at == 20 {
            fs::rename(log.path(), &moved).unwrap();
            bridge.program.signal(Signal::HUP);
            bridge.program.stderr.has("is opened again").await;
        }
    }
    drop(client);
    let stderr = bridge.stop().await;
    let (before, after) = (lines_of(&fs::read_to_string(&moved).unwrap()), log.lines());
    let calls = |lines: &[Value]| lines.iter().filter(|line| line["tool"] == "echo").count();
    assert_eq!(calls(&before) + calls(&after), ids.len(), "{stderr}");
    assert!(calls(&after) >= 18 && calls(&before) >= 1, "{} {}", calls(&before), calls(&after));
    assert_eq!(after.last().unwrap()["event"], "session", "{stderr}");
    assert_eq!(fs::metadata(log.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_again_is_written_on() {
    let log = Log::new();
    let bridge = log.demo(&["serve"]).await;
    let mut client = bridge.http().await;
    let moved = log.dir.path().join("moved");
    fs::rename(log.path(), &moved).unwrap();
    fs::create_dir(log.path()).unwrap();
    bridge.program.signal(Signal::HUP);
    bridge.program.stderr.has("the file that is open is written on").await;
    client.check("still here").await;
    bridge.stop().await;
    let lines = lines_of(&fs::read_to_string(moved).unwrap());
    assert!(lines.iter().any(|line| line["tool"] == "echo"), "{lines:?}");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_stops_the_start() {
    let log = Log::new();
    let pipe = log.dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let places =
        [(log.dir.path().join("no/such/dir/audit"), "No such file or directory"), (pipe, "No such device or address")];
    for (path, why) in places {
        let mut program = Program::start(&["serve", "--demo", "--port", "0", "--audit-log", path.to_str().unwrap()]);
        assert_eq!(program.code().await, 64);
        let text = program.stderr.whole().await;
        let expected = format!("cannot open the audit log {}: {why}", path.display());
        assert!(text.contains(&expected) && text.contains("--audit-log") && text.trim().lines().count() == 1, "{text}");
    }
}

#[tokio::test]
async fn a_full_disk_is_told_once_and_calls_go_on() {
    let bridge = Bridge::demo(&["serve", "--audit-log", "/dev/full"]).await;
    let mut client = bridge.http().await;
    for _ in 0..20 {
        client.check("goes on").await;
    }
    bridge.program.stderr.has("cannot write the audit log /dev/full: No space left on device").await;
    drop(client);
    let log = bridge.stop().await;
    assert_eq!(log.matches("cannot write the audit log").count(), 1, "{log}");
}

#[tokio::test]
async fn on_stderr_lines_stand_beside_the_log() {
    let bridge = Bridge::demo(&["stdio-to-sse", "--audit-log", "-"]).await;
    let mut client = bridge.sse().await;
    client.check("x").await;
    drop(client);
    let log = bridge.stop().await;
    let lines: Vec<Value> =
        log.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["call", "call", "session"], "{log}");
}

/// The place of a session that a shared server has is given back with its line.
#[tokio::test]
async fn sessions_that_share_a_server_have_a_line_each_when_they_end() {
    let log = Log::new();
    let bridge = log.demo(&["serve", "--shared"]).await;
    for n in 1..=2 {
        let mut client = bridge.http().await;
        client.check("x").await;
        assert_eq!(client.delete().await.status(), 204);
        let ended = || (log.lines().iter().filter(|line| line["event"] == "session").count() == n).then_some(());
        eventually("the line of a session", ended).await;
    }
    let mut cut = Client::ws(bridge.addr, "/ws").await;
    cut.initialize("2025-06-18").await;
    drop(cut);
    log.line(json!({"event": "session", "wire": "ws", "calls": 1})).await;
    bridge.stop().await;
}
