//! Rows 37 to 44: Topic Names and Topic Filters.

use std::time::Duration;

use karere_broker::RouterLimits;
use karere_core::codec::{Message, Will};
use karere_core::topic::{Limits, TopicName};

use super::*;

#[test]
fn hostile_037_a_topic_of_65536_levels() {
    hostile(Options::default(), async |broker| {
        let deep = "/".repeat(65_535);
        let mut witness = witness(broker).await;
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "deep").await;
            let answer = client.subscribe(&deep, AtLeastOnce).await;
            assert_eq!(answer, refusal(version, ReasonCode::TopicFilterInvalid));
            client.unsubscribe(&deep).await;
            // Routing one is a walk that `#` ends at once; keeping it would take a node for each level.
            client.publish(message(&deep, "routed", AtMostOnce), 0).await;
            witness.expect_payload("routed").await;
            client.publish(retained(&deep, "kept", AtLeastOnce), 1).await;
            let answer = puback(&mut client).await;
            if version.is_v5() {
                assert_eq!(answer, ReasonCode::TopicNameInvalid);
            } else {
                // It cannot be told: the message is delivered, and not kept.
                witness.expect_payload("kept").await;
            }
            assert_eq!(broker.counters().retained, 0);
            let last = Message { topic: TopicName::new(&deep).unwrap(), ..retained("t", "will", AtMostOnce) };
            let with_will =
                Connect { will: Some(Will { message: last, delay: 0 }), ..connect(version, "mortal") };
            drop(TestClient::connect_with(broker, with_will).await);
            witness.expect_payload("will").await;
            assert_eq!(broker.counters().retained, 0);
        }
    });
}

#[test]
fn hostile_038_deep_topics_each_of_its_own_levels() {
    let nodes = Limits { nodes_max: 1_000, ..Limits::default() };
    let mut limits = RouterLimits { filters: nodes, ..RouterLimits::default() };
    limits.retained.topics = nodes;
    hostile_to(builder().router_limits(limits), async |broker| {
        let mut client = TestClient::v5(broker, "bomber").await;
        let deep = |number: usize| format!("{number}{}", format!("/{number}").repeat(100));
        let (mut kept, mut subscribed) = (0, 0);
        for number in 0..20 {
            client.publish(retained(&deep(number), "x", AtLeastOnce), 1).await;
            match puback(&mut client).await {
                ReasonCode::QuotaExceeded => {}
                reason => {
                    assert!(!reason.is_error());
                    kept += 1;
                }
            }
            match client.subscribe(&format!("never/+/{}", deep(number)), AtMostOnce).await {
                ReasonCode::QuotaExceeded => {}
                reason => {
                    assert!(!reason.is_error());
                    subscribed += 1;
                }
            }
        }
        assert_eq!((kept, subscribed), (9, 9));
        // What they leave free can be taken again.
        for _ in 0..3 {
            for number in 0..kept {
                unretain(&mut client, &deep(number)).await;
                client.unsubscribe(&format!("never/+/{}", deep(number))).await;
            }
            assert_eq!((broker.counters().retained, broker.counters().subscriptions), (0, 1));
            for number in 0..kept {
                client.publish(retained(&deep(number), "x", AtLeastOnce), 1).await;
                assert!(!puback(&mut client).await.is_error());
            }
        }
        for number in 0..kept {
            unretain(&mut client, &deep(number)).await;
        }
    });
}

#[test]
fn hostile_039_an_empty_topic_without_an_alias() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            for bytes in
                [publish_frame(0x30, "", &block(version, b"")), publish_frame(0x31, "", &block(version, b""))]
            {
                ends(broker, version, &bytes, ReasonCode::ProtocolError).await;
            }
            let acknowledged = publish_frame(0x32, "", &[&[0, 1][..], &block(version, b"")].concat());
            ends(broker, version, &acknowledged, ReasonCode::ProtocolError).await;
        }
    });
}

#[test]
fn hostile_040_wildcards_where_a_topic_name_belongs() {
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        let invalid = ReasonCode::TopicNameInvalid;
        for name in ["#", "+", "a/#", "a/+/b", "a#", "a+b"] {
            for version in VERSIONS {
                ends(broker, version, &publish_frame(0x31, name, &block(version, b"")), invalid).await;
                let with_will =
                    [&string("c")[..], &block(version, b""), &string(name), &string("gone")].concat();
                refused(broker, &connect_frame(version, 0b110, b"", &with_will), b"").await;
            }
            let response = [&[0x08][..], &string(name)].concat();
            ends(broker, Version::V5, &publish_with(&response), invalid).await;
        }
        witness.expect_nothing().await;
    });
}

