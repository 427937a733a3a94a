//! HTTP with SSE (2024-11-05, Transports), in both roles.

pub mod accept;
pub mod connect;
