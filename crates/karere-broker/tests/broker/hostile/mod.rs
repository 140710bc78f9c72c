//! Hostile bytes and hostile conduct, by the rows of a catalogue of what has brought brokers down.
//!
//! Each test attacks the real listener with raw sockets. What it expects for the attacker it says itself; that
//! a canary is served all the while, and that everything the attack took comes back, [`hostile`] sees to.

mod acks;
mod connect;
mod framing;
mod properties;
mod publish;
mod subscribe;
mod topics;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use karere_broker::{BrokerHandle, Builder, Options};
use karere_core::codec::{Connect, Packet, ReasonCode, Version};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::client::*;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// How much later than usual, besides three times as late, the canary may hear itself.
const LATER_MAX: Duration = Duration::from_millis(50);
/// Round trips that a median is taken of, at least.
const TRIPS: usize = 20;
/// What a second run of the same attack may leave behind: tables that grew, buffers kept for the next read.
const LEFT_BYTES_MAX: usize = 128 * 1024;

/// 3.1.1 and 5.
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// Runs `attack`, twice, against a broker with these options.
fn hostile(options: Options, attack: impl AsyncFn(&BrokerHandle)) {
    hostile_to(builder().options(options), attack);
}

/// Runs `attack` against a broker while a canary sings: in a median of 50 ms and three times what it took just before.
/// Afterwards clients, sessions, subscriptions, retained messages and descriptors are as before; and a second run
/// leaves no memory behind that the first had not taken.
fn hostile_to(builder: Builder, attack: impl AsyncFn(&BrokerHandle)) {
    let attack = &attack;
    under_watch(builder, &move |broker| Box::pin(async move { attack(&broker).await }));
}

/// An attack of any type: so that what watches it is compiled once.
type Attack<'a> = dyn Fn(BrokerHandle) -> Pin<Box<dyn Future<Output = ()> + 'a>> + 'a;

