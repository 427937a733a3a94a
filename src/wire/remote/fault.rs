//! What can go wrong on the way to a server, in words.
//!
//! Owns [`Fault`] and the reading of `reqwest`'s errors and of HTTP status codes. Pure. It never shows a query, a header
//! value or a body.

use std::{error::Error, io, sync::Arc};

use http::StatusCode;
use url::Url;

use crate::{
    auth::client::{Demand, Denied, Errand},
    config::{RemoteSpec, RemoteTransport},
};

/// Why an exchange with the server failed before the server answered it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Whether the server may have seen the message. A message that it may have seen is never sent again.
    pub(crate) sent: bool,
    /// What happened and one next step; to stand after "cannot reach URL: ".
    pub(crate) why: String,
    /// What the server asks for; of [`FaultKind::Unauthorized`].
    pub(crate) demand: Option<Arc<Demand>>,
    /// What the user is to open; of [`FaultKind::Login`].
    pub(crate) errand: Option<Arc<Errand>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The host's name does not resolve.
    Dns,
    /// Nobody listens there.
    Refused,
    /// The network or the server did not react.
    Timeout,
    /// The TLS handshake failed.
    Tls,
    /// The connection broke.
    Broken,
    /// A gateway answered in the place of the server: 502, 503, 504.
    Gateway,
    /// Connected, but `initialize` stayed unanswered.
    Silent,
    /// A redirect that is not followed.
    Redirect,
    /// The server asks who calls, and did nothing. With what it asked.
    Unauthorized,
    /// There is no token for it.
    Login,
    /// The client could not be set up: a bad certificate store, for instance.
    Setup,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, sent: bool, why: impl Into<String>) -> Fault {
        Fault { kind, sent, why: why.into(), demand: None, errand: None }
    }

    /// The server asks for a token.
    pub(crate) fn unauthorized(demand: Demand) -> Fault {
        let why = "it asks for a token again and again; log in anew with mcp-bridge login";
        Fault { demand: Some(Arc::new(demand)), ..Fault::new(FaultKind::Unauthorized, false, why) }
    }

    /// There is no token to be had.
    pub(crate) fn denied(denied: Denied) -> Fault {
        let why = denied.to_string();
        let errand = match denied {
            Denied::Open(errand) => Some(Arc::new(errand)),
            Denied::NotOffered | Denied::Failed(_) | Denied::Unreachable(_) => None,
        };
        Fault { errand, ..Fault::new(FaultKind::Login, false, why) }
    }

    /// Whether another attempt may help, and does no harm.
    pub(crate) fn may_pass(&self) -> bool {
        use FaultKind::{Broken, Dns, Gateway, Refused, Timeout};
        !self.sent && matches!(self.kind, Dns | Refused | Timeout | Broken | Gateway)
    }

    /// Reads an error of the HTTP client. `sent`: whether the message was handed to a connection.
    pub(crate) fn read(error: &reqwest::Error, sent: bool) -> Fault {
        let sent = sent && !error.is_connect();
        if error.is_builder() {
            return Fault::new(FaultKind::Setup, false, format!("the HTTP client refused it ({})", innermost(error)));
        }
        if error.is_dns() {
            let why = "the host name does not resolve; check the URL's spelling and this machine's DNS";
            return Fault::new(FaultKind::Dns, sent, why);
        }
        if let Some(why) = chain(error).find_map(tls_problem) {
            return Fault::new(FaultKind::Tls, sent, why);
        }
        let io = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last().map(io::Error::kind);
        let (kind, why) = match io {
            Some(io::ErrorKind::ConnectionRefused) => (
                FaultKind::Refused,
                "the connection was refused; check that the server runs, the port, and any proxy (HTTPS_PROXY)".into(),
            ),
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                (FaultKind::Refused, "the host is not reachable from here; check the network and the address".into())
            }
            // Of a path: only a socket has one.
            Some(io::ErrorKind::NotFound) if error.is_connect() => {
                (FaultKind::Broken, "there is no such socket; check its path, and that the server runs".into())
            }
            Some(io::ErrorKind::PermissionDenied) if error.is_connect() => (
                FaultKind::Broken,
                "the system does not let this user connect; check the rights of the socket's file, or the firewall"
                    .into(),
            ),
            Some(io::ErrorKind::TimedOut) => (FaultKind::Timeout, timed_out()),
            _ if error.is_timeout() => (FaultKind::Timeout, timed_out()),
            _ if error.is_connect() => (
                FaultKind::Broken,
                format!("the connection failed ({}); check the port and any proxy", innermost(error)),
            ),
            _ => {
                (FaultKind::Broken, format!("the connection broke ({}); look into the server's log", innermost(error)))
            }
        };
        Fault::new(kind, sent, why)
    }
}

