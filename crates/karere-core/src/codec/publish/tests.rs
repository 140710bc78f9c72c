use std::{vec, vec::Vec};

use super::*;
use crate::codec::{
    Packet,
    testing::{
        MALFORMED, PROTOCOL_ERROR, decode, encode, encode_error, frame, id, properties, refused, same,
        string, topic,
    },
};

fn publish(name: &str, payload: &'static [u8]) -> Publish {
    Publish {
        dup: false,
        packet_id: None,
        topic_alias: None,
        subscription_ids: SubscriptionIds::EMPTY,
        message: Message {
            topic: topic(name),
            payload: Bytes::from_static(payload),
            qos: QoS::AtMostOnce,
            retain: false,
            expiry: None,
            properties: Properties::EMPTY,
        },
    }
}

fn acknowledged(name: &str, payload: &'static [u8], qos: QoS, packet_id: u16) -> Publish {
    let mut publish = publish(name, payload);
    publish.packet_id = Some(id(packet_id));
    publish.message.qos = qos;
    publish
}

fn decode_publish(frame: Bytes) -> Publish {
    match Packet::decode(Version::V5, frame) {
        Ok(Packet::Publish(publish)) => publish,
        other => panic!("{other:?}"),
    }
}

/// A version 5 frame of QoS 0 to "a" with this block of properties and payload "p".
fn with_block(block: &[u8]) -> Vec<u8> {
    let len = u8::try_from(block.len()).unwrap();
    frame(0x30, &[&string("a"), &[len][..], block, b"p"].concat())
}

#[test]
fn the_specifications_example_has_topic_and_packet_identifier() {
    // Figure 3-9: topic "a/b", packet identifier 10, no properties.
    let packet = Packet::Publish(acknowledged("a/b", b"", QoS::AtLeastOnce, 10));
    same(Version::V5, &[0x32, 0x08, 0, 3, b'a', b'/', b'b', 0, 10, 0], &packet);
    same(Version::V311, &[0x32, 0x07, 0, 3, b'a', b'/', b'b', 0, 10], &packet);
    same(Version::V31, &[0x32, 0x07, 0, 3, b'a', b'/', b'b', 0, 10], &packet);
}

#[test]
fn the_payload_is_what_is_left() {
    let packet = Packet::Publish(publish("a/b", b"hello"));
    same(Version::V311, b"\x30\x0A\x00\x03a/bhello", &packet);
    same(Version::V5, b"\x30\x0B\x00\x03a/b\x00hello", &packet);
}

#[test]
fn the_flags_are_dup_qos_and_retain() {
    let mut publish = acknowledged("a", b"", QoS::ExactlyOnce, 1);
    publish.dup = true;
    publish.message.retain = true;
    same(Version::V311, &[0x3D, 0x05, 0, 1, b'a', 0, 1], &Packet::Publish(publish));
}

#[test]
fn qos_3_is_malformed_with_and_without_an_identifier() {
    for first in [0x36, 0x37, 0x3E, 0x3F] {
        assert_eq!(refused(Version::V5, &frame(first, &[0, 1, b'a', 0, 1, 0])), MALFORMED);
        assert_eq!(refused(Version::V311, &frame(first, &[0, 1, b'a'])), MALFORMED);
    }
}

#[test]
fn dup_with_qos_0_is_malformed() {
    assert_eq!(refused(Version::V5, &frame(0x38, &[0, 1, b'a', 0])), MALFORMED);
    assert_eq!(refused(Version::V311, &frame(0x39, &[0, 1, b'a'])), MALFORMED);
}

#[test]
fn packet_identifier_0_is_a_protocol_error() {
    assert_eq!(refused(Version::V5, &frame(0x32, &[0, 1, b'a', 0, 0, 0])), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V311, &frame(0x34, &[0, 1, b'a', 0, 0])), PROTOCOL_ERROR);
}

#[test]
fn a_frame_that_ends_before_its_fields_is_malformed() {
    let whole = &[0, 3, b'a', b'/', b'b', 0, 10, 2, 0x01, 1];
    assert!(decode(Version::V5, &frame(0x32, whole)).is_ok());
    for len in 0..whole.len() {
        assert_eq!(refused(Version::V5, &frame(0x32, &whole[..len])), MALFORMED, "cut to {len}");
    }
    assert_eq!(refused(Version::V311, &frame(0x32, &[0, 1, b'a', 0])), MALFORMED, "half an identifier");
    assert_eq!(refused(Version::V311, &frame(0x30, &[0xFF, 0xFF, b'a'])), MALFORMED, "a topic past the end");
    assert_eq!(
        refused(Version::V5, &frame(0x30, &[0, 1, b'a', 5, 1, 1])),
        MALFORMED,
        "properties past the end"
    );
}

