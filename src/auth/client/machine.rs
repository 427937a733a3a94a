//! The client itself as the one who calls: client credentials, by secret or by a signed statement (RFC 6749, 4.4; RFC 7523).
//!
//! Owns the request and the signature. Talks to the authorization server through [`super::web::LoginWeb`]. The library has
//! this, too, but its signed form brings a second JOSE library, and cannot run in a task.

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{
    Denied,
    flow::Login,
    post::{error_of, form},
    record::{Client, ClientKind, Token, now},
};
use crate::config::{
    Secret,
    oauth::{KeyKind, KnownClient, Proof},
};

/// How long a signed statement is good for. Long enough for clocks that differ.
const STATEMENT: Duration = Duration::from_secs(5 * 60);

const BY_JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Asks for a token. The client that comes back has no secret: that is in the user's file.
pub(super) async fn token(
    login: &Login<'_>,
    known: &KnownClient,
    scopes: &[String],
    resource: &str,
) -> Result<(Client, Token), Denied> {
    let scope = scopes.join(" ");
    let mut params = vec![("grant_type", "client_credentials"), ("resource", resource)];
    params.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
    let mut client = Client::named(ClientKind::Registered, &known.id);
    let statement = match &known.proof {
        Proof::Key(key, kind) => {
            // The issuer is who reads it (RFC 7523, 3; the token endpoint's URL is what old servers wanted).
            let audience = login.issuer().unwrap_or(&login.metadata.token_endpoint);
            statement(&known.id, audience, key, *kind).ok_or_else(|| {
                Denied::failed("the key of --client-key-file cannot sign; make one with openssl genpkey")
            })?
        }
        Proof::Secret(secret) => {
            client.secret = Some(secret.expose().to_owned());
            String::new()
        }
        Proof::None => String::new(),
    };
    match statement.is_empty() {
        false => params.extend([("client_assertion_type", BY_JWT), ("client_assertion", statement.as_str())]),
        true => params.push(("client_id", known.id.as_str())),
    }
    let (status, answer) =
        form(&login.web, &login.metadata.token_endpoint, &params, Some((&login.metadata, &client))).await?;
    client.secret = None;
    if !status.is_success() {
        return Err(Denied::failed(format!(
            "its authorization server gives this client no token: HTTP {}, {}",
            status.as_u16(),
            error_of(&answer)
        )));
    }
    // Asking again is all that renewal would be (RFC 6749, 4.4.3).
    let token = Token::read(answer, scopes).map(|token| Token { refresh: None, ..token });
    Ok((client, token.map_err(|why| Denied::failed(format!("of its authorization server, {why}")))?))
}

/// A statement of the client about itself, signed (RFC 7523, 3).
fn statement(id: &str, audience: &str, key: &Secret, kind: KeyKind) -> Option<String> {
    let issued = now();
    let claims = json!({
        "iss": id,
        "sub": id,
        "aud": audience,
        "iat": issued,
        "exp": issued + STATEMENT.as_secs(),
        "jti": uuid::Uuid::new_v4().to_string(),
    });
    let algorithm = match kind {
        KeyKind::Rsa => "RS256",
        KeyKind::P256 => "ES256",
    };
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encoded(&json!({ "alg": algorithm })), encoded(&claims));
    let signature = sign(signed.as_bytes(), &der(key.expose())?, kind)?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn sign(text: &[u8], der: &[u8], kind: KeyKind) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    match kind {
        KeyKind::Rsa => {
            let key = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der)).ok()?;
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).ok()?;
            Some(signature)
        }
        KeyKind::P256 => {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let key = EcdsaKeyPair::from_pkcs8(algorithm, der)
                .or_else(|_| EcdsaKeyPair::from_private_key_der(algorithm, der))
                .ok()?;
            Some(key.sign(&random, text).ok()?.as_ref().to_vec())
        }
    }
}

/// What is in the first block of a PEM file.
fn der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (_, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END")?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        signature::{ECDSA_P256_SHA256_FIXED, KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
    };

    use super::*;

    fn pem(der: &[u8]) -> Secret {
        Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der)))
    }

    /// The signed part, its claims, and the signature.
    fn parts(token: &str) -> (String, Value, Vec<u8>) {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        (signed.into(), serde_json::from_slice(&claims).unwrap(), URL_SAFE_NO_PAD.decode(signature).unwrap())
    }

    #[test]
    fn a_statement_bears_the_signature_of_its_key() {
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let key = pem(p256.to_pkcs8v1().unwrap().as_ref());
        let (signed, claims, signature) = parts(&statement("me", "https://as", &key, KeyKind::P256).unwrap());
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, p256.public_key().as_ref());
        public.verify(signed.as_bytes(), &signature).unwrap();
        assert_eq!((claims["iss"].as_str(), claims["aud"].as_str()), (Some("me"), Some("https://as")));

        let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
        let key = pem(rsa.as_der().unwrap().as_ref());
        let (signed, _, signature) = parts(&statement("me", "https://as", &key, KeyKind::Rsa).unwrap());
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa.public_key().as_ref());
        public.verify(signed.as_bytes(), &signature).unwrap();
        assert_eq!(statement("me", "https://as", &pem(b"no key"), KeyKind::Rsa), None);
    }
}
