//! Order and bounds with many messages: windows, queues, wrapping identifiers, shared subscriptions.

use karere_core::broker;
use karere_core::client::{self, Outgoing};
use karere_core::codec::{Message, Properties, QoS, Version, Will};
use karere_core::topic::TopicName;
use proptest::prelude::*;

use crate::network::{Network, lasting};

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.try_into().expect("four bytes"))
}

#[test]
fn a_hundred_and_fifty_thousand_messages_pass_identifiers_round_twice_at_both_ends() {
    let mut net = Network::new(broker::Options::default());
    for name in ["publisher", "subscriber"] {
        let end = net.client(lasting(Version::V5, name));
        net.connect(end);
    }
    net.subscribe(1, "t", QoS::ExactlyOnce);
    net.settle();
    for n in 0..150_000_u32 {
        net.publish(0, "t", &n.to_be_bytes(), if n % 3 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce });
        if n % 500 == 0 {
            net.settle();
        }
    }
    net.settle();
    let got: Vec<u32> = net.ends[1].got.iter().map(|got| number(&got.payload)).collect();
    assert_eq!(got.len(), 150_000);
    assert!(got.iter().enumerate().all(|(at, n)| at as u32 == *n), "in order");
    assert!(net.ends[0].watch.most > 100, "many were on their way at once");
}

#[test]
fn a_member_that_is_lost_hands_its_share_to_the_others_and_nothing_is_lost() {
    let mut net = Network::new(broker::Options::default());
    for name in ["publisher", "one", "two", "three"] {
        let end = net.client(client::Options { receive_maximum: 3, ..lasting(Version::V5, name) });
        net.connect(end);
    }
    for end in 1..4 {
        net.subscribe(end, "$share/g/t", QoS::AtLeastOnce);
        net.settle();
        net.ends[end].acks_late = true;
    }
    net.ends[1].reconnects = false;
    for n in 0..60_u32 {
        net.publish(0, "t", &n.to_be_bytes(), QoS::AtLeastOnce);
    }
    while net.step() {}
    let shown: Vec<usize> = net.ends[1..].iter().map(|end| end.got.len()).collect();
    assert_eq!(shown, [3, 3, 3], "three unacknowledged each");
    net.cut(1);
    net.settle();
    let mut got: Vec<u32> =
        net.ends[2..].iter().flat_map(|end| end.got.iter().map(|got| number(&got.payload))).collect();
    got.sort_unstable();
    got.dedup();
    assert_eq!(got, (0..60).collect::<Vec<_>>(), "also the three that the lost one had not acknowledged");
}

#[test]
fn a_will_a_session_and_a_message_end_in_their_time() {
    let mut net = Network::new(broker::Options::default());
    let will = Message {
        topic: TopicName::new("will").expect("a name"),
        payload: vec![0, 0, 0, 7].into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        expiry: None,
        properties: Properties::EMPTY,
    };
    let mortal = client::Options {
        will: Some(Will { message: will, delay: 30 }),
        session_expiry: 60,
        ..lasting(Version::V5, "mortal")
    };
    for options in [mortal, lasting(Version::V5, "witness")] {
        let end = net.client(options);
        net.connect(end);
    }
    net.subscribe(0, "t", QoS::AtLeastOnce);
    net.subscribe(1, "will", QoS::AtLeastOnce);
    net.settle();
    net.ends[0].reconnects = false;
    net.cut(0);
    let expiring = Outgoing { expiry: Some(10), ..Outgoing::new("t", &[0; 4]).qos(QoS::AtLeastOnce) };
    net.publish_with(1, expiring);
    net.settle();
    net.pass_seconds(29);
    net.settle();
    assert!(net.ends[1].got.is_empty());
    net.pass_seconds(1);
    net.settle();
    assert_eq!(net.ends[1].got.len(), 1, "the Will, after its delay");
    net.connect(0);
    net.settle();
    assert!(net.ends[0].got.is_empty(), "the message had expired, the session had not");
    assert_eq!(net.ends[0].sessions_lost, 0);
    net.cut(0);
    net.pass_seconds(60);
    assert!(net.broker.slot_of("mortal").is_none());
    net.connect(0);
    net.settle();
    assert_eq!(net.ends[0].sessions_lost, 1);
    net.publish(1, "t", &[0; 4], QoS::AtLeastOnce);
    net.settle();
    assert_eq!(net.ends[0].got.len(), 1, "subscribed to again");
}

#[derive(Debug, Clone)]
enum Step {
    Publish(u8),
    Move(usize),
    Cut(usize),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_u8).prop_map(Step::Publish),
        4 => (1..30_usize).prop_map(Step::Move),
        1 => (0..2_usize).prop_map(Step::Cut),
        1 => Just(Step::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Through queues, small windows, full outboxes and lost connections each QoS keeps its order; the watches look
    /// at identifiers and quotas meanwhile.
    #[test]
    fn each_qos_keeps_its_order_through_queues_and_resends(
        steps in prop::collection::vec(step(), 1..120),
        v5 in any::<bool>(),
        windows in (1..5_u16, 1..5_u16),
        high in 20..200_usize,
        chunk in 1..50_usize,
        late in any::<bool>(),
        aliases in any::<bool>(),
    ) {
        let version = if v5 { Version::V5 } else { Version::V311 };
        let options = broker::Options {
            receive_maximum: windows.0,
            inflight_max: windows.1,
            outbox_high_bytes: high,
            outbox_low_bytes: high / 2,
            ..broker::Options::default()
        };
        let mut net = Network::new(options);
        for name in ["publisher", "subscriber"] {
            let end = net.client(client::Options {
                receive_maximum: windows.1,
                outbox_bytes_max: high,
                outbound_aliases: aliases,
                ..lasting(version, name)
            });
            net.connect(end);
        }
        net.subscribe(1, "t", QoS::ExactlyOnce);
        net.settle();
        net.chunk = chunk;
        net.broker.answers_late = late;
        net.ends[1].acks_late = late;
        let mut sent = 0_u32;
        for step in steps {
            match step {
                Step::Publish(bits) => {
                    net.publish(0, "t", &sent.to_be_bytes(), crate::broker::qos(bits));
                    sent += 1;
                }
                Step::Move(count) => (0..count).for_each(|_| { net.step(); }),
                Step::Cut(end) => net.cut(end),
                Step::Settle => net.settle(),
            }
        }
        net.settle();
        for qos in crate::watch::QOS {
            let mut first = Vec::new();
            for got in net.ends[1].got.iter().filter(|got| got.qos == qos) {
                let n = number(&got.payload);
                if !first.contains(&n) {
                    first.push(n);
                } else {
                    prop_assert_eq!(qos, QoS::AtLeastOnce, "doubled");
                }
            }
            prop_assert!(first.is_sorted(), "{:?}: {:?}", qos, first);
        }
        let numbered = net.ends[1].got.iter().filter(|got| got.qos > QoS::AtMostOnce);
        let mut kinds: Vec<u32> = numbered.map(|got| number(&got.payload)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        prop_assert_eq!(net.ends[0].client.inflight() + net.ends[0].client.queued(), 0);
        let published = net.ends[0].published.len();
        prop_assert_eq!(kinds.len(), published, "everything at QoS > 0 arrived");
        if v5 {
            prop_assert!(net.ends[0].watch.most <= usize::from(windows.0));
        }
    }
}
