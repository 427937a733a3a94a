//! An authorization server as far as a resource sees it: metadata, keys, and what it says about tokens.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::script::Script;

/// An authorization server on a port of its own. Dropped, it is gone.
pub struct Issuer {
    pub url: String,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

struct State {
    key: EncodingKey,
    algorithm: Algorithm,
    jwk: Value,
    /// The key in the forms that a server might take it for a password in.
    public: Vec<Vec<u8>>,
    /// Requests, by path.
    asked: HashMap<String, usize>,
    /// What introspection says, by token.
    known: HashMap<String, Value>,
    /// The `Authorization` of the last question about a token.
    client: Option<String>,
    away: bool,
}

impl Issuer {
    pub async fn start() -> Issuer {
        let (key, jwk) = key("k1");
        Issuer::of(key, Algorithm::EdDSA, jwk, Vec::new()).await
    }

    /// One that signs with RSA.
    pub async fn rsa() -> Issuer {
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = pair.public_key();
        let jwk = json!({
            "kty": "RSA", "kid": "rsa", "use": "sig",
            "n": part(public.modulus().big_endian_without_leading_zero()),
            "e": part(public.exponent().big_endian_without_leading_zero()),
        });
        let pem = |label: &str, der: &[u8]| {
            let lines: Vec<_> = STANDARD.encode(der).as_bytes().chunks(64).map(<[u8]>::to_vec).collect();
            let body = String::from_utf8(lines.join(&b'\n')).unwrap();
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        let info = AsDer::<PublicKeyX509Der<'_>>::as_der(public).unwrap();
        let forms = vec![
            public.as_ref().to_vec(),
            info.as_ref().to_vec(),
            pem("PUBLIC KEY", info.as_ref()).into_bytes(),
            pem("RSA PUBLIC KEY", public.as_ref()).into_bytes(),
            public.modulus().big_endian_without_leading_zero().to_vec(),
            jwk["n"].as_str().unwrap().into(),
        ];
        let private = pem("PRIVATE KEY", pair.as_der().unwrap().as_ref());
        let key = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
        Issuer::of(key, Algorithm::RS256, jwk, forms).await
    }

    async fn of(key: EncodingKey, algorithm: Algorithm, jwk: Value, public: Vec<Vec<u8>>) -> Issuer {
        let mut script = Script::start().await;
        let url = script.url("");
        let known = HashMap::new();
        let state = State { key, algorithm, jwk, public, asked: HashMap::new(), known, client: None, away: false };
        let state = Arc::new(Mutex::new(state));
        let mut serving = JoinSet::new();
        let (shared, own) = (state.clone(), url.clone());
        serving.spawn(async move {
            // Ends with the fixture.
            while let Some(exchange) = script.next_or_end().await {
                let (status, body) = {
                    let mut state = shared.lock().unwrap();
                    *state.asked.entry(exchange.path.clone()).or_default() += 1;
                    state.answer(&own, &exchange.path, &exchange.body, exchange.header("authorization"))
                };
                exchange.reply(status, &[], &body.to_string()).await;
            }
        });
        Issuer { url, state, _serving: serving }
    }

    /// A token for `ann`, issued for `audience`.
    pub fn token(&self, audience: &str, scope: &str) -> String {
        self.token_with(json!({"aud": audience, "scope": scope}))
    }

    /// The same with these claims on top.
    pub fn token_with(&self, claims: Value) -> String {
        let all = self.claims(&claims);
        let state = self.state.lock().unwrap();
        let mut header = Header::new(state.algorithm);
        header.kid = state.jwk["kid"].as_str().map(str::to_owned);
        encode(&header, &all, &state.key).unwrap()
    }

    fn claims(&self, more: &Value) -> Value {
        let mut all = json!({"iss": self.url, "sub": "ann", "exp": now() + 600});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    }

    /// The public key.
    pub fn jwk(&self) -> Value {
        self.state.lock().unwrap().jwk.clone()
    }

    /// Tokens of nobody, made with what everybody knows.
    pub fn with_the_public_key_as_password(&self, claims: &Value) -> Vec<String> {
        let all = self.claims(claims);
        let state = self.state.lock().unwrap();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = state.jwk["kid"].as_str().map(str::to_owned);
        let sign = |form: &Vec<u8>| encode(&header, &all, &EncodingKey::from_secret(form)).unwrap();
        state.public.iter().map(sign).collect()
    }

    /// Signs with another key from now on.
    pub fn rotate(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        (state.key, state.jwk) = key(name);
    }

    /// What introspection says of a token from now on.
    pub fn knows(&self, token: &str, says: Value) {
        self.state.lock().unwrap().known.insert(token.into(), says);
    }

    pub fn go_away(&self) {
        self.state.lock().unwrap().away = true;
    }

    pub fn asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().asked.get(path).copied().unwrap_or_default()
    }

    pub fn client(&self) -> Option<String> {
        self.state.lock().unwrap().client.clone()
    }
}

impl State {
    fn answer(&mut self, url: &str, path: &str, body: &str, client: Option<&str>) -> (u16, Value) {
        match path {
            _ if self.away => (503, json!({})),
            "/.well-known/oauth-authorization-server" => {
                (200, json!({"issuer": url, "jwks_uri": format!("{url}/keys")}))
            }
            "/keys" => (200, json!({"keys": [self.jwk]})),
            "/introspect" => {
                self.client = client.map(str::to_owned);
                let token = body.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
                (200, self.known.get(token).cloned().unwrap_or(json!({"active": false})))
            }
            _ => (404, json!({})),
        }
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn key(name: &str) -> (EncodingKey, Value) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let document = pair.to_pkcs8().unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": name, "use": "sig"});
    (EncodingKey::from_ed_der(document.as_ref()), jwk)
}
