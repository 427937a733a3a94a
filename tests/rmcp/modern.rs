//! The Rust SDK's client in the modern era, with the demo server as its counterpart: no bridge is between them, so that
//! what a test of the bridge finds later is the bridge's.

use rmcp::{
    model::{ErrorCode, GetPromptRequestParams, ReadResourceRequestParams, ServerNotification, SubscriptionFilter},
    service::{ClientInitializeError, ServiceError},
};

use super::*;

pub(super) fn modern_only() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

fn either() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None }
}

async fn open(words: &[&str], lifecycle: ClientLifecycleMode) -> Result<Connected, ClientInitializeError> {
    let (told, heard) = mpsc::channel(64);
    let serving = Host { told }.serve_with_lifecycle(command(words), lifecycle);
    Ok((soon("the opening over stdio", serving).await?, heard))
}

fn version((client, _): &Connected) -> ProtocolVersion {
    client.peer_info().unwrap().protocol_version.clone()
}

#[tokio::test]
async fn the_rust_sdk_uses_a_modern_server() {
    for words in [&["demo-server", "--era", "modern"][..], &["demo-server"]] {
        let (client, mut heard) = open(words, modern_only()).await.unwrap();
        let tools = soon("tools/list", client.list_all_tools()).await.unwrap();
        assert!(tools.iter().any(|tool| tool.name == "place"));
        assert_eq!(soon("resources/list", client.list_all_resources()).await.unwrap().len(), 27, "over several pages");
        assert_eq!(soon("templates", client.list_all_resource_templates()).await.unwrap().len(), 1);
        let read = client.read_resource(ReadResourceRequestParams::new("demo://item/7"));
        let item = serde_json::to_value(soon("resources/read", read).await.unwrap()).unwrap();
        assert_eq!(item["contents"][0]["text"], "This is item 7.");
        let read = client.read_resource(ReadResourceRequestParams::new("demo://none"));
        let Err(ServiceError::McpError(missing)) = soon("resources/read", read).await else { panic!("it is there") };
        assert_eq!(missing.code, ErrorCode::INVALID_PARAMS);

        assert_eq!(soon("prompts/list", client.list_all_prompts()).await.unwrap().len(), 1);
        let Value::Object(name) = json!({"name": "Ada"}) else { panic!("no object") };
        let get = client.get_prompt(GetPromptRequestParams::new("greet").with_arguments(name));
        let prompt = serde_json::to_value(soon("prompts/get", get).await.unwrap()).unwrap();
        assert!(prompt["messages"][0]["content"]["text"].as_str().unwrap().contains("Ada"));
        let names = soon("completion", client.complete_prompt_simple("greet", "name", "a")).await.unwrap();
        assert_eq!(names, ["Ada", "Alan"]);

        assert_eq!(call(&client, "add", json!({"a": 2, "b": 3})).await["structuredContent"], json!({"sum": 5}));
        assert_eq!(text(&call(&client, "ask", json!({"message": "?"})).await), "The user answered: from rmcp");
        assert_eq!(text(&call(&client, "roots", json!({})).await), "file:///rmcp");
        call(&client, "slow", json!({"steps": 3, "step_ms": 5})).await;
        for step in 1..=3 {
            assert_eq!(soon("progress", heard.recv()).await.unwrap(), format!("progress {step}"));
        }
        let Value::Object(prompt) = json!({"prompt": "?"}) else { panic!("no object") };
        let sample = client.call_tool(CallToolRequestParams::new("sample").with_arguments(prompt));
        let Err(ServiceError::McpError(lacks)) = soon("sample", sample).await else { panic!("it was sampled") };
        assert_eq!(lacks.code, ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY, "sampling is not declared");
        soon("the end of the client", client.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn the_rust_sdk_subscribes_to_a_modern_server() {
    let (client, _heard) = open(&["demo-server", "--era", "modern"], modern_only()).await.unwrap();
    let wanted = SubscriptionFilter::builder()
        .tools_list_changed()
        .resource_subscriptions(vec!["demo://counter".to_owned()])
        .build();
    let mut subscription = soon("the acknowledgment", client.listen(wanted.clone())).await.unwrap();
    assert_eq!(subscription.acknowledged(), &wanted);
    call(&client, "touch", json!({})).await;
    let update = soon("an update", subscription.next()).await.unwrap();
    assert!(matches!(update, Some(ServerNotification::ResourceUpdatedNotification(_))), "{update:?}");
    call(&client, "toggle", json!({})).await;
    let change = soon("a change", subscription.next()).await.unwrap();
    assert!(matches!(change, Some(ServerNotification::ToolListChangedNotification(_))), "{change:?}");
    soon("the end of the subscription", subscription.cancel()).await.unwrap();
    call(&client, "touch", json!({})).await;
    soon("the end of the client", client.cancel()).await.unwrap();
}

#[tokio::test]
async fn the_rust_sdk_finds_out_the_era_of_a_server() {
    for (era, spoken) in [
        ("legacy", ProtocolVersion::V_2025_11_25),
        ("modern", ProtocolVersion::V_2026_07_28),
        ("both", ProtocolVersion::V_2026_07_28),
    ] {
        let connected = open(&["demo-server", "--era", era], either()).await.unwrap();
        assert_eq!(version(&connected), spoken, "{era}");
        assert_eq!(text(&call(&connected.0, "echo", json!({"message": era})).await), era);
        soon("the end of the client", connected.0.cancel()).await.unwrap();
    }
    for era in ["legacy", "both"] {
        let connected = open(&["demo-server", "--era", era], ClientLifecycleMode::Initialize).await.unwrap();
        assert_eq!(version(&connected), ProtocolVersion::V_2025_11_25, "{era}");
        Box::pin(use_the_demo(connected)).await;
    }
    assert!(open(&["demo-server", "--era", "legacy"], modern_only()).await.is_err());
    let Err(refused) = open(&["demo-server", "--era", "modern"], ClientLifecycleMode::Initialize).await else {
        panic!("a modern server took initialize");
    };
    assert!(refused.to_string().contains("2026-07-28"), "it names what it speaks: {refused}");
}
