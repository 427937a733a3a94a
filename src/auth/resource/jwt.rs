//! Tokens that carry their own proof (RFC 7519, RFC 9068).
//!
//! Owns which tokens are believed: signature, algorithm, issuer and times. Talks to the keys. Whom a token was issued for
//! is checked by the caller of this module, once for each resource. It never believes an algorithm because a token names
//! it.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind};

use super::{
    Denied, FetchError, Grant,
    claims::Said,
    keys::{Keys, Set},
};
use crate::config::{JwtAlgorithm, ResourceSpec, TokenCheck};

/// For how long a token is believed without checking it again. Bounds how long a withdrawn key is believed, too.
const BELIEVED: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Jwt {
    issuer: Box<str>,
    algorithms: Box<[Algorithm]>,
    leeway: Duration,
    keys: Keys,
}

impl Jwt {
    pub(super) fn new(spec: &ResourceSpec) -> Result<Jwt, FetchError> {
        let (algorithms, url) = match &spec.check {
            TokenCheck::Jwt { algorithms, keys } => (algorithms.iter().copied().map(named).collect(), keys.clone()),
            TokenCheck::Introspection { .. } => (Box::default(), None),
        };
        let keys = Keys::new(&spec.issuer, url)?;
        Ok(Jwt { issuer: spec.issuer.clone(), algorithms, leeway: spec.leeway, keys })
    }

    /// Takes keys as if they had just been fetched.
    #[cfg(test)]
    pub(super) fn preset(&self, set: &[u8]) {
        self.keys.preset(set);
    }

    /// Checks a token with the keys at hand; `None` when they have to be fetched first.
    pub(super) fn verify(&self, token: &str) -> Option<Result<Grant, Denied>> {
        let head = match self.head(token) {
            Ok(head) => head,
            Err(denied) => return Some(Err(denied)),
        };
        let keys = self.keys.at_hand()?;
        self.with(&keys, token, &head)
    }

    /// The same after fetching the keys. A key that is not there even then is none.
    pub(super) async fn verify_with_new_keys(&self, token: &str) -> Result<Grant, Denied> {
        let head = self.head(token)?;
        let keys: Arc<Set> = self.keys.renew().await?;
        let unknown = || Err(Denied::invalid("the token is signed with a key that its issuer does not have"));
        self.with(&keys, token, &head).unwrap_or_else(unknown)
    }

    fn head(&self, token: &str) -> Result<jsonwebtoken::Header, Denied> {
        let head = decode_header(token).map_err(|_| Denied::invalid("the token is no JWT that can be read"))?;
        match self.algorithms.contains(&head.alg) {
            true => Ok(head),
            false => Err(Denied::invalid("the token is signed with an algorithm that is not allowed here")),
        }
    }

    /// `None`: the key is not among these.
    fn with(&self, keys: &Set, token: &str, head: &jsonwebtoken::Header) -> Option<Result<Grant, Denied>> {
        let mut validation = Validation::new(head.alg);
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let found = keys.find(head.kid.as_deref(), head.alg);
        let mut last = None;
        for key in found {
            match decode::<Said>(token, &key.decoding, &validation) {
                Ok(read) => return Some(self.grant(read.claims)),
                Err(error) => last = Some(Err(Denied::invalid(words(error.kind())))),
            }
        }
        last
    }

    fn grant(&self, said: Said) -> Result<Grant, Denied> {
        let left = remaining(said.claims.exp, self.leeway);
        Grant::of(said, &self.issuer, Instant::now() + left.min(BELIEVED))
    }
}

fn named(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Rs384 => Algorithm::RS384,
        JwtAlgorithm::Rs512 => Algorithm::RS512,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Ps384 => Algorithm::PS384,
        JwtAlgorithm::Ps512 => Algorithm::PS512,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::Es384 => Algorithm::ES384,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// How long something that ends at `exp`, in seconds since 1970, still holds.
pub(super) fn remaining(exp: Option<f64>, leeway: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = exp.and_then(|exp| Duration::try_from_secs_f64(exp).ok()).unwrap_or_default();
    end.saturating_add(leeway).saturating_sub(now)
}

/// In words for the caller, who may have sent anything: none of it is repeated.
fn words(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token comes from another issuer",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks one of exp, iss and aud",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        _ => "the token cannot be checked",
    }
}
