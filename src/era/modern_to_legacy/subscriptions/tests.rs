//! Subscriptions over scripted legacy servers, in memory.

use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{super::*, *};
use crate::{
    message::{Frame, Kind},
    peer::{Caller, Envelope, Outbox, Peer, Reply},
    scope::Scope,
};

/// A legacy server that was opened.
struct Server {
    tx: mpsc::Sender<Envelope>,
    me: Arc<Caller>,
    /// What it was told about URIs: `+uri`, `-uri`.
    heard: mpsc::Receiver<String>,
    end: CancellationToken,
}

impl Server {
    async fn says(&self, method: &str, params: Value) {
        let frame = Frame::notification(method, Some(&params.to_string()));
        self.tx.send(Envelope::one_way(self.me.clone(), frame)).await.unwrap();
    }

    async fn heard(&mut self) -> String {
        self.heard.recv().await.unwrap()
    }
}

/// Answers as a server with these capabilities does, until it is ended. A URI with "refused" in it is refused, one with
/// "silent" is never answered.
async fn script(mut peer: Peer, capabilities: Value, heard: mpsc::Sender<String>, end: CancellationToken) {
    let mut unanswered = Vec::new();
    loop {
        let envelope = tokio::select! {
            envelope = peer.rx.recv() => envelope,
            () = end.cancelled() => return,
        };
        let Some(Envelope { frame, reply, .. }) = envelope else { return };
        let Some(reply) = reply else { continue };
        let params: Value = serde_json::from_str(frame.body().unwrap_or("{}")).unwrap();
        let uri = params["uri"].as_str().unwrap_or_default();
        match frame.method() {
            "initialize" => {
                let result = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {"name": "s", "version": "1"}});
                reply.answer(Frame::result("0", &result.to_string()));
            }
            "resources/subscribe" if uri.contains("refused") => reply.fail(-32002, "no such resource", None),
            "resources/subscribe" if uri.contains("silent") => unanswered.push(reply),
            "resources/subscribe" | "resources/unsubscribe" => {
                let sign = if frame.method() == "resources/subscribe" { '+' } else { '-' };
                heard.send(format!("{sign}{uri}")).await.unwrap();
                reply.answer(Frame::result("0", "{}"));
            }
            _ => reply.answer(Frame::result("0", "{}")),
        }
    }
}

struct World {
    outbox: Outbox,
    servers: mpsc::Receiver<Server>,
    scope: Scope,
}

fn all() -> Value {
    json!({
        "tools": {"listChanged": true}, "prompts": {"listChanged": true}, "resources": {"listChanged": true, "subscribe": true},
    })
}

/// Servers with these capabilities; after `most` of them, none can be had.
fn world(capabilities: Value, most: usize) -> World {
    let scope = Scope::new();
    let (opened, servers) = mpsc::channel(16);
    let left = Arc::new(tokio::sync::Semaphore::new(most));
    let inner = scope.clone();
    let open: Open = Arc::new(move |me| {
        let (opened, capabilities, scope, left) = (opened.clone(), capabilities.clone(), inner.clone(), left.clone());
        async move {
            let no = || Unavailable { message: "it is gone for good".into(), retry_after: None };
            left.try_acquire().map_err(|_| no())?.forget();
            let (ours, theirs) = Peer::pair(64);
            let (tell, heard) = mpsc::channel(4096);
            let end = CancellationToken::new();
            opened.send(Server { tx: ours.tx.clone(), me, heard, end: end.clone() }).await.unwrap();
            scope.spawn(script(ours, capabilities, tell, end));
            Ok(theirs)
        }
        .boxed()
    });
    let outbox = super::super::open(open, Settings::default(), Arc::new(|| {}), &scope);
    World { outbox, servers, scope }
}

struct Subscriber {
    caller: Arc<Caller>,
    rx: mpsc::Receiver<Envelope>,
}

impl World {
    async fn server(&mut self) -> Server {
        self.servers.recv().await.unwrap()
    }

