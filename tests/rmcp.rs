//! The Rust SDK on both ends: its client through the bridge to the demo server and to itself, its server behind the bridge
//! as a process and at a URL. Nothing of it is adapted.

#![allow(deprecated)] // Roots, which the next revision drops and the legacy ones have.

use std::sync::Arc;

use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, Peer, RoleClient, RoleServer, ServerHandler,
    ServiceExt,
    handler::server::wrapper::Parameters,
    model::{
        CallToolRequestParams, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction, Implementation,
        ListRootsResult, ProgressNotificationParam, ProtocolVersion, RequestMetaObject, Root, ServerCapabilities,
        ServerConfig,
    },
    schemars,
    service::{NotificationContext, RequestContext, RunningService},
    tool, tool_handler, tool_router,
    transport::{
        StreamableHttpClientTransport, StreamableHttpServerConfig, StreamableHttpService, TokioChildProcess,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, sync::mpsc, task::JoinSet};

use crate::support::{
    client::Kind,
    program::{BINARY, Bridge},
    soon,
};

mod modern;
mod pairs;

// ---- its client

/// A client that answers what servers ask, and tells the test of what it is told.
struct Host {
    told: mpsc::Sender<String>,
}

impl ClientHandler for Host {
    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({"answer": "from rmcp"})))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(vec![Root::new("file:///rmcp")]))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        drop(self.told.send(format!("progress {}", params.progress)).await);
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        drop(self.told.send("tools changed".into()).await);
    }

    fn get_info(&self) -> ClientConfig {
        let capabilities = serde_json::from_value(json!({"elicitation": {}, "roots": {"listChanged": true}})).unwrap();
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
    }
}

type Connected = (RunningService<RoleClient, Host>, mpsc::Receiver<String>);

/// A client over Streamable HTTP.
async fn over_http(url: String) -> Connected {
    let (told, heard) = mpsc::channel(64);
    let serving = Host { told }.serve(StreamableHttpClientTransport::from_uri(url));
    (soon("initialize over HTTP", serving).await.unwrap(), heard)
}

fn command(words: &[&str]) -> TokioChildProcess {
    let mut command = Command::new(BINARY);
    command.args(words).kill_on_drop(true);
    TokioChildProcess::new(command).unwrap()
}

/// A client that starts the bridge as its server's command.
async fn over_stdio(words: &[&str]) -> Connected {
    let (told, heard) = mpsc::channel(64);
    (soon("initialize over stdio", Host { told }.serve(command(words))).await.unwrap(), heard)
}

async fn call<C: ClientHandler>(client: &RunningService<RoleClient, C>, name: &str, arguments: Value) -> Value {
    let Value::Object(arguments) = arguments else { panic!("no object") };
    let params = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
    let result = soon(name, client.call_tool(params)).await.unwrap();
    serde_json::to_value(result).unwrap()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"))
}

/// Everything that the demo server offers and this client can.
async fn use_the_demo((client, mut heard): Connected) {
    assert_eq!(client.peer_info().unwrap().server_info.as_ref().unwrap().name, "mcp-bridge-demo");
    let tools = soon("tools/list", client.list_all_tools()).await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "echo"));
    assert_eq!(soon("resources/list", client.list_all_resources()).await.unwrap().len(), 27, "over several pages");
    assert_eq!(soon("prompts/list", client.list_all_prompts()).await.unwrap().len(), 1);
    assert_eq!(call(&client, "add", json!({"a": 2, "b": 3})).await["structuredContent"], json!({"sum": 5}));
    assert_eq!(text(&call(&client, "ask", json!({"message": "?"})).await), "The user answered: from rmcp");
    assert_eq!(text(&call(&client, "roots", json!({})).await), "file:///rmcp");
    call(&client, "toggle", json!({})).await;
    assert_eq!(soon("a notification", heard.recv()).await.unwrap(), "tools changed");
    call(&client, "slow", json!({"steps": 3, "step_ms": 5})).await;
    for step in 1..=3 {
        assert_eq!(soon("progress", heard.recv()).await.unwrap(), format!("progress {step}"));
    }
    let calls = (0..20).map(|n| call(&client, "echo", json!({"message": format!("{n}")}))).map(Box::pin);
    for (n, result) in futures::future::join_all(calls).await.iter().enumerate() {
        assert_eq!(text(result), n.to_string());
    }
    soon("the end of the client", client.cancel()).await.unwrap();
}

