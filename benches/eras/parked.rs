//! What calls hold that wait for their caller to come back.
//!
//! Owns a process for it: this program, started again, so that what it holds is what parked calls hold. The server is a
//! script in memory which asks back in every call; its own share, the two duties to answer, is counted with the rest, as
//! it is in the bridge. The clock stands still, and goes on by leaps: a call expires at once.

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use mcp_bridge::era::modern_to_legacy::{self, Settings};
use mcp_bridge::message::{Frame, Id};
use mcp_bridge::peer::{Caller, Envelope, Outbox, PEER_CAPACITY, Peer, Reply};
use mcp_bridge::scope::Scope;
use tokio::sync::mpsc;

use super::inside::INITIALIZED;
use crate::process::memory;
use crate::report::Report;
use crate::{Outcome, fail};

/// Calls that wait at the same time.
const COUNT: u64 = 1_000;

/// Calls on their way to being parked.
const AT_ONCE: usize = 16;

/// MiB that they may hold.
const MOST: f64 = 4.0;

/// Times that as many calls are parked again and expire: what leaks shows.
const AGAIN: u64 = 10;

/// What is run in a process of its own: prints the growth in KiB with all parked, with as many parked after ten times as
/// many expired, and with something else in the place of those when they expired, too.
pub async fn program() -> Outcome<()> {
    tokio::time::pause();
    let scope = Scope::new();
    let settings = Settings { attributed: true, max_parked: 2 * COUNT as usize, ..Settings::default() };
    let expiry = settings.parked_expiry;
    let inner = scope.clone();
    let open = move |_: Arc<Caller>| {
        let peer = asking_server(&inner);
        async move { Ok(peer) }.boxed()
    };
    let outbox = modern_to_legacy::open(Arc::new(open), settings, Arc::new(|| ()), &scope);
    // What all calls share, and what an allocator takes once.
    park(&outbox, 64).await?;
    expire(expiry).await;
    let resident = || Ok::<_, Box<dyn std::error::Error + Send + Sync>>(memory(std::process::id())?.0 as i64);
    let before = resident()?;
    let (mut first, mut last) = (0, 0);
    for round in 0..=AGAIN {
        park(&outbox, COUNT).await?;
        last = resident()? - before;
        if round == 0 {
            first = last;
        }
        expire(expiry).await;
    }
    // An allocator gives little back to the system. Whether the memory is free shows when somebody else takes as much.
    let filled: Vec<Vec<u8>> = (0..first.max(0) * 4).map(|_| vec![1; 240]).collect();
    println!("{first} {last} {}", resident()? - before);
    drop(filled);
    Ok(())
}

async fn expire(expiry: Duration) {
    tokio::time::advance(expiry + Duration::from_secs(1)).await;
    // Each turn lets every task that is ready go on once.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

/// Parks calls, each of a caller of its own, as exchanges are.
async fn park(outbox: &Outbox, count: u64) -> Outcome<()> {
    let one = |id: u64| async move {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}"#;
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"ask","arguments":{{"message":"How many?"}},{meta}}}}}"#
        );
        let (frame, caller) = (Frame::parse(Bytes::from(text))?, Caller::modern(None));
        let (stream, mut rx) = mpsc::channel(32);
        let reply = Reply::on(stream, &frame, &caller).await?;
        let sent = outbox.send(Envelope { from: caller, frame, reply: Some(reply) }).await;
        sent.map_err(|_| "the translation is gone")?;
        let answer = rx.recv().await.ok_or("no answer")?.frame;
        match answer.body().is_some_and(|body| body.contains("requestState")) {
            true => Ok(()),
            false => fail(format!("the call was not parked: {}", String::from_utf8_lossy(answer.bytes()))),
        }
    };
    // Few at a time: what is on its way takes memory, too, and is not what is measured.
    futures::stream::iter(0..count).map(one).buffer_unordered(AT_ONCE).try_collect().await
}

/// A server that asks its client for something in every call, and answers what it did not hear of as cancelled.
fn asking_server(scope: &Scope) -> Peer {
    let (ours, theirs) = Peer::pair(PEER_CAPACITY);
    scope.spawn(async move {
        let Peer { tx: _tx, mut rx, home } = ours;
        let voice = Caller::legacy(None);
        let mut running: HashMap<Id, Reply> = HashMap::new();
        let mut asked = 0;
        while let Some(Envelope { frame, reply, .. }) = rx.recv().await {
            match (frame.method(), reply) {
                ("initialize", Some(reply)) => reply.answer(Frame::result("0", INITIALIZED)),
                ("tools/call", Some(reply)) => {
                    asked += 1;
                    let params = r#"{"mode":"form","message":"How many?","requestedSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}"#;
                    let question = Frame::request(&Id::Number(asked), "elicitation/create", Some(params));
                    let Some(home) = home.upgrade() else { return };
                    let Ok(way_home) = Reply::on(home, &question, &voice).await else { return };
                    let question = Envelope { from: voice.clone(), frame: question, reply: Some(way_home) };
                    if reply.update(question).await.is_ok()
                        && let Some(id) = Id::parse(frame.id_text())
                    {
                        running.insert(id, reply);
                    }
                }
                (_, Some(reply)) => reply.answer(Frame::result("0", "{}")),
                (_, None) => {
                    // Dropped, the duty to answer is done.
                    let taken_back = frame.cancelled().and_then(|id| running.remove(id));
                    drop(taken_back);
                }
            }
        }
    });
    theirs
}

/// Starts that process, and reads what it prints.
pub fn measure(report: &mut Report) -> Outcome<()> {
    let output = Command::new(std::env::current_exe()?).arg("--parked").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [parked, again, filled] = figures.as_slice() else {
        return fail(format!("parked calls: {text}{}", String::from_utf8_lossy(&output.stderr)));
    };
    let mut row = |what: String, kib: f64| report.alone(what, "MiB", kib / 1024.0, f64::NAN, Some(MOST));
    row(format!("resident for {COUNT} parked calls"), *parked);
    row(format!("the same after {} had expired", AGAIN * COUNT), *again);
    row("the same with as much of something else, after all expired".into(), *filled);
    if again.max(*filled) > parked * 1.5 {
        report.wrong(format!("parked calls: {parked} KiB at first, {again} and {filled} KiB after many had expired"));
    }
    Ok(())
}