    async fn listen_as(&self, caller: Arc<Caller>, id: &str, wanted: Value, room: usize) -> Subscriber {
        let params = json!({"notifications": wanted, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{params}}}"#);
        let frame = Frame::parse(text.into()).unwrap();
        let (tx, rx) = mpsc::channel(room);
        let reply = Reply::on(tx, &frame, &caller).await.unwrap();
        self.outbox.send(Envelope { from: caller.clone(), frame, reply: Some(reply) }).await.unwrap();
        Subscriber { caller, rx }
    }

    async fn listen(&self, id: &str, wanted: Value) -> Subscriber {
        self.listen_as(Caller::modern(None), id, wanted, 4096).await
    }

    async fn cancel(&self, subscriber: &Subscriber, id: &str) {
        let frame = Frame::notification("notifications/cancelled", Some(&format!(r#"{{"requestId":{id}}}"#)));
        self.outbox.send(Envelope::one_way(subscriber.caller.clone(), frame)).await.unwrap();
    }
}

impl Subscriber {
    async fn frame(&mut self) -> Frame {
        self.rx.recv().await.unwrap().frame
    }

    /// The next message, as a value.
    async fn next(&mut self) -> Value {
        serde_json::from_slice(self.frame().await.bytes()).unwrap()
    }

    /// Passes the acknowledgement, and gives what is honoured.
    async fn acknowledged(&mut self) -> Value {
        let first = self.next().await;
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
        first["params"]["notifications"].clone()
    }
}

fn list_changed(what: &str, id: Value) -> Value {
    let params = json!({"_meta": {"io.modelcontextprotocol/subscriptionId": id}});
    json!({"jsonrpc": "2.0", "method": format!("notifications/{what}/list_changed"), "params": params})
}

fn updated(uri: &str, id: Value) -> Value {
    let params = json!({"uri": uri, "_meta": {"io.modelcontextprotocol/subscriptionId": id}});
    json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params})
}

#[tokio::test]
async fn what_is_honoured_is_acknowledged_first_and_notices_carry_the_id() {
    let mut world = world(json!({"tools": {"listChanged": true}, "prompts": {}, "resources": {"subscribe": true}}), 1);
    let wanted = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["file:///a", "file:///refused", "file:///b"],
    });
    let mut subscriber = world.listen("\"L1\"", wanted).await;
    let honoured = json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a", "file:///b"]});
    assert_eq!(subscriber.acknowledged().await, honoured);
    let server = world.server().await;
    server.says("notifications/prompts/list_changed", json!({})).await;
    server.says("notifications/resources/updated", json!({"uri": "file:///refused"})).await;
    server.says("notifications/resources/updated", json!({"uri": "file:///a"})).await;
    server.says("notifications/tools/list_changed", json!({})).await;
    assert_eq!(subscriber.next().await, updated("file:///a", json!("L1")));
    assert_eq!(subscriber.next().await, list_changed("tools", json!("L1")));
}

#[tokio::test]
async fn notices_come_no_earlier_than_the_acknowledgement() {
    let mut world = world(all(), 1);
    let mut subscriber = world.listen("1", json!({"toolsListChanged": true, "resourceSubscriptions": ["a:"]})).await;
    let server = world.server().await;
    // Some come while the handshake and the subscription are under way.
    for _ in 0..20 {
        server.says("notifications/tools/list_changed", json!({})).await;
    }
    subscriber.acknowledged().await;
    server.says("notifications/resources/updated", json!({"uri": "a:"})).await;
    while subscriber.next().await != updated("a:", json!(1)) {}
}

#[tokio::test]
async fn subscriptions_share_a_server_and_each_gets_its_own_copy() {
    let mut world = world(all(), 1);
    let mut first = world.listen("1", json!({"toolsListChanged": true})).await;
    let mut second = world.listen("\"x\"", json!({"toolsListChanged": true, "promptsListChanged": true})).await;
    first.acknowledged().await;
    second.acknowledged().await;
    let server = world.server().await;
    server.says("notifications/prompts/list_changed", json!({})).await;
    server.says("notifications/tools/list_changed", json!({})).await;
    assert_eq!(first.next().await, list_changed("tools", json!(1)));
    assert_eq!(second.next().await, list_changed("prompts", json!("x")));
    assert_eq!(second.next().await, list_changed("tools", json!("x")));
}

