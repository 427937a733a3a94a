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
    call(&caller, "tools/call", |reply| reply.refuse(Reason::Tool, code::INVALID_PARAMS, "no", None)).await;
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
    let (tx, rx) = queue(2);
    let (ended, done) = oneshot::channel();
    let marks = Arc::<Marks>::default();
    let audit = Audit(Arc::new(Inner {
        place: Place::Stderr,
        tx,
        marks: marks.clone(),
        run: "run".into(),
        done: Mutex::new(done),
    }));
    (0..5).for_each(|_| visitor(&audit).refused(Refused { reason: Reason::Token, what: None }, 401));
    marks.ending.store(true, Ordering::Release);
    Writer::open(&Place::File(file.clone()), rx, marks, ended).unwrap().run();
    let lines = lines(&file);
    assert_eq!((lines.len(), &lines[0]["event"], &lines[0]["count"]), (3, &"lost".into(), &3.into()));
    assert!(lines[1..].iter().all(|line| line["event"] == "refusal"));
}

#[test]
fn half_a_line_of_a_run_before_does_not_spoil_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit");
    for (before, whole) in [("", ""), ("{}\n", "{}\n"), ("{\"time\":\"2026", "{\"time\":\"2026\n")] {
        std::fs::write(&file, before).unwrap();
        let (_tx, rx) = queue(2);
        let marks = Arc::new(Marks { lost: AtomicU64::new(1), ending: AtomicBool::new(true), ..Marks::default() });
        Writer::open(&Place::File(file.clone()), rx, marks, oneshot::channel().0).unwrap().run();
        let text = std::fs::read_to_string(&file).unwrap();
        let line: Value = serde_json::from_str(text.strip_prefix(whole).unwrap()).unwrap();
        assert_eq!((&line["event"], &line["count"]), (&"lost".into(), &1.into()), "{text}");
    }
}

fn queue(capacity: usize) -> (SyncSender<Entry>, std::sync::mpsc::Receiver<Entry>) {
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
