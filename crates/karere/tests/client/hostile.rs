//! A hostile server: row 124 of the catalogue of what has brought clients down.
//!
//! Each attack meets the blocking and the async client. Either goes with the right reason, and says so; the async one
//! comes back to a server that behaves, and is as well as before. The watch of the broker's hostile tests sees that a
//! client of another server is served meanwhile, and that what the attack took comes back.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use karere::blocking::{self, LoopError};
use karere::{
    Client, ConnectError, Disconnection, Event, Options, Properties, Property, PublishError, QoS, ReasonCode,
    Subscription,
};
use karere_broker::Broker;
use karere_core::codec::Packet;

use crate::asynchronous::run;
use crate::peer::{Conn, PATIENCE, Peer};

#[path = "../../../karere-broker/tests/broker/hostile/watch.rs"]
mod watch;

/// What is done to a client that is connected.
type Attack = fn(&mut Conn);

/// A client of a broker that behaves, which hears what it says itself.
struct Singer {
    client: Client,
    heard: Subscription,
    sung: u64,
}

impl watch::Canary for Singer {
    async fn sing(&mut self) {
        self.sung += 1;
        let song = self.sung.to_string();
        self.client.publish(("canary", song.clone())).await.unwrap();
        assert_eq!(self.heard.recv().await.unwrap().payload(), song.as_str());
    }
}

/// Attacks clients of this process while another one sings.
fn hostile(attack: impl AsyncFn()) {
    run(async {
        let broker = Broker::builder().listen("127.0.0.1:0").start().await.unwrap();
        let port = broker.local_addrs()[0].port();
        let client = Client::connect(Options::new("127.0.0.1", port)).await.unwrap();
        let heard = client.subscribe(("canary", QoS::AtMostOnce)).await.unwrap();
        let attack = || -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> { Box::pin(attack()) };
        watch::under_watch(Singer { client, heard, sung: 0 }, &attack, &|| None).await;
    });
}

async fn ended<R: Send + 'static>(script: JoinHandle<R>) -> R {
    tokio::task::spawn_blocking(move || script.join().unwrap()).await.unwrap()
}

/// The connection of an async client ends with `reason`; the next one is as good as any.
async fn ends_async(options: fn(Options) -> Options, attack: Attack, reason: ReasonCode) {
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
    expect_told(ended(script).await, reason);
}

/// The connection of a blocking client ends with `reason`.
fn ends_blocking(options: fn(Options) -> Options, attack: Attack, reason: ReasonCode) {
    let peer = Peer::new();
    let client = blocking::Client::new(options(peer.options()));
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

/// The server is told, as the last thing; of its silence only that something is wrong, because Keep Alive timeout is
/// for servers to say (section 3.14.2.1).
fn expect_told(last: Option<Packet>, reason: ReasonCode) {
    let reason = if reason == ReasonCode::KeepAliveTimeout { ReasonCode::UnspecifiedError } else { reason };
    match last {
        Some(Packet::Disconnect(disconnect)) => assert_eq!(disconnect.reason, reason),
        other => panic!("no DISCONNECT but {other:?}"),
    }
}

async fn ends(attack: Attack, reason: ReasonCode) {
    ends_with(|options| options, attack, reason).await;
}

async fn ends_with(options: fn(Options) -> Options, attack: Attack, reason: ReasonCode) {
    let blocking = tokio::task::spawn_blocking(move || ends_blocking(options, attack, reason));
    ends_async(options, attack, reason).await;
    blocking.await.unwrap();
}

/// What comes in place of a right CONNACK makes connecting fail, with this reason.
async fn fails(connack: &'static [u8], reason: ReasonCode) {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(move |peer| {
        let mut conn = peer.accept();
        conn.connect();
        conn.send_bytes(connack);
        drop(conn.rest());
    });
    let error = Client::connect(options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Lost(Disconnection::Error(_))), "{error}");
    assert_eq!(error.reason(), Some(reason), "{connack:x?}");
    ended(script).await;
}

