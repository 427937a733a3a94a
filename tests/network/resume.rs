//! Resumption: a stream goes on where the client lost it, with nothing lost and nothing twice.

use std::time::Duration;

use mcp_bridge::{
    config::{Limits, Sharing},
    message::Frame,
    peer::Reply,
};

use super::support::*;

/// A call of session `session` that has become a stream, and the way home for its answer.
async fn streaming(front: &Front, session: &str, server: &mut Server) -> (Answer, Reply) {
    let call = front.call(session, &request("1", "tools/call"));
    let (_, reply) = server.request().await;
    reply.update(update(note(0))).await.unwrap();
    (call.await.unwrap(), reply)
}

async fn resume(front: &Front, session: &str, id: &str) -> Answer {
    front.get(&format!("{session}Last-Event-ID: {id}\r\n")).await
}

fn progress(frame: &Frame) -> usize {
    let body: serde_json::Value = serde_json::from_str(frame.body().unwrap()).unwrap();
    usize::try_from(body["progress"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn a_dropped_stream_goes_on_with_nothing_lost_and_nothing_twice() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let (mut answer, reply) = streaming(&front, &session, &mut server).await;
    let (first, mut last) = answer.message().await;
    let mut seen = vec![progress(&first)];
    for round in 0..5 {
        let base = seen.len();
        for n in base..base + 10 {
            reply.update(update(note(n))).await.unwrap();
        }
        // Some are read before the connection drops, some are lost on the way, some come while nobody is there.
        for _ in 0..round {
            let (frame, id) = answer.message().await;
            seen.push(progress(&frame));
            last = id;
        }
        drop(answer);
        for n in base + 10..base + 20 {
            reply.update(update(note(n))).await.unwrap();
        }
        answer = resume(&front, &session, &last).await;
        assert_eq!(answer.status, 200);
        while seen.len() < base + 20 {
            let (frame, id) = answer.message().await;
            seen.push(progress(&frame));
            last = id;
        }
    }
    drop(answer);
    reply.answer(result("{}"));
    let mut answer = resume(&front, &session, &last).await;
    assert!(answers(&answer.message().await.0, "1"));
    assert!(answer.event().await.is_none());
    assert_eq!(seen, (0..seen.len()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_can_be_read_again_after_its_call_has_finished() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let (mut answer, reply) = streaming(&front, &session, &mut server).await;
    reply.update(update(note(1))).await.unwrap();
    reply.answer(result("{}"));
    let all = answer.rest().await;
    assert_eq!(all.len(), 3);
    let again: Vec<_> = resume(&front, &session, &all[0].1).await.rest().await;
    let texts = |all: &[(Frame, String)]| -> Vec<_> {
        all.iter().map(|(frame, id)| (frame.bytes().clone(), id.clone())).collect()
    };
    assert_eq!(texts(&again), texts(&all[1..]));
    assert!(resume(&front, &session, &all[2].1).await.rest().await.is_empty());
}

#[tokio::test]
async fn resuming_takes_the_stream_from_a_connection_that_still_holds_it() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let (mut old, reply) = streaming(&front, &session, &mut server).await;
    let (_, id) = old.message().await;
    let mut new = resume(&front, &session, &id).await;
    assert!(old.event().await.is_none(), "the old connection's stream ends");
    reply.update(update(note(1))).await.unwrap();
    reply.answer(result("{}"));
    assert_eq!(new.rest().await.len(), 2);
}

#[tokio::test]
async fn the_standalone_stream_resumes_as_well() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let mut stream = front.get(&session).await;
    server.say(note(0)).await;
    let (_, id) = stream.message().await;
    server.say(note(1)).await;
    let (lost, _) = stream.message().await;
    assert_eq!(progress(&lost), 1);
    drop(stream);
    server.say(note(2)).await;
    // The answer to the call says that what was said before it has been taken.
    let call = front.call(&session, &request("1", "x"));
    let (_, reply) = server.request().await;
    reply.answer(result("{}"));
    call.await.unwrap();
    let mut stream = resume(&front, &session, &id).await;
    assert_eq!(progress(&stream.message().await.0), 1);
    assert_eq!(progress(&stream.message().await.0), 2);
    server.say(note(3)).await;
    assert_eq!(progress(&stream.message().await.0), 3);
}

#[tokio::test]
async fn requests_of_the_server_that_were_lost_come_again_and_can_be_answered() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let mut stream = front.get(&session).await;
    server.say(note(0)).await;
    let (_, id) = stream.message().await;
    server.ask(Frame::parse(request("7", "roots/list").into()).unwrap()).await;
    stream.message().await;
    drop(stream);
    let mut stream = resume(&front, &session, &id).await;
    assert_eq!(stream.message().await.0.method(), "roots/list");
    front.post(&session, r#"{"jsonrpc":"2.0","id":7,"result":{}}"#).await;
    assert!(answers(&server.next().await.frame, "7"));
}

#[tokio::test]
async fn ids_of_other_sessions_and_made_up_ones_are_400_and_replay_nothing() {
    let mut front = Front::start().await;
    let (mine, mut my_server) = front.session("2025-06-18").await;
    let (theirs, mut their_server) = front.session("2025-06-18").await;
    let (mut my_answer, _my_reply) = streaming(&front, &mine, &mut my_server).await;
    let (mut their_answer, _their_reply) = streaming(&front, &theirs, &mut their_server).await;
    let (_, their_id) = their_answer.message().await;
    let (_, my_id) = my_answer.message().await;
    let (stream, number) = my_id.split_once('-').unwrap();
    let ahead = format!("{stream}-{}", number.parse::<u32>().unwrap() + 1);
    for id in [their_id.as_str(), "x", "", "0-0", &ahead, &format!("{my_id}\r\nLast-Event-ID: {my_id}")] {
        let mut answer = resume(&front, &mine, id).await;
        assert_eq!(answer.status, 400, "{id}");
        assert_eq!(answer.error().await, ("null".into(), -32600), "{id}");
    }
}

#[tokio::test]
async fn what_the_log_has_lost_is_told_and_never_skipped() {
    let limits = Limits { replay_events: 3, ..Limits::default() };
    let mut front = Front::with(limits, spec(), Sharing::Own).await;
    let (session, mut server) = front.session("2025-06-18").await;
    let (mut answer, reply) = streaming(&front, &session, &mut server).await;
    let (_, first) = answer.message().await;
    for n in 1..6 {
        reply.update(update(note(n))).await.unwrap();
    }
    let mut third = String::new();
    for _ in 1..6 {
        let (frame, id) = answer.message().await;
        if progress(&frame) == 3 {
            third = id;
        }
    }
    drop(answer);
    assert_eq!(resume(&front, &session, &first).await.status, 400);
    let mut answer = resume(&front, &session, &third).await;
    assert_eq!(progress(&answer.message().await.0), 4);
    reply.answer(result("{}"));
    assert_eq!(answer.rest().await.len(), 2);
}

#[tokio::test]
async fn only_clients_of_2025_11_25_get_priming_events() {
    let limits = Limits { answer_patience: Duration::from_millis(1), ..Limits::default() };
    for (revision, primed) in [("2025-03-26", false), ("2025-06-18", false), ("2025-11-25", true)] {
        let mut front = Front::with(limits.clone(), spec(), Sharing::Own).await;
        let (session, mut server) = front.session(revision).await;
        let mut stream = front.get(&session).await;
        let call = front.call(&session, &request("1", "tools/call"));
        let (_, reply) = server.request().await;
        let mut answer = call.await.unwrap();
        if primed {
            for stream in [&mut stream, &mut answer] {
                let event = stream.event().await.unwrap();
                assert!(event.id.is_some() && event.payload().is_none(), "{event:?}");
                assert_eq!(event.retry, Some(Duration::from_secs(1)));
            }
        }
        server.say(note(0)).await;
        let event = stream.event().await.unwrap();
        assert!(event.payload().is_some() && event.retry.is_none() && event.id.is_some(), "{event:?}");
        reply.answer(result("{}"));
        assert_eq!(answer.rest().await.len(), 1);
    }
}

#[tokio::test]
async fn a_priming_event_is_enough_to_come_back() {
    let limits = Limits { answer_patience: Duration::from_millis(1), ..Limits::default() };
    let mut front = Front::with(limits, spec(), Sharing::Own).await;
    let (session, mut server) = front.session("2025-11-25").await;
    let call = front.call(&session, &request("1", "tools/call"));
    let (_, reply) = server.request().await;
    let mut answer = call.await.unwrap();
    let id = answer.event().await.unwrap().id.unwrap();
    drop(answer);
    reply.answer(result("{}"));
    let mut answer = resume(&front, &session, std::str::from_utf8(id.as_bytes()).unwrap()).await;
    assert!(answers(&answer.message().await.0, "1"));
    assert!(answer.event().await.is_none());
}

#[tokio::test]
async fn a_burst_of_notifications_arrives_whole_in_order_and_before_the_answer() {
    let mut front = Front::start().await;
    let (session, mut server) = front.session("2025-06-18").await;
    let (mut answer, reply) = streaming(&front, &session, &mut server).await;
    let big = "x".repeat(5_000);
    front.scope.spawn(async move {
        for n in 1..10_000 {
            let frame = match n % 100 {
                0 => Frame::notification(
                    "notifications/progress",
                    Some(&format!(r#"{{"progressToken":1,"progress":{n},"message":"{big}"}}"#)),
                ),
                _ => note(n),
            };
            reply.update(update(frame)).await.unwrap();
        }
        reply.answer(result("{}"));
    });
    let all = answer.rest().await;
    assert_eq!(all.len(), 10_001);
    assert!(all[..10_000].iter().map(|(frame, _)| progress(frame)).eq(0..10_000));
    assert!(answers(&all[10_000].0, "1"));
}
