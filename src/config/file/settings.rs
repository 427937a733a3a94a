//! What can be set for one server, and in `[defaults]` for all of a file.
//!
//! Owns [`Settings`], each optional: what is not given here is given by flags. Pure. It never decides how settings of a
//! server and of the command line come together.

use std::time::Duration;

use super::{
    problem::Problem,
    table::Table,
    tree::{Member, Value},
};
use crate::config::{PassEnv, ServerEra, check};

/// The most spares and the most children of one server: more is a slip of the hand, and a flood of processes.
const MOST_CHILDREN: usize = 10_000;

/// The settings of one server. Durations of zero mean "never", as in the flags of the same names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// `sharing`: who gets which server process.
    pub sharing: Option<Children>,
    /// `warm`: how many processes are started before they are needed.
    pub warm: Option<usize>,
    /// `max_children`: how many processes at once, spares included.
    pub max_children: Option<usize>,
    /// `idle_timeout`: a process that callers share and nobody uses ends after this; zero: never.
    pub idle_timeout: Option<Duration>,
    /// `era`: which revisions the server speaks.
    pub era: Option<ServerEra>,
    /// `pass_env`: which of the bridge's variables the server sees.
    pub pass_env: Option<PassEnv>,
    /// `request_timeout`: an unanswered request fails after this; zero: never.
    pub request_timeout: Option<Duration>,
    /// `session_timeout`: a session without traffic ends after this.
    pub session_timeout: Option<Duration>,
    /// `stop_timeout`: time to end after stdin closes, and again after SIGTERM.
    pub stop_timeout: Option<Duration>,
    /// `connect_timeout`: for each attempt to connect.
    pub connect_timeout: Option<Duration>,
    /// `retries`: attempts after the first one fails.
    pub retries: Option<u32>,
    /// `retry_delay`: before the second attempt.
    pub retry_delay: Option<Duration>,
}

/// Who gets which process of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// One for each session.
    Own,
    /// One for all sessions.
    Shared,
    /// No sessions; each message stands alone.
    Stateless,
    /// One for the sessions of one principal that declared the same capabilities.
    Pooled,
}

/// What a server is, which decides what can be set for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Child,
    Remote,
    Either,
}

impl Settings {
    /// The settings of a table, and the defaults where it has none.
    pub(super) fn read(table: &Table<'_, '_>, what: For, defaults: &Settings) -> Result<Settings, Problem> {
        let mut set = defaults.clone();
        let choice = |key, choices: &[&str]| one_of(table, key, choices);
        set.era = match choice("era", &["auto", "legacy", "modern"])? {
            Some(0) => Some(ServerEra::Auto),
            Some(1) => Some(ServerEra::Legacy),
            Some(_) => Some(ServerEra::Modern),
            None => set.era,
        };
        set.sharing = match choice("sharing", &["own", "shared", "stateless", "pooled"])? {
            Some(0) => Some(Children::Own),
            Some(1) => Some(Children::Shared),
            Some(2) => Some(Children::Stateless),
            Some(_) => Some(Children::Pooled),
            None => set.sharing,
        };
        set.request_timeout = table.duration("request_timeout")?.or(set.request_timeout);
        // Codex counts in seconds, which is what a number is here, too.
        set.request_timeout = table.duration("tool_timeout_sec")?.or(set.request_timeout);
        set.session_timeout = positive(table, "session_timeout")?.or(set.session_timeout);
        if what != For::Remote {
            set.warm = table.number("warm", MOST_CHILDREN)?.or(set.warm);
            set.max_children = table.number("max_children", MOST_CHILDREN)?.or(set.max_children);
            set.idle_timeout = table.duration("idle_timeout")?.or(set.idle_timeout);
            set.stop_timeout = table.duration("stop_timeout")?.or(set.stop_timeout);
            set.pass_env = pass_env(table)?.or(set.pass_env);
            set.check_children(table)?;
        }
        if what != For::Child {
            set.connect_timeout = positive(table, "connect_timeout")?.or(set.connect_timeout);
            set.retry_delay = table.duration("retry_delay")?.or(set.retry_delay);
            let retries = table.number("retries", u32::MAX as usize)?;
            set.retries = retries.and_then(|number| u32::try_from(number).ok()).or(set.retries);
        }
        Ok(set)
    }

    fn check_children(&self, table: &Table<'_, '_>) -> Result<(), Problem> {
        let Some(member) = table.member("max_children").or_else(|| table.member("warm")) else { return Ok(()) };
        match (self.max_children, self.warm) {
            (Some(0), _) => Err(table.open(member, "\"max_children\" 0 leaves nobody a server; write 1 or more")),
            (Some(most), Some(warm)) if warm > most => Err(table.open(
                member,
                format!("\"warm\" {warm} is more than \"max_children\" {most}; spares count, so lower one or raise the other"),
            )),
            _ => Ok(()),
        }
    }
}

fn positive(table: &Table<'_, '_>, key: &str) -> Result<Option<Duration>, Problem> {
    match (table.duration(key)?, table.member(key)) {
        (Some(time), Some(member)) if time.is_zero() => {
            Err(table.open(member, format!("{key:?} has to be more than 0; write \"30m\"")))
        }
        (time, _) => Ok(time),
    }
}

fn pass_env(table: &Table<'_, '_>) -> Result<Option<PassEnv>, Problem> {
    let Some(member) = table.member("pass_env") else { return Ok(None) };
    let example = "[\"NAME\", \"PREFIX_*\"]";
    let names: Vec<String> = match &member.node.value {
        Value::Text(one) => vec![one.to_string()],
        _ => table.texts(member, example)?.iter().filter_map(|node| node.text().map(String::from)).collect(),
    };
    check::pass_env(&names).map(Some).map_err(|why| table.open(member, format!("\"pass_env\": {why}")))
}

/// The place of a value among those that can be meant.
fn one_of(table: &Table<'_, '_>, key: &str, choices: &[&str]) -> Result<Option<usize>, Problem> {
    let Some(member) = table.member(key) else { return Ok(None) };
    choice(table, member, choices).map(Some)
}

/// The same for a key whose member is known.
pub(super) fn choice(table: &Table<'_, '_>, member: &Member<'_>, choices: &[&str]) -> Result<usize, Problem> {
    let list = choices.join(", ");
    let Some(found) = member.node.text() else {
        return Err(table.kind(member, "text", &format!("one of {list}")));
    };
    let place = choices.iter().position(|choice| choice.eq_ignore_ascii_case(found));
    place.ok_or_else(|| {
        let shown: String = found.chars().take(32).collect();
        let next = match super::keys::near(&found.to_ascii_lowercase(), choices.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("write one of {list}"),
        };
        table.open(member, format!("{:?} cannot be {shown:?}; {next}", &*member.key))
    })
}
