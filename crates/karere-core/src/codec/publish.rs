//! PUBLISH (section 3.3): the packet that everything else is about, and the path that has to be short.

use core::num::NonZeroU16;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    EncodeError, FixedHeader, Message, PacketId, PacketType, Properties, Property, PropertyId, PropertyOwner,
    QoS, ReasonCode, SubscriptionIds, Version,
    read::{Body, Reader},
    var_int, write,
};
use crate::Error;
use crate::topic::{TopicError, TopicName};

const OWNER: PropertyOwner = PropertyOwner::Packet(PacketType::Publish);

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// A PUBLISH packet: a message and what belongs to this one delivery of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whether this is a delivery tried again; never with QoS 0. [MQTT-3.3.1-2]
    pub dup: bool,
    /// There exactly when QoS is above 0. [MQTT-2.2.1-2]
    pub packet_id: Option<PacketId>,
    /// The number that stands for the topic on this connection; version 5 only.
    pub topic_alias: Option<NonZeroU16>,
    /// The subscriptions that this delivery answers; from server to client, version 5 only.
    pub subscription_ids: SubscriptionIds,
    /// The message.
    pub message: Message,
}

impl Publish {
    /// Takes a whole frame apart; topic, properties and payload are slices of it.
    ///
    /// Allocates only when a Topic Alias, Message Expiry Interval or Subscription Identifier stands between
    /// other properties, or when there are several Subscription Identifiers.
    // Its one caller builds a `Packet` of it: inlined, 140 bytes are not moved twice.
    #[inline(always)]
    pub(super) fn decode(version: Version, header: FixedHeader, mut frame: Bytes) -> Result<Self, Error> {
        let (dup, qos, retain) = decode_flags(header.flags())?;
        let mut reader = Reader::new(&frame);
        reader.take(header.header_len())?;
        let mut body = Body { frame: &frame, version, reader };

        let topic = TopicName::decode(body.binary()?).map_err(topic_error)?;
        let packet_id = if qos == QoS::AtMostOnce { None } else { Some(body.reader.packet_id()?) };
        let mut lifted = Lifted::default();
        let properties = body.properties_lifting(OWNER, |property| lifted.take(property))?;
        if topic.is_empty() && lifted.topic_alias.is_none() {
            return Err(topic_error(TopicError::Empty));
        }

        let payload_at = frame.len() - body.reader.len();
        frame.advance(payload_at);
        let message = Message { topic, payload: frame, qos, retain, expiry: lifted.expiry, properties };
        Ok(Self {
            dup,
            packet_id,
            topic_alias: lifted.topic_alias,
            subscription_ids: lifted.subscription_ids,
            message,
        })
    }

    /// What stands before the payload.
    #[inline]
    #[must_use]
    pub fn header(&self) -> PublishHeader<'_> {
        PublishHeader {
            dup: self.dup,
            qos: self.message.qos,
            retain: self.message.retain,
            packet_id: self.packet_id,
            topic: self.message.topic.as_str(),
            topic_alias: self.topic_alias,
            expiry: self.message.expiry,
            subscription_ids: self.subscription_ids.as_slice(),
            properties: &self.message.properties,
            payload_len: self.message.payload.len(),
        }
    }

    pub(super) fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let header = self.header();
        out.reserve(header.encoded_len(version)?);
        header.encode(version, out)?;
        out.put_slice(&self.message.payload);
        Ok(())
    }
}

