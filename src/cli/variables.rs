//! Variables that look like ours and are not: a misspelt one would be ignored without a word.
//!
//! Owns the list of names that count. Talks to the environment. It never shows a value.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};

use super::args;
use crate::observe::flat;

/// Of the bridge's own processes and of its tests; no flags.
const OTHERS: [&str; 2] = ["MCP_BRIDGE_GUARD", "MCP_BRIDGE_DEMO_TEST"];

/// One line for each variable that has our prefix and belongs to no flag. An empty one is none.
pub fn unknown_variables() -> Vec<String> {
    unknown(std::env::vars_os().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name))
}

fn unknown(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = names.map(|name| name.to_string_lossy().into_owned()).filter(|name| {
        // Before clap is asked, which takes its time: hardly anyone has such a variable.
        name.starts_with("MCP_BRIDGE_") && !OTHERS.contains(&name.as_str())
    });
    let mut names: Vec<String> = names.collect();
    if names.is_empty() {
        return names;
    }
    let flags = flags();
    names.retain(|name| !flags.iter().any(|flag| args::variable(flag) == *name));
    names.sort();
    names.iter().map(|name| complaint(name, &flags)).collect()
}

fn complaint(name: &str, flags: &[String]) -> String {
    let shown = flat(name);
    match near(name, flags) {
        Some(near) => format!("unknown variable {shown}; did you mean {near}?"),
        None => format!("unknown variable {shown}; each is named after a flag: see mcp-bridge serve --help"),
    }
}

/// The long names of all flags of all commands that have a variable.
fn flags() -> Vec<String> {
    let all = args::command();
    let mut flags: Vec<String> = all
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter(|arg| arg.get_env().is_some())
        .filter_map(|arg| arg.get_long().map(String::from))
        .filter(|flag| flag != "help" && flag != "version")
        .collect();
    flags.sort();
    flags.dedup();
    flags
}

/// What clap would suggest, had the flag been typed.
fn near(name: &str, flags: &[String]) -> Option<String> {
    let typed = name.strip_prefix("MCP_BRIDGE_")?.to_ascii_lowercase().replace('_', "-");
    let args = flags.iter().map(|flag| clap::Arg::new(flag.clone()).long(flag.clone()));
    let command = clap::Command::new("variables").disable_help_flag(true).args(args);
    let error = command.try_get_matches_from(["variables".to_string(), format!("--{typed}")]).err()?;
    let flag = match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(flag) => flag,
        // The nearest is last.
        ContextValue::Strings(flags) => flags.last()?,
        _ => return None,
    };
    Some(args::variable(flag.strip_prefix("--")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_named_with_what_was_meant() {
        let names = [
            "MCP_BRIDGE_PROT",
            "MCP_BRIDGE_XYZZY",
            "MCP_BRIDGE_PORT",
            "MCP_BRIDGE_GUARD",
            "PATH",
            "MCP_BRIDGE",
            "MCP_BRIDGE_JSON",
        ];
        assert_eq!(
            unknown(names.into_iter().map(OsString::from)),
            [
                // A flag of `status` alone, which has no variables.
                "unknown variable MCP_BRIDGE_JSON; each is named after a flag: see mcp-bridge serve --help",
                "unknown variable MCP_BRIDGE_PROT; did you mean MCP_BRIDGE_PORT?",
                "unknown variable MCP_BRIDGE_XYZZY; each is named after a flag: see mcp-bridge serve --help",
            ]
        );
    }
}
