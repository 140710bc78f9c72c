//! UNSUBSCRIBE (section 3.10).

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use super::{EncodeError, PacketId, PacketType, Properties, PropertyOwner, Version, read::Body, write};
use crate::{Error, Text};

const OWNER: PropertyOwner = PropertyOwner::Packet(PacketType::Unsubscribe);

/// Unsubscribe request: one or more filters, at least one. [MQTT-3.10.3-2]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The identifier that the UNSUBACK will have.
    pub packet_id: PacketId,
    /// The filters as they came, in order; not checked, because what is no filter was never subscribed to.
    pub filters: Vec<Text>,
    /// User Properties; version 5 only.
    pub properties: Properties,
}

impl Unsubscribe {
    pub(super) fn decode(mut body: Body<'_>) -> Result<Self, Error> {
        let packet_id = body.reader.packet_id()?;
        let properties = body.properties(OWNER)?;
        let mut filters = Vec::new();
        while !body.reader.is_empty() {
            filters.push(body.text()?);
        }
        if filters.is_empty() {
            return Err(Error::protocol("UNSUBSCRIBE without a topic filter"));
        }
        Ok(Self { packet_id, filters, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> Result<u32, EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::Invalid { what: "UNSUBSCRIBE without a topic filter" });
        }
        let properties = write::checked_properties_len(&self.properties, OWNER, version)?;
        write::check_body_len(
            2 + properties + self.filters.iter().map(|filter| 2 + filter.len()).sum::<usize>(),
        )
    }

    pub(super) fn encode_body(&self, version: Version, out: &mut BytesMut) {
        out.put_u16(self.packet_id.get());
        write::properties(&self.properties, version, out);
        for filter in &self.filters {
            write::binary(filter.as_bytes(), out);
        }
    }
}

#[cfg(test)]
mod tests;
