//! A connection before there is HTTP on it: where it came in, TLS, and which HTTP it speaks.
//!
//! Owns the handshake and what it tells of the client. Talks to the socket. It never reads a request, and takes no time
//! of its own: whoever serves the connection ends it when the handshake takes too long.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    peer::Principal,
    tls::{
        name,
        server::{H2, Server},
    },
};

/// What an HTTP/2 client sends first (RFC 9113, HTTP/2 Connection Preface). No method of HTTP/1 begins with `PRI`.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of every TLS connection: a record that holds a handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// For a client that speaks HTTP where TLS is spoken.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\
    Content-Length: 46\r\n\r\nthis port speaks TLS; use https:// in the URL\n";

/// How a request came: on which socket, and who was found at its other end before HTTP began.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The address that the socket is bound to; `None`: a Unix socket.
    pub bound: Option<IpAddr>,
    /// The client's address; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// What its certificate says.
    pub certificate: Certificate,
}

/// Who a client is by its certificate, which was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Certificate {
    /// None was asked for.
    #[default]
    Unasked,
    /// Good, but it names nobody.
    Nameless,
    /// It names this client.
    Of(Principal),
}

/// A connection as it was accepted.
#[derive(Debug)]
pub struct Accepted {
    pub socket: Accept,
    pub bound: Option<IpAddr>,
}

/// Its socket.
#[derive(Debug)]
pub enum Accept {
    /// Over TCP, with TLS or without.
    Tcp(TcpStream, IpAddr, Option<Arc<Server>>),
    /// Over a Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A connection on which HTTP is spoken.
#[derive(Debug)]
pub struct Opened {
    pub stream: Stream,
    pub arrival: Arrival,
    /// Whether the client speaks HTTP/2.
    pub http2: bool,
}

/// The bytes of a connection.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Accepted {
    /// Waits for the first bytes, and with TLS for the end of the handshake.
    pub async fn open(self) -> io::Result<Opened> {
        let bound = self.bound;
        match self.socket {
            Accept::Tcp(stream, peer, None) => {
                let mut first = [0; H2_PREFACE.len()];
                let seen = stream.peek(&mut first).await?;
                let http2 = is_preface(first.get(..seen));
                let arrival = Arrival { bound, peer: Some(peer), certificate: Certificate::Unasked };
                Ok(Opened { stream: Stream::Tcp(stream), arrival, http2 })
            }
            // In a box: connections without it need not hold the room for it.
            Accept::Tcp(stream, peer, Some(tls)) => Box::pin(handshake(stream, bound, peer, tls)).await,
            #[cfg(unix)]
            Accept::Unix(stream) => {
                let http2 = is_preface(Some(&peek(&stream).await?));
                let arrival = Arrival { bound, peer: None, certificate: Certificate::Unasked };
                Ok(Opened { stream: Stream::Unix(stream), arrival, http2 })
            }
        }
    }
}

/// The bytes are left for hyper: where it looks for the preface itself, it reads it apart, and then keeps a buffer of
/// twice the size for as long as the connection lives.
fn is_preface(first: Option<&[u8]>) -> bool {
    first.is_some_and(|first| first.len() >= b"PRI".len() && H2_PREFACE.starts_with(first))
}

#[cfg(unix)]
async fn peek(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let look = || {
        let mut first = [0; H2_PREFACE.len()];
        let (seen, _) = rustix::net::recv(stream, &mut first, rustix::net::RecvFlags::PEEK)?;
        Ok(first.get(..seen).unwrap_or_default().to_vec())
    };
    stream.async_io(tokio::io::Interest::READABLE, look).await
}

async fn handshake(mut stream: TcpStream, bound: Option<IpAddr>, peer: IpAddr, tls: Arc<Server>) -> io::Result<Opened> {
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first != [TLS_HANDSHAKE] {
        // Else the answer would be lost: a socket that is closed with bytes unread is reset.
        let _ = stream.read(&mut [0; 4096]).await?;
        stream.write_all(NOT_TLS).await?;
        stream.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no TLS on a port that speaks it"));
    }
    let config = tls.config(Instant::now());
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let (_, connection) = stream.get_ref();
    let http2 = connection.alpn_protocol() == Some(H2);
    let certificate = match connection.peer_certificates().and_then(<[_]>::first) {
        None => Certificate::Unasked,
        Some(shown) => match name::principal(shown) {
            Some(name) => Certificate::Of(Principal(name.into())),
            None => Certificate::Nameless,
        },
    };
    let arrival = Arrival { bound, peer: Some(peer), certificate };
    Ok(Opened { stream: Stream::Tls(Box::new(stream)), arrival, http2 })
}

/// Calls a method of whichever stream it is.
macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            #[cfg(unix)]
            Stream::Unix($inner) => $call,
            Stream::Tls($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }
}
