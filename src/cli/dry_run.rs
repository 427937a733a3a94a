//! `--dry-run`: what would be started and reached, without doing it.
//!
//! Owns the wording, and what of an argument is not shown. Talks to nobody. It never shows a variable's value, a header's,
//! or what came from `${VAR}`.

use std::fmt::Write as _;

use super::{Error, report::shown};
use crate::{
    config::{Back, Front, NetworkSpec, PassEnv, ServerName, ServerSpec, load::Bad},
    listen::home,
};

/// Words of flags, variables and headers whose values are not shown.
const SECRETS: [&str; 9] = ["token", "key", "secret", "passw", "pwd", "auth", "credential", "bearer", "cookie"];

const HIDDEN: &str = "***";

/// What would be done, for people.
pub(super) fn plan(
    servers: &[ServerSpec],
    bad: &[Bad],
    written: &[(ServerName, Vec<String>)],
    aggregate: bool,
    front: &Front,
) -> String {
    let mut out = String::new();
    for server in servers {
        let _ = writeln!(out, "{}", server.name);
        let as_written = written.iter().find(|(name, _)| *name == server.name).map(|(_, argv)| argv.clone());
        one(&mut out, server, as_written);
        if let Front::Network(network) = front {
            let _ = writeln!(out, "  at       {}", paths(network, server.name.as_str(), server.at_root));
        }
    }
    if let (true, Front::Network(network)) = (aggregate, front) {
        let _ = writeln!(out, "all of them as one\n  at       {}", paths(network, "", true));
    }
    for one in bad {
        let _ = writeln!(out, "{:?}\n  not offered: {}", one.name, one.why);
    }
    out
}

/// A bridge does start without those that are wrong, since the others are wanted; but who asks beforehand is to know.
pub(super) fn verdict(good: usize, bad: usize) -> Result<(), Error> {
    match bad {
        0 => Ok(()),
        _ => Err(Error::Failed(format!(
            "{bad} of {} servers would not be offered; put right what is said of them above",
            good + bad
        ))),
    }
}

fn one(out: &mut String, server: &ServerSpec, written: Option<Vec<String>>) {
    let mut line = |title: &str, text: String| {
        let _ = writeln!(out, "  {title:<8} {text}");
    };
    match &server.back {
        Back::Child(spec) => {
            let typed = || {
                let words = std::iter::once(&spec.program).chain(&spec.args);
                words.map(|word| word.to_string_lossy().into_owned()).collect()
            };
            let argv = masked(&written.unwrap_or_else(typed));
            line("command", serde_json::to_string(&argv).unwrap_or_default());
            if let Some(cwd) = &spec.cwd {
                line("cwd", cwd.display().to_string());
            }
            let mut names: Vec<&str> = Vec::new();
            for (name, _) in &spec.env {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
            if !names.is_empty() {
                line("env", names.join(" "));
            }
            if let PassEnv::Only(names) = &spec.pass_env {
                line("passes", names.join(" "));
            }
        }
        Back::Remote(spec) => {
            let url = match &spec.socket {
                Some(socket) => format!("unix:{}", socket.display()),
                None => shown(spec.url.as_str()),
            };
            line("url", url);
            let names: Vec<&str> = spec.headers.keys().map(http::HeaderName::as_str).collect();
            if !names.is_empty() {
                line("headers", names.join(" "));
            }
        }
    }
}

fn paths(network: &NetworkSpec, name: &str, at_root: bool) -> String {
    let home = home(name, at_root);
    let paths: Vec<String> = network.outputs.iter().map(|output| format!("{home}{}", output.path())).collect();
    paths.join(" ")
}

/// The words of a command, with what looks like a secret hidden.
fn masked(argv: &[String]) -> Vec<String> {
    let mut hide_next = false;
    let mut out = Vec::with_capacity(argv.len());
    for (place, word) in argv.iter().enumerate() {
        let hide = std::mem::replace(&mut hide_next, false);
        let flag = word.starts_with('-');
        hide_next = flag && names_secret(word) && !word.contains('=');
        out.push(match hide && !flag {
            true => hidden(word),
            false if place == 0 => word.clone(),
            false => inside(word),
        });
    }
    out
}

/// `--token=x`, `GITHUB_TOKEN=x`, `Authorization: x`, `Bearer x`, `https://user:x@host`.
fn inside(word: &str) -> String {
    for (part, keep) in [("=", "="), (": ", ": "), (":", ":"), (" ", " ")] {
        if let Some((name, value)) = word.split_once(part)
            && names_secret(name)
            && !name.contains("//")
        {
            return format!("{name}{keep}{}", hidden(value));
        }
    }
    match word.split_once("://") {
        Some((scheme, rest)) if rest.split(['/', '?']).next().is_some_and(|host| host.contains('@')) => {
            let (_, host) = rest.split_once('@').unwrap_or_default();
            format!("{scheme}://{HIDDEN}@{host}")
        }
        _ => word.to_owned(),
    }
}

/// A reference is shown, but for its default.
fn hidden(value: &str) -> String {
    let reference = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).filter(|name| !name.contains('}'));
    match reference.map(|inner| inner.split_once(":-").map_or((inner, false), |(name, _)| (name, true))) {
        Some((name, false)) => format!("${{{name}}}"),
        Some((name, true)) => format!("${{{name}:-{HIDDEN}}}"),
        None => HIDDEN.into(),
    }
}

fn names_secret(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    SECRETS.iter().any(|secret| word.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_not_shown() {
        for (argv, want) in [
            (&["npx", "-y", "x", "--port", "1"][..], &["npx", "-y", "x", "--port", "1"][..]),
            (&["x", "--token", "hunter2", "y"], &["x", "--token", "***", "y"]),
            (&["x", "--api-key=hunter2"], &["x", "--api-key=***"]),
            (
                &["x", "--token", "${T}", "--password", "${P:-hunter2}"],
                &["x", "--token", "${T}", "--password", "${P:-***}"],
            ),
            (&["docker", "-e", "GITHUB_TOKEN=hunter2"], &["docker", "-e", "GITHUB_TOKEN=***"]),
            (&["x", "-H", "Authorization: Bearer hunter2"], &["x", "-H", "Authorization: ***"]),
            (&["x", "-H", "X-Api-Key:hunter2"], &["x", "-H", "X-Api-Key:***"]),
            (&["x", "postgres://me:hunter2@db/x"], &["x", "postgres://***@db/x"]),
            (&["x", "Bearer hunter2"], &["x", "Bearer ***"]),
            (&["x", "--token", "--verbose"], &["x", "--token", "--verbose"]),
            (&["x", "${HOME}/data"], &["x", "${HOME}/data"]),
        ] {
            let argv: Vec<String> = argv.iter().map(|word| word.to_string()).collect();
            assert_eq!(masked(&argv), want);
        }
    }
}
