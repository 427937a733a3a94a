//! The guard in front of every route, from outside: which `Host` and `Origin` are served, what a page can forge, what a
//! caller can change about the servers behind, and what a session's id is worth. Each case in detail is in `network`.

use std::{collections::HashSet, fs, net::SocketAddr};

use serde_json::{Value, json};

use crate::support::{
    client::{Client, MODERN, initialize, notification, tool},
    http::{self, Conn, POST, STREAM, ask_raw, request},
    program::{BINARY, Bridge},
};

/// The headers of an upgrade to WebSocket.
const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

const V: &str = "2025-06-18";

/// Method, path, headers and body.
type Ask<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

/// A request to every route, with these headers on top.
fn everywhere(headers: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let body = initialize("0", V);
    let asks = [("Access-Control-Request-Method", "POST")];
    let routes: [Ask<'_>; 11] = [
        ("POST", "/mcp", &POST, &body),
        ("GET", "/mcp", &STREAM, ""),
        ("DELETE", "/mcp", &[], ""),
        ("OPTIONS", "/mcp", &asks, ""),
        ("GET", "/sse", &STREAM, ""),
        ("OPTIONS", "/sse", &asks, ""),
        ("POST", "/messages?sessionId=0", &POST, &body),
        ("GET", "/ws", &UPGRADE, ""),
        ("GET", "/healthz", &[], ""),
        ("GET", "/readyz?format=json", &[], ""),
        ("GET", "/", &[], ""),
    ];
    let all = routes.iter().map(|(method, path, own, body)| {
        (format!("{method} {path} {headers:?}"), request(method, path, &[own, headers].concat(), body))
    });
    all.collect()
}

/// The same bytes without the header that [`request`] adds.
fn without_host(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap().replacen("Host: localhost\r\n", "", 1)
}

