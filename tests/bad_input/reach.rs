//! The command line, and a server that is not where it is said to be, or not what it is taken for.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::V;
use crate::support::{
    client::{Client, initialize},
    http::POST,
    program::{Bridge, Program},
    script::Script,
};

/// Exit code and the one line.
async fn refused(words: &[&str]) -> (i32, String) {
    let mut program = Program::start(words);
    let code = program.code().await;
    (code, program.stderr.whole().await)
}

#[tokio::test]
async fn an_unknown_flag() {
    let expected = "mcp-bridge: unknown flag --prot; did you mean --port? See mcp-bridge serve --help\n";
    assert_eq!(refused(&["serve", "--prot", "9000", "--", "x"]).await, (64, expected.into()));
}

#[tokio::test]
async fn a_missing_command() {
    let (code, line) = refused(&["serve", "--port", "0"]).await;
    assert_eq!(code, 64);
    assert!(line.starts_with("mcp-bridge: serve needs a server to start"), "{line}");
}

#[tokio::test]
async fn a_busy_port() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let port = bridge.addr.port().to_string();
    let expected = format!(
        "mcp-bridge: port {port} on 127.0.0.1 is in use by another program; choose another one with --port (0 picks a \
         free one)\n"
    );
    assert_eq!(refused(&["serve", "--port", &port, "--demo"]).await, (1, expected));
    bridge.stop().await;
}

/// What a client of stdio hears when its first request cannot be passed on, and the exit code.
async fn unreachable(words: &[&str]) -> (String, i32) {
    let mut client = Client::stdio(words);
    client.send(&initialize("\"first\"", V)).await;
    let answer = client.answer("\"first\"").await;
    let (code, message) = answer.error();
    assert_eq!(code, -32603, "{}", answer.text);
    let exit = client.program().code().await;
    let log = client.program().stderr.whole().await;
    assert!(log.lines().last().is_some_and(|line| line.contains(message)), "not told on stderr, too: {log}");
    (message.to_owned(), exit)
}

#[tokio::test]
async fn an_unresolvable_host() {
    let url = "http://no-such-host.invalid/mcp";
    for command in ["connect", "http-to-stdio", "sse-to-stdio"] {
        let expected = format!(
            "cannot reach {url}: the host name does not resolve; check the URL's spelling and this machine's DNS"
        );
        assert_eq!(unreachable(&[command, "--retries", "0", url]).await, (expected, 69));
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens() {
    let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", place.local_addr().unwrap());
    drop(place);
    let expected = format!(
        "cannot reach {url}: the connection was refused; check that the server runs, the port, and any proxy (HTTPS_PROXY)"
    );
    assert_eq!(unreachable(&["connect", "--retries", "1", "--retry-delay", "1ms", &url]).await, (expected, 69));
}

#[tokio::test]
async fn a_wrong_path() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    for method in ["GET", "POST", "DELETE"] {
        let (status, code, id, text) = bridge.ask(method, "/wrong", &POST, "").await.refusal();
        assert_eq!((status, code, id), (404, -32600, Value::Null));
        assert_eq!(
            text,
            "there is nothing at this path; the bridge serves /sse (HTTP+SSE), /mcp (Streamable HTTP), /ws (WebSocket)"
        );
    }
    let url = bridge.url("/wrong");
    // The server's own error is the answer; it is what says where to go.
    for command in ["connect", "http-to-stdio"] {
        let mut client = Client::stdio(&[command, &url]);
        client.send(&initialize("0", V)).await;
        let text = client.answer("0").await.text;
        assert!(text.contains("the bridge serves /sse (HTTP+SSE), /mcp (Streamable HTTP), /ws (WebSocket)"), "{text}");
    }
    let (message, exit) = unreachable(&["sse-to-stdio", &url]).await;
    assert_eq!(exit, 69);
    assert_eq!(message, format!("{url} answered HTTP 404 Not Found (nothing is there: check the path of the URL)"));
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let url = format!("https://{}/mcp", bridge.addr);
    let expected = format!(
        "cannot reach {url}: it does not speak TLS on that port; try http:// instead of https://, or another port"
    );
    for command in ["connect", "http-to-stdio", "sse-to-stdio"] {
        assert_eq!(unreachable(&[command, "--retries", "0", &url]).await, (expected.clone(), 69));
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_that_wants_a_login() {
    for status in [401, 403] {
        let mut script = Script::start().await;
        let url = script.url("/mcp");
        let mut client = Client::stdio(&["http-to-stdio", "--no-login", &url]);
        client.send(&initialize("0", V)).await;
        script.post("initialize").await.reply(status, &[("WWW-Authenticate", "Bearer")], "").await;
        let answer = client.answer("0").await;
        assert!(
            answer.error().1.contains(&format!("HTTP {status}")) && answer.error().1.contains("--bearer"),
            "{}",
            answer.text
        );
        assert_eq!(answer.json["error"]["data"], json!({"status": status}));
        assert_eq!(client.program().code().await, 77);
    }
}

#[tokio::test]
async fn a_server_that_is_overloaded_or_no_mcp_server() {
    for (head, wanted) in [
        ("429 Too Many Requests\r\nRetry-After: 1", "it is asked too often"),
        ("500 Internal Server Error", "it failed: look into the server's log"),
        ("200 OK\r\nContent-Type: text/html", "answered with a web page instead of MCP"),
        ("200 OK\r\nContent-Type: application/json", "is no MCP message"),
    ] {
        let mut script = Script::start().await;
        let url = script.url("/mcp");
        let mut client = Client::stdio(&["http-to-stdio", "--retries", "0", &url]);
        client.send(&initialize("0", V)).await;
        let body = "<html>hello</html>";
        let response = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        script.post("initialize").await.raw(response.as_bytes()).await;
        let answer = client.answer("0").await;
        assert!(answer.error().1.starts_with(&url) && answer.error().1.contains(wanted), "{}", answer.text);
        assert!(!answer.text.contains("hello"), "a body is not repeated: {}", answer.text);
        assert_eq!(client.program().code().await, 69);
    }
}
