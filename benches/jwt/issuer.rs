//! An authorization server as far as the bridge asks it: one RSA key, published on loopback, and tokens signed with it.
//!
//! Owns the key and the socket. Talks to whoever asks for the key, from a thread of its own. It checks nothing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::json;

use crate::Outcome;

/// For whom tokens are.
pub const AUDIENCE: &str = "urn:bench";

/// The server. Its thread ends with the process.
pub struct Issuer {
    pub url: String,
    key: KeyPair,
}

impl Issuer {
    pub fn start() -> Outcome<Issuer> {
        let key = KeyPair::generate(KeySize::Rsa2048)?;
        let part = |bytes: &[u8]| BASE64.encode(bytes);
        let public = key.public_key();
        let (modulus, exponent) = (
            part(public.modulus().big_endian_without_leading_zero()),
            part(public.exponent().big_endian_without_leading_zero()),
        );
        let keys = json!({ "keys": [{ "kty": "RSA", "n": modulus, "e": exponent, "kid": "1", "use": "sig", "alg": "RS256" }] });
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One that cannot be answered is missed where its key is.
                let _ = answer(&stream, &keys.to_string());
            }
        });
        Ok(Issuer { url, key })
    }

    /// Where its keys are.
    pub fn keys_url(&self) -> String {
        format!("{}/keys", self.url)
    }

    /// A token like those that authorization servers give out. Each `number` gives another.
    pub fn token(&self, number: usize) -> Outcome<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let head = json!({ "alg": "RS256", "typ": "at+jwt", "kid": "1" });
        let claims = json!({
            "iss": self.url,
            "sub": "ann",
            "aud": AUDIENCE,
            "client_id": "bench",
            "scope": "mcp:tools mcp:resources",
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "jti": format!("00000000-0000-4000-8000-{number:012}"),
        });
        let signed = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", BASE64.encode(signature)))
    }

    /// Checks a token's signature and nothing else, with the library and the form of the key that the bridge has.
    pub fn check(&self, token: &str) -> Outcome<()> {
        let (signed, signature) = token.rsplit_once('.').ok_or("no token")?;
        let public = self.key.public_key();
        let key = RsaPublicKeyComponents {
            n: public.modulus().big_endian_without_leading_zero(),
            e: public.exponent().big_endian_without_leading_zero(),
        };
        Ok(key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &BASE64.decode(signature)?)?)
    }
}

/// Whatever is asked for, the answer is the keys.
fn answer(mut stream: &std::net::TcpStream, keys: &str) -> std::io::Result<()> {
    // Ends with the request's head.
    for line in BufReader::new(stream).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let length = keys.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{keys}"
    )
}
