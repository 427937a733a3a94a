//! A login that comes to be needed while the bridge is in use: over every front, every transport towards the server, and in
//! both eras. Nobody's call is lost, and nobody is sent through a browser twice.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{V, run};
use crate::support::{
    authority::{Authority, Desktop, MARK, Oddities, get},
    client::{Client, Message, initialize, notification, tool},
    eventually,
    program::Bridge,
    soon,
    user::{Era, User},
};

/// A demo server of every transport and era behind an authorization server.
async fn protected() -> (Bridge, Authority) {
    let server = Bridge::demo(&["serve"]).await;
    let authority = Authority::odd(Oddities { behind: Some(server.addr), ..Oddities::default() }).await;
    (server, authority)
}

/// The page that a caller is told to open.
fn page(answer: &Message) -> String {
    let url = answer.json["error"]["data"]["url"].as_str().unwrap_or_else(|| panic!("no page: {}", answer.text));
    assert!(answer.error().1.contains(url) && url.contains("/as/authorize?"), "{}", answer.text);
    url.to_owned()
}

/// Opens the page and follows to where it leads.
async fn log_in(page: &str) {
    let allowed = get(&page.parse().unwrap(), &[]).await;
    let last = get(&allowed.header("location").unwrap().parse().unwrap(), &[]).await;
    assert_eq!(last.status(), 200);
}

/// A caller on each front of a bridge, which has not said anything.
async fn callers(bridge: &Bridge) -> Vec<User> {
    vec![
        User::in_session(Client::http(bridge.addr, "/mcp")),
        User::in_session(Client::sse(bridge.addr, "/sse").await),
        User::in_session(Client::ws(bridge.addr, "/ws").await),
        User::modern(Client::modern(bridge.addr, "/mcp")),
        User::modern(Client::ws(bridge.addr, "/ws").await),
    ]
}

/// Has each of them call at once; gives the answers.
async fn all_call(users: &mut [User]) -> Vec<Message> {
    let mut ids = Vec::new();
    for user in users.iter_mut() {
        let params: Value = json!({"name": "echo", "arguments": {"message": "hello"}});
        ids.push(user.send("tools/call", params).await);
    }
    let mut answers = Vec::new();
    for (user, id) in users.iter_mut().zip(ids) {
        answers.push(user.client.answer(&id).await);
    }
    answers
}

#[tokio::test]
async fn callers_of_a_service_are_told_one_page_and_one_login_serves_them_all() {
    let ((_server, authority), desktop) = (protected().await, Desktop::new());
    let env = desktop.env();
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let bridge = Bridge::start_with(&["serve", "--log-level", "trace", &authority.url()], &env).await;

    // Whoever comes first, and over whatever wire.
    let mut pages = HashSet::new();
    for user in &mut callers(&bridge).await[..4] {
        let answer = match user.era {
            Era::Legacy => {
                user.client.send(&initialize("0", V)).await;
                user.client.answer("0").await
            }
            Era::Modern => user.once("tools/list", json!({})).await,
        };
        pages.insert(page(&answer));
    }
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert_eq!(authority.notes(|notes| notes.registered.len()), 1);
    log_in(pages.iter().next().unwrap()).await;
    eventually("the token", || (!desktop.kept().is_empty()).then_some(())).await;

    let mut users = callers(&bridge).await;
    for user in users.iter_mut().filter(|user| user.era == Era::Legacy) {
        user.client.initialize(V).await;
    }
    for answer in all_call(&mut users).await {
        assert_eq!(answer.tool_text(), "hello");
    }
    // A token that can be renewed is no matter of the callers, however many meet the refusal.
    authority.expire();
    for answer in all_call(&mut users).await {
        assert_eq!(answer.tool_text(), "hello");
    }
    assert_eq!(authority.notes(|notes| notes.grants("refresh_token")), 1);
    // One that cannot is: all of them hear of the same page, and their sessions live on.
    authority.forget();
    authority.cut();
    let pages: HashSet<_> = all_call(&mut users).await.iter().map(page).collect();
    assert_eq!(pages.len(), 1, "{pages:?}");
    log_in(pages.iter().next().unwrap()).await;
    eventually("the second token", || (authority.notes(|notes| notes.grants("authorization_code")) == 2).then_some(()))
        .await;
    // The token has been given; the bridge has it a moment later.
    let served = async { while all_call(&mut users).await.iter().any(|answer| answer.json.get("error").is_some()) {} };
    soon("calls to be served again", served).await;
    authority.notes(|notes| assert_eq!((notes.registered.len(), notes.authorized.len()), (1, 2)));
    assert!(desktop.opened().is_empty(), "a service opens no browser");
    drop(users);
    let log = bridge.stop().await;
    assert!(!log.contains(MARK), "{log}");
}

#[tokio::test]
async fn a_call_in_mid_use_waits_for_the_login_over_every_transport() {
    let (_server, authority) = protected().await;
    for (command, path) in [("connect", "/mcp"), ("sse-to-stdio", "/sse"), ("ws-to-stdio", "/ws")] {
        let desktop = Desktop::new();
        authority.notes(|notes| notes.redeemed.clear());
        let url = authority.at(path);
        let url = if path == "/ws" { url.replace("http://", "ws://") } else { url };
        let mut client = run(&desktop, &[command, &url, "--retry-delay", "10ms"]);
        client.send(&initialize("0", V)).await;
        desktop.log_in(0).await;
        assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], V, "{command}");
        client.send(&notification("notifications/initialized")).await;
        client.check("before").await;
        authority.forget();
        if path == "/ws" {
            // What is open stays open; it is the next connection that is asked who it is.
            authority.cut();
        }
        for id in ["1", "2"] {
            client.send(&tool(id, "echo", json!({"message": "after"}))).await;
        }
        desktop.log_in(1).await;
        let answers = [client.answer("1").await, client.answer("2").await];
        // On a connection that broke, the fate of what was on it is unknown, and told.
        let answered = answers.iter().filter(|answer| answer.json.get("result").is_some()).count();
        assert!(answered == 2 || path == "/ws", "{command}: {answers:?}");
        client.check("and after that").await;
        assert_eq!(desktop.opened().len(), 2, "{command}");
        assert_eq!(authority.notes(|notes| notes.grants("authorization_code")), 2);
        client.finish().await;
    }
}

#[tokio::test]
async fn a_modern_client_on_stdio_waits_for_the_login_as_well() {
    let ((_server, authority), desktop) = (protected().await, Desktop::new());
    let mut user = User::modern(run(&desktop, &["connect", &authority.url(), "--retry-delay", "10ms"]));
    for (n, message) in ["at first", "in mid-use"].into_iter().enumerate() {
        let params = || json!({"name": "echo", "arguments": {"message": message}});
        let ids = [user.send("tools/call", params()).await, user.send("tools/call", params()).await];
        desktop.log_in(n).await;
        for id in ids {
            assert_eq!(user.client.answer(&id).await.tool_text(), message);
        }
        assert_eq!(desktop.opened().len(), n + 1);
        authority.forget();
    }
    user.client.finish().await;
}
