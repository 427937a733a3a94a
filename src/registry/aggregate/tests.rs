//! Several servers as one, with scripts behind [`Peer::pair`] in the servers' places.

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::{
    config::{Limits, Sharing},
    message::{Frame, Id, Kind, code},
    peer::{Caller, Envelope, Reply},
    protocol::{MODERN, meta},
    registry::Ground,
};

/// A server that is told what to do by the names of its tools; `paging` gives one tool a page.
fn server(name: &'static str, scope: &Scope) -> Member {
    let tasks = scope.clone();
    let script = move |_: &Arc<Caller>| {
        let (ours, theirs) = Peer::pair(PEER_CAPACITY);
        tasks.spawn(act(name, ours, tasks.clone()));
        theirs
    };
    let registry = Registry::scripted(script, Sharing::Own, &Limits::default(), scope);
    Member { name: ServerName::new(name).unwrap(), registry }
}

async fn act(name: &'static str, peer: Peer, scope: Scope) {
    if name == "bad" {
        return;
    }
    let Peer { tx, mut rx, home } = peer;
    let voice = Caller::legacy(None);
    while let Some(Envelope { frame, reply, .. }) = rx.recv().await {
        let Some(reply) = reply else { continue };
        let params: Value = frame.body().map(|body| serde_json::from_str(body).unwrap()).unwrap_or_default();
        let result = match frame.method() {
            "initialize" | "server/discover" => json!({
                "protocolVersion": "2025-06-18", "supportedVersions": [MODERN], "resultType": "complete",
                "capabilities": {"tools": {}, "resources": {"subscribe": true}}, "instructions": format!("I am {name}."),
                "serverInfo": {"name": name, "version": "1"}}),
            "tools/list" => match params["cursor"].as_str() {
                None => json!({"tools": [{"name": "who"}, {"name": "x".repeat(70)}], "nextCursor": "2"}),
                Some(_) => json!({"tools": [{"name": "last"}]}),
            },
            "resources/list" => json!({"resources": [{"uri": format!("{name}://1")}, {"uri": "both://1"}]}),
            "resources/templates/list" => json!({"resourceTemplates": []}),
            "resources/read" if params["uri"].as_str().unwrap().starts_with(name) => json!({"read": name}),
            "resources/read" => {
                reply.fail(code::RESOURCE_NOT_FOUND, "no such resource", None);
                continue;
            }
            "subscriptions/listen" => {
                let (id, filter) = (frame.id_text(), &params["notifications"]);
                let of = format!("\"_meta\":{{\"{}\":{id}}}", meta::SUBSCRIPTION_ID);
                let acknowledged = format!("{{\"notifications\":{filter},{of}}}");
                for (method, params) in [
                    ("notifications/subscriptions/acknowledged", acknowledged),
                    ("notifications/tools/list_changed", format!("{{{of}}}")),
                ] {
                    reply
                        .update(Envelope::one_way(voice.clone(), Frame::notification(method, Some(&params))))
                        .await
                        .unwrap();
                }
                json!({"resultType": "complete"})
            }
            "tools/call" if params["name"] == "die" => return,
            "tools/call" if params["name"] == "ask" => {
                let asked = Frame::request(&Id::Number(1), "elicitation/create", None);
                let (answers, mut answer) = mpsc::channel(1);
                let home = Reply::on(answers, &asked, &voice).await.unwrap();
                let updates = reply.updates();
                updates.send(Envelope { from: voice.clone(), frame: asked, reply: Some(home) }).await.unwrap();
                scope.spawn(async move {
                    let heard = answer.recv().await.unwrap().frame;
                    assert_eq!(heard.id_text(), "1", "its own id comes back");
                    reply.answer(Frame::result("0", heard.body().unwrap()));
                });
                continue;
            }
            "tools/call" => json!({"called": name, "params": params}),
            _ => {
                reply.fail(code::METHOD_NOT_FOUND, "no such method", None);
                continue;
            }
        };
        reply.answer(Frame::result("0", &result.to_string()));
    }
    drop((tx, home));
}

struct Client {
    caller: Arc<Caller>,
    tx: mpsc::Sender<Envelope>,
    rx: Option<crate::peer::Inbox>,
    next: i64,
}

