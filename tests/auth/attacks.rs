//! Attacks T9 to T12b (the index is `threats`): servers that would have the bridge, or the user's browser, do something for them.

use std::{collections::HashMap, net::SocketAddr};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::{V, connect};
use crate::support::{
    authority::{Authority, Desktop, Oddities, get},
    background,
    certs::{self, Files},
    client::{Client, initialize},
    eventually,
    http::Conn,
    program::Program,
};

/// What the client hears of a login that is refused before the browser.
async fn refused(oddities: Oddities) -> (String, Authority, Desktop) {
    let (authority, desktop) = (Authority::odd(oddities).await, Desktop::new());
    let mut client = connect(&desktop, &authority, &["--auth-timeout", "20s"]);
    client.send(&initialize("0", V)).await;
    let answer = client.answer("0").await;
    assert_eq!(client.program().code().await, 77);
    let text = answer.error().1.to_owned();
    authority.notes(|notes| assert!(notes.redeemed.is_empty(), "a secret was sent: {text}"));
    (text, authority, desktop)
}

#[tokio::test]
async fn t9_nothing_is_sent_to_an_address_that_no_server_may_name() {
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "https://[::ffff:169.254.169.254]/",
        "file:///etc/passwd",
        "http://10.255.255.1/x",
        "https://0.0.0.0/",
        "http://example.com/plain",
    ] {
        let (text, authority, desktop) =
            refused(Oddities { resource_metadata: Some(url.into()), ..Oddities::default() }).await;
        assert!(text.contains("nothing was sent there"), "{url}: {text}");
        assert!(desktop.opened().is_empty());
        authority.notes(|notes| assert_eq!(notes.count("GET /.well-known"), 0));
    }
}

#[tokio::test]
async fn t9_a_document_that_redirects_elsewhere_is_not_followed() {
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut redirecting = crate::support::script::Script::start().await;
    let target = format!("http://localhost:{}/x", inside.local_addr().unwrap().port());
    let from = redirecting.url("/document");
    let serving = async {
        while let Some(exchange) = redirecting.next_or_end().await {
            exchange.reply(302, &[("Location", &target)], "").await;
        }
    };
    let (text, ..) = tokio::select! {
        refused = refused(Oddities { resource_metadata: Some(from), ..Oddities::default() }) => refused,
        () = serving => unreachable!(),
    };
    assert!(text.contains("cannot be read"), "{text}");
    let connected = tokio::time::timeout(std::time::Duration::from_millis(50), inside.accept()).await;
    assert!(connected.is_err(), "a connection was made");
}

/// A proxy that leads to one server, with TLS, whatever name it is asked for.
async fn proxy(acceptor: TlsAcceptor, server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    background(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            background(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                assert!(head.starts_with(b"CONNECT public.example:443 "), "{}", String::from_utf8_lossy(&head));
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                certs::through(acceptor, stream, server).await;
            });
        }
    });
    addr
}

/// A name that leads to this machine and does not say so, where the system's own table has one.
fn name_of_this_machine() -> Option<String> {
    let table = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let entries = table.lines().map(|line| line.split('#').next().unwrap().split_whitespace().collect::<Vec<_>>());
    let local = entries.filter(|words| words.first().is_some_and(|ip| ip.starts_with("127.") || *ip == "::1"));
    local
        .flat_map(|words| words[1..].iter().map(|name| name.to_string()).collect::<Vec<_>>())
        .find(|name| !name.contains("localhost"))
}

/// A server of the public web, as the bridge sees it, sends it to this machine: by address, by name, by a name that leads
/// here, by redirect, in each of its documents.
#[tokio::test]
async fn t9_a_public_server_gets_no_connection_to_this_machine() {
    let inside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let port = inside.local_addr().unwrap().port();
    let (files, private) = (Files::new(), certs::Authority::new("private"));
    let ca = files.put("ca.pem", &private.pem());
    let own = name_of_this_machine().unwrap_or_else(|| "localhost".into());
    let document = |url: String| Oddities { resource_metadata: Some(url), ..Oddities::default() };
    let endpoint = |name: &str, url: String| Oddities { metadata: json!({ name: url }), ..Oddities::default() };
    let at = |host: &str| format!("https://{host}:{port}/x");
    for odd in [
        document(format!("http://127.0.0.1:{port}/x")),
        document(at("localhost")),
        document(at("[::ffff:127.0.0.1]")),
        document(at("2130706433")),
        document(at(&own)),
        Oddities { elsewhere: at("127.0.0.1"), ..document("https://public.example/elsewhere".into()) },
        Oddities { elsewhere: at(&own), ..document("https://public.example/elsewhere".into()) },
        Oddities { issuer: at("127.0.0.1"), ..Oddities::default() },
        Oddities { issuer: at(&own), ..Oddities::default() },
        endpoint("token_endpoint", at("127.0.0.1")),
        endpoint("registration_endpoint", at(&own)),
        endpoint("authorization_endpoint", at("127.0.0.1")),
    ] {
        let what = format!("{:?} {:?} {} {}", odd.resource_metadata, odd.metadata, odd.elsewhere, odd.issuer);
        let authority = Authority::called("https://public.example", odd).await;
        let desktop = Desktop::new();
        let mut client = at_public(&authority, &desktop, &private, &own, &ca).await;
        let answer = client.answer("0").await;
        assert!(answer.error().1.contains("wants a login"), "{what}: {}", answer.text);
        assert_eq!(client.program().code().await, 77, "{what}");
        assert_eq!(authority.notes(|notes| notes.count("POST /mcp")), 1, "{what}: the server itself was reached");
        assert!(desktop.opened().is_empty(), "{what}");
        let called = inside.accept().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(called, Err(std::io::ErrorKind::WouldBlock), "{what}: a connection was made");
    }
    // The way is open to one that sends it nowhere else.
    let (authority, desktop) = (Authority::called("https://public.example", Oddities::default()).await, Desktop::new());
    let _client = at_public(&authority, &desktop, &private, &own, &ca).await;
    assert!(desktop.page(0).await.as_str().starts_with("https://public.example/as/authorize?"));
}

