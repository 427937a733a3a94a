//! What belongs to no call: subscriptions and changes of lists.

use super::*;

const URI: &str = r#"{"uri":"file:///a"}"#;

fn listen(filter: &str) -> String {
    format!(r#"{{"notifications":{filter},"_meta":{{{STAMP}}}}}"#)
}

/// The next `subscriptions/listen`, acknowledged with `granted`.
async fn acknowledge(server: &mut Server, wanted: &str, granted: &str) -> Reply {
    let (params, reply) = server.next("subscriptions/listen").await;
    assert_eq!(params, listen(wanted));
    say(server, &reply, "notifications/subscriptions/acknowledged", &format!(r#""notifications":{granted},"#)).await;
    reply
}

/// A notification of the subscription. `rest` is members, each with a comma after it.
async fn say(server: &Server, reply: &Reply, method: &str, rest: &str) {
    let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{}}}"#, reply.id_text());
    server.say(reply, method, &format!("{{{rest}{meta}}}")).await;
}

fn uris(list: &[&str]) -> String {
    let list: Vec<_> = list.iter().map(|uri| format!("\"{uri}\"")).collect();
    format!(r#"{{"resourceSubscriptions":[{}]}}"#, list.join(","))
}

fn told(method: &str, params: &str) -> (String, String) {
    (format!("notifications/{method}"), params.into())
}

#[tokio::test]
async fn list_changes_are_listened_to_after_initialized() {
    let (mut client, mut server) = session().await;
    assert!(server.is_quiet());
    client.tell("notifications/initialized", "").await;
    let both = r#"{"toolsListChanged":true,"promptsListChanged":true}"#;
    let reply = acknowledge(&mut server, both, both).await;
    say(&server, &reply, "notifications/tools/list_changed", "").await;
    say(&server, &reply, "notifications/prompts/list_changed", r#""a": 1.0,"#).await;
    assert_eq!(client.unsolicited().await, told("tools/list_changed", ""));
    assert_eq!(client.unsolicited().await, told("prompts/list_changed", r#"{"a":1.0}"#));
    drop(client);
    server.cancelled(reply.id_text()).await;
}

#[tokio::test]
async fn nothing_is_listened_to_where_nothing_is_offered() {
    let (client, mut server) = opened("2025-11-25", r#"{"tools":{}}"#, quiet()).await;
    client.tell("notifications/initialized", "").await;
    assert_eq!(body(&mut client.ask("1", "ping", "").await).await, "{}");
    settle().await;
    assert!(server.is_quiet());
}

#[tokio::test]
async fn a_change_of_the_set_makes_before_it_breaks() {
    let (mut client, mut server) = session().await;
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    let first = acknowledge(&mut server, &uris(&["file:///a"]), &uris(&["file:///a"])).await;
    assert_eq!(body(&mut answers).await, "{}");

    // The same once more is known to stand.
    assert_eq!(body(&mut client.ask("2", "resources/subscribe", URI).await).await, "{}");
    assert!(server.is_quiet());

    let mut answers = client.ask("3", "resources/subscribe", r#"{"uri":"file:///b"}"#).await;
    let (params, second) = server.next("subscriptions/listen").await;
    assert_eq!(params, listen(&uris(&["file:///a", "file:///b"])));
    // Until the new stream stands, the old one is heard.
    say(&server, &first, "notifications/resources/updated", r#""uri":"file:///a","#).await;
    assert_eq!(client.unsolicited().await, told("resources/updated", URI));
    assert!(answers.try_recv().is_err());
    say(
        &server,
        &second,
        "notifications/subscriptions/acknowledged",
        r#""notifications":{"resourceSubscriptions":["file:///b","file:///a"]},"#,
    )
    .await;
    assert_eq!(body(&mut answers).await, "{}");
    server.cancelled(first.id_text()).await;
    say(&server, &second, "notifications/resources/updated", r#""uri":"file:///b","#).await;
    assert_eq!(client.unsolicited().await, told("resources/updated", r#"{"uri":"file:///b"}"#));

    let mut answers = client.ask("4", "resources/unsubscribe", URI).await;
    let third = acknowledge(&mut server, &uris(&["file:///b"]), &uris(&["file:///b"])).await;
    assert_eq!(body(&mut answers).await, "{}");
    server.cancelled(second.id_text()).await;
    assert_eq!(body(&mut client.ask("5", "resources/unsubscribe", URI).await).await, "{}", "known to stand");
    let mut answers = client.ask("6", "resources/unsubscribe", r#"{"uri":"file:///b"}"#).await;
    assert_eq!(body(&mut answers).await, "{}");
    server.cancelled(third.id_text()).await;
    assert!(server.is_quiet());
}

#[tokio::test]
async fn what_both_streams_bring_is_told_once() {
    let (mut client, mut server) = session().await;
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    let first = acknowledge(&mut server, &uris(&["file:///a"]), &uris(&["file:///a"])).await;
    body(&mut answers).await;
    let mut answers = client.ask("2", "resources/subscribe", r#"{"uri":"file:///b"}"#).await;
    let (_, second) = server.next("subscriptions/listen").await;
    let both = format!(r#""notifications":{},"#, uris(&["file:///a", "file:///b"]));
    say(&server, &second, "notifications/subscriptions/acknowledged", &both).await;
    for reply in [&first, &second] {
        say(&server, reply, "notifications/resources/updated", r#""uri":"file:///a","#).await;
    }
    body(&mut answers).await;
    server.cancelled(first.id_text()).await;
    assert_eq!(client.unsolicited().await, told("resources/updated", URI));
    settle().await;
    assert!(client.peer.rx.try_recv().is_none());
}

#[tokio::test]
async fn what_was_not_asked_for_goes_nowhere() {
    let (mut client, mut server) =
        opened("2025-11-25", r#"{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}}"#, quiet())
            .await;
    client.tell("notifications/initialized", "").await;
    let tools = r#"{"toolsListChanged":true}"#;
    let before = acknowledge(&mut server, tools, tools).await;
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    let all = r#"{"toolsListChanged":true,"resourceSubscriptions":["file:///a"]}"#;
    let reply = acknowledge(&mut server, all, all).await;
    assert_eq!(body(&mut answers).await, "{}");
    server.cancelled(before.id_text()).await;
    for (method, params) in [
        ("notifications/resources/updated", r#""uri":"file:///b","#),
        ("notifications/resources/updated", r#""uri":"file:///ab","#),
        ("notifications/resources/updated", ""),
        ("notifications/message", r#""level":"error","data":"x","#),
        ("notifications/prompts/list_changed", ""),
        ("notifications/resources/list_changed", ""),
        ("notifications/progress", r#""progressToken":1,"progress":1,"#),
        ("notifications/unknown", ""),
        ("notifications/subscriptions/acknowledged", r#""notifications":{},"#),
    ] {
        say(&server, &reply, method, params).await;
    }
    say(&server, &reply, "notifications/tools/list_changed", "").await;
    say(&server, &reply, "notifications/resources/updated", r#""uri":"file:///a/below","#).await;
    assert_eq!(client.unsolicited().await, told("tools/list_changed", ""));
    assert_eq!(client.unsolicited().await, told("resources/updated", r#"{"uri":"file:///a/below"}"#));

    // What the client was refused is not asked for, whatever the server sends then.
    let mut answers = client.ask("2", "resources/subscribe", r#"{"uri":"b:"}"#).await;
    let wider = r#"{"toolsListChanged":true,"resourceSubscriptions":["file:///a","b:"]}"#;
    let second = acknowledge(&mut server, wider, all).await;
    assert!(body(&mut answers).await.contains("does not tell of changes"));
    server.cancelled(reply.id_text()).await;
    say(&server, &second, "notifications/resources/updated", r#""uri":"b:","#).await;
    say(&server, &second, "notifications/resources/updated", r#""uri":"file:///a","#).await;
    assert_eq!(client.unsolicited().await, told("resources/updated", URI));
}

#[tokio::test]
async fn of_two_streams_the_old_one_speaks_until_the_new_one_stands_and_then_the_new_one_alone() {
    let (mut client, mut server) = session().await;
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    let first = acknowledge(&mut server, &uris(&["file:///a"]), &uris(&["file:///a"])).await;
    body(&mut answers).await;
    let mut answers = client.ask("2", "resources/subscribe", r#"{"uri":"b:"}"#).await;
    let (_, second) = server.next("subscriptions/listen").await;
    let updated = "notifications/resources/updated";
    // The new one ahead of its acknowledgement: only what nobody else can tell is kept until then.
    for (reply, uri) in [(&second, "file:///a"), (&first, "file:///a"), (&second, "b:"), (&second, "c:")] {
        say(&server, reply, updated, &format!(r#""uri":"{uri}","#)).await;
    }
    assert_eq!(client.unsolicited().await, told("resources/updated", URI));
    settle().await;
    assert!(client.peer.rx.try_recv().is_none(), "once, and nothing before it is granted");
    let both = format!(r#""notifications":{},"#, uris(&["file:///a", "b:"]));
    say(&server, &second, "notifications/subscriptions/acknowledged", &both).await;
    assert_eq!(body(&mut answers).await, "{}");
    assert_eq!(client.unsolicited().await, told("resources/updated", r#"{"uri":"b:"}"#));
    server.cancelled(first.id_text()).await;
    // Between the acknowledgement and the end of the old one the server sends both; the client reads in between.
    say(&server, &second, updated, r#""uri":"file:///a","#).await;
    assert_eq!(client.unsolicited().await, told("resources/updated", URI));
    say(&server, &first, updated, r#""uri":"file:///a","#).await;
    first.fail(-32800, "cancelled", None);
    settle().await;
    assert!(client.peer.rx.try_recv().is_none());
    say(&server, &second, updated, r#""uri":"file:///a","#).await;
    assert_eq!(client.unsolicited().await, told("resources/updated", URI), "the end of the old one is not its own");
}

#[tokio::test]
async fn list_changes_are_listened_to_when_a_subscription_came_first() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    let first = acknowledge(&mut server, &uris(&["file:///a"]), &uris(&["file:///a"])).await;
    body(&mut answers).await;
    client.tell("notifications/initialized", "").await;
    let all = r#"{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["file:///a"]}"#;
    let _second = acknowledge(&mut server, all, all).await;
    server.cancelled(first.id_text()).await;
}

#[tokio::test]
async fn a_client_that_subscribes_in_a_rush_is_still_told_of_list_changes() {
    let (client, mut server) = session().await;
    let mut first = client.ask("0", "resources/subscribe", URI).await;
    let (_, reply) = server.next("subscriptions/listen").await;
    let mut refused = None;
    for n in 0..65 {
        refused = Some(client.ask("1", "resources/subscribe", &format!(r#"{{"uri":"b:{n}"}}"#)).await);
    }
    client.tell("notifications/initialized", "").await;
    assert!(body(&mut refused.unwrap()).await.contains("64 changes of subscriptions wait"));
    let granted = format!(r#""notifications":{},"#, uris(&["file:///a"]));
    say(&server, &reply, "notifications/subscriptions/acknowledged", &granted).await;
    assert_eq!(body(&mut first).await, "{}");
    let (params, _reply) = server.next("subscriptions/listen").await;
    assert!(params.contains(r#""toolsListChanged":true"#) && params.contains("b:63"), "{params}");
}

#[tokio::test(start_paused = true)]
async fn subscriptions_that_wait_together_are_told_of_silence_together() {
    let (client, mut server) = session().await;
    let mut first = client.ask("1", "resources/subscribe", URI).await;
    let (_, one) = server.next("subscriptions/listen").await;
    let mut second = client.ask("2", "resources/subscribe", r#"{"uri":"b:"}"#).await;
    let mut third = client.ask("3", "resources/subscribe", r#"{"uri":"c:"}"#).await;
    let begun = Instant::now();
    let text = r#"{"code":-32000,"message":"the server did not acknowledge subscriptions/listen in time"}"#;
    assert_eq!(body(&mut first).await, text);
    server.cancelled(one.id_text()).await;
    let (_, both) = server.next("subscriptions/listen").await;
    assert_eq!(body(&mut second).await, text);
    assert_eq!(body(&mut third).await, text);
    assert_eq!(begun.elapsed(), Duration::from_secs(120));
    server.cancelled(both.id_text()).await;
    assert!(server.is_quiet());
}

#[tokio::test]
async fn a_subscription_that_the_server_does_not_grant_is_refused() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    let reply = acknowledge(&mut server, &uris(&["file:///a"]), "{}").await;
    assert_eq!(
        body(&mut answers).await,
        r#"{"code":-32602,"message":"the server does not tell of changes of \"file:///a\""}"#
    );
    server.cancelled(reply.id_text()).await;

    let mut answers = client.ask("2", "resources/subscribe", URI).await;
    server.next("subscriptions/listen").await.1.fail(-32602, "no such resource", None);
    assert_eq!(body(&mut answers).await, r#"{"code":-32602,"message":"no such resource"}"#);

    for bad in ["", "{}", r#"{"uri":1}"#] {
        assert_eq!(
            body(&mut client.ask("3", "resources/subscribe", bad).await).await,
            r#"{"code":-32602,"message":"resources/subscribe: the params have no uri"}"#
        );
    }
    let long = format!(r#"{{"uri":"{}"}}"#, "x".repeat(8193));
    assert_eq!(
        body(&mut client.ask("4", "resources/subscribe", &long).await).await,
        r#"{"code":-32000,"message":"a URI of 8193 bytes is too long to subscribe to; 8192 may be"}"#
    );
    assert!(server.is_quiet());
}

#[tokio::test]
async fn subscriptions_that_wait_share_a_stream_and_one_bad_one_spoils_no_other() {
    let (client, mut server) = session().await;
    let mut first = client.ask("1", "resources/subscribe", URI).await;
    let (_, reply) = server.next("subscriptions/listen").await;
    // These come while the first is not acknowledged.
    let mut good = client.ask("2", "resources/subscribe", r#"{"uri":"b:"}"#).await;
    let mut bad = client.ask("3", "resources/subscribe", r#"{"uri":"c:"}"#).await;
    settle().await;
    let granted = format!(r#""notifications":{},"#, uris(&["file:///a"]));
    say(&server, &reply, "notifications/subscriptions/acknowledged", &granted).await;
    assert_eq!(body(&mut first).await, "{}");
    let (params, both) = server.next("subscriptions/listen").await;
    assert_eq!(params, listen(&uris(&["file:///a", "b:", "c:"])));
    both.fail(-32602, "c: is none", None);
    let second = acknowledge(&mut server, &uris(&["file:///a", "b:"]), &uris(&["file:///a", "b:"])).await;
    assert_eq!(body(&mut good).await, "{}");
    server.cancelled(reply.id_text()).await;
    let (params, third) = server.next("subscriptions/listen").await;
    assert_eq!(params, listen(&uris(&["file:///a", "b:", "c:"])));
    third.fail(-32602, "c: is none", None);
    assert_eq!(body(&mut bad).await, r#"{"code":-32602,"message":"c: is none"}"#);
    assert!(server.is_quiet(), "the stream before stands");
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_is_opened_again_and_everything_is_said_to_have_changed() {
    let (mut client, mut server) = session().await;
    client.tell("notifications/initialized", "").await;
    let lists = r#"{"toolsListChanged":true,"promptsListChanged":true}"#;
    let reply = acknowledge(&mut server, lists, lists).await;
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    let all = r#"{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["file:///a"]}"#;
    let second = acknowledge(&mut server, all, all).await;
    body(&mut answers).await;
    server.cancelled(reply.id_text()).await;

    // One that ends as it should, one that breaks, one that the server refuses: the next comes later each time.
    let mut lost = second;
    let floor = Duration::from_secs(1);
    for turn in 0..6 {
        let begun = Instant::now();
        match turn % 2 {
            0 => lost.answer(Frame::result("0", r#"{"resultType":"complete"}"#)),
            _ => drop(lost),
        }
        let (params, refused) = server.next("subscriptions/listen").await;
        assert_eq!(params, listen(all));
        assert!(begun.elapsed() >= floor && begun.elapsed() <= Duration::from_secs(31), "{:?}", begun.elapsed());
        let begun = Instant::now();
        refused.fail(-32000, "busy", None);
        lost =
            acknowledge(&mut server, all, r#"{"toolsListChanged":true,"resourceSubscriptions":["file:///a"]}"#).await;
        assert!(begun.elapsed() >= floor && begun.elapsed() <= Duration::from_secs(31), "{:?}", begun.elapsed());
        assert_eq!(client.unsolicited().await, told("tools/list_changed", ""));
        assert_eq!(client.unsolicited().await, told("resources/updated", URI));
        settle().await;
        assert!(client.peer.rx.try_recv().is_none(), "prompts were not granted this time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_subscriptions_is_not_asked_again() {
    let (client, mut server) = session().await;
    client.tell("notifications/initialized", "").await;
    server.next("subscriptions/listen").await.1.fail(-32601, "Method not found", None);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(server.is_quiet());
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    server.next("subscriptions/listen").await.1.fail(-32601, "Method not found", None);
    assert_eq!(body(&mut answers).await, r#"{"code":-32601,"message":"Method not found"}"#);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_is_waited_for_a_while() {
    let (client, mut server) = session().await;
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    let (_, reply) = server.next("subscriptions/listen").await;
    assert_eq!(
        body(&mut answers).await,
        r#"{"code":-32000,"message":"the server did not acknowledge subscriptions/listen in time"}"#
    );
    server.cancelled(reply.id_text()).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_unsubscribe_ends_the_stream_all_the_same() {
    let (mut client, mut server) = session().await;
    let mut answers = client.ask("1", "resources/subscribe", URI).await;
    let first = acknowledge(&mut server, &uris(&["file:///a"]), &uris(&["file:///a"])).await;
    body(&mut answers).await;
    let mut answers = client.ask("2", "resources/subscribe", r#"{"uri":"b:"}"#).await;
    let both = uris(&["file:///a", "b:"]);
    let second = acknowledge(&mut server, &both, &both).await;
    body(&mut answers).await;
    server.cancelled(first.id_text()).await;

    let mut answers = client.ask("3", "resources/unsubscribe", r#"{"uri":"b:"}"#).await;
    server.next("subscriptions/listen").await.1.fail(-32603, "no", None);
    assert_eq!(body(&mut answers).await, "{}");
    server.cancelled(second.id_text()).await;
    let _third = acknowledge(&mut server, &uris(&["file:///a"]), &uris(&["file:///a"])).await;
    assert_eq!(client.unsolicited().await, told("resources/updated", URI), "it was not heard of for a while");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_each_change_once() {
    let (mut client, mut server) = session().await;
    client.tell("notifications/initialized", "").await;
    let lists = r#"{"toolsListChanged":true,"promptsListChanged":true}"#;
    let reply = acknowledge(&mut server, lists, lists).await;
    // More than the peer and every buffer on the way hold.
    for _ in 0..500 {
        say(&server, &reply, "notifications/tools/list_changed", "").await;
    }
    say(&server, &reply, "notifications/prompts/list_changed", "").await;
    settle().await;
    let mut got = Vec::new();
    while let Some(envelope) = client.peer.rx.try_recv() {
        got.push(envelope.frame.method().to_string());
        settle().await;
    }
    assert!(got.len() <= 66, "{}", got.len());
    assert_eq!(got.iter().filter(|method| method.contains("prompts")).count(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_takes_back_what_was_not_acknowledged() {
    let (client, mut server) = session().await;
    let answers = client.ask("1", "resources/subscribe", URI).await;
    let (_, reply) = server.next("subscriptions/listen").await;
    drop((client, answers));
    server.cancelled(reply.id_text()).await;
}

#[tokio::test]
async fn subscriptions_of_one_client_are_bounded() {
    let (client, mut server) = session().await;
    client.scope.spawn(async move {
        let mut kept = Vec::new();
        while let Some(Envelope { frame, reply, .. }) = server.rx.recv().await {
            let Some(reply) = reply else { continue };
            let filter = frame.body().and_then(Object::parse).unwrap().get("notifications").unwrap().to_string();
            let granted = format!(r#""notifications":{filter},"#);
            say(&server, &reply, "notifications/subscriptions/acknowledged", &granted).await;
            kept.push(reply);
        }
    });
    for batch in 0..32 {
        let mut all = Vec::new();
        for n in 0..32 {
            let uri = format!(r#"{{"uri":"a:{batch}/{n}"}}"#);
            all.push(client.ask("1", "resources/subscribe", &uri).await);
        }
        for mut answers in all {
            assert_eq!(body(&mut answers).await, "{}");
        }
    }
    assert_eq!(
        body(&mut client.ask("2", "resources/subscribe", r#"{"uri":"b:"}"#).await).await,
        r#"{"code":-32000,"message":"a client may have 1024 subscriptions; end others first"}"#
    );
}
