//! B1: what was acknowledged is there; and nothing waits that need not.

use karere_broker::store::table;
use karere_core::codec::{Packet, Property, ReasonCode, SubscribeOptions, Subscription};

use super::*;

#[test]
fn b1_puback_and_pubrec_are_not_sent_before_the_sync() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        subscribe_and_leave(&broker, "s", "t").await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        for (qos, packet_id) in [(AtLeastOnce, 1), (ExactlyOnce, 2)] {
            disk.hold();
            publisher.publish(message("t", "x", qos), packet_id).await;
            publisher.expect_nothing().await;
            disk.release();
            match (qos, publisher.receive().await) {
                (AtLeastOnce, Packet::PubAck(ack)) | (ExactlyOnce, Packet::PubRec(ack)) => {
                    assert_eq!(ack.packet_id.get(), packet_id);
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn b1_what_was_acknowledged_reaches_each_durable_session_after_a_crash() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        for (client_id, filter) in [("one", "alone"), ("two", "shared/+"), ("three", "shared/#")] {
            subscribe_and_leave(&broker, client_id, filter).await;
        }
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish_and_wait("alone", "for one").await;
        publisher.publish_and_wait("shared/x", "for two").await;
        publish_exactly_once(&mut publisher, "shared/x", "once for two", 5).await;
        let crashed = disk.crash();
        drop(broker);

        let broker = crashed.broker().await;
        assert_eq!(broker.store_found().unwrap().messages, 5);
        resume(&broker, "one").await.expect_payload("for one").await;
        for client_id in ["two", "three"] {
            let mut client = resume(&broker, client_id).await;
            client.expect_payload("for two").await;
            let publish = client.expect_payload("once for two").await;
            assert_eq!(publish.message.qos, ExactlyOnce);
        }
    });
}

#[test]
fn b1_a_message_keeps_its_properties_its_expiry_and_its_subscription_identifiers() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (mut client, _) = TestClient::durable(&broker, "s").await;
        let options = SubscribeOptions { qos: AtLeastOnce, retain_as_published: true, ..Default::default() };
        let one = Subscription { options, ..subscription("a/#", AtLeastOnce) };
        client.subscribe_with(one, Some(7)).await;
        client.disconnect(ReasonCode::Success).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        let mut sent = retained("a/b", "x", AtLeastOnce);
        sent.expiry = Some(1000);
        sent.properties = properties(&[Property::ContentType("text"), Property::UserProperty("k", "v")]);
        publisher.publish(sent.clone(), 1).await;
        assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let publish = resume(&broker, "s").await.receive_publish().await;
        assert_eq!(publish.subscription_ids.as_slice(), [7]);
        assert!(publish.message.expiry.is_some_and(|seconds| (900..=1000).contains(&seconds)));
        assert_eq!(publish.message.properties, sent.properties);
        assert!(publish.message.retain);
    });
}

#[test]
fn b1_exactly_one_session_of_a_share_group_has_a_message_after_a_crash() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        for client_id in ["one", "two"] {
            subscribe_and_leave(&broker, client_id, "$share/g/t").await;
        }
        let mut publisher = TestClient::v5(&broker, "p").await;
        for count in 0..6 {
            publisher.publish_and_wait("t", &count.to_string()).await;
        }
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        assert_eq!(broker.store_found().unwrap().messages, 6);
        let mut got = Vec::new();
        for client_id in ["one", "two"] {
            let mut client = resume(&broker, client_id).await;
            while got.len() < 6 {
                client.send(&Packet::PingReq).await;
                match client.receive().await {
                    Packet::Publish(publish) => {
                        got.push(publish.message.payload);
                        client.send(&Packet::PubAck(ack(publish.packet_id.unwrap().get()))).await;
                    }
                    Packet::PingResp => break,
                    other => panic!("{other:?}"),
                }
            }
            // Stays attached, so that nothing of what it has acknowledged moves.
            std::mem::forget(client);
        }
        got.sort();
        assert_eq!(got, ["0", "1", "2", "3", "4", "5"]);
    });
}

