//! Where tokens and registrations are kept: one file a server, for this user's eyes.
//!
//! Owns the directory (mode 0700), its files (mode 0600, replaced in one step, sealed where there is a key) and the lock of
//! each server, which is shared by all processes. Talks to the file system. It never follows a symbolic link in the place of
//! a file, never reads one that others may read or write, and shows nothing of what is in it but what [`Record`] says may be
//! shown.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use url::Url;

use super::record::Record;
use crate::{
    config::{
        Secret,
        oauth::{TokenDir, TokenKey},
    },
    seal::NotOurs,
};

/// How often a lock that another process holds is tried. A lock cannot be waited for without a thread that nothing can
/// interrupt.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// The largest file that is read. Tokens are a few KiB.
const MAX_FILE: u64 = 1024 * 1024;

/// Files listed by [`all`] at most.
const MAX_LISTED: usize = 1_000;

/// Why nothing can be kept. One line, with a next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process is at this server's login.
    #[error("another mcp-bridge has been at the login to this server for {} s; finish that one, then try again", .0.as_secs())]
    Busy(Duration),
    /// There is a file, and only the system's keyring opens it.
    #[error("cannot use {}: it is sealed under a key in the system's keyring; add --auth-keyring", .0.display())]
    Sealed(PathBuf),
    /// The file system says no, or what is there is not safe.
    #[error("{0}")]
    Failed(String),
}

/// The files of one server.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    name: String,
    key: Option<TokenKey>,
}

/// A file whose record is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// See [`crate::seal`]; for the use [`Store::usage`].
    sealed: String,
}

/// The right to change a server's file. Dropped, or with the process's death, it is given back.
#[derive(Debug)]
pub struct Locked {
    store: Store,
    _file: File,
}

impl Store {
    /// The place of one server's file. Nothing is touched yet. The file's name tells the host, and the rest of the URL only
    /// as a digest: a query may hold a secret.
    pub fn new(dir: &TokenDir, server: &Url) -> Store {
        let host: String = server.host_str().unwrap_or("server").chars().take(80).collect();
        let host: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
        let digest = digest(&SHA256, server.as_str().as_bytes());
        let hex: String = digest.as_ref().iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        Store { dir: dir.path.clone(), name: format!("{host}-{hex}"), key: dir.key.clone() }
    }

    /// What a sealed record is good for: to be this server's.
    fn usage(&self) -> Vec<u8> {
        format!("mcp-bridge login v1 {}", self.name).into_bytes()
    }

    fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.json", self.name))
    }

    /// What is kept, if anything. Replacing is one step, so reading takes no lock.
    pub fn load(&self) -> Result<Option<Record>, StoreError> {
        let path = self.path();
        match read(&path) {
            Ok(text) => self.opened(&path, text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot("read", &path, &error)),
        }
    }

    /// What was kept before there was a key is read, too; it is sealed when it is next replaced.
    fn opened(&self, path: &Path, text: Secret) -> Result<Record, StoreError> {
        let text = match (serde_json::from_str::<Sealed>(text.expose()), &self.key) {
            (Err(_), _) => text,
            (Ok(_), None) => {
                return Err(StoreError::Sealed(path.to_owned()));
            }
            (Ok(file), Some(TokenKey(key))) => {
                let open =
                    key.open(&self.usage(), &file.sealed).and_then(|open| String::from_utf8(open).map_err(|_| NotOurs));
                Secret::new(open.map_err(|why| failed(path, &why.to_string(), "delete it and log in again"))?)
            }
        };
        serde_json::from_str(text.expose())
            .map_err(|_| failed(path, "it is no file of this version of mcp-bridge", "delete it and log in again"))
    }

    /// The text of the file that keeps this.
    fn text(&self, record: &Record) -> io::Result<Vec<u8>> {
        let Some(TokenKey(key)) = &self.key else { return Ok(serde_json::to_vec_pretty(record)?) };
        let sealed = key.seal(&self.usage(), serde_json::to_vec(record)?).map_err(io::Error::other)?;
        Ok(serde_json::to_vec(&Sealed { sealed })?)
    }

    /// The right to change it, as soon as no other process or task has it.
    pub async fn lock(&self, patience: Duration) -> Result<Locked, StoreError> {
        make_dir(&self.dir)?;
        let path = self.dir.join(format!("{}.lock", self.name));
        let file = options().create(true).truncate(false).open(&path).map_err(|error| cannot("open", &path, &error))?;
        let deadline = Instant::now() + patience;
        // Ends with the lock, or with the time for it.
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Locked { store: self.clone(), _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOCK_POLL).await,
                Err(TryLockError::WouldBlock) => return Err(StoreError::Busy(patience)),
                Err(TryLockError::Error(error)) => return Err(cannot("lock", &path, &error)),
            }
        }
    }
}

