//! `mcp-bridge` carries the Model Context Protocol between transports, from a stdio or a remote server to clients on stdio,
//! SSE, Streamable HTTP or WebSocket, and between eras: clients of the stateless revision to servers that have sessions,
//! and back.
//!
//! # The picture
//!
//! ```text
//!   client                         the bridge                                server
//!  ┌──────┐   ┌───────────────┐  Peer::pair  ┌──────────────────┐   ┌───────────────────┐
//!  │      │──>│ wire (accept) │─ Envelope ──>│ wire (connect)   │──>│                   │
//!  │      │   │  stdio        │              │  child           │   │ a process, a URL  │
//!  │      │   │  legacy SSE   │<─ unsolicited│  legacy SSE      │   │                   │
//!  │      │<──│  WebSocket    │              │  WebSocket       │<──│                   │
//!  └──────┘   │  Streamable   │<═ Reply ═════│  Streamable HTTP │   └───────────────────┘
//!             │  HTTP         │              │                  │
//!             └───────────────┘ straight home└──────────────────┘
//!                     │  which server?   ┌──────────┐   ^
//!                     └─────────────────>│ registry │───┘  own, shared, stateless, pooled
//!                                        └──────────┘
//!                                             │ only where the eras differ
//!                         wire (accept) ══ era ══ wire (connect)
//! ```
//!
//! **Every message crosses with the way home for its answer.** A request travels in an [`peer::Envelope`] together with
//! a [`peer::Reply`]: the duty to answer, and the stream to answer on. The wire that gets the answer sends it straight
//! home; nothing in between looks it up. A transport is no trait: it is a function that starts tasks and works one end
//! of a [`peer::Peer::pair`]. Two wires on the two ends of a pair are a bridge.
//!
//! *Pipes* (stdio, a child, legacy SSE, WebSocket) are one ordered stream each way, and answers are found by id: all of
//! them run through one two-way [`pump`], which keeps one correlation table, [`pending`]. *Exchanges* (Streamable HTTP) are
//! one POST with its own response stream: the receiving end of the reply's channel is the response body, and no table is
//! needed.
//!
//! # Two eras
//!
//! Revisions 2024-11-05 to 2025-11-25 are the *legacy* era: a handshake, then a session, which is one [`peer::Peer`].
//! The stateless revision 2026-07-28 is the *modern* era: exchanges that stand alone, each put into a
//! [`peer::Outbox`]. Between two parties of the same era the bytes pass. Where they differ, the registry puts a translation
//! between the wires, which is a server to one of them and a client to the other:
//!
//! ```text
//! modern caller ─> Outbox ─> era::modern_to_legacy ─> Peer, Peer, ...  a pool of legacy sessions; calls that ask back are
//!                                                                      parked under a sealed requestState
//! legacy session ─> Peer ─> era::legacy_to_modern ─> Outbox            one translation a session; input_required becomes
//!                                                                      requests on the call's own stream
//! ```
//!
//! A server is asked in its caller's own era first, on the process that is kept; the other era is tried on another process.
//! What came of that is remembered until it proves wrong.
//!
//! # Several servers as one
//!
//! Each server has a registry of its own. The registry of all of them together is made of those: it decides by a message's
//! own words which server is meant, rewrites the names in it, and sends it there with its own way home. The same rewriting
//! on the way home ([`peer::Reply::through`]) hides tools that are not offered.
//!
//! ```text
//! wire (accept) ─> registry of all ─┬─> registry of one ─> wire (connect)
//!                   aggregate       └─> registry of one ─> wire (connect)
//! ```
//!
//! # Where to read
//!
//! | module | owns |
//! |---|---|
//! | [`message`] | a frame: the bytes as they came, and the few fields that routing needs |
//! | [`peer`] | envelopes, replies, the pair that joins two wires: read this first |
//! | [`pipe`], [`pending`], [`pump`] | frames over a pipe; who asked; the two loops between a pipe and a peer |
//! | [`wire`] | the table of wires; one module a transport, `accept` (we are the server) and `connect` (we are the client) |
//! | [`registry`] | which server a caller gets, and in which era it is spoken to; limits; back-off |
//! | [`era`] | the two translations |
//! | [`aggregate`] | several servers as one: names, lists, capabilities |
//! | [`protocol`], [`json`] | the words of the protocol; rewriting objects without touching the rest |
//! | [`annotations`] | what a tool's schema says about headers |
//! | [`seal`] | bytes that only the bridge can read and write: state that clients carry, files of logins |
//! | [`room`], [`backoff`], [`date`] | memory for large messages that wait; how long to wait before the next attempt; dates |
//! | [`audit`] | who called what, and what was refused: a line each, in a file |
//! | [`auth`] | tokens for servers that ask for them, as an OAuth client; the tokens of those who call |
//! | [`listen`] | the listening sockets, Host and Origin, limits on callers, the door, which server is at which path, health |
//! | [`tls`] | certificates, keys and authorities, as server and as client |
//! | [`bridge`] | start, announce, reload, wait, drain |
//! | [`config`], [`cli`] | checked values, config files; what was typed |
//! | [`status`] | asking a running bridge about its servers |
//! | [`demo`] | the demo server |
//! | [`files`] | reading what users name |
//! | [`scope`], [`observe`] | the lifetime of tasks; the log |
//!
//! Dependencies point one way: cli > config > bridge > listen, registry > era, wire, auth > pump > pipe, pending > peer >
//! audit > message, protocol > json. What is pure and belongs to no layer (aggregate, annotations, backoff, date, room, seal)
//! uses at most message, protocol, json, and the names of the eras. Two arrows go back: wires that accept ask the registry for
//! a server, and whatever is configured knows the types of [`config`] that say how.
//!
//! # What holds
//!
//! 1. Every request gets exactly one answer, whatever dies ([`peer::Reply`] answers when it is dropped).
//! 2. Frames of one caller to one server keep their order, both ways.
//! 3. Within an era, params and results cross as the bytes that came, unknown fields and methods included; between eras,
//!    so does every member that need not change.
//! 4. stdout carries nothing but frames.
//! 5. A stalled caller delays nobody else's answer: the answer's place is reserved when the request is taken.
//! 6. After the grace period no descendant process is left, also after SIGKILL of the bridge (Linux).
//! 7. Nothing is lost silently: with a server of its own a slow caller slows its server; on a shared server a caller
//!    over its buffer is cut off with an error that says so.

pub mod aggregate;
pub mod annotations;
pub mod audit;
pub mod auth;
pub mod backoff;
pub mod bridge;
pub mod cli;
pub mod config;
pub mod date;
pub mod demo;
pub mod era;
pub mod files;
pub mod json;
pub mod listen;
pub mod message;
pub mod observe;
pub mod peer;
pub mod pending;
pub mod pipe;
pub mod protocol;
pub mod pump;
pub mod registry;
pub mod room;
pub mod scope;
pub mod seal;
pub mod status;
pub mod tls;
pub mod wire;
