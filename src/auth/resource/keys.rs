//! The keys that an authorization server signs with: its JSON Web Key Set (RFC 7517).
//!
//! Owns the keys and when they are fetched: with the first token, when they have become old, and when a token names one
//! that is not there, but never twice within [`FLOOR`]. Talks to the authorization server. It never takes a symmetric key:
//! a public one used as such would let anyone sign.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::warn;
use url::Url;

use super::{
    Denied,
    fetch::{FetchError, Fetcher},
    metadata,
};

/// Between two fetches, whatever tokens say. Stops a storm of made-up key names from becoming one at the server.
const FLOOR: Duration = Duration::from_secs(30);

/// After this, keys are fetched anew: one that was withdrawn has to go.
const OLD: Duration = Duration::from_secs(10 * 60);

/// Keys of one set. Servers have a handful.
const MAX_KEYS: usize = 100;

#[derive(Debug)]
pub(super) struct Keys {
    issuer: Box<str>,
    /// Where the keys are; `None`: the issuer's metadata says it.
    url: Option<Url>,
    fetcher: Fetcher,
    state: Mutex<State>,
    /// Held while they are fetched: whoever comes second waits for the same answer.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    set: Option<Arc<Set>>,
    fetched: Option<Instant>,
    /// The last try, good or not.
    tried: Option<Instant>,
}

/// The keys of one moment.
#[derive(Debug, Default)]
pub(super) struct Set {
    named: HashMap<Box<str>, Key>,
    /// Keys without a name, for tokens that name none.
    nameless: Vec<Key>,
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) decoding: DecodingKey,
    /// What it is for, where it says so.
    algorithm: Option<Algorithm>,
    family: AlgorithmFamily,
}

impl Key {
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.family == algorithm.family() && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

impl Set {
    /// Keys that one does not know are left out: a server may have more kinds than this bridge.
    fn parse(text: &[u8]) -> Result<Set, String> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        let raw: Raw<'_> = serde_json::from_slice(text).map_err(|error| format!("is no key set: {error}"))?;
        let mut set = Set::default();
        for jwk in raw.keys.iter().take(MAX_KEYS).filter_map(|key| serde_json::from_str::<Jwk>(key.get()).ok()) {
            let Some(key) = key(&jwk) else { continue };
            match jwk.common.key_id {
                Some(name) => drop(set.named.insert(name.into(), key)),
                None => set.nameless.push(key),
            }
        }
        match set.named.is_empty() && set.nameless.is_empty() {
            true => Err("holds no key that signatures can be checked with".into()),
            false => Ok(set),
        }
    }

    /// The key that a token names; for one that names none, all of that kind.
    pub(super) fn find(&self, name: Option<&str>, algorithm: Algorithm) -> Vec<&Key> {
        let fits = |key: &&Key| key.is_for(algorithm);
        match name {
            Some(name) => self.named.get(name).filter(fits).into_iter().collect(),
            None => self.nameless.iter().chain(self.named.values()).filter(fits).take(MAX_KEYS).collect(),
        }
    }
}

fn key(jwk: &Jwk) -> Option<Key> {
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    let family = decoding.family();
    let algorithm = jwk.common.key_algorithm.map(|name| name.to_string().parse());
    match algorithm {
        _ if family == AlgorithmFamily::Hmac => None,
        None => Some(Key { decoding, algorithm: None, family }),
        Some(Ok(algorithm)) => Some(Key { decoding, algorithm: Some(algorithm), family }),
        Some(Err(_)) => None,
    }
}

impl Keys {
    pub(super) fn new(issuer: &str, url: Option<Url>) -> Result<Keys, FetchError> {
        Ok(Keys {
            issuer: issuer.into(),
            url,
            fetcher: Fetcher::new()?,
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn preset(&self, set: &[u8]) {
        let now = Some(Instant::now());
        let set = Set::parse(set).map(Arc::new).ok();
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State { set, fetched: now, tried: now };
    }

    /// The keys at hand; `None` when there are none, or they are old and may be fetched anew.
    pub(super) fn at_hand(&self) -> Option<Arc<Set>> {
        let now = Instant::now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let old = state.fetched.is_none_or(|fetched| now.duration_since(fetched) > OLD);
        if old && may_try(&state, now) { None } else { state.set.clone() }
    }

    /// Fetches the keys, unless someone just did. Old keys stay when that fails: a server that is away for a while does not
    /// close the door.
    pub(super) async fn renew(&self) -> Result<Arc<Set>, Denied> {
        let _fetching = self.fetching.lock().await;
        let away = || Denied::unavailable("the keys of the authorization server cannot be had now; try again");
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !may_try(&state, Instant::now()) {
                return state.set.clone().ok_or_else(away);
            }
            state.tried = Some(Instant::now());
        }
        let fetched = self.fetch().await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match fetched {
            Ok(set) => {
                let set = Arc::new(set);
                (state.set, state.fetched) = (Some(set.clone()), Some(Instant::now()));
                Ok(set)
            }
            Err(error) => {
                warn!(
                    "cannot fetch the authorization server's keys: {error}; check --oauth-issuer and --oauth-jwks-url"
                );
                state.set.clone().ok_or_else(away)
            }
        }
    }

    async fn fetch(&self) -> Result<Set, FetchError> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let text = self.fetcher.get(&url).await?;
        Set::parse(&text)
            .map_err(|why| FetchError::new(format!("{}{} {why}", url.origin().ascii_serialization(), url.path())))
    }

    /// Asks the issuer's metadata (RFC 8414, section 3; OpenID Connect Discovery), which has to name the same issuer.
    async fn discover(&self) -> Result<Url, FetchError> {
        let mut last = None;
        for url in metadata::well_known(&self.issuer) {
            let read = match self.fetcher.get(&url).await {
                Ok(text) => {
                    metadata::keys_url(&text, &self.issuer).map_err(|why| FetchError::new(format!("{url} {why}")))
                }
                Err(error) => Err(error),
            };
            match read {
                Ok(keys) => return Ok(keys),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| FetchError::new(format!("the issuer {:?} is no URL", self.issuer))))
    }
}

fn may_try(state: &State, now: Instant) -> bool {
    state.tried.is_none_or(|tried| now.duration_since(tried) >= FLOOR)
}
