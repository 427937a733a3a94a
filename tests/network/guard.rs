//! Host, Origin, CORS, the door, wrong paths and methods, health.

use mcp_bridge::{
    auth::resource::Gate,
    config::{Cors, Door, Limits, Listen, NetworkSpec, Secret, Sharing},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::*;

/// Requests to every route, with the headers that it wants beside these.
fn everywhere(headers: &str) -> Vec<String> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{headers}Accept: text/event-stream\r\n\r\n");
    let post = |path: &str| {
        let body = initialize("2025-06-18");
        format!("POST {path} HTTP/1.1\r\n{headers}{POST}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let options = "Access-Control-Request-Method: POST\r\n";
    vec![
        post("/mcp"),
        get("/mcp"),
        get("/sse"),
        post("/messages?sessionId=1"),
        get("/healthz"),
        get("/readyz"),
        get("/nowhere"),
        format!("OPTIONS /mcp HTTP/1.1\r\n{headers}{options}\r\n"),
        format!("DELETE /mcp HTTP/1.1\r\n{headers}\r\n"),
    ]
}

#[tokio::test]
async fn foreign_hosts_are_403_on_every_route_and_reach_no_server() {
    let front = Front::start().await;
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0:8000"] {
        for request in everywhere(&format!("Host: {host}\r\n")) {
            let mut answer = front.send(&request).await;
            assert_eq!(answer.status, 403, "{request}");
            let text = answer.text().await;
            assert!(text.contains("--allow-host") && text.contains(r#""id":null"#), "{text}");
        }
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn a_missing_or_doubled_host_is_400() {
    let front = Front::start().await;
    for headers in ["", "Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\nHost: evil.example\r\n"] {
        for request in everywhere(headers) {
            assert_eq!(front.send(&request).await.status, 400, "{request}");
        }
    }
    assert_eq!(front.send("GET /sse HTTP/1.0\r\n\r\n").await.status, 400);
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn foreign_origins_are_403_on_every_route_without_any_cors_header() {
    let mut spec = spec();
    spec.cors = Cors::AllowedOrigins;
    spec.allow_origin = vec!["https://app.example".into()];
    let front = Front::with(Limits::default(), spec, Sharing::Own).await;
    for origin in ["https://evil.example", "null", "http://localhost:3000", "https://app.example.evil.example"] {
        for request in everywhere(&format!("Host: localhost\r\nOrigin: {origin}\r\n")) {
            let mut answer = front.send(&request).await;
            assert_eq!(answer.status, 403, "{request}");
            assert!(!answer.head.contains("access-control"), "{}", answer.head);
            assert!(answer.text().await.contains("--allow-origin"));
        }
    }
    for request in everywhere("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n") {
        assert_eq!(front.send(&request).await.status, 403, "{request}");
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn a_listed_origin_is_echoed_and_may_ask_first_without_a_token() {
    let mut spec = spec();
    spec.cors = Cors::AllowedOrigins;
    spec.allow_origin = vec!["https://app.example".into()];
    spec.door = Door::Locked(Gate::of_tokens([Secret::new("s3cret")]).into());
    let front = Front::with(Limits::default(), spec, Sharing::Own).await;
    let origin = "Origin: https://app.example\r\n";
    let asked = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: mcp-param-region, x-other\r\n";
    let answer = front.send(&format!("OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\n{origin}{asked}\r\n")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("vary"), Some("origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let allowed = answer.header("access-control-allow-headers").unwrap();
    for name in [
        "authorization",
        "content-type",
        "accept",
        "mcp-protocol-version",
        "mcp-session-id",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-param-region",
    ] {
        assert!(allowed.split(", ").any(|allowed| allowed == name), "{name} in {allowed}");
    }
    assert!(!allowed.contains("x-other"));
    let answer = front.post(origin, &request("1", "ping")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("mcp-session-id") && exposed.contains("www-authenticate"), "{exposed}");
    let answer = front.post("", &request("1", "ping")).await;
    assert_eq!((answer.header("vary"), answer.header("access-control-allow-origin")), (Some("origin"), None));
}

#[tokio::test]
async fn without_cors_a_listed_origin_may_call_and_gets_no_cors_header() {
    let mut spec = spec();
    spec.allow_origin = vec!["https://app.example".into()];
    let front = Front::with(Limits::default(), spec, Sharing::Own).await;
    for request in everywhere("Host: localhost\r\nOrigin: https://app.example\r\n") {
        if !request.starts_with("GET /sse") && !request.starts_with("POST /mcp") {
            let answer = front.send(&request).await;
            assert_ne!(answer.status, 403, "{request}");
            assert!(!answer.head.contains("access-control"), "{}", answer.head);
        }
    }
}

#[tokio::test]
async fn without_the_token_everything_but_health_is_401() {
    let mut spec = spec();
    spec.door = Door::Locked(Gate::of_tokens([Secret::new("s3cret")]).into());
    let front = Front::with(Limits::default(), spec, Sharing::Own).await;
    let wrong = [
        "",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer s3cre\r\n",
        "Authorization: Bearer s3cret2\r\n",
        "Authorization: Basic s3cret\r\n",
        "Authorization: Bearer s3cret\r\nAuthorization: Bearer s3cret\r\n",
    ];
    for header in wrong {
        for request in everywhere(&format!("Host: localhost\r\n{header}")) {
            let mut answer = front.send(&request).await;
            if request.starts_with("GET /healthz") || request.starts_with("GET /readyz") {
                assert_eq!(answer.status, 200);
                continue;
            }
            assert_eq!(answer.status, 401, "{request}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge == "bearer" || challenge == "bearer error=\"invalid_token\"", "{request}: {challenge}");
            assert!(!answer.text().await.contains("s3cre"));
        }
    }
    assert!(front.no_server_was_opened());
    assert_eq!(front.post("Authorization: bearer s3cret\r\n", &request("1", "ping")).await.status, 400);
}

#[tokio::test]
async fn a_post_that_a_page_could_send_unasked_is_415() {
    let front = Front::start().await;
    let accept = "Accept: application/json, text/event-stream\r\n";
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain;application/json",
    ] {
        for target in ["/mcp", "/messages?sessionId=1"] {
            let headers = format!("{accept}Content-Type: {kind}\r\n");
            let mut answer = front.post_to(target, &headers, &initialize("2025-06-18")).await;
            assert_eq!(answer.status, 415, "{kind}");
            assert_eq!(answer.error().await, ("null".into(), -32600));
        }
    }
    assert_eq!(front.post_to("/mcp", accept, &initialize("2025-06-18")).await.status, 415);
    let gzip = format!("{POST}Content-Encoding: gzip\r\n");
    assert_eq!(front.post_to("/mcp", &gzip, "\u{1f}").await.status, 415);
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn an_accept_that_cannot_take_the_answer_is_406() {
    let front = Front::start().await;
    for accept in ["application/json", "text/event-stream", "text/html"] {
        let headers = format!("Content-Type: application/json\r\nAccept: {accept}\r\n");
        let mut answer = front.post_to("/mcp", &headers, &initialize("2025-06-18")).await;
        assert_eq!(answer.status, 406, "{accept}");
        assert_eq!(answer.error().await, ("null".into(), -32600));
    }
    assert_eq!(front.send(&get("/mcp", "Accept: application/json\r\n")).await.status, 406);
    let headers = "Content-Type: application/json\r\nAccept: */*\r\n";
    assert_eq!(front.post_to("/mcp", headers, &request("1", "ping")).await.status, 400, "past this check");
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn wrong_paths_name_the_right_ones_and_wrong_methods_the_allowed() {
    let mut front = Front::start().await;
    let mut answer = front.send(&get("/", "")).await;
    assert_eq!(answer.status, 404);
    let text = answer.text().await;
    assert!(text.contains("/mcp") && text.contains("/sse"), "{text}");
    for (method, path, allow) in [
        ("PUT", "/mcp", "post, get, delete"),
        ("OPTIONS", "/mcp", "post, get, delete"),
        ("POST", "/sse", "get"),
        ("GET", "/messages", "post"),
        ("POST", "/healthz", "get, head"),
    ] {
        let mut answer =
            front.send(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
        answer.error().await;
    }
    let call = front.scope.spawn({
        let request = post("/mcp/", POST, &initialize("2025-06-18"));
        let address = front.address;
        async move { exchange(address, request.as_bytes()).await }
    });
    front.server().await.initialize("2025-06-18").await;
    assert_eq!(call.await.unwrap().status, 200, "a slash at the end makes no difference");
}

#[tokio::test]
async fn health_is_told_and_readiness_ends_with_the_bridge() {
    let mut front = Front::start().await;
    for path in ["/healthz", "/readyz"] {
        let mut answer = front.send(&get(path, "")).await;
        assert_eq!((answer.status, answer.text().await.as_str()), (200, "ok\n"));
        assert_eq!(front.send(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await.status, 200);
    }
    // A call in flight keeps the bridge; on its connection the drain can be seen.
    let (session, mut server) = front.session("2025-06-18").await;
    let mut stream = tokio::net::TcpStream::connect(front.address).await.unwrap();
    let body = request("1", "tools/call");
    let both = post("/mcp", &format!("{POST}{session}"), &body);
    stream.write_all(both.as_bytes()).await.unwrap();
    let (_, reply) = server.request().await;
    let mut standalone = front.get(&session).await;
    front.scope.stop();
    let mut rest = String::new();
    soon("the end", standalone.stream.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.contains(": the bridge is shutting down"), "{rest}");
    // New connections are served, each for one request, and open nothing new.
    let mut ready = front.send(&get("/readyz", "")).await;
    assert_eq!((ready.status, ready.header("connection")), (503, Some("close")));
    assert_eq!(ready.text().await, "shutting down\n");
    assert_eq!(front.send(&get("/healthz", "")).await.status, 200);
    let opening = front.post("", &initialize("2025-06-18")).await;
    assert_eq!(opening.status, 503);
    assert!(opening.header("retry-after").is_some());
    // One that says nothing does not hold up the end.
    let _silent = tokio::net::TcpStream::connect(front.address).await.unwrap();
    reply.answer(result("{}"));
    assert_eq!(soon("the answer", Answer::read(stream)).await.unwrap().status, 200);
    soon("the end of serving", front.serving).await.unwrap();
    assert!(tokio::net::TcpStream::connect(front.address).await.is_err(), "nobody listens any more");
    server.ended().await;
}

#[tokio::test]
async fn a_busy_port_is_told_in_one_line() {
    let front = Front::start().await;
    let spec = NetworkSpec { listen: vec![Listen::Tcp(front.address)], ..spec() };
    let error = mcp_bridge::listen::bind(&spec).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "port {} on 127.0.0.1 is in use by another program; choose another one with --port (0 picks a free one)",
            front.address.port()
        )
    );
}
