//! CONNECT, CONNACK, AUTH.

use super::*;
use crate::codec::Will;

const METHOD: Property<'static> = Property::AuthenticationMethod("SCRAM");

#[test]
fn connect_says_what_the_options_say() {
    let will = Will { message: message("w", "gone", QOS1), delay: 7 };
    let options = Options {
        client_id: text("me"),
        clean_start: false,
        session_expiry: 100,
        keep_alive: 17,
        receive_maximum: 9,
        maximum_packet_size: 5000,
        topic_alias_maximum: 3,
        will: Some(will.clone()),
        properties: properties([Property::UserProperty("a", "b"), Property::ReceiveMaximum(1), METHOD]),
        ..Options::default()
    };
    let connect = Bench::new(options).open();
    assert_eq!((connect.client_id.as_str(), connect.keep_alive), ("me", 17));
    assert!(!connect.clean_start);
    assert_eq!(connect.will, Some(will));
    let said = &connect.properties;
    assert_eq!(said.session_expiry_interval(), Some(100));
    assert_eq!(said.receive_maximum(), Some(9), "the field, not what stands among the other properties");
    assert_eq!(said.maximum_packet_size(), Some(5000));
    assert_eq!(said.topic_alias_maximum(), Some(3));
    assert_eq!(said.user_properties().collect::<Vec<_>>(), [("a", "b")]);
    assert_eq!(said.authentication_method(), Some("SCRAM"));
}

#[test]
fn connect_leaves_out_what_the_protocol_assumes_without_it() {
    let options = Options {
        receive_maximum: u16::MAX,
        topic_alias_maximum: 0,
        session_expiry: 0,
        ..Options::default()
    };
    let said = Bench::new(options).open().properties;
    assert_eq!(said.receive_maximum(), None);
    assert_eq!(said.topic_alias_maximum(), None);
    assert_eq!(said.session_expiry_interval(), None);
}

#[test]
fn connect_on_version_3_has_no_properties() {
    for version in [Version::V31, Version::V311] {
        let properties = properties([Property::UserProperty("a", "b")]);
        let connect = Bench::new(Options { properties, ..lasting(version) }).open();
        assert_eq!(connect.version, version);
        assert!(connect.properties.is_empty());
    }
}

#[test]
fn credentials_are_those_of_this_connect() {
    let mut bench = Bench::new(Options::default());
    for name in ["first", "second"] {
        let credentials = Credentials { username: Some(text(name)), password: Some(name.as_bytes().into()) };
        bench.client.handle_open(bench.now, credentials);
        let Packet::Connect(connect) = bench.sent().remove(0) else { panic!("no CONNECT") };
        assert_eq!(connect.username, Some(text(name)));
        assert_eq!(connect.password.as_deref(), Some(name.as_bytes()));
        bench.client.handle_closed(bench.now);
    }
}

#[test]
fn nothing_is_sent_before_connack_and_all_of_it_then() {
    let mut bench = Bench::new(Options::default());
    bench.send("offline", QOS1);
    bench.open();
    bench.send("opening", QOS2);
    bench.publish("opening", QOS0).unwrap();
    bench.subscribe(&["f"]).unwrap();
    assert!(bench.sent().is_empty());
    assert!(!bench.client.is_connected());
    bench.connack(false, Properties::EMPTY).unwrap();
    assert_eq!(
        bench.lines(),
        ["SUBSCRIBE 3 f", "PUBLISH 1 q1 t=offline", "PUBLISH 2 q2 t=opening", "PUBLISH q0 t=opening"]
    );
}

#[test]
fn a_packet_before_connack_is_a_protocol_error_and_nothing_is_said_to_it() {
    for packet in [publish(0, "t", "x", QOS0), puback(1), Packet::PingResp] {
        let mut bench = Bench::new(Options::default());
        bench.open();
        assert_eq!(bench.feed(packet).unwrap_err().reason_code(), ReasonCode::ProtocolError);
        assert!(bench.sent().is_empty());
        assert!(!bench.client.is_connected());
    }
}

