//! With a store: PUBREL and PUBCOMP wait until what they answer is durable, and over connections too.

use super::*;
use crate::store::StoreSequence;

fn attached(connect: Connect) -> Bench {
    Bench::attached_with(Options { store: true, ..Options::default() }, connect)
}

/// The records that have to be stored, with their numbers.
fn records(bench: &mut Bench) -> Vec<StoreSequence> {
    let number = |event| match event {
        Event::Record(number, _) => Some(number),
        _ => None,
    };
    bench.events().into_iter().filter_map(number).collect()
}

/// A QoS 2 message from the client, up to its PUBREC.
fn received(bench: &mut Bench) {
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.routed(token, ReasonCode::Success);
    assert_eq!(bench.lines(), ["PUBREC 1"]);
}

#[test]
fn pubrel_and_pubcomp_wait_for_the_store_and_leave_in_their_order() {
    let mut bench = attached(lasting(Version::V5));
    received(&mut bench);
    bench.give_stored("x", QOS2);
    bench.sent();
    bench.feed(pubrec(1)).unwrap();
    bench.feed(pubrel(1)).unwrap();
    assert!(bench.sent().is_empty());
    let numbers = records(&mut bench);
    bench.slot.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBREL 1"]);
    bench.slot.handle_stored(bench.now, numbers[1]);
    assert_eq!(bench.lines(), ["PUBCOMP 1"]);
}

#[test]
fn a_message_that_is_forgotten_without_an_answer_is_new_when_it_comes_again() {
    let mut bench = attached(lasting(Version::V311));
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.slot.disconnect(bench.now, ReasonCode::QuotaExceeded);
    bench.slot.handle_unrouted(bench.now, token);
    bench.reattach(lasting(Version::V311));
    bench.sent();
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.routed(token, ReasonCode::Success);
    assert_eq!(bench.lines(), ["PUBREC 1"]);
}

#[test]
fn a_packet_that_waits_for_the_store_can_be_asked_for() {
    let mut bench = attached(lasting(Version::V5));
    received(&mut bench);
    assert!(!bench.slot.is_waiting_for_store());
    bench.feed(pubrel(1)).unwrap();
    assert!(bench.slot.is_waiting_for_store());
    let number = records(&mut bench).pop().unwrap();
    bench.slot.handle_stored(bench.now, number);
    assert!(!bench.slot.is_waiting_for_store());
    assert_eq!(bench.lines(), ["PUBCOMP 1"]);
}

#[test]
fn a_pubrel_sent_again_waits_for_the_store_too() {
    let mut bench = attached(lasting(Version::V5));
    bench.give_stored("x", QOS2);
    bench.feed(pubrec(1)).unwrap();
    let numbers = records(&mut bench);
    bench.reattach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present"]);
    bench.slot.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBREL 1"]);
}

#[test]
fn a_pubcomp_for_a_pubrel_sent_again_waits_for_the_store_too() {
    let mut bench = attached(lasting(Version::V5));
    received(&mut bench);
    bench.feed(pubrel(1)).unwrap();
    let numbers = records(&mut bench);
    bench.reattach(lasting(Version::V5));
    bench.feed(pubrel(1)).unwrap();
    assert_eq!(bench.lines(), ["CONNACK present"]);
    bench.slot.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBCOMP 1 0x92"]);
}

#[test]
fn what_is_stored_while_nobody_is_attached_holds_nothing_back_afterwards() {
    let mut bench = attached(lasting(Version::V5));
    bench.give_stored("x", QOS2);
    bench.feed(pubrec(1)).unwrap();
    let numbers = records(&mut bench);
    bench.slot.handle_closed(bench.now);
    bench.slot.handle_stored(bench.now, numbers[0]);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBREL 1"]);
}

#[test]
fn a_session_that_ends_with_its_connection_has_no_records_and_waits_for_nothing() {
    let mut bench = attached(passing(Version::V5));
    bench.give("x", QOS2);
    bench.sent();
    bench.feed(pubrec(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBREL 1"]);
    assert!(bench.happened().is_empty());
}
