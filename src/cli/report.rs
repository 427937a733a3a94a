//! What is said when the command line is wrong: one line with what, why, and a next step.
//!
//! Owns the wording of clap's errors and of the commonest mistakes. Talks to nobody. It never shows the value of a flag
//! that can hold a secret.

use std::{error::Error as _, ffi::OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use url::Url;

use super::{
    args,
    bridges::{self, Bridge, Source},
};
use crate::{
    config::check::{looks_like_url, scheme},
    observe::flat,
    wire::WIRES,
};

/// The error in one line, without the program's name.
pub(super) fn one_line(error: &clap::Error, argv: &[OsString]) -> String {
    let typed = Words::of(argv);
    match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no command is given; try mcp-bridge serve --demo, or see mcp-bridge --help".into()
        }
        ErrorKind::InvalidSubcommand => unknown_command(error),
        ErrorKind::UnknownArgument => match text(error, ContextKind::InvalidArg) {
            Some(flag) if flag.starts_with('-') && flag.len() > 1 => unknown_flag(error, flag, &typed),
            word => misplaced_word(word.unwrap_or_default(), &typed),
        },
        ErrorKind::MissingRequiredArgument => missing(&typed),
        _ => first_line(error, &typed),
    }
}

/// What was typed, as far as errors talk about it.
struct Words {
    /// The command, if one of ours.
    command: Option<String>,
    /// What it is, if it carries messages.
    bridge: Option<Bridge>,
    /// What follows it, up to `--` where a server's command comes after that.
    rest: Vec<String>,
    /// Whether there is a `--`.
    dashes: bool,
}

impl Words {
    fn of(argv: &[OsString]) -> Words {
        let mut words = argv.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
        let command = words.next().filter(|word| args::command().find_subcommand(word).is_some());
        let bridge = command.as_deref().and_then(bridges::find);
        let mut typed = Words { command, bridge, rest: words.collect(), dashes: false };
        let dashes = typed.rest.iter().position(|word| word == "--");
        typed.dashes = dashes.is_some();
        match dashes {
            Some(at) if typed.bridge.as_ref().is_some_and(Bridge::starts) => typed.rest.truncate(at),
            Some(at) => drop(typed.rest.remove(at)),
            None => {}
        }
        typed
    }

    fn command(&self) -> &str {
        self.command.as_deref().unwrap_or("<command>")
    }

    /// Whether a command is meant: where both could be, it is what the bridge is for, unless a flag says otherwise.
    fn starts_a_server(&self) -> bool {
        self.bridge.as_ref().is_some_and(Bridge::starts) && !self.reaches_a_server()
    }

    fn reaches_a_server(&self) -> bool {
        let Some(bridge) = self.bridge.as_ref().filter(|bridge| bridge.reaches()) else { return false };
        let of_url = |word: &String| ["-H", "--header", "--bearer"].iter().any(|flag| word.starts_with(flag));
        !bridge.starts() || bridge.outputs.is_empty() || self.rest.iter().any(of_url)
    }

    /// Whether a word before this place is a flag for free text: then a stray word may be the end of what lacks its quotes,
    /// which may be a secret.
    fn may_be_torn(&self, place: usize) -> bool {
        let free = ["-H", "--header", "--bearer", "--env", "--shell"];
        self.rest.iter().take(place).any(|word| free.iter().any(|flag| word.starts_with(flag)))
    }

    /// The first word that is neither a flag nor the value of one, and where it is.
    fn first_word(&self) -> Option<(usize, &str)> {
        let mut words = self.rest.iter().enumerate();
        while let Some((at, word)) = words.next() {
            match word.starts_with('-') {
                true if self.takes_a_value(word) => drop(words.next()),
                true => {}
                false => return Some((at, word)),
            }
        }
        None
    }

    fn takes_a_value(&self, flag: &str) -> bool {
        let all = args::command();
        let known = all.find_subcommand(self.command()).into_iter().flat_map(clap::Command::get_arguments);
        let is = |arg: &clap::Arg| match flag.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => flag.strip_prefix('-').is_some_and(|short| arg.get_short().is_some_and(|c| short == c.to_string())),
        };
        known.filter(|arg| is(arg)).any(|arg| arg.get_action().takes_values())
    }

    fn help(&self) -> String {
        match &self.command {
            Some(command) => format!("mcp-bridge {command} --help"),
            None => "mcp-bridge --help".into(),
        }
    }
}

