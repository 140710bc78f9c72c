//! What went over the wire, packet by packet, for people.

use alloc::vec::Vec;

use crate::codec::{
    Ack, Connect, Packet, PacketId, PacketType, Properties, Publish, QoS, ReasonCode, SubscribeOptions,
};
use crate::text::Text;

/// Which way a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// We sent it.
    Sent,
    /// We received it.
    Received,
}

/// One packet that went out or came in, with the fields that logs show.
#[derive(Debug, Clone)]
pub struct PacketTrace {
    /// Which way.
    pub direction: Direction,
    /// Which packet.
    pub packet: PacketType,
    /// Its packet identifier.
    pub packet_id: Option<PacketId>,
    /// Its (first) reason code.
    pub reason: Option<ReasonCode>,
    /// PUBLISH: DUP.
    pub dup: bool,
    /// PUBLISH: QoS.
    pub qos: QoS,
    /// PUBLISH: RETAIN. CONNACK: session present.
    pub flag: bool,
    /// PUBLISH: the topic, resolved. CONNECT: the Client Identifier.
    pub topic: Option<Text>,
    /// PUBLISH: bytes of payload. CONNECT: Keep Alive in seconds.
    pub size: usize,
    /// SUBSCRIBE and UNSUBSCRIBE: the filters, with their options.
    pub filters: Vec<(Text, SubscribeOptions)>,
    /// CONNECT: Clean Start.
    pub clean_start: bool,
    /// PUBLISH: the properties of the message, without those that belong to the packet.
    pub properties: Properties,
}

impl PacketTrace {
    pub(crate) fn new(direction: Direction, packet: PacketType) -> Self {
        Self {
            direction,
            packet,
            packet_id: None,
            reason: None,
            dup: false,
            qos: QoS::AtMostOnce,
            flag: false,
            topic: None,
            size: 0,
            filters: Vec::new(),
            clean_start: false,
            properties: Properties::EMPTY,
        }
    }

    /// The fields of `packet` that logs show.
    pub(crate) fn of(direction: Direction, packet: &Packet) -> Self {
        let trace = Self::new(direction, packet.packet_type());
        match packet {
            Packet::Connect(connect) => trace.connect(connect),
            Packet::Publish(publish) => trace.publish(publish),
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                trace.ack(ack)
            }
            Packet::ConnAck(connack) => {
                Self { reason: Some(connack.reason), flag: connack.session_present, ..trace }
            }
            Packet::Subscribe(subscribe) => {
                let subscriptions = subscribe.subscriptions.iter();
                let filters = subscriptions.map(|each| (each.filter.clone(), each.options)).collect();
                Self { packet_id: Some(subscribe.packet_id), filters, ..trace }
            }
            Packet::Unsubscribe(unsubscribe) => {
                let filters = unsubscribe
                    .filters
                    .iter()
                    .map(|filter| (filter.clone(), SubscribeOptions::default()))
                    .collect();
                Self { packet_id: Some(unsubscribe.packet_id), filters, ..trace }
            }
            Packet::SubAck(suback) | Packet::UnsubAck(suback) => {
                Self { packet_id: Some(suback.packet_id), reason: suback.reasons.first().copied(), ..trace }
            }
            Packet::Disconnect(disconnect) => Self { reason: Some(disconnect.reason), ..trace },
            Packet::Auth(auth) => Self { reason: Some(auth.reason), ..trace },
            Packet::PingReq | Packet::PingResp => trace,
        }
    }

    fn connect(self, connect: &Connect) -> Self {
        Self {
            topic: Some(connect.client_id.clone()),
            size: usize::from(connect.keep_alive),
            clean_start: connect.clean_start,
            ..self
        }
    }

    fn publish(self, publish: &Publish) -> Self {
        Self {
            packet_id: publish.packet_id,
            dup: publish.dup,
            qos: publish.message.qos,
            flag: publish.message.retain,
            topic: Some(publish.message.topic.as_text().clone()),
            size: publish.message.payload.len(),
            properties: publish.message.properties.clone(),
            ..self
        }
    }

    fn ack(self, ack: &Ack) -> Self {
        Self { packet_id: Some(ack.packet_id), reason: Some(ack.reason), ..self }
    }
}
