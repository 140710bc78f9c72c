//! The next connection of the same session.

use super::*;

#[test]
fn a_resumed_session_sends_pubrels_then_messages_with_dup_in_their_order_then_what_waits() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::attached(lasting(version));
        for (payload, qos) in [("1", QOS1), ("2", QOS2), ("3", QOS2), ("4", QOS1), ("5", QOS2)] {
            bench.give(payload, qos);
        }
        bench.feed(pubrec(5)).unwrap();
        bench.feed(pubrec(2)).unwrap();
        bench.slot.handle_closed(bench.now);
        bench.give("6", QOS1);
        bench.attach(lasting(version));
        assert_eq!(
            bench.lines(),
            [
                "CONNACK present",
                "PUBREL 5",
                "PUBREL 2",
                "PUBLISH 1 q1 dup t=1",
                "PUBLISH 3 q2 dup t=3",
                "PUBLISH 4 q1 dup t=4",
                "PUBLISH 6 q1 t=6"
            ]
        );
    }
}

#[test]
fn what_is_delivered_after_a_resumption_without_resends_goes_once() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.give("1", QOS2);
    bench.feed(pubrec(1)).unwrap();
    bench.reattach(lasting(Version::V5));
    bench.give("2", QOS1);
    bench.give("3", QOS1);
    bench.feed(puback(3)).unwrap();
    assert_eq!(bench.lines(), ["CONNACK present", "PUBREL 1", "PUBLISH 2 q1 t=2", "PUBLISH 3 q1 t=3"]);
}

#[test]
fn resends_count_against_the_receive_maximum_and_what_is_new_waits_behind_them() {
    let mut bench = Bench::attached(lasting(Version::V5));
    for payload in ["1", "2", "3"] {
        bench.give(payload, QOS1);
    }
    bench.reattach(saying([Property::ReceiveMaximum(2)]));
    bench.give("4", QOS1);
    assert_eq!(bench.lines()[1..], ["PUBLISH 1 q1 dup t=1", "PUBLISH 2 q1 dup t=2"]);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 3 q1 dup t=3"]);
    bench.feed(puback(2)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 4 q1 t=4"]);
}

#[test]
fn the_end_of_an_exchange_whose_publish_went_on_an_earlier_connection_opens_no_window() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.give("1", QOS2);
    bench.feed(pubrec(1)).unwrap();
    bench.reattach(saying([Property::ReceiveMaximum(2)]));
    for payload in ["2", "3", "4"] {
        bench.give(payload, QOS1);
    }
    bench.sent();
    bench.feed(pubcomp(1)).unwrap();
    assert!(bench.sent().is_empty(), "two are unacknowledged on this connection [MQTT-3.3.4-9]");
}

#[test]
fn an_answer_that_waited_for_the_host_goes_to_the_next_connection() {
    for routed_between in [true, false] {
        let mut bench = Bench::attached(lasting(Version::V5));
        bench.feed(publish(1, "t", "one", QOS1)).unwrap();
        bench.feed(publish(2, "t", "two", QOS2)).unwrap();
        let tokens = bench.tokens();
        bench.slot.handle_closed(bench.now);
        if routed_between {
            tokens.iter().for_each(|token| bench.routed(*token, ReasonCode::Success));
        }
        bench.attach(lasting(Version::V5));
        bench.sent();
        bench.feed(again(publish(1, "t", "one", QOS1))).unwrap();
        bench.feed(again(publish(2, "t", "two", QOS2))).unwrap();
        let (new, happened): (Vec<AckToken>, Vec<String>) = bench
            .events()
            .iter()
            .map(|event| match event {
                Event::Publish { token: Some(token), .. } => (*token, show_event(event)),
                other => panic!("{other:?}"),
            })
            .unzip();
        assert_eq!(happened, ["publish t=one dup"], "QoS 1 again, QoS 2 not");
        if !routed_between {
            tokens.iter().for_each(|token| bench.routed(*token, ReasonCode::Success));
        }
        assert!(bench.sent().is_empty(), "the QoS 1 token is stale, and the other waits behind it");
        bench.routed(new[0], ReasonCode::Success);
        assert_eq!(bench.lines(), ["PUBACK 1", "PUBREC 2"]);
    }
}

#[test]
fn the_events_queue_can_be_lent() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let mut lent = VecDeque::with_capacity(100);
    bench.slot.swap_events(&mut lent);
    bench.feed(publish(0, "t", "x", QOS0)).unwrap();
    bench.slot.swap_events(&mut lent);
    assert_eq!((lent.len(), lent.capacity()), (1, 100));
    assert!(bench.slot.poll_event().is_none());
}
