//! How the bridge logs in to a server that asks for it.
//!
//! Owns the checked values of the login flags. Talks to nobody. It never holds a token: those are in the store.

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use url::Url;

use super::Secret;
use crate::{seal::Sealer, tls};

/// How the bridge gets a token, and where it keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct OauthSpec {
    /// Where tokens and registrations are kept. `None`: nowhere that this machine names, so a login is refused.
    pub dir: Option<TokenDir>,
    /// A client that the authorization server knows already.
    pub client: Option<KnownClient>,
    /// Where a document about this client is published, for servers that take its URL for a client id.
    pub metadata_url: Option<Url>,
    /// What is asked for in place of what the server names. Empty: what the server names.
    pub scopes: Vec<String>,
    /// How a token is asked for.
    pub grant: Grant,
    /// Whether the answer may come from stdin, too: where a user types commands.
    pub takes_paste: bool,
    /// The program that opens a page in place of the system's own: the variable `BROWSER`. It gets the URL as its one argument.
    pub browser: Option<OsString>,
    /// Where the browser comes back to on 127.0.0.1; 0 lets the system pick. `--callback-port`.
    pub callback_port: u16,
    /// Whom to trust and who to be, as towards the server itself. `--ca-file`, `--client-cert`.
    pub tls: tls::client::Client,
    /// Longest wait for the user, and for another process that is at the login. `--auth-timeout`, 5 min.
    pub patience: Duration,
}

/// Where tokens and registrations are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenDir {
    /// The directory. `--auth-dir`.
    pub path: PathBuf,
    /// What is kept is sealed under this key, which the system's keyring holds. `--auth-keyring`; `None`: it is not sealed.
    pub key: Option<TokenKey>,
}

/// The key that tokens are sealed under. It is the same when it is the same key in memory.
#[derive(Debug, Clone)]
pub struct TokenKey(pub Arc<Sealer>);

impl PartialEq for TokenKey {
    fn eq(&self, other: &TokenKey) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How a login is forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct LogoutSpec {
    /// Where it is kept.
    pub dir: TokenDir,
    /// The secret of a client that was registered by hand, for whom else tokens are not revoked. `--client-secret-file`.
    pub secret: Option<Secret>,
    /// Whom to trust and who to be. `--ca-file`, `--client-cert`.
    pub tls: tls::client::Client,
}

/// A client that was registered by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownClient {
    /// `--client-id`.
    pub id: String,
    /// How it proves that it is this client.
    pub proof: Proof,
}

/// How a client proves who it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Proof {
    /// Not at all: a public client.
    None,
    /// `--client-secret-file`.
    Secret(Secret),
    /// `--client-key-file`: a private key in PEM, and the algorithm that it signs with.
    Key(Secret, KeyKind),
}

/// What a private key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RS256.
    Rsa,
    /// ES256.
    P256,
}

/// How a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// By a user in a browser that the bridge opens.
    Browser,
    /// By a user who is shown the URL.
    Url,
    /// By a user on another device (RFC 8628). `--device`.
    Device,
    /// By nobody: the client itself is who calls. `--client-credentials`.
    Machine,
}

impl Default for OauthSpec {
    fn default() -> Self {
        OauthSpec {
            dir: None,
            client: None,
            metadata_url: None,
            scopes: Vec::new(),
            grant: Grant::Browser,
            takes_paste: false,
            browser: None,
            callback_port: 0,
            tls: tls::client::Client::default(),
            patience: Duration::from_secs(5 * 60),
        }
    }
}
