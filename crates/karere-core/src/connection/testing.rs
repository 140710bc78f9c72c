//! What the tests of both ends share: packets made in a few words, and shown in a few words.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use bytes::{Buf, Bytes, BytesMut};

use super::Outbox;
use crate::codec::{
    Ack, FixedHeader, Message, Packet, PacketId, Properties, Property, Publish, QoS, ReasonCode, SubAck,
    Subscribe, SubscribeOptions, Subscription, SubscriptionIds, Unsubscribe, Version,
};
use crate::text::Text;
use crate::topic::TopicName;

pub(crate) const QOS0: QoS = QoS::AtMostOnce;
pub(crate) const QOS1: QoS = QoS::AtLeastOnce;
pub(crate) const QOS2: QoS = QoS::ExactlyOnce;

pub(crate) fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(crate) fn properties<const N: usize>(properties: [Property<'_>; N]) -> Properties {
    Properties::from_properties(properties).unwrap()
}

pub(crate) fn message(topic: &str, payload: &str, qos: QoS) -> Message {
    Message {
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos,
        retain: false,
        expiry: None,
        properties: Properties::EMPTY,
    }
}

/// A PUBLISH; `packet_id` 0 at QoS 0.
pub(crate) fn publish(packet_id: u16, topic: &str, payload: &str, qos: QoS) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        packet_id: PacketId::new(packet_id),
        topic_alias: None,
        subscription_ids: SubscriptionIds::EMPTY,
        message: message(topic, payload, qos),
    })
}

/// The same PUBLISH once more, with DUP.
pub(crate) fn again(packet: Packet) -> Packet {
    match packet {
        Packet::Publish(publish) => Packet::Publish(Publish { dup: true, ..publish }),
        other => other,
    }
}

/// The same PUBLISH with this topic alias; an alias stands for the topic where that is ''.
pub(crate) fn aliased(packet: Packet, alias: u16, known: bool) -> Packet {
    let Packet::Publish(mut publish) = packet else { return packet };
    publish.topic_alias = core::num::NonZeroU16::new(alias);
    if known {
        publish.message.topic = TopicName::EMPTY;
    }
    Packet::Publish(publish)
}

pub(crate) fn puback(packet_id: u16) -> Packet {
    Packet::PubAck(Ack::success(id(packet_id)))
}

pub(crate) fn pubrec(packet_id: u16) -> Packet {
    Packet::PubRec(Ack::success(id(packet_id)))
}

pub(crate) fn pubrel(packet_id: u16) -> Packet {
    Packet::PubRel(Ack::success(id(packet_id)))
}

pub(crate) fn pubcomp(packet_id: u16) -> Packet {
    Packet::PubComp(Ack::success(id(packet_id)))
}

pub(crate) fn subscribe(packet_id: u16, filters: &[(&str, QoS)]) -> Packet {
    let subscriptions = filters
        .iter()
        .map(|(filter, qos)| Subscription { filter: text(filter), options: SubscribeOptions::new(*qos) })
        .collect();
    let (subscription_id, properties) = (None, Properties::EMPTY);
    Packet::Subscribe(Subscribe { packet_id: id(packet_id), subscriptions, subscription_id, properties })
}

pub(crate) fn unsubscribe(packet_id: u16, filters: &[&str]) -> Packet {
    let filters = filters.iter().map(|filter| text(filter)).collect();
    Packet::Unsubscribe(Unsubscribe { packet_id: id(packet_id), filters, properties: Properties::EMPTY })
}

pub(crate) fn suback(packet_id: u16, reasons: &[ReasonCode]) -> SubAck {
    SubAck { packet_id: id(packet_id), reasons: reasons.to_vec(), properties: Properties::EMPTY }
}

/// All that waits, as a driver that writes it.
pub(crate) fn drain(outbox: &mut Outbox) -> BytesMut {
    let mut out = BytesMut::new();
    while outbox.has_remaining() {
        let chunk = outbox.chunk();
        out.extend_from_slice(chunk);
        let len = chunk.len();
        outbox.advance(len);
    }
    out
}

pub(crate) fn encode(version: Version, packets: &[Packet]) -> BytesMut {
    let mut out = BytesMut::new();
    for packet in packets {
        packet.encode(version, &mut out).unwrap();
    }
    out
}

/// Whole packets; panics over what is none.
pub(crate) fn decode(version: Version, mut bytes: BytesMut) -> Vec<Packet> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let header = FixedHeader::peek(&bytes).unwrap().expect("a whole header");
        let frame = bytes.split_to(header.frame_len()).freeze();
        packets.push(Packet::decode(version, frame).unwrap());
    }
    packets
}

pub(crate) fn show_all(packets: &[Packet]) -> Vec<String> {
    packets.iter().map(show).collect()
}

/// A packet in a line: `PUBLISH 7 q1 dup topic=payload`, `PUBREC 7 0x97`.
pub(crate) fn show(packet: &Packet) -> String {
    let name = packet.packet_type().name();
    match packet {
        Packet::Publish(publish) => show_publish(publish),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            format!("{name} {}{}", ack.packet_id, code(ack.reason))
        }
        Packet::ConnAck(connack) => {
            let present = if connack.session_present { " present" } else { "" };
            format!("{name}{present}{}", code(connack.reason))
        }
        Packet::Subscribe(subscribe) => {
            let filters: Vec<&str> =
                subscribe.subscriptions.iter().map(|each| each.filter.as_str()).collect();
            format!("{name} {} {}", subscribe.packet_id, filters.join(","))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<&str> = unsubscribe.filters.iter().map(Text::as_str).collect();
            format!("{name} {} {}", unsubscribe.packet_id, filters.join(","))
        }
        Packet::SubAck(suback) | Packet::UnsubAck(suback) => {
            let reasons: String =
                suback.reasons.iter().map(|reason| format!(" {:#04X}", reason.as_u8())).collect();
            format!("{name} {}{reasons}", suback.packet_id)
        }
        Packet::Disconnect(disconnect) => format!("{name}{}", code(disconnect.reason)),
        Packet::Auth(auth) => format!("{name}{}", code(auth.reason)),
        Packet::Connect(_) | Packet::PingReq | Packet::PingResp => name.to_string(),
    }
}

fn show_publish(publish: &Publish) -> String {
    let Publish { dup, packet_id, topic_alias, subscription_ids, message } = publish;
    let mut line = String::from("PUBLISH");
    if let Some(packet_id) = packet_id {
        line += &format!(" {packet_id}");
    }
    line += &format!(" q{}", message.qos.bits());
    line += if *dup { " dup" } else { "" };
    line += if message.retain { " retain" } else { "" };
    line += &format!(" {}={}", message.topic.as_str(), String::from_utf8_lossy(&message.payload));
    if let Some(alias) = topic_alias {
        line += &format!(" alias {alias}");
    }
    if !subscription_ids.is_empty() {
        line += &format!(" ids {:?}", subscription_ids.as_slice());
    }
    if let Some(seconds) = message.expiry {
        line += &format!(" expires {seconds}");
    }
    line
}

fn code(reason: ReasonCode) -> String {
    if reason == ReasonCode::Success { String::new() } else { format!(" {:#04X}", reason.as_u8()) }
}
