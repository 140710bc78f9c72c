//! Rows 33 to 44: strings, topics and filters.

use karere_broker::RouterLimits;
use karere_core::codec::{Message, ReasonCode, Version, Will};
use karere_core::topic::{Limits, TopicName};

use super::*;

/// Sends `text`, which is no UTF-8 Encoded String, wherever one belongs, and sees the sender go each time.
async fn is_taken_nowhere(broker: &BrokerHandle, text: &[u8]) {
    let malformed = ReasonCode::MalformedPacket;
    let text = string(text);
    for version in VERSIONS {
        let tail = block(version, b"");
        refused(broker, &connect_frame(version, 2, b"", &text), b"").await;
        refused(broker, &connect_frame(version, 0x82, b"", &[string("c"), text.clone()].concat()), b"").await;
        let with_will = [&string("c")[..], &tail, &text, &string("gone")].concat();
        refused(broker, &connect_frame(version, 0b110, b"", &with_will), b"").await;
        ends(broker, version, &frame(0x30, &[&text[..], &tail].concat()), malformed).await;
        ends(broker, version, &filters_frame(version, 0x82, b"", &[&text[..], &[0]].concat()), malformed)
            .await;
        ends(broker, version, &filters_frame(version, 0xA2, b"", &text), malformed).await;
    }
    let (key, value) =
        ([&[0x26][..], &text, &string("v")].concat(), [&[0x26][..], &string("k"), &text].concat());
    for properties in
        [key.clone(), value.clone(), [&[0x03][..], &text].concat(), [&[0x08][..], &text].concat()]
    {
        ends(broker, Version::V5, &publish_with(&properties), malformed).await;
    }
    for properties in [key, value, [&[0x15][..], &text].concat()] {
        refused(broker, &connect_frame(Version::V5, 2, &properties, &string("c")), b"").await;
    }
    let reason = [&[0x1F][..], &text].concat();
    ends(
        broker,
        Version::V5,
        &frame(0x40, &[&[0, 1, 0][..], &block(Version::V5, &reason)].concat()),
        malformed,
    )
    .await;
    ends(broker, Version::V5, &frame(0xE0, &[&[0][..], &block(Version::V5, &reason)].concat()), malformed)
        .await;
}

#[test]
fn hostile_033_strings_that_are_no_utf_8() {
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        let wrong: [&[u8]; 7] = [
            b"\xFF",
            b"a\xC0\x80",        // overlong
            b"\xE0\x80\xAF",     // overlong
            b"\xED\xA0\x80",     // U+D800
            b"\xED\xBF\xBF",     // U+DFFF
            b"a\xE2\x82",        // cut
            b"\xF4\x90\x80\x80", // above U+10FFFF
        ];
        for text in wrong {
            is_taken_nowhere(broker, text).await;
        }
        witness.expect_nothing().await;
    });
}

#[test]
fn hostile_034_u_0000_in_a_string() {
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        for text in [&b"\0"[..], b"a\0b", b"ab\0"] {
            is_taken_nowhere(broker, text).await;
        }
        witness.expect_nothing().await;
    });
}

#[test]
fn hostile_035_control_characters_are_taken_alike_in_names_and_filters() {
    hostile(Options::default(), async |broker| {
        for topic in ["a/\u{1}", "\u{1F}", "a\u{7F}", "\u{9F}/b", "\u{FFFF}", "\u{1FFFE}"] {
            let mut reader = TestClient::v5(broker, topic).await;
            assert_eq!(reader.subscribe(topic, AtMostOnce).await, ReasonCode::Success);
            let mut writer = TestClient::connect(broker, Version::V311, "writer").await;
            writer.publish_and_wait(topic, topic).await;
            assert_eq!(reader.expect_payload(topic).await.message.topic.as_str(), topic);
        }
    });
}

#[test]
fn hostile_036_a_byte_order_mark_is_a_character_like_others_and_nothing_is_normalised() {
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        let mut plain = TestClient::v5(broker, "plain").await;
        plain.subscribe("caf\u{E9}", AtMostOnce).await;
        let mut writer = TestClient::v5(broker, "writer").await;
        for topic in ["\u{FEFF}caf\u{E9}", "caf\u{E9}\u{FEFF}", "cafe\u{301}"] {
            writer.publish(message(topic, "x", AtMostOnce), 0).await;
            assert_eq!(witness.receive_publish().await.message.topic.as_str(), topic);
        }
        plain.expect_nothing().await;
    });
}

#[test]
fn hostile_037_a_topic_of_65536_levels() {
    hostile(Options::default(), async |broker| {
        let deep = "/".repeat(65_535);
        let mut witness = witness(broker).await;
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "deep").await;
            let refusal = client.subscribe(&deep, AtLeastOnce).await;
            let expected =
                if version.is_v5() { ReasonCode::TopicFilterInvalid } else { ReasonCode::UnspecifiedError };
            assert_eq!(refusal, expected);
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
            match client.subscribe(&format!("never/{}", deep(number)), AtMostOnce).await {
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
                client.unsubscribe(&format!("never/{}", deep(number))).await;
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
            let refusal =
                if version.is_v5() { ReasonCode::TopicFilterInvalid } else { ReasonCode::UnspecifiedError };
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
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        witness.subscribe("+/broker/uptime", AtMostOnce).await;
        let mut reader = TestClient::v5(broker, "reader").await;
        reader.subscribe("$SYS/#", AtMostOnce).await;
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "forger").await;
            for topic in ["$SYS", "$SYS/broker/uptime", "$SYS/x"] {
                client.publish(retained(topic, "forged", AtLeastOnce), 1).await;
                let answer = puback(&mut client).await;
                let expected = if version.is_v5() { ReasonCode::NotAuthorized } else { ReasonCode::Success };
                assert_eq!(answer, expected);
            }
            let with_will = Connect { will: will("$SYS/x", "forged", 0), ..connect(version, "ghost") };
            drop(TestClient::connect_with(broker, with_will).await);
        }
        witness.expect_nothing().await;
        reader.expect_nothing().await;
        assert_eq!(broker.counters().retained, 0);
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
