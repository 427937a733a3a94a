//! Streamable HTTP (2025-03-26 to 2025-11-25, Transports), in both roles.

pub mod accept;
pub mod connect;
pub mod rules;
