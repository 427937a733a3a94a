//! Where a server may send the bridge during a login.
//!
//! Owns the judgement of URLs and addresses that a server names. Pure. A server must not make the bridge call, or a browser
//! open, what the server itself could not reach: this machine, its network, the metadata service of its cloud (Security
//! Best Practices, Server-Side Request Forgery). The server's own host is always fine: the user named it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The longest URL that is taken from a server.
const MAX_URL: usize = 8 * 1024;

/// Which addresses are within reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The host that the user named.
    pub home: String,
    /// This machine.
    pub loopback: bool,
    /// The networks that are nobody's in particular (RFC 1918, RFC 4193, RFC 6598).
    pub private: bool,
}

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Public,
    Private,
    Loopback,
    /// Nothing that is called on purpose: link-local, where clouds have their metadata; multicast; reserved.
    Never,
}

impl Reach {
    /// What a server at `url` may name. `addresses`: where its name leads, as far as that is known. A server on this machine
    /// may name this machine and its network; one in a private network, that network.
    pub fn of(url: &Url, addresses: &[IpAddr]) -> Reach {
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        let named = matches!(url.host(), Some(Host::Domain(name)) if is_localhost(name));
        let loopback = named || literal.is_some_and(|ip| class(ip) == Class::Loopback);
        let inside = |ip: &IpAddr| matches!(class(*ip), Class::Private | Class::Loopback);
        let private =
            loopback || literal.as_ref().is_some_and(inside) || (!addresses.is_empty() && addresses.iter().all(inside));
        Reach { home: url.host_str().unwrap_or_default().to_ascii_lowercase(), loopback, private }
    }

    /// Whether an address may be called for a name.
    pub fn takes(&self, name: &str, ip: IpAddr) -> bool {
        name.eq_ignore_ascii_case(&self.home)
            || match class(ip) {
                Class::Public => true,
                Class::Private => self.private,
                Class::Loopback => self.loopback,
                Class::Never => false,
            }
    }

    /// Why the bridge does not call a URL that a server names; to stand after "it names URL, ".
    pub fn fault_of(&self, url: &Url) -> Option<&'static str> {
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Some("which is no plain http or https URL");
        }
        if url.as_str().len() > MAX_URL {
            return Some("which is too long");
        }
        let name = url.host_str().unwrap_or_default();
        let (near, out) = match url.host() {
            Some(Host::Domain(name)) => (is_localhost(name), is_localhost(name) && !self.loopback),
            Some(Host::Ipv4(ip)) => (ip.is_loopback(), !self.takes(name, IpAddr::V4(ip))),
            Some(Host::Ipv6(ip)) => (class(IpAddr::V6(ip)) == Class::Loopback, !self.takes(name, IpAddr::V6(ip))),
            None => return Some("which has no host"),
        };
        if out && name.to_ascii_lowercase() != self.home {
            return Some("an address that no server may send the bridge to");
        }
        if url.scheme() == "http" && !near {
            return Some("which is not encrypted (http)");
        }
        None
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn class(ip: IpAddr) -> Class {
    match ip {
        IpAddr::V4(ip) => class_of_v4(ip),
        IpAddr::V6(ip) => class_of_v6(ip),
    }
}

fn class_of_v4(ip: Ipv4Addr) -> Class {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let reserved = a == 0 || a >= 224 || (a == 198 && (18..20).contains(&b)) || (a == 192 && b == 0 && c == 0);
    match () {
        () if ip.is_loopback() => Class::Loopback,
        () if ip.is_private() || shared => Class::Private,
        () if ip.is_link_local() || reserved || ip.is_documentation() => Class::Never,
        () => Class::Public,
    }
}

