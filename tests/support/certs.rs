//! Authorities and certificates, made when a test wants them, and the files that hold them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use tempfile::TempDir;

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
