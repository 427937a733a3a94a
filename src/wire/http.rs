//! Streamable HTTP (2025-03-26 to 2025-11-25, Transports; 2026-07-28, Streamable HTTP), in both roles.

pub mod accept;
pub mod connect;
pub mod mirror;
pub mod rules;
