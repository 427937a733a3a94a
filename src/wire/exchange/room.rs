//! Room for the body of a request on its way to a server.

use http::{Request, StatusCode, header};
use http_body::Body;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::Refusal;
use crate::{config::Limits, message::code, room::Room};

/// Takes room for the body of a request, before it is read. What is given back is to be held by the message. Waits for as
/// long as a body may pause; then the server is the one that is too slow.
pub async fn take_room<B: Body>(
    room: &Room,
    request: &Request<B>,
    limits: &Limits,
) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
    let named = request.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    take_room_for(room, named.unwrap_or(limits.max_message).min(limits.max_message), limits).await
}

/// The same for a body of a known size.
pub async fn take_room_for(room: &Room, size: usize, limits: &Limits) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
    timeout(limits.body_timeout, room.take(size)).await.map_err(|_| {
        let text = "the server does not read what was sent to it before; wait for answers, then send this again";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
            .code(code::LIMIT)
            .header(header::RETRY_AFTER, header::HeaderValue::from(1))
    })
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
        let room = Room::new(limits.max_waiting());
        let first = take_room(&room, &body(100_000), &limits).await.unwrap();
        let second = take_room(&room, &body(90_000), &limits).await.unwrap();
        let refused = take_room(&room, &body(90_000), &limits).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(take_room(&room, &body(10_000), &limits).await.unwrap().is_none());
        drop((first, second));
        assert!(take_room(&room, &body(90_000), &limits).await.unwrap().is_some());
    }
}
