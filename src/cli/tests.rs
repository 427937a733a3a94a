//! What command lines come to. What they say when wrong is in `tests/cli.rs`, with the real binary.

use std::{ffi::OsString, fs, time::Duration};

use clap::ArgAction;

use super::{Error, Task, args, parse_in};
use crate::{
    config::{
        Back, ChildSpec, Config, Cors, Door, Front, NetworkSpec, Output, PassEnv, RemoteSpec, RemoteTransport,
        ServerSpec, Sharing,
        traffic::{Proxy, Rate, Traffic},
    },
    observe::{Format, Logging},
    wire::{WIRES, Wire},
};

fn env(name: &str) -> Option<OsString> {
    match name {
        "KEY" => Some("s3cret".into()),
        "BROKEN" => Some("a\r\nX-Evil: b".into()),
        "DIR" => Some(std::env::temp_dir().into()),
        _ => None,
    }
}

fn parse(words: &[&str]) -> Result<Task, Error> {
    parse_in(std::iter::once("mcp-bridge").chain(words.iter().copied()).map(OsString::from).collect(), &env)
}

fn bridge(words: &[&str]) -> (Config, Logging) {
    match parse(words) {
        Ok(Task::Bridge(config, logging)) => (*config, logging),
        other => panic!("{words:?} came to {other:?}"),
    }
}

fn network(words: &[&str]) -> NetworkSpec {
    match bridge(words).0.front {
        Front::Network(spec) => *spec,
        Front::Stdio => panic!("{words:?} has no network front"),
    }
}

/// The one server of a command.
fn only(words: &[&str]) -> ServerSpec {
    let mut servers = bridge(words).0.servers;
    assert!(servers.len() == 1 && servers[0].at_root);
    servers.remove(0)
}

/// Which wires are served, and where.
fn outputs(words: &[&str]) -> Vec<(Wire, Vec<String>)> {
    network(words).outputs.into_iter().map(|output| (output.wire, output.paths)).collect()
}

fn child(words: &[&str]) -> ChildSpec {
    match only(words).back {
        Back::Child(spec) => spec,
        Back::Remote(_) => panic!("{words:?} starts no server"),
    }
}

fn remote(words: &[&str]) -> RemoteSpec {
    match only(words).back {
        Back::Remote(spec) => spec,
        Back::Child(_) => panic!("{words:?} reaches no server"),
    }
}

fn refusal(words: &[&str]) -> String {
    match parse(words) {
        Err(Error::Usage(text)) => text,
        other => panic!("{words:?} came to {other:?}"),
    }
}

fn flags() -> Vec<(String, clap::Arg)> {
    let command = args::command();
    let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let all = visible.flat_map(|sub| {
        let name = sub.get_name().to_string();
        sub.get_arguments().map(move |arg| (name.clone(), arg.clone()))
    });
    all.filter(|(_, arg)| arg.get_long().is_some() && !matches!(arg.get_action(), ArgAction::Help | ArgAction::Version))
        .collect()
}

#[test]
fn the_clap_types_are_sound() {
    args::command().debug_assert();
}

#[test]
fn every_flag_has_its_variable_and_shows_no_value_of_it() {
    let flags = flags();
    assert!(flags.len() > 60, "{}", flags.len());
    // A token in a variable is meant for a server; `status` would show it to the bridge.
    for (command, arg) in flags.into_iter().filter(|(command, _)| command != "status") {
        let long = arg.get_long().unwrap();
        let want = format!("MCP_BRIDGE_{}", long.replace('-', "_").to_uppercase());
        assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(want.as_str()), "{command} --{long}");
        assert!(arg.is_hide_env_values_set(), "{command} --{long}");
    }
}

