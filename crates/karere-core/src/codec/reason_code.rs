//! Reason codes (version 5, section 2.4), and 3.x's return codes as those among them that they mean.

use core::fmt;

use super::{PacketType, QoS};
use crate::Error;

macro_rules! reason_codes {
    ($($value:literal $variant:ident $name:literal [$($packet:ident)+])+) => {
        /// The result of an operation; 0x80 and above are failures.
        ///
        /// 0x00 has three names in the specification: see [`NORMAL_DISCONNECTION`](Self::NORMAL_DISCONNECTION)
        /// and [`GRANTED_QOS_0`](Self::GRANTED_QOS_0).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $(#[doc = concat!($name, " (", stringify!($value), ").")] $variant = $value,)+
        }

        impl ReasonCode {
            /// Every one, in the order of their values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code with this value; `None` when the specification has none.
            #[must_use]
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value {
                    $($value => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The specification's name for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The packets that may carry it, as a set of [`PacketType::bit`].
            const fn packets(self) -> u16 {
                match self {
                    $(Self::$variant => $(PacketType::$packet.bit())|+,)+
                }
            }
        }
    };
}

// Table 2-6.
reason_codes! {
    0x00 Success                             "Success"                                [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth]
    0x01 GrantedQoS1                         "Granted QoS 1"                          [SubAck]
    0x02 GrantedQoS2                         "Granted QoS 2"                          [SubAck]
    0x04 DisconnectWithWillMessage           "Disconnect with Will Message"           [Disconnect]
    0x10 NoMatchingSubscribers               "No matching subscribers"                [PubAck PubRec]
    0x11 NoSubscriptionExisted               "No subscription existed"                [UnsubAck]
    0x18 ContinueAuthentication              "Continue authentication"                [Auth]
    0x19 ReAuthenticate                      "Re-authenticate"                        [Auth]
    0x80 UnspecifiedError                    "Unspecified error"                      [ConnAck PubAck PubRec SubAck UnsubAck Disconnect]
    0x81 MalformedPacket                     "Malformed Packet"                       [ConnAck Disconnect]
    0x82 ProtocolError                       "Protocol Error"                         [ConnAck Disconnect]
    0x83 ImplementationSpecificError         "Implementation specific error"          [ConnAck PubAck PubRec SubAck UnsubAck Disconnect]
    0x84 UnsupportedProtocolVersion          "Unsupported Protocol Version"           [ConnAck]
    0x85 ClientIdentifierNotValid            "Client Identifier not valid"            [ConnAck]
    0x86 BadUserNameOrPassword               "Bad User Name or Password"              [ConnAck]
    0x87 NotAuthorized                       "Not authorized"                         [ConnAck PubAck PubRec SubAck UnsubAck Disconnect]
    0x88 ServerUnavailable                   "Server unavailable"                     [ConnAck]
    0x89 ServerBusy                          "Server busy"                            [ConnAck Disconnect]
    0x8A Banned                              "Banned"                                 [ConnAck]
    0x8B ServerShuttingDown                  "Server shutting down"                   [Disconnect]
    0x8C BadAuthenticationMethod             "Bad authentication method"              [ConnAck Disconnect]
    0x8D KeepAliveTimeout                    "Keep Alive timeout"                     [Disconnect]
    0x8E SessionTakenOver                    "Session taken over"                     [Disconnect]
    0x8F TopicFilterInvalid                  "Topic Filter invalid"                   [SubAck UnsubAck Disconnect]
    0x90 TopicNameInvalid                    "Topic Name invalid"                     [ConnAck PubAck PubRec Disconnect]
    0x91 PacketIdentifierInUse               "Packet Identifier in use"               [PubAck PubRec SubAck UnsubAck]
    0x92 PacketIdentifierNotFound            "Packet Identifier not found"            [PubRel PubComp]
    0x93 ReceiveMaximumExceeded              "Receive Maximum exceeded"               [Disconnect]
    0x94 TopicAliasInvalid                   "Topic Alias invalid"                    [Disconnect]
    0x95 PacketTooLarge                      "Packet too large"                       [ConnAck Disconnect]
    0x96 MessageRateTooHigh                  "Message rate too high"                  [Disconnect]
    0x97 QuotaExceeded                       "Quota exceeded"                         [ConnAck PubAck PubRec SubAck Disconnect]
    0x98 AdministrativeAction                "Administrative action"                  [Disconnect]
    0x99 PayloadFormatInvalid                "Payload format invalid"                 [ConnAck PubAck PubRec Disconnect]
    0x9A RetainNotSupported                  "Retain not supported"                   [ConnAck Disconnect]
    0x9B QoSNotSupported                     "QoS not supported"                      [ConnAck Disconnect]
    0x9C UseAnotherServer                    "Use another server"                     [ConnAck Disconnect]
    0x9D ServerMoved                         "Server moved"                           [ConnAck Disconnect]
    0x9E SharedSubscriptionsNotSupported     "Shared Subscriptions not supported"     [SubAck Disconnect]
    0x9F ConnectionRateExceeded              "Connection rate exceeded"               [ConnAck Disconnect]
    0xA0 MaximumConnectTime                  "Maximum connect time"                   [Disconnect]
    0xA1 SubscriptionIdentifiersNotSupported "Subscription Identifiers not supported" [SubAck Disconnect]
    0xA2 WildcardSubscriptionsNotSupported   "Wildcard Subscriptions not supported"   [SubAck Disconnect]
}

impl ReasonCode {
    /// 0x00 in a DISCONNECT.
    pub const NORMAL_DISCONNECTION: Self = Self::Success;
    /// 0x00 in a SUBACK.
    pub const GRANTED_QOS_0: Self = Self::Success;

    /// The byte on the wire.
    #[inline]
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// Whether it says that the operation failed: 0x80 and above.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether a packet of this type may carry it (table 2-6).
    #[inline]
    #[must_use]
    pub const fn allowed_in(self, packet_type: PacketType) -> bool {
        self.packets() & packet_type.bit() != 0
    }

    /// What a SUBACK says for a subscription granted at this QoS.
    #[must_use]
    pub const fn granted(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::GRANTED_QOS_0,
            QoS::AtLeastOnce => Self::GrantedQoS1,
            QoS::ExactlyOnce => Self::GrantedQoS2,
        }
    }

    /// The 3.x CONNACK return code nearest to it: 0 for what is no error, 5 (not authorized) for what the
    /// client may not do, 3 (server unavailable) for the rest of what has no code of its own.
    #[must_use]
    pub const fn to_connack_return_code(self) -> u8 {
        match self {
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized
            | Self::Banned
            | Self::BadAuthenticationMethod
            | Self::TopicNameInvalid
            | Self::RetainNotSupported
            | Self::QoSNotSupported => 5,
            code if code.is_error() => 3,
            _ => 0,
        }
    }

    /// What a 3.x CONNACK return code means; `None` for the reserved ones, 6 and above.
    #[must_use]
    pub const fn from_connack_return_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Success,
            1 => Self::UnsupportedProtocolVersion,
            2 => Self::ClientIdentifierNotValid,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }

    /// What a 3.x SUBACK says: the granted QoS, or 0x80 for any failure.
    #[must_use]
    pub const fn to_v3_suback(self) -> u8 {
        match self {
            Self::GrantedQoS1 => 1,
            Self::GrantedQoS2 => 2,
            code if code.is_error() => 0x80,
            _ => 0,
        }
    }

    /// The code with this value, if a packet of this type may carry it.
    ///
    /// # Errors
    /// A Protocol Error: a byte is a byte, but this one means nothing there.
    #[inline]
    pub(super) fn decode(value: u8, packet_type: PacketType) -> Result<Self, Error> {
        match Self::from_u8(value) {
            Some(code) if code.allowed_in(packet_type) => Ok(code),
            _ => Err(Error::protocol("reason code that this packet may not carry")),
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.as_u8())
    }
}

#[cfg(test)]
mod tests;
