//! What is kept of one server: the client that the bridge is to its authorization server, and the token.
//!
//! Owns the form of the file, and what of it may be shown. Talks to nobody. Everything in it belongs to one authorization
//! server: of another it is never used (2026-07-28, Client Registration, Authorization Server Binding).

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rmcp::transport::auth::AuthorizationMetadata;
use serde::{Deserialize, Serialize};
use url::Url;

use super::challenge::split_scopes;
use crate::{config::Secret, wire::remote::web::http_form};

/// A token with less time left than this is renewed before it is used; with a life shorter than twice this, at half of it.
const EARLY: Duration = Duration::from_secs(30);

/// One file.
#[derive(Clone, Serialize, Deserialize)]
pub struct Record {
    /// The URL that the user named, without its query.
    pub server: String,
    /// What tokens are asked for (RFC 8707).
    pub resource: String,
    /// Whose tokens these are. `None`: of a server that publishes nothing about itself.
    pub issuer: Option<String>,
    /// Who the bridge is there.
    pub client: Client,
    /// What the authorization server says of itself; enough to renew a token without asking again.
    pub metadata: AuthorizationMetadata,
    /// Every scope that was ever asked for.
    pub requested: Vec<String>,
    /// The token, once there is one.
    pub token: Option<Token>,
}

/// A client, as its authorization server knows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// How it became one.
    pub kind: ClientKind,
    /// Its name there.
    pub id: String,
    /// Its password there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Where the browser was to come back to; a server may insist on the very same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// What it was registered for, where it registered by itself: a server may let it ask for nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// How a client became one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    /// By hand: `--client-id`.
    Registered,
    /// By a document at its id: `--client-metadata-url`.
    Document,
    /// By itself (RFC 7591).
    Dynamic,
}

/// A token, and what renews it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What is shown to the server.
    pub access: String,
    /// What gets the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// When it came, in seconds since 1970.
    pub since: u64,
    /// How long it lasts from then on, in seconds, where the server said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<u64>,
    /// What it allows, as far as the server said.
    pub scopes: Vec<String>,
}

/// What a token endpoint answers (RFC 6749, 5.1).
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    refresh_token: Option<String>,
    expires_in: Option<serde_json::Value>,
    scope: Option<String>,
}

impl Token {
    /// Reads what a token endpoint answered. `asked`: the scopes that were asked for, which are granted where it names none.
    pub fn read(answer: serde_json::Value, asked: &[String]) -> Result<Token, &'static str> {
        let answer: Answer = serde_json::from_value(answer).map_err(|_| "it sent no token")?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err("it sent a token of another type than Bearer");
        }
        if answer.access_token.is_empty() || !answer.access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it sent a token that no header can hold");
        }
        // Some servers write the number as text.
        let lasts = answer.expires_in.and_then(|value| match value {
            serde_json::Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        });
        Ok(Token {
            access: answer.access_token,
            refresh: answer.refresh_token.filter(|token| !token.is_empty()),
            since: now(),
            lasts,
            scopes: answer.scope.map_or_else(|| asked.to_vec(), |scope| split_scopes(&scope)),
        })
    }

    /// Whether it is time to renew it.
    pub fn is_stale(&self, now: u64) -> bool {
        let Some(lasts) = self.lasts else { return false };
        let early = EARLY.as_secs().min(lasts / 2);
        self.left(now).is_some_and(|left| left <= early)
    }

    /// Seconds until it ends.
    pub fn left(&self, now: u64) -> Option<u64> {
        Some(self.since.saturating_add(self.lasts?).saturating_sub(now))
    }
}

