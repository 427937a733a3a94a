//! Files of every client, and files that are wrong.

use std::{ffi::OsString, fs};

use proptest::prelude::*;

use super::*;
use crate::config::{PassEnv, ServerEra, tools::Glob};

fn env(name: &str) -> Option<OsString> {
    match name {
        "KEY" => Some("hunter2".into()),
        "HOME" => Some("/home/me".into()),
        "BREAK" => Some("hunter2\nX: y".into()),
        _ => None,
    }
}

fn read_as(file: &str, text: &str) -> Result<File, Problem> {
    let file = Path::new(file);
    read(&Source { file, dir: Path::new("/etc/mcp"), text, env: &env })
}

fn file(name: &str, text: &str) -> File {
    read_as(name, text).unwrap_or_else(|problem| panic!("{problem}\n{}", problem.excerpt()))
}

fn servers(name: &str, text: &str) -> Vec<Server> {
    let file = file(name, text);
    assert_eq!(file.warnings, [], "{text}");
    let good = |entry| match entry {
        Entry::Server(server) => *server,
        other => panic!("{other:?}"),
    };
    file.servers.into_iter().map(good).collect()
}

fn child(server: &Server) -> &Child {
    let Reach::Child(child) = &server.reach else { panic!("{server:?}") };
    child
}

fn remote(server: &Server) -> &Remote {
    let Reach::Remote(remote) = &server.reach else { panic!("{server:?}") };
    remote
}

fn argv(child: &Child) -> Vec<&str> {
    let program = child.program.to_str().unwrap();
    std::iter::once(program).chain(child.args.iter().map(Secret::expose)).collect()
}

