//! What the schema of a tool says about headers: which arguments of a call they repeat (2026-07-28, Tools, `x-mcp-header`).
//!
//! Owns the reading of an `inputSchema`, and what makes such an annotation invalid. Pure. It never reads a call; what
//! becomes of the annotations is the affair of HTTP ([`crate::wire::http::mirror`]) and of the translation between eras.

use std::collections::HashSet;

use http::HeaderName;
use memchr::memmem;
use serde_json::Value;

use crate::json::{self, Object};

/// The key in a parameter's schema.
pub const ANNOTATION: &str = "x-mcp-header";

/// What stands before the name that a tool's schema gives to a parameter's header; in lower case, as all names are here.
pub const PARAM: &str = "mcp-param-";

/// The longest name of a parameter's header, in bytes. Servers take 8 KiB of headers in all.
const MAX_HEADER_NAME: usize = 256;

/// Why a tool's schema may not be used over Streamable HTTP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No JSON that can be read.
    #[error("its inputSchema cannot be read")]
    Unreadable,
    /// Below an array, a composition, a condition, or at the root.
    #[error("x-mcp-header stands where `properties` alone do not lead ({0})")]
    Unreachable(String),
    /// Empty, not a string, with blanks or control characters.
    #[error("x-mcp-header of '{0}' is no name of a header")]
    Name(String),
    /// Longer than any server takes.
    #[error("x-mcp-header of '{0}' is longer than {MAX_HEADER_NAME} bytes")]
    Long(String),
    /// Something else than a string, an integer or a boolean.
    #[error("x-mcp-header of '{0}' is on a parameter whose type is not string, integer or boolean")]
    Type(String),
    /// Two parameters share a header.
    #[error("x-mcp-header of '{0}' is another parameter's, too")]
    Twice(String),
}

/// The parameters of one tool that headers repeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    params: Box<[Param]>,
}

/// A parameter that a header repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The header's name.
    pub header: HeaderName,
    /// The keys that lead to the argument.
    pub path: Box<[Box<str>]>,
}

impl Annotations {
    /// Reads a tool's `inputSchema`, as JSON text.
    pub fn of(schema: &str) -> Result<Annotations, Invalid> {
        // Most schemas have none. A key can be written with escapes, if hardly anybody does.
        let may = |what: &str| memmem::find(schema.as_bytes(), what.as_bytes()).is_some();
        if !may(ANNOTATION) && !may("\\u") {
            return Ok(Annotations::default());
        }
        let schema: Value = serde_json::from_str(schema).map_err(|_| Invalid::Unreadable)?;
        let mut walk = Walk::default();
        walk.schema(&schema, true)?;
        Ok(Annotations { params: walk.found.into() })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// About how many bytes these hold.
    pub fn weight(&self) -> usize {
        let keys = |param: &Param| param.path.iter().map(|key| key.len() + size_of::<Box<str>>()).sum::<usize>();
        self.params.iter().map(|param| size_of::<Param>() + param.header.as_str().len() + keys(param)).sum()
    }

    /// Each of them.
    pub fn params(&self) -> &[Param] {
        &self.params
    }
}

/// What the value of a schema's keyword is.
enum Holds {
    /// Data of the tool's own, no schema.
    Data,
    /// Schemas by name: the keys are names there, whatever they look like.
    Named,
    /// A schema, or a list of them, or what holds none.
    Schemas,
}

fn holds(keyword: &str) -> Holds {
    match keyword {
        "const" | "default" | "enum" | "examples" => Holds::Data,
        "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions" => Holds::Named,
        _ => Holds::Schemas,
    }
}

/// A pass over a schema. As deep as a message may be nested ([`crate::message::MAX_DEPTH`]).
#[derive(Default)]
struct Walk {
    path: Vec<Box<str>>,
    found: Vec<Param>,
    taken: HashSet<HeaderName>,
}

impl Walk {
    /// `reachable`: `properties` alone led here.
    fn schema(&mut self, schema: &Value, reachable: bool) -> Result<(), Invalid> {
        let Value::Object(keywords) = schema else {
            // `items` may be a list of schemas, and so are compositions.
            return schema.as_array().into_iter().flatten().try_for_each(|schema| self.schema(schema, false));
        };
        if let Some(name) = keywords.get(ANNOTATION) {
            let param = self.param(name, keywords.get("type"), reachable)?;
            self.found.push(param);
        }
        for (keyword, value) in keywords.iter().filter(|(keyword, _)| *keyword != ANNOTATION) {
            match holds(keyword) {
                Holds::Data => {}
                Holds::Named => self.names(value, reachable && keyword == "properties")?,
                Holds::Schemas => self.schema(value, false)?,
            }
        }
        Ok(())
    }

    fn names(&mut self, schemas: &Value, reachable: bool) -> Result<(), Invalid> {
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            self.path.push(name.as_str().into());
            self.schema(schema, reachable)?;
            self.path.pop();
        }
        Ok(())
    }

