//! Publishing: windows, queues, limits, aliases.

use core::num::NonZeroU16;

use super::*;

#[test]
fn each_qos_ends_with_its_own_acknowledgement() {
    let mut bench = Bench::connected(Options::default());
    assert_eq!(bench.publish("zero", QOS0).unwrap(), None);
    bench.send("one", QOS1);
    bench.send("two", QOS2);
    assert_eq!(bench.lines(), ["PUBLISH q0 t=zero", "PUBLISH 1 q1 t=one", "PUBLISH 2 q2 t=two"]);
    bench.feed(pubrec(2)).unwrap();
    assert!(bench.happened().is_empty());
    assert_eq!(bench.lines(), ["PUBREL 2"]);
    bench.feed(puback(1)).unwrap();
    bench.feed(pubcomp(2)).unwrap();
    assert_eq!(bench.happened(), ["published 1: Success (0x00)", "published 2: Success (0x00)"]);
    assert_eq!(bench.client.inflight(), 0);
}

#[test]
fn an_error_in_puback_or_pubrec_is_the_end_of_it() {
    let mut bench = Bench::connected(Options::default());
    bench.send("one", QOS1);
    bench.send("two", QOS2);
    bench.sent();
    bench.feed(Packet::PubAck(Ack::new(id(1), ReasonCode::QuotaExceeded))).unwrap();
    bench.feed(Packet::PubRec(Ack::new(id(2), ReasonCode::NotAuthorized))).unwrap();
    assert_eq!(
        bench.happened(),
        ["published 1: Quota exceeded (0x97)", "published 2: Not authorized (0x87)"]
    );
    assert!(bench.sent().is_empty(), "no PUBREL [MQTT-4.3.3-4]");
    bench.reconnect(true);
    assert!(bench.sent().is_empty(), "and it is not sent again [MQTT-4.4.0-2]");
}

#[test]
fn an_acknowledgement_that_does_not_fit_is_a_protocol_error() {
    for (qos, wrong) in [(QOS1, pubrec(1)), (QOS1, pubcomp(1)), (QOS2, puback(1)), (QOS2, pubcomp(1))] {
        let mut bench = Bench::connected(Options::default());
        bench.send("x", qos);
        bench.sent();
        assert!(bench.feed(wrong).is_err());
        assert_eq!(bench.lines(), ["DISCONNECT 0x82"]);
    }
}

#[test]
fn acknowledgements_for_nothing_are_passed_over_but_pubrec_is_told_so() {
    let mut bench = Bench::connected(Options::default());
    for packet in [puback(9), pubrec(9), pubcomp(9)] {
        bench.feed(packet).unwrap();
    }
    assert_eq!(bench.lines(), ["PUBREL 9 0x92"]);
    assert!(bench.happened().is_empty());
}

#[test]
fn the_servers_receive_maximum_bounds_what_is_unacknowledged() {
    let server = properties([Property::ReceiveMaximum(2)]);
    let mut bench = Bench::connected_to(Options::default(), server);
    for payload in ["1", "2", "3", "4"] {
        bench.send(payload, if payload == "2" { QOS2 } else { QOS1 });
    }
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1", "PUBLISH 2 q2 t=2"]);
    bench.feed(pubrec(2)).unwrap();
    assert_eq!(bench.lines(), ["PUBREL 2"], "PUBREC gives nothing back");
    bench.feed(pubcomp(2)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 3 q1 t=3"]);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 4 q1 t=4"]);
}

#[test]
fn qos_0_and_requests_pass_a_closed_window() {
    let server = properties([Property::ReceiveMaximum(1)]);
    let mut bench = Bench::connected_to(Options::default(), server);
    bench.send("1", QOS1);
    bench.send("2", QOS1);
    bench.publish("zero", QOS0).unwrap();
    bench.subscribe(&["f"]).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1", "PUBLISH q0 t=zero", "SUBSCRIBE 3 f"]);
}

#[test]
fn our_own_bound_holds_beside_the_servers_and_is_at_least_one() {
    for (inflight_max, expected) in [(3, 3), (0, 1)] {
        let mut bench = Bench::connected(Options { inflight_max, ..Options::default() });
        for _ in 0..5 {
            bench.send("x", QOS1);
        }
        assert_eq!(bench.sent().len(), expected);
    }
}

