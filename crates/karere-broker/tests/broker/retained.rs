//! Retained messages.

use karere_core::codec::{Message, Packet, RetainHandling, SubscribeOptions, Subscription};

use crate::client::*;

fn handling(filter: &str, retain_handling: RetainHandling) -> Subscription {
    let options = SubscribeOptions { qos: AtLeastOnce, retain_handling, ..SubscribeOptions::default() };
    Subscription { options, ..subscription(filter, AtLeastOnce) }
}

#[test]
fn a_retained_message_is_for_those_who_come_later() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "client").await;
        client.publish(retained("a/b", "kept", AtLeastOnce), 1).await;
        client.receive().await;
        assert_eq!(broker.counters().retained, 1);
        client.subscribe("a/+", AtLeastOnce).await;
        let kept = client.expect_payload("kept").await;
        assert!(kept.message.retain);
        client.publish(retained("a/b", "", AtMostOnce), 0).await;
        assert!(!client.expect_payload("").await.message.retain);
        assert_eq!(broker.counters().retained, 0);
    });
}

#[test]
fn retain_handling_decides_whether_it_is_sent() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "client").await;
        client.publish(retained("a", "kept", AtMostOnce), 0).await;

        client.subscribe_with(handling("a", RetainHandling::DoNotSend), None).await;
        client.expect_nothing().await;
        client.subscribe_with(handling("a", RetainHandling::SendIfNew), None).await;
        client.expect_nothing().await;
        client.subscribe_with(handling("a", RetainHandling::SendAtSubscribe), None).await;
        client.expect_payload("kept").await;
        client.unsubscribe("a").await;
        client.subscribe_with(handling("a", RetainHandling::SendIfNew), None).await;
        client.expect_payload("kept").await;
        client.subscribe("$share/group/a", AtLeastOnce).await;
        client.expect_nothing().await;
    });
}

#[test]
fn retain_as_published_keeps_the_flag() {
    run(async {
        let broker = broker().await;
        let mut plain = TestClient::v5(&broker, "plain").await;
        plain.subscribe("a", AtMostOnce).await;
        let mut exact = TestClient::v5(&broker, "exact").await;
        let options = SubscribeOptions { retain_as_published: true, ..SubscribeOptions::default() };
        exact.subscribe_with(Subscription { options, ..subscription("a", AtMostOnce) }, None).await;
        plain.publish(retained("a", "x", AtMostOnce), 0).await;
        assert!(!plain.expect_payload("x").await.message.retain);
        assert!(exact.expect_payload("x").await.message.retain);
    });
}

#[test]
fn a_retained_message_expires() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "client").await;
        client.publish(Message { expiry: Some(1), ..retained("a", "brief", AtMostOnce) }, 0).await;
        client.subscribe("a", AtMostOnce).await;
        assert_eq!(client.expect_payload("brief").await.message.expiry, Some(1));
        until("it has expired", || broker.counters().retained == 0).await;
        client.subscribe("a", AtMostOnce).await;
        client.expect_nothing().await;
    });
}

#[test]
fn retained_messages_come_behind_suback_and_before_what_is_published_later() {
    run(async {
        let broker = broker().await;
        let mut writer = TestClient::v5(&broker, "writer").await;
        for round in 0..50 {
            writer.publish(retained("a", &format!("{round} before"), AtLeastOnce), 1).await;
            writer.receive().await;
            let mut reader = TestClient::v5(&broker, "reader").await;
            reader.send(&subscribe(vec![subscription("a", AtMostOnce)], None)).await;
            writer.publish(retained("a", &format!("{round} after"), AtMostOnce), 0).await;
            assert!(matches!(reader.receive().await, Packet::SubAck(_)));
            let first = reader.receive_publish().await;
            if first.message.payload.ends_with(b"before") {
                reader.expect_payload(&format!("{round} after")).await;
            } else {
                reader.expect_nothing().await;
            }
        }
    });
}
