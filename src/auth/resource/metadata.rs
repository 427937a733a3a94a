//! The documents of discovery. Pure.
//!
//! Owns the metadata of the bridge as a resource (RFC 9728), and where an authorization server's is (RFC 8414). Talks to
//! nobody. It never believes a document that names another issuer than the one that was asked.

use serde::{Deserialize, Serialize};
use url::Url;

/// Where a resource's metadata is: this, then the resource's path (RFC 9728, section 3.1).
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A resource's metadata.
#[derive(Debug, Serialize)]
pub struct Resource<'a> {
    /// Its canonical URI.
    pub resource: &'a str,
    /// Issuers whose tokens it takes.
    pub authorization_servers: [&'a str; 1],
    /// What callers may ask for.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub scopes_supported: &'a [&'a str],
    /// Never the query: it stands in logs.
    pub bearer_methods_supported: [&'static str; 1],
}

impl<'a> Resource<'a> {
    /// The metadata of `resource`.
    pub fn new(resource: &'a str, issuer: &'a str, scopes: &'a [&'a str]) -> Resource<'a> {
        Resource {
            resource,
            authorization_servers: [issuer],
            scopes_supported: scopes,
            bearer_methods_supported: ["header"],
        }
    }
}

/// Where an issuer's metadata may be, in the order in which it is asked for (2025-11-25, Authorization, Authorization
/// Server Metadata Discovery).
pub(super) fn well_known(issuer: &str) -> Vec<Url> {
    let Ok(issuer) = Url::parse(issuer) else { return Vec::new() };
    let path = issuer.path().trim_end_matches('/');
    let mut paths = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    paths.extend((!path.is_empty()).then(|| format!("{path}/.well-known/openid-configuration")));
    paths.into_iter().filter_map(|path| issuer.join(&path).ok()).collect()
}

/// The key set's URL in an issuer's metadata.
pub(super) fn keys_url(text: &[u8], issuer: &str) -> Result<Url, String> {
    #[derive(Deserialize)]
    struct Metadata {
        issuer: String,
        jwks_uri: Option<String>,
    }
    let metadata: Metadata = serde_json::from_slice(text).map_err(|error| format!("is no metadata: {error}"))?;
    if metadata.issuer != issuer {
        return Err(format!("names the issuer {:?} instead of {issuer:?}", metadata.issuer));
    }
    let keys = metadata.jwks_uri.ok_or("names no jwks_uri")?;
    Url::parse(&keys).map_err(|error| format!("names a jwks_uri that is no URL: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_standards_say() {
        let paths = |issuer| well_known(issuer).iter().map(|url| url.path().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            paths("https://as.example"),
            ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
        );
        assert_eq!(
            paths("https://as.example/tenant/"),
            [
                "/.well-known/oauth-authorization-server/tenant",
                "/.well-known/openid-configuration/tenant",
                "/tenant/.well-known/openid-configuration"
            ]
        );
        assert!(well_known("no url").is_empty());
    }

    #[test]
    fn metadata_of_another_issuer_is_not_believed() {
        let text = br#"{"issuer":"https://evil.example","jwks_uri":"https://evil.example/keys"}"#;
        let error = keys_url(text, "https://as.example").unwrap_err();
        assert_eq!(error, r#"names the issuer "https://evil.example" instead of "https://as.example""#);
        // Not even one that differs by a slash: the text is compared, not its meaning.
        let text = br#"{"issuer":"https://as.example/","jwks_uri":"https://as.example/keys"}"#;
        assert!(keys_url(text, "https://as.example").is_err());
        let text = br#"{"issuer":"https://as.example","jwks_uri":"https://as.example/keys"}"#;
        assert_eq!(keys_url(text, "https://as.example").unwrap().as_str(), "https://as.example/keys");
    }
}
