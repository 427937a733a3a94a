//! The Rust SDK on both ends of a bridge and in another era on each: its modern client at its server in the legacy era, its
//! legacy client at its server in the modern one. Its server speaks both, so the bridge is told which one it is. All that
//! crosses eras is used: tools, prompts, resources, progress, log lines, questions of each kind, cancellation,
//! subscriptions.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use rmcp::{
    handler::server::tool::{InputResponses, RequestState},
    model::{
        CallToolRequest, CallToolResponse, CallToolResult, ClientRequest, ContentBlock, CreateMessageRequest,
        CreateMessageRequestParams, CreateMessageResult, ElicitRequest, GetPromptRequestParams, GetPromptResponse,
        GetPromptResult, InputRequest, InputRequests, InputRequiredResult, ListPromptsResult, ListResourcesResult,
        ListRootsRequest, LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams, Prompt, PromptMessage,
        ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource, ResourceContents,
        ResourceUpdatedNotificationParam, Role, SamplingMessage, ServerNotification, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
    },
    service::{PeerRequestOptions, SubscriptionContext, SubscriptionSink},
};

use super::{modern::modern_only, *};
use crate::support::eventually;

const MENU: &str = "inn://menu";

// ---- its client

/// A client that can be asked anything, and tells the test of what it is told.
struct Guest {
    told: mpsc::Sender<String>,
}

impl ClientHandler for Guest {
    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({"answer": "from rmcp"})))
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        Ok(CreateMessageResult::new(SamplingMessage::assistant_text("sampled"), "model".into()))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(vec![Root::new("file:///rmcp")]))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        drop(self.told.send(format!("progress {}", params.progress)).await);
    }

    async fn on_logging_message(&self, params: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        drop(self.told.send(format!("log {}", params.data)).await);
    }

    async fn on_resource_updated(&self, params: ResourceUpdatedNotificationParam, _: NotificationContext<RoleClient>) {
        drop(self.told.send(format!("updated {}", params.uri)).await);
    }

    fn get_info(&self) -> ClientConfig {
        let capabilities = json!({"elicitation": {}, "sampling": {}, "roots": {"listChanged": true}});
        ClientConfig::new(serde_json::from_value(capabilities).unwrap(), Implementation::new("test", "1"))
    }
}

type Served = (RunningService<RoleClient, Guest>, mpsc::Receiver<String>);

// ---- its server

/// A server that serves each request in the era that it came in. What is cloned is one server.
#[derive(Clone, Default)]
struct Inn {
    listeners: Arc<Mutex<Vec<Listener>>>,
}

/// Who hears when the menu changes.
#[derive(Clone)]
enum Listener {
    Session(Peer<RoleServer>),
    Subscription(SubscriptionSink),
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Place {
    /// Where a note is left.
    dir: String,
}

fn question() -> ElicitRequestParams {
    let schema = json!({"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]});
    let requested_schema = serde_json::from_value(schema).unwrap();
    ElicitRequestParams::FormElicitationParams { meta: None, message: "Who?".into(), requested_schema }
}

fn prompt() -> CreateMessageRequestParams {
    CreateMessageRequestParams::new(vec![SamplingMessage::user_text("2+2?")], 9)
}

fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.meta.protocol_version() == Some(ProtocolVersion::V_2026_07_28)
}

/// The result that asks, or what came of it, in the eras' own ways.
fn answered(request: InputRequest, responses: Option<Value>, path: &str) -> CallToolResponse {
    match responses {
        None => {
            let requests = InputRequests::from([("it".to_owned(), request)]);
            InputRequiredResult::new(Some(requests), Some("asked".into())).into()
        }
        Some(response) => said("modern", response.pointer(path)).into(),
    }
}

fn said(era: &str, what: Option<&Value>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(format!("{era}: {}", what.unwrap_or(&Value::Null)))])
}

/// What a retry brings.
fn response(RequestState(state): RequestState, InputResponses(responses): InputResponses) -> Option<Value> {
    state.map(|_| responses.and_then(|all| all.get("it").cloned()).map(|it| json!(it)).unwrap_or_default())
}

