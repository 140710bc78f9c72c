//! Rows 45 to 49 and 53 to 55: PUBLISH.

use karere_core::codec::{Message, Will};

use super::*;

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
        let of = |message: Message| Will { message, delay: 0 };
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

/// The clock jumps of the row cannot happen: only a monotonic clock is asked.
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
        until("only what does not expire is kept", || broker.counters().retained == 1).await;
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
