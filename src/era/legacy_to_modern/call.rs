//! One request of a legacy client: to the server, as often as it takes, and the answer home.
//!
//! Owns the duty to answer and the rounds of input. Talks to the server through the session, and to the client on the
//! request's own stream. It never sends anything for a call that its client took back or will not hear.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Asked, Session,
    client::Client,
    legs::Gathered,
    lock, opening,
    results::{self, Answer, Input},
};
use crate::{
    backoff,
    json::{self, Object},
    message::{Frame, Id, Kind, code, text},
    peer::{Caller, CallerId, Envelope, Reply},
    protocol::method,
};

/// Waits before a request is sent again that the server only wanted to put off: the first, doubled each time, and the
/// longest. As in the official SDKs.
const PUT_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// What a sign of life adds to the progress of a call.
const SMALL_STEP: f64 = 1e-6;

/// A request in flight.
#[derive(Debug)]
pub(super) struct Call {
    pub session: Arc<Session>,
    pub client: Arc<Client>,
    /// Who asks the server.
    pub caller: Arc<Caller>,
    pub method: Box<str>,
    /// The client's progress token, as it wrote it.
    pub token: Option<Box<str>>,
    /// As the server gets it the first time.
    pub request: Frame,
    /// The last progress that the client was told, as the bits of a float.
    pub progress: AtomicU64,
    pub reply: Reply,
    pub cancelled: CancellationToken,
    /// Its entry in the session's table.
    pub key: (CallerId, Id),
    pub _place: OwnedSemaphorePermit,
}

/// The client took the call back, or nobody hears its answer.
#[derive(Debug)]
pub(super) struct Over;

/// How a call ends.
#[derive(Debug)]
enum End {
    Answer(Frame),
    Fail(String),
    Over,
}

impl Call {
    /// Ends with the answer.
    pub async fn run(self, asked: Asked) {
        let mut links = Vec::new();
        let end = self.work(asked, &mut links).await;
        for elicitation in links {
            // The server, which has answered now, had no way to say so (2025-11-25, Elicitation, URL Mode).
            let params = format!("{{\"elicitationId\":{}}}", json::quote(&elicitation));
            self.try_tell(Frame::notification("notifications/elicitation/complete", Some(&params)));
        }
        lock(&self.session.calls).remove(&self.key);
        match end {
            End::Answer(frame) => self.reply.answer(frame),
            End::Fail(text) => self.reply.fail(code::INTERNAL, &text, None),
            End::Over if self.session.over.is_cancelled() => {
                let text =
                    "the session ended before the server answered; whether the call was carried out is not known";
                self.reply.fail(code::INTERNAL, text, None);
            }
            End::Over => self.reply.fail(code::CANCELLED, text::CANCELLED, None),
        }
    }

    async fn work(&self, mut asked: Asked, links: &mut Vec<String>) -> End {
        let mut rounds = 0;
        let mut discovered = false;
        // What was sent last, where it is not what was sent first.
        let mut latest = None;
        // Each turn is one request to the server. Ends with its answer, the end of the rounds or the end of the client.
        loop {
            let Ok(answer) = self.follow(&mut asked).await else {
                self.session.withdraw(&self.caller, asked.id).await;
                return End::Over;
            };
            match results::read(&self.method, self.client.revision, &answer, self.reply.id_text()) {
                Answer::Done(frame) => return End::Answer(frame),
                Answer::Failed => return End::Answer(answer),
                Answer::Unusable(why) => return End::Fail(why),
                Answer::Unspoken if std::mem::replace(&mut discovered, true) => return End::Fail(results::unspoken()),
                Answer::Unspoken => {
                    if let Err(end) = self.still_speaks().await {
                        return end;
                    }
                }
                Answer::Input(input) => {
                    // The user may think for long: until then others need the room that it has.
                    drop(answer);
                    rounds += 1;
                    match self.next_round(input, rounds, links).await {
                        Ok(params) => latest = Some(params),
                        Err(end) => return end,
                    }
                }
            }
            let params = latest.as_deref().unwrap_or(self.params());
            asked = tokio::select! {
                asked = self.session.ask(&self.caller, &self.method, params) => asked,
                Over = self.over() => return End::Over,
            };
        }
    }

    /// Passes on what comes ahead of the answer, and gives the answer.
    async fn follow(&self, asked: &mut Asked) -> Result<Frame, Over> {
        loop {
            let envelope = tokio::select! {
                envelope = asked.rx.recv() => envelope,
                over = self.over() => return Err(over),
            };
            match envelope {
                None => return Ok(Frame::error("0", code::INTERNAL, "the server gave no answer", None)),
                Some(envelope) => match envelope.frame.kind() {
                    Kind::Response(_) => return Ok(envelope.frame),
                    Kind::Notification => self.pass_on(envelope.frame).await?,
                    // No modern server asks (2026-07-28, Multi Round-Trip Requests); the dropped reply says no.
                    Kind::Request(_) => debug!("a modern server sent a request"),
                },
            }
        }
    }

