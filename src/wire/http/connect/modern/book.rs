//! What is known of a server's tools: the annotations that become headers.
//!
//! Owns the book and its bounds. It never asks the server; who lists tools writes down what came.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use crate::annotations::Annotations;

/// The most that is kept of one server's tools, in bytes. A tool that has no room is looked up when it is called.
pub(super) const MAX_BOOK: usize = 1024 * 1024;

/// What an entry takes beside its name and its annotations, in bytes; roughly.
const ENTRY: usize = 64;

/// Tools that were warned of. Bounds what a server can make the bridge keep; beyond that, nobody is warned.
const MAX_WARNED: usize = 1024;

/// The book of one server.
#[derive(Debug)]
pub(super) struct Book {
    state: Mutex<State>,
    /// One lists at a time; who waits finds it done.
    pub(super) turn: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<Box<str>, Arc<Annotations>>,
    weight: usize,
    /// All tools were listed: one that is not here has no annotations.
    complete: bool,
    edition: u64,
    warned: HashSet<Box<str>>,
}

impl Default for Book {
    fn default() -> Book {
        Book { state: Mutex::default(), turn: Semaphore::new(1) }
    }
}

impl Book {
    /// The poison of a lock means that a task panicked elsewhere; the book stays usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tool's annotations, if they are known, and the edition of the book that says so.
    pub(super) fn find(&self, tool: &str) -> (Option<Arc<Annotations>>, u64) {
        let state = self.state();
        let known = state.known.get(tool).cloned().or_else(|| state.complete.then(Arc::default));
        (known, state.edition)
    }

    /// Writes down a list of all tools.
    pub(super) fn learn_all(&self, tools: &[(String, Annotations)]) {
        let mut state = self.state();
        (state.known, state.weight, state.complete) = (HashMap::new(), 0, true);
        for (name, annotations) in tools.iter().filter(|(_, annotations)| !annotations.is_empty()) {
            state.insert(name, annotations);
        }
        state.edition += 1;
    }

    /// Writes down some tools.
    pub(super) fn learn(&self, tools: &[(String, Annotations)]) {
        let mut state = self.state();
        for (name, annotations) in tools {
            state.remove(name);
            // That a tool has none needs saying only while there may be tools that nobody has seen.
            if !(annotations.is_empty() && state.complete) {
                state.insert(name, annotations);
            }
        }
        state.edition += 1;
    }

    /// The tools have changed.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        (state.known, state.weight, state.complete) = (HashMap::new(), 0, false);
        state.edition += 1;
    }

    /// Whether this tool was not warned of yet.
    pub(super) fn is_news(&self, tool: &str) -> bool {
        let mut state = self.state();
        state.warned.len() < MAX_WARNED && state.warned.insert(tool.into())
    }
}

impl State {
    fn insert(&mut self, name: &str, annotations: &Annotations) {
        let weight = weight(name, annotations);
        if self.weight + weight <= MAX_BOOK {
            self.weight += weight;
            if let Some(old) = self.known.insert(name.into(), Arc::new(annotations.clone())) {
                // A server listed it twice.
                self.weight = self.weight.saturating_sub(self::weight(name, &old));
            }
        } else {
            // It is looked up when it is called.
            self.complete = false;
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(old) = self.known.remove(name) {
            self.weight = self.weight.saturating_sub(weight(name, &old));
        }
    }
}

/// What an entry takes, in bytes.
pub(super) fn weight(name: &str, annotations: &Annotations) -> usize {
    ENTRY + name.len() + annotations.weight()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(header: &str) -> Annotations {
        let schema = format!(r#"{{"properties":{{"a":{{"type":"string","x-mcp-header":"{header}"}}}}}}"#);
        Annotations::of(&schema).unwrap()
    }

    #[test]
    fn a_tool_is_known_when_it_or_all_were_listed() {
        let book = Book::default();
        assert_eq!(book.find("a").0, None);
        book.learn(&[("a".into(), Annotations::default()), ("b".into(), annotated("B"))]);
        assert!(book.find("a").0.unwrap().is_empty() && !book.find("b").0.unwrap().is_empty());
        assert_eq!(book.find("c").0, None);
        book.learn_all(&[("c".into(), annotated("C"))]);
        assert!(book.find("b").0.unwrap().is_empty() && !book.find("c").0.unwrap().is_empty());
        let (_, edition) = book.find("c");
        book.forget();
        assert_eq!(book.find("c"), (None, edition + 1));
    }

    #[test]
    fn the_book_is_bounded_and_what_has_no_room_is_not_known() {
        let book = Book::default();
        let tools: Vec<_> = (0..10_000).map(|n| (format!("{n}{}", "x".repeat(200)), annotated("A"))).collect();
        book.learn_all(&tools);
        assert!(book.state().weight <= MAX_BOOK);
        assert_eq!(book.find("new").0, None);
        book.learn_all(&[]);
        assert_eq!(book.state().weight, 0);
        for _ in 0..3 {
            book.learn(&[("a".into(), annotated("A")), ("a".into(), annotated("A"))]);
        }
        assert_eq!(book.state().weight, weight("a", &annotated("A")));
        book.learn(&[("a".into(), Annotations::default())]);
        assert_eq!(book.state().weight, 0, "all are known, and this one has none");
    }

    #[test]
    fn a_tool_is_warned_of_once() {
        let book = Book::default();
        assert!(book.is_news("a") && !book.is_news("a") && book.is_news("b"));
        assert_eq!((0..2 * MAX_WARNED).filter(|n| book.is_news(&n.to_string())).count(), MAX_WARNED - 2);
    }
}