fn unknown_command(error: &clap::Error) -> String {
    let word = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
    if looks_like_url(word) {
        let url = shown(word);
        return format!(
            "{url} is a URL, not a command; write mcp-bridge connect {url} for a stdio client, or mcp-bridge serve {url}"
        );
    }
    if let Some((one, other)) = word.split_once("-to-")
        && one == other
        && let Some(listed) = WIRES.iter().find(|listed| listed.word == one)
    {
        let (command, what) = match listed.reaches {
            Some(_) => ("serve", "<URL>"),
            None => ("connect", "-- <command> [args...]"),
        };
        return format!("unknown command {word}, with the same on both sides; write mcp-bridge {command} {what}");
    }
    if let Some(near) = suggestion(error, ContextKind::SuggestedSubcommand) {
        return format!("unknown command {word}; did you mean {near}?");
    }
    format!("unknown command {word}; to serve it as an MCP server, write mcp-bridge serve -- {word} ...")
}

fn unknown_flag(error: &clap::Error, flag: &str, typed: &Words) -> String {
    if let Some((at, first)) = typed.first_word()
        && typed.rest.iter().position(|word| word.starts_with(flag)) > Some(at)
        && !looks_like_url(first)
        && let Some(bridge) = typed.bridge.as_ref().filter(|bridge| bridge.reaches())
    {
        return not_a_url(bridge, first, (!typed.may_be_torn(at)).then_some(first));
    }
    let owners = commands_with(flag);
    if !owners.is_empty() && typed.command.is_none() {
        let owner = owners.first().map_or("<command>", String::as_str);
        return format!("{flag} comes after the command, as in mcp-bridge {owner} {flag}");
    }
    if !owners.is_empty() {
        return format!("{flag} is a flag of {}, not of {}; see {}", owners.join(", "), typed.command(), typed.help());
    }
    match suggestion(error, ContextKind::SuggestedArg) {
        Some(near) => format!("unknown flag {flag}; did you mean {near}? See {}", typed.help()),
        None if typed.starts_a_server() => {
            format!("unknown flag {flag}; a flag of the server's goes after --; see {}", typed.help())
        }
        None => format!("unknown flag {flag}; see {}", typed.help()),
    }
}

fn misplaced_word(word: &str, typed: &Words) -> String {
    let command = typed.command();
    if let Some(bridge) = typed.bridge.as_ref().filter(|bridge| !bridge.reaches() && looks_like_url(word)) {
        return starts_commands(bridge, word);
    }
    let first = typed.first_word();
    if typed.starts_a_server() && !first.is_some_and(|(_, first)| looks_like_url(first)) {
        return match first {
            Some((at, first)) if !typed.dashes && !typed.may_be_torn(at) => {
                format!("the server's command goes after --, as in mcp-bridge {command} -- {first} ...")
            }
            _ => stray_word(command),
        };
    }
    let takes_urls = typed.bridge.as_ref().filter(|bridge| bridge.reaches());
    match (first, takes_urls) {
        (Some((at, first)), Some(bridge)) if !looks_like_url(first) => {
            not_a_url(bridge, first, (!typed.may_be_torn(at)).then_some(first))
        }
        // The word is not shown: it may be the end of a header that lacks its quotes.
        (_, Some(_)) => format!("{command} takes one URL; put what holds spaces in quotes, as in -H 'Name: value'"),
        _ => format!("{word} is one word too many; see {}", typed.help()),
    }
}

/// `serve --env A= value -- x`. The word is not shown: it may be the end of a value that lacks its quotes.
pub(super) fn stray_word(command: &str) -> String {
    format!(
        "{command} has a word that belongs to no flag; put what holds spaces in quotes, and the server's command after --"
    )
}

/// `stdio-to-http https://x`, or `serve -- https://x`.
pub(super) fn starts_commands(bridge: &Bridge, url: &str) -> String {
    let (name, url) = (&bridge.name, shown(url));
    let instead = match (bridge.reaches(), bridge.outputs.is_empty()) {
        (true, _) => name,
        (false, true) => "connect",
        (false, false) => "serve",
    };
    format!("what {name} starts is a command, and {url} is a URL; write mcp-bridge {instead} {url}")
}

/// `connect npx -y x`, or a URL that lacks its scheme. `program`: the word, where it may be shown as a command.
pub(super) fn not_a_url(bridge: &Bridge, word: &str, program: Option<&str>) -> String {
    let (command, beginnings) = (&bridge.name, bridge.beginnings());
    if let Some((scheme, _)) = word.split_once("://") {
        return format!("{command} cannot reach {scheme}:// URLs; write {beginnings}");
    }
    if is_url_without_scheme(word) {
        let host = word.split(['/', '?', '#']).next().unwrap_or_default();
        let local = ["localhost", "127.", "[::1]"].iter().any(|name| host.starts_with(name));
        let secure = secure(&bridge.schemes()).filter(|_| !local);
        let scheme = secure.or(bridge.schemes().first().copied()).unwrap_or("https");
        return format!("the URL at {host} has no scheme; write it as in mcp-bridge {command} {scheme}://{host}/...");
    }
    let instead = match (bridge.starts(), bridge.outputs.is_empty()) {
        (true, _) => command,
        (false, true) => "connect",
        (false, false) => "serve",
    };
    // Else the word is not shown: it may be the end of a header that lacks its quotes.
    let program = program.map(|word| format!("{word} ")).unwrap_or_default();
    format!(
        "{command} takes a URL that starts with {beginnings}; a command goes after --, as in mcp-bridge {instead} -- \
         {program}..."
    )
}

