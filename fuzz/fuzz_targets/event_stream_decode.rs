//! Any bytes, in any chunks, under any cap: no panic, the same events as in one piece, and each of them is written and
//! read back as it is.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcp_bridge::wire::event_stream::{DecodeError, Decoder, Event, MAX_FIELD_BYTES, clamp_retry, encode};

fn decode_all(cap: usize, stream: &[u8], size: usize) -> Vec<Result<Event, DecodeError>> {
    let mut decoder = Decoder::new(cap);
    let mut out = Vec::new();
    for chunk in stream.chunks(size) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(found) = decoder.decode(&mut chunk).transpose() {
            out.push(found);
        }
        assert!(chunk.is_empty());
    }
    assert!(decoder.quiet_bytes() <= stream.len() as u64);
    out
}

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (size, cap, stream) = input;
    let cap = usize::from(cap);
    let whole = decode_all(cap, stream, stream.len().max(1));
    assert_eq!(whole, decode_all(cap, stream, usize::from(size).max(1)));
    for event in whole.into_iter().flatten() {
        assert!(event.data.as_ref().is_none_or(|data| data.len() <= cap));
        assert!(event.id.as_ref().is_none_or(|id| id.as_bytes().len() <= MAX_FIELD_BYTES));
        event.retry.map(clamp_retry);
        let Some(data) = event.data.clone() else { continue };
        let wire: Vec<u8> = encode::event(&event.name, event.id.as_ref(), data).flatten().collect();
        // A name that was not UTF-8 grows when it is made so, and is cut again.
        if event.name.as_str().len() <= MAX_FIELD_BYTES {
            assert_eq!(decode_all(cap, &wire, 7), [Ok(Event { retry: None, ..event })]);
        }
    }
});