#[test]
fn every_flag_has_one_line_of_help_that_states_unit_and_default() {
    for (command, arg) in flags() {
        let flag = format!("{command} --{}", arg.get_long().unwrap());
        let help = arg.get_help().unwrap_or_else(|| panic!("{flag} has no help")).to_string();
        assert!(!help.contains('\n') && arg.get_long_help().is_none(), "{flag} has more than one line");
        let shown = arg.get_action().takes_values() && !arg.get_default_values().is_empty();
        assert!(shown || help.contains("(default: "), "{flag} states no default");
        let unit = match arg.get_value_names().and_then(<[_]>::first).map(|name| name.as_str()) {
            Some("DURATION") => "seconds, or 500ms, 5m, 1h",
            Some("SIZE") => "bytes, or 64KiB, 1MB, 16MiB",
            Some("NUMBER") => "Number of ",
            _ => continue,
        };
        assert!(help.contains(unit), "{flag} states no unit");
    }
}

#[test]
fn defaults_are_those_of_the_configuration() {
    let (config, logging) = bridge(&["serve", "--", "npx", "-y", "x"]);
    assert_eq!(format!("{:?}", config.limits), format!("{:?}", crate::config::Limits::default()));
    assert_eq!(config.servers[0].sharing, Sharing::Own);
    assert_eq!(
        logging,
        Logging { level: tracing::Level::INFO, quiet: false, format: Format::Text, ansi: logging.ansi }
    );
    let front = network(&["serve", "--", "npx"]);
    assert_eq!(format!("{:?}", front.listen), "[Tcp(127.0.0.1:8000)]");
    assert_eq!(front.outputs, [Wire::Sse, Wire::Http, Wire::Ws].map(Output::usual));
    assert_eq!((front.keepalive, front.keepalive_event), (Duration::from_secs(15), false));
    assert_eq!((front.cors, front.health_path.as_str()), (Cors::Off, "/healthz"));
    let spec = child(&["serve", "--", "npx", "-y", "x"]);
    assert_eq!((spec.name.as_str(), spec.pass_env, spec.cwd), ("x", PassEnv::All, None));
    let default = crate::config::StopLadder::default();
    assert_eq!((spec.stop.after_close, spec.stop.after_term), (default.after_close, default.after_term));
    let spec = remote(&["connect", "https://host/mcp"]);
    assert_eq!(format!("{:?}", spec.retry), format!("{:?}", crate::config::RetryPolicy::default()));
}

#[test]
fn each_command_has_its_routes_and_transport() {
    for source in WIRES {
        for output in WIRES.iter().filter(|output| output.wire != source.wire) {
            let command = format!("{}-to-{}", source.word, output.word);
            let url =
                format!("{}://host/x", source.schemes.last().filter(|scheme| **scheme == "wss").unwrap_or(&"https"));
            let server: &[&str] = if source.reaches.is_some() { &[&url] } else { &["--", "x"] };
            let words = [&[command.as_str()], server].concat();
            match output.wire {
                Wire::Stdio => assert!(matches!(bridge(&words).0.front, Front::Stdio), "{command}"),
                wire => assert_eq!(network(&words).outputs, [Output::usual(wire)], "{command}"),
            }
            match only(&words).back {
                Back::Remote(spec) => assert_eq!(Some(spec.transport), source.reaches, "{command}"),
                Back::Child(_) => assert_eq!(source.reaches, None, "{command}"),
            }
        }
    }
    for (command, transport) in [
        ("connect", RemoteTransport::Auto),
        ("http-to-stdio", RemoteTransport::Http),
        ("sse-to-stdio", RemoteTransport::Sse),
    ] {
        assert_eq!(remote(&[command, "https://host/mcp"]).transport, transport);
    }
    for command in ["connect", "serve", "ws-to-stdio"] {
        assert_eq!(remote(&[command, "wss://host/ws"]).transport, RemoteTransport::Ws);
    }
    assert!(refusal(&["ws-to-stdio", "https://host/mcp"]).contains("write ws:// or wss://"));
    assert!(refusal(&["http-to-stdio", "wss://host/ws"]).contains("write http:// or https://"));
}

