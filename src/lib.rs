//! `mcp-bridge` carries the Model Context Protocol between transports.

pub mod bridge;
pub mod cli;
pub mod config;
pub mod demo;
pub mod listen;
pub mod message;
pub mod observe;
pub mod peer;
pub mod pending;
pub mod pipe;
pub mod pump;
pub mod registry;
pub mod scope;
pub mod wire;
