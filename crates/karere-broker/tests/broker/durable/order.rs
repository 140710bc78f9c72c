//! B3 and B4: the order, the packet identifiers, and the subscriptions.

use karere_core::codec::{Packet, ReasonCode};

use super::*;

#[test]
fn b3_the_order_is_kept_over_a_restart() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        subscribe_and_leave(&broker, "s", "t").await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        for count in 0..50 {
            publisher.publish(message("t", &count.to_string(), AtLeastOnce), count + 1).await;
        }
        for _ in 0..50 {
            assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
        }
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish_and_wait("t", "50").await;
        let mut client = resume(&broker, "s").await;
        for count in 0..=50 {
            client.expect_payload(&count.to_string()).await;
        }
    });
}

#[test]
fn b3_what_came_while_a_subscribe_was_worked_on_is_there_in_its_order() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (mut client, _) = TestClient::durable(&broker, "c").await;
        client.subscribe("t", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        disk.hold();
        client.send(&subscribe(vec![subscription("other", AtLeastOnce)], None)).await;
        client.expect_nothing().await;
        for (packet_id, qos) in [(1, AtLeastOnce), (2, ExactlyOnce), (3, AtLeastOnce)] {
            publisher.publish(message("t", &packet_id.to_string(), qos), packet_id).await;
        }
        publisher.expect_nothing().await;
        client.expect_nothing().await;
        disk.release();
        for _ in 1..=3 {
            let packet = publisher.receive().await;
            assert!(matches!(packet, Packet::PubAck(_) | Packet::PubRec(_)), "{packet:?}");
        }
        let history = disk.disk.history();
        assert!(matches!(client.receive().await, Packet::SubAck(_)));
        for count in 1..=3 {
            client.expect_payload(&count.to_string()).await;
        }
        // The publisher had its acknowledgements: wherever the power goes from then on, all three are there.
        for end in history.len()..=disk.disk.history().len() {
            let broker = TestDisk::left(&disk.disk.history()[..end]).broker().await;
            let mut client = resume(&broker, "c").await;
            for count in 1..=3 {
                client.expect_payload(&count.to_string()).await;
            }
        }
    });
}

#[test]
fn b4_a_resumed_session_gets_the_same_packet_identifiers_in_the_same_order() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (mut client, _) = TestClient::durable(&broker, "c").await;
        client.subscribe("t", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        for (count, qos) in [AtLeastOnce, ExactlyOnce, AtLeastOnce].into_iter().enumerate() {
            publisher.publish(message("t", &count.to_string(), qos), 1 + count as u16).await;
            publisher.receive().await;
        }
        let mut sent = Vec::new();
        for _ in 0..3 {
            let publish = client.receive_publish().await;
            sent.push((publish.packet_id, publish.message));
        }
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let mut client = resume(&broker, "c").await;
        for (packet_id, message) in sent {
            let again = client.receive_publish().await;
            assert_eq!((again.packet_id, again.message, again.dup), (packet_id, message, true));
        }
        // What is new has an identifier of its own.
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish_and_wait("t", "new").await;
        let new = client.expect_payload("new").await;
        assert_eq!(new.packet_id.map(karere_core::codec::PacketId::get), Some(4));
    });
}

#[test]
fn b4_suback_and_unsuback_wait_until_the_subscription_is_on_the_disk() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (mut client, _) = TestClient::durable(&broker, "c").await;
        disk.hold();
        client.send(&subscribe(vec![subscription("t", AtLeastOnce)], None)).await;
        client.expect_nothing().await;
        disk.release();
        assert!(matches!(client.receive().await, Packet::SubAck(_)));
        let subscribed = disk.crash();
        assert_eq!(client.unsubscribe("t").await, [ReasonCode::Success]);
        let unsubscribed = disk.crash();

        for (disk, count) in [(subscribed, 1), (unsubscribed, 0)] {
            let broker = disk.broker().await;
            assert_eq!(broker.counters().subscriptions, count);
        }
    });
}

#[test]
fn b4_a_session_that_was_discarded_does_not_come_back() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        subscribe_and_leave(&broker, "c", "t").await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish_and_wait("t", "x").await;
        let (_client, connack) = TestClient::connect_with(&broker, connect(Version::V5, "c")).await;
        assert!(!connack.session_present);
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let found = broker.store_found().unwrap();
        assert_eq!((found.sessions, found.messages, found.orphans), (0, 0, 0));
    });
}

#[test]
fn b4_a_session_of_version_3_is_there_after_a_crash() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (mut client, _) = TestClient::connect_with(&broker, durable_v3("c")).await;
        client.subscribe("t", AtLeastOnce).await;
        drop(client);
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish_and_wait("t", "x").await;
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let (mut client, connack) = TestClient::connect_with(&broker, durable_v3("c")).await;
        assert!(connack.session_present);
        client.expect_payload("x").await;
    });
}

#[test]
fn retained_messages_that_a_subscription_brings_are_kept_and_sent_again() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        for (topic, qos, packet_id) in [("r/1", AtLeastOnce, 1), ("r/2", ExactlyOnce, 2)] {
            publisher.publish(retained(topic, topic, qos), packet_id).await;
            publisher.receive().await;
        }
        let (mut client, _) = TestClient::durable(&broker, "c").await;
        client.subscribe("r/#", ExactlyOnce).await;
        let mut sent = [client.receive_publish().await, client.receive_publish().await];
        sent.sort_by_key(|publish| publish.packet_id);
        publisher.publish(message("r/3", "to see that all before is written", AtLeastOnce), 3).await;
        assert!(matches!(publisher.receive().await, Packet::PubRec(_) | Packet::PubAck(_)));
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let mut client = resume(&broker, "c").await;
        for publish in sent {
            let again = client.receive_publish().await;
            assert_eq!((again.packet_id, again.message), (publish.packet_id, publish.message));
        }
    });
}
