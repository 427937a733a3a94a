//! `status`: which bridge is asked.
//!
//! Owns the checks of its URL and token. Talks to nobody.

use std::time::Duration;

use http::{HeaderMap, header};

use super::{Typed, remote};
use crate::{
    cli::{Error, args::StatusArgs, usage},
    config::{
        RemoteSpec, RemoteTransport, RetryPolicy,
        check::{self, UrlFault},
    },
    status::Question,
    wire::WIRES,
};

/// For the connection; the bridge is near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Typed<'_> {
    pub(in crate::cli) fn status(&self, args: &StatusArgs) -> Result<Question, Error> {
        let place = check::place(&args.url, Some(RemoteTransport::Http)).map_err(|fault| {
            let why = match fault {
                UrlFault::Credentials => "it holds a user name or password",
                UrlFault::Fragment => "it has a fragment",
                UrlFault::NoSockets => "this system has no Unix sockets",
                UrlFault::Scheme | UrlFault::Unreadable(_) | UrlFault::NoSocket => "it is no URL of a bridge",
            };
            Error::Usage(format!("status cannot ask there: {why}; write it as in http://127.0.0.1:8000"))
        })?;
        let mut url = place.url;
        url.set_query(None);
        let base = match place.socket.is_some() {
            true => "",
            false => base(url.path()),
        };
        url.set_path(&format!("{base}/readyz"));
        let mut headers = HeaderMap::new();
        if let Some(typed) = &args.bearer {
            let token = self.expand("--bearer", typed)?;
            match check::bearer(&token) {
                Ok(value) => drop(headers.insert(header::AUTHORIZATION, value)),
                Err(why) => return usage(format!("--bearer {why}")),
            }
        }
        let tls = remote::tls(&args.tls)?;
        let retry = RetryPolicy { attempts: 0, delay: Duration::ZERO, connect_timeout: CONNECT_TIMEOUT };
        let bridge = RemoteSpec {
            url,
            transport: RemoteTransport::Http,
            socket: place.socket,
            headers,
            tls,
            authorizer: None,
            retry,
        };
        Ok(Question { bridge, json: args.json })
    }
}

/// What people have at hand is often a server's URL.
fn base(path: &str) -> &str {
    let path = path.split_once("/servers/").map_or(path, |(base, _)| base).trim_end_matches('/');
    let routes = WIRES.iter().flat_map(|listed| listed.paths).map(|path| path.usual).chain(["/readyz"]);
    routes.filter_map(|route| path.strip_suffix(route)).next().unwrap_or(path)
}
