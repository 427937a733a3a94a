//! Attacks T24 and T25, and statement 25: what of a login can be seen, by whom, and what five instances do at once.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use serde_json::json;

use super::{V, connect, done};
use crate::support::{
    authority::{Authority, Desktop, MARK, Oddities},
    client::{initialize, tool},
};

#[tokio::test]
async fn field_25_five_instances_open_one_page_and_renew_once() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut clients: Vec<_> = (0..5).map(|_| connect(&desktop, &authority, &[])).collect();
    for client in &mut clients {
        client.send(&initialize("0", V)).await;
    }
    // All of them have met the refusal before the user is done.
    crate::support::eventually("five refusals", || {
        (authority.notes(|notes| notes.count("POST /mcp")) >= 5).then_some(())
    })
    .await;
    desktop.log_in(0).await;
    for client in &mut clients {
        assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], V);
    }
    assert_eq!(desktop.opened().len(), 1);
    authority.notes(|notes| assert_eq!((notes.registered.len(), notes.redeemed.len()), (1, 1)));

    authority.expire();
    for client in &mut clients {
        client.send(&tool("1", "echo", json!({}))).await;
    }
    for client in &mut clients {
        assert_eq!(client.answer("1").await.tool_text(), "echo");
    }
    assert_eq!(authority.notes(|notes| notes.grants("refresh_token")), 1);
    assert_eq!(desktop.opened().len(), 1);
}

#[tokio::test]
async fn field_25_when_the_one_at_the_login_dies_the_next_goes_on() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut first = connect(&desktop, &authority, &[]);
    first.send(&initialize("0", V)).await;
    desktop.page(0).await;
    let mut second = connect(&desktop, &authority, &[]);
    second.send(&initialize("0", V)).await;
    first.program().signal(rustix::process::Signal::KILL);
    desktop.log_in(1).await;
    assert_eq!(second.answer("0").await.json["result"]["protocolVersion"], V);
}

#[tokio::test]
async fn t24_no_log_and_no_answer_holds_a_secret() {
    let odd = Oddities { write_scope: Some("write"), ..Oddities::default() };
    let (authority, desktop) = (Authority::odd(odd).await, Desktop::new());
    let url = format!("{}?token={MARK}-query", authority.url());
    let mut client = super::run(&desktop, &["connect", &url, "--log-level", "trace"]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    authority.expire();
    client.send(&tool("1", "echo", json!({}))).await;
    client.answer("1").await;
    client.send(&tool("2", "write", json!({}))).await;
    desktop.log_in(1).await;
    client.answer("2").await;
    authority.notes(|notes| {
        let all = format!("{:?}{:?}", notes.authorized, notes.registered);
        assert!(!all.contains("-query"), "the authorization server saw the query: {all}");
    });
    let log = client.program().stderr.clone();
    let said = format!("{:?}", client.finish().await);
    let (_, status, errors) = done(&desktop, &["auth", "status"]).await;
    for (what, text) in [("stdout", said), ("stderr", log.whole().await), ("status", status), ("errors", errors)] {
        assert!(!text.contains(MARK), "{what}: {text}");
    }
    assert!(desktop.opened().iter().all(|page| !page.contains(MARK)));
}

#[tokio::test]
async fn t25_tokens_are_for_the_user_alone_and_in_no_command_line() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let secret = desktop.path("client-secret");
    fs::write(&secret, format!("{MARK}-client\n")).unwrap();
    // A umask that takes nothing away.
    let env = desktop.env();
    let url = authority.url();
    let line = format!(
        "umask 000; exec '{}' connect '{url}' --client-id me --client-secret-file '{}'",
        crate::support::program::BINARY,
        secret.display()
    );
    let mut command = tokio::process::Command::new("sh");
    command.arg("-c").arg(line).envs(env).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, format!("{}\n", initialize("0", V)).as_bytes()).await.unwrap();
    desktop.log_in(0).await;
    crate::support::eventually("the token", || (!desktop.kept().is_empty()).then_some(())).await;
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", child.id().unwrap())).unwrap();
    let environment = fs::read_to_string(format!("/proc/{}/environ", child.id().unwrap())).unwrap();
    assert!(!arguments.contains(MARK) && !environment.contains(MARK));
    let mode = |path: &std::path::Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = desktop.path("state/mcp-bridge/auth");
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    let kept = fs::read_to_string(&desktop.kept()[0]).unwrap();
    assert!(!kept.contains(&format!("{MARK}-client")), "the user's own file has it");
}

#[tokio::test]
async fn t25_a_link_in_the_place_of_the_file_is_refused() {
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    desktop.log_in(0).await;
    client.answer("0").await;
    client.finish().await;
    let file = desktop.kept().remove(0);
    let target = desktop.path("target");
    fs::rename(&file, &target).unwrap();
    let before = fs::read(&target).unwrap();
    symlink(&target, &file).unwrap();
    let mut client = connect(&desktop, &authority, &[]);
    client.send(&initialize("0", V)).await;
    let answer = client.answer("0").await;
    assert!(answer.error().1.contains("symbolic link"), "{}", answer.text);
    assert_eq!(fs::read(&target).unwrap(), before);
    assert_eq!(desktop.opened().len(), 1);
}
