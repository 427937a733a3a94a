//! The integration tests, one crate: every module but `network` drives the real binary from outside.
//!
//! | module | what it holds |
//! |---|---|
//! | `cli` | help, error texts, exit codes, generated files |
//! | `network` | the listening side against servers in memory: every status code, streams, resumption, the guard |
//! | `field` | what users of bridges suffer, as numbered statements that hold here |
//! | `health` | liveness, readiness, and the end on a signal or with stdin |
//! | `invariants` | the seven invariants of the crate's documentation, over every pair of wires |
//! | `kill` | what dies, stalls, floods or ignores: the child, the client, the bridge |
//! | `support` | the harness: the binary as a process, clients of every wire, servers that the test scripts |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cli;
#[cfg(target_os = "linux")]
mod field;
#[cfg(target_os = "linux")]
mod health;
#[cfg(target_os = "linux")]
mod invariants;
#[cfg(target_os = "linux")]
mod kill;
mod network;
#[cfg(target_os = "linux")]
mod support;
