//! HTTP+SSE of 2024-11-05 (Transports, HTTP with SSE), in both roles.

pub mod accept;
