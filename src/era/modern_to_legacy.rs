//! Modern callers at a legacy server.

pub mod seal;