#[test]
fn servers_are_shared_as_told_and_stateless_is_streamable_http_alone() {
    assert_eq!(network(&["serve", "--stateless", "--", "x"]).outputs, [Output::usual(Wire::Http)]);
    assert_eq!(only(&["stdio-to-http", "--stateless", "--", "x"]).sharing, Sharing::Stateless);
    assert_eq!(only(&["stdio-to-sse", "--shared", "--", "x"]).sharing, Sharing::Shared);
    assert_eq!(only(&["serve", "--pooled", "https://h/mcp"]).sharing, Sharing::Pooled);
    assert!(refusal(&["serve", "--shared", "--pooled", "--", "x"]).contains("both --shared and --pooled are given"));
    assert!(refusal(&["serve", "--stateless", "-o", "sse", "--", "x"]).contains("a stream is a session"));
}

#[test]
fn outputs_can_be_chosen() {
    let sse = outputs(&["serve", "-o", "sse", "--sse-path", "/s", "--", "x"]);
    assert_eq!(sse, [(Wire::Sse, vec!["/s".to_owned(), "/messages".into()])]);
    assert_eq!(outputs(&["serve", "--output", "http,sse", "--", "x"]).len(), 2);
    assert!(refusal(&["serve", "-o", "sse", "--mcp-path", "/x", "--", "x"]).contains("--output leaves out"));
}

#[test]
fn any_server_stands_behind_serve_and_connect() {
    assert_eq!(remote(&["serve", "https://host/mcp"]).transport, RemoteTransport::Auto);
    assert_eq!(only(&["serve", "https://host/mcp"]).name.as_str(), "host");
    assert_eq!(child(&["connect", "--", "npx", "-y", "x"]).name, "x");
    for (words, what) in [
        (&["serve", "https://host", "--env", "A=1"][..], "--env is of no use for a server at a URL"),
        (&["serve", "https://host", "--demo"], "--demo is of no use for a server at a URL"),
        (&["serve", "https://host", "--", "x"], "both a URL and a command"),
        (&["serve", "--bearer", "x", "--", "x"], "--bearer is of no use for a server that is started"),
        (&["connect", "--retries", "1", "--", "x"], "--retries is of no use for a server that is started"),
    ] {
        assert!(refusal(words).contains(what), "{words:?}: {}", refusal(words));
    }
}

#[cfg(unix)]
#[test]
fn a_socket_has_a_path_and_the_server_on_it_another() {
    for (words, socket, path) in [
        (["connect", "unix:/run/my mcp.sock"], "/run/my mcp.sock", "/mcp"),
        (["connect", "unix:///run/mcp.sock:/a/b?c=d"], "/run/mcp.sock", "/a/b"),
        (["sse-to-http", "UNIX:mcp.sock"], "mcp.sock", "/sse"),
        (["serve", "unix:/run/mcp.sock"], "/run/mcp.sock", "/mcp"),
    ] {
        let spec = remote(&words);
        assert_eq!((spec.socket.unwrap().to_str(), spec.url.path()), (Some(socket), path), "{words:?}");
        assert_eq!(spec.url.host_str(), Some("localhost"));
    }
    assert!(refusal(&["connect", "unix:"]).contains("names no socket"));
    assert_eq!(only(&["serve", "unix:/run/my mcp.sock"]).name.as_str(), "my-mcp");
}

#[test]
fn the_command_is_argv_and_no_shell_sees_it() {
    let spec = child(&["stdio-to-sse", "--port", "0", "--", "/opt/srv", "$(touch pwn)", "--port", "; ls | cat", ""]);
    assert_eq!((spec.name.as_str(), spec.program), ("srv", "/opt/srv".into()));
    assert_eq!(spec.args, ["$(touch pwn)", "--port", "; ls | cat", ""].map(OsString::from));
}

