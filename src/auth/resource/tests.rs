use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeyPair, KeySize},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::config::JwtAlgorithm;

const ISSUER: &str = "https://as.example";
const HERE: &str = "https://b.example/mcp";

/// An authorization server's keys and what it signs.
struct Signer {
    key: EncodingKey,
    jwk: Value,
    algorithm: Algorithm,
}

impl Signer {
    fn ed(name: &str) -> Signer {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let document = pair.to_pkcs8().unwrap();
        Signer {
            key: EncodingKey::from_ed_der(document.as_ref()),
            jwk: json!({"kty":"OKP","crv":"Ed25519","x":x,"kid":name,"use":"sig"}),
            algorithm: Algorithm::EdDSA,
        }
    }

    fn rsa(name: &str) -> Signer {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = pair.public_key();
        let jwk = json!({
            "kty":"RSA", "kid":name, "alg":"RS256",
            "n":part(public.modulus().big_endian_without_leading_zero()),
            "e":part(public.exponent().big_endian_without_leading_zero()),
        });
        let der = pair.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(der.as_ref())
        );
        Signer { key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), jwk, algorithm: Algorithm::RS256 }
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = self.jwk["kid"].as_str().map(str::to_owned);
        encode(&header, claims, &self.key).unwrap()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({"iss":ISSUER, "sub":"ann", "aud":HERE, "exp":now() + 600, "scope":"mcp:call mcp:read"})
}

/// With some claims otherwise; `null` takes one away.
fn but(change: Value) -> Value {
    let mut claims = claims();
    let all = claims.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        match value.is_null() {
            true => drop(all.remove(name)),
            false => drop(all.insert(name.clone(), value.clone())),
        }
    }
    claims
}

fn spec(scopes: &[&str], audience: &[&str]) -> ResourceSpec {
    ResourceSpec {
        issuer: ISSUER.into(),
        audience: audience.iter().map(|&one| one.into()).collect(),
        scopes: scopes.iter().map(|&one| one.into()).collect(),
        tool_scopes: Vec::new(),
        leeway: Duration::from_secs(60),
        check: TokenCheck::Jwt { algorithms: vec![JwtAlgorithm::Rs256, JwtAlgorithm::EdDsa], keys: None },
    }
}

/// A gate whose keys were fetched just now.
fn gate(spec: &ResourceSpec, keys: &[&Signer]) -> Gate {
    let oauth = OAuth::new(spec.clone()).unwrap();
    let set = json!({"keys": keys.iter().map(|signer| &signer.jwk).collect::<Vec<_>>()}).to_string();
    let Check::Jwt(jwt) = &oauth.check else { panic!() };
    jwt.preset(set.as_bytes());
    Gate { tokens: None, api_key: None, oauth: Some(Arc::new(oauth)) }
}

fn bearer(token: &str) -> HeaderMap {
    headers(&[("authorization", &format!("Bearer {token}"))])
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
    lines.iter().map(|&(key, value)| (name(key), HeaderValue::from_str(value).unwrap())).collect()
}

fn decided(checked: Checked) -> Result<Access, Denied> {
    match checked {
        Checked::Now(result) => result,
        Checked::Later(_) => panic!("the authorization server was to be asked"),
    }
}

fn reason(gate: &Gate, token: &str) -> String {
    decided(gate.check(&bearer(token), &[HERE])).map_or_else(|denied| denied.text().to_owned(), |_| "let in".into())
}

#[test]
fn a_good_token_is_let_in_as_its_subject_with_its_scopes() {
    for signer in [Signer::ed("k1"), Signer::rsa("k1")] {
        let gate = gate(&spec(&["mcp:call"], &[]), &[&signer]);
        let access = decided(gate.check(&bearer(&signer.sign(&claims())), &[HERE])).unwrap();
        assert_eq!(&*access.principal.0, "https://as.example#ann");
        assert!(access.scopes.cover(["mcp:read"]) && !access.scopes.cover(["mcp:read", "mcp:admin"]));
    }
}

#[test]
fn tokens_that_are_no_proof_are_refused_each_with_its_reason() {
    let (signer, other) = (Signer::ed("k1"), Signer::ed("k1"));
    let gate = gate(&spec(&[], &[]), &[&signer]);
    for (change, want) in [
        (json!({"exp": now() - 61}), "the token has expired"),
        (json!({"exp": now() - 30}), "let in"),
        (json!({"exp": null}), "the token lacks one of exp, iss and aud"),
        (json!({"nbf": now() + 120}), "the token is not valid yet"),
        (json!({"iss": "https://evil.example"}), "the token comes from another issuer"),
        (json!({"iss": null}), "the token lacks one of exp, iss and aud"),
        (json!({"aud": "https://b.example/other"}), "the token was issued for another resource"),
        (json!({"aud": ["https://x.example", HERE]}), "let in"),
        (json!({"aud": "https://b.example/mcp/"}), "let in"),
        (json!({"aud": null}), "the token lacks one of exp, iss and aud"),
        (json!({"sub": null}), "the token says neither whose it is nor which client's"),
        (json!({"sub": null, "client_id": "app"}), "let in"),
    ] {
        assert_eq!(reason(&gate, &signer.sign(&but(change.clone()))), want, "{change}");
    }
    assert_eq!(reason(&gate, &other.sign(&claims())), "the token's signature is wrong");
    assert_eq!(reason(&gate, "abc"), "the token is no JWT that can be read");
    assert_eq!(reason(&gate, "a.b.c"), "the token is no JWT that can be read");
}

