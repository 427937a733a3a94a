//! Config files: the bridge's own TOML, and the files of clients as they are.
//!
//! Owns the way from a file's text to its servers. Talks to nobody: the text, the file's name and the environment are passed
//! in, and files that it names (`envFile`) are left to its caller to read. One wrong server never spoils the others, and
//! nothing here shows a secret: of a line that is wrong, only keys are shown.
//!
//! ```text
//! text ─> json │ toml ─> tree (values with places) ─> places (where servers stand) ─> entry (one server) ─> File
//! ```

use std::{
    collections::HashMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::{RemoteTransport, Secret, ServerName, expand::Env, tools::ToolFilter};
use crate::aggregate::Template;

mod entry;
mod json;
mod keys;
mod launch;
mod places;
mod problem;
mod settings;
mod table;
mod toml;
mod tree;
mod value;

pub use problem::Problem;
pub use settings::{Children, Settings};

use places::Found;
use problem::Text;
use table::Table;
use value::Values;

/// The largest file that is read, in bytes. A config has some KiB; more is another file.
pub const MAX_BYTES: usize = crate::files::MOST;

/// The most servers of one file. Each has routes, and a line in every list.
pub const MAX_SERVERS: usize = 1_000;

/// The most warnings of one file; a file of something else could have one a line.
const MAX_WARNINGS: usize = 50;

/// A file's text and what it is read against.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The file as it was named, for messages. Its ending tells TOML from JSON.
    pub file: &'a Path,
    /// The directory that the file is in, absolute. Relative paths are meant from here.
    pub dir: &'a Path,
    /// The whole file.
    pub text: &'a str,
    /// For `${VAR}`.
    pub env: Env<'a>,
}

/// What a file came to.
#[derive(Debug)]
pub struct File {
    /// In the order of the file; no two have the same name.
    pub servers: Vec<Entry>,
    /// `[aggregate]`: all servers are offered as one, too.
    pub aggregate: Option<Template>,
    /// Keys that mean nothing, with what was meant.
    pub warnings: Vec<Problem>,
}

/// A server of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// As it is to be reached.
    Server(Box<Server>),
    /// `disabled = true`: not offered, and not checked.
    Disabled {
        /// As it is written.
        name: String,
    },
    /// It cannot be meant; the others can.
    Bad {
        /// As it is written.
        name: String,
        /// What is wrong.
        why: Problem,
    },
}

impl Entry {
    /// As it is written.
    pub fn name(&self) -> &str {
        match self {
            Entry::Server(server) => server.name.as_str(),
            Entry::Disabled { name } | Entry::Bad { name, .. } => name,
        }
    }
}

/// A server that can be reached, as far as its file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Fit for a path.
    pub name: ServerName,
    /// Where it stands in the file.
    pub line: usize,
    /// How it is reached.
    pub reach: Reach,
    /// What else is set for it.
    pub settings: Settings,
    /// Which of its tools are offered.
    pub tools: ToolFilter,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It is started.
    Child(Child),
    /// It is at a URL.
    Remote(Remote),
}

/// How a server is started. Arguments may come from variables that hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Absolute if it is a path; else looked up in the child's `PATH`.
    pub program: OsString,
    /// The arguments, with `${VAR}` put in.
    pub args: Vec<Secret>,
    /// Program and arguments as they are written in the file, for lists and logs.
    pub written: Vec<String>,
    /// Set on top of what is passed on, and of the files.
    pub env: Vec<(String, Secret)>,
    /// Files of variables, absolute, read before `env` by whoever starts the server.
    pub env_files: Vec<PathBuf>,
    /// Absolute; the bridge's own when `None`.
    pub cwd: Option<PathBuf>,
    /// Variables that each caller's own child gets from a header of its caller.
    pub header_env: Vec<(HeaderName, String)>,
    /// The same from a claim of its caller's token.
    pub claim_env: Vec<(Box<str>, String)>,
}

/// Where a remote server is and what is sent along.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    /// Without credentials and without a fragment; its query may hold a token.
    pub url: Url,
    /// The Unix socket that the URL's server listens on, absolute.
    pub socket: Option<PathBuf>,
    /// `Auto` where the file does not tell.
    pub transport: RemoteTransport,
    /// Values are marked sensitive.
    pub headers: HeaderMap<HeaderValue>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        let origin = self.url.origin().ascii_serialization();
        let mut shown = f.debug_struct("Remote");
        shown.field("origin", &origin).field("transport", &self.transport).field("headers", &names).finish()
    }
}

