//! Clients with a store: one process after the other, over real sockets. Each test names the statements that it shows.

mod killed;

use std::path::Path;
use std::process;
use std::sync::mpsc::channel;

use karere::{
    Client, ConnectError, Messages, Options, PacketId, PublishError, QoS, ReasonCode, StoreError, blocking,
};
use karere_core::codec::{Ack, Packet, PacketType};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::peer::{Conn, PATIENCE, Peer, eventually};

/// What one process does: when this is dropped, it ends without a word to the server.
struct Process {
    client: Client,
    runtime: Runtime,
}

impl Process {
    fn start(options: Options) -> Self {
        let (process, _) = Self::listening(options);
        process.runtime.block_on(process.client.connected()).unwrap();
        process
    }

    /// With a stream that is there before the server sends what it has kept.
    fn listening(options: Options) -> (Self, Messages) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = Client::new(options);
        let messages = client.messages();
        runtime.block_on(async { client.start() }).unwrap();
        (Self { client, runtime }, messages)
    }

    fn publish(&self, payload: &str, qos: QoS) -> karere::Delivery {
        self.client.publish_nowait(("t", payload, qos)).unwrap()
    }

    fn end(self) {
        drop(self.runtime);
    }
}

fn stored(peer: &Peer, folder: &Path) -> Options {
    peer.options().client_id("c").unwrap().store(folder)
}

fn ack(packet_id: u16) -> Ack {
    Ack::success(PacketId::new(packet_id).unwrap())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    Runtime::new()
        .unwrap()
        .block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("it hangs") })
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A connection that takes two messages, at QoS 1 and 2, answers the second with PUBREC, and no more.
fn take_two(conn: &mut Conn) {
    let (first, second) = (conn.publish(), conn.publish());
    assert_eq!((first.packet_id, second.packet_id), (PacketId::new(1), PacketId::new(2)));
    conn.send(&Packet::PubRec(ack(2)));
    assert_eq!(conn.packet(), Packet::PubRel(ack(2)));
}

#[test]
fn c1_what_is_not_acknowledged_goes_again_from_the_next_process_with_the_same_identifiers() {
    let (folder, peer, taken) = (folder(), Peer::new(), channel());
    let options = stored(&peer, folder.path());
    let script = peer.script(move |peer| {
        let (mut conn, connect) = peer.welcome(false);
        assert!(!connect.clean_start);
        assert!(connect.properties.session_expiry_interval().is_some_and(|seconds| seconds > 0));
        take_two(&mut conn);
        taken.0.send(()).unwrap();
        assert!(conn.next().is_none(), "without goodbye");
        let (mut conn, connect) = peer.welcome(true);
        assert!(!connect.clean_start);
        assert_eq!(conn.packet(), Packet::PubRel(ack(2)));
        let again = conn.publish();
        assert_eq!((again.packet_id, again.dup), (PacketId::new(1), true));
        conn.send(&Packet::PubComp(ack(2)));
        conn.send(&Packet::PubAck(ack(1)));
        assert_eq!(conn.published(), "3");
        conn.goodbye();
        // All is over: the third process has nothing to say.
        let (conn, _) = peer.welcome(true);
        conn.goodbye();
    });
    let first = Process::start(options.clone());
    first.publish("1", QoS::AtLeastOnce);
    first.publish("2", QoS::ExactlyOnce);
    taken.1.recv_timeout(PATIENCE).unwrap();
    first.end();
    let second = Process::start(options.clone());
    second.runtime.block_on(async {
        second.publish("3", QoS::AtLeastOnce).await.unwrap();
        second.client.disconnect().await;
    });
    second.end();
    let third = Process::start(options);
    third.runtime.block_on(third.client.disconnect());
    third.end();
    script.join().unwrap();
}

#[test]
fn c1_where_the_server_has_lost_the_session_pubrec_counts_as_delivered_and_the_rest_is_new() {
    let (folder, peer, taken) = (folder(), Peer::new(), channel());
    let options = stored(&peer, folder.path());
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        take_two(&mut conn);
        taken.0.send(()).unwrap();
        assert!(conn.next().is_none(), "without goodbye");
        for _ in 0..2 {
            let (mut conn, _) = peer.welcome(false);
            let again = conn.publish();
            assert_eq!((again.packet_id, again.dup), (PacketId::new(1), false));
            assert_eq!(conn.publish().message.payload, "3");
        }
    });
    let first = Process::start(options.clone());
    first.publish("1", QoS::AtLeastOnce);
    first.publish("2", QoS::ExactlyOnce);
    taken.1.recv_timeout(PATIENCE).unwrap();
    first.end();
    let second = Process::start(options);
    second.publish("3", QoS::AtLeastOnce);
    script.join().unwrap();
    second.end();
}

