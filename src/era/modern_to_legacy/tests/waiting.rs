//! While a call is parked: what the server says of it meanwhile, a caller that leaves, and the time that does not count.

use std::time::Duration;

use super::{retries::parked, *};

/// A call that was asked back, by a caller that wants progress and warnings.
async fn parked_with_log(bridge: &mut Bridge, client: &mut Client) -> (Server, Asked, Answers, String) {
    client.level = Some("warning");
    let mut answers = client.ask("tools/call", json!({"name": "greet", "_meta": {"progressToken": "a"}})).await;
    let mut server = bridge.server().await;
    let level = server.request().await;
    assert_eq!(level.frame.method(), "logging/setLevel");
    level.answer("{}");
    let asked = server.request().await;
    let elicited = asked.ask(&server, 8, "elicitation/create", json!({"message": "m"})).await;
    let (_, state) = answers.input_required().await;
    (server, asked, elicited, state)
}

impl Client {
    /// A retry under another progress token.
    async fn retry_as(&mut self, token: &str, state: &str, responses: Value) -> Answers {
        let meta = json!({"progressToken": token});
        let params = json!({"name": "greet", "requestState": state, "inputResponses": responses, "_meta": meta});
        self.ask("tools/call", params).await
    }
}

impl Asked {
    async fn log(&self, server: &Server, level: &str, data: &str) {
        let params = json!({"level": level, "data": data}).to_string();
        let line = Frame::notification("notifications/message", Some(&params));
        self.reply.update(Envelope::one_way(server.voice.clone(), line)).await.unwrap();
    }

    /// Waits until all that was said before has been heard: what nobody can be asked is answered at once.
    async fn heard(&self, server: &Server) {
        assert_eq!(self.ask(server, 99, "x/y", json!({})).await.error().await.0, -32601);
    }
}

fn yes() -> Value {
    json!({"s1": {"action": "accept"}})
}

fn step(token: &str, progress: impl Into<f64>) -> Value {
    json!({"progressToken": token, "progress": progress.into()})
}

