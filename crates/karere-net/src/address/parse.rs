//! Reading addresses and URLs.

use super::{Address, AddressError, DEFAULT_PORT, DEFAULT_TLS_PORT, Url};

/// Where MQTT is on a web server, where the URL does not say.
const WEBSOCKET_PATH: &str = "/mqtt";

/// What stands before the colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Mqtt,
    Mqtts,
    Ws,
    Wss,
}

/// `port_min` is 0 where a free port may be asked for, else 1.
pub(super) fn url(text: &str, port_min: u16) -> Result<Url, AddressError> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = decode(path.strip_prefix("//").unwrap_or(path))?;
        let address = if path.is_empty() {
            Err(AddressError::NoPath(text.to_owned()))
        } else {
            Ok(Address::unix(path))
        };
        return Ok(Url { address: address?, username: None, password: None, topic: None });
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let address = Scheme::Mqtt.address(text, "", port_min)?;
        return Ok(Url { address, username: None, password: None, topic: None });
    };
    let scheme = Scheme::of(scheme)?;
    let ends: &[char] = if scheme.is_websocket() { &['/', '?'] } else { &['/'] };
    let at = rest.find(ends).unwrap_or(rest.len());
    let (before, path) = rest.split_at(at);
    let (user, host) = match before.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, before),
    };
    let (username, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
        None => (None, None),
        Some(Err(user)) => (Some(decode(user)?), None),
        Some(Ok((user, password))) => (Some(decode(user)?), Some(decode(password)?)),
    };
    let topic = match path.strip_prefix('/').unwrap_or(path) {
        "" => None,
        _ if scheme.is_websocket() => None,
        topic => Some(decode(topic)?),
    };
    Ok(Url { address: scheme.address(host, path, port_min)?, username, password, topic })
}

impl Scheme {
    fn of(text: &str) -> Result<Self, AddressError> {
        match text.to_ascii_lowercase().as_str() {
            "mqtt" | "tcp" => Ok(Self::Mqtt),
            "mqtts" | "ssl" | "tls" => Ok(Self::Mqtts),
            "ws" => Ok(Self::Ws),
            "wss" => Ok(Self::Wss),
            _ => Err(AddressError::Scheme(text.to_owned())),
        }
    }

    fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    fn address(self, authority: &str, path: &str, port_min: u16) -> Result<Address, AddressError> {
        let (host, port) = split(authority)?;
        let path = match path {
            "" | "/" => WEBSOCKET_PATH.to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            query => format!("{WEBSOCKET_PATH}{query}"),
        };
        let port = |usual| port.map_or(Ok(usual), |port| parse_port(port, port_min));
        Ok(match self {
            Self::Mqtt => Address::tcp(host, port(DEFAULT_PORT)?),
            Self::Mqtts => Address::tls(host, port(DEFAULT_TLS_PORT)?),
            Self::Ws => Address::websocket(host, port(80)?, path),
            Self::Wss => Address::secure_websocket(host, port(443)?, path),
        })
    }
}

/// Host and port.
fn split(text: &str) -> Result<(&str, Option<&str>), AddressError> {
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
    if host.is_empty() { Err(AddressError::NoHost(text.to_owned())) } else { Ok((host, port)) }
}

fn parse_port(text: &str, min: u16) -> Result<u16, AddressError> {
    text.parse().ok().filter(|port| *port >= min).ok_or_else(|| AddressError::Port(text.to_owned()))
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
