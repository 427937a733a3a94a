//! One login: from what the server said with its 401 to a token.
//!
//! Owns the order of its steps and the checks that go beyond the library's. Talks to the authorization server through
//! `rmcp`'s implementation of the protocol, whose every request goes through [`LoginWeb`]. It keeps nothing: the caller
//! does. It never sends a secret before the server's documents have been checked.

use std::sync::Arc;

use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, AuthorizationMetadataSource, CredentialStore,
    InMemoryCredentialStore, OAuthClientConfig, OAuthTokenResponse, StoredCredentials,
};
use serde_json::Value;
use url::Url;

use super::{
    Denied,
    callback::{Answer, Expected},
    challenge::{Challenge, union},
    reach::for_browser,
    record::{Client, ClientKind, Record, Token},
    register::register,
    web::{LoginWeb, as_header},
};
use crate::{
    config::{
        Secret,
        oauth::{Grant, KnownClient, OauthSpec, Proof},
    },
    wire::remote::fault::{one_line, shown},
};

/// The scope of a token that outlasts the login and can be renewed.
const OFFLINE: &str = "offline_access";

/// A login under way.
pub(super) struct Login<'a> {
    spec: &'a OauthSpec,
    server: &'a Url,
    pub(super) web: Arc<LoginWeb>,
    manager: AuthorizationManager,
    pub(super) metadata: AuthorizationMetadata,
    /// Whether the server published anything about its login.
    published: bool,
    challenge: Challenge,
}

/// A page for the user, and what has to come back from it.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) url: Url,
    pub(super) expected: Expected,
    pub(super) resource: String,
}

