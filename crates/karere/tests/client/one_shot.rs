//! publish::single and its like.

use karere::{Error, PublishError, QoS, ReasonCode, SubscribeError};
use karere_core::codec::{Ack, Packet};

use crate::peer::Peer;

#[test]
fn single_and_multiple_publish_in_order_and_say_goodbye() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        assert_eq!(conn.published(), "alone");
        conn.goodbye();
        let (mut conn, _) = peer.welcome(false);
        for n in 0..200 {
            assert_eq!(conn.published(), n.to_string());
        }
        conn.goodbye();
    });
    karere::publish::single(options.clone(), ("t", "alone")).unwrap();
    let payloads: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let messages = payloads.iter().map(|payload| ("t", payload, QoS::AtLeastOnce));
    karere::publish::multiple(options.queue_count_max(10).inflight_max(5), messages).unwrap();
    script.join().unwrap();
}

#[test]
fn a_refused_connection_and_a_refused_message_are_errors() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let mut conn = peer.accept();
        conn.connect();
        conn.connack(false, ReasonCode::Banned);
        drop(conn.rest());
        let (mut conn, _) = peer.welcome(false);
        let packet_id = conn.publish().packet_id.unwrap();
        conn.send(&Packet::PubAck(Ack::new(packet_id, ReasonCode::QuotaExceeded)));
        conn.goodbye();
    });
    let refused = karere::publish::single(options.clone(), ("t", "x")).unwrap_err();
    assert!(
        matches!(&refused, Error::Connect(error) if error.reason() == Some(ReasonCode::Banned)),
        "{refused}"
    );
    let refused = karere::publish::single(options, ("t", "x", QoS::AtLeastOnce)).unwrap_err();
    let Error::Publish(PublishError::Rejected { reason, .. }) = refused else { panic!("{refused}") };
    assert_eq!(reason, ReasonCode::QuotaExceeded);
    script.join().unwrap();
}

#[test]
fn simple_returns_the_first_messages() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        for n in 1..=5 {
            conn.deliver("t", &n.to_string(), QoS::AtLeastOnce, n);
        }
        drop(conn.rest());
    });
    let first = karere::subscribe::simple(options, ("t", QoS::AtLeastOnce), 3).unwrap();
    let payloads: Vec<_> = first.iter().map(|received| &received.message.payload[..]).collect();
    assert_eq!(payloads, [b"1", b"2", b"3"]);
    script.join().unwrap();
}

#[test]
fn callback_calls_until_told_to_stop_and_fails_when_the_server_refuses() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        conn.deliver("t", "more", QoS::AtMostOnce, 0);
        conn.deliver("t", "stop", QoS::AtMostOnce, 0);
        conn.goodbye();
        let (mut conn, _) = peer.welcome(false);
        let Packet::Subscribe(subscribe) = conn.packet() else { panic!("no SUBSCRIBE") };
        conn.suback(subscribe.packet_id, vec![ReasonCode::NotAuthorized]);
        conn.goodbye();
    });
    let (sender, receiver) = std::sync::mpsc::channel();
    karere::subscribe::callback(options.clone(), "t", move |client, received| {
        sender.send(received.message.payload.clone()).unwrap();
        if received.message.payload == "stop" {
            client.disconnect();
        }
    })
    .unwrap();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["more", "stop"]);
    let refused = karere::subscribe::callback(options, "secret", |_, _| ()).unwrap_err();
    assert!(matches!(refused, Error::Subscribe(SubscribeError::Rejected { .. })), "{refused}");
    script.join().unwrap();
}
