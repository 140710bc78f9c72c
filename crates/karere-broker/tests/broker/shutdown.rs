//! The end of a broker.

use karere_core::codec::{Packet, ReasonCode, Version};
use std::time::Duration;

use crate::client::*;

#[test]
fn shutdown_says_goodbye_and_leaves_nothing_behind() {
    run(async {
        let broker = broker().await;
        let mut five = TestClient::v5(&broker, "five").await;
        let mut three = TestClient::connect(&broker, Version::V311, "three").await;
        let mut silent = TestClient::open(&broker, Version::V5).await;
        until("all three are there", || broker.counters().connections_total == 3).await;
        let address = broker.local_addrs()[0];

        let shutdown = tokio::spawn({
            let broker = broker.clone();
            async move { broker.shutdown().await }
        });
        five.expect_disconnect(ReasonCode::ServerShuttingDown).await;
        three.expect_closed().await;
        silent.expect_closed().await;
        drop((five, three, silent));
        let shutdown = shutdown.await.unwrap();
        assert_eq!((shutdown.closed, shutdown.cut), (3, 0));
        assert_eq!(broker.counters().clients_connected, 0);
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    });
}

#[test]
fn what_waits_for_a_client_is_written_before_the_goodbye() {
    run(async {
        let broker = broker().await;
        let mut reader = TestClient::v5(&broker, "reader").await;
        reader.subscribe("a", AtMostOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        let payload = "x".repeat(100_000);
        for _ in 0..20 {
            publisher.publish(message("a", &payload, AtMostOnce), 0).await;
        }
        publisher.expect_nothing().await;
        let shutdown = tokio::spawn(async move { broker.shutdown().await });
        for _ in 0..20 {
            reader.expect_payload(&payload).await;
        }
        reader.expect_disconnect(ReasonCode::ServerShuttingDown).await;
        drop((reader, publisher));
        shutdown.await.unwrap();
    });
}

#[test]
fn a_client_that_does_not_read_cannot_hold_the_shutdown() {
    run(async {
        let broker = builder().shutdown_deadline(Duration::from_millis(200)).start().await.unwrap();
        let mut deaf = TestClient::v5(&broker, "deaf").await;
        deaf.subscribe("a", AtMostOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        let payload = "x".repeat(1_000_000);
        for _ in 0..12 {
            publisher.publish(message("a", &payload, AtMostOnce), 0).await;
        }
        publisher.expect_nothing().await;
        drop(publisher);
        let shutdown = broker.shutdown().await;
        assert_eq!(shutdown.cut, 1);
        drop(deaf);
    });
}

#[test]
fn the_last_handle_takes_the_broker_along() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "client").await;
        drop(broker);
        client.expect_closed().await;
    });
}

#[test]
fn last_words_reach_a_client_that_is_still_sending() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "talker").await;
        let mut bytes = vec![0xF1, 0]; // reserved flags
        bytes.resize(60_000, 0);
        client.send_bytes(&bytes).await;
        let packet = client.receive().await;
        assert!(
            matches!(&packet, Packet::Disconnect(why) if why.reason == ReasonCode::MalformedPacket),
            "{packet:?}"
        );
    });
}
