//! From what was typed to the checked configuration.
//!
//! Owns every check that takes more than one flag, the environment, or a file. Talks to the environment through
//! [`Typed`], to the files that flags name, and with `--dry-run` to stdout. No error of it shows a secret.

use std::{io::IsTerminal, path::Path};

use super::{
    Error, Task,
    args::{LimitArgs, LogArgs, LogLevel, NetworkArgs, RemoteArgs, ServerArgs, SessionArgs},
    bridges::{self, Bridge, id},
    complain, dry_run,
    expand::{Env, expand},
    print,
    report::stray_word,
    usage,
};
use crate::{
    config::{
        Back, CallerEnv, Config, Door, Front, Limits, Output, Overrides, Processes, RemoteSpec, RetryPolicy,
        ServerName, ServerSpec, Sharing, StopLadder, check::looks_like_url,
    },
    files,
    observe::Logging,
};

mod door;
mod eras;
mod file;
mod name;
mod network;
mod oauth;
mod processes;
mod remote;
mod server;
mod status;

/// Where values come from besides the flags themselves.
pub(super) struct Typed<'a> {
    /// For `${VAR}`.
    pub(super) env: Env<'a>,
    /// Whether a flag, by its id, got its value from its variable.
    pub(super) from_env: &'a dyn Fn(&str) -> bool,
    /// Whether a flag, by its id, stands on the command line.
    pub(super) by_hand: &'a dyn Fn(&str) -> bool,
}

/// The flags that are of no use for a server at a URL, by their ids.
const OF_COMMANDS: [&str; 13] = [
    "command",
    "shell",
    "demo",
    "env",
    "env_file",
    "pass_env",
    "cwd",
    "stop_timeout",
    "max_children",
    "warm",
    "idle_timeout",
    "header_env",
    "claim_env",
];

/// The flags that are of no use for a server that is started.
const OF_URLS: [&str; 21] = [
    "header",
    "bearer",
    "ca_file",
    "client_cert",
    "client_key",
    "retries",
    "retry_delay",
    "connect_timeout",
    "client_id",
    "client_secret_file",
    "client_key_file",
    "client_metadata_url",
    "scope",
    "no_browser",
    "device",
    "client_credentials",
    "callback_port",
    "auth_timeout",
    "no_login",
    "auth_dir",
    "auth_keyring",
];

/// Whether callers may have tokens with claims. On stdio nobody calls, and nothing comes from callers.
fn has_claims(front: &Front) -> bool {
    match front {
        Front::Stdio => true,
        Front::Network(network) => match &network.door {
            Door::Open => false,
            Door::Locked(gate) => gate.issuer().is_some(),
        },
    }
}

