//! A broker that has run out of file descriptors.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use karere_core::codec::{Packet, Version};

use crate::client::*;

/// Set in the process that has few of them.
const FEW: &str = "KARERE_TEST_FEW_DESCRIPTORS";

#[test]
fn without_descriptors_the_broker_serves_who_is_there_and_later_who_waits() {
    if std::env::var_os(FEW).is_some() {
        return run(serve_without_descriptors());
    }
    // In a process of its own: the limit is for all tests in one.
    let name = "descriptors::without_descriptors_the_broker_serves_who_is_there_and_later_who_waits";
    let status = Command::new("sh")
        .args(["-c", "ulimit -S -n 64 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(FEW, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

async fn serve_without_descriptors() {
    let broker = broker().await;
    let mut there = TestClient::v5(&broker, "there").await;
    there.subscribe("a", AtMostOnce).await;

    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(taken.len() < 64, "there is a limit");
    drop(taken.pop()); // for the client's own end
    let started = Instant::now();
    let mut waiting = TestClient::open(&broker, Version::V5).await;
    waiting.send(&Packet::Connect(Box::new(connect(Version::V5, "waiting")))).await;
    until("the broker has tried again and again", || broker.counters().accept_errors >= 4).await;
    // Pauses of 10, 20 and 40 milliseconds lie between: it does not try without rest.
    assert!(started.elapsed() >= Duration::from_millis(70), "{:?}", started.elapsed());

    there.publish(message("a", "served", AtMostOnce), 0).await;
    there.expect_payload("served").await;
    assert_eq!(broker.counters().clients_connected, 1);

    drop(taken);
    assert!(matches!(waiting.receive().await, Packet::ConnAck(_)));
    waiting.publish(message("a", "served too", AtMostOnce), 0).await;
    there.expect_payload("served too").await;
}