fn timed_out() -> String {
    "no connection came about in time; check the network and any proxy (HTTPS_PROXY), or raise --connect-timeout".into()
}

/// The error and its causes, from the outside in.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An `io::Error` shows the cause of what it wraps as its own, and would hide what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// The innermost cause: the only one that says something. The outer ones may hold the URL with its query.
fn innermost(error: &reqwest::Error) -> String {
    let outer: &(dyn Error + 'static) = error;
    match chain(outer).skip(1).last() {
        Some(cause) => one_line(&cause.to_string()),
        None => "no more is known".into(),
    }
}

/// What comes from outside must not break a line of the log or run on for ever.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

/// `rustls` is reached through the HTTP client only, so its errors are known by their text.
fn tls_problem(cause: &(dyn Error + 'static)) -> Option<String> {
    let text = cause.to_string();
    let plain = if let Some(problem) = text.strip_prefix("invalid peer certificate: ") {
        format!("its TLS certificate is not accepted: {}", certificate_problem(problem))
    } else if text.starts_with("received corrupt message") {
        "it does not speak TLS on that port; try http:// instead of https://, or another port".into()
    } else if let Some(alert) = text.strip_prefix("received fatal alert: ") {
        if ["CertificateRequired", "UnknownCA", "BadCertificate", "CertificateUnknown"].contains(&alert) {
            return Some(format!(
                "it wants a client certificate of an authority that it trusts ({alert}); give one with --client-cert FILE"
            ));
        }
        format!("it ended the TLS handshake ({}); check the host name in the URL", one_line(alert))
    } else if text.starts_with("peer is incompatible") || text.starts_with("peer misbehaved") {
        format!("the TLS handshake failed ({}); the server needs TLS 1.2 or newer", one_line(&text))
    } else {
        return None;
    };
    Some(plain)
}

fn certificate_problem(problem: &str) -> String {
    let words = [
        (
            "UnknownIssuer",
            "nobody that this machine trusts signed it; name the file with its authority's certificate: --ca-file FILE",
        ),
        (
            "CaUsedAsEndEntity",
            "it is a certificate of an authority, not of a server; have the server present one of its own",
        ),
        ("certificate expired", "it has expired; have the server's owner renew it, and check this machine's clock"),
        ("Expired", "it has expired; have the server's owner renew it, and check this machine's clock"),
        ("certificate not valid yet", "it is not valid yet; check this machine's clock"),
        ("NotValidYet", "it is not valid yet; check this machine's clock"),
        ("certificate not valid for name", "it is for another host name; check the host in the URL"),
        ("NotValidForName", "it is for another host name; check the host in the URL"),
        ("Revoked", "it was revoked; ask the server's owner"),
    ];
    // Some come wrapped, as `Other(OtherError(CaUsedAsEndEntity))`.
    let known = words.iter().find(|(name, _)| problem.contains(name)).map(|(_, plain)| *plain);
    match known {
        // One word is the name of a Rust variant, which says no more than the words above.
        Some(plain) if !problem.contains(' ') => plain.into(),
        known => format!("{} ({})", known.unwrap_or("have the server's owner look at it"), one_line(problem)),
    }
}

/// A compressed body; to stand after the URL. The bridge asks for none.
pub(crate) fn unasked_encoding(encoding: &str) -> String {
    let shown = one_line(encoding).chars().take(40).collect::<String>();
    format!(
        "sent a body with Content-Encoding {shown}, which was not asked for; turn that off in the server or its proxy"
    )
}

/// The URL without what may be secret: no credentials, no query, no fragment.
pub(crate) fn shown(url: &Url) -> String {
    let mut plain = url.clone();
    plain.set_query(None);
    plain.set_fragment(None);
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    plain.to_string()
}

/// What an HTTP status is read against: how the server was addressed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// With a token: `--bearer` or `-H Authorization`.
    pub(crate) token: bool,
    /// At a URL without a path.
    pub(crate) bare: bool,
    /// Without TLS.
    pub(crate) plain: bool,
    /// As the one transport that the user named; `None` where the bridge finds out.
    pub(crate) only: Option<RemoteTransport>,
}

impl Asked {
    pub(crate) fn of(spec: &RemoteSpec) -> Asked {
        Asked {
            token: spec.headers.contains_key(http::header::AUTHORIZATION),
            bare: matches!(spec.url.path(), "" | "/"),
            plain: matches!(spec.url.scheme(), "http" | "ws"),
            only: Some(spec.transport).filter(|transport| *transport != RemoteTransport::Auto),
        }
    }

    /// The next step where nothing that speaks MCP is at the URL.
    pub(crate) fn nothing_there(self) -> &'static str {
        if self.bare { "MCP servers are mostly at /mcp or /sse; try that path" } else { "check the path of the URL" }
    }

    /// The next step where the user may have named the wrong transport.
    pub(crate) fn other_transport(self) -> Option<&'static str> {
        match self.only? {
            RemoteTransport::Http => Some("it may be an SSE server: use connect or sse-to-stdio"),
            RemoteTransport::Sse => Some("it may speak Streamable HTTP: use connect or http-to-stdio"),
            RemoteTransport::Ws => {
                Some("it may speak Streamable HTTP or SSE: use connect with an http:// or https:// URL")
            }
            RemoteTransport::Auto => None,
        }
    }
}

