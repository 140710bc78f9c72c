//! B5: a Will and its time survive; and so does the time at which a session expires.

use std::time::Duration;

use karere_broker::store::table;
use karere_core::codec::{Connect, Packet, ReasonCode};

use super::*;

fn with_will(client_id: &str, delay: u32) -> Connect {
    let mut will = will("will", "gone", delay).unwrap();
    will.message.qos = AtLeastOnce;
    Connect { will: Some(will), ..durable(client_id, 3600) }
}

#[test]
fn b5_a_will_that_waits_for_its_delay_is_sent_after_a_crash_at_its_time() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (client, _) = TestClient::connect_with(&broker, with_will("c", 2)).await;
        drop(client);
        until("it has gone", || broker.counters().clients_connected == 0).await;
        // That it has gone is written down though nobody waits for it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let crashed = disk.crash();
        let broker = crashed.broker().await;
        let (mut watcher, _) = TestClient::durable(&broker, "w").await;
        watcher.subscribe("will", AtLeastOnce).await;
        watcher.expect_nothing().await;
        watcher.expect_payload("gone").await;
    });
}

#[test]
fn b5_the_will_of_a_client_that_was_connected_when_the_broker_crashed_is_sent() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        subscribe_and_leave(&broker, "w", "will").await;
        let (_client, _) = TestClient::connect_with(&broker, with_will("c", 0)).await;
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        resume(&broker, "w").await.expect_payload("gone").await;
    });
}

#[test]
fn b5_a_will_that_was_given_up_or_sent_is_not_sent_after_a_crash() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        subscribe_and_leave(&broker, "w", "will").await;
        let (mut client, _) = TestClient::connect_with(&broker, with_will("well-behaved", 0)).await;
        client.disconnect(ReasonCode::Success).await;
        let (client, _) = TestClient::connect_with(&broker, with_will("c", 0)).await;
        drop(client);
        let mut watcher = resume(&broker, "w").await;
        let publish = watcher.expect_payload("gone").await;
        watcher.send(&Packet::PubAck(ack(publish.packet_id.unwrap().get()))).await;
        watcher.expect_nothing().await;
        watcher.disconnect(ReasonCode::Success).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish_and_wait("will", "to see that all before is written").await;
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let mut watcher = resume(&broker, "w").await;
        watcher.expect_payload("to see that all before is written").await;
        watcher.expect_nothing().await;
    });
}

#[test]
fn b5_wherever_the_power_goes_a_will_is_sent() {
    run(async {
        // Often, so that it meets the moment in which the disk is written.
        for _ in 0..10 {
            let disk = TestDisk::default();
            let broker = disk.broker().await;
            subscribe_and_leave(&broker, "w", "will").await;
            let mut watcher = TestClient::v5(&broker, "watcher").await;
            watcher.subscribe("will", AtMostOnce).await;
            let (client, _) = TestClient::connect_with(&broker, with_will("c", 0)).await;
            let busy = keep_busy(&broker).await;
            let before = disk.disk.history().len();
            drop(client);
            watcher.expect_payload("gone").await;
            busy.abort();
            let history = disk.disk.history();
            for end in before..=history.len() {
                let wills = TestDisk::keys_left(&history[..end], table::WILL).len();
                assert!(queued_left(&history[..end]) + wills > 0, "lost after {end} changes");
            }
        }
    });
}

#[test]
fn a_session_expires_after_a_restart_at_its_time() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (client, _) = TestClient::connect_with(&broker, durable("short", 2)).await;
        drop(client);
        subscribe_and_leave(&broker, "long", "t").await;
        until("both have gone", || broker.counters().clients_connected == 0).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        assert_eq!(broker.counters().clients_total, 2);
        until("it has expired", || broker.counters().clients_total == 1).await;
        resume(&broker, "long").await;
    });
}
