//! Who may call: the checked values of the flags about credentials.
//!
//! Owns their types. Talks to nobody. It never holds a token in the clear: those are the locks' own.

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use url::Url;

use super::{Secret, tools};
use crate::auth::resource;

/// Who may call the HTTP routes.
#[derive(Debug, Clone)]
pub enum Door {
    /// Anyone who can connect. On an address beyond loopback this takes `--allow-unauthenticated`.
    Open,
    /// Those who have a credential that one of these locks takes.
    Locked(Arc<resource::Gate>),
}

/// The locks of a door. Each opens it alone.
#[derive(Debug, Clone)]
pub struct DoorSpec {
    /// Tokens that were given out by hand. `--bearer-token-file`.
    pub tokens: Option<resource::TokenFile>,
    /// A header that takes a token, too, for clients that cannot send `Authorization`. `--api-key-header`.
    pub api_key: Option<HeaderName>,
    /// Tokens of an authorization server. `--oauth-issuer`, `--oauth-introspection-url`.
    pub oauth: Option<ResourceSpec>,
}

/// What the tokens of an authorization server have to be like.
#[derive(Debug, Clone)]
pub struct ResourceSpec {
    /// Who issues them; compared as text.
    pub issuer: Box<str>,
    /// Whom they have to be issued for; empty: the URL that was asked for, or the bridge's own (RFC 8707).
    pub audience: Vec<Box<str>>,
    /// Scopes that every call needs.
    pub scopes: Vec<Box<str>>,
    /// Scopes that calls of some tools need on top.
    pub tool_scopes: Vec<(tools::Glob, Box<str>)>,
    /// How far the clocks may be apart. Default 60 s.
    pub leeway: Duration,
    /// How they are checked.
    pub check: TokenCheck,
}

/// How a token is checked.
#[derive(Debug, Clone)]
pub enum TokenCheck {
    /// By its signature.
    Jwt {
        /// Which algorithms are believed; no symmetric ones.
        algorithms: Vec<JwtAlgorithm>,
        /// The issuer's keys; `None`: where its metadata says. `--oauth-jwks-url`.
        keys: Option<Url>,
    },
    /// By asking its issuer (RFC 7662).
    Introspection {
        /// `--oauth-introspection-url`.
        url: Url,
        /// As what the bridge asks.
        client_id: String,
        /// With what it proves that.
        secret: Secret,
        /// For how long an answer is believed. Default 10 s.
        cache: Duration,
    },
}

/// How a JWT may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum JwtAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl JwtAlgorithm {
    /// Every one that takes a key pair. With a shared key, whoever can check a token can make one.
    pub const ALL: [JwtAlgorithm; 9] = {
        use JwtAlgorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, EdDsa]
    };

    /// What stands in a token's `alg`.
    pub fn name(self) -> &'static str {
        match self {
            JwtAlgorithm::Rs256 => "RS256",
            JwtAlgorithm::Rs384 => "RS384",
            JwtAlgorithm::Rs512 => "RS512",
            JwtAlgorithm::Ps256 => "PS256",
            JwtAlgorithm::Ps384 => "PS384",
            JwtAlgorithm::Ps512 => "PS512",
            JwtAlgorithm::Es256 => "ES256",
            JwtAlgorithm::Es384 => "ES384",
            JwtAlgorithm::EdDsa => "EdDSA",
        }
    }
}
