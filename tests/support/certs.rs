//! Authorities and certificates, made when a test wants them, and the files that hold them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

use super::background;

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, names: Vec<SanType>, usage: ExtendedKeyUsagePurpose) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// For a server on this machine.
    pub fn server(&self) -> Pair {
        let names = vec![SanType::DnsName("localhost".try_into().unwrap()), SanType::IpAddress([127, 0, 0, 1].into())];
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a server of this DNS name.
    pub fn server_of(&self, name: &str) -> Pair {
        self.sign(vec![SanType::DnsName(name.try_into().unwrap())], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client of this DNS name.
    pub fn client(&self, name: &str) -> Pair {
        self.sign(vec![SanType::DnsName(name.try_into().unwrap())], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// For a client that it names nobody.
    pub fn nameless(&self) -> Pair {
        self.sign(Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)
    }
}

impl Pair {
    /// Both in one text.
    pub fn both(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }
}

/// What speaks TLS as the server of this pair; `clients`: to those alone who show a certificate of this authority.
pub fn acceptor(pair: &Pair, clients: Option<&Authority>) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
        }
    };
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}

/// A socket with TLS in front of a server without; gives its address.
pub async fn in_front(acceptor: TlsAcceptor, server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    background(async move {
        while let Ok((stream, _)) = listener.accept().await {
            background(through(acceptor.clone(), stream, server));
        }
    });
    addr
}

/// One connection with TLS, passed to a server without.
pub async fn through(acceptor: TlsAcceptor, stream: TcpStream, server: SocketAddr) {
    // Who does not trust the certificate breaks off here.
    let Ok(mut near) = acceptor.accept(stream).await else { return };
    let mut far = TcpStream::connect(server).await.unwrap();
    drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
}

/// Files that go with the test.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Files {
        Files(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file beside and renames it into place; gives its path.
    pub fn put(&self, name: &str, text: &str) -> String {
        let (path, beside) = (self.path(name), self.path("beside"));
        fs::write(&beside, text).unwrap();
        set_mode(&beside, 0o600);
        fs::rename(beside, &path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
