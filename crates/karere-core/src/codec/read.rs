//! Reading that checks: every length against what is there, every string, every range.

use bytes::Bytes;

use super::{PacketId, Properties, PropertyId, PropertyOwner, QoS, Version, var_int};
use crate::{Error, Text, text};

const CUT: Error = Error::Malformed("packet ends before its fields do");

/// A cursor over bytes from the network. Never reads past their end, never panics.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(CUT)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two Byte Integer.
    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four Byte Integer.
    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn variable_byte_integer(&mut self) -> Result<u32, Error> {
        let (value, len) = var_int::decode(self.rest)?.ok_or(CUT)?;
        self.take(len)?;
        Ok(value)
    }

    /// Binary Data, or a UTF-8 Encoded String not yet checked.
    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// UTF-8 Encoded String. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, Error> {
        Ok(text::decode(self.binary()?)?)
    }

    /// Property Length and that many bytes.
    #[inline]
    pub(super) fn properties(&mut self) -> Result<&'a [u8], Error> {
        let len = self.variable_byte_integer()?;
        self.take(len as usize)
    }

    /// Packet Identifier. [MQTT-2.2.1-3]
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<PacketId, Error> {
        PacketId::new(self.u16()?).ok_or(Error::protocol("packet identifier 0"))
    }

    /// Everything has been read.
    #[inline]
    pub(super) const fn finish(&self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(Error::Malformed("packet goes on after its fields")) }
    }
}

/// The values of properties, named as the table of properties names them.
impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn property_id(&mut self) -> Result<PropertyId, Error> {
        let id = self.variable_byte_integer()?;
        u8::try_from(id)
            .ok()
            .and_then(PropertyId::from_u8)
            .ok_or(Error::Malformed("property identifier that does not exist"))
    }

    pub(super) fn flag(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::protocol("property whose value is neither 0 nor 1")),
        }
    }

    pub(super) fn maximum_qos(&mut self) -> Result<QoS, Error> {
        Ok(if self.flag()? { QoS::AtLeastOnce } else { QoS::AtMostOnce })
    }

    pub(super) fn u16_not_zero(&mut self) -> Result<u16, Error> {
        match self.u16()? {
            0 => Err(Error::protocol("property whose value may not be 0")),
            value => Ok(value),
        }
    }

    pub(super) fn u32_not_zero(&mut self) -> Result<u32, Error> {
        match self.u32()? {
            0 => Err(Error::protocol("property whose value may not be 0")),
            value => Ok(value),
        }
    }

    /// [MQTT-3.3.2-8]
    pub(super) fn topic_alias(&mut self) -> Result<u16, Error> {
        match self.u16()? {
            0 => Err(Error::ProtocolError {
                what: "topic alias 0",
                reason: super::ReasonCode::TopicAliasInvalid,
            }),
            alias => Ok(alias),
        }
    }

    pub(super) fn subscription_id(&mut self) -> Result<u32, Error> {
        match self.variable_byte_integer()? {
            0 => Err(Error::protocol("subscription identifier 0")),
            id => Ok(id),
        }
    }

    /// [MQTT-3.3.2-14]
    pub(super) fn topic_name(&mut self) -> Result<&'a str, Error> {
        let name = self.text()?;
        if name.bytes().any(|byte| matches!(byte, b'+' | b'#')) {
            return Err(Error::ProtocolError {
                what: "response topic with a wildcard",
                reason: super::ReasonCode::TopicNameInvalid,
            });
        }
        Ok(name)
    }
}

/// The body of a frame, whose strings and binaries are shared, not copied.
pub(super) struct Body<'a> {
    pub(super) frame: &'a Bytes,
    pub(super) version: Version,
    pub(super) reader: Reader<'a>,
}

impl Body<'_> {
    #[inline]
    pub(super) fn text(&mut self) -> Result<Text, Error> {
        Ok(Text::from_bytes(self.binary()?)?)
    }

    #[inline]
    pub(super) fn binary(&mut self) -> Result<Bytes, Error> {
        Ok(self.frame.slice_ref(self.reader.binary()?))
    }

    /// Property Length and properties; 3.x has none.
    pub(super) fn properties(&mut self, owner: PropertyOwner) -> Result<Properties, Error> {
        self.properties_lifting(owner, |_| false)
    }

    /// [`properties`](Self::properties) without those that `lift` takes.
    #[inline]
    pub(super) fn properties_lifting(
        &mut self,
        owner: PropertyOwner,
        lift: impl FnMut(super::Property<'_>) -> bool,
    ) -> Result<Properties, Error> {
        if !self.version.is_v5() {
            return Ok(Properties::EMPTY);
        }
        let block = self.reader.properties()?;
        if block.is_empty() {
            return Ok(Properties::EMPTY);
        }
        Properties::decode_lifting(self.frame, block, owner, lift)
    }
}
