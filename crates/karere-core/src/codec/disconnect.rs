//! DISCONNECT (section 3.14).

use bytes::{BufMut, BytesMut};

use super::{EncodeError, PacketType, Properties, PropertyOwner, ReasonCode, Version, read::Body, write};
use crate::Error;

const OWNER: PropertyOwner = PropertyOwner::Packet(PacketType::Disconnect);

/// Disconnect notification: the last packet on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; 3.x cannot say it, and it is left out there.
    pub reason: ReasonCode,
    /// Session Expiry Interval, Reason String, Server Reference and User Properties; version 5 only, left out
    /// on 3.x.
    pub properties: Properties,
}

impl Disconnect {
    /// The normal end. [MQTT-3.14.4-3]
    #[must_use]
    pub const fn normal() -> Self {
        Self::new(ReasonCode::NORMAL_DISCONNECTION)
    }

    /// The end for this reason.
    #[must_use]
    pub const fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: Properties::EMPTY }
    }

    pub(super) fn decode(mut body: Body<'_>) -> Result<Self, Error> {
        if body.reader.is_empty() {
            return Ok(Self::normal());
        }
        if !body.version.is_v5() {
            return Err(Error::Malformed("DISCONNECT with a body"));
        }
        let reason = ReasonCode::decode(body.reader.u8()?, PacketType::Disconnect)?;
        // Without a second byte there is no Property Length (section 3.14.2.2.1).
        if body.reader.is_empty() {
            return Ok(Self::new(reason));
        }
        let properties = body.properties(OWNER)?;
        body.reader.finish()?;
        Ok(Self { reason, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> Result<u32, EncodeError> {
        if !version.is_v5() || *self == Self::normal() {
            return Ok(0);
        }
        if !self.reason.allowed_in(PacketType::Disconnect) {
            return Err(EncodeError::Invalid { what: "DISCONNECT may not carry this reason code" });
        }
        if self.properties.is_empty() {
            return Ok(1);
        }
        write::check_body_len(1 + write::checked_properties_len(&self.properties, OWNER, version)?)
    }

    pub(super) fn encode_body(&self, version: Version, out: &mut BytesMut) {
        if !version.is_v5() || *self == Self::normal() {
            return;
        }
        out.put_u8(self.reason.as_u8());
        if !self.properties.is_empty() {
            write::properties(&self.properties, version, out);
        }
    }
}

#[cfg(test)]
mod tests;
