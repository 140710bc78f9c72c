//! CONNECT (section 3.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    EncodeError, Message, PacketType, Properties, Property, PropertyId, PropertyOwner, QoS, Version, Will,
    publish::topic_error,
    read::{Body, Reader},
    var_int, write,
};
use crate::{Error, Text, topic::TopicName};

const OWNER: PropertyOwner = PropertyOwner::Packet(PacketType::Connect);

const USER_NAME: u8 = 0b1000_0000;
const PASSWORD: u8 = 0b0100_0000;
const WILL_RETAIN: u8 = 0b0010_0000;
const WILL_QOS: u8 = 0b0001_1000;
const WILL: u8 = 0b0000_0100;
const CLEAN_START: u8 = 0b0000_0010;
const RESERVED: u8 = 0b0000_0001;

/// The bit of the Protocol Level with which a bridge asks for 3.x: mosquitto's extension.
const BRIDGE: u8 = 0x80;

/// Connection request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// The version that the connection speaks.
    pub version: Version,
    /// Whether the client is a bridge, as mosquitto's bridges say it on 3.x.
    pub bridge: bool,
    /// Whether the session starts anew; 3.x calls it Clean Session, and ends it with the connection too.
    pub clean_start: bool,
    /// Keep Alive, in seconds; 0 turns it off.
    pub keep_alive: u16,
    /// Client Identifier; an empty one asks the server for a name.
    pub client_id: Text,
    /// Will Message.
    pub will: Option<Will>,
    /// User Name.
    pub username: Option<Text>,
    /// Password, at most 65,535 bytes; on 3.x only with a User Name.
    pub password: Option<Bytes>,
    /// What the client asks for; version 5 only.
    pub properties: Properties,
}

impl Connect {
    /// The version that the CONNECT at the start of `frame` asks for, if it can be told: so that a CONNECT
    /// with an error in it can be refused in words that its sender knows.
    #[must_use]
    pub fn peek_version(frame: &[u8]) -> Option<Version> {
        let header = super::FixedHeader::peek(frame).ok()??;
        if header.packet_type() != PacketType::Connect {
            return None;
        }
        let mut reader = Reader::new(frame);
        reader.take(header.header_len()).ok()?;
        decode_protocol(&mut reader).ok().map(|(version, _)| version)
    }

    pub(super) fn decode(mut body: Body<'_>) -> Result<Self, Error> {
        let (version, bridge) = decode_protocol(&mut body.reader)?;
        body.version = version;
        let flags = body.reader.u8()?;
        check_flags(flags, version)?;
        let keep_alive = body.reader.u16()?;
        let properties = body.properties(OWNER)?;
        if properties.authentication_data().is_some() && properties.authentication_method().is_none() {
            return Err(Error::protocol("Authentication Data without an Authentication Method"));
        }
        let client_id = body.text()?;
        let will = if flags & WILL != 0 { Some(Will::decode(flags, &mut body)?) } else { None };
        let username = if flags & USER_NAME != 0 { Some(body.text()?) } else { None };
        let password = if flags & PASSWORD != 0 { Some(body.binary()?) } else { None };
        body.reader.finish()?;
        let clean_start = flags & CLEAN_START != 0;
        Ok(Self { version, bridge, clean_start, keep_alive, client_id, will, username, password, properties })
    }

    pub(super) fn body_len(&self) -> Result<u32, EncodeError> {
        self.check()?;
        let mut len = 2 + self.version.protocol_name().len() + 1 + 1 + 2;
        len += write::checked_properties_len(&self.properties, OWNER, self.version)?;
        len += 2 + self.client_id.len();
        if let Some(will) = &self.will {
            len += will.encoded_len(self.version)?;
        }
        if let Some(username) = &self.username {
            len += 2 + username.len();
        }
        if let Some(password) = &self.password {
            write::check_len("password", password)?;
            len += 2 + password.len();
        }
        write::check_body_len(len)
    }

    pub(super) fn encode_body(&self, out: &mut BytesMut) {
        write::binary(self.version.protocol_name().as_bytes(), out);
        out.put_u8(self.version.level() | if self.bridge { BRIDGE } else { 0 });
        out.put_u8(self.flags());
        out.put_u16(self.keep_alive);
        write::properties(&self.properties, self.version, out);
        write::binary(self.client_id.as_bytes(), out);
        if let Some(will) = &self.will {
            will.encode(self.version, out);
        }
        if let Some(username) = &self.username {
            write::binary(username.as_bytes(), out);
        }
        if let Some(password) = &self.password {
            write::binary(password, out);
        }
    }

