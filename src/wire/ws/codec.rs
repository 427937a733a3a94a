//! The frames of RFC 6455 as bytes.
//!
//! Owns the decoder of what comes and the head of what goes. Pure: no I/O, no clock, no logging. It knows text and control
//! frames; binary ones, and all that an extension would allow, are violations. It never keeps more than one message.

use bytes::{BufMut, Bytes, BytesMut};

/// Room for a read when no large message is under way: a usual message, and little for the many sessions that are idle.
const READ_SMALL: usize = 4 * 1024;

/// Room for a read within a large message.
const READ_LARGE: usize = 64 * 1024;

/// The longest payload of a control frame (RFC 6455, 5.5).
pub const MAX_CONTROL: usize = 125;

/// Close codes (RFC 6455, 7.4.1, and the registry of IANA).
pub mod close {
    /// All is said.
    pub const NORMAL: u16 = 1000;
    /// This end goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// What came breaks the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// A binary message.
    pub const UNSUPPORTED: u16 = 1003;
    /// A text that is no UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// The other end does not do its part.
    pub const POLICY: u16 = 1008;
    /// A message over the limit.
    pub const TOO_BIG: u16 = 1009;
    /// What stands behind this end failed.
    pub const FAILED: u16 = 1011;
    /// There is no room now.
    pub const TRY_LATER: u16 = 1013;
}

/// Which end of the connection this is: frames of clients are masked, those of servers are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It was connected to.
    Server,
    /// It connected.
    Client,
}

/// Kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// More of the message.
    Continuation,
    /// A message of text.
    Text,
    /// The last frame.
    Close,
    /// To be answered.
    Ping,
    /// The answer.
    Pong,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Continuation => 0,
            Kind::Text => 1,
            Kind::Close => 8,
            Kind::Ping => 9,
            Kind::Pong => 10,
        }
    }
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A whole message, valid UTF-8.
    Message(Bytes),
    /// To be answered with a pong that holds the same.
    Ping(Bytes),
    /// The other end lives.
    Pong,
    /// The other end has said all; with its code, where it gave one.
    Close(Option<u16>),
}

/// What came must not come. Ends the connection, with this code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Violation {
    /// One of [`close`].
    pub code: u16,
    /// One line.
    pub why: String,
}

fn violation(code: u16, why: impl Into<String>) -> Violation {
    Violation { code, why: why.into() }
}

/// The frame whose payload is being read.
#[derive(Debug)]
struct Head {
    kind: Kind,
    last: bool,
    mask: Option<[u8; 4]>,
    /// Bytes of the payload that have not come.
    left: usize,
}

/// The message whose frames are being read.
#[derive(Debug, Default)]
struct Message {
    text: BytesMut,
    /// Bytes of it that are whole characters.
    valid: usize,
    /// Its bytes, an empty frame counting as one: so that frames without end are a message without end.
    cost: usize,
}

/// Reads frames from bytes.
#[derive(Debug)]
pub struct Decoder {
    side: Side,
    max: usize,
    buffer: BytesMut,
    head: Option<Head>,
    message: Option<Message>,
}

impl Decoder {
    /// Reads what comes to `side`, in messages of at most `max` bytes.
    pub fn new(side: Side, max: usize) -> Decoder {
        Decoder { side, max, buffer: BytesMut::new(), head: None, message: None }
    }

    /// Where to put what is read next. An empty buffer is given up first: a large one must not stay with an idle session.
    pub fn room(&mut self) -> &mut BytesMut {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        let large = self.head.as_ref().is_some_and(|head| head.left > READ_SMALL);
        self.buffer.reserve(if large { READ_LARGE } else { READ_SMALL });
        &mut self.buffer
    }

    /// The next item of what was read; `None` when more is to be read.
    pub fn decode(&mut self) -> Result<Option<Item>, Violation> {
        // Ends with an item, or when nothing more can be done with what is there.
        loop {
            if self.head.is_none() {
                self.head = self.next_head()?;
            }
            let Some(head) = self.head.take() else { return Ok(None) };
            match head.kind {
                Kind::Text | Kind::Continuation => {
                    let more = self.buffer.is_empty() && head.left > 0;
                    if let Some(text) = self.payload(head)? {
                        return Ok(Some(Item::Message(text)));
                    }
                    if more {
                        return Ok(None);
                    }
                }
                _ if self.buffer.len() < head.left => {
                    self.head = Some(head);
                    return Ok(None);
                }
                kind => return self.control(kind, head).map(Some),
            }
        }
    }

