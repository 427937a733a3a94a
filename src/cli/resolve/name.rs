//! What a server is called in the log and in clients, from its command.
//!
//! Owns the table of launchers. Pure. It never takes a name from a word that may be a flag's value, which may be a
//! secret: where it cannot tell, the program gives the name.

use std::{ffi::OsString, path::Path};

use url::Url;

use crate::observe::flat;

/// A program that starts what its arguments name.
struct Launcher {
    program: &'static str,
    /// Words that come first and name no server.
    commands: &'static [&'static str],
    /// Flags that take the next word.
    valued: &'static [&'static str],
    /// Flags after which a line of code stands for the server.
    code: &'static [&'static str],
    /// Ends a package's version, or an image's tag.
    version: &'static [char],
}

const NODE_VERSION: &[char] = &['@'];
const PYTHON_VERSION: &[char] = &['@', '=', '<', '>', '~', '!', '['];
const UV_FLAGS: &[&str] =
    &["--from", "--with", "--with-editable", "-p", "--python", "--index", "--index-url", "--env-file", "--directory"];
const CONTAINER_FLAGS: &[&str] = &[
    "-e",
    "--env",
    "--env-file",
    "-v",
    "--volume",
    "--mount",
    "-p",
    "--publish",
    "--name",
    "--network",
    "--net",
    "-w",
    "--workdir",
    "-u",
    "--user",
    "--entrypoint",
    "-l",
    "--label",
    "--add-host",
    "-h",
    "--hostname",
    "-m",
    "--memory",
    "--cpus",
    "--platform",
    "--pull",
    "--gpus",
    "--device",
    "--cap-add",
    "--cap-drop",
    "--security-opt",
    "--tmpfs",
    "--ulimit",
    "--restart",
    "--runtime",
];

const LAUNCHERS: [Launcher; 15] = [
    package_runner("npx", &[]),
    package_runner("bunx", &[]),
    package_runner("npm", &["exec", "x"]),
    package_runner("pnpm", &["dlx", "exec"]),
    package_runner("yarn", &["dlx", "exec"]),
    package_runner("bun", &["x", "run"]),
    Launcher {
        program: "node",
        commands: &[],
        valued: &[
            "-r",
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "--env-file",
            "-C",
            "--conditions",
        ],
        code: &["-e", "--eval", "-p", "--print"],
        version: &[],
    },
    Launcher {
        program: "deno",
        commands: &["run"],
        valued: &["-c", "--config", "--import-map", "--lock", "--env-file"],
        code: &[],
        version: NODE_VERSION,
    },
    Launcher { program: "uvx", commands: &[], valued: UV_FLAGS, code: &[], version: PYTHON_VERSION },
    Launcher { program: "uv", commands: &["tool", "run"], valued: UV_FLAGS, code: &["-c"], version: PYTHON_VERSION },
    Launcher {
        program: "pipx",
        commands: &["run"],
        valued: &["--spec", "--python", "--pip-args", "--index-url"],
        code: &[],
        version: PYTHON_VERSION,
    },
    python("python"),
    python("python3"),
    container("docker"),
    container("podman"),
];

