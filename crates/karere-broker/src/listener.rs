//! Sockets that listen, and what comes in on them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::broker::Shared;
use crate::builder::StartError;
use crate::connection;
use crate::counters::add;
use crate::sync::Arc;

/// How many connections the system completes for us before we accept them.
const BACKLOG: i32 = 1024;
/// The shortest and the longest pause after a failed accept.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Listens on every address that `address` (`host:port`) means.
///
/// With port 0 the system chooses one for the first address, and the others get the same.
pub(crate) async fn bind(address: &str) -> Result<Vec<TcpListener>, StartError> {
    let resolve = |source| StartError::Resolve { address: address.to_owned(), source };
    let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(resolve)?.collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(resolve(io::ErrorKind::NotFound.into()));
    }
    let mut listeners: Vec<TcpListener> = Vec::new();
    for mut address in addresses {
        if let (0, Some(first)) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr().map_or(0, |first| first.port()));
        }
        match listen(address) {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6 still has "localhost" in IPv6.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && !listeners.is_empty() => {}
            Err(source) => return Err(StartError::Listen { address: address.to_string(), source }),
        }
    }
    Ok(listeners)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // 0.0.0.0 and [::] can then both be listened on, and each means what it says.
        socket.set_only_v6(true)?;
    }
    // On Windows this would let a second program take the port away.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until the broker shuts down.
pub(crate) async fn accept(broker: Arc<Shared>, listener: TcpListener) {
    let mut pause = BACK_OFF.0;
    let mut closing = pin!(broker.closing());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut closing => return,
        };
        match accepted {
            Ok((stream, remote)) => {
                pause = BACK_OFF.0;
                add(&broker.count.connections_total, 1);
                welcome(&broker, stream, remote);
            }
            // The peer has gone before we came to it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => {
                // Out of descriptors or memory: those who are connected go on, and will leave some day.
                add(&broker.count.accept_errors, 1);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF.1);
            }
        }
    }
}

fn welcome(broker: &Arc<Shared>, stream: TcpStream, remote: SocketAddr) {
    // Without it a small packet waits for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = connection::tcp(stream);
    let started = connection::start(broker, reader, writer, Some(canonical(remote)));
    add(&broker.count.connections_refused, u64::from(!started));
}

fn canonical(remote: SocketAddr) -> SocketAddr {
    match remote.ip() {
        IpAddr::V6(ip) => SocketAddr::new(ip.to_canonical(), remote.port()),
        IpAddr::V4(_) => remote,
    }
}
