//! Where a broker listens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};

use karere_broker::websocket::ServerOptions;
use karere_broker::{Address, Broker, BrokerHandle, Builder, Listener, StartError};

use super::secured::Secured;
use crate::exit::Failure;
use crate::output;

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// On this machine only, at this port of both loopback addresses; at IPv4's alone on a machine that has no other.
    Loopback(u16),
    At(Vec<Endpoint>),
    /// With what is spoken there.
    Named(Vec<Address>),
}

/// A port of an address, or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Name or address; `None`: every address of this machine.
    pub(crate) host: Option<String>,
    /// 0 takes a free one.
    pub(crate) port: u16,
    /// Only the addresses of this version of IP.
    pub(crate) family: Option<Family>,
}

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// How often a free port is looked for that both versions of IP have free.
const ATTEMPTS: u32 = 16;

/// What may be listened on beside that.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    /// The ports for WebSocket and TLS, where they are free.
    pub(super) usual_ports: bool,
    pub(super) secured: Option<&'a Secured>,
}

/// The usual ports beside 1883, which are EMQX's: with WebSocket, with TLS, with both.
const WEBSOCKET_PORT: u16 = 8083;
const TLS_PORT: u16 = 8883;
const SECURE_WEBSOCKET_PORT: u16 = 8084;

/// Starts a broker. Port 0 takes a free one, the same on both loopback addresses.
///
/// # Errors
/// Names the address and the remedy.
pub(super) async fn start(
    builder: Builder,
    listen: &Listen,
    beside: Beside<'_>,
) -> Result<BrokerHandle, Failure> {
    let listeners = listeners(listen, beside)?;
    let listening = listeners.into_iter().fold(builder, Builder::listen);
    let broker = listening.start().await.map_err(|error| failure(&error))?;
    for error in broker.skipped() {
        output::complain(format_args!("karere: warning: {error}. The broker does without"));
    }
    Ok(broker)
}

fn listeners(listen: &Listen, beside: Beside<'_>) -> Result<Vec<Listener>, Failure> {
    let addresses = match listen {
        Listen::Loopback(port) => loopback(*port).map_err(Failure::error)?,
        Listen::At(endpoints) => {
            let mut addresses = Vec::new();
            for endpoint in endpoints {
                addresses.extend(endpoint.addresses()?);
            }
            addresses
        }
        Listen::Named(named) => return named.iter().map(|address| beside.listener(address)).collect(),
    };
    let usual = if beside.usual_ports { beside.usual(&addresses) } else { Vec::new() };
    Ok(addresses.into_iter().map(Listener::tcp).chain(usual).collect())
}

impl Beside<'_> {
    /// The usual ports at the hosts of `addresses`.
    fn usual(self, addresses: &[String]) -> Vec<Listener> {
        let hosts = addresses.iter().filter_map(|address| address.rsplit_once(':')).map(|(host, _)| host);
        let at = |host: &str, port: u16| Listener::tcp(format!("{host}:{port}")).optional();
        let mut listeners = Vec::new();
        for host in hosts {
            listeners.push(at(host, WEBSOCKET_PORT).websocket(ServerOptions::default()));
            if let Some(Secured { server, .. }) = self.secured {
                listeners.push(at(host, TLS_PORT).tls(server.clone()));
                let secure = at(host, SECURE_WEBSOCKET_PORT).tls(server.clone());
                listeners.push(secure.websocket(ServerOptions::default()));
            }
        }
        listeners
    }

    fn listener(self, address: &Address) -> Result<Listener, Failure> {
        let mut listener = match address {
            Address::Unix { path } => return Ok(Listener::unix(path)),
            _ if address.host().contains(':') => {
                Listener::tcp(format!("[{}]:{}", address.host(), address.port()))
            }
            _ => Listener::tcp(format!("{}:{}", address.host(), address.port())),
        };
        if address.is_tls() {
            let Some(Secured { server, .. }) = self.secured else {
                return Err(Failure::usage(format!("{address} needs a certificate: --cert FILE --key FILE")));
            };
            listener = listener.tls(server.clone());
        }
        if let Address::WebSocket { path, .. } | Address::SecureWebSocket { path, .. } = address {
            listener = listener.websocket(ServerOptions::default().path(Some(path.clone())));
        }
        Ok(listener)
    }
}