/// A client's command whose way to `public.example` leads to `authority`, and to `own` past the proxy; it has begun.
async fn at_public(
    authority: &Authority,
    desktop: &Desktop,
    private: &certs::Authority,
    own: &str,
    ca: &str,
) -> Client {
    let acceptor = certs::acceptor(&private.server_of("public.example"), None);
    let proxy = format!("http://{}", proxy(acceptor, authority.addr).await);
    let mut env = desktop.env();
    env.extend([("HTTPS_PROXY".into(), proxy), ("NO_PROXY".into(), own.into())]);
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let words = ["connect", &authority.url(), "--ca-file", ca, "--auth-timeout", "20s"];
    let mut client = Client::of(Program::start_with(&words, &env));
    client.send(&initialize("0", V)).await;
    client
}

/// RFC 8414, section 3.3: the document's issuer is the one that the server named, to the letter. One slash is none: that of
/// an empty path, which no URL is without.
#[tokio::test]
async fn t10_an_issuer_with_a_slash_more_is_another_one() {
    for (named, own) in [("BASE/as/", "BASE/as"), ("BASE/as", "BASE/as/"), ("BASE/as", "BASE/AS")] {
        let metadata = json!({ "issuer": own });
        let (text, _, desktop) = refused(Oddities { issuer: named.into(), metadata, ..Oddities::default() }).await;
        assert!(text.contains("issuer"), "{named}, {own}: {text}");
        assert!(desktop.opened().is_empty());
    }
    let metadata = json!({ "issuer": "BASE" });
    let odd = Oddities { issuer: "BASE/".into(), metadata, ..Oddities::default() };
    let (authority, desktop) = (Authority::odd(odd).await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], V);
}

#[tokio::test]
async fn t10_poisoned_documents_stop_the_login_before_a_secret_is_sent() {
    for (metadata, word) in [
        (json!({"issuer": "https://evil.example"}), "issuer"),
        (json!({"issuer": null}), "issuer"),
        (json!({"token_endpoint": "http://evil.example/token"}), "not encrypted"),
        (json!({"token_endpoint": "https://169.254.169.254/token"}), "no server may send"),
        (json!({"token_endpoint": "ftp://evil.example/token"}), "no plain http or https URL"),
        (json!({"code_challenge_methods_supported": null}), "PKCE"),
        (json!({"code_challenge_methods_supported": ["plain"]}), "PKCE"),
    ] {
        let (text, _, desktop) = refused(Oddities { metadata: metadata.clone(), ..Oddities::default() }).await;
        assert!(text.contains(word), "{metadata}: {text}");
        assert!(desktop.opened().is_empty(), "{metadata}");
    }
}

#[tokio::test]
async fn t10_a_document_of_another_resource_is_refused() {
    let (text, _, desktop) =
        refused(Oddities { resource: Some("https://other.example/mcp".into()), ..Oddities::default() }).await;
    assert!(text.contains("mismatch"), "{text}");
    assert!(desktop.opened().is_empty());
}

#[tokio::test]
async fn t10_an_answer_of_another_issuer_is_never_redeemed() {
    for (redirect, word) in [
        (vec![("iss", "https://evil.example")], "another authorization server answered"),
        (vec![("iss", "")], "did not say who it is"),
        (
            vec![("iss", "https://evil.example"), ("code", ""), ("error", "server_error")],
            "another authorization server",
        ),
        (vec![("code", ""), ("error", "access_denied")], "access_denied"),
    ] {
        let authority = Authority::odd(Oddities { redirect: redirect.clone(), ..Oddities::default() }).await;
        let desktop = Desktop::new();
        let mut client = connect(&desktop, &authority, &[]);
        client.send(&initialize("0", V)).await;
        let (_, last) = desktop.log_in(0).await;
        assert_eq!(last.status(), 400);
        let answer = client.answer("0").await;
        assert!(answer.error().1.contains(word), "{redirect:?}: {}", answer.text);
        authority.notes(|notes| assert!(notes.redeemed.is_empty()));
    }
}