/// Everything of a PUBLISH but its payload, borrowed: one message is encoded for many receivers.
///
/// On 3.x expiry, Subscription Identifiers and properties are left out: a version 5 message goes to 3.x
/// subscribers without them. The properties are not checked again: an application's own are checked when they
/// come in, with [`Properties::check`] for [`PropertyOwner::Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishHeader<'a> {
    /// Whether this is a delivery tried again.
    pub dup: bool,
    /// How it is delivered.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// There exactly when QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// The Topic Name; empty when the alias stands for it.
    pub topic: &'a str,
    /// The number that stands for the topic on this connection.
    pub topic_alias: Option<NonZeroU16>,
    /// Message Expiry Interval, in seconds.
    pub expiry: Option<u32>,
    /// Subscription Identifiers, 1 to 268,435,455 each.
    pub subscription_ids: &'a [u32],
    /// What else is sent with it, as in [`Message::properties`].
    pub properties: &'a Properties,
    /// Bytes of the payload that the caller sends after it.
    pub payload_len: usize,
}

/// Up to eight bytes that go out in one piece.
#[derive(Default)]
struct Small {
    bytes: [u8; 8],
    len: usize,
}

impl Small {
    /// No more than fit: seven of a head, six of a tail.
    #[inline]
    fn push<const N: usize>(&mut self, bytes: &[u8; N]) {
        if let Some(place) = self.bytes.get_mut(self.len..).and_then(|rest| rest.first_chunk_mut::<N>()) {
            *place = *bytes;
            self.len += N;
        }
    }

    #[inline]
    fn push_var_int(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.push(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.push(&[value as u8]);
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The lengths that are written before what they are the lengths of.
struct Lengths {
    body: u32,
    properties: u32,
}

impl PublishHeader<'_> {
    /// Bytes of the whole packet, with its payload; what Maximum Packet Size limits.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    #[inline]
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        self.lengths(version).map(|lengths| write::frame_len(lengths.body))
    }

    /// Appends everything but the payload to `out`; allocates nothing if `out` has the room.
    ///
    /// # Errors
    /// Nothing is written, and: [`EncodeError::TooLong`] for a topic over 65,535 bytes,
    /// [`EncodeError::PacketTooLarge`], [`EncodeError::Property`] for a Subscription Identifier out of range,
    /// [`EncodeError::Invalid`] for QoS 0 with a packet identifier or DUP, a higher one without an identifier,
    /// and for a packet with neither topic nor (version 5) alias.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.encode_counting(version, out).map(drop)
    }

    /// As [`encode`](Self::encode); returns what [`encoded_len`](Self::encoded_len) does.
    #[inline]
    pub(crate) fn encode_counting(&self, version: Version, out: &mut BytesMut) -> Result<usize, EncodeError> {
        let lengths = self.lengths(version)?;
        let len = write::frame_len(lengths.body);
        out.reserve(len - self.payload_len);
        // What is small is put together first: each piece put into `out` costs a check and a call.
        let mut head = Small::default();
        head.push(&[self.first_byte()]);
        head.push_var_int(lengths.body);
        head.push(&(self.topic.len() as u16).to_be_bytes());
        out.put_slice(head.as_slice());
        out.put_slice(self.topic.as_bytes());
        let mut tail = Small::default();
        if let Some(id) = self.packet_id {
            tail.push(&id.get().to_be_bytes());
        }
        if version.is_v5() {
            tail.push_var_int(lengths.properties);
        }
        out.put_slice(tail.as_slice());
        if lengths.properties > 0 {
            self.encode_properties(out);
        }
        Ok(len)
    }

    /// Bytes of the body, with the payload.
    #[inline]
    pub(super) fn body_len(&self, version: Version) -> Result<u32, EncodeError> {
        self.lengths(version).map(|lengths| lengths.body)
    }

    #[inline]
    const fn first_byte(&self) -> u8 {
        PacketType::Publish.first_byte()
            | if self.dup { DUP } else { 0 }
            | self.qos.bits() << 1
            | if self.retain { RETAIN } else { 0 }
    }

    #[inline]
    fn encode_properties(&self, out: &mut BytesMut) {
        if let Some(alias) = self.topic_alias {
            out.put_u8(PropertyId::TopicAlias.as_u8());
            out.put_u16(alias.get());
        }
        if let Some(expiry) = self.expiry {
            out.put_u8(PropertyId::MessageExpiryInterval.as_u8());
            out.put_u32(expiry);
        }
        for &id in self.subscription_ids {
            out.put_u8(PropertyId::SubscriptionIdentifier.as_u8());
            var_int::encode(id, out);
        }
        if !self.properties.is_empty() {
            out.put_slice(self.properties.as_bytes());
        }
    }

