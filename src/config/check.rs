//! Checks that flags and config files share: variables, files of variables, what a child inherits, headers, URLs.
//!
//! Owns the rules and their wording, without the name of the flag or the key, which the caller puts in front. Pure. No
//! error of it shows a value, which may be a secret.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::{
    Output, PassEnv, RemoteTransport, Secret,
    expand::{ExpandError, is_name},
};
use crate::{
    annotations::PARAM,
    wire::{self, WIRES, Wire},
};

/// What a program needs to run at all; passed on whatever `--pass-env` says. The list of the MCP SDKs, and where
/// temporary files, texts and time zones come from.
#[cfg(unix)]
const BASIC_ENV: [&str; 11] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_*", "TMPDIR", "TZ", "XDG_*"];
#[cfg(not(unix))]
const BASIC_ENV: [&str; 15] = [
    "PATH",
    "PATHEXT",
    "APPDATA",
    "LOCALAPPDATA",
    "HOMEDRIVE",
    "HOMEPATH",
    "PROCESSOR_ARCHITECTURE",
    "PROGRAMFILES",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "COMSPEC",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERPROFILE",
];

/// Headers that the bridge writes itself; a second one would make requests mean two things.
const OWN_HEADERS: [&str; 13] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
    "upgrade",
    "accept",
    "last-event-id",
    "mcp-session-id",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
];

/// A variable for a child.
pub(crate) fn variable(name: &str, value: String) -> Result<(String, Secret), String> {
    if name.is_empty() || name.contains(['\0', '=']) || name.contains(char::is_whitespace) {
        return Err(format!("{name:?} is not a variable's name; write NAME=VALUE"));
    }
    match value.contains('\0') {
        true => Err("the value holds a NUL, which no variable can; remove it".into()),
        false => Ok((name.into(), Secret::new(value))),
    }
}

/// Which of the bridge's variables a child gets, from a list of names; an empty list is all of them.
pub(crate) fn pass_env(typed: &[String]) -> Result<PassEnv, String> {
    let mut names: Vec<String> = BASIC_ENV.map(String::from).into();
    for entry in typed.iter().map(|entry| entry.trim()) {
        match entry {
            "all" if typed.len() == 1 => return Ok(PassEnv::All),
            "none" if typed.len() == 1 => return Ok(PassEnv::Only(names)),
            "all" | "none" => return Err(format!("{entry} stands alone; leave out it or the names")),
            name if is_name(name.strip_suffix('*').unwrap_or(name)) => names.push(name.into()),
            _ => return Err(format!("{entry:?} is no name; write NAME, PREFIX*, none, or all")),
        }
    }
    Ok(if typed.is_empty() { PassEnv::All } else { PassEnv::Only(names) })
}

/// The variables of a file, NAME=VALUE a line, with the line of the first that is wrong. `expand` puts in `${VAR}`.
pub(crate) fn env_file(
    text: &str,
    expand: &dyn Fn(&str) -> Result<String, ExpandError>,
) -> Result<Vec<(String, Secret)>, String> {
    let mut env = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {number} has no '='; write NAME=VALUE, or # in front of a comment"));
        };
        let (name, value) = (name.trim(), value.trim());
        let value = match quoted(value, '\'') {
            // As in a shell: single quotes keep everything.
            Some(literal) => literal.to_string(),
            None => expand(quoted(value, '"').unwrap_or(value))
                .map_err(|error| format!("line {number}: {name}: {error}"))?,
        };
        env.push(variable(name, value).map_err(|why| format!("line {number}: {why}"))?);
    }
    Ok(env)
}

fn quoted(text: &str, quote: char) -> Option<&str> {
    text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))
}

/// The name of a header that is sent along.
pub(crate) fn header_name(name: &str) -> Result<HeaderName, String> {
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(format!("{name:?} is not a header's name; use letters, digits and '-', as in X-Api-Key"));
    };
    let own = ["sec-websocket-", PARAM].into_iter().any(|start| parsed.as_str().starts_with(start));
    match own || OWN_HEADERS.contains(&parsed.as_str()) {
        true => Err(format!("{name} is a header that the bridge sets itself; leave it out")),
        false => Ok(parsed),
    }
}

