//! Which hosts and origins are served: Host, Origin and CORS. Pure.
//!
//! Owns the decisions that come before any route. Talks to nobody. It never reads a body, and never names in an answer
//! what it compared with.
//!
//! A page in a browser can make requests to a server on this machine, and with DNS rebinding under a name of its own
//! choice. The `Host` header tells such a name, `Origin` tells the page (2025-11-25, Transports, Security Warning).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};

use super::stream::Arrival;
use crate::{
    audit::Reason,
    config::{Cors, NetworkSpec},
    wire::{
        exchange::{self, Refusal, Response},
        http::rules::only,
    },
};

/// Request headers that a page may send (2025-11-25, Transports), besides `Mcp-Param-*`. A wildcard would not cover
/// `Authorization`.
const ALLOWED_HEADERS: &str = "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, \
    last-event-id, mcp-method, mcp-name";

/// Response headers that a page may read.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("mcp-session-id, www-authenticate, mcp-protocol-version");

/// How long a browser may remember what a preflight said, in seconds.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("600");

/// Most `Mcp-Param-*` names that one preflight may ask for.
const MAX_PARAM_HEADERS: usize = 32;

const PRIVATE_NETWORK_ASKED: HeaderName = HeaderName::from_static("access-control-request-private-network");
const PRIVATE_NETWORK_GIVEN: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The guard of one listening socket.
#[derive(Debug)]
pub struct Guard {
    /// Lower case; a name, or a name with a port.
    hosts: Vec<String>,
    /// Exact.
    origins: Vec<String>,
    cors: bool,
}

/// What the guard found out about a request that may go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// The origin to name in CORS headers.
    pub cors: Option<HeaderValue>,
}

impl Guard {
    /// The guard that a configuration asks for.
    pub fn new(network: &NetworkSpec) -> Guard {
        let mut hosts: Vec<String> = network.allow_host.iter().map(|host| host.to_ascii_lowercase()).collect();
        let mut origins = network.allow_origin.clone();
        if let Some(base) = &network.base_url {
            hosts.extend(base.host_str().map(str::to_ascii_lowercase));
            origins.push(base.origin().ascii_serialization());
        }
        let cors = network.cors == Cors::AllowedOrigins;
        Guard { hosts, origins, cors }
    }

    /// Checks Host and Origin. Comes before everything else, on every route.
    pub fn check<B>(&self, request: &Request<B>, arrival: &Arrival) -> Result<Passed, Refusal> {
        let host = self.check_host(request.headers(), request.uri(), arrival);
        let host = host.map_err(|refusal| refusal.because(Reason::Host))?;
        self.check_origin(request.headers(), host).map_err(|refusal| refusal.because(Reason::Origin))
    }

