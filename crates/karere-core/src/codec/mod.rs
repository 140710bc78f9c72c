//! Bytes to packets and back: MQTT 3.1, 3.1.1 and 5 as one model.
//!
//! [`Packet`] is version 5's; [`Version`] is an argument of encoding and decoding, and what 3.x lacks is
//! empty or refused in one place per packet: what an application asks for and 3.x cannot say is refused
//! ([`EncodeError::NotInVersion`]), what a server answers is put into 3.x's words, or left out.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use karere_core::codec::{FixedHeader, Packet, Version};
//!
//! let input = [0xC0, 0x00, 0xD0];
//! let header = FixedHeader::peek(&input)?.expect("a whole fixed header");
//! let frame = Bytes::copy_from_slice(&input[..header.frame_len()]);
//! assert_eq!(Packet::decode(Version::V5, frame)?, Packet::PingReq);
//!
//! let mut out = BytesMut::new();
//! Packet::PingResp.encode(Version::V5, &mut out).expect("always fits");
//! assert_eq!(out.as_ref(), [0xD0, 0x00]);
//! # Ok::<(), karere_core::Error>(())
//! ```

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod encode_error;
mod fixed_header;
mod kept;
mod message;
mod packet;
mod packet_id;
mod properties;
mod publish;
mod qos;
mod read;
mod reason_code;
mod suback;
mod subscribe;
mod subscription_ids;
#[cfg(test)]
mod testing;
mod unsubscribe;
mod var_int;
mod version;
mod write;

pub use ack::{Ack, decode_ack, encode_ack};
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::Connect;
pub use disconnect::Disconnect;
pub use encode_error::EncodeError;
pub use fixed_header::{FixedHeader, PacketType};
pub use message::{Message, Will};
pub use packet::Packet;
pub use packet_id::PacketId;
pub use properties::{Properties, PropertiesBuilder, Property, PropertyId, PropertyOwner};
pub use publish::{Publish, PublishHeader};
pub use qos::QoS;
pub use reason_code::ReasonCode;
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, SubscribeOptions, Subscription};
pub use subscription_ids::SubscriptionIds;
pub use unsubscribe::Unsubscribe;
pub use var_int::VARIABLE_BYTE_INTEGER_MAX;
pub use version::Version;
