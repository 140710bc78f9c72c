//! What a blocking driver needs from a stream.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::sys::{AsSocket, BorrowedSocket};

/// A byte stream that never waits: what would wait answers [`io::ErrorKind::WouldBlock`].
///
/// It is read and written from different threads at once, so both take `&self`. A program that makes its
/// streams itself (a binding with the TLS of its own language, a test) implements this.
pub trait Transport: Send + Sync {
    /// Reads what is there; 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; any other ends the connection.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of `buffers` as the stream takes.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing now; any other ends the connection.
    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Tells the peer that no more will be written.
    ///
    /// # Errors
    /// The stream's; the caller drops it in either case.
    fn shutdown(&self) -> io::Result<()>;

    /// Whether the stream has something to write of its own, as TLS and WebSocket have: [`flush`](Self::flush) is to be
    /// called when the socket takes bytes.
    fn wants_write(&self) -> bool {
        false
    }

    /// Writes what the stream has to write of its own.
    ///
    /// # Errors
    /// `WouldBlock` when it does not go now; any other ends the connection.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// The socket to wait for; none when only the owner of the stream knows when it is ready.
    fn socket(&self) -> Option<BorrowedSocket<'_>>;
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (**self).write_vectored(buffers)
    }

    fn shutdown(&self) -> io::Result<()> {
        (**self).shutdown()
    }

    fn wants_write(&self) -> bool {
        (**self).wants_write()
    }

    fn flush(&self) -> io::Result<()> {
        (**self).flush()
    }

    fn socket(&self) -> Option<BorrowedSocket<'_>> {
        (**self).socket()
    }
}

/// The stream must be non-blocking.
impl Transport for TcpStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&mut &*self).write_vectored(buffers)
    }

    fn shutdown(&self) -> io::Result<()> {
        Self::shutdown(self, Shutdown::Write)
    }

    fn socket(&self) -> Option<BorrowedSocket<'_>> {
        Some(self.as_socket())
    }
}

/// The stream must be non-blocking.
#[cfg(unix)]
impl Transport for std::os::unix::net::UnixStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&mut &*self).write_vectored(buffers)
    }

    fn shutdown(&self) -> io::Result<()> {
        Self::shutdown(self, Shutdown::Write)
    }

    fn socket(&self) -> Option<BorrowedSocket<'_>> {
        Some(self.as_socket())
    }
}