#[tokio::test]
async fn t11_only_a_web_page_is_opened_and_as_one_argument() {
    for page in [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "ms-cxh:x",
        "a:b",
        "-flag",
        "--help",
        "https://x.example/\r\nSet-Cookie:a",
        "https://x.example/ -flag",
        "http://x.example/",
        "https://127.0.0.2:1/$(touch%20pwned)",
    ] {
        let (authority, desktop) = (Authority::start().await, Desktop::new());
        drop(authority);
        let metadata = json!({ "authorization_endpoint": page });
        if page.starts_with("https://127") {
            // On this machine, as the server is: opened, whole.
            let authority = Authority::odd(Oddities { metadata, ..Oddities::default() }).await;
            let mut client = connect(&desktop, &authority, &[]);
            client.send(&initialize("0", V)).await;
            let opened = desktop.page(0).await;
            assert!(opened.as_str().starts_with("https://127.0.0.2:1/$(touch%20pwned)?"), "{opened}");
            continue;
        }
        let (text, _, desktop) = refused(Oddities { metadata, ..Oddities::default() }).await;
        assert!(desktop.opened().is_empty(), "{page:?}: {text}");
    }
}

#[tokio::test]
async fn t12_only_this_logins_answer_is_taken_and_only_once() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    let good = desktop.allow(0).await;
    let with = |change: &dyn Fn(&mut url::Url)| {
        let mut url = good.clone();
        change(&mut url);
        url
    };
    let other_state = with(&|url| url.set_query(Some("code=x&state=forged")));
    let other_path = with(&|url| url.set_path("/other"));
    let huge = with(&|url| url.set_query(Some(&format!("code={}&state=x", "a".repeat(1024 * 1024)))));
    assert_eq!(get(&other_state, &[]).await.status(), 400);
    assert_eq!(get(&other_path, &[]).await.status(), 404);
    assert_eq!(get(&good, &[("Origin", "https://evil.example")]).await.status(), 403);
    assert_eq!(get(&good, &[("Host", "evil.example")]).await.status(), 403);
    // The head is refused while it is still being sent, so the answer may be lost in the reset.
    let addr = format!("127.0.0.1:{}", good.port().unwrap()).parse().unwrap();
    let mut conn = Conn::open(addr).await;
    conn.try_send(format!("GET {}?{} HTTP/1.1\r\n", huge.path(), huge.query().unwrap()).as_bytes()).await;
    // Nobody but this machine can connect.
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X} ", good.port().unwrap());
    let listening = sockets.lines().filter(|line| line.contains(&port) && line.contains(" 0A "));
    assert!(listening.clone().count() == 1 && listening.clone().all(|line| line.contains(" 0100007F:")), "{sockets}");
    assert!(authority.notes(|notes| notes.redeemed.is_empty()));

    assert_eq!(get(&good, &[]).await.status(), 200);
    assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], V);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "it still listens");
    assert_eq!(authority.notes(|notes| notes.redeemed.len()), 1);
}

#[tokio::test]
async fn t12_nobody_listens_for_an_answer_when_the_time_is_up() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut client = connect(&desktop, &authority, &["--auth-timeout", "200ms"]);
    client.send(&initialize("0", V)).await;
    let page = desktop.page(0).await;
    let query: HashMap<_, _> = page.query_pairs().into_owned().collect();
    let back: url::Url = query["redirect_uri"].parse().unwrap();
    let addr: SocketAddr = format!("127.0.0.1:{}", back.port().unwrap()).parse().unwrap();
    client.answer("0").await;
    eventually("the end of the listener", || std::net::TcpStream::connect(addr).is_err().then_some(())).await;
    assert!(authority.notes(|notes| notes.redeemed.is_empty()));
}

#[tokio::test]
async fn t12b_a_token_does_not_follow_a_redirect_to_another_origin() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    drop(client);
    let kept = std::fs::read_to_string(&desktop.kept()[0]).unwrap();
    // The same server, as far as the store knows, that now sends its callers away.
    let addr = authority.addr;
    drop(authority);
    let listener = crate::support::eventually("the port", || {
        let listener = std::net::TcpListener::bind(addr).ok()?;
        listener.set_nonblocking(true).ok()?;
        TcpListener::from_std(listener).ok()
    })
    .await;
    let mut first = crate::support::script::Script::on(listener);
    let mut second = crate::support::script::Script::start().await;
    let url = first.url("/mcp");
    let mut client = super::run(&desktop, &["http-to-stdio", &url]);
    client.send(&initialize("0", V)).await;
    let exchange = first.expect("POST").await;
    assert!(exchange.header("authorization").is_some_and(|value| kept.contains(value.trim_start_matches("Bearer "))));
    let other = format!("http://localhost:{}/mcp", second.addr.port());
    exchange.reply(307, &[("Location", &other)], "").await;
    let exchange = second.expect("POST").await;
    assert_eq!(exchange.header("authorization"), None);
}
