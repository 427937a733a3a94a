//! One connection: HTTP/1 or HTTP/2 on it, and when it is closed.
//!
//! Owns the limits of a connection. Talks to hyper, and to the routes through a service. It never reads a request.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::header;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};
use tracing::debug;

use super::{
    load::{Busy, Load, Watched},
    mount::UnderWay,
    rate::Counted,
    route::Routes,
    stream::{Accepted, Arrival},
    wakes::Wakes,
};
use crate::{
    config::Limits,
    scope::Scope,
    wire::{exchange::Body, ws::accept::Slot},
};

/// Most bytes that one connection buffers of what it reads; also the most that a request's head may have. A megabyte
/// body goes through in a few reads, and thousands of idle connections cost little.
const READ_BUFFER: usize = 128 * 1024;

/// Requests at once on one HTTP/2 connection.
const H2_STREAMS: u32 = 128;

/// Bytes of one HTTP/2 request's headers. Stops CONTINUATION floods.
const H2_HEADERS: u32 = 32 * 1024;

/// Bytes that one HTTP/2 stream buffers of what it writes.
const H2_SEND_BUFFER: usize = 64 * 1024;

/// Streams that a client may reset before they are served. More close the connection: rapid reset (CVE-2023-44487).
const H2_RESETS_PENDING: usize = 20;

/// Streams that the bridge itself may reset for errors of the client. More close the connection (RUSTSEC-2024-0003).
const H2_RESETS_OWN: usize = 1024;

/// After so long without any frame an HTTP/2 peer is asked whether it lives, and how long it has to answer.
const H2_PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// For the last bytes of a connection that is being closed.
const GOODBYE: Duration = Duration::from_millis(500);

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
            .max_pending_accept_reset_streams(H2_RESETS_PENDING)
            .max_local_error_reset_streams(H2_RESETS_OWN)
            .keep_alive_interval(H2_PING.0)
            .keep_alive_timeout(H2_PING.1);
        Connections { http1, http1_late, http2, routes, header_timeout: limits.header_timeout }
    }

    /// Serves one connection. Ends when it closes, when it has been idle for too long, or when the bridge ends.
    /// `slot` is given back then, or when what the connection was upgraded to ends.
    pub async fn serve(
        self: Arc<Self>,
        accepted: Accepted,
        mut phase: watch::Receiver<Phase>,
        came: Came,
        slot: OwnedSemaphorePermit,
    ) {
        let slot = Slot::new(slot);
        // hyper closes a connection that is told to shut down before its first request, so late ones are not told.
        let leaves_at = if came == Came::InTime { Phase::Draining } else { Phase::Over };
        let load = Load::new();
        let mut idle = std::pin::pin!(load.idle(self.header_timeout));
        let opened = tokio::select! {
            biased;
            opened = accepted.open() => opened,
            () = &mut idle => return,
            _ = phase.wait_for(|phase| *phase >= leaves_at) => return,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return debug!("connection ended before a request: {error}"),
        };
        let builder = match opened.http2 {
            true => &self.http2,
            false if came == Came::Late => &self.http1_late,
            false => &self.http1,
        };
        let arrival = Arc::new(opened.arrival);
        let stream = TokioIo::new(Watched::new(opened.stream, load.clone()));
        let service = service_fn(|mut request: http::Request<_>| {
            if request.headers().contains_key(header::UPGRADE) {
                request.extensions_mut().insert(slot.clone());
            }
            let busy = Busy::new(&load, request.version());
            let (routes, arrival) = (self.routes.clone(), arrival.clone());
            async move { Ok::<_, Infallible>(answer(&routes, request, &arrival, busy).await) }
        });
        let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(stream, service));
        let wakes = Wakes::new();
        while *phase.borrow_and_update() != Phase::Over {
            if *phase.borrow() >= leaves_at {
                connection.as_mut().graceful_shutdown();
            }
            tokio::select! {
                biased;
                done = poll_fn(|cx| wakes.poll(cx, connection.as_mut())) => {
                    return done.unwrap_or_else(|error| debug!(peer = ?arrival.peer, "connection ended: {error}"));
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

/// Has one request answered. Its connection is busy until the answer's body has ended.
async fn answer(
    routes: &Routes,
    request: http::Request<Incoming>,
    arrival: &Arrival,
    busy: Busy,
) -> http::Response<Loaded> {
    let mut response = routes.handle(request, arrival).await;
    let under_way = response.extensions_mut().remove::<UnderWay>();
    let counted = response.extensions_mut().remove::<Counted>();
    response.map(|body| Loaded { body, _busy: busy, _under_way: under_way, _counted: counted })
}

/// A body that keeps its connection busy.
#[derive(Debug)]
struct Loaded {
    body: Body,
    _busy: Busy,
    /// Of an event stream: its server is not let go before it has ended.
    _under_way: Option<UnderWay>,
    /// Where calls of one caller are counted.
    _counted: Option<Counted>,
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
