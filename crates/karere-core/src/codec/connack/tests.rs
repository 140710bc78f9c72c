use std::boxed::Box;

use super::*;
use crate::codec::{
    Packet, Property, QoS,
    testing::{MALFORMED, PROTOCOL_ERROR, decode, encode, encode_error, properties, refused, same},
};

fn connack(session_present: bool, reason: ReasonCode) -> Packet {
    Packet::ConnAck(Box::new(ConnAck { session_present, reason, properties: Properties::EMPTY }))
}

#[test]
fn an_acceptance_tells_whether_the_session_was_there() {
    same(Version::V311, &[0x20, 2, 1, 0], &connack(true, ReasonCode::Success));
    same(Version::V5, &[0x20, 3, 0, 0, 0], &connack(false, ReasonCode::Success));
}

#[test]
fn version_3_1_cannot_tell() {
    assert_eq!(encode(Version::V31, &connack(true, ReasonCode::Success)), [0x20, 2, 0, 0]);
    assert_eq!(decode(Version::V31, &[0x20, 2, 1, 0]), Ok(connack(true, ReasonCode::Success)));
}

#[test]
fn a_refusal_of_version_3_has_a_return_code() {
    same(Version::V311, &[0x20, 2, 0, 1], &connack(false, ReasonCode::UnsupportedProtocolVersion));
    same(Version::V31, &[0x20, 2, 0, 5], &connack(false, ReasonCode::NotAuthorized));
    assert_eq!(encode(Version::V311, &connack(false, ReasonCode::Banned)), [0x20, 2, 0, 5]);
    assert_eq!(encode(Version::V311, &connack(false, ReasonCode::ServerBusy)), [0x20, 2, 0, 3]);
    assert_eq!(refused(Version::V311, &[0x20, 2, 0, 6]), PROTOCOL_ERROR);
}

#[test]
fn what_a_server_offers_stands_in_the_properties() {
    let offer = properties([
        Property::ReceiveMaximum(10),
        Property::MaximumQoS(QoS::AtLeastOnce),
        Property::AssignedClientIdentifier("c1"),
    ]);
    let packet = Packet::ConnAck(Box::new(ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        properties: offer,
    }));
    let bytes = [0x20, 13, 0, 0, 10, 0x21, 0, 10, 0x24, 1, 0x12, 0, 2, b'c', b'1'];
    same(Version::V5, &bytes, &packet);
    assert_eq!(encode(Version::V311, &packet), [0x20, 2, 0, 0]);
}

#[test]
fn reserved_flags_are_malformed() {
    for flags in [2, 3, 0x80, 0xFF] {
        assert_eq!(refused(Version::V5, &[0x20, 3, flags, 0, 0]), MALFORMED);
        assert_eq!(refused(Version::V311, &[0x20, 2, flags, 0]), MALFORMED);
    }
}

#[test]
fn a_server_that_knows_no_version_5_is_understood_when_it_refuses_it() {
    let refusal = connack(false, ReasonCode::UnsupportedProtocolVersion);
    assert_eq!(decode(Version::V5, &[0x20, 2, 0, 1]), Ok(refusal));
    assert_eq!(refused(Version::V5, &[0x20, 2, 0, 6]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0x20, 2, 0, 0]), MALFORMED, "what it accepts it would understand");
}

#[test]
fn a_refusal_has_no_session() {
    assert_eq!(refused(Version::V5, &[0x20, 3, 1, 0x87, 0]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0x20, 2, 1, 1]), PROTOCOL_ERROR);
    let packet = connack(true, ReasonCode::NotAuthorized);
    assert!(matches!(encode_error(Version::V311, &packet), EncodeError::Invalid { .. }));
}

#[test]
fn a_reason_of_other_packets_is_a_protocol_error() {
    assert_eq!(refused(Version::V5, &[0x20, 3, 0, 0x8E, 0]), PROTOCOL_ERROR);
    let packet = connack(false, ReasonCode::SessionTakenOver);
    assert!(matches!(encode_error(Version::V5, &packet), EncodeError::Invalid { .. }));
}

#[test]
fn a_connack_that_is_cut_or_goes_on_is_malformed() {
    assert_eq!(refused(Version::V311, &[0x20, 1, 0]), MALFORMED);
    assert_eq!(refused(Version::V311, &[0x20, 3, 0, 0, 0]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0x20, 2, 0, 0]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0x20, 4, 0, 0, 0, 0]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0x20, 5, 0, 0, 0x80, 0xFF, 0xFF]), MALFORMED);
}

#[test]
fn a_server_that_knows_no_version_5_refuses_it_in_its_own_words() {
    let refused = connack(false, ReasonCode::UnsupportedProtocolVersion);
    assert_eq!(decode(Version::V5, &[0x20, 2, 0, 1]), Ok(refused));
}
