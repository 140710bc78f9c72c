use super::*;
use crate::codec::{
    Property,
    testing::{properties, topic},
};

fn message() -> Message {
    Message {
        topic: topic("a/b"),
        payload: Bytes::from_static(b"payload"),
        qos: QoS::ExactlyOnce,
        retain: true,
        expiry: Some(9),
        properties: properties([Property::ContentType("x")]),
    }
}

#[test]
fn a_compact_message_is_the_same_message_elsewhere() {
    let message = message();
    let compact = message.compact();
    assert_eq!(compact, message);
    assert_ne!(compact.payload.as_ptr(), message.payload.as_ptr());
    assert_ne!(compact.topic.as_ptr(), message.topic.as_ptr());
    assert_ne!(compact.properties.as_bytes().as_ptr(), message.properties.as_bytes().as_ptr());
}

#[test]
fn a_compact_message_is_one_run_of_bytes() {
    let compact = message().compact();
    let start = compact.topic.as_ptr();
    assert_eq!(compact.properties.as_bytes().as_ptr(), start.wrapping_add(3));
    assert_eq!(compact.payload.as_ptr(), start.wrapping_add(3 + 4));
}

#[test]
fn an_empty_message_stays_empty() {
    let empty = Message {
        topic: TopicName::EMPTY,
        payload: Bytes::new(),
        properties: Properties::EMPTY,
        ..message()
    };
    assert_eq!(empty.compact(), empty);
    assert_eq!(empty.size_bytes(), 0);
}

#[test]
fn its_size_is_what_it_carries() {
    assert_eq!(message().size_bytes(), 3 + 7 + 4);
}
