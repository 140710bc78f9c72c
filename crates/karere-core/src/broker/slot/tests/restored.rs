//! A slot after a restart of its broker.

use super::kept::{kept, storing};
use super::shared::key;
use super::*;
use crate::broker::{EntryState, Restored, RestoredEntry, RestoredHeld, StoredMessage};
use crate::codec::SubscriptionIds;

fn stored(payload: &str, qos: QoS) -> StoredMessage {
    StoredMessage {
        message: message("t", payload, QOS2),
        tag: 0,
        qos,
        retain: false,
        subscription_ids: SubscriptionIds::EMPTY,
        expires_at: None,
        shared: None,
    }
}

fn entry(sequence: u64, payload: &str, qos: QoS) -> RestoredEntry {
    RestoredEntry { sequence, state: EntryState::Kept(stored(payload, qos)) }
}

fn received(sequence: u64, order: u64) -> RestoredEntry {
    RestoredEntry { sequence, state: EntryState::Received { order } }
}

/// A session for an hour, whose client went at the bench's first moment.
fn session(entries: Vec<RestoredEntry>) -> Restored {
    let disconnected_at = Instant::from_millis(1_000_000);
    Restored { entries, session_expiry: 3600, disconnected_at, ..Restored::default() }
}

fn restored(restored: Restored) -> Bench {
    let mut bench = Bench::new(storing());
    bench.slot = Slot::restore(text("c"), bench.options.clone(), 7, restored);
    bench
}

#[test]
fn what_may_have_been_sent_is_sent_again_with_its_identifiers_and_the_rest_for_the_first_time() {
    let entries = Vec::from([
        entry(70_000, "a", QOS1),
        entry(70_001, "b", QOS2),
        entry(70_003, "c", QOS1),
        entry(70_005, "d", QOS2),
    ]);
    let mut bench = restored(Restored { unsent_from: Some(70_003), ..session(entries) });
    assert!(bench.slot.is_stored() && !bench.slot.is_attached() && !bench.slot.has_events());
    assert_eq!((bench.slot.inflight(), bench.slot.queued(), bench.slot.unsent_from()), (2, 2, 70_003));
    bench.attach(lasting(Version::V5));
    bench.give("e", QOS1);
    assert_eq!(
        bench.lines(),
        [
            "CONNACK present",
            "PUBLISH 4466 q1 dup t=a",
            "PUBLISH 4467 q2 dup t=b",
            "PUBLISH 4469 q1 t=c",
            "PUBLISH 4471 q2 t=d",
            "PUBLISH 4472 q1 t=e"
        ],
        "70,000 is 65,535 and 4,465"
    );
    bench.feed(puback(4466)).unwrap();
    assert_eq!(bench.happened(), ["Finished { sequence: 70000, tag: 0, received: false }"]);
}

#[test]
fn where_it_is_not_known_what_was_sent_all_may_have_been() {
    let mut bench = restored(session(Vec::from([entry(0, "a", QOS1), entry(1, "b", QOS2)])));
    assert_eq!(bench.slot.unsent_from(), 2);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines()[1..], ["PUBLISH 1 q1 dup t=a", "PUBLISH 2 q2 dup t=b"]);
}