async fn steps(answers: &mut Answers, token: &str, steps: std::ops::RangeInclusive<i32>) {
    for at in steps {
        let value = answers.value().await;
        assert_eq!((&value["progressToken"], value["progress"].as_f64()), (&json!(token), Some(at.into())), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_parked_call_goes_ahead_of_all_else_to_the_retry() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (server, asked, mut elicited, state) = parked_with_log(&mut bridge, &mut client).await;
    asked.progress(&server, 1.5).await;
    asked.log(&server, "error", "one").await;
    asked.log(&server, "info", "not wanted").await;
    asked.progress(&server, 2.5).await;
    asked.log(&server, "warning", "two").await;
    asked.heard(&server).await;
    let mut answers = client.retry_as("b", &state, yes()).await;
    assert_eq!(elicited.value().await, json!({"action": "accept"}));
    asked.progress(&server, 3.5).await;
    asked.answer("{}");
    assert_eq!(answers.value().await, step("b", 1.5));
    assert_eq!(answers.value().await["data"], "one");
    assert_eq!(answers.value().await, step("b", 2.5));
    assert_eq!(answers.value().await["data"], "two");
    assert_eq!(answers.value().await, step("b", 3.5));
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_retry_gets_no_more_of_it_than_it_wants() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (server, asked, _elicited, state) = parked_with_log(&mut bridge, &mut client).await;
    asked.progress(&server, 1.5).await;
    asked.log(&server, "warning", "not wanted any more").await;
    asked.log(&server, "error", "still wanted").await;
    asked.heard(&server).await;
    client.level = Some("error");
    let mut answers = client.retry(&state, yes()).await;
    asked.answer("{}");
    assert_eq!(answers.value().await["data"], "still wanted");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_an_answer_that_came_too_early_is_not_lost() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (server, asked, mut elicited, state) = parked(&mut bridge, &mut client).await;
    asked.progress(&server, 1.0).await;
    asked.progress(&server, 2.0).await;
    asked.answer("{}");
    assert_eq!(elicited.error().await.0, -32800, "the answer was heard");
    let mut answers = client.retry_as("b", &state, yes()).await;
    steps(&mut answers, "b", 1..=2).await;
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_leaves_a_question_open_gets_what_was_said_before_it_is_asked_again() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (server, asked, _elicited, state) = parked(&mut bridge, &mut client).await;
    asked.progress(&server, 1.0).await;
    asked.heard(&server).await;
    let mut answers = client.retry_as("b", &state, json!({})).await;
    steps(&mut answers, "b", 1..=1).await;
    let (_, state) = answers.input_required().await;
    asked.progress(&server, 2.0).await;
    asked.heard(&server).await;
    let mut answers = client.retry_as("c", &state, yes()).await;
    steps(&mut answers, "c", 2..=2).await;
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn of_more_than_is_kept_the_newest_is_left() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (server, asked, _elicited, state) = parked(&mut bridge, &mut client).await;
    for at in 1..=100 {
        asked.progress(&server, at.into()).await;
    }
    asked.heard(&server).await;
    let mut answers = client.retry_as("b", &state, yes()).await;
    steps(&mut answers, "b", 37..=100).await;
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

/// Over HTTP a response that is closed before it was read cancels its request, although that was answered.
#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_after_it_was_asked_back_frees_its_call() {
    let mut bridge = Bridge::start();
    let mut client = Client::new(&bridge, ALL);
    let (mut server, asked, mut elicited, state) = parked(&mut bridge, &mut client).await;
    client.cancel().await;
    assert_eq!(elicited.error().await, (-32800, "the call that this belongs to is over".into()));
    let note = server.note().await;
    assert_eq!(note.cancelled().map(|id| id.to_json().into_owned()).as_deref(), Some(asked.frame.id_text()));
    let used = "requestState was used already; each serves for one retry";
    assert_eq!(client.retry(&state, yes()).await.error().await, (-32602, used.into()));
    // The server goes to the next call.
    server.request().await.answer("{}");
    let mut other = client.call().await;
    server.request().await.answer("{}");
    assert_eq!(other.value().await["resultType"], "complete");
    assert!(bridge.no_server());
}

#[tokio::test(start_paused = true)]
async fn another_caller_with_the_same_id_frees_nothing() {
    let mut bridge = Bridge::start();
    let (mut alice, mut bob) = (Client::of(&bridge, ALL, Some("alice")), Client::of(&bridge, ALL, Some("bob")));
    let (_server, asked, mut elicited, state) = parked(&mut bridge, &mut alice).await;
    bob.id = alice.id;
    bob.cancel().await;
    alice.id += 5;
    alice.cancel().await;
    bob.ask("ping", json!({})).await.error().await;
    let mut answers = alice.retry(&state, yes()).await;
    assert_eq!(elicited.value().await, json!({"action": "accept"}));
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_does_not_run_while_it_is_parked() {
    let limit = Duration::from_secs(10);
    let mut bridge = Bridge::with(Settings { request_timeout: Some(limit), ..Settings::default() });
    let mut client = Client::new(&bridge, ALL);
    let (mut server, asked, _elicited, state) = parked(&mut bridge, &mut client).await;
    tokio::time::advance(30 * limit).await;
    let mut answers = client.retry(&state, yes()).await;
    asked.answer("{}");
    assert_eq!(answers.value().await["resultType"], "complete");
    // It runs while the server works, on a call and on a retry.
    let text = "the server did not answer within 10 s; raise --request-timeout if the call may take longer";
    let mut answers = client.call().await;
    let asked = server.request().await;
    assert_eq!(answers.error().await, (-32000, text.into()));
    let note = server.note().await;
    assert_eq!(note.cancelled().map(|id| id.to_json().into_owned()).as_deref(), Some(asked.frame.id_text()));
    let ping = server.request().await;
    assert_eq!(ping.frame.method(), "ping");
    ping.answer("{}");
    // Before there is a server, too.
    let mut other = Client::of(&bridge, ALL, Some("other"));
    assert_eq!(other.call().await.error().await, (-32000, text.into()));
}
