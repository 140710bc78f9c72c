//! What a connection is made of: one end that its driver reads, one that whoever has bytes for it writes.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

/// The receiving end; belongs to the connection's driver.
pub(crate) trait Reader: Send + Unpin + 'static {
    /// Reads what has come into the free room of `into`; 0 is the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>>;
}

/// The sending end; shared by the driver and by every thread that routes a message here.
pub(crate) trait Writer: Send + Sync + 'static {
    /// Writes what fits at once; `WouldBlock` when nothing does.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Whether [`try_write`](Self::try_write) is worth another attempt. For the driver only: one task waits.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Says that no more bytes will come.
    fn shutdown(&self);
}

/// Splits a socket into its two ends.
pub(crate) fn tcp(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    stream.into_split()
}

/// Splits a socket into its two ends.
#[cfg(unix)]
pub(crate) fn unix(stream: UnixStream) -> (unix::OwnedReadHalf, unix::OwnedWriteHalf) {
    stream.into_split()
}

impl Reader for OwnedReadHalf {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        // Not `readable` and `try_read`: this one knows that a read which did not fill the buffer has emptied
        // the socket, and saves the read that would only say so.
        pin!(self.read_buf(into)).poll(cx)
    }
}

impl Writer for OwnedWriteHalf {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => OwnedWriteHalf::try_write(self, one),
            many => self.try_write_vectored(many),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_ref().poll_write_ready(cx))?;
        Poll::Ready(Ok(()))
    }

    fn shutdown(&self) {
        // An error means that the connection has gone already, which is what was asked for.
        let _ = socket2::SockRef::from(self.as_ref()).shutdown(std::net::Shutdown::Write);
    }
}

#[cfg(unix)]
impl Reader for unix::OwnedReadHalf {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        pin!(self.read_buf(into)).poll(cx)
    }
}

#[cfg(unix)]
impl Writer for unix::OwnedWriteHalf {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(slices)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_ref().poll_write_ready(cx))?;
        Poll::Ready(Ok(()))
    }

    fn shutdown(&self) {
        // An error means that the connection has gone already, which is what was asked for.
        let _ = socket2::SockRef::from(self.as_ref()).shutdown(std::net::Shutdown::Write);
    }
}
