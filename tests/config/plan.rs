//! `--dry-run`: what would be done, and nothing of it.

use serde_json::json;

use super::{Place, mcp_servers};
use crate::support::program::Program;

/// Exit code, stdout, stderr.
async fn planned(words: &[&str]) -> (i32, String, String) {
    let mut program = Program::start_with(words, &[("THE_TOKEN", "hunter2")]);
    let mut out = program.stdout.take().unwrap();
    let mut text = String::new();
    crate::support::soon("the plan", tokio::io::AsyncReadExt::read_to_string(&mut out, &mut text)).await.unwrap();
    (program.code().await, text, program.stderr.whole().await)
}

#[tokio::test]
async fn a_plan_shows_argv_as_lists_and_no_secret() {
    let place = Place::new(
        "mcp.json",
        &mcp_servers(json!({
            "default": {"command": "npx", "args": ["-y", "two words", "--key", "${THE_TOKEN}"], "env": {"API": "${THE_TOKEN}", "B": "1"}},
            "literal": {"command": "./run", "args": ["--password=hunter2", "-e", "A_TOKEN=hunter2"]},
            "far": {"url": "https://example.com/mcp?token=hunter2", "headers": {"X-Api-Key": "${THE_TOKEN}"}},
            "bad": {"command": "x", "cwd": "/no/such/dir"},
        })),
    );
    let (code, text, said) = planned(&["serve", "--config", place.path(), "--dry-run"]).await;
    let want = format!(
        r#"default
  command  ["npx","-y","two words","--key","${{THE_TOKEN}}"]
  env      API B
  at       /sse /mcp /ws
far
  url      https://example.com/...
  headers  x-api-key
  at       /servers/far/sse /servers/far/mcp /servers/far/ws
literal
  command  ["./run","--password=***","-e","A_TOKEN=***"]
  at       /servers/literal/sse /servers/literal/mcp /servers/literal/ws
"bad"
  not offered: {}:1: server "bad": "cwd" /no/such/dir: No such file or directory (os error 2); name an existing directory
"#,
        place.path()
    );
    assert_eq!((code, text.as_str()), (1, want.as_str()), "a server is left out");
    assert!(!text.contains("hunter2"));
    assert_eq!(said, "mcp-bridge: 1 of 4 servers would not be offered; put right what is said of them above\n");
}

#[tokio::test]
async fn a_plan_that_leaves_nobody_out_is_fine() {
    let place =
        Place::new("mcp.json", &mcp_servers(json!({"a": {"command": "x"}, "b": {"command": "y", "disabled": true}})));
    let (code, text, said) = planned(&["serve", "--config", place.path(), "--dry-run"]).await;
    assert_eq!((code, said.as_str()), (0, ""), "what is disabled is meant to be left out: {text}");
}

#[tokio::test]
async fn a_typed_command_has_a_plan_too() {
    let (code, text, _) =
        planned(&["serve", "--dry-run", "-o", "http", "--env", "A=x", "--", "server", "--token", "t"]).await;
    assert_eq!(
        (code, text.as_str()),
        (0, "server\n  command  [\"server\",\"--token\",\"***\"]\n  env      A\n  at       /mcp\n")
    );
}

#[tokio::test]
async fn a_file_and_a_server_are_not_both_taken() {
    let place = Place::new("mcp.json", "{}");
    for (more, want) in [
        (&["--", "x"][..], "both --config and a command after -- are given"),
        (&["https://host/mcp"], "both --config and a URL are given"),
        (&["--demo"], "both --config and --demo are given"),
        (&["--env", "A=1"], "--env is of one server, and --config names several"),
        (&["--bearer", "x"], "--bearer is of one server"),
    ] {
        let words = [&["serve", "--config", place.path()], more].concat();
        let (code, said) = super::refused(&words).await;
        assert!(code == 64 && said.contains(want), "{words:?}: {said}");
    }
}
