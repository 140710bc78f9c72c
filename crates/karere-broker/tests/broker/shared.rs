//! Shared Subscriptions.

use karere_core::codec::{Packet, ReasonCode};
use std::collections::HashMap;

use crate::client::*;

#[test]
fn members_take_turns() {
    run(async {
        let broker = broker().await;
        let mut members = Vec::new();
        for name in ["one", "two", "three"] {
            let mut member = TestClient::v5(&broker, name).await;
            member.subscribe("$share/group/a", AtMostOnce).await;
            members.push(member);
        }
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        for number in 0..30 {
            publisher.publish(message("a", &number.to_string(), AtMostOnce), 0).await;
        }
        publisher.expect_nothing().await;
        let mut seen = HashMap::new();
        for member in &mut members {
            for _ in 0..10 {
                *seen.entry(member.receive_publish().await.message.payload).or_insert(0) += 1;
            }
            member.expect_nothing().await;
        }
        assert_eq!(seen.len(), 30);
        assert!(seen.values().all(|count| *count == 1));
    });
}

#[test]
fn an_attached_member_goes_before_an_absent_one() {
    run(async {
        let broker = broker().await;
        let (mut absent, _) = TestClient::durable(&broker, "absent").await;
        absent.subscribe("$share/group/a", AtLeastOnce).await;
        let (mut present, _) = TestClient::durable(&broker, "present").await;
        present.subscribe("$share/group/a", AtLeastOnce).await;
        absent.disconnect(ReasonCode::Success).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        for payload in ["1", "2", "3"] {
            publisher.publish_and_wait("a", payload).await;
            present.expect_payload(payload).await;
        }
        for _ in 0..3 {
            present.send(&Packet::PingReq).await;
            present.receive().await;
        }
    });
}

#[test]
fn with_nobody_attached_a_session_that_stays_keeps_it() {
    run(async {
        let broker = broker().await;
        let (mut member, _) = TestClient::durable(&broker, "member").await;
        member.subscribe("$share/group/a", AtLeastOnce).await;
        member.disconnect(ReasonCode::Success).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        publisher.publish_and_wait("a", "kept").await;
        let (mut member, _) = TestClient::durable(&broker, "member").await;
        member.expect_payload("kept").await;
    });
}

#[test]
fn what_a_member_leaves_unacknowledged_at_qos_1_moves_and_at_qos_2_stays() {
    run(async {
        let broker = broker().await;
        let (mut dying, _) = TestClient::durable(&broker, "dying").await;
        dying.subscribe("$share/one/a", AtLeastOnce).await;
        dying.subscribe("$share/two/b", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        publisher.publish_and_wait("a", "moves").await;
        publisher.publish(message("b", "stays", ExactlyOnce), 7).await;
        publisher.receive().await;
        dying.expect_payload("moves").await;
        let stays = dying.expect_payload("stays").await;

        let (mut heir, _) = TestClient::durable(&broker, "heir").await;
        heir.subscribe("$share/one/a", AtLeastOnce).await;
        heir.subscribe("$share/two/b", ExactlyOnce).await;
        drop(dying);
        heir.expect_payload("moves").await;
        heir.expect_nothing().await;

        let (mut dying, _) = TestClient::durable(&broker, "dying").await;
        let again = dying.expect_payload("stays").await;
        assert!(again.dup);
        assert_eq!(again.packet_id, stays.packet_id);
        dying.expect_nothing().await;
    });
}