#[test]
fn a_refusal_ends_the_connection_and_says_why() {
    let mut bench = Bench::new(Options::default());
    bench.open();
    let reason = ReasonCode::NotAuthorized;
    let refusal = ConnAck { session_present: false, reason, properties: Properties::EMPTY };
    bench.feed(Packet::ConnAck(refusal.into())).unwrap();
    assert_eq!(bench.happened(), ["refused 0x87"]);
    assert!(!bench.client.is_connected());
    bench.send("waits", QOS1);
    assert!(bench.sent().is_empty());
}

#[test]
fn a_second_connack_is_a_protocol_error() {
    let mut bench = Bench::connected(Options::default());
    assert!(bench.connack(false, Properties::EMPTY).is_err());
    assert_eq!(bench.lines(), ["DISCONNECT 0x82"]);
}

#[test]
fn a_session_that_was_not_to_be_there_ends_the_connection() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::new(Options { version, clean_start: true, ..Options::default() });
        assert!(bench.open().clean_start);
        assert!(bench.connack(true, Properties::EMPTY).is_err(), "[MQTT-3.2.2-4]");
        assert!(bench.happened().is_empty());
    }
}

#[test]
fn what_connect_said_decides_about_session_present_and_not_what_the_options_say_since() {
    let mut bench = Bench::new(lasting(Version::V5));
    assert!(!bench.open().clean_start);
    bench.client.set_options(Options { clean_start: true, ..lasting(Version::V5) });
    bench.connack(true, Properties::EMPTY).unwrap();
}

#[test]
fn new_options_do_not_change_the_language_of_a_connection_that_is_open() {
    let mut bench = Bench::connected(lasting(Version::V311));
    bench.client.set_options(lasting(Version::V5));
    bench.send("x", QOS1);
    let bytes = drain(bench.client.poll_transmit());
    assert_eq!(show_all(&decode(Version::V311, bytes)), ["PUBLISH 1 q1 t=x"]);
    bench.client.handle_closed(bench.now);
    assert_eq!(bench.open().version, Version::V5);
}

#[test]
fn only_the_first_connection_of_version_5_starts_clean() {
    let mut bench = Bench::connected(Options::default());
    bench.client.handle_closed(bench.now);
    assert!(!bench.open().clean_start);
}

#[test]
fn every_connection_of_version_3_says_what_the_options_say() {
    let options = Options { version: Version::V311, ..Options::default() };
    let mut bench = Bench::connected(options);
    bench.client.handle_closed(bench.now);
    assert!(bench.open().clean_start);
}

#[test]
fn a_first_connection_that_never_saw_connack_may_start_clean_once_more() {
    let mut bench = Bench::new(Options::default());
    assert!(bench.open().clean_start);
    bench.client.handle_closed(bench.now);
    assert!(bench.open().clean_start);
}

#[test]
fn the_identifier_that_the_server_assigned_is_used_from_then_on() {
    let mut bench = Bench::new(Options::default());
    assert_eq!(bench.open().client_id.as_str(), "");
    bench.connack(false, properties([Property::AssignedClientIdentifier("auto-7")])).unwrap();
    assert_eq!(bench.happened(), ["connected as auto-7"]);
    bench.client.handle_closed(bench.now);
    assert_eq!(bench.open().client_id.as_str(), "auto-7");
}

#[test]
fn an_identifier_of_ones_own_takes_the_place_of_the_assigned_one() {
    let mut bench =
        Bench::connected_to(Options::default(), properties([Property::AssignedClientIdentifier("auto-7")]));
    bench.client.set_options(Options { client_id: text("mine"), ..Options::default() });
    bench.client.handle_closed(bench.now);
    assert_eq!(bench.open().client_id.as_str(), "mine");
}

