//! The wires: each is a function that starts tasks and works one end of a [`crate::peer::Peer::pair`].
//!
//! Owns nothing itself. A wire talks to the world on one side and to its peer on the other; it never knows which wire
//! the partner is.

pub mod child;
pub mod event_stream;
pub mod exchange;
pub mod handshake;
pub mod http;
pub mod idle;
pub mod legacy_sse;
pub mod remote;
pub mod stdio;
