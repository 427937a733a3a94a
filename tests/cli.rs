//! The command line as people and scripts meet it: help on stdout, errors as one line on stderr, exit codes.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use assert_cmd::Command;

/// The program, cut off from what the machine's environment could change about it.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MCP_BRIDGE_")) {
        command.env_remove(name);
    }
    command.env_remove("COLUMNS").env_remove("UNSET").env("NO_COLOR", "1");
    command
}

fn run(words: &[&str]) -> Output {
    program().args(words).output().unwrap()
}

fn stdout(words: &[&str]) -> String {
    let output = run(words);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line on stderr of a command that has to fail, and the exit code.
fn failure(output: &Output) -> (String, i32) {
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let line = text.strip_suffix('\n').unwrap();
    assert!(line.starts_with("mcp-bridge: ") && !line.contains('\n'), "{text}");
    (line.to_string(), output.status.code().unwrap())
}

const COMMANDS: [&str; 21] = [
    "serve",
    "connect",
    "stdio-to-sse",
    "stdio-to-http",
    "stdio-to-ws",
    "sse-to-stdio",
    "sse-to-http",
    "sse-to-ws",
    "http-to-stdio",
    "http-to-sse",
    "http-to-ws",
    "ws-to-stdio",
    "ws-to-sse",
    "ws-to-http",
    "login",
    "logout",
    "auth",
    "demo-server",
    "status",
    "completions",
    "man",
];

#[test]
fn help_is_on_stdout_and_as_reviewed() {
    insta::assert_snapshot!("help", stdout(&["--help"]));
    for command in COMMANDS {
        insta::assert_snapshot!(format!("help-{command}"), stdout(&[command, "--help"]));
    }
}

#[test]
fn help_fits_the_screen_and_its_short_form_is_the_same() {
    for command in COMMANDS {
        let text = stdout(&[command, "--help"]);
        assert_eq!(text, stdout(&[command, "-h"]), "{command}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{command}");
    }
}

#[test]
fn version_is_on_stdout() {
    assert_eq!(stdout(&["--version"]), format!("mcp-bridge {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_usage_error_is_one_line_with_a_next_step_and_exit_code_64() {
    let cases: &[&[&str]] = &[
        &[],
        &["stdio-to-ss"],
        &["npx", "-y", "some-server"],
        &["https://host/mcp"],
        &["--port", "8000", "serve"],
        &["stdio-to-sse"],
        &["serve", "--"],
        &["serve", "npx", "-y", "some-server"],
        &["serve", "npx", "some-server"],
        &["serve", "npx"],
        &["serve", "--env", "KEY=", "hunter2", "npx"],
        &["serve", "--shell", "npx", "some-server"],
        &["serve", "https://host/mcp", "some-word"],
        &["serve", "--port", "9000", "npx", "-y", "some-server"],
        &["serve", "--env", "A=", "value", "--", "x"],
        &["serve", "--prot", "9000", "--", "x"],
        &["serve", "-y", "--", "x"],
        &["serve", "--bearer", "x", "--", "x"],
        &["stdio-to-sse", "--mcp-path", "/x", "--", "x"],
        &["serve", "https://host/mcp", "--demo"],
        &["serve", "https://host/mcp", "--env", "A=1"],
        &["serve", "https://host/mcp", "--", "x"],
        &["serve", "ftp://host/mcp"],
        &["serve", "host.example/mcp"],
        &["serve", "unix:"],
        &["serve", "--host", "0.0.0.0", "https://host/mcp", "--bearer", "x"],
        &["serve", "-o", "http,smtp", "--demo"],
        &["serve", "-o", "sse", "--mcp-path", "/x", "--demo"],
        &["serve", "--stateless", "-o", "sse", "--demo"],
        &["stdio-to-http", "https://host/mcp"],
        &["stdio-to-sse", "--output", "http", "--demo"],
        &["sse-to-http"],
        &["sse-to-http", "npx", "some-server"],
        &["sse-to-http", "https://host/sse", "--env", "A=1"],
        &["http-to-http", "https://host/mcp"],
        &["stdio-to-stdio", "--", "npx"],
        &["http-to-stdio", "npx", "some-server"],
        &["ws-to-http"],
        &["ws-to-http", "host.example/ws"],
        &["sse-to-ws", "https://ho st/sse"],
        &["login"],
        &["login", "npx"],
        &["auth"],
        &["auth", "status", "https://host/mcp", "more"],
        &["login", "host.example/mcp"],
        &["serve", "--", "https://host/sse"],
        &["connect"],
        &["connect", "npx", "-y", "some-server"],
        &["connect", "npx"],
        &["connect", "--", "https://host/mcp"],
        &["connect", "https://host/mcp", "--", "npx"],
        &["connect", "--retries", "1", "--", "npx"],
        &["connect", "--port", "1", "--", "npx"],
        &["connect", "./server.py"],
        &["connect", "host.example/mcp"],
        &["connect", "localhost:8000/mcp"],
        &["connect", "ftp://host/mcp"],
        &["ws-to-stdio", "https://host/mcp"],
        &["http-to-stdio", "wss://host/ws"],
        &["stdio-to-ws", "--stateless", "--", "x"],
        &["connect", "https://user:password@host/mcp"],
        &["connect", "https://host/mcp#part"],
        &["connect", "https://ho st/mcp"],
        &["connect", "https://host/mcp", "https://other/mcp"],
        &["connect", "https://host/mcp", "-H", "Authorization:", "token"],
        &["connect", "-H", "Authorization:", "token", "https://host/mcp"],
        &["connect", "https://host/mcp", "-H", "NoColon"],
        &["connect", "https://host/mcp", "-H", "X Y: 1"],
        &["connect", "https://host/mcp", "-H", "Host: other"],
        &["connect", "https://host/mcp", "-H", "X-Key: ${UNSET}"],
        &["connect", "https://host/mcp", "-H", "X-Key: ${UNSET"],
        &["connect", "https://host/mcp", "-H", "X-Key: a\r\nX-Evil: b"],
        &["connect", "https://host/mcp", "-H"],
        &["connect", "https://host/mcp", "--bearer", "${UNSET}"],
        &["connect", "https://host/mcp", "--bearer", ""],
        &["connect", "https://host/mcp", "--bearer", "Bearer x"],
        &["connect", "https://host/mcp", "--bearer", "x", "-H", "Authorization: y"],
        &["connect", "https://host/mcp", "--retries", "many"],
        &["serve", "--shell", "a | b", "--", "x"],
        &["serve", "--shell", "a | b", "--demo"],
        &["serve", "--demo", "--", "x"],
        &["serve", "--shell", ""],
        &["serve", "--", ""],
        &["serve", "--shared", "--stateless", "--demo"],
        &["stdio-to-sse", "--stateless", "--demo"],
        &["serve", "--host", "0.0.0.0", "--demo"],
        &["serve", "--host", "example.com", "--demo"],
        &["serve", "--port", "65536", "--demo"],
        &["serve", "--port", "1", "--port", "2", "--demo"],
        &["serve", "--mcp-path", "mcp", "--demo"],
        &["serve", "--mcp-path", "/sse", "--demo"],
        &["serve", "--mcp-path", "/servers/x/mcp", "--demo"],
        &["serve", "--message-path", "/a\r\nb", "--demo"],
        &["serve", "--port", "\u{1b}[31m", "--demo"],
        &["serve", "--log-level", "lo\rud", "--demo"],
        &["serve", "--mcp-path", "/readyz", "--demo"],
        &["serve", "--base-url", "tools.example.com", "--demo"],
        &["serve", "--cors", "--demo"],
        &["serve", "--allow-origin", "*", "--demo"],
        &["serve", "--allow-origin", "example.com", "--demo"],
        &["serve", "--allow-host", "https://a.example", "--demo"],
        &["serve", "--keepalive", "5 minutes", "--demo"],
        &["serve", "--session-timeout", "0", "--demo"],
        &["serve", "--max-message", "16M", "--demo"],
        &["serve", "--max-sessions", "0", "--demo"],
        &["serve", "--log-level", "loud", "--demo"],
        &["serve", "--env", "KEY", "--demo"],
        &["serve", "--env", "A=${UNSET}", "--demo"],
        &["serve", "--env-file", "missing.env", "--demo"],
        &["serve", "--pass-env", "A-B", "--demo"],
        &["serve", "--cwd", "~/x", "--demo"],
        &["serve", "--bearer-token-file", "missing.tokens", "--demo"],
        &["serve", "--bearer-token-file", "x", "--allow-unauthenticated", "--demo"],
        &["serve", "--no\nsuch", "--demo"],
        &["demo-server", "extra"],
        &["completions"],
        &["completions", "tcsh"],
        &["man", "no-such-page"],
    ];
    let mut transcript = String::new();
    for words in cases {
        let (line, code) = failure(&run(words));
        let typed: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        writeln!(transcript, "$ mcp-bridge {}\n{line}\n", typed.join(" ")).unwrap();
        assert_eq!(code, 64, "{line}");
    }
    insta::assert_snapshot!("errors", transcript);
}

/// As one would type it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,".contains(c);
    match word.chars().all(plain) && !word.is_empty() {
        true => word.into(),
        false => format!("'{}'", word.escape_debug()),
    }
}

#[test]
fn a_variable_stands_for_its_flag_and_an_error_names_it() {
    let error = |name: &str, value: &str, words: &[&str]| {
        let output = program().env(name, value).args(words).output().unwrap();
        let (line, code) = failure(&output);
        assert_eq!(code, 64, "{line}");
        line
    };
    let port = error("MCP_BRIDGE_PORT", "http", &["serve", "--demo"]);
    assert_eq!(
        port,
        "mcp-bridge: invalid value 'http' for '--port <PORT>': write a number from 0 to 65535 (given by MCP_BRIDGE_PORT)"
    );
    let cors = error("MCP_BRIDGE_CORS", "yes", &["serve", "--demo"]);
    assert!(cors.contains("--cors lets nobody in alone"), "{cors}");
    let demo = error("MCP_BRIDGE_DEMO", "maybe", &["serve"]);
    assert_eq!(demo, "mcp-bridge: invalid value 'maybe' for '--demo': write true or false (given by MCP_BRIDGE_DEMO)");
    let header = error("MCP_BRIDGE_HEADER", "X-One: 1\n\nX-Two: ${UNSET}\n", &["connect", "https://host"]);
    assert!(header.contains("-H X-Two: ${UNSET} is not set"), "{header}");
    let origin = error("MCP_BRIDGE_ALLOW_ORIGIN", "https://a.example,*", &["serve", "--demo"]);
    assert!(origin.contains("* would let every web page call"), "{origin}");
}

#[test]
fn what_is_typed_wins_over_a_variable() {
    // The command is typed, so the shell line of the variable is not meant; what is left to complain about is the host.
    let mut command = program();
    command.env("MCP_BRIDGE_SHELL", "a | b").env("MCP_BRIDGE_DEMO", "1").env("MCP_BRIDGE_PORT", "http");
    let output = command.args(["serve", "--port", "0", "--host", "0.0.0.0", "--", "x"]).output().unwrap();
    let (line, _) = failure(&output);
    assert!(line.contains("--host 0.0.0.0 lets other machines call"), "{line}");
}

#[test]
fn an_empty_variable_is_none() {
    let output = program()
        .env("MCP_BRIDGE_PORT", "")
        .env("MCP_BRIDGE_DEMO", "")
        .env("MCP_BRIDGE_SHELL", "")
        .arg("serve")
        .output()
        .unwrap();
    let (line, _) = failure(&output);
    assert!(line.contains("serve needs a server to start"), "{line}");
}

/// What a bridge says that ends as soon as it has said it.
fn said(env: &[(&str, &str)], words: &[&str]) -> String {
    let mut command = program();
    command.envs(env.iter().copied()).args(["serve", "--port", "0", "--exit-with-stdin"]).args(words);
    let output = command.write_stdin("").output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_start_tells_where_to_connect_and_what_to_paste() {
    let text = said(&[], &["--log-level", "error", "--demo"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("mcp-bridge: demo-server listening on http://127.0.0.1:"), "{text}");
    assert_eq!(lines.len(), 6, "{text}");
    let entry = serde_json::from_str::<serde_json::Value>(&lines[5][lines[5].find('{').unwrap()..]).unwrap();
    let command = entry["mcpServers"]["demo-server"]["command"].as_str().unwrap();
    assert!(Path::new(command).is_absolute(), "{text}");
}

#[test]
fn a_quiet_start_tells_the_address_alone() {
    let text = said(&[], &["--quiet", "--demo"]);
    assert!(text.starts_with("mcp-bridge: demo-server listening on http://127.0.0.1:"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn with_json_the_start_is_one_line_of_json() {
    let text = said(&[], &["--quiet", "--log-format", "json", "--demo"]);
    let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    let address = line["listening"].as_str().unwrap();
    assert!(address.starts_with("http://127.0.0.1:"), "{text}");
    assert_eq!(line["http"], format!("{address}/mcp"));
    assert_eq!(line["sse"], format!("{address}/sse"));
    assert_eq!(line["message"], format!("demo-server listening on {address}"));
}

#[test]
fn a_variable_that_is_none_of_ours_is_named() {
    let text = said(&[("MCP_BRIDGE_PROT", "1"), ("MCP_BRIDGE_DEMO_TEST", "1")], &["--log-level", "warn", "--demo"]);
    assert!(text.contains("WARN unknown variable MCP_BRIDGE_PROT; did you mean MCP_BRIDGE_PORT?"), "{text}");
    assert_eq!(text.matches("unknown variable").count(), 1, "{text}");
}

#[test]
fn help_shows_no_value_of_a_variable() {
    let output = program().env("MCP_BRIDGE_BEARER", "hunter2").args(["connect", "--help"]).output().unwrap();
    assert!(output.status.success());
    assert!(!String::from_utf8(output.stdout).unwrap().contains("hunter2"));
}

#[test]
fn completions_and_man_pages_are_what_the_program_prints() {
    for (shell, file) in [
        ("bash", "mcp-bridge.bash"),
        ("zsh", "_mcp-bridge"),
        ("fish", "mcp-bridge.fish"),
        ("powershell", "_mcp-bridge.ps1"),
        ("elvish", "mcp-bridge.elv"),
    ] {
        assert_eq!(stdout(&["completions", shell]), fs::read_to_string(tree().join("completions").join(file)).unwrap());
    }
    let page = |file: &str| fs::read_to_string(tree().join("completions/man").join(file)).unwrap();
    assert_eq!(stdout(&["man"]), page("mcp-bridge.1"));
    assert_eq!(stdout(&["man", "serve"]), page("mcp-bridge-serve.1"));
}

/// The script as bash drives it: what it offers for the last of these words.
#[cfg(unix)]
fn offered(words: &[&str]) -> Vec<String> {
    let script = tree().join("completions/mcp-bridge.bash");
    let drive = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _mcp__bridge mcp-bridge "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = std::process::Command::new("bash");
    bash.args(["--norc", "-c", drive, "bash"]).arg(script).arg("mcp-bridge").args(words);
    let output = bash.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_and_the_flags_of_each() {
    assert_eq!(offered(&["conn"]), ["connect"]);
    assert_eq!(offered(&["serve", "--sha"]), ["--shared"]);
    assert_eq!(offered(&["stdio-to-sse", "--port", "0", "--keepalive-"]), ["--keepalive-event"]);
    assert_eq!(offered(&["connect", "--bea"]), ["--bearer"]);
    assert_eq!(offered(&["serve", "--log-format", "js"]), ["json"]);
}

#[test]
fn committed_completions_and_man_pages_are_fresh() {
    let made = tempfile::tempdir().unwrap();
    stdout(&["generate", made.path().to_str().unwrap()]);
    let made = files(&made.path().join("completions"));
    let committed = files(&tree().join("completions"));
    let names = |files: &[(PathBuf, String)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let advice = "run cargo run -- generate, and commit the result";
    assert_eq!(names(&made), names(&committed), "{advice}");
    for ((name, made), (_, committed)) in made.iter().zip(&committed) {
        assert!(made == committed, "{} is stale; {advice}", name.display());
    }
}

#[test]
fn man_writes_every_page_to_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    stdout(&["man", dir.path().to_str().unwrap()]);
    let pages = files(dir.path());
    assert_eq!(pages.len(), COMMANDS.len() + 1);
    assert!(pages.iter().all(|(_, text)| text.contains(".SH NAME") && !text.contains("guard")));
}

#[test]
fn the_changelog_has_a_section_for_this_version() {
    let text = fs::read_to_string(tree().join("CHANGELOG.md")).unwrap();
    let heading = format!("## {} ", env!("CARGO_PKG_VERSION"));
    assert!(text.lines().any(|line| line.starts_with(&heading)), "CHANGELOG.md lacks {heading}");
}

fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a directory: its path from there, and its text, in order.
fn files(root: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    found.push((path.strip_prefix(root).unwrap().to_path_buf(), fs::read_to_string(&path).unwrap()))
                }
            }
        }
    }
    found.sort();
    found
}
