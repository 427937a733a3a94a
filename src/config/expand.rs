//! `${VAR}` in flag values and config files, so that no secret has to stand in argv, where `ps` shows it, or in a file.
//!
//! Owns the little grammar. Talks to nobody: the environment is passed in. It never shows a value in an error.

use std::ffi::OsString;

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Why a value could not be expanded. Complete but for the flag, which the caller names in front.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpandError {
    #[error("${{{0}}} is not set; export {0}, or write ${{{0}:-default}}")]
    Unset(String),
    #[error("${{{0}}} is not UTF-8; set {0} to text")]
    NotText(String),
    #[error("${{ has no }}; write ${{NAME}}, or $${{ for a literal ${{")]
    Unclosed,
    #[error("${{{0}}} is not a variable's name; write ${{NAME}} or ${{NAME:-default}}, or $${{ for a literal ${{")]
    BadName(String),
    /// What a client fills in, and a bridge cannot.
    #[error("{0}")]
    Foreign(String),
}

/// Replaces `${NAME}` and `${NAME:-default}`; the default also stands in for an empty variable, as in a shell. `$${` is
/// a literal `${`; any other `$` is itself.
pub(crate) fn expand(text: &str, env: Env<'_>) -> Result<String, ExpandError> {
    expand_by(text, "${", &|reference| value_of(reference, env))
}

/// The same grammar for what starts with `open` and ends with `}`, with another rule for what stands between.
pub(crate) fn expand_by(
    text: &str,
    open: &str,
    value_of: &dyn Fn(&str) -> Result<String, ExpandError>,
) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(open) {
        let (before, from) = rest.split_at(at);
        let inside = from.strip_prefix(open).unwrap_or_default();
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str(open);
            rest = inside;
            continue;
        }
        out.push_str(before);
        let (reference, after) = inside.split_once('}').ok_or(ExpandError::Unclosed)?;
        out.push_str(&value_of(reference)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// What `NAME` or `NAME:-default` comes to.
pub(crate) fn value_of(reference: &str, env: Env<'_>) -> Result<String, ExpandError> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) {
        // Not the default: it may be a secret. Not a long text either: then the braces were meant otherwise.
        return Err(ExpandError::BadName(name.chars().take(32).collect()));
    }
    let value =
        env(name).map(|value| value.into_string().map_err(|_| ExpandError::NotText(name.into()))).transpose()?;
    match (value, default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.into()),
        (None, None) => Err(ExpandError::Unset(name.into())),
    }
}

/// Whether a text can be a variable's name in every shell.
pub(crate) fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<OsString> {
        match name {
            "KEY" => Some("s3cret".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced_and_the_rest_is_kept() {
        for (text, want) in [
            ("plain", "plain"),
            ("${KEY}", "s3cret"),
            ("a${KEY}b${KEY}c", "as3cretbs3cretc"),
            ("${NONE:-d}", "d"),
            ("${NONE:-}", ""),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY}", ""),
            ("${KEY:-d}", "s3cret"),
            ("$KEY $ $$ }", "$KEY $ $$ }"),
            ("$${KEY}", "${KEY}"),
            ("é${KEY}é", "és3creté"),
        ] {
            assert_eq!(expand(text, &env).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_put_in_is_not_expanded_again() {
        let env = |name: &str| (name == "A").then(|| OsString::from("${B}"));
        assert_eq!(expand("${A}", &env).as_deref(), Ok("${B}"));
    }

    #[test]
    fn wrong_references_are_named() {
        for (text, want) in [
            ("${NONE}", "${NONE} is not set; export NONE, or write ${NONE:-default}"),
            ("x${KEY", "${ has no }; write ${NAME}, or $${ for a literal ${"),
            ("${a b}", "${a b} is not a variable's name; write ${NAME} or ${NAME:-default}, or $${ for a literal ${"),
            ("${}", "${} is not a variable's name; write ${NAME} or ${NAME:-default}, or $${ for a literal ${"),
        ] {
            assert_eq!(expand(text, &env).map_err(|error| error.to_string()), Err(want.to_string()), "{text}");
        }
    }
}
