//! Which era a server is asked in: the one that the user named, the client's own first, and the other one once. A verdict
//! holds for those who come next, until it proves wrong.

use std::path::Path;

use mcp_bridge::demo::Eras;
use serde_json::json;

use super::{
    knocking, modern,
    place::{Door, Offer, Place},
};
use crate::support::{
    actor::Actor,
    client::{Client, Kind},
    program::{BINARY, Bridge},
    remote::Remote,
    script::initialize_result,
    user::{Era, LEGACY, User},
};

#[tokio::test]
async fn a_server_that_is_said_to_be_legacy_is_never_asked_to_discover() {
    let (mut actor, bridge) = Actor::bridged(&["serve", "--server-era", "legacy"]).await;
    let mut user = modern(&bridge);
    let id = user.send("server/discover", json!({})).await;
    let mut run = actor.next().await;
    run.shake_hands().await;
    let found = user.client.answer(&id).await;
    assert_eq!(found.json["result"]["supportedVersions"], json!(["2026-07-28"]));
    // Not even where it refuses.
    let mut client = knocking(&bridge).await;
    let mut second = actor.next().await;
    let asked = second.expect("initialize").await;
    second.fail(&asked, -32022, "only 2026-07-28 here").await;
    assert_eq!(client.answer("0").await.error(), (-32022, "only 2026-07-28 here"));
    drop((user, client));
    second.ended().await;
    assert!(actor.is_idle());
    drop(run);
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_that_is_said_to_be_modern_is_never_sent_initialize() {
    let (mut actor, bridge) = Actor::bridged(&["serve", "--server-era", "modern"]).await;
    let mut user = modern(&bridge);
    let id = user.send("tools/list", json!({})).await;
    let mut run = actor.next().await;
    let call = run.expect("tools/list").await;
    run.answer(&call, json!({"resultType": "complete", "tools": []})).await;
    assert_eq!(user.client.answer(&id).await.json["result"]["tools"], json!([]));
    let mut client = knocking(&bridge).await;
    let mut second = actor.next().await;
    let asked = second.expect("server/discover").await;
    second.fail(&asked, -32601, "no such method").await;
    let text = "the server does not know server/discover, so it does not speak 2026-07-28; leave --server-era at auto, \
                or set it to legacy";
    assert_eq!(client.answer("0").await.error(), (-32603, text));
    drop((user, client));
    second.ended().await;
    assert!(actor.is_idle());
    drop(run);
    bridge.stop().await;
}

#[tokio::test]
async fn a_legacy_server_is_asked_to_discover_once() {
    let (mut actor, bridge) = Actor::bridged(&["serve"]).await;
    let mut runs = Vec::new();
    for (at, capabilities) in [json!({}), json!({"sampling": {}}), json!({"roots": {}})].into_iter().enumerate() {
        let mut user = modern(&bridge);
        user.capabilities = capabilities;
        let id = user.send("server/discover", json!({})).await;
        if at == 0 {
            let mut probe = actor.next().await;
            let asked = probe.expect("server/discover").await;
            probe.fail(&asked, -32601, "no such method").await;
            probe.ended().await;
        }
        let mut run = actor.next().await;
        run.shake_hands().await;
        user.client.answer(&id).await;
        runs.push(run);
    }
    // Nor is it for a session, and its refusal is that of one client.
    let mut client = knocking(&bridge).await;
    let mut run = actor.next().await;
    let asked = run.expect("initialize").await;
    run.answer(&asked, initialize_result(LEGACY)).await;
    client.answer("0").await;
    let mut refused = knocking(&bridge).await;
    let mut last = actor.next().await;
    let asked = last.expect("initialize").await;
    last.fail(&asked, -32000, "not you").await;
    assert_eq!(refused.answer("0").await.error(), (-32000, "not you"));
    drop((client, refused));
    last.ended().await;
    assert!(actor.is_idle());
    drop((runs, run));
    bridge.stop().await;
}

#[tokio::test]
async fn a_modern_server_is_sent_initialize_once() {
    let (mut actor, bridge) = Actor::bridged(&["serve"]).await;
    let mut runs = Vec::new();
    for at in 0..3 {
        let mut client = knocking(&bridge).await;
        let mut run = actor.next().await;
        if at == 0 {
            let asked = run.expect("initialize").await;
            run.fail(&asked, -32022, "only 2026-07-28 here").await;
            run = actor.next().await;
        }
        run.discovered().await; // Whether it is still so, and what it offers.
        assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], LEGACY);
        runs.push((client, run));
    }
    let mut user = modern(&bridge);
    let id = user.send("tools/list", json!({})).await;
    let mut run = actor.next().await;
    run.discovered().await;
    let call = run.expect("tools/list").await;
    run.answer(&call, json!({"resultType": "complete", "tools": []})).await;
    user.client.answer(&id).await;
    assert!(actor.is_idle());
    drop((runs, user, run));
    bridge.stop().await;
}