fn under_watch(builder: Builder, attack: &Attack<'_>) {
    run(async {
        let broker = builder.start().await.unwrap();
        let mut canary = Canary::hatch(&broker).await;
        let before = Held::by(&broker);
        canary = canary.sing_during(attack(broker.clone())).await;
        before.comes_back(&broker).await;
        let warm = live_bytes();
        let _canary = canary.sing_during(attack(broker.clone())).await;
        before.comes_back(&broker).await;
        if alone() {
            let held = || live_bytes().saturating_sub(warm);
            let comes_back = async {
                while held() > LEFT_BYTES_MAX {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let in_time = tokio::time::timeout(PATIENCE, comes_back).await;
            assert!(in_time.is_ok(), "{} bytes did not come back", held());
        }
    });
}

/// A client that hears what it says itself.
struct Canary {
    client: TestClient,
    sung: usize,
}

impl Canary {
    async fn hatch(broker: &BrokerHandle) -> Self {
        let mut client = TestClient::v5(broker, "canary").await;
        // No wildcard of an attacker's matches it. [MQTT-4.7.2-1]
        client.subscribe("$canary", AtMostOnce).await;
        Self { client, sung: 0 }
    }

    async fn sing_during(mut self, attack: impl Future<Output = ()>) -> Self {
        let enough = Arc::new(AtomicBool::new(true));
        let usual = self.median(&enough).await;
        enough.store(false, Relaxed);
        let until = Arc::clone(&enough);
        let singing = tokio::spawn(async move {
            let median = self.median(&until).await;
            (self, median)
        });
        attack.await;
        enough.store(true, Relaxed);
        let (canary, median) = singing.await.unwrap();
        assert!(median <= LATER_MAX + 3 * usual, "the canary takes {median:?}, and took {usual:?} before");
        canary
    }

    /// The median of the round trips until it is `enough`.
    async fn median(&mut self, enough: &AtomicBool) -> Duration {
        let mut trips = Vec::new();
        while trips.len() < TRIPS || !enough.load(Relaxed) {
            self.sung += 1;
            let song = self.sung.to_string();
            let start = Instant::now();
            self.client.publish(message("$canary", &song, AtMostOnce), 0).await;
            self.client.expect_payload(&song).await;
            trips.push(start.elapsed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        trips.sort();
        trips[trips.len() / 2]
    }
}

/// What attacks take.
#[derive(Debug, PartialEq)]
struct Held {
    clients: u64,
    sessions: u64,
    subscriptions: u64,
    retained: u64,
    retained_bytes: u64,
    descriptors: usize,
}

impl Held {
    fn by(broker: &BrokerHandle) -> Self {
        let counters = broker.counters();
        Self {
            clients: counters.clients_connected,
            sessions: counters.clients_total,
            subscriptions: counters.subscriptions,
            retained: counters.retained,
            retained_bytes: counters.retained_bytes,
            descriptors: descriptors(),
        }
    }

    async fn comes_back(&self, broker: &BrokerHandle) {
        let coming = async {
            while *self != Self::by(broker) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, coming).await;
        assert!(in_time.is_ok(), "{:?} is not {self:?} again", Self::by(broker));
    }
}

/// Whether no other test runs in this process, so that what it holds is this test's.
fn alone() -> bool {
    std::env::var_os("NEXTEST").is_some()
}

/// Open descriptors of the process, where it can be told; both ends of each connection.
fn descriptors() -> usize {
    if !alone() {
        return 0;
    }
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Bytes that are allocated in the process.
fn live_bytes() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// A frame of this first byte and body.
fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &var_int(body.len()), body].concat()
}

/// A Variable Byte Integer.
fn var_int(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push((value % 128) as u8 | 0x80);
        value /= 128;
    }
    bytes.push(value as u8);
    bytes
}

/// What is behind its length in two bytes: a string, or what claims to be one.
fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A Property Length and these properties; nothing on 3.
fn block(version: Version, properties: &[u8]) -> Vec<u8> {
    if version.is_v5() { [&var_int(properties.len())[..], properties].concat() } else { Vec::new() }
}

/// A CONNECT with these flags, properties and payload.
fn connect_frame(version: Version, flags: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let head = [&string("MQTT")[..], &[version as u8, flags, 0, 0]].concat();
    frame(0x10, &[&head, &block(version, properties)[..], payload].concat())
}

/// A PUBLISH of this first byte: `rest` is packet identifier, properties and payload.
fn publish_frame(first: u8, topic: impl AsRef<[u8]>, rest: &[u8]) -> Vec<u8> {
    frame(first, &[&string(topic)[..], rest].concat())
}

/// A PUBLISH at QoS 0 of version 5 to `a` with these properties.
fn publish_with(properties: &[u8]) -> Vec<u8> {
    publish_frame(0x30, "a", &block(Version::V5, properties))
}

/// A SUBSCRIBE (0x82) or UNSUBSCRIBE (0xA2) with packet identifier 10.
fn filters_frame(version: Version, first: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    frame(first, &[&[0, 10][..], &block(version, properties), payload].concat())
}

/// These bytes end a connection that was up: with `reason` on version 5, without a word on 3.
async fn ends(broker: &BrokerHandle, version: Version, bytes: &[u8], reason: ReasonCode) {
    let mut client = TestClient::connect(broker, version, "offender").await;
    client.send_bytes(bytes).await;
    expect_end(&mut client, reason, bytes).await;
}

async fn expect_end(client: &mut TestClient, reason: ReasonCode, sent: &[u8]) {
    let sent = &sent[..sent.len().min(40)];
    let answer = client.try_receive().await;
    match &answer {
        Some(Packet::Disconnect(disconnect)) if client.version.is_v5() => {
            assert_eq!(disconnect.reason, reason, "{:?} {sent:x?}", client.version);
            client.expect_closed().await;
        }
        None if !client.version.is_v5() => {}
        _ => panic!("{:?} {sent:x?} should end the connection, got {answer:?}", client.version),
    }
}

/// These bytes, the first of a connection, end it, and all that comes back is `answer`.
async fn refused(broker: &BrokerHandle, bytes: &[u8], answer: &[u8]) {
    use tokio::io::AsyncReadExt;
    let mut client = TestClient::open(broker, Version::V5).await;
    client.send_bytes(bytes).await;
    let mut heard = Vec::new();
    let reading = client.stream.read_to_end(&mut heard);
    let end = tokio::time::timeout(PATIENCE, reading).await;
    let sent = &bytes[..bytes.len().min(40)];
    assert!(end.is_ok(), "{sent:x?} should end the connection, got {heard:x?}");
    assert_eq!(heard, answer, "{sent:x?}");
}

/// A client that sees what is published, and that nothing else befalls.
async fn witness(broker: &BrokerHandle) -> TestClient {
    let mut witness = TestClient::v5(broker, "witness").await;
    witness.subscribe("#", ExactlyOnce).await;
    witness
}

/// Ends a session for good.
async fn forget(broker: &BrokerHandle, client_id: &str) {
    TestClient::v5(broker, client_id).await.disconnect(ReasonCode::Success).await;
}

/// Removes a retained message.
async fn unretain(client: &mut TestClient, topic: &str) {
    client.publish(retained(topic, "", AtLeastOnce), 998).await;
    assert!(matches!(client.receive().await, Packet::PubAck(ack) if !ack.reason.is_error()));
}

/// The PUBACK to what was sent at QoS 1.
async fn puback(client: &mut TestClient) -> ReasonCode {
    match client.receive().await {
        Packet::PubAck(ack) => ack.reason,
        other => panic!("expected PUBACK, got {other:?}"),
    }
}

/// The reasons of a SUBACK.
async fn suback(client: &mut TestClient) -> Vec<ReasonCode> {
    match client.receive().await {
        Packet::SubAck(suback) => suback.reasons,
        other => panic!("expected SUBACK, got {other:?}"),
    }
}

/// CONNECT of a client that announces `properties`.
fn announcing(client_id: &str, all: &[karere_core::codec::Property<'_>]) -> Connect {
    Connect { properties: properties(all), ..connect(Version::V5, client_id) }
}
