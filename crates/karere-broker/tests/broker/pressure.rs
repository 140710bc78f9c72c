//! Many messages, slow readers, and what it costs.

use bytes::BytesMut;
use karere_broker::{BrokerHandle, Counters, Options};
use karere_core::codec::{Packet, Version};
use std::time::{Duration, Instant};

use crate::client::*;

#[test]
fn a_burst_of_1000_publishes_reaches_its_subscriber_in_at_most_20_writes() {
    run(async {
        let broker = broker().await;
        let mut reader = TestClient::v5(&broker, "reader").await;
        reader.subscribe("a", AtMostOnce).await;
        let mut writer = TestClient::v5(&broker, "writer").await;
        let mut burst = BytesMut::new();
        for number in 0..1000 {
            publish(message("a", &format!("{number:016}"), AtMostOnce), 0)
                .encode(Version::V5, &mut burst)
                .unwrap();
        }
        let before = all_counted(&broker, &[&reader, &writer]).await;
        writer.send_bytes(&burst).await;
        for number in 0..1000 {
            reader.expect_payload(&format!("{number:016}")).await;
        }
        let writes = all_counted(&broker, &[&reader, &writer]).await.writes - before.writes;
        assert!((1..=20).contains(&writes), "{writes} writes");
    });
}

/// The counters, once they have all that was read: a write is counted when it is over.
async fn all_counted(broker: &BrokerHandle, clients: &[&TestClient]) -> Counters {
    let read = clients.iter().map(|client| client.bytes_read).sum();
    until("all is counted", || broker.counters().bytes_sent == read).await;
    broker.counters()
}

#[test]
fn a_fan_out_beyond_one_turn_reaches_everybody_once_and_in_order() {
    run(async {
        // 150 readers, 100 messages: 15,000 deliveries, more than one turn makes.
        let broker = broker().await;
        let mut readers = Vec::new();
        for number in 0..150 {
            let mut reader = TestClient::v5(&broker, &format!("reader{number}")).await;
            reader.subscribe("a", AtLeastOnce).await;
            readers.push(reader);
        }
        let mut writer = TestClient::v5(&broker, "writer").await;
        let mut burst = BytesMut::new();
        for number in 0..100 {
            publish(message("a", &number.to_string(), AtMostOnce), 0)
                .encode(Version::V5, &mut burst)
                .unwrap();
        }
        Packet::PingReq.encode(Version::V5, &mut burst).unwrap();
        writer.send_bytes(&burst).await;
        assert!(matches!(writer.receive().await, Packet::PingResp));
        for reader in &mut readers {
            for number in 0..100 {
                reader.expect_payload(&number.to_string()).await;
            }
            reader.expect_nothing().await;
        }
    });
}

/// Sends QoS 0 messages until the broker has taken `count` of them.
async fn flood(writer: &mut TestClient, topic: &str, count: usize) {
    let payload = "x".repeat(10_000);
    for _ in 0..count {
        writer.publish(message(topic, &payload, AtMostOnce), 0).await;
    }
}

#[test]
fn a_reader_that_keeps_up_loses_nothing_however_fast_the_writer() {
    run(async {
        let broker = broker().await;
        let mut reader = TestClient::v5(&broker, "reader").await;
        reader.subscribe("a", AtMostOnce).await;
        let mut writer = TestClient::v5(&broker, "writer").await;
        let writing = tokio::spawn(async move {
            flood(&mut writer, "a", 5_000).await;
            writer
        });
        for _ in 0..5_000 {
            assert_eq!(reader.receive_publish().await.message.payload.len(), 10_000);
        }
        writing.await.unwrap().expect_nothing().await;
        assert_eq!(broker.counters().publish_dropped, 0);
    });
}

#[test]
fn a_reader_that_does_not_read_costs_its_writer_100_ms_and_then_loses_messages() {
    run(async {
        let broker = broker().await;
        let mut deaf = TestClient::v5(&broker, "deaf").await;
        deaf.subscribe("a", AtMostOnce).await;
        let mut other = TestClient::v5(&broker, "other").await;
        other.subscribe("b", AtMostOnce).await;
        let mut writer = TestClient::v5(&broker, "writer").await;
        let started = Instant::now();
        // 30 MB: far beyond what the sockets hold.
        flood(&mut writer, "a", 3_000).await;
        writer.expect_nothing().await;
        let elapsed = started.elapsed();
        assert!(elapsed >= Duration::from_millis(95), "the writer waited for {elapsed:?}");
        assert!(broker.counters().publish_dropped > 0);
        // From now on nobody waits for it.
        let started = Instant::now();
        flood(&mut writer, "a", 100).await;
        writer.publish(message("b", "quick", AtMostOnce), 0).await;
        other.expect_payload("quick").await;
        assert!(started.elapsed() < Duration::from_millis(95), "{:?}", started.elapsed());
    });
}

#[test]
fn a_reader_that_drains_lets_its_writer_go_on() {
    run(async {
        let broker = broker_with(Options { outbox_bytes_max: 64 * 1024 * 1024, ..Options::default() }).await;
        let mut slow = TestClient::v5(&broker, "slow").await;
        slow.subscribe("a", AtMostOnce).await;
        let mut writer = TestClient::v5(&broker, "writer").await;
        let writing = tokio::spawn(async move {
            flood(&mut writer, "a", 2_000).await;
            writer.expect_nothing().await;
        });
        for number in 0..2_000 {
            if number % 500 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await; // slow, but not for 100 ms
            }
            slow.receive_publish().await;
        }
        writing.await.unwrap();
        assert_eq!(broker.counters().publish_dropped, 0);
    });
}

#[test]
fn qos_1_waits_in_the_queue_of_a_reader_that_does_not_read() {
    run(async {
        let broker = broker().await;
        let mut deaf = TestClient::v5(&broker, "deaf").await;
        deaf.subscribe("a", AtLeastOnce).await;
        let mut writer = TestClient::v5(&broker, "writer").await;
        let payload = "x".repeat(10_000);
        for id in 1..=1_500_u16 {
            writer.publish(message("a", &payload, AtLeastOnce), id).await;
            assert!(matches!(writer.receive().await, Packet::PubAck(_)));
        }
        let mut count = 0;
        while count < 1_500 {
            let got = deaf.receive_publish().await;
            deaf.send(&Packet::PubAck(ack(got.packet_id.unwrap().get()))).await;
            count += 1;
        }
        assert_eq!(broker.counters().publish_dropped, 0);
    });
}