    fn check(&self) -> Result<(), EncodeError> {
        let v5 = self.version.is_v5();
        write::not_in_version(!(v5 && self.bridge), "the bridge bit")?;
        write::not_in_version(
            v5 || self.password.is_none() || self.username.is_some(),
            "a password without a user name",
        )?;
        if self.properties.authentication_data().is_some()
            && self.properties.authentication_method().is_none()
        {
            return Err(EncodeError::Invalid {
                what: "Authentication Data without an Authentication Method",
            });
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        let set = |on: bool, flag: u8| if on { flag } else { 0 };
        set(self.username.is_some(), USER_NAME)
            | set(self.password.is_some(), PASSWORD)
            | set(self.clean_start, CLEAN_START)
            | self
                .will
                .as_ref()
                .map_or(0, |will| WILL | will.message.qos.bits() << 3 | set(will.message.retain, WILL_RETAIN))
    }
}

/// Protocol Name and Protocol Level; with the version, whether the bridge bit is set.
fn decode_protocol(reader: &mut Reader<'_>) -> Result<(Version, bool), Error> {
    let name = reader.binary()?;
    // [MQTT-3.1.2-1]
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(Error::Malformed("protocol name is not MQTT"));
    }
    let level = reader.u8()?;
    let bridge = level & BRIDGE != 0;
    match Version::from_level(level & !BRIDGE) {
        // [MQTT-3.1.2-2]
        Some(version) if version.protocol_name().as_bytes() == name && !(bridge && version.is_v5()) => {
            Ok((version, bridge))
        }
        _ => Err(Error::UnsupportedVersion(level)),
    }
}

fn check_flags(flags: u8, version: Version) -> Result<(), Error> {
    // [MQTT-3.1.2-3]
    if flags & RESERVED != 0 {
        return Err(Error::Malformed("reserved connect flag"));
    }
    // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        return Err(Error::Malformed("will QoS or will retain without a will"));
    }
    // Version 3.1.1's [MQTT-3.1.2-22]; version 5 allows it (section 3.1.2.9).
    if !version.is_v5() && flags & (USER_NAME | PASSWORD) == PASSWORD {
        return Err(Error::Malformed("password without a user name"));
    }
    Ok(())
}

impl Will {
    fn decode(flags: u8, body: &mut Body<'_>) -> Result<Self, Error> {
        // [MQTT-3.1.2-12]
        let qos = QoS::from_bits((flags & WILL_QOS) >> 3).ok_or(Error::Malformed("will with QoS 3"))?;
        let retain = flags & WILL_RETAIN != 0;
        let (mut delay, mut expiry) = (0, None);
        let properties = body.properties_lifting(PropertyOwner::Will, |property| {
            match property {
                Property::WillDelayInterval(seconds) => delay = seconds,
                Property::MessageExpiryInterval(seconds) => expiry = Some(seconds),
                _ => return false,
            }
            true
        })?;
        let topic = TopicName::from_text(body.text()?).map_err(topic_error)?;
        let payload = body.binary()?;
        Ok(Self { message: Message { topic, payload, qos, retain, expiry, properties }, delay })
    }

    fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        let Message { topic, payload, expiry, properties, .. } = &self.message;
        if topic.is_empty() {
            return Err(EncodeError::Invalid { what: "a will without a topic name" });
        }
        write::check_len("will payload", payload)?;
        let mut len = 2 + topic.len() + 2 + payload.len();
        if version.is_v5() {
            properties.check(PropertyOwner::Message)?;
            len += write::properties_len(self.properties_len())?;
        } else {
            write::not_in_version(properties.is_empty(), "a property")?;
            write::not_in_version(expiry.is_none(), "Message Expiry Interval")?;
            write::not_in_version(self.delay == 0, "Will Delay Interval")?;
        }
        Ok(len)
    }

    fn encode(&self, version: Version, out: &mut BytesMut) {
        if version.is_v5() {
            var_int::encode(self.properties_len() as u32, out);
            if self.delay != 0 {
                out.put_u8(PropertyId::WillDelayInterval.as_u8());
                out.put_u32(self.delay);
            }
            if let Some(expiry) = self.message.expiry {
                out.put_u8(PropertyId::MessageExpiryInterval.as_u8());
                out.put_u32(expiry);
            }
            out.put_slice(self.message.properties.as_bytes());
        }
        write::binary(self.message.topic.as_str().as_bytes(), out);
        write::binary(&self.message.payload, out);
    }

    const fn properties_len(&self) -> usize {
        self.message.properties.len()
            + if self.delay == 0 { 0 } else { 5 }
            + if self.message.expiry.is_some() { 5 } else { 0 }
    }
}

#[cfg(test)]
mod tests;
