//! Where the browser comes back to: a listener on this machine, for one login.
//!
//! Owns the socket, the page that the user sees at the end, and the judgement of what came back. Talks to browsers. It
//! listens on 127.0.0.1 only and for as long as the login is open, takes one answer, and takes none that the authorization
//! server did not give: `state` must be ours, and `iss` the issuer's, before anything else is looked at (RFC 9207).

use std::{convert::Infallible, io, net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use url::Url;

use crate::config::Secret;

/// The one path.
const PATH: &str = "/callback";

/// Connections at once: a browser opens a few ahead.
const MAX_CONNECTIONS: usize = 8;

/// For a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head. Codes can be some KiB.
const MAX_HEAD: usize = 32 * 1024;

/// For the last page to reach the browser.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// A listener that waits for one answer.
#[derive(Debug)]
pub struct Callback {
    listener: TcpListener,
    port: u16,
}

/// What an answer must fit.
#[derive(Debug, Clone)]
pub struct Expected {
    /// What the login was begun with.
    pub state: Secret,
    /// Who may answer.
    pub issuer: Option<String>,
    /// Whether it must say that it is who answers.
    pub names_itself: bool,
}

/// What the authorization server gave.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What a token is asked for with.
    pub code: Secret,
    /// Who answered, if that was said.
    pub issuer: Option<String>,
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// Not of this login: whoever sent it, the login goes on.
    Stray,
    /// Of this login, and the end of it. The text stands after "the login failed: ".
    Final(String),
}

impl Callback {
    /// Listens on the port, or on any where the port is 0. `before`: the port of an earlier login, taken when it is free.
    pub async fn bind(port: u16, before: Option<u16>) -> io::Result<Callback> {
        let at = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = match before.filter(|_| port == 0) {
            Some(before) => match at(before).await {
                Ok(listener) => listener,
                Err(_) => at(0).await?,
            },
            None => at(port).await?,
        };
        let port = listener.local_addr()?.port();
        Ok(Callback { listener, port })
    }

    /// What the authorization server is told.
    pub fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits for the answer of this login, however often something else comes. Drop it to stop listening.
    pub async fn answer(&self, expected: &Expected) -> Result<Answer, String> {
        let (tx, mut rx) = mpsc::channel(1);
        let mut open = FuturesUnordered::new();
        // Ends with an answer of this login.
        let outcome = loop {
            tokio::select! {
                outcome = rx.recv() => break outcome,
                accepted = self.listener.accept(), if open.len() < MAX_CONNECTIONS => {
                    if let Ok((stream, _)) = accepted {
                        open.push(serve(stream, self.port, expected, tx.clone()));
                    }
                }
                Some(()) = open.next() => {}
            }
        };
        let rest = async { while open.next().await.is_some() {} };
        let _ = timeout(LAST_PAGE, rest).await;
        outcome.unwrap_or_else(|| Err("the listener ended".into()))
    }
}

