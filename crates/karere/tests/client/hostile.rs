//! A hostile server: row 124 of the catalogue of what has brought clients down.
//!
//! Each attack meets the blocking and the async client. Either goes with the right reason; the async one comes back to
//! a server that behaves, and is as well as before.

use std::time::{Duration, Instant};

use karere::blocking::LoopError;
use karere::{
    Client, ConnectError, Disconnection, Event, Options, Properties, Property, PublishError, QoS, ReasonCode,
};
use karere_core::codec::Packet;

use crate::asynchronous::run;
use crate::peer::{Conn, PATIENCE, Peer};

/// What is done to a client that is connected.
type Attack = fn(&mut Conn);

/// The connection of an async client ends with `reason`; the next one is as good as any.
fn ends_async(options: fn(Options) -> Options, attack: Attack, reason: ReasonCode) {
    let peer = Peer::new();
    let client = Client::new(options(peer.options()));
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        attack(&mut conn);
        let last = conn.rest().pop();
        let (mut conn, _) = peer.welcome(false);
        conn.deliver("t", "well", QoS::AtMostOnce, 0);
        conn.goodbye();
        last
    });
    run(async {
        let (mut events, mut messages) = (client.events(), client.messages());
        client.start().unwrap();
        let why = loop {
            if let Some(Event::Disconnected(why)) = events.recv().await {
                break why;
            }
        };
        assert!(matches!(why, Disconnection::Error(_)), "{why}");
        assert_eq!(why.reason(), reason);
        while messages.recv().await.unwrap().payload() != "well" {}
        client.disconnect().await;
    });
    expect_told(script.join().unwrap(), reason);
}

/// The connection of a blocking client ends with `reason`.
fn ends_blocking(options: fn(Options) -> Options, attack: Attack, reason: ReasonCode) {
    let peer = Peer::new();
    let client = karere::blocking::Client::new(options(peer.options()));
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        attack(&mut conn);
        conn.rest().pop()
    });
    client.connect().unwrap();
    let end = loop {
        if let Err(end) = client.loop_once(PATIENCE) {
            break end;
        }
    };
    let LoopError::Lost(why) = end else { panic!("{end}") };
    assert_eq!(why.reason(), reason, "{why}");
    expect_told(script.join().unwrap(), reason);
}

/// The server is told, as the last thing.
fn expect_told(last: Option<Packet>, reason: ReasonCode) {
    match last {
        Some(Packet::Disconnect(disconnect)) => assert_eq!(disconnect.reason, reason),
        other => panic!("no DISCONNECT but {other:?}"),
    }
}

fn ends(attack: Attack, reason: ReasonCode) {
    ends_with(|options| options, attack, reason);
}

fn ends_with(options: fn(Options) -> Options, attack: Attack, reason: ReasonCode) {
    ends_async(options, attack, reason);
    ends_blocking(options, attack, reason);
}

/// What comes in place of a right CONNACK makes connecting fail, with this reason.
fn fails(connack: &'static [u8], reason: ReasonCode) {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(move |peer| {
        let mut conn = peer.accept();
        conn.connect();
        conn.send_bytes(connack);
        drop(conn.rest());
    });
    run(async {
        let error = Client::connect(options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Lost(Disconnection::Error(_))), "{error}");
        assert_eq!(error.reason(), Some(reason), "{connack:x?}");
    });
    script.join().unwrap();
}

/// A SUBACK with `codes` reason codes for one filter ends the connection, and the subscription is made on the next.
fn answers_one_filter_with(codes: &'static [u8], reason: ReasonCode) {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        let Packet::Subscribe(subscribe) = conn.packet() else { panic!("no SUBSCRIBE") };
        let [high, low] = subscribe.packet_id.get().to_be_bytes();
        conn.send_bytes(&[&[0x90, 3 + codes.len() as u8, high, low, 0][..], codes].concat());
        expect_told(conn.rest().pop(), reason);
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        conn.deliver("t", "well", QoS::AtMostOnce, 0);
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        let mut stream = client.subscribe(("t", QoS::AtMostOnce)).await.unwrap();
        assert_eq!(stream.recv().await.unwrap().payload(), "well");
        client.disconnect().await;
    });
    script.join().unwrap();
}

#[test]
fn hostile_124_a_suback_without_reason_codes() {
    answers_one_filter_with(&[], ReasonCode::ProtocolError);
}

#[test]
fn hostile_124_a_suback_with_more_reason_codes_than_filters() {
    answers_one_filter_with(&[0, 0], ReasonCode::ProtocolError);
}

#[test]
fn hostile_124_a_connack_whose_properties_end_in_the_middle() {
    let malformed = ReasonCode::MalformedPacket;
    fails(&[0x20, 5, 0, 0, 0x80, 0xFF, 0xFF], malformed);
    fails(&[0x20, 4, 0, 0, 0x80, 0xFF], malformed);
    fails(&[0x20, 3, 0, 0, 0x7F], malformed);
    fails(&[0x20, 7, 0, 0, 4, 0x26, 0, 9, b'k'], malformed);
    fails(&[0x20, 2, 0, 0], malformed);
    fails(&[0x20, 6, 0, 0, 3, 0x21, 0, 0], ReasonCode::ProtocolError);
}

