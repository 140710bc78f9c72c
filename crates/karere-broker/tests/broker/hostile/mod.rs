//! Hostile bytes and hostile conduct, by the rows of a catalogue of what has brought brokers down.
//!
//! Each test attacks the real listener with raw sockets. What it expects for the attacker it says itself; that a
//! canary is served all the while, and that everything the attack took comes back, [`hostile`] sees to.

mod acks;
mod alias;
mod connect;
mod exactly_once;
mod framing;
mod limits;
mod load;
mod packets;
mod properties;
mod publish;
mod strings;
mod subscribe;
mod subscriptions;
mod topics;
mod watch;
mod wire;

use std::collections::BTreeSet;

use karere_broker::{BrokerHandle, Builder, Options};
use karere_core::codec::{Connect, Packet, ReasonCode, Version};

use crate::client::*;
use watch::{assert_held, live_bytes};
use wire::*;

/// 3.1.1 and 5.
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const ERROR: ReasonCode = ReasonCode::ProtocolError;

/// Attacks a broker with these options, over and over.
fn hostile(options: Options, attack: impl AsyncFn(&BrokerHandle)) {
    hostile_to(builder().options(options), attack);
}

/// Attacks a broker while a canary sings. After each attack clients, sessions, subscriptions and retained messages
/// are as before, and all that [`watch::under_watch`] sees.
#[expect(clippy::needless_pass_by_value, reason = "a closure written where it is passed")]
fn hostile_to(builder: Builder, attack: impl AsyncFn(&BrokerHandle)) {
    run(async {
        let broker = builder.start().await.unwrap();
        let mut client = TestClient::v5(&broker, "canary").await;
        // No wildcard of an attacker's matches it. [MQTT-4.7.2-1]
        client.subscribe("$canary", AtMostOnce).await;
        let before = Held::by(&broker);
        let attack = || -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> { Box::pin(attack(&broker)) };
        let amiss = || {
            let now = Held::by(&broker);
            (now != before).then(|| format!("there is {now:?}, and was {before:?}"))
        };
        watch::under_watch(Singer { client, sung: 0 }, &attack, &amiss).await;
    });
}

/// A client that hears what it says itself.
struct Singer {
    client: TestClient,
    sung: usize,
}

impl watch::Canary for Singer {
    async fn sing(&mut self) {
        self.sung += 1;
        let song = self.sung.to_string();
        self.client.publish(message("$canary", &song, AtMostOnce), 0).await;
        self.client.expect_payload(&song).await;
    }
}

/// What a broker holds.
#[derive(Debug, PartialEq)]
struct Held {
    clients: u64,
    sessions: u64,
    subscriptions: u64,
    retained: u64,
    retained_bytes: u64,
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
        }
    }
}

/// Every row of the catalogue that concerns bytes or state has a test: 1 to 24, 33 to 93, and 124 for the client.
#[test]
fn every_row_that_concerns_bytes_or_state_has_its_test() {
    let sources = [
        include_str!("acks.rs"),
        include_str!("alias.rs"),
        include_str!("connect.rs"),
        include_str!("exactly_once.rs"),
        include_str!("framing.rs"),
        include_str!("limits.rs"),
        include_str!("load.rs"),
        include_str!("packets.rs"),
        include_str!("properties.rs"),
        include_str!("publish.rs"),
        include_str!("strings.rs"),
        include_str!("subscribe.rs"),
        include_str!("subscriptions.rs"),
        include_str!("topics.rs"),
        include_str!("../../../../karere/tests/client/hostile.rs"),
    ];
    let rows: BTreeSet<u32> = sources
        .iter()
        .flat_map(|source| source.split("#[test]\nfn hostile_").skip(1))
        .map(|test| test[..3].parse().unwrap())
        .collect();
    let missing: Vec<u32> = (1..=24).chain(33..=93).chain([124]).filter(|row| !rows.contains(row)).collect();
    assert!(missing.is_empty(), "rows without a test: {missing:?}");
}
