//! A stream under tokio.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::filter::Stack;
use crate::filtered::Filtered;
use crate::sys::{AsSocket, BorrowedSocket};
use crate::transport::Transport;

/// A socket of tokio's.
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix domain socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A socket, with or without filters on it. Every verb takes `&self`; one task waits to read, one to write.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Bytes of MQTT are bytes of the socket.
    Plain(Socket),
    /// With TLS, WebSocket or both.
    Filtered(Box<Filtered<Socket>>),
}

impl Socket {
    /// Waits until there is something to read.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Waits until the socket takes bytes.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_read_buf(buffer),
        }
    }
}

impl Transport for Socket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(buffers),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_write_vectored(buffers),
        }
    }

    fn shutdown(&self) -> io::Result<()> {
        let socket = match self {
            Self::Tcp(stream) => stream.as_socket(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.as_socket(),
        };
        Ok(rustix::net::shutdown(socket, rustix::net::Shutdown::Write)?)
    }

    fn socket(&self) -> Option<BorrowedSocket<'_>> {
        // tokio waits for it.
        None
    }
}

impl Stream {
    /// Puts `stack` on `socket` and goes through the beginning of each layer (handshake, upgrade).
    ///
    /// # Errors
    /// What went wrong.
    pub async fn open(socket: Socket, stack: Option<Stack>) -> io::Result<Self> {
        let Some(stack) = stack else { return Ok(Self::Plain(socket)) };
        let filtered = Box::new(Filtered::new(socket, stack));
        std::future::poll_fn(|cx| poll_open(&filtered, cx)).await?;
        Ok(Self::Filtered(filtered))
    }

    /// Reads what is there into the free room of `buffer`; 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; any other ends the connection.
    pub fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read_buf(buffer),
            Self::Filtered(filtered) => filtered.read_into(buffer),
        }
    }

    /// Writes as much of `buffers` as the stream takes; see [`Filtered`] for what must follow `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing now; any other ends the connection.
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_vectored(buffers),
            Self::Filtered(filtered) => filtered.write_vectored(buffers),
        }
    }

    /// Waits until there may be something to read. What a filter has to say of its own is written meanwhile.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_read_ready(cx),
            Self::Filtered(filtered) => {
                poll_flush(filtered, cx)?;
                filtered.get_ref().poll_read_ready(cx)
            }
        }
    }

    /// Waits until the stream takes bytes.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_write_ready(cx),
            Self::Filtered(filtered) => filtered.get_ref().poll_write_ready(cx),
        }
    }

    /// Tells the peer that no more will be written.
    ///
    /// # Errors
    /// The stream's.
    pub fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown(),
            Self::Filtered(filtered) => filtered.shutdown(),
        }
    }
}

/// Writes what the filters have to say of their own; `cx` is woken when the socket takes more of it.
///
/// # Errors
/// The socket's.
pub fn poll_flush(filtered: &Filtered<Socket>, cx: &mut Context<'_>) -> io::Result<()> {
    while filtered.wants_write() {
        match filtered.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        match filtered.get_ref().poll_write_ready(cx) {
            Poll::Ready(result) => result?,
            Poll::Pending => return Ok(()),
        }
    }
    Ok(())
}

fn poll_open(filtered: &Filtered<Socket>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    loop {
        if filtered.advance()? {
            return Poll::Ready(Ok(()));
        }
        let writable = filtered.wants_write() && filtered.get_ref().poll_write_ready(cx)?.is_ready();
        if filtered.get_ref().poll_read_ready(cx)?.is_pending() && !writable {
            return Poll::Pending;
        }
    }
}
