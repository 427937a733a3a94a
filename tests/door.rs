//! The door, from outside: who is let in by which credential, and what those are told who are not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{
    client::{initialize, tool},
    http::{self, Conn, Response},
    issuer::{Issuer, now},
    program::Bridge,
    soon,
};

/// What a path is called by the host that these tests write into `Host`.
fn url(path: &str) -> String {
    format!("http://localhost{path}")
}

/// A bridge in front of the demo server that takes the tokens of `issuer`.
async fn guarded(issuer: &Issuer, flags: &[&str]) -> Bridge {
    Bridge::demo(&[&["serve", "--oauth-issuer", &issuer.url], flags].concat()).await
}

/// `initialize` with these headers.
async fn knock(bridge: &Bridge, headers: &[(&str, &str)]) -> Response {
    let headers = [&http::POST, headers].concat();
    bridge.ask("POST", "/mcp", &headers, &initialize("0", "2025-11-25")).await
}

async fn with_token(bridge: &Bridge, token: &str) -> Response {
    knock(bridge, &[("Authorization", &format!("Bearer {token}"))]).await
}

fn challenge(response: &Response) -> &str {
    response.header("www-authenticate").unwrap_or_default()
}

#[tokio::test]
async fn a_token_of_the_issuer_for_this_bridge_is_let_in_and_everything_else_is_challenged() {
    let issuer = Issuer::start().await;
    let bridge = guarded(&issuer, &["--oauth-scope", "mcp:call"]).await;
    let here = url("/mcp");
    let well_known = url("/.well-known/oauth-protected-resource/mcp");
    let good = issuer.token(&here, "mcp:call");
    assert_eq!(with_token(&bridge, &good).await.status(), 200);

    let none = knock(&bridge, &[]).await;
    assert_eq!(none.status(), 401);
    assert_eq!(challenge(&none), format!("Bearer scope=\"mcp:call\", resource_metadata=\"{well_known}\""));
    let invalid = format!("Bearer error=\"invalid_token\", scope=\"mcp:call\", resource_metadata=\"{well_known}\"");
    let forged = {
        let (head, rest) = good.split_once('.').unwrap();
        let (claims, signature) = rest.split_once('.').unwrap();
        let turned: String = signature.chars().rev().collect();
        format!("{head}.{claims}.{turned}")
    };
    for (what, token) in [
        ("another resource", issuer.token("https://other.example/mcp", "mcp:call")),
        ("another issuer", issuer.token_with(json!({"aud": here, "scope": "mcp:call", "iss": "https://evil.example"}))),
        ("expired", issuer.token_with(json!({"aud": here, "scope": "mcp:call", "exp": now() - 3600}))),
        ("not yet", issuer.token_with(json!({"aud": here, "scope": "mcp:call", "nbf": now() + 3600}))),
        ("forged", forged),
        ("no token", "x".into()),
    ] {
        let refused = with_token(&bridge, &token).await;
        assert_eq!((refused.status(), challenge(&refused)), (401, invalid.as_str()), "{what}");
        assert!(!refused.body.contains(&token) || token == "x", "{what}: {}", refused.body);
    }
    let twice = [("Authorization", &*format!("Bearer {good}")), ("Authorization", "Bearer b")];
    assert_eq!(knock(&bridge, &twice).await.status(), 401);
    let poor = with_token(&bridge, &issuer.token(&here, "other")).await;
    assert_eq!(poor.status(), 403);
    assert!(challenge(&poor).starts_with("Bearer error=\"insufficient_scope\", scope=\"mcp:call\""));
    // Health is open; where nothing is, nobody without a token learns that.
    assert_eq!(bridge.get("/healthz").await.status(), 200);
    assert_eq!(bridge.get("/nothing").await.status(), 401);
    let log = bridge.stop().await;
    assert!(!log.contains(&good), "a token stands in the log");
}

