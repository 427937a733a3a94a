//! The floor: the least that a bridge can do. A bare pump between hyper and a pipe, run as a process of its own.
//!
//! Owns nothing but two programs, `serve` and `connect`. It finds the id of a message by searching for `"id":`, keeps
//! one table, bounds nothing, checks nothing, and knows only what the bench sends: it is a measure, never a bridge.

pub mod connect;
pub mod serve;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

/// What crosses tasks here.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Failed>;

/// The JSON text of a message's id. The messages of the bench hold no other `"id":` before it.
pub fn id_of(message: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(message, b"\"id\":")? + 5;
    message.get(at..)?.split(|byte| *byte == b',' || *byte == b'}').next().map(<[u8]>::trim_ascii)
}

/// Cuts what a stream gives into lines.
#[derive(Debug)]
pub struct Lines<R> {
    read: R,
    buffer: bytes::BytesMut,
    scanned: usize,
}

impl<R: tokio::io::AsyncRead + Unpin> Lines<R> {
    pub fn new(read: R) -> Lines<R> {
        Lines { read, buffer: bytes::BytesMut::new(), scanned: 0 }
    }

    /// The next line with its end, `None` after the last.
    pub async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            let rest = self.buffer.get(self.scanned..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', rest) {
                let line = self.buffer.split_to(self.scanned + end + 1).freeze();
                self.scanned = 0;
                return Ok(Some(line));
            }
            self.scanned = self.buffer.len();
            let room = if self.scanned < 4096 { 4096 } else { self.scanned.max(64 << 10) };
            self.buffer.reserve(room);
            if tokio::io::AsyncReadExt::read_buf(&mut self.read, &mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}