fn value(result: impl serde::Serialize) -> Value {
    serde_json::to_value(result).unwrap()
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
        context: RequestContext<RoleServer>,
        state: RequestState,
        responses: InputResponses,
    ) -> Result<CallToolResponse, ErrorData> {
        if is_modern(&context) {
            let request = InputRequest::Elicitation(ElicitRequest::new(question()));
            return Ok(answered(request, response(state, responses), "/content/answer"));
        }
        let given = value(context.peer.create_elicitation(question()).await.map_err(internal)?);
        Ok(said("legacy", given.pointer("/content/answer")).into())
    }

    #[tool(description = "Samples, and says in which era")]
    async fn sample(
        &self,
        context: RequestContext<RoleServer>,
        state: RequestState,
        responses: InputResponses,
    ) -> Result<CallToolResponse, ErrorData> {
        if is_modern(&context) {
            let request = InputRequest::CreateMessage(CreateMessageRequest::new(prompt()));
            return Ok(answered(request, response(state, responses), "/content/text"));
        }
        let given = value(context.peer.create_message(prompt()).await.map_err(internal)?);
        Ok(said("legacy", given.pointer("/content/text")).into())
    }

    #[tool(description = "Asks for roots, and says in which era")]
    async fn roots(
        &self,
        context: RequestContext<RoleServer>,
        state: RequestState,
        responses: InputResponses,
    ) -> Result<CallToolResponse, ErrorData> {
        if is_modern(&context) {
            let request = InputRequest::ListRoots(ListRootsRequest::default());
            return Ok(answered(request, response(state, responses), "/roots/0/uri"));
        }
        let given = value(context.peer.list_roots().await.map_err(internal)?);
        Ok(said("legacy", given.pointer("/roots/0/uri")).into())
    }

    #[tool(description = "Logs, if a modern caller wants that")]
    async fn log(&self, context: RequestContext<RoleServer>) -> Result<String, ErrorData> {
        if !is_modern(&context) || context.meta.log_level().is_some() {
            let line = LoggingMessageNotificationParam::new(LoggingLevel::Warning, json!("a line"));
            context.peer.notify_logging_message(line).await.map_err(internal)?;
        }
        Ok("logged".into())
    }

    #[tool(description = "Waits until it is cancelled, and leaves notes")]
    async fn wait(
        &self,
        Parameters(Place { dir }): Parameters<Place>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, ErrorData> {
        let note = |name: &str| std::fs::write(Path::new(&dir).join(name), "").map_err(internal);
        note("started")?;
        context.ct.cancelled().await;
        note("cancelled")?;
        Ok("cancelled".into())
    }

    #[tool(description = "Changes the menu")]
    async fn touch(&self) -> String {
        let listeners = self.listeners().clone();
        for listener in listeners {
            // Some have left.
            match listener {
                Listener::Session(client) => {
                    drop(client.notify_resource_updated(ResourceUpdatedNotificationParam::new(MENU)).await);
                }
                Listener::Subscription(sink) => drop(sink.notify_resource_updated(MENU).await),
            }
        }
        "touched".into()
    }
}

impl Inn {
    fn listeners(&self) -> std::sync::MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tool_handler]
