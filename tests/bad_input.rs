//! Bad input, and the exact answer to each: on the command line, from clients on every wire, from servers of every kind.

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use crate::support::{
    client::{Client, Kind, On, initialize, notification, tool},
    http::{Conn, POST, Response, STREAM, ask_raw, request},
    program::{Bridge, Program},
    script::{Script, initialize_result, text},
    soon,
};

const V: &str = "2025-06-18";

// ---- the command line

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

// ---- where a server is said to be

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
        assert_eq!(text, "there is nothing at this path; the bridge serves /mcp (Streamable HTTP) and /sse (SSE)");
    }
    let url = bridge.url("/wrong");
    // The server's own error is the answer; it is what says where to go.
    for command in ["connect", "http-to-stdio"] {
        let mut client = Client::stdio(&[command, &url]);
        client.send(&initialize("0", V)).await;
        let text = client.answer("0").await.text;
        assert!(text.contains("the bridge serves /mcp (Streamable HTTP) and /sse (SSE)"), "{text}");
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
        let mut client = Client::stdio(&["http-to-stdio", &url]);
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

// ---- messages from clients

/// A bad body, and status, code and message of its refusal.
fn bad_bodies() -> Vec<(&'static str, Vec<u8>, u16, i64, &'static str)> {
    let bomb = |open: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}"#, open.repeat(100_000));
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let long_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"x"}}"#, "i".repeat(5000));
    vec![
        ("half", br#"{"jsonrpc":"2.0","#.to_vec(), 400, -32700, "the message is not JSON: EOF while parsing"),
        ("words", b"hello".to_vec(), 400, -32700, "the message is not JSON: "),
        (
            "trailing",
            br#"{"jsonrpc":"2.0","method":"x"}{}"#.to_vec(),
            400,
            -32700,
            "the message is not JSON: trailing characters",
        ),
        ("comment", br#"{"jsonrpc":"2.0",/*c*/"method":"x"}"#.to_vec(), 400, -32700, "the message is not JSON: "),
        (
            "NaN",
            br#"{"jsonrpc":"2.0","method":"x","params":{"n":NaN}}"#.to_vec(),
            400,
            -32700,
            "the message is not JSON: ",
        ),
        (
            "UTF-8",
            b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}".to_vec(),
            400,
            -32700,
            "the message is not UTF-8 (first bad byte at 27)",
        ),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec(), 400, -32700, "the message is not UTF-8 (first bad byte at 0)"),
        ("bomb", bomb("[").into(), 400, -32600, "the message is nested deeper than 128 levels"),
        ("bomb of objects", bomb("{\"a\":").into(), 400, -32600, "the message is nested deeper than 128 levels"),
        ("deep", deep.into(), 400, -32600, "the message is nested deeper than 128 levels"),
        (
            "long id",
            long_id.into(),
            400,
            -32600,
            "not a JSON-RPC 2.0 message: \"id\" must be a string or a number of at most 1024 bytes",
        ),
        (
            "null id",
            br#"{"jsonrpc":"2.0","id":null,"method":"x"}"#.to_vec(),
            400,
            -32600,
            "not a JSON-RPC 2.0 message: \"id\" must be a string or a number of at most 1024 bytes",
        ),
        (
            "array id",
            br#"{"jsonrpc":"2.0","id":[1],"method":"x"}"#.to_vec(),
            400,
            -32600,
            "not a JSON-RPC 2.0 message: \"id\"",
        ),
        (
            "version",
            br#"{"jsonrpc":"1.0","id":1,"method":"x"}"#.to_vec(),
            400,
            -32600,
            "not a JSON-RPC 2.0 message: \"jsonrpc\" must be \"2.0\"",
        ),
        ("number", b"7".to_vec(), 400, -32600, "not a JSON-RPC 2.0 message: "),
        (
            "two methods",
            br#"{"jsonrpc":"2.0","method":"x","method":"y"}"#.to_vec(),
            400,
            -32600,
            "not a JSON-RPC 2.0 message: duplicate field `method`",
        ),
        (
            "neither",
            br#"{"jsonrpc":"2.0","id":1}"#.to_vec(),
            400,
            -32600,
            "not a JSON-RPC 2.0 message: it must have one of",
        ),
        ("large", vec![b'x'; 1_100_000], 413, -32600, "the message is larger than 1048576 bytes (--max-message)"),
    ]
}

