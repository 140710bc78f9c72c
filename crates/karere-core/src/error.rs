//! Errors by who is to blame, because that decides what is sent.

use crate::codec::ReasonCode;

/// What ends a connection, or refuses a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer sent bytes that are no packet (Malformed Packet, 0x81).
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// The peer sent a packet that the protocol does not allow here (Protocol Error, 0x82 unless the
    /// specification names a code of its own).
    #[error("protocol error: {what} ({reason})")]
    ProtocolError {
        /// What was not allowed.
        what: &'static str,
        /// The code sent for it.
        reason: ReasonCode,
    },
    /// The peer asked for a protocol version that does not exist (0x84, return code 1 on 3.x).
    #[error("unsupported protocol version: {0}")]
    UnsupportedVersion(u8),
    /// A limit was reached: Maximum Packet Size, Receive Maximum, a quota.
    #[error("limit exceeded: {what} ({reason})")]
    LimitExceeded {
        /// Which limit.
        what: &'static str,
        /// The code sent for it.
        reason: ReasonCode,
    },
    /// Policy said no.
    #[error("refused: {0}")]
    Refused(ReasonCode),
}

impl Error {
    /// A Protocol Error without a reason code of its own: 0x82.
    #[must_use]
    pub const fn protocol(what: &'static str) -> Self {
        Self::ProtocolError { what, reason: ReasonCode::ProtocolError }
    }

    /// The version 5 reason code that this error turns into in a CONNACK or DISCONNECT.
    #[must_use]
    pub const fn reason_code(&self) -> ReasonCode {
        match *self {
            Self::Malformed(_) => ReasonCode::MalformedPacket,
            Self::UnsupportedVersion(_) => ReasonCode::UnsupportedProtocolVersion,
            Self::ProtocolError { reason, .. }
            | Self::LimitExceeded { reason, .. }
            | Self::Refused(reason) => reason,
        }
    }
}
