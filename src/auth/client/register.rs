//! The bridge registers itself as a client (RFC 7591).
//!
//! Owns the request and the reading of its answer. Talks to the authorization server through [`LoginWeb`]. The library has
//! this, too, but for logins by browser alone: a server that holds a client to what it registered for lets none of these log
//! in by device. It keeps nothing: what was given is its caller's to keep.

use http::{Method, Request, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    device,
    post::error_of,
    record::{Client, ClientKind},
    web::LoginWeb,
};
use crate::{config::oauth::Grant, wire::remote::fault::one_line};

/// The name that people see where they allow it.
const CLIENT_NAME: &str = "mcp-bridge";

/// What is asked for.
#[derive(Serialize)]
struct Wanted<'a> {
    client_name: &'static str,
    redirect_uris: [&'a str; 1],
    grant_types: [&'static str; 2],
    response_types: Vec<&'static str>,
    token_endpoint_auth_method: &'static str,
    /// A program on the user's machine (2026-07-28, Client Registration).
    application_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// What is answered.
#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<String>,
}

/// Registers a client for logins of this kind, with these scopes at most. Says in words why that did not work.
pub(super) async fn register(
    web: &LoginWeb,
    endpoint: &str,
    grant: Grant,
    scopes: &[String],
    redirect_uri: &str,
) -> Result<Client, String> {
    let (kind, answers) = match grant {
        Grant::Device => (device::GRANT, vec![]),
        Grant::Browser | Grant::Url | Grant::Machine => ("authorization_code", vec!["code"]),
    };
    let wanted = Wanted {
        client_name: CLIENT_NAME,
        redirect_uris: [redirect_uri],
        grant_types: [kind, "refresh_token"],
        response_types: answers,
        token_endpoint_auth_method: "none",
        application_type: "native",
        scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
    };
    // Texts and lists of texts: nothing in it can fail.
    let wanted = serde_json::to_vec(&wanted).unwrap_or_default();
    let request = Request::builder()
        .method(Method::POST)
        .uri(endpoint)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(wanted)
        .map_err(|_| "its registration_endpoint is no URL")?;
    let answer = web.send(request).await.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        let said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        // There was no secret in the request, so that there is none in what is said of it.
        let more = said.get("error_description").and_then(Value::as_str).unwrap_or_default();
        let more: String = one_line(more).chars().take(200).collect();
        let more = if more.is_empty() { more } else { format!(": {more}") };
        return Err(format!("HTTP {}, {}{more}", answer.status().as_u16(), error_of(&said)));
    }
    let registered: Registered = serde_json::from_slice(answer.body()).map_err(|_| "it gave no client_id")?;
    Ok(Client {
        kind: ClientKind::Dynamic,
        id: registered.client_id,
        // Some write an empty one for a client without any.
        secret: registered.client_secret.filter(|secret| !secret.is_empty()),
        redirect_uri: Some(redirect_uri.to_owned()),
        scopes: scopes.to_vec(),
    })
}