    #[inline]
    fn lengths(&self, version: Version) -> Result<Lengths, EncodeError> {
        self.check(version)?;
        let mut body = 2 + self.topic.len();
        if self.packet_id.is_some() {
            body += 2;
        }
        let mut properties = 0;
        if version.is_v5() {
            properties = self.properties_len()?;
            body += write::properties_len(properties)?;
        }
        let body = write::check_body_len(body.saturating_add(self.payload_len))?;
        Ok(Lengths { body, properties: properties as u32 })
    }

    #[inline]
    fn properties_len(&self) -> Result<usize, EncodeError> {
        let mut len = self.properties.len();
        if self.topic_alias.is_some() {
            len += 3;
        }
        if self.expiry.is_some() {
            len += 5;
        }
        for &id in self.subscription_ids {
            if id == 0 || id > var_int::VARIABLE_BYTE_INTEGER_MAX {
                let what = "is not from 1 to 268435455";
                return Err(EncodeError::Property { id: PropertyId::SubscriptionIdentifier, what });
            }
            len += 1 + var_int::len(id);
        }
        Ok(len)
    }

    #[inline]
    fn check(&self, version: Version) -> Result<(), EncodeError> {
        write::check_len("topic name", self.topic.as_bytes())?;
        let acknowledged = self.qos != QoS::AtMostOnce;
        if self.packet_id.is_some() != acknowledged {
            return Err(EncodeError::Invalid {
                what: "a packet identifier goes with QoS 1 and 2, and only with them",
            });
        }
        if self.dup && !acknowledged {
            return Err(EncodeError::Invalid { what: "DUP with QoS 0" });
        }
        if self.topic.is_empty() && !(version.is_v5() && self.topic_alias.is_some()) {
            return Err(EncodeError::Invalid { what: "neither a topic name nor a topic alias" });
        }
        Ok(())
    }
}

/// The properties that are fields of a [`Publish`].
#[derive(Default)]
struct Lifted {
    topic_alias: Option<NonZeroU16>,
    expiry: Option<u32>,
    subscription_ids: SubscriptionIds,
}

impl Lifted {
    #[inline]
    fn take(&mut self, property: Property<'_>) -> bool {
        match property {
            Property::TopicAlias(alias) => self.topic_alias = NonZeroU16::new(alias),
            Property::MessageExpiryInterval(seconds) => self.expiry = Some(seconds),
            Property::SubscriptionIdentifier(id) => self.subscription_ids.push(id),
            _ => return false,
        }
        true
    }
}

#[inline]
fn decode_flags(flags: u8) -> Result<(bool, QoS, bool), Error> {
    let dup = flags & DUP != 0;
    // [MQTT-3.3.1-4]
    let qos = QoS::from_bits(flags >> 1 & 0b11).ok_or(Error::Malformed("QoS 3"))?;
    // [MQTT-3.3.1-2]
    if dup && qos == QoS::AtMostOnce {
        return Err(Error::Malformed("DUP with QoS 0"));
    }
    Ok((dup, qos, flags & RETAIN != 0))
}

/// What is wrong with a Topic Name from the network.
#[cold]
pub(super) fn topic_error(error: TopicError) -> Error {
    match error {
        TopicError::Text(error) => error.into(),
        // [MQTT-4.7.3-1]
        TopicError::Empty => Error::protocol("empty topic name without a topic alias"),
        // [MQTT-3.3.2-2]
        _ => {
            Error::ProtocolError { what: "topic name with a wildcard", reason: ReasonCode::TopicNameInvalid }
        }
    }
}

#[cfg(test)]
mod tests;