#[tokio::test]
async fn t1_a_host_that_is_foreign_missing_or_doubled_reaches_no_server_on_any_route() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "localhost@evil.example"] {
        for (what, bytes) in everywhere(&[("Host", host)]) {
            let answer = ask_raw(bridge.addr, &bytes).await;
            assert!(matches!(answer.status(), 403 | 400), "{what}: {answer:?}");
            assert!(host.contains('@') || answer.status() == 403, "{what}: {answer:?}");
        }
    }
    for hosts in [["localhost", "localhost"], ["localhost", "evil.example"], ["evil.example", "localhost"]] {
        for (what, bytes) in everywhere(&hosts.map(|host| ("Host", host))) {
            assert_eq!(ask_raw(bridge.addr, &bytes).await.status(), 400, "{what}");
        }
    }
    for (what, bytes) in everywhere(&[]) {
        let text = without_host(&bytes);
        assert_eq!(ask_raw(bridge.addr, text.as_bytes()).await.status(), 400, "{what}");
        let older = text.replacen("HTTP/1.1", "HTTP/1.0", 1);
        assert!(matches!(ask_raw(bridge.addr, older.as_bytes()).await.status(), 400 | 403), "HTTP/1.0 {what}");
    }
    assert_eq!(bridge.program.servers(), [], "no server saw a byte of this");
    // A URL in place of the path names a host, too.
    let absolute = request("POST", "http://evil.example/mcp", &POST, &initialize("0", V));
    assert_eq!(ask_raw(bridge.addr, &absolute).await.status(), 403);
    assert_eq!(bridge.program.servers(), []);
    let port = bridge.addr.port();
    for host in ["localhost", "LocalHost", "127.0.0.1", "[::1]", &format!("[::1]:{port}"), &format!("127.0.0.1:{port}")]
    {
        let headers = [&POST[..], &[("Host", host)]].concat();
        assert_eq!(bridge.ask("POST", "/mcp", &headers, &initialize("0", V)).await.status(), 200, "{host}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn t2_only_a_listed_origin_is_served_and_it_alone_is_echoed() {
    let origin = "https://app.example";
    let bridge = Bridge::start(&["serve", "--cors", "--allow-origin", origin, "--demo"]).await;
    for foreign in ["https://evil.example", "null", "http://app.example", "https://app.example.evil.example"] {
        for (what, bytes) in everywhere(&[("Origin", foreign)]) {
            let answer = ask_raw(bridge.addr, &bytes).await;
            assert_eq!(answer.status(), 403, "{what}");
            for name in ["access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers"]
            {
                assert_eq!(answer.header(name), None, "{what}");
            }
        }
    }
    assert_eq!(bridge.program.servers(), []);
    let asked = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
    let answers = [
        bridge.ask("OPTIONS", "/mcp", &asked, "").await,
        bridge.ask("POST", "/mcp", &[&POST[..], &asked].concat(), &initialize("0", V)).await,
        bridge.ask("POST", "/mcp", &[&POST[..], &asked].concat(), "no JSON").await,
    ];
    for answer in answers {
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
        assert!(answer.header("vary").unwrap().to_ascii_lowercase().contains("origin"), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    bridge.stop().await;
    // Nobody is listed by default, and a page that asks first is told nothing.
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let answer = bridge.ask("OPTIONS", "/mcp", &asked, "").await;
    assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (403, None));
    bridge.stop().await;
}

/// What a page may send without asking first has no effect, not even within a session whose id it knows.
#[tokio::test]
async fn t3_what_a_page_can_send_unasked_has_no_effect() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let mut http = bridge.http().await;
    let mut sse = bridge.sse().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        for client in [&http, &sse] {
            let (addr, path, headers) = client.door_and_headers();
            let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            headers.retain(|(name, _)| *name != "Content-Type");
            headers.push(("Content-Type", kind));
            let answer = http::ask(addr, "POST", &path, &headers, &tool("1", "toggle", json!({}))).await;
            assert_eq!(answer.refusal().0, 415, "{path} {kind}");
        }
    }
    for client in [&mut http, &mut sse] {
        let tools = client.request("tools/list", json!({})).await;
        assert!(!tools.text.contains("\"extra\""), "a tool was called: {}", tools.text);
        assert_eq!(client.kept("notifications/tools/list_changed").map(|message| message.text), None);
    }
    bridge.stop().await;
}

/// Starts a server that writes down what it was started as, each process into a file of its own.
async fn recorded(dir: &tempfile::TempDir) -> Bridge {
    let at = dir.path().to_str().unwrap();
    let line = format!(
        "{{ tr '\\0' '\\n' < /proc/$$/cmdline; env | sort; pwd; }} > {at}/new.$$ && mv {at}/new.$$ {at}/started.$$; \
         exec '{BINARY}' demo-server"
    );
    Bridge::start(&["serve", "--shell", &line]).await
}

/// How each server was started.
fn starts(dir: &tempfile::TempDir) -> Vec<String> {
    let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let started = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("started."));
    started.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test]
async fn t8_nothing_that_a_caller_sends_changes_how_its_server_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let bridge = recorded(&dir).await;
    let mut plain = bridge.http().await;
    plain.check("plain").await;

    let query = "command=touch&args=x&cwd=/tmp&env=EVIL%3D1&transportType=stdio&url=http://evil.example";
    let path = format!("/mcp?{query}");
    let mut client = Client::http(bridge.addr, &path);
    for (name, value) in [
        ("X-Mcp-Command", "touch pwned"),
        ("X-Mcp-Env", "EVIL=1"),
        ("X-Env-Evil", "1"),
        ("Mcp-Param-Command", "touch"),
        ("LD_PRELOAD", "/tmp/evil.so"),
        ("X-Original-Url", "http://evil.example/mcp"),
        ("X-Mcp-Cwd", "/tmp"),
    ] {
        client = client.with_header(name, value);
    }
    let mut message: Value = serde_json::from_str(&initialize("0", V)).unwrap();
    for (name, value) in [
        ("command", json!("touch")),
        ("args", json!(["pwned"])),
        ("env", json!({"EVIL": "1"})),
        ("cwd", json!("/tmp")),
        ("url", json!("http://evil.example")),
    ] {
        message["params"][name] = value.clone();
        message["params"]["_meta"][name] = value;
    }
    client.send(&message.to_string()).await;
    assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], V);
    client.send(&notification("notifications/initialized")).await;
    client.check("evil").await;
    let mut sse = Client::sse(bridge.addr, &format!("/sse?{query}")).await;
    sse.initialize(V).await;
    let mut ws = Client::ws(bridge.addr, &format!("/ws?{query}")).await;
    ws.initialize(V).await;

    let started = starts(&dir);
    assert_eq!(started.len(), 4);
    assert!(started.iter().all(|start| *start == started[0]), "{started:#?}");
    drop((plain, client, sse, ws));
    bridge.stop().await;
}

