//! What a session that is stored keeps: what may be sent when, and what becomes of it.

use super::*;
use crate::broker::{DropReason, KeptRetained, StoredEntry};
use crate::codec::{Ack, Disconnect, Subscribe};

pub(super) fn storing() -> Options {
    Options { store: true, ..Options::default() }
}

pub(super) fn attached(connect: Connect) -> Bench {
    Bench::attached_with(storing(), connect)
}

/// Delivers `t=payload` as the message with this number.
pub(super) fn give_tagged(bench: &mut Bench, payload: &str, qos: QoS, tag: u64) -> Delivered {
    let message = message("t", payload, qos);
    deliver_tagged(bench, &message, &Grant { qos: QOS2, ..Grant::default() }, tag)
}

pub(super) fn deliver_tagged(bench: &mut Bench, message: &Message, grant: &Grant, tag: u64) -> Delivered {
    let mut routed = Routed::new(message, bench.now, &mut bench.scratch);
    routed.set_tag(tag);
    bench.slot.deliver(bench.now, &mut routed, grant, Presence::Any)
}

pub(super) fn kept(sequence: u64, qos: QoS) -> Delivered {
    Delivered::Kept { sequence, qos, retain: false }
}

fn asked(bench: &mut Bench, packet_id: u16) -> Subscribe {
    bench.feed(subscribe(packet_id, &[("t", QOS2)])).unwrap();
    match bench.slot.poll_event() {
        Some(Event::Subscribe(subscribe)) => subscribe,
        other => panic!("{other:?}"),
    }
}

fn answer(bench: &mut Bench, subscribe: &Subscribe, retained: &[(&Retained, QoS)]) -> Vec<KeptRetained> {
    let epoch = bench.slot.epoch();
    let reasons = [ReasonCode::GrantedQoS2];
    let retained = retained.iter().copied();
    bench.slot.handle_subscribed(bench.now, epoch, subscribe, &reasons, retained, &mut bench.scratch)
}

#[test]
fn a_session_is_stored_once_it_is_to_outlive_a_connection_and_there_is_a_store() {
    assert!(attached(lasting(Version::V5)).slot.is_stored());
    assert!(attached(lasting(Version::V311)).slot.is_stored());
    assert!(!attached(passing(Version::V5)).slot.is_stored());
    assert!(!Bench::attached(lasting(Version::V5)).slot.is_stored());
    let mut bench = attached(lasting(Version::V5));
    bench.reattach(Connect { clean_start: false, ..passing(Version::V5) });
    assert!(bench.slot.is_stored(), "its messages are in the store until it ends");
    assert_eq!(bench.give("x", QOS1), kept(0, QOS1));
}

#[test]
fn qos_1_is_sent_at_once_and_qos_2_when_it_is_durable() {
    let mut bench = attached(lasting(Version::V5));
    assert_eq!(bench.give("one", QOS1), kept(0, QOS1));
    assert_eq!(bench.give("two", QOS2), kept(1, QOS2));
    assert_eq!(bench.give("zero", QOS0), Delivered::Taken);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=one", "PUBLISH q0 t=zero"]);
    bench.slot.handle_kept_stored(bench.now, [1]);
    assert_eq!(bench.lines(), ["PUBLISH 2 q2 t=two"]);
}

#[test]
fn what_is_behind_a_qos_2_message_that_is_not_durable_waits_and_the_order_is_kept() {
    let mut bench = attached(lasting(Version::V5));
    for (payload, qos) in [("a", QOS2), ("b", QOS1), ("c", QOS2), ("d", QOS1)] {
        bench.give(payload, qos);
    }
    bench.slot.handle_kept_stored(bench.now, [2]);
    assert!(bench.sent().is_empty(), "told out of order");
    bench.slot.handle_written(bench.now, 0);
    assert!(bench.sent().is_empty());
    bench.slot.handle_kept_stored(bench.now, [0, 1, 77]);
    assert_eq!(
        bench.lines(),
        ["PUBLISH 1 q2 t=a", "PUBLISH 2 q1 t=b", "PUBLISH 3 q2 t=c", "PUBLISH 4 q1 t=d"]
    );
}

#[test]
fn neither_an_acknowledgement_nor_a_new_connection_sends_what_is_not_durable() {
    let mut bench = attached(saying([Property::ReceiveMaximum(1)]));
    bench.give("a", QOS1);
    bench.give("b", QOS2);
    bench.sent();
    bench.feed(puback(1)).unwrap();
    assert!(bench.sent().is_empty());
    bench.reattach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present"]);
    bench.slot.handle_kept_stored(bench.now, [1]);
    assert_eq!(bench.lines(), ["PUBLISH 2 q2 t=b"], "for the first time");
}

