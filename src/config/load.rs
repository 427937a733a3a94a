//! From the name of a config file to servers that can be offered.
//!
//! Owns what is read beside the file's own text (its rights, files of variables, directories), and how what a server sets
//! and what flags say come together. Talks to the file system, and to the environment that is passed in. It starts nothing,
//! and no error of it shows a secret.

use std::{
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use http::header::AUTHORIZATION;

use super::{
    AGGREGATE, Back, CallerEnv, ChildSpec, EraSettings, Overrides, PassEnv, Processes, RemoteSpec, RetryPolicy, Secret,
    ServerName, ServerSpec, Sharing, Source, StopLadder, check,
    expand::{self, Env},
    file::{self, Child, Children, Entry, Problem, Reach, Server, Settings},
    oauth::OauthSpec,
};
use crate::{aggregate::Template, auth::client::Authorizer, files, tls::client::Client};

/// The server of this name is at the root.
const AT_ROOT: &str = AGGREGATE;

/// Reads one file, as often as it changes.
#[derive(Debug, Clone)]
pub struct Loader {
    /// As it was named, for messages.
    named: PathBuf,
    /// Absolute: the file is read again after the start.
    path: PathBuf,
    base: Base,
}

/// What flags give to every server that does not say otherwise.
#[derive(Debug, Clone)]
pub struct Base {
    /// `--shared`, `--pooled`, `--stateless`.
    pub sharing: Sharing,
    /// `--max-children`, `--warm`, `--idle-timeout`.
    pub processes: Processes,
    /// `--server-era` and what belongs to it.
    pub eras: EraSettings,
    /// `--pass-env`.
    pub pass_env: PassEnv,
    /// `--stop-timeout`.
    pub stop: StopLadder,
    /// `--retries` and what belongs to it.
    pub retry: RetryPolicy,
    /// `--ca-file`, `--client-cert` and what belongs to them.
    pub tls: Client,
    /// How to log in to servers that ask for it; `None`: not at all. `--no-login` and what belongs to it.
    pub logins: Option<OauthSpec>,
    /// `--aggregate` and what belongs to it.
    pub aggregate: Option<Template>,
    /// Whether callers may have tokens with claims. `--oauth-issuer`.
    pub has_claims: bool,
}

/// What a file came to.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// At least one, in the order of the file.
    pub servers: Vec<ServerSpec>,
    /// What cannot be offered.
    pub bad: Vec<Bad>,
    /// What else is to be said about the file, a line each.
    pub notes: Vec<String>,
    /// Whether all servers are offered as one, too.
    pub aggregate: Option<Template>,
    /// The commands as they are written: arguments from variables may be secrets.
    pub written: Vec<(ServerName, Vec<String>)>,
    /// Files of variables that it names (`envFile`), whether they could be read or not.
    pub beside: Vec<PathBuf>,
}

/// A server that cannot be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// As it is written; it need not be fit for a path.
    pub name: String,
    /// The place, what is wrong, and what to write. One line.
    pub why: String,
    /// The same for callers, who are not told about this machine: its paths are for the log.
    pub brief: String,
    /// The line of the file, and a caret.
    pub excerpt: Option<String>,
}

/// Why a file gives no servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// One line.
    pub message: String,
    /// The line of the file, and a caret.
    pub excerpt: Option<String>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {}

impl From<Problem> for LoadError {
    fn from(problem: Problem) -> LoadError {
        LoadError { message: problem.to_string(), excerpt: Some(problem.excerpt()) }
    }
}

impl From<String> for LoadError {
    fn from(message: String) -> LoadError {
        LoadError { message, excerpt: None }
    }
}

impl Loader {
    /// Nothing is read yet.
    pub fn new(file: &Path, base: Base) -> Result<Loader, LoadError> {
        let path = std::path::absolute(file).map_err(|error| LoadError::from(unreadable(file, &error)))?;
        Ok(Loader { named: file.into(), path, base })
    }

    /// Where the file is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As it was named.
    pub fn named(&self) -> &Path {
        &self.named
    }

    /// The text of the file.
    pub fn text(&self) -> Result<String, LoadError> {
        let read = files::text(&self.path);
        read.map_err(|error| LoadError::from(unreadable(&self.named, &error)))
    }

