//! The pump between a far end and a partner that are both in the test's hands.

use super::*;
use crate::{
    peer::PEER_CAPACITY,
    pipe::{LineSink, Lines},
    scope::Scope,
};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};

struct Source<R>(Lines<R>);

impl<R: AsyncRead + Unpin + Send + 'static> FrameSource for Source<R> {
    async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        self.0.next().await.unwrap()
    }

    async fn end(&mut self) -> Ended {
        Ended { message: "the far end is gone".into(), data: Some(serde_json::json!({"exitCode": 3})) }
    }
}

/// A far end in the test's hands: lines in, lines out.
struct Far {
    lines: Lines<tokio::io::ReadHalf<DuplexStream>>,
    sink: LineSink<tokio::io::WriteHalf<DuplexStream>>,
}

impl Far {
    async fn read(&mut self) -> Frame {
        self.lines.next().await.unwrap().unwrap().unwrap()
    }

    async fn write(&mut self, text: &str) {
        self.sink.write(&[frame(text)]).await.unwrap();
    }
}

fn frame(text: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn request(id: &str) -> Frame {
    frame(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"x": 1.0}}}}"#))
}

fn rules(role: Role) -> Rules {
    Rules {
        name: "test".into(),
        speaker: Caller::legacy(None),
        role,
        max_in_flight: 4,
        max_waiting: 100_000,
        request_timeout: Some(Duration::from_secs(60)),
        linger: Duration::from_secs(5),
        until: None,
    }
}

/// A pump with the far end and the partner in the test's hands.
fn start(role: Role) -> (Far, Peer, tokio::task::JoinHandle<Ended>) {
    start_by(rules(role), PEER_CAPACITY)
}

fn start_by(rules: Rules, capacity: usize) -> (Far, Peer, tokio::task::JoinHandle<Ended>) {
    let (near, far) = tokio::io::duplex(4096);
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    let (ours, partner) = Peer::pair(capacity);
    let task = Scope::new().spawn(run(near_read, near_write, ours, rules));
    (Far { lines: Lines::new(far_read, 1 << 20), sink: LineSink::new(far_write) }, partner, task)
}

async fn run<R, W>(read: R, write: W, peer: Peer, rules: Rules) -> Ended
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    pump(Source(Lines::new(read, 1 << 20)), LineSink::new(write), peer, rules).await
}

/// Asks through the partner's end; the answer arrives on the stream that is given back.
async fn ask(partner: &Peer, caller: &Arc<Caller>, request: Frame) -> mpsc::Receiver<Envelope> {
    let (tx, rx) = mpsc::channel(8);
    let reply = Reply::on(tx, &request, caller).await.unwrap();
    partner.tx.send(Envelope { from: caller.clone(), frame: request, reply: Some(reply) }).await.unwrap();
    rx
}

