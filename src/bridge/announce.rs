//! What is said at the start: where to connect, and what to paste into a client.
//!
//! Owns the wording and the entries. Talks to the log, which decides how much of it is shown and in which form. It never
//! shows a token.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
};

use serde::Serialize;
use serde_json::{Value, json};
use tracing::info;

use crate::{
    config::{AGGREGATE, Door, NetworkSpec, Output, ServerSpec},
    listen::{Place, home},
    observe,
    wire::Wire,
};

/// What a client calls the variable that holds the token.
const TOKEN: &str = "${TOKEN}";

/// Says where `network` offers these servers, and all of them as one, a line for each socket: for a person, and for scripts
/// that asked for port 0.
pub(super) fn announce(places: &[Place], network: &NetworkSpec, servers: &[ServerSpec], aggregate: bool) {
    let all: Vec<_> = places.iter().map(|place| Announcement::new(place, network)).collect();
    let name = match servers {
        [only] => only.name.to_string(),
        several => format!("{} servers", several.len()),
    };
    let root = aggregate || servers.iter().any(|server| server.at_root);
    for said in &all {
        let url = |wire| said.urls.iter().find(|url| url.wire == wire && root).map(|url| url.at("", true));
        // The text form shows the message, the JSON form the fields, too.
        info!(
            target: observe::LISTENING,
            name,
            listening = said.listening,
            http = url(Wire::Http),
            sse = url(Wire::Sse),
            ws = url(Wire::Ws),
            "{name} listening on {}", said.listening
        );
    }
    // Entries for one of them are enough: TCP, which clients of all kinds can reach.
    if let Some(said) = all.iter().find(|said| !said.is_unix).or(all.first()) {
        info!(target: observe::ENTRIES, "{}", said.entries(servers, aggregate, &command()));
    }
}

/// The URLs of one socket.
struct Announcement {
    /// What was bound, as a URL.
    listening: String,
    /// Whether it has no other URL: `unix:` is one that only the bridge knows.
    is_unix: bool,
    urls: Vec<Reached>,
    asks_for_token: bool,
    asks_for_certificate: bool,
}

/// What clients of one wire are given.
struct Reached {
    wire: Wire,
    base: String,
    path: String,
}

impl Reached {
    fn at(&self, name: &str, at_root: bool) -> String {
        format!("{}{}{}", self.base, home(name, at_root), self.path)
    }
}

impl Announcement {
    fn new(place: &Place, network: &NetworkSpec) -> Announcement {
        let is_unix = network.base_url.is_none() && matches!(place, Place::Unix(_));
        let base = match (&network.base_url, place) {
            (Some(url), _) => url.as_str().trim_end_matches('/').to_string(),
            (None, Place::Tcp { address, tls }) => {
                let scheme = if *tls { "https" } else { "http" };
                // Brackets around IPv6 come with the port.
                format!("{scheme}://{}", SocketAddr::new(reachable(address.ip()), address.port()))
            }
            (None, Place::Unix(_)) => format!("{place}:"),
        };
        let url = |output: &Output| {
            // `https` becomes the secure one of the wire's own schemes.
            let scheme = output.wire.listed().schemes.first().copied().unwrap_or("http");
            let base = if is_unix { base.clone() } else { base.replacen("http", scheme, 1) };
            Reached { wire: output.wire, base, path: output.path().into() }
        };
        Announcement {
            listening: place.to_string(),
            is_unix,
            urls: network.outputs.iter().map(url).collect(),
            // Where there is an authorization server, clients find it and log in by themselves; a token that nobody has
            // would only keep them from it.
            asks_for_token: matches!(&network.door, Door::Locked(gate) if gate.issuer().is_none()),
            asks_for_certificate: network.tls.as_ref().is_some_and(|tls| tls.asks_for_certificate()),
        }
    }

    fn entries(&self, servers: &[ServerSpec], aggregate: bool, command: &str) -> String {
        let whole = aggregate.then_some((AGGREGATE, true));
        let places = servers.iter().map(|server| (server.name.as_str(), server.at_root));
        let places: Vec<_> = whole.into_iter().chain(places).collect();
        self.entries_of(&places, command)
    }

