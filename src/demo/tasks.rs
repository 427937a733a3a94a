//! Tasks as 2025-11-25 has them: a call is answered at once with a handle, and its result is fetched later. Owns the
//! tasks of the session, as many as [`MAX_TASKS`]. Talks to the session's client through what its methods return. Never
//! runs the work itself: the server's loop does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use futures::future::{AbortHandle, BoxFuture, abortable};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::server::Server;
use super::terms::{Answer, Reply, Terms, Work, params};
use super::wire::{Params, RpcError, lock};
use crate::date;

/// Tasks known at one time. The oldest that has ended makes room; a client that never ends one would fill the memory.
const MAX_TASKS: usize = 64;
/// Milliseconds that a result is kept if no more is asked for, and at most.
const MAX_KEEP: u64 = 600_000;
/// Milliseconds between two looks that we advise.
const POLL: u64 = 50;

#[derive(Clone)]
enum State {
    Working,
    Done(Result<Value, RpcError>),
    Cancelled,
}

impl State {
    /// The status that the protocol has for it (basic/utilities/tasks, "Task Status Lifecycle"): a tool's own failure
    /// counts as one of the task.
    fn name(&self) -> &'static str {
        match self {
            State::Working => "working",
            State::Done(Ok(result)) if result.get("isError") != Some(&Value::Bool(true)) => "completed",
            State::Done(_) => "failed",
            State::Cancelled => "cancelled",
        }
    }

    fn is_over(&self) -> bool {
        !matches!(self, State::Working)
    }
}

struct Task {
    created: String,
    updated: String,
    keep: u64,
    state: watch::Sender<State>,
    stop: AbortHandle,
}

impl Task {
    fn told(&self, id: u64) -> Value {
        json!({
            "taskId": name(id),
            "status": self.state.borrow().name(),
            "createdAt": self.created,
            "lastUpdatedAt": self.updated,
            "ttl": self.keep,
            "pollInterval": POLL,
        })
    }

    /// Moves on, unless it is over.
    fn turn(&mut self, to: State) -> bool {
        let turned = self.state.send_if_modified(|state| {
            let working = !state.is_over();
            if working {
                *state = to;
            }
            working
        });
        if turned {
            self.updated = rfc3339(SystemTime::now());
        }
        turned
    }
}

/// The tasks of a session, by the number in their id. No number is used again.
#[derive(Default)]
pub(super) struct Tasks {
    all: Mutex<BTreeMap<u64, Task>>,
    last: AtomicU64,
}

/// What `initialize` says of tasks. There is no list of them.
pub(super) fn capability() -> Value {
    json!({"cancel": {}, "requests": {"tools": {"call": {}}}})
}

impl Tasks {
    /// Makes a task of `work`. Gives the answer to the call, and what has to be run.
    pub(super) fn start<'a>(
        &'a self,
        work: Work<'a>,
        keep: Option<u64>,
    ) -> Result<(Value, BoxFuture<'a, ()>), RpcError> {
        let mut all = lock(&self.all);
        if all.len() >= MAX_TASKS {
            let over = all.iter().find(|(_, task)| task.state.borrow().is_over()).map(|(id, _)| *id);
            let over = over.ok_or_else(|| {
                RpcError::new(-32000, format!("{MAX_TASKS} tasks are running; wait for one, or cancel it"))
            })?;
            all.remove(&over);
        }
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (work, stop) = abortable(work);
        let now = rfc3339(SystemTime::now());
        let state = watch::Sender::new(State::Working);
        let task =
            Task { created: now.clone(), updated: now, keep: keep.unwrap_or(MAX_KEEP).min(MAX_KEEP), state, stop };
        let created = json!({"task": task.told(id)});
        all.insert(id, task);
        let running = async move {
            if let Ok(outcome) = work.await {
                lock(&self.all).get_mut(&id).map(|task| task.turn(State::Done(outcome)));
            }
        };
        Ok((created, Box::pin(running)))
    }

    /// Looks at the task that the params name.
    fn with<T>(&self, raw: Params<'_>, look: impl FnOnce(u64, &mut Task) -> T) -> Result<T, RpcError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Of {
            task_id: String,
        }
        let Of { task_id } = params(raw)?;
        let mut all = lock(&self.all);
        let task = all.iter_mut().find(|(id, _)| name(**id) == task_id);
        let unknown = || RpcError::params(format!("there is no task {task_id:?}; use a taskId as it came"));
        task.map(|(id, task)| look(*id, task)).ok_or_else(unknown)
    }
}

fn name(id: u64) -> String {
    format!("task-{id}")
}

pub(super) fn get<'a, 'm>(server: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    server.session.tasks.with(raw, |id, task| task.told(id)).map(Reply::Now)
}

/// Waits for the end of the task, and gives what the call itself would have given (basic/utilities/tasks, "Result
/// Retrieval").
pub(super) fn result<'a, 'm>(server: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    let (id, mut state) = server.session.tasks.with(raw, |id, task| (id, task.state.subscribe()))?;
    let id = name(id);
    Ok(Reply::Later(Box::pin(async move {
        let state = state.wait_for(State::is_over).await.map(|state| state.clone());
        match state {
            Ok(State::Done(outcome)) => outcome.map(|result| related(result, &id)),
            _ => Err(RpcError::params(format!("the task {id} was cancelled and has no result"))),
        }
    })))
}

fn related(mut result: Value, id: &str) -> Value {
    if let Some(fields) = result.as_object_mut() {
        fields.insert("_meta".to_owned(), json!({"io.modelcontextprotocol/related-task": {"taskId": id}}));
    }
    result
}

pub(super) fn cancel<'a, 'm>(server: &'a Server, _: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    server.session.tasks.with(raw, |id, task| match task.turn(State::Cancelled) {
        true => {
            task.stop.abort();
            Ok(Reply::Now(task.told(id)))
        }
        false => Err(RpcError::params(format!("the task {} is {} already", name(id), task.state.borrow().name()))),
    })?
}

/// A moment as RFC 3339 has it, in UTC and whole seconds.
fn rfc3339(at: SystemTime) -> String {
    format!("{}Z", date::seconds(at))
}
