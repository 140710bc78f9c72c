//! The blocking client's loops: their start, their end, and event loops of the caller's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use karere::blocking::{Client, LoopError};
use karere::{ConnectError, QoS, ReasonCode};

use crate::peer::{PATIENCE, Peer, eventually};

#[test]
fn a_hundred_cycles_of_connect_start_disconnect_stop_in_any_order() {
    const CYCLES: usize = 100;
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        for _ in 0..CYCLES {
            let (mut conn, _) = peer.welcome(false);
            assert_eq!(conn.published(), "x");
            drop(conn.rest());
        }
    });
    for cycle in 0..CYCLES {
        match cycle % 3 {
            0 => {
                client.connect().unwrap();
                assert!(client.loop_start());
            }
            1 => {
                assert!(client.loop_start());
                client.connect().unwrap();
            }
            _ => {
                client.connect_async();
                assert!(client.loop_start());
            }
        }
        client.publish(("t", "x", QoS::AtLeastOnce)).unwrap().wait(Some(PATIENCE)).unwrap();
        if cycle % 2 == 0 {
            client.disconnect();
            client.loop_stop();
        } else {
            client.loop_stop();
            client.disconnect();
        }
        assert!(!client.is_connected());
    }
    script.join().unwrap();
}

#[test]
fn a_stopped_loop_leaves_the_connection_and_what_was_published_before_has_left() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        for n in 0..1_000 {
            assert_eq!(conn.published(), n.to_string());
        }
        assert_eq!(conn.published(), "later");
        conn.goodbye();
    });
    client.connect().unwrap();
    client.loop_start();
    eventually("connected", || client.is_connected());
    for n in 0..1_000 {
        client.publish(("t", n.to_string())).unwrap();
    }
    client.loop_stop();
    assert_eq!(client.driver().outbox_bytes(), 0);
    assert!(client.is_connected());
    client.publish(("t", "later")).unwrap();
    assert!(client.disconnect());
    script.join().unwrap();
}

#[test]
fn a_loop_that_was_started_first_waits_for_connect() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    assert!(client.loop_start());
    client.loop_stop();
    assert!(client.loop_start());
    let script = peer.script(|peer| peer.welcome(false).0.goodbye());
    client.connect_async();
    eventually("connected", || client.is_connected());
    client.disconnect();
    client.loop_stop();
    script.join().unwrap();
}

#[test]
fn a_lost_connection_is_made_again_by_the_loop() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        for _ in 0..3 {
            drop(peer.welcome(false).0);
        }
        peer.welcome(false).0.goodbye();
    });
    let lost = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&lost);
    client.on_disconnect(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    client.connect().unwrap();
    client.loop_start();
    eventually("came back", || client.counters().connects == 4 && client.is_connected());
    assert_eq!(lost.load(Ordering::Relaxed), 3);
    client.disconnect();
    client.loop_stop();
    script.join().unwrap();
}

#[test]
fn the_first_connection_must_succeed_unless_told_otherwise() {
    let options = Peer::new().options();
    let client = Client::new(options.clone());
    assert!(matches!(client.connect(), Err(ConnectError::Network(_))));
    client.connect_async();
    assert!(matches!(client.loop_forever(), Err(ConnectError::Network(_))));

    let client = Client::new(options.retry_first_connection(true));
    let mut failures = 0;
    client.on_connect_fail(move |client, _| {
        failures += 1;
        if failures == 3 {
            client.disconnect();
        }
    });
    client.connect_async();
    client.loop_forever().unwrap();
}

#[test]
fn a_wrong_password_ends_loop_forever_with_the_servers_reason() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        let mut conn = peer.accept();
        conn.connect();
        conn.connack(false, ReasonCode::NotAuthorized);
        conn.rest()
    });
    let heard = Arc::new(AtomicU32::new(0));
    let reason = Arc::clone(&heard);
    client.on_connect(move |_, connack| reason.store(u32::from(connack.reason.as_u8()), Ordering::Relaxed));
    client.connect().unwrap();
    let error = client.loop_forever().unwrap_err();
    assert_eq!(error.reason(), Some(ReasonCode::NotAuthorized));
    assert_eq!(heard.load(Ordering::Relaxed), 0x87);
    script.join().unwrap();
}

