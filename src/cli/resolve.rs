//! From what was typed to the checked configuration.
//!
//! Owns every check that takes more than one flag, the environment, or a file. Talks to the environment through
//! [`Typed`] and to the files that flags name. It never prints, and no error of it shows a secret.

use std::{fs, io::IsTerminal, path::Path};

use super::{
    Error, Task,
    args::{
        HttpPath, LimitArgs, LogArgs, LogLevel, NetworkArgs, Serve, ServerArgs, SharedArgs, SsePaths, StdioToHttp,
        StdioToSse, ToStdio,
    },
    expand::{Env, expand},
    usage,
};
use crate::{
    config::{Back, Config, Front, Limits, RemoteSpec, RemoteTransport, RetryPolicy, Sharing},
    observe::Logging,
};

mod eras;
mod name;
mod network;
mod remote;
mod server;

/// Where values come from besides the flags themselves.
pub(super) struct Typed<'a> {
    /// For `${VAR}`.
    pub(super) env: Env<'a>,
    /// Whether a flag, by its id, got its value from its variable.
    pub(super) from_env: &'a dyn Fn(&str) -> bool,
}

impl Typed<'_> {
    pub(super) fn stdio_to_sse(&self, args: StdioToSse) -> Result<Task, Error> {
        if args.network.session.stateless {
            return usage(
                "stdio-to-sse cannot be --stateless: an HTTP+SSE stream is a session; use stdio-to-http --stateless",
            );
        }
        self.network("stdio-to-sse", args.server, args.network, (None, Some(args.sse)), args.shared)
    }

    pub(super) fn stdio_to_http(&self, args: StdioToHttp) -> Result<Task, Error> {
        self.network("stdio-to-http", args.server, args.network, (Some(args.http), None), args.shared)
    }

    /// Without sessions there is no HTTP+SSE, so `serve --stateless` offers Streamable HTTP alone.
    pub(super) fn serve(&self, args: Serve) -> Result<Task, Error> {
        let sse = (!args.network.session.stateless).then_some(args.sse);
        self.network("serve", args.server, args.network, (Some(args.http), sse), args.shared)
    }

    pub(super) fn sse_to_stdio(&self, args: ToStdio) -> Result<Task, Error> {
        self.remote("sse-to-stdio", RemoteTransport::Sse, args)
    }

    pub(super) fn http_to_stdio(&self, args: ToStdio) -> Result<Task, Error> {
        self.remote("http-to-stdio", RemoteTransport::Http, args)
    }

    pub(super) fn connect(&self, args: ToStdio) -> Result<Task, Error> {
        self.remote("connect", RemoteTransport::Auto, args)
    }

    fn network(
        &self,
        name: &str,
        server: ServerArgs,
        listening: NetworkArgs,
        routes: (Option<HttpPath>, Option<SsePaths>),
        shared: SharedArgs,
    ) -> Result<Task, Error> {
        let sharing = sharing(listening.session.shared, listening.session.stateless)?;
        let mut limits = limits(&shared.limits);
        limits.max_sessions = listening.session.max_sessions;
        limits.session_timeout = listening.session.session_timeout;
        let front = network::front(listening, routes)?;
        let back = self.child(name, server)?;
        let config = Config {
            back: Back::Child(back),
            front: Front::Network(Box::new(front)),
            sharing,
            eras: self.eras(&shared.eras)?,
            limits,
        };
        Ok(Task::Bridge(Box::new(config), self.logging(&shared.log)))
    }

    fn remote(&self, name: &str, transport: RemoteTransport, args: ToStdio) -> Result<Task, Error> {
        let config = Config {
            back: Back::Remote(RemoteSpec {
                url: remote::url(name, &args.url)?,
                transport,
                headers: self.headers(&args.remote)?,
                retry: RetryPolicy {
                    attempts: args.remote.retries,
                    delay: args.remote.retry_delay,
                    connect_timeout: args.remote.connect_timeout,
                },
            }),
            front: Front::Stdio,
            sharing: Sharing::Own,
            eras: self.eras(&args.shared.eras)?,
            limits: limits(&args.shared.limits),
        };
        Ok(Task::Bridge(Box::new(config), self.logging(&args.shared.log)))
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

fn sharing(shared: bool, stateless: bool) -> Result<Sharing, Error> {
    match (shared, stateless) {
        (false, false) => Ok(Sharing::Own),
        (true, false) => Ok(Sharing::Shared),
        (false, true) => Ok(Sharing::Stateless),
        (true, true) => usage("both --shared and --stateless are given; leave one out"),
    }
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
    fs::read_to_string(path)
        .map_err(|error| Error::Usage(format!("{flag} {}: {error}; name a readable text file", path.display())))
}

/// Whether a text can stand in `Authorization: Bearer`: visible ASCII (RFC 6750 has fewer; servers are less strict).
fn is_token(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic())
}
