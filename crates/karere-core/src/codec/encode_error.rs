//! Why a packet cannot be encoded.

use super::PropertyId;

/// Why a packet cannot be encoded. Nothing is written when this comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string or binary over 65,535 bytes; it is never cut short.
    #[error("{what} of {len} bytes does not fit: the most is 65535")]
    TooLong {
        /// The field.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A packet or a block of properties over 268,435,455 bytes.
    #[error("packet of {len} bytes does not fit: the most is 268435455")]
    PacketTooLarge {
        /// Its Remaining Length in bytes.
        len: usize,
    },
    /// The version of this connection has no way to say it.
    #[error("{what} is not in this version of MQTT")]
    NotInVersion {
        /// What cannot be said.
        what: &'static str,
    },
    /// A property that this packet may not carry, or not with this value, or not again.
    #[error("{id}: {what}")]
    Property {
        /// Which one.
        id: PropertyId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Fields that no packet may carry together.
    #[error("{what}")]
    Invalid {
        /// What is wrong.
        what: &'static str,
    },
}
