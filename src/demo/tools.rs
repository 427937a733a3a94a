//! The tools. Owns their descriptions and what they do; talks to [`Server`] to notify and to ask. Never reads a stream.
//!
//! A call that fails is answered with a result that says `isError`, so that the model sees why. Only an unknown tool is
//! a protocol error (server/tools, "Error Handling").

use std::borrow::Cow;
use std::io::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Number, Value, json};

use super::server::{Answer, Level, Reply, Server, Terms, params};
use super::wire::{Params, RpcError};
use super::{ToolSet, content};

/// Bytes that `big` gives at most; the answer is built in memory.
const MAX_BIG: usize = 64 << 20;
/// Seconds that the process of `spawn` lives if nobody ends it: long for a test, short for a leak.
#[cfg(unix)]
const SPAWN_SECONDS: &str = "600";

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

/// What `tools/list` says, in order.
fn catalogue(server: &Server) -> Vec<Value> {
    let number = || json!({"type": "number"});
    let mut add = tool("add", "Adds two numbers", json!({"a": number(), "b": number()}), &["a", "b"]);
    let sum = json!({"type": "object", "properties": {"sum": number()}, "required": ["sum"]});
    add.as_object_mut().map(|add| add.insert("outputSchema".to_owned(), sum));
    let slow = json!({"steps": count("How many (5)"), "step_ms": count("Milliseconds each (200)")});
    let flood = json!({"count": count("How many"), "kind": {"type": "string", "enum": ["log", "progress"]}});
    let log = json!({"level": string("debug, info, notice, warning, error, critical, alert or emergency"), "message": string("The text")});
    let none = || json!({});
    let mut all = vec![
        tool("echo", "Returns the message", json!({"message": string("Any text")}), &["message"]),
        add,
        tool("slow", "Works in steps and reports progress when asked to", slow, &[]),
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
        tool("ping", "Pings the client", none(), &[]),
        tool("touch", "Changes the resource demo://counter", none(), &[]),
        tool("toggle", "Adds or removes the tool extra", none(), &[]),
        tool("pid", "Returns the process id of this server", none(), &[]),
    ];
    if server.has_extra_tool() {
        all.push(tool("extra", "Is there while toggled on", none(), &[]));
    }
    if server.tools == ToolSet::WithTestTools {
        let crash = json!({"code": count("Exit code, 0 to 255 (1)"), "message": string("What to say on stderr")});
        let hold = json!({"hold_stdout": {"type": "boolean", "description": "Keep this server's stdout open (false)"}});
        all.extend([
            tool("crash", "Ends this server", crash, &[]),
            tool("garbage", "Writes a line to stdout that is not JSON, then answers", none(), &[]),
            tool(
                "env",
                "Returns an environment variable whose name begins with DEMO_",
                json!({"name": string("Its name")}),
                &["name"],
            ),
            tool("spawn", "Starts a process that ignores SIGTERM; returns its process id", hold, &[]),
        ]);
    }
    all
}

pub(super) fn list<'a, 'm>(server: &'a Server, _: &Terms, raw: Params<'m>) -> Answer<'a, 'm> {
    let all = catalogue(server);
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
}

#[derive(Serialize)]
struct EchoText<'m> {
    r#type: &'static str,
    text: &'m RawValue,
}

