//! With a store: what waits until it is durable, over connections too, and what comes back after a restart.

use super::*;
use crate::codec::Message;
use crate::topic::TopicName;

mod restored;

fn stored() -> Options {
    Options { store: true, ..lasting(Version::V5) }
}

/// Connected, and a QoS 2 message is sent.
fn sent() -> Bench {
    let mut bench = Bench::connected(stored());
    bench.send("x", QOS2);
    bench.store();
    assert_eq!(bench.lines(), ["PUBLISH 1 q2 t=x"]);
    bench
}

/// Connected, and a QoS 2 message was handed over.
fn received() -> (Bench, AckToken) {
    let mut bench = Bench::connected(stored());
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    (bench, token)
}

/// The same, answered with PUBREC.
fn answered() -> Bench {
    let (mut bench, token) = received();
    bench.acknowledge(token);
    assert_eq!(bench.store(), ["Taken { packet_id: PacketId(1) }"]);
    assert_eq!(bench.lines(), ["PUBREC 1"]);
    bench
}

/// The records that have to be stored, with their numbers.
fn records(bench: &mut Bench) -> Vec<StoreSequence> {
    let number = |event| match event {
        Event::Record(number, _) => Some(number),
        _ => None,
    };
    bench.events().into_iter().filter_map(number).collect()
}

#[test]
fn c1_a_publish_goes_on_the_wire_only_when_it_is_stored_and_in_its_order() {
    for qos in [QOS1, QOS2] {
        let mut bench = Bench::connected(stored());
        for payload in ["1", "2", "3"] {
            bench.send(payload, qos);
        }
        assert!(bench.sent().is_empty());
        let numbers = records(&mut bench);
        bench.client.handle_stored(bench.now, numbers[1]);
        let q = qos.bits();
        assert_eq!(bench.lines(), [format!("PUBLISH 1 q{q} t=1"), format!("PUBLISH 2 q{q} t=2")]);
        bench.client.handle_stored(bench.now, numbers[2]);
        assert_eq!(bench.lines(), [format!("PUBLISH 3 q{q} t=3")]);
    }
}

#[test]
fn qos_0_is_not_held_up_by_the_disk() {
    let mut bench = Bench::connected(stored());
    bench.send("1", QOS1);
    bench.publish("2", QOS0).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH q0 t=2"]);
    assert_eq!(bench.store(), ["Published { sequence: 0 }"]);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1"]);
}

#[test]
fn what_is_published_offline_is_to_be_stored_before_there_ever_was_a_connection() {
    let mut bench = Bench::new(stored());
    bench.send("1", QOS1);
    let numbers = records(&mut bench);
    assert_eq!(numbers.len(), 1);
    bench.open();
    bench.connack(false, Properties::EMPTY).unwrap();
    assert!(bench.sent().is_empty());
    bench.client.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1"]);
}

#[test]
fn what_cannot_be_stored_is_taken_back_and_never_sent() {
    let mut bench = Bench::connected(stored());
    bench.send("1", QOS1);
    bench.send("2", QOS1);
    bench.client.withdraw(1);
    bench.send("3", QOS1);
    bench.store();
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1", "PUBLISH 3 q1 t=3"]);
}

#[test]
fn each_end_of_a_message_is_to_be_stored() {
    let mut bench = Bench::connected_to(stored(), properties([Property::MaximumPacketSize(30)]));
    bench
        .client
        .publish(bench.now, Outgoing { expiry: Some(1), ..Outgoing::new("t", b"1").qos(QOS1) })
        .unwrap();
    for qos in [QOS1, QOS2, QOS2, QOS2] {
        bench.send("x", qos);
    }
    bench.after_millis(1_000);
    let published: Vec<_> = (0..5).map(|sequence| format!("Published {{ sequence: {sequence} }}")).collect();
    assert_eq!(bench.store(), published);
    bench.feed(puback(2)).unwrap();
    bench.feed(pubrec(3)).unwrap();
    bench.feed(Packet::PubRec(Ack::new(id(4), ReasonCode::QuotaExceeded))).unwrap();
    let stored = bench.store();
    assert_eq!(
        stored,
        [
            "Finished { sequence: 0, received: false }",
            "Finished { sequence: 1, received: false }",
            "Received { sequence: 2, order: 0 }",
            "Finished { sequence: 3, received: false }",
        ]
    );
    bench.feed(pubcomp(3)).unwrap();
    assert_eq!(bench.client.drain().len(), 1);
    assert_eq!(
        bench.store(),
        ["Finished { sequence: 2, received: true }", "Finished { sequence: 4, received: false }"]
    );
}

#[test]
fn pubrel_waits_until_pubrec_is_stored() {
    let mut bench = sent();
    bench.feed(pubrec(1)).unwrap();
    assert!(bench.sent().is_empty());
    assert_eq!(bench.store(), ["Received { sequence: 0, order: 0 }"]);
    assert_eq!(bench.lines(), ["PUBREL 1"]);
}

#[test]
fn c2_pubrec_waits_until_the_store_knows_that_the_message_was_taken() {
    let (mut bench, token) = received();
    assert!(bench.store().is_empty(), "the consumer is not done");
    bench.acknowledge(token);
    assert!(bench.sent().is_empty());
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    assert!(bench.sent().is_empty(), "and so does that for a second copy");
    assert_eq!(bench.store(), ["Taken { packet_id: PacketId(1) }"]);
    assert_eq!(bench.lines(), ["PUBREC 1", "PUBREC 1"]);
}

