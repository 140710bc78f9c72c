//! Sessions: present, taken over, expired.

use karere_core::codec::{Connect, Packet, ReasonCode, Version};

use crate::client::*;

#[test]
fn a_session_that_stays_is_present_again_with_its_subscriptions_and_messages() {
    run(async {
        let broker = broker().await;
        let (mut client, present) = TestClient::durable(&broker, "stays").await;
        assert!(!present);
        client.subscribe("a", AtLeastOnce).await;
        client.disconnect(ReasonCode::Success).await;

        let mut publisher = TestClient::v5(&broker, "publisher").await;
        publisher.publish_and_wait("a", "while you were out").await;

        let (mut client, present) = TestClient::durable(&broker, "stays").await;
        assert!(present);
        client.expect_payload("while you were out").await;
    });
}

#[test]
fn version_3_keeps_a_session_without_clean_session() {
    run(async {
        let broker = broker().await;
        let unclean = Connect { clean_start: false, ..connect(Version::V311, "three") };
        let (mut client, connack) = TestClient::connect_with(&broker, unclean.clone()).await;
        assert!(!connack.session_present);
        client.subscribe("a", AtLeastOnce).await;
        drop(client);
        until("it has gone", || broker.counters().clients_connected == 0).await;
        let (_client, connack) = TestClient::connect_with(&broker, unclean).await;
        assert!(connack.session_present);
    });
}

#[test]
fn clean_start_ends_the_session_that_was() {
    run(async {
        let broker = broker().await;
        let (mut client, _) = TestClient::durable(&broker, "again").await;
        client.subscribe("a", AtLeastOnce).await;
        client.disconnect(ReasonCode::Success).await;
        assert_eq!(broker.counters().subscriptions, 1);

        let mut anew = durable("again", 3600);
        anew.clean_start = true;
        let (mut client, connack) = TestClient::connect_with(&broker, anew).await;
        assert!(!connack.session_present);
        assert_eq!(broker.counters().subscriptions, 0);
        assert_eq!(broker.counters().clients_total, 1);
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        publisher.publish_and_wait("a", "for nobody").await;
        client.expect_nothing().await;
    });
}

#[test]
fn a_session_expires() {
    run(async {
        let broker = broker().await;
        let (mut client, _) = TestClient::connect_with(&broker, durable("short", 1)).await;
        client.subscribe("a", AtLeastOnce).await;
        client.disconnect(ReasonCode::Success).await;
        assert_eq!(broker.counters().clients_total, 1);
        until("it has expired", || broker.counters().clients_total == 0).await;
        assert_eq!(broker.counters().subscriptions, 0);
        assert_eq!(broker.counters().clients_expired, 1);
    });
}

#[test]
fn a_second_connection_takes_over_and_the_first_is_told() {
    run(async {
        let broker = broker().await;
        let (mut first, _) = TestClient::durable(&broker, "twice").await;
        first.subscribe("a", AtLeastOnce).await;
        let (mut second, present) = TestClient::durable(&broker, "twice").await;
        assert!(present);
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        second.publish(message("a", "mine", AtMostOnce), 0).await;
        second.expect_payload("mine").await;
        until("one is left", || broker.counters().clients_connected == 1).await;
    });
}

#[test]
fn a_session_that_ends_with_its_connection_is_not_taken_over() {
    run(async {
        let broker = broker().await;
        let mut first = TestClient::v5(&broker, "brief").await;
        first.subscribe("a", AtLeastOnce).await;
        let resumed = Connect { clean_start: false, ..connect(Version::V5, "brief") };
        let (mut second, connack) = TestClient::connect_with(&broker, resumed).await;
        assert!(!connack.session_present);
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        second.publish(message("a", "nobody", AtMostOnce), 0).await;
        second.expect_nothing().await;
    });
}

#[test]
fn a_client_that_never_reads_is_taken_over_at_once_and_its_connection_is_cut() {
    run(async {
        // No more than are wanted: the next one gets in when the old connection has gone.
        let broker = builder().connections_max(3).start().await.unwrap();
        let (mut deaf, _) = TestClient::durable(&broker, "deaf").await;
        deaf.subscribe("a", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        let payload = "x".repeat(100_000);
        for _ in 0..120 {
            // Beyond what the sockets hold.
            publisher.publish(message("a", &payload, AtMostOnce), 0).await;
        }
        publisher.publish_and_wait("a", "kept").await;
        let (mut second, present) = TestClient::durable(&broker, "deaf").await;
        assert!(present);
        let kept = second.expect_payload("kept").await;
        second.send(&Packet::PubAck(ack(kept.packet_id.unwrap().get()))).await;
        publisher.publish(message("a", "next", AtMostOnce), 0).await;
        second.expect_payload("next").await;

        // Its last bytes are not waited for without end.
        let third = async {
            loop {
                let mut third = TestClient::open(&broker, Version::V5).await;
                third.send(&Packet::Connect(Box::new(connect(Version::V5, "third")))).await;
                if let Some(Packet::ConnAck(_)) = third.try_receive().await {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, third).await.expect("the connection that nobody reads stays");
    });
}

#[test]
fn many_takeovers_at_once_leave_one() {
    run(async {
        let broker = broker().await;
        let mut connecting = Vec::new();
        for _ in 0..40 {
            let broker = broker.clone();
            connecting.push(tokio::spawn(async move { TestClient::durable(&broker, "crowd").await.0 }));
        }
        let mut clients = Vec::new();
        for one in connecting {
            clients.push(one.await.unwrap());
        }
        until("one is left", || broker.counters().clients_connected == 1).await;
        assert_eq!(broker.counters().clients_total, 1);
    });
}

#[test]
fn what_is_unacknowledged_is_sent_again_with_its_identifier() {
    run(async {
        let broker = broker().await;
        let (mut client, _) = TestClient::durable(&broker, "again").await;
        client.subscribe("a", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        publisher.publish_and_wait("a", "one").await;
        let first = client.expect_payload("one").await;
        drop(client);
        until("it has gone", || broker.counters().clients_connected == 1).await;

        let (mut client, present) = TestClient::durable(&broker, "again").await;
        assert!(present);
        let second = client.expect_payload("one").await;
        assert!(second.dup);
        assert_eq!(second.packet_id, first.packet_id);
        client.send(&Packet::PubAck(ack(second.packet_id.unwrap().get()))).await;
        client.expect_nothing().await;
    });
}

#[test]
fn disconnecting_may_shorten_the_session() {
    run(async {
        let broker = broker().await;
        let (mut client, _) = TestClient::durable(&broker, "short").await;
        let zero = properties(&[karere_core::codec::Property::SessionExpiryInterval(0)]);
        let goodbye = karere_core::codec::Disconnect { reason: ReasonCode::Success, properties: zero };
        client.send(&Packet::Disconnect(goodbye)).await;
        client.expect_closed().await;
        until("it is over", || broker.counters().clients_total == 0).await;
    });
}