fn class_of_v6(ip: Ipv6Addr) -> Class {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let low = Ipv4Addr::from((u32::from(g) << 16) | u32::from(h));
    match [a, b, c, d, e, f] {
        _ if ip.is_loopback() => Class::Loopback,
        // IPv4 in other clothes: mapped, compatible, NAT64, 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => class_of_v4(low),
        [0x2002, ..] => class_of_v4(Ipv4Addr::from((u32::from(b) << 16) | u32::from(c))),
        [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] | [0x2001, 0xdb8, ..] => Class::Never,
        // Nitro's metadata service is in the private range.
        [0xfd00, 0xec2, ..] => Class::Never,
        _ if ip.is_unique_local() => Class::Private,
        _ if ip.is_multicast() || ip.is_unicast_link_local() || ip.is_unspecified() => Class::Never,
        _ => Class::Public,
    }
}

/// A URL that a person is to open. It goes to the operating system as one argument, so what could be taken for a flag, a
/// path or a command is refused (CVE-2025-6514), and so is what a terminal would act upon.
pub fn for_browser(text: &str, reach: &Reach) -> Result<Url, String> {
    let refused = |why: &str| Err(format!("its authorization server names a page to open {why}, so it is not opened"));
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refused("that holds spaces or control characters");
    }
    let Ok(url) = Url::parse(text) else { return refused("that is no URL") };
    match reach.fault_of(&url) {
        Some(why) => refused(&format!("at {}:, {why}", url.scheme())),
        None => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(url: &str) -> Reach {
        Reach::of(&url.parse().unwrap(), &[])
    }

    #[test]
    fn a_public_server_cannot_name_what_is_inside() {
        let public = reach("https://mcp.example/mcp");
        for url in [
            "http://169.254.169.254/latest",
            "https://169.254.169.254/",
            "https://[::ffff:169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[2002:7f00:1::]/",
            "https://[::1]/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://localhost/",
            "https://a.localhost./",
            "https://10.0.0.1/",
            "https://192.168.1.1/",
            "https://100.64.0.1/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://0.0.0.0/",
            "file:///etc/passwd",
            "http://as.example/token",
            "https://user:pw@as.example/",
        ] {
            assert!(public.fault_of(&url.parse().unwrap()).is_some(), "{url}");
        }
        assert_eq!(public.fault_of(&"https://as.example/token".parse().unwrap()), None);
        assert!(!public.takes("as.example", "10.0.0.1".parse().unwrap()));
        assert!(!public.takes("as.example", "127.0.0.1".parse().unwrap()));
        assert!(public.takes("as.example", "1.1.1.1".parse().unwrap()));
        assert!(public.takes("MCP.example", "10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_server_may_name_what_is_near_itself() {
        let local = reach("http://127.0.0.1:8000/mcp");
        for url in ["http://127.0.0.1:9/token", "http://localhost/", "https://10.1.1.1/", "https://as.example/"] {
            assert_eq!(local.fault_of(&url.parse().unwrap()), None, "{url}");
        }
        assert!(local.fault_of(&"http://10.1.1.1/".parse().unwrap()).is_some());
        assert!(local.fault_of(&"https://169.254.169.254/".parse().unwrap()).is_some());
        let corporate = Reach::of(&"https://mcp.corp/".parse().unwrap(), &["10.0.0.5".parse().unwrap()]);
        assert!(corporate.takes("sso.corp", "10.0.0.9".parse().unwrap()));
        assert!(!corporate.takes("sso.corp", "127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_browser_gets_web_pages_only() {
        let reach = reach("https://mcp.example/mcp");
        for text in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ms-cxh:x",
            "a:b",
            "-flag",
            "--help",
            "https://as.example/\r\nX",
            "https://as.example/ -flag",
            "http://as.example/authorize",
            "https://127.0.0.1/",
            "",
        ] {
            assert!(for_browser(text, &reach).is_err(), "{text:?}");
        }
        let url = for_browser("https://x.example/$(calc)`id`;&|?a='b'\"", &reach).unwrap();
        assert!(url.as_str().starts_with("https://x.example/"));
    }
}
