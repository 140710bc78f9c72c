//! Rows 45 to 58: PUBLISH, aliases, payloads.

use std::time::{Duration, Instant};

use bytes::Bytes;
use karere_core::codec::{Message, Packet, Property, ReasonCode, Version};

use super::*;

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;

#[test]
fn hostile_045_qos_3() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            let tail = block(version, b"");
            for first in [0x36, 0x37, 0x3E, 0x3F] {
                ends(broker, version, &publish_frame(first, "a", &tail), MALFORMED).await;
                ends(broker, version, &publish_frame(first, "a", &[&[0, 1][..], &tail].concat()), MALFORMED)
                    .await;
            }
        }
    });
}

#[test]
fn hostile_046_dup_at_qos_0() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            for first in [0x38, 0x39] {
                ends(broker, version, &publish_frame(first, "a", &block(version, b"")), MALFORMED).await;
            }
        }
    });
}

#[test]
fn hostile_047_packet_identifier_0() {
    hostile(Options::default(), async |broker| {
        let error = ReasonCode::ProtocolError;
        for version in VERSIONS {
            let tail = block(version, b"");
            for first in [0x32, 0x34, 0x3A, 0x3C] {
                ends(broker, version, &publish_frame(first, "a", &[&[0, 0][..], &tail].concat()), error)
                    .await;
            }
            ends(broker, version, &frame(0x82, &[&[0, 0][..], &tail, b"\0\x01a\0"].concat()), error).await;
            ends(broker, version, &frame(0xA2, &[&[0, 0][..], &tail, b"\0\x01a"].concat()), error).await;
        }
    });
}

#[test]
fn hostile_048_a_publish_cut_behind_its_topic() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            for first in [0x32, 0x34] {
                for rest in [&b""[..], b"\0"] {
                    ends(broker, version, &publish_frame(first, "a", rest), MALFORMED).await;
                }
            }
        }
        // The identifier is there, and the Property Length is not.
        ends(broker, Version::V5, &publish_frame(0x32, "a", &[0, 1]), MALFORMED).await;
        ends(broker, Version::V5, &publish_frame(0x30, "a", b""), MALFORMED).await;
    });
}

#[test]
fn hostile_049_more_than_the_broker_offers() {
    let options = Options { maximum_qos: AtMostOnce, retain_available: false, ..Options::default() };
    hostile(options, async |broker| {
        for version in VERSIONS {
            let tail = block(version, b"");
            let acknowledged = [&[0, 1][..], &tail].concat();
            for first in [0x32, 0x34] {
                ends(broker, version, &publish_frame(first, "a", &acknowledged), ReasonCode::QoSNotSupported)
                    .await;
            }
            ends(broker, version, &publish_frame(0x31, "a", &tail), ReasonCode::RetainNotSupported).await;
        }
        let of = |message: Message| karere_core::codec::Will { message, delay: 0 };
        let wills = [
            (of(message("w", "", AtLeastOnce)), ReasonCode::QoSNotSupported),
            (of(retained("w", "", AtMostOnce)), ReasonCode::RetainNotSupported),
        ];
        for (will, reason) in wills {
            let asks = Connect { will: Some(will), ..connect(Version::V5, "mortal") };
            let (mut client, connack) = TestClient::connect_with(broker, asks).await;
            assert_eq!(connack.reason, reason);
            client.expect_closed().await;
        }
    });
}

/// The property Topic Alias.
fn alias(number: u16) -> Vec<u8> {
    [&[0x23][..], &number.to_be_bytes()].concat()
}

fn with_alias(topic: &str, number: u16) -> Vec<u8> {
    publish_frame(
        0x30,
        topic,
        &[&block(Version::V5, &alias(number))[..], topic.as_bytes().get(..8).unwrap_or(b"x")].concat(),
    )
}

#[test]
fn hostile_050_aliases_that_there_are_not() {
    hostile(Options { topic_alias_maximum: 4, ..Options::default() }, async |broker| {
        for number in [0, 5, 65_535] {
            ends(broker, Version::V5, &with_alias("a", number), ReasonCode::TopicAliasInvalid).await;
            ends(broker, Version::V5, &with_alias("", number), ReasonCode::TopicAliasInvalid).await;
        }
        ends(broker, Version::V5, &with_alias("", 4), ReasonCode::ProtocolError).await;
        let gap = [with_alias("a", 3), with_alias("", 2)].concat();
        ends(broker, Version::V5, &gap, ReasonCode::ProtocolError).await;
    });
    hostile(Options { topic_alias_maximum: 0, ..Options::default() }, async |broker| {
        ends(broker, Version::V5, &with_alias("a", 1), ReasonCode::TopicAliasInvalid).await;
    });
}

#[test]
fn hostile_051_aliases_set_anew_all_the_time() {
    hostile(Options::default(), async |broker| {
        let mut client = TestClient::v5(broker, "mapper").await;
        client.expect_nothing().await;
        let before = live_bytes();
        for number in 0..640_u16 {
            let topic = format!("{number:04}{}", "t".repeat(60_000));
            client.send_bytes(&with_alias(&topic, number % 32 + 1)).await;
        }
        client.expect_nothing().await;
        let held = live_bytes().saturating_sub(before);
        assert!(!alone() || held < 32 * 60_000 + 1024 * 1024, "{held} bytes for 32 names of 60,000");
        client.send_bytes(&with_alias("a", 33)).await;
        client.expect_disconnect(ReasonCode::TopicAliasInvalid).await;
    });
}

