//! The checked configuration: what the command line, the environment and files came to.
//!
//! Owns the types that the rest of the crate is configured with. Talks to nobody: it is free of clap and of the environment,
//! and of I/O but for [`load`]. It never holds a value that has not been checked, and never prints a secret.

use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};
use url::Url;

use crate::{
    aggregate::Template, audit, auth::client::Authorizer, era::modern_to_legacy::seal::Sealer, tls, wire::Wire,
};

pub(crate) mod check;
mod door;
pub mod expand;
pub mod file;
pub mod load;
pub mod oauth;
mod processes;
pub mod tools;
pub mod traffic;
pub(crate) mod values;

use self::tools::ToolFilter;
pub use door::{Door, DoorSpec, JwtAlgorithm, ResourceSpec, TokenCheck};
pub use processes::{CallerEnv, CallerEnvError, Processes, Source};

/// One bridge: servers on one side, the faces that they are offered by on the other.
#[derive(Debug, Clone)]
pub struct Config {
    /// The servers' side. One that is typed on the command line is alone, and at the root.
    pub servers: Vec<ServerSpec>,
    /// The file that the servers come from; `None` where the command line names the server.
    pub file: Option<ConfigFile>,
    /// How tools are named where all servers are offered at the root as one, too; `None`: they are not. `--aggregate`.
    pub aggregate: Option<Template>,
    /// The clients' side.
    pub front: Front,
    /// Every limit, with its default; a server may have its own for some.
    pub limits: Limits,
}

impl Config {
    /// The server that is offered without its name in the path; on stdio, the only one that can be.
    pub fn root(&self) -> Option<&ServerSpec> {
        self.servers.iter().find(|server| server.at_root)
    }
}

/// The file that servers come from, and what it holds besides those that can be offered.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Reads it again.
    pub loader: load::Loader,
    /// Servers that cannot be offered.
    pub bad: Vec<load::Bad>,
    /// What else is to be said about it.
    pub notes: Vec<String>,
}

/// One server: where it is offered, and everything that is its own. Two that are equal are served the same.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSpec {
    /// Stands in paths (`/servers/<name>/mcp`), log lines and `/readyz`. No two servers have the same.
    pub name: ServerName,
    /// Whether it is at the root (`/mcp`) instead of under its name. At most one server is.
    pub at_root: bool,
    /// The server itself.
    pub back: Back,
    /// Who gets which server process. Only a network front can choose; stdio has one client.
    pub sharing: Sharing,
    /// How many processes there are, and for how long.
    pub processes: Processes,
    /// Which eras the server speaks, and what a translation needs.
    pub eras: EraSettings,
    /// Where it differs from the limits of the bridge.
    pub overrides: Overrides,
    /// Which of its tools are offered. `--allow-tool`, `--deny-tool`.
    pub tools: ToolFilter,
}

/// A server's name: letters, digits, `_`, `-` and `.`, up to 64 of them, neither `.` nor `..`. So it stands in a path as it
/// is, and nothing in it has to be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName(Arc<str>);

/// What all servers as one are called: the name that leads to the root.
pub const AGGREGATE: &str = "default";

/// Most characters of a server's name. It stands in every path and log line.
const MAX_NAME: usize = 64;

/// Why a text is no server's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a server's name; use up to 64 letters, digits, '_', '-' and '.', and not '.' or '..' alone")]
pub struct NameError(String);