#[tokio::test]
async fn metadata_names_the_issuer_for_each_resource_without_a_token() {
    let issuer = Issuer::start().await;
    let bridge = guarded(&issuer, &["--oauth-scope", "mcp:call", "--oauth-tool-scope", "slow=mcp:slow"]).await;
    for (asked, resource) in [("", ""), ("/mcp", "/mcp"), ("/sse", "/sse"), ("/messages", "/sse")] {
        let answer = bridge.get(&format!("/.well-known/oauth-protected-resource{asked}")).await;
        assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")), "{asked}");
        let expected = json!({
            "resource": url(resource),
            "authorization_servers": [issuer.url],
            "scopes_supported": ["mcp:call", "mcp:slow"],
            "bearer_methods_supported": ["header"],
        });
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), expected, "{asked}");
    }
    assert_eq!(bridge.get("/.well-known/oauth-protected-resource/nothing").await.status(), 401);
    assert_eq!(bridge.ask("POST", "/.well-known/oauth-protected-resource", &[], "").await.status(), 405);
    bridge.stop().await;
}

/// RFC 9728, section 3.1, with a path in front, as a reverse proxy has it.
#[tokio::test]
async fn behind_a_proxy_the_public_url_is_the_resource_whatever_host_is_named() {
    let issuer = Issuer::start().await;
    let bridge = guarded(&issuer, &["--base-url", "https://b.example/tools"]).await;
    let refused = knock(&bridge, &[]).await;
    let well_known = "https://b.example/.well-known/oauth-protected-resource/tools/mcp";
    assert_eq!(challenge(&refused), format!("Bearer resource_metadata=\"{well_known}\""));
    let answer = bridge.get("/.well-known/oauth-protected-resource/tools/mcp").await;
    assert_eq!(answer.json()["resource"], "https://b.example/tools/mcp");
    assert_eq!(with_token(&bridge, &issuer.token("https://b.example/tools/mcp", "")).await.status(), 200);
    assert_eq!(with_token(&bridge, &issuer.token("https://b.example/tools", "")).await.status(), 200);
    assert_eq!(with_token(&bridge, &issuer.token(&url("/mcp"), "")).await.status(), 401);
    bridge.stop().await;
}

/// Made-up key names must not make the bridge a flood of requests.
#[tokio::test]
async fn a_storm_of_unknown_keys_makes_one_request_and_a_new_key_is_found() {
    let issuer = Issuer::start().await;
    let bridge = guarded(&issuer, &[]).await;
    let stranger = Issuer::start().await;
    stranger.rotate("unknown");
    let here = url("/mcp");
    let forged = stranger.token_with(json!({"iss": issuer.url, "aud": here}));
    for _ in 0..20 {
        assert_eq!(with_token(&bridge, &forged).await.status(), 401);
    }
    assert_eq!(issuer.asked("/keys"), 1);
    assert_eq!(with_token(&bridge, &issuer.token(&here, "")).await.status(), 200);
    assert_eq!(issuer.asked("/keys"), 1);
    bridge.stop().await;
}

#[tokio::test]
async fn an_authorization_server_that_is_away_is_no_reason_to_ask_for_another_token() {
    let issuer = Issuer::start().await;
    issuer.go_away();
    let bridge = guarded(&issuer, &[]).await;
    let refused = with_token(&bridge, &issuer.token(&url("/mcp"), "")).await;
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("10")));
    assert_eq!(challenge(&refused), "");
    let log = bridge.stop().await;
    assert!(log.contains("cannot fetch the authorization server's keys"), "{log}");
}

