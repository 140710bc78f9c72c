//! Reaching a server over TCP.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::address::Address;

/// Why a server could not be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {address}: {source}")]
pub struct ConnectError {
    /// Where to.
    pub address: Address,
    /// What the system said about the last address that was tried.
    #[source]
    pub source: io::Error,
}

/// Connects, blocking, with TCP_NODELAY set.
///
/// All that the host's name resolves to is tried in the system's order, IPv6 as well as IPv4; `timeout` is for all
/// of them together, of which each gets its share. (Resolving the name takes as long as the system lets it.)
///
/// # Errors
/// [`ConnectError`] with the last address's error, [`io::ErrorKind::TimedOut`] when time ran out.
pub fn connect(address: &Address, timeout: Duration) -> Result<TcpStream, ConnectError> {
    let failed = |source| ConnectError { address: address.clone(), source };
    let deadline = Instant::now() + timeout;
    let found: Vec<SocketAddr> =
        (address.host(), address.port()).to_socket_addrs().map_err(failed)?.collect();
    let mut last = no_address();
    for (tried, socket) in found.iter().enumerate() {
        match share(deadline, found.len() - tried).and_then(|share| TcpStream::connect_timeout(socket, share))
        {
            Ok(stream) => return stream.set_nodelay(true).map(|()| stream).map_err(failed),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// [`connect`] under tokio.
///
/// # Errors
/// As [`connect`].
#[cfg(feature = "tokio")]
pub async fn connect_async(
    address: &Address,
    timeout: Duration,
) -> Result<tokio::net::TcpStream, ConnectError> {
    let failed = |source| ConnectError { address: address.clone(), source };
    let deadline = Instant::now() + timeout;
    let resolving = tokio::net::lookup_host((address.host(), address.port()));
    let found: Vec<SocketAddr> = within(timeout, resolving).await.map_err(failed)?.collect();
    let mut last = no_address();
    for (tried, socket) in found.iter().enumerate() {
        let attempt = match share(deadline, found.len() - tried) {
            Ok(share) => within(share, tokio::net::TcpStream::connect(*socket)).await,
            Err(error) => Err(error),
        };
        match attempt {
            Ok(stream) => return stream.set_nodelay(true).map(|()| stream).map_err(failed),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

#[cfg(feature = "tokio")]
async fn within<T>(limit: Duration, attempt: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| Err(timed_out()))
}

/// What one of `left` addresses may take of the time until `deadline`.
fn share(deadline: Instant, left: usize) -> io::Result<Duration> {
    let rest = deadline.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return Err(timed_out());
    }
    let left = u32::try_from(left.max(1)).unwrap_or(u32::MAX);
    // A zero timeout is an error to the system, however short the rest is.
    Ok((rest / left).max(Duration::from_millis(1)))
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

#[cfg(test)]
mod tests;
