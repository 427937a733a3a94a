//! Messages of servers that are not as they should be.

use serde_json::json;

use super::V;
use crate::support::{
    client::{Client, Kind, On, initialize, notification, tool},
    program::Bridge,
    script::{Script, initialize_result, text},
};

/// The handshake of a client with a scripted server.
async fn open(client: &mut Client, script: &mut Script) {
    client.send(&initialize("0", V)).await;
    script.post("initialize").await.initialized("one", V).await;
    client.answer("0").await;
    client.send(&notification("notifications/initialized")).await;
    script.post("notifications/initialized").await.reply(202, &[], "").await;
    script.expect("GET").await.reply(405, &[], "").await;
}

/// The answer of a child that is over the limit is an error to its call, and the next answer comes.
#[tokio::test]
async fn an_over_long_answer_of_a_child() {
    let bridge = Bridge::demo(&["serve", "--max-message", "64KiB"]).await;
    for kind in [Kind::Sse, Kind::Http] {
        let mut client = bridge.client(kind).await;
        let answer = client.call("big", json!({"bytes": 100_000})).await;
        assert_eq!(answer.error().0, -32603, "{}", answer.text);
        assert!(answer.error().1.contains("larger than 65536 bytes (--max-message)"), "{}", answer.text);
        client.check("the next one").await;
    }
    bridge.stop().await;
}

#[tokio::test]
async fn an_over_long_answer_of_a_remote_server() {
    let mut script = Script::start().await;
    let mut client = Client::stdio(&["http-to-stdio", "--max-message", "64KiB", &script.url("/mcp")]);
    open(&mut client, &mut script).await;
    client.send(&tool("1", "big", json!({}))).await;
    script.post("tools/call").await.result(text(&"x".repeat(100_000))).await;
    let answer = client.answer("1").await;
    assert!(
        answer.error().1.ends_with("sent an answer larger than 65536 bytes; raise --max-message"),
        "{}",
        answer.text
    );
    client.send(&tool("2", "big", json!({}))).await;
    let mut sse = script.post("tools/call").await.sse().await;
    sse.message(&json!({"jsonrpc": "2.0", "id": 2, "result": text(&"x".repeat(100_000))}).to_string()).await;
    let answer = client.answer("2").await;
    assert!(answer.error().1.contains("65536"), "{}", answer.text);
    client.send(&tool("3", "small", json!({}))).await;
    script.post("tools/call").await.result(text("fine")).await;
    assert_eq!(client.answer("3").await.tool_text(), "fine");
}

/// Events that are no messages are dropped, and the stream goes on.
#[tokio::test]
async fn garbage_on_the_streams_of_remote_servers() {
    let garbage = "data: no json\n\n: comment\n\nevent: other\ndata: {}\n\nid: 1\n\ndata\n\nunknown: x\n\n\
                   data: {\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}\n\ndata: []\n\n\
                   data: {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n\n";
    let mut script = Script::start().await;
    let mut client = Client::stdio(&["http-to-stdio", &script.url("/mcp")]);
    open(&mut client, &mut script).await;
    client.send(&tool("1", "x", json!({}))).await;
    let mut sse = script.post("tools/call").await.sse().await;
    sse.raw("data: no json\n\n: comment\n\nevent: other\ndata: {}\n\ndata\n\nunknown: x\n\ndata: []\n\n").await;
    sse.message(&json!({"jsonrpc": "2.0", "id": 1, "result": text("after all")}).to_string()).await;
    assert_eq!(client.answer("1").await.tool_text(), "after all");

    let mut script = Script::start().await;
    let mut client = Client::stdio(&["sse-to-stdio", &script.url("/sse")]);
    client.send(&initialize("0", V)).await;
    let mut sse = script.expect("GET").await.sse().await;
    sse.raw("\u{feff}event: endpoint\r\ndata: /messages\r\n\r\n").await;
    script.post("initialize").await.reply(202, &[], "").await;
    sse.raw(garbage).await;
    sse.message(&json!({"jsonrpc": "2.0", "id": 0, "result": initialize_result(V)}).to_string()).await;
    assert_eq!(client.next().await.json["id"], 0, "and nothing of the garbage");
}

/// Where a server of the older transport sends its clients: never to another origin.
#[tokio::test]
async fn an_endpoint_of_another_origin() {
    for endpoint in
        ["http://evil.example/messages", "//evil.example/messages", "javascript:alert(1)", "http://u:p@127.0.0.1/", ""]
    {
        let mut script = Script::start().await;
        let url = script.url("/sse");
        let mut client = Client::stdio(&["sse-to-stdio", "--retries", "0", &url]);
        client.send(&initialize("0", V)).await;
        let mut sse = script.expect("GET").await.sse().await;
        sse.raw(&format!("event: endpoint\ndata: {endpoint}\n\n")).await;
        let answer = client.answer("0").await;
        let start = format!("{url} does not speak MCP over SSE: its endpoint event ");
        assert!(answer.error().1.starts_with(&start), "{endpoint}: {}", answer.text);
        assert_eq!(client.program().code().await, 69);
        assert!(script.rest().is_empty(), "no message was sent anywhere");
    }
}