#[cfg(unix)]
#[test]
fn a_shell_line_is_one_argument_of_sh() {
    let spec = child(&["serve", "--shell", "a | b"]);
    assert_eq!((spec.program, spec.args), ("/bin/sh".into(), vec!["-c".into(), "a | b".into()]));
}

#[test]
fn demo_runs_this_program() {
    let spec = child(&["serve", "--demo"]);
    assert_eq!(spec.program, std::env::current_exe().unwrap());
    assert_eq!((spec.name.as_str(), spec.args), ("demo-server", vec!["demo-server".into()]));
}

#[test]
fn times_sizes_and_limits_arrive() {
    let words = "--session-timeout 5m --max-sessions 7 --max-message 1MB --request-timeout 90 --grace 500ms";
    let mut line = vec!["serve"];
    line.extend(words.split(' '));
    line.extend(["--", "x"]);
    let limits = bridge(&line).0.limits;
    assert_eq!(limits.session_timeout, Duration::from_secs(300));
    assert_eq!((limits.max_sessions, limits.max_message), (7, 1_000_000));
    assert_eq!(limits.request_timeout, Some(Duration::from_secs(90)));
    assert_eq!(limits.grace, Duration::from_millis(500));
}

#[test]
fn the_log_is_quiet_where_a_client_shows_it_as_errors() {
    let level = |words: &[&str]| bridge(words).1.level;
    assert_eq!(level(&["connect", "https://host"]), tracing::Level::WARN);
    assert_eq!(level(&["connect", "https://host", "--log-level", "trace"]), tracing::Level::TRACE);
    assert_eq!(level(&["connect", "https://host", "--log-level", "trace", "--quiet"]), tracing::Level::ERROR);
    assert_eq!(bridge(&["serve", "--log-format", "json", "--", "x"]).1.format, Format::Json);
}

#[test]
fn headers_are_expanded_and_sensitive() {
    let spec = remote(&["connect", "https://h/mcp", "-H", "X-Api-Key: ${KEY}", "-H", "X-Two:2", "--bearer", "${KEY}"]);
    let value = |name: &str| spec.headers.get(name).map(|value| (value.to_str().unwrap(), value.is_sensitive()));
    assert_eq!(value("x-api-key"), Some(("s3cret", true)));
    assert_eq!(value("x-two"), Some(("2", true)));
    assert_eq!(value("authorization"), Some(("Bearer s3cret", true)));
    assert!(!format!("{spec:?}").contains("s3cret"));
}

#[test]
fn header_injection_is_refused_without_showing_the_value() {
    for header in ["X-Key: ${BROKEN}", "X-Key: a\nb", "X-Key: a\0b", "X-Key: a\r"] {
        let text = refusal(&["connect", "https://h/mcp", "-H", header]);
        assert!(text.starts_with("-H X-Key: the value holds a line break"), "{text}");
        assert!(!text.contains("Evil"), "{text}");
    }
    for header in ["X Key: v", "X\r\nKey: v", ": v", "Ä: v"] {
        assert!(refusal(&["connect", "https://h/mcp", "-H", header]).contains("is not a header's name"));
    }
    assert!(refusal(&["connect", "https://h/mcp", "-H", "Mcp-Session-Id: 1"]).contains("sets itself"));
}

