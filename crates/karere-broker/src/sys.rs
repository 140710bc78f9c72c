//! What the broker says about itself under `$SYS`, with mosquitto's names.

use std::time::Duration;

use karere_core::codec::{Message, Properties, QoS};
use karere_core::topic::TopicName;

use crate::bench::{self, Bench};
use crate::broker::Shared;
use crate::counters::Counters;
use crate::sync::Arc;
use crate::work::{DELIVERIES_MAX, Source, Work};

/// How often retained messages that have expired are removed. They are not delivered before that either.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// Publishes what has changed, at the interval that was set, until the broker shuts down.
pub(crate) async fn run(broker: Arc<Shared>) {
    let mut interval = tokio::time::interval(broker.settings.sys_interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before = Vec::new();
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = broker.closing() => return,
        }
        let values = values(&broker.counters());
        let mut work = Work::default();
        for (index, (topic, value)) in values.iter().enumerate() {
            if before.get(index).is_none_or(|(_, last)| last != value) {
                work.publish(message(topic, value.clone()));
            }
        }
        before = values;
        let source = Source { broker: &broker, cell: None, link: None, tells: false };
        let mut turn =
            |bench: &mut Bench| work.advance(&source, &mut bench.pool, &mut DELIVERIES_MAX.clone());
        while !bench::with(&mut turn) {
            tokio::task::yield_now().await;
        }
    }
}

/// Removes what has expired, until the broker shuts down.
pub(crate) async fn tidy(broker: Arc<Shared>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TIDY_INTERVAL) => {}
            () = broker.closing() => return,
        }
        broker.hub.expire_retained(broker.clock.now());
    }
}

fn message(topic: &'static str, value: String) -> Message {
    Message {
        topic: TopicName::new(topic).unwrap_or(TopicName::EMPTY),
        payload: value.into(),
        qos: QoS::AtMostOnce,
        retain: true,
        expiry: None,
        properties: Properties::EMPTY,
    }
}

fn values(now: &Counters) -> Vec<(&'static str, String)> {
    let number = |value: u64| value.to_string();
    vec![
        ("$SYS/broker/version", concat!("karere version ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("$SYS/broker/uptime", format!("{} seconds", now.uptime_seconds)),
        ("$SYS/broker/clients/total", number(now.clients_total)),
        ("$SYS/broker/clients/connected", number(now.clients_connected)),
        ("$SYS/broker/clients/disconnected", number(now.clients_total.saturating_sub(now.clients_connected))),
        ("$SYS/broker/clients/maximum", number(now.clients_maximum)),
        ("$SYS/broker/clients/expired", number(now.clients_expired)),
        ("$SYS/broker/messages/received", number(now.messages_received)),
        ("$SYS/broker/messages/sent", number(now.messages_sent)),
        ("$SYS/broker/publish/messages/received", number(now.publish_received)),
        ("$SYS/broker/publish/messages/sent", number(now.publish_sent)),
        ("$SYS/broker/publish/messages/dropped", number(now.publish_dropped)),
        ("$SYS/broker/retained messages/count", number(now.retained)),
        ("$SYS/broker/subscriptions/count", number(now.subscriptions)),
        ("$SYS/broker/bytes/received", number(now.bytes_received)),
        ("$SYS/broker/bytes/sent", number(now.bytes_sent)),
    ]
}
