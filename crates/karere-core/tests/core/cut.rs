//! The connection lost at every byte of an exchange, each way, at either end; the session resumed.

use karere_core::client::Handover;
use karere_core::codec::{QoS, ReasonCode, Version};
use proptest::prelude::*;

use crate::broker::pending;
use crate::network::{Network, Way, lasting};
use crate::watch::QOS;

const MESSAGES: u8 = 3;

/// Whose connection is lost.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Publisher,
    Subscriber,
}

#[derive(Debug, Clone, Copy)]
struct Scenario {
    version: Version,
    qos: QoS,
    side: Side,
    late: bool,
    handover: Handover,
    store: bool,
    chunk: usize,
    receive_maximum: u16,
}

/// A network in which a subscriber waits and a publisher is about to publish; the end whose connection is lost.
fn prepare(scenario: Scenario) -> (Network, usize) {
    let options = karere_core::broker::Options {
        store: scenario.store,
        receive_maximum: scenario.receive_maximum,
        ..Default::default()
    };
    let mut net = Network::new(options);
    net.broker.answers_late = scenario.late;
    for name in ["publisher", "subscriber"] {
        let end = net.client(karere_core::client::Options {
            store: scenario.store,
            handover: scenario.handover,
            receive_maximum: scenario.receive_maximum,
            ..lasting(scenario.version, name)
        });
        net.ends[end].acks_late = scenario.late;
        net.connect(end);
    }
    net.subscribe(1, "t", QoS::ExactlyOnce);
    net.settle();
    net.chunk = scenario.chunk;
    let end = if scenario.side == Side::Publisher { 0 } else { 1 };
    (net, end)
}

/// Publishes all, and lets it end.
fn exchange(net: &mut Network, qos: QoS) {
    for n in 0..MESSAGES {
        net.publish(0, "t", &[n], qos);
    }
    net.settle();
}

/// Nothing lost, nothing doubled at QoS 2 and with DUP at QoS 1, nothing out of order, nothing left over.
fn check(net: &Network, qos: QoS) {
    let got = &net.ends[1].got;
    let mut first = Vec::new();
    for message in got {
        if !first.contains(&message.payload[0]) {
            first.push(message.payload[0]);
        } else {
            assert_eq!(qos, QoS::AtLeastOnce, "doubled: {got:?}");
            let routed_again =
                net.broker.routed.iter().any(|(payload, dup)| *payload == message.payload && *dup);
            assert!(message.dup || routed_again, "a second copy without DUP: {got:?}");
        }
    }
    assert_eq!(first, (0..MESSAGES).collect::<Vec<_>>(), "lost, or out of order: {got:?}");
    if qos == QoS::ExactlyOnce {
        assert_eq!(net.broker.routed.len(), usize::from(MESSAGES), "routed twice");
    }
    let published: Vec<ReasonCode> = net.ends[0].published.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(published, [ReasonCode::Success; MESSAGES as usize]);
    for end in &net.ends {
        assert_eq!((end.client.inflight(), end.client.queued(), end.sessions_lost), (0, 0, 0));
        assert!(end.client.is_connected());
    }
    for name in ["publisher", "subscriber"] {
        assert_eq!(net.broker.slot_of(name).map(pending), Some(0), "{name}");
    }
}

/// The bytes that the exchange takes this way.
fn length(scenario: Scenario, way: Way) -> usize {
    let (mut net, end) = prepare(scenario);
    let before = net.carried(end, way);
    exchange(&mut net, scenario.qos);
    check(&net, scenario.qos);
    net.carried(end, way) - before
}

/// Lost at every byte, each way.
fn lost_at_every_byte(scenario: Scenario) {
    for way in [Way::Up, Way::Down] {
        let length = length(scenario, way);
        assert!(length > 10, "there is nothing to cut: {length}");
        for at in 0..=length {
            let (mut net, end) = prepare(scenario);
            net.cut_after(end, way, at);
            exchange(&mut net, scenario.qos);
            check(&net, scenario.qos);
        }
    }
}

/// All that a QoS can meet: versions, late answers, late handover, a store that is late, windows.
fn scenarios(qos: QoS, side: Side) -> Vec<Scenario> {
    let mut all = Vec::new();
    for version in [Version::V311, Version::V5] {
        for late in [false, true] {
            for handover in [Handover::OnPublish, Handover::OnRelease] {
                for store in [false, true] {
                    for (chunk, receive_maximum) in [(1, 100), (usize::MAX, 2)] {
                        all.push(Scenario {
                            version,
                            qos,
                            side,
                            late,
                            handover,
                            store,
                            chunk,
                            receive_maximum,
                        });
                    }
                }
            }
        }
    }
    all
}

#[test]
fn a_publisher_cut_off_at_any_byte_loses_nothing_at_qos_1() {
    scenarios(QoS::AtLeastOnce, Side::Publisher).into_iter().for_each(lost_at_every_byte);
}

#[test]
fn a_publisher_cut_off_at_any_byte_loses_and_doubles_nothing_at_qos_2() {
    scenarios(QoS::ExactlyOnce, Side::Publisher).into_iter().for_each(lost_at_every_byte);
}

#[test]
fn a_subscriber_cut_off_at_any_byte_loses_nothing_at_qos_1() {
    scenarios(QoS::AtLeastOnce, Side::Subscriber).into_iter().for_each(lost_at_every_byte);
}

#[test]
fn a_subscriber_cut_off_at_any_byte_loses_and_doubles_nothing_at_qos_2() {
    scenarios(QoS::ExactlyOnce, Side::Subscriber).into_iter().for_each(lost_at_every_byte);
}

#[test]
fn qos_0_may_be_lost_but_never_doubled() {
    for side in [Side::Publisher, Side::Subscriber] {
        for way in [Way::Up, Way::Down] {
            for at in 0..40 {
                let scenario = scenarios(QoS::AtMostOnce, side)[0];
                let (mut net, end) = prepare(scenario);
                net.cut_after(end, way, at);
                exchange(&mut net, scenario.qos);
                let got: Vec<u8> = net.ends[1].got.iter().map(|got| got.payload[0]).collect();
                assert!(got.is_sorted() && got.len() <= usize::from(MESSAGES), "{got:?}");
                assert!(got.windows(2).all(|pair| pair[0] != pair[1]), "{got:?}");
            }
        }
    }
}

/// One loss after the other: which end, which way, after how many bytes, and how long before that it may talk.
type Losses = Vec<(usize, bool, usize, usize)>;

fn losses() -> impl Strategy<Value = Losses> {
    prop::collection::vec((0..2_usize, any::<bool>(), 0..60_usize, 0..80_usize), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Lost again and again, also while it connects and resumes, at both ends.
    #[test]
    fn however_often_and_wherever_connections_are_lost_nothing_else_is(
        losses in losses(),
        qos in 1..3_usize,
        choice in 0..32_usize,
        chunk in prop_oneof![Just(1_usize), 2..40_usize],
    ) {
        let qos = QOS[qos];
        let scenario = Scenario { chunk, ..scenarios(qos, Side::Publisher)[choice] };
        let (mut net, _) = prepare(scenario);
        for n in 0..MESSAGES {
            net.publish(0, "t", &[n], qos);
        }
        for (end, up, bytes, steps) in losses {
            if net.ends[end].wire.is_none() {
                net.connect(end);
            }
            net.cut_after(end, if up { Way::Up } else { Way::Down }, bytes);
            for _ in 0..steps {
                net.step();
            }
        }
        for end in 0..2 {
            net.cut(end);
        }
        net.settle();
        check(&net, qos);
    }
}