#[tokio::test]
async fn answers_find_their_callers_whatever_their_order() {
    let (mut far, partner, _task) = start(Role::Connect);
    let caller = Caller::legacy(None);
    let mut first = ask(&partner, &caller, request("1")).await;
    let mut second = ask(&partner, &caller, request("\"1\"")).await;
    assert_eq!(far.read().await.bytes(), request("1").bytes());
    assert_eq!(far.read().await.bytes(), request("\"1\"").bytes());
    far.write(r#"{"jsonrpc":"2.0","id":"1","result":{"n": 2.50}}"#).await;
    far.write(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(second.recv().await.unwrap().frame.body(), Some(r#"{"n": 2.50}"#));
    assert_eq!(first.recv().await.unwrap().frame.id_text(), "1");
}

#[tokio::test]
async fn the_end_of_the_far_side_answers_every_call_with_its_reason() {
    let (mut far, partner, task) = start(Role::Connect);
    let caller = Caller::legacy(None);
    let mut calls = vec![ask(&partner, &caller, request("1")).await, ask(&partner, &caller, request("2")).await];
    far.read().await;
    far.read().await;
    drop(far);
    for call in &mut calls {
        let frame = call.recv().await.unwrap().frame;
        assert!(frame.is_error() && frame.body().unwrap().contains("the far end is gone"));
        assert!(frame.body().unwrap().contains("\"exitCode\":3"));
        assert!(call.recv().await.is_none());
    }
    let mut late = ask(&partner, &caller, request("3")).await;
    assert!(late.recv().await.unwrap().frame.body().unwrap().contains("the far end is gone"));
    drop(partner);
    assert_eq!(task.await.unwrap().message, "the far end is gone");
}

#[tokio::test]
async fn an_id_in_flight_is_refused_and_the_first_is_still_answered() {
    let (mut far, mut partner, _task) = start(Role::Accept);
    far.write(r#"{"jsonrpc":"2.0","id":7,"method":"a"}"#).await;
    far.write(r#"{"jsonrpc":"2.0","id":7,"method":"b"}"#).await;
    let first = partner.rx.recv().await.unwrap();
    let refused = far.read().await;
    assert_eq!(refused.id_text(), "7");
    assert!(refused.body().unwrap().contains("-32600"));
    first.reply.unwrap().answer(Frame::result("7", "{\"ok\":1}"));
    assert_eq!(far.read().await.body(), Some("{\"ok\":1}"));
    far.write(r#"{"jsonrpc":"2.0","id":7,"method":"c"}"#).await;
    assert_eq!(partner.rx.recv().await.unwrap().frame.method(), "c", "an answered id is free again");
}

#[tokio::test]
async fn garbage_is_answered_to_a_client_and_never_to_a_server() {
    for (role, answered) in [(Role::Accept, true), (Role::Connect, false)] {
        let (far, mut partner, _task) = start(role);
        let Far { mut lines, sink } = far;
        let mut raw = sink.into_inner();
        raw.write_all(b"not json\n{\"jsonrpc\":\"2.0\",\"method\":\"fine\"}\n").await.unwrap();
        assert_eq!(partner.rx.recv().await.unwrap().frame.method(), "fine", "the pipe goes on");
        let from = Caller::legacy(None);
        let note = Frame::notification("next", None);
        partner.tx.send(Envelope::one_way(from, note)).await.unwrap();
        let first = lines.next().await.unwrap().unwrap().unwrap();
        assert_eq!(first.is_error() && first.body().unwrap().contains("-32700"), answered);
    }
}

#[tokio::test]
async fn what_a_call_causes_travels_on_its_stream_when_it_is_alone() {
    let (mut far, mut partner, _task) = start(Role::Connect);
    let caller = Caller::legacy(None);
    let mut call = ask(&partner, &caller, request("1")).await;
    far.read().await;
    far.write(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#).await;
    far.write(r#"{"jsonrpc":"2.0","id":0,"method":"sampling/createMessage"}"#).await;
    far.write(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
    assert_eq!(call.recv().await.unwrap().frame.method(), "notifications/message");
    let asked = call.recv().await.unwrap();
    assert_eq!(partner.rx.recv().await.unwrap().frame.method(), "notifications/tools/list_changed");
    asked.reply.unwrap().answer(Frame::result("0", "{\"role\":\"user\"}"));
    assert_eq!(far.read().await.body(), Some("{\"role\":\"user\"}"));
    let _second = ask(&partner, &caller, request("2")).await;
    far.read().await;
    far.write(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
    assert_eq!(partner.rx.recv().await.unwrap().frame.method(), "roots/list", "two calls: nobody can tell");
}

#[tokio::test]
async fn a_reader_that_stalls_holds_up_its_own_server_and_no_memory() {
    let (mut far, mut partner, _task) = start(Role::Connect);
    let big = format!(r#"{{"jsonrpc":"2.0","method":"big","params":"{}"}}"#, "x".repeat(60_000));
    far.write(&big).await;
    let held = partner.rx.recv().await.unwrap();
    far.write(&big).await;
    far.write(r#"{"jsonrpc":"2.0","method":"small"}"#).await;
    tokio::select! {
        biased;
        got = partner.rx.recv() => panic!("{got:?} came although the first is held"),
        () = idle() => {}
    }
    drop(held);
    assert_eq!(partner.rx.recv().await.unwrap().frame.method(), "big");
    assert_eq!(partner.rx.recv().await.unwrap().frame.method(), "small");
}

/// As where one connection carries many exchanges: who asks is not who reads.
#[tokio::test]
async fn who_does_not_read_is_cut_off_whoever_asked() {
    let (mut far, partner, _task) = start(Role::ConnectModern { own: false });
    let (reader, asker) = (Caller::legacy(None), Caller::modern(None));
    let (tx, mut call) = mpsc::channel(3);
    let asked = frame(r#"{"jsonrpc":"2.0","id":"a","method":"x","params":{"_meta":{"progressToken":"t"}}}"#);
    let reply = Reply::on(tx, &asked, &reader).await.unwrap();
    partner.tx.send(Envelope { from: asker, frame: asked, reply: Some(reply) }).await.unwrap();
    let on_wire = far.read().await;
    let token = on_wire.token_text().unwrap();
    for n in 1..=3 {
        let params = format!(r#"{{"progressToken":{token},"progress":{n}}}"#);
        far.write(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#)).await;
    }
    assert_eq!(far.read().await.cancelled().map(Id::to_json).as_deref(), Some(on_wire.id_text()));
    for _ in 0..2 {
        assert_eq!(call.recv().await.unwrap().frame.method(), "notifications/progress");
    }
    let last = call.recv().await.unwrap().frame;
    assert!(last.is_error() && last.body().unwrap().contains(text::CUT_OFF), "{last:?}");
}

/// Lets every other task run until it waits.
async fn idle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_and_the_cancellation_crosses() {
    let (mut far, partner, _task) = start(Role::Connect);
    let caller = Caller::legacy(None);
    let mut call = ask(&partner, &caller, request("1.0")).await;
    let wire_id = far.read().await.id_text().to_string();
    assert_ne!(wire_id, "1.0");
    let cancel =
        frame(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1.0,"reason":"r"}}"#);
    partner.tx.send(Envelope::one_way(caller, cancel)).await.unwrap();
    let crossed = far.read().await;
    assert_eq!(crossed.body().unwrap(), format!(r#"{{"requestId":{wire_id},"reason":"r"}}"#));
    assert!(call.recv().await.unwrap().frame.body().unwrap().contains("-32800"));
}

#[tokio::test(start_paused = true)]
async fn a_call_past_the_request_timeout_is_answered_and_cancelled() {
    let (mut far, partner, _task) = start(Role::Connect);
    let mut call = ask(&partner, &Caller::legacy(None), request("1")).await;
    far.read().await;
    assert!(call.recv().await.unwrap().frame.body().unwrap().contains("--request-timeout"));
    assert_eq!(far.read().await.cancelled(), Some(&Id::Number(1)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_and_does_not_read_is_let_go() {
    let (mut far, mut partner, task) = start(Role::Accept);
    far.write(r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#).await;
    let asked = partner.rx.recv().await.unwrap();
    let Far { lines: _unread, sink } = far;
    sink.into_inner().shutdown().await.unwrap();
    asked.reply.unwrap().answer(Frame::result("1", &format!("\"{}\"", "x".repeat(100_000))));
    assert!(partner.rx.recv().await.is_none());
    drop(partner);
    task.await.unwrap();
}

#[tokio::test]
async fn a_client_that_closes_still_gets_the_answers_in_flight() {
    let (mut far, mut partner, task) = start(Role::Accept);
    far.write(r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#).await;
    let asked = partner.rx.recv().await.unwrap();
    let Far { mut lines, sink } = far;
    // The halves of a duplex stream close together only by shutdown.
    sink.into_inner().shutdown().await.unwrap();
    asked.reply.unwrap().answer(Frame::result("1", "{}"));
    assert_eq!(lines.next().await.unwrap().unwrap().unwrap().id_text(), "1");
    assert!(partner.rx.recv().await.is_none());
    drop(partner);
    task.await.unwrap();
}

/// Whoever holds a question may hold it for ever.
#[tokio::test(start_paused = true)]
async fn a_client_that_closes_is_let_go_with_its_answers_while_the_server_holds_its_questions() {
    let (mut far, mut partner, task) = start(Role::Accept);
    far.write(r#"{"jsonrpc":"2.0","id":1.50,"method":"a"}"#).await;
    far.write(r#"{"jsonrpc":"2.0","id":"b","method":"b"}"#).await;
    let (first, second) = (partner.rx.recv().await.unwrap(), partner.rx.recv().await.unwrap());
    let begun = tokio::time::Instant::now();
    let Far { mut lines, sink } = far;
    sink.into_inner().shutdown().await.unwrap();
    assert!(partner.rx.recv().await.is_none());
    // One is answered because the client has left, the other never.
    first.reply.unwrap().fail(code::INTERNAL, "the server ended", None);
    let answer = lines.next().await.unwrap().unwrap().unwrap();
    assert!(answer.id_text() == "1.50" && answer.body().unwrap().contains("the server ended"));
    let answer = lines.next().await.unwrap().unwrap().unwrap();
    assert!(answer.id_text() == "\"b\"" && answer.body().unwrap().contains("--grace"), "{answer:?}");
    task.await.unwrap();
    assert!(second.reply.as_ref().unwrap().is_gone());
    assert_eq!(begun.elapsed().as_secs(), 5 + LAST_WORDS.as_secs());
    second.reply.unwrap().answer(Frame::result("7", "{}"));
    assert!(lines.next().await.unwrap().is_none(), "one answer each");
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_time_is_over_is_let_go_at_once_with_its_answers() {
    let until = Until::stopped(&Scope::new());
    let rules = Rules { until: Some(until.clone()), linger: Duration::from_secs(1 << 20), ..rules(Role::Accept) };
    let (mut far, mut partner, task) = start_by(rules, PEER_CAPACITY);
    far.write(r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#).await;
    let held = partner.rx.recv().await.unwrap();
    let begun = tokio::time::Instant::now();
    until.scope.stop();
    until.over.cancel();
    let answer = far.read().await;
    assert!(answer.id_text() == "1" && answer.body().unwrap().contains("shut down"), "{answer:?}");
    task.await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 0);
    drop(held);
}

/// What was read from the client waits for its partner then, and the end of that would never come.
#[tokio::test(start_paused = true)]
async fn a_client_whose_server_takes_nothing_is_let_go_with_its_answers() {
    let until = Until::stopped(&Scope::new());
    let (mut far, partner, task) = start_by(Rules { until: Some(until.clone()), ..rules(Role::Accept) }, 4);
    far.write(r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#).await;
    for _ in 0..8 {
        far.write(r#"{"jsonrpc":"2.0","method":"x"}"#).await;
    }
    idle().await;
    until.scope.stop();
    assert_eq!(far.read().await.id_text(), "1");
    task.await.unwrap();
    drop(partner);
}
