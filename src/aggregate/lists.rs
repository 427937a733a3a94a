//! Lists of several servers as one, page by page.
//!
//! Owns the cursor, which says of each server that has more where it goes on, so that nothing has to be remembered. Pure.
//! An entry keeps its bytes but for its name.

use std::{borrow::Cow, collections::HashSet};

use super::names::Names;
use crate::{
    json::{self, Object},
    peer::Era,
    protocol::meta,
};

/// A kind of list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum Listing {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl Listing {
    /// By its method.
    pub fn of(method: &str) -> Option<Listing> {
        match method {
            "tools/list" => Some(Listing::Tools),
            "prompts/list" => Some(Listing::Prompts),
            "resources/list" => Some(Listing::Resources),
            "resources/templates/list" => Some(Listing::Templates),
            _ => None,
        }
    }

    /// The member of the result that has the entries.
    pub fn key(self) -> &'static str {
        match self {
            Listing::Tools => "tools",
            Listing::Prompts => "prompts",
            Listing::Resources => "resources",
            Listing::Templates => "resourceTemplates",
        }
    }

    /// The capability of a server that has any.
    pub fn capability(self) -> &'static str {
        match self {
            Listing::Tools => "tools",
            Listing::Prompts => "prompts",
            Listing::Resources | Listing::Templates => "resources",
        }
    }

    /// What tells entries apart.
    fn identity(self) -> &'static str {
        match self {
            Listing::Tools | Listing::Prompts => "name",
            Listing::Resources => "uri",
            Listing::Templates => "uriTemplate",
        }
    }
}

/// Where each server goes on: its name and its own cursor. `None` for what is no cursor of ours.
pub fn cursors(cursor: &str) -> Option<Vec<(String, String)>> {
    let object = Object::parse(cursor)?;
    let read = |(server, own): (&str, &str)| Some((server.to_owned(), json::string(own)?.into_owned()));
    object.iter().map(read).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

/// One page of each of these servers (number, name, result) as one result. `claim` notes who has a resource or a name, with
/// the server's own word for it, and says whose it is.
pub fn merged(
    listing: Listing,
    era: Era,
    names: &Names,
    pages: &[(usize, &str, String)],
    mut claim: impl FnMut(usize, &str, &str) -> usize,
) -> String {
    let (mut entries, mut seen) = (Vec::<String>::new(), HashSet::new());
    let mut more = Object::new();
    let mut keep = Keep::default();
    for (server, name, page) in pages {
        let Some(page) = Object::parse(page) else { continue };
        keep.with(&page);
        if let Some(next) = page.get("nextCursor").filter(|next| next.starts_with('"')) {
            more.set(*name, next.to_owned());
        }
        let listed = json::member(&page, listing.key()).and_then(json::array).unwrap_or_default();
        for entry in listed {
            let Some(mut entry) = Object::parse(entry) else { continue };
            // The servers together have no tasks: a client could not call it.
            if listing == Listing::Tools && runs_as_task_only(&entry) {
                continue;
            }
            let Some(own) = json::member(&entry, listing.identity()).and_then(json::string) else { continue };
            let seen_as: Cow<'_, str> = match listing {
                Listing::Tools | Listing::Prompts => names.exposed(*server, &own).into(),
                Listing::Resources | Listing::Templates => own.clone(),
            };
            if claim(*server, &seen_as, &own) != *server || !seen.insert(seen_as.to_string()) {
                continue;
            }
            if matches!(listing, Listing::Tools | Listing::Prompts) {
                entry.set("name", json::quote(&seen_as));
            }
            entries.push(entry.text());
        }
    }
    let mut result = Object::new();
    result.set(listing.key(), json::join(entries));
    if !more.is_empty() {
        result.set("nextCursor", json::quote(&more.text()));
    }
    if era == Era::Modern {
        keep.write(&mut result);
    }
    result.text()
}

/// Whether a tool can be called no other way (2025-11-25, Tasks, Tool-Level Negotiation).
fn runs_as_task_only(tool: &Object<'_>) -> bool {
    let execution = json::member(tool, "execution").and_then(Object::parse);
    execution.is_some_and(|execution| execution.get("taskSupport") == Some("\"required\""))
}

/// How long and for whom results may be kept (2026-07-28, Caching): as the strictest of them says.
#[derive(Debug, Default)]
struct Keep {
    ttl: Option<f64>,
    private: bool,
}