#[tokio::test]
async fn the_rust_sdk_reaches_a_stdio_server_over_streamable_http() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    let (one, two) = (over_http(bridge.url("/mcp")).await, over_http(bridge.url("/mcp")).await);
    tokio::join!(Box::pin(use_the_demo(one)), Box::pin(use_the_demo(two)));
    bridge.stop().await;
}

#[tokio::test]
async fn the_rust_sdk_starts_the_bridge_as_its_server_command() {
    let bridge = Bridge::start(&["serve", "--demo"]).await;
    for words in [["connect", "/mcp"], ["http-to-stdio", "/mcp"], ["connect", "/sse"], ["sse-to-stdio", "/sse"]] {
        Box::pin(use_the_demo(over_stdio(&[words[0], &bridge.url(words[1])]).await)).await;
    }
    Box::pin(use_the_demo(over_stdio(&["demo-server"]).await)).await;
    bridge.stop().await;
}

/// A client that prefers the modern era gets it from the bridge, whatever its server speaks.
#[tokio::test]
async fn the_rust_sdk_is_served_in_the_era_that_it_prefers() {
    let lifecycle =
        ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None };
    for era in ["legacy", "modern", "both"] {
        let bridge = Bridge::start(&["serve", "--", BINARY, "demo-server", "--era", era]).await;
        let (told, _heard) = mpsc::channel(64);
        let serving = Host { told }
            .serve_with_lifecycle(StreamableHttpClientTransport::from_uri(bridge.url("/mcp")), lifecycle.clone());
        let over_http = soon("the opening over HTTP", serving).await.unwrap();
        let (told, _heard) = mpsc::channel(64);
        let serving = Host { told }.serve_with_lifecycle(command(&["connect", &bridge.url("/mcp")]), lifecycle.clone());
        let over_stdio = soon("the opening over stdio", serving).await.unwrap();
        for client in [over_http, over_stdio] {
            assert_eq!(client.peer_info().unwrap().protocol_version, ProtocolVersion::V_2026_07_28, "{era}");
            let asked = call(&client, "ask", json!({"message": "?"})).await;
            assert_eq!(text(&asked), "The user answered: from rmcp", "{era}");
            soon("the end of the client", client.cancel()).await.unwrap();
        }
        bridge.stop().await;
    }
}

// ---- its server

/// A server that uses its client.
#[derive(Clone)]
struct Shop;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Sum {
    a: i64,
    b: i64,
}

#[tool_router]
impl Shop {
    #[tool(description = "Adds")]
    fn sum(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "Reports progress")]
    async fn steps(&self, meta: RequestMetaObject, client: Peer<RoleServer>) -> Result<String, ErrorData> {
        let token = meta.get_progress_token().ok_or(ErrorData::invalid_params("no token", None))?;
        for step in 1..=3 {
            let progress = ProgressNotificationParam::new(token.clone(), f64::from(step));
            client
                .notify_progress(progress)
                .await
                .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        }
        Ok("done".into())
    }

    #[tool(description = "Asks for roots")]
    async fn roots(&self, client: Peer<RoleServer>) -> Result<String, ErrorData> {
        let roots = client.list_roots().await.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(roots.roots.iter().map(|root| root.uri.clone()).collect())
    }

    #[tool(description = "Tells that its tools changed")]
    async fn change(&self, client: Peer<RoleServer>) -> Result<String, ErrorData> {
        let told = client.notify_tool_list_changed().await;
        told.map_err(|error| ErrorData::internal_error(error.to_string(), None)).map(|()| "told".into())
    }
}