/// A SUBACK with `codes` reason codes for one filter ends the connection, and the subscription is made on the next.
async fn answers_one_filter_with(codes: &'static [u8], reason: ReasonCode) {
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
    let client = Client::connect(options).await.unwrap();
    let mut stream = client.subscribe(("t", QoS::AtMostOnce)).await.unwrap();
    assert_eq!(stream.recv().await.unwrap().payload(), "well");
    client.disconnect().await;
    ended(script).await;
}

#[test]
fn hostile_124_a_suback_with_fewer_or_more_reason_codes_than_filters() {
    hostile(async || {
        answers_one_filter_with(&[], ReasonCode::ProtocolError).await;
        answers_one_filter_with(&[0, 0], ReasonCode::ProtocolError).await;
    });
}

#[test]
fn hostile_124_a_connack_whose_properties_end_in_the_middle() {
    let malformed = ReasonCode::MalformedPacket;
    hostile(async || {
        fails(&[0x20, 5, 0, 0, 0x80, 0xFF, 0xFF], malformed).await;
        fails(&[0x20, 4, 0, 0, 0x80, 0xFF], malformed).await;
        fails(&[0x20, 3, 0, 0, 0x7F], malformed).await;
        fails(&[0x20, 7, 0, 0, 4, 0x26, 0, 9, b'k'], malformed).await;
        fails(&[0x20, 2, 0, 0], malformed).await;
        // A Receive Maximum of 0.
        fails(&[0x20, 6, 0, 0, 3, 0x21, 0, 0], ReasonCode::ProtocolError).await;
    });
}

#[test]
fn hostile_124_qos_2_messages_beyond_our_receive_maximum() {
    // In one write: the client has gone before it has read them all.
    let storm: Attack = |conn| {
        let one = |id: u16| [&[0x34, 6, 0, 1, b't'][..], &id.to_be_bytes(), &[0]].concat();
        conn.send_bytes(&(1..=3_000).flat_map(one).collect::<Vec<u8>>());
    };
    let exceeded = ReasonCode::ReceiveMaximumExceeded;
    hostile(async || {
        ends_with(|options| options.receive_maximum(10), storm, exceeded).await;
        ends(storm, exceeded).await;
    });
}

#[test]
fn hostile_124_topic_aliases_that_there_are_not() {
    let invalid = ReasonCode::TopicAliasInvalid;
    let none: fn(Options) -> Options = |options| options.topic_alias_maximum(0);
    hostile(async || {
        ends(|conn| conn.send_bytes(&[0x30, 7, 0, 1, b't', 3, 0x23, 0, 17]), invalid).await;
        ends(|conn| conn.send_bytes(&[0x30, 7, 0, 1, b't', 3, 0x23, 0xFF, 0xFF]), invalid).await;
        ends(|conn| conn.send_bytes(&[0x30, 7, 0, 1, b't', 3, 0x23, 0, 0]), invalid).await;
        ends_with(none, |conn| conn.send_bytes(&[0x30, 7, 0, 1, b't', 3, 0x23, 0, 1]), invalid).await;
        // One that was never set, of those that there may be.
        ends(|conn| conn.send_bytes(&[0x30, 6, 0, 0, 3, 0x23, 0, 1]), ReasonCode::ProtocolError).await;
    });
}

#[test]
fn hostile_124_a_packet_of_256_mb() {
    let small: fn(Options) -> Options = |options| options.maximum_packet_size(1_000);
    let too_large = ReasonCode::PacketTooLarge;
    hostile(async || {
        ends(|conn| conn.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]), too_large).await;
        ends_with(small, |conn| conn.send_bytes(&[0x30, 0xE6, 0x07]), too_large).await;
        ends(|conn| conn.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]), ReasonCode::MalformedPacket).await;
        fails(&[0x20, 0xFF, 0xFF, 0xFF, 0x7F], too_large).await;
    });
}

