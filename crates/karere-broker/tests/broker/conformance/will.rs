//! Will Messages on both versions.

use std::time::{Duration, Instant};

use karere_core::codec::{Connect, Message, Packet, Property, QoS, ReasonCode, Version, Will};

use super::*;

fn mortal(version: Version, qos: QoS, retain: bool) -> Connect {
    let message = Message { retain, ..message("will", "gone", qos) };
    Connect { will: Some(Will { message, delay: 0 }), ..connect(version, "mortal") }
}

async fn dead(broker: &BrokerHandle, connect: Connect) {
    let mut client = TestClient::connect_with(broker, connect).await.0;
    client.expect_nothing().await;
    drop(client);
}

#[test]
fn a_will_is_published_at_its_qos_and_retained_if_it_says_so() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut heir = TestClient::connect(&broker, version, "heir").await;
            heir.subscribe("will", ExactlyOnce).await;
            for (qos, retain) in [(AtMostOnce, false), (AtLeastOnce, false), (ExactlyOnce, true)] {
                dead(&broker, mortal(version, qos, retain)).await;
                let got = heir.expect_payload("gone").await;
                assert_eq!((got.message.qos, got.message.retain), (qos, false));
                assert_eq!(broker.counters().retained, u64::from(retain));
            }
            let mut late = TestClient::connect(&broker, version, "late").await;
            late.subscribe("will", AtMostOnce).await;
            assert!(late.expect_payload("gone").await.message.retain);
            late.publish(retained("will", "", AtMostOnce), 0).await;
            heir.expect_payload("").await;
            until("the others have gone", || broker.counters().clients_connected == 2).await;
        }
    });
}

#[test]
fn a_will_is_sent_once_and_not_after_disconnect() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut heir = TestClient::connect(&broker, version, "heir").await;
            heir.subscribe("will", AtMostOnce).await;
            dead(&broker, mortal(version, AtMostOnce, false)).await;
            heir.expect_payload("gone").await;

            let without = Connect { will: None, ..mortal(version, AtMostOnce, false) };
            dead(&broker, without).await;
            until("it has gone", || broker.counters().clients_connected == 1).await;
            heir.expect_nothing().await;

            let mut polite = TestClient::connect_with(&broker, mortal(version, AtMostOnce, false)).await.0;
            polite.disconnect(ReasonCode::Success).await;
            until("it has gone", || broker.counters().clients_connected == 1).await;
            heir.expect_nothing().await;
        }
    });
}

#[test]
fn a_will_is_sent_whatever_ends_the_connection_but_disconnect() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut heir = TestClient::connect(&broker, version, "heir").await;
            heir.subscribe("will", AtMostOnce).await;
            // A protocol error, reserved flags in DISCONNECT, another connection, silence.
            for bytes in [&[0xD0, 0][..], &[0xE1, 0]] {
                let mut client =
                    TestClient::connect_with(&broker, mortal(version, AtMostOnce, false)).await.0;
                client.send_bytes(bytes).await;
                heir.expect_payload("gone").await;
            }
            let _first = TestClient::connect_with(&broker, mortal(version, AtMostOnce, false)).await;
            let _second = TestClient::connect(&broker, version, "mortal").await;
            heir.expect_payload("gone").await;
            let silent = Connect { keep_alive: 1, ..mortal(version, AtMostOnce, false) };
            let _silent = TestClient::connect_with(&broker, silent).await;
            heir.expect_payload("gone").await;
        }
    });
}

#[test]
fn a_delayed_will_comes_within_100_ms_of_its_delay() {
    run(async {
        let broker = broker().await;
        let mut heir = TestClient::v5(&broker, "heir").await;
        heir.subscribe("will", AtMostOnce).await;
        let mut late = Vec::new();
        // A machine under load is late at times; a broker that rounds is always late.
        for _ in 0..5 {
            let expiry = properties(&[Property::SessionExpiryInterval(60)]);
            let connect = Connect {
                properties: expiry,
                will: will("will", "gone", 1),
                ..connect(Version::V5, "mortal")
            };
            let (client, _) = TestClient::connect_with(&broker, connect).await;
            let died = Instant::now();
            drop(client);
            heir.expect_payload("gone").await;
            let elapsed = died.elapsed();
            assert!(elapsed >= Duration::from_millis(990), "after {elapsed:?}");
            if elapsed <= Duration::from_millis(1_100) {
                return;
            }
            late.push(elapsed);
        }
        panic!("never in time: {late:?}");
    });
}

#[test]
fn a_delayed_will_is_not_sent_to_those_who_come_back_and_is_sent_when_the_session_ends() {
    run(async {
        let broker = broker().await;
        let mut heir = TestClient::v5(&broker, "heir").await;
        heir.subscribe("will", AtMostOnce).await;
        let delayed = Connect { will: will("will", "gone", 1), ..durable("mortal", 60) };
        drop(TestClient::connect_with(&broker, delayed).await);
        until("it has gone", || broker.counters().clients_connected == 1).await;
        let (mut back, connack) = TestClient::connect_with(&broker, durable("mortal", 60)).await;
        assert!(connack.session_present);
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        heir.expect_nothing().await;
        back.disconnect(ReasonCode::Success).await;

        let long = Connect { will: will("will", "gone", 3600), ..durable("mortal", 60) };
        drop(TestClient::connect_with(&broker, long).await);
        until("it has gone", || broker.counters().clients_connected == 1).await;
        heir.expect_nothing().await;
        let _anew = TestClient::v5(&broker, "mortal").await;
        heir.expect_payload("gone").await;
        heir.send(&Packet::PingReq).await;
        assert!(matches!(heir.receive().await, Packet::PingResp));
    });
}
