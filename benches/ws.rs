//! A call over WebSocket, beside the same call over Streamable HTTP: the bridge's two doors to one stdio server.
//!
//! Owns the load generator's WebSocket, which knows the frames that come of calls and no others, and the order of the
//! comparison. Talks to one bridge for each side, as `calls` does.

use std::{net::SocketAddr, time::Duration};

use bytes::BytesMut;
use mcp_bridge::wire::ws::codec::{self, Kind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::calls::{Route, SMALL, Setup, compare, rounds};
use crate::process::{Side, Wire};
use crate::report::{Aim, Report};
use crate::{Outcome, fail};

/// Any will do: what a mask guards against is not here. It is applied, as every client has to.
const KEY: [u8; 4] = [17, 203, 94, 41];
/// Bytes; room for one read.
const READ: usize = 64 << 10;

/// One connection.
#[derive(Debug)]
pub struct Line {
    socket: TcpStream,
    raw: Vec<u8>,
    at: usize,
    out: BytesMut,
}

impl Line {
    pub async fn open(addr: SocketAddr) -> Outcome<Line> {
        let socket = TcpStream::connect(addr).await.map_err(|why| format!("cannot connect to {addr}: {why}"))?;
        socket.set_nodelay(true)?;
        let mut line = Line { socket, raw: Vec::new(), at: 0, out: BytesMut::new() };
        let ask = format!(
            "GET /ws HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        line.socket.write_all(ask.as_bytes()).await?;
        loop {
            if let Some(end) = memchr::memmem::find(&line.raw, b"\r\n\r\n") {
                line.at = end + 4;
                break;
            }
            line.fill().await?;
        }
        match line.raw.starts_with(b"HTTP/1.1 101 ") {
            true => Ok(line),
            false => fail("the upgrade was refused"),
        }
    }

    pub async fn send(&mut self, text: &[u8]) -> Outcome<()> {
        self.out.clear();
        codec::put_head(&mut self.out, Kind::Text, text.len(), Some(KEY));
        let start = self.out.len();
        self.out.extend_from_slice(text);
        codec::mask(self.out.get_mut(start..).unwrap_or_default(), KEY);
        Ok(self.socket.write_all(&self.out).await?)
    }

    /// The next message.
    pub async fn hear(&mut self) -> Outcome<&[u8]> {
        loop {
            let raw = self.raw.get(self.at..).unwrap_or_default();
            let (head, length) = match raw {
                [0x81, short @ 0..=125, ..] => (2, usize::from(*short)),
                [0x81, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
                [] | [0x81] | [0x81, 126, ..] => (2, usize::MAX),
                [first, ..] => return fail(format!("a frame that begins with {first:#x}, which no answer does")),
            };
            if raw.len().saturating_sub(head) >= length {
                let from = self.at + head;
                self.at = from + length;
                return Ok(self.raw.get(from..self.at).unwrap_or_default());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Outcome<()> {
        self.raw.drain(..self.at);
        self.at = 0;
        self.raw.reserve(READ);
        match self.socket.read_buf(&mut self.raw).await? {
            0 => fail("the connection was closed before the answer was complete"),
            _ => Ok(()),
        }
    }
}

pub async fn measure(report: &mut Report) -> Outcome<()> {
    let (count, span) = if report.quick { (7, Duration::from_millis(300)) } else { (15, Duration::from_secs(1)) };
    let text = "x".repeat(SMALL);
    for callers in [1, 16] {
        let mut http = Setup::new(Side::Bridge, Route::Serve(Wire::Http), callers, 1).await?;
        let mut ws = Setup::web_socket(callers).await?;
        let got = rounds(&mut ws, &mut http, count, 1, &text, span).await?;
        let what = format!("stdio → WebSocket beside stdio → HTTP, callers: {callers}");
        let (ours, beside, ratio) = compare(&got, |round| round.p50 * 1e3);
        report.row(format!("{what}, p50"), "µs", ours, beside, ratio, Aim::RatioAtMost(1.2));
        let (ours, beside, ratio) = compare(&got, |round| round.p99 * 1e3);
        report.row(format!("{what}, p99"), "µs", ours, beside, ratio, Aim::None);
        let (ours, beside, ratio) = compare(&got, |round| round.cpu);
        report.row(format!("{what}, CPU of a call"), "µs", ours, beside, ratio, Aim::RatioAtMost(1.2));
    }
    Ok(())
}
