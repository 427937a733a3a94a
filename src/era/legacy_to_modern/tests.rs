//! A scripted modern server behind the outbox, and a legacy client at the other end of the peer.

use super::*;
use bytes::Bytes;
use tokio::time::Instant;

mod calls;
mod input;
mod opening;
mod subscriptions;

/// Without a log level of the bridge's own, so that what goes out is what the client said.
fn quiet() -> Settings {
    Settings { log_level: None, ..Settings::default() }
}

/// What every request of the tests' client carries.
const STAMP: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{},"sampling":{},"elicitation":{"form":{},"url":{}}},"io.modelcontextprotocol/clientInfo":{"name":"old","version":"1"}"#;

/// What the server offers, unless a test says otherwise.
const OFFERS: &str =
    r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true},"logging":{}}"#;

fn frame(text: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// A client, and the session that serves it.
struct Client {
    caller: Arc<Caller>,
    peer: Peer,
    scope: Scope,
}

/// The modern server.
struct Server {
    rx: mpsc::Receiver<Envelope>,
    voice: Arc<Caller>,
}

/// One message as the client sees it.
#[derive(Debug)]
struct Seen {
    method: String,
    body: String,
    id: String,
    reply: Option<Reply>,
    is_error: bool,
}

impl Seen {
    fn of(Envelope { frame, reply, .. }: Envelope) -> Seen {
        Seen {
            method: frame.method().into(),
            body: frame.body().unwrap_or_default().into(),
            id: frame.id_text().into(),
            is_error: frame.is_error(),
            reply,
        }
    }
}

fn start(settings: Settings) -> (Client, Server) {
    let (theirs, ours) = Peer::pair(64);
    let (outbox, rx) = mpsc::channel(64);
    let scope = Scope::new();
    let inside = scope.clone();
    scope.spawn(async move { serve(ours, outbox, settings, &inside).await });
    let principal = Some(crate::peer::Principal("ada".into()));
    (Client { caller: Caller::legacy(principal), peer: theirs, scope }, Server { rx, voice: Caller::modern(None) })
}

/// A session that is open: the client speaks `version`, the server offers `offers`.
async fn opened(version: &str, offers: &str, settings: Settings) -> (Client, Server) {
    let (client, mut server) = start(settings);
    let mut answers = client.ask("0", "initialize", &init_params(version)).await;
    let found = format!(r#"{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{offers}}}"#);
    server.next("server/discover").await.1.answer(Frame::result("0", &found));
    assert!(!only(&mut answers).await.is_error);
    (client, server)
}

async fn session() -> (Client, Server) {
    opened("2025-11-25", OFFERS, quiet()).await
}

fn init_params(version: &str) -> String {
    format!(
        r#"{{"protocolVersion":"{version}","capabilities":{{"roots":{{"listChanged":true}},"sampling":{{}},"elicitation":{{"form":{{}},"url":{{}}}}}},"clientInfo":{{"name":"old","version":"1"}}}}"#
    )
}

impl Client {
    async fn ask(&self, id: &str, method: &str, params: &str) -> mpsc::Receiver<Envelope> {
        self.ask_as(&self.caller, id, method, params).await
    }

    async fn ask_as(&self, caller: &Arc<Caller>, id: &str, method: &str, params: &str) -> mpsc::Receiver<Envelope> {
        let (stream, answers) = mpsc::channel(16);
        let params = if params.is_empty() { String::new() } else { format!(",\"params\":{params}") };
        let frame = frame(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"{params}}}"#));
        let reply = Reply::on(stream, &frame, caller).await.unwrap();
        self.peer.tx.send(Envelope { from: caller.clone(), frame, reply: Some(reply) }).await.unwrap();
        answers
    }

    async fn tell(&self, method: &str, params: &str) {
        self.tell_as(&self.caller, method, params).await;
    }

    async fn tell_as(&self, caller: &Arc<Caller>, method: &str, params: &str) {
        let frame = Frame::notification(method, Some(params).filter(|params| !params.is_empty()));
        self.peer.tx.send(Envelope::one_way(caller.clone(), frame)).await.unwrap();
    }

    /// The next of what belongs to no call: method and params.
    async fn unsolicited(&mut self) -> (String, String) {
        let seen = Seen::of(self.peer.rx.recv().await.unwrap());
        (seen.method, seen.body)
    }
}

impl Server {
    /// The next request, which is one of `method`: its params and the way home.
    async fn next(&mut self, method: &str) -> (String, Reply) {
        let Envelope { frame, reply, from } = self.rx.recv().await.unwrap();
        assert_eq!(frame.method(), method, "{:?}", frame.body());
        assert_eq!(from.era, crate::peer::Era::Modern);
        assert_eq!(from.principal.as_ref().map(|p| &*p.0), Some("ada"));
        (frame.body().unwrap_or_default().into(), reply.unwrap())
    }

    /// The next message, which takes back the request `id`.
    async fn cancelled(&mut self, id: &str) {
        let Envelope { frame, .. } = self.rx.recv().await.unwrap();
        assert_eq!(frame.method(), "notifications/cancelled");
        assert_eq!(frame.body(), Some(&*format!(r#"{{"requestId":{id}}}"#)));
    }

    fn is_quiet(&mut self) -> bool {
        self.rx.try_recv().is_err()
    }

    async fn say(&self, reply: &Reply, method: &str, params: &str) {
        let frame = Frame::notification(method, Some(params));
        reply.update(Envelope::one_way(self.voice.clone(), frame)).await.unwrap();
    }
}

async fn next(answers: &mut mpsc::Receiver<Envelope>) -> Seen {
    Seen::of(answers.recv().await.unwrap())
}

/// The answer, which is all that comes.
async fn only(answers: &mut mpsc::Receiver<Envelope>) -> Seen {
    let seen = next(answers).await;
    assert_eq!(seen.method, "", "{}", seen.body);
    assert!(answers.recv().await.is_none(), "one answer, and nothing after it");
    seen
}

/// The body of the only answer.
async fn body(answers: &mut mpsc::Receiver<Envelope>) -> String {
    only(answers).await.body
}

/// Lets every task run until it waits for something.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
