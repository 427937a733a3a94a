//! The server that is reached: its URL and what is sent along.
//!
//! Owns the checks of the URL and of the "Remote server" flags. Talks to the files of TLS. No error of it shows a header's value,
//! a password, or a query, which may hold a token.

use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use super::{Typed, is_token};
use crate::{
    annotations::PARAM,
    cli::{
        Error,
        args::RemoteArgs,
        bridges::{Bridge, Source},
        report::{not_a_url, scheme},
        usage,
    },
    config::{Output, RemoteSpec, RemoteTransport, ServerName},
    tls::client::{Client, ClientFiles},
    wire::{self, WIRES, Wire},
};

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

impl Typed<'_> {
    pub(super) fn headers(&self, args: &RemoteArgs) -> Result<HeaderMap<HeaderValue>, Error> {
        let mut headers = HeaderMap::new();
        for typed in self.lines("header", &args.header) {
            let (name, value) = self.header(typed)?;
            headers.append(name, value);
        }
        let Some(typed) = &args.bearer else { return Ok(headers) };
        if headers.contains_key(header::AUTHORIZATION) {
            return usage("both --bearer and -H Authorization are given; leave one out");
        }
        let token = self.expand("--bearer", typed)?;
        if token.is_empty() {
            return usage("--bearer is empty; check the variable that it comes from");
        }
        if !is_token(&token) {
            return usage("--bearer holds a character that no token has; give the token alone, without 'Bearer '");
        }
        headers.insert(header::AUTHORIZATION, sensitive("--bearer", &format!("Bearer {token}"))?);
        Ok(headers)
    }

    fn header(&self, typed: &str) -> Result<(HeaderName, HeaderValue), Error> {
        // The text is not shown: without the colon, a secret may be all there is.
        let Some((name, value)) = typed.split_once(':') else {
            return usage("-H needs 'Name: value', with a colon after the name");
        };
        let name = name.trim();
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            return usage(format!("-H {name:?} is not a header's name; use letters, digits and '-', as in X-Api-Key"));
        };
        if OWN_HEADERS.contains(&parsed.as_str())
            || parsed.as_str().starts_with(PARAM)
            || parsed.as_str().starts_with("sec-websocket-")
        {
            return usage(format!("-H {name} is a header that the bridge sets itself; leave it out"));
        }
        let flag = format!("-H {name}");
        let value = self.expand(&flag, value)?;
        Ok((parsed, sensitive(&flag, value.trim_matches([' ', '\t']))?))
    }
}

pub(super) fn tls(args: &RemoteArgs) -> Result<Client, Error> {
    if args.client_key.is_some() && args.client_cert.is_none() {
        return usage("--client-key is of no use without --client-cert; add --client-cert FILE");
    }
    let files = ClientFiles {
        authorities: args.ca_file.clone(),
        certificate: args.client_cert.clone(),
        key: args.client_key.clone(),
    };
    Client::read(&files).map_err(|error| Error::Usage(error.to_string()))
}

/// Where a server is, and how it is reached.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) url: Url,
    pub(super) socket: Option<PathBuf>,
    pub(super) transport: RemoteTransport,
}

/// What a URL stands for.
pub(super) fn place(command: &Bridge, typed: &str) -> Result<Place, Error> {
    let name = &command.name;
    let scheme = scheme(typed).filter(|scheme| command.schemes().contains(&scheme.as_str()));
    let Some(scheme) = scheme else { return usage(not_a_url(command, typed)) };
    let transport = match command.source {
        Source::Url(transport) => transport,
        Source::Command | Source::Any => wire::transport_of(&scheme).unwrap_or(RemoteTransport::Auto),
    };
    let (typed, socket) = match scheme.as_str() {
        "unix" => on_socket(name, typed, transport)?,
        _ => (typed.to_owned(), None),
    };
    // The text is not shown where it may hold a password, and never its query, which may hold a token.
    let url = Url::parse(&typed).map_err(|error| {
        Error::Usage(format!("the URL of {name} cannot be read: {error}; write it as in https://example.com/mcp"))
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return usage(format!(
            "the URL of {name} holds a user name or password, which logs would show; use --bearer '${{TOKEN}}' or \
             -H 'Authorization: ${{VALUE}}'"
        ));
    }
    if url.fragment().is_some() {
        return usage(format!(
            "the URL of {name} has a fragment, which servers never see; leave out # and what follows"
        ));
    }
    Ok(Place { url, socket, transport })
}

/// `unix:/run/mcp.sock`, with `:/path` behind it where the path is not the usual one: the URL for HTTP, and the socket.
fn on_socket(name: &str, typed: &str, transport: RemoteTransport) -> Result<(String, Option<PathBuf>), Error> {
    if cfg!(not(unix)) {
        return usage("unix: URLs need a system that has Unix sockets; reach the server over http:// or https://");
    }
    let rest = typed.get("unix:".len()..).unwrap_or_default();
    let rest = rest.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(rest);
    let (socket, path) = rest.split_once(":/").map_or((rest, None), |(socket, path)| (socket, Some(path)));
    if socket.is_empty() || socket.contains('\0') {
        return usage(format!("the URL of {name} names no socket; write it as in unix:/run/mcp.sock"));
    }
    let usual = || {
        let wire = WIRES.iter().find(|listed| listed.reaches == Some(transport)).map_or(Wire::Http, |found| found.wire);
        Output::usual(wire).path().to_owned()
    };
    let path = path.map_or_else(usual, |path| format!("/{path}"));
    Ok((format!("http://localhost{path}"), Some(PathBuf::from(socket))))
}

/// What a server at a URL is called: its host, or its socket.
pub(super) fn name(spec: &RemoteSpec) -> ServerName {
    let socket = spec.socket.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    ServerName::near(&socket.unwrap_or_else(|| spec.url.host_str().unwrap_or_default().to_owned()))
}

fn sensitive(flag: &str, value: &str) -> Result<HeaderValue, Error> {
    let Ok(mut value) = HeaderValue::from_str(value) else {
        return usage(format!(
            "{flag}: the value holds a line break or another character that no header can; check where it comes from"
        ));
    };
    value.set_sensitive(true);
    Ok(value)
}
