//! The 27 properties as one table (table 2-4): identifier, name, value, and the packets that may carry it.

use core::fmt;

use bytes::BytesMut;

use super::{PropertyOwner, value::Value};
use crate::{
    Error,
    codec::{EncodeError, PacketType, Properties, QoS, read::Reader, var_int},
};

/// Everything that follows from the table. A value reads `field: Rust type = how Reader reads it`, which is
/// where the range of the value is checked.
macro_rules! properties {
    ($($number:literal $id:ident($($field:ident: $ty:ty = $read:ident),+) $name:literal [$($owner:ident)+])+) => {
        /// What a property is; its value is the identifier on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $(#[doc = concat!($name, " (", stringify!($number), ").")] $id = $number,)+
        }

        /// One property with its value. Strings and binaries are borrowed from the block.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Property<'a> {
            $(#[doc = concat!($name, ".")] $id($($ty),+),)+
        }

        impl PropertyId {
            /// Every one, in the order of their identifiers.
            pub const ALL: &'static [Self] = &[$(Self::$id),+];

            /// The property with this identifier; `None` when the specification has none.
            #[must_use]
            pub const fn from_u8(id: u8) -> Option<Self> {
                match id {
                    $($number => Some(Self::$id),)+
                    _ => None,
                }
            }

            /// The specification's name for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$id => $name,)+
                }
            }

            /// Who may carry it, as a set of owners' bits.
            const fn owners(self) -> u16 {
                match self {
                    $(Self::$id => $(owner_bit!($owner))|+,)+
                }
            }
        }

        impl<'a> Property<'a> {
            /// Which property this is.
            #[inline]
            #[must_use]
            pub const fn id(&self) -> PropertyId {
                match self {
                    $(Self::$id(..) => PropertyId::$id,)+
                }
            }

            /// Reads the value that follows the identifier `id`.
            #[inline]
            pub(super) fn decode_value(id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
                Ok(match id {
                    $(PropertyId::$id => Self::$id($(reader.$read()?),+),)+
                })
            }

            /// Writes the value, which is not a Subscription Identifier.
            fn encode_value(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
                match self {
                    $(Self::$id($($field),+) => {
                        $($field.encode($name, out)?;)+
                    })+
                }
                Ok(())
            }
        }
    };
}

macro_rules! owner_bit {
    (Will) => {
        PropertyOwner::Will.bit()
    };
    ($packet:ident) => {
        PacketType::$packet.bit()
    };
}

