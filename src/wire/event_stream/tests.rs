//! Tests of the codec: the rules of the standard as a table, a slow reference reader, and two other libraries.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::*;

mod oracle;

/// A block as text, to keep the tables readable: `name|data|id|retry`, with `-` for what is absent.
fn show(event: &Event) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let data = event.data.as_deref().map_or("-".into(), text);
    let id = event.id.as_ref().map_or("-".into(), |id| text(id.as_bytes()));
    let retry = event.retry.map_or("-".into(), |wait| wait.as_millis().to_string());
    format!("{}|{data}|{id}|{retry}", event.name.as_str())
}

/// Everything that comes out of the chunks, errors included.
fn decode_all<'a>(
    decoder: &mut Decoder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<Event, DecodeError>> {
    let mut out = Vec::new();
    for chunk in chunks {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(found) = decoder.decode(&mut chunk).transpose() {
            out.push(found);
        }
        assert!(chunk.is_empty(), "no event means that the chunk is used up");
    }
    out
}

fn events(stream: &[u8], size: usize) -> Vec<Event> {
    decode_all(&mut Decoder::default(), stream.chunks(size)).into_iter().collect::<Result<_, _>>().unwrap()
}

fn shown(stream: &[u8], size: usize) -> Vec<String> {
    events(stream, size).iter().map(show).collect()
}

/// (stream, what comes out). Sources: the WHATWG text, its examples, and its web-platform tests of the format.
const RULES: &[(&str, &[&str])] = &[
    // The examples of the standard.
    ("data: YHOO\ndata: +2\ndata: 10\n\n", &["message|YHOO\\n+2\\n10|-|-"]),
    (
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        &["message|first event|1|-", "message|second event||-", "message| third event|-|-"],
    ),
    ("data\n\ndata\ndata\n\ndata:", &["message||-|-", "message|\\n|-|-"]),
    ("data:test\n\ndata: test\n\n", &["message|test|-|-", "message|test|-|-"]),
    // The byte order mark: one, at the very start only.
    ("\u{feff}data: a\n\n", &["message|a|-|-"]),
    ("\u{feff}\u{feff}data: a\n\ndata: b\n\n", &["message|b|-|-"]),
    ("\n\u{feff}data: a\n\ndata: b\n\n", &["message|b|-|-"]),
    ("\u{feff}", &[]),
    ("\u{feff}\r\n\r\n", &[]),
    // Line ends.
    ("data: a\r\rdata: b\r\n\r\ndata: c\n\n", &["message|a|-|-", "message|b|-|-", "message|c|-|-"]),
    ("data: a\r\ndata: b\rdata: c\ndata: d\r\n\n", &["message|a\\nb\\nc\\nd|-|-"]),
    ("data: a\n\rdata: b\n\r", &["message|a|-|-", "message|b|-|-"]),
    ("data: a\r\n\rdata: b\r\n\r", &["message|a|-|-", "message|b|-|-"]),
    ("\r\n\n\r\rdata: a\n\n\n\n", &["message|a|-|-"]),
    // Other characters that text editors take for line ends are none.
    ("data: a\u{0b}b\u{0c}c\u{85}d\u{2028}e\n\n", &["message|a\\x0bb\\x0cc\\xc2\\x85d\\xe2\\x80\\xa8e|-|-"]),
    // Comments.
    (":\n:x\n: data: a\ndata: b\n:data: c\n\n:\n\n", &["message|b|-|-"]),
    ("data: a\n: between\ndata: b\n\n", &["message|a\\nb|-|-"]),
    // One space, and only a space, and only after the colon.
    ("data:  a \n\ndata:\ta\n\ndata : a\n\n data: a\n\n", &["message| a |-|-", "message|\\ta|-|-"]),
    ("data: a: b\n\ndata::a\n\n", &["message|a: b|-|-", "message|:a|-|-"]),
    ("data: \n\ndata:\n\n", &["message||-|-", "message||-|-"]),
    // Names of fields are exact; unknown ones are ignored.
    ("Data: a\nDATA: a\ndatax: a\ndat: a\nx\nx:\n\ndata: b\n\n", &["message|b|-|-"]),
    ("data\u{0}: a\n\nda\u{0}ta: a\n\ndata: \u{0}\n\n", &["message|\\x00|-|-"]),
    // Event names.
    ("event: endpoint\ndata: /m?s=1\n\ndata: b\n\n", &["endpoint|/m?s=1|-|-", "message|b|-|-"]),
    ("event: a\nevent: b\ndata: c\n\n", &["b|c|-|-"]),
    ("event: a\nevent\ndata: c\n\nevent: \ndata: c\n\n", &["message|c|-|-", "message|c|-|-"]),
    ("event: ping\n\ndata: a\n\n", &["message|a|-|-"]),
    ("event: message\ndata: a\n\nevent:  message\ndata: a\n\n", &["message|a|-|-", " message|a|-|-"]),
    // Ids.
    ("id: 1\n\nid:2\n\nid\n\n", &["message|-|1|-", "message|-|2|-", "message|-||-"]),
    ("id: a\u{0}b\ndata: c\n\nid: 1\nid: \u{0}\n\n", &["message|c|-|-", "message|-|1|-"]),
    ("id: 1\nid: 2\ndata: a\n\n", &["message|a|2|-"]),
    ("id: é ü\n\n", &["message|-|\\xc3\\xa9 \\xc3\\xbc|-"]),
    // The priming event of MCP 2025-11-25.
    ("id: x\ndata: \n\nid: y\nretry: 500\ndata:\n\n", &["message||x|-", "message||y|500"]),
    // retry: ASCII digits and nothing else.
    ("retry: 3000\n\nretry:0\n\nretry: 007\n\n", &["message|-|-|3000", "message|-|-|0", "message|-|-|7"]),
    ("retry: +5\nretry: -5\nretry: 5s\nretry: 1e3\nretry:  5\nretry: 5 \nretry: 5.0\nretry:\nretry\nretry: ٣\n\n", &[]),
    ("retry: 99999999999999999999999999\n\n", &["message|-|-|18446744073709551615"]),
    ("retry: 1\nretry: x\ndata: a\n\n", &["message|a|-|1"]),
    // A block that the stream ends in is no event.
    ("data: a\n\ndata: b\nid: 2\n", &["message|a|-|-"]),
    ("data: a", &[]),
    ("", &[]),
];