impl Keep {
    fn with(&mut self, page: &Object<'_>) {
        let ttl = page.get("ttlMs").and_then(|ttl| ttl.parse().ok()).unwrap_or(0.0_f64);
        self.ttl = Some(self.ttl.map_or(ttl, |known| known.min(ttl)));
        self.private |= page.get("cacheScope") != Some("\"public\"");
    }

    fn write(&self, result: &mut Object<'_>) {
        result.set("resultType", "\"complete\"");
        result.set("ttlMs", format!("{}", self.ttl.filter(|ttl| ttl.is_finite()).unwrap_or(0.0).max(0.0).trunc()));
        result.set("cacheScope", if self.private || self.ttl.is_none() { "\"private\"" } else { "\"public\"" });
        result.set("_meta", own_meta());
    }
}

/// Who answers.
pub(super) fn own_meta() -> String {
    format!("{{\"{}\":{}}}", meta::SERVER_INFO, identity())
}

/// The bridge, as a server.
pub(super) fn identity() -> String {
    let (name, version) = (json::quote(env!("CARGO_PKG_NAME")), json::quote(env!("CARGO_PKG_VERSION")));
    format!("{{\"name\":{name},\"version\":{version}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Template;

    fn names() -> Names {
        Names::new(&Template::default(), &["a", "b"])
    }

    #[test]
    fn names_are_prefixed_and_everything_else_keeps_its_bytes() {
        let pages = [
            (0, "a", r#"{"tools":[{"name":"x","inputSchema":{"n": 1.0}},{"noname":1}],"nextCursor":"c\"1"}"#.into()),
            (1, "b", r#"{"tools":[{"z":1e3,"name":"x"},{"name":"x"}]}"#.into()),
        ];
        let mut learned = Vec::new();
        let text = merged(Listing::Tools, Era::Legacy, &names(), &pages, |server, seen, own| {
            learned.push((server, seen.to_owned(), own.to_owned()));
            server
        });
        let tools = r#"[{"name":"a_x","inputSchema":{"n": 1.0}},{"z":1e3,"name":"b_x"}]"#;
        let result = Object::parse(&text).unwrap();
        assert_eq!(result.get("tools"), Some(tools));
        let cursor = result.get("nextCursor").and_then(json::string).unwrap();
        assert_eq!(cursors(&cursor), Some(vec![("a".to_owned(), "c\"1".to_owned())]));
        assert_eq!(learned.first(), Some(&(0, "a_x".to_owned(), "x".to_owned())));
    }

    #[test]
    fn a_resource_is_the_first_servers_and_the_strictest_rule_for_keeping_counts() {
        let pages = [
            (0, "a", r#"{"resources":[{"uri":"u://1"}],"ttlMs":60000,"cacheScope":"public"}"#.into()),
            (
                1,
                "b",
                r#"{"resources":[{"uri":"u://1","name":"b"},{"uri":"u://2"}],"ttlMs":5,"cacheScope":"private"}"#.into(),
            ),
        ];
        let text = merged(Listing::Resources, Era::Modern, &names(), &pages, |server, _, _| server);
        assert!(text.starts_with(r#"{"resources":[{"uri":"u://1"},{"uri":"u://2"}],"resultType":"complete","ttlMs":5,"cacheScope":"private","_meta":{"#), "{text}");
        let text = merged(Listing::Resources, Era::Legacy, &names(), &pages, |_, _, _| 1);
        assert_eq!(text, r#"{"resources":[{"uri":"u://1","name":"b"},{"uri":"u://2"}]}"#);
    }

    #[test]
    fn a_tool_that_runs_as_a_task_only_is_not_listed_where_there_are_no_tasks() {
        let page = r#"{"tools":[{"name":"x","execution":{"taskSupport":"required"}},
            {"name":"y","execution":{"taskSupport":"optional"}}]}"#;
        let text = merged(Listing::Tools, Era::Legacy, &names(), &[(0, "a", page.into())], |server, _, _| server);
        assert_eq!(text, r#"{"tools":[{"name":"a_y","execution":{"taskSupport":"optional"}}]}"#);
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_none() {
        for text in ["", "x", "{}", r#"{"a":1}"#, r#"{"a":"1","a":"2"}"#, "[]"] {
            assert_eq!(cursors(text), None, "{text}");
        }
    }
}
