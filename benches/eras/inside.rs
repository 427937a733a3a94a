//! The translations alone: a scripted client, a scripted server, and between them a pair of channels or a translation.
//!
//! Owns both ends. Messages are read from bytes, as a wire does, on either side of every way across, so what differs
//! between two ways is the translation. One thread: 16 callers take turns, and what counts is the work of one call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::try_join_all;
use mcp_bridge::era::{legacy_to_modern, modern_to_legacy};
use mcp_bridge::message::{Frame, Kind};
use mcp_bridge::peer::{Caller, Envelope, Outbox, PEER_CAPACITY, Peer, Reply};
use mcp_bridge::scope::Scope;
use tokio::sync::mpsc;

use super::META;
use crate::report::{Report, median};
use crate::{Outcome, fail};

/// What the scripted servers say of themselves.
pub const INITIALIZED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{},"prompts":{}},"serverInfo":{"name":"script","version":"1"}}"#;
const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"script","version":"1"}}}"#;

/// Bytes of text: the first makes a legacy request of 130 bytes.
const SIZES: [(&str, usize); 2] = [("130 B", 28), ("64 KiB", 64 << 10)];

/// Microseconds that translation may add to a call.
const MORE: f64 = 10.0;

/// Channel of one exchange, as Streamable HTTP has it.
const EXCHANGE: usize = 32;

/// One way across.
struct Way {
    modern: bool,
    caller: Arc<Caller>,
    tx: Outbox,
    /// Held: a session ends with its peer.
    _rest: Option<Peer>,
}

impl Way {
    /// Straight to a server of the caller's own era.
    fn same(modern: bool, text: &str, scope: &Scope) -> Way {
        let Peer { tx, rx, home } = server(modern, text, scope);
        let caller = if modern { Caller::modern(None) } else { Caller::legacy(None) };
        let (unused, _) = mpsc::channel(1);
        Way { modern, caller, tx: tx.clone(), _rest: Some(Peer { tx: unused, rx, home }) }
    }

    fn modern_to_legacy(text: &str, scope: &Scope) -> Way {
        let (text, inner) = (text.to_owned(), scope.clone());
        let open = move |_: Arc<Caller>| {
            let peer = server(false, &text, &inner);
            async move { Ok(peer) }.boxed()
        };
        let settings = modern_to_legacy::Settings::default();
        let tx = modern_to_legacy::open(Arc::new(open), settings, Arc::new(|| ()), scope);
        Way { modern: true, caller: Caller::modern(None), tx, _rest: None }
    }

    async fn legacy_to_modern(text: &str, scope: &Scope) -> Outcome<Way> {
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        // The script says nothing on its own account.
        let Peer { tx: outbox, .. } = server(true, text, scope);
        let (settings, inner) = (legacy_to_modern::Settings::default(), scope.clone());
        scope.spawn(async move { legacy_to_modern::serve(theirs, outbox, settings, &inner).await });
        let tx = ours.tx.clone();
        let way = Way { modern: false, caller: Caller::legacy(None), tx, _rest: Some(ours) };
        let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        let answer = way.ask(Bytes::from_static(hello.as_bytes())).await?;
        match answer.is_error() {
            false => Ok(way),
            true => fail("initialize was refused"),
        }
    }

