//! One connection as a pipe: frames from the event stream, frames to the endpoint.
//!
//! Owns the two halves that [`crate::pump`] works, and what they must know of each other: the calls that wait for an answer
//! on this connection, and the refusals of POSTs, which come out of the source as answers.

use std::{
    collections::{HashSet, VecDeque},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use serde_json::json;
use tokio::{
    sync::{Semaphore, SetOnce, mpsc},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tracing::warn;
use url::Url;

use super::{Line, endpoint, lock, post, refused};
use crate::{
    message::{Frame, FrameError, Id, Kind},
    pipe::{Ended, FrameSink, FrameSource},
    scope::Scope,
    wire::{
        event_stream::{Event, EventName},
        handshake::Handshake,
        remote::{
            ConnectError, Trouble, Way,
            events::{Events, StreamFault},
            fault::shown,
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

/// What both halves know.
#[derive(Debug)]
struct Shared {
    memory: Arc<Mutex<Handshake>>,
    /// Calls that the server has not answered.
    open: Mutex<HashSet<Id>>,
    /// Since when nothing more will be sent.
    closed: SetOnce<Instant>,
}

pub(super) fn open(
    way: &Arc<Way>,
    line: Line,
    memory: &Arc<Mutex<Handshake>>,
    scope: &Scope,
) -> (EventSource, PostSink) {
    let shared = Arc::new(Shared { memory: memory.clone(), open: Mutex::default(), closed: SetOnce::new() });
    let (refusals, refused) = mpsc::channel(REFUSALS);
    let posts = Arc::new(Semaphore::new(way.limits.max_in_flight.saturating_add(SPARE_POSTS)));
    let sink = PostSink {
        way: way.clone(),
        url: line.post.clone(),
        shared: shared.clone(),
        refusals,
        posts,
        scope: scope.clone(),
        calls: Vec::new(),
    };
    let ready = line.early.into_iter().map(Ok).collect();
    let source = EventSource {
        way: way.clone(),
        events: line.events,
        stream: line.stream,
        post: line.post,
        ready,
        refused,
        shared,
        scope: scope.clone(),
        why: "it closed the stream".into(),
    };
    (source, sink)
}

/// The event stream.
#[derive(Debug)]
pub(super) struct EventSource {
    way: Arc<Way>,
    events: Events,
    stream: Url,
    post: Url,
    ready: VecDeque<Result<Frame, FrameError>>,
    refused: mpsc::Receiver<Frame>,
    shared: Arc<Shared>,
    scope: Scope,
    why: String,
}

impl FrameSource for EventSource {
    async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        // Ends with a message or with the stream.
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Some(next.inspect(|frame| self.note(frame)));
            }
            if self.shared.closed.initialized() && lock(&self.shared.open).is_empty() {
                return None;
            }
            let event = tokio::select! {
                event = self.events.next() => event,
                Some(refused) = self.refused.recv() => {
                    self.note(&refused);
                    return Some(Ok(refused));
                }
                () = self.shared.given_up(self.way.limits.grace) => return None,
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
        if !lock(&self.shared.open).is_empty() {
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

    fn note(&self, frame: &Frame) {
        if let Kind::Response(Some(id)) = frame.kind() {
            lock(&self.shared.open).remove(id);
            let mut memory = lock(&self.shared.memory);
            if memory.awaits(frame) {
                memory.opened(frame);
            }
        }
    }
}

impl Shared {
    /// Resolves when no answer needs to be awaited any more, after the sink was closed.
    async fn given_up(&self, grace: Duration) {
        let since = *self.closed.wait().await;
        if !lock(&self.open).is_empty() {
            sleep_until(since + grace).await;
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
pub(super) struct PostSink {
    way: Arc<Way>,
    url: Url,
    shared: Arc<Shared>,
    refusals: mpsc::Sender<Frame>,
    posts: Arc<Semaphore>,
    scope: Scope,
    /// POSTs of calls that the server may not have taken yet.
    calls: Vec<JoinHandle<()>>,
}

impl FrameSink for PostSink {
    /// Calls are POSTed side by side. What has no answer is sent in order: after the calls before it, before what follows.
    async fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        for frame in frames {
            self.note(frame);
            if matches!(frame.kind(), Kind::Request(_)) {
                self.calls.retain(|call| !call.is_finished());
                self.calls.extend(self.post(frame).await);
            } else {
                let _ = timeout(REQUEST_PATIENCE, join_all(self.calls.drain(..))).await;
                if let Some(posted) = self.post(frame).await {
                    let _ = timeout(ORDER_PATIENCE, posted).await;
                }
            }
        }
        Ok(())
    }
}

impl PostSink {
    fn note(&self, frame: &Frame) {
        if let Kind::Request(id) = frame.kind() {
            lock(&self.shared.open).insert(id.clone());
        }
        if let Some(id) = frame.cancelled() {
            lock(&self.shared.open).remove(id);
        }
        lock(&self.shared.memory).sent(frame);
    }

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
        let _ = self.shared.closed.set(Instant::now());
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
            let what = format!("cannot reach {}: {}", shown(&url), fault.why);
            way.failed(ConnectError::Unreachable(what.clone()));
            let trouble = if fault.sent { Trouble::fate_unknown(&what) } else { Trouble::new(what) };
            (trouble.message, trouble.data)
        }
    };
    if matches!(frame.kind(), Kind::Request(_)) {
        let _ = refusals.send(refused(&frame, &message, data)).await;
    } else {
        warn!("{message}; lost {}", if frame.method().is_empty() { "an answer" } else { frame.method() });
    }
}
