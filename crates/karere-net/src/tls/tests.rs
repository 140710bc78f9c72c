mod files;
mod handshake;

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::*;

/// An authority, and a folder with what it has signed.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("karere-net-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let authority = Self { issuer, folder };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `NAME.pem` and `NAME.key`, for these hosts.
    pub(crate) fn sign(&self, name: &str, hosts: &[&str]) -> CertificateParams {
        let mut params =
            CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign_params(name, &params);
        params
    }

    pub(crate) fn sign_params(&self, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// A server with `NAME.pem`.
    pub(crate) fn server(&self, name: &str) -> ServerOptions {
        ServerOptions::new(self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }

    /// A client that trusts this authority alone.
    pub(crate) fn client(&self) -> ClientOptions {
        ClientOptions { ca_file: Some(self.path("ca.pem")), ..ClientOptions::new() }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Both ends, and what each has read.
pub(crate) struct Pair {
    pub(crate) client: Filter,
    pub(crate) server: Filter,
    pub(crate) at_client: BytesMut,
    pub(crate) at_server: BytesMut,
}

impl Pair {
    pub(crate) fn new(client: &ClientOptions, server: &ServerOptions) -> Self {
        Self::of(&client.load().unwrap(), &Server::load(server).unwrap())
    }

    fn of(client: &Client, server: &Server) -> Self {
        let (client, server) = (client.filter("localhost").unwrap(), server.filter().unwrap());
        Self { client, server, at_client: BytesMut::new(), at_server: BytesMut::new() }
    }

    /// Carries bytes until both are silent, or one has failed. What the client and the server say to that.
    pub(crate) fn run(&mut self) -> (Result<(), String>, Result<(), String>) {
        self.run_in_pieces(usize::MAX)
    }

    fn run_in_pieces(&mut self, size: usize) -> (Result<(), String>, Result<(), String>) {
        let (mut first, mut second) = (Ok(()), Ok(()));
        while self.client.wants_write() || self.server.wants_write() {
            second = second.and(carry(&mut self.client, &mut self.server, &mut self.at_server, size));
            first = first.and(carry(&mut self.server, &mut self.client, &mut self.at_client, size));
        }
        (first, second)
    }
}

fn carry(from: &mut Filter, to: &mut Filter, plain: &mut BytesMut, size: usize) -> Result<(), String> {
    let bytes = std::mem::take(from.poll_transmit());
    let mut input = BytesMut::new();
    for piece in bytes.chunks(size.min(bytes.len().max(1))) {
        input.extend_from_slice(piece);
        to.handle_input(&mut input, plain).map_err(|error| error.to_string())?;
    }
    Ok(())
}
