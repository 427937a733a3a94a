//! Tools that a legacy server runs as tasks alone (2025-11-25, Tasks), for callers whose era has no such tasks.
//!
//! Owns which tools those are, and the steps in between: the call becomes a task, its result is waited for, and comes
//! back as the call's answer. Talks to one [`Backend`], and to its caller by the [`Reply`] of the call: for the rest of
//! the translation it is a call like any other. It never shows a task to a caller, and never makes one that the server
//! does not ask for.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    backend::{Backend, CALL_CAPACITY},
    lock,
    results::{Opened, tools},
};
use crate::{
    json::{self, Object, quote},
    message::{Frame, Id, Kind},
    peer::{Envelope, Reply},
    protocol::{cancellation, method},
};

/// How long the server may keep a task, in milliseconds. Without a limit it would keep the results of all tasks for good;
/// with a short one it would drop a task that somebody has parked and thinks about.
const TTL: u32 = 3_600_000;

/// Pages of a list of tools, and names in it that are remembered. A server that has more is broken or an attack.
const MAX_LIST: (usize, usize) = (64, 4096);

/// Longest name of a tool that is remembered, in bytes.
const MAX_NAME: usize = 1024;

/// How often the server is asked how far a task is, where it names no interval, and the bounds for one that it names.
const POLL: (Duration, Duration, Duration) =
    (Duration::from_secs(1), Duration::from_millis(100), Duration::from_secs(30));

/// The tools of one server that have to be called as tasks.
#[derive(Debug, Default)]
pub(super) struct Tools {
    known: Mutex<Option<Arc<HashSet<Box<str>>>>>,
    /// Counts how often the list has changed: one that was asked for before is not kept.
    changes: AtomicU64,
}

impl Tools {
    /// The list has changed.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        *lock(&self.known) = None;
    }

    /// Asks the server, if it is not known.
    async fn get(&self, backend: &Backend) -> Arc<HashSet<Box<str>>> {
        if let Some(known) = &*lock(&self.known) {
            return known.clone();
        }
        let changes = self.changes.load(Ordering::Acquire);
        let Some(listed) = list(backend).await else {
            debug!("a server that runs tasks does not list its tools");
            return Arc::default();
        };
        let listed = Arc::new(listed);
        let mut known = lock(&self.known);
        if self.changes.load(Ordering::Acquire) == changes {
            *known = Some(listed.clone());
        }
        listed
    }
}

