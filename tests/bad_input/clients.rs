//! Messages and connections of clients that are not as they should be.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::V;
use crate::support::{
    client::{Client, Kind, notification, tool},
    http::{Conn, POST, Response, STREAM, ask_raw, request},
    program::Bridge,
    soon,
};

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
