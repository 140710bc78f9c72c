use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use super::*;
use crate::codec::{Properties, QoS};

const NOW: Instant = Instant::from_millis(5_000);

fn store() -> RetainedStore {
    RetainedStore::new(3, RetainedLimits::default())
}

fn message(topic: &str, payload: &str, expiry: impl Into<Option<u32>>) -> Message {
    Message {
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos: QoS::AtMostOnce,
        retain: true,
        expiry: expiry.into(),
        properties: Properties::EMPTY,
    }
}

impl RetainedStore {
    fn keep(
        &mut self,
        topic: &str,
        payload: &str,
        expiry: impl Into<Option<u32>>,
    ) -> Result<u64, ReasonCode> {
        self.retain(NOW, None, &message(topic, payload, expiry))
    }

    fn payload(&self, topic: &str) -> Option<&[u8]> {
        self.get(topic).map(|retained| &retained.message.payload[..])
    }

    fn expired(&mut self, now: Instant) -> Vec<String> {
        let mut topics = Vec::new();
        self.expire(now, |retained| topics.push(retained.message.topic.to_string()));
        topics
    }
}

#[test]
fn the_newest_message_of_a_topic_is_kept_and_has_the_higher_number() {
    let mut store = store();
    let first = store.keep("a", "old", None).unwrap();
    let second = store.keep("a", "new", None).unwrap();
    assert!(second > first);
    assert_eq!((store.payload("a"), store.len(), store.bytes()), (Some(&b"new"[..]), 1, 4));
}

#[test]
fn a_message_without_payload_removes_and_is_not_kept() {
    let mut store = store();
    store.keep("a", "old", 60).unwrap();
    let removed = store.keep("a", "", None).unwrap();
    assert_eq!((store.len(), store.bytes(), store.next_expiry()), (0, 0, None));
    assert!(store.keep("a", "new", None).unwrap() > removed);
    store.keep("never/there", "", None).unwrap();
    assert_eq!(store.len(), 1);
}

#[test]
fn what_is_kept_has_retain_set_and_pins_no_read_buffer() {
    let mut store = store();
    let buffer = Bytes::from(alloc::vec![b'x'; 65_536]);
    let published = Message { payload: buffer.slice(100..120), retain: false, ..message("a", "", None) };
    store.retain(NOW, None, &published).unwrap();
    drop(published);
    assert!(buffer.is_unique());
    assert!(store.get("a").unwrap().message.retain);
}

#[test]
fn a_message_expires_when_its_interval_has_passed() {
    let mut store = store();
    store.keep("a", "x", 10).unwrap();
    store.keep("b", "x", 5).unwrap();
    store.keep("c", "x", None).unwrap();
    store.keep("d", "x", u32::MAX).unwrap();
    assert_eq!(store.next_expiry(), Some(NOW.plus_seconds(5)));
    assert_eq!(store.expired(NOW.plus_millis(4_999)), [] as [&str; 0]);
    assert_eq!(store.expired(NOW.plus_seconds(5)), ["b"]);
    assert_eq!(store.expired(NOW.plus_seconds(60)), ["a"]);
    assert_eq!((store.len(), store.bytes(), store.next_expiry()), (2, 4, Some(NOW.plus_seconds(u32::MAX))));
}

#[test]
fn a_message_that_is_replaced_does_not_expire_in_its_old_time() {
    let mut store = store();
    store.keep("a", "old", 5).unwrap();
    store.keep("a", "new", 50).unwrap();
    assert_eq!(store.expired(NOW.plus_seconds(49)), [] as [&str; 0]);
    store.keep("a", "newest", None).unwrap();
    assert_eq!((store.next_expiry(), store.len()), (None, 1));
}

#[test]
fn many_messages_that_expire_at_once_are_removed_some_at_a_time() {
    let mut store = store();
    for number in 0..EXPIRE_MAX + 5 {
        store.keep(&format!("a/{number}"), "x", 1).unwrap();
    }
    assert_eq!(store.expired(NOW.plus_seconds(1)).len(), EXPIRE_MAX);
    assert_eq!(store.next_expiry(), Some(NOW.plus_seconds(1)));
    assert_eq!(store.expired(NOW.plus_seconds(1)).len(), 5);
}

#[test]
fn a_full_store_refuses_what_is_new_and_still_replaces() {
    let limits = RetainedLimits { messages_max: 2, ..Default::default() };
    let mut store = RetainedStore::new(3, limits);
    store.keep("a", "x", None).unwrap();
    store.keep("b", "x", None).unwrap();
    assert_eq!(store.keep("c", "x", None), Err(ReasonCode::QuotaExceeded));
    assert!(store.keep("a", "y", None).is_ok());
    assert!(store.keep("b", "", None).is_ok());
    assert!(store.keep("c", "x", None).is_ok());
}

#[test]
fn bytes_are_counted_with_what_is_replaced_taken_off() {
    let mut store = RetainedStore::new(3, RetainedLimits { bytes_max: 10, ..Default::default() });
    store.keep("a", "12345678", None).unwrap();
    assert_eq!(store.keep("b", "1", None), Err(ReasonCode::QuotaExceeded));
    assert!(store.keep("a", "123456789", None).is_ok(), "10 bytes with its topic");
    assert_eq!(store.keep("a", "1234567890", None), Err(ReasonCode::QuotaExceeded));
    assert_eq!((store.payload("a"), store.bytes()), (Some(&b"123456789"[..]), 10));
}

#[test]
fn a_topic_that_is_too_deep_or_takes_too_many_nodes_is_refused() {
    let topics = Limits { levels_max: 2, nodes_max: 3 };
    let mut store = RetainedStore::new(3, RetainedLimits { topics, ..Default::default() });
    assert_eq!(store.keep("a/b/c", "x", 5), Err(ReasonCode::TopicNameInvalid));
    store.keep("a/b", "x", None).unwrap();
    assert_eq!(store.keep("c/d", "x", 5), Err(ReasonCode::QuotaExceeded));
    assert_eq!((store.len(), store.bytes(), store.next_expiry()), (1, 4, None));
}

#[test]
fn a_message_is_restored_as_it_was_and_later_ones_are_newer() {
    let mut before = store();
    before.keep("a", "x", 10).unwrap();
    let saved = before.get("a").unwrap().clone();
    let mut after = store();
    after.restore(Retained { sequence: 70, ..saved.clone() }).unwrap();
    assert_eq!(after.get("a").unwrap().expires_at, saved.expires_at);
    assert!(after.keep("a", "y", None).unwrap() > 70);
    assert_eq!(after.next_expiry(), None);
    after.restore(Retained { sequence: u64::MAX, ..saved }).unwrap();
}
