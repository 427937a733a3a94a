//! The command line: what can be typed, what it comes to, and what is said when it is wrong.
//!
//! Owns the clap types (`args`, `bridges`), the way from them to the checked [`Config`] (`resolve`), the wording of usage
//! errors (`report`) and the exit codes ([`Exit`]). Talks to the environment, to the files that flags name, to the system's
//! keyring with `--auth-keyring`, to stdout for what is to be printed, and to nobody else. It never calls a server and never
//! starts a process.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{ArgMatches, FromArgMatches, parser::ValueSource};
use url::Url;

use crate::{
    config::{
        Config, expand,
        oauth::{LogoutSpec, OauthSpec, TokenDir},
    },
    demo::Eras,
    observe::{Logging, flat},
    status::Question,
    wire::child::guard,
};

mod args;
mod bridges;
mod dry_run;
mod exit;
mod generate;
pub mod login;
mod report;
mod resolve;
mod values;
mod variables;

pub use exit::Exit;
pub use variables::unknown_variables;

use args::{Command, oauth::AuthWhat};
use bridges::Bridge;

/// What the command line asks for.
#[derive(Debug)]
pub enum Task {
    /// Carry messages until told to stop.
    Bridge(Box<Config>, Logging),
    /// Do something about logins.
    Login(Box<LoginTask>),
    /// Be the built-in stdio server.
    Demo(Eras),
    /// Ask a running bridge about its servers.
    Status(Box<Question>),
    /// Be the process that ends every descendant with this mark when the bridge is gone.
    Guard(String),
    /// Nothing is left to do: what was asked for is printed or written.
    Done,
}

/// What to do about logins.
#[derive(Debug)]
pub enum LoginTask {
    /// Log in.
    In(Url, Box<OauthSpec>),
    /// Forget a login, and give its tokens back.
    Out(Url, Box<LogoutSpec>),
    /// Say what is kept, of one server or of all.
    Status(Option<Url>, TokenDir),
}

/// Why the command line could not be carried out. One line, with a next step, free of secrets.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Something was typed, or stands in a variable or file, that cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// A config file is wrong; below the line, its own line and a caret.
    #[error("{0}")]
    File(String, String),
    /// What was asked for is clear, but it did not work.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// Says it on stderr, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        complain(&self.to_string());
        if let Error::File(_, excerpt) = self {
            for line in excerpt.lines() {
                let _ = writeln!(io::stderr(), "{}", flat(line));
            }
        }
        match self {
            Error::Usage(_) | Error::File(..) => Exit::Usage.into(),
            Error::Failed(_) => Exit::Failed.into(),
        }
    }
}

fn usage<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error::Usage(text.into()))
}

/// What `args` and the environment come to.
pub fn parse(argv: Vec<OsString>) -> Result<Task, Error> {
    // Before clap, which nobody who types needs here: the guard starts with every bridge, and has to be there at once.
    if argv.get(1).is_some_and(|word| word == guard::COMMAND) {
        return Ok(Task::Guard(argv.get(2).map(|mark| mark.to_string_lossy().into_owned()).unwrap_or_default()));
    }
    parse_in(argv, &|name| std::env::var_os(name))
}

/// The same with the environment passed in, as far as `${VAR}` goes; clap itself reads `MCP_BRIDGE_*` from the process.
fn parse_in(argv: Vec<OsString>, env: expand::Env<'_>) -> Result<Task, Error> {
    let parsed = args::command()
        .try_get_matches_from(&argv)
        .and_then(|matches| Asked::read(&matches).map(|asked| (asked, matches)));
    let (asked, matches) = match parsed {
        Ok(both) => both,
        Err(error) if !error.use_stderr() => {
            return error.print().map(|()| Task::Done).or_else(ignore_closed); // --help, --version
        }
        Err(error) => return usage(report::one_line(&error, &argv)),
    };
    let sub = matches.subcommand().map(|(_, sub)| sub);
    // Asking for an id that a command does not have is an error to clap; here it means "not given".
    let source = |id: &str| {
        sub.filter(|sub| sub.try_contains_id(id).is_ok_and(|known| known)).and_then(|sub| sub.value_source(id))
    };
    let from_env = |id: &str| source(id) == Some(ValueSource::EnvVariable);
    let by_hand = |id: &str| source(id) == Some(ValueSource::CommandLine);
    let typed = resolve::Typed { env, from_env: &from_env, by_hand: &by_hand };
    match asked {
        Asked::Bridge(command, args) => typed.bridge(&command, *args),
        Asked::Other(Command::Login(args)) => typed.login(*args),
        Asked::Other(Command::Logout { server, tls, client_secret_file, dir }) => {
            typed.logout(&server, &tls, client_secret_file.as_deref(), dir)
        }
        Asked::Other(Command::Auth { what: AuthWhat::Status, server, dir }) => {
            typed.auth_status(server.as_deref(), dir)
        }
        Asked::Other(Command::DemoServer { era }) => Ok(Task::Demo(era.into())),
        Asked::Other(Command::Status(args)) => typed.status(&args).map(|asked| Task::Status(Box::new(asked))),
        Asked::Other(Command::Completions { shell }) => print(&generate::completions(shell)),
        Asked::Other(Command::Man { what }) => generate::man(what.as_deref()),
        Asked::Other(Command::Generate { tree }) => generate::write_tree(&tree),
    }
}

/// Which command was typed, with its flags.
enum Asked {
    Bridge(Bridge, Box<bridges::Typed>),
    Other(Command),
}

impl Asked {
    fn read(matches: &ArgMatches) -> Result<Asked, clap::Error> {
        match matches.subcommand().and_then(|(name, sub)| Some((bridges::find(name)?, sub))) {
            Some((bridge, sub)) => bridge.read(sub).map(|typed| Asked::Bridge(bridge, Box::new(typed))),
            None => Command::from_arg_matches(matches).map(Asked::Other),
        }
    }
}

/// Writes to stdout.
fn print(text: &[u8]) -> Result<Task, Error> {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).map(|()| Task::Done).or_else(ignore_closed)
}

/// One line on stderr under the program's name. That stderr may be closed is no reason to panic.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "mcp-bridge: {}", flat(text));
}

/// A reader that closed early (`| head`) is not a failure.
fn ignore_closed(error: io::Error) -> Result<Task, Error> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(Task::Done),
        _ => Err(Error::Failed(format!("cannot write to stdout: {error}; check where it is redirected to"))),
    }
}

#[cfg(test)]
mod tests;