    /// `servers`: the name of each, and whether it is at the root.
    fn entries_of(&self, servers: &[(&str, bool)], command: &str) -> String {
        let mut lines = Vec::new();
        for (name, at_root) in servers {
            if servers.len() > 1 {
                lines.push(format!("  {name}"));
            }
            let line = |url: &Reached| format!("  {:<15}  {}", url.wire.listed().title, url.at(name, *at_root));
            lines.extend(self.urls.iter().map(line));
        }
        // The older transport has no modern era, and fewer clients speak the others.
        if let Some(best) = self.urls.iter().find(|url| url.wire == Wire::Http).or(self.urls.first()) {
            let all: Vec<_> = servers.iter().map(|(name, root)| (key(name), best.at(name, *root))).collect();
            let word = best.wire.listed().word;
            let remote: BTreeMap<_, _> = all.iter().map(|(key, url)| (key.as_str(), self.remote(word, url))).collect();
            let stdio = all.iter().map(|(key, url)| (key.as_str(), self.stdio(command, url))).collect();
            // No client reads an entry for WebSocket.
            if best.wire != Wire::Ws && !self.is_unix {
                lines.push(format!("  client entry     {}", pasted(remote)));
            }
            lines.push(format!("  stdio clients    {}", pasted(stdio)));
        }
        lines.join("\n")
    }

    /// For a client that speaks HTTP.
    fn remote<'a>(&self, kind: &'a str, url: &'a str) -> Entry<'a> {
        let headers = self.asks_for_token.then(|| json!({"Authorization": format!("Bearer {TOKEN}")}));
        Entry::Remote { kind, url, headers }
    }

    /// For a client that only starts commands.
    fn stdio<'a>(&self, command: &'a str, url: &'a str) -> Entry<'a> {
        let mut args = vec!["connect", url];
        if self.asks_for_token {
            args.extend(["--bearer", TOKEN]);
        }
        if self.asks_for_certificate {
            args.extend(["--client-cert", "FILE"]);
        }
        Entry::Stdio { command, args, env: self.asks_for_token.then(|| json!({"TOKEN": "..."})) }
    }
}

/// What clients call a server, in the order in which people read it.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Remote {
        #[serde(rename = "type")]
        kind: &'a str,
        url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        headers: Option<Value>,
    },
    Stdio {
        command: &'a str,
        args: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        env: Option<Value>,
    },
}

/// Entries as they are pasted, by their keys.
fn pasted(entries: BTreeMap<&str, Entry<'_>>) -> String {
    // Texts and maps of texts: nothing in it can fail.
    serde_json::to_string(&BTreeMap::from([("mcpServers", entries)])).unwrap_or_default()
}

/// A name that every client takes as a key.
fn key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let key: String = name.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    if key.is_empty() { "server".into() } else { key }
}

/// An address to connect to. "All addresses" is none: this machine's own on the way out stands for it. Not its name: the
/// check of `Host` serves addresses, and a name only with `--allow-host`.
fn reachable(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(address) if address.is_unspecified() => outward().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        // It takes IPv4, too, which more clients can reach.
        IpAddr::V6(address) if address.is_unspecified() => outward().unwrap_or(Ipv6Addr::LOCALHOST.into()),
        named => named,
    }
}

/// The address that this machine would send from. Connecting a datagram socket sends nothing; the address is one that
/// is kept for documentation (RFC 5737).
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

