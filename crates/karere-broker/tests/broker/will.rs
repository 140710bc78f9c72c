//! Will Messages.

use karere_core::Text;
use karere_core::client::Options as ClientOptions;
use karere_core::codec::{Connect, Property, ReasonCode, Version};
use std::time::{Duration, Instant};

use crate::client::*;

async fn with_will(broker: &karere_broker::BrokerHandle, delay: u32, expiry: u32) -> TestClient {
    let connect = Connect {
        will: will("will", "gone", delay),
        properties: properties(&[Property::SessionExpiryInterval(expiry)]),
        ..connect(Version::V5, "mortal")
    };
    TestClient::connect_with(broker, connect).await.0
}

async fn heir(broker: &karere_broker::BrokerHandle) -> TestClient {
    let mut heir = TestClient::v5(broker, "heir").await;
    heir.subscribe("will", AtLeastOnce).await;
    heir
}

#[test]
fn a_broken_connection_sends_the_will() {
    run(async {
        let broker = broker().await;
        let mut heir = heir(&broker).await;
        drop(with_will(&broker, 0, 0).await);
        heir.expect_payload("gone").await;
    });
}

#[test]
fn a_normal_goodbye_sends_none_and_one_with_will_does() {
    run(async {
        let broker = broker().await;
        let mut heir = heir(&broker).await;
        with_will(&broker, 0, 0).await.disconnect(ReasonCode::Success).await;
        until("it has gone", || broker.counters().clients_total == 1).await;
        heir.expect_nothing().await;
        with_will(&broker, 0, 0).await.disconnect(ReasonCode::DisconnectWithWillMessage).await;
        heir.expect_payload("gone").await;
    });
}

#[test]
fn a_delayed_will_waits_for_its_delay() {
    run(async {
        let broker = broker().await;
        let mut heir = heir(&broker).await;
        let mortal = with_will(&broker, 1, 60).await;
        let started = Instant::now();
        drop(mortal);
        heir.expect_payload("gone").await;
        let elapsed = started.elapsed();
        assert!(elapsed >= Duration::from_millis(990), "after {elapsed:?}");
    });
}

#[test]
fn a_will_comes_with_the_end_of_the_session_if_that_is_earlier() {
    run(async {
        let broker = broker().await;
        let mut heir = heir(&broker).await;
        let mortal = with_will(&broker, 3600, 1).await;
        let started = Instant::now();
        drop(mortal);
        heir.expect_payload("gone").await;
        assert!(started.elapsed() >= Duration::from_millis(990));
        until("the session is over", || broker.counters().clients_total == 1).await;
    });
}

#[test]
fn who_comes_back_in_time_has_not_died() {
    run(async {
        let broker = broker().await;
        let mut heir = heir(&broker).await;
        drop(with_will(&broker, 1, 60).await);
        until("it has gone", || broker.counters().clients_connected == 1).await;
        let back = Connect { clean_start: false, ..durable("mortal", 60) };
        let (_back, connack) = TestClient::connect_with(&broker, back).await;
        assert!(connack.session_present);
        tokio::time::sleep(Duration::from_millis(1200)).await; // the will's time passes
        heir.expect_nothing().await;
    });
}

#[test]
fn a_takeover_sends_the_will_of_the_connection_that_goes() {
    run(async {
        let broker = broker().await;
        let mut heir = heir(&broker).await;
        let _first = with_will(&broker, 0, 60).await;
        let _second = with_will(&broker, 0, 60).await;
        heir.expect_payload("gone").await;
    });
}

#[test]
fn a_clean_start_sends_a_will_that_was_delayed() {
    run(async {
        let broker = broker().await;
        let mut heir = heir(&broker).await;
        drop(with_will(&broker, 3600, 3600).await);
        until("it has gone", || broker.counters().clients_connected == 1).await;
        let _anew = TestClient::v5(&broker, "mortal").await;
        heir.expect_payload("gone").await;
    });
}

#[test]
fn a_will_to_more_sessions_than_a_turn_serves_reaches_them_all_before_what_its_client_sends_next() {
    run(async {
        let broker = broker().await;
        for number in 0..10_500 {
            let client_id = Text::new(format!("absent{number}")).unwrap();
            let options = ClientOptions { client_id, session_expiry: 3600, ..ClientOptions::default() };
            let mut absent = broker.client_with(options).await.unwrap();
            absent.subscribe("will", AtLeastOnce).await.unwrap();
            absent.close().await;
        }
        let mut heir = heir(&broker).await;
        drop(with_will(&broker, 0, 0).await);
        let mut back = TestClient::v5(&broker, "mortal").await;
        back.publish(message("will", "back", AtMostOnce), 0).await;
        heir.expect_payload("gone").await;
        heir.expect_payload("back").await;
    });
}
