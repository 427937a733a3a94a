//! The end in the middle of everything: calls in flight, parked calls, open subscriptions.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::place::{Door, OFFERS, Offer, Place};
use crate::support::{
    client::{Client, Kind, Message},
    user::{Era, User},
};

/// How long an end may take here: the calls end by themselves within a second, and the processes at once.
const PROMPT: Duration = Duration::from_secs(6);

/// A user with a call that waits for its caller, a subscription, and a call in flight, whose id is given.
async fn busy(mut user: User) -> (User, String, String) {
    let asked = user.once("tools/call", json!({"name": "ask", "arguments": {"message": "?"}})).await;
    assert_eq!(asked.json["result"]["resultType"], "input_required", "{}", asked.text);
    let (listen, _) = user.listen(json!({"toolsListChanged": true})).await;
    let slow = json!({"name": "slow", "arguments": {"steps": 1, "step_ms": 700}});
    let call = user.send("tools/call", slow).await;
    (user, listen, call)
}

fn number(id: &str) -> u64 {
    id.parse().unwrap()
}

fn is_goodbye(end: &Message, id: &str) -> bool {
    let result = &end.json["result"];
    result["resultType"] == "complete" && result["_meta"]["io.modelcontextprotocol/subscriptionId"] == number(id)
}

/// The call is answered, the subscription is ended with its result, the parked call is forgotten, and no process is left.
#[tokio::test]
async fn sigterm_ends_modern_work_promptly_and_leaves_no_process() {
    for offer in OFFERS {
        let place = Place::bridge(&["serve"], offer).await;
        let legacy = place.user(Door::Http, Era::Legacy).await;
        let (mut user, listen, call) = busy(place.user(Door::Http, Era::Modern).await).await;
        place.has("tools/call", 2).await;
        let start = Instant::now();
        place.signal(Signal::TERM);
        let end = user.heard(&listen).await;
        assert!(is_goodbye(&end, &listen), "{offer:?}: {}", end.text);
        assert_eq!(user.client.answer(&call).await.tool_text(), "Did 1 steps.");
        drop((user, legacy));
        place.stop_again().await;
        assert!(start.elapsed() < PROMPT, "{offer:?}: it took {:?}", start.elapsed());
    }
}

/// The client's command, on both kinds of URL: the same, and stdout is frames only.
#[tokio::test]
async fn a_client_command_ends_promptly_with_its_stdin() {
    for offer in [Offer::Legacy, Offer::Modern] {
        let place = Place::remote(Kind::Http, offer).await;
        let user = User::modern(Client::stdio(&["connect", &place.url()]));
        let (mut user, listen, call) = busy(user).await;
        place.has("tools/call", 2).await;
        // What is subscribed is not waited for.
        user.cancel(&listen).await;
        let start = Instant::now();
        let rest = user.client.finish().await;
        assert!(start.elapsed() < PROMPT, "{offer:?}: it took {:?}", start.elapsed());
        assert!(rest.iter().all(|message| message.json["jsonrpc"] == "2.0"));
        assert!(rest.iter().any(|message| message.json["id"] == number(&call)), "{rest:?}");
    }
}

#[tokio::test]
async fn sigterm_ends_a_client_command_with_an_open_subscription() {
    for offer in [Offer::Legacy, Offer::Modern] {
        let place = Place::remote(Kind::Http, offer).await;
        let user = User::modern(Client::stdio(&["connect", &place.url()]));
        let (mut user, listen, call) = busy(user).await;
        place.has("tools/call", 2).await;
        let start = Instant::now();
        user.client.program().signal(Signal::TERM);
        assert_eq!(user.client.answer(&call).await.tool_text(), "Did 1 steps.");
        let end = user.heard(&listen).await;
        assert!(is_goodbye(&end, &listen), "{offer:?}: {}", end.text);
        assert_eq!(user.client.program().code().await, 0);
        assert!(start.elapsed() < PROMPT, "{offer:?}: it took {:?}", start.elapsed());
        user.client.program().no_family().await;
    }
}

/// What is not answered within `--grace` is answered with an error, in whichever era the server works on it.
#[tokio::test]
async fn a_client_command_of_the_modern_era_ends_when_its_client_is_gone() {
    for offer in [Offer::Legacy, Offer::Modern] {
        let place = Place::remote(Kind::Http, offer).await;
        let mut user = User::modern(Client::stdio(&["connect", "--grace", "1", &place.url()]));
        let slow = json!({"name": "slow", "arguments": {"steps": 1, "step_ms": 600_000}});
        let call = user.send("tools/call", slow).await;
        place.has("tools/call", 1).await;
        let (listen, _) = user.listen(json!({"toolsListChanged": true})).await;
        drop(user.client.program().stdin.take());
        let answer = user.client.answer(&call).await;
        assert!(answer.json["error"]["message"].is_string(), "{offer:?}: {}", answer.text);
        let end = user.heard(&listen).await;
        assert!(is_goodbye(&end, &listen), "{offer:?}: {}", end.text);
        assert_eq!(user.client.program().code().await, 0);
    }
}
