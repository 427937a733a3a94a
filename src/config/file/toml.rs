//! TOML: the bridge's own form, and that of Codex.
//!
//! Owns the way from the text to the tree, and the advice for what does not parse. Pure; the parser is `toml`, whose
//! messages name what it expected and never show the text.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::{Problem, Text},
    tree::{Member, Node, Value},
};

pub(super) fn parse<'t>(text: &Text<'t>) -> Result<Node<'t>, Problem> {
    match DeTable::parse(text.text) {
        Ok(root) => Ok(Node { span: 0..0, value: table(root.into_inner()) }),
        Err(error) => Err(refusal(text, &error)),
    }
}

fn refusal(text: &Text<'_>, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(text.text.len()..text.text.len());
    if error.message().starts_with("duplicate key") {
        return twice(text, &span);
    }
    if text.text.trim_start().starts_with('{') {
        return text.at(&span, "this is JSON and not TOML; name the file .json");
    }
    let rest = text.text.get(span.start..).unwrap_or_default();
    let line_start = text.text.get(..span.start).unwrap_or_default().rfind('\n').map_or(0, |newline| newline + 1);
    let is_value = text.text.get(line_start..span.start).is_some_and(|before| before.contains('='));
    if is_value && rest.starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '.' | '$' | '~')) {
        return text.at(&span, "text needs double quotes; write key = \"value\"");
    }
    let advice = "; write [servers.<name>] and, below it, key = \"value\"";
    text.at(&span, format!("this is not TOML: {}{advice}", error.message()))
}

/// Says where the key stood first: the parser only knows where it stands again.
fn twice(text: &Text<'_>, span: &Range<usize>) -> Problem {
    let name = text.text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']);
    let line_start = text.text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let before = text.text.get(..line_start).unwrap_or_default();
    // The same file up to the line before is one that parses, but for a table that the line is inside of.
    let (root, _) = DeTable::parse_recoverable(before);
    let header = text.text.get(line_start..).is_some_and(|line| line.trim_start().starts_with('['));
    let root = Node { span: 0..0, value: table(root.into_inner()) };
    let mut found = None;
    last_key(&root, name, if header { Some(1) } else { None }, &mut found);
    let first = found.map_or_else(|| "further up".into(), |at| format!("on line {}", text.line_of(at)));
    let what = if header { "the table" } else { "the key" };
    let message = format!("{what} {name:?} stands {first} already; give each its own name, or remove one");
    text.showing(span, message)
}

/// The last place of a key; at one level, where it is given.
fn last_key(node: &Node<'_>, name: &str, level: Option<usize>, found: &mut Option<usize>) {
    for member in node.table().unwrap_or_default() {
        if member.key == name && level.is_none_or(|level| level == 0) {
            *found = (*found).max(Some(member.at.start));
        }
        match level {
            Some(0) => {}
            Some(deeper) => last_key(&member.node, name, Some(deeper - 1), found),
            None => last_key(&member.node, name, None, found),
        }
    }
}

fn node<'t>(spanned: Spanned<DeValue<'t>>) -> Node<'t> {
    let span = spanned.span();
    let value = match spanned.into_inner() {
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(number) => Value::Number(number.to_string().into()),
        DeValue::Float(number) => Value::Number(number.to_string().into()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(array) => Value::List(array.into_iter().map(node).collect()),
        DeValue::Table(members) => table(members),
    };
    Node { span, value }
}

/// The parser sorts by key; problems and log lines follow the file.
fn table(members: DeTable<'_>) -> Value<'_> {
    let mut members: Vec<Member<'_>> = members
        .into_iter()
        .map(|(key, value)| Member { at: key.span(), key: key.into_inner(), node: node(value) })
        .collect();
    members.sort_by_key(|member| member.at.start);
    Value::Table(members)
}