impl Locked {
    /// Replaces what is kept, in one step: whoever reads, and whoever comes after a crash, has the old or the new.
    pub fn save(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.store.path();
        refuse_link(&path)?;
        self.sweep();
        let temporary = self.store.dir.join(format!("{}.{}.tmp", self.store.name, uuid::Uuid::new_v4().simple()));
        let written = self.store.text(record).and_then(|text| {
            let mut file = options().create_new(true).open(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_dir(&self.store.dir)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            cannot("write", &path, &error)
        })
    }

    /// Forgets it. Says whether there was anything.
    pub fn remove(&self) -> Result<bool, StoreError> {
        let path = self.store.path();
        self.sweep();
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(cannot("delete", &path, &error)),
        }
    }

    /// What is kept; see [`Store::load`].
    pub fn load(&self) -> Result<Option<Record>, StoreError> {
        self.store.load()
    }

    /// Deletes what a process that was killed while it wrote has left. Whoever holds the lock is the only writer.
    fn sweep(&self) {
        let ours = |name: &str| name.strip_prefix(&self.store.name).is_some_and(|rest| rest.ends_with(".tmp"));
        for entry in fs::read_dir(&self.store.dir).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(ours) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Everything in a directory, by server. What cannot be read is told as an error of its own.
pub fn all(dir: &TokenDir) -> Result<Vec<Result<Record, StoreError>>, StoreError> {
    let TokenDir { path: dir, key } = dir;
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot("read", dir, &error)),
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .take(MAX_LISTED)
        .collect();
    names.sort();
    let load = |name: String| Store { dir: dir.clone(), name, key: key.clone() }.load().transpose();
    Ok(names.into_iter().filter_map(load).collect())
}

fn read(path: &Path) -> io::Result<Secret> {
    let file = options().write(false).open(path)?;
    check_owner(&file)?;
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(Secret::new(text))
}

/// For the user alone, whatever the umask is, and not through a symbolic link.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    options
}

#[cfg(unix)]
fn check_owner(file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let about = file.metadata()?;
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if about.mode() & 0o077 != 0 {
        return Err(io::Error::other("other users may read it; take that right away (chmod 600)"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_: &File) -> io::Result<()> {
    Ok(())
}

fn refuse_link(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.file_type().is_symlink() => Err(failed(path, "it is a symbolic link", "delete it")),
        _ => Ok(()),
    }
}

pub(super) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(dir).map_err(|error| cannot("make", dir, &error))?;
    let about = fs::symlink_metadata(dir).map_err(|error| cannot("read", dir, &error))?;
    if !about.is_dir() {
        return Err(failed(dir, "it is no directory of its own", "name another with --auth-dir"));
    }
    check_dir(dir, &about)
}

#[cfg(unix)]
fn check_dir(dir: &Path, about: &fs::Metadata) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(failed(dir, "it belongs to another user", "name another with --auth-dir"));
    }
    if about.mode() & 0o077 != 0 {
        let next = "take that right away (chmod 700), or name another with --auth-dir";
        return Err(failed(dir, "other users may enter it", next));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_dir(_: &Path, _: &fs::Metadata) -> Result<(), StoreError> {
    Ok(())
}

/// A rename lasts once the directory has been written, too.
#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> StoreError {
    let why = if is_link(error) { "it is a symbolic link; delete it".into() } else { error.to_string() };
    StoreError::Failed(format!("cannot {what} {}: {why}; see --auth-dir", path.display()))
}

/// What opening a symbolic link says under `O_NOFOLLOW`.
#[cfg(unix)]
fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(not(unix))]
fn is_link(_: &io::Error) -> bool {
    false
}

fn failed(path: &Path, why: &str, next: &str) -> StoreError {
    StoreError::Failed(format!("cannot use {}: {why}; {next}", path.display()))
}

#[cfg(test)]
mod tests;
