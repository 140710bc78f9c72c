//! Certificates and keys in PEM files.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::error::Error;

/// A certificate with those that vouch for it, and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn identity(certificate: &Path, key: &Path) -> Result<Identity, Error> {
    Ok((certificates(certificate)?, private_key(key)?))
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    some("certificate", path, found.map_err(|error| unreadable(path, &error))?)
}

pub(super) fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let found =
        CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    some("revocation list", path, found.map_err(|error| unreadable(path, &error))?)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = std::fs::read(path).map_err(|error| unreadable(path, &pem::Error::Io(error)))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let is_encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
        match error {
            _ if is_encrypted => Error::Encrypted(path.into()),
            pem::Error::NoItemsFound => Error::Nothing { what: "private key", path: path.into() },
            error => unreadable(path, &error),
        }
    })
}

/// What is trusted: the authorities of a file, of a folder as OpenSSL keeps them, of the system.
pub(super) fn roots(
    file: Option<&Path>,
    folder: Option<&Path>,
    system: bool,
) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in certificates(file)? {
            roots.add(certificate)?;
        }
    }
    if let Some(folder) = folder {
        let found = rustls_native_certs::load_certs_from_paths(None, Some(folder));
        if let (true, Some(error)) = (found.certs.is_empty(), found.errors.first()) {
            return Err(Error::File { path: folder.into(), why: error.to_string() });
        }
        roots.add_parsable_certificates(some("certificate with a hashed name", folder, found.certs)?);
    }
    if system {
        let found = rustls_native_certs::load_native_certs();
        let why = found.errors.first().map_or_else(|| "none was found".into(), ToString::to_string);
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(Error::NoRoots(why));
        }
    }
    Ok(roots)
}

fn some<T>(what: &'static str, path: &Path, found: Vec<T>) -> Result<Vec<T>, Error> {
    if found.is_empty() { Err(Error::Nothing { what, path: path.into() }) } else { Ok(found) }
}

fn unreadable(path: &Path, error: &pem::Error) -> Error {
    let why = match error {
        pem::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    Error::File { path: path.into(), why }
}
