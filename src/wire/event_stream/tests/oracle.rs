//! The decoder against other readings of the same rules: a slow one written from the standard's text, for any bytes,
//! and the two crates that clients use, for streams on which those are right.

use futures::{FutureExt, StreamExt, stream};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The standard's algorithm, step by step on the whole stream at once.
fn reference(stream: &[u8]) -> Vec<Event> {
    let mut lines = vec![Vec::new()];
    let stream = stream.strip_prefix("\u{feff}".as_bytes()).unwrap_or(stream);
    for (at, &byte) in stream.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && stream[at - 1] == b'\r' => {}
            b'\n' | b'\r' => lines.push(Vec::new()),
            _ => lines.last_mut().unwrap().push(byte),
        }
    }
    lines.pop(); // What has no line end is no line.
    let mut out = Vec::new();
    let (mut name, mut data, mut id, mut retry) = (Vec::new(), Vec::new(), None, None);
    for line in lines {
        if line.is_empty() {
            let data: Option<Bytes> = std::mem::take(&mut data).strip_suffix(b"\n").map(Bytes::copy_from_slice);
            let name = EventName::new(String::from_utf8_lossy(&std::mem::take(&mut name)).into_owned()).unwrap();
            let event = Event { name, data, id: id.take(), retry: retry.take() };
            out.extend(Some(event).filter(|e| e.data.is_some() || e.id.is_some() || e.retry.is_some()));
            continue;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let field = parts.next().unwrap();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => name = value.to_vec(),
            b"data" => data.extend([value, b"\n"].concat()),
            b"id" if !value.contains(&0) => id = Some(EventId::new(value.to_vec()).unwrap()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let millis = std::str::from_utf8(value).unwrap().parse().unwrap_or(u64::MAX);
                retry = Some(Duration::from_millis(millis));
            }
            _ => {}
        }
    }
    out
}

/// Streams that are mostly made of what the rules are about.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"data",
        b"data:",
        b"data: ",
        b"event",
        b"event: ",
        b"id",
        b"id:",
        b"retry: ",
        b"retry:12",
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"\r\r",
        b"\r\n\r\n",
        b":",
        b" ",
        b"\0",
        b"\xef",
        b"\xef\xbb\xbf",
        b"message",
        b"x",
        b"7",
        b"{}",
    ];
    let word = prop_oneof![
        8 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..8),
        1 => (1usize..9000).prop_map(|len| [b"\ndata: ", &vec![b'z'; len][..], b"\n"].concat()),
    ];
    vec(word, 0..40).prop_map(|words| words.concat())
}

fn cut(mut stream: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut out = Vec::new();
    for cut in cuts {
        let (piece, rest) = stream.split_at(cut % (stream.len() + 1));
        out.push(Bytes::copy_from_slice(piece));
        stream = rest;
    }
    out.push(Bytes::copy_from_slice(stream));
    out
}

/// A block that every reader agrees on, and how it is written: line ends, the space after the colon, the order.
#[derive(Debug, Clone)]
struct Written {
    event: Event,
    text: String,
}

fn any_block() -> impl Strategy<Value = Written> {
    let name = prop::option::of("[a-z]{1,8}");
    let data = prop::option::of(vec("[ -9;-~é😀]{0,20}", 1..4));
    let id = prop::option::of("[a-zA-Z0-9-]{0,8}");
    let noise = prop::option::of(prop::sample::select(&[":", ": c", ":data: x", "unknown: x"][..]));
    (name, data, id, prop::option::of(0..100_000u64), noise, any::<bool>(), any::<bool>()).prop_map(
        |(name, data, id, retry, noise, crlf, space)| {
            let (end, gap) = (if crlf { "\r\n" } else { "\n" }, if space { " " } else { "" });
            // Without the space after the colon a value must not start with one.
            let data = data.map(|lines| match space {
                true => lines,
                false => lines.iter().map(|line| line.trim_start().to_owned()).collect(),
            });
            let mut text = String::new();
            let mut field = |name: &str, value: &str| text.extend([name, ":", gap, value, end]);
            if let Some(name) = &name {
                field("event", name);
            }
            if let Some(id) = &id {
                field("id", id);
            }
            if let Some(retry) = retry {
                field("retry", &retry.to_string());
            }
            for line in data.iter().flatten() {
                field("data", line);
            }
            text.extend(noise.iter().flat_map(|noise| [*noise, end]));
            text.push_str(end);
            let event = Event {
                name: name.map_or(EventName::MESSAGE, |name| EventName::new(name).unwrap()),
                data: data.map(|lines| lines.join("\n").into()),
                id: id.map(|id| EventId::new(id).unwrap()),
                retry: retry.map(Duration::from_millis),
            };
            Written { event, text }
        },
    )
}

