//! When a message of a stream is acknowledged, and who is held up by a slow one.

use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use karere::{Client, PacketId, QoS, Version};
use karere_core::codec::{Ack, Packet};

use crate::asynchronous::run;
use crate::peer::{Conn, Peer, message};

fn puback(packet_id: u16) -> Packet {
    Packet::PubAck(Ack::success(PacketId::new(packet_id).unwrap()))
}

/// Two messages at QoS 1, whose acknowledgements the test waits for.
fn two_messages(conn: &mut Conn) {
    conn.subscribed();
    conn.deliver("t", "1", QoS::AtLeastOnce, 1);
    conn.deliver("t", "2", QoS::AtLeastOnce, 2);
}

/// A server that sends two messages, and to which both are acknowledged, in their order.
fn has_two_acknowledged(peer: Peer) -> JoinHandle<()> {
    peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        two_messages(&mut conn);
        assert_eq!(conn.packet(), puback(1));
        assert_eq!(conn.packet(), puback(2));
        conn.goodbye();
    })
}

#[test]
fn a_message_is_acknowledged_when_the_next_is_asked_for() {
    let peer = Peer::new();
    let options = peer.options();
    let (sender, acknowledged) = channel();
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        two_messages(&mut conn);
        for _ in 0..2 {
            sender.send(conn.packet()).unwrap();
        }
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let mut stream = client.subscribe(("t", QoS::AtLeastOnce)).await.unwrap();
        let first = stream.recv().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(acknowledged.try_recv().is_err(), "acknowledged before its consumer is done");
        let second = stream.recv().await.unwrap();
        let acknowledged = tokio::task::spawn_blocking(move || {
            assert_eq!(acknowledged.recv().unwrap(), puback(1));
            acknowledged
        });
        let acknowledged = acknowledged.await.unwrap();
        drop((first, second));
        tokio::task::spawn_blocking(move || assert_eq!(acknowledged.recv().unwrap(), puback(2)))
            .await
            .unwrap();
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn by_hand_nothing_but_ack_acknowledges() {
    let peer = Peer::new();
    let options = peer.options().manual_ack(true);
    let (go, gone) = channel();
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        two_messages(&mut conn);
        assert_eq!(conn.publish().message.payload, "nothing acknowledged before this");
        go.send(()).unwrap();
        assert_eq!(conn.packet(), puback(1));
        assert_eq!(conn.packet(), puback(2));
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let mut stream = client.subscribe(("t", QoS::AtLeastOnce)).await.unwrap();
        let first = stream.recv().await.unwrap();
        let second = stream.recv().await.unwrap();
        second.ack();
        client.publish(("t", "nothing acknowledged before this")).await.unwrap();
        tokio::task::spawn_blocking(move || gone.recv().unwrap()).await.unwrap();
        first.ack();
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn a_message_of_two_streams_is_acknowledged_when_both_are_done() {
    let peer = Peer::new();
    let options = peer.options();
    let (go, gone) = channel();
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        conn.subscribed();
        conn.deliver("a/b", "both", QoS::AtLeastOnce, 7);
        assert_eq!(conn.publish().message.payload, "one is done");
        go.send(()).unwrap();
        assert_eq!(conn.packet(), puback(7));
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let mut one = client.subscribe(("a/+", QoS::AtLeastOnce)).await.unwrap();
        let mut other = client.subscribe([("a/#", QoS::AtLeastOnce)]).await.unwrap();
        drop(one.recv().await.unwrap());
        let held = other.recv().await.unwrap();
        client.publish(("t", "one is done")).await.unwrap();
        tokio::task::spawn_blocking(move || gone.recv().unwrap()).await.unwrap();
        drop(held);
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn a_message_that_nobody_takes_is_acknowledged_and_counted() {
    let peer = Peer::new();
    let options = peer.options();
    let script = has_two_acknowledged(peer);
    run(async {
        let client = Client::connect(options).await.unwrap();
        client.subscribe_only(("t", QoS::AtLeastOnce)).await.unwrap();
        while client.counters().unclaimed < 2 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn what_a_dropped_stream_has_kept_is_acknowledged() {
    let peer = Peer::new();
    let options = peer.options();
    let script = has_two_acknowledged(peer);
    run(async {
        let client = Client::connect(options).await.unwrap();
        let stream = client.subscribe(("t", QoS::AtLeastOnce)).await.unwrap();
        while client.counters().messages_in < 2 {
            tokio::task::yield_now().await;
        }
        drop(stream);
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn a_slow_stream_holds_up_neither_a_fast_one_nor_pings_nor_acknowledgements() {
    const COUNT: usize = 20_000;
    let peer = Peer::new();
    let options = peer.options().keep_alive(1).stream_bytes_max(10_000);
    let script = peer.script(|peer| {
        let (mut conn, connect) = peer.welcome(false);
        assert_eq!(connect.keep_alive, 1);
        conn.subscribed();
        conn.subscribed();
        conn.deliver("slow/first", "kept", QoS::AtLeastOnce, 1);
        let mut batch = bytes::BytesMut::new();
        for n in 0..COUNT {
            message("slow/flood", &format!("{n:09}"), QoS::AtMostOnce, 0)
                .encode(Version::V5, &mut batch)
                .unwrap();
        }
        conn.send_bytes(&batch);
        conn.deliver("fast", "through", QoS::AtLeastOnce, 2);
        assert_eq!(conn.packet(), Packet::PingReq);
        conn.send(&Packet::PingResp);
        // Acknowledgements leave in the order of arrival: the slow one is first.
        assert_eq!(conn.packet(), puback(1));
        assert_eq!(conn.packet(), puback(2));
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let mut slow = client.subscribe(("slow/#", QoS::AtLeastOnce)).await.unwrap();
        let mut fast = client.subscribe(("fast", QoS::AtLeastOnce)).await.unwrap();
        drop(fast.recv().await.unwrap());
        let writes = client.counters().writes;
        while client.counters().writes == writes {
            tokio::time::sleep(Duration::from_millis(5)).await; // until the PINGREQ
        }
        assert_eq!(slow.recv().await.unwrap().payload(), "kept");
        let mut flood = Vec::new();
        while let Some(incoming) = slow.try_recv() {
            flood.push(String::from_utf8(incoming.payload().to_vec()).unwrap());
        }
        let (first, last) = (COUNT - flood.len(), COUNT - 1);
        assert_eq!(flood.first().unwrap(), &format!("{first:09}"), "the oldest went first");
        assert_eq!(flood.last().unwrap(), &format!("{last:09}"));
        assert_eq!(client.counters().dropped, first as u64);
        assert!((100..COUNT / 2).contains(&flood.len()), "{} kept", flood.len());
        client.disconnect().await;
    });
    script.join().unwrap();
}
