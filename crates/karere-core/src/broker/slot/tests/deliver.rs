//! Messages to the client: QoS, window, queue, aliases, sizes, expiry.

use super::*;
use crate::broker::DropReason;

fn granted(qos: QoS) -> Grant {
    Grant { qos, ..Grant::default() }
}

#[test]
fn a_message_goes_out_with_the_lower_of_its_own_and_the_granted_qos() {
    let mut bench = Bench::attached(lasting(Version::V5));
    for (own, grant) in [(QOS2, QOS1), (QOS1, QOS2), (QOS2, QOS0), (QOS2, QOS2)] {
        bench.deliver_as(&message("t", "x", own), &granted(grant), Presence::Any);
    }
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=x", "PUBLISH 2 q1 t=x", "PUBLISH q0 t=x", "PUBLISH 3 q2 t=x"]);
}

#[test]
fn with_upgrade_it_goes_out_with_the_granted_qos_even_when_its_own_is_lower() {
    let upgrading = || Options { upgrade_qos: true, ..Options::default() };
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::attached_with(upgrading(), lasting(version));
        for (own, grant) in [(QOS0, QOS1), (QOS1, QOS2), (QOS2, QOS1), (QOS1, QOS0)] {
            bench.deliver_as(&message("t", "x", own), &granted(grant), Presence::Any);
        }
        assert_eq!(
            bench.lines(),
            ["PUBLISH 1 q1 t=x", "PUBLISH 2 q2 t=x", "PUBLISH 3 q1 t=x", "PUBLISH q0 t=x"]
        );
    }
    let mut bench = Bench::attached_with(upgrading(), lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    bench.deliver_as(&message("t", "absent", QOS0), &granted(QOS1), Presence::Any);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines()[1..], ["PUBLISH 1 q1 t=absent"]);
}

#[test]
fn retain_is_cleared_unless_the_subscription_wants_it_as_published() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let message = Message { retain: true, ..message("t", "x", QOS0) };
    bench.deliver_as(&message, &granted(QOS0), Presence::Any);
    let as_published = Grant { retain_as_published: true, ..granted(QOS0) };
    bench.deliver_as(&message, &as_published, Presence::Any);
    assert_eq!(bench.lines(), ["PUBLISH q0 t=x", "PUBLISH q0 retain t=x"]);
}

#[test]
fn subscription_identifiers_go_to_version_5_alone() {
    for (version, line) in [(Version::V5, "PUBLISH 1 q1 t=x ids [3, 9]"), (Version::V311, "PUBLISH 1 q1 t=x")]
    {
        let mut bench = Bench::attached(lasting(version));
        let grant = Grant { subscription_ids: [3, 9].into_iter().collect(), ..granted(QOS1) };
        bench.deliver_as(&message("t", "x", QOS1), &grant, Presence::Any);
        assert_eq!(bench.lines(), [line]);
        bench.reattach(lasting(version));
        assert_eq!(bench.lines()[1], line.replace("q1", "q1 dup"));
    }
}

#[test]
fn properties_go_to_version_5_unaltered_and_are_left_out_for_version_3() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::attached(lasting(version));
        let properties = properties([Property::UserProperty("k", "v"), Property::UserProperty("k", "w")]);
        let message = Message { properties: properties.clone(), expiry: Some(9), ..message("t", "x", QOS1) };
        bench.deliver(&message);
        let Packet::Publish(publish) = bench.sent().remove(0) else { panic!() };
        let expected = if version.is_v5() { properties } else { Properties::EMPTY };
        assert_eq!(publish.message.properties, expected);
    }
}

#[test]
fn a_session_made_on_version_5_and_resumed_on_version_3_loses_no_message() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let grant = Grant { subscription_ids: Some(3).into(), ..granted(QOS1) };
    let message = Message {
        properties: properties([Property::UserProperty("k", "v")]),
        expiry: Some(99),
        ..message("t", "x", QOS1)
    };
    bench.deliver_as(&message, &grant, Presence::Any);
    bench.slot.handle_closed(bench.now);
    bench.deliver_as(&message, &grant, Presence::Any);
    bench.attach(lasting(Version::V311));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 1 q1 dup t=x", "PUBLISH 2 q1 t=x"]);
}

