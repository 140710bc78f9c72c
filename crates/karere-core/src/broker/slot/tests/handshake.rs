//! Before the slot: CONNECT accepted or not, and what CONNACK says.

use super::*;
use crate::codec::Auth;

fn handshake(options: Options) -> Handshake {
    Handshake::new(Instant::ZERO, Arc::new(options))
}

fn connect_packet(connect: Connect) -> BytesMut {
    encode(connect.version, &[Packet::Connect(connect.into())])
}

/// What a CONNECT is refused with, and what was said on the wire.
fn refusal(options: Options, connect: Connect) -> (ReasonCode, Vec<String>) {
    let mut handshake = handshake(options);
    let version = connect.version;
    let error = handshake.handle_input(Instant::ZERO, &mut connect_packet(connect)).unwrap_err();
    (error.reason_code(), show_all(&decode(version, drain(handshake.poll_transmit()))))
}

#[test]
fn packets_behind_connect_stay_for_the_slot() {
    let mut bench = Bench::new(Options::default());
    let mut handshake = handshake(Options::default());
    let mut input = connect_packet(passing(Version::V5));
    input.extend_from_slice(&encode(Version::V5, &[publish(1, "t", "early", QOS1), Packet::PingReq]));
    assert!(handshake.handle_input(bench.now, &mut input).unwrap().is_some());
    bench.slot.attach(bench.now, handshake.accept(bench.now, None, &Properties::EMPTY, 1).unwrap());
    bench.slot.handle_input(bench.now, &mut input).unwrap();
    assert_eq!(bench.lines(), ["CONNACK", "PINGRESP"]);
    assert_eq!(bench.happened(), ["publish t=early"]);
    assert!(input.is_empty());
}

#[test]
fn a_connect_in_pieces_is_one_connect() {
    let mut handshake = handshake(Options::default());
    let bytes = connect_packet(with_will(lasting(Version::V5), 3));
    let mut input = BytesMut::new();
    for (at, byte) in bytes.iter().enumerate() {
        input.extend_from_slice(&[*byte]);
        let event = handshake.handle_input(Instant::ZERO, &mut input).unwrap();
        assert_eq!(event.is_some(), at + 1 == bytes.len());
    }
}

#[test]
fn anything_before_connect_ends_the_connection_without_a_word() {
    for packet in [Packet::PingReq, publish(0, "t", "x", QOS0), subscribe(1, &[("f", QOS0)])] {
        let mut handshake = handshake(Options::default());
        let error = handshake.handle_input(Instant::ZERO, &mut encode(Version::V5, &[packet])).unwrap_err();
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError, "[MQTT-3.1.0-1]");
        assert!(handshake.poll_transmit().is_empty());
    }
}

#[test]
fn a_connect_that_is_too_large_is_refused_by_its_header_alone() {
    let mut handshake = handshake(Options { connect_size_max: 100, ..Options::default() });
    let mut input = BytesMut::from(&[0x10, 99][..]);
    let error = handshake.handle_input(Instant::ZERO, &mut input).unwrap_err();
    assert_eq!(error.reason_code(), ReasonCode::PacketTooLarge);
}

#[test]
fn a_client_that_says_nothing_is_given_up() {
    let mut handshake = handshake(Options { handshake_millis_max: 500, ..Options::default() });
    assert_eq!(handshake.poll_timeout(), Some(Instant::from_millis(500)));
    handshake.handle_timeout(Instant::from_millis(499)).unwrap();
    assert!(handshake.handle_timeout(Instant::from_millis(500)).is_err());
}

#[test]
fn an_identifier_is_needed_where_there_is_no_other_way() {
    let invalid = ReasonCode::ClientIdentifierNotValid;
    let nameless = |connect: Connect| Connect { client_id: Text::EMPTY, ..connect };
    for connect in [passing(Version::V31), lasting(Version::V311)] {
        let (reason, said) = refusal(Options::default(), nameless(connect));
        assert_eq!((reason, &said[..]), (invalid, &["CONNACK 0x85".into()][..]), "return code 2");
    }
    let none = || Options { allow_empty_client_id: false, ..Options::default() };
    for connect in [passing(Version::V311), passing(Version::V5)] {
        assert_eq!(refusal(none(), nameless(connect)).0, invalid);
    }
    for connect in [passing(Version::V311), lasting(Version::V5)] {
        let mut handshake = handshake(Options::default());
        let mut input = connect_packet(nameless(connect));
        assert!(handshake.handle_input(Instant::ZERO, &mut input).unwrap().is_some());
    }
    let long = Connect { client_id: text("longer"), ..passing(Version::V5) };
    assert_eq!(refusal(Options { client_id_bytes_max: 5, ..Options::default() }, long).0, invalid);
}

