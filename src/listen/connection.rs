//! One connection: HTTP/1 or HTTP/2 on it, and when it is closed.
//!
//! Owns the limits of a connection. Talks to hyper, and to the routes through a service. It never reads a request.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::header;
use http_body::{Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};
use tracing::debug;

use super::{
    load::{Busy, Load, Watched},
    route::Routes,
};
use crate::{
    config::Limits,
    scope::Scope,
    wire::{exchange::Body, ws::accept::Slot},
};

/// Most bytes that one connection buffers of what it reads; also the most that a request's head may have. A megabyte
/// body goes through in a few reads, and thousands of idle connections cost little.
const READ_BUFFER: usize = 128 * 1024;

/// What an HTTP/2 client sends first (RFC 9113, HTTP/2 Connection Preface). No method of HTTP/1 begins with `PRI`.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Requests at once on one HTTP/2 connection.
const H2_STREAMS: u32 = 128;

/// Bytes of one HTTP/2 request's headers. Stops CONTINUATION floods.
const H2_HEADERS: u32 = 32 * 1024;

/// Bytes that one HTTP/2 stream buffers of what it writes.
const H2_SEND_BUFFER: usize = 64 * 1024;

/// After so long without any frame an HTTP/2 peer is asked whether it lives, and how long it has to answer.
const H2_PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// For the last bytes of a connection that is being closed.
const GOODBYE: Duration = Duration::from_millis(100);

/// How far the bridge is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections are served.
    Serving,
    /// A connection ends after what it is at.
    Draining,
    /// A connection ends now.
    Over,
}

/// When a connection was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// While connections were served. The drain waits for it.
    InTime,
    /// While the bridge drained. It is closed after a response, and cut off when the drain is over.
    Late,
}

/// Where hyper runs the exchanges of HTTP/2 connections.
#[derive(Debug, Clone)]
struct Tasks(Scope);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.0.spawn(task));
    }
}

/// What every connection of one socket is served with.
#[derive(Debug)]
pub struct Connections {
    http1: auto::Builder<Tasks>,
    /// For one request.
    http1_late: auto::Builder<Tasks>,
    http2: auto::Builder<Tasks>,
    routes: Arc<Routes>,
    header_timeout: Duration,
}

impl Connections {
    /// Connections that lead to `routes`.
    pub fn new(routes: Arc<Routes>, limits: &Limits, scope: Scope) -> Connections {
        let mut http1 = auto::Builder::new(Tasks(scope.clone())).http1_only();
        // See `load` for what bounds the wait for a head.
        http1.http1().header_read_timeout(None).max_buf_size(READ_BUFFER);
        let mut http1_late = http1.clone();
        http1_late.http1().keep_alive(false);
        let mut http2 = auto::Builder::new(Tasks(scope)).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS)
            .max_header_list_size(H2_HEADERS)
            .max_send_buf_size(H2_SEND_BUFFER)
            .keep_alive_interval(H2_PING.0)
            .keep_alive_timeout(H2_PING.1);
        Connections { http1, http1_late, http2, routes, header_timeout: limits.header_timeout }
    }

    /// Serves one connection. Ends when it closes, when it has been idle for too long, or when the bridge ends.
    /// `slot` is given back then, or when what the connection was upgraded to ends.
    pub async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        mut phase: watch::Receiver<Phase>,
        came: Came,
        slot: OwnedSemaphorePermit,
    ) {
        let slot = Slot::new(slot);
        // hyper closes a connection that is told to shut down before its first request, so late ones are not told.
        let leaves_at = if came == Came::InTime { Phase::Draining } else { Phase::Over };
        let load = Load::new();
        let mut idle = std::pin::pin!(load.idle(self.header_timeout));
        let builder = tokio::select! {
            biased;
            begun = begins_with_preface(&stream) => match begun {
                Ok(true) => &self.http2,
                Ok(false) if came == Came::Late => &self.http1_late,
                Ok(false) => &self.http1,
                Err(error) => return debug!("connection ended before a request: {error}"),
            },
            () = &mut idle => return,
            _ = phase.wait_for(|phase| *phase >= leaves_at) => return,
        };
        let stream = TokioIo::new(Watched::new(stream, load.clone()));
        let service = service_fn(|mut request: http::Request<_>| {
            if request.headers().contains_key(header::UPGRADE) {
                request.extensions_mut().insert(slot.clone());
            }
            let busy = Busy::new(&load, request.version());
            let routes = self.routes.clone();
            async move {
                let response = routes.handle(request).await;
                Ok::<_, Infallible>(response.map(|body| Loaded { body, _busy: busy }))
            }
        });
        let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(stream, service));
        while *phase.borrow_and_update() != Phase::Over {
            if *phase.borrow() >= leaves_at {
                connection.as_mut().graceful_shutdown();
            }
            tokio::select! {
                biased;
                done = connection.as_mut() => {
                    return done.unwrap_or_else(|error| debug!("connection ended: {error}"));
                }
                () = &mut idle => break,
                changed = phase.changed() => if changed.is_err() { return },
            }
        }
        // HTTP/2 peers are told; a peer that does not care is not waited for.
        connection.as_mut().graceful_shutdown();
        drop(timeout(GOODBYE, connection).await);
    }
}

/// Whether the client speaks HTTP/2. The bytes are left for hyper: where it looks for the preface itself, it reads it
/// apart, and then keeps a buffer of twice the size for as long as the connection lives.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; H2_PREFACE.len()];
    let seen = stream.peek(&mut first).await?;
    Ok(seen >= b"PRI".len() && first.get(..seen).is_some_and(|first| H2_PREFACE.starts_with(first)))
}

/// A body that keeps its connection busy.
#[derive(Debug)]
struct Loaded {
    body: Body,
    _busy: Busy,
}

impl http_body::Body for Loaded {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