/// What the one server of a file is refused for.
fn why(name: &str, text: &str) -> Problem {
    match file(name, text).servers.as_slice() {
        [Entry::Bad { why, .. }] => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn own_toml_says_everything() {
    let all = servers(
        "mcp.toml",
        r#"
        [defaults]
        era = "legacy"
        request_timeout = "60s"
        [servers.git]
        command = "./bin/git-server"
        args = ["--key", "${KEY}"]
        env = { TOKEN = "${KEY}", LEVEL = 3 }
        env_file = ".env"
        cwd = "work"
        pass_env = ["GIT_*"]
        warm = 2
        max_children = 8
        session_timeout = 90
        stop_timeout = "500ms"
        idle_timeout = 0
        header_env = { X-Github-Token = "GITHUB_TOKEN" }
        claim_env = { sub = "GITHUB_USER" }
        [servers.git.tools]
        allow = ["read_*"]
        deny = ["*_secret"]
        [servers.far]
        url = "https://example.com/mcp"
        type = "sse"
        sharing = "shared"
        era = "auto"
        retries = 3
        retry_delay = "1s"
        connect_timeout = "5s"
        [servers.far.headers]
        X-Key = "${KEY}"
        "#,
    );
    let [far, git] = all.as_slice() else { panic!("{all:?}") };
    let (git, far) = if git.name.as_str() == "git" { (git, far) } else { (far, git) };
    assert_eq!((git.name.as_str(), git.line, far.name.as_str(), far.line), ("git", 5, "far", 22));
    let started = child(git);
    assert_eq!(argv(started), ["/etc/mcp/bin/git-server", "--key", "hunter2"]);
    assert_eq!(started.written, ["./bin/git-server", "--key", "${KEY}"]);
    let env: Vec<_> = started.env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(env, [("TOKEN", "hunter2"), ("LEVEL", "3")]);
    assert_eq!(started.env_files, [Path::new("/etc/mcp/.env")]);
    assert_eq!(started.cwd.as_deref(), Some(Path::new("/etc/mcp/work")));
    assert_eq!(started.header_env, [(HeaderName::from_static("x-github-token"), "GITHUB_TOKEN".to_string())]);
    assert_eq!(started.claim_env, [("sub".into(), "GITHUB_USER".to_string())]);
    let set = &git.settings;
    assert!(matches!(&set.pass_env, Some(PassEnv::Only(names)) if names.iter().any(|name| name == "GIT_*")));
    assert_eq!((set.warm, set.max_children, set.era), (Some(2), Some(8), Some(ServerEra::Legacy)));
    let seconds = std::time::Duration::from_secs;
    assert_eq!((set.request_timeout, set.session_timeout), (Some(seconds(60)), Some(seconds(90))));
    assert_eq!(set.idle_timeout, Some(seconds(0)));
    assert_eq!(git.tools, ToolFilter { allow: Some(vec![Glob::new("read_*")]), deny: vec![Glob::new("*_secret")] });
    let reached = remote(far);
    assert_eq!((reached.url.as_str(), reached.transport), ("https://example.com/mcp", RemoteTransport::Sse));
    assert_eq!(reached.headers.get("x-key").unwrap(), "hunter2");
    assert_eq!((far.settings.sharing, far.settings.era), (Some(Children::Shared), Some(ServerEra::Auto)));
    assert_eq!((far.settings.retries, far.settings.connect_timeout), (Some(3), Some(seconds(5))));
    assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
}

#[test]
fn files_of_every_client_are_read() {
    // file, text, what the first server comes to: an argv, or a URL
    for (name, text, want) in [
        (
            "claude_desktop_config.json",
            r#"{"mcpServers": {"a": {"command": "npx", "args": ["-y", "x"], "env": {"K": "${KEY}"}}}, "theme": 1}"#,
            "npx -y x",
        ),
        (
            "/p/.mcp.json",
            r#"{"mcpServers": {"a": {"type": "http", "url": "https://h/${NONE:-mcp}", "headers": {"X": "${KEY}"}}}}"#,
            "https://h/mcp",
        ),
        (
            "/p/.cursor/mcp.json",
            "{\n// of Cursor\n\"mcpServers\": {\"a\": {\"url\": \"https://h/mcp\", /* c */ \"headers\": {\"X\": \"${env:KEY}\"},},},}",
            "https://h/mcp",
        ),
        (
            "/p/.vscode/mcp.json",
            r#"{"inputs": [{"id": "x"}], "servers": {"a": {"type": "stdio", "command": "${workspaceFolder}/run",
                "args": ["${userHome}"], "envFile": "${workspaceFolder}/.env", "dev": {"watch": "x"}}}}"#,
            "/etc/mcp/run /home/me",
        ),
        ("settings.json", r#"{"editor.x": 1, "mcp": {"servers": {"a": {"command": "x"}}}}"#, "x"),
        (
            "mcp_config.json",
            r#"{"mcpServers": {"a": {"serverUrl": "https://h/mcp", "disabled": false, "disabledTools": ["x"]}}}"#,
            "https://h/mcp",
        ),
        (
            "/h/.gemini/settings.json",
            r#"{"theme": "x", "mcpServers": {"a": {"httpUrl": "https://h/mcp", "trust": true, "includeTools": ["x"]}}}"#,
            "https://h/mcp",
        ),
        (
            "config.toml",
            "model = \"x\"\n[mcp_servers.a]\ncommand = \"npx\"\nargs = [\"-y\"]\nstartup_timeout_sec = 5\ntool_timeout_sec = 60\n\
             enabled_tools = [\"x\"]\nenv_vars = [\"A\"]\n[mcp_servers.a.env]\nK = \"${KEY}\"\n[profiles.x]\ny = 1\n",
            "npx -y",
        ),
        (
            "config.toml",
            "[mcp_servers.a]\nurl = \"https://h/mcp\"\nbearer_token_env_var = \"KEY\"\nenv_http_headers = { X = \"KEY\" }\n",
            "https://h/mcp",
        ),
        (
            "settings.json",
            r#"{"vim_mode": true, "context_servers": {"a": {"source": "custom", "command": {"path": "x", "args": ["y"], "env": {"K": "1"}}}}}"#,
            "x y",
        ),
        (
            "opencode.json",
            r#"{"$schema": "x", "mcp": {"a": {"type": "local", "command": ["bun", "x", "{env:KEY}"], "environment": {"K": "{env:KEY}"}, "enabled": true}}}"#,
            "bun x hunter2",
        ),
        (
            "opencode.json",
            r#"{"mcp": {"a": {"type": "remote", "url": "https://h/mcp", "headers": {"X": "y"}}}}"#,
            "https://h/mcp",
        ),
        (
            "continue.json",
            r#"{"mcpServers": [{"name": "a", "command": "npx", "args": ["y"]}, {"name": "b", "type": "streamable-http", "url": "https://h/mcp", "requestOptions": {"headers": {"X": "y"}}}]}"#,
            "npx y",
        ),
    ] {
        let all = servers(name, text);
        let first = all.first().unwrap();
        assert_eq!(first.name.as_str(), "a", "{name}");
        let found = match &first.reach {
            Reach::Child(child) => argv(child).join(" "),
            Reach::Remote(remote) => remote.url.to_string(),
        };
        assert_eq!(found, want, "{name}");
        assert!(!format!("{all:?}").contains("hunter2"), "{name}");
    }
}

