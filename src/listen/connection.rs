//! One connection: HTTP/1 or HTTP/2 on it, and when it is closed.
//!
//! Owns the limits of a connection. Talks to hyper, and to the routes through a service. It never reads a request.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until},
};
use tracing::debug;

use super::route::Routes;
use crate::{config::Limits, scope::Scope, wire::exchange::Body};

/// Most bytes that one connection buffers of what it reads; also the most that a request's head may have. A megabyte
/// body goes through in a few reads, and thousands of idle connections cost little.
const READ_BUFFER: usize = 128 * 1024;

/// Requests at once on one HTTP/2 connection.
const H2_STREAMS: u32 = 128;

/// Bytes of one HTTP/2 request's headers. Stops CONTINUATION floods.
const H2_HEADERS: u32 = 32 * 1024;

/// Bytes that one HTTP/2 stream buffers of what it writes.
const H2_SEND_BUFFER: usize = 64 * 1024;

/// After so long without any frame an HTTP/2 peer is asked whether it lives, and how long it has to answer.
const H2_PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

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
    builder: auto::Builder<Tasks>,
    routes: Arc<Routes>,
    idle: Duration,
}

impl Connections {
    /// Connections that lead to `routes`.
    pub fn new(routes: Arc<Routes>, limits: &Limits, scope: Scope) -> Connections {
        let mut builder = auto::Builder::new(Tasks(scope));
        // `Load::idle` bounds the wait for a head, also before the protocol is known, where hyper has no limit, at the
        // cost of one timer a connection; hyper's own would be made anew for each request.
        builder.http1().header_read_timeout(None).max_buf_size(READ_BUFFER);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS)
            .max_header_list_size(H2_HEADERS)
            .max_send_buf_size(H2_SEND_BUFFER)
            .keep_alive_interval(H2_PING.0)
            .keep_alive_timeout(H2_PING.1);
        Connections { builder, routes, idle: limits.header_timeout }
    }

    /// Serves one connection. Ends when it closes, when it has been idle for too long, or when the bridge ends.
    /// `_slot` is given back then.
    pub async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        mut phase: watch::Receiver<Phase>,
        _slot: OwnedSemaphorePermit,
    ) {
        let load = Arc::new(Load::default());
        let service = service_fn(|request| {
            let busy = Busy::new(&load);
            let routes = self.routes.clone();
            async move {
                let response = routes.handle(request).await;
                Ok::<_, Infallible>(response.map(|body| Loaded { body, _busy: busy }))
            }
        });
        let mut connection = std::pin::pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let mut idle = std::pin::pin!(load.idle(self.idle));
        while *phase.borrow_and_update() != Phase::Over {
            if *phase.borrow() == Phase::Draining {
                connection.as_mut().graceful_shutdown();
            }
            tokio::select! {
                biased;
                done = connection.as_mut() => {
                    return done.unwrap_or_else(|error| debug!("connection ended: {error}"));
                }
                () = &mut idle => return debug!("connection closed: no request within the time for one"),
                changed = phase.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// What a connection is busy with.
#[derive(Debug)]
struct Load {
    exchanges: AtomicUsize,
    idle_since: Mutex<Instant>,
}

impl Default for Load {
    fn default() -> Load {
        Load { exchanges: AtomicUsize::new(0), idle_since: Mutex::new(Instant::now()) }
    }
}

impl Load {
    /// Resolves when nothing was asked for so long: a head that does not come or does not end, and a connection that is
    /// kept open for no use.
    async fn idle(&self, at_most: Duration) {
        let mut due = Instant::now() + at_most;
        loop {
            sleep_until(due).await;
            due = match self.exchanges.load(Ordering::Acquire) {
                0 => *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) + at_most,
                _ => Instant::now() + at_most,
            };
            if due <= Instant::now() {
                return;
            }
        }
    }
}

/// One exchange that a connection is busy with.
#[derive(Debug)]
struct Busy(Arc<Load>);

impl Busy {
    fn new(load: &Arc<Load>) -> Busy {
        load.exchanges.fetch_add(1, Ordering::AcqRel);
        Busy(load.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.exchanges.fetch_sub(1, Ordering::AcqRel);
    }
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
