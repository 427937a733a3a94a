//! What a pipe is: one ordered stream of frames each way, whose answers are found by id.
//!
//! Owns the two traits that a pipe wire implements (stdio, child, legacy SSE in both roles) and the line codec. Talks
//! to nobody above. It never correlates; [`crate::pump`] does.

use std::{collections::VecDeque, future::Future, io};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use self::salvage::Ends;
use crate::message::{Frame, FrameError};

mod salvage;

/// The reading half of a pipe.
pub trait FrameSource: Send + 'static {
    /// The next message; an error for something that is none (the pipe goes on), `None` when the far end has closed.
    /// Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Option<Result<Frame, FrameError>>> + Send;

    /// Why it closed; asked once, after `next` gave `None`. Answers within a second: callers wait for it.
    fn end(&mut self) -> impl Future<Output = Ended> + Send;
}

/// The writing half of a pipe. Dropping it closes that half.
pub trait FrameSink: Send + 'static {
    /// Writes all frames, in order, and flushes. Waits while the far end does not read.
    fn write(&mut self, frames: &[Frame]) -> impl Future<Output = io::Result<()>> + Send;
}

/// Why a far end is gone, in words for the callers that wait for its answers.
#[derive(Debug, Clone)]
pub struct Ended {
    /// One line.
    pub message: String,
    /// Error data: exit code, last lines of stderr.
    pub data: Option<serde_json::Value>,
}

/// Room for a read into an empty buffer: a pipe's usual message, and little for the many sessions that are idle.
const READ_SMALL: usize = 4 * 1024;

/// Room for a read when a message does not fit: what a Linux pipe holds.
const READ_LARGE: usize = 64 * 1024;

/// A frame up to this size is copied next to its neighbours to make one write of several frames.
const COALESCE: usize = 8 * 1024;

/// One line: what it holds, or why it holds no message.
type Line = Result<Bytes, FrameError>;

/// Reads messages from lines. Splits at LF alone: U+2028 stands raw in what some servers write.
#[derive(Debug)]
pub struct Lines<R> {
    read: R,
    buffer: BytesMut,
    /// Bytes at the start of the buffer that hold no line end.
    scanned: usize,
    max: usize,
    /// The rest of a line over the limit is being thrown away, but for its ends.
    skipping: Option<Box<Ends>>,
    /// Messages of a batch that are still to be given.
    batch: VecDeque<Result<Frame, FrameError>>,
}

impl<R: AsyncRead + Unpin + Send> Lines<R> {
    /// Reads lines of at most `max` bytes.
    pub fn new(read: R, max: usize) -> Lines<R> {
        Lines { read, buffer: BytesMut::new(), scanned: 0, max, skipping: None, batch: VecDeque::new() }
    }

    /// The next message, `None` at the end of the stream. A last line without its LF still counts. Cancel-safe: what
    /// was read stays in the buffer.
    pub async fn next(&mut self) -> io::Result<Option<Result<Frame, FrameError>>> {
        loop {
            if let Some(frame) = self.batch.pop_front() {
                return Ok(Some(frame));
            }
            match self.next_line().await? {
                None => return Ok(None),
                Some(Err(error)) => return Ok(Some(Err(error))),
                Some(Ok(line)) if line.is_empty() => {}
                Some(Ok(line)) if line.first() == Some(&b'[') => match Frame::parse_batch(line) {
                    Ok(frames) => self.batch.extend(frames.into_iter().map(Ok)),
                    Err(error) => return Ok(Some(Err(error))),
                },
                Some(Ok(line)) => {
                    let frame = Frame::parse(line.clone());
                    // An answer that cannot be passed on is still an answer: somebody waits for it.
                    return Ok(Some(frame.or_else(|error| salvage::instead_of(&line, &error).ok_or(error))));
                }
            }
        }
    }