    fn request(&self, id: u64, text: &str) -> Bytes {
        let (open, meta) = if self.modern { (META, ",") } else { ("", "") };
        let head =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{{open}{meta}"name":"echo","#);
        [head.as_str(), r#""arguments":{"message":""#, text, r#""}}}"#].concat().into()
    }

    async fn ask(&self, bytes: Bytes) -> Outcome<Frame> {
        let frame = Frame::parse(bytes)?;
        let (stream, mut rx) = mpsc::channel(EXCHANGE);
        let reply = Reply::on(stream, &frame, &self.caller).await?;
        let envelope = Envelope { from: self.caller.clone(), frame, reply: Some(reply) };
        self.tx.send(envelope).await.map_err(|_| "the server is gone")?;
        loop {
            let Some(envelope) = rx.recv().await else { return fail("no answer") };
            if matches!(envelope.frame.kind(), Kind::Response(_)) {
                return Ok(envelope.frame);
            }
        }
    }

    /// Calls until the deadline; nanoseconds of each.
    async fn calls(&self, slot: u64, text: &str, until: Instant) -> Outcome<Vec<u64>> {
        let mut nanos = Vec::new();
        let mut id = (slot + 1) * 100_000_000;
        while Instant::now() < until {
            let bytes = self.request(id, text);
            let from = Instant::now();
            let answer = self.ask(bytes).await?;
            nanos.push(u64::try_from(from.elapsed().as_nanos())?);
            let echoed = answer.body().is_some_and(|body| body.len() > text.len());
            if answer.is_error() || !echoed || answer.id_text().parse::<u64>()? != id {
                return fail(format!("call {id} was answered wrongly"));
            }
            id += 1;
        }
        Ok(nanos)
    }

    async fn round(&self, callers: u64, text: &str, span: Duration) -> Outcome<Round> {
        let until = Instant::now() + span;
        let all = try_join_all((0..callers).map(|slot| self.calls(slot, text, until))).await?;
        let mut nanos: Vec<u64> = all.into_iter().flatten().collect();
        nanos.sort_unstable();
        let at = |share: usize| nanos.get(nanos.len() * share / 100).map_or(f64::NAN, |nanos| *nanos as f64 / 1e3);
        Ok(Round { p50: at(50), p99: at(99), each: at(50) / callers as f64 })
    }
}

/// Microseconds: of a call from its caller's view, and its share of that, since callers take turns. Not the time of the
/// round by the number of calls: what else the machine does would count as work.
#[derive(Debug, Clone, Copy)]
struct Round {
    p50: f64,
    p99: f64,
    each: f64,
}

/// A server that answers every call with `text`.
fn server(modern: bool, text: &str, scope: &Scope) -> Peer {
    let (ours, theirs) = Peer::pair(PEER_CAPACITY);
    let kind = if modern { r#""resultType":"complete","# } else { "" };
    let echo = format!(r#"{{{kind}"content":[{{"type":"text","text":"{text}"}}]}}"#);
    scope.spawn(async move {
        // Held to the end: closed, it says that the server is gone.
        let Peer { tx: _tx, mut rx, home: _ } = ours;
        while let Some(Envelope { frame, reply, .. }) = rx.recv().await {
            let Some(reply) = reply else { continue };
            let result = match frame.method() {
                "initialize" => INITIALIZED,
                "server/discover" => DISCOVERED,
                "tools/call" => &echo,
                _ => "{}",
            };
            let text = [r#"{"jsonrpc":"2.0","id":"#, frame.id_text(), r#","result":"#, result, "}"].concat();
            // What cannot be read is not answered, which the caller sees.
            if let Ok(answer) = Frame::parse(text.into()) {
                reply.answer(answer);
            }
        }
    });
    theirs
}

pub async fn measure(report: &mut Report) -> Outcome<()> {
    // As the program does.
    mcp_bridge::room::keep_freed_memory();
    let (rounds, span) = if report.quick { (5, 60) } else { (15, 300) };
    let span = Duration::from_millis(span);
    for (size, bytes) in SIZES {
        let text = "x".repeat(bytes);
        let scope = Scope::new();
        let ways = [
            ("modern → legacy", Way::same(true, &text, &scope), Way::modern_to_legacy(&text, &scope)),
            ("legacy → modern", Way::same(false, &text, &scope), Way::legacy_to_modern(&text, &scope).await?),
        ];
        for (name, same, across) in ways {
            for callers in [1, 16] {
                let got = in_turn(&same, &across, callers, &text, rounds, span).await?;
                rows(report, name, size, callers, &got);
            }
        }
        scope.stop();
    }
    Ok(())
}

async fn in_turn(
    same: &Way,
    across: &Way,
    callers: u64,
    text: &str,
    rounds: usize,
    span: Duration,
) -> Outcome<Vec<(Round, Round)>> {
    // The first calls are dearer: the server starts, buffers grow.
    across.round(callers, text, span / 4).await?;
    same.round(callers, text, span / 4).await?;
    let mut all = Vec::new();
    for at in 0..rounds {
        all.push(if at % 2 == 0 {
            let first = across.round(callers, text, span).await?;
            (first, same.round(callers, text, span).await?)
        } else {
            let first = same.round(callers, text, span).await?;
            (across.round(callers, text, span).await?, first)
        });
    }
    Ok(all)
}

fn rows(report: &mut Report, name: &str, size: &str, callers: u64, got: &[(Round, Round)]) {
    let mut row = |what: &str, figure: fn(&Round) -> f64, most: Option<f64>| {
        let across = median(got.iter().map(|(across, _)| figure(across)));
        let same = median(got.iter().map(|(_, same)| figure(same)));
        let more = median(got.iter().map(|(across, same)| figure(across) - figure(same)));
        report.more(format!("{name}, {size}, {what}"), "µs", across, same, more, most);
    };
    if callers == 1 {
        row("1 caller, p50", |round| round.p50, Some(MORE));
        row("1 caller, p99", |round| round.p99, None);
    } else {
        row("16 callers, p50 by 16", |round| round.each, Some(MORE));
        row("16 callers, p99", |round| round.p99, None);
    }
}
