//! The key that handles are sealed under: made, or kept in a file (`--state-key-file`).
//!
//! Owns the file's format: 64 hex digits, white space around them allowed, or 32 bytes as they are. A file that is not
//! there is made, for its owner alone. It never writes over a file, and never says what is in one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::seal::{KEY, NoRandomness, fresh};

/// Most bytes that are read of a key file: 64 hex digits with white space around them.
const MAX_KEY_FILE: u64 = 256;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error(
        "cannot read the key file {}: {why}; name a file that this user may read, or leave out --state-key-file",
        path.display()
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// The file is not there and cannot be made.
    #[error(
        "cannot create the key file {}: {why}; name a file in a directory that this user may write to",
        path.display()
    )]
    Create {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// What is in it is no key.
    #[error(
        "the key file {} holds {length}, not 64 hex digits or 32 bytes; delete it and a new key is put there",
        path.display()
    )]
    NoKey {
        /// Which file.
        path: PathBuf,
        /// What is in it, in words.
        length: String,
    },
    /// No key can be made.
    #[error("cannot make a key: {0}")]
    Random(#[from] NoRandomness),
}

/// The key in a file, which is made if it is not there.
pub(super) fn at(path: &Path) -> Result<[u8; KEY], KeyError> {
    match File::open(path) {
        Ok(file) => read(path, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = fresh()?;
            write(path, &key).map_err(|why| KeyError::Create { path: path.into(), why })?;
            Ok(key)
        }
        Err(why) => Err(KeyError::Read { path: path.into(), why }),
    }
}

fn read(path: &Path, file: File) -> Result<[u8; KEY], KeyError> {
    let mut bytes = Vec::new();
    // No more than a key can have: it could be any file.
    let read = file.take(MAX_KEY_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|why| KeyError::Read { path: path.into(), why })?;
    let too_long = bytes.len() as u64 > MAX_KEY_FILE;
    let length = if too_long { "too much".to_string() } else { format!("{} bytes", bytes.len()) };
    parse(&bytes).ok_or_else(|| KeyError::NoKey { path: path.into(), length })
}

fn parse(bytes: &[u8]) -> Option<[u8; KEY]> {
    if let Ok(key) = bytes.try_into() {
        return Some(key);
    }
    let digits = bytes.trim_ascii();
    if digits.len() != 2 * KEY {
        return None;
    }
    let mut key = [0; KEY];
    for (to, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        // The radix reader would take a sign.
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        *to = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(key)
}

/// Never writes over what somebody else has put there meanwhile.
fn write(path: &Path, key: &[u8; KEY]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
