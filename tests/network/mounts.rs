//! Several servers on one socket: which path leads to which, and what readiness says of them.

use std::sync::Arc;

use mcp_bridge::{
    auth::resource::Gate,
    config::{Back, CallerEnv, ChildSpec, Door, EraSettings, Limits, NetworkSpec, Overrides, PassEnv, Processes},
    config::{Secret, ServerName, ServerSpec, Sharing, StopLadder, tools::ToolFilter},
    listen::{self, Mount, Offered, Routes, Table},
    peer::Peer,
    registry::{Ground, Registry},
    scope::Scope,
};

use super::support::*;

/// A server that nobody starts here.
fn child(name: &str, program: &str) -> ServerSpec {
    let name = ServerName::new(name).unwrap();
    let spec = ChildSpec {
        name: name.to_string(),
        file: None,
        program: program.into(),
        args: Vec::new(),
        env: Vec::new(),
        caller_env: CallerEnv::default(),
        pass_env: PassEnv::All,
        cwd: None,
        stop: StopLadder::default(),
    };
    let (eras, overrides) = (EraSettings::default(), Overrides::default());
    ServerSpec {
        name,
        at_root: false,
        back: Back::Child(spec),
        sharing: Sharing::Own,
        processes: Processes::default(),
        eras,
        overrides,
        tools: ToolFilter::default(),
    }
}

struct Socket {
    address: std::net::SocketAddr,
    routes: Arc<Routes>,
    scope: Scope,
    spec: NetworkSpec,
}

impl Socket {
    async fn of(servers: &[ServerSpec], spec: NetworkSpec) -> Socket {
        let (scope, limits) = (Scope::new(), Limits::default());
        let routes = Arc::new(Routes::new(&spec, Table::default(), &scope));
        let listening = listen::bind(&spec).unwrap();
        let address = address(&listening);
        scope.spawn(listen::serve(listening, routes.clone(), Arc::new(limits), scope.clone()));
        let socket = Socket { address, routes, scope, spec };
        drop(socket.routes.swap(Table::new(servers.iter().map(|server| socket.mount(server)))));
        socket
    }

    fn mount(&self, server: &ServerSpec) -> Arc<Mount> {
        let limits = Limits::default();
        let registry = Registry::of(server, &limits, &Ground::new(None, &limits, &self.scope));
        self.mount_on(server, registry)
    }

    fn mount_on(&self, server: &ServerSpec, registry: Arc<Registry>) -> Arc<Mount> {
        let (name, limits) = (server.name.clone(), Arc::new(Limits::default()));
        let offered = Offered { name, at_root: server.at_root, registry, limits, scope: self.scope.clone() };
        Mount::new(offered, &self.spec)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let mut answer = exchange(self.address, get(path, "").as_bytes()).await;
        (answer.status, answer.text().await)
    }
}

/// What there is and is not; a GET without `Accept` is refused by the wire with 406, which only a server's path has.
#[tokio::test]
async fn each_server_is_at_its_own_paths_and_names_are_never_decoded() {
    let root = ServerSpec { at_root: true, ..child("default", "cat") };
    let socket = Socket::of(&[root, child("my.time", "cat"), child("...", "cat")], spec()).await;
    for (path, there) in [
        ("/mcp", true),
        ("/mcp/", true),
        ("/servers/my.time/mcp", true),
        ("/servers/my.time/mcp/", true),
        ("/servers/.../mcp", true),
        ("/servers/default/mcp", true),
        ("/servers/my.time/messages", true),
        ("/servers/My.time/mcp", false),
        ("/servers/my%2etime/mcp", false),
        ("/servers/%6dy.time/mcp", false),
        ("/servers/my.time%2fmcp", false),
        ("/servers/my.time//mcp", false),
        ("/servers//my.time/mcp", false),
        ("/servers/../mcp", false),
        ("/servers/./mcp", false),
        ("/servers/%2e%2e/mcp", false),
        ("/servers/my.time/../default/mcp", false),
        ("/servers//mcp", false),
        ("/servers/my.time", false),
        ("/servers/my.time/", false),
        ("/servers/my.time/mcp/x", false),
        ("/servers/my.time/readyz", false),
        ("/servers", false),
        ("/my.time/mcp", false),
    ] {
        let (status, text) = socket.get(path).await;
        assert_eq!(status != 404, there, "{path}: {status} {text}");
    }
    let (_, text) = socket.get("/nothing").await;
    assert!(text.contains("/mcp (Streamable HTTP), /ws (WebSocket), /servers/<name>/sse (HTTP+SSE)"), "{text}");
}

