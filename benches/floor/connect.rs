//! The floor as a stdio server: `--floor-http URL` and `--floor-sse URL`.
//!
//! Owns this process's stdin and stdout and its connections. Talks to the client that started it and to one server.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use mcp_bridge::scope::Scope;
use mcp_bridge::wire::stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Failed, Lines};

type Sender = SendRequest<Full<Bytes>>;

struct Floor {
    authority: String,
    out: tokio::sync::Mutex<stdio::Output>,
    idle: Mutex<Vec<Sender>>,
    session: OnceLock<http::HeaderValue>,
    scope: Scope,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Floor {
    fn new(url: &str) -> Result<(Arc<Floor>, String), Failed> {
        let rest = url.strip_prefix("http://").ok_or("no http:// URL")?;
        let (authority, path) = rest.split_once('/').ok_or("no path")?;
        let floor = Floor {
            authority: authority.to_owned(),
            out: tokio::sync::Mutex::new(stdio::stdout()),
            idle: Mutex::default(),
            session: OnceLock::new(),
            scope: Scope::new(),
        };
        Ok((Arc::new(floor), format!("/{path}")))
    }

    async fn connect(&self) -> Result<Sender, Failed> {
        let socket = TcpStream::connect(&self.authority).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        self.scope.spawn(connection);
        Ok(sender)
    }

    fn request(&self, method: &str, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Failed> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream");
        if let Some(session) = self.session.get() {
            request = request.header("mcp-session-id", session);
        }
        Ok(request.body(Full::new(body))?)
    }

    /// One POST on a connection that nobody uses.
    async fn post(&self, path: &str, body: Bytes) -> Result<Bytes, Failed> {
        let idle = lock(&self.idle).pop();
        let mut sender = match idle {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let response = sender.send_request(self.request("POST", path, body)?).await?;
        if let Some(session) = response.headers().get("mcp-session-id") {
            self.session.get_or_init(|| session.clone());
        }
        let answer = response.into_body().collect().await?.to_bytes();
        sender.ready().await?;
        lock(&self.idle).push(sender);
        Ok(answer)
    }

    async fn write(&self, line: &[u8]) -> std::io::Result<()> {
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            whole.push(b'\n');
        }
        let mut out = self.out.lock().await;
        out.write_all(&whole).await?;
        out.flush().await
    }
}

/// Streamable HTTP: each message is a POST, and its answer is a line.
pub async fn http(url: &str) -> Result<(), Failed> {
    let (floor, path) = Floor::new(url)?;
    let path: Arc<str> = path.into();
    let mut lines = Lines::new(stdio::stdin());
    // Ends when the client closes its side.
    while let Some(line) = lines.next().await? {
        let line = line.slice(..line.len() - 1);
        let (scope, floor, path) = (floor.scope.clone(), floor.clone(), path.clone());
        scope.spawn(async move {
            match floor.post(&path, line).await {
                Ok(answer) if answer.is_empty() => {}
                Ok(answer) => drop(floor.write(&answer).await),
                Err(why) => eprintln!("floor: {why}"),
            }
        });
    }
    Ok(())
}

/// HTTP+SSE: answers come as events, and the answers to POSTs say nothing.
pub async fn sse(url: &str) -> Result<(), Failed> {
    let (floor, path) = Floor::new(url)?;
    let mut sender = floor.connect().await?;
    let stream = sender.send_request(floor.request("GET", &path, Bytes::new())?).await?.into_body();
    let mut events = Events { body: stream, text: bytes::BytesMut::new(), scanned: 0 };
    let endpoint = events.next().await?.ok_or("no endpoint")?;
    let endpoint: Arc<str> = std::str::from_utf8(&endpoint)?.into();
    let hearing = floor.clone();
    floor.scope.spawn(async move {
        while let Ok(Some(data)) = events.next().await {
            if hearing.write(&data).await.is_err() {
                break;
            }
        }
    });
    let mut lines = Lines::new(stdio::stdin());
    while let Some(line) = lines.next().await? {
        let line = line.slice(..line.len() - 1);
        let (scope, floor, endpoint) = (floor.scope.clone(), floor.clone(), endpoint.clone());
        scope.spawn(async move {
            if let Err(why) = floor.post(&endpoint, line).await {
                eprintln!("floor: {why}");
            }
        });
    }
    Ok(())
}

struct Events {
    body: Incoming,
    text: bytes::BytesMut,
    scanned: usize,
}

impl Events {
    /// The next line of data.
    async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        loop {
            let rest = self.text.get(self.scanned..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', rest) {
                let line = self.text.split_to(self.scanned + end + 1).freeze();
                self.scanned = 0;
                if line.starts_with(b"data: ") {
                    return Ok(Some(line.slice(6..line.len() - 1)));
                }
                continue;
            }
            self.scanned = self.text.len();
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => self.text.extend_from_slice(frame?.data_ref().map_or(&b""[..], |data| data)),
            }
        }
    }
}