impl NameError {
    /// The text in quotes, for lists of names.
    pub fn shown(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl ServerName {
    /// Checks a name that somebody chose.
    pub fn new(text: &str) -> Result<ServerName, NameError> {
        let fits = (1..=MAX_NAME).contains(&text.len()) && !matches!(text, "." | "..");
        match fits && text.chars().all(is_of_a_name) {
            true => Ok(ServerName(text.into())),
            false => Err(NameError(text.chars().take(MAX_NAME).collect())),
        }
    }

    /// The nearest name to a text that nobody chose as one, such as a program's.
    pub fn near(text: &str) -> ServerName {
        let name: String = text.chars().take(MAX_NAME).map(|c| if is_of_a_name(c) { c } else { '-' }).collect();
        ServerName::new(&name).unwrap_or_else(|_| ServerName("server".into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Looked up by what stands in a path.
impl std::borrow::Borrow<str> for ServerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Which eras the server speaks, and what a translation between eras needs.
#[derive(Debug, Clone, Default)]
pub struct EraSettings {
    /// `--server-era`.
    pub server: ServerEra,
    /// Directories for a legacy server that asks for the client's roots outside of any call: `file:` URIs. `--root`.
    pub roots: Vec<String>,
    /// Seals `requestState`; `None`: a key for this run. `--state-key-file`.
    pub state: Option<Arc<Sealer>>,
}

/// Keys are not compared: one is the same where it is the same one.
impl PartialEq for EraSettings {
    fn eq(&self, other: &EraSettings) -> bool {
        let same_key = match (&self.state, &other.state) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same_key && self.server == other.server && self.roots == other.roots
    }
}

/// Which era the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerEra {
    /// It is asked, in its client's own era first.
    #[default]
    Auto,
    /// 2024-11-05 to 2025-11-25: never asked in the other.
    Legacy,
    /// 2026-07-28: never asked in the other.
    Modern,
}

/// What the bridge reaches.
#[derive(Debug, Clone, PartialEq)]
pub enum Back {
    /// A stdio server that the bridge starts.
    Child(ChildSpec),
    /// A server at a URL.
    Remote(RemoteSpec),
}

/// What the bridge offers.
#[derive(Debug, Clone)]
pub enum Front {
    /// The bridge's own stdin and stdout: the bridge is a client's command.
    Stdio,
    /// HTTP routes on a listening socket.
    Network(Box<NetworkSpec>),
}

/// How to start a stdio server. Everything is argv: no shell is involved unless `program` is one.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildSpec {
    /// Shown in log lines, errors and the entries for clients; from the package or script that a launcher is told to start,
    /// else from the program.
    pub name: String,
    /// The config file that says all this, as it was named; `None`: flags do.
    pub file: Option<PathBuf>,
    /// As typed; looked up in the child's `PATH` when it holds no separator.
    pub program: OsString,
    /// The arguments, unchanged.
    pub args: Vec<OsString>,
    /// Variables that are set on top of what is passed on; from `--env` and `--env-file`, expanded.
    pub env: Vec<(String, Secret)>,
    /// Variables that come from the caller whose own child it is. The child has none of them from anywhere else.
    pub caller_env: CallerEnv,
    /// Which of the bridge's own variables the child sees.
    pub pass_env: PassEnv,
    /// Working directory; the bridge's own when `None`.
    pub cwd: Option<PathBuf>,
    /// How the child is ended.
    pub stop: StopLadder,
}

/// Which variables of the bridge's environment a child inherits. `MCP_BRIDGE_*` is never passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassEnv {
    /// Everything: what a shell would do. The default.
    All,
    /// Only names in this list; an entry that ends in `*` is a prefix.
    Only(Vec<String>),
}

/// Times between the steps that end a child: close stdin, wait, SIGTERM, wait, SIGKILL.
///
/// The order is that of the specification (2025-11-25, Lifecycle, Shutdown, stdio).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopLadder {
    /// From closing stdin to SIGTERM.
    pub after_close: Duration,
    /// From SIGTERM to SIGKILL.
    pub after_term: Duration,
}

impl Default for StopLadder {
    fn default() -> Self {
        StopLadder { after_close: Duration::from_secs(2), after_term: Duration::from_secs(2) }
    }
}

/// How to reach a remote server.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteSpec {
    /// `http` or `https`, for WebSocket `ws` or `wss`; without a fragment and without credentials.
    pub url: Url,
    /// Which transport the server speaks, or `Auto` to find out.
    pub transport: RemoteTransport,
    /// The Unix socket that the URL's server listens on; then the URL gives the path only, and its host goes into `Host`.
    pub socket: Option<PathBuf>,
    /// Sent with every request to the URL's own origin, and to no other. Values are marked sensitive.
    pub headers: HeaderMap<HeaderValue>,
    /// How often and how patiently a connection is tried.
    pub retry: RetryPolicy,
    /// Whom to trust besides the system's authorities, and who to be. `--ca-file`, `--client-cert`.
    pub tls: tls::client::Client,
    /// Gets tokens where the server asks for them. `None`: 401 is the last word, as where `headers` say who calls.
    pub authorizer: Option<Arc<Authorizer>>,
}

/// The transport of a remote server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteTransport {
    /// POST first; 400, 404 or 405 leads to legacy SSE (2025-11-25, Transports, Backwards Compatibility).
    Auto,
    /// Streamable HTTP only.
    Http,
    /// HTTP+SSE of 2024-11-05 only.
    Sse,
    /// WebSocket: the URL says so.
    Ws,
}

