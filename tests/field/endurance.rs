//! Statements 9, 11, 16 and 19: long calls, large bodies, many requests that are broken off, idle streams.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use crate::support::{
    background,
    client::{Client, Kind, initialize, tool},
    eventually,
    http::{Conn, POST, STREAM, request},
    processes,
    program::Bridge,
    route::{Route, over_every_pair},
};

/// A proxy that cuts a connection which is silent both ways for so long, as reverse proxies do.
async fn impatient_proxy(to: SocketAddr, patience: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    background(async move {
        let mut connections = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            connections.spawn(relay(near, far, patience));
        }
    });
    addr
}

async fn relay(near: TcpStream, far: TcpStream, patience: Duration) {
    let (near, far) = (near.into_split(), far.into_split());
    let (busy, mut watched) = watch::channel(Instant::now());
    let copy = async |mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf| {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut piece).await {
            busy.send_replace(Instant::now());
            if to.write_all(&piece[..n]).await.is_err() {
                return;
            }
        }
    };
    let silence = async { while timeout(patience, watched.changed()).await.is_ok() {} };
    tokio::select! {
        _ = async { tokio::join!(copy(near.0, far.1), copy(far.0, near.1)) } => {}
        () = silence => {}
    }
}

/// Calls of this length that report nothing complete on every wire, and streams that were idle meanwhile still carry what
/// comes then; all of it behind a proxy that cuts what is silent.
async fn outlive(length: Duration, proxy: Duration, flags: &[&str]) {
    let bridge = Bridge::start(&[&["serve", "--demo"], flags].concat()).await;
    let door = impatient_proxy(bridge.addr, proxy).await;
    let mut clients = vec![Client::sse(door, "/sse").await, Client::http(door, "/mcp")];
    for (command, path) in [("sse-to-stdio", "sse"), ("http-to-stdio", "mcp")] {
        clients.push(Client::stdio(&[command, &format!("http://{door}/{path}")]));
    }
    for client in &mut clients {
        client.initialize("2025-06-18").await;
    }
    clients[1].listen().await;
    let work = json!({"steps": 1, "step_ms": u64::try_from(length.as_millis()).unwrap()});
    for client in &mut clients {
        client.send(&tool("1", "slow", work.clone())).await;
    }
    for client in &mut clients {
        let answered = async { client.wait_for_ever(|message| message.is_answer()).await };
        let answer = timeout(length + Duration::from_secs(30), answered).await.expect("the answer to a long call");
        assert_eq!(answer.tool_text(), "Did 1 steps.");
        client.call("toggle", json!({})).await;
        client.message("notifications/tools/list_changed").await;
    }
    drop(clients);
    bridge.stop().await;
}

/// With every default, and one minute as the proxy's patience.
#[tokio::test]
async fn field_09_and_19_a_call_of_75_s_and_idle_streams_outlive_a_proxy_of_60_s() {
    outlive(Duration::from_secs(75), Duration::from_secs(60), &[]).await;
}

#[tokio::test]
#[ignore = "takes 10 minutes"]
async fn field_09_and_19_a_call_of_10_min_and_idle_streams_outlive_a_proxy_of_60_s() {
    outlive(Duration::from_secs(600), Duration::from_secs(60), &[]).await;
}

/// The keep-alives are what does it: the same in small, where they come every fifth of a second. A response is silent for
/// at most two seconds, until it becomes a stream.
#[tokio::test]
async fn field_19_keep_alives_keep_idle_streams_open() {
    outlive(Duration::from_secs(6), Duration::from_secs(3), &["--keepalive", "200ms"]).await;
}

#[tokio::test]
async fn field_19_a_keep_alive_is_a_comment_or_an_event_as_asked() {
    for (flags, name) in
        [(vec!["--keepalive", "20ms"], None), (vec!["--keepalive", "20ms", "--keepalive-event"], Some("ping"))]
    {
        let bridge = Bridge::start(&[&["stdio-to-sse", "--demo"], &flags[..]].concat()).await;
        let mut conn = Conn::open(bridge.addr).await;
        conn.send(&request("GET", "/sse", &STREAM, "")).await;
        let head = conn.head().await;
        assert_eq!(head.header("cache-control"), Some("no-cache, no-transform"));
        assert_eq!(head.header("x-accel-buffering"), Some("no"));
        let mut events = head.body(conn).events();
        assert_eq!(events.next().await.unwrap().name, "endpoint");
        for _ in 0..3 {
            let block = crate::support::soon("a keep-alive", events.next_block()).await.unwrap();
            assert_eq!((!block.comment).then_some(block.name.as_str()), name);
        }
        bridge.stop().await;
    }
}