#[test]
fn loop_once_waits_no_longer_than_told_and_says_when_there_is_nothing_to_wait_for() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    assert!(matches!(client.loop_once(Duration::ZERO), Err(LoopError::NotConnected)));
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        assert_eq!(conn.published(), "x");
        // and closes without a word
    });
    client.connect().unwrap();
    while !client.is_connected() {
        client.loop_once(PATIENCE).unwrap();
    }
    let since = Instant::now();
    client.loop_once(Duration::from_millis(30)).unwrap();
    assert!(since.elapsed() >= Duration::from_millis(30));
    client.publish(("t", "x")).unwrap();
    let end = loop {
        if let Err(end) = client.loop_once(PATIENCE) {
            break end;
        }
    };
    assert!(matches!(end, LoopError::Lost(_)), "{end}");
    script.join().unwrap();
}

#[test]
fn publishing_from_eight_threads_loses_nothing() {
    const EACH: usize = 500;
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        let mut all: Vec<String> = (0..8 * EACH).map(|_| conn.published()).collect();
        conn.goodbye();
        all.sort();
        all.dedup();
        all.len()
    });
    client.connect().unwrap();
    client.loop_start();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = client.clone();
            scope.spawn(move || {
                for n in 0..EACH {
                    let payload = format!("{thread} {n}");
                    let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::AtMostOnce };
                    let delivery = client.publish(("t", payload, qos)).unwrap();
                    if n % 100 == 0 {
                        delivery.wait(Some(PATIENCE)).unwrap();
                    }
                }
            });
        }
    });
    eventually("all acknowledged", || client.queued() == 0 && client.driver().inflight() == 0);
    client.disconnect();
    client.loop_stop();
    assert_eq!(script.join().unwrap(), 8 * EACH);
}

#[test]
fn dropping_the_last_handle_says_goodbye_and_ends_the_thread() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| peer.welcome(false).0.goodbye());
    let alive = Arc::new(());
    let held = Arc::downgrade(&alive);
    client.on_connect(move |_, _| drop(Arc::clone(&alive)));
    client.connect().unwrap();
    client.loop_start();
    eventually("connected", || client.is_connected());
    drop(client);
    script.join().unwrap();
    eventually("the thread has let go of the callbacks", || held.upgrade().is_none());
}

/// The parts that an event loop of the caller's needs, with poll(2) as that loop.
#[cfg(unix)]
#[test]
fn an_event_loop_of_the_callers_drives_it() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        conn.deliver("t", "x", QoS::AtLeastOnce, 1);
        let puback = conn.packet();
        assert!(matches!(puback, karere_core::codec::Packet::PubAck(_)), "{puback:?}");
        conn.goodbye();
    });
    client.external_loop(true);
    client.on_connect(|client, _| {
        client.subscribe(("t", QoS::AtLeastOnce)).unwrap();
    });
    let done = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&done);
    client.on_message(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    client.connect().unwrap();
    assert!(client.want_write(), "CONNECT is the caller's to write");
    let deadline = Instant::now() + PATIENCE;
    while done.load(Ordering::Relaxed) == 0 || client.want_write() {
        assert!(Instant::now() < deadline);
        let wanted = if client.want_write() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let ready = client.with_socket(|socket| {
            let mut sockets = [PollFd::from_borrowed_fd(socket, wanted)];
            poll(&mut sockets, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
            sockets[0].revents()
        });
        let ready = ready.unwrap();
        if ready.contains(PollFlags::IN) {
            client.loop_read().unwrap();
        }
        if ready.contains(PollFlags::OUT) {
            client.loop_write().unwrap();
        }
        client.loop_misc().unwrap();
    }
    assert!(client.disconnect());
    assert!(client.want_write());
    assert!(matches!(client.loop_write(), Err(LoopError::Lost(karere::Disconnection::Requested))));
    assert!(client.with_socket(|_| ()).is_none());
    script.join().unwrap();
}
