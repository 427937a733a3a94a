//! The `mcp-bridge` program: parse, run, report, exit code.

fn main() {}
