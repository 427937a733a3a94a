//! Tokens that mean something to their issuer alone: it is asked (RFC 7662).
//!
//! Owns the question and what the answer has to say. Talks to the authorization server. It never asks more than
//! [`AT_ONCE`] questions at a time: callers with made-up tokens must not make the bridge a flood.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, time::timeout};
use tracing::warn;
use url::{Url, form_urlencoded};

use super::{Denied, FetchError, Grant, claims::Said, fetch::Fetcher, jwt::remaining};
use crate::config::{ResourceSpec, Secret, TokenCheck};

/// Questions at once.
const AT_ONCE: usize = 32;

/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Introspection {
    issuer: Box<str>,
    url: Url,
    client: (String, Secret),
    /// For how long an answer is believed.
    cache: Duration,
    leeway: Duration,
    fetcher: Fetcher,
    turns: Arc<Semaphore>,
}

impl Introspection {
    pub(super) fn new(spec: &ResourceSpec) -> Result<Introspection, FetchError> {
        let TokenCheck::Introspection { url, client_id, secret, cache } = &spec.check else {
            return Err(FetchError::new("no introspection endpoint is named; add --oauth-introspection-url"));
        };
        Ok(Introspection {
            issuer: spec.issuer.clone(),
            url: url.clone(),
            client: (client_id.clone(), secret.clone()),
            cache: *cache,
            leeway: spec.leeway,
            fetcher: Fetcher::new()?,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    pub(super) async fn ask(&self, token: &str) -> Result<Grant, Denied> {
        let away = || Denied::unavailable("the authorization server cannot be asked about the token now; try again");
        let _turn = timeout(TURN, self.turns.acquire()).await.map_err(|_| away())?.map_err(|_| away())?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let (user, password) = &self.client;
        let answer = self.fetcher.post(&self.url, form, user, password.expose()).await.map_err(|error| {
            warn!("cannot ask about a token: {error}; check --oauth-introspection-url and its client");
            away()
        })?;
        let said = serde_json::from_slice::<Said>(&answer).map_err(|error| {
            warn!("the answer about a token cannot be read: {error}");
            away()
        })?;
        self.grant(said)
    }

    fn grant(&self, said: Said) -> Result<Grant, Denied> {
        let claims = &said.claims;
        if claims.active != Some(true) {
            return Err(Denied::invalid("the token is not valid, or not any more"));
        }
        if claims.iss.as_deref().is_some_and(|issuer| *issuer != *self.issuer) {
            return Err(Denied::invalid("the token comes from another issuer"));
        }
        let left = match claims.exp {
            Some(_) => remaining(claims.exp, self.leeway),
            None => self.cache,
        };
        if left.is_zero() {
            return Err(Denied::invalid("the token has expired"));
        }
        if claims.nbf.is_some() && !remaining(claims.nbf, Duration::ZERO).saturating_sub(self.leeway).is_zero() {
            return Err(Denied::invalid("the token is not valid yet"));
        }
        Grant::of(said, &self.issuer, Instant::now() + left.min(self.cache))
    }
}
