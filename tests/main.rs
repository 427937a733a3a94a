//! The integration tests, one crate: every module but `network` drives the real binary from outside.
//!
//! | module | what it holds |
//! |---|---|
//! | `aggregate` | several servers as one, and servers with only some of their tools |
//! | `audit` | the audit log: what has a line, what the line says, rotation, a full disk |
//! | `auth` | logins at an authorization server that the test scripts, its oddities and its attacks |
//! | `bad_input` | bad input on the command line, from clients and from servers, and the exact answer to each |
//! | `children` | how many processes of a server there are, and what each gets from its caller |
//! | `claims` | what of a caller's token its own server gets, and what of it never does |
//! | `cli` | help, error texts, exit codes, generated files |
//! | `config` | config files: every client's form, bad servers, reload, `status`, `--dry-run` |
//! | `door` | who is let in: tokens by hand and of an authorization server, what each refusal says, where metadata is |
//! | `eras` | clients of either era at servers of either era, over every pair of wires |
//! | `network` | the listening side against servers in memory: every status code, streams, resumption, the guard |
//! | `field` | what users of bridges suffer, as numbered statements that hold here |
//! | `guard` | `Host`, `Origin`, what pages can forge, what callers can change, what a session's id is worth |
//! | `headers` | what of a caller's or a server's headers crosses, and that none breaks out of its place |
//! | `health` | liveness, readiness, and the end on a signal or with stdin |
//! | `invariants` | the seven invariants of the crate's documentation, over every pair of wires |
//! | `kill` | what dies, stalls, floods or ignores: the child, the client, the bridge |
//! | `matrix` | every source with every output, as a table: one script of calls in both eras at servers of both |
//! | `pooled` | servers that sessions share by whom they belong to and what they declare |
//! | `readme` | the README's commands and flags exist |
//! | `rmcp` | the Rust SDK as client and as server |
//! | `secrets` | who can see a secret of a bridge that listens: its log, its answers, its processes |
//! | `sockets` | what can be listened on, TLS both ways, what a service manager passes on and is told |
//! | `sources` | servers at URLs behind a bridge that listens: credentials, readiness, Unix sockets |
//! | `stateless_shared` | who gets which server, and the limits on sessions |
//! | `ws` | WebSocket with the real binary, in both roles |
//! | `threats` | the index of attacks, and which tests hold against each |
//! | `support` | the harness: the binary as a process, clients of every wire, servers that the test scripts |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(target_os = "linux")]
mod aggregate;
#[cfg(target_os = "linux")]
mod audit;
#[cfg(target_os = "linux")]
mod auth;
#[cfg(target_os = "linux")]
mod bad_input;
#[cfg(target_os = "linux")]
mod children;
#[cfg(target_os = "linux")]
mod claims;
mod cli;
#[cfg(target_os = "linux")]
mod config;
#[cfg(target_os = "linux")]
mod door;
#[cfg(target_os = "linux")]
mod eras;
#[cfg(target_os = "linux")]
mod field;
#[cfg(target_os = "linux")]
mod guard;
#[cfg(target_os = "linux")]
mod headers;
#[cfg(target_os = "linux")]
mod health;
#[cfg(target_os = "linux")]
mod invariants;
#[cfg(target_os = "linux")]
mod kill;
#[cfg(target_os = "linux")]
mod matrix;
mod network;
#[cfg(target_os = "linux")]
mod pooled;
mod readme;
#[cfg(target_os = "linux")]
mod rmcp;
#[cfg(target_os = "linux")]
mod secrets;
#[cfg(target_os = "linux")]
mod sockets;
#[cfg(target_os = "linux")]
mod sources;
#[cfg(target_os = "linux")]
mod stateless_shared;
#[cfg(target_os = "linux")]
mod support;
mod threats;
#[cfg(target_os = "linux")]
mod ws;