impl<'a> Login<'a> {
    /// Finds the server's authorization server (RFC 9728, RFC 8414, OpenID Connect Discovery) and checks what it says.
    pub(super) async fn discover(
        spec: &'a OauthSpec,
        server: &'a Url,
        challenge: &Challenge,
    ) -> Result<Login<'a>, Denied> {
        let web = LoginWeb::new(server, &spec.tls).await;
        web.remember(challenge.clone());
        if let Some(named) = &challenge.resource_metadata {
            let url = Url::parse(named).or_else(|_| server.join(named));
            let url =
                url.map_err(|_| Denied::failed("it says that it describes itself at something that is no URL"))?;
            if let Some(why) = web.reach().fault_of(&url) {
                let at = shown(&url);
                return Err(Denied::failed(format!(
                    "it says that it describes itself at {at}, {why}; nothing was sent there"
                )));
            }
        }
        let manager = AuthorizationManager::new_with_oauth_http_client(server.clone(), web.clone()).await;
        let mut manager = manager.map_err(|error| Denied::failed(in_words(&error)))?;
        let header = as_header(challenge);
        // The library compares the issuer of the found document with the one that the server named (RFC 8414, 3.3), but for
        // the slash of an empty path: https://as and https://as/ are one URL, and many servers whose documents come from a
        // URL type write the slash in one of the two. A slash behind a path is another issuer. The same host answers for
        // both at its root, so nobody gains by it; what comes back with a code is compared to the letter.
        let found = manager.resolve_metadata_from_challenge(Some(&header)).await;
        let found = found.map_err(|error| Denied::failed(in_words(&error)))?;
        let published = found.source != AuthorizationMetadataSource::LegacyEndpointFallback;
        if let Some(why) = fault_of(&found.metadata, spec.grant, published, &web) {
            return Err(Denied::failed(why));
        }
        manager.set_metadata(found.metadata.clone());
        Ok(Login { spec, server, web, manager, metadata: found.metadata, published, challenge: challenge.clone() })
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.metadata.issuer.as_deref()
    }

    fn issuer_in_words(&self) -> String {
        self.issuer().map_or_else(|| "this server".into(), one_line)
    }

    /// Who the bridge is to this authorization server: a client that was registered by hand, else by its document, else by
    /// itself, now or earlier (2026-07-28, Client Registration). `kept`: what was kept of this server.
    pub(super) async fn identify(
        &mut self,
        kept: Option<&Record>,
        scopes: &[String],
        redirect_uri: &str,
    ) -> Result<Client, Denied> {
        if let Some(known) = &self.spec.client {
            let client = self.by_hand(known, kept)?;
            return self.configured(client, redirect_uri);
        }
        if let Some(document) =
            self.spec.metadata_url.as_ref().filter(|_| self.says("client_id_metadata_document_supported"))
        {
            return self.configured(Client::named(ClientKind::Document, document.as_str()), redirect_uri);
        }
        let again = kept.filter(|kept| {
            let client = &kept.client;
            kept.issuer.as_deref() == self.issuer()
                && client.kind == ClientKind::Dynamic
                && client.redirect_uri.as_deref() == Some(redirect_uri)
                && client.is_for(scopes)
        });
        if let Some(kept) = again {
            return self.configured(kept.client.clone(), redirect_uri);
        }
        let Some(endpoint) = &self.metadata.registration_endpoint else {
            return Err(Denied::failed(format!(
                "{} lets no client register itself: register one there, with the redirect URI http://127.0.0.1/callback, and \
                 give it as --client-id",
                self.issuer_in_words()
            )));
        };
        match register(&self.web, endpoint, self.spec.grant, scopes, redirect_uri).await {
            Ok(client) => self.configured(client, redirect_uri),
            // It published nothing, and the place where old servers have it does not register clients: there is no OAuth.
            Err(_) if !self.published => Err(Denied::NotOffered),
            Err(why) => Err(Denied::failed(format!(
                "{} does not register this client ({why}); register one there by hand and give it as --client-id",
                self.issuer_in_words()
            ))),
        }
    }

    /// A client that was registered by hand. Its id may be somebody else's at another authorization server.
    fn by_hand(&self, known: &KnownClient, kept: Option<&Record>) -> Result<Client, Denied> {
        let of_another = |kept: &&Record| {
            kept.client.kind == ClientKind::Registered
                && kept.issuer.as_deref() != self.issuer()
                && kept.client.id == known.id
        };
        if let Some(before) = kept.filter(of_another) {
            let before = before.issuer.clone().unwrap_or_default();
            let now = self.issuer_in_words();
            return Err(Denied::failed(format!(
                "its authorization server was {before} and is {now} now, where --client-id may be nobody; if that is \
                 right, forget the old one with mcp-bridge logout"
            )));
        }
        let secret = match &known.proof {
            Proof::Secret(secret) => Some(secret.expose().to_owned()),
            Proof::None | Proof::Key(..) => None,
        };
        Ok(Client { secret, ..Client::named(ClientKind::Registered, &known.id) })
    }

    fn configured(&mut self, client: Client, redirect_uri: &str) -> Result<Client, Denied> {
        let mut config = OAuthClientConfig::new(&client.id, redirect_uri);
        if let Some(secret) = client.secret() {
            config = config.with_client_secret(secret.expose());
        }
        self.manager.configure_client(config).map_err(|error| Denied::failed(in_words(&error)))?;
        Ok(client)
    }

    fn says(&self, name: &str) -> bool {
        self.metadata.additional_fields.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// What is asked for: the scopes of `--scope`, else of the challenge, else all that the server's own document names, else
    /// none (2026-07-28, Scope Selection Strategy). `before`: what was asked for earlier and must not be lost.
    pub(super) async fn scopes(&self, before: &[String]) -> Vec<String> {
        let named = match (self.spec.scopes.is_empty(), before.is_empty()) {
            (true, _) => self.manager.select_initial_scopes(&[]).await,
            (false, true) => self.spec.scopes.clone(),
            (false, false) => union(&self.spec.scopes, &self.challenge.scopes()),
        };
        let all = union(before, &named);
        // It asks for what outlasts a login, which there is none of.
        let wanted = |scope: &String| self.spec.grant != Grant::Machine || scope != OFFLINE;
        all.into_iter().filter(wanted).collect()
    }

    /// The page where the user allows it.
    pub(super) async fn page(&self, scopes: &[String]) -> Result<Page, Denied> {
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let text =
            self.manager.get_authorization_url(&scopes).await.map_err(|error| Denied::failed(in_words(&error)))?;
        let mut url = for_browser(&text, self.web.reach()).map_err(Denied::failed)?;
        // A server of OpenID grants this only with the user's consent in so many words, and else leaves it out without one
        // (OpenID Connect Core 1.0, Offline Access).
        if scopes.contains(&OFFLINE) {
            url.query_pairs_mut().append_pair("prompt", "consent");
        }
        let param =
            |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
        let expected = Expected {
            state: Secret::new(param("state").unwrap_or_default()),
            issuer: self.issuer().map(str::to_owned),
            names_itself: self.says("authorization_response_iss_parameter_supported"),
        };
        let resource = param("resource").unwrap_or_else(|| self.server.to_string());
        Ok(Page { url, expected, resource })
    }

    /// The token for an answer that was judged.
    pub(super) async fn redeem(&self, page: &Page, answer: &Answer, asked: &[String]) -> Result<Token, Denied> {
        let (code, state) = (answer.code.expose(), page.expected.state.expose());
        let redeemed = self.manager.exchange_code_for_token_with_issuer(code, state, answer.issuer.as_deref()).await;
        token(redeemed.map_err(|error| Denied::failed(in_words(&error)))?, asked)
    }
}

/// What came of an attempt to renew a token.
#[derive(Debug)]
pub(super) enum Renewed {
    /// A new one.
    Token(Token),
    /// A login is needed.
    Refused,
    /// Nobody could be asked, for now.
    Failed(Denied),
}