/// Step-up: the challenge names all scopes of the call, and another token of the same principal goes on in the session.
#[tokio::test]
async fn a_tool_may_take_more_scopes_than_coming_in() {
    let issuer = Issuer::start().await;
    let bridge =
        guarded(&issuer, &["--oauth-scope", "mcp:call", "--oauth-tool-scope", "echo=mcp:echo,sl*=mcp:slow"]).await;
    let here = url("/mcp");
    let (small, large) = (issuer.token(&here, "mcp:call"), issuer.token(&here, "mcp:call mcp:echo"));
    let opened = with_token(&bridge, &small).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let call = async |token: &str, name: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Mcp-Session-Id", session.as_str())];
        let body = tool("7", name, json!({"text": "x"}));
        bridge.ask("POST", "/mcp", &[&http::POST[..], &headers].concat(), &body).await
    };
    let refused = call(&small, "echo").await;
    assert_eq!(refused.status(), 403);
    let wanted = "Bearer error=\"insufficient_scope\", scope=\"mcp:call mcp:echo\", resource_metadata=";
    assert!(challenge(&refused).starts_with(wanted), "{}", challenge(&refused));
    assert_eq!(refused.json()["id"], 7);
    assert_eq!(call(&large, "echo").await.status(), 200);
    assert_eq!(call(&large, "slow").await.status(), 403);
    // A name that stands twice is no name: the server might take the other one.
    let twice =
        r#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"add","name":"echo","arguments":{}}}"#;
    let bearer = format!("Bearer {small}");
    let headers = [("Authorization", bearer.as_str()), ("Mcp-Session-Id", session.as_str())];
    assert_eq!(bridge.ask("POST", "/mcp", &[&http::POST[..], &headers].concat(), twice).await.status(), 400);
    bridge.stop().await;
}

/// A session id is no proof: another principal's token does not find the session.
#[tokio::test]
async fn a_session_belongs_to_the_principal_that_opened_it() {
    let issuer = Issuer::start().await;
    let bridge = guarded(&issuer, &[]).await;
    let here = url("/mcp");
    let opened = with_token(&bridge, &issuer.token(&here, "")).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let ask = async |token: String| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Mcp-Session-Id", session.as_str())];
        bridge
            .ask("POST", "/mcp", &[&http::POST[..], &headers].concat(), r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
            .await
    };
    assert_eq!(ask(issuer.token_with(json!({"aud": here, "sub": "bob"}))).await.status(), 404);
    // A new token of the same principal does.
    assert_eq!(ask(issuer.token_with(json!({"aud": here, "exp": now() + 900}))).await.status(), 200);
    bridge.stop().await;
}

/// What a token says of its own signature is not believed (RFC 8725, 3.1): neither that it needs none, nor that the public
/// key is a password.
#[tokio::test]
async fn t30_no_algorithm_is_believed_because_a_token_names_it() {
    let issuer = Issuer::rsa().await;
    let bridge = guarded(&issuer, &[]).await;
    let good = issuer.token(&url("/mcp"), "");
    assert_eq!(with_token(&bridge, &good).await.status(), 200);
    let lower = knock(&bridge, &[("Authorization", &format!("bearer {good}"))]).await;
    assert_eq!(lower.status(), 200, "the scheme's name has no case");
    let (_, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let mut forged = vec![format!("{good}x"), format!("{good}."), format!(".{rest}"), format!("{claims}.{signature}")];
    for algorithm in ["none", "None", "NONE", "nOnE", "", "HS256", "RS256"] {
        let head = URL_SAFE_NO_PAD.encode(json!({"alg": algorithm, "typ": "JWT", "kid": "rsa"}).to_string());
        forged.push(format!("{head}.{claims}."));
        forged.push(format!("{head}.{claims}"));
    }
    // Keys that a token brings along, or names, are nobody's.
    for more in [json!({"jwk": issuer.jwk()}), json!({"jku": format!("{}/keys", issuer.url)}), json!({"x5u": "x"})] {
        let mut head = json!({"alg": "HS256", "kid": "other"});
        head.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        forged.push(format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(head.to_string())));
    }
    forged.extend(issuer.with_the_public_key_as_password(&json!({"aud": url("/mcp")})));
    for token in forged {
        let refused = with_token(&bridge, &token).await;
        assert_eq!(refused.status(), 401, "{token}");
        assert!(challenge(&refused).contains("resource_metadata="), "{}", challenge(&refused));
    }
    for header in ["", "Bearer", "Bearer ", "Basic eDp5", &format!("Token {good}"), &format!("Bearer {good} {good}")] {
        assert_eq!(knock(&bridge, &[("Authorization", header)]).await.status(), 401, "{header:?}");
    }
    let log = bridge.stop().await;
    assert!(!log.contains(&good), "a token stands in the log");
}

