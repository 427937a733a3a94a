//! Shared and stateless servers, with a script behind [`Peer::pair`] in the server's place.

mod pooled;

use super::*;
use crate::message::{Frame, Id, code};
use crate::peer::Envelope;
use bytes::Bytes;
use tokio::sync::mpsc;

fn frame(text: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// A registry whose one server is in the test's hands.
fn shared(sharing: Sharing) -> (Arc<Registry>, mpsc::Receiver<Peer>) {
    let (tx, servers) = mpsc::channel(4);
    let script = move |_: &Arc<Caller>| {
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        tx.try_send(ours).unwrap();
        theirs
    };
    (Registry::scripted(script, sharing, &Limits::default(), &Scope::new()), servers)
}

struct Client {
    caller: Arc<Caller>,
    peer: Peer,
}

impl Client {
    async fn join(registry: &Registry) -> Client {
        let caller = Caller::legacy(None);
        let peer = registry.open(&caller).await.unwrap();
        Client { caller, peer }
    }

    async fn ask(&self, id: i64, method: &str, params: Option<&str>) -> mpsc::Receiver<Envelope> {
        ask(&self.peer.tx, &self.caller, id, method, params).await
    }

    async fn tell(&self, method: &str) {
        let frame = Frame::notification(method, None);
        self.peer.tx.send(Envelope::one_way(self.caller.clone(), frame)).await.unwrap();
    }
}

async fn ask(
    tx: &mpsc::Sender<Envelope>,
    caller: &Arc<Caller>,
    id: i64,
    method: &str,
    params: Option<&str>,
) -> mpsc::Receiver<Envelope> {
    let (stream, answers) = mpsc::channel(8);
    let frame = Frame::request(&Id::Number(id), method, params);
    let reply = crate::peer::Reply::on(stream, &frame, caller).await.unwrap();
    tx.send(Envelope { from: caller.clone(), frame, reply: Some(reply) }).await.unwrap();
    answers
}

/// Answers the next request that reaches the server; gives its method.
async fn answer(server: &mut Peer, result: &str) -> String {
    loop {
        let Envelope { frame, reply, .. } = server.rx.recv().await.unwrap();
        if let Some(reply) = reply {
            reply.answer(Frame::result("0", result));
            return frame.method().to_string();
        }
    }
}

async fn body(answers: &mut mpsc::Receiver<Envelope>) -> String {
    answers.recv().await.unwrap().frame.body().unwrap().to_string()
}

const INIT: &str = r#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"x","version":"1"}}"#;

#[tokio::test]
async fn initialize_is_answered_from_the_first_result_and_crosses_once() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let (a, b) = (Client::join(&registry).await, Client::join(&registry).await);
    let mut server = servers.recv().await.unwrap();
    let (mut first, mut second) = (a.ask(7, "initialize", None).await, b.ask(7, "initialize", None).await);
    assert_eq!(answer(&mut server, INIT).await, "initialize");
    assert_eq!(body(&mut first).await, INIT);
    assert_eq!(body(&mut second).await, INIT);
    a.tell("notifications/initialized").await;
    assert_eq!(server.rx.recv().await.unwrap().frame.method(), "notifications/initialized");
    b.tell("notifications/initialized").await;
    let mut ping = b.ask(8, "ping", None).await;
    assert_eq!(answer(&mut server, "{}").await, "ping", "the second announcement stays here");
    assert_eq!(body(&mut ping).await, "{}");
}

#[tokio::test]
async fn a_refused_initialize_lets_the_next_caller_try() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let (a, b) = (Client::join(&registry).await, Client::join(&registry).await);
    let mut server = servers.recv().await.unwrap();
    let (mut first, mut second) = (a.ask(1, "initialize", None).await, b.ask(1, "initialize", None).await);
    server.rx.recv().await.unwrap().reply.unwrap().fail(code::INVALID_PARAMS, "no", None);
    answer(&mut server, INIT).await;
    let bodies = [body(&mut first).await, body(&mut second).await];
    assert!(bodies.iter().any(|b| b.contains("-32602")) && bodies.contains(&INIT.to_string()));
}

