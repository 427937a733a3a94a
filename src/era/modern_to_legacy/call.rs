//! One call of a modern caller, from its request to its answer.
//!
//! Owns what happens in between: progress under the caller's own token, log lines that it asked for, and its time
//! (`--request-timeout`). Talks to one backend and one caller; what the server asks is for [`super::rounds`]. It never sends
//! a call again that the server may have seen.

use tokio::{sync::mpsc, time::Instant};
use tracing::warn;

use super::{
    Translation,
    asked::Retry,
    backend::CALL_CAPACITY,
    front::Front,
    missed::Missed,
    pool::{Key, Need, Use},
    request::{self, Refusal, Wanted},
    results::{self, Failed, asking::Need as Gate},
    running::{Gates, Heard, Running, gates, lost},
    subscriptions, tasks,
};
use crate::{
    json::Object,
    message::{Frame, Id, code, text},
    peer::{Envelope, NotTaken, Reply},
    protocol::{ErrorHead, MODERN, Revision, may_ask_back, method},
    room::NoRoom,
};

/// The next thing that happens to a call.
enum Step {
    Heard(Option<Envelope>),
    Withdrawn,
    /// The window is closed in which questions are collected, or the time of the call is over.
    Over,
}

/// What came of sending a call: nothing to refuse where the caller does not want it any more.
pub(super) type Begun = Result<Running, Option<Refusal>>;

/// What is left to do for a retry once it is read: from there on nothing needs its params.
pub(super) enum Next {
    /// The server goes on with its call.
    Heard(Front, Box<Running>),
    /// The call was sent anew.
    Sent(Front, Begun, Option<Instant>),
}

impl Translation {
    /// Serves one request. Ends when it is answered, or parked.
    pub(super) async fn serve(&self, mut front: Front) {
        let frame = front.frame.clone();
        // Read once: a message may have megabytes.
        let params = frame.object();
        let wanted = match request::admit(frame.method(), params.as_ref(), &self.known) {
            Ok(wanted) => wanted,
            Err(refusal) => return front.refuse(refusal),
        };
        let retry = params.as_ref().filter(|_| may_ask_back(frame.method())).and_then(Retry::of);
        match (frame.method(), retry) {
            (_, Some(Ok(retry))) => {
                let next = self.resume(front, &wanted, params.unwrap_or_default(), retry).await;
                drop(frame);
                match next {
                    Some(Next::Heard(front, running)) => self.talk(front, wanted, *running, self.deadline()).await,
                    Some(Next::Sent(front, begun, deadline)) => self.go_on(front, wanted, begun, deadline).await,
                    None => {}
                }
            }
            (_, Some(Err(refusal))) => front.refuse(refusal),
            (method::DISCOVER, _) => {
                drop(params);
                drop(frame);
                front.forget_params(false);
                self.discover(front, wanted).await;
            }
            (method::LISTEN, _) => {
                drop(params);
                drop(frame);
                let key = self.key(&front, &wanted);
                subscriptions::listen(&self.pool, key, wanted.client.as_deref(), front).await;
            }
            _ => {
                let deadline = self.deadline();
                let begun = self.open(&mut front, &wanted, params.unwrap_or_default(), deadline).await;
                drop(frame);
                self.go_on(front, wanted, begun, deadline).await;
            }
        }
    }

    fn key(&self, front: &Front, wanted: &Wanted) -> Key {
        Key { principal: front.caller.principal.clone(), capabilities: wanted.declared.key().clone() }
    }

    async fn discover(&self, mut front: Front, wanted: Wanted) {
        let using = self.pool.get(self.key(&front, &wanted), Need::Any, wanted.client.as_deref());
        let using = tokio::select! {
            using = using => using,
            () = front.withdrawn() => return front.cancelled(),
        };
        let opened = match using {
            Ok(using) => using.backend.opened().await,
            Err(refusal) => Err(refusal),
        };
        match opened {
            Ok(opened) => front.answer(&opened.discover),
            Err(refusal) => front.refuse(refusal),
        }
    }

    /// Sends a call that the server has not seen.
    pub(super) async fn open(
        &self,
        front: &mut Front,
        wanted: &Wanted,
        params: Object<'_>,
        deadline: Option<Instant>,
    ) -> Begun {
        let (frame, key) = (front.frame.clone(), self.key(front, wanted));
        tokio::select! {
            sent = self.send(&frame, params, key, wanted) => sent.map_err(Some),
            () = front.withdrawn() => Err(None),
            () = until(deadline) => Err(Some(self.late())),
        }
    }

