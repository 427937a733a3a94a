//! One conversation per test, in memory. Server and client are joined in one task, so nothing is spawned and no test
//! sleeps: each waits for the line that it expects. A test that would hang fails after [`PATIENCE`].
//!
//! | module | about |
//! |---|---|
//! | `legacy` | the session, the wire, and what is listed |
//! | `tools` | each tool, as a legacy client sees it |
//! | `tasks` | calls that become tasks |
//! | `modern` | requests that stand alone |

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split};

use super::{End, Eras, ToolSet, serve, serve_with};

mod legacy;
mod modern;
mod tasks;
mod tools;

const PATIENCE: Duration = Duration::from_secs(60);
/// An hour: a call that takes this long can only end by being cancelled.
const FOR_EVER: u64 = 3_600_000;

struct Client {
    to: WriteHalf<DuplexStream>,
    from: BufReader<ReadHalf<DuplexStream>>,
}

impl Client {
    async fn line(&mut self, line: &str) {
        self.to.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn send(&mut self, method: &str, id: Option<Value>, params: Value) {
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if let Some(id) = id {
            message["id"] = id;
        }
        self.line(&message.to_string()).await;
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.send(method, None, params).await;
    }

    async fn reply(&mut self, to: &Value, result: Value) {
        self.line(&json!({"jsonrpc": "2.0", "id": to["id"], "result": result}).to_string()).await;
    }

    async fn raw(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).await.unwrap();
        line
    }

    async fn next(&mut self) -> Value {
        let line = self.raw().await;
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line:?}"))
    }

    /// Sends a request and takes the next message for its answer.
    async fn request(&mut self, method: &str, params: Value) -> Value {
        self.send(method, Some(json!("q")), params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], "q", "{answer}");
        answer
    }

    async fn start(&mut self, id: u64, tool: &str, arguments: Value) {
        self.send("tools/call", Some(json!(id)), json!({"name": tool, "arguments": arguments})).await;
    }

    /// Starts a call that reports progress under the token `token`.
    async fn start_with_progress(&mut self, id: u64, token: Value, tool: &str, arguments: Value) {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": token}});
        self.send("tools/call", Some(json!(id)), params).await;
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    async fn open(&mut self, version: &str, capabilities: Value) -> Value {
        let client = json!({"name": "test", "version": "1"});
        let hello = json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
        let answer = self.request("initialize", hello).await;
        self.notify("notifications/initialized", json!({})).await;
        answer
    }
}

fn said(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

fn failure(answer: &Value) -> &str {
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    said(answer)
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

/// Runs `script` against a server of both eras, closes the connection, and returns how the server ended.
async fn talk(tools: ToolSet, script: impl AsyncFnOnce(&mut Client)) -> End {
    talk_in(Eras::Both, tools, script).await
}

/// The same with a server of the eras given.
async fn talk_in(eras: Eras, tools: ToolSet, script: impl AsyncFnOnce(&mut Client)) -> End {
    let (ours, theirs) = duplex(16 << 10);
    let (read, write) = split(theirs);
    let (from, to) = split(ours);
    let mut client = Client { to, from: BufReader::new(from) };
    let client = async {
        script(&mut client).await;
        client.to.shutdown().await.unwrap();
        let mut rest = String::new();
        client.from.read_line(&mut rest).await.unwrap();
        assert_eq!(rest, "", "the server said more than the test expected");
    };
    // The server's half is dropped when it ends: a script that waits for more sees the end of the stream.
    let server = async { serve(read, write, tools, eras).await };
    let both = async { futures::join!(server, client) };
    tokio::time::timeout(PATIENCE, both).await.expect("the conversation hangs").0.unwrap()
}

/// A conversation with a client that can do all.
async fn converse(script: impl AsyncFnOnce(&mut Client)) {
    let all = json!({"elicitation": {}, "sampling": {}, "roots": {"listChanged": true}});
    let end = talk(ToolSet::WithTestTools, async |c: &mut Client| {
        c.open("2025-11-25", all).await;
        script(c).await;
    });
    assert_eq!(end.await, End::Closed);
}

fn names(list: &Value) -> Vec<String> {
    let tools = list["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}
