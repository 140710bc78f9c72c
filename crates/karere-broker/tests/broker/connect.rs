//! CONNECT and what ends a connection.

use bytes::BytesMut;
use karere_broker::Options;
use karere_core::codec::{Packet, ReasonCode, Version};
use std::time::{Duration, Instant};

use crate::client::*;

#[test]
fn every_version_is_accepted() {
    run(async {
        let broker = broker().await;
        for version in [Version::V31, Version::V311, Version::V5] {
            let mut client = TestClient::connect(&broker, version, "everybody").await;
            client.expect_nothing().await;
        }
    });
}

#[test]
fn a_client_without_a_name_gets_one() {
    run(async {
        let broker = broker().await;
        let (_client, connack) = TestClient::connect_with(&broker, connect(Version::V5, "")).await;
        let name = connack.properties.assigned_client_identifier().expect("a name").to_owned();
        assert!(name.starts_with("karere-"));
        let (_client, connack) = TestClient::connect_with(&broker, connect(Version::V5, "")).await;
        assert_ne!(connack.properties.assigned_client_identifier(), Some(name.as_str()));
    });
}

#[test]
fn packets_behind_connect_are_served() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::open(&broker, Version::V5).await;
        let mut bytes = BytesMut::new();
        for packet in [
            Packet::Connect(Box::new(connect(Version::V5, "hasty"))),
            subscribe(vec![subscription("a", AtMostOnce)], None),
            publish(message("a", "one", AtMostOnce), 0),
        ] {
            packet.encode(Version::V5, &mut bytes).unwrap();
        }
        client.send_bytes(&bytes).await;
        assert!(matches!(client.receive().await, Packet::ConnAck(_)));
        assert!(matches!(client.receive().await, Packet::SubAck(_)));
        client.expect_payload("one").await;
    });
}

#[test]
fn a_packet_may_come_byte_by_byte() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "slow-typist").await;
        client.subscribe("a", AtMostOnce).await;
        let mut bytes = BytesMut::new();
        publish(message("a", "hello", AtMostOnce), 0).encode(Version::V5, &mut bytes).unwrap();
        for byte in &bytes {
            client.send_bytes(&[*byte]).await;
            tokio::task::yield_now().await;
        }
        client.expect_payload("hello").await;
    });
}

#[test]
fn a_large_message_passes_whole() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "large").await;
        client.subscribe("a", AtLeastOnce).await;
        let payload = "0123456789abcdef".repeat(200_000);
        let (mut reader, mut writer) = (TestClient::v5(&broker, "reader").await, client);
        reader.subscribe("a", AtMostOnce).await;
        let sending = tokio::spawn(async move {
            writer.publish(message("a", &payload, AtMostOnce), 0).await;
            writer
        });
        assert_eq!(reader.receive_publish().await.message.payload.len(), 3_200_000);
        sending.await.unwrap().expect_payload(&"0123456789abcdef".repeat(200_000)).await;
    });
}

#[test]
fn what_is_no_mqtt_is_closed_without_a_word() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::open(&broker, Version::V5).await;
        client.send_bytes(b"GET / HTTP/1.1\r\n\r\n").await;
        client.expect_closed().await;
    });
}

#[test]
fn an_offence_is_told_before_closing_on_version_5_and_what_came_before_it_counts() {
    run(async {
        let broker = broker().await;
        let mut witness = TestClient::v5(&broker, "witness").await;
        witness.subscribe("a", AtMostOnce).await;
        let mut client = TestClient::v5(&broker, "offender").await;
        let mut bytes = BytesMut::new();
        publish(message("a", "good", AtMostOnce), 0).encode(Version::V5, &mut bytes).unwrap();
        bytes.extend_from_slice(&[0x30, 3, 0, 1, b'#', 0]); // a wildcard in a topic name
        client.send_bytes(&bytes).await;
        match client.receive().await {
            Packet::Disconnect(disconnect) => assert!(disconnect.reason.is_error()),
            other => panic!("expected DISCONNECT, got {other:?}"),
        }
        client.expect_closed().await;
        witness.expect_payload("good").await;
    });
}

#[test]
fn an_offence_ends_a_connection_of_version_3_without_a_word() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::connect(&broker, Version::V311, "offender").await;
        client.send_bytes(&[0xF0, 0]).await;
        client.expect_closed().await;
    });
}

#[test]
fn a_client_that_says_nothing_is_sent_away() {
    run(async {
        let broker = broker_with(Options { handshake_millis_max: 50, ..Options::default() }).await;
        let mut client = TestClient::open(&broker, Version::V5).await;
        let started = Instant::now();
        client.expect_closed().await;
        assert!(started.elapsed() >= Duration::from_millis(45));
    });
}

#[test]
fn a_client_that_keeps_silent_is_disconnected_after_one_and_a_half_times_its_keep_alive() {
    run(async {
        let broker = broker().await;
        let mut connect = connect(Version::V5, "silent");
        connect.keep_alive = 1;
        let started = Instant::now();
        let (mut client, _) = TestClient::connect_with(&broker, connect).await;
        client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
        let elapsed = started.elapsed();
        assert!(elapsed >= Duration::from_millis(1490), "after {elapsed:?}");
    });
}

#[test]
fn a_ping_keeps_a_client_alive() {
    run(async {
        let broker = broker().await;
        let mut connect = connect(Version::V5, "alive");
        connect.keep_alive = 1;
        let (mut client, _) = TestClient::connect_with(&broker, connect).await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            client.expect_nothing().await;
        }
    });
}

#[test]
fn a_reset_connection_is_noticed() {
    run(async {
        let broker = broker().await;
        let client = TestClient::v5(&broker, "reset").await;
        assert_eq!(broker.counters().clients_connected, 1);
        client.stream.set_zero_linger().unwrap();
        drop(client);
        until("the connection is gone", || broker.counters().clients_connected == 0).await;
        assert_eq!(broker.counters().clients_total, 0);
    });
}

#[test]
fn too_many_connections_are_refused() {
    run(async {
        let broker = builder().connections_max(1).start().await.unwrap();
        let _first = TestClient::v5(&broker, "first").await;
        let mut second = TestClient::open(&broker, Version::V5).await;
        second.expect_closed().await;
        assert_eq!(broker.counters().connections_refused, 1);
    });
}
