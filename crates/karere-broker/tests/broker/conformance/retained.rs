//! Retained messages, on both versions.

use karere_core::codec::{Message, Packet, ReasonCode, Version};

use super::*;

/// What a new subscription to `filter` brings before anything else.
async fn retained_for(broker: &BrokerHandle, version: Version, filter: &str) -> Vec<Message> {
    let mut client = TestClient::connect(broker, version, "newcomer").await;
    client.subscribe(filter, ExactlyOnce).await;
    client.send(&Packet::PingReq).await;
    let mut messages = Vec::new();
    loop {
        match client.receive().await {
            Packet::Publish(publish) => messages.push(publish.message),
            Packet::PingResp => return messages,
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn payloads(messages: &[Message]) -> Vec<&[u8]> {
    messages.iter().map(|message| &message.payload[..]).collect()
}

#[test]
fn the_last_retained_message_of_each_topic_is_kept_with_its_qos_and_outlives_its_publisher() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut publisher = TestClient::connect(&broker, version, "publisher").await;
            for (topic, payload, qos) in
                [("r/a", "old", AtLeastOnce), ("r/b", "b", AtMostOnce), ("r/a", "new", ExactlyOnce)]
            {
                publisher.publish(retained(topic, payload, qos), qos.bits().into()).await;
            }
            publisher.publish(message("r/a", "not retained", AtLeastOnce), 9).await;
            while !matches!(publisher.receive().await, Packet::PubAck(got) if got.packet_id.get() == 9) {}
            publisher.disconnect(ReasonCode::Success).await;
            until("its session is over", || broker.counters().clients_total == 0).await;

            let mut messages = retained_for(&broker, version, "r/+").await;
            messages.sort_by(|one, other| one.topic.cmp(&other.topic));
            assert_eq!(payloads(&messages), [&b"new"[..], b"b"]);
            assert_eq!((messages[0].qos, messages[1].qos), (ExactlyOnce, AtMostOnce));
            assert!(messages.iter().all(|message| message.retain));
            until("it has gone", || broker.counters().clients_total == 0).await;
        }
    });
}

#[test]
fn a_message_without_payload_is_delivered_and_removes_what_was_retained() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "client").await;
            client.publish(retained("a", "kept", AtMostOnce), 0).await;
            client.expect_nothing().await;
            client.subscribe("a", AtMostOnce).await;
            client.expect_payload("kept").await;
            client.publish(message("a", "", AtMostOnce), 0).await;
            client.expect_payload("").await;
            assert_eq!(payloads(&retained_for(&broker, version, "a").await), [b"kept"], "RETAIN was not set");
            client.publish(retained("a", "", AtMostOnce), 0).await;
            assert!(!client.expect_payload("").await.message.retain);
            assert_eq!(retained_for(&broker, version, "a").await, []);
            assert_eq!(broker.counters().retained, 0);
        }
    });
}

#[test]
fn retain_is_set_for_new_subscriptions_and_clear_for_established_ones() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "client").await;
            client.subscribe("a", AtMostOnce).await;
            client.publish(retained("a", "x", AtMostOnce), 0).await;
            assert!(!client.expect_payload("x").await.message.retain);
            client.subscribe("a", AtMostOnce).await;
            assert!(client.expect_payload("x").await.message.retain, "sent again [MQTT-3.8.4-3]");
            client.publish(retained("a", "", AtMostOnce), 0).await;
            client.expect_payload("").await;
        }
    });
}