over_every_pair! {
    async fn field_11_a_message_of_1_mib_works_by_default(route: Route) {
        let way = route.start().await;
        let mut client = way.client().await;
        client.check(&"m".repeat(1024 * 1024)).await;
        assert_eq!(client.call("big", json!({"bytes": 4 * 1024 * 1024})).await.tool_text().len(), 4 * 1024 * 1024);
        client.finish().await;
        way.stop().await;
    }
}

#[tokio::test]
async fn field_11_a_body_over_the_limit_is_413_with_a_json_rpc_error() {
    let limit = 100_000;
    let bridge = Bridge::start(&["serve", "--demo", "--max-message", "100000"]).await;
    let (http, sse) = (bridge.http().await, bridge.sse().await);
    let body = |size: usize| {
        let empty = tool("1", "echo", json!({"message": ""})).len();
        tool("1", "echo", json!({"message": "m".repeat(size - empty)}))
    };
    for client in [&http, &sse] {
        let (status, code, id, text) = client.post(&body(limit + 1)).await.refusal();
        assert_eq!((status, code, id), (413, -32600, json!(null)));
        assert_eq!(text, "the message is larger than 100000 bytes (--max-message)");
        let at_limit = client.post(&body(limit)).await;
        assert!(at_limit.status() < 300, "{}", at_limit.body);
    }
    // By default the limit is 16 MiB. A client that asks first need not send it.
    let default = Bridge::start(&["stdio-to-http", "--demo"]).await;
    let length = (16 * 1024 * 1024 + 1).to_string();
    let headers = [&POST[..], &[("Content-Length", length.as_str()), ("Expect", "100-continue")]].concat();
    let (status, _, _, text) = default.ask("POST", "/mcp", &headers, "").await.refusal();
    assert_eq!((status, text.as_str()), (413, "the message is larger than 16777216 bytes (--max-message)"));
    drop((http, sse));
    bridge.stop().await;
    default.stop().await;
}

/// How a request is broken off.
async fn break_off(addr: SocketAddr, session: &str, n: usize) {
    let mut conn = Conn::open(addr).await;
    let headers = [&POST[..], &[("Mcp-Session-Id", session)]].concat();
    let call = request("POST", "/mcp", &headers, &tool(&n.to_string(), "slow", json!({"steps": 1, "step_ms": 20})));
    match n % 200 {
        // A session that its client never hears of.
        0 => drop(conn.try_send(&request("POST", "/mcp", &POST, &initialize("0", "2025-06-18"))).await),
        // A stream whose client leaves before or after it began.
        1 => drop(conn.try_send(&request("GET", "/sse", &STREAM, "")).await),
        2 => {
            conn.try_send(&request("GET", "/sse", &STREAM, "")).await;
            conn.try_head().await;
        }
        // A call, broken off at any byte, sent whole, or when its answer has begun.
        n if n % 3 == 0 => drop(conn.try_send(&call[..call.len() * n / 200]).await),
        n if n % 3 == 1 => drop(conn.try_send(&call).await),
        _ => {
            conn.try_send(&call).await;
            conn.try_head().await;
        }
    }
    match n % 2 {
        0 => conn.reset(),
        _ => drop(conn),
    }
}

#[tokio::test]
async fn field_16_after_10_000_requests_that_were_broken_off_all_is_as_before() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let mut client = bridge.client(Kind::Http).await;
    let session = client.session().to_owned();
    let rounds = async |from: usize, to: usize| {
        let mut running = JoinSet::new();
        for n in from..to {
            if running.len() >= 16 {
                running.join_next().await.unwrap().unwrap();
            }
            let (addr, session) = (bridge.addr, session.clone());
            running.spawn(async move { break_off(addr, &session, n).await });
        }
        running.join_all().await;
    };
    let settled = async || {
        let servers = || (bridge.program.servers().len() == 1).then_some(());
        eventually("the end of every server but one", servers).await;
    };
    // Until threads, buffers and the like are there.
    rounds(0, 500).await;
    settled().await;
    client.check("before").await;
    let before = (processes::descriptors(bridge.program.pid), processes::resident(bridge.program.pid));
    rounds(500, 10_500).await;
    settled().await;
    client.check("after").await;
    let descriptors = || (processes::descriptors(bridge.program.pid) <= before.0).then_some(());
    eventually("every descriptor to be closed", descriptors).await;
    // Allocators keep some; a leak of one buffer a request would be hundreds of MiB.
    let grown = processes::resident(bridge.program.pid).saturating_sub(before.1);
    assert!(grown < 32 * 1024, "{grown} KiB more than before");
    drop(client);
    bridge.stop().await;
}
