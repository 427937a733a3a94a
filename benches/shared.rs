//! A thousand sessions on one shared server (`--shared`), all calling at once, with the same ids and progress tokens.
//!
//! Owns what each session is due: its own answer, its own progress, news of what it subscribed to, and nothing else. Talks to
//! the bridge through [`Session`]s, and to /proc for what each of them holds.

use std::net::SocketAddr;
use std::time::Instant;

use futures::future::join_all;
use futures::{FutureExt as _, StreamExt as _};

use crate::client::Events;
use crate::process::{DEMO, Process, Wire, demo_servers, memory};
use crate::report::{Aim, Report, median};
use crate::session::Session;
use crate::{Outcome, fail};

const COUNT: usize = 1_000;

/// KiB resident for each session, after it has called.
const MOST: f64 = 64.0;

/// Progress notifications of a call: 1 to so many, so that neighbours differ.
const STEPS: usize = 16;

/// How a session is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain(Wire),
    /// With the stream for what belongs to no call, which most clients open.
    HttpWithNews,
    WebSocket,
}

const WAYS: [(&str, Way); 4] = [
    ("HTTP", Way::Plain(Wire::Http)),
    ("HTTP with a GET stream", Way::HttpWithNews),
    ("SSE", Way::Plain(Wire::Sse)),
    ("WebSocket", Way::WebSocket),
];

pub async fn measure(report: &mut Report, only: &str) -> Outcome<()> {
    let rounds = if report.quick { 3 } else { 15 };
    for (name, way) in WAYS.into_iter().filter(|(name, _)| name.contains(only)) {
        if let Err(why) = crowd(report, name, way, rounds).await {
            report.wrong(format!("shared, {name}: {why}"));
        }
    }
    Ok(())
}

async fn crowd(report: &mut Report, name: &str, way: Way, rounds: usize) -> Outcome<()> {
    let (bridge, addr) = Process::with(&["--shared"], &DEMO)?;
    // The first sessions pay for what all share.
    let mut first = open(addr, way, 8).await?;
    call(&mut first, 0).await?;
    let before = memory(bridge.pid())?.0;
    let each = |kib: u64| (kib as f64 - before as f64) / COUNT as f64;

    let mut members = open(addr, way, COUNT).await?;
    let idle = each(memory(bridge.pid())?.0);
    let (mut times, mut called) = (Vec::new(), idle);
    for round in 1..=rounds {
        let began = Instant::now();
        call(&mut members, round).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        if round == 1 {
            called = each(memory(bridge.pid())?.0);
        }
    }
    if way != Way::Plain(Wire::Http) {
        news(&mut members).await?;
    }
    let used = each(memory(bridge.pid())?.0);
    let servers = demo_servers(bridge.pid())?;
    if servers != 1 {
        return fail(format!("{servers} servers ran for sessions that share one"));
    }
    let row = |report: &mut Report, what: &str, unit, figure, aim| {
        let what = format!("{COUNT} sessions on one shared server, {name}: {what}");
        report.row(what, unit, figure, f64::NAN, f64::NAN, aim);
    };
    row(report, "resident for each, opened", "KiB", idle, Aim::AtMost(MOST));
    row(report, "resident for each, after 2 calls of each", "KiB", called, Aim::AtMost(MOST));
    // Over HTTP, with the events of minutes, for clients that come back for them.
    row(report, &format!("resident for each, after {} calls", 2 * rounds), "KiB", used, Aim::AtMost(MOST));
    row(report, "two calls of each at once, with progress", "ms", median(times), Aim::None);
    drop((first, members));
    match bridge.stop() {
        true => Ok(()),
        false => fail("the bridge did not end after SIGTERM"),
    }
}

/// One session and what it is due.
struct Member {
    number: usize,
    session: Session,
    news: Option<Events>,
}

async fn open(addr: SocketAddr, way: Way, count: usize) -> Outcome<Vec<Member>> {
    let one = |number| async move {
        let session = match way {
            Way::Plain(wire) => Session::open(wire, addr, 1).await?,
            Way::HttpWithNews => Session::open(Wire::Http, addr, 1).await?,
            Way::WebSocket => Session::web_socket(addr).await?,
        };
        let news = if way == Way::HttpWithNews { session.listen().await? } else { None };
        Ok(Member { number, session, news })
    };
    let all = futures::stream::iter(0..count).map(one).buffer_unordered(16);
    all.collect::<Vec<_>>().await.into_iter().collect()
}