    fn param(&mut self, name: &Value, kind: Option<&Value>, reachable: bool) -> Result<Param, Invalid> {
        let place = || place(&self.path);
        if !reachable || self.path.is_empty() {
            return Err(Invalid::Unreachable(place()));
        }
        let name = name.as_str().unwrap_or_default();
        if name.is_empty() {
            return Err(Invalid::Name(place()));
        }
        if name.len() > MAX_HEADER_NAME {
            return Err(Invalid::Long(place()));
        }
        // The reader of names takes tokens only (RFC 9110, section 5.1), and lowers their case.
        let header = HeaderName::from_bytes(format!("{PARAM}{name}").as_bytes()).map_err(|_| Invalid::Name(place()))?;
        if !matches!(kind.and_then(Value::as_str), Some("string" | "integer" | "boolean")) {
            return Err(Invalid::Type(place()));
        }
        if !self.taken.insert(header.clone()) {
            return Err(Invalid::Twice(place()));
        }
        Ok(Param { header, path: self.path.clone().into() })
    }
}

/// A path for a log: on one line, and of bounded length.
fn place(path: &[Box<str>]) -> String {
    let text = path.join(".");
    text.chars().take(100).map(|char| if char.is_control() { '?' } else { char }).collect()
}

/// The schema without any annotation, wherever [`Annotations::of`] looks for them. A property that has the annotation's
/// name stays, and so does data. JSON text both ways.
pub fn stripped(schema: &str) -> String {
    if let Some(items) = json::array(schema) {
        return json::join(items.into_iter().map(stripped));
    }
    let Some(keywords) = Object::parse(schema) else { return schema.to_string() };
    let mut kept = Object::new();
    for (keyword, value) in keywords.iter().filter(|(keyword, _)| *keyword != ANNOTATION) {
        match holds(keyword) {
            Holds::Data => kept.set(keyword, value),
            Holds::Named => kept.set(keyword, stripped_names(value)),
            Holds::Schemas => kept.set(keyword, stripped(value)),
        };
    }
    kept.to_string()
}

fn stripped_names(schemas: &str) -> String {
    let Some(schemas) = Object::parse(schemas) else { return schemas.to_string() };
    let mut kept = Object::new();
    for (name, schema) in schemas.iter() {
        kept.set(name, stripped(schema));
    }
    kept.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_annotation_says_why() {
        let property = |schema: &str| format!(r#"{{"type":"object","properties":{{"p":{schema}}}}}"#);
        for (schema, why) in [
            (property(r#"{"type":"string","x-mcp-header":""}"#), Invalid::Name("p".into())),
            (property(r#"{"type":"string","x-mcp-header":7}"#), Invalid::Name("p".into())),
            (property(r#"{"type":"string","x-mcp-header":"a b"}"#), Invalid::Name("p".into())),
            (property(r#"{"type":"string","x-mcp-header":"a\r\nb"}"#), Invalid::Name("p".into())),
            (property(r#"{"type":"string","x-mcp-header":"a:b"}"#), Invalid::Name("p".into())),
            (property(r#"{"type":"string","x-mcp-header":"ä"}"#), Invalid::Name("p".into())),
            (
                property(&format!(r#"{{"type":"string","x-mcp-header":"{}"}}"#, "a".repeat(257))),
                Invalid::Long("p".into()),
            ),
            (property(r#"{"type":"number","x-mcp-header":"A"}"#), Invalid::Type("p".into())),
            (property(r#"{"type":["string","null"],"x-mcp-header":"A"}"#), Invalid::Type("p".into())),
            (property(r#"{"x-mcp-header":"A"}"#), Invalid::Type("p".into())),
            (
                property(r#"{"type":"array","items":{"type":"string","x-mcp-header":"A"}}"#),
                Invalid::Unreachable("p".into()),
            ),
            (property(r#"{"anyOf":[{"type":"string","x-mcp-header":"A"}]}"#), Invalid::Unreachable("p".into())),
            (
                r#"{"$defs":{"d":{"type":"string","x\u002dmcp-header":"A"}}}"#.to_owned(),
                Invalid::Unreachable("d".into()),
            ),
            (r#"{"type":"string","x-mcp-header":"A"}"#.to_owned(), Invalid::Unreachable(String::new())),
            (
                r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#
                    .to_owned(),
                Invalid::Twice("b".into()),
            ),
            (
                r#"{"if":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#.to_owned(),
                Invalid::Unreachable("a".into()),
            ),
        ] {
            assert_eq!(Annotations::of(&schema), Err(why), "{schema}");
            assert!(Annotations::of(&stripped(&schema)).unwrap().is_empty(), "{schema}");
        }
        assert!(Annotations::of(r#"{"type":"object"}"#).unwrap().is_empty());
        let good = property(r#"{"type":"string","x-mcp-header":"A"}"#);
        assert!(Annotations::of(&good).unwrap().weight() > 30);
    }
}
