//! A disk that fails, that is full, that hangs.

use karere_core::codec::{Connect, Packet, ReasonCode};

use super::*;

/// A broker with a durable subscriber to "t" that is away.
async fn with_subscriber(disk: &TestDisk) -> karere_broker::BrokerHandle {
    let broker = disk.broker().await;
    subscribe_and_leave(&broker, "s", "t").await;
    broker
}

async fn works_again(broker: &karere_broker::BrokerHandle) {
    let state = || broker.store_state().unwrap();
    until("it works again", || !state().failing && !state().full).await;
}

#[test]
fn what_is_in_doubt_is_not_acknowledged_and_its_connection_is_closed() {
    run(async {
        let disk = TestDisk::default();
        let broker = with_subscriber(&disk).await;
        let mut v5 = TestClient::v5(&broker, "five").await;
        let mut v3 = TestClient::connect(&broker, Version::V311, "three").await;
        let mut passing = TestClient::v5(&broker, "passing").await;
        passing.subscribe("other", AtLeastOnce).await;
        disk.disk.fail_in(0, true);
        v5.publish(message("t", "x", AtLeastOnce), 1).await;
        v5.expect_disconnect(ReasonCode::ImplementationSpecificError).await;
        until("it is known", || broker.store_state().unwrap().failing).await;
        // From now on it is refused: who can be told is, who cannot is closed.
        let mut v5 = TestClient::v5(&broker, "five").await;
        v5.publish(message("t", "y", AtLeastOnce), 1).await;
        assert!(matches!(v5.receive().await,
            Packet::PubAck(ack) if ack.reason == ReasonCode::ImplementationSpecificError));
        v5.publish(message("t", "y", ExactlyOnce), 2).await;
        assert!(matches!(v5.receive().await,
            Packet::PubRec(ack) if ack.reason == ReasonCode::ImplementationSpecificError));
        v3.publish(message("t", "y", AtLeastOnce), 1).await;
        v3.expect_closed().await;
        // What needs no disk goes on.
        v5.publish_and_wait("other", "z").await;
        passing.expect_payload("z").await;
        let error = broker.store_state().unwrap().last_error.unwrap();
        assert!(error.contains("the simulated disk fails"), "{error}");
    });
}

#[test]
fn sessions_are_not_made_while_the_disk_fails_and_go_on_when_it_works_again() {
    run(async {
        let disk = TestDisk::default();
        let broker = with_subscriber(&disk).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        disk.disk.fail_in(0, true);
        publisher.publish(message("t", "x", AtLeastOnce), 1).await;
        publisher.expect_disconnect(ReasonCode::ImplementationSpecificError).await;
        until("it is known", || broker.store_state().unwrap().failing).await;
        for connect in [durable("new", 3600), durable("s", 3600), durable_v3("three")] {
            let (mut client, connack) = TestClient::connect_with(&broker, connect).await;
            assert_eq!(connack.reason, ReasonCode::ServerUnavailable);
            client.expect_closed().await;
        }
        disk.disk.mend();
        works_again(&broker).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish_and_wait("t", "y").await;
        let crashed = disk.crash();
        let broker = crashed.broker().await;
        let mut client = resume(&broker, "s").await;
        // What was in doubt was not acknowledged; it may come all the same.
        client.expect_payload("x").await;
        client.expect_payload("y").await;
    });
}

#[test]
fn b2_a_message_that_was_in_doubt_and_is_sent_again_is_delivered_once_and_answered() {
    run(async {
        let disk = TestDisk::default();
        let broker = with_subscriber(&disk).await;
        let (mut publisher, _) = TestClient::durable(&broker, "p").await;
        disk.disk.fail_in(0, true);
        publisher.publish(message("t", "x", ExactlyOnce), 1).await;
        publisher.expect_disconnect(ReasonCode::ImplementationSpecificError).await;
        disk.disk.mend();
        works_again(&broker).await;
        let mut publisher = resume(&broker, "p").await;
        publisher.publish(message("t", "x", ExactlyOnce), 1).await;
        assert!(matches!(publisher.receive().await, Packet::PubRec(ack) if !ack.reason.is_error()));
        let mut client = resume(&broker, "s").await;
        client.expect_payload("x").await;
        client.expect_nothing().await;
    });
}

#[test]
fn a_version_3_client_that_was_refused_a_qos_2_message_sends_it_again_and_it_is_new() {
    run(async {
        let disk = TestDisk::default();
        let broker = with_subscriber(&disk).await;
        let (mut v3, _) = TestClient::connect_with(&broker, durable_v3("three")).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        disk.disk.fail_in(0, true);
        publisher.publish(message("t", "x", AtLeastOnce), 1).await;
        publisher.expect_disconnect(ReasonCode::ImplementationSpecificError).await;
        until("it is known", || broker.store_state().unwrap().failing).await;
        v3.publish(message("t", "y", ExactlyOnce), 1).await;
        v3.expect_closed().await;
        disk.disk.mend();
        works_again(&broker).await;
        let (mut v3, connack) = TestClient::connect_with(&broker, durable_v3("three")).await;
        assert!(connack.session_present);
        v3.publish(message("t", "y", ExactlyOnce), 1).await;
        assert!(matches!(v3.receive().await, Packet::PubRec(_)));
        let mut client = resume(&broker, "s").await;
        client.expect_payload("x").await;
        client.expect_payload("y").await;
        client.expect_nothing().await;
    });
}

