//! WebSocket as a server. The client is another implementation, or raw bytes where that would not say what is to be said.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use mcp_bridge::{
    auth::resource::Gate,
    config::{Door, Limits, Secret, Sharing},
    message::Frame,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::CloseFrame},
};

use super::support::*;

pub(super) type Socket = WebSocketStream<TcpStream>;

/// Opens a connection with these headers on top of the usual ones.
async fn open_with(front: &Front, headers: &[(&'static str, &str)]) -> Result<(Socket, String), (u16, String)> {
    let mut request = format!("ws://{}/ws", front.address).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(front.address).await.unwrap();
    match soon("the upgrade", client_async(request, stream)).await {
        Ok((socket, response)) => {
            let protocol = response.headers().get("sec-websocket-protocol");
            Ok((socket, protocol.map_or(String::new(), |value| value.to_str().unwrap().to_owned())))
        }
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            Err((response.status().as_u16(), String::from_utf8(body).unwrap()))
        }
        Err(error) => panic!("{error}"),
    }
}

pub(super) async fn open(front: &Front) -> Socket {
    open_with(front, &[("sec-websocket-protocol", "mcp")]).await.unwrap().0
}

/// An initialized session.
pub(super) async fn session(front: &mut Front) -> (Socket, Server) {
    let mut socket = open(front).await;
    say(&mut socket, &initialize("2025-11-25")).await;
    let mut server = front.server().await;
    server.initialize("2025-11-25").await;
    assert!(answers(&hear(&mut socket).await, "0"));
    (socket, server)
}

pub(super) async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

pub(super) async fn hear(socket: &mut Socket) -> Frame {
    loop {
        match soon("a message", socket.next()).await {
            Some(Ok(Message::Text(text))) => return Frame::parse(text.as_str().to_owned().into()).unwrap(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("no message: {other:?}"),
        }
    }
}

/// The code that the connection is closed with.
pub(super) async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        match soon("the close frame", socket.next()).await {
            Some(Ok(Message::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
            Some(Ok(_)) => {}
            other => panic!("no close frame: {other:?}"),
        }
    }
}

/// A connection whose frames are written by hand.
async fn raw(front: &Front) -> TcpStream {
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let head = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(soon("the upgrade", stream.read_u8()).await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// The code of the close frame that is the next one.
async fn raw_close_code(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 4];
    soon("a close frame", stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[0], 0x88, "no close frame: {head:x?}");
    u16::from_be_bytes([head[2], head[3]])
}

/// Waits until the other end has closed the connection.
async fn hung_up(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = soon("the end of the connection", stream.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn messages_cross_both_ways_and_ids_come_back_as_they_were() {
    let mut front = Front::start().await;
    let (mut socket, mut server) = session(&mut front).await;
    for id in [r#""abc-1""#, r#""a:b""#, "0", "9007199254740991", "-7", "1.0", r#""\u00e9""#] {
        say(&mut socket, &request(id, "tools/call")).await;
        let (frame, reply) = server.request().await;
        assert_eq!(frame.id_text(), id);
        reply.update(update(note(1))).await.unwrap();
        reply.answer(result("{}"));
        assert_eq!(hear(&mut socket).await.method(), "notifications/progress");
        assert_eq!(hear(&mut socket).await.id_text(), id);
    }
    server.say(Frame::notification("notifications/x", None)).await;
    server.ask(Frame::parse(request("5", "roots/list").into()).unwrap()).await;
    assert_eq!(hear(&mut socket).await.method(), "notifications/x");
    assert_eq!(hear(&mut socket).await.method(), "roots/list");
    say(&mut socket, r#"{"jsonrpc":"2.0","id":5,"result":{}}"#).await;
    assert!(answers(&server.next().await.frame, "5"));
    // Line breaks are no ends of messages here, and what is no message is answered.
    say(&mut socket, "{\n\"jsonrpc\":\"2.0\",\r\n\"id\":6,\"method\":\"ping\"}\n").await;
    server.request().await.1.answer(result("{}"));
    assert!(answers(&hear(&mut socket).await, "6"));
    say(&mut socket, "{").await;
    assert!(hear(&mut socket).await.is_error());
    say(&mut socket, "").await;
    let big = "x".repeat(1 << 20);
    say(&mut socket, &format!(r#"{{"jsonrpc":"2.0","id":7,"method":"echo","params":{{"x":"{big}"}}}}"#)).await;
    let (frame, reply) = server.request().await;
    reply.answer(result(frame.body().unwrap_or("{}")));
    assert!(hear(&mut socket).await.bytes().len() > big.len());
    socket.close(None).await.unwrap();
    server.ended().await;
}

#[tokio::test]
async fn each_call_of_a_modern_client_stands_alone() {
    let mut front = Front::start().await;
    let mut socket = open(&front).await;
    let call = |id: u32| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        )
    };
    for id in [1, 2] {
        say(&mut socket, &call(id)).await;
        front.server().await.request().await.1.answer(result("{}"));
        assert!(answers(&hear(&mut socket).await, &id.to_string()));
    }
}

#[tokio::test]
async fn the_subprotocol_is_mcp_or_none() {
    let front = Front::start().await;
    for (offer, agreed) in [("mcp", "mcp"), ("chat, mcp", "mcp")] {
        assert_eq!(open_with(&front, &[("sec-websocket-protocol", offer)]).await.unwrap().1, agreed);
    }
    assert_eq!(open_with(&front, &[]).await.unwrap().1, "");
    let (status, body) = open_with(&front, &[("sec-websocket-protocol", "chat")]).await.unwrap_err();
    assert_eq!(status, 400);
    assert!(body.contains("offer mcp, or none"), "{body}");
}

#[tokio::test]
async fn the_upgrade_is_guarded_as_every_route_is() {
    let mut spec = spec();
    spec.door = Door::Locked(Gate::of_tokens([Secret::new("t0p")]).into());
    let front = Front::with(Limits::default(), spec, Sharing::Own).await;
    for (headers, status) in [
        (&[("authorization", "Bearer t0p"), ("host", "evil.example")][..], 403),
        (&[("authorization", "Bearer t0p"), ("origin", "https://evil.example")], 403),
        (&[("authorization", "Bearer t0p"), ("origin", "null")], 403),
        (&[("authorization", "Bearer other")], 401),
        (&[], 401),
    ] {
        assert_eq!(open_with(&front, headers).await.unwrap_err().0, status, "{headers:?}");
    }
    assert!(front.no_server_was_opened());
    open_with(&front, &[("authorization", "Bearer t0p")]).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_is_told_what_to_do() {
    let front = Front::start().await;
    let mut answer = front.send(&get("/ws", "")).await;
    assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")));
    assert_eq!(answer.error().await.1, -32600);
    assert_eq!(front.post_to("/ws", POST, "{}").await.status, 405);
}

#[tokio::test]
async fn each_breach_has_its_close_code() {
    let front = Front::start().await;
    let mut socket = open(&front).await;
    socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(close_code(&mut socket).await, 1003);

    for (bytes, code) in [
        (&b"\x81\x02{}"[..], 1002), // Not masked.
        (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
        (b"\xc1\x82\0\0\0\0{}", 1002),                 // A bit of an extension.
        (b"\x80\x82\0\0\0\0{}", 1002),                 // Continues nothing.
        (b"\x81\xff\0\0\0\0\x04\0\0\0\0\0\0\0", 1009), // 64 MiB are announced.
        (b"\x88\x82\0\0\0\0\x03\xe8", 1000),
        (b"\x88\x80\0\0\0\0", 1000),
    ] {
        let mut stream = raw(&front).await;
        stream.write_all(bytes).await.unwrap();
        assert_eq!(raw_close_code(&mut stream).await, code, "{bytes:x?}");
        hung_up(&mut stream).await;
    }
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn a_message_of_64_mib_is_refused_while_it_is_being_sent() {
    let front = Front::start().await;
    let mut socket = open(&front).await;
    let sent = socket.send(Message::text("x".repeat(64 << 20))).await;
    // What cannot be written any more does not matter; what was said before does.
    drop(sent);
    assert_eq!(close_code(&mut socket).await, 1009);
}

#[tokio::test]
async fn a_million_fragments_are_one_message() {
    let mut front = Front::start().await;
    let mut stream = raw(&front).await;
    let padding = " ".repeat(1_000_000);
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x"{padding}}}"#);
    let mut frames = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        frames.extend([u8::from(at == 0), 0x81, 0, 0, 0, 0, byte]);
    }
    frames.extend(b"\x80\x80\0\0\0\0");
    stream.write_all(&frames).await.unwrap();
    let mut server = front.server().await;
    let (frame, reply) = server.request().await;
    assert_eq!(frame.method(), "x");
    reply.answer(result("{}"));
    let mut head = [0; 2];
    soon("the answer", stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[0], 0x81);
}

#[tokio::test]
async fn fragments_without_end_are_too_big() {
    let limits = Limits { max_message: 10_000, ..Limits::default() };
    let front = Front::with(limits, spec(), Sharing::Own).await;
    let mut stream = raw(&front).await;
    let mut frames = b"\x01\x80\0\0\0\0".to_vec();
    frames.extend(b"\x00\x80\0\0\0\0".repeat(20_000));
    stream.write_all(&frames).await.unwrap();
    assert_eq!(raw_close_code(&mut stream).await, 1009);
}

#[tokio::test]
async fn pings_are_answered_and_a_flood_of_them_costs_nothing() {
    let mut front = Front::start().await;
    let (mut socket, mut server) = session(&mut front).await;
    for _ in 0..20_000 {
        socket.feed(Message::Ping(vec![7; 100].into())).await.unwrap();
    }
    say(&mut socket, &request("1", "a")).await;
    server.request().await.1.answer(result("{}"));
    let mut pongs = 0;
    loop {
        match soon("the answer", socket.next()).await.unwrap().unwrap() {
            Message::Pong(payload) => {
                assert_eq!(payload, vec![7; 100]);
                pongs += 1;
            }
            Message::Text(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(pongs > 0);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_cut_off() {
    let mut spec = spec();
    spec.keepalive = Duration::from_millis(100);
    let mut front = Front::with(Limits::default(), spec, Sharing::Own).await;
    let (socket, mut server) = session(&mut front).await;
    // Its library answers pings only where it reads.
    server.ended().await;
    let mut stream = socket.into_inner();
    let mut said = Vec::new();
    soon("the end", stream.read_to_end(&mut said)).await.unwrap();
    assert!(said.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == [0x03, 0xf0]), "{said:x?}");
}

#[tokio::test]
async fn a_client_that_talks_and_reads_nothing_is_cut_off_and_delays_no_other() {
    let mut spec = spec();
    spec.keepalive = Duration::from_millis(200);
    let mut front = Front::with(Limits::default(), spec, Sharing::Own).await;
    let (mut stalled, mut stalled_server) = session(&mut front).await;
    say(&mut stalled, &request("1", "a")).await;
    let (_, reply) = stalled_server.request().await;
    let big = format!(r#"{{"x":"{}"}}"#, "x".repeat(100_000));
    front.scope.spawn(async move {
        while reply.update(update(Frame::notification("notifications/progress", Some(&big)))).await.is_ok() {}
    });
    let talking = front.scope.spawn(async move {
        while stalled.send(Message::text(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#)).await.is_ok() {}
    });
    // Another client is served meanwhile.
    let (mut socket, mut server) = session(&mut front).await;
    say(&mut socket, &request("1", "a")).await;
    server.request().await.1.answer(result("{}"));
    assert!(answers(&hear(&mut socket).await, "1"));
    stalled_server.ended().await;
    soon("the end of the one that talks", talking).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let limits = Limits { header_timeout: Duration::from_millis(300), ..Limits::default() };
    let front = Front::with(limits, spec(), Sharing::Own).await;
    assert_eq!(close_code(&mut open(&front).await).await, 1008);
    assert!(front.no_server_was_opened());
}

#[tokio::test]
async fn without_pings_the_session_timeout_counts() {
    let limits = Limits { session_timeout: Duration::from_millis(200), ..Limits::default() };
    let mut spec = spec();
    spec.keepalive = Duration::ZERO;
    let mut front = Front::with(limits, spec, Sharing::Own).await;
    let (mut socket, mut server) = session(&mut front).await;
    assert_eq!(close_code(&mut socket).await, 1008);
    server.ended().await;
}

#[tokio::test]
async fn the_session_ends_with_its_connection_and_the_connection_with_its_server() {
    let mut front = Front::start().await;
    let (socket, mut server) = session(&mut front).await;
    drop(socket);
    server.ended().await;

    let (mut socket, mut server) = session(&mut front).await;
    say(&mut socket, &request("1", "a")).await;
    drop(server.next().await);
    drop(server);
    assert!(hear(&mut socket).await.is_error());
    assert_eq!(close_code(&mut socket).await, 1011);
}

#[tokio::test]
async fn a_client_may_close_with_any_code_and_gets_it_back() {
    let mut front = Front::start().await;
    let (mut socket, mut server) = session(&mut front).await;
    let frame = CloseFrame { code: 4321.into(), reason: "bye".into() };
    socket.close(Some(frame)).await.unwrap();
    assert_eq!(close_code(&mut socket).await, 4321);
    server.ended().await;
}

#[tokio::test]
async fn with_all_sessions_in_use_a_client_is_told_to_come_later() {
    let limits = Limits { max_sessions: 0, ..Limits::default() };
    let front = Front::with(limits, spec(), Sharing::Own).await;
    let mut socket = open(&front).await;
    say(&mut socket, &initialize("2025-11-25")).await;
    let refused = hear(&mut socket).await;
    assert!(refused.is_error() && refused.id_text() == "0", "{refused:?}");
    assert_eq!(close_code(&mut socket).await, 1013);
}

#[tokio::test]
async fn a_call_in_flight_is_answered_while_the_bridge_drains() {
    let mut front = Front::start().await;
    let (mut socket, mut server) = session(&mut front).await;
    let (mut idle, mut idle_server) = session(&mut front).await;
    say(&mut socket, &request("1", "a")).await;
    let (_, reply) = server.request().await;
    front.scope.stop();
    idle_server.ended().await;
    drop(idle_server);
    assert_eq!(close_code(&mut idle).await, 1001);
    reply.answer(result("{}"));
    assert!(answers(&hear(&mut socket).await, "1"));
    server.ended().await;
    drop(server);
    assert_eq!(close_code(&mut socket).await, 1001);
    assert!(socket.next().await.is_none());
    assert!(idle.next().await.is_none());
    soon("the end of serving", front.serving).await.unwrap();
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_place_among_all() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let mut front = Front::with(limits, spec(), Sharing::Own).await;
    let (socket, mut server) = session(&mut front).await;
    let address = front.address;
    let mut second = front.scope.spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(get("/healthz", "").as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap()
    });
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(waited.is_err(), "served beyond --max-connections");
    drop(socket);
    server.ended().await;
    assert_eq!(soon("the second connection", second).await.unwrap(), b'H');
}
