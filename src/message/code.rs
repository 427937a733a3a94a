//! JSON-RPC error codes that the bridge itself gives.
//!
//! Owns the numbers. Talks to nobody.

/// The bytes are not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON, but not one JSON-RPC message.
pub const INVALID_REQUEST: i32 = -32600;
/// The method cannot be served here.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// The parameters cannot be served here.
pub const INVALID_PARAMS: i32 = -32602;
/// The server ended, or could not be started or reached.
pub const INTERNAL: i32 = -32603;
/// A limit of the bridge was met: calls in flight, buffers, time.
pub const LIMIT: i32 = -32000;
/// Modern: a header disagrees with the body, or is missing (2026-07-28, Streamable HTTP, Request Headers).
pub const HEADER_MISMATCH: i32 = -32020;
/// Modern: the request needs something that its client did not declare.
pub const MISSING_CAPABILITY: i32 = -32021;
/// Modern: the revision that the request names is not spoken here.
pub const UNSUPPORTED_VERSION: i32 = -32022;
/// Legacy: no such resource. The modern era has [`INVALID_PARAMS`] for it.
pub const RESOURCE_NOT_FOUND: i32 = -32002;
/// Legacy (2025-11-25): the user has to open a URL first.
pub const URL_ELICITATION: i32 = -32042;
/// The caller cancelled the request (as in the Language Server Protocol; MCP names no code).
pub const CANCELLED: i32 = -32800;