#[test]
fn c1_c4_what_was_published_offline_goes_in_its_order_from_the_next_process() {
    let (folder, peer) = (folder(), Peer::new());
    let options = stored(&peer, folder.path());
    let first = Client::new(options.clone());
    for number in 0..50 {
        first.publish_nowait(("t", number.to_string(), QoS::AtLeastOnce)).unwrap();
    }
    drop(first);
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        (0..60).for_each(|number| assert_eq!(conn.published(), number.to_string()));
        conn.goodbye();
    });
    let second = Process::start(options);
    let last = (50..60).map(|number| second.publish(&number.to_string(), QoS::AtLeastOnce)).last().unwrap();
    second.runtime.block_on(async {
        last.await.unwrap();
        second.client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn c2_a_message_that_the_application_was_done_with_is_not_handed_over_to_the_next_process() {
    let (folder, peer, answered) = (folder(), Peer::new(), channel());
    let last = channel();
    let options = stored(&peer, folder.path());
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        conn.deliver("t", "once", QoS::ExactlyOnce, 5);
        assert_eq!(conn.packet(), Packet::PubRec(ack(5)));
        answered.0.send(()).unwrap();
        assert!(conn.next().is_none(), "without goodbye");
        let (mut conn, _) = peer.welcome(true);
        conn.deliver("t", "once", QoS::ExactlyOnce, 5);
        assert_eq!(conn.packet(), Packet::PubRec(ack(5)));
        conn.send(&Packet::PubRel(ack(5)));
        assert_eq!(conn.packet(), Packet::PubComp(ack(5)));
        conn.deliver("t", "another", QoS::ExactlyOnce, 5);
        assert_eq!(conn.packet(), Packet::PubRec(ack(5)));
        last.0.send(()).unwrap();
        conn.goodbye();
    });
    let first = Process::start(options.clone());
    first.runtime.block_on(async {
        let mut messages = first.client.subscribe(("t", QoS::ExactlyOnce)).await.unwrap();
        assert_eq!(messages.recv().await.unwrap().payload(), "once");
    });
    answered.1.recv_timeout(PATIENCE).unwrap();
    first.end();
    let (second, mut messages) = Process::listening(options);
    second.runtime.block_on(async {
        assert_eq!(messages.recv().await.unwrap().payload(), "another");
    });
    last.1.recv_timeout(PATIENCE).unwrap();
    second.runtime.block_on(second.client.disconnect());
    script.join().unwrap();
}