#[test]
fn authentication_goes_back_and_forth_before_connack_and_may_begin_again_after_it() {
    let mut bench = Bench::new(Options { properties: properties([METHOD]), ..Options::default() });
    bench.open();
    let auth = |reason| Auth { reason, properties: properties([METHOD]) };
    bench.feed(Packet::Auth(auth(ReasonCode::ContinueAuthentication))).unwrap();
    assert_eq!(bench.happened(), ["auth Continue authentication (0x18)"]);
    bench.client.authenticate(bench.now, &auth(ReasonCode::ContinueAuthentication));
    assert_eq!(bench.lines(), ["AUTH 0x18"]);
    bench.connack(false, Properties::EMPTY).unwrap();
    bench.client.authenticate(bench.now, &auth(ReasonCode::ReAuthenticate));
    assert_eq!(bench.lines(), ["AUTH 0x19"]);
    bench.events();
    bench.feed(Packet::Auth(auth(ReasonCode::Success))).unwrap();
    assert_eq!(bench.happened(), ["auth Success (0x00)"]);
}

#[test]
fn auth_with_another_method_or_without_one_in_connect_is_a_protocol_error() {
    let other = Auth {
        reason: ReasonCode::ContinueAuthentication,
        properties: properties([Property::AuthenticationMethod("OTHER")]),
    };
    for mine in [Properties::EMPTY, properties([METHOD])] {
        let mut bench = Bench::connected(Options { properties: mine, ..Options::default() });
        assert!(bench.feed(Packet::Auth(other.clone())).is_err());
        assert_eq!(bench.lines(), ["DISCONNECT 0x82"]);
    }
}

#[test]
fn a_server_that_never_says_connack_is_given_up() {
    let mut bench = Bench::new(Options { connack_millis_max: 500, ..Options::default() });
    bench.open();
    assert_eq!(bench.client.poll_timeout(), Some(bench.now.plus_millis(500)));
    let now = bench.after_millis(499).now;
    bench.client.handle_timeout(now).unwrap();
    let now = bench.after_millis(1).now;
    assert!(bench.client.handle_timeout(now).is_err());
}

#[test]
fn bytes_that_are_no_packet_end_the_connection_with_0x81_said_once() {
    let mut bench = Bench::connected(Options::default());
    for _ in 0..2 {
        let mut input = BytesMut::from(&[0xF0, 0x80, 0x80, 0x80, 0x80, 0x01][..]);
        let error = bench.client.handle_input(bench.now, &mut input).unwrap_err();
        assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
    }
    assert_eq!(bench.lines(), ["DISCONNECT 0x81"]);
}

#[test]
fn a_packet_larger_than_announced_is_refused_by_its_header_alone() {
    let mut bench = Bench::connected(Options { maximum_packet_size: 100, ..Options::default() });
    let mut input = BytesMut::from(&[0x30, 99][..]);
    assert_eq!(bench.client.handle_input(bench.now, &mut input).unwrap_err().reason_code().as_u8(), 0x95);
    assert_eq!(bench.lines(), ["DISCONNECT 0x95"]);
}

#[test]
fn packets_that_only_a_client_sends_are_protocol_errors() {
    for packet in [Packet::PingReq, subscribe(1, &[("f", QOS0)]), unsubscribe(1, &["f"])] {
        let mut bench = Bench::connected(Options::default());
        assert_eq!(bench.feed(packet).unwrap_err().reason_code(), ReasonCode::ProtocolError);
        assert_eq!(bench.lines(), ["DISCONNECT 0x82"]);
    }
}

#[test]
fn a_server_that_takes_no_acknowledgement_cannot_be_talked_to() {
    for (size, taken) in [(1, false), (4, false), (5, true)] {
        let mut bench = Bench::new(lasting(Version::V5));
        bench.open();
        assert_eq!(bench.connack(false, properties([Property::MaximumPacketSize(size)])).is_ok(), taken);
        assert!(bench.lines().iter().all(|line| taken || line.starts_with("CONNECT")));
    }
}
