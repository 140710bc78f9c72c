//! Rows 72 to 84: acknowledgements that are missing, wrong, late or out of order.

use karere_core::codec::{Ack, Packet, PacketId, Property, ReasonCode, Version};

use super::*;

/// One of the four acknowledgements, by its first byte.
fn acknowledgement(first: u8, packet_id: u16) -> Vec<u8> {
    frame(first, &packet_id.to_be_bytes())
}

fn refusing(packet_id: u16) -> Ack {
    Ack::new(PacketId::new(packet_id).unwrap(), ReasonCode::UnspecifiedError)
}

async fn pubrec(client: &mut TestClient, packet_id: u16) {
    match client.receive().await {
        Packet::PubRec(got) => assert_eq!(got, ack(packet_id)),
        other => panic!("expected PUBREC, got {other:?}"),
    }
}

async fn pubcomp(client: &mut TestClient, packet_id: u16, reason: ReasonCode) {
    match client.receive().await {
        Packet::PubComp(got) => assert_eq!((got.packet_id.get(), got.reason), (packet_id, reason)),
        other => panic!("expected PUBCOMP, got {other:?}"),
    }
}

async fn pubrel(client: &mut TestClient, packet_id: u16) {
    client.send(&Packet::PubRel(ack(packet_id))).await;
    pubcomp(client, packet_id, ReasonCode::Success).await;
}

/// A reader of `a` at `qos` that keeps its session, and what it is sent.
async fn reader(broker: &BrokerHandle, qos: karere_core::codec::QoS) -> TestClient {
    let (mut reader, _) = TestClient::durable(broker, "reader").await;
    reader.subscribe("a", qos).await;
    reader
}

#[test]
fn hostile_072_five_copies_before_pubrel() {
    hostile(Options::default(), async |broker| {
        let mut witness = TestClient::v5(broker, "witness").await;
        witness.subscribe("a", AtMostOnce).await;
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "stutterer").await;
            for _ in 0..5 {
                client.publish(message("a", "once", ExactlyOnce), 7).await;
                pubrec(&mut client, 7).await;
            }
            pubrel(&mut client, 7).await;
            witness.expect_payload("once").await;
            witness.expect_nothing().await;
        }
    });
}

#[test]
fn hostile_073_dup_on_what_never_came_before() {
    hostile(Options::default(), async |broker| {
        let mut witness = TestClient::v5(broker, "witness").await;
        witness.subscribe("a", AtMostOnce).await;
        for version in VERSIONS {
            let asks = if version.is_v5() {
                durable("dup", 60)
            } else {
                Connect { clean_start: false, ..connect(version, "dup") }
            };
            let (mut client, _) = TestClient::connect_with(broker, asks.clone()).await;
            // The first copy never comes to its end.
            let whole = publish_frame(0x34, "a", &[&[0, 7][..], &block(version, b""), b"x"].concat());
            client.send_bytes(&whole[..whole.len() - 1]).await;
            drop(client);
            let (mut client, _) = TestClient::connect_with(broker, asks).await;
            client.send_bytes(&[&[0x3C][..], &whole[1..]].concat()).await;
            pubrec(&mut client, 7).await;
            pubrel(&mut client, 7).await;
            witness.expect_payload("x").await;
            witness.expect_nothing().await;
            drop(client);
            forget(broker, "dup").await;
        }
    });
}

