//! TLS towards a server: whom to trust besides the system's authorities, and who to be.
//!
//! Owns what `--ca-file`, `--client-cert` and `--client-key` hold, and the one configuration that every client of the
//! bridge uses. Talks to the files once, and to the system's store of authorities. It never decides where a certificate
//! of ours may go: who connects does.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, Error,
    pki_types::CertificateDer,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_platform_verifier::Verifier;

use super::{FileError, Named, pair, provider};

/// The files that flags name.
#[derive(Debug, Clone, Default)]
pub struct ClientFiles {
    /// Authorities to trust besides the system's. `--ca-file`.
    pub authorities: Option<PathBuf>,
    /// Who the bridge is: its certificate and those of its authorities. `--client-cert`.
    pub certificate: Option<PathBuf>,
    /// The certificate's key; it may stand in the same file. `--client-key`.
    pub key: Option<PathBuf>,
}

/// What the files hold. The default is a client that trusts what the system trusts, and has no certificate.
#[derive(Debug, Clone, Default)]
pub struct Client {
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<Arc<CertifiedKey>>,
}

/// Identities are not compared: one is the same where it is the same one.
impl PartialEq for Client {
    fn eq(&self, other: &Client) -> bool {
        let same_identity = match (&self.identity, &other.identity) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same_identity && self.authorities == other.authorities
    }
}

impl Client {
    /// Reads the files, and checks that they can be used.
    pub fn read(files: &ClientFiles) -> Result<Client, FileError> {
        let mut client = Client::default();
        if let Some(path) = &files.authorities {
            let file = Named { flag: "--ca-file", path };
            file.authorities()?; // Each can be trusted: told now, not at the first connection.
            client.authorities = file.certificates()?;
        }
        if let Some(path) = &files.certificate {
            let certificate = Named { flag: "--client-cert", path };
            let key = files.key.as_ref().map_or(certificate, |path| Named { flag: "--client-key", path });
            client.identity = Some(Arc::new(pair(certificate, key)?));
        }
        Ok(client)
    }

    /// Whether there is a certificate to show.
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// The configuration for connections that speak one of `protocols` (ALPN, the best first), in TLS 1.2 or newer.
    /// `own`: they lead to the server that the user named, which may ask for the certificate. Another party that a
    /// redirect leads to learns nothing of it.
    pub fn config(&self, protocols: &[&[u8]], own: bool) -> Result<ClientConfig, Error> {
        let verifier = Verifier::new_with_extra_roots(self.authorities.iter().cloned(), provider())?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous() // Only another verifier than the library's own: the system's.
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.identity.clone().filter(|_| own) {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}
