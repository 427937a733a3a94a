//! The bridge as a protected resource: who may call (2025-11-25 and 2026-07-28, Authorization; RFC 6750; RFC 9728).
//!
//! Owns the checks of a caller's credentials, what is remembered of them and for how long, and what a refusal says. Talks
//! to the token file, and to the authorization server for its keys or its word on a token. It never passes a credential
//! on, to a server, a log or an error, and it never takes one from anywhere but a header.

use std::{sync::Arc, time::Instant};

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use self::{grants::Grants, introspection::Introspection, jwt::Jwt, tokens::Tokens};
use crate::{
    config::{DoorSpec, ResourceSpec, Secret, TokenCheck},
    peer::Principal,
};

mod denied;
mod fetch;
mod grants;
mod introspection;
mod jwt;
mod keys;
pub mod metadata;
mod token_claims;
mod tokens;

pub use denied::{Denied, Why};
pub use fetch::{FetchError, is_safe};
pub use token_claims::TokenClaims;
pub use tokens::{TokenFile, TokenFileError, read as read_tokens};

/// Most bytes of one credential. Tokens with many claims have a few thousand; hashing more is work for nothing.
const MAX_CREDENTIAL: usize = 16 * 1024;

/// Who a caller is, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Sessions, parked calls and pooled servers are bound to it.
    pub principal: Principal,
    /// What was granted.
    pub scopes: Scopes,
    /// What else the token says. A token that was given out by hand says nothing.
    pub claims: TokenClaims,
}

/// What a credential allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    /// Everything: a static token or a certificate has no scopes.
    All,
    /// These, separated by spaces.
    Granted(Arc<str>),
}

impl Scopes {
    /// Whether all of `wanted` are there.
    pub fn cover<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> bool {
        match self {
            Scopes::All => true,
            Scopes::Granted(granted) => wanted.into_iter().all(|scope| granted.split(' ').any(|one| one == scope)),
        }
    }
}

/// What is known at once about a request's credentials.
pub enum Checked {
    /// All there is to know.
    Now(Result<Access, Denied>),
    /// The authorization server has to be asked.
    Later(BoxFuture<'static, Result<Access, Denied>>),
}

/// The locks of a door.
#[derive(Debug)]
pub struct Gate {
    tokens: Option<Tokens>,
    api_key: Option<HeaderName>,
    oauth: Option<Arc<OAuth>>,
}

/// Tokens of an authorization server.
#[derive(Debug)]
struct OAuth {
    spec: ResourceSpec,
    check: Check,
    grants: Grants,
}

#[derive(Debug)]
enum Check {
    Jwt(Jwt),
    Introspection(Introspection),
}

impl Gate {
    /// The locks that a configuration asks for. Nobody is asked yet.
    pub fn new(spec: DoorSpec) -> Result<Gate, FetchError> {
        let oauth = spec.oauth.map(OAuth::new).transpose()?.map(Arc::new);
        Ok(Gate { tokens: spec.tokens.map(Tokens::new), api_key: spec.api_key, oauth })
    }

    /// A lock that takes these tokens.
    pub fn of_tokens(tokens: impl IntoIterator<Item = Secret>) -> Gate {
        Gate { tokens: Some(Tokens::new(TokenFile::of(tokens))), api_key: None, oauth: None }
    }

    /// The scopes that every call needs.
    pub fn scopes(&self) -> &[Box<str>] {
        self.oauth.as_ref().map_or(&[], |oauth| &oauth.spec.scopes)
    }

    /// Whether some tools take more.
    pub fn has_tool_scopes(&self) -> bool {
        self.oauth.as_ref().is_some_and(|oauth| !oauth.spec.tool_scopes.is_empty())
    }

    /// All scopes that a call of this tool needs.
    pub fn scopes_of_tool(&self, name: &str) -> Vec<&str> {
        let Some(oauth) = &self.oauth else { return Vec::new() };
        let own = oauth.spec.tool_scopes.iter().filter(|(glob, _)| glob.matches(name)).map(|(_, scope)| scope);
        deduplicated(oauth.spec.scopes.iter().chain(own))
    }

    /// All scopes that any call can need.
    pub fn all_scopes(&self) -> Vec<&str> {
        let Some(oauth) = &self.oauth else { return Vec::new() };
        deduplicated(oauth.spec.scopes.iter().chain(oauth.spec.tool_scopes.iter().map(|(_, scope)| scope)))
    }

    /// The authorization server, where there is one.
    pub fn issuer(&self) -> Option<&str> {
        self.oauth.as_ref().map(|oauth| &*oauth.spec.issuer)
    }

    /// Checks the credentials of one request. `audience` is what a token has to be issued for, unless the configuration
    /// says otherwise: the URI of the resource that is asked for, and the wider ones that stand for it.
    pub fn check(&self, headers: &HeaderMap<HeaderValue>, audience: &[&str]) -> Checked {
        let given = match self.credential(headers) {
            Ok(given) => given,
            Err(denied) => return Checked::Now(Err(denied)),
        };
        if let Some(access) = self.tokens.as_ref().and_then(|tokens| tokens.find(given.as_bytes())) {
            return Checked::Now(Ok(access));
        }
        match &self.oauth {
            Some(oauth) => oauth.check(given, audience),
            None => Checked::Now(Err(Denied::invalid("the token is not one that this bridge was given"))),
        }
    }