/// Two calls of each, all at once.
async fn call(members: &mut [Member], round: usize) -> Outcome<()> {
    all_of(members.iter_mut().map(|member| member.call(round))).await
}

/// All of them, however many fail; those that did are counted.
async fn all_of(work: impl Iterator<Item = impl Future<Output = Outcome<()>>>) -> Outcome<()> {
    let done = join_all(work).await;
    let failed: Vec<_> = done.iter().filter_map(|done| done.as_ref().err()).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => fail(format!("{} of {} sessions, the first: {first}", failed.len(), done.len())),
    }
}

/// Every other session subscribes to what one of them changes then.
async fn news(members: &mut [Member]) -> Outcome<()> {
    let subscribe = br#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"demo://counter"}}"#;
    let touch = br#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"touch","arguments":{}}}"#;
    let subscribed = |member: &&mut Member| member.number.is_multiple_of(2);
    let asked = members.iter_mut().filter(subscribed).map(|member| member.session.ask(subscribe));
    let asked: Vec<_> = join_all(asked).await.into_iter().collect::<Outcome<_>>()?;
    if asked.iter().flatten().any(|answer| memchr::memmem::find(answer, b"\"result\"").is_none()) {
        return fail("a subscription was refused");
    }
    let other = members.iter_mut().find(|member| !member.number.is_multiple_of(2)).ok_or("no session")?;
    other.session.ask(touch).await?;
    all_of(members.iter_mut().filter(subscribed).map(Member::hear_update)).await?;
    // What came to a session that did not ask for it would stand before its next answer.
    call(members, usize::MAX / 2 - 1).await?;
    for member in members.iter_mut().filter(|member| !member.number.is_multiple_of(2)) {
        let Some(news) = &mut member.news else { continue };
        if news.next().now_or_never().is_some() {
            return fail(format!("session {} heard of what it did not subscribe to", member.number));
        }
    }
    Ok(())
}

impl Member {
    async fn call(&mut self, round: usize) -> Outcome<()> {
        let Member { number, session, .. } = self;
        let (steps, id) = (*number % STEPS + 1, 2 * round);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"slow","arguments":{{"steps":{steps},"step_ms":0}},"_meta":{{"progressToken":{id}}}}}}}"#
        );
        let got = session.ask(body.as_bytes()).await?;
        let mut due: Vec<Vec<String>> = (1..=steps)
            .map(|step| vec![format!("\"progressToken\":{id}"), format!("\"message\":\"step {step} of {steps}\"")])
            .collect();
        due.push(vec![format!("\"id\":{id}"), format!("\"text\":\"Did {steps} steps.\"")]);
        check(*number, &got, &due)?;

        let (id, text) = (id + 1, format!("of {number} in round {round}"));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"{text}"}}}}}}"#
        );
        let got = session.ask(body.as_bytes()).await?;
        check(*number, &got, &[vec![format!("\"id\":{id}"), format!("\"text\":\"{text}\"")]])
    }

    async fn hear_update(&mut self) -> Outcome<()> {
        let heard = match &mut self.news {
            Some(news) => {
                let next = tokio::time::timeout(crate::session::LOST, news.next());
                next.await??.ok_or("the stream ended")?.to_vec()
            }
            None => self.session.hear().await?,
        };
        check(self.number, &[heard], &[vec!["notifications/resources/updated".into(), "demo://counter".into()]])
    }
}

/// Whether what came is what was due: so many messages, each with these words.
fn check(number: usize, got: &[Vec<u8>], due: &[Vec<String>]) -> Outcome<()> {
    for (at, words) in due.iter().enumerate() {
        let message = got.get(at).map(Vec::as_slice).unwrap_or_default();
        if words.iter().any(|word| memchr::memmem::find(message, word.as_bytes()).is_none()) {
            let message = String::from_utf8_lossy(message);
            return fail(format!("session {number}: message {at} was {message:?}, not one with {words:?}"));
        }
    }
    match got.len() == due.len() {
        true => Ok(()),
        false => fail(format!("session {number}: {} messages came, not {}", got.len(), due.len())),
    }
}
