//! What is published.

use std::num::NonZeroU16;

use bytes::Bytes;
use karere_core::client;

use crate::{Message, Properties, QoS};

/// A message to be published, and how.
///
/// What takes one takes `(topic, payload)` and `(topic, payload, qos)` as well.
///
/// ```
/// use karere::{Publish, QoS};
///
/// let plain: Publish<'_> = ("iot/home", "25.3").into();
/// let careful = Publish::new("iot/home", "25.3").qos(QoS::AtLeastOnce).retain(true).expiry(60);
/// ```
#[derive(Debug, Clone)]
pub struct Publish<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Payload.
    pub payload: Payload<'a>,
    /// QoS; 0.
    pub qos: QoS,
    /// RETAIN: the server keeps it for those who subscribe later; false.
    pub retain: bool,
    /// Message Expiry Interval in seconds, version 5; none.
    pub expiry: Option<u32>,
    /// A topic alias set by hand, version 5; none.
    pub topic_alias: Option<NonZeroU16>,
    /// The other properties, version 5.
    pub properties: Properties,
    /// At QoS 0: have a packet identifier, and a [`Delivery`](crate::Delivery) that is done when the bytes were
    /// written, not when they are in the outbox; false.
    pub tracked: bool,
}

/// The payload of a [`Publish`]: borrowed, or shared without copying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Copied where it must be kept.
    Borrowed(&'a [u8]),
    /// Shared where it must be kept.
    Shared(Bytes),
}

impl<'a> Publish<'a> {
    /// At QoS 0, not retained, without properties.
    #[must_use]
    pub fn new(topic: &'a str, payload: impl Into<Payload<'a>>) -> Self {
        Self {
            topic,
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            expiry: None,
            topic_alias: None,
            properties: Properties::EMPTY,
            tracked: false,
        }
    }

    /// With this QoS.
    #[must_use]
    pub fn qos(self, qos: QoS) -> Self {
        Self { qos, ..self }
    }

    /// With RETAIN or without.
    #[must_use]
    pub fn retain(self, retain: bool) -> Self {
        Self { retain, ..self }
    }

    /// With this Message Expiry Interval in seconds (version 5).
    #[must_use]
    pub fn expiry(self, seconds: u32) -> Self {
        Self { expiry: Some(seconds), ..self }
    }

    /// With this topic alias (version 5); the topic may be empty once the server knows the alias.
    #[must_use]
    pub fn topic_alias(self, alias: NonZeroU16) -> Self {
        Self { topic_alias: Some(alias), ..self }
    }

    /// With these properties (version 5).
    #[must_use]
    pub fn properties(self, properties: Properties) -> Self {
        Self { properties, ..self }
    }

    /// See [`tracked`](Self#structfield.tracked).
    #[must_use]
    pub fn tracked(self, tracked: bool) -> Self {
        Self { tracked, ..self }
    }

    pub(crate) fn outgoing(&self) -> client::Outgoing<'_> {
        client::Outgoing {
            topic: self.topic,
            payload: match &self.payload {
                Payload::Borrowed(payload) => client::Payload::Borrowed(payload),
                Payload::Shared(payload) => client::Payload::Shared(payload),
            },
            qos: self.qos,
            retain: self.retain,
            expiry: self.expiry,
            topic_alias: self.topic_alias,
            properties: &self.properties,
            tracked: self.tracked,
        }
    }
}

impl<'a, P: Into<Payload<'a>>> From<(&'a str, P)> for Publish<'a> {
    fn from((topic, payload): (&'a str, P)) -> Self {
        Self::new(topic, payload)
    }
}

impl<'a, P: Into<Payload<'a>>> From<(&'a str, P, QoS)> for Publish<'a> {
    fn from((topic, payload, qos): (&'a str, P, QoS)) -> Self {
        Self::new(topic, payload).qos(qos)
    }
}

/// Passes on a message that was received.
impl<'a> From<&'a Message> for Publish<'a> {
    fn from(message: &'a Message) -> Self {
        let Message { topic, payload, qos, retain, expiry, properties } = message;
        let publish = Self::new(topic, payload).qos(*qos).retain(*retain).properties(properties.clone());
        Self { expiry: *expiry, ..publish }
    }
}

/// No payload.
impl From<()> for Payload<'_> {
    fn from((): ()) -> Self {
        Self::Borrowed(&[])
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(payload: &'a [u8]) -> Self {
        Self::Borrowed(payload)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    fn from(payload: &'a [u8; N]) -> Self {
        Self::Borrowed(payload)
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(payload: &'a str) -> Self {
        Self::Borrowed(payload.as_bytes())
    }
}

impl<'a> From<&'a String> for Payload<'a> {
    fn from(payload: &'a String) -> Self {
        Self::Borrowed(payload.as_bytes())
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(payload: &'a Vec<u8>) -> Self {
        Self::Borrowed(payload)
    }
}

impl From<String> for Payload<'_> {
    fn from(payload: String) -> Self {
        Self::Shared(payload.into())
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(payload: Vec<u8>) -> Self {
        Self::Shared(payload.into())
    }
}

impl From<Bytes> for Payload<'_> {
    fn from(payload: Bytes) -> Self {
        Self::Shared(payload)
    }
}

impl From<&Bytes> for Payload<'_> {
    fn from(payload: &Bytes) -> Self {
        Self::Shared(payload.clone())
    }
}
