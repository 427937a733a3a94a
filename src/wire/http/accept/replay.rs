//! The events of one session that a client may ask for again. Pure.
//!
//! Owns the ids of events and the bounded log. Talks to nobody. It never decides which stream an event belongs to.

use std::{collections::VecDeque, fmt::Write as _};

use bytes::{Bytes, BytesMut};

use crate::wire::event_stream::EventId;

/// What an entry costs beside its data.
const ENTRY: usize = 64;

/// Data shorter than this is copied into the log. A slice of a read buffer would keep the whole buffer.
const COPY_BELOW: usize = 8 * 1024;

/// The place of an event: its stream, and its number there. As text it is the cursor that the specification asks for
/// (2025-11-25, Transports, Resumability and Redelivery): it names its stream, and no other stream has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The stream.
    pub stream: u32,
    /// Its number in the stream, from 1.
    pub number: u32,
}

impl Place {
    /// Reads what [`Place::id`] wrote.
    pub fn parse(text: &str) -> Option<Place> {
        let (stream, number) = text.split_once('-')?;
        let plain = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !plain(stream) || !plain(number) {
            return None;
        }
        Some(Place { stream: u32::from_str_radix(stream, 16).ok()?, number: number.parse().ok()? })
    }

    /// The id that an event at this place carries; `None` never happens, as the text is short and plain.
    pub fn id(self) -> Option<EventId> {
        let mut text = BytesMut::with_capacity(20);
        write!(text, "{:x}-{}", self.stream, self.number).ok()?;
        EventId::new(text.freeze()).ok()
    }
}

/// Why events cannot be given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// No such event was ever sent, or its stream is forgotten.
    Unknown,
    /// Some of what came after it is forgotten.
    Forgotten,
}

/// The log: the newest events of all streams of one session.
#[derive(Debug)]
pub struct ReplayLog {
    entries: VecDeque<(Place, Bytes)>,
    /// How many of the entries were there at the last look; see [`ReplayLog::age`].
    old: usize,
    bytes: usize,
    max_bytes: usize,
    max_events: usize,
}

impl ReplayLog {
    /// An empty log, which takes no memory.
    pub fn new(max_bytes: usize, max_events: usize) -> ReplayLog {
        ReplayLog { entries: VecDeque::new(), old: 0, bytes: 0, max_bytes, max_events }
    }

    /// Remembers an event; empty data stands for a priming event. The oldest ones go when there are too many, the
    /// newest one never: the answer to a call is the last event of its stream, and may be large.
    pub fn push(&mut self, place: Place, data: &Bytes) {
        let data = if data.len() < COPY_BELOW { Bytes::copy_from_slice(data) } else { data.clone() };
        self.bytes += data.len() + ENTRY;
        self.entries.push_back((place, data));
        while self.entries.len() > 1 && (self.bytes > self.max_bytes || self.entries.len() > self.max_events) {
            self.pop();
        }
    }

    /// Forgets what was there at the last look already, up to the first event of a stream that goes on. A client that
    /// comes back does so within seconds, and memory that sessions keep adds up.
    pub fn age(&mut self, goes_on: impl Fn(u32) -> bool) {
        while self.old > 0 && self.entries.front().is_some_and(|(place, _)| !goes_on(place.stream)) {
            self.pop();
        }
        self.old = self.entries.len();
        if self.old == 0 {
            self.entries = VecDeque::new();
        }
    }

    fn pop(&mut self) {
        self.bytes -= self.entries.pop_front().map_or(0, |(_, data)| data.len() + ENTRY);
        self.old = self.old.saturating_sub(1);
    }

    /// What came after `seen` in its stream. `next` is the number of the stream's next event if the stream goes on.
    pub fn after(&self, seen: Place, next: Option<u32>) -> Result<Vec<(Place, Bytes)>, Missed> {
        let mut kept = self.entries.iter().filter(|(place, _)| place.stream == seen.stream).peekable();
        let first = kept.peek().map(|(place, _)| place.number);
        let last = match next {
            Some(next) => next.saturating_sub(1),
            None => self.last(seen.stream).ok_or(Missed::Unknown)?,
        };
        if seen.number > last {
            return Err(Missed::Unknown);
        }
        if seen.number < last && first.is_none_or(|first| first > seen.number + 1) {
            return Err(Missed::Forgotten);
        }
        Ok(kept.filter(|(place, data)| place.number > seen.number && !data.is_empty()).cloned().collect())
    }