#[test]
fn the_clients_receive_maximum_bounds_what_is_unacknowledged() {
    let mut bench = Bench::attached(saying([Property::ReceiveMaximum(2)]));
    for (payload, qos) in [("1", QOS1), ("2", QOS2), ("3", QOS1), ("4", QOS1)] {
        assert_eq!(bench.give(payload, qos), Delivered::Taken);
    }
    bench.give("zero", QOS0);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1", "PUBLISH 2 q2 t=2", "PUBLISH q0 t=zero"]);
    bench.feed(pubrec(2)).unwrap();
    assert_eq!(bench.lines(), ["PUBREL 2"]);
    bench.feed(pubcomp(2)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 3 q1 t=3"]);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 4 q1 t=4"]);
}

#[test]
fn our_own_bound_on_unacknowledged_holds_beside_it() {
    let options = Options { inflight_max: 1, ..Options::default() };
    let mut bench = Bench::attached_with(options, lasting(Version::V311));
    bench.give("1", QOS1);
    bench.give("2", QOS1);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1"]);
}

#[test]
fn identifiers_pass_65535_and_wait_for_one_that_is_still_in_use() {
    let mut bench = Bench::attached(lasting(Version::V311));
    bench.give("stuck", QOS1);
    for packet_id in 2..=u16::MAX {
        bench.give("x", QOS1);
        bench.feed(puback(packet_id)).unwrap();
        bench.sent();
    }
    bench.give("next", QOS1);
    assert!(bench.sent().is_empty(), "1 is in use [MQTT-2.2.1-4]");
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=next"]);
}

#[test]
fn what_the_client_cannot_take_is_dropped_for_it_alone_and_counted() {
    for connect in [
        saying([Property::MaximumPacketSize(30)]),
        saying([Property::MaximumPacketSize(30), Property::TopicAliasMaximum(5)]),
    ] {
        let mut bench = Bench::attached(connect);
        let long = "x".repeat(40);
        for qos in [QOS0, QOS1, QOS2] {
            assert_eq!(bench.give(&long, qos), Delivered::Dropped(DropReason::TooLarge));
        }
        bench.give("short", QOS1);
        assert_eq!(bench.sent().len(), 1, "[MQTT-3.1.2-25]");
        assert_eq!(bench.slot.counters().dropped_too_large, 3);
        assert_eq!(bench.slot.inflight(), 1);
    }
}

#[test]
fn what_the_next_connection_cannot_take_counts_as_sent() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let long = "x".repeat(40);
    bench.give(&long, QOS1);
    bench.give(&long, QOS2);
    bench.give("ok", QOS1);
    bench.slot.handle_closed(bench.now);
    bench.give(&long, QOS1);
    bench.give("ok", QOS1);
    bench.attach(saying([Property::MaximumPacketSize(100), Property::ReceiveMaximum(2)]));
    bench.slot.handle_closed(bench.now);
    bench.attach(saying([Property::MaximumPacketSize(30), Property::ReceiveMaximum(2)]));
    let publishes: Vec<String> =
        bench.lines().into_iter().filter(|line| line.starts_with("PUBLISH")).collect();
    assert_eq!(publishes, ["PUBLISH 3 q1 dup t=ok", "PUBLISH 5 q1 t=ok"]);
}

#[test]
fn the_expiry_counts_down_while_a_message_waits_and_then_it_is_dropped() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    for seconds in [10, 20] {
        bench.deliver(&Message { expiry: Some(seconds), ..message("t", "x", QOS1) });
    }
    bench.after_seconds(12).attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 2 q1 t=x expires 8"]);
    assert_eq!(bench.slot.counters().dropped_expired, 1);
}

#[test]
fn the_expiry_counts_from_when_the_message_was_received() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let received = bench.now;
    bench.after_seconds(3);
    let message = Message { expiry: Some(10), ..message("t", "x", QOS1) };
    let mut routed = Routed::new(&message, received, &mut bench.scratch);
    bench.slot.deliver(bench.now, &mut routed, &granted(QOS1), Presence::Any);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=x expires 7"]);
}

