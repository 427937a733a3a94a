//! Writes event streams.
//!
//! Owns the text of every block that the bridge sends. The names and ids that it takes cannot break a line, by type, so
//! nothing here can fail. It never decides when to send what.

use std::array;
use std::iter::Flatten;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

use super::{EventId, EventName, SHARE_FROM};

/// The chunks of one encoded event, none of them empty. See [`event`].
pub type Chunks = Flatten<array::IntoIter<Option<Bytes>, 3>>;

/// An event, as one to three chunks to write one after the other.
///
/// Big data of one line is not copied: it is a chunk of its own between what goes before and after it, and a vectored
/// write takes all three. Anything else is one chunk.
pub fn event(name: &EventName, id: Option<&EventId>, data: Bytes) -> Chunks {
    let mut out = BytesMut::new();
    let parts = if data.len() < SHARE_FROM || memchr2(b'\r', b'\n', &data).is_some() {
        write_event(&mut out, name, id, &data);
        [Some(out.freeze()), None, None]
    } else {
        write_head(&mut out, name, id, 0);
        out.put_slice(b"data: ");
        [Some(out.freeze()), Some(data), Some(Bytes::from_static(b"\n\n"))]
    };
    parts.into_iter().flatten()
}

/// Appends an event to `out`.
///
/// Data with line ends goes out as several `data` lines, which the reader joins by LF. CR and CRLF so become LF, for the
/// format has no way to carry them; in JSON they are white space, and inside a string they cannot stand.
pub fn write_event(out: &mut BytesMut, name: &EventName, id: Option<&EventId>, data: &[u8]) {
    write_head(out, name, id, data.len());
    let mut rest = data;
    while let Some(end) = memchr2(b'\r', b'\n', rest) {
        let (line, tail) = rest.split_at(end);
        write_field(out, b"data: ", line);
        rest = tail.strip_prefix(b"\r\n").or(tail.get(1..)).unwrap_or_default();
    }
    write_field(out, b"data: ", rest);
    out.put_u8(b'\n');
}

/// The event that gives a client an id to resume from before there is any message: an id and empty data (MCP
/// 2025-11-25, Transports, Streamable HTTP, Sending Messages to the Server). With `retry`, also how long to wait before
/// it reconnects. Clients of earlier revisions may read the empty data as JSON and fail: send it to none of them.
pub fn priming(id: &EventId, retry: Option<Duration>) -> Bytes {
    let mut out = BytesMut::new();
    write_field(&mut out, b"id: ", id.as_bytes());
    if let Some(wait) = retry {
        write_retry(&mut out, wait);
    }
    out.put_slice(b"data: \n\n");
    out.freeze()
}

/// A block that only says how long to wait before a reconnect, in whole milliseconds.
pub fn retry(wait: Duration) -> Bytes {
    let mut out = BytesMut::new();
    write_retry(&mut out, wait);
    out.put_u8(b'\n');
    out.freeze()
}

/// A comment: keeps the connection from looking idle, and is nothing to a client. The blank line after it is for
/// readers that wait for the end of a block before they look at it.
pub fn keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

/// A keep-alive that is an event, for clients and proxies that do not count comments. Its data is an empty object, for
/// without data it would be no event, and there are clients that read all data as JSON.
pub fn ping() -> Bytes {
    Bytes::from_static(b"event: ping\ndata: {}\n\n")
}

/// Writes the fields before the data, with room for `data_len` bytes of data on one line.
fn write_head(out: &mut BytesMut, name: &EventName, id: Option<&EventId>, data_len: usize) {
    let id_len = id.map_or(0, |id| id.as_bytes().len());
    out.reserve(b"event: \nid: \ndata: \n\n".len() + name.as_str().len() + id_len + data_len);
    write_field(out, b"event: ", name.as_str().as_bytes());
    if let Some(id) = id {
        write_field(out, b"id: ", id.as_bytes());
    }
}

fn write_retry(out: &mut BytesMut, wait: Duration) {
    write_field(out, b"retry: ", wait.as_millis().to_string().as_bytes());
}

/// The space after the colon is part of `field`: the reader takes one off, so a value may start with its own.
fn write_field(out: &mut BytesMut, field: &'static [u8], value: &[u8]) {
    out.put_slice(field);
    out.put_slice(value);
    out.put_u8(b'\n');
}
