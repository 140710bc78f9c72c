//! The application message, and the Will Message.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Properties, QoS};
use crate::{Text, topic::TopicName};

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
        let mut all = BytesMut::with_capacity(self.size_bytes());
        all.put_slice(self.topic.as_str().as_bytes());
        all.put_slice(self.properties.as_bytes());
        all.put_slice(&self.payload);
        let mut rest = all.freeze();
        let topic = rest.split_to(self.topic.len());
        let properties = rest.split_to(self.properties.len());
        Self {
            // Checked again, not trusted: a name of 30 bytes takes a few nanoseconds. Only the empty one fails.
            topic: Text::from_bytes(topic)
                .ok()
                .and_then(|topic| TopicName::from_text(topic).ok())
                .unwrap_or(TopicName::EMPTY),
            payload: rest,
            properties: if properties.is_empty() {
                Properties::EMPTY
            } else {
                Properties::checked(properties)
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