#[test]
fn hostile_074_a_copy_long_after_the_first() {
    hostile(Options::default(), async |broker| {
        let mut witness = TestClient::v5(broker, "witness").await;
        witness.subscribe("a", AtMostOnce).await;
        for _ in 0..3 {
            // No timer frees the identifier, and no new connection does.
            let (mut client, _) = TestClient::durable(broker, "patient").await;
            client.publish(message("a", "once", ExactlyOnce), 7).await;
            pubrec(&mut client, 7).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (mut client, _) = TestClient::durable(broker, "patient").await;
        pubrel(&mut client, 7).await;
        witness.expect_payload("once").await;
        witness.expect_nothing().await;
        forget(broker, "patient").await;
    });
}

#[test]
fn hostile_075_identifiers_that_are_never_released() {
    hostile(Options { receive_maximum: 100, ..Options::default() }, async |broker| {
        for _ in 0..10 {
            let mut client = TestClient::v5(broker, "hoarder").await;
            for packet_id in 1..=100 {
                client.publish(message("a", "x", ExactlyOnce), packet_id).await;
                pubrec(&mut client, packet_id).await;
                client.publish(message("a", "x", ExactlyOnce), packet_id).await;
                pubrec(&mut client, packet_id).await;
            }
            client.publish(message("a", "x", ExactlyOnce), 101).await;
            client.expect_disconnect(ReasonCode::ReceiveMaximumExceeded).await;
        }
        // 3.1.1 has no Receive Maximum: its identifiers are the limit, and end with the session.
        let mut client = TestClient::connect(broker, Version::V311, "old hoarder").await;
        client.expect_nothing().await;
        let before = live_bytes();
        for batch in 0..131_u16 {
            let ids = batch * 500 + 1..=batch * 500 + 500;
            let publishes = ids.clone().flat_map(|id| publish_frame(0x34, "a", &id.to_be_bytes()));
            client.send_bytes(&publishes.collect::<Vec<_>>()).await;
            for id in ids {
                pubrec(&mut client, id).await;
            }
        }
        let held = live_bytes().saturating_sub(before);
        assert!(!alone() || held < 16 * 1024 * 1024, "{held} bytes for 65,500 identifiers");
    });
}

#[test]
fn hostile_076_more_than_the_receive_maximum() {
    hostile(Options { receive_maximum: 5, ..Options::default() }, async |broker| {
        let mut burst = Vec::new();
        for packet_id in 1..=6_u16 {
            let rest = [&packet_id.to_be_bytes()[..], &block(Version::V5, b"")].concat();
            burst.extend(publish_frame(0x34, "a", &rest));
        }
        let mut client = TestClient::v5(broker, "eager").await;
        client.send_bytes(&burst).await;
        let last = loop {
            match client.receive().await {
                Packet::PubRec(_) => {}
                other => break other,
            }
        };
        assert!(matches!(last, Packet::Disconnect(got) if got.reason == ReasonCode::ReceiveMaximumExceeded));
        client.expect_closed().await;
    });
}

#[test]
fn hostile_077_the_wrong_acknowledgement() {
    hostile(Options::default(), async |broker| {
        let mut writer = TestClient::v5(broker, "writer").await;
        let wrong = [(AtLeastOnce, 0x50), (AtLeastOnce, 0x70), (ExactlyOnce, 0x40), (ExactlyOnce, 0x70)];
        for (qos, first) in wrong {
            let mut client = reader(broker, qos).await;
            writer.publish(message("a", "kept", qos), 1).await;
            let publish = client.expect_payload("kept").await;
            let packet_id = publish.packet_id.unwrap().get();
            client.send_bytes(&acknowledgement(first, packet_id)).await;
            client.expect_disconnect(ReasonCode::ProtocolError).await;
            // The message is not lost by it.
            let (mut client, present) = TestClient::durable(broker, "reader").await;
            assert!(present);
            let again = client.expect_payload("kept").await;
            assert_eq!((again.packet_id, again.dup), (publish.packet_id, true));
            drop(client);
            forget(broker, "reader").await;
            if qos == ExactlyOnce {
                pubrec(&mut writer, 1).await;
                pubrel(&mut writer, 1).await;
            } else {
                puback(&mut writer).await;
            }
        }
        // PUBREL for what was published at QoS 1, which is over by then.
        writer.publish(message("a", "x", AtLeastOnce), 9).await;
        puback(&mut writer).await;
        writer.send(&Packet::PubRel(ack(9))).await;
        pubcomp(&mut writer, 9, ReasonCode::PacketIdentifierNotFound).await;
    });
}

#[test]
fn hostile_078_acknowledgements_of_nothing() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            for first in [0x40, 0x50, 0x62, 0x70] {
                ends(broker, version, &acknowledgement(first, 0), ReasonCode::ProtocolError).await;
            }
            let mut client = TestClient::connect(broker, version, "confused").await;
            let unknown =
                if version.is_v5() { ReasonCode::PacketIdentifierNotFound } else { ReasonCode::Success };
            client.send_bytes(&acknowledgement(0x40, 5)).await;
            client.send_bytes(&acknowledgement(0x70, 5)).await;
            client.expect_nothing().await;
            client.send_bytes(&acknowledgement(0x62, 5)).await;
            pubcomp(&mut client, 5, unknown).await;
            client.send_bytes(&acknowledgement(0x50, 5)).await;
            let answer = client.receive().await;
            assert!(matches!(answer, Packet::PubRel(got) if got.reason == unknown));
        }
    });
}