#[test]
fn what_is_sent_again_keeps_to_the_window_and_what_is_new_comes_behind() {
    let mut bench =
        restored(session(Vec::from([entry(0, "a", QOS1), entry(1, "b", QOS1), entry(2, "c", QOS1)])));
    bench.attach(saying([Property::ReceiveMaximum(2)]));
    bench.give("d", QOS1);
    assert_eq!(bench.lines()[1..], ["PUBLISH 1 q1 dup t=a", "PUBLISH 2 q1 dup t=b"]);
    bench.feed(puback(1)).unwrap();
    bench.feed(puback(2)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 3 q1 dup t=c", "PUBLISH 4 q1 t=d"]);
}

#[test]
fn for_what_was_received_only_pubrel_is_sent_in_the_order_of_the_pubrecs() {
    let entries = Vec::from([received(3, 8), received(1, 9), entry(2, "x", QOS2), received(0, 4)]);
    let mut bench = restored(Restored { unsent_from: Some(0), ..session(entries) });
    bench.attach(lasting(Version::V5));
    assert_eq!(
        bench.lines(),
        ["CONNACK present", "PUBREL 1", "PUBREL 4", "PUBREL 2", "PUBLISH 3 q2 dup t=x"],
        "what was before one that has come was sent, whatever else is said"
    );
    bench.feed(pubrec(3)).unwrap();
    bench.feed(pubcomp(4)).unwrap();
    assert_eq!(
        bench.happened(),
        ["Received { sequence: 2, tag: 0, order: 10 }", "Finished { sequence: 3, tag: 0, received: true }"]
    );
}

#[test]
fn a_message_whose_identifier_another_before_it_has_was_not_sent() {
    let entries = Vec::from([entry(5, "a", QOS2), entry(65_540, "b", QOS2), entry(65_541, "c", QOS1)]);
    let mut bench = restored(session(entries));
    assert_eq!((bench.slot.inflight(), bench.slot.unsent_from()), (1, 65_540));
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines()[1..], ["PUBLISH 6 q2 dup t=a"], "the identifier is in use");
}

#[test]
fn a_copy_of_what_was_answered_before_the_restart_is_answered_and_not_handed_over() {
    let mut bench = restored(Restored { unreleased: Vec::from([id(7)]), ..session(Vec::new()) });
    bench.attach(lasting(Version::V5));
    bench.sent();
    bench.feed(again(publish(7, "t", "x", QOS2))).unwrap();
    assert_eq!(bench.lines(), ["PUBREC 7"]);
    assert!(!bench.slot.has_events());
    bench.feed(pubrel(7)).unwrap();
    let Some(Event::Record(number, _)) = bench.slot.poll_event() else { panic!() };
    assert!(bench.sent().is_empty());
    bench.slot.handle_stored(bench.now, number);
    assert_eq!(bench.lines(), ["PUBCOMP 7"]);
    bench.feed(publish(7, "t", "x", QOS2)).unwrap();
    assert_eq!(bench.happened(), ["publish t=x"], "released: it is another message");
}

#[test]
fn what_was_unreleased_before_the_restart_does_not_count_against_the_receive_maximum() {
    let mut bench = Bench::new(Options { receive_maximum: 1, ..storing() });
    let unreleased = Vec::from([id(7), id(8)]);
    bench.slot =
        Slot::restore(text("c"), bench.options.clone(), 7, Restored { unreleased, ..session(Vec::new()) });
    bench.attach(lasting(Version::V5));
    bench.feed(publish(9, "t", "x", QOS2)).unwrap();
    bench.feed(pubrel(7)).unwrap();
    assert!(bench.feed(publish(10, "t", "x", QOS2)).is_err());
}

#[test]
fn what_was_held_back_gets_its_sequence_behind_all_others_and_waits_for_that_to_be_durable() {
    let held = |number, payload, qos, tag| RestoredHeld {
        number,
        message: StoredMessage { tag, ..stored(payload, qos) },
    };
    let mut bench = restored(Restored {
        held: Vec::from([held(3, "h1", QOS1, 30), held(4, "h2", QOS2, 31)]),
        unsent_from: Some(0),
        next_sequence: 12,
        ..session(Vec::from([entry(9, "a", QOS1)]))
    });
    assert_eq!(
        bench.happened(),
        [
            "Numbered { number: 3, sequence: 12, tag: 30, qos: AtLeastOnce, retain: false }",
            "Numbered { number: 4, sequence: 13, tag: 31, qos: ExactlyOnce, retain: false }"
        ]
    );
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines()[1..], ["PUBLISH 10 q1 t=a"]);
    bench.slot.handle_kept_stored(bench.now, [12]);
    assert_eq!(bench.lines(), ["PUBLISH 13 q1 t=h1"]);
    bench.slot.handle_kept_stored(bench.now, [13]);
    assert_eq!(bench.lines(), ["PUBLISH 14 q2 t=h2"]);
}

#[test]
fn numbers_go_on_behind_what_there_was() {
    let mut bench = restored(Restored { next_sequence: 41, ..session(Vec::from([entry(9, "a", QOS1)])) });
    assert_eq!(bench.give("x", QOS1), kept(41, QOS1));
    let mut bench = restored(session(Vec::from([entry(9, "a", QOS1)])));
    assert_eq!(bench.give("x", QOS2), kept(10, QOS2));
}