#[test]
fn what_the_server_lacks_is_refused_at_once_while_connected() {
    let server = properties([
        Property::MaximumQoS(QOS0),
        Property::RetainAvailable(false),
        Property::MaximumPacketSize(20),
    ]);
    let mut bench = Bench::connected_to(Options::default(), server);
    assert_eq!(bench.publish("x", QOS1), Err(PublishError::QoSNotSupported(QOS0)));
    let retained = Outgoing::new("t", b"x").retain(true);
    assert_eq!(bench.client.publish(bench.now, retained), Err(PublishError::RetainNotSupported));
    let large = bench.client.publish(bench.now, Outgoing::new("t", &[0; 15]));
    assert_eq!(large, Err(PublishError::TooLarge { len: 21, max: 20 }));
    assert!(bench.client.publish(bench.now, Outgoing::new("t", &[0; 14])).is_ok());
}

#[test]
fn what_waited_for_a_server_that_lacks_it_is_dropped_and_said_so() {
    let mut bench = Bench::new(Options::default());
    bench.send("x", QOS1);
    bench.send("much too long for this server", QOS2);
    bench.open();
    bench.connack(false, properties([Property::MaximumPacketSize(20), Property::MaximumQoS(QOS1)])).unwrap();
    assert_eq!(bench.happened()[1..], ["dropped 2: NotAccepted"]);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=x"]);
}

#[test]
fn names_that_are_no_topic_names_are_refused() {
    let mut bench = Bench::connected(Options::default());
    for topic in ["", "a/+", "#", "a\0b"] {
        let result = bench.client.publish(bench.now, Outgoing::new(topic, b"x"));
        assert!(matches!(result, Err(PublishError::TopicName(_))), "{topic:?}");
    }
    assert!(bench.sent().is_empty());
}

#[test]
fn a_full_queue_gives_up_the_oldest_qos_0_and_then_refuses() {
    let mut bench = Bench::new(Options { queue_count_max: 2, ..Options::default() });
    bench.publish("zero", QOS0).unwrap();
    bench.send("1", QOS1);
    bench.send("2", QOS1);
    assert_eq!(bench.happened(), ["dropped: QueueFull"]);
    assert_eq!(bench.publish("3", QOS1), Err(PublishError::Full { count: 2, bytes: 4 }));
    assert_eq!(bench.publish("zero", QOS0), Err(PublishError::Full { count: 2, bytes: 4 }));
}

#[test]
fn the_queues_limit_in_bytes_holds_too() {
    let mut bench = Bench::new(Options { queue_bytes_max: 10, ..Options::default() });
    bench.send("123456789", QOS1);
    assert_eq!(bench.publish("", QOS1), Err(PublishError::Full { count: 1, bytes: 10 }));
}

#[test]
fn offline_qos_0_waits_or_is_refused_as_the_options_say() {
    let mut bench = Bench::new(Options { queue_qos0: false, ..Options::default() });
    assert_eq!(bench.publish("x", QOS0), Err(PublishError::NotConnected));
    let mut bench = Bench::new(Options::default());
    bench.publish("x", QOS0).unwrap();
    bench.open();
    bench.connack(false, Properties::EMPTY).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH q0 t=x"]);
}

#[test]
fn what_expires_while_it_waits_is_dropped_and_the_rest_goes_with_what_is_left_of_its_time() {
    let mut bench = Bench::new(Options::default());
    for seconds in [5, 30] {
        let outgoing = Outgoing { expiry: Some(seconds), ..Outgoing::new("t", b"x").qos(QOS1) };
        bench.client.publish(bench.now, outgoing).unwrap();
    }
    bench.after_millis(5_000).open();
    bench.connack(false, Properties::EMPTY).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 2 q1 t=x expires 25"]);
    assert_eq!(bench.happened()[1..], ["dropped 1: Expired"]);
}

#[test]
fn a_tracked_qos_0_publish_is_published_when_its_last_byte_is_written() {
    let mut bench = Bench::connected(Options::default());
    let tracked = Outgoing { tracked: true, ..Outgoing::new("t", b"x") };
    bench.client.publish(bench.now, tracked).unwrap();
    bench.client.publish(bench.now, tracked).unwrap();
    let bytes = drain(bench.client.poll_transmit());
    assert_eq!(show_all(&decode(Version::V5, bytes.clone())), ["PUBLISH q0 t=x", "PUBLISH q0 t=x"]);
    bench.client.handle_written(bench.now, bytes.len() / 2 - 1);
    assert!(bench.happened().is_empty());
    bench.client.handle_written(bench.now, 1);
    assert_eq!(bench.happened(), ["published 1: Success (0x00)"]);
    bench.client.handle_closed(bench.now);
    assert_eq!(bench.happened(), ["dropped 2: ConnectionLost"]);
}