/// All pages of the list of tools; `None` when one cannot be had.
async fn list(backend: &Backend) -> Option<HashSet<Box<str>>> {
    let (pages, most) = MAX_LIST;
    let mut names = HashSet::new();
    let mut params = None;
    for _ in 0..pages {
        let page = backend.ask(method::TOOLS_LIST, params.as_deref()).await.filter(|page| !page.is_error())?;
        let page = Object::parse(page.body()?)?;
        for tool in json::array(page.get("tools")?)?.into_iter().filter(|tool| tools::requires_task(tool)) {
            let tool = Object::parse(tool)?;
            let name = json::string(tool.get("name")?)?;
            if name.len() <= MAX_NAME && names.len() < most {
                names.insert(name.into());
            }
        }
        let cursor = page.get("nextCursor").filter(|cursor| cursor.starts_with('"'));
        let Some(cursor) = cursor else { return Some(names) };
        params = Some(format!(r#"{{"cursor":{cursor}}}"#));
    }
    warn!(pages, "the server's list of tools has no end; what lies beyond is not called as a task");
    Some(names)
}

/// Whether a request calls a tool that runs as a task alone. Costs nothing at a server that runs none.
pub(super) async fn is_needed(backend: &Backend, opened: &Opened, request: &Frame, patience: Duration) -> bool {
    if request.method() != method::TOOLS_CALL || !opened.offers(&["tasks", "requests", "tools", "call"]) {
        return false;
    }
    let params = request.body().and_then(Object::parse).unwrap_or_default();
    let Some(name) = params.get("name").and_then(json::string) else { return false };
    match timeout(patience, backend.tools.get(backend)).await {
        Ok(tools) => tools.contains(&*name),
        Err(_) => false,
    }
}

/// Runs a call as a task, and answers it. A caller that does not want the answer any more has dropped the other end of
/// `home`.
pub(super) async fn run(backend: Arc<Backend>, call: Frame, home: Reply, patience: Duration) {
    let request = as_task(&call);
    // A task may take hours, and what the call keeps others may wait for.
    drop(call);
    // Dropped without an answer, `home` says that the server is gone.
    let Some(created) = relay(&backend, request, &home).await else { return };
    let Some(task) = created.body().filter(|_| !created.is_error()).and_then(task_of) else {
        // It failed, or the server has run it at once.
        return home.answer(created);
    };
    let waiting = Id::Number(backend.fresh_id());
    let result = tokio::select! {
        result = result(&backend, &task, &waiting, &home) => result,
        () = home.gone() => {
            // Not by notification alone: that ends the waiting, not the task (2025-11-25, Cancellation).
            backend.say(cancellation(&waiting.to_json(), Some("the client does not want it any more")));
            drop(timeout(patience, backend.ask("tasks/cancel", Some(&task.params()))).await);
            return;
        }
    };
    if let Some(result) = result {
        home.answer(result);
    }
}

/// Under the call's own id: that is what it is cancelled by until there is a task.
fn as_task(call: &Frame) -> Frame {
    let mut params = call.object().unwrap_or_default();
    params.set("task", format!(r#"{{"ttl":{TTL}}}"#));
    let id = Id::parse(call.id_text()).unwrap_or(Id::Number(0));
    Frame::request_of(&id, call.method(), &params).in_place_of(call)
}

/// A task that a server has made.
#[derive(Debug)]
struct Task {
    /// As JSON text.
    id: String,
    poll: Duration,
}

impl Task {
    fn params(&self) -> String {
        let mut params = Object::new();
        params.set("taskId", &*self.id);
        params.to_string()
    }
}

/// The task in a `CreateTaskResult`; `None` where it is the result of a call.
fn task_of(result: &str) -> Option<Task> {
    let result = Object::parse(result)?;
    let task = Object::parse(result.get("task")?)?;
    let id = quote(&json::string(task.get("taskId")?)?);
    Some(Task { id, poll: interval(&task) })
}

fn interval(task: &Object<'_>) -> Duration {
    let (usual, least, most) = POLL;
    let named = task.get("pollInterval").and_then(|text| text.parse::<f64>().ok());
    let named = named.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    named.map_or(usual, |named| named.clamp(least, most))
}

/// Waits for what the call would have answered. A server has to wait with its answer until the task is over, and asks
/// back meanwhile (2025-11-25, Tasks, Result Retrieval); with one that fails at once instead the status is looked at.
async fn result(backend: &Backend, task: &Task, id: &Id, home: &Reply) -> Option<Frame> {
    loop {
        let request = Frame::request(id, "tasks/result", Some(&task.params()));
        let answer = relay(backend, request, home).await?;
        if !answer.is_error() {
            return Some(answer);
        }
        let Some(pause) = unfinished(backend, task).await else { return Some(answer) };
        sleep(pause).await;
    }
}

/// How long to wait for a task that goes on; `None` when it is over, or nothing is known of it.
async fn unfinished(backend: &Backend, task: &Task) -> Option<Duration> {
    let status = backend.ask("tasks/get", Some(&task.params())).await.filter(|status| !status.is_error())?;
    let status = Object::parse(status.body()?)?;
    let goes_on = matches!(status.get("status"), Some(r#""working""# | r#""input_required""#));
    goes_on.then(|| if status.get("pollInterval").is_some() { interval(&status) } else { task.poll })
}

/// Sends a request, and passes on what the server says about it but its answer; `None` when the server is gone.
async fn relay(backend: &Backend, request: Frame, home: &Reply) -> Option<Frame> {
    let (tx, mut answers) = mpsc::channel(CALL_CAPACITY);
    let reply = Reply::on(tx, &request, backend.me()).await.ok()?;
    backend.send(Envelope { from: backend.me().clone(), frame: request, reply: Some(reply) }).await;
    loop {
        let envelope = answers.recv().await?;
        if matches!(envelope.frame.kind(), Kind::Response(_)) {
            return Some(envelope.frame);
        }
        if home.update(envelope).await.is_err() {
            debug!("a task goes on, and its caller has left");
        }
    }
}
