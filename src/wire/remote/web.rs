//! HTTP towards one remote server.
//!
//! Owns the HTTP clients, built when first needed, the headers of `-H`, and the redirects: which are followed and what
//! they may carry. Talks to the network. It never reads a message, and never repeats a request that may have arrived.

use std::{
    convert::Infallible,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::{Frame as BodyFrame, SizeHint};
use reqwest::{Client, Response, redirect};
use tokio::sync::SetOnce;
use tracing::warn;
use url::{Host, Origin, Url};

use super::fault::{Fault, FaultKind, shown};
use crate::{
    auth::client::{Authorizer, Credential},
    config::RemoteSpec,
    tls,
};

/// Redirects followed for one request, as browsers and the official SDKs do.
const MAX_REDIRECTS: usize = 10;

/// An idle connection is not used again after this. Common servers close theirs after 5 s (Node, uvicorn); a request that
/// meets the close on its way would be of unknown fate.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// Pings on an HTTP/2 connection, so that a dead peer is noticed and a proxy keeps the connection.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// The session of Streamable HTTP; header names are compared without case.
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// One remote server, as HTTP sees it.
#[derive(Debug)]
pub(crate) struct Web {
    /// As configured.
    address: Url,
    /// The same for HTTP.
    url: Url,
    socket: Option<PathBuf>,
    headers: HeaderMap,
    connect_timeout: Duration,
    tls: tls::client::Client,
    authorizer: Option<Arc<Authorizer>>,
    /// Indexed by [`Web::client`].
    clients: [OnceLock<Client>; 16],
}

/// One request.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    /// Headers of the protocol. The session's id stays at the origin of `url`.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// Set as soon as the body is handed to a connection.
    pub(crate) started: Arc<SetOnce<()>>,
}

/// The head of a response, and where it came from after redirects.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) url: Url,
    pub(crate) response: Response,
}

impl Web {
    pub(crate) fn new(spec: &RemoteSpec) -> Web {
        Web {
            address: spec.url.clone(),
            url: http_form(&spec.url),
            socket: spec.socket.clone(),
            headers: spec.headers.clone(),
            connect_timeout: spec.retry.connect_timeout,
            tls: spec.tls.clone(),
            authorizer: spec.authorizer.clone(),
            clients: Default::default(),
        }
    }

    /// Where requests go.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The URL for messages, or the socket.
    pub(crate) fn shown(&self) -> String {
        match &self.socket {
            Some(socket) => format!("unix:{}:{}", socket.display(), self.url.path()),
            None => shown(&self.address),
        }
    }

    /// Who gets tokens for the server, if anybody does.
    pub(crate) fn authorizer(&self) -> Option<&Arc<Authorizer>> {
        self.authorizer.as_ref()
    }

    /// Sends one request and follows redirects, up to the head of the response. Waits for it as long as it takes. A refusal
    /// that a token may help against is a fault: the server did nothing.
    pub(crate) async fn send(&self, request: Outgoing<'_>) -> Result<Incoming, Fault> {
        let Outgoing { method, url: start, headers, body, started } = request;
        let mut url = start.clone();
        let credential = match &self.authorizer {
            Some(authorizer) => authorizer.credential().await,
            None => None,
        };
        for _ in 0..=MAX_REDIRECTS {
            let headers = self.headers_for(&url, &start.origin(), &headers, credential.as_ref());
            let upgrades = headers.contains_key(header::UPGRADE);
            let mut request = self.client(&url, upgrades)?.request(method.clone(), url.clone()).headers(headers);
            if let Some(data) = &body {
                request =
                    request.body(reqwest::Body::wrap(Noticed { data: Some(data.clone()), started: started.clone() }));
            }
            let seen = |error: &reqwest::Error| {
                let mut fault = Fault::read(error, body.is_none() || started.initialized());
                // In TLS 1.3 the server says so after the handshake, and its words may be lost with the connection.
                if url.scheme() == "https" && fault.kind == FaultKind::Broken && !self.tls.has_identity() {
                    fault.why.push_str("; if it wants a client certificate, give one with --client-cert FILE");
                }
                fault
            };
            let response = request.send().await.map_err(|error| seen(&error))?;
            if let Some(authorizer) = self.authorizer.as_ref().filter(|_| url.origin() == self.url.origin())
                && let Some(demand) = authorizer.demand(response.status(), response.headers(), credential.as_ref())
            {
                return Err(Fault::unauthorized(demand));
            }
            match self.next_hop(&method, &url, &response)? {
                Some(next) => url = next,
                None => return Ok(Incoming { url, response }),
            }
        }
        let why = format!("it redirected more than {MAX_REDIRECTS} times; check the URL");
        Err(Fault::new(FaultKind::Redirect, false, why))
    }

