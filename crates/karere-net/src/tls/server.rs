//! A server's side.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection};

use super::error::Error;
use super::{Filter, Versions, files, provider};

/// As whom a listener shows itself, and whose certificates it wants. What names a file is read by
/// [`Server::load`] and [`Server::reload`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The server's certificate, with those that vouch for it: a PEM file.
    pub certificate: PathBuf,
    /// Its key: a PEM file.
    pub key: PathBuf,
    /// What is asked of clients.
    pub clients: ClientCertificates,
    /// A PEM file of the authorities that clients' certificates must be of.
    pub client_ca: Option<PathBuf>,
    /// A PEM file of revocation lists for them.
    pub revoked: Option<PathBuf>,
    /// The protocols agreed to (ALPN); none agrees to none and refuses none.
    pub alpn: Vec<String>,
    /// The versions of TLS.
    pub versions: Versions,
}

/// What is asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// No certificate.
    #[default]
    Ignored,
    /// A certificate, which must be good if there is one.
    Optional,
    /// A good certificate.
    Required,
}

impl ServerOptions {
    /// With this certificate and this key; nothing is asked of clients.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            clients: ClientCertificates::Ignored,
            client_ca: None,
            revoked: None,
            alpn: Vec::new(),
            versions: Versions::All,
        }
    }

    /// Wants certificates of clients, of the authorities in this file.
    #[must_use]
    pub fn clients(mut self, wanted: ClientCertificates, client_ca: impl Into<PathBuf>) -> Self {
        self.clients = wanted;
        self.client_ca = Some(client_ca.into());
        self
    }

    fn load(&self) -> Result<ServerConfig, Error> {
        let (certificates, key) = files::identity(&self.certificate, &self.key)?;
        let builder =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(self.versions.list())?;
        let builder = match (self.clients, &self.client_ca) {
            (ClientCertificates::Ignored, _) => builder.with_no_client_auth(),
            (_, None) => return Err(Error::Half("the file of the clients' authorities")),
            (wanted, Some(file)) => {
                let roots = Arc::new(files::roots(Some(file), None, false)?);
                let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                if let Some(path) = &self.revoked {
                    verifier = verifier.with_crls(files::revocation_lists(path)?);
                }
                if wanted == ClientCertificates::Optional {
                    verifier = verifier.allow_unauthenticated();
                }
                let wrong = |error: &dyn std::fmt::Display| Error::File {
                    path: file.clone(),
                    why: error.to_string(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(&error))?)
            }
        };
        let mut config = builder.with_single_cert(certificates, key)?;
        config.alpn_protocols = self.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        Ok(config)
    }
}

/// What all connections of a listener share. It can be read anew while it is used.
#[derive(Debug)]
pub struct Server(RwLock<Arc<ServerConfig>>);

impl Server {
    /// Reads the files.
    ///
    /// # Errors
    /// [`Error`] names the file.
    pub fn load(options: &ServerOptions) -> Result<Self, Error> {
        Ok(Self(RwLock::new(Arc::new(options.load()?))))
    }

    /// Reads the files anew. New connections get what they say; nothing that was trusted before is trusted on: sessions
    /// from before are not resumed either. Those that are there go on.
    ///
    /// # Errors
    /// [`Error`] names the file, and everything stays as it is.
    pub fn reload(&self, options: &ServerOptions) -> Result<(), Error> {
        let config = Arc::new(options.load()?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// A connection's end.
    ///
    /// # Errors
    /// rustls's.
    pub fn filter(&self) -> Result<Filter, Error> {
        let config = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        Ok(Filter::new(ServerConnection::new(config)?.into()))
    }
}
