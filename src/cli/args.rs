//! What can be typed: the commands and their flags, each with one line of help that states unit and default.
//!
//! Owns the clap types and the rule that gives every flag its environment variable. Talks to clap only. It never
//! checks how flags go together; `resolve` does, where the error can say what to do.

use std::{ffi::OsString, net::IpAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use url::Url;

use self::oauth::{AuthWhat, DirArgs, LoginArgs, OauthArgs};
use super::{
    bridges::{self, Bridge},
    values,
};
use crate::{
    audit,
    config::{
        JwtAlgorithm,
        tools::{Glob, ToolFilter},
        traffic::{Proxy, Rate},
    },
    demo, observe,
};

pub(super) mod oauth;

/// Carries the Model Context Protocol between stdio, HTTP+SSE, Streamable HTTP and WebSocket
#[derive(Debug, Parser)]
#[command(
    name = "mcp-bridge",
    version,
    max_term_width = 100,
    subcommand_value_name = "COMMAND",
    override_usage = "mcp-bridge <COMMAND> [OPTIONS] [-- <SERVER COMMAND>...]",
    after_help = AFTER_HELP,
)]
struct Cli {}

const AFTER_HELP: &str = "\
Examples:
  mcp-bridge serve --demo
  mcp-bridge stdio-to-http -- npx -y @modelcontextprotocol/server-everything
  mcp-bridge connect https://example.com/mcp --bearer '${TOKEN}'
  mcp-bridge sse-to-http https://example.com/sse
  mcp-bridge serve --config mcp.json

Every flag is also a variable: --max-message is MCP_BRIDGE_MAX_MESSAGE. What is typed wins.

Exit codes:
  0   everything was done, or the other side ended in good order
  1   something failed while working
  64  the command line, a variable, or a file that it names is wrong; nothing was started
  69  the remote server could not be reached
  77  the remote server asks for a login, or refuses the one given";

/// Under `login`.
const AFTER_LOGIN: &str = "\
Opens the server's login in a browser, which has to run on this machine. With --no-browser, open the
page wherever you like; if the browser then fails to load a page at 127.0.0.1, paste its address
here. With --device, all it takes is a short code.

Every flag is also a variable: --client-id is MCP_BRIDGE_CLIENT_ID. What is typed wins.";

/// Every command that does not carry messages; for those see [`super::bridges`].
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Log in to a remote server now, and keep the token for the commands that reach it
    #[command(override_usage = "mcp-bridge login [OPTIONS] <URL>", after_help = AFTER_LOGIN)]
    Login(Box<LoginArgs>),
    /// Forget the token for a remote server, and have it revoked
    #[command(override_usage = "mcp-bridge logout [OPTIONS] <URL>")]
    Logout {
        /// The server's URL, as it was given to connect or login
        #[arg(value_name = "URL", value_hint = ValueHint::Url)]
        server: String,
        #[command(flatten)]
        tls: TlsArgs,
        /// Prove with the secret in this file that the tokens are this client's; for one of --client-id (default: none)
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Login")]
        client_secret_file: Option<PathBuf>,
        #[command(flatten)]
        dir: DirArgs,
    },
    /// Show what is kept of logins, without the tokens
    #[command(override_usage = "mcp-bridge auth status [OPTIONS] [URL]")]
    Auth {
        // In the usage line by itself; a list of one choice says no more.
        #[arg(value_enum, hide = true)]
        what: AuthWhat,
        /// The server's URL, as it was given to connect or login (default: all)
        #[arg(value_name = "URL", value_hint = ValueHint::Url)]
        server: Option<String>,
        #[command(flatten)]
        dir: DirArgs,
    },
    /// Be a small stdio server, to try the bridge and clients with
    DemoServer {
        /// Speak 2024-11-05 to 2025-11-25 (legacy), 2026-07-28 (modern), or both
        #[arg(long, value_name = "ERA", value_enum, default_value_t = DemoEra::Both)]
        era: DemoEra,
    },
    /// Say which servers of a running bridge can be had, and why others cannot
    Status(StatusArgs),
    /// Print completions for a shell
    Completions {
        /// The shell to complete in
        shell: Shell,
    },
    /// Print a man page, or write all of them to a directory
    Man {
        /// A command, for its page, or an existing directory, for all pages (default: the page of mcp-bridge)
        #[arg(value_name = "COMMAND|DIR")]
        what: Option<OsString>,
    },
    /// Write completions/ and completions/man/ anew
    #[command(hide = true)]
    Generate {
        /// The source tree
        #[arg(default_value = ".")]
        tree: PathBuf,
    },
}

