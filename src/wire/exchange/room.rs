//! Room for the large messages of one session on their way to its server.

use std::sync::Arc;

use http::{Request, StatusCode, header};
use http_body::Body;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::Refusal;
use crate::{config::Limits, message::code};

/// Bodies up to this size are not weighed: the number of calls in flight bounds them.
const SMALL: u64 = 16 * 1024;

/// The unit of the semaphore, in bytes.
const WEIGHT: u64 = 1024;

/// What is left of [`Limits::max_waiting`] towards the server of one session. Without it, a client could fill memory
/// with large calls to a server that does not read.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// All of it.
    pub fn new(limits: &Limits) -> Room {
        Room(Arc::new(Semaphore::new((units(limits.max_waiting() as u64) as usize).min(Semaphore::MAX_PERMITS))))
    }

    /// Takes room for the body of a request, before it is read. What is given back is to be held by the message. Waits
    /// for as long as a body may pause; then the session's server is the one that is too slow.
    pub async fn take<B: Body>(
        &self,
        request: &Request<B>,
        limits: &Limits,
    ) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let most = limits.max_message as u64;
        self.take_for(request.body().size_hint().exact().unwrap_or(most).min(most), limits).await
    }

    /// The same for a body of a known size.
    pub async fn take_for(&self, size: u64, limits: &Limits) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        if size <= SMALL {
            return Ok(None);
        }
        match timeout(limits.body_timeout, self.0.clone().acquire_many_owned(units(size))).await {
            Ok(Ok(room)) => Ok(Some(room)),
            Ok(Err(_)) | Err(_) => Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server does not read what was sent to it before; wait for answers, then send this again",
            )
            .code(code::LIMIT)
            .header(header::RETRY_AFTER, header::HeaderValue::from(1))),
        }
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(WEIGHT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;
    use std::time::Duration;

    fn body(size: usize) -> Request<Full<Bytes>> {
        Request::new(Full::new(Bytes::from(vec![0; size])))
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_room_and_small_ones_do_not() {
        let limits = Limits { max_message: 100_000, body_timeout: Duration::from_secs(1), ..Limits::default() };
        let room = Room::new(&limits);
        let first = room.take(&body(100_000), &limits).await.unwrap();
        let second = room.take(&body(90_000), &limits).await.unwrap();
        let refused = room.take(&body(90_000), &limits).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(room.take(&body(10_000), &limits).await.unwrap().is_none());
        drop((first, second));
        assert!(room.take(&body(90_000), &limits).await.unwrap().is_some());
    }
}
