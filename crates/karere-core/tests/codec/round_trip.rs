//! What is encoded is decoded to the same packet.

use bytes::{Bytes, BytesMut};
use karere_core::{
    Error,
    codec::{FixedHeader, Message, Packet, PacketType, PropertyOwner, Version},
};
use proptest::prelude::*;

use crate::generate::{VERSIONS, config, packet, packet_of, properties, version};

pub(crate) fn encode(packet: &Packet, version: Version) -> Bytes {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).unwrap();
    out.freeze()
}

/// `count` packets of a type are decoded as they were encoded.
fn comes_back(kind: PacketType) {
    for version in VERSIONS {
        if kind == PacketType::Auth && !version.is_v5() {
            continue;
        }
        proptest!(config(), |(packet in packet_of(kind, version))| {
            let frame = encode(&packet, version);
            prop_assert_eq!(packet.packet_type(), kind);
            prop_assert_eq!(packet.encoded_len(version), Ok(frame.len()));
            prop_assert_eq!(FixedHeader::peek(&frame).unwrap().unwrap().frame_len(), frame.len());
            prop_assert_eq!(Packet::decode(version, frame), Ok(packet));
        });
    }
}

#[test]
fn a_connect_comes_back() {
    comes_back(PacketType::Connect);
}

#[test]
fn a_connack_comes_back() {
    comes_back(PacketType::ConnAck);
}

#[test]
fn a_publish_comes_back() {
    comes_back(PacketType::Publish);
}

#[test]
fn the_four_acknowledgements_come_back() {
    for kind in [PacketType::PubAck, PacketType::PubRec, PacketType::PubRel, PacketType::PubComp] {
        comes_back(kind);
    }
}

#[test]
fn a_subscribe_and_a_suback_come_back() {
    comes_back(PacketType::Subscribe);
    comes_back(PacketType::SubAck);
}

#[test]
fn an_unsubscribe_and_an_unsuback_come_back() {
    comes_back(PacketType::Unsubscribe);
    comes_back(PacketType::UnsubAck);
}

#[test]
fn pings_a_disconnect_and_an_auth_come_back() {
    for kind in [PacketType::PingReq, PacketType::PingResp, PacketType::Disconnect, PacketType::Auth] {
        comes_back(kind);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn packets_behind_each_other_are_told_apart(
        (version, packets) in version().prop_flat_map(|version| {
            (Just(version), prop::collection::vec(packet(version), 1..6))
        })
    ) {
        let mut stream = BytesMut::new();
        for packet in &packets {
            packet.encode(version, &mut stream).unwrap();
        }
        let mut decoded = vec![];
        while let Some(header) = FixedHeader::peek(&stream).unwrap() {
            decoded.push(Packet::decode(version, stream.split_to(header.frame_len()).freeze()).unwrap());
        }
        prop_assert_eq!(decoded, packets);
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused_whole(
        (version, packet) in version().prop_flat_map(|version| (Just(version), packet(version))),
        cut in any::<prop::sample::Index>(),
    ) {
        let frame = encode(&packet, version);
        let part = frame.slice(..cut.index(frame.len()));
        prop_assert!(matches!(Packet::decode(version, part), Err(Error::Malformed(_))));
    }

    #[test]
    fn a_compact_message_is_the_same(packet in packet_of(PacketType::Publish, Version::V5)) {
        let Packet::Publish(publish) = packet else { unreachable!() };
        let compact: Message = publish.message.compact();
        prop_assert_eq!(compact, publish.message);
    }

    #[test]
    fn taking_properties_out_leaves_the_others(
        block in properties(PropertyOwner::Message),
        ids in prop::sample::subsequence(karere_core::codec::PropertyId::ALL, 0..27),
    ) {
        let without = block.without(&ids);
        let expected: Vec<_> = block.iter().filter(|property| !ids.contains(&property.id())).collect();
        prop_assert_eq!(without.iter().collect::<Vec<_>>(), expected);
    }
}