    async fn go_on(&self, mut front: Front, wanted: Wanted, begun: Begun, deadline: Option<Instant>) {
        match begun {
            Ok(running) => {
                front.forget_params(asks(front.frame.method(), &wanted));
                self.talk(front, wanted, running, deadline).await;
            }
            Err(Some(refusal)) => front.refuse(refusal),
            Err(None) => front.cancelled(),
        }
    }

    /// Gets a server and sends it the call. Nothing is left behind when it is dropped half way.
    async fn send(&self, frame: &Frame, mut params: Object<'_>, key: Key, wanted: &Wanted) -> Result<Running, Refusal> {
        let asks = asks(frame.method(), wanted);
        let need = if asks { Need::Lease } else { Need::Any };
        let using = self.pool.get(key, need, wanted.client.as_deref()).await?;
        let backend = using.backend.clone();
        let opened = backend.opened().await?;
        if let Some(what) = request::needs(frame.method())
            && !opened.offers(&[what])
            // It was not declared before 2025-03-26.
            && !(what == "completions" && opened.revision == Revision::V2024_11_05)
        {
            let text = format!("{} cannot be served: the server does not offer {what}", frame.method());
            return Err(Refusal::new(code::METHOD_NOT_FOUND, text));
        }
        if let Some(level) = wanted.level
            && opened.offers(&["logging"])
        {
            backend.log_from(level).await;
        }
        let id = backend.fresh_id();
        let token = (asks || frame.progress_token().is_some()).then_some(id);
        results::suit(frame.method(), &mut params, opened.revision);
        let request = Frame::request_of(&Id::Number(id), frame.method(), &results::params(params, token));
        let request = request.in_place_of(frame);
        let as_task = tasks::is_needed(&backend, &opened, &request, self.settings.patience).await;
        let (tx, answers) = mpsc::channel(CALL_CAPACITY);
        let gone = |_| Refusal::new(code::INTERNAL, "the server is gone");
        let reply = Reply::on(tx.clone(), &request, backend.me()).await.map_err(gone)?;
        backend.run(id, &tx, asks, wanted.level.is_some());
        drop(tx);
        let running = Running {
            backend: backend.clone(),
            opened,
            using: Some(using),
            id,
            answers,
            asked: Vec::new(),
            named: 0,
            round: 0,
            gates: if asks { gates(wanted) } else { Gates::default() },
            refused: None,
            progress: f64::NEG_INFINITY,
            level: wanted.level,
            missed: Missed::default(),
            answer: None,
        };
        if as_task {
            self.scope.spawn(tasks::run(backend, request, reply, self.settings.patience));
        } else {
            backend.send(Envelope { from: backend.me().clone(), frame: request, reply: Some(reply) }).await;
        }
        Ok(running)
    }

