//! Shared Subscriptions: what moves to another member, and what does not.

use super::*;
use crate::broker::{NewSubscription, Router, RouterLimits, ShareKey, Target};
use crate::codec::{Ack, SubscribeOptions};

/// The key of some Shared Subscription.
pub(super) fn key() -> ShareKey {
    let mut router = Router::<u32>::new(1, RouterLimits::default());
    let filter = TopicFilter::new("$share/g/t").unwrap();
    let options = SubscribeOptions::default();
    router
        .subscribe(&NewSubscription { session: 1, filter: &filter, options, subscription_id: None })
        .unwrap();
    let mut targets = Vec::new();
    router.route(None, "t", &mut targets);
    let [Target::Shared(shared)] = &targets[..] else { panic!("{targets:?}") };
    shared.in_turn().next().unwrap().grant.shared.unwrap()
}

fn give_shared(bench: &mut Bench, payload: &str, qos: QoS, presence: Presence) -> Delivered {
    let grant = Grant { qos: QOS2, shared: Some(key()), ..Grant::default() };
    bench.deliver_as(&message("t", payload, qos), &grant, presence)
}

#[test]
fn a_broken_connection_gives_back_what_was_not_sent_and_unacknowledged_qos_1_but_no_qos_2_that_was_sent() {
    let mut bench = Bench::attached(saying([Property::ReceiveMaximum(4)]));
    for (payload, qos) in [("sent1", QOS1), ("sent2", QOS2), ("done", QOS1), ("released", QOS2)] {
        give_shared(&mut bench, payload, qos, Presence::Any);
    }
    bench.give("own", QOS1);
    give_shared(&mut bench, "waits1", QOS1, Presence::Any);
    give_shared(&mut bench, "waits2", QOS2, Presence::Any);
    bench.feed(pubrec(4)).unwrap();
    bench.slot.disconnect(bench.now, ReasonCode::ServerShuttingDown);
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.happened(), ["redistribute t=sent1 t=done t=waits1 t=waits2"], "[MQTT-4.8.2-5]");
    bench.attach(lasting(Version::V5));
    assert_eq!(
        bench.lines(),
        ["CONNACK present", "PUBREL 4", "PUBLISH 2 q2 dup t=sent2", "PUBLISH 5 q1 t=own"],
        "[MQTT-4.8.2-4]"
    );
}

#[test]
fn what_was_acknowledged_or_refused_never_moves() {
    let mut bench = Bench::attached(lasting(Version::V5));
    for (payload, qos) in [("1", QOS1), ("2", QOS1), ("3", QOS2)] {
        give_shared(&mut bench, payload, qos, Presence::Any);
    }
    bench.feed(puback(1)).unwrap();
    bench.feed(Packet::PubAck(Ack::new(id(2), ReasonCode::UnspecifiedError))).unwrap();
    bench.feed(Packet::PubRec(Ack::new(id(3), ReasonCode::QuotaExceeded))).unwrap();
    bench.slot.handle_closed(bench.now);
    assert!(bench.happened().is_empty(), "[MQTT-4.8.2-6]");
}

#[test]
fn what_was_sent_at_qos_2_ends_with_its_session() {
    let mut bench = Bench::attached(saying([Property::ReceiveMaximum(1)]));
    give_shared(&mut bench, "sent", QOS2, Presence::Any);
    give_shared(&mut bench, "waits", QOS2, Presence::Any);
    let ending = bench.slot.end(bench.now);
    let moved: Vec<_> = ending.shared.iter().map(|each| &each.message.payload[..]).collect();
    assert_eq!(moved, [b"waits"]);
}

#[test]
fn a_delivery_on_its_way_to_another_member_keeps_its_qos_and_its_expiry() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let grant = Grant { qos: QOS1, shared: Some(key()), ..Grant::default() };
    bench.deliver_as(&Message { expiry: Some(10), ..message("t", "x", QOS2) }, &grant, Presence::Any);
    let expires_at = bench.now.plus_seconds(10);
    bench.slot.handle_closed(bench.now);
    let Some(Event::Redistribute(mut shared)) = bench.slot.poll_event() else { panic!() };
    let delivery = shared.remove(0);
    assert_eq!((delivery.qos, delivery.expires_at), (QOS1, Some(expires_at)));
    bench.after_seconds(4);
    let mut other = Bench::attached(lasting(Version::V5));
    other.now = bench.now;
    let mut routed = Routed::with_expiry(&delivery.message, delivery.expires_at, &mut other.scratch);
    other.slot.deliver(other.now, &mut routed, &grant, Presence::Attached);
    assert_eq!(other.lines(), ["PUBLISH 1 q1 t=x expires 6"]);
}

#[test]
fn an_absent_member_is_asked_only_when_nobody_is_attached() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    assert_eq!(give_shared(&mut bench, "x", QOS1, Presence::Attached), Delivered::Absent);
    assert_eq!(give_shared(&mut bench, "x", QOS1, Presence::Any), Delivered::Taken);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 1 q1 t=x"]);
}

#[test]
fn a_member_that_says_goodbye_is_absent_at_once() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.feed(Packet::Disconnect(crate::codec::Disconnect::normal())).unwrap();
    assert_eq!(give_shared(&mut bench, "x", QOS1, Presence::Attached), Delivered::Absent);
}

#[test]
fn what_a_takeover_gives_back_is_not_sent_to_the_new_connection_as_well() {
    let mut bench = Bench::attached(lasting(Version::V5));
    give_shared(&mut bench, "x", QOS1, Presence::Any);
    bench.slot.take_over(bench.now).unwrap();
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present"]);
    assert_eq!(bench.happened(), ["redistribute t=x"]);
}
