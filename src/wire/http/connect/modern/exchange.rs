//! One request of the modern era and what comes back for it.
//!
//! Owns the POST, the reading of its response to the answer, and the second attempt after a mismatch of headers. It holds
//! the caller's reply only by reference. It never resumes a stream: this era has none that resumes, and a call whose
//! stream broke may have been carried out.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::SetOnce;
use tracing::{debug, warn};

use super::Server;
use crate::{
    annotations::Annotations,
    message::{Frame, Id, Kind, code},
    peer::{CallerId, Envelope, Reply},
    protocol::{ErrorHead, MODERN, method},
    wire::{
        http::{
            connect::{
                reading::{Posted, asked, frames_of},
                session::{BOTH_FORMS, JSON, PROTOCOL_VERSION},
            },
            mirror,
        },
        remote::{
            Trouble, Way,
            events::{Events, StreamFault},
            fault::Fault,
            web::{Incoming, Outgoing},
        },
    },
};

/// The headers of a message: what its body says, and what both forms of an answer need.
pub(super) fn headers(frame: &Frame, annotations: &Annotations) -> Result<HeaderMap, Trouble> {
    let unreadable =
        |error: mirror::Unreadable| Trouble { code: code::INVALID_REQUEST, ..Trouble::new(error.to_string()) };
    let mut headers = mirror::headers(frame, annotations).map_err(unreadable)?;
    headers.entry(PROTOCOL_VERSION).or_insert(HeaderValue::from_static(MODERN));
    headers.insert(header::ACCEPT, BOTH_FORMS);
    headers.insert(header::CONTENT_TYPE, JSON);
    Ok(headers)
}

/// POSTs a message once. `started`: see [`Outgoing`].
pub(super) async fn post(
    way: &Way,
    frame: &Frame,
    headers: &HeaderMap,
    started: &Arc<SetOnce<()>>,
) -> Result<Incoming, Fault> {
    let (url, headers, body) = (way.web.url(), headers.clone(), Some(frame.bytes().clone()));
    way.web.send(Outgoing { method: Method::POST, url, headers, body, started: started.clone() }).await
}

/// The same, repeated while no connection comes about, and only then.
async fn post_patiently(way: &Way, frame: &Frame, headers: &HeaderMap) -> Result<Incoming, Fault> {
    let started = Arc::default();
    way.patiently(|| post(way, frame, headers, &started)).await
}

impl Server {
    /// Sends a request and brings its answer. The server's error answers are answers.
    pub(super) async fn exchange(&self, frame: &Frame, reply: &Reply) -> Result<Frame, Trouble> {
        let (annotations, edition) = self.annotations(frame).await;
        let first = headers(frame, &annotations)?;
        let mut answer = self.attempt(frame, &first, Some(reply)).await?;
        if is_mismatch(frame, &answer)
            && let Some(annotations) = self.look_up_again(frame, edition).await
        {
            // A server checks the headers before it does anything, so the call may be sent again (2026-07-28, Streamable
            // HTTP, Client Behavior). The same headers would not help.
            let second = headers(frame, &annotations)?;
            if second != first {
                debug!("the tools of {} have changed; calling again with other headers", self.way.shown());
                answer = self.attempt(frame, &second, Some(reply)).await?;
            }
        }
        Ok(self.sift(frame, answer, reply).await)
    }

    /// Who is to read what comes; the bridge itself where it goes nowhere.
    pub(super) fn reader_of(&self, reply: Option<&Reply>) -> CallerId {
        reply.map_or(self.speaker.id, |reply| reply.caller().id)
    }

    /// Opens a subscription, and brings what it brings. Its request is let go of once it is taken: the stream may last for
    /// days, and other messages wait for the room of a large one.
    pub(super) async fn listen(&self, frame: Frame, reply: &Reply) -> Result<Frame, Trouble> {
        let incoming = self.send(&frame, &headers(&frame, &Annotations::default())?).await?;
        let Some(id) = asked(&frame) else { return Err(Trouble::new("not a request")) };
        let sent = Frame::request(id, frame.method(), None);
        drop(frame);
        self.take_in(incoming, &sent, Some(reply)).await
    }

    /// One POST. `reply`: where to send what comes ahead of the answer, if anywhere.
    pub(super) async fn attempt(
        &self,
        frame: &Frame,
        headers: &HeaderMap,
        reply: Option<&Reply>,
    ) -> Result<Frame, Trouble> {
        let incoming = self.send(frame, headers).await?;
        self.take_in(incoming, frame, reply).await
    }

