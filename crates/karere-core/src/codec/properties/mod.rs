//! Properties (section 2.2.2): kept as the block they came in, read where they are asked for.

mod builder;
mod table;
mod value;

use core::fmt;

use bytes::{Bytes, BytesMut};

pub use self::{
    builder::PropertiesBuilder,
    table::{Property, PropertyId},
};
use super::{EncodeError, PacketType, read::Reader};
use crate::Error;

/// A block of properties as it stands on the wire, without its length.
///
/// Valid always: every identifier known, every value of its type and in its range, nothing twice that may
/// stand once. A broker forwards it as it is and never decodes a User Property.
///
/// ```
/// use karere_core::codec::{Properties, Property};
///
/// let properties = Properties::builder()
///     .with(Property::ContentType("text/plain"))?
///     .with(Property::UserProperty("room", "kitchen"))?
///     .build();
/// assert_eq!(properties.content_type(), Some("text/plain"));
/// assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("room", "kitchen")]);
/// # Ok::<(), karere_core::codec::EncodeError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Properties(Bytes);

/// Who carries a block of properties; decides what it may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PropertyOwner {
    /// A packet of this type.
    Packet(PacketType),
    /// The Will Message in a CONNECT, with its delay.
    Will,
    /// An application message apart from its packet: what a PUBLISH may carry without Topic Alias, Message
    /// Expiry Interval and Subscription Identifier, which are fields of their own.
    Message,
}

impl PropertyOwner {
    /// Its bit in the table of properties. No packet has type 0, which leaves that bit to the Will.
    #[inline]
    const fn bit(self) -> u16 {
        match self {
            Self::Packet(packet_type) => packet_type.bit(),
            Self::Message => PacketType::Publish.bit(),
            Self::Will => 1,
        }
    }
}

impl Properties {
    /// No properties; takes no memory.
    pub const EMPTY: Self = Self(Bytes::new());

    /// Starts a block.
    #[must_use]
    pub fn builder() -> PropertiesBuilder {
        PropertiesBuilder::default()
    }

    /// A block of these.
    ///
    /// # Errors
    /// As [`PropertiesBuilder::push`].
    pub fn from_properties<'a>(
        properties: impl IntoIterator<Item = Property<'a>>,
    ) -> Result<Self, EncodeError> {
        let mut builder = Self::builder();
        for property in properties {
            builder.push(property)?;
        }
        Ok(builder.build())
    }

    /// Checks and takes a block that stands in `owner`, without a copy.
    ///
    /// # Errors
    /// [`Error::Malformed`] for an unknown identifier, one that `owner` may not carry and a value that is not
    /// of its type; [`Error::ProtocolError`] for a value out of its range and one that may stand only once.
    pub fn decode(block: Bytes, owner: PropertyOwner) -> Result<Self, Error> {
        check(&block, owner).map_err(|(_, error)| error)?;
        Ok(Self(block))
    }

    /// Checks that `owner` may carry this block.
    ///
    /// # Errors
    /// [`EncodeError::Property`] for the first property that it may not carry, or not again.
    pub fn check(&self, owner: PropertyOwner) -> Result<(), EncodeError> {
        check(&self.0, owner).map_err(|(id, error)| match id {
            Some(id) => property_error(id, error),
            None => EncodeError::Invalid { what: what(error) },
        })
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes on the wire, without the Property Length.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The block as it stands on the wire, without the Property Length.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The properties, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = Property<'_>> + Clone {
        let mut reader = Reader::new(&self.0);
        // An error ends it, but there is none: the block was checked when it came.
        core::iter::from_fn(move || {
            let id = reader.property_id().ok()?;
            Property::decode_value(id, &mut reader).ok()
        })
    }

    /// The block without these properties; shares its bytes unless they stand in its middle.
    #[must_use]
    pub fn without(&self, ids: &[PropertyId]) -> Self {
        let mut reader = Reader::new(&self.0);
        let mut kept = Kept::default();
        while let Ok(id) = reader.property_id() {
            if Property::decode_value(id, &mut reader).is_err() {
                break;
            }
            let end = self.0.len() - reader.len();
            kept.step(&self.0, end, !ids.contains(&id));
        }
        kept.finish(&self.0, &self.0)
    }

    /// A copy in memory of its own, which keeps no frame alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Checks a block and hands each property to `lift`, which says whether it takes it out.
    ///
    /// What is left shares `frame`'s bytes unless something was taken out of its middle.
    #[inline]
    pub(super) fn decode_lifting<'a>(
        frame: &Bytes,
        block: &'a [u8],
        owner: PropertyOwner,
        mut lift: impl FnMut(Property<'a>) -> bool,
    ) -> Result<Self, Error> {
        let mut checker = Checker::new(owner);
        let mut reader = Reader::new(block);
        let mut kept = Kept::default();
        while !reader.is_empty() {
            let property = checker.next(&mut reader)?;
            kept.step(block, block.len() - reader.len(), !lift(property));
        }
        Ok(kept.finish(frame, block))
    }

    /// This slice of a block that has been checked.
    #[inline]
    pub(super) const fn checked(block: Bytes) -> Self {
        Self(block)
    }
}

