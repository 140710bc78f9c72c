//! The broker as a part of a program.

use karere_broker::{Broker, LocalError};
use karere_core::client::Options as ClientOptions;
use karere_core::codec::ReasonCode;
use std::time::Duration;

use crate::client::*;

#[test]
fn a_client_in_the_process_speaks_with_one_on_a_socket() {
    run(async {
        let broker = broker().await;
        let mut local = broker.client("inside").await.unwrap();
        assert_eq!(local.subscribe("to/inside", ExactlyOnce).await.unwrap(), ExactlyOnce);
        let mut outside = TestClient::v5(&broker, "outside").await;
        outside.subscribe("to/outside", AtMostOnce).await;

        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            local.publish("to/outside", "hello", qos, false).await.unwrap();
            outside.expect_payload("hello").await;
        }
        outside.publish_and_wait("to/inside", "hi").await;
        let received = local.recv().await.unwrap();
        assert_eq!(&received.message.payload[..], b"hi");
        assert_eq!(local.unsubscribe("to/inside").await.unwrap(), ReasonCode::Success);
        local.close().await;
        until("it has gone", || broker.counters().clients_connected == 1).await;
    });
}

#[test]
fn many_messages_pass_through_the_process_in_order() {
    run(async {
        let broker = Broker::builder().start().await.unwrap();
        let mut reader = broker.client("reader").await.unwrap();
        reader.subscribe("a", AtLeastOnce).await.unwrap();
        let mut writer = broker.client("writer").await.unwrap();
        let writing = tokio::spawn(async move {
            for number in 0..20_000_u32 {
                let qos = if number % 2 == 0 { AtMostOnce } else { AtLeastOnce };
                writer.publish("a", number.to_string(), qos, false).await.unwrap();
            }
            writer
        });
        // Order is promised among messages of the same QoS.
        let mut next = [0, 1];
        for _ in 0..20_000 {
            let received = reader.recv().await.unwrap();
            let next = &mut next[received.message.qos as usize];
            assert_eq!(received.message.payload, next.to_string());
            *next += 2;
        }
        writing.await.unwrap();
    });
}

#[test]
fn a_session_in_the_process_may_stay() {
    run(async {
        let broker = broker().await;
        let options = || ClientOptions {
            client_id: karere_core::Text::new("stays").unwrap(),
            clean_start: false,
            session_expiry: 60,
            keep_alive: 0,
            ..ClientOptions::default()
        };
        let mut local = broker.client_with(options()).await.unwrap();
        local.subscribe("a", AtLeastOnce).await.unwrap();
        drop(local);
        until("it has gone", || broker.counters().clients_connected == 0).await;
        TestClient::v5(&broker, "publisher").await.publish_and_wait("a", "kept").await;
        let mut local = broker.client_with(options()).await.unwrap();
        assert_eq!(local.recv().await.unwrap().message.payload, "kept");
    });
}

#[test]
fn recv_ends_when_the_broker_does() {
    run(async {
        let broker = broker().await;
        let mut local = broker.client("inside").await.unwrap();
        let shutdown = tokio::spawn({
            let broker = broker.clone();
            async move { broker.shutdown().await }
        });
        assert!(local.recv().await.is_none());
        drop(local);
        shutdown.await.unwrap();
        assert_eq!(broker.client("late").await.unwrap_err(), LocalError::Closed);
    });
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    run(async {
        let broker = broker().await;
        let address = broker.local_addrs()[0].to_string();
        let error = Broker::builder().listen(&address).start().await.unwrap_err();
        assert!(error.is_address_in_use());
        assert_eq!(error.to_string(), format!("cannot listen on {address}: address in use"));
    });
}

#[test]
fn a_name_is_listened_on_at_all_its_addresses_with_one_port() {
    run(async {
        let broker = Broker::builder().listen("localhost:0").start().await.unwrap();
        let ports: Vec<u16> = broker.local_addrs().iter().map(std::net::SocketAddr::port).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port > 0));
    });
}

#[test]
fn ipv6_and_ipv4_listen_on_the_same_port() {
    run(async {
        let Ok(broker) = Broker::builder().listen("[::]:0").start().await else { return };
        let port = broker.local_addrs()[0].port();
        let both = Broker::builder().listen(format!("0.0.0.0:{port}")).start().await;
        assert!(both.is_ok());
        let mut client = TestClient::open_at(("::1", port), karere_core::codec::Version::V5).await;
        client.send_bytes(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 0]).await;
        assert!(matches!(client.receive().await, karere_core::codec::Packet::ConnAck(_)));
    });
}

#[test]
fn the_broker_tells_about_itself_under_sys() {
    run(async {
        let broker = builder().sys_interval(Duration::from_millis(20)).start().await.unwrap();
        let mut client = TestClient::v5(&broker, "curious").await;
        client.subscribe("$SYS/broker/clients/connected", AtMostOnce).await;
        while client.receive_publish().await.message.payload != "1" {}
        let _second = TestClient::v5(&broker, "second").await;
        while client.receive_publish().await.message.payload != "2" {}
        client.unsubscribe("$SYS/broker/clients/connected").await;
        client.subscribe("$SYS/broker/version", AtMostOnce).await;
        let version = client.receive_publish().await;
        assert!(version.message.retain);
        assert!(version.message.payload.starts_with(b"karere version "));
    });
}

#[test]
fn messages_are_counted_as_they_pass() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "counted").await;
        client.subscribe("a", AtMostOnce).await;
        client.publish_and_wait_with_copy("a").await;
        let counters = broker.counters();
        assert_eq!((counters.publish_received, counters.publish_sent), (1, 1));
        // CONNECT, SUBSCRIBE, PUBLISH; CONNACK, SUBACK, PUBLISH, PUBACK.
        assert_eq!((counters.messages_received, counters.messages_sent), (3, 4));
        assert!(counters.bytes_received > 0 && counters.bytes_sent > 0);
    });
}

impl TestClient {
    async fn publish_and_wait_with_copy(&mut self, topic: &str) {
        self.publish(message(topic, "x", AtLeastOnce), 1).await;
        self.receive().await;
        self.receive().await;
    }
}