    /// What a text of the file comes to. An error where it leaves no server to offer.
    pub fn servers(&self, text: &str, env: Env<'_>) -> Result<Loaded, LoadError> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        let file = file::read(&file::Source { file: &self.named, dir, text, env })?;
        let mut loaded = Loaded {
            servers: Vec::new(),
            bad: Vec::new(),
            notes: Vec::new(),
            aggregate: file.aggregate.or_else(|| self.base.aggregate.clone()),
            written: Vec::new(),
            beside: Vec::new(),
        };
        loaded.notes.extend(self.open_to_all());
        loaded.notes.extend(file.warnings.iter().map(Problem::to_string));
        let mut disabled = 0;
        for entry in file.servers {
            match entry {
                Entry::Disabled { .. } => disabled += 1,
                Entry::Bad { name, why } => {
                    let brief = format!("line {}: {}", why.line, why.message);
                    loaded.bad.push(Bad { name, why: why.to_string(), brief, excerpt: Some(why.excerpt()) });
                }
                Entry::Server(server) => self.take(*server, env, &mut loaded),
            }
        }
        let file = self.named.display();
        if loaded.aggregate.is_some() {
            if loaded.servers.iter().any(|server| server.at_root) {
                let what = "is at the root, where --aggregate offers all servers; rename it, or leave --aggregate out";
                return Err(format!("{file}: the server {AT_ROOT:?} {what}").into());
            }
            if self.base.sharing == Sharing::Stateless {
                return Err(format!("{file}: --aggregate keeps sessions; leave --stateless or --aggregate out").into());
            }
        }
        match (loaded.servers.is_empty(), loaded.bad.first()) {
            (false, _) => Ok(loaded),
            (true, Some(bad)) => {
                let bad = bad.clone();
                Err(LoadError { message: bad.why, excerpt: bad.excerpt })
            }
            (true, None) => Err(format!("{file}: all {disabled} servers are disabled; enable one").into()),
        }
    }

    fn take(&self, server: Server, env: Env<'_>, loaded: &mut Loaded) {
        let (name, line) = (server.name.clone(), server.line);
        let written = match &server.reach {
            Reach::Child(child) => {
                loaded.beside.extend(child.env_files.iter().cloned());
                Some(child.written.clone())
            }
            Reach::Remote(_) => None,
        };
        match self.spec(server, env) {
            Ok(spec) => {
                loaded.servers.push(spec);
                loaded.written.extend(written.map(|written| (name, written)));
            }
            Err(fault) => {
                let full = fault.in_full();
                let why = format!("{}:{line}: server {:?}: {full}", self.named.display(), name.as_str());
                let brief = format!("line {line}: {}", fault.in_brief());
                loaded.bad.push(Bad { name: name.to_string(), why, brief, excerpt: None });
            }
        }
    }

    fn spec(&self, server: Server, env: Env<'_>) -> Result<ServerSpec, Fault> {
        let (base, set) = (&self.base, &server.settings);
        let sharing = match set.sharing {
            Some(Children::Own) => Sharing::Own,
            Some(Children::Shared) => Sharing::Shared,
            Some(Children::Stateless) => Sharing::Stateless,
            Some(Children::Pooled) => Sharing::Pooled,
            None => base.sharing,
        };
        let processes = match &server.reach {
            Reach::Child(child) => processes(&base.processes, set, sharing, child)?,
            Reach::Remote(_) => Processes::default(),
        };
        let back = match server.reach {
            Reach::Child(child) => Back::Child(self.child(&server.name, child, set, env)?),
            Reach::Remote(remote) => Back::Remote(RemoteSpec {
                authorizer: base
                    .logins
                    .clone()
                    // Two answers to one question are none, and a socket has no name that a token could be for.
                    .filter(|_| !remote.headers.contains_key(AUTHORIZATION) && remote.socket.is_none())
                    .map(|spec| Authorizer::new(&remote.url, spec)),
                url: remote.url,
                transport: remote.transport,
                socket: remote.socket,
                headers: remote.headers,
                tls: base.tls.clone(),
                retry: RetryPolicy {
                    attempts: set.retries.unwrap_or(base.retry.attempts),
                    delay: set.retry_delay.unwrap_or(base.retry.delay),
                    connect_timeout: set.connect_timeout.unwrap_or(base.retry.connect_timeout),
                },
            }),
        };
        Ok(ServerSpec {
            at_root: server.name.as_str() == AT_ROOT,
            name: server.name,
            back,
            sharing,
            processes,
            eras: EraSettings { server: set.era.unwrap_or(base.eras.server), ..base.eras.clone() },
            overrides: Overrides {
                request_timeout: set.request_timeout,
                session_timeout: set.session_timeout,
                max_sessions: None,
            },
            tools: server.tools,
        })
    }

