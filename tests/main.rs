//! The integration tests, one crate: every module but `network` drives the real binary from outside.
//!
//! | module | what it holds |
//! |---|---|
//! | `cli` | help, error texts, exit codes, generated files |
//! | `network` | the listening side against servers in memory: every status code, streams, resumption, the guard |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cli;
mod network;
