//! `mcp-bridge` carries the Model Context Protocol between transports.

pub mod config;