/// The same as [`status_in_words`] for the first messages, where the URL or the command may be the mistake.
pub(crate) fn opening_status(status: StatusCode, asked: Asked) -> String {
    let next = match (status.as_u16(), asked.only) {
        (100..=399 | 400 | 404 | 405 | 406 | 426, Some(RemoteTransport::Ws)) => {
            let hint = asked.other_transport().unwrap_or_default();
            format!("it does not speak WebSocket there: check the path of the URL, or {hint}")
        }
        (404, _) if asked.bare => format!("nothing is there: {}", asked.nothing_there()),
        (404, Some(RemoteTransport::Http)) | (400 | 405 | 406, Some(RemoteTransport::Sse)) | (405, _) => {
            let what = match status.as_u16() {
                400 => "it refused the request",
                404 => "nothing is there",
                406 => "it does not take MCP's content types",
                _ => "that path takes no MCP messages",
            };
            match asked.other_transport() {
                Some(hint) => format!("{what}: {}, or {hint}", asked.nothing_there()),
                None => format!("{what}: {}", asked.nothing_there()),
            }
        }
        (400, _) if asked.plain => {
            "it refused the message: if that port speaks TLS, try https://; else check the URL, and the server's log"
                .into()
        }
        _ => return status_in_words(status, asked),
    };
    format!("HTTP {} ({next})", status_line(status))
}

