//! `login`, `logout` and `auth status`, as people type them.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{V, connect, done, program};
use crate::support::{
    authority::{Authority, Desktop, MARK, Oddities},
    program::{Bridge, Program},
};

/// Logs in by command.
async fn log_in(desktop: &Desktop, authority: &Authority) -> i32 {
    let mut program: Program = program(desktop, &["login", &authority.url()]);
    desktop.log_in(desktop.opened().len()).await;
    program.code().await
}

#[tokio::test]
async fn login_status_and_logout_follow_each_other() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    assert_eq!(done(&desktop, &["auth", "status"]).await, (0, "no login is kept\n".into(), String::new()));
    assert_eq!(log_in(&desktop, &authority).await, 0);
    let (code, out, _) = done(&desktop, &["auth", "status"]).await;
    assert_eq!(code, 0);
    for word in [authority.url().as_str(), "/as", "registered by itself", "read list", "is renewed by itself"] {
        assert!(out.contains(word), "{word}: {out}");
    }
    assert!(!out.contains(MARK), "{out}");
    // How long the token lasts is another minute by now, perhaps.
    let (_, alone, _) = done(&desktop, &["auth", "status", &authority.url()]).await;
    assert!(alone.lines().take(4).eq(out.lines().take(4)), "{alone}");

    let mut client = connect(&desktop, &authority, &[]);
    client.initialize(V).await;
    client.finish().await;

    let (code, out, _) = done(&desktop, &["logout", &authority.url()]).await;
    assert_eq!((code, out.starts_with("forgot"), out.lines().count()), (0, true, 1), "{out}");
    assert!(out.contains("has revoked the tokens") && !out.contains(MARK), "{out}");
    assert!(desktop.kept().is_empty());
    authority.notes(|notes| {
        let hints: Vec<_> = notes.revoked.iter().map(|form| form["token_type_hint"].as_str()).collect();
        assert_eq!(hints, ["refresh_token", "access_token"]);
        assert!(notes.revoked.iter().all(|form| form["client_id"] == "registered-by-itself"));
        assert!(notes.good.is_empty(), "the token is worth nothing any more");
    });
    assert!(done(&desktop, &["logout", &authority.url()]).await.1.starts_with("nothing was kept"));
}

#[tokio::test]
async fn a_login_where_nobody_asks_for_one_says_what_is_there() {
    let (bridge, desktop) = (Bridge::demo(&["serve"]).await, Desktop::new());
    for path in ["/mcp", "/sse"] {
        let (code, out, _) = done(&desktop, &["login", &bridge.url(path)]).await;
        assert!(code == 0 && out.ends_with(" asks for no login\n"), "{path}: {code} {out}");
    }
    for (path, next) in [("/nowhere", "check the path of the URL"), ("", "MCP servers are mostly at /mcp or /sse")] {
        let (code, _, err) = done(&desktop, &["login", &bridge.url(path)]).await;
        assert!(code == 69 && err.contains(" answers HTTP 404 Not Found and asks for no login; "), "{code} {err}");
        assert!(err.contains(next), "{err}");
    }
    bridge.stop().await;
}

/// Whatever the authorization server says, nothing is left on this machine, and the user knows what is left elsewhere.
#[tokio::test]
async fn a_logout_forgets_also_where_nothing_is_revoked_and_says_so() {
    let endpoint = |url: &str| Oddities { metadata: json!({"revocation_endpoint": url}), ..Oddities::default() };
    for (odd, told) in [
        (Oddities { revokes: false, ..Oddities::default() }, "revokes no tokens"),
        (endpoint("BASE/as/nowhere"), "could not be revoked (HTTP 404"),
        (endpoint("http://evil.example/revoke"), "nothing was sent there"),
        (endpoint("https://169.254.169.254/revoke"), "nothing was sent there"),
    ] {
        let (authority, desktop) = (Authority::odd(odd).await, Desktop::new());
        assert_eq!(log_in(&desktop, &authority).await, 0);
        let (code, out, _) = done(&desktop, &["logout", &authority.url()]).await;
        assert_eq!((code, out.lines().count()), (0, 1), "{out}");
        assert!(out.starts_with("forgot") && out.contains(told) && !out.contains(MARK), "{out}");
        assert!(desktop.kept().is_empty());
        assert!(authority.notes(|notes| notes.revoked.is_empty()));
    }
}

