//! Each rule of the modern client, against a server whose every byte the test writes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Contact, discover, serve};
use crate::{
    config::{Limits, RemoteTransport::Http},
    message::{Frame, code},
    peer::{Caller, Envelope, Outbox, Reply},
    scope::Scope,
    wire::remote::{
        ConnectError, Way,
        fixture::{Exchange, Fixture, soon, spec},
    },
};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":7,"vendor/x":1.0}"#;

const ANNOTATED: &str =
    r#"{"name":"t","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}"#;

/// Who has the outbox.
struct Sender {
    outbox: Outbox,
    home: mpsc::Sender<Envelope>,
    rx: mpsc::Receiver<Envelope>,
    caller: Arc<Caller>,
    way: Arc<Way>,
    wire: JoinHandle<Result<(), ConnectError>>,
}

impl Sender {
    async fn pair() -> (Fixture, Sender) {
        Sender::with(&Limits::default()).await
    }

    async fn with(limits: &Limits) -> (Fixture, Sender) {
        let fixture = Fixture::start().await;
        let way = Way::new(&spec(&fixture.url, Http), limits, &Scope::new());
        let (outbox, inbox) = mpsc::channel(64);
        let (home, rx) = mpsc::channel(64);
        let wire = serve(way.clone(), inbox);
        (fixture, Sender { outbox, home, rx, caller: Caller::modern(None), way, wire })
    }

    async fn request(&self, text: &str) {
        let frame = frame(text);
        let reply = Reply::on(self.home.clone(), &frame, &self.caller).await.unwrap();
        self.outbox.send(Envelope { from: self.caller.clone(), frame, reply: Some(reply) }).await.unwrap();
    }

    async fn ask(&self, id: u32, method: &str, params: &str) {
        let comma = if params.is_empty() { "" } else { "," };
        self.request(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}{META}}}}}"#
        ))
        .await;
    }

    async fn call(&self, id: u32) {
        self.ask(id, "tools/call", r#""name":"t","arguments":{"region":"eu"}"#).await;
    }

    async fn cancel(&self, id: u32) {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
        self.outbox.send(Envelope::one_way(self.caller.clone(), frame(&text))).await.unwrap();
    }

    async fn next(&mut self) -> Frame {
        soon("a message from the wire", self.rx.recv()).await.unwrap().frame
    }

    async fn text(&mut self) -> String {
        String::from_utf8(self.next().await.bytes().to_vec()).unwrap()
    }

    async fn error(&mut self) -> (String, i64, String) {
        let frame = self.next().await;
        assert!(frame.is_error(), "{frame:?}");
        let error: serde_json::Value = serde_json::from_str(frame.body().unwrap()).unwrap();
        let message = error.get("message").and_then(|message| message.as_str()).unwrap();
        (frame.id_text().into(), error.get("code").and_then(|code| code.as_i64()).unwrap(), message.into())
    }
}