#[test]
fn c2_what_was_taken_without_a_connection_is_to_be_stored_at_once() {
    let (mut bench, token) = received();
    bench.client.handle_closed(bench.now);
    bench.acknowledge(token);
    bench.acknowledge(token);
    assert_eq!(bench.store(), ["Taken { packet_id: PacketId(1) }"]);
    bench.open();
    bench.connack(true, Properties::EMPTY).unwrap();
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    assert_eq!(bench.lines(), ["PUBREC 1"]);
    assert_eq!(bench.happened(), ["connected as c"], "and it is not handed over again");
}

#[test]
fn a_message_that_is_refused_is_not_taken() {
    let (mut bench, token) = received();
    bench.client.acknowledge(bench.now, token, ReasonCode::QuotaExceeded);
    assert_eq!(bench.lines(), ["PUBREC 1 0x97"]);
    assert!(bench.store().is_empty());
}

#[test]
fn c3_acknowledgements_go_in_the_order_of_arrival_also_past_the_disk() {
    let mut bench = Bench::connected(stored());
    bench.feed(publish(1, "t", "1", QOS2)).unwrap();
    bench.feed(publish(2, "t", "2", QOS1)).unwrap();
    let tokens = bench.tokens();
    bench.acknowledge(tokens[1]);
    bench.acknowledge(tokens[0]);
    assert!(bench.sent().is_empty(), "PUBACK does not overtake the PUBREC that waits");
    bench.store();
    assert_eq!(bench.lines(), ["PUBREC 1", "PUBACK 2"]);
    bench.feed(publish(3, "t", "3", QOS1)).unwrap();
    let token = bench.tokens().remove(0);
    bench.send("x", QOS1);
    bench.acknowledge(token);
    assert_eq!(bench.lines(), ["PUBACK 3"], "and waits for nothing else");
}

#[test]
fn with_a_store_messages_are_handed_over_on_publish() {
    let mut bench = Bench::connected(Options { handover: Handover::OnRelease, ..stored() });
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    assert_eq!(bench.happened(), ["message t=x"]);
    assert!(bench.sent().is_empty());
}

#[test]
fn pubcomp_waits_until_the_release_is_stored_and_qos_1_does_not_wait_for_it() {
    let mut bench = answered();
    bench.feed(pubrel(1)).unwrap();
    assert!(bench.sent().is_empty());
    bench.feed(publish(7, "t", "x", QOS1)).unwrap();
    assert_eq!(bench.store(), ["Released { packet_id: PacketId(1) }"]);
    assert_eq!(bench.lines(), ["PUBCOMP 1"]);
}

#[test]
fn a_pubrel_sent_again_waits_for_the_store_too() {
    let mut bench = sent();
    bench.feed(pubrec(1)).unwrap();
    let numbers = records(&mut bench);
    bench.reconnect(true);
    assert!(bench.sent().is_empty(), "a crash now would send the PUBLISH again");
    bench.client.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBREL 1"]);
}

#[test]
fn a_pubcomp_for_a_pubrel_sent_again_waits_for_the_store_too() {
    let mut bench = answered();
    bench.feed(pubrel(1)).unwrap();
    let numbers = records(&mut bench);
    bench.reconnect(true);
    bench.sent();
    bench.feed(pubrel(1)).unwrap();
    assert!(
        bench.sent().is_empty(),
        "a crash now would take the next message with this identifier for a copy"
    );
    bench.client.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBCOMP 1 0x92"]);
}

#[test]
fn nothing_is_subscribed_to_before_the_identifiers_of_a_lost_session_are_forgotten() {
    let mut bench = answered();
    bench.client.handle_closed(bench.now);
    bench.subscribe(&["before"]).unwrap();
    bench.open();
    bench.connack(false, Properties::EMPTY).unwrap();
    bench.subscribe(&["after"]).unwrap();
    assert!(
        bench.sent().is_empty(),
        "a crash now would take the next message with this identifier for a copy"
    );
    assert_eq!(bench.store(), ["Forgotten"]);
    assert_eq!(bench.sent().len(), 2);
    bench.feed(publish(1, "t", "another", QOS2)).unwrap();
    assert_eq!(bench.happened(), ["message t=another"]);
}

#[test]
fn nothing_leaves_behind_disconnect_or_without_a_connection_when_the_store_is_done() {
    for disconnect in [true, false] {
        let mut bench = sent();
        bench.feed(pubrec(1)).unwrap();
        bench.send("y", QOS1);
        let numbers = records(&mut bench);
        if disconnect {
            bench.client.disconnect(bench.now, &Disconnect::normal());
            bench.sent();
        } else {
            bench.client.handle_closed(bench.now);
        }
        bench.client.handle_stored(bench.now, numbers[1]);
        assert!(bench.sent().is_empty());
    }
}

#[test]
fn without_a_store_there_are_no_records_and_nothing_waits() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.send("x", QOS2);
    bench.sent();
    bench.feed(pubrec(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBREL 1"]);
    assert!(bench.happened().is_empty());
}

#[test]
fn a_store_that_was_turned_off_holds_nothing_back() {
    let mut bench = sent();
    bench.feed(pubrec(1)).unwrap();
    bench.send("y", QOS1);
    bench.client.set_options(lasting(Version::V5));
    bench.sent();
    bench.reconnect(true);
    assert_eq!(bench.lines(), ["PUBREL 1", "PUBLISH 2 q1 t=y"]);
}