/// It reads on, and says nothing to what it does not know. The first answer decides, and nothing else does.
#[tokio::test]
async fn a_server_that_is_silent_at_discover_is_asked_for_a_handshake_on_a_second_process() {
    let (mut actor, bridge) = Actor::bridged(&["serve"]).await;
    let mut user = modern(&bridge);
    let id = user.send("tools/call", json!({"name": "x"})).await;
    let mut silent = actor.next().await;
    silent.expect("server/discover").await;
    let mut second = actor.next().await;
    bridge.program.stderr.has("--server-era legacy").await;
    let asked = second.expect("initialize").await;
    second.answer(&asked, initialize_result(LEGACY)).await;
    silent.ended().await;
    second.ended().await;
    let mut run = actor.next().await;
    run.shake_hands().await;
    let call = run.call().await;
    run.answer(&call, json!({"content": []})).await;
    assert_eq!(user.client.answer(&id).await.json["result"]["resultType"], "complete");
    // The verdict holds: a client that is to have a process of its own gets it at once.
    let mut other = modern(&bridge);
    other.capabilities = json!({"roots": {}});
    let id = other.send("server/discover", json!({})).await;
    let mut last = actor.next().await;
    last.shake_hands().await;
    other.client.answer(&id).await;
    drop((user, other, run, last));
    bridge.stop().await;
}

/// As one does that is fetched before it starts.
#[tokio::test]
async fn a_slow_server_is_not_judged_by_its_silence() {
    let (mut actor, bridge) = Actor::bridged(&["serve"]).await;
    let mut user = modern(&bridge);
    let id = user.send("tools/list", json!({})).await;
    let mut slow = actor.next().await;
    let asked = slow.expect("server/discover").await;
    let mut second = actor.next().await;
    second.expect("initialize").await;
    let found = json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}});
    slow.answer(&asked, found).await;
    second.ended().await;
    let call = slow.expect("tools/list").await;
    slow.answer(&call, json!({"resultType": "complete", "tools": []})).await;
    assert_eq!(user.client.answer(&id).await.json["result"]["tools"], json!([]));
    assert!(actor.is_idle());
    drop((user, slow));
    bridge.stop().await;
}

#[tokio::test]
async fn a_server_that_is_silent_at_initialize_is_asked_to_discover_on_a_second_process() {
    for modern_only in [true, false] {
        let (mut actor, bridge) = Actor::bridged(&["serve"]).await;
        let mut client = knocking(&bridge).await;
        let mut first = actor.next().await;
        let asked = first.expect("initialize").await;
        let mut second = actor.next().await;
        bridge.program.stderr.has("--server-era modern").await;
        if modern_only {
            second.discovered().await;
            first.ended().await;
            assert_eq!(client.answer("0").await.json["result"]["serverInfo"]["name"], "unnamed server");
            // The verdict holds for the next session.
            let mut next = knocking(&bridge).await;
            let mut run = actor.next().await;
            run.discovered().await;
            next.answer("0").await;
            drop((next, run, second));
        } else {
            second.expect("server/discover").await;
            first.answer(&asked, initialize_result(LEGACY)).await;
            assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], LEGACY);
            second.ended().await;
            drop(first);
        }
        assert!(actor.is_idle());
        drop(client);
        bridge.stop().await;
    }
}

/// A command whose server is of the era that the test wants, from its next start on.
fn command(dir: &Path) -> String {
    let flag = dir.join("modern");
    format!(
        "if [ -e '{}' ]; then exec '{BINARY}' demo-server --era modern; else exec '{BINARY}' demo-server --era legacy; fi",
        flag.display()
    )
}

