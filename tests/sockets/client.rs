//! TLS towards a server: authorities of the user's own, and a certificate to show.

use serde_json::json;

use super::with_tls;
use crate::support::{
    certs::{Authority, Files},
    client::Client,
    program::Program,
    script::Script,
};

/// A bridge with TLS, the URL of its endpoint, and the file with its authority.
async fn served(files: &Files, clients: Option<&Authority>) -> (Program, String, String) {
    let authority = Authority::new("servers");
    let both = files.put("server.pem", &authority.server().both());
    let mut words = vec!["serve", "--port", "0", "--tls-cert", &both, "--demo"];
    let asked = clients.map(|clients| files.put("clients.pem", &clients.pem()));
    words.extend(asked.iter().flat_map(|file| ["--tls-client-ca", file]));
    let program = Program::start(&words);
    let url = format!("https://localhost:{}/mcp", with_tls(&program).await.port());
    (program, url, files.put("ca.pem", &authority.pem()))
}

/// What a client hears whose server is refused, and the exit code.
async fn refused(words: &[&str]) -> (String, i32) {
    let mut client = Client::stdio(words);
    client.send(&crate::support::client::initialize("1", "2025-06-18")).await;
    let message = client.answer("1").await.error().1.to_owned();
    (message, client.program().code().await)
}

#[tokio::test]
async fn an_authority_of_the_users_own_is_trusted() {
    let files = Files::new();
    let (_bridge, url, ca) = served(&files, None).await;
    let (message, code) = refused(&["connect", "--retries", "0", &url]).await;
    assert_eq!(code, 69);
    assert!(message.contains("name the file with its authority's certificate: --ca-file FILE"), "{message}");
    for command in ["connect", "http-to-stdio"] {
        let mut client = Client::stdio(&[command, &url, "--ca-file", &ca]);
        client.initialize("2025-06-18").await;
        assert_eq!(client.call("echo", json!({"message": "over TLS"})).await.tool_text(), "over TLS");
    }
}

#[tokio::test]
async fn websocket_over_tls_is_carried_from_end_to_end() {
    let (files, clients) = (Files::new(), Authority::new("clients"));
    let own = files.put("own.pem", &clients.client("ann.example").both());
    for (asked, shown) in [(None, vec![]), (Some(&clients), vec!["--client-cert", own.as_str()])] {
        let (_bridge, url, ca) = served(&files, asked).await;
        let url = url.replace("https://", "wss://").replace("/mcp", "/ws");
        let (message, code) = refused(&["connect", "--retries", "0", &url]).await;
        assert_eq!(code, 69);
        assert!(message.contains("--ca-file FILE"), "{message}");
        for command in ["connect", "ws-to-stdio"] {
            let mut client = Client::stdio(&[&[command, &url, "--ca-file", &ca], shown.as_slice()].concat());
            client.initialize("2025-06-18").await;
            assert_eq!(client.call("echo", json!({"message": "over TLS"})).await.tool_text(), "over TLS");
        }
    }
}

#[tokio::test]
async fn a_certificate_is_shown_to_the_server_that_asks_and_to_nobody_that_it_redirects_to() {
    let (files, clients) = (Files::new(), Authority::new("clients"));
    let (_bridge, url, ca) = served(&files, Some(&clients)).await;
    let (message, code) = refused(&["connect", "--retries", "0", &url, "--ca-file", &ca]).await;
    assert_eq!(code, 69);
    assert!(message.contains("--client-cert"), "{message}");
    let own = files.put("own.pem", &clients.client("ann.example").both());
    let mut client = Client::stdio(&["connect", &url, "--ca-file", &ca, "--client-cert", &own]);
    client.initialize("2025-06-18").await;
    assert_eq!(client.call("echo", json!({"message": "known"})).await.tool_text(), "known");
    let mut script = Script::start().await;
    let from = format!("http://{}/mcp", script.addr);
    let mut client = Client::stdio(&["connect", "--retries", "0", &from, "--ca-file", &ca, "--client-cert", &own]);
    client.send(&crate::support::client::initialize("1", "2025-06-18")).await;
    script.post("initialize").await.reply(307, &[("Location", &url)], "").await;
    let answer = client.answer("1").await;
    // The end of a handshake is told by an alert or by the end of the connection, whichever is seen first.
    assert!(answer.error().1.starts_with("cannot reach"), "{}", answer.text);
}
