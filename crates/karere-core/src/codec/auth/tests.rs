use super::*;
use crate::codec::{
    Packet, Property,
    testing::{MALFORMED, PROTOCOL_ERROR, encode_error, properties, refused, same},
};

#[test]
fn a_step_names_the_method_and_carries_data() {
    let packet = Packet::Auth(Auth {
        reason: ReasonCode::ContinueAuthentication,
        properties: properties([Property::AuthenticationMethod("M"), Property::AuthenticationData(&[1, 2])]),
    });
    same(Version::V5, &[0xF0, 11, 0x18, 9, 0x15, 0, 1, b'M', 0x16, 0, 2, 1, 2], &packet);
}

#[test]
fn a_bare_success_is_two_bytes() {
    let packet = Packet::Auth(Auth { reason: ReasonCode::Success, properties: Properties::EMPTY });
    same(Version::V5, &[0xF0, 0], &packet);
}

#[test]
fn the_method_may_not_be_missing() {
    assert_eq!(refused(Version::V5, &[0xF0, 2, 0x18, 0]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0xF0, 2, 0, 0]), PROTOCOL_ERROR);
    let packet = Packet::Auth(Auth { reason: ReasonCode::ReAuthenticate, properties: Properties::EMPTY });
    assert!(matches!(encode_error(Version::V5, &packet), EncodeError::Invalid { .. }));
}

#[test]
fn a_reason_of_other_packets_is_a_protocol_error() {
    assert_eq!(refused(Version::V5, &[0xF0, 6, 0x87, 4, 0x15, 0, 1, b'M']), PROTOCOL_ERROR);
    let packet = Packet::Auth(Auth {
        reason: ReasonCode::NotAuthorized,
        properties: properties([Property::AuthenticationMethod("M")]),
    });
    assert!(matches!(encode_error(Version::V5, &packet), EncodeError::Invalid { .. }));
}

#[test]
fn an_auth_that_is_cut_or_goes_on_is_malformed() {
    assert_eq!(refused(Version::V5, &[0xF0, 1, 0x18]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0xF0, 7, 0x18, 4, 0x15, 0, 1, b'M', 0]), MALFORMED);
}

#[test]
fn version_3_has_no_auth() {
    assert_eq!(refused(Version::V311, &[0xF0, 0]), MALFORMED);
    let packet = Packet::Auth(Auth { reason: ReasonCode::Success, properties: Properties::EMPTY });
    assert_eq!(encode_error(Version::V31, &packet), EncodeError::NotInVersion { what: "AUTH" });
}
