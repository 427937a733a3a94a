//! Servers that sessions share by whom they belong to and what they declare.

use tokio::time::{Duration, Instant};

use super::*;
use crate::peer::Principal;

fn declaring(capabilities: &str) -> String {
    format!(r#"{{"protocolVersion":"2025-06-18","capabilities":{capabilities}}}"#)
}

/// A client of `who` that has begun its handshake, and the server that it got, if it got a new one.
async fn begin(
    registry: &Registry,
    who: Option<&str>,
    capabilities: &str,
    servers: &mut mpsc::Receiver<Peer>,
) -> (Client, Option<Peer>) {
    let caller = Caller::legacy(who.map(|who| Principal(who.into())));
    let peer = registry.open(&caller).await.unwrap();
    let client = Client { caller, peer };
    let mut answers = client.ask(1, "initialize", Some(&declaring(capabilities))).await;
    let server = tokio::select! {
        biased;
        first = answers.recv() => {
            assert_eq!(first.unwrap().frame.body(), Some(INIT));
            None
        }
        server = servers.recv() => server,
    };
    let Some(mut server) = server else { return (client, None) };
    assert_eq!(answer(&mut server, INIT).await, "initialize");
    assert_eq!(body(&mut answers).await, INIT);
    (client, Some(server))
}

#[tokio::test]
async fn strangers_and_those_who_declare_something_else_get_another_server() {
    let (registry, mut servers) = shared(Sharing::Pooled);
    let mut got = Vec::new();
    for (who, capabilities, new) in [
        (Some("a"), r#"{"roots":{},"sampling":{}}"#, true),
        (Some("a"), r#"{"sampling":{}, "roots":{}}"#, false),
        (Some("a"), r#"{"roots":{}}"#, true),
        (Some("b"), r#"{"roots":{}}"#, true),
        (None, r#"{"roots":{}}"#, true),
        (None, r#"{"roots":{}}"#, false),
    ] {
        let (client, server) = begin(&registry, who, capabilities, &mut servers).await;
        assert_eq!(server.is_some(), new, "{who:?} {capabilities}");
        got.push((client, server));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_session_is_kept_for_a_while() {
    let (registry, mut servers) = shared(Sharing::Pooled);
    let (client, server) = begin(&registry, None, "{}", &mut servers).await;
    let mut server = server.unwrap();
    // A session keeps it, however long it says nothing.
    tokio::time::advance(Duration::from_secs(3600)).await;
    drop(client);
    let (client, none) = begin(&registry, None, "{}", &mut servers).await;
    assert!(none.is_none());
    let left = Instant::now();
    drop(client);
    while server.rx.recv().await.is_some() {}
    let kept = left.elapsed();
    assert!(kept >= Duration::from_secs(270) && kept < Duration::from_secs(400), "{kept:?}");
    let (_client, another) = begin(&registry, None, "{}", &mut servers).await;
    assert!(another.is_some());
}

#[tokio::test]
async fn the_table_is_bounded_and_who_is_gone_makes_room() {
    let limits = Limits { max_sessions: 2, ..Limits::default() };
    let (tx, mut servers) = mpsc::channel(4);
    let script = move |_: &Arc<Caller>| {
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        tx.try_send(ours).unwrap();
        theirs
    };
    let registry = Registry::scripted(script, Sharing::Pooled, &limits, &Scope::new());
    for round in 0..8 {
        let who = format!("caller {round}");
        let (client, server) = begin(&registry, Some(&who), "{}", &mut servers).await;
        assert!(server.is_some());
        drop(client);
        // Its place for a session is given back when it has left.
        while registry.sessions.available_permits() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(registry.pooled.as_ref().unwrap().size() <= 2);
    }
}
