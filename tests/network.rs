//! The network front, served on a free port, before servers that are one end of a pair in memory.

mod calls;
mod ending;
mod guard;
mod legacy_sse;
mod limits;
mod modern;
mod mounts;
mod resume;
mod sessions;
mod stateless;
mod support;
mod tls;
mod traffic;
mod ws;
