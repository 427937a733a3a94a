//! A legacy server's list of tools: what it says that binds no legacy client, and would bind a modern one.

use std::collections::HashSet;

use serde_json::Value;

use crate::json::{self, Object, join};

/// Names the header that repeats an argument (2026-07-28, Tools, `x-mcp-header`).
const ANNOTATION: &str = "x-mcp-header";

/// Keywords of JSON Schema whose value is a schema, a list of schemas, or an object of schemas by name.
mod keyword {
    pub const ONE: [&str; 12] = [
        "items",
        "additionalItems",
        "contains",
        "additionalProperties",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
        "if",
        "then",
        "else",
        "not",
        "contentSchema",
    ];
    pub const MANY: [&str; 5] = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
    pub const NAMED: [&str; 5] = ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];
}

/// Whether a tool has to be called as a task (2025-11-25, Tasks, Tool-Level Negotiation). A tool as JSON text.
pub fn requires_task(tool: &str) -> bool {
    let Some(execution) = Object::parse(tool).and_then(|tool| json::member(&tool, "execution")) else { return false };
    Object::parse(execution).is_some_and(|execution| execution.get("taskSupport") == Some(r#""required""#))
}

/// Takes out of a result of `tools/list` what a modern caller must not read: how a tool runs as a task, and annotations
/// that the modern rules refuse. A legacy server knows nothing of those rules, and its tool works without.
pub(super) fn clean(list: &mut Object<'_>) {
    let has = |word: &str, text: &str| memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some();
    let Some(text) = list.get("tools").filter(|text| has("execution", text) || has(ANNOTATION, text)) else { return };
    let Some(tools) = json::array(text) else { return };
    let cleaned = join(tools.into_iter().map(clean_tool));
    list.set("tools", cleaned);
}

fn clean_tool(text: &str) -> String {
    let Some(mut tool) = Object::parse(text) else { return text.to_string() };
    tool.remove("execution");
    let schema = json::member(&tool, "inputSchema").filter(|schema| !is_valid(schema));
    if let Some(schema) = schema {
        tool.set("inputSchema", stripped(schema));
    }
    tool.to_string()
}

/// Whether all annotations of an input schema keep the rules, which is so when there are none.
fn is_valid(schema: &str) -> bool {
    if memchr::memmem::find(schema.as_bytes(), ANNOTATION.as_bytes()).is_none() {
        return true;
    }
    let mut names = HashSet::new();
    serde_json::from_str(schema).is_ok_and(|schema| walk(&schema, Place::Root, &mut names))
}

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// Reached from the root by `properties` alone.
    Property,
    Elsewhere,
}

fn walk(schema: &Value, place: Place, names: &mut HashSet<String>) -> bool {
    let Some(schema) = schema.as_object() else { return true };
    if let Some(name) = schema.get(ANNOTATION) {
        let kind = schema.get("type").and_then(Value::as_str);
        let name = name.as_str().filter(|name| is_token(name));
        let fits = place == Place::Property && matches!(kind, Some("string" | "integer" | "boolean"));
        if !name.is_some_and(|name| fits && names.insert(name.to_ascii_lowercase())) {
            return false;
        }
    }
    schema.iter().all(|(key, value)| {
        let inner = if key == "properties" && place != Place::Elsewhere { Place::Property } else { Place::Elsewhere };
        match value {
            Value::Object(members) if keyword::NAMED.contains(&key.as_str()) => {
                members.values().all(|value| walk(value, inner, names))
            }
            Value::Array(items) if keyword::MANY.contains(&key.as_str()) => {
                items.iter().all(|value| walk(value, inner, names))
            }
            value if keyword::ONE.contains(&key.as_str()) => walk(value, inner, names),
            _ => true,
        }
    })
}

/// A field name's token (RFC 9110, 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The schema without any annotation. A property that has the annotation's name stays.
fn stripped(schema: &str) -> String {
    let Some(mut object) = Object::parse(schema) else { return schema.to_string() };
    object.remove(ANNOTATION);
    let keys: Vec<String> = object.iter().map(|(key, _)| key.to_string()).collect();
    for key in keys {
        let Some(value) = object.get(&key) else { continue };
        let inner = if keyword::NAMED.contains(&key.as_str()) {
            named(value)
        } else if keyword::MANY.contains(&key.as_str()) && value.starts_with('[') {
            json::array(value).map(|items| join(items.into_iter().map(stripped)))
        } else if keyword::ONE.contains(&key.as_str()) {
            Some(stripped(value))
        } else {
            None
        };
        if let Some(inner) = inner {
            object.set(key, inner);
        }
    }
    object.to_string()
}

fn named(members: &str) -> Option<String> {
    let members = Object::parse(members)?;
    let mut kept = Object::new();
    for (name, schema) in members.iter() {
        kept.set(name, stripped(schema));
    }
    Some(kept.to_string())
}
