//! The server that is started: its argv, its environment, its directory.
//!
//! Owns the checks of the "Server" flags. Talks to the files that `--env-file` and `--cwd` name. It never looks up the
//! program: what is on the `PATH` is known when the server is started, not before.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use super::{Typed, name, read, stop};
use crate::{
    cli::{Error, args::ServerArgs, bridges::Bridge, report::starts_commands, usage},
    config::{
        CallerEnv, ChildSpec, Secret,
        check::{self, looks_like_url},
        expand::expand,
    },
};

impl Typed<'_> {
    pub(super) fn child(&self, command: &Bridge, args: ServerArgs) -> Result<ChildSpec, Error> {
        let env = self.child_env(&args.env_file, &args.env)?;
        let cwd = args.cwd.as_deref().map(|dir| self.directory(dir)).transpose()?;
        let pass_env = check::pass_env(&args.pass_env).map_err(|why| Error::Usage(format!("--pass-env {why}")))?;
        let stop = stop(&args);
        let (name, program, args) = self.argv(command, args)?;
        Ok(ChildSpec { name, file: None, program, args, env, caller_env: CallerEnv::default(), pass_env, cwd, stop })
    }

    /// The server's name, program and arguments. What is typed wins over variables; of each there may be one.
    fn argv(&self, bridge: &Bridge, args: ServerArgs) -> Result<(String, OsString, Vec<OsString>), Error> {
        let typed = |id: &str, given: bool| given && !(self.from_env)(id);
        let shell_typed = typed("shell", args.shell.is_some());
        let demo_typed = typed("demo", args.demo);
        let command_typed = !args.command.is_empty();
        let anything_typed = command_typed || shell_typed || demo_typed;
        let shell = args.shell.filter(|_| shell_typed || !anything_typed);
        let demo = args.demo && (demo_typed || !anything_typed);
        let (name, mut command) = (&bridge.name, args.command.into_iter());
        match (command.next(), shell, demo) {
            (Some(program), None, false) => named(bridge, program, command.collect()),
            (None, Some(line), false) => shell_argv(line),
            (None, None, true) => demo_argv(),
            (None, None, false) if bridge.reaches() => usage(format!(
                "{name} needs a server to start or a URL; write mcp-bridge {name} -- <command> [args...] or \
                 mcp-bridge {name} https://example.com/mcp, or --demo to try it"
            )),
            (None, None, false) => usage(format!(
                "{name} needs a server to start; write mcp-bridge {name} -- <command> [args...], or --demo to try it"
            )),
            (Some(_), Some(_), _) => usage("both --shell and a command after -- are given; leave one out"),
            (Some(_), None, true) => usage("both --demo and a command after -- are given; leave one out"),
            (None, Some(_), true) => usage("both --shell and --demo are given; leave one out"),
        }
    }

    fn child_env(&self, files: &[String], typed: &[String]) -> Result<Vec<(String, Secret)>, Error> {
        let mut env = Vec::new();
        for path in self.lines("env_file", files) {
            self.env_file(path, &mut env)?;
        }
        for entry in self.lines("env", typed) {
            // Neither the entry nor its value is shown: without the `=`, a secret may be all there is.
            let Some((name, value)) = entry.split_once('=') else {
                return usage("--env needs NAME=VALUE; to hand a variable through, write NAME='${NAME}'");
            };
            let value = self.expand(&format!("--env {name}"), value)?;
            env.push(check::variable(name, value).map_err(|why| Error::Usage(format!("--env {name}: {why}")))?);
        }
        Ok(env)
    }

    fn env_file(&self, path: &str, env: &mut Vec<(String, Secret)>) -> Result<(), Error> {
        let path = self.expand("--env-file", path)?;
        let text = read("--env-file", Path::new(&path))?;
        let read = check::env_file(&text, &|value| expand(value, self.env));
        env.extend(read.map_err(|why| Error::Usage(format!("--env-file {path} {why}")))?);
        Ok(())
    }

    fn directory(&self, typed: &str) -> Result<PathBuf, Error> {
        let dir = PathBuf::from(self.expand("--cwd", typed)?);
        match fs::metadata(&dir) {
            Ok(found) if found.is_dir() => Ok(dir),
            Ok(_) => {
                usage(format!("--cwd {} is not a directory; name the directory to start the server in", dir.display()))
            }
            Err(_) if typed.starts_with('~') => {
                usage(format!("--cwd {typed} does not exist, as no shell replaced the ~; write ${{HOME}} instead"))
            }
            Err(error) => usage(format!("--cwd {}: {error}; name an existing directory", dir.display())),
        }
    }
}

fn named(bridge: &Bridge, program: OsString, args: Vec<OsString>) -> Result<(String, OsString, Vec<OsString>), Error> {
    let command = &bridge.name;
    if program.is_empty() {
        return usage(format!("{command} got an empty command after --; check the variable that it comes from"));
    }
    if let Some(url) = program.to_str().filter(|text| looks_like_url(text)) {
        return usage(starts_commands(bridge, url));
    }
    Ok((name::of(&program, &args), program, args))
}

fn shell_argv(line: OsString) -> Result<(String, OsString, Vec<OsString>), Error> {
    if line.is_empty() {
        return usage("--shell is empty; write a line, as in --shell 'a | b'");
    }
    let (program, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("/bin/sh", "-c") };
    Ok(("shell".into(), program.into(), vec![flag.into(), line]))
}

fn demo_argv() -> Result<(String, OsString, Vec<OsString>), Error> {
    let this = std::env::current_exe().map_err(|error| {
        Error::Failed(format!("--demo cannot find this program: {error}; write -- mcp-bridge demo-server instead"))
    })?;
    Ok(("demo-server".into(), this.into(), vec![OsStr::new("demo-server").into()]))
}
