use std::{string::ToString, vec, vec::Vec};

use bytes::BufMut;

use super::*;
use crate::codec::{
    QoS,
    testing::{MALFORMED, PROTOCOL_ERROR, properties, too_long},
};

const PUBLISH: PropertyOwner = PropertyOwner::Packet(PacketType::Publish);
const CONNECT: PropertyOwner = PropertyOwner::Packet(PacketType::Connect);
const CONNACK: PropertyOwner = PropertyOwner::Packet(PacketType::ConnAck);

fn decode(owner: PropertyOwner, block: &[u8]) -> Result<Properties, Error> {
    Properties::decode(Bytes::copy_from_slice(block), owner)
}

#[track_caller]
fn refused(owner: PropertyOwner, block: &[u8]) -> u8 {
    decode(owner, block).expect_err("should be refused").reason_code().as_u8()
}

fn owners() -> impl Iterator<Item = PropertyOwner> {
    let packets = PacketType::ALL.map(PropertyOwner::Packet);
    packets.into_iter().chain([PropertyOwner::Will, PropertyOwner::Message])
}

/// One of each, with its bytes.
const EXAMPLES: [(Property<'static>, &[u8]); 27] = [
    (Property::PayloadFormatIndicator(true), &[0x01, 1]),
    (Property::MessageExpiryInterval(0x0102_0304), &[0x02, 1, 2, 3, 4]),
    (Property::ContentType("a"), &[0x03, 0, 1, b'a']),
    (Property::ResponseTopic("a/b"), &[0x08, 0, 3, b'a', b'/', b'b']),
    (Property::CorrelationData(&[0, 0xFF]), &[0x09, 0, 2, 0, 0xFF]),
    (Property::SubscriptionIdentifier(268_435_455), &[0x0B, 0xFF, 0xFF, 0xFF, 0x7F]),
    (Property::SessionExpiryInterval(u32::MAX), &[0x11, 0xFF, 0xFF, 0xFF, 0xFF]),
    (Property::AssignedClientIdentifier("a"), &[0x12, 0, 1, b'a']),
    (Property::ServerKeepAlive(0x0102), &[0x13, 1, 2]),
    (Property::AuthenticationMethod("a"), &[0x15, 0, 1, b'a']),
    (Property::AuthenticationData(&[9]), &[0x16, 0, 1, 9]),
    (Property::RequestProblemInformation(false), &[0x17, 0]),
    (Property::WillDelayInterval(1), &[0x18, 0, 0, 0, 1]),
    (Property::RequestResponseInformation(true), &[0x19, 1]),
    (Property::ResponseInformation("a"), &[0x1A, 0, 1, b'a']),
    (Property::ServerReference("a"), &[0x1C, 0, 1, b'a']),
    (Property::ReasonString(""), &[0x1F, 0, 0]),
    (Property::ReceiveMaximum(1), &[0x21, 0, 1]),
    (Property::TopicAliasMaximum(0), &[0x22, 0, 0]),
    (Property::TopicAlias(1), &[0x23, 0, 1]),
    (Property::MaximumQoS(QoS::AtLeastOnce), &[0x24, 1]),
    (Property::RetainAvailable(false), &[0x25, 0]),
    (Property::UserProperty("a", "b"), &[0x26, 0, 1, b'a', 0, 1, b'b']),
    (Property::MaximumPacketSize(1), &[0x27, 0, 0, 0, 1]),
    (Property::WildcardSubscriptionAvailable(true), &[0x28, 1]),
    (Property::SubscriptionIdentifierAvailable(true), &[0x29, 1]),
    (Property::SharedSubscriptionAvailable(true), &[0x2A, 1]),
];

#[test]
fn each_is_written_as_the_table_says() {
    let ids: Vec<_> = EXAMPLES.iter().map(|(property, _)| property.id()).collect();
    assert_eq!(ids, PropertyId::ALL);
    for (property, bytes) in EXAMPLES {
        assert_eq!(properties([property]).as_bytes(), bytes, "{property:?}");
        assert_eq!(PropertyId::from_u8(bytes[0]), Some(property.id()));
    }
}

#[test]
fn each_is_read_where_it_may_stand_and_malformed_anywhere_else() {
    for (property, bytes) in EXAMPLES {
        for owner in owners() {
            if property.id().allowed_in(owner) {
                let block = decode(owner, bytes).unwrap();
                assert_eq!(block.iter().collect::<Vec<_>>(), [property], "{owner:?}");
                assert_eq!(block.check(owner), Ok(()));
            } else {
                assert_eq!(refused(owner, bytes), MALFORMED, "{property:?} in {owner:?}");
            }
        }
    }
}

#[test]
fn each_stands_once_but_user_property_and_publishs_subscription_identifier() {
    for (property, bytes) in EXAMPLES {
        for owner in owners().filter(|&owner| property.id().allowed_in(owner)) {
            let twice = [bytes, bytes].concat();
            let many = property.id() == PropertyId::UserProperty
                || (property.id() == PropertyId::SubscriptionIdentifier && owner == PUBLISH);
            if many {
                assert!(decode(owner, &twice).is_ok(), "{property:?} in {owner:?}");
            } else {
                assert_eq!(refused(owner, &twice), PROTOCOL_ERROR, "{property:?} in {owner:?}");
            }
        }
    }
}

#[test]
fn each_is_malformed_when_it_is_cut() {
    for (property, bytes) in EXAMPLES {
        let owner = owners().find(|&owner| property.id().allowed_in(owner)).unwrap();
        for len in 1..bytes.len() {
            assert_eq!(refused(owner, &bytes[..len]), MALFORMED, "{property:?} cut to {len}");
        }
    }
}

#[test]
fn identifiers_that_do_not_exist_are_malformed() {
    for id in (0..=0x7F).filter(|&id| PropertyId::from_u8(id).is_none()) {
        for owner in owners() {
            assert_eq!(refused(owner, &[id, 0, 0, 0, 0]), MALFORMED, "{id:#x}");
        }
    }
    assert_eq!(refused(PUBLISH, &[0x80, 0x01, 0]), MALFORMED);
    assert_eq!(refused(PUBLISH, &[0x81, 0x00, 1]), MALFORMED, "0x01 in two bytes");
    assert_eq!(refused(PUBLISH, &[0x81, 0x02, 1]), MALFORMED, "0x101 is not 0x01");
}

#[test]
fn values_out_of_range_are_protocol_errors() {
    let zero_or_one = [0x01_u8, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A];
    for id in zero_or_one {
        let id = PropertyId::from_u8(id).unwrap();
        let owner = owners().find(|&owner| id.allowed_in(owner)).unwrap();
        for value in [2, 0xFF] {
            assert_eq!(refused(owner, &[id.as_u8(), value]), PROTOCOL_ERROR, "{id} {value}");
        }
    }
    assert_eq!(refused(CONNECT, &[0x21, 0, 0]), PROTOCOL_ERROR, "Receive Maximum 0");
    assert_eq!(refused(CONNACK, &[0x27, 0, 0, 0, 0]), PROTOCOL_ERROR, "Maximum Packet Size 0");
    assert_eq!(refused(PUBLISH, &[0x0B, 0]), PROTOCOL_ERROR, "Subscription Identifier 0");
    assert_eq!(refused(PUBLISH, &[0x23, 0, 0]), 0x94, "Topic Alias 0");
    assert_eq!(refused(PUBLISH, &[0x08, 0, 1, b'#']), 0x90, "Response Topic with a wildcard");
    assert_eq!(refused(PUBLISH, &[0x0B, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]), MALFORMED);
}

#[test]
fn strings_are_checked_wherever_they_stand() {
    assert_eq!(refused(PUBLISH, &[0x03, 0, 1, 0xFF]), MALFORMED);
    assert_eq!(refused(PUBLISH, &[0x03, 0, 1, 0]), MALFORMED);
    assert_eq!(refused(PUBLISH, &[0x26, 0, 1, 0, 0, 1, b'a']), MALFORMED);
    assert_eq!(refused(PUBLISH, &[0x26, 0, 1, b'a', 0, 2, 0xED, 0xA0]), MALFORMED);
}

#[test]
fn a_getter_finds_its_property_among_others() {
    let all = properties(EXAMPLES.map(|(property, _)| property));
    assert_eq!(all.payload_format_indicator(), Some(true));
    assert_eq!(all.message_expiry_interval(), Some(0x0102_0304));
    assert_eq!(all.content_type(), Some("a"));
    assert_eq!(all.response_topic(), Some("a/b"));
    assert_eq!(all.correlation_data(), Some(&[0, 0xFF][..]));
    assert_eq!(all.subscription_identifier(), Some(268_435_455));
    assert_eq!(all.session_expiry_interval(), Some(u32::MAX));
    assert_eq!(all.assigned_client_identifier(), Some("a"));
    assert_eq!(all.server_keep_alive(), Some(0x0102));
    assert_eq!(all.authentication_method(), Some("a"));
    assert_eq!(all.authentication_data(), Some(&[9][..]));
    assert_eq!(all.request_problem_information(), Some(false));
    assert_eq!(all.will_delay_interval(), Some(1));
    assert_eq!(all.request_response_information(), Some(true));
    assert_eq!(all.response_information(), Some("a"));
    assert_eq!(all.server_reference(), Some("a"));
    assert_eq!(all.reason_string(), Some(""));
    assert_eq!(all.receive_maximum(), Some(1));
    assert_eq!(all.topic_alias_maximum(), Some(0));
    assert_eq!(all.topic_alias(), Some(1));
    assert_eq!(all.maximum_qos(), Some(QoS::AtLeastOnce));
    assert_eq!(all.retain_available(), Some(false));
    assert_eq!(all.user_properties().collect::<Vec<_>>(), [("a", "b")]);
    assert_eq!(all.maximum_packet_size(), Some(1));
    assert_eq!(all.wildcard_subscription_available(), Some(true));
    assert_eq!(all.subscription_identifier_available(), Some(true));
    assert_eq!(all.shared_subscription_available(), Some(true));
    assert_eq!(Properties::EMPTY.shared_subscription_available(), None);
}

#[test]
fn user_properties_keep_their_order_and_their_doubles() {
    let block = properties([
        Property::UserProperty("b", "1"),
        Property::ContentType("x"),
        Property::UserProperty("a", "2"),
        Property::UserProperty("b", "1"),
    ]);
    assert_eq!(block.user_properties().collect::<Vec<_>>(), [("b", "1"), ("a", "2"), ("b", "1")]);
}

#[test]
fn the_builder_takes_back_what_does_not_fit() {
    let long = too_long();
    let mut builder = Properties::builder().with(Property::ContentType("x")).unwrap();
    let refusals = [
        (Property::ContentType(&long), EncodeError::TooLong { what: "Content Type", len: 65_536 }),
        (Property::UserProperty("a", &long), EncodeError::TooLong { what: "User Property", len: 65_536 }),
    ];
    for (property, error) in refusals {
        assert_eq!(builder.push(property), Err(error));
    }
    let out_of_range = [
        Property::ReceiveMaximum(0),
        Property::MaximumPacketSize(0),
        Property::TopicAlias(0),
        Property::SubscriptionIdentifier(0),
        Property::SubscriptionIdentifier(268_435_456),
        Property::MaximumQoS(QoS::ExactlyOnce),
        Property::ResponseTopic("a/+"),
        Property::ContentType("nul\0"),
    ];
    for property in out_of_range {
        let error = builder.push(property).unwrap_err();
        assert!(matches!(error, EncodeError::Property { id, .. } if id == property.id()), "{property:?}");
    }
    assert_eq!(builder.build(), properties([Property::ContentType("x")]));
}

#[test]
fn an_error_names_the_property() {
    let error = properties([Property::TopicAlias(7)]).check(CONNECT).unwrap_err();
    assert_eq!(error.to_string(), "Topic Alias (0x23): property that this packet may not carry");
}

#[test]
fn blocks_can_be_put_together() {
    let one = properties([Property::ContentType("x")]);
    let mut builder = PropertiesBuilder::from(one.clone());
    builder.append(&properties([Property::UserProperty("a", "b")]));
    assert_eq!(builder.build(), properties([Property::ContentType("x"), Property::UserProperty("a", "b")]));
    assert_eq!(PropertiesBuilder::from(one.clone()).build(), one);
}

#[test]
fn what_is_taken_out_leaves_the_rest_in_order() {
    use PropertyId::{ContentType, ReasonString, UserProperty};
    let block = properties([
        Property::ContentType("x"),
        Property::UserProperty("a", "1"),
        Property::ReasonString("y"),
        Property::UserProperty("b", "2"),
    ]);
    let ids = |block: &Properties| block.iter().map(|property| property.id()).collect::<Vec<_>>();
    assert_eq!(block.without(&[]), block);
    assert_eq!(ids(&block.without(&[ContentType])), [UserProperty, ReasonString, UserProperty]);
    assert_eq!(ids(&block.without(&[UserProperty])), [ContentType, ReasonString]);
    assert_eq!(ids(&block.without(&[ReasonString])), [ContentType, UserProperty, UserProperty]);
    assert_eq!(block.without(&[ContentType, UserProperty, ReasonString]), Properties::EMPTY);
}

#[test]
fn taking_out_at_an_end_copies_nothing() {
    let block = properties([Property::ContentType("x"), Property::UserProperty("a", "1")]);
    let rest = block.without(&[PropertyId::ContentType]);
    assert_eq!(rest.as_bytes().as_ptr(), block.as_bytes()[4..].as_ptr());
}

#[test]
fn sixty_thousand_user_properties_take_linear_time() {
    let mut block = Vec::new();
    for _ in 0..60_000 {
        block.put_slice(&[0x26, 0, 1, b'a', 0, 1, b'b']);
    }
    // A quadratic check would take minutes.
    let block = decode(CONNECT, &block).unwrap();
    assert_eq!(block.user_properties().count(), 60_000);
    assert_eq!(block.session_expiry_interval(), None);
}

#[test]
fn it_prints_as_a_list() {
    assert_eq!(std::format!("{:?}", properties([Property::ReceiveMaximum(3)])), "[ReceiveMaximum(3)]");
    assert_eq!(std::format!("{:?}", vec![PropertyId::TopicAlias]), "[TopicAlias]");
}
