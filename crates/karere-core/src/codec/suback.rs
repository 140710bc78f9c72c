//! SUBACK and UNSUBACK (sections 3.9 and 3.11): one shape.

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use super::{
    EncodeError, PacketId, PacketType, Properties, PropertyOwner, ReasonCode, Version, read::Body, write,
};
use crate::Error;

/// The answer to a SUBSCRIBE or an UNSUBSCRIBE; which one is said beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// The identifier of the request. [MQTT-2.2.1-6]
    pub packet_id: PacketId,
    /// One for each filter of the request, in its order; none in an UNSUBACK of 3.x, which has no room for
    /// them, and any failure is 0x80 in a SUBACK of 3.x. [MQTT-3.9.3-1] [MQTT-3.11.3-1]
    pub reasons: Vec<ReasonCode>,
    /// Reason String and User Properties; version 5 only, left out on 3.x.
    pub properties: Properties,
}

impl SubAck {
    pub(super) fn decode(kind: PacketType, mut body: Body<'_>) -> Result<Self, Error> {
        let packet_id = body.reader.packet_id()?;
        let properties = body.properties(PropertyOwner::Packet(kind))?;
        let version = body.version;
        if kind == PacketType::UnsubAck && !version.is_v5() {
            body.reader.finish()?;
            return Ok(Self { packet_id, reasons: Vec::new(), properties });
        }
        let codes = body.reader.take(body.reader.len())?;
        if codes.is_empty() {
            return Err(Error::protocol("acknowledgement without a reason code"));
        }
        let reasons =
            codes.iter().map(|&code| decode_reason(code, kind, version)).collect::<Result<_, _>>()?;
        Ok(Self { packet_id, reasons, properties })
    }

    pub(super) fn body_len(&self, kind: PacketType, version: Version) -> Result<u32, EncodeError> {
        if kind == PacketType::UnsubAck && !version.is_v5() {
            return Ok(2);
        }
        if self.reasons.is_empty() {
            return Err(EncodeError::Invalid { what: "acknowledgement without a reason code" });
        }
        let mut len = 2 + self.reasons.len();
        if version.is_v5() {
            if !self.reasons.iter().all(|reason| reason.allowed_in(kind)) {
                return Err(EncodeError::Invalid { what: "this packet may not carry this reason code" });
            }
            len += write::checked_properties_len(&self.properties, PropertyOwner::Packet(kind), version)?;
        }
        write::check_body_len(len)
    }

    pub(super) fn encode_body(&self, kind: PacketType, version: Version, out: &mut BytesMut) {
        out.put_u16(self.packet_id.get());
        write::properties(&self.properties, version, out);
        if version.is_v5() {
            out.extend(self.reasons.iter().map(|reason| reason.as_u8()));
        } else if kind == PacketType::SubAck {
            out.extend(self.reasons.iter().map(|reason| reason.to_v3_suback()));
        }
    }
}

fn decode_reason(code: u8, kind: PacketType, version: Version) -> Result<ReasonCode, Error> {
    // 3.x's codes are 0, 1, 2 and 0x80, with the same meaning; the others are reserved. [MQTT-3.9.3-2]
    if !version.is_v5() && !matches!(code, 0..=2 | 0x80) {
        return Err(Error::protocol("reserved return code"));
    }
    ReasonCode::decode(code, kind)
}

#[cfg(test)]
mod tests;