/// The URL that a server is known by, here and to its authorization server.
pub fn address(url: &Url) -> Url {
    let mut server = http_form(url);
    server.set_fragment(None);
    server
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Client {
    /// One that has no more than a name.
    pub fn named(kind: ClientKind, id: &str) -> Client {
        Client { kind, id: id.to_owned(), secret: None, redirect_uri: None, scopes: Vec::new() }
    }

    /// Whether it may ask for these.
    pub fn is_for(&self, scopes: &[String]) -> bool {
        self.scopes.is_empty() || scopes.iter().all(|scope| self.scopes.contains(scope))
    }

    /// The password, as something that is never shown.
    pub fn secret(&self) -> Option<Secret> {
        self.secret.as_deref().map(Secret::new)
    }
}

impl Record {
    /// A status in words, for people. No secret is in it.
    pub fn status(&self, now: u64) -> Vec<(&'static str, String)> {
        let client = match self.client.kind {
            ClientKind::Registered => "registered by hand (--client-id)",
            ClientKind::Document => "known by its document (--client-metadata-url)",
            ClientKind::Dynamic => "registered by itself",
        };
        let (token, scopes) = match &self.token {
            None => ("none".into(), &self.requested),
            Some(token) => (token.status(now), &token.scopes),
        };
        let scopes = if scopes.is_empty() { "none named".into() } else { scopes.join(" ") };
        vec![
            ("server", self.server.clone()),
            ("issuer", self.issuer.clone().unwrap_or_else(|| "the server itself".into())),
            ("client", client.into()),
            ("scopes", scopes),
            ("token", token),
        ]
    }
}

impl Token {
    fn status(&self, now: u64) -> String {
        let renewed = if self.refresh.is_some() { "is renewed by itself" } else { "cannot be renewed without a login" };
        match self.left(now) {
            None => format!("without an end that was named; {renewed}"),
            Some(0) => format!("over; {renewed}"),
            Some(left) if left < 120 => format!("for {left} s; {renewed}"),
            Some(left) if left < 7_200 => format!("for {} min; {renewed}", left / 60),
            Some(left) => format!("for {} h; {renewed}", left / 3_600),
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("server", &self.server).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("lasts", &self.lasts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_read_as_servers_write_it() {
        let asked = ["a".to_owned()];
        let token =
            Token::read(json!({"access_token": "t", "token_type": "bearer", "expires_in": "60"}), &asked).unwrap();
        assert_eq!((token.lasts, token.scopes), (Some(60), vec!["a".to_owned()]));
        let told = json!({"access_token": "t", "token_type": "Bearer", "scope": "b c", "refresh_token": ""});
        let token = Token::read(told, &asked).unwrap();
        assert_eq!((token.refresh, token.scopes.join(" ")), (None, "b c".to_owned()));
        for bad in [
            json!({}),
            json!({"access_token": "t", "token_type": "DPoP"}),
            json!({"access_token": "t\r\nX: y", "token_type": "bearer"}),
            json!({"access_token": "", "token_type": "bearer"}),
        ] {
            assert!(Token::read(bad, &asked).is_err());
        }
    }

    #[test]
    fn a_token_is_renewed_before_its_end_and_a_short_one_at_half_its_life() {
        let token = |lasts| Token { access: "t".into(), refresh: None, since: 1_000, lasts, scopes: Vec::new() };
        assert!(!token(None).is_stale(u64::MAX));
        assert!(!token(Some(3_600)).is_stale(4_569) && token(Some(3_600)).is_stale(4_570));
        assert!(!token(Some(10)).is_stale(1_004) && token(Some(10)).is_stale(1_005));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let token = Token {
            access: "s3cret".into(),
            refresh: Some("s3cret".into()),
            since: now(),
            lasts: Some(60),
            scopes: Vec::new(),
        };
        let client = Client { secret: Some("s3cret".into()), ..Client::named(ClientKind::Dynamic, "id") };
        let record = Record {
            server: "https://h/mcp".into(),
            resource: "https://h/mcp".into(),
            issuer: None,
            client,
            metadata: AuthorizationMetadata::default(),
            requested: Vec::new(),
            token: Some(token),
        };
        let shown = format!("{record:?} {record:#?} {:?} {:?}", record.client, record.token);
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(!format!("{:?}", record.status(now())).contains("s3cret"));
    }
}