    async fn send(&self, frame: &Frame, headers: &HeaderMap) -> Result<Incoming, Trouble> {
        post_patiently(&self.way, frame, headers).await.map_err(|fault| self.reader.unreachable(&fault))
    }

    /// Reads the response to a POST.
    async fn take_in(&self, incoming: Incoming, frame: &Frame, reply: Option<&Reply>) -> Result<Frame, Trouble> {
        let success = incoming.response.status().is_success();
        let failed = |fault| self.reader.unreachable(&fault);
        match self.reader.read(incoming, asked(frame), self.reader_of(reply)).await.map_err(failed)? {
            Posted::Answer(answer) => {
                if success {
                    self.way.worked();
                }
                Ok(answer)
            }
            Posted::Stream(mut events) => {
                self.way.worked();
                self.follow(&mut events, frame, reply).await
            }
            Posted::Refused(status) | Posted::SessionGone(status) => {
                if is_doubtful(status) {
                    let _ = self.way.doubt.set(());
                }
                Err(self.reader.refused(status))
            }
            Posted::NotMcp(what) => Err(self.reader.not_mcp(&what)),
        }
    }

    /// Reads a response's stream to the answer.
    async fn follow(&self, events: &mut Events, frame: &Frame, reply: Option<&Reply>) -> Result<Frame, Trouble> {
        let Kind::Request(id) = frame.kind() else { return Err(Trouble::new("not a request")) };
        let listens = frame.method() == method::LISTEN;
        // Ends with the answer or with the stream.
        loop {
            match events.next().await {
                Ok(Some(event)) => {
                    for message in frames_of(&event, &self.way.shown()) {
                        let message = self.reader.weighed(message, self.reader_of(reply)).await;
                        if let Some(answer) = self.pass_on(message, id, reply).await? {
                            return Ok(answer);
                        }
                    }
                }
                Ok(None) => return Err(broken(listens)),
                Err(StreamFault::Broken(fault)) => {
                    debug!("the stream of a call broke: {fault}");
                    return Err(broken(listens));
                }
                // What a subscription brings can be done without; the answer to a call cannot.
                Err(StreamFault::TooLarge(error)) if listens => warn!("{}: {error}", self.way.shown()),
                Err(StreamFault::TooLarge(error)) => return Err(Trouble::fate_unknown(&error.to_string())),
            }
        }
    }

    /// Hands on what comes ahead of the answer, and gives the answer back.
    async fn pass_on(&self, message: Frame, id: &Id, reply: Option<&Reply>) -> Result<Option<Frame>, Trouble> {
        if self.reader.is_answer(&message, id) {
            return Ok(Some(message));
        }
        match message.kind() {
            Kind::Notification => {}
            // 2026-07-28, Streamable HTTP, Receiving Messages: no requests on any stream.
            Kind::Request(_) => {
                warn!("{} sent a request ({}), which no server may; dropped", self.way.shown(), message.method());
                return Ok(None);
            }
            Kind::Response(_) => return Ok(None),
        }
        if message.method() == method::TOOLS_CHANGED {
            self.book.forget();
        }
        let Some(reply) = reply else { return Ok(None) };
        let envelope = Envelope::one_way(self.speaker.clone(), message);
        reply.update(envelope).await.map_err(|_| Trouble::new("the caller hung up"))?;
        Ok(None)
    }

    /// Sends a notification.
    pub(super) async fn notify(&self, frame: &Frame) -> Result<(), String> {
        let headers = headers(frame, &Annotations::default()).map_err(|trouble| trouble.message)?;
        let incoming = post_patiently(&self.way, frame, &headers).await.map_err(|fault| fault.why)?;
        let status = incoming.response.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answered {}", self.way.in_words(status))) }
    }
}

/// Whether a call was refused for its headers.
fn is_mismatch(call: &Frame, answer: &Frame) -> bool {
    call.method() == method::TOOLS_CALL && ErrorHead::code_of(answer) == Some(code::HEADER_MISMATCH)
}

/// Whether a status without a message of the protocol may mean that no server of this era is there any more
/// (2026-07-28, Versioning, Backward Compatibility).
fn is_doubtful(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

/// A stream that ended before its answer. A subscription is opened again by whoever wants it.
fn broken(listens: bool) -> Trouble {
    if listens {
        return Trouble::new("the subscription's connection to the server ended; open it again");
    }
    Trouble::fate_unknown("the connection to the server ended before its answer")
}