#[test]
fn an_empty_topic_needs_an_alias() {
    assert_eq!(refused(Version::V5, &frame(0x30, &[0, 0, 0])), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V311, &frame(0x30, &[0, 0])), PROTOCOL_ERROR);
    let aliased = decode_publish(Bytes::from(frame(0x30, &[0, 0, 3, 0x23, 0, 9])));
    assert_eq!(aliased.message.topic, TopicName::EMPTY);
    assert_eq!(aliased.topic_alias, NonZeroU16::new(9));
}

#[test]
fn a_wildcard_in_the_topic_is_an_invalid_topic_name() {
    for name in ["#", "a/+", "a/#", "+/b", "a+b"] {
        assert_eq!(refused(Version::V311, &frame(0x30, &string(name))), 0x90, "{name}");
        assert_eq!(refused(Version::V5, &frame(0x30, &[&string(name)[..], &[0]].concat())), 0x90, "{name}");
    }
}

#[test]
fn a_topic_that_is_no_string_is_malformed() {
    for bad in [&[0xFF][..], &[0xED, 0xA0, 0x80], &[0xC0, 0x80], b"a\0b", &[0xE2, 0x82]] {
        let body = [&[0, u8::try_from(bad.len()).unwrap()][..], bad, &[0]].concat();
        assert_eq!(refused(Version::V5, &frame(0x30, &body)), MALFORMED, "{bad:x?}");
    }
}

#[test]
fn topic_alias_0_is_an_invalid_topic_alias() {
    assert_eq!(refused(Version::V5, &with_block(&[0x23, 0, 0])), 0x94);
}

#[test]
fn what_belongs_to_the_connection_leaves_the_properties() {
    let block = [
        &[0x23, 0, 5][..],    // Topic Alias
        &[0x02, 0, 0, 0, 60], // Message Expiry Interval
        &[0x0B, 0x80, 0x01],  // Subscription Identifier 128
        &[0x0B, 7],           // Subscription Identifier 7
    ]
    .concat();
    let publish = decode_publish(Bytes::from(with_block(&block)));
    assert_eq!(publish.topic_alias, NonZeroU16::new(5));
    assert_eq!(publish.message.expiry, Some(60));
    assert_eq!(publish.subscription_ids.as_slice(), [128, 7]);
    assert_eq!(publish.message.properties, Properties::EMPTY);
    assert_eq!(encode(Version::V5, &Packet::Publish(publish)), with_block(&block));
}

#[test]
fn what_is_left_of_the_properties_keeps_its_order() {
    let block = [
        &[0x26, 0, 1, b'a', 0, 1, b'1'][..],
        &[0x23, 0, 5],
        &[0x26, 0, 1, b'b', 0, 1, b'2'],
        &[0x0B, 7],
        &[0x01, 1],
    ]
    .concat();
    let publish = decode_publish(Bytes::from(with_block(&block)));
    let left = [
        Property::UserProperty("a", "1"),
        Property::UserProperty("b", "2"),
        Property::PayloadFormatIndicator(true),
    ];
    assert_eq!(publish.message.properties, properties(left));
    assert_eq!(publish.message.payload, b"p"[..]);
}

#[test]
fn topic_properties_and_payload_are_slices_of_the_frame() {
    let wire = Bytes::from(with_block(&[0x23, 0, 5, 0x01, 1, 0x03, 0, 1, b'x', 0x02, 0, 0, 0, 60]));
    let publish = decode_publish(wire.clone());
    assert_eq!(publish.message.topic.as_text().as_bytes().as_ptr(), wire[4..].as_ptr());
    assert_eq!(publish.message.properties.as_bytes().as_ptr(), wire[9..].as_ptr());
    assert_eq!(publish.message.properties.len(), 6);
    assert_eq!(publish.message.payload.as_ptr(), wire[wire.len() - 1..].as_ptr());
}

