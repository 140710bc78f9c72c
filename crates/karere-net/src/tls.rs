//! TLS 1.2 and 1.3 by rustls: a filter of bytes, without I/O.

mod client;
mod error;
mod files;
mod keys;
mod server;

use std::io::{BufRead as _, IoSlice, Write as _};
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use rustls::crypto::CryptoProvider;
use rustls::{Connection, SupportedProtocolVersion};

pub use client::{Client, ClientOptions};
pub use error::Error;
pub use server::{ClientCertificates, Server, ServerOptions};

use crate::filter::Layer;

/// One end of a TLS connection; from [`Client::filter`] or [`Server::filter`].
#[derive(Debug)]
pub struct Filter {
    connection: Connection,
    output: BytesMut,
    is_closed: bool,
}

/// The versions of TLS that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Versions {
    /// 1.3, and 1.2 with a peer that has no newer one.
    #[default]
    All,
    /// 1.2 alone.
    Tls12,
    /// 1.3 alone.
    Tls13,
}

const ONE_TWO: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const ONE_THREE: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

impl Versions {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::All => rustls::ALL_VERSIONS,
            Self::Tls12 => ONE_TWO,
            Self::Tls13 => ONE_THREE,
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Filter {
    fn new(mut connection: Connection) -> Self {
        // What is given is given: the drivers have their limits, and look at what waits before they give more.
        connection.set_buffer_limit(None);
        let mut filter = Self { connection, output: BytesMut::new(), is_closed: false };
        filter.collect();
        filter
    }

    /// The DER of the certificates that the peer has shown, its own first; none before the handshake is over.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.connection.peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref)
    }

    /// The protocol that was agreed on with ALPN.
    #[must_use]
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// Moves records into the output.
    fn collect(&mut self) {
        while self.connection.wants_write() {
            // Writing to memory does not fail.
            if !matches!(self.connection.write_tls(&mut (&mut self.output).writer()), Ok(1..)) {
                return;
            }
        }
    }

    fn take(&mut self, input: &mut BytesMut, plain: &mut BytesMut) -> Result<(), Error> {
        while !input.is_empty() && !self.is_closed {
            let mut bytes = &input[..];
            let count = self.connection.read_tls(&mut bytes).map_err(|_| Error::Full)?;
            input.advance(count);
            let state = self.connection.process_new_packets();
            // What came before a fault is not lost.
            self.take_plain(plain);
            self.is_closed = state?.peer_has_closed();
        }
        input.clear();
        Ok(())
    }

    fn take_plain(&mut self, plain: &mut BytesMut) {
        let mut reader = self.connection.reader();
        while let Ok(chunk) = reader.fill_buf()
            && !chunk.is_empty()
        {
            let count = chunk.len();
            plain.extend_from_slice(chunk);
            reader.consume(count);
        }
    }
}

impl Layer for Filter {
    fn handle_input(&mut self, input: &mut BytesMut, plain: &mut BytesMut) -> std::io::Result<()> {
        let result = self.take(input, plain);
        self.collect();
        if result.is_err() {
            self.is_closed = true;
        }
        Ok(result?)
    }

    fn encode(&mut self, parts: &[IoSlice<'_>]) {
        // Together, so that they share records.
        let mut rest = parts.iter().map(|part| IoSlice::new(part)).collect::<Vec<_>>();
        let mut rest = &mut rest[..];
        while !rest.is_empty() {
            match self.connection.writer().write_vectored(rest) {
                Ok(count @ 1..) => IoSlice::advance_slices(&mut rest, count),
                // Nothing to write, or nobody to take it.
                _ => break,
            }
        }
        self.collect();
    }

    fn close(&mut self) {
        self.connection.send_close_notify();
        self.collect();
    }

    fn poll_transmit(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    fn is_open(&self) -> bool {
        !self.connection.is_handshaking() && !self.is_closed
    }

    fn is_closed(&self) -> bool {
        self.is_closed
    }
}

#[cfg(test)]
pub(crate) mod tests;
