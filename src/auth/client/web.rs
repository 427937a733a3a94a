//! HTTP towards authorization servers, and towards the documents that a server publishes about its login.
//!
//! Owns the clients that every request of a login goes through. Talks to the network. It calls nothing beyond [`Reach`],
//! not by name, by literal, nor by redirect; it follows no redirect at all (the library follows those of documents, one by
//! one, within an origin); it reads a bounded body within a bounded time. Whom it trusts is the same as for the server
//! itself; the bridge's own certificate it shows to that server alone, not to who the server names.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use rmcp::transport::auth::{OAuthHttpClient, OAuthHttpClientFuture, OAuthHttpRequest};
use tracing::debug;
use url::{Host, Url};

use super::{challenge::Challenge, reach::Reach};
use crate::{
    tls,
    wire::remote::{
        fault::{Fault, FaultKind, shown},
        web::is_loopback,
    },
};

/// For one request, from the first byte to the last.
const TIMEOUT: Duration = Duration::from_secs(30);

/// For the name of the server itself.
const LOOKUP: Duration = Duration::from_secs(5);

/// The largest document or answer.
const MAX_BODY: usize = 1024 * 1024;

/// What can go wrong. No URL's query and no body is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WebError(pub String);

/// The way to whatever takes part in a login to one server.
#[derive(Debug)]
pub struct LoginWeb {
    server: Url,
    reach: Reach,
    tls: tls::client::Client,
    /// Indexed by [`LoginWeb::client`].
    clients: [OnceLock<Client>; 8],
    /// What the server said, for the library, which would ask it once more.
    said: Mutex<Option<Challenge>>,
}

impl LoginWeb {
    /// The way for a login to the server at this URL, which is itself reached with `tls`.
    pub async fn new(server: &Url, tls: &tls::client::Client) -> Arc<LoginWeb> {
        let reach = Reach::of(server, &addresses(server).await);
        let (server, tls) = (server.clone(), tls.clone());
        Arc::new(LoginWeb { server, reach, tls, clients: Default::default(), said: Mutex::default() })
    }

    /// What may be called.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Keeps the server's own words: whoever asks the server for its challenge gets this one.
    pub fn remember(&self, challenge: Challenge) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(challenge);
    }

    /// Sends one request.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, WebError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| WebError("it names no URL".into()))?;
        if request.method() == Method::GET && url == self.server {
            return Ok(self.challenge());
        }
        let at = shown(&url);
        if let Some(why) = self.reach.fault_of(&url) {
            return Err(WebError(format!("it names {at}, {why}; nothing was sent there")));
        }
        debug!("{} {at}", request.method());
        let client = self.client(&url)?;
        let request = request.try_into().map_err(|_| WebError(format!("{at} cannot be asked")))?;
        let failed = |error: reqwest::Error| WebError(format!("{at}: {}", in_words(&error)));
        let mut response = client.execute(request).await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > MAX_BODY {
                return Err(WebError(format!("{at} sent more than {MAX_BODY} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        debug!("{at} answered HTTP {}", response.status().as_u16());
        let mut answer = Response::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }

    /// The client for a URL, built when it is first needed.
    fn client(&self, url: &Url) -> Result<&Client, WebError> {
        let own = self.tls.has_identity() && url.origin() == self.server.origin();
        let kind = usize::from(url.scheme() == "https") + 2 * usize::from(is_loopback(url)) + 4 * usize::from(own);
        let Some(slot) = self.clients.get(kind) else { return Err(WebError("there is no HTTP client for it".into())) };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let builder = builder(&self.tls, url, own)?.dns_resolver(Arc::new(Within(self.reach.clone())));
        let client = builder.timeout(TIMEOUT).build().map_err(|_| WebError(NO_CLIENT.into()))?;
        Ok(slot.get_or_init(|| client))
    }

    /// The server's own 401 once more, as far as it has a meaning.
    fn challenge(&self) -> Response<Vec<u8>> {
        let mut answer = Response::new(Vec::new());
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        if let Ok(value) = HeaderValue::from_str(&as_header(&said)) {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        answer
    }
}

impl OAuthHttpClient for LoginWeb {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move { self.send(request.request).await.map_err(Into::into) })
    }
}

const NO_CLIENT: &str = "the HTTP client cannot be set up";

/// A client for a URL that follows no redirect. `own`: it is the server's, so it may ask for the bridge's certificate.
pub(super) fn builder(tls: &tls::client::Client, url: &Url, own: bool) -> Result<ClientBuilder, WebError> {
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("mcp-bridge/", env!("CARGO_PKG_VERSION")));
    let local = is_loopback(url);
    if local {
        builder = builder.no_proxy();
    }
    // A proxy may be reached by TLS although the server is not. Else no authority is read in vain.
    if local && url.scheme() != "https" {
        return Ok(builder.tls_certs_only([]));
    }
    let config = tls.config(&[b"h2", b"http/1.1"], own);
    let failed = |error| WebError(format!("TLS cannot be set up: {error}; see --ca-file"));
    Ok(builder.tls_backend_preconfigured(config.map_err(failed)?))
}