fn whole(servers: &[&'static str]) -> Arc<Registry> {
    let scope = Scope::new();
    let members = servers.iter().map(|name| server(name, &scope)).collect();
    let limits = Limits::default();
    Registry::aggregate(members, &Template::default(), &limits, &Ground::new(None, &limits, &scope))
}

impl Client {
    async fn legacy(servers: &[&'static str]) -> (Client, Value) {
        let caller = Caller::legacy(None);
        let Peer { tx, rx, home: _ } = whole(servers).open(&caller).await.unwrap();
        let mut client = Client { caller, tx, rx: Some(rx), next: 0 };
        let result = client.ask("initialize", json!({"protocolVersion": "2025-06-18"})).await;
        client.tell("notifications/initialized").await;
        (client, result)
    }

    async fn modern(servers: &[&'static str]) -> Client {
        let caller = Caller::modern(None);
        let tx = whole(servers).outbox(&caller).await.unwrap();
        Client { caller, tx, rx: None, next: 0 }
    }

    async fn tell(&self, method: &str) {
        self.tx.send(Envelope::one_way(self.caller.clone(), Frame::notification(method, None))).await.unwrap();
    }

    async fn send(&mut self, method: &str, params: Value) -> mpsc::Receiver<Envelope> {
        self.next += 1;
        let (tx, rx) = mpsc::channel(16);
        let frame = Frame::request(&Id::Number(self.next), method, Some(&params.to_string()));
        let reply = Reply::on(tx, &frame, &self.caller).await.unwrap();
        self.tx.send(Envelope { from: self.caller.clone(), frame, reply: Some(reply) }).await.unwrap();
        rx
    }

    /// The result, or the error.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let mut rx = self.send(method, params).await;
        let answer = rx.recv().await.unwrap().frame;
        assert_eq!(answer.id_text(), self.next.to_string());
        serde_json::from_str(answer.body().unwrap()).unwrap()
    }

    async fn call(&mut self, name: &str) -> Value {
        self.ask("tools/call", json!({"name": name, "arguments": {"a": 1}})).await
    }

    async fn heard(&mut self) -> String {
        self.rx.as_mut().unwrap().recv().await.unwrap().frame.method().to_owned()
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn servers_are_one_and_a_bad_one_is_left_out_in_both_eras() {
    let (legacy, hello) = Client::legacy(&["a", "bad", "b"]).await;
    assert_eq!(hello["protocolVersion"], "2025-06-18");
    assert!(hello["instructions"].as_str().unwrap().contains("I am b."), "{hello}");
    let mut modern = Client::modern(&["a", "bad", "b"]).await;
    let found = modern.ask("server/discover", json!({})).await;
    assert_eq!(found["capabilities"]["resources"]["subscribe"], true, "{found}");
    for mut client in [legacy, modern] {
        let list = client.ask("tools/list", json!({})).await;
        let [who, cut, other, _] = names(&list)[..] else { panic!("{list}") };
        assert_eq!((who, other, cut.len()), ("a_who", "b_who", 64));
        let more = client.ask("tools/list", json!({"cursor": list["nextCursor"]})).await;
        assert_eq!((names(&more), &more["nextCursor"]), (vec!["a_last", "b_last"], &Value::Null));
        let called = client.call("b_who").await;
        assert_eq!(
            (&called["called"], &called["params"]["name"], &called["params"]["arguments"]["a"]),
            (&json!("b"), &json!("who"), &json!(1))
        );
        assert_eq!(client.call(cut).await["params"]["name"], "x".repeat(70));
        for wrong in ["who", "c_who"] {
            assert_eq!(client.call(wrong).await["code"], code::INVALID_PARAMS, "{wrong}");
        }
        assert_eq!(client.ask("tools/list", json!({"cursor": "x"})).await["code"], code::INVALID_PARAMS);
        assert_eq!(client.call("bad_who").await["code"], code::INTERNAL);
        assert_eq!(client.ask("tasks/list", json!({})).await["code"], code::METHOD_NOT_FOUND);
    }
}

#[tokio::test]
async fn a_name_that_was_cut_is_found_by_a_process_that_never_listed_it() {
    let (mut first, _) = Client::legacy(&["a", "b"]).await;
    let list = first.ask("tools/list", json!({})).await;
    let mut second = Client::modern(&["a", "b"]).await;
    assert_eq!(second.call(names(&list)[3]).await["called"], "b");
}

#[tokio::test]
async fn a_resource_is_read_where_it_is_and_one_that_no_list_names_is_tried() {
    let mut client = Client::modern(&["a", "b"]).await;
    assert_eq!(client.ask("resources/read", json!({"uri": "b://unlisted"})).await["read"], "b");
    let list = client.ask("resources/list", json!({})).await;
    let uris: Vec<_> = list["resources"].as_array().unwrap().iter().map(|one| one["uri"].as_str().unwrap()).collect();
    assert_eq!(uris, ["a://1", "both://1", "b://1"], "the first owner of a URI has it");
    assert_eq!(client.ask("resources/read", json!({"uri": "a://1"})).await["read"], "a");
    let nobodys = client.ask("resources/read", json!({"uri": "c://1"})).await;
    assert_eq!(nobodys["code"], code::RESOURCE_NOT_FOUND, "in the server's own words");
}

#[tokio::test]
async fn what_two_servers_ask_at_once_is_told_apart_and_answers_go_home() {
    let (mut client, _) = Client::legacy(&["a", "b"]).await;
    let mut calls = [
        client.send("tools/call", json!({"name": "a_ask"})).await,
        client.send("tools/call", json!({"name": "b_ask"})).await,
    ];
    let mut asked = Vec::new();
    for call in &mut calls {
        asked.push(call.recv().await.unwrap());
    }
    assert_ne!(asked[0].frame.id_text(), asked[1].frame.id_text());
    for (asked, answer) in asked.into_iter().zip(["\"one\"", "\"two\""]) {
        asked.reply.unwrap().answer(Frame::result("0", answer));
    }
    for (call, answer) in calls.iter_mut().zip(["\"one\"", "\"two\""]) {
        let frame = call.recv().await.unwrap().frame;
        assert!(matches!(frame.kind(), Kind::Response(_)));
        assert_eq!(frame.body(), Some(answer));
    }
}

#[tokio::test]
async fn a_server_that_ends_leaves_the_others_and_is_opened_again_when_it_is_wanted() {
    let (mut client, _) = Client::legacy(&["a", "b"]).await;
    let died = client.call("a_die").await;
    assert_eq!(died["code"], code::INTERNAL, "{died}");
    assert_eq!(client.heard().await, "notifications/tools/list_changed");
    assert_eq!(client.heard().await, "notifications/resources/list_changed");
    assert_eq!(client.call("b_who").await["called"], "b");
    assert_eq!(client.call("a_who").await["called"], "a");
    assert_eq!(client.heard().await, "notifications/tools/list_changed");
    assert_eq!(names(&client.ask("tools/list", json!({})).await).len(), 4);
}

#[tokio::test]
async fn a_subscription_is_acknowledged_once_with_what_any_server_grants() {
    let mut client = Client::modern(&["a", "bad", "b"]).await;
    client.ask("resources/list", json!({})).await;
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": ["a://1", "b://1"]});
    let mut stream = client.send("subscriptions/listen", json!({"notifications": wanted})).await;
    let acknowledged = stream.recv().await.unwrap().frame;
    assert_eq!(acknowledged.method(), "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged.subscription(), Some(&Id::Number(client.next)));
    let granted: Value = serde_json::from_str(acknowledged.body().unwrap()).unwrap();
    assert_eq!(granted["notifications"]["resourceSubscriptions"].as_array().unwrap().len(), 2, "{granted}");
    for _ in 0..2 {
        assert_eq!(stream.recv().await.unwrap().frame.method(), "notifications/tools/list_changed");
    }
    let end = stream.recv().await.unwrap().frame;
    assert!(!end.is_error() && end.id_text() == client.next.to_string(), "{end:?}");
}

#[test]
fn a_marked_message_is_still_one() {
    let asked = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let marked = crate::aggregate::marked(2, Frame::parse(asked).unwrap());
    assert_eq!(Frame::parse(marked.bytes().clone()).unwrap().id_text(), "\"m2n1\"");
}
