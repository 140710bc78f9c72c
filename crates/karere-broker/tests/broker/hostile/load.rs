//! Rows 56 to 58: large messages, and many.

use std::time::{Duration, Instant};

use bytes::Bytes;
use karere_core::codec::{Message, Property};

use super::*;

#[test]
fn hostile_056_a_large_payload_to_many() {
    const READERS: usize = 200;
    let options = Options { queue_bytes_max: 3 * 1024 * 1024, ..Options::default() };
    hostile(options, async |broker| {
        for number in 0..READERS {
            let (mut reader, _) = TestClient::durable(broker, &format!("r{number}")).await;
            reader.subscribe("big", AtLeastOnce).await;
        }
        let (before, dropped) = (live_bytes(), broker.counters().publish_dropped);
        let mut writer = TestClient::v5(broker, "writer").await;
        let payload = Bytes::from(vec![b'x'; 1024 * 1024]);
        for _ in 0..5 {
            let big = Message { payload: payload.clone(), ..message("big", "", AtLeastOnce) };
            writer.publish(big, 1).await;
            assert!(!puback(&mut writer).await.is_error());
        }
        // All share one copy of each, and keep as many as their queues may hold.
        assert_held(before, 16 * 1024 * 1024);
        let kept = 5 - (broker.counters().publish_dropped - dropped) / READERS as u64;
        assert!((2..=3).contains(&kept), "{kept} of 5 MiB in a queue of 3 MiB");
        let (mut reader, _) = TestClient::durable(broker, "r7").await;
        for _ in 0..kept {
            let publish = reader.receive_publish().await;
            assert_eq!(publish.message.payload, payload);
            reader.send(&Packet::PubAck(ack(publish.packet_id.unwrap().get()))).await;
        }
        reader.expect_nothing().await;
        for number in 0..READERS {
            forget(broker, &format!("r{number}")).await;
        }
    });
}

#[test]
fn hostile_057_a_message_larger_than_its_reader_takes() {
    hostile(Options::default(), async |broker| {
        let asks = announcing("small", &[Property::MaximumPacketSize(100)]);
        let (mut small, _) = TestClient::connect_with(broker, asks).await;
        small.subscribe("a", AtLeastOnce).await;
        let mut large = TestClient::v5(broker, "large").await;
        large.subscribe("a", AtMostOnce).await;
        let mut writer = TestClient::v5(broker, "writer").await;
        for number in 0..50 {
            writer.publish_and_wait("a", &"x".repeat(200)).await;
            writer.publish_and_wait("a", &number.to_string()).await;
            let fits = small.expect_payload(&number.to_string()).await;
            small.send(&Packet::PubAck(ack(fits.packet_id.unwrap().get()))).await;
            large.expect_payload(&"x".repeat(200)).await;
            large.expect_payload(&number.to_string()).await;
        }
        small.expect_nothing().await;
    });
}

#[test]
fn hostile_058_one_publisher_as_fast_as_it_can() {
    let options = Options { outbox_bytes_max: 4 * 1024 * 1024, ..Options::default() };
    hostile(options, async |broker| {
        let mut deaf = TestClient::v5(broker, "deaf").await;
        deaf.subscribe("flood", AtMostOnce).await;
        let mut flooder = TestClient::v5(broker, "flooder").await;
        let payload = [&block(Version::V5, b"")[..], &[b'x'; 1_000]].concat();
        let burst = publish_frame(0x30, "flood", &payload).repeat(100);
        let dropped = || broker.counters().publish_dropped;
        let (before, dropped_before, started) = (live_bytes(), dropped(), Instant::now());
        while dropped() == dropped_before {
            flooder.send_bytes(&burst).await;
        }
        // Its reader does not read: before that loses anything, the publisher is not read for 100 ms.
        assert!(started.elapsed() >= Duration::from_millis(100), "{:?}", started.elapsed());
        for _ in 0..300 {
            flooder.send_bytes(&burst).await;
            assert_held(before, 8 * 1024 * 1024);
        }
        flooder.expect_nothing().await;
        // What the reader was not sent is gone, and the connections are as good as ever.
        flooder.subscribe("flood", AtMostOnce).await;
        flooder.publish(message("flood", "heard", AtMostOnce), 0).await;
        flooder.expect_payload("heard").await;
    });
}
