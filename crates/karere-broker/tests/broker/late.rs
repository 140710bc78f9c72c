//! What a connection has left to be done when it goes, and what its client brings on the next one.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use karere_broker::{BrokerHandle, ClientInfo, HookFuture, MessageHook};
use karere_core::codec::{Connect, Message, Packet, ReasonCode, Version};
use tokio::sync::Semaphore;

use crate::client::*;

/// Lets a message that says "wait" through when it is told to, and any other at once.
struct Thinks(Arc<Semaphore>);

impl MessageHook for Thinks {
    fn publish<'a>(&'a self, _client: &'a ClientInfo, message: Message) -> HookFuture<'a, Option<Message>> {
        Box::pin(async move {
            if message.payload == "wait" {
                self.0.acquire().await.unwrap().forget();
            }
            Some(message)
        })
    }
}

async fn thinking_broker() -> (BrokerHandle, Arc<Semaphore>) {
    let answers = Arc::new(Semaphore::new(0));
    let broker = builder().message_hook(Thinks(answers.clone())).start().await.unwrap();
    (broker, answers)
}

async fn accepted(broker: &BrokerHandle, connect: Connect) -> TestClient {
    let (client, connack) = TestClient::connect_with(broker, connect).await;
    assert_eq!(connack.reason, ReasonCode::Success);
    client
}

/// Has a reader of everything, and a client whose message the hook thinks about.
async fn with_a_message_in_mid_turn(broker: &BrokerHandle, connect: Connect) -> (TestClient, TestClient) {
    let mut reader = TestClient::v5(broker, "reader").await;
    reader.subscribe("a", AtMostOnce).await;
    let mut first = accepted(broker, connect).await;
    first.publish(message("a", "wait", AtLeastOnce), 1).await;
    until("it has come", || broker.counters().publish_received == 1).await;
    (reader, first)
}

async fn a_takeover_waits(kind: Connect) {
    let (broker, answers) = thinking_broker().await;
    let (mut reader, mut first) = with_a_message_in_mid_turn(&broker, kind.clone()).await;
    let mut second = accepted(&broker, kind).await;
    first.expect_disconnect(ReasonCode::SessionTakenOver).await;
    second.publish(message("a", "next", AtLeastOnce), 2).await;
    reader.expect_nothing().await;
    answers.add_permits(1);
    reader.expect_payload("wait").await;
    reader.expect_payload("next").await;
    while !matches!(second.receive().await, Packet::PubAck(got) if got.packet_id == ack(2).packet_id) {}
}

#[test]
fn what_a_connection_has_left_is_routed_before_what_the_next_one_of_its_client_brings() {
    for kind in [durable("twice", 3600), connect(Version::V5, "twice")] {
        run(a_takeover_waits(kind));
    }
}

#[test]
fn a_takeover_on_a_single_thread_waits_and_does_not_hang() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let waiting = a_takeover_waits(durable("twice", 3600));
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the test hangs");
    });
}

#[test]
fn of_three_connections_of_a_client_the_last_waits_for_the_first() {
    run(async {
        let (broker, answers) = thinking_broker().await;
        let (mut reader, _first) = with_a_message_in_mid_turn(&broker, durable("often", 3600)).await;
        let mut second = accepted(&broker, durable("often", 3600)).await;
        second.publish(message("a", "lost with its connection", AtMostOnce), 0).await;
        let mut third = accepted(&broker, connect(Version::V5, "often")).await;
        second.expect_disconnect(ReasonCode::SessionTakenOver).await;
        third.publish(message("a", "next", AtMostOnce), 0).await;
        reader.expect_nothing().await;
        answers.add_permits(1);
        reader.expect_payload("wait").await;
        reader.expect_payload("next").await;
    });
}

