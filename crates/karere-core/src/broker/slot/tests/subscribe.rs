//! SUBSCRIBE and UNSUBSCRIBE: retained messages first, then what was delivered meanwhile.

use super::*;
use crate::codec::Subscribe;

fn retained(topic: &str, payload: &str, qos: QoS) -> Retained {
    let message = Message { retain: true, ..message(topic, payload, qos) };
    Retained { message, expires_at: None, publisher: None, sequence: 1 }
}

fn asked(bench: &mut Bench, packet: Packet) -> Subscribe {
    bench.feed(packet).unwrap();
    match bench.slot.poll_event() {
        Some(Event::Subscribe(subscribe)) => subscribe,
        other => panic!("{other:?}"),
    }
}

fn answer(bench: &mut Bench, epoch: u32, subscribe: &Subscribe, retained: &[(&Retained, QoS)]) {
    let reasons: Vec<_> =
        subscribe.subscriptions.iter().map(|each| ReasonCode::granted(each.options.qos)).collect();
    let retained = retained.iter().copied();
    bench.slot.handle_subscribed(bench.now, epoch, subscribe, &reasons, retained, &mut bench.scratch);
}

#[test]
fn suback_then_retained_messages_then_what_was_delivered_meanwhile() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let subscribe = asked(&mut bench, subscribe(1, &[("r/#", QOS1)]));
    assert_eq!(bench.give("live 0", QOS0), Delivered::Taken);
    assert_eq!(bench.give("live 1", QOS1), Delivered::Taken);
    assert!(bench.sent().is_empty(), "held back");
    assert_eq!(bench.slot.queued(), 2);
    let (low, high) = (retained("r/0", "old", QOS0), retained("r/2", "old", QOS2));
    answer(&mut bench, 1, &subscribe, &[(&low, QOS1), (&high, QOS1)]);
    bench.give("later", QOS1);
    assert_eq!(
        bench.lines(),
        [
            "SUBACK 1 0x01",
            "PUBLISH q0 retain r/0=old",
            "PUBLISH 1 q1 retain r/2=old",
            "PUBLISH q0 t=live 0",
            "PUBLISH 2 q1 t=live 1",
            "PUBLISH 3 q1 t=later"
        ]
    );
}

#[test]
fn retained_messages_carry_the_subscription_identifier() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let Packet::Subscribe(mut packet) = subscribe(1, &[("r", QOS1)]) else { panic!() };
    packet.subscription_id = Some(77);
    let subscribe = asked(&mut bench, Packet::Subscribe(packet));
    answer(&mut bench, 1, &subscribe, &[(&retained("r", "old", QOS1), QOS1)]);
    assert_eq!(bench.lines()[1..], ["PUBLISH 1 q1 retain r=old ids [77]"]);
}

#[test]
fn with_two_subscribes_on_their_way_what_is_delivered_waits_for_both() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let first = asked(&mut bench, subscribe(1, &[("a", QOS1)]));
    let second = asked(&mut bench, subscribe(2, &[("b", QOS1)]));
    bench.give("live", QOS1);
    answer(&mut bench, 1, &first, &[(&retained("a", "old", QOS1), QOS1)]);
    assert_eq!(bench.lines(), ["SUBACK 1 0x01", "PUBLISH 1 q1 retain a=old"]);
    answer(&mut bench, 1, &second, &[]);
    assert_eq!(bench.lines(), ["SUBACK 2 0x01", "PUBLISH 2 q1 t=live"]);
}

#[test]
fn a_connection_lost_meanwhile_loses_nothing_and_the_next_one_gets_no_suback() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let subscribe = asked(&mut bench, subscribe(1, &[("r", QOS1)]));
    bench.give("live", QOS1);
    bench.slot.handle_closed(bench.now);
    bench.give("away", QOS1);
    bench.attach(lasting(Version::V5));
    answer(&mut bench, 1, &subscribe, &[]);
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 1 q1 t=live", "PUBLISH 2 q1 t=away"]);
    assert_eq!(bench.slot.subscriptions(), 1, "it was made all the same");
}

