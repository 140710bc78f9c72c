//! SUBSCRIBE (section 3.8).

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use super::{
    EncodeError, PacketId, PacketType, Properties, Property, PropertyId, PropertyOwner, QoS, Version,
    read::Body, var_int, write,
};
use crate::{Error, Text};

const OWNER: PropertyOwner = PropertyOwner::Packet(PacketType::Subscribe);

/// Subscribe request: one or more filters, at least one. [MQTT-3.8.3-2]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The identifier that the SUBACK will have.
    pub packet_id: PacketId,
    /// What is subscribed to, in order.
    pub subscriptions: Vec<Subscription>,
    /// The Subscription Identifier of all of them, 1 to 268,435,455; version 5 only.
    pub subscription_id: Option<u32>,
    /// User Properties; version 5 only.
    pub properties: Properties,
}

/// One filter of a SUBSCRIBE, and how its messages are to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The Topic Filter as it came. Any text, an empty one too: what is no filter is answered with
    /// 0x8F (Topic Filter invalid) in the SUBACK, beside the answers to the other filters.
    pub filter: Text,
    /// How its messages are to be delivered.
    pub options: SubscribeOptions,
}

/// Subscription Options (section 3.8.3.1). 3.x has only the QoS; the rest is as by default there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscribeOptions {
    /// The highest QoS that messages are delivered with.
    pub qos: QoS,
    /// Whether the client's own messages are left out; not for a shared subscription. [MQTT-3.8.3-4]
    pub no_local: bool,
    /// Whether messages keep the RETAIN flag they were published with.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When a subscription brings retained messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// With every SUBSCRIBE. [MQTT-3.3.1-9]
    #[default]
    SendAtSubscribe = 0,
    /// With the SUBSCRIBE that makes the subscription. [MQTT-3.3.1-10]
    SendIfNew = 1,
    /// Never. [MQTT-3.3.1-11]
    DoNotSend = 2,
}

impl Subscribe {
    pub(super) fn decode(mut body: Body<'_>) -> Result<Self, Error> {
        let packet_id = body.reader.packet_id()?;
        let mut subscription_id = None;
        let properties = body.properties_lifting(OWNER, |property| match property {
            Property::SubscriptionIdentifier(id) => {
                subscription_id = Some(id);
                true
            }
            _ => false,
        })?;
        let mut subscriptions = Vec::new();
        while !body.reader.is_empty() {
            subscriptions.push(Subscription::decode(&mut body)?);
        }
        if subscriptions.is_empty() {
            return Err(Error::protocol("SUBSCRIBE without a topic filter"));
        }
        Ok(Self { packet_id, subscriptions, subscription_id, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> Result<u32, EncodeError> {
        if self.subscriptions.is_empty() {
            return Err(EncodeError::Invalid { what: "SUBSCRIBE without a topic filter" });
        }
        let mut len = 2 + self.properties_len(version)?;
        for subscription in &self.subscriptions {
            subscription.check(version)?;
            len += 2 + subscription.filter.len() + 1;
        }
        write::check_body_len(len)
    }

    pub(super) fn encode_body(&self, version: Version, out: &mut BytesMut) {
        out.put_u16(self.packet_id.get());
        if version.is_v5() {
            var_int::encode((self.properties.len() + self.subscription_id_len()) as u32, out);
            if let Some(id) = self.subscription_id {
                out.put_u8(PropertyId::SubscriptionIdentifier.as_u8());
                var_int::encode(id, out);
            }
            out.put_slice(self.properties.as_bytes());
        }
        for subscription in &self.subscriptions {
            write::binary(subscription.filter.as_bytes(), out);
            out.put_u8(subscription.options.bits());
        }
    }

    fn properties_len(&self, version: Version) -> Result<usize, EncodeError> {
        if !version.is_v5() {
            write::not_in_version(self.subscription_id.is_none(), "a Subscription Identifier")?;
            return write::not_in_version(self.properties.is_empty(), "a property").map(|()| 0);
        }
        self.properties.check(OWNER)?;
        let id = PropertyId::SubscriptionIdentifier;
        match self.subscription_id {
            Some(0 | 268_435_456..) => {
                return Err(EncodeError::Property { id, what: "is not from 1 to 268435455" });
            }
            Some(_) if self.properties.subscription_identifier().is_some() => {
                return Err(EncodeError::Property { id, what: "stands among the properties too" });
            }
            _ => {}
        }
        write::properties_len(self.properties.len() + self.subscription_id_len())
    }

    fn subscription_id_len(&self) -> usize {
        self.subscription_id.map_or(0, |id| 1 + var_int::len(id))
    }
}

impl Subscription {
    fn decode(body: &mut Body<'_>) -> Result<Self, Error> {
        let filter = body.text()?;
        let options = SubscribeOptions::decode(body.reader.u8()?, body.version)?;
        if options.no_local && is_shared(&filter) {
            return Err(Error::protocol("No Local on a shared subscription"));
        }
        Ok(Self { filter, options })
    }

    fn check(&self, version: Version) -> Result<(), EncodeError> {
        let plain = SubscribeOptions { qos: self.options.qos, ..SubscribeOptions::default() };
        if !version.is_v5() && self.options != plain {
            return Err(EncodeError::NotInVersion { what: "a subscription option other than QoS" });
        }
        if self.options.no_local && is_shared(&self.filter) {
            return Err(EncodeError::Invalid { what: "No Local on a shared subscription" });
        }
        Ok(())
    }
}

/// [MQTT-4.8.2-1]
fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}

impl SubscribeOptions {
    /// Messages up to this QoS, everything else as by default.
    #[must_use]
    pub const fn new(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.qos.bits()
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    /// The options that a byte stands for in version 5; `None` for one that the specification refuses.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        Self::decode(bits, Version::V5).ok()
    }

    fn decode(bits: u8, version: Version) -> Result<Self, Error> {
        let reserved = if version.is_v5() { 0b1100_0000 } else { 0b1111_1100 };
        // [MQTT-3.8.3-5]
        if bits & reserved != 0 {
            return Err(Error::Malformed("reserved subscription options"));
        }
        let qos = match QoS::from_bits(bits & 0b11) {
            Some(qos) => qos,
            // The two versions give it different names (sections 3.8.3.1 and 3.8.3).
            None if version.is_v5() => return Err(Error::protocol("subscription with QoS 3")),
            None => return Err(Error::Malformed("subscription with QoS 3")),
        };
        let retain_handling = match bits >> 4 {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Error::protocol("Retain Handling 3")),
        };
        Ok(Self {
            qos,
            no_local: bits & 0b100 != 0,
            retain_as_published: bits & 0b1000 != 0,
            retain_handling,
        })
    }
}

#[cfg(test)]
mod tests;
