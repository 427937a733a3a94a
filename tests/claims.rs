//! `--claim-env`: each caller's own server gets variables from what the caller's token says.

use mcp_bridge::peer::Era;
use serde_json::{Value, json};

use crate::support::{
    client::{Client, initialize},
    http,
    issuer::Issuer,
    program::Bridge,
    user::User,
};

/// What the tokens here are issued for.
const HERE: &str = "https://bridge.example";

/// A bridge whose servers have the claim `user` as `DEMO_TOKEN`.
async fn bridge(issuer: &Issuer, flags: &[&str]) -> Bridge {
    let serve = ["serve", "--log-level", "trace", "--oauth-issuer", &issuer.url, "--oauth-audience", HERE];
    let demo = ["--claim-env", "user=DEMO_TOKEN", "--demo", "--env", "MCP_BRIDGE_DEMO_TEST=1"];
    // What the bridge itself has is nobody's.
    Bridge::start_with(&[&serve[..], flags, &demo].concat(), &[("DEMO_TOKEN", "of-the-bridge")]).await
}

fn bearer(issuer: &Issuer, claims: Value) -> String {
    let mut all = json!({"aud": HERE});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    format!("Bearer {}", issuer.token_with(all))
}

async fn variable(user: &mut User) -> String {
    user.call("env", json!({"name": "DEMO_TOKEN"})).await.tool_text().to_owned()
}

async fn over_http(bridge: &Bridge, era: Era, bearer: &str) -> User {
    // Headers by the names of the claim and of the variable are nothing.
    let with = |client: Client| {
        let client = client.with_header("Authorization", bearer);
        client.with_header("user", "somebody-else").with_header("DEMO_TOKEN", "somebody-else")
    };
    match era {
        Era::Legacy => User::legacy(with(Client::http(bridge.addr, "/mcp"))).await,
        Era::Modern => User::modern(with(Client::modern(bridge.addr, "/mcp"))),
    }
}

#[tokio::test]
async fn each_caller_has_its_own_server_with_what_its_token_says() {
    let issuer = Issuer::start().await;
    // A header of the same name as the claim becomes another variable, and stays apart.
    let bridge = bridge(&issuer, &["--header-env", "user=OTHER_VARIABLE"]).await;
    let one = bearer(&issuer, json!({"sub": "ann", "user": "hunter-1"}));
    let two = bearer(&issuer, json!({"sub": "ben", "user": "hunter-2"}));
    let none = bearer(&issuer, json!({"sub": "cid"}));
    for era in [Era::Legacy, Era::Modern] {
        let (mut ann, mut ben) = (over_http(&bridge, era, &one).await, over_http(&bridge, era, &two).await);
        assert_eq!(variable(&mut ann).await, "DEMO_TOKEN=hunter-1", "{era:?}");
        assert_eq!(variable(&mut ben).await, "DEMO_TOKEN=hunter-2", "{era:?}");
        assert_eq!(variable(&mut over_http(&bridge, era, &none).await).await, "DEMO_TOKEN is not set", "{era:?}");
        assert_eq!(variable(&mut ann).await, "DEMO_TOKEN=hunter-1", "{era:?}, again");
        assert!(!bridge.program.family().iter().any(|(_, line)| line.contains("hunter")));
    }
    let log = bridge.stop().await;
    assert!(!log.contains("hunter"), "{log}");
}

#[tokio::test]
async fn a_websocket_connection_gives_the_claim() {
    let issuer = Issuer::start().await;
    let bridge = bridge(&issuer, &[]).await;
    let bearer = bearer(&issuer, json!({"user": 4711}));
    let header = [("authorization", bearer.as_str())];
    let client = Client::ws_with(bridge.addr, "/ws", &header).await;
    assert_eq!(variable(&mut User::legacy(client).await).await, "DEMO_TOKEN=4711");
    let client = Client::ws_with(bridge.addr, "/ws", &header).await;
    assert_eq!(variable(&mut User::modern(client)).await, "DEMO_TOKEN=4711");
    bridge.stop().await;
}

#[tokio::test]
async fn an_sse_stream_gives_the_claim() {
    let issuer = Issuer::start().await;
    let bridge = bridge(&issuer, &[]).await;
    for value in ["hunter-1", "hunter-2"] {
        let bearer = bearer(&issuer, json!({"user": value}));
        let client = Client::sse_with(bridge.addr, "/sse", &[("Authorization", &bearer)]).await;
        let mut user = User::legacy(client.with_header("Authorization", &bearer)).await;
        assert_eq!(variable(&mut user).await, format!("DEMO_TOKEN={value}"));
    }
    let log = bridge.stop().await;
    assert!(!log.contains("hunter"), "{log}");
}

#[tokio::test]
async fn what_cannot_be_a_variable_is_refused_without_telling_it() {
    let issuer = Issuer::start().await;
    let bridge = bridge(&issuer, &[]).await;
    for value in [json!(["hunter2"]), json!({"hunter2": 1}), json!("hunter2\nB=1"), json!("hunter2\u{0}")] {
        let bearer = bearer(&issuer, json!({"user": value}));
        let headers = [&http::POST, &[("Authorization", bearer.as_str())][..]].concat();
        let refused = bridge.ask("POST", "/mcp", &headers, &initialize("0", "2025-11-25")).await;
        assert_eq!(refused.status(), 400, "{value}: {}", refused.body);
        assert!(refused.body.contains("the token's claim user cannot be used"), "{}", refused.body);
        assert!(!refused.body.contains("hunter"), "{}", refused.body);
    }
    let log = bridge.stop().await;
    assert!(!log.contains("hunter"), "{log}");
}

#[tokio::test]
async fn an_introspection_says_it_and_a_token_by_hand_says_nothing() {
    let issuer = Issuer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (secret, tokens) = (dir.path().join("secret"), dir.path().join("tokens"));
    std::fs::write(&secret, "s3cret\n").unwrap();
    std::fs::write(&tokens, "dan: by-hand\n").unwrap();
    let url = format!("{}/introspect", issuer.url);
    let flags = [
        "--oauth-introspection-url",
        &url,
        "--oauth-introspection-client",
        "bridge",
        "--oauth-introspection-secret-file",
        secret.to_str().unwrap(),
        "--bearer-token-file",
        tokens.to_str().unwrap(),
    ];
    let bridge = bridge(&issuer, &flags).await;
    issuer.knows("of-ann", json!({"active": true, "sub": "ann", "aud": HERE, "user": "hunter-1"}));
    issuer.knows("of-ben", json!({"active": true, "sub": "ben", "aud": HERE, "user": "hunter-2"}));
    for era in [Era::Legacy, Era::Modern] {
        for (token, want) in
            [("of-ann", "DEMO_TOKEN=hunter-1"), ("of-ben", "DEMO_TOKEN=hunter-2"), ("by-hand", "DEMO_TOKEN is not set")]
        {
            let mut user = over_http(&bridge, era, &format!("Bearer {token}")).await;
            assert_eq!(variable(&mut user).await, want, "{era:?} {token}");
        }
    }
    let log = bridge.stop().await;
    assert!(!log.contains("hunter"), "{log}");
}
