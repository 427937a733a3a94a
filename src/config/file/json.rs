//! JSON as clients' files have it: with comments, trailing commas and a byte order mark.
//!
//! Owns the way from the text to the tree, and the advice for what does not parse. Pure; the parser is `jsonc-parser`,
//! whose own words are not used: some of them show the text.

use jsonc_parser::{
    CollectOptions, ParseOptions, ParseStringErrorKind,
    ast::{self, ObjectPropName},
    common::{Range, Ranged},
    errors::{ParseError, ParseErrorKind},
    parse_to_ast,
};

use super::{
    problem::{Problem, Text},
    tree::{Member, Node, Value},
};

/// What editors and clients accept, and nothing more: a file that only the bridge can read helps nobody.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn parse<'t>(text: &Text<'t>) -> Result<Node<'t>, Problem> {
    match parse_to_ast(text.text, &CollectOptions::default(), &OPTIONS) {
        Ok(parsed) => match parsed.value {
            Some(value) => Ok(node(value)),
            None => {
                Err(text.at(&(0..0), "the file is empty; write {\"mcpServers\": {\"<name>\": {\"command\": ...}}}"))
            }
        },
        Err(error) => Err(refusal(text, &error)),
    }
}

fn refusal(text: &Text<'_>, error: &ParseError) -> Problem {
    let range = error.range();
    // Where a thing begins that has no end says more than where the file ends.
    text.at(&(range.start..range.end), advice(error.kind()))
}

fn advice(kind: &ParseErrorKind) -> &'static str {
    use ParseErrorKind as Kind;
    match kind {
        Kind::ExpectedComma => "a comma is missing here, between two entries; add it",
        Kind::ExpectedColonAfterObjectKey => "a key needs a colon and a value; write \"key\": \"value\"",
        Kind::ExpectedObjectValue => "a value is missing after the colon; write \"key\": \"value\"",
        Kind::ExpectedStringObjectProperty => "a key needs double quotes; write \"key\": \"value\"",
        Kind::SingleQuotedStringsNotAllowed => "single quotes mean nothing in JSON; write double quotes",
        Kind::UnexpectedWord | Kind::UnexpectedToken => {
            "text needs double quotes; only true, false, null and numbers go without"
        }
        Kind::UnterminatedObject => "this { has no }; add it",
        Kind::UnterminatedArray => "this [ has no ]; add it",
        Kind::UnterminatedCommentBlock => "this /* has no */; add it",
        Kind::MultipleRootJsonValues => "the file goes on after its last }; remove a } before this place, or the rest",
        Kind::UnexpectedCloseBrace => "this } closes nothing; remove it, or write the value that is missing before it",
        Kind::UnexpectedCloseBracket => {
            "this ] closes nothing; remove it, or write the value that is missing before it"
        }
        Kind::UnexpectedColon => "a colon stands where a value has to; write \"key\": \"value\", between { and }",
        Kind::UnexpectedComma => "a comma stands where a value has to; remove it",
        Kind::UnexpectedTokenInObject => "a key is missing here; write \"key\": \"value\", and end the object with }",
        Kind::NestingDepthExceeded => "too deep: no config has this many levels; remove some",
        Kind::String(kind) => string_advice(kind),
        Kind::ExpectedDigit
        | Kind::ExpectedDigitFollowingNegativeSign
        | Kind::ExpectedPlusMinusOrDigitInNumberLiteral
        | Kind::BareDecimalPointNumbersNotAllowed
        | Kind::HexadecimalNumbersNotAllowed
        | Kind::NonFiniteNumbersNotAllowed
        | Kind::UnaryPlusNumbersNotAllowed => "this is no number that JSON has; write digits, or text in double quotes",
        _ => "this is not JSON; write {\"mcpServers\": {\"<name>\": {\"command\": ...}}}",
    }
}

fn string_advice(kind: &ParseStringErrorKind) -> &'static str {
    match kind {
        ParseStringErrorKind::UnterminatedStringLiteral => "this text has no closing double quote on its line; add it",
        _ => "a backslash in text has to be doubled: write \\\\ for each \\, as in \"C:\\\\tools\\\\server.exe\"",
    }
}

fn node(value: ast::Value<'_>) -> Node<'_> {
    let span = bytes(value.range());
    let value = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(lit) => Value::Bool(lit.value),
        ast::Value::NumberLit(lit) => Value::Number(lit.value.into()),
        ast::Value::StringLit(lit) => Value::Text(lit.value),
        ast::Value::Array(array) => Value::List(array.elements.into_iter().map(node).collect()),
        ast::Value::Object(object) => Value::Table(object.properties.into_iter().map(member).collect()),
    };
    Node { span, value }
}

fn member(prop: ast::ObjectProp<'_>) -> Member<'_> {
    let at = bytes(prop.name.range());
    let key = match prop.name {
        ObjectPropName::String(lit) => lit.value,
        ObjectPropName::Word(lit) => lit.value.into(),
    };
    Member { key, at, node: node(prop.value) }
}

fn bytes(range: Range) -> std::ops::Range<usize> {
    range.start..range.end
}