/// POSTs bytes that need not be text.
async fn post(client: &Client, body: &[u8]) -> Response {
    let (addr, path, headers) = client.door_and_headers();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let length = body.len().to_string();
    let headers = [&headers[..], &[("Content-Length", length.as_str())]].concat();
    ask_raw(addr, &[&request("POST", &path, &headers, "")[..], body].concat()).await
}

#[tokio::test]
async fn bad_bodies_over_the_network() {
    let bridge = Bridge::demo(&["serve", "--max-message", "1MiB"]).await;
    let (mut http, mut sse) = (bridge.client(Kind::Http).await, bridge.client(Kind::Sse).await);
    for client in [&mut http, &mut sse] {
        for (name, body, status, code, text) in bad_bodies() {
            let refusal = post(client, &body).await.refusal();
            assert_eq!((refusal.0, refusal.1, &refusal.2), (status, code, &Value::Null), "{name}");
            assert!(refusal.3.starts_with(text), "{name}: {}", refusal.3);
        }
        client.check("none of it did harm").await;
        assert!(client.rest().is_empty(), "{:?}", client.rest());
    }
    drop((http, sse));
    bridge.stop().await;
}

#[tokio::test]
async fn bad_lines_on_stdio() {
    let bridge = Bridge::demo(&["serve"]).await;
    for path in ["/mcp", "/sse"] {
        let mut client = Client::stdio(&["connect", "--max-message", "1MiB", &bridge.url(path)]);
        client.initialize(V).await;
        for (name, body, _, code, text) in bad_bodies() {
            let stdin = client.program().stdin.as_mut().unwrap();
            soon("room on stdin", stdin.write_all(&[&body[..], b"\n"].concat())).await.unwrap();
            let answer = client.answer("null").await;
            assert_eq!(answer.error().0, code, "{name}");
            assert!(answer.error().1.starts_with(text), "{name}: {}", answer.text);
        }
        client.check("none of it did harm").await;
        assert!(client.finish().await.is_empty());
    }
    bridge.stop().await;
}