/// A getter for each property that stands at most once.
macro_rules! getters {
    ($($(#[$doc:meta])+ $getter:ident: $ty:ty = $id:ident;)+) => {
        impl Properties {
            $($(#[$doc])+
            #[must_use]
            pub fn $getter(&self) -> Option<$ty> {
                self.iter().find_map(|property| match property {
                    Property::$id(value) => Some(value),
                    _ => None,
                })
            })+
        }
    };
}

properties! {
    0x01 PayloadFormatIndicator(value: bool = flag)                "Payload Format Indicator"          [Publish Will]
    0x02 MessageExpiryInterval(value: u32 = u32)                   "Message Expiry Interval"           [Publish Will]
    0x03 ContentType(value: &'a str = text)                        "Content Type"                      [Publish Will]
    0x08 ResponseTopic(value: &'a str = topic_name)                "Response Topic"                    [Publish Will]
    0x09 CorrelationData(value: &'a [u8] = binary)                 "Correlation Data"                  [Publish Will]
    0x0B SubscriptionIdentifier(value: u32 = subscription_id)      "Subscription Identifier"           [Publish Subscribe]
    0x11 SessionExpiryInterval(value: u32 = u32)                   "Session Expiry Interval"           [Connect ConnAck Disconnect]
    0x12 AssignedClientIdentifier(value: &'a str = text)           "Assigned Client Identifier"        [ConnAck]
    0x13 ServerKeepAlive(value: u16 = u16)                         "Server Keep Alive"                 [ConnAck]
    0x15 AuthenticationMethod(value: &'a str = text)               "Authentication Method"             [Connect ConnAck Auth]
    0x16 AuthenticationData(value: &'a [u8] = binary)              "Authentication Data"               [Connect ConnAck Auth]
    0x17 RequestProblemInformation(value: bool = flag)             "Request Problem Information"       [Connect]
    0x18 WillDelayInterval(value: u32 = u32)                       "Will Delay Interval"               [Will]
    0x19 RequestResponseInformation(value: bool = flag)            "Request Response Information"      [Connect]
    0x1A ResponseInformation(value: &'a str = text)                "Response Information"              [ConnAck]
    0x1C ServerReference(value: &'a str = text)                    "Server Reference"                  [ConnAck Disconnect]
    0x1F ReasonString(value: &'a str = text)                       "Reason String"                     [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth]
    0x21 ReceiveMaximum(value: u16 = u16_not_zero)                 "Receive Maximum"                   [Connect ConnAck]
    0x22 TopicAliasMaximum(value: u16 = u16)                       "Topic Alias Maximum"               [Connect ConnAck]
    0x23 TopicAlias(value: u16 = topic_alias)                      "Topic Alias"                       [Publish]
    0x24 MaximumQoS(value: QoS = maximum_qos)                      "Maximum QoS"                       [ConnAck]
    0x25 RetainAvailable(value: bool = flag)                       "Retain Available"                  [ConnAck]
    0x26 UserProperty(name: &'a str = text, value: &'a str = text) "User Property"                     [Connect ConnAck Publish Will PubAck PubRec PubRel PubComp Subscribe SubAck Unsubscribe UnsubAck Disconnect Auth]
    0x27 MaximumPacketSize(value: u32 = u32_not_zero)              "Maximum Packet Size"               [Connect ConnAck]
    0x28 WildcardSubscriptionAvailable(value: bool = flag)         "Wildcard Subscription Available"   [ConnAck]
    0x29 SubscriptionIdentifierAvailable(value: bool = flag)       "Subscription Identifier Available" [ConnAck]
    0x2A SharedSubscriptionAvailable(value: bool = flag)           "Shared Subscription Available"     [ConnAck]
}

getters! {
    /// Payload Format Indicator: whether the payload is UTF-8 text; `None` means the same as `false`.
    payload_format_indicator: bool = PayloadFormatIndicator;
    /// Message Expiry Interval, in seconds. Not in a [`Message`](crate::codec::Message)'s properties: there it is a field.
    message_expiry_interval: u32 = MessageExpiryInterval;
    /// Content Type: what the payload is, mostly a MIME type.
    content_type: &str = ContentType;
    /// Response Topic: the Topic Name for a response.
    response_topic: &str = ResponseTopic;
    /// Correlation Data: tells the requester which request a response is for.
    correlation_data: &[u8] = CorrelationData;
    /// The first Subscription Identifier. Not in a PUBLISH or SUBSCRIBE that was decoded: there it is a field.
    subscription_identifier: u32 = SubscriptionIdentifier;
    /// Session Expiry Interval, in seconds after the connection has closed; 0xFFFF_FFFF never expires.
    session_expiry_interval: u32 = SessionExpiryInterval;
    /// Assigned Client Identifier: the name the server gave to a client without one.
    assigned_client_identifier: &str = AssignedClientIdentifier;
    /// Server Keep Alive, in seconds: replaces the Keep Alive of CONNECT. [MQTT-3.2.2-21]
    server_keep_alive: u16 = ServerKeepAlive;
    /// Authentication Method of enhanced authentication.
    authentication_method: &str = AuthenticationMethod;
    /// Authentication Data of enhanced authentication.
    authentication_data: &[u8] = AuthenticationData;
    /// Request Problem Information: whether a Reason String is wanted; `None` means `true`.
    request_problem_information: bool = RequestProblemInformation;
    /// Will Delay Interval, in seconds. Not in a [`Will`](crate::codec::Will)'s properties: there it is a field.
    will_delay_interval: u32 = WillDelayInterval;
    /// Request Response Information: whether Response Information is wanted; `None` means `false`.
    request_response_information: bool = RequestResponseInformation;
    /// Response Information: what to make a Response Topic from.
    response_information: &str = ResponseInformation;
    /// Server Reference: another server to use.
    server_reference: &str = ServerReference;
    /// Reason String: for people to read, not for programs to parse.
    reason_string: &str = ReasonString;
    /// Receive Maximum: how many unacknowledged QoS 1 and 2 messages the sender takes, at least 1; `None` means 65,535.
    receive_maximum: u16 = ReceiveMaximum;
    /// Topic Alias Maximum: the highest alias the sender takes; `None` means 0.
    topic_alias_maximum: u16 = TopicAliasMaximum;
    /// Topic Alias, at least 1. Not in a PUBLISH that was decoded: there it is a field.
    topic_alias: u16 = TopicAlias;
    /// Maximum QoS the server takes, 0 or 1; `None` means 2.
    maximum_qos: QoS = MaximumQoS;
    /// Retain Available: whether the server keeps retained messages; `None` means `true`.
    retain_available: bool = RetainAvailable;
    /// Maximum Packet Size the sender takes, in bytes, at least 1; `None` means no limit.
    maximum_packet_size: u32 = MaximumPacketSize;
    /// Wildcard Subscription Available; `None` means `true`.
    wildcard_subscription_available: bool = WildcardSubscriptionAvailable;
    /// Subscription Identifier Available; `None` means `true`.
    subscription_identifier_available: bool = SubscriptionIdentifierAvailable;
    /// Shared Subscription Available; `None` means `true`.
    shared_subscription_available: bool = SharedSubscriptionAvailable;
}

impl Properties {
    /// The User Properties, names and values, in the order they came. [MQTT-3.3.2-18]
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }
}

impl PropertyId {
    /// The identifier on the wire.
    #[inline]
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// Whether `owner` may carry it (table 2-4).
    #[inline]
    #[must_use]
    pub const fn allowed_in(self, owner: PropertyOwner) -> bool {
        self.owners() & owner.bit() != 0
            && !(matches!(owner, PropertyOwner::Message) && self.is_field_of_message())
    }

    /// Whether `owner` may carry it more than once.
    #[inline]
    pub(super) const fn repeats_in(self, owner: PropertyOwner) -> bool {
        match self {
            Self::UserProperty => true,
            Self::SubscriptionIdentifier => matches!(owner, PropertyOwner::Packet(PacketType::Publish)),
            _ => false,
        }
    }

    /// A bit of its own, for sets of properties.
    #[inline]
    pub(super) const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// Whether it belongs to one connection or to one moment, and so is a field beside a message's properties.
    const fn is_field_of_message(self) -> bool {
        matches!(self, Self::TopicAlias | Self::MessageExpiryInterval | Self::SubscriptionIdentifier)
    }
}

impl Property<'_> {
    /// Writes identifier and value. What has been written before an error is the caller's to take back.
    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        var_int::encode(u32::from(self.id().as_u8()), out);
        match *self {
            // The one value that is a Variable Byte Integer, though its type is u32.
            Self::SubscriptionIdentifier(id) if id <= var_int::VARIABLE_BYTE_INTEGER_MAX => {
                var_int::encode(id, out);
                Ok(())
            }
            Self::SubscriptionIdentifier(_) => {
                Err(EncodeError::Property { id: self.id(), what: "over 268435455" })
            }
            _ => self.encode_value(out),
        }
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.as_u8())
    }
}
