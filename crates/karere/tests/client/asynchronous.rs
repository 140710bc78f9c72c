//! The async client while its connection lasts.

use std::time::Duration;

use karere::{
    Client, ConnectError, Disconnection, Event, Publish, PublishError, QoS, ReasonCode, SubscribeError,
    Version,
};
use karere_core::codec::{Ack, Packet};

use crate::peer::{PATIENCE, Peer};

const MULTI: usize = 2;

/// Runs a test's future, with an end to patience.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(MULTI).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the test hangs") });
}

#[test]
fn connecting_resolves_on_connack_and_disconnecting_once_the_socket_is_closed() {
    let peer = Peer::new();
    let options = peer.options().client_id("ana").unwrap().credentials("user", "secret").unwrap();
    let script = peer.script(|peer| {
        let (conn, connect) = peer.welcome(false);
        conn.goodbye();
        connect
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        assert!(client.is_connected());
        client.disconnect().await;
        assert!(!client.is_connected());
        assert_eq!(client.publish(("t", "late")).await, Err(PublishError::Closed));
    });
    let connect = script.join().unwrap();
    assert_eq!(connect.client_id.as_str(), "ana");
    assert_eq!(connect.username.as_deref(), Some("user"));
    assert_eq!(connect.password.as_deref(), Some(&b"secret"[..]));
}

#[test]
fn every_version_connects() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let peer = Peer::new();
        let options = peer.options().version(version);
        let script = peer.script(|peer| {
            let (conn, connect) = peer.welcome(false);
            conn.goodbye();
            connect.version
        });
        run(async { Client::connect(options).await.unwrap().disconnect().await });
        assert_eq!(script.join().unwrap(), version);
    }
}

#[test]
fn connecting_to_a_dead_port_is_an_error_that_names_it() {
    let options = Peer::new().options();
    let port = options.address.port().to_string();
    run(async {
        let error = Client::connect(options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Network(_)));
        assert!(error.to_string().contains(&port), "{error}");
    });
}

#[test]
fn a_wrong_password_is_an_error_with_the_servers_reason_and_is_not_tried_again() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let mut conn = peer.accept();
        conn.connect();
        conn.connack(false, ReasonCode::BadUserNameOrPassword);
        assert_eq!(conn.rest(), []);
        assert!(peer.is_left_alone(Duration::from_millis(100)));
    });
    run(async {
        let error = Client::connect(options).await.unwrap_err();
        assert_eq!(error.reason(), Some(ReasonCode::BadUserNameOrPassword));
        assert!(error.to_string().contains("Bad User Name or Password"), "{error}");
    });
    script.join().unwrap();
}

#[test]
fn publishing_resolves_on_the_acknowledgement_that_qos_asks_for() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        assert_eq!(conn.publish().message.qos, QoS::AtMostOnce);
        let one = conn.publish().packet_id.unwrap();
        conn.send(&Packet::PubAck(Ack::new(one, ReasonCode::NoMatchingSubscribers)));
        let two = conn.publish().packet_id.unwrap();
        conn.send(&Packet::PubRec(Ack::success(two)));
        assert_eq!(conn.packet(), Packet::PubRel(Ack::success(two)));
        conn.send(&Packet::PubComp(Ack::success(two)));
        let refused = conn.publish().packet_id.unwrap();
        conn.send(&Packet::PubAck(Ack::new(refused, ReasonCode::NotAuthorized)));
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        assert_eq!(client.publish(("t", "0")).await.unwrap().packet_id, None);
        let one = client.publish(("t", "1", QoS::AtLeastOnce)).await.unwrap();
        assert_eq!(one.reason, ReasonCode::NoMatchingSubscribers);
        let two = client.publish(("t", "2", QoS::ExactlyOnce)).await.unwrap();
        assert_eq!(two.packet_id.map(karere::PacketId::get), Some(2));
        let refused = client.publish(("t", "3", QoS::AtLeastOnce)).await.unwrap_err();
        assert!(matches!(refused, PublishError::Rejected { reason: ReasonCode::NotAuthorized, .. }));
        assert!(matches!(client.publish(("a/#", "x")).await, Err(PublishError::Refused(_))));
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn dropping_the_publish_future_does_not_withdraw_the_message() {
    let peer = Peer::new();
    let options = peer.options();
    let (dropped, is_dropped) = std::sync::mpsc::channel();
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        is_dropped.recv().unwrap();
        assert_eq!(conn.published(), "kept");
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let publish = client.publish(("t", "kept", QoS::AtLeastOnce));
        assert!(tokio::time::timeout(Duration::from_millis(1), publish).await.is_err());
        dropped.send(()).unwrap();
        while client.inflight() > 0 {
            tokio::task::yield_now().await;
        }
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn a_delivery_is_a_future_and_a_tracked_qos_0_message_has_one() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| peer.welcome(false).0.rest().len());
    run(async {
        let client = Client::connect(options).await.unwrap();
        let untracked = client.publish_nowait(("t", "x")).unwrap();
        assert!(untracked.is_done() && untracked.packet_id().is_none());
        let tracked = client.publish_nowait(Publish::new("t", "y").tracked(true)).unwrap();
        let packet_id = tracked.packet_id();
        assert!(packet_id.is_some());
        assert_eq!(tracked.await.unwrap().packet_id, packet_id);
        client.disconnect().await;
    });
    assert_eq!(script.join().unwrap(), 3);
}

