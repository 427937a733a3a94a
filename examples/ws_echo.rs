//! Echoes text over the bridge's WebSocket, for `tests/interop`, which tries it against another implementation's frames.
//!
//! Owns nothing of the protocol: the handshake, the codec and the socket are the bridge's own, as both wires use them. MCP
//! has no echo of raw text, so no command of the bridge would do. One connection at a time.
//!
//! `ws_echo listen` prints its address and serves until it is ended; `ws_echo connect URL...` connects to one after another.
#![allow(missing_docs)]

use std::{error::Error, sync::Mutex};

use http_body_util::Empty;
use hyper::{body::Incoming, client, server, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use mcp_bridge::wire::{
    exchange::{Refusal, Response},
    ws::{
        Side, handshake,
        socket::{Socket, Stream, answer_to},
    },
};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Above the largest message of the suite, 16 MiB.
const MAX_MESSAGE: usize = 32 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("listen") => listen().await,
        Some("connect") => {
            for url in words {
                // The other end sees what went wrong, and judges it.
                connect(&url.parse()?).await.unwrap_or_else(|error| eprintln!("{url}: {error}"));
            }
            Ok(())
        }
        _ => Err("say listen, or connect and URLs".into()),
    }
}

async fn listen() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    // Ends with the process.
    loop {
        let (stream, _) = listener.accept().await?;
        serve(stream).await.unwrap_or_else(|error| eprintln!("{error}"));
    }
}

async fn serve(stream: TcpStream) -> Outcome {
    let upgrade: Mutex<Option<OnUpgrade>> = Mutex::new(None);
    let answer = |mut request: http::Request<Incoming>| {
        let answered = handshake::answer(&request);
        if answered.is_ok() {
            upgrade.lock().unwrap_or_else(|poison| poison.into_inner()).replace(hyper::upgrade::on(&mut request));
        }
        async { Ok::<Response, Refusal>(answered.unwrap_or_else(Refusal::into_response)) }
    };
    let answer = service_fn(|request| {
        let answer = answer(request);
        async { answer.await.map_err(|_| std::io::Error::other("refused")) }
    });
    server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).with_upgrades().await?;
    let upgrade = upgrade.into_inner()?.ok_or("no WebSocket was asked for")?;
    echo(Socket::new(TokioIo::new(upgrade.await?), Side::Server, MAX_MESSAGE)).await;
    Ok(())
}

async fn connect(url: &Url) -> Outcome {
    let authority = url.authority();
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let (headers, asked) = handshake::ask().ok_or("no random numbers")?;
    let mut request = http::Request::get(&url[url::Position::BeforePath..]).header("host", authority);
    request.headers_mut().ok_or("no request")?.extend(headers);
    let request = request.body(Empty::<&[u8]>::new())?;
    let upgraded = async {
        let response = sender.send_request(request).await?;
        asked.check(response.headers())?;
        Outcome::Ok(hyper::upgrade::on(response).await?)
    };
    let (upgraded, _) = tokio::join!(upgraded, connection.with_upgrades());
    echo(Socket::new(TokioIo::new(upgraded?), Side::Client, MAX_MESSAGE)).await;
    Ok(())
}

/// Ends with the connection.
async fn echo<S: Stream>(socket: Socket<S>) {
    let over = loop {
        match socket.next().await {
            Ok(text) => {
                if socket.feed(&text).await.is_err() || socket.flush().await.is_err() {
                    return;
                }
            }
            Err(over) => break over,
        }
    };
    let (code, reason) = answer_to(&over);
    socket.finish(code, &reason).await;
}