#[test]
fn c3_what_the_application_was_not_done_with_is_not_acknowledged_and_comes_again() {
    let (folder, peer, delivered) = (folder(), Peer::new(), channel());
    let options = stored(&peer, folder.path());
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        for (payload, qos, id) in [("1", QoS::ExactlyOnce, 5), ("2", QoS::AtLeastOnce, 6)] {
            conn.deliver("t", payload, qos, id);
        }
        delivered.0.send(()).unwrap();
        assert!(conn.next().is_none(), "nothing is acknowledged");
        let (mut conn, _) = peer.welcome(true);
        for (payload, qos, id) in [("1", QoS::ExactlyOnce, 5), ("2", QoS::AtLeastOnce, 6)] {
            conn.deliver("t", payload, qos, id);
        }
        let kinds = [conn.packet(), conn.packet()].map(|packet| packet.packet_type());
        assert_eq!(kinds, [PacketType::PubRec, PacketType::PubAck], "in the order of arrival");
        conn.goodbye();
    });
    let first = Process::start(options.clone());
    let held = first.runtime.block_on(async {
        let mut messages = first.client.subscribe(("t", QoS::ExactlyOnce)).await.unwrap();
        (messages.recv().await.unwrap(), messages)
    });
    delivered.1.recv_timeout(PATIENCE).unwrap();
    // The process ends in the middle of its work on the first one.
    std::mem::forget(held);
    let mut options = options;
    if let Some(store) = &mut options.store {
        // What is forgotten has the folder still; what was written of it is what a kill would leave.
        let left = folder.path().join("left");
        std::fs::create_dir(&left).unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                std::fs::copy(entry.path(), left.join(entry.file_name())).unwrap();
            }
        }
        store.path = left;
    }
    first.end();
    let (second, mut messages) = Process::listening(options);
    second.runtime.block_on(async {
        assert_eq!(messages.recv().await.unwrap().payload(), "1");
        assert_eq!(messages.recv().await.unwrap().payload(), "2");
        drop(messages);
        eventually("both are acknowledged", || second.client.counters().writes >= 2);
        second.client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn a_store_that_somebody_else_has_is_an_error_that_names_them() {
    let (folder, peer) = (folder(), Peer::new());
    let options = stored(&peer, folder.path());
    let first = Client::new(options.clone());
    let second = Client::new(options.clone());
    let error = second.publish_nowait(("t", "x", QoS::AtLeastOnce)).unwrap_err();
    assert!(matches!(error, PublishError::Store(StoreError::Locked { .. })), "{error}");
    second.publish_nowait(("t", "x", QoS::AtMostOnce)).unwrap();
    let error = block_on(async { Client::connect(options.clone()).await.unwrap_err() });
    assert!(matches!(error, ConnectError::Store(StoreError::Locked { .. })), "{error}");
    let expected = format!("process {}", process::id());
    assert!(error.to_string().contains(&expected), "{error}");
    let error = blocking::Client::new(options.clone()).connect().unwrap_err();
    assert!(error.to_string().contains(&expected), "{error}");
    drop(first);
    Client::new(options).publish_nowait(("t", "x", QoS::AtLeastOnce)).unwrap();
}

#[test]
fn a_delivery_says_when_it_is_stored() {
    let (folder, peer) = (folder(), Peer::new());
    let client = Client::new(stored(&peer, folder.path()));
    let delivery = client.publish_nowait(("t", "x", QoS::AtLeastOnce)).unwrap();
    assert!(block_on(delivery.stored()));
    assert!(delivery.is_stored());
    assert!(!delivery.is_done());
    assert_eq!(delivery.wait_stored(Some(PATIENCE)), Ok(true));
    let plain = client.publish_nowait(("t", "x", QoS::AtMostOnce)).unwrap();
    assert!(!block_on(plain.stored()), "QoS 0 is not kept");
    let status = client.store_status().unwrap();
    assert!(status.needed_bytes > 0 && !status.is_failing, "{status:?}");
}

#[test]
fn a_blocking_client_without_a_loop_has_written_when_publishing_returns() {
    let (folder, peer) = (folder(), Peer::new());
    let client = blocking::Client::new(stored(&peer, folder.path()));
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        assert_eq!(conn.published(), "1");
        assert_eq!(conn.published(), "2");
    });
    client.connect().unwrap();
    while !client.is_connected() {
        client.loop_once(PATIENCE).unwrap();
    }
    client.publish(("t", "1", QoS::AtLeastOnce)).unwrap();
    client.publish(("t", "2", QoS::AtLeastOnce)).unwrap();
    assert_eq!(client.driver().outbox_bytes(), 0);
    script.join().unwrap();
}

#[test]
fn c1_a_blocking_client_with_a_loop_sends_what_the_last_one_left() {
    let (folder, peer) = (folder(), Peer::new());
    let options = stored(&peer, folder.path());
    blocking::Client::new(options.clone()).publish(("t", "1", QoS::ExactlyOnce)).unwrap();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        for id in [1, 2] {
            assert_eq!(conn.publish().packet_id, PacketId::new(id));
            conn.send(&Packet::PubRec(ack(id)));
            assert_eq!(conn.packet(), Packet::PubRel(ack(id)));
            conn.send(&Packet::PubComp(ack(id)));
        }
        conn.goodbye();
    });
    let client = blocking::Client::new(options);
    client.connect().unwrap();
    client.loop_start();
    eventually("the first is done", || client.is_connected() && client.driver().inflight() == 0);
    let published = client.publish(("t", "2", QoS::ExactlyOnce)).unwrap().wait(Some(PATIENCE)).unwrap();
    assert_eq!(published.reason, ReasonCode::Success);
    client.disconnect();
    client.loop_stop();
    script.join().unwrap();
}

#[test]
fn several_messages_at_once_are_kept_and_sent_and_the_store_is_empty_then() {
    let (folder, peer) = (folder(), Peer::new());
    let options = stored(&peer, folder.path());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        (0..100).for_each(|number| assert_eq!(conn.published(), number.to_string()));
        conn.goodbye();
    });
    let messages = (0..100).map(|number| ("t", number.to_string(), QoS::AtLeastOnce));
    karere::publish::multiple(options.clone(), messages).unwrap();
    script.join().unwrap();
    let client = Client::new(options);
    let needed = client.store_status().unwrap().needed_bytes;
    assert!(needed < 50, "the Client Identifier alone, not {needed} bytes");
}
