//! Where a broker listens, and what is spoken there.

use std::path::PathBuf;

use karere_net::Address;
use karere_net::filter::Stack;
use karere_net::tls;
use karere_net::websocket;

use crate::builder::StartError;
use crate::sync::Arc;

/// Where a broker listens, and what is spoken there beneath MQTT; for [`Builder::listen`](crate::Builder::listen).
///
/// ```
/// use karere_broker::Listener;
/// use karere_broker::websocket::ServerOptions;
///
/// let plain: Listener = "localhost:1883".into();
/// let for_browsers = Listener::tcp("0.0.0.0:8083").websocket(ServerOptions::default()).optional();
/// # #[cfg(unix)]
/// let for_programs_here = Listener::unix("/run/karere.sock");
/// ```
#[derive(Debug, Clone)]
pub struct Listener {
    pub(crate) place: Place,
    pub(crate) over: Over,
    pub(crate) optional: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// `host:port`.
    Tcp(String),
    Unix(PathBuf),
}

/// What is spoken beneath MQTT.
#[derive(Debug, Clone, Default)]
pub(crate) struct Over {
    tls: Option<Arc<tls::Server>>,
    websocket: Option<Arc<websocket::ServerOptions>>,
}

impl Listener {
    /// At `address`, `host:port` with a name or a number.
    #[must_use]
    pub fn tcp(address: impl Into<String>) -> Self {
        Self::at(Place::Tcp(address.into()))
    }

    /// At a Unix domain socket. Its file is made when the broker starts, and removed when it ends; one that a broker
    /// before has left behind is replaced.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::Unix(path.into()))
    }

    fn at(place: Place) -> Self {
        Self { place, over: Over::default(), optional: false }
    }

    /// With TLS. The same `server` may be used by several listeners, and [reloaded](tls::Server::reload) while they are
    /// used.
    #[must_use]
    pub fn tls(mut self, server: Arc<tls::Server>) -> Self {
        self.over.tls = Some(server);
        self
    }

    /// With WebSocket (over TLS, if there is TLS too).
    #[must_use]
    pub fn websocket(mut self, options: websocket::ServerOptions) -> Self {
        self.over.websocket = Some(Arc::new(options));
        self
    }

    /// The broker starts without it where the address is in use; [`BrokerHandle::skipped`](crate::BrokerHandle::skipped)
    /// tells.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// `host:port`, MQTT over TCP.
impl From<&str> for Listener {
    fn from(address: &str) -> Self {
        Self::tcp(address)
    }
}

/// `host:port`, MQTT over TCP.
impl From<&String> for Listener {
    fn from(address: &String) -> Self {
        Self::tcp(address)
    }
}

/// `host:port`, MQTT over TCP.
impl From<String> for Listener {
    fn from(address: String) -> Self {
        Self::tcp(address)
    }
}

impl Over {
    /// What is put on a new connection; none where MQTT itself is spoken.
    pub(crate) fn stack(&self) -> Result<Option<Stack>, tls::Error> {
        if self.tls.is_none() && self.websocket.is_none() {
            return Ok(None);
        }
        let mut stack = Stack::new();
        if let Some(server) = &self.tls {
            stack = stack.with(server.filter()?);
        }
        if let Some(options) = &self.websocket {
            stack = stack.with(websocket::Filter::server(options.clone()));
        }
        Ok(Some(stack))
    }

    /// How a client names this place.
    pub(crate) fn address(&self, host: String, port: u16) -> Address {
        let path = || {
            let path = self.websocket.as_ref().and_then(|options| options.path.clone());
            path.unwrap_or_else(|| websocket::DEFAULT_PATH.into())
        };
        match (self.tls.is_some(), self.websocket.is_some()) {
            (false, false) => Address::tcp(host, port),
            (true, false) => Address::tls(host, port),
            (false, true) => Address::websocket(host, port, path()),
            (true, true) => Address::secure_websocket(host, port, path()),
        }
    }
}

impl StartError {
    /// Whether `listener` can be done without.
    pub(crate) fn is_bearable(&self, listener: &Listener) -> bool {
        listener.optional && self.is_address_in_use()
    }
}
