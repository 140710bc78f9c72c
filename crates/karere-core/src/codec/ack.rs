//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7): one shape.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    EncodeError, PacketId, PacketType, Properties, PropertyOwner, ReasonCode, Version, read::Reader, write,
};
use crate::Error;

/// One of the four packets that acknowledge a PUBLISH; which one is said beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The identifier of the PUBLISH. [MQTT-2.2.1-5]
    pub packet_id: PacketId,
    /// How it went; always Success on 3.x.
    pub reason: ReasonCode,
    /// Reason String and User Properties; version 5 only.
    pub properties: Properties,
}

impl Ack {
    /// It went well.
    #[inline]
    #[must_use]
    pub const fn success(packet_id: PacketId) -> Self {
        Self::new(packet_id, ReasonCode::Success)
    }

    /// It went as `reason` says.
    #[inline]
    #[must_use]
    pub const fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: Properties::EMPTY }
    }
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP to `out`: four bytes for Success without properties.
///
/// 3.x has no words for a reason or properties: they are left out.
///
/// # Errors
/// Nothing is written, and: [`EncodeError::Invalid`] when `kind` is none of the four or may not carry the
/// reason, [`EncodeError::Property`] for a property that it may not carry, [`EncodeError::PacketTooLarge`].
#[inline]
pub fn encode_ack(
    kind: PacketType,
    ack: &Ack,
    version: Version,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let body_len = body_len(kind, ack, version)?;
    let [high, low] = ack.packet_id.get().to_be_bytes();
    if body_len == 2 {
        out.put_slice(&[kind.first_byte(), 2, high, low]);
        return Ok(());
    }
    write::fixed_header(kind.first_byte(), body_len, out);
    out.put_slice(&[high, low, ack.reason.as_u8()]);
    if body_len > 3 {
        write::properties(&ack.properties, version, out);
    }
    Ok(())
}

/// Bytes of the body.
#[inline]
pub(super) fn body_len(kind: PacketType, ack: &Ack, version: Version) -> Result<u32, EncodeError> {
    if !is_ack(kind) {
        return Err(EncodeError::Invalid { what: "this packet type acknowledges no PUBLISH" });
    }
    let plain = ack.reason == ReasonCode::Success && ack.properties.is_empty();
    if plain || !version.is_v5() {
        return Ok(2);
    }
    if !ack.reason.allowed_in(kind) {
        return Err(EncodeError::Invalid { what: "this packet may not carry this reason code" });
    }
    if ack.properties.is_empty() {
        return Ok(3);
    }
    let properties = write::checked_properties_len(&ack.properties, PropertyOwner::Packet(kind), version)?;
    write::check_body_len(3 + properties)
}

/// Reads the body of a PUBACK, PUBREC, PUBREL or PUBCOMP; allocates only when there are properties.
///
/// # Errors
/// [`Error::Malformed`] for a body that is too short or too long; [`Error::ProtocolError`] for packet
/// identifier 0, a reason that `kind` may not carry, and properties as [`Properties::decode`].
#[inline]
pub fn decode_ack(kind: PacketType, version: Version, body: &[u8]) -> Result<Ack, Error> {
    if !is_ack(kind) {
        return Err(Error::Malformed("this packet type acknowledges no PUBLISH"));
    }
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    if reader.is_empty() {
        return Ok(Ack::success(packet_id));
    }
    if !version.is_v5() {
        return Err(Error::Malformed("acknowledgement is not two bytes"));
    }
    decode_long(kind, packet_id, reader)
}

fn decode_long(kind: PacketType, packet_id: PacketId, mut reader: Reader<'_>) -> Result<Ack, Error> {
    let reason = ReasonCode::decode(reader.u8()?, kind)?;
    // Without a fourth byte there is no Property Length (section 3.4.2.2.1).
    if reader.is_empty() {
        return Ok(Ack::new(packet_id, reason));
    }
    let block = Bytes::copy_from_slice(reader.properties()?);
    reader.finish()?;
    Ok(Ack { packet_id, reason, properties: Properties::decode(block, PropertyOwner::Packet(kind))? })
}

#[inline]
const fn is_ack(kind: PacketType) -> bool {
    matches!(kind, PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp)
}

#[cfg(test)]
mod tests;
