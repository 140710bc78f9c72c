use std::vec;

use super::*;
use crate::codec::{
    Packet,
    testing::{
        MALFORMED, PROTOCOL_ERROR, decode, encode, encode_error, frame, id, properties, refused, same,
        string, text,
    },
};

fn subscribe(subscriptions: &[(&str, SubscribeOptions)]) -> Subscribe {
    let subscription = |&(filter, options): &(&str, _)| Subscription { filter: text(filter), options };
    Subscribe {
        packet_id: id(10),
        subscriptions: subscriptions.iter().map(subscription).collect(),
        subscription_id: None,
        properties: Properties::EMPTY,
    }
}

/// A version 5 frame for one filter with these options.
fn with_options(filter: &str, options: u8) -> Vec<u8> {
    frame(0x82, &[&[0, 10, 0][..], &string(filter), &[options]].concat())
}

#[test]
fn the_specifications_example_has_two_filters() {
    // Figures 3-19 and 3-21: packet identifier 10, "a/b" with QoS 1, "c/d" with QoS 2.
    let packet = Packet::Subscribe(subscribe(&[
        ("a/b", SubscribeOptions::new(QoS::AtLeastOnce)),
        ("c/d", SubscribeOptions::new(QoS::ExactlyOnce)),
    ]));
    same(Version::V5, b"\x82\x0F\x00\x0A\x00\x00\x03a/b\x01\x00\x03c/d\x02", &packet);
    same(Version::V311, b"\x82\x0E\x00\x0A\x00\x03a/b\x01\x00\x03c/d\x02", &packet);
}

#[test]
fn each_option_has_its_bits() {
    let options = SubscribeOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: false,
        retain_handling: RetainHandling::DoNotSend,
    };
    same(Version::V5, &with_options("a", 0b0010_0110), &Packet::Subscribe(subscribe(&[("a", options)])));
    let options = SubscribeOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: true,
        retain_handling: RetainHandling::SendIfNew,
    };
    same(Version::V5, &with_options("a", 0b0001_1000), &Packet::Subscribe(subscribe(&[("a", options)])));
    for bits in 0..=0xFF {
        if let Some(options) = SubscribeOptions::from_bits(bits) {
            assert_eq!(options.bits(), bits);
        }
    }
}

#[test]
fn options_that_do_not_exist_are_refused() {
    assert_eq!(refused(Version::V5, &with_options("a", 0b0100_0000)), MALFORMED, "reserved");
    assert_eq!(refused(Version::V5, &with_options("a", 0b1000_0000)), MALFORMED, "reserved");
    assert_eq!(refused(Version::V5, &with_options("a", 0b0000_0011)), PROTOCOL_ERROR, "QoS 3");
    assert_eq!(refused(Version::V5, &with_options("a", 0b0011_0000)), PROTOCOL_ERROR, "Retain Handling 3");
    for options in 3..=0xFF {
        assert_eq!(refused(Version::V311, &frame(0x82, &[0, 10, 0, 1, b'a', options])), MALFORMED);
    }
}

#[test]
fn a_shared_subscription_cannot_leave_out_its_own_messages() {
    assert_eq!(refused(Version::V5, &with_options("$share/g/a", 0b100)), PROTOCOL_ERROR);
    assert!(decode(Version::V5, &with_options("$share/g/a", 0b1000)).is_ok());
    let options = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
    let packet = Packet::Subscribe(subscribe(&[("$share/g/a", options)]));
    assert!(matches!(encode_error(Version::V5, &packet), EncodeError::Invalid { .. }));
}