impl ServerHandler for Inn {
    fn get_info(&self) -> ServerConfig {
        let offers = ServerCapabilities::builder().enable_tools().enable_prompts().enable_logging();
        ServerConfig::new(offers.enable_resources().enable_resources_subscribe().build())
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.listeners().push(Listener::Session(context.peer));
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.listeners().clear();
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        self.listeners().push(Listener::Subscription(subscription.sink().clone()));
        subscription.cancelled().await;
        Ok(())
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
        Ok(ListResourcesResult::with_all_items(vec![Resource::new(MENU, "menu")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(ReadResourceResult::new(vec![ResourceContents::text("soup", request.uri)]).into())
    }
}

// ---- what they do together

/// All that it offers, in the era that `server` says.
async fn use_the_inn((client, mut heard): Served, server: &str) {
    let modern = client.peer_info().unwrap().protocol_version == ProtocolVersion::V_2026_07_28;
    assert_eq!(soon("tools/list", client.list_all_tools()).await.unwrap().len(), 8);
    assert_eq!(text(&call(&client, "sum", json!({"a": 40, "b": 2})).await), "42");
    assert_eq!(text(&call(&client, "steps", json!({})).await), "done");
    for step in 1..=3 {
        assert_eq!(soon("progress", heard.recv()).await.unwrap(), format!("progress {step}"));
    }
    for (tool, answer) in [("ask", "from rmcp"), ("sample", "sampled"), ("roots", "file:///rmcp")] {
        assert_eq!(text(&call(&client, tool, json!({})).await), format!("{server}: \"{answer}\""));
    }
    assert_eq!(soon("prompts/list", client.list_all_prompts()).await.unwrap()[0].name, "greet");
    let prompt = soon("prompts/get", client.get_prompt(GetPromptRequestParams::new("greet"))).await.unwrap();
    assert_eq!(value(prompt)["messages"][0]["content"]["text"], "greet");
    assert_eq!(soon("resources/list", client.list_all_resources()).await.unwrap()[0].uri, MENU);
    let read = client.read_resource(ReadResourceRequestParams::new(MENU));
    assert_eq!(value(soon("resources/read", read).await.unwrap())["contents"][0]["text"], "soup");
    log(&client, &mut heard, modern).await;
    subscribe(&client, &mut heard, modern).await;
    cancel(&client).await;
    soon("the end of the client", client.cancel()).await.unwrap();
}

async fn log(client: &RunningService<RoleClient, Guest>, heard: &mut mpsc::Receiver<String>, modern: bool) {
    let mut params = CallToolRequestParams::new("log");
    if modern {
        let mut meta = RequestMetaObject::default();
        meta.set_log_level(LoggingLevel::Info);
        params.meta = Some(meta);
    } else {
        let level = client.set_level(SetLevelRequestParams::new(LoggingLevel::Info));
        soon("logging/setLevel", level).await.unwrap();
    }
    soon("log", client.call_tool(params)).await.unwrap();
    assert_eq!(soon("a log line", heard.recv()).await.unwrap(), "log \"a line\"");
}

async fn subscribe(client: &RunningService<RoleClient, Guest>, heard: &mut mpsc::Receiver<String>, modern: bool) {
    if modern {
        let wanted = SubscriptionFilter::builder().resource_subscriptions(vec![MENU.to_owned()]).build();
        let mut subscription = soon("the acknowledgment", client.listen(wanted.clone())).await.unwrap();
        assert_eq!(subscription.acknowledged(), &wanted);
        call(client, "touch", json!({})).await;
        let update = soon("an update", subscription.next()).await.unwrap();
        assert!(matches!(update, Some(ServerNotification::ResourceUpdatedNotification(_))), "{update:?}");
        soon("the end of the subscription", subscription.cancel()).await.unwrap();
        return;
    }
    soon("resources/subscribe", client.subscribe(SubscribeRequestParams::new(MENU))).await.unwrap();
    call(client, "touch", json!({})).await;
    assert_eq!(soon("an update", heard.recv()).await.unwrap(), format!("updated {MENU}"));
    soon("resources/unsubscribe", client.unsubscribe(UnsubscribeRequestParams::new(MENU))).await.unwrap();
}

/// The server's own task is told.
async fn cancel(client: &RunningService<RoleClient, Guest>) {
    let dir = tempfile::tempdir().unwrap();
    let Value::Object(arguments) = json!({"dir": dir.path()}) else { panic!("no object") };
    let params = CallToolRequestParams::new("wait").with_arguments(arguments);
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let waiting = client.send_cancellable_request(request, PeerRequestOptions::no_options());
    let waiting = soon("the request", waiting).await.unwrap();
    let note = |name: &str| dir.path().join(name).exists().then_some(());
    eventually("the call at the server", || note("started")).await;
    soon("the cancellation", waiting.cancel(Some("enough".into()))).await.unwrap();
    eventually("the cancellation at the server", || note("cancelled")).await;
    assert_eq!(text(&call(client, "sum", json!({"a": 1, "b": 1})).await), "2", "it goes on");
}

/// The client's era, and the server's.
fn pairs() -> [(ClientLifecycleMode, &'static str); 4] {
    let legacy = || ClientLifecycleMode::Initialize;
    [(modern_only(), "legacy"), (legacy(), "modern"), (modern_only(), "modern"), (legacy(), "legacy")]
}

async fn connect(url: &str, era: &str, lifecycle: ClientLifecycleMode) -> Served {
    let (told, heard) = mpsc::channel(64);
    let transport = command(&["connect", "--server-era", era, url]);
    let serving = Guest { told }.serve_with_lifecycle(transport, lifecycle);
    (soon("the opening over stdio", serving).await.unwrap(), heard)
}

#[test]
#[ignore = "is no test: it is the stdio server that the next test has the bridge start"]
fn a_rust_sdk_server_of_both_eras_on_stdio() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Inn::default().serve(rmcp::transport::stdio()).await.unwrap();
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
        let serving = Guest { told }.serve_with_lifecycle(transport, lifecycle);
        let client = soon("the opening over HTTP", serving).await.unwrap();
        Box::pin(use_the_inn((client, heard), era)).await;
        bridge.stop().await;
    }
}

#[tokio::test]
async fn the_rust_sdk_crosses_eras_at_a_url() {
    let inn = Inn::default();
    let (url, _serving) =
        at_a_url(move || inn.clone(), StreamableHttpServerConfig::default().with_legacy_session_mode(true)).await;
    for (lifecycle, era) in pairs() {
        eprintln!("{lifecycle:?} at a {era} server");
        Box::pin(use_the_inn(connect(&url, era, lifecycle).await, era)).await;
    }
}
