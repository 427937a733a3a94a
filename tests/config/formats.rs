//! The form of every client, each from its file to an answered call.

use serde_json::json;

use super::{Place, client, mcp_servers};
use crate::support::program::{BINARY, Bridge};

/// File, text, and where the server then is. `BIN` stands for the program.
const FORMS: [(&str, &str, &str); 12] = [
    // Claude Desktop, Cursor, Windsurf, Claude Code, Cline.
    ("claude_desktop_config.json", r#"{"mcpServers": {"a": {"command": "BIN", "args": ["demo-server"]}}}"#, "a"),
    (
        ".cursor/mcp.json",
        r#"{"mcpServers": {"a": {"command": "${env:BIN_PATH}", "args": ["demo-server"]}}} // yes"#,
        "a",
    ),
    (
        ".mcp.json",
        r#"{"mcpServers": {"a": {"type": "stdio", "command": "${BIN_PATH}", "args": ["demo-server"],}}}"#,
        "a",
    ),
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "BIN", "args": ["demo-server"], "disabled": false, "autoApprove": []}}}"#,
        "a",
    ),
    // VS Code.
    (
        ".vscode/mcp.json",
        "{\n// c\n\"servers\": {\"a\": {\"type\": \"stdio\", \"command\": \"BIN\", \"args\": [\"demo-server\"]}}, \"inputs\": []}",
        "a",
    ),
    // Zed, new and old.
    (
        "settings.json",
        r#"{"context_servers": {"a": {"source": "custom", "command": "BIN", "args": ["demo-server"], "env": {}}}}"#,
        "a",
    ),
    ("settings.json", r#"{"context_servers": {"a": {"command": {"path": "BIN", "args": ["demo-server"]}}}}"#, "a"),
    // opencode.
    ("opencode.json", r#"{"mcp": {"a": {"type": "local", "command": ["BIN", "demo-server"], "enabled": true}}}"#, "a"),
    // Gemini CLI.
    (
        ".gemini/settings.json",
        r#"{"mcpServers": {"a": {"command": "BIN", "args": ["demo-server"], "trust": true}}}"#,
        "a",
    ),
    // Codex.
    ("config.toml", "[mcp_servers.a]\ncommand = \"BIN\"\nargs = [\"demo-server\"]\n", "a"),
    // The bridge's own.
    (
        "mcp.toml",
        "[defaults]\nrequest_timeout = \"5m\"\n[servers.a]\ncommand = \"BIN\"\nargs = [\"demo-server\"]\n",
        "a",
    ),
    ("mcp.toml", "[servers.default]\ncommand = \"BIN\"\nargs = [\"demo-server\"]\n", "default"),
];

#[tokio::test]
async fn a_server_in_the_file_of_any_client_is_served() {
    for (name, text, server) in FORMS {
        let place = Place::new(name, &text.replace("BIN\"", &format!("{BINARY}\"")));
        let words = ["serve", "--config", place.path()];
        let bridge = Bridge::start_with(&words, &[("BIN_PATH", BINARY)]).await;
        client(&bridge, &format!("/servers/{server}/mcp")).await;
        let log = bridge.stop().await;
        assert!(!log.contains("WARN"), "{name}: {log}");
    }
}

/// A server at a URL, with what is sent along, behind a bridge that asks for it.
#[tokio::test]
async fn urls_are_reached_with_their_headers() {
    let tokens = Place::new("tokens", "s3cret\n");
    let far = Bridge::start(&["serve", "--demo", "--bearer-token-file", tokens.path()]).await;
    let entry = |url: String| json!({"url": url, "headers": {"Authorization": "Bearer ${THE_TOKEN}"}});
    let servers = json!({
        "auto": entry(far.url("/mcp")),
        "sse": {"type": "sse", "url": far.url("/sse"), "headers": {"Authorization": "Bearer ${THE_TOKEN}"}},
        "ws": {
            "type": "ws",
            "url": far.url("/ws").replacen("http", "ws", 1),
            "headers": {"Authorization": "Bearer ${THE_TOKEN}"},
        },
        "closed": {"httpUrl": far.url("/mcp")},
    });
    let place = Place::new("mcp.json", &mcp_servers(servers));
    let bridge =
        Bridge::start_with(&["serve", "--config", place.path(), "--retries", "0"], &[("THE_TOKEN", "s3cret")]).await;
    client(&bridge, "/servers/auto/mcp").await;
    client(&bridge, "/servers/sse/mcp").await;
    client(&bridge, "/servers/ws/mcp").await;
    let log = bridge.stop().await;
    assert!(!log.contains("s3cret"), "{log}");
    far.stop().await;
}

/// Paths are meant from the file, and variables come from where it says.
#[tokio::test]
async fn paths_are_relative_to_the_file_and_variables_come_from_its_files() {
    let script = "#!/bin/sh\n[ \"$FROM_FILE\" = one ] && [ \"$OVER\" = entry ] && [ \"$(basename \"$PWD\")\" = work ] || exit 3\nexec \"$1\" demo-server\n";
    let servers = json!({"a": {
        "command": "./server.sh", "args": [BINARY], "cwd": "work", "envFile": ".env", "env": {"OVER": "entry"},
    }});
    let place = Place::new("mcp.json", &mcp_servers(servers));
    let dir = place.dir.path();
    super::write(&dir.join("server.sh"), script);
    std::fs::set_permissions(dir.join("server.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::create_dir(dir.join("work")).unwrap();
    super::write(&dir.join(".env"), "# c\nexport FROM_FILE='one'\nOVER=file\n");
    let bridge = place.serve().await;
    client(&bridge, "/servers/a/mcp").await;
    bridge.stop().await;
}
