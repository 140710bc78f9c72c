use std::{boxed::Box, vec::Vec};

use super::*;
use crate::codec::{
    Packet,
    testing::{
        MALFORMED, PROTOCOL_ERROR, decode, encode, encode_error, frame, properties, refused, same, string,
        text, topic,
    },
};

fn connect(version: Version) -> Connect {
    Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive: 60,
        client_id: text("c"),
        will: None,
        username: None,
        password: None,
        properties: Properties::EMPTY,
    }
}

fn will(qos: QoS, retain: bool) -> Will {
    let payload = Bytes::from_static(b"bye");
    let message =
        Message { topic: topic("w"), payload, qos, retain, expiry: None, properties: Properties::EMPTY };
    Will { message, delay: 0 }
}

fn packet(connect: Connect) -> Packet {
    Packet::Connect(Box::new(connect))
}

/// A 3.1.1 frame with these flags and what follows the client identifier "c".
fn v311(flags: u8, rest: &[u8]) -> Vec<u8> {
    frame(0x10, &[b"\x00\x04MQTT\x04", &[flags][..], b"\x00\x3C\x00\x01c", rest].concat())
}

/// A version 5 frame with these flags, this block of properties and what follows the client identifier "c".
fn v5(flags: u8, block: &[u8], rest: &[u8]) -> Vec<u8> {
    let len = u8::try_from(block.len()).unwrap();
    frame(0x10, &[b"\x00\x04MQTT\x05", &[flags][..], &[0, 60, len], block, b"\x00\x01c", rest].concat())
}

