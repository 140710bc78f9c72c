use std::vec;

use super::*;
use crate::codec::{
    Packet, Property,
    testing::{MALFORMED, PROTOCOL_ERROR, encode, encode_error, id, properties, refused, same},
};

fn acked(reasons: Vec<ReasonCode>) -> SubAck {
    SubAck { packet_id: id(10), reasons, properties: Properties::EMPTY }
}

#[test]
fn a_suback_answers_each_filter_in_order() {
    let packet = Packet::SubAck(acked(vec![
        ReasonCode::GrantedQoS2,
        ReasonCode::GRANTED_QOS_0,
        ReasonCode::UnspecifiedError,
    ]));
    same(Version::V311, &[0x90, 5, 0, 10, 2, 0, 0x80], &packet);
    same(Version::V5, &[0x90, 6, 0, 10, 0, 2, 0, 0x80], &packet);
}

#[test]
fn version_3_knows_one_failure() {
    let packet = Packet::SubAck(acked(vec![ReasonCode::TopicFilterInvalid, ReasonCode::GrantedQoS1]));
    assert_eq!(encode(Version::V311, &packet), [0x90, 4, 0, 10, 0x80, 1]);
    for code in [3, 0x7F, 0x81, 0x87, 0xFF] {
        assert_eq!(refused(Version::V311, &[0x90, 3, 0, 10, code]), PROTOCOL_ERROR);
    }
}

#[test]
fn an_unsuback_of_version_3_answers_all_at_once() {
    same(Version::V311, &[0xB0, 2, 0, 10], &Packet::UnsubAck(acked(vec![])));
    let packet = Packet::UnsubAck(acked(vec![ReasonCode::NoSubscriptionExisted]));
    assert_eq!(encode(Version::V31, &packet), [0xB0, 2, 0, 10]);
    assert_eq!(refused(Version::V311, &[0xB0, 3, 0, 10, 0]), MALFORMED);
}

#[test]
fn an_unsuback_of_version_5_answers_each_filter() {
    let packet = Packet::UnsubAck(acked(vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted]));
    same(Version::V5, &[0xB0, 5, 0, 10, 0, 0, 0x11], &packet);
}

#[test]
fn properties_stand_before_the_answers() {
    let mut suback = acked(vec![ReasonCode::NotAuthorized]);
    suback.properties = properties([Property::UserProperty("a", "b")]);
    same(
        Version::V5,
        &[0x90, 11, 0, 10, 7, 0x26, 0, 1, b'a', 0, 1, b'b', 0x87],
        &Packet::SubAck(suback.clone()),
    );
    assert_eq!(encode(Version::V311, &Packet::SubAck(suback)), [0x90, 3, 0, 10, 0x80]);
}

#[test]
fn no_answer_at_all_is_a_protocol_error() {
    assert_eq!(refused(Version::V311, &[0x90, 2, 0, 10]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0x90, 3, 0, 10, 0]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0xB0, 3, 0, 10, 0]), PROTOCOL_ERROR);
    assert!(matches!(
        encode_error(Version::V5, &Packet::UnsubAck(acked(vec![]))),
        EncodeError::Invalid { .. }
    ));
}

#[test]
fn each_of_the_two_has_its_own_reasons() {
    assert_eq!(refused(Version::V5, &[0x90, 4, 0, 10, 0, 0x11]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0xB0, 4, 0, 10, 0, 0x01]), PROTOCOL_ERROR);
    let packet = Packet::UnsubAck(acked(vec![ReasonCode::GrantedQoS1]));
    assert!(matches!(encode_error(Version::V5, &packet), EncodeError::Invalid { .. }));
}

#[test]
fn an_identifier_of_0_is_a_protocol_error() {
    assert_eq!(refused(Version::V311, &[0x90, 3, 0, 0, 0]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0xB0, 4, 0, 0, 0, 0]), PROTOCOL_ERROR);
}