/// How a client starts this program: by its name where the `PATH` leads to it, by its full path otherwise.
fn command() -> String {
    let name = "mcp-bridge";
    let Ok(this) = std::env::current_exe() else { return name.into() };
    let real = |path: &Path| path.canonicalize().ok();
    let found = which::which_global(name).ok().and_then(|path| real(&path));
    match found.is_some() && found == real(&this) {
        true => name.into(),
        false => this.to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::{
        auth::resource::Gate,
        config::{Cors, DoorSpec, ResourceSpec, Secret, TokenCheck},
    };

    fn network(http: bool, sse: bool) -> NetworkSpec {
        NetworkSpec {
            listen: Vec::new(),
            tls: None,
            outputs: [(sse, Wire::Sse), (http, Wire::Http)]
                .into_iter()
                .filter(|(offered, _)| *offered)
                .map(|(_, wire)| Output::usual(wire))
                .collect(),
            base_url: None,
            cors: Cors::Off,
            allow_origin: Vec::new(),
            allow_host: Vec::new(),
            health_path: "/healthz".into(),
            door: Door::Open,
            traffic: Default::default(),
            audit: None,
            keepalive: std::time::Duration::ZERO,
            keepalive_event: false,
            exit_with_stdin: false,
        }
    }

    fn tcp(address: &str) -> Place {
        Place::Tcp { address: address.parse().unwrap(), tls: false }
    }

    fn entries(address: &str, network: &NetworkSpec, name: &str, command: &str) -> String {
        Announcement::new(&tcp(address), network).entries_of(&[(name, true)], command)
    }

    fn http(said: &Announcement) -> String {
        said.urls.iter().find(|url| url.wire == Wire::Http).unwrap().at("", true)
    }

    #[test]
    fn several_servers_have_an_entry_each() {
        let said = Announcement::new(&tcp("127.0.0.1:8000"), &network(true, false));
        let text = said.entries_of(&[("default", true), ("my.time", false)], "mcp-bridge");
        let entries = parsed(&text);
        assert_eq!(entries[0]["mcpServers"]["default"]["url"], "http://127.0.0.1:8000/mcp");
        assert_eq!(entries[0]["mcpServers"]["my-time"]["url"], "http://127.0.0.1:8000/servers/my.time/mcp");
        assert_eq!(entries[1]["mcpServers"]["my-time"]["args"][1], "http://127.0.0.1:8000/servers/my.time/mcp");
        assert!(text.contains("  my.time\n  Streamable HTTP  http://127.0.0.1:8000/servers/my.time/mcp\n"), "{text}");
    }

    /// The two entries, read back.
    fn parsed(text: &str) -> Vec<Value> {
        let entries = text.lines().filter_map(|line| line.find('{').and_then(|at| line.get(at..)));
        entries.map(|entry| serde_json::from_str(entry).unwrap()).collect()
    }

    #[test]
    fn each_transport_has_its_url_and_clients_their_entries() {
        let text = entries("127.0.0.1:8000", &network(true, true), "time", "mcp-bridge");
        assert_eq!(
            text,
            "  HTTP+SSE         http://127.0.0.1:8000/sse\n  Streamable HTTP  http://127.0.0.1:8000/mcp\n  \
             client entry     {\"mcpServers\":{\"time\":{\"type\":\"http\",\"url\":\"http://127.0.0.1:8000/mcp\"}}}\n  \
             stdio clients    {\"mcpServers\":{\"time\":{\"command\":\"mcp-bridge\",\
             \"args\":[\"connect\",\"http://127.0.0.1:8000/mcp\"]}}}"
        );
        let text = entries("127.0.0.1:8000", &network(false, true), "time", "mcp-bridge");
        assert!(!text.contains("/mcp") && text.contains(r#""type":"sse","url":"http://127.0.0.1:8000/sse""#), "{text}");
    }

    #[test]
    fn websocket_is_announced_with_its_own_scheme() {
        let spec = NetworkSpec { outputs: vec![Output::usual(Wire::Ws)], ..network(false, false) };
        let text = entries("127.0.0.1:8000", &spec, "time", "mcp-bridge");
        assert_eq!(
            text,
            "  WebSocket        ws://127.0.0.1:8000/ws\n  stdio clients    {\"mcpServers\":{\"time\":{\"command\":\"mcp-bridge\",\
             \"args\":[\"connect\",\"ws://127.0.0.1:8000/ws\"]}}}"
        );
        let base_url = Some(Url::parse("https://mcp.example.com/x").unwrap());
        let said = Announcement::new(&tcp("0.0.0.0:80"), &NetworkSpec { base_url, ..spec });
        assert_eq!(said.urls[0].at("", true), "wss://mcp.example.com/x/ws");
    }

    #[test]
    fn a_path_with_backslashes_quotes_and_spaces_stands_in_an_entry_as_it_is() {
        let path = r#"C:\Program Files\a "b"\mcp-bridge.exe"#;
        let text = entries("127.0.0.1:1", &network(true, false), "a b/c", path);
        assert_eq!(parsed(&text)[1]["mcpServers"]["a-b-c"]["command"], path);
    }

    #[test]
    fn a_token_is_asked_for_in_both_entries_and_never_shown() {
        let door = Door::Locked(Gate::of_tokens([Secret::new("hunter2")]).into());
        let text = entries("127.0.0.1:1", &NetworkSpec { door, ..network(true, true) }, "x", "mcp-bridge");
        let entries = parsed(&text);
        assert_eq!(entries[0]["mcpServers"]["x"]["headers"]["Authorization"], "Bearer ${TOKEN}");
        assert_eq!(entries[1]["mcpServers"]["x"]["env"], json!({"TOKEN": "..."}));
        assert_eq!(
            entries[1]["mcpServers"]["x"]["args"],
            json!(["connect", "http://127.0.0.1:1/mcp", "--bearer", "${TOKEN}"])
        );
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn where_clients_can_log_in_no_entry_asks_for_a_token() {
        let oauth = ResourceSpec {
            issuer: "https://as.example".into(),
            audience: [].into(),
            scopes: [].into(),
            tool_scopes: [].into(),
            leeway: std::time::Duration::ZERO,
            check: TokenCheck::Jwt { algorithms: [].into(), keys: None },
        };
        let gate = Gate::new(DoorSpec { tokens: None, api_key: None, oauth: Some(oauth) }).unwrap();
        let door = Door::Locked(gate.into());
        let entries = parsed(&entries("127.0.0.1:1", &NetworkSpec { door, ..network(true, true) }, "x", "mcp-bridge"));
        assert_eq!(entries[0]["mcpServers"]["x"], json!({"type": "http", "url": "http://127.0.0.1:1/mcp"}));
        let stdio = json!({"command": "mcp-bridge", "args": ["connect", "http://127.0.0.1:1/mcp"]});
        assert_eq!(entries[1]["mcpServers"]["x"], stdio);
    }

    #[test]
    fn all_addresses_are_announced_as_one_that_can_be_reached() {
        for address in ["0.0.0.0:8000", "[::]:8000"] {
            let said = Announcement::new(&tcp(address), &network(true, false));
            assert_eq!(said.listening, format!("http://{address}"));
            let url = Url::parse(&http(&said)).unwrap();
            let host = url.host_str().unwrap().trim_matches(['[', ']']).parse::<IpAddr>().unwrap();
            assert!(!host.is_unspecified(), "{url}");
            assert_eq!((url.port(), url.path()), (Some(8000), "/mcp"));
        }
        let said = Announcement::new(&tcp("[::1]:8000"), &network(true, false));
        assert_eq!(http(&said), "http://[::1]:8000/mcp");
        let base_url = Some(Url::parse("https://mcp.example.com/tools/").unwrap());
        let said = Announcement::new(&tcp("0.0.0.0:80"), &NetworkSpec { base_url, ..network(true, false) });
        assert_eq!(http(&said), "https://mcp.example.com/tools/mcp");
    }

    #[test]
    fn with_tls_urls_are_https_and_a_unix_socket_has_a_url_for_the_bridge_itself() {
        let place = Place::Tcp { address: "127.0.0.1:8443".parse().unwrap(), tls: true };
        let said = Announcement::new(&place, &network(true, true));
        assert_eq!(
            (said.listening.as_str(), http(&said).as_str()),
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443/mcp")
        );
        let place = Place::Unix("/run/http.sock".into());
        let said = Announcement::new(&place, &network(true, false));
        assert_eq!(said.listening, "unix:/run/http.sock");
        assert_eq!(
            said.entries_of(&[("x", true)], "mcp-bridge"),
            "  Streamable HTTP  unix:/run/http.sock:/mcp\n  stdio clients    {\"mcpServers\":{\"x\":{\"command\":\
             \"mcp-bridge\",\"args\":[\"connect\",\"unix:/run/http.sock:/mcp\"]}}}"
        );
        // Behind a proxy, clients use its URL.
        let base_url = Some(Url::parse("https://mcp.example.com").unwrap());
        let said = Announcement::new(&place, &NetworkSpec { base_url, ..network(true, false) });
        assert!(said.entries_of(&[("x", true)], "mcp-bridge").contains(r#""url":"https://mcp.example.com/mcp""#));
    }
}
