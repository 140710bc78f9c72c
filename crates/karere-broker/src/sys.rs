//! What the broker says about itself under `$SYS`, with mosquitto's names.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use karere_core::codec::{Message, Properties, QoS};
use karere_core::topic::TopicName;
use karere_store::Refused;

use crate::bench::{self, Bench};
use crate::broker::Shared;
use crate::counters::Counters;
use crate::store::Durable;
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
        let mut values = values(&broker.counters());
        values.extend(broker.commit.durable().iter().flat_map(|durable| store_values(durable)));
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

/// Removes what has expired, and writes down what could not be, until the broker shuts down.
pub(crate) async fn tidy(broker: Arc<Shared>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TIDY_INTERVAL) => {}
            () = broker.closing() => return,
        }
        broker.hub.expire_retained(broker.clock.now(), |retained| {
            if let Some(durable) = broker.commit.durable() {
                durable.append(|ledger, batch| ledger.forget_retained(batch, retained.sequence));
            }
        });
        if let Some(durable) = broker.commit.durable() {
            durable.catch_up(|topic, write| {
                // For writing, so that nobody replaces it meanwhile.
                broker.hub.write().router.retained(topic).into_iter().for_each(write);
            });
        }
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

/// How the store fares.
fn store_values(durable: &Durable) -> Vec<(&'static str, String)> {
    let store = durable.store();
    let state = match store.refuses() {
        None => "ok",
        Some(Refused::Full) => "full",
        Some(Refused::Failing) => "failing",
    };
    let count = &durable.count;
    let number = |value: &AtomicU64| value.load(Relaxed).to_string();
    vec![
        ("$SYS/broker/store/state", state.to_owned()),
        ("$SYS/broker/store/error", store.last_error().unwrap_or_default()),
        ("$SYS/broker/store/bytes", store.bytes().to_string()),
        ("$SYS/broker/store/messages/kept", number(&count.kept)),
        ("$SYS/broker/store/messages/finished", number(&count.finished)),
        ("$SYS/broker/store/messages/expired", number(&count.expired)),
        ("$SYS/broker/store/messages/queue full", number(&count.queue_full)),
        ("$SYS/broker/store/messages/too large", number(&count.too_large)),
        ("$SYS/broker/store/messages/refused by receiver", number(&count.refused_by_receiver)),
        ("$SYS/broker/store/messages/session ended", number(&count.session_ended)),
        ("$SYS/broker/store/retained/replaced", number(&count.retained_replaced)),
        ("$SYS/broker/store/refused", number(&count.refused)),
    ]
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
