//! The keys of a server: those that mean something, those of clients that mean nothing here, and what was meant.
//!
//! Owns the lists. Pure. Spelling follows the client: `envFile`, `env_file` and `env-file` are one key.

/// Keys of a server that are read, in their one spelling.
pub(super) const KNOWN: [&str; 43] = [
    "args",
    "bearer",
    "bearer_token_env_var",
    "claim_env",
    "command",
    "connect_timeout",
    "cwd",
    "disabled",
    "disabled_tools",
    "enabled",
    "enabled_tools",
    "env",
    "env_file",
    "env_http_headers",
    "environment",
    "era",
    "exclude_tools",
    "header_env",
    "headers",
    "http_headers",
    "http_url",
    "idle_timeout",
    "include_tools",
    "max_children",
    "name",
    "pass_env",
    "request_options",
    "request_timeout",
    "retries",
    "retry_delay",
    "server_url",
    "session_timeout",
    "sharing",
    "stop_timeout",
    "tool_timeout_sec",
    "tools",
    "transport",
    "type",
    "url",
    "warm",
    // Only read where they stand with others: `tools.allow`, the old form of `command` in Zed.
    "allow",
    "deny",
    "path",
];

/// Settings that `[defaults]` may hold for all servers of a file.
pub(super) const SETTINGS: [&str; 12] = [
    "connect_timeout",
    "era",
    "idle_timeout",
    "max_children",
    "pass_env",
    "request_timeout",
    "retries",
    "retry_delay",
    "session_timeout",
    "sharing",
    "stop_timeout",
    "warm",
];

/// Keys of clients that say nothing about how a server is reached: questions to the user, texts, housekeeping.
const OF_CLIENTS: [&str; 18] = [
    "always_allow",
    "auto_approve",
    "description",
    "dev",
    "env_vars",
    "from_gallery",
    "gallery",
    "icon",
    "id",
    "metadata",
    "note",
    "required",
    "source",
    "startup_timeout_ms",
    "startup_timeout_sec",
    "supports_parallel_tool_calls",
    "title",
    "trust",
];

/// Where servers stand in the files of clients, and in the bridge's own.
pub(super) const TOP: [&str; 5] = ["servers", "mcpServers", "mcp_servers", "context_servers", "mcp"];

/// `envFile`, `env-file` and `env_file` are `env_file`.
pub(super) fn plain(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    let mut small = false;
    for c in key.chars() {
        if c.is_ascii_uppercase() && small {
            out.push('_');
        }
        small = c.is_ascii_lowercase() || c.is_ascii_digit();
        out.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    out
}

/// Whether a word of a line can be shown: it is a key, or a word of the language, and no part of a secret.
pub(super) fn is_known(word: &str) -> bool {
    if word.len() > 32 {
        return false;
    }
    let key = plain(word);
    let key = key.as_str();
    matches!(key, "true" | "false" | "null" | "defaults" | "servers" | "mcp_servers" | "context_servers" | "mcp")
        || KNOWN.contains(&key)
        || OF_CLIENTS.contains(&key)
}

/// Whether a key is meant for a client, or is a comment: `_note`, `$schema`, `//`.
pub(super) fn is_of_clients(key: &str) -> bool {
    key.starts_with(['_', '$', '/', '#']) || OF_CLIENTS.contains(&key)
}

/// The one of `known` that a misspelt key was meant to be.
pub(super) fn near<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Longer than any key by far; the distance takes the product of both lengths.
    if key.len() > 40 {
        return None;
    }
    let distance = |other: &&str| strsim::damerau_levenshtein(key, other);
    let found = known.into_iter().min_by_key(distance)?;
    // A third of the word may be wrong: `arg` is `args`, and `foo` is not `env`.
    (distance(&found) * 3 <= found.len().max(key.len())).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_one_key() {
        for key in ["envFile", "env-file", "env_file", "EnvFile"] {
            assert_eq!(plain(key), "env_file");
        }
        assert_eq!(plain("serverURL"), "server_url");
        assert_eq!(plain("URL"), "url");
    }

    #[test]
    fn near_misses_are_found_and_others_are_not() {
        assert_eq!(near("comand", KNOWN), Some("command"));
        assert_eq!(near("arg", KNOWN), Some("args"));
        assert_eq!(near("max_childs", KNOWN), Some("max_children"));
        assert_eq!(near("foo", KNOWN), None);
        assert_eq!(near("", KNOWN), None);
        assert_eq!(near(&"x".repeat(10_000), KNOWN), None);
    }
}