impl Typed<'_> {
    /// A command that carries messages.
    pub(super) fn bridge(&self, command: &Bridge, args: bridges::Typed) -> Result<Task, Error> {
        let mut limits = limits(&args.shared.limits);
        let (mut processes, mut caller_env) = (Processes::default(), CallerEnv::default());
        let (front, sharing) = match args.network {
            None => (Front::Stdio, Sharing::Own),
            Some((network, outputs)) => {
                let sharing = sharing(&network.session)?;
                limits.max_sessions = network.session.max_sessions;
                limits.session_timeout = network.session.session_timeout;
                (processes, caller_env) = self.processes(&network.session, sharing)?;
                (self.listening(command, network, outputs, sharing)?, sharing)
            }
        };
        let eras = self.eras(&args.shared.eras)?;
        let logging = self.logging(&args.shared.log);
        let (mut written, mut aggregate) = (Vec::new(), None);
        self.check_aggregate(args.config.is_some(), args.aggregate)?;
        let (servers, file) = match self.config_file(args.config, args.url.as_deref(), args.server.as_ref())? {
            Some(path) => {
                // From a variable, too: a filter that nobody enforces is worse than none.
                if !args.shared.tools.filter().is_open() {
                    let file = path.display();
                    let text = "--allow-tool and --deny-tool are of one server, and --config names several; write";
                    return usage(format!("{text} tools.allow and tools.deny into {file}"));
                }
                let whole = args.aggregate.then_some(args.aggregate_prefix);
                let loaded = self.load(
                    &path,
                    args.server,
                    args.remote,
                    (sharing, processes),
                    eras,
                    (whole, has_claims(&front)),
                )?;
                written = loaded.written;
                aggregate = loaded.aggregate;
                (loaded.servers, Some(loaded.file))
            }
            None => {
                let (name, mut back) = self.back(command, args.url.as_deref(), args.server, args.remote)?;
                if let Back::Child(spec) = &mut back {
                    processes::give(spec, caller_env, has_claims(&front))?;
                }
                let (overrides, tools) = (Overrides::default(), args.shared.tools.filter());
                (vec![ServerSpec { name, at_root: true, back, sharing, processes, eras, overrides, tools }], None)
            }
        };
        if args.dry_run {
            let (bad, notes) = file.map(|file| (file.bad, file.notes)).unwrap_or_default();
            notes.iter().for_each(|note| complain(note));
            print(dry_run::plan(&servers, &bad, &written, aggregate.is_some(), &front).as_bytes())?;
            return dry_run::verdict(servers.len(), bad.len()).map(|()| Task::Done);
        }
        Ok(Task::Bridge(Box::new(Config { servers, file, aggregate, front, limits }), logging))
    }

    /// What is typed about all servers as one has to be of use.
    fn check_aggregate(&self, several: bool, aggregate: bool) -> Result<(), Error> {
        for (flag, needed, there) in [("aggregate", "config", several), ("aggregate_prefix", "aggregate", aggregate)] {
            if (self.by_hand)(flag) && !there {
                return usage(format!("--{} needs --{needed}; add it, or leave it out", flag.replace('_', "-")));
            }
        }
        Ok(())
    }

    /// Without sessions, only wires that have a form without them are served.
    fn listening(
        &self,
        command: &Bridge,
        network: NetworkArgs,
        mut outputs: Vec<Output>,
        sharing: Sharing,
    ) -> Result<Front, Error> {
        if sharing == Sharing::Stateless {
            let name = &command.name;
            let title = outputs.first().map_or("", |output| output.wire.listed().title);
            outputs.retain(|output| !output.wire.listed().needs_session);
            if outputs.is_empty() {
                return usage(format!(
                    "{name} cannot be --stateless: with {title}, a stream is a session; use Streamable HTTP, as in \
                     mcp-bridge serve --stateless"
                ));
            }
        }
        let offered = |wire| outputs.iter().any(|output| output.wire == wire);
        for wire in command.outputs.iter().filter(|wire| !offered(wire.wire) && sharing != Sharing::Stateless) {
            if let Some(path) = wire.paths.iter().find(|path| (self.by_hand)(&id(path.flag))) {
                return usage(format!(
                    "--{} is of {}, which --output leaves out; add {} there, or leave the path out",
                    path.flag, wire.title, wire.word
                ));
            }
        }
        network::front(self, network, outputs).map(|front| Front::Network(Box::new(front)))
    }

    /// The server, and what it is called in paths.
    fn back(
        &self,
        command: &Bridge,
        url: Option<&str>,
        server: Option<ServerArgs>,
        remote: Option<RemoteArgs>,
    ) -> Result<(ServerName, Back), Error> {
        match (url, server, remote) {
            (Some(url), _, Some(remote)) => {
                if ["command", "shell", "demo"].iter().any(|id| (self.by_hand)(id)) && !looks_like_url(url) {
                    return usage(stray_word(&command.name));
                }
                self.check_none(command, "a server at a URL", &OF_COMMANDS)?;
                let spec = self.remote(command, url, &remote)?;
                Ok((remote::name(&spec), Back::Remote(spec)))
            }
            (_, Some(server), _) => {
                self.check_none(command, "a server that is started", &OF_URLS)?;
                let spec = self.child(command, server)?;
                Ok((ServerName::near(&spec.name), Back::Child(spec)))
            }
            (_, None, _) => usage(format!("{} needs a URL; write it behind the command", command.name)),
        }
    }

    /// That a flag does nothing is to be told, unless it comes from a variable that other runs need.
    fn check_none(&self, command: &Bridge, what: &str, ids: &[&str]) -> Result<(), Error> {
        match ids.iter().find(|id| (self.by_hand)(id)) {
            Some(&"command") => usage(format!("{} got both a URL and a command after --; leave one out", command.name)),
            Some(id) => usage(format!("--{} is of no use for {what}; leave it out", id.replace('_', "-"))),
            None => Ok(()),
        }
    }

    fn remote(&self, command: &Bridge, url: &str, args: &RemoteArgs) -> Result<RemoteSpec, Error> {
        // Else it may be the end of a value that lacks its quotes.
        let program = (!["header", "bearer", "env"].iter().any(|id| (self.by_hand)(id))).then_some(url);
        let place = remote::place(command, url, program)?;
        let headers = self.headers(args)?;
        let tls = remote::tls(&args.tls)?;
        let authorizer = self.authorizer(command, &place, &headers, (&args.oauth, &tls))?;
        Ok(RemoteSpec {
            authorizer,
            url: place.url,
            socket: place.socket,
            transport: place.transport,
            headers,
            tls,
            retry: retry(args),
        })
    }

    fn expand(&self, flag: &str, text: &str) -> Result<String, Error> {
        expand(text, self.env).map_err(|error| Error::Usage(format!("{flag}: {error}")))
    }

    /// The values of a repeatable flag; its variable holds one a line.
    fn lines<'v>(&self, id: &str, values: &'v [String]) -> Vec<&'v str> {
        match (self.from_env)(id) {
            true => values.iter().flat_map(|value| value.lines()).filter(|line| !line.trim().is_empty()).collect(),
            false => values.iter().map(String::as_str).collect(),
        }
    }

    fn logging(&self, args: &LogArgs) -> Logging {
        let level = if args.quiet { LogLevel::Error } else { args.log_level.unwrap_or(LogLevel::Info) };
        // https://no-color.org: set and not empty means no colour.
        let no_color = (self.env)("NO_COLOR").is_some_and(|value| !value.is_empty());
        Logging {
            level: level.into(),
            quiet: args.quiet,
            format: args.log_format.into(),
            ansi: !no_color && std::io::stderr().is_terminal(),
        }
    }
}

