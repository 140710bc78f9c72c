//! What can go wrong.

use std::io;

use tungstenite::protocol::frame::coding::CloseCode;

/// Why there is no WebSocket connection (any more).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's: a path or a header that HTTP cannot carry.
    #[error("no WebSocket can be asked for with {0}")]
    Option(String),
    /// The server has answered, and not with a WebSocket.
    #[error("the server answers {status}, and no WebSocket: {}", hint(*.status))]
    Status {
        /// The status code of HTTP, 101 being the one that was hoped for.
        status: u16,
    },
    /// The server's answer is not one to our request.
    #[error("the server does not answer as a WebSocket does: {0}")]
    Answer(String),
    /// The server has chosen another sub-protocol than `mqtt`, or none [MQTT-6.0.0-4].
    #[error("the server has a WebSocket here, but not one for MQTT: {}", chosen(.0.as_deref()))]
    SubProtocol(Option<String>),
    /// The client's request was refused.
    #[error("a WebSocket was refused with {status}: {why}")]
    Request {
        /// The status code of HTTP that it was answered with.
        status: u16,
        /// Why.
        why: &'static str,
    },
    /// A frame that breaks a rule of WebSocket's, or of MQTT over it.
    #[error("{0}")]
    Frame(&'static str),
}

fn hint(status: u16) -> &'static str {
    match status {
        301..=308 => "MQTT is somewhere else",
        401 | 403 => "it wants other credentials or another origin",
        404 | 405 => "is MQTT at another path? /mqtt is the usual one",
        400 | 426 => "it does not understand the request",
        _ => "is it a server for MQTT?",
    }
}

fn chosen(protocol: Option<&str>) -> String {
    protocol.map_or_else(|| "it names no sub-protocol".into(), |name| format!("its sub-protocol is {name:?}"))
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Option(_) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// What is wrong with a frame, and what the peer is told.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: CloseCode,
    pub(super) what: &'static str,
}

impl Fault {
    pub(super) const fn protocol(what: &'static str) -> Self {
        Self { code: CloseCode::Protocol, what }
    }
}
