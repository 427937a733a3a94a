use std::{path::Path, sync::Arc};

use ::bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use super::*;
use crate::{
    message::{Frame, code},
    peer::{Caller, Envelope, Principal, Reply},
};

const SOON: Duration = Duration::from_secs(10);

fn visitor(audit: &Audit) -> Visitor {
    let who = Who { wire: Some("http"), principal: Some("ci".into()), ..Who::default() };
    Visitor::new(audit, who)
}

fn request(method: &str) -> Frame {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"name":"add"}}}}"#);
    Frame::parse(Bytes::from(text)).unwrap()
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One call, and what it got for an answer.
async fn call(caller: &Arc<Caller>, method: &str, answer: impl FnOnce(Reply)) {
    let (tx, _rx) = mpsc::channel(4);
    let frame = request(method);
    let reply = Reply::on(tx, &frame, caller).await.unwrap().noted(&frame);
    answer(reply);
}

#[tokio::test]
async fn calls_are_noted_when_they_are_answered_and_a_session_when_nothing_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit");
    let audit = Audit::start(&Place::File(file.clone())).unwrap();
    let caller = Caller::legacy(Some(Principal("ci".into()))).session_noted(Some(visitor(&audit)));
    call(&caller, "ping", |reply| reply.answer(Frame::result("1", "{}"))).await;
    call(&caller, "tools/call", |reply| reply.refuse(Reason::Tool, code::INVALID_PARAMS, "no")).await;
    call(&caller, "tools/call", drop).await;
    // Who hung up is told nothing.
    let (tx, rx) = mpsc::channel(4);
    let frame = request("tools/call");
    let reply = Reply::on(tx, &frame, &caller).await.unwrap().noted(&frame);
    let note = Frame::notification("notifications/progress", None);
    let ahead = note.bytes().len() as u64;
    reply.update(Envelope::one_way(caller.clone(), note)).await.unwrap();
    drop(rx);
    reply.answer(Frame::result("1", "{}"));
    caller.session_opened();
    drop(caller);
    drop(Caller::legacy(None).session_noted(Some(visitor(&audit))));
    audit.close(SOON).await;
    let lines = lines(&file);
    let keys = ["event", "method", "tool", "outcome", "reason", "code"];
    let told = |line: &Value| keys.map(|key| line[key].to_string()).join(" ");
    let seen: Vec<String> = lines.iter().map(told).collect();
    assert_eq!(
        seen,
        [
            r#""call" "ping" null "ok" null null"#,
            r#""refusal" "tools/call" "add" null "tool" -32602"#,
            r#""call" "tools/call" "add" "error" null -32603"#,
            r#""call" "tools/call" "add" "gone" null null"#,
            r#""session" null null null null null"#,
        ]
    );
    let size = request("tools/call").bytes().len() as u64;
    let answer = Frame::result("1", "{}").bytes().len() as u64;
    assert_eq!(lines[3]["bytes_in"], size);
    assert_eq!(lines[3]["bytes_out"], ahead + answer);
    assert_eq!((&lines[4]["calls"], &lines[4]["session"]), (&Value::from(4), &lines[0]["session"]));
    assert_eq!(lines[4]["bytes_in"], 3 * size + request("ping").bytes().len() as u64);
}

#[test]
fn what_finds_no_room_is_counted_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit");
    let place = Place::File(file.clone());
    let (tx, rx) = mpsc_sync(2);
    let (done, _done) = oneshot::channel();
    let marks = Arc::<Marks>::default();
    let inner = Inner { tx, marks: marks.clone(), run: "run".into(), done: Mutex::new(_done) };
    let audit = Audit(Arc::new(inner));
    let note = || visitor(&audit).refused(Refused { reason: Reason::Token, what: None }, 401);
    (0..5).for_each(|_| note());
    let sink = Sink::open(&place).unwrap();
    let writer = Writer { place, sink, rx, marks: marks.clone(), _done: done, state: State::default() };
    marks.ending.store(true, Ordering::Release);
    writer.run();
    let lines = lines(&file);
    assert_eq!((lines.len(), &lines[0]["event"], &lines[0]["count"]), (3, &"lost".into(), &3.into()));
    assert!(lines[1..].iter().all(|line| line["event"] == "refusal"));
}

/// A disk that fills up in the middle of a line, and has room later.
#[test]
fn a_torn_line_is_ended_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit");
    let marks = Arc::<Marks>::default();
    let (tx, rx) = mpsc_sync(8);
    let (done, _gone) = oneshot::channel();
    let place = Place::File(file.clone());
    let state = State { torn: true, ..State::default() };
    std::fs::write(&file, "{\"time\":\"2026").unwrap();
    let sink = Sink::open(&place).unwrap();
    marks.lost.store(1, Ordering::Relaxed);
    marks.ending.store(true, Ordering::Release);
    Writer { place, sink, rx, marks, _done: done, state }.run();
    drop(tx);
    let text = std::fs::read_to_string(&file).unwrap();
    let (torn, rest) = text.split_once('\n').unwrap();
    assert_eq!((torn, rest.matches('\n').count()), ("{\"time\":\"2026", 1));
    assert_eq!(serde_json::from_str::<Value>(rest).unwrap()["count"], 1);
}

fn mpsc_sync(capacity: usize) -> (SyncSender<Entry>, std::sync::mpsc::Receiver<Entry>) {
    std::sync::mpsc::sync_channel(capacity)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_loses_lines_and_holds_nobody_up() {
    let audit = Audit::start(&Place::File("/dev/full".into())).unwrap();
    for _ in 0..3 {
        visitor(&audit).refused(Refused { reason: Reason::Token, what: None }, 401);
    }
    audit.close(SOON).await;
    assert_eq!(audit.0.marks.lost.load(Ordering::Relaxed), 3);
}
