//! What can go wrong on the way to a server, in words.
//!
//! Owns [`Fault`] and the reading of `reqwest`'s errors and of HTTP status codes. Pure. It never shows a query, a header
//! value or a body.

use std::{error::Error, io};

use http::StatusCode;
use url::Url;

/// Why an exchange with the server failed before the server answered it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Whether the server may have seen the message. A message that it may have seen is never sent again.
    pub(crate) sent: bool,
    /// What happened and one next step; to stand after "cannot reach URL: ".
    pub(crate) why: String,
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
    /// The client could not be set up: a bad certificate store, for instance.
    Setup,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, sent: bool, why: impl Into<String>) -> Fault {
        Fault { kind, sent, why: why.into() }
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
            "nobody that this machine trusts signed it; add its authority to the system's certificates, or name that file in SSL_CERT_FILE",
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
    let known = words.iter().find(|(start, _)| problem.starts_with(start)).map(|(_, plain)| *plain);
    format!("{} ({})", known.unwrap_or("have the server's owner look at it"), one_line(problem))
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

/// What an HTTP status that is no success means, and one next step; to stand after "URL answered ".
pub(crate) fn status_in_words(status: StatusCode) -> String {
    let next = match status.as_u16() {
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
        ] {
            assert!(certificate_problem(problem).contains(word), "{problem}");
        }
    }

    #[test]
    fn each_status_names_a_next_step() {
        assert!(status_in_words(StatusCode::UNAUTHORIZED).contains("--bearer"));
        assert!(status_in_words(StatusCode::NOT_FOUND).contains("path"));
        assert!(status_in_words(StatusCode::INTERNAL_SERVER_ERROR).starts_with("HTTP 500 Internal Server Error"));
    }
}