#[tokio::test]
async fn readiness_names_each_server_and_is_red_when_none_can_be_had() {
    let good = || child("good", "cat");
    let bad = |name| child(name, "/no/such/program");
    let socket = Socket::of(&[good(), bad("bad")], spec()).await;
    let (status, text) = socket.get("/readyz").await;
    let why = "cannot start \"program\": ";
    assert!(status == 200 && text.starts_with(&format!("good: ok\nbad: {why}")), "{status} {text}");
    assert_eq!(text.lines().count(), 2);
    drop(socket.routes.swap(Table::new([bad("bad"), bad("worse")].iter().map(|server| socket.mount(server)))));
    let (status, text) = socket.get("/readyz").await;
    assert!(status == 503 && text.contains(&format!("worse: {why}")), "{status} {text}");
}

#[tokio::test]
async fn behind_a_door_readiness_tells_no_names() {
    let door = Door::Locked(Gate::of_tokens([Secret::new("t")]).into());
    let socket = Socket::of(&[child("good", "cat"), child("bad", "/no/such")], NetworkSpec { door, ..spec() }).await;
    assert_eq!(socket.get("/readyz").await, (200, "ok\n".into()));
    drop(socket.routes.swap(Table::new([socket.mount(&child("bad", "/no/such"))])));
    assert_eq!(socket.get("/readyz").await, (503, "not ready\n".into()));
    assert_eq!(socket.get("/servers/bad/mcp").await.0, 401);
    assert_eq!(socket.get("/servers/none/mcp").await.0, 401, "nobody can try names out");
}

#[tokio::test]
async fn another_table_keeps_the_sessions_of_servers_that_are_carried_over() {
    let socket = Socket::of(&[], spec()).await;
    assert_eq!(socket.get("/readyz").await.0, 200);
    let (opened, mut servers) = tokio::sync::mpsc::channel(4);
    let opener = move |_: &_| {
        let (ours, theirs) = Peer::pair(64);
        opened.try_send(theirs).unwrap();
        ours
    };
    let registry = Registry::scripted(opener, Sharing::Own, &Limits::default(), &socket.scope);
    let kept = socket.mount_on(&child("kept", "cat"), registry);
    drop(socket.routes.swap(Table::new([kept.clone(), socket.mount(&child("left", "cat"))])));
    let address = socket.address;
    let request = post("/servers/kept/mcp", POST, &initialize("2025-06-18"));
    let answer = socket.scope.spawn(async move { exchange(address, request.as_bytes()).await });
    let mut server = Server { peer: soon("a server", servers.recv()).await.unwrap() };
    server.initialize("2025-06-18").await;
    let answer = answer.await.unwrap();
    let session = format!("Mcp-Session-Id: {}\r\n", answer.header("mcp-session-id").unwrap());

    let old = socket.routes.swap(Table::new([kept]));
    assert_eq!(old.mounts().count(), 2);
    assert_eq!(socket.get("/servers/left/mcp").await.0, 404);
    let call = post("/servers/kept/mcp", &format!("{POST}{session}"), r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let answer = socket.scope.spawn(async move { exchange(address, call.as_bytes()).await });
    let (frame, reply) = server.request().await;
    assert_eq!(frame.method(), "ping");
    reply.answer(mcp_bridge::message::Frame::result("0", "{}"));
    assert_eq!(answer.await.unwrap().status, 200);
}
