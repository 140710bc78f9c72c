//! Errors of the application's verbs.

use crate::codec::{EncodeError, QoS};
use crate::topic::TopicError;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PublishError {
    /// No topic name: empty, with a wildcard, too long, or not a UTF-8 Encoded String.
    #[error(transparent)]
    TopicName(#[from] TopicError),
    /// The message cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Larger than the server's Maximum Packet Size [MQTT-3.2.2-15].
    #[error("message of {len} bytes is larger than the server's Maximum Packet Size of {max}")]
    TooLarge {
        /// The packet's length.
        len: usize,
        /// The server's limit.
        max: usize,
    },
    /// The server said it lacks this QoS [MQTT-3.2.2-11].
    #[error("the server supports QoS up to {0:?}")]
    QoSNotSupported(QoS),
    /// The server said it has no retained messages [MQTT-3.2.2-14].
    #[error("the server does not support retained messages")]
    RetainNotSupported,
    /// The topic alias is 0 or above what the server allows [MQTT-3.3.2-9].
    #[error("topic alias {0} is not allowed by the server")]
    TopicAliasInvalid(u16),
    /// The queue is full ([`Options::queue_count_max`](super::Options), [`Options::queue_bytes_max`](super::Options)).
    #[error("the queue is full ({count} messages, {bytes} bytes)")]
    Full {
        /// Messages waiting.
        count: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// QoS 0 while offline, and [`Options::queue_qos0`](super::Options) is off.
    #[error("not connected")]
    NotConnected,
    /// All 65,535 packet identifiers are in use.
    #[error("all packet identifiers are in use")]
    PacketIdsExhausted,
}

/// Why a subscription was not asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SubscribeError {
    /// No topic filter.
    #[error(transparent)]
    TopicFilter(#[from] TopicError),
    /// The packet cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter [MQTT-3.8.3-2], [MQTT-3.10.3-2].
    #[error("at least one topic filter is needed")]
    Empty,
    /// No Local on a shared subscription [MQTT-3.8.3-4].
    #[error("No Local is not allowed on a shared subscription")]
    NoLocalShared,
    /// Larger than the server's Maximum Packet Size.
    #[error("packet of {len} bytes is larger than the server's Maximum Packet Size of {max}")]
    TooLarge {
        /// The packet's length.
        len: usize,
        /// The server's limit.
        max: usize,
    },
    /// The server said that it lacks what the filter needs (shared, wildcard, identifiers).
    #[error("the server does not support {0}")]
    NotSupported(&'static str),
    /// Offline, and [`Options::resubscribe`](super::Options) is off.
    #[error("not connected")]
    NotConnected,
    /// All 65,535 packet identifiers are in use.
    #[error("all packet identifiers are in use")]
    PacketIdsExhausted,
}
