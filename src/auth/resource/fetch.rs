//! Asking an authorization server over HTTP.
//!
//! Owns the client and its limits: https or loopback, no redirects, a time and a size. Talks to the authorization server
//! that the configuration names, and to no other host. It never logs what it sends.

use std::time::Duration;

use http::StatusCode;
use reqwest::{Client, RequestBuilder, redirect};
use url::{Host, Url, form_urlencoded::byte_serialize};

/// For one question and its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of one answer. Key sets and metadata have a few thousand.
const MAX_ANSWER: usize = 1024 * 1024;

/// Why there is no answer. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(String);

impl FetchError {
    pub(super) fn new(text: impl Into<String>) -> FetchError {
        FetchError(text.into())
    }
}

#[derive(Debug)]
pub(super) struct Fetcher(Client);

impl Fetcher {
    pub(super) fn new() -> Result<Fetcher, FetchError> {
        let client = Client::builder().redirect(redirect::Policy::none()).timeout(PATIENCE).build();
        client.map(Fetcher).map_err(|error| FetchError(format!("cannot set up TLS: {error}")))
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        self.send(url, self.0.get(url.clone())).await
    }

    /// A form, as OAuth endpoints take it, with the client's own credentials.
    pub(super) async fn post(
        &self,
        url: &Url,
        form: String,
        user: &str,
        password: &str,
    ) -> Result<Vec<u8>, FetchError> {
        // Each by itself in the form's encoding, before the two are joined (RFC 6749, 2.3.1): secrets may have a colon, a
        // plus or a percent sign.
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let request = self.0.post(url.clone()).basic_auth(encoded(user), Some(encoded(password))).body(form);
        let request = request.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(url, request).await
    }

    async fn send(&self, url: &Url, request: RequestBuilder) -> Result<Vec<u8>, FetchError> {
        let failed = |why: String| FetchError(format!("{} {why}", shown(url)));
        if !is_safe(url) {
            return Err(failed("is not https, and keys and tokens go over nothing else beyond this machine".into()));
        }
        let request = request.header(http::header::ACCEPT, "application/json");
        let mut response =
            request.send().await.map_err(|error| failed(format!("cannot be reached: {}", error.without_url())))?;
        if response.status() != StatusCode::OK {
            return Err(failed(format!("answers with HTTP {}", response.status().as_u16())));
        }
        let mut body = Vec::new();
        let broken = |error: reqwest::Error| failed(format!("stopped in its answer: {}", error.without_url()));
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(failed(format!("answers with more than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Whether what goes there cannot be read on the way.
pub fn is_safe(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// Without what may be secret in it.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
