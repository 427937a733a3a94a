//! WebSocket with the real binary: as a client of a server of another implementation, and end to end.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        protocol::CloseFrame,
    },
};

use crate::support::{
    client::{Client, initialize, notification, tool},
    processes,
    program::Bridge,
    script::{initialize_result, text},
    soon,
};

const V: &str = "2025-11-25";

/// A server that the test plays.
struct Server(TcpListener);

impl Server {
    async fn start() -> (Server, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws?key=s3cret", listener.local_addr().unwrap());
        (Server(listener), url)
    }

    async fn stream(&self) -> TcpStream {
        soon("a connection", self.0.accept()).await.unwrap().0
    }

    /// The next connection, and the headers that asked for it.
    async fn accept(&self) -> (Line, http::HeaderMap) {
        let stream = self.stream().await;
        let mut headers = http::HeaderMap::new();
        // The type of the error is the library's.
        #[allow(clippy::result_large_err)]
        let callback = |request: &Request, mut response: Response| {
            assert_eq!(request.uri(), "/ws?key=s3cret");
            headers = request.headers().clone();
            response.headers_mut().insert("sec-websocket-protocol", "mcp".parse().unwrap());
            Ok(response)
        };
        let socket = soon("the upgrade", accept_hdr_async(stream, callback)).await.unwrap();
        (Line(socket), headers)
    }

    /// The same, with the handshake done.
    async fn session(&self, client: &mut Client) -> Line {
        client.send(&initialize("0", V)).await;
        let mut line = self.accept().await.0;
        line.initialize().await;
        client.answer("0").await;
        client.send(&notification("notifications/initialized")).await;
        assert_eq!(line.hear().await["method"], "notifications/initialized");
        line
    }

    /// Answers a request for an upgrade with this.
    async fn answer(&self, response: &str) {
        let mut stream = self.stream().await;
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(soon("the request", tokio::io::AsyncReadExt::read_u8(&mut stream)).await.unwrap());
        }
        stream.write_all(response.as_bytes()).await.unwrap();
    }
}

/// One connection, at the server's end.
struct Line(WebSocketStream<TcpStream>);

impl Line {
    async fn message(&mut self) -> Option<Message> {
        soon("a message", self.0.next()).await.map(|message| message.unwrap())
    }

    async fn hear_text(&mut self) -> String {
        loop {
            match self.message().await {
                Some(Message::Text(text)) => return text.as_str().to_owned(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("no message: {other:?}"),
            }
        }
    }

    async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.hear_text().await).unwrap()
    }

    async fn say(&mut self, value: &Value) {
        self.0.send(Message::text(value.to_string())).await.unwrap();
    }

    async fn result(&mut self, request: &Value, result: Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).await;
    }

    /// Answers `initialize`; gives it.
    async fn initialize(&mut self) -> Value {
        let request = self.hear().await;
        assert_eq!(request["method"], "initialize");
        self.result(&request, initialize_result(V)).await;
        request
    }

    /// The code that the client closes with.
    async fn close_code(&mut self) -> u16 {
        loop {
            match self.message().await {
                Some(Message::Close(frame)) => return frame.map_or(1005, |frame| frame.code.into()),
                Some(_) => {}
                None => panic!("no close frame"),
            }
        }
    }
}