    /// A Unix socket has no name, so there a request may do without. One that is given counts all the same: what comes from
    /// a browser came through a proxy, and the name tells whether it was rebound.
    fn check_host<'a>(
        &self,
        headers: &'a HeaderMap<HeaderValue>,
        uri: &'a Uri,
        arrival: &Arrival,
    ) -> Result<&'a str, Refusal> {
        let bad = |text: &'static str| Refusal::new(StatusCode::BAD_REQUEST, text);
        let stated = match only(headers, &header::HOST) {
            Some(value) => Some(value.to_str().map_err(|_| bad("the Host header is not readable"))?),
            None if headers.contains_key(header::HOST) => return Err(bad("there is more than one Host header")),
            None => None,
        };
        // HTTP/2 has it in the request target, and HTTP/1 may; both must be good, as some reader may take either.
        let target = uri.authority().map(http::uri::Authority::as_str);
        let unnamed = arrival.bound.is_none().then_some("localhost");
        let host = target.or(stated).or(unnamed).ok_or_else(|| bad("the Host header is missing"))?;
        for host in [Some(host), stated].into_iter().flatten() {
            if !self.serves(host, arrival.bound) {
                let text = format!("the host {:?} is not served here; allow it with --allow-host", shown(host));
                return Err(Refusal::new(StatusCode::FORBIDDEN, text));
            }
        }
        Ok(host)
    }

    /// Whether `host`, with or without a port, may name this server. An address cannot be rebound, so beyond loopback
    /// any address is good: a port may be forwarded from one that is not ours.
    fn serves(&self, host: &str, bound: Option<IpAddr>) -> bool {
        let beyond = bound.is_some_and(|bound| !bound.to_canonical().is_loopback());
        let host = host.to_ascii_lowercase();
        let Some((name, port)) = split_port(&host) else { return false };
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return false;
        }
        if self.hosts.iter().any(|allowed| *allowed == host || *allowed == name) {
            return true;
        }
        match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() => false,
            Ok(address) => address.to_canonical().is_loopback() || beyond,
            Err(_) => name == "localhost",
        }
    }

    fn check_origin(&self, headers: &HeaderMap<HeaderValue>, host: &str) -> Result<Passed, Refusal> {
        let forbidden = |text: String| Err(Refusal::new(StatusCode::FORBIDDEN, text));
        let Some(origin) = only(headers, &header::ORIGIN) else {
            if headers.contains_key(header::ORIGIN) {
                return forbidden("there is more than one Origin header".into());
            }
            // A browser leaves Origin out of a plain GET, as of an image, but tells whose page it is.
            return match only(headers, &FETCH_SITE).map(HeaderValue::as_bytes) {
                Some(b"cross-site" | b"same-site") => {
                    forbidden("a page of another origin may not call this server; allow it with --allow-origin".into())
                }
                _ => Ok(Passed::default()),
            };
        };
        let text = origin.to_str().unwrap_or("null");
        let listed = self.origins.iter().any(|allowed| allowed == text);
        if !listed && !is_same(text, host) {
            return forbidden(format!(
                "the origin {:?} may not call this server; allow it with --allow-origin",
                shown(text)
            ));
        }
        Ok(Passed { cors: (listed && self.cors).then(|| origin.clone()) })
    }

    /// The answer to a preflight, which carries no token; `None` when the request is none that CORS answers.
    pub fn preflight<B>(&self, passed: &Passed, request: &Request<B>) -> Option<Response> {
        passed.cors.as_ref().filter(|_| *request.method() == Method::OPTIONS)?;
        let mut response = exchange::empty(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE, OPTIONS"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(request.headers()));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
        if only(request.headers(), &PRIVATE_NETWORK_ASKED).is_some_and(|asked| asked == "true") {
            headers.insert(PRIVATE_NETWORK_GIVEN, HeaderValue::from_static("true"));
        }
        Some(response)
    }

    /// Adds what a browser needs to let the page read the response.
    pub fn finish(&self, passed: Passed, response: &mut Response) {
        if self.cors {
            // Also without an origin: a cache must not give this answer to a page.
            response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = passed.cors {
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
}

/// Splits `name:port`; an IPv6 address stands in brackets. `None` when it is neither.
fn split_port(host: &str) -> Option<(&str, Option<&str>)> {
    if host.starts_with('[') {
        let end = host.find(']')? + 1;
        let (name, rest) = host.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Some((name, Some(port))),
            None => rest.is_empty().then_some((name, None)),
        };
    }
    match host.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((name, port)) => Some((name, Some(port))),
        None => Some((host, None)),
    }
}

/// Whether a page of this origin came from the server that it calls.
fn is_same(origin: &str, host: &str) -> bool {
    let (default, authority) = match (origin.strip_prefix("http://"), origin.strip_prefix("https://")) {
        (Some(authority), _) => (":80", authority),
        (_, Some(authority)) => (":443", authority),
        _ => return false,
    };
    let bare = |authority: &str| authority.to_ascii_lowercase().trim_end_matches(default).to_owned();
    !authority.is_empty() && bare(authority) == bare(host)
}

fn allowed_headers(headers: &HeaderMap<HeaderValue>) -> HeaderValue {
    let asked = only(headers, &header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok());
    let params = asked
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| name.starts_with("mcp-param-") && HeaderName::try_from(name.as_str()).is_ok())
        .take(MAX_PARAM_HEADERS);
    let list = params.fold(ALLOWED_HEADERS.to_owned(), |list, name| list + ", " + &name);
    HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static(ALLOWED_HEADERS))
}