impl Listen {
    /// With another address or port, where one is given.
    ///
    /// # Errors
    /// When it is not clear which listener is meant.
    pub(super) fn moved(self, bind: Option<IpAddr>, port: Option<u16>) -> Result<Self, Failure> {
        let (was, host, family) = match self {
            unmoved if bind.is_none() && port.is_none() => return Ok(unmoved),
            Self::Loopback(was) => match bind {
                None => return Ok(Self::Loopback(port.unwrap_or(was))),
                Some(_) => (was, None, None),
            },
            // The command line does not take both.
            named @ Self::Named(_) => return Ok(named),
            Self::At(endpoints) => match <[Endpoint; 1]>::try_from(endpoints) {
                Ok([Endpoint { host, port, family }]) => (port, host, family),
                Err(several) => {
                    return Err(Failure::usage(format!(
                        "--port and --bind are for one listener, and the configuration has {}",
                        several.len()
                    )));
                }
            },
        };
        let family = if bind.is_some() { None } else { family };
        let host = bind.map(|address| address.to_string()).or(host);
        Ok(Self::At(vec![Endpoint { host, port: port.unwrap_or(was), family }]))
    }

    /// Whether only programs on this machine get there.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Loopback(_) => true,
            Self::At(endpoints) => endpoints.iter().all(|endpoint| {
                let address = endpoint.host.as_deref().and_then(|host| host.parse::<IpAddr>().ok());
                address.is_some_and(|address| address.is_loopback())
            }),
            Self::Named(addresses) => addresses.iter().all(|address| {
                let host = address.host();
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }),
        }
    }
}

impl Endpoint {
    /// `host:port` for each address, where a name may stand for several.
    fn addresses(&self) -> Result<Vec<String>, Failure> {
        let is_wanted = |address: &IpAddr| match self.family {
            None => true,
            Some(Family::V4) => address.is_ipv4(),
            Some(Family::V6) => address.is_ipv6(),
        };
        let hosts = match (&self.host, self.family) {
            (None, _) => every_address().into_iter().filter(is_wanted).collect(),
            (Some(host), None) => match host.parse() {
                Ok(address) => vec![address],
                Err(_) => return Ok(vec![format!("{host}:{}", self.port)]),
            },
            (Some(host), Some(_)) => addresses_of(host)?.into_iter().filter(is_wanted).collect::<Vec<_>>(),
        };
        if hosts.is_empty() {
            let host = self.host.as_deref().unwrap_or("this machine");
            return Err(Failure::error(format!(
                "cannot listen: {host} has no address of this version of IP"
            )));
        }
        Ok(hosts.into_iter().map(|address| SocketAddr::new(address, self.port).to_string()).collect())
    }
}

/// What stands for all addresses of this machine: IPv6 only where there is any.
fn every_address() -> Vec<IpAddr> {
    let v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let has_v6 = TcpListener::bind((v6, 0)).is_ok();
    std::iter::once(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).chain(has_v6.then_some(v6)).collect()
}

fn addresses_of(host: &str) -> Result<Vec<IpAddr>, Failure> {
    let found = (host, 0).to_socket_addrs();
    let found = found.map_err(|error| Failure::error(format!("cannot listen on {host}: {error}")))?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Whether somebody listens on `port` of this machine already.
pub(super) fn is_taken(port: u16) -> bool {
    let is_in_use = |error: io::Error| error.kind() == io::ErrorKind::AddrInUse;
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        .into_iter()
        .any(|address| TcpListener::bind((address, port)).err().is_some_and(is_in_use))
}

/// Both loopback addresses, or IPv4's alone on a machine that has no other.
fn loopback(port: u16) -> io::Result<Vec<String>> {
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    for _ in 0..ATTEMPTS {
        let port = if port == 0 { free_port(v4)? } else { port };
        let [first, second] = [v4, v6].map(|address| SocketAddr::new(address, port).to_string());
        match TcpListener::bind((v6, port)) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                output::complain(format!("karere: warning: not listening on [::1]:{port}: {error}"));
                return Ok(vec![first]);
            }
            // Taken by chance: another port will do, unless this one was asked for.
            Err(_) if port == 0 => {}
            _ => return Ok(vec![first, second]),
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free on both 127.0.0.1 and [::1]"))
}

fn free_port(address: IpAddr) -> io::Result<u16> {
    Ok(TcpListener::bind((address, 0))?.local_addr()?.port())
}

fn failure(error: &StartError) -> Failure {
    let remedy = if error.is_address_in_use() {
        ". Is another broker running? Try --port 0"
    } else {
        match error {
            StartError::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                ". Ports below 1024 are the system's: try --port 1883"
            }
            StartError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
                ". Try --bind 0.0.0.0, which is every address of it"
            }
            StartError::Store { .. } => ". Another one: --data DIR, or none: --data none",
            _ => "",
        }
    };
    Failure::error(format!("{error}{remedy}"))
}

/// Starts a broker with what it has by default.
///
/// # Errors
/// As [`start`].
pub(super) async fn start_plain(port: u16) -> Result<BrokerHandle, Failure> {
    start(Broker::builder(), &Listen::Loopback(port), Beside::default()).await
}
