//! What a request may rely on, and how its tool talks back to the client: the one place where the eras differ for a tool.
//!
//! Owns the answer's shapes ([`Reply`], [`Stop`]) and the [`Terms`] of a request. Talks to the session of the legacy face
//! for what that keeps. Never knows what a tool does.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::legacy::TASKS_SINCE;
use super::modern;
use super::server::Server;
use super::tools::{self, EchoResult};
use super::wire::{Params, RpcError};
use crate::protocol::{Level, method};

/// The key of the one thing that a tool asks for.
const ANSWER: &str = "answer";

/// What both sides agreed on: once for a legacy session, anew with each modern request.
pub(super) struct Terms {
    pub(super) version: &'static str,
    /// Who the client says it is, as JSON text: few ask.
    pub(super) client: Box<str>,
    pub(super) capabilities: Value,
    pub(super) manner: Manner,
}

/// How the client is talked to.
pub(super) enum Manner {
    /// Legacy: it is sent requests, and its session has a log level.
    Session,
    /// Modern: all that counts came with the request.
    Alone(Alone),
}

/// What came with a modern request.
pub(super) struct Alone {
    /// The least severe log line that it wants; `None` for no line at all.
    pub(super) level: Option<Level>,
    /// Answers to what the first try asked for, by key.
    pub(super) answers: Map<String, Value>,
}

/// An answer, or how to come by it.
pub(super) enum Reply<'a, 'm> {
    Now(Value),
    /// The bytes go back as they came.
    Echo(EchoResult<'m>),
    /// Work that waits. Dropping it is how it is cancelled.
    Later(Work<'a>),
    /// Work that a task of the legacy era stands for, with the time in milliseconds that its result is to be kept.
    Task(Work<'a>, Option<u64>),
    /// A subscription: it is open, and nothing is to be said now.
    Open,
}

pub(super) type Work<'a> = BoxFuture<'a, Result<Value, RpcError>>;
pub(super) type Answer<'a, 'm> = Result<Reply<'a, 'm>, RpcError>;

/// Serves one method: `tools/list`, `resources/read` and so on.
pub(super) type Feature = for<'a, 'm> fn(&'a Server, &Arc<Terms>, Params<'m>) -> Answer<'a, 'm>;

/// Reads params into `T`. Absent params are an empty object.
pub(super) fn params<'m, T: Deserialize<'m>>(raw: Params<'m>) -> Result<T, RpcError> {
    let text = raw.map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(RpcError::params("params must be an object"));
    }
    serde_json::from_str(text).map_err(|error| RpcError::params(format!("params do not fit: {error}")))
}

/// Why a tool came to no result of its own.
pub(super) enum Stop {
    /// It failed. The model is to see why.
    Failed(String),
    /// The client did not declare these capabilities.
    Lacks(Value, String),
    /// Modern: the client has to answer this request first, and to call again.
    Ask(Value),
}

impl From<String> for Stop {
    fn from(why: String) -> Stop {
        Stop::Failed(why)
    }
}

/// Proof that the client declared what a tool is about to use. Servers ask for nothing else (2025-11-25, Lifecycle,
/// Capability Negotiation; 2026-07-28, Base Protocol, `_meta`).
pub(super) struct Declared(());

impl Terms {
    pub(super) fn is_modern(&self) -> bool {
        matches!(self.manner, Manner::Alone(_))
    }

    /// Whether the revision has tasks in its core.
    pub(super) fn has_tasks(&self) -> bool {
        !self.is_modern() && self.version >= TASKS_SINCE
    }

    pub(super) fn declared(&self, capability: &str) -> Result<Declared, Stop> {
        match self.capabilities.get(capability).is_some_and(Value::is_object) {
            true => Ok(Declared(())),
            false => Err(Stop::Lacks(
                json!({capability: {}}),
                format!("the client did not declare the capability {capability}; use a client that has it"),
            )),
        }
    }

    /// An empty `elicitation` means forms, as before 2025-11-25 there was nothing else (client/elicitation,
    /// "Capabilities").
    pub(super) fn may_elicit(&self) -> Result<Declared, Stop> {
        let declared = self.declared("elicitation")?;
        let modes = self.capabilities.get("elicitation").and_then(Value::as_object);
        match modes.is_none_or(|modes| modes.is_empty() || modes.contains_key("form")) {
            true => Ok(declared),
            false => Err(Stop::Lacks(
                json!({"elicitation": {"form": {}}}),
                "the client's capability elicitation has no form mode; use a client that has it".to_owned(),
            )),
        }
    }

    /// A ping needs no capability, but there is none in the modern era: a modern server sends no request.
    pub(super) fn may_ping(&self) -> Option<Declared> {
        (!self.is_modern()).then_some(Declared(()))
    }

    /// Asks the client. Of a legacy one this waits for its answer; a modern one has sent it along, or has to call again.
    pub(super) async fn ask(&self, server: &Server, name: &str, params: Value, _: Declared) -> Result<Value, Stop> {
        match &self.manner {
            Manner::Session => server.session.ask(&server.out, name, params).await.map_err(|error| {
                Stop::Failed(format!("the client answered with error {}: {}", error.code, error.message))
            }),
            Manner::Alone(alone) => alone.answers.get(ANSWER).cloned().ok_or_else(|| {
                let request = json!({"method": name, "params": params});
                Stop::Ask(json!({ANSWER: request}))
            }),
        }
    }

    /// What the client gets of a tool that stopped.
    pub(super) fn settle(&self, stop: Stop, tool: &str) -> Result<Value, RpcError> {
        match stop {
            Stop::Failed(why) => Ok(tools::failed(&why)),
            Stop::Lacks(needed, why) if self.is_modern() => Err(modern::missing_capability(needed, why)),
            Stop::Lacks(_, why) => Ok(tools::failed(&why)),
            Stop::Ask(requests) => Ok(modern::input_required(tool, requests)),
        }
    }

    /// Sends a log line if the client wants lines as severe as this. Says whether it does.
    pub(super) fn log(&self, server: &Server, level: Level, data: Value) -> bool {
        let least = match &self.manner {
            Manner::Session => Some(server.session.level()),
            Manner::Alone(alone) => alone.level,
        };
        let wanted = least.is_some_and(|least| level >= least);
        if wanted {
            server.out.notify(method::MESSAGE, json!({"level": level.name(), "logger": "demo", "data": data}));
        }
        wanted
    }
}