/// Renews a token. `secret`: the client's, where it is not in the record.
pub(super) async fn renew(spec: &OauthSpec, server: &Url, record: &Record, secret: Option<&Secret>) -> Renewed {
    match try_renew(spec, server, record, secret).await {
        Ok(token) => Renewed::Token(token),
        Err(AuthError::TokenRefreshRejected(_) | AuthError::AuthorizationRequired) => Renewed::Refused,
        Err(error) => Renewed::Failed(Denied::failed(format!("its token cannot be renewed: {}", in_words(&error)))),
    }
}

async fn try_renew(
    spec: &OauthSpec,
    server: &Url,
    record: &Record,
    secret: Option<&Secret>,
) -> Result<Token, AuthError> {
    let Some(before) = record.token.as_ref().filter(|token| token.refresh.is_some()) else {
        return Err(AuthError::AuthorizationRequired);
    };
    let web = LoginWeb::new(server, &spec.tls).await;
    // What the library takes for the server's URL goes into the request as `resource`.
    let mut manager = AuthorizationManager::new_with_oauth_http_client(record.resource.as_str(), web).await?;
    manager.set_metadata(record.metadata.clone());
    let redirect = record.client.redirect_uri.as_deref().unwrap_or("http://127.0.0.1/callback");
    let mut config = OAuthClientConfig::new(&record.client.id, redirect);
    if let Some(secret) = secret.cloned().or_else(|| record.client.secret()) {
        config = config.with_client_secret(secret.expose());
    }
    manager.configure_client(config)?;
    let kept = serde_json::json!({
        "access_token": before.access,
        "token_type": "bearer",
        "refresh_token": before.refresh,
    });
    let kept = serde_json::from_value(kept).map_err(|_| AuthError::AuthorizationRequired)?;
    let memory = InMemoryCredentialStore::new();
    let stored = StoredCredentials::new(record.client.id.clone(), Some(kept), before.scopes.clone(), None);
    memory.save(stored.with_issuer(record.issuer.clone())).await?;
    manager.set_credential_store(memory);
    let answer = manager.refresh_token().await?;
    token(answer, &before.scopes).map_err(|denied| AuthError::TokenRefreshFailed(denied.to_string()))
}

fn token(answer: OAuthTokenResponse, asked: &[String]) -> Result<Token, Denied> {
    let answer = serde_json::to_value(answer).map_err(|_| Denied::failed("its authorization server sent no token"))?;
    Token::read(answer, asked).map_err(|why| Denied::failed(format!("of its authorization server, {why}")))
}

/// What the library does not check: that secrets go over encrypted connections, and that the code is bound to this login
/// (2025-11-25 and 2026-07-28, Authorization Code Protection: no S256 in the metadata, no login).
fn fault_of(metadata: &AuthorizationMetadata, grant: Grant, published: bool, web: &LoginWeb) -> Option<String> {
    let issuer = metadata.issuer.as_deref().map_or_else(|| "its authorization server".into(), one_line);
    let asks_a_user = matches!(grant, Grant::Browser | Grant::Url);
    let page = ("authorization_endpoint", metadata.authorization_endpoint.as_str());
    let endpoints =
        [("token_endpoint", metadata.token_endpoint.as_str())].into_iter().chain(asks_a_user.then_some(page));
    for (name, text) in endpoints {
        // Reading a URL drops line breaks without a word: what was checked would not be what was written.
        let odd = text.chars().any(|c| c.is_control() || c.is_whitespace());
        let Some(url) = Url::parse(text).ok().filter(|_| !odd) else {
            return Some(format!("the {name} of {issuer} is no URL; nothing was sent"));
        };
        if let Some(why) = web.reach().fault_of(&url) {
            return Some(format!("the {name} of {issuer} is {}, {why}; nothing was sent", shown(&url)));
        }
    }
    let has_s256 = |methods: &Vec<String>| methods.iter().any(|method| method == "S256");
    if asks_a_user && published && !metadata.code_challenge_methods_supported.as_ref().is_some_and(has_s256) {
        return Some(format!(
            "{issuer} does not say that it supports PKCE with S256 (code_challenge_methods_supported), without which a code \
             could be stolen; ask its owner to turn that on"
        ));
    }
    None
}

/// The library's errors in one line. Most say what failed; those of a request have it in their cause.
pub(super) fn in_words(error: &AuthError) -> String {
    let mut text = match error {
        AuthError::DiscoveryRequestFailed { url, .. } => format!("{} cannot be read", shown(url)),
        AuthError::PkceUnsupported => "its authorization server does not support PKCE with S256".into(),
        AuthError::TokenExchangeFailed(why) => format!("its authorization server gave no token: {why}"),
        error => error.to_string(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(why) = cause {
        text = format!("{text}: {why}");
        cause = why.source();
    }
    one_line(&text)
}
