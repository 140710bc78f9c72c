//! Subscriptions: wildcards, overlaps, identifiers, refusals.

use karere_broker::Options;
use karere_core::codec::{ReasonCode, SubscribeOptions, Subscription, Version};

use crate::client::*;

#[test]
fn wildcards_match_levels() {
    run(async {
        let broker = broker().await;
        let mut plus = TestClient::v5(&broker, "plus").await;
        plus.subscribe("home/+/temp", AtMostOnce).await;
        let mut hash = TestClient::v5(&broker, "hash").await;
        hash.subscribe("home/#", AtMostOnce).await;
        let mut all = TestClient::v5(&broker, "all").await;
        all.subscribe("#", AtMostOnce).await;
        for topic in ["home/kitchen/temp", "home/kitchen/oven/temp", "home", "$hidden/temp"] {
            all.publish(message(topic, topic, AtLeastOnce), 1).await;
            if topic.starts_with('$') {
                all.receive().await;
                continue;
            }
            let (one, two) = (all.receive().await, all.receive().await);
            assert_ne!(one.packet_type(), two.packet_type());
        }
        plus.expect_payload("home/kitchen/temp").await;
        plus.expect_nothing().await;
        for topic in ["home/kitchen/temp", "home/kitchen/oven/temp", "home"] {
            hash.expect_payload(topic).await;
        }
        hash.expect_nothing().await;
        all.expect_nothing().await;
    });
}

#[test]
fn overlapping_subscriptions_are_one_delivery_with_the_highest_qos_and_all_identifiers() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "overlap").await;
        client.subscribe_with(subscription("a/+", AtMostOnce), Some(1)).await;
        client.subscribe_with(subscription("a/#", AtLeastOnce), Some(2)).await;
        client.publish(message("a/b", "x", ExactlyOnce), 1).await;
        let got = client.expect_payload("x").await;
        assert_eq!(got.message.qos, AtLeastOnce);
        let mut ids = got.subscription_ids.as_slice().to_vec();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2]);
        client.receive().await; // PUBREC
        client.expect_nothing().await;
    });
}

#[test]
fn no_local_spares_the_publisher() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "local").await;
        let options = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
        client.subscribe_with(Subscription { options, ..subscription("a", AtMostOnce) }, None).await;
        client.publish(message("a", "mine", AtMostOnce), 0).await;
        client.expect_nothing().await;
        let mut other = TestClient::v5(&broker, "other").await;
        other.publish(message("a", "theirs", AtMostOnce), 0).await;
        client.expect_payload("theirs").await;
    });
}

#[test]
fn what_is_no_filter_is_refused_beside_what_is() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "mixed").await;
        client
            .send(&subscribe(vec![subscription("a/#/b", AtMostOnce), subscription("ok", AtLeastOnce)], None))
            .await;
        match client.receive().await {
            karere_core::codec::Packet::SubAck(suback) => {
                assert_eq!(suback.reasons, [ReasonCode::TopicFilterInvalid, ReasonCode::GrantedQoS1]);
            }
            other => panic!("expected SUBACK, got {other:?}"),
        }
    });
}

#[test]
fn no_more_subscriptions_than_one_session_may_have() {
    run(async {
        let broker = broker_with(Options { subscriptions_max: 2, ..Options::default() }).await;
        let mut client = TestClient::v5(&broker, "many").await;
        assert_eq!(client.subscribe("a", AtMostOnce).await, ReasonCode::Success);
        assert_eq!(client.subscribe("b", AtMostOnce).await, ReasonCode::Success);
        assert_eq!(client.subscribe("c", AtMostOnce).await, ReasonCode::QuotaExceeded);
        assert_eq!(client.subscribe("a", AtLeastOnce).await, ReasonCode::GrantedQoS1);
        assert_eq!(broker.counters().subscriptions, 2);
    });
}

#[test]
fn unsubscribing_ends_it_and_says_whether_there_was_one() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "leaver").await;
        client.subscribe("a", AtMostOnce).await;
        assert_eq!(client.unsubscribe("a").await, [ReasonCode::Success]);
        assert_eq!(client.unsubscribe("a").await, [ReasonCode::NoSubscriptionExisted]);
        client.publish(message("a", "x", AtMostOnce), 0).await;
        client.expect_nothing().await;
        assert_eq!(broker.counters().subscriptions, 0);
    });
}

#[test]
fn versions_can_talk_to_each_other() {
    run(async {
        let broker = broker().await;
        let mut old = TestClient::connect(&broker, Version::V311, "old").await;
        let mut new = TestClient::v5(&broker, "new").await;
        old.subscribe("a", AtLeastOnce).await;
        new.subscribe("a", AtLeastOnce).await;
        let mut with_property = message("a", "five", AtLeastOnce);
        with_property.properties = properties(&[karere_core::codec::Property::ContentType("text")]);
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        publisher.publish(with_property, 1).await;
        old.expect_payload("five").await;
        assert_eq!(new.expect_payload("five").await.message.properties.content_type(), Some("text"));
        old.publish(message("a", "three", AtMostOnce), 0).await;
        new.expect_payload("three").await;
    });
}
