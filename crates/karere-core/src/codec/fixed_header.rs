//! The fixed header (section 2.1): packet type, flags, Remaining Length.

use core::fmt;

use super::{Version, var_int};
use crate::Error;

/// The first two to five bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedHeader {
    packet_type: PacketType,
    flags: u8,
    header_len: u8,
    body_len: u32,
}

impl FixedHeader {
    /// Reads the fixed header at the start of `input`; `None` when more bytes are needed for it.
    ///
    /// The body is not looked at, and flags are not judged: that needs the version.
    ///
    /// # Errors
    /// [`Error::Malformed`] for packet type 0 and for a Remaining Length of five bytes or of more than it
    /// needs; both before anything else has come.
    #[inline]
    pub fn peek(input: &[u8]) -> Result<Option<Self>, Error> {
        let Some((&first, rest)) = input.split_first() else {
            return Ok(None);
        };
        let packet_type =
            PacketType::from_bits(first >> 4).ok_or(Error::Malformed("packet type 0 is reserved"))?;
        let Some((body_len, len_len)) = var_int::decode(rest)? else {
            return Ok(None);
        };
        Ok(Some(Self { packet_type, flags: first & 0x0F, header_len: 1 + len_len as u8, body_len }))
    }

    /// The packet type.
    #[inline]
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        self.packet_type
    }

    /// The four flag bits.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Bytes of the fixed header itself, 2 to 5.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.header_len as usize
    }

    /// The Remaining Length, in bytes.
    #[inline]
    #[must_use]
    pub const fn body_len(&self) -> usize {
        self.body_len as usize
    }

    /// Bytes of the whole packet; what Maximum Packet Size limits.
    #[inline]
    #[must_use]
    pub const fn frame_len(&self) -> usize {
        self.header_len as usize + self.body_len as usize
    }

    /// Checks the reserved flags; those of PUBLISH have meanings and are its own to check. [MQTT-2.1.3-1]
    ///
    /// # Errors
    /// [`Error::Malformed`].
    #[inline]
    pub(super) fn check_flags(&self, version: Version) -> Result<(), Error> {
        let expected = self.packet_type.flags();
        let repeatable = expected == 0b0010; // PUBREL, SUBSCRIBE and UNSUBSCRIBE: QoS 1 in 3.1, with its DUP
        let ok = self.packet_type == PacketType::Publish
            || self.flags == expected
            || (version == Version::V31 && repeatable && self.flags == 0b1010);
        if ok { Ok(()) } else { Err(Error::Malformed("reserved flags of the fixed header")) }
    }
}

/// MQTT Control Packet type (section 2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Connection request, client to server.
    Connect = 1,
    /// Connect acknowledgement, server to client.
    ConnAck = 2,
    /// Publish message, both ways.
    Publish = 3,
    /// Publish acknowledgement (QoS 1), both ways.
    PubAck = 4,
    /// Publish received (QoS 2 delivery part 1), both ways.
    PubRec = 5,
    /// Publish release (QoS 2 delivery part 2), both ways.
    PubRel = 6,
    /// Publish complete (QoS 2 delivery part 3), both ways.
    PubComp = 7,
    /// Subscribe request, client to server.
    Subscribe = 8,
    /// Subscribe acknowledgement, server to client.
    SubAck = 9,
    /// Unsubscribe request, client to server.
    Unsubscribe = 10,
    /// Unsubscribe acknowledgement, server to client.
    UnsubAck = 11,
    /// PING request, client to server.
    PingReq = 12,
    /// PING response, server to client.
    PingResp = 13,
    /// Disconnect notification; both ways in version 5, client to server before.
    Disconnect = 14,
    /// Authentication exchange, both ways; version 5 only.
    Auth = 15,
}

impl PacketType {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type that the upper four bits of the first byte stand for; `None` for 0 and above 15.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The packet's name as the specification spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// The flags of the fixed header (table 2-2); zero for PUBLISH, whose flags vary.
    #[inline]
    pub(super) const fn flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// The first byte of a frame of this type, without PUBLISH's flags.
    #[inline]
    pub(super) const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.flags()
    }

    /// A bit of its own, 1 to 15, for sets of packet types.
    #[inline]
    pub(super) const fn bit(self) -> u16 {
        1 << self as u8
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
