//! `requestState`: what is good, and the exact answer to each that is not.

use std::time::Duration;

use super::*;
use crate::era::modern_to_legacy::seal::Sealer;

const UNKNOWN: &str = "requestState is not one that this bridge gave to this caller for a call; start over without it";

/// A call that was asked back, and its handle.
pub(super) async fn parked(bridge: &mut Bridge, client: &mut Client) -> (Server, Asked, Answers, String) {
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let elicited = asked.ask(&server, 8, "elicitation/create", json!({"message": "m"})).await;
    let (_, state) = answers.input_required().await;
    (server, asked, elicited, state)
}

fn yes() -> Value {
    json!({"s1": {"action": "accept"}})
}

#[tokio::test(start_paused = true)]
async fn what_was_never_given_out_is_not_known() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (_server, asked, mut elicited, state) = parked(&mut bridge, &mut client).await;
    let mut tampered = state.clone().into_bytes();
    tampered[40] = if tampered[40] == b'A' { b'B' } else { b'A' };
    for bad in [String::from_utf8(tampered).unwrap().as_str(), "", "v1.", "x", &state[1..], &format!("{state}A")] {
        assert_eq!(client.retry(bad, yes()).await.error().await, (-32602, UNKNOWN.into()), "{bad}");
    }
    let mut odd = client.ask("tools/call", json!({"name": "greet", "requestState": 7})).await;
    assert_eq!(odd.error().await, (-32602, "requestState must be a string".into()));
    for responses in [json!([]), json!({"s1": "yes"}), json!({"s1": null})] {
        let text = "inputResponses must be an object whose members are objects";
        assert_eq!(client.retry(&state, responses).await.error().await, (-32602, text.into()));
    }
    // None of that has used it up.
    let mut answers = client.retry(&state, yes()).await;
    assert_eq!(elicited.value().await, json!({"action": "accept"}));
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn another_principal_learns_nothing() {
    let mut bridge = Bridge::start();
    let mut alice = Client::of(&bridge, ALL, Some("alice"));
    let (_server, _asked, _elicited, state) = parked(&mut bridge, &mut alice).await;
    for who in [Some("bob"), None] {
        let mut other = Client::of(&bridge, ALL, who);
        assert_eq!(other.retry(&state, yes()).await.error().await, (-32602, UNKNOWN.into()));
    }
    let mut again = Client::of(&bridge, ALL, Some("alice"));
    let mut answers = again.retry(&state, json!({})).await;
    answers.input_required().await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_serves_once() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (_server, asked, mut elicited, state) = parked(&mut bridge, &mut client).await;
    let mut answers = client.retry(&state, yes()).await;
    elicited.value().await;
    let used = (-32602, "requestState was used already; each serves for one retry".to_string());
    assert_eq!(client.retry(&state, yes()).await.error().await, used);
    asked.answer("{}");
    answers.value().await;
    assert_eq!(client.retry(&state, yes()).await.error().await, used);
}