/// Checks one property after the other for `owner`.
struct Checker {
    owner: PropertyOwner,
    seen: u64,
    id: Option<PropertyId>,
}

impl Checker {
    #[inline]
    const fn new(owner: PropertyOwner) -> Self {
        Self { owner, seen: 0, id: None }
    }

    #[inline]
    fn next<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Property<'a>, Error> {
        let id = reader.property_id()?;
        self.id = Some(id);
        if !id.allowed_in(self.owner) {
            return Err(Error::Malformed("property that this packet may not carry"));
        }
        if self.seen & id.bit() != 0 && !id.repeats_in(self.owner) {
            return Err(Error::protocol("property that may stand only once stands twice"));
        }
        self.seen |= id.bit();
        Property::decode_value(id, reader)
    }
}

/// Checks a whole block; with an error comes the property that was being looked at.
fn check(block: &[u8], owner: PropertyOwner) -> Result<(), (Option<PropertyId>, Error)> {
    let mut checker = Checker::new(owner);
    let mut reader = Reader::new(block);
    while !reader.is_empty() {
        if let Err(error) = checker.next(&mut reader) {
            return Err((checker.id, error));
        }
    }
    Ok(())
}

/// What is left of a block when properties are taken out: one run of its bytes, or a copy of several.
#[derive(Default)]
struct Kept {
    start: usize,
    end: usize,
    at: usize,
    copy: Option<BytesMut>,
}

impl Kept {
    /// The property that ends at `end` of `block` stays or goes.
    #[inline]
    fn step(&mut self, block: &[u8], end: usize, stays: bool) {
        let start = core::mem::replace(&mut self.at, end);
        if !stays {
            return;
        }
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(block.get(start..end).unwrap_or_default());
        } else if self.start == self.end {
            (self.start, self.end) = (start, end);
        } else if self.end == start {
            self.end = end;
        } else {
            let mut copy = BytesMut::with_capacity(block.len());
            copy.extend_from_slice(block.get(self.start..self.end).unwrap_or_default());
            copy.extend_from_slice(block.get(start..end).unwrap_or_default());
            self.copy = Some(copy);
        }
    }

    #[inline]
    fn finish(self, frame: &Bytes, block: &[u8]) -> Properties {
        Properties(match self.copy {
            Some(copy) => copy.freeze(),
            None => frame.slice_ref(block.get(self.start..self.end).unwrap_or_default()),
        })
    }
}

/// What an application did wrong, in the words for what a peer does wrong.
const fn property_error(id: PropertyId, error: Error) -> EncodeError {
    EncodeError::Property { id, what: what(error) }
}

const fn what(error: Error) -> &'static str {
    match error {
        Error::Malformed(what) | Error::ProtocolError { what, .. } => what,
        _ => "not allowed",
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