/// A URL that the command takes.
pub(super) fn example(bridge: Option<&Bridge>) -> String {
    let place = match bridge.map(|bridge| bridge.source) {
        Some(Source::Url(transport)) => WIRES.iter().find(|listed| listed.reaches == Some(transport)),
        Some(Source::Command | Source::Any) | None => None,
    };
    let path = place.and_then(|listed| listed.paths.first()).map_or("/mcp", |path| path.usual);
    let secure = place.and_then(|listed| secure(listed.schemes));
    format!("{}://example.com{path}", secure.unwrap_or("https"))
}

fn secure(schemes: &[&'static str]) -> Option<&'static str> {
    schemes.iter().copied().find(|scheme| matches!(*scheme, "https" | "wss"))
}

/// For messages: scheme and host, as the rest of a URL may hold a token, and what stands before the host a password.
pub(super) fn shown(url: &str) -> String {
    if scheme(url).as_deref() == Some("unix") {
        return "unix:...".into();
    }
    let Ok(url) = Url::parse(url) else { return "<URL>".into() };
    let rest = if matches!(url.path(), "" | "/") { "" } else { "/..." };
    format!("{}{rest}", url.origin().ascii_serialization())
}

/// `example.com/mcp`, `localhost:8000`, but not `./server`, `/usr/bin/x` or `server.py`.
pub(super) fn is_url_without_scheme(word: &str) -> bool {
    let (host, path) = word.split_once('/').map_or((word, None), |(host, path)| (host, Some(path)));
    let named = !host.is_empty() && !host.starts_with('.') && !host.contains(['\\', '@', ' ']);
    let numbered = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    named && (numbered || host == "localhost" || (path.is_some() && host.contains('.')))
}

fn missing(typed: &Words) -> String {
    let command = typed.command();
    match command {
        "auth" => "auth needs to know what; write mcp-bridge auth status".into(),
        "completions" => "completions needs a shell: bash, zsh, fish, powershell or elvish".into(),
        _ => format!("{command} needs a URL; write mcp-bridge {command} {}", example(typed.bridge.as_ref())),
    }
}

/// clap's own words, where they are good: the first line says what and why.
fn first_line(error: &clap::Error, typed: &Words) -> String {
    let whole = wording(error);
    let line = whole.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let next = match (error.kind(), error.get(ContextKind::ValidValue)) {
        // The parsers of `values` say what to write.
        (ErrorKind::ValueValidation, _) => String::new(),
        (_, Some(ContextValue::Strings(values))) if !values.is_empty() => format!("; write {}", values.join(", ")),
        _ => format!("; see {}", typed.help()),
    };
    format!("{line}{}{next}", source(error, typed))
}

/// What clap says, but with the value's control characters escaped: they would cut the line, or drive the terminal.
fn wording(error: &clap::Error) -> String {
    let flag = text(error, ContextKind::InvalidArg);
    let value = text(error, ContextKind::InvalidValue).filter(|value| value.contains(char::is_control));
    match (flag, value) {
        (Some(flag), Some(value)) => {
            let why = error.source().map(|why| format!(": {why}")).unwrap_or_default();
            flat(&format!("invalid value '{value}' for '{flag}'{why}"))
        }
        _ => error.to_string(),
    }
}

/// Names the variable that a value came from: who did not type the flag would look for it in vain.
fn source(error: &clap::Error, typed: &Words) -> String {
    let flag = text(error, ContextKind::InvalidArg).and_then(|arg| arg.split(' ').next()).unwrap_or_default();
    let Some(long) = flag.strip_prefix("--") else { return String::new() };
    let name = args::variable(long);
    let was_typed = typed.rest.iter().any(|word| word.starts_with(flag));
    match !was_typed && std::env::var_os(&name).is_some() {
        true => format!(" (given by {name})"),
        false => String::new(),
    }
}

fn commands_with(flag: &str) -> Vec<String> {
    let Some(long) = flag.strip_prefix("--") else { return Vec::new() };
    let command = args::command();
    let owners = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let owners = owners.filter(|sub| sub.get_arguments().any(|arg| arg.get_long() == Some(long)));
    owners.map(|sub| sub.get_name().to_string()).collect()
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

fn suggestion(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        // clap sorts the nearest last.
        ContextValue::Strings(texts) => texts.last().map(String::as_str),
        _ => None,
    }
}
