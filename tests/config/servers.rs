//! Several servers: which can be had, what is said of the others, and what `status` makes of it.

use serde_json::json;

use super::{Place, client, demo, mcp_servers, refused, states};
use crate::support::{client::Kind, program::Bridge, program::Program, soon};

/// One of every way to be wrong, among two that are good.
fn mixed() -> String {
    mcp_servers(json!({
        "default": demo(),
        "good": demo(),
        "off": {"command": "x", "disabled": true},
        "../up": demo(),
        "no/slash": demo(),
        "%2e%2e": demo(),
        "scheme": {"url": "gopher://host/"},
        "unset": {"command": "x", "args": ["${UNSET}"]},
        "nowhere": {"command": "x", "cwd": "/no/such/dir"},
        "no-env": {"command": "x", "envFile": "/no/such/file"},
        "absent": {"command": "/no/such/program"},
        "tools": {"command": "x", "tools": {"allow": ["read_*"]}},
        "headers": {"command": "x", "header_env": {"X-Token": "PATH"}},
        "warm": {"command": "x", "warm": 2, "header_env": {"X-Token": "TOKEN"}},
        "twice": {"command": "x", "env": {"TOKEN": "x"}, "header_env": {"X-Token": "TOKEN"}},
        "pooled": {"command": "x", "sharing": "pooled", "header_env": {"X-Token": "TOKEN"}},
        "claims": {"command": "x", "claim_env": {"sub": "WHO"}},
    }))
}

#[tokio::test]
async fn bad_servers_leave_the_good_ones_and_are_named() {
    let place = Place::new("mcp.json", &mixed());
    let bridge = place.serve().await;
    for path in ["/mcp", "/servers/default/mcp", "/servers/good/mcp"] {
        client(&bridge, path).await;
    }
    for path in
        ["/servers/../up/mcp", "/servers/%2e%2e/mcp", "/servers/..%2fup/mcp", "/servers/off/mcp", "/servers/warm/mcp"]
    {
        assert_eq!(bridge.get(path).await.status(), 404, "{path}");
    }
    let states = states(&bridge).await;
    assert_eq!(states["ready"], true);
    let said: Vec<_> = states["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let why = one["why"].as_str().unwrap_or("ok");
            assert_eq!(one["ready"], why == "ok");
            (one["name"].as_str().unwrap().to_owned(), why.to_owned())
        })
        .collect();
    for (name, part) in [
        ("default", "ok"),
        ("good", "ok"),
        ("absent", "cannot start \"program\""),
        ("\"../up\"", "cannot be a server's name"),
        ("\"no/slash\"", "cannot be a server's name"),
        ("\"%2e%2e\"", "cannot be a server's name"),
        ("scheme", "unknown scheme \"gopher\"; write http://"),
        ("unset", "${UNSET} is not set"),
        ("nowhere", "\"cwd\" dir: No such file"),
        ("no-env", "\"envFile\" file: No such file"),
        ("tools", "cannot start"),
        ("headers", "\"header_env\": PATH is not for callers to set"),
        ("warm", "\"header_env\" cannot be with spares"),
        ("twice", "\"header_env\": TOKEN is set by \"env\", too"),
        ("pooled", "\"header_env\" gives each caller's server its own variables, so callers cannot share one"),
        ("claims", "\"claim_env\" takes claims of tokens that an authorization server issued"),
    ] {
        let found = said.iter().find(|(found, _)| found == name);
        assert!(found.is_some_and(|(_, why)| why.contains(part)), "{name}: {found:?}");
    }
    assert_eq!(said.len(), 16, "{said:?}");
    let text = bridge.get("/readyz").await;
    assert!(
        text.status() == 200 && text.body.contains("good: ok\n") && text.body.contains("warm: line "),
        "{}",
        text.body
    );
    let log = bridge.stop().await;
    assert!(log.contains(&format!("{}:1:", place.path())) && log.contains("/no/such/dir"), "{log}");
    assert_eq!(log.matches("this server is not offered").count(), 12, "{log}");
}