fn sharing(args: &SessionArgs) -> Result<Sharing, Error> {
    let all = [
        (args.shared, "--shared", Sharing::Shared),
        (args.pooled, "--pooled", Sharing::Pooled),
        (args.stateless, "--stateless", Sharing::Stateless),
    ];
    let mut given = all.into_iter().filter(|(given, ..)| *given);
    match (given.next(), given.next()) {
        (Some((_, one, _)), Some((_, other, _))) => usage(format!("both {one} and {other} are given; leave one out")),
        (Some((_, _, sharing)), None) => Ok(sharing),
        (None, _) => Ok(Sharing::Own),
    }
}

fn retry(args: &RemoteArgs) -> RetryPolicy {
    RetryPolicy { attempts: args.retries, delay: args.retry_delay, connect_timeout: args.connect_timeout }
}

fn stop(args: &ServerArgs) -> StopLadder {
    StopLadder { after_close: args.stop_timeout, after_term: args.stop_timeout }
}

fn limits(args: &LimitArgs) -> Limits {
    Limits {
        max_message: args.max_message,
        request_timeout: Some(args.request_timeout).filter(|time| !time.is_zero()),
        grace: args.grace,
        ..Limits::default()
    }
}

fn read(flag: &str, path: &Path) -> Result<String, Error> {
    files::text(path)
        .map_err(|error| Error::Usage(format!("{flag} {}: {error}; name a readable text file", path.display())))
}