/// What was inspected is what is sent: names differ by case, and look-alikes are other names.
#[tokio::test]
async fn look_alikes_are_refused_and_never_guessed_at() {
    let bridge = Bridge::demo(&["serve"]).await;
    let client = bridge.http().await;
    for body in
        [r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#, "{\"j\u{017f}onrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"]
    {
        assert_eq!(client.post(body).await.refusal().0, 400, "{body}");
    }
    // A byte order mark is no part of JSON.
    assert_eq!(client.post("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}").await.refusal().1, -32700);
    bridge.stop().await;
}

#[tokio::test]
async fn a_batch_where_the_revision_has_none() {
    let bridge = Bridge::demo(&["serve"]).await;
    let (http, sse) = (bridge.http().await, bridge.sse().await);
    let batch = format!("[{},{}]", tool("1", "echo", json!({"message": "x"})), notification("x"));
    let (status, code, _, text) = http.post(&batch).await.refusal();
    assert_eq!((status, code), (400, -32600));
    assert_eq!(text, "a batch is only part of revision 2025-03-26; send each message on its own");
    let (status, code, _, text) = sse.post(&batch).await.refusal();
    assert_eq!((status, code), (400, -32600));
    assert_eq!(text, "not a JSON-RPC 2.0 message: a batch is not part of this transport");
    drop((http, sse));
    bridge.stop().await;
}

#[tokio::test]
async fn an_id_that_is_in_flight() {
    let bridge = Bridge::demo(&["serve"]).await;
    let mut client = bridge.http().await;
    client.send(&tool("7", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
    client.check("in flight").await;
    let refusal = client.post(&tool("7", "echo", json!({"message": "x"}))).await.refusal();
    let expected = "this id is in use by a request that is still in flight".to_string();
    assert_eq!(refusal, (400, -32600, json!(7), expected));
    drop(client);
    let mut way = Client::stdio(&["connect", &bridge.url("/mcp")]);
    way.initialize(V).await;
    way.send(&tool("7", "slow", json!({"steps": 1, "step_ms": 600_000}))).await;
    way.send(&tool("7", "echo", json!({"message": "x"}))).await;
    assert_eq!(way.answer("7").await.error(), (-32600, "this id is in use by a request that is still in flight"));
    drop(way);
    bridge.program.signal(rustix::process::Signal::KILL);
}

#[tokio::test]
async fn headers_that_do_not_fit() {
    let bridge = Bridge::demo(&["serve"]).await;
    let client = bridge.http().await;
    let session = ("Mcp-Session-Id", client.session());
    let call = tool("1", "echo", json!({"message": "x"}));
    let (json_type, both) = (POST[0], POST[1]);
    let none = "the Mcp-Session-Id header is missing; send initialize first, and then the id that its answer carries";
    let unknown = "no such session, or it has ended; send initialize again, without the Mcp-Session-Id header";
    let accept = "the Accept header must list both application/json and text/event-stream";
    let content = "the Content-Type must be application/json (charset utf-8)";
    let version = "MCP-Protocol-Version \"1999-01-01\" is not supported; supported are 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25";
    let gzip = "a compressed body is not accepted; send it without Content-Encoding";
    for (headers, status, text) in [
        (vec![json_type, both], 400, none),
        (vec![json_type, both, ("Mcp-Session-Id", "00000000000000000000000000000000")], 404, unknown),
        (vec![json_type, both, ("Mcp-Session-Id", "../../etc/passwd")], 404, unknown),
        (vec![json_type, session, ("Accept", "application/json")], 406, accept),
        (vec![both, session, ("Content-Type", "text/plain")], 415, content),
        (vec![both, session], 415, content),
        (vec![json_type, both, session, ("MCP-Protocol-Version", "1999-01-01")], 400, version),
        (vec![json_type, both, session, ("Content-Encoding", "gzip")], 415, gzip),
    ] {
        let (got, code, id, message) = bridge.ask("POST", "/mcp", &headers, &call).await.refusal();
        assert_eq!((got, code, id, message.as_str()), (status, -32600, Value::Null, text), "{headers:?}");
    }
    for (method, path, allow) in
        [("PUT", "/mcp", "POST, GET, DELETE"), ("POST", "/sse", "GET"), ("GET", "/messages", "POST")]
    {
        let response = bridge.ask(method, path, &[], "").await;
        assert_eq!((response.refusal().0, response.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    let (status, _, _, text) = bridge.ask("POST", "/messages", &POST, &call).await.refusal();
    assert_eq!((status, text.as_str()), (400, "the session is missing; POST to the URL that the endpoint event gave"));
    let (status, _, _, text) = bridge.ask("POST", "/messages?sessionId=1", &POST, &call).await.refusal();
    assert_eq!(
        (status, text.as_str()),
        (404, "no such session: its event stream has closed, or never was; open another one")
    );
    bridge.stop().await;
}

/// What is no HTTP at all, or says two things at once, is refused before anything of it is read as a request.
#[tokio::test]
async fn broken_http() {
    let bridge = Bridge::demo(&["serve"]).await;
    for (bytes, status) in [
        (&b"hello\r\n\r\n"[..], 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 400),
        (b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n", 400),
    ] {
        let mut conn = Conn::open(bridge.addr).await;
        conn.send(bytes).await;
        let head = soon("a refusal or the end", conn.try_head()).await;
        assert_eq!(head.map(|head| head.status), Some(status), "{:?}", String::from_utf8_lossy(bytes));
    }
    let mut conn = Conn::open(bridge.addr).await;
    conn.try_send(format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n", "x".repeat(300_000)).as_bytes()).await;
    let head = soon("a refusal or the end", conn.try_head()).await;
    assert!(head.is_none_or(|head| matches!(head.status, 414 | 431)));
    bridge.http().await.check("none of it did harm").await;
    bridge.stop().await;
}

// ---- sockets that are half closed

/// A client that has ended its sending half has hung up, as far as HTTP servers can tell: its connection ends. Its
/// session does not, and what was asked is answered to whoever comes back.
#[tokio::test]
async fn a_client_that_half_closes_has_hung_up() {
    let bridge = Bridge::demo(&["serve"]).await;
    let mut client = bridge.http().await;
    let (_, _, headers) = client.door_and_headers();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut conn = Conn::open(bridge.addr).await;
    conn.send(&request("POST", "/mcp", &headers, &tool("1", "slow", json!({"steps": 1, "step_ms": 600_000})))).await;
    client.check("the session goes on").await;
    conn.close_sending().await;
    assert_eq!(conn.closed().await, b"");
    client.check("the session still goes on").await;
    let mut conn = Conn::open(bridge.addr).await;
    conn.send(&request("GET", "/sse", &STREAM, "")).await;
    assert_eq!(conn.head().await.status, 200);
    assert_eq!(bridge.program.servers().len(), 2);
    conn.close_sending().await;
    conn.closed().await;
    crate::support::eventually("the end of its server", || (bridge.program.servers().len() == 1).then_some(())).await;
    // In the middle of a body.
    let mut conn = Conn::open(bridge.addr).await;
    let headers = [&headers[..], &[("Content-Length", "1000")]].concat();
    conn.send(&request("POST", "/mcp", &headers, "{\"json")).await;
    conn.close_sending().await;
    let rest = String::from_utf8(conn.closed().await).unwrap();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{rest}");
    client.check("and still").await;
    drop(client);
    bridge.program.signal(rustix::process::Signal::KILL);
}

/// A client on stdio that closes its half still gets its answers: that is how its end is told.
#[tokio::test]
async fn a_client_on_stdio_that_half_closes_gets_its_answers() {
    let bridge = Bridge::demo(&["serve"]).await;
    for path in ["/mcp", "/sse"] {
        let mut client = Client::stdio(&["connect", &bridge.url(path)]);
        client.initialize(V).await;
        client.send(&tool("1", "slow", json!({"steps": 1, "step_ms": 300}))).await;
        // A last line without its end still counts.
        let last = tool("2", "echo", json!({"message": "unfinished line"}));
        client.program().stdin.as_mut().unwrap().write_all(last.as_bytes()).await.unwrap();
        drop(client.program().stdin.take());
        assert_eq!(client.answer("2").await.tool_text(), "unfinished line");
        assert_eq!(client.answer("1").await.tool_text(), "Did 1 steps.");
        assert_eq!(client.program().code().await, 0);
    }
    bridge.stop().await;
}

// ---- servers

/// The handshake of a client with a scripted server.
async fn open(client: &mut Client, script: &mut Script) {
    client.send(&initialize("0", V)).await;
    script.post("initialize").await.initialized("one", V).await;
    client.answer("0").await;
    client.send(&notification("notifications/initialized")).await;
    script.post("notifications/initialized").await.reply(202, &[], "").await;
    script.expect("GET").await.reply(405, &[], "").await;
}

/// The answer of a child that is over the limit is an error to its call, and the next answer comes.
#[tokio::test]
async fn an_over_long_answer_of_a_child() {
    let bridge = Bridge::demo(&["serve", "--max-message", "64KiB"]).await;
    for kind in [Kind::Sse, Kind::Http] {
        let mut client = bridge.client(kind).await;
        let answer = client.call("big", json!({"bytes": 100_000})).await;
        assert_eq!(answer.error().0, -32603, "{}", answer.text);
        assert!(answer.error().1.contains("larger than 65536 bytes (--max-message)"), "{}", answer.text);
        client.check("the next one").await;
    }
    bridge.stop().await;
}

#[tokio::test]
async fn an_over_long_answer_of_a_remote_server() {
    let mut script = Script::start().await;
    let mut client = Client::stdio(&["http-to-stdio", "--max-message", "64KiB", &script.url("/mcp")]);
    open(&mut client, &mut script).await;
    client.send(&tool("1", "big", json!({}))).await;
    script.post("tools/call").await.result(text(&"x".repeat(100_000))).await;
    let answer = client.answer("1").await;
    assert!(
        answer.error().1.ends_with("sent an answer larger than 65536 bytes; raise --max-message"),
        "{}",
        answer.text
    );
    client.send(&tool("2", "big", json!({}))).await;
    let mut sse = script.post("tools/call").await.sse().await;
    sse.message(&json!({"jsonrpc": "2.0", "id": 2, "result": text(&"x".repeat(100_000))}).to_string()).await;
    let answer = client.answer("2").await;
    assert!(answer.error().1.contains("65536"), "{}", answer.text);
    client.send(&tool("3", "small", json!({}))).await;
    script.post("tools/call").await.result(text("fine")).await;
    assert_eq!(client.answer("3").await.tool_text(), "fine");
}

/// Events that are no messages are dropped, and the stream goes on.
#[tokio::test]
async fn garbage_on_the_streams_of_remote_servers() {
    let garbage = "data: no json\n\n: comment\n\nevent: other\ndata: {}\n\nid: 1\n\ndata\n\nunknown: x\n\n\
                   data: {\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}\n\ndata: []\n\n\
                   data: {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n\n";
    let mut script = Script::start().await;
    let mut client = Client::stdio(&["http-to-stdio", &script.url("/mcp")]);
    open(&mut client, &mut script).await;
    client.send(&tool("1", "x", json!({}))).await;
    let mut sse = script.post("tools/call").await.sse().await;
    sse.raw("data: no json\n\n: comment\n\nevent: other\ndata: {}\n\ndata\n\nunknown: x\n\ndata: []\n\n").await;
    sse.message(&json!({"jsonrpc": "2.0", "id": 1, "result": text("after all")}).to_string()).await;
    assert_eq!(client.answer("1").await.tool_text(), "after all");

    let mut script = Script::start().await;
    let mut client = Client::stdio(&["sse-to-stdio", &script.url("/sse")]);
    client.send(&initialize("0", V)).await;
    let mut sse = script.expect("GET").await.sse().await;
    sse.raw("\u{feff}event: endpoint\r\ndata: /messages\r\n\r\n").await;
    script.post("initialize").await.reply(202, &[], "").await;
    sse.raw(garbage).await;
    sse.message(&json!({"jsonrpc": "2.0", "id": 0, "result": initialize_result(V)}).to_string()).await;
    assert_eq!(client.next().await.json["id"], 0, "and nothing of the garbage");
}

/// Where a server of the older transport sends its clients: never to another origin.
#[tokio::test]
async fn an_endpoint_of_another_origin() {
    for endpoint in
        ["http://evil.example/messages", "//evil.example/messages", "javascript:alert(1)", "http://u:p@127.0.0.1/", ""]
    {
        let mut script = Script::start().await;
        let url = script.url("/sse");
        let mut client = Client::stdio(&["sse-to-stdio", "--retries", "0", &url]);
        client.send(&initialize("0", V)).await;
        let mut sse = script.expect("GET").await.sse().await;
        sse.raw(&format!("event: endpoint\ndata: {endpoint}\n\n")).await;
        let answer = client.answer("0").await;
        let start = format!("{url} does not speak MCP over SSE: its endpoint event ");
        assert!(answer.error().1.starts_with(&start), "{endpoint}: {}", answer.text);
        assert_eq!(client.program().code().await, 69);
        assert!(script.rest().is_empty(), "no message was sent anywhere");
    }
}

/// A redirect to another origin: a GET follows without credentials, a message does not follow at all unless the method is
/// kept, and then without what belongs to the first origin.
#[tokio::test]
async fn a_redirect_to_another_origin_carries_nothing() {
    let (mut first, mut second) = (Script::start().await, Script::start().await);
    let url = first.url("/mcp");
    let secret = ["--bearer", "t0p", "-H", "X-Api-Key: k3y"];
    let mut client = Client::stdio(&[&["http-to-stdio", "--retries", "0"], &secret[..], &[&url]].concat());
    client.send(&initialize("0", V)).await;
    let post = first.post("initialize").await;
    assert_eq!((post.header("authorization"), post.header("x-api-key")), (Some("Bearer t0p"), Some("k3y")));
    post.reply(307, &[("Location", &second.url("/mcp"))], "").await;
    let post = second.post("initialize").await;
    assert_eq!((post.header("authorization"), post.header("x-api-key")), (None, None));
    post.initialized("theirs", V).await;
    client.answer("0").await;
    // The session is the second server's: its id goes there, and the first server's credentials still do not.
    client.send(&notification("notifications/initialized")).await;
    let post = second.post("notifications/initialized").await;
    assert_eq!((post.header("mcp-session-id"), post.header("authorization")), (Some("theirs"), None));
    post.reply(202, &[], "").await;
    second.expect("GET").await.reply(405, &[], "").await;
    client.send(&tool("1", "x", json!({}))).await;
    second.post("tools/call").await.reply(307, &[("Location", &first.url("/mcp"))], "").await;
    let post = first.post("tools/call").await;
    assert_eq!(post.header("mcp-session-id"), None, "the session's id stays with its server");
    post.result(text("x")).await;
    client.answer("1").await;
    // 302 would turn the message into a GET.
    let mut third = Script::start().await;
    let mut client = Client::stdio(&["http-to-stdio", "--retries", "0", &third.url("/mcp")]);
    client.send(&initialize("0", V)).await;
    third.post("initialize").await.reply(302, &[("Location", &second.url("/mcp"))], "").await;
    let answer = client.answer("0").await;
    assert!(answer.error().1.contains("it redirects messages to another origin"), "{}", answer.text);
    assert_eq!(client.program().code().await, 69);
}

/// `retry` of nothing and of ages is brought within bounds: the stream is asked for again, neither at once without end nor
/// never.
#[tokio::test]
async fn a_retry_of_zero_or_for_ever() {
    for retry in ["0", "1000000000000000000"] {
        let mut script = Script::start().await;
        let mut client = Client::stdio(&["http-to-stdio", &script.url("/mcp")]);
        client.send(&initialize("0", "2025-11-25")).await;
        script.post("initialize").await.initialized("one", "2025-11-25").await;
        client.answer("0").await;
        client.send(&notification("notifications/initialized")).await;
        script.post("notifications/initialized").await.reply(202, &[], "").await;
        script.expect("GET").await.reply(405, &[], "").await;
        client.send(&tool("1", "x", json!({}))).await;
        let mut sse = script.post("tools/call").await.sse().await;
        sse.raw(&format!("id: a\nretry: {retry}\ndata: \n\n")).await;
        drop(sse);
        if retry == "0" {
            // Attempts that bring nothing come further and further apart, and end.
            let begun = std::time::Instant::now();
            for _ in 0..3 {
                script.expect("GET").await.reply(500, &[], "").await;
            }
            assert!(begun.elapsed().as_millis() > 10, "attempts without a pause");
        }
        // The upper bound is half a minute or so: not waited for here. The client is not held up by it.
        drop(client.program().stdin.take());
        drop(client);
    }
}

/// A session id that would break out of its header.
#[tokio::test]
async fn a_session_id_that_is_no_plain_text() {
    for id in ["a b", "", "\u{e9}"] {
        let mut script = Script::start().await;
        let url = script.url("/mcp");
        let mut client = Client::stdio(&["http-to-stdio", "--retries", "0", &url]);
        client.send(&initialize("0", V)).await;
        script.post("initialize").await.initialized(id, V).await;
        let answer = client.answer("0").await;
        let expected = format!("{url} sent an Mcp-Session-Id that is not visible ASCII; it is not a conforming server");
        assert_eq!(answer.error().1, expected);
        assert_eq!(client.program().code().await, 69);
    }
}

/// Over the stream of a call that nobody reads any more, and on one that was never there.
#[tokio::test]
async fn answers_to_nothing_are_dropped() {
    let bridge = Bridge::demo(&["serve"]).await;
    for kind in [Kind::Sse, Kind::Http] {
        let mut client = bridge.client(kind).await;
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"m"}}"#,
        ] {
            client.send(text).await;
        }
        client.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"none"}}"#).await;
        client
            .send(
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"none","progress":1}}"#,
            )
            .await;
        client.check("nothing happened").await;
        assert!(client.finish().await.iter().all(|message| message.on != On::Pipe));
    }
    bridge.stop().await;
}