#[test]
fn a_full_outbox_makes_publishers_wait_and_try_publish_say_so() {
    let peer = Peer::new();
    let options = peer.options().outbox_bytes_max(1_000_000);
    let (go, gone) = std::sync::mpsc::channel();
    let script = peer.script(move |peer| {
        let (conn, _) = peer.welcome(false);
        gone.recv().unwrap(); // reads nothing before
        conn.rest().len()
    });
    let mut sent = 0;
    run(async {
        let client = Client::connect(options).await.unwrap();
        let payload = vec![7; 100_000];
        loop {
            match client.try_publish(("t", &payload)) {
                Ok(_) => sent += 1,
                Err(PublishError::Busy { waiting }) => {
                    assert!(waiting > 1_000_000);
                    // It may only just have been taken: really full is what stays full.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if client.try_publish(("t", &payload)).is_err() {
                        break;
                    }
                    sent += 1;
                }
                Err(error) => panic!("{error}"),
            }
            tokio::task::yield_now().await;
        }
        let waits = client.publish(("t", &payload));
        assert!(tokio::time::timeout(Duration::from_millis(20), waits).await.is_err());
        go.send(()).unwrap();
        client.publish(("t", &payload)).await.unwrap();
        client.disconnect().await;
    });
    assert_eq!(script.join().unwrap(), sent + 2);
}

#[test]
fn twenty_thousand_pipelined_publishes_leave_in_a_hundred_writes() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| peer.welcome(false).0.rest().len());
    run(async {
        let client = Client::connect(options).await.unwrap();
        let before = client.counters().writes;
        let publisher = client.clone();
        let all = async move {
            for _ in 0..20_000 {
                publisher.publish(("iot/home", "0123456789abcdef")).await.unwrap();
            }
        };
        tokio::spawn(all).await.unwrap();
        client.disconnect().await;
        let writes = client.counters().writes - before;
        assert!(writes <= 100, "{writes} writes");
    });
    assert_eq!(script.join().unwrap(), 20_001);
}

#[test]
fn a_subscription_is_a_stream_of_its_own_messages_and_messages_one_of_all() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        conn.subscribed();
        for topic in ["a/1", "b/1", "c/1", "a/2"] {
            conn.deliver(topic, topic, QoS::AtMostOnce, 0);
        }
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let mut all = client.messages();
        let mut a = client.subscribe(("a/+", QoS::AtLeastOnce)).await.unwrap();
        let mut shared = client.subscribe(("$share/group/b/#", QoS::AtMostOnce)).await.unwrap();
        assert_eq!(a.reasons(), [ReasonCode::GrantedQoS1]);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(all.recv().await.unwrap().topic().to_owned());
        }
        assert_eq!(seen, ["a/1", "b/1", "c/1", "a/2"]);
        assert_eq!(a.recv().await.unwrap().payload(), "a/1");
        assert_eq!(a.recv().await.unwrap().payload(), "a/2");
        assert_eq!(shared.recv().await.unwrap().payload(), "b/1");
        assert!(a.try_recv().is_none());
        client.disconnect().await;
        assert!(a.recv().await.is_none() && all.recv().await.is_none());
    });
    script.join().unwrap();
}

