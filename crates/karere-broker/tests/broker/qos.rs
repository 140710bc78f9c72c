//! Quality of Service, both ways, and flow control.

use karere_broker::Options;
use karere_core::codec::{Connect, Packet, Property, ReasonCode, Version};

use crate::client::*;

#[test]
fn each_qos_goes_through_its_exchange_on_each_version() {
    run(async {
        let broker = broker().await;
        for version in [Version::V31, Version::V311, Version::V5] {
            let mut reader = TestClient::connect(&broker, version, "reader").await;
            let mut writer = TestClient::connect(&broker, version, "writer").await;
            assert_eq!(reader.subscribe("t/#", ExactlyOnce).await, ReasonCode::GrantedQoS2);

            writer.publish(message("t/0", "zero", AtMostOnce), 0).await;
            assert_eq!(reader.expect_payload("zero").await.packet_id, None);

            writer.publish(message("t/1", "one", AtLeastOnce), 1).await;
            assert!(matches!(writer.receive().await, Packet::PubAck(got) if got == ack(1)));
            let id = reader.expect_payload("one").await.packet_id.unwrap().get();
            reader.send(&Packet::PubAck(ack(id))).await;

            writer.publish(message("t/2", "two", ExactlyOnce), 2).await;
            assert!(matches!(writer.receive().await, Packet::PubRec(got) if got == ack(2)));
            writer.send(&Packet::PubRel(ack(2))).await;
            assert!(matches!(writer.receive().await, Packet::PubComp(got) if got == ack(2)));
            let id = reader.expect_payload("two").await.packet_id.unwrap().get();
            reader.send(&Packet::PubRec(ack(id))).await;
            assert!(matches!(reader.receive().await, Packet::PubRel(got) if got == ack(id)));
            reader.send(&Packet::PubComp(ack(id))).await;
            reader.expect_nothing().await;
        }
    });
}

#[test]
fn copies_of_a_qos_2_publish_are_acknowledged_but_not_delivered() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "copies").await;
        client.subscribe("a", AtMostOnce).await;
        client.publish(message("a", "once", ExactlyOnce), 5).await;
        client.expect_payload("once").await;
        assert!(matches!(client.receive().await, Packet::PubRec(_)));
        for _ in 0..2 {
            client.publish(message("a", "once", ExactlyOnce), 5).await;
            assert!(matches!(client.receive().await, Packet::PubRec(_)));
        }
        client.expect_nothing().await;
    });
}

#[test]
fn acknowledgements_come_in_the_order_of_the_messages() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "order").await;
        let mut bytes = bytes::BytesMut::new();
        for id in 1..=200 {
            publish(message("a", "x", AtLeastOnce), id).encode(Version::V5, &mut bytes).unwrap();
        }
        client.send_bytes(&bytes).await;
        for id in 1..=200 {
            match client.receive().await {
                Packet::PubAck(got) => {
                    assert_eq!(got.packet_id.get(), id);
                    assert_eq!(got.reason, ReasonCode::NoMatchingSubscribers);
                }
                other => panic!("expected PUBACK {id}, got {other:?}"),
            }
        }
    });
}

#[test]
fn no_more_are_sent_than_the_client_will_receive() {
    run(async {
        let broker = broker().await;
        let two =
            Connect { properties: properties(&[Property::ReceiveMaximum(2)]), ..connect(Version::V5, "two") };
        let (mut client, _) = TestClient::connect_with(&broker, two).await;
        client.subscribe("a", AtLeastOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        for payload in ["1", "2", "3", "4"] {
            publisher.publish_and_wait("a", payload).await;
        }
        let first = client.expect_payload("1").await;
        client.expect_payload("2").await;
        client.expect_nothing().await;
        client.send(&Packet::PubAck(ack(first.packet_id.unwrap().get()))).await;
        client.expect_payload("3").await;
        client.expect_nothing().await;
    });
}

#[test]
fn more_than_our_receive_maximum_ends_the_connection() {
    run(async {
        let broker = broker_with(Options { receive_maximum: 2, ..Options::default() }).await;
        let mut client = TestClient::v5(&broker, "eager").await;
        let mut bytes = bytes::BytesMut::new();
        for id in 1..=3 {
            publish(message("a", "x", ExactlyOnce), id).encode(Version::V5, &mut bytes).unwrap();
        }
        client.send_bytes(&bytes).await;
        loop {
            match client.receive().await {
                Packet::PubRec(_) => {}
                Packet::Disconnect(why) => break assert_eq!(why.reason, ReasonCode::ReceiveMaximumExceeded),
                other => panic!("expected DISCONNECT, got {other:?}"),
            }
        }
        client.expect_closed().await;
    });
}

#[test]
fn a_client_may_use_an_alias_for_a_topic() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "alias").await;
        client.subscribe("a/long/topic", AtMostOnce).await;
        let mut first = publish(message("a/long/topic", "named", AtMostOnce), 0);
        let mut second = first.clone();
        if let (Packet::Publish(first), Packet::Publish(second)) = (&mut first, &mut second) {
            first.topic_alias = std::num::NonZeroU16::new(3);
            second.topic_alias = first.topic_alias;
            second.message.topic = karere_core::topic::TopicName::EMPTY;
            second.message.payload = "aliased".into();
        }
        client.send(&first).await;
        client.expect_payload("named").await;
        client.send(&second).await;
        assert_eq!(&*client.expect_payload("aliased").await.message.topic, "a/long/topic");
    });
}

#[test]
fn a_client_that_allows_aliases_gets_them() {
    run(async {
        let broker = broker().await;
        let allows = Connect {
            properties: properties(&[Property::TopicAliasMaximum(4)]),
            ..connect(Version::V5, "allows")
        };
        let (mut client, _) = TestClient::connect_with(&broker, allows).await;
        client.subscribe("a", AtMostOnce).await;
        client.publish(message("a", "1", AtMostOnce), 0).await;
        client.publish(message("a", "2", AtMostOnce), 0).await;
        let first = client.expect_payload("1").await;
        let second = client.expect_payload("2").await;
        assert!(first.topic_alias.is_some());
        assert_eq!(first.topic_alias, second.topic_alias);
        assert_eq!(&*second.message.topic, "");
    });
}
