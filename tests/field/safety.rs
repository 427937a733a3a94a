//! Statements 20, 21 and 23: who may call, what is told to whom, and what is refused before anything starts.

use serde_json::json;

use crate::support::{
    client::{Client, initialize, notification, tool},
    http::POST,
    program::{Bridge, Program, TEST_TOOLS},
    script::{Script, text},
};

const ROUTES: [(&str, &str); 9] = [
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("DELETE", "/mcp"),
    ("OPTIONS", "/mcp"),
    ("GET", "/sse"),
    ("POST", "/messages?sessionId=0"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/"),
];

#[tokio::test]
async fn field_20_a_foreign_host_or_origin_is_refused_on_every_route() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let own = format!("http://{}", bridge.addr);
    for (method, path) in ROUTES {
        for (name, value) in [
            ("Host", "evil.example"),
            ("Host", "localhost.evil.example"),
            ("Host", "127.0.0.1.nip.io"),
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
        ] {
            let body = if method == "POST" { initialize("0", "2025-06-18") } else { String::new() };
            let response = bridge.ask(method, path, &[&POST[..], &[(name, value)]].concat(), &body).await;
            let (status, code, id, text) = response.refusal();
            assert_eq!((status, code, id), (403, -32600, json!(null)), "{method} {path} {name}: {value}");
            assert!(text.contains(value) && text.contains("--allow-"), "{text}");
            assert_eq!(response.header("access-control-allow-origin"), None);
        }
    }
    assert_eq!(bridge.program.servers(), [], "no server was started for any of these");
    for headers in [vec![("Origin", own.as_str()), ("Host", own.strip_prefix("http://").unwrap())], vec![]] {
        let response =
            bridge.ask("POST", "/mcp", &[&POST[..], &headers].concat(), &initialize("0", "2025-06-18")).await;
        assert_eq!(response.status(), 200, "{}", response.body);
    }
    bridge.stop().await;
}

/// A page may send `text/plain` without asking first: nothing of that reaches a server.
#[tokio::test]
async fn field_20_a_request_that_a_page_can_forge_is_refused() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let headers = [("Content-Type", "text/plain"), POST[1]];
    let response = bridge.ask("POST", "/mcp", &headers, &initialize("0", "2025-06-18")).await;
    assert_eq!(response.refusal().0, 415);
    assert_eq!(bridge.program.servers(), []);
    bridge.stop().await;
}

#[tokio::test]
async fn field_20_it_listens_on_loopback_and_beyond_only_with_a_flag() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    assert!(bridge.addr.ip().is_loopback());
    // As the system sees it: local address and port in hex, state 0A is LISTEN.
    let wanted = format!(":{:04X}", bridge.addr.port());
    let table = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    let lines = table.iter().flat_map(|text| text.lines());
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening: Vec<_> = fields
        .filter(|fields| fields.len() > 3 && fields[1].ends_with(&wanted) && fields[3] == "0A")
        .map(|fields| fields[1].to_owned())
        .collect();
    assert_eq!(listening, [format!("0100007F{wanted}")]);
    bridge.stop().await;
    for host in ["0.0.0.0", "::"] {
        let mut program = Program::start(&["serve", "--demo", "--port", "0", "--host", host]);
        assert_eq!(program.code().await, 64);
        let line = program.stderr.whole().await;
        assert!(line.contains("--bearer-token-file") && line.contains("--allow-unauthenticated"), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

/// Marks that must appear nowhere.
const BEARER: &str = "secret-bearer-5b1f";
const API_KEY: &str = "secret-key-77aa";
const QUERY: &str = "secret-query-90cd";
const BODY: &str = "secret-body-31ee";
const SESSION: &str = "secret-session-c4c4";

fn no_secret(text: &str, secrets: &[&str]) {
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is told:\n{text}");
    }
}

/// A remote server that accepts, redirects, fails, sends garbage and ends: none of it makes the bridge talk. Credentials
/// are not even told at the loudest level.
#[tokio::test]
async fn field_21_no_secret_and_no_body_is_logged_by_a_client() {
    for level in [None, Some("debug"), Some("trace")] {
        let mut script = Script::start().await;
        let url = script.url(&format!("/mcp?token={QUERY}"));
        let mut words = vec!["connect", &url, "--bearer", "${BEARER}", "-H", "X-Api-Key: ${API_KEY}", "--retries", "1"];
        words.extend(["--retry-delay", "1ms"]);
        words.extend(level.into_iter().flat_map(|level| ["--log-level", level]));
        let program = Program::start_with(&words, &[("BEARER", BEARER), ("API_KEY", API_KEY)]);
        let mut client = Client::of(program);
        client.send(&initialize("0", "2025-06-18")).await;
        let first = script.post("initialize").await;
        assert_eq!(first.header("authorization"), Some(format!("Bearer {BEARER}").as_str()));
        assert_eq!(first.header("x-api-key"), Some(API_KEY));
        assert_eq!(first.path, format!("/mcp?token={QUERY}"));
        first.initialized(SESSION, "2025-06-18").await;
        client.answer("0").await;
        client.send(&notification("notifications/initialized")).await;
        script.post("notifications/initialized").await.reply(202, &[], "").await;
        script.expect("GET").await.reply(405, &[], "").await;
        for n in 0..5 {
            client.send(&tool(&n.to_string(), "echo", json!({"message": BODY}))).await;
            let call = script.post("tools/call").await;
            match n {
                0 => call.result(text(BODY)).await,
                1 => call.reply(500, &[], BODY).await,
                2 => call.reply(200, &[], BODY).await,
                3 => call.reply(307, &[("Location", &format!("http://evil.example/{QUERY}\u{7f}"))], BODY).await,
                _ => drop(call),
            }
            client.answer(&n.to_string()).await;
        }
        client.send(&format!("{{ {BODY} no JSON")).await;
        client.next().await;
        drop(client.program().stdin.take());
        script.expect("DELETE").await.reply(200, &[], "").await;
        assert_eq!(client.program().code().await, 0);
        let log = client.program().stderr.whole().await;
        no_secret(&log, &[BEARER, API_KEY, QUERY, SESSION]);
        if level.is_none() {
            no_secret(&log, &[BODY]);
        }
    }
}

#[tokio::test]
async fn field_21_no_secret_and_no_body_is_logged_by_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, format!("{BEARER}\n")).unwrap();
    let words = [&["serve", "--bearer-token-file", file.to_str().unwrap()], &TEST_TOOLS[..]].concat();
    let bridge = Bridge::start_with(&words, &[("API_KEY", API_KEY)]).await;
    let wrong = bridge.ask("POST", "/mcp", &[&POST[..], &[("Authorization", API_KEY)]].concat(), BODY).await;
    assert_eq!((wrong.refusal().0, wrong.header("www-authenticate")), (401, Some("Bearer")));
    no_secret(&wrong.body, &[BEARER, API_KEY, BODY]);
    let bearer = format!("Bearer {BEARER}");
    let mut client = Client::http(bridge.addr, "/mcp").with_header("Authorization", &bearer);
    client.initialize("2025-06-18").await;
    client.check(BODY).await;
    client.call("garbage", json!({})).await;
    client.post(&format!("{{ {BODY}")).await;
    client.post(&tool("1", "crash", json!({"code": 1}))).await;
    let session = client.session().to_owned();
    drop(client);
    let log = bridge.stop().await;
    no_secret(&log, &[BEARER, API_KEY, BODY, &session]);
}

