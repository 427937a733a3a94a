//! The ways to a token, and what the client hears meanwhile.

use aws_lc_rs::{
    encoding::AsDer,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::{V, connect, done};
use crate::support::{
    authority::{Authority, Desktop, Oddities},
    client::initialize,
};

#[tokio::test]
async fn a_login_in_the_browser_answers_the_initialize_that_waited() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    let page = desktop.page(0).await;
    let query: std::collections::HashMap<_, _> = page.query_pairs().into_owned().collect();
    assert_eq!(query["resource"], authority.url());
    assert_eq!((query["code_challenge_method"].as_str(), query["response_type"].as_str()), ("S256", "code"));
    assert_eq!(query["scope"], "read list");
    assert!(query["redirect_uri"].starts_with("http://127.0.0.1:"), "{query:?}");
    let (_, last) = desktop.log_in(0).await;
    assert_eq!(last.status(), 200, "{last:?}");
    let answer = client.answer("0").await;
    assert_eq!(answer.json["result"]["protocolVersion"], V, "{}", answer.text);
    assert_eq!(client.call("echo", json!({})).await.tool_text(), "echo");
    client.finish().await;
    authority.notes(|notes| {
        assert_eq!(notes.registered.len(), 1);
        assert_eq!(notes.registered[0]["application_type"], "native");
        assert_eq!(notes.redeemed[0]["resource"], authority.url());
        assert_eq!(notes.heard.iter().filter(|method| *method == "initialize").count(), 1);
    });

    // The next run needs no login.
    let mut client = connect(&desktop, &authority, &[]);
    client.initialize(V).await;
    client.finish().await;
    assert_eq!(desktop.opened().len(), 1);
    assert_eq!(authority.notes(|notes| notes.redeemed.len()), 1);
}

#[tokio::test]
async fn the_scope_of_the_challenge_is_what_is_asked_for() {
    let authority = Authority::odd(Oddities { scope: Some("mcp:call"), ..Oddities::default() }).await;
    let desktop = Desktop::new();
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    authority.notes(|notes| assert_eq!(notes.authorized[0]["scope"], "mcp:call"));
}

