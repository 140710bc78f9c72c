//! What can go wrong, by what was asked for.

use std::fmt;
use std::io;
use std::sync::Arc;

use karere_core::client;
use karere_core::topic::{TopicError, TreeError};

use crate::store::StoreError;
use crate::{ConnAck, Disconnect, DropReason, Properties, ReasonCode};

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server was not reached.
    #[error(transparent)]
    Network(Arc<karere_net::ConnectError>),
    /// The system gave no socket, or took none.
    #[error("cannot use the socket: {0}")]
    Socket(Arc<io::Error>),
    /// The server answered CONNECT with a reason of failure (§3.2.2.2).
    #[error("the server refused the connection: {}", .0.reason)]
    Refused(ConnAck),
    /// The connection was lost before the server had answered CONNECT.
    #[error("connection lost before the server answered: {0}")]
    Lost(Disconnection),
    /// The client was told to disconnect meanwhile.
    #[error("the client was closed")]
    Closed,
    /// The client is started already.
    #[error("the client is started already")]
    Running,
    /// The [store](crate::Options::store) cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ConnectError {
    /// The server's reason, where it gave one.
    #[must_use]
    pub fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Refused(connack) => Some(connack.reason),
            Self::Lost(disconnection) => Some(disconnection.reason()),
            _ => None,
        }
    }
}

impl From<karere_net::ConnectError> for ConnectError {
    fn from(error: karere_net::ConnectError) -> Self {
        Self::Network(Arc::new(error))
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Socket(Arc::new(error))
    }
}

/// What ended a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Disconnection {
    /// We did: DISCONNECT was written.
    Requested,
    /// The server sent DISCONNECT.
    ByServer(Disconnect),
    /// The server answered CONNECT with a reason of failure.
    Refused(ConnAck),
    /// The network did.
    Lost(Arc<io::Error>),
    /// The server broke a rule, or did not answer in time (Keep Alive).
    Error(karere_core::Error),
}

impl Disconnection {
    /// The reason as a code of version 5, whatever the version.
    #[must_use]
    pub fn reason(&self) -> ReasonCode {
        match self {
            Self::Requested => ReasonCode::NORMAL_DISCONNECTION,
            Self::ByServer(disconnect) => disconnect.reason,
            Self::Refused(connack) => connack.reason,
            Self::Lost(_) => ReasonCode::UnspecifiedError,
            Self::Error(error) => error.reason_code(),
        }
    }

    pub(crate) fn end_of_stream() -> Self {
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection");
        Self::Lost(Arc::new(error))
    }
}

impl From<io::Error> for Disconnection {
    fn from(error: io::Error) -> Self {
        Self::Lost(Arc::new(error))
    }
}

impl From<karere_core::Error> for Disconnection {
    fn from(error: karere_core::Error) -> Self {
        Self::Error(error)
    }
}

impl fmt::Display for Disconnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("disconnected"),
            Self::ByServer(disconnect) => write!(f, "the server disconnected: {}", disconnect.reason),
            Self::Refused(connack) => write!(f, "the server refused the connection: {}", connack.reason),
            Self::Lost(error) => write!(f, "connection lost: {error}"),
            Self::Error(error) => write!(f, "connection given up: {error}"),
        }
    }
}

impl std::error::Error for Disconnection {}

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It was not taken.
    #[error(transparent)]
    Refused(#[from] client::PublishError),
    /// The server answered with a reason of failure.
    #[error("the server refused the message: {reason}")]
    Rejected {
        /// The reason.
        reason: ReasonCode,
        /// The properties of its acknowledgement.
        properties: Properties,
    },
    /// It cannot be kept; nothing was sent.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It waited, and was given up.
    #[error("the message was dropped: {0:?}")]
    Dropped(DropReason),
    /// Too much waits to be written, and waiting was not asked for.
    #[error("{waiting} bytes wait to be written already")]
    Busy {
        /// Bytes that wait.
        waiting: usize,
    },
    /// It was not acknowledged in the time given; it may still be.
    #[error("no acknowledgement in time")]
    TimedOut,
    /// The client was closed before it was acknowledged.
    #[error("the client was closed")]
    Closed,
}

/// Why a subscription was not made or not ended.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// It was not asked for.
    #[error(transparent)]
    Refused(#[from] client::SubscribeError),
    /// The client's own tree of filters does not take it.
    #[error("the filter is not taken: {0}")]
    Filter(#[from] TreeError),
    /// The server refused every filter.
    #[error("the server refused the subscription: {}", crate::error::first(reasons))]
    Rejected {
        /// One for each filter, in order.
        reasons: Vec<ReasonCode>,
        /// The properties of SUBACK.
        properties: Properties,
    },
    /// The connection was lost before the server answered, and [`resubscribe`](crate::Options::resubscribe) is off.
    #[error("connection lost before the server answered")]
    Unanswered,
    /// The client was closed before the server answered.
    #[error("the client was closed")]
    Closed,
}

impl From<TopicError> for SubscribeError {
    fn from(error: TopicError) -> Self {
        Self::Refused(client::SubscribeError::TopicFilter(error))
    }
}

pub(crate) fn first(reasons: &[ReasonCode]) -> ReasonCode {
    reasons.first().copied().unwrap_or(ReasonCode::UnspecifiedError)
}

/// Any of the above.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended.
    #[error(transparent)]
    Disconnected(#[from] Disconnection),
    /// A message was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A subscription was not made.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}
