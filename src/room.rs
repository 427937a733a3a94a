//! Room in memory for large messages that wait for their readers, and what is kept of it for the next ones.
//!
//! Owns the count. Pure but for the wait: talks to nobody. Small messages take none of it: channels bound their number.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

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

/// A room for each of those who share something: one that does not read takes none from the others.
#[derive(Debug)]
pub struct Rooms<K> {
    bytes: usize,
    table: Mutex<Table<K>>,
}

/// Rooms in which something is. The rest are forgotten when the table has doubled.
#[derive(Debug)]
struct Table<K> {
    rooms: HashMap<K, Weak<Semaphore>>,
    sweep_at: usize,
}

/// Rooms before the first look at which of them are empty.
const SWEEP_AT: usize = 64;

impl<K: Eq + Hash> Rooms<K> {
    /// So many bytes for each.
    pub fn new(bytes: usize) -> Rooms<K> {
        Rooms { bytes, table: Mutex::new(Table { rooms: HashMap::new(), sweep_at: SWEEP_AT }) }
    }

    /// As [`Room::take`], in the room of this one.
    pub async fn take(&self, whose: K, bytes: usize) -> Option<OwnedSemaphorePermit> {
        // Small messages, which most are, need no look at the table.
        if bytes <= SMALL { None } else { self.room(whose).take(bytes).await }
    }

    /// As [`Room::try_take`], in the room of this one.
    pub fn try_take(&self, whose: K, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, NoRoom> {
        if bytes <= SMALL { Ok(None) } else { self.room(whose).try_take(bytes) }
    }

    fn room(&self, whose: K) -> Room {
        let fresh = Room::new(self.bytes);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = table.rooms.get(&whose).and_then(Weak::upgrade) {
            return Room { left, all: fresh.all };
        }
        if table.rooms.len() >= table.sweep_at {
            table.rooms.retain(|_, room| room.strong_count() > 0);
            table.sweep_at = SWEEP_AT.max(2 * table.rooms.len());
        }
        table.rooms.insert(whose, Arc::downgrade(&fresh.left));
        fresh
    }
}

/// The block that is freed at the start: see [`keep_freed_memory`].
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const BLOCK: usize = 2 << 20;

/// Has the allocator keep some of what large messages leave behind for the next ones: up to 4 MiB. To be called once, at the
/// start of the program.
///
/// As it starts, glibc gives the end of its heap back to the system as soon as 128 KiB of it are free, and takes it again page
/// by page. Where several callers have messages of 64 KiB, that takes longer than all that is done with them. From the first
/// large block on that is freed it keeps twice that (mallopt(3), `M_MMAP_THRESHOLD`, `M_TRIM_THRESHOLD`); so one is.
/// Nothing is ever written into it, and it never takes memory. Users who set `MALLOC_TRIM_THRESHOLD_` decide themselves.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
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

    #[tokio::test]
    async fn each_has_a_room_for_as_long_as_something_is_in_it() {
        let rooms = Rooms::new(100 * 1024);
        let full = rooms.take(1, usize::MAX).await.unwrap();
        assert!(rooms.take(1, SMALL).await.is_none() && rooms.take(2, usize::MAX).await.is_some());
        {
            let mut more = std::pin::pin!(rooms.take(1, SMALL + 1));
            assert!(futures::poll!(&mut more).is_pending());
            drop(full);
            drop(more.await);
        }
        for whose in 0..10 * SWEEP_AT {
            drop(rooms.take(whose, SMALL + 1).await);
        }
        assert!(rooms.table.lock().unwrap().rooms.len() <= SWEEP_AT);
    }
}
