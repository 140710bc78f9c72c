//! AUTH (section 3.15), which version 5 brought.

use bytes::{BufMut, BytesMut};

use super::{EncodeError, PacketType, Properties, PropertyOwner, ReasonCode, Version, read::Body, write};
use crate::Error;

const OWNER: PropertyOwner = PropertyOwner::Packet(PacketType::Auth);

/// Authentication exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// Authentication Method, which is there unless the packet is a bare Success, Authentication Data, Reason
    /// String and User Properties.
    pub properties: Properties,
}

impl Auth {
    pub(super) fn decode(mut body: Body<'_>) -> Result<Self, Error> {
        if !body.version.is_v5() {
            return Err(Error::Malformed("packet type 15 before version 5"));
        }
        if body.reader.is_empty() {
            return Ok(Self { reason: ReasonCode::Success, properties: Properties::EMPTY });
        }
        let reason = ReasonCode::decode(body.reader.u8()?, PacketType::Auth)?;
        let properties = body.properties(OWNER)?;
        body.reader.finish()?;
        if properties.authentication_method().is_none() {
            return Err(Error::protocol("AUTH without an Authentication Method"));
        }
        Ok(Self { reason, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> Result<u32, EncodeError> {
        write::not_in_version(version.is_v5(), "AUTH")?;
        if self.is_bare() {
            return Ok(0);
        }
        if !self.reason.allowed_in(PacketType::Auth) {
            return Err(EncodeError::Invalid { what: "AUTH may not carry this reason code" });
        }
        if self.properties.authentication_method().is_none() {
            return Err(EncodeError::Invalid { what: "AUTH without an Authentication Method" });
        }
        write::check_body_len(1 + write::checked_properties_len(&self.properties, OWNER, version)?)
    }

    pub(super) fn encode_body(&self, version: Version, out: &mut BytesMut) {
        if !self.is_bare() {
            out.put_u8(self.reason.as_u8());
            write::properties(&self.properties, version, out);
        }
    }

    /// Success without properties, which takes no bytes (section 3.15.2.1).
    fn is_bare(&self) -> bool {
        self.reason == ReasonCode::Success && self.properties.is_empty()
    }
}

#[cfg(test)]
mod tests;
