//! A legacy server's list of tools: what it says that binds no legacy client, and would bind a modern one.

use crate::{
    annotations::{ANNOTATION, Annotations, stripped},
    json::{self, Object, join},
};

/// Whether a tool has to be called as a task (2025-11-25, Tasks, Tool-Level Negotiation). A tool as JSON text.
pub fn requires_task(tool: &str) -> bool {
    let Some(execution) = Object::parse(tool).and_then(|tool| json::member(&tool, "execution")) else { return false };
    Object::parse(execution).is_some_and(|execution| execution.get("taskSupport") == Some(r#""required""#))
}

/// Takes out of a result of `tools/list` what a modern caller must not read: how a tool runs as a task, and annotations
/// that the modern rules refuse. A legacy server knows nothing of those rules, and its tool works without.
pub(super) fn clean(list: &mut Object<'_>) {
    let Some(text) = list.get("tools").filter(|text| has("execution", text) || has(ANNOTATION, text)) else { return };
    let Some(tools) = json::array(text) else { return };
    let cleaned = join(tools.into_iter().map(clean_tool));
    list.set("tools", cleaned);
}

fn has(word: &str, text: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some()
}

fn clean_tool(text: &str) -> String {
    let Some(mut tool) = Object::parse(text) else { return text.to_string() };
    tool.remove("execution");
    let schema = json::member(&tool, "inputSchema").filter(|schema| has(ANNOTATION, schema));
    if let Some(schema) = schema
        && Annotations::of(schema).is_err()
    {
        tool.set("inputSchema", stripped(schema));
    }
    tool.to_string()
}