fn collect<T>(stream: impl stream::Stream<Item = T>) -> Vec<T> {
    stream.collect().now_or_never().unwrap()
}

fn source(chunks: &[Bytes]) -> impl stream::Stream<Item = Result<Bytes, std::io::Error>> + Unpin {
    stream::iter(chunks.iter().cloned().map(Ok))
}

proptest! {
    #[test]
    fn any_bytes_in_any_chunks_give_what_the_standard_gives(
        stream in any_stream(), cuts in vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let cuts: Vec<_> = cuts.iter().map(|cut| cut.index(50)).collect();
        let chunks = cut(&stream, &cuts);
        let got = decode_all(&mut Decoder::default(), chunks.iter().map(|chunk| &chunk[..]));
        let expected: Vec<_> = reference(&stream).into_iter().map(Ok).collect();
        prop_assert_eq!(&got, &expected);
        prop_assert_eq!(decode_all(&mut Decoder::default(), [&stream[..]]), expected);
    }

    #[test]
    fn any_chunking_under_a_small_cap_gives_the_same(stream in any_stream(), cap in 0usize..5000, size in 1usize..50) {
        let whole = decode_all(&mut Decoder::new(cap), [&stream[..]]);
        prop_assert_eq!(decode_all(&mut Decoder::new(cap), stream.chunks(size)), whole);
    }

    #[test]
    fn what_is_written_is_read_back(
        name in "[^\r\n]{0,20}", id in prop::option::of(vec(any::<u8>(), 0..20)), data in vec(any::<u8>(), 0..6000),
        size in 1usize..7000,
    ) {
        let name = EventName::new(name).unwrap();
        let id = id.and_then(|id| EventId::new(id).ok());
        let wire: Vec<u8> = encode::event(&name, id.as_ref(), data.clone().into()).flatten().collect();
        let mut joined = BytesMut::new();
        encode::write_event(&mut joined, &name, id.as_ref(), &data);
        prop_assert_eq!(&wire, &joined);
        // CR and CRLF come back as LF.
        let mut lf = data.clone();
        lf.iter_mut().for_each(|byte| if *byte == b'\r' { *byte = b'\n' });
        for at in (1..data.len()).rev().filter(|at| data[at - 1..=*at] == *b"\r\n") {
            lf.remove(at);
        }
        prop_assert_eq!(events(&wire, size), [Event { name, data: Some(lf.into()), id, retry: None }]);
    }

    #[test]
    fn other_libraries_read_well_formed_streams_alike(
        blocks in vec(any_block(), 0..8), cuts in vec(0usize..60, 0..20), bom in any::<bool>(),
    ) {
        let text: String = blocks.iter().map(|block| block.text.as_str()).collect();
        let ours: Vec<Event> = blocks.into_iter().map(|block| block.event).collect();
        let ours: Vec<_> = ours.into_iter().filter(|e| e.data.is_some() || e.id.is_some() || e.retry.is_some()).collect();
        let with_mark = if bom { format!("\u{feff}{text}") } else { text.clone() };
        let chunks = cut(with_mark.as_bytes(), &cuts);
        let got = decode_all(&mut Decoder::default(), chunks.iter().map(|chunk| &chunk[..]));
        prop_assert_eq!(got, ours.iter().cloned().map(Ok).collect::<Vec<_>>());

        // sse-stream also shows blocks that only name an event.
        let theirs: Vec<_> = collect(sse_stream::SseByteStream::new(source(&chunks))).into_iter().map(|item| {
            let sse = item.unwrap();
            let id = sse.id.map(|id| EventId::new(id).unwrap());
            let name = EventName::new(sse.event.unwrap_or_default()).unwrap();
            Event { name, data: sse.data.map(Bytes::from), id, retry: sse.retry.map(Duration::from_millis) }
        }).filter(|e| e.data.is_some() || e.id.is_some() || e.retry.is_some()).collect();
        prop_assert_eq!(&theirs, &ours);

        // eventsource-stream shows blocks with data only, repeats the last id, and panics on a byte order mark.
        let chunks = cut(text.as_bytes(), &cuts);
        let theirs: Vec<_> = collect(eventsource_stream::EventStream::new(source(&chunks))).into_iter().map(|item| {
            let event = item.unwrap();
            (event.event, event.data, event.id)
        }).collect();
        let mut last = String::new();
        let mut expected = Vec::new();
        for event in ours {
            last = event.id.map_or(last, |id| String::from_utf8(id.as_bytes().to_vec()).unwrap());
            if let Some(data) = event.data {
                let data = String::from_utf8(data.to_vec()).unwrap();
                expected.push((event.name.as_str().to_owned(), data, last.clone()));
            }
        }
        prop_assert_eq!(theirs, expected);
    }
}
