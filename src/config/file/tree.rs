//! What TOML and JSON have in common: values with their places in the text.
//!
//! Owns the tree that both parsers make and one reader of servers goes through. Pure. It keeps members in the order of
//! the file, and keeps a key that stands twice: what that means is decided where the key is read.

use std::{borrow::Cow, ops::Range};

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) span: Range<usize>,
    pub(super) value: Value<'t>,
}

#[derive(Debug)]
pub(super) enum Value<'t> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(Cow<'t, str>),
    Text(Cow<'t, str>),
    List(Vec<Node<'t>>),
    Table(Vec<Member<'t>>),
    /// TOML's dates, which no setting is.
    Date,
}

/// A key, where it stands, and its value.
#[derive(Debug)]
pub(super) struct Member<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) at: Range<usize>,
    pub(super) node: Node<'t>,
}

impl<'t> Node<'t> {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<&[Member<'t>]> {
        match &self.value {
            Value::Table(members) => Some(members),
            _ => None,
        }
    }

    /// For messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Date => "a date",
        }
    }
}
