//! Config files, driven through the real binary: what is offered, what is said of the rest, and what a change does.

mod formats;
mod plan;
mod reload;
mod servers;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{
    client::Client,
    program::{BINARY, Bridge, Program},
};

/// A directory with a config file in it.
struct Place {
    dir: tempfile::TempDir,
    file: PathBuf,
}

impl Place {
    fn new(name: &str, text: &str) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        Place { dir, file }
    }

    fn path(&self) -> &str {
        self.file.to_str().unwrap()
    }

    async fn serve(&self) -> Bridge {
        Bridge::start(&["serve", "--config", self.path()]).await
    }

    /// As an editor saves: another file in the place of the old one.
    fn save(&self, text: &str) {
        let fresh = self.dir.path().join("fresh~");
        fs::write(&fresh, text).unwrap();
        fs::rename(&fresh, &self.file).unwrap();
    }
}

/// The demo server as an entry; what makes two differ is in its arguments.
fn demo() -> Value {
    json!({"command": BINARY, "args": ["demo-server"], "env": {"MCP_BRIDGE_DEMO_TEST": "1"}})
}

fn other_demo() -> Value {
    json!({"command": BINARY, "args": ["demo-server", "--era", "legacy"]})
}

fn mcp_servers(servers: Value) -> String {
    json!({"mcpServers": servers}).to_string()
}

/// A client of a server, initialized, and one call of its made.
async fn client(bridge: &Bridge, path: &str) -> Client {
    let mut client = Client::http(bridge.addr, path);
    client.initialize("2025-06-18").await;
    client.check("hello").await;
    client
}

/// A run that has to fail before it listens: the exit code and what stands on stderr.
async fn refused(words: &[&str]) -> (i32, String) {
    let mut program = Program::start(words);
    let code = program.code().await;
    (code, program.stderr.whole().await)
}

/// The states of a bridge's servers.
async fn states(bridge: &Bridge) -> Value {
    let answer = bridge.get("/readyz?format=json").await;
    serde_json::from_str(&answer.body).unwrap()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}