    fn child(&self, name: &ServerName, child: Child, set: &Settings, env: Env<'_>) -> Result<ChildSpec, Fault> {
        if let Some(cwd) = &child.cwd {
            directory(cwd)?;
        }
        let mut variables = Vec::new();
        for path in &child.env_files {
            variables.extend(env_file(path, env)?);
        }
        variables.extend(child.env);
        let fault = |key, what: String| Fault { key, path: None, what };
        let caller_env = CallerEnv::new(child.header_env).map_err(|why| fault("header_env", format!(": {why}")))?;
        let caller_env =
            caller_env.and_claims(child.claim_env).map_err(|why| fault("claim_env", format!(": {why}")))?;
        // Else who sends nothing would get what belongs to another.
        let both = |(_, own): &(&Source, &str)| variables.iter().any(|(name, _)| own.eq_ignore_ascii_case(name));
        if let Some((source, name)) = caller_env.iter().find(both) {
            return Err(fault(source.key(), format!(": {name} is set by \"env\", too; leave one out")));
        }
        if caller_env.has_claims() && !self.base.has_claims {
            let what =
                " takes claims of tokens that an authorization server issued, and none is named; add --oauth-issuer";
            return Err(fault("claim_env", what.into()));
        }
        Ok(ChildSpec {
            name: name.to_string(),
            file: Some(self.named.clone()),
            program: child.program,
            args: child.args.iter().map(|arg| OsString::from(arg.expose())).collect(),
            env: variables,
            caller_env,
            pass_env: set.pass_env.clone().unwrap_or_else(|| self.base.pass_env.clone()),
            cwd: child.cwd,
            stop: set.stop_timeout.map_or(self.base.stop, |time| StopLadder { after_close: time, after_term: time }),
        })
    }

    /// Whoever writes the file decides what the bridge runs.
    #[cfg(unix)]
    fn open_to_all(&self) -> Option<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&self.path).ok().filter(fs::Metadata::is_file)?.permissions().mode();
        let file = self.named.display();
        (mode & 0o002 != 0).then(|| {
            format!("{file} can be written by every user, who could have the bridge run anything; run chmod o-w {file}")
        })
    }

    #[cfg(not(unix))]
    fn open_to_all(&self) -> Option<String> {
        None
    }
}

/// What flags and the file say together, for one server.
fn processes(base: &Processes, set: &Settings, sharing: Sharing, child: &Child) -> Result<Processes, Fault> {
    let fault = |key, what: String| Err(Fault { key, path: None, what });
    let (most, warm) = (set.max_children.or(base.most), set.warm.unwrap_or(base.warm));
    if let Some(most) = most.filter(|most| warm > *most) {
        return fault(
            "warm",
            format!(" {warm} is more than \"max_children\" {most}, and spares count; write {most} or less"),
        );
    }
    let key = if child.header_env.is_empty() { "claim_env" } else { "header_env" };
    let of_callers = !child.header_env.is_empty() || !child.claim_env.is_empty();
    if of_callers && sharing != Sharing::Own {
        return fault(key, " cannot be where callers share a server; write sharing = \"own\"".into());
    }
    if of_callers && warm > 0 {
        return fault(key, " cannot be with spares, which have no caller yet; write warm = 0".into());
    }
    Ok(Processes { most, warm, idle: set.idle_timeout.or(base.idle) })
}

/// Why a server cannot be offered, with what is found out beside its file.
struct Fault {
    key: &'static str,
    /// What the key names.
    path: Option<PathBuf>,
    what: String,
}

impl Fault {
    fn in_full(&self) -> String {
        self.showing(self.path.as_deref().map(|path| path.display().to_string()))
    }

    /// Without the way to the file.
    fn in_brief(&self) -> String {
        let name = self.path.as_deref().and_then(Path::file_name);
        self.showing(name.map(|name| name.to_string_lossy().into_owned()))
    }

    fn showing(&self, path: Option<String>) -> String {
        let path = path.map(|path| format!(" {path}")).unwrap_or_default();
        format!("{:?}{path}{}", self.key, self.what)
    }
}

fn directory(dir: &Path) -> Result<(), Fault> {
    let what = match fs::metadata(dir) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => " is not a directory; name the one to start the server in".into(),
        Err(error) => format!(": {error}; name an existing directory"),
    };
    Err(Fault { key: "cwd", path: Some(dir.into()), what })
}

fn env_file(path: &Path, env: Env<'_>) -> Result<Vec<(String, Secret)>, Fault> {
    let fault = |what| Fault { key: "envFile", path: Some(path.into()), what };
    let text = files::text(path).map_err(|error| fault(format!(": {error}; name a readable text file")))?;
    check::env_file(&text, &|value| expand::expand(value, env)).map_err(|why| fault(format!(" {why}")))
}

fn unreadable(file: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}; name a config file with --config", file.display())
}
