//! The key that logins are sealed under, in the system's keyring: the Secret Service on Linux, the Keychain on macOS, the
//! Credential Manager on Windows.
//!
//! Owns one entry there, which is made when it is first needed. The tokens themselves stay in files: keyrings limit what an
//! entry may hold, and cannot be locked by two processes that renew the same token. Talks to the keyring, on a thread that may
//! wait: a keyring may ask its user to unlock it. It never shows the key, and never puts another in its place: what was sealed
//! under it would be lost. In a build without the feature `keyring` there is none.

#[cfg(feature = "keyring")]
pub use with::key;

#[cfg(not(feature = "keyring"))]
pub use without::key;

#[cfg(not(feature = "keyring"))]
mod without {
    use std::path::Path;

    use crate::{auth::client::store::StoreError, config::oauth::TokenKey};

    /// The key for what is kept in this directory.
    ///
    /// # Errors
    ///
    /// Always: this build has no keyring.
    pub fn key(_: &Path) -> Result<TokenKey, StoreError> {
        let why = "this mcp-bridge was built without the keyring; build it with --features keyring, or leave out --auth-keyring";
        Err(StoreError::Failed(why.into()))
    }
}

#[cfg(feature = "keyring")]
mod with {
    use std::{
        path::Path,
        sync::{Arc, Mutex, PoisonError},
        thread,
    };

    use keyring::{Entry, Error};

    use crate::{
        auth::client::store::{StoreError, cannot, make_dir, options},
        config::oauth::TokenKey,
        observe,
        seal::{KEY, Sealer, fresh},
    };

    /// The entry: whose it is, and what it is for.
    const ENTRY: (&str, &str) = ("mcp-bridge", "key of logins");

    /// The key of this process, so that all of it has the same one.
    static KNOWN: Mutex<Option<TokenKey>> = Mutex::new(None);

    /// The key for what is kept in this directory. The first call asks the keyring, and makes the entry if there is none;
    /// it takes as long as the user takes to unlock the keyring.
    ///
    /// # Errors
    ///
    /// Where there is no keyring, it stays locked, or its entry is no key; where the directory cannot be used.
    pub fn key(dir: &Path) -> Result<TokenKey, StoreError> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*known {
            return Ok(key.clone());
        }
        make_dir(dir)?;
        // Two processes that start at once make one key: the second finds what the first has made.
        let path = dir.join("keyring.lock");
        let lock = options().create(true).truncate(false).open(&path).map_err(|error| cannot("open", &path, &error))?;
        lock.lock().map_err(|error| cannot("lock", &path, &error))?;
        let asked = thread::spawn(ask).join().unwrap_or_else(|_| Err("it failed while it was asked".into()));
        let key = asked.map_err(|why| {
            let why = observe::flat(&why);
            StoreError::Failed(format!(
                "cannot use the system's keyring: {why}; unlock or start it, or leave out --auth-keyring"
            ))
        })?;
        Ok(known.insert(key).clone())
    }

    fn ask() -> Result<TokenKey, String> {
        let words = |error: Error| error.to_string();
        let entry = Entry::new(ENTRY.0, ENTRY.1).map_err(|error| match (error, Entry::store_status()) {
            (Error::NoDefaultStore, Err(why)) => why.to_string(),
            (error, _) => error.to_string(),
        })?;
        let key: [u8; KEY] = match entry.get_secret() {
            Ok(secret) => {
                secret.try_into().map_err(|_| format!("its entry {:?} of {:?} is no key", ENTRY.1, ENTRY.0))?
            }
            Err(Error::NoEntry) => {
                let key = fresh().map_err(|error| error.to_string())?;
                entry.set_secret(&key).map_err(words)?;
                key
            }
            Err(error) => return Err(error.to_string()),
        };
        Sealer::new(&key).map(|sealer| TokenKey(Arc::new(sealer))).map_err(|error| error.to_string())
    }
}