/// Whatever the server writes, and whatever level the log has: stdout of a client's command is JSON-RPC only. (Each line
/// that a client reads is checked.)
#[tokio::test]
async fn field_21_stdout_of_a_client_command_is_json_rpc_only() {
    let bridge = Bridge::demo(&["stdio-to-sse"]).await;
    let mut client = Client::stdio(&["sse-to-stdio", "--log-level", "trace", &bridge.url("/sse")]);
    client.initialize("2025-06-18").await;
    client.call("garbage", json!({})).await;
    client.send(&tool("1", "crash", json!({"message": "last words"}))).await;
    client.answer("1").await;
    for message in client.finish().await {
        assert_eq!(message.json["jsonrpc"], "2.0");
    }
    bridge.stop().await;
}

/// Runs a command that has to fail: its exit code and what it says, which is one line on stderr.
async fn refused(words: &[&str]) -> (i32, String) {
    let mut program = Program::start(words);
    let code = program.code().await;
    let text = program.stderr.whole().await;
    let mut out = String::new();
    tokio::io::AsyncReadExt::read_to_string(program.stdout.as_mut().unwrap(), &mut out).await.unwrap();
    assert_eq!(out, "");
    assert!(text.starts_with("mcp-bridge: ") && text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
    (code, text)
}

#[tokio::test]
async fn field_23_what_cannot_work_is_one_line_and_a_non_zero_exit_before_listening() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let port = bridge.addr.port().to_string();
    for (words, wanted_code, wanted) in [
        (vec!["serve", "--prot", "9000", "--demo"], 64, "--prot"),
        (vec!["serve"], 64, "needs a server to start"),
        (vec!["serve", "--port", &port, "--demo"], 1, "in use"),
        (vec!["serve", "--port", "0", "--", "no-such-program-anywhere"], 1, "not found in PATH"),
        (vec!["serve", "--port", "0", "--cwd", "/no/such/dir", "--demo"], 64, "--cwd"),
        (vec!["serve", "--port", "0", "--env-file", "/no/such/file", "--demo"], 64, "--env-file"),
        (vec!["serve", "--port", "0", "--bearer-token-file", "/no/such/file", "--demo"], 64, "--bearer-token-file"),
        (vec!["connect", "not a url"], 64, "http"),
    ] {
        let (code, line) = refused(&words).await;
        assert_eq!(code, wanted_code, "{line}");
        assert!(line.contains(wanted) && !line.contains("listening"), "{line}");
    }
    bridge.stop().await;
}