/// A challenge as one clean header: the library reads the parameters wherever they stand, in another scheme's, too.
pub fn as_header(challenge: &Challenge) -> String {
    let quoted = |name: &str, value: &Option<String>| {
        let value = value.as_ref()?;
        Some(format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
    };
    let params = [quoted("resource_metadata", &challenge.resource_metadata), quoted("scope", &challenge.scope)];
    format!("Bearer {}", params.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Names what is wrong without the URL, which the outer errors show with its query.
fn in_words(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let fault = Fault::read(error, false);
    match () {
        () if error.is_timeout() => "it did not answer in time".into(),
        () if cause.is::<OutOfReach>() => format!("{cause}; nothing was sent there"),
        () if fault.kind == FaultKind::Tls => fault.why,
        () => format!("it cannot be reached ({})", crate::wire::remote::fault::one_line(&cause.to_string())),
    }
}

/// Where the server's own name leads.
async fn addresses(server: &Url) -> Vec<IpAddr> {
    let (Some(Host::Domain(name)), Some(port)) = (server.host(), server.port_or_known_default()) else {
        return Vec::new();
    };
    match tokio::time::timeout(LOOKUP, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        _ => Vec::new(),
    }
}

/// Resolves names to what is within reach only, so that a name which leads inside is as little use as an address.
#[derive(Debug)]
struct Within(Reach);

#[derive(Debug, thiserror::Error)]
#[error("{0} leads to an address that no server may send the bridge to")]
struct OutOfReach(String);

impl Resolve for Within {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let proxy = is_proxy(&name);
            let within: Vec<_> = found.iter().copied().filter(|at| proxy || reach.takes(&name, at.ip())).collect();
            if within.is_empty() && !found.is_empty() {
                return Err(OutOfReach(name).into());
            }
            Ok(Box::new(within.into_iter()) as Addrs)
        })
    }
}

/// Whether a name is that of the user's own proxy, which may be anywhere. The HTTP client takes it from the same variables.
fn is_proxy(name: &str) -> bool {
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].iter().any(|variable| {
        let value = std::env::var(variable).unwrap_or_default();
        let url = Url::parse(&value).ok().filter(Url::has_host).or_else(|| Url::parse(&format!("http://{value}")).ok());
        url.is_some_and(|url| url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_one_clean_header() {
        let challenge = Challenge {
            resource_metadata: Some("https://h/\"x".into()),
            scope: Some("a b".into()),
            error: Some("e".into()),
        };
        assert_eq!(as_header(&challenge), r#"Bearer resource_metadata="https://h/\"x", scope="a b""#);
        assert_eq!(as_header(&Challenge::default()), "Bearer ");
    }
}