#[test]
fn b1_a_message_that_moves_within_a_share_group_is_with_one_member_wherever_the_power_goes() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        subscribe_and_leave(&broker, "absent", "$share/g/t").await;
        let (mut one, _) = TestClient::durable(&broker, "one").await;
        one.subscribe("$share/g/t", AtLeastOnce).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        for count in 0..5 {
            publisher.publish_and_wait("t", &count.to_string()).await;
        }
        // It has acknowledged none of them: they move when it breaks.
        let (mut two, _) = TestClient::durable(&broker, "two").await;
        two.subscribe("$share/g/t", AtLeastOnce).await;
        let busy = keep_busy(&broker).await;
        let before = disk.disk.history().len();
        drop(one);
        for _ in 0..5 {
            two.receive_publish().await;
        }
        busy.abort();
        publisher.publish_and_wait("t", "to see that all before is written").await;
        let history = disk.disk.history();
        for end in before..=history.len() {
            let messages = queued_left(&history[..end]);
            let all = if end == history.len() { 6 } else { 5 };
            assert!(messages == all || messages == 6, "{messages} after {end} changes");
        }
    });
}

#[test]
fn b1_a_retained_message_stays_and_one_that_was_removed_does_not_come_back() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        for (topic, payload) in [("a", "first"), ("a", "second"), ("b", "gone"), ("b", "")] {
            publisher.publish(retained(topic, payload, AtLeastOnce), 1).await;
            assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
        }
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        assert_eq!(broker.counters().retained, 1);
        let mut client = TestClient::v5(&broker, "s").await;
        client.subscribe("#", AtLeastOnce).await;
        let publish = client.expect_payload("second").await;
        assert!(publish.message.retain);
    });
}

#[test]
fn b1_a_puback_for_a_retained_message_waits_for_the_sync_and_one_at_qos_0_waits_for_nothing() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        let mut subscriber = TestClient::v5(&broker, "s").await;
        subscriber.subscribe("#", AtMostOnce).await;
        disk.hold();
        publisher.publish(retained("a", "zero", AtMostOnce), 0).await;
        subscriber.expect_payload("zero").await;
        publisher.publish(retained("a", "one", AtLeastOnce), 1).await;
        subscriber.expect_payload("one").await;
        publisher.expect_nothing().await;
        disk.release();
        assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
    });
}

#[test]
fn what_needs_no_disk_waits_for_none() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let mut durable = TestClient::durable(&broker, "durable").await.0;
        durable.subscribe("zero", ExactlyOnce).await;
        disk.hold();
        let mut publisher = TestClient::v5(&broker, "p").await;
        let mut passing = TestClient::v5(&broker, "passing").await;
        passing.subscribe("t", ExactlyOnce).await;
        publisher.publish_and_wait("t", "one").await;
        passing.expect_payload("one").await;
        publish_exactly_once(&mut publisher, "t", "two", 2).await;
        passing.expect_payload("two").await;
        // QoS 0 has no need of a disk, whosever it is.
        publisher.publish(message("zero", "zero", AtMostOnce), 0).await;
        durable.expect_payload("zero").await;
        // QoS 1 is delivered at once; only its PUBACK waits.
        publisher.publish(message("zero", "one", AtLeastOnce), 3).await;
        durable.expect_payload("one").await;
        publisher.expect_nothing().await;
        disk.release();
        assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
    });
}

#[test]
fn connack_waits_until_the_session_is_made_or_deleted_on_the_disk() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        for (kept, present) in [(true, false), (true, true), (false, false)] {
            disk.hold();
            let mut client = TestClient::open(&broker, Version::V5).await;
            let connect = if kept { durable("c", 3600) } else { connect(Version::V5, "c") };
            client.send(&Packet::Connect(connect.into())).await;
            // Another client is served meanwhile, and this one is not.
            let mut other = TestClient::v5(&broker, "other").await;
            other.expect_nothing().await;
            assert!(
                tokio::time::timeout(std::time::Duration::from_millis(50), client.receive()).await.is_err(),
                "CONNACK came before the disk had it"
            );
            disk.release();
            match client.receive().await {
                Packet::ConnAck(connack) => assert_eq!(connack.session_present, present),
                other => panic!("expected CONNACK, got {other:?}"),
            }
            let crashed = disk.crash();
            let broker = crashed.broker().await;
            assert_eq!(broker.store_found().unwrap().sessions, usize::from(kept));
        }
    });
}

#[test]
fn a_removal_is_on_the_disk_soon_though_nobody_waits_for_it() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        subscribe_and_leave(&broker, "s", "t").await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish_and_wait("t", "x").await;
        let mut client = resume(&broker, "s").await;
        let publish = client.expect_payload("x").await;
        client.send(&Packet::PubAck(ack(publish.packet_id.unwrap().get()))).await;
        let left = || TestDisk::keys_left(&disk.disk.history(), table::QUEUED);
        until("the message is removed", || left().is_empty()).await;
    });
}
