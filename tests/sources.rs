//! Servers that the bridge reaches, behind clients that reach the bridge: whose credentials go where, what readiness says,
//! and servers on Unix sockets. That every pair works is in `matrix`.

use std::io::Write as _;

use serde_json::json;
use tokio::net::{TcpStream, UnixListener};

use crate::support::{
    background,
    client::{Client, initialize},
    http::POST,
    program::{Bridge, Program},
    script::Script,
    soon,
    user::User,
};

#[tokio::test]
async fn what_a_caller_sends_to_authorize_itself_stays_at_the_bridge() {
    let mut server = Script::start().await;
    let mut tokens = tempfile::NamedTempFile::new().unwrap();
    writeln!(tokens, "the-callers").unwrap();
    let file = tokens.path().to_str().unwrap();
    let url = server.url("/mcp");
    let own = ["-H", "X-Key: the-bridges", "--bearer", "its-token"];
    let bridge = Bridge::start(&[&["serve", "--bearer-token-file", file, &url], &own[..]].concat()).await;
    let headers = [("Authorization", "Bearer the-callers"), ("Cookie", "a=b"), ("X-Key", "the-callers")];
    let headers = [&POST[..], &headers[..]].concat();
    let asked = async { bridge.ask("POST", "/mcp", &headers, &initialize("1", "2025-06-18")).await };
    let served = async {
        let exchange = server.post("initialize").await;
        assert_eq!(exchange.header("authorization"), Some("Bearer its-token"));
        assert_eq!(exchange.header("x-key"), Some("the-bridges"));
        assert_eq!(exchange.header("cookie"), None);
        exchange.initialized("s", "2025-06-18").await;
    };
    let (answer, ()) = tokio::join!(asked, served);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let refused = bridge.ask("POST", "/mcp", &POST, &initialize("1", "2025-06-18")).await;
    assert_eq!(refused.status(), 401);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named_to_its_callers_and_by_readiness() {
    // Bound and not listened on would be refused as well, but not everywhere.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{gone}/mcp");
    let bridge = Bridge::start(&["serve", "--retries", "0", &url]).await;
    assert_eq!(bridge.get("/readyz").await.body, "ok\n", "nobody has tried yet");
    let answer = bridge.post(&initialize("1", "2025-06-18")).await;
    let why = format!("cannot reach {url}");
    assert!(answer.body.contains(&why), "{}", answer.body);
    // It is told with the end of the session, which comes right behind the answer.
    let ready = soon("readiness to turn red", async {
        loop {
            let ready = bridge.get("/readyz").await;
            if ready.status() != 200 {
                return ready;
            }
        }
    })
    .await;
    assert!(ready.status() == 503 && ready.body.contains(&why), "{}", ready.body);
    bridge.stop().await;
}

/// Passes what comes in on a Unix socket to a port.
fn on_socket(path: &std::path::Path, addr: std::net::SocketAddr) {
    let listener = UnixListener::bind(path).unwrap();
    background(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            background(async move {
                let mut far = TcpStream::connect(addr).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
            });
        }
    });
}

#[tokio::test]
async fn a_server_on_a_unix_socket_is_reached_over_every_transport_that_is_http() {
    let server = Bridge::demo(&["serve"]).await;
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("my mcp.sock");
    on_socket(&socket, server.addr);
    let url = format!("unix:{}", socket.display());
    for words in [&["connect", &url][..], &["sse-to-stdio", &url], &["connect", &format!("{url}:/sse")]] {
        let mut client = Client::stdio(words);
        client.initialize("2025-06-18").await;
        client.check("through a socket").await;
        assert!(client.finish().await.is_empty(), "{words:?}");
    }
    let mut user = User::modern(Client::stdio(&["connect", &url]));
    assert_eq!(user.call("echo", json!({"message": "modern"})).await.tool_text(), "modern");
    user.client.finish().await;

    let missing = format!("unix:{}", dir.path().join("none.sock").display());
    let mut client = Client::of(Program::start(&["connect", "--retries", "0", &missing]));
    client.send(&initialize("1", "2025-06-18")).await;
    let answer = client.answer("1").await;
    assert!(answer.error().1.contains(&format!("cannot reach {missing}:/mcp: ")), "{}", answer.text);
    assert_eq!(client.program().code().await, 69);
    server.stop().await;
}
