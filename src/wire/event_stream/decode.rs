//! Reads event streams.
//!
//! Owns the state between two chunks: the beginning of a line, and the block so far. Every byte is looked at a fixed
//! number of times and copied at most once (and when a buffer doubles), however the stream is cut into chunks. Memory
//! is bounded by the cap on an event, plus about 4 KiB. It never reads ahead of the chunk that it is given.

use std::borrow::Cow;
use std::mem;
use std::time::Duration;

use bytes::{Buf, Bytes};
use memchr::{memchr, memchr2};

use super::{Event, EventId, EventName, MAX_EVENT_BYTES, MAX_FIELD_BYTES, SHARE_FROM};

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The start of a line that is kept while its end is awaited: one byte more than the longest field that counts, so that
/// a longer one is known to be longer.
const MAX_HEAD: usize = b"event: ".len() + MAX_FIELD_BYTES + 1;

/// An incremental reader of one event stream. A new connection needs a new one.
///
/// The end of the stream needs no call: a block without its blank line is dropped with the decoder, as the standard
/// says, for it may be half of what was meant.
#[derive(Debug)]
pub struct Decoder {
    max_event: usize,
    /// How many bytes of the byte order mark have come, or its length once it has come or cannot come any more.
    bom: usize,
    /// The last byte was a CR, which ended its line at once; a LF that follows belongs to it.
    after_cr: bool,
    line: Line,
    head: Vec<u8>,
    block: Block,
    retry: Option<Duration>,
    quiet: u64,
}

/// What is known of the line that the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Its start is in `head`; with an empty head it has not begun.
    Head,
    /// It is a `data` line: its value goes to the block as it comes.
    Data,
    /// It is a comment: its bytes go nowhere.
    Comment,
}

/// The fields since the last blank line.
#[derive(Debug, Default)]
struct Block {
    name: Option<EventName>,
    data: Payload,
    id: Option<EventId>,
    retry: Option<Duration>,
}

#[derive(Debug, Default)]
enum Payload {
    #[default]
    Absent,
    /// One line that came in one chunk.
    Whole(Bytes),
    /// Several lines, or one in several chunks. Copied, not kept as a list of chunks: a peer that sends single bytes
    /// would make each of them hold a network buffer.
    Pieces(Vec<u8>),
    /// Went over the cap, which was reported.
    Dropped,
}

/// What a stream can do wrong. The decoder stays usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Comes once per block, as soon as the cap is passed, so that the caller can close a stream that sends an endless
    /// line. A caller that reads on gets the following events, and before them the id and the `retry` of this block,
    /// without data: a resumed stream then does not meet the same block for ever.
    #[error("an event has more than {limit} bytes of data, and was dropped; raise --max-message to let it pass")]
    TooLarge {
        /// The cap that the decoder was made with, in bytes.
        limit: usize,
    },
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MAX_EVENT_BYTES)
    }
}

