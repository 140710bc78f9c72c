//! Reaching a server, whatever its address says.

use std::io;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::filter::Stack;
use crate::filtered::Filtered;
#[cfg(feature = "tokio")]
use crate::stream::{Socket, Stream};
use crate::tcp;
use crate::transport::Transport;

/// Why a server could not be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {address}: {source}")]
pub struct ConnectError {
    /// Where to.
    pub address: Address,
    /// What the system said about the last address that was tried, or what went wrong with TLS or WebSocket.
    #[source]
    pub source: io::Error,
}

/// How servers are reached, beside what their address says.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Connector {
    /// Whom to trust with `mqtts` and `wss`; none trusts the authorities of the system.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::Client>,
    /// Headers of the request for a WebSocket, name and value.
    #[cfg(feature = "websocket")]
    pub headers: Vec<(String, String)>,
}

impl Connector {
    /// Connects, blocking, with all that is spoken before MQTT; the stream is non-blocking then.
    ///
    /// `timeout` is for all of it. (Resolving a name takes as long as the system lets it.)
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(&self, address: &Address, timeout: Duration) -> Result<Box<dyn Transport>, ConnectError> {
        let deadline = Instant::now() + timeout;
        let connected = || {
            let stack = self.stack(address)?;
            match address {
                #[cfg(unix)]
                Address::Unix { path } => {
                    let stream = std::os::unix::net::UnixStream::connect(path)?;
                    stream.set_nonblocking(true)?;
                    finish(stream, stack, deadline)
                }
                #[cfg(not(unix))]
                Address::Unix { .. } => Err(missing("there are no Unix domain sockets here")),
                _ => {
                    let stream = tcp::connect(address.host(), address.port(), timeout)?;
                    stream.set_nonblocking(true)?;
                    finish(stream, stack, deadline)
                }
            }
        };
        connected().map_err(|source| ConnectError { address: address.clone(), source })
    }

    /// [`connect`](Self::connect) under tokio.
    ///
    /// # Errors
    /// As `connect`.
    #[cfg(feature = "tokio")]
    pub async fn connect_async(&self, address: &Address, timeout: Duration) -> Result<Stream, ConnectError> {
        let deadline = tokio::time::Instant::now() + timeout;
        let connected = async {
            let stack = self.stack(address)?;
            let socket = match address {
                #[cfg(unix)]
                Address::Unix { path } => Socket::Unix(tokio::net::UnixStream::connect(path).await?),
                #[cfg(not(unix))]
                Address::Unix { .. } => return Err(missing("there are no Unix domain sockets here")),
                _ => Socket::Tcp(tcp::connect_async(address.host(), address.port(), timeout).await?),
            };
            let opening = tokio::time::timeout_at(deadline, Stream::open(socket, stack));
            opening.await.unwrap_or_else(|_| Err(tcp::timed_out()))
        };
        connected.await.map_err(|source| ConnectError { address: address.clone(), source })
    }

    /// What is put on a connection to `address`; none where MQTT itself is spoken.
    fn stack(&self, address: &Address) -> io::Result<Option<Stack>> {
        if !address.is_tls() && !address.is_websocket() {
            return Ok(None);
        }
        let mut stack = Stack::new();
        if address.is_tls() {
            stack = self.with_tls(stack, address)?;
        }
        if let Address::WebSocket { path, .. } | Address::SecureWebSocket { path, .. } = address {
            stack = self.with_websocket(stack, address, path)?;
        }
        Ok(Some(stack))
    }

    #[cfg(feature = "tls")]
    fn with_tls(&self, stack: Stack, address: &Address) -> io::Result<Stack> {
        let filter = match &self.tls {
            Some(client) => client.filter(address.host()),
            None => crate::tls::Client::system()?.filter(address.host()),
        };
        Ok(stack.with(filter?))
    }

    #[cfg(not(feature = "tls"))]
    fn with_tls(&self, _: Stack, _: &Address) -> io::Result<Stack> {
        Err(missing("this program was built without TLS"))
    }

    #[cfg(feature = "websocket")]
    fn with_websocket(&self, stack: Stack, address: &Address, path: &str) -> io::Result<Stack> {
        let mut options = crate::websocket::ClientOptions::new(address.authority()).path(path);
        options.headers.clone_from(&self.headers);
        Ok(stack.with(crate::websocket::Filter::client(&options)?))
    }

    #[cfg(not(feature = "websocket"))]
    fn with_websocket(&self, _: Stack, _: &Address, _: &str) -> io::Result<Stack> {
        Err(missing("this program was built without WebSocket"))
    }
}

fn finish(
    stream: impl Transport + 'static,
    stack: Option<Stack>,
    deadline: Instant,
) -> io::Result<Box<dyn Transport>> {
    let Some(stack) = stack else { return Ok(Box::new(stream)) };
    let filtered = Filtered::new(stream, stack);
    filtered.open(deadline)?;
    Ok(Box::new(filtered))
}

#[allow(dead_code, reason = "not with all features on Unix")]
fn missing(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}

#[cfg(test)]
mod tests;