    /// The one credential of a request. More than one is none: two readers could take different ones.
    fn credential<'a>(&self, headers: &'a HeaderMap<HeaderValue>) -> Result<&'a str, Denied> {
        let bearer = one(headers, &header::AUTHORIZATION)?;
        let key = self.api_key.as_ref().map(|name| one(headers, name)).transpose()?.flatten();
        let given = match (bearer, key) {
            (Some(bearer), None) => bearer_token(bearer).ok_or(Denied::missing())?,
            (None, Some(key)) => key.trim(),
            (None, None) => return Err(Denied::missing()),
            (Some(_), Some(_)) => return Err(Denied::invalid("there are two credentials; send one")),
        };
        match given.len() {
            0 => Err(Denied::missing()),
            1..=MAX_CREDENTIAL => Ok(given),
            _ => Err(Denied::invalid("the token is longer than any that is issued")),
        }
    }
}

fn deduplicated<'a>(scopes: impl Iterator<Item = &'a Box<str>>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for scope in scopes {
        if !all.contains(&&**scope) {
            all.push(scope);
        }
    }
    all
}

fn one<'a>(headers: &'a HeaderMap<HeaderValue>, name: &HeaderName) -> Result<Option<&'a str>, Denied> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| Denied::invalid("the credential holds bytes that none has"))
        }
        (Some(_), Some(_)) => Err(Denied::invalid("there are two credentials; send one")),
    }
}

/// The token of `Bearer`, whose name has no case (RFC 9110, Authentication Scheme).
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

impl OAuth {
    fn new(spec: ResourceSpec) -> Result<OAuth, FetchError> {
        let check = match &spec.check {
            TokenCheck::Jwt { .. } => Check::Jwt(Jwt::new(&spec)?),
            TokenCheck::Introspection { .. } => Check::Introspection(Introspection::new(&spec)?),
        };
        Ok(OAuth { spec, check, grants: Grants::default() })
    }

    fn check(self: &Arc<Self>, token: &str, audience: &[&str]) -> Checked {
        let digest = grants::digest(token);
        if let Some(known) = self.grants.find(&digest, Instant::now()) {
            return Checked::Now(known.and_then(|grant| self.admit(&grant, audience)));
        }
        if let Check::Jwt(jwt) = &self.check
            && let Some(checked) = jwt.verify(token)
        {
            return Checked::Now(self.keep(digest, checked).and_then(|grant| self.admit(&grant, audience)));
        }
        let (this, token) = (self.clone(), token.to_owned());
        let audience: Vec<String> = audience.iter().map(|&one| one.to_owned()).collect();
        Checked::Later(Box::pin(async move {
            let checked = match &this.check {
                Check::Jwt(jwt) => jwt.verify_with_new_keys(&token).await,
                Check::Introspection(server) => server.ask(&token).await,
            };
            let audience: Vec<&str> = audience.iter().map(String::as_str).collect();
            this.keep(digest, checked).and_then(|grant| this.admit(&grant, &audience))
        }))
    }

    fn keep(&self, digest: grants::Digest, checked: Result<Grant, Denied>) -> Result<Grant, Denied> {
        // What a signature says costs nothing but time to find out again; a question to another machine does.
        if checked.is_ok() || matches!(self.check, Check::Introspection(_)) {
            self.grants.keep(digest, &checked, Instant::now());
        }
        checked
    }

    /// A good token, issued for whom, and with which scopes? (RFC 8707; 2025-11-25, Authorization, Token Handling)
    fn admit(&self, grant: &Grant, audience: &[&str]) -> Result<Access, Denied> {
        let meant = |one: &str| match self.spec.audience.is_empty() {
            true => audience.contains(&one.trim_end_matches('/')),
            false => self.spec.audience.iter().any(|wanted| **wanted == *one),
        };
        if !grant.audience.iter().any(|one| meant(one)) {
            return Err(Denied::invalid("the token was issued for another resource"));
        }
        let access = Access {
            principal: grant.principal.clone(),
            scopes: Scopes::Granted(grant.scopes.clone()),
            claims: grant.claims.clone(),
        };
        match access.scopes.cover(self.spec.scopes.iter().map(|scope| &**scope)) {
            true => Ok(access),
            false => Err(Denied::scope(self.spec.scopes.iter().map(|scope| &**scope))),
        }
    }
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    principal: Principal,
    /// Separated by spaces.
    scopes: Arc<str>,
    audience: Arc<[Box<str>]>,
    claims: TokenClaims,
    /// Until when it may be believed without looking again.
    until: Instant,
}

impl Grant {
    /// What is the same for a JWT and the answer of an introspection: `sub`, else the client, is who calls.
    fn of(said: claims::Said, issuer: &str, until: Instant) -> Result<Grant, Denied> {
        let claims = said.claims;
        let who = claims.sub.or(claims.client_id).or(claims.azp).filter(|who| !who.is_empty());
        let who = who.ok_or_else(|| Denied::invalid("the token says neither whose it is nor which client's"))?;
        Ok(Grant {
            principal: Principal(format!("{issuer}#{who}").into()),
            scopes: claims.scope.or(claims.scp).map(|scopes| scopes.0).unwrap_or_default().into(),
            audience: claims.aud.map(|aud| aud.0).unwrap_or_default().into(),
            claims: said.all,
            until,
        })
    }
}

mod claims;
#[cfg(test)]
mod tests;