    /// Reads a frame's head and takes it off the buffer.
    fn next_head(&mut self) -> Result<Option<Head>, Violation> {
        let (Some(&first), Some(&second)) = (self.buffer.first(), self.buffer.get(1)) else { return Ok(None) };
        let (last, masked) = (first & 0x80 != 0, second & 0x80 != 0);
        if first & 0x70 != 0 {
            return Err(violation(close::PROTOCOL, "a frame has reserved bits set; no extension was agreed on"));
        }
        if masked != (self.side == Side::Server) {
            let why = if masked { "a server's frame is masked" } else { "a client's frame is not masked" };
            return Err(violation(close::PROTOCOL, why));
        }
        let kind = self.kind(first & 0x0f, last)?;
        let (extra, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, usize::from(short)),
        };
        let size = 2 + extra + if masked { 4 } else { 0 };
        let Some(head) = self.buffer.get(2..size) else { return Ok(None) };
        let (length, mask) = head.split_at(extra);
        let length = match extra {
            0 => short,
            _ => {
                let long = length.iter().fold(0_u64, |long, byte| long << 8 | u64::from(*byte));
                // The highest bit must not be set (RFC 6455, 5.2), and is beyond every limit.
                usize::try_from(long).unwrap_or(usize::MAX)
            }
        };
        let mask = mask.first_chunk::<4>().copied();
        let is_control = !matches!(kind, Kind::Text | Kind::Continuation);
        if is_control && (length > MAX_CONTROL || !last) {
            return Err(violation(close::PROTOCOL, "a control frame is fragmented, or longer than 125 bytes"));
        }
        if !is_control {
            self.account(kind, length)?;
        }
        drop(self.buffer.split_to(size));
        Ok(Some(Head { kind, last, mask, left: length }))
    }

    fn kind(&self, number: u8, last: bool) -> Result<Kind, Violation> {
        let within = self.message.is_some();
        match number {
            0 if within => Ok(Kind::Continuation),
            0 => Err(violation(close::PROTOCOL, "a continuation without a message that it continues")),
            1 | 2 if within => Err(violation(close::PROTOCOL, "a new message within another one")),
            1 => Ok(Kind::Text),
            2 => Err(violation(close::UNSUPPORTED, "messages are text frames, not binary ones")),
            8 => Ok(Kind::Close),
            9 => Ok(Kind::Ping),
            10 => Ok(Kind::Pong),
            _ if last => Err(violation(close::PROTOCOL, "a frame of an unknown kind")),
            _ => Err(violation(close::PROTOCOL, "a fragment of an unknown kind")),
        }
    }

    /// Checks the limit by what a frame announces, before any of it is kept.
    fn account(&mut self, kind: Kind, length: usize) -> Result<(), Violation> {
        let so_far = self.message.as_ref().map_or(0, |message| message.cost);
        let cost = so_far.saturating_add(length.max(1));
        if cost > self.max.max(1) {
            let why = format!("a message is larger than {} bytes (--max-message)", self.max);
            return Err(violation(close::TOO_BIG, why));
        }
        match &mut self.message {
            Some(message) => message.cost = cost,
            None if kind == Kind::Text => self.message = Some(Message { cost, ..Message::default() }),
            None => {}
        }
        Ok(())
    }

    /// Takes what is there of a frame's payload. Gives the message at its end.
    fn payload(&mut self, mut head: Head) -> Result<Option<Bytes>, Violation> {
        let mut message = self.message.take().unwrap_or_default();
        let mut piece = self.buffer.split_to(head.left.min(self.buffer.len()));
        if let Some(key) = &mut head.mask {
            mask(&mut piece, *key);
            key.rotate_left(piece.len() % 4);
        }
        head.left -= piece.len();
        let ends = head.left == 0 && head.last;
        if message.text.is_empty() && ends {
            message.text = piece; // As it lies in the buffer: most messages are one frame, read at once.
        } else {
            message.text.extend_from_slice(&piece);
        }
        message.check(ends)?;
        if ends {
            return Ok(Some(message.text.freeze()));
        }
        self.message = Some(message);
        if head.left > 0 {
            self.head = Some(head);
        }
        Ok(None)
    }

    fn control(&mut self, kind: Kind, head: Head) -> Result<Item, Violation> {
        let mut payload = self.buffer.split_to(head.left);
        if let Some(key) = head.mask {
            mask(&mut payload, key);
        }
        match kind {
            Kind::Ping => Ok(Item::Ping(Bytes::copy_from_slice(&payload))),
            Kind::Close => closing(&payload).map(Item::Close),
            _ => Ok(Item::Pong),
        }
    }
}