#[test]
fn every_rule_of_the_standard_holds_however_the_stream_is_cut() {
    for (stream, expected) in RULES {
        for size in 1..=stream.len().max(1) {
            assert_eq!(shown(stream.as_bytes(), size), *expected, "{stream:?} in chunks of {size}");
        }
    }
}

#[test]
fn a_cr_ends_the_event_without_waiting_for_the_next_byte() {
    let mut decoder = Decoder::default();
    let got = decode_all(&mut decoder, [&b"data: a\r\r"[..]]);
    assert_eq!(got.len(), 1);
    // The LF that comes later belongs to the CR: it is neither an event nor a part of the next one.
    let got = decode_all(&mut decoder, [&b"\n"[..], b"data: b\r\n\r"]);
    assert_eq!(got.iter().flatten().map(show).collect::<Vec<_>>(), ["message|b|-|-"]);
}

#[test]
fn bad_utf8_passes_as_bytes_and_stalls_nothing() {
    let stream = b"data: \xff\xc3\n\nid: \xff\n\nevent: \xff\ndata: a\n\n\xff: x\ndata: b\n\n";
    let expected = ["message|\\xff\\xc3|-|-", "message|-|\\xff|-", "\u{fffd}|a|-|-", "message|b|-|-"];
    for size in 1..=stream.len() {
        assert_eq!(shown(stream, size), expected, "in chunks of {size}");
    }
}

#[test]
fn half_a_byte_order_mark_is_an_unknown_field() {
    for start in [&b"\xef"[..], b"\xef\xbb", b"\xef\xbb\xef\xbb\xbf", b"\xef\xbbid"] {
        let stream = [start, b"data: a\n\ndata: b\n\n"].concat();
        for size in 1..=stream.len() {
            assert_eq!(shown(&stream, size), ["message|b|-|-"], "{start:?} in chunks of {size}");
        }
    }
}

