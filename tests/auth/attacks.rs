//! THREATS T9 to T12, T12b: servers that would have the bridge, or the user's browser, do something for them.

use serde_json::json;
use tokio::net::TcpListener;

use super::{V, connect};
use crate::support::{
    authority::{Authority, Desktop, Oddities, get},
    client::initialize,
    http::Conn,
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
