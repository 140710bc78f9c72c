//! Reaching a server over TCP.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long one address is given before the next is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects, blocking, with TCP_NODELAY set.
///
/// All that the host's name resolves to is tried, IPv6 and IPv4 in turn, each a quarter of a second after the one before
/// or when that has failed; the first that answers is taken (RFC 8305). `timeout` is for all of them together.
/// (Resolving the name takes as long as the system lets it.)
///
/// # Errors
/// The last one's, [`io::ErrorKind::TimedOut`] when time ran out.
pub fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let stream = first_of(&in_turn((host, port).to_socket_addrs()?), deadline)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// [`connect`] under tokio.
///
/// # Errors
/// As [`connect`].
#[cfg(feature = "tokio")]
pub async fn connect_async(host: &str, port: u16, timeout: Duration) -> io::Result<tokio::net::TcpStream> {
    let connecting = async {
        let found = in_turn(tokio::net::lookup_host((host, port)).await?);
        first_of_async(&found).await
    };
    let connected = tokio::time::timeout(timeout, connecting).await;
    let stream = connected.unwrap_or_else(|_| Err(timed_out()))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn first_of(found: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    if let [only] = found {
        return TcpStream::connect_timeout(only, rest(deadline)?);
    }
    let (tell, hear) = channel();
    let (mut last, mut waiting) = (no_address(), 0_usize);
    let mut next = found.iter().copied();
    loop {
        let started = match next.next() {
            Some(address) => {
                let (tell, rest) = (tell.clone(), rest(deadline)?);
                // It ends by itself, at the deadline at the latest.
                thread::Builder::new().name("karere-connect".into()).spawn(move || {
                    let _ = tell.send(TcpStream::connect_timeout(&address, rest));
                })?;
                waiting += 1;
                true
            }
            None if waiting == 0 => return Err(last),
            None => false,
        };
        let left = rest(deadline)?;
        match hear.recv_timeout(if started { left.min(HEAD_START) } else { left }) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => {
                last = error;
                waiting -= 1;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

#[cfg(feature = "tokio")]
async fn first_of_async(found: &[SocketAddr]) -> io::Result<tokio::net::TcpStream> {
    let mut last = no_address();
    let mut attempts = tokio::task::JoinSet::new();
    let mut next = found.iter().copied();
    loop {
        let started = next.next().map(|address| attempts.spawn(tokio::net::TcpStream::connect(address)));
        let ended = match started {
            Some(_) => tokio::time::timeout(HEAD_START, attempts.join_next()).await,
            None => Ok(attempts.join_next().await),
        };
        match ended {
            Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
            Ok(Some(Ok(Err(error)))) => last = error,
            Ok(Some(Err(error))) => last = error.into(),
            Ok(None) => return Err(last),
            Err(_) => {}
        }
    }
}

/// One of the first one's family, one of the other, and so on; each family in the system's order.
fn in_turn(found: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = found.into_iter().collect();
    let first = found.first().is_some_and(SocketAddr::is_ipv6);
    let (same, other): (Vec<_>, Vec<_>) = found.drain(..).partition(|address| address.is_ipv6() == first);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        let before = found.len();
        found.extend(same.next().into_iter().chain(other.next()));
        if found.len() == before {
            return found;
        }
    }
}

fn rest(deadline: Instant) -> io::Result<Duration> {
    let rest = deadline.saturating_duration_since(Instant::now());
    if rest.is_zero() { Err(timed_out()) } else { Ok(rest) }
}

pub(crate) fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

#[cfg(test)]
mod tests;
