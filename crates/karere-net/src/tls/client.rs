//! A client's side.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::error::Error;
use super::keys::KeyFile;
use super::{Filter, Versions, files, provider};

/// Whom a client trusts, and as whom it comes. What names a file is read by [`load`](Self::load).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientOptions {
    /// A PEM file of authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// A folder of them, one a file, with the names that OpenSSL's `rehash` gives.
    pub ca_folder: Option<PathBuf>,
    /// Whether the system's authorities are trusted too; none means "when no others are named".
    pub system_authorities: Option<bool>,
    /// The client's certificate, with those that vouch for it, and its key: two PEM files.
    pub certificate: Option<PathBuf>,
    /// See [`certificate`](Self::certificate).
    pub key: Option<PathBuf>,
    /// The protocols offered (ALPN), as `mqtt` or `x-amzn-mqtt-ca`; none offers none.
    pub alpn: Vec<String>,
    /// The versions of TLS.
    pub versions: Versions,
    /// The name that the server is asked for (SNI) and that its certificate must have, where that is not the host's.
    pub server_name: Option<String>,
    /// **Dangerous.** The certificate may be for another host: whoever has one of a trusted authority can pretend to be
    /// the server, read everything and change it.
    pub accept_any_host: bool,
    /// Where to write the secrets of connections to, for Wireshark. Whoever reads that file reads the connections.
    pub key_log: Option<PathBuf>,
}

impl ClientOptions {
    /// The system's authorities, no certificate of our own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`Error`] names the file.
    pub fn load(&self) -> Result<Client, Error> {
        let (file, folder) = (self.ca_file.as_deref(), self.ca_folder.as_deref());
        let system = self.system_authorities.unwrap_or(file.is_none() && folder.is_none());
        let roots = Arc::new(files::roots(file, folder, system)?);
        let builder =
            ClientConfig::builder_with_provider(provider()).with_protocol_versions(self.versions.list())?;
        let builder = if self.accept_any_host {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyHost::new(roots)?))
        } else {
            builder.with_root_certificates(roots)
        };
        let mut config = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let (certificates, key) = files::identity(certificate, key)?;
                builder.with_client_auth_cert(certificates, key)?
            }
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => return Err(Error::Half("the key")),
            (None, Some(_)) => return Err(Error::Half("the certificate")),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        if let Some(path) = &self.key_log {
            config.key_log = Arc::new(KeyFile::open(path)?);
        }
        Ok(Client { config: Arc::new(config), server_name: self.server_name.clone() })
    }
}

/// What all connections of a client share; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
}

impl Client {
    /// What trusts the system's authorities, read once.
    ///
    /// # Errors
    /// [`Error::NoRoots`].
    pub fn system() -> Result<Self, Error> {
        static SYSTEM: OnceLock<Client> = OnceLock::new();
        if let Some(client) = SYSTEM.get() {
            return Ok(client.clone());
        }
        let client = ClientOptions::new().load()?;
        Ok(SYSTEM.get_or_init(|| client).clone())
    }

    /// A connection's end towards `host`, a name or an IP address.
    ///
    /// # Errors
    /// [`Error::ServerName`].
    pub fn filter(&self, host: &str) -> Result<Filter, Error> {
        let name = self.server_name.as_deref().unwrap_or(host);
        // The root's dot at the end of a name is for the resolver only.
        let asked = name.strip_suffix('.').unwrap_or(name).to_owned();
        let asked = ServerName::try_from(asked).map_err(|_| Error::ServerName(name.to_owned()))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), asked)?;
        Ok(Filter::new(connection.into()))
    }
}

/// Looks at everything but the host's name.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl AnyHost {
    fn new(roots: Arc<RootCertStore>) -> Result<Self, Error> {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
        verifier.map(Self).map_err(|_| Error::NoRoots("none was named".into()))
    }
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::Error::InvalidCertificate;
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, when everything else was found right.
            Err(InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