#[test]
fn the_subscription_identifier_is_a_field() {
    let mut subscribe = subscribe(&[("a", SubscribeOptions::default())]);
    subscribe.subscription_id = Some(128);
    subscribe.properties = properties([Property::UserProperty("k", "v")]);
    let bytes = b"\x82\x11\x00\x0A\x0A\x0B\x80\x01\x26\x00\x01k\x00\x01v\x00\x01a\x00";
    same(Version::V5, bytes, &Packet::Subscribe(subscribe.clone()));
    subscribe.properties = properties([Property::SubscriptionIdentifier(5)]);
    assert!(
        encode(Version::V5, &Packet::Subscribe(Subscribe { subscription_id: None, ..subscribe.clone() }))
            .len()
            > 4
    );
    assert!(matches!(encode_error(Version::V5, &Packet::Subscribe(subscribe)), EncodeError::Property { .. }));
}

#[test]
fn a_subscription_identifier_is_neither_0_nor_twice_there() {
    let with_block = |block: &[u8]| {
        let len = u8::try_from(block.len()).unwrap();
        frame(0x82, &[&[0, 10, len][..], block, &[0, 1, b'a', 0]].concat())
    };
    assert_eq!(refused(Version::V5, &with_block(&[0x0B, 0])), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &with_block(&[0x0B, 1, 0x0B, 2])), PROTOCOL_ERROR);
    for id in [0, 268_435_456] {
        let mut subscribe = subscribe(&[("a", SubscribeOptions::default())]);
        subscribe.subscription_id = Some(id);
        assert!(matches!(
            encode_error(Version::V5, &Packet::Subscribe(subscribe)),
            EncodeError::Property { .. }
        ));
    }
}

#[test]
fn a_subscribe_without_a_filter_is_a_protocol_error() {
    assert_eq!(refused(Version::V311, &[0x82, 2, 0, 10]), PROTOCOL_ERROR);
    assert_eq!(refused(Version::V5, &[0x82, 3, 0, 10, 0]), PROTOCOL_ERROR);
    assert!(matches!(
        encode_error(Version::V5, &Packet::Subscribe(subscribe(&[]))),
        EncodeError::Invalid { .. }
    ));
}

#[test]
fn a_subscribe_that_ends_after_a_filter_is_malformed() {
    assert_eq!(refused(Version::V311, &[0x82, 5, 0, 10, 0, 1, b'a']), MALFORMED);
    assert_eq!(refused(Version::V5, &[0x82, 6, 0, 10, 0, 0, 1, b'a']), MALFORMED);
    assert_eq!(refused(Version::V311, &[0x82, 5, 0, 10, 0, 2, b'a']), MALFORMED);
}

#[test]
fn an_identifier_of_0_is_a_protocol_error() {
    assert_eq!(refused(Version::V311, &[0x82, 6, 0, 0, 0, 1, b'a', 0]), PROTOCOL_ERROR);
}

#[test]
fn a_filter_that_is_no_filter_is_for_the_suback_to_answer() {
    for filter in ["", "a/#/b", "a#", "$share", "$share//a"] {
        let expected = Packet::Subscribe(subscribe(&[(filter, SubscribeOptions::default())]));
        assert_eq!(decode(Version::V5, &with_options(filter, 0)), Ok(expected), "{filter}");
    }
}

#[test]
fn a_filter_that_is_no_string_is_malformed() {
    assert_eq!(refused(Version::V311, &[0x82, 6, 0, 10, 0, 1, 0xFF, 0]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0x82, 7, 0, 10, 0, 0, 1, 0, 0]), MALFORMED);
}

#[test]
fn version_3_has_no_words_for_most_options_and_refuses_them() {
    let options = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
    let mut refusals = vec![subscribe(&[("a", options)])];
    let mut with_id = subscribe(&[("a", SubscribeOptions::default())]);
    with_id.subscription_id = Some(1);
    refusals.push(with_id);
    let mut with_properties = subscribe(&[("a", SubscribeOptions::default())]);
    with_properties.properties = properties([Property::UserProperty("k", "v")]);
    refusals.push(with_properties);
    for subscribe in refusals {
        let error = encode_error(Version::V311, &Packet::Subscribe(subscribe));
        assert!(matches!(error, EncodeError::NotInVersion { .. }), "{error}");
    }
}
