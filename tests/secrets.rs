//! Who can see a secret of a bridge that listens: readers of its log, callers, other processes, its servers. What logins
//! hold is in `auth::secrets`.

use std::{collections::BTreeSet, fs};

use serde_json::json;

use crate::support::{
    client::{Client, initialize},
    http::POST,
    processes,
    program::{Bridge, TEST_TOOLS},
    script::{Script, text},
};

/// What every secret here begins with.
const MARK: &str = "m4rk3d";

fn secret(what: &str) -> String {
    format!("{MARK}-{what}")
}

/// The variables of a process.
fn variables(pid: i32) -> Vec<(String, String)> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn t24_nothing_that_a_bridge_says_at_the_loudest_level_holds_a_secret() {
    let mut server = Script::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    fs::write(&file, format!("ann: {}\n", secret("door"))).unwrap();
    let url = server.url(&format!("/mcp?token={}", secret("query")));
    let words = ["serve", "--log-level", "trace", "--bearer-token-file", file.to_str().unwrap(), "--bearer", "${UP}"];
    let words = [&words[..], &["-H", "X-Api-Key: ${KEY}", "--retries", "0", &url]].concat();
    let bridge = Bridge::start_with(&words, &[("UP", &secret("up")), ("KEY", &secret("key"))]).await;
    let mut said = Vec::new();

    for (name, value) in [
        ("Authorization", format!("Bearer {}", secret("guess"))),
        ("Authorization", secret("bare")),
        ("Mcp-Session-Id", secret("session-guess")),
        ("Cookie", secret("cookie")),
    ] {
        let path = format!("/mcp?access_token={}", secret("in-query"));
        let headers = [&POST[..], &[(name, value.as_str())]].concat();
        said.push(bridge.ask("POST", &path, &headers, &initialize("0", "2025-11-25")).await);
    }
    let token = format!("Bearer {}", secret("door"));
    let mut client = Client::http(bridge.addr, "/mcp").with_header("Authorization", &token);
    client.send(&initialize("0", "2025-11-25")).await;
    let exchange = server.post("initialize").await;
    assert_eq!(exchange.header("authorization"), Some(format!("Bearer {}", secret("up")).as_str()));
    assert!(exchange.path.ends_with(&secret("query")));
    exchange.initialized(&secret("upstream-session"), "2025-11-25").await;
    client.answer("0").await;
    let session = client.session().to_owned();
    client.send(&crate::support::client::notification("notifications/initialized")).await;
    server.post("notifications/initialized").await.reply(202, &[], "").await;
    server.expect("GET").await.reply(405, &[], "").await;
    // A good answer, refusals, a server that quotes what it was shown, a broken connection.
    for n in 0..5 {
        let id = n.to_string();
        client.send(&crate::support::client::tool(&id, "echo", json!({}))).await;
        let call = server.post("tools/call").await;
        match n {
            0 => call.result(text("x")).await,
            1 => call.reply(500, &[], &secret("quoted")).await,
            2 => call.reply(403, &[("WWW-Authenticate", &secret("challenge"))], &secret("quoted")).await,
            3 => call.reply(307, &[("Location", &format!("http://x.example/?t={}", secret("moved")))], "").await,
            _ => drop(call),
        }
        let answer = client.answer(&id).await;
        assert!(!answer.text.contains(MARK), "{}", answer.text);
    }
    let authorized = [("Authorization", token.as_str()), ("Mcp-Session-Id", session.as_str())];
    let json = [&POST[..], &authorized].concat();
    said.push(bridge.ask("POST", "/mcp", &json, &format!("{{ {} no JSON", secret("body"))).await);
    for path in ["/", "/healthz", "/readyz", "/readyz?format=json", "/metrics", "/nowhere"] {
        said.push(bridge.get(path).await);
        said.push(bridge.ask("GET", path, &authorized, "").await);
    }
    for response in said {
        let text = format!("{response:?}");
        assert!(!text.contains(MARK), "{text}");
    }
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", bridge.program.pid)).unwrap();
    assert!(arguments.contains("${UP}") && !arguments.contains(&secret("up")), "{arguments}");
    drop(client);
    bridge.program.signal(rustix::process::Signal::TERM);
    server.expect("DELETE").await.reply(200, &[], "").await;
    let log = bridge.stop_again().await;
    // What went wrong is told by the server's words; these are nobody's secret but its own.
    let log = log.replace(&secret("quoted"), "");
    let at = log.find(MARK).map(|at| log[at.saturating_sub(300)..].chars().take(400).collect::<String>());
    assert_eq!(at, None);
    assert!(!log.contains(&session), "a session's id is told");
}