impl Message {
    /// Checks that it is UTF-8 as far as it has come.
    fn check(&mut self, ends: bool) -> Result<(), Violation> {
        let wrong = || violation(close::NOT_UTF8, "a text message is not valid UTF-8");
        match std::str::from_utf8(self.text.get(self.valid..).unwrap_or_default()) {
            Ok(_) => self.valid = self.text.len(),
            // A character that has not come whole yet.
            Err(error) if error.error_len().is_none() && !ends => self.valid += error.valid_up_to(),
            Err(_) => return Err(wrong()),
        }
        Ok(())
    }
}

/// Reads what a close frame holds (RFC 6455, 7.4).
fn closing(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload.is_empty() {
            true => Ok(None),
            false => Err(violation(close::PROTOCOL, "a close frame holds half a code")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(violation(close::PROTOCOL, format!("a close frame holds the code {code}, which none may")));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(violation(close::NOT_UTF8, "the reason of a close frame is not valid UTF-8")),
    }
}

/// Masks, or unmasks, a payload or a piece of one that begins with the first byte of the key.
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Writes the head of a whole frame.
pub fn put_head(out: &mut BytesMut, kind: Kind, length: usize, key: Option<[u8; 4]>) {
    let masked = if key.is_some() { 0x80 } else { 0 };
    out.put_u8(0x80 | kind.number());
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.put_u8(masked | short),
        (_, Ok(long)) => {
            out.put_u8(masked | 126);
            out.put_u16(long);
        }
        _ => {
            out.put_u8(masked | 127);
            out.put_u64(length as u64);
        }
    }
    if let Some(key) = key {
        out.put_slice(&key);
    }
}

