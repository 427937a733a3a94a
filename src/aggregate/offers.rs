//! What several servers are as one.
//!
//! Owns the answers to `initialize` and `server/discover`. Pure. It never promises what the way through the registry does
//! not carry: tasks and extensions are left out, since what they name belongs to one server.

use super::{
    lists::{identity, own_meta},
    names::Names,
};
use crate::{
    json::{self, Object},
    protocol::{LISTS, MODERN, NEWEST_LEGACY, Revision},
};

/// What a server says that it is and can do: the parts that matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    capabilities: Vec<Capability>,
    instructions: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Capability {
    group: &'static str,
    changes: bool,
    subscribe: bool,
}

/// What is passed on of the capabilities.
const GROUPS: [&str; 5] = ["tools", "prompts", "resources", "completions", "logging"];

impl Offer {
    /// Reads a result of `initialize` or `server/discover`.
    pub fn read(result: &str) -> Offer {
        let result = Object::parse(result).unwrap_or_default();
        let declared = json::member(&result, "capabilities").and_then(Object::parse).unwrap_or_default();
        let read = |group: &'static str| {
            let settings = Object::parse(json::member(&declared, group)?)?;
            let is_set = |key| settings.get(key) == Some("true");
            Some(Capability { group, changes: is_set("listChanged"), subscribe: is_set("subscribe") })
        };
        let instructions = json::member(&result, "instructions").and_then(json::string);
        Offer {
            capabilities: GROUPS.into_iter().filter_map(read).collect(),
            instructions: instructions.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        }
    }

    /// Whether the server has any of this.
    pub fn has(&self, group: &str) -> bool {
        self.capabilities.iter().any(|capability| capability.group == group)
    }

    /// What tells that its lists may be others now.
    pub fn changes(&self) -> impl Iterator<Item = &'static str> {
        LISTS.into_iter().filter(|list| self.has(list.capability)).map(|list| list.changed)
    }
}

/// The result of `initialize` for a client that asks for this revision. Changes of lists are always told: servers come and
/// go.
pub fn initialized(asked: Option<&str>, names: &Names, offers: &[(usize, &str, Offer)]) -> String {
    let version = asked.and_then(Revision::parse_legacy).map_or(NEWEST_LEGACY, Revision::name);
    let mut result = Object::new();
    result.set("protocolVersion", json::quote(version));
    result.set("capabilities", capabilities(offers, true));
    result.set("serverInfo", identity());
    if let Some(text) = instructions(names, offers) {
        result.set("instructions", json::quote(&text));
    }
    result.text()
}

/// The result of `server/discover`. Not to be kept: servers come and go.
pub fn discovered(names: &Names, offers: &[(usize, &str, Offer)]) -> String {
    let mut result = Object::new();
    result.set("resultType", "\"complete\"");
    result.set("supportedVersions", json::join([json::quote(MODERN)]));
    result.set("capabilities", capabilities(offers, false));
    if let Some(text) = instructions(names, offers) {
        result.set("instructions", json::quote(&text));
    }
    result.set("ttlMs", "0").set("cacheScope", "\"private\"").set("_meta", own_meta());
    result.text()
}

fn capabilities(offers: &[(usize, &str, Offer)], changes: bool) -> String {
    let mut all = Object::new();
    for group in GROUPS {
        let having: Vec<_> = offers.iter().flat_map(|(_, _, offer)| &offer.capabilities).collect();
        let having: Vec<_> = having.into_iter().filter(|capability| capability.group == group).collect();
        if having.is_empty() {
            continue;
        }
        let mut settings = Object::new();
        let is_list = LISTS.iter().any(|list| list.capability == group);
        if is_list && (changes || having.iter().any(|capability| capability.changes)) {
            settings.set("listChanged", "true");
        }
        if having.iter().any(|capability| capability.subscribe) {
            settings.set("subscribe", "true");
        }
        all.set(group, settings.text());
    }
    all.text()
}

fn instructions(names: &Names, offers: &[(usize, &str, Offer)]) -> Option<String> {
    let said: Vec<String> = offers
        .iter()
        .filter_map(|(server, name, offer)| {
            let text = offer.instructions.as_ref()?;
            let prefix = names.prefix(*server);
            Some(format!("{name} (its tools and prompts begin with \"{prefix}\"):\n{text}"))
        })
        .collect();
    (!said.is_empty()).then(|| said.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Template;

    fn offers() -> Vec<(usize, &'static str, Offer)> {
        let one = r#"{"capabilities":{"tools":{},"logging":{},"tasks":{},"resources":{"subscribe":true}},"instructions":"Be kind."}"#;
        let other = r#"{"capabilities":{"tools":{"listChanged":true},"prompts":{},"experimental":{}}}"#;
        vec![(0, "a", Offer::read(one)), (1, "b", Offer::read(other))]
    }

    #[test]
    fn servers_together_can_what_any_of_them_can() {
        let names = Names::new(&Template::default(), &["a", "b"]);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            initialized(Some("2025-03-26"), &names, &offers()),
            format!(
                r#"{{"protocolVersion":"2025-03-26","capabilities":{{"tools":{{"listChanged":true}},"prompts":{{"listChanged":true}},"resources":{{"listChanged":true,"subscribe":true}},"logging":{{}}}},"serverInfo":{{"name":"mcp-bridge","version":"{version}"}},"instructions":"a (its tools and prompts begin with \"a_\"):\nBe kind."}}"#
            )
        );
        let found = discovered(&names, &offers());
        assert!(found.contains(r#""capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"logging":{}}"#), "{found}");
        assert!(initialized(Some("1999-01-01"), &names, &[]).contains("\"2025-11-25\""));
        let told: Vec<_> = offers()[0].2.changes().collect();
        assert_eq!(told, ["notifications/tools/list_changed", "notifications/resources/list_changed"]);
    }
}