fn frame(text: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// Callers share the server, and none of them the room in which another lets its answers lie.
#[tokio::test]
async fn a_caller_that_reads_nothing_delays_no_large_answer_of_another() {
    let (mut fixture, mut stalled) = Sender::with(&Limits { max_message: 100_000, ..Limits::default() }).await;
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(90_000));
    let (home, rx) = mpsc::channel(64);
    let mut other = Sender {
        outbox: stalled.outbox.clone(),
        home,
        rx,
        caller: Caller::modern(None),
        way: stalled.way.clone(),
        wire: Scope::new().spawn(async { Ok(()) }),
    };
    for id in 1..=2 {
        stalled.ask(id, "prompts/get", r#""name":"p""#).await;
        fixture.expect_post("prompts/get").await.result(&large).await;
    }
    // Both have come, and nobody takes them.
    let come = async {
        while stalled.rx.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    soon("two answers", come).await;
    for id in 1..=3 {
        other.ask(id, "prompts/get", r#""name":"p""#).await;
        fixture.expect_post("prompts/get").await.result(&large).await;
        assert_eq!(other.next().await.body().map(str::len), Some(large.len()));
    }
    // Its own third waits until it has read one.
    stalled.ask(3, "prompts/get", r#""name":"p""#).await;
    fixture.expect_post("prompts/get").await.result(&large).await;
    for _ in 0..3 {
        assert_eq!(stalled.next().await.body().map(str::len), Some(large.len()));
    }
}

/// Answers a look-up.
async fn lists(fixture: &mut Fixture, tools: &str) {
    fixture.expect_post("tools/list").await.result(&format!(r#"{{"tools":[{tools}],"resultType":"complete"}}"#)).await;
}

#[tokio::test]
async fn a_request_is_a_post_whose_headers_say_what_its_body_says() {
    let (mut fixture, mut sender) = Sender::pair().await;
    let text = format!(
        r#"{{"id" : 1.0,"jsonrpc":"2.0","method":"resources/read","params":{{"uri":"file:///ä","n":1e3,{META}}}}}"#
    );
    sender.request(&text).await;
    let post = fixture.expect("POST").await;
    assert_eq!(post.body, text, "the bytes are untouched");
    for (name, value) in [
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "resources/read"),
        ("mcp-name", "=?base64?ZmlsZTovLy/DpA==?="),
    ] {
        assert_eq!(post.header(name), Some(value), "{name}");
    }
    assert_eq!(post.header("mcp-session-id"), None);
    post.reply(200, &[("Mcp-Session-Id", "s-1")], r#"{"jsonrpc":"2.0","id":1,"result":{"a":1.50}}"#).await;
    assert_eq!(sender.text().await, r#"{"jsonrpc":"2.0","id":1.0,"result":{"a":1.50}}"#);
    sender.ask(2, "prompts/list", "").await;
    let post = fixture.expect("POST").await;
    assert_eq!((post.header("mcp-session-id"), post.header("mcp-name")), (None, None));
    post.result("{}").await;
    sender.next().await;
    assert!(fixture.is_idle(), "no GET, and nothing else");
}

#[tokio::test]
async fn a_call_of_an_unknown_tool_looks_it_up_first_in_its_callers_name() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.call(1).await;
    let list = fixture.expect_post("tools/list").await;
    let params: serde_json::Value = serde_json::from_str(list.frame().body().unwrap()).unwrap();
    assert_eq!(params.pointer("/_meta/vendor~1x"), Some(&serde_json::json!(1.0)));
    assert_eq!(params.pointer("/_meta/progressToken"), None, "that is the call's own");
    assert_eq!(
        (list.header("mcp-method"), list.header("mcp-protocol-version")),
        (Some("tools/list"), Some("2026-07-28"))
    );
    list.result(r#"{"tools":[],"nextCursor":"p \"2"}"#).await;
    let list = fixture.expect_post("tools/list").await;
    assert!(list.body.contains(r#""cursor":"p \"2""#), "{}", list.body);
    list.result(&format!(r#"{{"tools":[{ANNOTATED}]}}"#)).await;
    let call = fixture.expect_post("tools/call").await;
    assert_eq!((call.header("mcp-name"), call.header("mcp-param-region")), (Some("t"), Some("eu")));
    call.result("{}").await;
    assert_eq!(sender.next().await.id_text(), "1");
    // From then on it is known, and so is that there is no other.
    sender.call(2).await;
    fixture.expect_post("tools/call").await.result("{}").await;
    sender.ask(3, "tools/call", r#""name":"other""#).await;
    fixture.expect_post("tools/call").await.result("{}").await;
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn calls_that_wait_for_the_same_list_share_it() {
    let (mut fixture, mut sender) = Sender::pair().await;
    for id in 1..=3 {
        sender.call(id).await;
    }
    lists(&mut fixture, ANNOTATED).await;
    for _ in 1..=3 {
        let call = fixture.expect_post("tools/call").await;
        assert_eq!(call.header("mcp-param-region"), Some("eu"));
        call.result("{}").await;
        sender.next().await;
    }
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn a_list_that_fails_does_not_keep_a_call_from_its_server() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.call(1).await;
    fixture.expect_post("tools/list").await.reply(500, &[], "oops").await;
    let call = fixture.expect_post("tools/call").await;
    assert_eq!(call.header("mcp-param-region"), None);
    call.result("{}").await;
    assert_eq!(sender.next().await.id_text(), "1");
}

#[tokio::test]
async fn a_list_that_passes_loses_invalid_tools_and_teaches_the_rest() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.ask(1, "tools/list", "").await;
    let bad = r#"{"name":"bad","inputSchema":{"properties":{"n":{"type":"number","x-mcp-header":"N"}}}}"#;
    let good = r#"{"name":"plain", "inputSchema":{}}"#;
    let result = format!(r#"{{"tools":[{ANNOTATED},{bad},{good}],"ttlMs":1e3}}"#);
    fixture.expect_post("tools/list").await.result(&result).await;
    let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{ANNOTATED},{good}],"ttlMs":1e3}}}}"#);
    assert_eq!(sender.text().await, expected);
    sender.call(2).await;
    let call = fixture.expect_post("tools/call").await;
    assert_eq!(call.header("mcp-param-region"), Some("eu"));
    call.result("{}").await;
    sender.next().await;
    sender.ask(3, "tools/list", "").await;
    let untouched = format!(r#"{{ "tools" : [{ANNOTATED}] }}"#);
    fixture.expect_post("tools/list").await.result(&untouched).await;
    assert_eq!(sender.next().await.body(), Some(untouched.as_str()));
}

#[tokio::test]
async fn a_mismatch_of_headers_has_the_tools_listed_again_and_the_call_sent_once_more() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.call(1).await;
    lists(&mut fixture, r#"{"name":"t","inputSchema":{}}"#).await;
    let mismatch = |post: Exchange| async {
        let body = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"Header mismatch"}}"#;
        post.reply(400, &[], body).await;
    };
    let call = fixture.expect_post("tools/call").await;
    assert_eq!(call.header("mcp-param-region"), None);
    mismatch(call).await;
    lists(&mut fixture, ANNOTATED).await;
    let call = fixture.expect_post("tools/call").await;
    assert_eq!(call.header("mcp-param-region"), Some("eu"));
    mismatch(call).await;
    assert_eq!(sender.error().await.1, -32020, "only once more");
    // Where the tools are as they were, the call would come to the same.
    sender.call(2).await;
    mismatch(fixture.expect_post("tools/call").await).await;
    lists(&mut fixture, ANNOTATED).await;
    assert_eq!(sender.error().await.1, -32020);
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn changed_tools_are_looked_up_again() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.ask(1, "tools/list", "").await;
    lists(&mut fixture, "").await;
    sender.next().await;
    sender.ask(2, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#).await;
    let mut stream = fixture.expect_post("subscriptions/listen").await.sse(&[]).await;
    stream.message(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
    assert_eq!(sender.next().await.method(), "notifications/tools/list_changed");
    sender.call(3).await;
    lists(&mut fixture, ANNOTATED).await;
    assert_eq!(fixture.expect_post("tools/call").await.header("mcp-param-region"), Some("eu"));
}

#[tokio::test]
async fn a_stream_brings_notifications_and_then_the_answer_but_no_request() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.ask(1, "prompts/get", r#""name":"p""#).await;
    let mut stream = fixture.expect_post("prompts/get").await.sse(&[]).await;
    stream.raw(": alive\n\n").await;
    stream
        .message(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#)
        .await;
    stream.message(r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{}}"#).await;
    stream.message(r#"{"jsonrpc":"2.0","id":99,"result":{"of":99}}"#).await;
    stream.message(r#"{"jsonrpc":"2.0","id":1,"result":{"of":1}}"#).await;
    assert_eq!(sender.next().await.method(), "notifications/progress");
    assert_eq!(sender.text().await, r#"{"jsonrpc":"2.0","id":1,"result":{"of":1}}"#);
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn an_error_passes_on_whatever_status_it_comes() {
    let (mut fixture, mut sender) = Sender::pair().await;
    for (id, status, code) in [(1, 404, -32601), (2, 400, -32021), (3, 400, -32022), (4, 500, -32603), (5, 200, -1)] {
        sender.ask(id, "prompts/list", "").await;
        let error = format!(r#"{{"code":{code},"message":"m","data":{{"d":1.0}}}}"#);
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
        fixture.expect_post("prompts/list").await.reply(status, &[], &body).await;
        assert_eq!(sender.text().await, body);
    }
    assert!(!sender.way.doubt.initialized());
}

#[tokio::test]
async fn a_status_without_a_message_is_told_and_may_mean_another_server() {
    let (mut fixture, mut sender) = Sender::pair().await;
    for (id, status, doubtful) in [(1, 503, false), (2, 401, false), (3, 404, true)] {
        sender.ask(id, "prompts/list", "").await;
        fixture.expect_post("prompts/list").await.reply(status, &[], "").await;
        let (_, _, message) = sender.error().await;
        assert!(message.contains(&format!("HTTP {status}")), "{message}");
        assert_eq!(sender.way.doubt.initialized(), doubtful);
    }
}

#[tokio::test]
async fn a_broken_stream_is_never_followed_by_a_second_call() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.ask(1, "prompts/get", r#""name":"p""#).await;
    let mut stream = fixture.expect_post("prompts/get").await.sse(&[]).await;
    stream.raw("id: 1\nretry: 1\ndata:\n\n").await;
    stream.end().await;
    let (id, code, message) = sender.error().await;
    assert_eq!((id.as_str(), code), ("1", i64::from(code::INTERNAL)));
    assert!(message.contains("unknown"), "{message}");
    sender.ask(2, "prompts/get", r#""name":"p""#).await;
    drop(fixture.expect_post("prompts/get").await);
    assert!(sender.error().await.2.contains("unknown"));
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn a_subscription_that_breaks_is_answered_so_that_it_can_be_opened_again() {
    let limits = Limits { request_timeout: Some(Duration::from_millis(50)), ..Limits::default() };
    let (mut fixture, mut sender) = Sender::with(&limits).await;
    sender.ask(1, "subscriptions/listen", r#""notifications":{}"#).await;
    let mut stream = fixture.expect_post("subscriptions/listen").await.sse(&[]).await;
    // Another call runs out of time meanwhile; a subscription has no time to run out of.
    sender.ask(2, "prompts/list", "").await;
    let held = fixture.expect_post("prompts/list").await;
    assert_eq!(sender.error().await.1, i64::from(code::LIMIT));
    stream.message(r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#).await;
    assert_eq!(sender.next().await.subscription(), Some(&crate::message::Id::Number(1)));
    drop(stream);
    let (id, _, message) = sender.error().await;
    assert!(id == "1" && message.contains("open it again"), "{message}");
    drop(held);
}

#[tokio::test]
async fn a_cancellation_closes_the_calls_stream_and_is_not_sent() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.ask(1, "prompts/get", r#""name":"p""#).await;
    let stream = fixture.expect_post("prompts/get").await.sse(&[]).await;
    sender.cancel(9).await;
    sender.cancel(1).await;
    let (id, code, _) = sender.error().await;
    assert_eq!((id.as_str(), code), ("1", i64::from(code::CANCELLED)));
    stream.closed().await;
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn a_caller_that_hangs_up_closes_its_calls_streams() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.ask(1, "prompts/get", r#""name":"p""#).await;
    let stream = fixture.expect_post("prompts/get").await.sse(&[]).await;
    sender.rx.close();
    stream.closed().await;
}

#[tokio::test]
async fn a_call_over_its_time_is_answered_and_its_stream_closed() {
    let limits = Limits { request_timeout: Some(Duration::from_millis(50)), ..Limits::default() };
    let (mut fixture, mut sender) = Sender::with(&limits).await;
    sender.ask(1, "prompts/get", r#""name":"p""#).await;
    let stream = fixture.expect_post("prompts/get").await.sse(&[]).await;
    let (_, code, message) = sender.error().await;
    assert!(code == i64::from(code::LIMIT) && message.contains("--request-timeout"), "{message}");
    stream.closed().await;
}

#[tokio::test]
async fn calls_over_the_limit_and_with_an_id_in_flight_are_refused() {
    let limits = Limits { max_in_flight: 2, ..Limits::default() };
    let (mut fixture, mut sender) = Sender::with(&limits).await;
    sender.ask(1, "prompts/list", "").await;
    let first = fixture.expect_post("prompts/list").await;
    sender.ask(1, "prompts/list", "").await;
    assert_eq!(sender.error().await.1, i64::from(code::INVALID_REQUEST));
    sender.ask(2, "prompts/list", "").await;
    let second = fixture.expect_post("prompts/list").await;
    sender.ask(3, "prompts/list", "").await;
    assert_eq!(sender.error().await.1, i64::from(code::LIMIT));
    first.result("{}").await;
    second.result("{}").await;
}

#[tokio::test]
async fn a_notification_is_posted_with_its_method() {
    let (mut fixture, sender) = Sender::pair().await;
    let text = r#"{"jsonrpc":"2.0","method":"notifications/vendor"}"#;
    sender.outbox.send(Envelope::one_way(sender.caller.clone(), frame(text))).await.unwrap();
    let post = fixture.expect_post("notifications/vendor").await;
    assert_eq!(post.header("mcp-method"), Some("notifications/vendor"));
    assert_eq!(post.header("mcp-protocol-version"), Some("2026-07-28"));
    post.reply(202, &[], "").await;
}

#[tokio::test]
async fn a_body_with_two_meanings_is_refused_here() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.ask(1, "prompts/get", r#""name":"a","name":"b""#).await;
    assert_eq!(sender.error().await.1, i64::from(code::INVALID_REQUEST));
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn when_the_outbox_is_dropped_calls_are_answered_and_subscriptions_end() {
    let (mut fixture, mut sender) = Sender::pair().await;
    sender.ask(1, "subscriptions/listen", r#""notifications":{}"#).await;
    let stream = fixture.expect_post("subscriptions/listen").await.sse(&[]).await;
    sender.ask(2, "prompts/list", "").await;
    let call = fixture.expect_post("prompts/list").await;
    let (closed, _) = mpsc::channel(1);
    drop(std::mem::replace(&mut sender.outbox, closed));
    assert_eq!(sender.error().await.0, "1");
    stream.closed().await;
    call.result("{}").await;
    assert_eq!(sender.next().await.id_text(), "2");
    assert_eq!(soon("the wire", sender.wire).await.unwrap(), Ok(()));
    assert!(fixture.is_idle(), "there is no session to delete");
}

#[tokio::test]
async fn a_call_is_sent_again_only_while_no_connection_comes_about() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let way = Way::new(&spec(&url, Http), &Limits::default(), &Scope::new());
    let (outbox, inbox) = mpsc::channel(1);
    let (home, mut rx) = mpsc::channel(2);
    let wire = serve(way, inbox);
    let (frame, caller) = (frame(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#), Caller::modern(None));
    let reply = Reply::on(home, &frame, &caller).await.unwrap();
    outbox.send(Envelope { from: caller, frame, reply: Some(reply) }).await.unwrap();
    let answer = soon("an answer", rx.recv()).await.unwrap().frame;
    assert!(answer.body().unwrap().contains("refused") && !answer.body().unwrap().contains("fate"));
    drop(outbox);
    assert!(matches!(soon("the wire", wire).await.unwrap(), Err(ConnectError::Unreachable(_))));
}

// ---- the first contact

/// Asks a server what it is; `answer` answers.
async fn contact<F: Future<Output = ()>>(answer: impl FnOnce(Exchange) -> F) -> Contact {
    let mut fixture = Fixture::start().await;
    let way = Way::new(&spec(&fixture.url, Http), &Limits::default(), &Scope::new());
    let answering = async {
        let post = fixture.expect_post("server/discover").await;
        assert_eq!(post.header("mcp-method"), Some("server/discover"));
        assert_eq!(post.header("mcp-protocol-version"), Some("2026-07-28"));
        answer(post).await;
    };
    soon("a contact", async { tokio::join!(discover(&way), answering) }).await.0
}

#[tokio::test]
async fn a_result_that_names_the_revision_is_modern() {
    let result = r#"{"resultType":"complete","supportedVersions":["2027-01-01","2026-07-28"],"capabilities":{}}"#;
    assert!(matches!(contact(|post| post.result(result)).await, Contact::Modern));
    let streamed = contact(|post| async {
        let id = post.frame().id_text().to_owned();
        let mut stream = post.sse(&[]).await;
        stream.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await;
    });
    assert!(matches!(streamed.await, Contact::Modern));
    let older = contact(|post| post.result(r#"{"supportedVersions":["2025-11-25"]}"#)).await;
    assert!(matches!(older, Contact::Legacy { .. }));
    assert!(matches!(contact(|post| post.result("{}")).await, Contact::Legacy { .. }));
}

#[tokio::test]
async fn an_error_of_no_modern_code_shows_the_older_era_whatever_its_code() {
    for (status, body) in [
        (400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#),
        (400, r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Missing session ID"}}"#),
        (404, r#"{"jsonrpc":"2.0","id":"mcp-bridge/discover","error":{"code":-32601,"message":"Method not found"}}"#),
        (200, r#"{"jsonrpc":"2.0","id":"mcp-bridge/discover","error":{"code":-32601,"message":"Method not found"}}"#),
        (200, r#"{"jsonrpc":"2.0","id":"mcp-bridge/discover","error":{"code":-32602,"message":"Invalid"}}"#),
        (
            400,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"m","data":{"supported":["2025-06-18"]}}}"#,
        ),
        (404, ""),
        (405, ""),
        (400, "what?"),
        (202, ""),
    ] {
        let contact = contact(|post| async move { post.reply(status, &[], body).await }).await;
        assert!(matches!(contact, Contact::Legacy { .. }), "{status} {body}: {contact:?}");
    }
}

#[tokio::test]
async fn a_modern_error_is_no_mark_of_the_older_era() {
    for (code, data, word) in [
        (-32022, r#"{"supported":["2027-01-01"],"requested":"2026-07-28"}"#, "2027-01-01"),
        (-32022, "null", "does not name"),
        (-32020, "null", "-32020"),
        (-32021, "null", "-32021"),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"m","data":{data}}}}}"#);
        let contact = contact(|post| async move { post.reply(400, &[], &body).await }).await;
        assert!(
            matches!(&contact, Contact::Failed(ConnectError::Protocol(why)) if why.contains(word)),
            "{code}: {contact:?}"
        );
    }
}

#[tokio::test]
async fn neither_401_nor_403_nor_500_is_a_mark_of_any_era() {
    let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"m"}}"#;
    for (status, body) in [(401, ""), (401, body), (403, ""), (429, ""), (500, ""), (500, body)] {
        let contact = contact(|post| async move { post.reply(status, &[], body).await }).await;
        let Contact::Failed(why) = contact else { panic!("{status}: {contact:?}") };
        assert_eq!(matches!(why, ConnectError::NotAuthorized(_)), matches!(status, 401 | 403), "{why}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_no_mark_of_any_era() {
    let mut fixture = Fixture::start().await;
    let way = Way::new(&spec(&fixture.url, Http), &Limits::default(), &Scope::new());
    let answering = async {
        for _ in 0..4 {
            drop(fixture.expect("POST").await.sse(&[]).await);
        }
    };
    let (contact, ()) = soon("a contact", async { tokio::join!(discover(&way), answering) }).await;
    assert!(matches!(contact, Contact::Failed(ConnectError::Unreachable(_))), "{contact:?}");
}

#[tokio::test]
async fn gateways_without_their_server_are_asked_again() {
    let mut fixture = Fixture::start().await;
    let way = Way::new(&spec(&fixture.url, Http), &Limits::default(), &Scope::new());
    let answering = async {
        for status in [502, 503, 504] {
            fixture.expect("POST").await.reply(status, &[], "").await;
        }
        fixture.expect("POST").await.result(r#"{"supportedVersions":["2026-07-28"]}"#).await;
    };
    let (contact, ()) = soon("a contact", async { tokio::join!(discover(&way), answering) }).await;
    assert!(matches!(contact, Contact::Modern), "{contact:?}");
}

#[tokio::test]
async fn a_subscription_keeps_no_room_of_its_request() {
    let (mut fixture, mut sender) = Sender::pair().await;
    let held = Arc::new(());
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{{}},"padding":"x",{META}}}}}"#
    );
    let frame = frame(&text).holding(Some(held.clone()));
    let reply = Reply::on(sender.home.clone(), &frame, &sender.caller).await.unwrap();
    sender.outbox.send(Envelope { from: sender.caller.clone(), frame, reply: Some(reply) }).await.unwrap();
    let mut stream = fixture.expect_post("subscriptions/listen").await.sse(&[]).await;
    stream.message(r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#).await;
    assert_eq!(sender.next().await.subscription(), Some(&crate::message::Id::Number(1)));
    assert_eq!(Arc::strong_count(&held), 1, "it may last for days");
    stream.message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(sender.text().await, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
}
