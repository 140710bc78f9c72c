use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use karere::{Client, Counters, Options, QoS, blocking};
use karere_bench::{Peer, allocations, alone, wait_until};

use super::{MESSAGES, assert_at_most, publish};

const TOPIC: &str = "iot/home2/temp";

fn options(peer: &Peer) -> Options {
    Options::new("127.0.0.1", peer.address().port())
}

/// A blocking client whose loop runs in its thread, connected.
fn blocking_client(peer: &Peer) -> blocking::Client {
    let client = blocking::Client::new(options(peer));
    client.connect().unwrap();
    client.loop_start();
    wait_until(|| client.is_connected());
    client
}

/// The client's counters, once they have all that its peer has read: a write is counted when it is over.
fn settled(peer: &Peer, counters: impl Fn() -> Counters) -> Counters {
    wait_until(|| counters().bytes_out == peer.read());
    counters()
}

#[test]
fn the_blocking_client_publishes_at_qos_0_without_allocating() {
    let _alone = alone();
    let peer = Peer::start().unwrap();
    let client = blocking_client(&peer);
    let len = publish(true, 0, 0, TOPIC, b"25.4").len();
    let send = |count: usize| {
        let target = peer.read() + (count * len) as u64;
        for _ in 0..count {
            client.publish((TOPIC, &b"25.4"[..])).unwrap();
        }
        peer.wait_for(target);
    };
    send(MESSAGES);
    send(MESSAGES);
    let counted = allocations(|| send(MESSAGES));
    assert_at_most("blocking publish at QoS 0", counted, MESSAGES, 0.0);
    client.disconnect();
    client.loop_stop();
}

#[test]
fn the_async_client_publishes_at_qos_0_without_allocating() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let peer = Peer::start().unwrap();
    let client = runtime.block_on(Client::connect(options(&peer))).unwrap();
    let len = publish(true, 0, 0, TOPIC, b"25.4").len();
    let send = |count: usize| {
        let target = peer.read() + (count * len) as u64;
        runtime.block_on(async {
            for _ in 0..count {
                client.publish((TOPIC, &b"25.4"[..])).await.unwrap();
            }
        });
        peer.wait_for(target);
    };
    send(MESSAGES);
    send(MESSAGES);
    let counted = allocations(|| send(MESSAGES));
    assert_at_most("async publish at QoS 0", counted, MESSAGES, 0.0);
}

/// How often what the scheduler has a say in is tried; the best of them tells what the client's shape allows.
const TRIES: usize = 8;

#[test]
fn twenty_thousand_pipelined_publishes_leave_in_at_most_100_writes() {
    let _alone = alone();
    for (name, publish) in [("async", pipelined_async as fn() -> u64), ("blocking", pipelined_blocking)] {
        // With a core of its own the driver writes what little there is each time it is woken: more writes, not slower.
        let writes = (0..TRIES).map(|_| publish()).find(|writes| (1..=100).contains(writes));
        assert!(writes.is_some(), "{name}: more than 100 writes for {MESSAGES} messages, {TRIES} times");
    }
}

/// Publishes `MESSAGES` messages as fast as one task can; returns the writes.
fn pipelined_async() -> u64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let peer = Peer::start().unwrap();
    let client = runtime.block_on(Client::connect(options(&peer))).unwrap();
    let (target, before) = (peer.read() + pipelined_bytes(), settled(&peer, || client.counters()).writes);
    // A task among the runtime's, as programs have it.
    let publisher = client.clone();
    let task = runtime.spawn(async move {
        for _ in 0..MESSAGES {
            publisher.publish((TOPIC, &b"25.4"[..])).await.unwrap();
        }
    });
    runtime.block_on(task).unwrap();
    peer.wait_for(target);
    settled(&peer, || client.counters()).writes - before
}

/// The same from a thread that blocks.
fn pipelined_blocking() -> u64 {
    let peer = Peer::start().unwrap();
    let client = blocking_client(&peer);
    let (target, before) = (peer.read() + pipelined_bytes(), settled(&peer, || client.counters()).writes);
    for _ in 0..MESSAGES {
        client.publish((TOPIC, &b"25.4"[..])).unwrap();
    }
    peer.wait_for(target);
    let writes = settled(&peer, || client.counters()).writes - before;
    client.disconnect();
    client.loop_stop();
    writes
}

fn pipelined_bytes() -> u64 {
    (MESSAGES * publish(true, 0, 0, TOPIC, b"25.4").len()) as u64
}

/// Receives `MESSAGES` messages at `qos` into a callback; returns the allocations.
fn receive(qos: u8) -> usize {
    let peer = Peer::start().unwrap();
    let client = blocking::Client::new(options(&peer));
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    client.on_message(move |_, message| {
        assert_eq!(message.message.payload.len(), 4);
        counter.fetch_add(1, Ordering::AcqRel);
    });
    client.connect().unwrap();
    client.loop_start();
    wait_until(|| client.is_connected());
    let round = |bursts: &mut dyn Iterator<Item = Vec<u8>>| {
        for burst in bursts {
            let target = count.load(Ordering::Acquire) + WINDOW;
            peer.send(burst);
            wait_until(|| count.load(Ordering::Acquire) >= target);
        }
    };
    const WINDOW: usize = 500;
    // Made before the counting: identifiers from 1 on, all acknowledged before they come again.
    let burst: Vec<u8> = (1..=WINDOW as u16).flat_map(|id| publish(true, qos, id, TOPIC, b"25.4")).collect();
    round(&mut vec![burst.clone(); 20].into_iter());
    let mut bursts = vec![burst; MESSAGES / WINDOW].into_iter();
    let counted = allocations(|| round(&mut bursts));
    client.disconnect();
    client.loop_stop();
    counted
}

#[test]
fn receiving_at_qos_0_into_a_callback_allocates_nothing() {
    let _alone = alone();
    assert_at_most("receiving at QoS 0", receive(0), MESSAGES, 0.0);
}

#[test]
fn receiving_at_qos_1_into_a_callback_allocates_at_most_once() {
    let _alone = alone();
    assert_eq!(QoS::AtLeastOnce as u8, 1);
    assert_at_most("receiving at QoS 1", receive(1), MESSAGES, 1.0);
}
