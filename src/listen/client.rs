//! Which address a request came from. Pure.
//!
//! Owns the reading of `X-Forwarded-For`. Talks to nobody. It never believes a header unless the connection itself came from
//! a proxy that is trusted, and reads no other forwarding header: `X-Forwarded-Proto`, `X-Forwarded-Host` and
//! `Forwarded` change nothing.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::config::traffic::Proxy;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address: the last one that no trusted proxy has. Each proxy adds at the right whom it was called by, so
/// what stands to the left of that one is its own claim. `None`: a Unix socket.
pub fn address(headers: &HeaderMap, peer: Option<IpAddr>, proxies: &[Proxy]) -> Option<IpAddr> {
    let trusted = |address| proxies.iter().any(|proxy| proxy.is(address));
    let mut client = peer.map(|peer| peer.to_canonical());
    let lines = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
    let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        if !trusted(client) {
            break;
        }
        // What cannot be read ends the way back: the proxy that passed it on is the last that is known.
        let Some(hop) = std::str::from_utf8(hop).ok().and_then(parse) else { break };
        client = Some(hop);
    }
    client
}

/// An address; some proxies add the port.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse::<IpAddr>().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn found(peer: Option<&str>, lines: &[&'static str]) -> Option<String> {
        let proxies = [("10.0.0.0", 8), ("fd00::", 8)];
        let mut proxies: Vec<Proxy> =
            proxies.iter().map(|(net, bits)| Proxy::net(net.parse().unwrap(), Some(*bits)).unwrap()).collect();
        proxies.push(Proxy::Unix);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        address(&headers, peer.map(|peer| peer.parse().unwrap()), &proxies).map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_as_far_as_they_know() {
        for (peer, lines, want) in [
            (Some("192.0.2.1"), &["203.0.113.9"][..], "192.0.2.1"),
            (Some("10.0.0.1"), &["203.0.113.9"], "203.0.113.9"),
            (Some("10.0.0.1"), &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (Some("10.0.0.1"), &["1.1.1.1, 203.0.113.9 , 10.0.0.2"], "203.0.113.9"),
            (Some("10.0.0.1"), &["1.1.1.1", "203.0.113.9,10.0.0.2"], "203.0.113.9"),
            (Some("10.0.0.1"), &[], "10.0.0.1"),
            (Some("10.0.0.1"), &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (Some("10.0.0.1"), &["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
            (Some("10.0.0.1"), &["203.0.113.9:4711"], "203.0.113.9"),
            (Some("10.0.0.1"), &["[2001:db8::1]:4711"], "2001:db8::1"),
            (Some("fd00::1"), &["2001:db8::1"], "2001:db8::1"),
            (Some("::ffff:10.0.0.1"), &["::ffff:203.0.113.9"], "203.0.113.9"),
            (None, &["203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(found(peer, lines).as_deref(), Some(want), "{peer:?} {lines:?}");
        }
        assert_eq!(found(None, &[]), None);
    }
}