#[test]
fn what_was_not_sent_expires_and_what_may_have_been_does_not() {
    let expiring = |sequence, qos| {
        let message = StoredMessage { expires_at: Some(Instant::from_millis(1_005_000)), ..stored("x", qos) };
        RestoredEntry { sequence, state: EntryState::Kept(message) }
    };
    let entries = Vec::from([expiring(0, QOS2), expiring(1, QOS1)]);
    let mut bench = restored(Restored { unsent_from: Some(1), ..session(entries) });
    bench.after_seconds(5).attach(lasting(Version::V5));
    assert_eq!(bench.lines()[1..], ["PUBLISH 1 q2 dup t=x expires 0"]);
    assert_eq!(bench.happened(), ["Dropped { sequence: 1, tag: 0, reason: Expired }"]);
}

#[test]
fn a_shared_qos_2_message_that_may_have_been_sent_moves_to_nobody_and_one_that_was_not_does() {
    let shared = |sequence, payload| {
        let message = StoredMessage { shared: Some(key()), ..stored(payload, QOS2) };
        RestoredEntry { sequence, state: EntryState::Kept(message) }
    };
    let entries = Vec::from([shared(0, "sent"), shared(1, "waits")]);
    let mut bench = restored(Restored { unsent_from: Some(1), ..session(entries) });
    bench.attach(saying([Property::ReceiveMaximum(1)]));
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.happened(), ["redistribute t=waits"], "[MQTT-4.8.2-4]");
}

#[test]
fn a_will_and_the_end_are_due_when_they_were_before_the_restart() {
    let will = |delay| Some(Will { message: message("w", "gone", QOS1), delay });
    let mut bench = restored(Restored { will: will(10), ..session(Vec::new()) });
    assert_eq!(bench.slot.poll_timeout(), Some(bench.now.plus_seconds(10)));
    assert_eq!(bench.slot.will(), will(10).as_ref());
    bench.time_passes(9).unwrap();
    assert!(bench.happened().is_empty());
    bench.time_passes(1).unwrap();
    assert_eq!(bench.happened(), ["will w=gone"]);
    assert_eq!(bench.slot.will(), None);
    bench.time_passes(3590).unwrap();
    assert_eq!(bench.happened(), ["expired"]);

    let mut bench = restored(Restored { will: will(10_000), ..session(Vec::new()) });
    bench.time_passes(4000).unwrap();
    assert_eq!(bench.happened(), ["will w=gone", "expired"], "with the session, if that is earlier");
}

#[test]
fn a_will_that_is_not_yet_due_is_not_sent_when_the_client_is_back() {
    let will = Some(Will { message: message("w", "gone", QOS1), delay: 10 });
    let mut bench = restored(Restored { will, ..session(Vec::new()) });
    bench.attach(lasting(Version::V5));
    bench.time_passes(3600).unwrap();
    assert!(bench.happened().is_empty());
}

#[test]
fn a_session_that_was_to_end_with_its_connection_has_ended_with_the_broker() {
    let mut bench = restored(Restored { session_expiry: 0, ..session(Vec::new()) });
    bench.time_passes(0).unwrap();
    assert_eq!(bench.happened(), ["expired"]);
    let bench = restored(Restored { session_expiry: u32::MAX, ..session(Vec::new()) });
    assert_eq!(bench.slot.poll_timeout(), None, "and one without an end has none");
}

#[test]
fn subscriptions_and_what_is_stored_are_there_again() {
    let filters = Vec::from([TopicFilter::new("a/#").unwrap()]);
    let entries = Vec::from([entry(0, "a", QOS1), received(1, 0), entry(2, "c", QOS1)]);
    let mut bench = restored(Restored { filters, unsent_from: Some(2), ..session(entries) });
    assert_eq!(bench.slot.subscriptions(), 1);
    let entries: Vec<_> = bench.slot.stored_entries().map(|entry| (entry.sequence, entry.received)).collect();
    assert_eq!(entries, [(0, false), (1, true), (2, false)]);
    assert_eq!(bench.slot.end(bench.now).filters.len(), 1);
}