#[tokio::test]
async fn a_server_is_told_of_the_first_and_the_last_subscriber_of_a_resource() {
    let mut world = world(all(), 1);
    let mut first = world.listen("1", json!({"resourceSubscriptions": ["a:", "b:"]})).await;
    first.acknowledged().await;
    let mut server = world.server().await;
    assert_eq!([server.heard().await, server.heard().await], ["+a:", "+b:"]);
    let mut second = world.listen("2", json!({"resourceSubscriptions": ["a:"]})).await;
    assert_eq!(second.acknowledged().await, json!({"resourceSubscriptions": ["a:"]}));

    world.cancel(&first, "1").await;
    assert!(first.frame().await.is_error());
    assert_eq!(server.heard().await, "-b:", "a: is still wanted");
    drop(second); // It hung up.
    assert_eq!(server.heard().await, "-a:");

    let mut third = world.listen("3", json!({"resourceSubscriptions": ["a:"]})).await;
    third.acknowledged().await;
    assert_eq!(server.heard().await, "+a:");
}

#[tokio::test]
async fn a_cancelled_subscription_is_answered_and_brings_nothing_more() {
    let mut world = world(all(), 1);
    let mut subscriber = world.listen("7", json!({"toolsListChanged": true})).await;
    subscriber.acknowledged().await;
    let server = world.server().await;
    world.cancel(&subscriber, "7").await;
    let answer = subscriber.next().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(code::CANCELLED)));
    server.says("notifications/tools/list_changed", json!({})).await;
    assert!(subscriber.rx.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn after_its_server_died_a_subscription_goes_on_and_everything_has_changed() {
    let mut world = world(all(), 2);
    let mut subscriber = world.listen("1", json!({"promptsListChanged": true, "resourceSubscriptions": ["a:"]})).await;
    subscriber.acknowledged().await;
    let mut server = world.server().await;
    assert_eq!(server.heard().await, "+a:");
    server.end.cancel();
    drop(server); // It holds a way in.
    let mut server = world.server().await;
    assert_eq!(server.heard().await, "+a:");
    assert_eq!(subscriber.next().await, list_changed("prompts", json!(1)));
    assert_eq!(subscriber.next().await, updated("a:", json!(1)));
    server.says("notifications/resources/updated", json!({"uri": "a:"})).await;
    assert_eq!(subscriber.next().await, updated("a:", json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_whose_server_does_not_come_back_ends_with_an_error() {
    let mut world = world(all(), 1);
    let mut subscriber = world.listen("1", json!({"toolsListChanged": true})).await;
    subscriber.acknowledged().await;
    world.server().await.end.cancel();
    let answer = subscriber.next().await;
    assert_eq!(answer["error"]["code"], code::INTERNAL);
    assert_eq!(answer["error"]["message"], "it is gone for good");
    let mut next = world.listen("1", json!({"toolsListChanged": true})).await;
    assert_eq!(next.next().await["error"]["code"], code::INTERNAL);
}

#[tokio::test]
async fn a_bridge_that_shuts_down_ends_subscriptions_in_good_order() {
    let mut world = world(all(), 1);
    let mut some = world.listen("\"L1\"", json!({"toolsListChanged": true})).await;
    let mut none = world.listen("2", json!({})).await;
    some.acknowledged().await;
    assert_eq!(none.acknowledged().await, json!({}));
    let _server = world.server().await;
    world.scope.stop();
    let end = |id: Value| {
        let meta = json!({"io.modelcontextprotocol/subscriptionId": id});
        json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "_meta": meta}})
    };
    assert_eq!(some.next().await, end(json!("L1")));
    assert_eq!(none.next().await, end(json!(2)));
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_does_not_read_is_cut_off() {
    let mut world = world(all(), 1);
    let mut idle = world.listen_as(Caller::modern(None), "1", json!({"toolsListChanged": true}), 3).await;
    let mut reader = world.listen("2", json!({"toolsListChanged": true})).await;
    reader.acknowledged().await;
    let server = world.server().await;
    for _ in 0..10 {
        server.says("notifications/tools/list_changed", json!({})).await;
        assert_eq!(reader.next().await, list_changed("tools", json!(2)));
    }
    tokio::time::sleep(STALL + Duration::from_secs(1)).await;
    idle.acknowledged().await;
    let mut last = idle.frame().await;
    while !matches!(last.kind(), Kind::Response(_)) {
        last = idle.frame().await;
    }
    assert!(last.is_error() && last.body().unwrap().contains("cut off"), "{last:?}");
    assert!(idle.rx.recv().await.is_none());
}

#[tokio::test]
async fn notices_faster_than_they_are_heard_end_as_everything_has_changed() {
    let mut world = world(all(), 1);
    let wanted = json!({"toolsListChanged": true, "resourcesListChanged": true});
    let mut slow = world.listen_as(Caller::modern(None), "1", wanted, 3).await;
    let mut reader = world.listen("2", json!({"promptsListChanged": true})).await;
    reader.acknowledged().await;
    slow.acknowledged().await;
    let server = world.server().await;
    for _ in 0..2_000 {
        server.says("notifications/tools/list_changed", json!({})).await;
    }
    // The server is past all of them, so the slow one's channel has overflowed.
    server.says("notifications/prompts/list_changed", json!({})).await;
    reader.next().await;
    let mut read = 0;
    while slow.next().await["method"] != "notifications/resources/list_changed" {
        read += 1;
    }
    assert!(read < 1_000, "{read}");
    server.says("notifications/resources/list_changed", json!({})).await;
    assert_eq!(slow.next().await, list_changed("resources", json!(1)), "it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_costs_the_resources_alone() {
    let world = world(all(), 1);
    let uris: Vec<_> = (0..100).map(|n| format!("silent:{n}")).collect();
    let mut subscriber = world.listen("1", json!({"toolsListChanged": true, "resourceSubscriptions": uris})).await;
    let before = tokio::time::Instant::now();
    assert_eq!(subscriber.acknowledged().await, json!({"toolsListChanged": true}));
    assert!(before.elapsed() < Duration::from_secs(70), "{:?}", before.elapsed());
}

#[tokio::test]
async fn subscriptions_of_one_principal_are_bounded() {
    let world = world(all(), 8);
    let ada = || Caller::modern(Some(Principal("ada".into())));
    let mut open = Vec::new();
    for _ in 0..MAX_SEATS.0 {
        open.push(world.listen_as(ada(), "1", json!({}), 4).await);
    }
    for subscriber in &mut open {
        subscriber.acknowledged().await;
    }
    let mut more = world.listen_as(ada(), "1", json!({}), 4).await;
    let refused = more.next().await;
    assert_eq!(refused["error"]["code"], code::LIMIT, "{refused}");
    let mut other = world.listen_as(Caller::modern(Some(Principal("bob".into()))), "1", json!({}), 4).await;
    other.acknowledged().await;
    let mut first = open.remove(0);
    world.cancel(&first, "1").await;
    assert!(first.frame().await.is_error());
    // Its place is free once the task is done with it.
    assert!(first.rx.recv().await.is_none());
    let mut again = world.listen_as(ada(), "1", json!({}), 4).await;
    again.acknowledged().await;
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_refused() {
    let world = world(all(), 1);
    let mut subscriber = world.listen("1", json!([])).await;
    assert_eq!(subscriber.next().await["error"]["code"], code::INVALID_PARAMS);
}

#[tokio::test]
async fn a_subscription_keeps_no_room_of_its_request() {
    let mut world = world(all(), 1);
    let held = Arc::new(());
    let params = json!({"notifications": {"toolsListChanged": true}, "padding": "x", "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let frame = Frame::request(&Id::Number(1), "subscriptions/listen", Some(&params.to_string()));
    let frame = frame.holding(Some(held.clone()));
    let caller = Caller::modern(None);
    let (tx, rx) = mpsc::channel(8);
    let reply = Reply::on(tx, &frame, &caller).await.unwrap();
    world.outbox.send(Envelope { from: caller.clone(), frame, reply: Some(reply) }).await.unwrap();
    let mut subscriber = Subscriber { caller, rx };
    subscriber.acknowledged().await;
    assert_eq!(Arc::strong_count(&held), 1, "it may last for days");
    world.server().await.says("notifications/tools/list_changed", json!({})).await;
    assert_eq!(subscriber.next().await, list_changed("tools", json!(1)));
}