    /// When the time of a request is over that comes now. A parked call is answered, and has no such time: its user may
    /// think for as long as the call is kept.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.settings.request_timeout.and_then(|limit| Instant::now().checked_add(limit))
    }

    fn late(&self) -> Refusal {
        Refusal::new(code::LIMIT, text::late(self.settings.request_timeout.unwrap_or_default()))
    }

    /// Listens to the server until the call is answered, parked, withdrawn or late.
    pub(super) async fn talk(&self, mut front: Front, wanted: Wanted, mut running: Running, deadline: Option<Instant>) {
        let mut window = None;
        loop {
            let step = tokio::select! {
                biased;
                heard = running.answers.recv() => Step::Heard(heard),
                () = front.withdrawn() => Step::Withdrawn,
                // Once it has asked, the server is not late: what it waits for is its client.
                () = until(window.or(deadline)) => Step::Over,
            };
            let heard = match step {
                Step::Heard(Some(envelope)) => running.hear(envelope),
                Step::Heard(None) => Heard::Answer(lost()),
                Step::Withdrawn => {
                    running.withdraw("the client cancelled it");
                    return front.cancelled();
                }
                Step::Over if window.is_some() => return self.park(front, running).await,
                Step::Over => {
                    running.withdraw("timeout");
                    return front.refuse(self.late());
                }
            };
            let update = match heard {
                Heard::Answer(answer) => return self.finish(front, &wanted, running, answer).await,
                Heard::Update(update) => running.shown(&front.frame, update),
                Heard::Nothing => None,
            };
            if let Some(update) = update
                && let Err(refusal) = self.update(&mut front, &running, update).await
            {
                running.withdraw("the client does not want it any more");
                return front.refuse(refusal);
            }
            window = match (running.asked.is_empty(), window) {
                (true, _) => None,
                (false, None) => Some(Instant::now() + self.settings.collect),
                (false, started) => started,
            };
        }
    }

    /// Sends something ahead of the answer. A caller with a server of its own slows it down, for as long as nobody else has a
    /// use for it; one that shares a server is cut off, so that nobody waits for it.
    pub(super) async fn update(&self, front: &mut Front, running: &Running, frame: Frame) -> Result<(), Refusal> {
        let cancelled = || Refusal::new(code::CANCELLED, text::CANCELLED);
        let (from, whose, size) = (running.backend.me(), front.caller.id, frame.bytes().len());
        let sent = match self.rooms.try_take(whose, size) {
            Ok(room) => front.try_update(from, frame.clone().holding(room)),
            Err(NoRoom) => Err(NotTaken::Full),
        };
        match sent {
            Ok(()) => return Ok(()),
            Err(NotTaken::Gone) => return Err(cancelled()),
            Err(NotTaken::Full) => {}
        }
        let waiting = async {
            let room = self.rooms.take(whose, size).await;
            front.update(from, frame.holding(room)).await
        };
        tokio::select! {
            biased;
            () = needed(running.using.as_ref()) => {}
            sent = waiting => return if sent { Ok(()) } else { Err(cancelled()) },
        }
        warn!(name = %self.settings.name, "cut off a caller that reads too slowly for a shared server");
        Err(Refusal::new(code::LIMIT, text::CUT_OFF))
    }

    /// The answer in its caller's own room, which it waits for; `None` when the caller does not want it any more. It waits in
    /// nobody's: the server goes on for others.
    async fn housed(&self, front: &mut Front, answer: Frame) -> Option<Frame> {
        let (whose, size) = (front.caller.id, answer.bytes().len());
        if let Ok(room) = self.rooms.try_take(whose, size) {
            return Some(answer.holding(room));
        }
        let answer = answer.released();
        tokio::select! {
            room = self.rooms.take(whose, size) => Some(answer.holding(room)),
            () = front.withdrawn() => None,
        }
    }

    /// Passes the server's answer on.
    pub(super) async fn finish(&self, mut front: Front, wanted: &Wanted, mut running: Running, answer: Frame) {
        // The server is free before its caller can ask for the next call.
        running.settle();
        let Some(answer) = self.housed(&mut front, answer).await else { return front.cancelled() };
        let name = front.frame.method().to_string();
        if !answer.is_error() {
            return match answer.object() {
                Some(result) => {
                    let result = results::result(&name, result, running.opened.server.as_deref());
                    front.answer_object(&result, &answer);
                }
                None => {
                    let text = format!("the server's answer to {name} cannot be passed on: its result is no object");
                    front.refuse(Refusal::new(code::INTERNAL, text));
                }
            };
        }
        if let Some(need) = running.refused {
            let (_, text) = need.refusal();
            let text = format!("the server asked for what it needs, and {text}");
            return front.refuse(Refusal::new(code::MISSING_CAPABILITY, text).with(need.missing()));
        }
        if asking_anew(&answer) {
            self.pool.outdated(&running.backend);
        }
        match results::error(answer.body().unwrap_or("null")) {
            Failed::Error(error) => front.answer_error(&error),
            Failed::OpenFirst(requests) if may_ask_back(&name) && wanted.declared.allow(Gate::Url) => {
                let entries = requests.into_iter().enumerate();
                let entries = entries.map(|(at, url)| (format!("u{}", at + 1).into(), url.text.into())).collect();
                let server = running.opened.server.clone();
                self.park_again(front, entries, running.round, server.as_deref()).await;
            }
            // No result of another method can ask for anything (2026-07-28, Multi Round-Trip Requests).
            Failed::OpenFirst(_) if !may_ask_back(&name) => {
                let text = format!(
                    "the server needs a URL to be opened before it serves {name}, which cannot ask for that in revision \
                     {MODERN}; call a tool of it first, which can"
                );
                front.refuse(Refusal::new(code::INTERNAL, text));
            }
            Failed::OpenFirst(_) => {
                let text = "the server needs the client to open a URL first, and the client did not declare \
                            elicitation in url mode";
                front.refuse(Refusal::new(code::MISSING_CAPABILITY, text).with(Gate::Url.missing()));
            }
        }
    }
}

/// Whether the server may ask the caller back before it answers.
fn asks(name: &str, wanted: &Wanted) -> bool {
    may_ask_back(name) && wanted.declared.can_be_asked()
}

/// Whether a server says that it does not speak the revision of its session: another one may stand there now.
fn asking_anew(answer: &Frame) -> bool {
    ErrorHead::code_of(answer) == Some(code::UNSUPPORTED_VERSION)
}

/// Resolves when others need the server of a call; never where the call needs none any more.
async fn needed(using: Option<&Use>) {
    match using {
        Some(using) if using.is_lease() => using.crowded().await,
        Some(_) => {}
        None => std::future::pending().await,
    }
}

/// Until then; for ever where there is no end.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
