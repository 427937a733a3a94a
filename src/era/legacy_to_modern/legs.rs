//! Requests to the client for the input that a server wants: real ones, on the stream of the call that they belong to.
//!
//! Owns what is outstanding of one round. Talks to the client alone. It never asks for what the client did not declare, and
//! never lets one answer that cannot be used hide as one that can.

use std::time::Duration;

use serde_json::json;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until},
};
use tracing::debug;

use super::{
    call::{Call, Over},
    client::is_object,
    lock,
    results::Wanted,
};
use crate::{
    json::{self, Object},
    message::{Frame, Id},
    peer::{Envelope, Reply},
    protocol::{ErrorHead, Revision, cancellation},
};

/// How often a client that waits for its user hears that its call goes on, if it wants to hear of progress.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// What a round of questions came to.
#[derive(Debug)]
pub(super) enum Gathered {
    /// The `inputResponses`, as JSON text.
    Responses(String),
    /// The call cannot go on, and why.
    Refused(String),
    /// The client took the call back, or is gone.
    Over,
}

/// What a client can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Elicitation,
    Roots,
    Sampling,
}

/// Something that the client was asked, or would have been.
#[derive(Debug)]
struct Leg<'a> {
    key: &'a str,
    ask: Ask,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not asked, for this reason.
    Unasked(String),
    /// Asked under this id; with the id of the elicitation, where it has a link.
    Asked(i64, oneshot::Receiver<Frame>, Option<String>),
}

impl Call {
    /// Asks the client all of it at once, and waits for all answers.
    /// Notes the ids of links that the client opens.
    pub(super) async fn gather(&self, wanted: &[Wanted], links: &mut Vec<String>) -> Gathered {
        let mut open = Open { call: self, ids: Vec::new(), links };
        let gathered = tokio::select! {
            // A front that goes answers for its client with errors; nothing is to come of those.
            biased;
            Over = self.over() => Err(Stop::Over),
            gathered = open.gather(wanted) => gathered,
        };
        open.close();
        match gathered {
            Ok(responses) => Gathered::Responses(responses),
            Err(Stop::Refused(why)) => Gathered::Refused(why),
            Err(Stop::Over) => Gathered::Over,
        }
    }
}

/// Why a round ends early.
#[derive(Debug)]
enum Stop {
    Refused(String),
    Over,
}

/// The questions of one round that are not answered yet.
struct Open<'a> {
    call: &'a Call,
    ids: Vec<i64>,
    links: &'a mut Vec<String>,
}

