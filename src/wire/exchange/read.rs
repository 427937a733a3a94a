//! Reads a request's body within limits of size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, header, request};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::Refusal;
use crate::{config::Limits, message::FrameError};

/// Slowest body that is waited for, in bytes a second, after the first [`Limits::body_timeout`]. One byte a second would
/// hold a connection for as long as it likes; a slow phone does a hundred times this.
const MIN_RATE: u64 = 1024;

/// Most room that is made before bytes have come, whatever `Content-Length` says: it is only a claim.
const FIRST_ROOM: usize = 256 * 1024;

/// How much of a body that is too large is read and thrown away, in multiples of the limit, and for how long. A client
/// that is still writing when the connection closes may never see the answer.
const LINGER: (usize, Duration) = (8, Duration::from_millis(500));

/// Reads the whole body. One that came in one piece is not copied.
pub fn read_body(
    request: Request<Incoming>,
    limits: &Limits,
) -> impl Future<Output = Result<Bytes, Refusal>> + Send + use<'_> {
    let asks_first = request.headers().contains_key(header::EXPECT);
    read(asks_first, request.into_body(), limits)
}

/// The same for a reader that needs the head after the body.
pub fn read_beside<'a>(
    head: &request::Parts,
    body: Incoming,
    limits: &'a Limits,
) -> impl Future<Output = Result<Bytes, Refusal>> + Send + use<'a> {
    read(head.headers.contains_key(header::EXPECT), body, limits)
}

async fn read(asks_first: bool, mut body: Incoming, limits: &Limits) -> Result<Bytes, Refusal> {
    let stated = body.size_hint().exact();
    if stated.is_some_and(|stated| stated > limits.max_message as u64) {
        // A client that asked first has not sent anything yet, and is told before it does.
        if !asks_first {
            Box::pin(linger(&mut body, limits.max_message)).await;
        }
        return Err(too_large(limits.max_message));
    }
    let Some(first) = next(&mut body, limits.body_timeout).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() && first.len() <= limits.max_message {
        return Ok(first);
    }
    let expected = stated.map_or(0, |stated| usize::try_from(stated).unwrap_or(usize::MAX));
    Box::pin(read_rest(first, body, expected, limits)).await
}

async fn read_rest(first: Bytes, mut body: Incoming, expected: usize, limits: &Limits) -> Result<Bytes, Refusal> {
    let start = Instant::now();
    let mut whole = BytesMut::with_capacity(expected.clamp(first.len(), FIRST_ROOM.max(first.len())));
    whole.extend_from_slice(&first);
    drop(first);
    loop {
        if whole.len() > limits.max_message {
            drop(whole);
            linger(&mut body, limits.max_message).await;
            return Err(too_large(limits.max_message));
        }
        if start.elapsed() > limits.body_timeout + Duration::from_secs(whole.len() as u64 / MIN_RATE) {
            return Err(too_slow());
        }
        let Some(chunk) = next(&mut body, limits.body_timeout).await? else { return Ok(whole.freeze()) };
        if whole.capacity() - whole.len() < chunk.len() && expected > whole.len() {
            whole.reserve(expected - whole.len());
        }
        whole.extend_from_slice(&chunk);
    }
}

/// The next piece, `None` at the end.
async fn next(body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, Refusal> {
    loop {
        match timeout(patience, body.frame()).await {
            Err(_) => return Err(too_slow()),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("the body could not be read: {error}")));
            }
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(_) => {}
            },
        }
    }
}

async fn linger(body: &mut Incoming, max: usize) {
    let discard = async {
        let mut left = max.saturating_mul(LINGER.0);
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Whether it ended or was given up makes no difference: the answer is the same.
    drop(timeout(LINGER.1, discard).await);
}

fn too_large(max: usize) -> Refusal {
    let error = FrameError::TooLarge(max);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).code(error.code())
}

fn too_slow() -> Refusal {
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly; send it without pauses")
        .header(header::CONNECTION, HeaderValue::from_static("close"))
}