#[test]
fn a_bearer_token_becomes_a_header_that_is_not_shown() {
    for text in
        ["bearer = \"${KEY}\"", "bearer_token_env_var = \"KEY\"", "headers = { Authorization = \"Bearer ${KEY}\" }"]
    {
        let all = servers("mcp.toml", &format!("[servers.a]\nurl = \"https://h/mcp\"\n{text}\n"));
        let headers = &remote(all.first().unwrap()).headers;
        let value = headers.get("authorization").unwrap();
        assert!(value == "Bearer hunter2" && value.is_sensitive());
    }
}

#[test]
fn http_means_both_transports_in_the_files_of_vs_code() {
    let text = r#"{"servers": {"a": {"type": "http", "url": "https://h/mcp"}}}"#;
    assert_eq!(remote(&servers(".vscode/mcp.json", text)[0]).transport, RemoteTransport::Auto);
    let text = text.replace("servers", "mcpServers");
    assert_eq!(remote(&servers("mcp.json", &text)[0]).transport, RemoteTransport::Http);
}

#[test]
fn one_bad_server_leaves_the_others() {
    let text = r#"{"mcpServers": {
        "one": {"command": 7},
        "two": {"command": "x"},
        "off": {"command": 7, "disabled": true},
        "three": {"url": "ftp://h"},
        "four": null,
        "five": {"command": "x"}
    }}"#;
    let file = file("mcp.json", text);
    let kinds: Vec<_> = file.servers.iter().map(|entry| (entry.name(), matches!(entry, Entry::Server(_)))).collect();
    let want = [("one", false), ("two", true), ("off", false), ("three", false), ("four", false), ("five", true)];
    assert_eq!(kinds, want);
    assert_eq!(file.servers[2], Entry::Disabled { name: "off".into() });
}

#[test]
fn two_servers_of_one_name_are_named_with_both_lines() {
    for text in [
        "{\"mcpServers\": {\n\"a\": {\"command\": \"x\"},\n\"a\": {\"command\": \"y\"}}}",
        "{\"mcpServers\": {\n\"a\": {\"command\": \"x\"}},\n\"servers\": {\"a\": {\"command\": \"y\"}}}",
        "{\"mcpServers\": [\n{\"name\": \"a\", \"command\": \"x\"},\n{\"name\": \"a\", \"command\": \"y\"}]}",
    ] {
        let why = why("mcp.json", text);
        assert_eq!(why.line, 3);
        assert_eq!(why.message, "2 servers are named \"a\", on lines 2 and 3; give each its own name");
    }
    for text in [
        "[servers.a]\ncommand = \"x\"\n[servers.b]\ncommand = \"a\"\n[servers.a]\ncommand = \"y\"\n",
        "[servers.a]\ncommand = \"x\"\n[servers.b]\nenv = { a = \"1\" }\n[servers.\"a\"]\ncommand = \"y\"\n",
    ] {
        let problem = read_as("mcp.toml", text).unwrap_err();
        assert_eq!(
            problem.to_string().split_once(": ").unwrap().1,
            "the table \"a\" stands on line 1 already; give each its own name, or remove one"
        );
        assert_eq!(problem.line, 5);
    }
}

