//! The certificate of a broker.

use std::sync::Arc;

use karere_broker::tls::{ClientCertificates, Server, ServerOptions};

use crate::args::BrokerTlsArgs;
use crate::exit::Failure;
use crate::output;

/// A certificate with its key, and what is asked of clients.
pub(super) struct Secured {
    options: ServerOptions,
    pub(super) server: Arc<Server>,
}

impl Secured {
    /// None without a certificate.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn load(args: &BrokerTlsArgs) -> Result<Option<Self>, Failure> {
        let (Some(certificate), Some(key)) = (&args.cert, &args.key) else { return Ok(None) };
        let mut options = ServerOptions::new(certificate, key);
        if let Some(file) = &args.cafile {
            let wanted = match args.require_certificate {
                true => ClientCertificates::Required,
                false => ClientCertificates::Optional,
            };
            options = options.clients(wanted, file);
        }
        let server = Arc::new(Server::load(&options).map_err(Failure::error)?);
        Ok(Some(Self { options, server }))
    }

    /// Reads the files anew; when that fails everything stays as it is.
    pub(super) fn reload(&self) {
        match self.server.reload(&self.options) {
            Ok(()) => output::complain("karere: certificate, key and authorities were read anew"),
            Err(error) => output::complain(format!("karere: warning: everything stays as it is: {error}")),
        }
    }
}