#[test]
fn hostile_079_messages_refused_by_their_reader() {
    hostile(Options::default(), async |broker| {
        let mut writer = TestClient::v5(broker, "writer").await;
        let mut client = reader(broker, ExactlyOnce).await;
        for qos in [AtLeastOnce, ExactlyOnce] {
            writer.publish(message("a", "refused", qos), 1).await;
            let id = client.expect_payload("refused").await.packet_id.unwrap().get();
            let answer = refusing(id);
            client
                .send(&if qos == AtLeastOnce { Packet::PubAck(answer) } else { Packet::PubRec(answer) })
                .await;
            client.expect_nothing().await;
            // It has no business with a PUBREL, and is told so as anybody is.
            client.send(&Packet::PubRel(ack(id))).await;
            pubcomp(&mut client, id, ReasonCode::PacketIdentifierNotFound).await;
            drop(client);
            client = TestClient::durable(broker, "reader").await.0;
            client.expect_nothing().await;
            if qos == ExactlyOnce {
                pubrec(&mut writer, 1).await;
                pubrel(&mut writer, 1).await;
            } else {
                puback(&mut writer).await;
            }
        }
        drop(client);
        forget(broker, "reader").await;
    });
}

#[test]
fn hostile_080_acknowledgements_out_of_order_and_one_that_never_comes() {
    hostile(Options::default(), async |broker| {
        let asks = announcing("reader", &[Property::ReceiveMaximum(4)]);
        let (mut client, _) = TestClient::connect_with(broker, asks).await;
        client.subscribe("a", AtLeastOnce).await;
        let mut other = TestClient::v5(broker, "other").await;
        other.subscribe("a", AtMostOnce).await;
        let mut writer = TestClient::v5(broker, "writer").await;
        for number in 0..100 {
            writer.publish_and_wait("a", &number.to_string()).await;
        }
        let mut ids = Vec::new();
        for number in 0..4 {
            ids.push(client.expect_payload(&number.to_string()).await.packet_id.unwrap().get());
        }
        // The window is full, and only its own.
        client.expect_nothing().await;
        for number in 0..100 {
            other.expect_payload(&number.to_string()).await;
        }
        // The oldest is never acknowledged, the others from the newest on.
        for number in 4..100 {
            let newest = ids.pop().unwrap();
            client.send(&Packet::PubAck(ack(newest))).await;
            ids.push(client.expect_payload(&number.to_string()).await.packet_id.unwrap().get());
        }
        client.expect_nothing().await;
    });
}

#[test]
fn hostile_081_all_identifiers_used_up_but_one() {
    let options = Options { inflight_max: 64, ..Options::default() };
    hostile(options, async |broker| {
        let mut client = TestClient::v5(broker, "reader").await;
        client.subscribe("a", AtLeastOnce).await;
        let mut writer = TestClient::v5(broker, "writer").await;
        let one = publish_frame(0x32, "a", &[&[0, 1][..], &block(Version::V5, b"")].concat());
        let (mut kept, mut seen) = (None, 0_u32);
        // 66,000 messages: beyond the last identifier, with the first still in use.
        for _ in 0..1_320 {
            writer.send_bytes(&one.repeat(50)).await;
            for _ in 0..50 {
                puback(&mut writer).await;
            }
            let mut acks = Vec::new();
            while acks.len() < 50 * 4 && seen < 65_535 {
                let id = client.receive_publish().await.packet_id.unwrap().get();
                seen += 1;
                match kept {
                    None => kept = Some(id),
                    Some(kept) => {
                        assert_ne!(id, kept, "an identifier in use");
                        acks.extend(acknowledgement(0x40, id));
                    }
                }
                if seen % 50 == 0 {
                    break;
                }
            }
            if !acks.is_empty() {
                client.send_bytes(&acks).await;
            }
        }
        // What comes next waits for its identifier.
        client.expect_nothing().await;
        client.send_bytes(&acknowledgement(0x40, kept.unwrap())).await;
        assert_eq!(client.receive_publish().await.packet_id.unwrap().get(), kept.unwrap());
    });
}