#[tokio::test]
async fn notifications_reach_those_whom_they_belong_to() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let (mut a, mut b) = (Client::join(&registry).await, Client::join(&registry).await);
    let mut server = servers.recv().await.unwrap();
    let mut subscribed = a.ask(1, "resources/subscribe", Some(r#"{"uri":"demo://x"}"#)).await;
    answer(&mut server, "{}").await;
    body(&mut subscribed).await;

    let voice = Caller::legacy(None);
    let say = |text: &str| Envelope::one_way(voice.clone(), frame(text));
    let updated = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"demo://x"}}"#;
    server.tx.send(say(updated)).await.unwrap();
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#;
    server.tx.send(say(log)).await.unwrap();
    server.tx.send(say(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#)).await.unwrap();

    assert_eq!(a.peer.rx.recv().await.unwrap().frame.method(), "notifications/resources/updated");
    for client in [&mut a, &mut b] {
        let next = client.peer.rx.recv().await.unwrap();
        assert_eq!(next.frame.method(), "notifications/tools/list_changed", "the log line is nobody's");
    }
}

#[tokio::test]
async fn the_server_is_unsubscribed_when_the_last_subscriber_leaves() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let (a, b) = (Client::join(&registry).await, Client::join(&registry).await);
    let mut server = servers.recv().await.unwrap();
    for client in [&a, &b] {
        let mut done = client.ask(1, "resources/subscribe", Some(r#"{"uri":"demo://x"}"#)).await;
        assert_eq!(answer(&mut server, "{}").await, "resources/subscribe");
        body(&mut done).await;
    }
    let mut local = a.ask(2, "resources/unsubscribe", Some(r#"{"uri":"demo://x"}"#)).await;
    assert_eq!(body(&mut local).await, "{}", "b still listens: the server does not hear of it");
    drop(b);
    assert_eq!(answer(&mut server, "{}").await, "resources/unsubscribe");
}

#[tokio::test]
async fn a_request_that_no_call_accounts_for_is_refused_while_several_share() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let mut a = Client::join(&registry).await;
    let mut server = servers.recv().await.unwrap();
    let voice = Caller::legacy(None);
    let mut asked = ask(&server.tx, &voice, 1, "roots/list", None).await;
    a.peer.rx.recv().await.unwrap().reply.unwrap().answer(Frame::result("0", r#"{"roots":[]}"#));
    assert_eq!(body(&mut asked).await, r#"{"roots":[]}"#, "a lone client is the one to ask");
    let _b = Client::join(&registry).await;
    let mut refused = ask(&server.tx, &voice, 2, "roots/list", None).await;
    assert!(body(&mut refused).await.contains("several clients share it"));
    let mut ping = ask(&server.tx, &voice, 3, "ping", None).await;
    assert_eq!(body(&mut ping).await, "{}");
    drop(server.tx);
    drop(std::mem::replace(&mut server.rx, mpsc::channel(1).1.into()));
    assert!(
        a.peer.rx.recv().await.is_none(),
        "nobody had shaken hands: the end of the server is the end of its sessions"
    );
    Client::join(&registry).await;
    assert!(servers.recv().await.is_some(), "the next session gets a new server");
}

const CHANGING: &str = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true}},"serverInfo":{"name":"x","version":"1"}}"#;

/// A client that has shaken hands with the first server, which is given along.
async fn introduced(registry: &Registry, servers: &mut mpsc::Receiver<Peer>) -> (Client, Peer) {
    let client = Client::join(registry).await;
    let mut server = servers.recv().await.unwrap();
    let mut first = client.ask(1, "initialize", Some(r#"{"clientInfo":"first"}"#)).await;
    answer(&mut server, CHANGING).await;
    body(&mut first).await;
    client.tell("notifications/initialized").await;
    assert_eq!(server.rx.recv().await.unwrap().frame.method(), "notifications/initialized");
    (client, server)
}

#[tokio::test]
async fn the_next_process_of_a_shared_server_hears_what_the_one_before_was_told() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let (mut a, mut server) = introduced(&registry, &mut servers).await;
    let mut b = Client::join(&registry).await;
    for (client, method, params) in [
        (&a, "logging/setLevel", r#"{"level":"error"}"#),
        (&a, "resources/subscribe", r#"{"uri":"demo://x"}"#),
        (&b, "logging/setLevel", r#"{"level":"debug"}"#),
    ] {
        let mut done = client.ask(2, method, Some(params)).await;
        answer(&mut server, "{}").await;
        body(&mut done).await;
    }
    // A wire keeps taking what is asked of a server that has ended, to answer it.
    let Peer { tx, rx: _taking, home: _ } = server;
    drop(tx);
    let mut server = servers.recv().await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 4 {
        let Envelope { frame, reply, .. } = server.rx.recv().await.unwrap();
        heard.push((frame.method().to_string(), frame.body().unwrap_or_default().to_string()));
        let result = if frame.method() == "initialize" { CHANGING } else { "{}" };
        reply.into_iter().for_each(|reply| reply.answer(Frame::result("0", result)));
    }
    let heard: Vec<_> = heard.iter().map(|(method, body)| (&**method, &**body)).collect();
    assert_eq!(
        heard,
        [
            ("initialize", r#"{"clientInfo":"first"}"#),
            ("notifications/initialized", ""),
            ("logging/setLevel", r#"{"level":"debug"}"#),
            ("resources/subscribe", r#"{"uri":"demo://x"}"#),
        ]
    );
    for (client, news) in
        [(&mut a, &["tools/list_changed", "resources/updated"][..]), (&mut b, &["tools/list_changed"])]
    {
        for news in news {
            let next = client.peer.rx.recv().await.unwrap();
            assert_eq!(next.frame.method(), format!("notifications/{news}"));
        }
    }
    let mut call = b.ask(3, "tools/list", None).await;
    answer(&mut server, "{}").await;
    assert_eq!(body(&mut call).await, "{}");
}

#[tokio::test]
async fn a_call_that_comes_while_there_is_no_process_waits_for_the_next() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let (a, server) = introduced(&registry, &mut servers).await;
    drop(server);
    let mut server = servers.recv().await.unwrap();
    let mut call = a.ask(2, "tools/list", None).await;
    answer(&mut server, CHANGING).await;
    assert_eq!(answer(&mut server, "{}").await, "tools/list");
    assert_eq!(body(&mut call).await, "{}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_refuses_the_handshake_is_tried_again_later() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let (mut a, server) = introduced(&registry, &mut servers).await;
    drop(server);
    let mut refusing = servers.recv().await.unwrap();
    refusing.rx.recv().await.unwrap().reply.unwrap().fail(code::INTERNAL, "no", None);
    assert!(refusing.rx.recv().await.is_none(), "it is let go");
    let mut server = servers.recv().await.unwrap();
    answer(&mut server, CHANGING).await;
    assert_eq!(a.peer.rx.recv().await.unwrap().frame.method(), "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_stateless_server_is_initialized_by_the_bridge() {
    let (registry, mut servers) = shared(Sharing::Stateless);
    let caller = Caller::legacy(None);
    let (outbox, mut server) = tokio::join!(registry.outbox(&caller), async {
        let mut server = servers.recv().await.unwrap();
        assert_eq!(answer(&mut server, INIT).await, "initialize");
        assert_eq!(server.rx.recv().await.unwrap().frame.method(), "notifications/initialized");
        server
    });
    let outbox = outbox.unwrap();
    let mut init = ask(&outbox, &caller, 1, "initialize", Some(r#"{"protocolVersion":"2025-03-26"}"#)).await;
    assert_eq!(body(&mut init).await, INIT.replace("2025-06-18", "2025-03-26"));
    let mut call = ask(&outbox, &caller, 2, "tools/list", None).await;
    answer(&mut server, r#"{"tools":[]}"#).await;
    assert_eq!(body(&mut call).await, r#"{"tools":[]}"#);
    let mut refused = ask(&outbox, &caller, 3, "resources/subscribe", Some(r#"{"uri":"x"}"#)).await;
    assert!(body(&mut refused).await.contains("--stateless"));
    let mut asked = ask(&server.tx, &Caller::legacy(None), 1, "sampling/createMessage", None).await;
    assert!(body(&mut asked).await.contains("--stateless"));
}

#[tokio::test]
async fn a_server_whose_first_caller_left_before_it_was_initialized_is_let_go() {
    let (registry, mut servers) = shared(Sharing::Stateless);
    let caller = Caller::legacy(None);
    let mut server = {
        let opening = registry.outbox(&caller);
        tokio::pin!(opening);
        tokio::select! {
            _ = &mut opening => unreachable!("the server has not answered"),
            server = servers.recv() => server.unwrap(),
        }
    };
    while server.rx.recv().await.is_some() {}
}

#[tokio::test]
async fn a_shared_server_is_let_go_with_its_registry() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let client = Client::join(&registry).await;
    let mut server = servers.recv().await.unwrap();
    drop((client, registry));
    assert!(server.rx.recv().await.is_none());
}

#[tokio::test]
async fn subscriptions_of_one_client_are_bounded() {
    let (registry, mut servers) = shared(Sharing::Shared);
    let client = Client::join(&registry).await;
    let mut server = servers.recv().await.unwrap();
    let uri = |n: usize| format!(r#"{{"uri":"demo://{n}"}}"#);
    for n in 0..1024 {
        let mut done = client.ask(1, "resources/subscribe", Some(&uri(n))).await;
        answer(&mut server, "{}").await;
        body(&mut done).await;
    }
    let mut refused = client.ask(1, "resources/subscribe", Some(&uri(1024))).await;
    assert!(body(&mut refused).await.contains("1024 subscriptions"));
    let long = format!(r#"{{"uri":"{}"}}"#, "x".repeat(10_000));
    let mut refused = client.ask(1, "resources/subscribe", Some(&long)).await;
    assert!(body(&mut refused).await.contains("8192 bytes"));
}

#[tokio::test]
async fn a_session_over_the_limit_is_refused_until_one_ends() {
    let limits = Limits { max_sessions: 1, ..Limits::default() };
    let (tx, _servers) = mpsc::channel(4);
    let script = move |_: &Arc<Caller>| {
        let (ours, theirs) = Peer::pair(4);
        tx.try_send(ours).unwrap();
        theirs
    };
    let registry = Registry::scripted(script, Sharing::Shared, &limits, &Scope::new());
    let first = Client::join(&registry).await;
    let refused = registry.open(&Caller::legacy(None)).await.unwrap_err();
    assert!(refused.to_string().contains("--max-sessions") && refused.retry_after().is_some());
    drop(first);
    while registry.open(&Caller::legacy(None)).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_start_that_panicked_is_not_told_as_a_change_of_the_server() {
    let scope = Scope::new();
    let starting = scope.spawn(async { panic!("on purpose") });
    let error = outcome::<()>(starting.await).unwrap_err();
    let text =
        "the bridge failed while it started the server; call again, and look into the bridge's log if it stays so";
    assert_eq!((error.to_string().as_str(), error.code()), (text, code::INTERNAL));
}
