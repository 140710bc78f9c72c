//! Rows 59 to 64: SUBSCRIBE and UNSUBSCRIBE that break the format.

use super::*;

#[test]
fn hostile_059_nothing_to_subscribe_to() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            for first in [0x82, 0xA2] {
                ends(broker, version, &filters_frame(version, first, b"", b""), ReasonCode::ProtocolError)
                    .await;
            }
        }
    });
}

#[test]
fn hostile_060_a_subscribe_cut_behind_its_filter() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            for payload in [&b"\0\x01a"[..], b"\0", b"\0\0", b"\0\x02a", b"\0\x01a\0\0\x01b", b"\xFF\xFFa\0"]
            {
                ends(broker, version, &filters_frame(version, 0x82, b"", payload), MALFORMED).await;
            }
            for payload in [&b"\0"[..], b"\0\x02a", b"\0\x01a\0", b"\xFF\xFFa"] {
                ends(broker, version, &filters_frame(version, 0xA2, b"", payload), MALFORMED).await;
            }
        }
    });
}

#[test]
fn hostile_061_an_empty_filter() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "empty").await;
            let refusal = refusal(version, ReasonCode::TopicFilterInvalid);
            assert_eq!(client.subscribe("", AtMostOnce).await, refusal);
            client.unsubscribe("").await;
            client.expect_nothing().await;
        }
    });
}

#[test]
fn hostile_062_options_that_are_reserved() {
    hostile(Options::default(), async |broker| {
        for (version, options, reason) in [
            (Version::V5, 0x40, MALFORMED),
            (Version::V5, 0x80, MALFORMED),
            (Version::V5, 0xC0, MALFORMED),
            (Version::V5, 0x03, ReasonCode::ProtocolError),
            (Version::V5, 0x30, ReasonCode::ProtocolError),
            (Version::V311, 0x03, MALFORMED),
            (Version::V311, 0x04, MALFORMED),
            (Version::V311, 0x80, MALFORMED),
        ] {
            // Not even what stands before it is subscribed to.
            let payload = [&b"\0\x01g\0\0\x01b"[..], &[options]].concat();
            for _ in 0..20 {
                ends(broker, version, &filters_frame(version, 0x82, b"", &payload), reason).await;
            }
            assert_eq!(broker.counters().subscriptions, 1);
        }
    });
}

#[test]
fn hostile_063_no_local_on_a_shared_subscription() {
    hostile(Options::default(), async |broker| {
        for payload in [b"\0\x0A$share/g/a\x04", b"\0\x0A$share/g/#\x04"] {
            ends(
                broker,
                Version::V5,
                &filters_frame(Version::V5, 0x82, b"", payload),
                ReasonCode::ProtocolError,
            )
            .await;
        }
    });
}

#[test]
fn hostile_064_shared_subscriptions_without_a_name_or_a_filter() {
    hostile(Options::default(), async |broker| {
        let wrong = [
            "$share",
            "$share/",
            "$share//",
            "$share//t",
            "$share/g",
            "$share/g/",
            "$share/a+b/t",
            "$share/#/t",
            "$share/+/t",
            "$share/g/#/x",
            "$share/g/a#",
        ];
        for version in VERSIONS {
            let mut client = TestClient::connect(broker, version, "sharer").await;
            let refusal = refusal(version, ReasonCode::TopicFilterInvalid);
            for filter in wrong {
                assert_eq!(client.subscribe(filter, AtMostOnce).await, refusal, "{filter} on {version:?}");
                client.unsubscribe(filter).await;
            }
            client.expect_nothing().await;
        }
    });
}
