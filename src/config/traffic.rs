//! How much one caller may ask, and who may say where a request came from.
//!
//! Owns the types. Talks to nobody. It never counts.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// What holds for each caller of the listening side. By default nothing is limited here: how much a server bears is not
/// known, a model may rightly call it many times a second, and memory is bounded by [`super::Limits`] in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Reverse proxies that are believed in what they say about their client. `--trusted-proxy`, none.
    pub proxies: Vec<Proxy>,
    /// Requests of one caller. Stops floods and the guessing of tokens. `--rate-limit`, none.
    pub rate: Option<Rate>,
    /// Calls at once of one caller. Stops one from taking every place. `--max-concurrent`, none.
    pub max_concurrent: Option<u32>,
}

/// So many in each period, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// More than zero.
    pub period: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.period.as_secs() {
            0 | 1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// A reverse proxy, or several of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// Addresses whose first bits are these. IPv4 is kept as IPv4-mapped IPv6.
    Net(Ipv6Addr, u8),
    /// Whoever connects to a Unix socket.
    Unix,
}

impl Proxy {
    /// The network of an address, with so many of its first bits; all of them by default. `None` when there are not so
    /// many.
    pub fn net(address: IpAddr, bits: Option<u8>) -> Option<Proxy> {
        let (address, width) = match address.to_canonical() {
            IpAddr::V4(address) => (address.to_ipv6_mapped(), 32),
            IpAddr::V6(address) => (address, 128),
        };
        let bits = bits.unwrap_or(width);
        (bits <= width).then(|| Proxy::Net(address, bits + (128 - width)))
    }

    /// Whether this is the one that a connection came from; `None` is a Unix socket.
    pub fn is(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Proxy::Unix, None) => true,
            (Proxy::Net(network, bits), Some(peer)) => {
                let peer = match peer {
                    IpAddr::V4(peer) => peer.to_ipv6_mapped(),
                    IpAddr::V6(peer) => peer,
                };
                let differing = network.to_bits() ^ peer.to_bits();
                differing.checked_shr(128 - u32::from(*bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(network: &str, bits: Option<u8>, peer: &str) -> bool {
        Proxy::net(network.parse().unwrap(), bits).unwrap().is(Some(peer.parse().unwrap()))
    }

    #[test]
    fn networks_hold_their_addresses_in_every_spelling_and_no_others() {
        assert!(is_in("10.0.0.0", Some(8), "10.255.0.1"));
        assert!(is_in("10.0.0.0", Some(8), "::ffff:10.1.2.3"));
        assert!(is_in("::ffff:10.0.0.1", None, "10.0.0.1"));
        assert!(!is_in("10.0.0.0", Some(8), "11.0.0.1"));
        assert!(!is_in("10.0.0.1", None, "10.0.0.2"));
        assert!(is_in("fd00::", Some(8), "fdff::1"));
        assert!(!is_in("fd00::", Some(8), "fe80::1"));
        assert!(is_in("0.0.0.0", Some(0), "1.2.3.4") && !is_in("0.0.0.0", Some(0), "2001:db8::1"));
        assert!(is_in("::", Some(0), "2001:db8::1"));
        assert!(Proxy::net("10.0.0.0".parse().unwrap(), Some(33)).is_none());
        assert!(Proxy::Unix.is(None) && !Proxy::Unix.is(Some(IpAddr::from([127, 0, 0, 1]))));
    }
}
