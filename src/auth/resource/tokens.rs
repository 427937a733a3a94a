//! Tokens that were given out by hand: a file of them.
//!
//! Owns the file's form, the comparison, and reading it anew when it has changed. Talks to the file. It never shows a
//! token, nor which part of one was right.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use subtle::ConstantTimeEq as _;
use tracing::{info, warn};

use super::{Access, Scopes, TokenClaims};
use crate::{config::Secret, files, peer::Principal};

/// The file is looked at no more often. A token that was taken back works no longer than that.
const LOOK: Duration = Duration::from_secs(1);

/// Why a file holds no tokens. One line, without any of its content.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("{path}: {source}; name a readable text file")]
    Unreadable {
        /// Where it is.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not of the form.
    #[error("{path} line {line} is not a token; write one a line, or 'name: token'")]
    NoToken {
        /// Where it is.
        path: String,
        /// From 1.
        line: usize,
    },
    /// Two tokens have one name.
    #[error("{path} line {line} gives a name that an earlier line has; give each token its own")]
    Twice {
        /// Where it is.
        path: String,
        /// From 1.
        line: usize,
    },
    /// There is none.
    #[error("{path} holds no token; write one a line")]
    Empty {
        /// Where it is.
        path: String,
    },
}

/// Reads a file of tokens: one a line, with a name in front or without; `#` begins a comment line.
pub fn read(path: &Path) -> Result<TokenFile, TokenFileError> {
    let shown = || path.display().to_string();
    let stamp = Stamp::of(path);
    let text = files::text(path).map_err(|source| TokenFileError::Unreadable { path: shown(), source })?;
    let mut tokens: Vec<NamedToken> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let (name, token) = match *words {
            [token] => (format!("token-{}", tokens.len() + 1), token),
            [name, token] if name.len() > 1 && name.ends_with(':') => (name.trim_end_matches(':').to_owned(), token),
            _ => return Err(TokenFileError::NoToken { path: shown(), line }),
        };
        if !token.chars().all(|c| c.is_ascii_graphic()) || !name.chars().all(|c| c.is_ascii_graphic()) {
            return Err(TokenFileError::NoToken { path: shown(), line });
        }
        if tokens.iter().any(|other| *other.name == *name) {
            return Err(TokenFileError::Twice { path: shown(), line });
        }
        tokens.push(NamedToken { name: name.into(), token: Secret::new(token) });
    }
    match tokens.is_empty() {
        true => Err(TokenFileError::Empty { path: shown() }),
        false => Ok(TokenFile { path: Some(path.into()), tokens: tokens.into(), read: stamp }),
    }
}

/// A file of tokens, as it was when it was read.
#[derive(Debug, Clone)]
pub struct TokenFile {
    /// `None`: they came another way, and stay as they are.
    path: Option<PathBuf>,
    /// At least one.
    tokens: Arc<[NamedToken]>,
    /// Which state of the file it was.
    read: Stamp,
}

impl TokenFile {
    /// Tokens without a file, named `token-1` and so on.
    pub fn of(tokens: impl IntoIterator<Item = Secret>) -> TokenFile {
        let named = |(number, token)| NamedToken { name: format!("token-{number}").into(), token };
        TokenFile { path: None, tokens: (1..).zip(tokens).map(named).collect(), read: Stamp(None) }
    }
}

/// One token and the principal that it stands for.
#[derive(Debug, Clone)]
struct NamedToken {
    /// `token-1` and so on where the file gives no name.
    name: Arc<str>,
    /// Visible ASCII.
    token: Secret,
}

/// What tells one state of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(Option<(SystemTime, u64)>);

impl Stamp {
    fn of(path: &Path) -> Stamp {
        let data = fs::metadata(path).ok();
        Stamp(data.and_then(|data| data.modified().ok().map(|time| (time, data.len()))))
    }
}

/// The tokens of a file, as it is now.
#[derive(Debug)]
pub(super) struct Tokens(Mutex<Now>);

#[derive(Debug)]
struct Now {
    file: TokenFile,
    /// The state that was looked at last, good or bad.
    seen: Stamp,
    looked: Instant,
}

impl Tokens {
    pub(super) fn new(file: TokenFile) -> Tokens {
        let seen = file.read;
        Tokens(Mutex::new(Now { file, seen, looked: Instant::now() }))
    }

    /// As if the file had not been looked at for a while.
    #[cfg(test)]
    pub(super) fn forget_the_time(&self) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.looked = Instant::now().checked_sub(LOOK).unwrap_or(now.looked);
    }

    /// Whose token it is. All are compared, each as a whole, so that time tells nothing.
    pub(super) fn find(&self, given: &[u8]) -> Option<Access> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.look();
        let mut found = None;
        for one in now.file.tokens.iter() {
            if bool::from(one.token.expose().as_bytes().ct_eq(given)) {
                found = Some(one.name.clone());
            }
        }
        found.map(|name| Access { principal: Principal(name), scopes: Scopes::All, claims: TokenClaims::default() })
    }
}

impl Now {
    /// Reads the file anew when it has changed. What is wrong with it is said once, and the tokens stay.
    fn look(&mut self) {
        let Some(path) = self.file.path.clone() else { return };
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let stamp = Stamp::of(&path);
        if stamp == self.seen {
            return;
        }
        self.seen = stamp;
        match read(&path) {
            Ok(file) => {
                info!("read {} tokens anew from {}", file.tokens.len(), path.display());
                self.file = file;
            }
            Err(error) => warn!("the tokens stay as they were: --bearer-token-file {error}"),
        }
    }
}
