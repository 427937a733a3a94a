//! The Rust SDK on both ends of a bridge and in another era on each: its modern client at its server in the legacy era, its
//! legacy client at its server in the modern one. Its server speaks both, so the bridge is told which one it is.

use rmcp::{
    handler::server::tool::{InputResponses, RequestState},
    model::{
        CallToolResponse, CallToolResult, ContentBlock, ElicitRequest, GetPromptRequestParams, GetPromptResponse,
        GetPromptResult, InputRequest, InputRequests, InputRequiredResult, ListPromptsResult, ListResourcesResult,
        PaginatedRequestParams, Prompt, PromptMessage, ReadResourceRequestParams, ReadResourceResponse,
        ReadResourceResult, Resource, ResourceContents, Role,
    },
};

use super::{modern::modern_only, *};

/// A server that serves each request in the era that it came in.
#[derive(Clone)]
struct Inn;

fn question() -> ElicitRequestParams {
    let schema = json!({"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]});
    let requested_schema = serde_json::from_value(schema).unwrap();
    ElicitRequestParams::FormElicitationParams { meta: None, message: "Who?".into(), requested_schema }
}

fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

#[tool_router]
impl Inn {
    #[tool(description = "Adds")]
    fn sum(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "Reports progress")]
    async fn steps(&self, meta: RequestMetaObject, client: Peer<RoleServer>) -> Result<String, ErrorData> {
        let token = meta.get_progress_token().ok_or_else(|| internal("no token"))?;
        for step in 1..=3 {
            let progress = ProgressNotificationParam::new(token.clone(), f64::from(step));
            client.notify_progress(progress).await.map_err(internal)?;
        }
        Ok("done".into())
    }

    #[tool(description = "Asks the user, and says in which era")]
    async fn ask(
        &self,
        meta: RequestMetaObject,
        client: Peer<RoleServer>,
        RequestState(state): RequestState,
        InputResponses(responses): InputResponses,
    ) -> Result<CallToolResponse, ErrorData> {
        let modern = meta.protocol_version() == Some(ProtocolVersion::V_2026_07_28);
        let (era, answer) = if !modern {
            let given = client.create_elicitation(question()).await.map_err(internal)?;
            ("legacy", given.content.map(|content| content["answer"].clone()))
        } else if state.is_none() {
            let mut requests = InputRequests::new();
            requests.insert("who".into(), InputRequest::Elicitation(ElicitRequest::new(question())));
            return Ok(InputRequiredResult::new(Some(requests), Some("asked".into())).into());
        } else {
            ("modern", responses.and_then(|all| Some(all.get("who")?["content"]["answer"].clone())))
        };
        let text = format!("{era}: {}", answer.unwrap_or_default());
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

#[tool_handler]
impl ServerHandler for Inn {
    fn get_info(&self) -> ServerConfig {
        let offers = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources();
        ServerConfig::new(offers.build())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new("greet", Some("Greets"), None)]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, request.name)]).into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("inn://menu", "menu")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(ReadResourceResult::new(vec![ResourceContents::text("soup", request.uri)]).into())
    }
}

/// All that it offers, in the era that `server` says.
async fn use_the_inn((client, mut heard): Connected, server: &str) {
    assert_eq!(soon("tools/list", client.list_all_tools()).await.unwrap().len(), 3);
    assert_eq!(text(&call(&client, "sum", json!({"a": 40, "b": 2})).await), "42");
    assert_eq!(text(&call(&client, "steps", json!({})).await), "done");
    for step in 1..=3 {
        assert_eq!(soon("progress", heard.recv()).await.unwrap(), format!("progress {step}"));
    }
    let answered = call(&client, "ask", json!({})).await;
    assert_eq!(text(&answered), format!("{server}: \"from rmcp\""));
    assert_eq!(soon("prompts/list", client.list_all_prompts()).await.unwrap()[0].name, "greet");
    let prompt = soon("prompts/get", client.get_prompt(GetPromptRequestParams::new("greet"))).await.unwrap();
    let prompt = serde_json::to_value(prompt).unwrap();
    assert_eq!(prompt["messages"][0]["content"]["text"], "greet");
    assert_eq!(soon("resources/list", client.list_all_resources()).await.unwrap()[0].uri, "inn://menu");
    let read = client.read_resource(ReadResourceRequestParams::new("inn://menu"));
    let read = serde_json::to_value(soon("resources/read", read).await.unwrap()).unwrap();
    assert_eq!(read["contents"][0]["text"], "soup");
    soon("the end of the client", client.cancel()).await.unwrap();
}

/// The client's era, and the server's.
fn pairs() -> [(ClientLifecycleMode, &'static str); 4] {
    let legacy = || ClientLifecycleMode::Initialize;
    [(modern_only(), "legacy"), (legacy(), "modern"), (modern_only(), "modern"), (legacy(), "legacy")]
}

async fn connect(url: &str, era: &str, lifecycle: ClientLifecycleMode) -> Connected {
    let (told, heard) = mpsc::channel(64);
    let transport = command(&["connect", "--server-era", era, url]);
    let serving = Host { told }.serve_with_lifecycle(transport, lifecycle);
    (soon("the opening over stdio", serving).await.unwrap(), heard)
}

#[test]
#[ignore = "is no test: it is the stdio server that the next test has the bridge start"]
fn a_rust_sdk_server_of_both_eras_on_stdio() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Inn.serve(rmcp::transport::stdio()).await.unwrap();
        server.waiting().await.unwrap();
    });
}

#[tokio::test]
async fn the_rust_sdk_crosses_eras_at_a_stdio_server() {
    let program = std::env::current_exe().unwrap();
    let name = "rmcp::pairs::a_rust_sdk_server_of_both_eras_on_stdio";
    let server = [program.to_str().unwrap(), "-q", "--ignored", "--nocapture", "--exact", name];
    for (lifecycle, era) in pairs() {
        eprintln!("{lifecycle:?} at a {era} server");
        let bridge = Bridge::start(&[&["serve", "--server-era", era, "--"], &server[..]].concat()).await;
        let (told, heard) = mpsc::channel(64);
        let transport = StreamableHttpClientTransport::from_uri(bridge.url("/mcp"));
        let serving = Host { told }.serve_with_lifecycle(transport, lifecycle);
        let client = soon("the opening over HTTP", serving).await.unwrap();
        Box::pin(use_the_inn((client, heard), era)).await;
        bridge.stop().await;
    }
}

#[tokio::test]
async fn the_rust_sdk_crosses_eras_at_a_url() {
    let (url, _serving) = at_a_url(|| Inn, StreamableHttpServerConfig::default().with_legacy_session_mode(true)).await;
    for (lifecycle, era) in pairs() {
        eprintln!("{lifecycle:?} at a {era} server");
        Box::pin(use_the_inn(connect(&url, era, lifecycle).await, era)).await;
    }
}
