//! Who may call: tokens that were given out by hand, and those of an authorization server.
//!
//! Owns the checks of the flags about credentials. Talks to the files that they name. It asks no authorization server: that
//! comes with the first token.

use http::HeaderName;
use url::Url;

use super::read;
use crate::{
    auth::resource::{self, Gate},
    cli::{
        Error,
        args::{AccessArgs, OAuthArgs},
        usage,
    },
    config::{Door, DoorSpec, JwtAlgorithm, ResourceSpec, Secret, TokenCheck, tools::Glob},
};

/// The door that the flags ask for.
pub(super) fn door(access: &AccessArgs) -> Result<Door, Error> {
    let tokens = access.bearer_token_file.as_deref().map(resource::read_tokens).transpose();
    let tokens = tokens.map_err(|error| Error::Usage(format!("--bearer-token-file {error}")))?;
    let oauth = oauth(&access.oauth)?;
    let api_key = access.api_key_header.as_deref().map(api_key).transpose()?;
    let flag = match (&tokens, &oauth) {
        (None, None) if api_key.is_some() => {
            return usage(
                "--api-key-header says where a token stands, but there are none; add --bearer-token-file FILE",
            );
        }
        (None, None) => return Ok(Door::Open),
        (Some(_), _) => "--bearer-token-file",
        (None, Some(_)) => "--oauth-issuer",
    };
    if access.allow_unauthenticated {
        return usage(format!("both {flag} and --allow-unauthenticated are given; leave one out"));
    }
    let gate = Gate::new(DoorSpec { tokens, api_key, oauth }).map_err(|error| Error::Failed(error.to_string()))?;
    Ok(Door::Locked(gate.into()))
}

fn api_key(typed: &str) -> Result<HeaderName, Error> {
    let name = HeaderName::from_bytes(typed.as_bytes()).ok().filter(|name| *name != http::header::AUTHORIZATION);
    name.ok_or_else(|| {
        Error::Usage(format!("--api-key-header {typed:?} is no header to choose; name one, as in X-Api-Key"))
    })
}

fn oauth(args: &OAuthArgs) -> Result<Option<ResourceSpec>, Error> {
    let Some(issuer) = &args.oauth_issuer else {
        let given = [
            ("--oauth-audience", !args.oauth_audience.is_empty()),
            ("--oauth-scope", !args.oauth_scope.is_empty()),
            ("--oauth-tool-scope", !args.oauth_tool_scope.is_empty()),
            ("--oauth-jwks-url", args.oauth_jwks_url.is_some()),
            ("--oauth-algorithm", !args.oauth_algorithm.is_empty()),
            ("--oauth-introspection-url", args.oauth_introspection_url.is_some()),
        ];
        return match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                usage(format!("{flag} is about tokens of an authorization server; add --oauth-issuer URL"))
            }
            None => Ok(None),
        };
    };
    endpoint("--oauth-issuer", issuer)?;
    let words = |flag, words: &[String]| words.iter().map(|word| plain(flag, word)).collect::<Result<Vec<_>, _>>();
    Ok(Some(ResourceSpec {
        // As it was typed: issuers are compared as text.
        issuer: issuer.as_str().into(),
        audience: words("--oauth-audience", &args.oauth_audience)?,
        scopes: words("--oauth-scope", &args.oauth_scope)?,
        tool_scopes: args.oauth_tool_scope.iter().map(|typed| tool_scope(typed)).collect::<Result<_, _>>()?,
        leeway: args.oauth_leeway,
        check: check(args)?,
    }))
}

fn check(args: &OAuthArgs) -> Result<TokenCheck, Error> {
    let Some(url) = &args.oauth_introspection_url else {
        let algorithms = match &*args.oauth_algorithm {
            [] => JwtAlgorithm::ALL.into(),
            some => some.into(),
        };
        let keys = args.oauth_jwks_url.as_deref().map(|url| endpoint("--oauth-jwks-url", url)).transpose()?;
        return Ok(TokenCheck::Jwt { algorithms, keys });
    };
    if args.oauth_jwks_url.is_some() || !args.oauth_algorithm.is_empty() {
        return usage(
            "tokens are checked by their signature or by asking: leave out --oauth-introspection-url, or \
             --oauth-jwks-url and --oauth-algorithm",
        );
    }
    let (Some(client), Some(file)) = (&args.oauth_introspection_client, &args.oauth_introspection_secret_file) else {
        return usage(
            "--oauth-introspection-url needs --oauth-introspection-client ID and \
             --oauth-introspection-secret-file FILE: only clients may ask about tokens",
        );
    };
    let secret = read("--oauth-introspection-secret-file", file)?;
    let secret = secret.trim();
    if secret.is_empty() {
        return usage(format!("--oauth-introspection-secret-file {} is empty; write the secret in it", file.display()));
    }
    Ok(TokenCheck::Introspection {
        url: endpoint("--oauth-introspection-url", url)?,
        client_id: client.clone(),
        secret: Secret::new(secret),
        cache: args.oauth_introspection_cache,
    })
}

/// A URL that tokens and keys may go over.
fn endpoint(flag: &str, typed: &str) -> Result<Url, Error> {
    let url = Url::parse(typed).ok().filter(|url| resource::is_safe(url) && url.username().is_empty());
    url.filter(|url| url.password().is_none() && url.fragment().is_none()).ok_or_else(|| {
        Error::Usage(format!("{flag} needs an https URL (http on this machine only), as in https://login.example.com"))
    })
}

/// A word that can stand in a challenge (RFC 6750, section 3: no quotes, no backslashes, no spaces).
fn plain(flag: &str, word: &str) -> Result<Box<str>, Error> {
    let word = word.trim();
    match !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\') {
        true => Ok(word.into()),
        false => {
            usage(format!("{flag} {word:?} holds what no such word has; leave out spaces, quotes and backslashes"))
        }
    }
}

fn tool_scope(typed: &str) -> Result<(Glob, Box<str>), Error> {
    match typed.split_once('=') {
        Some((tool, scope)) if !tool.trim().is_empty() => {
            Ok((Glob::new(tool.trim()), plain("--oauth-tool-scope", scope)?))
        }
        _ => usage(format!("--oauth-tool-scope {typed:?} is not of the form TOOL=SCOPE, as in 'delete_*=files:write'")),
    }
}
