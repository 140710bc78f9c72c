//! Rows 72 to 76, 82 and 83: QoS 2, from its first copy to PUBCOMP.

use super::*;

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
fn hostile_074_a_copy_on_each_of_several_connections() {
    hostile(Options::default(), async |broker| {
        let mut witness = TestClient::v5(broker, "witness").await;
        witness.subscribe("a", AtMostOnce).await;
        for _ in 0..3 {
            // No new connection frees the identifier; nor does a timer, because there is none to wait for.
            let (mut client, _) = TestClient::durable(broker, "patient").await;
            client.publish(message("a", "once", ExactlyOnce), 7).await;
            pubrec(&mut client, 7).await;
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
        assert_held(before, 16 * 1024 * 1024);
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