/// Reads a file. An error means that it has no servers at all: it does not parse, or they stand elsewhere.
pub fn read(source: &Source<'_>) -> Result<File, Problem> {
    let text = Text::new(source.file, source.text);
    if source.text.len() > MAX_BYTES {
        return Err(text.at(&(0..0), format!("the file is larger than {MAX_BYTES} bytes; name a config file")));
    }
    let is_toml = is_toml(source.file, &text)?;
    let root = if is_toml { toml::parse(&text)? } else { json::parse(&text)? };
    let found = places::servers(&text, &root, is_toml)?;
    if let Some(more) = found.get(MAX_SERVERS) {
        return Err(text.showing(&more.at, format!("more than {MAX_SERVERS} servers; split the file")));
    }
    let mut warnings = Vec::new();
    places::warnings(source.file, &text, &root, is_toml, &mut warnings);
    let defaults = defaults(&text, &root, is_toml, &mut warnings)?;
    let aggregate = aggregate(&text, &root, is_toml, &mut warnings)?;
    let values = Values { source, text: &text };
    let mut servers: Vec<Entry> = Vec::with_capacity(found.len());
    for (name, all) in by_name(found) {
        servers.push(match all.as_slice() {
            [one] => entry::read(&values, one, &defaults, &mut warnings),
            _ => twice(&text, name, &all),
        });
    }
    bound(&mut warnings);
    Ok(File { servers, aggregate, warnings })
}

fn is_toml(file: &Path, text: &Text<'_>) -> Result<bool, Problem> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "toml" => Ok(true),
        "json" | "jsonc" | "json5" => Ok(false),
        "yaml" | "yml" => Err(text.at(&(0..0), "YAML is not read; write the servers as JSON or TOML")),
        _ => Ok(!text.text.trim_start().starts_with(['{', '/'])),
    }
}

/// The servers in their order, those of one name together.
fn by_name<'f, 't>(found: Vec<Found<'f, 't>>) -> Vec<(String, Vec<Found<'f, 't>>)> {
    let mut order: Vec<(String, Vec<Found<'f, 't>>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for one in found {
        let place = *places.entry(one.name.clone()).or_insert(order.len());
        match order.get_mut(place) {
            Some((_, all)) => all.push(one),
            None => order.push((one.name.clone(), vec![one])),
        }
    }
    order
}

fn twice(text: &Text<'_>, name: String, all: &[Found<'_, '_>]) -> Entry {
    let lines: Vec<String> = all.iter().map(|one| text.line_of(one.at.start).to_string()).collect();
    let at = all.last().map_or(0..0, |last| last.at.clone());
    let lines = lines.join(" and ");
    let message = format!("{} servers are named {name:?}, on lines {lines}; give each its own name", all.len());
    Entry::Bad { why: text.showing(&at, message), name }
}

/// `[defaults]`, which only the bridge's own files have.
fn defaults(
    text: &Text<'_>,
    root: &tree::Node<'_>,
    is_toml: bool,
    warnings: &mut Vec<Problem>,
) -> Result<Settings, Problem> {
    let members = root.table().unwrap_or_default();
    let Some(member) = members.iter().find(|member| is_toml && member.key == "defaults") else {
        return Ok(Settings::default());
    };
    let Some(set) = member.node.table() else {
        return Err(text.showing(&member.at, "\"defaults\" has to be a table; write [defaults] above its keys"));
    };
    let table = Table::new(text, "defaults: ".into(), set)?;
    let settings = Settings::read(&table, settings::For::Either, &Settings::default())?;
    table.leftovers(&keys::SETTINGS, true, warnings);
    Ok(settings)
}

/// `[aggregate]`, or `aggregate = true`, which only the bridge's own files have.
fn aggregate(
    text: &Text<'_>,
    root: &tree::Node<'_>,
    is_toml: bool,
    warnings: &mut Vec<Problem>,
) -> Result<Option<Template>, Problem> {
    let members = root.table().unwrap_or_default();
    let Some(member) = members.iter().find(|member| is_toml && member.key == "aggregate") else { return Ok(None) };
    let set = match &member.node.value {
        tree::Value::Bool(on) => return Ok(on.then(Template::default)),
        tree::Value::Table(set) => set,
        _ => return Err(text.showing(&member.at, "\"aggregate\" has to be true, false or a table; write true")),
    };
    let table = Table::new(text, "aggregate: ".into(), set)?;
    let prefix = match table.member("prefix") {
        None => Template::default(),
        Some(member) => {
            let written = table.text_of(member, "\"{name}_\"")?;
            Template::parse(written).map_err(|why| table.open(member, format!("\"prefix\": {why}")))?
        }
    };
    table.leftovers(&["prefix"], true, warnings);
    Ok(Some(prefix))
}

fn bound(warnings: &mut Vec<Problem>) {
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    warnings.truncate(MAX_WARNINGS);
    if let Some(last) = warnings.last_mut().filter(|_| more > 0) {
        last.message.push_str(&format!(" (and {more} more like this)"));
    }
}

#[cfg(test)]
mod tests;