#[test]
fn a_will_that_the_broker_does_not_take_is_refused() {
    let retained = Message { retain: true, ..message("w", "x", QOS0) };
    let retained = Connect { will: Some(Will { message: retained, delay: 0 }), ..passing(Version::V5) };
    let (reason, said) = refusal(Options { retain_available: false, ..Options::default() }, retained);
    assert_eq!((reason, &said[..]), (ReasonCode::RetainNotSupported, &["CONNACK 0x9A".into()][..]));
    let (reason, said) =
        refusal(Options { maximum_qos: QOS0, ..Options::default() }, with_will(passing(Version::V5), 0));
    assert_eq!((reason, &said[..]), (ReasonCode::QoSNotSupported, &["CONNACK 0x9B".into()][..]));
}

#[test]
fn connack_says_what_differs_from_what_the_client_assumes() {
    let options = Options {
        session_expiry_max: 60,
        receive_maximum: 5,
        maximum_qos: QOS1,
        retain_available: false,
        maximum_packet_size: 4000,
        topic_alias_maximum: 3,
        keep_alive_max: 30,
        ..Options::default()
    };
    let mut bench = Bench::new(options);
    bench.attach(Connect { keep_alive: 0, ..lasting(Version::V5) });
    let Packet::ConnAck(connack) = bench.sent().remove(0) else { panic!() };
    let said = &connack.properties;
    assert_eq!(said.session_expiry_interval(), Some(60));
    assert_eq!(said.receive_maximum(), Some(5));
    assert_eq!(said.maximum_qos(), Some(QOS1));
    assert_eq!(said.retain_available(), Some(false));
    assert_eq!(said.maximum_packet_size(), Some(4000));
    assert_eq!(said.topic_alias_maximum(), Some(3));
    assert_eq!(said.server_keep_alive(), Some(30));
    let generous = Options {
        receive_maximum: u16::MAX,
        maximum_packet_size: u32::MAX,
        topic_alias_maximum: 0,
        ..Options::default()
    };
    let mut bench = Bench::new(generous);
    bench.attach(lasting(Version::V5));
    let Packet::ConnAck(connack) = bench.sent().remove(0) else { panic!() };
    assert!(connack.properties.is_empty());
}

#[test]
fn authentication_goes_back_and_forth_before_connack() {
    let method = properties([Property::AuthenticationMethod("SCRAM")]);
    let auth = Auth { reason: ReasonCode::ContinueAuthentication, properties: method.clone() };
    let mut bench = Bench::new(Options::default());
    let mut handshake = handshake(Options::default());
    let connect = Connect { properties: method, ..passing(Version::V5) };
    handshake.handle_input(bench.now, &mut connect_packet(connect)).unwrap();
    assert!(handshake.request_auth(bench.now, &auth));
    assert_eq!(show_all(&decode(Version::V5, drain(handshake.poll_transmit()))), ["AUTH 0x18"]);
    let event = handshake.handle_input(bench.now, &mut encode(Version::V5, &[Packet::Auth(auth)])).unwrap();
    assert!(matches!(event, Some(HandshakeEvent::Auth(_))));
    bench.slot.attach(bench.now, handshake.accept(bench.now, None, &Properties::EMPTY, 1).unwrap());
    let waiting = bench.slot.poll_transmit().unwrap().len();
    assert_eq!(bench.slot.outbox_bytes(), waiting, "what was written before counts no more");
}

#[test]
fn auth_that_nobody_asked_for_and_other_packets_before_connack_are_protocol_errors() {
    let other = properties([Property::AuthenticationMethod("OTHER")]);
    let auth = Packet::Auth(Auth { reason: ReasonCode::ContinueAuthentication, properties: other });
    for packet in [auth, Packet::PingReq] {
        let mut handshake = handshake(Options::default());
        handshake.handle_input(Instant::ZERO, &mut connect_packet(passing(Version::V5))).unwrap();
        assert!(handshake.handle_input(Instant::ZERO, &mut encode(Version::V5, &[packet])).is_err());
        assert_eq!(show_all(&decode(Version::V5, drain(handshake.poll_transmit()))), ["CONNACK 0x82"]);
    }
}

#[test]
fn a_rejection_speaks_the_clients_version() {
    for (version, said) in [(Version::V311, "CONNACK 0x87"), (Version::V5, "CONNACK 0x8A")] {
        let mut handshake = handshake(Options::default());
        handshake.handle_input(Instant::ZERO, &mut connect_packet(passing(version))).unwrap();
        handshake.reject(ReasonCode::Banned, &Properties::EMPTY);
        assert_eq!(show_all(&decode(version, drain(handshake.poll_transmit()))), [said]);
    }
}

#[test]
fn an_unknown_version_is_told_so_in_words_that_it_may_know() {
    for (level, said) in [(6, &[0x20, 3, 0, 0x84, 0][..]), (2, &[0x20, 2, 0, 1][..])] {
        let mut handshake = handshake(Options::default());
        let mut input = BytesMut::from(&[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 0, 0, 0][..]);
        handshake.handle_input(Instant::ZERO, &mut input).unwrap_err();
        assert_eq!(drain(handshake.poll_transmit()), said);
    }
}
