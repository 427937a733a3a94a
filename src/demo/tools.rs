//! The tools. Owns their descriptions and what they do; talks to [`Server`] to notify, and through the [`Terms`] of a call
//! to its client. Never reads a stream.
//!
//! A call that fails is answered with a result that says `isError`, so that the model sees why. Only an unknown tool is
//! a protocol error (server/tools, "Error Handling").

mod asking;
mod misbehave;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Number, Value, json};

use super::server::Server;
use super::terms::{Answer, Reply, Stop, Terms, params};
use super::wire::{Params, RpcError};
use super::{ToolSet, content};
use crate::protocol::{Level, method};

/// Bytes that `big` gives at most; the answer is built in memory.
const MAX_BIG: usize = 64 << 20;
fn tool(name: &str, description: &str, properties: Value, required: &[&str]) -> Value {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    json!({"name": name, "description": description, "inputSchema": schema})
}

fn string(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn count(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": description})
}

/// The property `name`, which travels in the header `Mcp-Param-<header>` too (2026-07-28, Tools, x-mcp-header). Earlier
/// revisions do not know the annotation.
fn in_header(terms: &Terms, kind: &str, header: &str) -> Value {
    let mut property = json!({"type": kind});
    if let Some(property) = property.as_object_mut().filter(|_| terms.is_modern()) {
        property.insert("x-mcp-header".to_owned(), header.into());
    }
    property
}

/// What `tools/list` says, in order.
fn catalogue(server: &Server, terms: &Terms) -> Vec<Value> {
    let number = || json!({"type": "number"});
    let mut add = tool("add", "Adds two numbers", json!({"a": number(), "b": number()}), &["a", "b"]);
    let sum = json!({"type": "object", "properties": {"sum": number()}, "required": ["sum"]});
    add.as_object_mut().map(|add| add.insert("outputSchema".to_owned(), sum));
    let slow = json!({"steps": count("How many (5)"), "step_ms": count("Milliseconds each (200)")});
    let flood = json!({"count": count("How many"), "kind": {"type": "string", "enum": ["log", "progress"]}});
    let log = json!({"level": string("debug, info, notice, warning, error, critical, alert or emergency"), "message": string("The text")});
    let place = json!({
        "region": in_header(terms, "string", "Region"),
        "limit": in_header(terms, "integer", "Limit"),
        "dry_run": in_header(terms, "boolean", "Dry-Run"),
    });
    let none = || json!({});
    let mut all = vec![
        tool("echo", "Returns the message", json!({"message": string("Any text")}), &["message"]),
        add,
        tool("slow", "Works in steps and reports progress when asked to", slow.clone(), &[]),
        tool("big", "Returns a text of the given size", json!({"bytes": count("Size of the text")}), &["bytes"]),
        tool("flood", "Sends many notifications, then answers", flood, &["count"]),
        tool("log", "Sends a log message to the client", log, &["level", "message"]),
        tool("ask", "Asks the user for a text (elicitation)", json!({"message": string("The question")}), &["message"]),
        tool(
            "sample",
            "Lets the client's model answer (sampling)",
            json!({"prompt": string("The prompt")}),
            &["prompt"],
        ),
        tool("roots", "Asks the client for its roots", none(), &[]),
        tool("touch", "Changes the resource demo://counter", none(), &[]),
        tool("toggle", "Adds or removes the tool extra", none(), &[]),
        tool("pid", "Returns the process id of this server", none(), &[]),
        tool("place", "Returns its arguments, which also travel in headers where there are any", place, &["region"]),
    ];
    if terms.may_ping().is_some() {
        all.push(tool("ping", "Pings the client", none(), &[]));
    }
    if terms.has_tasks() {
        let mut job = tool("job", "Works in steps like slow, as a task only", slow.clone(), &[]);
        job.as_object_mut().map(|job| job.insert("execution".to_owned(), json!({"taskSupport": "required"})));
        all.push(job);
    }
    if server.has_extra_tool() {
        all.push(tool("extra", "Is there while toggled on", none(), &[]));
    }
    if server.tools == ToolSet::WithTestTools {
        all.extend(for_tests());
    }
    all
}

/// The tools that only tests want.
fn for_tests() -> [Value; 5] {
    let none = || json!({});
    let crash = json!({"code": count("Exit code, 0 to 255 (1)"), "message": string("What to say on stderr")});
    let hold = json!({"hold_stdout": {"type": "boolean", "description": "Keep this server's stdout open (false)"}});
    let env = json!({"name": string("Its name")});
    [
        tool("crash", "Ends this server", crash, &[]),
        tool("garbage", "Writes a line to stdout that is not JSON, then answers", none(), &[]),
        tool("env", "Returns an environment variable whose name begins with DEMO_", env, &["name"]),
        tool("unlisten", "Ends the subscriptions of modern clients", none(), &[]),
        tool("spawn", "Starts a process that ignores SIGTERM; returns its process id", hold, &[]),
    ]
}

pub(super) fn list<'a, 'm>(server: &'a Server, terms: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    let all = catalogue(server, terms);
    let size = all.len(); // one page: some clients read no more than the first
    content::page("tools", all, size, raw).map(Reply::Now)
}

#[derive(Deserialize)]
struct Call<'m> {
    #[serde(borrow)]
    name: Cow<'m, str>,
    #[serde(borrow)]
    arguments: Params<'m>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'m>>,
    task: Option<AsTask>,
}