impl Decoder {
    /// A decoder for a new stream. `max_event`: the cap on one event's data, in bytes.
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            bom: 0,
            after_cr: false,
            line: Line::Head,
            head: Vec::new(),
            block: Block::default(),
            retry: None,
            quiet: 0,
        }
    }

    /// Takes the next event off the front of `chunk`. `None`: the chunk is used up, and the next one is needed.
    ///
    /// Data of one line inside the chunk comes out as a slice of it, unless it is small; see [`Event`] for the rest.
    ///
    /// # Errors
    /// See [`DecodeError`]. What was at fault is off the chunk, so the caller may go on with the rest of it.
    pub fn decode(&mut self, chunk: &mut Bytes) -> Result<Option<Event>, DecodeError> {
        let before = chunk.len();
        let found = self.advance(chunk);
        self.quiet = match found {
            Ok(Some(_)) => 0,
            _ => self.quiet.saturating_add((before - chunk.len()) as u64),
        };
        found
    }

    /// The last `retry` of the stream. It counts from the end of its line, also where the block never ends: a server may
    /// write it and hang up.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Bytes since the last event. Comments, blank lines and unknown fields cost no memory and linear time, so a flood
    /// of them is no harm here; this is for a caller that wants to close such a stream. The event under way is counted
    /// in: compare with the cap on an event plus what you grant to keep-alives (15 bytes each 15 s are 90 KB a day).
    pub fn quiet_bytes(&self) -> u64 {
        self.quiet
    }

    /// What the decoder holds on to between two chunks, in bytes.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        let data = match &self.block.data {
            Payload::Absent | Payload::Dropped => 0,
            Payload::Whole(line) => line.len(),
            Payload::Pieces(lines) => lines.capacity(),
        };
        data + self.head.capacity()
    }

    fn advance(&mut self, chunk: &mut Bytes) -> Result<Option<Event>, DecodeError> {
        self.skip_bom(chunk);
        // Ends when the chunk is used up: each turn takes a line, or what there is of it, off its front.
        while let Some(&first) = chunk.first() {
            if mem::take(&mut self.after_cr) && first == b'\n' {
                chunk.advance(1);
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', chunk) else {
                let piece = mem::take(chunk);
                self.line_goes_on(&piece)?;
                break;
            };
            let done = self.line_ends(chunk, end);
            self.after_cr = chunk.get(end) == Some(&b'\r');
            chunk.advance(end + 1);
            if let Some(event) = done? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// One byte order mark at the very start is no part of the first line.
    fn skip_bom(&mut self, chunk: &mut Bytes) {
        while let (Some(&due), Some(&byte)) = (BOM.get(self.bom), chunk.first()) {
            if byte != due {
                // Not a mark after all: what looked like one starts a line.
                self.head.extend(BOM.iter().take(self.bom));
                self.bom = BOM.len();
                return;
            }
            self.bom += 1;
            chunk.advance(1);
        }
    }

    /// Takes a piece of a line whose end has not come.
    fn line_goes_on(&mut self, mut piece: &[u8]) -> Result<(), DecodeError> {
        if self.line == Line::Head {
            // Only as much as tells what the line is: the rest of a data line goes straight to the block.
            let room = b"data: ".len().saturating_sub(self.head.len());
            piece = self.keep_head(piece, room);
            self.line = self.classify();
            match self.line {
                Line::Head => _ = self.keep_head(piece, MAX_HEAD.saturating_sub(self.head.len())),
                Line::Data => {
                    let start = mem::take(&mut self.head);
                    let value = start.get(b"data:".len()..).unwrap_or_default();
                    self.block.data.open_line(self.max_event)?;
                    self.block.data.extend(without_space(value), self.max_event)?;
                }
                Line::Comment => self.head.clear(),
            }
        }
        match self.line {
            Line::Data => self.block.data.extend(piece, self.max_event),
            Line::Head | Line::Comment => Ok(()),
        }
    }

    fn keep_head<'a>(&mut self, piece: &'a [u8], room: usize) -> &'a [u8] {
        let (kept, rest) = piece.split_at(room.min(piece.len()));
        self.head.extend_from_slice(kept);
        rest
    }

    /// A data line is one once the byte after its colon is there, which may be the space to take off.
    fn classify(&self) -> Line {
        match self.head.as_slice() {
            [b':', ..] => Line::Comment,
            [b'd', b'a', b't', b'a', b':', _, ..] => Line::Data,
            _ => Line::Head,
        }
    }

    /// Takes the line, or the last piece of it, that ends at `end` of the chunk.
    fn line_ends(&mut self, chunk: &Bytes, end: usize) -> Result<Option<Event>, DecodeError> {
        let last = chunk.get(..end).unwrap_or_default();
        if self.line == Line::Head && self.head.is_empty() {
            if last.is_empty() {
                return Ok(self.dispatch());
            }
            return self.field(last, |value| chunk.slice_ref(value)).map(|()| None);
        }
        let taken = self.line_goes_on(last);
        if mem::replace(&mut self.line, Line::Head) == Line::Head {
            let mut line = mem::take(&mut self.head);
            self.field(&line, Bytes::copy_from_slice)?;
            line.clear();
            self.head = line;
        }
        taken.map(|()| None)
    }

    /// Takes one whole line that is not blank. `share` makes `Bytes` of a part of it.
    fn field(&mut self, line: &[u8], share: impl FnOnce(&[u8]) -> Bytes) -> Result<(), DecodeError> {
        let (name, value) = match memchr(b':', line) {
            Some(colon) => {
                let (name, rest) = line.split_at(colon);
                (name, without_space(rest.get(1..).unwrap_or_default()))
            }
            None => (line, &[][..]),
        };
        match name {
            b"data" => return self.block.data.add_line(value, share, self.max_event),
            b"event" => self.block.name = Some(read_name(value)),
            b"id" => self.block.id = read_id(value).or(self.block.id.take()),
            b"retry" => {
                if let Some(wait) = read_retry(value) {
                    self.block.retry = Some(wait);
                    self.retry = Some(wait);
                }
            }
            _ => {} // A comment, whose name is empty, or a field that the standard does not know.
        }
        Ok(())
    }

    /// A blank line: the block is complete.
    fn dispatch(&mut self) -> Option<Event> {
        let Block { name, data, id, retry } = mem::take(&mut self.block);
        let data = data.finish();
        if data.is_none() && id.is_none() && retry.is_none() {
            return None;
        }
        Some(Event { name: name.unwrap_or(EventName::MESSAGE), data, id, retry })
    }
}