#[test]
fn hostile_041_filters_that_are_none() {
    hostile(Options::default(), async |broker| {
        let wrong = ["a/#/b", "a#", "#a", "##", "a+/b", "+a", "a/+b/c", "++", "#/", "#/a", "a/b#"];
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "filters").await;
            // Each is answered for itself, beside one that is right.
            let mut all: Vec<_> = wrong.iter().map(|filter| subscription(filter, AtMostOnce)).collect();
            all.push(subscription("right/+/#", AtMostOnce));
            client.send(&subscribe(all, None)).await;
            let mut reasons = suback(&mut client).await;
            assert_eq!(reasons.pop(), Some(ReasonCode::Success));
            let refusal = refusal(version, ReasonCode::TopicFilterInvalid);
            assert_eq!(reasons, vec![refusal; wrong.len()]);
            for filter in wrong {
                client.unsubscribe(filter).await;
            }
            client.publish(message("right/a/b", "x", AtMostOnce), 0).await;
            client.expect_payload("x").await;
        }
    });
}

#[test]
fn hostile_042_the_brokers_own_topics() {
    hostile(Options::default(), async |_| {
        // One that has something to say under $SYS.
        let speaking = builder().sys_interval(Duration::from_millis(20)).start().await.unwrap();
        let broker = &speaking;
        let mut witness = witness(broker).await;
        witness.subscribe("+/broker/uptime", AtMostOnce).await;
        let mut reader = TestClient::v5(broker, "reader").await;
        reader.subscribe("$SYS/#", AtMostOnce).await;
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "forger").await;
            for topic in ["$SYS", "$SYS/broker/uptime", "$SYS/x"] {
                client.publish(retained(topic, "forged", AtLeastOnce), 1).await;
                // 3 cannot tell, and the message goes nowhere all the same.
                let untold = if version.is_v5() { ReasonCode::NotAuthorized } else { ReasonCode::Success };
                assert_eq!(puback(&mut client).await, untold);
            }
            let with_will = Connect { will: will("$SYS/x", "forged", 0), ..connect(version, "ghost") };
            drop(TestClient::connect_with(broker, with_will).await);
        }
        until("the ghosts have gone", || broker.counters().clients_connected == 2).await;
        // What the broker says itself goes on coming meanwhile.
        let mut topics = BTreeSet::new();
        while topics.len() < 16 {
            let message = reader.receive_publish().await.message;
            assert_ne!(message.payload, "forged", "{}", message.topic);
            topics.insert(message.topic.as_str().to_owned());
        }
        witness.expect_nothing().await;
        assert_eq!(broker.counters().retained, 16);
        drop((witness, reader));
        speaking.shutdown().await;
    });
}

#[test]
fn hostile_043_topics_that_begin_with_a_dollar_sign() {
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        for topic in
            ["$foo", "$", "$/", "$CONTROL/dynamic-security/v1", "$share/g/t", "$share", "$share/", "$SYSx"]
        {
            for version in VERSIONS {
                let mut client = TestClient::connect(broker, version, "dollars").await;
                client.publish_and_wait(topic, "x").await;
                let with_will = Connect { will: will(topic, "gone", 0), ..connect(version, "ghost") };
                drop(TestClient::connect_with(broker, with_will).await);
            }
        }
        witness.expect_nothing().await;
        let mut reader = TestClient::v5(broker, "reader").await;
        reader.subscribe("$foo/+", AtMostOnce).await;
        reader.publish(message("$foo/a", "x", AtMostOnce), 0).await;
        reader.expect_payload("x").await;
    });
}

#[test]
fn hostile_044_the_longest_topic_to_many() {
    hostile(Options::default(), async |broker| {
        let long = "t".repeat(65_535);
        let mut readers = Vec::new();
        for number in 0..50 {
            let mut reader = TestClient::v5(broker, &number.to_string()).await;
            reader.subscribe(if number % 2 == 0 { "#" } else { &long }, AtMostOnce).await;
            readers.push(reader);
        }
        let mut writer = TestClient::v5(broker, "writer").await;
        for number in 0..5 {
            writer.publish(message(&long, &number.to_string(), AtMostOnce), 0).await;
        }
        for reader in &mut readers {
            for number in 0..5 {
                assert_eq!(reader.expect_payload(&number.to_string()).await.message.topic.as_str(), long);
            }
        }
    });
}