#[test]
fn names_that_could_lead_elsewhere_are_refused() {
    for name in ["../x", "..", ".", "a/b", "%2e%2e", "a b", "é", "", "a\\u0000", &"x".repeat(65)] {
        let text = format!("{{\"mcpServers\": {{\"{name}\": {{\"command\": \"x\"}}}}}}");
        assert!(why("mcp.json", &text).message.contains("cannot be a server's name"), "{name}");
    }
}

#[test]
fn unknown_keys_are_warned_of_with_what_was_meant() {
    let text = "{\"mcpServers\": {\"a\": {\n\"command\": \"npx -y x\", \"arg\": [],\n\"retries\": 3, \"foo\": 1, \"timeout\": 5}}, \"mcpserver\": {}}";
    let warnings: Vec<String> = file(".vscode/mcp.json", text).warnings.iter().map(Problem::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"));
}

/// Every error of a whole file and of a server, as it is shown.
#[test]
fn what_is_wrong_is_said_with_the_line_and_the_fix() {
    let mut shown = String::new();
    let mut show = |problem: Problem| shown.push_str(&format!("{problem}\n{}\n\n", problem.excerpt()));
    for (name, text) in [
        ("mcp.json", ""),
        ("mcp.json", "[]"),
        ("mcp.json", "{}"),
        ("mcp.json", "{\n  \"mcpServers\": {}\n}"),
        ("mcp.json", "{\n  \"mcpServer\": {\"a\": {\"command\": \"x\"}}\n}"),
        ("mcp.json", "{\n  \"github\": {\"command\": \"x\"}\n}"),
        ("mcp.json", "{\"command\": \"x\"}"),
        ("mcp.json", "{\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\" \"args\": [\"hunter2\"]}\n  }\n}"),
        ("mcp.json", "{\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\"\n  }\n}"),
        ("mcp.json", "{\"mcpServers\": {\"a\": {\"command\": \"C:\\tools\\hunter2.exe\"}}}"),
        ("mcp.json", "{\"mcpServers\": {\"a\": {\"env\": {\"K\": \"hunter2}}}}"),
        ("mcp.json", "{\"mcpServers\": {\"a\": {\"command\": 'hunter2'}}}"),
        ("mcp.json", "{\"mcpServers\": {\"a\": {\"env\": {\"K\": hunter2}}}}"),
        ("mcp.json", "{\"mcpServers\": {\"a\": {command: \"x\"}}}"),
        ("mcp.json", "{\"mcpServers\": {\"a\": {\"command\": \"x\"}}}}"),
        ("mcp.toml", "[servers.a\ncommand = \"x\"\n"),
        ("mcp.toml", "[servers.a]\ncommand = npx\n"),
        ("mcp.toml", "[servers.a]\nenv = { KEY = hunter2 }\n"),
        ("mcp.toml", "[servers.a]\ncommand = \"x\"\ncommand = \"y\"\n"),
        ("mcp.toml", "{\"mcpServers\": {}}"),
        ("mcp.toml", "[server.a]\ncommand = \"x\"\n"),
        ("mcp.toml", "command = \"x\"\n"),
        ("mcp.toml", "[servers.a]\ncommand = \"x\"\n[defaults]\nera = \"lagacy\"\n"),
        ("mcp.yaml", "mcpServers:\n"),
    ] {
        show(read_as(name, text).unwrap_err());
    }
    for text in [
        "{}",
        "7",
        r#"{"comand": "x"}"#,
        r#"{"command": ""}"#,
        r#"{"command": []}"#,
        r#"{"command": ["x", 7]}"#,
        r#"{"command": "https://h/hunter2"}"#,
        r#"{"command": "~/bin/x"}"#,
        r#"{"command": "x", "url": "https://h"}"#,
        r#"{"command": "x", "args": "-y hunter2"}"#,
        r#"{"command": "x", "args": ["--port", 8080]}"#,
        r#"{"command": "x", "args": ["${NONE}"]}"#,
        r#"{"command": "x", "env": {"K": ["hunter2"]}}"#,
        r#"{"command": "x", "env": {"A B": "hunter2"}}"#,
        r#"{"command": "x", "env": {"K": "${input:token}"}}"#,
        r#"{"command": "x", "env": {"K": "${file:/hunter2}"}}"#,
        r#"{"command": "x", "env": {"K": "1", "K": "hunter2"}}"#,
        r#"{"command": "x", "envFile": "a", "env_file": "b"}"#,
        r#"{"command": "x", "type": "sse"}"#,
        r#"{"command": "x", "type": "sdtio"}"#,
        r#"{"command": "x", "disabled": "yes"}"#,
        r#"{"command": "x", "sharing": "shard"}"#,
        r#"{"command": "x", "sharing": "shared", "header_env": {"X": "Y"}}"#,
        r#"{"command": "x", "header_env": {"X": "hunter2 hunter2"}}"#,
        r#"{"command": "x", "sharing": "pooled", "claim_env": {"sub": "Y"}}"#,
        r#"{"command": "x", "claim_env": {"sub": "hunter2 hunter2"}}"#,
        r#"{"command": "x", "warm": -1}"#,
        r#"{"command": "x", "warm": 3, "max_children": 2}"#,
        r#"{"command": "x", "request_timeout": "5 weeks"}"#,
        r#"{"command": "x", "session_timeout": 0}"#,
        r#"{"command": "x", "pass_env": ["A-B"]}"#,
        r#"{"command": "x", "tools": {"alow": ["x"]}}"#,
        r#"{"command": "x", "tools": "read_*"}"#,
        r#"{"url": "h/hunter2"}"#,
        r#"{"url": "ftp://h/hunter2"}"#,
        r#"{"url": "https://me:hunter2@h/"}"#,
        r#"{"url": "https://h/#hunter2"}"#,
        r#"{"url": "https://h:99999/hunter2"}"#,
        r#"{"url": "https://h/", "serverUrl": "https://h/"}"#,
        r#"{"url": "https://h/", "headers": {"Host": "hunter2"}}"#,
        r#"{"url": "https://h/", "headers": {"A B": "hunter2"}}"#,
        r#"{"url": "https://h/", "headers": {"X": "${BREAK}"}}"#,
        r#"{"url": "https://h/", "headers": {"X": "1", "x": "hunter2"}}"#,
        r#"{"url": "https://h/", "headers": ["X: hunter2"]}"#,
        r#"{"url": "https://h/", "bearer": "Bearer hunter2"}"#,
        r#"{"url": "https://h/", "bearer_token_env_var": "hunter2-"}"#,
        r#"{"source": "extension", "settings": {"token": "hunter2"}}"#,
    ] {
        show(why("mcp.json", &format!("{{\"mcpServers\": {{\n  \"a\": {text}\n}}}}")));
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn deep_and_large_files_are_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(read_as("mcp.json", &deep).is_err());
    }
    assert!(read_as("mcp.toml", &format!("a = {}", "[".repeat(100_000))).is_err());
    assert!(read_as("mcp.toml", &format!("[{}a]", "a.".repeat(100_000))).is_err());
    let large = format!("{{\"mcpServers\": {{}}}}{}", " ".repeat(MAX_BYTES));
    assert!(read_as("mcp.json", &large).unwrap_err().message.contains("larger than"));
    let many: String = (0..=MAX_SERVERS).map(|n| format!("[servers.s{n}]\ncommand = \"x\"\n")).collect();
    assert!(read_as("mcp.toml", &many).unwrap_err().message.contains("more than 1000 servers"));
    let noise: String = (0..200).map(|n| format!("foo{n}bar = 1\n")).collect();
    let warnings = file("mcp.toml", &format!("[servers.a]\ncommand = \"x\"\n{noise}")).warnings;
    assert_eq!(warnings.len(), MAX_WARNINGS);
    assert!(warnings.last().unwrap().message.ends_with("(and 150 more like this)"));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let text = "\u{feff}{\r\n  \"mcpServers\": {\r\n    \"a\": {\"command\": 7}\r\n  }\r\n}\r\n";
    let why = why("mcp.json", text);
    assert_eq!((why.line, why.column), (3, 22));
    assert!(!why.excerpt().contains('\r'));
}

/// The seeds of the fuzz target are files that come to something.
#[test]
fn the_seeds_are_read() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/config_file");
    let mut seen = 0;
    for seed in fs::read_dir(dir).unwrap() {
        let path = seed.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // The first byte chooses the file's ending, as in the target.
        let name = if text.starts_with('t') { "mcp.toml" } else { "mcp.json" };
        assert!(!file(name, &text[1..]).servers.is_empty(), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 3);
}

/// Pieces that files are made of, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "=",
        ".",
        "\"",
        "'",
        "\n",
        " ",
        "#",
        "//",
        "/*",
        "*/",
        "\\",
        "\\u",
        "${",
        "}",
        "${KEY}",
        "mcpServers",
        "servers",
        "\"mcpServers\"",
        "\"servers\": {",
        "\"a\": {",
        "\"command\": \"x\"",
        "command",
        "env",
        "\"env\"",
        "url",
        "[servers.a]\n",
        "command = \"x\"\n",
        "[defaults]\n",
        "\"\"\"",
        "true",
        "null",
        "-1",
        "1e9",
        "1979-05-27",
        "é",
        "\u{feff}",
        "\0",
        "tools",
        "headers",
        "\"https://h\"",
        "_",
    ];
    let word = prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(String::from), 1 => ".{0,3}"];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_panics_or_shows_a_secret(text in pieces(), toml in any::<bool>()) {
        match read_as(if toml { "mcp.toml" } else { "mcp.json" }, &text) {
            Ok(file) => {
                for entry in &file.servers {
                    let shown = format!("{entry:?}");
                    prop_assert!(!shown.contains("hunter2"));
                }
                file.warnings.iter().for_each(|warning| drop(warning.excerpt()));
            }
            Err(problem) => {
                prop_assert!(!problem.excerpt().contains("hunter2"));
                prop_assert!(problem.line >= 1 && problem.column >= 1);
            }
        }
    }

    /// Whatever stands in the values, the line that is shown does not have it.
    #[test]
    fn no_value_is_shown(secret in "[A-Za-z0-9+/=._-]{12,40}", cut in 0usize..200) {
        prop_assume!(!keys::is_known(&secret));
        let text = format!("{{\"mcpServers\": {{\"a\": {{\"command\": \"x\", \"env\": {{\"K\": \"{secret}\"}}, \"args\": [\"--k={secret}\"]}}}}}}");
        let cut = cut.min(text.len());
        for wrong in [&text[..cut], &text.replacen('"', "", 1 + cut % 9)] {
            if let Err(problem) = read_as("mcp.json", wrong) {
                prop_assert!(!problem.excerpt().contains(&secret) && !problem.message.contains(&secret), "{}", problem.excerpt());
            }
        }
    }
}