/// Attempts at one connection: `delay`, doubled each time, with jitter, capped at 30 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first one fails; 0 means one attempt only. Default 5.
    pub attempts: u32,
    /// Before the second attempt. Default 2 s.
    pub delay: Duration,
    /// For the TCP and TLS handshake of each attempt. Default 10 s.
    pub connect_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy { attempts: 5, delay: Duration::from_secs(2), connect_timeout: Duration::from_secs(10) }
    }
}

/// The HTTP side of the bridge.
#[derive(Debug, Clone)]
pub struct NetworkSpec {
    /// The sockets that are listened on; at least one. Loopback TCP by default.
    pub listen: Vec<Listen>,
    /// TLS, on all TCP sockets. `--tls-cert`.
    pub tls: Option<Arc<tls::server::Server>>,
    /// The wires that clients come in by. The paths are those of the server at the root; others have their own prefix.
    pub outputs: Vec<Output>,
    /// Public URL prefix when a reverse proxy adds one; goes into the `endpoint` event and the printed hints.
    pub base_url: Option<Url>,
    /// Which origins may read answers in a browser.
    pub cors: Cors,
    /// Origins that may call at all, besides the bridge's own. Exact, lower case, without a trailing slash.
    pub allow_origin: Vec<String>,
    /// `Host` values (name or name:port) that are served, besides loopback names and the bound address.
    pub allow_host: Vec<String>,
    /// Liveness; `/healthz` by default. Readiness is always `/readyz`.
    pub health_path: String,
    /// Who may call.
    pub door: Door,
    /// How much each caller may ask.
    pub traffic: traffic::Traffic,
    /// Where it is noted who called what; `None`: nowhere. `--audit-log`.
    pub audit: Option<audit::Place>,
    /// Interval of keep-alives on event streams, and of pings on WebSocket connections; zero turns them off. Default 15 s.
    pub keepalive: Duration,
    /// Send `event: ping` instead of a comment.
    pub keepalive_event: bool,
    /// End when stdin closes.
    pub exit_with_stdin: bool,
}

/// One socket to listen on.
#[derive(Debug, Clone)]
pub enum Listen {
    /// An address. Port 0 lets the system pick; the choice is printed. `--host`, `--port`.
    Tcp(SocketAddr),
    /// A Unix socket. `--unix`.
    #[cfg(unix)]
    Unix {
        /// Its file.
        path: PathBuf,
        /// The file's mode: who may connect. `--unix-mode`, 0600.
        mode: u32,
    },
    /// A socket that the service manager passed on, TCP or Unix.
    #[cfg(unix)]
    Inherited {
        /// The socket.
        socket: Arc<socket2::Socket>,
        /// Whether it may be one that other machines reach: there is a door, or `--allow-unauthenticated`.
        beyond_loopback: bool,
    },
}

/// A wire that clients come in by, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Which wire.
    pub wire: Wire,
    /// One for each of the wire's [`crate::wire::Listed::paths`], in that order.
    pub paths: Vec<String>,
}

impl Output {
    /// At the usual paths.
    pub fn usual(wire: Wire) -> Output {
        Output { wire, paths: wire.listed().paths.iter().map(|path| path.usual.into()).collect() }
    }

    /// Where a client connects.
    pub fn path(&self) -> &str {
        self.paths.first().map_or("", String::as_str)
    }
}

/// Cross-origin reading. An origin that is not listed gets 403, whatever this says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// No CORS header at all.
    Off,
    /// The origins of `allow_origin`, echoed exactly.
    AllowedOrigins,
}

/// Who gets which server process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each session its own server. The default.
    Own,
    /// One server for all sessions.
    Shared,
    /// One server for the sessions of one principal that declared the same capabilities.
    Pooled,
    /// No sessions: each POST stands alone, served by a server that the bridge initialized.
    Stateless,
}