/// The value of a header that is sent along; marked sensitive.
pub(crate) fn header_value(value: &str) -> Result<HeaderValue, String> {
    let Ok(mut value) = HeaderValue::from_str(value.trim_matches([' ', '\t'])) else {
        return Err(
            "the value holds a line break or another character that no header can; check where it comes from".into()
        );
    };
    value.set_sensitive(true);
    Ok(value)
}

/// The value of `Authorization` for a token.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, String> {
    if token.is_empty() {
        return Err("is empty; check the variable that it comes from".into());
    }
    if !is_token(token) {
        return Err("holds a character that no token has; give the token alone, without 'Bearer '".into());
    }
    header_value(&format!("Bearer {token}"))
}

/// Whether a text can stand in `Authorization: Bearer`: visible ASCII (RFC 6750 has fewer; servers are less strict).
pub(crate) fn is_token(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic())
}

/// Why a text is no URL of a server. The caller words it: what to write instead differs between a flag and a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UrlFault {
    /// It does not start with a scheme that is reached.
    Scheme,
    /// It starts well, but cannot be read.
    Unreadable(url::ParseError),
    /// It holds a user name or a password.
    Credentials,
    /// It goes on after a `#`.
    Fragment,
    /// `unix:`, and nothing behind it.
    NoSocket,
    /// `unix:` on a system that has none.
    NoSockets,
}

/// Where a server is, and how it is reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) url: Url,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) transport: RemoteTransport,
}

/// What a URL stands for. A transport that is known already has to be one that its scheme can mean. The text may hold a
/// password, and its query a token: neither is to be shown.
pub(crate) fn place(text: &str, known: Option<RemoteTransport>) -> Result<Place, UrlFault> {
    let scheme = scheme(text).ok_or(UrlFault::Scheme)?;
    let meant = wire::transport_of(&scheme).ok_or(UrlFault::Scheme)?;
    let fits = |transport| {
        WIRES.iter().any(|listed| listed.reaches == Some(transport) && listed.schemes.contains(&scheme.as_str()))
    };
    let transport = match known {
        None | Some(RemoteTransport::Auto) => meant,
        Some(transport) if fits(transport) => transport,
        Some(_) => return Err(UrlFault::Scheme),
    };
    let (text, socket) = match scheme.as_str() {
        "unix" => on_socket(text, transport)?,
        _ => (text.to_owned(), None),
    };
    let url = Url::parse(&text).map_err(UrlFault::Unreadable)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlFault::Credentials);
    }
    match url.fragment() {
        Some(_) => Err(UrlFault::Fragment),
        None => Ok(Place { url, socket, transport }),
    }
}

/// `unix:/run/mcp.sock`, with `:/path` behind it where the path is not the usual one: the URL for HTTP, and the socket.
fn on_socket(text: &str, transport: RemoteTransport) -> Result<(String, Option<PathBuf>), UrlFault> {
    if cfg!(not(unix)) {
        return Err(UrlFault::NoSockets);
    }
    let rest = text.get("unix:".len()..).unwrap_or_default();
    let rest = rest.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(rest);
    let (socket, path) = rest.split_once(":/").map_or((rest, None), |(socket, path)| (socket, Some(path)));
    if socket.is_empty() || socket.contains('\0') {
        return Err(UrlFault::NoSocket);
    }
    let usual = || {
        let wire = WIRES.iter().find(|listed| listed.reaches == Some(transport)).map_or(Wire::Http, |found| found.wire);
        Output::usual(wire).path().to_owned()
    };
    let path = path.map_or_else(usual, |path| format!("/{path}"));
    Ok((format!("http://localhost{path}"), Some(PathBuf::from(socket))))
}

/// Whether a word can only be meant as a URL that the bridge reaches.
pub(crate) fn looks_like_url(word: &str) -> bool {
    scheme(word).is_some_and(|scheme| wire::transport_of(&scheme).is_some())
}

/// `http:// or https://`: how URLs begin that people write. A socket's is told apart, where there is room.
pub(crate) fn beginnings(schemes: impl IntoIterator<Item = &'static str>) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in schemes.into_iter().filter(|scheme| *scheme != "unix").map(|scheme| format!("{scheme}://")) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last } else { format!("{} or {last}", words.join(", ")) }
}

/// What a URL begins with, up to the colon, in lower case.
pub(crate) fn scheme(word: &str) -> Option<String> {
    let (scheme, rest) = word.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    (rest.starts_with("//") || scheme == "unix").then_some(scheme)
}
