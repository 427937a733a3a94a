//! Gives tokens back to the authorization server that gave them (RFC 7009).
//!
//! Owns the request, and what is said of its outcome. Talks to the authorization server through `web`,
//! for a bounded time. It keeps nothing: what was kept is gone before it begins. It never shows a token.

use std::{fmt, time::Duration};

use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::{
    Denied,
    post::{error_of, form},
    record::{ClientKind, Record},
    web::LoginWeb,
};
use crate::{config::oauth::LogoutSpec, tls};

/// For all of it. Whoever logs out waits for this, and the tokens end by themselves some day.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// There was none to give back.
    NoToken,
    /// The tokens are worth nothing any more.
    Done,
    /// The authorization server names no place for it.
    NotOffered,
    /// It did not work, so they are good until they end.
    Failed(String),
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revocation::NoToken => f.write_str("there was no token"),
            Revocation::Done => f.write_str("its authorization server has revoked the tokens"),
            Revocation::NotOffered => {
                f.write_str("its authorization server revokes no tokens, so they are good until they end")
            }
            Revocation::Failed(why) => {
                write!(f, "the tokens could not be revoked ({why}), so they are good until they end")
            }
        }
    }
}

/// Gives back the tokens of a record.
pub(super) async fn revoke(mut record: Record, spec: LogoutSpec) -> Revocation {
    // Of a client that was registered by hand, the record has no secret: it stays in the user's own file.
    if let Some(secret) = spec.secret.filter(|_| record.client.kind == ClientKind::Registered) {
        record.client.secret = Some(secret.expose().to_owned());
    }
    match timeout(PATIENCE, attempt(&record, &spec.tls)).await {
        Ok(Ok(revocation)) => revocation,
        Ok(Err(denied)) => Revocation::Failed(denied.to_string()),
        Err(_) => Revocation::Failed(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn attempt(record: &Record, tls: &tls::client::Client) -> Result<Revocation, Denied> {
    let Some(token) = &record.token else { return Ok(Revocation::NoToken) };
    let endpoint = record.metadata.additional_fields.get("revocation_endpoint").and_then(Value::as_str);
    let Some(endpoint) = endpoint else { return Ok(Revocation::NotOffered) };
    let server = Url::parse(&record.server).map_err(|_| Denied::failed("what was kept names no server"))?;
    let web = LoginWeb::new(&server, tls).await;
    // What renews goes first: it is worth most, and many servers drop all that came of it along with it.
    let refresh = token.refresh.as_deref().map(|refresh| (refresh, "refresh_token"));
    let mut failed = None;
    for (token, hint) in refresh.into_iter().chain([(token.access.as_str(), "access_token")]) {
        let params = [("token", token), ("token_type_hint", hint), ("client_id", record.client.id.as_str())];
        let (status, answer) = form(&web, endpoint, &params, Some((&record.metadata, &record.client))).await?;
        let error = error_of(&answer);
        // Access tokens that no server looks up cannot be taken back (RFC 7009, 2.2.1); without renewal they end soon.
        let ends_soon = error == "unsupported_token_type" && hint == "access_token" && refresh.is_some();
        if !status.is_success() && !ends_soon {
            failed.get_or_insert_with(|| format!("HTTP {}, {error}", status.as_u16()));
        }
    }
    Ok(failed.map_or(Revocation::Done, Revocation::Failed))
}
