//! Rows 65 to 71: subscriptions, and how many.

use std::time::{Duration, Instant};

use karere_broker::{Authorize, ClientInfo, HookFuture};
use karere_core::codec::{Message, QoS, SubscribeOptions};
use tokio::io::AsyncWriteExt;

use super::*;

#[test]
fn hostile_065_a_subscription_and_its_shared_twin_in_loops() {
    hostile(Options::default(), async |broker| {
        let mut client = TestClient::v5(broker, "twins").await;
        for _ in 0..300 {
            client.subscribe("t", AtMostOnce).await;
            assert_eq!(client.unsubscribe("$share/g/t").await, [ReasonCode::NoSubscriptionExisted]);
            client.subscribe("$share/g/t", AtMostOnce).await;
            assert_eq!(client.unsubscribe("t").await, [ReasonCode::Success]);
            client.publish(message("t", "shared", AtMostOnce), 0).await;
            client.expect_payload("shared").await;
            assert_eq!(client.unsubscribe("t").await, [ReasonCode::NoSubscriptionExisted]);
            assert_eq!(client.unsubscribe("$share/g/t").await, [ReasonCode::Success]);
        }
        client.publish(message("t", "nobody", AtMostOnce), 0).await;
        client.expect_nothing().await;
        assert_eq!(broker.counters().subscriptions, 1);
    });
}

#[test]
fn hostile_066_more_filters_than_one_session_may_have() {
    let options = Options { subscriptions_max: 100, ..Options::default() };
    hostile(options, async |broker| {
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "greedy").await;
            let all = (0..50_000).map(|number| subscription(&format!("f/{number}"), AtMostOnce)).collect();
            client.send(&subscribe(all, None)).await;
            let reasons = suback(&mut client).await;
            assert_eq!(reasons.iter().filter(|reason| !reason.is_error()).count(), 100);
            let refusal = refusal(version, ReasonCode::QuotaExceeded);
            assert!(reasons[100..].iter().all(|reason| *reason == refusal));
            // One that it has may be made again, and one that it gives up makes room.
            assert_eq!(client.subscribe("f/0", AtMostOnce).await, ReasonCode::Success);
            client.unsubscribe("f/0").await;
            assert_eq!(client.subscribe("g", AtMostOnce).await, ReasonCode::Success);
            assert_eq!(client.subscribe("h", AtMostOnce).await, refusal);
            assert_eq!(broker.counters().subscriptions, 101);
        }
    });
}

#[test]
fn hostile_067_thousands_of_filters_that_all_match() {
    hostile(Options::default(), async |broker| {
        let mut client = TestClient::v5(broker, "overlap").await;
        let topic = vec!["a"; 13].join("/");
        // Each level a name or `+`: 8,192 filters, and 13 that end in `#`.
        let mut filters: Vec<String> = (0..8_192_u32)
            .map(|bits| {
                (0..13).map(|at| if bits >> at & 1 == 1 { "+" } else { "a" }).collect::<Vec<_>>().join("/")
            })
            .collect();
        filters.extend((0..13).map(|levels| format!("{}#", "a/".repeat(levels))));
        let all = filters.iter().map(|filter| subscription(filter, AtMostOnce)).collect();
        client.send(&subscribe(all, None)).await;
        assert!(suback(&mut client).await.iter().all(|reason| !reason.is_error()));
        let started = Instant::now();
        for number in 0..50 {
            client.publish(message(&topic, &number.to_string(), AtMostOnce), 0).await;
            client.expect_payload(&number.to_string()).await;
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        client.expect_nothing().await;
    });
}

#[test]
fn hostile_068_wildcards_that_branch_at_every_level() {
    hostile(Options::default(), async |broker| {
        let mut client = TestClient::v5(broker, "branches").await;
        // 100 levels of `+`, with and without a name among them: a matcher that goes back and forth never ends.
        for at in 0..100 {
            let mut levels = vec!["+"; 100];
            levels[at] = "a";
            let never = format!("{}/b", levels.join("/"));
            assert_eq!(client.subscribe(&never, AtMostOnce).await, ReasonCode::Success);
        }
        let topic = vec!["a"; 101].join("/");
        let started = Instant::now();
        for _ in 0..50 {
            client.publish(message(&topic, "x", AtMostOnce), 0).await;
        }
        client.expect_nothing().await;
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        client.publish(message(&format!("{}/b", vec!["a"; 100].join("/")), "y", AtMostOnce), 0).await;
        client.expect_payload("y").await;
    });
}

/// Nobody but the witness may subscribe to everything.
struct NoWildcards;

impl Authorize for NoWildcards {
    fn publish<'a>(&'a self, _: &'a ClientInfo, _: &'a Message) -> HookFuture<'a, Result<(), ReasonCode>> {
        Box::pin(async { Ok(()) })
    }

    fn subscribe<'a>(
        &'a self,
        _: &'a ClientInfo,
        filter: &'a str,
        options: SubscribeOptions,
    ) -> HookFuture<'a, Result<QoS, ReasonCode>> {
        let filter = filter.strip_prefix("$share/g/").unwrap_or(filter);
        let allowed =
            if filter.starts_with(['#', '+']) { Err(ReasonCode::NotAuthorized) } else { Ok(options.qos) };
        Box::pin(async move { allowed })
    }
}