const fn package_runner(program: &'static str, commands: &'static [&'static str]) -> Launcher {
    let valued = &["-p", "--package", "--registry", "-w", "--workspace", "--prefix", "--cwd"];
    Launcher { program, commands, valued, code: &["-c", "--call"], version: NODE_VERSION }
}

const fn python(program: &'static str) -> Launcher {
    Launcher { program, commands: &[], valued: &["-W", "-X"], code: &["-c"], version: &[] }
}

const fn container(program: &'static str) -> Launcher {
    Launcher { program, commands: &["run"], valued: CONTAINER_FLAGS, code: &[], version: &['@', ':'] }
}

/// The package, module, script or image that a launcher is told to start; else the program.
pub(super) fn of(program: &OsString, args: &[OsString]) -> String {
    let program = program.to_string_lossy();
    let program = stem(&program);
    let launched = LAUNCHERS.iter().find(|known| known.is(program)).and_then(|launcher| launcher.launched(args));
    flat(&launched.unwrap_or_else(|| program.into()))
}

impl Launcher {
    /// `python3.12` is `python3`, too.
    fn is(&self, program: &str) -> bool {
        let rest = program.strip_prefix(self.program);
        rest.is_some_and(|rest| rest.is_empty() || (self.program == "python3" && rest.starts_with('.')))
    }

    fn launched(&self, args: &[OsString]) -> Option<String> {
        let mut words = args.iter().map(|word| word.to_string_lossy());
        let mut first = true;
        while let Some(word) = words.next() {
            if self.code.contains(&word.as_ref()) {
                return None;
            }
            if self.valued.contains(&word.as_ref()) {
                words.next();
            } else if first && self.commands.contains(&word.as_ref()) {
                // `uv tool run` has two.
                first = &*word == "tool";
            } else if !word.starts_with('-') {
                return self.named(&word);
            }
        }
        None
    }

    fn named(&self, word: &str) -> Option<String> {
        let word = match Url::parse(word) {
            // Of a URL its path alone: what stands before may be a password, and behind it a token.
            Ok(url) if word.contains("://") => url.path().to_string(),
            _ => word.strip_prefix("npm:").or_else(|| word.strip_prefix("jsr:")).unwrap_or(word).to_string(),
        };
        let base = word.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next()?;
        let version = base.char_indices().find(|(at, c)| *at > 0 && self.version.contains(c));
        let bare = version.and_then(|(at, _)| base.get(..at)).unwrap_or(base);
        Some(stem(bare).to_string())
            .filter(|name| !name.is_empty() && !name.contains('=') && name != "." && name != "..")
    }
}

/// A file's name without its directory and what says that it can be run. `python3.12` and `mcp.server` keep theirs.
fn stem(path: &str) -> &str {
    const RUN: [&str; 14] =
        ["exe", "cmd", "bat", "com", "ps1", "sh", "py", "js", "mjs", "cjs", "ts", "mts", "git", "rb"];
    let separators: &[char] = if cfg!(windows) { &['/', '\\'] } else { &['/'] };
    let name = path.rsplit(separators).next().unwrap_or(path);
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    match extension.filter(|extension| RUN.contains(&extension.to_ascii_lowercase().as_str())) {
        Some(extension) => name.strip_suffix(extension).and_then(|name| name.strip_suffix('.')).unwrap_or(name),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_after_what_its_launcher_starts() {
        for (line, name) in [
            ("npx -y @modelcontextprotocol/server-everything", "server-everything"),
            ("npx -y @modelcontextprotocol/server-everything@2025.1 stdio", "server-everything"),
            ("npx --package=x -p y some-server@latest", "some-server"),
            ("npx.cmd -y some-server", "some-server"),
            ("pnpm dlx @a/b", "b"),
            ("bunx run", "run"),
            ("uvx mcp-server-time --local-timezone UTC", "mcp-server-time"),
            ("uvx --from git+https://user:secret@host/x/y.git#z mcp-y", "mcp-y"),
            ("uvx mcp-server[cli]==1.0", "mcp-server"),
            ("uvx git+https://user:secret@host/x/y.git@v1?token=1", "y"),
            ("uv tool run mcp-server", "mcp-server"),
            ("uv run --directory /srv server.py", "server"),
            ("python -m mcp_server_time", "mcp_server_time"),
            ("/usr/bin/python3.12 -X dev dir/server.py --key secret", "server"),
            ("python3 -c code", "python3"),
            ("node --import ./x.mjs dist/weather.js", "weather"),
            ("node -e code", "node"),
            ("deno run -A npm:@a/b@1.0", "b"),
            ("deno run -A jsr:b", "b"),
            ("docker run -i --rm -e TOKEN=secret -v /a:/b ghcr.io/x/image:1.0", "image"),
            ("docker run -i --unknown TOKEN=secret image", "docker"),
            ("npx", "npx"),
            ("./dir/my.server", "my.server"),
            ("/opt/weather.py --key secret", "weather"),
            ("weather.exe", "weather"),
        ] {
            let mut words = line.split(' ').map(OsString::from);
            let program = words.next().unwrap();
            assert_eq!(of(&program, &words.collect::<Vec<_>>()), name, "{line}");
        }
    }
}