#[test]
fn a_priming_event_has_nothing_to_parse_and_an_id() {
    let event = events(b"id: x\ndata: \n\n", 99).remove(0);
    assert_eq!((event.payload(), event.data.is_some()), (None, true));
    assert_eq!(event.id, Some(EventId::new("x").unwrap()));
    assert!(events(b"id\n\n", 99).remove(0).id.unwrap().is_empty());
    assert!(events(b"data: {}\n\n", 99).remove(0).payload().is_some());
}

#[test]
fn retry_counts_from_its_line_on_even_if_the_stream_ends_there() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.retry(), None);
    assert!(decode_all(&mut decoder, [&b"retry: 70\n"[..]]).is_empty());
    assert_eq!(decoder.retry(), Some(Duration::from_millis(70)));
    decode_all(&mut decoder, [&b"\ndata: a\n\n"[..]]);
    assert_eq!(decoder.retry(), Some(Duration::from_millis(70)));
}

#[test]
fn a_hostile_retry_is_clamped() {
    let clamped = |text: &str| {
        let event = events(format!("retry: {text}\n\n").as_bytes(), 99).remove(0);
        clamp_retry(event.retry.unwrap())
    };
    assert_eq!(clamped("0"), MIN_RETRY);
    assert_eq!(clamped("99"), MIN_RETRY);
    assert_eq!(clamped("500"), Duration::from_millis(500));
    assert_eq!(clamped("60001"), MAX_RETRY);
    assert_eq!(clamped("1000000000000000000"), MAX_RETRY);
    assert_eq!(clamped(&"9".repeat(1000)), MAX_RETRY);
}

#[test]
fn over_long_fields_are_bounded() {
    let stream = |field: &str, len: usize| format!("{field}: {}\ndata: a\n\n", "7".repeat(len)).into_bytes();
    for size in [1, 7, 1000, 5000] {
        let id = |len| events(&stream("id", len), size).remove(0).id.map(|id| id.as_bytes().len());
        assert_eq!((id(MAX_FIELD_BYTES), id(MAX_FIELD_BYTES + 1), id(3000)), (Some(1024), None, None));
        // Not `message`, as it would be if the name were ignored.
        let name = |len| events(&stream("event", len), size).remove(0).name.as_str().len();
        assert_eq!((name(MAX_FIELD_BYTES), name(MAX_FIELD_BYTES + 1), name(3000)), (1024, 1024, 1024));
        let retry = |len| events(&stream("retry", len), size).remove(0).retry;
        assert_eq!((retry(MAX_FIELD_BYTES).is_some(), retry(MAX_FIELD_BYTES + 1), retry(3000)), (true, None, None));
        assert_eq!(shown(&stream("unknown", 3000), size), ["message|a|-|-"]);
    }
}

#[test]
fn an_event_over_the_cap_is_reported_once_and_the_next_ones_come() {
    let cases: &[(&str, &[&str])] = &[
        ("data: 12345678\n\n", &["message|12345678|-|-"]),
        ("data: 123456789\n\ndata: a\n\n", &["error", "message|a|-|-"]),
        // The LF between two lines counts.
        ("data: 1234\ndata: 567\n\n", &["message|1234\\n567|-|-"]),
        ("data: 1234\ndata: 5678\n\ndata: a\n\n", &["error", "message|a|-|-"]),
        ("data: 123456789\ndata: x\ndata: 123456789\n\n", &["error"]),
        // A resumed stream must be able to pass the event: its id and retry come out.
        ("id: 1\ndata: 123456789\nretry: 9\n\n", &["error", "message|-|1|9"]),
        ("data: 123456789\nid: 2\n\ndata: a\n\n", &["error", "message|-|2|-", "message|a|-|-"]),
        ("data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", &["message|\\n\\n\\n\\n\\n\\n\\n\\n|-|-"]),
        ("data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", &["error"]),
    ];
    for (stream, expected) in cases {
        for size in 1..=stream.len() {
            let got = decode_all(&mut Decoder::new(8), stream.as_bytes().chunks(size));
            let got: Vec<_> = got.iter().map(|item| item.as_ref().map_or("error".into(), show)).collect();
            assert_eq!(got, *expected, "{stream:?} in chunks of {size}");
        }
    }
}