#[test]
fn each_version_has_its_name_and_level() {
    same(Version::V31, b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01c", &packet(connect(Version::V31)));
    same(Version::V311, b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c", &packet(connect(Version::V311)));
    same(Version::V5, b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01c", &packet(connect(Version::V5)));
}

#[test]
fn a_connect_says_its_own_version() {
    let bytes = encode(Version::V31, &packet(connect(Version::V5)));
    assert_eq!(decode(Version::V31, &bytes), Ok(packet(connect(Version::V5))));
}

#[test]
fn the_fields_follow_in_the_order_of_the_specification() {
    let mut full = connect(Version::V311);
    full.will = Some(will(QoS::AtLeastOnce, true));
    full.username = Some(text("u"));
    full.password = Some(Bytes::from_static(b"p\0"));
    let rest = b"\x00\x01w\x00\x03bye\x00\x01u\x00\x02p\0";
    same(Version::V311, &v311(0b1110_1110, rest), &packet(full));
}

#[test]
fn the_will_delay_and_expiry_of_version_5_are_fields() {
    let mut full = connect(Version::V5);
    let mut last = will(QoS::ExactlyOnce, false);
    last.delay = 5;
    last.message.expiry = Some(6);
    last.message.properties = properties([Property::ContentType("t")]);
    full.will = Some(last);
    full.properties = properties([Property::SessionExpiryInterval(10)]);
    let rest = b"\x0E\x18\x00\x00\x00\x05\x02\x00\x00\x00\x06\x03\x00\x01t\x00\x01w\x00\x03bye";
    same(Version::V5, &v5(0b0001_0110, &[0x11, 0, 0, 0, 10], rest), &packet(full));
}

#[test]
fn a_password_alone_is_version_5() {
    let mut token = connect(Version::V5);
    token.password = Some(Bytes::from_static(b"t"));
    same(Version::V5, &v5(0b0100_0010, &[], b"\x00\x01t"), &packet(token.clone()));
    assert_eq!(refused(Version::V311, &v311(0b0100_0010, b"\x00\x01t")), MALFORMED);
    token.version = Version::V311;
    let error = EncodeError::NotInVersion { what: "a password without a user name" };
    assert_eq!(encode_error(Version::V311, &packet(token)), error);
}

#[test]
fn the_reserved_flag_is_malformed() {
    assert_eq!(refused(Version::V311, &v311(0b11, b"")), MALFORMED);
    assert_eq!(refused(Version::V5, &v5(0b11, &[], b"")), MALFORMED);
}

#[test]
fn will_flags_without_a_will_are_malformed() {
    for flags in [0b0000_1000, 0b0001_0000, 0b0010_0000, 0b0011_1000] {
        assert_eq!(refused(Version::V311, &v311(flags, b"")), MALFORMED, "{flags:#b}");
        assert_eq!(refused(Version::V5, &v5(flags, &[], b"")), MALFORMED, "{flags:#b}");
    }
}

#[test]
fn a_will_with_qos_3_is_malformed() {
    assert_eq!(refused(Version::V311, &v311(0b0001_1100, b"\x00\x01w\x00\x00")), MALFORMED);
    assert_eq!(refused(Version::V5, &v5(0b0001_1100, &[], b"\x00\x00\x01w\x00\x00")), MALFORMED);
}

#[test]
fn a_will_to_a_topic_that_is_none_is_refused() {
    assert_eq!(refused(Version::V311, &v311(0b100, b"\x00\x03w/#\x00\x00")), 0x90);
    assert_eq!(refused(Version::V5, &v5(0b100, &[], b"\x00\x00\x01+\x00\x00")), 0x90);
    assert_eq!(refused(Version::V311, &v311(0b100, b"\x00\x00\x00\x00")), PROTOCOL_ERROR);
}

#[test]
fn a_connect_is_malformed_wherever_it_is_cut() {
    let v5 =
        v5(0b1110_1110, &[0x21, 0, 1], b"\x05\x18\x00\x00\x00\x05\x00\x01w\x00\x03bye\x00\x01u\x00\x02pw");
    let v311 = v311(0b1110_1110, b"\x00\x01w\x00\x03bye\x00\x01u\x00\x02pw");
    for whole in [v5, v311] {
        assert!(decode(Version::V311, &whole).is_ok());
        for len in 0..whole.len() - 2 {
            assert_eq!(refused(Version::V311, &frame(0x10, &whole[2..2 + len])), MALFORMED, "cut to {len}");
        }
    }
}

#[test]
fn a_flag_without_its_field_and_a_field_without_its_flag_are_malformed() {
    assert_eq!(refused(Version::V311, &v311(0b1000_0010, b"")), MALFORMED);
    assert_eq!(refused(Version::V311, &v311(0b0000_0010, b"\x00\x01u")), MALFORMED);
    assert_eq!(refused(Version::V5, &v5(0b0000_0010, &[], b"\x00")), MALFORMED);
}

#[test]
fn another_protocol_name_is_no_mqtt() {
    for name in ["MQTX", "", "mqtt", "MQTTT", "MQIsdq"] {
        let body = [&string(name)[..], b"\x04\x02\x00\x3C\x00\x01c"].concat();
        assert_eq!(refused(Version::V311, &frame(0x10, &body)), MALFORMED, "{name}");
    }
}

#[test]
fn another_level_is_an_unsupported_version() {
    for (name, level) in [("MQTT", 0), ("MQTT", 3), ("MQTT", 6), ("MQTT", 0x85), ("MQTT", 255), ("MQIsdp", 4)]
    {
        let body = [&string(name)[..], &[level], b"\x02\x00\x3C\x00\x01c"].concat();
        assert_eq!(decode(Version::V5, &frame(0x10, &body)), Err(Error::UnsupportedVersion(level)), "{name}");
    }
}

#[test]
fn a_bridge_sets_the_high_bit_of_its_level() {
    let mut bridge = connect(Version::V311);
    bridge.bridge = true;
    same(Version::V311, b"\x10\x0D\x00\x04MQTT\x84\x02\x00\x3C\x00\x01c", &packet(bridge.clone()));
    bridge.version = Version::V31;
    same(Version::V31, b"\x10\x0F\x00\x06MQIsdp\x83\x02\x00\x3C\x00\x01c", &packet(bridge.clone()));
    bridge.version = Version::V5;
    assert_eq!(
        encode_error(Version::V5, &packet(bridge)),
        EncodeError::NotInVersion { what: "the bridge bit" }
    );
}

#[test]
fn the_version_is_told_even_when_the_rest_is_wrong() {
    assert_eq!(Connect::peek_version(&v5(0xFF, &[], b"garbage")), Some(Version::V5));
    assert_eq!(Connect::peek_version(&v311(0x01, b"")), Some(Version::V311));
    assert_eq!(Connect::peek_version(b"\x10\x0D\x00\x04MQTT\x84"), Some(Version::V311));
    assert_eq!(Connect::peek_version(b"\x10\x0D\x00\x04MQTT\x07\x02"), None);
    assert_eq!(Connect::peek_version(b"\x10\x0D\x00\x04MQ"), None);
    assert_eq!(Connect::peek_version(b"\x30\x0D\x00\x04MQTT\x04"), None);
}

#[test]
fn wrong_values_of_properties_are_protocol_errors() {
    let blocks: [&[u8]; 4] =
        [&[0x21, 0, 0], &[0x27, 0, 0, 0, 0], &[0x17, 2], &[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]];
    for block in blocks {
        assert_eq!(refused(Version::V5, &v5(0b10, block, b"")), PROTOCOL_ERROR, "{block:x?}");
    }
}

#[test]
fn authentication_data_needs_a_method() {
    assert_eq!(refused(Version::V5, &v5(0b10, &[0x16, 0, 1, 9], b"")), PROTOCOL_ERROR);
    let mut data = connect(Version::V5);
    data.properties = properties([Property::AuthenticationData(&[9])]);
    assert!(matches!(encode_error(Version::V5, &packet(data)), EncodeError::Invalid { .. }));
}

#[test]
fn strings_that_are_none_are_malformed() {
    assert_eq!(refused(Version::V311, &frame(0x10, b"\x00\x04MQTT\x04\x02\x00\x3C\x00\x01\xFF")), MALFORMED);
    assert_eq!(refused(Version::V311, &v311(0b1000_0010, b"\x00\x01\x00")), MALFORMED);
    assert_eq!(refused(Version::V311, &v311(0b0000_0110, b"\x00\x02\xC0\x80\x00\x00")), MALFORMED);
}

#[test]
fn what_does_not_fit_is_refused_and_not_cut() {
    let long = Bytes::from(std::vec![b'a'; 65_536]);
    let mut with_password = connect(Version::V5);
    with_password.password = Some(long.clone());
    let error = EncodeError::TooLong { what: "password", len: 65_536 };
    assert_eq!(encode_error(Version::V5, &packet(with_password)), error);
    let mut with_will = connect(Version::V5);
    let mut last = will(QoS::AtMostOnce, false);
    last.message.payload = long;
    with_will.will = Some(last);
    let error = EncodeError::TooLong { what: "will payload", len: 65_536 };
    assert_eq!(encode_error(Version::V5, &packet(with_will)), error);
}

#[test]
fn version_3_has_no_words_for_properties_and_refuses_them() {
    let mut with_properties = connect(Version::V311);
    with_properties.properties = properties([Property::SessionExpiryInterval(1)]);
    let mut with_delay = connect(Version::V311);
    with_delay.will = Some(Will { delay: 1, ..will(QoS::AtMostOnce, false) });
    let mut with_expiry = connect(Version::V31);
    let mut last = will(QoS::AtMostOnce, false);
    last.message.expiry = Some(1);
    with_expiry.will = Some(last);
    for connect in [with_properties, with_delay, with_expiry] {
        let error = encode_error(Version::V5, &packet(connect));
        assert!(matches!(error, EncodeError::NotInVersion { .. }), "{error}");
    }
}