/// Which bridge is asked. None of it has a variable.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_STATUS)]
pub(super) struct StatusArgs {
    /// Where the bridge is
    #[arg(default_value = "http://127.0.0.1:8000", value_hint = ValueHint::Url)]
    pub(super) url: String,
    /// Print JSON (default: a table)
    #[arg(long)]
    pub(super) json: bool,
    /// Show this bearer token to a bridge that asks for one, as in '${TOKEN}' (default: none)
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub(super) bearer: Option<String>,
    #[command(flatten)]
    pub(super) tls: TlsArgs,
}

const ABOUT_STATUS: &str = "\
Exit codes: 0 all servers can be had, 1 some cannot, 69 no bridge answers there.";

/// The server that is started.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerArgs {
    /// Run this line by the shell instead of a command after -- (default: no shell)
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    pub(super) shell: Option<OsString>,
    /// Run the built-in demo server instead of a command after -- (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(super) demo: bool,
    /// Set a variable for the server, once for each (default: none)
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<String>,
    /// Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) env_file: Vec<String>,
    /// Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) pass_env: Vec<String>,
    /// Start the server in this directory (default: where the bridge was started)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) cwd: Option<String>,
    /// Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = values::duration)]
    pub(super) stop_timeout: Duration,
    /// The server's command and its arguments
    #[arg(last = true, value_name = "COMMAND", help_heading = None::<&str>)]
    pub(super) command: Vec<OsString>,
}

/// The listening side.
#[derive(Debug, Args)]
pub(super) struct NetworkArgs {
    #[command(flatten)]
    pub(super) listen: ListenArgs,
    #[command(flatten)]
    pub(super) access: AccessArgs,
    #[command(flatten)]
    pub(super) session: SessionArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub(super) struct ListenArgs {
    /// IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)
    #[arg(long, value_name = "IP", value_parser = values::host)]
    pub(super) host: Option<IpAddr>,
    /// TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)
    #[arg(long, value_name = "PORT", value_parser = values::port)]
    pub(super) port: Option<u16>,
    /// Listen on a Unix socket at this path (default: none)
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(super) unix: Option<PathBuf>,
    /// Mode of the Unix socket's file: 600 lets this user connect, 660 also its group
    #[cfg(unix)]
    #[arg(long, value_name = "MODE", default_value = "600", value_parser = values::mode)]
    pub(super) unix_mode: u32,
    /// Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's key, a PEM file (default: the file of --tls-cert)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) tls_key: Option<PathBuf>,
    /// Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) tls_client_ca: Option<PathBuf>,
    /// URL under which a reverse proxy offers the bridge (default: none)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = values::base_url)]
    pub(super) base_url: Option<Url>,
    /// Path of the liveness check; readiness is always /readyz
    #[arg(long, value_name = "PATH", default_value = "/healthz", value_parser = values::path)]
    pub(super) health_path: String,
    /// End when stdin closes (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(super) exit_with_stdin: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// Let pages of the allowed origins read answers in a browser (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(super) cors: bool,
    /// Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge's own)
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',', value_parser = values::origin)]
    pub(super) allow_origin: Vec<String>,
    /// Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)
    #[arg(long, value_name = "HOST", value_delimiter = ',', value_parser = values::allowed_host)]
    pub(super) allow_host: Vec<String>,
    /// Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) bearer_token_file: Option<PathBuf>,
    /// Take a token in this header, too, as X-Api-Key (default: Authorization only)
    #[arg(long, value_name = "NAME")]
    pub(super) api_key_header: Option<String>,
    #[command(flatten)]
    pub(super) oauth: OAuthArgs,
    /// Listen beyond loopback although everyone can call (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(super) allow_unauthenticated: bool,
    /// Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)
    #[arg(long, value_name = "NUMBER[/s|/m|/h]", value_parser = values::rate)]
    pub(super) rate_limit: Option<Rate>,
    /// Number of calls of one caller at once; one more gets 429 (default: no limit)
    #[arg(long, value_name = "NUMBER", value_parser = values::concurrent)]
    pub(super) max_concurrent: Option<u32>,
    /// Take the client's address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)
    #[arg(long, value_name = "IP|CIDR|unix", value_delimiter = ',', value_parser = values::proxy)]
    pub(super) trusted_proxy: Vec<Proxy>,
    /// Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = values::audit_log)]
    pub(super) audit_log: Option<audit::Place>,
}