#[test]
fn an_endless_line_is_reported_before_it_ends_and_holds_no_memory_afterwards() {
    let mut decoder = Decoder::new(1 << 20);
    let mut errors = decode_all(&mut decoder, [&b"data: "[..]]);
    let chunk = vec![b'x'; 64 * 1024];
    for _ in 0..64 {
        errors.extend(decode_all(&mut decoder, [&chunk[..]]));
    }
    assert_eq!(errors, [Err(DecodeError::TooLarge { limit: 1 << 20 })]);
    insta::assert_snapshot!(
        DecodeError::TooLarge { limit: 1 << 20 },
        @"an event has more than 1048576 bytes of data, and was dropped; raise --max-message to let it pass"
    );
    assert_eq!(decoder.kept_bytes(), 0);
    assert_eq!(decode_all(&mut decoder, [&b"\n\ndata: a\n\n"[..]]).len(), 1);
}

#[test]
fn an_event_under_way_holds_no_more_memory_than_the_cap() {
    let cap = 1_000_000;
    let mut decoder = Decoder::new(cap);
    decode_all(&mut decoder, [&b"data: "[..]]);
    let chunk = [b'x'; 1000];
    for _ in 0..cap / chunk.len() {
        assert!(decode_all(&mut decoder, [&chunk[..]]).is_empty());
        assert!(decoder.kept_bytes() <= cap + 2 * MAX_FIELD_BYTES, "{}", decoder.kept_bytes());
    }
}

#[test]
fn big_data_of_one_line_is_a_slice_of_its_chunk() {
    let mut chunk = Bytes::from([b"event: message\nid: 1\ndata: ", &vec![b'x'; 1 << 20][..], b"\n\n"].concat());
    let range = chunk.as_ptr_range();
    let event = Decoder::default().decode(&mut chunk).unwrap().unwrap();
    let data = event.data.unwrap();
    assert_eq!(data.len(), 1 << 20);
    assert!(range.contains(&data.as_ptr()));
}

#[test]
fn small_data_does_not_keep_its_chunk_alive() {
    let mut chunk = Bytes::from(b"data: {}\n\n".repeat(10_000));
    let range = chunk.as_ptr_range();
    let data = Decoder::default().decode(&mut chunk).unwrap().unwrap().data.unwrap();
    assert!(!range.contains(&data.as_ptr()));
}

/// No clock: the point is that these come to an end. A reader that copies its buffer per line or per chunk does
/// 10^11 bytes of work here.
#[test]
fn floods_take_linear_time() {
    let size = 16 << 20;
    let big = [b"data: ", &vec![b'x'; size][..], b"\n\n"].concat();
    let got = decode_all(&mut Decoder::default(), big.chunks(1024));
    assert_eq!(got[0].as_ref().unwrap().data.as_ref().unwrap().len(), size);

    let tiny = b"data: {}\n\n".repeat((4 << 20) / 10);
    assert_eq!(events(&tiny, tiny.len()).len(), (4 << 20) / 10);

    let lines = b"data: x\n".repeat(1 << 18);
    assert!(decode_all(&mut Decoder::default(), lines.chunks(3)).is_empty());
}

#[test]
fn floods_of_nothing_are_counted_and_hold_no_memory() {
    let mut decoder = Decoder::default();
    let mut total = 0;
    for noise in [&b": comment\n"[..], b"\n", b"\r\n", b"unknown: field\n", b"no colon\n", b"event: x\n"] {
        let flood = noise.repeat((1 << 20) / noise.len());
        total += flood.len() as u64;
        assert!(decode_all(&mut decoder, flood.chunks(4099)).is_empty());
        assert_eq!(decoder.quiet_bytes(), total);
    }
    for line in [&b":"[..], b"unknown: ", b"id: ", b"x"] {
        let endless = [line, &vec![b'y'; 1 << 20][..]].concat();
        total += endless.len() as u64 + 1;
        assert!(decode_all(&mut decoder, endless.chunks(4099).chain([&b"\n"[..]])).is_empty());
        assert_eq!(decoder.quiet_bytes(), total);
        assert!(decoder.kept_bytes() < 2 * MAX_FIELD_BYTES, "{}", decoder.kept_bytes());
    }
    assert_eq!(decode_all(&mut decoder, [&b"\ndata: a\n\n"[..]]).len(), 1);
    assert_eq!(decoder.quiet_bytes(), 0);
}