    /// The headers for one hop. Those of `-H`, and the token, go to the configured origin only, a session's id only to the
    /// origin that gave it: another origin is another party, whatever the server that redirects to it says.
    fn headers_for(
        &self,
        url: &Url,
        session_origin: &Origin,
        protocol: &HeaderMap,
        credential: Option<&Credential>,
    ) -> HeaderMap {
        let mut headers = protocol.clone();
        if url.origin() != *session_origin {
            headers.remove(SESSION_ID);
        }
        if url.origin() == self.url.origin() {
            if let Some(credential) = credential {
                headers.insert(header::AUTHORIZATION, credential.header().clone());
            }
            for (name, value) in &self.headers {
                // What the protocol itself says is not to be overridden: the server would misread the message.
                if !protocol.contains_key(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        headers
    }

    /// Where a redirect leads; `None` when the response is none.
    fn next_hop(&self, method: &Method, from: &Url, response: &Response) -> Result<Option<Url>, Fault> {
        let status = response.status();
        let follows = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(target) = response.headers().get(header::LOCATION).filter(|_| follows) else { return Ok(None) };
        let refuse = |why: String| Err(Fault::new(FaultKind::Redirect, false, why));
        let Some(mut next) = target.to_str().ok().and_then(|target| from.join(target).ok()) else {
            return refuse("it redirects to something that is no URL; check the URL".into());
        };
        next.set_fragment(None);
        if !matches!(next.scheme(), "http" | "https") || !next.username().is_empty() || next.password().is_some() {
            return refuse("it redirects to something that is no plain http or https URL; check the URL".into());
        }
        if next.origin() == from.origin() {
            return Ok(Some(next));
        }
        let to = shown(&next);
        if self.socket.is_some() {
            return refuse(format!("it redirects to {to}, which is not on its socket; if that is right, use that URL"));
        }
        let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if *method != Method::GET && !keeps_method {
            return refuse(format!("it redirects messages to another origin; if you trust it, use the URL {to}"));
        }
        if from.scheme() == "https" && next.scheme() == "http" {
            return refuse(format!("it redirects to {to}, which is not encrypted; if that is right, use that URL"));
        }
        if is_loopback(&next) && !is_loopback(from) {
            return refuse(format!("it redirects to {to} on this machine; if that is right, use that URL"));
        }
        if !self.headers.is_empty() && from.origin() == self.url.origin() {
            warn!(
                "{} redirects to {to}; headers of -H and --bearer are not sent there: use that URL to have them sent",
                shown(from)
            );
        }
        Ok(Some(next))
    }

    /// The client for a URL. Certificates are loaded only where TLS is in play, the bridge's own is shown only to the server
    /// that the user named, and no proxy stands between this machine and itself.
    fn client(&self, url: &Url, upgrades: bool) -> Result<&Client, Fault> {
        let (tls, local) = (url.scheme() == "https", is_loopback(url));
        let own = self.tls.has_identity() && url.origin() == self.url.origin();
        let kind = usize::from(tls) + 2 * usize::from(local) + 4 * usize::from(upgrades) + 8 * usize::from(own);
        let Some(slot) = self.clients.get(kind) else {
            return Err(Fault::new(FaultKind::Setup, false, "no HTTP client for it"));
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            .http2_keep_alive_interval(HTTP2_PING)
            .http2_keep_alive_while_idle(true)
            .http2_adaptive_window(true)
            .user_agent(concat!("mcp-bridge/", env!("CARGO_PKG_VERSION")));
        if upgrades {
            // HTTP/2 has no upgrade.
            builder = builder.http1_only();
        }
        if local {
            builder = builder.no_proxy();
        }
        // A proxy may be reached by TLS although the server is not.
        if tls || !local {
            let protocols: &[&[u8]] = if upgrades { &[b"http/1.1"] } else { &[b"h2", b"http/1.1"] };
            let config = self.tls.config(protocols, own);
            let failed =
                |error| Fault::new(FaultKind::Setup, false, format!("TLS cannot be set up: {error}; see --ca-file"));
            builder = builder.tls_backend_preconfigured(config.map_err(failed)?);
        } else {
            builder = builder.tls_certs_only([]);
        }
        #[cfg(unix)]
        if let Some(socket) = &self.socket {
            builder = builder.unix_socket(socket.as_path());
        }
        let client = builder.build().map_err(|error| Fault::read(&error, false))?;
        Ok(slot.get_or_init(|| client))
    }
}

/// A WebSocket URL as the one that its handshake is sent to (RFC 6455, 4.1).
pub(crate) fn http_form(url: &Url) -> Url {
    let text = url.as_str();
    let rest = text.strip_prefix("ws").filter(|_| matches!(url.scheme(), "ws" | "wss"));
    rest.and_then(|rest| format!("http{rest}").parse().ok()).unwrap_or_else(|| url.clone())
}

/// Whether a URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => {
            ip.is_loopback() || ip.is_unspecified() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

/// The media type of a response, in lower case, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The encoding of a body that is not sent as it is.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_ENCODING)?;
    let name = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
    (!matches!(name.as_str(), "" | "identity")).then_some(name)
}

/// The whole body, or `None` when it is larger than `limit` bytes.
pub(crate) async fn read_body(mut response: Response, limit: usize) -> Result<Option<Bytes>, Fault> {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Ok(None);
    }
    let broken = |error: reqwest::Error| Fault::read(&error, true);
    let Some(mut whole) = response.chunk().await.map_err(broken)? else { return Ok(Some(Bytes::new())) };
    let Some(next) = response.chunk().await.map_err(broken)? else {
        return Ok(Some(whole).filter(|whole| whole.len() <= limit));
    };
    let mut all = Vec::with_capacity(response.content_length().unwrap_or(0).min(limit as u64) as usize);
    all.extend_from_slice(&std::mem::take(&mut whole));
    let mut piece = Some(next);
    while let Some(data) = piece {
        if all.len() + data.len() > limit {
            return Ok(None);
        }
        all.extend_from_slice(&data);
        piece = response.chunk().await.map_err(broken)?;
    }
    Ok(Some(all.into()))
}

/// A body of known length that tells when it is taken.
struct Noticed {
    data: Option<Bytes>,
    started: Arc<SetOnce<()>>,
}

impl http_body::Body for Noticed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        let data = self.data.take();
        if data.is_some() {
            let _ = self.started.set(());
        }
        Poll::Ready(data.map(|data| Ok(BodyFrame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// `text/event-stream`, as a value of `Accept`.
pub(crate) const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