#[test]
fn hostile_124_qos_2_messages_beyond_our_receive_maximum() {
    let storm: Attack = |conn| {
        // The client may have gone before the last of them is written.
        let all: Vec<u8> = (1..=500_u16)
            .flat_map(|id| [&[0x34, 6, 0, 1, b't'][..], &id.to_be_bytes(), &[0]].concat())
            .collect();
        conn.send_bytes(&all);
    };
    ends_with(|options| options.receive_maximum(10), storm, ReasonCode::ReceiveMaximumExceeded);
    ends(
        |conn| {
            for round in 0..3_u16 {
                for id in 1..=1_024 {
                    conn.deliver("t", "x", QoS::ExactlyOnce, round * 1_024 + id);
                }
            }
        },
        ReasonCode::ReceiveMaximumExceeded,
    );
}

#[test]
fn hostile_124_topic_aliases_that_there_are_not() {
    let invalid = ReasonCode::TopicAliasInvalid;
    ends(|conn| conn.send_bytes(&[0x30, 7, 0, 1, b't', 3, 0x23, 0, 17]), invalid);
    ends(|conn| conn.send_bytes(&[0x30, 7, 0, 1, b't', 3, 0x23, 0xFF, 0xFF]), invalid);
    ends(|conn| conn.send_bytes(&[0x30, 7, 0, 1, b't', 3, 0x23, 0, 0]), invalid);
    let none: fn(Options) -> Options = |options| options.topic_alias_maximum(0);
    ends_with(none, |conn| conn.send_bytes(&[0x30, 7, 0, 1, b't', 3, 0x23, 0, 1]), invalid);
    ends(|conn| conn.send_bytes(&[0x30, 6, 0, 0, 3, 0x23, 0, 1]), ReasonCode::ProtocolError);
}

#[test]
fn hostile_124_a_packet_of_256_mb() {
    ends(|conn| conn.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]), ReasonCode::PacketTooLarge);
    let small: fn(Options) -> Options = |options| options.maximum_packet_size(1_000);
    ends_with(small, |conn| conn.send_bytes(&[0x30, 0xE6, 0x07]), ReasonCode::PacketTooLarge);
    ends(|conn| conn.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]), ReasonCode::MalformedPacket);
    fails(&[0x20, 0xFF, 0xFF, 0xFF, 0x7F], ReasonCode::PacketTooLarge);
}

#[test]
fn hostile_124_a_session_present_that_there_is_not() {
    fails(&[0x20, 3, 1, 0, 0], ReasonCode::ProtocolError);
    // Reserved flags.
    fails(&[0x20, 3, 2, 0, 0], ReasonCode::MalformedPacket);
}

#[test]
fn hostile_124_a_pingreq_that_is_never_answered() {
    let started = Instant::now();
    // It reads all that comes, and says nothing.
    ends_with(|options| options.keep_alive(1), |_| {}, ReasonCode::KeepAliveTimeout);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn hostile_124_packets_that_a_client_does_not_get() {
    let error = ReasonCode::ProtocolError;
    let attacks: [Attack; 4] = [
        |conn| conn.send_bytes(&[0x20, 3, 0, 0, 0]),
        |conn| conn.send_bytes(&[0x82, 7, 0, 1, 0, 0, 1, b'a', 0]),
        |conn| conn.send_bytes(&[0xA2, 6, 0, 1, 0, 0, 1, b'a']),
        |conn| conn.send_bytes(&[0xC0, 0]),
    ];
    for attack in attacks {
        ends(attack, error);
    }
    ends(|conn| conn.send_bytes(&[0x00, 0]), ReasonCode::MalformedPacket);
    ends(|conn| conn.send_bytes(&[0x30, 4, 0, 1, 0, 0]), ReasonCode::MalformedPacket);
    ends(|conn| conn.send_bytes(&[0x30, 4, 0, 1, b'#', 0]), ReasonCode::TopicNameInvalid);
}

#[test]
fn hostile_124_strings_of_ours_that_are_too_long() {
    let long = "x".repeat(65_536);
    let fits = &long[..65_535];
    let peer = Peer::new();
    let options = peer.options();
    assert!(options.clone().client_id(&long).is_err() && options.clone().client_id(fits).is_ok());
    assert!(
        options.clone().credentials(&long, "p").is_err() && options.clone().credentials(fits, "p").is_ok()
    );
    assert!(Properties::from_properties([Property::UserProperty("k", &long)]).is_err());
    assert!(Properties::from_properties([Property::UserProperty("k", fits)]).is_ok());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        assert_eq!(conn.published(), "the only one");
        conn.goodbye();
    });
    run(async {
        let client = Client::connect(options).await.unwrap();
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let refused = client.publish((long.as_str(), "x", qos)).await.unwrap_err();
            assert!(matches!(refused, PublishError::Refused(_)), "{refused}");
        }
        assert!(client.subscribe((long.as_str(), QoS::AtMostOnce)).await.is_err());
        assert!(client.unsubscribe(long.as_str()).await.is_err());
        client.publish((fits, "the only one", QoS::AtLeastOnce)).await.unwrap();
        client.disconnect().await;
    });
    script.join().unwrap();
}
