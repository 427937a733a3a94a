//! Headers on both sides of the bridge, as raw bytes: what of a caller's request and of a server's response crosses, and
//! that no value breaks out of its header or its event.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::support::{
    client::{Client, MODERN, initialize, notification, tool},
    http::{self, POST},
    program::Bridge,
    script::{Exchange, Script, text},
    user::User,
};

const V: &str = "2025-11-25";

/// What a request of the bridge's own may hold.
const OWN: [&str; 11] = [
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "content-type",
    "content-length",
    "mcp-protocol-version",
    "mcp-session-id",
    "mcp-method",
    "mcp-name",
    "last-event-id",
];

/// Fails unless the bridge alone made up these headers, each once.
fn only_its_own(exchange: &Exchange) {
    let mut seen = Vec::new();
    for (name, value) in &exchange.headers {
        assert!(OWN.contains(&name.as_str()), "{name}: {value}");
        assert!(!seen.contains(&name), "{name} stands twice");
        seen.push(name);
    }
}

#[tokio::test]
async fn t16_no_header_of_a_caller_reaches_the_server_and_none_of_the_servers_the_caller() {
    let mut server = Script::start().await;
    let bridge = Bridge::start(&["serve", "--no-login", &server.url("/mcp")]).await;
    let headers = [
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=1"),
        ("TE", "trailers"),
        ("Trailer", "X-Trailer"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Proxy-Connection", "keep-alive"),
        ("Authorization", "Bearer the-callers"),
        ("Cookie", "a=b"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Mcp-Anything", "1"),
        ("Traceparent", "00-0-0-00"),
    ];
    let headers = [&POST[..], &headers].concat();
    let asked = async { bridge.ask("POST", "/mcp", &headers, &initialize("1", V)).await };
    let served = async {
        let exchange = server.post("initialize").await;
        only_its_own(&exchange);
        let body = json!({"jsonrpc": "2.0", "id": exchange.json()["id"], "result": {
            "protocolVersion": V, "capabilities": {}, "serverInfo": {"name": "s", "version": "1"},
        }});
        let odd = [
            ("Mcp-Session-Id", "the-servers"),
            ("Set-Cookie", "a=b"),
            ("Access-Control-Allow-Origin", "*"),
            ("X-Evil", "1"),
            ("Server", "evil"),
        ];
        exchange.reply(200, &odd, &body.to_string()).await;
    };
    let (answer, ()) = tokio::join!(asked, served);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    for name in ["set-cookie", "access-control-allow-origin", "x-evil", "server"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_ne!(answer.header("mcp-session-id"), Some("the-servers"), "each side has its own session");
}

/// The server's challenge is between it and the bridge: a caller that followed it would show the server's login a token
/// for the bridge.
#[tokio::test]
async fn t17b_a_servers_challenge_is_not_handed_on() {
    let mut server = Script::start().await;
    let bridge = Bridge::start(&["serve", "--no-login", &server.url("/mcp")]).await;
    let headers = [&POST[..], &[("Authorization", "Bearer the-callers")]].concat();
    let asked = async { bridge.ask("POST", "/mcp", &headers, &initialize("1", V)).await };
    let served = async {
        let exchange = server.post("initialize").await;
        assert_eq!(exchange.header("authorization"), None);
        let challenge = "Bearer realm=\"theirs\", resource_metadata=\"https://evil.example/x\"";
        exchange.reply(401, &[("WWW-Authenticate", challenge)], "their words").await;
    };
    let (answer, ()) = tokio::join!(asked, served);
    assert_ne!(answer.status(), 401, "the caller's credential is not what was refused");
    assert_eq!(answer.header("www-authenticate"), None);
    assert!(!answer.body.contains("evil.example") && !answer.body.contains("theirs"), "{}", answer.body);
    assert!(answer.json()["error"]["message"].is_string());
}

/// What a header with any text holds (2026-07-28, Streamable HTTP, Value Encoding).
fn decoded(value: &str) -> String {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap(),
        None => value.to_owned(),
    }
}

#[tokio::test]
async fn t17_a_name_with_line_breaks_stays_in_its_header() {
    let mut server = Script::start().await;
    let url = server.url("/mcp");
    let mut user = User::modern(Client::stdio(&["connect", "--server-era", "modern", &url]));
    for name in ["a\r\nX-Evil: 1", "a\nb", "a\rb", " a ", "h\u{e9}llo", "=?base64?YQ==?=", "a\u{0}b", "plain"] {
        let id = user.send("tools/call", json!({"name": name, "arguments": {}})).await;
        let exchange = loop {
            let exchange = server.expect("POST").await;
            if exchange.json()["method"] == "tools/call" {
                break exchange;
            }
            // It looks the tool up first, for what its arguments are in headers.
            only_its_own(&exchange);
            exchange.result(json!({"resultType": "complete", "tools": [], "ttlMs": 0, "cacheScope": "private"})).await;
        };
        only_its_own(&exchange);
        let value = exchange.header("mcp-name").unwrap();
        assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{value:?}");
        assert_eq!(decoded(value), name);
        assert_eq!(exchange.json()["params"]["name"], name);
        let mut result = text("done");
        result["resultType"] = json!("complete");
        exchange.result(result).await;
        assert_eq!(user.client.answer(&id).await.tool_text(), "done");
    }
}

#[tokio::test]
async fn t17_a_session_id_with_line_breaks_is_never_sent_back() {
    for id in ["a\r\nb", "a\r\n X-Evil: 1", "a\nX-Evil: 1", "a\rb", "a\u{0}b", "a\tb", "a\u{7f}"] {
        let mut server = Script::start().await;
        let url = server.url("/mcp");
        let mut client = Client::stdio(&["http-to-stdio", "--retries", "0", &url]);
        client.send(&initialize("0", V)).await;
        server.post("initialize").await.initialized(id, V).await;
        let answer = client.answer("0").await;
        if answer.json.get("error").is_some() {
            assert_eq!(client.program().code().await, 69, "{id:?}");
            continue;
        }
        // What the HTTP library takes as a header of its own is not part of the id.
        client.send(&notification("notifications/initialized")).await;
        let exchange = server.post("notifications/initialized").await;
        only_its_own(&exchange);
        assert_eq!(exchange.header("mcp-session-id"), Some("a"), "{id:?}");
    }
}

#[tokio::test]
async fn t17_an_event_id_with_line_breaks_is_cut_where_it_breaks() {
    for (id, sent) in [("7\rX-Evil: 1", Some("7")), ("7\r\nX-Evil: 1", Some("7")), ("7\u{0}8", None), ("7\u{7f}", None)]
    {
        let mut server = Script::start().await;
        let url = server.url("/mcp");
        let mut client = Client::stdio(&["http-to-stdio", &url]);
        client.send(&initialize("0", V)).await;
        server.post("initialize").await.initialized("one", V).await;
        client.answer("0").await;
        client.send(&notification("notifications/initialized")).await;
        server.post("notifications/initialized").await.reply(202, &[], "").await;
        server.expect("GET").await.reply(405, &[], "").await;
        client.send(&tool("1", "x", json!({}))).await;
        let mut sse = server.post("tools/call").await.sse().await;
        sse.raw(&format!("id: {id}\nretry: 1\ndata: \n\n")).await;
        drop(sse);
        let Some(sent) = sent else {
            // An id that no header can hold is as good as none: the fate of the call is unknown, and told.
            assert_eq!(client.answer("1").await.json["error"]["data"]["fate"], "unknown", "{id:?}");
            continue;
        };
        let exchange = server.expect("GET").await;
        only_its_own(&exchange);
        assert_eq!(exchange.header("last-event-id"), Some(sent), "{id:?}");
        let mut sse = exchange.sse().await;
        sse.message(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}]}}"#).await;
        assert_eq!(client.answer("1").await.tool_text(), "x");
    }
}