    async fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.split_line() {
                return Ok(Some(line));
            }
            if self.buffer.capacity() - self.buffer.len() < READ_SMALL / 2 {
                let room = if self.buffer.len() < READ_SMALL { READ_SMALL } else { READ_LARGE.max(self.buffer.len()) };
                self.buffer.reserve(room);
            }
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                let rest = std::mem::take(&mut self.buffer).freeze();
                self.scanned = 0;
                if let Some(ends) = self.skipping.take() {
                    return Ok(self.saved(ends, &rest));
                }
                return Ok((!rest.trim_ascii().is_empty()).then(|| Ok(trimmed(&rest))));
            }
        }
    }

    fn split_line(&mut self) -> Option<Line> {
        loop {
            let Some(at) = memchr::memchr(b'\n', self.buffer.get(self.scanned..)?) else {
                self.scanned = self.buffer.len();
                let (over, told) = (self.buffer.len() > self.max, self.skipping.is_some());
                if over || told {
                    self.skipping.get_or_insert_default().add(&self.buffer);
                    self.buffer.clear();
                    self.scanned = 0;
                }
                // Told once, when the limit is met; the rest of the line is silence.
                return (over && !told).then_some(Err(FrameError::TooLarge(self.max)));
            };
            let line = self.buffer.split_to(self.scanned + at + 1).freeze();
            self.scanned = 0;
            if let Some(ends) = self.skipping.take() {
                match self.saved(ends, &line) {
                    Some(saved) => return Some(saved),
                    None => continue,
                }
            }
            let line = trimmed(&line);
            if line.len() <= self.max {
                return Some(Ok(line));
            }
            let error = FrameError::TooLarge(self.max);
            return Some(salvage::instead_of(&line, &error).map(|frame| frame.bytes().clone()).ok_or(error));
        }
    }

    /// The line to read in the place of one over the limit whose end has come.
    fn saved(&self, mut ends: Box<Ends>, rest: &[u8]) -> Option<Line> {
        ends.add(rest);
        ends.finish(&FrameError::TooLarge(self.max)).map(|frame| Ok(frame.bytes().clone()))
    }
}

fn trimmed(line: &Bytes) -> Bytes {
    line.slice_ref(line.trim_ascii())
}

/// Writes messages as lines, several small ones with one write.
#[derive(Debug)]
pub struct LineSink<W> {
    write: W,
    buffer: BytesMut,
}

impl<W: AsyncWrite + Unpin + Send> LineSink<W> {
    /// Writes lines.
    pub fn new(write: W) -> LineSink<W> {
        LineSink { write, buffer: BytesMut::new() }
    }

    /// The stream itself, for an owner that closes it in its own way.
    pub fn into_inner(self) -> W {
        self.write
    }

    async fn flush_buffer(&mut self) -> io::Result<()> {
        self.write.write_all(&self.buffer).await?;
        self.buffer.clear();
        Ok(())
    }
}