/// What an answer repeats of a header, short enough for one line.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::stream::Certificate, *};

    fn guard() -> Guard {
        Guard {
            hosts: vec!["bridge.example".into(), "other.example:8443".into()],
            origins: vec!["https://app.example".into()],
            cors: true,
        }
    }

    /// A request on a socket that is bound to this address, or on a Unix socket.
    fn on(bound: &str) -> Arrival {
        Arrival { bound: bound.parse().ok(), peer: None, certificate: Certificate::Unasked }
    }

    fn loopback() -> Arrival {
        on("127.0.0.1")
    }

    fn head(lines: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = http::Request::builder().uri("/mcp");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn status(bound: &str, lines: &[(&'static str, &'static str)]) -> u16 {
        guard().check(&head(lines), &on(bound)).map_or_else(|refusal| refusal.status().as_u16(), |_| 200)
    }

    #[test]
    fn hosts_on_a_loopback_bind() {
        for (host, want) in [
            ("localhost", 200),
            ("LOCALHOST:8000", 200),
            ("127.0.0.1:1", 200),
            ("127.8.8.8", 200),
            ("[::1]:8000", 200),
            ("[::1]", 200),
            ("[::ffff:127.0.0.1]:80", 200),
            ("bridge.example", 200),
            ("bridge.example:99", 200),
            ("other.example:8443", 200),
            ("other.example", 403),
            ("other.example:1", 403),
            ("evil.example", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.nip.io", 403),
            ("localhost.", 403),
            ("192.168.1.5:8000", 403),
            ("0.0.0.0:8000", 403),
            ("[::]", 403),
            ("localhost:", 403),
            ("localhost:x", 403),
            ("localhost:99999", 403),
            ("::1", 403),
            ("[::1", 403),
            ("[::1]x", 403),
            ("user@localhost", 403),
            ("", 403),
        ] {
            assert_eq!(status("127.0.0.1", &[("host", host)]), want, "{host}");
        }
        assert_eq!(status("127.0.0.1", &[]), 400);
        assert_eq!(status("127.0.0.1", &[("host", "localhost"), ("host", "localhost")]), 400);
    }

    #[test]
    fn any_address_is_good_beyond_loopback_and_names_are_not() {
        for bound in ["0.0.0.0", "::", "192.168.1.5"] {
            for (host, want) in [
                ("192.168.1.5:8000", 200),
                ("10.0.0.7", 200),
                ("localhost:1", 200),
                ("0.0.0.0", 403),
                ("evil.example", 403),
            ] {
                assert_eq!(status(bound, &[("host", host)]), want, "{bound} {host}");
            }
        }
    }

    #[test]
    fn on_a_unix_socket_a_host_may_be_left_out_and_a_rebound_name_is_still_refused() {
        assert_eq!(status("unix", &[]), 200);
        for (host, want) in [("localhost", 200), ("127.0.0.1", 200), ("bridge.example", 200), ("evil.example", 403)] {
            assert_eq!(status("unix", &[("host", host)]), want, "{host}");
        }
        assert_eq!(status("unix", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(status("unix", &[("origin", "https://evil.example")]), 403);
    }

    #[test]
    fn a_target_with_a_host_is_checked_as_well() {
        let guard = guard();
        for (uri, host, want) in [
            ("http://localhost/mcp", Some("localhost"), true),
            ("http://localhost/mcp", None, true),
            ("http://evil.example/mcp", Some("localhost"), false),
            ("http://localhost/mcp", Some("evil.example"), false),
        ] {
            let mut request = http::Request::builder().uri(uri);
            request = host.into_iter().fold(request, |request, host| request.header("host", host));
            let head = request.body(()).unwrap();
            assert_eq!(guard.check(&head, &loopback()).is_ok(), want, "{uri} {host:?}");
        }
    }

    #[test]
    fn origins_are_the_same_or_listed() {
        for (origin, host, want) in [
            ("http://localhost:8000", "localhost:8000", 200),
            ("http://LOCALHOST:8000", "localhost:8000", 200),
            ("http://localhost", "localhost:80", 200),
            ("https://bridge.example", "bridge.example", 200),
            ("https://app.example", "localhost:8000", 200),
            ("https://app.example:444", "localhost:8000", 403),
            ("https://app.example/", "localhost:8000", 403),
            ("http://localhost:3000", "localhost:8000", 403),
            ("http://127.0.0.1:8000", "localhost:8000", 403),
            ("https://evil.example", "localhost:8000", 403),
            ("null", "localhost:8000", 403),
            ("", "localhost:8000", 403),
            ("http://", "localhost", 403),
            ("file://", "localhost", 403),
        ] {
            assert_eq!(status("127.0.0.1", &[("host", host), ("origin", origin)]), want, "{origin} to {host}");
        }
        let twice = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://localhost")];
        assert_eq!(status("127.0.0.1", &twice), 403);
        for (site, want) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
            assert_eq!(status("127.0.0.1", &[("host", "localhost"), ("sec-fetch-site", site)]), want, "{site}");
        }
    }

    #[test]
    fn cors_echoes_listed_origins_and_no_other() {
        let mut guard = guard();
        let asked = [
            ("host", "localhost"),
            ("origin", "https://app.example"),
            ("access-control-request-headers", "mcp-param-Region, x-evil,mcp-param-b c"),
        ];
        let mut head = head(&asked[..]);
        *head.method_mut() = Method::OPTIONS;
        let passed = guard.check(&head, &loopback()).unwrap();
        let mut response = guard.preflight(&passed, &head).unwrap();
        guard.finish(passed, &mut response);
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example");
        assert_eq!(response.headers()["vary"], "Origin");
        assert_eq!(
            response.headers()["access-control-allow-headers"],
            format!("{ALLOWED_HEADERS}, mcp-param-region").as_str()
        );
        let same = [("host", "localhost"), ("origin", "http://localhost")];
        assert_eq!(guard.check(&super::tests::head(&same), &loopback()).unwrap().cors, None);
        guard.cors = false;
        let passed = guard.check(&head, &loopback()).unwrap();
        assert!(guard.preflight(&passed, &head).is_none());
        let mut response = exchange::empty(StatusCode::OK);
        guard.finish(passed, &mut response);
        assert!(response.headers().is_empty());
    }
}
