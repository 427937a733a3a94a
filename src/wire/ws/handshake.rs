//! The opening handshake (RFC 6455, 4), on both sides.
//!
//! Owns what is asked for and what is answered, and the check of either. Pure but for the random key. It never opens
//! anything.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

use crate::wire::exchange::{self, Refusal, Response};

/// What both ends speak on top of WebSocket.
const SUBPROTOCOL: &str = "mcp";

/// Hashed along with the client's key (RFC 6455, 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("Upgrade");

/// What a server answers to a key.
fn accept_of(key: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(MAGIC);
    STANDARD.encode(hash.finish())
}

/// Checks a client's request, and gives the answer that opens the connection.
pub fn answer<B>(request: &http::Request<B>) -> Result<Response, Refusal> {
    let headers = request.headers();
    if request.version() != Version::HTTP_11 {
        return Err(bad("WebSocket takes HTTP/1.1"));
    }
    if *request.method() != Method::GET {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "WebSocket takes GET");
        return Err(refusal.header(header::ALLOW, HeaderValue::from_static("GET")));
    }
    if !lists(headers, &header::UPGRADE, "websocket") || !lists(headers, &header::CONNECTION, "upgrade") {
        let text = "this path speaks WebSocket (Upgrade: websocket)";
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, text).header(header::UPGRADE, WEBSOCKET));
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        let text = "the bridge speaks version 13 of WebSocket";
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, text).header(header::SEC_WEBSOCKET_VERSION, VERSION));
    }
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let Some(key) = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16)) else {
        return Err(bad("Sec-WebSocket-Key is missing, or no 16 bytes in base64"));
    };
    let offers = headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    if offers && !lists(headers, &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(bad("no subprotocol that was offered is one of the bridge's; offer mcp, or none"));
    }
    let accept = HeaderValue::try_from(accept_of(key)).map_err(|_| bad("Sec-WebSocket-Key cannot be answered"))?;
    let mut response = exchange::empty(StatusCode::SWITCHING_PROTOCOLS);
    let answer = response.headers_mut();
    answer.insert(header::CONNECTION, UPGRADE);
    answer.insert(header::UPGRADE, WEBSOCKET);
    answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if offers {
        answer.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(response)
}

fn bad(text: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

/// A client's request, and what it has to be answered with.
#[derive(Debug)]
pub struct Asked {
    accept: String,
}

/// The headers that ask for a connection.
pub fn ask() -> Option<(HeaderMap, Asked)> {
    let mut key = [0; 16];
    aws_lc_rs::rand::fill(&mut key).ok()?;
    let key = STANDARD.encode(key);
    let headers = HeaderMap::from_iter([
        (header::CONNECTION, UPGRADE),
        (header::UPGRADE, WEBSOCKET),
        (header::SEC_WEBSOCKET_VERSION, VERSION),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL)),
        (header::SEC_WEBSOCKET_KEY, HeaderValue::try_from(&key).ok()?),
    ]);
    Some((headers, Asked { accept: accept_of(key.as_bytes()) }))
}

impl Asked {
    /// Checks the head of a 101; what is wrong stands after "its answer".
    pub fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        if !lists(headers, &header::UPGRADE, "websocket") || !lists(headers, &header::CONNECTION, "upgrade") {
            return Err("does not switch to WebSocket".into());
        }
        if only(headers, &header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes) != Some(self.accept.as_bytes()) {
            return Err("does not fit the key that was sent".into());
        }
        // Servers without a notion of subprotocols name none.
        let named = headers.get(header::SEC_WEBSOCKET_PROTOCOL);
        if named.is_some_and(|named| named != SUBPROTOCOL) {
            return Err("names a subprotocol that was not offered".into());
        }
        match headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
            true => Err("names an extension that was not offered".into()),
            false => Ok(()),
        }
    }
}

/// The one header of this name.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())
}

/// Whether a header is a list that holds this word.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn answered(lines: &[(&str, &str)]) -> Result<Response, u16> {
        let mut request = http::Request::get("/ws");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        answer(&request.body(()).unwrap()).map_err(|refusal| refusal.into_response().status().as_u16())
    }

    fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        let rest = GOOD.into_iter().filter(|(known, _)| *known != name);
        rest.chain((!value.is_empty()).then_some((name, value))).collect()
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_it_says() {
        let response = answered(&GOOD).unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!response.headers().contains_key("sec-websocket-protocol"));
        let response = answered(&with("sec-websocket-protocol", "chat, mcp")).unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "mcp");
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for (name, value, status) in [
            ("upgrade", "h2c", 426),
            ("connection", "close", 426),
            ("sec-websocket-version", "8", 426),
            ("sec-websocket-version", "", 426),
            ("sec-websocket-key", "", 400),
            ("sec-websocket-key", "c2hvcnQ=", 400),
            ("sec-websocket-key", "no base64", 400),
            ("sec-websocket-protocol", "chat", 400),
            ("sec-websocket-protocol", "mcp2, xmcp", 400),
        ] {
            assert_eq!(answered(&with(name, value)).map(|_| ()), Err(status), "{name}: {value}");
        }
        let post = http::Request::post("/ws").body(()).unwrap();
        assert_eq!(answer(&post).unwrap_err().into_response().status(), 405);
    }

    #[test]
    fn a_servers_answer_is_checked() {
        let (headers, asked) = ask().unwrap();
        let mut request = http::Request::get("/ws").body(()).unwrap();
        *request.headers_mut() = headers;
        let good = answer(&request).unwrap().headers().clone();
        assert_eq!(asked.check(&good), Ok(()));
        for (name, value, word) in [
            (header::SEC_WEBSOCKET_ACCEPT, "x", "key"),
            (header::SEC_WEBSOCKET_PROTOCOL, "chat", "subprotocol"),
            (header::SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate", "extension"),
            (header::UPGRADE, "h2c", "switch"),
        ] {
            let mut bad = good.clone();
            bad.insert(name, HeaderValue::from_static(value));
            assert!(asked.check(&bad).unwrap_err().contains(word));
        }
    }
}
