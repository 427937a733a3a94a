//! Messages that clients send, as JSON text, and what the modern era repeats of them in headers.

use serde_json::Value;

use super::MODERN;

/// A call of a tool as JSON text; `id` is JSON text too.
pub fn tool(id: &str, name: &str, arguments: Value) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{arguments}}}}}"#
    )
}

/// The same with a token to report progress by.
pub fn tool_with_progress(id: &str, token: &str, name: &str, arguments: Value) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{arguments},"_meta":{{"progressToken":{token}}}}}}}"#
    )
}

pub fn notification(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#)
}

/// An `initialize` with every capability that the demo server asks for.
pub fn initialize(id: &str, version: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{"sampling":{{}},"elicitation":{{}},"roots":{{"listChanged":true}}}},"clientInfo":{{"name":"test","version":"1"}}}}}}"#
    )
}

/// What a request of the modern era repeats in headers (2026-07-28, Streamable HTTP, Request Headers).
pub(super) fn modern_headers(text: &str) -> Vec<(String, String)> {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let params = &json["params"];
    let mut all = vec![("MCP-Protocol-Version".to_string(), MODERN.to_string())];
    all.extend(json["method"].as_str().map(|method| ("Mcp-Method".to_string(), method.to_string())));
    let name = match json["method"].as_str() {
        Some("tools/call" | "prompts/get") => params["name"].as_str(),
        Some("resources/read") => params["uri"].as_str(),
        _ => None,
    };
    all.extend(name.map(|name| ("Mcp-Name".to_string(), name.to_string())));
    all
}
