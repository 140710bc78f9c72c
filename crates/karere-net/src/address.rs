//! Where a server is.

use std::fmt;
use std::str::FromStr;

/// The port of MQTT over TCP, as registered with IANA.
pub const DEFAULT_PORT: u16 = 1883;

/// Where a server is, and over what it is reached.
///
/// ```
/// use karere_net::Address;
///
/// assert_eq!("broker.example".parse(), Ok(Address::tcp("broker.example", 1883)));
/// assert_eq!("[::1]:1884".parse(), Ok(Address::tcp("::1", 1884)));
/// assert_eq!(Address::tcp("::1", 1884).to_string(), "[::1]:1884");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// MQTT directly over TCP.
    Tcp {
        /// A name or an IP address, IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

/// What a URL says: an address, and what may stand around it.
///
/// `mqtt://[user[:password]@]host[:port][/topic]`; user, password and topic may be percent-encoded.
///
/// ```
/// use karere_net::{Address, Url};
///
/// let url: Url = "mqtt://ana:s%40lt@broker.example/iot/home".parse()?;
/// assert_eq!(url.address, Address::tcp("broker.example", 1883));
/// assert_eq!(url.password.as_deref(), Some("s@lt"));
/// assert_eq!(url.topic.as_deref(), Some("iot/home"));
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
    /// What follows the first slash, without it; none when it is empty.
    pub topic: Option<String>,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no host.
    #[error("`{0}` names no host. Try localhost:1883")]
    NoHost(String),
    /// The port is no number from 1 to 65,535.
    #[error("`{0}` is no port: a number from 1 to 65535 is needed")]
    Port(String),
    /// An IPv6 address whose bracket is not closed, or with something but a port behind it.
    #[error("`{0}` is no IPv6 address in brackets. Try [::1]:1883")]
    Brackets(String),
    /// A scheme that will be there, but is not yet.
    #[error("{0}:// is not supported yet; mqtt:// is")]
    NotYet(String),
    /// A scheme that is none of MQTT's.
    #[error("`{0}` is no scheme of MQTT's; mqtt:// is")]
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

    /// The host's name or IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host,
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } => *port,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// `host`, `host:port`, `[ipv6]:port`, a bare IPv6 address, or a URL, of which the address is taken.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.contains("://") { Ok(text.parse::<Url>()?.address) } else { authority(text) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl FromStr for Url {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self { address: authority(text)?, username: None, password: None, topic: None });
        };
        check_scheme(scheme)?;
        let (before, topic) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = match before.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, before),
        };
        let (username, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
            None => (None, None),
            Some(Err(user)) => (Some(decode(user)?), None),
            Some(Ok((user, password))) => (Some(decode(user)?), Some(decode(password)?)),
        };
        let topic = if topic.is_empty() { None } else { Some(decode(topic)?) };
        Ok(Self { address: authority(host)?, username, password, topic })
    }
}

fn check_scheme(scheme: &str) -> Result<(), AddressError> {
    match scheme.to_ascii_lowercase().as_str() {
        "mqtt" | "tcp" => Ok(()),
        "mqtts" | "ssl" | "ws" | "wss" | "unix" => Err(AddressError::NotYet(scheme.to_owned())),
        _ => Err(AddressError::Scheme(scheme.to_owned())),
    }
}

fn authority(text: &str) -> Result<Address, AddressError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) if port.starts_with(':') => (host, port.strip_prefix(':')),
            _ => return Err(AddressError::Brackets(text.to_owned())),
        }
    } else {
        match text.split_once(':') {
            // More than one colon: an IPv6 address without brackets, and so without a port.
            Some((_, port)) if port.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err(AddressError::NoHost(text.to_owned()));
    }
    Ok(Address::tcp(host, port.map_or(Ok(DEFAULT_PORT), parse_port)?))
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| AddressError::Port(text.to_owned()))
}

fn decode(text: &str) -> Result<String, AddressError> {
    let wrong = || AddressError::Encoding(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(wrong);
        let (high, low) = (digit()?, digit()?);
        bytes.push((high << 4 | low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests;