impl<W: AsyncWrite + Unpin + Send + 'static> FrameSink for LineSink<W> {
    async fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        for frame in frames {
            let line = frame.line();
            if line.len() > COALESCE {
                self.flush_buffer().await?;
                self.write.write_all(&line).await?;
                self.buffer.extend_from_slice(b"\n");
            } else {
                self.buffer.extend_from_slice(&line);
                self.buffer.extend_from_slice(b"\n");
                if self.buffer.len() > COALESCE {
                    self.flush_buffer().await?;
                }
            }
        }
        self.flush_buffer().await?;
        self.write.flush().await?;
        // An idle session keeps no buffer.
        self.buffer = BytesMut::new();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(input: &[u8], max: usize, chunk: usize) -> Vec<Result<String, FrameError>> {
        let (mut write, read) = tokio::io::duplex(chunk);
        let input = input.to_vec();
        let writer = async move { write.write_all(&input).await };
        let reader = async {
            let mut lines = Lines::new(read, max);
            let mut out = Vec::new();
            while let Some(frame) = lines.next().await.unwrap() {
                out.push(frame.map(|frame| frame.method().to_string()));
            }
            out
        };
        tokio::join!(writer, reader).1
    }

    fn line(method: &str) -> String {
        format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\"}}")
    }

    #[tokio::test]
    async fn lines_are_messages_whatever_the_chunks() {
        let input = format!("{}\r\n\n  \n{}\nnot json\n{}", line("a"), line("b\u{2028}"), line("c"));
        for chunk in [1, 2, 7, 64, 4096] {
            let got = read_all(input.as_bytes(), 1024, chunk).await;
            assert_eq!(got.len(), 4, "chunk {chunk}");
            assert_eq!(got[0], Ok("a".into()));
            assert_eq!(got[1], Ok("b\u{2028}".into()));
            assert!(matches!(got[2], Err(FrameError::NotJson(_))));
            assert_eq!(got[3], Ok("c".into()));
        }
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_told_once_and_the_next_one_is_read() {
        for (size, chunks) in [(101, [1, 64, 4096]), (1_000_000, [640, 8_192, 70_000])] {
            for chunk in chunks {
                let input = format!("{}\n{}\n", "x".repeat(size), line("next"));
                let got = read_all(input.as_bytes(), 100, chunk).await;
                assert_eq!(got, [Err(FrameError::TooLarge(100)), Ok("next".into())], "size {size} chunk {chunk}");
            }
        }
        assert_eq!(read_all("x".repeat(500).as_bytes(), 100, 64).await, [Err(FrameError::TooLarge(100))]);
    }

    #[tokio::test]
    async fn the_caller_of_an_answer_over_the_limit_is_told() {
        let long = "x".repeat(5_000);
        for (answer, chunk) in [
            (format!(r#"{{"jsonrpc":"2.0","id":7,"result":"{long}"}}"#), 64),
            (format!(r#"{{"result":"{long}","jsonrpc":"2.0","id":7}}"#), 64),
            (format!(r#"{{"result":"{long}","jsonrpc":"2.0","id":7}}"#), 100_000),
        ] {
            for end in ["\n", ""] {
                let (mut write, read) = tokio::io::duplex(chunk);
                let input = format!("{answer}{end}");
                let mut lines = Lines::new(read, 1_000);
                let writer = async move { write.write_all(input.as_bytes()).await };
                let reader = async {
                    let mut frames = Vec::new();
                    while let Some(frame) = lines.next().await.unwrap() {
                        frames.extend(frame);
                    }
                    frames
                };
                let frames = tokio::join!(writer, reader).1;
                assert_eq!(frames.iter().map(Frame::id_text).collect::<Vec<_>>(), ["7"], "{end:?} {chunk}");
                assert!(frames[0].is_error() && frames[0].body().unwrap().contains("larger than 1000 bytes"));
            }
        }
    }

    #[tokio::test]
    async fn a_batch_is_its_messages() {
        let input = format!("[{},{}]\n{}\n[]\n", line("a"), line("b"), line("c"));
        let got = read_all(input.as_bytes(), 1024, 64).await;
        assert_eq!(got[..3], [Ok("a".into()), Ok("b".into()), Ok("c".into())]);
        assert!(got[3].is_err());
    }

    #[tokio::test]
    async fn written_lines_are_read_back_unchanged() {
        let sizes = [1, 100, 8_000, 9_000, 300_000, 5];
        let frames: Vec<Frame> = sizes.map(|n| Frame::notification(&"m".repeat(n), None)).to_vec();
        let (write, read) = tokio::io::duplex(1 << 16);
        let mut sink = LineSink::new(write);
        let writer = async {
            sink.write(&frames).await.unwrap();
            drop(sink);
        };
        let reader = async {
            let mut lines = Lines::new(read, 1 << 20);
            let mut out = Vec::new();
            while let Some(frame) = lines.next().await.unwrap() {
                out.push(frame.unwrap().bytes().clone());
            }
            out
        };
        let ((), got) = tokio::join!(writer, reader);
        assert_eq!(got, frames.iter().map(|frame| frame.bytes().clone()).collect::<Vec<_>>());
    }
}
