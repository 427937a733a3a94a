//! The floor in front of a stdio server: `--floor-serve -- COMMAND`. Serves `/mcp`, and `/sse` with `/messages`.
//!
//! Owns the listener and one child for each session. Talks to the bench and to the children.

use std::collections::HashMap;
use std::convert::Infallible;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use mcp_bridge::scope::Scope;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use super::{Body, Failed, Lines, id_of};

/// Events on their way to one client.
const STREAM: usize = 1024;

struct Floor {
    command: Vec<String>,
    sessions: Mutex<HashMap<u64, Arc<Session>>>,
    last: AtomicU64,
    scope: Scope,
}

struct Session {
    stdin: tokio::sync::Mutex<ChildStdin>,
    waiting: Mutex<HashMap<Box<[u8]>, oneshot::Sender<Bytes>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until it is killed or asked to end.
pub async fn run(command: Vec<String>) -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("floor listening on http://{}", listener.local_addr()?);
    let scope = Scope::new();
    let floor = Arc::new(Floor { command, sessions: Mutex::default(), last: AtomicU64::new(0), scope });
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (scope, floor) = (floor.scope.clone(), floor.clone());
        scope.spawn(async move {
            let answer = hyper::service::service_fn(move |request| {
                let floor = floor.clone();
                async move {
                    Ok::<_, Infallible>(floor.answer(request).await.unwrap_or_else(|why| {
                        eprintln!("floor: {why}");
                        status(StatusCode::INTERNAL_SERVER_ERROR)
                    }))
                }
            });
            // A client that goes away is no news.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

fn status(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(Into::into).boxed_unsync());
    *response.status_mut() = code;
    response
}

impl Floor {
    async fn answer(self: Arc<Floor>, request: Request<Incoming>) -> Result<Response<Body>, Failed> {
        let id = request.headers().get("mcp-session-id").and_then(|id| id.to_str().ok()?.parse().ok());
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/mcp") => self.exchange(id, request).await,
            (&Method::DELETE, "/mcp") => {
                id.and_then(|id| lock(&self.sessions).remove(&id));
                Ok(status(StatusCode::NO_CONTENT))
            }
            (&Method::GET, "/sse") => self.stream(),
            (&Method::POST, "/messages") => {
                let id = request.uri().query().and_then(|query| query.strip_prefix("session_id=")?.parse().ok());
                let Some(session) = self.session(id) else { return Ok(status(StatusCode::NOT_FOUND)) };
                let body = request.into_body().collect().await?.to_bytes();
                session.write(&body).await?;
                Ok(status(StatusCode::ACCEPTED))
            }
            _ => Ok(status(StatusCode::METHOD_NOT_ALLOWED)),
        }
    }

    fn session(&self, id: Option<u64>) -> Option<Arc<Session>> {
        id.and_then(|id| lock(&self.sessions).get(&id).cloned())
    }

    fn open(&self) -> Result<(u64, Arc<Session>, Child, ChildStdout), Failed> {
        let (program, args) = self.command.split_first().ok_or("no command")?;
        let mut child = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (stdin, stdout) = child.stdin.take().zip(child.stdout.take()).ok_or("no pipes")?;
        let session = Arc::new(Session { stdin: tokio::sync::Mutex::new(stdin), waiting: Mutex::default() });
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        lock(&self.sessions).insert(id, session.clone());
        Ok((id, session, child, stdout))
    }

    async fn exchange(&self, id: Option<u64>, request: Request<Incoming>) -> Result<Response<Body>, Failed> {
        let body = request.into_body().collect().await?.to_bytes();
        let (session, new) = match id {
            Some(_) => (self.session(id), None),
            None => {
                let (id, session, mut child, stdout) = self.open()?;
                let answers = session.clone();
                self.scope.spawn(async move {
                    let mut lines = Lines::new(stdout);
                    // Ends with the child's output. The table must not keep stdin open: it is dropped by then.
                    let weak = Arc::downgrade(&answers);
                    drop(answers);
                    while let Ok(Some(line)) = lines.next().await {
                        let Some(session) = weak.upgrade() else { break };
                        let home = id_of(&line).and_then(|id| lock(&session.waiting).remove(id));
                        home.map(|home| home.send(line));
                    }
                    child.wait().await
                });
                (Some(session), Some(id))
            }
        };
        let Some(session) = session else { return Ok(status(StatusCode::NOT_FOUND)) };
        let wants = memchr::memmem::find(&body, b"\"method\":").is_some();
        let Some(id) = id_of(&body).filter(|_| wants) else {
            session.write(&body).await?;
            return Ok(status(StatusCode::ACCEPTED));
        };
        let (home, answer) = oneshot::channel();
        lock(&session.waiting).insert(id.into(), home);
        session.write(&body).await?;
        let mut response = Response::new(Full::new(answer.await?).map_err(Into::into).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        if let Some(new) = new {
            headers.insert("mcp-session-id", new.into());
        }
        Ok(response)
    }

    fn stream(self: Arc<Floor>) -> Result<Response<Body>, Failed> {
        let (id, _, mut child, stdout) = self.open()?;
        let (events, queue) = mpsc::channel(STREAM);
        events.try_send(Bytes::from(format!("event: endpoint\ndata: /messages?session_id={id}\n\n")))?;
        let scope = self.scope.clone();
        scope.spawn(async move {
            let mut lines = Lines::new(stdout);
            loop {
                // Ends when the child closes its output or the client hangs up.
                let line = tokio::select! {
                    line = lines.next() => line,
                    () = events.closed() => break,
                };
                let Ok(Some(line)) = line else { break };
                let mut event = Vec::with_capacity(line.len() + 24);
                event.extend_from_slice(b"event: message\ndata: ");
                event.extend_from_slice(&line);
                event.push(b'\n');
                if events.send(event.into()).await.is_err() {
                    break;
                }
            }
            lock(&self.sessions).remove(&id);
            child.wait().await
        });
        let stream = futures::stream::unfold(queue, |mut queue| async { Some((queue.recv().await?, queue)) });
        let body = StreamBody::new(stream.map(|event| Ok(Frame::data(event))));
        let mut response = Response::new(body.boxed_unsync());
        response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/event-stream"));
        Ok(response)
    }
}

impl Session {
    async fn write(&self, body: &Bytes) -> std::io::Result<()> {
        let mut line = Vec::with_capacity(body.len() + 1);
        line.extend_from_slice(body);
        line.push(b'\n');
        self.stdin.lock().await.write_all(&line).await
    }
}
