//! What a pipe is: one ordered stream of frames each way, whose answers are found by id.
//!
//! Owns the two traits that a pipe wire implements (stdio, child, legacy SSE in both roles) and the line codec. Talks
//! to nobody above. It never correlates; [`crate::pump`] does.

use std::{collections::VecDeque, future::Future, io};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::message::{Frame, FrameError, Id, Outline};

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

/// One line.
#[derive(Debug)]
enum Line {
    /// What it holds.
    Text(Bytes),
    /// Why it holds no message.
    Bad(FrameError),
    /// It was thrown away, and was the answer to this.
    Answer(Id),
}

/// Reads messages from lines. Splits at LF alone: U+2028 stands raw in what some servers write.
#[derive(Debug)]
pub struct Lines<R> {
    read: R,
    buffer: BytesMut,
    /// Bytes at the start of the buffer that hold no line end.
    scanned: usize,
    max: usize,
    /// A line over the limit is being thrown away.
    skipping: Option<Outline>,
    /// The lines are a server's: what cannot be passed on is answered in its place.
    from_server: bool,
    /// Messages of a batch that are still to be given.
    batch: VecDeque<Result<Frame, FrameError>>,
}

impl<R: AsyncRead + Unpin + Send> Lines<R> {
    /// Reads lines of at most `max` bytes.
    pub fn new(read: R, max: usize) -> Lines<R> {
        let (buffer, batch) = (BytesMut::new(), VecDeque::new());
        Lines { read, buffer, scanned: 0, max, skipping: None, from_server: false, batch }
    }

    /// The same for the lines of a server: where one is an answer that cannot be passed on, an error with its id is
    /// given in its place, so that nobody waits for it in vain.
    pub fn from_server(read: R, max: usize) -> Lines<R> {
        Lines { from_server: true, ..Lines::new(read, max) }
    }

    /// The next message, `None` at the end of the stream. A last line without its LF still counts. Cancel-safe: what
    /// was read stays in the buffer.
    pub async fn next(&mut self) -> io::Result<Option<Result<Frame, FrameError>>> {
        loop {
            if let Some(frame) = self.batch.pop_front() {
                return Ok(Some(frame));
            }
            let line = match self.next_line().await? {
                None => return Ok(None),
                Some(Line::Bad(error)) => return Ok(Some(Err(error))),
                Some(Line::Answer(id)) => return Ok(Some(Ok(Frame::unusable(&id, &FrameError::TooLarge(self.max))))),
                Some(Line::Text(line)) if line.is_empty() => continue,
                Some(Line::Text(line)) => line,
            };
            if line.first() != Some(&b'[') {
                return Ok(Some(Frame::parse(line.clone()).or_else(|error| self.in_its_place(&line, error))));
            }
            match Frame::parse_batch(line) {
                Ok(frames) => self.batch.extend(frames.into_iter().map(Ok)),
                Err(error) => return Ok(Some(Err(error))),
            }
        }
    }

    fn in_its_place(&self, line: &[u8], error: FrameError) -> Result<Frame, FrameError> {
        self.answered_by(line).map(|id| Frame::unusable(&id, &error)).ok_or(error)
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
                if let Some(line) = self.skipped(&rest) {
                    return Ok(line);
                }
                return Ok((!rest.trim_ascii().is_empty()).then(|| Line::Text(trimmed(&rest))));
            }
        }
    }

    fn split_line(&mut self) -> Option<Line> {
        loop {
            let Some(at) = memchr::memchr(b'\n', self.buffer.get(self.scanned..)?) else {
                self.scanned = self.buffer.len();
                return self.over_long();
            };
            let line = self.buffer.split_to(self.scanned + at + 1).freeze();
            self.scanned = 0;
            if line.len() > READ_LARGE || self.skipping.is_some() {
                // Else the rest shares the large line's memory, and takes it over: an idle session would keep it.
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            match self.skipped(&line) {
                Some(None) => continue,
                Some(answer) => return answer,
                None => {}
            }
            let line = trimmed(&line);
            return Some(if line.len() > self.max { self.too_large(&line) } else { Line::Text(line) });
        }
    }

    /// Throws away what is in the buffer if the line is over the limit. Told once, when the limit is met.
    fn over_long(&mut self) -> Option<Line> {
        let (over, told) = (self.buffer.len() > self.max, self.skipping.is_some());
        if over || told {
            self.skipping.get_or_insert_default().read(&self.buffer);
            self.buffer.clear();
            self.scanned = 0;
        }
        (over && !told).then_some(Line::Bad(FrameError::TooLarge(self.max)))
    }

    /// Takes the end of a line that was thrown away: `None` when this is no such line, `Some(None)` when it is and was
    /// no answer to anything.
    fn skipped(&mut self, rest: &[u8]) -> Option<Option<Line>> {
        let mut outline = self.skipping.take()?;
        outline.read(rest);
        Some(outline.answers().filter(|_| self.from_server).map(Line::Answer))
    }

    /// A line that is whole and over the limit.
    fn too_large(&self, line: &[u8]) -> Line {
        self.answered_by(line).map_or(Line::Bad(FrameError::TooLarge(self.max)), Line::Answer)
    }

    /// The request that a server's line was to answer.
    fn answered_by(&self, line: &[u8]) -> Option<Id> {
        let mut outline = Outline::default();
        if self.from_server {
            outline.read(line);
        }
        outline.answers()
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
    async fn an_answer_of_a_server_that_cannot_be_passed_on_is_answered_in_its_place() {
        let over = format!("{{\"result\":\"{}\",\"id\":\"a\"}}", "x".repeat(100_000));
        let broken = "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":1,\"error\":{}}";
        let input = format!("{over}\n{broken}\nstarting on port 7\n{}\n{over}", line("next"));
        for (max, chunk) in [(1_000, 64), (1_000, 4_096), (99_999, 1 << 20)] {
            let (mut write, read) = tokio::io::duplex(chunk);
            let (input, mut lines) = (input.clone(), Lines::from_server(read, max));
            let writer = async move { write.write_all(input.as_bytes()).await };
            let reader = async {
                let mut ids = Vec::new();
                while let Some(frame) = lines.next().await.unwrap() {
                    ids.extend(frame.ok().map(|frame| (frame.id_text().to_string(), frame.is_error())));
                }
                ids
            };
            let ids = tokio::join!(writer, reader).1;
            let want = [("\"a\"", true), ("2", true), ("null", false), ("\"a\"", true)];
            assert_eq!(ids, want.map(|(id, error)| (id.to_string(), error)), "max {max} chunk {chunk}");
        }
    }

    #[tokio::test]
    async fn a_large_line_leaves_no_large_buffer_behind() {
        for max in [1 << 24, 1 << 21] {
            let (mut write, read) = tokio::io::duplex(1 << 20);
            let mut lines = Lines::new(read, max);
            let writer = async {
                let text = format!("{}\n{}\n", line(&"x".repeat(4_000_000)), line("next"));
                write.write_all(text.as_bytes()).await.unwrap();
            };
            let reader = async {
                drop(lines.next().await.unwrap());
                assert_eq!(lines.next().await.unwrap().unwrap().unwrap().method(), "next");
            };
            tokio::join!(writer, reader);
            lines.buffer.reserve(1);
            assert!(lines.buffer.capacity() <= 2 * READ_LARGE, "{} bytes, max {max}", lines.buffer.capacity());
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
