//! Any packet: which type it is, and the frame around its body.

use alloc::boxed::Box;

use bytes::{Bytes, BytesMut};

use super::{
    Ack, Auth, ConnAck, Connect, Disconnect, EncodeError, FixedHeader, PacketType, Publish, SubAck,
    Subscribe, Unsubscribe, Version, ack, decode_ack, encode_ack,
    read::{Body, Reader},
    write,
};
use crate::Error;

/// An MQTT Control Packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Connection request.
    Connect(Box<Connect>),
    /// Connect acknowledgement.
    ConnAck(Box<ConnAck>),
    /// Publish message.
    Publish(Publish),
    /// Publish acknowledgement (QoS 1).
    PubAck(Ack),
    /// Publish received (QoS 2 delivery part 1).
    PubRec(Ack),
    /// Publish release (QoS 2 delivery part 2).
    PubRel(Ack),
    /// Publish complete (QoS 2 delivery part 3).
    PubComp(Ack),
    /// Subscribe request.
    Subscribe(Subscribe),
    /// Subscribe acknowledgement.
    SubAck(SubAck),
    /// Unsubscribe request.
    Unsubscribe(Unsubscribe),
    /// Unsubscribe acknowledgement.
    UnsubAck(SubAck),
    /// PING request.
    PingReq,
    /// PING response.
    PingResp,
    /// Disconnect notification.
    Disconnect(Disconnect),
    /// Authentication exchange.
    Auth(Auth),
}

impl Packet {
    /// Decodes a whole frame: one packet with its fixed header, no byte less or more.
    ///
    /// `version` is that of the connection; a CONNECT says its own, and `version` does not matter.
    /// Strings, binaries and properties are slices of `frame`.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::ProtocolError`] as the specification tells them apart, and
    /// [`Error::UnsupportedVersion`] for a CONNECT.
    #[inline]
    pub fn decode(version: Version, frame: Bytes) -> Result<Self, Error> {
        let header = FixedHeader::peek(&frame)?.ok_or(Error::Malformed("fixed header is cut"))?;
        if header.frame_len() != frame.len() {
            return Err(Error::Malformed("frame is not as long as its Remaining Length says"));
        }
        header.check_flags(version)?;
        let mut reader = Reader::new(&frame);
        reader.take(header.header_len())?;
        let kind = header.packet_type();
        let body = Body { frame: &frame, version, reader };
        match kind {
            PacketType::Publish => Publish::decode(version, header, frame).map(Self::Publish),
            PacketType::Connect => Connect::decode(body).map(|connect| Self::Connect(Box::new(connect))),
            PacketType::ConnAck => ConnAck::decode(body).map(|connack| Self::ConnAck(Box::new(connack))),
            PacketType::PubAck => body.ack(kind).map(Self::PubAck),
            PacketType::PubRec => body.ack(kind).map(Self::PubRec),
            PacketType::PubRel => body.ack(kind).map(Self::PubRel),
            PacketType::PubComp => body.ack(kind).map(Self::PubComp),
            PacketType::Subscribe => Subscribe::decode(body).map(Self::Subscribe),
            PacketType::SubAck => SubAck::decode(kind, body).map(Self::SubAck),
            PacketType::Unsubscribe => Unsubscribe::decode(body).map(Self::Unsubscribe),
            PacketType::UnsubAck => SubAck::decode(kind, body).map(Self::UnsubAck),
            PacketType::PingReq => body.reader.finish().map(|()| Self::PingReq),
            PacketType::PingResp => body.reader.finish().map(|()| Self::PingResp),
            PacketType::Disconnect => Disconnect::decode(body).map(Self::Disconnect),
            PacketType::Auth => Auth::decode(body).map(Self::Auth),
        }
    }

    /// Appends the packet to `out`.
    ///
    /// # Errors
    /// [`EncodeError`], and nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::Publish(publish) => publish.encode(version, out),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                encode_ack(self.packet_type(), ack, version, out)
            }
            _ => {
                write::fixed_header(self.packet_type().first_byte(), self.body_len(version)?, out);
                self.encode_body(version, out);
                Ok(())
            }
        }
    }

    /// Bytes that [`encode`](Self::encode) appends.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        match self {
            Self::Publish(publish) => publish.header().encoded_len(version),
            _ => self.body_len(version).map(write::frame_len),
        }
    }

    /// The packet's type.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Checks the packet and counts the bytes of its body.
    fn body_len(&self, version: Version) -> Result<u32, EncodeError> {
        match self {
            Self::Connect(connect) => connect.body_len(),
            Self::ConnAck(connack) => connack.body_len(version),
            Self::Publish(publish) => publish.header().body_len(version),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack::body_len(self.packet_type(), ack, version)
            }
            Self::Subscribe(subscribe) => subscribe.body_len(version),
            Self::SubAck(suback) | Self::UnsubAck(suback) => suback.body_len(self.packet_type(), version),
            Self::Unsubscribe(unsubscribe) => unsubscribe.body_len(version),
            Self::PingReq | Self::PingResp => Ok(0),
            Self::Disconnect(disconnect) => disconnect.body_len(version),
            Self::Auth(auth) => auth.body_len(version),
        }
    }

    /// Writes the body of what [`body_len`](Self::body_len) has checked.
    fn encode_body(&self, version: Version, out: &mut BytesMut) {
        match self {
            Self::Connect(connect) => connect.encode_body(out),
            Self::ConnAck(connack) => connack.encode_body(version, out),
            Self::Subscribe(subscribe) => subscribe.encode_body(version, out),
            Self::SubAck(suback) | Self::UnsubAck(suback) => {
                suback.encode_body(self.packet_type(), version, out);
            }
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode_body(version, out),
            Self::Disconnect(disconnect) => disconnect.encode_body(version, out),
            Self::Auth(auth) => auth.encode_body(version, out),
            // These write their frames themselves, or have no body.
            Self::Publish(_) | Self::PubAck(_) | Self::PubRec(_) | Self::PubRel(_) | Self::PubComp(_) => {}
            Self::PingReq | Self::PingResp => {}
        }
    }
}

impl Body<'_> {
    fn ack(&self, kind: PacketType) -> Result<Ack, Error> {
        decode_ack(kind, self.version, self.reader.rest())
    }
}

#[cfg(test)]
mod tests;
