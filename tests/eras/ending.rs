//! The end in the middle of everything: calls in flight, parked calls, open subscriptions.

use std::time::{Duration, Instant};

use mcp_bridge::wire::Wire;
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

/// A call in flight has --grace, whatever its server speaks and however its client came.
#[tokio::test]
async fn sigterm_leaves_calls_of_sessions_their_time() {
    for (flags, offer) in
        [&["serve"][..], &["serve", "--shared"]].into_iter().flat_map(|flags| OFFERS.map(|offer| (flags, offer)))
    {
        let place = Place::bridge(flags, offer).await;
        let mut users = Vec::new();
        for door in [Door::Http, Door::Sse, Door::Ws] {
            let mut user = place.user(door, Era::Legacy).await;
            let call =
                user.send("tools/call", json!({"name": "slow", "arguments": {"steps": 1, "step_ms": 700}})).await;
            users.push((user, call));
        }
        place.has("tools/call", users.len()).await;
        place.signal(Signal::TERM);
        for (user, call) in &mut users {
            assert_eq!(user.client.answer(call).await.tool_text(), "Did 1 steps.", "{flags:?} {offer:?}");
        }
        drop(users);
        place.stop_again().await;
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
        // Over a pipe in both ways that the specification has.
        let told = user.client.message("notifications/cancelled").await;
        assert_eq!(told.json["params"], json!({"requestId": number(&listen)}));
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

/// A call that has no end of its own in any time that a test has.
async fn endless(user: &mut User) -> String {
    let slow = json!({"name": "slow", "arguments": {"steps": 1, "step_ms": 600_000}});
    user.send("tools/call", slow).await
}

/// The answer of a bridge that ends to a call that its server has not answered.
fn is_cut_off(answer: &Message) -> bool {
    let (code, text) = answer.error();
    code == -32603 && text.starts_with("the bridge shut down before the server answered")
}

const HASTY: [&str; 4] = ["--grace", "1", "--stop-timeout", "200ms"];

/// One answer each, also when nobody gives one: over every wire, in both eras, whatever the server speaks.
#[tokio::test]
async fn what_is_unanswered_at_the_end_of_the_grace_hears_that_the_bridge_shut_down() {
    let every = [(Door::Http, Era::Legacy), (Door::Sse, Era::Legacy), (Door::Ws, Era::Legacy)];
    let every = [&every[..], &[(Door::Http, Era::Modern), (Door::Ws, Era::Modern)]].concat();
    let posts = vec![(Door::Http, Era::Legacy), (Door::Http, Era::Modern)];
    for (offer, (flag, doors)) in OFFERS
        .into_iter()
        .flat_map(|offer| [("", &every), ("--shared", &every), ("--stateless", &posts)].map(|how| (offer, how)))
    {
        let flags: Vec<_> = ["serve", flag].into_iter().filter(|flag| !flag.is_empty()).collect();
        let place = Place::bridge(&[&flags, &HASTY[..]].concat(), offer).await;
        let mut users = Vec::new();
        for (door, era) in doors {
            let mut user = place.user(*door, *era).await;
            let call = endless(&mut user).await;
            users.push((user, call, door));
        }
        place.has("tools/call", users.len()).await;
        place.signal(Signal::TERM);
        for (user, call, door) in &mut users {
            let answer = user.client.answer(call).await;
            assert!(is_cut_off(&answer), "{offer:?} {flag} {door:?} {:?}: {}", user.era, answer.text);
        }
        drop(users);
        place.stop_again().await;
    }
}

/// A client's command: its process, and another bridge over each wire, which has a server that is shared or of its own.
async fn client_leaves(place: Place, era: Era, signal: Option<Signal>) {
    let what = format!("{:?} {era:?} {signal:?}", place.offer);
    let flags = if place.is_command() { &HASTY[..] } else { &HASTY[..2] };
    let mut user = place.user_with(Door::Connect, era, flags).await;
    let call = endless(&mut user).await;
    place.has("tools/call", 1).await;
    match signal {
        None => drop(user.client.program().stdin.take()),
        Some(signal) => user.client.program().signal(signal),
    }
    let answer = user.client.answer(&call).await;
    assert!(answer.json["error"].is_object(), "{what}: {}", answer.text);
    assert_eq!(is_cut_off(&answer), signal.is_some(), "{what}: {}", answer.text);
    assert_eq!(user.client.program().code().await, 0, "{what}");
    user.client.program().no_family().await;
    drop(user);
    place.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_with_a_call_open_ends_its_command() {
    let (eras, signals) = ([Era::Legacy, Era::Modern], [None, Some(Signal::TERM)]);
    for (era, signal) in eras.into_iter().flat_map(|era| signals.map(|signal| (era, signal))) {
        for offer in OFFERS {
            client_leaves(Place::pair(Wire::Stdio, Wire::Stdio, offer).await, era, signal).await;
        }
        for wire in [Wire::Http, Wire::Sse, Wire::Ws] {
            client_leaves(Place::pair(wire, Wire::Stdio, Offer::Both).await, era, signal).await;
        }
        client_leaves(Place::bridge(&["serve", "--shared"], Offer::Both).await, era, signal).await;
    }
}

/// It fills its pipe, and nothing that it is told reaches it.
#[tokio::test]
async fn a_server_that_reads_nothing_holds_up_no_client_that_leaves() {
    for (era, signal) in ["legacy", "modern"].into_iter().flat_map(|era| [(era, None), (era, Some(Signal::TERM))]) {
        let server = ["connect", "--server-era", era, "--", "sleep", "600"];
        let mut user = User::modern(Client::stdio(&[&server[..3], &HASTY, &server[3..]].concat()));
        if era == "legacy" {
            user.era = Era::Legacy;
        }
        let mut calls = Vec::new();
        for _ in 0..4 {
            let big = json!({"name": "echo", "arguments": {"message": "x".repeat(100_000)}});
            calls.push(user.send("tools/call", big).await);
        }
        match signal {
            None => drop(user.client.program().stdin.take()),
            Some(signal) => user.client.program().signal(signal),
        }
        for call in &calls {
            assert_eq!(user.client.answer(call).await.error().0, -32603, "{era} {signal:?}");
        }
        assert_eq!(user.client.program().code().await, 0, "{era} {signal:?}");
        user.client.program().no_family().await;
    }
}

/// A modern process is kept when a client leaves, so it has to be told of each exchange. A legacy one hears it of its call,
/// and has no subscriptions to lists.
fn taken_back(offer: Offer) -> usize {
    if offer.spoken(Era::Modern) == Era::Modern { 2 } else { 1 }
}

#[tokio::test]
async fn a_client_command_with_a_process_takes_back_what_that_is_still_at() {
    for (offer, signal) in OFFERS.into_iter().flat_map(|offer| [(offer, None), (offer, Some(Signal::TERM))]) {
        let place = Place::pair(Wire::Stdio, Wire::Stdio, offer).await;
        let mut user = place.user_with(Door::Connect, Era::Modern, &["--grace", "1"]).await;
        user.capabilities = json!({});
        let (listen, _) = user.listen(json!({"toolsListChanged": true})).await;
        let call = endless(&mut user).await;
        place.has("tools/call", 1).await;
        match signal {
            None => drop(user.client.program().stdin.take()),
            Some(signal) => user.client.program().signal(signal),
        }
        let end = user.heard(&listen).await;
        assert!(is_goodbye(&end, &listen), "{offer:?}: {}", end.text);
        let answer = user.client.answer(&call).await;
        match signal {
            // Its server is told first, and answers.
            None => assert_eq!(answer.error().0, -32800, "{offer:?}"),
            Some(_) => assert!(is_cut_off(&answer), "{offer:?}: {}", answer.text),
        }
        assert_eq!(user.client.program().code().await, 0, "{offer:?} {signal:?}");
        place.has("notifications/cancelled", taken_back(offer)).await;
        user.client.program().no_family().await;
        place.stop().await;
    }
}

/// 2026-07-28, Cancellation: what nobody hears any more is not worked on.
#[tokio::test]
async fn a_connection_that_ends_takes_back_what_is_open_on_it() {
    for offer in OFFERS {
        let place = Place::bridge(&["serve"], offer).await;
        let mut user = place.user(Door::Ws, Era::Modern).await;
        user.capabilities = json!({});
        user.call("echo", json!({"message": "answered"})).await;
        user.listen(json!({"toolsListChanged": true})).await;
        endless(&mut user).await;
        place.has("tools/call", 2).await;
        drop(user);
        place.has("notifications/cancelled", taken_back(offer)).await;
        assert_eq!(place.count("notifications/cancelled"), taken_back(offer), "what was answered is left alone");
        place.stop().await;
    }
}