#[tokio::test]
async fn a_logout_of_what_cannot_be_read_says_that_its_tokens_stay_good() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    assert_eq!(log_in(&desktop, &authority).await, 0);
    std::fs::write(&desktop.kept()[0], "{").unwrap();
    let (code, out, _) = done(&desktop, &["logout", &authority.url()]).await;
    assert!(code == 0 && out.contains("could not be revoked (what was kept could not be read)"), "{out}");
    assert!(desktop.kept().is_empty());
}

#[tokio::test]
async fn a_client_that_was_registered_by_hand_proves_itself_at_the_logout() {
    let metadata = json!({"revocation_endpoint": "BASE/as/revoke-by-proof"});
    let (authority, desktop) = (Authority::odd(Oddities { metadata, ..Oddities::default() }).await, Desktop::new());
    let file = desktop.path("secret");
    std::fs::write(&file, format!("{MARK}-of-mine\n")).unwrap();
    let (url, proof) = (authority.url(), ["--client-secret-file", file.to_str().unwrap()]);
    let login = [&["login", &url, "--client-credentials", "--client-id", "me"], &proof[..]].concat();
    for (proof, told) in [(&[][..], "could not be revoked (HTTP 401, invalid_client)"), (&proof, "has revoked")] {
        assert_eq!(done(&desktop, &login).await.0, 0);
        let (code, out, _) = done(&desktop, &[&["logout", &url], proof].concat()).await;
        assert!(code == 0 && out.contains(told) && !out.contains(MARK), "{out}");
        assert!(desktop.kept().is_empty());
    }
    assert_eq!(authority.notes(|notes| notes.revoked.len()), 1);
}

#[tokio::test]
async fn a_pasted_address_ends_a_login_whose_browser_is_elsewhere() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut program = program(&desktop, &["login", &authority.url(), "--no-browser"]);
    program.stderr.has("/as/authorize?").await;
    program.stderr.has("in a browser on this machine\n").await;
    let log = program.stderr.text();
    let page = log.split_whitespace().find(|word| word.contains("/as/authorize?")).unwrap();
    let allowed = crate::support::authority::get(&url::Url::parse(page).unwrap(), &[]).await;
    let back = allowed.header("location").unwrap().to_owned();
    let mut stdin = program.stdin.take().unwrap();
    stdin.write_all(format!("http://127.0.0.1/callback?code=x&state=forged\n{back}\n").as_bytes()).await.unwrap();
    assert_eq!(program.code().await, 0);
    assert!(program.stderr.text().contains("not the URL of this login's last page"));
    assert!(desktop.opened().is_empty());
    assert_eq!(desktop.kept().len(), 1);
}

#[tokio::test]
async fn a_login_that_cannot_be_is_told_with_its_exit_code() {
    let desktop = Desktop::new();
    let odd = Oddities { pointer: false, publishes: false, ..Oddities::default() };
    let authority = Authority::odd(odd).await;
    let (code, _, err) = done(&desktop, &["login", &authority.url()]).await;
    assert_eq!(code, 77);
    assert!(err.contains("publishes nothing about a login"), "{err}");
    let (code, _, err) = done(&desktop, &["login", "not-a-url"]).await;
    assert_eq!(code, 64, "{err}");
    let (code, _, err) = done(&desktop, &["login", "https://h/mcp", "--client-credentials"]).await;
    assert!(code == 64 && err.contains("--client-id"), "{err}");
}