/// Every limit in one place: what it bounds, in which unit, and what it stops.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one message: body, line or event. Stops a peer from filling memory. `--max-message`, 16 MiB.
    pub max_message: usize,
    /// Sessions at once with one server; one more gets 503 with Retry-After. Stops process floods. `--max-sessions`, 1,024.
    pub max_sessions: usize,
    /// A session without traffic for this long ends. Frees children of clients that vanished. `--session-timeout`, 30 min.
    pub session_timeout: Duration,
    /// An unanswered request is answered with an error after this. `--request-timeout`, none: tool calls may take hours.
    pub request_timeout: Option<Duration>,
    /// From SIGTERM until calls in flight are cut off. `--grace`, 10 s. Servers then have their [`StopLadder`].
    pub grace: Duration,
    /// Time for a client to send a request's head. Stops slow-loris. 30 s.
    pub header_timeout: Duration,
    /// Longest wait for the next piece of a request's body. Stops one-byte-a-second bodies. 30 s.
    pub body_timeout: Duration,
    /// Open connections at once. Stops descriptor exhaustion. 8,192.
    pub max_connections: usize,
    /// Calls in flight in one session or connection. Bounds what waits for one peer. 512.
    pub max_in_flight: usize,
    /// Exchanges of the modern era in flight at one endpoint, subscriptions included; one more gets 503 with Retry-After.
    /// HTTP/2 has many on one connection, so connections do not bound them. 8,192.
    pub max_exchanges: usize,
    /// Children being started at once, of all servers. Stops a thundering herd of `npx`. 16.
    pub max_spawning: usize,
    /// Bytes of events kept for resumption in one session. 1 MiB, but always the newest event.
    pub replay_bytes: usize,
    /// Events kept for resumption in one session, within `replay_bytes`. 1,024.
    pub replay_events: usize,
    /// From a POST to the decision for an event stream when the answer does not come. 2 s: proxies close silent responses.
    pub answer_patience: Duration,
}

/// Limits in which one server differs from the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// See [`Limits::request_timeout`]; zero is none.
    pub request_timeout: Option<Duration>,
    /// See [`Limits::session_timeout`].
    pub session_timeout: Option<Duration>,
    /// See [`Limits::max_sessions`].
    pub max_sessions: Option<usize>,
}

impl Limits {
    /// The limits of one server.
    pub fn of(&self, own: &Overrides) -> Limits {
        let request_timeout = match own.request_timeout {
            Some(time) => Some(time).filter(|time| !time.is_zero()),
            None => self.request_timeout,
        };
        Limits {
            request_timeout,
            session_timeout: own.session_timeout.unwrap_or(self.session_timeout),
            max_sessions: own.max_sessions.unwrap_or(self.max_sessions),
            ..self.clone()
        }
    }

    /// Bytes of large messages that may wait in one session, each way. Two of the largest: one on its way, one behind it.
    pub fn max_waiting(&self) -> usize {
        self.max_message.saturating_mul(2)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_message: 16 * 1024 * 1024,
            max_sessions: 1_024,
            session_timeout: Duration::from_secs(30 * 60),
            request_timeout: None,
            grace: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            max_connections: 8_192,
            max_in_flight: 512,
            max_exchanges: 8_192,
            max_spawning: 16,
            replay_bytes: 1024 * 1024,
            replay_events: 1_024,
            answer_patience: Duration::from_secs(2),
        }
    }
}

/// A value that is never shown: `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<Arc<str>>) -> Secret {
        Secret(value.into())
    }

    /// The value itself; for the place that uses it, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_a_path_as_it_is() {
        let long = "n".repeat(65);
        for name in ["time", "My_Server-2.1", "...", ".hidden", &long[1..]] {
            assert_eq!(ServerName::new(name).unwrap().as_str(), name);
        }
        for name in ["", ".", "..", "a/b", "a b", "a%2e", "ä", "a:b", &long] {
            assert!(ServerName::new(name).is_err(), "{name}");
        }
        for (text, near) in [("a b/c", "a-b-c"), ("..", "server"), ("", "server"), ("größe", "gr--e"), ("x.y", "x.y")]
        {
            assert_eq!(ServerName::near(text).as_str(), near);
        }
        assert_eq!(ServerName::near(&long).as_str(), &long[1..]);
    }

    #[test]
    fn a_server_may_have_limits_of_its_own() {
        let limits = Limits { request_timeout: Some(Duration::from_secs(9)), ..Limits::default() };
        assert_eq!(limits.of(&Overrides::default()).request_timeout, limits.request_timeout);
        let own = Overrides { request_timeout: Some(Duration::ZERO), max_sessions: Some(3), ..Overrides::default() };
        assert_eq!((limits.of(&own).request_timeout, limits.of(&own).max_sessions), (None, 3));
    }
}
