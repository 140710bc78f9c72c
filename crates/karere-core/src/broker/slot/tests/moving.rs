//! Shared Subscriptions of sessions that are stored: nothing moves to another member before it is durable.

use super::kept::{attached, deliver_tagged};
use super::shared::key;
use super::*;
use crate::broker::StoredEntry;

fn give_shared(bench: &mut Bench, payload: &str, qos: QoS, tag: u64) -> Delivered {
    let grant = Grant { qos: QOS2, shared: Some(key()), ..Grant::default() };
    deliver_tagged(bench, &message("t", payload, qos), &grant, tag)
}

fn moved(bench: &mut Bench) -> Vec<(String, Option<StoredEntry>)> {
    let shared = |event| match event {
        Event::Redistribute(shared) => shared,
        _ => Vec::new(),
    };
    let all = bench.events().into_iter().flat_map(shared);
    all.map(|each| (String::from_utf8_lossy(&each.message.payload).into_owned(), each.stored)).collect()
}

fn entry(payload: &str, sequence: u64, tag: u64) -> (String, Option<StoredEntry>) {
    (payload.into(), Some(StoredEntry { sequence, tag, received: false }))
}

#[test]
fn what_moves_says_what_is_stored_of_it() {
    let mut bench = attached(saying([Property::ReceiveMaximum(2)]));
    give_shared(&mut bench, "sent", QOS1, 5);
    give_shared(&mut bench, "stays", QOS2, 6);
    give_shared(&mut bench, "waits", QOS2, 7);
    bench.slot.handle_kept_stored(bench.now, [1, 2]);
    bench.slot.handle_closed(bench.now);
    assert_eq!(moved(&mut bench), [entry("sent", 0, 5), entry("waits", 2, 7)]);
}

#[test]
fn what_is_not_durable_when_the_connection_breaks_moves_when_it_is() {
    let mut bench = attached(lasting(Version::V5));
    give_shared(&mut bench, "a", QOS2, 5);
    give_shared(&mut bench, "one", QOS1, 6);
    give_shared(&mut bench, "b", QOS2, 7);
    bench.give("own", QOS2);
    bench.slot.handle_closed(bench.now);
    assert_eq!(moved(&mut bench), [entry("one", 1, 6)]);
    bench.slot.handle_kept_stored(bench.now, [0]);
    assert_eq!(moved(&mut bench), [entry("a", 0, 5)]);
    bench.slot.handle_kept_stored(bench.now, [2, 3]);
    assert_eq!(moved(&mut bench), [entry("b", 2, 7)]);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 4 q2 t=own"]);
}

#[test]
fn it_stays_when_the_client_is_back_before() {
    let mut bench = attached(lasting(Version::V5));
    give_shared(&mut bench, "a", QOS2, 5);
    bench.reattach(lasting(Version::V5));
    bench.sent();
    bench.slot.handle_kept_stored(bench.now, [0]);
    assert_eq!(bench.lines(), ["PUBLISH 1 q2 t=a"]);
    assert!(!bench.slot.has_events());
}

#[test]
fn what_an_absent_member_was_given_stays_there_once_it_is_durable() {
    let mut bench = attached(lasting(Version::V5));
    give_shared(&mut bench, "before", QOS2, 5);
    bench.slot.handle_closed(bench.now);
    give_shared(&mut bench, "away", QOS2, 6);
    bench.slot.handle_kept_stored(bench.now, [1]);
    assert!(moved(&mut bench).is_empty());
    bench.slot.handle_kept_stored(bench.now, [0]);
    assert_eq!(moved(&mut bench), [entry("before", 0, 5)]);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 2 q2 t=away"]);
}

#[test]
fn what_is_not_durable_when_the_session_ends_moves_when_it_is() {
    let mut bench = attached(lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    give_shared(&mut bench, "durable", QOS2, 5);
    bench.slot.handle_kept_stored(bench.now, [0]);
    give_shared(&mut bench, "not yet", QOS2, 6);
    bench.give("own", QOS2);
    let ending = bench.slot.end(bench.now);
    let shared: Vec<_> = ending.shared.iter().map(|each| &each.message.payload[..]).collect();
    assert_eq!(shared, [b"durable"]);
    assert_eq!(ending.entries, [StoredEntry { sequence: 2, tag: 0, received: false }]);
    bench.slot.handle_kept_stored(bench.now, [1, 2]);
    assert_eq!(moved(&mut bench), [entry("not yet", 1, 6)]);
    assert_eq!(bench.slot.queued(), 0);
}

#[test]
fn what_a_broken_connection_had_held_back_moves_under_its_sequence() {
    let mut bench = attached(lasting(Version::V5));
    bench.feed(subscribe(1, &[("t", QOS1)])).unwrap();
    give_shared(&mut bench, "a", QOS1, 5);
    bench.events();
    bench.slot.handle_closed(bench.now);
    let happened = bench.happened();
    assert!(happened[0].starts_with("Numbered { number: 0, sequence: 0, tag: 5"), "{happened:?}");
    assert_eq!(happened[1], "redistribute t=a");
}
