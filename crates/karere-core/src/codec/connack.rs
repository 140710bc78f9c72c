//! CONNACK (section 3.2).

use bytes::{BufMut, BytesMut};

use super::{EncodeError, PacketType, Properties, PropertyOwner, ReasonCode, Version, read::Body, write};
use crate::Error;

const OWNER: PropertyOwner = PropertyOwner::Packet(PacketType::ConnAck);

/// Connect acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server goes on with a session it had; never with an error. [MQTT-3.2.2-6]
    /// 3.1 cannot say it: it is not written there, and read as the server wrote it.
    pub session_present: bool,
    /// Whether the connection is accepted; on 3.x the nearest return code is written.
    pub reason: ReasonCode,
    /// What the server offers; version 5 only, left out on 3.x.
    pub properties: Properties,
}

impl ConnAck {
    pub(super) fn decode(mut body: Body<'_>) -> Result<Self, Error> {
        let session_present = match body.reader.u8()? {
            0 => false,
            1 => true,
            // [MQTT-3.2.2-1]
            _ => return Err(Error::Malformed("reserved connect acknowledge flags")),
        };
        let code = body.reader.u8()?;
        // A server that knows no version 5 refuses it in the words of its own, and with nothing behind.
        let old = ReasonCode::from_connack_return_code(code);
        let in_old_words = body.reader.is_empty() && old.is_some_and(ReasonCode::is_error);
        let reason = match old {
            Some(old) if in_old_words || !body.version.is_v5() => old,
            None if !body.version.is_v5() => return Err(Error::protocol("reserved connect return code")),
            _ => ReasonCode::decode(code, PacketType::ConnAck)?,
        };
        if session_present && reason != ReasonCode::Success {
            return Err(Error::protocol("session present in a refusal"));
        }
        if in_old_words {
            return Ok(Self { session_present, reason, properties: Properties::EMPTY });
        }
        let properties = body.properties(OWNER)?;
        body.reader.finish()?;
        Ok(Self { session_present, reason, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> Result<u32, EncodeError> {
        if self.session_present && self.reason != ReasonCode::Success {
            return Err(EncodeError::Invalid { what: "session present in a refusal" });
        }
        if !version.is_v5() {
            return Ok(2);
        }
        if !self.reason.allowed_in(PacketType::ConnAck) {
            return Err(EncodeError::Invalid { what: "CONNACK may not carry this reason code" });
        }
        write::check_body_len(2 + write::checked_properties_len(&self.properties, OWNER, version)?)
    }

    pub(super) fn encode_body(&self, version: Version, out: &mut BytesMut) {
        out.put_u8(u8::from(self.session_present && version != Version::V31));
        out.put_u8(if version.is_v5() { self.reason.as_u8() } else { self.reason.to_connack_return_code() });
        write::properties(&self.properties, version, out);
    }
}

#[cfg(test)]
mod tests;