fn become_era(dir: &Path, era: Era) {
    match era {
        Era::Modern => std::fs::write(dir.join("modern"), "").unwrap(),
        Era::Legacy => std::fs::remove_file(dir.join("modern")).unwrap(),
    }
}

/// Calls until one succeeds; gives how many failed.
async fn failures(user: &mut User) -> usize {
    for failed in 0..5 {
        let answer = user.call("echo", json!({"message": "back"})).await;
        if answer.json.get("result").is_some() {
            assert_eq!(answer.tool_text(), "back");
            return failed;
        }
        eprintln!("{}", answer.text);
    }
    panic!("it never works again");
}

/// Another program behind the same command. One modern client goes through both changes, on one bridge.
#[tokio::test]
async fn a_command_whose_server_changes_its_era_is_asked_anew_for_modern_clients() {
    let dir = tempfile::tempdir().unwrap();
    let line = command(dir.path());
    let bridge = Bridge::start(&["serve", "--env", "MCP_BRIDGE_DEMO_TEST=1", "--shell", &line]).await;
    let mut user = modern(&bridge);
    user.capabilities = json!({});
    assert_eq!(failures(&mut user).await, 0);
    become_era(dir.path(), Era::Modern);
    assert_eq!(user.call("crash", json!({"code": 3})).await.error().0, -32603);
    assert!(failures(&mut user).await <= 1, "the call that finds out fails at most");
    become_era(dir.path(), Era::Legacy);
    assert_eq!(user.call("crash", json!({"code": 3})).await.error().0, -32603);
    assert!(failures(&mut user).await <= 1);
    drop(user);
    bridge.stop().await;
}

/// The same for sessions: each has a server of its own, so the change comes with the next session.
#[tokio::test]
async fn a_command_whose_server_changes_its_era_is_asked_anew_for_legacy_clients() {
    let dir = tempfile::tempdir().unwrap();
    let line = command(dir.path());
    let bridge = Bridge::start(&["serve", "--shell", &line]).await;
    // Both verdicts are in: legacy, and not modern.
    let mut user = modern(&bridge);
    assert_eq!(failures(&mut user).await, 0);
    bridge.http().await.check("before").await;
    become_era(dir.path(), Era::Modern);
    bridge.http().await.check("modern now").await;
    become_era(dir.path(), Era::Legacy);
    bridge.http().await.check("legacy again").await;
    drop(user);
    bridge.stop().await;
}

/// One URL, one `connect`, and a server there that changes its era under a client of each.
#[tokio::test]
async fn a_url_whose_server_changes_its_era_is_asked_anew() {
    for era in [Era::Legacy, Era::Modern] {
        for (before, after) in [(Eras::Legacy, Eras::Modern), (Eras::Modern, Eras::Legacy)] {
            eprintln!("{era:?} client, {before:?} then {after:?}");
            let remote = Remote::of(Kind::Http, before).await;
            let client = Client::stdio(&["connect", "--retry-delay", "10ms", &remote.url("/mcp")]);
            let mut user = match era {
                Era::Legacy => User::legacy(client).await,
                Era::Modern => User::modern(client),
            };
            user.capabilities = json!({});
            assert_eq!(failures(&mut user).await, 0);
            remote.become_of(after);
            if era == Era::Modern {
                assert!(failures(&mut user).await <= 2);
                user.client.finish().await;
                continue;
            }
            // A session cannot change its era; the next `connect` finds out.
            user.call("echo", json!({"message": "x"})).await.error();
            drop(user);
            let client = Client::stdio(&["connect", &remote.url("/mcp")]);
            User::legacy(client).await.client.finish().await;
        }
    }
}

/// The word of the user holds over the wire to a URL, too.
#[tokio::test]
async fn a_url_that_is_said_to_be_of_an_era_is_not_asked_in_the_other() {
    for (offer, word, other) in [(Offer::Legacy, "legacy", "server/discover"), (Offer::Modern, "modern", "initialize")]
    {
        let place = Place::remote(Kind::Http, offer).await;
        for era in [Era::Legacy, Era::Modern] {
            let mut user = place.user_with(Door::Connect, era, &["--server-era", word]).await;
            assert_eq!(user.call("echo", json!({"message": "x"})).await.tool_text(), "x");
            user.client.finish().await;
        }
        assert_eq!(place.count(other), 0, "{other} at a server that is said to be {word}");
        place.stop().await;
    }
}
