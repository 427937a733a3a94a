//! TLS on the listener: the certificate, its key, and whom to ask for one.
//!
//! Owns the configuration of new connections, and reads it again when its files have changed. Talks to the files and the
//! log. It never touches a connection: one that is open keeps what it began with.
//!
//! The whole configuration is replaced, not the certificate alone: with it go the sessions that clients could resume, so
//! an authority that was taken out of `--tls-client-ca` lets nobody in any more.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use rustls::{
    ServerConfig,
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tracing::{info, warn};

use super::{FileError, Named, pair, provider};

/// What is offered (ALPN), the best first.
const PROTOCOLS: [&[u8]; 2] = [H2, b"http/1.1"];

/// HTTP/2, as ALPN names it.
pub const H2: &[u8] = b"h2";

/// The files are looked at no more often: a flood of connections must not become one of system calls.
const LOOK: Duration = Duration::from_secs(1);

/// The files that flags name.
#[derive(Debug, Clone)]
pub struct ServerFiles {
    /// The server's certificate and those of its authorities. `--tls-cert`.
    pub certificate: PathBuf,
    /// The certificate's key; it may stand in the same file. `--tls-key`.
    pub key: Option<PathBuf>,
    /// Authorities of clients: with it, each client must show a certificate that one of them signed. `--tls-client-ca`.
    pub client_authorities: Option<PathBuf>,
}

impl ServerFiles {
    fn certificate(&self) -> Named<'_> {
        Named { flag: "--tls-cert", path: &self.certificate }
    }

    fn key(&self) -> Named<'_> {
        self.key.as_ref().map_or(self.certificate(), |path| Named { flag: "--tls-key", path })
    }

    fn client_authorities(&self) -> Option<Named<'_>> {
        self.client_authorities.as_ref().map(|path| Named { flag: "--tls-client-ca", path })
    }

    fn load(&self) -> Result<Arc<ServerConfig>, FileError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| self.certificate().refused(&error))?;
        let builder = match self.client_authorities() {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let store = Arc::new(file.authorities()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(store, provider()).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| file.refused(&error))?)
            }
        };
        let identity: CertifiedKey = pair(self.certificate(), self.key())?;
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// What tells a file that was replaced or rewritten, for each file.
    fn stamps(&self) -> Vec<Option<Stamp>> {
        let files = [Some(self.certificate()), Some(self.key()), self.client_authorities()];
        files.into_iter().flatten().map(|file| Stamp::of(file.path)).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    /// A file that was renamed into place may be as old and as long as the one before.
    inode: u64,
}

impl Stamp {
    /// Follows symbolic links, which Kubernetes swaps. `None`: it cannot be looked at.
    fn of(path: &Path) -> Option<Stamp> {
        let data = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&data);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Stamp { modified: data.modified().ok(), len: data.len(), inode })
    }
}

/// The server's side of TLS.
#[derive(Debug)]
pub struct Server {
    files: ServerFiles,
    current: Mutex<Arc<ServerConfig>>,
    looked: Mutex<Looked>,
}

#[derive(Debug)]
struct Looked {
    at: Instant,
    stamps: Vec<Option<Stamp>>,
}

impl Server {
    /// Reads the files, and checks that they can be used.
    pub fn load(files: ServerFiles) -> Result<Server, FileError> {
        // Before they are read: what changes meanwhile is seen at the next look.
        let looked = Looked { at: Instant::now(), stamps: files.stamps() };
        let current = files.load()?;
        Ok(Server { files, current: Mutex::new(current), looked: Mutex::new(looked) })
    }

    /// Whether clients have to show a certificate.
    pub fn asks_for_certificate(&self) -> bool {
        self.files.client_authorities.is_some()
    }

    /// Why the key is in danger, in one line.
    pub fn exposed_key(&self) -> Option<String> {
        let file = self.files.key();
        let exposed = is_readable_by_all(file.path);
        exposed.then(|| {
            format!("{0} {1} can be read by every user; take that away with chmod o-r {1}", file.flag, file.shown())
        })
    }

    /// The configuration for a connection that begins now. Reads the files again when they have changed: a few small
    /// ones, and rarely. What cannot be used is told once, and changes nothing.
    pub fn config(&self, now: Instant) -> Arc<ServerConfig> {
        // Somebody else is at it: nobody waits.
        if let Ok(mut looked) = self.looked.try_lock()
            && now.saturating_duration_since(looked.at) >= LOOK
        {
            looked.at = now;
            let stamps = self.files.stamps();
            if stamps != looked.stamps {
                looked.stamps = stamps;
                self.reload();
            }
        }
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reload(&self) {
        match self.files.load() {
            Ok(config) => {
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = config;
                info!("the files of TLS have changed; new connections get the new certificate");
            }
            Err(error) => warn!("the files of TLS have changed, and the old ones stay in use: {error}"),
        }
    }
}

#[cfg(unix)]
fn is_readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_all(_: &Path) -> bool {
    false
}
