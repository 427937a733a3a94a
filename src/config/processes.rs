//! How many processes of a server there are and for how long, and what a caller's own one gets from its caller.
//!
//! Owns [`Processes`], and the check of which header may become which variable ([`HeaderEnv`]). Pure. It never holds a
//! header's value.

use std::time::Duration;

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

/// Which header of a caller becomes which variable of its own server. `--header-env`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEnv(Vec<(HeaderName, String)>);

/// Why a header cannot become a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderEnvError {
    /// The name has characters that no variable has everywhere.
    // It is not shown: who takes this for `--env` writes a secret there.
    #[error("what {0} is to become is no variable's name; use letters, digits and '_', as in GITHUB_TOKEN")]
    Name(HeaderName),
    /// It decides what is run, or where it reads and writes.
    #[error(
        "{0} is not for callers to set: it decides what a program loads or where it connects; choose another variable"
    )]
    Forbidden(String),
    /// It means something to the bridge.
    #[error("{0} is a header that the bridge reads itself; choose another, as in X-Github-Token")]
    Header(HeaderName),
    /// Two headers for one variable, or two variables for one header.
    #[error("{0} is named twice; name each header and each variable once")]
    Twice(String),
    /// More than `MOST`.
    #[error("{0} are named, and a server may have {MOST}; leave some out")]
    TooMany(usize),
}

/// Headers that one server may take variables from: each caller's are compared with everybody's.
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

impl HeaderEnv {
    /// Checks what somebody wrote down.
    pub fn new(pairs: Vec<(HeaderName, String)>) -> Result<HeaderEnv, HeaderEnvError> {
        if pairs.len() > MOST {
            return Err(HeaderEnvError::TooMany(pairs.len()));
        }
        for (at, (header, variable)) in pairs.iter().enumerate() {
            if !is_portable(variable) {
                return Err(HeaderEnvError::Name(header.clone()));
            }
            if is_forbidden(variable) {
                return Err(HeaderEnvError::Forbidden(variable.clone()));
            }
            let name = header.as_str();
            if OF_THE_BRIDGE.contains(&name) || name.starts_with("mcp-") || name.starts_with("sec-") {
                return Err(HeaderEnvError::Header(header.clone()));
            }
            let before = pairs.iter().take(at);
            for (other, taken) in before {
                if other == header {
                    return Err(HeaderEnvError::Twice(header.to_string()));
                }
                if taken.eq_ignore_ascii_case(variable) {
                    return Err(HeaderEnvError::Twice(variable.clone()));
                }
            }
        }
        Ok(HeaderEnv(pairs))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each header with its variable.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.0.iter().map(|(header, variable)| (header, variable.as_str()))
    }
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

    fn pairs(pairs: &[(&'static str, &str)]) -> Result<HeaderEnv, HeaderEnvError> {
        HeaderEnv::new(pairs.iter().map(|(h, v)| (HeaderName::from_static(h), v.to_string())).collect())
    }

    #[test]
    fn a_header_becomes_no_variable_that_decides_what_is_run() {
        assert!(pairs(&[("x-github-token", "GITHUB_TOKEN"), ("x-user", "_user2")]).is_ok());
        for name in ["PATH", "Path", "LD_PRELOAD", "NODE_OPTIONS", "npm_config_prefix", "PYTHONPATH", "https_proxy"] {
            assert_eq!(pairs(&[("x-a", name)]), Err(HeaderEnvError::Forbidden(name.into())));
        }
        for name in ["", "A B", "A=B", "1A", "A\0", "Ä"] {
            assert_eq!(pairs(&[("x-a", name)]), Err(HeaderEnvError::Name(HeaderName::from_static("x-a"))));
        }
    }

    #[test]
    fn headers_of_the_bridge_and_doubles_are_refused() {
        for header in ["authorization", "host", "mcp-session-id", "sec-fetch-site"] {
            assert!(matches!(pairs(&[(header, "A")]), Err(HeaderEnvError::Header(_))));
        }
        assert_eq!(pairs(&[("x-a", "A"), ("x-a", "B")]), Err(HeaderEnvError::Twice("x-a".into())));
        assert_eq!(pairs(&[("x-a", "A"), ("x-b", "a")]), Err(HeaderEnvError::Twice("a".into())));
    }
}
