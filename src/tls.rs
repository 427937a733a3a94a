//! TLS, both ways: what the files of the flags come to.
//!
//! Owns the reading of PEM files, the words for what is wrong with one, and the one cryptographic provider. Talks to the
//! file system. It never opens a connection, and no error of it shows what stands in a file.

use std::{io, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

pub mod client;
pub mod name;
pub mod server;

/// What is wrong with a file. One line, with the flag that names it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{flag} {path}: {source}; name a readable PEM file")]
    Unreadable {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is larger than any such file.
    #[error("{flag} {path} is larger than 1 MiB; name a PEM file with certificates and keys alone")]
    TooLarge {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: String,
    },
    /// A block in it is broken.
    #[error("{flag} {path} is no PEM file: a block is cut off or not base64; write it anew")]
    Broken {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: String,
    },
    /// There is no certificate in it.
    #[error(
        "{flag} {path} holds no PEM block BEGIN CERTIFICATE; from DER, openssl x509 -inform der -in FILE writes one"
    )]
    NoCertificate {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: String,
    },
    /// There is no key in it.
    #[error("{flag} {path} holds no PEM block BEGIN PRIVATE KEY; name the file that does")]
    NoKey {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: String,
    },
    /// The key takes a passphrase, and nobody is there to type it.
    #[error("the key in {flag} {path} is encrypted; write a plain one with openssl pkey -in FILE -out PLAIN")]
    Encrypted {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: String,
    },
    /// Certificate and key are of two pairs.
    #[error(
        "the key in {flag} {path} is not that of the first certificate in {other}; name a pair, its own certificate \
         before those of its authorities"
    )]
    Mismatch {
        /// The flag of the key.
        flag: &'static str,
        /// The file of the key.
        path: String,
        /// The file of the certificate.
        other: String,
    },
    /// The TLS library does not take it.
    #[error("{flag} {path} cannot be used: {why}; have a certificate of a usual kind made (RSA or ECDSA, X.509 v3)")]
    Refused {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: String,
        /// What the library says.
        why: String,
    },
}

/// A file, and the flag that names it.
#[derive(Debug, Clone, Copy)]
struct Named<'a> {
    flag: &'static str,
    path: &'a Path,
}

impl Named<'_> {
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn read(&self) -> Result<Vec<u8>, FileError> {
        let (flag, path) = (self.flag, self.shown());
        match crate::files::bytes(self.path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(FileError::TooLarge { flag, path }),
            Err(source) => Err(FileError::Unreadable { flag, path, source }),
        }
    }

    /// Every certificate in it, in order; at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, FileError> {
        let (flag, path) = (self.flag, self.shown());
        let all = CertificateDer::pem_slice_iter(&self.read()?).collect::<Result<Vec<_>, _>>();
        match all {
            Ok(all) if all.is_empty() => Err(FileError::NoCertificate { flag, path }),
            Ok(all) => Ok(all),
            Err(_) => Err(FileError::Broken { flag, path }),
        }
    }

    /// The first key in it.
    fn key(&self) -> Result<PrivateKeyDer<'static>, FileError> {
        let (flag, path) = (self.flag, self.shown());
        let bytes = self.read()?;
        match PrivateKeyDer::pem_slice_iter(&bytes).next() {
            // Keys of the older form say so inside of their block, and look like garbage to a reader.
            _ if is_encrypted(&bytes) => Err(FileError::Encrypted { flag, path }),
            Some(Ok(key)) => Ok(key),
            Some(Err(_)) => Err(FileError::Broken { flag, path }),
            None => Err(FileError::NoKey { flag, path }),
        }
    }

    /// Its certificates as authorities to trust.
    fn authorities(&self) -> Result<RootCertStore, FileError> {
        let mut store = RootCertStore::empty();
        for certificate in self.certificates()? {
            store.add(certificate).map_err(|error| self.refused(&error))?;
        }
        Ok(store)
    }

    fn refused(&self, error: &dyn std::fmt::Display) -> FileError {
        FileError::Refused { flag: self.flag, path: self.shown(), why: error.to_string() }
    }
}

fn is_encrypted(pem: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(pem, needle).is_some();
    has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
}

/// A certificate with its chain, and the key that proves it.
fn pair(certificate: Named<'_>, key: Named<'_>) -> Result<CertifiedKey, FileError> {
    let chain = certificate.certificates()?;
    CertifiedKey::from_der(chain, key.key()?, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            FileError::Mismatch { flag: key.flag, path: key.shown(), other: certificate.shown() }
        }
        error => certificate.refused(&error),
    })
}

/// The one provider of the whole program.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
