//! Rows 77 to 81 and 84: acknowledgements that are wrong, late or out of order.

use karere_core::codec::{Ack, PacketId, Property};

use super::*;

/// One of the four acknowledgements, by its first byte.
fn acknowledgement(first: u8, packet_id: u16) -> Vec<u8> {
    frame(first, &packet_id.to_be_bytes())
}

fn refusing(packet_id: u16) -> Ack {
    Ack::new(PacketId::new(packet_id).unwrap(), ReasonCode::UnspecifiedError)
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
