//! Making a block of properties.

use bytes::{Bytes, BytesMut};

use super::{Properties, Property, property_error};
use crate::codec::{EncodeError, read::Reader};

/// A block of properties being made; from [`Properties::builder`].
///
/// Values are checked as they come. Which packet may carry which property is checked when the packet is
/// encoded, or by [`Properties::check`].
#[derive(Debug, Clone, Default)]
pub struct PropertiesBuilder {
    block: BytesMut,
}

impl PropertiesBuilder {
    /// Adds a property.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for a string or binary over 65,535 bytes, [`EncodeError::Property`] for a
    /// value out of its range; the block is as it was.
    pub fn push(&mut self, property: Property<'_>) -> Result<(), EncodeError> {
        let before = self.block.len();
        let result = property.encode(&mut self.block).and_then(|()| self.check_from(before, property));
        if result.is_err() {
            self.block.truncate(before);
        }
        result
    }

    /// [`push`](Self::push) for chains.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn with(mut self, property: Property<'_>) -> Result<Self, EncodeError> {
        self.push(property)?;
        Ok(self)
    }

    /// Adds all that `properties` holds.
    pub fn append(&mut self, properties: &Properties) {
        self.block.extend_from_slice(properties.as_bytes());
    }

    /// The block.
    #[must_use]
    pub fn build(self) -> Properties {
        if self.block.is_empty() { Properties::EMPTY } else { Properties(self.block.freeze()) }
    }

    /// Reads back what was written at `start`: the reader alone knows the ranges.
    fn check_from(&self, start: usize, property: Property<'_>) -> Result<(), EncodeError> {
        let mut reader = Reader::new(self.block.get(start..).unwrap_or_default());
        reader
            .property_id()
            .and_then(|id| Property::decode_value(id, &mut reader))
            .map(|_| ())
            .map_err(|error| property_error(property.id(), error))
    }
}

impl From<Properties> for PropertiesBuilder {
    fn from(properties: Properties) -> Self {
        Self { block: BytesMut::from(Bytes::from(properties)) }
    }
}

impl From<Properties> for Bytes {
    fn from(properties: Properties) -> Self {
        properties.0
    }
}
