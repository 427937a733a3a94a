//! Every pair of wires that the bridge joins, each as one set of calls: start it, get clients, stop it, and read what the
//! server at its end was told and said.

use tempfile::TempDir;

use super::{
    client::{Client, Kind},
    program::{BINARY, Bridge, Program},
    remote::Remote,
};

/// A pair of wires, or two pairs in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A stdio server, offered over HTTP+SSE.
    ChildToSse,
    /// A stdio server, offered over Streamable HTTP.
    ChildToHttp,
    /// A remote server of HTTP+SSE, offered on stdio.
    SseToStdio,
    /// A remote server of Streamable HTTP, offered on stdio.
    HttpToStdio,
    /// A stdio server over HTTP+SSE and back to stdio, through two bridges.
    SseChain,
    /// A stdio server over Streamable HTTP and back to stdio, through two bridges.
    HttpChain,
}

/// A route at work.
pub struct Way {
    route: Route,
    end: End,
    /// Where the record is kept.
    dir: Option<TempDir>,
    /// Of the commands that clients start.
    words: Vec<String>,
}

enum End {
    Bridge(Box<Bridge>),
    Remote(Remote),
}

/// What the servers at the end were told and said, message by message.
pub struct Record {
    pub heard: Vec<String>,
    pub said: Vec<String>,
}

impl Route {
    /// The wire in the middle, or at the client.
    pub fn kind(self) -> Kind {
        match self {
            Route::ChildToSse | Route::SseToStdio | Route::SseChain => Kind::Sse,
            Route::ChildToHttp | Route::HttpToStdio | Route::HttpChain => Kind::Http,
        }
    }

    /// Whether the client starts the bridge as its command.
    pub fn ends_in_stdio(self) -> bool {
        !matches!(self, Route::ChildToSse | Route::ChildToHttp)
    }

    /// Whether the server is a process that a bridge under test starts.
    pub fn has_child(self) -> bool {
        !matches!(self, Route::SseToStdio | Route::HttpToStdio)
    }

    /// Starts it. The server is the demo server with its test tools.
    pub async fn start(self) -> Way {
        self.start_with(&[]).await
    }

    /// With these flags on every bridge of the route.
    pub async fn start_with(self, flags: &[&str]) -> Way {
        self.open(&["--demo"], flags).await
    }

    /// With a record of what a server process was told and said, kept by `tee` on either side of it.
    pub async fn start_recorded(self) -> Way {
        self.start_recorded_with(&[]).await
    }

    pub async fn start_recorded_with(self, flags: &[&str]) -> Way {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str().unwrap();
        let line = format!("tee -a {at}/heard | '{BINARY}' demo-server | tee -a {at}/said");
        let mut way = self.open(&["--shell", &line], flags).await;
        way.dir = Some(dir);
        way
    }

    async fn open(self, server: &[&str], flags: &[&str]) -> Way {
        let command = match self.kind() {
            Kind::Sse => "sse-to-stdio",
            Kind::Http => "http-to-stdio",
        };
        let words = [command].iter().chain(flags).map(|word| word.to_string()).collect();
        if !self.has_child() {
            return Way { route: self, end: End::Remote(Remote::start(self.kind()).await), dir: None, words };
        }
        let command = match self.kind() {
            Kind::Sse => "stdio-to-sse",
            Kind::Http => "stdio-to-http",
        };
        let all = [&[command, "--env", "MCP_BRIDGE_DEMO_TEST=1"], server, flags].concat();
        let bridge = Bridge::start(&all).await;
        Way { route: self, end: End::Bridge(Box::new(bridge)), dir: None, words }
    }
}

impl Way {
    pub fn url(&self) -> String {
        let path = match self.route.kind() {
            Kind::Sse => "/sse",
            Kind::Http => "/mcp",
        };
        match &self.end {
            End::Bridge(bridge) => bridge.url(path),
            End::Remote(remote) => remote.url(path),
        }
    }

    /// A client that is initialized and hears all.
    pub async fn client(&self) -> Client {
        self.client_of("2025-06-18").await
    }

    pub async fn client_of(&self, version: &str) -> Client {
        let mut client = match (&self.end, self.route) {
            (End::Bridge(bridge), Route::ChildToSse) => Client::sse(bridge.addr, "/sse").await,
            (End::Bridge(bridge), Route::ChildToHttp) => Client::http(bridge.addr, "/mcp"),
            _ => {
                let mut words: Vec<_> = self.words.iter().map(String::as_str).collect();
                let url = self.url();
                words.push(&url);
                Client::stdio(&words)
            }
        };
        client.initialize(version).await;
        if self.route == Route::ChildToHttp {
            client.listen().await;
        }
        client
    }

    /// The bridge in front of the stdio server, where there is one.
    pub fn bridge(&self) -> Option<&Bridge> {
        match &self.end {
            End::Bridge(bridge) => Some(bridge),
            End::Remote(_) => None,
        }
    }

    pub fn program(&self) -> Option<&Program> {
        self.bridge().map(|bridge| &bridge.program)
    }

    /// Ends the server's side; every client must have ended before.
    pub async fn stop(self) -> Record {
        match self.end {
            End::Bridge(bridge) => {
                bridge.stop().await;
                let lines = |name: &str| {
                    let file = self.dir.as_ref().map(|dir| dir.path().join(name));
                    let text = file.map(|file| std::fs::read_to_string(file).unwrap()).unwrap_or_default();
                    text.split_terminator('\n').map(str::to_owned).collect()
                };
                Record { heard: lines("heard"), said: lines("said") }
            }
            End::Remote(remote) => {
                let record = remote.record.clone();
                drop(remote);
                let heard = std::mem::take(&mut *record.heard.lock().unwrap());
                let said = std::mem::take(&mut *record.said.lock().unwrap());
                Record { heard, said }
            }
        }
    }
}

/// Makes one test of each function for each pair of wires.
macro_rules! over_every_pair {
    ($($(#[$doc:meta])* async fn $name:ident($route:ident: Route) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            use super::*;

            async fn holds($route: Route) $body

            #[tokio::test]
            async fn child_to_sse() {
                holds(Route::ChildToSse).await;
            }

            #[tokio::test]
            async fn child_to_http() {
                holds(Route::ChildToHttp).await;
            }

            #[tokio::test]
            async fn sse_to_stdio() {
                holds(Route::SseToStdio).await;
            }

            #[tokio::test]
            async fn http_to_stdio() {
                holds(Route::HttpToStdio).await;
            }

            #[tokio::test]
            async fn child_to_sse_to_stdio() {
                holds(Route::SseChain).await;
            }

            #[tokio::test]
            async fn child_to_http_to_stdio() {
                holds(Route::HttpChain).await;
            }
        }
    )*};
}
pub(crate) use over_every_pair;