    async fn pass_on(&self, frame: Frame) -> Result<(), Over> {
        let wanted = match frame.method() {
            method::ACKNOWLEDGED | method::CANCELLED => false,
            method::PROGRESS => {
                let progress = frame.body().and_then(Object::parse);
                let progress = progress.and_then(|params| params.get("progress")?.parse::<f64>().ok());
                if let Some(progress) = progress {
                    self.progress.store(progress.to_bits(), Ordering::Relaxed);
                }
                self.token.is_some() && frame.token_text() == self.token.as_deref()
            }
            _ => true,
        };
        if !wanted {
            debug!(method = frame.method(), "a notification that the client has no use for");
            return Ok(());
        }
        tokio::select! {
            sent = self.reply.update(Envelope::one_way(self.session.voice.clone(), frame)) => sent.map_err(|_| Over),
            over = self.over() => Err(over),
        }
    }

    /// Tells the client that its call goes on while it is asked for input: many clients give up after a minute without
    /// progress. The smallest step ahead, since progress must increase.
    pub(super) fn still_waiting(&self) {
        let Some(token) = &self.token else { return };
        let progress = f64::from_bits(self.progress.load(Ordering::Relaxed)) + SMALL_STEP;
        self.progress.store(progress.to_bits(), Ordering::Relaxed);
        let params = format!(
            "{{\"progressToken\":{token},\"progress\":{},\"message\":\"waiting for input\"}}",
            serde_json::Value::from(progress)
        );
        self.try_tell(Frame::notification(method::PROGRESS, Some(&params)));
    }

    /// Tells the client something that it can do without, if it reads.
    pub(super) fn try_tell(&self, frame: Frame) {
        let envelope = Envelope::one_way(self.session.voice.clone(), frame);
        if self.reply.updates().try_send(envelope).is_err() {
            debug!("the client does not read");
        }
    }

    /// Resolves when the client took the call back, or is gone.
    pub(super) async fn over(&self) -> Over {
        tokio::select! {
            () = self.cancelled.cancelled() => Over,
            () = self.reply.gone() => Over,
        }
    }

    /// Asks the server again what it speaks.
    async fn still_speaks(&self) -> Result<(), End> {
        let found = tokio::select! {
            found = opening::discover(&self.session, &self.client, &self.caller) => found,
            Over = self.over() => return Err(End::Over),
        };
        found.map(drop).map_err(|_| End::Fail(results::unspoken()))
    }

    /// Gets what the server wants, and gives the params of the next request.
    async fn next_round(&self, input: Input, round: u32, links: &mut Vec<String>) -> Result<String, End> {
        let settings = &self.session.settings;
        if round > settings.rounds {
            let text = format!(
                "the server asked for input more than {} times during one {}; the call is given up",
                settings.rounds, self.method
            );
            return Err(End::Fail(text));
        }
        if input.requests.len() > settings.legs {
            let (many, most) = (input.requests.len(), settings.legs);
            return Err(End::Fail(format!("the server asked for {many} inputs at once; at most {most} are passed on")));
        }
        if input.requests.is_empty() {
            let (first, longest) = PUT_OFF;
            let pause = backoff::delay(first, longest, round, 1.0);
            tokio::select! {
                () = sleep(pause) => return Ok(self.retry(None, input.state)),
                Over = self.over() => return Err(End::Over),
            }
        }
        match self.gather(&input.requests, links).await {
            Gathered::Responses(responses) => Ok(self.retry(Some(responses), input.state)),
            Gathered::Refused(why) => Err(self.aborted(&why)),
            Gathered::Over => Err(End::Over),
        }
    }

    /// As the server gets them the first time.
    fn params(&self) -> &str {
        self.request.body().unwrap_or("{}")
    }

    /// The same params, with what the server asked for (2026-07-28, Multi Round-Trip Requests, Client Requirements).
    fn retry(&self, responses: Option<String>, state: Option<String>) -> String {
        let mut params = Object::parse(self.params()).unwrap_or_default();
        if let Some(responses) = responses {
            params.set("inputResponses", responses);
        }
        if let Some(state) = state {
            params.set("requestState", state);
        }
        params.to_string()
    }

    /// A tool call fails the way in which a model can read it.
    fn aborted(&self, why: &str) -> End {
        if &*self.method != method::TOOLS_CALL {
            return End::Fail(why.into());
        }
        let result = format!("{{\"content\":[{{\"type\":\"text\",\"text\":{}}}],\"isError\":true}}", json::quote(why));
        End::Answer(Frame::result(self.reply.id_text(), &result))
    }
}
