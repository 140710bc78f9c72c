//! What can go wrong.

use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError};

/// Why there is no TLS.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's reason, or what is wrong with its PEM.
        why: String,
    },
    /// A file has not what it should have.
    #[error("there is no {what} in {}: PEM is expected", path.display())]
    Nothing {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// A private key is protected with a password.
    #[error(
        "the key in {} is encrypted, and there is nobody to ask: `openssl pkey -in KEY -out PLAIN` decrypts it",
        .0.display()
    )]
    Encrypted(PathBuf),
    /// A certificate without its key, or a key without its certificate.
    #[error("a certificate and its key go together: {0} is missing")]
    Half(&'static str),
    /// This machine has no certificates of authorities.
    #[error("this machine has no certificates of authorities ({0}): name a file of them")]
    NoRoots(String),
    /// The host's name is none that a certificate could have.
    #[error("`{0}` is no name that a certificate could have")]
    ServerName(String),
    /// More came than a handshake needs.
    #[error("the peer says more than a TLS handshake needs")]
    Full,
    /// What rustls found.
    #[error("{}", explain(.0))]
    Tls(#[from] rustls::Error),
}

/// The commonest reasons in words that say what to do.
fn explain(error: &rustls::Error) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the peer's certificate is of an authority that is not trusted here".into()
        }
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the peer's certificate has expired".into()
        }
        InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "the peer's certificate is not valid yet: is the clock right?".into()
        }
        InvalidCertificate(CertificateError::Revoked) => "the peer's certificate was revoked".into(),
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("the server's certificate is for another host: {error}"),
        // rustls hands on what webpki says as an error of any kind.
        InvalidCertificate(CertificateError::Other(other)) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the peer shows the certificate of an authority as its own (`openssl req -x509` makes such a one, unless \
             told `-addext basicConstraints=critical,CA:FALSE`)"
                .into()
        }
        InvalidMessage(_) => "what is there does not speak TLS".into(),
        AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a certificate of the client".into()
        }
        AlertReceived(AlertDescription::UnknownCA | AlertDescription::BadCertificate) => {
            format!("the peer does not trust our certificate: {error}")
        }
        AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the server speaks none of the protocols that were offered (ALPN)".into()
        }
        error => error.to_string(),
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
