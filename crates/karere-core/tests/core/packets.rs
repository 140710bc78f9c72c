//! Packets at random, with few identifiers and few topics, so that they meet.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use karere_core::Text;
use karere_core::codec::{
    Ack, Auth, ConnAck, Disconnect, Message, Packet, PacketId, Properties, Publish, QoS, ReasonCode, SubAck,
    Subscribe, SubscribeOptions, Subscription, SubscriptionIds, Unsubscribe, Version,
};
use karere_core::topic::TopicName;
use proptest::prelude::*;

/// What either end could send at any time, sensible or not.
pub(crate) fn packet(version: Version) -> impl Strategy<Value = Packet> {
    let v5 = version.is_v5();
    prop_oneof![
        12 => publish(v5),
        12 => ack(v5),
        2 => subscribe(),
        1 => packet_id().prop_map(unsubscribe),
        2 => (packet_id(), any::<bool>()).prop_map(move |(id, un)| suback(id, un, v5)),
        2 => prop_oneof![Just(Packet::PingReq), Just(Packet::PingResp)],
        1 => rare(v5),
    ]
}

/// As bytes.
pub(crate) fn encode(version: Version, packets: &[Packet]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.encode(version, &mut bytes).expect("a packet of this version");
    }
    bytes
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..6_u16).prop_map(|id| PacketId::new(id).expect("not 0"))
}

fn publish(v5: bool) -> impl Strategy<Value = Packet> {
    let alias = prop::option::weighted(0.2, 1..5_u16);
    (packet_id(), 0..3_u8, any::<bool>(), 0..3_usize, 0..20_usize, alias, any::<bool>()).prop_map(
        move |(packet_id, bits, dup, topic, len, alias, bare)| {
            let qos = QoS::from_bits(bits).expect("0 to 2");
            let numbered = qos > QoS::AtMostOnce;
            let topic_alias = alias.filter(|_| v5).and_then(NonZeroU16::new);
            let topic = match topic_alias {
                Some(_) if bare => TopicName::EMPTY,
                _ => TopicName::new(["t", "t/u", "u"][topic]).expect("a name"),
            };
            Packet::Publish(Publish {
                dup: dup && numbered,
                packet_id: Some(packet_id).filter(|_| numbered),
                topic_alias,
                subscription_ids: SubscriptionIds::EMPTY,
                message: Message {
                    topic,
                    payload: Bytes::from(vec![b'x'; len]),
                    qos,
                    retain: len % 5 == 0,
                    expiry: None,
                    properties: Properties::EMPTY,
                },
            })
        },
    )
}

fn ack(v5: bool) -> impl Strategy<Value = Packet> {
    (packet_id(), 0..4_u8, any::<bool>()).prop_map(move |(packet_id, kind, well)| {
        let reason = match kind {
            _ if well || !v5 => ReasonCode::Success,
            0 | 1 => ReasonCode::UnspecifiedError,
            _ => ReasonCode::PacketIdentifierNotFound,
        };
        let ack = Ack::new(packet_id, reason);
        match kind {
            0 => Packet::PubAck(ack),
            1 => Packet::PubRec(ack),
            2 => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        }
    })
}

fn subscribe() -> impl Strategy<Value = Packet> {
    (packet_id(), 0..4_usize, 0..3_u8).prop_map(|(packet_id, filter, bits)| {
        let filter = Text::new(["t", "t/#", "+", "$share/g/t"][filter]).expect("a text");
        let options = SubscribeOptions::new(QoS::from_bits(bits).expect("0 to 2"));
        let subscriptions = vec![Subscription { filter, options }];
        let (subscription_id, properties) = (None, Properties::EMPTY);
        Packet::Subscribe(Subscribe { packet_id, subscriptions, subscription_id, properties })
    })
}

fn unsubscribe(packet_id: PacketId) -> Packet {
    let filters = vec![Text::new("t").expect("a text")];
    Packet::Unsubscribe(Unsubscribe { packet_id, filters, properties: Properties::EMPTY })
}

fn suback(packet_id: PacketId, un: bool, v5: bool) -> Packet {
    let reasons = if un && !v5 { Vec::new() } else { vec![ReasonCode::Success] };
    let suback = SubAck { packet_id, reasons, properties: Properties::EMPTY };
    if un { Packet::UnsubAck(suback) } else { Packet::SubAck(suback) }
}

fn rare(v5: bool) -> impl Strategy<Value = Packet> {
    let bare = Auth { reason: ReasonCode::Success, properties: Properties::EMPTY };
    let connack =
        ConnAck { session_present: false, reason: ReasonCode::Success, properties: Properties::EMPTY };
    prop_oneof![
        Just(Packet::Disconnect(Disconnect::normal())),
        Just(Packet::ConnAck(connack.into())),
        Just(if v5 { Packet::Auth(bare) } else { Packet::PingReq }),
    ]
}