#[test]
fn no_error_shows_a_secret() {
    for words in [
        &["connect", "https://h/mcp", "-H", "hunter2"][..],
        &["connect", "https://h/mcp", "--bearer", "Bearer hunter2"],
        &["connect", "https://u:hunter2@h/mcp"],
        &["connect", "https://h:99999/mcp?token=hunter2"],
        &["serve", "--env", "hunter2", "--", "x"],
        &["serve", "--env", "A B=hunter2", "--", "x"],
        &["serve", "--", "https://h/mcp?token=hunter2"],
        &["stdio-to-http", "https://h/mcp?token=hunter2"],
        &["serve", "https://h/mcp?token=hunter2", "--demo"],
        &["serve", "unix:/hunter2", "--", "unix:/hunter2"],
        &["https://h/mcp?token=hunter2"],
        &["connect", "h.example/mcp?token=hunter2"],
        &["connect", "h.example/hunter2/mcp"],
        &["serve", "--", "https://u:hunter2@h/hunter2"],
        &["connect", "https://h", "-H", "Authorization:", "hunter2"],
        &["connect", "-H", "Authorization:", "hunter2", "https://h"],
        &["connect", "https://h", "-H", "Authorization:", "Bearer", "hunter2"],
        &["serve", "--env", "A=hunter2", "npx", "--key", "hunter2"],
        &["connect", "--bearer", "hunter2", "npx", "--key=hunter2"],
        &["serve", "--env", "A=", "hunter2", "--", "x"],
        &["serve", "--bearer=hunter2", "--", "x"],
        &["connect", "https://h", "--barer=hunter2"],
        &["npx", "--key", "hunter2"],
    ] {
        let text = refusal(words);
        assert!(!text.contains("hunter2"), "{words:?}: {text}");
    }
}

#[test]
fn variables_come_from_files_then_flags() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.env");
    fs::write(&file, "# comment\n\nA=1\nexport B = \"two ${KEY}\"\nC='${KEY}'\nD=a=b\nE=${NONE:-e}\n").unwrap();
    let spec = child(&["serve", "--env", "A=${KEY}", "--env-file", file.to_str().unwrap(), "--", "x"]);
    let env: Vec<_> = spec.env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let want = [("A", "1"), ("B", "two s3cret"), ("C", "${KEY}"), ("D", "a=b"), ("E", "e"), ("A", "s3cret")];
    assert_eq!(env, want);
    assert!(!format!("{spec:?}").contains("s3cret"));
    fs::write(&file, "A=1\nB=${NONE}\n").unwrap();
    let text = refusal(&["serve", "--env-file", file.to_str().unwrap(), "--", "x"]);
    assert!(text.contains("line 2: B: ${NONE} is not set"), "{text}");
}

#[test]
fn pass_env_narrows_to_names_and_what_every_program_needs() {
    assert_eq!(child(&["serve", "--pass-env", "all", "--", "x"]).pass_env, PassEnv::All);
    let PassEnv::Only(names) = child(&["serve", "--pass-env", "MY_*,FOO", "--", "x"]).pass_env else { panic!() };
    assert!(["PATH", "MY_*", "FOO"].iter().all(|want| names.iter().any(|name| name == want)), "{names:?}");
    let PassEnv::Only(names) = child(&["serve", "--pass-env", "none", "--", "x"]).pass_env else { panic!() };
    assert!(names.iter().any(|name| name == "PATH"));
}

#[test]
fn a_working_directory_is_expanded_and_has_to_exist() {
    assert_eq!(child(&["serve", "--cwd", "${DIR}", "--", "x"]).cwd, Some(std::env::temp_dir()));
    assert!(refusal(&["serve", "--cwd", "/nonexistent", "--", "x"]).contains("name an existing directory"));
    assert!(refusal(&["serve", "--cwd", "~/x", "--", "x"]).contains("${HOME}"));
}

#[test]
fn beyond_loopback_somebody_has_to_ask_for_tokens() {
    for host in ["0.0.0.0", "::", "192.0.2.1", "[2001:db8::1]"] {
        let text = refusal(&["serve", "--host", host, "--", "x"]);
        assert!(text.contains("--bearer-token-file") && text.contains("--allow-unauthenticated"), "{text}");
    }
    for host in ["127.0.0.1", "127.1.2.3", "::1", "localhost", "::ffff:127.0.0.1"] {
        assert!(matches!(network(&["serve", "--host", host, "--", "x"]).door, Door::Open), "{host}");
    }
    let open = network(&["serve", "--host", "0.0.0.0", "--allow-unauthenticated", "--", "x"]);
    assert!(matches!(open.door, Door::Open));
}