/// What an HTTP status that is no success means, and one next step; to stand after "URL answered ".
pub(crate) fn status_in_words(status: StatusCode, asked: Asked) -> String {
    let next = match status.as_u16() {
        401 if asked.token => "the token given was refused; check it",
        401 => "it wants to know who calls: give a token with --bearer, or a header with -H",
        403 => {
            "the caller may not do this: check the token of --bearer or the header of -H, and the server's allow-lists"
        }
        404 => "nothing is there: check the path of the URL",
        405 => "that path takes no MCP messages: check the path of the URL",
        406 | 415 => "it does not take MCP's content types: check the path of the URL",
        407 => "the proxy wants to know who calls: put the credentials into HTTPS_PROXY",
        413 => "the message is too large for it",
        421 => "it does not serve that host name: check the host in the URL",
        429 => "it is asked too often: wait and try again",
        300..=399 => "it redirects without saying where to: check the URL",
        400..=499 => "it refused the message: check the URL, and the server's log",
        502..=504 => "the server behind its gateway is not up: try again later",
        _ => "it failed: look into the server's log",
    };
    format!("HTTP {} ({next})", status_line(status))
}

/// Code and name.
pub(crate) fn status_line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(name) => format!("{} {name}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_secret() {
        let url = Url::parse("https://me:pw@host.example/mcp?token=t0k#f").unwrap();
        assert_eq!(shown(&url), "https://host.example/mcp");
    }

    #[test]
    fn certificate_problems_are_named() {
        for (problem, word) in [
            ("UnknownIssuer", "nobody that this machine trusts"),
            ("certificate expired: verification time 1 (UNIX)", "expired"),
            ("certificate not valid for name \"a\"; certificate is not valid for any names", "another host name"),
            ("Other(x\ny)", "Other(x y)"),
            ("Other(OtherError(CaUsedAsEndEntity))", "a certificate of an authority"),
        ] {
            assert!(certificate_problem(problem).contains(word), "{problem}");
        }
    }

    #[test]
    fn a_known_certificate_problem_is_told_without_rust_names() {
        for problem in ["Other(OtherError(CaUsedAsEndEntity))", "UnknownIssuer"] {
            assert!(!certificate_problem(problem).contains(problem), "{problem}");
        }
    }

    #[test]
    fn each_status_names_a_next_step() {
        let asked = Asked::default();
        assert!(status_in_words(StatusCode::UNAUTHORIZED, asked).contains("--bearer"));
        assert!(status_in_words(StatusCode::NOT_FOUND, asked).contains("path"));
        assert!(
            status_in_words(StatusCode::INTERNAL_SERVER_ERROR, asked).starts_with("HTTP 500 Internal Server Error")
        );
    }

    #[test]
    fn the_next_step_fits_how_the_server_was_asked() {
        use RemoteTransport::{Auto, Http, Sse};
        let ask = |url: &str, transport, token: bool| {
            let mut spec = crate::wire::remote::fixture::spec(&url.parse().unwrap(), transport);
            if token {
                spec.headers.insert(http::header::AUTHORIZATION, http::HeaderValue::from_static("Bearer t0p"));
            }
            Asked::of(&spec)
        };
        for (status, asked, words) in [
            (401, ask("https://h/mcp", Auto, true), "the token given was refused; check it"),
            (401, ask("https://h/mcp", Auto, false), "give a token with --bearer"),
            (404, ask("https://h/", Http, false), "mostly at /mcp or /sse; try that path"),
            (404, ask("https://h/x", Auto, false), "check the path of the URL)"),
            (404, ask("https://h/x", Http, false), "use connect or sse-to-stdio"),
            (405, ask("https://h/sse", Http, false), "use connect or sse-to-stdio"),
            (405, ask("https://h/mcp", Sse, false), "use connect or http-to-stdio"),
            (400, ask("https://h/mcp", Sse, false), "use connect or http-to-stdio"),
            (400, ask("http://h/mcp", Http, false), "try https://"),
            (400, ask("https://h/mcp", Http, false), "it refused the message: check the URL"),
        ] {
            let text = opening_status(StatusCode::from_u16(status).unwrap(), asked);
            assert!(text.contains(words), "{status} {asked:?}: {text}");
            assert!(!text.contains('\n') && !text.contains("t0p"), "{text}");
        }
    }
}