#[tokio::test]
async fn t8_a_servers_name_is_taken_as_it_is_or_not_at_all() {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    let servers = json!({"mcpServers": {"one": {"command": BINARY, "args": ["demo-server"]}}});
    fs::write(file.path(), servers.to_string()).unwrap();
    let bridge = Bridge::start(&["serve", "--config", file.path().to_str().unwrap()]).await;
    for name in [
        "..",
        "../..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%6fne",
        "one%2f",
        "one%00",
        "one/../one",
        "./one",
        "/one",
        "ONE",
        "two/../one",
        "/etc/passwd",
        "C:%5Cone",
        "one;touch%20pwned",
        "",
    ] {
        for (method, end, headers, body) in
            [("POST", "mcp", &POST[..], initialize("0", V)), ("GET", "sse", &STREAM[..], String::new())]
        {
            let path = format!("/servers/{name}/{end}");
            assert_eq!(bridge.ask(method, &path, headers, &body).await.status(), 404, "{path}");
        }
    }
    assert_eq!(bridge.program.servers(), []);
    assert_eq!(bridge.ask("POST", "/servers/one/mcp", &POST, &initialize("0", V)).await.status(), 200);
    bridge.stop().await;
}

/// Opens and ends a session; gives its id.
async fn session(conn: &mut Conn) -> String {
    conn.send(&request("POST", "/mcp", &POST, &initialize("0", V))).await;
    let opened = conn.response().await;
    assert_eq!(opened.status(), 200, "{}", opened.body);
    let id = opened.header("mcp-session-id").unwrap().to_owned();
    conn.send(&request("DELETE", "/mcp", &[("Mcp-Session-Id", &id)], "")).await;
    assert!(matches!(conn.response().await.status(), 200 | 204));
    id
}

#[tokio::test]
async fn t14_ten_thousand_session_ids_can_neither_be_guessed_nor_put_in_order() {
    const MANY: usize = 10_000;
    let bridge = Bridge::start(&["serve", "--shared", "--demo"]).await;
    let mut conn = Conn::open(bridge.addr).await;
    let mut ids = Vec::new();
    for _ in 0..MANY {
        ids.push(session(&mut conn).await);
    }
    assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_graphic())));
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), MANY, "none comes twice");
    // How much each place can hold, as far as so many ids show it.
    let places = (0..ids[0].len()).map(|at| ids.iter().map(|id| id.as_bytes()[at]).collect::<HashSet<_>>().len());
    let bits: f64 = places.map(|values| (values as f64).log2()).sum();
    assert!(bits >= 121.99, "{bits} random bits in {}", ids[0]);
    let rises = ids.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((4_500..5_500).contains(&rises), "{rises} of {MANY} come in order");
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let over = [&POST[..], &[("Mcp-Session-Id", ids[0].as_str())]].concat();
    assert_eq!(bridge.ask("POST", "/mcp", &over, ping).await.status(), 404);
    assert_eq!(bridge.post(ping).await.status(), 400);
    bridge.stop().await;
}