#[test]
fn tokens_stand_one_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    let words = ["serve", "--host", "::", "--bearer-token-file", file.to_str().unwrap(), "--", "x"];
    fs::write(&file, "# ours\n\n one\r\ntwo\n").unwrap();
    assert!(matches!(network(&words).door, Door::Locked(_)));
    fs::write(&file, "# none\n\n").unwrap();
    assert!(refusal(&words).contains("holds no token"));
    fs::write(&file, "hunter 2\n").unwrap();
    assert!(refusal(&words).ends_with("line 1 is not a token; write one a line, or 'name: token'"));
    fs::remove_file(&file).unwrap();
    assert!(refusal(&words).contains("name a readable text file"));
}

#[test]
fn the_tokens_of_an_authorization_server_are_asked_for_with_what_they_need() {
    let serve = |flags: &str| {
        let line = format!("serve {flags} -- x");
        refusal(&line.split_whitespace().collect::<Vec<_>>())
    };
    for (flags, want) in [
        ("--oauth-scope a", "--oauth-scope is about tokens of an authorization server; add --oauth-issuer URL"),
        ("--oauth-issuer http://as.example", "--oauth-issuer needs an https URL (http on this machine only)"),
        ("--oauth-issuer https://u:p@as.example", "--oauth-issuer needs an https URL (http on this machine only)"),
        ("--oauth-issuer https://as.example --oauth-algorithm HS256", "no algorithm that proves who signed"),
        (
            "--oauth-issuer https://as.example --oauth-scope a\"b",
            "--oauth-scope \"a\\\"b\" holds what no such word has",
        ),
        ("--oauth-issuer https://as.example --oauth-tool-scope x", "--oauth-tool-scope \"x\" is not of the form"),
        (
            "--oauth-issuer https://as.example --oauth-introspection-url https://as.example/i",
            "needs --oauth-introspection-client",
        ),
        ("--oauth-issuer https://as.example --allow-unauthenticated", "leave one out"),
        ("--api-key-header X-Key", "says where a token stands, but there are none"),
        (
            "--host 0.0.0.0 --oauth-issuer https://as.example",
            "--oauth-issuer beyond loopback takes --base-url or --oauth-audience",
        ),
    ] {
        let refused = serve(flags);
        assert!(refused.contains(want), "{flags}: {refused}");
    }
    let line = "serve --host 0.0.0.0 --base-url https://b.example --oauth-issuer https://as.example -- x";
    let door = network(&line.split_whitespace().collect::<Vec<_>>()).door;
    assert!(matches!(door, Door::Locked(_)));
}

