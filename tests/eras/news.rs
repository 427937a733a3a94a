//! Subscriptions to servers that end, restart, or end them in good order.

use serde_json::json;

use super::place::{Door, Offer, Place};
use crate::support::{
    client::{Kind, Message},
    user::{Era, User},
};

const COUNTER: &str = "demo://counter";

fn all() -> serde_json::Value {
    json!({"toolsListChanged": true, "resourceSubscriptions": [COUNTER]})
}

/// Of the modern era, and with nothing that it may be asked: its calls and its subscriptions are with one server.
async fn listener(place: &Place) -> User {
    let mut user = place.user(Door::Http, Era::Modern).await;
    user.capabilities = json!({});
    user
}

async fn touched(user: &mut User, id: &str) -> Message {
    user.call("touch", json!({})).await;
    user.heard(id).await
}

/// The answer that a modern client gets when its server crashes: it may open another subscription at once.
#[tokio::test]
async fn the_crash_of_a_modern_server_ends_its_subscriptions_with_an_error() {
    for flags in [&["serve"][..], &["serve", "--shared"], &["serve", "--pooled"]] {
        let place = Place::bare(flags, Offer::Modern).await;
        let mut user = listener(&place).await;
        let (id, _) = user.listen(all()).await;
        assert_eq!(touched(&mut user, &id).await.method(), "notifications/resources/updated");
        assert_eq!(user.call("crash", json!({})).await.error().0, -32603);
        let end = user.heard(&id).await;
        assert_eq!((end.error(), end.status), ((-32603, "the server mcp-bridge exited with code 1"), 200));
        let (id, _) = user.listen(all()).await;
        assert_eq!(touched(&mut user, &id).await.method(), "notifications/resources/updated");
        user.client.hang_up(&id);
        drop(user);
        place.stop().await;
    }
}

/// Over a legacy server the bridge keeps the subscription, and says that all of it may have changed.
#[tokio::test]
async fn a_subscription_outlives_the_crash_of_a_legacy_server() {
    let place = Place::bare(&["serve"], Offer::Legacy).await;
    let mut user = listener(&place).await;
    let (id, _) = user.listen(all()).await;
    assert_eq!(touched(&mut user, &id).await.method(), "notifications/resources/updated");
    assert_eq!(user.call("crash", json!({})).await.error().0, -32603);
    let mut news = [user.heard(&id).await.method().to_owned(), user.heard(&id).await.method().to_owned()];
    news.sort();
    assert_eq!(news, ["notifications/resources/updated", "notifications/tools/list_changed"]);
    assert_eq!(touched(&mut user, &id).await.method(), "notifications/resources/updated");
    user.client.hang_up(&id);
    drop(user);
    place.stop().await;
}

/// A legacy session at a modern server that all share: the server ends the subscriptions, as one does that goes down; the
/// bridge opens them again and tells of all that was subscribed.
#[tokio::test]
async fn a_legacy_session_is_told_of_everything_after_its_server_ended_the_subscription() {
    for place in [Place::bridge(&["serve"], Offer::Modern).await, Place::remote(Kind::Http, Offer::Modern).await] {
        let door = if place.is_remote() { Door::Connect } else { Door::Http };
        let mut user = place.user(door, Era::Legacy).await;
        user.ask("resources/subscribe", json!({"uri": COUNTER})).await;
        user.call("touch", json!({})).await;
        user.client.message("notifications/resources/updated").await;
        let opened = place.count("subscriptions/listen");
        let ended = user.call("unlisten", json!({})).await;
        assert_eq!(ended.tool_text(), "Ended 1 subscriptions.");
        place.has("subscriptions/listen", opened + 1).await;
        user.client.message("notifications/resources/updated").await;
        user.client.message("notifications/tools/list_changed").await;
        user.call("touch", json!({})).await;
        user.client.message("notifications/resources/updated").await;
        drop(user);
        place.stop().await;
    }
}

/// When the process that they share dies, another one is started: the bridge subscribes there, and tells of everything.
#[tokio::test]
async fn legacy_sessions_go_on_with_the_next_modern_server_that_they_share() {
    for flag in ["--shared", "--pooled"] {
        let place = Place::bare(&["serve", flag], Offer::Modern).await;
        // The first one finds out the server's era, the second one knows it.
        let mut users = [place.user(Door::Http, Era::Legacy).await, place.user(Door::Http, Era::Legacy).await];
        for user in &mut users {
            user.ask("resources/subscribe", json!({"uri": COUNTER})).await;
            user.call("touch", json!({})).await;
            user.client.message("notifications/resources/updated").await;
        }
        let [first, second] = &mut users;
        // Of the second touch: both have subscribed.
        first.client.message("notifications/resources/updated").await;
        assert_eq!(second.call("crash", json!({"code": 7})).await.json["error"]["data"]["exitCode"], 7);
        for user in &mut users {
            user.client.message("notifications/tools/list_changed").await;
            user.client.message("notifications/resources/updated").await;
        }
        users[0].call("touch", json!({})).await;
        for user in &mut users {
            user.client.message("notifications/resources/updated").await;
        }
        drop(users);
        place.stop().await;
    }
}

/// And a modern one is answered.
#[tokio::test]
async fn a_subscription_that_its_server_ends_is_answered() {
    for (place, door) in [
        (Place::bridge(&["serve"], Offer::Modern).await, Door::Http),
        (Place::remote(Kind::Http, Offer::Modern).await, Door::Connect),
    ] {
        let mut user = place.user(door, Era::Modern).await;
        let (id, _) = user.listen(all()).await;
        user.call("unlisten", json!({})).await;
        let end = user.heard(&id).await;
        let result = &end.json["result"];
        assert_eq!(result["resultType"], "complete", "{}", end.text);
        assert_eq!(result["_meta"]["io.modelcontextprotocol/subscriptionId"].to_string(), id);
        if door == Door::Connect {
            let told = user.client.message("notifications/cancelled").await;
            assert_eq!(told.json["params"]["requestId"].to_string(), id);
        }
        user.client.finish().await;
        place.stop().await;
    }
}