#[tokio::test]
async fn a_file_without_a_usable_server_is_refused_with_the_first_reason() {
    for (name, text, want) in [
        ("mcp.json", r#"{"mcpServers": {"a": {"comand": "x"}}}"#, "did you mean \"command\"?"),
        ("mcp.json", "{\"mcpServers\": {\n  \"a\": {\"command\": \"x\"\n}", ":1:16: this { has no }"),
        ("mcp.json", r#"{"mcpServers": {"a": {"command": "x", "disabled": true}}}"#, "all 1 servers are disabled"),
        (
            "mcp.json",
            r#"{"mcpServers": {"a": {"command": "x", "warm": 1, "header_env": {"X-Token": "TOKEN"}}}}"#,
            "\"header_env\" cannot be with spares",
        ),
        ("mcp.json", r#"{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}"#, "2 servers are named \"a\""),
        ("mcp.toml", "[servers.a]\ncommand = 7\n", "2 | command = ***\n  |           ^"),
    ] {
        let place = Place::new(name, text);
        let (code, said) = refused(&["serve", "--config", place.path()]).await;
        assert!(code == 64 && said.contains(want), "{text}: {code} {said}");
        assert!(said.starts_with("mcp-bridge: ") && said.contains(place.path()), "{said}");
    }
    let (code, said) = refused(&["serve", "--config", "/no/such/file"]).await;
    assert!(code == 64 && said.contains("cannot read /no/such/file: No such file"), "{said}");
}

#[tokio::test]
async fn two_servers_of_one_name_are_both_left_out() {
    let text = r#"{"mcpServers": {"a": {"command": "x"}, "b": BIN, "a": {"command": "y"}}}"#;
    let place = Place::new("mcp.json", &text.replace("BIN", &demo().to_string()));
    let bridge = place.serve().await;
    client(&bridge, "/servers/b/mcp").await;
    assert_eq!(bridge.get("/servers/a/mcp").await.status(), 404);
    let log = bridge.stop().await;
    assert!(log.contains("2 servers are named \"a\""), "{log}");
}

#[tokio::test]
async fn a_file_that_everyone_can_write_is_warned_of() {
    let place = Place::new("mcp.json", &mcp_servers(json!({"a": demo()})));
    std::fs::set_permissions(&place.file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let log = place.serve().await.stop().await;
    assert!(log.contains("can be written by every user"), "{log}");
}

#[tokio::test]
async fn every_wire_is_at_every_server() {
    let place = Place::new("mcp.json", &mcp_servers(json!({"default": demo(), "a": demo()})));
    let bridge = place.serve().await;
    bridge.client(Kind::Sse).await.check("root").await;
    let mut client = crate::support::client::Client::sse(bridge.addr, "/servers/a/sse").await;
    client.initialize("2025-06-18").await;
    client.check("a").await;
    drop(client);
    bridge.stop().await;
}

/// The exit code and stdout of `status`.
async fn status(words: &[&str]) -> (i32, String) {
    let mut program = Program::start(&[&["status"], words].concat());
    let mut out = program.stdout.take().unwrap();
    let mut text = String::new();
    soon("the table", tokio::io::AsyncReadExt::read_to_string(&mut out, &mut text)).await.unwrap();
    let code = program.code().await;
    (code, text + &program.stderr.whole().await)
}

#[tokio::test]
async fn status_tells_all_fine_from_some_bad_and_from_nobody_there() {
    let place = Place::new("mcp.json", &mcp_servers(json!({"a": demo(), "long-name": demo()})));
    let bridge = place.serve().await;
    let url = bridge.url("");
    assert_eq!(status(&[&url]).await, (0, "SERVER     STATE\na          ok\nlong-name  ok\n".into()));
    for path in ["/mcp", "/sse", "/ws/", "/readyz", "/servers/a/mcp"] {
        assert_eq!(status(&[&bridge.url(path)]).await.0, 0, "{path}");
    }
    let (code, said) = status(&[&bridge.url("/elsewhere")]).await;
    assert!(code == 69 && said.contains("HTTP 404 Not Found: no bridge says anything of its servers there"), "{said}");
    let (code, said) = status(&[&url.replace("127.0.0.1", "0.0.0.0")]).await;
    assert!(code == 69 && said.contains("is not served here; allow it with --allow-host\n"), "{said}");
    let (code, said) = status(&[&url.replace("http:", "https:")]).await;
    let plain = "it does not speak TLS on that port; try http:// instead of https://, or another port\n";
    assert!(code == 69 && said.ends_with(plain), "{said}");
    bridge.stop().await;
    let (code, said) = status(&[&url]).await;
    assert!(code == 69 && said.starts_with("mcp-bridge: cannot ask http://127.0.0.1:"), "{code} {said}");
    let gone = "nobody answers at that address; check that the bridge runs, and the host and port of its URL\n";
    assert!(said.ends_with(gone), "{said}");
    let (code, said) = status(&["unix:/no/such.sock"]).await;
    assert!(
        code == 69 && said.ends_with("there is no such socket; check its path, and that the server runs\n"),
        "{said}"
    );

    let place =
        Place::new("mcp.json", &mcp_servers(json!({"a": demo(), "b": {"command": "x", "cwd": "/no/such/dir"}})));
    let bridge = place.serve().await;
    let (code, said) = status(&[&bridge.url("")]).await;
    assert!(code == 1 && said.contains("a       ok\nb       line 1: \"cwd\" dir: No such file"), "{code} {said}");
    let (code, said) = status(&[&bridge.url(""), "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(code == 1 && json["servers"][1]["name"] == "b" && json["servers"][1]["ready"] == false, "{said}");
    bridge.stop().await;
}

#[tokio::test]
async fn behind_a_door_status_takes_the_token_to_name_servers() {
    let tokens = Place::new("tokens", "s3cret\n");
    let place = Place::new("mcp.json", &mcp_servers(json!({"a": demo()})));
    let bridge = Bridge::start(&["serve", "--config", place.path(), "--bearer-token-file", tokens.path()]).await;
    let url = bridge.url("");
    assert_eq!(status(&[&url]).await, (0, "ok (add --bearer to see each server)\n".into()));
    assert_eq!(status(&[&url, "--bearer", "wrong"]).await, (0, "ok (add --bearer to see each server)\n".into()));
    assert_eq!(status(&[&url, "--bearer", "s3cret"]).await, (0, "SERVER  STATE\na       ok\n".into()));
    bridge.stop().await;
}