impl Payload {
    /// Adds a whole line, without copying it if it is the first and not small.
    fn add_line(&mut self, value: &[u8], share: impl FnOnce(&[u8]) -> Bytes, max: usize) -> Result<(), DecodeError> {
        if !matches!(self, Self::Absent) || value.len() > max {
            self.open_line(max)?;
            return self.extend(value, max);
        }
        *self = Self::Whole(if value.len() < SHARE_FROM { Bytes::copy_from_slice(value) } else { share(value) });
        Ok(())
    }

    /// Starts a line: a LF joins it to the one before.
    fn open_line(&mut self, max: usize) -> Result<(), DecodeError> {
        match mem::take(self) {
            Self::Absent => *self = Self::Pieces(Vec::new()),
            Self::Whole(line) => {
                *self = Self::Pieces(Vec::new());
                self.extend(&line, max)?;
                self.extend(b"\n", max)?;
            }
            Self::Pieces(lines) => {
                *self = Self::Pieces(lines);
                self.extend(b"\n", max)?;
            }
            Self::Dropped => *self = Self::Dropped,
        }
        Ok(())
    }

    fn extend(&mut self, piece: &[u8], max: usize) -> Result<(), DecodeError> {
        let Self::Pieces(buffer) = self else { return Ok(()) };
        let len = buffer.len().saturating_add(piece.len());
        if len > max {
            *self = Self::Dropped;
            return Err(DecodeError::TooLarge { limit: max });
        }
        if len > buffer.capacity() {
            // Doubling keeps the copying linear; no more than the cap, so that the cap is what memory can come to.
            let target = buffer.capacity().saturating_mul(2).min(max).max(len);
            buffer.reserve_exact(target - buffer.len());
        }
        buffer.extend_from_slice(piece);
        Ok(())
    }

    fn finish(self) -> Option<Bytes> {
        match self {
            Self::Absent | Self::Dropped => None,
            Self::Whole(line) => Some(line),
            Self::Pieces(lines) => Some(Bytes::from(lines)),
        }
    }
}

/// The standard takes one space off after the colon, no more.
fn without_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// The names of MCP cost no allocation. A name over the cap is cut: no one listens to it, but it must not pass for a
/// message as it would if it were ignored.
fn read_name(value: &[u8]) -> EventName {
    match value {
        b"" | b"message" => EventName::MESSAGE,
        b"endpoint" => EventName::ENDPOINT,
        b"ping" => EventName::PING,
        _ => {
            let kept = value.get(..MAX_FIELD_BYTES).unwrap_or(value);
            EventName(Cow::Owned(String::from_utf8_lossy(kept).into_owned()))
        }
    }
}

/// An id with NUL is ignored, says the standard; one over the cap is, say we.
fn read_id(value: &[u8]) -> Option<EventId> {
    let fits = value.len() <= MAX_FIELD_BYTES && memchr(0, value).is_none();
    fits.then(|| EventId(Bytes::copy_from_slice(value)))
}

/// Digits only: no sign, no space, and not nothing. Too big a number is the biggest one.
fn read_retry(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || value.len() > MAX_FIELD_BYTES || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(Duration::from_millis(value.iter().fold(0, add)))
}
