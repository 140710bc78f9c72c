//! The next connection: the session resumed, or lost.

use super::*;

#[test]
fn a_resumed_session_sends_pubrels_then_messages_with_dup_in_their_order_then_what_waits() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::connected(lasting(version));
        for (payload, qos) in [("1", QOS1), ("2", QOS2), ("3", QOS2), ("4", QOS1), ("5", QOS2)] {
            bench.send(payload, qos);
        }
        bench.feed(pubrec(5)).unwrap();
        bench.feed(pubrec(2)).unwrap();
        bench.client.handle_closed(bench.now);
        bench.send("6", QOS1);
        bench.open();
        bench.connack(true, Properties::EMPTY).unwrap();
        assert_eq!(
            bench.lines(),
            [
                "PUBREL 5",
                "PUBREL 2",
                "PUBLISH 1 q1 dup t=1",
                "PUBLISH 3 q2 dup t=3",
                "PUBLISH 4 q1 dup t=4",
                "PUBLISH 6 q1 t=6"
            ]
        );
        bench.sent();
        bench.reconnect(true);
        assert_eq!(bench.sent().len(), 6, "and all of it again");
    }
}

#[test]
fn what_is_published_after_a_resumption_without_resends_goes_once() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.send("1", QOS2);
    bench.feed(pubrec(1)).unwrap();
    bench.reconnect(true);
    bench.send("2", QOS1);
    bench.send("3", QOS1);
    bench.feed(puback(3)).unwrap();
    assert_eq!(bench.lines(), ["PUBREL 1", "PUBLISH 2 q1 t=2", "PUBLISH 3 q1 t=3"]);
}

#[test]
fn resends_count_against_the_new_servers_receive_maximum() {
    let mut bench = Bench::connected(lasting(Version::V5));
    for payload in ["1", "2", "3"] {
        bench.send(payload, QOS1);
    }
    bench.client.handle_closed(bench.now);
    bench.open();
    bench.connack(true, properties([Property::ReceiveMaximum(2)])).unwrap();
    bench.send("4", QOS1);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 dup t=1", "PUBLISH 2 q1 dup t=2"]);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 3 q1 dup t=3"], "and what is new waits behind them");
    bench.feed(puback(2)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 4 q1 t=4"]);
}

#[test]
fn the_end_of_an_exchange_whose_publish_went_on_an_earlier_connection_opens_no_window() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.send("1", QOS2);
    bench.feed(pubrec(1)).unwrap();
    bench.client.handle_closed(bench.now);
    bench.open();
    bench.connack(true, properties([Property::ReceiveMaximum(2)])).unwrap();
    for payload in ["2", "3", "4"] {
        bench.send(payload, QOS1);
    }
    assert_eq!(bench.lines(), ["PUBREL 1", "PUBLISH 2 q1 t=2", "PUBLISH 3 q1 t=3"]);
    bench.feed(pubcomp(1)).unwrap();
    assert!(bench.sent().is_empty(), "two are unacknowledged on this connection [MQTT-3.3.4-7]");
}

#[test]
fn a_pubcomp_that_knows_the_identifier_no_longer_is_a_success() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.send("1", QOS2);
    bench.feed(pubrec(1)).unwrap();
    bench.reconnect(true);
    bench.events();
    bench.feed(Packet::PubComp(Ack::new(id(1), ReasonCode::PacketIdentifierNotFound))).unwrap();
    assert_eq!(bench.happened(), ["published 1: Success (0x00)"]);
}

#[test]
fn a_lost_session_makes_the_unacknowledged_new_before_what_waits_with_the_same_identifiers() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::connected(lasting(version));
        for (payload, qos) in [("1", QOS1), ("2", QOS2), ("3", QOS2)] {
            bench.send(payload, qos);
        }
        bench.feed(pubrec(2)).unwrap();
        bench.client.handle_closed(bench.now);
        bench.send("4", QOS1);
        bench.open();
        bench.connack(false, Properties::EMPTY).unwrap();
        assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1", "PUBLISH 3 q2 t=3", "PUBLISH 4 q1 t=4"]);
        assert_eq!(
            bench.happened()[1..],
            ["published 2: Success (0x00)", "session lost"],
            "PUBREC had taken it"
        );
    }
}

#[test]
fn version_3_1_has_no_flag_and_its_server_is_believed() {
    let mut bench = Bench::connected(lasting(Version::V31));
    bench.send("1", QOS1);
    bench.sent();
    bench.reconnect(false);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 dup t=1"]);
}

#[test]
fn what_the_new_server_does_not_take_is_not_sent_again_to_it() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.send("much too long for the new server", QOS1);
    bench.send("ok", QOS1);
    bench.send("much too long for the new server", QOS2);
    bench.send("ok", QOS2);
    bench.client.handle_closed(bench.now);
    bench.open();
    bench.connack(true, properties([Property::MaximumPacketSize(20), Property::ReceiveMaximum(2)])).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 2 q1 dup t=ok", "PUBLISH 4 q2 dup t=ok"]);
    assert_eq!(bench.happened()[1..], ["dropped 1: NotAccepted", "dropped 3: NotAccepted"]);
    assert_eq!(bench.client.inflight(), 2);
}

#[test]
fn resending_stops_at_the_outbox_mark_and_goes_on_when_it_is_written() {
    let mut bench = Bench::connected(Options { outbox_bytes_max: 40, ..lasting(Version::V5) });
    for _ in 0..4 {
        bench.send("0123456789", QOS1);
        bench.sent();
    }
    bench.client.handle_closed(bench.now);
    bench.open();
    bench.connack(true, Properties::EMPTY).unwrap();
    let mut batches = Vec::new();
    loop {
        match bench.lines() {
            lines if lines.is_empty() => break,
            lines => batches.push(lines),
        }
    }
    assert!(batches.len() > 1, "{batches:?}");
    assert!(batches.iter().flatten().all(|line| line.contains(" dup ")));
    assert_eq!(batches.concat().len(), 4);
}