impl<'m> EchoResult<'m> {
    pub(super) fn new(text: &'m RawValue) -> Self {
        Self { content: [EchoText { r#type: "text", text }] }
    }
}

fn text(text: impl Into<String>) -> Value {
    json!({"content": [{"type": "text", "text": text.into()}]})
}

fn failed(why: &str) -> Value {
    json!({"content": [{"type": "text", "text": why}], "isError": true})
}

pub(super) fn call<'a, 'm>(server: &'a Server, terms: &Terms, raw: Params<'m>) -> Answer<'a, 'm> {
    let call: Call = params(raw)?;
    match dispatch(server, terms, &call) {
        Ok(Some(reply)) => Ok(reply),
        Ok(None) => Err(RpcError::params(format!("there is no tool {:?}; see tools/list", call.name))),
        Err(why) => Ok(Reply::Now(failed(&why))),
    }
}

/// `None`: there is no such tool. `Err`: the call failed, and why.
fn dispatch<'a, 'm>(server: &'a Server, terms: &Terms, call: &Call<'m>) -> Result<Option<Reply<'a, 'm>>, String> {
    let given = call.arguments;
    let token = call.meta.as_ref().and_then(|meta| meta.progress_token).map(RawValue::to_owned);
    Ok(Some(match call.name.as_ref() {
        "echo" => echo(args(given)?)?,
        "add" => Reply::Now(add(&args(given)?)?),
        "slow" => later(slow(server, args(given)?, token)),
        "big" => Reply::Now(big(&args(given)?)?),
        "flood" => later(flood(server, args(given)?, token)),
        "log" => Reply::Now(log(server, args(given)?)),
        "ask" => later(ask(server, args(given)?, may_ask(terms)?)),
        "sample" => later(sample(server, args(given)?, declared(terms, "sampling")?)),
        "roots" => later(roots(server, declared(terms, "roots")?)),
        "ping" => later(async { reply(server.ask("ping", json!({})).await, |_| text("The client answered.")) }),
        "touch" => Reply::Now(text(format!("{} is now {}.", content::COUNTER, server.count()))),
        "toggle" if server.toggle_extra_tool() => Reply::Now(text("The tool extra is there now.")),
        "toggle" => Reply::Now(text("The tool extra is gone.")),
        "extra" if server.has_extra_tool() => Reply::Now(text("Here I am.")),
        "pid" => Reply::Now(text(std::process::id().to_string())),
        _ if server.tools == ToolSet::Plain => return Ok(None),
        "crash" => crash(server, args(given)?),
        "garbage" => garbage(server),
        "env" => Reply::Now(env(&args(given)?)?),
        "spawn" => Reply::Now(spawn(&args(given)?)?),
        _ => return Ok(None),
    }))
}

fn args<'m, T: Deserialize<'m>>(given: Params<'m>) -> Result<T, String> {
    params(given).map_err(|error| error.message.replace("params", "the arguments"))
}

fn later<'a, 'm>(work: impl Future<Output = Result<Value, String>> + Send + 'a) -> Reply<'a, 'm> {
    Reply::Later(Box::pin(async { Ok(work.await.unwrap_or_else(|why| failed(&why))) }))
}

#[derive(Deserialize)]
struct EchoArgs<'m> {
    #[serde(borrow)]
    message: &'m RawValue,
}

fn echo<'a, 'm>(args: EchoArgs<'m>) -> Result<Reply<'a, 'm>, String> {
    match args.message.get().starts_with('"') {
        true => Ok(Reply::Echo(args.message)),
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

async fn slow(server: &Server, args: SlowArgs, token: Option<Box<RawValue>>) -> Result<Value, String> {
    for step in 1..=args.steps {
        tokio::time::sleep(Duration::from_millis(args.step_ms)).await;
        server.out.room().await;
        progress(server, token.as_deref(), step, args.steps);
    }
    Ok(text(format!("Did {} steps.", args.steps)))
}

/// Reports progress if the caller gave a token to name it by (basic/utilities/progress). Says whether it did.
fn progress(server: &Server, token: Option<&RawValue>, step: u64, of: u64) -> bool {
    let Some(token) = token else { return false };
    let message = format!("step {step} of {of}");
    let params = json!({"progressToken": token, "progress": step, "total": of, "message": message});
    server.out.notify("notifications/progress", params);
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

async fn flood(server: &Server, args: FloodArgs, token: Option<Box<RawValue>>) -> Result<Value, String> {
    let mut sent = 0;
    for n in 1..=args.count {
        server.out.room().await;
        sent += u64::from(match args.kind {
            FloodKind::Log => server.log(Level::Info, json!(n)),
            FloodKind::Progress => progress(server, token.as_deref(), n, args.count),
        });
    }
    Ok(text(format!("Sent {sent} notifications.")))
}

#[derive(Deserialize)]
struct LogArgs {
    level: Level,
    message: String,
}

fn log(server: &Server, args: LogArgs) -> Value {
    match server.log(args.level, args.message.into()) {
        true => text("Logged."),
        false => text("Not logged: the client wants more severe messages only."),
    }
}

/// Proof that the client declared what a tool is about to use. Servers ask for nothing else (basic/lifecycle,
/// "Capability Negotiation").
struct Declared;

fn declared(terms: &Terms, capability: &str) -> Result<Declared, String> {
    match terms.capabilities.get(capability).is_some_and(Value::is_object) {
        true => Ok(Declared),
        false => Err(format!("the client did not declare the capability {capability}; use a client that has it")),
    }
}

/// An empty `elicitation` means forms, as before 2025-11-25 there was nothing else (client/elicitation, "Capabilities").
fn may_ask(terms: &Terms) -> Result<Declared, String> {
    let declared = declared(terms, "elicitation")?;
    let modes = terms.capabilities.get("elicitation").and_then(Value::as_object);
    match modes.is_none_or(|modes| modes.is_empty() || modes.contains_key("form")) {
        true => Ok(declared),
        false => Err("the client's capability elicitation has no form mode; use a client that has it".to_owned()),
    }
}

/// Turns the client's answer into a result.
fn reply(answer: Result<Value, RpcError>, say: impl FnOnce(&Value) -> Value) -> Result<Value, String> {
    let refused = |error: RpcError| format!("the client answered with error {}: {}", error.code, error.message);
    answer.map(|answer| say(&answer)).map_err(refused)
}

fn str_at<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

#[derive(Deserialize)]
struct AskArgs {
    message: String,
}

async fn ask(server: &Server, args: AskArgs, _: Declared) -> Result<Value, String> {
    let answer = json!({"type": "string", "title": "Answer"});
    let schema = json!({"type": "object", "properties": {"answer": answer}, "required": ["answer"]});
    let question = json!({"message": args.message, "requestedSchema": schema});
    reply(server.ask("elicitation/create", question).await, |given| {
        match (str_at(given, "/action"), str_at(given, "/content/answer")) {
            (Some("accept"), Some(answer)) => text(format!("The user answered: {answer}")),
            (Some("accept"), None) => failed("the user accepted, but gave no answer"),
            (action, _) => text(format!("The user did not answer: {}", action.unwrap_or("no action"))),
        }
    })
}

#[derive(Deserialize)]
struct SampleArgs {
    prompt: String,
}

async fn sample(server: &Server, args: SampleArgs, _: Declared) -> Result<Value, String> {
    let message = json!({"role": "user", "content": {"type": "text", "text": args.prompt}});
    let request = json!({"messages": [message], "maxTokens": 100});
    reply(server.ask("sampling/createMessage", request).await, |made| {
        // One block; since 2025-11-25 also a list of them.
        match str_at(made, "/content/text").or_else(|| str_at(made, "/content/0/text")) {
            Some(said) => text(format!("The model said: {said}")),
            None => failed("the model's answer holds no text"),
        }
    })
}

async fn roots(server: &Server, _: Declared) -> Result<Value, String> {
    reply(server.ask("roots/list", json!({})).await, |answer| {
        let roots = answer.get("roots").and_then(Value::as_array).into_iter().flatten();
        let uris: Vec<_> = roots.filter_map(|root| str_at(root, "/uri")).collect();
        text(uris.join("\n"))
    })
}

#[derive(Deserialize)]
struct CrashArgs {
    #[serde(default = "one")]
    code: u8,
    #[serde(default)]
    message: String,
}

fn one() -> u8 {
    1
}

/// Ends the server without an answer to this call or to any that waits.
fn crash<'a, 'm>(server: &'a Server, args: CrashArgs) -> Reply<'a, 'm> {
    let _ = writeln!(std::io::stderr(), "{}", args.message);
    server.crash(args.code);
    Reply::Later(Box::pin(std::future::pending()))
}

fn garbage<'a, 'm>(server: &'a Server) -> Reply<'a, 'm> {
    server.out.push_text(b"this line is not JSON");
    Reply::Now(text("Wrote a line that is not JSON."))
}

#[derive(Deserialize)]
struct EnvArgs {
    name: String,
}

/// The prefix keeps this from being a way to read secrets.
fn env(EnvArgs { name }: &EnvArgs) -> Result<Value, String> {
    match name.starts_with("DEMO_") {
        true => Ok(std::env::var(name)
            .map_or_else(|_| text(format!("{name} is not set")), |value| text(format!("{name}={value}")))),
        false => Err(format!("{name} cannot be read; only names that begin with DEMO_ can")),
    }
}

#[derive(Deserialize)]
struct SpawnArgs {
    #[serde(default)]
    #[cfg_attr(not(unix), allow(dead_code, reason = "there is no such process there"))]
    hold_stdout: bool,
}

/// Answers when the process ignores SIGTERM, not earlier: a test may send one at once.
#[cfg(unix)]
fn spawn(args: &SpawnArgs) -> Result<Value, String> {
    use std::io::Read as _;
    use std::process::{Command, Stdio};
    let script = "trap '' TERM; echo ready >&2; exec sleep \"$0\" 2>/dev/null";
    let mut child = Command::new("sh")
        .args(["-c", script, SPAWN_SECONDS])
        .stdin(Stdio::null())
        .stdout(if args.hold_stdout { Stdio::inherit() } else { Stdio::null() })
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("sh cannot be started: {error}"))?;
    let ready = child.stderr.as_mut().map_or(Ok(()), |stderr| stderr.read_exact(&mut [0]));
    ready.map_err(|error| format!("sh ended early: {error}"))?;
    Ok(text(child.id().to_string()))
}

#[cfg(not(unix))]
fn spawn(_: &SpawnArgs) -> Result<Value, String> {
    Err("spawn works on Unix only".to_owned())
}