#[test]
fn what_becomes_durable_while_nobody_is_attached_goes_out_with_the_next_connection() {
    let mut bench = attached(lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.give("a", QOS2), kept(0, QOS2));
    bench.slot.handle_kept_stored(bench.now, [0]);
    assert!(!bench.slot.has_events());
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 1 q2 t=a"]);
}

#[test]
fn every_end_of_a_message_is_recorded_with_its_number() {
    let mut bench = attached(lasting(Version::V5));
    give_tagged(&mut bench, "x", QOS1, 9);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.happened(), ["Finished { sequence: 0, tag: 9, received: false }"]);
    give_tagged(&mut bench, "x", QOS2, 10);
    bench.slot.handle_kept_stored(bench.now, [1]);
    bench.feed(pubrec(2)).unwrap();
    bench.feed(pubrec(2)).unwrap();
    assert_eq!(bench.happened(), ["Received { sequence: 1, tag: 10, order: 0 }"], "once");
    bench.feed(pubcomp(2)).unwrap();
    assert_eq!(bench.happened(), ["Finished { sequence: 1, tag: 0, received: true }"]);
    assert_eq!(bench.slot.counters().refused, 0);
}

#[test]
fn what_the_receiver_refuses_is_finished_and_counted() {
    let mut bench = attached(lasting(Version::V5));
    give_tagged(&mut bench, "x", QOS1, 9);
    give_tagged(&mut bench, "x", QOS2, 10);
    bench.slot.handle_kept_stored(bench.now, [1]);
    bench.feed(Packet::PubAck(Ack::new(id(1), ReasonCode::QuotaExceeded))).unwrap();
    bench.feed(Packet::PubRec(Ack::new(id(2), ReasonCode::UnspecifiedError))).unwrap();
    assert_eq!(
        bench.happened(),
        [
            "Finished { sequence: 0, tag: 9, received: false }",
            "Finished { sequence: 1, tag: 10, received: false }"
        ]
    );
    assert_eq!(bench.slot.counters().refused, 2);
}

#[test]
fn what_is_too_large_for_a_later_connection_is_dropped_sent_or_not() {
    let mut bench = attached(saying([Property::ReceiveMaximum(1)]));
    let large = "x".repeat(100);
    give_tagged(&mut bench, &large, QOS1, 9);
    give_tagged(&mut bench, &large, QOS1, 10);
    bench.reattach(saying([Property::MaximumPacketSize(30)]));
    assert_eq!(
        bench.happened(),
        [
            "Dropped { sequence: 0, tag: 9, reason: TooLarge }",
            "Dropped { sequence: 1, tag: 10, reason: TooLarge }"
        ]
    );
    assert_eq!(bench.give(&large, QOS1), Delivered::Dropped(DropReason::TooLarge), "nothing is kept of it");
    assert_eq!(bench.slot.counters().dropped_too_large, 3);
}

