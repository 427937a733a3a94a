//! One table of a file, read key by key: each of its kind, each once, none overlooked.
//!
//! Owns the typed look-ups and their wording. Pure. It never shows a value: only what its caller says holds no secret.

use std::{cell::Cell, collections::HashMap, time::Duration};

use super::{
    keys,
    problem::{Problem, Text},
    tree::{Member, Node, Value},
};
use crate::config::values;

/// A table, its keys in their one spelling, and which of them were asked for.
pub(super) struct Table<'f, 't> {
    pub(super) text: &'f Text<'t>,
    /// In front of every message: `server "github": `.
    pub(super) who: String,
    fields: Vec<Field<'f, 't>>,
}

struct Field<'f, 't> {
    key: String,
    member: &'f Member<'t>,
    asked: Cell<bool>,
}

impl<'f, 't> Table<'f, 't> {
    /// Each key may stand once, in one spelling.
    pub(super) fn new(text: &'f Text<'t>, who: String, members: &'f [Member<'t>]) -> Result<Self, Problem> {
        let mut seen: HashMap<String, &Member<'_>> = HashMap::new();
        let mut fields = Vec::with_capacity(members.len());
        for member in members {
            let key = keys::plain(&member.key);
            if let Some(first) = seen.insert(key.clone(), member) {
                return Err(twice(text, &who, first, member));
            }
            fields.push(Field { key, member, asked: Cell::new(false) });
        }
        Ok(Table { text, who, fields })
    }

    /// The value of a key. `null` is as if it were not there.
    pub(super) fn get(&self, key: &str) -> Option<&'f Node<'t>> {
        self.member(key).map(|member| &member.node)
    }

    pub(super) fn member(&self, key: &str) -> Option<&'f Member<'t>> {
        let field = self.fields.iter().find(|field| field.key == key)?;
        field.asked.set(true);
        Some(field.member).filter(|member| !matches!(member.node.value, Value::Null))
    }

    /// The first of several spellings of one thing. A second one is an error: which is meant is not to be guessed.
    pub(super) fn one_of(&self, names: &[&str]) -> Result<Option<&'f Member<'t>>, Problem> {
        let mut found = names.iter().filter_map(|key| self.member(key));
        let first = found.next();
        match (first, found.next()) {
            (Some(first), Some(second)) => Err(self.both(first, second)),
            _ => Ok(first),
        }
    }

    pub(super) fn both(&self, first: &Member<'_>, second: &Member<'_>) -> Problem {
        let line = self.text.line_of(first.at.start);
        self.problem(
            second,
            format!("both {:?} (line {line}) and {:?} are given; leave one out", &*first.key, &*second.key),
        )
    }

    /// A problem with a value that may be a secret.
    pub(super) fn wrong(&self, node: &Node<'_>, what: impl std::fmt::Display) -> Problem {
        self.text.at(&node.span, format!("{}{what}", self.who))
    }

    /// A problem with a key.
    pub(super) fn problem(&self, member: &Member<'_>, what: impl std::fmt::Display) -> Problem {
        self.text.showing(&member.at, format!("{}{what}", self.who))
    }

    /// A problem with a value that holds no secret.
    pub(super) fn open(&self, member: &Member<'_>, what: impl std::fmt::Display) -> Problem {
        self.text.showing(&member.node.span, format!("{}{what}", self.who))
    }

    pub(super) fn text_of(&self, member: &'f Member<'t>, example: &str) -> Result<&'f str, Problem> {
        let Some(text) = member.node.text() else { return Err(self.kind(member, "text", example)) };
        match text.contains('\0') {
            true => Err(self.wrong(&member.node, format!("{:?} holds a NUL; remove it", &*member.key))),
            false => Ok(text),
        }
    }

    pub(super) fn bool(&self, key: &str) -> Result<Option<bool>, Problem> {
        let Some(member) = self.member(key) else { return Ok(None) };
        match member.node.value {
            Value::Bool(value) => Ok(Some(value)),
            _ => Err(self.kind(member, "true or false", "true")),
        }
    }

    pub(super) fn number(&self, key: &str, most: usize) -> Result<Option<usize>, Problem> {
        let Some(member) = self.member(key) else { return Ok(None) };
        let number = match &member.node.value {
            Value::Number(text) => text.parse().ok().filter(|number| *number <= most),
            _ => None,
        };
        let wrong = || self.open(member, format!("{:?} is no whole number up to {most}; write one", &*member.key));
        number.map(Some).ok_or_else(wrong)
    }

    /// As in a flag: `"30s"`, or a number of seconds.
    pub(super) fn duration(&self, key: &str) -> Result<Option<Duration>, Problem> {
        let Some(member) = self.member(key) else { return Ok(None) };
        let (Value::Text(text) | Value::Number(text)) = &member.node.value else {
            return Err(self.kind(member, "a time", "\"30s\""));
        };
        let time = values::duration(text).map_err(|why| self.open(member, format!("{:?}: {why}", &*member.key)))?;
        Ok(Some(time))
    }

    /// The values of a list of texts.
    pub(super) fn texts(&self, member: &'f Member<'t>, example: &str) -> Result<Vec<&'f Node<'t>>, Problem> {
        let Value::List(items) = &member.node.value else { return Err(self.kind(member, "a list of texts", example)) };
        for item in items {
            if item.text().is_none() {
                let (key, kind) = (&*member.key, item.kind());
                return Err(
                    self.wrong(item, format!("{key:?} is a list of texts, and this is {kind}; write {example}"))
                );
            }
        }
        Ok(items.iter().collect())
    }

    /// The members of a table of values, such as variables or headers, whose keys are names and kept as they are.
    pub(super) fn members(&self, member: &'f Member<'t>, example: &str) -> Result<&'f [Member<'t>], Problem> {
        let Some(members) = member.node.table() else { return Err(self.kind(member, "a table", example)) };
        let mut seen: HashMap<&str, &Member<'_>> = HashMap::new();
        for inner in members {
            if let Some(first) = seen.insert(&inner.key, inner) {
                return Err(twice(self.text, &self.who, first, inner));
            }
        }
        Ok(members)
    }

    pub(super) fn kind(&self, member: &Member<'_>, want: &str, example: &str) -> Problem {
        let (key, kind) = (&*member.key, member.node.kind());
        self.wrong(&member.node, format!("{key:?} has to be {want}, and is {kind}; write {example}"))
    }

    /// A warning for each key that nobody asked for and no client gives a meaning to.
    /// `complete`: every key with a meaning was asked for, so that the others have none.
    pub(super) fn leftovers(&self, known: &[&str], complete: bool, warnings: &mut Vec<Problem>) {
        for Field { key, member, .. } in self.fields.iter().filter(|field| !field.asked.get()) {
            if keys::is_of_clients(key) {
                continue;
            }
            let shown = &*member.key;
            let next = match keys::near(key, known.iter().copied()) {
                _ if key == "timeout" => {
                    "is seconds in some clients and milliseconds in others, so it is not read; write \
                     request_timeout = \"60s\""
                        .into()
                }
                Some(near) if near == key && complete => "has no effect here; remove it".into(),
                Some(near) if near == key => continue,
                Some(near) => format!("is not known; did you mean {near:?}?"),
                None => "is not known and has no effect; remove it".into(),
            };
            warnings.push(self.problem(member, format!("the key {shown:?} {next}")));
        }
    }
}

/// Names both places.
pub(super) fn twice(text: &Text<'_>, who: &str, first: &Member<'_>, second: &Member<'_>) -> Problem {
    let line = text.line_of(first.at.start);
    let (key, again) = (&*first.key, &*second.key);
    let what = match key == again {
        true => format!("{who}{key:?} stands on line {line} already; leave one out"),
        false => format!("{who}{again:?} stands on line {line} already, as {key:?}; leave one out"),
    };
    text.showing(&second.at, what)
}