/// A redirect to another origin: a GET follows without credentials, a message does not follow at all unless the method is
/// kept, and then without what belongs to the first origin.
#[tokio::test]
async fn a_redirect_to_another_origin_carries_nothing() {
    let (mut first, mut second) = (Script::start().await, Script::start().await);
    let url = first.url("/mcp");
    let secret = ["--bearer", "t0p", "-H", "X-Api-Key: k3y"];
    let mut client = Client::stdio(&[&["http-to-stdio", "--retries", "0"], &secret[..], &[&url]].concat());
    client.send(&initialize("0", V)).await;
    let post = first.post("initialize").await;
    assert_eq!((post.header("authorization"), post.header("x-api-key")), (Some("Bearer t0p"), Some("k3y")));
    post.reply(307, &[("Location", &second.url("/mcp"))], "").await;
    let post = second.post("initialize").await;
    assert_eq!((post.header("authorization"), post.header("x-api-key")), (None, None));
    post.initialized("theirs", V).await;
    client.answer("0").await;
    // The session is the second server's: its id goes there, and the first server's credentials still do not.
    client.send(&notification("notifications/initialized")).await;
    let post = second.post("notifications/initialized").await;
    assert_eq!((post.header("mcp-session-id"), post.header("authorization")), (Some("theirs"), None));
    post.reply(202, &[], "").await;
    second.expect("GET").await.reply(405, &[], "").await;
    client.send(&tool("1", "x", json!({}))).await;
    second.post("tools/call").await.reply(307, &[("Location", &first.url("/mcp"))], "").await;
    let post = first.post("tools/call").await;
    assert_eq!(post.header("mcp-session-id"), None, "the session's id stays with its server");
    post.result(text("x")).await;
    client.answer("1").await;
    // 302 would turn the message into a GET.
    let mut third = Script::start().await;
    let mut client = Client::stdio(&["http-to-stdio", "--retries", "0", &third.url("/mcp")]);
    client.send(&initialize("0", V)).await;
    third.post("initialize").await.reply(302, &[("Location", &second.url("/mcp"))], "").await;
    let answer = client.answer("0").await;
    assert!(answer.error().1.contains("it redirects messages to another origin"), "{}", answer.text);
    assert_eq!(client.program().code().await, 69);
}

/// `retry` of nothing and of ages is brought within bounds: the stream is asked for again, neither at once without end nor
/// never.
#[tokio::test]
async fn a_retry_of_zero_or_for_ever() {
    for retry in ["0", "1000000000000000000"] {
        let mut script = Script::start().await;
        let mut client = Client::stdio(&["http-to-stdio", &script.url("/mcp")]);
        client.send(&initialize("0", "2025-11-25")).await;
        script.post("initialize").await.initialized("one", "2025-11-25").await;
        client.answer("0").await;
        client.send(&notification("notifications/initialized")).await;
        script.post("notifications/initialized").await.reply(202, &[], "").await;
        script.expect("GET").await.reply(405, &[], "").await;
        client.send(&tool("1", "x", json!({}))).await;
        let mut sse = script.post("tools/call").await.sse().await;
        sse.raw(&format!("id: a\nretry: {retry}\ndata: \n\n")).await;
        drop(sse);
        if retry == "0" {
            // Attempts that bring nothing come further and further apart, and end.
            let begun = std::time::Instant::now();
            for _ in 0..3 {
                script.expect("GET").await.reply(500, &[], "").await;
            }
            assert!(begun.elapsed().as_millis() > 10, "attempts without a pause");
        }
        // The upper bound is half a minute or so: not waited for here. The client is not held up by it.
        drop(client.program().stdin.take());
        drop(client);
    }
}

/// A session id that would break out of its header.
#[tokio::test]
async fn a_session_id_that_is_no_plain_text() {
    for id in ["a b", "", "\u{e9}"] {
        let mut script = Script::start().await;
        let url = script.url("/mcp");
        let mut client = Client::stdio(&["http-to-stdio", "--retries", "0", &url]);
        client.send(&initialize("0", V)).await;
        script.post("initialize").await.initialized(id, V).await;
        let answer = client.answer("0").await;
        let expected = format!("{url} sent an Mcp-Session-Id that is not visible ASCII; it is not a conforming server");
        assert_eq!(answer.error().1, expected);
        assert_eq!(client.program().code().await, 69);
    }
}

/// Over the stream of a call that nobody reads any more, and on one that was never there.
#[tokio::test]
async fn answers_to_nothing_are_dropped() {
    let bridge = Bridge::demo(&["serve"]).await;
    for kind in [Kind::Sse, Kind::Http] {
        let mut client = bridge.client(kind).await;
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"m"}}"#,
        ] {
            client.send(text).await;
        }
        client.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"none"}}"#).await;
        client
            .send(
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"none","progress":1}}"#,
            )
            .await;
        client.check("nothing happened").await;
        assert!(client.finish().await.iter().all(|message| message.on != On::Pipe));
    }
    bridge.stop().await;
}