#[test]
fn what_expires_in_the_queue_is_dropped_when_its_turn_comes_or_room_is_needed() {
    let mut bench = Bench::attached_with(Options { queue_count_max: 2, ..storing() }, lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    let grant = Grant { qos: QOS1, ..Grant::default() };
    for (payload, tag) in [("a", 5), ("b", 6)] {
        let message = Message { expiry: Some(10), ..message("t", payload, QOS1) };
        deliver_tagged(&mut bench, &message, &grant, tag);
    }
    assert_eq!(bench.give("c", QOS1), Delivered::Dropped(DropReason::QueueFull));
    bench.after_seconds(10);
    assert_eq!(bench.give("d", QOS1), kept(2, QOS1));
    let dropped =
        [5, 6].map(|tag| format!("Dropped {{ sequence: {}, tag: {tag}, reason: Expired }}", tag - 5));
    assert_eq!(bench.happened(), dropped);
    let message = Message { expiry: Some(10), ..message("t", "e", QOS1) };
    deliver_tagged(&mut bench, &message, &grant, 7);
    bench.after_seconds(10);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 3 q1 t=d"]);
    assert_eq!(bench.happened(), ["Dropped { sequence: 3, tag: 7, reason: Expired }"]);
}

#[test]
fn what_is_not_durable_is_not_dropped_either() {
    let mut bench = Bench::attached_with(Options { queue_count_max: 1, ..storing() }, lasting(Version::V5));
    let grant = Grant { qos: QOS2, ..Grant::default() };
    let message = Message { expiry: Some(1), ..message("t", "a", QOS2) };
    deliver_tagged(&mut bench, &message, &grant, 5);
    bench.after_seconds(5);
    assert_eq!(bench.give("b", QOS2), Delivered::Dropped(DropReason::QueueFull));
    assert!(!bench.slot.has_events(), "its store may not have heard of it yet");
    bench.slot.handle_kept_stored(bench.now, [0]);
    assert_eq!(bench.happened(), ["Dropped { sequence: 0, tag: 5, reason: Expired }"]);
}

#[test]
fn what_is_held_back_needs_a_number_and_is_told_its_sequence_afterwards() {
    let mut bench = attached(lasting(Version::V5));
    let subscribe = asked(&mut bench, 1);
    assert_eq!(bench.give("x", QOS1), Delivered::NeedsTag);
    assert_eq!(bench.slot.queued(), 0);
    for (payload, qos, number) in [("a", QOS1, 0), ("b", QOS2, 1)] {
        let held = Delivered::Held { number, qos, retain: false };
        assert_eq!(give_tagged(&mut bench, payload, qos, 20 + number), held);
    }
    assert_eq!(bench.give("zero", QOS0), Delivered::Taken, "is not stored");
    bench.slot.handle_held_stored(bench.now, [1]);
    assert!(!bench.slot.has_events());
    answer(&mut bench, &subscribe, &[]);
    assert_eq!(
        bench.happened(),
        [
            "Numbered { number: 0, sequence: 0, tag: 20, qos: AtLeastOnce, retain: false }",
            "Numbered { number: 1, sequence: 1, tag: 21, qos: ExactlyOnce, retain: false }"
        ]
    );
    assert_eq!(bench.lines(), ["SUBACK 1 0x02"], "its numbers are not durable");
    bench.slot.handle_kept_stored(bench.now, [0]);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=a"]);
    bench.slot.handle_kept_stored(bench.now, [1]);
    assert_eq!(bench.lines(), ["PUBLISH 2 q2 t=b", "PUBLISH q0 t=zero"]);
}

#[test]
fn what_is_held_back_at_qos_2_has_no_sequence_before_it_is_durable_and_all_behind_it_waits() {
    let mut bench = attached(lasting(Version::V5));
    let subscribe = asked(&mut bench, 1);
    give_tagged(&mut bench, "a", QOS2, 20);
    answer(&mut bench, &subscribe, &[]);
    assert_eq!(bench.lines(), ["SUBACK 1 0x02"]);
    let held = Delivered::Held { number: 1, qos: QOS1, retain: false };
    assert_eq!(give_tagged(&mut bench, "b", QOS1, 21), held, "behind it");
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.give("c", QOS1), Delivered::NeedsTag, "nobody is attached: all the same");
    assert!(!bench.slot.has_events());
    bench.slot.handle_held_stored(bench.now, [0]);
    assert_eq!(bench.events().len(), 2);
    assert_eq!(bench.give("c", QOS1), kept(2, QOS1));
    bench.slot.handle_kept_stored(bench.now, [0, 1]);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines()[1..], ["PUBLISH 1 q2 t=a", "PUBLISH 2 q1 t=b", "PUBLISH 3 q1 t=c"]);
}

#[test]
fn what_is_held_back_and_not_durable_is_not_dropped_for_another() {
    let mut bench = Bench::attached_with(Options { queue_count_max: 1, ..storing() }, lasting(Version::V5));
    asked(&mut bench, 1);
    let grant = Grant { qos: QOS2, ..Grant::default() };
    let message = Message { expiry: Some(1), ..message("t", "a", QOS2) };
    deliver_tagged(&mut bench, &message, &grant, 20);
    bench.after_seconds(5);
    assert_eq!(give_tagged(&mut bench, "b", QOS2, 21), Delivered::Dropped(DropReason::QueueFull));
    assert!(!bench.slot.has_events());
}

#[test]
fn what_is_held_back_and_finds_no_room_is_dropped() {
    let mut bench = Bench::attached_with(Options { queue_count_max: 1, ..storing() }, lasting(Version::V5));
    bench.give("waits", QOS2);
    let subscribe = asked(&mut bench, 1);
    give_tagged(&mut bench, "a", QOS1, 20);
    answer(&mut bench, &subscribe, &[]);
    assert_eq!(bench.happened(), ["HeldDropped { number: 0, tag: 20, reason: QueueFull }"]);
    let subscribe = asked(&mut bench, 2);
    let grant = Grant { qos: QOS1, ..Grant::default() };
    let message = Message { expiry: Some(1), ..message("t", "b", QOS1) };
    deliver_tagged(&mut bench, &message, &grant, 21);
    bench.after_seconds(1);
    give_tagged(&mut bench, "c", QOS1, 22);
    assert_eq!(bench.happened(), ["HeldDropped { number: 1, tag: 21, reason: Expired }"]);
    answer(&mut bench, &subscribe, &[]);
    assert_eq!(bench.happened(), ["HeldDropped { number: 2, tag: 22, reason: QueueFull }"]);
}

