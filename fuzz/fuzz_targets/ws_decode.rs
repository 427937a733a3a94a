//! Any bytes as WebSocket frames, to either side, in any pieces, under any limit: no panic, the same items and the same
//! violation as in one piece, nothing over its limit, and each item is written and read back as it is.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use mcp_bridge::wire::ws::{
    Side,
    codec::{Decoder, Item, Kind, MAX_CONTROL, Violation, close_payload, mask, put_head},
};

fn decode_all(side: Side, max: usize, stream: &[u8], size: usize) -> (Vec<Item>, Option<Violation>) {
    let mut decoder = Decoder::new(side, max);
    let mut items = Vec::new();
    for piece in stream.chunks(size) {
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

/// The item as one frame that comes to `side`.
fn write(item: &Item, side: Side) -> BytesMut {
    let (kind, payload) = match item {
        Item::Message(text) => (Kind::Text, text.clone()),
        Item::Ping(payload) => (Kind::Ping, payload.clone()),
        Item::Pong => (Kind::Pong, Bytes::new()),
        Item::Close(code) => (Kind::Close, code.map_or_else(Bytes::new, |code| close_payload(code, "why"))),
    };
    let key = (side == Side::Server).then_some([7, 0, 255, 128]);
    let mut out = BytesMut::new();
    put_head(&mut out, kind, payload.len(), key);
    let start = out.len();
    out.extend_from_slice(&payload);
    mask(out.get_mut(start..).unwrap_or_default(), key.unwrap_or_default());
    out
}

fuzz_target!(|input: (bool, u8, u16, &[u8])| {
    let (is_server, size, max, stream) = input;
    let side = if is_server { Side::Server } else { Side::Client };
    // A limit of nothing is none: an empty piece counts as a byte, so that pieces without end are bounded, too.
    let max = usize::from(max).max(1);
    let whole = decode_all(side, max, stream, stream.len().max(1));
    assert_eq!(whole, decode_all(side, max, stream, usize::from(size).max(1)));
    for item in whole.0 {
        match &item {
            Item::Message(text) => assert!(text.len() <= max && std::str::from_utf8(text).is_ok()),
            Item::Ping(payload) => assert!(payload.len() <= MAX_CONTROL),
            Item::Pong | Item::Close(_) => {}
        }
        let again = write(&item, side);
        assert_eq!(decode_all(side, max, &again, 3), (vec![item], None));
    }
});