#[test]
fn a_message_whose_time_has_passed_on_the_way_is_dropped() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let past = Some(bench.now);
    bench.after_seconds(1);
    for qos in [QOS0, QOS1] {
        let message = message("t", "x", qos);
        let mut routed = Routed::with_expiry(&message, past, &mut bench.scratch);
        let delivered = bench.slot.deliver(bench.now, &mut routed, &granted(QOS1), Presence::Any);
        assert_eq!(delivered, Delivered::Dropped(DropReason::Expired));
    }
    assert!(bench.sent().is_empty());
}

#[test]
fn outbound_aliases_are_used_as_far_as_the_client_allows() {
    let mut bench = Bench::attached(saying([Property::TopicAliasMaximum(1)]));
    for topic in ["a", "a", "b"] {
        bench.deliver(&message(topic, "x", QOS0));
    }
    bench.deliver(&message("b", "x", QOS1));
    assert_eq!(
        bench.lines(),
        [
            "PUBLISH q0 a=x alias 1",
            "PUBLISH q0 =x alias 1",
            "PUBLISH q0 b=x alias 1",
            "PUBLISH 1 q1 =x alias 1"
        ]
    );
    bench.reattach(saying([Property::TopicAliasMaximum(1)]));
    bench.deliver(&message("b", "y", QOS0));
    assert_eq!(bench.lines()[1..], ["PUBLISH 1 q1 dup b=x", "PUBLISH q0 b=y alias 1"]);
}

#[test]
fn an_absent_session_keeps_what_it_is_to_keep() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.give("x", QOS0), Delivered::Dropped(DropReason::Offline));
    assert_eq!(bench.give("x", QOS1), Delivered::Taken);
    let attached = bench.deliver_as(&message("t", "x", QOS1), &granted(QOS1), Presence::Attached);
    assert_eq!(attached, Delivered::Absent);
    assert_eq!(bench.slot.queued(), 1);
    assert_eq!(bench.slot.counters().dropped_offline, 1);
}

#[test]
fn an_absent_session_keeps_qos_0_where_the_options_say_so() {
    let options = Options { queue_qos0: true, ..Options::default() };
    let mut bench = Bench::attached_with(options, lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    bench.give("zero", QOS0);
    bench.give("one", QOS1);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines()[1..], ["PUBLISH q0 t=zero", "PUBLISH 1 q1 t=one"]);
}

#[test]
fn a_full_queue_drops_the_oldest_qos_0_and_then_refuses_the_newest() {
    let options = Options { queue_qos0: true, queue_count_max: 2, ..Options::default() };
    let mut bench = Bench::attached_with(options, lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    bench.give("zero", QOS0);
    bench.give("1", QOS1);
    assert_eq!(bench.give("2", QOS1), Delivered::Taken);
    assert_eq!(bench.give("3", QOS1), Delivered::Dropped(DropReason::QueueFull));
    assert_eq!(bench.slot.counters().dropped_queue_full, 2);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines()[1..], ["PUBLISH 1 q1 t=1", "PUBLISH 2 q1 t=2"]);
    bench.give("4", QOS1);
    assert_eq!(bench.lines(), ["PUBLISH 3 q1 t=4"], "what was refused took no identifier");
}

#[test]
fn the_queues_limit_in_bytes_holds_too() {
    let options = Options { queue_bytes_max: 10, ..Options::default() };
    let mut bench = Bench::attached_with(options, lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.give("123456789", QOS1), Delivered::Taken);
    assert_eq!(bench.give("", QOS1), Delivered::Dropped(DropReason::QueueFull));
}

#[test]
fn the_trace_shows_what_went_and_came() {
    let options = Options { trace: true, ..Options::default() };
    let mut bench = Bench::attached_with(options, lasting(Version::V5));
    bench.give("x", QOS1);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.happened(), ["Sent CONNACK", "Sent PUBLISH", "Received PUBACK"]);
}
