//! What survives the loss of a connection.

use std::time::{Duration, Instant};

use karere::{Client, Credentials, Disconnection, Event, PublishError, QoS, ReasonCode, Reconnect, Text};
use karere_core::codec::{Ack, Packet};

use crate::asynchronous::run;
use crate::peer::Peer;

#[test]
fn a_lost_session_is_subscribed_to_again_and_the_stream_goes_on() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (mut conn, connect) = peer.welcome(false);
        assert!(connect.clean_start);
        conn.subscribed();
        conn.deliver("a/1", "before", QoS::AtMostOnce, 0);
        drop(conn);
        let (mut conn, connect) = peer.welcome(false);
        assert!(!connect.clean_start, "later connections resume");
        assert_eq!(conn.subscribed().subscriptions[0].filter.as_str(), "a/+");
        conn.deliver("a/2", "after", QoS::AtMostOnce, 0);
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let mut events = client.events();
        let mut stream = client.subscribe(("a/+", QoS::AtLeastOnce)).await.unwrap();
        assert_eq!(stream.recv().await.unwrap().payload(), "before");
        assert_eq!(stream.recv().await.unwrap().payload(), "after");
        assert!(matches!(events.recv().await, Some(Event::Disconnected(Disconnection::Lost(_)))));
        assert!(matches!(events.recv().await, Some(Event::Connected { .. })));
        assert!(matches!(events.recv().await, Some(Event::SessionLost)));
        assert_eq!(client.counters().reconnects, 1);
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn an_unacknowledged_message_is_sent_again_and_its_publish_goes_on_waiting() {
    let peer = Peer::new();
    let options = peer.options().session_expiry(60);
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        let first = conn.publish();
        assert!(!first.dup);
        drop(conn);
        let (mut conn, _) = peer.welcome(true);
        let again = conn.publish();
        assert!(again.dup);
        assert_eq!(again.packet_id, first.packet_id);
        conn.send(&Packet::PubAck(Ack::success(again.packet_id.unwrap())));
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        client.publish(("t", "x", QoS::AtLeastOnce)).await.unwrap();
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn what_was_published_offline_is_sent_in_order() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let deliveries: Vec<_> = (0..50)
        .map(|n| {
            let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            client.publish_nowait(("t", n.to_string(), qos)).unwrap()
        })
        .collect();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        for n in 0..50 {
            assert_eq!(conn.published(), n.to_string());
        }
        conn.goodbye();
    });
    run(async {
        client.start().unwrap();
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn the_offline_queue_is_bounded_and_says_so() {
    let client = Client::new(Peer::new().options().queue_count_max(2));
    assert!(client.publish_nowait(("t", "1", QoS::AtLeastOnce)).is_ok());
    assert!(client.publish_nowait(("t", "2", QoS::AtLeastOnce)).is_ok());
    let full = client.publish_nowait(("t", "3", QoS::AtLeastOnce)).unwrap_err();
    assert!(matches!(full, PublishError::Refused(karere::CorePublishError::Full { count: 2, .. })), "{full}");
}

#[test]
fn waits_grow_while_nobody_answers_and_nobody_is_asked_for_credentials() {
    let peer = Peer::new();
    let port = peer.options().address.port();
    drop(peer);
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = std::sync::Arc::clone(&asked);
    let policy = Reconnect { min: Duration::from_millis(4), max: Duration::from_millis(16), jitter: 0.0 };
    let options = karere::Options::new("127.0.0.1", port).reconnect(policy).credentials_provider(move || {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Credentials { username: Text::new(format!("user {n}")).ok(), password: None }
    });
    run(async {
        let client = Client::new(options);
        let mut events = client.events();
        let since = Instant::now();
        client.start().unwrap();
        let mut waits = Vec::new();
        while waits.len() < 5 {
            if let Some(Event::ConnectFailed { retry_in: Some(wait), .. }) = events.recv().await {
                waits.push(wait);
            }
        }
        assert!(since.elapsed() >= waits.iter().take(4).sum::<Duration>(), "came back too early");
        let millis: Vec<u128> = waits.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [4, 8, 16, 16, 16]);
        client.disconnect().await;
    });
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 0, "only who connects needs them");
}

#[test]
fn a_refusal_after_the_first_connection_is_tried_again_with_new_credentials() {
    let peer = Peer::new();
    let asked = std::sync::atomic::AtomicU32::new(0);
    let options = peer.options().credentials_provider(move || {
        let n = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Credentials { username: Text::new(format!("user {n}")).ok(), password: None }
    });
    let script = peer.script(|peer| {
        let (conn, connect) = peer.welcome(false);
        assert_eq!(connect.username.as_deref(), Some("user 0"));
        drop(conn);
        let mut conn = peer.accept();
        conn.connect();
        conn.connack(false, ReasonCode::NotAuthorized);
        let (conn, connect) = peer.welcome(false);
        assert_eq!(connect.username.as_deref(), Some("user 2"));
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let mut events = client.events();
        let mut refused = 0;
        loop {
            match events.recv().await.unwrap() {
                Event::ConnectFailed { error, .. } => {
                    assert_eq!(error.reason(), Some(ReasonCode::NotAuthorized));
                    refused += 1;
                }
                Event::Connected { .. } => break,
                _ => {}
            }
        }
        assert_eq!(refused, 1);
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn disconnecting_while_it_waits_to_connect_again_ends_it_at_once() {
    let peer = Peer::new();
    let port = peer.options().address.port();
    drop(peer);
    let policy = Reconnect { min: Duration::from_secs(3600), max: Duration::from_secs(3600), jitter: 0.0 };
    run(async {
        let client = Client::new(karere::Options::new("127.0.0.1", port).reconnect(policy));
        let mut events = client.events();
        client.start().unwrap();
        assert!(matches!(events.recv().await, Some(Event::ConnectFailed { .. })));
        client.disconnect().await;
        assert!(events.recv().await.is_none());
        assert!(client.connected().await.is_err());
    });
}

#[test]
fn a_client_can_be_started_again() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        for n in 0..20 {
            let (mut conn, _) = peer.welcome(false);
            assert_eq!(conn.published(), n.to_string());
            conn.goodbye();
        }
    });
    run(async {
        for n in 0..20 {
            client.start().unwrap();
            client.publish(("t", n.to_string(), QoS::AtLeastOnce)).await.unwrap();
            client.disconnect().await;
        }
    });
    script.join().unwrap();
}