#[test]
fn on_a_full_disk_what_is_new_is_refused_with_its_reason_and_what_is_there_goes_out() {
    run(async {
        let disk = TestDisk::default();
        let reserve = karere_store::Options { reserve_bytes: 64 * 1024, ..Default::default() };
        let broker = builder().store_on(disk.clone(), reserve).start().await.unwrap();
        subscribe_and_leave(&broker, "s", "t").await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish_and_wait("t", "before").await;
        disk.disk.limit(Some(disk.disk.used() + 64 * 1024));
        publisher.publish(message("t", "in doubt", AtLeastOnce), 1).await;
        publisher.expect_disconnect(ReasonCode::ImplementationSpecificError).await;
        until("it is full", || broker.store_state().unwrap().full).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish(message("t", "refused", AtLeastOnce), 2).await;
        assert!(
            matches!(publisher.receive().await, Packet::PubAck(ack) if ack.reason == ReasonCode::QuotaExceeded)
        );
        publisher.publish(retained("r", "refused", AtLeastOnce), 3).await;
        assert!(
            matches!(publisher.receive().await, Packet::PubAck(ack) if ack.reason == ReasonCode::QuotaExceeded)
        );
        let (mut new, connack) = TestClient::connect_with(&broker, durable("new", 10)).await;
        assert_eq!(connack.reason, ReasonCode::QuotaExceeded);
        new.expect_closed().await;
        let mut client = resume(&broker, "s").await;
        client.expect_payload("before").await;
        client.expect_payload("in doubt").await;
        assert_eq!(
            client.subscribe("t", AtLeastOnce).await,
            ReasonCode::GrantedQoS1,
            "a change of what is there"
        );
        assert_eq!(client.subscribe("u", AtLeastOnce).await, ReasonCode::QuotaExceeded);
        disk.disk.limit(None);
        until("there is room again", || !broker.store_state().unwrap().full).await;
        publisher.publish_and_wait("t", "after").await;
        client.expect_payload("after").await;
    });
}

#[test]
fn a_disk_that_hangs_does_not_keep_qos_0_nor_connections_without_a_session() {
    run(async {
        let disk = TestDisk::default();
        let broker = with_subscriber(&disk).await;
        let mut blocked = TestClient::v5(&broker, "blocked").await;
        disk.hold();
        blocked.publish(message("t", "x", AtLeastOnce), 1).await;
        let mut subscriber = TestClient::v5(&broker, "zero").await;
        subscriber.subscribe("zero", AtMostOnce).await;
        for _ in 0..1000 {
            blocked.publish(message("zero", "z", AtMostOnce), 0).await;
        }
        for _ in 0..1000 {
            subscriber.expect_payload("z").await;
        }
        blocked.expect_nothing().await;
        disk.release();
        assert!(matches!(blocked.receive().await, Packet::PubAck(_)));
    });
}

#[test]
fn a_version_3_client_that_waits_for_no_answer_is_read_no_further_while_thousands_wait_for_the_disk() {
    run(async {
        let disk = TestDisk::default();
        let broker = with_subscriber(&disk).await;
        let mut v3 = TestClient::connect(&broker, Version::V311, "three").await;
        disk.hold();
        for number in 0..20_000u16 {
            v3.publish(message("t", "x", AtLeastOnce), 1 + number).await;
        }
        let received = || broker.counters().publish_received;
        until("it has read as much as it reads", || received() > 4096).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(received() < 12_000, "{} were read", received());
        disk.release();
        for number in 0..20_000u16 {
            assert!(matches!(v3.receive().await, Packet::PubAck(ack) if ack.packet_id.get() == 1 + number));
        }
    });
}

#[test]
fn retained_messages_at_qos_0_do_not_pile_up_before_a_disk_that_fails_and_are_written_when_it_works() {
    run(async {
        let disk = TestDisk::default();
        let broker = with_subscriber(&disk).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        publisher.publish(retained("r", "old", AtLeastOnce), 1).await;
        assert!(matches!(publisher.receive().await, Packet::PubAck(_)));
        disk.disk.fail_in(0, true);
        publisher.publish(message("t", "x", AtLeastOnce), 1).await;
        publisher.expect_disconnect(ReasonCode::ImplementationSpecificError).await;
        until("it is known", || broker.store_state().unwrap().failing).await;
        let mut publisher = TestClient::v5(&broker, "p").await;
        for number in 0..2000 {
            publisher.publish(retained("r", &format!("{number:01000}"), AtMostOnce), 0).await;
        }
        publisher.expect_nothing().await;
        disk.disk.mend();
        works_again(&broker).await;
        let written = || TestDisk::keys_left(&disk.disk.history(), karere_broker::store::table::RETAINED);
        until("it is written", || !written().is_empty()).await;
        assert!(disk.disk.used() < 100_000, "{} bytes", disk.disk.used());
        let broker = disk.crash().broker().await;
        let mut client = TestClient::v5(&broker, "c").await;
        client.subscribe("r", AtMostOnce).await;
        client.expect_payload(&format!("{:01000}", 1999)).await;
    });
}

#[test]
fn a_takeover_while_connack_waits_for_the_disk_tells_the_first_connection_nothing() {
    run(async {
        let disk = TestDisk::default();
        let broker = disk.broker().await;
        disk.hold();
        let open = async |connect: Connect| {
            let mut client = TestClient::open(&broker, Version::V5).await;
            client.send(&Packet::Connect(connect.into())).await;
            client
        };
        let mut first = open(durable("c", 3600)).await;
        until("it is there", || broker.counters().clients_connected == 1).await;
        let mut second = open(durable("c", 3600)).await;
        first.expect_closed().await;
        disk.release();
        assert!(
            matches!(second.receive().await, Packet::ConnAck(connack) if connack.reason == ReasonCode::Success)
        );
    });
}
