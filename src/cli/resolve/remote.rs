//! The server that is reached: its URL and what is sent along.
//!
//! Owns what the "Remote server" flags come to, and the wording; the checks are `config`'s. Talks to the files of TLS. No error
//! of it shows a header's value, a password, or a query, which may hold a token.

use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Typed;
use crate::{
    cli::{
        Error,
        args::{RemoteArgs, TlsArgs},
        bridges::{Bridge, Source},
        report::{example, not_a_url},
        usage,
    },
    config::{
        RemoteSpec, ServerName,
        check::{self, Place, UrlFault},
    },
    tls::client::{Client, ClientFiles},
};

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
        // "is empty" and "holds a character" go on after the flag; what a header cannot hold does not come that far.
        let value = check::bearer(&token).map_err(|why| Error::Usage(format!("--bearer {why}")))?;
        headers.insert(header::AUTHORIZATION, value);
        Ok(headers)
    }

    fn header(&self, typed: &str) -> Result<(HeaderName, HeaderValue), Error> {
        // The text is not shown: without the colon, a secret may be all there is.
        let Some((name, value)) = typed.split_once(':') else {
            return usage("-H needs 'Name: value', with a colon after the name");
        };
        let name = name.trim();
        let parsed = check::header_name(name).map_err(|why| Error::Usage(format!("-H {why}")))?;
        let flag = format!("-H {name}");
        let value = self.expand(&flag, value)?;
        let value = check::header_value(&value).map_err(|why| Error::Usage(format!("{flag}: {why}")))?;
        Ok((parsed, value))
    }
}

pub(super) fn tls(args: &TlsArgs) -> Result<Client, Error> {
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

/// What a URL stands for. `program`: what was typed, where it may be shown as a command.
pub(super) fn place(command: &Bridge, typed: &str, program: Option<&str>) -> Result<Place, Error> {
    let name = &command.name;
    let transport = match command.source {
        Source::Url(transport) => Some(transport),
        Source::Command | Source::Any => None,
    };
    // The text is not shown where it may hold a password, and never its query, which may hold a token.
    check::place(typed, transport).map_err(|fault| {
        Error::Usage(match fault {
            UrlFault::Scheme => not_a_url(command, typed, program),
            UrlFault::Unreadable(error) => {
                format!("the URL of {name} cannot be read: {error}; write it as in {}", example(Some(command)))
            }
            UrlFault::Credentials => format!(
                "the URL of {name} holds a user name or password, which logs would show; use --bearer '${{TOKEN}}' or \
                 -H 'Authorization: ${{VALUE}}'"
            ),
            UrlFault::Fragment => {
                format!("the URL of {name} has a fragment, which servers never see; leave out # and what follows")
            }
            UrlFault::NoSocket => format!("the URL of {name} names no socket; write it as in unix:/run/mcp.sock"),
            UrlFault::NoSockets => {
                "unix: URLs need a system that has Unix sockets; reach the server over http:// or https://".into()
            }
        })
    })
}

/// What a server at a URL is called: its host, or its socket.
pub(super) fn name(spec: &RemoteSpec) -> ServerName {
    let socket = spec.socket.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    ServerName::near(&socket.unwrap_or_else(|| spec.url.host_str().unwrap_or_default().to_owned()))
}