    fn last(&self, stream: u32) -> Option<u32> {
        self.entries.iter().rev().find(|(place, _)| place.stream == stream).map(|(place, _)| place.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stream: u32, number: u32) -> Place {
        Place { stream, number }
    }

    fn log(max_bytes: usize, max_events: usize, places: &[(u32, u32)]) -> ReplayLog {
        let mut log = ReplayLog::new(max_bytes, max_events);
        for (stream, number) in places {
            log.push(at(*stream, *number), &Bytes::from(format!("{stream}:{number}")));
        }
        log
    }

    fn numbers(result: Result<Vec<(Place, Bytes)>, Missed>) -> Vec<u32> {
        result.unwrap().into_iter().map(|(place, _)| place.number).collect()
    }

    #[test]
    fn only_the_rest_of_the_same_stream_comes_again() {
        let log = log(10_000, 100, &[(7, 1), (8, 1), (7, 2), (8, 2), (7, 3)]);
        assert_eq!(numbers(log.after(at(7, 1), None)), [2, 3]);
        assert_eq!(numbers(log.after(at(8, 1), Some(3))), [2]);
        assert!(numbers(log.after(at(8, 2), Some(3))).is_empty());
        assert!(numbers(log.after(at(7, 3), None)).is_empty());
        assert_eq!(log.after(at(9, 1), None).unwrap_err(), Missed::Unknown);
        assert_eq!(log.after(at(7, 4), None).unwrap_err(), Missed::Unknown);
        assert_eq!(log.after(at(8, 3), Some(3)).unwrap_err(), Missed::Unknown);
    }

    #[test]
    fn a_gap_is_told() {
        let log = log(10_000, 2, &[(1, 1), (1, 2), (1, 3), (1, 4)]);
        assert_eq!(log.after(at(1, 1), None).unwrap_err(), Missed::Forgotten);
        assert_eq!(numbers(log.after(at(1, 2), None)), [3, 4]);
        let mut log = log;
        log.push(at(2, 1), &Bytes::from_static(b"x"));
        log.push(at(2, 2), &Bytes::from_static(b"x"));
        assert_eq!(log.after(at(1, 3), Some(5)).unwrap_err(), Missed::Forgotten);
        assert_eq!(log.after(at(1, 4), None).unwrap_err(), Missed::Unknown);
        assert!(numbers(log.after(at(1, 4), Some(5))).is_empty());
    }

    #[test]
    fn the_newest_event_is_kept_whatever_its_size() {
        let mut log = log(200, 100, &[(1, 1), (1, 2)]);
        log.push(at(1, 3), &Bytes::from(vec![b'x'; 100_000]));
        assert_eq!(log.entries.len(), 1);
        assert_eq!(numbers(log.after(at(1, 2), None)), [3]);
        log.push(at(1, 4), &Bytes::from_static(b"y"));
        assert_eq!((log.entries.len(), log.bytes), (1, 1 + ENTRY));
    }

    #[test]
    fn finished_streams_are_forgotten_at_the_second_look() {
        let mut log = log(10_000, 100, &[(1, 1), (2, 1), (1, 2), (3, 1)]);
        let goes_on = |stream| stream == 3;
        log.age(goes_on);
        assert_eq!(numbers(log.after(at(1, 1), None)), [2]);
        log.push(at(1, 3), &Bytes::from_static(b"x"));
        log.age(goes_on);
        assert_eq!(log.after(at(2, 1), None).unwrap_err(), Missed::Unknown);
        assert_eq!(log.entries.len(), 2, "a stream that goes on, and what came after it");
        log.age(|_| false);
        assert_eq!((log.entries.len(), log.bytes, log.entries.capacity()), (0, 0, 0));
    }

    #[test]
    fn priming_events_count_but_do_not_come_again() {
        let mut log = ReplayLog::new(1_000, 10);
        log.push(at(1, 1), &Bytes::new());
        log.push(at(1, 2), &Bytes::from_static(b"x"));
        assert_eq!(numbers(log.after(at(1, 1), None)), [2]);
    }

    #[test]
    fn ids_come_back_and_others_are_refused() {
        let id = at(0xdead_beef, 12).id().unwrap();
        assert_eq!(id.as_bytes(), b"deadbeef-12");
        assert_eq!(Place::parse("deadbeef-12"), Some(at(0xdead_beef, 12)));
        for text in ["", "1", "-", "1-", "-1", "1-+2", "+1-2", "1-2-3", "123456789-1", "1-99999999999", "x-1", "1-a"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
