//! Modern callers at a legacy server.