/// A carriage return is a space to JSON, and a line break to an event stream.
#[tokio::test]
async fn t17_a_message_with_line_breaks_in_it_is_one_event() {
    let answer = r#"{"jsonrpc":"2.0",\r"id":1,\r"result":{"content":[{"type":"text","text":"one"}]}}"#;
    let opened = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;
    let line = format!(
        "read -r a; printf '%s\\n' '{opened}'; read -r b; read -r c; printf '%b\\n' '{}'; cat >/dev/null",
        answer.replace('"', "\\0042")
    );
    let bridge = Bridge::start(&["serve", "--server-era", "legacy", "--shell", &line]).await;
    let mut client = Client::sse(bridge.addr, "/sse").await;
    client.initialize(V).await;
    client.send(&tool("1", "x", json!({}))).await;
    let answer = client.answer("1").await;
    assert_eq!(answer.tool_text(), "one");
    assert!(!answer.text.contains('\r'), "{:?}", answer.text);
    drop(client);
    bridge.stop().await;
}

/// A name in a header that is no text of the specification's encoding is not guessed at.
#[tokio::test]
async fn t17_a_header_with_raw_bytes_beyond_ascii_is_refused() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let user = User::modern(Client::modern(bridge.addr, "/mcp"));
    let body = user.text("1", "tools/call", json!({"name": "h\u{e9}", "arguments": {}}));
    for name in ["h\u{e9}", "h?", "=?base64?!!?="] {
        let own = [("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/call"), ("Mcp-Name", name)];
        let answer = http::ask(bridge.addr, "POST", "/mcp", &[&POST[..], &own].concat(), &body).await;
        assert_eq!(answer.status(), 400, "{name}");
    }
    assert_eq!(bridge.program.servers(), []);
    bridge.stop().await;
}
