//! One connection as a pipe: frames from the event stream, frames to the endpoint.
//!
//! Owns the two halves that [`crate::pump`] works, and the refusals of POSTs, which come out of the source as answers.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use futures::future::join_all;
use serde_json::json;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tracing::warn;
use url::Url;

use super::{Line, endpoint, post};
use crate::{
    message::{Frame, FrameError, Kind},
    pipe::{Ended, FrameSink, FrameSource},
    scope::Scope,
    wire::{
        event_stream::{Event, EventName},
        remote::{
            ConnectError, Trouble, Way,
            events::{Events, StreamFault},
            fault::shown,
            session::{Calls, refused},
        },
    },
};

/// How long the next message waits for the server to take a notification or an answer: see the HTTP wire.
const ORDER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a notification or an answer waits for the server to take the calls before it. Shorter: some servers hold the
/// POST of a call until it is done (the Java SDK does), and the call may wait for this very answer.
const REQUEST_PATIENCE: Duration = Duration::from_millis(250);

/// POSTs under way beyond the calls in flight.
const SPARE_POSTS: usize = 64;

/// Refusals that wait to be read by the source.
const REFUSALS: usize = 64;

pub(super) fn open(way: &Arc<Way>, line: Line, calls: &Arc<Calls>, scope: &Scope) -> (EventSource, PostSink) {
    let (refusals, refused) = mpsc::channel(REFUSALS);
    let posts = Arc::new(Semaphore::new(way.limits.max_in_flight.saturating_add(SPARE_POSTS)));
    let sink = PostSink {
        way: way.clone(),
        url: line.post.clone(),
        calls: calls.clone(),
        refusals,
        posts,
        scope: scope.clone(),
        under_way: Vec::new(),
    };
    let ready = line.early.into_iter().map(Ok).collect();
    let source = EventSource {
        way: way.clone(),
        events: line.events,
        stream: line.stream,
        post: line.post,
        ready,
        refused,
        calls: calls.clone(),
        scope: scope.clone(),
        why: "it closed the stream".into(),
    };
    (source, sink)
}

/// The event stream.
#[derive(Debug)]
pub(crate) struct EventSource {
    way: Arc<Way>,
    events: Events,
    stream: Url,
    post: Url,
    ready: VecDeque<Result<Frame, FrameError>>,
    refused: mpsc::Receiver<Frame>,
    calls: Arc<Calls>,
    scope: Scope,
    why: String,
}

impl FrameSource for EventSource {
    async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        // Ends with a message or with the stream.
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Some(next.inspect(|frame| self.calls.came(frame)));
            }
            if self.calls.are_done() {
                return None;
            }
            let event = tokio::select! {
                event = self.events.next() => event,
                Some(refused) = self.refused.recv() => {
                    self.calls.came(&refused);
                    return Some(Ok(refused));
                }
                () = self.calls.given_up(self.way.limits.grace) => return None,
            };
            match event {
                Ok(Some(event)) => self.take(&event),
                Ok(None) => return None,
                Err(StreamFault::Broken(fault)) => {
                    self.why = fault.why;
                    return None;
                }
                // Nobody knows which call it answers: with the stream, all are answered.
                Err(StreamFault::TooLarge(error)) => {
                    self.why = error.to_string();
                    return None;
                }
            }
        }
    }

    async fn end(&mut self) -> Ended {
        self.scope.stop();
        let what = format!("the event stream from {} ended ({})", self.way.shown(), self.why);
        if self.calls.is_any_open() {
            self.way.failed(ConnectError::Unreachable(format!("{what}; look into the server's log")));
        }
        let Trouble { message, data, .. } = Trouble::fate_unknown(&what);
        Ended { message, data }
    }
}

