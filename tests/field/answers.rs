//! Statements 1 to 5: each caller gets its own answers, under its own ids.

use serde_json::json;

use crate::support::{
    client::{Client, Kind, On, initialize, tool, tool_with_progress},
    program::Bridge,
    route::{Route, over_every_pair},
};

#[tokio::test]
async fn field_01_two_sse_clients_with_equal_ids_get_their_own_answers() {
    for flags in [vec!["stdio-to-sse"], vec!["stdio-to-sse", "--shared"]] {
        let bridge = Bridge::demo(&flags).await;
        let (mut one, mut two) = (bridge.sse().await, bridge.sse().await);
        for round in 0..20 {
            one.send(&tool("7", "echo", json!({"message": format!("one {round}")}))).await;
            two.send(&tool("7", "echo", json!({"message": format!("two {round}")}))).await;
            assert_eq!(two.answer("7").await.tool_text(), format!("two {round}"));
            assert_eq!(one.answer("7").await.tool_text(), format!("one {round}"));
        }
        assert!(one.finish().await.is_empty() && two.finish().await.is_empty(), "exactly one answer each");
        bridge.stop().await;
    }
}

#[tokio::test]
async fn field_02_a_second_client_gets_its_own_initialize_result_once() {
    for flags in [vec!["serve"], vec!["serve", "--shared"]] {
        let bridge = Bridge::demo(&flags).await;
        let mut clients = vec![Client::sse(bridge.addr, "/sse").await, Client::sse(bridge.addr, "/sse").await];
        clients.extend([Client::http(bridge.addr, "/mcp"), Client::http(bridge.addr, "/mcp")]);
        for client in &mut clients {
            client.send(&initialize("1", "2025-06-18")).await;
        }
        for mut client in clients {
            let result = client.answer("1").await;
            assert_eq!(result.json["result"]["serverInfo"]["name"], "mcp-bridge-demo", "{}", result.text);
            client.check("it works").await;
            assert!(client.finish().await.is_empty(), "the result came once");
        }
        bridge.stop().await;
    }
}

#[tokio::test]
async fn field_03_progress_arrives_on_the_stream_of_its_own_call() {
    for flags in [vec!["stdio-to-http"], vec!["stdio-to-http", "--shared"]] {
        let bridge = Bridge::demo(&flags).await;
        let mut client = bridge.client(Kind::Http).await;
        // The tokens are the other call's id, to tell a router that mixes the two up.
        let work = json!({"steps": 10, "step_ms": 20});
        client.send(&tool_with_progress("1", "2", "slow", work.clone())).await;
        client.send(&tool_with_progress("2", "1", "slow", work)).await;
        client.answer("1").await;
        client.answer("2").await;
        let rest = client.finish().await;
        for (call, token) in [("1", 2), ("2", 1)] {
            let on: Vec<_> = rest.iter().filter(|message| message.on == On::Call(call.into())).collect();
            assert!(on.iter().all(|message| message.json["params"]["progressToken"] == token), "{on:?}");
            let steps: Vec<_> = on.iter().map(|message| message.json["params"]["progress"].as_u64().unwrap()).collect();
            assert_eq!(steps, (1..=10).collect::<Vec<_>>());
        }
        assert_eq!(rest.len(), 20, "nothing on the stream of what belongs to no call");
        bridge.stop().await;
    }
}

/// As JSON text. The last ones are no ids that a client should use, and come back all the same.
const IDS: [&str; 12] = [
    r#""abc-1""#,
    r#""a:b""#,
    "0",
    "9007199254740991",
    "-5",
    "-9007199254740991",
    r#""""#,
    r#""0""#,
    r#""é \"quoted\" \\ ""#,
    r#""\u00e9\/""#,
    "9007199254740993",
    "1.0",
];

async fn ids_come_back(client: &mut Client) {
    for id in IDS {
        client.send(&tool(id, "echo", json!({"message": "x"}))).await;
        let answer = client.wait_for(&format!("the answer to {id}"), |message| message.is_answer()).await;
        assert!(answer.text.contains(&format!(r#""id":{id},"#)), "{id} came back as {}", answer.text);
    }
}

over_every_pair! {
    async fn field_04_ids_come_back_byte_for_byte(route: Route) {
        let way = route.start().await;
        let mut client = way.client().await;
        ids_come_back(&mut client).await;
        client.finish().await;
        way.stop().await;
    }
}

#[tokio::test]
async fn field_04_ids_come_back_byte_for_byte_from_a_shared_server() {
    let bridge = Bridge::demo(&["serve", "--shared"]).await;
    for kind in [Kind::Sse, Kind::Http] {
        ids_come_back(&mut bridge.client(kind).await).await;
    }
    bridge.stop().await;
}

over_every_pair! {
    async fn field_05_an_id_in_flight_is_refused_and_the_first_call_still_answered(route: Route) {
        let way = route.start().await;
        let mut client = way.client().await;
        client.send(&tool("7", "ask", json!({"message": "?"}))).await;
        let question = client.message("elicitation/create").await;
        client.send(&tool("7", "echo", json!({"message": "second"}))).await;
        let refused = client.answer("7").await;
        assert_eq!(refused.error(), (-32600, "this id is in use by a request that is still in flight"));
        assert_eq!(refused.status, if route == Route::ChildToHttp { 400 } else { 200 });
        client.reply(&question, json!({"action": "accept", "content": {"answer": "first"}})).await;
        assert_eq!(client.answer("7").await.tool_text(), "The user answered: first");
        // An answered id is free again.
        client.send(&tool("7", "echo", json!({"message": "third"}))).await;
        assert_eq!(client.answer("7").await.tool_text(), "third");
        assert!(client.finish().await.is_empty());
        way.stop().await;
    }
}
