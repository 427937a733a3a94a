//! How many processes of a server there are and for how long, and what a caller's own one gets from its caller.
//!
//! Owns [`Processes`], and the check of what of a caller may become which variable ([`CallerEnv`]). Pure. It never holds a
//! header's or a claim's value.

use std::{fmt, time::Duration};

use http::HeaderName;

/// How many processes of a server there are, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Processes {
    /// At once, spares included; one more is refused. `None`: as many as sessions. Stops process floods. While a server's
    /// era is found out there may be one more. `--max-children`.
    pub most: Option<usize>,
    /// Started before they are needed. `--warm`.
    pub warm: usize,
    /// A process that callers share and nobody uses for this long is ended, and started again when it is needed; zero:
    /// never. `None`: see [`Processes::idle_shared`] and [`Processes::idle_pooled`]. `--idle-timeout`.
    pub idle: Option<Duration>,
}

impl Processes {
    /// Of the one process that all share. Never by default: it may keep in memory what its clients count on.
    pub fn idle_shared(&self) -> Option<Duration> {
        self.idle.filter(|idle| !idle.is_zero())
    }

    /// Of a process that is kept for modern callers of an older server, or that is pooled and has no session. It keeps
    /// nothing that somebody counts on, and there may be many: `usual` by default.
    pub fn idle_pooled(&self, usual: Duration) -> Duration {
        self.idle.map_or(usual, |idle| if idle.is_zero() { Duration::MAX } else { idle })
    }
}

/// What of a caller becomes which variable of its own server. `--header-env`, `--claim-env`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallerEnv(Vec<(Source, String)>);

/// What of a caller becomes a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// What it sends under this name.
    Header(HeaderName),
    /// What its token says under this name, once the token is checked.
    Claim(Box<str>),
}

impl Source {
    /// In words.
    pub fn what(&self) -> &'static str {
        match self {
            Source::Header(_) => "the header",
            Source::Claim(_) => "the token's claim",
        }
    }

    /// The key of a config file that names such sources.
    pub fn key(&self) -> &'static str {
        match self {
            Source::Header(_) => "header_env",
            Source::Claim(_) => "claim_env",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Header(name) => f.write_str(name.as_str()),
            Source::Claim(name) => f.write_str(name),
        }
    }
}

/// Why something cannot become a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallerEnvError {
    /// The name has characters that no variable has everywhere.
    // It is not shown: who takes this for `--env` writes a secret there.
    #[error("what {0} is to become is no variable's name; use letters, digits and '_', as in GITHUB_TOKEN")]
    Name(Source),
    /// It decides what is run, or where it reads and writes.
    #[error(
        "{0} is not for callers to set: it decides what a program loads or where it connects; choose another variable"
    )]
    Forbidden(String),
    /// It means something to the bridge.
    #[error("{0} is a header that the bridge reads itself; choose another, as in X-Github-Token")]
    Header(HeaderName),
    /// It is no name of a claim.
    #[error(
        "a claim's name is empty, or longer than 256 bytes, or has control characters; write it as it is in tokens"
    )]
    Claim,
    /// Two sources for one variable, or two variables for one source.
    #[error("{0} is named twice; name each header, each claim and each variable once")]
    Twice(String),
    /// More than `MOST`.
    #[error("{0} are named, and a server may have {MOST}; leave some out")]
    TooMany(usize),
}

/// Headers and claims that one server may take variables from: each caller's are compared with everybody's.
const MOST: usize = 32;

/// Variables that decide what a program loads, runs, trusts, or where it connects: whoever sets one has the machine, not
/// an account. An entry that ends in `*` is a prefix. Compared in upper case.
const FORBIDDEN: &[&str] = &[
    "PATH",
    "PATHEXT",
    "HOME",
    "USERPROFILE",
    "SHELL",
    "COMSPEC",
    "SYSTEMROOT",
    "WINDIR",
    "IFS",
    "ENV",
    "BASH_*",
    "ZDOTDIR",
    "PS4",
    "PROMPT_COMMAND",
    "TMPDIR",
    "TMP",
    "TEMP",
    "XDG_*",
    "LD_*",
    "DYLD_*",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "LOCPATH",
    "MALLOC_*",
    "NODE_*",
    "NPM_CONFIG_*",
    "YARN_*",
    "PNPM_*",
    "BUN_*",
    "DENO_*",
    "ELECTRON_*",
    "PYTHON*",
    "PIP_*",
    "UV_*",
    "VIRTUAL_ENV",
    "CONDA_*",
    "PERL*",
    "RUBY*",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_*",
    "JAVA_*",
    "JDK_*",
    "_JAVA_*",
    "CLASSPATH",
    "MAVEN_*",
    "GRADLE_*",
    "DOTNET_*",
    "COR_*",
    "CORECLR_*",
    "COMPLUS_*",
    "PHP*",
    "LUA_*",
    "GOPATH",
    "GOROOT",
    "GOFLAGS",
    "GOPROXY",
    "GOENV",
    "CARGO_*",
    "RUST*",
    "GIT_SSH*",
    "GIT_CONFIG*",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_ASKPASS",
    "GIT_PAGER",
    "GIT_EDITOR",
    "GIT_PROXY_COMMAND",
    "GIT_TEMPLATE_DIR",
    "GIT_DIR",
    "SSH_ASKPASS",
    "SSH_AUTH_SOCK",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "SSL_*",
    "OPENSSL_*",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "KUBECONFIG",
    "MCP_BRIDGE_*",
];

