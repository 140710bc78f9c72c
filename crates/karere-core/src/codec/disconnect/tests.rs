use super::*;
use crate::codec::{
    Packet, Property,
    testing::{MALFORMED, PROTOCOL_ERROR, decode, encode, encode_error, properties, refused, same},
};

#[test]
fn the_normal_end_is_two_bytes_in_every_version() {
    for version in [Version::V31, Version::V311, Version::V5] {
        same(version, &[0xE0, 0], &Packet::Disconnect(Disconnect::normal()));
    }
}

#[test]
fn a_reason_without_properties_needs_no_property_length() {
    let packet = Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver));
    same(Version::V5, &[0xE0, 1, 0x8E], &packet);
    assert_eq!(decode(Version::V5, &[0xE0, 2, 0x8E, 0]), Ok(packet));
}

#[test]
fn the_specifications_example_sets_the_session_expiry_to_0() {
    // Figure 3-24.
    let packet = Packet::Disconnect(Disconnect {
        reason: ReasonCode::NORMAL_DISCONNECTION,
        properties: properties([Property::SessionExpiryInterval(0)]),
    });
    same(Version::V5, &[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0], &packet);
}

#[test]
fn version_3_gives_no_reason() {
    let packet = Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown));
    assert_eq!(encode(Version::V311, &packet), [0xE0, 0]);
    assert_eq!(refused(Version::V311, &[0xE0, 1, 0]), MALFORMED);
    assert_eq!(refused(Version::V31, &[0xE0, 2, 0, 0]), MALFORMED);
}

#[test]
fn a_reason_of_other_packets_is_a_protocol_error() {
    assert_eq!(refused(Version::V5, &[0xE0, 1, 0x01]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0xE0, 1, 0x05]), PROTOCOL_ERROR);
    let packet = Packet::Disconnect(Disconnect::new(ReasonCode::Banned));
    assert!(matches!(encode_error(Version::V5, &packet), EncodeError::Invalid { .. }));
}

#[test]
fn a_disconnect_that_is_cut_or_goes_on_is_malformed() {
    assert_eq!(refused(Version::V5, &[0xE0, 2, 0, 1]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0xE0, 3, 0, 0, 0]), MALFORMED);
}
