//! What a connection is busy with, and for how long it has been idle.
//!
//! Owns the one timer of a connection. Talks to nobody. It never closes anything: it says when it is time to.
//!
//! hyper's own limit on the wait for a head begins with the request before, so it would close kept-alive connections as
//! early as stalled ones; it makes a timer for each request, and has none before the protocol is known.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

use super::stream::Stream;

/// How much longer than for a head a connection is kept open between requests. With 30 s for a head that is 90 s: proxies
/// keep theirs for 60 s (nginx, AWS), and when ours closes first, a request of theirs may meet a closed connection.
const KEEP_ALIVE: u32 = 3;

/// The load of one connection.
#[derive(Debug)]
pub struct Load {
    start: Instant,
    exchanges: AtomicUsize,
    /// Whether there was an exchange at all.
    used: AtomicBool,
    /// Whether bytes between exchanges need not belong to a head: on HTTP/2 they may be an answer to a ping.
    multiplexed: AtomicBool,
    /// Whether a head has begun since the last exchange.
    in_head: AtomicBool,
    /// Since when that is so, or since when there is nothing, in milliseconds from the start.
    since: AtomicU64,
}

impl Load {
    /// Of a connection that has just been accepted.
    pub fn new() -> Arc<Load> {
        Arc::new(Load {
            start: Instant::now(),
            exchanges: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            in_head: AtomicBool::new(false),
            since: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Bytes came. Before the first exchange the time runs from the start: the first byte must not buy more.
    fn came(&self) {
        if !self.used.load(Ordering::Relaxed) {
            return;
        }
        if self.exchanges.load(Ordering::Relaxed) == 0 && !self.in_head.swap(true, Ordering::Relaxed) {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Resolves when nothing comes any more: no head within `header_timeout` or one that does not end, or no further
    /// request within [`KEEP_ALIVE`] times that.
    pub async fn idle(&self, header_timeout: Duration) {
        let mut next = self.start + header_timeout;
        loop {
            sleep_until(next).await;
            let now = Instant::now();
            let due = self.due(header_timeout).unwrap_or(now + header_timeout);
            if due <= now {
                return;
            }
            // Looks again before that: a head may begin while the connection is idle, and has less time.
            next = due.min(now + header_timeout / 2);
        }
    }

    fn due(&self, header_timeout: Duration) -> Option<Instant> {
        if self.exchanges.load(Ordering::Acquire) > 0 {
            return None;
        }
        let in_head = self.in_head.load(Ordering::Relaxed) && !self.multiplexed.load(Ordering::Relaxed);
        let waits_for_head = in_head || !self.used.load(Ordering::Relaxed);
        let limit = if waits_for_head { header_timeout } else { header_timeout * KEEP_ALIVE };
        Some(self.start + Duration::from_millis(self.since.load(Ordering::Relaxed)) + limit)
    }
}

/// One exchange that a connection is busy with.
#[derive(Debug)]
pub struct Busy(Arc<Load>);

impl Busy {
    /// From now until it is dropped.
    pub fn new(load: &Arc<Load>, version: http::Version) -> Busy {
        load.exchanges.fetch_add(1, Ordering::AcqRel);
        load.used.store(true, Ordering::Relaxed);
        load.multiplexed.store(version == http::Version::HTTP_2, Ordering::Relaxed);
        Busy(load.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.since.store(self.0.now(), Ordering::Relaxed);
        self.0.in_head.store(false, Ordering::Relaxed);
        self.0.exchanges.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection's bytes, which tell its load when a head begins.
#[derive(Debug)]
pub struct Watched {
    stream: Stream,
    load: Arc<Load>,
}

impl Watched {
    /// Tells `load` of what comes on `stream`.
    pub fn new(stream: Stream, load: Arc<Load>) -> Watched {
        Watched { stream, load }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.load.came();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(30);

    /// How long it takes until a connection counts as idle.
    async fn seconds(load: &Load) -> u64 {
        let start = Instant::now();
        load.idle(HEAD).await;
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_head_has_its_time_however_it_trickles() {
        let load = Load::new();
        load.came();
        assert_eq!(seconds(&load).await, 30);
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_more_time_and_within_a_head_there_is_not() {
        let load = Load::new();
        drop(Busy::new(&load, http::Version::HTTP_11));
        assert_eq!(seconds(&load).await, 90);
        drop(Busy::new(&load, http::Version::HTTP_11));
        load.came();
        assert_eq!(seconds(&load).await, 30);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_of_an_idle_connection_are_no_head() {
        let load = Load::new();
        drop(Busy::new(&load, http::Version::HTTP_2));
        load.came();
        assert_eq!(seconds(&load).await, 90);
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_may_take_its_time() {
        let load = Load::new();
        let busy = Busy::new(&load, http::Version::HTTP_11);
        let idle = load.idle(HEAD);
        tokio::pin!(idle);
        assert!(tokio::time::timeout(HEAD * 100, &mut idle).await.is_err());
        drop(busy);
        let end = Instant::now();
        idle.await;
        assert!(end.elapsed() >= HEAD * 3 && end.elapsed() <= HEAD * 4);
    }
}
