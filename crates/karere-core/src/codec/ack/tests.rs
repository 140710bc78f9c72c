use super::*;
use crate::codec::{
    Packet, Property,
    testing::{MALFORMED, PROTOCOL_ERROR, decode, encode, encode_error, id, properties, refused, same},
};

type Make = fn(Ack) -> Packet;

const KINDS: [(u8, Make); 4] =
    [(0x40, Packet::PubAck), (0x50, Packet::PubRec), (0x62, Packet::PubRel), (0x70, Packet::PubComp)];

#[test]
fn success_is_four_bytes_in_every_version() {
    for (first, make) in KINDS {
        for version in [Version::V31, Version::V311, Version::V5] {
            same(version, &[first, 2, 0x12, 0x34], &make(Ack::success(id(0x1234))));
        }
    }
}

#[test]
fn a_reason_without_properties_needs_no_property_length() {
    let ack = Ack::new(id(1), ReasonCode::NotAuthorized);
    same(Version::V5, &[0x40, 3, 0, 1, 0x87], &Packet::PubAck(ack));
    let ack = Ack::new(id(1), ReasonCode::PacketIdentifierNotFound);
    same(Version::V5, &[0x62, 3, 0, 1, 0x92], &Packet::PubRel(ack));
}

#[test]
fn success_may_be_written_out() {
    let packet = Packet::PubAck(Ack::success(id(1)));
    assert_eq!(decode(Version::V5, &[0x40, 3, 0, 1, 0]).as_ref(), Ok(&packet));
    assert_eq!(decode(Version::V5, &[0x40, 4, 0, 1, 0, 0]).as_ref(), Ok(&packet));
}

#[test]
fn properties_follow_the_reason() {
    let ack = Ack {
        packet_id: id(1),
        reason: ReasonCode::QuotaExceeded,
        properties: properties([Property::ReasonString("no")]),
    };
    same(Version::V5, &[0x50, 9, 0, 1, 0x97, 5, 0x1F, 0, 2, b'n', b'o'], &Packet::PubRec(ack));
}

#[test]
fn an_identifier_of_0_is_a_protocol_error() {
    for (first, _) in KINDS {
        assert_eq!(refused(Version::V311, &[first, 2, 0, 0]), PROTOCOL_ERROR);
        assert_eq!(refused(Version::V5, &[first, 3, 0, 0, 0]), PROTOCOL_ERROR);
    }
}

#[test]
fn version_3_has_exactly_two_bytes() {
    for (first, _) in KINDS {
        for version in [Version::V31, Version::V311] {
            assert_eq!(refused(version, &[first, 0]), MALFORMED);
            assert_eq!(refused(version, &[first, 1, 0]), MALFORMED);
            assert_eq!(refused(version, &[first, 3, 0, 1, 0]), MALFORMED);
            assert_eq!(refused(version, &[first, 4, 0, 1, 0, 0]), MALFORMED);
        }
    }
}

#[test]
fn what_is_cut_or_goes_on_is_malformed() {
    assert_eq!(refused(Version::V5, &[0x40, 1, 0]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0x40, 5, 0, 1, 0, 0, 0]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0x40, 4, 0, 1, 0, 5]), MALFORMED);
}

#[test]
fn a_reason_that_the_packet_may_not_carry_is_a_protocol_error() {
    assert_eq!(refused(Version::V5, &[0x40, 3, 0, 1, 0x92]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0x70, 3, 0, 1, 0x10]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0x40, 3, 0, 1, 0x7F]), PROTOCOL_ERROR);
    let ack = Ack::new(id(1), ReasonCode::PacketIdentifierNotFound);
    assert!(matches!(encode_error(Version::V5, &Packet::PubAck(ack)), EncodeError::Invalid { .. }));
}

#[test]
fn a_property_that_the_packet_may_not_carry_is_refused() {
    assert_eq!(refused(Version::V5, &[0x40, 6, 0, 1, 0, 2, 0x01, 1]), MALFORMED);
    let mut ack = Ack::success(id(1));
    ack.properties = properties([Property::ContentType("x")]);
    assert!(matches!(encode_error(Version::V5, &Packet::PubComp(ack)), EncodeError::Property { .. }));
}

#[test]
fn version_3_has_no_words_for_a_reason_and_leaves_it_out() {
    let ack = Ack {
        packet_id: id(7),
        reason: ReasonCode::NotAuthorized,
        properties: properties([Property::ReasonString("no")]),
    };
    assert_eq!(encode(Version::V311, &Packet::PubAck(ack)), [0x40, 2, 0, 7]);
}

#[test]
fn only_the_four_are_acknowledgements_of_a_publish() {
    let ack = Ack::success(id(1));
    let mut out = BytesMut::new();
    for kind in [PacketType::Publish, PacketType::SubAck, PacketType::Connect] {
        assert!(encode_ack(kind, &ack, Version::V5, &mut out).is_err());
        assert!(decode_ack(kind, Version::V5, &[0, 1]).is_err());
    }
    assert!(out.is_empty());
}
