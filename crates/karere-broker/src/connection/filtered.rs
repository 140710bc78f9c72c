//! A connection with TLS, WebSocket or both beneath MQTT.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use karere_net::stream::{Socket, poll_flush};
use karere_net::{Filtered, Transport as _};

use super::transport::{Reader, Writer};
use crate::sync::Arc;

/// The receiving end.
pub(crate) struct FilteredReader(Arc<Filtered<Socket>>);

/// The sending end.
pub(crate) struct FilteredWriter(Arc<Filtered<Socket>>);

/// Both ends of a stream.
pub(crate) fn filtered(stream: Filtered<Socket>) -> (FilteredReader, FilteredWriter) {
    let stream = Arc::new(stream);
    (FilteredReader(stream.clone()), FilteredWriter(stream))
}

impl Reader for FilteredReader {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        loop {
            // What the filters have to say of their own, and could not when they read.
            poll_flush(&self.0, cx)?;
            match self.0.read_into(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.0.get_ref().poll_read_ready(cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl Writer for FilteredWriter {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.get_ref().poll_write_ready(cx)
    }

    fn shutdown(&self) {
        // An error means that the connection has gone already, which is what was asked for.
        let _ = karere_net::Transport::shutdown(&*self.0);
    }
}
