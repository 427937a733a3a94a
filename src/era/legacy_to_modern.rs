//! One legacy session at a modern server.