#[test]
fn origins_and_hosts_are_brought_to_the_form_that_browsers_send() {
    let line = "serve --cors --allow-origin HTTPS://App.Example.com:443/,vscode-webview://Abc \
                --allow-host Tools.Example.com,[::1]:8000 --base-url https://pub.example.com:8443/x -- x";
    let front = network(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(front.cors, Cors::AllowedOrigins);
    assert_eq!(front.allow_origin, ["https://app.example.com", "vscode-webview://abc"]);
    assert_eq!(front.allow_host, ["tools.example.com", "[::1]:8000", "pub.example.com:8443"]);
    for origin in ["*", "null", "app.example.com", "https://a.example/x", "https://u@a.example", "https://a.example?x"]
    {
        refusal(&["serve", "--allow-origin", origin, "--", "x"]);
    }
    for host in ["*", "*.example.com", "https://a.example", "a/b", "u@a.example", "a:", "a:x", ""] {
        refusal(&["serve", "--allow-host", host, "--", "x"]);
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for (flag, value) in [
        ("--session-timeout", "0"),
        ("--session-timeout", "367d"),
        ("--session-timeout", "99999999999999999999s"),
        ("--session-timeout", "18446744073709551615h"),
        ("--keepalive", "1.5s"),
        ("--keepalive", "5 minutes"),
        ("--keepalive", "-1s"),
        ("--keepalive", "s"),
        ("--max-message", "10"),
        ("--max-message", "16M"),
        ("--max-message", "18446744073709551615GiB"),
        ("--max-sessions", "0"),
        ("--max-sessions", "18446744073709551615"),
        ("--port", "65536"),
        ("--host", "example.com"),
        ("--mcp-path", "mcp"),
        ("--mcp-path", "/{x}"),
        ("--mcp-path", "/a b"),
        ("--mcp-path", "/a?b"),
        ("--mcp-path", "/readyz"),
        ("--sse-path", "/messages"),
        ("--base-url", "ftp://h"),
        ("--base-url", "https://h/?q"),
        ("--base-url", "h/x"),
    ] {
        let given = format!("{flag}={value}");
        refusal(&["serve", &given, "--", "x"]);
    }
}

#[test]
fn urls_are_checked_before_anything_is_sent() {
    for url in
        ["https://u@h/", "https://:p@h/", "https://h/#f", "ftp://h/", "file:///x", "https://", "h.example/mcp", "npx"]
    {
        refusal(&["connect", url]);
    }
    assert_eq!(remote(&["connect", "HTTP://H:80/mcp?x=1"]).url.as_str(), "http://h/mcp?x=1");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_stands_in_the_place_of_tcp_unless_tcp_is_given_too() {
    for (words, want) in [
        (&["--unix", "/run/a"][..], "[Unix { path: \"/run/a\", mode: 384 }]"),
        (&["--unix", "/run/a", "--unix-mode", "660"], "[Unix { path: \"/run/a\", mode: 432 }]"),
        (&["--unix", "/run/a", "--port", "0"], "[Tcp(127.0.0.1:0), Unix { path: \"/run/a\", mode: 384 }]"),
        (&["--unix", "/run/a", "--host", "::1"], "[Tcp([::1]:8000), Unix { path: \"/run/a\", mode: 384 }]"),
    ] {
        let front = network(&[&["serve", "--demo"], words].concat());
        assert_eq!(format!("{:?}", front.listen), want);
    }
}

#[test]
fn limits_of_callers_and_trusted_proxies() {
    let traffic = |words: &[&str]| network(&[&["serve"], words, &["--demo"]].concat()).traffic;
    assert_eq!(traffic(&[]), Traffic::default());
    for (text, count, seconds) in [("20", 20, 1), ("20/s", 20, 1), ("600/m", 600, 60), ("5000/h", 5000, 3600)] {
        let rate = Rate { count, period: Duration::from_secs(seconds) };
        assert_eq!(traffic(&["--rate-limit", text]).rate, Some(rate), "{text}");
    }
    assert_eq!(traffic(&["--max-concurrent", "8"]).max_concurrent, Some(8));
    let proxies = traffic(&["--trusted-proxy", "10.0.0.0/8,::1", "--trusted-proxy", "unix"]).proxies;
    let net = |address: &str, bits| Proxy::net(address.parse().unwrap(), bits).unwrap();
    assert_eq!(proxies, [net("10.0.0.0", Some(8)), net("::1", None), Proxy::Unix]);
    for (flag, value) in [
        ("--rate-limit", "0"),
        ("--rate-limit", "5/d"),
        ("--rate-limit", "/s"),
        ("--max-concurrent", "0"),
        ("--trusted-proxy", "10.0.0.0/33"),
        ("--trusted-proxy", "proxy.example"),
        ("--trusted-proxy", "*"),
    ] {
        assert!(parse(&["serve", flag, value, "--demo"]).is_err(), "{flag} {value}");
    }
}

#[test]
fn processes_are_bounded_warm_and_idle_as_told() {
    let server = only(&["serve", "--max-children", "4", "--warm", "2", "--idle-timeout", "5m", "--", "x"]);
    let processes = server.processes;
    assert_eq!((processes.most, processes.warm), (Some(4), 2));
    assert_eq!(processes.idle_shared(), Some(Duration::from_secs(300)));
    let never = only(&["serve", "--idle-timeout", "0", "--", "x"]).processes;
    assert_eq!((never.idle_shared(), never.idle_pooled(Duration::ZERO)), (None, Duration::MAX));
    let usual = only(&["serve", "--", "x"]).processes;
    assert_eq!((usual.idle_shared(), usual.idle_pooled(Duration::ZERO)), (None, Duration::ZERO));
    assert!(refusal(&["serve", "--max-children", "1", "--warm", "2", "--", "x"]).contains("spares count"));
    assert!(refusal(&["serve", "--warm", "2", "https://h/mcp"]).contains("of no use for a server at a URL"));
}

#[test]
fn headers_become_variables_of_servers_that_are_not_shared() {
    let given = child(&["serve", "--header-env", "X-Github-Token=GITHUB_TOKEN", "--", "x"]).caller_env;
    let given: Vec<_> = given.iter().map(|(header, name)| (header.to_string(), name)).collect();
    assert_eq!(given, [("x-github-token".to_string(), "GITHUB_TOKEN")]);
    for other in [&["--shared"][..], &["--pooled"], &["--stateless"], &["--warm", "1"]] {
        let text = refusal(&[&["serve", "--header-env", "X-A=A"], other, &["--", "x"]].concat());
        assert!(text.contains(other[0]) && text.contains("leave one out"), "{text}");
    }
    for wrong in ["hunter2", "X-A=LD_PRELOAD", "Authorization=A", "X A=A", "X-A=hunter 2", "X-A="] {
        let text = refusal(&["serve", "--header-env", wrong, "--", "x"]);
        assert!(text.starts_with("--header-env") && !text.contains("hunter"), "{text}");
    }
    let text = refusal(&["serve", "--env", "A=hunter2", "--header-env", "X-A=A", "--", "x"]);
    assert!(text.contains("both --env") && !text.contains("hunter"), "{text}");
}

#[test]
fn claims_become_variables_where_there_are_tokens_with_claims() {
    let serve = ["serve", "--oauth-issuer", "https://login.example"];
    let with = |flags: &[&'static str]| [&serve[..], flags, &["--", "x"]].concat();
    let given = child(&with(&["--claim-env", "sub=A", "--claim-env", "https://h/?a=b=B", "--header-env", "sub=C"]));
    let given: Vec<_> =
        given.caller_env.iter().map(|(source, name)| (source.key(), source.to_string(), name)).collect();
    let claim = |source: &str, name| ("claim_env", source.to_string(), name);
    assert_eq!(given, [("header_env", "sub".into(), "C"), claim("sub", "A"), claim("https://h/?a=b", "B")]);
    for other in [&["--shared"][..], &["--pooled"], &["--stateless"], &["--warm", "1"]] {
        let text = refusal(&with(&[&["--claim-env", "sub=A"], other].concat()));
        assert!(text.starts_with("--claim-env") && text.contains(other[0]), "{text}");
    }
    for wrong in ["hunter2", "sub=LD_PRELOAD", "=A", "sub=hunter 2", "sub="] {
        let text = refusal(&with(&["--claim-env", wrong]));
        assert!(text.starts_with("--claim-env") && !text.contains("hunter"), "{text}");
    }
    let text = refusal(&with(&["--claim-env", "sub=A", "--header-env", "X-A=A"]));
    assert!(text.contains("A is named twice"), "{text}");
    let text = refusal(&with(&["--env", "A=hunter2", "--claim-env", "sub=A"]));
    assert!(text.contains("and --claim-env") && !text.contains("hunter"), "{text}");
    let text = refusal(&["serve", "--claim-env", "sub=A", "--", "x"]);
    assert!(text.contains("add --oauth-issuer"), "{text}");
}