/// Headers that say something to the bridge. `Authorization` holds a token that is for the bridge, and must not be passed
/// on (2025-11-25, Security Best Practices, Token Passthrough).
const OF_THE_BRIDGE: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "origin",
    "accept",
    "content-type",
    "content-length",
    "content-encoding",
    "connection",
    "upgrade",
    "te",
    "transfer-encoding",
    "last-event-id",
];

impl CallerEnv {
    /// Checks what somebody wrote down of headers.
    pub fn new(pairs: Vec<(HeaderName, String)>) -> Result<CallerEnv, CallerEnvError> {
        CallerEnv::default().and(pairs.into_iter().map(|(header, name)| (Source::Header(header), name)))
    }

    /// The same, and claims beside that.
    pub fn and_claims(self, pairs: Vec<(Box<str>, String)>) -> Result<CallerEnv, CallerEnvError> {
        self.and(pairs.into_iter().map(|(claim, name)| (Source::Claim(claim), name)))
    }

    fn and(self, more: impl Iterator<Item = (Source, String)>) -> Result<CallerEnv, CallerEnvError> {
        let mut pairs = self.0;
        pairs.extend(more);
        if pairs.len() > MOST {
            return Err(CallerEnvError::TooMany(pairs.len()));
        }
        for (at, (source, variable)) in pairs.iter().enumerate() {
            if !is_portable(variable) {
                return Err(CallerEnvError::Name(source.clone()));
            }
            if is_forbidden(variable) {
                return Err(CallerEnvError::Forbidden(variable.clone()));
            }
            match source {
                Source::Header(header) if is_of_the_bridge(header.as_str()) => {
                    return Err(CallerEnvError::Header(header.clone()));
                }
                Source::Claim(name) if !(1..=256).contains(&name.len()) || name.contains(char::is_control) => {
                    return Err(CallerEnvError::Claim);
                }
                Source::Header(_) | Source::Claim(_) => {}
            }
            let before = pairs.iter().take(at);
            for (other, taken) in before {
                if other == source {
                    return Err(CallerEnvError::Twice(source.to_string()));
                }
                if taken.eq_ignore_ascii_case(variable) {
                    return Err(CallerEnvError::Twice(variable.clone()));
                }
            }
        }
        Ok(CallerEnv(pairs))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some come from tokens.
    pub fn has_claims(&self) -> bool {
        self.0.iter().any(|(source, _)| matches!(source, Source::Claim(_)))
    }

    /// Each source with its variable.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, &str)> {
        self.0.iter().map(|(source, variable)| (source, variable.as_str()))
    }
}

fn is_of_the_bridge(header: &str) -> bool {
    OF_THE_BRIDGE.contains(&header) || header.starts_with("mcp-") || header.starts_with("sec-")
}

fn is_portable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && (1..=128).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_forbidden(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    FORBIDDEN.iter().any(|entry| match entry.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *entry,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&'static str, &str)]) -> Result<CallerEnv, CallerEnvError> {
        CallerEnv::new(pairs.iter().map(|(h, v)| (HeaderName::from_static(h), v.to_string())).collect())
    }

    #[test]
    fn a_header_becomes_no_variable_that_decides_what_is_run() {
        assert!(pairs(&[("x-github-token", "GITHUB_TOKEN"), ("x-user", "_user2")]).is_ok());
        for name in ["PATH", "Path", "LD_PRELOAD", "NODE_OPTIONS", "npm_config_prefix", "PYTHONPATH", "https_proxy"] {
            assert_eq!(pairs(&[("x-a", name)]), Err(CallerEnvError::Forbidden(name.into())));
        }
        for name in ["", "A B", "A=B", "1A", "A\0", "Ä"] {
            assert_eq!(
                pairs(&[("x-a", name)]),
                Err(CallerEnvError::Name(Source::Header(HeaderName::from_static("x-a"))))
            );
        }
    }

    #[test]
    fn headers_of_the_bridge_and_doubles_are_refused() {
        for header in ["authorization", "host", "mcp-session-id", "sec-fetch-site"] {
            assert!(matches!(pairs(&[(header, "A")]), Err(CallerEnvError::Header(_))));
        }
        assert_eq!(pairs(&[("x-a", "A"), ("x-a", "B")]), Err(CallerEnvError::Twice("x-a".into())));
        assert_eq!(pairs(&[("x-a", "A"), ("x-b", "a")]), Err(CallerEnvError::Twice("a".into())));
    }

    #[test]
    fn claims_keep_the_rules_of_headers_and_share_no_variable_with_one() {
        let with = |claims: &[(&str, &str)]| {
            pairs(&[("sub", "A")])?.and_claims(claims.iter().map(|&(c, v)| (c.into(), v.to_string())).collect())
        };
        let good = with(&[("sub", "B"), ("https://h/tenant", "C")]).unwrap();
        assert!(good.has_claims() && !pairs(&[("sub", "A")]).unwrap().has_claims());
        assert_eq!(good.iter().map(|(_, name)| name).collect::<Vec<_>>(), ["A", "B", "C"]);
        assert_eq!(with(&[("sub", "a")]), Err(CallerEnvError::Twice("a".into())));
        assert_eq!(with(&[("id", "B"), ("id", "C")]), Err(CallerEnvError::Twice("id".into())));
        assert_eq!(with(&[("sub", "LD_PRELOAD")]), Err(CallerEnvError::Forbidden("LD_PRELOAD".into())));
        assert_eq!(with(&[("sub", "A B")]), Err(CallerEnvError::Name(Source::Claim("sub".into()))));
        for name in ["", "a\nb", &"n".repeat(257)] {
            assert_eq!(with(&[(name, "B")]), Err(CallerEnvError::Claim));
        }
    }
}