async fn serve(stream: TcpStream, port: u16, expected: &Expected, tx: mpsc::Sender<Result<Answer, String>>) {
    let service = service_fn(async |request: Request<Incoming>| {
        let (page, outcome) = respond(&request, port, expected);
        if let Some(outcome) = outcome {
            let _ = tx.try_send(outcome);
        }
        Ok::<_, Infallible>(page)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = serving.await;
}

fn respond<B>(request: &Request<B>, port: u16, expected: &Expected) -> (Page, Option<Result<Answer, String>>) {
    let host = request.headers().get(header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let ours = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    // A page of another site that resolves its own name to this machine, or that scripts a request.
    let foreign = !ours.iter().any(|name| name.as_bytes() == host) || request.headers().contains_key(header::ORIGIN);
    match () {
        () if foreign => (page(StatusCode::FORBIDDEN, "This is not for you."), None),
        () if request.uri().path() != PATH => (page(StatusCode::NOT_FOUND, "Nothing is here."), None),
        () if request.method() != Method::GET => (page(StatusCode::METHOD_NOT_ALLOWED, "GET only."), None),
        () => match judge(request.uri().query().unwrap_or_default(), expected) {
            Ok(answer) => {
                let text = "mcp-bridge has what it needs. You can close this window.";
                (page(StatusCode::OK, text), Some(Ok(answer)))
            }
            Err(Rejected::Stray) => (page(StatusCode::BAD_REQUEST, "This belongs to no login that is open."), None),
            Err(Rejected::Final(why)) => {
                let text = "The login failed. The program that uses mcp-bridge says why.";
                (page(StatusCode::BAD_REQUEST, text), Some(Err(why)))
            }
        },
    }
}

/// Reads the query of a redirect.
pub fn judge(query: &str, expected: &Expected) -> Result<Answer, Rejected> {
    let mut found: [(&str, Option<String>); 4] = [("state", None), ("iss", None), ("error", None), ("code", None)];
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if let Some((_, slot)) = found.iter_mut().find(|(known, _)| *known == name)
            && slot.replace(value.into_owned()).is_some()
        {
            return Err(Rejected::Stray); // RFC 6749, 3.1: no parameter twice.
        }
    }
    let [(_, state), (_, issuer), (_, error), (_, code)] = found;
    let state = state.unwrap_or_default();
    let same = subtle::ConstantTimeEq::ct_eq(state.as_bytes(), expected.state.expose().as_bytes());
    if state.is_empty() || !bool::from(same) {
        return Err(Rejected::Stray);
    }
    // Nothing that came along counts before this: not even an error (2026-07-28, Authorization Response Validation).
    match (&issuer, &expected.issuer) {
        (Some(named), Some(known)) if named != known => {
            return Err(Rejected::Final("another authorization server answered than was asked; do not go on".into()));
        }
        (Some(_), None) => {
            return Err(Rejected::Final("an authorization server answered that was not asked; do not go on".into()));
        }
        (None, _) if expected.names_itself => {
            return Err(Rejected::Final("the authorization server did not say who it is (iss); do not go on".into()));
        }
        _ => {}
    }
    if let Some(error) = error {
        let error: String = error.chars().filter(|c| c.is_ascii_graphic()).take(60).collect();
        let next = if error == "access_denied" { "allow it, and try again" } else { "try again, or see its help" };
        return Err(Rejected::Final(format!("the authorization server said {error}; {next}")));
    }
    match code.filter(|code| !code.is_empty()) {
        Some(code) => Ok(Answer { code: Secret::new(code), issuer }),
        None => Err(Rejected::Stray),
    }
}

/// The same for a URL that the user pasted.
pub fn judge_pasted(text: &str, expected: &Expected) -> Result<Answer, Rejected> {
    let query = Url::parse(text.trim()).ok().and_then(|url| url.query().map(str::to_owned)).ok_or(Rejected::Stray)?;
    judge(&query, expected)
}

type Page = Response<Full<Bytes>>;

fn page(status: StatusCode, text: &'static str) -> Page {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>mcp-bridge</title><body><p>{text}</p></body></html>"
    );
    let mut page = Response::new(Full::from(html));
    *page.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        // The code is in the page's address.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        page.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(issuer: Option<&str>, names_itself: bool) -> Expected {
        Expected { state: Secret::new("st"), issuer: issuer.map(Into::into), names_itself }
    }

    #[test]
    fn only_the_answer_of_this_login_is_taken() {
        let known = expected(Some("https://as.example"), false);
        for query in ["", "code=c", "state=other&code=c", "state=st&state=st&code=c", "state=st", "state=&code=c"] {
            assert_eq!(judge(query, &known).unwrap_err(), Rejected::Stray, "{query}");
        }
        let answer = judge("state=st&code=c%20d&iss=https%3A%2F%2Fas.example", &known).unwrap();
        assert_eq!((answer.code.expose(), answer.issuer.as_deref()), ("c d", Some("https://as.example")));
        assert!(judge("state=st&code=c", &known).is_ok());
    }

    #[test]
    fn an_answer_of_another_issuer_ends_the_login_unread() {
        let words = |query: &str, expected: &Expected| match judge(query, expected).unwrap_err() {
            Rejected::Final(words) => words,
            Rejected::Stray => panic!("{query}"),
        };
        let known = expected(Some("https://as.example"), true);
        // Compared as they are (RFC 9207, 2.4): no normalisation of any kind.
        for iss in ["https://as.example/", "https://AS.example", "https://evil.example"] {
            let said = words(&format!("state=st&error=SHOWN&iss={iss}"), &known);
            assert!(said.contains("another") && !said.contains("SHOWN"), "{said}");
        }
        assert!(words("state=st&code=c", &known).contains("did not say who it is"));
        assert!(words("state=st&code=c&iss=https://as.example", &expected(None, false)).contains("not asked"));
        assert!(words("state=st&error=access_denied", &expected(None, false)).contains("said access_denied; allow"));
        assert!(words("state=st&error=a%0d%0ab%1b[31m", &expected(None, false)).contains("said ab[31m;"));
    }

    #[test]
    fn a_request_that_no_browser_of_this_login_sends_is_refused() {
        let request = |method: &str, uri: &str, headers: &[(&str, &str)]| {
            let mut builder = Request::builder().method(method).uri(uri);
            for (name, value) in headers {
                builder = builder.header(*name, *value);
            }
            let (page, outcome) = respond(&builder.body(()).unwrap(), 7, &expected(None, false));
            (page.status().as_u16(), outcome.is_some())
        };
        let host = ("host", "127.0.0.1:7");
        assert_eq!(request("GET", "/callback?state=st&code=c", &[host]), (200, true));
        assert_eq!(request("GET", "/callback?state=no&code=c", &[host]), (400, false));
        assert_eq!(request("GET", "/other?state=st&code=c", &[host]), (404, false));
        assert_eq!(request("POST", "/callback?state=st&code=c", &[host]), (405, false));
        assert_eq!(request("GET", "/callback?state=st&code=c", &[("host", "evil.example:7")]), (403, false));
        assert_eq!(request("GET", "/callback?state=st&code=c", &[]), (403, false));
        let cross = [host, ("origin", "https://evil.example")];
        assert_eq!(request("GET", "/callback?state=st&code=c", &cross), (403, false));
    }
}
