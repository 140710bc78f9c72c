//! B2: at most once per packet identifier, across a crash, a resumed session and a takeover.

use karere_broker::store::table;
use karere_core::codec::Packet;

use super::*;

#[test]
fn b2_a_message_whose_pubrec_was_lost_in_a_crash_is_not_delivered_again() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        for client_id in ["one", "two"] {
            subscribe_and_leave(&broker, client_id, "t").await;
        }
        let (mut publisher, _) = TestClient::durable(&broker, "p").await;
        publisher.publish(message("t", "x", ExactlyOnce), 9).await;
        assert!(matches!(publisher.receive().await, Packet::PubRec(_)));
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let mut publisher = resume(&broker, "p").await;
        publisher.publish(message("t", "x", ExactlyOnce), 9).await;
        assert!(matches!(publisher.receive().await, Packet::PubRec(ack) if !ack.reason.is_error()));
        publisher.send(&Packet::PubRel(ack(9))).await;
        assert!(matches!(publisher.receive().await, Packet::PubComp(ack) if !ack.reason.is_error()));
        // The identifier is free again.
        publish_exactly_once(&mut publisher, "t", "y", 9).await;
        for client_id in ["one", "two"] {
            let mut client = resume(&broker, client_id).await;
            client.expect_payload("x").await;
            client.expect_payload("y").await;
            client.expect_nothing().await;
        }
    });
}

#[test]
fn b2_wherever_the_power_goes_a_message_and_its_identifier_are_there_together_or_not_at_all() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let ids = ["one", "two", "three"];
        for client_id in ids {
            subscribe_and_leave(&broker, client_id, "t").await;
        }
        let (mut publisher, _) = TestClient::durable(&broker, "p").await;
        let before = disk.disk.history().len();
        for packet_id in 1..=5 {
            publisher.publish(message("t", &packet_id.to_string(), ExactlyOnce), packet_id).await;
        }
        for _ in 1..=5 {
            assert!(matches!(publisher.receive().await, Packet::PubRec(_)));
        }
        let history = disk.disk.history();
        for end in before..=history.len() {
            let broker = TestDisk::left(&history[..end]).broker().await;
            // All of them again, as a publisher does that has no PUBREC.
            let mut publisher = resume(&broker, "p").await;
            for packet_id in 1..=5 {
                publisher.publish(message("t", &packet_id.to_string(), ExactlyOnce), packet_id).await;
                assert!(matches!(publisher.receive().await, Packet::PubRec(_)));
            }
            for client_id in ids {
                let mut client = resume(&broker, client_id).await;
                for packet_id in 1..=5 {
                    client.expect_payload(&packet_id.to_string()).await;
                }
                client.expect_nothing().await;
            }
        }
    });
}

#[test]
fn b2_in_no_frame_is_a_message_without_its_identifier_or_for_a_part_of_its_sessions() {
    run(async {
        const SESSIONS: usize = 50;
        const MESSAGES: usize = 40;
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        for session in 0..SESSIONS {
            subscribe_and_leave(&broker, &session.to_string(), "t").await;
        }
        let (mut publisher, _) = TestClient::durable(&broker, "p").await;
        let busy = keep_busy(&broker).await;
        let before = disk.disk.history().len();
        for packet_id in 1..=MESSAGES as u16 {
            publisher.publish(message("t", "x", ExactlyOnce), packet_id).await;
            assert!(matches!(publisher.receive().await, Packet::PubRec(_)));
        }
        busy.abort();
        let history = disk.disk.history();
        for end in before..=history.len() {
            let identifiers = TestDisk::keys_left(&history[..end], table::UNRELEASED).len();
            assert_eq!(queued_left(&history[..end]), SESSIONS * identifiers, "after {end} changes");
        }
    });
}

#[test]
fn b2_an_identifier_that_was_released_is_new_after_a_crash() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        subscribe_and_leave(&broker, "s", "t").await;
        let (mut publisher, _) = TestClient::durable(&broker, "p").await;
        publish_exactly_once(&mut publisher, "t", "x", 9).await;
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let mut publisher = resume(&broker, "p").await;
        publish_exactly_once(&mut publisher, "t", "y", 9).await;
        let mut client = resume(&broker, "s").await;
        client.expect_payload("x").await;
        client.expect_payload("y").await;
    });
}

#[test]
fn b2_pubcomp_and_pubrel_wait_until_what_they_answer_is_on_the_disk() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (mut client, _) = TestClient::durable(&broker, "c").await;
        client.subscribe("t", ExactlyOnce).await;
        client.publish(message("t", "x", ExactlyOnce), 3).await;
        let mut publish = None;
        for _ in 0..2 {
            match client.receive().await {
                Packet::PubRec(_) => {}
                Packet::Publish(one) => publish = Some(one),
                other => panic!("{other:?}"),
            }
        }
        disk.hold();
        client.send(&Packet::PubRel(ack(3))).await;
        client.send(&Packet::PubRec(ack(publish.unwrap().packet_id.unwrap().get()))).await;
        client.expect_nothing().await;
        disk.release();
        let answers = [client.receive().await, client.receive().await];
        assert!(answers.iter().any(|packet| matches!(packet, Packet::PubComp(_))), "{answers:?}");
        assert!(answers.iter().any(|packet| matches!(packet, Packet::PubRel(_))), "{answers:?}");
    });
}

#[test]
fn b2_an_outgoing_message_at_qos_2_is_not_sent_before_the_sync() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (mut client, _) = TestClient::durable(&broker, "c").await;
        client.subscribe("t", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        disk.hold();
        publisher.publish(message("t", "x", ExactlyOnce), 1).await;
        publisher.expect_nothing().await;
        client.expect_nothing().await;
        disk.release();
        client.expect_payload("x").await;
    });
}

#[test]
fn b2_after_its_pubrec_a_message_is_not_sent_again_and_its_pubrel_is() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        let (mut client, _) = TestClient::durable(&broker, "c").await;
        client.subscribe("t", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        publish_exactly_once(&mut publisher, "t", "x", 1).await;
        publish_exactly_once(&mut publisher, "t", "y", 1).await;
        let first = client.expect_payload("x").await.packet_id.unwrap();
        let second = client.expect_payload("y").await.packet_id.unwrap();
        client.send(&Packet::PubRec(ack(first.get()))).await;
        assert!(matches!(client.receive().await, Packet::PubRel(ack) if ack.packet_id == first));
        let crashed = disk.crash();

        let broker = crashed.broker().await;
        let mut client = resume(&broker, "c").await;
        assert!(matches!(client.receive().await, Packet::PubRel(ack) if ack.packet_id == first));
        let again = client.expect_payload("y").await;
        assert_eq!((again.packet_id, again.dup), (Some(second), true));
        client.expect_nothing().await;
    });
}
