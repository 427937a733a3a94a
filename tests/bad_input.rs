//! Bad input, and the exact answer to each: on the command line, from clients on every wire, from servers of every kind.

mod clients;
mod reach;
mod servers;

/// The revision that these conversations are in.
const V: &str = "2025-06-18";
