//! Where a server is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

mod parse;

/// The port of MQTT over TCP, as registered with IANA.
pub const DEFAULT_PORT: u16 = 1883;
/// The port of MQTT over TLS, as registered with IANA.
pub const DEFAULT_TLS_PORT: u16 = 8883;

/// Where a server is, and over what it is reached.
///
/// ```
/// use karere_net::Address;
///
/// assert_eq!("broker.example".parse(), Ok(Address::tcp("broker.example", 1883)));
/// assert_eq!("[::1]:1884".parse(), Ok(Address::tcp("::1", 1884)));
/// assert_eq!(Address::tcp("::1", 1884).to_string(), "[::1]:1884");
/// assert_eq!("mqtts://broker.example".parse(), Ok(Address::tls("broker.example", 8883)));
/// assert_eq!(Address::tls("broker.example", 8883).to_string(), "mqtts://broker.example:8883");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// MQTT directly over TCP: `mqtt://`.
    Tcp {
        /// A name or an IP address, IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// MQTT over TLS: `mqtts://`.
    Tls {
        /// As with TCP.
        host: String,
        /// The port.
        port: u16,
    },
    /// MQTT over WebSocket: `ws://`.
    WebSocket {
        /// As with TCP.
        host: String,
        /// The port.
        port: u16,
        /// The path, with its slash, and the query if there is one.
        path: String,
    },
    /// MQTT over WebSocket over TLS: `wss://`.
    SecureWebSocket {
        /// As with TCP.
        host: String,
        /// The port.
        port: u16,
        /// As with WebSocket.
        path: String,
    },
    /// MQTT over a Unix domain socket: `unix:`.
    Unix {
        /// Its file.
        path: PathBuf,
    },
}

/// What a URL says: an address, and what may stand around it.
///
/// `mqtt://[user[:password]@]host[:port][/topic]`, or `mqtts`, where the port is 8883 by default; the same with `ws`
/// (80) and `wss` (443), where the path is the WebSocket's, `/mqtt` if there is none; `unix:/path/to/socket`. User,
/// password, topic and the path of a Unix socket may be percent-encoded.
///
/// ```
/// use karere_net::{Address, Url};
///
/// let url: Url = "mqtt://ana:s%40lt@broker.example/iot/home".parse()?;
/// assert_eq!(url.address, Address::tcp("broker.example", 1883));
/// assert_eq!(url.password.as_deref(), Some("s@lt"));
/// assert_eq!(url.topic.as_deref(), Some("iot/home"));
///
/// let url: Url = "wss://broker.example".parse()?;
/// assert_eq!(url.address, Address::secure_websocket("broker.example", 443, "/mqtt"));
/// # Ok::<(), karere_net::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Where the server is.
    pub address: Address,
    /// User Name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// What follows the first slash, without it; none when it is empty, and with WebSocket.
    pub topic: Option<String>,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no host.
    #[error("`{0}` names no host. Try localhost:1883")]
    NoHost(String),
    /// There is no path to a Unix domain socket.
    #[error("`{0}` names no socket. Try unix:/run/karere.sock")]
    NoPath(String),
    /// The port is no number from 1 to 65,535.
    #[error("`{0}` is no port: a number from 1 to 65535 is needed")]
    Port(String),
    /// An IPv6 address whose bracket is not closed, or with something but a port behind it.
    #[error("`{0}` is no IPv6 address in brackets. Try [::1]:1883")]
    Brackets(String),
    /// A scheme that is none of MQTT's.
    #[error("`{0}` is no scheme of MQTT's; mqtt, mqtts, ws, wss and unix are")]
    Scheme(String),
    /// Percent-encoding that is none, or does not give UTF-8.
    #[error("`{0}` is not percent-encoded UTF-8")]
    Encoding(String),
}

impl Address {
    /// MQTT over TCP at `host`, a name or an IP address (IPv6 without brackets).
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// Where to listen: as a client's address is read, but port 0 means any that is free.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn to_listen_on(text: &str) -> Result<Self, AddressError> {
        Ok(parse::url(text, 0)?.address)
    }

    /// MQTT over TLS.
    #[must_use]
    pub fn tls(host: impl Into<String>, port: u16) -> Self {
        Self::Tls { host: host.into(), port }
    }

    /// MQTT over WebSocket, at `path`, which begins with a slash.
    #[must_use]
    pub fn websocket(host: impl Into<String>, port: u16, path: impl Into<String>) -> Self {
        Self::WebSocket { host: host.into(), port, path: path.into() }
    }

    /// MQTT over WebSocket over TLS, at `path`, which begins with a slash.
    #[must_use]
    pub fn secure_websocket(host: impl Into<String>, port: u16, path: impl Into<String>) -> Self {
        Self::SecureWebSocket { host: host.into(), port, path: path.into() }
    }

    /// MQTT over a Unix domain socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix { path: path.into() }
    }

    /// The host's name or IP address; that of a Unix domain socket is `localhost`.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. }
            | Self::Tls { host, .. }
            | Self::WebSocket { host, .. }
            | Self::SecureWebSocket { host, .. } => host,
            Self::Unix { .. } => "localhost",
        }
    }

    /// The port; 0 for a Unix domain socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. }
            | Self::Tls { port, .. }
            | Self::WebSocket { port, .. }
            | Self::SecureWebSocket { port, .. } => *port,
            Self::Unix { .. } => 0,
        }
    }

    /// The same at another host, and where one is given at another port. A Unix domain socket has neither.
    #[must_use]
    pub fn moved(mut self, to_host: Option<&str>, to_port: Option<u16>) -> Self {
        if let Self::Tcp { host, port }
        | Self::Tls { host, port }
        | Self::WebSocket { host, port, .. }
        | Self::SecureWebSocket { host, port, .. } = &mut self
        {
            if let Some(to_host) = to_host {
                to_host.clone_into(host);
            }
            *port = to_port.unwrap_or(*port);
        }
        self
    }

    /// Whether TLS is spoken there.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls { .. } | Self::SecureWebSocket { .. })
    }

    /// Whether WebSocket is spoken there.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        matches!(self, Self::WebSocket { .. } | Self::SecureWebSocket { .. })
    }

    /// Host and port as a URL and HTTP's header `Host` have them: IPv6 in brackets, and of a WebSocket's ports only those
    /// that are not 80 or 443.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match self.host() {
            host if host.contains(':') => format!("[{host}]"),
            host => host.to_owned(),
        };
        match self {
            Self::Unix { .. }
            | Self::WebSocket { port: 80, .. }
            | Self::SecureWebSocket { port: 443, .. } => host,
            _ => format!("{host}:{}", self.port()),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// `host`, `host:port`, `[ipv6]:port`, a bare IPv6 address, or a URL, of which the address is taken.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Ok(text.parse::<Url>()?.address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.authority();
        match self {
            Self::Tcp { .. } => f.write_str(&authority),
            Self::Tls { .. } => write!(f, "mqtts://{authority}"),
            Self::WebSocket { path, .. } => write!(f, "ws://{authority}{path}"),
            Self::SecureWebSocket { path, .. } => write!(f, "wss://{authority}{path}"),
            Self::Unix { path } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Url {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse::url(text, 1)
    }
}

#[cfg(test)]
mod tests;