/// Tokens of an authorization server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct OAuthArgs {
    /// Serve only who sends a token that this authorization server issued for the bridge (default: everyone)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(super) oauth_issuer: Option<String>,
    /// What tokens are to be issued for, once for each (default: the URL that is called, or the bridge's own)
    #[arg(long, value_name = "AUDIENCE", value_delimiter = ',')]
    pub(super) oauth_audience: Vec<String>,
    /// A scope that every call needs, once for each (default: none)
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    pub(super) oauth_scope: Vec<String>,
    /// A scope that calls of the tools of this name need, * for any characters, once for each (default: none)
    #[arg(long, value_name = "TOOL=SCOPE", value_delimiter = ',')]
    pub(super) oauth_tool_scope: Vec<String>,
    /// Where the authorization server's keys are (default: where its metadata says)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(super) oauth_jwks_url: Option<String>,
    /// How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)
    #[arg(long, value_name = "ALGORITHM", value_delimiter = ',', value_parser = values::algorithm)]
    pub(super) oauth_algorithm: Vec<JwtAlgorithm>,
    /// How far the authorization server's clock may be from the bridge's; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = values::duration)]
    pub(super) oauth_leeway: Duration,
    /// Ask the authorization server here about each token instead of checking its signature (default: off)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(super) oauth_introspection_url: Option<String>,
    /// The client that the bridge is when it asks (default: none)
    #[arg(long, value_name = "ID")]
    pub(super) oauth_introspection_client: Option<String>,
    /// A file with that client's secret (default: none)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) oauth_introspection_secret_file: Option<PathBuf>,
    /// For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    pub(super) oauth_introspection_cache: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Sessions")]
pub(super) struct SessionArgs {
    /// Start one server for all sessions (default: one for each session)
    #[arg(long, value_parser = values::switch)]
    pub(super) shared: bool,
    /// Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)
    #[arg(long, value_parser = values::switch)]
    pub(super) pooled: bool,
    /// Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(super) stateless: bool,
    /// Number of the server's processes at once, spares included; one more is refused (default: as many as sessions)
    #[arg(long, value_name = "NUMBER", value_parser = values::sessions)]
    pub(super) max_children: Option<usize>,
    /// Number of processes to start before they are needed; each session takes one (default: 0)
    #[arg(long, value_name = "NUMBER", value_parser = values::spares)]
    pub(super) warm: Option<usize>,
    /// Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(super) idle_timeout: Option<Duration>,
    /// Give each caller's own server this header's value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)
    #[arg(long, value_name = "HEADER=NAME")]
    pub(super) header_env: Vec<String>,
    /// Give each caller's own server this claim of the caller's token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)
    #[arg(long, value_name = "CLAIM=NAME")]
    pub(super) claim_env: Vec<String>,
    /// Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = values::positive_duration)]
    pub(super) session_timeout: Duration,
    /// Number of sessions at once; one more gets 503
    #[arg(long, value_name = "NUMBER", default_value = "1024", value_parser = values::sessions)]
    pub(super) max_sessions: usize,
    /// Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = values::duration)]
    pub(super) keepalive: Duration,
    /// Send keep-alives as `event: ping` instead of comments (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(super) keepalive_event: bool,
}

/// The server that is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Remote server")]
pub(super) struct RemoteArgs {
    /// Send this header with each request, once for each, as in 'X-Api-Key: ${KEY}' (default: none)
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub(super) header: Vec<String>,
    /// Send this bearer token with each request, as in '${TOKEN}' (default: none)
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub(super) bearer: Option<String>,
    #[command(flatten)]
    pub(super) tls: TlsArgs,
    /// Number of further attempts after a connection fails
    #[arg(long, value_name = "NUMBER", default_value = "5", value_parser = values::count)]
    pub(super) retries: u32,
    /// Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = values::duration)]
    pub(super) retry_delay: Duration,
    /// Time for each attempt to connect; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::positive_duration)]
    pub(super) connect_timeout: Duration,
    #[command(flatten)]
    pub(super) oauth: OauthArgs,
}

/// Whom to trust, and who to be, where TLS is spoken to a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Remote server")]
pub(super) struct TlsArgs {
    /// Trust the authorities in this PEM file, too (default: those of the system)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) ca_file: Option<PathBuf>,
    /// Show the certificate in this PEM file to a server that asks for one (default: none)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) client_cert: Option<PathBuf>,
    /// The certificate's key, a PEM file (default: the file of --client-cert)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) client_key: Option<PathBuf>,
}