#[test]
fn version_3_has_no_words_for_properties_and_leaves_them_out() {
    let mut publish = publish("a", b"p");
    publish.message.expiry = Some(60);
    publish.subscription_ids.push(7);
    publish.message.properties = properties([Property::ContentType("x")]);
    publish.topic_alias = NonZeroU16::new(1);
    assert_eq!(encode(Version::V311, &Packet::Publish(publish)), b"\x30\x04\x00\x01ap");
}

#[test]
fn what_no_packet_may_be_is_not_encoded() {
    let plain = || publish("a", b"");
    let with = |change: fn(&mut Publish)| {
        let mut publish = plain();
        change(&mut publish);
        encode_error(Version::V5, &Packet::Publish(publish))
    };
    let invalid = |error| matches!(error, EncodeError::Invalid { .. });
    assert!(invalid(with(|publish| publish.dup = true)));
    assert!(invalid(with(|publish| publish.packet_id = PacketId::new(1))));
    assert!(invalid(with(|publish| publish.message.qos = QoS::AtLeastOnce)));
    assert!(invalid(with(|publish| publish.message.topic = TopicName::EMPTY)));
    for id in [0, 268_435_456] {
        let mut publish = plain();
        publish.subscription_ids.push(id);
        let error = encode_error(Version::V5, &Packet::Publish(publish));
        assert!(matches!(error, EncodeError::Property { id: PropertyId::SubscriptionIdentifier, .. }));
    }
}

#[test]
fn an_alias_alone_is_no_topic_for_version_3() {
    let mut publish = publish("a", b"");
    publish.message.topic = TopicName::EMPTY;
    publish.topic_alias = NonZeroU16::new(1);
    assert!(matches!(encode_error(Version::V311, &Packet::Publish(publish)), EncodeError::Invalid { .. }));
}

static NONE: Properties = Properties::EMPTY;

fn header(topic: &str, payload_len: usize) -> PublishHeader<'_> {
    PublishHeader {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        packet_id: None,
        topic,
        topic_alias: None,
        expiry: None,
        subscription_ids: &[],
        properties: &NONE,
        payload_len,
    }
}

#[test]
fn a_header_counts_the_payload_that_it_does_not_write() {
    let header = header("a/b", 70_000);
    let mut out = BytesMut::new();
    header.encode(Version::V5, &mut out).unwrap();
    assert_eq!(out, [0x30, 0xF6, 0xA2, 0x04, 0, 3, b'a', b'/', b'b', 0][..]);
    assert_eq!(header.encoded_len(Version::V5), Ok(out.len() + 70_000));
}

#[test]
fn a_header_with_room_before_it_does_not_move_what_is_there() {
    let mut out = BytesMut::with_capacity(64);
    out.put_slice(b"before");
    let at = out.as_ptr();
    header("a/b", 1000).encode(Version::V5, &mut out).unwrap();
    assert_eq!(out.as_ptr(), at);
    assert_eq!(out.len(), 6 + 9);
}

#[test]
fn a_topic_too_long_is_refused_and_not_cut() {
    let name = "a".repeat(65_536);
    let mut out = BytesMut::new();
    let error = EncodeError::TooLong { what: "topic name", len: 65_536 };
    assert_eq!(header(&name, 0).encode(Version::V311, &mut out), Err(error));
    assert_eq!(header(&name[1..], 0).encode(Version::V311, &mut out), Ok(()));
}

#[test]
fn a_packet_is_at_most_268_435_455_bytes() {
    let most = 268_435_455 - 4;
    assert_eq!(header("a", most).encoded_len(Version::V5), Ok(268_435_460));
    assert_eq!(
        header("a", most + 1).encoded_len(Version::V5),
        Err(EncodeError::PacketTooLarge { len: 268_435_456 })
    );
    assert!(header("a", usize::MAX).encode(Version::V311, &mut BytesMut::new()).is_err());
}

#[test]
fn every_version_5_property_of_a_message_is_carried() {
    let block = vec![
        Property::PayloadFormatIndicator(true),
        Property::ContentType("text/plain"),
        Property::ResponseTopic("answer"),
        Property::CorrelationData(&[0, 1]),
        Property::UserProperty("k", "v"),
    ];
    let mut publish = acknowledged("a", b"p", QoS::ExactlyOnce, 0xFFFF);
    publish.message.properties = Properties::from_properties(block).unwrap();
    let bytes = encode(Version::V5, &Packet::Publish(publish.clone()));
    assert_eq!(decode(Version::V5, &bytes), Ok(Packet::Publish(publish)));
}