#[test]
fn a_fan_out_beyond_one_turn_is_not_overtaken_by_what_the_next_connection_brings() {
    for kind in [durable("twice", 3600), connect(Version::V5, "twice")] {
        run(async move {
            // 150 readers, 600 messages in one read: 90,000 deliveries, nine turns' worth.
            let broker = broker().await;
            let mut readers = Vec::new();
            for number in 0..150 {
                let mut reader = TestClient::v5(&broker, &format!("reader{number}")).await;
                reader.subscribe("a", AtMostOnce).await;
                readers.push(reader);
            }
            let mut first = accepted(&broker, kind.clone()).await;
            let mut burst = BytesMut::new();
            for number in 0..600 {
                publish(message("a", &number.to_string(), AtMostOnce), 0)
                    .encode(Version::V5, &mut burst)
                    .unwrap();
            }
            let mut second = TestClient::open(&broker, Version::V5).await;
            let mut both = BytesMut::new();
            Packet::Connect(Box::new(kind)).encode(Version::V5, &mut both).unwrap();
            publish(message("a", "next", AtMostOnce), 0).encode(Version::V5, &mut both).unwrap();
            first.send_bytes(&burst).await;
            readers[0].expect_payload("0").await;
            second.send_bytes(&both).await;
            for (index, reader) in readers.iter_mut().enumerate() {
                for number in usize::from(index == 0)..600 {
                    reader.expect_payload(&number.to_string()).await;
                }
                reader.expect_payload("next").await;
            }
        });
    }
}

#[test]
fn a_will_comes_behind_what_its_client_had_sent_and_before_what_it_sends_next() {
    for expiry in [0, 3600] {
        run(async move {
            let (broker, answers) = thinking_broker().await;
            let with_will = Connect { will: will("a", "gone", 0), ..durable("mortal", expiry) };
            let (mut reader, _first) = with_a_message_in_mid_turn(&broker, with_will).await;
            let mut second = accepted(&broker, durable("mortal", 3600)).await;
            second.publish(message("a", "back", AtMostOnce), 0).await;
            reader.expect_nothing().await;
            answers.add_permits(1);
            for payload in ["wait", "gone", "back"] {
                reader.expect_payload(payload).await;
            }
        });
    }
}

#[test]
fn a_connection_that_waits_for_another_ones_work_does_not_hold_the_shutdown() {
    run(async {
        let (broker, _answers) = thinking_broker().await;
        let (reader, first) = with_a_message_in_mid_turn(&broker, durable("twice", 3600)).await;
        let second = accepted(&broker, durable("twice", 3600)).await;
        let shutdown = tokio::spawn(async move { broker.shutdown().await });
        drop((reader, first, second));
        assert_eq!(shutdown.await.unwrap().cut, 0);
    });
}

#[test]
fn a_hook_may_think_for_longer_than_the_client_may_be_silent() {
    run(async {
        let (broker, answers) = thinking_broker().await;
        let brief = |name| Connect { keep_alive: 1, ..connect(Version::V5, name) };
        let (mut reader, mut first) = with_a_message_in_mid_turn(&broker, brief("asked about")).await;
        // It comes after the other one: when its time is over, so would be the other one's.
        let mut silent = accepted(&broker, brief("silent")).await;
        silent.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
        answers.add_permits(1);
        reader.expect_payload("wait").await;
        assert!(matches!(first.receive().await, Packet::PubAck(_)));
        first.expect_nothing().await;
        // From now on its silence is its own.
        first.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
    });
}

#[test]
fn a_qos_2_message_whose_connection_is_cut_in_mid_turn_is_answered_on_the_next_one() {
    run(async {
        let (broker, answers) = thinking_broker().await;
        let mut reader = TestClient::v5(&broker, "reader").await;
        reader.subscribe("a", AtMostOnce).await;
        let (mut first, _) = TestClient::durable(&broker, "cut").await;
        let once = publish(message("a", "wait", ExactlyOnce), 1);
        first.send(&once).await;
        until("it has come", || broker.counters().publish_received == 1).await;
        first.stream.set_zero_linger().unwrap();
        drop(first);

        let (mut second, present) = TestClient::durable(&broker, "cut").await;
        assert!(present);
        let Packet::Publish(mut again) = once else { unreachable!() };
        again.dup = true;
        second.send(&Packet::Publish(again)).await;
        second.publish(message("a", "behind it", AtLeastOnce), 2).await;
        answers.add_permits(1);
        assert!(matches!(second.receive().await, Packet::PubRec(got) if got == ack(1)));
        assert!(matches!(second.receive().await, Packet::PubAck(got) if got == ack(2)));
        reader.expect_payload("wait").await;
        reader.expect_payload("behind it").await;
        reader.expect_nothing().await;
    });
}