#[tokio::test]
async fn a_document_that_no_challenge_points_at_is_found() {
    let authority = Authority::odd(Oddities { pointer: false, ..Oddities::default() }).await;
    let desktop = Desktop::new();
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], V);
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once_and_the_call_repeated() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    client.send(&crate::support::client::notification("notifications/initialized")).await;
    authority.expire();
    for id in ["1", "2", "3", "4"] {
        client.send(&crate::support::client::tool(id, "echo", json!({}))).await;
    }
    for id in ["1", "2", "3", "4"] {
        assert_eq!(client.answer(id).await.tool_text(), "echo");
    }
    authority.notes(|notes| {
        assert_eq!(notes.grants("refresh_token"), 1);
        assert_eq!(notes.redeemed[1]["resource"], authority.url());
        assert_eq!(notes.heard.iter().filter(|method| *method == "tools/call").count(), 4);
    });
    assert_eq!(desktop.opened().len(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let authority = Authority::odd(Oddities { lasts: Some(1), ..Oddities::default() }).await;
    let desktop = Desktop::new();
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    // What is awaited is the clock itself: each call may be the one that finds the token near its end.
    crate::support::at_last("a renewal", async || {
        assert_eq!(client.call("echo", json!({})).await.tool_text(), "echo");
        (authority.notes(|notes| notes.grants("refresh_token")) >= 1).then_some(())
    })
    .await;
    assert_eq!(desktop.opened().len(), 1);
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_leads_to_a_new_login() {
    let authority = Authority::odd(Oddities { renews: false, ..Oddities::default() }).await;
    let desktop = Desktop::new();
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    authority.expire();
    client.send(&crate::support::client::tool("1", "echo", json!({}))).await;
    desktop.log_in(1).await;
    assert_eq!(client.answer("1").await.tool_text(), "echo");
    // The port of the first login was free again, so the client is still the one that registered.
    assert_eq!(authority.notes(|notes| notes.registered.len()), 1);
}

#[tokio::test]
async fn a_tool_that_needs_more_leads_to_a_login_for_all_of_it() {
    let authority = Authority::odd(Oddities { write_scope: Some("write"), ..Oddities::default() }).await;
    let desktop = Desktop::new();
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    client.send(&crate::support::client::tool("1", "write", json!({}))).await;
    desktop.log_in(1).await;
    assert_eq!(client.answer("1").await.tool_text(), "write");
    authority.notes(|notes| assert_eq!(notes.authorized[1]["scope"], "read list write"));
}

/// An authorization server may hold a client to what it registered with (RFC 7591, 2).
#[tokio::test]
async fn a_login_for_more_than_was_registered_for_registers_anew() {
    let odd = Oddities { scope: Some("read"), write_scope: Some("write"), ..Oddities::default() };
    let (authority, desktop) = (Authority::odd(odd).await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    client.send(&crate::support::client::tool("1", "write", json!({}))).await;
    desktop.log_in(1).await;
    assert_eq!(client.answer("1").await.tool_text(), "write");
    authority.notes(|notes| {
        let scopes: Vec<_> = notes.registered.iter().map(|wanted| wanted["scope"].clone()).collect();
        assert_eq!(scopes, ["read", "read write"]);
    });
}

/// OpenID Connect Core 1.0, Offline Access: without consent in so many words there is no token that can be renewed.
#[tokio::test]
async fn what_outlasts_the_login_is_asked_for_with_consent() {
    for (supported, prompt) in [(json!(["read", "offline_access"]), Some("consent")), (json!(["read"]), None)] {
        let odd = Oddities { metadata: json!({ "scopes_supported": supported }), ..Oddities::default() };
        let (authority, desktop) = (Authority::odd(odd).await, Desktop::new());
        let mut client = connect(&desktop, &authority, &[]);
        client.send(&initialize("0", V)).await;
        desktop.log_in(0).await;
        client.answer("0").await;
        authority.notes(|notes| assert_eq!(notes.authorized[0].get("prompt").map(String::as_str), prompt));
    }
}

#[tokio::test]
async fn a_scope_that_is_not_granted_is_not_asked_for_again() {
    let odd = Oddities { write_scope: Some("write"), grants: false, ..Oddities::default() };
    let (authority, desktop) = (Authority::odd(odd).await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    client.send(&crate::support::client::tool("1", "write", json!({}))).await;
    desktop.log_in(1).await;
    let answer = client.answer("1").await;
    assert!(answer.error().1.contains("did not grant"), "{}", answer.text);
    assert_eq!(desktop.opened().len(), 2);
}

#[tokio::test]
async fn a_server_that_refuses_its_own_tokens_brings_up_no_second_page() {
    let authority = Authority::odd(Oddities { refuses_all: true, ..Oddities::default() }).await;
    let desktop = Desktop::new();
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    let answer = client.answer("0").await;
    assert!(answer.error().1.contains("refuses the token"), "{}", answer.text);
    assert_eq!(client.program().code().await, 77);
    assert_eq!(desktop.opened().len(), 1);
}

#[tokio::test]
async fn without_a_browser_the_client_is_told_the_url_and_may_try_again() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut client = connect(&desktop, &authority, &["--no-browser"]);
    client.send(&initialize("0", V)).await;
    let answer = client.answer("0").await;
    let url = answer.json["error"]["data"]["url"].as_str().unwrap().to_owned();
    assert_eq!(answer.error().0, -32603);
    assert!(answer.error().1.contains(&url) && url.contains("/as/authorize?"), "{}", answer.text);
    let page = url::Url::parse(&url).unwrap();
    let back = crate::support::authority::get(&page, &[]).await.header("location").unwrap().to_owned();
    crate::support::authority::get(&url::Url::parse(&back).unwrap(), &[]).await;
    crate::support::eventually("the token", || (!desktop.kept().is_empty()).then_some(())).await;
    client.send(&initialize("1", V)).await;
    assert_eq!(client.answer("1").await.json["result"]["protocolVersion"], V);
    assert!(desktop.opened().is_empty());
}

#[tokio::test]
async fn a_login_that_nobody_does_ends_with_the_url() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut client = connect(&desktop, &authority, &["--auth-timeout", "300ms"]);
    client.send(&initialize("0", V)).await;
    let answer = client.answer("0").await;
    assert_eq!(answer.json["error"]["data"]["url"], desktop.opened()[0].as_str());
}

#[tokio::test]
async fn another_device_takes_a_code() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let (code, out, err) = done(&desktop, &["login", &authority.url(), "--device"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("/as/activate") && err.contains("WDJB-MJHT"), "{err}");
    assert!(out.starts_with("logged in\n"), "{out}");
    let mut client = connect(&desktop, &authority, &[]);
    client.initialize(V).await;
    authority.notes(|notes| {
        assert_eq!(notes.device_asked, 2);
        let kinds = json!(["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]);
        assert_eq!(notes.registered[0]["grant_types"], kinds);
        assert_eq!(notes.registered[0]["response_types"], json!([]));
    });
}

#[tokio::test]
async fn a_client_may_call_for_itself() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let file = desktop.path("secret");
    std::fs::write(&file, "s3cr3t-of-mine\n").unwrap();
    let words = ["--client-credentials", "--client-id", "me", "--client-secret-file", file.to_str().unwrap()];
    let mut client = connect(&desktop, &authority, &words);
    client.initialize(V).await;
    authority.expire();
    // No user is needed for the next one.
    assert_eq!(client.call("echo", json!({})).await.tool_text(), "echo");
    authority.notes(|notes| {
        assert_eq!(notes.grants("client_credentials"), 2);
        assert!(notes.proofs[0].as_ref().unwrap().starts_with("Basic "));
        assert_eq!(notes.redeemed[0]["resource"], authority.url());
    });
    assert!(desktop.opened().is_empty());
    let kept = std::fs::read_to_string(&desktop.kept()[0]).unwrap();
    assert!(!kept.contains("of-mine"));
}

/// RFC 7523: the server checks the signature, the issuer, the subject, the reader, the end, and that it is no copy.
#[tokio::test]
async fn a_client_may_prove_itself_by_what_it_signs() {
    let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let keys = [
        (Algorithm::RS256, rsa.public_key().as_ref().to_vec(), rsa.as_der().unwrap().as_ref().to_vec()),
        (Algorithm::ES256, p256.public_key().as_ref().to_vec(), p256.to_pkcs8v1().unwrap().as_ref().to_vec()),
    ];
    for (algorithm, public, private) in keys {
        let odd = Oddities { client_key: Some((algorithm, public)), ..Oddities::default() };
        let (authority, desktop) = (Authority::odd(odd).await, Desktop::new());
        let file = desktop.path("key.pem");
        let words = ["--client-credentials", "--client-id", "me", "--client-key-file", file.to_str().unwrap()];
        let pem =
            |der: &[u8]| format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
        std::fs::write(&file, pem(&private)).unwrap();
        let mut client = connect(&desktop, &authority, &words);
        client.initialize(V).await;
        authority.expire();
        assert_eq!(client.call("echo", json!({})).await.tool_text(), "echo", "a second statement is another one");
        client.finish().await;
        authority.notes(|notes| assert_eq!(notes.grants("client_credentials"), 2));

        // Another key proves nothing.
        let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        std::fs::write(&file, pem(other.to_pkcs8v1().unwrap().as_ref())).unwrap();
        let desktop = Desktop::new();
        let mut client = connect(&desktop, &authority, &words);
        client.send(&initialize("0", V)).await;
        assert!(client.answer("0").await.error().1.contains("invalid_client"));
        assert_eq!(client.program().code().await, 77);
    }
}

#[tokio::test]
async fn a_client_that_is_registered_by_hand_does_not_register() {
    let authority = Authority::odd(Oddities { registers: false, ..Oddities::default() }).await;
    let desktop = Desktop::new();
    let mut client = connect(&desktop, &authority, &["--client-id", "by-hand"]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    authority.notes(|notes| {
        assert!(notes.registered.is_empty());
        assert_eq!(notes.authorized[0]["client_id"], "by-hand");
    });
    // Without it, the flags are named.
    let other = Desktop::new();
    let mut client = connect(&other, &authority, &[]);
    client.send(&initialize("0", V)).await;
    let answer = client.answer("0").await;
    assert!(answer.error().1.contains("--client-id"), "{}", answer.text);
}

#[tokio::test]
async fn a_document_about_the_client_is_its_id_where_the_server_takes_that() {
    let metadata = json!({ "client_id_metadata_document_supported": true });
    let (authority, desktop) = (Authority::odd(Oddities { metadata, ..Oddities::default() }).await, Desktop::new());
    let mut client = connect(&desktop, &authority, &["--client-metadata-url", "https://me.example/client.json"]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    authority.notes(|notes| assert_eq!(notes.authorized[0]["client_id"], "https://me.example/client.json"));
}

#[tokio::test]
async fn a_server_without_a_login_is_told_of_as_before() {
    let odd = Oddities { pointer: false, publishes: false, ..Oddities::default() };
    let (authority, desktop) = (Authority::odd(odd).await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    let answer = client.answer("0").await;
    assert!(answer.error().1.contains("give a token with --bearer"), "{}", answer.text);
    assert_eq!(client.program().code().await, 77);

    // And who gives a token, or wants no login, is not sent anywhere.
    let authority = Authority::start().await;
    for words in [["--bearer", "mine"].as_slice(), &["--no-login"]] {
        let mut client = connect(&desktop, &authority, words);
        client.send(&initialize("0", V)).await;
        client.answer("0").await;
        assert_eq!(client.program().code().await, 77);
    }
    authority.notes(|notes| assert!(notes.asked.iter().all(|asked| asked.ends_with(" /mcp")), "{:?}", notes.asked));
}