#[test]
fn hostile_082_a_connection_lost_between_pubrec_and_pubcomp() {
    hostile(Options::default(), async |broker| {
        let mut writer = TestClient::v5(broker, "writer").await;
        let mut client = reader(broker, ExactlyOnce).await;
        let mut ids = Vec::new();
        for number in 0..3 {
            writer.publish(message("a", &number.to_string(), ExactlyOnce), 1).await;
            pubrec(&mut writer, 1).await;
            pubrel(&mut writer, 1).await;
            let id = client.expect_payload(&number.to_string()).await.packet_id.unwrap().get();
            client.send(&Packet::PubRec(ack(id))).await;
            assert_eq!(client.receive().await, Packet::PubRel(ack(id)));
            ids.push(id);
        }
        for _ in 0..2 {
            drop(client);
            client = TestClient::durable(broker, "reader").await.0;
            for id in &ids {
                assert_eq!(client.receive().await, Packet::PubRel(ack(*id)));
            }
            client.expect_nothing().await;
        }
        for id in ids {
            client.send(&Packet::PubComp(ack(id))).await;
        }
        client.expect_nothing().await;
        drop(client);
        forget(broker, "reader").await;
    });
}

#[test]
fn hostile_083_pubrel_on_another_connection_than_its_publish() {
    hostile(Options::default(), async |broker| {
        let mut witness = TestClient::v5(broker, "witness").await;
        witness.subscribe("a", ExactlyOnce).await;
        let (mut client, _) = TestClient::durable(broker, "hopper").await;
        client.publish(retained("a", "kept", ExactlyOnce), 7).await;
        pubrec(&mut client, 7).await;
        drop(client);
        let (mut client, present) = TestClient::durable(broker, "hopper").await;
        assert!(present);
        pubrel(&mut client, 7).await;
        assert_eq!(witness.expect_payload("kept").await.message.qos, ExactlyOnce);
        witness.expect_nothing().await;
        let mut late = TestClient::v5(broker, "late").await;
        late.subscribe("a", ExactlyOnce).await;
        let message = late.expect_payload("kept").await.message;
        assert_eq!((message.qos, message.retain), (ExactlyOnce, true));
        unretain(&mut client, "a").await;
        drop(client);
        forget(broker, "hopper").await;
    });
}

#[test]
fn hostile_084_unsubscribing_while_messages_are_in_flight() {
    hostile(Options::default(), async |broker| {
        let mut client = TestClient::v5(broker, "leaver").await;
        let mut writer = TestClient::v5(broker, "writer").await;
        for qos in [AtLeastOnce, ExactlyOnce] {
            client.subscribe("a", qos).await;
            writer.publish(message("a", "last", qos), 1).await;
            let id = client.expect_payload("last").await.packet_id.unwrap().get();
            assert_eq!(client.unsubscribe("a").await, [ReasonCode::Success]);
            // What was begun is brought to its end. [MQTT-3.10.4-3]
            if qos == AtLeastOnce {
                client.send(&Packet::PubAck(ack(id))).await;
                puback(&mut writer).await;
            } else {
                client.send(&Packet::PubRec(ack(id))).await;
                assert_eq!(client.receive().await, Packet::PubRel(ack(id)));
                client.send(&Packet::PubComp(ack(id))).await;
                pubrec(&mut writer, 1).await;
                pubrel(&mut writer, 1).await;
            }
            writer.publish_and_wait("a", "unheard").await;
            client.expect_nothing().await;
        }
    });
}