#[test]
fn hostile_069_everything_asked_for_by_nobody_special() {
    hostile_to(builder().authorize(NoWildcards), async |broker| {
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "curious").await;
            let refusal = refusal(version, ReasonCode::NotAuthorized);
            for filter in ["#", "+/#", "+", "$share/g/#"] {
                assert_eq!(client.subscribe(filter, AtMostOnce).await, refusal);
            }
            assert_eq!(client.subscribe("mine/#", AtMostOnce).await, ReasonCode::Success);
            client.publish(message("theirs", "x", AtMostOnce), 0).await;
            client.expect_nothing().await;
        }
    });
}

#[test]
fn hostile_070_subscribing_taking_over_and_publishing_all_at_once() {
    hostile(Options::default(), async |broker| {
        let publishing = async {
            let mut writer = TestClient::v5(broker, "storm").await;
            for number in 0..2_000 {
                writer.publish(message("jitter", &number.to_string(), AtMostOnce), 0).await;
                if number % 50 == 0 {
                    writer.expect_nothing().await;
                }
            }
            writer.expect_nothing().await;
        };
        let jitter = async |kept: bool| {
            let mut clients = Vec::new();
            for round in 0..60 {
                let asks = if kept { durable("jitter", 60) } else { connect(Version::V5, "jitter") };
                let mut client = TestClient::open(broker, Version::V5).await;
                let mut bytes = bytes::BytesMut::new();
                for packet in [
                    Packet::Connect(Box::new(asks)),
                    subscribe(vec![subscription("jitter", AtLeastOnce)], None),
                    subscribe(vec![subscription("$share/g/jitter", AtLeastOnce)], None),
                ] {
                    packet.encode(Version::V5, &mut bytes).unwrap();
                }
                if round % 2 == 0 {
                    bytes.extend_from_slice(&filters_frame(Version::V5, 0xA2, b"", &string("jitter")));
                }
                // It may be taken over at any byte of this, or go by itself.
                let _ = client.stream.write_all(&bytes).await;
                if round % 3 == 0 {
                    let _ = client.stream.shutdown().await;
                }
                clients.push(client);
                tokio::task::yield_now().await;
            }
            // None comes too late to be forgotten below.
            for mut client in clients {
                let _ = client.stream.shutdown().await;
                while client.try_receive().await.is_some() {}
            }
        };
        tokio::join!(publishing, jitter(true), jitter(false), jitter(true));
        forget(broker, "jitter").await;
    });
}

#[test]
fn hostile_071_subscription_identifiers_at_and_beyond_their_bounds() {
    hostile(Options::default(), async |broker| {
        let asks = |id: &[u8]| filters_frame(Version::V5, 0x82, &[&[0x0B][..], id].concat(), b"\0\x01a\0");
        ends(broker, Version::V5, &asks(&[0]), ReasonCode::ProtocolError).await;
        ends(broker, Version::V5, &asks(&[0xFF, 0xFF, 0xFF, 0xFF, 0x01]), MALFORMED).await;
        ends(broker, Version::V5, &asks(&[0x80, 0]), MALFORMED).await;
        ends(broker, Version::V5, &asks(&[1, 0x0B, 2]), ReasonCode::ProtocolError).await;
        let mut client = TestClient::v5(broker, "largest").await;
        client.send_bytes(&asks(&[0xFF, 0xFF, 0xFF, 0x7F])).await;
        assert_eq!(suback(&mut client).await, [ReasonCode::Success]);
        client.publish(message("a", "x", AtMostOnce), 0).await;
        assert_eq!(client.expect_payload("x").await.subscription_ids.as_slice(), [268_435_455]);
    });
}