#[test]
fn retained_messages_of_a_subscription_are_kept_before_what_was_held_back() {
    let mut bench = attached(lasting(Version::V5));
    let subscribe = asked(&mut bench, 1);
    give_tagged(&mut bench, "live", QOS1, 20);
    let retained = |payload, qos| Retained {
        message: Message { retain: true, ..message("r", payload, qos) },
        expires_at: None,
        publisher: None,
        sequence: 1,
    };
    let (zero, one, two) = (retained("zero", QOS0), retained("one", QOS1), retained("two", QOS2));
    let kept = answer(&mut bench, &subscribe, &[(&zero, QOS2), (&one, QOS2), (&two, QOS2)]);
    let expected = [
        KeptRetained { index: 1, sequence: 0, qos: QOS1 },
        KeptRetained { index: 2, sequence: 1, qos: QOS2 },
    ];
    assert_eq!(kept, expected);
    assert_eq!(bench.lines()[1..], ["PUBLISH q0 retain r=zero", "PUBLISH 1 q1 retain r=one"]);
    bench.slot.handle_kept_stored(bench.now, [1, 2]);
    assert_eq!(bench.lines(), ["PUBLISH 2 q2 retain r=two", "PUBLISH 3 q1 t=live"]);
}

#[test]
fn what_is_stored_of_a_session_can_be_listed_and_goes_with_it() {
    let mut bench = attached(lasting(Version::V5));
    give_tagged(&mut bench, "sent", QOS1, 9);
    give_tagged(&mut bench, "received", QOS2, 10);
    bench.slot.handle_kept_stored(bench.now, [1]);
    bench.feed(pubrec(2)).unwrap();
    bench.feed(publish(7, "t", "x", QOS2)).unwrap();
    bench.slot.handle_closed(bench.now);
    give_tagged(&mut bench, "waits", QOS1, 11);
    give_tagged(&mut bench, "not durable", QOS2, 12);
    let entry = |sequence, tag, received| StoredEntry { sequence, tag, received };
    let all = [entry(0, 9, false), entry(1, 0, true), entry(2, 11, false), entry(3, 12, false)];
    assert_eq!(bench.slot.stored_entries().collect::<Vec<_>>(), all);
    let ending = bench.slot.end(bench.now);
    assert_eq!(ending.entries, all);
    assert_eq!(ending.unreleased, [id(7)]);
    assert_eq!(
        format!("{:?}", ending.records),
        "[Received { sequence: 1, tag: 10, order: 0 }]",
        "nobody took it"
    );
    assert_eq!(bench.slot.stored_entries().count(), 0);
    bench.slot.handle_kept_stored(bench.now, [3]);
    assert!(!bench.slot.has_events());
}

#[test]
fn what_was_held_back_when_the_session_ends_is_named() {
    let mut bench = attached(lasting(Version::V5));
    asked(&mut bench, 1);
    give_tagged(&mut bench, "a", QOS2, 20);
    bench.slot.handle_closed(bench.now);
    let ending = bench.slot.end(bench.now);
    assert_eq!(ending.held, [(0, 20)]);
    bench.slot.handle_held_stored(bench.now, [0]);
    assert!(!bench.slot.has_events(), "it ended with its session");
}

#[test]
fn without_a_store_nothing_of_this_is_listed() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.give("x", QOS1);
    assert_eq!(bench.slot.stored_entries().count(), 0);
    bench.slot.handle_kept_stored(bench.now, [0]);
    bench.slot.handle_held_stored(bench.now, [0]);
    let ending = bench.slot.end(bench.now);
    assert!(ending.entries.is_empty() && ending.unreleased.is_empty() && ending.records.is_empty());
}

#[test]
fn a_session_whose_expiry_is_lowered_to_0_by_its_goodbye_ends_with_what_it_has() {
    let mut bench = attached(lasting(Version::V5));
    give_tagged(&mut bench, "x", QOS1, 9);
    let properties = properties([Property::SessionExpiryInterval(0)]);
    bench.feed(Packet::Disconnect(Disconnect { properties, ..Disconnect::normal() })).unwrap();
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.happened().last().unwrap(), "expired");
    assert_eq!(bench.slot.end(bench.now).entries.len(), 1);
}

#[test]
fn a_session_whose_expiry_is_raised_by_its_goodbye_expires_later() {
    let mut bench = attached(lasting(Version::V5));
    let properties = properties([Property::SessionExpiryInterval(7200)]);
    bench.feed(Packet::Disconnect(Disconnect { properties, ..Disconnect::normal() })).unwrap();
    assert_eq!(bench.slot.session_expiry(), 7200, "what its store is to know");
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.slot.poll_timeout(), Some(bench.now.plus_seconds(7200)));
}