#[test]
fn ids_and_names_that_would_break_a_line_are_refused() {
    for (id, at) in [("a\nb", 1), ("\r", 0), ("ab\0", 2)] {
        assert!(matches!(EventId::new(id), Err(FieldError::Forbidden { at: found, .. }) if found == at));
    }
    assert!(EventName::new("a\rdata: forged").is_err());
    assert!(EventName::new("x".repeat(1025)).is_err());
    assert_eq!(EventName::new(""), Ok(EventName::MESSAGE));
    assert!(EventId::new("x".repeat(1024)).is_ok());
    insta::assert_snapshot!(
        EventId::new("a\nb").unwrap_err(),
        @"the event id has the byte 0x0a at 1, which cannot stand there; send it without CR, LF and NUL"
    );
    insta::assert_snapshot!(
        EventId::new("x".repeat(1025)).unwrap_err(),
        @"the event id is 1025 bytes long, and the limit is 1024; send a shorter one"
    );
    assert_eq!(format!("{:?}", EventId::new(&b"a\xff"[..]).unwrap()), "EventId(a\\xff)");
}

/// (what was written, how it looks on the wire).
#[test]
fn blocks_look_like_this_on_the_wire() {
    let id = EventId::new("7").unwrap();
    let write = |name, id, data: &'static str| {
        let mut out = BytesMut::new();
        encode::write_event(&mut out, name, id, data.as_bytes());
        let chunks: Vec<_> = encode::event(name, id, data.into()).collect();
        assert_eq!(chunks, [out.clone().freeze()], "small data is one chunk");
        out.freeze()
    };
    let cases: &[(Bytes, &str)] = &[
        (write(&EventName::MESSAGE, Some(&id), "{}"), "event: message\nid: 7\ndata: {}\n\n"),
        (write(&EventName::ENDPOINT, None, "/m?s=1"), "event: endpoint\ndata: /m?s=1\n\n"),
        (write(&EventName::MESSAGE, None, ""), "event: message\ndata: \n\n"),
        (
            write(&EventName::MESSAGE, None, "{\n\r\n1\r}\n"),
            "event: message\ndata: {\ndata: \ndata: 1\ndata: }\ndata: \n\n",
        ),
        (encode::priming(&id, None), "id: 7\ndata: \n\n"),
        (encode::priming(&id, Some(Duration::from_millis(500))), "id: 7\nretry: 500\ndata: \n\n"),
        (encode::retry(Duration::from_secs(2)), "retry: 2000\n\n"),
        (encode::keep_alive(), ": keep-alive\n\n"),
        (encode::ping(), "event: ping\ndata: {}\n\n"),
    ];
    for (wire, expected) in cases {
        assert_eq!(wire, expected);
    }
}

#[test]
fn big_data_is_written_without_a_copy() {
    let data = Bytes::from(vec![b'x'; 1 << 20]);
    let chunks: Vec<_> = encode::event(&EventName::MESSAGE, None, data.clone()).collect();
    assert_eq!(chunks.len(), 3);
    assert_eq!(chunks[1].as_ptr(), data.as_ptr());
    assert_eq!(events(&chunks.concat(), 1 << 20)[0].data, Some(data));

    // With line ends it has to be copied, and comes back with the same.
    let data = Bytes::from(vec![b'\n'; 5000]);
    let chunks: Vec<_> = encode::event(&EventName::MESSAGE, None, data.clone()).collect();
    assert_eq!((chunks.len(), &events(&chunks.concat(), 999)[0].data), (1, &Some(data)));
}