/// What a server gets is what the user declares for it. The bridge's own variables it never has, and no process shows a
/// secret among its arguments.
#[tokio::test]
async fn t25_a_server_has_no_variable_of_the_bridge_and_with_a_list_only_those_on_it() {
    let own = secret("own");
    let env = [
        ("MCP_BRIDGE_API_KEY_HEADER", "X-Some-Key"),
        ("MCP_BRIDGE_CLIENT_ID", own.as_str()),
        ("GITHUB_TOKEN", own.as_str()),
        ("NODE_OPTIONS", "--no-warnings"),
        ("GIVEN", "of-the-user"),
        ("NAMED_ONE", "1"),
        ("LISTEN_PID", "1"),
        ("NOTIFY_SOCKET", "/nowhere"),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("FROM_FILE={}\n", secret("file"))).unwrap();
    let declared = ["--env", "KEY=${GITHUB_TOKEN}", "--env-file", file.path().to_str().unwrap()];
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, format!("{}\n", secret("door"))).unwrap();
    let door = ["serve", "--bearer-token-file", tokens.to_str().unwrap()];
    let token = format!("Bearer {}", secret("door"));
    // The tests' own mark is on the list, too: by it they find the server.
    let list = format!("PATH,GIVEN,NAMED_*,{}", processes::MARK);
    for list in [&[][..], &["--pass-env", &list]] {
        let bridge = Bridge::start_with(&[&door[..], list, &declared, &TEST_TOOLS].concat(), &env).await;
        let mut client = Client::http(bridge.addr, "/mcp").with_header("Authorization", &token);
        client.initialize("2025-11-25").await;
        client.check("up").await;
        let servers = bridge.program.servers();
        assert_eq!(servers.len(), 1);
        let found = variables(servers[0].0);
        let value = |name: &str| found.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((value("KEY"), value("FROM_FILE")), (Some(own.as_str()), Some(secret("file").as_str())));
        assert_eq!(value("GIVEN"), Some("of-the-user"));
        for (name, value) in &found {
            let demo = ["MCP_BRIDGE_DEMO_TEST", "MCP_BRIDGE_GUARD"].contains(&name.as_str());
            assert!(demo || !name.starts_with("MCP_BRIDGE_"), "{name}");
            assert!(name != "LISTEN_PID" && name != "NOTIFY_SOCKET", "{name}");
            assert!(!value.contains(&secret("door")), "{name}");
        }
        if !list.is_empty() {
            let names: BTreeSet<_> = found.iter().map(|(name, _)| name.as_str()).collect();
            let wanted = ["PATH", "GIVEN", "NAMED_ONE", "KEY", "FROM_FILE", "MCP_BRIDGE_DEMO_TEST"];
            // By these the end of a bridge finds what it started.
            let marks = ["MCP_BRIDGE_GUARD", processes::MARK];
            // Without these many programs do not run at all.
            let basic = ["HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TMPDIR", "TZ"];
            let basic = |name: &str| basic.contains(&name) || name.starts_with("LC_") || name.starts_with("XDG_");
            let known = |name: &&&str| wanted.contains(name) || marks.contains(name) || basic(name);
            let unwanted: Vec<_> = names.iter().filter(|name| !known(name)).collect();
            assert!(unwanted.is_empty(), "{unwanted:?}");
        }
        for (pid, line) in bridge.program.family() {
            assert!(!line.contains(MARK), "process {pid}: {line}");
        }
        drop(client);
        bridge.stop().await;
    }
}