/// The wish of a legacy client that a call become a task (2025-11-25, Tasks, Creating Tasks).
#[derive(Deserialize)]
struct AsTask {
    ttl: Option<u64>,
}

#[derive(Deserialize)]
struct Meta<'m> {
    #[serde(borrow, rename = "progressToken")]
    progress_token: Option<&'m RawValue>,
}

/// The result of `echo`, made without a look into the text.
#[derive(Serialize)]
pub(super) struct EchoResult<'m> {
    content: [EchoText<'m>; 1],
    #[serde(rename = "resultType", skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<&'static RawValue>,
}

#[derive(Serialize)]
struct EchoText<'m> {
    r#type: &'static str,
    text: &'m RawValue,
}

impl<'m> EchoResult<'m> {
    fn new(text: &'m RawValue) -> Self {
        Self { content: [EchoText { r#type: "text", text }], result_type: None, meta: None }
    }

    /// The same with what results of the modern era carry.
    pub(super) fn modern(self, meta: Option<&'static RawValue>) -> Self {
        Self { result_type: Some("complete"), meta, ..self }
    }
}

fn text(text: impl Into<String>) -> Value {
    json!({"content": [{"type": "text", "text": text.into()}]})
}

pub(super) fn failed(why: &str) -> Value {
    json!({"content": [{"type": "text", "text": why}], "isError": true})
}

pub(super) fn call<'a, 'm>(server: &'a Server, terms: &Arc<Terms>, raw: Params<'m>) -> Answer<'a, 'm> {
    let mut call: Call = params(raw)?;
    let task = call.task.take().filter(|_| terms.has_tasks());
    let is_job = call.name == "job" && terms.has_tasks();
    // Both are "method not found" (2025-11-25, Tasks, Tool-Level Negotiation).
    match (is_job, &task) {
        (true, None) => return Err(RpcError::new(-32601, "the tool job runs as a task only; add task to the params")),
        (false, Some(_)) => {
            let why = format!("the tool {:?} cannot run as a task; leave task out of the params", call.name);
            return Err(RpcError::new(-32601, why));
        }
        _ => {}
    }
    match (dispatch(server, terms, &call), task) {
        (Ok(Some(Reply::Later(work))), Some(task)) => Ok(Reply::Task(work, task.ttl)),
        (Ok(Some(reply)), _) => Ok(reply),
        (Ok(None), _) => Err(RpcError::params(format!("there is no tool {:?}; see tools/list", call.name))),
        (Err(stop), _) => terms.settle(stop, &call.name).map(Reply::Now),
    }
}

/// `None`: there is no such tool.
fn dispatch<'a, 'm>(server: &'a Server, terms: &Arc<Terms>, call: &Call<'m>) -> Result<Option<Reply<'a, 'm>>, Stop> {
    let given = call.arguments;
    let token = call.meta.as_ref().and_then(|meta| meta.progress_token).map(RawValue::to_owned);
    let terms = Arc::clone(terms);
    Ok(Some(match call.name.as_ref() {
        "echo" => echo(args(given)?)?,
        "add" => Reply::Now(add(&args(given)?)?),
        "slow" => slow(server, args(given)?, token),
        "job" if terms.has_tasks() => slow(server, args(given)?, token),
        "big" => Reply::Now(big(&args(given)?)?),
        "flood" => flood(server, terms, args(given)?, token),
        "log" => Reply::Now(log(server, &terms, args(given)?)?),
        "ask" | "sample" | "roots" | "ping" => return ask_back(server, terms, call),
        "touch" => Reply::Now(text(format!("{} is now {}.", content::COUNTER, server.count()))),
        "toggle" if server.toggle_extra_tool() => Reply::Now(text("The tool extra is there now.")),
        "toggle" => Reply::Now(text("The tool extra is gone.")),
        "extra" if server.has_extra_tool() => Reply::Now(text("Here I am.")),
        "pid" => Reply::Now(text(std::process::id().to_string())),
        "place" => Reply::Now(place(&args(given)?)),
        _ if server.tools == ToolSet::Plain => return Ok(None),
        "crash" => misbehave::crash(server, args(given)?),
        "garbage" => misbehave::garbage(server),
        "env" => Reply::Now(misbehave::env(&args(given)?)?),
        "unlisten" => misbehave::unlisten(server),
        "spawn" => Reply::Now(misbehave::spawn(&args(given)?)?),
        _ => return Ok(None),
    }))
}

/// The tools that need the client. Each has its arguments and the client's capability checked before it begins.
fn ask_back<'a, 'm>(server: &'a Server, terms: Arc<Terms>, call: &Call<'m>) -> Result<Option<Reply<'a, 'm>>, Stop> {
    let given = call.arguments;
    let name = call.name.clone().into_owned();
    let work: BoxFuture<'a, Result<Value, Stop>> = match call.name.as_ref() {
        "ask" => {
            let (args, may, terms) = (args(given)?, terms.may_elicit()?, Arc::clone(&terms));
            Box::pin(async move { asking::ask(server, &terms, args, may).await })
        }
        "sample" => {
            let (args, may, terms) = (args(given)?, terms.declared("sampling")?, Arc::clone(&terms));
            Box::pin(async move { asking::sample(server, &terms, args, may).await })
        }
        "roots" => {
            let (may, terms) = (terms.declared("roots")?, Arc::clone(&terms));
            Box::pin(async move { asking::roots(server, &terms, may).await })
        }
        _ => {
            let Some(may) = terms.may_ping() else { return Ok(None) };
            let terms = Arc::clone(&terms);
            Box::pin(async move { asking::ping(server, &terms, may).await })
        }
    };
    Ok(Some(Reply::Later(Box::pin(async move {
        match work.await {
            Ok(result) => Ok(result),
            Err(stop) => terms.settle(stop, &name),
        }
    }))))
}

fn args<'m, T: Deserialize<'m>>(given: Params<'m>) -> Result<T, String> {
    params(given).map_err(|error| error.message.replace("params", "the arguments"))
}

#[derive(Deserialize)]
struct EchoArgs<'m> {
    #[serde(borrow)]
    message: &'m RawValue,
}

fn echo<'a, 'm>(args: EchoArgs<'m>) -> Result<Reply<'a, 'm>, String> {
    match args.message.get().starts_with('"') {
        true => Ok(Reply::Echo(EchoResult::new(args.message))),
        false => Err("message must be a string".to_owned()),
    }
}

#[derive(Deserialize)]
struct AddArgs {
    a: Number,
    b: Number,
}

fn add(AddArgs { a, b }: &AddArgs) -> Result<Value, String> {
    let whole = a.as_i64().zip(b.as_i64()).and_then(|(a, b)| a.checked_add(b)).map(Number::from);
    let float = || a.as_f64().zip(b.as_f64()).and_then(|(a, b)| Number::from_f64(a + b));
    let sum = whole.or_else(float).ok_or_else(|| format!("{a} + {b} is too large for a JSON number"))?;
    // The text is for clients from before structured results (server/tools, "Structured Content").
    Ok(json!({"content": [{"type": "text", "text": sum.to_string()}], "structuredContent": {"sum": sum}}))
}

#[derive(Deserialize)]
#[serde(default)]
struct SlowArgs {
    steps: u64,
    step_ms: u64,
}

impl Default for SlowArgs {
    fn default() -> Self {
        Self { steps: 5, step_ms: 200 }
    }
}

fn slow<'a, 'm>(server: &'a Server, args: SlowArgs, token: Option<Box<RawValue>>) -> Reply<'a, 'm> {
    Reply::Later(Box::pin(async move {
        for step in 1..=args.steps {
            tokio::time::sleep(Duration::from_millis(args.step_ms)).await;
            server.out.room().await;
            progress(server, token.as_deref(), step, args.steps);
        }
        Ok(text(format!("Did {} steps.", args.steps)))
    }))
}

/// Reports progress if the caller gave a token to name it by (basic/utilities/progress). Says whether it did.
fn progress(server: &Server, token: Option<&RawValue>, step: u64, of: u64) -> bool {
    let Some(token) = token else { return false };
    let message = format!("step {step} of {of}");
    let params = json!({"progressToken": token, "progress": step, "total": of, "message": message});
    server.out.notify(method::PROGRESS, params);
    true
}

#[derive(Deserialize)]
struct BigArgs {
    bytes: usize,
}

fn big(args: &BigArgs) -> Result<Value, String> {
    match args.bytes <= MAX_BIG {
        true => Ok(text("x".repeat(args.bytes))),
        false => Err(format!("{} bytes are more than the limit of {MAX_BIG}; ask for less", args.bytes)),
    }
}

#[derive(Deserialize)]
struct FloodArgs {
    count: u64,
    #[serde(default)]
    kind: FloodKind,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum FloodKind {
    #[default]
    Log,
    Progress,
}

fn flood<'a, 'm>(
    server: &'a Server,
    terms: Arc<Terms>,
    args: FloodArgs,
    token: Option<Box<RawValue>>,
) -> Reply<'a, 'm> {
    Reply::Later(Box::pin(async move {
        let mut sent = 0;
        for n in 1..=args.count {
            server.out.room().await;
            sent += u64::from(match args.kind {
                FloodKind::Log => terms.log(server, Level::Info, json!(n)),
                FloodKind::Progress => progress(server, token.as_deref(), n, args.count),
            });
        }
        Ok(text(format!("Sent {sent} notifications.")))
    }))
}

#[derive(Deserialize)]
struct LogArgs {
    level: String,
    message: String,
}

fn log(server: &Server, terms: &Terms, args: LogArgs) -> Result<Value, String> {
    let level = Level::parse(&args.level)
        .ok_or_else(|| format!("there is no log level {:?}; use debug, info and so on", args.level))?;
    Ok(match terms.log(server, level, args.message.into()) {
        true => text("Logged."),
        false => text("Not logged: the client wants more severe messages only, or none."),
    })
}

#[derive(Deserialize)]
struct PlaceArgs {
    region: String,
    #[serde(default)]
    limit: i64,
    #[serde(default)]
    dry_run: bool,
}

fn place(PlaceArgs { region, limit, dry_run }: &PlaceArgs) -> Value {
    text(format!("region {region}, limit {limit}, dry_run {dry_run}"))
}
