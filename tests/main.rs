//! The integration tests, one crate: every module but `network` drives the real binary from outside.
//!
//! | module | what it holds |
//! |---|---|
//! | `cli` | help, error texts, exit codes, generated files |
//! | `network` | the listening side against servers in memory: every status code, streams, resumption, the guard |
//! | `field` | what users of bridges suffer, as numbered statements that hold here |
//! | `invariants` | the seven invariants of the crate's documentation, over every pair of wires |
//! | `support` | the harness: the binary as a process, clients of every wire, servers that the test scripts |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cli;
#[cfg(target_os = "linux")]
mod field;
#[cfg(target_os = "linux")]
mod invariants;
mod network;
#[cfg(target_os = "linux")]
mod support;