#[tokio::test]
async fn messages_cross_with_their_ids_and_the_headers_are_sent() {
    let (server, url) = Server::start().await;
    let mut client = Client::stdio(&["ws-to-stdio", "-H", "X-Key: 7", "--bearer", "t0p", &url]);
    client.send(&initialize(r#""first""#, V)).await;
    let (mut line, headers) = server.accept().await;
    assert_eq!(headers["x-key"], "7");
    assert_eq!(headers["authorization"], "Bearer t0p");
    assert_eq!(headers["sec-websocket-protocol"], "mcp");
    assert!(!headers.contains_key("sec-websocket-extensions"));
    assert_eq!(line.initialize().await["params"]["clientInfo"]["name"], "test");
    client.answer(r#""first""#).await;
    for id in [r#""a:b""#, "0", "9007199254740991", "-7", "1.0"] {
        client.send(&tool(id, "x", json!({}))).await;
        let text = line.hear_text().await;
        // Some servers would write 1.0 as 1, so that goes under another id.
        let sent = if id == "1.0" { r#""mcp-bridge-1""# } else { id };
        assert!(text.contains(&format!(r#""id":{sent},"#)), "{text}");
        line.0.send(Message::text(format!(r#"{{"jsonrpc":"2.0","id":{sent},"result":{{}}}}"#))).await.unwrap();
        assert!(client.next().await.text.contains(&format!(r#""id":{id},"#)));
    }
    // What the server asks and says on its own.
    line.say(&json!({"jsonrpc": "2.0", "id": "s", "method": "roots/list"})).await;
    line.say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})).await;
    assert_eq!(client.next().await.method(), "roots/list");
    assert_eq!(client.next().await.method(), "notifications/tools/list_changed");
    client.send(r#"{"jsonrpc":"2.0","id":"s","result":{"roots":[]}}"#).await;
    assert_eq!(line.hear().await["result"]["roots"], json!([]));
    line.0.send(Message::Ping(vec![1].into())).await.unwrap();
    assert_eq!(line.message().await, Some(Message::Pong(vec![1].into())));
    drop(client.program().stdin.take());
    assert_eq!(line.close_code().await, 1000);
    assert!(line.message().await.is_none());
    assert_eq!(client.program().code().await, 0);
}

#[tokio::test]
async fn a_lost_connection_costs_the_calls_in_flight_and_no_other() {
    let (server, url) = Server::start().await;
    let mut client = Client::stdio(&["connect", "--retry-delay", "10ms", &url]);
    let mut line = server.session(&mut client).await;
    client.send(&tool("1", "x", json!({}))).await;
    assert_eq!(line.hear().await["id"], 1);
    drop(line);
    let answer = client.answer("1").await;
    assert_eq!(answer.error().0, -32603);
    assert!(answer.error().1.contains("whether the call was carried out is unknown"), "{}", answer.text);
    assert_eq!(answer.json["error"]["data"]["fate"], "unknown");

    // The session is opened again without a word to the client, and nothing of the call is repeated.
    let mut line = server.accept().await.0;
    let again = line.initialize().await;
    assert_eq!(again["id"], "mcp-bridge/reopen/0");
    assert_eq!(again["params"]["clientInfo"]["name"], "test");
    assert_eq!(line.hear().await["method"], "notifications/initialized");
    client.send(&tool("2", "x", json!({}))).await;
    let call = line.hear().await;
    assert_eq!(call["id"], 2);
    line.result(&call, text("after all")).await;
    assert_eq!(client.answer("2").await.tool_text(), "after all");

    // A server that goes away in good order is come back to, too.
    let away = CloseFrame { code: 1001.into(), reason: "restart".into() };
    line.0.close(Some(away)).await.unwrap();
    assert_eq!(line.close_code().await, 1001);
    server.accept().await.0.initialize().await;
}

#[tokio::test]
async fn what_is_no_websocket_server_is_told_with_the_next_step() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let wrong = format!("{head}Sec-WebSocket-Accept: wrong\r\n\r\n");
    for (response, code, words) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            77,
            "HTTP 401 Unauthorized (it wants to know who calls",
        ),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 77, "HTTP 403 Forbidden"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 69, "does not speak WebSocket there"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 69, "use connect with an http:// or https:// URL"),
        (&wrong, 69, "its answer does not fit the key"),
        ("garbage\r\n\r\n", 69, "cannot reach ws://"),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 69, "try again later"),
    ] {
        let (server, url) = Server::start().await;
        let mut client = Client::stdio(&["ws-to-stdio", "--retries", "0", "--no-login", &url]);
        client.send(&initialize("0", V)).await;
        server.answer(response).await;
        let answer = client.answer("0").await;
        let message = answer.error().1.to_owned();
        assert!(message.contains(words) && message.contains("ws://127.0.0.1"), "{response}: {message}");
        assert!(!message.contains("s3cret") && !message.contains('\n'), "{message}");
        assert_eq!(client.program().code().await, code, "{response}: {message}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    let (server, url) = Server::start().await;
    let mut client = Client::stdio(&["ws-to-stdio", "--retry-delay", "10ms", &url]);
    client.send(&initialize("0", V)).await;
    drop(server.stream().await);
    server.answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    server.accept().await.0.initialize().await;
    client.answer("0").await;
}

#[tokio::test]
async fn a_redirect_to_another_origin_carries_no_credentials() {
    let (server, url) = Server::start().await;
    let (other, _) = Server::start().await;
    let target = format!("http://{}/ws?key=s3cret", other.0.local_addr().unwrap());
    let mut client = Client::stdio(&["ws-to-stdio", "-H", "X-Key: 7", "--bearer", "t0p", &url]);
    client.send(&initialize("0", V)).await;
    server.answer(&format!("HTTP/1.1 307 x\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n")).await;
    let (mut line, headers) = other.accept().await;
    assert!(!headers.contains_key("x-key") && !headers.contains_key("authorization"), "{headers:?}");
    line.initialize().await;
    client.answer("0").await;
}

#[tokio::test]
async fn breaches_of_a_server_end_the_connection_with_their_codes() {
    for (breach, code) in [(Message::binary(vec![1]), 1003), (Message::text("x".repeat(70_000)), 1009)] {
        let (server, url) = Server::start().await;
        let mut client = Client::stdio(&["ws-to-stdio", "--max-message", "64KiB", &url]);
        let mut line = server.session(&mut client).await;
        client.send(&tool("1", "x", json!({}))).await;
        line.hear().await;
        line.0.send(breach).await.unwrap();
        assert_eq!(line.close_code().await, code);
        assert_eq!(client.answer("1").await.json["error"]["data"]["fate"], "unknown");
        server.accept().await.0.initialize().await;
    }
}

#[tokio::test]
async fn a_legacy_client_at_a_server_of_the_modern_era_is_translated() {
    let (server, url) = Server::start().await;
    let mut client = Client::stdio(&["ws-to-stdio", &url]);
    client.send(&initialize("0", V)).await;
    let mut line = server.accept().await.0;
    let request = line.hear().await;
    line.say(&json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "no"}})).await;
    let mut line = server.accept().await.0;
    let discover = line.hear().await;
    assert_eq!(discover["method"], "server/discover");
    let found = json!({
        "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
        "serverInfo": {"name": "m", "version": "1"}, "ttlMs": 0, "cacheScope": "private"
    });
    line.result(&discover, found.clone()).await;
    // The translation asks again for itself.
    let again = line.hear().await;
    assert_eq!(again["method"], "server/discover");
    line.result(&again, found).await;
    let answer = client.answer("0").await;
    assert!(answer.json["result"]["capabilities"]["tools"].is_object(), "{}", answer.text);
}

#[tokio::test]
async fn a_modern_client_and_server_share_one_connection() {
    let bridge = Bridge::start(&["stdio-to-ws", "--demo"]).await;
    let url = format!("ws://{}/ws", bridge.addr);
    let mut client = Client::stdio(&["ws-to-stdio", "--server-era", "modern", &url]);
    let call = |id: u32| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
            "name": "echo", "arguments": {"message": format!("call {id}")},
            "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {}}
        }})
        .to_string()
    };
    for id in 1..=20 {
        client.send(&call(id)).await;
    }
    for id in 1..=20 {
        let answer = client.answer(&id.to_string()).await;
        assert!(answer.tool_text().ends_with(&format!("call {id}")), "{}", answer.text);
    }
    drop(client);
    bridge.stop().await;
}

#[tokio::test]
async fn both_roles_carry_a_session_end_to_end_and_sigterm_leaves_nothing() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let url = format!("ws://{}/ws", bridge.addr);
    let mut client = Client::stdio(&["connect", &url]);
    client.initialize(V).await;
    client.check("hello").await;
    bridge.program.signal(rustix::process::Signal::TERM);
    let log = bridge.stop_again().await;
    assert!(!log.contains("cut off"), "{log}");
    drop(client.program().stdin.take());
    client.program().exit().await;
    client.program().no_family().await;
}

#[tokio::test]
async fn sigterm_ends_the_whole_tree_behind_a_connection() {
    let demo = format!("DEMO={}", crate::support::program::BINARY);
    let bridge = Bridge::start(&["stdio-to-ws", "--env", &demo, "--shell", processes::TREE]).await;
    let mut client = Client::stdio(&["connect", &format!("ws://{}/ws", bridge.addr)]);
    client.initialize(V).await;
    client.check("up").await;
    bridge.stop().await;
}