#[test]
fn hostile_052_an_alias_of_an_earlier_connection() {
    hostile(Options::default(), async |broker| {
        let (mut client, _) = TestClient::durable(broker, "back").await;
        client.send_bytes(&[with_alias("a", 1), with_alias("", 1)].concat()).await;
        client.expect_nothing().await;
        drop(client);
        let (mut client, _) = TestClient::durable(broker, "back").await;
        client.send_bytes(&with_alias("", 1)).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
        forget(broker, "back").await;
    });
}

#[test]
fn hostile_053_a_subscription_identifier_from_a_client() {
    hostile(Options::default(), async |broker| {
        for id in [&[1][..], &[0xFF, 0xFF, 0xFF, 0x7F], &[0]] {
            let property = [&[0x0B][..], id].concat();
            ends(broker, Version::V5, &publish_with(&property), ReasonCode::ProtocolError).await;
        }
    });
}

#[test]
fn hostile_054_a_payload_that_is_not_the_text_it_says_it_is() {
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        let mut old = TestClient::connect(broker, Version::V311, "old").await;
        old.subscribe("#", AtMostOnce).await;
        let mut client = TestClient::v5(broker, "liar").await;
        client
            .send_bytes(&publish_frame(
                0x30,
                "a",
                &[&block(Version::V5, &[1, 1])[..], b"\xFF\0\xC0"].concat(),
            ))
            .await;
        for reader in [&mut witness, &mut old] {
            assert_eq!(reader.receive_publish().await.message.payload, &b"\xFF\0\xC0"[..]);
        }
        client.expect_nothing().await;
        ends(broker, Version::V5, &publish_with(&[1, 2]), ReasonCode::ProtocolError).await;
    });
}

#[test]
fn hostile_055_messages_that_expire_at_once_soon_and_never() {
    hostile(Options::default(), async |broker| {
        let mut writer = TestClient::v5(broker, "writer").await;
        let (mut absent, _) = TestClient::durable(broker, "absent").await;
        absent.subscribe("e/#", AtLeastOnce).await;
        drop(absent);
        until("it is away", || broker.counters().clients_connected == 2).await;
        for (number, expiry) in [0, 1, u32::MAX].into_iter().enumerate() {
            let topic = format!("e/{number}");
            let message = Message { expiry: Some(expiry), ..retained(&topic, "x", AtLeastOnce) };
            writer.publish(message, 1).await;
            assert!(!puback(&mut writer).await.is_error());
        }
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let mut late = TestClient::v5(broker, "late").await;
        late.subscribe("e/#", AtLeastOnce).await;
        let (mut absent, _) = TestClient::durable(broker, "absent").await;
        for reader in [&mut late, &mut absent] {
            let only = reader.receive_publish().await;
            assert_eq!(only.message.topic.as_str(), "e/2");
            assert!(only.message.expiry.is_some_and(|left| left < u32::MAX && left > u32::MAX - 60));
            reader.expect_nothing().await;
        }
        for number in 0..3 {
            unretain(&mut writer, &format!("e/{number}")).await;
        }
        forget(broker, "absent").await;
    });
}

#[test]
fn hostile_056_a_large_payload_to_many() {
    const READERS: usize = 200;
    let options = Options { queue_bytes_max: 3 * 1024 * 1024, ..Options::default() };
    hostile(options, async |broker| {
        for number in 0..READERS {
            let (mut reader, _) = TestClient::durable(broker, &format!("r{number}")).await;
            reader.subscribe("big", AtLeastOnce).await;
        }
        let before = live_bytes();
        let mut writer = TestClient::v5(broker, "writer").await;
        let payload = Bytes::from(vec![b'x'; 1024 * 1024]);
        for _ in 0..5 {
            let big = Message { payload: payload.clone(), ..message("big", "", AtLeastOnce) };
            writer.publish(big, 1).await;
            assert!(!puback(&mut writer).await.is_error());
        }
        // All share one copy of each, and keep as many as their queues may hold.
        let held = live_bytes().saturating_sub(before);
        assert!(!alone() || held < 16 * 1024 * 1024, "{held} bytes for 5 messages of 1 MiB");
        assert!(broker.counters().publish_dropped >= READERS as u64);
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
    hostile(Options::default(), async |broker| {
        // Its reader does not read: the publisher is held back first, then the reader loses messages.
        let mut deaf = TestClient::v5(broker, "deaf").await;
        deaf.subscribe("flood", AtMostOnce).await;
        let mut flooder = TestClient::v5(broker, "flooder").await;
        let dropped = broker.counters().publish_dropped;
        let burst = publish_frame(0x30, "flood", &[&block(Version::V5, b"")[..], &[b'x'; 1_000]].concat())
            .repeat(100);
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1_500) {
            flooder.send_bytes(&burst).await;
        }
        flooder.expect_nothing().await;
        assert!(broker.counters().publish_dropped > dropped);
    });
}