/// What a close frame holds: the code, and as much of the reason as there is room for.
pub fn close_payload(code: u16, reason: &str) -> Bytes {
    let room = MAX_CONTROL - size_of::<u16>();
    let end = (0..=reason.len().min(room)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    let mut payload = BytesMut::new();
    payload.put_u16(code);
    payload.put_slice(reason.get(..end).unwrap_or_default().as_bytes());
    payload.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 4] = [1, 2, 3, 250];

    /// A frame as a client writes it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_head(&mut out, Kind::Text, payload.len(), Some(KEY));
        out[0] = first;
        let at = out.len();
        out.extend_from_slice(payload);
        mask(&mut out[at..], KEY);
        out.to_vec()
    }

    fn decode_in(pieces: usize, max: usize, bytes: &[u8]) -> (Vec<Item>, Option<Violation>) {
        let mut decoder = Decoder::new(Side::Server, max);
        let mut items = Vec::new();
        for piece in bytes.chunks(pieces) {
            decoder.room().extend_from_slice(piece);
            loop {
                match decoder.decode() {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(violation) => return (items, Some(violation)),
                }
            }
        }
        (items, None)
    }

    fn code_of(bytes: &[u8]) -> Option<u16> {
        decode_in(bytes.len(), 1000, bytes).1.map(|violation| violation.code)
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let text = "k\u{f6}ln \u{1f600} ".repeat(40);
        let (start, rest) = text.as_bytes().split_at(2);
        let bytes = [
            frame(0x81, text.as_bytes()),
            frame(0x01, start),
            frame(0x89, b"hey"),
            frame(0x00, b""),
            frame(0x80, rest),
            frame(0x8a, b""),
            frame(0x81, b""),
            frame(0x88, &close_payload(1000, "bye")),
        ]
        .concat();
        for pieces in [1, 2, 3, 7, 64, 4096] {
            let (items, violation) = decode_in(pieces, 1000, &bytes);
            assert_eq!(violation, None);
            let whole = || Item::Message(Bytes::copy_from_slice(text.as_bytes()));
            let ping = Item::Ping(Bytes::from_static(b"hey"));
            let empty = Item::Message(Bytes::new());
            assert_eq!(items, [whole(), ping, whole(), Item::Pong, empty, Item::Close(Some(1000))], "{pieces}");
        }
    }

    #[test]
    fn each_violation_has_its_code() {
        for (bytes, code) in [
            (frame(0x82, b"x"), close::UNSUPPORTED),
            (frame(0xc1, b"x"), close::PROTOCOL),
            (frame(0x83, b""), close::PROTOCOL),
            (frame(0x8b, b""), close::PROTOCOL),
            (frame(0x80, b"x"), close::PROTOCOL),
            ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), close::PROTOCOL),
            (frame(0x09, b""), close::PROTOCOL),
            (frame(0x89, &[0; 126]), close::PROTOCOL),
            (vec![0x81, 0x01, b'x'], close::PROTOCOL),
            (frame(0x81, b"\xff"), close::NOT_UTF8),
            (frame(0x81, b"\xe2\x82"), close::NOT_UTF8),
            (frame(0x81, b"\xed\xa0\x80"), close::NOT_UTF8),
            (frame(0x88, b"x"), close::PROTOCOL),
            (frame(0x88, &close_payload(1005, "")), close::PROTOCOL),
            (frame(0x88, &close_payload(999, "")), close::PROTOCOL),
            (frame(0x88, b"\x03\xe8\xff"), close::NOT_UTF8),
            (frame(0x81, &[b'x'; 1001]), close::TOO_BIG),
            ([frame(0x01, &[b'x'; 1000]), frame(0x80, b"y")].concat(), close::TOO_BIG),
            (vec![0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], close::TOO_BIG),
        ] {
            assert_eq!(code_of(&bytes), Some(code), "{:x?}", &bytes[..bytes.len().min(16)]);
        }
        let mut client = Decoder::new(Side::Client, 10);
        client.room().extend_from_slice(&frame(0x81, b"x"));
        assert_eq!(client.decode().unwrap_err().code, close::PROTOCOL);
    }

    #[test]
    fn a_size_is_refused_before_anything_of_it_came() {
        assert_eq!(code_of(&[0x81, 0xff, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]), Some(close::TOO_BIG));
    }

    #[test]
    fn empty_fragments_without_end_are_a_message_without_end() {
        let bytes = [frame(0x01, b""), frame(0x00, b"").repeat(1000)].concat();
        assert_eq!(code_of(&bytes), Some(close::TOO_BIG));
    }

    #[test]
    fn bad_text_is_told_with_the_first_bad_byte() {
        let bytes = [frame(0x01, b"ok"), frame(0x00, b"\xf4\x90")].concat();
        assert_eq!(code_of(&bytes), Some(close::NOT_UTF8));
    }

    #[test]
    fn a_large_message_leaves_no_large_buffer_behind() {
        let mut decoder = Decoder::new(Side::Server, 1 << 24);
        for piece in frame(0x81, &vec![b'x'; 1 << 22]).chunks(READ_LARGE) {
            decoder.room().extend_from_slice(piece);
            drop(decoder.decode().unwrap());
        }
        assert!(decoder.message.is_none());
        assert!(decoder.room().capacity() <= 2 * READ_SMALL);
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let payload = close_payload(1011, &"\u{20ac}".repeat(100));
        assert!(payload.len() <= MAX_CONTROL && payload.len() > MAX_CONTROL - 3);
        assert_eq!(closing(&payload), Ok(Some(1011)));
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 1..400), cut in 1_usize..50) {
            let (items, violation) = decode_in(cut, 100, &bytes);
            let (again, same) = decode_in(400, 100, &bytes);
            prop_assert_eq!(violation.map(|v| v.code), same.map(|v| v.code));
            prop_assert_eq!(items, again);
        }

        #[test]
        fn what_is_written_is_read(text in ".{0,300}", cut in 1_usize..400) {
            let (items, violation) = decode_in(cut, 4000, &frame(0x81, text.as_bytes()));
            prop_assert_eq!(violation, None);
            prop_assert_eq!(items, vec![Item::Message(Bytes::from(text))]);
        }
    }
}
