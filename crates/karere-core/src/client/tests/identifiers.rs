//! Packet identifiers: in sequence, never one that is in use, and an error value when there is none.

use super::*;

/// With one publish that stays unacknowledged while all other identifiers have come by once.
fn all_the_way_round() -> Bench {
    let mut bench = Bench::connected(Options::default());
    assert_eq!(bench.send("stuck", QOS1), 1);
    for expected in 2..=u16::MAX {
        assert_eq!(bench.send("x", QOS1), expected);
        bench.feed(puback(expected)).unwrap();
        bench.sent();
        bench.events();
    }
    bench
}

#[test]
fn identifiers_come_in_sequence_whatever_they_are_for() {
    let mut bench = Bench::new(Options::default());
    assert_eq!(bench.send("offline", QOS1), 1);
    assert_eq!(bench.subscribe(&["f"]).unwrap().get(), 2);
    let tracked = Outgoing { tracked: true, ..Outgoing::new("t", b"x") };
    assert_eq!(bench.client.publish(bench.now, tracked).unwrap(), Some(id(3)));
    assert_eq!(bench.publish("x", QOS0).unwrap(), None);
    assert_eq!(bench.send("x", QOS2), 4);
}

#[test]
fn after_65535_the_numbers_begin_again_and_pass_over_what_is_in_use() {
    let mut bench = all_the_way_round();
    assert_eq!(bench.send("next", QOS2), 2, "1 is in use");
    assert_eq!(bench.lines(), ["PUBLISH 2 q2 t=next"]);
    bench.feed(pubrec(2)).unwrap();
    assert_eq!(bench.lines(), ["PUBREL 2"]);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.happened(), ["published 1: Success (0x00)"]);
}

#[test]
fn a_subscribe_that_is_not_answered_keeps_its_identifier() {
    let mut bench = Bench::connected(Options::default());
    bench.subscribe(&["f"]).unwrap();
    for _ in 2..=u16::MAX {
        let next = bench.send("x", QOS1);
        bench.feed(puback(next)).unwrap();
        bench.sent();
        bench.events();
    }
    assert_eq!(bench.send("x", QOS1), 2, "1 is in use");
}

#[test]
fn a_tracked_qos_0_publish_keeps_its_identifier_until_it_is_written() {
    let mut bench = Bench::connected(Options { outbox_bytes_max: usize::MAX, ..Options::default() });
    let tracked = Outgoing { tracked: true, ..Outgoing::new("t", b"x") };
    for expected in 1..=u16::MAX {
        assert_eq!(bench.client.publish(bench.now, tracked).unwrap(), Some(id(expected)));
    }
    assert_eq!(bench.client.publish(bench.now, tracked), Err(PublishError::PacketIdsExhausted));
    bench.sent();
    assert_eq!(bench.client.publish(bench.now, tracked).unwrap(), Some(id(1)));
}

#[test]
fn running_out_is_an_error_and_changes_nothing() {
    let mut bench = Bench::new(Options::default());
    for expected in 1..=u16::MAX {
        assert_eq!(bench.send("", QOS1), expected);
    }
    let started = std::time::Instant::now();
    assert_eq!(bench.publish("", QOS1), Err(PublishError::PacketIdsExhausted));
    assert_eq!(bench.subscribe(&["f"]), Err(SubscribeError::PacketIdsExhausted));
    assert!(started.elapsed().as_millis() < 1000, "the search is linear: {:?}", started.elapsed());
    assert_eq!(bench.client.queued(), 65_535);
    assert!(bench.publish("", QOS0).is_ok(), "QoS 0 needs none");
    bench.open();
    bench.connack(false, Properties::EMPTY).unwrap();
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.send("", QOS1), 1, "free again");
}

#[test]
fn a_publish_that_is_refused_takes_no_identifier() {
    let mut bench = Bench::new(Options { queue_count_max: 1, ..Options::default() });
    assert_eq!(bench.send("x", QOS1), 1);
    assert!(matches!(bench.publish("x", QOS1), Err(PublishError::Full { count: 1, .. })));
    assert!(bench.client.publish(bench.now, Outgoing::new("a/#", b"x").qos(QOS1)).is_err());
    assert_eq!(bench.subscribe(&["f"]).unwrap().get(), 2);
}
