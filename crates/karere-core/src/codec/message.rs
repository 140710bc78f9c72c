//! The application message, and the Will Message.

use bytes::{Buf, Bytes};

use super::{Properties, QoS, kept};
use crate::topic::TopicName;

/// An Application Message: what a PUBLISH carries from one application to another.
///
/// Cheap to clone. A message that was decoded is made of slices of its frame and keeps the frame's buffer
/// alive: [`compact`](Self::compact) it before keeping it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is published to; [`TopicName::EMPTY`] only in a PUBLISH whose Topic Alias stands for it.
    pub topic: TopicName,
    /// Any bytes, none at all too.
    pub payload: Bytes,
    /// How it is delivered.
    pub qos: QoS,
    /// The RETAIN flag (section 3.3.1.3).
    pub retain: bool,
    /// Message Expiry Interval, in seconds; `None` never expires.
    pub expiry: Option<u32>,
    /// What else version 5 sends with it: neither its expiry, nor a Topic Alias or Subscription Identifiers,
    /// which belong to one packet ([`PropertyOwner::Message`](super::PropertyOwner::Message)).
    pub properties: Properties,
}

impl Message {
    /// The same message in one small allocation of its own, which keeps no frame alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        self.compact_with(&self.topic, &self.payload)
    }

    /// As [`compact`](Self::compact), with a checked topic and a payload that stand elsewhere.
    pub(crate) fn compact_with(&self, topic: &str, payload: &[u8]) -> Self {
        let properties = self.properties.as_bytes();
        let mut all = kept::concatenate([topic.as_bytes(), properties, payload]);
        let payload_at = topic.len() + properties.len();
        Self {
            topic: TopicName::from_checked(all.slice(..topic.len())),
            properties: match properties.is_empty() {
                true => Properties::EMPTY,
                false => Properties::checked(all.slice(topic.len()..payload_at)),
            },
            payload: {
                all.advance(payload_at);
                all
            },
            ..*self
        }
    }

    /// Bytes of topic, payload and properties: what keeping it takes, apart from the constant part.
    #[inline]
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }
}

/// The message that a server publishes when a client is lost (section 3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// The message; a payload of at most 65,535 bytes.
    pub message: Message,
    /// Will Delay Interval: how many seconds the server waits for the client to come back. Version 5 only.
    pub delay: u32,
}

#[cfg(test)]
mod tests;