impl Open<'_> {
    async fn gather(&mut self, wanted: &[Wanted]) -> Result<String, Stop> {
        let legs = self.ask_all(wanted).await?;
        self.collect(legs).await
    }

    async fn ask_all<'w>(&mut self, wanted: &'w [Wanted]) -> Result<Vec<Leg<'w>>, Stop> {
        let mut legs = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let ask = match &*wanted.method {
                "elicitation/create" => Ask::Elicitation,
                "roots/list" => Ask::Roots,
                "sampling/createMessage" => Ask::Sampling,
                other => {
                    let text =
                        format!("the server asked for {}, which this client cannot be asked", json::quote(other));
                    return Err(Stop::Refused(text));
                }
            };
            let state = match self.question(ask, wanted) {
                Ok((params, link)) => {
                    let (id, answer) = self.ask(&wanted.method, params.as_deref()).await?;
                    State::Asked(id, answer, link)
                }
                Err(why) => State::Unasked(why),
            };
            legs.push(Leg { key: &wanted.key, ask, state });
        }
        Ok(legs)
    }

    /// The params of the question in the client's revision, and the id of a link in it; or why it is not to be asked.
    fn question(&self, ask: Ask, wanted: &Wanted) -> Result<(Option<String>, Option<String>), String> {
        let (client, params) = (&self.call.client, wanted.params.as_deref());
        match ask {
            Ask::Roots if client.declared.roots => Ok((params.map(str::to_string), None)),
            Ask::Sampling if client.declared.sampling => Ok((params.map(str::to_string), None)),
            Ask::Elicitation => {
                let mut params = params.and_then(Object::parse).unwrap_or_default();
                let by_url = params.get("mode").and_then(json::string).as_deref() == Some("url");
                let declared = if by_url { client.declared.url } else { client.declared.form };
                if !declared {
                    return Err(format!("it did not declare {} elicitation", if by_url { "url" } else { "form" }));
                }
                let mut link = None;
                if by_url {
                    // Required in 2025-11-25 and gone in 2026-07-28.
                    let id = uuid::Uuid::new_v4().to_string();
                    params.set("elicitationId", json::quote(&id));
                    link = Some(id);
                } else if client.revision < Revision::V2025_11_25 {
                    params.remove("mode");
                }
                Ok((Some(params.to_string()), link))
            }
            Ask::Roots | Ask::Sampling => Err(format!("it did not declare {}", capability(ask))),
        }
    }

    async fn ask(&mut self, method: &str, params: Option<&str>) -> Result<(i64, oneshot::Receiver<Frame>), Stop> {
        let session = &self.call.session;
        let id = session.mint();
        let frame = Frame::request(&Id::Number(id), method, params);
        let (tx, rx) = oneshot::channel();
        lock(&session.legs).insert(id, tx);
        self.ids.push(id);
        let home = session.home.upgrade().ok_or(Stop::Over)?;
        let reply = Reply::on(home, &frame, &session.voice).await.map_err(|_| Stop::Over)?;
        let envelope = Envelope { from: session.voice.clone(), frame, reply: Some(reply) };
        self.call.reply.update(envelope).await.map_err(|_| Stop::Over)?;
        Ok((id, rx))
    }

    async fn collect(&mut self, legs: Vec<Leg<'_>>) -> Result<String, Stop> {
        let deadline = Instant::now() + self.call.session.settings.leg_patience;
        let mut responses = Object::new();
        for Leg { key, ask, state } in legs {
            let answer = match state {
                State::Unasked(why) => Err(why),
                State::Asked(id, rx, link) => match self.wait(rx, deadline).await? {
                    Some(frame) => {
                        self.ids.retain(|open| *open != id);
                        let answer = usable(ask, &frame);
                        self.links.extend(link.filter(|_| answer.as_deref().is_ok_and(accepts)));
                        answer
                    }
                    None => Err("it did not answer in time".into()),
                },
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(why) => {
                    debug!("the client gave no {}: {why}", capability(ask));
                    stand_in(ask, &why)?
                }
            };
            responses.set(key.to_string(), answer);
        }
        Ok(responses.to_string())
    }

    /// Gives the answer; `None` when it did not come in time.
    async fn wait(&self, mut answer: oneshot::Receiver<Frame>, deadline: Instant) -> Result<Option<Frame>, Stop> {
        loop {
            tokio::select! {
                biased;
                // Without an answer the session has ended.
                answer = &mut answer => return answer.map(Some).map_err(|_| Stop::Over),
                () = sleep_until(deadline) => return Ok(None),
                () = sleep(SIGN_OF_LIFE) => self.call.still_waiting(),
            }
        }
    }

    /// Takes back what is not answered, and forgets it.
    fn close(self) {
        for id in self.ids {
            if lock(&self.call.session.legs).remove(&id).is_none() {
                continue; // It is answered by now.
            }
            self.call.try_tell(cancellation(&id.to_string(), None));
        }
    }
}

fn capability(ask: Ask) -> &'static str {
    match ask {
        Ask::Elicitation => "elicitation",
        Ask::Roots => "roots",
        Ask::Sampling => "sampling",
    }
}

/// The client's answer, if it is one to what it was asked.
fn usable(ask: Ask, frame: &Frame) -> Result<String, String> {
    if let Some(error) = ErrorHead::of(frame) {
        return Err(error.message);
    }
    let body = frame.body().unwrap_or_default();
    let fits = Object::parse(body).is_some_and(|result| match ask {
        Ask::Elicitation => {
            let action = result.get("action").and_then(json::string);
            matches!(action.as_deref(), Some("accept" | "decline" | "cancel"))
        }
        Ask::Roots => result.get("roots").and_then(json::array).is_some(),
        Ask::Sampling => {
            let content = result.get("content").is_some_and(|content| is_object(content) || content.starts_with('['));
            content && ["role", "model"].iter().all(|key| result.get(key).is_some_and(|value| value.starts_with('"')))
        }
    });
    if fits { Ok(body.to_string()) } else { Err(format!("its answer is no result of {}", capability(ask))) }
}

fn accepts(answer: &str) -> bool {
    Object::parse(answer).is_some_and(|answer| answer.get("action").and_then(json::string).as_deref() == Some("accept"))
}

/// What the server gets where the client gave nothing: there is no place for an error in `inputResponses`.
fn stand_in(ask: Ask, why: &str) -> Result<String, Stop> {
    match ask {
        Ask::Elicitation => Ok(json!({ "action": "cancel" }).to_string()),
        Ask::Roots => Ok(json!({ "roots": [] }).to_string()),
        Ask::Sampling => {
            Err(Stop::Refused(format!("the server needs sampling for this, and the client gave none: {why}")))
        }
    }
}