#[test]
fn a_refused_subscription_is_an_error_and_a_half_refused_one_is_not() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        for reasons in [vec![ReasonCode::NotAuthorized], vec![ReasonCode::NotAuthorized, ReasonCode::Success]]
        {
            let Packet::Subscribe(subscribe) = conn.packet() else { panic!("no SUBSCRIBE") };
            conn.suback(subscribe.packet_id, reasons);
        }
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let refused = client.subscribe("secret").await.unwrap_err();
        assert!(matches!(refused, SubscribeError::Rejected { .. }), "{refused:?}");
        let half = client.subscribe([("secret", QoS::AtMostOnce), ("open", QoS::AtMostOnce)]).await.unwrap();
        assert_eq!(half.reasons(), [ReasonCode::NotAuthorized, ReasonCode::Success]);
        assert!(matches!(client.subscribe("a/#/b").await, Err(SubscribeError::Refused(_))));
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn publishing_from_inside_a_message_handler_never_deadlocks() {
    const COUNT: usize = 1_000;
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        for n in 0..COUNT {
            conn.deliver("ask", &n.to_string(), QoS::AtLeastOnce, n as u16 + 1);
        }
        let (mut acknowledged, mut answers) = (0, 0);
        while answers < COUNT || acknowledged < COUNT {
            match conn.packet() {
                Packet::Publish(publish) => {
                    answers += 1;
                    conn.send(&Packet::PubAck(Ack::success(publish.packet_id.unwrap())));
                }
                Packet::PubAck(_) => acknowledged += 1,
                other => panic!("{other:?}"),
            }
        }
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options.receive_maximum(COUNT as u16)).await.unwrap();
        let mut asked = client.subscribe(("ask", QoS::AtLeastOnce)).await.unwrap();
        for n in 0..COUNT {
            let message = asked.recv().await.unwrap();
            assert_eq!(message.payload(), &n.to_string());
            client.publish(("answer", message.payload(), QoS::AtLeastOnce)).await.unwrap();
        }
        drop(asked);
        // The last acknowledgement is the driver's to write.
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn disconnecting_wakes_all_who_wait() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (conn, _) = peer.welcome(false);
        conn.rest() // answers nothing
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let mut messages = client.messages();
        let publishing = client.publish_nowait(("t", "x", QoS::ExactlyOnce)).unwrap();
        let other = client.clone();
        let subscribing = tokio::spawn(async move { other.subscribe("t").await.map(drop) });
        let reading = tokio::spawn(async move { messages.recv().await.is_none() });
        while client.counters().writes < 2 {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        client.disconnect().await;
        assert_eq!(publishing.await, Err(PublishError::Closed));
        assert_eq!(subscribing.await.unwrap(), Err(SubscribeError::Closed));
        assert!(reading.await.unwrap());
    });
    script.join().unwrap();
}

#[test]
fn dropping_the_last_handle_says_goodbye() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        assert_eq!(conn.published(), "last words");
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        client.publish(("t", "last words")).await.unwrap();
        drop(client);
        tokio::task::spawn_blocking(|| script.join().unwrap()).await.unwrap();
    });
}

#[test]
fn events_tell_of_the_connection_and_its_packets() {
    let peer = Peer::new();
    let options = peer.options().trace(true);
    let script = peer.script(|peer| peer.welcome(false).0.goodbye());
    run(async {
        let client = Client::new(options);
        let mut events = client.events();
        client.start().unwrap();
        assert!(matches!(client.start(), Err(ConnectError::Running)));
        client.connected().await.unwrap();
        client.disconnect().await;
        let mut seen = Vec::new();
        while let Some(event) = events.recv().await {
            seen.push(match event {
                Event::Trace(trace) => trace.packet.name().to_owned(),
                Event::Connected { .. } => "connected".into(),
                Event::Disconnected(Disconnection::Requested) => "disconnected".into(),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(seen, ["CONNECT", "CONNACK", "connected", "DISCONNECT", "disconnected"]);
    });
    script.join().unwrap();
}

#[test]
fn what_the_server_said_last_is_told_though_a_write_finds_the_connection_reset() {
    let peer = Peer::new();
    let options = peer.options();
    let (closed, gone) = std::sync::mpsc::channel();
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.wait_for_bytes();
        conn.send(&Packet::Disconnect(karere::Disconnect::new(ReasonCode::ServerShuttingDown)));
        // With bytes that it has not read: that resets the connection.
        drop(conn);
        closed.send(()).unwrap();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(options).await.unwrap();
        let mut events = client.events();
        client.publish(("t", "1")).await.unwrap();
        tokio::task::yield_now().await;
        // On this thread the client does nothing meanwhile: it will write before it knows that there is something to read.
        gone.recv_timeout(PATIENCE).unwrap();
        client.publish(("t", "2")).await.unwrap();
        let why = loop {
            if let Some(Event::Disconnected(why)) = events.recv().await {
                break why;
            }
        };
        assert!(matches!(why, Disconnection::ByServer(_)), "{why}");
    });
    script.join().unwrap();
}
