//! What `karere pub` and `karere sub` share: over what the broker is reached.

use std::path::PathBuf;

use clap::Args;
use karere::tls::{ClientOptions, Versions};
use karere::{Address, Options, Url};

use crate::exit::Failure;
use crate::output;

/// Where MQTT is found with WebSocket.
const WEBSOCKET_PATH: &str = "/mqtt";
/// The port where mosquitto's tools, and so these, speak TLS without being told.
const TLS_PORT: u16 = 8883;

#[derive(Debug, Args)]
pub(crate) struct TransportArgs {
    /// Connect to a Unix domain socket
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with_all = ["host", "port", "url", "ws", "cafile", "capath", "cert", "tls_use_os_certs"],
        help_heading = "Connection"
    )]
    unix: Option<PathBuf>,

    /// Connect over WebSocket [default port: 8083, with TLS 8084]
    #[arg(long, help_heading = "Connection")]
    ws: bool,

    /// Path of the WebSocket [default: /mqtt]
    #[arg(long, value_name = "PATH", help_heading = "Connection")]
    ws_path: Option<String>,

    /// Header of the request for the WebSocket; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header, help_heading = "Connection")]
    ws_header: Vec<(String, String)>,

    /// PEM file of the authorities to trust; turns TLS on [default: the system's]
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    cafile: Option<PathBuf>,

    /// Folder of them, with the names that `openssl rehash` gives
    #[arg(long, value_name = "DIR", help_heading = "TLS")]
    capath: Option<PathBuf>,

    /// PEM file of this client's certificate
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    cert: Option<PathBuf>,

    /// PEM file of its key
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    key: Option<PathBuf>,

    /// Trust the authorities of the system, also beside --cafile and --capath; turns TLS on
    #[arg(long, help_heading = "TLS")]
    tls_use_os_certs: bool,

    /// Version of TLS: tlsv1.3 or tlsv1.2 [default: the newer that both have]
    #[arg(long, value_name = "VERSION", value_parser = parse_version, help_heading = "TLS")]
    tls_version: Option<Versions>,

    /// Protocol to ask for with ALPN
    #[arg(long, value_name = "PROTOCOL", help_heading = "TLS")]
    tls_alpn: Option<String>,

    /// DANGEROUS: accept a certificate that is for another host
    #[arg(long, help_heading = "TLS")]
    insecure: bool,

    /// DANGEROUS: write the secrets of the connection to this file, for Wireshark
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_keylog: Option<PathBuf>,

    /// No TLS, even at port 8883
    #[arg(long, conflicts_with_all = ["cafile", "capath", "cert", "tls_use_os_certs"], help_heading = "TLS")]
    no_tls: bool,
}

impl TransportArgs {
    /// Where the broker is, and over what it is reached: what is given by itself goes before what the URL says.
    ///
    /// # Errors
    /// A usage error where options do not fit together.
    pub(super) fn address(
        &self,
        url: Option<&Url>,
        host: Option<&str>,
        port: Option<u16>,
    ) -> Result<Address, Failure> {
        if let Some(path) = &self.unix {
            return Ok(Address::unix(path));
        }
        if let Some(Url { address: address @ Address::Unix { .. }, .. }) = url {
            return match host.map(|_| "-h").or(port.map(|_| "-p")) {
                Some(option) => {
                    Err(Failure::usage(format!("{option} means nothing to a Unix domain socket")))
                }
                None => Ok(address.clone()),
            };
        }
        let base = url.map(|url| url.address.clone());
        let is_websocket = self.ws || base.as_ref().is_some_and(Address::is_websocket);
        let named_port = port.or(base.as_ref().map(Address::port));
        let wants_tls = self.wants_tls() || base.as_ref().is_some_and(Address::is_tls);
        let is_tls = !self.no_tls && (wants_tls || named_port == Some(TLS_PORT));
        let host = host.or(base.as_ref().map(Address::host)).unwrap_or("localhost");
        let path = match (&self.ws_path, &base) {
            (Some(path), _) => path.as_str(),
            (None, Some(Address::WebSocket { path, .. } | Address::SecureWebSocket { path, .. })) => path,
            _ => WEBSOCKET_PATH,
        };
        Ok(match (is_tls, is_websocket) {
            (false, false) => Address::tcp(host, named_port.unwrap_or(1883)),
            (true, false) => Address::tls(host, named_port.unwrap_or(TLS_PORT)),
            (false, true) => Address::websocket(host, named_port.unwrap_or(8083), path),
            (true, true) => Address::secure_websocket(host, named_port.unwrap_or(8084), path),
        })
    }

    /// `options` with what TLS and WebSocket need to know. `quiet`: no warnings.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn apply(&self, mut options: Options, quiet: bool) -> Result<Options, Failure> {
        for (name, value) in &self.ws_header {
            options = options.websocket_header(name, value);
        }
        if !options.address.is_tls() {
            return Ok(options);
        }
        if self.insecure && !quiet {
            output::complain(
                "karere: warning: --insecure: whoever has a certificate of a trusted authority can pretend to be \
                 the broker, read everything and change it",
            );
        }
        let mut tls = ClientOptions::new();
        tls.ca_file.clone_from(&self.cafile);
        tls.ca_folder.clone_from(&self.capath);
        tls.system_authorities = self.tls_use_os_certs.then_some(true);
        tls.certificate.clone_from(&self.cert);
        tls.key.clone_from(&self.key);
        tls.alpn = self.tls_alpn.iter().cloned().collect();
        tls.versions = self.tls_version.unwrap_or_default();
        tls.accept_any_host = self.insecure;
        tls.key_log.clone_from(&self.tls_keylog);
        Ok(options.tls(tls.load().map_err(Failure::error)?))
    }

    fn wants_tls(&self) -> bool {
        self.cafile.is_some() || self.capath.is_some() || self.cert.is_some() || self.tls_use_os_certs
    }
}

fn parse_version(text: &str) -> Result<Versions, String> {
    match text {
        "tlsv1.3" => Ok(Versions::Tls13),
        "tlsv1.2" => Ok(Versions::Tls12),
        "tlsv1.1" | "tlsv1" => Err("it is not safe any more; tlsv1.2 and tlsv1.3 are spoken".into()),
        _ => Err("it is tlsv1.3 or tlsv1.2".into()),
    }
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it is a name and a value, as in 'X-Token: secret'")?;
    Ok((name.trim().into(), value.trim().into()))
}