#[test]
fn above_the_outbox_mark_qos_1_waits_in_the_queue_until_it_is_written() {
    let mut bench = Bench::connected(Options { outbox_bytes_max: 20, ..Options::default() });
    for _ in 0..4 {
        bench.send("0123456789", QOS1);
    }
    let bytes = drain(bench.client.poll_transmit());
    assert_eq!(decode(Version::V5, bytes.clone()).len(), 2);
    assert_eq!(bench.client.queued(), 2);
    assert_eq!(bench.client.outbox_bytes(), bytes.len(), "taken, not yet written");
    bench.client.handle_written(bench.now, bytes.len());
    assert_eq!(bench.sent().len(), 2);
}

#[test]
fn automatic_aliases_name_a_topic_once_and_the_least_recently_used_goes_first() {
    let options = Options { outbound_aliases: true, ..Options::default() };
    let mut bench = Bench::connected_to(options, properties([Property::TopicAliasMaximum(2)]));
    for topic in ["a", "a", "b", "a", "c", "b"] {
        bench.client.publish(bench.now, Outgoing::new(topic, b"x")).unwrap();
    }
    assert_eq!(
        bench.lines(),
        [
            "PUBLISH q0 a=x alias 1",
            "PUBLISH q0 =x alias 1",
            "PUBLISH q0 b=x alias 2",
            "PUBLISH q0 =x alias 1",
            "PUBLISH q0 c=x alias 2",
            "PUBLISH q0 b=x alias 1"
        ]
    );
}

#[test]
fn what_is_sent_again_carries_its_topic_and_the_new_connection_knows_no_alias() {
    let options = Options { outbound_aliases: true, ..lasting(Version::V5) };
    let mut bench = Bench::connected_to(options, properties([Property::TopicAliasMaximum(2)]));
    bench.send("1", QOS1);
    bench.send("2", QOS1);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1 alias 1", "PUBLISH 2 q1 =2 alias 1"]);
    bench.client.handle_closed(bench.now);
    bench.open();
    bench.connack(true, properties([Property::TopicAliasMaximum(2)])).unwrap();
    bench.publish("3", QOS0).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 dup t=1", "PUBLISH 2 q1 dup t=2", "PUBLISH q0 t=3 alias 1"]);
}

#[test]
fn no_alias_is_used_where_the_server_or_the_version_has_none() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::connected(Options { version, outbound_aliases: true, ..Options::default() });
        bench.publish("x", QOS0).unwrap();
        assert_eq!(bench.lines(), ["PUBLISH q0 t=x"]);
        let by_hand = Outgoing { topic_alias: NonZeroU16::new(1), ..Outgoing::new("t", b"x") };
        assert_eq!(bench.client.publish(bench.now, by_hand), Err(PublishError::TopicAliasInvalid(1)));
    }
}

#[test]
fn an_alias_set_by_hand_goes_as_it_is() {
    let mut bench = Bench::connected_to(Options::default(), properties([Property::TopicAliasMaximum(2)]));
    let named = Outgoing { topic_alias: NonZeroU16::new(2), ..Outgoing::new("t", b"x") };
    bench.client.publish(bench.now, named).unwrap();
    bench.client.publish(bench.now, Outgoing { topic: "", ..named }).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH q0 t=x alias 2", "PUBLISH q0 =x alias 2"]);
    let above = Outgoing { topic_alias: NonZeroU16::new(3), ..named };
    assert_eq!(bench.client.publish(bench.now, above), Err(PublishError::TopicAliasInvalid(3)));
}

#[test]
fn an_alias_that_would_make_the_packet_too_large_is_left_out() {
    let options = Options { outbound_aliases: true, ..Options::default() };
    let server = properties([Property::TopicAliasMaximum(2), Property::MaximumPacketSize(20)]);
    let mut bench = Bench::connected_to(options, server);
    bench.client.publish(bench.now, Outgoing::new("t", &[b'x'; 14])).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH q0 t=xxxxxxxxxxxxxx"]);
}

#[test]
fn the_trace_shows_what_went_and_came() {
    let mut bench = Bench::connected(Options { trace: true, ..Options::default() });
    bench.events();
    bench.send("x", QOS1);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.happened(), ["Sent PUBLISH", "Received PUBACK", "published 1: Success (0x00)"]);
}