/// What every bridge has.
#[derive(Debug, Args)]
pub(super) struct SharedArgs {
    #[command(flatten)]
    pub(super) eras: EraArgs,
    #[command(flatten)]
    pub(super) tools: ToolArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Tools")]
pub(super) struct ToolArgs {
    /// Offer only tools whose name matches, as in 'read_*', once for each (default: all)
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    pub(super) allow_tool: Vec<String>,
    /// Offer no tool whose name matches, whatever is allowed, once for each (default: none)
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    pub(super) deny_tool: Vec<String>,
}

impl ToolArgs {
    /// Which tools are offered.
    pub(super) fn filter(&self) -> ToolFilter {
        let globs = |typed: &[String]| typed.iter().map(|glob| Glob::new(glob.as_str())).collect::<Vec<_>>();
        let allow = Some(globs(&self.allow_tool)).filter(|allow| !allow.is_empty());
        ToolFilter { allow, deny: globs(&self.deny_tool) }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Eras")]
pub(super) struct EraArgs {
    /// Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to
    #[arg(long, value_name = "ERA", value_enum, default_value_t = ServerEraArg::Auto)]
    pub(super) server_era: ServerEraArg,
    /// Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)
    #[arg(long, value_name = "DIR|URI", value_hint = ValueHint::DirPath)]
    pub(super) root: Vec<String>,
    /// Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) state_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ServerEraArg {
    Auto,
    Legacy,
    Modern,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Size of the largest message; bytes, or 64KiB, 1MB, 16MiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = values::size)]
    pub(super) max_message: usize,
    /// Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::duration)]
    pub(super) request_timeout: Duration,
    /// Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    pub(super) grace: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(super) struct LogArgs {
    /// Least level of log lines on stderr
    // The default differs by command: see `command`.
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub(super) log_level: Option<LogLevel>,
    /// Form of log lines
    #[arg(long, value_name = "FORM", value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
    /// Log errors only, whatever --log-level says, and print at the start only the address (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(super) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> tracing::Level {
        match level {
            LogLevel::Error => tracing::Level::ERROR,
            LogLevel::Warn => tracing::Level::WARN,
            LogLevel::Info => tracing::Level::INFO,
            LogLevel::Debug => tracing::Level::DEBUG,
            LogLevel::Trace => tracing::Level::TRACE,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

impl From<LogFormat> for observe::Format {
    fn from(format: LogFormat) -> observe::Format {
        match format {
            LogFormat::Text => observe::Format::Text,
            LogFormat::Json => observe::Format::Json,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DemoEra {
    Legacy,
    Modern,
    Both,
}

impl From<DemoEra> for demo::Eras {
    fn from(era: DemoEra) -> demo::Eras {
        match era {
            DemoEra::Legacy => demo::Eras::Legacy,
            DemoEra::Modern => demo::Eras::Modern,
            DemoEra::Both => demo::Eras::Both,
        }
    }
}

/// The whole command line, with the environment variable of each flag.
pub(super) fn command() -> clap::Command {
    let bridges = bridges::all();
    let whole = Cli::command().subcommands(bridges.iter().map(Bridge::command));
    let about = whole.get_about().cloned().unwrap_or_default();
    let whole = Command::augment_subcommands(whole).subcommand_required(true).arg_required_else_help(true).about(about);
    whole.mut_subcommands(|sub| {
        // A token in a variable is meant for a server; here it would go to the bridge.
        if sub.get_name() == "status" {
            return sub;
        }
        let bridge = bridges.iter().find(|bridge| bridge.name == sub.get_name());
        // A desktop client shows what its servers write to stderr as warnings or errors, so there good news is noise.
        let for_clients = bridge.is_some_and(|bridge| bridge.outputs.is_empty());
        let level = if for_clients { "warn" } else { "info" };
        let sessions_only =
            bridge.is_some_and(|bridge| !for_clients && bridge.outputs.iter().all(|output| output.needs_session));
        let starts = bridge.is_some_and(Bridge::starts);
        sub.mut_args(|arg| match arg.get_id().as_str() {
            "quiet" if for_clients => {
                with_variable(arg.help("Log errors only, whatever --log-level says (default: off)"))
            }
            "log_level" => with_variable(arg.default_value(level)),
            // Some wires have no form without sessions: `resolve` says so to whoever types it all the same.
            "stateless" if sessions_only => with_variable(arg).hide(true),
            // The same where there is no process.
            "max_children" | "warm" | "idle_timeout" | "header_env" | "claim_env" if !starts => {
                with_variable(arg).hide(true)
            }
            _ => with_variable(arg),
        })
    })
}

/// `--max-message` is also `MCP_BRIDGE_MAX_MESSAGE`, and so on for every flag.
fn with_variable(arg: clap::Arg) -> clap::Arg {
    let Some(long) = arg.get_long().filter(|_| !is_help(&arg)) else { return arg };
    let name = variable(long);
    // Compose files pass on variables that are not set as empty ones: that is no value.
    if std::env::var_os(&name).is_some_and(|value| value.is_empty()) {
        return arg;
    }
    // Help goes to logs and bug reports, and values can be secrets.
    // The names follow one rule, which help states once; the man pages list them.
    arg.env(name).hide_env_values(true).hide_env(true)
}

/// The variable of a flag, given its long name.
pub(super) fn variable(long: &str) -> String {
    format!("MCP_BRIDGE_{}", long.to_ascii_uppercase().replace('-', "_"))
}

fn is_help(arg: &clap::Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
}