/// Memory grows with what has come, not with what was announced, however large a packet the client would take.
#[test]
fn hostile_124_a_packet_that_is_announced_and_does_not_come() {
    hostile(async || {
        let peer = Peer::new();
        let options = peer.options().maximum_packet_size(u32::MAX);
        let before = watch::live_bytes();
        let script = peer.script(move |peer| {
            let (mut conn, _) = peer.welcome(false);
            conn.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b't', 0]);
            // More than two socket buffers hold.
            for _ in 0..16 {
                conn.send_bytes(&vec![b'x'; 1024 * 1024]);
                watch::assert_held(before, 40 * 1024 * 1024);
            }
            drop(conn);
            let (mut conn, _) = peer.welcome(false);
            conn.deliver("t", "well", QoS::AtMostOnce, 0);
            conn.goodbye();
        });
        let client = Client::new(options);
        let mut messages = client.messages();
        client.start().unwrap();
        assert_eq!(messages.recv().await.unwrap().payload(), "well");
        client.disconnect().await;
        ended(script).await;
    });
}

#[test]
fn hostile_124_a_session_present_that_there_is_not() {
    hostile(async || {
        fails(&[0x20, 3, 1, 0, 0], ReasonCode::ProtocolError).await; // [MQTT-3.2.2-4]
        // Reserved flags. [MQTT-3.2.2-1]
        fails(&[0x20, 3, 2, 0, 0], ReasonCode::MalformedPacket).await;
    });
}

#[test]
fn hostile_124_a_pingreq_that_is_never_answered() {
    hostile(async || {
        let started = Instant::now();
        // It reads all that comes, and says nothing.
        ends_with(|options| options.keep_alive(1), |_| {}, ReasonCode::KeepAliveTimeout).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    });
}

#[test]
fn hostile_124_packets_that_a_client_does_not_get() {
    let (error, malformed) = (ReasonCode::ProtocolError, ReasonCode::MalformedPacket);
    hostile(async || {
        ends(|conn| conn.send_bytes(&[0x20, 3, 0, 0, 0]), error).await;
        ends(|conn| conn.send_bytes(&[0x82, 7, 0, 1, 0, 0, 1, b'a', 0]), error).await;
        ends(|conn| conn.send_bytes(&[0xA2, 6, 0, 1, 0, 0, 1, b'a']), error).await;
        ends(|conn| conn.send_bytes(&[0xC0, 0]), error).await;
        ends(|conn| conn.send_bytes(&[0x00, 0]), malformed).await;
        ends(|conn| conn.send_bytes(&[0x30, 4, 0, 1, 0, 0]), malformed).await;
        ends(|conn| conn.send_bytes(&[0x30, 4, 0, 1, b'#', 0]), ReasonCode::TopicNameInvalid).await;
    });
}

#[test]
fn hostile_124_strings_of_ours_that_are_too_long() {
    let long = "x".repeat(65_536);
    let fits = &long[..65_535];
    let options = Peer::new().options();
    assert!(options.clone().client_id(&long).is_err() && options.clone().client_id(fits).is_ok());
    assert!(options.clone().credentials(&long, "p").is_err() && options.credentials(fits, "p").is_ok());
    assert!(Properties::from_properties([Property::UserProperty("k", &long)]).is_err());
    assert!(Properties::from_properties([Property::UserProperty("k", fits)]).is_ok());
    hostile(async || {
        let peer = Peer::new();
        let options = peer.options();
        let script = peer.script(|peer| {
            let (mut conn, _) = peer.welcome(false);
            assert_eq!(conn.published(), "the only one");
            conn.goodbye();
        });
        let client = Client::connect(options).await.unwrap();
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let refused = client.publish((long.as_str(), "x", qos)).await.unwrap_err();
            assert!(matches!(refused, PublishError::Refused(_)), "{refused}");
        }
        assert!(client.subscribe((long.as_str(), QoS::AtMostOnce)).await.is_err());
        assert!(client.unsubscribe(long.as_str()).await.is_err());
        client.publish((fits, "the only one", QoS::AtLeastOnce)).await.unwrap();
        client.disconnect().await;
        ended(script).await;
    });
}
