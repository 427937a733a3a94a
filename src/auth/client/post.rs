//! The POSTs to an authorization server that the library has not.
//!
//! Owns their form and the client's proof in it (RFC 6749, 2.3.1). Talks to it through [`super::web::LoginWeb`].

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, Request, StatusCode, header};
use rmcp::transport::auth::AuthorizationMetadata;
use serde_json::Value;
use url::form_urlencoded::{self, Serializer};

use super::{Denied, record::Client, web::LoginWeb};
use crate::wire::remote::fault::one_line;

/// Sends a form and reads the answer; `null` where it is no JSON.
pub(super) async fn form(
    web: &LoginWeb,
    endpoint: &str,
    params: &[(&str, &str)],
    password: Option<(&AuthorizationMetadata, &Client)>,
) -> Result<(StatusCode, Value), Denied> {
    let request = request(endpoint, params, password);
    let request = request.map_err(|_| Denied::failed("an endpoint of its authorization server is no URL"))?;
    let answer = web.send(request).await.map_err(|error| Denied::failed(error.to_string()))?;
    Ok((answer.status(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null)))
}

fn request(
    endpoint: &str,
    params: &[(&str, &str)],
    password: Option<(&AuthorizationMetadata, &Client)>,
) -> Result<Request<Vec<u8>>, http::Error> {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(params);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(endpoint)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json");
    if let Some((metadata, client)) = password
        && let Some(secret) = client.secret()
    {
        let methods = metadata.additional_fields.get("token_endpoint_auth_methods_supported");
        let lists = |name: &str| methods.and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| one == name));
        if lists("client_secret_post") && !lists("client_secret_basic") {
            form.append_pair("client_secret", secret.expose());
        } else {
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(&client.id), encoded(secret.expose()));
            request = request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
        }
    }
    request.body(form.finish().into_bytes())
}

/// The error's code. Not its description, which may quote what was sent.
pub(super) fn error_of(answer: &Value) -> String {
    let code = answer.get("error").and_then(Value::as_str).unwrap_or("no reason was given");
    one_line(code).chars().take(60).collect()
}
