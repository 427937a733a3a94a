//! WebSocket (RFC 6455), in both roles. No revision of the protocol defines it; it is carried as stdio is (2025-11-25,
//! Transports, Custom Transports): one message a text frame, the legacy session bound to the connection, calls taken back by
//! notification. The subprotocol is `mcp`.
//!
//! The codec is the bridge's own: it has to bound fragments, keep nothing in an idle session, write without copying, and say
//! with the right close code what is wrong.

pub mod accept;
pub mod codec;
pub(crate) mod connect;
pub mod handshake;
pub mod socket;

pub use codec::Side;
