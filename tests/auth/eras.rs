//! Logins where client and server are not both of the legacy era.

use serde_json::json;

use super::{V, connect};
use crate::support::{
    authority::{Authority, Desktop, Oddities, get},
    client::initialize,
    eventually,
    user::User,
};

fn modern() -> Oddities {
    Oddities { modern: true, ..Oddities::default() }
}

#[tokio::test]
async fn a_legacy_client_is_logged_in_to_a_modern_server() {
    let (authority, desktop) = (Authority::odd(modern()).await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], V);
    assert_eq!(client.call("echo", json!({})).await.tool_text(), "echo");
    client.finish().await;
    assert_eq!(desktop.opened().len(), 1);
}

/// The server refuses `initialize` unseen and asks for a token with `server/discover`, which the client knows nothing of.
#[tokio::test]
async fn a_legacy_client_of_a_modern_server_is_told_why_a_login_failed() {
    let authority = Authority::odd(Oddities { registers: false, ..modern() }).await;
    let desktop = Desktop::new();
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    let answer = client.answer("0").await;
    assert!(answer.error().1.contains("wants a login") && answer.error().1.contains("--client-id"), "{}", answer.text);
    assert_eq!(client.program().code().await, 77);
}

#[tokio::test]
async fn a_legacy_client_of_a_modern_server_is_told_the_url_and_may_try_again() {
    let (authority, desktop) = (Authority::odd(modern()).await, Desktop::new());
    let mut client = connect(&desktop, &authority, &["--no-browser"]);
    client.send(&initialize("0", V)).await;
    let answer = client.answer("0").await;
    let url =
        answer.json["error"]["data"]["url"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).parse().unwrap();
    let back = get(&url, &[]).await.header("location").unwrap().parse().unwrap();
    get(&back, &[]).await;
    eventually("the token", || (!desktop.kept().is_empty()).then_some(())).await;
    client.send(&initialize("1", V)).await;
    assert_eq!(client.answer("1").await.json["result"]["protocolVersion"], V);
}

#[tokio::test]
async fn a_legacy_client_that_is_told_the_url_and_leaves_was_not_served() {
    let (authority, desktop) = (Authority::odd(modern()).await, Desktop::new());
    let mut client = connect(&desktop, &authority, &["--no-browser"]);
    client.send(&initialize("0", V)).await;
    client.answer("0").await;
    drop(client.program().stdin.take());
    assert_eq!(client.program().code().await, 77);
}

#[tokio::test]
async fn a_modern_client_is_logged_in() {
    let (authority, desktop) = (Authority::odd(modern()).await, Desktop::new());
    let mut user = User::modern(connect(&desktop, &authority, &[]));
    let id = user.send("tools/call", json!({"name": "echo", "arguments": {}})).await;
    desktop.log_in(0).await;
    assert_eq!(user.client.answer(&id).await.tool_text(), "echo");
}

#[tokio::test]
async fn a_modern_client_that_leaves_during_a_login_takes_the_bridge_with_it() {
    let (authority, desktop) = (Authority::odd(modern()).await, Desktop::new());
    let mut user = User::modern(connect(&desktop, &authority, &["--grace", "1s"]));
    user.send("tools/call", json!({"name": "echo", "arguments": {}})).await;
    desktop.page(0).await;
    drop(user.client.program().stdin.take());
    assert_eq!(user.client.program().code().await, 77);
}