#[tool_handler]
impl ServerHandler for Shop {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build())
    }
}

async fn use_the_shop((client, mut heard): Connected) {
    let tools = soon("tools/list", client.list_all_tools()).await.unwrap();
    assert_eq!(tools.len(), 4);
    assert_eq!(text(&call(&client, "sum", json!({"a": 40, "b": 2})).await), "42");
    assert_eq!(text(&call(&client, "roots", json!({})).await), "file:///rmcp");
    assert_eq!(text(&call(&client, "steps", json!({})).await), "done");
    for step in 1..=3 {
        assert_eq!(soon("progress", heard.recv()).await.unwrap(), format!("progress {step}"));
    }
    assert_eq!(text(&call(&client, "change", json!({})).await), "told");
    assert_eq!(soon("a notification", heard.recv()).await.unwrap(), "tools changed");
    soon("the end of the client", client.cancel()).await.unwrap();
}

/// Its Streamable HTTP server; gives the URL. It ends with what is returned.
async fn at_a_url<S: ServerHandler>(
    server: impl Fn() -> S + Send + Sync + 'static,
    config: StreamableHttpServerConfig,
) -> (String, JoinSet<()>) {
    let service = StreamableHttpService::new(move || Ok(server()), Arc::new(LocalSessionManager::default()), config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            let handle = hyper::service::service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, std::convert::Infallible>(service.handle(request).await) }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            connections.spawn(async move {
                drop(hyper::server::conn::http1::Builder::new().serve_connection(io, handle).await);
            });
        }
    });
    (url, serving)
}

#[tokio::test]
async fn a_rust_sdk_server_at_a_url_is_used_over_stdio() {
    let (url, _serving) = at_a_url(|| Shop, StreamableHttpServerConfig::default().with_legacy_session_mode(true)).await;
    for command in ["connect", "http-to-stdio"] {
        Box::pin(use_the_shop(over_stdio(&[command, &url]).await)).await;
    }
}

/// The same without sessions and with plain JSON answers: what needs no session works.
#[tokio::test]
async fn a_rust_sdk_server_without_sessions_is_used_over_stdio() {
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let (url, _serving) = at_a_url(|| Shop, config).await;
    let (client, _heard) = over_stdio(&["connect", &url]).await;
    assert_eq!(soon("tools/list", client.list_all_tools()).await.unwrap().len(), 4);
    assert_eq!(text(&call(&client, "sum", json!({"a": 40, "b": 2})).await), "42");
    soon("the end of the client", client.cancel()).await.unwrap();
}

#[test]
#[ignore = "is no test: it is the stdio server that the next test has the bridge start"]
fn a_rust_sdk_server_on_stdio() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Shop.serve(rmcp::transport::stdio()).await.unwrap();
        server.waiting().await.unwrap();
    });
}

/// This very program is the server: its test runner's own lines on stdout are dropped, as they have to be.
#[tokio::test]
async fn a_rust_sdk_server_on_stdio_is_used_over_every_wire() {
    let program = std::env::current_exe().unwrap();
    let server =
        [program.to_str().unwrap(), "-q", "--ignored", "--nocapture", "--exact", "rmcp::a_rust_sdk_server_on_stdio"];
    let bridge = Bridge::start(&[&["serve", "--"], &server[..]].concat()).await;
    Box::pin(use_the_shop(over_http(bridge.url("/mcp")).await)).await;
    for path in ["/mcp", "/sse"] {
        Box::pin(use_the_shop(over_stdio(&["connect", &bridge.url(path)]).await)).await;
    }
    // And a client that is none of the SDK's.
    let mut plain = bridge.client(Kind::Sse).await;
    assert_eq!(plain.call("sum", json!({"a": 1, "b": 1})).await.tool_text(), "2");
    drop(plain);
    bridge.stop().await;
}