#[tokio::test]
async fn t15_a_second_stream_is_refused_and_starves_not_the_first() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let mut client = bridge.http().await;
    client.listen().await;
    let headers = [STREAM[0], ("Mcp-Session-Id", client.session())];
    assert_eq!(bridge.ask("GET", "/mcp", &headers, "").await.status(), 409);
    // A principal is none either that only knows an id.
    let foreign = [STREAM[0], ("Mcp-Session-Id", client.session()), ("Last-Event-ID", "0-1")];
    assert_eq!(bridge.ask("GET", "/mcp", &foreign, "").await.status(), 400);
    client.call("toggle", json!({})).await;
    client.message("notifications/tools/list_changed").await;
    drop(client);
    bridge.stop().await;
}

/// Requests that claim to be somebody's, or something else than they are.
#[tokio::test]
async fn t16_no_header_but_the_credential_opens_the_door_and_none_overrides_the_body() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    fs::write(&file, "ann: s3cret\n").unwrap();
    let bridge = Bridge::start(&["serve", "--bearer-token-file", file.to_str().unwrap(), "--demo"]).await;
    for (name, value) in [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-User", "ann"),
        ("X-Forwarded-Host", "localhost"),
        ("Forwarded", "for=127.0.0.1;host=localhost"),
        ("X-Real-IP", "127.0.0.1"),
        ("X-Remote-User", "ann"),
        ("X-Mcp-Principal", "ann"),
        ("X-Mcp-Auth", "s3cret"),
        ("X-Api-Key", "s3cret"),
        ("X-Original-Url", "/healthz"),
        ("X-Rewrite-Url", "/healthz"),
        ("X-Http-Method-Override", "GET"),
        ("Proxy-Authorization", "Bearer s3cret"),
        ("Cookie", "Authorization=Bearer s3cret"),
    ] {
        let headers = [&POST[..], &[(name, value)]].concat();
        assert_eq!(bridge.ask("POST", "/mcp", &headers, &initialize("0", V)).await.status(), 401, "{name}");
    }
    assert_eq!(bridge.ask("POST", "/mcp?access_token=s3cret", &POST, &initialize("0", V)).await.status(), 401);
    assert_eq!(bridge.program.servers(), []);
    bridge.stop().await;

    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let foreign = [("Host", "evil.example"), ("X-Forwarded-Host", "localhost")];
    let headers = [&POST[..], &foreign].concat();
    assert_eq!(bridge.ask("POST", "/mcp", &headers, &initialize("0", V)).await.status(), 403);
    // What is said of a proxy in front changes nothing that clients are told.
    let mut conn = Conn::open(bridge.addr).await;
    let claims =
        [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Prefix", "/evil")];
    conn.send(&request("GET", "/sse", &[&STREAM[..], &claims].concat(), "")).await;
    let head = conn.head().await;
    let endpoint = head.body(conn).events().next().await.unwrap().data.unwrap();
    assert!(!endpoint.contains("evil"), "{endpoint}");
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "echo", "arguments": {"message": "x"}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }})
    .to_string();
    let modern = |method: &'static str, name: &'static str| {
        [&POST[..], &[("MCP-Protocol-Version", MODERN), ("Mcp-Method", method), ("Mcp-Name", name)]].concat()
    };
    let addr: SocketAddr = bridge.addr;
    let ask = async |headers: Vec<(&str, &str)>| http::ask(addr, "POST", "/mcp", &headers, &body).await.status();
    assert_eq!(ask(modern("tools/call", "other")).await, 400);
    assert_eq!(ask(modern("tools/list", "echo")).await, 400);
    assert_eq!(ask([modern("tools/call", "echo"), vec![("Mcp-Name", "other")]].concat()).await, 400);
    assert_eq!(ask(modern("tools/call", "echo")).await, 200);
    bridge.stop().await;
}