/// Made-up addresses and tokens fill no table at the cost of those who are known: who owes still owes, who has a token is
/// served.
#[tokio::test]
async fn t30_a_flood_of_strangers_frees_nobody_and_locks_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "ann: s3cret\n").unwrap();
    let words = ["serve", "--rate-limit", "2/h", "--trusted-proxy", "127.0.0.1", "--bearer-token-file"];
    let bridge = Bridge::demo(&[&words[..], &[file.to_str().unwrap()]].concat()).await;
    let mut conn = Conn::open(bridge.addr).await;
    let mut ask = async |from: &str, token: &str| {
        let token = format!("Bearer {token}");
        let headers = [&http::POST[..], &[("Authorization", &*token), ("X-Forwarded-For", from)]].concat();
        conn.send(&http::request("POST", "/mcp", &headers, &initialize("0", "2025-11-25"))).await;
        conn.response().await.status()
    };
    for want in [401, 401, 429] {
        assert_eq!(ask("192.0.2.1", "guess").await, want);
    }
    // More than there are places for.
    for n in 0u32..17_000 {
        let from = std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string();
        let status = ask(&from, &format!("guess-{n}")).await;
        assert!(status == 401 || status == 429, "{status}");
    }
    assert_eq!(ask("192.0.2.1", "guess").await, 429, "who owes is not forgotten");
    assert_eq!(ask("10.0.0.1", "s3cret").await, 200);
    drop(conn);
    assert_eq!(bridge.get("/healthz").await.status(), 200);
    bridge.stop().await;
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_and_the_answer_is_remembered() {
    let issuer = Issuer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "s3cret+x%y:\n").unwrap();
    let introspection = format!("{}/introspect", issuer.url);
    let flags = [
        "--oauth-introspection-url",
        &introspection,
        "--oauth-introspection-client",
        "bridge",
        "--oauth-introspection-secret-file",
        secret.to_str().unwrap(),
        "--oauth-introspection-cache",
        "10m",
    ];
    let bridge = guarded(&issuer, &flags).await;
    let here = url("/mcp");
    issuer.knows("good", json!({"active": true, "sub": "ann", "aud": here, "iss": issuer.url}));
    issuer.knows("over", json!({"active": true, "sub": "ann", "aud": here, "exp": now() - 3600}));
    issuer.knows("other", json!({"active": true, "sub": "ann", "aud": "https://x.example"}));
    for (token, want) in [("good", 200), ("good", 200), ("over", 401), ("other", 401), ("unknown", 401)] {
        assert_eq!(with_token(&bridge, token).await.status(), want, "{token}");
    }
    assert_eq!(issuer.asked("/introspect"), 4);
    // "bridge:s3cret%2Bx%25y%3A": encoded as in a form (RFC 6749, 2.3.1).
    assert_eq!(issuer.client().as_deref(), Some("Basic YnJpZGdlOnMzY3JldCUyQnglMjV5JTNB"));
    let log = bridge.stop().await;
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn tokens_by_hand_have_names_stand_in_either_header_and_are_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "ann: one\n").unwrap();
    let flags = ["serve", "--bearer-token-file", file.to_str().unwrap(), "--api-key-header", "X-Api-Key"];
    let bridge = Bridge::demo(&flags).await;
    assert_eq!(with_token(&bridge, "one").await.status(), 200);
    assert_eq!(knock(&bridge, &[("X-Api-Key", "one")]).await.status(), 200);
    let refused = with_token(&bridge, "two").await;
    assert_eq!((refused.status(), challenge(&refused)), (401, "Bearer error=\"invalid_token\""));
    assert_eq!(challenge(&knock(&bridge, &[]).await), "Bearer");
    // Only an authorization server has metadata to tell.
    assert_eq!(bridge.get("/.well-known/oauth-protected-resource").await.status(), 401);
    std::fs::write(&file, "ann: two-which-is-longer\n").unwrap();
    let new = async { while with_token(&bridge, "two-which-is-longer").await.status() != 200 {} };
    soon("the file to be read anew", new).await;
    assert_eq!(with_token(&bridge, "one").await.status(), 401);
    let log = bridge.stop().await;
    assert!(!log.contains("which-is-longer"), "{log}");
}
