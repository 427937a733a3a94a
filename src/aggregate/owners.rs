//! Whose a resource is.
//!
//! Owns what the lists that passed said, within bounds. Pure. A resource that it does not know is tried, and no rule says
//! that a server lists all it has (2025-11-25 and 2026-07-28, Resources: templates stand for many).

use std::collections::HashMap;

/// Most URIs and templates that are remembered. Beyond this all is forgotten, and learned again.
const MAX_OWNED: usize = 16 * 1024;

/// Longest URI that is remembered, in bytes.
const MAX_URI: usize = 2 * 1024;

/// Who has which resource.
#[derive(Debug, Default)]
pub struct Owners {
    uris: HashMap<Box<str>, usize>,
    /// What stands before the first variable of each template.
    templates: HashMap<Box<str>, usize>,
}

impl Owners {
    /// Notes that a server has a resource, unless another one had it first. Says whose it is.
    pub fn learn(&mut self, uri: &str, server: usize) -> usize {
        if uri.len() > MAX_URI {
            return server;
        }
        if self.uris.len() >= MAX_OWNED && !self.uris.contains_key(uri) {
            self.uris.clear();
        }
        *self.uris.entry(uri.into()).or_insert(server)
    }

    /// The same of a template (RFC 6570).
    pub fn learn_template(&mut self, template: &str, server: usize) -> usize {
        let owner = self.learn(template, server);
        let literal = template.split('{').next().unwrap_or_default();
        if owner == server && !literal.is_empty() && literal.len() <= MAX_URI {
            if self.templates.len() >= MAX_OWNED {
                self.templates.clear();
            }
            self.templates.entry(literal.into()).or_insert(server);
        }
        owner
    }

    /// Forgets that a server had this.
    pub fn forget(&mut self, uri: &str) {
        self.uris.remove(uri);
    }

    /// Whose this is for certain.
    pub fn of(&self, uri: &str) -> Option<usize> {
        self.uris.get(uri).copied()
    }

    /// Whose it is by the looks of it: the server whose template begins most like it.
    pub fn likely(&self, uri: &str) -> Option<usize> {
        let fitting = self.templates.iter().filter(|(literal, _)| uri.starts_with(&***literal));
        fitting.max_by_key(|(literal, _)| literal.len()).map(|(_, server)| *server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_has_it_and_templates_are_a_hint() {
        let mut owners = Owners::default();
        assert_eq!(owners.learn("a://x", 1), 1);
        assert_eq!(owners.learn("a://x", 0), 1);
        owners.learn_template("a://{n}", 2);
        owners.learn_template("a://b/{n}", 3);
        assert_eq!((owners.of("a://x"), owners.of("a://y"), owners.of("a://{n}")), (Some(1), None, Some(2)));
        assert_eq!((owners.likely("a://y"), owners.likely("a://b/1"), owners.likely("b://")), (Some(2), Some(3), None));
        owners.forget("a://x");
        assert_eq!(owners.of("a://x"), None);
        for n in 0..MAX_OWNED * 2 {
            owners.learn(&n.to_string(), 0);
        }
        assert!(owners.uris.len() <= MAX_OWNED);
    }
}