impl EventSource {
    fn take(&mut self, event: &Event) {
        if event.name == EventName::ENDPOINT {
            let named = endpoint(&self.stream, event.data.as_deref().unwrap_or_default());
            if named.as_ref() != Ok(&self.post) {
                let what = named.map_or_else(|why| why, |url| format!("it names {}", shown(&url)));
                warn!("{} sent a second endpoint event, which is ignored: {what}", self.way.shown());
            }
            return;
        }
        match frames_of(event) {
            Ok(frames) => {
                if !frames.is_empty() {
                    self.way.worked();
                }
                self.ready.extend(frames.into_iter().map(Ok));
            }
            Err(error) => self.ready.push_back(Err(error)),
        }
    }
}

/// The messages of one event; none in those of another name.
pub(super) fn frames_of(event: &Event) -> Result<Vec<Frame>, FrameError> {
    match event.payload().filter(|_| event.name == EventName::MESSAGE) {
        Some(data) => Frame::parse_batch(data.clone()),
        None => Ok(Vec::new()),
    }
}

/// The endpoint.
#[derive(Debug)]
pub(crate) struct PostSink {
    way: Arc<Way>,
    url: Url,
    calls: Arc<Calls>,
    refusals: mpsc::Sender<Frame>,
    posts: Arc<Semaphore>,
    scope: Scope,
    /// POSTs of calls that the server may not have taken yet.
    under_way: Vec<JoinHandle<()>>,
}

impl FrameSink for PostSink {
    /// Calls are POSTed side by side. What has no answer is sent in order: after the calls before it, before what follows.
    async fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        for frame in frames {
            self.calls.sent(frame);
            if matches!(frame.kind(), Kind::Request(_)) {
                self.under_way.retain(|call| !call.is_finished());
                self.under_way.extend(self.post(frame).await);
            } else {
                let _ = timeout(REQUEST_PATIENCE, join_all(self.under_way.drain(..))).await;
                if let Some(posted) = self.post(frame).await {
                    let _ = timeout(ORDER_PATIENCE, posted).await;
                }
            }
        }
        Ok(())
    }
}

impl PostSink {
    async fn post(&self, frame: &Frame) -> Option<JoinHandle<()>> {
        let place = self.posts.clone().acquire_owned().await.ok()?;
        let deliver = deliver(self.way.clone(), self.url.clone(), frame.clone(), self.refusals.clone());
        let scope = self.scope.clone();
        Some(self.scope.spawn(async move {
            tokio::select! {
                () = deliver => {}
                () = scope.stopped() => {}
            }
            drop(place);
        }))
    }
}

impl Drop for PostSink {
    fn drop(&mut self) {
        self.calls.close();
    }
}

/// POSTs one message. A request that the server does not take is answered through the source, or it would wait for ever.
async fn deliver(way: Arc<Way>, url: Url, frame: Frame, refusals: mpsc::Sender<Frame>) {
    let (message, data) = match post(&way, &url, &frame).await {
        Ok(incoming) if incoming.response.status().is_success() => return,
        Ok(incoming) => {
            let status = incoming.response.status();
            way.failed(way.refused(status, None));
            (format!("{} answered {}", shown(&url), way.in_words(status)), Some(json!({ "status": status.as_u16() })))
        }
        Err(fault) => {
            let failed = match way.unreachable(&fault) {
                ConnectError::Unreachable(_) => {
                    ConnectError::Unreachable(format!("cannot reach {}: {}", shown(&url), fault.why))
                }
                other => other,
            };
            let (what, data) = (failed.to_string(), failed.data());
            way.failed(failed);
            let trouble =
                if fault.sent { Trouble::fate_unknown(&what) } else { Trouble { data, ..Trouble::new(what) } };
            (trouble.message, trouble.data)
        }
    };
    if matches!(frame.kind(), Kind::Request(_)) {
        let _ = refusals.send(refused(&frame, &message, data)).await;
    } else {
        warn!("{message}; lost {}", if frame.method().is_empty() { "an answer" } else { frame.method() });
    }
}
