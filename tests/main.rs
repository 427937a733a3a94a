//! The integration tests, one crate: every module drives the real binary from outside.
//!
//! | module | what it holds |
//! |---|---|
//! | `cli` | help, error texts, exit codes, generated files |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cli;
