//! What can be listened on: TCP with TLS, Unix sockets, sockets that a service manager passed on. And TLS as a client.

use std::net::SocketAddr;

use crate::support::program::Program;

mod client;
mod systemd;
mod tls;
mod unix;

/// Waits until a bridge listens with TLS; gives the address.
async fn with_tls(program: &Program) -> SocketAddr {
    let marker = "listening on https://";
    program.stderr.has(marker).await;
    let log = program.stderr.text();
    let line = log.split_once(marker).and_then(|(_, rest)| rest.lines().next()).unwrap();
    line.parse().unwrap()
}
