//! Sessions on both versions, and the ends of connections.

use karere_core::codec::{Connect, Disconnect, Packet, PacketId, Property, ReasonCode, Version};

use super::*;

/// A client whose session stays.
fn stays(version: Version, name: &str) -> Connect {
    match version.is_v5() {
        true => durable(name, 3600),
        false => Connect { clean_start: false, ..connect(version, name) },
    }
}

async fn gone(broker: &BrokerHandle) {
    until("it has gone", || broker.counters().clients_connected == 0).await;
}

#[test]
fn a_session_keeps_subscriptions_and_messages_of_qos_1_and_2_while_its_client_is_away() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let (mut client, connack) = TestClient::connect_with(&broker, stays(version, "stays")).await;
            assert_eq!((connack.session_present, connack.reason), (false, ReasonCode::Success));
            client.subscribe("a", ExactlyOnce).await;
            drop(client);
            gone(&broker).await;
            let mut publisher = TestClient::v5(&broker, "publisher").await;
            publisher.publish_and_wait("a", "one").await;
            publish_exactly_once(&mut publisher, "a", "two", 2).await;
            let (mut client, connack) = TestClient::connect_with(&broker, stays(version, "stays")).await;
            assert_eq!((connack.session_present, connack.reason), (true, ReasonCode::Success));
            for (payload, qos) in [("one", AtLeastOnce), ("two", ExactlyOnce)] {
                let got = client.expect_payload(payload).await;
                assert_eq!((got.message.qos, got.dup), (qos, false), "sent for the first time");
            }
            let mut clean = stays(version, "stays");
            clean.clean_start = true;
            let (mut client, connack) = TestClient::connect_with(&broker, clean).await;
            assert_eq!((connack.session_present, connack.reason), (false, ReasonCode::Success));
            publisher.publish_and_wait("a", "for nobody").await;
            client.expect_nothing().await;
            drop((client, publisher));
            gone(&broker).await;
            if version.is_v5() {
                continue;
            }
            // A Clean Session of 3.1.1 leaves nothing for the next one.
            let (_, connack) = TestClient::connect_with(&broker, stays(version, "stays")).await;
            assert!(!connack.session_present);
            gone(&broker).await;
            drop(TestClient::connect(&broker, version, "stays").await);
            gone(&broker).await;
        }
    });
}

#[test]
fn what_was_begun_is_sent_again_with_dup_and_its_identifiers_and_nothing_before_that() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let name = format!("{version:?}");
            let (mut client, _) = TestClient::connect_with(&broker, stays(version, &name)).await;
            client.subscribe("a", ExactlyOnce).await;
            let mut publisher = TestClient::v5(&broker, "publisher").await;
            publish_exactly_once(&mut publisher, "a", "released", 1).await;
            publish_exactly_once(&mut publisher, "a", "two", 1).await;
            publisher.publish_and_wait("a", "one").await;
            let mut ids = Vec::new();
            for payload in ["released", "two", "one"] {
                let got = client.expect_payload(payload).await;
                assert!(!got.dup);
                ids.push(got.packet_id.map_or(0, PacketId::get));
            }
            assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
            client.send(&Packet::PubRec(ack(ids[0]))).await;
            assert!(matches!(client.receive().await, Packet::PubRel(_)));
            client.expect_nothing().await; // at no other time
            drop((client, publisher));
            gone(&broker).await;
            let (mut client, _) = TestClient::connect_with(&broker, stays(version, &name)).await;
            assert!(matches!(client.receive().await, Packet::PubRel(got) if got == ack(ids[0])));
            for (payload, id) in [("two", ids[1]), ("one", ids[2])] {
                let got = client.expect_payload(payload).await;
                assert_eq!((got.dup, got.packet_id.map_or(0, PacketId::get)), (true, id));
            }
            client.send(&Packet::PubComp(ack(ids[0]))).await;
            client.expect_nothing().await;
            drop(client);
            gone(&broker).await;
        }
    });
}

#[test]
fn a_second_connection_ends_the_first_on_either_version() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut first = TestClient::connect(&broker, version, "twice").await;
            let mut second = TestClient::connect(&broker, version, "twice").await;
            expect_end(&mut first, ReasonCode::SessionTakenOver).await;
            second.expect_nothing().await;
        }
    });
}

#[test]
fn the_session_expiry_may_be_changed_in_disconnect_but_not_raised_from_0() {
    run(async {
        let broker = broker().await;
        let goodbye = |seconds| {
            let expiry = properties(&[Property::SessionExpiryInterval(seconds)]);
            Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties: expiry })
        };
        let mut client = TestClient::v5(&broker, "none").await;
        client.send(&goodbye(5)).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;

        let (mut client, _) = TestClient::connect_with(&broker, durable("short", 1)).await;
        client.send(&goodbye(3600)).await;
        client.expect_closed().await;
        tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
        let (_client, connack) = TestClient::connect_with(&broker, durable("short", 1)).await;
        assert!(connack.session_present, "it was raised from 1 second");
    });
}

#[test]
fn a_pingreq_is_answered() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "ping").await;
            for _ in 0..3 {
                client.send_bytes(&[0xC0, 0]).await;
                assert!(matches!(client.receive().await, Packet::PingResp));
            }
        }
    });
}

#[test]
fn nothing_behind_disconnect_is_processed() {
    run(async {
        let broker = broker().await;
        let mut witness = witness(&broker).await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "leaving").await;
            let mut bytes = bytes::BytesMut::new();
            for packet in
                [Packet::Disconnect(Disconnect::normal()), publish(message("a", "late", AtMostOnce), 0)]
            {
                packet.encode(version, &mut bytes).unwrap();
            }
            client.send_bytes(&bytes).await;
            client.expect_closed().await;
        }
        witness.expect_nothing().await;
    });
}

#[test]
fn messages_of_one_topic_and_qos_come_in_the_order_of_their_publisher() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
                let mut reader = TestClient::connect(&broker, version, "reader").await;
                reader.subscribe("a", qos).await;
                let mut writer = TestClient::connect(&broker, version, "writer").await;
                for number in 1..=200_u16 {
                    writer
                        .publish(
                            message("a", &number.to_string(), qos),
                            if qos > AtMostOnce { number } else { 0 },
                        )
                        .await;
                }
                let mut next = 1;
                while next <= 200 {
                    match reader.receive().await {
                        Packet::Publish(publish) => {
                            assert_eq!(publish.message.payload, next.to_string());
                            next += 1;
                            let Some(id) = publish.packet_id.map(PacketId::get) else { continue };
                            let answer = if qos == AtLeastOnce { Packet::PubAck } else { Packet::PubRec };
                            reader.send(&answer(ack(id))).await;
                        }
                        Packet::PubRel(released) => reader.send(&Packet::PubComp(released)).await,
                        other => panic!("unexpected {other:?}"),
                    }
                }
            }
        }
    });
}
