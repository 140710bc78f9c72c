//! Sockets that listen, and what comes in on them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use karere_net::stream::Socket;
use karere_net::{Address, Filtered};
use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use crate::broker::Shared;
use crate::builder::StartError;
use crate::connection;
use crate::counters::add;
use crate::endpoint::{Listener, Over, Place};
use crate::sync::Arc;

/// How many connections the system completes for us before we accept them.
const BACKLOG: i32 = 1024;
/// The shortest and the longest pause after a failed accept.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Listens on every address that `address` (`host:port`) means.
///
/// With port 0 the system chooses one for the first address, and the others get the same.
async fn bind(address: &str) -> Result<Vec<TcpListener>, StartError> {
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
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

/// Who has come.
enum Guest {
    Tcp(TcpStream, SocketAddr),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The file of a Unix domain socket, which goes with it.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        // An error means that it has gone already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens where `listener` says.
pub(crate) async fn open(listener: &Listener) -> Result<Vec<Acceptor>, StartError> {
    match &listener.place {
        Place::Tcp(address) => Ok(bind(address).await?.into_iter().map(Acceptor::Tcp).collect()),
        Place::Unix(path) => {
            let failed = |source| StartError::Listen { address: format!("unix:{}", path.display()), source };
            open_unix(path).await.map(|acceptor| vec![acceptor]).map_err(failed)
        }
    }
}

#[cfg(unix)]
async fn open_unix(path: &Path) -> io::Result<Acceptor> {
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_behind(path).await => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    Ok(Acceptor::Unix(bound?, SocketFile(path.to_owned())))
}

#[cfg(not(unix))]
async fn open_unix(_: &Path) -> io::Result<Acceptor> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there are no Unix domain sockets here"))
}

/// Whether this is the socket of a broker that ended without removing it, and no other file.
#[cfg(unix)]
async fn is_left_behind(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl Acceptor {
    /// Where it listens, as a client names it.
    pub(crate) fn address(&self, over: &Over) -> Option<Address> {
        match self {
            Self::Tcp(_) => self.local_addr().map(|at| over.address(at.ip().to_string(), at.port())),
            #[cfg(unix)]
            Self::Unix(_, file) => Some(Address::unix(&file.0)),
        }
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
        }
    }

    async fn accept(&self) -> io::Result<Guest> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, remote)| Guest::Tcp(stream, remote)),
            #[cfg(unix)]
            Self::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Guest::Unix(stream)),
        }
    }
}

/// Accepts connections until the broker shuts down.
pub(crate) async fn accept(broker: Arc<Shared>, acceptor: Acceptor, over: Over) {
    let mut pause = BACK_OFF.0;
    let mut closing = pin!(broker.closing());
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            () = &mut closing => return,
        };
        match accepted {
            Ok(guest) => {
                pause = BACK_OFF.0;
                add(&broker.count.connections_total, 1);
                let started = welcome(&broker, guest, &over);
                add(&broker.count.connections_refused, u64::from(!started));
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

/// Starts the task of a connection. False: it cannot be.
fn welcome(broker: &Arc<Shared>, guest: Guest, over: &Over) -> bool {
    let Ok(stack) = over.stack() else { return false };
    let remote = match &guest {
        Guest::Tcp(stream, remote) => {
            // Without it a small packet waits for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
            Some(canonical(*remote))
        }
        #[cfg(unix)]
        Guest::Unix(_) => None,
    };
    let (socket, stack) = match (guest, stack) {
        (Guest::Tcp(stream, _), None) => {
            let (reader, writer) = connection::tcp(stream);
            return connection::start(broker, reader, writer, remote);
        }
        #[cfg(unix)]
        (Guest::Unix(stream), None) => {
            let (reader, writer) = connection::unix(stream);
            return connection::start(broker, reader, writer, remote);
        }
        (Guest::Tcp(stream, _), Some(stack)) => (Socket::Tcp(stream), stack),
        #[cfg(unix)]
        (Guest::Unix(stream), Some(stack)) => (Socket::Unix(stream), stack),
    };
    let (reader, writer) = connection::filtered(Filtered::new(socket, stack));
    connection::start(broker, reader, writer, remote)
}

fn canonical(remote: SocketAddr) -> SocketAddr {
    match remote.ip() {
        IpAddr::V6(ip) => SocketAddr::new(ip.to_canonical(), remote.port()),
        IpAddr::V4(_) => remote,
    }
}