/// RFC 8725, section 2.1: the two classic attacks.
#[test]
fn no_algorithm_is_believed_because_a_token_names_it() {
    let signer = Signer::rsa("k1");
    let gate = gate(&spec(&[], &[]), &[&signer]);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(&json!({"alg":"none"})), part(&claims()));
    assert_eq!(reason(&gate, &unsigned), "the token is no JWT that can be read");
    let public = signer.jwk["n"].as_str().unwrap();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("k1".into());
    let forged = encode(&header, &claims(), &EncodingKey::from_secret(public.as_bytes())).unwrap();
    assert_eq!(reason(&gate, &forged), "the token is signed with an algorithm that is not allowed here");
}

#[test]
fn a_token_without_the_scopes_that_every_call_needs_is_told_all_of_them() {
    let signer = Signer::ed("k1");
    let gate = gate(&spec(&["mcp:call", "mcp:admin"], &[]), &[&signer]);
    let denied = decided(gate.check(&bearer(&signer.sign(&claims())), &[HERE])).unwrap_err();
    assert_eq!(denied.why, Why::Scope("mcp:call mcp:admin".into()));
}

#[test]
fn a_configured_audience_stands_instead_of_the_url() {
    let signer = Signer::ed("k1");
    let gate = gate(&spec(&[], &["api://bridge"]), &[&signer]);
    assert_eq!(reason(&gate, &signer.sign(&claims())), "the token was issued for another resource");
    assert_eq!(reason(&gate, &signer.sign(&but(json!({"aud":"api://bridge"})))), "let in");
}

/// What is remembered of a token must not open another server's door.
#[test]
fn a_known_token_is_still_checked_for_each_resource() {
    let signer = Signer::ed("k1");
    let gate = gate(&spec(&[], &[]), &[&signer]);
    let token = signer.sign(&claims());
    assert!(decided(gate.check(&bearer(&token), &[HERE])).is_ok());
    assert!(decided(gate.check(&bearer(&token), &["https://b.example/servers/x/mcp"])).is_err());
}

#[test]
fn an_unknown_key_leads_to_one_fetch_within_the_floor() {
    let (signer, other) = (Signer::ed("k1"), Signer::ed("k2"));
    let gate = gate(&spec(&[], &[]), &[&signer]);
    // The keys are fresh: fetched within the floor, so nobody is asked again.
    let checked = gate.check(&bearer(&other.sign(&claims())), &[HERE]);
    let Checked::Later(later) = checked else { panic!("an unknown key is looked for") };
    let denied = futures::executor::block_on(later).unwrap_err();
    assert_eq!(denied.text(), "the token is signed with a key that its issuer does not have");
}

fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn tokens_of_a_file_have_names_and_are_compared_whole() {
    let (_dir, path) = file("# ours\none\n\nann: two\n");
    let gate = Gate { tokens: Some(Tokens::new(read_tokens(&path).unwrap())), api_key: None, oauth: None };
    let who = |lines: &[(&str, &str)]| {
        decided(gate.check(&headers(lines), &[]))
            .map_or_else(|denied| format!("{:?}", denied.why), |access| access.principal.0.to_string())
    };
    for (lines, want) in [
        (&[("authorization", "Bearer one")][..], "token-1"),
        (&[("authorization", "bearer  two ")], "ann"),
        (&[("authorization", "Bearer on")], "Invalid"),
        (&[("authorization", "Bearer onee")], "Invalid"),
        (&[("authorization", "Bearer ")], "Missing"),
        (&[("authorization", "Basic one")], "Missing"),
        (&[("authorization", "Bearer one"), ("authorization", "Bearer one")], "Invalid"),
        (&[("x-api-key", "one")], "Missing"),
        (&[], "Missing"),
    ] {
        assert_eq!(who(lines), want, "{lines:?}");
    }
    let keyed = Gate { api_key: Some(HeaderName::from_static("x-api-key")), ..gate };
    let access = decided(keyed.check(&headers(&[("x-api-key", "two")]), &[])).unwrap();
    assert_eq!((&*access.principal.0, access.scopes), ("ann", Scopes::All));
    let two = headers(&[("x-api-key", "two"), ("authorization", "Bearer two")]);
    assert!(decided(keyed.check(&two, &[])).is_err());
}

#[test]
fn a_file_of_tokens_that_is_wrong_is_refused_without_showing_any() {
    for (text, want) in [
        ("", "holds no token; write one a line"),
        ("# only\n", "holds no token; write one a line"),
        ("hunter 2\n", "line 1 is not a token; write one a line, or 'name: token'"),
        ("one\nhuntér2\n", "line 2 is not a token; write one a line, or 'name: token'"),
        ("ann: hunter2\nann: hunter3\n", "line 2 gives a name that an earlier line has; give each token its own"),
    ] {
        let (_dir, path) = file(text);
        let error = read_tokens(&path).unwrap_err().to_string();
        assert!(error.ends_with(want) && !error.contains("hunt"), "{error}");
    }
}

#[test]
fn a_file_of_tokens_is_read_anew_when_it_changed_and_kept_when_it_is_wrong() {
    let (_dir, path) = file("one\n");
    let tokens = Tokens::new(read_tokens(&path).unwrap());
    assert!(tokens.find(b"one").is_some());
    std::fs::File::create(&path).unwrap().write_all(b"second\n").unwrap();
    tokens.forget_the_time();
    assert!(tokens.find(b"one").is_none() && tokens.find(b"second").is_some());
    std::fs::write(&path, "").unwrap();
    tokens.forget_the_time();
    assert!(tokens.find(b"second").is_some());
}
