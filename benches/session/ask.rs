//! One request with all that comes of it, in order; and what comes of none.
//!
//! Talks to the server through the connections of a [`Session`]. It judges nothing but the status: who asks knows what is
//! due.

use super::{LOST, Session, expect, is_answer};
use crate::client::{Conn, Events, Target, bare};
use crate::{Outcome, fail};

impl Session {
    /// Calls `flood`, and gives the messages that came before its answer and the answer, in order.
    pub async fn flood(&mut self, count: u64, kind: &str) -> Outcome<Vec<Vec<u8>>> {
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{{\"name\":\"flood\",\"arguments\":\
             {{\"count\":{count},\"kind\":\"{kind}\"}},\"_meta\":{{\"progressToken\":\"flood\"}}}}}}"
        );
        let got = self.ask(body.as_bytes()).await?;
        match got.last().is_some_and(|last| is_answer(last)) {
            true => Ok(got),
            false => fail("the burst was refused"),
        }
    }

    /// Sends a request, and gives the messages that came before its answer and the answer, in order.
    pub async fn ask(&mut self, request: &[u8]) -> Outcome<Vec<Vec<u8>>> {
        match tokio::time::timeout(LOST, self.ask_now(request)).await {
            Ok(got) => got,
            Err(_) => fail("a request was not answered within a minute"),
        }
    }

    async fn ask_now(&mut self, request: &[u8]) -> Outcome<Vec<Vec<u8>>> {
        let mut got = Vec::new();
        match self {
            Session::Http { addr, id, conns } => {
                let mut conn = conns.pop().ok_or("no connection")?;
                let head = conn.start(&Target::post(*addr, "/mcp", Some(id)).with(request)).await?;
                expect(head.status, 200, b"")?;
                if !head.is_stream {
                    conn.text.clear();
                    while conn.more().await? {}
                    got.push(conn.text.clone());
                    conns.push(conn);
                } else {
                    let mut events = Events::of(conn);
                    while let Some(data) = events.next().await? {
                        got.push(data.to_vec());
                    }
                    conns.push(events.into_conn());
                }
            }
            Session::Sse { target, events, conns } => {
                let conn = conns.first_mut().ok_or("no connection")?;
                let request = target.with(request);
                // Both at once: a server may hold the 202 back until the call is under way.
                let posted = conn.call(&request);
                let heard = async {
                    loop {
                        let data = events.next().await?.ok_or("the stream ended")?.to_vec();
                        let done = is_response(&data);
                        got.push(data);
                        if done {
                            return Ok(());
                        }
                    }
                };
                let (head, ()) = futures::future::try_join(posted, heard).await?;
                expect(head.status, 202, b"")?;
            }
            Session::Ws { line } => {
                line.send(request).await?;
                while !got.last().is_some_and(|last: &Vec<u8>| is_response(last)) {
                    got.push(line.hear().await?.to_vec());
                }
            }
            Session::Exchanges { .. } => return fail("requests alone are asked in sessions"),
            Session::Stdio { pipe } => {
                pipe.send(request).await?;
                while !got.last().is_some_and(|last: &Vec<u8>| is_response(last)) {
                    got.push(pipe.line().await?.to_vec());
                }
            }
        }
        Ok(got)
    }

    /// Opens the stream for what belongs to no call, where the transport has one of its own.
    pub async fn listen(&self) -> Outcome<Option<Events>> {
        let Session::Http { addr, id, .. } = self else { return Ok(None) };
        let mut conn = Conn::open(*addr).await?;
        let head = conn.start(&bare("GET", *addr, "/mcp", Some(id))).await?;
        expect(head.status, 200, b"")?;
        Ok(Some(Events::of(conn)))
    }

    /// The next message that nobody asked for, where it comes on the stream of the answers.
    pub async fn hear(&mut self) -> Outcome<Vec<u8>> {
        let heard = async {
            match self {
                Session::Sse { events, .. } => Ok(events.next().await?.ok_or("the stream ended")?.to_vec()),
                Session::Ws { line } => Ok(line.hear().await?.to_vec()),
                _ => fail("there is no such stream here"),
            }
        };
        match tokio::time::timeout(LOST, heard).await {
            Ok(heard) => heard,
            Err(_) => fail("a notification did not come within a minute"),
        }
    }
}

/// Whether a message is an answer, good or not, as the demo server writes it.
fn is_response(message: &[u8]) -> bool {
    memchr::memmem::find(message.get(..message.len().min(64)).unwrap_or_default(), b"\"method\"").is_none()
}
