//! The wires: each is a function that starts tasks and works one end of a [`crate::peer::Peer::pair`].
//!
//! Owns the list of them ([`WIRES`]), from which commands, flags, routes and announcements are made. A wire talks to the
//! world on one side and to its peer on the other; it never knows which wire the partner is.

use crate::config::RemoteTransport;

pub mod child;
pub mod event_stream;
pub mod exchange;
pub mod face;
pub mod handshake;
pub mod http;
pub mod idle;
pub mod legacy_sse;
pub mod remote;
pub mod stdio;
pub mod ws;

/// A way for messages to come in or go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// A process's stdin and stdout.
    Stdio,
    /// HTTP+SSE of 2024-11-05.
    Sse,
    /// Streamable HTTP.
    Http,
    /// WebSocket.
    Ws,
}

/// One wire, as commands, flags, routes and announcements know it.
#[derive(Debug)]
pub struct Listed {
    /// Which one.
    pub wire: Wire,
    /// In commands (`stdio-to-http`) and in `--output`.
    pub word: &'static str,
    /// For people.
    pub title: &'static str,
    /// How a URL of it begins, up to the colon. None: it has no URLs.
    pub schemes: &'static [&'static str],
    /// The transport by which it reaches a server, where it has URLs.
    pub reaches: Option<RemoteTransport>,
    /// Where it is served, the path for clients first. None: it is not.
    pub paths: &'static [ServedAt],
    /// Whether it has no form without a session.
    pub needs_session: bool,
}

/// A path that a wire is served at.
#[derive(Debug)]
pub struct ServedAt {
    /// The flag that changes it, without the dashes.
    pub flag: &'static str,
    /// What the flag's help says.
    pub help: &'static str,
    /// The default.
    pub usual: &'static str,
}

/// All wires. Whatever is the same for all of them reads this table.
pub const WIRES: &[Listed] = &[
    Listed {
        wire: Wire::Stdio,
        word: "stdio",
        title: "stdio",
        schemes: &[],
        reaches: None,
        paths: &[],
        needs_session: false,
    },
    Listed {
        wire: Wire::Sse,
        word: "sse",
        title: "HTTP+SSE",
        schemes: HTTP_SCHEMES,
        reaches: Some(RemoteTransport::Sse),
        paths: &[
            ServedAt { flag: "sse-path", help: "Path of the HTTP+SSE event stream", usual: "/sse" },
            ServedAt { flag: "message-path", help: "Path that HTTP+SSE clients POST messages to", usual: "/messages" },
        ],
        needs_session: true,
    },
    Listed {
        wire: Wire::Http,
        word: "http",
        title: "Streamable HTTP",
        schemes: HTTP_SCHEMES,
        reaches: Some(RemoteTransport::Http),
        paths: &[ServedAt { flag: "mcp-path", help: "Path of Streamable HTTP", usual: "/mcp" }],
        needs_session: false,
    },
    Listed {
        wire: Wire::Ws,
        word: "ws",
        title: "WebSocket",
        schemes: &["ws", "wss"],
        reaches: Some(RemoteTransport::Ws),
        paths: &[ServedAt { flag: "ws-path", help: "Path of WebSocket", usual: "/ws" }],
        needs_session: true,
    },
];

/// HTTP in the clear, under TLS, and over a Unix socket.
const HTTP_SCHEMES: &[&str] = &["http", "https", "unix"];

impl Wire {
    /// Its entry in the table.
    pub fn listed(self) -> &'static Listed {
        const NONE: Listed = Listed {
            wire: Wire::Stdio,
            word: "",
            title: "",
            schemes: &[],
            reaches: None,
            paths: &[],
            needs_session: false,
        };
        WIRES.iter().find(|listed| listed.wire == self).unwrap_or(&NONE)
    }
}

/// Those that are served on a network.
pub fn served() -> impl Iterator<Item = &'static Listed> {
    WIRES.iter().filter(|listed| !listed.paths.is_empty())
}

/// The transport that a URL's scheme stands for: [`RemoteTransport::Auto`] where several wires have it, `None` where no
/// wire has.
pub fn transport_of(scheme: &str) -> Option<RemoteTransport> {
    let mut known = WIRES.iter().filter(|listed| listed.schemes.contains(&scheme)).filter_map(|listed| listed.reaches);
    let first = known.next()?;
    Some(if known.next().is_some() { RemoteTransport::Auto } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_names_a_transport_or_several() {
        assert_eq!(transport_of("https"), Some(RemoteTransport::Auto));
        assert_eq!(transport_of("unix"), Some(RemoteTransport::Auto));
        assert_eq!(transport_of("wss"), Some(RemoteTransport::Ws));
        assert_eq!(transport_of("ftp"), None);
        assert!(WIRES.iter().all(|listed| listed.wire.listed().word == listed.word));
    }
}
