//! Servers that stand in a file: which flags go with `--config`, and what they give to all of them.
//!
//! Owns the rule that of a file, a command and a URL there is one. Talks to the file. It never words what is wrong in a file.

use std::path::{Path, PathBuf};

use super::{Typed, remote, retry, stop};
use crate::{
    aggregate::Template,
    cli::{
        Error,
        args::{RemoteArgs, ServerArgs},
        usage,
    },
    config::{
        ConfigFile, EraSettings, PassEnv, Processes, RetryPolicy, ServerName, ServerSpec, Sharing, StopLadder, check,
        load::{Base, LoadError, Loader},
    },
};

/// The flags that say what one server is, by their ids.
const OF_ONE: [&str; 10] =
    ["command", "shell", "demo", "env", "env_file", "cwd", "header", "bearer", "header_env", "claim_env"];

/// What a file came to.
pub(super) struct FromFile {
    pub(super) servers: Vec<ServerSpec>,
    pub(super) aggregate: Option<Template>,
    pub(super) file: ConfigFile,
    pub(super) written: Vec<(ServerName, Vec<String>)>,
}

impl Typed<'_> {
    /// The file to read. What is typed wins over variables.
    pub(super) fn config_file(
        &self,
        config: Option<PathBuf>,
        url: Option<&str>,
        server: Option<&ServerArgs>,
    ) -> Result<Option<PathBuf>, Error> {
        let Some(path) = config else { return Ok(None) };
        let command = server.is_some_and(|server| !server.command.is_empty());
        let other = ["shell", "demo"].into_iter().find(|id| (self.by_hand)(id));
        let one = url.is_some() || command || other.is_some();
        if one && (self.from_env)("config") {
            return Ok(None);
        }
        if url.is_some() {
            return usage("both --config and a URL are given; leave one out");
        }
        match OF_ONE.iter().find(|id| (self.by_hand)(id)) {
            Some(&"command") => usage("both --config and a command after -- are given; leave one out"),
            Some(&id) if Some(id) == other => usage(format!("both --config and --{id} are given; leave one out")),
            Some(id) => usage(format!(
                "--{} is of one server, and --config names several; write it into {}",
                id.replace('_', "-"),
                path.display()
            )),
            None => Ok(Some(path)),
        }
    }

    /// Reads it. What flags say counts for every server that does not say otherwise.
    pub(super) fn load(
        &self,
        path: &Path,
        server: Option<ServerArgs>,
        remote: Option<RemoteArgs>,
        (sharing, processes): (Sharing, Processes),
        eras: EraSettings,
        (aggregate, has_claims): (Option<Template>, bool),
    ) -> Result<FromFile, Error> {
        let pass_env = match &server {
            Some(args) => check::pass_env(&args.pass_env).map_err(|why| Error::Usage(format!("--pass-env {why}")))?,
            None => PassEnv::All,
        };
        let stop = server.as_ref().map_or_else(StopLadder::default, stop);
        let retry = remote.as_ref().map_or_else(RetryPolicy::default, retry);
        let tls = remote.as_ref().map(|remote| remote::tls(&remote.tls)).transpose()?.unwrap_or_default();
        let logins = remote.as_ref().map(|remote| self.logins(true, &remote.oauth, &tls)).transpose()?.flatten();
        let base = Base { sharing, processes, eras, pass_env, stop, retry, tls, logins, aggregate, has_claims };
        let loader = Loader::new(path, base).map_err(wrong)?;
        let loaded = loader.text().and_then(|text| loader.servers(&text, self.env)).map_err(wrong)?;
        let file = ConfigFile { loader, bad: loaded.bad, notes: loaded.notes };
        Ok(FromFile { servers: loaded.servers, aggregate: loaded.aggregate, file, written: loaded.written })
    }
}

fn wrong(error: LoadError) -> Error {
    match error.excerpt {
        Some(excerpt) => Error::File(error.message, excerpt),
        None => Error::Usage(error.message),
    }
}
