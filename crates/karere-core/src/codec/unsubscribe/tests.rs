use std::vec;

use super::*;
use crate::codec::{
    Packet, Property,
    testing::{MALFORMED, PROTOCOL_ERROR, encode_error, id, properties, refused, same, text},
};

fn unsubscribe(filters: &[&str]) -> Unsubscribe {
    Unsubscribe {
        packet_id: id(10),
        filters: filters.iter().map(|filter| text(filter)).collect(),
        properties: Properties::EMPTY,
    }
}

#[test]
fn the_specifications_example_has_two_filters() {
    // Figure 3-28: "a/b" and "c/d".
    let packet = Packet::Unsubscribe(unsubscribe(&["a/b", "c/d"]));
    same(Version::V5, b"\xA2\x0D\x00\x0A\x00\x00\x03a/b\x00\x03c/d", &packet);
    same(Version::V311, b"\xA2\x0C\x00\x0A\x00\x03a/b\x00\x03c/d", &packet);
}

#[test]
fn user_properties_are_version_5() {
    let mut unsubscribe = unsubscribe(&["a"]);
    unsubscribe.properties = properties([Property::UserProperty("k", "v")]);
    let packet = Packet::Unsubscribe(unsubscribe);
    same(Version::V5, b"\xA2\x0D\x00\x0A\x07\x26\x00\x01k\x00\x01v\x00\x01a", &packet);
    assert_eq!(encode_error(Version::V311, &packet), EncodeError::NotInVersion { what: "a property" });
}

#[test]
fn an_unsubscribe_without_a_filter_is_a_protocol_error() {
    assert_eq!(refused(Version::V311, &[0xA2, 2, 0, 10]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0xA2, 3, 0, 10, 0]), PROTOCOL_ERROR);
    let packet = Packet::Unsubscribe(Unsubscribe { filters: vec![], ..unsubscribe(&[]) });
    assert!(matches!(encode_error(Version::V5, &packet), EncodeError::Invalid { .. }));
}

#[test]
fn an_identifier_of_0_is_a_protocol_error() {
    assert_eq!(refused(Version::V311, &[0xA2, 5, 0, 0, 0, 1, b'a']), PROTOCOL_ERROR);
}

#[test]
fn a_filter_that_is_cut_or_no_string_is_malformed() {
    assert_eq!(refused(Version::V311, &[0xA2, 5, 0, 10, 0, 2, b'a']), MALFORMED);
    assert_eq!(refused(Version::V311, &[0xA2, 3, 0, 10, 0]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0xA2, 6, 0, 10, 0, 0, 1, 0xFF]), MALFORMED);
}