#[tokio::test(start_paused = true)]
async fn a_retry_with_other_params_is_another_request() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (_server, asked, _elicited, state) = parked(&mut bridge, &mut client).await;
    let text = "requestState belongs to a request with another method or other params; repeat them as they were";
    let params = json!({"name": "pay", "requestState": state, "inputResponses": yes()});
    assert_eq!(client.ask("tools/call", params).await.error().await, (-32602, text.into()));
    let params = json!({"name": "greet", "requestState": state, "inputResponses": yes()});
    assert_eq!(client.ask("prompts/get", params).await.error().await, (-32602, text.into()));
    let mut answers = client.retry(&state, yes()).await;
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_asked_again() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let mut first = asked.ask(&server, 1, "elicitation/create", json!({"message": "a"})).await;
    let mut second = asked.ask(&server, 2, "sampling/createMessage", json!({"messages": []})).await;
    let (requests, state) = answers.input_required().await;
    assert_eq!(requests.as_object().unwrap().len(), 2);
    let (again, next) = client.retry(&state, json!({"x": {}})).await.input_required().await;
    assert_eq!(again, requests);
    assert_ne!(next, state);
    let used = "requestState was used already; each serves for one retry";
    assert_eq!(client.retry(&state, yes()).await.error().await, (-32602, used.into()));
    let (again, next) = client.retry(&next, yes()).await.input_required().await;
    assert_eq!(first.value().await, json!({"action": "accept"}));
    assert_eq!(again["s2"]["method"], "sampling/createMessage");
    assert!(again.get("s1").is_none());
    let mut answers = client.retry(&next, json!({"s2": {"role": "assistant"}})).await;
    assert_eq!(second.value().await, json!({"role": "assistant"}));
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn an_expired_call_is_over_for_the_server_and_its_caller() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let mut answers = client.call().await;
    let mut server = bridge.server().await;
    let asked = server.request().await;
    let mut elicited = asked.ask(&server, 1, "elicitation/create", json!({"message": "a"})).await;
    let mut sampled = asked.ask(&server, 2, "sampling/createMessage", json!({"messages": []})).await;
    let mut roots = asked.ask(&server, 3, "roots/list", json!({})).await;
    let (_, state) = answers.input_required().await;
    let start = tokio::time::Instant::now();
    let note = server.note().await;
    assert_eq!(start.elapsed().as_secs(), 600);
    assert_eq!(note.method(), "notifications/cancelled");
    let params: Value = serde_json::from_str(note.body().unwrap()).unwrap();
    assert_eq!(params["requestId"].to_string(), asked.frame.id_text());
    assert_eq!(elicited.value().await, json!({"action": "cancel"}));
    assert_eq!(sampled.error().await, (-1, "the user did not answer".into()));
    assert_eq!(roots.error().await, (-32603, "the client did not answer".into()));
    let text = "requestState has expired; start over without it";
    assert_eq!(client.retry(&state, yes()).await.error().await, (-32602, text.into()));
    // The server is given to the next call once it has answered a ping.
    let ping = server.request().await;
    assert_eq!(ping.frame.method(), "ping");
    ping.answer("{}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut answers = client.call().await;
    server.request().await.answer("{}");
    answers.value().await;
    assert!(bridge.no_server());
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_call_is_lost_and_says_so() {
    let key = Arc::new(Sealer::random().unwrap());
    let settings = || Settings { state: Some(key.clone()), ..Settings::default() };
    let mut before = Bridge::with(settings());
    let mut client = Client::new(&before, ALL);
    let (_server, _asked, _elicited, state) = parked(&mut before, &mut client).await;
    let mut after = Bridge::with(settings());
    let mut client = Client::new(&after, ALL);
    let text = "requestState names a call that is lost: the bridge was restarted or the server was changed in its config file \
             since, or another bridge gave it; call again without it";
    assert_eq!(client.retry(&state, yes()).await.error().await, (-32602, text.into()));
    let other = Bridge::start();
    let mut client = Client::new(&other, ALL);
    assert_eq!(client.retry(&state, yes()).await.error().await, (-32602, UNKNOWN.into()), "another key");
    assert!(after.no_server());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_while_the_call_was_parked_is_kept_for_its_caller() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (mut server, asked, mut elicited, state) = parked(&mut bridge, &mut client).await;
    asked.answer(r#"{"content":[]}"#);
    assert_eq!(elicited.error().await, (-32800, "the call that this belongs to is over".into()));
    let mut other = client.call().await;
    server.request().await.answer("{}");
    other.value().await;
    assert!(bridge.no_server(), "its server is free already");
    let answer = client.retry(&state, yes()).await.value().await;
    assert_eq!((&answer["resultType"], &answer["content"]), (&json!("complete"), &json!([])));
}

#[tokio::test(start_paused = true)]
async fn parked_calls_of_one_principal_are_bounded() {
    let mut bridge = Bridge::with(Settings { max_parked: 1, ..Settings::default() });
    let (mut alice, mut bob) = (Client::of(&bridge, ALL, Some("alice")), Client::of(&bridge, ALL, Some("bob")));
    let (_s1, asked, _e1, state) = parked(&mut bridge, &mut alice).await;
    let mut answers = alice.call().await;
    let mut server = bridge.server().await;
    let second = server.request().await;
    let mut elicited = second.ask(&server, 8, "elicitation/create", json!({"message": "m"})).await;
    let text = "the server asks back, and 1 calls wait for their callers already; answer or let some expire first";
    assert_eq!(answers.error().await, (-32000, text.into()));
    assert_eq!(elicited.error().await.0, -32800);
    assert_eq!(server.note().await.method(), "notifications/cancelled");
    let (_s2, _a2, _e2, _) = parked(&mut bridge, &mut bob).await;
    let mut answers = alice.retry(&state, yes()).await;
    asked.answer("{}");
    answers.value().await;
}
