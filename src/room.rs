//! Room in memory for large messages that wait for their readers.
//!
//! Owns the count. Pure but for the wait: talks to nobody. Small messages take none of it: channels bound their number.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages up to this many bytes are not weighed.
const SMALL: usize = 16 * 1024;

/// What is counted at once, in bytes: a semaphore gives out up to 2^32.
const UNIT: usize = 1024;

/// What is left for large messages on one way. Without a bound, a few that send much to a reader that does not read could
/// fill memory.
#[derive(Debug, Clone)]
pub struct Room {
    left: Arc<Semaphore>,
    all: u32,
}

/// There is not so much left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Room {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let all = (bytes / UNIT).clamp(1, most);
        Room { left: Arc::new(Semaphore::new(all)), all: u32::try_from(all).unwrap_or(u32::MAX) }
    }

    /// Waits for room for a message of so many bytes; what is given is to be held by the message
    /// ([`crate::message::Frame::holding`]). One message may take all of it. `None`: it is small. Cancel-safe.
    pub async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.left.clone().acquire_many_owned(self.weight(bytes)?).await.ok()
    }

    /// The same without waiting.
    pub fn try_take(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, NoRoom> {
        let Some(weight) = self.weight(bytes) else { return Ok(None) };
        self.left.clone().try_acquire_many_owned(weight).map(Some).map_err(|_| NoRoom)
    }

    fn weight(&self, bytes: usize) -> Option<u32> {
        (bytes > SMALL).then(|| u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_messages_share_the_room_and_small_ones_need_none() {
        let room = Room::new(100 * 1024);
        let first = room.take(60 * 1024).await.unwrap();
        assert_eq!(room.try_take(60 * 1024).unwrap_err(), NoRoom);
        assert!(room.try_take(SMALL).unwrap().is_none() && room.take(0).await.is_none());
        drop(first);
        let all = room.take(usize::MAX).await.unwrap();
        assert_eq!(room.try_take(SMALL + 1).unwrap_err(), NoRoom);
        drop(all);
        assert!(room.try_take(SMALL + 1).unwrap().is_some());
        assert!(Room::new(0).try_take(usize::MAX).unwrap().is_some());
    }
}