#[test]
fn what_is_held_back_is_not_overtaken_while_the_connection_closes() {
    let mut bench = Bench::attached(lasting(Version::V5));
    asked(&mut bench, subscribe(1, &[("r", QOS1)]));
    bench.give("1", QOS1);
    bench.feed(Packet::Disconnect(crate::codec::Disconnect::normal())).unwrap();
    bench.give("2", QOS1);
    bench.slot.handle_closed(bench.now);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 1 q1 t=1", "PUBLISH 2 q1 t=2"]);
}

#[test]
fn what_is_held_back_is_not_overtaken_once_the_broker_has_ended_the_connection() {
    let mut bench = Bench::attached(lasting(Version::V5));
    asked(&mut bench, subscribe(1, &[("r", QOS1)]));
    bench.give("held", QOS1);
    bench.slot.disconnect(bench.now, ReasonCode::ServerShuttingDown);
    bench.give("later", QOS1);
    bench.reattach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 1 q1 t=held", "PUBLISH 2 q1 t=later"]);
}

#[test]
fn qos_0_that_was_held_back_when_the_connection_went_is_dropped_and_counted() {
    let mut bench = Bench::attached(lasting(Version::V5));
    asked(&mut bench, subscribe(1, &[("r", QOS1)]));
    bench.give("zero", QOS0);
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.slot.queued(), 0);
    assert_eq!(bench.slot.counters().dropped_offline, 1);
}

#[test]
fn each_filter_has_its_own_answer_and_only_granted_ones_are_remembered() {
    let mut bench = Bench::attached(lasting(Version::V311));
    let subscribe = asked(&mut bench, subscribe(1, &[("a", QOS2), ("a/#/b", QOS0), ("", QOS0), ("c", QOS1)]));
    let invalid = ReasonCode::TopicFilterInvalid;
    let reasons = [ReasonCode::GrantedQoS2, invalid, invalid, ReasonCode::NotAuthorized];
    bench.slot.handle_subscribed(bench.now, 1, &subscribe, &reasons, [], &mut bench.scratch);
    let sent = bench.sent();
    let [Packet::SubAck(suback)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(suback.reasons.len(), 4);
    assert!(suback.reasons[1..].iter().all(|reason| reason.is_error()), "0x80 on 3.x");
    assert_eq!(bench.slot.filters().map(TopicFilter::as_str).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn unsubscribe_is_answered_and_forgotten() {
    for (version, line) in [(Version::V5, "UNSUBACK 2 0x00 0x11"), (Version::V311, "UNSUBACK 2")] {
        let mut bench = Bench::attached(lasting(version));
        let subscribe = asked(&mut bench, subscribe(1, &[("a", QOS1)]));
        answer(&mut bench, 1, &subscribe, &[]);
        bench.sent();
        bench.feed(unsubscribe(2, &["a", "b"])).unwrap();
        assert_eq!(bench.happened(), ["unsubscribe 2"]);
        let reasons = [ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
        bench.slot.handle_unsubscribed(1, id(2), &[TopicFilter::new("a").unwrap()], &reasons);
        assert_eq!(bench.lines(), [line]);
        assert_eq!(bench.slot.subscriptions(), 0);
    }
}

#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let mut input = encode(Version::V5, &[subscribe(1, &[("$share/g/a", QOS1)])]);
    *input.last_mut().unwrap() |= 0b100; // No encoder of ours would say it.
    assert!(bench.slot.handle_input(bench.now, &mut input).is_err());
    assert_eq!(bench.lines(), ["DISCONNECT 0x82"], "[MQTT-3.8.3-4]");
}

#[test]
fn what_was_in_flight_when_it_was_unsubscribed_is_completed() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.give("x", QOS2);
    bench.feed(unsubscribe(2, &["t"])).unwrap();
    bench.slot.handle_unsubscribed(1, id(2), &[], &[ReasonCode::Success]);
    bench.sent();
    bench.feed(pubrec(1)).unwrap();
    bench.feed(pubcomp(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBREL 1"], "[MQTT-3.10.4-3]");
    assert_eq!(bench.slot.inflight(), 0);
}
