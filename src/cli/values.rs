//! How the values of flags are written: addresses, paths, origins, hosts; durations and sizes are those of `config`.
//!
//! Owns the parsers, pure functions that clap calls or `resolve` does. Talks to nobody. It never guesses: what can be
//! read in two ways is refused with the spelling to use.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use http::uri::Authority;
use url::Url;

pub(super) use crate::config::values::{duration, positive_duration, size};
use crate::{
    audit,
    config::{
        JwtAlgorithm,
        traffic::{Proxy, Rate},
    },
};

/// The variable of a flag that takes no value.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" => Ok(true),
        "false" | "no" | "off" | "n" | "f" | "0" => Ok(false),
        _ => Err("write true or false".into()),
    }
}

/// An address to bind. A name could mean several, and not all of them loopback.
pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| "write an IP address: 127.0.0.1, ::1, or 0.0.0.0 for all of IPv4".into())
}

/// The path of a route.
pub(super) fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("a path starts with /".into());
    }
    // Braces and stars mean something to the router; the others cannot stand in a path as it is sent.
    match text.chars().find(|c| !c.is_ascii_graphic() || "{}*?#<>\"\\^`|".contains(*c)) {
        Some(found) => {
            Err(format!("{found:?} cannot stand in a path; use letters, digits, '-', '_', '.', '~' and '/'"))
        }
        None => Ok(text.into()),
    }
}

/// The public URL of the bridge.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let advice = "write what clients use in front of the bridge's own paths, as in https://example.com/tools";
    let url = Url::parse(text).map_err(|error| unreadable(error, advice))?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(format!("only scheme, host, port and path belong here; {advice}")) }
}

/// The URL of a client's document (2026-07-28, Client ID Metadata Documents): https, with a path.
pub(super) fn client_metadata_url(text: &str) -> Result<Url, String> {
    let advice = "write the https URL of the document, as in https://example.com/client.json";
    let url = Url::parse(text).map_err(|error| unreadable(error, advice))?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if plain && url.scheme() == "https" && url.path() != "/" { Ok(url) } else { Err(advice.into()) }
}

fn unreadable(error: url::ParseError, advice: &str) -> String {
    match error {
        // Without a scheme: the advice shows it, and nobody who forgot it knows of bases.
        url::ParseError::RelativeUrlWithoutBase => advice.into(),
        _ => format!("{error}; {advice}"),
    }
}

/// An origin as browsers send it: lower case, no default port, no path.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let advice = "write scheme://host or scheme://host:port, as in https://app.example.com";
    if text == "*" {
        return Err(format!("* would let every web page call; {advice}, once for each"));
    }
    let url = Url::parse(text).map_err(|error| unreadable(error, advice))?;
    let bare = url.host_str().is_some_and(|host| !host.is_empty())
        && matches!(url.path(), "" | "/")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let Some(host) = url.host_str().filter(|_| bare) else { return Err(advice.into()) };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}://{}{port}", url.scheme(), host.to_ascii_lowercase()))
}

/// A value of `Host` that is served.
pub(super) fn allowed_host(text: &str) -> Result<String, String> {
    let advice = "write name or name:port, as in tools.example.com";
    if text.contains('*') {
        return Err(format!("* would undo the guard against DNS rebinding; {advice}, once for each"));
    }
    let authority: Authority = text.parse().map_err(|_| advice.to_string())?;
    let whole = match text.strip_prefix(authority.host()) {
        Some("") => true,
        Some(_) => authority.port_u16().is_some(),
        None => false,
    };
    if whole { Ok(text.to_ascii_lowercase()) } else { Err(advice.into()) }
}

/// Where the audit log goes.
pub(super) fn audit_log(text: &str) -> Result<audit::Place, String> {
    match text {
        "" => Err("name a file, or - for stderr".into()),
        "-" => Ok(audit::Place::Stderr),
        file => Ok(audit::Place::File(file.into())),
    }
}

/// The mode of a file, as chmod takes it.
#[cfg(unix)]
pub(super) fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err("write three octal digits, as in 600 or 660".into()),
    }
}

/// How a JWT may be signed, by its name in RFC 7518.
pub(super) fn algorithm(text: &str) -> Result<JwtAlgorithm, String> {
    let named = JwtAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == text);
    named.ok_or_else(|| {
        let names = JwtAlgorithm::ALL.map(JwtAlgorithm::name).join(", ");
        format!("no algorithm that proves who signed; use one of {names}")
    })
}

/// A TCP port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "write a number from 0 to 65535".into())
}

/// How often.
pub(super) fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "write a whole number, as in 5".into())
}

/// How many processes to start before they are needed. More is a slip of the hand, and a flood of processes.
pub(super) fn spares(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 0..=10_000) => Ok(number),
        _ => Err("write a number from 0 to 10000".into()),
    }
}

/// How many sessions. The ceiling keeps the count within what a semaphore can hold.
pub(super) fn sessions(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("write a number from 1 to 1000000".into()),
    }
}

/// The most of a rate: its requests are told apart by the microsecond.
const MOST_REQUESTS: u32 = 1_000_000;

/// `20`, `20/s`, `600/m` or `5000/h`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("write requests a second, minute or hour, as in 20, 20/s, 600/m or 5000/h".into()),
    };
    match count.trim().parse() {
        Ok(count @ 1..=MOST_REQUESTS) => Ok(Rate { count, period: Duration::from_secs(seconds) }),
        _ => Err(format!("write a number from 1 to {MOST_REQUESTS}, as in 20, 20/s, 600/m or 5000/h")),
    }
}

/// How many calls.
pub(super) fn concurrent(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("write a number from 1 to 1000000".into()),
    }
}

/// A reverse proxy: an address, a network, or whoever comes by a Unix socket.
pub(super) fn proxy(text: &str) -> Result<Proxy, String> {
    let advice = "write an IP address or a network, as in 10.0.0.7, 10.0.0.0/8 or fd00::/8, or unix";
    if text == "unix" {
        return Ok(Proxy::Unix);
    }
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| advice.to_string())?)),
        None => (text, None),
    };
    let address = address.parse().map_err(|_| advice.to_string())?;
    Proxy::net(address, bits).ok_or_else(|| format!("there are not so many bits in that address; {advice}"))
}
